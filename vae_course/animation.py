"""Films of a training: where the codes lie and what the decoder makes of them, from the untrained model on."""

import base64
import functools
import html
import io
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from IPython.display import display
from PIL import Image, ImageColor, ImageDraw, ImageFont
from torch import Tensor, nn

from vae_course.images import require_images
from vae_course.latent import principal_plane

LIMIT = 150_000  # bytes of a GIF: a notebook with two of them still opens quickly
FRAMES = 30  # of a GIF, at most
CODES = 600  # images whose codes are drawn, at most: more would cost training time, and hide each other
PAUSE, HOLD = 200, 2_000  # milliseconds that a frame is shown, and the last one

PLOT, LEFT, RIGHT, TOP, BOTTOM = 280, 28, 10, 20, 36  # pixels: the square of the plane and what stands around it
GAP = 4  # between a row of images and its reconstructions
# Okabe and Ito's eight colours, brown and grey; they are told apart by the digits drawn over them, too
CLASSES = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000", "#8C510A", "#999999")
PALETTE = ("#FFFFFF", *CLASSES, "#E0E0E0", "#C0C0C0", "#777777", "#555555", "#333333")


class Frame(NamedTuple):
    """The model after `step` training steps: codes (N, D), float16, and pictures (K, H, W), uint8."""

    step: int
    codes: np.ndarray
    pictures: np.ndarray


class Film:
    """Watches a model in training: the codes of up to 600 images, and the reconstruction of one image a class.

    images: (N, 1, H, W) in [0, 1], of which the first 600 are followed; labels: (N,), whole numbers from 0 to 9.
    model has encode(x) -> mu, logvar and decode(z) -> logits; codes are mu, and reconstructions decode(mu).

    The first frame is the model as it is now. `training.fit(model, x, loss=film.watch(loss), ...)` adds the others,
    most of them early, and the film's own use of the model leaves weights, gradients, mode and random state alone.
    Raises ValueError or TypeError on images or labels that do not fit, or if the model cannot encode and decode them.
    """

    def __init__(self, model: nn.Module, images: Tensor, labels: Tensor) -> None:
        require_images(images)
        if images.shape[1] != 1:
            raise ValueError(f"a film shows images of one channel, (N, 1, H, W), got {tuple(images.shape)}")
        if labels.shape != (len(images),):
            raise ValueError(f"labels must have shape ({len(images)},), one an image, got {tuple(labels.shape)}")
        if labels.is_floating_point() or labels.min() < 0 or labels.max() > 9:
            raise ValueError(f"labels must be whole numbers from 0 to 9, got {labels.unique().tolist()}")
        self.model = model
        self.images, self.labels = images[:CODES].detach(), labels[:CODES].cpu()
        self.shown = [int((self.labels == c).nonzero()[0]) for c in self.labels.unique()]  # one image of each class
        self.step, self.due = 0, 0
        self.begun = False  # True when a step was begun whose update is not counted yet
        self.untrained: list[Tensor] | None = [weight.detach().clone() for weight in model.parameters()]
        self.frames: list[Frame] = []
        try:
            self._record()
        except Exception as error:
            raise ValueError(f"the model cannot encode and decode the film's images: {error}") from error

    def watch(self, loss: Callable[..., dict[str, Tensor]]) -> Callable[..., dict[str, Tensor]]:
        """The same loss, to hand to `training.fit`; on its way it adds a frame whenever one is due.

        Evaluation is not filmed. The returned loss raises ValueError if it is used to train another model, and
        FloatingPointError if codes are no longer finite.
        """

        @functools.wraps(loss)
        def watched(model: nn.Module, *batch: Tensor, **options: Any) -> dict[str, Tensor]:
            if model.training:
                if model is not self.model:
                    raise ValueError("this film follows another model: make a Film of the model that is trained")
                self._count()
                self.begun = True
                if self.step >= self.due:
                    self._record()
            return loss(model, *batch, **options)

        return watched

    def plane_gif(self) -> bytes:
        """The codes in their plane, one dot an image, each class's digit at its mean; the axes stay fixed.

        Two latents are the axes themselves. More are projected on one plane for the whole film, the first two
        principal components of the last frame. At most 150 kB: it has up to 30 frames, fewer if they would not fit.
        Raises ValueError for a model with one latent, or if no training was watched.
        """
        frames = self._with_the_end()
        points, names = _in_plane([frame.codes.astype(np.float64) for frame in frames])
        low, high = np.min(points, axis=(0, 1)), np.max(points, axis=(0, 1))  # (2,) each, over the whole film
        side = max(2.0, 1.04 * float((high - low).max()))  # a collapsed model's codes stay one dot
        labels = self.labels.numpy()
        draw = functools.partial(_draw_plane, labels=labels, corner=(low + high - side) / 2, side=side, names=names)
        return _smallest_enough(list(zip(_titles(frames), points, strict=True)), draw)

    def reconstructions_gif(self) -> bytes:
        """One image of each class above its reconstruction from mu. At most 150 kB, as in `plane_gif`.

        Raises ValueError if no training was watched.
        """
        frames = self._with_the_end()
        originals = _as_bytes(self.images[self.shown])
        draw = functools.partial(_draw_rows, originals=originals)
        return _smallest_enough([(t, f.pictures) for t, f in zip(_titles(frames), frames, strict=True)], draw)

    def _with_the_end(self) -> list[Frame]:
        """All frames; the model as it is now is the last one."""
        self._count()
        if self.step > self.frames[-1].step:
            self._record()
        if len(self.frames) < 2:
            raise ValueError("the film shows only the untrained model: train with fit(..., loss=film.watch(loss))")
        return self.frames

    def _count(self) -> None:
        """Count the step that was begun, if it was one: `training.fit` may first try the loss without an update."""
        if self.begun and self._weights_moved():
            self.step += 1
        self.begun = False

    def _weights_moved(self) -> bool:
        if self.untrained is not None and not all(map(torch.equal, self.untrained, self.model.parameters())):
            self.untrained = None
        return self.untrained is None

    def _record(self) -> None:
        device = next(self.model.parameters()).device
        modes = {module: module.training for module in self.model.modules()}
        self.model.eval()
        try:
            # autocast off: it would keep the weights' 16-bit copies made here, without gradients, for the training
            with (
                torch.no_grad(),
                torch.autocast(device.type, enabled=False),
                torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
            ):
                mu = self.model.encode(self.images.to(device))[0]  # type: ignore[operator]
                pictures = self.model.decode(mu[self.shown]).sigmoid()  # type: ignore[operator]
        finally:
            for module, training in modes.items():
                module.training = training
        if mu.ndim != 2 or len(mu) != len(self.images) or pictures.shape != self.images[self.shown].shape:
            raise ValueError(
                f"encode must return mu of shape ({len(self.images)}, D) and decode images like the film's, "
                f"got {tuple(mu.shape)} and {tuple(pictures.shape)}"
            )
        codes = mu.cpu().half().numpy()
        if not (np.isfinite(codes).all() and pictures.isfinite().all()):
            raise FloatingPointError(f"codes or reconstructions are not finite after {self.step} steps: lower lr")
        self.frames.append(Frame(self.step, codes, _as_bytes(pictures)))
        self.due = max(self.step + 1, round(1.15 * self.step + 10))  # 0, 10, 22, 35, …: most of them early


