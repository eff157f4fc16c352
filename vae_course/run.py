"""Training that runs for days, on accelerate: stopped or killed at any moment, it goes on as if nothing had happened.

A run lives in a folder: run.json (the plan), metrics.jsonl, checkpoints/, pictures/, and weights.safetensors at the
end. Everything random is drawn from keys (`keyed`), so a step depends on its number and the weights before it, not on
the way that led there, nor on how many processes share its batch.
"""

import math
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from vae_course import checkpoints, feeding, keyed, weights
from vae_course.data.celeba import Faces, load_faces
from vae_course.face_latents import save_grid
from vae_course.machine import agreed_precision, started
from vae_course.perceptual import perceptual_distance
from vae_course.plan import FILE, Plan, kl_weight, learning_rate
from vae_course.random_state import random_state, set_random_state
from vae_course.recipes import Recipe, objective
from vae_course.stopping import stop_signals
from vae_course.tracking import Metrics, Tracker

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

VALIDATED = 1000  # pictures at most: enough for a curve
SHOWN = 16  # pictures of each grid
SKIPPED = 20  # steps without a finite gradient, one after the other, that end a run


def train(
    recipe: Recipe,
    faces: Faces,
    folder: Path | str,
    *,
    seed: int = 0,
    steps: int | None = None,
    precision: str = "auto",
    accumulate: int = 1,
    log_every: int = 50,
    validate_every: int | None = None,
    checkpoint_every: int | None = None,
    keep: int = 3,
    tracker: str = "tensorboard",
    minutes: float = math.inf,
    cpu: bool = False,
) -> list[dict[str, float]]:
    """Train recipe on faces, in a new folder, from the first step; return the rows of metrics.jsonl.

    steps: all in all, by default recipe.epochs of the training pictures. precision: "fp32", "bf16", "fp16", or "auto":
    what the GPU does best, on a CPU what a short trial shows faster; printed. accumulate: parts into which each batch
    is cut. validate_every and checkpoint_every: steps, by default an epoch. minutes: stop then, with a checkpoint.
    Ctrl-C and SIGTERM finish the step and write a checkpoint before KeyboardInterrupt or SystemExit.

    Raises FileExistsError if the folder holds a run or another process trains in it, ValueError on arguments that do
    not fit together, FloatingPointError when the loss stops being finite, OSError when something cannot be written.
    Whatever happens, the last checkpoint stays, and `resume` goes on from it.
    """
    folder = Path(folder)
    if (folder / FILE).exists():
        raise FileExistsError(f"{folder} holds a run already: resume it, or choose another folder")
    train_split = faces.splits["train"]
    feeding.examples(0, train=train_split, batch_size=recipe.batch_size, seed=seed)  # or ValueError: too few pictures
    epoch = len(train_split) // recipe.batch_size
    steps = recipe.epochs * epoch if steps is None else steps
    validate_every = epoch if validate_every is None else validate_every
    checkpoint_every = epoch if checkpoint_every is None else checkpoint_every
    intervals = {"log_every": log_every, "validate_every": validate_every, "checkpoint_every": checkpoint_every}
    for name, value in {"steps": steps, "accumulate": accumulate, "keep": keep, **intervals}.items():
        if not (isinstance(value, int) and value >= 1):
            raise ValueError(f"{name} must be a whole number of at least 1, got {value}")
    if not minutes >= 0:
        raise ValueError(f"minutes must be at least 0, got {minutes}")
    precision = agreed_precision(precision, recipe, faces, cpu=cpu)
    plan = Plan(
        recipe=recipe,
        data=faces.asked,
        fingerprint=faces.fingerprint,
        steps=steps,
        seed=seed,
        precision=precision,
        accumulate=accumulate,
        log_every=log_every,
        validate_every=validate_every,
        checkpoint_every=checkpoint_every,
        keep=keep,
        tracker=tracker,
        id=uuid.uuid4().hex[:12],
    )
    with started(precision, tracker=tracker, folder=folder, cpu=cpu) as accelerator, _alone(folder, accelerator):
        return Run(plan, faces, folder, accelerator).go(minutes)


