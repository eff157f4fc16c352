"""Three numbers that describe a written digit, computed from its pixels: how it leans, how thick, how wide it is."""

import torch
from torch import Tensor

from vae_course.images import require_images


def slant(images: Tensor) -> Tensor:
    """The angle by which the upright leans to the right. images: (B, 1, H, W) in [0, 1] -> (B,), in degrees.

    atan(-s_xy / s_yy), with s the second central moments of the ink and y counted downwards: the horizontal shear
    by this angle leaves x and y uncorrelated (the measure of Morpho-MNIST: Castro et al. 2019, section 3).
    Raises ValueError on images without ink or of several channels.
    """
    _, s_yy, s_xy = _moments(images)
    return torch.rad2deg(torch.atan(-s_xy / s_yy))


def proportions(images: Tensor) -> Tensor:
    """Width over height, after the slant is removed. images: (B, 1, H, W) in [0, 1] -> (B,).

    sqrt((s_xx - s_xy² / s_yy) / s_yy): the ratio of the spreads of the ink, w/h for a full bar of w × h pixels, and
    the same however the bar is sheared sideways. Raises as `slant` does.
    """
    s_xx, s_yy, s_xy = _moments(images)
    return ((s_xx - s_xy**2 / s_yy) / s_yy).sqrt()


def thickness(images: Tensor) -> Tensor:
    """The width of the stroke, 2 · ink / perimeter. images: (B, 1, H, W) in [0, 1] -> (B,), in pixels.

    A stroke of length L and thickness t has the area t·L and, without its two ends, the perimeter 2·L. The perimeter of
    a grey image is the sum of its gradients' lengths. Contrast changes nothing, a blur of 3×3 pixels less than a tenth;
    after a stronger one a stroke measures thick. The ends make it a little too small: t / (1 + t/L) for a bar, with
    which bars of three pixels and more agree to 4 %, thinner ones to 12 %. Raises as `slant` does.
    """
    u = torch.nn.functional.pad(_ink(images), (1, 1, 1, 1))  # (B, H + 2, W + 2): ink at the border has an edge, too
    across, down = u.diff(dim=2), u.diff(dim=1)  # (B, H + 2, W + 1), (B, H + 1, W + 2)
    gradient_x = (across[:, 1:] + across[:, :-1]) / 2  # both (B, H + 1, W + 1), at the corners of the pixels
    gradient_y = (down[:, :, 1:] + down[:, :, :-1]) / 2
    perimeter = torch.hypot(gradient_x, gradient_y).sum(dim=(1, 2))
    return 2 * u.sum(dim=(1, 2)) / perimeter


def _moments(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Second central moments s_xx, s_yy, s_xy of the ink, in pixels². (B, 1, H, W) -> (B,) each."""
    ink = _ink(images)
    share = ink / ink.sum(dim=(1, 2), keepdim=True)  # (B, H, W), adds up to 1
    _, height, width = share.shape
    x = torch.arange(width, dtype=share.dtype, device=share.device).expand(height, width)
    y = torch.arange(height, dtype=share.dtype, device=share.device)[:, None].expand(height, width)
    dx = x - (share * x).sum(dim=(1, 2), keepdim=True)  # (B, H, W)
    dy = y - (share * y).sum(dim=(1, 2), keepdim=True)
    pixel = 1 / 12  # the variance inside a pixel, which is a square and not a point
    s_xx, s_yy = (share * dx**2).sum(dim=(1, 2)) + pixel, (share * dy**2).sum(dim=(1, 2)) + pixel
    return s_xx, s_yy, (share * dx * dy).sum(dim=(1, 2))


def _ink(images: Tensor) -> Tensor:
    """The pixels (B, H, W), if there is ink in every image."""
    require_images(images)
    if images.shape[1] != 1:
        raise ValueError(f"strokes are measured on images of one channel, (B, 1, H, W), got {tuple(images.shape)}")
    ink = images[:, 0]
    if empty := (ink.sum(dim=(1, 2)) == 0).nonzero().flatten().tolist():
        raise ValueError(f"image {empty[0]} has no ink: nothing in it leans, and nothing is thick")
    return ink
