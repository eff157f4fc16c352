"""VAEs for colour images: one class, and three ways to build its two networks."""

import itertools

import torch
from torch import Tensor, nn

from vae_course.losses import standard_normal
from vae_course.models.blocks import ResidualBlock
from vae_course.models.vae import at_least_fp32, require_x

LOGVAR_LIMIT = 10.0  # σ from 0.0067 to 148: outside, exp(logvar) soon leaves what 16 bits can hold


class ImageVAE(nn.Module):
    """A VAE whose latent is a vector (D,) or a small map of channels (C, h, w); its prior is N(0, I) in either case.

    encoder: (B, *x_shape) -> (B, 2·z_shape[0], *z_shape[1:]), mu beside logvar; decoder: z -> logits (B, *x_shape).
    With tanh the decoder is fed tanh(z). tanh has an inverse, so the KL is the same before and after it; but what the
    decoder learns to read is tanh(N(0, I)), within (-1, 1). `decode` applies it, so z is always meant as the prior has
    it: draw, interpolate and add directions there. With clamp, log-variances are held within ±10.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        x_shape: tuple[int, int, int],
        z_shape: tuple[int, ...],
        tanh: bool = False,
        clamp: bool = False,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.x_shape, self.z_shape = tuple(x_shape), tuple(z_shape)
        self.tanh, self.clamp = tanh, clamp

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """mu and logvar of q(z|x). x: (B, *x_shape), float -> (B, *z_shape) twice, in 32 bits or more.

        Raises ValueError on another shape, TypeError on integer pixels.
        """
        require_x(x, self.x_shape)
        mu, logvar = at_least_fp32(self.encoder(x)).chunk(2, dim=1)  # each (B, *z_shape)
        return mu, logvar.clamp(-LOGVAR_LIMIT, LOGVAR_LIMIT) if self.clamp else logvar

    def decode(self, z: Tensor) -> Tensor:
        """Logits of the pixels' means. z: (B, *z_shape), as from the prior -> (B, *x_shape), in 32 bits or more.

        Raises ValueError on another shape.
        """
        if z.shape[1:] != self.z_shape or z.ndim != 1 + len(self.z_shape):
            want = ", ".join(map(str, self.z_shape))
            raise ValueError(f"this model takes latents of shape (B, {want}), got {tuple(z.shape)}")
        return at_least_fp32(self.decoder(z.tanh() if self.tanh else z))

    def mean(self, z: Tensor) -> Tensor:
        """The mean images of p(x|z), sigmoid of the logits. z: (B, *z_shape) -> (B, *x_shape), in [0, 1]."""
        return self.decode(z).sigmoid()

    def forward(self, x: Tensor, eps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One pass: mean images (B, *x_shape), mu and logvar (B, *z_shape), at z = mu + sigma·eps.

        eps: (B, *z_shape), standard normal. In one call because wrappers that keep several processes in step, such as
        DistributedDataParallel, only see calls of the module itself. Raises ValueError on an eps of another shape.
        """
        mu, logvar = self.encode(x)
        if eps.shape != mu.shape:
            raise ValueError(f"eps must be noise of shape {tuple(mu.shape)}, got {tuple(eps.shape)}")
        return self.mean(mu + (0.5 * logvar).exp() * eps), mu, logvar

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """n images from the model: z ~ N(0, I), decoded to pixel means in [0, 1]. -> (n, *x_shape)."""
        z = standard_normal((n, *self.z_shape), like=next(self.parameters()), generator=generator)
        return self.mean(z)


def flat(size: int, channels: tuple[int, ...], z_dim: int, groups: int = 0) -> ImageVAE:
    """3×3 convolutions with LeakyReLU, of which the first two halve the image, a linear layer, and the mirror of both.

    Most parameters sit in the linear layers between (size/4)²·channels[-1] features and the latents. channels: at
    least two numbers. groups: of a GroupNorm after each inner convolution; 0: none. Raises ValueError unless size is a
    multiple of 4 and groups divides all channels.
    """
    require_multiple(size, 4)
    side = size // 4
    features = channels[-1] * side * side
    encoder: list[nn.Module] = []
    decoder: list[nn.Module] = []
    for i, (before, after) in enumerate(itertools.pairwise((3, *channels))):
        stride = 2 if i < 2 else 1
        mirrored = nn.ConvTranspose2d(after, before, 3, stride=stride, padding=1, output_padding=stride - 1)
        norm, its_mirror = ([nn.GroupNorm(groups, width)] if groups and i else [] for width in (after, before))
        encoder += [nn.Conv2d(before, after, 3, stride=stride, padding=1), *norm, nn.LeakyReLU(0.01)]
        decoder = [mirrored, *its_mirror, nn.LeakyReLU(0.01), *decoder]
    return ImageVAE(
        nn.Sequential(*encoder, nn.Flatten(), nn.Linear(features, 2 * z_dim)),
        nn.Sequential(
            nn.Linear(z_dim, features),
            nn.LeakyReLU(0.01),
            nn.Unflatten(1, (channels[-1], side, side)),
            *decoder[:-1],  # logits may be any real number: no activation after the last layer
        ),
        x_shape=(3, size, size),
        z_shape=(z_dim,),
    )


