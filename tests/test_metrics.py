"""The three rulers, by hand and against scikit-image."""

import math

import numpy as np
import pytest
import torch

from vae_course.metrics import mse, psnr, ssim

each = pytest.mark.parametrize("metric", [mse, psnr, ssim])


def pair(channels, height=19, width=23, noise=0.1):
    """Four smooth images and the same with different amounts of noise, in float64."""
    rng = torch.Generator().manual_seed(channels)
    coarse = torch.rand(4, channels, 5, 6, generator=rng, dtype=torch.float64)
    x = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    amount = noise * torch.arange(1, 5)[:, None, None, None]
    return x, (x + amount * torch.randn(x.shape, generator=rng, dtype=torch.float64)).clamp(0, 1)


def test_mse_by_hand():
    x = torch.zeros(3, 1, 2, 3)
    y = x.clone()
    y[1] = 0.5
    y[2, 0, 1, 2] = 1.0
    assert mse(x, y).tolist() == pytest.approx([0, 0.25, 1 / 6])
    assert mse(x, y).shape == (3,)


def test_mse_averages_over_channels_too():
    x, y = pair(3)
    assert mse(x, y).tolist() == pytest.approx([((a - b).numpy() ** 2).mean() for a, b in zip(x, y, strict=True)])


def test_ssim_of_one_window_by_the_definition():
    """An image of 11×11 pixels has one window: weighted means, variances and covariance, with NumPy."""
    x, y = (image[1, 0].numpy() for image in pair(1, 11, 11))
    d = np.arange(-5, 6)
    weights = np.exp(-(d[:, None] ** 2 + d**2) / (2 * 1.5**2)).ravel()
    mean_x, mean_y = np.average(x.ravel(), weights=weights), np.average(y.ravel(), weights=weights)
    (var_x, cov), (_, var_y) = np.cov(x.ravel(), y.ravel(), aweights=weights, ddof=0)
    want = (2 * mean_x * mean_y + 1e-4) * (2 * cov + 9e-4) / ((mean_x**2 + mean_y**2 + 1e-4) * (var_x + var_y + 9e-4))
    assert ssim(torch.tensor(x)[None, None], torch.tensor(y)[None, None]).item() == pytest.approx(want, rel=1e-9)


@pytest.mark.slow  # it imports scipy's and scikit-image's filters, which takes seconds
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(28, 28), (11, 30), (19, 23)])
def test_ssim_and_psnr_are_those_of_scikit_image(channels, size):
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    x, y = pair(channels, *size)
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}  # as in the paper
    pairs = list(zip(x.numpy(), y.numpy(), strict=True))
    want = torch.tensor([structural_similarity(a, b, data_range=1.0, channel_axis=0, **wang) for a, b in pairs])
    assert ssim(x, y).shape == (4,)
    torch.testing.assert_close(ssim(x, y), want, rtol=0, atol=1e-9)
    torch.testing.assert_close(ssim(x.float(), y.float()).double(), want, rtol=0, atol=1e-4)
    assert 0 < want.min() < want.max() < 0.95  # neither trivial end is what was compared
    want = torch.tensor([peak_signal_noise_ratio(a, b, data_range=1.0) for a, b in pairs])
    torch.testing.assert_close(psnr(x, y), want, rtol=0, atol=1e-9)
    torch.testing.assert_close(psnr(x.float(), y.float()).double(), want, rtol=0, atol=1e-4)


def test_ssim_of_flat_images_is_its_luminance_term():
    """Without variance or covariance: (2ab + C1) / (a² + b² + C1), C1 = 0.01²."""
    a, b = 0.2, 0.7
    got = ssim(torch.full((1, 1, 15, 12), a).double(), torch.full((1, 1, 15, 12), b).double())
    assert got.item() == pytest.approx((2 * a * b + 1e-4) / (a * a + b * b + 1e-4))


@pytest.mark.parametrize("channels", [1, 3])
def test_equal_images_score_best_and_order_does_not_matter(channels):
    x, y = pair(channels)
    assert (mse(x, x) == 0).all()
    assert ssim(x, x).tolist() == pytest.approx([1.0] * 4)
    for metric in (mse, ssim):
        torch.testing.assert_close(metric(x, y), metric(y, x))
    assert (mse(x, y).diff() > 0).all()  # the noise grows from image to image
    assert (ssim(x, y).diff() < 0).all()


@each
def test_one_number_per_image(metric):
    x, y = pair(1)
    torch.testing.assert_close(metric(x, y)[2:3], metric(x[2:3], y[2:3]))


def test_small_images_have_no_ssim():
    for size in ((10, 28), (28, 10)):
        with pytest.raises(ValueError, match="at least 11×11 pixels, got"):
            ssim(torch.zeros(1, 1, *size), torch.zeros(1, 1, *size))


@each
@pytest.mark.parametrize("shape", [(1, 1, 28, 28), (4, 3, 28, 28), (4, 1, 28, 1), (28, 28)])
def test_images_of_different_shapes_are_refused(metric, shape):
    with pytest.raises(ValueError, match=r"two image batches of one shape \(B, C, H, W\), got \(4, 1, 28, 28\), \("):
        metric(torch.zeros(4, 1, 28, 28), torch.zeros(shape))


@each
def test_images_without_a_batch_axis_are_refused(metric):
    with pytest.raises(ValueError, match=r"one shape \(B, C, H, W\), got \(28, 28\), \(28, 28\)"):
        metric(torch.zeros(28, 28), torch.zeros(28, 28))


@each
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_pixels_outside_the_unit_range_are_refused_by_name(metric, value):
    good, bad = torch.zeros(1, 1, 28, 28), torch.full((1, 1, 28, 28), value)
    with pytest.raises(ValueError, match=r"x must lie in \[0, 1\]"):
        metric(bad, good)
    with pytest.raises(ValueError, match=r"y must lie in \[0, 1\]"):
        metric(good, bad)


@each
def test_integer_pixels_are_refused(metric):
    with pytest.raises(TypeError, match="x must be float"):
        metric(torch.zeros(1, 1, 28, 28, dtype=torch.uint8), torch.zeros(1, 1, 28, 28, dtype=torch.uint8))
