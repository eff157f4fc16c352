"""Does a latent mean something? Three scores that compare codes with the factors behind the images.

Each asks another question and each can be fooled, so none is read alone. All take codes (N, D), the posterior means of
N images for instance, and factors (N, K), whole numbers from 0, drawn independently of each other; they compute in
float64 and draw random numbers from the generator or seed that they are given.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

LEAST_BINS = 20
REGRESSORS = ("trees", "lasso")


class FactorVAEScore(NamedTuple):
    """score: the share of votes that are right, from 0 to 1; chance: the same when votes and factors are unrelated."""

    score: float
    chance: float


class DCI(NamedTuple):
    """disentanglement: one factor a latent; completeness: one latent a factor; informativeness: R² on new images."""

    disentanglement: float
    completeness: float
    informativeness: float


def mutual_information(codes: Tensor, factors: Tensor, *, bins: int | None = None) -> Tensor:
    """I(z_j; v_k) between every latent and every factor. (N, D) and (N, K) -> (D, K), float64, in nats.

    Each latent is cut into `bins` bins of equal width between its smallest and its largest value; by default 20, or
    as many as the finest factor has levels if that is more. Fewer than that are refused with a ValueError: levels
    would share a bin, and a perfect code would score below 1. The estimate is biased upwards, for unrelated z and v by
    about (bins - 1)(levels - 1) / 2N nats.
    """
    z, v = _require_pairs(codes, factors)
    levels = int(v.max()) + 1
    if bins is None:
        bins = max(levels, LEAST_BINS)
    if bins < levels:
        raise ValueError(f"bins must be at least {levels}, the levels of the finest factor, got {bins}")
    rows = [[_information(binned, column, bins, levels) for column in v.T] for binned in _bins(z, bins).T]
    return torch.tensor(rows, dtype=torch.float64)


def mig(codes: Tensor, factors: Tensor, *, bins: int | None = None) -> float:
    """Mutual information gap: how far the best latent for a factor is ahead of the second best, averaged over factors.

    codes (N, D), factors (N, K) -> from 0 to 1, in units of each factor's entropy. Bins as in `mutual_information`.
    Scale is not seen: means show traces of an image also in a latent of nearly zero KL, where the samples of q(z|x)
    that Chen et al. take drown them in noise. Raises ValueError on fewer than two latents. Chen et al. 2018 (arXiv
    1802.04942), section 4.
    """
    if codes.ndim == 2 and codes.shape[1] < 2:
        raise ValueError("MIG compares the best latent with the second best, and there is only one: give two or more")
    information = mutual_information(codes, factors, bins=bins)  # (D, K)
    best, second = information.sort(dim=0, descending=True).values[:2]  # (K,) each
    return ((best - second) / _entropies(factors)).mean().item()


def factor_vae_score(
    codes: Tensor,
    factors: Tensor,
    *,
    votes: int = 800,
    group: int = 64,
    generator: torch.Generator | None = None,
) -> FactorVAEScore:
    """How well the latent that varies least tells which factor was held fixed; with the score of mere chance.

    A vote takes `group` images that share the level of one factor, and names the latent whose variance, divided by
    its variance over all images, is the smallest. From half of the votes each latent learns the factor it is named for
    most often; the score is the share of right answers in the other half. chance is the same after the fixed factors
    were shuffled among the votes. The groups are drawn from the N images, so every level of every factor needs at
    least `group` of them, else ValueError. A latent that never varies gets no vote; one that hardly
    varies does, because each is divided by its own variance: leave out latents of nearly zero KL beforehand, or say
    that they are in. Kim and Mnih 2018 (arXiv 1802.05983), section 4, who draw new images for every vote.
    """
    z, v = _require_pairs(codes, factors)
    if votes < 2 or group < 2:
        raise ValueError(f"votes and group must be at least 2, got {votes} and {group}")
    rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
    spread = z.var(axis=0)  # (D,)
    if not spread.any():
        raise ValueError("no latent varies: every code is the same, so nothing can be voted for")
    z = z[:, spread > 0] / np.sqrt(spread[spread > 0])
    rows = [[np.flatnonzero(column == level) for level in np.unique(column)] for column in v.T]
    if (fewest := min(len(r) for levels in rows for r in levels)) < group:
        raise ValueError(f"a level has {fewest} images and a group needs {group}: give more images, or a smaller group")
    fixed = rng.integers(len(rows), size=votes)  # (votes,): the factor that is held fixed
    named = np.empty(votes, dtype=int)  # (votes,): the latent that varies least
    for i, k in enumerate(fixed):
        images = rows[k][rng.integers(len(rows[k]))]
        named[i] = z[rng.choice(images, group, replace=False)].var(axis=0).argmin()
    return FactorVAEScore(_majority(named, fixed), _majority(named, rng.permutation(fixed)))


def dci(codes: Tensor, factors: Tensor, *, regressor: str = "trees", seed: int = 0) -> DCI:
    """Disentanglement, completeness and informativeness, from how a regressor predicts each factor from all latents.

    codes (N, D), factors (N, K) -> three numbers, at best 1. R[j, k], the regressor's weight of latent j for factor
    k, is read twice: along a row its entropy says how many factors a latent serves (latents are averaged by their
    total weight), along a column how many latents a factor needs. informativeness is R² on the second half of the
    images, which the regressor did not see, averaged over factors; below 0 it is worse than their mean. So the images
    must come in random order. A latent of nearly zero KL counts like any other: leave it out, or say that it is in.
    regressor is "trees", a forest of 20 and its impurity importances, or "lasso", linear, and its absolute weights:
    the scores depend on it. Raises ValueError on another name. Eastwood and Williams 2018 (ICLR), section 2.
    """
    z, v = _require_pairs(codes, factors)
    if regressor not in REGRESSORS:
        raise ValueError(f"regressor must be one of {REGRESSORS}, got {regressor!r}")
    z, v = _standardised(z), _standardised(v.astype(float))
    half = len(z) // 2
    models = [_fitted(regressor, z[:half], column[:half], seed) for column in v.T]
    weights = np.stack([_weights(model) for model in models], axis=1)  # (D, K)
    informativeness = np.mean([model.score(z[half:], column[half:]) for model, column in zip(models, v.T, strict=True)])
    disentanglement, completeness = disentanglement_and_completeness(torch.from_numpy(weights))
    return DCI(disentanglement, completeness, float(informativeness))


def disentanglement_and_completeness(weights: Tensor) -> tuple[float, float]:
    """The two entropies of DCI, from weights (D, K), none negative: latent j's importance for factor k.

    A latent that serves one factor alone counts 1, one that serves all alike 0; for completeness the same with
    latents and factors exchanged. Both are averages weighted by total importance, and 0 where nothing matters.
    Raises ValueError on fewer than two latents or factors. Eastwood and Williams 2018 (ICLR), section 2.
    """
    if weights.ndim != 2 or min(weights.shape) < 2:
        raise ValueError(f"weights must be (D, K) with two or more latents and factors, got {tuple(weights.shape)}")
    if not (weights >= 0).all():
        raise ValueError("weights must be numbers >= 0: take absolute values first")
    r = weights.double()
    return _purity(r), _purity(r.T)


def _purity(r: Tensor) -> float:
    """1 - the entropy of each row, in units of its largest possible value, averaged by the rows' sums."""
    r = r[r.sum(dim=1) > 0]
    total = r.sum(dim=1, keepdim=True)
    purity = 1 - torch.special.entr(r / total).sum(dim=1, keepdim=True) / math.log(r.shape[1])
    return (purity * total).sum().item() / total.sum().item() if len(r) else 0.0


