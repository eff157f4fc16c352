"""Posterior collapse: how many latents carry anything, how much, and for a linear VAE how many there will be."""

import math
from typing import Any

import torch
from torch import Tensor

from vae_course.images import require_images
from vae_course.latent import posteriors
from vae_course.losses import kl_per_latent, kl_to_standard_normal, reparameterize
from vae_course.models.mlp import MLPVAE
from vae_course.training import Loss, evaluate

PAIRS = 4_000_000  # log-densities held at once: 32 MB in float64


# ---- diagnosis ----


def active_units(mu: Tensor, *, threshold: float = 0.01) -> int:
    """How many latents have a mean that varies over the data: Var_x(E_q[z_j]) > threshold. mu: (N, D), N >= 2.

    Raises ValueError on another shape, and on values that are not finite. Burda, Grosse and Salakhutdinov 2016 (arXiv
    1509.00519), section 5.
    """
    if mu.ndim != 2 or len(mu) < 2:
        raise ValueError(f"mu must have shape (N, D) with N of at least 2, one row per image; got {tuple(mu.shape)}")
    _require_finite(mu)
    return int((mu.var(dim=0) > threshold).sum())


def kl_split(
    mu: Tensor, logvar: Tensor, *, samples: int = 2000, generator: torch.Generator | None = None
) -> dict[str, float]:
    """The average KL as mutual information + KL(aggregate posterior || prior). mu, logvar: (N, D); all in nats.

    The aggregate posterior q(z) is the mixture of all N posteriors, a sample's own among them ("leave-in"), so this
    is the split for these N images exactly, and the mutual information, that of z and the image's number, cannot
    exceed log N. "rate" is exact; "mutual_information" = E[log q(z|x) - log q(z)] and "aggregate_kl" =
    E[log q(z) - log p(z)] are means over `samples` draws of an image and its z, with standard errors "…_error". That
    they add up to the rate is therefore a check, good to those errors. "leave_out" is the mean with the sample's own
    posterior left out of the mixture: on average an upper bound on the mutual information between z and images in
    general, to which "mutual_information" is on average a lower bound. Raises ValueError unless N >= 2, samples >= 2,
    and all values are finite.

    Hoffman and Johnson 2016, "ELBO surgery"; the two bounds: Poole et al. 2019 (arXiv 1905.06922), section 2.
    """
    rate = kl_to_standard_normal(mu, logvar).mean().item()
    n = len(mu)
    if n < 2 or samples < 2:
        raise ValueError(f"kl_split wants at least two images and two samples, got {n} and {samples}")
    _require_finite(mu, logvar)
    own = torch.randint(n, (samples,), generator=generator, device=generator.device if generator else mu.device)
    own = own.to(mu.device)
    mu, logvar = mu.double(), logvar.double()  # squares of means over variances cancel: 32 bits are too few
    z = reparameterize(mu[own], logvar[own], generator=generator)  # (samples, D)
    chunk = max(1, PAIRS // n)
    parts = [_mixture(*pair, mu, logvar) for pair in zip(z.split(chunk), own.split(chunk), strict=True)]
    of_own, of_all, of_others = (torch.cat(column) for column in zip(*parts, strict=True))  # (samples,) each
    prior = -0.5 * (z**2 + math.log(2 * math.pi)).sum(dim=1)
    found = {"rate": rate, "leave_out": (of_own - of_others).mean().item()}
    for name, values in (("mutual_information", of_own - of_all), ("aggregate_kl", of_all - prior)):
        found[name] = values.mean().item()
        found[f"{name}_error"] = values.std().item() / math.sqrt(samples)
    return found


def report(
    model: Any, x: Tensor, *, loss: Loss | None = None, samples: int = 2000, generator: torch.Generator | None = None
) -> dict[str, Any]:
    """What a model's latents do on x: "active_units", "rate", "mutual_information", "negative_elbo", "kl_per_latent".

    x: (N, C, H, W) -> numbers in nats per image; kl_per_latent (D,) is a list, the largest first. negative_elbo is
    the mean of loss(model, x)["loss"], by default -ELBO with the Bernoulli likelihood; give the same loss, with
    β = 1, to models that are to be compared, however they were trained. All of it in evaluation mode; the model's mode
    stays as it was. Raises as `kl_split` does.
    """
    device, was_training = next(model.parameters()).device, model.training
    model.eval()
    mu, logvar = posteriors(model, x.to(device))
    model.train(was_training)
    split = kl_split(mu, logvar, samples=samples, generator=generator)
    bound = evaluate(model, x, loss=loss)["loss"] if loss else evaluate(model, x)["loss"]
    return {
        "active_units": active_units(mu),
        "rate": split["rate"],
        "mutual_information": split["mutual_information"],
        "negative_elbo": bound,
        "kl_per_latent": kl_per_latent(mu, logvar).mean(dim=0).sort(descending=True).values.tolist(),
    }


def _mixture(z: Tensor, own: Tensor, mu: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """log q(z|x) of each sample's own image, log of the mean over all N, and over the N - 1 others. z: (M, D)."""
    log_q = _log_densities(z, mu, logvar)  # (M, N)
    rows, n = torch.arange(len(z), device=z.device), len(mu)
    of_own, of_all = log_q[rows, own], log_q.logsumexp(dim=1) - math.log(n)
    log_q[rows, own] = -math.inf
    return of_own, of_all, log_q.logsumexp(dim=1) - math.log(n - 1)


def _log_densities(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """log N(z_m; mu_n, diag(exp(logvar_n))) for all pairs. z: (M, D), mu, logvar: (N, D) -> (M, N), in nats."""
    precision = (-logvar).exp()
    square = z**2 @ precision.T - 2 * z @ (mu * precision).T + (mu**2 * precision).sum(dim=1)
    return -0.5 * (square + logvar.sum(dim=1) + mu.shape[1] * math.log(2 * math.pi))


# ---- a cure ----


def kl_with_free_total(mu: Tensor, logvar: Tensor, *, free: float) -> Tensor:
    """The KL that is charged when the latents together have `free` nats for nothing. mu, logvar: (B, D) -> (B,).

    Its mean over the batch is max(free, batch mean of the KL): below the allowance no latent gets a gradient, and
    nothing says how many share it. `losses.kl_with_free_bits` is the allowance for each latent.
    Raises ValueError on free that is negative or not finite. Kingma et al. 2016 (arXiv 1606.04934), appendix C.8.
    """
    if not (math.isfinite(free) and free >= 0):
        raise ValueError(f"free must be a finite number of nats >= 0, got {free}")
    kl = kl_to_standard_normal(mu, logvar)  # (B,)
    return torch.full_like(kl, free) if kl.mean() < free else kl  # False for NaN, which stays seen


# ---- the linear VAE, where collapse can be calculated ----


def predicted_active(x: Tensor, *, var: float, beta: float = 1.0) -> int:
    """How many latents a linear VAE with decoder variance var will use: the data's eigenvalues above beta·var.

    x: (N, C, H, W). A model with fewer latents uses all it has. Raises ValueError on var <= 0, beta < 0 or one image.
    Lucas et al. 2019 (arXiv 1911.02469), section 4.
    """
    _require_weights(var, beta)
    eigenvalues, _ = _eigen(x)
    return int((eigenvalues > beta * var).sum())


def optimal_linear_vae(x: Tensor, *, z_dim: int, var: float, beta: float = 1.0) -> MLPVAE:
    """The linear VAE that minimises D + beta·R on x, by formula: probabilistic PCA with the variance s = beta·var.

    x: (N, C, H, W). The model is MLPVAE(z_dim, hidden=()), whose decoder returns *means*: judge it by
    `losses.gaussian_log_likelihood(mean, x, var=var)`. Latent j stands for the direction u_j of the j-th largest
    eigenvalue λ_j of the data's covariance (divided by N, not N - 1): W_j = sqrt(λ_j - s) u_j, E_q[z_j] =
    sqrt(λ_j - s)/λ_j · u_j'(x - mean), Var_q = s/λ_j; where λ_j <= s it equals the prior and is not decoded. Raises
    as `predicted_active` does, ValueError on beta = 0 and if z_dim exceeds the number of pixels.

    Tipping and Bishop 1999; Lucas et al. 2019 (arXiv 1911.02469), section 4.
    """
    _require_weights(var, beta)
    if beta == 0:
        raise ValueError(
            "without the KL no posterior is the best one, its variance can always shrink: beta must be > 0"
        )
    eigenvalues, directions = _eigen(x)
    if z_dim > len(eigenvalues):
        raise ValueError(f"z_dim must be at most {len(eigenvalues)}, the number of pixels, got {z_dim}")
    lam, u, s = eigenvalues[:z_dim], directions[:, :z_dim], beta * var  # (D,), (P, D)
    signal = (lam - s).clamp(min=0.0)  # what λ_j has above the noise; 0 for a collapsed latent
    total = torch.maximum(lam, torch.tensor(s, dtype=lam.dtype))  # signal + s
    b = x.double().flatten(1).mean(dim=0)
    model = MLPVAE(z_dim, hidden=(), x_shape=tuple(x.shape[1:]))  # type: ignore[arg-type]
    encoder, decoder = model.encoder[-1], model.decoder[0]  # type: ignore[index]
    with torch.no_grad():
        to_mu = (signal.sqrt() / total)[:, None] * u.T  # (D, P)
        encoder.weight.copy_(torch.cat([to_mu, torch.zeros_like(to_mu)]))  # logvar is the same for every image
        encoder.bias.copy_(torch.cat([-to_mu @ b, (s / total).log()]))
        decoder.weight.copy_(u * signal.sqrt())
        decoder.bias.copy_(b)
    return model.eval()


def _eigen(x: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, largest first, and eigenvectors of the pixels' covariance. (N, C, H, W) -> (P,), (P, P)."""
    require_images(x)
    if len(x) < 2:
        raise ValueError("a covariance wants at least two images, got one")
    centred = x.double().flatten(1) - x.double().flatten(1).mean(dim=0)
    eigenvalues, directions = torch.linalg.eigh(centred.T @ centred / len(x))
    return eigenvalues.flip(0), directions.flip(1)


def _require_finite(*of_q: Tensor) -> None:
    if not all(t.isfinite().all() for t in of_q):
        raise ValueError(
            "mu and logvar must be finite, and some are NaN or infinite: the model diverged, which is not collapse"
        )


def _require_weights(var: float, beta: float) -> None:
    if not (math.isfinite(var) and var > 0):
        raise ValueError(f"var must be a finite number > 0, got {var}")
    if not (math.isfinite(beta) and beta >= 0):
        raise ValueError(f"beta must be a finite number >= 0, got {beta}")
