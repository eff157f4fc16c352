"""Sheet 07: schedules for β, free bits, and what a rate is spent on."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_course.checks.answer import Answer, Finding
from vae_course.checks.check import check
from vae_course.checks.formula import Mistake, agree, examine_formula, named

Array = NDArray[Any]


def plain(value: Any) -> Any:
    """Numbers in a tensor or a list as a float64 array; anything else as it is."""
    if isinstance(value, Tensor):
        return value.detach().cpu().double().numpy()
    if isinstance(value, (bool, np.bool_)):
        return float(value)
    if isinstance(value, (list, tuple)):
        try:
            return np.asarray([plain(each) for each in value], dtype=float)
        except (TypeError, ValueError):
            return value
    return value


def with_arrays(answer: Answer, results: int = 1) -> Answer:
    """The same answer with its numbers as arrays, be they in tensors, lists or arrays; several results stay apart."""

    def called(*case: Any) -> Any:
        result = answer(*case)
        if results == 1:
            return plain(result)
        if isinstance(result, (Tensor, np.ndarray)) and result.ndim and len(result) == results:
            return tuple(plain(part) for part in result)
        return tuple(map(plain, result)) if isinstance(result, (list, tuple)) else result

    return Answer(called, answer.name)


# ---- a schedule for β ---------------------------------------------------------------------------------

Schedule = Callable[[Array, int, int, float], Array]  # all steps, their number, cycles, fraction -> β of each


def done(step: Array, steps: int, cycles: int) -> Array:
    """How much of the present cycle is over, from 0 up to 1."""
    return np.asarray(step * cycles / steps % 1)


def held_at_one(rise: Array) -> Array:
    return np.minimum(1.0, rise)


def right_schedule(step: Array, steps: int, cycles: int, fraction: float) -> Array:
    return held_at_one(done(step, steps, cycles) / fraction)


def whole_steps(step: Array, steps: int, cycles: int, fraction: float) -> Array:
    length = steps // cycles
    return held_at_one(step % length / length / fraction)


def first_step_is_one(step: Array, steps: int, cycles: int, fraction: float) -> Array:
    length = steps / cycles
    return held_at_one((step % length + 1) / length / fraction)


def falls_back(step: Array, steps: int, cycles: int, fraction: float) -> Array:
    rise = done(step, steps, cycles) / fraction
    return np.where(rise < 1, rise, 0.0)


def schedule(name: str, hint: str, betas: Schedule) -> Mistake:
    return Mistake(name, hint, lambda steps, cycles, fraction: betas(np.arange(steps), steps, cycles, fraction))


SCHEDULE_MISTAKES = (
    schedule(
        "no reset",
        "The first cycle is right, but then β stays at 1: each cycle starts again from 0. How far into its own cycle "
        "is a step?",
        lambda step, steps, cycles, fraction: held_at_one(step * cycles / steps / fraction),
    ),
    schedule(
        "rises above 1",
        "The rise is right, but it goes on above 1. Once β has reached 1 it stays there for the rest of the cycle.",
        lambda step, steps, cycles, fraction: done(step, steps, cycles) / fraction,
    ),
    schedule(
        "rises over the whole cycle",
        "β should reach 1 after the given fraction of a cycle, and stay there. The fraction is not used.",
        lambda step, steps, cycles, fraction: done(step, steps, cycles),
    ),
    schedule(
        "the fraction always ½",
        "The rise takes half of each cycle, whatever `fraction` says.",
        lambda step, steps, cycles, fraction: held_at_one(2 * done(step, steps, cycles)),
    ),
    schedule(
        "cycles ignored",
        "β rises once. The training is divided into `cycles` cycles, and β rises in each of them.",
        lambda step, steps, cycles, fraction: held_at_one(step / steps / fraction),
    ),
    schedule(
        "a fraction of the whole training",
        "The cycles are right, but the rise is too slow: `fraction` is a part of one cycle, not of all steps.",
        lambda step, steps, cycles, fraction: held_at_one(done(step, steps, cycles) / cycles / fraction),
    ),
    schedule(
        "multiplied by the fraction",
        "A smaller fraction should make the rise steeper; here it makes it flatter.",
        lambda step, steps, cycles, fraction: held_at_one(done(step, steps, cycles) * fraction),
    ),
    schedule(
        "stops at the fraction",
        "β stops rising when it equals the fraction. It should have reached 1 by then.",
        lambda step, steps, cycles, fraction: np.minimum(fraction, done(step, steps, cycles)),
    ),
    schedule(
        "back to 0 after the rise",
        "The rise is right. For the rest of the cycle β stays at 1 instead of going back to 0.",
        falls_back,
    ),
    schedule(
        "the rise at the end of the cycle",
        "β rises in the *first* part of each cycle, and the last part is spent at 1.",
        lambda step, steps, cycles, fraction: np.maximum(0, 1 - (1 - done(step, steps, cycles)) / fraction),
    ),
    schedule(
        "falls instead of rising",
        "β goes from 1 down to 0. The codes should be free at first, and charged in full at the end of each cycle.",
        lambda step, steps, cycles, fraction: 1 - right_schedule(step, steps, cycles, fraction),
    ),
    schedule(
        "a cosine",
        "0 and 1 are reached where they should, but between them β should rise in a straight line.",
        lambda *inputs: 0.5 - 0.5 * np.cos(np.pi * right_schedule(*inputs)),
    ),
    *(
        schedule(
            "steps counted from 1",
            "β is one step ahead. Steps count from 0, and the first step of a cycle has β = 0.",
            betas,
        )
        for betas in (
            first_step_is_one,
            lambda step, steps, cycles, fraction: right_schedule(step + 1, steps, cycles, fraction),
        )
    ),
    schedule(
        "the length of a cycle rounded down",
        "With a number of steps that `cycles` does not divide, the last steps begin one cycle too many. A cycle need "
        "not be a whole number of steps: divide with `/`.",
        whole_steps,
    ),
)


@check("07/cyclical_beta", "A cyclical schedule")
def cyclical_beta(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    low, high = round(rng.uniform(0.2, 0.4), 2), round(rng.uniform(0.6, 0.85), 2)
    # step/steps·cycles is exact at the resets of the first and third, and the second's fall between two steps
    cases = ((96, 4, low), (84 + int(rng.integers(1, 7)), 7, high), (64, 2, low), (50, 1, high))

    def for_all_steps(steps: int, cycles: int, fraction: float) -> Array:
        return np.array([a_number(plain(answer(step, steps, cycles, fraction))) for step in range(steps)])

    every_step = Answer(for_all_steps, answer.name)
    examine_formula(every_step, cases, right_schedule_of_all, SCHEDULE_MISTAKES, "one number a step")


def right_schedule_of_all(steps: int, cycles: int, fraction: float) -> Array:
    return right_schedule(np.arange(steps), steps, cycles, fraction)


def a_number(value: Any) -> float:
    if isinstance(value, (int, float, np.number, np.ndarray)) and np.shape(value) == ():
        return float(value)
    raise Finding("wrong type or shape", f"It should return one number, the β of one step; got {named(value)}.")


# ---- free bits ----------------------------------------------------------------------------------------

PerLatent = Callable[[Tensor, Tensor], Tensor]  # mu, logvar: (B, D) twice -> (B, D)


def kl_of_each(mu: Tensor, logvar: Tensor) -> Tensor:
    """(B, D) twice -> (B, D), in nats."""
    return 0.5 * mu.pow(2) + 0.5 * (logvar.exp() - logvar - 1)


def charge(kl: Tensor, free: float) -> Tensor:
    """Free bits as they should be. kl: (B, D) -> one number."""
    return kl.mean(0).clamp(min=free).sum()


def right_charge(mu: Tensor, logvar: Tensor, free: float) -> Tensor:
    return charge(kl_of_each(mu, logvar), free)


def charged(name: str, hint: str, of: Callable[[Tensor, float], Tensor]) -> Mistake:
    """A mistake in what is done with the KLs."""
    return Mistake(name, hint, lambda mu, logvar, free: of(kl_of_each(mu, logvar), free))


def with_kl(name: str, hint: str, kl: PerLatent) -> Mistake:
    """A mistake in the KLs."""
    return Mistake(name, hint, lambda mu, logvar, free: charge(kl(mu, logvar), free))


FREE_BITS_MISTAKES = (
    charged(
        "the fault is still there",
        "The maximum is still taken for each image. An image below the allowance may be made up for by another: "
        "average over the batch first.",
        lambda kl, free: kl.clamp(min=free).mean(0).sum(),
    ),
    charged(
        "a maximum for each image's total",
        "The latents are added before the maximum, image by image. The allowance belongs to a latent, and to the "
        "average over the batch.",
        lambda kl, free: kl.sum(1).clamp(min=free).mean(),
    ),
    charged(
        "one allowance for the total",
        "The latents are added before the maximum. Each latent has an allowance of its own: add them up afterwards.",
        lambda kl, free: kl.sum(1).mean().clamp(min=free),
    ),
    charged(
        "all allowances against the total",
        "D allowances for all latents together are not one allowance for each: a latent above it would use up what "
        "another has left.",
        lambda kl, free: kl.sum(1).mean().clamp(min=free * kl.shape[1]),
    ),
    charged(
        "minimum for maximum",
        "This charges at most the allowance, so no latent ever pays for what it uses above it. Take the larger of the "
        "two.",
        lambda kl, free: kl.mean(0).clamp(max=free).sum(),
    ),
    charged(
        "the allowance subtracted",
        "The allowance is subtracted from the KL. The gradients are those of free bits, but the value is not: charge "
        "the larger of the two numbers.",
        lambda kl, free: (kl.mean(0) - free).clamp(min=0).sum(),
    ),
    charged(
        "nothing charged below the allowance",
        "A latent below its allowance is charged 0 here. It is charged the allowance itself, so that the charge does "
        "not jump where the allowance ends.",
        lambda kl, free: torch.where(kl.mean(0) > free, kl.mean(0), 0).sum(),
    ),
    charged(
        "no allowance",
        "This is the plain KL, averaged over the batch. `free` has no effect.",
        lambda kl, free: kl.sum(1).mean(),
    ),
    charged(
        "averaged over latents",
        "The charge is averaged over the latents. Independent latents add up.",
        lambda kl, free: kl.mean(0).clamp(min=free).mean(),
    ),
    charged(
        "summed over the batch",
        "The KLs are added over the batch before the maximum, so a larger batch passes the allowance sooner. Average "
        "over the batch.",
        lambda kl, free: kl.sum(0).clamp(min=free).sum(),
    ),
    charged(
        "a maximum for each image, summed over the batch",
        "The maximum is taken for each image, and all images are added. Average over the batch before the maximum.",
        lambda kl, free: kl.clamp(min=free).sum(),
    ),
    charged(
        "latents and images exchanged",
        "The average runs over the latents and the sum over the images. Average over dim 0, the batch.",
        lambda kl, free: kl.mean(1).clamp(min=free).sum(),
    ),
    charged(
        "one value for each latent",
        "Each latent's charge is right. Return their sum, one number.",
        lambda kl, free: kl.mean(0).clamp(min=free),
    ),
    charged(
        "one value for each image",
        "Return one number: average over the batch before the maximum, then add up the latents.",
        lambda kl, free: kl.clamp(min=free).sum(1),
    ),
    charged(
        "the allowance read as bits",
        "Free *bits* is only their name: `free` is given in nats, like the KL, and needs no factor log 2.",
        lambda kl, free: kl.mean(0).clamp(min=free * math.log(2)).sum(),
    ),
    with_kl(
        "log σ for log σ²",
        "The KL reads logvar as log σ. It is log σ²: the variance is exp(logvar).",
        lambda mu, logvar: 0.5 * (mu**2 + (2 * logvar).exp() - 2 * logvar - 1),
    ),
    with_kl(
        "σ for σ²",
        "The KL has σ where it needs the variance, σ² = exp(logvar).",
        lambda mu, logvar: 0.5 * (mu**2 + (logvar / 2).exp() - logvar - 1),
    ),
    with_kl(
        "factor ½ missing",
        "The KL is twice as large as it should be, and so is compared with the allowance.",
        lambda mu, logvar: 2 * kl_of_each(mu, logvar),
    ),
    with_kl(
        "KL with its sign flipped",
        "A KL is never negative. With its sign flipped every latent lies below the allowance.",
        lambda mu, logvar: -kl_of_each(mu, logvar),
    ),
    with_kl(
        "μ not squared",
        "The KL contains the square of μ.",
        lambda mu, logvar: 0.5 * (mu + logvar.exp() - logvar - 1),
    ),
)


def used_and_unused(B: int, D: int, users: int, g: torch.Generator) -> tuple[Tensor, Tensor, float]:
    """mu, logvar: (B, D), and an allowance that `users` of the latents exceed by far, single images by chance."""
    used = torch.randperm(D, generator=g) < users
    mu = torch.where(used, 0.5 + torch.randn(B, D, generator=g), 0.1 * torch.randn(B, D, generator=g))
    widths = torch.randn(B, D, generator=g)
    logvar = torch.where(used, -1 + 0.4 * widths, 0.2 * widths)
    means = kl_of_each(mu, logvar).mean(0)
    return mu, logvar, round(0.3 * means[~used].max().item() + 0.7 * means[used].min().item(), 3)


@check("07/free_bits_kl", "Free bits, repaired")
def free_bits_kl(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    cases = [used_and_unused(B, D, users, g) for B, D, users in ((7, 4, 3), (5, 3, 1), (12, 5, 2))]
    collapsed = (0.1 * torch.randn(6, 3, generator=g), 0.2 * torch.randn(6, 3, generator=g), 0.4)
    examine_formula(answer, [*cases, collapsed], right_charge, FREE_BITS_MISTAKES, "the charge in nats")
    for mu, logvar, free in cases:
        judge_gradients(answer, mu.requires_grad_(), logvar.requires_grad_(), free)


def judge_gradients(answer: Answer, mu: Tensor, logvar: Tensor, free: float) -> None:
    """Latents above the allowance get the gradient of their KL, the others none."""
    inputs = (mu, logvar)
    used = (kl_of_each(mu, logvar).mean(0) > free).tolist()
    result = answer(mu, logvar, free)
    if not result.requires_grad:
        raise Finding("mistake", CUT_OFF, "gradient cut off")
    found = torch.autograd.grad(result, inputs, allow_unused=True)
    right = torch.autograd.grad(right_charge(mu, logvar, free), inputs)
    for name, theirs, ours in zip(("mu", "logvar"), found, right, strict=True):
        if theirs is None or not theirs[:, used].any():
            raise Finding("mistake", CUT_OFF, "gradient cut off")
        if theirs[:, [not each for each in used]].any():
            hint = (
                "The value is right, but a latent below its allowance gets a gradient. It is charged the same "
                "whatever it does."
            )
            raise Finding("mistake", hint, "gradient below the allowance")
        if not agree(theirs, ours):
            raise Finding("wrong", f"The value is right, but not its gradient with respect to {name}.")


CUT_OFF = (
    "The value is right, but latents above the allowance get no gradient. Look for `detach`, `.item()`, `.data`, "
    "`no_grad`, or NumPy."
)


# ---- active units -------------------------------------------------------------------------------------

Encoded = Sequence[tuple[Tensor, Tensor]]  # mu, logvar: (B, D) each, batch after batch


def of_all(answers: Encoded) -> tuple[Tensor, Tensor]:
    """mu, logvar of all images: (N, D) twice."""
    mu, logvar = zip(*answers, strict=True)
    return torch.cat(mu), torch.cat(logvar)


def above(values: Tensor, threshold: float) -> int:
    return int((values > threshold).sum())


def counted(name: str, hint: str, values: Callable[[Tensor, Tensor], Tensor]) -> Mistake:
    """A mistake in the numbers that are compared with the threshold, made of mu, logvar: (N, D)."""
    return Mistake(name, hint, lambda answers, threshold: above(values(*of_all(answers)), threshold))


def by_batch(name: str, hint: str, joined: Callable[[Tensor], Tensor]) -> Mistake:
    """A mistake in what is made of each batch's variances, (batches, D)."""

    def wrong(answers: Encoded, threshold: float) -> int:
        return above(joined(torch.stack([mu.var(0) for mu, _ in answers])), threshold)

    return Mistake(name, hint, wrong)


