"""The ledger of experiments too long for a lesson: one JSON file each, with its figures and how to get them again."""

import json
import os
import platform
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

FOLDER = files("vae_course") / "results"


def load(name: str) -> dict[str, Any]:
    """The record of experiment `name`: its "figures", "seeds", "machine" and "command". FileNotFoundError if none."""
    record = FOLDER / f"{name}.json"
    if not record.is_file():
        there = FOLDER.iterdir() if FOLDER.is_dir() else ()  # no folder before the first experiment
        known = sorted(f.name.removesuffix(".json") for f in there if f.name.endswith(".json"))
        raise FileNotFoundError(f"no experiment {name!r} in the ledger; there are {known}")
    return json.loads(record.read_text(encoding="utf-8"))


def save(name: str, figures: dict[str, Any], *, command: str, seeds: list[int]) -> Path:
    """Write the record of experiment `name`, whole or not at all, beside the package's other results."""
    record = {"figures": figures, "seeds": seeds, "machine": machine(), "command": command}
    path = Path(str(FOLDER)) / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(part, path)
    return path


def machine() -> str:
    """The class of machine, not its name: processor architecture, cores, accelerator, versions."""
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {accelerator}, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )
