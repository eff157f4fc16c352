"""Sheet 05: rulers for samples, draws from an autoencoder, and a loss that only looks like a VAE's."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vae_course.checks.answer import Answer, Finding
from vae_course.checks.check import check
from vae_course.checks.formula import Mistake, agree, examine_formula, named, not_finite, require_stable

Array = NDArray[Any]


def with_numpy_numbers(answer: Answer) -> Answer:
    """The same answer; a number that it returns as a tensor comes back as NumPy's."""

    def called(*case: Any) -> Any:
        result = answer(*case)
        if not isinstance(result, Tensor):
            return result
        numbers = result.detach().cpu().numpy()
        return numbers.reshape(()) if numbers.size == 1 else numbers  # (1,) is a number, too

    return Answer(called, answer.name)


# ---- what a prediction tells --------------------------------------------------------------------------


def entropies(p: Tensor) -> Tensor:
    """(..., K) -> (...), in nats."""
    return torch.special.entr(p.double()).sum(dim=-1)


def information(p: Tensor) -> float:
    return float(entropies(p.mean(dim=0)) - entropies(p).mean())


def told_by_each(p: Tensor) -> Array:
    """KL(row || mean row), (N,)."""
    mean = p.double().mean(dim=0)
    return np.asarray((torch.special.xlogy(p, p) - torch.special.xlogy(p, mean)).sum(dim=1))


def from_mean_to_each(p: Tensor) -> float:
    mean = p.double().mean(dim=0)
    return float((torch.special.xlogy(mean, mean) - torch.special.xlogy(mean, p.double())).sum(dim=1).mean())


INFORMATION_MISTAKES = (
    Mistake(
        "entropy of the mean alone",
        "This is the class entropy. Subtract what the judge is undecided about each picture, on average.",
        lambda p: float(entropies(p.mean(dim=0))),
    ),
    Mistake(
        "mean of the entropies alone",
        "This is how undecided the judge is, on average. Subtract it from the entropy of the mean prediction.",
        lambda p: float(entropies(p).mean()),
    ),
    Mistake(
        "sign flipped",
        "The result is never positive. The mean of predictions is at least as uncertain as they are on average.",
        lambda p: -information(p),
    ),
    Mistake("added", "The two entropies are added. The second is subtracted.", lambda p: added(p)),
    Mistake(
        "the score itself",
        "This is the Inception score, an exponential. Its logarithm is wanted, in nats.",
        lambda p: math.exp(information(p)),
    ),
    Mistake(
        "bits instead of nats",
        "This is in bits. Nats come from the natural logarithm.",
        lambda p: information(p) / math.log(2),
    ),
    Mistake(
        "summed over pictures",
        "The entropies of all pictures are added up. Average them: the result must not grow with the crowd.",
        lambda p: float(entropies(p.mean(dim=0)) - entropies(p).sum()),
    ),
    Mistake(
        "summed over pictures",
        "What the pictures tell is added up. Average it: the result must not grow with the crowd.",
        lambda p: len(p) * information(p),
    ),
    Mistake(
        "one number for each picture",
        "This is what each picture's prediction tells by itself. Average it over the crowd.",
        told_by_each,
    ),
    Mistake(
        "averaged over classes",
        "An entropy is a sum over the classes; here it was divided by their number.",
        lambda p: information(p) / p.shape[1],
    ),
    Mistake(
        "mean over the wrong axis",
        "The mean prediction keeps the K classes and averages the N pictures, which lie along dim 0.",
        lambda p: float(entropies(p.mean(dim=1)) - entropies(p).mean()),
    ),
    Mistake(
        "predictions not averaged",
        "The first entropy is that of a sum of predictions, which does not add up to 1. Take their mean.",
        lambda p: float(entropies(p.sum(dim=0)) - entropies(p).mean()),
    ),
    Mistake(
        "all classes taken as equally frequent",
        "log K is the entropy of the mean prediction only if all classes are equally frequent. Take the mean's own.",
        lambda p: float(math.log(p.shape[1]) - entropies(p).mean()),
    ),
    Mistake(
        "KL the wrong way round",
        "This is the KL from the mean prediction to each picture's. It should lead from each picture's to the mean.",
        from_mean_to_each,
    ),
    Mistake(
        "softmax applied again",
        "The rows are probabilities already. Another softmax makes all of them nearly alike.",
        lambda p: information(p.softmax(dim=1)),
    ),
)

ZERO_MISTAKES = (
    Mistake(
        "0 · log 0",
        "Right, but not finite where a probability is exactly 0. As p falls to 0, so does p log p: use that limit.",
        when=not_finite,
    ),
)


def added(p: Tensor) -> float:
    return float(entropies(p.mean(dim=0)) + entropies(p).mean())


