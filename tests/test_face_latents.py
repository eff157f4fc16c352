"""Attribute arithmetic against worlds where the right direction is known, and its grids pixel by pixel."""

import math
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from vae_course import face_latents

SHAPES = [(6,), (4, 3, 5)]  # a flat latent and a spatial one


class Linear(nn.Module):
    """A stand-in for an encoder whose posterior mean is known: the mean colour of an image, three latents."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu = self.scale * x.mean(dim=(2, 3))
        return mu, torch.zeros_like(mu)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---- codes ----


def test_codes_are_the_posterior_means_of_the_faces_asked_for_in_order():
    images = torch.rand(17, 3, 8, 8, generator=generator())
    faces = SimpleNamespace(batch=lambda indices: images[indices])
    indices = np.array([3, 16, 0, 9, 9])
    codes = face_latents.codes(Linear(), faces, indices, batch_size=2)
    torch.testing.assert_close(codes, images[indices].mean(dim=(2, 3)))
    assert not codes.requires_grad


def test_codes_of_nothing_are_refused():
    with pytest.raises(ValueError, match="no faces"):
        face_latents.codes(Linear(), None, np.array([], np.int64))


# ---- directions ----


@pytest.mark.parametrize("shape", SHAPES)
def test_a_planted_direction_is_found(shape):
    """codes = noise + label · d: the difference of means is d, within 5 standard errors of a mean's difference."""
    planted = torch.randn(shape, generator=generator(1))
    labels = torch.rand(4000, generator=generator(2)) < 0.3
    noise = torch.randn(4000, *shape, generator=generator(3))
    codes = noise + labels.reshape(-1, *[1] * len(shape)) * planted
    found = face_latents.direction(codes, labels)
    standard_error = math.sqrt(1 / labels.sum() + 1 / (~labels).sum())
    assert found.shape == shape
    assert ((found - planted).abs() < 5 * standard_error).all()


def test_a_direction_points_towards_the_attribute_and_ignores_where_codes_lie():
    codes = torch.tensor([[0.0], [1.0], [0.0], [1.0], [0.5]] * 2).double()
    labels = torch.tensor([False] * 5 + [True] * 5)
    codes[5:] += 3
    assert face_latents.direction(codes, labels).item() == pytest.approx(3)
    assert face_latents.direction(codes + 100, labels).item() == pytest.approx(3)
    assert face_latents.direction(codes, ~labels).item() == pytest.approx(-3)


@pytest.mark.parametrize(
    ("codes", "labels", "error", "message"),
    [
        (torch.randn(20, 4), torch.zeros(20, dtype=torch.bool), ValueError, "0 of these faces have"),
        (torch.randn(20, 4), torch.ones(20, dtype=torch.bool), ValueError, "and 0 do not"),
        (torch.randn(20, 4), torch.arange(20) < 4, ValueError, "at least 5"),
        (torch.randn(20, 4), torch.arange(19) < 9, ValueError, "one label for each of the 20"),
        (torch.randn(20, 4), torch.arange(20) % 2, TypeError, "bool"),
        (torch.full((20, 4), torch.nan), torch.arange(20) < 9, ValueError, "not finite"),
        (torch.randn(20), torch.arange(20) < 9, ValueError, "shape"),
        (torch.randn(0, 4), torch.zeros(0, dtype=torch.bool), ValueError, "N > 0"),
    ],
)
def test_labels_and_codes_that_give_no_direction_are_refused(codes, labels, error, message):
    with pytest.raises(error, match=message):
        face_latents.direction(codes, labels)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_control_is_as_long_and_points_anywhere(shape):
    """Cosines of evenly distributed directions with a fixed one have mean 0 and variance 1/D."""
    d = 5 * torch.randn(shape, generator=generator(4))
    draws = torch.stack([face_latents.random_direction(d, generator(seed)) for seed in range(2000)])
    assert draws.shape == (2000, *shape)
    torch.testing.assert_close(draws.flatten(1).norm(dim=1), d.norm().expand(2000))
    cosine = (draws * d).flatten(1).sum(dim=1) / d.norm() ** 2
    size = math.prod(shape)
    assert abs(cosine.mean().item()) < 5 / math.sqrt(size * 2000)
    assert cosine.var().item() == pytest.approx(1 / size, rel=5 * math.sqrt(2 / 2000))


