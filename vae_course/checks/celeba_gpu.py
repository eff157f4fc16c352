"""Sheet 15: what a layer and a loss's weight cost, runs that go on where they stopped, and a smile with a control."""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from vae_course.checks.answer import Answer, Finding
from vae_course.checks.check import check
from vae_course.checks.formula import Mistake, agree, as_float64, examine_formula, plain, with_plain_numbers
from vae_course.latent import slerp

Array = NDArray[Any]
Shape = tuple[int, ...]

# ---- parameters and multiply-adds of a convolution ----------------------------------------------------

Side = Callable[[int, int, int, int], float]


def side_out(n: int, kernel: int, stride: int, padding: int) -> int:
    return (n + 2 * padding - kernel) // stride + 1


def cost(
    shape: Shape,
    channels: int,
    kernel: int,
    stride: int,
    padding: int,
    groups: int,
    *,
    weights: Callable[..., int] = lambda before, after, k, g: after * before // g * k * k,
    biases: Callable[[int, int, int], int] = lambda before, after, g: after,
    per_place: Callable[[int, int], int] = lambda weights, after: weights,
    side: Side = side_out,
    places: Callable[[float, float], float] = lambda rows, columns: rows * columns,
) -> tuple[float, float]:
    """Parameters, and multiply-adds for one image: the weights are used once at each place of the output."""
    before, *sides = shape
    rows, columns = (side(n, kernel, stride, padding) for n in sides)
    used = weights(before, channels, kernel, groups)
    return used + biases(before, channels, groups), per_place(used, channels) * places(rows, columns)


def costs(name: str, hint: str, **changes: Any) -> Mistake:
    return Mistake(name, hint, lambda *case: cost(*case, **changes))


def at_input_places(shape: Shape, *layer: int) -> tuple[float, float]:
    return cost(shape, *layer, side=lambda n, k, s, p: n)


def groups_in_one(wrong: int) -> Callable[..., tuple[float, float]]:
    """The groups forgotten in one of the two numbers: 0 is the parameters, 1 the multiply-adds."""

    def made(shape: Shape, channels: int, kernel: int, stride: int, padding: int, groups: int) -> tuple[float, float]:
        right, without = (cost(shape, channels, kernel, stride, padding, g) for g in (groups, 1))
        return (without[0], right[1]) if wrong == 0 else (right[0], without[1])

    return made


SIZE = "The parameters are right. For the multiply-adds you need the sides of the output: {}"

