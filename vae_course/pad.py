"""The latent plane without a kernel: one page of HTML in which a point is dragged and its image decoded."""

import html
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from IPython.display import display
from torch import Tensor

from vae_course import pictures, plane_decoder
from vae_course.images import require_images
from vae_course.models.vae import VAE
from vae_course.plots import COLORS

IN_NOTEBOOK, IN_FILE = 300_000, 1_500_000  # bytes at most
FITTED, CHECKED, STILL = 31, 61, 9  # points along a side of the plane: for the directions, the error, the picture
COLORS_STILL = 16  # of the still picture, which stands in a notebook twice
MOST_POINTS = 1000
MARKS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Pad:
    """A plane of latents to drag a point over, with the image that the model decodes there; it needs no kernel.

    For a latent of size 2 the plane is the latent itself, span standard deviations of the prior to each side; codes
    (N, 2), with labels (N,) if there are any, lie on it as marks, a thousand at most. For more latents, give three
    images (3, C, H, W): the plane then passes through their codes mu. `error` is the largest difference from the
    model's pixels, in [0, 1], over a grid of 61 × 61 points; `page` the HTML.

    The decoder must be Linear layers, then ConvTranspose2d ones if any, with ReLU or SiLU between. Raises ValueError or
    TypeError on another decoder or one whose images are none, and on codes, labels or images that do not fit or span
    no plane.
    """

    @torch.no_grad()
    def __init__(
        self,
        model: VAE,
        *,
        codes: Tensor | None = None,
        labels: Sequence[Any] | Tensor | None = None,
        images: Tensor | None = None,
        span: float = 3.0,
        title: str = "The latent plane, decoded",
    ) -> None:
        if images is None:
            plane = _whole_plane(model.z_dim, span)
        elif codes is not None:
            raise ValueError("give codes or three images, not both: on a plane through images other codes do not lie")
        else:
            plane = _plane_through(model, images)
        if codes is None and labels is not None:
            raise ValueError("labels belong to codes: give the codes (N, 2) as well")
        layers = plane_decoder.layers_of(model)
        marks = _marks(codes, labels, plane.half) if codes is not None else _Marks([], [], "")
        pixels = _decoded(model, plane.latents(CHECKED))  # (61², C, H, W)
        points = {"fit": plane.points(FITTED), "check": plane.points(CHECKED)}
        network, self.error = plane_decoder.cut_down(layers, plane.origin, plane.basis, **points, pixels=pixels)
        self.title = title
        off = f"within {math.ceil(self.error * 2550) / 10:.1f}/255 of the model's on a grid of {CHECKED} by {CHECKED}"
        caption = f"{plane.words}{marks.words} Before rounding, the page's pixels are {off} points."
        middles = plane.half * (1 - 1 / STILL)  # the centres of the outermost pictures
        self.still = pictures.tiles(pictures.pixels(_decoded(model, plane.latents(STILL, middles))), STILL)
        self.alt = f"{title}: images decoded on a grid of {STILL} by {STILL} points. {plane.words}"
        content = {
            "title": title,
            "caption": caption,
            "shape": pixels.shape[1:],
            "half": plane.half,
            "start": plane.start,
            "readout": plane.readout,
            "edges": plane.edges,
            "corners": plane.corners,
            "points": marks.points,
            "kinds": marks.kinds,
            "decoder": plane_decoder.as_data(network),
        }
        # JSON stands inside a <script>, where only "<" can end it or open a comment
        text = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
        self.page = (files("vae_course") / "pad.html").read_text(encoding="utf-8").replace("__DATA__", text)

    def bundle(self) -> dict[str, str]:
        """What `show` puts into a notebook: kind of content -> content."""
        return {
            "text/html": self._notebook_html(),
            "image/png": pictures.base64_png(self.still, at_most=616, colors=COLORS_STILL),
            "text/plain": f"Run this cell to drag the point. Still picture: {self.alt}",
        }

    def show(self) -> None:
        """Show the pad below a notebook's cell. Until the cell is run, and where no script runs, a still picture.

        Raises ValueError if it would take more than 300 kB.
        """
        bundle = self.bundle()
        _require_size(sum(map(len, bundle.values())), IN_NOTEBOOK, "in a notebook", "write a file, pad.save(path), or ")
        display(bundle, metadata={"image/png": {"alt": self.alt}}, raw=True)

    def save(self, path: str | Path) -> Path:
        """Write the pad as one HTML file that opens in any browser. Raises ValueError if it takes more than 1.5 MB."""
        content = self.page.encode()
        _require_size(len(content), IN_FILE, "as a file", "")
        Path(path).write_bytes(content)
        return Path(path)

    def _notebook_html(self) -> str:
        # between single quotes, because the page is full of double ones, of which each would become six characters
        page = html.escape(self.page, quote=False).replace("'", "&#x27;")
        # What a notebook that is not trusted drops, style and frame, is what hides the still picture.
        return (
            '<div class="vae-pad"><style>.vae-pad:has(iframe) .vae-pad-still { display: none }</style>'
            f'<div class="vae-pad-still">{pictures.img(self.still, alt=self.alt, width=308, colors=COLORS_STILL)}'
            "<p>Run this cell to drag the point.</p></div>"
            f'<iframe sandbox="allow-scripts" title="{html.escape(self.title)}" srcdoc=\'{page}\' '
            'style="width: 100%; max-width: 640px; height: 480px; border: 1px solid #767676"></iframe></div>'
        )


