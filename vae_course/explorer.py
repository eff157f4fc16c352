"""Sliders over a decoder: move a latent, see the picture."""

import asyncio
import html
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
from IPython.display import display
from torch import Tensor

from vae_course import pictures
from vae_course.codes import Encoded, ask, encode_all
from vae_course.models.vae import require_z_dim

SPAN = 3.0  # sliders and plane reach this many standard deviations of the prior to either side
QUICK = 0.02  # seconds: a decoder that takes longer cannot follow every message of a dragged slider
PAUSE = 0.05  # seconds in which messages for such a decoder gather: only the latest values are drawn
PLANE, CELL = 13, 28  # pictures along a side of the plane, half a standard deviation apart; their pixels on the page
PICTURE, ORIGINAL, STILL = 196, 84, 616  # widths of the picture, of an image to encode and of the still picture
LABELLED = {"description_width": "90px"}
NO_CLASS = ""  # not None, with which a dropdown stands blank


class Explorer:
    """Controls for a latent z of the prior N(0, I), in its standard deviations, and the picture that z decodes to.

    decode: z (B, z_dim) -> images (B, C, H, W) in [0, 1], C = 1 or 3. start: z at the beginning, zero by default.
    sliders: the latents with a slider, the others keep their value; by default six, the first, or those of largest kl.
    kl: (z_dim,), the mean KL of each latent, in nats. A latent of size 2 has a plane to click in as well.
    encode: images (B, C, H, W) -> mu (B, z_dim); with images (N, C, H, W) there are controls to encode one of them and
    to go from one to another, and with labels (N,), whole numbers, one for the mean code of a class.
    classes: names of the classes of a conditional model, whose decode and encode take class numbers (B,) as well.

    Raises ValueError or TypeError on arguments that do not fit together, and if decode or encode fails or returns
    something else, logits for example. If decode fails later, the reason is shown and the picture stays as it was.
    """

    def __init__(
        self,
        decode: Callable[..., Tensor],
        z_dim: int,
        *,
        sliders: Sequence[int] | None = None,
        start: Tensor | None = None,
        kl: Tensor | None = None,
        encode: Callable[..., Tensor] | None = None,
        images: Tensor | None = None,
        labels: Tensor | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        require_z_dim(z_dim)
        if kl is not None:
            _require_kl(kl, z_dim)
        if classes is not None and len(classes) == 0:
            raise ValueError("classes must name at least one class; leave it out if decode takes z alone")
        self.decode, self.z_dim = decode, z_dim
        self.start = torch.zeros(z_dim) if start is None else _latent("start", start, z_dim)
        self.z = self.start.clone()
        self.class_names = None if classes is None else [str(name) for name in classes]
        encoded = None
        if encode is not None and images is not None:
            encoded = encode_all(encode, images, labels, z_dim=z_dim, classes=None if classes is None else len(classes))
        elif not (encode is None and images is None and labels is None):
            raise ValueError("encode and images go together, and labels need both")
        self.follow = False  # True while controls are set to what z is; otherwise z is set to what they say
        self.due_on: asyncio.AbstractEventLoop | None = None  # where a draw is due
        self.seconds: deque[float] = deque(maxlen=2)  # that the last decodes took
        self.plane_class: int | None = -1  # that the plane was drawn for; none yet

        self.picture, self.alert = widgets.HTML(), widgets.HTML()
        self.dials = {
            j: _Dial(f"z[{j}] (σ)", float(self.z[j]), -SPAN, SPAN, 0.1, partial(self._dial_moved, j))
            for j in _chosen(sliders, kl, z_dim)
        }
        self.sliders = {j: dial.slider for j, dial in self.dials.items()}
        self.classes = widgets.Dropdown(options=[(name, c) for c, name in enumerate(self.class_names or ())])
        self.means = widgets.Dropdown(options=[("–", NO_CLASS), *self._present(encoded)])
        (first,) = self._decoded(self.z[None])  # not timed: a network's first call takes longer than all others
        self.cell = CELL, round(CELL * first.shape[0] / first.shape[1])  # width and height of a picture in the plane
        controls = [] if classes is None else [self._labelled(self.classes, "class", self._changed)]
        controls += [
            dial.row if kl is None else dial.row_with(f"KL {kl[j]:.2f} nats") for j, dial in self.dials.items()
        ]
        controls += [self._buttons()]
        controls += [] if encoded is None else self._image_controls(encoded)
        left = widgets.VBox([self.picture, self.alert], layout=widgets.Layout(width=f"{PICTURE + 12}px"))
        parts = [left, widgets.VBox(controls, layout=widgets.Layout(max_width="100%"))]
        parts += [self._plane()] if z_dim == 2 else []
        self.widget = widgets.Box(parts, layout=widgets.Layout(flex_flow="row wrap", align_items="flex-start"))
        self._paint()

    def move_to(self, z: Tensor) -> None:
        """Put the latent at z, (z_dim,), and the sliders with it; a slow decoder's picture follows after the cell.

        Raises ValueError if z has another number of values, or one that is not finite.
        """
        self._go(z)

    def show(self) -> None:
        """Show the controls; where no widget can be shown, the same output is a still picture."""
        alt = f"Each row moves one latent from −{SPAN:g} to {SPAN:g} standard deviations; the middle is the start."
        view = {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}
        bundle: dict[str, Any] = {"application/vnd.jupyter.widget-view+json": view}
        metadata: dict[str, Any] = {}
        try:
            still = np.concatenate([self._along(j) for j in self.sliders])
        except ValueError as error:  # of a decoder that fails further out: the sliders work, and show the same
            self._complain(error)
            bundle["text/plain"] = f"Run this cell to move the sliders. There is no still picture: {error}"
        else:
            bundle["image/png"] = pictures.base64_png(still, at_most=STILL)
            metadata["image/png"] = {"alt": alt, "width": STILL}
            bundle["text/plain"] = f"Run this cell to move the sliders. Still picture: {alt}"
        display(bundle, metadata=metadata, raw=True)

    # Where z is: every way to move it ends in _changed.

    def _go(self, z: Tensor, *, c: int | None = None, mean: int | str = NO_CLASS) -> None:
        """Put z there and the controls with it. c: the class to decode for, if another; mean: whose mean code z is."""
        self.z = _latent("z", z, self.z_dim)
        for j, dial in self.dials.items():
            dial.set(float(self.z[j]))
        with self._following():
            if self.class_names is not None and c is not None:
                self.classes.value = c
            self.means.value = mean
        self._changed()

    def _dial_moved(self, j: int) -> None:
        self.z[j] = self.dials[j].value
        with self._following():
            self.means.value = NO_CLASS
        self._changed()

    def _mean_chosen(self, encoded: Encoded) -> None:
        if (c := self.means.value) != NO_CLASS:
            self._go(encoded.mean(c), c=c, mean=c)

    def _interpolate(self, encoded: Encoded) -> None:
        a, b, t = self.image_a.value, self.image_b.value, self.between.value
        self._show_originals(encoded.images)
        at_end = {0.0: encoded.label(a), 1.0: encoded.label(b)}  # on the way from one to the other the class stays
        self._go(torch.lerp(encoded.codes[a], encoded.codes[b], t), c=at_end.get(t))

    def _encode_a(self, encoded: Encoded) -> None:
        self.between.set(0.0)
        self._interpolate(encoded)

    @contextmanager
    def _following(self) -> Iterator[None]:
        self.follow = True
        try:
            yield
        finally:
            self.follow = False

    def _on_change(self, control: widgets.Widget, do: Callable[[], None]) -> None:
        control.observe(lambda _: None if self.follow else do(), names="value")

    # The picture of z

    def _changed(self) -> None:
        """Draw at once; where that would keep other messages waiting, draw once they have come in."""
        if self.z_dim == 2:
            self.point.value = _point(self.z, *self.cell)
        loop = _running_loop()
        if loop is None or min(self.seconds) < QUICK:
            self._draw()
        elif self.due_on is not loop:
            self.due_on = loop
            loop.call_later(PAUSE, self._draw)

    def _draw(self) -> None:
        self.due_on = None
        try:
            self._paint()
        except Exception as error:  # nobody would see it: the sliders have to show it and go on
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        text = html.escape(f"No new picture: {error}")
        self.alert.value = (
            f'<p role="alert" style="line-height: 1.4; border-left: 4px solid #d55e00; padding-left: 8px">{text}</p>'
        )

    def _paint(self) -> None:
        begun = time.perf_counter()
        (values,) = self._decoded(self.z[None])
        self.seconds.append(time.perf_counter() - begun)
        moved = ", ".join(f"z[{j}] = {self.z[j]:.1f}" for j in self.sliders)
        asked = "" if self.class_names is None else f", class {self.classes.label}"
        self.picture.value = pictures.img(values, alt=f"the decoded image at {moved}{asked}", width=PICTURE)
        self.alert.value = ""
        if self.z_dim == 2 and self.plane_class != self.classes.value:
            self.plane_class = self.classes.value
            self.background.value = ""  # if this class cannot be decoded, no plane rather than that of another one
            self.background.value = self._plane_picture()

    def _along(self, j: int) -> np.ndarray:
        """Eleven pictures side by side, latent j from one end to the other. -> (H, 11·W, ...)."""
        z = self.start.repeat(11, 1)  # (11, z_dim)
        z[:, j] = torch.linspace(-SPAN, SPAN, 11)
        return pictures.tiles(self._decoded(z), columns=11)

    def _decoded(self, z: Tensor) -> np.ndarray:
        """z (B, z_dim) -> pixels (B, H, W) or (B, H, W, 3). ValueError unless decode turns B latents into B images."""
        condition = [] if self.class_names is None else [torch.full((len(z),), self.classes.value)]
        images = ask("decode", self.decode, z, *condition)
        try:
            values = pictures.pixels(images)
        except (TypeError, ValueError) as error:
            raise ValueError(f"decode must return images in [0, 1]: {error}") from error
        if len(values) != len(z):
            raise ValueError(f"decode must return an image for each z, got {len(values)} for {len(z)}")
        return values

    # The controls

    def _buttons(self) -> widgets.Widget:
        reset = _button("reset", "all sliders to where they began", lambda: self._go(self.start))
        draw = _button("random", "a new z from the prior N(0, I)", lambda: self._go(torch.randn(self.z_dim)))
        return widgets.HBox([reset, draw])

    def _labelled(self, control: widgets.Widget, description: str, do: Callable[[], None]) -> widgets.Widget:
        control.description, control.style = description, LABELLED
        control.layout.width = "240px" if isinstance(control, widgets.Dropdown) else "156px"
        self._on_change(control, do)
        return control

    def _present(self, encoded: Encoded | None) -> list[tuple[str, int]]:
        """The classes that occur among the images, with their names."""
        present = [] if encoded is None or encoded.labels is None else encoded.labels.unique().tolist()
        return [(str(c) if self.class_names is None else self.class_names[c], c) for c in present]

    def _image_controls(self, encoded: Encoded) -> list[widgets.Widget]:
        last = len(encoded.images) - 1
        self.image_a, self.image_b = (widgets.BoundedIntText(min(n, last), min=0, max=last) for n in (0, 1))
        self.between = _Dial("from A to B", 0.0, 0.0, 1.0, 0.05, lambda: self._interpolate(encoded))
        for control, name in ((self.image_a, "image A"), (self.image_b, "image B")):
            self._labelled(control, name, lambda: self._interpolate(encoded))
        encode = _button("encode A", "z to the code of image A", lambda: self._encode_a(encoded))
        self.originals = widgets.HTML()
        self._show_originals(encoded.images)
        rows = [widgets.HBox([self.image_a, encode]), self.originals]
        if last > 0:
            rows = [rows[0], self.image_b, self.between.row, self.originals]
        if encoded.labels is not None:
            rows.append(self._labelled(self.means, "mean code of", lambda: self._mean_chosen(encoded)))
        return rows

    def _show_originals(self, images: Tensor) -> None:
        shown = [self.image_a.value, self.image_b.value][: len(images)]
        self.originals.value = " ".join(
            pictures.img(values, alt=f"image {name}, number {n}", width=ORIGINAL)
            for values, name, n in zip(pictures.pixels(images[shown]), "AB", shown, strict=False)
        )

    def _plane(self) -> widgets.Widget:
        """The decoded plane, a point where z is, and over both a button for each picture."""
        steps = torch.linspace(-SPAN, SPAN, PLANE).tolist()
        width, height = self.cell
        layout = widgets.Layout(width=f"{width}px", height=f"{height}px", margin="0", padding="0")
        clear = widgets.ButtonStyle(button_color="transparent")
        buttons = []
        for up in reversed(steps):
            for right in steps:
                button = _button("", f"z = ({right:.1f}, {up:.1f})", partial(self._go, torch.tensor([right, up])))
                button.layout, button.style = layout, clear
                if button.has_trait("tabbable"):  # ipywidgets 8: 169 stops fewer for the Tab key, which has the sliders
                    button.tabbable = False
                buttons.append(button)
        self.background, self.point = widgets.HTML(), widgets.HTML(value=_point(self.z, width, height))
        grid = widgets.GridBox(
            buttons,
            layout=widgets.Layout(grid_template_columns=f"repeat({PLANE}, {width}px)", grid_auto_rows=f"{height}px"),
        )
        for layer in (self.background, self.point, grid):
            layer.layout.grid_area, layer.layout.margin = "1 / 1", "0"
        whole = widgets.Layout(width=f"{PLANE * width}px", height=f"{PLANE * height}px", overflow="hidden")
        layers = widgets.GridBox([self.background, self.point, grid], layout=whole)
        words = widgets.HTML("click to move z: z[0] to the right, z[1] upwards, from −3 to 3 σ")
        return widgets.VBox([layers, words])

    def _plane_picture(self) -> str:
        steps = torch.linspace(-SPAN, SPAN, PLANE)
        z = torch.cartesian_prod(steps.flip(0), steps).flip(1)  # rows downwards, z[0] first: (PLANE², 2)
        alt = "the decoded images over the plane, z[0] growing to the right and z[1] upwards"
        return pictures.img(pictures.tiles(self._decoded(z), columns=PLANE), alt=alt, width=PLANE * CELL)


class _Dial:
    """A number under a slider: the value is exact, the slider stands on the step next to it.

    The number carries the name, because front ends give a slider's handle none. A slider that is set between two steps
    would be moved to one of them by the front end, and the value with it.
    """

    def __init__(
        self, name: str, value: float, low: float, high: float, step: float, moved: Callable[[], None]
    ) -> None:
        self.value, self.low, self.high, self.step, self.moved = value, low, high, step, moved
        self.setting = False
        self.slider = widgets.FloatSlider(
            min=low, max=high, step=step, readout=False, layout=widgets.Layout(flex="0 1 180px", min_width="60px")
        )
        self.number = widgets.BoundedFloatText(
            min=low, max=high, step=step, description=name, style=LABELLED, layout=widgets.Layout(width="156px")
        )
        self.row = widgets.HBox([self.number, self.slider])
        self.slider.observe(self._moved, names="value")
        self.number.observe(self._moved, names="value")
        self.set(value)

    def row_with(self, words: str) -> widgets.HBox:
        """The row, with words at its end."""
        self.row.children = [*self.row.children, widgets.Label(words)]
        return self.row

    def set(self, value: float) -> None:
        """Take this value, and as much of it as the two can show."""
        shown = min(max(value, self.low), self.high)
        step = self._as_front_end_says(round((shown - self.low) / self.step))
        self.value, self.setting = value, True
        try:
            if abs(self.slider.value - step) > 1e-6:  # written back, it would undo what was dragged in the meantime
                self.slider.value = step
            self.number.value = round(shown, 2)
        finally:
            self.setting = False

    def _as_front_end_says(self, k: int) -> float:
        """The slider's value at step k, to the last bit as the front end's slider computes it.

        A value that it computes otherwise it sends back, and by then a newer one may stand here, which that would undo:
        https://github.com/jupyter-widgets/ipywidgets/issues/3951
        """
        reach = self.high - self.low
        percent = min(k * (100 * self.step / reach), 100)  # noUiSlider counts in percent of its length
        return self.high if percent == 100 else percent * reach / 100 + self.low

    def _moved(self, change: dict[str, Any]) -> None:
        if self.setting or abs(change["new"] - change["old"]) < 1e-6:  # the front end repeats a step, not quite exactly
            return
        self.value = change["new"]
        self.moved()  # first, so that the picture's message goes before the number's
        self.set(self.value)


def _button(description: str, tooltip: str, do: Callable[[], None]) -> widgets.Button:
    button = widgets.Button(description=description, tooltip=tooltip)
    button.on_click(lambda _: do())
    return button


def _point(z: Tensor, width: int, height: int) -> str:
    """A ring at z, (2,), on a plane of pictures width × height; at its edge if z lies outside."""
    reach = SPAN * PLANE / (PLANE - 1)  # the outermost pictures are centred on ±SPAN
    right, up = (z.clamp(-reach, reach) / reach / 2).tolist()  # from −½ to ½ of the plane
    left, top = PLANE * width * (0.5 + right) - 8, PLANE * height * (0.5 - up) - 8
    return (
        f'<div aria-hidden="true" style="position: relative; left: {left:.1f}px; top: {top:.1f}px; '
        'width: 10px; height: 10px; border: 3px solid #d55e00; border-radius: 50%; box-shadow: 0 0 0 1px white"></div>'
    )


def _require_kl(kl: Tensor, z_dim: int) -> None:
    if kl.shape != (z_dim,):
        raise ValueError(f"kl must have shape ({z_dim},), the mean KL of each latent, got {tuple(kl.shape)}")
    if not (kl.isfinite().all() and (kl >= 0).all()):
        raise ValueError("kl must be finite and not negative: it is the mean of KL divergences")


def _chosen(sliders: Sequence[int] | None, kl: Tensor | None, z_dim: int) -> list[int]:
    """The latents that get a slider, in their order."""
    if sliders is None:
        order = list(range(z_dim)) if kl is None else kl.argsort(descending=True, stable=True).tolist()
        return order[:6]
    if len(sliders) == 0:
        raise ValueError("sliders must name at least one latent; leave it out for the first six")
    if bad := [j for j in sliders if not 0 <= j < z_dim]:
        raise ValueError(f"there is no latent {bad[0]}: a latent of size {z_dim} has 0 to {z_dim - 1}")
    return list(sliders)


def _latent(name: str, z: Tensor, z_dim: int) -> Tensor:
    """A copy of z as (z_dim,); ValueError if it has another number of values, or one that is not finite."""
    if z.numel() != z_dim:
        raise ValueError(f"{name} must have {z_dim} numbers, got {tuple(z.shape)}")
    if not z.isfinite().all():
        raise ValueError(f"{name} must be finite, and some of it is NaN or infinite")
    return z.detach().float().cpu().clone().flatten()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