def resume(
    folder: Path | str, faces: Faces | None = None, *, minutes: float = math.inf, cpu: bool = False
) -> list[dict[str, float]]:
    """Go on with the run in folder from its newest whole checkpoint; return the rows of metrics.jsonl.

    faces: by default loaded as the run loaded them. Raises FileNotFoundError if there is no run, CheckpointError if no
    checkpoint is whole, ValueError if the pictures are not those of the run; else as `train`.
    """
    folder = Path(folder)
    try:
        plan = Plan.read(folder)
    except FileNotFoundError:
        raise FileNotFoundError(f"{folder} holds no run (no run.json): start one with train") from None
    found = checkpoints.newest(folder / "checkpoints")
    faces = load_faces(**plan.data) if faces is None else faces
    if faces.fingerprint != plan.fingerprint:
        raise ValueError(
            f"these are not the pictures that the run in {folder} was trained on ({faces.words}): give it the same "
            "folder, or start a new run"
        )
    run = started(plan.precision, tracker=plan.tracker, folder=folder, cpu=cpu)
    with run as accelerator, _alone(folder, accelerator):
        return Run(plan, faces, folder, accelerator, state=found[1] if found else None).go(minutes)


@contextmanager
def _alone(folder: Path, accelerator: Accelerator) -> Iterator[None]:
    """Hold the folder's lock in the main process: two runs would write over each other. A kill releases it."""
    if not accelerator.is_main_process or fcntl is None:
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".lock").touch()
    except OSError as error:
        raise _cannot_write(folder, error) from error
    with open(folder / ".lock", "r+") as file:  # closing it releases the lock
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"another process is training in {folder}: wait for it, or choose another folder"
            raise FileExistsError(message) from None
        except OSError as error:  # a file system without locks; one left by a killed process would be worse than none
            print(f"{folder} cannot be locked ({error}): take care that no second process trains in it")
        yield


def _cannot_write(folder: Path, error: OSError) -> OSError:
    return OSError(f"the run's folder {folder} cannot be written ({error}): choose another")