def show(gif: bytes, alt: str) -> None:
    """Show the film's last frame, and below it the film itself, folded: opening starts it, closing stops it.

    Nothing moves unasked, and no script is needed, so it also works in a notebook that is not trusted and in an
    exported page. alt says in words what can be seen. Raises ValueError without it, OSError if gif is no GIF.
    """
    if not alt.strip():
        raise ValueError("alt must say in words what the film shows")
    still = io.BytesIO()
    with Image.open(io.BytesIO(gif), formats=["GIF"]) as film:
        film.seek(film.n_frames - 1)  # type: ignore[attr-defined]
        film.convert("RGB").quantize(256).save(still, "PNG", optimize=True)
        width = film.width
    # two outputs: where HTML is dropped, the still picture is there nevertheless
    display({"image/png": still.getvalue(), "text/plain": alt}, metadata={"image/png": {"alt": alt}}, raw=True)
    display({"text/html": _folded(gif, alt, width), "text/plain": f"A film: {alt}"}, raw=True)


def _folded(gif: bytes, alt: str, width: int) -> str:
    source = f"data:image/gif;base64,{base64.b64encode(gif).decode()}"
    picture = f'<img alt="{html.escape(alt)} (a film)" width="{width}" src="{source}">'
    return f"<details><summary>Play the film; close it to stop</summary>{picture}</details>"


def _titles(frames: Sequence[Frame]) -> list[str]:
    return ["untrained" if frame.step == 0 else f"step {frame.step:,}" for frame in frames]


def _in_plane(codes: Sequence[np.ndarray]) -> tuple[list[np.ndarray], str]:
    """Codes of each frame, (N, D), in one plane, (N, 2), and what its axes are."""
    if codes[0].shape[1] < 2:
        raise ValueError("the plane wants a model with at least two latents; this one has one")
    if codes[0].shape[1] == 2:
        return list(codes), "across z[0], up z[1]"
    if (codes[-1] == codes[-1][0]).all():  # of a collapsed model, which has no principal plane
        return [c[:, :2] for c in codes], "across z[0], up z[1] (at the end all codes are equal)"
    plane = principal_plane(torch.from_numpy(codes[-1]))
    shares = [f"{100 * share:.0f} %" for share in plane.share]
    names = f"across PC 1 ({shares[0]} of the end's variance), up PC 2 ({shares[1]})"
    return [plane.project(torch.from_numpy(c)).numpy() for c in codes], names


