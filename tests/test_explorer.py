"""Sliders without a browser: the widgets' own values and the picture they produce."""

import asyncio
import base64
import io
import re
import time
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from vae_course import explorer, pictures
from vae_course.explorer import Explorer


def decode(z):
    """One pixel a latent, so that a picture tells its z. (B, D) -> (B, 1, 1, D)."""
    return z.sigmoid()[:, None, None]


def shades(z):
    """What the pixels of decode(z) are in a PNG."""
    return np.rint(255 / (1 + np.exp(-np.asarray(z, dtype=float)))).astype(int).tolist()


class Picture(HTMLParser):
    """The one <img> of a piece of HTML: its attributes, unescaped, and its pixels."""

    def __init__(self, code):
        super().__init__()
        self.images = []
        self.feed(code)
        (self.attributes,) = self.images
        kind, content = self.attributes["src"].split(",")
        assert kind == "data:image/png;base64"
        self.pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))  # (H, W)

    def handle_starttag(self, tag, attributes):
        assert tag == "img"
        self.images.append(dict(attributes))


def picture(sliders):
    return Picture(sliders.picture.value)


def named(widget):
    """Every control inside by the name that a front end gives it; each must have a name of its own, or none."""
    name = getattr(widget, "description", "") or (hasattr(widget, "click") and widget.tooltip)
    found = [(name, widget)] if name else []
    found += [pair for child in getattr(widget, "children", ()) for pair in named(child).items()]
    assert len(dict(found)) == len(found)
    return dict(found)


def alert(sliders):
    return re.sub("<[^>]*>", "", sliders.alert.value)


@pytest.fixture
def shown(monkeypatch):
    seen = []

    def display(bundle, *, metadata, raw):
        assert raw
        seen.append((bundle, metadata))

    monkeypatch.setattr(explorer, "display", display)
    return seen


def test_the_first_picture_is_the_start():
    assert picture(Explorer(decode, 3)).pixels.tolist() == [shades([0, 0, 0])]
    start = torch.tensor([-1.0, 0.5, 2.0])
    sliders = Explorer(decode, 3, start=start)
    assert picture(sliders).pixels.tolist() == [shades(start)]
    assert [s.value for s in sliders.sliders.values()] == pytest.approx([-1, 0.5, 2])


@pytest.mark.parametrize("j", [0, 1, 2])
def test_a_slider_moves_its_latent_and_no_other(j):
    start = torch.tensor([-1.0, 0.5, 2.0])
    sliders = Explorer(decode, 3, start=start)
    before = sliders.picture.value
    sliders.sliders[j].value = -2.5
    want = start.clone()
    want[j] = -2.5
    assert sliders.picture.value != before
    assert picture(sliders).pixels.tolist() == [shades(want)]
    assert torch.equal(sliders.z, want)
    assert torch.equal(start, torch.tensor([-1.0, 0.5, 2.0]))  # what was passed in stays as it is


def test_only_the_chosen_latents_get_a_slider_the_others_keep_their_value():
    start = torch.tensor([1.0, -1.0, 0.5, 2.0])
    sliders = Explorer(decode, 4, sliders=[3, 1], start=start)
    assert list(sliders.sliders) == [3, 1]
    assert named(sliders.widget).keys() == {"z[3] (σ)", "z[1] (σ)", "reset", "random"}
    sliders.sliders[3].value = 0.0
    assert picture(sliders).pixels.tolist() == [shades([1, -1, 0.5, 0])]


@pytest.mark.parametrize(("z_dim", "want"), [(2, 2), (6, 6), (20, 6)])
def test_by_default_the_first_six_latents_get_a_slider(z_dim, want):
    assert list(Explorer(decode, z_dim).sliders) == list(range(want))


