"""Sheet 03: gradients through a sample, in NumPy and PyTorch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vae_course.checks.answer import Answer, Finding
from vae_course.checks.check import check
from vae_course.checks.formula import Mistake, agree, examine_formula
from vae_course.checks.sampler import examine_sampler

Array = NDArray[Any]


# ---- a sample that lets gradients through -------------------------------------------------------------


@check("03/sample_z", "A sample that lets gradients through", random=True)
def sample_z(answer: Answer, seed: int) -> None:
    examine_sampler(answer, seed)  # false alarms: below 2e-8, calculated there


# ---- the score function for binary latents ------------------------------------------------------------

Function = Callable[[Array], Array]


def probabilities(logits: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-logits)))


def bernoulli_score(logits: Array, z: Array) -> Array:
    return z - probabilities(logits)


def score_estimates(f: Function, logits: Array, z: Array) -> Array:
    return np.asarray(f(z))[:, None] * bernoulli_score(logits, z)


def by_probability(f: Function, logits: Array, z: Array) -> Array:
    p = probabilities(logits)
    return score_estimates(f, logits, z) / (p * (1 - p))


def log_masses(logits: Array, z: Array) -> Array:
    """log q of each latent, (N, D)."""
    return z * logits - np.logaddexp(0, logits)


def weighted_again(f: Function, logits: Array, z: Array) -> Array:
    mass = np.exp(log_masses(logits, z).sum(axis=1, keepdims=True))  # (N, 1)
    return mass * score_estimates(f, logits, z)


SCORE_MISTAKES = (
    Mistake(
        "f left out",
        "This is the score alone, whose mean is zero. Each sample's score is multiplied by its f(z).",
        lambda f, logits, z: bernoulli_score(logits, z),
    ),
    Mistake(
        "sign flipped",
        "The signs are reversed. Raising a logit makes z = 1 more probable: the score at z = 1 is positive.",
        lambda *inputs: -score_estimates(*inputs),
    ),
    Mistake(
        "logit taken for probability",
        "`logits` may be any real number. The probability of z = 1 is sigmoid(logits).",
        lambda f, logits, z: f(z)[:, None] * (z - logits),
    ),
    Mistake(
        "gradient with respect to the probability",
        "That is the derivative with respect to p. For the logit, the chain rule adds dp/dlogit = p(1 − p).",
        by_probability,
    ),
    Mistake(
        "normaliser left out",
        "log q(z) has a second term, −log(1 + exp(logit)), and it depends on the logit too.",
        lambda f, logits, z: f(z)[:, None] * z,
    ),
    Mistake(
        "the term of z = 0 forgotten",
        "The estimates are zero wherever z is 0. But log(1 − p) depends on the logit too: the score there is −p.",
        lambda f, logits, z: score_estimates(f, logits, z) * z,
    ),
    Mistake(
        "log q instead of its gradient",
        "f(z) is multiplied by log q(z) itself. The score is its derivative with respect to the logits.",
        lambda f, logits, z: f(z)[:, None] * log_masses(logits, z),
    ),
    Mistake(
        "weighted by q again",
        "Samples drawn from q are frequent where q is large. A further factor q(z) counts that twice.",
        weighted_again,
    ),
    Mistake(
        "divided by N",
        "Each sample's estimate is divided by N. The average over the samples is the caller's.",
        lambda f, logits, z: score_estimates(f, logits, z) / len(z),
    ),
    Mistake(
        "averaged over samples",
        "One estimate for each sample, (N, D): the average over them is the caller's.",
        lambda *inputs: score_estimates(*inputs).mean(axis=0),
    ),
    Mistake(
        "summed over samples",
        "One estimate for each sample, (N, D): nothing is added up here.",
        lambda *inputs: score_estimates(*inputs).sum(axis=0),
    ),
    Mistake(
        "summed over latents",
        "Each logit has a derivative of its own: keep the D columns.",
        lambda *inputs: score_estimates(*inputs).sum(axis=1),
    ),
    Mistake(
        "average of f for every sample",
        "Each sample's score goes with the f of that very sample; with their average, nothing remains but noise.",
        lambda f, logits, z: f(z).mean() * bernoulli_score(logits, z),
    ),
    Mistake(
        "a baseline subtracted",
        "The mean of f is subtracted first. That is the next task's subject; and it includes the sample's own value.",
        lambda f, logits, z: (f(z) - f(z).mean())[:, None] * bernoulli_score(logits, z),
    ),
)


@check("03/score_function_gradient", "The score function for binary latents")
def score_function_gradient(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = []
    for N, D in ((6, 3), (4, 5), (3, 2)):
        weights, offset = rng.normal(size=D), 1 + rng.random()

        def f(z: Array, weights: Array = weights, offset: float = offset) -> Array:
            return np.asarray((z @ weights) ** 2 + offset)

        z = (rng.random((N, D)) < 0.5).astype(float)
        z[:2] = [[1.0] + [0.0] * (D - 1), [0.0] + [1.0] * (D - 1)]  # or f might be the same for all
        cases.append((f, rng.normal(size=D) + 0.5, z))
    examine_formula(answer, cases, score_estimates, SCORE_MISTAKES, "one estimate for each sample and logit, (N, D)")


# ---- a baseline that keeps the estimate unbiased ------------------------------------------------------


def others_mean(values: Array) -> Array:
    return (values.sum(axis=0) - values) / (len(values) - 1)


def all_others_mean(values: Array) -> Array:
    return (values.sum() - values) / (values.size - 1)


BASELINE_MISTAKES = (
    Mistake(
        "own value included",
        "This is the mean of all K values. A sample's own value must not be in its baseline.",
        lambda v: np.broadcast_to(v.mean(axis=0), v.shape),
    ),
    Mistake(
        "own value included",
        "This is one mean for all K values. Each sample has a baseline without its own value: the result is (K, B).",
        lambda v: v.mean(axis=0),
    ),
    Mistake(
        "own value included",
        "This is the mean of all values. A sample's baseline is without its own value, and each example has its own.",
        lambda v: v.mean(),
    ),
    Mistake(
        "divided by K",
        "Without its own value, K − 1 are left for each sample: divide by their number.",
        lambda v: others_mean(v) * (len(v) - 1) / len(v),
    ),
    Mistake(
        "own value still in the sum",
        "The divisor is right, but the sum still contains the sample's own value.",
        lambda v: np.broadcast_to(v.sum(axis=0) / (len(v) - 1), v.shape),
    ),
    Mistake(
        "sum instead of mean",
        "This is the sum of the others. A baseline has the size of one value: divide by their number.",
        lambda v: others_mean(v) * (len(v) - 1),
    ),
    Mistake(
        "over the wrong axis",
        "Samples lie along axis 0, examples along axis 1. The other samples of the same example are wanted.",
        lambda v: others_mean(v.T).T,
    ),
    Mistake(
        "over all examples",
        "Other examples have other values of f. Average the other samples of the same example only.",
        all_others_mean,
    ),
    Mistake(
        "baseline already subtracted",
        "This is value − baseline. Return the baseline; whoever uses it subtracts it.",
        lambda v: v - others_mean(v),
    ),
    Mistake(
        "subtracted with the sign reversed",
        "This is baseline − value. Return the baseline alone.",
        lambda v: others_mean(v) - v,
    ),
    Mistake(
        "the next sample's value",
        "One other sample gives an unbiased baseline, but a noisy one. Average all K − 1 others.",
        lambda v: np.roll(v, -1, axis=0),
    ),
    Mistake(
        "the previous sample's value",
        "One other sample gives an unbiased baseline, but a noisy one. Average all K − 1 others.",
        lambda v: np.roll(v, 1, axis=0),
    ),
)


@check("03/leave_one_out", "A leave-one-out baseline")
def leave_one_out(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = [(5 + 2 * rng.normal(size=shape),) for shape in ((5, 3), (2, 4), (3, 2))]
    examine_formula(answer, cases, others_mean, BASELINE_MISTAKES, "one baseline for each sample and example, (K, B)")


# ---- pathwise samples of another distribution ---------------------------------------------------------


def quantile(rate: Tensor, u: Tensor) -> Tensor:
    return -torch.log1p(-u) / rate


EXPONENTIAL_MISTAKES = (
    Mistake(
        "sign flipped",
        "The samples are negative. log(1 − u) is negative for u between 0 and 1.",
        lambda rate, u: -quantile(rate, u),
    ),
    Mistake(
        "rate taken for the mean",
        "A large rate means short waits: the mean is 1/rate, and here it is the rate.",
        lambda rate, u: quantile(1 / rate, u),
    ),
    Mistake(
        "divided by the rate twice",
        "The mean of these is 1/rate². Solve u = 1 − exp(−rate · z) for z once more.",
        lambda rate, u: quantile(rate**2, u),
    ),
    Mistake(
        "rate left out",
        "These are samples for rate 1. The rate has to enter.",
        lambda rate, u: quantile(torch.ones_like(rate), u),
    ),
    Mistake(
        "CDF instead of its inverse",
        "This is the CDF at u. Solve F(z) = u for z instead.",
        lambda rate, u: 1 - torch.exp(-rate * u),
    ),
    Mistake(
        "density instead of a sample",
        "This is the density at u. Solve F(z) = u for z, with F the CDF.",
        lambda rate, u: rate * torch.exp(-rate * u),
    ),
    Mistake(
        "averaged over samples",
        "One sample for each u: keep the N rows.",
        lambda rate, u: quantile(rate, u).mean(dim=0),
    ),
    Mistake(
        "rate inside the logarithm",
        "The rate stands outside the logarithm: first take the logarithm of 1 − u, then divide.",
        lambda rate, u: quantile(torch.ones_like(rate), u) - rate.log(),
    ),
)


@check("03/sample_exponential", "Pathwise samples by an inverse CDF")
def sample_exponential(answer: Answer, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for N, D in ((5, 3), (2, 4), (4, 1)):
        rate = 0.4 + torch.tensor([0.3, 0.9, 1.9, 3.1])[:D] + 0.2 * torch.rand(D, generator=generator)
        cases.append((rate, 0.02 + 0.96 * torch.rand(N, D, generator=generator)))
    if not agree_twice(answer, cases[0]):
        hint = "Two calls with the same u gave different samples. All randomness comes from `u`: compute z from it."
        raise Finding("mistake", hint, "random numbers of its own")
    with_u = from_u(answer, cases)
    meaning = "one sample for each u, (N, D)"
    examine_formula(answer, cases, quantile_of(with_u), tuple(map(mirrored(with_u), EXPONENTIAL_MISTAKES)), meaning)
    require_gradient_of_rate(answer, *cases[0])


def agree_twice(answer: Answer, case: tuple[Tensor, Tensor]) -> bool:
    first, second = answer(*case), answer(*case)
    tensors = isinstance(first, Tensor) and isinstance(second, Tensor) and first.shape == second.shape
    return not tensors or bool(torch.equal(first.nan_to_num(), second.nan_to_num()))


def from_u(answer: Answer, cases: list[tuple[Tensor, Tensor]]) -> bool:
    """Whether the answer, right or wrong, takes log u for log(1 − u): as 1 − u is uniform too, that is as good."""
    formulas = [quantile, *(each.wrong for each in EXPONENTIAL_MISTAKES if each.wrong)]
    got = [answer(*case) for case in cases]
    if not all(isinstance(each, Tensor) for each in got):
        return False
    return any(all(agree(g, w(rate, 1 - u)) for g, (rate, u) in zip(got, cases, strict=True)) for w in formulas)


def quantile_of(with_u: bool) -> Callable[[Tensor, Tensor], Tensor]:
    return (lambda rate, u: quantile(rate, 1 - u)) if with_u else quantile


def mirrored(with_u: bool) -> Callable[[Mistake], Mistake]:
    def mirror(mistake: Mistake) -> Mistake:
        wrong = mistake.wrong
        if not with_u or wrong is None:
            return mistake
        return Mistake(mistake.name, mistake.hint, lambda rate, u: wrong(rate, 1 - u))

    return mirror


def require_gradient_of_rate(answer: Answer, rate: Tensor, u: Tensor) -> None:
    rate = rate.clone().requires_grad_()
    z = answer(rate, u)
    weights = 1 + u.flip(0)
    gradient = torch.autograd.grad((weights * z).sum(), rate, allow_unused=True)[0] if z.requires_grad else None
    if gradient is None or not gradient.any():
        hint = "The samples are right, but no gradient reaches `rate`. Is it detached, or turned into plain numbers?"
        raise Finding("mistake", hint, "no gradient to the rate")
    want = -(weights * z.detach()).sum(dim=0) / rate.detach()
    if not agree(gradient, want):
        hint = "The samples are right, but the gradient that reaches `rate` is not: dz/drate = −z/rate for given u."
        raise Finding("mistake", hint, "wrong gradient to the rate")


# ---- gradients of a KL, by hand -----------------------------------------------------------------------


def kl_slopes(mu: Array, logvar: Array, prior_mu: Array, prior_logvar: Array) -> tuple[Array, Array]:
    """dKL/dmu and dKL/dlogvar of each entry."""
    precision = np.exp(-prior_logvar)
    return (mu - prior_mu) * precision, (np.exp(logvar) * precision - 1) / 2


def changed(first: Callable[..., Any], second: Callable[..., Any]) -> Callable[..., tuple[Array, Array]]:
    """Both slopes with something done to them; the functions also see the inputs."""

    def slopes(*inputs: Array) -> tuple[Array, Array]:
        to_mu, to_logvar = kl_slopes(*inputs)
        return np.asarray(first(to_mu, *inputs)), np.asarray(second(to_logvar, *inputs))

    return slopes


def same(slope: Array, *_: Array) -> Array:
    return slope


def of_the_reverse(mu: Array, logvar: Array, prior_mu: Array, prior_logvar: Array) -> tuple[Array, Array]:
    distance, precision = mu - prior_mu, np.exp(-logvar)
    return distance * precision, (1 - (np.exp(prior_logvar) + distance**2) * precision) / 2


SLOPE_MISTAKES = (
    Mistake(
        "sign flipped",
        "These are the gradients of −KL. The KL grows when μ moves away from the prior's mean.",
        lambda *inputs: tuple(-slope for slope in kl_slopes(*inputs)),
    ),
    Mistake(
        "sign of the first flipped",
        "The first has the wrong sign: the KL grows when μ moves away from the prior's mean.",
        changed(lambda slope, *_: -slope, same),
    ),
    Mistake(
        "results swapped",
        "Return the gradient of mu first, then that of logvar.",
        lambda *inputs: kl_slopes(*inputs)[::-1],
    ),
    Mistake(
        "prior taken as N(0, I)",
        "These are the lesson's gradients, for the prior N(0, I). Here the prior has its own mean and variance.",
        lambda mu, logvar, m, lv: kl_slopes(mu, logvar, 0 * m, 0 * lv),
    ),
    Mistake(
        "with respect to σ",
        "The second is dKL/dσ. With σ = exp(½ logvar), the chain rule adds the factor dσ/dlogvar = ½σ.",
        changed(same, lambda slope, mu, logvar, *prior: slope * 2 * np.exp(-logvar / 2)),
    ),
    Mistake(
        "with respect to σ²",
        "The second is dKL/dσ². With σ² = exp(logvar), the chain rule adds the factor dσ²/dlogvar = σ².",
        changed(same, lambda slope, mu, logvar, *prior: slope * np.exp(-logvar)),
    ),
    Mistake(
        "factor ½ missing",
        "The second lacks the KL's factor ½. (In the first it cancels with the 2 of the square.)",
        changed(same, lambda slope, *_: 2 * slope),
    ),
    Mistake(
        "½ of exp(logvar) missing",
        "The KL has ½ before all its terms, and so before the ratio of the variances as well as before the −1.",
        changed(same, lambda slope, *_: 2 * slope + 0.5),
    ),
    Mistake(
        "gradient of mu doubled or halved",
        "½ (μ − μ_p)² has the derivative μ − μ_p: the ½ and the 2 cancel.",
        when=lambda got, want: halved_or_doubled(got, want),
    ),
    Mistake(
        "−1 left out",
        "The second is never negative. At σ = σ_p both gradients vanish: the derivative of −logvar is −1.",
        changed(same, lambda slope, *_: slope + 0.5),
    ),
    Mistake(
        "distance not divided by the prior's variance",
        "The first lacks the prior's variance: far from the mean is far only beside the prior's σ.",
        changed(lambda slope, mu, logvar, m, lv: slope * np.exp(lv), same),
    ),
    Mistake(
        "the prior's variance missing in the second",
        "The second compares σ² with 1. It has to compare it with the prior's variance.",
        lambda mu, logvar, m, lv: (kl_slopes(mu, logvar, m, lv)[0], kl_slopes(mu, logvar, m, 0 * lv)[1]),
    ),
    Mistake(
        "squared distance kept in the second",
        "(μ − μ_p)² does not contain logvar: it drops out of the derivative with respect to logvar.",
        changed(same, lambda slope, mu, logvar, m, lv: slope + (mu - m) ** 2 * np.exp(-lv) / 2),
    ),
    Mistake(
        "prior_logvar not exponentiated",
        "`prior_logvar` is a logarithm. The KL divides by the variance itself, exp(prior_logvar).",
        lambda mu, logvar, m, lv: ((mu - m) / lv, (np.exp(logvar) / lv - 1) / 2),
    ),
    Mistake(
        "the prior's σ taken for its variance",
        "Both are divided by the prior's σ. The KL divides by its variance, exp(prior_logvar).",
        lambda mu, logvar, m, lv: kl_slopes(mu, logvar, m, lv / 2),
    ),
    Mistake(
        "log σ taken for log σ²",
        "`logvar` is log σ²: σ² is exp(logvar), without a 2 in the exponent.",
        lambda mu, logvar, m, lv: kl_slopes(mu, 2 * logvar, m, lv),
    ),
    Mistake(
        "log σ taken for log σ²",
        "Both logarithms are of variances: σ² is exp(logvar), without a 2 in the exponent.",
        lambda mu, logvar, m, lv: kl_slopes(mu, 2 * logvar, m, 2 * lv),
    ),
    Mistake(
        "KL the other way round",
        "These are the gradients of KL(p ‖ q). The ELBO's KL averages over q: KL(q ‖ p).",
        of_the_reverse,
    ),
    Mistake(
        "divided by B",
        "The factor 1/B belongs to a loss that is averaged over the batch. Here each example has its own KL.",
        changed(lambda slope, *_: slope / len(slope), lambda slope, *_: slope / len(slope)),
    ),
    Mistake(
        "summed over latents",
        "The KL is a sum, its gradient is not: one derivative for each entry of mu and logvar.",
        lambda *inputs: tuple(slope.sum(axis=1) for slope in kl_slopes(*inputs)),
    ),
    Mistake(
        "summed over the batch",
        "Each example's mu and logvar have their own derivatives: nothing is added up.",
        lambda *inputs: tuple(slope.sum(axis=0) for slope in kl_slopes(*inputs)),
    ),
)


def halved_or_doubled(got: list[Any], want: list[Any]) -> bool:
    return any(
        all(agree(tuple(result), (factor * true[0], true[1])) for result, true in zip(got, want, strict=True))
        for factor in (0.5, 2)
    )


@check("03/kl_gradients", "Gradients of a KL, by hand")
def kl_gradients(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = [tuple(rng.normal(size=(4, *shape)) * 0.8 + 0.3) for shape in ((5, 3), (2, 7), (3, 2))]
    examine_formula(answer, cases, kl_slopes, SLOPE_MISTAKES, "the gradients of mu and of logvar, (B, D) each")


# ---- spot the bug: a sample without a past ------------------------------------------------------------


@dataclass
class Network:
    """An encoder, and a linear decoder that remembers which z it was given.

    `encoder` is a function of the images, with a gradient to its parameters; mu and logvar are its answer to x.
    """

    x: Tensor
    mu: Tensor
    logvar: Tensor
    encoder: Callable[[Tensor], tuple[Tensor, Tensor]]
    weights: Tensor  # the decoder's, (D, P)
    encoded: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    decoded: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # z and its logits
    z: Tensor = field(default_factory=lambda: torch.empty(0))  # in the order of x, (K, B, D) for K samples of each
    at_once: bool = True  # whether z came in one call, one for each example

    def loss(self, answer: Answer) -> Any:
        """What the answer returns. Its encode and decode are plain functions: no message shows a name of ours."""
        self.encoded.clear()
        self.decoded.clear()

        def encode(x: Tensor) -> tuple[Tensor, Tensor]:
            self.encoded.append(self.encoder(x))
            return self.encoded[-1]

        def decode(z: Tensor) -> Tensor:
            return self.decode(z)

        encode.__qualname__, decode.__qualname__ = "encode", "decode"
        result = answer(self.x, encode, decode)
        if not self.decoded:
            raise Finding("wrong", "`decode` is never called: the loss needs the decoder's logits for a sampled z.")
        self.z = self.in_order(result)
        return result

    def decode(self, z: Tensor) -> Tensor:
        D = len(self.weights)
        if not isinstance(z, Tensor) or z.dim() == 0 or z.shape[-1] != D:
            got = f"shape {tuple(z.shape)}" if isinstance(z, Tensor) else f"a {type(z).__name__}"
            raise Finding("wrong type or shape", f"`decode` takes z with {D} latents for each example; got {got}.")
        logits = z.to(self.weights.dtype) @ self.weights
        self.decoded.append((z, logits))
        return logits

    def in_order(self, result: Any) -> Tensor:
        """The samples that the loss was computed from, in the order of x, (K, B, D)."""
        B, D = self.mu.shape
        with_record = [each for each in self.decoded if each[1].requires_grad]
        calls = with_record or self.decoded  # without a record, one looks on while another trains
        z = torch.cat([each.reshape(-1, D) for each, _ in calls])
        self.at_once = len(calls) == 1 and len(z) == B
        by_use = None if self.at_once else order_of_use(result, [each for _, each in calls], B)
        if by_use is not None:
            return z[by_use].reshape(B, -1, D).transpose(0, 1)
        if len(z) % B:
            raise Finding("wrong", f"`decode` needs a z for each of the {B} examples; it was given {len(z)} in all.")
        return z.reshape(-1, B, D)

    def logits(self) -> Tensor:
        """What the decoder answers to each sample, (K, B, P)."""
        return (self.z.to(self.weights.dtype) @ self.weights).detach()

    def rec(self) -> Tensor:
        logits = self.logits()
        return (F.softplus(logits) - self.x * logits).mean(dim=0).sum(dim=1)

    def kl_terms(self) -> Tensor:
        return kl_entries(self.mu, self.logvar)

    def kl(self) -> Tensor:
        return self.kl_terms().sum(dim=1)

    def kl_as_encoded(self) -> Tensor:
        """The KL of what the encoder answered last, to whatever it was given."""
        mu, logvar = (torch.cat([each.detach().reshape(-1, len(self.weights)) for each in of]) for of in self.both())
        return kl_entries(mu, logvar).sum(dim=1)[-len(self.x) :]

    def both(self) -> tuple[list[Tensor], list[Tensor]]:
        """What the encoder answered in each call, or for x if it was never called."""
        answers = self.encoded or [(self.mu, self.logvar)]
        return [mu for mu, _ in answers], [logvar for _, logvar in answers]

    def sampled_kl(self) -> Tensor:
        z = self.z.detach()
        each = z**2 - (z - self.mu) ** 2 / self.logvar.exp() - self.logvar
        return each.mean(dim=0).sum(dim=1) / 2

    def slopes(self) -> tuple[Tensor, Tensor]:
        """Gradients of the summed loss with respect to mu and logvar: of the reconstruction term, then of the KL."""
        to_z = (self.logits().sigmoid() - self.x) @ self.weights.detach().T
        from_rec = torch.stack([to_z.mean(dim=0), (to_z * (self.z.detach() - self.mu) / 2).mean(dim=0)])
        return from_rec, torch.stack([self.mu, (self.logvar.exp() - 1) / 2])


def kl_entries(mu: Tensor, logvar: Tensor) -> Tensor:
    return (mu**2 + logvar.exp() - 1 - logvar) / 2


def order_of_use(result: Any, logits: list[Tensor], B: int) -> Tensor | None:
    """The rows of logits that a loss for each of B examples uses, example by example; None if that cannot be told.

    Where a row enters loss[b] alone, the gradient of Σ (b + 1) loss[b] is b + 1 times that of Σ loss[b].
    """
    if not (isinstance(result, Tensor) and result.shape == (B,) and result.requires_grad):
        return None
    numbers = torch.arange(1, B + 1, dtype=result.dtype)
    plain, times = (torch.cat(slopes_of(total, logits)).double() for total in (result.sum(), (numbers * result).sum()))
    used = plain.any(dim=1).nonzero().flatten()
    found = ((times * plain).sum(dim=1) / (plain**2).sum(dim=1))[used] - 1
    example = found.round().long()
    clear = len(used) > 0 and bool((found - example).abs().max() < 0.1) and 0 <= example.min() <= example.max() < B
    if not clear or len(example.bincount(minlength=B).unique()) > 1:  # as many samples for one example as for another
        return None
    return used[example.argsort(stable=True)]


def slopes_of(total: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    """The gradient at each input, in rows; zeros where none arrives."""
    if not any(each.requires_grad for each in inputs):
        return [torch.zeros_like(each).reshape(-1, each.shape[-1]) for each in inputs]
    try:
        found = torch.autograd.grad(total, inputs, retain_graph=True, allow_unused=True)
    except RuntimeError as error:
        raise Finding("raised", f"The loss cannot be differentiated: {str(error).split(' Hint:')[0]}") from None
    rows = [torch.zeros_like(each) if slope is None else slope for slope, each in zip(found, inputs, strict=True)]
    return [each.reshape(-1, each.shape[-1]) for each in rows]


def decoder_weights(D: int, P: int, generator: torch.Generator) -> Tensor:
    return (0.3 + torch.randn(D, P, generator=generator)).requires_grad_()


def linear_network(B: int, D: int, P: int, generator: torch.Generator) -> tuple[Network, list[Tensor]]:
    """A network with a linear encoder, and that encoder's weights: for mu and for logvar, (P, D) each."""
    x = torch.rand(B, P, generator=generator)
    weights = [(0.2 + 0.8 * torch.randn(P, D, generator=generator)).requires_grad_() for _ in range(2)]

    def encoder(images: Tensor) -> tuple[Tensor, Tensor]:
        return images.to(x.dtype) @ weights[0], 0.5 + images.to(x.dtype) @ weights[1]

    mu, logvar = (each.detach() for each in encoder(x))
    return Network(x, mu, logvar, encoder, decoder_weights(D, P, generator)), weights


