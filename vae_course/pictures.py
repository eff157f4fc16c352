"""Pixels to what a page shows: PNG through Pillow, because a matplotlib figure takes thirty times as long."""

import base64
import html
import io

import numpy as np
from PIL import Image
from torch import Tensor

from vae_course.images import require_images


def pixels(images: Tensor) -> np.ndarray:
    """Images (B, C, H, W) in [0, 1] -> uint8 (B, H, W) if C = 1, (B, H, W, 3) if C = 3. ValueError on any other."""
    require_images(images)
    if images.shape[1] not in (1, 3):
        raise ValueError(f"images must be grey or RGB, (B, 1, H, W) or (B, 3, H, W), got {tuple(images.shape)}")
    values = (images.detach().float().cpu() * 255).round().byte().numpy()
    return values[:, 0] if values.shape[1] == 1 else values.transpose(0, 2, 3, 1)


def tiles(values: np.ndarray, columns: int) -> np.ndarray:
    """Pictures (rows·columns, H, W, ...) as one, row after row: (rows·H, columns·W, ...)."""
    rows = values.reshape(-1, columns, *values.shape[1:])  # (rows, columns, H, W, ...)
    return np.concatenate([np.concatenate(list(row), axis=1) for row in rows])


def base64_png(values: np.ndarray, *, at_most: int, colors: int = 256) -> str:
    """One picture, uint8 (H, W) or (H, W, 3), as a PNG in base64, made smaller if it is wider than at_most pixels.

    With fewer colours than 256, the most similar ones become one, which takes less room.
    """
    image = Image.fromarray(values)
    if image.width > at_most:
        image = image.resize((at_most, max(1, round(image.height * at_most / image.width))), Image.Resampling.LANCZOS)
    if colors < 256:
        image = image.convert("RGB").quantize(colors, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=colors < 256)
    return base64.b64encode(buffer.getvalue()).decode()


def img(values: np.ndarray, *, alt: str, width: int, colors: int = 256) -> str:
    """One picture as an HTML element, width pixels wide on the page, its words escaped; colors as in `base64_png`."""
    height = round(width * values.shape[0] / values.shape[1])  # given, so that nothing jumps while a picture loads
    return (
        f'<img alt="{html.escape(alt)}" width="{width}" height="{height}" style="image-rendering: pixelated" '
        f'src="data:image/png;base64,{base64_png(values, at_most=4 * width, colors=colors)}">'
    )
