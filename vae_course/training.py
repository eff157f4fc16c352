"""The training loop, once: forward, zero-grad, backward, step."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from vae_course.data.batches import batches
from vae_course.images import require_images
from vae_course.losses import negative_elbo

Loss = Callable[..., dict[str, Tensor]]
History = list[dict[str, float]]


def fit(
    model: nn.Module,
    train: Tensor | Sequence[Tensor],
    *,
    epochs: int,
    loss: Loss = negative_elbo,
    test: Tensor | Sequence[Tensor] | None = None,
    batch_size: int = 128,
    lr: float = 1e-3,
    generator: torch.Generator | None = None,
    after_epoch: Callable[[int], None] | None = None,
) -> History:
    """Train with Adam under a one-cycle schedule that peaks at lr; return one row of averages an epoch.

    train, test: images (N, C, H, W) in [0, 1], or a tuple that starts with them (labels follow); they may lie on the
    CPU while the model does not. loss(model, *batch) returns tensors of shape (B,), "loss" among them; each row holds
    their means over the epoch, "epoch", "seconds" (training alone, added up), and, with test, the same means
    over the test set as "test_loss" and so on. generator orders the batches. Raises ValueError or TypeError on
    unusable images or a loss that is averaged already, FloatingPointError when the loss is no longer finite.
    """
    train, test = _as_tuple(train), None if test is None else _as_tuple(test)
    for images in (train[0], *(test[:1] if test else ())):
        require_images(images)
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    device = next(model.parameters()).device
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=lr, total_steps=epochs * math.ceil(len(train[0]) / batch_size)
    )
    history: History = []
    seconds = 0.0
    bar = tqdm(range(1, epochs + 1), "training", unit="epoch")
    for epoch in bar:
        start = time.perf_counter()
        model.train()
        sums: dict[str, Tensor] = {}
        for batch in batches(*train, size=batch_size, generator=generator):
            terms = loss(model, *(t.to(device) for t in batch))
            _require_per_example(terms, len(batch[0]))
            optimizer.zero_grad()
            terms["loss"].mean().backward()
            optimizer.step()
            schedule.step()
            for name, values in terms.items():
                sums[name] = sums.get(name, 0) + values.detach().sum()
        row = {name: total.item() / len(train[0]) for name, total in sums.items()}
        seconds += time.perf_counter() - start
        if test:
            row |= {f"test_{name}": value for name, value in evaluate(model, test, loss=loss).items()}
        _require_finite(row, epoch)
        history.append({"epoch": epoch, "seconds": seconds, **row})
        bar.set_postfix_str(f"loss {row.get('test_loss', row['loss']):.2f}")
        if after_epoch:
            after_epoch(epoch)
    return history


@torch.no_grad()
def evaluate(
    model: nn.Module, data: Tensor | Sequence[Tensor], *, loss: Loss = negative_elbo, batch_size: int = 1000
) -> dict[str, float]:
    """Means of loss's terms over data, in evaluation mode; the model's mode is restored."""
    data = _as_tuple(data)
    require_images(data[0])
    device, was_training = next(model.parameters()).device, model.training
    model.eval()
    sums: dict[str, float] = {}
    for batch in batches(*data, size=batch_size, shuffle=False):
        terms = loss(model, *(t.to(device) for t in batch))
        _require_per_example(terms, len(batch[0]))
        for name, values in terms.items():
            sums[name] = sums.get(name, 0.0) + values.sum().item()
    model.train(was_training)
    return {name: total / len(data[0]) for name, total in sums.items()}


def _as_tuple(data: Any) -> tuple[Tensor, ...]:
    return (data,) if isinstance(data, Tensor) else tuple(data)


def _require_per_example(terms: dict[str, Tensor], n: int) -> None:
    for name, values in terms.items():
        if values.shape != (n,):
            raise ValueError(
                f"loss must return one number per example, shape ({n},), got {tuple(values.shape)} for {name!r}: "
                "sum over pixels and latents, and leave the average over the batch to the loop"
            )


def _require_finite(row: dict[str, float], epoch: int) -> None:
    if not all(math.isfinite(value) for value in row.values()):
        raise FloatingPointError(
            f"the loss is no longer finite in epoch {epoch} ({row}): lower lr, and look for a variance that "
            "can shrink to zero or a logarithm of zero"
        )
