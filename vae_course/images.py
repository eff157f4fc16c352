"""What the course calls an image: float, (N, C, H, W), in [0, 1]. Anything else is refused with a reason."""

import torch
from torch import Tensor


def require_images(x: Tensor) -> None:
    """Raise unless x is a non-empty float tensor (N, C, H, W) with every value in [0, 1].

    ValueError on shape, range or NaN, TypeError on integers: models trained on such data look healthy and are wrong.
    """
    if x.ndim != 4:
        raise ValueError(f"images must have shape (N, C, H, W), got {tuple(x.shape)}")
    if len(x) == 0:
        raise ValueError("there are no images: the batch or data set is empty")
    require_unit_range("images", x)


def require_unit_range(name: str, x: Tensor) -> None:
    """Raise TypeError unless x is float, ValueError unless every value lies in [0, 1]."""
    require_float(name, x)
    if x.numel() == 0:
        raise ValueError(f"{name} is empty")
    low, high = torch.aminmax(x)
    if not (low >= 0 and high <= 1):  # written so that NaN fails, too
        raise ValueError(f"{name} must lie in [0, 1], got values from {low.item():.4g} to {high.item():.4g}")


def require_float(name: str, x: Tensor) -> None:
    """Raise TypeError on integers: pixels from 0 to 255 are the likeliest reason."""
    if not x.is_floating_point():
        raise TypeError(f"{name} must be float in [0, 1], got {x.dtype}: convert with x.float() / 255")


def require_labels(c: Tensor, *, n: int, classes: int | None = None) -> None:
    """Raise unless c holds n whole numbers, (n,), from 0 to classes - 1: TypeError on floats, else ValueError."""
    if c.is_floating_point() or c.is_complex() or c.dtype == torch.bool:
        raise TypeError(f"labels must be whole numbers, not one-hot vectors, got {c.dtype}: convert with labels.long()")
    if c.shape != (n,):
        raise ValueError(f"labels must have shape ({n},), got {tuple(c.shape)}: one for each example")
    if classes is not None and n and not (c.min() >= 0 and c.max() < classes):
        low, high = c.min().item(), c.max().item()
        raise ValueError(f"labels must lie between 0 and {classes - 1}, got values from {low} to {high}")
