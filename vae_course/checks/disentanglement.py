"""Sheet 08: what a latent says about a factor, three scores made of that, and how much of a score is luck."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_course.checks.answer import Answer, Finding
from vae_course.checks.check import check
from vae_course.checks.formula import Mistake, agree, as_float64, examine_formula, is_numpy

Array = NDArray[Any]


def with_plain_results(answer: Answer) -> Answer:
    """The same answer; tensors and lists of whole numbers come back as NumPy's arrays, one number as Python's."""
    return Answer(lambda *case: plain(answer(*case)), answer.name)


def plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, (tuple, list)):
        parts = tuple(map(plain, value))
        return np.array(parts) if parts and all(type(part) is int for part in parts) else parts
    return value.item() if isinstance(value, (np.ndarray, np.generic)) and np.ndim(value) == 0 else value


def in_one_array(value: Any) -> Any:
    """Of a result that should be one array: numbers in a tuple or list, too."""
    numbers = isinstance(value, tuple) and bool(value) and all(type(part) in (int, float) for part in value)
    return np.array(value) if numbers else value


def entropy(p: Array, axis: int | None = None) -> Any:
    """-Σ p log p, in nats, with 0 log 0 = 0."""
    return -(p * np.log(np.where(p > 0, p, 1))).sum(axis=axis)


# ---- mutual information of a table of counts ----------------------------------------------------------


def three_entropies(counts: Tensor, normalised: bool = True) -> tuple[float, float, float]:
    """H(z), H(v) and H(z, v) of a table (bins, levels)."""
    joint = as_float64(counts)
    joint = joint / joint.sum() if normalised else joint
    return tuple(float(entropy(p)) for p in (joint.sum(axis=1), joint.sum(axis=0), joint))  # type: ignore[return-value]


def information_of(counts: Tensor) -> float:
    of_z, of_v, of_both = three_entropies(counts)
    return of_z + of_v - of_both


def from_entropies(name: str, hint: str, combine: Callable[[float, float, float], float]) -> Mistake:
    return Mistake(name, hint, lambda counts: combine(*three_entropies(counts)))


def counts_as_probabilities(counts: Tensor) -> float:
    """Also Σ n log(n / (n_z n_v)): the same number."""
    of_z, of_v, of_both = three_entropies(counts, normalised=False)
    return of_z + of_v - of_both


def divergences_of_bins(counts: Tensor) -> Array:
    """KL(p(v | bin) ‖ p(v)) of each bin, (bins,); 0 for an empty one."""
    table = as_float64(counts)
    of_v = table.sum(axis=0) / table.sum()
    conditional = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    return np.asarray((conditional * np.log(np.where(conditional > 0, conditional / of_v, 1))).sum(axis=1))


def terms_of_bins(counts: Tensor) -> Array:
    table = as_float64(counts)
    return np.asarray(divergences_of_bins(counts) * table.sum(axis=1) / table.sum())


def terms_of_levels(counts: Tensor) -> Array:
    return terms_of_bins(counts.T)


def terms_of_cells(counts: Tensor) -> Array:
    joint = as_float64(counts) / as_float64(counts).sum()
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    there = joint > 0
    return np.asarray(joint * np.log(np.where(there, joint, 1) / np.where(there, independent, 1)))


def nan_from_zeros(got: list[Any], want: list[Any]) -> bool:
    """Right where every cell holds something, NaN or infinite elsewhere."""
    if not all(is_numpy(result) and np.ndim(result) == 0 for result in got):
        return False
    finite = [math.isfinite(result) for result in got]
    right = [agree(result, true) for result, true in zip(got, want, strict=True)]
    return any(finite) and right == finite and not all(finite)


INFORMATION_MISTAKES = (
    from_entropies(
        "base 2",
        "These are bits: log₂ in place of the natural logarithm, which nats need.",
        lambda z, v, both: (z + v - both) / math.log(2),
    ),
    from_entropies(
        "base 10",
        "These are logarithms to the base 10; nats need the natural logarithm.",
        lambda z, v, both: (z + v - both) / math.log(10),
    ),
    from_entropies(
        "sign flipped",
        "The number is right, its sign is not: mutual information is never negative.",
        lambda z, v, both: both - z - v,
    ),
    from_entropies("the joint entropy", "This is H(z, v), the uncertainty about the pair.", lambda z, v, both: both),
    from_entropies(
        "the joint entropy left out",
        "This is H(z) + H(v), what the pair would hold if the two had nothing in common: what do they really hold?",
        lambda z, v, both: z + v,
    ),
    from_entropies(
        "H(v) left out",
        "This is H(z) − H(z, v): the factor's own entropy is missing.",
        lambda z, v, both: z - both,
    ),
    from_entropies(
        "H(z) left out",
        "This is H(v) − H(z, v): the latent's own entropy is missing.",
        lambda z, v, both: v - both,
    ),
    from_entropies(
        "what remains uncertain",
        "This is H(v | z), the uncertainty about the factor that remains when the bin is known. How much went away?",
        lambda z, v, both: both - z,
    ),
    from_entropies(
        "what remains uncertain",
        "This is H(z | v), the uncertainty about the bin that remains when the factor is known. How much went away?",
        lambda z, v, both: both - v,
    ),
    from_entropies("the factor's entropy", "This is H(v) alone: the bins play no part in it.", lambda z, v, both: v),
    from_entropies("the latent's entropy", "This is H(z) alone: the factor plays no part in it.", lambda z, v, both: z),
    *(
        from_entropies(
            "a share, not nats",
            "Right, but divided by an entropy. The share comes later; here it is asked for in nats.",
            wrong,
        )
        for wrong in (
            lambda z, v, both: (z + v - both) / v,
            lambda z, v, both: (z + v - both) / z,
            lambda z, v, both: (z + v - both) / both,
            lambda z, v, both: (z + v - both) / min(z, v),
            lambda z, v, both: (z + v - both) / max(z, v),
            lambda z, v, both: (z + v - both) / math.sqrt(z * v),
            lambda z, v, both: 2 * (z + v - both) / (z + v),
        )
    ),
    *(
        Mistake(
            "counts taken for probabilities",
            "The entropies are of the counts themselves: probabilities add up to 1 over the whole table.",
            wrong,
        )
        for wrong in (
            counts_as_probabilities,
            lambda counts: counts_as_probabilities(counts) / float(counts.sum()),
        )
    ),
    *(
        Mistake(
            "every bin counts alike",
            "A bin with many images has to weigh more than one with few: the average over bins is weighted by p(z).",
            wrong,
        )
        for wrong in (
            lambda counts: divergences_of_bins(counts).mean(),
            lambda counts: divergences_of_bins(counts).sum(),
        )
    ),
    Mistake(
        "averaged over cells",
        "The terms of the cells have their weights in them already: add them up, take no mean.",
        lambda counts: information_of(counts) / counts.numel(),
    ),
    *(
        Mistake("not added up", "The terms are right. Their sum over the whole table is asked for, one number.", wrong)
        for wrong in (terms_of_bins, terms_of_levels, terms_of_cells)
    ),
    Mistake(
        "one added to every cell",
        "Nothing is to be added to the counts: an empty cell tells something, too, and it contributes 0.",
        lambda counts: information_of(counts + 1),
    ),
)


EMPTY_CELL_MISTAKES = (
    Mistake(
        "0 · log 0 is NaN",
        "Right where every cell holds something. An empty one gives NaN, because the computer does not know that "
        "p log p goes to 0 with p.",
        when=nan_from_zeros,
    ),
    Mistake(
        "empty cells filled",
        "Right where every cell holds something. Count an empty one as empty: it tells something, too.",
        lambda counts: information_of(counts.clamp(min=1)),
    ),
    Mistake(
        "whole bins left out",
        "Right where every cell holds something. A bin with one empty cell is no empty bin: leave out the cell alone.",
        lambda counts: information_of(counts[(counts > 0).all(dim=1)]),
    ),
)


@check("08/mutual_information", "Mutual information from a table")
def mutual_information(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    full = [rng.integers(1, 30, size=shape) for shape in ((4, 3), (2, 6), (5, 7))]
    for table in full:
        table[0, :2] += 60
    sparse = rng.poisson(2.0, size=(9, 5))
    sparse[0], sparse[1] = (12, 3, 0, 1, 4), (9, 2, 3, 1, 1)
    sparse[2], sparse[5] = 0, (7, 0, 0, 0, 0)  # an empty bin, and one with a single level
    cases = [(torch.tensor(table),) for table in (*full, sparse)]
    meaning = "one number, in nats"
    plainly = with_plain_results(answer)
    # first without empty cells, where NaN cannot hide another mistake
    examine_formula(plainly, cases[:3], information_of, INFORMATION_MISTAKES, meaning)
    examine_formula(plainly, cases[2:], information_of, EMPTY_CELL_MISTAKES, meaning)


# ---- bins of equal width ------------------------------------------------------------------------------


def cells(codes: Tensor, bins: int, low: float | None = None, high: float | None = None) -> Array:
    """The number of each code's bin, before anything is done about the ends."""
    z = as_float64(codes)
    low, high = (z.min() if low is None else low), (z.max() if high is None else high)
    return np.floor((z - low) / (high - low if high > low else 1) * bins).astype(int)