def right_count(answers: Encoded, threshold: float) -> int:
    return above(of_all(answers)[0].var(0), threshold)


def added_counts(answers: Encoded, threshold: float) -> int:
    return sum(above(mu.var(0), threshold) for mu, _ in answers)


def idle(answers: Encoded, threshold: float) -> int:
    return answers[0][0].shape[1] - right_count(answers, threshold)


BY_BATCH = (
    "A latent can be constant within a batch and differ between batches. The variance runs over all images: join the "
    "batches first."
)

UNITS_MISTAKES = (
    by_batch("variances of batches averaged", BY_BATCH, lambda var: var.mean(0)),
    by_batch("one batch only", "Only the last batch is counted. " + BY_BATCH, lambda var: var[-1]),
    by_batch("one batch only", "Only the first batch is counted. " + BY_BATCH, lambda var: var[0]),
    by_batch("a unit active in any batch", BY_BATCH, lambda var: var.amax(0)),
    by_batch("a unit active in every batch", BY_BATCH, lambda var: var.amin(0)),
    Mistake(
        "counts of batches added",
        "The batches have the same latents: one that is active in two of them counts once. Join the batches first.",
        added_counts,
    ),
    Mistake(
        "variance of the batches' means",
        "Each batch is averaged first, and the images within it are forgotten. The variance runs over all images.",
        lambda answers, threshold: above(torch.stack([mu.mean(0) for mu, _ in answers]).var(0), threshold),
    ),
    counted(
        "standard deviation for variance",
        "The threshold is meant for the variance; a standard deviation of 0.1 is a variance of 0.01.",
        lambda mu, logvar: mu.std(0),
    ),
    counted(
        "mean not subtracted",
        "A μ that is large and the same for every image tells nothing about them. Variance is taken around the mean.",
        lambda mu, logvar: mu.square().mean(0),
    ),
    counted(
        "size of μ for its variance",
        "A μ that is large and the same for every image tells nothing about them. See how much it varies.",
        lambda mu, logvar: mu.abs().mean(0),
    ),
    counted(
        "mean of μ for its variance",
        "A μ that is large and the same for every image tells nothing about them. See how much it varies.",
        lambda mu, logvar: mu.mean(0),
    ),
    counted(
        "variance over the latents",
        "This counts images: the variance runs over the latents of each. It should run over the images, dim 0.",
        lambda mu, logvar: mu.var(1),
    ),
    counted(
        "σ² for the variance of μ",
        "σ² is the variance of z for one image. What counts is how much μ varies from image to image.",
        lambda mu, logvar: logvar.exp().mean(0),
    ),
    counted(
        "variance of logvar",
        "This looks at the second of the encoder's answers. The first, μ, should vary over the images.",
        lambda mu, logvar: logvar.var(0),
    ),
    counted(
        "variance of σ²",
        "This looks at the second of the encoder's answers. The first, μ, should vary over the images.",
        lambda mu, logvar: logvar.exp().var(0),
    ),
    counted(
        "total variance of z",
        "This is the variance of z, and a collapsed latent has it in full: all of it is σ². Take the part that μ has.",
        lambda mu, logvar: mu.var(0) + logvar.exp().mean(0),
    ),
    counted(
        "KL for the variance of μ",
        "A KL above the threshold can come from a width that differs from the prior's in every image alike. Count "
        "latents whose μ varies.",
        lambda mu, logvar: kl_of_each(mu, logvar).mean(0),
    ),
    Mistake("the idle latents counted", "This counts the latents at or below the threshold: count the others.", idle),
    counted(
        "squared variance",
        "The variance is squared before it is compared.",
        lambda mu, logvar: mu.var(0).square(),
    ),
)


