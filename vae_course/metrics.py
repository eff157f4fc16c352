"""How alike two images are, by three rulers; each returns one number per image and wants pixels in [0, 1]."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_course.images import require_unit_range


def mse(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared error over the pixels. (B, C, H, W) twice -> (B,)."""
    _require_pair(x, y)
    return ((x - y) ** 2).flatten(1).mean(dim=1)


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio, 10·log₁₀(1 / mse), for data range 1. (B, C, H, W) twice -> (B,), in decibels.

    Infinite for equal images. The mean over images is not the psnr of their mean squared error.
    """
    return -10 * mse(x, y).log10()


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity, 1 for equal images. (B, C, H, W) twice, H and W at least 11 -> (B,).

    Gaussian window of 11 pixels, σ = 1.5, data range 1, mean over the windows that lie inside the image:
    Wang, Bovik, Sheikh and Simoncelli 2004, with its constants.
    """
    _require_pair(x, y)
    if min(x.shape[2:]) < 11:
        raise ValueError(f"ssim needs images of at least 11×11 pixels, got {tuple(x.shape[2:])}")
    b, c, h, w = x.shape
    x, y = x.reshape(b * c, 1, h, w), y.reshape(b * c, 1, h, w)

    offsets = torch.arange(-5, 6, dtype=x.dtype, device=x.device)
    gauss = torch.exp(-0.5 * (offsets / 1.5) ** 2)
    window = torch.outer(gauss, gauss)[None, None] / gauss.sum() ** 2  # (1, 1, 11, 11)

    def local_mean(image: Tensor) -> Tensor:
        return F.conv2d(image, window)  # (B·C, 1, H - 10, W - 10)

    mean_x, mean_y = local_mean(x), local_mean(y)
    var_x = local_mean(x * x) - mean_x**2
    var_y = local_mean(y * y) - mean_y**2
    cov = local_mean(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    index = ((2 * mean_x * mean_y + c1) * (2 * cov + c2)) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return index.reshape(b, -1).mean(dim=1)


def _require_pair(x: Tensor, y: Tensor) -> None:
    if x.shape != y.shape or x.ndim != 4:
        raise ValueError(f"want two image batches of one shape (B, C, H, W), got {tuple(x.shape)}, {tuple(y.shape)}")
    require_unit_range("x", x)
    require_unit_range("y", y)