def _fitted(regressor: str, z: np.ndarray, v: np.ndarray, seed: int) -> Any:
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import Lasso

    forest = RandomForestRegressor(n_estimators=20, min_samples_leaf=5, random_state=seed)
    return (forest if regressor == "trees" else Lasso(alpha=0.02)).fit(z, v)


def _weights(model: Any) -> np.ndarray:
    """(D,), none negative: impurities of latents that tell nothing come out as ±1e-17."""
    return np.abs(model.feature_importances_ if hasattr(model, "feature_importances_") else model.coef_)


def _standardised(columns: np.ndarray) -> np.ndarray:
    spread = columns.std(axis=0)
    return (columns - columns.mean(axis=0)) / np.where(spread > 0, spread, 1)


def _majority(named: np.ndarray, fixed: np.ndarray) -> float:
    """Learn on the first half which factor each latent is named for most often; the share of hits in the second."""
    half = len(named) // 2
    counts = np.zeros((named.max() + 1, fixed.max() + 1), dtype=int)
    np.add.at(counts, (named[:half], fixed[:half]), 1)
    return float((counts.argmax(axis=1)[named[half:]] == fixed[half:]).mean())


def _bins(codes: np.ndarray, bins: int) -> np.ndarray:
    """(N, D) -> (N, D), the number of the bin, from 0; a latent that never varies is in bin 0."""
    low, high = codes.min(axis=0), codes.max(axis=0)
    position = (codes - low) / np.where(high > low, high - low, 1)
    return np.minimum((position * bins).astype(int), bins - 1)


def _information(z: np.ndarray, v: np.ndarray, bins: int, levels: int) -> float:
    """I(z; v) of two columns of whole numbers, each (N,), in nats."""
    joint = np.bincount(z * levels + v, minlength=bins * levels).reshape(bins, levels) / len(z)
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / independent[there])).sum())


def _entropies(factors: Tensor) -> Tensor:
    """H(v_k) as the images have it: (N, K) -> (K,), float64, in nats."""
    shares = [column.bincount().double() / len(column) for column in factors.T]
    return torch.stack([torch.special.entr(p).sum() for p in shares])


def _require_pairs(codes: Tensor, factors: Tensor) -> tuple[np.ndarray, np.ndarray]:
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors) or len(codes) < 2:
        raise ValueError(
            "codes must be (N, D) and factors (N, K), with the same N >= 2, "
            f"got {tuple(codes.shape)} and {tuple(factors.shape)}"
        )
    if factors.is_floating_point() or factors.dtype == torch.bool:
        raise TypeError(f"factors must be whole numbers, got {factors.dtype}: convert with .long()")
    if not torch.isfinite(codes).all():
        raise ValueError("codes must be finite, and some are NaN or infinite: has the training diverged?")
    if factors.min() < 0 or (factors == factors[0]).all(dim=0).any():
        raise ValueError("every factor must have at least two levels in the data, numbered from 0")
    return codes.detach().cpu().double().numpy(), factors.cpu().numpy()
