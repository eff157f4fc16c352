"""The weight of the KL over a training, and the nats that latents have for nothing."""

import math

import numpy as np
import pytest
import torch

from vae_course import training
from vae_course.losses import kl_per_latent, kl_to_standard_normal, kl_with_free_bits, negative_elbo
from vae_course.models.mlp import MLPVAE
from vae_course.schedules import cyclical_annealing, linear_annealing

pytestmark = pytest.mark.slow  # trains or imports for seconds: `make check` goes without

SHAPE = (1, 4, 5)


def small():
    torch.manual_seed(0)
    return MLPVAE(z_dim=3, hidden=(8,), x_shape=SHAPE)


def images(n=64):
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(1))


def codes():
    """Six images; the mean KL of the three latents is far from equal."""
    rng = torch.Generator().manual_seed(0)
    mu = torch.randn(6, 3, generator=rng, dtype=torch.float64) * torch.tensor([0.1, 1.0, 3.0])
    return mu.requires_grad_(), torch.full((6, 3), -0.1, dtype=torch.float64).requires_grad_()


# ---- schedules ----


@pytest.mark.parametrize(("fraction", "peak"), [(0.5, 1.0), (1.0, 4.0), (0.1, 0.0), (0.25, 2.0)])
def test_linear_annealing_is_a_ramp_and_a_plateau(fraction, peak):
    steps = 40
    ours = [linear_annealing(step, steps, fraction=fraction, peak=peak) for step in range(steps)]
    assert ours == pytest.approx(np.interp(np.arange(steps), [0, fraction * steps], [0, peak]))


@pytest.mark.parametrize("cycles", [1, 3, 4])
def test_cyclical_annealing_is_the_ramp_again_and_again(cycles):
    length = 20
    steps = cycles * length
    ours = [cyclical_annealing(step, steps, cycles=cycles) for step in range(steps)]
    ramp = [linear_annealing(step, length) for step in range(length)]
    assert ours == pytest.approx(ramp * cycles, abs=1e-12)
    assert ours.count(0.0) == cycles


@pytest.mark.parametrize("steps", [5, 7, 101])
def test_cycles_that_do_not_divide_the_steps_are_points_on_the_same_ramps(steps):
    ours = [cyclical_annealing(step, steps, cycles=4, fraction=0.5) for step in range(steps)]
    done = np.modf(4 * np.arange(steps) / steps)[0]  # of the cycle that a step falls in
    assert ours == pytest.approx(np.interp(done, [0, 0.5, 1], [0, 1, 1]), abs=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "at least one step"),
        ({"steps": 3}, "at least one step a cycle"),
        ({"cycles": 0}, "at least one step"),
        ({"fraction": 0.0}, "over zero steps"),
        ({"fraction": math.nan}, "fraction"),
        ({"fraction": 1.5}, "fraction"),
        ({"peak": -1.0}, "peak"),
        ({"peak": math.nan}, "peak"),
        ({"step": -1}, "step must lie"),
        ({"step": 100}, "step must lie"),
    ],
)
def test_schedules_that_make_no_sense_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        cyclical_annealing(**{"step": 0, "steps": 100, **change})


def test_annealing_over_zero_steps_is_refused():
    with pytest.raises(ValueError, match="at least one step"):
        linear_annealing(0, 0)
    with pytest.raises(ValueError, match="over zero steps"):
        linear_annealing(0, 10, fraction=0.0)


def test_fit_gives_each_step_its_weight():
    seen = []

    def loss(model, x, beta=1.0):
        if model.training:
            seen.append(beta)
        return negative_elbo(model, x, beta=beta)

    training.fit(small(), images(), test=images(), epochs=3, batch_size=16, loss=loss, beta=linear_annealing)
    assert seen == [linear_annealing(step, 12) for step in range(12)]


def test_the_test_loss_keeps_its_own_weight():
    model, x = small(), images()
    history = training.fit(model, x, test=x, epochs=2, beta=lambda step, steps: 5.0)
    assert history[-1]["test_loss"] == pytest.approx(training.evaluate(model, x)["loss"])
    assert history[-1]["loss"] == pytest.approx(history[-1]["rec"] + 5 * history[-1]["kl"], rel=1e-5)


# ---- free bits ----


@pytest.mark.parametrize("free", [0.0, 0.05, 0.6, 100.0])
def test_each_latent_is_charged_above_its_allowance(free):
    mu, logvar = codes()
    charged = kl_with_free_bits(mu, logvar, free=free)
    means = kl_per_latent(mu, logvar).mean(dim=0).tolist()
    assert charged.shape == (6,)
    assert charged.mean().item() == pytest.approx(sum(max(free, mean) for mean in means))


def test_the_gradient_reaches_the_latents_above_the_allowance_and_no_others():
    mu, logvar = codes()
    free = 0.6
    above = kl_per_latent(mu, logvar).mean(dim=0) > free
    assert above.tolist() == [False, False, True] or above.tolist() == [False, True, True]
    g_mu, g_logvar = torch.autograd.grad(kl_with_free_bits(mu, logvar, free=free).mean(), [mu, logvar])
    w_mu, w_logvar = torch.autograd.grad(kl_to_standard_normal(mu, logvar).mean(), [mu, logvar])
    assert torch.allclose(g_mu, w_mu * above)
    assert torch.allclose(g_logvar, w_logvar * above)


def test_it_is_the_batch_that_decides_not_the_image():
    mu = torch.tensor([[0.0], [2.0]])  # KLs 0 and 2, mean 1
    charged = kl_with_free_bits(mu, torch.zeros(2, 1), free=0.5)
    assert charged.tolist() == [0.0, 2.0]


def test_the_bound_reports_the_kl_itself_and_charges_the_rest():
    model, x = small(), images()
    rng = torch.Generator().manual_seed(0)
    terms = negative_elbo(model, x, beta=2.0, free_bits=5.0, generator=rng)
    mu, logvar = model.encode(x)
    assert torch.allclose(terms["kl"], kl_to_standard_normal(mu, logvar))
    assert torch.allclose(terms["loss"], terms["rec"] + 2.0 * 15.0)  # three latents, five nats each
    plain = negative_elbo(model, x, beta=2.0, generator=rng.manual_seed(0))
    assert torch.allclose(plain["loss"], plain["rec"] + 2.0 * plain["kl"])


@pytest.mark.parametrize("free", [-0.1, math.nan, math.inf])
def test_free_bits_that_are_negative_or_not_finite_are_refused(free):
    with pytest.raises(ValueError, match="free must be"):
        kl_with_free_bits(*codes(), free=free)
    with pytest.raises(ValueError, match="free must be"):
        negative_elbo(small(), images(), free_bits=free)


@pytest.mark.parametrize("beta", [-0.1, math.nan, math.inf])
def test_a_schedule_that_leaves_the_allowed_weights_is_refused(beta):
    with pytest.raises(ValueError, match="beta must be"):
        training.fit(small(), images(), epochs=1, beta=lambda step, steps: beta)


def test_a_nan_is_not_hidden_by_the_allowance():
    assert kl_with_free_bits(torch.full((2, 1), math.nan), torch.zeros(2, 1), free=5.0).isnan().all()
