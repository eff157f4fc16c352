"""The digits: the real MNIST where it can be had, drawn ones where not, and one line that says which."""

import hashlib
import os
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from vae_course.data import cache, digits, mnist
from vae_course.data.batches import batches
from vae_course.data.mnist import DataError

__all__ = ["DataError", "Digits", "batches", "load_digits"]

sources_used: set[str] = set()  # what this process has loaded: a built notebook records it


class Digits(NamedTuple):
    """Images (N, 1, 28, 28), float in [0, 1], and labels (N,), int64; source is "mnist" or "drawn"."""

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    source: str


def load_digits(source: str = "auto") -> Digits:
    """60,000 training and 10,000 test digits; prints one line that says which.

    source: "mnist" or "drawn", or "auto", which looks in VAE_COURSE_DATA, then in the cache, then downloads, and
    draws digits if there is no network. Raises DataError if VAE_COURSE_DATA is set and does not hold a whole
    MNIST, or if "mnist" was asked for and cannot be had; ValueError on another source.
    """
    if source not in ("auto", "mnist", "drawn"):
        raise ValueError(f"source must be 'auto', 'mnist' or 'drawn', got {source!r}")
    if source == "drawn":
        return _as_floats(_drawn(), "drawn", "drawn for this course, not MNIST")
    if named := os.environ.get("VAE_COURSE_DATA"):
        if not (Path(named).expanduser() / "MNIST").is_dir():
            raise DataError(
                f"VAE_COURSE_DATA is {named}, and there is no folder MNIST in it: "
                "put MNIST/raw/*.gz there, or unset VAE_COURSE_DATA"
            )
        return _as_floats(mnist.read(Path(named).expanduser()), "mnist", "MNIST from VAE_COURSE_DATA")
    try:
        return _as_floats(_cached_mnist(), "mnist", "MNIST")
    except DataError as error:
        if source == "mnist":
            raise
        print(f"digits: no MNIST here: {error}")
        return _as_floats(_drawn(), "drawn", "drawn for this course, not MNIST")


def _as_floats(tensors: tuple[Tensor, Tensor, Tensor, Tensor], source: str, words: str) -> Digits:
    train_x, train_y, test_x, test_y = tensors
    sources_used.add(source)
    print(f"digits: {words}, {len(train_x):,} for training and {len(test_x):,} for testing")
    return Digits(train_x.float() / 255, train_y, test_x.float() / 255, test_y, source)


def _cached_mnist() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """MNIST from the cache; what is missing or damaged there is fetched first, where that is allowed."""
    root = cache.folder()
    try:
        return mnist.read(root)
    except DataError as error:
        if mnist.is_there(root):
            print(f"digits: {error}")
        if mnist.offline():
            raise DataError(
                "VAE_COURSE_OFFLINE forbids the download of MNIST: unset it, or choose source='drawn'"
            ) from error
    try:
        mnist.download(root)
    except OSError as error:  # the cache folder cannot be written
        raise DataError(f"the cache {root} cannot be written ({error}); set VAE_COURSE_CACHE") from error
    return mnist.read(root)


def _drawn() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The drawn digits, from the cache, or drawn and put there; a damaged file is drawn again."""
    drawing = hashlib.sha256(Path(digits.__file__).read_bytes()).hexdigest()[:12]
    path = cache.folder() / f"drawn-digits-{drawing}.npz"
    if (kept := _kept(path)) is not None:  # without the lock, which a cache that may only be read refuses
        return kept
    drawn = None
    try:
        with cache.lock("drawn-digits"):
            if (kept := _kept(path)) is not None:  # another process has drawn them meanwhile
                return kept
            drawn = _draw()
            with cache.atomic(path) as part, open(part, "wb") as file:
                np.savez(file, *(t.numpy() for t in drawn))
            return drawn
    except OSError as error:
        print(f"digits: cannot keep the drawn digits in {cache.folder()} ({error}); set VAE_COURSE_CACHE")
        return drawn or _draw()


def _kept(path: Path) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """What the cache holds; None if there is nothing, or if it is damaged, which is said."""
    if not path.exists():
        return None
    try:
        return _read_npz(path)
    except (OSError, EOFError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        print(f"digits: {path.name} in the cache is damaged ({error}), drawing again")
        return None


def _read_npz(path: Path) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    with np.load(path) as file:  # a zip file: every member is read against its CRC
        train_x, train_y, test_x, test_y = (torch.from_numpy(file[f"arr_{i}"]) for i in range(4))
    return train_x, train_y, test_x, test_y


def _draw() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    # seven seeds of 10,000: six to train on, one to test on
    parts = [digits.draw_digits(10_000, seed=seed) for seed in tqdm(range(7), "drawing digits, once")]
    images, labels = zip(*parts, strict=True)
    return torch.cat(images[:6]), torch.cat(labels[:6]), images[6], labels[6]
