"""Named trainings of a VAE on faces: network, objective and settings, all numbers in one place.

    flat-32, perceptual-12m, residual-spatial       for a GPU, 128×128
    flat-32-small, perceptual-12m-small, residual-spatial-small       the same ideas, 64×64, for a laptop

The objectives do not all have the usual form -ELBO; `Recipe.effective` says what each weight amounts to.
"""

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from torch import Tensor, nn

from vae_course.images import require_images
from vae_course.losses import kl_to_standard_normal
from vae_course.models.celeba import ImageVAE, convolutional, flat, residual_spatial

# what a field that is a word may say
CHOICES = {
    "family": ("flat", "perceptual", "residual-spatial"),
    "rec": ("sse", "l1"),
    "reduction": ("sum", "mean"),
    "schedule": ("constant", "one-cycle"),
    "when_nan": ("stop", "skip"),
    "split": ("official", "80/20"),
}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a run computes, except data, seed and machine.

    Raises ValueError on a word that is not among the known ones, or a number that cannot be meant.
    """

    name: str
    family: str  # "flat", "perceptual" or "residual-spatial": which builder of models/celeba.py
    # network
    size: int  # height and width of the images
    channels: tuple[int, ...]  # of each level, from the image inwards
    z: int  # latents of a flat one, channels of a spatial one
    # objective
    rec: str  # "sse" or "l1", of pixels in [0, 1]
    reduction: str  # "sum" over pixels and latents; "mean" over them, the one named exception
    kl_weight: float
    # training
    lr: float
    batch_size: int
    epochs: int
    perceptual_weight: float = 0.0  # of a perceptual distance; 0: none
    blocks: tuple[int, ...] = ()  # residual blocks of each level, where there are any
    groups: int = 0  # of each GroupNorm, where there are any
    schedule: str = "constant"  # of the learning rate
    beta_annealing: float = 0.0  # share of the steps over which the KL's weight rises from 0
    ema: float = 0.999  # decay of the moving average of the weights
    clip: float = 0.0  # largest norm of the gradient; 0: any
    when_nan: str = "stop"  # or "skip" the step
    images: int | None = None  # train on so many; None: all
    split: str = "official"  # or "80/20", by the run's seed

    def __post_init__(self) -> None:
        for field, known in CHOICES.items():
            if getattr(self, field) not in known:
                raise ValueError(f"{field} must be one of {', '.join(known)}; got {getattr(self, field)!r}")
        for field in ("kl_weight", "perceptual_weight", "clip"):
            _require(field, getattr(self, field), "a finite number >= 0", lambda v: math.isfinite(v) and v >= 0)
        _require("lr", self.lr, "a finite number > 0", lambda v: math.isfinite(v) and v > 0)
        _require("beta_annealing", self.beta_annealing, "a share, 0 to 1", lambda v: 0 <= v <= 1)
        _require("ema", self.ema, "a decay, at least 0 and below 1", lambda v: 0 <= v < 1)
        for field in ("size", "z", "batch_size", "epochs", *(["images"] if self.images is not None else [])):
            _require(field, getattr(self, field), "a whole number of at least 1", _is_count)
        for field in ("channels", "blocks"):
            _require(field, getattr(self, field), "a list of whole numbers", lambda v: isinstance(v, (tuple, list)))
            object.__setattr__(self, field, tuple(getattr(self, field)))  # JSON knows lists only
            for value in getattr(self, field):
                _require(field, value, "whole numbers of at least 1", _is_count)
        if not self.channels:
            raise ValueError("channels must name at least one level, got none")

    def build(self) -> ImageVAE:
        """The model, with first weights from the global seed. Raises ValueError on a size that cannot be halved."""
        if self.family == "flat":
            return flat(self.size, self.channels, self.z, self.groups)
        if self.family == "perceptual":
            return convolutional(self.size, self.channels, self.z, self.groups)
        return residual_spatial(self.size, self.channels, self.z, self.blocks, self.groups)

    @property
    def pixels(self) -> int:
        """How many values an image has: 3·size²."""
        return 3 * self.size**2

    @property
    def latents(self) -> int:
        """How many values z has."""
        return (
            self.z * (self.size // 2 ** (len(self.channels) - 1)) ** 2 if self.family == "residual-spatial" else self.z
        )

    def effective(self) -> dict[str, float]:
        """What the weights amount to once sums, means and factors are gathered: lesson 04's reductions lab.

        "kl_weight": of a KL summed over latents, beside a reconstruction error summed over pixel values.
        For a squared error, ‖x - m‖² + w·KL is 2σ²·(-ELBO) of a Gaussian decoder with σ² = w/2, up to a constant:
        "variance" and "sigma", in pixels of [0, 1]; "beta" is that variance, as lesson 04 counts it.
        For an absolute error, |x - m| + w·KL is b·(-ELBO) of a Laplace decoder of scale b = w: "scale".
        With a perceptual distance both hold only for the loss without it; "perceptual_weight" is its weight beside the
        summed reconstruction error. Where the KL is averaged, "if_kl_were_summed" is what "kl_weight" would be if it
        were not.
        """
        averaged = self.reduction == "mean"
        weight = self.kl_weight * (self.pixels / self.latents if averaged else 1)
        found = {"kl_weight": weight}
        if self.rec == "sse":
            found |= {"variance": weight / 2, "sigma": math.sqrt(weight / 2), "beta": weight / 2}
        else:
            found |= {"scale": weight}
        if self.perceptual_weight:
            found |= {"perceptual_weight": self.perceptual_weight * (self.pixels if averaged else 1)}
        if averaged:
            found |= {"if_kl_were_summed": self.kl_weight * self.pixels}
        return found

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values, for JSON; `from_dict` reads them back, also after JSON made tuples lists."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Recipe":
        """The recipe that `as_dict` described. Raises ValueError on fields that are unknown or missing."""
        known = {field.name for field in fields(cls)}
        if set(values) != known:
            unknown, missing = sorted(set(values) - known), sorted(known - set(values))
            raise ValueError(f"this is no recipe of this version: unknown fields {unknown}, missing fields {missing}")
        return cls(**values)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _require(field: str, value: Any, want: str, holds: Any) -> None:
    if isinstance(value, (str, bool)) or not holds(value):
        raise ValueError(f"{field} must be {want}, got {value!r}")


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="flat-32",
            family="flat",
            size=128,
            channels=(128, 256, 256, 256),
            z=32,
            rec="sse",
            reduction="sum",
            kl_weight=1.0,  # σ² = 1/2: our choice, the source does not say
            lr=5e-4,
            batch_size=32,
            epochs=200,
            split="80/20",
        ),
        Recipe(
            name="flat-32-small",
            family="flat",
            size=64,
            channels=(16, 32, 32, 32),
            groups=2,  # the full one has no norms; they help most in a training this short
            z=64,  # CelebA's faces vary less than the drawn ones, of which each part varies by itself
            rec="sse",
            reduction="sum",
            kl_weight=0.25,  # flat-32's balance: a quarter of its pixels
            lr=5e-3,
            batch_size=16,
            epochs=20,
            schedule="one-cycle",
            ema=0.99,
            split="80/20",
        ),
        Recipe(
            name="perceptual-12m",
            family="perceptual",
            size=128,
            channels=(32, 64, 128, 256, 512),
            groups=4,
            z=384,
            rec="l1",
            reduction="mean",
            kl_weight=0.02,
            perceptual_weight=1.0,
            images=15_000,
            # the rest is our choice
            lr=5e-4,
            batch_size=64,
            epochs=100,
            schedule="one-cycle",
            clip=1.0,
        ),
        Recipe(
            name="perceptual-12m-small",
            family="perceptual",
            size=64,
            channels=(16, 32, 64),
            groups=2,
            z=128,
            rec="l1",
            reduction="mean",
            kl_weight=0.02,
            perceptual_weight=1.0,
            images=15_000,
            # the rest is our choice: small batches, because steps count for more than images in a short run
            lr=3e-3,
            batch_size=16,
            epochs=20,
            schedule="one-cycle",
            ema=0.99,
            clip=1.0,
        ),
        Recipe(
            name="residual-spatial",
            family="residual-spatial",
            size=128,
            channels=(64, 128, 256, 512),
            blocks=(1, 2, 2, 3),  # 34.0 million parameters; one where the images are largest and blocks dearest
            groups=32,
            z=4,
            rec="sse",
            reduction="sum",
            kl_weight=0.1,
            # the rest is our choice
            lr=2e-4,
            batch_size=32,
            epochs=50,
            schedule="one-cycle",
            clip=1000.0,  # of a loss summed over 49,152 pixel values: stops explosions, not learning
            when_nan="skip",
        ),
        Recipe(
            name="residual-spatial-small",
            family="residual-spatial",
            size=64,
            channels=(16, 32, 64, 64),
            blocks=(1, 1, 1, 1),
            groups=2,
            z=4,
            rec="sse",
            reduction="sum",
            kl_weight=0.1,
            # the rest is our choice
            lr=2e-3,
            batch_size=32,
            epochs=20,
            schedule="one-cycle",
            ema=0.99,
            when_nan="skip",
        ),
    )
}


def recipe(name: str, **changes: Any) -> Recipe:
    """The named recipe, with some fields changed: recipe("flat-32-small", epochs=2).

    Raises ValueError, naming the known ones, on another name or field.
    """
    if name not in RECIPES:
        raise ValueError(f"there is no recipe {name!r}; there are {', '.join(RECIPES)}")
    known = [field.name for field in fields(Recipe)]
    if unknown := sorted(set(changes) - set(known)):
        raise ValueError(f"a recipe has no {', '.join(unknown)}; it has {', '.join(known)}")
    return replace(RECIPES[name], **changes)


def objective(
    recipe: Recipe,
    model: nn.Module,
    x: Tensor,
    eps: Tensor,
    *,
    kl_weight: float | None = None,
    perceptual: nn.Module | None = None,
) -> dict[str, Tensor]:
    """What the recipe minimises, and its parts, through one sample z = mu + sigma·eps. Each value is (B,).

    model: an `ImageVAE`, or a wrapper that hands model(x, eps) on to one. x: (B, 3, size, size) in [0, 1];
    eps: (B, *z_shape), standard normal noise. kl_weight: in place of the recipe's, while it is annealed.
    perceptual(a, b): (B, 3, H, W) twice -> (B,), needed where the recipe has a perceptual_weight, and only there.

    "rec"         Σ over pixel values of (x - mean)² or |x - mean|: a plain error, no likelihood, so not in nats
    "kl"          KL( q(z|x) || N(0, I) ), summed over latents, in nats
    "perceptual"  the distance between x and mean, as perceptual gives it (only with a perceptual_weight)
    "loss"        reduction "sum":  rec + kl_weight·kl + perceptual_weight·perceptual
                  reduction "mean": rec/pixels + kl_weight·kl/latents + perceptual_weight·perceptual

    So "rec" and "kl" are sums in every recipe and can be compared between them. Raises ValueError on shapes, x outside
    [0, 1], a kl_weight that is negative or not finite, or a perceptual distance that is missing or not asked for.
    """
    weight = recipe.kl_weight if kl_weight is None else kl_weight
    _require("kl_weight", weight, "a finite number >= 0", lambda v: math.isfinite(v) and v >= 0)
    if (perceptual is None) == (recipe.perceptual_weight > 0):
        need = "needs" if perceptual is None else "has no place for"
        raise ValueError(
            f"{recipe.name} {need} a perceptual distance: its perceptual_weight is {recipe.perceptual_weight}"
        )
    require_images(x)
    mean, mu, logvar = model(x, eps)
    error = (x - mean) ** 2 if recipe.rec == "sse" else (x - mean).abs()  # (B, 3, size, size)
    rec = error.flatten(1).sum(dim=1)
    kl = kl_to_standard_normal(mu.flatten(1), logvar.flatten(1))
    averaged = recipe.reduction == "mean"
    loss = rec / recipe.pixels + weight * kl / recipe.latents if averaged else rec + weight * kl
    if perceptual is None:
        return {"loss": loss, "rec": rec, "kl": kl}
    # NaN goes on to the gradient, where the loop finds it; the distance would call it a wrong range
    distance = perceptual(x, mean) if mean.isfinite().all() else math.nan * mean.flatten(1).sum(dim=1)
    return {"loss": loss + recipe.perceptual_weight * distance, "rec": rec, "kl": kl, "perceptual": distance}