@dataclass(frozen=True)
class _Plane:
    """Points (x, y), |x|, |y| <= half, for the latents origin + x·across + y·up; the rest is what the page says."""

    origin: Tensor  # (D,)
    basis: Tensor  # (2, D): across and up, orthonormal
    half: float
    start: list[float]
    readout: list[tuple[str, float, float, float]]  # name, and its value's constant, slope in x, slope in y
    edges: list[tuple[float, float, str]]  # words at a place of the 300 × 300 drawing
    corners: list[tuple[float, float, str, str]]  # x, y, name, picture
    words: str

    def points(self, n: int, half: float | None = None) -> Tensor:
        """A grid of n × n points, row by row from the top: (n², 2)."""
        steps = torch.linspace(-1, 1, n) * (self.half if half is None else half)
        return torch.cartesian_prod(steps.flip(0), steps).flip(1)

    def latents(self, n: int, half: float | None = None) -> Tensor:
        """The same grid as latents: (n², D)."""
        return self.origin + self.points(n, half) @ self.basis


def _whole_plane(z_dim: int, span: float) -> _Plane:
    if z_dim == 1:
        raise ValueError("a latent of size 1 has no plane: train a model with z_dim=2 or more")
    if z_dim != 2:
        raise ValueError(
            f"a latent of size {z_dim} is no plane: give images=, three images (3, C, H, W), for the plane through "
            "their codes, or a model with z_dim=2"
        )
    if not 0 < span < math.inf:
        raise ValueError(f"span must be a positive number of standard deviations, got {span}")
    ends = f"from −{span:g} to {span:g} standard deviations of the prior"
    return _Plane(
        origin=torch.zeros(2),
        basis=torch.eye(2),
        half=float(span),
        start=[0.0, 0.0],
        readout=[("z[0]", 0.0, 1.0, 0.0), ("z[1]", 0.0, 0.0, 1.0)],
        edges=[(280, 160, "z[0]"), (150, 10, "z[1]"), (14, 290, f"−{span:g}"), (286, 290, f"{span:g}")],
        corners=[],
        words=f"z[0] grows to the right and z[1] upwards, each {ends}.",
    )


