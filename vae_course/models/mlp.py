"""The plainest VAE: pixels in a row, one or two hidden layers, and the same again backwards."""

import itertools
import math
from collections.abc import Sequence

from torch import nn

from vae_course.models.vae import VAE, require_z_dim


class MLPVAE(VAE):
    """A fully connected VAE; hidden lists the encoder's layer widths, which the decoder mirrors.

    hidden=(400,) with z_dim=20 is the network of pytorch/examples, with SiLU for ReLU.
    """

    def __init__(
        self, z_dim: int = 20, hidden: Sequence[int] = (400,), x_shape: tuple[int, int, int] = (1, 28, 28)
    ) -> None:
        require_z_dim(z_dim)
        pixels = math.prod(x_shape)
        encoder = nn.Sequential(nn.Flatten(), *layers([pixels, *hidden, 2 * z_dim]))
        decoder = nn.Sequential(*layers([z_dim, *reversed(hidden), pixels]), nn.Unflatten(1, x_shape))
        super().__init__(encoder, decoder, x_shape=x_shape, z_dim=z_dim)


def layers(widths: Sequence[int]) -> list[nn.Module]:
    """Linear layers of these widths, from the input's to the output's, with SiLU between them."""
    stack: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        stack += [nn.Linear(before, after), nn.SiLU()]
    return stack[:-1]  # mu, logvar and logits may be any real number: no activation after the last layer
