"""What a training will cost, before it starts: parameters, multiply-adds, memory and time."""

import html
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from vae_course.models.celeba import ImageVAE
from vae_course.recipes import Recipe, objective

# Operations a second, dense, as in NVIDIA's data sheets: T4 (2019), A100 (2020), H100 SXM (2022). The H100's sheet
# gives its tensor cores with sparsity, twice these values. "tf32" is what PyTorch uses for the convolutions of a
# model in 32 bits on A100 and H100, unless told not to; a T4 has neither tf32 nor bf16.
PEAK = {
    "T4": {"fp32": 8.1e12, "fp16": 65e12},
    "A100": {"fp32": 19.5e12, "tf32": 156e12, "fp16": 312e12, "bf16": 312e12},
    "H100": {"fp32": 66.9e12, "tf32": 494.7e12, "fp16": 989.4e12, "bf16": 989.4e12},
}
PASSES = 3  # of a training step, in forward passes: backward computes as much for the inputs, and again for the weights


@dataclass(frozen=True)
class Row:
    """One layer, for one image."""

    layer: str
    output: tuple[int, ...]  # without the batch
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Memory:
    """Bytes that a training step needs at the end of its forward pass, when it needs most."""

    weights: int
    gradients: int
    moments: int  # Adam's two
    average: int  # the moving average of the weights
    activations: int  # kept for the backward pass

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.moments + self.average + self.activations


def summary(model: nn.Module, x_shape: Sequence[int]) -> list[Row]:
    """A row for each layer, in the order of the forward pass, for one image of x_shape (C, H, W).

    An `ImageVAE` is followed from x to the decoded image. Nothing is computed: the pass runs on PyTorch's meta device,
    where tensors have shapes and no values. Multiply-adds are those of convolutions and matrix products, half of what
    torch.utils.flop_counter counts; activations, norms and resampling are not counted.
    Raises ValueError, as the model does, on a shape that it cannot take.
    """
    x = torch.empty(1, *x_shape, device="meta")
    inputs = (x, torch.empty(1, *model.z_shape, device="meta")) if isinstance(model, ImageVAE) else (x,)
    outputs: dict[str, tuple[int, ...]] = {}  # by layer, in the order of the calls

    def note(name: str) -> Callable[..., None]:
        return lambda module, args, output: outputs.update({name: tuple(output.shape[1:])})

    leaves = {name: module for name, module in model.named_modules() if not list(module.children())}
    hooks = [module.register_forward_hook(note(name)) for name, module in leaves.items()]
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            functional_call(model, _on_meta(model), inputs)
    finally:
        for hook in hooks:
            hook.remove()
    flops = counter.get_flop_counts()
    root = type(model).__name__
    return [
        Row(
            layer=f"{name}: {_describe(leaves[name])}",
            output=shape,
            parameters=sum(p.numel() for p in leaves[name].parameters()),
            multiply_adds=sum(flops.get(f"{root}.{name}", {}).values()) // 2,
        )
        for name, shape in outputs.items()
    ]


def multiply_adds(model: nn.Module, x_shape: Sequence[int]) -> int:
    """Multiply-adds of one forward pass with one image. Raises as `summary` does."""
    return sum(row.multiply_adds for row in summary(model, x_shape))


def as_text(rows: Iterable[Row]) -> str:
    """The rows as a table of aligned columns, with a last line of totals."""
    cells = _cells(rows)
    widths = [max(len(line[i]) for line in cells) for i in range(4)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(line[i].rjust(widths[i]) for i in range(1, 4))]) for line in cells
    )