def test_reset_goes_back_to_the_start_even_where_the_sliders_do_not_reach():
    start = torch.tensor([4.5, -0.5, 7.0])
    sliders = Explorer(decode, 3, sliders=[0, 1], start=start)
    first = sliders.picture.value
    for slider in sliders.sliders.values():
        slider.value = 1.0
    named(sliders.widget)["reset"].click()
    assert torch.equal(sliders.z, start)
    assert sliders.picture.value == first
    assert [s.value for s in sliders.sliders.values()] == pytest.approx([3, -0.5])
    sliders.sliders[1].value = 2.0
    assert torch.equal(sliders.start, start)


def test_random_draws_from_the_prior_and_moves_the_sliders_with_it():
    sliders = Explorer(decode, 500, sliders=[0, 1])
    drawn = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        named(sliders.widget)["random"].click()
        drawn.append(sliders.z.clone())
        assert picture(sliders).pixels.tolist() == [shades(sliders.z)]
        shown = sliders.z[:2].clamp(-3, 3).tolist()
        assert [s.value for s in sliders.sliders.values()] == pytest.approx(shown, abs=0.05 + 1e-6)
    assert not torch.isclose(drawn[0], drawn[1]).all()
    z = torch.cat(drawn)  # 1,000 standard normal numbers
    assert abs(z.mean()) < 6 / 1000**0.5
    assert abs(z.var() - 1) < 6 * (2 / 1000) ** 0.5


def test_move_to_takes_a_code_and_keeps_its_own_copy():
    sliders = Explorer(decode, 2)
    code = torch.tensor([[0.5, -1.5]], requires_grad=True)  # as the encoder returns it
    sliders.move_to(code)
    assert picture(sliders).pixels.tolist() == [shades([0.5, -1.5])]
    sliders.sliders[0].value = 2.0
    assert code.tolist() == [[0.5, -1.5]]


@pytest.mark.parametrize("bad", [-1, 3, 99])
def test_a_latent_that_does_not_exist_is_refused(bad):
    with pytest.raises(ValueError, match=f"there is no latent {bad}: a latent of size 3 has 0 to 2"):
        Explorer(decode, 3, sliders=[0, bad])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda z: 4 * z[:, None, None] + 2, r"must lie in \[0, 1\], got values from"),  # logits
        (lambda z: z.sigmoid(), r"shape \(N, C, H, W\)"),
        (lambda z: z.sigmoid()[:, None, None].repeat(1, 2, 1, 1), r"\(B, 3, H, W\), got \(1, 2, 1, 2\)"),
        (lambda z: z[:, :, None, None] * torch.nan, r"got values from nan to nan"),
        (lambda z: z.sigmoid()[:0, None, None], "the batch or data set is empty"),
        (lambda z: z.sigmoid()[:, None, None].repeat(2, 1, 1, 1), "an image for each z, got 2 for 1"),
        (lambda z: (decode(z), z), "must return one tensor, got tuple"),
        (lambda z: z @ torch.ones(3, 4), r"decode failed on inputs of shape \(1, 2\): RuntimeError: "),
    ],
)
def test_a_decoder_of_something_else_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Explorer(wrong, 2)


def test_the_picture_has_words_that_follow_the_sliders():
    sliders = Explorer(decode, 3, sliders=[0, 2])
    sliders.sliders[2].value = -1.5
    assert picture(sliders).attributes["alt"] == "the decoded image at z[0] = 0.0, z[2] = -1.5"


def test_words_are_escaped():
    hostile = '"><script>alert(1)</script>'
    sliders = Explorer(by_class, 2, classes=[hostile, "b"])
    assert picture(sliders).attributes["alt"].endswith(f", class {hostile}")
    assert "<script" not in sliders.picture.value
    sliders.decode = lambda z, c: 1 / 0 if c[0] == 0 else 1 / len([hostile][1:])
    sliders.sliders[0].value = 1.0
    sliders._complain(ValueError(hostile))
    assert "<script" not in sliders.alert.value


