"""What an encoder makes of a set of images, checked before anybody relies on it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vae_course.images import require_images, require_labels

CHUNK = 500  # images a call: ten thousand at once would need gigabytes in a convolutional encoder


@dataclass(frozen=True)
class Encoded:
    """Images (N, C, H, W), their codes (N, z_dim), and their labels (N,) or None."""

    images: Tensor
    codes: Tensor
    labels: Tensor | None

    def label(self, n: int) -> int | None:
        """Of image n; None if there are no labels."""
        return None if self.labels is None else int(self.labels[n])

    def mean(self, label: int) -> Tensor:
        """The mean code of the images with this label, (z_dim,)."""
        return self.codes[self.labels == label].mean(dim=0)


def encode_all(
    encode: Callable[..., Tensor], images: Tensor, labels: Tensor | None, *, z_dim: int, classes: int | None
) -> Encoded:
    """Encode every image once. encode: images (B, C, H, W) -> mu (B, z_dim).

    With a number of classes, encode takes class numbers (B,) as well, and gets the labels. Raises ValueError or
    TypeError on images that are none, labels that do not fit, and codes of another shape, NaN or infinite.
    """
    require_images(images)
    if labels is not None:
        require_labels(labels, n=len(images), classes=classes)
    elif classes is not None:
        raise ValueError("with classes, images need their labels: encode wants the class of each image")
    inputs = [images] if classes is None or labels is None else [images, labels]
    codes = []
    for batch in zip(*(x.split(CHUNK) for x in inputs), strict=True):
        code = ask("encode", encode, *batch)
        if code.shape != (len(batch[0]), z_dim):
            raise ValueError(f"encode must return mu ({len(batch[0])}, {z_dim}), got {tuple(code.shape)}")
        if not code.isfinite().all():
            raise ValueError("encode must return finite codes, got NaN or infinity")
        codes.append(code.float().cpu())
    return Encoded(images, torch.cat(codes), labels)


def ask(name: str, network: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """network(*inputs) without gradients; ValueError, which says what was asked, if it fails or returns no tensor."""
    what = "inputs of shape " + " and ".join(str(tuple(x.shape)) for x in inputs)
    try:
        with torch.no_grad():
            answer: Any = network(*inputs)
    except Exception as error:  # anything may go wrong in a network that a learner wrote
        raise ValueError(f"{name} failed on {what}: {type(error).__name__}: {error}") from error
    if not isinstance(answer, Tensor):
        raise ValueError(f"{name} must return one tensor, got {type(answer).__name__}")
    return answer