def convolutional(size: int, channels: tuple[int, ...], z_dim: int, groups: int) -> ImageVAE:
    """3×3 convolutions, each of which halves the image, with GroupNorm and SiLU, a linear layer, and the way back.

    The decoder doubles by repeating pixels and convolves what comes out, which cannot leave the checkerboard of
    transposed convolutions: Odena et al. 2016 (distill.pub/2016/deconv-checkerboard). A last convolution works at full
    size. Raises ValueError unless size can be halved that often, or groups divides all channels.
    """
    require_multiple(size, 2 ** len(channels))
    side = size // 2 ** len(channels)
    features = channels[-1] * side * side
    last = channels[0] // 2
    encoder: list[nn.Module] = []
    for before, after in itertools.pairwise((3, *channels)):
        encoder += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(groups, after), nn.SiLU()]
    decoder: list[nn.Module] = []
    for before, after in itertools.pairwise(reversed(channels)):
        decoder += [doubled(before, after), nn.GroupNorm(groups, after), nn.SiLU()]
    decoder += [doubled(channels[0], last), nn.SiLU(), nn.Conv2d(last, 3, 3, padding=1)]
    return ImageVAE(
        nn.Sequential(*encoder, nn.Flatten(), nn.Linear(features, 2 * z_dim)),
        nn.Sequential(nn.Linear(z_dim, features), nn.SiLU(), nn.Unflatten(1, (channels[-1], side, side)), *decoder),
        x_shape=(3, size, size),
        z_shape=(z_dim,),
    )


def residual_spatial(size: int, channels: tuple[int, ...], z: int, blocks: tuple[int, ...], groups: int) -> ImageVAE:
    """Residual blocks with GroupNorm and SiLU; the latent is a map of z channels, size / 2^(levels - 1) wide.

    channels and blocks give each level's width and number of residual blocks, from the image inwards; the last level is
    the middle. Max-pooling between levels on the way in, nearest upsampling on the way out, no biases in convolutions,
    log-variances clamped, tanh on z: see `ImageVAE`. Raises ValueError unless size can be halved that often.
    """
    if len(channels) != len(blocks):
        raise ValueError(
            f"channels and blocks must name the same levels, got {len(channels)} and {len(blocks)} numbers"
        )
    halvings = len(channels) - 1
    require_multiple(size, 2**halvings)
    side = size // 2**halvings
    outer, inner = (channels[0], *channels[:-1]), (*channels[1:], channels[-1])

    encoder: list[nn.Module] = [conv3x3(3, channels[0])]
    decoder: list[nn.Module] = [conv3x3(channels[0], 3)]
    for level, (before, width, after, count) in enumerate(zip(outer, channels, inner, blocks, strict=True)):
        down = [nn.MaxPool2d(2)] if level > 0 else []
        up = [nn.Upsample(scale_factor=2, mode="nearest")] if level < halvings else []
        encoder = [*encoder, *down, *stack(before, width, count, groups)]
        decoder = [*up, *stack(after, width, count, groups), *decoder]

    return ImageVAE(
        nn.Sequential(*encoder, conv3x3(channels[-1], 2 * z)),
        nn.Sequential(conv3x3(z, channels[-1]), *decoder),
        x_shape=(3, size, size),
        z_shape=(z, side, side),
        tanh=True,
        clamp=True,
    )


def conv3x3(channels_in: int, channels_out: int) -> nn.Conv2d:
    """A convolution that keeps height and width, without biases."""
    return nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)


def doubled(channels_in: int, channels_out: int) -> nn.Sequential:
    """Every pixel repeated twice in each direction, and a convolution of what comes out."""
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(channels_in, channels_out, 3, padding=1))


def stack(channels_in: int, channels_out: int, count: int, groups: int) -> list[nn.Module]:
    """count residual blocks, the first of which changes the number of channels."""
    widths = itertools.pairwise((channels_in, *[channels_out] * count))
    return [ResidualBlock(before, after, groups=groups) for before, after in widths]


def require_multiple(size: int, unit: int) -> None:
    """Raise ValueError unless images of this size can be halved down and doubled back."""
    if size < 1 or size % unit:
        raise ValueError(f"the image size must be a multiple of {unit}, got {size}")
