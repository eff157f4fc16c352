"""What a long run computes on: how many processes, which device, which precision."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list

from vae_course.data.celeba import Faces
from vae_course.recipes import Recipe, objective
from vae_course.tracking import installed
from vae_course.training import _faster_precision

PRECISIONS = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}  # accelerate's words for them


def agreed_precision(precision: str, recipe: Recipe, faces: Faces, *, cpu: bool) -> str:
    """ "fp32", "bf16" or "fp16": what was asked for, or with "auto" what the first process finds best, for all of them.

    On a GPU that is bf16 where the card has it, else fp16; on a CPU what a short trial shows faster; printed. Raises
    ValueError on another word, and on fp16 without a GPU.
    """
    if precision not in ("auto", *PRECISIONS):
        raise ValueError(f"precision must be auto, {', '.join(PRECISIONS)}, got {precision!r}")
    on_gpu = torch.cuda.is_available() and not cpu
    if precision == "auto" and not cpu and torch.backends.mps.is_available():
        return "fp32"  # a trial on the CPU would say nothing about Apple's GPU
    if precision == "fp16" and not on_gpu:
        raise ValueError("precision fp16 needs a GPU: choose bf16 or fp32")
    if precision != "auto":
        return precision
    state = PartialState(cpu=cpu)
    chosen = [""]
    if state.is_main_process:
        chosen = [_best_on_gpu() if on_gpu else _faster_on_cpu(recipe, faces)]
    broadcast_object_list(chosen)
    return chosen[0]


def _best_on_gpu() -> str:
    chosen = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    print(f"precision: {chosen}")
    return chosen


def _faster_on_cpu(recipe: Recipe, faces: Faces) -> str:
    with torch.random.fork_rng(devices=[]):
        model = recipe.build().to(memory_format=torch.channels_last)
    x = faces.batch(faces.splits["train"][: recipe.batch_size])
    eps = torch.zeros(len(x), *model.z_shape)
    return _faster_precision(model, partial(objective, replace(recipe, perceptual_weight=0.0)), [x, eps])


@contextmanager
def started(precision: str, *, tracker: str, folder: Path, cpu: bool) -> Iterator[Accelerator]:
    """The accelerator of a run. On every way out the process group ends, without which gloo aborts, and the next run in
    this process may choose anew. Raises ValueError on fp16 without a GPU.
    """
    if precision == "fp16" and (cpu or not torch.cuda.is_available()):  # of a run that began on a GPU
        raise ValueError("this run computes in fp16, which needs a GPU: go on with it where there is one")
    before = torch.get_float32_matmul_precision()
    if torch.cuda.is_available() and not cpu:
        torch.set_float32_matmul_precision("high")  # TensorFloat-32 for what stays in fp32
    accelerator = None
    try:
        accelerator = Accelerator(
            cpu=cpu, mixed_precision=PRECISIONS[precision], log_with=installed(tracker) or None, project_dir=folder
        )
        yield accelerator
    finally:
        torch.set_float32_matmul_precision(before)
        try:
            if accelerator is not None:
                _end(accelerator)
        finally:
            AcceleratorState._reset_state(reset_partial_state=True)


def _end(accelerator: Accelerator) -> None:
    try:
        for tracker in accelerator.trackers:
            tracker.finish()
    except Exception as error:  # a tracker that fails costs a run nothing, at its end either
        print(f"the tracker could not be closed ({type(error).__name__}: {error})")
    accelerator.trackers = []
    accelerator.end_training()