COST_MISTAKES = (
    costs(
        "biases left out",
        "The multiply-adds are right. Among the parameters is also a bias for each output channel.",
        biases=lambda before, after, g: 0,
    ),
    costs(
        "a bias for each group",
        "The weights are right. A bias belongs to an output channel, and there are as many of them with groups.",
        biases=lambda before, after, g: after // g,
    ),
    costs(
        "a bias for each input channel",
        "The weights are right. A bias belongs to an output channel.",
        biases=lambda before, after, g: before,
    ),
    costs(
        "one bias for the layer",
        "The weights are right. A layer's bias is one number for each output channel.",
        biases=lambda before, after, g: 1,
    ),
    costs(
        "biases counted as multiply-adds",
        "The parameters are right. A bias is added without a multiplication: only the weights count.",
        per_place=lambda weights, after: weights + after,
    ),
    costs(
        "groups left out",
        "With groups a kernel reaches through its own group's input channels only, C / groups of them.",
        weights=lambda before, after, k, g: after * before * k * k,
    ),
    Mistake(
        "groups left out of the parameters",
        "The multiply-adds are right. The weights that are multiplied are the ones to be stored: C / groups here, too.",
        groups_in_one(0),
    ),
    Mistake(
        "groups left out of the multiply-adds",
        "The parameters are right. The multiply-adds use these very weights, so groups save them, too.",
        groups_in_one(1),
    ),
    costs(
        "divided by the groups twice",
        "A kernel sees C / groups input channels, but there are as many kernels as before: all `channels` of them.",
        weights=lambda before, after, k, g: before // g * (after // g) * k * k,
    ),
    costs(
        "groups multiplied",
        "Groups save weights: each kernel reaches through fewer input channels.",
        weights=lambda before, after, k, g: after * before * g * k * k,
    ),
    costs(
        "kernel counted along one side",
        "A kernel is a square: it has as many weights as it has cells, for each input channel.",
        weights=lambda before, after, k, g: after * before // g * k,
    ),
    costs(
        "input channels left out",
        "Every kernel reaches through the input channels of its group: see the shape of F.conv2d's weight.",
        weights=lambda before, after, k, g: after * k * k,
    ),
    costs(
        "one place only",
        "The parameters are right. The kernels stand at every place of the output, and are multiplied anew at each.",
        places=lambda rows, columns: 1,
    ),
    costs(
        "one row of places",
        "The parameters are right. The output has rows and columns: multiply by both sides.",
        places=lambda rows, columns: columns,
    ),
    costs(
        "one row of places",
        "The parameters are right. The output has rows and columns: multiply by both sides.",
        places=lambda rows, columns: rows,
    ),
    costs(
        "height used for both sides",
        SIZE.format("it is not square, so compute the width from its own value."),
        places=lambda rows, columns: rows * rows,
    ),
    costs(
        "width used for both sides",
        SIZE.format("it is not square, so compute the height from its own value."),
        places=lambda rows, columns: columns * columns,
    ),
    Mistake(
        "counted at the places of the input",
        "The parameters are right. The kernels are multiplied where an output is computed: count the output's places.",
        at_input_places,
    ),
    costs("padding left out", SIZE.format("padding makes each side longer."), side=lambda n, k, s, p: (n - k) // s + 1),
    costs(
        "padding on one side only",
        SIZE.format("padding adds zeros at both ends of a side."),
        side=lambda n, k, s, p: (n + p - k) // s + 1,
    ),
    costs(
        "stride left out",
        SIZE.format("with stride s the kernel stands at every s-th pixel only."),
        side=lambda n, k, s, p: n + 2 * p - k + 1,
    ),
    costs(
        "+ 1 left out",
        SIZE.format("there is one place more than the kernel makes moves."),
        side=lambda n, k, s, p: (n + 2 * p - k) // s,
    ),
    costs(
        "rounded up",
        SIZE.format("a window that does not fit any more is not computed, so the division rounds down."),
        side=lambda n, k, s, p: -((k - n - 2 * p) // s) + 1,
    ),
    costs(
        "not rounded",
        SIZE.format("a part of a place computes nothing, so the division rounds down before 1 is added."),
        side=lambda n, k, s, p: (n + 2 * p - k) / s + 1,
    ),
    costs(
        "side divided by the stride",
        SIZE.format("they are the input's over the stride only for some kernels and paddings."),
        side=lambda n, k, s, p: n // s,
    ),
    costs(
        "output channels left out",
        "The parameters are right. Every output channel has its own kernel to be multiplied at each place.",
        per_place=lambda weights, after: weights // after,
    ),
    costs(
        "counted as two operations",
        "The parameters are right. One multiplication with its addition is one multiply-add; as FLOPs they are two.",
        per_place=lambda weights, after: 2 * weights,
    ),
    Mistake("results exchanged", "Return the parameters first.", lambda *case: cost(*case)[::-1]),
)


@check("15/conv_cost", "What a layer costs")
def conv_cost(answer: Answer, seed: int) -> None:
    # the sizes are fixed, so that rounding down and up differ for every seed
    a, b, c = (int(n) for n in np.random.default_rng(seed).permutation(np.arange(2, 7))[:3])
    cases = (
        ((6, 20, 31), 6 * a, 3, 2, 1, 3),
        ((2 * b, 17, 28), 8, 5, 3, 1, 1),
        ((4, 9, 13), 4 * c, 4, 2, 0, 2),
        ((5, 7, 6), 3, 1, 1, 0, 1),
    )
    examine_formula(with_plain_numbers(answer), cases, cost, COST_MISTAKES, "parameters and multiply-adds")


# ---- the weight of the KL that belongs to a σ ---------------------------------------------------------

Term = tuple[float, str]  # its factor, and "sum" or "mean"


def share(reduction: str, count: int) -> float:
    """What one summand weighs after the reduction."""
    return 1 / count if reduction == "mean" else 1.0


def weight_of_kl(
    sigma: float,
    rec: Term,
    kl: str,
    shape: Shape,
    z_shape: Shape,
    *,
    half: float = 2.0,
    variance: Callable[[float], float] = lambda sigma: sigma**2,
    of_rec: Callable[[Term, int], float] = lambda rec, n: rec[0] * share(rec[1], n),
    of_kl: Callable[[str, int], float] = share,
    pixels: Callable[[Shape, Shape], int] = lambda shape, z_shape: math.prod(shape),
    latents: Callable[[Shape, Shape], int] = lambda shape, z_shape: math.prod(z_shape),
) -> float:
    """c ‖x − m‖² + 2 c σ² KL is 2 c σ² times a −ELBO, up to a constant; c is the weight of one squared error."""
    c = of_rec(rec, pixels(shape, z_shape))
    return half * c * variance(sigma) / of_kl(kl, latents(shape, z_shape))


def weights(name: str, hint: str, after: Callable[[float], float] = lambda w: w, **changes: Any) -> Mistake:
    return Mistake(name, hint, lambda *case: after(weight_of_kl(*case, **changes)))


def other(reduction: str) -> str:
    return "sum" if reduction == "mean" else "mean"


WEIGHT_MISTAKES = (
    weights(
        "the 2 of 2σ² left out",
        "This is half of the right factor: in the −ELBO the squared error is divided by 2σ², not by σ².",
        half=1.0,
    ),
    weights(
        "halved in place of doubled",
        "This is a quarter of the right factor: the 2 of 2σ² ends up above the line, not below it.",
        half=0.5,
    ),
    weights("σ taken for σ²", "This is right for σ² in place of σ: square it.", variance=lambda sigma: sigma),
    weights("squared twice", "σ is given, so σ² is its square, not its fourth power.", variance=lambda sigma: sigma**4),
    weights(
        "1/σ² taken for σ²",
        "The less noise the decoder has, the less the KL weighs beside a squared error. Yours goes the other way.",
        variance=lambda sigma: sigma**-2,
    ),
    weights(
        "1/(2σ²) taken for 2σ²",
        "1/(2σ²) stands before the squared error if the KL has weight 1. Here the squared error's weight is given.",
        half=0.5,
        variance=lambda sigma: sigma**-2,
    ),
    weights(
        "upside down",
        "This is 1 over the right number: the squared error's weight if the KL had weight 1 in its place.",
        after=lambda w: 1 / w,
    ),
    weights(
        "the mean over pixels ignored",
        "A mean over the image's values is their sum divided by their number, and so weighs less beside the KL.",
        of_rec=lambda rec, n: rec[0],
    ),
    weights(
        "the mean over pixels multiplied",
        "A mean is a sum *divided* by the number of values: one squared error weighs less, so the KL has to, too.",
        of_rec=lambda rec, n: rec[0] / share(rec[1], n),
    ),
    weights(
        "the mean over latents ignored",
        "A mean over the latents divides the KL by their number, which your factor has to make up for.",
        of_kl=lambda kl, n: 1.0,
    ),
    weights(
        "the mean over latents divided",
        "A mean divides the KL already. The factor before it makes up for that, so it grows with their number.",
        of_kl=lambda kl, n: 1 / share(kl, n),
    ),
    weights(
        "both means ignored",
        "The reductions are not used at all: each mean divides its term by the number of its values.",
        of_rec=lambda rec, n: rec[0],
        of_kl=lambda kl, n: 1.0,
    ),
    weights(
        "sum and mean exchanged",
        "It is the mean that divides by the number of values, and the sum that does not.",
        of_rec=lambda rec, n: rec[0] * share(other(rec[1]), n),
        of_kl=lambda kl, n: share(other(kl), n),
    ),
    weights(
        "the squared error's own factor ignored",
        "`rec` holds a factor as well. If the squared errors weigh twice as much, so must the KL.",
        of_rec=lambda rec, n: share(rec[1], n),
    ),
    weights(
        "divided by the squared error's factor",
        "If the squared errors weigh twice as much, the KL must weigh twice as much, too, not half.",
        of_rec=lambda rec, n: share(rec[1], n) / rec[0],
    ),
    weights(
        "channels left out",
        "An image's values are C · H · W: each pixel has a value in each channel.",
        pixels=lambda shape, z_shape: math.prod(shape[1:]),
    ),
    weights(
        "one side of the image only",
        "The number of an image's values is C · H · W.",
        pixels=lambda shape, z_shape: shape[-1],
    ),
    weights(
        "only the first size of the latent",
        "A spatial latent has channels, rows and columns, and each place holds a latent: multiply all of `z_shape`.",
        latents=lambda shape, z_shape: z_shape[0],
    ),
    weights(
        "only the places of the latent",
        "Each place of a spatial latent holds a number for each channel: multiply all of `z_shape`.",
        latents=lambda shape, z_shape: math.prod(z_shape[1:]),
    ),
    weights(
        "sizes of the latent added",
        "A map of 4 channels, 16 × 16, has 4 · 16 · 16 latents: multiply its sizes.",
        latents=lambda shape, z_shape: sum(z_shape),
    ),
    weights(
        "numbers of values exchanged",
        "The squared errors are averaged over the image's values, the KL over the latents, not the other way round.",
        pixels=lambda shape, z_shape: math.prod(z_shape),
        latents=lambda shape, z_shape: math.prod(shape),
    ),
    weights(
        "both divided by the image's values",
        "The KL is averaged over the latents: their number is in `z_shape`.",
        latents=lambda shape, z_shape: math.prod(shape),
    ),
)


@check("15/kl_factor", "The weight that belongs to a σ")
def kl_factor(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)

    def term(reduction: str) -> Term:
        return float(rng.uniform(0.2, 0.9)), reduction  # never 1, so that a factor left out shows

    cases = (
        (float(rng.uniform(0.1, 0.2)), term("mean"), "mean", (3, 8, 6), (2, 4, 3)),
        (float(rng.uniform(0.3, 0.4)), term("sum"), "mean", (1, 5, 9), (7,)),
        (float(rng.uniform(0.5, 0.6)), term("mean"), "sum", (3, 6, 4), (2, 3, 5)),
        (float(rng.uniform(1.3, 1.6)), term("sum"), "sum", (2, 5, 3), (4,)),
    )
    examine_formula(with_plain_numbers(answer), cases, weight_of_kl, WEIGHT_MISTAKES, "the factor before the KL")


# ---- a moving average of the weights ------------------------------------------------------------------

Rate = Callable[[float, int], float]  # (decay, step) -> how far the average moves towards the weights


def corrected(decay: float, step: int) -> float:
    return (1 - decay) / (1 - decay**step)


def averaged(
    start: Array,
    weights: Array,
    decay: float,
    first: int,
    *,
    rate: Rate = corrected,
    move: Callable[[Array, Array, float], Array] = lambda average, now, r: average + r * (now - average),
    scale: Rate = lambda decay, step: 1.0,
) -> Array:
    """The average after each step. start: (P,), weights: (T, P), the model's at steps first, first + 1, … -> (T, P)."""
    average, found = start, []
    for step, now in enumerate(weights, start=first):
        average = move(average, now, rate(decay, step)) * scale(decay, step)
        found.append(average)
    return np.stack(found)


def small_model() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 4, bias=False), nn.GroupNorm(2, 4))