def _draw_plane(
    title: str, points: np.ndarray, *, labels: np.ndarray, corner: np.ndarray, side: float, names: str
) -> Image.Image:
    """The square of the plane whose lower left corner is given, with its dots, ticks and words."""
    picture = Image.new("RGB", (LEFT + PLOT + RIGHT, TOP + PLOT + BOTTOM), "white")
    pen = ImageDraw.Draw(picture)

    def place(point: np.ndarray) -> tuple[float, float]:
        x, y = (point - corner) / side
        return LEFT + PLOT * x, TOP + PLOT * (1 - y)

    small, large = ImageFont.load_default(11), ImageFont.load_default(14)
    for tick in _ticks(corner[0], side):
        x, _ = place(np.array([tick, corner[1]]))
        pen.line([(x, TOP), (x, TOP + PLOT)], "#E0E0E0")
        pen.text((x, TOP + PLOT + 3), f"{tick:g}", "#333333", small, "ma")
    for tick in _ticks(corner[1], side):
        _, y = place(np.array([corner[0], tick]))
        pen.line([(LEFT, y), (LEFT + PLOT, y)], "#E0E0E0")
        pen.text((LEFT - 4, y), f"{tick:g}", "#333333", small, "rm")
    pen.text((LEFT, TOP + PLOT + 19), names, "#333333", small)
    pen.text((LEFT, 2), title, "#333333", ImageFont.load_default(13))
    for point, label in zip(points, labels, strict=True):
        x, y = map(round, place(point))
        pen.rectangle([x - 1, y - 1, x + 1, y + 1], CLASSES[label])
    for label in np.unique(labels):
        mean = points[labels == label].mean(axis=0)
        pen.text(place(mean), str(label), "black", large, "mm", stroke_width=2, stroke_fill="white")
    return picture.quantize(palette=_palette(), dither=Image.Dither.NONE)


def _ticks(low: float, side: float) -> list[float]:
    """Round numbers from low to low + side, three to seven."""
    power = 10.0 ** math.floor(math.log10(side))
    step = next(power * m for m in (0.2, 0.5, 1, 2) if power * m * 7 > side)
    return [step * k for k in range(math.ceil(low / step), math.floor((low + side) / step) + 1)]


def _draw_rows(title: str, pictures: np.ndarray, *, originals: np.ndarray) -> Image.Image:
    zoom = max(1, 56 // originals.shape[2])
    rows = [np.concatenate(list(row.repeat(zoom, 1).repeat(zoom, 2)), axis=1) for row in (originals, pictures)]
    picture = Image.new("L", (rows[0].shape[1], TOP + 2 * len(rows[0]) + GAP), 255)
    caption = f"images, and below them reconstructions: {title}"
    ImageDraw.Draw(picture).text((2, 2), caption, 0x33, ImageFont.load_default(13))
    picture.paste(Image.fromarray(rows[0]), (0, TOP))
    picture.paste(Image.fromarray(rows[1]), (0, TOP + len(rows[0]) + GAP))
    greys = Image.fromarray((np.asarray(picture) / 17).round().astype(np.uint8)).convert("P")
    greys.putpalette([17 * level for level in range(16) for _ in "rgb"])
    return greys


@functools.cache
def _palette() -> Image.Image:
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for colour in PALETTE for part in ImageColor.getrgb(colour)])
    return palette


def _smallest_enough(scenes: Sequence[tuple[str, np.ndarray]], draw: Callable[..., Image.Image]) -> bytes:
    """Scenes drawn and made one GIF; evenly many of them are left out, never the first or last, until it fits."""
    count = min(FRAMES, len(scenes))
    while count >= 2:
        chosen = np.linspace(0, len(scenes) - 1, count).round().astype(int)
        gif = _gif([draw(*scenes[i]) for i in chosen])
        if len(gif) <= LIMIT:
            return gif
        count = count * 4 // 5
    raise ValueError(f"not even two frames of the film fit in {LIMIT:,} bytes: follow smaller images")


def _gif(frames: Sequence[Image.Image]) -> bytes:
    file = io.BytesIO()
    durations = [*[PAUSE] * (len(frames) - 1), HOLD]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=True)
    return file.getvalue()


def _as_bytes(pictures: Tensor) -> np.ndarray:
    """(K, 1, H, W) in [0, 1] -> (K, H, W), uint8."""
    return (pictures[:, 0].float() * 255).round().byte().cpu().numpy()
