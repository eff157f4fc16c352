"""The pad's page read back in NumPy: what it holds decodes as the model does; what it says is true; what is refused."""

import base64
import copy
import html.parser
import io
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from clean_outputs import clean
from PIL import Image
from torch import nn

from vae_course import pad, plane_decoder
from vae_course.models.mlp import MLPVAE
from vae_course.models.vae import VAE
from vae_course.pad import Pad

pytestmark = pytest.mark.slow  # trains or imports for seconds: `make check` goes without

HOSTILE = '"><script>window.pwned=1</script></script><!--<img src=x onerror="window.pwned=1">'


def lively(model):
    """Larger weights, so that pixels vary over the plane as a trained model's do, some from black to white."""
    with torch.no_grad():
        for layer in model.decoder:
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(2.5)
    return model


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return lively(MLPVAE(2, (48,)))


@pytest.fixture(scope="module")
def flat(model):
    return Pad(model)


def data_of(made):
    (text,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', made.page, re.DOTALL)
    return json.loads(text)


def numbers(text, kind):
    return np.frombuffer(base64.b64decode(text), kind).astype(np.float64)


def decode(content, points):
    """What the page computes, from its data alone, in float64: (B, 2) -> (B, pixels). Linear layers and SiLU only."""
    h = np.asarray(points, dtype=np.float64)
    for layer in content["decoder"]:
        if layer["kind"] == "silu":
            h = h / (1 + np.exp(-h))
        else:
            assert layer["kind"] == "linear"
            scales = numbers(layer["scales"], "<f4")
            weight = numbers(layer["rows"], "<i2").reshape(len(scales), -1) * scales[:, None]
            h = h @ weight.T + numbers(layer["bias"], "<f4")
    return 1 / (1 + np.exp(-h))


def random_points(half, n=500):
    return (torch.rand(n, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1) * half


def pixels(model, z):
    with torch.no_grad():
        return copy.deepcopy(model).double().decode(z.double()).sigmoid().flatten(1).numpy()


@pytest.mark.parametrize("hidden", [(400,), (256,), (32,), (128, 64)])
def test_the_page_decodes_as_the_model_does(hidden):
    torch.manual_seed(2)
    model = lively(MLPVAE(2, hidden))
    made = Pad(model, span=2.5)
    z = random_points(2.5)
    wanted = pixels(model, z)
    assert np.ptp(wanted, axis=0).max() > 0.5
    assert abs(decode(data_of(made), z) - wanted).max() <= 1.5 / 255
    assert 0 < made.error <= 1 / 255
    said = float(re.search(r"within ([\d.]+)/255", made.page)[1])
    assert made.error * 255 <= said <= made.error * 255 + 0.1


def test_a_layer_is_cut_down_to_what_the_plane_needs():
    torch.manual_seed(0)
    made = Pad(lively(MLPVAE(2, (400,))))
    linear = [layer for layer in data_of(made)["decoder"] if layer["kind"] == "linear"]
    assert len(linear) == 3
    assert sum(len(numbers(layer["rows"], "<i2")) for layer in linear) < 0.3 * 400 * 784
    assert len(made.page) < 150_000


def test_an_error_that_is_too_large_is_seen():
    """The measure of agreement, told a wrong truth: no network is near it."""
    model = lively(MLPVAE(2, (16,), x_shape=(1, 4, 4)))
    layers = plane_decoder.layers_of(model)
    points = torch.cartesian_prod(torch.linspace(-3, 3, 9), torch.linspace(-3, 3, 9))
    truth = model.decode(points).sigmoid().detach()
    args = {"fit": points, "check": points}
    network, error = plane_decoder.cut_down(layers, torch.zeros(2), torch.eye(2), **args, pixels=truth)
    assert error == pytest.approx((network(points).sigmoid() - truth).abs().max().item())
    truth[40, 0, 1, 2] += 3 / 255
    with pytest.raises(ValueError, match=r"[23]\.\d/255 away from the model's"):
        plane_decoder.cut_down(layers, torch.zeros(2), torch.eye(2), **args, pixels=truth)


def test_a_plane_through_three_images():
    torch.manual_seed(3)
    model = lively(MLPVAE(16, (64,)))
    images = torch.rand(3, 1, 28, 28)
    content = data_of(Pad(model, images=images))
    mu = model.encode(images)[0].detach()
    at = torch.tensor([corner[:2] for corner in content["corners"]])
    assert torch.allclose(torch.cdist(at, at), torch.cdist(mu, mu), rtol=1e-4)  # the axes are orthonormal
    assert at.abs().max() < content["half"]
    assert content["start"] == content["corners"][0][:2]
    for (x, y, name, source), wanted in zip(content["corners"], images, strict=True):
        thumbnail = Image.open(io.BytesIO(base64.b64decode(source.split(",")[1])))
        assert abs(np.asarray(thumbnail) / 255 - wanted[0].numpy()).max() < 0.51 / 255
        for other, constant, by_x, by_y in content["readout"]:
            assert constant + by_x * x + by_y * y == pytest.approx(float(name == other), abs=1e-4)
    points = random_points(content["half"])
    weights = torch.tensor([[c, bx, by] for _, c, bx, by in content["readout"]])
    z = torch.cat([torch.ones(len(points), 1), points], dim=1) @ weights.T @ mu  # weighted means of the three codes
    assert abs(decode(content, points) - pixels(model, z)).max() <= 1.5 / 255


def test_marks_are_the_labels_or_letters():
    model = small()
    codes = torch.tensor([[0.123, -1.0], [2.0, 2.5], [9.0, 0.0], [-1.0, 1.0]])
    content = data_of(Pad(model, codes=codes, labels=torch.tensor([7, 1, 7, 3])))
    assert [kind[0] for kind in content["kinds"]] == ["1", "3", "7"]
    assert content["points"] == [[0.12, -1.0, 2], [2.0, 2.5, 0], [-1.0, 1.0, 1]]
    assert "4 of 4 codes; 1 of them lie outside" in content["caption"]
    content = data_of(Pad(model, codes=codes, labels=["coat", "bag", "coat", "coat"]))
    assert [(kind[0], kind[2]) for kind in content["kinds"]] == [("A", "bag"), ("B", "coat")]
    content = data_of(Pad(model, codes=codes))
    assert [kind[0] for kind in content["kinds"]] == ["•"]
    many = data_of(Pad(model, codes=torch.randn(10_000, 2) / 9, labels=torch.arange(10_000) // 1000))
    counts = np.bincount([point[2] for point in many["points"]])
    assert counts.tolist() == pytest.approx([100] * 10, abs=2)


class Frames(html.parser.HTMLParser):
    """The attributes of each <iframe>, as a browser reads them."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "iframe":
            self.found.append(dict(attributes))


def test_what_is_shown(model, flat, monkeypatch):
    shown = []
    monkeypatch.setattr(pad, "display", lambda bundle, **options: shown.append((bundle, options)))
    flat.show()
    ((bundle, options),) = shown
    assert set(bundle) == {"text/html", "image/png", "text/plain"}
    assert options == {"metadata": {"image/png": {"alt": flat.alt}}, "raw": True}
    assert sum(map(len, bundle.values())) < 300_000
    text = bundle["text/html"]
    assert text.index("<img ") < text.index("Run this cell to drag the point.") < text.index("<iframe ")
    (frame,) = Frames(text).found
    assert frame["sandbox"] == "allow-scripts"
    assert frame["srcdoc"] == flat.page
    for tag in re.findall(r"<img\b[^>]*>", text):  # as for every picture of a lesson
        assert re.search(r'\balt="[^"]+"', tag)
    with Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))) as picture:
        still = np.asarray(picture.convert("L"))
    assert still.shape == (9 * 28, 9 * 28)
    top_right = pixels(model, torch.tensor([[3 * 8 / 9, 3 * 8 / 9]])).reshape(28, 28)
    assert abs(still[:28, -28:] / 255 - top_right).max() < 0.1  # sixteen greys


def test_building_a_lesson_leaves_a_pad_as_it_is(flat):
    metadata = {"image/png": {"alt": flat.alt}}
    output = nbformat.v4.new_output("display_data", data=flat.bundle(), metadata=metadata)
    (kept,) = clean([output], Path(__file__).resolve().parents[1])
    assert kept.data["text/html"] == flat.bundle()["text/html"]
    assert kept.metadata == metadata


def test_the_page_needs_nothing_from_outside(flat, tmp_path):
    path = flat.save(tmp_path / "pad.html")
    text = path.read_text(encoding="utf-8")
    assert text == flat.page
    assert "default-src 'none'" in text
    assert re.findall(r"\b(?:src|href)=|@import|\burl\(|\bfetch\(|XMLHttpRequest|innerHTML", text) == []
    assert set(re.findall(r"https?://[^\"']+", text)) == {"http://www.w3.org/2000/svg"}  # a name, not an address


def test_words_end_neither_the_script_nor_an_attribute(model):
    made = Pad(model, codes=torch.zeros(1, 2), labels=[HOSTILE], title=HOSTILE)
    content = data_of(made)  # its pattern ends at the first </script>
    assert content["title"] == HOSTILE
    assert content["kinds"][0][2] == HOSTILE
    assert made.page.count("</script>") == 2
    frame = made._notebook_html()
    assert "<script" not in frame
    assert frame.count("<img") == 1


@pytest.mark.parametrize("name", ["show", "save"])
def test_a_pad_that_is_too_large_says_its_size(model, name, tmp_path, monkeypatch):
    made = Pad(model)
    monkeypatch.setattr(pad, "IN_NOTEBOOK", 50_000)
    monkeypatch.setattr(pad, "IN_FILE", 50_000)
    advice = "write a file" if name == "show" else "train a model with narrower layers"
    with pytest.raises(ValueError, match=rf"takes \d+ kB .*at most 50 kB .*{advice}"):
        made.show() if name == "show" else made.save(tmp_path / "pad.html")
    assert not list(tmp_path.iterdir())


def with_decoder(*layers, z_dim=2):
    return VAE(nn.Linear(1, 1), nn.Sequential(*layers), x_shape=(1, 4, 4), z_dim=z_dim)


def small(z_dim=2):
    return MLPVAE(z_dim, (8,), x_shape=(1, 4, 4))


def broken(value):
    model = small()
    nn.init.constant_(model.decoder[-2].bias, value)
    return model


class Shifted(VAE):
    """Its decode is more than the decoder's layers."""

    def decode(self, z):
        return super().decode(z) + z[:, :1, None, None]


IMAGES = torch.rand(3, 1, 4, 4)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda: with_decoder(nn.Linear(3, 16), nn.Unflatten(1, (1, 4, 4))), {}, "latents of size 3, the model has 2"),
        (lambda: broken(float("nan")), {}, "NaN or infinity on the plane"),
        (lambda: with_decoder(nn.Linear(2, 16)), {}, r"logits \(3721, 1 or 3, H, W\), got \(3721, 16\)"),
        (lambda: with_decoder(nn.Linear(2, 32), nn.Unflatten(1, (2, 4, 4))), {}, r"got \(3721, 2, 4, 4\)"),
        (lambda: with_decoder(nn.Linear(2, 16), nn.Tanh(), nn.Unflatten(1, (1, 4, 4))), {}, r"cannot compute Tanh\(\)"),
        (lambda: with_decoder(nn.Unflatten(1, (2, 1, 1))), {}, "begins with a Linear layer"),
        (lambda: with_decoder(), {}, "begins with a Linear layer"),
        (
            lambda: with_decoder(nn.Linear(2, 32), nn.Unflatten(1, (2, 4, 4)), nn.ConvTranspose2d(2, 2, 1, groups=2)),
            {},
            "cannot compute ConvTranspose2d.*groups=2",
        ),
        (lambda: Shifted(nn.Linear(1, 1), small().decoder, x_shape=(1, 4, 4), z_dim=2), {}, "away from the model's"),
        (lambda: small(1), {}, "size 1 has no plane: train a model"),
        (lambda: small(128), {}, "size 128 is no plane: give images="),
        (lambda: small(1), {"images": IMAGES}, "lie on a line"),
        (lambda: small(5), {"images": IMAGES[:1].repeat(3, 1, 1, 1)}, "lie on a line"),
        (lambda: small(5), {"images": IMAGES[[0, 1, 1]]}, "lie on a line"),
        (lambda: small(5), {"images": IMAGES[:2]}, "passes through three images, got 2"),
        (lambda: small(5), {"images": IMAGES[:0]}, "empty"),
        (lambda: small(5), {"images": torch.rand(3, 1, 5, 4)}, r"takes images of shape \(B, 1, 4, 4\)"),
        (lambda: small(5), {"images": IMAGES * 255}, r"must lie in \[0, 1\]"),
        (small, {"images": IMAGES, "codes": torch.zeros(1, 2)}, "not both"),
        (small, {"codes": torch.zeros(0, 2)}, r"shape \(N, 2\) with N > 0, got \(0, 2\)"),
        (small, {"codes": torch.zeros(4, 3)}, r"shape \(N, 2\) with N > 0, got \(4, 3\)"),
        (small, {"codes": torch.full((4, 2), float("nan"))}, "finite"),
        (small, {"codes": torch.zeros(4, 2), "labels": [1, 2, 3]}, "each of the 4 codes, got 3"),
        (small, {"codes": torch.zeros(27, 2), "labels": range(27)}, "at most 26 different labels"),
        (small, {"labels": [1]}, "labels belong to codes"),
        (small, {"span": 0.0}, "span must be a positive number"),
        (small, {"span": float("nan")}, "span must be a positive number"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_a_reason(make, options, message):
    with pytest.raises(ValueError, match=message):
        Pad(make(), **options)


def test_model_and_random_state_stay_as_they_were(model):
    model.train()
    state, before = torch.get_rng_state(), {k: v.clone() for k, v in model.state_dict().items()}
    Pad(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())