def right_bins(codes: Tensor, bins: int) -> Array:
    return np.minimum(cells(codes, bins), bins - 1)


def over_a_range(codes: Tensor, bins: int, low: float, high: float) -> Array:
    return np.clip(cells(codes, bins, low, high), 0, bins - 1)


def over_three_deviations(codes: Tensor, bins: int) -> Array:
    z = as_float64(codes)
    spread = 3 * max(z.std(), 1e-12)
    return over_a_range(codes, bins, z.mean() - spread, z.mean() + spread)


def around_zero(codes: Tensor, bins: int) -> Array:
    size = float(np.abs(as_float64(codes)).max())
    return over_a_range(codes, bins, -size, size)


def equal_counts(codes: Tensor, bins: int) -> Array:
    """Quantile bins, by rank."""
    z = as_float64(codes)
    ranks = (z[:, None] > z).sum(axis=1)
    return ranks * bins // len(z)


def quantile_edges(codes: Tensor, bins: int) -> Array:
    z = as_float64(codes)
    return np.searchsorted(np.quantile(z, np.linspace(0, 1, bins + 1)[1:-1]), z)


def right_but_for_the_smallest(codes: Tensor, bins: int) -> Array:
    """What counting the edges below a value gives: the smallest value has none below."""
    found = right_bins(codes, bins)
    found[as_float64(codes) == as_float64(codes).min()] = -1
    return found


def position(codes: Tensor, bins: int) -> Array:
    z = as_float64(codes)
    return (z - z.min()) / max(z.max() - z.min(), 1e-12) * bins


