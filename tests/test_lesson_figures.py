"""The numbers in the committed notebooks, and the functions that lessons write by hand and later import."""

import ast
import json
import math
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vae_course import losses
from vae_course.models.conv import ConvVAE
from vae_course.models.mlp import MLPVAE

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
LESSONS = sorted(path.stem for path in FOLDER.glob("[0-9][0-9]_*.py"))


def figures(number: str) -> dict[str, Any]:
    """What the lesson's one cell tagged `figures` printed in the committed run."""
    (path,) = FOLDER.glob(f"{number}_*.ipynb")
    cells = nbformat.read(path, as_version=4).cells
    (cell,) = (cell for cell in cells if "figures" in cell.metadata.get("tags", ()))
    (output,) = cell.outputs
    assert output.name == "stdout"
    return dict(json.loads(output.text))


# ---- quality figures, of the full run on the real MNIST ----


@pytest.mark.parametrize("lesson", LESSONS)
def test_each_lesson_ran_on_mnist(lesson: str) -> None:
    assert figures(lesson[:2])["source"] == "mnist"


def test_00_start_here() -> None:
    found = figures("00")
    assert found["test_loss"] <= 140  # four latents; without any, 206
    assert found["training_seconds"] <= 60


def test_01_the_derivation_is_exact() -> None:
    found = figures("01")
    assert found["identity_error"] <= 1e-10
    assert found["identity_pairs"] >= 100
    assert found["grid_error"] <= 1e-6
    assert found["kl_standard_errors"] <= 5


def test_02_forward_pass() -> None:
    found = figures("02")
    assert found["parity"] <= 1e-6
    assert found["zero_logits"] == pytest.approx(784 * math.log(2), abs=1e-6)
    assert found["mean_image"] == pytest.approx(206, abs=1)
    assert 0 < found["perfect"] < found["mean_image"]


def test_03_gradients() -> None:
    found = figures("03")
    ratio, error, exact = found["variance_ratio"]
    assert found["largest_standard_error"] <= 0.02
    assert found["largest_deviation"] <= 5
    assert 0 < error < exact
    assert abs(ratio - exact) <= 5 * error
    assert found["finite_difference_error"] <= 1e-6
    assert found["autograd_error"] <= 1e-6
    assert found["mean_image"] == pytest.approx(206, abs=1)  # a decoder that ignores z
    assert found["test_loss"] <= 140


def test_04_convolutional_vae() -> None:
    found = figures("04")
    assert found["test_loss"] <= 100
    assert found["training_seconds"] <= 120
    counted = [1, 784 / 200, 7.84, 1.536, 6144, 0.5]  # pixels over latents, times what the code multiplies by
    assert list(found["betas"].values()) == pytest.approx(counted, rel=1e-4)
    assert found["mse"]["Gaussian, calibrated"] < found["mse"]["Gaussian, σ² = 1"] < found["mse"]["the mean image"]
    assert found["ssim"]["Gaussian, calibrated"] > found["ssim"]["Gaussian, σ² = 1"] > found["ssim"]["the mean image"]
    assert found["kl"]["Gaussian, calibrated"] > found["kl"]["Gaussian, σ² = 1"]


# ---- written by hand once, imported afterwards ----


def by_hand(number: str, *names: str, **given: Any) -> dict[str, Any]:
    """The lesson's own definitions of `names`, and nothing else of it."""
    (path,) = FOLDER.glob(f"{number}_*.py")
    namespace: dict[str, Any] = {"np": np, "torch": torch, "F": F, **given}
    for cell in jupytext.read(path, fmt="py:percent").cells:
        if cell.cell_type == "code":
            wanted = [node for node in ast.parse(cell.source).body if defines(node) in names]
            exec(compile(ast.Module(wanted, []), path.name, "exec"), namespace)
    assert set(names) <= set(namespace)
    return namespace


def defines(node: ast.stmt) -> str:
    if isinstance(node, ast.FunctionDef):
        return node.name
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return ""