@check("05/log_inception_score", "How much a prediction tells")
def log_inception_score(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    preference = torch.tensor([1.2, 0.0, -0.8, 0.4, -1.5])  # some classes are more frequent than others
    answer = with_numpy_numbers(answer)
    cases = [
        ((1.5 * torch.randn(N, K, generator=g) + preference[:K]).softmax(dim=1),) for N, K in ((6, 4), (3, 5), (8, 3))
    ]
    meaning = "the score of the whole crowd, in nats"
    examine_formula(answer, cases, information, INFORMATION_MISTAKES, meaning)
    cases.append((torch.tensor([[1.0, 0.0, 0.0], [0.25, 0.75, 0.0]]),))  # nowhere a third class
    examine_formula(answer, cases, information, ZERO_MISTAKES, meaning)


# ---- the Fréchet distance of two diagonal Gaussians ---------------------------------------------------

Gaussians = tuple[Tensor, Tensor, Tensor, Tensor]  # mean_a, var_a, mean_b, var_b, (F,) each


def means_apart(mean_a: Tensor, var_a: Tensor, mean_b: Tensor, var_b: Tensor) -> Tensor:
    return (mean_a - mean_b).square()


def spreads_apart(mean_a: Tensor, var_a: Tensor, mean_b: Tensor, var_b: Tensor) -> Tensor:
    return (var_a.sqrt() - var_b.sqrt()).square()


def frechet(*inputs: Tensor) -> float:
    return float((means_apart(*inputs) + spreads_apart(*inputs)).sum())


def with_spreads(name: str, hint: str, spreads: Callable[[Tensor, Tensor], Tensor]) -> Mistake:
    """The means' part right, and something else for that of the variances."""
    return Mistake(
        name,
        hint,
        lambda mean_a, var_a, mean_b, var_b: float((mean_a - mean_b).square().sum() + spreads(var_a, var_b).sum()),
    )


def kl(mean_a: Tensor, var_a: Tensor, mean_b: Tensor, var_b: Tensor) -> float:
    return float(0.5 * ((mean_a - mean_b).square() / var_b + var_a / var_b - 1 - (var_a / var_b).log()).sum())


FRECHET_MISTAKES = (
    with_spreads(
        "variances subtracted",
        "The variances themselves are compared. In this distance stand standard deviations.",
        lambda a, b: (a - b).square(),
    ),
    with_spreads(
        "variances subtracted",
        "The difference of the variances is not (σ_a − σ_b)²: take the roots first, then subtract.",
        lambda a, b: (a - b).abs(),
    ),
    with_spreads(
        "variances subtracted",
        "The difference of the variances may be negative. Take their roots, subtract, then square.",
        lambda a, b: a - b,
    ),
    with_spreads(
        "root of the product forgotten",
        "In the trace, the product of the two variances stands under a square root.",
        lambda a, b: a + b - 2 * a * b,
    ),
    with_spreads(
        "factor 2 forgotten",
        "The means are right. (σ_a − σ_b)² has the middle term 2 σ_a σ_b.",
        lambda a, b: a + b - (a * b).sqrt(),
    ),
    with_spreads(
        "standard deviations added",
        "The spreads are added. Two equal Gaussians have distance 0.",
        lambda a, b: (a.sqrt() + b.sqrt()).square(),
    ),
    with_spreads(
        "variances added",
        "The variances are added, and the term that brings equal Gaussians to distance 0 is missing.",
        lambda a, b: a + b,
    ),
    with_spreads(
        "spreads not squared",
        "The means are right. The difference of the standard deviations is squared as well.",
        lambda a, b: (a.sqrt() - b.sqrt()).abs(),
    ),
    with_spreads(
        "spreads not squared",
        "The means are right. The difference of the standard deviations is squared before the sum, as theirs is.",
        lambda a, b: a.sqrt() - b.sqrt(),
    ),
    with_spreads(
        "spreads subtracted from the distance",
        "The spreads' part is subtracted. Both parts add to the distance.",
        lambda a, b: -(a.sqrt() - b.sqrt()).square(),
    ),
    Mistake(
        "spreads left out",
        "Only the means are compared. A crowd of mean images would pass: the spreads count as well.",
        lambda *inputs: float(means_apart(*inputs).sum()),
    ),
    Mistake(
        "means left out",
        "Only the spreads are compared. The squared distance of the means is missing.",
        lambda *inputs: float(spreads_apart(*inputs).sum()),
    ),
    Mistake(
        "the root taken",
        "This is the distance itself. The squared one is wanted, as in the lesson.",
        lambda *inputs: math.sqrt(frechet(*inputs)),
    ),
    Mistake(
        "means' distance not squared",
        "The spreads are right. The distance of the means is squared as well.",
        lambda *inputs: float(means_apart(*inputs).sum().sqrt() + spreads_apart(*inputs).sum()),
    ),
    Mistake(
        "means' distance not squared",
        "The spreads are right. The differences of the means are squared as well.",
        lambda *inputs: float((means_apart(*inputs).sqrt() + spreads_apart(*inputs)).sum()),
    ),
    Mistake(
        "means summed before the square",
        "The spreads are right. Square each feature's difference of means, then sum: +1 and −1 do not cancel.",
        lambda *inputs: float((inputs[0] - inputs[2]).sum().square() + spreads_apart(*inputs).sum()),
    ),
    Mistake(
        "spreads summed before the square",
        "The means are right. Square each feature's difference of σ, then sum: narrower and wider do not cancel.",
        lambda *inputs: float(means_apart(*inputs).sum() + (inputs[1].sqrt() - inputs[3].sqrt()).sum().square()),
    ),
    Mistake(
        "averaged over features",
        "The features' parts add up; this is their average.",
        lambda *inputs: frechet(*inputs) / len(inputs[0]),
    ),
    Mistake(
        "one number for each feature",
        "These are the features' parts. Add them up.",
        lambda *inputs: (means_apart(*inputs) + spreads_apart(*inputs)).numpy(),
    ),
    Mistake("the KL instead", "This is the KL from a to b. The Fréchet distance divides by no variance.", kl),
    Mistake(
        "the KL instead",
        "This is the KL from b to a. The Fréchet distance divides by no variance.",
        lambda mean_a, var_a, mean_b, var_b: kl(mean_b, var_b, mean_a, var_a),
    ),
)


@check("05/frechet_diagonal", "A Fréchet distance without matrices")
def frechet_diagonal(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    cases = []
    for width in (3, 6, 4):
        mean_a, shift = torch.randn(2, width, generator=g)
        signs = (-1.0) ** torch.arange(width)
        var_a = 0.3 + 2 * torch.rand(width, generator=g)
        ratio = torch.exp(signs * (0.4 + torch.rand(width, generator=g)))  # some wider, some narrower
        cases.append((mean_a, var_a, mean_a + signs * (0.5 + shift.abs()), var_a * ratio))
    examine_formula(with_numpy_numbers(answer), cases, frechet, FRECHET_MISTAKES, "one for all features together")


# ---- draws of one class from an autoencoder -----------------------------------------------------------

ALLOWED = 0.01  # N or N − 1, and a small number on the diagonal, are all right


class Spread(NamedTuple):
    """Where draws lie: their centre at eps = 0, and the covariance that their linear map gives to N(0, I)."""

    mean: Array  # (D,)
    cov: Array  # (D, D)


@check("05/codes_of_class", "Draws of one class")
def codes_of_class(answer: Answer, seed: int) -> None:
    """Every root of the covariance is right, so the map from eps to draws is judged by its centre and A Aᵀ."""
    g = torch.Generator().manual_seed(seed)
    found = []
    for D, digit in ((3, 1), (2, 2), (4, 0)):
        codes, labels = labelled_codes(D, g)
        eps = torch.cat([torch.zeros(1, D), torch.eye(D), torch.randn(5, D, generator=g)])
        drawn = draws(answer, codes, labels, digit, eps)
        if not np.allclose(drawn, draws(answer, codes, labels, digit, eps)):
            hint = "Called twice with the same `eps` it gives two different results: use this noise, draw none."
            raise Finding("mistake", hint, "draws its own noise")
        found.append((codes.double().numpy(), labels.numpy(), digit, eps.double().numpy(), drawn))
    judged = [judged_draws(*case) for case in found]
    for outcome in judged:
        if outcome is not None:
            raise outcome


def labelled_codes(D: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Three classes, each with its own centre, widths and correlations. -> (1500, D), (1500,)."""
    labels = torch.arange(1500)[torch.randperm(1500, generator=g)] % 3
    codes = torch.empty(1500, D)
    for c in range(3):
        signs = torch.randint(0, 2, (D, D), generator=g) * 2.0 - 1
        factor = (signs * (0.5 + 0.5 * torch.rand(D, D, generator=g))).tril()
        factor = factor * torch.linspace(0.7, 1.9 + 0.4 * c, D)[:, None]  # (D, D)
        centre = torch.roll(torch.tensor([2.5, -1.5, 4.0, -3.0]), c)[:D] + torch.rand(D, generator=g)
        codes[labels == c] = centre + torch.randn(500, D, generator=g) @ factor.T
    return codes, labels


def draws(answer: Answer, codes: Tensor, labels: Tensor, digit: int, eps: Tensor) -> Array:
    z = answer(codes, labels, digit, eps)
    if not isinstance(z, Tensor):
        raise Finding("wrong type or shape", f"It should return a tensor of draws, (M, D); got {named(z)}.")
    if z.shape != eps.shape:
        hint = f"It should return shape {tuple(eps.shape)}, one draw for each row of eps; got {tuple(z.shape)}."
        raise Finding("wrong type or shape", hint)
    if not z.isfinite().all():
        raise Finding("wrong", "Some of the draws are infinite or not a number, though codes and eps are harmless.")
    return np.asarray(z.detach().cpu().double().numpy())


def close(one: Array, other: Array) -> bool:
    """Within one per cent of the second's size."""
    return bool(np.abs(one - other).max() <= ALLOWED * np.abs(other).max())


def spread_of(codes: Array) -> Spread:
    return Spread(codes.mean(axis=0), np.cov(codes, rowvar=False))


ABOUT_MEANS = {
    "mean left out": "At eps = 0 the draws lie at 0. They lie around the mean of the class's codes.",
    "mean of all classes": "The draws lie around the mean of all codes. Take the mean of the class's own.",
    "sign of the mean": "The draws lie around minus the class's mean.",
}
ABOUT_SPREADS = {
    "eps without effect": "All draws are alike: eps does not enter.",
    "spread of all classes": (
        "The covariance is that of all codes, between the classes as well. Take that of the class's own."
    ),
    "diagonal alone": "Each latent has its right width, but they are drawn independently: keep the correlations.",
    "diagonal variances as widths": (
        "The latents are drawn independently, and each noise is multiplied by a variance. Take a root of the whole "
        "covariance."
    ),
    "covariance in place of its root": (
        "eps is multiplied by the covariance itself, so the draws have its square. Take a root of it first."
    ),
    "root transposed": (
        "The draws are as wide as the codes, but in other directions. The rows of eps are vectors: is the root "
        "transposed, or multiplied from the wrong side?"
    ),
    "covariance left out": "The draws have width 1 in all directions: give eps the covariance of the class's codes.",
    "one width for all": "All directions have the same width. The codes' covariance has its own for each.",
    "not divided by N": "The draws are √N times as wide as the codes: an average over N codes is missing.",
    "divided by N twice": "The draws are √N times narrower than the codes: an average was taken twice.",
    "not centred": "The spread is measured from 0. Subtract the mean from the codes before you multiply them.",
    "inverse of the covariance": "The draws are narrow where the codes are wide: is the covariance inverted?",
    "correlations in place of covariances": "The correlations are right, but every latent has width 1.",
}


def judged_draws(codes: Array, labels: Array, digit: int, eps: Array, drawn: Array) -> Finding | None:
    """None where the draws are right."""
    D = codes.shape[1]
    shift, rows = drawn[0], drawn[1 : D + 1] - drawn[0]  # z = shift + eps @ rows
    if not np.allclose(drawn, shift + eps @ rows, rtol=1e-3, atol=1e-3):
        return Finding("wrong", "The draws are no linear map of eps with a shift: mean + root of the covariance · eps.")
    got, own, all_codes = Spread(shift, rows.T @ rows), spread_of(codes[labels == digit]), spread_of(codes)
    in_place = close(got.mean, own.mean)
    if in_place and close(got.cov, own.cov):
        return None
    if close(got.mean, all_codes.mean) and close(got.cov, all_codes.cov):
        hint = "These are draws of all classes together. Fit the Gaussian to the codes whose label is the digit."
        return Finding("mistake", hint, "labels ignored")
    others = [codes[labels == label] for label in np.unique(labels) if label != digit]
    if any(close(got.mean, other.mean(axis=0)) for other in others):
        hint = "The draws lie around the codes of another class. Which label is asked for, says `digit`."
        return Finding("mistake", hint, "another class")
    if np.allclose(drawn, eps, atol=1e-3):
        hint = "The result is eps itself, a draw from N(0, I), of which an autoencoder's codes know nothing."
        return Finding("mistake", hint, "draws from N(0, I)")
    name = "" if in_place else mean_mistake(got.mean, own, all_codes)
    if name:
        return Finding("mistake", ABOUT_MEANS[name], name)
    name = spread_mistake(got.cov, codes[labels == digit], own, all_codes)
    if name:
        return Finding("mistake", ABOUT_SPREADS[name], name)
    part = "spread" if in_place else "mean"
    return Finding("wrong", f"The {part} of the draws is not that of the class's codes.")


def mean_mistake(mean: Array, own: Spread, all_codes: Spread) -> str:
    """Its name; "" if it is none of these."""
    if np.abs(mean).max() < ALLOWED:
        return "mean left out"
    if close(mean, all_codes.mean):
        return "mean of all classes"
    return "sign of the mean" if close(mean, -own.mean) else ""


def spread_mistake(cov: Array, codes: Array, own: Spread, all_codes: Spread) -> str:
    """The mistake that gives draws this covariance; "" if it is none of these, or the covariance is right."""
    if close(cov, own.cov):
        return ""
    S, N = own.cov, len(codes)
    widths = np.sqrt(np.diag(S))
    known = {
        "spread of all classes": all_codes.cov,
        "covariance left out": np.eye(len(S)),
        "diagonal alone": np.diag(np.diag(S)),
        "diagonal variances as widths": np.diag(np.diag(S) ** 2),
        "covariance in place of its root": S @ S,
        "not divided by N": N * S,
        "divided by N twice": S / N,
        "not centred": codes.T @ codes / N,
        "inverse of the covariance": np.linalg.inv(S),
        "correlations in place of covariances": S / widths / widths[:, None],
    }
    if np.abs(cov).max() < 1e-6:
        return "eps without effect"
    found = [name for name, its_cov in known.items() if close(cov, its_cov)]
    if found:
        return found[0]
    if close(np.linalg.eigvalsh(cov), np.linalg.eigvalsh(S)):
        return "root transposed"
    return "one width for all" if close(cov, cov[0, 0] * np.eye(len(S))) else ""


# ---- how much of the way is done ----------------------------------------------------------------------


def steps_of(path: Tensor, distance: Callable[[Tensor], Tensor] = lambda flat: flat.norm(dim=1)) -> Tensor:
    """(T, C, H, W) -> (T - 1,)."""
    return distance((path[1:] - path[:-1]).double().flatten(1))


def shares(steps: Tensor) -> Tensor:
    """(T - 1,) -> (T,), from 0 to 1."""
    return F.pad(steps.cumsum(dim=0), (1, 0)) / steps.sum()


def way(path: Tensor) -> Tensor:
    return shares(steps_of(path))


def from_start(path: Tensor) -> Tensor:
    return (path - path[:1]).double().flatten(1).norm(dim=1)


def around(path: Tensor) -> Tensor:
    """Steps as `roll` gives them: the first leads from the last picture to the first."""
    return (path - path.roll(1, dims=0)).double().flatten(1).norm(dim=1)


def steps_by_share(name: str, hint: str, distance: Callable[[Tensor], Tensor]) -> Mistake:
    return Mistake(name, hint, lambda path: shares(steps_of(path, distance)))


WAY_MISTAKES = (
    steps_by_share(
        "squared distances",
        "The squares of the steps are added. Lengths add up along a way, their squares do not: take the root of each.",
        lambda flat: flat.square().sum(dim=1),
    ),
    steps_by_share(
        "absolute differences",
        "The absolute differences are added. A Euclidean distance squares them, sums over pixels, and takes the root.",
        lambda flat: flat.abs().sum(dim=1),
    ),
    Mistake(
        "channels apart",
        "The norm is taken in each channel by itself. One distance runs over channels, rows and columns together.",
        lambda path: shares((path[1:] - path[:-1]).double().norm(dim=(2, 3)).sum(dim=1)),
    ),
    Mistake(
        "root of all squares so far",
        "The squares of all steps are added before the root is taken. Take the root of each step, then add.",
        lambda path: shares(steps_of(path).square()).sqrt(),
    ),
    Mistake(
        "first picture left out",
        "T − 1 numbers came back for T pictures. The first picture has one too: at the start 0 of the way is done.",
        lambda path: way(path)[1:],
    ),
    Mistake(
        "last picture left out",
        "T − 1 numbers came back for T pictures: that of the last one, 1, is missing.",
        lambda path: way(path)[:-1],
    ),
    Mistake(
        "not divided by the whole way",
        "These are distances along the way. Divide by the whole, so that the last one is 1.",
        lambda path: F.pad(steps_of(path).cumsum(dim=0), (1, 0)),
    ),
    Mistake(
        "neither divided nor started at 0",
        "These are the distances along the way, without the first picture's 0 and not divided by the whole.",
        lambda path: steps_of(path).cumsum(dim=0),
    ),
    *(
        Mistake(
            "steps not added up",
            "This is each step's share. How much is done at a picture is the sum of all steps before it.",
            wrong,
        )
        for wrong in (
            lambda path: steps_of(path) / steps_of(path).sum(),
            lambda path: F.pad(steps_of(path), (1, 0)) / steps_of(path).sum(),
        )
    ),
    Mistake(
        "steps not added up",
        "These are the single steps. Add them up along the way, and divide by the whole.",
        steps_of,
    ),
    *(
        Mistake(
            "straight from the first picture",
            "This is the straight distance from the first picture. A way that turns round is longer: add up its steps.",
            wrong,
        )
        for wrong in (
            lambda path: from_start(path) / from_start(path)[-1],
            lambda path: from_start(path) / from_start(path).max(),
            lambda path: from_start(path) / steps_of(path).sum(),
            from_start,
        )
    ),
    Mistake(
        "divided by the straight line",
        "The steps are divided by the distance of the two ends. The whole way is the sum of its steps.",
        lambda path: F.pad(steps_of(path).cumsum(dim=0), (1, 0)) / from_start(path)[-1],
    ),
    Mistake(
        "divided by the number of steps",
        "The sums are divided by a number of steps. Divide by the whole way.",
        lambda path: F.pad(steps_of(path).cumsum(dim=0), (1, 0)) / (len(path) - 1),
    ),
    Mistake(
        "divided by the longest step",
        "The sums are divided by the longest step. Divide by the whole way.",
        lambda path: F.pad(steps_of(path).cumsum(dim=0), (1, 0)) / steps_of(path).max(),
    ),
    Mistake(
        "equal shares",
        "Every picture is given the same share, whatever it shows. Measure the steps between pictures.",
        lambda path: torch.linspace(0, 1, len(path), dtype=torch.float64),
    ),
    Mistake(
        "what is left",
        "The numbers fall from 1 to 0: this is the share that is still to come.",
        lambda path: 1 - way(path),
    ),
    Mistake(
        "the last picture joined to the first",
        "A step from the last picture to the first was counted. The way has two ends, and T − 1 steps.",
        lambda path: around(path).cumsum(dim=0) / around(path).sum(),
    ),
    Mistake(
        "per cent",
        "These are per cent. Shares run from 0 to 1.",
        lambda path: 100 * way(path),
    ),
)


@check("05/way_done", "How much of the way is done")
def way_done(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    cases = []
    for T, C, H, W in ((5, 2, 4, 3), (4, 3, 2, 5), (7, 1, 3, 4)):
        pace = (0.3 + torch.rand(T, 1, 1, 1, generator=g)) * (1 + torch.arange(T) % 3).view(-1, 1, 1, 1)
        change = pace * torch.randn(T, C, H, W, generator=g)
        sparse = torch.rand(T, C, H, W, generator=g) < torch.linspace(1, 0.4, T).view(-1, 1, 1, 1)
        sparse[..., 0, 0] = True  # each step changes something
        cases.append(((0.1 * change * sparse).cumsum(dim=0) + 0.5,))
    meaning = "the share of the way that is done at each picture, (T,)"
    examine_formula(answer, cases, way, WAY_MISTAKES, meaning)
    path = cases[0][0]
    waits = torch.cat([path[:2], path[1:2], path[2:]])  # a picture is shown twice
    examine_formula(answer, [(waits,)], way, (), meaning)


# ---- the distance to the nearest image ----------------------------------------------------------------


def differences(images: Tensor, reference: Tensor) -> Tensor:
    """(N, C, H, W), (M, C, H, W) -> (N, M, P)."""
    return (images[:, None] - reference[None]).double().flatten(2)


def all_distances(images: Tensor, reference: Tensor) -> Tensor:
    return differences(images, reference).norm(dim=2)  # (N, M)


def nearest(images: Tensor, reference: Tensor) -> Tensor:
    return all_distances(images, reference).amin(dim=1)


def pixels(images: Tensor) -> int:
    return math.prod(images.shape[1:])


NEAREST_MISTAKES = (
    Mistake(
        "squared distances",
        "These are squared distances. Take the root.",
        lambda images, reference: nearest(images, reference).square(),
    ),
    Mistake(
        "mean over pixels",
        "This is the mean squared error to the nearest image. A Euclidean distance sums over pixels, and has a root.",
        lambda images, reference: nearest(images, reference).square() / pixels(images),
    ),
    Mistake(
        "mean over pixels",
        "The squared differences are averaged over the pixels before the root. A Euclidean distance sums them.",
        lambda images, reference: nearest(images, reference) / pixels(images) ** 0.5,
    ),
    Mistake(
        "which one, not how far",
        "These are the numbers of the nearest images (`argmin`). Their distances are wanted.",
        lambda images, reference: all_distances(images, reference).argmin(dim=1),
    ),
    Mistake(
        "minimum over the wrong axis",
        "The shape is (M,): the nearest image for each reference. The minimum runs over the reference images.",
        lambda images, reference: all_distances(images, reference).amin(dim=0),
    ),
    Mistake(
        "one minimum for all",
        "This is the smallest distance of all. Each image has its own nearest reference image.",
        lambda images, reference: all_distances(images, reference).amin(),
    ),
    Mistake(
        "every pixel finds its own nearest",
        "The minimum was taken for each pixel by itself. First a distance for each pair of images, then the minimum.",
        lambda images, reference: differences(images, reference).abs().amin(dim=1).norm(dim=1),
    ),
    Mistake(
        "absolute differences",
        "The absolute differences are added up. A Euclidean distance squares them, and takes a root of the sum.",
        lambda images, reference: differences(images, reference).abs().sum(dim=2).amin(dim=1),
    ),
    Mistake(
        "channels apart",
        "The norm is taken in each channel by itself. One distance runs over channels, rows and columns together.",
        lambda images, reference: (images[:, None] - reference[None]).double().norm(dim=(3, 4)).sum(dim=2).amin(dim=1),
    ),
    Mistake(
        "the largest difference of a pixel",
        "The distance of two images is taken as their largest difference in a pixel. Sum the squares over all pixels.",
        lambda images, reference: differences(images, reference).abs().amax(dim=2).amin(dim=1),
    ),
    Mistake(
        "the farthest",
        "This is the distance to the farthest reference image.",
        lambda images, reference: all_distances(images, reference).amax(dim=1),
    ),
    Mistake(
        "averaged over the reference",
        "This is the mean distance to all reference images. A copy would not stand out: take the smallest.",
        lambda images, reference: all_distances(images, reference).mean(dim=1),
    ),
    Mistake(
        "distance to the mean image",
        "This is the distance to the mean of the reference images, which is none of them.",
        lambda images, reference: all_distances(images, reference.mean(dim=0, keepdim=True)).squeeze(1),
    ),
    Mistake(
        "the first reference image alone",
        "Each image is compared with the first reference image only.",
        lambda images, reference: all_distances(images, reference)[:, 0],
    ),
    Mistake(
        "the last reference image alone",
        "Each image is compared with the last reference image only. Is something overwritten in a loop?",
        lambda images, reference: all_distances(images, reference)[:, -1],
    ),
    Mistake(
        "not reduced",
        "These are the distances of all pairs, (N, M). Keep the smallest for each image.",
        all_distances,
    ),
    Mistake(
        "averaged over the images",
        "One number for each image: the average over them is the caller's.",
        lambda images, reference: nearest(images, reference).mean(),
    ),
)


@check("05/nearest_distance", "The nearest image")
def nearest_distance(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    cases = []
    for N, M, *shape in ((4, 7, 2, 3, 5), (6, 3, 1, 4, 3), (2, 5, 3, 2, 4)):
        reference = torch.rand(M, *shape, generator=g)
        owner = torch.randperm(M, generator=g).repeat(2)[:N]  # no two images have the same neighbour, where possible
        own = torch.linspace(0.3, 0.7, N).view(-1, 1, 1, 1)  # and none lies as near as the others
        cases.append((reference[owner] + own * (torch.rand(N, *shape, generator=g) - reference[owner]), reference))
    examine_formula(answer, cases, nearest, NEAREST_MISTAKES, "one distance for each image, (N,)")
    gallery = torch.rand(30, 2, 6, 4, generator=g)  # so many that rounding takes one of them below zero
    copied = answer(gallery, gallery)
    if not copied.isfinite().all():
        hint = "Right, but NaN for a copy: rounding left a negative number under the root. Subtract before you square."
        raise Finding("mistake", hint, "NaN for a copy")
    if copied.abs().max() > 0.02:  # |x|² + |r|² − 2x·r is rounded, and the root makes 1e-3 of 1e-6
        hint = f"A copy of a reference image has distance 0; here {copied.abs().max().item():.2g} came back."
        raise Finding("wrong", hint)


# ---- spot the bug: an autoencoder that pays a KL ------------------------------------------------------

Encoder = Callable[[Tensor], tuple[Tensor, Tensor]]
Decoder = Callable[[Tensor], Tensor]
Sample = Callable[[Tensor, Tensor, Tensor], Tensor]  # mu, logvar, eps -> z


def one_sample(mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return torch.addcmul(mu, torch.exp(logvar / 2), eps)


def rec_of_pixels(logits: Tensor, x: Tensor) -> Tensor:
    return F.softplus(logits) - x * logits


def rec_at(
    sample: Sample = one_sample, pixel: Callable[[Tensor, Tensor], Tensor] = rec_of_pixels
) -> Callable[..., Tensor]:
    def rec(encode: Encoder, decode: Decoder, x: Tensor, eps: Tensor) -> Tensor:
        return pixel(decode(sample(*encode(x), eps)), x).flatten(1).sum(dim=1)

    return rec


def kl_by(each: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """each: mu, logvar, eps -> (B, D)."""

    def divergence(encode: Encoder, decode: Decoder, x: Tensor, eps: Tensor) -> Tensor:
        return each(*encode(x), eps).sum(dim=1)

    return divergence


def kl_of_latents(mu: Tensor, logvar: Tensor, eps: Tensor | None = None) -> Tensor:
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar)


def sampled_kl(mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    """log q(z|x) - log p(z) of each latent, at the sample."""
    return 0.5 * (one_sample(mu, logvar, eps).square() - eps.square() - logvar)


right_rec, right_kl = rec_at(), kl_by(kl_of_latents)


def right_terms(*inputs: Any) -> tuple[Tensor, Tensor]:
    return right_rec(*inputs), right_kl(*inputs)


REC_MISTAKES = (
    (
        "the fault is still there",
        "rec does not depend on eps: the decoder is given μ, as in an autoencoder. It has to see a sample of q(z|x).",
        rec_at(lambda mu, logvar, eps: mu),
    ),
    (
        "σ² taken for σ",
        "The noise is multiplied by exp(logvar), the variance. Its scale is σ, the root of that.",
        rec_at(lambda mu, logvar, eps: mu + logvar.exp() * eps),
    ),
    (
        "σ left out",
        "The noise has width 1, whatever the encoder says: multiply it by σ.",
        rec_at(lambda mu, logvar, eps: mu + eps),
    ),
    (
        "logvar itself as the scale",
        "The noise is multiplied by `logvar`, a logarithm, which may be negative. Its scale is σ.",
        rec_at(lambda mu, logvar, eps: mu + logvar * eps),
    ),
    (
        "ε left out",
        "The decoder is given μ + σ. The noise ε that multiplies σ is missing.",
        rec_at(lambda mu, logvar, eps: mu + (logvar / 2).exp()),
    ),
    (
        "noise subtracted",
        "The decoder is given μ − σε: as good a sample, but that of −ε. Add the noise, as in the lesson.",
        rec_at(lambda mu, logvar, eps: one_sample(mu, logvar, -eps)),
    ),
    (
        "one ε for all images",
        "All images get the noise of the first one. Each row of eps belongs to its own image.",
        rec_at(lambda mu, logvar, eps: one_sample(mu, logvar, eps[:1])),
    ),
    (
        "the prior is decoded",
        "The decoder is given eps itself, a draw from the prior that knows nothing of x. q(z|x) has μ and σ.",
        rec_at(lambda mu, logvar, eps: eps),
    ),
    (
        "μ left out",
        "The decoder is given σε. The samples of q(z|x) lie around μ.",
        rec_at(lambda mu, logvar, eps: (logvar / 2).exp() * eps),
    ),
    (
        "rec averaged over pixels",
        "rec is a sum over pixels; an average makes the KL weigh too much.",
        lambda *inputs: right_rec(*inputs) / pixels(inputs[2]),
    ),
    (
        "rec averaged over the batch",
        "One rec for each image: the average over the batch is the caller's.",
        lambda *inputs: right_rec(*inputs).mean(),
    ),
    (
        "rec summed over the batch",
        "One rec for each image: sum over C, H and W only.",
        lambda *inputs: right_rec(*inputs).sum(),
    ),
    (
        "the log-likelihood",
        "rec is minus the log-likelihood, and with pixels in [0, 1] it is never negative.",
        lambda *inputs: -right_rec(*inputs),
    ),
    (
        "the loss in place of rec",
        "The first result is rec + kl. Return the two terms apart.",
        lambda *inputs: right_rec(*inputs) + right_kl(*inputs),
    ),
    (
        "sigmoid applied twice",
        "`decode` returns logits, and the cross-entropy with logits applies the sigmoid itself: apply none before.",
        rec_at(pixel=lambda logits, x: rec_of_pixels(logits.sigmoid(), x)),
    ),
    (
        "squared error",
        "The likelihood is Bernoulli: rec is the cross-entropy of x and sigmoid(logits), summed over pixels.",
        rec_at(pixel=lambda logits, x: (logits.sigmoid() - x).square()),
    ),
)

KL_MISTAKES = (
    (
        "the sample in the KL",
        "In the KL's closed form stands μ, not the sample z.",
        kl_by(lambda mu, logvar, eps: kl_of_latents(one_sample(mu, logvar, eps), logvar)),
    ),
    (
        "sampled KL",
        "log q − log p at the sample is right on average, but noisier. The closed form was right: keep it.",
        kl_by(sampled_kl),
    ),
    (
        "KL left out",
        "The KL is 0 everywhere. The fault was in the other term; the closed form was right.",
        lambda *inputs: torch.zeros(len(inputs[2])),
    ),
    ("KL with its sign flipped", "A KL is never negative.", lambda *inputs: -right_kl(*inputs)),
    (
        "KL averaged over latents",
        "Independent latents add up: the KL is a sum over dim 1.",
        lambda *inputs: right_kl(*inputs) / inputs[3].shape[1],
    ),
    (
        "KL not summed over latents",
        "An image's KL is the sum over its latents: one number for each image.",
        lambda *inputs: kl_of_latents(*inputs[0](inputs[2])),
    ),
    (
        "KL averaged over the batch",
        "One KL for each image: the average over the batch is the caller's.",
        lambda *inputs: right_kl(*inputs).mean(),
    ),
    (
        "KL summed over the batch",
        "One KL for each image: sum over the latents only.",
        lambda *inputs: right_kl(*inputs).sum(),
    ),
    ("factor ½ missing in the KL", "Every term of the KL carries ½.", lambda *inputs: 2 * right_kl(*inputs)),
    (
        "log σ in the KL",
        "The KL reads `logvar` as log σ. It is log σ², so σ² is its exponential.",
        kl_by(lambda mu, logvar, eps: kl_of_latents(mu, 2 * logvar)),
    ),
)


def about_parts(cases: Sequence[tuple[Any, ...]]) -> list[Mistake]:
    """Mistakes in one of the two terms are recognised whatever the other is."""

    def recognised(part: int, wrong: Callable[..., Tensor]) -> Callable[[list[Any], list[Any]], bool]:
        return lambda got, want: all(agree(g[part], wrong(*case)) for g, case in zip(got, cases, strict=True))

    exchanged = Mistake("results exchanged", "Return rec first, then the KL.", lambda *case: right_terms(*case)[::-1])
    both = enumerate((REC_MISTAKES, KL_MISTAKES))
    return [exchanged] + [
        Mistake(name, hint, when=recognised(part, wrong)) for part, table in both for name, hint, wrong in table
    ]


@check("05/sampled_terms", "Spot the bug: a KL is not yet a VAE")
def sampled_terms(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    networks = [linear_network(D, shape, g) for D, shape in ((3, (1, 4, 5)), (5, (2, 3, 2)), (2, (3, 2, 4)))]
    cases = []
    for (encode, decode, weights), (B, shape) in zip(
        networks, ((4, (1, 4, 5)), (2, (2, 3, 2)), (3, (3, 2, 4))), strict=True
    ):
        eps = torch.randn(B, weights[0].shape[1], generator=g)
        cases.append((encode, decode, torch.rand(B, *shape, generator=g), eps))
    first, again = (answer(*cases[0]) for _ in range(2))
    if changes(first, again):
        hint = "Called twice with the same `eps` it gives two different results: use this noise, draw none."
        raise Finding("mistake", hint, "draws its own noise")
    examine_formula(answer, cases, right_terms, about_parts(cases), "rec and the KL, each (B,), in nats")
    encode, decode, x, eps = cases[0]
    require_stable(answer, (encode, lambda z: 30 * decode(z).tanh(), x, eps), right_terms)
    hint = "The numbers are right, but no gradient gets through {} to the encoder's {}: detach nothing."
    for term, part in zip(("rec", "the KL"), answer(*cases[0]), strict=True):
        for output, weight in zip(("mu", "logvar"), networks[0][2], strict=True):
            if not reaches(part, weight):
                raise Finding("mistake", hint.format(term, output), "gradient cut off")


def linear_network(
    D: int, shape: tuple[int, int, int], g: torch.Generator
) -> tuple[Encoder, Decoder, tuple[Tensor, Tensor]]:
    """encode and decode for any number of images, also for a single one; the weights of mu and logvar."""
    P = math.prod(shape)
    to_mu, to_logvar = (torch.randn(P, D, generator=g).requires_grad_() for _ in range(2))
    to_logits, offset = 0.4 * torch.randn(D, P, generator=g), torch.linspace(-1.2, 0.8, D)

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        flat = x.flatten(-3).to(to_mu.dtype) - 0.5
        return 1 + flat @ to_mu, offset + 0.3 * flat @ to_logvar

    def decode(z: Tensor) -> Tensor:
        return (z.to(to_logits.dtype) @ to_logits - 0.3).unflatten(-1, shape)

    return encode, decode, (to_mu, to_logvar)


def changes(first: Any, again: Any) -> bool:
    """Whether two results of one input differ in something that both have."""
    if not all(isinstance(result, (tuple, list)) for result in (first, again)):
        return False
    tensors = [(a, b) for a, b in zip(first, again, strict=False) if isinstance(a, Tensor) and isinstance(b, Tensor)]
    return any(a.shape != b.shape or not torch.allclose(a, b, equal_nan=True) for a, b in tensors)


def reaches(part: Tensor, weight: Tensor) -> bool:
    if not part.requires_grad:
        return False
    gradient = torch.autograd.grad(part.sum(), weight, allow_unused=True, retain_graph=True)[0]
    return gradient is not None and bool(gradient.any())