def test_the_decoder_needs_no_gradient_and_the_picture_takes_none():
    weight = torch.ones(2, requires_grad=True)
    sliders = Explorer(lambda z: decode(z * weight), 2)  # .numpy() would fail on a tensor that requires grad
    sliders.sliders[0].value = 1.0
    assert picture(sliders).pixels.tolist() == [shades([1, 0])]


def test_what_is_shown_is_the_widget_and_a_still_picture_with_words(shown):
    start = torch.tensor([0.5, -1.0, 1.0])
    sliders = Explorer(decode, 3, sliders=[2, 0], start=start)
    sliders.sliders[0].value = 2.0  # the still picture shows the start, wherever the sliders are
    sliders.show()
    ((bundle, metadata),) = shown
    assert set(bundle) == {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"}
    view = bundle["application/vnd.jupyter.widget-view+json"]
    assert view == {"version_major": 2, "version_minor": 0, "model_id": sliders.widget.model_id}
    assert sliders.widget.model_id

    still = np.asarray(Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))))
    assert still.shape == (2, 11 * 3)
    for row, j in zip(still.reshape(2, 11, 3), [2, 0], strict=True):
        for column, value in zip(row, np.linspace(-3, 3, 11), strict=True):
            want = start.clone()
            want[j] = value
            assert column.tolist() == pytest.approx(shades(want), abs=1)  # linspace in float32 may round the other way

    alt = metadata["image/png"]["alt"]
    assert "standard deviations" in alt
    assert alt in bundle["text/plain"]


def test_a_still_picture_of_128_latents_has_the_rows_of_the_sliders_and_is_no_wider_than_shown(shown):
    Explorer(lambda z: z.sigmoid().view(-1, 1, 8, 16).repeat(1, 3, 20, 10), 128, sliders=[100, 3]).show()
    still = Image.open(io.BytesIO(base64.b64decode(shown[0][0]["image/png"])))
    assert still.mode == "RGB"
    assert still.size == (616, round(616 * 2 * 160 / (11 * 160)))


def test_where_the_still_picture_cannot_be_decoded_the_sliders_are_shown_and_say_so(shown):
    sliders = Explorer(lambda z: decode(z) if z.abs().max() < 2 else decode(z) * torch.nan, 3, sliders=[1])
    sliders.show()
    ((bundle, metadata),) = shown
    assert set(bundle) == {"application/vnd.jupyter.widget-view+json", "text/plain"}
    assert metadata == {}
    assert "nan" in bundle["text/plain"]
    assert "nan" in alert(sliders)


def test_every_slider_has_a_named_number_that_moves_with_it():
    sliders = Explorer(decode, 3)
    controls = named(sliders.widget)
    assert list(controls) == ["z[0] (σ)", "z[1] (σ)", "z[2] (σ)", "reset", "random"]
    for j, slider in sliders.sliders.items():
        assert (slider.min, slider.max) == (-3, 3)
        assert slider.continuous_update
        number = controls[f"z[{j}] (σ)"]
        number.value = 1.5
        assert slider.value == sliders.z[j] == 1.5
        slider.value = 0.123456
        assert number.value == 0.12
        assert sliders.z[j] == pytest.approx(0.123456)
        number.value = 7.0  # as far as the slider reaches
        assert slider.value == 3


# Which latents


def test_sliders_are_ordered_by_what_their_latents_carry():
    kl = torch.tensor([0.1, 3.0, 0.0, 7.25, 0.2, 0.3, 0.4, 0.15])
    sliders = Explorer(decode, 8, kl=kl)
    assert list(sliders.sliders) == [3, 1, 6, 5, 4, 7]
    assert "KL 7.25 nats" in str(sliders.widget)
    assert list(Explorer(decode, 8, kl=kl, sliders=[2, 3]).sliders) == [2, 3]  # who asks for latents gets them


@pytest.mark.parametrize("kl", [[0.1, 0.2], [0.1, -0.2, 0.3], [0.1, float("nan"), 0.3], [0.1, float("inf"), 0.3]])
def test_a_kl_that_is_none_is_refused(kl):
    with pytest.raises(ValueError, match="kl must"):
        Explorer(decode, 3, kl=torch.tensor(kl))


