"""Sheet 04: a VAE from PyTorch's functions, its likelihoods, and the weights that its losses hide."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from vae_course.checks.answer import Answer, Finding
from vae_course.checks.check import check
from vae_course.checks.formula import Mistake, as_float64, examine_formula, is_numpy, named, with_plain_numbers

Array = NDArray[Any]
Params = dict[str, Tensor]


def require_gradients(result: Tensor, inputs: Params, name: str, hint: str) -> tuple[Tensor, ...]:
    """The gradient of the summed result with respect to each input; a Finding called `name` where one gets none."""
    found: tuple[Tensor | None, ...] = (None,)
    if result.requires_grad:
        found = torch.autograd.grad(result.sum(), list(inputs.values()), allow_unused=True, retain_graph=True)
    gradients = tuple(each for each in found if each is not None)
    if len(gradients) < len(inputs):
        raise Finding("mistake", hint, name)
    return gradients


# ---- sizes and parameters of a chain of convolutions --------------------------------------------------

Layers = Sequence[tuple[int, int, int, int]]  # (channels out, kernel, stride, padding)


def chain(
    shape: tuple[int, int, int],
    layers: Layers,
    side: Callable[[int, int, int, int], int] = lambda n, k, s, p: (n + 2 * p - k) // s + 1,
    count: Callable[[int, int, int], int] = lambda before, after, k: after * (before * k * k + 1),
) -> tuple[int, int, int, int]:
    """Channels, height and width at the end, and all parameters; `side` is one layer's size, `count` its parameters."""
    channels, rows, columns = shape
    parameters = 0
    for after, kernel, stride, padding in layers:
        parameters += count(channels, after, kernel)
        rows, columns = (side(n, kernel, stride, padding) for n in (rows, columns))
        channels = after
    return channels, rows, columns, parameters


def sides(name: str, hint: str, side: Callable[[int, int, int, int], int]) -> Mistake:
    return Mistake(name, hint, lambda shape, layers: chain(shape, layers, side=side))


def counts(name: str, hint: str, count: Callable[[int, int, int], int]) -> Mistake:
    return Mistake(name, hint, lambda shape, layers: chain(shape, layers, count=count))


def first_channels_kept(shape: tuple[int, int, int], layers: Layers) -> tuple[int, ...]:
    return chain(shape, layers, count=lambda before, after, k: after * (shape[0] * k * k + 1))


def last_layer_only(shape: tuple[int, int, int], layers: Layers) -> tuple[int, ...]:
    before = ([shape[0]] + [layer[0] for layer in layers])[-2]
    after, kernel = layers[-1][:2]
    return (*chain(shape, layers)[:3], after * (before * kernel**2 + 1))


def first_layer_only(shape: tuple[int, int, int], layers: Layers) -> tuple[int, ...]:
    return chain(shape, layers[:1])


def height_for_width(shape: tuple[int, int, int], layers: Layers) -> tuple[int, ...]:
    channels, height, _, parameters = chain(shape, layers)
    return channels, height, height, parameters


def sides_exchanged(shape: tuple[int, int, int], layers: Layers) -> tuple[int, ...]:
    channels, height, width, parameters = chain(shape, layers)
    return channels, width, height, parameters


def parameters_first(shape: tuple[int, int, int], layers: Layers) -> tuple[int, ...]:
    *sizes, parameters = chain(shape, layers)
    return parameters, *sizes


