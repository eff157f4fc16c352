"""Sliders without a browser: the widgets' own values and the picture they produce."""

import base64
import io
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from vae_course import explorer
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


def buttons(widget):
    if hasattr(widget, "click"):
        return {widget.description: widget}
    return {name: b for child in getattr(widget, "children", ()) for name, b in buttons(child).items()}


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
    assert [s.description for s in sliders.sliders.values()] == ["z[3] (σ)", "z[1] (σ)"]
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
    buttons(sliders.widget)["reset"].click()
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
        buttons(sliders.widget)["random"].click()
        drawn.append(sliders.z.clone())
        assert picture(sliders).pixels.tolist() == [shades(sliders.z)]
        assert [s.value for s in sliders.sliders.values()] == pytest.approx(sliders.z[:2].clamp(-3, 3).tolist())
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
        (lambda z: z.sigmoid()[:, None, None].repeat(1, 3, 1, 1), r"\(B, 1, H, W\), got \(1, 3, 1, 2\)"),
    ],
)
def test_a_decoder_of_something_else_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Explorer(wrong, 2)


def test_the_picture_has_words_that_follow_the_sliders():
    sliders = Explorer(decode, 3, sliders=[0, 2])
    sliders.sliders[2].value = -1.5
    assert picture(sliders).attributes["alt"] == "the decoded image at z[0] = 0.0, z[2] = -1.5"


def test_words_are_escaped(monkeypatch):
    """Every value passes html.escape; a quote in it would otherwise end the attribute."""
    seen = []
    monkeypatch.setattr(explorer.html, "escape", lambda text: seen.append(text) or "&quot;&lt;")
    assert picture(Explorer(decode, 1)).attributes["alt"] == '"<'
    assert seen == ["the decoded image at z[0] = 0.0"]


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


def test_everything_that_a_slider_shows_lies_in_the_widget():
    sliders = Explorer(decode, 3)
    left, controls = sliders.widget.children
    assert left is sliders.picture
    assert list(controls.children[:3]) == list(sliders.sliders.values())
    for slider in sliders.sliders.values():
        assert (slider.min, slider.max) == (-3, 3)
        assert slider.continuous_update
    assert set(buttons(sliders.widget)) == {"reset", "random"}
