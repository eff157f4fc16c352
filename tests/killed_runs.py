"""A toy run that is killed again and again and goes on each time, beside the same run undisturbed.

    python killed_runs.py FOLDER SEED KILLS

Each attempt is a process of its own, forked before any computation: it kills itself with SIGKILL, at a moment chosen by
SEED or at a named point, and the next one resumes. Prints one JSON object: what killed each attempt, and whether the
final weights and rows equal those of the undisturbed run.
"""

import json
import os
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch.optim.swa_utils import AveragedModel
from toy_faces import toy_faces, toy_recipe

from vae_course import checkpoints, run, tracking, weights

EVERY = 7  # steps between checkpoints
TIMES = ("seconds", "images_per_second", "waited")  # the only figures that may differ


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def at(where: Any, name: str, count: int, do: Callable[..., Any], of: Callable[..., bool] = lambda *_: True) -> None:
    """Call do(original, *arguments) in place of the count-th call of where.name, of those that `of` picks."""
    original, calls = getattr(where, name), 0

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += of(*arguments)
        return do(original, *arguments, **named) if calls == count and of(*arguments) else original(*arguments, **named)

    setattr(where, name, counted)


def half_a_checkpoint(save: Any, state: Any, file: Any) -> None:
    import io

    whole = io.BytesIO()
    save(state, whole)
    file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
    file.flush()
    die()


def half_a_row(_: Any, metrics: tracking.Metrics, row: dict[str, float]) -> None:
    with metrics.path.open("a") as file:
        file.write(json.dumps(row)[:20])
    die()


def during(step: int, milliseconds: float) -> None:
    """Any moment within a step or two: from another thread, wherever the first one is."""

    def start(original: Any, *arguments: Any) -> Any:
        threading.Timer(milliseconds / 1000, die).start()
        return original(*arguments)

    at(run.Run, "_train_step", step, start)


POINTS: dict[str, Callable[[int], None]] = {
    "inside a checkpoint's write": lambda n: at(torch, "save", n, half_a_checkpoint),
    "before a checkpoint gets its name": lambda n: at(os, "replace", n, die, lambda _, new: new.suffix == ".pt"),
    "before the old checkpoints go": lambda n: at(checkpoints, "_sync", n, die),
    "inside a row of the metrics": lambda n: at(tracking.Metrics, "write", n, half_a_row),
    "between weights and their average": lambda n: at(AveragedModel, "update_parameters", 5 * n, die),
    "while pictures are drawn": lambda n: at(run, "save_grid", n, die),
}


def attempt(folder: Path, steps: int, arm: Callable[[], None]) -> int:
    """One process: start the run, or go on; its exit status, negative for a signal."""
    child = os.fork()
    if child == 0:
        try:
            log = os.open(folder.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            torch.set_num_threads(1)
            arm()
            if (folder / "run.json").exists():
                run.resume(folder, toy_faces())
            else:
                options = {"log_every": 5, "validate_every": 20, "checkpoint_every": EVERY, "tracker": "none"}
                run.train(toy_recipe(), toy_faces(), folder, steps=steps, precision="fp32", keep=2, cpu=True, **options)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def plan_of_kills(seed: int, kills: int) -> list[tuple[str, Callable[[], None]]]:
    """The named points in turn, from inside a checkpoint on, each beside a random moment; the last is the very end."""
    draw, planned = random.Random(seed), []
    for k in range(kills - 1):
        if k % 2 == 0:
            name = list(POINTS)[k // 2 % len(POINTS)]
            count = draw.randint(1, 2)
            planned.append((f"{name}, {count}", lambda name=name, count=count: POINTS[name](count)))
        else:
            step, milliseconds = draw.randint(1, 9), draw.uniform(0, 40)
            words = f"{milliseconds:.0f} ms after the start of step {step}"
            planned.append((words, lambda step=step, milliseconds=milliseconds: during(step, milliseconds)))
    return [*planned, ("before the weights are written", lambda: at(weights, "export", 1, die))]


def outcome(folder: Path) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    rows = [{name: value for name, value in row.items() if name not in TIMES} for row in tracking.read(folder)]
    return rows, load_file(folder / weights.FILE)


def main() -> None:
    folder, seed, kills = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    calm, killed = folder / "calm", folder / "killed"
    steps = 20 * kills  # enough for every attempt to be killed on the way
    assert attempt(calm, steps, lambda: None) == 0, calm.with_suffix(".log").read_text()
    killed_by = []
    for words, arm in plan_of_kills(seed, kills):
        status = attempt(killed, steps, arm)
        assert status == -signal.SIGKILL, f"not killed {words}: {killed.with_suffix('.log').read_text()}"
        killed_by.append(words)
    assert attempt(killed, steps, lambda: None) == 0, killed.with_suffix(".log").read_text()
    (calm_rows, calm_weights), (rows, weights_) = outcome(calm), outcome(killed)
    equal = {
        "rows": rows == calm_rows,
        "weights": all(torch.equal(value, weights_[name]) for name, value in calm_weights.items()),
        "names": list(calm_weights) == list(weights_),
    }
    print(json.dumps({"killed": killed_by, "equal": equal, "rows": len(calm_rows), "weights": len(calm_weights)}))


if __name__ == "__main__":
    main()
