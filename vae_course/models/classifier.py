"""A small classifier of digits: the judge that never saw a generated picture, and the source of features."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_course.images import require_images


class DigitClassifier(nn.Module):
    """Two strided convolutions, a layer of 64 features, and ten classes; for 28×28 digits."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1),  # (B, 16, 14, 14)
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),  # (B, 32, 7, 7)
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 7 * 7, 64),
            nn.ReLU(),
        )
        self.head = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the classes. x: (B, 1, 28, 28) -> (B, classes)."""
        return self.head(self.body(x))

    @torch.no_grad()
    def features(self, x: Tensor, *, batch_size: int = 1000) -> Tensor:
        """What the classifier sees in x before it decides. x: (N, 1, 28, 28) -> (N, 64)."""
        require_images(x)
        return torch.cat([self.body(part) for part in x.split(batch_size)])

    @torch.no_grad()
    def probabilities(self, x: Tensor, *, batch_size: int = 1000) -> Tensor:
        """p(class | x). x: (N, 1, 28, 28) -> (N, classes), each row adding up to 1."""
        require_images(x)
        return torch.cat([self(part).softmax(dim=1) for part in x.split(batch_size)])


def classification_loss(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """-log p(y|x), and whether the likeliest class is y: "loss" and "accuracy", each (B,).

    x: (B, C, H, W), y: (B,) long. For `training.fit(classifier, (x, y), loss=classification_loss)`.
    """
    logits = model(x)
    return {"loss": F.cross_entropy(logits, y, reduction="none"), "accuracy": (logits.argmax(dim=1) == y).float()}