def test_a_control_comes_again_with_its_generator():
    d = torch.ones(8)
    first, again = (face_latents.random_direction(d, generator(7)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, face_latents.random_direction(d, generator(8)))


@pytest.mark.parametrize("broken", [torch.zeros(4), torch.full((4,), torch.nan), torch.full((4,), torch.inf)])
def test_a_direction_without_length_has_no_control(broken):
    with pytest.raises(ValueError, match="length"):
        face_latents.random_direction(broken)


# ---- moving ----


@pytest.mark.parametrize("shape", SHAPES)
def test_moving_is_code_by_code_and_step_by_step(shape):
    codes, d = torch.randn(3, *shape, generator=generator()), torch.randn(shape, generator=generator(1))
    steps = torch.tensor([-1.0, 0.0, 0.5, 2.0])
    there = face_latents.moved(codes, d, steps)
    assert there.shape == (3, 4, *shape)
    for n in range(3):
        for t in range(4):
            torch.testing.assert_close(there[n, t], codes[n] + steps[t] * d)
    assert torch.equal(there[:, 1], codes)


def test_a_direction_of_another_latent_is_refused():
    with pytest.raises(ValueError, match="direction is"):
        face_latents.moved(torch.randn(3, 4, 2, 2), torch.randn(16), torch.ones(1))
    with pytest.raises(ValueError, match="steps"):
        face_latents.moved(torch.randn(3, 4), torch.randn(4), torch.tensor(1.0))


def test_turned_counts_faces_that_could_turn():
    before = torch.tensor([0.1, 0.2, 0.49, 0.9, 0.5])  # three no, two yes
    after = torch.tensor([0.5, 0.4, 0.99, 0.0, 1.0])
    assert face_latents.turned(before, after) == pytest.approx(2 / 3)
    assert face_latents.turned(before, before) == 0
    assert face_latents.turned(before, after, threshold=0.15) == 1  # one no, and it turns


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (torch.rand(4), torch.rand(5), "for each face"),
        (torch.rand(4, 1), torch.rand(4, 1), "for each face"),
        (torch.tensor([-2.0, 0.3]), torch.rand(2), "before must hold probabilities"),
        (torch.rand(2), torch.tensor([torch.nan, 0.3]), "after must hold probabilities"),
        (torch.tensor([0.9, 0.8]), torch.rand(2), "every face"),
    ],
)
def test_answers_that_cannot_be_counted_are_refused(before, after, message):
    with pytest.raises(ValueError, match=message):
        face_latents.turned(before, after)


# ---- interpolation ----


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("way", ["lerp", "slerp"])
def test_a_way_starts_and_ends_where_it_should(shape, way):
    a, b = torch.randn(2, *shape, generator=generator(), dtype=torch.float64)
    line = face_latents.interpolate(a, b, 7, way=way)
    assert line.shape == (7, *shape)
    torch.testing.assert_close(line[0], a)
    torch.testing.assert_close(line[-1], b)


def test_the_straight_line_is_straight_and_the_arc_keeps_the_norm():
    a, b = torch.randn(2, 4, 5, 5, generator=generator(), dtype=torch.float64)
    middle = face_latents.interpolate(a, b, 3)[1]
    torch.testing.assert_close(middle, (a + b) / 2)
    norms = face_latents.interpolate(a, b, 9, way="slerp").flatten(1).norm(dim=1)
    even = torch.linspace(0, 1, 9).double() * (b.norm() - a.norm()) + a.norm()
    torch.testing.assert_close(norms, even)


def test_ways_that_lead_nowhere_are_refused():
    with pytest.raises(ValueError, match="two steps"):
        face_latents.interpolate(torch.zeros(3), torch.ones(3), 1)
    with pytest.raises(ValueError, match="one shape"):
        face_latents.interpolate(torch.zeros(3), torch.ones(4), 5)
    with pytest.raises(ValueError, match="lerp, slerp"):
        face_latents.interpolate(torch.zeros(3), torch.ones(3), 5, way="linear")


# ---- grids ----


def read(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_holds_every_pixel_in_its_place(tmp_path, channels):
    images = torch.rand(7, channels, 5, 4, generator=generator())
    path = face_latents.save_grid(images, tmp_path / "new" / "grid.png", 3)
    page = read(path)
    assert page.shape == (15, 12, 3)
    for n in range(7):
        y, x = 5 * (n // 3), 4 * (n % 3)
        want = (images[n] * 255).round().permute(1, 2, 0).expand(-1, -1, 3).numpy()
        np.testing.assert_array_equal(page[y : y + 5, x : x + 4], want)
    assert (page[10:, 4:] == 255).all()  # the two places that are left are white
    assert os.listdir(path.parent) == ["grid.png"]


def test_captions_stand_above_their_rows_and_change_no_pixel(tmp_path):
    images = torch.rand(4, 3, 8, 8, generator=generator()) / 2
    plain = read(face_latents.save_grid(images, tmp_path / "plain.png", 2))
    page = read(face_latents.save_grid(images, tmp_path / "words.png", 2, ["a row of faces, a long line", "b = 1"]))
    strip = (page.shape[0] - 16) // 2
    assert page.shape[1] > 16  # the longest line fits
    for row in range(2):
        top = row * (8 + strip)
        assert page[top : top + strip].min() < 128, "no ink"
        np.testing.assert_array_equal(page[top + strip : top + strip + 8, :16], plain[8 * row : 8 * row + 8])


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"path": "grid.jpg"}, "ends in .png"),
        ({"columns": 0}, "column"),
        ({"captions": ["one"]}, "each of the 2 rows"),
        ({"images": torch.rand(4, 2, 8, 8)}, "grey or RGB"),
        ({"images": torch.rand(4, 3, 8, 8) * 3}, r"\[0, 1\]"),
    ],
)
def test_grids_that_cannot_be_written_are_refused(tmp_path, kwargs, message):
    arguments = {"images": torch.rand(4, 3, 8, 8), "path": "grid.png", "columns": 2} | kwargs
    arguments["path"] = tmp_path / arguments["path"]
    with pytest.raises(ValueError, match=message):
        face_latents.save_grid(**arguments)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_grid_leaves_the_old_one(tmp_path, monkeypatch):
    path = face_latents.save_grid(torch.zeros(1, 3, 8, 8), tmp_path / "grid.png", 1)
    before = path.read_bytes()

    def full_disk(self, file, **kwargs):
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(OSError, match="No space"):
        face_latents.save_grid(torch.ones(1, 3, 8, 8), path, 1)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["grid.png"]
