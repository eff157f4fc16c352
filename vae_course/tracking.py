"""Where a run's numbers go: metrics.jsonl always, TensorBoard or Weights & Biases if asked, and if they answer."""

import importlib.util
import json
import math
import os
from pathlib import Path
from typing import Any

TRACKERS = ("tensorboard", "wandb", "none")


class Metrics:
    """Rows of numbers in folder/metrics.jsonl, one JSON object a line; each has its step."""

    def __init__(self, folder: Path, *, up_to: int) -> None:
        """Go on after the rows up to this step: what a killed run wrote beyond its checkpoint will be written again."""
        self.path = folder / "metrics.jsonl"
        self.rows = [row for row in read(folder) if row["step"] <= up_to]
        part = self.path.with_suffix(".part")
        part.write_text("".join(json.dumps(row) + "\n" for row in self.rows), encoding="utf-8")
        os.replace(part, self.path)

    def write(self, row: dict[str, float]) -> None:
        """Add one row; it is on the disk when this returns. Raises OSError if it cannot be written."""
        self.rows.append(row)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())


def read(folder: Path) -> list[dict[str, float]]:
    """The rows of folder/metrics.jsonl, oldest first; a last line that a kill cut off is left out.

    Raises ValueError, with the number of the line, on one that is no row.
    """
    path = folder / "metrics.jsonl"
    if not path.exists():
        return []
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
    return [_row(path, number, line) for number, line in enumerate(whole.splitlines(), 1)]


def _row(path: Path, number: int, line: str) -> dict[str, float]:
    try:
        row = json.loads(line)
        row["step"]
    except (ValueError, TypeError, KeyError):
        raise ValueError(f"{path}, line {number}: no row of figures; delete the line, then resume") from None
    return row


def installed(tracker: str) -> list[str]:
    """What accelerate is to log with: [tracker], or nothing, with a line that says why, if it is not installed."""
    if tracker not in TRACKERS:
        raise ValueError(f"tracker must be one of {', '.join(TRACKERS)}, got {tracker!r}")
    if tracker == "none":
        return []
    if importlib.util.find_spec(tracker) is None:
        print(f"{tracker} is not installed (pip install {tracker}): the numbers go to metrics.jsonl alone")
        return []
    return [tracker]


class Tracker:
    """A tracker behind accelerate that may fail: it then says so once, and the run goes on without it."""

    def __init__(self, accelerator: Any, folder: Path, *, step: int, settings: dict[str, Any]) -> None:
        self.accelerator, self.works = accelerator, bool(accelerator.log_with)
        identity = {"id": settings["id"], "name": folder.name, "resume": "allow"}
        wandb = {**identity, "dir": str(folder), "config": settings, "mode": _wandb_mode()}
        options = {"tensorboard": {"purge_step": step}, "wandb": wandb}
        self._try(lambda: accelerator.init_trackers("vae-course", init_kwargs=options))

    def log(self, row: dict[str, float]) -> None:
        """Hand one row on; NaN, which some trackers refuse, is left out."""
        values = {name: value for name, value in row.items() if name != "step" and math.isfinite(value)}
        self._try(lambda: self.accelerator.log(values, step=int(row["step"])))

    def _try(self, do: Any) -> None:
        if not self.works:
            return
        try:
            do()
        except (
            Exception
        ) as error:  # whatever a network, a disk or an account brings: no reason to lose days of training
            self.works = False
            print(f"the tracker stopped ({type(error).__name__}: {error}): the numbers go to metrics.jsonl alone")


def _wandb_mode() -> str:
    """WANDB_MODE if it is set; else online with an account's key in the environment, and offline without."""
    return os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
