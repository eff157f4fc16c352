"""Right and wrong answers for sheet 01, each as a learner might write it."""

import math

import numpy as np
from bench import Bench

from vae_course.checks import elbo

mixture = Bench(elbo.mixture_log_density)


@mixture.accepts
def max_subtracted(x, weights, means, stds):
    a = np.log(weights) - 0.5 * np.log(2 * np.pi) - np.log(stds) - 0.5 * ((x[:, None] - means) / stds) ** 2
    top = a.max(axis=1, keepdims=True)
    return top[:, 0] + np.log(np.exp(a - top).sum(axis=1))


@mixture.accepts
def component_by_component(x, weights, means, stds, verbose=False):
    total = np.full(len(x), -np.inf)
    for w, m, s in zip(weights, means, stds, strict=True):
        total = np.logaddexp(total, math.log(w) - math.log(s * math.sqrt(2 * math.pi)) - (x - m) ** 2 / (2 * s**2))
    return total


@mixture.accepts
def point_by_point(x, weights, means, stds):
    out = []
    for point in x:
        logs = [
            math.log(w) - 0.5 * math.log(2 * math.pi * s * s) - 0.5 * ((point - m) / s) ** 2
            for w, m, s in zip(weights, means, stds, strict=True)
        ]
        top = max(logs)
        out.append(top + math.log(sum(math.exp(each - top) for each in logs)))
    return np.array(out)


@mixture.accepts
def by_torch(x, weights, means, stds):
    import torch

    family = torch.distributions
    each = family.Normal(torch.tensor(means), torch.tensor(stds)).log_prob(torch.tensor(x)[:, None])
    return torch.logsumexp(torch.tensor(weights).log() + each, 1).numpy()