def network_that_answers(mu: Tensor, logvar: Tensor, P: int, generator: torch.Generator) -> Network:
    """A network whose encoder looks mu and logvar up by an image's first pixel, so that they get the gradient."""
    B = len(mu)
    x = torch.rand(B, P, generator=generator)
    x[:, 0] = (torch.arange(B) + 0.5) / B

    def encoder(images: Tensor) -> tuple[Tensor, Tensor]:
        rows = (images[..., 0] * B).long().clamp(0, B - 1)
        return mu[rows], logvar[rows]

    return Network(x, mu.detach(), logvar.detach(), encoder, decoder_weights(mu.shape[1], P, generator))


def true_loss(x: Tensor, network: Network) -> Tensor:
    return network.rec() + network.kl()


def sigmoid_twice(x: Tensor, network: Network) -> Tensor:
    squashed = network.logits().sigmoid()
    return (F.softplus(squashed) - x * squashed).mean(dim=0).sum(dim=1) + network.kl()


def squared_error(x: Tensor, network: Network) -> Tensor:
    return ((network.logits().sigmoid() - x) ** 2).mean(dim=0).sum(dim=1) + network.kl()


REPAIR_MISTAKES = (
    Mistake(
        "encoder sees something else",
        "`encode` is given something other than the images x: its mu and logvar are those of another input.",
        lambda x, network: network.rec() + network.kl_as_encoded(),
    ),
    Mistake(
        "KL left out",
        "This is the reconstruction term alone. The loss is rec + kl.",
        lambda x, network: network.rec(),
    ),
    Mistake(
        "reconstruction left out",
        "This is the KL alone. The loss is rec + kl.",
        lambda x, network: network.kl(),
    ),
    Mistake(
        "KL counted twice",
        "The KL is in the loss twice, or its ½ is missing. The repair concerns the sample; the closed form was right.",
        lambda x, network: network.rec() + 2 * network.kl(),
    ),
    Mistake(
        "sampled KL",
        "Right on average, but noisier: the KL is estimated by log q − log p at the sample. Keep the closed form.",
        lambda x, network: network.rec() + network.sampled_kl(),
    ),
    Mistake(
        "the ELBO instead of the loss",
        "This is the ELBO. A loss is what training makes small: −ELBO.",
        lambda x, network: -true_loss(x, network),
    ),
    Mistake(
        "sign of the KL flipped",
        "The loss is below its reconstruction term, and a KL is never negative: add it.",
        lambda x, network: network.rec() - network.kl(),
    ),
    Mistake(
        "averaged over pixels",
        "The reconstruction term is a sum over pixels; an average makes the KL weigh too much.",
        lambda x, network: network.rec() / x.shape[1] + network.kl(),
    ),
    Mistake(
        "averaged over latents",
        "Independent latents add up: the KL is a sum over the D latents.",
        lambda x, network: network.rec() + network.kl_terms().mean(dim=1),
    ),
    Mistake(
        "averaged over the batch",
        "One loss for each example: the average over the batch is the caller's.",
        lambda x, network: true_loss(x, network).mean(),
    ),
    Mistake(
        "summed over the batch",
        "One loss for each example: sum over pixels and latents only.",
        lambda x, network: true_loss(x, network).sum(),
    ),
    Mistake(
        "sigmoid applied twice",
        "`decode` returns logits, and the cross-entropy with logits applies the sigmoid itself: apply none before.",
        sigmoid_twice,
    ),
    Mistake(
        "squared error",
        "The likelihood is Bernoulli: the reconstruction term is the cross-entropy of x and sigmoid(logits).",
        squared_error,
    ),
)


