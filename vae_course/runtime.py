"""What a lesson needs to know about the machine it runs on: device, seed, length of the run, versions."""

import os
import platform
from importlib import metadata
from typing import TypeVar

import torch

import vae_course

T = TypeVar("T")


def device() -> torch.device:
    """The accelerator if there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def seed(number: int) -> torch.Generator:
    """Seed PyTorch's global random numbers, and return a generator of its own with the same seed."""
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ValueError(f"a seed is a whole number >= 0, got {number!r}")
    torch.manual_seed(number)
    return torch.Generator().manual_seed(number)


def fast_mode() -> bool:
    """True where VAE_COURSE_FAST asks for short runs: tests do, learners do not."""
    return os.environ.get("VAE_COURSE_FAST", "0") not in ("", "0")


def steps(full: T, fast: T) -> T:
    """full, or fast in fast mode: the one place where a lesson's length depends on who runs it."""
    return fast if fast_mode() else full


def report() -> str:
    """Versions, processor and accelerator, one a line: what a question about a lesson should quote."""
    threads = torch.get_num_threads()
    rows = {
        "vae_course": vae_course.__version__,
        "Python": platform.python_version(),
        **{name: metadata.version(name) for name in ("torch", "torchvision", "numpy", "ipywidgets")},
        "processor": f"{platform.machine()}, {threads} thread{'' if threads == 1 else 's'}",
        "accelerator": "none" if device().type == "cpu" else str(device()),
        "mode": "fast, for tests" if fast_mode() else "full",
    }
    return "\n".join(f"{name:<13}{value}" for name, value in rows.items())
