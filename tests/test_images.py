"""What counts as an image, and the messages that everything else gets."""

import math

import pytest
import torch

from vae_course.images import require_float, require_images, require_unit_range

GOOD = torch.full((2, 3, 4, 5), 0.25)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_images_of_every_float_type_pass_and_stay_as_they_are(dtype):
    x = GOOD.to(dtype)
    x[0, 0, 0, 0], x[1, 0, 0, 0] = 0, 1  # both ends belong to the range
    before = x.clone()
    require_images(x)
    require_unit_range("x", x)
    require_float("x", x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 28), (2, 784), (1, 2, 1, 28, 28)])
def test_images_have_four_axes(shape):
    with pytest.raises(ValueError, match=r"must have shape \(N, C, H, W\), got " + str(shape).replace("(", r"\(")[:-1]):
        require_images(torch.zeros(shape))


def test_an_empty_set_is_refused():
    with pytest.raises(ValueError, match="there are no images"):
        require_images(torch.zeros(0, 1, 28, 28))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_integers_are_refused_with_the_way_out(dtype):
    for check in (require_images, lambda x: require_unit_range("images", x), lambda x: require_float("images", x)):
        with pytest.raises(TypeError, match=rf"images must be float in \[0, 1\], got {dtype}: convert with x.float"):
            check(GOOD.to(dtype))


@pytest.mark.parametrize("value", [-1e-6, 1.00001, 255.0, math.nan, math.inf, -math.inf])
def test_one_pixel_out_of_range_is_enough(value):
    x = GOOD.clone()
    x[1, 2, 3, 4] = value
    with pytest.raises(ValueError, match=r"images must lie in \[0, 1\], got values from"):
        require_images(x)


def test_the_message_names_the_range_that_was_found():
    x = torch.tensor([[[[-0.4242, 0.5, 2.8219]]]])
    with pytest.raises(ValueError, match=r"pictures must lie in \[0, 1\], got values from -0.4242 to 2.822"):
        require_unit_range("pictures", x)
