"""The MNIST files: found or fetched, never trusted without their checksum.

Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits", CC BY-SA 3.0.
"""

import gzip
import hashlib
import http.client
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vae_course.data import cache

# name -> MD5 of the four files as published; torchvision checks against the same sums
CHECKSUMS = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
TIMEOUT = 10  # seconds without a byte before a download is given up


class DataError(RuntimeError):
    """Data that was asked for is missing or damaged; the message says which file and what to do."""


def read(root: Path) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training images and labels, then test images and labels, from root/MNIST/raw/*.gz (torchvision's layout).

    Images are (N, 1, 28, 28) uint8, labels (N,) int64; N = 60,000 and 10,000. Never writes.
    Raises DataError naming the first file that is missing or damaged.
    """
    train_x, train_y, test_x, test_y = (_verified(root, name) for name in CHECKSUMS)
    return _images(train_x), _labels(train_y), _images(test_x), _labels(test_y)


def is_there(root: Path) -> bool:
    """True if any of the four files lies in root, whole or not."""
    return any((root / "MNIST" / "raw" / name).exists() for name in CHECKSUMS)


def download(root: Path) -> None:
    """Fetch what is missing or damaged in root/MNIST/raw through torchvision, by its mirrors, checksum verified.

    Two at once do it once; a file appears only when it is whole. Raises DataError if no mirror delivers,
    or after 10 s without a byte.
    """
    from torchvision.datasets import MNIST  # imported here: it takes seconds, and most runs need no download
    from torchvision.datasets.utils import download_url

    with cache.lock("mnist"), _socket_timeout(TIMEOUT):
        for name, md5 in CHECKSUMS.items():
            path = root / "MNIST" / "raw" / name
            if path.exists() and _md5(path.read_bytes()) == md5:
                continue
            problems = []
            for mirror in MNIST.mirrors:
                try:
                    with cache.atomic(path) as part:
                        download_url(mirror + name, str(part.parent), part.name, md5)
                    break
                except (OSError, RuntimeError, http.client.HTTPException) as error:  # URLError, time-outs are OSErrors
                    problems.append(f"{mirror}: {error}")
                    if isinstance(getattr(error, "reason", error), TimeoutError):
                        break  # a network that swallows packets would cost 10 s again at every mirror
            if not path.exists() or _md5(path.read_bytes()) != md5:
                raise DataError(f"could not download {name} ({'; '.join(problems)})")


def _verified(root: Path, name: str) -> bytes:
    """The unpacked content of one file whose checksum is right."""
    path = root / "MNIST" / "raw" / name
    try:
        packed = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(
            f"{path} is missing: MNIST/raw must hold the four original .gz files; "
            "copy them there, or choose source='drawn'"
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}): check its permissions") from error
    if _md5(packed) != CHECKSUMS[name]:
        raise DataError(
            f"{path} is damaged: {len(packed):,} bytes with MD5 {_md5(packed)}, expected {CHECKSUMS[name]}; "
            "delete it and fetch it again"
        )
    return gzip.decompress(packed)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _images(data: bytes) -> Tensor:
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=16).copy()).reshape(-1, 1, 28, 28)


def _labels(data: bytes) -> Tensor:
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=8).astype(np.int64))


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def offline() -> bool:
    """True where VAE_COURSE_OFFLINE forbids the network."""
    return os.environ.get("VAE_COURSE_OFFLINE", "0") not in ("", "0")