def latent_of_kind(kind: str, sizes: Sequence[int], threshold: float, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """mu, logvar: (N,) twice, of one latent; "active", "between", "early" and "once" vary, by far, others do not."""
    noise = torch.randn(sum(sizes), generator=g)
    noise = torch.cat([standardised(part) for part in noise.split(list(sizes))])  # in each batch
    batch = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    still = 0.01 * threshold**0.5 * noise
    narrow = torch.full_like(noise, math.log(threshold / 4))
    mu = {
        "active": noise,
        "constant": 1.5 + still,
        "between": 1.0 - batch + still,
        "early": torch.where(batch == 0, noise, still),
        "once": torch.where(batch == 1, noise, still),
        "stirring": torch.where(batch == 1, (1.5 * threshold) ** 0.5 * noise, still),
        "weak": (0.3 * threshold) ** 0.5 * noise,  # its standard deviation exceeds the threshold
        "faint": 0.6 * threshold * noise,  # its range does, or its variance divided by σ²
    }.get(kind, still)
    logvar = {
        "prior": 0.01 * noise,
        "narrow": torch.full_like(noise, -1.5),
        "breathing": noise - 6,
        "constant": torch.zeros_like(noise),
    }.get(kind, narrow)
    return mu, logvar


def standardised(values: Tensor) -> Tensor:
    return (values - values.mean()) / values.std()


def encoded(kinds: Sequence[str], sizes: Sequence[int], threshold: float, g: torch.Generator) -> Encoded:
    """Latents of the given kinds: 1 of the first, 2 of the second, 4 of the third, so that every subset has its sum."""
    columns = [kind for i, kind in enumerate(kinds) for _ in range(2**i)]
    order = torch.randperm(len(columns), generator=g).tolist()
    pairs = [latent_of_kind(columns[i], sizes, threshold, g) for i in order]
    mu, logvar = (torch.stack(part, dim=1).split(list(sizes)) for part in zip(*pairs, strict=True))
    return list(zip(mu, logvar, strict=True))


@check("07/active_units", "Active units")
def active_units(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    cases = [
        (encoded(kinds, sizes, threshold, g), threshold)
        for kinds, sizes, threshold in (
            (("active", "between", "once", "prior"), (6, 6, 4), 0.01),
            (("faint", "active", "weak", "once"), (5, 8), 0.05),
            (("early", "constant", "active", "breathing"), (4, 9, 7), 0.03),
            (("stirring", "active", "prior", "narrow"), (8, 6, 5), 0.01),
        )
    ]
    examine_formula(with_arrays(answer), cases, right_count, UNITS_MISTAKES, "how many latents are active")


# ---- slopes of a rate-distortion curve ----------------------------------------------------------------

Curve = Sequence[tuple[float, float, float]]  # beta, rate, distortion of each model
Found = tuple[Array, Array]
Pair = tuple[float, float, float]


def over_pairs(
    rows: Curve,
    slope: Callable[[Pair, Pair], float],
    between: Callable[[float, float, float], bool] = lambda low, slope, high: low <= slope <= high,
) -> Found:
    """Slopes of neighbouring rows, in the order given, and whether each lies between the two β."""
    found = [(slope(one, two), one[0], two[0]) for one, two in itertools.pairwise(rows)]
    return np.array([s for s, _, _ in found]), np.array([between(low, s, high) for s, low, high in found], float)


def right_slope(one: Pair, two: Pair) -> float:
    return (two[2] - one[2]) / (one[1] - two[1])


def by_beta(betas: Sequence[float], rates: Sequence[float], distortions: Sequence[float]) -> Curve:
    return sorted(zip(betas, rates, distortions, strict=True))


def right_slopes(*curve: Sequence[float]) -> Found:
    return over_pairs(by_beta(*curve), right_slope)


def pairs(name: str, hint: str, slope: Callable[[Pair, Pair], float]) -> tuple[Mistake, ...]:
    """A mistake in the slope of a pair; the test of a slope may look at another one than is returned."""
    return (
        Mistake(name, hint, lambda *curve: over_pairs(by_beta(*curve), slope)),
        Mistake(name, hint, lambda *curve: (over_pairs(by_beta(*curve), slope)[0], right_slopes(*curve)[1])),
    )


def tested(name: str, hint: str, between: Callable[[float, float, float], bool]) -> Mistake:
    return Mistake(name, hint, lambda *curve: over_pairs(by_beta(*curve), right_slope, between))


def arranged(name: str, hint: str, rows: Callable[..., Curve]) -> tuple[Mistake, ...]:
    """A mistake in the order, with the test written for β in that order, or for two β in any order."""

    def either_way(low: float, slope: float, high: float) -> bool:
        return min(low, high) <= slope <= max(low, high)

    return (
        Mistake(name, hint, lambda *curve: over_pairs(rows(*curve), right_slope)),
        Mistake(name, hint, lambda *curve: over_pairs(rows(*curve), right_slope, either_way)),
    )


def from_the_first(*curve: Sequence[float]) -> Found:
    first, *others = by_beta(*curve)
    each = [over_pairs([first, other], right_slope) for other in others]
    return np.concatenate([slope for slope, _ in each]), np.concatenate([held for _, held in each])


def shifted(*curve: Sequence[float]) -> Found:
    """Each slope held against the next pair of β, the last one against its own."""
    slopes, _ = right_slopes(*curve)
    betas = sorted(curve[0])
    lows, highs = [*betas[1:-1], betas[-2]], [*betas[2:], betas[-1]]
    return slopes, np.array([low <= s <= high for low, s, high in zip(lows, slopes, highs, strict=True)], float)


def neighbours_from_the_first(*curve: Sequence[float]) -> Found:
    slopes = from_the_first(*curve)[0]
    betas = sorted(curve[0])
    held = [low <= s <= high for low, s, high in zip(betas[:-1], slopes, betas[1:], strict=True)]
    return slopes, np.array(held, float)


FROM_THE_FIRST = "Every slope starts from the smallest β. Take neighbours: the first and second, the second and third."

SLOPES_MISTAKES = (
    *arranged(
        "not sorted by β",
        "The models are taken in the order in which they come. Neighbours are neighbours in β: sort first.",
        lambda *curve: list(zip(*curve, strict=True)),
    ),
    *arranged(
        "only β sorted",
        "β is sorted, but rates and distortions stayed where they were, so they belong to other models now. Sort all "
        "three in one order.",
        lambda betas, rates, distortions: list(zip(sorted(betas), rates, distortions, strict=True)),
    ),
    *arranged(
        "each list sorted by itself",
        "Three lists sorted each by itself mix up the models: a rate and a distortion belong to their β.",
        lambda *curve: list(zip(*map(sorted, curve), strict=True)),
    ),
    *arranged(
        "from the largest β down",
        "The slopes are right, from the largest β to the smallest. Return them from the smallest up.",
        lambda *curve: by_beta(*curve)[::-1],
    ),
    *arranged(
        "sorted by rate",
        "Neighbours are neighbours in β. Where a rate rises with β the two orders differ, and it is just there that "
        "something is wrong with the models.",
        lambda *curve: sorted(zip(*curve, strict=True), key=lambda row: -row[1]),
    ),
    *arranged(
        "sorted by rate",
        "Neighbours are neighbours in β, and slopes go from the smallest β up, that is from the largest rate.",
        lambda *curve: sorted(zip(*curve, strict=True), key=lambda row: row[1]),
    ),
    *pairs(
        "sign flipped",
        "The slopes have the wrong sign: where the rate falls and the distortion rises, the slope is positive. Mind "
        "the order in the denominator.",
        lambda one, two: -right_slope(one, two),
    ),
    *pairs(
        "the inverse",
        "This is the rate saved for each nat of distortion. β is a price in distortion for a nat of rate.",
        lambda one, two: 1 / right_slope(one, two),
    ),
    *pairs(
        "the inverse, with its sign flipped",
        "This is the change of the rate for each nat of distortion. Asked is the distortion lost for each nat saved.",
        lambda one, two: -1 / right_slope(one, two),
    ),
    *pairs(
        "D + R for D",
        "The numerator holds D alone. With the rate added to it the slope is smaller by 1.",
        lambda one, two: right_slope(one, two) - 1,
    ),
    *pairs(
        "divided by the step in β",
        "The distortion lost is divided by the change of β. Divide it by the rate that is saved.",
        lambda one, two: (two[2] - one[2]) / (two[0] - one[0]),
    ),
    *pairs(
        "signs removed",
        "Absolute values hide what the test is for: a rate that rises with β gives a negative slope.",
        lambda one, two: abs(right_slope(one, two)),
    ),
    *pairs(
        "the difference for the slope",
        "This is the distortion lost. Divide it by the rate that is saved.",
        lambda one, two: two[2] - one[2],
    ),
    Mistake("always from the first model", FROM_THE_FIRST, from_the_first),
    Mistake("always from the first model", FROM_THE_FIRST, neighbours_from_the_first),
    tested(
        "one β compared",
        "The slopes are right. Each has a lower limit as well, the smaller β of its pair.",
        lambda low, slope, high: slope <= high,
    ),
    tested(
        "one β compared",
        "The slopes are right. Each has an upper limit as well, the larger β of its pair.",
        lambda low, slope, high: slope >= low,
    ),
    tested(
        "ends left out",
        "The slopes are right. A slope that equals one of its two β lies between them, too: the ends are included.",
        lambda low, slope, high: low < slope < high,
    ),
    tested(
        "the answer negated",
        "The slopes are right. Return True where the slope lies between the two β.",
        lambda low, slope, high: not low <= slope <= high,
    ),
    tested(
        "always False",
        "The slopes are right, but every test comes out False. The smaller β of a pair is the lower limit.",
        lambda low, slope, high: high <= slope <= low,
    ),
    tested(
        "always True",
        "The slopes are right, but every test comes out True. A slope has two limits, and both conditions "
        "have to hold.",
        lambda low, slope, high: low <= slope or slope <= high,
    ),
    Mistake(
        "held against another pair's β",
        "The slopes are right, but each is compared with the β of another pair. Slope i belongs to the i-th and the "
        "next β, in sorted order.",
        shifted,
    ),
    Mistake(
        "results exchanged",
        "Return the slopes first, then whether they lie between their β.",
        lambda *curve: right_slopes(*curve)[::-1],
    ),
)


def curve_with(shares: Sequence[float], rng: np.random.Generator) -> tuple[list[float], ...]:
    """β, rates, distortions, shuffled. Slope i lies at shares[i] of the way between its two β, below or above outside
    0 to 1; where a share is below -1, the rate rises with β, and the slope is that number."""
    K = len(shares) + 1
    betas = np.round(0.3 * 1.8 ** (np.arange(K) + rng.uniform(-0.2, 0.2, K)), 2)
    rates, distortions = [round(rng.uniform(20, 25), 2)], [round(rng.uniform(70, 90), 2)]
    for low, high, share in zip(betas[:-1], betas[1:], shares, strict=True):
        saved = rng.uniform(1.5, 3.0) * (-1 if share < -1 else 1)
        rates.append(round(rates[-1] - saved, 2))
        slope = share if share < -1 else low + share * (high - low)
        distortions.append(round(distortions[-1] + slope * (rates[-2] - rates[-1]), 2))
    order = rng.permutation(K)
    while (np.diff(order) > 0).all() or (np.diff(order) < 0).all():
        order = rng.permutation(K)
    return tuple([values[i] for i in order] for values in (betas.tolist(), rates, distortions))


@check("07/slopes", "Slopes between prices")
def slopes(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shares = ((0.4, 1.6, 0.6, -0.5), (0.5, -1.5, 0.3), (1.4, 0.5, -0.4, 0.3, 0.7))
    at_the_ends = [4.0, 1.0, 2.0], [7.0, 10.0, 9.0], [86.0, 80.0, 82.0]  # both slopes are 2, exactly
    cases = [*(curve_with(each, rng) for each in shares), at_the_ends]
    meaning = "the slopes and whether each lies between its β, one fewer than there are models"
    examine_formula(with_arrays(answer, results=2), cases, right_slopes, SLOPES_MISTAKES, meaning)


# ---- mutual information -------------------------------------------------------------------------------

LogDensity = Callable[[Tensor, Tensor], Tensor]  # gap, logvar -> log-density, each latent by itself
Estimate = Callable[[Tensor], Any]


def normal(gap: Tensor, logvar: Tensor) -> Tensor:
    return -0.5 * (gap.square() * (-logvar).exp() + logvar + math.log(2 * math.pi))


def each_pair(mu: Tensor, logvar: Tensor, z: Tensor, density: LogDensity = normal) -> Tensor:
    """log q(z_n | x_m) of each latent by itself. mu, logvar, z: (N, D) -> (N, N, D), z along the first axis."""
    return density(z.double()[:, None] - mu.double(), logvar.double())


def own(log_q: Tensor) -> Tensor:
    """log q(z_n | x_n). (N, N) -> (N,)."""
    return log_q.diagonal()


def mixed(log_q: Tensor) -> Tensor:
    """log q(z_n). (N, N) -> (N,)."""
    return log_q.logsumexp(1) - math.log(len(log_q))


def information(each: Tensor) -> float:
    log_q = each.sum(2)
    return float((own(log_q) - mixed(log_q)).mean())


def of_pairs(name: str, hint: str, estimate: Estimate) -> Mistake:
    """A mistake in what is done with the log-densities (N, N) of all pairs."""
    return Mistake(name, hint, lambda *inputs: estimate(each_pair(*inputs).sum(2)))


def of_latents(name: str, hint: str, estimate: Estimate) -> Mistake:
    """A mistake in what is done with the log-densities (N, N, D) of all pairs and latents."""
    return Mistake(name, hint, lambda *inputs: estimate(each_pair(*inputs)))


def with_density(name: str, hint: str, density: LogDensity) -> Mistake:
    return Mistake(name, hint, lambda mu, logvar, z: information(each_pair(mu, logvar, z, density)))


def against_prior(mu: Tensor, logvar: Tensor, z: Tensor) -> float:
    """log q(z|x) - log p(z), averaged: the rate, by samples."""
    log_q = each_pair(mu, logvar, z).sum(2)
    return float((own(log_q) - normal(z.double(), torch.zeros(())).sum(1)).mean())


def aggregate_against_prior(mu: Tensor, logvar: Tensor, z: Tensor) -> float:
    return against_prior(mu, logvar, z) - information(each_pair(mu, logvar, z))


def others(log_q: Tensor) -> Tensor:
    without = log_q.clone().fill_diagonal_(-math.inf)
    return without.logsumexp(1) - math.log(len(log_q) - 1)


def of_marginals(each: Tensor) -> float:
    """The mixture of each latent by itself, multiplied."""
    marginals = (each.logsumexp(1) - math.log(len(each))).sum(1)
    return float((own(each.sum(2)) - marginals).mean())


INFORMATION_MISTAKES = (
    of_pairs(
        "mean of logarithms",
        "log q(z) is the logarithm of a mean, and this is the mean of the logarithms, which is smaller. Average the "
        "densities before you take the logarithm.",
        lambda log_q: float((own(log_q) - log_q.mean(1)).mean()),
    ),
    of_pairs(
        "log N forgotten",
        "q(z) is the mean of the N densities, not their sum. The result is off by log N.",
        lambda log_q: float((own(log_q) - log_q.logsumexp(1)).mean()),
    ),
    of_pairs(
        "log N with the wrong sign",
        "Dividing by N subtracts log N from log q(z). The result is off by 2 log N.",
        lambda log_q: float((own(log_q) - log_q.logsumexp(1) - math.log(len(log_q))).mean()),
    ),
    Mistake(
        "the prior for the mixture",
        "This compares q(z|x) with the prior and estimates the whole rate. Mutual information compares it with the "
        "mixture of all N codes.",
        against_prior,
    ),
    Mistake(
        "the other part of the rate",
        "This is KL(q(z) ‖ p(z)), what is left of the rate. Asked is the part that tells the images apart.",
        aggregate_against_prior,
    ),
    of_pairs(
        "the wrong axis",
        "The mixture runs over the samples, at one image's density. Hold z_n fixed and run over the N images.",
        lambda log_q: information(log_q.T[:, :, None]),
    ),
    of_pairs(
        "own code left out",
        "The image's own code is missing from q(z), which is the mixture of all N.",
        lambda log_q: float((own(log_q) - others(log_q)).mean()),
    ),
    of_latents(
        "each latent mixed by itself",
        "A mixture is formed for each latent, and the mixtures are multiplied. The latents of one image belong "
        "together: add up the logarithms over the latents first, then mix.",
        of_marginals,
    ),
    of_latents(
        "averaged over latents",
        "The log-densities are averaged over the latents. Independent latents multiply, so their logarithms add up.",
        lambda each: information(each.mean(2, keepdim=True)),
    ),
    of_pairs(
        "densities for their logarithms",
        "This subtracts densities. Information is a difference of logarithms.",
        lambda log_q: float((own(log_q).exp() - mixed(log_q).exp()).mean()),
    ),
    of_pairs(
        "ratio of densities without its logarithm",
        "This averages the ratio of the two densities. Average its logarithm.",
        lambda log_q: float((own(log_q) - mixed(log_q)).exp().mean()),
    ),
    of_pairs(
        "logarithm after the average",
        "The ratios are averaged before the logarithm is taken. Average the logarithms over the images.",
        lambda log_q: float((own(log_q) - mixed(log_q)).exp().mean().log()),
    ),
    of_pairs(
        "sign flipped",
        "The result is negative: the image's own code fits its z better than the mixture does. Exchange the two terms.",
        lambda log_q: float((mixed(log_q) - own(log_q)).mean()),
    ),
    of_pairs(
        "only log q(z|x)",
        "This is the average of log q(z|x). Subtract log q(z).",
        lambda log_q: float(own(log_q).mean()),
    ),
    of_pairs(
        "only log q(z)",
        "This is the average of −log q(z). Add log q(z|x).",
        lambda log_q: float(-mixed(log_q).mean()),
    ),
    of_pairs(
        "summed over images",
        "The terms are right. They are summed over the images; the expectation is their average.",
        lambda log_q: float((own(log_q) - mixed(log_q)).sum()),
    ),
    of_pairs(
        "not averaged over images",
        "Each image's term is right. Return their average, one number.",
        lambda log_q: (own(log_q) - mixed(log_q)).numpy(),
    ),
    of_pairs(
        "in bits",
        "The value is right, in bits. The course counts in nats, with the natural logarithm.",
        lambda log_q: information(log_q[:, :, None]) / math.log(2),
    ),
    with_density(
        "log σ for log σ²",
        "The densities read logvar as log σ. It is log σ²: the variance is exp(logvar).",
        lambda gap, logvar: normal(gap, 2 * logvar),
    ),
    with_density(
        "σ for σ²",
        "The squared distance is divided by σ. A Gaussian divides it by the variance, exp(logvar).",
        lambda gap, logvar: -0.5 * (gap.square() * (-logvar / 2).exp() + logvar),
    ),
    with_density(
        "the width's term left out",
        "The densities lack their factor 1/σ. It differs from image to image and from latent to latent, so it does not "
        "cancel (2π does).",
        lambda gap, logvar: -0.5 * gap.square() * (-logvar).exp(),
    ),
    with_density(
        "the width's term without ½",
        "log σ is half of logvar: in the logarithm of a Gaussian stands −½ logvar.",
        lambda gap, logvar: -0.5 * gap.square() * (-logvar).exp() - logvar,
    ),
    with_density(
        "½ missing before the square",
        "The logarithm of a Gaussian contains half of the squared distance over the variance.",
        lambda gap, logvar: -gap.square() * (-logvar).exp() - 0.5 * logvar,
    ),
    with_density(
        "σ = 1 everywhere",
        "The densities ignore logvar: every code has a width of its own.",
        lambda gap, logvar: normal(gap, torch.zeros(())) + 0 * logvar,
    ),
)


def right_information(mu: Tensor, logvar: Tensor, z: Tensor) -> float:
    return information(each_pair(mu, logvar, z))


def codes(N: int, D: int, apart: float, width: float, g: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """mu, logvar and a sample of each code, (N, D) each: spread by `apart`, with logvar around `width`."""
    mu = 0.3 + apart * torch.randn(N, D, generator=g)
    logvar = width + 0.6 * torch.randn(N, D, generator=g)
    return mu, logvar, mu + (logvar / 2).exp() * torch.randn(N, D, generator=g)


UNDERFLOW = (
    "In many latents a density is smaller than the smallest positive number, and the logarithm of 0 is −∞. Stay with "
    "logarithms: torch.logsumexp."
)


@check("07/mutual_information", "Mutual information")
def mutual_information(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    # in the last one, densities lie near exp(-125): 0 in single precision
    cases = [
        codes(5, 3, 1.0, -0.6, g),
        codes(8, 2, 1.5, -1.0, g),
        codes(12, 4, 0.7, -0.3, g),
        codes(4, 60, 0.3, 1.4, g),
    ]
    result = with_arrays(answer)

    def lost(got: list[Any], want: list[Any]) -> bool:
        return all(map(agree, got[:3], want[:3])) and not np.isfinite(got[3])

    mistakes = (Mistake("logarithm of zero", UNDERFLOW, when=lost), *INFORMATION_MISTAKES)
    examine_formula(result, cases, right_information, mistakes, "one number, in nats")


# ---- what a linear VAE buys ---------------------------------------------------------------------------

Spectrum = Callable[[Tensor], Tensor]  # x: (N, P) -> numbers in the place of the eigenvalues, the largest first
Level = Callable[[float, float], float]  # var, beta -> what an eigenvalue has to exceed
Bill = Callable[[Tensor], Tensor]  # λ/s of each active latent -> its nats


def centred(x: Tensor) -> Tensor:
    return x.double() - x.double().mean(0)


def squares(x: Tensor, divisor: float) -> Tensor:
    """Eigenvalues of x'x / divisor, the largest first."""
    return torch.linalg.eigvalsh(x.T @ x / divisor).flip(0)


def spectrum(x: Tensor) -> Tensor:
    return squares(centred(x), len(x))


def buys(
    x: Tensor,
    var: float,
    beta: float,
    z_dim: int,
    *,
    eigen: Spectrum = spectrum,
    level: Level = lambda var, beta: beta * var,
    bill: Bill = lambda ratio: 0.5 * ratio.log(),
    limit: Callable[[Tensor, int], Tensor] = lambda values, z_dim: values[:z_dim],
    all_pay: bool = False,
) -> tuple[float, float]:
    """Active latents, and the rate of all together, in nats."""
    ratio = limit(eigen(x), z_dim) / level(var, beta)
    paying = ratio if all_pay else ratio[ratio > 1]
    return int((ratio > 1).sum()), float(bill(paying).sum())


def purchase(name: str, hint: str, **changes: Any) -> Mistake:
    return Mistake(name, hint, lambda *inputs: buys(*inputs, **changes))


def unlimited_rate(*inputs: Any) -> tuple[float, float]:
    return buys(*inputs)[0], buys(*inputs, limit=lambda values, z_dim: values)[1]


def unlimited_count(*inputs: Any) -> tuple[float, float]:
    return buys(*inputs, limit=lambda values, z_dim: values)[0], buys(*inputs)[1]


def with_rate(name: str, hint: str, rate: Callable[..., float]) -> Mistake:
    """The count is right, the rate is made of it, of the right rate and of the inputs."""

    def wrong(x: Tensor, var: float, beta: float, z_dim: int) -> tuple[float, float]:
        active, right = buys(x, var, beta, z_dim)
        return active, rate(active, right, beta)

    return Mistake(name, hint, wrong)


UNLIMITED = "A model with `z_dim` latents has no more than `z_dim` to spend on, even if more eigenvalues would pay."

LINEAR_MISTAKES = (
    purchase(
        "not centred",
        "The mean image is still in x, and looks like the largest direction of all. The decoder's b supplies it: "
        "subtract the mean over the images first.",
        eigen=lambda x: squares(x.double(), len(x)),
    ),
    purchase(
        "each image centred by itself",
        "The mean was taken over each image's pixels. Subtract the mean image, the average over dim 0.",
        eigen=lambda x: squares(x.double() - x.double().mean(1, keepdim=True), len(x)),
    ),
    purchase(
        "not divided by N",
        "These are eigenvalues of a sum over the images. A covariance is an average: it does not grow with the data.",
        eigen=lambda x: squares(centred(x), 1),
    ),
    purchase(
        "divided by N − 1",
        "The covariance is divided by N − 1. Here it is the average over the N images themselves: divide by N.",
        eigen=lambda x: squares(centred(x), len(x) - 1),
    ),
    purchase(
        "divided by the number of pixels",
        "The covariance is divided by the number of pixels. It is an average over the images.",
        eigen=lambda x: squares(centred(x), x.shape[1]),
    ),
    purchase(
        "singular values for eigenvalues",
        "These are singular values of the centred x. An eigenvalue of the covariance is one of them squared, over N.",
        eigen=lambda x: torch.linalg.svdvals(centred(x)),
    ),
    purchase(
        "standard deviations for variances",
        "An eigenvalue is a variance already, and is compared with a variance: take no root of it.",
        eigen=lambda x: spectrum(x).clamp(min=0).sqrt(),
    ),
    purchase(
        "pixel variances for eigenvalues",
        "These are the variances of single pixels. Pixels vary together: what counts is the variance along the "
        "covariance's eigenvectors.",
        eigen=lambda x: centred(x).square().mean(0).sort(descending=True).values,
    ),
    purchase(
        "pixels standardised",
        "These are eigenvalues of the correlations. Scaling the pixels changes what a squared error charges: use the "
        "covariance.",
        eigen=lambda x: squares(centred(x) / centred(x).square().mean(0).sqrt(), len(x)),
    ),
    purchase(
        "the smallest first",
        "The first `z_dim` eigenvalues taken are the smallest: `eigvalsh` returns them in ascending order.",
        limit=lambda values, z_dim: values.flip(0)[:z_dim],
    ),
    purchase("z_dim ignored", UNLIMITED, limit=lambda values, z_dim: values),
    Mistake("z_dim ignored", "The count is right, the rate is too large. " + UNLIMITED, unlimited_rate),
    Mistake("z_dim ignored", "The rate is right, the count is too large. " + UNLIMITED, unlimited_count),
    purchase(
        "σ for σ²",
        "`var` is σ² already: take no root of it.",
        level=lambda var, beta: beta * var**0.5,
    ),
    purchase(
        "var squared",
        "`var` is σ² already: do not square it.",
        level=lambda var, beta: beta * var**2,
    ),
    purchase(
        "divided by β",
        "A larger β should raise the level that an eigenvalue has to exceed; here it lowers it.",
        level=lambda var, beta: var / beta,
    ),
    purchase(
        "β ignored",
        "An eigenvalue is compared with σ² alone: this is the prediction for β = 1.",
        level=lambda var, beta: var,
    ),
    purchase(
        "σ² ignored",
        "An eigenvalue is compared with β alone. The level is β times the decoder's variance.",
        level=lambda var, beta: beta,
    ),
    purchase(
        "inactive latents charged",
        "The count is right. A latent that is not active equals the prior and costs nothing; the formula gives it a "
        "negative number of nats.",
        all_pay=True,
    ),
    with_rate(
        "factor ½ missing",
        "The count is right, the rate is twice as large as it should be: a latent pays *half* the logarithm.",
        lambda active, rate, beta: 2 * rate,
    ),
    with_rate(
        "in bits",
        "The count is right, and the rate is in bits. The course counts in nats, with the natural logarithm.",
        lambda active, rate, beta: rate / math.log(2),
    ),
    with_rate(
        "sign flipped",
        "The count is right. A rate is never negative: which of the two variances is larger?",
        lambda active, rate, beta: -rate,
    ),
    with_rate(
        "averaged over latents",
        "The count is right. The rate is averaged over the active latents; their nats add up.",
        lambda active, rate, beta: rate / active,
    ),
    with_rate(
        "β times the rate",
        "The count is right. β times the rate is what the objective charges; asked is the rate itself.",
        lambda active, rate, beta: beta * rate,
    ),
    purchase(
        "variances of the mean added",
        "The count is right. 1 − s/λ is how much the mean of q varies; the rate of a latent is a logarithm.",
        bill=lambda ratio: 1 - 1 / ratio,
    ),
    Mistake(
        "results exchanged", "Return the number of active latents first, then the rate.", lambda *i: buys(*i)[::-1]
    ),
)


def with_spectrum(N: int, P: int, eigenvalues: Sequence[float], g: torch.Generator) -> Tensor:
    """x: (N, P) with a mean far from 0, whose covariance, divided by N, has these eigenvalues, and 0 otherwise."""
    k = len(eigenvalues)
    left, _ = torch.linalg.qr(torch.cat([torch.ones(N, 1), torch.randn(N, k, generator=g)], 1).double())
    right, _ = torch.linalg.qr(torch.randn(P, k, generator=g).double())
    mean = 1 + torch.rand(P, generator=g).double()
    return (mean + left[:, 1:] * (N * torch.tensor(eigenvalues)).sqrt() @ right.T).float()


@check("07/predicted_rate", "What a linear VAE buys")
def predicted_rate(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    size = 0.88 + 0.24 * torch.rand((), generator=g).item()
    large, small = [size * each for each in (6, 3, 1.5, 0.7)], [size * each for each in (0.3, 0.1)]
    cases = (
        (with_spectrum(9, 4, large, g), 0.25, 4.0, 4),  # three of four
        (with_spectrum(20, 6, large + small, g), 0.25, 2.0, 2),  # four would pay, there are two
        (with_spectrum(6, 9, large, g), 4.0, 0.5, 3),  # more pixels than images
    )
    meaning = "the number of active latents and their rate in nats"
    examine_formula(with_arrays(answer, results=2), cases, buys, LINEAR_MISTAKES, meaning)