@pytest.mark.parametrize(("z_dim", "sliders"), [(1, 1), (128, 6)])
def test_latents_of_any_size(z_dim, sliders):
    assert len(Explorer(decode, z_dim).sliders) == sliders


@pytest.mark.parametrize("z_dim", [0, -1, 2.0, True])
def test_a_latent_size_that_is_none_is_refused(z_dim):
    with pytest.raises(ValueError, match="z_dim"):
        Explorer(decode, z_dim)


def test_sliders_for_no_latent_and_codes_of_another_size_are_refused():
    with pytest.raises(ValueError, match="at least one latent"):
        Explorer(decode, 3, sliders=[])
    with pytest.raises(ValueError, match="start must have 3 numbers"):
        Explorer(decode, 3, start=torch.zeros(2))
    with pytest.raises(ValueError, match="z must have 3 numbers"):
        Explorer(decode, 3).move_to(torch.zeros(2))


# The plane


def test_a_click_in_the_plane_moves_both_latents():
    sliders = Explorer(decode, 2)
    controls = named(sliders.widget)
    places = [name for name in controls if name.startswith("z = ")]
    assert len(places) == explorer.PLANE**2
    assert places[0] == "z = (-3.0, 3.0)"  # rows from the top, each from the left, as the picture has them
    assert places[1] == "z = (-2.5, 3.0)"
    assert places[-1] == "z = (3.0, -3.0)"
    controls["z = (-2.5, 1.0)"].click()
    assert [s.value for s in sliders.sliders.values()] == [-2.5, 1.0]
    assert picture(sliders).pixels.tolist() == [shades([-2.5, 1.0])]
    assert not any(controls[name].tabbable for name in places)  # of ipywidgets 8; 7 has no such choice


def test_the_plane_shows_what_each_place_decodes_to_and_where_z_is():
    sliders = Explorer(decode, 2)
    pixels = Picture(sliders.background.value).pixels.reshape(explorer.PLANE, explorer.PLANE, 2)
    for row, up in zip(pixels, np.linspace(3, -3, explorer.PLANE), strict=True):
        for pixel, right in zip(row, np.linspace(-3, 3, explorer.PLANE), strict=True):
            assert pixel.tolist() == shades([right, up])

    def centre():
        found = re.search(r"left: ([-.\d]+)px; top: ([-.\d]+)px", sliders.point.value)
        return [float(value) + 8 for value in found.groups()]  # half of the ring's 16 pixels

    # each picture is two pixels wide and one high: 28 by 14 on the page, thirteen of them in a row and a column
    assert centre() == [182, 91]
    sliders.sliders[0].value = -3.0
    assert centre() == [14, 91]  # the middle of the first picture of the row
    sliders.move_to(torch.tensor([0.0, 50.0]))
    assert centre() == [182, 0]
    size = Picture(sliders.background.value).attributes
    assert (size["width"], size["height"]) == ("364", "182")


def test_only_a_latent_of_size_two_has_a_plane():
    for z_dim in (1, 3):
        assert not [name for name in named(Explorer(decode, z_dim).widget) if name.startswith("z = ")]


# Classes


def by_class(z, c):
    """The first pixel is the class, the others are the latents. (B, D), (B,) -> (B, 1, 1, 1 + D)."""
    assert c.shape == (len(z),)
    return torch.cat([c[:, None] / 10, z.sigmoid()], dim=1)[:, None, None]


def test_the_class_is_asked_for_and_named():
    sliders = Explorer(by_class, 2, classes=["nought", "one", "two"])
    assert picture(sliders).attributes["alt"].endswith(", class nought")
    plane = sliders.background.value
    sliders.sliders[0].value = 1.0
    named(sliders.widget)["class"].value = 2
    assert picture(sliders).pixels.tolist() == [[51, *shades([1, 0])]]
    assert picture(sliders).attributes["alt"].endswith(", class two")
    assert sliders.background.value != plane  # which is drawn for the class