def gaussian(x, mean, std):
    return np.exp(-0.5 * ((x - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))


@mixture.names("the density underflows")
def densities_added(x, weights, means, stds):
    return np.log((weights * gaussian(x[:, None], means, stds)).sum(axis=1))


@mixture.names("the density underflows")
def largest_of_all_points(x, weights, means, stds):
    a = np.log(weights / stds) - 0.5 * (np.log(2 * np.pi) + ((x[:, None] - means) / stds) ** 2)
    return a.max() + np.log(np.exp(a - a.max()).sum(axis=1))


def log_terms(x, weights, means, stds):
    return np.log(weights / stds) - 0.5 * (np.log(2 * np.pi) + ((x[:, None] - means) / stds) ** 2)


@mixture.names("not the largest term taken out")
def smallest_taken_out(x, weights, means, stds):
    a = log_terms(x, weights, means, stds)
    top = a.min(axis=1)
    return top + np.log(np.exp(a - top[:, None]).sum(axis=1))


@mixture.names("not the largest term taken out")
def mean_taken_out(x, weights, means, stds):
    a = log_terms(x, weights, means, stds)
    top = a.mean(axis=1)
    return top + np.log(np.exp(a - top[:, None]).sum(axis=1))


@mixture.names("not the largest term taken out")
def first_taken_out(x, weights, means, stds):
    a = log_terms(x, weights, means, stds)
    return a[:, 0] + np.log1p(np.exp(a[:, 1:] - a[:, :1]).sum(axis=1))


@mixture.names("not the largest term taken out")
def last_taken_out(x, weights, means, stds):
    a = log_terms(x, weights, means, stds)
    return a[:, -1] + np.log(np.exp(a - a[:, -1:]).sum(axis=1))


@mixture.rejects("wrong")
def a_tiny_number_added(x, weights, means, stds):
    return np.log((weights * gaussian(x[:, None], means, stds)).sum(axis=1) + 1e-300)


@mixture.names("weights left out")
def densities_added_without_weights(x, weights, means, stds):
    return np.log(gaussian(x[:, None], means, stds).sum(axis=1))


@mixture.names("density instead of its logarithm")
def densities_only(x, weights, means, stds):
    return gaussian(x[:, None], means, stds) @ weights


@mixture.names("weights left out")
def no_weights(x, weights, means, stds):
    a = -0.5 * np.log(2 * np.pi * stds**2) - 0.5 * ((x[:, None] - means) / stds) ** 2
    return np.logaddexp.reduce(a, axis=1)


@mixture.names("an average of logarithms")
def logs_averaged(x, weights, means, stds):
    a = -0.5 * np.log(2 * np.pi * stds**2) - 0.5 * ((x[:, None] - means) / stds) ** 2
    return a @ weights


@mixture.names("standard deviation taken for variance")
def std_as_variance(x, weights, means, stds):
    a = np.log(weights) - 0.5 * np.log(2 * np.pi * stds) - 0.5 * (x[:, None] - means) ** 2 / stds
    top = a.max(1)
    return top + np.log(np.exp(a - top[:, None]).sum(1))


@mixture.names("variance squared")
def squared_twice(x, weights, means, stds):
    var = (stds**2) ** 2
    a = np.log(weights) - 0.5 * np.log(2 * np.pi * var) - 0.5 * (x[:, None] - means) ** 2 / var
    return np.logaddexp.reduce(a, axis=1)


@mixture.names("2π left out")
def no_two_pi(x, weights, means, stds):
    a = np.log(weights / stds) - 0.5 * ((x[:, None] - means) / stds) ** 2
    return np.logaddexp.reduce(a, axis=1)


@mixture.names("normaliser without σ")
def no_log_sigma(x, weights, means, stds):
    a = np.log(weights) - 0.5 * np.log(2 * np.pi) - 0.5 * ((x[:, None] - means) / stds) ** 2
    return np.logaddexp.reduce(a, axis=1)


@mixture.names("sign of the exponent")
def sign_of_the_exponent(x, weights, means, stds):
    a = np.log(weights) - 0.5 * np.log(2 * np.pi * stds**2) + 0.5 * ((x[:, None] - means) / stds) ** 2
    return np.logaddexp.reduce(a, axis=1)


@mixture.names("added over the points")
def over_all_points(x, weights, means, stds):
    return max_subtracted(x, weights, means, stds).sum()


between = Bench(elbo.kl_between_gaussians)


@between.accepts
def as_in_a_textbook(mu, logvar, prior_mu, prior_logvar):
    var, prior_var = np.exp(logvar), np.exp(prior_logvar)
    return 0.5 * np.sum(np.log(prior_var / var) + (var + (mu - prior_mu) ** 2) / prior_var - 1, axis=-1)


@between.accepts
def by_standardising(mu, logvar, prior_mu, prior_logvar):
    scale = np.exp(-0.5 * prior_logvar)
    m, lv = (mu - prior_mu) * scale, logvar - prior_logvar
    return (0.5 * (m * m + np.exp(lv) - lv) - 0.5).sum(1)


@between.accepts
def by_torch_distributions(mu, logvar, prior_mu, prior_logvar):
    import torch
    from torch.distributions import Independent, Normal, kl_divergence

    mu, logvar, prior_mu, prior_logvar = map(torch.as_tensor, (mu, logvar, prior_mu, prior_logvar))
    q = Independent(Normal(mu, (0.5 * logvar).exp()), 1)
    return kl_divergence(q, Independent(Normal(prior_mu, (0.5 * prior_logvar).exp()), 1)).numpy()


@between.accepts
def one_example_at_a_time(mu, logvar, prior_mu, prior_logvar, *, reduce=True):
    result = []
    for m, lv, pm, plv in zip(mu, logvar, prior_mu, prior_logvar, strict=True):
        total = 0.0
        for j in range(len(m)):
            s, t = math.exp(lv[j] / 2), math.exp(plv[j] / 2)
            total += math.log(t / s) + (s**2 + (m[j] - pm[j]) ** 2) / (2 * t**2) - 0.5
        result.append(total)
    return np.array(result, dtype=np.float32)


@between.names("sign flipped")
def minus(mu, logvar, prior_mu, prior_logvar):
    v, w = np.exp(logvar), np.exp(prior_logvar)
    return 0.5 * (1 + logvar - prior_logvar - v / w - (mu - prior_mu) ** 2 / w).sum(1)


@between.names("averaged over latents")
def mean_over_latents(mu, logvar, prior_mu, prior_logvar):
    v, w = np.exp(logvar), np.exp(prior_logvar)
    return 0.5 * np.mean(prior_logvar - logvar + (v + (mu - prior_mu) ** 2) / w - 1, axis=1)


@between.names("summed over the batch")
def total(mu, logvar, prior_mu, prior_logvar):
    return as_in_a_textbook(mu, logvar, prior_mu, prior_logvar).sum()


@between.names("summed over the wrong axis")
def axis_zero(mu, logvar, prior_mu, prior_logvar):
    v, w = np.exp(logvar), np.exp(prior_logvar)
    return 0.5 * (np.log(w / v) + (v + (mu - prior_mu) ** 2) / w - 1).sum(0)


@between.names("not summed over latents")
def matrix(mu, logvar, prior_mu, prior_logvar):
    v, w = np.exp(logvar), np.exp(prior_logvar)
    return 0.5 * (np.log(w / v) + (v + (mu - prior_mu) ** 2) / w - 1)


@between.names("averaged over the batch")
def batch_mean(mu, logvar, prior_mu, prior_logvar):
    return np.mean(by_standardising(mu, logvar, prior_mu, prior_logvar))


@between.names("factor ½ missing")
def no_half(mu, logvar, prior_mu, prior_logvar):
    v, w = np.exp(logvar), np.exp(prior_logvar)
    return (np.log(w / v) + (v + (mu - prior_mu) ** 2) / w - 1).sum(1)


@between.names("arguments swapped")
def from_prior_to_q(mu, logvar, prior_mu, prior_logvar):
    v, w = np.exp(prior_logvar), np.exp(logvar)
    return 0.5 * (np.log(w / v) + (v + (mu - prior_mu) ** 2) / w - 1).sum(1)


@between.names("log σ taken for log σ²")
def squared_again(mu, logvar, prior_mu, prior_logvar):
    s, t = np.exp(logvar), np.exp(prior_logvar)
    return (np.log(t / s) + (s**2 + (mu - prior_mu) ** 2) / (2 * t**2) - 0.5).sum(1)


@between.names("prior taken as N(0, I)")
def standard_prior(mu, logvar, prior_mu, prior_logvar):
    return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(1)


@between.names("−1 counted once an example")
def minus_one_outside(mu, logvar, prior_mu, prior_logvar):
    v, w = np.exp(logvar), np.exp(prior_logvar)
    return 0.5 * (np.sum(np.log(w / v) + (v + (mu - prior_mu) ** 2) / w, axis=1) - 1)


@between.names("distance not measured in the prior's σ")
def plain_distance(mu, logvar, prior_mu, prior_logvar):
    v, w = np.exp(logvar), np.exp(prior_logvar)
    return 0.5 * (np.log(w / v) + v / w + (mu - prior_mu) ** 2 - 1).sum(1)


@between.names("−1 left out")
def no_minus_one(mu, logvar, prior_mu, prior_logvar):
    v, w = np.exp(logvar), np.exp(prior_logvar)
    return 0.5 * (np.log(w / v) + (v + (mu - prior_mu) ** 2) / w).sum(1)


@between.names("logarithms of the variances left out")
def no_logarithm(mu, logvar, prior_mu, prior_logvar):
    v, w = np.exp(logvar), np.exp(prior_logvar)
    return 0.5 * ((v + (mu - prior_mu) ** 2) / w - 1).sum(1)


@between.names("q's variance left out")
def only_means_and_logarithms(mu, logvar, prior_mu, prior_logvar):
    return 0.5 * ((mu - prior_mu) ** 2 * np.exp(-prior_logvar) + prior_logvar - logvar).sum(1)


@between.names("distance not squared")
def absolute_distance(mu, logvar, prior_mu, prior_logvar):
    v, w = np.exp(logvar), np.exp(prior_logvar)
    return 0.5 * (np.log(w / v) + (v + np.abs(mu - prior_mu)) / w - 1).sum(1)


@between.rejects("wrong")
def right_only_at_one_mean_and_unit_variance(mu, logvar, prior_mu, prior_logvar):
    return 0.5 * np.abs(mu - prior_mu).sum(1) + 0 * logvar.sum(1)


@between.names("log-ratio of the variances flipped")
def log_of_the_ratio_flipped(mu, logvar, prior_mu, prior_logvar):
    v, w = np.exp(logvar), np.exp(prior_logvar)
    return 0.5 * (np.log(v / w) + (v + (mu - prior_mu) ** 2) / w - 1).sum(1)


@between.names("prior's mean left out")
def around_zero(mu, logvar, prior_mu, prior_logvar):
    v, w = np.exp(logvar), np.exp(prior_logvar)
    return 0.5 * (np.log(w / v) + (v + mu**2) / w - 1).sum(1)


@between.names("prior's variance left out")
def unit_prior(mu, logvar, prior_mu, prior_logvar):
    return 0.5 * (np.exp(logvar) + (mu - prior_mu) ** 2 - 1 - logvar).sum(1)


linear = Bench(elbo.posterior)


@linear.accepts
def by_inverse(x, W, b, var):
    precision = np.eye(W.shape[1]) + W.T @ W / var
    covariance = np.linalg.inv(precision)
    return covariance @ (W.T @ (x - b)) / var, covariance


@linear.accepts
def by_solving(x, W, b, var):
    M = W.T @ W + var * np.eye(W.shape[1])  # Tipping and Bishop's M
    return np.linalg.solve(M, W.T @ (x - b)), var * np.linalg.solve(M, np.eye(len(M)))


@linear.accepts
def by_conditioning_the_joint(x, W, b, var):
    marginal = W @ W.T + var * np.eye(len(x))
    gain = W.T @ np.linalg.inv(marginal)
    return gain @ (x - b), np.eye(W.shape[1]) - gain @ W


@linear.accepts
def one_observed_number_at_a_time(x, W, b, var):
    mean, covariance = np.zeros(W.shape[1]), np.eye(W.shape[1])
    for value, w, offset in zip(x, W, b, strict=True):
        gain = covariance @ w / (w @ covariance @ w + var)
        mean = mean + gain * (value - offset - w @ mean)
        covariance = covariance - np.outer(gain, w @ covariance)
    return [mean, covariance]


@linear.names("prior left out")
def least_squares(x, W, b, var):
    return np.linalg.lstsq(W, x - b, rcond=None)[0], var * np.linalg.inv(W.T @ W)


@linear.names("offset left out")
def no_offset(x, W, b, var):
    covariance = np.linalg.inv(np.eye(W.shape[1]) + W.T @ W / var)
    return covariance @ W.T @ x / var, covariance


@linear.names("precision instead of covariance")
def precision(x, W, b, var):
    L = np.eye(W.shape[1]) + W.T @ W / var
    return np.linalg.solve(L, W.T @ (x - b) / var), L


@linear.names("σ² taken for σ")
def var_squared(x, W, b, var):
    L = np.eye(W.shape[1]) + W.T @ W / var**2
    return np.linalg.solve(L, W.T @ (x - b) / var**2), np.linalg.inv(L)


@linear.names("square root of σ²")
def root(x, W, b, var):
    sigma = np.sqrt(var)
    L = np.eye(W.shape[1]) + W.T @ W / sigma
    return np.linalg.solve(L, W.T @ (x - b) / sigma), np.linalg.inv(L)


@linear.names("σ² left out of the mean")
def mean_without_var(x, W, b, var):
    covariance = np.linalg.inv(np.eye(W.shape[1]) + W.T @ W / var)
    return covariance @ W.T @ (x - b), covariance


@linear.names("σ² left out")
def no_noise(x, W, b, var):
    covariance = np.linalg.inv(np.eye(W.shape[1]) + W.T @ W)
    return covariance @ W.T @ (x - b), covariance


@linear.names("results swapped")
def covariance_first(x, W, b, var):
    mean, covariance = by_inverse(x, W, b, var)
    return covariance, mean


@linear.names("covariance without σ²")
def tipping_without_var(x, W, b, var):
    M = W.T @ W + var * np.eye(W.shape[1])
    return np.linalg.solve(M, W.T @ (x - b)), np.linalg.inv(M)


@linear.rejects("wrong type or shape")
def mean_alone(x, W, b, var):
    return by_inverse(x, W, b, var)[0]


samples = Bench(elbo.elbo)


@samples.accepts
def all_at_once(log_joint, mu, logvar, eps):
    z = mu + np.exp(logvar / 2) * eps
    log_q = -0.5 * (np.log(2 * np.pi) + logvar + eps**2).sum(axis=-1)
    return (log_joint(z) - log_q).mean(axis=0)


@samples.accepts
def sample_by_sample(log_joint, mu, logvar, eps):
    total = np.zeros(len(mu))
    for e in eps:
        z = mu + np.sqrt(np.exp(logvar)) * e
        log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar + np.log(2 * np.pi)).sum(1)
        total += log_joint(z) - log_q
    return total / len(eps)


