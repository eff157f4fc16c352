"""Slant, proportions and thickness of bars whose angle and size are known."""

import math

import numpy as np
import pytest
import torch
from skimage.measure import moments_central

from vae_course import strokes

pytestmark = pytest.mark.slow  # trains or imports for seconds: `make check` goes without

FINE = 8  # a pixel is the mean of 8×8 points


def drawn(inside, size=48):
    """An image (1, 1, size, size) of the points (x, y), from the middle, y upwards, at which inside(x, y) holds."""
    line = (torch.arange(size * FINE, dtype=torch.float64) + 0.5) / FINE - size / 2
    y, x = torch.meshgrid(-line, line, indexing="ij")
    return torch.nn.functional.avg_pool2d(inside(x, y).double()[None, None], FINE)


def bar(width, height, shear=0.0):
    return drawn(lambda x, y: ((x - shear * y).abs() <= width / 2) & (y.abs() <= height / 2))


def stroke(thick, length, degrees):
    """A bar turned to the right by an angle from the upright."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return drawn(lambda x, y: ((c * x - s * y).abs() <= thick / 2) & ((s * x + c * y).abs() <= length / 2))


@pytest.mark.parametrize("degrees", [-40, -15, 0, 8, 30])
@pytest.mark.parametrize("width", [2, 5, 11])
def test_slant_of_a_sheared_bar(degrees, width):
    image = bar(width, 22, shear=math.tan(math.radians(degrees)))
    assert strokes.slant(image).item() == pytest.approx(degrees, abs=0.3)


def test_to_the_right_is_positive_and_shapes_are_kept():
    images = torch.cat([bar(3, 20, 0.5), bar(3, 20, -0.5)]).float()
    for measure in (strokes.slant, strokes.proportions, strokes.thickness):
        assert measure(images).shape == (2,)
        assert measure(images).dtype == torch.float32
    right, left = strokes.slant(images).tolist()
    assert right > 0 > left


@pytest.mark.parametrize(("width", "height"), [(6, 20), (9, 22), (16, 16), (20, 8)])
@pytest.mark.parametrize("shear", [0.0, 0.4, -0.6])
def test_proportions_of_a_bar_do_not_depend_on_its_slant(width, height, shear):
    assert strokes.proportions(bar(width, height, shear)).item() == pytest.approx(width / height, abs=0.02)


def test_moments_are_those_of_scikit_image():
    image = torch.rand(1, 1, 9, 13, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    m = moments_central(image[0, 0].numpy(), order=2) / image.sum().item()  # rows first
    s_yy, s_xx, s_xy = m[2, 0] + 1 / 12, m[0, 2] + 1 / 12, m[1, 1]
    assert strokes.slant(image).item() == pytest.approx(np.degrees(np.arctan(-s_xy / s_yy)))
    assert strokes.proportions(image).item() == pytest.approx(np.sqrt((s_xx - s_xy**2 / s_yy) / s_yy))


@pytest.mark.parametrize(("thick", "error"), [(2.0, 0.12), (3.0, 0.04), (4.5, 0.04)])
@pytest.mark.parametrize("degrees", [0, 20, 45, 70])
def test_thickness_of_a_stroke(thick, error, degrees):
    length = 26
    found = strokes.thickness(stroke(thick, length, degrees)).item()
    assert found == pytest.approx(thick / (1 + thick / length), rel=error)


def test_thickness_of_a_disc_is_its_radius():
    assert strokes.thickness(drawn(lambda x, y: x**2 + y**2 <= 100)).item() == pytest.approx(10, rel=0.03)


def test_thickness_does_not_change_with_contrast_and_little_with_blur():
    image = stroke(4.0, 26, 30)
    blurred = torch.nn.functional.avg_pool2d(image, 3, stride=1, padding=1)
    sharp = strokes.thickness(image).item()
    assert strokes.thickness(0.4 * image).item() == pytest.approx(sharp)
    assert strokes.thickness(blurred).item() == pytest.approx(sharp, rel=0.1)


def test_ink_at_the_border_has_an_edge():
    assert strokes.thickness(torch.ones(1, 1, 10, 10)).item() == pytest.approx(5, rel=0.05)


@pytest.mark.parametrize("measure", [strokes.slant, strokes.proportions, strokes.thickness])
@pytest.mark.parametrize(
    ("images", "error", "words"),
    [
        (torch.cat([torch.ones(1, 1, 5, 5), torch.zeros(1, 1, 5, 5)]), ValueError, "image 1 has no ink"),
        (torch.ones(1, 3, 5, 5), ValueError, "one channel"),
        (torch.ones(5, 5), ValueError, "shape"),
        (torch.ones(1, 1, 5, 5) * 2, ValueError, "in \\[0, 1\\]"),
        (torch.ones(0, 1, 5, 5), ValueError, "empty"),
        (torch.ones(1, 1, 5, 5, dtype=torch.uint8), TypeError, "float"),
    ],
)
def test_what_cannot_be_measured_is_refused(measure, images, error, words):
    with pytest.raises(error, match=words):
        measure(images)
