"""The numbers in the committed notebooks, and the functions that lessons write by hand and later import."""

import ast
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vae_course import losses, results
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
def test_each_lesson_ran_on_its_full_data(lesson: str) -> None:
    generated = {"08_disentanglement": "shapes", "15_celeba_gpu": "drawn"}  # no picture of CelebA is ever committed
    assert figures(lesson[:2])["source"] == generated.get(lesson, "mnist")


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
    variance = found["vae_variance"]  # what the text says of a full training
    assert variance["score function"] > 100 * variance["score function with baseline"] > 200


def test_04_convolutional_vae() -> None:
    found = figures("04")
    assert found["test_loss"] <= 100
    assert found["training_seconds"] <= 120
    counted = [1, 784 / 200, 7.84, 1.536, 6144, 0.5]  # pixels over latents, times what the code multiplies by
    assert list(found["betas"].values()) == pytest.approx(counted, rel=1e-4)
    assert found["mse"]["Gaussian, calibrated"] < found["mse"]["Gaussian, σ² = 1"] < found["mse"]["the mean image"]
    assert found["ssim"]["Gaussian, calibrated"] > found["ssim"]["Gaussian, σ² = 1"] > found["ssim"]["the mean image"]
    assert found["kl"]["Gaussian, calibrated"] > found["kl"]["Gaussian, σ² = 1"]


def test_05_autoencoder_vs_vae() -> None:
    found = figures("05")
    samples, holes, lines, gap = (found[name] for name in ("samples", "holes", "lines", "gap"))
    frechet = {name: row["Fréchet"] for name, row in samples.items()}
    assert len(holes) == 2 + 6  # test images and noise; two models, three ways of sampling
    assert set(holes) <= set(samples)
    assert holes["test images"] < 0.1
    assert holes["noise"] > 0.9  # the ruler itself

    # the rulers on crowds whose answer is known
    assert samples["training images"]["nearest"] == 0 < samples["test images"]["nearest"]
    assert frechet["training images"] < frechet["test images"] < min(frechet["noise"], frechet["the mean image"])
    assert samples["test images"]["class entropy"] == pytest.approx(math.log(10), abs=0.01)

    assert found["mse"]["AE"] < found["mse"]["VAE"] < found["mse"]["mean image"]
    for name in ("AE", "VAE"):
        assert frechet[f"{name}, rebuilt"] < frechet[f"{name}, mixture"] < frechet[f"{name}, N(0, I)"]
        assert frechet[f"{name}, mixture"] < 30
        assert holes[f"{name}, mixture"] < holes[f"{name}, N(0, I)"]
        assert samples[f"{name}, mixture"]["class entropy"] > 2.2  # of 2.303: all ten digits
        assert samples[f"{name}, mixture"]["nearest"] > 0.8 * samples["test images"]["nearest"]  # no copies
    assert frechet["VAE, N(0, I)"] < frechet["AE, N(0, I)"] / 2  # only the VAE comes with a prior

    fade = lines["cross-fade"]
    assert fade["unevenness"] == pytest.approx(1, abs=1e-3)
    assert fade["detour"] == pytest.approx(1, abs=1e-3)
    assert all(lines[name]["mid nearest"] < fade["mid nearest"] for name in ("AE", "VAE"))

    assert gap["VAE"]["gap"] < 0.75 * gap["AE"]["gap"]
    assert gap["VAE"]["test"] < gap["AE"]["test"]
    assert gap["noise, no KL"]["gap"] > 1.25 * gap["VAE"]["gap"]  # the noise alone does not do it


def test_05_three_seeds() -> None:
    rounds = results.load("autoencoder")["figures"]["rounds"]
    assert len(rounds) == 3
    for row in rounds:
        ae, vae = row["AE"], row["VAE"]
        assert ae["MSE of rebuilt test images"] < vae["MSE of rebuilt test images"]
        assert vae["Fréchet distance, N(0, I)"] < ae["Fréchet distance, N(0, I)"]
        assert ae["Fréchet distance, fitted mixture"] < vae["Fréchet distance, N(0, I)"]
        assert vae["2,000 images, nats: gap"] < ae["2,000 images, nats: gap"]


