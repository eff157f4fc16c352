"""The training loop, once: forward, zero-grad, backward, step."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from vae_course.data.batches import batches
from vae_course.images import require_images
from vae_course.losses import negative_elbo
from vae_course.schedules import one_cycle

Loss = Callable[..., dict[str, Tensor]]
History = list[dict[str, float]]
Schedule = Callable[[int, int], float]  # (step, steps) -> value; steps count from 0


def fit(
    model: nn.Module,
    train: Tensor | Sequence[Tensor],
    *,
    epochs: int,
    loss: Loss = negative_elbo,
    test: Tensor | Sequence[Tensor] | None = None,
    batch_size: int = 128,
    lr: float = 1e-3,
    beta: Schedule | None = None,
    generator: torch.Generator | None = None,
    precision: str = "fp32",
    after_epoch: Callable[[int], None] | None = None,
) -> History:
    """Train with Adam under a one-cycle schedule that peaks at lr; return one row of averages an epoch.

    train, test: images (N, C, H, W) in [0, 1], or a tuple that starts with them (labels follow); they may lie on the
    CPU while the model does not. loss(model, *batch) returns tensors of shape (B,), "loss" among them; each row holds
    their means over the epoch, "epoch", "seconds" (training alone, added up), and, with test, the same means over the
    test set as "test_loss" and so on. beta, `schedules.linear_annealing` for instance, gives each training step the
    weight that loss(..., beta=) then takes; the test losses use the loss's own. generator orders the batches.
    precision is "fp32", "bf16", or "auto": bf16 if a short trial shows it faster; the choice is printed, and depends
    on the machine and its load. Raises ValueError or TypeError on unusable images or a loss that is averaged already,
    FloatingPointError when the loss is no longer finite. The model comes back in evaluation mode.
    """
    train, test = _as_tuple(train), None if test is None else _as_tuple(test)
    for images in (train[0], *(test[:1] if test else ())):
        require_images(images)
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if not (math.isfinite(lr) and lr > 0):
        raise ValueError(f"lr must be a finite number > 0, got {lr}")
    device = next(model.parameters()).device
    if precision == "auto":
        precision = _faster_precision(model, loss, [t[:batch_size].to(device) for t in train])
    elif precision not in ("fp32", "bf16"):
        raise ValueError(f"precision must be 'fp32', 'bf16' or 'auto', got {precision!r}")
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    steps = math.ceil(len(train[0]) / batch_size)  # in an epoch
    history: History = []
    seconds = 0.0
    bar = tqdm(range(1, epochs + 1), "training", unit="epoch")
    for epoch in bar:
        start = time.perf_counter()
        now = range((epoch - 1) * steps, epoch * steps)
        rates = [one_cycle(step, epochs * steps, peak=lr) for step in now]
        weights = [{"beta": beta(step, epochs * steps)} if beta else {} for step in now]
        order = batches(*train, size=batch_size, generator=generator)
        row = _train_epoch(model, zip(order, rates, weights, strict=True), loss, optimizer, precision)
        seconds += time.perf_counter() - start
        if test:
            row |= {f"test_{name}": value for name, value in evaluate(model, test, loss=loss).items()}
        _require_finite(row, epoch)
        history.append({"epoch": epoch, "seconds": seconds, **row})
        bar.set_postfix_str(f"loss {row.get('test_loss', row['loss']):.2f}")
        if after_epoch:
            after_epoch(epoch)
    if not all(p.isfinite().all() for p in model.parameters()):  # no loss was computed after the last step
        raise FloatingPointError("the last step left weights that are not finite: a lower learning rate may help")
    model.eval()
    return history


def _train_epoch(
    model: nn.Module,
    scheduled: Iterable[tuple[tuple[Tensor, ...], float, dict[str, float]]],
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    precision: str,
) -> dict[str, float]:
    """One pass over batches, each with its learning rate and loss weights; each term's mean over the examples."""
    device, count = next(model.parameters()).device, 0
    sums: dict[str, Tensor] = {}
    model.train()
    for batch, rate, weights in scheduled:
        optimizer.param_groups[0]["lr"] = rate
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            terms = loss(model, *(t.to(device) for t in batch), **weights)
        _require_per_example(terms, len(batch[0]))
        optimizer.zero_grad()
        terms["loss"].mean().backward()
        optimizer.step()
        count += len(batch[0])
        for name, values in terms.items():
            sums[name] = sums.get(name, 0) + values.detach().float().sum()  # bf16 would lose small addends
    return {name: total.item() / count for name, total in sums.items()}


@torch.no_grad()
def evaluate(
    model: nn.Module, data: Tensor | Sequence[Tensor], *, loss: Loss = negative_elbo, batch_size: int = 1000
) -> dict[str, float]:
    """Means of loss's terms over data, in evaluation mode, with the same random numbers at each call.

    The model's mode and the global random state are left as they were. Raises as `fit` does on unusable images.
    """
    data = _as_tuple(data)
    require_images(data[0])
    device, modes = next(model.parameters()).device, {module: module.training for module in model.modules()}
    model.eval()
    sums: dict[str, float] = {}
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(0)
            for batch in batches(*data, size=batch_size, shuffle=False):
                terms = loss(model, *(t.to(device) for t in batch))
                _require_per_example(terms, len(batch[0]))
                for name, values in terms.items():
                    sums[name] = sums.get(name, 0.0) + values.sum().item()
    finally:
        for module, mode in modes.items():
            module.training = mode
    return {name: total / len(data[0]) for name, total in sums.items()}


def _faster_precision(model: nn.Module, loss: Loss, batch: Sequence[Tensor]) -> str:
    """Time forward and backward passes in both precisions, taking turns; no weight and no global state changes."""
    device = batch[0].device
    seconds = {"fp32": math.inf, "bf16": math.inf}
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for _ in range(8):
            for name in seconds:
                start = time.perf_counter()
                with torch.autocast(device.type, torch.bfloat16, enabled=name == "bf16"):
                    mean = loss(model, *batch)["loss"].mean()
                mean.backward()
                mean.item()  # waits for the device
                seconds[name] = min(seconds[name], time.perf_counter() - start)
    model.zero_grad()
    chosen = min(seconds, key=lambda name: seconds[name])
    print(f"precision: {chosen} (a step takes {', '.join(f'{s * 1000:.1f} ms in {n}' for n, s in seconds.items())})")
    return chosen


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
