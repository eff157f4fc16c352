"""The state of every global random generator of this process, in a form that a checkpoint may hold."""

import random
from typing import Any

import numpy as np
import torch


def random_state(*, gpu: bool) -> dict[str, Any]:
    """Python's, NumPy's and PyTorch's generators, the present GPU's where one is used, as tensors and numbers."""
    name, keys, position, has_gauss, cached = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, cached),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if gpu else None,
    }


def set_random_state(state: dict[str, Any], *, gpu: bool) -> None:
    """Go back to what `random_state` returned."""
    name, keys, *rest = state["numpy"]
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if gpu and state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"])
