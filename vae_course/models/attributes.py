"""A small classifier of faces, by attributes: a judge of decoded pictures, and a source of features."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_course import training
from vae_course.data.celeba import Faces
from vae_course.data.mnist import DataError
from vae_course.images import require_images

WIDTHS = (24, 48, 96, 128)
MEMORY = 400e6  # bytes of pictures that training takes at most: 8,138 at 64×64


class AttributeClassifier(nn.Module):
    """Four convolutions that halve the image, and one linear layer with a yes or no for each attribute.

    For images (B, 3, size, size) in [0, 1]; size a multiple of 16. Its `feature_maps` take any image of at least 16×16.
    """

    def __init__(self, size: int, names: Sequence[str]) -> None:
        super().__init__()
        if size < 16 or size % 16:
            raise ValueError(f"the image size must be a multiple of 16, got {size}")
        if not names:
            raise ValueError("there are no attributes to tell apart")
        self.size, self.names = size, tuple(names)
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU())
            for before, after in zip((3, *WIDTHS), WIDTHS, strict=False)
        )
        self.head = nn.Linear(WIDTHS[-1] * (size // 16) ** 2, len(self.names))

    def feature_maps(self, x: Tensor) -> list[Tensor]:
        """What each level sees. x: (B, 3, H, W) in [0, 1] -> four of (B, C, H/2, W/2), ... (B, C, H/16, W/16)."""
        maps, h = [], 4 * x - 2  # about zero mean and unit variance
        for level in self.levels:
            h = level(h)
            maps.append(h)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        """Logits, one for each attribute. x: (B, 3, size, size) -> (B, A). Raises ValueError on another shape."""
        if x.shape[1:] != (3, self.size, self.size):
            raise ValueError(f"this classifier takes images (B, 3, {self.size}, {self.size}), got {tuple(x.shape)}")
        return self.head(self.feature_maps(x)[-1].flatten(1))

    @torch.no_grad()
    def probabilities(self, x: Tensor, *, batch_size: int = 500) -> Tensor:
        """p(attribute | x) of each attribute by itself. x: (N, 3, size, size) in [0, 1] -> (N, A)."""
        require_images(x)
        return torch.cat([self(part).sigmoid() for part in x.split(batch_size)])

    @torch.no_grad()
    def features(self, x: Tensor, *, batch_size: int = 500) -> Tensor:
        """The last level, averaged over space, for a Fréchet distance. x: (N, 3, H, W) in [0, 1] -> (N, 128)."""
        require_images(x)
        return torch.cat([self.feature_maps(part)[-1].mean(dim=(2, 3)) for part in x.split(batch_size)])


def attribute_loss(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """-log p(y|x), summed over attributes, in nats, and the share of attributes told right: "loss", "accuracy", (B,).

    x: (B, 3, H, W), y: (B, A) bool. For `training.fit(classifier, (x, y), loss=attribute_loss)`.
    Raises ValueError if y has another shape than the model's answer.
    """
    logits = model(x)
    loss = F.binary_cross_entropy_with_logits(logits, y.to(logits.dtype), reduction="none").sum(dim=1)
    return {"loss": loss, "accuracy": ((logits > 0) == y).float().mean(dim=1)}


def train_classifier(
    faces: Faces, *, seed: int = 0, epochs: int = 4, device: torch.device | str = "cpu"
) -> AttributeClassifier:
    """A classifier of the faces' attributes, trained on their training split; in evaluation mode, on device.

    The same seed gives the same weights, and the global random state is left alone. Takes as many images, drawn by the
    seed, as fit into 400 MB. Raises DataError if the faces have no attributes or no training images.
    """
    if faces.attributes is None:
        raise DataError(
            "these pictures have no attributes, so no classifier can be trained on them: use CelebA or drawn faces"
        )
    rng = np.random.default_rng(seed)
    rows = rng.permutation(faces.splits["train"])[: int(MEMORY / (12 * faces.size**2))]
    if len(rows) == 0:
        raise DataError("the training split is empty: there is nothing to train a classifier on")
    rows = np.sort(rows)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AttributeClassifier(faces.size, faces.attribute_names)
    y = torch.from_numpy(np.asarray(faces.attributes)[rows])
    training.fit(
        model.to(device),
        (faces.batch(rows), y),
        epochs=epochs,
        batch_size=64,
        lr=2e-3,
        loss=attribute_loss,
        generator=torch.Generator().manual_seed(seed),
    )
    return model