@samples.accepts
def in_place(log_joint, mu, logvar, eps):
    z = eps * np.exp(0.5 * logvar)
    z += mu
    weights = log_joint(z)
    weights += 0.5 * (eps**2).sum(-1)
    weights += 0.5 * logvar.sum(-1) + 0.5 * mu.shape[1] * math.log(2 * math.pi)
    return np.average(weights, axis=0)


@samples.accepts
def by_torch_normal(log_joint, mu, logvar, eps, samples=None):
    import torch

    q = torch.distributions.Normal(torch.tensor(mu), torch.tensor(logvar).mul(0.5).exp())
    z = q.loc + q.scale * torch.tensor(eps)
    return np.mean([log_joint(each.numpy()) for each in z], axis=0) - q.log_prob(z).sum(-1).mean(0).numpy()


@samples.names("log q added")
def plus_log_q(log_joint, mu, logvar, eps):
    z = mu + np.exp(logvar / 2) * eps
    return (log_joint(z) - 0.5 * (np.log(2 * np.pi) + logvar + eps**2).sum(axis=-1)).mean(axis=0)


@samples.names("log q left out")
def joint_only(log_joint, mu, logvar, eps):
    return log_joint(mu + np.exp(logvar / 2) * eps).mean(axis=0)


@samples.names("logarithm of the average")
def iwae(log_joint, mu, logvar, eps):
    z = mu + np.exp(logvar / 2) * eps
    w = log_joint(z) + 0.5 * (np.log(2 * np.pi) + logvar + eps**2).sum(axis=-1)
    top = w.max(axis=0)
    return top + np.log(np.exp(w - top).mean(axis=0))


