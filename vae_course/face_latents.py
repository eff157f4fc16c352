"""Attribute arithmetic: a smile as a direction in the latent space, and the control that says what it is worth.

Latents are (N, *z_shape), flat (D,) or spatial (4, h, w), in the prior's space: a decoder that squashes them does so
itself, so that adding and interpolating happen before it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from vae_course.data import cache
from vae_course.latent import lerp, slerp
from vae_course.losses import standard_normal
from vae_course.pictures import pixels, tiles

FEW = 5  # below so many faces on one side, a mean says more about these faces than about the attribute
TEXT = 14  # pixels, the height of a caption's letters


@torch.no_grad()
def codes(model: Any, faces: Any, indices: np.ndarray, *, batch_size: int = 100) -> Tensor:
    """Posterior means of faces, in batches: indices (N,) into faces -> mu (N, *z_shape), on the CPU.

    faces.batch(indices) gives images (B, 3, H, W) in [0, 1]; the model's own device is used. Raises ValueError on no
    indices, and as encode does.
    """
    if len(indices) == 0:
        raise ValueError("codes of no faces were asked for: indices is empty, this split may have none")
    device = next(model.parameters()).device
    parts = (indices[start : start + batch_size] for start in range(0, len(indices), batch_size))
    return torch.cat([model.encode(faces.batch(part).to(device))[0].cpu() for part in parts])


def direction(codes: Tensor, labels: Tensor) -> Tensor:
    """From faces without an attribute to faces with it: the difference of their mean codes.

    codes: (N, *z_shape), labels: (N,), bool -> (*z_shape,). What else tells the two groups apart is in it, too: where
    most smiling faces are women's, it turns a face into a woman's a little. Raises ValueError on other lengths, codes
    that are not finite, and fewer than 5 faces on a side, TypeError on labels that are not bool. "Visual attribute
    vectors" in Larsen et al. 2016 (arXiv 1512.09300); correlated labels: White 2016 (arXiv 1609.04468).
    """
    _require_codes(codes)
    if labels.dtype != torch.bool:
        raise TypeError(f"labels must be bool, True for a face with the attribute, got {labels.dtype}: use labels > 0")
    if labels.shape != codes.shape[:1]:
        raise ValueError(f"want one label for each of the {len(codes)} codes, got labels {tuple(labels.shape)}")
    present, absent = int(labels.sum()), int((~labels).sum())
    if min(present, absent) < FEW:
        raise ValueError(
            f"{present} of these faces have the attribute and {absent} do not: a mean wants at least {FEW} on each "
            "side; take more faces or another attribute"
        )
    return codes[labels].mean(dim=0) - codes[~labels].mean(dim=0)


def random_direction(direction: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """A direction that means nothing, exactly as long: the control. (*z_shape,) -> (*z_shape,), evenly distributed.

    Raises ValueError on a direction of zero length, or one that is not finite.
    """
    length = direction.norm()
    if not (length > 0 and length.isfinite()):
        raise ValueError(f"a control needs a direction of finite length above zero, got {length.item():.4g}")
    random = standard_normal(tuple(direction.shape), like=direction, generator=generator)
    return random * (length / random.norm())


def moved(codes: Tensor, direction: Tensor, steps: Tensor) -> Tensor:
    """Each code at each step along a direction, z + t·d: (N, *z_shape), (*z_shape,), steps (T,) -> (N, T, *z_shape).

    Step 0 is the code itself, step 1 adds the whole difference. Raises ValueError on shapes that do not fit.
    """
    _require_codes(codes)
    if direction.shape != codes.shape[1:]:
        raise ValueError(f"codes are {tuple(codes.shape[1:])} each, and the direction is {tuple(direction.shape)}")
    if steps.ndim != 1:
        raise ValueError(f"steps must have shape (T,), got {tuple(steps.shape)}")
    t = steps.reshape(-1, *[1] * direction.ndim)  # (T, 1, ...)
    return codes[:, None] + t * direction


def turned(before: Tensor, after: Tensor, *, threshold: float = 0.5) -> float:
    """The share of faces for which a judge's answer turned from no to yes, among those with a no before.

    before, after: (N,), the judge's probability of the attribute for the same faces, decoded before and after they
    were moved. Hand in faces that lack the attribute. Raises ValueError on other shapes, values that are no
    probabilities, and if there was no "no" that could turn.
    """
    if before.shape != after.shape or before.ndim != 1:
        raise ValueError(f"want two probabilities for each face, got {tuple(before.shape)} and {tuple(after.shape)}")
    for name, values in (("before", before), ("after", after)):
        if not ((values >= 0) & (values <= 1)).all():  # written so that NaN fails, too
            raise ValueError(f"{name} must hold probabilities, in [0, 1]: logits need sigmoid first")
    no = before < threshold
    if not no.any():
        raise ValueError("the judge saw the attribute in every face before: take faces that lack it")
    return (after[no] >= threshold).double().mean().item()


def interpolate(z_a: Tensor, z_b: Tensor, steps: int, *, way: str = "lerp") -> Tensor:
    """A way from one latent to another, both ends with it: (*z_shape,) twice -> (steps, *z_shape).

    way: "lerp", the straight line, or "slerp", which keeps the norm that the prior's samples have (lesson 06; White
    2016, arXiv 1609.04468). Raises ValueError on other shapes or ways, fewer than two steps, and as slerp does.
    """
    ways = {"lerp": lerp, "slerp": slerp}
    if way not in ways:
        raise ValueError(f"way must be one of {', '.join(ways)}, got {way!r}")
    if z_a.shape != z_b.shape:
        raise ValueError(f"the ends must have one shape, got {tuple(z_a.shape)} and {tuple(z_b.shape)}")
    if steps < 2:
        raise ValueError(f"a way has two ends, so at least two steps, got {steps}")
    t = torch.linspace(0, 1, steps, dtype=z_a.dtype, device=z_a.device)
    return ways[way](z_a.flatten(), z_b.flatten(), t).reshape(steps, *z_a.shape)


# ---- pictures ----


def save_grid(images: Tensor, path: Path | str, columns: int, captions: Sequence[str] | None = None) -> Path:
    """Write images row after row as one PNG, whole or not at all: (N, C, H, W) in [0, 1], C = 1 or 3 -> its path.

    captions: a line above each row, in ASCII, because Pillow's own font has little else. Raises ValueError on unusable
    images, fewer than one column, captions that are not one for each row, and a name that does not end in .png;
    OSError where it cannot be written.
    """
    path = Path(path).expanduser()
    if path.suffix.lower() != ".png":
        raise ValueError(f"pictures are written as PNG: give a name that ends in .png instead of {path.name!r}")
    if columns < 1:
        raise ValueError(f"a grid has at least one column, got {columns}")
    values = pixels(images)  # (N, H, W) or (N, H, W, 3)
    rows = -(-len(values) // columns)
    if captions is not None and len(captions) != rows:
        raise ValueError(f"want a caption for each of the {rows} rows, got {len(captions)}")
    spare = np.full((rows * columns - len(values), *values.shape[1:]), 255, np.uint8)
    grid = tiles(np.concatenate([values, spare]), columns)
    picture = Image.fromarray(grid).convert("RGB")
    if captions is not None:
        picture = _captioned(picture, captions)
    with cache.atomic(path) as part:
        picture.save(part, format="PNG")
    return path


def _captioned(picture: Image.Image, captions: Sequence[str]) -> Image.Image:
    """A strip of white with a line of text above each of the picture's rows, as wide as the longest line needs."""
    font = ImageFont.load_default(TEXT)
    height, strip = picture.height // len(captions), TEXT + 6
    width = max(picture.width, *(int(font.getlength(text)) + 8 for text in captions))
    page = Image.new("RGB", (width, len(captions) * (height + strip)), "white")
    draw = ImageDraw.Draw(page)
    for row, text in enumerate(captions):
        top = row * (height + strip)
        draw.text((4, top + 1), text, fill="black", font=font)
        page.paste(picture.crop((0, row * height, picture.width, (row + 1) * height)), (0, top + strip))
    return page


def _require_codes(codes: Tensor) -> None:
    if codes.ndim < 2 or codes.numel() == 0:
        raise ValueError(f"codes must have shape (N, *z_shape) with N > 0, got {tuple(codes.shape)}")
    if not codes.isfinite().all():
        raise ValueError("some codes are not finite: the model that made them is broken")
