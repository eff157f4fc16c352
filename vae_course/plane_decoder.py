"""A decoder on a plane: the same images from a fraction of its weights, as data for a page that computes them.

Over a plane the outputs of a layer vary in a few dozen directions only. A layer is replaced by two thin ones through
the principal directions of what it computes there; the weights are rounded to 16 bits, and what that does to the
images is measured.
"""

import base64
import copy
import itertools
from typing import Any

import torch
from torch import Tensor, nn

from vae_course.models.vae import VAE

KNOWN = (nn.Linear, nn.ReLU, nn.SiLU, nn.Unflatten, nn.ConvTranspose2d)
AGREEMENT = 1 / 255  # of pixels with the model's: half of what a pad promises, whose canvas rounds to whole 255ths
TOLERANCES = [1e-3 * 2 ** (-k / 2) for k in range(12)] + [0.0]  # directions smaller than this, relatively, are dropped


def layers_of(model: VAE) -> list[nn.Module]:
    """Copies of the decoder's layers, in their order, on the CPU; ValueError on one that a pad cannot compute."""
    decoder = copy.deepcopy(model.decoder).float().cpu()
    layers = [layer for layer in decoder.modules() if not isinstance(layer, nn.Sequential)]
    for layer in layers:
        plain = not isinstance(layer, nn.ConvTranspose2d) or (layer.groups == 1 and layer.dilation == (1, 1))
        if type(layer) not in KNOWN or not plain:
            names = ", ".join(kind.__name__ for kind in KNOWN)
            raise ValueError(f"a pad cannot compute {str(layer).splitlines()[0]}: its decoder is made of {names}")
    if not layers or not isinstance(layers[0], nn.Linear):
        raise ValueError("a pad's decoder begins with a Linear layer")
    if layers[0].in_features != model.z_dim:
        raise ValueError(f"the decoder takes latents of size {layers[0].in_features}, the model has {model.z_dim}")
    return layers


@torch.no_grad()
def cut_down(
    layers: list[nn.Module], origin: Tensor, basis: Tensor, *, fit: Tensor, check: Tensor, pixels: Tensor
) -> tuple[nn.Sequential, float]:
    """The smallest network, of those tried, from points to logits, within 1/255 of pixels at check; and its error.

    A point (x, y) stands for z = origin + x·basis[0] + y·basis[1]; origin: (D,), basis: (2, D). Directions are those
    at the points fit (G, 2); pixels (K, C, H, W) are the model's at check (K, 2). Raises ValueError if no network
    agrees: then the model is not its decoder's layers, one after another.
    """
    first, rest = layers[0], layers[1:]
    assert isinstance(first, nn.Linear)
    on_plane = _linear(first.weight @ basis.T, first(origin))
    h = on_plane(fit)
    directions = []
    for layer in rest:
        directions.append(_directions(layer, h) if isinstance(layer, nn.Linear) else None)
        h = layer(h)
    for tolerance in TOLERANCES:
        thin = [_thin(*each, tolerance) if each else [layer] for layer, each in zip(rest, directions, strict=True)]
        network = nn.Sequential(*map(_rounded, [on_plane, *itertools.chain(*thin)]))
        error = (network(check).sigmoid() - pixels).abs().max().item()
        if error <= AGREEMENT:
            return network, error
    raise ValueError(
        f"the page's pixels would be {error * 255:.1f}/255 away from the model's: is model.decode more than the layers "
        "of model.decoder, one after another?"
    )


def _directions(linear: nn.Linear, h: Tensor) -> tuple[nn.Linear, Tensor, Tensor, Tensor]:
    """linear with the mean of its outputs y over h (G, in), and the principal directions of y with their sizes."""
    y = (h @ linear.weight.T).double()  # (G, out), without the bias
    mean = y.mean(0)
    _, sizes, rows = torch.linalg.svd(y - mean, full_matrices=False)
    return linear, mean.float(), rows.float(), sizes


def _thin(linear: nn.Linear, mean: Tensor, rows: Tensor, sizes: Tensor, tolerance: float) -> list[nn.Module]:
    """linear as two layers through its directions above tolerance, relative to the largest, if these are smaller."""
    kept = rows[: max(1, int((sizes > tolerance * sizes[0]).sum()))]  # (rank, out)
    inner, outer = kept @ linear.weight, kept.T
    if inner.numel() + outer.numel() >= linear.weight.numel():
        return [linear]
    bias = mean - outer @ (kept @ mean) + (0 if linear.bias is None else linear.bias)
    return [_linear(inner, torch.zeros(len(inner))), _linear(outer, bias)]


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    # without nn.Linear's own initial weights, which would move the caller's random numbers on
    layer = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0])
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
    return layer


def _rounded(layer: nn.Module) -> nn.Module:
    """layer with the weights that the page will have."""
    layer = copy.deepcopy(layer)
    if isinstance(layer, nn.Linear | nn.ConvTranspose2d):
        rows, scales = _sixteen_bits(layer.weight)
        layer.weight.copy_((rows * scales).view_as(layer.weight))
    return layer


def _sixteen_bits(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers up to 32767 and a scale for each row, which they are multiplied by: (rows, columns), (rows, 1)."""
    rows = weight.flatten(1)
    scales = rows.abs().amax(1, keepdim=True).clamp_min(1e-30) / 32767
    return (rows / scales).round(), scales


def as_data(network: nn.Sequential) -> list[dict[str, Any]]:
    """The layers of what cut_down returns as pad.html reads them: JSON, with numbers in base64."""
    data: list[dict[str, Any]] = []
    h = torch.zeros(1, 2)
    for layer in network:
        before, h = h, layer(h)
        if isinstance(layer, nn.ReLU | nn.SiLU):
            data.append({"kind": type(layer).__name__.lower()})
        elif isinstance(layer, nn.Linear):
            data.append({"kind": "linear", **_weights(layer, layer.out_features)})
        elif isinstance(layer, nn.ConvTranspose2d):
            shapes = {"from": before.shape[1:], "to": h.shape[1:], "kernel": layer.kernel_size}
            steps = {"stride": layer.stride, "padding": layer.padding}
            data.append({"kind": "conv_transpose", **shapes, **steps, **_weights(layer, layer.out_channels)})
    return data


def _weights(layer: nn.Linear | nn.ConvTranspose2d, outputs: int) -> dict[str, str]:
    rows, scales = _sixteen_bits(layer.weight)
    bias = torch.zeros(outputs) if layer.bias is None else layer.bias
    return {"rows": _base64(rows, "<i2"), "scales": _base64(scales, "<f4"), "bias": _base64(bias, "<f4")}


def _base64(numbers: Tensor, kind: str) -> str:
    return base64.b64encode(numbers.detach().numpy().astype(kind).tobytes()).decode()