def close(a: Any, b: Any) -> bool:
    a, b = torch.as_tensor(a), torch.as_tensor(b)
    assert a.shape == b.shape
    assert a.dtype == b.dtype == torch.float64
    return bool((a - b).abs().max() <= 1e-10 * max(1.0, float(b.abs().max())))


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def normal(rng: torch.Generator) -> Any:
    return lambda *shape: torch.randn(*shape, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("number", ["01", "02"])
def test_kl(number: str, normal: Any) -> None:
    mu, logvar = normal(7, 3), normal(7, 3)
    ours = by_hand(number, "kl_to_standard_normal")["kl_to_standard_normal"](mu.numpy(), logvar.numpy())
    assert close(ours, losses.kl_to_standard_normal(mu, logvar))


def test_kl_of_lesson_04(normal: Any) -> None:
    mu, logvar = normal(7, 3), normal(7, 3)
    parts = by_hand("04", "kl_parts")["kl_parts"](mu, logvar)
    assert close(parts.sum(1), losses.kl_to_standard_normal(mu, logvar))


def test_bernoulli_log_likelihood(normal: Any) -> None:
    logits, x = 20 * normal(5, 1, 6, 4), normal(5, 1, 6, 4).sigmoid()
    flat = (t.flatten(1).numpy() for t in (logits, x))
    ours = by_hand("02", "bernoulli_log_likelihood")["bernoulli_log_likelihood"](*flat)
    assert close(ours, losses.bernoulli_log_likelihood(logits, x))


def test_reparameterize(rng: torch.Generator, normal: Any) -> None:
    mu, logvar = normal(7, 3), normal(7, 3)
    theirs = losses.reparameterize(mu, logvar, generator=rng.manual_seed(1))
    rng.manual_seed(1)
    ours = by_hand("02", "reparameterize")["reparameterize"](mu.numpy(), logvar.numpy(), normal(7, 3).numpy())
    assert close(ours, theirs)


def test_the_numpy_vae(rng: torch.Generator, normal: Any) -> None:
    names = ["linear", "sigmoid", "silu", "encode", "decode", "reparameterize"]
    names += ["bernoulli_log_likelihood", "kl_to_standard_normal", "negative_elbo"]
    model = MLPVAE(z_dim=20, hidden=(400,)).double()
    layers = [f"{name}.{part}" for name in ("enc1", "enc2", "dec1", "dec2") for part in "Wb"]
    params = {layer: p.detach().numpy() for layer, p in zip(layers, model.parameters(), strict=True)}
    x = normal(9, 1, 28, 28).sigmoid()
    theirs = losses.negative_elbo(model, x, generator=rng.manual_seed(1))
    rng.manual_seed(1)
    ours = by_hand("02", *names)["negative_elbo"](params, x.flatten(1).numpy(), normal(9, 20).numpy())
    assert all(close(ours[name], theirs[name].detach()) for name in ("loss", "rec", "kl"))


@pytest.mark.parametrize("n", [1, 6])
def test_the_vae_from_functions(n: int, rng: torch.Generator, normal: Any) -> None:
    names = ["Z_DIM", "WEIGHTS", "new_parameters", "layer", "encode", "decode", "negative_elbo"]
    lesson = by_hand("04", *names)
    params = {name: p.detach().double() for name, p in lesson["new_parameters"](rng).items()}
    model = ConvVAE(z_dim=lesson["Z_DIM"]).double()
    with torch.no_grad():
        for ours, theirs in zip(params.values(), model.parameters(), strict=True):
            theirs.copy_(ours)
        x, z = normal(n, 1, 28, 28).sigmoid(), normal(n, lesson["Z_DIM"])
        assert all(map(close, lesson["encode"](params, x), model.encode(x)))
        assert close(lesson["decode"](params, z), model.decode(z))
        torch.manual_seed(1)
        by_lesson = lesson["negative_elbo"](params, x)
        torch.manual_seed(1)
        by_package = losses.negative_elbo(model, x)
    assert all(close(by_lesson[name], by_package[name]) for name in ("loss", "rec", "kl"))
