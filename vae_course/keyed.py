"""Random numbers that depend on what they are for, not on what was drawn before.

A training that draws the noise of example i at step t from the key (seed, t, i) draws the same after a restart, in one
process or in eight. The generator is Philox, whose n-th number needs no other (Salmon et al., "Parallel random
numbers: as easy as 1, 2, 3", SC 2011).
"""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

ORDER, TRAINING, VALIDATION = range(3)  # what the numbers are for


@lru_cache(maxsize=2)  # asked for at every step of an epoch
def order(n: int, *, seed: int, epoch: int) -> np.ndarray:
    """The order of n examples in one epoch: a permutation of 0 … n − 1, (n,), int64, read-only."""
    permutation = _generator(seed, ORDER, epoch).permutation(n)
    permutation.flags.writeable = False
    return permutation


def training_noise(examples: Iterable[int], shape: tuple[int, ...], *, seed: int, step: int) -> Tensor:
    """Standard normal noise for these examples at one step. -> (B, *shape), float32."""
    return _noise(shape, [_generator(seed, TRAINING, step, int(i)) for i in examples])


def validation_noise(examples: Iterable[int], shape: tuple[int, ...], *, seed: int) -> Tensor:
    """Standard normal noise for these examples, the same at every validation. -> (B, *shape), float32."""
    return _noise(shape, [_generator(seed, VALIDATION, 0, int(i)) for i in examples])


def _noise(shape: tuple[int, ...], generators: list[np.random.Generator]) -> Tensor:
    rows = [generator.standard_normal(shape, dtype=np.float32) for generator in generators]
    return torch.from_numpy(np.stack(rows))


def _generator(seed: int, use: int, step: int, example: int = 0) -> np.random.Generator:
    """A stream of its own for each key: step and example are the upper half of Philox's 256-bit counter."""
    return np.random.Generator(np.random.Philox(key=[seed, use], counter=[0, 0, step, example]))
