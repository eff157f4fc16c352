"""Sliders over a decoder: move a latent, see the picture."""

import base64
import html
import io
from collections.abc import Callable, Sequence

import ipywidgets as widgets
import numpy as np
import torch
from IPython.display import display
from PIL import Image
from torch import Tensor

from vae_course.images import require_images

Decode = Callable[[Tensor], Tensor]
SPAN = 3.0  # sliders reach this many standard deviations of the prior to either side


class Explorer:
    """Sliders for a latent z of the prior N(0, I), in its standard deviations, and the picture that z decodes to.

    decode: z (B, z_dim) -> images (B, 1, H, W) in [0, 1]. sliders lists the latents that get a slider (default: the
    first six); the others keep their value. Raises ValueError on a latent that does not exist, and if decode returns
    something else, logits for example.
    """

    def __init__(
        self, decode: Decode, z_dim: int, *, sliders: Sequence[int] | None = None, start: Tensor | None = None
    ) -> None:
        chosen = list(range(min(z_dim, 6))) if sliders is None else list(sliders)
        if bad := [j for j in chosen if not 0 <= j < z_dim]:
            raise ValueError(f"there is no latent {bad[0]}: a latent of size {z_dim} has 0 to {z_dim - 1}")
        self.decode = decode
        if start is not None and start.numel() != z_dim:
            raise ValueError(f"start must have {z_dim} numbers, got {tuple(start.shape)}")
        self.start = torch.zeros(z_dim) if start is None else start.detach().clone().reshape(z_dim)
        self.z = self.start.clone()
        self.moving = False
        self.sliders = {j: self._slider(j) for j in chosen}
        self.picture = widgets.HTML()
        reset = widgets.Button(description="reset", tooltip="all sliders to where they began")
        draw = widgets.Button(description="random", tooltip="a new z from the prior N(0, I)")
        reset.on_click(lambda _: self.move_to(self.start))
        draw.on_click(lambda _: self.move_to(torch.randn(z_dim)))
        controls = widgets.VBox([*self.sliders.values(), widgets.HBox([reset, draw])])
        self.widget = widgets.HBox([self.picture, controls])
        self._redraw()

    def move_to(self, z: Tensor) -> None:
        """Put the latent at z, (z_dim,), and the sliders with it."""
        self.z = z.detach().clone().reshape(len(self.start))
        self.moving = True  # the sliders follow z here, not z the sliders, which may not reach as far
        for j, slider in self.sliders.items():
            slider.value = float(self.z[j].clamp(-SPAN, SPAN))
        self.moving = False
        self._redraw()

    def show(self) -> None:
        """Show the sliders; where no widget can be shown, the same output is a still picture."""
        alt = f"Each row moves one latent from −{SPAN:g} to {SPAN:g} standard deviations; the middle is the start."
        rows = [self._along(j) for j in self.sliders]
        bundle = {
            "application/vnd.jupyter.widget-view+json": {
                "version_major": 2,
                "version_minor": 0,
                "model_id": self.widget.model_id,
            },
            "image/png": base64.b64encode(_png(np.concatenate(rows))).decode(),
            "text/plain": f"Run this cell to move the sliders. Still picture: {alt}",
        }
        display(bundle, metadata={"image/png": {"alt": alt, "width": 616}}, raw=True)

    def _slider(self, j: int) -> widgets.FloatSlider:
        slider = widgets.FloatSlider(
            value=float(self.start[j].clamp(-SPAN, SPAN)),
            min=-SPAN,
            max=SPAN,
            step=0.1,
            description=f"z[{j}] (σ)",
            continuous_update=True,
        )
        slider.observe(lambda change: self._moved(j, change["new"]), names="value")
        return slider

    def _moved(self, j: int, value: float) -> None:
        if not self.moving:
            self.z[j] = value
            self._redraw()

    def _redraw(self) -> None:
        code = base64.b64encode(_png(self._pixels(self.z[None])[0])).decode()
        moved = ", ".join(f"z[{j}] = {self.z[j]:.1f}" for j in self.sliders)
        alt = html.escape(f"the decoded image at {moved}")
        self.picture.value = (
            f'<img alt="{alt}" width="196" style="image-rendering: pixelated" src="data:image/png;base64,{code}">'
        )

    def _along(self, j: int) -> np.ndarray:
        """Eleven pictures side by side, latent j from one end to the other. -> (H, 11·W)."""
        z = self.start.repeat(11, 1)  # (11, z_dim)
        z[:, j] = torch.linspace(-SPAN, SPAN, 11)
        return np.concatenate(list(self._pixels(z)), axis=1)

    def _pixels(self, z: Tensor) -> np.ndarray:
        """z (B, z_dim) -> pixels (B, H, W)."""
        with torch.no_grad():
            images = self.decode(z)
        require_images(images)
        if images.shape[1] != 1:
            raise ValueError(f"decode must return images (B, 1, H, W), got {tuple(images.shape)}")
        return images[:, 0].cpu().numpy()


def _png(pixels: np.ndarray) -> bytes:
    """Pixels (H, W) in [0, 1] as a PNG; through Pillow because a matplotlib figure takes thirty times as long."""
    image = Image.fromarray((pixels * 255 + 0.5).astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
