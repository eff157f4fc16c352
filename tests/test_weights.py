"""Weights to share: the recipe and the metrics are in them, and no file can run code."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from toy_faces import toy_recipe

from vae_course import checkpoints, weights
from vae_course.weights import WeightsError


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch evil",)


def test_weights_come_back_with_their_recipe_and_metrics(tmp_path: Path) -> None:
    recipe = toy_recipe()
    model = recipe.build()
    weights.export(tmp_path / "w.safetensors", model.state_dict(), recipe, {"step": 5, "valid_loss": 1.25})
    state = torch.get_rng_state()
    loaded, recipe_then, metrics = weights.load(tmp_path / "w.safetensors")
    assert torch.equal(state, torch.get_rng_state())
    assert recipe_then == recipe
    assert metrics == {"step": 5, "valid_loss": 1.25}
    x = torch.rand(2, 3, 16, 16)
    assert torch.equal(loaded.encode(x)[0], model.encode(x)[0])
    assert not loaded.training
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_a_malicious_pickle_is_refused_and_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bare, zipped = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    bare.write_bytes(pickle.dumps(Evil()))
    torch.save({"weights": Evil()}, zipped)
    for path in (bare, zipped):
        with pytest.raises(WeightsError, match="refused"):
            weights.load_run(path)
    assert not (tmp_path / "evil").exists()


def test_weights_without_a_recipe_or_of_another_are_refused(tmp_path: Path) -> None:
    path, recipe = tmp_path / "w.safetensors", toy_recipe()
    tensors = {name: value.contiguous() for name, value in recipe.build().state_dict().items()}
    save_file(tensors, path)
    with pytest.raises(WeightsError, match="does not say which recipe"):
        weights.load(path)
    save_file(tensors, path, {"recipe": json.dumps({"name": "x"}), "metrics": "{}"})
    with pytest.raises(WeightsError, match="does not say which recipe"):
        weights.load(path)
    weights.export(path, tensors, toy_recipe(channels=(8, 16, 32)), {})
    with pytest.raises(WeightsError, match="do not fit recipe"):
        weights.load(path)


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    checkpoints.save(tmp_path / "checkpoints", 1, {"step": 1})
    with pytest.raises(WeightsError, match="no checkpoint of a run"):
        weights.load_run(tmp_path)


def test_no_run_is_said(tmp_path: Path) -> None:
    for where in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match="holds no run"):
            weights.load_run(where)
