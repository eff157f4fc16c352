"""Images whose causes are known: one white shape on black, drawn from five independent factors.

Made in the manner of dSprites (Matthey et al. 2017), for the same purpose: a score of disentanglement needs to know
what varied. Nothing is stored or downloaded; any image is drawn when it is asked for.
"""

import math

import torch
from torch import Tensor

SIDE = 64  # pixels
NAMES = ("square", "ellipse", "heart")
FACTORS = {"shape": 3, "scale": 6, "rotation": 10, "x": 16, "y": 16}  # levels of each, 46,080 combinations

# A square looks the same after 90 degrees and an ellipse after 180: beyond 90, two levels would be one image, and no
# code could tell them apart. The upper end is left out, because for the square it is the lower one again.
ROTATIONS = torch.arange(10) * math.radians(9)  # (10,), counterclockwise
RADII = 8 + 1.4 * torch.arange(6)  # (6,): of the circle around the shape, in pixels
CENTRES = 17.0 + 2 * torch.arange(16)  # (16,): pixels from the left, or from the top; no shape meets the border
CHUNK = 256  # images drawn at once


def sample(n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """n images and the factors behind them: (n, 1, 64, 64), float in [0, 1], and (n, 5), long.

    All combinations are equally likely, so the factors are independent. Raises as `random_factors` does.
    """
    factors = random_factors(n, generator)
    return render(factors), factors


def random_factors(n: int, generator: torch.Generator | None = None) -> Tensor:
    """n independent draws of all five factors, in the order of FACTORS: (n, 5), long, each from 0 to levels - 1.

    Raises ValueError if n < 1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    return torch.stack([torch.randint(levels, (n,), generator=generator) for levels in FACTORS.values()], dim=1)


def render(factors: Tensor) -> Tensor:
    """Draw images from their factors: (n, 5), long -> (n, 1, 64, 64), float in [0, 1]; equal factors, equal images.

    A pixel is as white as the shape covers it, judged by the distance from its centre to the outline: no jagged edges.
    Raises TypeError on factors that are not whole numbers, ValueError on another shape or a level that does not exist.
    """
    _require_factors(factors)
    return torch.cat([_draw(part) for part in factors.split(CHUNK)])


def _draw(factors: Tensor) -> Tensor:
    """(n, 5) -> (n, 1, 64, 64)."""
    shape, scale, rotation, x, y = factors.long().T  # each (n,); as bytes they would be taken for masks
    radius, angle = _per_image(RADII[scale]), _per_image(ROTATIONS[rotation])
    pixel = torch.arange(SIDE) + 0.5
    right = pixel - _per_image(CENTRES[x])  # (n, 1, 64)
    up = _per_image(CENTRES[y]) - pixel[:, None]  # (n, 64, 1): rows are counted downwards
    u = (angle.cos() * right + angle.sin() * up) / radius  # (n, 64, 64): the shape's own axes, its circle of radius 1
    v = (angle.cos() * up - angle.sin() * right) / radius
    distance = torch.empty_like(u)
    for number, outline in enumerate((_square, _ellipse, _heart)):
        mine = shape == number
        distance[mine] = outline(u[mine], v[mine])
    return (0.5 - distance * radius).clamp(0, 1).unsqueeze(1)  # a ramp one pixel wide across the outline


# Distances to an outline, in radii, negative inside: (n, 64, 64) twice -> (n, 64, 64)


def _square(u: Tensor, v: Tensor) -> Tensor:
    return torch.maximum(u.abs(), v.abs()) - math.sqrt(0.5)


def _ellipse(u: Tensor, v: Tensor) -> Tensor:
    """Half as high as wide; the distance is exact to first order, at the outline."""
    level = torch.hypot(u, 2 * v)  # 1 on the outline
    slope = torch.hypot(u, 4 * v) / level.clamp(min=1e-6)  # the length of its gradient
    return (level - 1) / slope.clamp(min=0.5)


def _heart(u: Tensor, v: Tensor) -> Tensor:
    """A square of side 1 standing on its corner, and a disc of diameter 1 on each of its two upper sides."""
    p, q = (v + u) * math.sqrt(0.5), (v - u) * math.sqrt(0.5)  # along the sides of the square
    square = torch.maximum(p.abs(), q.abs()) - 0.5
    discs = torch.minimum(torch.hypot(p - 0.5, q), torch.hypot(p, q - 0.5)) - 0.5
    return torch.minimum(square, discs)


def _per_image(values: Tensor) -> Tensor:
    return values[:, None, None]


def _require_factors(factors: Tensor) -> None:
    if factors.is_floating_point() or factors.dtype == torch.bool:
        raise TypeError(f"factors are numbers of levels, so whole numbers, got {factors.dtype}: convert with .long()")
    if factors.ndim != 2 or factors.shape[1] != len(FACTORS) or len(factors) == 0:
        raise ValueError(f"factors must have shape (n, {len(FACTORS)}) with n > 0, got {tuple(factors.shape)}")
    for (name, levels), column in zip(FACTORS.items(), factors.T, strict=True):
        low, high = column.min().item(), column.max().item()
        if low < 0 or high >= levels:
            raise ValueError(f"{name} has levels 0 to {levels - 1}, got values from {low} to {high}")