FOLD = 16
SAMPLE_HINTS = {
    "returns μ": "`decode` is given μ itself, without noise. A decoder has to see samples: z = μ + σε.",
    "ε left out": "`decode` is given μ + σ. The noise ε that multiplies σ is missing.",
    "noise alone": "`decode` is given the noise ε itself: neither μ nor σ enters.",
    "no gradient to μ": "Through z no gradient reaches μ (the KL's own does): is μ detached, or made a plain number?",
    "no gradient to σ": "Through z no gradient reaches logvar (the KL's own does): is σ or the whole noise detached?",
}


@check("03/repaired_loss", "Spot the bug: every reconstruction is the mean image", random=True)
def repaired_loss(answer: Answer, seed: int) -> None:
    """Given the z that the decoder saw, loss and gradients are exact; only `examine_sampler` may give a false alarm."""
    generator = torch.Generator().manual_seed(seed)

    def loss(x: Tensor, network: Network) -> Any:
        return network.loss(answer)

    def sampler(mu: Tensor, logvar: Tensor) -> Tensor:
        if networks[0][0].at_once:
            network = network_that_answers(mu, logvar, 1, generator)
        else:  # a loop over 4096 examples would take seconds: the same numbers as fewer examples with more latents
            rows = len(mu) // FOLD if len(mu) % FOLD == 0 else len(mu)
            network = network_that_answers(mu.reshape(rows, -1), logvar.reshape(rows, -1), 8, generator)
        network.loss(answer)
        return network.z[0].reshape(mu.shape)

    networks = [linear_network(B, D, P, generator) for B, D, P in ((4, 3, 6), (2, 5, 3), (3, 2, 4))]
    cases = [(network.x, network) for network, _ in networks]
    examine_formula(Answer(loss, answer.name), cases, true_loss, REPAIR_MISTAKES, "one loss for each example, in nats")
    try:
        examine_sampler(sampler, seed)
    except Finding as found:
        raise Finding(found.verdict, SAMPLE_HINTS.get(found.mistake, found.hint), found.mistake) from None
    require_loss_gradients(answer, *networks[0])


