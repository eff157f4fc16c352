"""Collapse: the split of the KL against integration on a grid, and the linear VAE against what is known exactly."""

import ast
import math
from functools import partial
from pathlib import Path

import jupytext
import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from vae_course import collapse, latent, training
from vae_course.collapse import active_units, kl_split, kl_with_free_total, optimal_linear_vae, predicted_active, report
from vae_course.losses import (
    gaussian_log_likelihood,
    kl_per_latent,
    kl_to_standard_normal,
    kl_with_free_bits,
    negative_elbo,
)
from vae_course.models.mlp import MLPVAE

pytestmark = pytest.mark.slow  # trains or imports for seconds: `make check` goes without

SHAPE = (1, 3, 4)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def codes(n, d, seed=0, spread=1.0, logvar=-1.0):
    rng = generator(seed)
    mu = spread * torch.randn(n, d, generator=rng, dtype=torch.float64)
    return mu, logvar + 0.5 * torch.randn(n, d, generator=rng, dtype=torch.float64)


def on_a_grid(mu, logvar):
    """Mutual information, aggregate KL and the leave-out mean of one-dimensional posteriors, by integration."""
    z = np.linspace(-8, 8, 8_001)
    mean, std = mu.numpy(), np.exp(0.5 * logvar.numpy())  # (N, 1) each
    q = np.exp(-0.5 * ((z - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi)) + 1e-300  # (N, grid)
    p = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    every = q.mean(axis=0)
    others = np.stack([np.delete(q, i, axis=0).mean(axis=0) for i in range(len(q))])
    information = np.trapezoid(q * np.log(q / every), z, axis=1).mean()
    leave_out = np.trapezoid(q * np.log(q / others), z, axis=1).mean()
    return information, np.trapezoid(every * np.log(every / (p + 1e-300)), z), leave_out


# ---- the split ----


@pytest.mark.parametrize(("n", "spread", "logvar"), [(2, 0.5, -1.0), (5, 1.0, -1.0), (40, 1.0, -2.0), (7, 2.0, 0.0)])
def test_each_term_is_that_of_a_grid(n, spread, logvar):
    mu, logvar = codes(n, 1, seed=n, spread=spread, logvar=logvar)
    found = kl_split(mu, logvar, samples=20_000, generator=generator())
    information, aggregate, leave_out = on_a_grid(mu, logvar)
    assert abs(found["mutual_information"] - information) <= 5 * found["mutual_information_error"]
    assert abs(found["aggregate_kl"] - aggregate) <= 5 * found["aggregate_kl_error"]
    assert found["leave_out"] == pytest.approx(leave_out, abs=0.2, rel=0.05)
    assert found["mutual_information_error"] < 0.02


def test_the_standard_errors_are_those_of_repetition():
    mu, logvar = codes(20, 2)
    runs = [kl_split(mu, logvar, samples=500, generator=generator(seed)) for seed in range(200)]
    for name in ("mutual_information", "aggregate_kl"):
        spread = np.std([run[name] for run in runs])
        assert np.mean([run[f"{name}_error"] for run in runs]) == pytest.approx(spread, rel=0.25)


def test_equal_posteriors_tell_nothing():
    mu, logvar = torch.full((50, 3), 0.7), torch.full((50, 3), -0.4)
    found = kl_split(mu, logvar, generator=generator())
    assert found["mutual_information"] == pytest.approx(0, abs=1e-12)
    assert found["leave_out"] == pytest.approx(0, abs=1e-12)
    assert abs(found["aggregate_kl"] - found["rate"]) <= 5 * found["aggregate_kl_error"]


def test_posteriors_far_apart_tell_log_n_and_no_more():
    mu = 100.0 * torch.arange(30.0)[:, None] * torch.ones(1, 2)
    found = kl_split(mu, torch.full_like(mu, -8.0), generator=generator())
    assert found["mutual_information"] == pytest.approx(math.log(30), abs=1e-12)
    assert found["leave_out"] > 1000  # the two bounds enclose nothing here


def test_a_posterior_equal_to_the_prior_costs_nothing():
    found = kl_split(torch.zeros(10, 4), torch.zeros(10, 4), generator=generator())
    assert found == pytest.approx(dict.fromkeys(found, 0.0), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_terms_add_up_to_the_rate(seed):
    mu, logvar = codes(300, 6, seed)
    found = kl_split(mu.float(), logvar.float(), samples=4000, generator=generator(seed))
    assert found["rate"] == pytest.approx(kl_to_standard_normal(mu, logvar).mean().item(), rel=1e-5)
    error = found["mutual_information_error"] + found["aggregate_kl_error"]
    assert abs(found["mutual_information"] + found["aggregate_kl"] - found["rate"]) <= 5 * error
    assert found["mutual_information"] <= math.log(300) + 1e-9
    assert found["mutual_information"] < found["leave_out"]


def test_narrow_posteriors_far_from_zero_lose_no_digits():
    """log q = -½(z - μ)²/σ² … is computed from squares that are 1e8 times larger than the result."""
    mu, logvar = torch.tensor([[50.0], [50.01]]), torch.full((2, 1), -9.0)
    found = kl_split(mu, logvar, samples=20_000, generator=generator())
    assert abs(found["mutual_information"] - on_a_grid(mu.double() - 50, logvar.double())[0]) < 0.01


def test_chunks_change_nothing(monkeypatch):
    mu, logvar = codes(30, 3)
    whole = kl_split(mu, logvar, samples=101, generator=generator())
    monkeypatch.setattr(collapse, "PAIRS", 200)
    assert kl_split(mu, logvar, samples=101, generator=generator()) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize(("n", "samples"), [(1, 100), (5, 1), (0, 100)])
def test_a_split_wants_two_images_and_two_samples(n, samples):
    with pytest.raises(ValueError, match="at least two"):
        kl_split(torch.zeros(n, 2), torch.zeros(n, 2), samples=samples)


# ---- active units, the report ----


def test_active_units_counts_means_that_vary():
    mu = torch.zeros(1000, 5, dtype=torch.float64) + 3.0  # a constant mean tells nothing about x
    wave = torch.linspace(0, 200, 1000, dtype=torch.float64).sin()
    mu[:, 1], mu[:, 2], mu[:, 4] = wave, 0.16 * wave, 0.12 * wave  # variances of about 0.5, 0.013, 0.007
    assert active_units(mu) == 2 == int((mu.numpy().var(axis=0, ddof=1) > 0.01).sum())
    assert active_units(mu, threshold=0.001) == 3


@pytest.mark.parametrize("shape", [(5,), (1, 3), (2, 3, 4)])
def test_active_units_wants_rows(shape):
    with pytest.raises(ValueError, match="mu must have shape"):
        active_units(torch.zeros(shape))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_model_that_diverged_is_not_called_collapsed(bad):
    mu, logvar = codes(5, 3)
    mu[2, 1] = bad
    with pytest.raises(ValueError, match="diverged"):
        active_units(mu)
    with pytest.raises(ValueError, match="diverged"):
        kl_split(mu, logvar)
    with pytest.raises(ValueError, match="diverged"):
        kl_split(logvar, mu)


def test_the_report_is_of_the_model_in_evaluation_mode():
    torch.manual_seed(0)
    model, x = MLPVAE(2, hidden=(8,), x_shape=SHAPE), torch.rand(60, *SHAPE, generator=generator())
    model.encoder.insert(2, torch.nn.BatchNorm1d(8))
    model.encoder.insert(3, torch.nn.Dropout(0.5))
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, second = (report(model, x, generator=generator()) for _ in range(2))
    assert first == second
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_more_samples_are_taken_if_asked_for():
    torch.manual_seed(0)
    model, x = MLPVAE(3, hidden=(8,), x_shape=SHAPE), torch.rand(60, *SHAPE, generator=generator())
    mu, logvar = latent.posteriors(model, x)
    found = report(model, x, samples=50, generator=generator())
    assert found["mutual_information"] == kl_split(mu, logvar, samples=50, generator=generator())["mutual_information"]


def test_the_report_agrees_with_its_parts():
    torch.manual_seed(0)
    model, x = MLPVAE(3, hidden=(8,), x_shape=SHAPE), torch.rand(60, *SHAPE, generator=generator())
    found = report(model, x, generator=generator())
    mu, logvar = latent.posteriors(model, x)
    split = kl_split(mu, logvar, generator=generator())
    kl = kl_per_latent(mu, logvar).mean(dim=0)
    assert found["kl_per_latent"] == pytest.approx(sorted(kl.tolist(), reverse=True))
    assert found["rate"] == split["rate"] == pytest.approx(sum(found["kl_per_latent"]), rel=1e-5)
    assert found["mutual_information"] == split["mutual_information"]
    assert found["active_units"] == active_units(mu)
    assert found["negative_elbo"] == training.evaluate(model, x)["loss"]
    other = report(model, x, loss=partial(negative_elbo, beta=3.0), generator=generator())
    assert other["negative_elbo"] == pytest.approx(found["negative_elbo"] + 2 * found["rate"], rel=1e-5)


# ---- free nats for the total ----


@pytest.mark.parametrize("free", [0.0, 1.0, 1e6])
def test_the_total_is_charged_above_its_allowance(free):
    mu, logvar = codes(20, 4)
    mu.requires_grad_()
    charged = kl_with_free_total(mu, logvar, free=free)
    kl = kl_to_standard_normal(mu, logvar)
    assert charged.shape == (20,)
    assert charged.mean().item() == pytest.approx(max(free, kl.mean().item()))
    if free < kl.mean():
        (gradient,) = torch.autograd.grad(charged.mean(), mu)
        assert torch.allclose(gradient, mu / 20)
    else:
        assert not charged.requires_grad


@pytest.mark.parametrize("free", [-1.0, math.nan, math.inf])
def test_an_allowance_that_is_negative_or_not_finite_is_refused(free):
    with pytest.raises(ValueError, match="free must be"):
        kl_with_free_total(torch.zeros(2, 2), torch.zeros(2, 2), free=free)


def test_a_nan_is_not_hidden_by_the_allowance():
    assert kl_with_free_total(torch.full((2, 2), math.nan), torch.zeros(2, 2), free=5.0).isnan().all()


# ---- the linear VAE ----


def pictures(n=400, seed=0):
    """Correlated pixels in [0, 1] with eigenvalues well apart."""
    rng = generator(seed)
    scale = 0.6 ** torch.arange(12.0)
    mixing = torch.linalg.qr(torch.randn(12, 12, generator=rng)).Q
    x = torch.randn(n, 12, generator=rng) * scale @ mixing.T
    return (0.5 + 0.1 * x).clamp(0, 1).unflatten(1, SHAPE)


def variances(x):
    """Eigenvalues of the pixels' covariance by scikit-learn, largest first."""
    return PCA().fit(x.flatten(1).double().numpy()).explained_variance_ * (len(x) - 1) / len(x)


@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0, 20.0, 1e4])
def test_the_prediction_counts_scikit_learns_variances(beta):
    x = pictures()
    assert predicted_active(x, var=1e-4, beta=beta) == (variances(x) > beta * 1e-4).sum()