VARYING_BIN_MISTAKES = (
    Mistake(
        "largest value in a bin of its own",
        "There is a bin too many, for the largest value alone. Where the position is exactly 1 it still belongs to the "
        "last bin.",
        cells,
    ),
    *(
        Mistake(
            "smallest value in no bin",
            "The smallest value gets a number of its own, below all others: it belongs to the first bin.",
            wrong,
        )
        for wrong in (
            right_but_for_the_smallest,
            lambda codes, bins: right_but_for_the_smallest(codes, bins) + 1,
        )
    ),
    Mistake(
        "numbered from 1",
        "The bins are right, their numbers are not: the first is number 0.",
        lambda codes, bins: right_bins(codes, bins) + 1,
    ),
    Mistake(
        "numbered from 1",
        "The bins begin with number 1, and the largest value has one of its own. The first is number 0.",
        lambda codes, bins: cells(codes, bins) + 1,
    ),
    *(
        Mistake(
            "one bin too few",
            "The bins are too wide: `bins` edges have only bins − 1 spaces between them.",
            wrong,
        )
        for wrong in (
            lambda codes, bins: cells(codes, bins - 1),
            lambda codes, bins: right_bins(codes, bins - 1),
            lambda codes, bins: right_bins(codes, bins - 1) + 1,
            lambda codes, bins: right_but_for_the_smallest(codes, bins - 1) + 1,
        )
    ),
    Mistake(
        "one bin too many",
        "The bins are too narrow: there are bins + 1 of them.",
        lambda codes, bins: right_bins(codes, bins + 1),
    ),
    *(
        Mistake(
            "rounded to the nearest edge",
            "The first and the last bin are half as wide as the others: round down, not to the nearest whole number.",
            wrong,
        )
        for wrong in (
            lambda codes, bins: np.rint(position(codes, bins)).astype(int),
            lambda codes, bins: np.rint(position(codes, bins) * (bins - 1) / bins).astype(int),
            lambda codes, bins: np.minimum(np.rint(position(codes, bins)).astype(int), bins - 1),
        )
    ),
    *(
        Mistake(
            "equally many in each bin",
            "These bins hold equally many values each. Asked for are bins of equal width, however many fall into them.",
            wrong,
        )
        for wrong in (equal_counts, quantile_edges)
    ),
    *(
        Mistake(
            "a fixed range",
            f"The bins cover −{size} to {size}, whatever the codes are: they should begin at the smallest code and "
            "end at the largest.",
            lambda codes, bins, size=size: over_a_range(codes, bins, -size, size),
        )
        for size in (1, 2, 3, 4, 5)
    ),
    Mistake(
        "a fixed range",
        "The bins cover 0 to 1, whatever the codes are: they should begin at the smallest code and end at the largest.",
        lambda codes, bins: over_a_range(codes, bins, 0, 1),
    ),
    Mistake(
        "three standard deviations",
        "The bins cover three standard deviations on both sides of the mean: they should begin at the smallest code "
        "and end at the largest.",
        over_three_deviations,
    ),
    Mistake(
        "symmetric around 0",
        "The bins reach equally far on both sides of 0: they should begin at the smallest code and end at the largest.",
        around_zero,
    ),
    *(
        Mistake(
            "smallest value not subtracted",
            "A position within the range is measured from the smallest value, not from 0.",
            wrong,
        )
        for wrong in (
            lambda codes, bins: np.floor(as_float64(codes) / np.ptp(as_float64(codes)) * bins).astype(int),
            lambda codes, bins: over_a_range(codes, bins, 0, float(codes.max())),
            lambda codes, bins: cells(codes, bins, 0, float(codes.max())),
            lambda codes, bins: over_a_range(codes, bins, 0, float(codes.max() - codes.min())),
            lambda codes, bins: (as_float64(codes) / np.ptp(as_float64(codes)) * bins).astype(int),
        )
    ),
    *(
        Mistake(
            "divided by the largest value",
            "The width of the whole range is largest − smallest; you divide by the largest.",
            wrong,
        )
        for wrong in (
            lambda codes, bins: np.floor(from_the_smallest(codes) / as_float64(codes).max() * bins).astype(int),
            lambda codes, bins: np.clip(
                np.floor(from_the_smallest(codes) / as_float64(codes).max() * bins), 0, bins - 1
            ).astype(int),
        )
    ),
    Mistake(
        "counted from the top",
        "Number 0 is the bin of the smallest value, not of the largest.",
        lambda codes, bins: bins - 1 - right_bins(codes, bins),
    ),
    Mistake(
        "positions, not bins",
        "These are positions, with what comes after the point: all values of one bin should get the same whole number.",
        position,
    ),
)


def from_the_smallest(codes: Tensor) -> Array:
    return as_float64(codes) - as_float64(codes).min()


def scattered(rng: np.random.Generator, N: int, bins: int, low: float, high: float) -> Tensor:
    """Codes from low to high, both ends among them, unevenly spread, and none near an inner edge."""
    bin_of_each = np.minimum((bins * rng.beta(1.2, 2.5, size=N)).astype(int), bins - 1)
    bin_of_each[:bins] = np.arange(bins)  # each holds one at least
    z = low + (bin_of_each + rng.uniform(0.1, 0.9, size=N)) * (high - low) / bins
    return torch.tensor(rng.permutation([low, high, *z]), dtype=torch.float32)