BUDGET_MISTAKES = (
    counts(
        "biases left out",
        "The sizes are right. Each output channel also has a bias, one number.",
        lambda before, after, k: after * before * k * k,
    ),
    counts(
        "kernel counted along one side",
        "The sizes are right. A kernel is a square: it has as many weights as it has cells.",
        lambda before, after, k: after * (before * k + 1),
    ),
    counts(
        "input channels left out",
        "The sizes are right. Every kernel reaches through all input channels: see the shape of F.conv2d's weight.",
        lambda before, after, k: after * (k * k + 1),
    ),
    counts(
        "channels replaced too early",
        "The sizes are right. The weight needs the channels that go in: count before you replace them by the new ones.",
        lambda before, after, k: after * (after * k * k + 1),
    ),
    counts(
        "a bias for each input channel",
        "The sizes and the weights are right. A bias belongs to an output channel.",
        lambda before, after, k: after * before * k * k + before,
    ),
    counts(
        "one bias for each layer",
        "The sizes and the weights are right. A layer's bias is one number for each output channel.",
        lambda before, after, k: after * before * k * k + 1,
    ),
    Mistake(
        "channels not carried on",
        "The sizes are right. A layer's input channels are the output channels of the layer before it.",
        first_channels_kept,
    ),
    Mistake(
        "only the last layer counted",
        "The sizes are right, and so is the last layer's count: add up the layers.",
        last_layer_only,
    ),
    Mistake("only the first layer", "The first layer is right. Is the `return` inside the loop?", first_layer_only),
    sides(
        "rounded up",
        "A window that does not fit any more is not computed: the division rounds down.",
        lambda n, k, s, p: -((k - n - 2 * p) // s) + 1,
    ),
    sides(
        "padding on one side only",
        "Padding adds zeros at both ends of a side.",
        lambda n, k, s, p: (n + p - k) // s + 1,
    ),
    sides(
        "padding left out",
        "The padding makes each side longer before the window slides over it.",
        lambda n, k, s, p: (n - k) // s + 1,
    ),
    sides(
        "+ 1 left out",
        "The division counts the window's moves. There is one position more than moves: the one it starts from.",
        lambda n, k, s, p: (n + 2 * p - k) // s,
    ),
    sides(
        "stride left out",
        "With stride s the window stands at every s-th pixel only.",
        lambda n, k, s, p: n + 2 * p - k + 1,
    ),
    Mistake(
        "height used for both sides",
        "The image is not square: compute the width like the height, from its own value.",
        height_for_width,
    ),
    Mistake("height and width exchanged", "The height comes before the width, as in (B, C, H, W).", sides_exchanged),
    Mistake(
        "parameters first",
        "The numbers are right, in another order: channels, height, width, parameters.",
        parameters_first,
    ),
)


@check("04/encoder_budget", "Sizes and parameters")
def encoder_budget(answer: Answer, seed: int) -> None:
    # the sizes are fixed, so that rounding down and up differ for every seed
    rng = np.random.default_rng(seed)
    a, b, c, d = (int(n) for n in rng.permutation(np.arange(4, 12))[:4])
    cases = (
        ((3, 20, 30), [(a, 3, 2, 1), (b, 4, 2, 1), (c, 5, 3, 2)]),
        ((2, 17, 28), [(b, 3, 2, 1), (d, 3, 1, 1)]),
        ((1, 26, 23), [(d, 5, 2, 0)]),  # halves that Python's round sends up, too
    )
    examine_formula(with_plain_numbers(answer), cases, chain, BUDGET_MISTAKES, "channels, height, width and parameters")


# ---- a decoder whose sides do not simply double -------------------------------------------------------

Sizes = Sequence[tuple[int, int]]


def decoded(
    params: Params,
    z: Tensor,
    sizes: Sizes,
    *,
    relu: tuple[bool, bool] = (True, True),
    biases: tuple[bool, bool, bool] = (True, True, True),
    extra: int | None = None,
    arrange: Callable[[Tensor, int, int, int], Tensor] = lambda h, c, rows, columns: h.view(-1, c, rows, columns),
) -> Tensor:
    """relu: after the linear layer, after the first transposed one; biases: of each layer."""
    h = F.linear(z, params["dec.weight"], params["dec.bias"] if biases[0] else None)
    h = arrange(h.relu() if relu[0] else h, len(params["deconv1.weight"]), *sizes[0])
    for i, size in enumerate(sizes[1:], start=1):
        missing = [
            want - (2 * have - 1) if extra is None else extra for want, have in zip(size, h.shape[2:], strict=True)
        ]
        bias = params[f"deconv{i}.bias"] if biases[i] else None
        h = F.conv_transpose2d(h, params[f"deconv{i}.weight"], bias, 2, 1, missing)
        h = h.relu() if i == 1 and relu[1] else h
    return h


def channels_last(h: Tensor, channels: int, rows: int, columns: int) -> Tensor:
    return h.view(-1, rows, columns, channels).permute(0, 3, 1, 2)


def columns_first(h: Tensor, channels: int, rows: int, columns: int) -> Tensor:
    return h.view(-1, channels, columns, rows).transpose(2, 3)


def columns_as_rows(h: Tensor, channels: int, rows: int, columns: int) -> Tensor:
    return h.view(-1, channels, columns, rows)


def padded(params: Params, z: Tensor, sizes: Sizes) -> Tensor:
    """Zeros at the edges in place of the output padding, in both layers."""
    h = decoded(params, z, sizes[:1])
    for i, (rows, columns) in enumerate(sizes[1:], start=1):
        h = F.conv_transpose2d(h, params[f"deconv{i}.weight"], params[f"deconv{i}.bias"], 2, 1)
        h = F.pad(h, (0, columns - h.shape[3], 0, rows - h.shape[2]))
        h = h.relu() if i == 1 else h
    return h


def resized(params: Params, z: Tensor, sizes: Sizes, mode: str) -> Tensor:
    return F.interpolate(decoded(params, z, sizes, extra=0), sizes[-1], mode=mode)


def decoder(name: str, hint: str, after: Callable[[Tensor], Tensor] = lambda out: out, **changes: Any) -> Mistake:
    return Mistake(name, hint, lambda params, z, sizes: after(decoded(params, z, sizes, **changes)))


DECODER_MISTAKES = (
    decoder(
        "squashed by a sigmoid",
        "Return logits. The likelihood works from logits, and a sigmoid here would be applied twice.",
        torch.sigmoid,
    ),
    decoder(
        "activation after the last layer",
        "A logit may be negative, and a ReLU cuts off all that are: the last layer has no activation.",
        torch.relu,
    ),
    decoder(
        "no activation after the linear layer",
        "Without a ReLU between them the linear layer and the first transposed convolution are one linear map.",
        relu=(False, True),
    ),
    decoder(
        "no activation after the first transposed convolution",
        "Without a ReLU between them the two transposed convolutions are one linear map.",
        relu=(True, False),
    ),
    decoder(
        "no activation at all",
        "Without ReLUs the whole decoder is one linear map, and depth gains nothing.",
        relu=(False, False),
    ),
    decoder(
        "output padding left out",
        "The picture is too small. Compare 2n − 1, what each layer gives without output padding, with the size wanted.",
        extra=0,
    ),
    decoder(
        "output padding always 1",
        "Some sides come out too long: the output padding differs from layer to layer and from side to side.",
        extra=1,
    ),
    Mistake(
        "filled up with zeros",
        "The size is right, but output padding does not add zeros: it computes the edge that is missing.",
        padded,
    ),
    *(
        Mistake(
            "resized at the end",
            "The size is right, but stretching moves every pixel. The output padding of each layer sets the size.",
            lambda params, z, sizes, mode=mode: resized(params, z, sizes, mode),
        )
        for mode in ("nearest", "bilinear")
    ),
    decoder(
        "channels last",
        "PyTorch keeps images as (B, C, H, W): in a row of numbers the channel changes slowest, the column fastest.",
        arrange=channels_last,
    ),
    decoder(
        "columns before rows",
        "The shape is right, but rows and columns were filled in the wrong order: (B, C, H, W), width fastest.",
        arrange=columns_first,
    ),
    decoder(
        "height and width exchanged",
        "A size is (height, width), and images are (B, C, H, W): the first map has its sides exchanged.",
        arrange=columns_as_rows,
        extra=1,
    ),
    decoder("biases left out", "Every layer has a bias, and `params` holds it under its name.", biases=(False,) * 3),
    decoder("the linear layer's bias left out", "`params['dec.bias']` is not used.", biases=(False, True, True)),
    decoder(
        "the transposed layers' biases left out",
        "F.conv_transpose2d takes its bias as the third argument.",
        biases=(True, False, False),
    ),
    decoder("deconv1's bias left out", "`params['deconv1.bias']` is not used.", biases=(True, False, True)),
    decoder("deconv2's bias left out", "`params['deconv2.bias']` is not used.", biases=(True, True, False)),
)


@check("04/decode_to_size", "A decoder of any size")
def decode_to_size(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    cases = []
    for B, D, sizes, channels in (
        (4, 3, [(2, 3), (4, 5), (7, 10)], (8, 4, 1)),
        (2, 5, [(3, 2), (5, 4), (10, 7)], (3, 3, 1)),
        (3, 1, [(2, 4), (3, 8), (5, 15)], (2, 5, 3)),
    ):
        cases.append((decoder_params(D, sizes[0], channels, g), torch.randn(B, D, generator=g), sizes))
    meaning = "logits of shape (B, C, height, width)"
    examine_formula(answer, cases, decoded, DECODER_MISTAKES, meaning)
    params = {name: value.requires_grad_() for name, value in cases[0][0].items()}
    hint = (
        "The numbers are right, but autograd lost track of the parameters: no .data, detach, item or NumPy in between."
    )
    require_gradients(answer(params, *cases[0][1:]), params, "gradient cut off", hint)


def decoder_params(D: int, size: tuple[int, int], channels: tuple[int, int, int], g: torch.Generator) -> Params:
    first, second, last = channels
    shapes = {
        "dec.weight": (first * math.prod(size), D),
        "dec.bias": (first * math.prod(size),),
        "deconv1.weight": (first, second, 3, 3),
        "deconv1.bias": (second,),
        "deconv2.weight": (second, last, 3, 3),
        "deconv2.bias": (last,),
    }
    return {name: torch.randn(shape, generator=g) for name, shape in shapes.items()}


# ---- a Gaussian with the best shared variance ---------------------------------------------------------


def squared(x: Tensor, mean: Tensor) -> Tensor:
    return (x - mean).square()


def minus_log_normal(x: Tensor, mean: Tensor, var: Tensor, pi_term: bool = True) -> Tensor:
    """-log N(x; mean, var) of each image; `var` is a number, one for each image (B, 1, 1, 1) or one for each pixel."""
    normaliser = (2 * math.pi * var if pi_term else var).log()
    return 0.5 * (squared(x, mean) / var + normaliser).sum(dim=(1, 2, 3))


def best_shared(x: Tensor, mean: Tensor) -> Tensor:
    return minus_log_normal(x, mean, squared(x, mean).mean())


def pixels(x: Tensor) -> int:
    return math.prod(x.shape[1:])


def quadratic(x: Tensor, mean: Tensor) -> Tensor:
    each = squared(x, mean)
    return 0.5 * each.flatten(1).sum(dim=1) / each.mean()


def log_term(x: Tensor, mean: Tensor) -> Tensor:
    return 0.5 * (2 * math.pi * squared(x, mean).mean()).log()


def with_variance(name: str, hint: str, var: Callable[[Tensor, Tensor], Tensor]) -> Mistake:
    return Mistake(name, hint, lambda x, mean: minus_log_normal(x, mean, var(x, mean)))


ABOUT_THE_MEAN = "`var` subtracts the average error first. The best σ² is the mean of the squared errors as they are."

CALIBRATED_MISTAKES = (
    with_variance(
        "a variance for each image",
        "One σ² for all: average the squared errors over the whole batch, images included.",
        lambda x, mean: squared(x, mean).mean(dim=(1, 2, 3), keepdim=True),
    ),
    with_variance(
        "a variance for each pixel",
        "One σ² for all. A variance for each pixel runs to zero where pixels never change.",
        lambda x, mean: squared(x, mean).mean(dim=0),
    ),
    with_variance(
        "a variance for each channel",
        "One σ² for all: average the squared errors over channels, too.",
        lambda x, mean: squared(x, mean).mean(dim=(0, 2, 3), keepdim=True),
    ),
    with_variance(
        "σ² taken for σ",
        "σ² was squared once more. `Normal` takes the standard deviation as its scale, not the variance.",
        lambda x, mean: squared(x, mean).mean().square(),
    ),
    with_variance(
        "σ taken for σ²",
        "The mean squared error is the best σ² itself: both places of the formula take σ², so no root is needed.",
        lambda x, mean: squared(x, mean).mean().sqrt(),
    ),
    with_variance(
        "σ² = 1",
        "This is the Gaussian of variance 1. Here σ² is the mean squared error of the batch.",
        lambda x, mean: torch.ones(()),
    ),
    with_variance(
        "summed error taken for σ²",
        "The best σ² is the *mean* squared error, over all values of the batch.",
        lambda x, mean: squared(x, mean).sum(),
    ),
    with_variance("variance about the mean error", ABOUT_THE_MEAN, lambda x, mean: (x - mean).var()),
    with_variance("variance about the mean error", ABOUT_THE_MEAN, lambda x, mean: (x - mean).var(correction=0)),
    Mistake(
        "the log term left out",
        "Only the squared errors are counted. The log term ½ log(2πσ²) is what keeps σ² from growing for free.",
        quadratic,
    ),
    Mistake(
        "the squared error left out",
        "Only the log term is counted, so all images get the same number: add the squared errors, divided by 2σ².",
        lambda x, mean: (log_term(x, mean) * pixels(x)).expand(len(x)),
    ),
    Mistake(
        "the log term counted once",
        "Every pixel has its own ½ log(2πσ²), also when all share one σ²: count it as often as an image has values.",
        lambda x, mean: quadratic(x, mean) + log_term(x, mean),
    ),
    Mistake(
        "averaged over pixels",
        "Pixels are independent given z, so their log-densities add up: sum over C, H and W.",
        lambda x, mean: best_shared(x, mean) / pixels(x),
    ),
    Mistake(
        "factor ½ missing",
        "Both terms of a Gaussian log-density carry ½.",
        lambda x, mean: 2 * best_shared(x, mean),
    ),
    Mistake(
        "factor ½ missing before the squared error",
        "The squared error is divided by 2σ², not by σ².",
        lambda x, mean: best_shared(x, mean) + quadratic(x, mean),
    ),
    Mistake(
        "factor ½ missing before the logarithm",
        "The squared errors are right. A value's log term is log σ and ½ log 2π, or ½ log(2πσ²).",
        lambda x, mean: best_shared(x, mean) + pixels(x) * log_term(x, mean),
    ),
    Mistake(
        "2π left out",
        "Every value misses its ½ log 2π. For a loss that changes nothing, but nats are to be nats.",
        lambda x, mean: minus_log_normal(x, mean, squared(x, mean).mean(), pi_term=False),
    ),
    Mistake(
        "the log-likelihood itself",
        "That is log p(x|z). The reconstruction term is minus that.",
        lambda x, mean: -best_shared(x, mean),
    ),
    Mistake(
        "summed over the batch",
        "One number for each image: sum over C, H and W only.",
        lambda x, mean: best_shared(x, mean).sum(),
    ),
    Mistake(
        "averaged over the batch",
        "One number for each image: the average over the batch is the caller's. Only σ² looks at the whole batch.",
        lambda x, mean: best_shared(x, mean).mean(),
    ),
)


@check("04/calibrated_rec", "A calibrated Gaussian")
def calibrated_rec(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    cases = []
    for shape in ((4, 1, 5, 3), (2, 3, 2, 6), (3, 2, 4, 5)):
        x, mean = torch.rand(2, *shape, generator=g)
        mean = mean + 0.3  # the average error is not zero, so that a variance about it shows
        spread = torch.linspace(0.2, 1.0, shape[0]).view(-1, 1, 1, 1)  # no two images err alike
        cases.append((x, x + spread * (mean - x)))
    examine_formula(answer, cases, best_shared, CALIBRATED_MISTAKES, "one number for each image, in nats")
    x, mean = cases[0][0], cases[0][1].requires_grad_()
    hint = (
        "The numbers are right, but no gradient reaches `mean`, so the decoder would learn nothing: do not detach it."
    )
    (gradient,) = require_gradients(answer(x, mean), {"mean": mean}, "gradient cut off", hint)
    # of the batch's sum; the same whether or not σ² is differentiated, because σ² is at its minimum
    want = (mean - x) / squared(x, mean).mean()
    if not torch.allclose(gradient, want, rtol=1e-3, atol=1e-4):
        hint = "The numbers are right, but a part of them is detached: the gradient with respect to `mean` is wrong."
        raise Finding("mistake", hint, "half of the gradient cut off")


# ---- the weight that a loss hides ---------------------------------------------------------------------

Term = tuple[float, str]  # its factor, and "sum" or "mean"


def beta_and_sigma(rec: Term, kl: Term, shape: tuple[int, int, int], latents: int) -> tuple[float, float]:
    beta = term_weight(kl, latents) / (2 * term_weight(rec, math.prod(shape)))
    return beta, beta**0.5


def term_weight(term: Term, count: int) -> float:
    factor, reduction = term
    return factor / count if reduction == "mean" else factor


def beta_of(name: str, hint: str, beta: Callable[[Term, Term, tuple[int, int, int], int], float]) -> Mistake:
    def wrong(*inputs: Any) -> tuple[float, float]:
        value = beta(*inputs)
        return value, value**0.5

    return Mistake(name, hint, wrong)


def right_beta(*inputs: Any) -> float:
    return beta_and_sigma(*inputs)[0]


def read_as_sum(term: Term) -> Term:
    return term[0], "sum"


def multiplied(term: Term, count: int) -> float:
    return term[0] * count if term[1] == "mean" else term[0]


BETA_MISTAKES = (
    beta_of(
        "the inverse",
        "β is the weight of the KL beside a reconstruction term of weight 1, not the other way round.",
        lambda *inputs: 1 / right_beta(*inputs),
    ),
    beta_of(
        "factor 2 forgotten",
        "The reference has *half* the squared error: at unit variance −log p(x|z) is ½‖x − m‖² and a constant.",
        lambda *inputs: 2 * right_beta(*inputs),
    ),
    beta_of(
        "factor 2 the wrong way",
        "A whole squared error weighs twice the reference's half, which makes the KL's share smaller, not larger.",
        lambda *inputs: 4 * right_beta(*inputs),
    ),
    beta_of(
        "mean over pixels read as a sum",
        "A mean over an image divides the reconstruction term by the number of its values.",
        lambda rec, kl, shape, latents: right_beta(read_as_sum(rec), kl, shape, latents),
    ),
    beta_of(
        "mean over latents read as a sum",
        "A mean over the latents divides the KL by their number.",
        lambda rec, kl, shape, latents: right_beta(rec, read_as_sum(kl), shape, latents),
    ),
    beta_of(
        "both means read as sums",
        "A mean is a sum divided by a number of values, and the two terms have different numbers.",
        lambda rec, kl, shape, latents: right_beta(read_as_sum(rec), read_as_sum(kl), shape, latents),
    ),
    beta_of(
        "pixels and latents exchanged",
        "The reconstruction term was averaged over the image's values, the KL over the latents.",
        lambda rec, kl, shape, latents: right_beta(rec, kl, (1, 1, latents), math.prod(shape)),
    ),
    beta_of(
        "means multiply",
        "A mean makes its term smaller: divide by the number of values, do not multiply.",
        lambda rec, kl, shape, latents: multiplied(kl, latents) / (2 * multiplied(rec, math.prod(shape))),
    ),
    beta_of(
        "sums and means exchanged",
        "A sum leaves its term as it is; a mean divides it by the number of values.",
        lambda rec, kl, shape, latents: right_beta(other(rec), other(kl), shape, latents),
    ),
    beta_of(
        "channels left out",
        "A colour image has three values for each pixel, and the mean runs over all of them.",
        lambda rec, kl, shape, latents: right_beta(rec, kl, (1, *shape[1:]), latents),
    ),
    beta_of(
        "the reconstruction term's factor left out",
        "The factor before the squared error counts as well.",
        lambda rec, kl, shape, latents: right_beta((1.0, rec[1]), kl, shape, latents),
    ),
    beta_of(
        "the KL's factor left out",
        "The factor before the KL counts as well: it is not yet β, but a part of it.",
        lambda rec, kl, shape, latents: right_beta(rec, (1.0, kl[1]), shape, latents),
    ),
    beta_of(
        "the written factor taken for β",
        "What the factor before the KL weighs, depends on the other term and on both reductions.",
        lambda rec, kl, shape, latents: kl[0],
    ),
    Mistake(
        "σ² returned for σ",
        "β is right, and it is the decoder's *variance*: σ is its square root.",
        lambda *inputs: (right_beta(*inputs),) * 2,
    ),
    Mistake(
        "σ² taken as β/2",
        "β is right. Half of the weight is the variance beside a *whole* squared error; β is relative to half of it.",
        lambda *inputs: (right_beta(*inputs), (right_beta(*inputs) / 2) ** 0.5),
    ),
    Mistake("results exchanged", "Return β first, then σ.", lambda *inputs: beta_and_sigma(*inputs)[::-1]),
)


def other(term: Term) -> Term:
    return term[0], "mean" if term[1] == "sum" else "sum"


@check("04/hidden_beta", "The β that a loss hides")
def hidden_beta(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)

    def factor() -> float:
        return float(rng.uniform(0.2, 0.9))  # never 1, so that a factor left out shows

    cases = (
        ((factor(), "mean"), (factor(), "mean"), (3, 7, 5), 6),
        ((factor(), "sum"), (factor(), "mean"), (1, 4, 9), 3),
        ((factor(), "mean"), (factor(), "sum"), (3, 6, 8), 11),
        ((factor(), "sum"), (factor(), "sum"), (2, 5, 3), 4),
    )
    examine_formula(with_plain_numbers(answer), cases, beta_and_sigma, BETA_MISTAKES, "β and σ, two numbers")


# ---- spot the bug: one name, two meanings -------------------------------------------------------------


def sampled(mu: Tensor, logvar: Tensor, eps: Tensor, scale: float = 0.5) -> Tensor:
    return torch.addcmul(mu, torch.exp(scale * logvar), eps)


def kl_of_each_latent(mu: Tensor, logvar: Tensor, scale: float = 1.0) -> Tensor:
    """scale 1 where the exponent is log σ² itself; 2 where `logvar` is read as log σ."""
    return 0.5 * (mu.square() + torch.exp(scale * logvar) - 1 - scale * logvar)


def right_terms(mu: Tensor, logvar: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
    return sampled(mu, logvar, eps), kl_of_each_latent(mu, logvar).sum(dim=1)


def terms(
    name: str,
    hint: str,
    z: Callable[[Tensor, Tensor, Tensor], Tensor] = sampled,
    kl: Callable[[Tensor, Tensor], Tensor] = lambda mu, logvar: kl_of_each_latent(mu, logvar).sum(dim=1),
) -> Mistake:
    return Mistake(name, hint, lambda mu, logvar, eps: (z(mu, logvar, eps), kl(mu, logvar)))


TERMS_MISTAKES = (
    terms(
        "the fault is still there",
        "The KL reads `logvar` as log σ², the sample still reads it as log σ. Which σ does exp(logvar) stand for?",
        z=lambda mu, logvar, eps: sampled(mu, logvar, eps, scale=1.0),
    ),
    terms(
        "log σ in both places",
        "Sample and KL agree now, but about the wrong meaning: the argument is log σ², as its name and docstring say.",
        z=lambda mu, logvar, eps: sampled(mu, logvar, eps, scale=1.0),
        kl=lambda mu, logvar: kl_of_each_latent(mu, logvar, scale=2.0).sum(dim=1),
    ),
    terms(
        "the other place broken",
        "The sample is right now, but the KL reads `logvar` as log σ. It was the right one of the two.",
        kl=lambda mu, logvar: kl_of_each_latent(mu, logvar, scale=2.0).sum(dim=1),
    ),
    terms(
        "½ in the KL's exponent as well",
        "The sample is right. In the KL stands σ² = exp(logvar), not σ = exp(½ logvar).",
        kl=lambda mu, logvar: 0.5 * (mu.square() + torch.exp(0.5 * logvar) - 1 - logvar).sum(dim=1),
    ),
    terms(
        "logvar itself as the scale",
        "The noise is multiplied by `logvar`, a logarithm, which may be negative. Its scale is σ.",
        z=lambda mu, logvar, eps: mu + logvar * eps,
    ),
    terms("noise left out", "z = μ is no sample: each latent needs its σ times its ε.", z=lambda mu, logvar, eps: mu),
    terms(
        "σ left out",
        "The noise has variance 1 here, whatever the encoder says: multiply it by σ.",
        z=lambda mu, logvar, eps: mu + eps,
    ),
    terms(
        "KL with its sign flipped",
        "z is right. A KL is never negative.",
        kl=lambda mu, logvar: -kl_of_each_latent(mu, logvar).sum(dim=1),
    ),
    terms(
        "KL averaged over latents",
        "z is right. Independent latents add up: sum over dim 1.",
        kl=lambda mu, logvar: kl_of_each_latent(mu, logvar).mean(dim=1),
    ),
    terms(
        "KL not summed over latents",
        "z is right. An example's KL is the sum over its latents: one number for each example.",
        kl=kl_of_each_latent,
    ),
    terms(
        "KL summed over the batch",
        "z is right. Sum over latents only (dim 1): each example keeps its own KL.",
        kl=lambda mu, logvar: kl_of_each_latent(mu, logvar).sum(),
    ),
    terms(
        "KL averaged over the batch",
        "z is right. The average over the batch is the caller's: return one KL for each example.",
        kl=lambda mu, logvar: kl_of_each_latent(mu, logvar).sum(dim=1).mean(),
    ),
    terms(
        "factor ½ missing in the KL",
        "z is right. Every term of the KL carries ½.",
        kl=lambda mu, logvar: 2 * kl_of_each_latent(mu, logvar).sum(dim=1),
    ),
    Mistake("results exchanged", "Return z first, then the KL.", lambda *inputs: right_terms(*inputs)[::-1]),
)


@check("04/repaired_terms", "Spot the bug: one name, two meanings")
def repaired_terms(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    cases = [tuple(torch.randn(3, *shape, generator=g)) for shape in ((5, 3), (2, 6), (3, 1))]
    first, again = (answer(*cases[0]) for _ in range(2))
    if has_tensor(first) and has_tensor(again) and not torch.equal(first[0], again[0]):
        hint = "Called twice with the same `eps` it gives two different z: use the noise it is given, draw none."
        raise Finding("mistake", hint, "draws its own noise")
    examine_formula(answer, cases, right_terms, TERMS_MISTAKES, "z of shape (B, D) and the KL of shape (B,)")
    mu, logvar, eps = cases[0]
    inputs = {"mu": mu.requires_grad_(), "logvar": logvar.requires_grad_()}
    hint = "The numbers are right, but no gradient gets through {} to the encoder: detach nothing."
    for name, part in zip(("z", "the KL"), answer(mu, logvar, eps), strict=True):
        require_gradients(part, inputs, "gradient cut off", hint.format(name))


def has_tensor(result: Any) -> bool:
    return isinstance(result, (tuple, list)) and len(result) > 0 and isinstance(result[0], Tensor)


# ---- one step of gradient descent ---------------------------------------------------------------------

Steps = tuple[Array, Array, Array]  # weights (T, in, out) and biases (T, out) after each step, losses (T,)


def regression(x: Array, y: Array, weight: Array, bias: Array) -> tuple[Array, Array, Array]:
    """½‖x W + b − y‖² of each example, and its gradients: (B,), (B, in, out), (B, out)."""
    rest = x @ weight + bias - y
    return 0.5 * (rest**2).sum(axis=1), x[:, :, None] * rest[:, None, :], rest


def reported_mean(before: Array, after: Array) -> float:
    return float(before.mean())


def reported_sum(before: Array, after: Array) -> float:
    return float(before.sum())


def descended(
    x: Array,
    y: Array,
    weight: Array,
    bias: Array,
    rates: Sequence[float],
    stale: float,
    *,
    factor: Callable[[int], float] = lambda B: 1.0,
    zeroed: str = "before",
    use_rate: bool = True,
    moved: tuple[bool, bool] = (True, True),
    examples: int | None = None,
    reported: Callable[[Array, Array], float] = reported_mean,
) -> Steps:
    """Gradient descent in NumPy. stale: what each gradient holds at the start; factor: of the mean gradient of B
    examples; zeroed: before or after each step, or never; moved: weight, bias."""
    weights, biases, losses = [], [], []
    sums = [np.full_like(weight, stale), np.full_like(bias, stale)]
    for rate in rates:
        before, *gradients = regression(x, y, weight, bias)
        means = [factor(len(x)) * gradient[:examples].mean(axis=0) for gradient in gradients]
        sums = means if zeroed == "before" else [s + m for s, m in zip(sums, means, strict=True)]
        size = rate if use_rate else 1.0
        weight = weight - size * sums[0] * moved[0]
        bias = bias - size * sums[1] * moved[1]
        sums = [0 * s for s in sums] if zeroed == "after" else sums
        weights.append(weight)
        biases.append(bias)
        losses.append(reported(before, regression(x, y, weight, bias)[0]))
    return np.stack(weights), np.stack(biases), np.array(losses)


def performed(
    answer: Answer, x: Array, y: Array, weight: Array, bias: Array, rates: Sequence[float], stale: float
) -> Steps:
    """The same with the learner's steps."""
    inputs, targets = (torch.tensor(each, dtype=torch.float32) for each in (x, y))
    start = {"weight": weight, "bias": bias}
    params = {name: torch.tensor(one, dtype=torch.float32, requires_grad=True) for name, one in start.items()}
    for each in params.values():
        each.grad = torch.full_like(each, stale) if stale else None

    def loss_of_each(params: Params) -> Tensor:
        return 0.5 * (inputs @ params["weight"] + params["bias"] - targets).square().sum(dim=1)

    weights, biases, losses = [], [], []
    for rate in rates:
        losses.append(one_step(answer, params, loss_of_each, rate))
        require_leaves(params)
        weights.append(as_float64(params["weight"]))
        biases.append(as_float64(params["bias"]))
    return np.stack(weights), np.stack(biases), np.array(losses)


def one_step(answer: Answer, params: Params, loss: Callable[[Params], Tensor], rate: float) -> float:
    try:
        return mean_loss(answer(params, loss, rate))
    except Finding as found:
        if found.mistake == "changes its inputs":
            hint = (
                "The dictionary holds new tensors now, unseen by those who kept the old: change the old ones in place."
            )
            raise Finding("mistake", hint, "new tensors in the dictionary") from None
        if "leaf Variable" in found.hint:
            hint = "The update itself is no part of the loss, and autograd must not record it: use torch.no_grad()."
            raise Finding("mistake", hint, "update recorded by autograd") from None
        raise


def mean_loss(result: Any) -> float:
    if not (isinstance(result, Tensor) or is_numpy(result)):
        raise Finding("wrong type or shape", f"It should return one number, the mean loss; got {named(result)}.")
    if np.shape(result) != ():
        hint = f"It should return one number, the mean loss; got shape {tuple(np.shape(result))}."
        raise Finding("wrong type or shape", hint)
    if isinstance(result, Tensor) and result.requires_grad:
        hint = (
            "The loss comes back with its whole graph, which a curve would then keep in memory: return a plain number."
        )
        raise Finding("mistake", hint, "the graph is kept")
    return float(as_float64(result))


def require_leaves(params: Params) -> None:
    if not all(each.is_leaf and each.requires_grad for each in params.values()):
        hint = "After the step a parameter no longer asks for a gradient, so the next step would find none."
        raise Finding("mistake", hint, "requires_grad is lost")


def steps(name: str, hint: str, **changes: Any) -> Mistake:
    return Mistake(name, hint, lambda *case: descended(*case, **changes))


STEP_MISTAKES = (
    steps(
        "gradients accumulate",
        "A tensor without a gradient makes a right first step, no other: backward adds to what is in `.grad` already.",
        zeroed="never",
    ),
    steps(
        "zeroed only after the step",
        "A `.grad` that was left behind before your first step counts in it: empty it before backward, not after.",
        zeroed="after",
    ),
    steps(
        "goes uphill",
        "The gradient points to where the loss grows: move against it.",
        factor=lambda B: -1.0,
    ),
    *(
        steps(
            "summed over the batch",
            "The step grows with the number of examples. Average the losses before backward.",
            factor=float,
            reported=reported,
        )
        for reported in (reported_mean, reported_sum)
    ),
    *(
        steps(
            "summed over the batch, and not zeroed",
            "Two things: average the losses before backward, and empty each `.grad` before it, because backward adds.",
            factor=float,
            reported=reported,
            zeroed=zeroed,
        )
        for reported in (reported_mean, reported_sum)
        for zeroed in ("never", "after")
    ),
    steps(
        "divided by the batch twice",
        "The step is too small, and the more so the larger the batch: the mean is divided by B already.",
        factor=lambda B: 1.0 / B,
    ),
    steps("learning rate left out", "The step is the gradient itself: multiply it by `lr`.", use_rate=False),
    steps(
        "parameters stay as they were",
        "Either the new values went into new tensors, or the gradients were zeroed between backward and the update.",
        moved=(False, False),
    ),
    *(
        steps("one parameter only", f"Only the {place} loop?", moved=moved, zeroed=zeroed)
        for zeroed in ("before", "never", "after")
        for moved, place in (
            ((True, False), "first tensor of `params` moves. Is the `return` inside the"),
            ((False, True), "last tensor of `params` moves. Is the update outside the"),
        )
    ),
    steps("first example only", "The step follows one example, not the mean over all.", examples=1),
    steps(
        "the loss after the step",
        "The parameters are right. Return the loss that was computed for this step, not a new one after it.",
        reported=lambda before, after: after.mean(),
    ),
    steps(
        "the summed loss returned",
        "The parameters are right. Return the mean over the batch, so that batches of different sizes compare.",
        reported=reported_sum,
    ),
    steps(
        "one example's loss returned",
        "The parameters are right. Return the mean loss of all examples, not one example's.",
        reported=lambda before, after: before[0],
    ),
)


@check("04/sgd_step", "One step of gradient descent")
def sgd_step(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = []
    for B, n_in, n_out, rates, stale in (
        (5, 3, 2, (0.1, 0.05, 0.08), 0.0),
        (3, 2, 4, (0.02, 0.2), 1.5),  # its tensors come with a gradient of somebody else's
        (7, 4, 1, (0.06, 0.03), 0.0),
    ):
        x, y = rng.normal(size=(B, n_in)), rng.normal(size=(B, n_out))
        cases.append((x, y, rng.normal(size=(n_in, n_out)), rng.normal(size=n_out), rates, stale))
    several = Answer(lambda *case: performed(answer, *case), answer.name)
    meaning = "the weights, the biases and the mean loss of each step"
    try:
        examine_formula(several, cases, descended, STEP_MISTAKES, meaning)
    except Finding as found:
        if found.verdict == "wrong":
            hint = (
                "On a linear regression the steps, or the losses, differ: new = old − lr · gradient of the mean loss."
            )
            raise Finding("wrong", hint) from None
        raise