@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0, 20.0])
def test_as_many_latents_are_active_as_predicted(beta):
    x = pictures(2000)
    model = optimal_linear_vae(x, z_dim=10, var=1e-4, beta=beta)
    mu, logvar = latent.posteriors(model, pictures(2000, seed=1))
    lam, s = torch.from_numpy(variances(x))[:10], beta * 1e-4
    active = lam > s
    assert active_units(mu) == active.sum() == predicted_active(x, var=1e-4, beta=beta)
    assert torch.allclose(logvar.double().exp()[0], torch.where(active, s / lam, 1.0), rtol=1e-3)
    here, _ = latent.posteriors(model, x)
    assert torch.allclose(here.double().var(dim=0, unbiased=False), (1 - s / lam).clamp(min=0), atol=1e-4)


def expected_loss(model, x, var, beta):
    """D + βR without sampling: E|x - Wz - b|² = |x - Wμ - b|² + Σ_j v_j |W_j|². x: (N, C, H, W) -> a number."""
    mu, logvar = model.encode(x)
    w = model.decoder[0].weight
    square = ((x - model.decode(mu)) ** 2).flatten(1).sum(1) + (logvar.exp() * (w**2).sum(0)).sum(1)
    pixels = x[0].numel()
    distortion = square / (2 * var) + pixels / 2 * math.log(2 * math.pi * var)
    return (distortion + beta * kl_to_standard_normal(mu, logvar)).mean()