def test_the_plane_is_decoded_for_its_class_once_and_not_at_every_move():
    sizes = []

    def counting(z, c):
        sizes.append(len(z))
        return by_class(z, c)

    sliders = Explorer(counting, 2, classes=["nought", "one"])
    sizes.clear()
    sliders.sliders[0].value = 1.0
    assert sizes == [1]
    named(sliders.widget)["class"].value = 1
    assert sizes == [1, 1, 13 * 13]


def test_a_plane_that_cannot_be_decoded_is_empty_and_not_that_of_another_class():
    def far_off_in_class_one(z, c):
        images = by_class(z, c)
        images[(c == 1) & (z.abs().amax(dim=1) > 2.9)] = torch.nan
        return images

    sliders = Explorer(far_off_in_class_one, 2, classes=["nought", "one"])
    nought = sliders.background.value
    named(sliders.widget)["class"].value = 1
    assert "No new picture: decode" in alert(sliders)
    assert sliders.background.value == ""
    named(sliders.widget)["class"].value = 0
    assert sliders.background.value == nought


def test_no_classes_are_refused():
    with pytest.raises(ValueError, match="at least one class"):
        Explorer(by_class, 2, classes=[])


# Images


IMAGES = torch.linspace(0, 1, 5 * 6).reshape(5, 1, 2, 3)
LABELS = torch.tensor([4, 7, 4, 7, 7])


def encode(x):
    """(B, 1, 2, 3) -> (B, 3)."""
    return x[:, 0, 0] * 2 - 1


def with_images(**more):
    sliders = Explorer(decode, 3, encode=encode, images=IMAGES, **more)
    return sliders, named(sliders.widget)


def test_without_images_there_are_no_controls_for_them():
    assert set(named(Explorer(decode, 3).widget)) == {"z[0] (σ)", "z[1] (σ)", "z[2] (σ)", "reset", "random"}
    assert "mean code of" not in with_images()[1]
    only_one = Explorer(decode, 3, encode=encode, images=IMAGES[:1])
    assert not {"image B", "from A to B"} & set(named(only_one.widget))
    named(only_one.widget)["encode A"].click()
    assert only_one.z.tolist() == pytest.approx(encode(IMAGES)[0].tolist())


def test_an_image_is_encoded_and_shown():
    sliders, controls = with_images()
    controls["image A"].value = 3
    assert sliders.z.tolist() == pytest.approx(encode(IMAGES)[3].tolist())
    # the sliders stand on the next step: set between two, a front end would move them there, and z with them
    assert [s.value for s in sliders.sliders.values()] == pytest.approx([0.2, 0.3, 0.4])
    assert [controls[f"z[{j}] (σ)"].value for j in range(3)] == pytest.approx(sliders.z.tolist(), abs=0.005 + 1e-6)
    sliders.sliders[0].value += 1e-9  # a front end's repetition
    assert sliders.z.tolist() == pytest.approx(encode(IMAGES)[3].tolist())
    original = Picture(sliders.originals.value.split("> <")[0] + ">")
    assert original.attributes["alt"] == "image A, number 3"
    assert original.pixels.tolist() == np.rint(IMAGES[3, 0].numpy() * 255).tolist()
    sliders.sliders[0].value = 2.0
    controls["encode A"].click()  # again, after the sliders have moved on
    assert sliders.z.tolist() == pytest.approx(encode(IMAGES)[3].tolist())


@pytest.mark.parametrize("t", [0.25, 0.5, 1.0])
def test_from_one_image_to_another(t):
    sliders, controls = with_images()
    controls["image A"].value, controls["image B"].value = 1, 4
    controls["from A to B"].value = t
    a, b = encode(IMAGES).double()[[1, 4]]
    assert sliders.z.tolist() == pytest.approx(((1 - t) * a + t * b).tolist())
    controls["encode A"].click()
    assert controls["from A to B"].value == 0
    assert sliders.z.tolist() == pytest.approx(a.tolist())