@samples.names("closed-form entropy")
def entropy(log_joint, mu, logvar, eps):
    z = mu + np.exp(logvar / 2) * eps
    return log_joint(z).mean(axis=0) + 0.5 * (1 + np.log(2 * np.pi) + logvar).sum(axis=1)


@samples.names("closed-form KL subtracted")
def minus_the_kl(log_joint, mu, logvar, eps):
    z = mu + np.exp(logvar / 2) * eps
    return log_joint(z).mean(axis=0) - 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)


@samples.names("summed over samples")
def added_up(log_joint, mu, logvar, eps):
    return all_at_once(log_joint, mu, logvar, eps) * eps.shape[0]


@samples.names("σ² taken for σ in the sample")
def variance_as_std(log_joint, mu, logvar, eps):
    z = mu + np.exp(logvar) * eps
    log_q = -0.5 * ((z - mu) ** 2 / np.exp(logvar) + logvar + np.log(2 * np.pi)).sum(-1)
    return (log_joint(z) - log_q).mean(0)


@samples.names("log q without log σ")
def no_log_det(log_joint, mu, logvar, eps):
    z = mu + np.exp(logvar / 2) * eps
    return (log_joint(z) + 0.5 * (np.log(2 * np.pi) + eps**2).sum(-1)).mean(0)


