"""Batches from tensors that already lie in memory: MNIST fits there, and no epoch waits for a loader."""

from collections.abc import Iterator

import torch
from torch import Tensor


def batches(
    *tensors: Tensor, size: int, shuffle: bool = True, generator: torch.Generator | None = None
) -> Iterator[tuple[Tensor, ...]]:
    """Cut tensors of equal length N into tuples of batches: N / size of them, rounded up; the last may be smaller.

    Each pass draws a new order from generator (default: the global seed), the same for all tensors.
    Raises ValueError on tensors of unequal length, an empty set or a size below 1.
    """
    if not tensors or any(len(t) != len(tensors[0]) for t in tensors):
        raise ValueError(f"batches wants tensors of one length, got lengths {[len(t) for t in tensors]}")
    n = len(tensors[0])
    if n == 0:
        raise ValueError("the data set is empty: there is nothing to cut into batches")
    if size < 1:
        raise ValueError(f"the batch size must be at least 1, got {size}")
    order = torch.randperm(n, generator=generator) if shuffle else torch.arange(n)
    parts = order.to(tensors[0].device).split(size)
    return (tuple(t[rows] for t in tensors) for rows in parts)  # a generator, so that the checks above come first
