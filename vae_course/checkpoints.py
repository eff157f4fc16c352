"""Checkpoints that survive a power cut: written beside, synced, renamed; read without running anything in them."""

import os
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

NAME = re.compile(r"step-(\d{8,})\.pt")


class CheckpointError(RuntimeError):
    """A file that is no whole checkpoint of ours; the message says why."""


def save(folder: Path, step: int, state: dict[str, Any], *, keep: int = 3) -> Path:
    """Write `state` as folder/step-00001000.pt; then remove all but the newest `keep` checkpoints.

    state: nested dictionaries and lists of tensors, numbers and strings, nothing else. The file appears whole or not
    at all, whatever happens meanwhile. Raises OSError if it cannot be written; the checkpoints before it stay.
    """
    if keep < 1:
        raise ValueError(f"keep must be at least 1, got {keep}: without a checkpoint nothing can go on")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:08d}.pt"
    part = folder / f".{path.name}.part"
    try:
        with part.open("wb") as file:
            _write(state, file)
            file.flush()
            os.fsync(file.fileno())  # else the name could reach the disk before the content
        os.replace(part, path)
        _sync(folder)
    finally:
        part.unlink(missing_ok=True)
    for old in [p for p in numbered(folder) if _step(p) <= step][:-keep]:  # a newer one was left aside as damaged
        old.unlink(missing_ok=True)
    return path


def _write(state: dict[str, Any], file: Any) -> None:
    try:
        torch.save(state, file)
    except RuntimeError as error:  # PyTorch's zip writer hides what the disk said behind its own words
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise OSError(f"{file.name} could not be written: {error}") from error


def newest(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint in folder that is whole, and its state; None if there is none at all.

    Newer ones that are damaged are named in one line each and left where they are. Raises CheckpointError if there
    are checkpoints and none of them is whole.
    """
    paths = numbered(folder)
    for path in reversed(paths):
        try:
            return path, load(path)
        except CheckpointError as error:
            print(f"{error}: left aside")
    if paths:
        raise CheckpointError(f"none of the {len(paths)} checkpoints in {folder} is whole: start the run anew")
    return None


def load(path: Path) -> dict[str, Any]:
    """The state in one checkpoint, its tensors on the CPU. Every byte is held against its checksum.

    Raises CheckpointError if the file is damaged, or holds anything but tensors, numbers, strings and containers:
    such a file could run code, and none of it is run.
    """
    try:
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()
    except MemoryError:
        raise
    except Exception as error:  # a damaged zip makes zipfile raise nearly anything
        raise CheckpointError(f"{path.name} is not a whole checkpoint ({type(error).__name__}: {error})") from error
    if damaged is not None:
        raise CheckpointError(f"{path.name} is damaged: wrong checksum of {damaged}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # so does a damaged pickle
        reason = str(error).rpartition("WeightsUnpickler error:")[2].strip().splitlines()  # the rest is advice
        words = reason[0] if reason else type(error).__name__
        raise CheckpointError(f"{path.name} was refused, and nothing in it was run ({words})") from error
    if not isinstance(state, dict) or "step" not in state:
        raise CheckpointError(f"{path.name} is no checkpoint of this course")
    return state


def numbered(folder: Path) -> list[Path]:
    """The checkpoints in folder by their step, oldest first, whole or not."""
    return sorted((path for path in folder.glob("step-*.pt") if NAME.fullmatch(path.name)), key=_step)


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def clear_parts(folder: Path) -> None:
    """Remove what a killed process left half written."""
    for part in folder.glob(".step-*.part"):
        part.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Make a renamed file's name last, where folders can be synced: on Windows they cannot."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
