"""The shapes: their geometry against areas and distances worked out by hand, and that every image has one cause."""

import math

import pytest
import torch

from vae_course.data import shapes

pytestmark = pytest.mark.slow  # trains or imports for seconds: `make check` goes without

LEVELS = tuple(shapes.FACTORS.values())


def one(shape: str, scale: int = 5, rotation: int = 0, x: int = 8, y: int = 8) -> torch.Tensor:
    """One image without its channel, (64, 64)."""
    return shapes.render(torch.tensor([[shapes.NAMES.index(shape), scale, rotation, x, y]]))[0, 0]


def every_combination() -> torch.Tensor:
    return torch.cartesian_prod(*map(torch.arange, LEVELS))


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_images_are_what_the_course_calls_images(rng: torch.Generator) -> None:
    x, factors = shapes.sample(300, rng)
    assert x.shape == (300, 1, 64, 64)
    assert x.dtype == torch.float32
    assert (x.amin(), x.amax()) == (0, 1)
    assert factors.shape == (300, 5)
    assert factors.dtype == torch.int64
    assert torch.equal(shapes.render(factors), x)  # equal factors, equal images, in batches of another size, too
    assert torch.equal(shapes.render(factors[7:8]), x[7:8])
    assert torch.equal(shapes.render(factors.to(torch.uint8)), x)


def test_factors_are_uniform_and_independent(rng: torch.Generator) -> None:
    n = 40_000
    factors = shapes.random_factors(n, rng)
    for column, levels in zip(factors.T, LEVELS, strict=True):
        counts = column.bincount(minlength=levels).double()
        p = 1 / levels
        assert len(counts) == levels
        assert ((counts - n * p).abs() <= 5 * math.sqrt(n * p * (1 - p))).all()
    correlations = torch.corrcoef(factors.T.double()) - torch.eye(5)
    assert correlations.abs().max() <= 5 / math.sqrt(n)


@pytest.mark.parametrize("scale", range(6))
@pytest.mark.parametrize("rotation", [0, 3, 5])
def test_the_ink_is_the_area_of_the_shape(scale: int, rotation: int) -> None:
    r = shapes.RADII[scale].item()
    areas = {"square": 2 * r**2, "ellipse": math.pi * r**2 / 2, "heart": r**2 * (1 + math.pi / 4)}
    for shape, area in areas.items():
        assert one(shape, scale, rotation).sum().item() == pytest.approx(area, rel=0.015)


@pytest.mark.parametrize("scale", range(6))
def test_an_outline_is_one_pixel_wide(scale: int) -> None:
    r = shapes.RADII[scale].item()
    across = [2 * r * math.sqrt(1 - 1 / r**2), r * math.sqrt(1 - 1 / (2 * r) ** 2)]  # half a pixel beside the middle
    for shape, lengths in (("square", [math.sqrt(2) * r] * 2), ("ellipse", across)):
        image = one(shape, scale)
        for line, length in zip((image[33], image[:, 33]), lengths, strict=True):
            assert ((line > 0) & (line < 1)).sum() == 2  # one at each end
            assert line.sum().item() == pytest.approx(length, abs=0.1)


def test_every_shape_lies_where_its_factors_say() -> None:
    pixel = torch.arange(64) + 0.5
    for x, y in [(0, 0), (15, 3), (8, 15)]:
        for shape in ("square", "ellipse"):  # a heart's middle is not its centre of mass
            ink = one(shape, 2, 4, x, y)
            centre = [((ink.sum(dim) * pixel).sum() / ink.sum()).item() for dim in (0, 1)]
            assert centre == pytest.approx([17 + 2 * x, 17 + 2 * y], abs=0.02)


@pytest.mark.parametrize("rotation", range(10))
def test_a_rotation_is_the_angle_of_the_ellipse(rotation: int) -> None:
    ink = one("ellipse", 5, rotation).double()
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    points = torch.stack([columns.flatten(), -rows.flatten()])
    _, axes = torch.linalg.eigh(torch.cov(points, aweights=ink.flatten()))
    long = axes[:, -1]
    assert math.degrees(math.atan2(long[1], long[0])) % 180 == pytest.approx(9 * rotation, abs=0.5)


def test_the_heart_stands_on_its_tip() -> None:
    heart = one("heart")
    assert torch.allclose(heart[:, 17:49], heart[:, 17:49].flip(1), atol=1e-5)  # the centre is at x = 33
    rows = (heart > 0.5).sum(1)
    inked = rows.nonzero().flatten()
    assert rows[inked[-1]] < rows[inked[0]]


def test_no_shape_touches_the_border() -> None:
    extremes = torch.cartesian_prod(torch.arange(3), torch.tensor([5]), torch.arange(10), *[torch.tensor([0, 15])] * 2)
    x = shapes.render(extremes)
    border = torch.cat([x[..., 0, :], x[..., -1, :], x[..., :, 0], x[..., :, -1]])
    assert border.max() == 0


def test_a_quarter_turn_would_be_no_new_image_of_a_square(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "ROTATIONS", torch.tensor([0.0, math.pi / 2, math.pi]))
    turned = [one(shape, rotation=r) for shape, r in [("square", 1), ("ellipse", 2), ("heart", 2)]]
    assert torch.allclose(turned[0], one("square"), atol=1e-4)
    assert torch.allclose(turned[1], one("ellipse"), atol=1e-4)
    assert not torch.allclose(turned[2], one("heart"), atol=0.5)
    assert not torch.allclose(one("ellipse", rotation=1), one("ellipse"), atol=0.5)


def test_neighbouring_levels_differ_by_more_than_rounding() -> None:
    """One step in one factor alone changes the image by a squared difference of a pixel or more."""
    factors = every_combination()[::61]
    x = shapes.render(factors)
    for k, levels in enumerate(LEVELS):
        moved = factors.clone()
        moved[:, k] = (moved[:, k] + 1) % levels  # from the last rotation to the first is a step, too
        assert ((shapes.render(moved) - x) ** 2).sum(dim=(1, 2, 3)).min() >= 1


@pytest.mark.slow
def test_no_two_combinations_give_one_image() -> None:
    seen: set[bytes] = set()
    for part in every_combination().split(2048):
        pixels = (shapes.render(part) * 255).round().to(torch.uint8)
        seen |= {image.numpy().tobytes() for image in pixels}
    assert len(seen) == math.prod(LEVELS) == 46_080


@pytest.mark.parametrize(
    ("factors", "error", "words"),
    [
        (torch.zeros(2, 5), TypeError, r"convert with .long\(\)"),
        (torch.zeros(2, 4, dtype=torch.long), ValueError, r"shape \(n, 5\)"),
        (torch.zeros(0, 5, dtype=torch.long), ValueError, "n > 0"),
        (torch.tensor([[0, 0, 0, 0, 16]]), ValueError, "y has levels 0 to 15, got values from 16"),
        (torch.tensor([[0, -1, 0, 0, 0]]), ValueError, "scale has levels 0 to 5, got values from -1"),
    ],
)
def test_bad_factors_are_refused(factors: torch.Tensor, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        shapes.render(factors)


def test_no_images_are_refused() -> None:
    with pytest.raises(ValueError, match="n must be at least 1"):
        shapes.sample(0)
