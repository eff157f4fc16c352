"""What β trades: the rate R, nats of KL that a code costs, for the distortion D, nats that it leaves unexplained.

A VAE trained with β minimises D + βR. The points (R, D) for many β trace a curve, whose slope tells whether each of
them was minimised. Alemi et al. 2018, "Fixing a Broken ELBO" (arXiv 1711.00464).
"""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from vae_course import runtime, training
from vae_course.losses import LogLikelihood, bernoulli_log_likelihood, negative_elbo


def sweep(
    make_model: Callable[[], nn.Module],
    x: Tensor,
    betas: Sequence[float],
    *,
    epochs: int,
    lr: float = 2e-3,
    log_likelihood: LogLikelihood = bernoulli_log_likelihood,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Train one model for each β, all from the same first weights and with the same order of batches.

    x: (N, C, H, W), the training set, on which the rows are measured, too. Each row has "beta", "rate", the mean of
    KL(q(z|x) || p(z)), "distortion", the mean of -log p(x|z) with z ~ q(z|x), both in nats per image, and "model".
    Every model is measured with the same noise. Raises ValueError unless there are at least two different β, each
    finite and not negative, before anything is trained.
    """
    _require_betas(betas)
    rows = []
    for beta in betas:
        order = runtime.seed(seed)
        model = make_model()
        loss = partial(negative_elbo, beta=beta, log_likelihood=log_likelihood)
        training.fit(model, x, epochs=epochs, lr=lr, loss=loss, generator=order)
        terms = training.evaluate(model, x, loss=loss)
        rows.append({"beta": beta, "rate": terms["kl"], "distortion": terms["rec"], "model": model})
    return rows


def slopes(rows: Sequence[dict[str, Any]]) -> list[dict[str, float]]:
    """For each pair of neighbouring β, low < high: the slope between their points, and what contradicts it.

    rows: "beta", "rate" and "distortion" each, in any order. Returns "low", "high", "slope" = (D₂ - D₁) / (R₁ - R₂)
    (NaN if both have one rate) and "excess", in nats: 0 if low <= slope <= high, as for exact minimisers of D + βR
    over one class of models. Above 0, one of the two is beaten by the other on its own objective, and falls short of
    its minimum by at least that much. Raises ValueError as `sweep` does, and on a point that is not finite.
    """
    _require_betas([row["beta"] for row in rows])
    for row in rows:
        if not (math.isfinite(row["rate"]) and math.isfinite(row["distortion"])):
            point = f"{row['rate']} and {row['distortion']} at β = {row['beta']}"
            raise ValueError(f"rate and distortion must be finite, got {point}")
    return [_slope(first, second) for first, second in itertools.pairwise(sorted(rows, key=lambda row: row["beta"]))]


def _slope(first: dict[str, Any], second: dict[str, Any]) -> dict[str, float]:
    low, high = first["beta"], second["beta"]
    lost = second["distortion"] - first["distortion"]  # nats
    saved = first["rate"] - second["rate"]  # nats
    # products, not quotients: they hold where nothing is saved, too
    excess = max(0.0, low * saved - lost, lost - high * saved)
    return {"low": low, "high": high, "slope": lost / saved if saved else math.nan, "excess": excess}


def _require_betas(betas: Sequence[float]) -> None:
    if not all(math.isfinite(beta) and beta >= 0 for beta in betas):
        raise ValueError(f"every beta must be a finite number >= 0, got {list(betas)}")
    if len(betas) < 2 or len(set(betas)) < len(betas):
        raise ValueError(f"a curve wants at least two different values of beta, got {list(betas)}")
