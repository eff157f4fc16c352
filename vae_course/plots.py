"""Pictures for the lessons: functions that take arrays and an axis and return the axis, and `show`, which shows."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

# Okabe and Ito's colours, told apart by colour-blind readers; in grey print the dashes of `curves` do it
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
COLORS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY)


def image_grid(
    images: Any,
    *,
    columns: int,
    title: str = "",
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    ax: Axes | None = None,
) -> Axes:
    """Draw images (N, C, H, W), pixels in [0, 1], row by row in `columns` columns, as one picture.

    C is 1 (drawn grey) or 3. row_labels stand at the left, column_labels above. Raises ValueError on another shape,
    pixels outside [0, 1] or columns < 1.
    """
    pixels = np.asarray(images)
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3) or len(pixels) == 0:
        raise ValueError(f"images must have shape (N, 1 or 3, H, W) with N > 0, got {pixels.shape}")
    if not (pixels.min() >= 0 and pixels.max() <= 1):  # written so that NaN fails, too
        raise ValueError(f"pixels must lie in [0, 1], got values from {pixels.min():.4g} to {pixels.max():.4g}")
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    n, channels, height, width = pixels.shape
    rows = -(-n // columns)
    gap = max(1, height // 14)
    canvas = np.ones((channels, rows * (height + gap) - gap, columns * (width + gap) - gap), np.float32)
    for i, image in enumerate(pixels):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        canvas[:, top : top + height, left : left + width] = image
    if ax is None:
        _, ax = plt.subplots(figsize=(0.62 * columns + 0.2, 0.62 * rows * height / width + 0.4))
    ax.imshow(
        canvas[0] if channels == 1 else canvas.transpose(1, 2, 0), cmap="gray", vmin=0, vmax=1, interpolation="nearest"
    )
    ax.set_yticks([(height + gap) * r + height / 2 for r in range(len(row_labels))], row_labels)
    ax.set_xticks([(width + gap) * c + width / 2 for c in range(len(column_labels))], column_labels)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_title(title, fontsize=10)
    return ax


def curves(
    x: Any,
    ys: dict[str, Any],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    ax: Axes | None = None,
) -> Axes:
    """Draw one line per entry of ys over x, told apart by colour and dash; a legend if there are several.

    Raises ValueError on more than six lines, which nobody tells apart.
    """
    if len(ys) > len(COLORS):
        raise ValueError(f"curves draws at most {len(COLORS)} lines, got {len(ys)}: split them over several axes")
    if ax is None:
        _, ax = plt.subplots(figsize=(6, 3.4))
    dashes = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
    for (label, y), color, dash in zip(ys.items(), COLORS, dashes, strict=False):
        marker = "o" if len(y) == 1 else ""  # a line through one point would show nothing
        ax.plot(x, y, label=label, color=color, linestyle=dash, marker=marker)
    ax.set(title=title, xlabel=xlabel, ylabel=ylabel)
    ax.title.set_fontsize(10)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25)
    if len(ys) > 1:
        ax.legend(frameon=False, fontsize=9)
    return ax


def history(rows: list[dict[str, float]], *, title: str, ax: Axes | None = None) -> Axes:
    """Draw the loss of each epoch, training and test, from the rows that `training.fit` returns."""
    names = {"loss": "training", "test_loss": "test"}
    lines = {label: [row[key] for row in rows] for key, label in names.items() if key in rows[0]}
    epochs = [row["epoch"] for row in rows]
    return curves(epochs, lines, title=title, xlabel="epoch", ylabel="loss (nats per image)", ax=ax)


def show(picture: Axes | Figure, alt: str) -> None:
    """Show a figure as PNG with alternative text, which screen readers and text-only readers get, and close it."""
    if not alt.strip():
        raise ValueError("alt must say in words what the picture shows")
    figure = picture.figure if isinstance(picture, Axes) else picture
    assert isinstance(figure, Figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, bbox_inches="tight", facecolor="white")
    plt.close(figure)
    small = io.BytesIO()  # 256 colours take a third of the room; the octree keeps rare ones, such as single marks
    with Image.open(buffer) as full:
        full.convert("RGB").quantize(256, method=Image.Quantize.FASTOCTREE).save(small, "PNG", optimize=True)
    # the mime bundle is written out because IPython 7, which Colab has, knows no alt argument
    display({"image/png": small.getvalue(), "text/plain": alt}, metadata={"image/png": {"alt": alt}}, raw=True)
