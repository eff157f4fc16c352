"""Codes: what the encoder makes of images, and ways to look at and move through them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vae_course.images import require_images, require_labels

# ---- where the images lie ----


@torch.no_grad()
def posteriors(model: Any, x: Tensor, *condition: Tensor, batch_size: int = 1000) -> tuple[Tensor, Tensor]:
    """mu and logvar of q(z|x) for a whole data set. x: (N, C, H, W) -> (N, D) twice.

    A condition, labels (N,) for instance, is cut into batches with x and handed to encode, in the mode that the model
    is in: with batch norm or dropout, call model.eval() first. Raises as encode does.
    """
    require_images(x)
    parts = zip(*(t.split(batch_size) for t in (x, *condition)), strict=True)
    mu, logvar = zip(*(model.encode(*part) for part in parts), strict=True)
    return torch.cat(mu), torch.cat(logvar)


def class_means(codes: Tensor, labels: Tensor) -> Tensor:
    """The mean code of each class. codes: (N, D), labels: (N,), classes 0 to K - 1 -> (K, D).

    Raises ValueError or TypeError on labels that are not one class for each code, and ValueError on a class without
    codes, which has no mean.
    """
    _require_codes(codes)
    require_labels(labels, n=len(codes), classes=int(labels.max()) + 1 if labels.numel() else 1)
    members = [codes[labels == k] for k in range(int(labels.max()) + 1)]
    if empty := [k for k, group in enumerate(members) if len(group) == 0]:
        raise ValueError(f"no code has the label {empty[0]}: a class without codes has no mean")
    return torch.stack([group.mean(dim=0) for group in members])


class Plane(NamedTuple):
    """A plane in a latent of D dimensions: mean (D,), two orthonormal directions (2, D), each one's share of variance.

    share: (2,), the part of the codes' total variance that lies along each direction.
    """

    mean: Tensor
    directions: Tensor
    share: Tensor

    def project(self, codes: Tensor) -> Tensor:
        """Coordinates in the plane. codes: (N, D) -> (N, 2)."""
        return (codes - self.mean) @ self.directions.T

    def lift(self, points: Tensor) -> Tensor:
        """The latents of points of the plane. points: (N, 2) -> (N, D)."""
        return self.mean + points @ self.directions


def principal_plane(codes: Tensor) -> Plane:
    """The plane in which codes spread most: their mean and first two principal directions. codes: (N, D), D >= 2.

    Each direction points to where its largest entry is positive, so that the same codes give the same picture.
    Raises ValueError on fewer than two dimensions, and on codes that are all equal.
    """
    _require_codes(codes)
    if codes.shape[1] < 2:
        raise ValueError(f"a plane needs codes of at least two dimensions, got {codes.shape[1]}")
    mean = codes.mean(dim=0)
    _, scale, directions = torch.linalg.svd(codes - mean, full_matrices=False)  # scale²: variance times N
    if len(scale) < 2 or (codes == codes[0]).all():
        raise ValueError("these codes do not spread: a plane needs at least two different ones")
    first = directions[:2]  # (2, D)
    largest = first.gather(1, first.abs().argmax(dim=1, keepdim=True))  # (2, 1)
    return Plane(mean, first * largest.sign(), (scale**2 / (scale**2).sum())[:2])


# ---- where to look ----


def prior_quantiles(n: int) -> Tensor:
    """n values that cut N(0, 1) into equal shares: Φ⁻¹((i + ½) / n). -> (n,), ascending.

    Raises ValueError on n < 1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    return torch.special.ndtri((torch.arange(n) + 0.5) / n)


def plane_grid(values: Tensor) -> Tensor:
    """All pairs of values, in the order of a picture: z[0] grows to the right, z[1] upwards. values: (n,) -> (n², 2).

    prior_quantiles(n) gives each point an equal share of the prior, linspace(-3, 3, n) an even map of the plane.
    """
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"values must have shape (n,) with n > 0, got {tuple(values.shape)}")
    across, up = torch.meshgrid(values, values.flip(0), indexing="xy")  # (n, n) each
    return torch.stack([across.flatten(), up.flatten()], dim=1)