def as_html(rows: Iterable[Row]) -> str:
    """The rows as an HTML table, with a last line of totals."""
    head, *body = ["".join(f"<td>{html.escape(cell)}</td>" for cell in line) for line in _cells(rows)]
    head = head.replace("<td>", '<th scope="col">').replace("</td>", "</th>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(f'<tr>{line}</tr>' for line in body)}</tbody></table>"


def training_memory(
    recipe: Recipe, *, batch_size: int | None = None, precision: str = "fp32", perceptual: nn.Module | None = None
) -> Memory:
    """What a training step of the recipe keeps in memory, in bytes; batch_size: in place of the recipe's.

    The activations are measured, not estimated: a forward pass runs on the CPU with one image and with two, and what
    autograd keeps for the backward pass is added up; the rest is a straight line in the batch size. precision: "fp32"
    or "bf16" (autocast: weights, gradients and moments stay in 32 bits; so do some activations, not quite the same
    ones on a GPU). The perceptual term counts only if one is given. Not in the sum: the GPU's own context and work
    space, the data, and a perceptual network's weights. Takes seconds for the full recipes.
    Raises ValueError on another precision or a batch size below 1.
    """
    if precision not in ("fp32", "bf16"):
        raise ValueError(f"precision must be 'fp32' or 'bf16', got {precision!r}")
    n = recipe.batch_size if batch_size is None else batch_size
    if n < 1:
        raise ValueError(f"the batch size must be at least 1, got {n}")
    with torch.random.fork_rng(devices=[]):
        model = recipe.build()
    if perceptual is None:
        recipe = replace(recipe, perceptual_weight=0.0)

    def step(images: int) -> Tensor:
        x, eps = torch.full((images, *model.x_shape), 0.5), torch.zeros(images, *model.z_shape)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            return objective(recipe, model, x, eps, perceptual=perceptual)["loss"].mean()

    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    one, two = (kept_for_backward(lambda k=k: step(k), model.parameters()) for k in (1, 2))  # type: ignore[misc]
    return Memory(
        weights=weights,
        gradients=weights,
        moments=2 * weights,
        average=weights if recipe.ema else 0,
        activations=one + (n - 1) * (two - one),
    )


def kept_for_backward(run: Callable[[], Tensor], parameters: Iterable[Tensor] = ()) -> int:
    """Bytes that autograd keeps after run() until its backward pass, each storage once, parameters not counted."""
    known = {p.untyped_storage().data_ptr() for p in parameters}
    kept: dict[int, Tensor] = {}  # holding the tensors keeps their addresses from being used again

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(t.untyped_storage().nbytes() for address, t in kept.items() if address not in known)


def time_to_expect(
    multiply_adds_per_image: int, images: int, epochs: int, card: str, utilisation: float, *, precision: str = "fp16"
) -> float:
    """Seconds of training, from arithmetic alone: operations over (peak × utilisation).

    multiply_adds_per_image: of one forward pass; a training step computes three times as many, of two operations each.
    card: "T4", "A100" or "H100"; precision: "fp32", "fp16", and on the last two "tf32" and "bf16". utilisation: the
    share of the card's peak that is reached, above 0 and at most 1; 0.2 to 0.4 is usual for convolutions, and small
    models reach less. Reading images, validation and pictures come on top.
    Raises ValueError on an unknown card, a precision it has not, or numbers that cannot be meant.
    """
    if card not in PEAK:
        raise ValueError(f"card must be one of {', '.join(PEAK)}; got {card!r}")
    if precision not in PEAK[card]:
        raise ValueError(f"a {card} computes in {', '.join(PEAK[card])}; got {precision!r}")
    if not 0 < utilisation <= 1:
        raise ValueError(f"utilisation is a share, above 0 and at most 1; got {utilisation}")
    for name, value in (("multiply_adds_per_image", multiply_adds_per_image), ("images", images), ("epochs", epochs)):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be a number > 0, got {value}")
    return 2 * PASSES * multiply_adds_per_image * images * epochs / (PEAK[card][precision] * utilisation)


def _on_meta(model: nn.Module) -> dict[str, Tensor]:
    """The model's parameters and buffers, without their values."""
    return {name: value.to("meta") for name, value in (*model.named_parameters(), *model.named_buffers())}


def _describe(layer: nn.Module) -> str:
    """The layer's kind and, where they say something, its sizes."""
    numbers: list[Any] = [getattr(layer, a, None) for a in ("in_channels", "out_channels")]
    numbers = numbers if numbers[0] else [getattr(layer, a, None) for a in ("in_features", "out_features")]
    return type(layer).__name__ + (f" {numbers[0]:,} → {numbers[1]:,}" if numbers[0] else "")


def _cells(rows: Iterable[Row]) -> list[tuple[str, str, str, str]]:
    rows = list(rows)
    total = ("total", "", f"{sum(r.parameters for r in rows):,}", f"{sum(r.multiply_adds for r in rows):,}")
    return [
        ("layer", "output", "parameters", "multiply-adds"),
        *((r.layer, "×".join(map(str, r.output)), f"{r.parameters:,}", f"{r.multiply_adds:,}") for r in rows),
        total,
    ]
