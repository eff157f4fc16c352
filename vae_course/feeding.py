"""Batches for a long run: found by their step alone, and fetched while the step before is computed."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from torch import Tensor

from vae_course import keyed
from vae_course.data.celeba import Faces


class Batch(NamedTuple):
    """Pixels (B, 3, H, W), uint8, and noise (B, *z_shape), float32, of one step."""

    x: Tensor
    eps: Tensor


def examples(step: int, *, train: np.ndarray, batch_size: int, seed: int) -> np.ndarray:
    """The examples of one step, (batch_size,): a pure function of the step, so that a run goes on anywhere.

    train: (N,) the examples to choose from. Each epoch has an order of its own and N // batch_size steps; what is
    left over is dropped, and others next time. Raises ValueError if there are fewer examples than batch_size.
    """
    steps = len(train) // batch_size
    if steps == 0:
        raise ValueError(
            f"{len(train)} pictures do not fill one batch of {batch_size}: choose a smaller batch_size or more pictures"
        )
    epoch, position = divmod(step, steps)
    order = keyed.order(len(train), seed=seed, epoch=epoch)
    return train[order[position * batch_size : (position + 1) * batch_size]]


def share(whole: np.ndarray, *, rank: int, world: int) -> np.ndarray:
    """The part of a batch that process `rank` of `world` computes. ValueError if it does not divide evenly."""
    if len(whole) % world:
        raise ValueError(f"a batch of {len(whole)} cannot be split evenly over {world} processes")
    size = len(whole) // world
    return whole[rank * size : (rank + 1) * size]


def ahead(fetch: Callable[[int], Batch], steps: range) -> Iterator[Batch]:
    """fetch(step) for each step, the next one fetched by a thread while the present one is used."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        waiting = thread.submit(fetch, steps[0]) if steps else None
        for step in steps:
            assert waiting is not None
            batch = waiting.result()
            waiting = thread.submit(fetch, step + 1) if step + 1 in steps else None
            yield batch


def fetcher(
    faces: Faces, z_shape: tuple[int, ...], *, batch_size: int, seed: int, rank: int = 0, world: int = 1
) -> Callable[[int], Batch]:
    """A function that reads this process's share of a step's batch, and draws its noise."""
    train = faces.splits["train"]

    def fetch(step: int) -> Batch:
        mine = share(examples(step, train=train, batch_size=batch_size, seed=seed), rank=rank, world=world)
        return Batch(faces.uint8(mine), keyed.training_noise(mine, z_shape, seed=seed, step=step))

    return fetch