def followed(answer: Answer, start: Array, weights: Array, decay: float, first: int) -> Array:
    """The same with the learner's updates of a small network."""
    model = small_model()
    vector_to_parameters(torch.tensor(start, dtype=torch.float32), model.parameters())
    average = copy.deepcopy(model).requires_grad_(False)
    found = []
    for step, now in enumerate(torch.tensor(weights, dtype=torch.float32), start=first):
        vector_to_parameters(now.clone(), model.parameters())
        updated(answer, average, model, decay, step)
        require_apart(average, model, now)
        found.append(as_float64(parameters_to_vector(average.parameters())))
    return np.stack(found)


LEAF = "The average is no part of the loss, and autograd must not record it: put the update under torch.no_grad()."


def updated(answer: Answer, average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    try:
        answer(average, model, decay, step)
    except Finding as found:
        if "leaf Variable" in found.hint or "a view of a leaf" in found.hint:
            raise Finding("mistake", LEAF, "update recorded by autograd") from None
        raise


def require_apart(average: nn.Module, model: nn.Module, now: Tensor) -> None:
    """The model keeps its weights, and the average has tensors of its own, without a graph behind them."""
    theirs, ours = list(model.parameters()), list(average.parameters())
    places = {each.data_ptr() for each in theirs}
    if any(each.data_ptr() in places for each in ours):
        hint = "The average and the model hold the same tensor, so the next step of training moves both: copy numbers."
        raise Finding("mistake", hint, "shares tensors with the model")
    if not torch.is_grad_enabled():
        torch.set_grad_enabled(True)  # what comes after the check would fail far from the cause
        hint = (
            "After the call gradients are off for everything that follows: `with torch.no_grad():` turns them on again."
        )
        raise Finding("mistake", hint, "gradients left off")
    if not torch.equal(parameters_to_vector(theirs).detach(), now):
        hint = "The model's own weights were changed. Training goes on with them: write into the average only."
        raise Finding("mistake", hint, "changes the model")
    if not model.training:
        hint = "After the call the model is in its eval mode. Training goes on with it: leave that as it was."
        raise Finding("mistake", hint, "changes the model")
    if not all(each.requires_grad for each in theirs):
        hint = (
            "After the call the model's weights ask for no gradient, so its training has stopped: leave that as it was."
        )
        raise Finding("mistake", hint, "the model learns no more")
    if any(each.grad_fn is not None for each in ours):
        raise Finding("mistake", LEAF + " Now each step's graph stays in memory.", "update recorded by autograd")
    if any(each.requires_grad for each in ours):
        hint = (
            "The average asks for gradients now: write the numbers into its tensors instead of making new parameters."
        )
        raise Finding("mistake", hint, "the average wants gradients")


def moving(name: str, hint: str, rate: Rate = corrected, **changes: Any) -> Mistake:
    return Mistake(name, hint, lambda *case: averaged(*case, rate=rate, **changes))


def some_left_out(got: list[Any], want: list[Any]) -> bool:
    """Some tensors follow the truth through all cases, the others never move."""
    results = [(as_float64(one), as_float64(true)) for one, true in zip(got, want, strict=True)]
    if any(one.shape != true.shape for one, true in results):
        return False
    right = np.all([np.isclose(one, true, rtol=1e-4, atol=1e-5).all(axis=0) for one, true in results], axis=0)
    still = np.all([(one == one[0]).all(axis=0) for one, _ in results], axis=0)
    return bool((right | still).all() and right.any() and still.any())


def still(start: Array, weights: Array, decay: float, first: int) -> Array:
    return np.broadcast_to(start, weights.shape)


def rising(done: int) -> Rate:
    return lambda decay, step: 1 - min(decay, (step + done) / (9 + step + done))


EXCHANGED = (
    "The average has to be slow: with a decay near 1 it keeps most of itself, and takes little of the new weights."
)

AVERAGE_MISTAKES = (
    Mistake(
        "the average stays as it was",
        "Nothing has changed in `average`. A new name for a tensor changes no module: write into its tensors in place.",
        still,
    ),
    moving(
        "not corrected",
        "This is the average without its correction: its start, weights of a network that knew nothing, still counts.",
        rate=lambda decay, step: 1 - decay,
    ),
    moving("decay and 1 − decay exchanged", EXCHANGED, rate=lambda decay, step: decay),
    moving("decay and 1 − decay exchanged", EXCHANGED, rate=lambda decay, step: decay / (1 - decay**step)),
    moving("decay and 1 − decay exchanged", EXCHANGED, rate=lambda decay, step: decay / (1 - (1 - decay) ** step)),
    moving(
        "average and weights exchanged",
        "The rate r belongs to the difference of the new weights and the average; 1 − r is what the average keeps.",
        move=lambda average, now, r: r * average + (1 - r) * now,
    ),
    moving(
        "moves away from the weights",
        "The average moves by r times (weights − average). Yours has the opposite sign.",
        move=lambda average, now, r: average + r * (average - now),
    ),
    moving(
        "the stored average divided each time",
        "Dividing by 1 − decayᵗ corrects an average that was kept uncorrected. Yours is stored, and is corrected again "
        "at the next step.",
        rate=lambda decay, step: 1 - decay,
        scale=lambda decay, step: 1 / (1 - decay**step),
    ),
    moving(
        "multiplied by 1 − decayᵗ",
        "The rate is large at the start and falls to 1 − decay: divide by 1 − decayᵗ.",
        rate=lambda decay, step: (1 - decay) * (1 - decay**step),
    ),
    moving(
        "decay · t in place of decayᵗ",
        "In the correction stands decay to the power of t, what is left of the start after t steps.",
        rate=lambda decay, step: (1 - decay) / (1 - decay * step),
    ),
    moving(
        "step counted one too far",
        "The first step has the number 1 already, and its rate is 1: use `step` as it comes.",
        rate=lambda decay, step: corrected(decay, step + 1),
    ),
    moving(
        "the correction of the first step only",
        "The rate is 1 at step 1, and then falls slowly: it depends on t at every step.",
        rate=lambda decay, step: 1.0 if step == 1 else 1 - decay,
    ),
    *(
        moving(
            "a decay that rises",
            "That is a cure for the same trouble, and not a bad one; the rate asked for is (1 − decay) / (1 − decayᵗ).",
            rate=rising(done),
        )
        for done in (0, 1)
    ),
    moving(
        "1 − decayᵗ as the rate",
        "1 − decayᵗ grows with t, so the average would follow ever faster. In the rate it stands below the line.",
        rate=lambda decay, step: 1 - decay**step,
    ),
    moving(
        "decayᵗ as the rate",
        "The rate falls to 1 − decay, not to 0: an average that no longer moves would keep the weights of long ago.",
        rate=lambda decay, step: decay**step,
    ),
    moving(
        "an even mean",
        "This is the mean of all weights so far, each with the same share. The moving average forgets the old ones.",
        rate=lambda decay, step: 1 / step,
    ),
    moving(
        "a copy of the weights",
        "The average equals the latest weights. It moves a part r of the way to them.",
        rate=lambda decay, step: 1.0,
    ),
    moving(
        "all of the average kept",
        "The new weights are added with the factor r, but the average keeps only 1 − r of itself.",
        move=lambda average, now, r: average + r * now,
    ),
    Mistake(
        "some tensors left out",
        "Some of the model's tensors never reach the average: all parameters count, also biases and those of a norm.",
        when=some_left_out,
    ),
)


@check("15/ema_update", "A moving average of the weights")
def ema_update(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = sum(p.numel() for p in small_model().parameters())
    cases = [
        (2 * rng.normal(size=size), rng.normal(size=(steps, size)), decay, first)
        for steps, decay, first in ((4, 0.8, 1), (3, 0.95, 1), (2, 0.9, 30))
    ]
    several = Answer(lambda *case: followed(answer, *case), answer.name)
    try:
        examine_formula(several, cases, averaged, AVERAGE_MISTAKES, "the average after each step")
    except Finding as found:
        if found.verdict == "wrong":
            hint = "The averages differ from average + r · (weights − average), with r = (1 − decay) / (1 − decayᵗ)."
            raise Finding("wrong", hint) from None
        raise


# ---- where a run goes on ------------------------------------------------------------------------------

Batch = tuple[float, Tensor]
Order = Callable[[int], Tensor]


def place(step: int, images: int, batch_size: int) -> tuple[int, int]:
    """Epoch, and batch within it: an epoch has as many steps as there are whole batches."""
    return divmod(step, images // batch_size)


def cut(order: Tensor, start: int, size: int) -> Tensor:
    return order[max(start, 0) :][:size]


def next_batch(step: int, images: int, batch_size: int, order: Order) -> Batch:
    epoch, batch = place(step, images, batch_size)
    return epoch, cut(order(epoch), batch * batch_size, batch_size)


def with_partial(step: int, images: int, batch_size: int, order: Order) -> Batch:
    epoch, batch = divmod(step, -(-images // batch_size))
    return epoch, cut(order(epoch), batch * batch_size, batch_size)


def by_images_seen(step: int, images: int, batch_size: int, order: Order) -> Batch:
    epoch, start = divmod(step * batch_size, images)
    return epoch, cut(order(epoch), start, batch_size)


def ordered_by(which: Callable[[int, int], int]) -> Callable[..., Batch]:
    """The right place in the order of another epoch: which (step, epoch) -> epoch."""

    def made(step: int, images: int, batch_size: int, order: Order) -> Batch:
        epoch, batch = place(step, images, batch_size)
        return epoch, cut(order(which(step, epoch)), batch * batch_size, batch_size)

    return made


def indices(take: Callable[[Tensor, int, int, int], Tensor]) -> Callable[..., Batch]:
    """The right epoch, and what `take` picks from its order: (order, batch, batch_size, step) -> indices."""

    def made(step: int, images: int, batch_size: int, order: Order) -> Batch:
        epoch, batch = place(step, images, batch_size)
        return epoch, take(order(epoch), batch, batch_size, step)

    return made


def numbered(name_it: Callable[[int, int, int, int], float]) -> Callable[..., Batch]:
    """The right indices with another epoch: name_it (step, images, batch_size, epoch)."""

    def made(step: int, images: int, batch_size: int, order: Order) -> Batch:
        epoch, found = next_batch(step, images, batch_size, order)
        return name_it(step, images, batch_size, int(epoch)), found

    return made


def from_one(step: int, images: int, batch_size: int, order: Order) -> Batch:
    epoch, batch = place(step, images, batch_size)
    return epoch + 1, cut(order(epoch + 1), batch * batch_size, batch_size)


NEXT = "`step` steps are done, counted from 0, so the next batch has the number `step` itself: {}"
EPOCHS = "The indices are right, the epoch is not: {}"
DROPPED = "The last batch of an epoch, which would be short, is dropped: {}"

RESUME_MISTAKES = (
    Mistake(
        "partial batch counted",
        DROPPED.format("an epoch has as many steps as there are whole batches."),
        with_partial,
    ),
    Mistake(
        "epoch by images seen",
        DROPPED.format("an epoch ends before all images were seen, so count its steps, not images."),
        by_images_seen,
    ),
    Mistake(
        "the last batch again",
        NEXT.format("yours is the one before, which was trained on already."),
        lambda step, *case: next_batch(max(step - 1, 0), *case),
    ),
    Mistake(
        "one batch skipped",
        NEXT.format("yours leaves one out."),
        lambda step, *case: next_batch(step + 1, *case),
    ),
    Mistake(
        "the first epoch's order",
        "Epoch and place are right, but the order is always that of one epoch: every epoch has an order of its own.",
        ordered_by(lambda step, epoch: 0),
    ),
    Mistake(
        "the order of another epoch",
        "Place and number of the epoch are right, but the indices come from its neighbour's order.",
        ordered_by(lambda step, epoch: epoch + 1),
    ),
    Mistake(
        "the order of another epoch",
        "Place and number of the epoch are right, but the indices come from its neighbour's order.",
        ordered_by(lambda step, epoch: max(epoch - 1, 0)),
    ),
    Mistake(
        "order asked for by step",
        "An order belongs to an epoch and serves all its batches. A new one at each step repeats some, misses others.",
        ordered_by(lambda step, epoch: step),
    ),
    Mistake(
        "the epoch started anew",
        "The epoch is right, but its first batch is taken again: go on in the middle of it.",
        indices(lambda order, batch, size, step: cut(order, 0, size)),
    ),
    Mistake(
        "not shuffled",
        "These are places in the order, not images: look up which images stand there.",
        indices(lambda order, batch, size, step: torch.arange(batch * size, (batch + 1) * size)),
    ),
    Mistake(
        "batches of one step's distance",
        "Batches do not overlap: the next one begins `batch_size` places further on, not one.",
        indices(lambda order, batch, size, step: cut(order, batch, size)),
    ),
    Mistake(
        "not reduced to the epoch",
        "The place is counted from the start of the run. In this epoch's order it counts from the start of the epoch.",
        indices(lambda order, batch, size, step: cut(order, step * size, size)),
    ),
    Mistake(
        "one index",
        "That is one image: a batch has `batch_size` of them.",
        indices(lambda order, batch, size, step: order[batch]),
    ),
    Mistake(
        "one index",
        "That is one image: a batch has `batch_size` of them.",
        indices(lambda order, batch, size, step: order[batch * size]),
    ),
    Mistake(
        "the rest of the epoch",
        "The batch starts in the right place, and does not end.",
        indices(lambda order, batch, size, step: order[batch * size :]),
    ),
    Mistake(
        "what was seen already",
        "These are the images before the place where the run goes on.",
        indices(lambda order, batch, size, step: order[: batch * size]),
    ),
    Mistake(
        "every so many images",
        "That is a fair way to cut an order into batches, but another one: here a batch is one piece of it.",
        indices(lambda order, batch, size, step: order[batch :: len(order) // size][:size]),
    ),
    Mistake(
        "epochs counted from 1",
        EPOCHS.format("the first has the number 0."),
        numbered(lambda step, images, size, epoch: epoch + 1),
    ),
    Mistake(
        "epochs counted from 1",
        "The first epoch has the number 0, in what you return and in what you hand to `order`.",
        from_one,
    ),
    Mistake(
        "the epoch as a fraction",
        EPOCHS.format("it is a whole number, so divide with //."),
        numbered(lambda step, images, size, epoch: step / (images // size)),
    ),
    Mistake(
        "the batch in place of the epoch",
        EPOCHS.format("this is the number of the batch within its epoch."),
        numbered(lambda step, images, size, epoch: place(step, images, size)[1]),
    ),
    Mistake("the step in place of the epoch", EPOCHS.format("this is the step."), numbered(lambda step, *_: step)),
    Mistake(
        "a batch too short",
        DROPPED.format(
            "here it, or nothing at all, is returned. The step after the last whole batch opens a new epoch."
        ),
        when=lambda got, want: (
            0 < sum(np.shape(g[1]) < np.shape(w[1]) for g, w in zip(got, want, strict=True)) < len(got)
        ),
    ),
)


class Orders:
    """Each epoch's order of the images: the same whenever it is asked for. Remembers whether it was."""

    def __init__(self, images: int, seed: int) -> None:
        self.images, self.seed, self.asked = images, seed, 0

    def __call__(self, epoch: int) -> Tensor:
        if int(epoch) != epoch or epoch < 0:
            raise ValueError(f"order takes the number of an epoch, 0, 1, 2 and so on, got {epoch!r}")
        self.asked += 1
        g = torch.Generator().manual_seed(1_000_003 * (self.seed + 1) + 7_919 * int(epoch))
        return torch.randperm(self.images, generator=g)


def read_batch(result: Any) -> Any:
    """(epoch, indices) with the epoch as a plain number and the indices as a tensor, if it can be read so."""
    if not (isinstance(result, (tuple, list)) and len(result) == 2):
        return result
    epoch, found = plain(result[0]), result[1]
    if isinstance(epoch, Tensor) and epoch.ndim == 1 and np.ndim(found) == 0:
        raise Finding("mistake", "Return the epoch first, then the indices.", "results exchanged")
    if isinstance(found, (list, tuple, range, np.ndarray)):
        found = torch.from_numpy(as_float64(list(found)))
    return epoch, found


def differs(first: Any, again: Any) -> bool:
    both = [result[1] for result in (first, again) if isinstance(result, tuple) and isinstance(result[1], Tensor)]
    return len(both) == 2 and (both[0].shape != both[1].shape or not torch.equal(*both))


@check("15/where_to_go_on", "Where a run goes on")
def where_to_go_on(answer: Answer, seed: int) -> None:
    cases = [
        (step, images, batch_size, Orders(images, seed))
        # in the middle of an epoch, after the last batch of one, nothing done yet, batches that fit exactly
        for step, images, batch_size in ((13, 23, 4), (15, 23, 4), (0, 9, 2), (17, 24, 4), (31, 19, 6))
    ]
    several = Answer(lambda *case: read_batch(answer(*case)), answer.name)
    found = [several(*case) for case in cases]
    asked = any(case[-1].asked for case in cases)
    if differs(found[0], several(*cases[0])):
        hint = "Asked twice about the same step it gives different images: draw nothing, `order` has the order."
        raise Finding("mistake", hint, "order drawn anew")
    try:
        examine_formula(several, cases, next_batch, RESUME_MISTAKES, "the epoch and the indices of a batch")
    except Finding as finding:
        if finding.verdict == "wrong" and not asked:
            hint = "`order` is never asked: how the images of an epoch are shuffled is for it to say."
            raise Finding("mistake", hint, "an order of its own") from None
        raise


# ---- a direction and its control ----------------------------------------------------------------------

Means = Callable[[Tensor, Tensor], Tensor]  # (codes, labels) -> (*z_shape,)


def mean_of(codes: Tensor, mask: Tensor) -> Tensor:
    return codes[mask].mean(dim=0)


def difference_of_means(codes: Tensor, labels: Tensor) -> Tensor:
    return mean_of(codes, labels == 1) - mean_of(codes, labels == -1)


def as_long_as(direction: Tensor, noise: Tensor) -> Tensor:
    return noise * (direction.norm() / noise.norm())


def with_control(
    codes: Tensor,
    labels: Tensor,
    noise: Tensor,
    *,
    direction: Means = difference_of_means,
    control: Callable[[Tensor, Tensor], Tensor] = as_long_as,
) -> tuple[Tensor, Tensor]:
    found = direction(codes, labels)
    return found, control(found, noise)


def directions(name: str, hint: str, direction: Means) -> Mistake:
    return Mistake(name, hint, lambda *case: with_control(*case, direction=direction))


def controls(name: str, hint: str, control: Callable[[Tensor, Tensor], Tensor]) -> Mistake:
    return Mistake(name, "The direction is right. " + hint, lambda *case: with_control(*case, control=control))


def unit(codes: Tensor, labels: Tensor) -> Tensor:
    found = difference_of_means(codes, labels)
    return found / found.norm()


def no_number(got: list[Any], want: list[Any]) -> bool:
    return all(bool(torch.as_tensor(result[0]).isnan().all()) for result in got)


def right_up_to_length(got: list[Any], want: list[Any]) -> bool:
    """The direction is right, and the control points where the noise does, with some other length."""
    pairs = [(result[1], true[1]) for result, true in zip(got, want, strict=True)]
    return all(agree(result[0], true[0]) for result, true in zip(got, want, strict=True)) and all(
        one.shape == true.shape
        and torch.cosine_similarity(one.flatten().double(), true.flatten().double(), 0) > 1 - 1e-6
        for one, true in pairs
    )


TAKEN_AS_PLACES: tuple[Means, ...] = (
    lambda codes, labels: mean_of(codes, labels) - mean_of(codes, -labels),
    lambda codes, labels: mean_of(codes, labels) - mean_of(codes, ~labels),
    lambda codes, labels: mean_of(codes, labels) - codes.mean(dim=0),
    mean_of,
)


def scaled_along(*dims: int) -> Callable[[Tensor, Tensor], Tensor]:
    def made(direction: Tensor, noise: Tensor) -> Tensor:
        along = [dim for dim in dims if -direction.ndim <= dim]
        return noise * direction.norm(dim=along, keepdim=True) / noise.norm(dim=along, keepdim=True)

    return made


def normalised_along(*dims: int) -> Callable[[Tensor, Tensor], Tensor]:
    def made(direction: Tensor, noise: Tensor) -> Tensor:
        along = [dim for dim in dims if -direction.ndim <= dim]
        return direction.norm() * noise / noise.norm(dim=along, keepdim=True)

    return made


INDEXED = "Labels of −1 and 1 in square brackets are taken as places: the last face and the second. Compare them first."
ROWS = "The direction has the shape of one code: average over faces, along dim 0, and over nothing else."

DIRECTION_MISTAKES = (
    Mistake(
        "a group without faces",
        "The direction is NaN: a mean of no faces. CelebA's labels are −1 and 1; no label is 0, and −1 counts as True.",
        when=no_number,
    ),
    directions(
        "sign flipped",
        "This leads from faces with the attribute to faces without: adding it would take the attribute away.",
        lambda codes, labels: -difference_of_means(codes, labels),
    ),
    directions(
        "mean of all faces subtracted",
        "Those with the attribute are among all faces, so this is too short: subtract the mean of those without.",
        lambda codes, labels: mean_of(codes, labels == 1) - codes.mean(dim=0),
    ),
    directions(
        "mean of all faces subtracted",
        "This leads from faces without the attribute to the mean of all, which is only part of the way.",
        lambda codes, labels: codes.mean(dim=0) - mean_of(codes, labels == -1),
    ),
    directions(
        "nothing subtracted",
        "This is a face, the mean of those with the attribute. The direction tells it from the mean of the others.",
        lambda codes, labels: mean_of(codes, labels == 1),
    ),
    directions(
        "means added",
        "The two means are added. What tells them apart is their difference.",
        lambda codes, labels: mean_of(codes, labels == 1) + mean_of(codes, labels == -1),
    ),
    directions(
        "halved",
        "This is half of the way. The direction leads from one mean to the other.",
        lambda codes, labels: difference_of_means(codes, labels) / 2,
    ),
    directions(
        "labels taken as weights",
        "Each side was divided by the number of all faces. The rarer side then counts less: take the mean of each.",
        lambda codes, labels: torch.einsum("n,n...->...", labels.to(codes.dtype), codes) / len(codes),
    ),
    directions(
        "sums in place of means",
        "With sums the more frequent side wins, and the direction grows with the number of faces: take means.",
        lambda codes, labels: codes[labels == 1].sum(dim=0) - codes[labels == -1].sum(dim=0),
    ),
    *(directions("labels taken as places", INDEXED, taken) for taken in TAKEN_AS_PLACES),
    Mistake(
        "length taken out of the direction",
        "The direction has length 1, and one step of it no longer leads from one mean to the other: leave its length.",
        lambda *case: with_control(*case, direction=unit),
    ),
    Mistake(
        "length taken out of the direction",
        "The direction has length 1, and one step of it no longer leads from one mean to the other: leave its length.",
        lambda codes, labels, noise: (unit(codes, labels), as_long_as(difference_of_means(codes, labels), noise)),
    ),
    directions(
        "averaged over latents",
        ROWS,
        lambda codes, labels: codes[labels == 1].mean() - codes[labels == -1].mean(),
    ),
    controls(
        "the control is the noise itself",
        "The noise has a length of its own. A control of another length compares sizes of steps, not directions.",
        lambda direction, noise: noise,
    ),
    controls(
        "the control has length 1",
        "The control has to be as long as the direction, and not of length 1.",
        lambda direction, noise: noise / noise.norm(),
    ),
    controls(
        "the noise's own length left in",
        "The control is as long as the direction times the length of the noise: divide that out first.",
        lambda direction, noise: noise * direction.norm(),
    ),
    controls(
        "lengths exchanged",
        "Divide the noise by its own length and multiply it by the direction's, not the other way round.",
        lambda direction, noise: noise * noise.norm() / direction.norm(),
    ),
    controls(
        "lengths as sums of absolute values",
        "Equally long means equal Euclidean norms, the root of the sum of squares.",
        lambda direction, noise: noise * direction.abs().sum() / noise.abs().sum(),
    ),
    controls(
        "squares of the lengths",
        "The noise is multiplied by a quotient of squared lengths: take the root.",
        lambda direction, noise: noise * direction.square().sum() / noise.square().sum(),
    ),
    *(
        controls(
            "each part of the latent scaled by itself",
            "The norm has to run over all latents at once. Yours is taken along one dimension of the map.",
            way(*dims),
        )
        for way in (scaled_along, normalised_along)
        for dims in ((0,), (-1,), (-2, -1))
    ),
    controls(
        "the direction as its own control",
        "The control is the direction once more. It has to point where the noise points.",
        lambda direction, noise: direction,
    ),
    controls(
        "the opposite as control",
        "The control is the direction with its sign flipped. It has to point where the noise points.",
        lambda direction, noise: -direction,
    ),
    controls(
        "the control follows the direction",
        "The control contains the direction. It has to be noise alone, brought to the right length.",
        lambda direction, noise: direction * noise / noise.norm(),
    ),
    controls(
        "the control follows the direction",
        "The control contains the direction. It has to be noise alone, brought to the right length.",
        lambda direction, noise: direction * noise,
    ),
    controls(
        "the control follows the direction",
        "The control contains the direction. It has to be noise alone, brought to the right length.",
        lambda direction, noise: as_long_as(direction, direction + noise),
    ),
    controls(
        "the noise turned round",
        "The control has the right length, but points away from the noise that was handed in.",
        lambda direction, noise: -as_long_as(direction, noise),
    ),
    Mistake(
        "the noise left, the direction scaled",
        "Now both are as long as the noise. It is the direction that sets the length: bring the noise to it.",
        lambda codes, labels, noise: (unit(codes, labels) * noise.norm(), noise),
    ),
    Mistake(
        "the control is not as long as the direction",
        "The direction is right, and the control points where the noise does, but its length is not the direction's.",
        when=right_up_to_length,
    ),
    Mistake("results exchanged", "Return the direction first, then the control.", lambda *c: with_control(*c)[::-1]),
)


@check("15/direction_and_control", "A smile and its control")
def direction_and_control(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    cases = []
    for present, absent, shape in ((3, 6, (5,)), (7, 4, (2, 3, 4)), (2, 5, (3, 2, 2))):
        labels = torch.cat([torch.ones(present), -torch.ones(absent)]).long()
        labels = labels[torch.randperm(len(labels), generator=g)]
        # codes do not lie around zero, and the two groups do not lie around one place
        centre, apart = 1 + torch.randn(2, *shape, generator=g)
        codes = centre + labels.view(-1, *[1] * len(shape)) * apart + torch.randn(len(labels), *shape, generator=g)
        cases.append((codes, labels, torch.randn(shape, generator=g)))
    first, again = (answer(*cases[0]) for _ in range(2))
    if isinstance(first, (tuple, list)) and not all(map(alike, first, again)):
        hint = (
            "Called twice with the same `noise` it gives two different results: use the noise it is given, draw none."
        )
        raise Finding("mistake", hint, "draws its own noise")
    examine_formula(
        answer, cases, with_control, DIRECTION_MISTAKES, "a direction and a control, each of a code's shape"
    )


def alike(one: Any, other: Any) -> bool:
    """False only for two tensors of one shape with different numbers."""
    if not (isinstance(one, Tensor) and isinstance(other, Tensor) and one.shape == other.shape):
        return True
    return torch.allclose(one, other, equal_nan=True)


# ---- spot the bug: a decoder that learned to read tanh(z) ---------------------------------------------

Line = Callable[[Tensor, Tensor, Tensor], Tensor]  # (z_a, z_b, t) -> what the decoder is fed


def straight(z_a: Tensor, z_b: Tensor, t: Tensor) -> Tensor:
    """z_a, z_b: (*z_shape,), t: (steps,) -> (steps, *z_shape)."""
    t = t.view(-1, *[1] * z_a.ndim)
    return (1 - t) * z_a + t * z_b


def squashed(z_a: Tensor, z_b: Tensor, t: Tensor) -> Tensor:
    return straight(z_a, z_b, t).tanh()


def evenly(steps: int) -> Tensor:
    return torch.linspace(0, 1, steps)


def pictures(
    decode: Callable[[Tensor], Tensor],
    z_a: Tensor,
    z_b: Tensor,
    steps: int,
    *,
    line: Line = squashed,
    t: Callable[[int], Tensor] = evenly,
    after: Callable[[Tensor], Tensor] = lambda out: out,
) -> Tensor:
    return after(decode(line(z_a, z_b, t(steps))))


def lines(name: str, hint: str, **changes: Any) -> Mistake:
    return Mistake(name, hint, lambda *case: pictures(*case, **changes))


def cross_fade(decode: Callable[[Tensor], Tensor], z_a: Tensor, z_b: Tensor, steps: int) -> Tensor:
    first, last = (decode(z.tanh()[None])[0] for z in (z_a, z_b))
    return straight(first, last, evenly(steps))


BEFORE = (
    "The line is drawn between tanh(z_a) and tanh(z_b), so its pictures come from other z: draw it where z lives, {}"
)


def arc(z_a: Tensor, z_b: Tensor, t: Tensor) -> Tensor:
    return slerp(z_a.flatten(), z_b.flatten(), t).unflatten(1, z_a.shape).tanh()


ON_A_LINE = "tanh is in the right place. Steps along the line: {}"

LINE_MISTAKES = (
    lines(
        "the fault is still there",
        "The decoder is still fed z itself. In training it only ever saw tanh(z), numbers between −1 and 1.",
        line=straight,
    ),
    lines(
        "tanh before the line",
        BEFORE.format("and apply tanh to what is fed to the decoder."),
        line=lambda z_a, z_b, t: straight(z_a.tanh(), z_b.tanh(), t),
    ),
    lines(
        "tanh before the line and after it",
        BEFORE.format("and apply tanh once."),
        line=lambda z_a, z_b, t: straight(z_a.tanh(), z_b.tanh(), t).tanh(),
    ),
    lines(
        "tanh twice",
        "tanh is applied twice; in training it was applied once.",
        line=lambda z_a, z_b, t: squashed(z_a, z_b, t).tanh(),
    ),
    lines(
        "one end only",
        "tanh belongs to every point of the line, not to one of its ends.",
        line=lambda z_a, z_b, t: straight(z_a, z_b.tanh(), t),
    ),
    lines(
        "one end only",
        "tanh belongs to every point of the line, not to one of its ends.",
        line=lambda z_a, z_b, t: straight(z_a.tanh(), z_b, t),
    ),
    lines(
        "tanh on the logits",
        "tanh was applied to what the decoder returns. It belongs before the decoder, as in training.",
        line=straight,
        after=torch.tanh,
    ),
    lines(
        "tanh on both sides of the decoder",
        "What is fed to the decoder is right. Its logits are to be returned as they are.",
        after=torch.tanh,
    ),
    lines(
        "cut off at ±1",
        "The numbers are within ±1 now, but not those of the training: it did not cut z off, it applied tanh.",
        line=lambda z_a, z_b, t: straight(z_a, z_b, t).clamp(-1, 1),
    ),
    lines(
        "sigmoid in place of tanh",
        "A sigmoid lies between 0 and 1. In training the decoder saw tanh(z), between −1 and 1.",
        line=lambda z_a, z_b, t: straight(z_a, z_b, t).sigmoid(),
    ),
    Mistake(
        "not a number",
        "Some results are NaN. Is it atanh that you apply? That is the way back from tanh(z) to z, and ends at ±1.",
        when=lambda got, want: all(bool(torch.as_tensor(result).isnan().any()) for result in got),
    ),
    lines(
        "divided by the largest",
        "The numbers are within ±1 now, but not those of the training: it did not rescale z, it applied tanh.",
        line=lambda z_a, z_b, t: straight(z_a, z_b, t) / straight(z_a, z_b, t).abs().max(),
    ),
    Mistake(
        "cross-fade", "These are mixtures of two pictures. Decode a mixture of the two latents instead.", cross_fade
    ),
    lines(
        "squashed into pixels",
        "The decoder is fed rightly. Logits are asked for: whoever wants pixels applies the sigmoid later.",
        after=torch.sigmoid,
    ),
    lines(
        "along an arc",
        "tanh is in the right place, but the way from z_a to z_b is an arc. A straight line is asked for.",
        line=arc,
    ),
    lines("ends exchanged", ON_A_LINE.format("they begin at z_a and end at z_b."), t=lambda n: 1 - evenly(n)),
    lines(
        "last end left out",
        ON_A_LINE.format("the last one is z_b itself, so there are steps − 1 moves."),
        t=lambda n: torch.arange(n) / n,
    ),
    lines(
        "first end left out",
        ON_A_LINE.format("the first one is z_a itself."),
        t=lambda n: torch.arange(1, n + 1) / n,
    ),
    lines(
        "both ends left out",
        ON_A_LINE.format("the first one is z_a itself, the last one z_b."),
        t=lambda n: torch.arange(1, n + 1) / (n + 1),
    ),
    lines(
        "one step too many",
        ON_A_LINE.format("there are `steps` pictures in all, the two ends among them."),
        t=lambda n: evenly(n + 1),
    ),
)


@check("15/repaired_line", "Spot the bug: numbers no decoder has seen")
def repaired_line(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    cases = []
    for z_shape, shape, steps in (((2, 3, 2), (3, 4, 5), 5), ((4,), (1, 3, 2), 4), ((3, 1, 2), (3, 2, 3), 7)):
        z_a, z_b = 1.5 * torch.randn(2, *z_shape, generator=g)
        cases.append((decoder(z_shape, shape, g), z_a, z_b, steps))
    examine_formula(answer, cases, pictures, LINE_MISTAKES, "logits (steps, C, H, W)")


def decoder(z_shape: Shape, shape: Shape, g: torch.Generator) -> Callable[[Tensor], Tensor]:
    """Fixed random weights, and not linear: latents (N, *z_shape) -> logits (N, *shape)."""
    weight = torch.randn(math.prod(z_shape), math.prod(shape), generator=g)

    def decode(h: Tensor) -> Tensor:
        if h.shape[1:] != z_shape:
            raise ValueError(f"decode takes latents of shape (N, {', '.join(map(str, z_shape))}), got {tuple(h.shape)}")
        return 3 * torch.sin(h.float().flatten(1) @ weight).unflatten(1, shape)

    return decode