def test_the_mean_code_of_a_class():
    sliders, controls = with_images(labels=LABELS)
    assert [name for name, _ in sliders.means.options] == ["–", "4", "7"]
    controls["mean code of"].value = 7
    want = (encode(IMAGES)[1] + encode(IMAGES)[3] + encode(IMAGES)[4]) / 3
    assert sliders.z.tolist() == pytest.approx(want.tolist())
    assert sliders.means.label == "7"
    sliders.sliders[0].value = 2.0  # no mean code any more
    assert sliders.means.label == "–"
    controls["mean code of"].value = 7
    assert sliders.z.tolist() == pytest.approx(want.tolist())


def test_images_of_a_conditional_model_bring_their_class_along():
    asked = []

    def encode_c(x, c):
        asked.append(c)
        return encode(x) + c[:, None]

    labels = torch.tensor([0, 2, 0, 2, 1])
    sliders = Explorer(by_class, 3, classes=["a", "b", "c"], encode=encode_c, images=IMAGES, labels=labels)
    assert torch.cat(asked).tolist() == labels.tolist()
    controls = named(sliders.widget)
    controls["image A"].value = 3
    assert sliders.classes.label == "c"
    assert sliders.z.tolist() == pytest.approx((encode(IMAGES)[3] + 2).tolist())
    assert picture(sliders).pixels[0, 0] == 51
    controls["image B"].value = 4
    controls["class"].value = 0  # the same code as another class
    controls["from A to B"].value = 0.5
    assert sliders.classes.label == "a"  # on the way it stays
    controls["from A to B"].value = 1.0
    assert sliders.classes.label == "b"
    assert [name for name, _ in sliders.means.options] == ["–", "a", "b", "c"]
    controls["mean code of"].value = 2
    assert sliders.classes.label == "c"


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"encode": encode}, ValueError, "go together"),
        ({"images": IMAGES}, ValueError, "go together"),
        ({"labels": LABELS}, ValueError, "go together"),
        ({"encode": encode, "images": IMAGES[:0]}, ValueError, "no images"),
        ({"encode": encode, "images": IMAGES[0]}, ValueError, "shape"),
        ({"encode": encode, "images": IMAGES, "labels": LABELS[:4]}, ValueError, r"labels must have shape \(5,\)"),
        ({"encode": encode, "images": IMAGES, "labels": LABELS.float()}, TypeError, "whole numbers"),
        ({"encode": lambda x: encode(x)[:, :2], "images": IMAGES}, ValueError, r"mu \(5, 3\), got \(5, 2\)"),
        ({"encode": lambda x: (encode(x), encode(x)), "images": IMAGES}, ValueError, "one tensor, got tuple"),
        ({"encode": lambda x: encode(x) / 0, "images": IMAGES}, ValueError, "finite"),
        ({"encode": lambda x: encode(x).foo, "images": IMAGES}, ValueError, "encode failed on inputs of shape"),
    ],
)
def test_images_that_do_not_fit_are_refused(wrong, error, message):
    with pytest.raises(error, match=message):
        Explorer(decode, 3, **wrong)


@pytest.mark.parametrize(
    ("labels", "message"), [(LABELS, "must lie between 0 and 4, got values from 4 to 7"), (None, "their labels")]
)
def test_images_of_classes_that_are_none_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        Explorer(by_class, 3, classes=list("abcde"), encode=lambda x, c: encode(x), images=IMAGES, labels=labels)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_latent_that_is_not_finite_is_refused_and_the_sliders_go_on(bad):
    with pytest.raises(ValueError, match="start must be finite"):
        Explorer(decode, 2, start=torch.tensor([0.0, bad]))
    sliders = Explorer(decode, 2)
    with pytest.raises(ValueError, match="z must be finite"):
        sliders.move_to(torch.tensor([bad, 0.0]))
    sliders.sliders[0].value = 1.0
    assert picture(sliders).pixels.tolist() == [shades([1, 0])]


