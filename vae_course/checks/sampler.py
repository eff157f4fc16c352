"""Does a function draw z ~ N(mu, exp(logvar)) so that gradients pass? Tested by what must hold, however it draws.

Nothing here compares random numbers with expected ones. Gradients are compared exactly, since dz/dmu = 1 and
dz/dlogvar = ½ (z − mu) for every draw. The noise, (z − mu)/σ, is then held against N(0, 1) by bounds that a right
sampler exceeds with a probability that can be calculated. Of the N = 20480 numbers, with P for each test:

    Kolmogorov–Smirnov distance below √(log 2e9 / 2N)          2 exp(−2 N d²) = 1e-9
    numbers beyond 1, 2 and 3.1 (Chernoff, `SURPRISE`)         3 · 2 exp(−22) = 1.7e-9
    means of 16 groups of 2560, 7 standard errors              16 · 2.6e-12   = 4e-11
    mean squares of the groups, 7 standard errors (Chernoff)   16 · 3.8e-10   = 6e-9
    5 means and 10 correlations of latents, 7 standard errors  15 · 2.1e-11   = 4e-10
    two rows of noise alike within 0.001 in all 5 latents      4095 · 1.6e-12 = 7e-9

Together that is less than 2e-8 for a call of `examine_sampler`, below the 1e-6 that a check may have.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vae_course.checks.answer import Finding

Array = NDArray[np.float64]
Sampler = Callable[[torch.Tensor, torch.Tensor], Any]  # mu, logvar -> z, all (B, D)

B, D, GROUP = 4096, 5, 2560
N = B * D
SURPRISE = 22.0
ERRORS = 7.0  # standard errors

HINTS = {
    "returns μ": "The result is μ itself, without noise. A VAE's decoder has to see samples: z = μ + σε.",
    "ε left out": "The result is μ + σ. The noise ε that multiplies σ is missing.",
    "noise alone": "The result is the noise ε itself: neither μ nor σ enters.",
    "μ left out": "The samples lie around 0. They must lie around μ.",
    "the same σ everywhere": (
        "The noise has the same width for every logvar. Each number has to be scaled by its own σ = exp(½ logvar)."
    ),
    "no gradient": (
        "Neither μ nor logvar gets a gradient from z: `.sample()`, `no_grad` and `.detach()` cut the record, and "
        "`torch.normal` passes zeros back. Write z as a sum and a product of μ, σ and noise."
    ),
    "no gradient to μ": "No gradient reaches μ: does it enter, and is it detached or turned into plain numbers?",
    "no gradient to σ": "No gradient reaches logvar: does σ enter, and is it or the whole noise detached?",
    "the same noise at each call": "Two calls gave the same z. Draw new noise in each call, and set no seed inside.",
    "one ε for all": "All examples and latents share one random number. Draw noise in the shape of μ.",
    "ε shared over the batch": "Every example gets the same noise. Draw a number for each example and latent: (B, D).",
    "ε shared over latents": "All latents of an example get the same noise. Draw a number for each: shape (B, D).",
    "noise repeated in the batch": "Some examples have the same noise as others, up to its sign. Each needs its own.",
    "latents not independent": "The noise of different latents is correlated. Draw each number independently.",
    "examples not independent": "Part of the noise is common to all examples. Draw each number independently.",
    "σ² taken for σ": "The noise is multiplied by exp(logvar), which is σ². `logvar` is log σ², so σ = exp(½ logvar).",
    "square root of σ": "The noise is multiplied by √σ. exp(½ logvar) is σ already; one square root is enough.",
    "logvar used as σ": "The noise is multiplied by a logarithm. σ is its exponential: exp(½ logvar).",
    "1/σ taken for σ": "The noise is wide where σ is small. Check the sign in front of logvar.",
    "exp of the product": "ε stands inside the exponential. Take exp(½ logvar) first, then multiply by ε.",
    "sign of μ": "The samples lie around −μ.",
    "μ multiplied by σ": "The samples lie around σμ. Only the noise is multiplied by σ: z = μ + σε.",
    "uniform noise on [0, 1]": "`rand` is uniform between 0 and 1. Normal noise comes from `randn`.",
    "uniform noise": "The noise has a flat density with sharp ends. It has to be standard normal.",
    "±1 for noise": "The noise takes two values only. It has to be standard normal.",
    "Laplace noise": "The noise is Laplace distributed, with a peak at 0 and long tails. It has to be standard normal.",
    "tails too heavy": "Far too many samples lie many σ from μ. The noise has to be standard normal.",
    "noise clipped": "No sample lies far from μ, but a normal one does now and then. Leave the noise uncut.",
    "noise not centred": "The noise has a mean other than 0, so z is not centred at μ.",
    "noise scaled": "The width is a constant multiple of σ. Standard normal noise has variance 1.",
    "wrong gradient to μ": "The samples are right, but moving μ by 1 has to move each z by 1: dz/dμ = 1.",
    "wrong gradient to σ": (
        "The samples are right, but logvar gets a wrong gradient: dz/dσ = ε with the ε of this very sample, and so "
        "dz/dlogvar = ½σε."
    ),
}


def mistake(name: str) -> Finding:
    return Finding("mistake", HINTS[name], name)


@dataclass(frozen=True)
class Draws:
    """What a sampler returned for its inputs, as float64 arrays of one shape."""

    mu: Array
    logvar: Array
    z: Array

    @cached_property
    def sigma(self) -> Array:
        return np.exp(self.logvar / 2)

    @cached_property
    def noise(self) -> Array:
        """(z − mu)/σ. Beyond 10 lies only the logarithm of a 0, which `torch.rand` returns once in 2²⁴ numbers."""
        return np.clip((self.z - self.mu) / self.sigma, -10, 10)

    def normal(self, values: Array) -> bool:
        """Whether the values are standard normal, all together and for each size of σ."""
        groups = grouped(values, self.logvar)
        return fits(values, NORMAL) and all(fits(group, NORMAL) for group in groups) and unit_squares(groups)

    def same_width(self) -> bool:
        """Whether z lies around μ, and as closely where σ is small as where it is large; the noise may be shared."""
        variances = grouped(self.z - self.mu, self.logvar).var(axis=1)
        centres = grouped(self.z - self.mu, self.mu).mean(axis=1)
        return bool(1e-8 < variances.max() < 1.5 * variances.min() and np.ptp(centres) ** 2 < variances.min())


@dataclass(frozen=True)
class Traced:
    """A small draw with the gradients of a reconstruction-like term, Σ (z − target)²; None where none arrived."""

    draws: Draws
    target: Array
    to_mu: Array | None
    to_logvar: Array | None


def examine_sampler(sampler: Sampler, seed: int) -> None:
    """Raise the `Finding` that fits, unless `sampler(mu, logvar)` is a reparameterised sample of N(mu, exp(logvar)).

    mu, logvar: (B, D) -> (B, D). The sampler is called three times.
    """
    generator = torch.Generator().manual_seed(seed)
    mu, logvar = inputs(generator, B, D)
    many = Draws(numbers(mu), numbers(logvar), numbers(sampled(sampler, mu, logvar)))
    mu, logvar = (each.requires_grad_() for each in inputs(generator, 3, 7))
    first = traced(sampler, mu, logvar, generator)
    again = numbers(sampled(sampler, mu, logvar))
    require_gradients(many, first)
    require_fresh_noise(first.draws, again)
    require_own_noise(many)
    require_normal_noise(many)
    require_independence(many)
    require_right_gradients(first)


def inputs(generator: torch.Generator, rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    mu = 0.5 + 1.5 * torch.randn(rows, columns, generator=generator)
    return mu, 5 * torch.rand(rows, columns, generator=generator) - 3  # σ from 0.22 to 2.7


def numbers(values: torch.Tensor) -> Array:
    return values.detach().cpu().double().numpy()


def sampled(sampler: Sampler, mu: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    z = sampler(mu, logvar)
    if not isinstance(z, torch.Tensor):
        got = "None (is there a `return`?)" if z is None else f"a {type(z).__name__}"
        raise Finding("wrong type or shape", f"It should return a tensor z of shape (B, D); got {got}.")
    if z.shape != mu.shape:
        hint = f"z has the shape of mu, here {tuple(mu.shape)}: one number for each latent; got {tuple(z.shape)}."
        raise Finding("wrong type or shape", hint)
    if not z.is_floating_point():
        raise Finding("wrong type or shape", f"z should be a tensor of floating-point numbers; got {z.dtype}.")
    if int((~z.isfinite()).sum()) > 3:  # three are forgiven: see Draws.noise
        raise Finding("wrong", "Some of the samples are infinite or not a number, though mu and logvar are harmless.")
    return z


def traced(sampler: Sampler, mu: torch.Tensor, logvar: torch.Tensor, generator: torch.Generator) -> Traced:
    z = sampled(sampler, mu, logvar)
    target = torch.randn(mu.shape, generator=generator)
    gradients: tuple[torch.Tensor | None, ...] = (None, None)
    if z.requires_grad:
        # alone, because the KL has its own way to the encoder and would hide a blocked one
        try:
            gradients = torch.autograd.grad(((z - target) ** 2).sum(), (mu, logvar), allow_unused=True)
        except RuntimeError as error:
            hint = f"z cannot be differentiated: {str(error).split(' Hint:')[0]}"
            raise Finding("raised", hint) from None
    to_mu, to_logvar = (None if g is None or not g.nan_to_num().any() else numbers(g) for g in gradients)
    return Traced(Draws(numbers(mu), numbers(logvar), numbers(z)), numbers(target), to_mu, to_logvar)


# ---- gradients ----------------------------------------------------------------------------------------


def require_gradients(many: Draws, first: Traced) -> None:
    """Something of the loss reaches both parameters."""
    if np.allclose(many.z, many.mu, rtol=0, atol=1e-4):
        raise mistake("returns μ")
    no_mu, no_logvar = first.to_mu is None, first.to_logvar is None
    if no_mu and no_logvar:
        raise mistake("noise alone" if many.normal(many.z) else "no gradient")
    if no_mu:
        raise mistake("μ left out" if many.normal(many.z / many.sigma) else "no gradient to μ")
    if no_logvar:
        raise mistake("the same σ everywhere" if many.same_width() else "no gradient to σ")


def require_right_gradients(first: Traced) -> None:
    """dz/dmu = 1 and dz/dlogvar = ½ (z − mu), exactly, where z is finite."""
    draws, usable = first.draws, np.isfinite(first.draws.z)
    assert first.to_mu is not None
    assert first.to_logvar is not None
    to_z = 2 * (draws.z - first.target)
    if not near(first.to_mu[usable], to_z[usable]):
        raise mistake("wrong gradient to μ")
    if not near(first.to_logvar[usable], (to_z * 0.5 * (draws.z - draws.mu))[usable]):
        raise mistake("wrong gradient to σ")


def near(values: Array, others: Array) -> bool:
    return bool(np.allclose(values, others, rtol=1e-3, atol=1e-4))


# ---- noise of its own ---------------------------------------------------------------------------------


def require_fresh_noise(first: Draws, again: Array) -> None:
    if np.allclose(first.z, again, rtol=0, atol=1e-5):
        no_noise = np.allclose(first.noise, 1, rtol=0, atol=1e-3)
        raise mistake("ε left out" if no_noise else "the same noise at each call")


def require_own_noise(many: Draws) -> None:
    """No two examples, and no two latents, have the same noise."""
    shared_by_rows = bool((np.ptp(many.noise, axis=0) < 1e-3).all())
    shared_by_columns = bool((np.ptp(many.noise, axis=1) < 1e-3).all())
    if shared_by_rows and shared_by_columns:
        raise mistake("one ε for all")
    if shared_by_rows:
        raise mistake("ε shared over the batch")
    if shared_by_columns:
        raise mistake("ε shared over latents")
    sizes = np.abs(many.noise)
    if (np.abs(sizes - 1) < 1e-3).mean() > 0.99:
        raise mistake("±1 for noise")
    in_order = sizes[sizes[:, 0].argsort()]  # equal rows become neighbours
    if (np.abs(np.diff(in_order, axis=0)) < 1e-3).all(axis=1).any():
        raise mistake("noise repeated in the batch")


def require_independence(many: Draws) -> None:
    if correlated(many.noise):
        raise mistake("latents not independent")
    if np.abs(many.noise.mean(axis=0)).max() > ERRORS / math.sqrt(B):
        raise mistake("examples not independent")


def correlated(noise: Array) -> bool:
    correlations = np.corrcoef(noise, rowvar=False)
    return bool(np.abs(correlations - np.eye(D)).max() > ERRORS / math.sqrt(B))


# ---- normal noise -------------------------------------------------------------------------------------


LEVELS = np.arange(1, 512) / 512
NORMAL = torch.special.ndtri(torch.from_numpy(LEVELS)).numpy()  # quantiles
LAPLACE = -np.sign(LEVELS - 0.5) * np.log(1 - 2 * np.abs(LEVELS - 0.5))
EXPONENTIAL = -np.log(1 - LEVELS)
UNIFORM = LEVELS


def fits(values: Array, quantiles: Array) -> bool:
    """Whether the values may be independent draws from the distribution with these quantiles.

    Kolmogorov and Smirnov's distance, taken at the quantiles only, where it is at most as large as anywhere.
    """
    below = np.searchsorted(np.sort(values, axis=None), quantiles) / values.size
    return bool(np.abs(below - LEVELS).max() < math.sqrt(math.log(2e9) / (2 * values.size)))


def grouped(values: Array, by: Array) -> Array:
    """The values in the order of another array, in rows of GROUP numbers."""
    return values.ravel()[by.ravel().argsort()].reshape(-1, GROUP)


def surprise(values: Array, limit: float) -> float:
    """How unlikely the number of values beyond ±limit is for N(0, 1): P ≤ 2 exp(−|surprise|). Negative: too few."""
    expected = math.erfc(limit / math.sqrt(2))
    found = float((np.abs(values) > limit).mean())
    terms = [a * math.log(a / b) for a, b in ((found, expected), (1 - found, 1 - expected)) if a > 0]
    return math.copysign(values.size * sum(terms), found - expected)


def require_normal_noise(many: Draws) -> None:
    orders = [grouped(many.noise, by) for by in (many.mu, many.logvar)]
    centred = all(np.abs(rows.mean(axis=1)).max() < ERRORS / math.sqrt(GROUP) for rows in orders)
    scaled = all(map(unit_squares, orders))
    tails = max(abs(surprise(many.noise, limit)) for limit in (1.0, 2.0, 3.1))
    if not (centred and scaled and tails < SURPRISE and fits(many.noise, NORMAL)):
        raise diagnosis(many)


def unit_squares(groups: Array) -> bool:
    return bool(np.abs((groups**2).mean(axis=1) - 1).max() < ERRORS * math.sqrt(2 / GROUP))


RECOGNISED: tuple[tuple[str, Callable[[Draws], bool]], ...] = (
    ("the same σ everywhere", Draws.same_width),
    ("σ² taken for σ", lambda d: d.normal((d.z - d.mu) / d.sigma**2)),
    ("square root of σ", lambda d: d.normal((d.z - d.mu) / d.sigma**0.5)),
    ("logvar used as σ", lambda d: d.normal((d.z - d.mu) / d.logvar)),
    ("logvar used as σ", lambda d: d.normal((d.z - d.mu) / (d.logvar / 2))),
    ("1/σ taken for σ", lambda d: d.normal((d.z - d.mu) * d.sigma)),
    ("exp of the product", lambda d: bool((d.z >= d.mu).all()) and d.normal(exponents(d) / (d.logvar / 2))),
    ("exp of the product", lambda d: bool((d.z >= d.mu).all()) and d.normal(exponents(d) / d.logvar)),
    ("sign of μ", lambda d: d.normal((d.z + d.mu) / d.sigma)),
    ("μ left out", lambda d: d.normal(d.z / d.sigma)),
    ("μ multiplied by σ", lambda d: d.normal(d.z / d.sigma - d.mu)),
    ("uniform noise on [0, 1]", lambda d: fits(d.noise, UNIFORM)),
    ("uniform noise", lambda d: fits((d.noise + 1) / 2, UNIFORM)),
    ("uniform noise", lambda d: fits((d.noise / math.sqrt(3) + 1) / 2, UNIFORM)),
    ("uniform noise", lambda d: fits(d.noise + 0.5, UNIFORM)),
    ("Laplace noise", lambda d: laplace(d.noise)),
    ("Laplace noise", lambda d: laplace(d.noise * math.sqrt(2))),
)


def laplace(noise: Array) -> bool:
    """Student's t has nearly the same distribution, but half of it, |t|, has not."""
    return fits(noise, LAPLACE) and fits(np.abs(noise), EXPONENTIAL)