def traverse(z: Tensor, j: int, values: Tensor) -> Tensor:
    """z with latent j set to each of the values, the others as they are. z: (D,), values: (T,) -> (T, D).

    Raises ValueError on another shape of z, IndexError on a latent that z does not have.
    """
    if z.ndim != 1:
        raise ValueError(f"traverse takes one latent z of shape (D,), got {tuple(z.shape)}")
    if not 0 <= j < len(z):
        raise IndexError(f"there is no latent {j}: z has the latents 0 to {len(z) - 1}")
    moved = z.repeat(len(values), 1)
    moved[:, j] = values
    return moved


@torch.no_grad()
def effects(
    decode: Callable[[Tensor], Tensor], codes: Tensor, values: Tensor, measure: Callable[[Tensor], Tensor]
) -> Tensor:
    """What a measure of the decoded image does when one latent moves: its mean over codes. -> (D, T).

    Entry (j, t) is the mean of measure over all codes (N, D) with latent j set to values[t]; the others stay.
    decode: (B, D) -> images in [0, 1]; measure: images -> (B,), strokes.slant for instance.
    """
    _require_codes(codes)
    means = []
    for j in range(codes.shape[1]):
        for value in values:
            moved = codes.clone()
            moved[:, j] = value
            means.append(measure(decode(moved)).mean())
    return torch.stack(means).reshape(codes.shape[1], len(values))


# ---- ways from one latent to another ----


def lerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The straight line (1 - t)·a + t·b. a, b: (D,), t: (T,) -> (T, D). Raises ValueError on other shapes."""
    _require_ends(a, b, t)
    return (1 - t)[:, None] * a + t[:, None] * b


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The arc from a to b: direction and norm both change at an even rate. a, b: (D,), t: (T,) -> (T, D).

    With Ω the angle between a and b, the direction is (sin((1 - t)·Ω)·a/‖a‖ + sin(t·Ω)·b/‖b‖) / sin Ω (Shoemake 1985),
    and the norm (1 - t)·‖a‖ + t·‖b‖. Ends of (nearly) one direction are joined by the straight line. Raises ValueError
    on other shapes, on an end at zero, which has no direction, and on opposite ends: no arc between them is shortest.
    """
    _require_ends(a, b, t)
    if not (a.norm() > 0 and b.norm() > 0):  # written so that NaN fails, too
        raise ValueError("slerp needs two ends with a direction, and one of them is zero or NaN: use lerp")
    unit_a, unit_b = a / a.norm(), b / b.norm()
    angle = 2 * torch.atan2((unit_a - unit_b).norm(), (unit_a + unit_b).norm())  # exact near 0 and π, unlike acos
    tiny = torch.finfo(a.dtype).eps ** 0.5
    if angle < tiny:
        return lerp(a, b, t)
    if torch.pi - angle < tiny:
        raise ValueError("slerp between opposite ends: no arc is shorter than the others; go through a third point")
    direction = torch.sin((1 - t) * angle)[:, None] * unit_a + torch.sin(t * angle)[:, None] * unit_b
    norm = (1 - t) * a.norm() + t * b.norm()  # (T,)
    return norm[:, None] * direction / torch.sin(angle)


def _require_ends(a: Tensor, b: Tensor, t: Tensor) -> None:
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"the ends must both have shape (D,), got {tuple(a.shape)} and {tuple(b.shape)}")
    if t.ndim != 1:
        raise ValueError(f"t must have shape (T,), got {tuple(t.shape)}")


def _require_codes(codes: Tensor) -> None:
    if codes.ndim != 2 or codes.numel() == 0:
        raise ValueError(f"codes must have shape (N, D) with N > 0, got {tuple(codes.shape)}")
    if not codes.isfinite().all():
        raise ValueError("codes must be finite, and some are NaN or infinite")