# Decoders that fail or take their time


@pytest.mark.parametrize(
    "fault", [lambda z: 1 / 0, lambda z: decode(z) * torch.nan, lambda z: z.sigmoid(), lambda z: decode(z)[:0]]
)
def test_a_running_widget_shows_an_error_and_goes_on(fault):
    sliders = Explorer(lambda z: fault(z) if z[0, 0] == 2.0 else decode(z), 3)
    sliders.sliders[1].value = 1.0
    before = sliders.picture.value
    sliders.sliders[0].value = 2.0
    assert 'role="alert"' in sliders.alert.value
    assert "No new picture: decode" in alert(sliders)
    assert sliders.picture.value == before
    sliders.sliders[0].value = 1.0
    assert sliders.alert.value == ""
    assert picture(sliders).pixels.tolist() == [shades([1, 1, 0])]


class Slow:
    """Decodes like `decode`, in a twentieth of a second, and counts."""

    def __init__(self):
        self.calls = 0

    def __call__(self, z):
        self.calls += 1
        time.sleep(0.05)
        return decode(z)


def test_of_many_changes_a_slow_decoder_draws_the_latest():
    slow = Slow()
    sliders = Explorer(slow, 3)
    begun = slow.calls

    async def drag():
        for k in range(50):
            sliders.sliders[0].value = round(0.1 * (k - 29), 1)
            await asyncio.sleep(0.002)  # as messages of a kernel come in
        await asyncio.sleep(0.3)

    asyncio.run(drag())
    assert picture(sliders).pixels.tolist() == [shades([2, 0, 0])]
    assert slow.calls - begun <= 10

    async def move_once():  # on another loop, and with nothing after it
        sliders.sliders[1].value = 2.0
        await asyncio.sleep(0.3)

    asyncio.run(move_once())
    assert picture(sliders).pixels.tolist() == [shades([2, 2, 0])]


def test_a_slow_decoder_draws_at_once_where_no_loop_runs_or_has_stopped():
    sliders = Explorer(Slow(), 2)

    async def stop_too_soon():
        sliders.sliders[0].value = 2.0

    asyncio.run(stop_too_soon())
    sliders.sliders[1].value = 1.0
    assert picture(sliders).pixels.tolist() == [shades([2, 1])]


def test_a_quick_decoder_draws_every_change():
    sliders = Explorer(decode, 2)

    async def drag():
        sliders.sliders[0].value = 1.5
        return picture(sliders).pixels.tolist()

    assert asyncio.run(drag()) == [shades([1.5, 0])]


# Pixels


def test_pixels_are_rounded_and_colours_kept():
    x = torch.rand(2, 3, 4, 5)
    values = pictures.pixels(x)
    assert values.shape == (2, 4, 5, 3)
    assert values.dtype == np.uint8
    assert np.abs(values / 255 - x.permute(0, 2, 3, 1).numpy()).max() <= 0.5 / 255 + 1e-6
    drawn = Image.open(io.BytesIO(base64.b64decode(pictures.base64_png(values[0], at_most=5))))
    assert np.array_equal(np.asarray(drawn), values[0])


def test_tiles_go_row_by_row():
    values = np.arange(6 * 2 * 3).reshape(6, 2, 3)
    tiled = pictures.tiles(values, columns=3)
    assert tiled.shape == (4, 9)
    assert np.array_equal(tiled[2:, 3:6], values[4])


def test_a_dragged_slider_gets_no_answer():
    """A value that the kernel sends back, rounded, undoes what the front end has dragged further in the meantime."""
    sliders = Explorer(decode, 2)
    sent = []
    sliders.sliders[0].observe(lambda change: sent.append(change["new"]), names="value")
    sliders.sliders[0].value = 0.8000000000000003  # as a front end adds up its steps
    assert sent == [0.8000000000000003]
    assert picture(sliders).pixels.tolist() == [shades([0.8, 0])]