def exponents(draws: Draws) -> Array:
    return np.log(draws.z - draws.mu)


def diagnosis(many: Draws) -> Finding:
    """The name of what is wrong with the noise, or at least what it looks like."""
    for name, made in RECOGNISED:
        if made(many):
            return mistake(name)
    return misplaced(many) or misshapen(many.noise)


def misplaced(many: Draws) -> Finding | None:
    """A mean that is not μ, or a width that is not σ, in one part of the inputs more than in another; shared noise."""
    columns = np.median(many.noise, axis=0)
    medians = np.median(grouped(many.noise, many.mu), axis=1)
    if np.ptp(medians) > 0.3:
        place, shift = np.sort(many.mu, axis=None)[-GROUP // 2], medians[-1]
        return Finding("wrong", f"z is not centred at μ: where μ is about {place:.2g}, z is off by {shift:.2g} σ.")
    if np.ptp(columns) > 0.2:
        return mistake("examples not independent")
    if correlated(many.noise):
        return mistake("latents not independent")
    widths = np.median(np.abs(grouped(many.noise, many.logvar)), axis=1) / 0.6745  # of N(0, 1), half lies within 0.6745
    if widths.max() > 1.3 * widths.min():
        ends = [float(np.exp(np.sort(many.logvar, axis=None)[at] / 2)) for at in (GROUP // 2, -GROUP // 2)]
        spreads = [end * width for end, width in zip(ends, (widths[0], widths[-1]), strict=True)]
        seen = " and ".join(f"{s:.2g} where σ is {e:.2g}" for e, s in zip(ends, spreads, strict=True))
        return Finding("wrong", f"The samples do not have width σ = exp(½ logvar): theirs is {seen}.")
    return None


def misshapen(noise: Array) -> Finding:
    """The same fault for all inputs: tails, mean, or width."""
    from_median = noise - np.median(noise)
    if abs(from_median.mean()) > 0.1 * noise.std():
        return Finding("wrong", "The noise (z − μ)/σ is lopsided. It has to be standard normal.")
    standardised = (noise - noise.mean()) / noise.std()
    if surprise(from_median * 0.6745 / np.median(np.abs(from_median)), 3.1) > SURPRISE:
        return mistake("tails too heavy")
    if surprise(standardised, 3.1) < -SURPRISE:
        return mistake("noise clipped")
    if not fits(standardised, NORMAL):
        return Finding("wrong", "The noise (z − μ)/σ is not standard normal. Draw it with `randn`.")
    if abs(noise.mean()) > ERRORS / math.sqrt(N):
        return mistake("noise not centred")
    return mistake("noise scaled")