@samples.names("log q without 2π")
def no_constant(log_joint, mu, logvar, eps):
    z = mu + np.exp(logvar / 2) * eps
    return (log_joint(z) + 0.5 * (logvar + eps**2).sum(-1)).mean(0)


@samples.names("averaged over the batch as well")
def one_number(log_joint, mu, logvar, eps):
    return all_at_once(log_joint, mu, logvar, eps).mean()


@samples.names("log q averaged over latents")
def averaged_over_latents(log_joint, mu, logvar, eps):
    z = mu + np.exp(logvar / 2) * eps
    return (log_joint(z) + 0.5 * (np.log(2 * np.pi) + logvar + eps**2).mean(axis=-1)).mean(axis=0)


@samples.names("sign flipped")
def minus_elbo(log_joint, mu, logvar, eps):
    return -all_at_once(log_joint, mu, logvar, eps)


@samples.names("log q at the mean")
def density_of_the_mean(log_joint, mu, logvar, eps):
    z = mu + np.exp(logvar / 2) * eps
    return log_joint(z).mean(0) + 0.5 * (np.log(2 * np.pi) + logvar).sum(-1)


repaired = Bench(elbo.repaired_loss)


@repaired.accepts
def plain(rec, mu, logvar):
    return rec + 0.5 * np.sum(np.exp(logvar) + mu**2 - 1 - logvar, axis=1)


