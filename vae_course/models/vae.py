"""A variational autoencoder is two networks and a prior: everything else is the choice of the two networks."""

import torch
from torch import Tensor, nn

from vae_course.images import require_float
from vae_course.losses import reparameterize, standard_normal


class VAE(nn.Module):
    """q(z|x) = N(mu(x), diag(exp(logvar(x)))) from the encoder, logits of p(x|z) from the decoder, p(z) = N(0, I).

    encoder: (B, *x_shape) -> (B, 2·z_dim), mu beside logvar; decoder: (B, z_dim) -> (B, *x_shape).
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, *, x_shape: tuple[int, int, int], z_dim: int) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.x_shape, self.z_dim = tuple(x_shape), z_dim

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """mu and logvar of q(z|x). x: (B, *x_shape), float -> (B, z_dim) twice.

        Raises ValueError on another shape, TypeError on integer pixels.
        """
        require_x(x, self.x_shape)
        mu, logvar = at_least_fp32(self.encoder(x)).chunk(2, dim=1)  # each (B, z_dim)
        return mu, logvar

    def decode(self, z: Tensor) -> Tensor:
        """Logits of p(x|z). z: (B, z_dim) -> (B, *x_shape); sigmoid turns them into pixels where they are shown."""
        require_z(z, self.z_dim)
        return at_least_fp32(self.decoder(z))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One pass: logits (B, *x_shape), mu and logvar (B, z_dim), through one sample of z for each x."""
        mu, logvar = self.encode(x)
        return self.decode(reparameterize(mu, logvar)), mu, logvar

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """n images from the model: z ~ N(0, I), decoded to pixel means in [0, 1]. -> (n, *x_shape)."""
        weight = next(self.parameters())
        z = standard_normal((n, self.z_dim), like=weight, generator=generator)
        return self.decode(z).sigmoid()


def at_least_fp32(x: Tensor) -> Tensor:
    """x in 32 bits or more: under autocast networks return 16, which are too few to add up a loss."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def require_z_dim(z_dim: int) -> None:
    """Raise ValueError unless the latent has at least one dimension."""
    if not isinstance(z_dim, int) or isinstance(z_dim, bool) or z_dim < 1:
        raise ValueError(f"z_dim must be a whole number of at least 1, got {z_dim!r}")


def require_x(x: Tensor, x_shape: tuple[int, ...]) -> None:
    """Raise ValueError unless x is (B, *x_shape), TypeError unless it is float."""
    if x.ndim != 4 or x.shape[1:] != x_shape:
        want = ", ".join(map(str, x_shape))
        raise ValueError(f"this model takes images of shape (B, {want}), got {tuple(x.shape)}")
    require_float("images", x)


def require_z(z: Tensor, z_dim: int) -> None:
    """Raise ValueError unless z is (B, z_dim)."""
    if z.ndim != 2 or z.shape[1] != z_dim:
        raise ValueError(f"this model takes latents of shape (B, {z_dim}), got {tuple(z.shape)}")
