"""Every term of the bound, against torch.distributions, closed forms and finite differences."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Laplace, Normal, kl_divergence

from vae_course.losses import (
    bernoulli_log_likelihood,
    gaussian_log_likelihood,
    kl_per_latent,
    kl_to_standard_normal,
    laplace_log_likelihood,
    negative_elbo,
    reconstruction_loss,
    reparameterize,
    standard_normal,
)

SHAPE = (5, 2, 3, 7)  # several images, two channels, not square
seeds = pytest.mark.parametrize("seed", [0, 1, 2])


def draw(seed, *shape, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def latents(seed, batch=5, dim=4):
    """mu and logvar with sigma well away from 1."""
    return draw(seed, batch, dim), 0.3 - 1.5 * draw(seed + 100, batch, dim).abs()


def pixels(seed, *shape):
    return draw(seed, *shape).sigmoid()


def summed(log_prob):
    return log_prob.sum(dim=(1, 2, 3))


class Linear:
    """The smallest model that has every part: linear encoder and decoder, in float64."""

    def __init__(self, seed=0, z_dim=3, shape=SHAPE[1:]):
        n = math.prod(shape)
        self.shape = shape
        self.to_mu, self.to_logvar = draw(seed, n, z_dim) / 9, draw(seed + 1, n, z_dim) / 9
        self.to_logits = draw(seed + 2, z_dim, n)

    def encode(self, x):
        return x.flatten(1) @ self.to_mu, x.flatten(1) @ self.to_logvar - 1

    def decode(self, z):
        return (z @ self.to_logits).unflatten(1, self.shape)


# -- KL


@seeds
def test_kl_is_that_of_torch_distributions(seed):
    mu, logvar = latents(seed)
    want = kl_divergence(Normal(mu, (0.5 * logvar).exp()), Normal(torch.zeros_like(mu), torch.ones_like(mu)))
    assert kl_to_standard_normal(mu, logvar).shape == (5,)
    torch.testing.assert_close(kl_to_standard_normal(mu, logvar), want.sum(dim=1))
    torch.testing.assert_close(kl_per_latent(mu, logvar), want)


def test_kl_at_a_tenth_of_the_priors_width():
    """The number to remember: sigma = 0.1 costs 1.808 nats a latent; 0.701 if log sigma is taken for logvar."""
    logvar = torch.full((2, 3), math.log(0.1**2), dtype=torch.float64)
    want = 3 * (-math.log(0.1) + 0.01 / 2 - 0.5)
    assert kl_to_standard_normal(torch.zeros_like(logvar), logvar).tolist() == pytest.approx([want] * 2)
    assert want / 3 == pytest.approx(1.808, abs=5e-4)


@seeds
def test_kl_is_positive_except_at_the_prior(seed):
    mu, logvar = latents(seed, 500, 3)
    assert (kl_to_standard_normal(mu, logvar) > 0).all()
    zeros = torch.zeros(2, 3, dtype=torch.float64)
    assert (kl_to_standard_normal(zeros, zeros) == 0).all()
    for name, small in {"mu": (1e-3, 0), "logvar up": (0, 1e-3), "logvar down": (0, -1e-3)}.items():
        assert (kl_to_standard_normal(zeros + small[0], zeros + small[1]) > 0).all(), name


def test_noise_has_the_precision_of_what_it_goes_with():
    for dtype in (torch.float32, torch.float64):
        noise = standard_normal((2, 3), like=torch.zeros(1, dtype=dtype), generator=torch.Generator().manual_seed(0))
        assert (noise.shape, noise.dtype) == ((2, 3), dtype)


@pytest.mark.parametrize("scale", [1e-2, 1e-3, 1e-4])
def test_the_kl_of_collapsed_latents_keeps_its_digits_in_single_precision(scale):
    mu, logvar = (scale * part for part in latents(0, 500, 20))
    kl = kl_per_latent(mu.float(), logvar.float())
    exact = 0.5 * (mu.float().double() ** 2 + torch.expm1(logvar.float().double()) - logvar.float().double())
    assert (kl >= 0).all()
    torch.testing.assert_close(kl.sum(dim=1).double(), exact.sum(dim=1), rtol=1e-3, atol=0)


def test_kl_of_independent_latents_adds_up():
    mu, logvar = latents(3)
    one_by_one = sum(kl_to_standard_normal(mu[:, [j]], logvar[:, [j]]) for j in range(4))
    torch.testing.assert_close(kl_to_standard_normal(mu, logvar), one_by_one)


# -- likelihoods


@seeds
def test_bernoulli_is_that_of_torch_distributions(seed):
    logits, x = 3 * draw(seed, *SHAPE), pixels(seed + 9, *SHAPE).round()
    got = bernoulli_log_likelihood(logits, x)
    assert got.shape == (5,)
    torch.testing.assert_close(got, summed(Bernoulli(logits=logits).log_prob(x)))


@seeds
def test_bernoulli_on_grey_pixels_is_the_cross_entropy(seed):
    logits, x = draw(seed, *SHAPE), pixels(seed + 9, *SHAPE)
    p = 1 / (1 + (-logits).exp())
    torch.testing.assert_close(bernoulli_log_likelihood(logits, x), summed(x * p.log() + (1 - x) * (1 - p).log()))


def test_zero_logits_cost_784_ln_2_nats_whatever_the_image():
    x = pixels(0, 4, 1, 28, 28)
    got = -bernoulli_log_likelihood(torch.zeros_like(x), x)
    assert got.tolist() == pytest.approx([784 * math.log(2)] * 4)
    assert got[0].item() == pytest.approx(543.4, abs=0.05)


def test_a_perfect_grey_reconstruction_is_charged_its_entropy_and_no_other_costs_less():
    x = pixels(1, *SHAPE)
    best = bernoulli_log_likelihood(x.logit(), x)
    torch.testing.assert_close(-best, summed(Bernoulli(probs=x).entropy()))
    assert (best > bernoulli_log_likelihood(x.logit() + 0.1 * draw(2, *SHAPE), x)).all()


@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_extreme_logits_stay_finite_and_exact(logit):
    logits = torch.full((2, 1, 2, 3), logit, requires_grad=True)  # float32, as in training
    for x, wrong in ((0.0, logit > 0), (1.0, logit < 0)):
        value = bernoulli_log_likelihood(logits, torch.full_like(logits, x))
        assert value.tolist() == [-6e4 if wrong else 0.0] * 2
        (gradient,) = torch.autograd.grad(value.sum(), logits)
        assert (gradient == (x - float(logit > 0))).all()  # x - sigmoid(logit)


@seeds
@pytest.mark.parametrize("var", [0.05, 0.5, 3.0, torch.tensor(0.2)])
def test_gaussian_is_that_of_torch_distributions(seed, var):
    mean, x = draw(seed, *SHAPE), pixels(seed + 9, *SHAPE)
    got = gaussian_log_likelihood(mean, x, var=var)
    assert got.shape == (5,)
    torch.testing.assert_close(got, summed(Normal(mean, float(var) ** 0.5).log_prob(x)))


@seeds
@pytest.mark.parametrize("scale", [0.05, 0.5, 3.0, torch.tensor(0.2)])
def test_laplace_is_that_of_torch_distributions(seed, scale):
    mean, x = draw(seed, *SHAPE), pixels(seed + 9, *SHAPE)
    got = laplace_log_likelihood(mean, x, scale=scale)
    assert got.shape == (5,)
    torch.testing.assert_close(got, summed(Laplace(mean, float(scale)).log_prob(x)))


def test_the_best_shared_variance_is_the_mean_squared_error():
    mean, x = draw(0, *SHAPE), pixels(1, *SHAPE)
    best = ((x - mean) ** 2).mean()
    at = {f: gaussian_log_likelihood(mean, x, var=f * best).sum().item() for f in (0.9, 1.0, 1.1)}
    assert max(at, key=at.get) == 1.0


def test_gradients_are_those_of_finite_differences():
    mu, logvar = (t.requires_grad_() for t in latents(0, 3, 2))
    mean, x = draw(1, 2, 1, 2, 3).requires_grad_(), pixels(2, 2, 1, 2, 3)
    width = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(kl_to_standard_normal, (mu, logvar))
    assert torch.autograd.gradcheck(lambda m: bernoulli_log_likelihood(m, x), (mean,))
    assert torch.autograd.gradcheck(lambda m, v: gaussian_log_likelihood(m, x, var=v), (mean, width))
    assert torch.autograd.gradcheck(lambda m, s: laplace_log_likelihood(m, x, scale=s), (mean, width))


# -- the sample


@seeds
def test_the_sample_lets_the_gradient_through_to_mu_and_logvar(seed):
    mu, logvar = (t.requires_grad_() for t in latents(seed))
    weights = draw(seed + 7, *mu.shape)
    z = reparameterize(mu, logvar)
    to_mu, to_logvar = torch.autograd.grad((weights * z).sum(), (mu, logvar))
    torch.testing.assert_close(to_mu, weights)
    torch.testing.assert_close(to_logvar, weights * 0.5 * (z - mu).detach())  # dz/dlogvar = sigma·eps / 2


@seeds
def test_the_sample_has_the_moments_of_q(seed):
    n = 40_000
    mu, logvar = torch.tensor([-2.0, 0.0, 1.5]), torch.tensor([-3.0, 0.0, 1.0])
    sigma = (0.5 * logvar).exp()
    z = reparameterize(mu.expand(n, 3), logvar.expand(n, 3), generator=torch.Generator().manual_seed(seed))
    assert ((z.mean(0) - mu).abs() < 6 * sigma / n**0.5).all()
    assert ((z.var(0) - sigma**2).abs() < 6 * sigma**2 * (2 / n) ** 0.5).all()


@pytest.mark.parametrize("shape", [(40_000, 4), (4, 40_000)], ids=["latents", "batch"])
def test_every_image_and_every_latent_has_noise_of_its_own(shape):
    zeros = torch.zeros(shape)
    z = reparameterize(zeros, zeros, generator=torch.Generator().manual_seed(0))
    correlation = torch.corrcoef(z.T if shape[1] == 4 else z) - torch.eye(4)
    assert correlation.abs().max() < 6 / 40_000**0.5


def test_the_sample_comes_from_the_generator_and_keeps_float64():
    mu, logvar = latents(0)
    before = torch.get_rng_state()
    first, again, other = (
        reparameterize(mu, logvar, generator=torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.isclose(first, other).any()
    assert first.dtype == torch.float64
    assert torch.equal(torch.get_rng_state(), before)  # the global seed was not touched


def test_without_a_generator_the_global_seed_decides():
    mu, logvar = latents(0)
    torch.manual_seed(3)
    first = reparameterize(mu, logvar)
    assert not torch.equal(first, reparameterize(mu, logvar))
    torch.manual_seed(3)
    assert torch.equal(first, reparameterize(mu, logvar))


# -- the bound


@pytest.mark.parametrize("beta", [0, 0.5, 1.0, 4])
def test_the_parts_add_up_to_the_loss(beta):
    model, x = Linear(), pixels(4, *SHAPE)
    parts = negative_elbo(model, x, beta=beta, generator=torch.Generator().manual_seed(1))
    mu, logvar = model.encode(x)
    z = reparameterize(mu, logvar, generator=torch.Generator().manual_seed(1))
    sigma, one = (0.5 * logvar).exp(), torch.ones_like(mu)
    rec = -summed(x * model.decode(z).sigmoid().log() + (1 - x) * (-model.decode(z)).sigmoid().log())
    kl = kl_divergence(Normal(mu, sigma), Normal(0 * one, one)).sum(dim=1)
    assert set(parts) == {"loss", "rec", "kl"}
    torch.testing.assert_close(parts["rec"], rec)
    torch.testing.assert_close(parts["kl"], kl)
    torch.testing.assert_close(parts["loss"], rec + beta * kl)


def test_the_bound_uses_the_likelihood_it_is_given():
    model, x = Linear(), pixels(4, *SHAPE)
    parts = negative_elbo(
        model,
        x,
        log_likelihood=lambda mean, x: gaussian_log_likelihood(mean, x, var=0.3),
        generator=torch.Generator().manual_seed(1),
    )
    z = reparameterize(*model.encode(x), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(parts["rec"], -summed(Normal(model.decode(z), 0.3**0.5).log_prob(x)))


def test_the_bounds_gradient_is_that_of_finite_differences():
    """Through both networks and the sample: a detached sample, or a detached sigma, fails here."""
    model, x = Linear(), pixels(4, 2, *SHAPE[1:])
    weights = model.to_mu.requires_grad_(), model.to_logvar.requires_grad_(), model.to_logits.requires_grad_()

    def loss(*weights):
        model.to_mu, model.to_logvar, model.to_logits = weights
        return negative_elbo(model, x, beta=0.7, generator=torch.Generator().manual_seed(1))["loss"]

    assert torch.autograd.gradcheck(loss, weights)


def test_a_condition_reaches_encoder_and_decoder():
    """Two tensors beside the images; the oracle is the same model with the condition built in."""

    class Shifted(Linear):
        def encode(self, x, c, scale):
            mu, logvar = super().encode(x)
            return mu + c[:, None], logvar * scale

        def decode(self, z, c, scale):
            return super().decode(z) - c[:, None, None, None] * scale

    model, x, c, scale = Shifted(), pixels(4, *SHAPE), draw(5, 5), torch.tensor(0.5, dtype=torch.float64)
    parts = negative_elbo(model, x, c, scale, generator=torch.Generator().manual_seed(1))
    mu, logvar = Linear().encode(x)
    mu, logvar = mu + c[:, None], logvar / 2
    z = reparameterize(mu, logvar, generator=torch.Generator().manual_seed(1))
    logits = Linear().decode(z) - c[:, None, None, None] / 2
    torch.testing.assert_close(parts["rec"], -summed(Bernoulli(logits=logits, validate_args=False).log_prob(x)))
    torch.testing.assert_close(parts["kl"], kl_to_standard_normal(mu, logvar))


def test_a_plain_autoencoder_decodes_the_mean_and_pays_no_kl():
    model, x = Linear(), pixels(4, *SHAPE)
    parts = reconstruction_loss(model, x)
    logits = model.decode(model.encode(x)[0])
    torch.testing.assert_close(parts["loss"], -summed(Bernoulli(logits=logits, validate_args=False).log_prob(x)))
    assert torch.equal(parts["loss"], parts["rec"])
    assert set(parts) == {"loss", "rec"}
    parts = reconstruction_loss(model, x, log_likelihood=lambda mean, x: gaussian_log_likelihood(mean, x, var=0.3))
    torch.testing.assert_close(parts["rec"], -summed(Normal(logits, 0.3**0.5).log_prob(x)))


def test_the_bound_leaves_its_input_alone():
    x = pixels(4, *SHAPE)
    before = x.clone()
    negative_elbo(Linear(), x)
    assert torch.equal(x, before)


# -- bad input

IMAGES = torch.full((3, 1, 4, 6), 0.5)
LIKELIHOODS = {
    "bernoulli": bernoulli_log_likelihood,
    "gaussian": lambda mean, x: gaussian_log_likelihood(mean, x, var=1.0),
    "laplace": lambda mean, x: laplace_log_likelihood(mean, x, scale=1.0),
}
likelihoods = pytest.mark.parametrize("likelihood", LIKELIHOODS.values(), ids=LIKELIHOODS)


@likelihoods
@pytest.mark.parametrize("shape", [(1, 4, 6), (1, 1, 4, 6), (3, 1, 1, 6), (3, 24)])
def test_likelihoods_refuse_shapes_that_would_broadcast(likelihood, shape):
    with pytest.raises(ValueError, match=r"and x must have one shape, got \(3, 1, 4, 6\) and \("):
        likelihood(IMAGES, torch.full(shape, 0.5))


@likelihoods
def test_likelihoods_refuse_integer_pixels(likelihood):
    with pytest.raises(TypeError, match=r"x must be float in \[0, 1\], got torch.uint8"):
        likelihood(IMAGES, torch.zeros(3, 1, 4, 6, dtype=torch.uint8))


@pytest.mark.parametrize("value", [-0.01, 1.01, 255.0, math.nan, math.inf])
def test_bernoulli_refuses_pixels_outside_the_unit_range(value):
    x = IMAGES.clone()
    x[1, 0, 2, 3] = value
    with pytest.raises(ValueError, match=r"x must lie in \[0, 1\], got values from"):
        bernoulli_log_likelihood(IMAGES, x)


@pytest.mark.parametrize("value", [0, -1.0, math.nan, torch.tensor([0.5, 0.5]), torch.tensor([0.5])])
def test_a_variance_or_scale_that_is_not_one_positive_number_is_refused(value):
    with pytest.raises(ValueError, match="var must be one number > 0, got"):
        gaussian_log_likelihood(IMAGES, IMAGES, var=value)
    with pytest.raises(ValueError, match="scale must be one number > 0, got"):
        laplace_log_likelihood(IMAGES, IMAGES, scale=value)


@pytest.mark.parametrize("shape", [(4,), (1, 4), (3, 1), (4, 3)])
def test_mu_and_logvar_of_different_shapes_are_refused(shape):
    for function in (kl_to_standard_normal, kl_per_latent, reparameterize):
        with pytest.raises(ValueError, match=r"mu and logvar must have one shape, got \(3, 4\) and \("):
            function(torch.zeros(3, 4), torch.zeros(shape))


@pytest.mark.parametrize("shape", [(4,), (3, 4, 2, 2)])
def test_kl_wants_one_row_per_example(shape):
    with pytest.raises(ValueError, match=r"must have shape \(B, D\)"):
        kl_to_standard_normal(torch.zeros(shape), torch.zeros(shape))


@pytest.mark.parametrize("beta", [-1, -1e-9, math.nan, math.inf])
def test_a_beta_that_is_negative_or_not_finite_is_refused(beta):
    with pytest.raises(ValueError, match="beta must be a finite number >= 0, got"):
        negative_elbo(Linear(), pixels(0, *SHAPE), beta=beta)