def _plane_through(model: VAE, images: Tensor) -> _Plane:
    """The plane of three codes: their centroid in the middle, and half as much again as the farthest from it."""
    require_images(images)
    if len(images) != 3:
        raise ValueError(f"a plane passes through three images, got {len(images)}")
    codes = model.encode(images.to(_device(model)))[0].detach().float().cpu()  # (3, D)
    if not codes.isfinite().all():
        raise ValueError("the model's codes of the three images are not finite: it was trained to NaN or infinity")
    _, sizes, basis = torch.linalg.svd(codes[1:] - codes[0], full_matrices=False)
    if len(sizes) < 2 or sizes[1] <= 1e-3 * sizes[0]:
        raise ValueError("the codes of the three images lie on a line and span no plane: choose other images")
    origin = codes.mean(0)
    corners = (codes - origin) @ basis.T  # (3, 2)
    half = 1.5 * corners.norm(dim=1).max().item()
    # weights of A, B and C at (x, y): they sum to 1 and give the point as a weighted mean of the corners
    weights = torch.linalg.inv(torch.cat([torch.ones(1, 3), corners.T]))  # (3, 3): constant, x, y
    source = [f"data:image/png;base64,{pictures.base64_png(p, at_most=64)}" for p in pictures.pixels(images)]
    return _Plane(
        origin=origin,
        basis=basis,
        half=half,
        start=corners[0].tolist(),
        readout=[(name, *row) for name, row in zip("ABC", weights.tolist(), strict=True)],
        edges=[],
        corners=[(*at, name, s) for at, name, s in zip(corners.tolist(), "ABC", source, strict=True)],
        words=(
            f"A plane through the codes of the images A, B and C, in a latent of size {model.z_dim}; its middle is the "
            f"codes' mean, its edges are {half:.1f} standard deviations of the prior away from that. The three numbers "
            "are the weights of A, B and C in z."
        ),
    )


@dataclass(frozen=True)
class _Marks:
    points: list[tuple[float, float, int]]  # x, y, number of the kind
    kinds: list[tuple[str, str, str]]  # mark, colour, name
    words: str


def _marks(codes: Tensor, labels: Sequence[Any] | Tensor | None, half: float) -> _Marks:
    """What lies on the plane: a label is its own mark if it has one or two characters, else it gets a letter."""
    codes = codes.detach().float().cpu()
    if codes.ndim != 2 or codes.shape[1] != 2 or len(codes) == 0:
        raise ValueError(f"codes must have shape (N, 2) with N > 0, got {tuple(codes.shape)}")
    if not codes.isfinite().all():
        raise ValueError("codes must be finite, got NaN or infinity")
    if labels is not None and len(labels) != len(codes):
        raise ValueError(f"labels must have one entry for each of the {len(codes)} codes, got {len(labels)}")
    values = labels.tolist() if isinstance(labels, Tensor) else labels
    each = ["•"] * len(codes) if values is None else [str(value) for value in values]
    names = sorted(set(each))
    if len(names) > len(MARKS):
        raise ValueError(f"at most {len(MARKS)} different labels can be told apart, got {len(names)}")
    marks = names if max(map(len, names)) <= 2 else list(MARKS)
    kinds = [(marks[i], COLORS[i % len(COLORS)], name) for i, name in enumerate(names)]
    chosen = np.linspace(0, len(codes) - 1, min(len(codes), MOST_POINTS)).astype(int)
    inside = [i for i in chosen if codes[i].abs().max() <= half]
    points = [(round(codes[i, 0].item(), 2), round(codes[i, 1].item(), 2), names.index(each[i])) for i in inside]
    words = f" The marks are {len(chosen):,} of {len(codes):,} codes; {len(chosen) - len(inside)} of them lie outside."
    return _Marks(points, kinds, words)


def _decoded(model: VAE, z: Tensor) -> Tensor:
    """The model's images at z, on the CPU: (B, D) -> (B, C, H, W) in [0, 1]. ValueError if they are none."""
    logits = torch.cat([model.decode(part) for part in z.to(_device(model)).split(500)])
    if logits.ndim != 4 or len(logits) != len(z) or logits.shape[1] not in (1, 3):
        raise ValueError(f"the decoder must return logits ({len(z)}, 1 or 3, H, W), got {tuple(logits.shape)}")
    if not logits.isfinite().all():
        raise ValueError("the decoder returns NaN or infinity on the plane: its training has failed, look at the loss")
    return logits.float().cpu().sigmoid()


def _device(model: VAE) -> torch.device:
    return next(model.parameters()).device


def _require_size(size: int, limit: int, where: str, advice: str) -> None:
    if size > limit:
        raise ValueError(
            f"this pad takes {size / 1000:,.0f} kB {where}, at most {limit / 1000:,.0f} kB are allowed: {advice}"
            "train a model with narrower layers"
        )