def test_06_latent_space() -> None:
    found = figures("06")
    table = found["table"]
    assert [row["latents"] for row in table] == [2, 4, 16]
    for fewer, more in pairwise(table):
        assert more["MSE"] < fewer["MSE"]
        assert more["PSNR"] > fewer["PSNR"]
        assert more["SSIM"] > fewer["SSIM"]
        assert more["KL"] > fewer["KL"]
        assert more["-ELBO"] < fewer["-ELBO"]
        assert more["KL"] / more["latents"] < fewer["KL"] / fewer["latents"]
    assert table[0]["-ELBO"] < 206  # the mean image without any latent
    assert table[2]["-ELBO"] <= 108
    for row in found["agreement"].values():  # of a measure before and after reconstruction, for 2, 4, 16 latents
        assert row[0] < row[2]
        assert row[2] >= 0.85
    assert found["change"]["slant"] >= 1  # standard deviations of the test set, from −2 to 2
    assert found["change"]["proportions"] >= 0.7
    assert found["change"]["thickness"] >= 0.8
    lerp, slerp = found["norms"]["lerp"], found["norms"]["slerp"]
    assert lerp == pytest.approx([math.sqrt(16), math.sqrt(8), math.sqrt(16)], rel=0.05)
    assert slerp == pytest.approx([math.sqrt(16)] * 3, rel=0.05)
    assert 0.5 <= found["inside"] <= 0.9  # of the prior it would be 0.95: codes do not fill it


def test_07_beta_vae() -> None:
    found = figures("07")
    betas, rates, distortions = zip(*found["curve"], strict=True)
    assert len(betas) >= 6
    assert list(rates) == sorted(rates, reverse=True)
    assert list(distortions) == sorted(distortions)
    assert all(low <= slope <= high and excess == 0 for low, slope, high, excess in found["slopes"])
    least = min(range(len(betas)), key=lambda i: rates[i] + distortions[i])
    assert betas[least] == 1  # −ELBO is best where it was trained for
    for part, rate in zip(found["split"], rates, strict=True):
        error = part["mutual_information_error"] + part["aggregate_kl_error"]
        assert abs(part["mutual_information"] + part["aggregate_kl"] - part["rate"]) <= 5 * error + 2e-3
        assert part["rate"] == pytest.approx(rate, rel=0.01)  # another computation, on the same images
        assert part["mutual_information"] <= math.log(20_000)
    apart = [row for row in found["linear"] if not row["tie"]]
    assert len(apart) >= 4
    assert all(row["trained"] == row["formula"] == row["predicted"] for row in apart)
    assert {row["predicted"] for row in found["linear"]} >= {0, 30}  # none, and all there are


def test_07_cures() -> None:
    cures = figures("07")["cures"]
    collapsed = cures["none"]
    assert (collapsed["active_units"], collapsed["rate"]) == (0, pytest.approx(0, abs=0.1))
    assert collapsed["negative_elbo"] == pytest.approx(206, abs=8)  # no better than the mean image, on test images
    assert min(cures, key=lambda name: cures[name]["negative_elbo"]) == "larger first weights"
    cured = cures["larger first weights"]
    assert cured["negative_elbo"] < collapsed["negative_elbo"] - 20
    assert cured["active_units"] >= 1
    assert cured["mutual_information"] >= 3
    treated = [row["negative_elbo"] for name, row in cures.items() if name != "none"]
    assert max(treated) > collapsed["negative_elbo"] - 1  # a cure that fails is shown failing


def test_08_scores_of_constructed_codes() -> None:
    found = figures("08")
    assert found["mig"]["perfect"] >= 0.95
    assert found["mig"]["noise"] <= 0.05
    assert max(found["mig"]["rotated"], found["mig"]["worst_rotation"]) <= 0.45
    assert found["mig_by_bins"]["8"] < 0.9 < found["mig_by_bins"]["16"]  # 16 levels want 16 bins
    judged = found["judged"]
    for code in judged.values():  # with five factors; 400 votes: five standard errors
        assert abs(code["chance"] - 0.2) <= 0.1
    assert min(judged["perfect + noise"][score] for score in ("MIG", "FactorVAE", "DCI trees", "DCI lasso")) >= 0.95
    assert abs(judged["noise"]["FactorVAE"] - judged["noise"]["chance"]) <= 0.1
    assert judged["noise"]["DCI trees"] <= 0.05


