"""The terms of the evidence lower bound, each as one number per example, in nats.

Sums run over pixels and latents; only the caller averages over the batch. An average over pixels
or latents would weigh the two terms against each other by accident, which is a hidden beta.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vae_course.images import require_float, require_unit_range

LogLikelihood = Callable[[Tensor, Tensor], Tensor]


def kl_to_standard_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL( N(mu, diag(exp(logvar))) || N(0, I) ). mu, logvar: (B, D) -> (B,), in nats.

    Never negative, and zero only at mu = 0, logvar = 0. Raises ValueError unless both are (B, D).
    Kingma and Welling 2014 (arXiv 1312.6114), appendix B.
    """
    return kl_per_latent(mu, logvar).sum(dim=1)


def kl_per_latent(mu: Tensor, logvar: Tensor) -> Tensor:
    """The KL to the standard normal of each latent by itself, before the sum. mu, logvar: (B, D) -> (B, D), in nats.

    Raises ValueError unless both are (B, D).
    """
    _require_same_shape("mu", mu, "logvar", logvar)
    if mu.ndim != 2:
        raise ValueError(f"mu and logvar must have shape (B, D), one row per example; got {tuple(mu.shape)}")
    return 0.5 * (mu**2 + (logvar.expm1() - logvar))  # exp(logvar) - 1 loses its digits where logvar is near 0


def kl_with_free_bits(mu: Tensor, logvar: Tensor, *, free: float) -> Tensor:
    """The KL that is charged when each latent has `free` nats for nothing. mu, logvar: (B, D) -> (B,), in nats.

    Its mean over the batch is Σ_j max(free, batch mean of KL_j): a latent that uses less than its allowance costs
    the allowance, whatever it does, and gets no gradient. With free = 0 it is `kl_to_standard_normal`.
    Raises ValueError on free that is negative or not finite. Kingma et al. 2016 (arXiv 1606.04934), appendix C.8.
    """
    if not (math.isfinite(free) and free >= 0):
        raise ValueError(f"free must be a finite number of nats >= 0, got {free}")
    kl = kl_per_latent(mu, logvar)  # (B, D)
    within = kl.mean(dim=0) < free  # (D,): decided for the batch, not for each image; False for NaN, which stays seen
    return torch.where(within, free, kl).sum(dim=1)


def bernoulli_log_likelihood(logits: Tensor, x: Tensor) -> Tensor:
    """log p(x | z) of binary pixels with probability sigmoid(logits). (B, C, H, W) twice -> (B,), in nats.

    On grey pixels in [0, 1] it is the usual training objective, not the likelihood of anything: even a
    perfect reconstruction is then charged the entropy of the pixels. Raises ValueError on shapes that differ or x
    outside [0, 1], TypeError on integers.
    """
    _require_same_shape("logits", logits, "x", x)
    require_unit_range("x", x)
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(dim=1)


def gaussian_log_likelihood(mean: Tensor, x: Tensor, *, var: float | Tensor) -> Tensor:
    """log N(x; mean, var·I). mean, x: (B, C, H, W), var a positive number or scalar tensor -> (B,), in nats.

    A density: it has no upper bound and may be positive. Raises ValueError on shapes that differ or var <= 0,
    TypeError on integer x.
    """
    _require_same_shape("mean", mean, "x", x)
    require_float("x", x)
    var = _positive("var", var, like=mean)
    return -0.5 * ((x - mean) ** 2 / var + (2 * math.pi * var).log()).flatten(1).sum(dim=1)


def laplace_log_likelihood(mean: Tensor, x: Tensor, *, scale: float | Tensor) -> Tensor:
    """log Laplace(x; mean, scale): the likelihood behind an L1 loss. (B, C, H, W) twice -> (B,), in nats.

    Raises ValueError on shapes that differ or scale <= 0, TypeError on integer x.
    """
    _require_same_shape("mean", mean, "x", x)
    require_float("x", x)
    scale = _positive("scale", scale, like=mean)
    return -((x - mean).abs() / scale + (2 * scale).log()).flatten(1).sum(dim=1)


def reparameterize(mu: Tensor, logvar: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """z = mu + sigma·eps with eps ~ N(0, I): a sample of q(z|x) that lets gradients through. (B, D) twice -> (B, D)."""
    _require_same_shape("mu", mu, "logvar", logvar)
    eps = standard_normal(mu.shape, like=mu, generator=generator)
    return mu + (0.5 * logvar).exp() * eps  # logvar is log(sigma**2)


def standard_normal(shape: Sequence[int], *, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """N(0, I) noise with the device and precision of `like`, drawn where the generator lives."""
    device = generator.device if generator else like.device
    return torch.randn(tuple(shape), generator=generator, device=device, dtype=like.dtype).to(like.device)


def negative_elbo(
    model: Any,
    x: Tensor,
    *condition: Tensor,
    beta: float = 1.0,
    free_bits: float = 0.0,
    log_likelihood: LogLikelihood = bernoulli_log_likelihood,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """-ELBO = E_q[-log p(x|z)] + beta·KL(q(z|x) || p(z)), by one sample of z for each x.

    model has encode(x) -> mu, logvar and decode(z); x is (B, C, H, W). A condition, labels c for instance, is handed
    on to both, encode(x, c) and decode(z, c), and the bound is then on log p(x|c). free_bits is an allowance in nats
    for each latent, see `kl_with_free_bits`; it changes "loss" alone. Returns "loss", "rec" and "kl", each (B,), in
    nats. Raises ValueError on beta or free_bits that is negative or not finite.
    """
    if not (math.isfinite(beta) and beta >= 0):
        raise ValueError(f"beta must be a finite number >= 0, got {beta}")
    mu, logvar = model.encode(x, *condition)
    z = reparameterize(mu, logvar, generator=generator)
    rec = -log_likelihood(model.decode(z, *condition), x)
    kl = kl_to_standard_normal(mu, logvar)
    charged = kl_with_free_bits(mu, logvar, free=free_bits)
    return {"loss": rec + beta * charged, "rec": rec, "kl": kl}


def reconstruction_loss(
    model: Any, x: Tensor, *, log_likelihood: LogLikelihood = bernoulli_log_likelihood
) -> dict[str, Tensor]:
    """-log p(x|z) at z = mu(x), the loss of a plain autoencoder: no sample, no KL, and so no prior.

    model and x as for `negative_elbo`, whose log-variances are left unused. Returns "loss" and "rec", equal, each
    (B,), in nats.
    """
    mu, _ = model.encode(x)
    rec = -log_likelihood(model.decode(mu), x)
    return {"loss": rec, "rec": rec}


def _require_same_shape(name_a: str, a: Tensor, name_b: str, b: Tensor) -> None:
    # without this, broadcasting would turn (B, D) and (D,) into a number that looks fine
    if a.shape != b.shape:
        raise ValueError(f"{name_a} and {name_b} must have one shape, got {tuple(a.shape)} and {tuple(b.shape)}")


def _positive(name: str, value: float | Tensor, like: Tensor) -> Tensor:
    value = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    if value.ndim != 0 or not value > 0:
        raise ValueError(f"{name} must be one number > 0, got {value.tolist()}")
    return value
