"""Sheet 01: the evidence lower bound, in NumPy."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vae_course.checks.answer import Answer
from vae_course.checks.check import check
from vae_course.checks.formula import Mistake, examine_formula, not_finite

Array = NDArray[Any]


def log_normal(x: Array, mean: Array | float, var: Array | float) -> Array:
    return -0.5 * (np.log(2 * np.pi * var) + (x - mean) ** 2 / var)


# ---- a mixture's log-density --------------------------------------------------------------------------


def mixture(x: Array, weights: Array, means: Array, stds: Array) -> Array:
    terms = np.log(weights) + log_normal(x[:, None], means, stds**2)  # (N, K)
    return np.asarray(np.logaddexp.reduce(terms, axis=1))


MIXTURE_MISTAKES = (
    Mistake(
        "weights left out",
        "The components are added as if each had weight 1: p(x) = Σ_k w_k N(x; m_k, s_k²).",
        lambda x, w, m, s: mixture(x, np.ones_like(w), m, s),
    ),
    Mistake(
        "an average of logarithms",
        "That is Σ_k w_k log N(x; m_k, s_k²), a lower bound by Jensen's inequality. First add densities, then the log.",
        lambda x, w, m, s: (w * log_normal(x[:, None], m, s**2)).sum(axis=1),
    ),
    Mistake(
        "standard deviation taken for variance",
        "`stds` are standard deviations: the exponent divides by s², and the log takes 2πs².",
        lambda x, w, m, s: mixture(x, w, m, np.sqrt(s)),
    ),
    Mistake(
        "variance squared",
        "`stds` are squared twice on the way: the exponent divides by s², not by s⁴.",
        lambda x, w, m, s: mixture(x, w, m, s**2),
    ),
    Mistake(
        "2π left out",
        "Every density misses its factor 1/√(2π): the result is too large by ½ log 2π = 0.919.",
        lambda x, w, m, s: mixture(x, w, m, s) + 0.5 * np.log(2 * np.pi),
    ),
    Mistake(
        "normaliser without σ",
        "A wide Gaussian is lower: each density has the factor 1/s_k, so log s_k is subtracted.",
        lambda x, w, m, s: mixture(x, w * s, m, s),
    ),
    Mistake(
        "sign of the exponent",
        "The further x is from a component, the lower its density: the squared distance is subtracted.",
        lambda x, w, m, s: np.logaddexp.reduce(
            np.log(w) - log_normal(x[:, None], m, s**2) - np.log(2 * np.pi * s**2), 1
        ),
    ),
    Mistake(
        "added over the points",
        "Each of the N numbers has a log-density of its own: add up the K components only.",
        lambda *inputs: mixture(*inputs).sum(),
    ),
    Mistake(
        "density instead of its logarithm",
        "The result is p(x); the task wants log p(x).",
        lambda x, w, m, s: np.exp(mixture(x, w, m, s)),
    ),
)


FAR_AWAY_MISTAKES = (  # looked for where the answer is right for ordinary numbers
    Mistake(
        "not the largest term taken out",
        "Far from every component the result is +inf: e^(a − top) overflows unless top is the largest of the K terms.",
        when=lambda got, want: any(np.isposinf(each).any() for each in got),
    ),
    Mistake(
        "the density underflows",
        "Far from every component each density is 0 in the computer, and log 0 is −inf. "
        "Add up with log-sum-exp, the largest term taken out for each x.",
        when=not_finite,
    ),
)


@check("01/mixture_log_density", "Log-density of a mixture")
def mixture_log_density(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = []
    for K, N in ((3, 7), (1, 2), (2, 4)):
        weights = rng.dirichlet(np.ones(K) * 3)
        cases.append((rng.normal(size=N), weights, rng.normal(size=K), 0.5 + rng.random(K)))
    examine_formula(answer, cases, mixture, MIXTURE_MISTAKES, "one log-density for each x")
    stds = np.array([0.6, 1.4, 0.7]) + 0.1 * rng.random(3)  # far away the widest is largest: not the first nor the last
    far_away = np.array([0.3, -1000.0, 1000.0]), rng.dirichlet(np.ones(3) * 3), rng.normal(size=3), stds
    examine_formula(answer, [far_away], mixture, FAR_AWAY_MISTAKES, "one log-density for each x")


# ---- the KL between two diagonal Gaussians ------------------------------------------------------------


def kl_terms(mu: Array, logvar: Array, prior_mu: Array, prior_logvar: Array) -> Array:
    ratio = np.exp(logvar - prior_logvar)
    return 0.5 * (prior_logvar - logvar + ratio + (mu - prior_mu) ** 2 / np.exp(prior_logvar) - 1)


def kl(mu: Array, logvar: Array, prior_mu: Array, prior_logvar: Array) -> Array:
    return np.asarray(kl_terms(mu, logvar, prior_mu, prior_logvar).sum(axis=1))


KL_MISTAKES = (
    Mistake(
        "sign flipped",
        "A KL is never negative, and this is −KL. Compare each sign with E_q[log q − log p].",
        lambda *inputs: -kl(*inputs),
    ),
    Mistake(
        "averaged over latents",
        "Independent latents add up: sum over the D latents (axis 1), do not average.",
        lambda *inputs: kl_terms(*inputs).mean(axis=1),
    ),
    Mistake(
        "summed over the batch",
        "Sum over the latents only (axis 1): each of the B examples has a KL of its own.",
        lambda *inputs: kl_terms(*inputs).sum(),
    ),
    Mistake(
        "summed over the wrong axis",
        "Examples lie along axis 0, latents along axis 1: sum over axis 1.",
        lambda *inputs: kl_terms(*inputs).sum(axis=0),
    ),
    Mistake(
        "not summed over latents",
        "This is one number for each latent. Latents are independent, so an example's KL is their sum.",
        lambda *inputs: kl_terms(*inputs),
    ),
    Mistake(
        "averaged over the batch",
        "The average over the batch is the caller's: return one number for each example.",
        lambda *inputs: kl(*inputs).mean(),
    ),
    Mistake(
        "factor ½ missing",
        "Every term of a Gaussian log-density carries ½, and so does the KL.",
        lambda *inputs: 2 * kl(*inputs),
    ),
    Mistake(
        "arguments swapped",
        "That is KL(p ‖ q), which averages over the prior. The ELBO's KL averages over q: KL(q ‖ p).",
        lambda mu, logvar, prior_mu, prior_logvar: kl(prior_mu, prior_logvar, mu, logvar),
    ),
    Mistake(
        "log σ taken for log σ²",
        "`logvar` is log σ²: σ² is exp(logvar), without a 2 in the exponent.",
        lambda mu, logvar, prior_mu, prior_logvar: kl(mu, 2 * logvar, prior_mu, 2 * prior_logvar),
    ),
    Mistake(
        "prior taken as N(0, I)",
        "Here the prior has its own mean and variance: use `prior_mu` and `prior_logvar`.",
        lambda mu, logvar, prior_mu, prior_logvar: kl(mu, logvar, 0 * prior_mu, 0 * prior_logvar),
    ),
    Mistake(
        "prior's mean left out",
        "The prior need not lie around 0: what counts is the distance of μ from `prior_mu`.",
        lambda mu, logvar, prior_mu, prior_logvar: kl(mu, logvar, 0 * prior_mu, prior_logvar),
    ),
    Mistake(
        "prior's variance left out",
        "The prior's variance need not be 1: it divides both squares, and its logarithm is added.",
        lambda mu, logvar, prior_mu, prior_logvar: kl(mu, logvar, prior_mu, 0 * prior_logvar),
    ),
    Mistake(
        "distance not measured in the prior's σ",
        "The squared distance of the means is divided by the prior's variance: far is far only beside the prior's σ.",
        lambda mu, logvar, m, lv: 0.5 * (lv - logvar + np.exp(logvar - lv) + (mu - m) ** 2 - 1).sum(axis=1),
    ),
    Mistake(
        "logarithms of the variances left out",
        "The normalisers of q and p differ: ½ (log σ_p² − log σ²) for each latent is missing.",
        lambda mu, logvar, m, lv: kl(mu, logvar, m, lv) - 0.5 * (lv - logvar).sum(axis=1),
    ),
    Mistake(
        "q's variance left out",
        "E_q[(z − μ_p)²] is σ² + (μ − μ_p)²: the spread of q counts as well, and so does the −1.",
        lambda mu, logvar, m, lv: 0.5 * (lv - logvar + (mu - m) ** 2 / np.exp(lv)).sum(axis=1),
    ),
    Mistake(
        "distance not squared",
        "The distance of the means enters squared; the absolute value agrees with it at 0 and at 1 only.",
        lambda mu, logvar, m, lv: (
            0.5 * (lv - logvar + np.exp(logvar - lv) + np.abs(mu - m) / np.exp(lv) - 1).sum(axis=1)
        ),
    ),
    Mistake(
        "log-ratio of the variances flipped",
        "log σ_p² − log σ²: a q that is narrower than the prior costs more, so its own logvar is subtracted.",
        lambda mu, logvar, m, lv: kl(mu, logvar, m, lv) + (logvar - lv).sum(axis=1),
    ),
    Mistake(
        "−1 left out",
        "The KL of two equal Gaussians is 0. Yours is D/2 there: each latent's −1 is missing.",
        lambda mu, *others: kl(mu, *others) + 0.5 * mu.shape[1],
    ),
    Mistake(
        "−1 counted once an example",
        "Each of the D latents has a −1 of its own: it belongs inside the sum.",
        lambda mu, *others: kl(mu, *others) + 0.5 * (mu.shape[1] - 1),
    ),
)


@check("01/kl_between_gaussians", "KL between two Gaussians")
def kl_between_gaussians(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = [tuple(rng.normal(size=(4, *shape)) * 0.8) for shape in ((5, 3), (2, 7), (1, 2))]
    examine_formula(answer, cases, kl, KL_MISTAKES, "one KL for each example, in nats")


# ---- the posterior of a linear-Gaussian model ---------------------------------------------------------


def linear_posterior(x: Array, W: Array, b: Array, var: float) -> tuple[Array, Array]:
    covariance = np.linalg.inv(np.eye(W.shape[1]) + W.T @ W / var)
    return covariance @ W.T @ (x - b) / var, covariance


def without_prior(x: Array, W: Array, b: Array, var: float) -> tuple[Array, Array]:
    covariance = np.linalg.inv(W.T @ W / var)
    return covariance @ W.T @ (x - b) / var, covariance


def precision_for_covariance(x: Array, W: Array, b: Array, var: float) -> tuple[Array, Array]:
    mean, covariance = linear_posterior(x, W, b, var)
    return mean, np.linalg.inv(covariance)


def mean_without_noise(x: Array, W: Array, b: Array, var: float) -> tuple[Array, Array]:
    mean, covariance = linear_posterior(x, W, b, var)
    return mean * var, covariance


POSTERIOR_MISTAKES = (
    Mistake(
        "prior left out",
        "This is least squares: the posterior's precision also has the prior's, I + WᵀW/σ².",
        without_prior,
    ),
    Mistake(
        "offset left out",
        "The model is x = Wz + b + noise: the mean explains x − b, not x.",
        lambda x, W, b, var: linear_posterior(x, W, 0 * b, var),
    ),
    Mistake(
        "precision instead of covariance",
        "The second result is the precision matrix; its inverse is the covariance.",
        precision_for_covariance,
    ),
    Mistake(
        "σ² taken for σ",
        "`var` is σ² already: divide by `var`, do not square it.",
        lambda x, W, b, var: linear_posterior(x, W, b, var**2),
    ),
    Mistake(
        "square root of σ²",
        "`var` is σ² and is what the formula divides by; its square root is not needed.",
        lambda x, W, b, var: linear_posterior(x, W, b, var**0.5),
    ),
    Mistake(
        "σ² left out of the mean",
        "The covariance is right. The mean is covariance · Wᵀ(x − b), divided by σ².",
        mean_without_noise,
    ),
    Mistake(
        "σ² left out",
        "The noise decides how much one observation says: WᵀW and Wᵀ(x − b) are divided by σ².",
        lambda x, W, b, var: linear_posterior(x, W, b, 1.0),
    ),
    Mistake(
        "covariance without σ²",
        "The mean is right. (WᵀW + σ²I)⁻¹ is the covariance divided by σ²; the precision is I + WᵀW/σ².",
        lambda x, W, b, var: (linear_posterior(x, W, b, var)[0], linear_posterior(x, W, b, var)[1] / var),
    ),
    Mistake(
        "results swapped",
        "Return the mean first, then the covariance.",
        lambda *inputs: linear_posterior(*inputs)[::-1],
    ),
)


@check("01/posterior", "The exact posterior")
def posterior(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = []
    for P, D, var in ((5, 2, 0.3), (4, 3, 2.5), (3, 1, 0.7)):
        cases.append((rng.normal(size=P), rng.normal(size=(P, D)), rng.normal(size=P), var))
    examine_formula(answer, cases, linear_posterior, POSTERIOR_MISTAKES, "the mean (D,) and the covariance (D, D)")


# ---- the ELBO from samples ----------------------------------------------------------------------------

LogJoint = Callable[[Array], Array]


def elbo_terms(log_joint: LogJoint, mu: Array, logvar: Array, eps: Array, scale: float = 0.5) -> tuple[Array, Array]:
    """log p(x, z) and log q(z), each (K, B)."""
    z = mu + np.exp(scale * logvar) * eps
    return np.stack([log_joint(each) for each in z]), log_normal(z, mu, np.exp(logvar)).sum(axis=-1)


def elbo_from_samples(log_joint: LogJoint, mu: Array, logvar: Array, eps: Array, scale: float = 0.5) -> Array:
    log_p, log_q = elbo_terms(log_joint, mu, logvar, eps, scale)
    return np.asarray((log_p - log_q).mean(axis=0))


def log_q_added(*inputs: Any) -> Array:
    log_p, log_q = elbo_terms(*inputs)
    return np.asarray((log_p + log_q).mean(axis=0))


def log_q_left_out(*inputs: Any) -> Array:
    return np.asarray(elbo_terms(*inputs)[0].mean(axis=0))


def importance_weighted(*inputs: Any) -> Array:
    log_p, log_q = elbo_terms(*inputs)
    return np.asarray(np.logaddexp.reduce(log_p - log_q, axis=0) - np.log(len(log_p)))


def closed_form_entropy(log_joint: LogJoint, mu: Array, logvar: Array, eps: Array) -> Array:
    entropy = 0.5 * (np.log(2 * np.pi) + 1 + logvar).sum(axis=-1)
    return elbo_terms(log_joint, mu, logvar, eps)[0].mean(axis=0) + entropy


def log_q_without_sigma(log_joint: LogJoint, mu: Array, logvar: Array, eps: Array) -> Array:
    return elbo_from_samples(log_joint, mu, logvar, eps) - 0.5 * logvar.sum(axis=-1)


def log_q_without_pi(log_joint: LogJoint, mu: Array, logvar: Array, eps: Array) -> Array:
    return elbo_from_samples(log_joint, mu, logvar, eps) - 0.5 * np.log(2 * np.pi) * mu.shape[1]


def log_q_averaged(log_joint: LogJoint, mu: Array, logvar: Array, eps: Array) -> Array:
    log_p, log_q = elbo_terms(log_joint, mu, logvar, eps)
    return np.asarray((log_p - log_q / mu.shape[1]).mean(axis=0))


def log_q_at_the_mean(log_joint: LogJoint, mu: Array, logvar: Array, eps: Array) -> Array:
    return elbo_from_samples(log_joint, mu, logvar, eps) - 0.5 * (eps**2).sum(axis=-1).mean(axis=0)


def closed_form_kl(log_joint: LogJoint, mu: Array, logvar: Array, eps: Array) -> Array:
    return np.asarray(elbo_terms(log_joint, mu, logvar, eps)[0].mean(axis=0) - kl(mu, logvar, 0 * mu, 0 * logvar))


ELBO_MISTAKES = (
    Mistake(
        "closed-form KL subtracted",
        "log p(x, z) contains the prior already, so subtracting KL(q ‖ prior) counts it twice. Subtract log q(z).",
        closed_form_kl,
    ),
    Mistake(
        "sign flipped",
        "This is −ELBO. The ELBO is E_q[log p(x, z) − log q(z)].",
        lambda *inputs: -elbo_from_samples(*inputs),
    ),
    Mistake(
        "log q at the mean",
        "That is log q(μ). The term averages log q at the sampled z, which lies (z − μ)/σ away from the middle.",
        log_q_at_the_mean,
    ),
    Mistake(
        "log q added",
        "The ELBO is E_q[log p(x, z) − log q(z)]: log q is subtracted.",
        log_q_added,
    ),
    Mistake(
        "log q left out",
        "E_q[log p(x, z)] alone is largest for a q of no width. The term −log q(z) is missing.",
        log_q_left_out,
    ),
    Mistake(
        "logarithm of the average",
        "log(average of p/q) is another, tighter bound. The ELBO averages the logarithms over the K samples.",
        importance_weighted,
    ),
    Mistake(
        "closed-form entropy",
        "A good estimate, with the entropy of q in closed form. This task wants log q at the same samples instead.",
        closed_form_entropy,
    ),
    Mistake(
        "summed over samples",
        "Average over the K samples, do not add them up: more samples must not give a larger ELBO.",
        lambda log_joint, mu, logvar, eps: elbo_from_samples(log_joint, mu, logvar, eps) * len(eps),
    ),
    Mistake(
        "σ² taken for σ in the sample",
        "z = μ + σε with σ = exp(½ logvar); exp(logvar) is the variance.",
        lambda log_joint, mu, logvar, eps: elbo_from_samples(log_joint, mu, logvar, eps, scale=1.0),
    ),
    Mistake(
        "log q without log σ",
        "A narrow q is high: log q(z) has −½ logvar for each latent.",
        log_q_without_sigma,
    ),
    Mistake(
        "log q without 2π",
        "log q(z) has −½ log 2π for each latent, and log p(x, z) has its own: they belong to different densities.",
        log_q_without_pi,
    ),
    Mistake(
        "log q averaged over latents",
        "The D latents are independent under q: their log-densities add up.",
        log_q_averaged,
    ),
    Mistake(
        "averaged over the batch as well",
        "Average over the K samples only: each of the B examples keeps its own ELBO.",
        lambda *inputs: elbo_from_samples(*inputs).mean(),
    ),
)


@check("01/elbo", "The ELBO from samples")
def elbo(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = []
    for K, B, D in ((4, 3, 2), (1, 2, 5), (6, 1, 1)):
        center = rng.normal(size=D)

        def log_joint(z: Array, center: Array = center) -> Array:  # any function of z will do
            return np.asarray(-((z - center) ** 2).sum(axis=-1) + np.sin(z).sum(axis=-1) - 3.0)

        cases.append((log_joint, rng.normal(size=(B, D)), rng.normal(size=(B, D)), rng.normal(size=(K, B, D))))
    examine_formula(answer, cases, elbo_from_samples, ELBO_MISTAKES, "one ELBO for each example, in nats")


# ---- spot the bug: a loss below its own reconstruction term -------------------------------------------


def standard_kl_terms(mu: Array, logvar: Array) -> Array:
    return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar)


def negative_elbo(rec: Array, mu: Array, logvar: Array) -> Array:
    return np.asarray(rec + standard_kl_terms(mu, logvar).sum(axis=1))


LOSS_MISTAKES = (
    Mistake(
        "KL summed over the batch",
        "Each example's loss has the KL of that example alone: sum over the latents only (axis 1).",
        lambda rec, mu, logvar: rec + standard_kl_terms(mu, logvar).sum(),
    ),
    Mistake(
        "rec left out",
        "This is the KL alone: the loss is `rec` plus the KL.",
        lambda rec, mu, logvar: standard_kl_terms(mu, logvar).sum(axis=1),
    ),
    Mistake(
        "log σ taken for log σ²",
        "Sum and sign are right. But `logvar` is log σ²: its exponential is σ² already.",
        lambda rec, mu, logvar: negative_elbo(rec, mu, 2 * logvar),
    ),
    Mistake(
        "both faults are still there",
        "This is the faulty loss unchanged. Print its KL for μ = 0, σ = 0.1 and D = 1; it must be 1.808.",
        lambda rec, mu, logvar: rec - standard_kl_terms(mu, logvar).mean(axis=1),
    ),
    Mistake(
        "the sign is still flipped",
        "Latents add up now. But the loss is still below `rec`, and a KL is never negative.",
        lambda rec, mu, logvar: rec - standard_kl_terms(mu, logvar).sum(axis=1),
    ),
    Mistake(
        "still averaged over latents",
        "The sign is right now. But twice as many equal latents must cost twice as much: add them up.",
        lambda rec, mu, logvar: rec + standard_kl_terms(mu, logvar).mean(axis=1),
    ),
    Mistake(
        "the ELBO instead of the loss",
        "This is the ELBO. A loss is what training makes small: −ELBO.",
        lambda *inputs: -negative_elbo(*inputs),
    ),
    Mistake(
        "sign of rec flipped",
        "`rec` is −log p(x|z) already, as the docstring says: the loss adds it.",
        lambda rec, mu, logvar: negative_elbo(-rec, mu, logvar),
    ),
    Mistake(
        "averaged over the batch",
        "One loss for each example: the average over the batch is the caller's.",
        lambda *inputs: negative_elbo(*inputs).mean(),
    ),
    Mistake(
        "factor ½ missing",
        "The KL carries the factor ½ of the Gaussian's log-density.",
        lambda rec, mu, logvar: negative_elbo(rec, mu, logvar) + standard_kl_terms(mu, logvar).sum(axis=1),
    ),
)


@check("01/repaired_loss", "Spot the bug: a loss that is too low")
def repaired_loss(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = [(90 + rng.normal(size=B), *rng.normal(size=(2, B, D))) for B, D in ((4, 3), (2, 6), (1, 2))]
    examine_formula(answer, cases, negative_elbo, LOSS_MISTAKES, "one loss for each example, in nats")