@repaired.accepts
def both_signs_inside(rec, mu, logvar):
    return rec - 0.5 * (1 + logvar - mu**2 - np.exp(logvar)).sum(axis=1)


@repaired.accepts
def with_sigma(rec, mu, logvar, beta=1.0):
    sigma = np.exp(logvar / 2)
    kl = (0.5 * (mu**2 + sigma**2) - 0.5 - np.log(sigma)).sum(-1)
    return rec + beta * kl


@repaired.accepts
def einsum(rec, mu, logvar):
    return rec + 0.5 * np.einsum("bd->b", mu * mu + np.expm1(logvar) - logvar)


@repaired.names("both faults are still there")
def as_published(rec, mu, logvar):
    return rec + 0.5 * (1 + logvar - mu**2 - np.exp(logvar)).mean(axis=1)


@repaired.names("the sign is still flipped")
def only_the_sum(rec, mu, logvar):
    return rec + 0.5 * (1 + logvar - mu**2 - np.exp(logvar)).sum(axis=1)


@repaired.names("still averaged over latents")
def only_the_sign(rec, mu, logvar):
    return rec - 0.5 * (1 + logvar - mu**2 - np.exp(logvar)).mean(axis=1)


@repaired.names("the ELBO instead of the loss")
def elbo_itself(rec, mu, logvar):
    return -rec - 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)


@repaired.names("sign of rec flipped")
def minus_rec(rec, mu, logvar):
    return -rec + 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)


@repaired.names("KL summed over the batch")
def everybodys_kl(rec, mu, logvar):
    return rec + 0.5 * np.sum(mu**2 + np.exp(logvar) - 1 - logvar)


@repaired.names("averaged over the batch")
def mean_loss(rec, mu, logvar):
    return np.mean(rec + 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1))


@repaired.names("factor ½ missing")
def doubled(rec, mu, logvar):
    return rec + (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)


@repaired.rejects("wrong")
def absolute_value(rec, mu, logvar):
    return rec + np.abs(0.5 * (1 + logvar - mu**2 - np.exp(logvar)).sum(axis=1)) * 1.01


@repaired.names("rec left out")
def kl_alone(rec, mu, logvar):
    return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)


@repaired.names("log σ taken for log σ²")
def squared_sigma(rec, mu, logvar):
    return rec + 0.5 * (mu**2 + np.exp(logvar) ** 2 - 1 - 2 * logvar).sum(axis=1)
