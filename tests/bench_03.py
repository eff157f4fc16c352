"""Right and wrong answers for sheet 03, each as a learner might write it."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from bench import Bench
from torch.distributions import Independent, Laplace, MultivariateNormal, Normal, StudentT, Uniform, kl_divergence

from vae_course import losses
from vae_course.checks import gradients

sampler = Bench(gradients.sample_z)


@sampler.accepts
def as_in_the_lesson(mu, logvar):
    std = torch.exp(0.5 * logvar)
    return mu + std * torch.randn_like(std)


@sampler.accepts
def own_generator(mu, logvar, generator=torch.Generator().manual_seed(1)):  # noqa: B008  one generator for all calls
    return mu + torch.sqrt(logvar.exp()) * torch.randn(mu.shape, generator=generator, dtype=mu.dtype)


@sampler.accepts
def normal_rsample(mu, logvar, n=None):
    return Normal(mu, logvar.div(2).exp()).rsample()


@sampler.accepts
def independent_rsample(mu, logvar):
    return Independent(Normal(mu, (logvar / 2).exp()), 1).rsample()


@sampler.accepts
def multivariate_rsample(mu, logvar):
    return MultivariateNormal(mu, scale_tril=torch.diag_embed(torch.exp(logvar / 2))).rsample()


@sampler.accepts
def multivariate_by_covariance(mu, logvar):
    return MultivariateNormal(mu, torch.diag_embed(logvar.exp())).rsample((1,)).squeeze(0)


@sampler.accepts
def numpy_noise(mu, logvar):
    eps = torch.from_numpy(np.random.randn(*mu.shape))  # float64, and so is the result
    return mu + logvar.mul(0.5).exp() * eps


@sampler.accepts
def new_numpy_generator(mu, logvar):
    eps = torch.tensor(np.random.default_rng().standard_normal(mu.shape), dtype=mu.dtype)
    return torch.addcmul(mu, (0.5 * logvar).exp(), eps)


@sampler.accepts
def inverse_cdf(mu, logvar):
    u = torch.rand_like(mu)
    return mu + torch.exp(0.5 * logvar) * math.sqrt(2) * torch.erfinv(2 * u - 1)


@sampler.accepts
def icdf_of_normal(mu, logvar):
    return Normal(mu, (0.5 * logvar).exp()).icdf(torch.rand(mu.shape))


@sampler.accepts
def box_muller(mu, logvar):
    u, v = torch.rand(2, *mu.shape)
    return mu + (0.5 * logvar).exp() * torch.sqrt(-2 * torch.log(u)) * torch.cos(2 * math.pi * v)


@sampler.accepts
def in_place_on_temporaries(mu, logvar):
    return torch.empty(mu.shape).normal_().mul_((0.5 * logvar).exp_()).add_(mu)


@sampler.accepts
def in_double_precision(mu, logvar):
    mu, logvar = mu.double(), logvar.double()
    return mu + (logvar / 2).exp() * torch.randn(mu.shape, dtype=torch.float64)


@sampler.accepts
def noise_without_record(mu, logvar):
    with torch.no_grad():
        eps = torch.normal(torch.zeros_like(mu), torch.ones_like(mu))
    return mu + (0.5 * logvar).exp() * eps.detach()


@sampler.accepts
def row_by_row(mu, logvar):
    return torch.stack([m + torch.randn(len(m)) * (lv / 2).exp() for m, lv in zip(mu, logvar, strict=True)])


@sampler.accepts
def from_the_course(mu, logvar):
    return losses.reparameterize(mu, logvar)


@sampler.accepts
def by_einsum(mu, logvar):
    return mu + torch.einsum("bd,bd->bd", torch.randn(mu.shape), torch.exp(logvar) ** 0.5)


@sampler.names("no gradient")
def plain_sample(mu, logvar):
    return Normal(mu, (0.5 * logvar).exp()).sample()


@sampler.names("no gradient")
def torch_normal(mu, logvar):
    return torch.normal(mu, (0.5 * logvar).exp())


@sampler.names("no gradient")
def under_no_grad(mu, logvar):
    with torch.no_grad():
        return mu + (0.5 * logvar).exp() * torch.randn_like(mu)


@sampler.names("no gradient")
def detached(mu, logvar):
    return (mu + (0.5 * logvar).exp() * torch.randn_like(mu)).detach()


@sampler.names("no gradient")
def through_numpy(mu, logvar):
    m, s = mu.detach().numpy(), np.exp(0.5 * logvar.detach().numpy())
    return torch.tensor(np.random.normal(m, s), dtype=torch.float32)


@sampler.names("no gradient")
def record_begun_anew(mu, logvar):
    return torch.normal(mu, (0.5 * logvar).exp()).detach().requires_grad_()


@sampler.names("no gradient to σ")
def sigma_detached(mu, logvar):
    std = (0.5 * logvar).exp().detach()
    return mu + std * torch.randn_like(std)


@sampler.names("no gradient to σ")
def product_detached(mu, logvar):
    return mu + torch.normal(torch.zeros_like(mu), (0.5 * logvar).exp())


@sampler.names("no gradient to σ")
def straight_through_to_mu(mu, logvar):
    z = Normal(mu, (0.5 * logvar).exp()).sample()
    return mu + (z - mu).detach()


@sampler.names("no gradient to μ")
def mu_detached(mu, logvar):
    return mu.detach() + torch.randn_like(mu) * (0.5 * logvar).exp()


@sampler.names("no gradient to μ")
def mu_from_data(mu, logvar):
    return Normal(mu.data, (0.5 * logvar).exp()).rsample()


@sampler.names("returns μ")
def the_mean(mu, logvar):
    return mu


@sampler.names("returns μ")
def evaluation_mode(mu, logvar, training=False):
    if training:
        return mu + torch.randn_like(mu) * (0.5 * logvar).exp()
    return mu.clone()


@sampler.names("ε left out")
def no_noise(mu, logvar):
    return mu + torch.exp(0.5 * logvar)


@sampler.names("noise alone")
def only_noise(mu, logvar):
    return torch.randn_like(mu)


@sampler.names("μ left out")
def no_mean(mu, logvar):
    return torch.randn_like(mu) * torch.exp(0.5 * logvar)


@sampler.names("the same σ everywhere")
def unit_sigma(mu, logvar):
    return mu + torch.randn_like(logvar)


@sampler.names("the same σ everywhere")
def zero_times_logvar(mu, logvar):
    return Normal(mu, torch.exp(0 * logvar)).rsample()


@sampler.names("the same σ everywhere")
def sigma_absent_and_shared(mu, logvar):
    return mu + torch.randn(mu.shape[0], 1)


@sampler.names("the same σ everywhere")
def sigma_absent_and_shared_over_the_batch(mu, logvar):
    return mu + torch.randn(mu.shape[1])


@sampler.names("the same σ everywhere")
def a_constant_width(mu, logvar):
    return mu + 0.1 * torch.randn_like(mu)


@sampler.names("the same σ everywhere")
def averaged_sigma(mu, logvar):
    std = torch.exp(0.5 * logvar)
    return mu + std.mean() * torch.randn_like(std)


@sampler.names("no gradient to σ")
def sigma_absent_one_number(mu, logvar):
    return mu + torch.randn(1)


@sampler.names("no gradient to σ")
def wrong_width_without_gradient(mu, logvar):
    return mu + torch.randn_like(mu) * logvar.detach().exp()


@sampler.names("no gradient to μ")
def twice_a_detached_mu(mu, logvar):
    return 2 * mu.detach() + torch.randn_like(mu) * (0.5 * logvar).exp()


@sampler.names("the same noise at each call")
def seeded_inside(mu, logvar):
    torch.manual_seed(0)
    return mu + (0.5 * logvar).exp() * torch.randn_like(mu)


@sampler.names("the same noise at each call")
def new_generator_with_a_seed(mu, logvar):
    eps = np.random.default_rng(0).normal(size=mu.shape)
    return mu + (0.5 * logvar).exp() * torch.tensor(eps)


CACHE = {}


@sampler.names("the same noise at each call")
def cached(mu, logvar):
    eps = CACHE.setdefault(tuple(mu.shape), torch.randn(mu.shape))
    return mu + (0.5 * logvar).exp() * eps


@sampler.names("one ε for all")
def one_number(mu, logvar):
    return mu + (0.5 * logvar).exp() * torch.randn(1)


@sampler.names("one ε for all")
def python_gauss(mu, logvar):
    import random

    return mu + (0.5 * logvar).exp() * random.gauss(0, 1)


@sampler.names("ε shared over the batch")
def one_row(mu, logvar):
    return mu + (0.5 * logvar).exp() * torch.randn(mu.shape[1])


@sampler.names("ε shared over the batch")
def like_first_row(mu, logvar):
    return mu + (0.5 * logvar).exp() * torch.randn_like(mu[:1])


@sampler.names("ε shared over latents")
def one_column(mu, logvar):
    return mu + (0.5 * logvar).exp() * torch.randn(len(mu), 1)


@sampler.names("noise repeated in the batch")
def antithetic(mu, logvar):
    half = torch.randn((len(mu) + 1) // 2, mu.shape[1])
    return mu + (0.5 * logvar).exp() * torch.cat([half, -half])[: len(mu)]


@sampler.names("noise repeated in the batch")
def a_few_rows_tiled(mu, logvar):
    rows = torch.randn(64, mu.shape[1])
    return mu + (0.5 * logvar).exp() * rows[torch.arange(len(mu)) % 64]


@sampler.names("latents not independent")
def half_shared_over_latents(mu, logvar):
    eps = 0.8 * torch.randn_like(mu) + 0.6 * torch.randn(len(mu), 1)
    return mu + (0.5 * logvar).exp() * eps


@sampler.names("latents not independent")
def last_latent_copied(mu, logvar):
    eps = torch.randn_like(mu)
    eps[:, -1] = eps[:, 0]
    return mu + (0.5 * logvar).exp() * eps


@sampler.names("examples not independent")
def half_shared_over_batch(mu, logvar):
    torch_noise = torch.randn_like(mu) + torch.tensor([2.0, -2.0, 1.5, 0.0, 1.0, 0, 0])[: mu.shape[1]]
    return mu + (0.5 * logvar).exp() * torch_noise / math.sqrt(2)


@sampler.names("σ² taken for σ")
def variance_as_std(mu, logvar):
    return mu + torch.exp(logvar) * torch.randn_like(mu)


@sampler.names("σ² taken for σ")
def log_sigma(mu, logsigma):
    return Normal(mu, logsigma.exp()).rsample()


@sampler.names("square root of σ")
def rooted_twice(mu, logvar):
    return mu + torch.sqrt(torch.exp(0.5 * logvar)) * torch.randn_like(mu)


@sampler.names("logvar used as σ")
def logarithm_as_std(mu, logvar):
    return mu + logvar * torch.randn_like(mu)


@sampler.names("logvar used as σ")
def half_logarithm(mu, logvar):
    return mu + 0.5 * logvar * torch.randn_like(mu)


@sampler.names("1/σ taken for σ")
def minus_logvar(mu, logvar):
    return mu + torch.exp(-0.5 * logvar) * torch.randn_like(mu)


@sampler.names("exp of the product")
def parenthesis(mu, logvar):
    return mu + torch.exp(0.5 * logvar * torch.randn_like(mu))


@sampler.names("sign of μ")
def minus_mu(mu, logvar):
    return torch.randn_like(mu) * torch.exp(0.5 * logvar) - mu


@sampler.names("μ multiplied by σ")
def noise_added_first(mu, logvar):
    return torch.exp(0.5 * logvar) * (mu + torch.randn_like(mu))


@sampler.names("uniform noise on [0, 1]")
def rand_for_randn(mu, logvar):
    std = torch.exp(0.5 * logvar)
    return mu + std * torch.rand_like(std)


@sampler.names("uniform noise")
def unit_variance_uniform(mu, logvar):
    eps = Uniform(-math.sqrt(3), math.sqrt(3)).sample(mu.shape)
    return mu + torch.exp(0.5 * logvar) * eps


@sampler.names("uniform noise")
def minus_one_to_one(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * (2 * torch.rand_like(mu) - 1)


@sampler.names("uniform noise")
def centred_rand(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * (torch.rand_like(mu) - 0.5)


@sampler.names("±1 for noise")
def coin(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu).sign()


@sampler.names("Laplace noise")
def laplace(mu, logvar):
    return Laplace(mu, torch.exp(0.5 * logvar)).rsample()


@sampler.names("Laplace noise")
def laplace_of_unit_variance(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * torch.tensor(np.random.laplace(scale=math.sqrt(0.5), size=mu.shape))


@sampler.names("tails too heavy")
def student(mu, logvar):
    return StudentT(5.0, mu, torch.exp(0.5 * logvar)).rsample()


@sampler.names("tails too heavy")
def student_of_unit_variance(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * torch.tensor(np.random.standard_t(6, size=mu.shape) * math.sqrt(4 / 6))


@sampler.names("tails too heavy")
def cauchy(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * torch.empty_like(mu).cauchy_()


@sampler.names("noise clipped")
def clipped_at_two(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu).clamp(-2, 2)


@sampler.names("noise clipped")
def clipped_at_three(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu).clamp(-3, 3)


@sampler.names("noise clipped")
def truncated(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * torch.nn.init.trunc_normal_(torch.empty(mu.shape), a=-2, b=2)


@sampler.names("noise not centred")
def shifted(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * (torch.randn_like(mu) + 0.2)


@sampler.names("noise not centred")
def noise_around_one(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * torch.normal(1.0, 1.0, mu.shape)


@sampler.names("noise scaled")
def a_tenth(mu, logvar):
    return mu + 0.1 * torch.exp(0.5 * logvar) * torch.randn_like(mu)


@sampler.names("noise scaled")
def slightly_too_wide(mu, logvar):
    return mu + 1.15 * torch.exp(0.5 * logvar) * torch.randn_like(mu)


@sampler.names("wrong gradient to σ")
def logvar_twice(mu, logvar):
    eps, std = torch.randn_like(mu), torch.exp(0.5 * logvar)
    return mu + (2 * std - std.detach()) * eps


@sampler.names("wrong gradient to σ")
def straight_through_to_both(mu, logvar):
    std = torch.exp(0.5 * logvar)
    z = mu + std * torch.randn_like(std)
    return z.detach() + (mu + std) - (mu + std).detach()


@sampler.names("wrong gradient to μ")
def half_of_mu(mu, logvar):
    half = 0.5 * mu
    return half + half.detach() + torch.exp(0.5 * logvar) * torch.randn_like(mu)


@sampler.names("changes its inputs")
def into_mu(mu, logvar):
    return mu.add_(torch.exp(0.5 * logvar) * torch.randn_like(mu))


@sampler.rejects("wrong type or shape")
def also_the_noise(mu, logvar):
    eps = torch.randn_like(mu)
    return mu + torch.exp(0.5 * logvar) * eps, eps


@sampler.rejects("wrong type or shape")
def extra_axis(mu, logvar):
    return Normal(mu, torch.exp(0.5 * logvar)).rsample((1,))


@sampler.rejects("raised")
def in_place_on_what_autograd_needs(mu, logvar):
    return (0.5 * logvar).exp_().mul_(torch.randn_like(mu)).add_(mu)


@sampler.rejects("wrong")
def softplus(mu, logvar):
    return mu + F.softplus(logvar) * torch.randn_like(mu)


@sampler.rejects("wrong")
def clamped_sigma(mu, logvar):
    return mu + torch.exp(0.5 * logvar).clamp(0.5, 1.5) * torch.randn_like(mu)


@sampler.rejects("wrong")
def mu_twice(mu, logvar):
    return 2 * mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)


@sampler.rejects("wrong")
def skewed(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * (torch.empty_like(mu).exponential_() - 1)


@sampler.rejects("wrong")
def logarithm_of_a_negative(mu, logvar):
    return mu + torch.sqrt(logvar) * torch.randn_like(mu)


score = Bench(gradients.score_function_gradient)


@score.accepts
def at_once(f, logits, z):
    return (z - 1 / (1 + np.exp(-logits))) * f(z).reshape(-1, 1)


@score.accepts
def sample_by_sample(f, logits, z, verbose=False):
    out = np.zeros(z.shape)
    for n in range(len(z)):
        for d in range(z.shape[1]):
            p = 1 / (1 + math.exp(-logits[d]))
            out[n, d] = f(z)[n] * ((1 - p) if z[n, d] == 1 else -p)
    return out


@score.accepts
def by_cases(f, logits, z):
    p = np.exp(logits) / (1 + np.exp(logits))
    return np.einsum("n,nd->nd", f(z), np.where(z > 0.5, 1 - p, -p)).astype(np.float32)


@score.accepts
def by_autograd(f, logits, z):
    parameters = torch.tensor(np.tile(logits, (len(z), 1)), requires_grad=True)
    log_q = torch.distributions.Bernoulli(logits=parameters).log_prob(torch.tensor(z))
    (torch.tensor(f(z)) @ log_q.sum(1)).backward()
    return parameters.grad.numpy()


def probability(logits):
    return 1 / (1 + np.exp(-logits))


@score.names("f left out")
def score_alone(f, logits, z):
    return z - probability(logits)


@score.names("sign flipped")
def prediction_minus_target(f, logits, z):
    return f(z)[:, None] * (probability(logits) - z)


@score.names("logit taken for probability")
def no_sigmoid(f, logits, z):
    return f(z)[:, None] * (z - logits)


@score.names("gradient with respect to the probability")
def of_p(f, logits, z):
    p = probability(logits)
    return f(z)[:, None] * (z / p - (1 - z) / (1 - p))


@score.names("normaliser left out")
def first_term_only(f, logits, z):
    return np.stack([value * row for value, row in zip(f(z), z, strict=True)])


@score.names("log q instead of its gradient")
def log_probability(f, logits, z):
    p = probability(logits)
    return f(z)[:, None] * (z * np.log(p) + (1 - z) * np.log(1 - p))


@score.names("weighted by q again")
def times_q(f, logits, z):
    p = probability(logits)
    q = np.prod(np.where(z == 1, p, 1 - p), axis=1)
    return (q * f(z))[:, None] * (z - p)


@score.names("the term of z = 0 forgotten")
def only_where_z_is_one(f, logits, z):
    return f(z)[:, None] * z * (1 - probability(logits))


@score.names("divided by N")
def share_of_the_average(f, logits, z):
    return f(z)[:, None] * (z - probability(logits)) / z.shape[0]


@score.names("averaged over samples")
def averaged(f, logits, z):
    return np.mean(f(z)[:, None] * (z - probability(logits)), 0)


@score.names("summed over samples")
def matrix_product(f, logits, z):
    return f(z) @ (z - probability(logits))


@score.names("summed over latents")
def one_number_a_sample(f, logits, z):
    return f(z) * np.sum(z - probability(logits), axis=1)


@score.names("average of f for every sample")
def mean_of_f(f, logits, z):
    return np.mean(f(z)) * (z - probability(logits))


@score.names("a baseline subtracted")
def centred(f, logits, z):
    values = f(z)
    values = values - np.average(values)
    return values[:, None] * (z - probability(logits))


@score.rejects("wrong")
def f_at_the_mean(f, logits, z):
    return f(probability(logits)[None])[:, None] * (z - probability(logits))


baseline = Bench(gradients.leave_one_out)


@baseline.accepts
def total_minus_own(values):
    return (values.sum(0, keepdims=True) - values) / (values.shape[0] - 1)


@baseline.accepts
def by_deleting(values, axis=0):
    return np.stack([np.delete(values, k, axis=0).mean(axis=0) for k in range(len(values))])


@baseline.accepts
def by_a_matrix(values):
    K = len(values)
    return ((np.ones((K, K)) - np.eye(K)) / (K - 1)) @ values


@baseline.accepts
def number_by_number(values):
    out = np.empty(values.shape, dtype=np.float32)
    for k in range(values.shape[0]):
        for b in range(values.shape[1]):
            out[k, b] = sum(values[j, b] for j in range(values.shape[0]) if j != k) / (values.shape[0] - 1)
    return out


@baseline.accepts
def by_torch(values):
    v = torch.from_numpy(values)
    return (v.mean(0) + (v.mean(0) - v) / (len(v) - 1)).numpy()


@baseline.names("own value included")
def plain_mean(values):
    return np.ones_like(values) * values.mean(axis=0, keepdims=True)


@baseline.names("own value included")
def plain_mean_one_row(values):
    return values.mean(0)


@baseline.names("own value included")
def mean_of_everything(values):
    return np.mean(values)


@baseline.names("divided by K")
def by_k(values):
    return (values.sum(axis=0) - values) / len(values)


@baseline.names("own value still in the sum")
def right_divisor_wrong_sum(values):
    return np.tile(values.sum(axis=0) / (len(values) - 1), (len(values), 1))


@baseline.names("sum instead of mean")
def added_up(values):
    return np.stack([np.delete(values, k, 0).sum(0) for k in range(len(values))])


@baseline.names("over the wrong axis")
def columns(values):
    return (values.sum(axis=1, keepdims=True) - values) / (values.shape[1] - 1)


@baseline.names("over all examples")
def everything_else(values):
    return (np.sum(values) - values) / (values.size - 1)


@baseline.names("baseline already subtracted")
def advantages(values):
    return values - by_deleting(values)


@baseline.names("subtracted with the sign reversed")
def negative_advantages(values):
    return by_deleting(values) - values


@baseline.names("the next sample's value")
def next_one(values):
    return np.concatenate([values[1:], values[:1]])


@baseline.names("the previous sample's value")
def previous_one(values):
    return values[np.arange(len(values)) - 1]


@baseline.rejects("wrong")
def running_mean_of_earlier_ones(values):
    out = np.zeros_like(values)
    for k in range(1, len(values)):
        out[k] = values[:k].mean(0)
    return out


exponential = Bench(gradients.sample_exponential)


@exponential.accepts
def inverted(rate, u):
    return -torch.log(1 - u) / rate


@exponential.accepts
def upper_tail(rate, u):
    return -torch.log(u) / rate


@exponential.accepts
def by_icdf(rate, u, validate=False):
    return torch.distributions.Exponential(rate).icdf(u)


@exponential.accepts
def row_by_row_in_double(rate, u):
    return torch.stack([torch.log1p(-row.double()).neg().div(rate.double()) for row in u])


@exponential.accepts
def by_a_scale(rate, u):
    mean = rate.reciprocal()
    return torch.einsum("d,nd->nd", mean, (1 - u).log().neg_())


@exponential.names("sign flipped")
def negative(rate, u):
    return torch.log(1 - u) / rate


@exponential.names("sign flipped")
def negative_upper_tail(rate, u):
    return u.log() / rate


@exponential.names("rate taken for the mean")
def multiplied(rate, u):
    return -rate * torch.log(1 - u)


@exponential.names("rate taken for the mean")
def multiplied_upper_tail(rate, u):
    return -rate * torch.log(u)


@exponential.names("divided by the rate twice")
def variance(rate, u):
    return -torch.log1p(-u) / rate.square()


@exponential.names("rate left out")
def standard(rate, u):
    return -torch.log1p(-u) + 0 * rate


@exponential.names("CDF instead of its inverse")
def cdf(rate, u):
    return torch.distributions.Exponential(rate).cdf(u)


@exponential.names("density instead of a sample")
def density(rate, u):
    return torch.distributions.Exponential(rate).log_prob(u).exp()


@exponential.names("averaged over samples")
def mean_of_samples(rate, u):
    return (-torch.log(1 - u) / rate).mean(0)


@exponential.names("rate inside the logarithm")
def inside(rate, u):
    return -torch.log((1 - u) * rate)


@exponential.names("random numbers of its own")
def library_sample(rate, u):
    return torch.distributions.Exponential(rate).rsample(u.shape[:1])


@exponential.names("no gradient to the rate")
def rate_detached(rate, u):
    return -torch.log(1 - u) / rate.detach()


@exponential.names("no gradient to the rate")
def plain_numbers(rate, u):
    return torch.tensor([[-math.log(1 - x) / r for x, r in zip(row, rate.tolist(), strict=True)] for row in u.tolist()])


@exponential.names("no gradient to the rate")
def switched_off(rate, u):
    with torch.no_grad():
        return -torch.log(1 - u) / rate


@exponential.names("wrong gradient to the rate")
def doubled_gradient(rate, u):
    z = -torch.log(1 - u) / rate
    return 2 * z - z.detach()


@exponential.rejects("wrong")
def common_logarithm(rate, u):
    return -torch.log10(1 - u) / rate


slopes = Bench(gradients.kl_gradients)


@slopes.accepts
def term_by_term(mu, logvar, prior_mu, prior_logvar):
    prior_var = np.exp(prior_logvar)
    return (mu - prior_mu) / prior_var, 0.5 * (np.exp(logvar) / prior_var - 1)


@slopes.accepts
def by_torch_autograd(mu, logvar, prior_mu, prior_logvar):
    a, b = (torch.tensor(each, requires_grad=True) for each in (mu, logvar))
    prior = Normal(torch.tensor(prior_mu), torch.tensor(prior_logvar).mul(0.5).exp())
    kl_divergence(Normal(a, (0.5 * b).exp()), prior).sum().backward()
    return [a.grad.numpy(), b.grad.numpy()]


@slopes.accepts
def entry_by_entry(mu, logvar, prior_mu, prior_logvar, *, mean=False):
    to_mu, to_logvar = np.empty(mu.shape, np.float32), np.empty(mu.shape, np.float32)
    for i in np.ndindex(mu.shape):
        to_mu[i] = (mu[i] - prior_mu[i]) * math.exp(-prior_logvar[i])
        to_logvar[i] = math.exp(logvar[i] - prior_logvar[i]) / 2 - 0.5
    return to_mu, to_logvar


@slopes.accepts
def by_standardising(mu, logvar, prior_mu, prior_logvar):
    scale = np.exp(0.5 * prior_logvar)
    return (mu - prior_mu) / scale / scale, 0.5 * np.expm1(logvar - prior_logvar)


@slopes.names("sign flipped")
def of_minus_kl(mu, logvar, prior_mu, prior_logvar):
    w = np.exp(prior_logvar)
    return (prior_mu - mu) / w, 0.5 * (1 - np.exp(logvar) / w)


@slopes.names("results swapped")
def logvar_first(mu, logvar, prior_mu, prior_logvar):
    a, b = term_by_term(mu, logvar, prior_mu, prior_logvar)
    return b, a


@slopes.names("prior taken as N(0, I)")
def standard_prior(mu, logvar, prior_mu, prior_logvar):
    return mu.copy(), 0.5 * (np.exp(logvar) - 1)


@slopes.names("with respect to σ")
def of_sigma(mu, logvar, prior_mu, prior_logvar):
    s, t = np.exp(logvar / 2), np.exp(prior_logvar / 2)
    return (mu - prior_mu) / t**2, s / t**2 - 1 / s


@slopes.names("with respect to σ²")
def of_variance(mu, logvar, prior_mu, prior_logvar):
    v, w = np.exp(logvar), np.exp(prior_logvar)
    return (mu - prior_mu) / w, 0.5 / w - 0.5 / v


@slopes.names("factor ½ missing")
def no_half(mu, logvar, prior_mu, prior_logvar):
    return (mu - prior_mu) / np.exp(prior_logvar), np.exp(logvar - prior_logvar) - 1


@slopes.names("½ of exp(logvar) missing")
def half_on_one_term(mu, logvar, prior_mu, prior_logvar):
    return (mu - prior_mu) / np.exp(prior_logvar), np.exp(logvar - prior_logvar) - 0.5


@slopes.names("gradient of mu doubled or halved")
def two_from_the_square(mu, logvar, prior_mu, prior_logvar):
    return 2 * (mu - prior_mu) / np.exp(prior_logvar), 0.5 * (np.exp(logvar - prior_logvar) - 1)


@slopes.names("gradient of mu doubled or halved")
def half_without_the_two(mu, logvar, prior_mu, prior_logvar):
    return 0.5 * (mu - prior_mu) / np.exp(prior_logvar), 0.5 * (np.exp(logvar - prior_logvar) - 1)


@slopes.names("−1 left out")
def no_minus_one(mu, logvar, prior_mu, prior_logvar):
    return (mu - prior_mu) / np.exp(prior_logvar), 0.5 * np.exp(logvar - prior_logvar)


@slopes.names("distance not divided by the prior's variance")
def plain_distance(mu, logvar, prior_mu, prior_logvar):
    return mu - prior_mu, 0.5 * (np.exp(logvar) / np.exp(prior_logvar) - 1)


@slopes.names("the prior's σ taken for its variance")
def prior_std(mu, logvar, prior_mu, prior_logvar):
    t = np.exp(0.5 * prior_logvar)
    return (mu - prior_mu) / t, 0.5 * (np.exp(logvar) / t - 1)


@slopes.names("log σ taken for log σ²")
def squared_again(mu, logvar, prior_mu, prior_logvar):
    v, w = np.exp(logvar) ** 2, np.exp(prior_logvar) ** 2
    return (mu - prior_mu) / w, 0.5 * (v / w - 1)


@slopes.names("log σ taken for log σ²")
def squared_once(mu, logvar, prior_mu, prior_logvar):
    v, w = np.exp(logvar) ** 2, np.exp(prior_logvar)
    return (mu - prior_mu) / w, 0.5 * (v / w - 1)


@slopes.names("KL the other way round")
def reversed_kl(mu, logvar, prior_mu, prior_logvar):
    v, w = np.exp(logvar), np.exp(prior_logvar)
    return (mu - prior_mu) / v, 0.5 - 0.5 * (w + (mu - prior_mu) ** 2) / v


@slopes.names("divided by B")
def mean_loss(mu, logvar, prior_mu, prior_logvar):
    B, w = mu.shape[0], np.exp(prior_logvar)
    return (mu - prior_mu) / w / B, 0.5 * (np.exp(logvar) / w - 1) / B


@slopes.names("summed over latents")
def per_example(mu, logvar, prior_mu, prior_logvar):
    return tuple(each.sum(-1) for each in term_by_term(mu, logvar, prior_mu, prior_logvar))


@slopes.names("summed over the batch")
def per_latent(mu, logvar, prior_mu, prior_logvar):
    return tuple(each.sum(0) for each in term_by_term(mu, logvar, prior_mu, prior_logvar))


@slopes.names("sign of the first flipped")
def prior_mean_minus_mu(mu, logvar, prior_mu, prior_logvar):
    w = np.exp(prior_logvar)
    return (prior_mu - mu) / w, 0.5 * np.exp(logvar) / w - 0.5


@slopes.names("prior_logvar not exponentiated")
def logarithm_as_variance(mu, logvar, prior_mu, prior_logvar):
    return (mu - prior_mu) / prior_logvar, 0.5 * np.exp(logvar) / prior_logvar - 0.5


@slopes.names("squared distance kept in the second")
def whole_fraction(mu, logvar, prior_mu, prior_logvar):
    w = np.exp(prior_logvar)
    return (mu - prior_mu) / w, 0.5 * ((np.exp(logvar) + (mu - prior_mu) ** 2) / w - 1)


@slopes.names("the prior's variance missing in the second")
def variance_in_the_first_only(mu, logvar, prior_mu, prior_logvar):
    return (mu - prior_mu) / np.exp(prior_logvar), 0.5 * (np.exp(logvar) - 1)


repaired = Bench(gradients.repaired_loss)


def cross_entropy(logits, x):
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)


def kl_of(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)


def drawn(mu, logvar):
    return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)


@repaired.accepts
def by_hand(x, encode, decode):
    mu, logvar = encode(x)
    return cross_entropy(decode(drawn(mu, logvar)), x) + kl_of(mu, logvar)


@repaired.accepts
def with_the_course(x, encode, decode):
    mu, logvar = encode(x)
    logits = decode(losses.reparameterize(mu, logvar))
    return losses.kl_to_standard_normal(mu, logvar) - losses.bernoulli_log_likelihood(logits, x)


@repaired.accepts
def with_distributions(x, encode, decode):
    mu, logvar = encode(x)
    q = Independent(Normal(mu, (logvar / 2).exp()), 1)
    p = Independent(Normal(torch.zeros_like(mu), torch.ones_like(mu)), 1)
    likelihood = Independent(torch.distributions.Bernoulli(logits=decode(q.rsample()), validate_args=False), 1)
    return kl_divergence(q, p) - likelihood.log_prob(x)


@repaired.accepts
def example_by_example(x, encode, decode, K=1):
    mu, logvar = encode(x)
    logits = decode(drawn(mu, logvar))
    rows = []
    for b in range(len(x)):
        rec = sum(F.softplus(logits[b, p]) - x[b, p] * logits[b, p] for p in range(x.shape[1]))
        rows.append(rec + 0.5 * (mu[b] ** 2 + logvar[b].exp() - logvar[b] - 1).sum())
    return torch.stack(rows)


@repaired.accepts
def three_samples(x, encode, decode):
    mu, logvar = encode(x)
    return sum(cross_entropy(decode(drawn(mu, logvar)), x) for _ in range(3)) / 3 + kl_of(mu, logvar)


@repaired.accepts
def model_asked_twice(x, encode, decode):
    rec = cross_entropy(decode(drawn(*encode(x))).double(), x.double())
    return rec + kl_of(*encode(x))


def loss_of_part(part, encode, decode):
    mu, logvar = encode(part)
    return cross_entropy(decode(drawn(mu, logvar)), part) + kl_of(mu, logvar)


@repaired.accepts
def over_parts(x, encode, decode):
    return torch.cat([loss_of_part(part, encode, decode) for part in x.split(2)])


@repaired.accepts
def over_examples(x, encode, decode):
    return torch.cat([loss_of_part(x[i : i + 1], encode, decode) for i in range(len(x))])


@repaired.accepts
def over_rows_backwards(x, encode, decode):
    losses_of_rows = [loss_of_part(row[None], encode, decode) for row in x.flip(0)]
    return torch.cat(losses_of_rows[::-1])


@repaired.accepts
def decoded_one_at_a_time(x, encode, decode):
    mu, logvar = encode(x)
    z = drawn(mu, logvar)
    logits = torch.stack([decode(z[i : i + 1])[0] for i in range(len(z))])
    return cross_entropy(logits, x) + kl_of(mu, logvar)


@repaired.accepts
def watched(x, encode, decode):
    mu, logvar = encode(x)
    with torch.no_grad():
        print(cross_entropy(decode(mu), x).mean())
    loss = cross_entropy(decode(drawn(mu, logvar)), x) + kl_of(mu, logvar)
    with torch.no_grad():
        print(decode(torch.zeros(3, mu.shape[1])).shape)
    return loss


@repaired.accepts
def watched_with_a_record(x, encode, decode):
    mu, logvar = encode(x)
    at_the_mean = cross_entropy(decode(mu), x)
    print(at_the_mean.mean())
    return cross_entropy(decode(drawn(mu, logvar)), x) + kl_of(mu, logvar)


@repaired.accepts
def samples_at_once(x, encode, decode):
    mu, logvar = encode(x)
    z = Normal(mu, (0.5 * logvar).exp()).rsample((2,))  # (2, B, D)
    logits = decode(z)
    rec = F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(-1)
    return rec.mean(0) + kl_of(mu, logvar)


@repaired.names("no gradient")
def encoder_without_gradient(x, encode, decode):
    with torch.no_grad():
        mu, logvar = encode(x)
    return cross_entropy(decode(drawn(mu, logvar)), x) + kl_of(mu, logvar)


@repaired.names("no gradient")
def encoder_anew(x, encode, decode):
    mu, logvar = (each.detach().requires_grad_() for each in encode(x))
    return cross_entropy(decode(drawn(mu, logvar)), x) + kl_of(mu, logvar)


@repaired.names("KL detached")
def encoder_without_gradient_in_the_kl(x, encode, decode):
    with torch.no_grad():
        kl = kl_of(*encode(x))
    return cross_entropy(decode(drawn(*encode(x))), x) + kl


@repaired.names("encoder sees something else")
def encoder_of_nothing(x, encode, decode):
    mu, logvar = encode(torch.zeros_like(x))
    return cross_entropy(decode(drawn(mu, logvar)), x) + kl_of(mu, logvar)


@repaired.names("encoder sees something else")
def encoder_of_black_and_white(x, encode, decode):
    mu, logvar = encode(x > 0.5)
    return cross_entropy(decode(drawn(mu, logvar)), x) + kl_of(mu, logvar)


@repaired.names("encoder sees something else")
def encoder_of_parts_of_the_negative(x, encode, decode):
    rows = []
    for i in range(len(x)):
        mu, logvar = encode(1 - x[i : i + 1])
        rows.append(cross_entropy(decode(drawn(mu, logvar)), x[i : i + 1]) + kl_of(mu, logvar))
    return torch.cat(rows)


@repaired.names("decoder without a record")
def decoder_without_gradient(x, encode, decode):
    mu, logvar = encode(x)
    z = drawn(mu, logvar)
    with torch.no_grad():
        logits = decode(z)
    return cross_entropy(logits, x) + kl_of(mu, logvar)


@repaired.names("no gradient")
def parts_not_repaired(x, encode, decode):
    rows = []
    for part in x.split(2):
        mu, logvar = encode(part)
        rows.append(cross_entropy(decode(torch.normal(mu, (0.5 * logvar).exp())), part) + kl_of(mu, logvar))
    return torch.cat(rows)


@repaired.names("returns μ")
def decoded_means_in_parts(x, encode, decode):
    rows = []
    for part in x.split(3):
        mu, logvar = encode(part)
        rows.append(cross_entropy(decode(mu), part) + kl_of(mu, logvar))
    return torch.cat(rows)


@repaired.names("no gradient")
def not_repaired(x, encode, decode):
    mu, logvar = encode(x)
    z = Normal(mu, (0.5 * logvar).exp()).sample()
    return cross_entropy(decode(z), x) + kl_of(mu, logvar)


@repaired.names("no gradient")
def gradient_asked_for(x, encode, decode):
    mu, logvar = encode(x)
    z = torch.normal(mu, (0.5 * logvar).exp()).detach().requires_grad_(True)
    return cross_entropy(decode(z), x) + kl_of(mu, logvar)


@repaired.names("returns μ")
def decoded_mean(x, encode, decode):
    mu, logvar = encode(x)
    return cross_entropy(decode(mu), x) + kl_of(mu, logvar)


@repaired.names("no gradient to σ")
def half_repaired(x, encode, decode):
    mu, logvar = encode(x)
    z = mu + Normal(torch.zeros_like(mu), (0.5 * logvar).exp()).sample()
    return cross_entropy(decode(z), x) + kl_of(mu, logvar)


@repaired.names("σ² taken for σ")
def variance_in_the_sample(x, encode, decode):
    mu, logvar = encode(x)
    return cross_entropy(decode(Normal(mu, logvar.exp()).rsample()), x) + kl_of(mu, logvar)


@repaired.names("ε shared over the batch")
def one_noise_for_all(x, encode, decode):
    mu, logvar = encode(x)
    z = mu + (0.5 * logvar).exp() * torch.randn(1, mu.shape[1])
    return cross_entropy(decode(z), x) + kl_of(mu, logvar)


@repaired.names("KL left out")
def autoencoder(x, encode, decode):
    return cross_entropy(decode(drawn(*encode(x))), x)


@repaired.names("reconstruction left out")
def only_the_kl(x, encode, decode):
    mu, logvar = encode(x)
    decode(drawn(mu, logvar))
    return kl_of(mu, logvar)


@repaired.names("KL counted twice")
def twice(x, encode, decode):
    mu, logvar = encode(x)
    return cross_entropy(decode(drawn(mu, logvar)), x) + (mu**2 + logvar.exp() - 1 - logvar).sum(1)


@repaired.names("sampled KL")
def kl_from_the_sample(x, encode, decode):
    mu, logvar = encode(x)
    q = Normal(mu, (0.5 * logvar).exp())
    z = q.rsample()
    return cross_entropy(decode(z), x) + (q.log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(1)


@repaired.names("the ELBO instead of the loss")
def elbo(x, encode, decode):
    mu, logvar = encode(x)
    return -cross_entropy(decode(drawn(mu, logvar)), x) - kl_of(mu, logvar)


@repaired.names("sign of the KL flipped")
def minus_kl(x, encode, decode):
    mu, logvar = encode(x)
    return cross_entropy(decode(drawn(mu, logvar)), x) - kl_of(mu, logvar)


@repaired.names("averaged over pixels")
def pixel_mean(x, encode, decode):
    mu, logvar = encode(x)
    logits = decode(drawn(mu, logvar))
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").mean(1) + kl_of(mu, logvar)


@repaired.names("averaged over latents")
def latent_mean(x, encode, decode):
    mu, logvar = encode(x)
    kl = -0.5 * torch.mean(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)
    return cross_entropy(decode(drawn(mu, logvar)), x) + kl


@repaired.names("averaged over the batch")
def batch_mean(x, encode, decode):
    return by_hand(x, encode, decode).mean()


@repaired.names("summed over the batch")
def batch_sum(x, encode, decode):
    mu, logvar = encode(x)
    rec = F.binary_cross_entropy_with_logits(decode(drawn(mu, logvar)), x, reduction="sum")
    return rec + kl_of(mu, logvar).sum()


@repaired.names("sigmoid applied twice")
def squashed(x, encode, decode):
    mu, logvar = encode(x)
    return cross_entropy(torch.sigmoid(decode(drawn(mu, logvar))), x) + kl_of(mu, logvar)


@repaired.names("squared error")
def mse(x, encode, decode):
    mu, logvar = encode(x)
    return ((decode(drawn(mu, logvar)).sigmoid() - x) ** 2).sum(1) + kl_of(mu, logvar)


@repaired.names("KL detached")
def kl_without_gradient(x, encode, decode):
    mu, logvar = encode(x)
    return cross_entropy(decode(drawn(mu, logvar)), x) + kl_of(mu, logvar).detach()


@repaired.names("reconstruction detached")
def rec_as_a_number(x, encode, decode):
    mu, logvar = encode(x)
    return cross_entropy(decode(drawn(mu, logvar)), x).detach() + kl_of(mu, logvar)


@repaired.names("loss detached")
def loss_without_gradient(x, encode, decode):
    return by_hand(x, encode, decode).detach()


@repaired.rejects("wrong")
def decoder_forgotten(x, encode, decode):
    mu, logvar = encode(x)
    return kl_of(mu, logvar)


@repaired.rejects("wrong")
def score_function_added(x, encode, decode):
    mu, logvar = encode(x)
    z = drawn(mu, logvar)
    rec = cross_entropy(decode(z), x)
    log_q = Normal(mu, (0.5 * logvar).exp()).log_prob(z.detach()).sum(1)
    return rec + kl_of(mu, logvar) + rec.detach() * (log_q - log_q.detach())