@check("08/binned", "Bins of equal width")
def binned(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = [
        (scattered(rng, N, bins, low, low + width), bins)
        for N, bins, low, width in (
            (40, 5, float(rng.uniform(-2.5, -2.0)), 6.5),
            (90, 12, float(rng.uniform(0.4, 0.6)), 2.5),
            (33, 4, float(rng.uniform(-9.0, -8.0)), 15.0),
            (50, 6, float(rng.uniform(0.2, 0.3)), 0.005),  # narrow, and yet it varies
        )
    ]
    results: list[Any] = []

    def keeping(codes: Tensor, bins: int) -> Any:
        results.append(in_one_array(plain(answer(codes, bins))))
        return results[-1]

    meaning = "one bin number for each code"
    examine_formula(Answer(keeping, answer.name), cases, right_bins, VARYING_BIN_MISTAKES, meaning)
    if not all(np.issubdtype(np.asarray(result).dtype, np.integer) for result in results):
        hint = f"The bins are right, as {np.asarray(results[0]).dtype}: counting wants whole numbers, so convert them."
        raise Finding("mistake", hint, "not whole numbers")
    never = (torch.full((6,), float(rng.uniform(0.5, 2.0))), 7)
    try:
        still = in_one_array(plain(answer(*never)))
    except Finding as found:
        if found.verdict != "raised":
            raise
        still = None
    if still is None or not agree(still, np.zeros(6)):
        hint = (
            "Right where codes differ. For a latent that never varies the width is 0, and all its codes are in bin 0."
        )
        raise Finding("mistake", hint, "a latent that never varies")


# ---- the mutual information gap -----------------------------------------------------------------------


def ordered(information: Tensor) -> Array:
    """(latents, factors), the best latent of each factor first."""
    return np.sort(as_float64(information), axis=0)[::-1]


def gaps(information: Tensor, entropies: Tensor) -> Array:
    return np.asarray((ordered(information)[0] - ordered(information)[1]) / as_float64(entropies))


def right_mig(information: Tensor, entropies: Tensor) -> float:
    return float(gaps(information, entropies).mean())


def below_the_best(rest: Callable[[Array], Array]) -> Callable[[Tensor, Tensor], float]:
    """The mean lead of the best latent over something else than the second best; `rest` takes the ordered table."""
    return lambda information, entropies: float(
        ((ordered(information)[0] - rest(ordered(information))) / as_float64(entropies)).mean()
    )


def next_distinct(table: Array) -> Array:
    """The largest information that is smaller than the best: passes over a tie."""
    return np.array([max([x for x in column if x < column[0]], default=0.0) for column in table.T])


def between_factors(information: Tensor, entropies: Tensor) -> float:
    shares = np.sort(as_float64(information) / as_float64(entropies), axis=1)
    return float((shares[:, -1] - shares[:, -2]).mean())


def between_factors_in_nats(information: Tensor, entropies: Tensor) -> float:
    table = np.sort(as_float64(information), axis=1)
    return float((table[:, -1] - table[:, -2]).mean())


MIG_MISTAKES = (
    *(
        Mistake(
            "gap between factors",
            "You compare, for each latent, its best two factors. MIG asks for each factor (a column) which two latents "
            "know most about it.",
            wrong,
        )
        for wrong in (
            between_factors,
            between_factors_in_nats,
            lambda i, h: between_factors_in_nats(i, h) / float(h.mean()),
        )
    ),
    Mistake(
        "not divided by the entropies",
        "These are nats. A factor with many levels can be known in more nats than one with few: divide each gap.",
        lambda i, h: float((gaps(i, h) * as_float64(h)).mean()),
    ),
    *(
        Mistake(
            "divided after averaging",
            "Every gap is divided by its own factor's entropy first, and averaged then. In the other order, factors "
            "with many levels count for more.",
            wrong,
        )
        for wrong in (
            lambda i, h: float((gaps(i, h) * as_float64(h)).mean() / as_float64(h).mean()),
            lambda i, h: float((gaps(i, h) * as_float64(h)).mean() / as_float64(h).sum()),
        )
    ),
    Mistake(
        "divided by the largest entropy",
        "Each gap is divided by the entropy of its own factor.",
        lambda i, h: float((gaps(i, h) * as_float64(h)).mean() / as_float64(h).max()),
    ),
    Mistake(
        "divided by the best latent's information",
        "The gap is measured in units of H(v), what could be known. You divide by what the best latent does know.",
        lambda i, h: float((1 - ordered(i)[1] / ordered(i)[0]).mean()),
    ),
    Mistake(
        "best minus mean",
        "The best latent's lead is over the second best, not over the average.",
        below_the_best(lambda table: table.mean(axis=0)),
    ),
    Mistake(
        "best minus the mean of the others",
        "The best latent's lead is over the second best, not over the average of the others.",
        below_the_best(lambda table: table[1:].mean(axis=0)),
    ),
    Mistake(
        "best minus worst",
        "The best latent's lead is over the second best, not over the worst.",
        below_the_best(lambda table: table[-1]),
    ),
    Mistake(
        "a tie passed over",
        "Where two latents know equally much, the second best is as good as the best, and the gap is 0.",
        below_the_best(next_distinct),
    ),
    Mistake(
        "no second best",
        "This averages what the best latent knows. Two latents that know the same would score as well as one.",
        below_the_best(lambda table: np.zeros(table.shape[1])),
    ),
    Mistake(
        "the second best alone",
        "This averages what the second best latent knows. Subtract it from what the best one knows.",
        lambda i, h: float((ordered(i)[1] / as_float64(h)).mean()),
    ),
    *(
        Mistake(
            "the two worst compared",
            "Sorted the other way round: the first two are those that know least.",
            lambda i, h, sign=sign: sign * float(((ordered(i)[-2] - ordered(i)[-1]) / as_float64(h)).mean()),
        )
        for sign in (1, -1)
    ),
    Mistake(
        "not sorted",
        "You compare the first two rows of the table. Which latents are the best two differs from factor to factor.",
        lambda i, h: float(((i[0] - i[1]) / h).mean()),
    ),
    Mistake(
        "sign flipped", "The best comes first, then the second: a gap is not negative.", lambda i, h: -right_mig(i, h)
    ),
    Mistake(
        "added up over factors",
        "The gaps are right. Their mean is asked for, so that 1 is the best score whatever the number of factors.",
        lambda i, h: right_mig(i, h) * len(h),
    ),
    Mistake("one gap a factor", "The gaps are right. Average them: MIG is one number.", gaps),
    Mistake(
        "divided by the number of latents",
        "The gaps are right, and so is their sum. There is one gap for each factor: divide by the number of factors.",
        lambda i, h: right_mig(i, h) * len(h) / len(i),
    ),
    Mistake(
        "multiplied by the entropies",
        "Dividing by the entropy makes a gap a share; you multiply by it.",
        lambda i, h: float((gaps(i, h) * as_float64(h) ** 2).mean()),
    ),
)


@check("08/mig", "The mutual information gap")
def mig(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = []
    for D, K in ((6, 3), (3, 4), (5, 5)):
        levels = rng.permutation([3, 5, 8, 13, 40])[:K]
        entropies = np.log(levels) * rng.uniform(0.8, 1.0, size=K)
        information = rng.uniform(0.01, 0.6, size=(D, K)) * entropies
        cases.append((torch.tensor(information).float(), torch.tensor(entropies).float()))
    tied = cases[0][0].clone()
    tied[4, 1] = tied[2, 1] = 1.1 * tied[:, 1].max()
    cases.append((tied, cases[0][1]))
    examine_formula(with_plain_results(answer), cases, right_mig, MIG_MISTAKES, "one number")


# ---- DCI's disentanglement ----------------------------------------------------------------------------


def alive(importance: Tensor) -> Array:
    """Without the rows that are zero throughout."""
    table = as_float64(importance)
    return table[table.sum(axis=1) > 0]


def purities(table: Array, base: float | None = None) -> Array:
    """1 - entropy of each row, to the given base; by default the number of columns."""
    p = table / table.sum(axis=1, keepdims=True)
    return np.asarray(1 - entropy(p, axis=1) / math.log(base or table.shape[1]))


def shares_of(table: Array) -> Array:
    return np.asarray(table.sum(axis=1) / table.sum())


def right_disentanglement(importance: Tensor) -> float:
    table = alive(importance)
    return float((shares_of(table) * purities(table)).sum())


def to_base(base: Callable[[Array], float]) -> Callable[[Tensor], float]:
    def wrong(importance: Tensor) -> float:
        table = alive(importance)
        return float((shares_of(table) * purities(table, base(table))).sum())

    return wrong


def completeness(importance: Tensor) -> float:
    return right_disentanglement(importance.T)


def unweighted(importance: Tensor) -> float:
    return float(purities(as_float64(importance)).mean())


def by_columns(importance: Tensor) -> float:
    """Rows made to add up along the wrong axis: each factor's weights add up to 1 first."""
    table = as_float64(importance)
    return right_disentanglement(torch.tensor(table / table.sum(axis=0)))


def rows_left_as_they_are(importance: Tensor, divide: bool) -> float:
    """Entropies of rows that do not add up to 1."""
    table = as_float64(importance)
    table = table / table.sum() if divide else table
    return float((shares_of(table) * (1 - entropy(table, axis=1) / math.log(table.shape[1]))).sum())


def added_up_by_columns(importance: Tensor) -> float:
    """p with columns adding up to 1, but the entropies along rows, and the right weights."""
    table = as_float64(importance)
    purity = 1 - entropy(table / table.sum(axis=0), axis=1) / math.log(table.shape[1])
    return float((shares_of(table) * purity).sum())


def largest_share(importance: Tensor) -> float:
    table = alive(importance)
    return float((shares_of(table) * (table / table.sum(axis=1, keepdims=True)).max(axis=1)).sum())


DCI_MISTAKES = (
    Mistake(
        "entropy in nats",
        "The weights and the entropies are right, but these are nats: with K factors an entropy can be log K, and "
        "1 minus that is below 0. Which base makes its largest value 1?",
        to_base(lambda table: math.e),
    ),
    Mistake(
        "entropy in bits",
        "The weights and the entropies are right, but to base 2. Which base makes the largest entropy 1?",
        to_base(lambda table: 2),
    ),
    Mistake(
        "base of the latents",
        "A latent's entropy is over factors, so its largest value is the logarithm of their number, not of the "
        "latents'.",
        to_base(len),
    ),
    Mistake(
        "divided by K, not by log K",
        "The entropy of K equal shares is log K, not K: divide by that.",
        to_base(lambda table: math.exp(table.shape[1])),
    ),
    Mistake(
        "every latent counts alike",
        "The purity of each latent is right. Average with weights: a latent that hardly matters should hardly count.",
        unweighted,
    ),
    *(
        Mistake(
            "completeness instead",
            "You ask how many latents a factor needs: that is completeness. Disentanglement asks of each latent, a "
            "row, how many factors it serves.",
            wrong,
        )
        for wrong in (
            completeness,
            lambda importance: float(purities(as_float64(importance).T).mean()),
            lambda importance: to_base(lambda table: table.shape[0])(importance.T),
        )
    ),
    *(
        Mistake(
            "rows do not add up to 1",
            "An entropy is of probabilities: divide each latent's importances by that latent's own sum.",
            wrong,
        )
        for wrong in (
            lambda importance: rows_left_as_they_are(importance, divide=True),
            lambda importance: rows_left_as_they_are(importance, divide=False),
        )
    ),
    *(
        Mistake(
            "columns add up to 1",
            "You divide by the sum of each factor's column. A latent's shares come from its own row.",
            wrong,
        )
        for wrong in (by_columns, added_up_by_columns)
    ),
    Mistake(
        "1 − left out",
        "This is the weighted entropy, 0 for the best code. The score is 1 minus it.",
        lambda importance: 1 - right_disentanglement(importance),
    ),
    Mistake(
        "the largest share in place of the entropy",
        "You take each latent's largest share. DCI takes 1 minus the entropy of all its shares.",
        largest_share,
    ),
    Mistake(
        "weights that do not add up to 1",
        "The purities are right. The weights are shares of the whole table's sum.",
        lambda importance: right_disentanglement(importance) * float(as_float64(importance).sum()),
    ),
    Mistake(
        "averaged after weighting",
        "The weights add up to 1 already: add up the weighted purities, and divide by nothing.",
        lambda importance: right_disentanglement(importance) / len(importance),
    ),
    *(
        Mistake(
            "one number a latent",
            "One number for each latent is the last step but one: average them, weighted by how much each matters.",
            wrong,
        )
        for wrong in (
            lambda importance: purities(as_float64(importance)),
            lambda importance: purities(as_float64(importance)) * shares_of(as_float64(importance)),
        )
    ),
)
ZERO_MISTAKES = (
    Mistake(
        "0 · log 0 is NaN",
        "Right where no importance is 0. A share of 0 adds nothing to an entropy, but the computer says 0 · log 0 is "
        "NaN.",
        when=nan_from_zeros,
    ),
)
DEAD_MISTAKES = (
    Mistake(
        "latents without weight give NaN",
        "Right as long as every latent has some weight. A row of zeros cannot be divided by its sum: leave it out.",
        when=nan_from_zeros,
    ),
    Mistake(
        "latents without weight give 0",
        "Right as long as every latent has some weight. With a row of zeros, the others still have their purities.",
        lambda importance: right_disentanglement(importance) if (as_float64(importance).sum(axis=1) > 0).all() else 0.0,
    ),
)


@check("08/dci_disentanglement", "DCI's disentanglement")
def dci_disentanglement(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = []
    for D, K in ((4, 3), (7, 5), (3, 6)):
        importance = rng.gamma(0.5, size=(D, K)) + 0.02
        cases.append((torch.tensor(importance * rng.uniform(0.2, 3.0, size=(D, 1))).float(),))
    cases[2] = (0.005 * cases[2][0],)  # importances have no unit
    with_zeros, with_dead = cases[1][0].clone(), cases[1][0].clone()
    with_zeros[0, 1] = with_zeros[3, :2] = 0
    with_dead[2] = with_dead[5] = 0
    meaning = "one number"
    plainly = with_plain_results(answer)
    # first without zeros, where NaN cannot hide another mistake
    examine_formula(plainly, cases, right_disentanglement, DCI_MISTAKES, meaning)
    examine_formula(plainly, [cases[0], (with_zeros,)], right_disentanglement, ZERO_MISTAKES, meaning)
    examine_formula(plainly, [cases[0], (with_dead,)], right_disentanglement, DEAD_MISTAKES, meaning)


# ---- the majority vote of the FactorVAE score ---------------------------------------------------------

Votes = tuple[Array, float]
Ratio = Callable[[Array, Array], Array]  # codes (G, L, D) and scale (D,) -> (G, D)


def variance_over_variance(z: Array, scale: Array) -> Array:
    return np.asarray(z.var(axis=1) / scale**2)


def winners(z: Array, scale: Array, ratio: Ratio, dead: str = "left out", largest: bool = False) -> Array:
    """Which latent each group votes for. A dead one is left out, or counts as 0, or shifts the others' numbers."""
    living = scale > 0
    found = ratio(z, np.where(living, scale, 1))
    found = found[:, living] if dead == "shifts" else np.where(living, found, 0.0 if dead == "votes" else math.inf)
    return np.asarray(found.argmax(axis=1) if largest else found.argmin(axis=1))


def table_of_votes(votes: Array, factor: Array) -> Array:
    """(latents, factors): how many votes each latent got from each factor."""
    counts = np.zeros((votes.max() + 1, factor.max() + 1))
    np.add.at(counts, (votes, factor), 1)
    return counts


def by_majority(votes: Array, factor: Array) -> float:
    return float(table_of_votes(votes, factor).max(axis=1).sum() / len(votes))


def voted(
    groups: Tensor,
    factor: Tensor,
    scale: Tensor,
    ratio: Ratio = variance_over_variance,
    score: Callable[[Array, Array], float] = by_majority,
    **changes: Any,
) -> Votes:
    k = as_float64(factor).astype(int)
    votes = winners(as_float64(groups), as_float64(scale), ratio, **changes)
    return votes, score(votes, k)


def vote(name: str, hint: str, **changes: Any) -> Mistake:
    return Mistake(name, hint, lambda *case: voted(*case, **changes))


def in_further_votes(votes: Array, factor: Array) -> float:
    half = len(votes) // 2
    counts = np.zeros((votes.max() + 1, factor.max() + 1))
    np.add.at(counts, (votes[:half], factor[:half]), 1)
    return float((counts.argmax(axis=1)[votes[half:]] == factor[half:]).mean())


def mean_of_latents(votes: Array, factor: Array) -> float:
    counts = table_of_votes(votes, factor)
    counts = counts[counts.sum(axis=1) > 0]
    return float((counts.max(axis=1) / counts.sum(axis=1)).mean())


LATENT_MISTAKES = (
    vote(
        "variances not divided",
        "You compare variances as they are, so a latent on a small scale wins every vote. Divide by the latent's "
        "variance over all images.",
        ratio=lambda z, scale: z.var(axis=1),
    ),
    vote(
        "divided by the standard deviation",
        "A variance is divided by a variance: `scale` holds standard deviations.",
        ratio=lambda z, scale: z.var(axis=1) / scale,
    ),
    vote(
        "divided once too often",
        "A standard deviation is divided by a standard deviation, a variance by a variance: here they are mixed.",
        ratio=lambda z, scale: z.std(axis=1) / scale**2,
    ),
    *(
        vote(
            "multiplied by the scale",
            "The scale is taken out of the codes by dividing, not by multiplying.",
            ratio=ratio,
        )
        for ratio in (lambda z, scale: z.var(axis=1) * scale**2, lambda z, scale: z.var(axis=1) * scale)
    ),
    *(
        vote(
            "the largest variance wins",
            "The vote goes to the latent that stands still: the smallest ratio, not the largest.",
            largest=True,
            ratio=ratio,
        )
        for ratio in (variance_over_variance, lambda z, scale: z.var(axis=1))
    ),
    *(
        vote(
            "means compared, not variances",
            "What matters is how much a latent varies within the group, not where it stands.",
            ratio=ratio,
        )
        for ratio in (
            lambda z, scale: z.mean(axis=1),
            lambda z, scale: z.mean(axis=1) / scale,
            lambda z, scale: np.abs(z.mean(axis=1)),
            lambda z, scale: np.abs(z.mean(axis=1)) / scale,
            lambda z, scale: z.mean(axis=1) / scale**2,
            lambda z, scale: np.abs(z.mean(axis=1)) / scale**2,
        )
    ),
    *(
        vote(
            "squares in place of variances",
            "You average the squares of the codes. A variance takes the squares of their distances from the group's "
            "mean.",
            ratio=ratio,
        )
        for ratio in (
            lambda z, scale: (z**2).mean(axis=1) / scale**2,
            lambda z, scale: (z**2).mean(axis=1),
        )
    ),
    *(
        vote(
            "divided by the spread within the groups",
            "You divide by a spread computed from the groups; the spread over all images is given, as `scale`.",
            ratio=ratio,
        )
        for ratio in (
            lambda z, scale: z.var(axis=1) / z.var(axis=(0, 1)),
            lambda z, scale: z.var(axis=1) / z.var(axis=1).mean(axis=0),
        )
    ),
)
SCORE_MISTAKES = (
    vote(
        "majority over the wrong axis",
        "The votes are right. Each latent stands for one factor, so the majority is among the factors, for each "
        "latent. You let each factor choose a latent.",
        score=lambda votes, factor: by_majority(factor, votes),
    ),
    vote(
        "latent's number taken for the factor's",
        "The votes are right. Latent 2 need not stand for factor 2: which factor it stands for, the majority of its "
        "votes says.",
        score=lambda votes, factor: float((votes == factor).mean()),
    ),
    vote(
        "one factor for all latents",
        "The votes are right. The majority is taken for each latent separately, not over all votes together.",
        score=lambda votes, factor: float(np.bincount(factor).max() / len(factor)),
    ),
    vote(
        "one latent for all factors",
        "The votes are right. The score asks how often the factor is told, not how often the favourite latent wins.",
        score=lambda votes, factor: float(np.bincount(votes).max() / len(votes)),
    ),
    vote(
        "averaged over latents",
        "The votes are right. Every vote counts alike: a latent with few of them must not weigh as much as one with "
        "many.",
        score=mean_of_latents,
    ),
    vote(
        "votes counted, not their share",
        "The votes are right, and so is the number of hits. Divide by the number of groups.",
        score=lambda votes, factor: by_majority(votes, factor) * len(votes),
    ),
    vote(
        "the share that is wrong",
        "The votes are right. The score is the share of votes that tell the factor, not of those that do not.",
        score=lambda votes, factor: 1 - by_majority(votes, factor),
    ),
    vote(
        "counted on half of the groups",
        "The votes are right. Here the majorities are learnt from all groups, and counted on the same ones.",
        score=in_further_votes,
    ),
    Mistake("results exchanged", "Return the votes first, then the score.", lambda *case: voted(*case)[::-1]),
    Mistake(
        "latents numbered from 1",
        "The right latents win, but the first latent is number 0.",
        lambda *case: (voted(*case)[0] + 1, voted(*case)[1]),
    ),
)
DEAD_LATENT_MISTAKES = (
    vote(
        "a latent that never varies gets the votes",
        "Right where every latent varies. One with scale 0 has variance 0 in every group: it stands still because it "
        "is dead, and gets no vote.",
        dead="votes",
    ),
    vote(
        "latents renumbered",
        "The right latents win, but under other numbers: after a dead latent is dropped, those behind it move up.",
        dead="shifts",
    ),
)


def groups_of(rng: np.random.Generator, G: int, L: int, D: int, K: int, dead: tuple[int, ...]) -> tuple[Tensor, ...]:
    """G groups of L codes. Mostly the latent that belongs to the group's factor varies little there."""
    scale = rng.permutation(np.geomspace(0.5, 2.5, D)) * rng.uniform(0.9, 1.1, size=D)
    factor = rng.permutation(np.arange(G) % K)  # no order from which its number could be read
    home = rng.permutation(np.delete(np.arange(D), dead))
    quiet = np.where(rng.random(G) < 0.7, home[factor % len(home)], rng.choice(home, size=G))
    spread = rng.permutation(np.geomspace(0.35, 1.1, D)) * rng.uniform(0.8, 1.1, size=(G, D))
    spread[np.arange(G), quiet] *= rng.uniform(0.2, 0.5, size=G)
    codes = rng.normal(size=(G, L, D)) * (spread * scale)[:, None] + rng.normal(size=(G, 1, D)) * scale
    scale[list(dead)] = 0
    codes[:, :, list(dead)] = 1.25
    return torch.tensor(codes).float(), torch.tensor(factor), torch.tensor(scale).float()


@check("08/factor_vote", "The vote of the FactorVAE score")
def factor_vote(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = [
        groups_of(rng, *sizes)
        for sizes in ((30, 16, 6, 4, ()), (42, 24, 4, 7, ()), (36, 12, 7, 3, (1, 4)), (25, 20, 5, 5, (0,)))
    ]
    cases[1][1][cases[1][1] == 3] = 6  # one factor was never drawn
    meaning = "the votes, one latent's number for each group, and the score, one number"
    plainly = with_plain_results(answer)
    # first without dead latents, which would hide another mistake
    examine_formula(plainly, cases[:2], voted, (*LATENT_MISTAKES, *SCORE_MISTAKES), meaning)
    examine_formula(plainly, cases[2:], voted, DEAD_LATENT_MISTAKES, meaning)


# ---- spot the bug: shares that do not add up ----------------------------------------------------------


def split(
    scores: Tensor, between: int = 0, within: int = 0, total: int | None = None, power: float = 1.0, axis: int = 1
) -> tuple[float, float]:
    """The two shares. between, within, total: what the divisors N are reduced by; total None: the sum of the two."""
    table = as_float64(scores)
    means = table.mean(axis=axis).var(ddof=between) ** power
    rest = (table.var(axis=axis, ddof=within) ** power).mean()
    whole = means + rest if total is None else table.var(ddof=total) ** power
    return float(means / whole), float(rest / whole)


def right_shares(scores: Tensor) -> tuple[float, float]:
    return split(scores)


def of_two(between: float, within: float) -> tuple[float, float]:
    return between / (between + within), within / (between + within)


def not_centred(scores: Tensor) -> tuple[float, float]:
    table = as_float64(scores)
    whole = (table**2).mean()
    return float((table.mean(axis=1) ** 2).mean() / whole), float(table.var(axis=1).mean() / whole)


def components(scores: Tensor) -> tuple[float, float]:
    """The unbiased components of an analysis of variance: the means' own noise is subtracted."""
    table = as_float64(scores)
    within = table.var(axis=1, ddof=1).mean()
    return of_two(float(table.mean(axis=1).var(ddof=1) - within / table.shape[1]), float(within))


def sums_of_squares_once(scores: Tensor) -> tuple[float, float]:
    """Every setting counted once between, every score within."""
    table = as_float64(scores)
    between = ((table.mean(axis=1) - table.mean()) ** 2).sum()
    return of_two(float(between), float(((table - table.mean(axis=1, keepdims=True)) ** 2).sum()))


def variances_as_they_are(scores: Tensor) -> tuple[float, float]:
    table = as_float64(scores)
    return float(table.mean(axis=1).var()), float(table.var(axis=1).mean())


def with_rest(share: float) -> tuple[float, float]:
    return share, 1 - share


def mean_squares(scores: Tensor) -> tuple[float, float]:
    table = as_float64(scores)
    between = table.shape[1] * table.mean(axis=1).var(ddof=1)
    return of_two(float(between), float(table.var(axis=1, ddof=1).mean()))


def shares(name: str, hint: str, **changes: Any) -> Mistake:
    return Mistake(name, hint, lambda scores: split(scores, **changes))


STILL = "Every variance here is a plain mean of squared deviations: what does `var` divide by if nobody tells it?"
SHARE_MISTAKES = (
    shares(
        "the fault is still there",
        f"The shares do not add up to 1 yet. {STILL}",
        between=1,
        within=1,
        total=1,
    ),
    shares(
        "only the sum repaired",
        f"They add up to 1 now, but their parts are still not right. {STILL}",
        between=1,
        within=1,
    ),
    *(
        Mistake(
            "made to add up",
            f"They add up to 1 because one is 1 minus the other, but the other is still not right. {STILL}",
            wrong,
        )
        for wrong in (
            lambda scores: with_rest(split(scores, between=1, total=1)[0]),
            lambda scores: with_rest(split(scores, within=1, total=1)[1])[::-1],
        )
    ),
    *(
        shares("one variance repaired, another not", f"Not all variances are of the same kind yet. {STILL}", **kinds)
        for kinds in (
            {"between": 1},
            {"within": 1},
            {"between": 1, "total": 0},
            {"within": 1, "total": 0},
            {"total": 1},
            {"between": 1, "within": 1, "total": 0},
            {"between": 1, "total": 1},
            {"within": 1, "total": 1},
        )
    ),
    Mistake(
        "within and between exchanged",
        "The numbers are right. The first is what the settings' means differ by, the second what the seeds do.",
        lambda scores: split(scores)[::-1],
    ),
    *(
        Mistake(
            "exchanged, and the fault still there",
            f"Two things: the share between settings comes first; and the numbers are not right yet. {STILL}",
            lambda scores, total=total: split(scores, between=1, within=1, total=total)[::-1],
        )
        for total in (1, None)
    ),
    shares(
        "seeds taken for settings",
        "The mean of each setting is over its seeds, along dim 1: you average each seed over the settings.",
        axis=0,
    ),
    *(
        shares(
            "standard deviations",
            "These are shares of standard deviations. Only variances add up.",
            power=0.5,
            between=ddof,
            within=ddof,
            total=total,
        )
        for ddof, total in ((0, None), (1, None), (0, 0), (1, 1))
    ),
    Mistake(
        "means not centred",
        "You average the squares of the means: a variance takes the squares of their distances from their own mean.",
        not_centred,
    ),
    Mistake(
        "the luck of the means subtracted",
        "This subtracts what the means differ by through luck: a good estimate, but not the split that is asked for.",
        components,
    ),
    Mistake(
        "the settings counted once",
        "You add up squares of different numbers of terms: one for each setting, and one for each score. Take means.",
        sums_of_squares_once,
    ),
    Mistake(
        "mean squares of the F test",
        "These are mean squares, as for an F test: they do not add up to the variance of all scores.",
        mean_squares,
    ),
    Mistake(
        "variances, not shares",
        "The two variances are right. Divide each by their sum.",
        variances_as_they_are,
    ),
    Mistake(
        "percent",
        "These are percent. Shares lie between 0 and 1.",
        lambda scores: tuple(100 * share for share in split(scores)),
    ),
)


@check("08/variance_shares", "Spot the bug: shares that do not add up")
def variance_shares(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = []
    for settings, seeds, effect in ((4, 6, 0.1), (2, 3, 0.05), (6, 4, 0.03)):
        level = 0.4 + effect * rng.normal(size=(settings, 1))
        cases.append((torch.tensor(level + 0.06 * rng.normal(size=(settings, seeds))).float(),))
    both = with_plain_results(answer)

    def called(scores: Tensor) -> Any:
        result = both(scores)
        return tuple(result.tolist()) if isinstance(result, np.ndarray) and result.ndim == 1 else result

    meaning = "the share between settings and the share within, two numbers"
    examine_formula(Answer(called, answer.name), cases, right_shares, SHARE_MISTAKES, meaning)
