"""The sweep over β, and the slope condition held against curves that are known exactly."""

import ast
import math
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import jupytext
import numpy as np
import pytest
import torch

from vae_course import runtime, training
from vae_course.losses import bernoulli_log_likelihood, negative_elbo
from vae_course.models.mlp import MLPVAE
from vae_course.rate_distortion import slopes, sweep

pytestmark = pytest.mark.slow  # trains or imports for seconds: `make check` goes without

SHAPE = (1, 4, 5)
MAKE = partial(MLPVAE, z_dim=2, hidden=(8,), x_shape=SHAPE)


def images(n=64):
    rng = torch.Generator().manual_seed(0)
    x = torch.zeros(n, *SHAPE)
    x[::2, :, :2], x[1::2, :, 2:] = 0.9, 0.9
    return x + 0.1 * torch.rand(x.shape, generator=rng)


def exact(betas, variances, var=0.1):
    """Rate and distortion of the best linear VAE: reverse water-filling at the level β·var, constants left out."""
    rows = []
    for beta in betas:
        left = np.minimum(variances, beta * var)
        rows.append({"beta": beta, "rate": 0.5 * np.log(variances / left).sum(), "distortion": left.sum() / (2 * var)})
    return rows


# ---- slopes ----


@pytest.mark.parametrize("seed", range(5))
def test_exact_minimisers_satisfy_the_condition(seed):
    rng = np.random.default_rng(seed)
    rows = exact([0.1, 0.5, 1, 1.1, 4, 20], rng.exponential(size=30))
    for found in slopes(rows):
        assert found["low"] < found["slope"] < found["high"]
        assert found["excess"] == 0


def test_neighbours_close_together_give_the_curves_derivative():
    """dD/dR = -β at the optimum."""
    (found,) = slopes(exact([2.0, 2.002], np.array([1.0, 3.0, 0.5])))
    assert found["slope"] == pytest.approx(2.001, rel=1e-6)


def test_the_excess_is_what_the_beaten_model_lacks_on_its_own_objective():
    rows = exact([1.0, 2.0], np.array([1.0, 3.0]))
    for i, beta in enumerate([1.0, 2.0]):
        bad = [dict(row) for row in rows]
        bad[i]["distortion"] += 5.0
        (found,) = slopes(bad)
        own, other = (bad[j]["distortion"] + beta * bad[j]["rate"] for j in (i, 1 - i))
        assert found["excess"] == pytest.approx(own - other)
        assert not 1.0 <= found["slope"] <= 2.0


def test_the_order_of_the_rows_does_not_matter():
    rows = exact([0.5, 1, 2, 4], np.array([1.0, 3.0]))
    assert slopes(rows[::-1]) == slopes(rows) == slopes([rows[2], rows[0], rows[3], rows[1]])


def test_two_collapsed_models_contradict_nothing():
    (found,) = slopes([{"beta": b, "rate": 0.0, "distortion": 200.0} for b in (8, 16)])
    assert math.isnan(found["slope"])
    assert found["excess"] == 0


def test_a_curve_that_bends_the_wrong_way_is_seen():
    points = [(1, 10, 100), (2, 9, 103), (4, 6, 105)]
    rows = [{"beta": b, "rate": r, "distortion": d} for b, r, d in points]
    assert [found["slope"] for found in slopes(rows)] == pytest.approx([3, 2 / 3])
    assert [found["excess"] for found in slopes(rows)] == pytest.approx([1, 4])


# ---- sweep ----


def test_each_row_is_one_training_from_the_same_start():
    x = images()
    rows = sweep(MAKE, x, [0.5, 4.0], epochs=2, lr=1e-2, seed=3)
    for row, beta in zip(rows, [0.5, 4.0], strict=True):
        order = runtime.seed(3)
        model, loss = MAKE(), partial(negative_elbo, beta=beta)
        training.fit(model, x, epochs=2, lr=1e-2, loss=loss, generator=order)
        for ours, theirs in zip(row["model"].parameters(), model.parameters(), strict=True):
            assert torch.equal(ours, theirs)
        terms = training.evaluate(model, x)
        assert (row["beta"], row["rate"], row["distortion"]) == (beta, terms["kl"], terms["rec"])


def test_a_heavier_weight_buys_less_rate():
    rows = sweep(MAKE, images(), [0.1, 1.0, 10.0, 100.0], epochs=60, lr=2e-2)
    rates = [row["rate"] for row in rows]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.01 < rates[1]
    assert max(found["excess"] for found in slopes(rows)) < 0.1


def test_the_likelihood_is_the_callers():
    def flat(logits, x):
        return 0 * bernoulli_log_likelihood(logits, x)

    rows = sweep(MAKE, images(), [1.0, 2.0], epochs=1, log_likelihood=flat)
    assert [row["distortion"] for row in rows] == [0, 0]
    runtime.seed(0)
    untrained = MAKE().decoder.state_dict()
    for row in rows:  # a likelihood that does not depend on the decoder teaches it nothing
        assert all(torch.equal(value, untrained[name]) for name, value in row["model"].decoder.state_dict().items())


@pytest.mark.parametrize("bad", [{"rate": math.nan}, {"distortion": math.inf}])
def test_a_model_that_diverged_does_not_pass(bad):
    rows = [{"beta": beta, "rate": 1.0, "distortion": 1.0} for beta in (1.0, 2.0)]
    with pytest.raises(ValueError, match=r"finite, got .* at β = 2"):
        slopes([rows[0], rows[1] | bad])


@pytest.mark.parametrize("betas", [[], [1.0], [1.0, 1.0], [1.0, -0.5], [1.0, math.nan], [1.0, math.inf]])
def test_unusable_betas_are_refused_before_any_training(betas):
    def never():
        raise AssertionError("a model was made")

    with pytest.raises(ValueError, match="beta"):
        sweep(never, images(), betas, epochs=1)
    with pytest.raises(ValueError, match="beta"):
        slopes([{"beta": beta, "rate": 1.0, "distortion": 1.0} for beta in betas])


# ---- written by hand in lesson 07, imported afterwards ----


def by_hand(*names, **given):
    path = Path(__file__).resolve().parents[1] / "notebooks" / "07_beta_vae.py"
    code = "\n".join(c.source for c in jupytext.read(path, fmt="py:percent").cells if c.cell_type == "code")
    wanted = [n for n in ast.parse(code).body if isinstance(n, ast.FunctionDef) and n.name in names]
    assert {n.name for n in wanted} == set(names)
    exec(compile(ast.Module(wanted, []), path.name, "exec"), given)
    return [given[name] for name in names]


def test_the_lessons_slope_and_training():
    x = torch.rand(64, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    losses = SimpleNamespace(negative_elbo=negative_elbo)
    given = {"x": x, "EPOCHS": 1, "MLPVAE": MLPVAE, "losses": losses, "runtime": runtime, "training": training}
    slope, _, train_at = by_hand("slope", "loss_at", "train_at", **given)
    ours = [train_at(beta) for beta in (0.5, 2.0)]
    theirs = sweep(partial(MLPVAE, z_dim=16, hidden=(300,)), x, [0.5, 2.0], epochs=1)
    for a, b in zip(ours, theirs, strict=True):
        assert [a[k] for k in ("beta", "rate", "distortion")] == [b[k] for k in ("beta", "rate", "distortion")]
    assert slopes(theirs)[0]["slope"] == slope(*ours)
