"""Images a second into training: the course's cached faces beside torchvision's ImageFolder with a DataLoader.

    python benchmarks/faces.py          about three minutes on two cores

Both feed the same drawn faces, shuffled, as float tensors in [0, 1], 128 x 128, in batches of 128. Theirs decodes
every JPEG in every epoch (CenterCrop, Resize, ToTensor), with the number of workers that serves it best; ours decoded
them once, before: that time is printed, too. They take turns, and the median over the rounds goes into the ledger as
`faces`.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from vae_course import results
from vae_course.data import celeba, faces

SIZE, BATCH, PICTURES, ROUNDS = 128, 128, 2_560, 5
WORKERS = (0, 1, 2, 4)


def ours(pictures: celeba.Faces) -> Iterator[Tensor]:
    order = torch.randperm(len(pictures.pixels)).numpy()
    for rows in np.split(order, range(BATCH, len(order), BATCH)):
        yield pictures.batch(rows)


def theirs(folder: Path, workers: int) -> DataLoader:
    steps = [transforms.CenterCrop(178), transforms.Resize((SIZE, SIZE)), transforms.ToTensor()]
    data = datasets.ImageFolder(str(folder), transforms.Compose(steps))
    return DataLoader(data, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)


def rate(batches: Iterator[Tensor]) -> float:
    """Images a second over one epoch."""
    start, n = time.perf_counter(), 0
    for x in batches:
        assert x.shape[1:] == (3, SIZE, SIZE)
        assert x.dtype == torch.float32
        n += len(x)
    return n / (time.perf_counter() - start)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        faces.write_celeba(folder, PICTURES)
        os.environ |= {"VAE_COURSE_CACHE": f"{folder}/cache", "CELEBA_ROOT": folder}
        start = time.perf_counter()
        pictures = celeba.load_faces(SIZE, source="celeba")
        decoding = time.perf_counter() - start
        loaders = {workers: theirs(Path(folder) / "celeba", workers) for workers in WORKERS}
        for loader in loaders.values():  # workers start outside the measurement
            next(iter(loader))
        rounds = []
        for _ in range(ROUNDS):
            row = {f"{workers} workers": rate(x for x, _ in loader) for workers, loader in loaders.items()}
            ratio = {"cached": (cached := rate(ours(pictures))), "cached over best": cached / max(row.values())}
            rounds.append({name: round(value, 1) for name, value in (row | ratio).items()})
            print(rounds[-1], flush=True)
    median = {name: statistics.median(row[name] for row in rounds) for name in rounds[0]}
    print(f"images a second, median: {median}; decoding {PICTURES:,} pictures once took {decoding:.1f} s")
    figures = {"rounds": rounds, "median": median}
    results.save("faces", figures, command="python benchmarks/faces.py", seeds=[])


if __name__ == "__main__":
    main()