def test_08_a_code_fools_each_score() -> None:
    judged = figures("08")["judged"]
    assert judged["twice"]["MIG"] <= 0.05  # though every latent is pure
    assert judged["twice"]["DCI trees"] >= 0.95
    assert judged["chained"]["FactorVAE"] >= 0.95  # though every latent carries two factors
    assert judged["chained"]["MIG"] <= 0.45
    assert judged["pure and mixed"]["DCI trees"] >= 0.95  # though half of the latents are mixtures
    assert judged["noise"]["DCI lasso"] >= 0.3  # though there is nothing to disentangle
    assert abs(judged["noise"]["R² lasso"]) <= 0.1
    assert judged["shuffled"]["R² trees"] - judged["shuffled"]["R² lasso"] >= 0.4  # the regressor decides


def test_08_a_rotation_changes_the_scores_and_not_the_loss() -> None:
    found = figures("08")
    assert found["loss_change"] <= 1e-8
    assert found["rotated"]["MIG"] < found["live"]["MIG"]
    assert abs(found["rotated"]["R²"] - found["live"]["R²"]) <= 0.1


def test_08_variance_is_split_between_seed_and_beta() -> None:
    shares = figures("08")["shares"]
    for parts in shares.values():
        for share in parts.values():
            assert share["beta"] + share["seed"] == pytest.approx(1, abs=1e-5)
            assert 0 < share["luck"] < 1
    for parts in (shares["MIG"], shares["DCI_trees"]):  # what the text says of the ledger
        assert 0.2 <= parts["all"]["seed"] <= 0.8
        assert parts["larger"]["beta"] <= parts["larger"]["luck"]
    assert shares["FactorVAE"]["larger"]["beta"] <= shares["FactorVAE"]["larger"]["luck"]
    assert shares["FactorVAE"]["all"]["beta"] > shares["FactorVAE"]["all"]["luck"]
    assert shares["FactorVAE_awake"]["all"]["beta"] <= shares["FactorVAE_awake"]["all"]["luck"]
    assert shares["kl"]["all"]["beta"] >= 0.9


def test_09_conditional_vae() -> None:
    found = figures("09")
    full, collapsed = found["report"]["full"], found["report"]["collapsed (β = 50)"]
    assert found["real"] >= 0.975
    assert full["asked"] >= 0.95
    assert full["variance"] >= 0.65
    assert collapsed["asked"] >= 0.95  # passes the first measure,
    assert collapsed["variance"] <= 0.05  # and fails the second


def test_15_a_direction_adds_what_a_random_one_does_not() -> None:
    found = figures("15")
    assert found["resumed"] is True
    for name in ("Eyeglasses", "Smiling"):
        share = found["shares"][name]
        assert share["turned"] > 0.5
        assert share["random"] < 0.25
        assert share["turned"] > 3 * share["random"]
    assert min(found["accuracy"].values()) > 0.9  # of the judge, on faces it has not seen
    assert found["valid"]["valid_rec"] < 0.35 * found["first_loss"]
    real = [row["real"] for row in found["frechet"].values()]
    assert all(more > less > 0 for more, less in pairwise(real))  # more faces, less of a distance to themselves
    assert all(row["samples"] > 3 * row["real"] for row in found["frechet"].values())


def test_09_three_models_are_told_apart() -> None:
    found = figures("09")["found"]
    full, deaf, blind = (found[name] for name in ("full", "decoder without c", "encoder without c"))
    assert full["swap"] >= 0.95
    assert deaf["swap"] <= 0.05
    assert deaf["linear"] >= 0.8
    assert full["linear"] <= 0.25
    assert full["linear"] + 0.1 <= blind["linear"] <= deaf["linear"] - 0.1
    assert full["nats"] < blind["nats"] < deaf["nats"] <= math.log(10)


def test_09_the_bounds() -> None:
    found = figures("09")
    gap = found["bound"] - found["bound_given_c"]
    assert 1.5 <= gap <= math.log(10)
    assert found["read"] >= 0.95
    assert min(found["kept"].values()) >= 0.5


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