@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
def test_the_formulas_model_cannot_be_improved(beta):
    x = pictures().double()
    model = optimal_linear_vae(x, z_dim=6, var=1e-4, beta=beta).double()
    best = expected_loss(model, x, 1e-4, beta)
    gradients = torch.autograd.grad(best, list(model.parameters()))
    assert max(g.abs().max() for g in gradients) < 2e-2  # the weights are stored in 32 bits; a random model has 1e4
    rng = generator()
    with torch.no_grad():
        for size in (0.3, 0.03, 0.01):
            other = optimal_linear_vae(x, z_dim=6, var=1e-4, beta=beta).double()
            for p in other.parameters():
                p.mul_(1 + size * torch.randn(p.shape, generator=rng, dtype=p.dtype))
            assert expected_loss(other, x, 1e-4, beta) > best


def test_at_beta_1_the_bound_is_the_likelihood():
    """Its posterior is exact, so -ELBO is -log N(x; b, WW' + var·I)."""
    x = pictures().double()
    model = optimal_linear_vae(x, z_dim=6, var=1e-4).double()
    w, b = model.decoder[0].weight.detach(), model.decoder[0].bias.detach()
    exact = torch.distributions.MultivariateNormal(b, w @ w.T + 1e-4 * torch.eye(12, dtype=torch.float64))
    assert expected_loss(model, x, 1e-4, 1.0).item() == pytest.approx(-exact.log_prob(x.flatten(1)).mean().item())


