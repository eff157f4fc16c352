"""How good generated pictures are: like real ones as a crowd, of every class, not copied, and smoothly connected.

No single number says it. A folder of training images has a perfect Fréchet distance; only the distance to the nearest
training image tells that they were copied.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vae_course.images import require_images
from vae_course.losses import standard_normal


def frechet_distance(features_a: Tensor, features_b: Tensor) -> float:
    """Squared Fréchet distance between Gaussians fitted to two sets of features. (N, F), (M, F) -> a number >= 0.

    |m_a - m_b|² + tr(S_a + S_b - 2 (S_a S_b)^½), computed in float64; m and S are mean and covariance (divided by
    N - 1). In units of the features squared: it compares only with distances on the same features and sample sizes,
    because it is biased upwards where samples are few. Raises ValueError on unequal widths, NaN, or no more samples
    than features. Dowson and Landau 1982; on a classifier's features Heusel et al. 2017 (arXiv 1706.08500).
    """
    for name, features in (("features_a", features_a), ("features_b", features_b)):
        _require_rows(name, features)
        n, width = features.shape
        if n <= width:
            raise ValueError(f"a covariance of {width} features needs more than {width} samples; {name} has {n}")
    if features_a.shape[1] != features_b.shape[1]:
        raise ValueError(f"both need the same features, got {features_a.shape[1]} and {features_b.shape[1]} of them")
    a, b = features_a.double(), features_b.double()
    cov_a, cov_b = a.T.cov(), b.T.cov()  # (F, F)
    root_a = _square_root(cov_a)
    # S_a S_b is not symmetric; S_a^½ S_b S_a^½ is, and has the same eigenvalues
    cross = torch.linalg.eigvalsh(root_a @ cov_b @ root_a).clamp(min=0).sqrt().sum()
    distance = ((a.mean(dim=0) - b.mean(dim=0)) ** 2).sum() + cov_a.trace() + cov_b.trace() - 2 * cross
    return max(0.0, distance.item())  # rounding makes it -1e-13 for equal sets


def _square_root(cov: Tensor) -> Tensor:
    """The symmetric square root of a covariance. (F, F) -> (F, F)."""
    values, vectors = torch.linalg.eigh(cov)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T  # rounding makes eigenvalues of zero -1e-16


def entropy(probabilities: Tensor) -> Tensor:
    """-Σ_c p_c log p_c of each row: how undecided a classifier is. (N, classes) -> (N,), in nats, at most log(classes).

    Raises ValueError unless every row is a distribution.
    """
    _require_rows("probabilities", probabilities)
    sums = probabilities.sum(dim=1)
    if (probabilities < 0).any() or ((sums - 1).abs() > 1e-4).any():
        raise ValueError("each row of probabilities must be >= 0 and add up to 1: logits need softmax(dim=1) first")
    return torch.special.entr(probabilities).sum(dim=1)


def class_entropy(probabilities: Tensor) -> float:
    """Entropy of the mean prediction, in nats: log(classes) if all classes are equally frequent, 0 if there is one.

    probabilities: (N, classes), one row for each picture. Pictures that are all undecided have a high one, too: look
    at `entropy` beside it. The Inception score is exp(class_entropy - mean entropy), Salimans et al. 2016
    (arXiv 1606.03498). Raises as `entropy` does.
    """
    entropy(probabilities)  # for its checks: a mean of rows that are no distributions may look like one
    return entropy(probabilities.mean(dim=0, keepdim=True)).item()


def nearest_neighbour_distance(images: Tensor, reference: Tensor, *, batch_size: int = 500) -> Tensor:
    """Euclidean distance over pixels from each image to the nearest in reference. (N, C, H, W), (M, C, H, W) -> (N,).

    Zero for a copy. Blurred images lie nearer to everything than sharp ones do, so that it compares only with the
    distances of real images that are not in reference. Raises ValueError on different sizes, TypeError on integers.
    """
    for batch in (images, reference):
        require_images(batch)
    if images.shape[1:] != reference.shape[1:]:
        raise ValueError(f"images are {tuple(images.shape[1:])} and reference images {tuple(reference.shape[1:])}")
    flat = reference.flatten(1)
    norms = (flat**2).sum(dim=1)  # |r|²: (M,)
    distances = []
    for part in images.flatten(1).split(batch_size):
        nearest = (norms - 2 * part @ flat.T).argmin(dim=1)  # |x - r|² less |x|², which does not matter here
        distances.append((part - flat[nearest]).norm(dim=1))  # the sum above is too coarse for small distances
    return torch.cat(distances)


@torch.no_grad()
def decoded_lines(model: Any, start: Tensor, end: Tensor, *, steps: int = 20) -> Tensor:
    """Pictures along straight lines from start to end. start, end: (L, D) -> (L, steps + 1, C, H, W), in [0, 1].

    Raises ValueError on ends of different shapes or fewer than two steps.
    """
    if start.shape != end.shape or start.ndim != 2 or len(start) == 0:
        raise ValueError(f"start and end must have one shape (L, D), got {tuple(start.shape)} and {tuple(end.shape)}")
    if steps < 2:
        raise ValueError(f"a line needs at least 2 steps to be more or less even, got {steps}")
    t = torch.linspace(0, 1, steps + 1, dtype=start.dtype, device=start.device)
    pictures = [model.decode(start + at * (end - start)).sigmoid() for at in t]  # each (L, C, H, W)
    return torch.stack(pictures, dim=1)


def unevenness(frames: Tensor) -> Tensor:
    """The largest step between neighbouring pictures over the mean step. (L, T, C, H, W) -> (L,), from 1 to T - 1.

    A step is the Euclidean distance of two pictures. 1: the picture changes at an even pace; T - 1: it stands still,
    and jumps once. Raises ValueError on fewer than three frames, NaN, or a sequence in which nothing changes.
    """
    steps = _steps(frames)
    return steps.amax(dim=1) / steps.mean(dim=1)


def detour(frames: Tensor) -> Tensor:
    """The way from the first picture to the last, over their distance. (L, T, C, H, W) -> (L,), at least 1.

    1: every picture is a blend of the two ends, which need not look like anything. Raises as `unevenness` does, and
    where a sequence ends as it began.
    """
    length = _steps(frames).sum(dim=1)
    direct = (frames[:, -1] - frames[:, 0]).flatten(1).norm(dim=1)
    if not (direct > 0).all():
        raise ValueError("some sequence ends with the picture that it started with: its detour is infinite")
    return length / direct


def _steps(frames: Tensor) -> Tensor:
    """Euclidean distances of neighbouring pictures. (L, T, C, H, W) -> (L, T - 1)."""
    if frames.ndim != 5 or len(frames) == 0 or frames.shape[1] < 3:
        raise ValueError(f"frames must have shape (L, T, C, H, W) with T of at least 3, got {tuple(frames.shape)}")
    steps = (frames[:, 1:] - frames[:, :-1]).flatten(2).norm(dim=2)
    if not (steps.sum(dim=1) > 0).all():  # written so that NaN fails, too
        raise ValueError("in some sequence no picture differs from the next, or one is NaN: it has no pace")
    return steps


def hole_share(probabilities: Tensor, *, sure: float = 0.9) -> float:
    """The share of pictures to which a classifier gives no class with probability `sure`. (N, classes) -> 0 to 1.

    Of pictures decoded from draws of z it is the share of draws that fall between the classes, or beside them all.
    Real images have such a share, too, to compare with. Raises ValueError on sure outside (0, 1], and as
    `entropy` does.
    """
    if not 0 < sure <= 1:
        raise ValueError(f"sure is a probability, in (0, 1], got {sure}")
    entropy(probabilities)  # for its checks
    return (probabilities.amax(dim=1) < sure).float().mean().item()


class Mixture(NamedTuple):
    """A mixture of K Gaussians in D dimensions: Σ_k weights_k N(means_k, factors_k factors_kᵀ).

    weights: (K,), means: (K, D), factors: (K, D, D), lower triangular.
    """

    weights: Tensor
    means: Tensor
    factors: Tensor

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """n points: a component each, then a point of that Gaussian. -> (n, D)."""
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        k = torch.multinomial(self.weights, n, replacement=True, generator=generator)  # (n,)
        eps = standard_normal((n, self.means.shape[1], 1), like=self.means, generator=generator)
        return self.means[k] + (self.factors[k] @ eps).squeeze(2)


def fit_mixture(codes: Tensor, *, components: int = 1, seed: int = 0) -> Mixture:
    """The mixture of Gaussians of (locally) largest likelihood, by scikit-learn's EM. codes: (N, D), on the CPU.

    One component is the Gaussian with the codes' mean and covariance (divided by N, plus 1e-6 on its diagonal).
    To fit one after the training and sample from it is the ex-post density estimation of Ghosh et al. 2020
    (arXiv 1903.12436). Raises ValueError on NaN or no more codes than the components need, (D + 1) for each.
    """
    from sklearn.mixture import GaussianMixture

    _require_rows("codes", codes)
    n, width = codes.shape
    if components < 1 or n < components * (width + 1):
        raise ValueError(
            f"components must be at least 1 and have {width + 1} codes each; got {components} for {n} codes"
        )
    em = GaussianMixture(components, max_iter=300, random_state=seed).fit(codes.detach().double().numpy())
    weights, means, covs = (torch.from_numpy(a).to(codes.dtype) for a in (em.weights_, em.means_, em.covariances_))
    return Mixture(weights, means, torch.linalg.cholesky(covs))


def _require_rows(name: str, x: Tensor) -> None:
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"{name} must have shape (N, width), neither of them 0; got {tuple(x.shape)}")
    if not x.is_floating_point():
        raise TypeError(f"{name} must be float, got {x.dtype}")
    if not math.isfinite(x.sum().item()) and not x.isfinite().all():
        bad = int((~x.isfinite()).any(dim=1).sum())
        raise ValueError(f"{name} has NaN or infinite values in {bad} of {len(x)} rows")
