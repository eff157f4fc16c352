"""The conditional VAE of lesson 09: every distribution of the VAE, given a class c."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_course.images import require_labels
from vae_course.losses import reparameterize, standard_normal
from vae_course.models.mlp import layers
from vae_course.models.vae import at_least_fp32, require_x, require_z, require_z_dim


class ConditionalVAE(nn.Module):
    """q(z|x,c) and p(x|z,c), fully connected, with p(z|c) = p(z) = N(0, I); c, one-hot, stands beside x and beside z.

    encoder_sees and decoder_sees say which of the two networks gets c. Without decoder_sees c cannot change the image;
    without encoder_sees the posterior is q(z|x), which is legal. Sohn, Lee and Yan 2015 (NeurIPS), section 4.
    """

    def __init__(
        self,
        z_dim: int = 16,
        hidden: Sequence[int] = (400,),
        classes: int = 10,
        *,
        encoder_sees: bool = True,
        decoder_sees: bool = True,
        x_shape: tuple[int, int, int] = (1, 28, 28),
    ) -> None:
        super().__init__()
        require_z_dim(z_dim)
        if classes < 2:
            raise ValueError(f"a condition needs at least 2 classes, got {classes}")
        self.z_dim, self.classes, self.x_shape = z_dim, classes, tuple(x_shape)
        self.encoder_sees, self.decoder_sees = encoder_sees, decoder_sees
        pixels = math.prod(x_shape)
        self.encoder = nn.Sequential(*layers([pixels + classes * encoder_sees, *hidden, 2 * z_dim]))
        decoder = layers([z_dim + classes * decoder_sees, *reversed(hidden), pixels])
        self.decoder = nn.Sequential(*decoder, nn.Unflatten(1, self.x_shape))

    def encode(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """mu and logvar of q(z|x,c). x: (B, *x_shape), float, c: (B,), long -> (B, z_dim) twice.

        Raises ValueError on another shape or a class that does not exist, TypeError on integer pixels or float labels.
        """
        require_x(x, self.x_shape)
        inputs = self._beside(x.flatten(1), c, self.encoder_sees)  # (B, pixels + classes)
        mu, logvar = at_least_fp32(self.encoder(inputs)).chunk(2, dim=1)  # each (B, z_dim)
        return mu, logvar

    def decode(self, z: Tensor, c: Tensor) -> Tensor:
        """Logits of p(x|z,c). z: (B, z_dim), c: (B,), long -> (B, *x_shape). Raises as `encode` does."""
        require_z(z, self.z_dim)
        return at_least_fp32(self.decoder(self._beside(z, c, self.decoder_sees)))

    def forward(self, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One pass: logits (B, *x_shape), mu and logvar (B, z_dim), through one sample of z for each x."""
        mu, logvar = self.encode(x, c)
        return self.decode(reparameterize(mu, logvar), c), mu, logvar

    @torch.no_grad()
    def sample(self, c: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Images of the classes asked for: z ~ N(0, I), decoded to pixel means in [0, 1]. c: (B,) -> (B, *x_shape)."""
        require_labels(c, n=len(c), classes=self.classes)
        z = standard_normal((len(c), self.z_dim), like=next(self.parameters()), generator=generator)
        return self.decode(z, c).sigmoid()

    def _beside(self, rows: Tensor, c: Tensor, sees: bool) -> Tensor:
        require_labels(c, n=len(rows), classes=self.classes)  # also where nobody looks at them
        return torch.cat([rows, F.one_hot(c.long(), self.classes).to(rows.dtype)], dim=1) if sees else rows