def test_its_rate_is_that_of_reverse_water_filling():
    """R = Σ ½ log(λ/s) over the λ above the water level s, as for a Gaussian source."""
    x, s = pictures(), 3e-4
    mu, logvar = latent.posteriors(optimal_linear_vae(x, z_dim=12, var=1e-4, beta=3.0), x)
    lam = variances(x)
    rate = 0.5 * np.log(lam[lam > s] / s).sum()
    assert kl_to_standard_normal(mu, logvar).mean().item() == pytest.approx(rate, rel=1e-4)


def test_the_course_evaluates_it_as_any_other_model():
    x = pictures()
    model = optimal_linear_vae(x, z_dim=6, var=1e-4)
    loss = partial(negative_elbo, log_likelihood=lambda mean, x: gaussian_log_likelihood(mean, x, var=1e-4))
    exact = expected_loss(model, x, 1e-4, 1.0).item()
    assert training.evaluate(model, x, loss=loss)["loss"] == pytest.approx(exact, abs=0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"var": 0.0}, "var must be"),
        ({"var": math.nan}, "var must be"),
        ({"beta": -1.0}, "beta must be"),
        ({"beta": math.nan}, "beta must be"),
        ({"beta": 0.0}, "beta must be > 0"),
        ({"z_dim": 13}, "z_dim must be at most 12"),
    ],
)
def test_unusable_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        optimal_linear_vae(pictures(20), **{"z_dim": 2, "var": 0.1, **change})


def test_one_image_has_no_covariance():
    with pytest.raises(ValueError, match="at least two images"):
        predicted_active(pictures(1), var=0.1)


# ---- written by hand in lesson 07, imported afterwards ----


def by_hand(*names):
    """The lesson's own definitions of these functions, and nothing else of it."""
    path = Path(__file__).resolve().parents[1] / "notebooks" / "07_beta_vae.py"
    code = "\n".join(c.source for c in jupytext.read(path, fmt="py:percent").cells if c.cell_type == "code")
    wanted = [n for n in ast.parse(code).body if isinstance(n, ast.FunctionDef) and n.name in names]
    assert {n.name for n in wanted} == set(names)
    namespace = {"math": math, "torch": torch}
    exec(compile(ast.Module(wanted, []), path.name, "exec"), namespace)
    return [namespace[name] for name in names]


def test_the_lessons_split():
    (split,) = by_hand("split")
    mu, logvar = codes(40, 3)
    rng = generator(3)
    own, eps = torch.randint(40, (90,), generator=rng), torch.randn(90, 3, generator=rng, dtype=torch.float64)
    information, aggregate = split(mu, logvar, own, eps)
    found = kl_split(mu, logvar, samples=90, generator=generator(3))
    assert found["mutual_information"] == pytest.approx(information.mean().item(), rel=1e-10)
    assert found["aggregate_kl"] == pytest.approx(aggregate.mean().item(), rel=1e-10)


@pytest.mark.parametrize("free", [0.0, 0.6, 5.0, 100.0])
def test_the_lessons_free_nats(free):
    each, total = by_hand("free_bits", "free_total")
    mu, logvar = codes(20, 4)
    mu.requires_grad_()
    for ours, theirs in ((each, kl_with_free_bits), (total, kl_with_free_total)):
        a, b = ours(mu, logvar, free), theirs(mu, logvar, free=free).mean()
        assert a.item() == pytest.approx(b.item(), rel=1e-10)
        if b.requires_grad:
            gradients = [torch.autograd.grad(value, mu)[0] for value in (a, b)]
            assert torch.allclose(*gradients)


@pytest.mark.parametrize("beta", [0.5, 3.0])
def test_the_lessons_linear_vae(beta):
    predicted, units, loss = by_hand("predicted_active", "active_units", "linear_loss")
    x = pictures().double()
    assert predicted(x, 1e-4, beta) == predicted_active(x, var=1e-4, beta=beta)
    model = optimal_linear_vae(x, z_dim=6, var=1e-4, beta=beta).double()
    mu, logvar = latent.posteriors(model, x)
    assert units(mu) == active_units(mu)
    pixels = x.flatten(1) - x.flatten(1).mean(dim=0)
    covariance = pixels.T @ pixels / len(x)
    w, v = model.decoder[0].weight.detach(), model.encoder[-1].weight.detach()[:6]
    constant = 6 * math.log(2 * math.pi * 1e-4)  # of 12 pixels
    for scale in (1.0, 0.7):  # away from the optimum, too
        ours = loss(w * scale, v, logvar[0], covariance, 1e-4, beta).item()
        model.decoder[0].weight.data.copy_(w * scale)
        assert ours + constant == pytest.approx(expected_loss(model, x, 1e-4, beta).item(), rel=1e-5)