def require_loss_gradients(answer: Answer, network: Network, weights: list[Tensor]) -> None:
    """The encoder's weights get the gradient of the reconstruction term and that of the KL."""
    result = network.loss(answer)
    got = torch.stack(slopes_of(result.sum(), weights) if result.requires_grad else [0 * each for each in weights])
    from_rec, from_kl = (network.x.T @ slope for slope in network.slopes())
    if agree(got, from_rec + from_kl, rtol=1e-3, atol=1e-4):
        return
    if not got.any():
        raise Finding("mistake", "The value is right, but no gradient leaves the loss.", "loss detached")
    if agree(got, from_kl, rtol=1e-3, atol=1e-4):
        if not any(logits.requires_grad for _, logits in network.decoded):
            hint = "Only the KL's gradient reaches the encoder: the decoder's own step is cut off from the gradient."
            raise Finding("mistake", hint, "decoder without a record")
        hint = "Only the KL's gradient reaches the encoder: the reconstruction term is cut off after the sample."
        raise Finding("mistake", hint, "reconstruction detached")
    if agree(got, from_rec, rtol=1e-3, atol=1e-4):
        hint = "The KL has the right value, but its gradient does not reach the encoder."
        raise Finding("mistake", hint, "KL detached")
    raise Finding("wrong", "The loss is right, but the encoder does not get the gradient of rec plus that of the KL.")