class Run:
    """A model, its optimiser and their step: everything that a checkpoint holds."""

    def __init__(
        self, plan: Plan, faces: Faces, folder: Path, accelerator: Accelerator, state: dict[str, Any] | None = None
    ) -> None:
        recipe, self.plan, self.faces, self.folder, self.accelerator = plan.recipe, plan, faces, folder, accelerator
        parts = accelerator.num_processes * plan.accumulate
        if recipe.batch_size % parts:
            raise ValueError(
                f"a batch of {recipe.batch_size} cannot be split over {accelerator.num_processes} processes × "
                f"{plan.accumulate} parts: choose a batch_size that is a multiple of {parts}"
            )
        self.step = 0 if state is None else state["step"]
        steps = gather_object([self.step])  # waits, too: all have looked into the folder before the first writes there
        if len(set(steps)) > 1:
            raise ValueError(f"the processes found different checkpoints (steps {steps}): {folder} must be one for all")
        if not len(faces.splits["valid"]):
            raise ValueError("there are no pictures to validate with: choose split='80/20'")
        if accelerator.is_main_process:
            _prepare_folder(folder, plan)
            self.metrics = Metrics(folder, up_to=self.step)
        accelerator.wait_for_everyone()

        torch.manual_seed(plan.seed)
        self.model = recipe.build().to(memory_format=torch.channels_last).to(accelerator.device)
        self.average = (
            AveragedModel(self.model, multi_avg_fn=partial(_move_average, recipe.ema)) if recipe.ema else None
        )
        torch.manual_seed(plan.seed + accelerator.process_index)
        self.perceptual = self._perceptual() if recipe.perceptual_weight else None
        loss = _Loss(self.model, partial(objective, recipe, perceptual=self.perceptual))
        adam = torch.optim.Adam(self.model.parameters(), lr=recipe.lr, fused=True)
        self.loss, self.optimizer = accelerator.prepare(loss, adam)
        self.sums: dict[str, Tensor] = {}  # of what the next row averages
        self.since = {"steps": 0, "skipped": 0, "seconds": 0.0, "waited": 0.0}
        self.seconds, self.unlucky = 0.0, 0  # of training so far; steps skipped one after the other
        self.last: dict[str, float] = {}  # the newest figures, for whoever loads the weights
        if state is not None:
            self._restore(state)

    # The loop

    def go(self, minutes: float = math.inf) -> list[dict[str, float]]:
        """Train to the last step, or to the end of the time, or until a signal; return the rows written so far."""
        if self.step == 0:
            self.save()  # at once: a folder that cannot be written shows before the work, not after it
        end = time.monotonic() + 60 * minutes
        fetch = feeding.fetcher(
            self.faces,
            self.model.z_shape,
            batch_size=self.plan.recipe.batch_size,
            seed=self.plan.seed,
            rank=self.accelerator.process_index,
            world=self.accelerator.num_processes,
        )
        with stop_signals() as signals, self._bar() as bar:
            batches = feeding.ahead(fetch, range(self.step, self.plan.steps))
            while self.step < self.plan.steps:
                begun = time.perf_counter()
                batch = next(batches)
                waited = time.perf_counter() - begun
                self._train_step(batch)
                self.since["seconds"] += time.perf_counter() - begun
                self.since["waited"] += waited
                self.step += 1
                bar.update()
                self._due(bar)
                stop = self._agreed(signals, time.monotonic() > end)
                if stop and self.step < self.plan.steps:
                    return self._stopped(stop)
        return self._finished()

    def _train_step(self, batch: feeding.Batch) -> None:
        """Forward, zero-grad, backward, step: in as many parts as the batch is cut into."""
        recipe, parts = self.plan.recipe, self.plan.accumulate
        weight = kl_weight(recipe, self.step, self.plan.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(recipe, self.step, self.plan.steps)
        x, eps = self._on_device(batch)
        self.optimizer.zero_grad()
        terms: dict[str, Tensor] = {}
        for part, (part_x, part_eps) in enumerate(zip(x.chunk(parts), eps.chunk(parts), strict=True)):
            with nullcontext() if part == parts - 1 else self.accelerator.no_sync(self.loss):
                values = self.loss(part_x, part_eps, weight)
                self.accelerator.backward(values["loss"].mean() / parts)
            for name, each in values.items():
                terms[name] = terms.get(name, 0) + each.detach().float().sum()
        if self._optimizer_step():
            for name, total in terms.items():
                self.sums[name] = self.sums.get(name, 0) + total
            self.since["steps"] += 1
            if self.average is not None:
                self.average.update_parameters(self.model)

    def _optimizer_step(self) -> bool:
        """Move the weights, unless the gradient is not finite: then skip the step, or stop, as the recipe says."""
        recipe, scaled = self.plan.recipe, self.plan.precision == "fp16"
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), recipe.clip or math.inf)
        finite = bool(torch.isfinite(norm))  # the same in all processes: they share their gradients
        if finite or scaled:  # fp16's scaler skips by itself, and scales less next time
            self.optimizer.step()
        if finite:
            self.unlucky = 0
            return True
        self.unlucky += 1
        self.since["skipped"] += 1
        if self.unlucky > (0 if recipe.when_nan == "stop" and not scaled else SKIPPED):
            raise FloatingPointError(
                f"the gradient of step {self.step} is not finite: {self._last_checkpoint()}; resumed, the run would "
                "meet the same step again: start a new one with a lower --lr or with --clip"
            )
        return False

    def _on_device(self, batch: feeding.Batch) -> tuple[Tensor, Tensor]:
        """Pixels as floats in [0, 1], and noise, where the model is."""
        device, wait = self.accelerator.device, self.accelerator.device.type != "cuda"
        x, eps = (t if wait else t.pin_memory() for t in batch)
        return x.to(device, non_blocking=not wait).float() / 255, eps.to(device, non_blocking=not wait)

    # What is due between two steps

    def _due(self, bar: tqdm) -> None:
        plan, last = self.plan, self.step == self.plan.steps
        if self.step % plan.log_every == 0 or last:
            self._log(bar)
        if self.step % plan.validate_every == 0 or last:
            self._validate()
        if self.step % plan.checkpoint_every == 0 or last:
            self.save()

    def _log(self, bar: tqdm) -> None:
        """A row of averages over the steps since the row before."""
        steps, self.seconds = self.since["steps"], self.seconds + self.since["seconds"]
        size = self.plan.recipe.batch_size
        totals = {name: self.accelerator.reduce(total, "sum").item() for name, total in sorted(self.sums.items())}
        row = {name: total / (steps * size) for name, total in totals.items()} if steps else {}
        row |= {
            "epoch": self.step / (len(self.faces.splits["train"]) // size),
            "lr": learning_rate(self.plan.recipe, self.step - 1, self.plan.steps),
            "kl_weight": kl_weight(self.plan.recipe, self.step - 1, self.plan.steps),
            "skipped": self.since["skipped"],
            "seconds": round(self.seconds, 2),
            "images_per_second": round((steps + self.since["skipped"]) * size / self.since["seconds"], 1),
            "waited": round(self.since["waited"] / self.since["seconds"], 4),
        }
        self.sums, self.since = {}, dict.fromkeys(self.since, 0)
        self._write(row)
        if "loss" in row:
            bar.set_postfix_str(f"loss {row['loss']:.4g}, {row['images_per_second']:.0f} images/s")

    @torch.no_grad()
    def _validate(self) -> None:
        """A row of the averaged model's losses on validation pictures, and the pictures of this moment."""
        chosen, size = self.faces.splits["valid"][:VALIDATED], self.plan.recipe.batch_size
        model, accelerator = self._best(), self.accelerator
        mine = np.array_split(chosen, accelerator.num_processes)[accelerator.process_index]
        sums = torch.zeros(4, device=accelerator.device)  # an equal number in all processes
        names = ["loss", "rec", "kl", *(["perceptual"] if self.perceptual else [])]
        for first in range(0, len(mine), size):
            x, eps = self._on_device(self._validation_batch(mine[first : first + size]))
            with accelerator.autocast():
                terms = objective(self.plan.recipe, model, x, eps, perceptual=self.perceptual)
            sums[: len(names)] += torch.stack([terms[name].float().sum() for name in names])
        means = accelerator.reduce(sums, "sum") / len(chosen)
        self._write({f"valid_{name}": mean.item() for name, mean in zip(names, means, strict=False)})
        if accelerator.is_main_process:
            self._draw(model)
        accelerator.wait_for_everyone()

    def _validation_batch(self, indices: np.ndarray) -> feeding.Batch:
        eps = keyed.validation_noise(indices, self.model.z_shape, seed=self.plan.seed)
        return feeding.Batch(self.faces.uint8(indices), eps)

    def _draw(self, model: Any) -> None:
        """pictures/step-…-rebuilt.png: validation pictures over their reconstructions; -samples.png: from the prior."""
        shown = self.faces.splits["valid"][: SHOWN // 2]
        x, _ = self._on_device(self._validation_batch(shown))
        eps = keyed.validation_noise(range(SHOWN), self.model.z_shape, seed=self.plan.seed)
        with self.accelerator.autocast():
            rebuilt, samples = model.mean(model.encode(x)[0]), model.mean(eps.to(x.device))
        folder = self.folder / "pictures"
        for name, images in {"rebuilt": torch.cat([x, rebuilt.float()]), "samples": samples.float()}.items():
            save_grid(images, folder / f"step-{self.step:08d}-{name}.png", columns=SHOWN // 2)

    def save(self) -> None:
        """Write a checkpoint: everything that the next step depends on."""
        accelerator = self.accelerator
        random_states = gather_object([random_state(gpu=accelerator.device.type == "cuda")])
        sums = {name: accelerator.reduce(total, "sum") for name, total in sorted(self.sums.items())}
        if accelerator.is_main_process:
            state = {
                "step": self.step,
                "plan": self.plan.as_dict(),
                "conditions": self._conditions(),
                "model": self.model.state_dict(),
                "average": self.average.module.state_dict() if self.average else None,
                "averaged": int(self.average.n_averaged) if self.average else 0,
                "optimizer": self.optimizer.state_dict(),
                "scaler": accelerator.scaler.state_dict() if accelerator.scaler else None,
                "random": random_states,
                "sums": sums,
                "since": self.since,
                "seconds": self.seconds,
                "unlucky": self.unlucky,
                "metrics": self.last,
            }
            try:
                checkpoints.save(self.folder / "checkpoints", self.step, state, keep=self.plan.keep)
            except OSError as error:
                raise OSError(
                    f"the checkpoint of step {self.step} could not be written ({error}): {self._last_checkpoint()}; "
                    "make room, or make the folder writable, and resume"
                ) from error
        accelerator.wait_for_everyone()

    def _restore(self, state: dict[str, Any]) -> None:
        """Become what `save` wrote."""
        for name, value in self._conditions().items():
            if (then := state["conditions"].get(name)) != value:
                self._say(f"{name} was {then} and is {value}: the run goes on, not bit for bit as it would have")
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.module.load_state_dict(state["average"])
            self.average.n_averaged.fill_(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.accelerator.scaler and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        if len(state["random"]) == self.accelerator.num_processes:
            on_gpu = self.accelerator.device.type == "cuda"
            set_random_state(state["random"][self.accelerator.process_index], gpu=on_gpu)
        if self.accelerator.is_main_process:  # sums of all processes: counted once
            self.sums = {name: total.to(self.accelerator.device) for name, total in state["sums"].items()}
        else:
            self.sums = {name: torch.zeros((), device=self.accelerator.device) for name in state["sums"]}
        self.since, self.seconds, self.unlucky = state["since"], state["seconds"], state["unlucky"]
        self.last = state["metrics"]
        self._say(f"going on from step {self.step} of {self.plan.steps}")

    # Stopping

    def _agreed(self, signals: list[int], late: bool) -> int:
        """0 to go on, else the signal that one of the processes got, or −1 when the time is up; the same in all."""
        asked = signals[0] if signals else -1 if late else 0
        if self.accelerator.num_processes == 1:
            return asked
        every = self.accelerator.gather(torch.tensor([asked], device=self.accelerator.device))
        return int(every[every.abs().argmax()])

    def _stopped(self, why: int) -> list[dict[str, float]]:
        if self.step % self.plan.checkpoint_every:
            self.save()
        self._say(
            f"stopped after step {self.step} of {self.plan.steps}; its checkpoint is written: resume goes on there"
        )
        if why == signal.SIGINT:
            raise KeyboardInterrupt
        if why == signal.SIGTERM:
            raise SystemExit(128 + why)
        return self._rows()

    def _finished(self) -> list[dict[str, float]]:
        if self.accelerator.is_main_process:
            metrics = {"step": self.step, **self.last}
            weights.export(self.folder / weights.FILE, self._best().state_dict(), self.plan.recipe, metrics)
        self._say(f"finished: {weights.FILE} in {self.folder.name}/")
        return self._rows()

    # Small things

    def _best(self) -> Any:
        """The moving average of the weights, where there is one."""
        return self.model if self.average is None else self.average.module

    def _perceptual(self) -> nn.Module:
        device, seed = self.accelerator.device, self.plan.seed
        find = partial(perceptual_distance, faces=self.faces, folder=self.folder, device=device, seed=seed)
        distance = find(self.plan.backbone) if self.accelerator.is_main_process else None
        name = broadcast_object_list([distance.name if distance else ""])[
            0
        ]  # what the first found, or trained, for all
        distance = distance or find(name)
        self.plan = replace(self.plan, backbone=distance.name)  # on another machine the run would find another
        if self.accelerator.is_main_process:
            self.plan.write(self.folder)
        self._say(f"perceptual term: {distance.words}")
        return distance

    def _conditions(self) -> dict[str, Any]:
        """Under equal ones, in one process on a CPU, a resumed run is bit for bit the uninterrupted one."""
        return {
            "torch": str(torch.__version__),  # a subclass of str, which a checkpoint may not hold
            "threads": torch.get_num_threads(),
            "processes": self.accelerator.num_processes,
            "device": self.accelerator.device.type,
        }

    def _write(self, row: dict[str, float]) -> None:
        if self.accelerator.is_main_process:
            self.last |= row
            self.metrics.write({"step": self.step, **row})
            self.tracker.log({"step": self.step, **row})

    @property
    def tracker(self) -> Tracker:
        """Opened with the first row: a run that cannot begin leaves nothing in an account."""
        if not hasattr(self, "_tracker"):
            self._tracker = Tracker(self.accelerator, self.folder, step=self.step, settings=self.plan.as_dict())
        return self._tracker

    def _rows(self) -> list[dict[str, float]]:
        return self.metrics.rows if self.accelerator.is_main_process else []

    def _bar(self) -> tqdm:
        hidden = not self.accelerator.is_main_process
        return tqdm(total=self.plan.steps, initial=self.step, desc="training", unit="step", disable=hidden)

    def _say(self, words: str) -> None:
        if self.accelerator.is_main_process:
            tqdm.write(words)

    def _last_checkpoint(self) -> str:
        there = checkpoints.numbered(self.folder / "checkpoints")
        return f"the last good checkpoint is {there[-1].name}" if there else "there is no checkpoint yet"


class _Loss(nn.Module):
    """The recipe's loss as one forward pass, which is what mixed precision and several processes wrap."""

    def __init__(self, model: nn.Module, terms: Callable[..., dict[str, Tensor]]) -> None:
        super().__init__()
        self.model, self.terms = model, terms

    def forward(self, x: Tensor, eps: Tensor, weight: float) -> dict[str, Tensor]:
        return self.terms(self.model, x, eps, kl_weight=weight)


def _move_average(decay: float, averages: list[Tensor], values: list[Tensor], count: Tensor) -> None:
    """averages ← d·averages + (1 − d)·values, with a d that rises to decay: so the start is soon forgotten."""
    d = min(decay, (1 + int(count)) / (10 + int(count)))
    torch._foreach_lerp_(averages, values, 1 - d)


def _prepare_folder(folder: Path, plan: Plan) -> None:
    """The folder with run.json in it, and nothing left of a killed run's half-written files."""
    try:
        for name in ("checkpoints", "pictures"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        plan.write(folder)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    checkpoints.clear_parts(folder / "checkpoints")
    for part in (folder / "pictures").glob(".*.png"):  # half drawn when a run was killed
        part.unlink()
