"""Trained weights to share: safetensors, which cannot run code, with the recipe and the last metrics inside."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

import vae_course
from vae_course import checkpoints
from vae_course.models.celeba import ImageVAE
from vae_course.recipes import Recipe

FILE = "weights.safetensors"


class WeightsError(RuntimeError):
    """A file that holds no weights of ours; the message says why, and nothing in it was run."""


def export(path: Path, tensors: dict[str, Tensor], recipe: Recipe, metrics: dict[str, Any]) -> None:
    """Write a model's state dictionary, its recipe and metrics ("step" among them), whole or not at all."""
    words = {"recipe": json.dumps(recipe.as_dict()), "metrics": json.dumps(metrics), "version": vae_course.__version__}
    part = path.with_name(f".{path.name}.part")
    try:
        save_file({name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}, part, words)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def load(path: Path) -> tuple[ImageVAE, Recipe, dict[str, Any]]:
    """The model in evaluation mode, on the CPU, its recipe and metrics. Raises WeightsError on any other file."""
    try:
        with safe_open(path, framework="pt") as file:
            words, tensors = file.metadata() or {}, {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} was refused: it is no safetensors file ({error})") from error
    try:
        recipe, metrics = Recipe.from_dict(json.loads(words["recipe"])), json.loads(words["metrics"])
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError(f"{path} does not say which recipe its weights belong to ({error})") from error
    return _model(path, tensors, recipe), recipe, metrics


def load_run(run: Path | str) -> tuple[ImageVAE, Recipe, dict[str, Any]]:
    """The newest weights of a run's folder, or those in a file of `export`; else as `load`.

    They are the moving average where the recipe has one. Raises FileNotFoundError if there is no run, CheckpointError
    or WeightsError if nothing in it is whole.
    """
    run = Path(run)
    if run.is_file():
        return load(run)
    found = checkpoints.newest(run / "checkpoints") if run.is_dir() else None
    if found is None:
        raise FileNotFoundError(f"{run} holds no run: it should have checkpoints/ in it, or be a .safetensors file")
    path, state = found
    if "plan" not in state:
        raise WeightsError(f"{path} is no checkpoint of a run: there is no plan in it")
    recipe = Recipe.from_dict(state["plan"]["recipe"])
    return _model(path, state["average"] or state["model"], recipe), recipe, {"step": state["step"], **state["metrics"]}


def _model(path: Path, tensors: dict[str, Tensor], recipe: Recipe) -> ImageVAE:
    with torch.device("meta"):  # no time and no random number for weights that are overwritten
        model = recipe.build()
    try:
        model.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        raise WeightsError(f"the weights in {path} do not fit recipe {recipe.name}: {error}") from error
    return model.eval()
