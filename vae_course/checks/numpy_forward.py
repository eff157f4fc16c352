"""Sheet 02: one forward pass, in NumPy."""

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from vae_course.checks.answer import Answer, Finding
from vae_course.checks.check import check
from vae_course.checks.formula import Mistake, agree, as_float64, examine_formula, not_finite

Array = NDArray[Any]


def logistic(a: Array) -> Array:
    return 0.5 * (1 + np.tanh(0.5 * a))


# ---- log(1 + e^a) -------------------------------------------------------------------------------------


def log_one_plus_exp(a: Array) -> Array:
    return np.asarray(np.logaddexp(0.0, a))


TOO_EARLY = (
    "a itself for large a",
    "From some a on the result is a itself, but softplus(8) is 8.000335: the correction log(1 + e^−a) is small, not 0. "
    "Written with e^−|a| it needs no threshold.",
)


def linear_for_large_ones(got: list[Any], want: list[Any]) -> bool:
    """Wrong only where a is positive, and a itself there."""

    def so(result: Any, true: Array) -> bool:
        if np.shape(result) != np.shape(true):
            return False
        off = ~np.isclose(as_float64(result), true, rtol=1e-4, atol=1e-5)
        high = true[off]
        return bool((high > np.log(2)).all()) and agree(as_float64(result)[off], high + np.log(-np.expm1(-high)))

    return all(map(so, got, want))


SOFTPLUS_MISTAKES = (
    Mistake(
        "ReLU instead of softplus",
        "That is max(a, 0), which softplus comes close to far from 0. At a = 0 softplus is log 2.",
        lambda a: np.maximum(a, 0),
    ),
    Mistake(
        "the large part is missing",
        "log(1 + e^−|a|) is only the correction. For a > 0 take e^a out of the logarithm: what stays in front of it?",
        lambda a: np.logaddexp(0.0, -np.abs(a)),
    ),
    Mistake(
        "|a| where max(a, 0) is wanted",
        "For a very negative a the result must be close to 0; yours grows. Only positive values are taken out.",
        lambda a: np.logaddexp(0.0, -np.abs(a)) + np.abs(a),
    ),
    Mistake(
        "sigmoid instead of softplus",
        "That is the derivative of softplus. The sigmoid stays between 0 and 1; softplus grows like a.",
        logistic,
    ),
    Mistake(
        "sign of a flipped",
        "That is log(1 + e^−a): it falls where softplus rises.",
        lambda a: np.logaddexp(0.0, -a),
    ),
    Mistake(
        "sign flipped",
        "log(1 + e^a) is never negative, and this is its negative: log(1 − sigmoid(a)).",
        lambda a: -np.logaddexp(0.0, a),
    ),
    Mistake(
        "logarithm to base 2",
        "This course counts in nats: take the natural logarithm.",
        lambda a: np.logaddexp(0.0, a) / np.log(2),
    ),
    Mistake(
        "summed up",
        "One value for each a: the result has the shape of the input.",
        lambda a: np.logaddexp(0.0, a).sum(),
    ),
    Mistake(*TOO_EARLY, when=linear_for_large_ones),
)

EXTREME_MISTAKES = (  # looked for where the answer is right for ordinary numbers
    Mistake(
        "overflow",
        "For a = 1000 or −1000 the result is not finite: e^1000 is more than a float holds, and log 0 is −inf. "
        "Rewrite the formula until no exponent is positive.",
        when=not_finite,
    ),
    Mistake(
        "overflow replaced by a number",
        "softplus(1000) is 1000; yours is about 1e308, the largest float, put where the formula overflows. "
        "Rewrite the formula until no exponent is positive.",
        when=lambda got, want: bool(max(as_float64(each).max() for each in got) > 1e30),
    ),
    Mistake(
        "clipped",
        "Large values are cut off: softplus(1000) is 1000. Clipping hides an overflow; algebra removes it.",
        when=lambda got, want: all(bool((as_float64(g) <= w + 1e-3).all()) for g, w in zip(got, want, strict=True)),
    ),
)


@check("02/softplus", "log(1 + eᵃ) without overflow")
def softplus(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = [(4 * rng.normal(size=shape),) for shape in ((3, 4), (5,), (2, 1, 3))]
    examine_formula(answer, cases, log_one_plus_exp, SOFTPLUS_MISTAKES, "the shape of the input")
    extremes = np.array([-1000.0, 1000.0, 0.0, 40.0])
    examine_formula(answer, [(extremes,)], log_one_plus_exp, EXTREME_MISTAKES, "the shape of the input")
    rising = np.array([0.1, 1.1, 2.1, 3.1, 4.1, 5.1, 6.1, 7.1, 8.1, 9.1, 10.1])
    if not np.allclose(as_float64(answer(rising)), log_one_plus_exp(rising), rtol=2e-6, atol=0):  # e^−10.1 is 4e-5
        raise Finding("mistake", TOO_EARLY[1], TOO_EARLY[0])
    tail = np.array([-25.0, -30.0, -40.0])
    if not np.allclose(as_float64(answer(tail)), np.exp(tail), rtol=1e-3, atol=0):  # e^a to 11 digits
        hint = (
            "Right but for very negative a: softplus(−40) is e^−40, about 4e-18, not 0. In a float 1 + 4e-18 is 1; "
            "NumPy has a logarithm of 1 + a small number that does not add them first."
        )
        raise Finding("mistake", hint, "small values lost")


# ---- the log-likelihood of a Gaussian decoder ---------------------------------------------------------


def gaussian_pixels(x: Array, mean: Array, var: float) -> Array:
    """(B, P): each pixel's log-density."""
    return -((x - mean) ** 2) / (2 * var) - 0.5 * np.log(2 * np.pi * var)


def gaussian(x: Array, mean: Array, var: float) -> Array:
    return np.asarray(gaussian_pixels(x, mean, var).sum(axis=1))


def squares(x: Array, mean: Array) -> Array:
    return np.asarray(((x - mean) ** 2).sum(axis=1))


GAUSSIAN_MISTAKES = (
    Mistake(
        "sign flipped",
        "This is −log N, a loss. The task wants the log-likelihood, which is largest for a perfect mean.",
        lambda *inputs: -gaussian(*inputs),
    ),
    Mistake(
        "averaged over pixels",
        "Given z the pixels are independent, so their log-densities add up: sum over axis 1, do not average.",
        lambda *inputs: gaussian_pixels(*inputs).mean(axis=1),
    ),
    Mistake(
        "summed over the batch",
        "Sum over the pixels only (axis 1): each of the B images has a log-likelihood of its own.",
        lambda *inputs: gaussian_pixels(*inputs).sum(),
    ),
    Mistake(
        "averaged over the batch",
        "The average over the batch is the caller's: return one number for each image.",
        lambda *inputs: gaussian(*inputs).mean(),
    ),
    Mistake(
        "summed over the wrong axis",
        "Images lie along axis 0, pixels along axis 1: sum over axis 1.",
        lambda *inputs: gaussian_pixels(*inputs).sum(axis=0),
    ),
    Mistake(
        "not summed over pixels",
        "This is one number for each pixel. Given z pixels are independent, so an image's log-density is their sum.",
        gaussian_pixels,
    ),
    Mistake(
        "normaliser counted once an image",
        "Each pixel's density has its own factor 1/√(2πσ²): for P pixels −½ log(2πσ²) is counted P times.",
        lambda x, mean, var: -squares(x, mean) / (2 * var) - 0.5 * np.log(2 * np.pi * var),
    ),
    Mistake(
        "normaliser left out",
        "This is −Σ(x − m)²/2σ² alone. The density's factor 1/√(2πσ²) is missing, once for each pixel.",
        lambda x, mean, var: -squares(x, mean) / (2 * var),
    ),
    Mistake(
        "squared error alone",
        "This is −Σ(x − m)². A Gaussian divides it by 2σ², and has the factor 1/√(2πσ²) for each pixel.",
        lambda x, mean, var: -squares(x, mean),
    ),
    Mistake(
        "2π left out",
        "Every pixel's density misses its factor 1/√(2π): the result is too large by ½ log 2π a pixel.",
        lambda x, mean, var: -squares(x, mean) / (2 * var) - 0.5 * x.shape[1] * np.log(var),
    ),
    Mistake(
        "normaliser without σ",
        "A wide Gaussian is lower: each pixel has −½ log σ² beside −½ log 2π.",
        lambda x, mean, var: -squares(x, mean) / (2 * var) - 0.5 * x.shape[1] * np.log(2 * np.pi),
    ),
    Mistake(
        "normaliser added",
        "½ log(2πσ²) is subtracted, not added: a wide Gaussian is lower near its mean.",
        lambda x, mean, var: -squares(x, mean) / (2 * var) + 0.5 * x.shape[1] * np.log(2 * np.pi * var),
    ),
    Mistake(
        "σ² taken for σ",
        "`var` is σ² already: divide by it, do not square it.",
        lambda x, mean, var: gaussian(x, mean, var**2),
    ),
    Mistake(
        "square root of σ²",
        "Both the exponent and the logarithm take σ², which is `var`; its square root is not needed.",
        lambda x, mean, var: gaussian(x, mean, var**0.5),
    ),
    Mistake(
        "σ² left out",
        "This is the log-likelihood for σ² = 1, whatever `var` is.",
        lambda x, mean, var: gaussian(x, mean, 1.0),
    ),
    Mistake(
        "factor ½ of the square missing",
        "The exponent is −(x − m)²/2σ²: the 2 is missing.",
        lambda x, mean, var: gaussian(x, mean, var) - squares(x, mean) / (2 * var),
    ),
    Mistake(
        "factor ½ of the normaliser missing",
        "The normaliser is 1/√(2πσ²): its logarithm is −½ log(2πσ²), and the ½ is missing.",
        lambda x, mean, var: gaussian(x, mean, var) - 0.5 * x.shape[1] * np.log(2 * np.pi * var),
    ),
    Mistake(
        "factor ½ missing",
        "Both terms carry ½: the exponent −(x − m)²/2σ², and the normaliser −½ log(2πσ²).",
        lambda *inputs: 2 * gaussian(*inputs),
    ),
    Mistake(
        "density instead of its logarithm",
        "The result is the density. For an image of 784 pixels it leaves the range of floats: stay with logarithms.",
        lambda *inputs: np.exp(gaussian(*inputs)),
    ),
)


CUT_OFF = Mistake(
    "cut off at 0",
    "A log-density may be positive: where σ is small, a density is larger than 1.",
    lambda x, mean, var: np.minimum(gaussian(x, mean, var), 0),
)
OUT_OF_RANGE = Mistake(
    "the density leaves the range of floats",
    "Right for small images, but for 784 pixels with σ = 0.01 the density itself is 0 or infinite in the computer. "
    "Write down the logarithm of the density, and never the density.",
    when=lambda got, want: not np.isfinite(got[0]).all(),
)


@check("02/gaussian_log_likelihood", "Log-likelihood of a Gaussian decoder")
def gaussian_log_likelihood(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = [(*rng.random((2, B, P)), var) for B, P, var in ((4, 3, 0.3), (2, 7, 2.5), (3, 5, 0.04))]
    meaning = "one log-likelihood for each image, in nats"
    examine_formula(answer, cases, gaussian, (*GAUSSIAN_MISTAKES, CUT_OFF), meaning)
    x = rng.random((2, 784))  # an image that fits its mean, and one that is far from it
    sharp = (x, x + np.array([[0.001], [0.9]]), 1e-4)
    examine_formula(answer, [sharp], gaussian, (OUT_OF_RANGE, CUT_OFF), meaning)


# ---- the mean of many reconstructions -----------------------------------------------------------------

Decoder = Callable[[Array], Array]


def drawn(mu: Array, logvar: Array, eps: Array, scale: float = 0.5) -> Array:
    return mu + np.exp(scale * logvar) * eps  # (K, B, D)


def images_of(decode: Decoder, z: Array) -> Array:
    return logistic(decode(z))


def mean_image(decode: Decoder, mu: Array, logvar: Array, eps: Array, scale: float = 0.5) -> Array:
    return np.asarray(images_of(decode, drawn(mu, logvar, eps, scale)).mean(axis=0))


RECONSTRUCTION_MISTAKES = (
    Mistake(
        "logits averaged",
        "The sigmoid of the mean logit is not the mean of the sigmoids: squash each of the K images, then average.",
        lambda decode, *q: logistic(decode(drawn(*q)).mean(axis=0)),
    ),
    Mistake(
        "z averaged",
        "The picture of the mean z is not the mean of the pictures: decode each of the K samples, then average.",
        lambda decode, *q: images_of(decode, drawn(*q).mean(axis=0)),
    ),
    Mistake(
        "the mean of q instead of samples",
        "This decodes μ, without any noise. The K samples are z = μ + σε, with the given `eps`.",
        lambda decode, mu, logvar, eps: images_of(decode, mu),
    ),
    Mistake(
        "logits instead of probabilities",
        "The decoder returns logits. A pixel's mean is the sigmoid of its logit, between 0 and 1.",
        lambda decode, *q: decode(drawn(*q)).mean(axis=0),
    ),
    Mistake(
        "squashed twice",
        "The sigmoid is applied to numbers that are probabilities already: once is enough.",
        lambda decode, *q: logistic(images_of(decode, drawn(*q))).mean(axis=0),
    ),
    Mistake(
        "summed over samples",
        "Average over the K samples, do not add them up: a pixel's mean lies between 0 and 1.",
        lambda decode, *q: images_of(decode, drawn(*q)).sum(axis=0),
    ),
    Mistake(
        "not averaged over samples",
        "These are all K reconstructions. Average them over the samples, axis 0.",
        lambda decode, *q: images_of(decode, drawn(*q)),
    ),
    Mistake(
        "only the first sample",
        "Only eps[0] is used. Average over all K samples.",
        lambda decode, *q: images_of(decode, drawn(*q)[0]),
    ),
    Mistake(
        "averaged over the batch",
        "Samples lie along axis 0, images along axis 1: two images are never mixed.",
        lambda decode, *q: images_of(decode, drawn(*q)).mean(axis=1),
    ),
    Mistake(
        "σ² taken for σ",
        "z = μ + σε with σ = exp(½ logvar); exp(logvar) is the variance.",
        lambda decode, mu, logvar, eps: mean_image(decode, mu, logvar, eps, scale=1.0),
    ),
    Mistake(
        "logvar taken for σ",
        "`logvar` is log σ², and may be negative: σ is exp(½ logvar).",
        lambda decode, mu, logvar, eps: images_of(decode, mu + logvar * eps).mean(axis=0),
    ),
    Mistake(
        "σ left out",
        "z = μ + ε has variance 1 whatever the encoder says: ε is stretched by σ first.",
        lambda decode, mu, logvar, eps: images_of(decode, mu + eps).mean(axis=0),
    ),
    Mistake(
        "μ left out",
        "z = σε is centred on 0 for every image: μ is missing.",
        lambda decode, mu, logvar, eps: mean_image(decode, 0 * mu, logvar, eps),
    ),
    Mistake(
        "one ε for all images",
        "Every image has noise of its own, eps[:, b]: yours uses the first image's for all.",
        lambda decode, mu, logvar, eps: mean_image(decode, mu, logvar, eps[:, :1]),
    ),
    Mistake(
        "one ε for all latents",
        "Every latent has noise of its own, eps[..., d]: yours uses the first latent's for all.",
        lambda decode, mu, logvar, eps: mean_image(decode, mu, logvar, eps[..., :1]),
    ),
)


def bent_decoder(rng: np.random.Generator, D: int, P: int, strength: float = 2.0) -> Decoder:
    """Not linear, so that averages of z, of logits and of images all differ."""
    W, V = rng.normal(size=(D, 6)), rng.normal(size=(6, P))

    def decode(z: Array) -> Array:
        return np.asarray(strength * np.tanh(z @ W + 0.5) @ V)

    return decode


@check("02/mean_reconstruction", "The mean of many reconstructions")
def mean_reconstruction(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = []
    for K, B, D, P in ((4, 3, 2, 5), (1, 2, 4, 3), (5, 2, 3, 7)):
        q = rng.normal(size=(B, D)), rng.normal(size=(B, D)), rng.normal(size=(K, B, D))
        cases.append((bent_decoder(rng, D, P), *q))
    examine_formula(answer, cases, mean_image, RECONSTRUCTION_MISTAKES, "one image for each example, (B, P)")


# ---- a convolution ------------------------------------------------------------------------------------


def windows(x: Array, k: int, down: int, across: int) -> Array:
    """(B, C, H', W', k, k): what the kernel sees at each place."""
    return sliding_window_view(x, (k, k), axis=(2, 3))[:, :, ::down, ::across]


def convolved(x: Array, W: Array, b: Array, down: int, across: int | None = None) -> Array:
    seen = windows(x, W.shape[-1], down, down if across is None else across)
    return np.asarray(np.einsum("bchwij,ocij->bohw", seen, W) + b[:, None, None])


def corner_without_stride(x: Array, W: Array, b: Array, stride: int) -> Array:
    rows, columns = convolved(x, W, b, stride).shape[2:]
    return convolved(x, W, b, 1)[:, :, :rows, :columns]


def channels_apart(x: Array, W: Array, b: Array, stride: int) -> Array:
    seen = windows(x, W.shape[-1], stride, stride)
    return np.asarray(np.einsum("bchwij,ocij->bochw", seen, W) + b[:, None, None, None])


def padded(x: Array, W: Array, b: Array, stride: int) -> Array:
    margin = W.shape[-1] // 2
    return convolved(np.pad(x, ((0, 0), (0, 0), (margin, margin), (margin, margin))), W, b, stride)


def too_small(got: list[Any], want: list[Any]) -> bool:
    """The right numbers, with rows or columns missing at the end."""

    def corner(result: Any, true: Array) -> bool:
        return np.ndim(result) == 4 and agree(result, true[:, :, : np.shape(result)[2], : np.shape(result)[3]])

    return all(map(corner, got, want))


CONVOLUTION_MISTAKES = (
    Mistake(
        "kernel flipped",
        "This is the convolution of signal processing, which flips the kernel. PyTorch's conv2d does not: "
        "W[..., 0, 0] meets the window's upper left pixel.",
        lambda x, W, b, stride: convolved(x, W[..., ::-1, ::-1], b, stride),
    ),
    Mistake(
        "kernel transposed",
        "Row i of the kernel meets row i of the window: rows and columns of the kernel are swapped.",
        lambda x, W, b, stride: convolved(x, W.swapaxes(2, 3), b, stride),
    ),
    Mistake(
        "height and width swapped",
        "The numbers are right, but the output is on its side: its shape is (B, O, H′, W′).",
        lambda *inputs: convolved(*inputs).swapaxes(2, 3),
    ),
    Mistake(
        "bias left out",
        "Each output channel has a bias, b[o], that is added at every place.",
        lambda x, W, b, stride: convolved(x, W, 0 * b, stride),
    ),
    Mistake(
        "bias added for each input channel",
        "The bias is added once to each output, after the sum over the C input channels.",
        lambda x, W, b, stride: convolved(x, W, b * W.shape[1], stride),
    ),
    Mistake(
        "bias added for each weight",
        "The bias is added once to each output, after the sum over the window.",
        lambda x, W, b, stride: convolved(x, W, b * W[0].size, stride),
    ),
    Mistake(
        "stride ignored",
        "The window moves by `stride` pixels, in both directions, from one output to the next.",
        lambda x, W, b, stride: convolved(x, W, b, 1),
    ),
    Mistake(
        "stride only in the output's size",
        "The size is right, but the window of output (i, j) begins at (i·stride, j·stride), not at (i, j).",
        corner_without_stride,
    ),
    Mistake(
        "stride along the height only",
        "The window moves by `stride` pixels to the right as well as downwards.",
        lambda x, W, b, stride: convolved(x, W, b, stride, 1),
    ),
    Mistake(
        "stride along the width only",
        "The window moves by `stride` pixels downwards as well as to the right.",
        lambda x, W, b, stride: convolved(x, W, b, 1, stride),
    ),
    Mistake(
        "only the first channel",
        "Every output channel looks at all C input channels and adds up what they give.",
        lambda x, W, b, stride: convolved(x[:, :1], W[:, :1], b, stride),
    ),
    Mistake(
        "averaged over channels",
        "The C input channels are added up, not averaged.",
        lambda x, W, b, stride: convolved(x, W / W.shape[1], b, stride),
    ),
    Mistake(
        "averaged over the window",
        "The products in a window are added up, not averaged: the weights may be anything, and need no dividing.",
        lambda x, W, b, stride: convolved(x, W / W[0].size, b, stride),
    ),
    Mistake(
        "input channels kept apart",
        "Each output is a sum over the C input channels too; the result has shape (B, O, H′, W′).",
        channels_apart,
    ),
    Mistake(
        "padded",
        "The border was padded with zeros. Here the kernel stays inside the image: padding is 0.",
        padded,
    ),
    Mistake(
        "last row or column left out",
        "The output's size is off by one: a window fits at positions 0, stride, 2·stride, … up to H − k, "
        "that one included.",
        when=too_small,
    ),
)


@check("02/conv2d", "What a convolution computes")
def conv2d(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = []
    for B, C, H, W, out, k, stride in (
        (2, 3, 6, 5, 4, 3, 1),
        (3, 2, 4, 7, 2, 2, 2),
        (2, 4, 5, 3, 3, 1, 2),
        (1, 1, 5, 8, 1, 3, 2),
    ):
        cases.append((rng.normal(size=(B, C, H, W)), rng.normal(size=(out, C, k, k)), rng.normal(size=out), stride))
    examine_formula(answer, cases, convolved, CONVOLUTION_MISTAKES, "(B, O, H′, W′)")


# ---- spot the bug: an image squashed twice ------------------------------------------------------------


def coin_costs(logits: Array, x: Array) -> Array:
    """−log p of each pixel."""
    return np.logaddexp(0.0, logits) - x * logits


def cost_of_images(logits: Array, x: Array) -> Array:
    return np.asarray(coin_costs(logits, x).sum(axis=(1, 2, 3)))


def partly_summed(got: list[Any], want: list[Any]) -> bool:
    """More than one number an image, and their sum is right."""

    def adds_up(result: Any, true: Array) -> bool:
        values = as_float64(result)
        return values.ndim > 1 and len(values) == len(true) and agree(values.reshape(len(true), -1).sum(1), true)

    return all(map(adds_up, got, want))


REC_MISTAKES = (
    Mistake(
        "logits taken for probabilities",
        "Every cost is NaN: a logit may be negative, and the logarithm of a negative number is none. "
        "log m and log(1 − m) want probabilities; written with logits, −log p is log(1 + e^logit) − x · logit.",
        when=lambda got, want: all(np.isnan(as_float64(each)).all() for each in got),
    ),
    Mistake(
        "still squashed twice",
        "This is the faulty function unchanged: a loss that takes logits is given sigmoid(logits).",
        lambda logits, x: cost_of_images(logistic(logits), x),
    ),
    Mistake(
        "squashed once more",
        "There are now three sigmoids. Take one away, do not add one.",
        lambda logits, x: cost_of_images(logistic(logistic(logits)), x),
    ),
    Mistake(
        "sign flipped",
        "This is log p(x | z). The reconstruction term is its negative: training makes it small.",
        lambda *inputs: -cost_of_images(*inputs),
    ),
    Mistake(
        "averaged over pixels",
        "The pixels of an image are added up: an average would make the KL 784 times too heavy for an MNIST image.",
        lambda *inputs: coin_costs(*inputs).mean(axis=(1, 2, 3)),
    ),
    Mistake(
        "summed over the batch",
        "Sum over the pixels only (axes 1, 2, 3): each of the B images has a term of its own.",
        lambda *inputs: coin_costs(*inputs).sum(),
    ),
    Mistake(
        "averaged over the batch",
        "The average over the batch is the caller's: return one number for each image.",
        lambda *inputs: cost_of_images(*inputs).mean(),
    ),
    Mistake(
        "not summed over all pixels",
        "There is still more than one number an image: sum over channels, rows and columns (axes 1, 2, 3).",
        when=partly_summed,
    ),
    Mistake(
        "black pixels are free",
        "This is −x log m alone: a decoder that paints everything white would pay nothing. Add −(1 − x) log(1 − m).",
        lambda logits, x: (x * np.logaddexp(0.0, -logits)).sum(axis=(1, 2, 3)),
    ),
    Mistake(
        "white pixels are free",
        "This is −(1 − x) log(1 − m) alone: a decoder that paints everything black would pay nothing. Add −x log m.",
        lambda logits, x: ((1 - x) * np.logaddexp(0.0, logits)).sum(axis=(1, 2, 3)),
    ),
    Mistake(
        "x and logits swapped",
        "The likelihood is given its arguments in the wrong order: logits come from the decoder, x is the image.",
        lambda logits, x: cost_of_images(x, logits),
    ),
    Mistake(
        "squared error",
        "That is Σ(x − m)², up to a factor the reconstruction term of a Gaussian. Here each pixel is a coin.",
        lambda logits, x: ((x - logistic(logits)) ** 2).sum(axis=(1, 2, 3)),
    ),
)

SURE_MISTAKES = (  # looked for where the answer is right for ordinary logits; the cases are logits of ±60 and of ±1000
    Mistake(
        "the logarithm of 0",
        "Where the decoder is sure, the probability is rounded to 0 or 1 and its logarithm is −inf. "
        "Do the algebra on the logits, as lesson 02 does.",
        when=lambda got, want: not np.isfinite(as_float64(got[0])).all(),
    ),
    Mistake(
        "e^logit overflows",
        "For logits of ±1000 the result is not finite: e^1000 is more than a float holds. "
        "log(1 + e^a) is also `np.logaddexp(0, a)`, which no a can break.",
        when=lambda got, want: not np.isfinite(as_float64(got[1])).all(),
    ),
    Mistake(
        "clipped",
        "A decoder that is sure and mistaken pays about 1000 nats a pixel at a logit of 1000. Yours pays less: "
        "something is clipped, and there its gradient would be 0. With logits nothing has to be clipped.",
        when=lambda got, want: bool((as_float64(got[1]) < want[1] - 1).any()),
    ),
)


@check("02/repaired_rec", "Spot the bug: an image squashed twice")
def repaired_rec(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = ((3, 1, 4, 5), (2, 3, 3, 2), (4, 2, 1, 6))
    cases = [(3 * rng.normal(size=size), rng.random(size)) for size in sizes]
    examine_formula(answer, cases, cost_of_images, REC_MISTAKES, "one number an image, in nats")
    white = rng.integers(0, 2, size=(2, 1, 3, 4)).astype(float)
    white[:, :, :, :2] = 0, 1  # each row has both
    sure = 2 * white - 1
    sure[:, :, 0] *= -1  # and mistaken about the first row
    of_sure_ones = [(60 * sure, white), (1000 * sure, white)]
    examine_formula(answer, of_sure_ones, cost_of_images, SURE_MISTAKES, "one number an image, in nats")


# ---- the whole pass, with K samples -------------------------------------------------------------------

Encoder = Callable[[Array], tuple[Array, Array]]
Terms = tuple[Any, Any, Any]


def standard_kl(mu: Array, logvar: Array) -> Array:
    """(B, D): each latent's KL."""
    return 0.5 * (mu**2 + np.expm1(logvar) - logvar)


def both_terms(encode: Encoder, decode: Decoder, x: Array, eps: Array, scale: float = 0.5) -> tuple[Array, Array]:
    """rec of each sample (K, B), and the KL of each latent (B, D)."""
    mu, logvar = encode(x)
    return coin_costs(decode(drawn(mu, logvar, eps, scale)), x).sum(axis=-1), standard_kl(mu, logvar)


def added(rec: Any, kl: Any) -> Terms:
    loss = rec + kl
    return loss, rec, kl


def whole_pass(encode: Encoder, decode: Decoder, x: Array, eps: Array, scale: float = 0.5) -> Terms:
    rec, kl = both_terms(encode, decode, x, eps, scale)
    return added(rec.mean(axis=0), kl.sum(axis=1))


def from_terms(combine: Callable[[Array, Array], Terms]) -> Callable[..., Terms]:
    """A wrong answer that combines rec (K, B) and kl (B, D) in its own way."""
    return lambda *inputs: combine(*both_terms(*inputs))


def without_noise(encode: Encoder, decode: Decoder, x: Array, eps: Array) -> Terms:
    return whole_pass(encode, decode, x, 0 * eps[:1])


def noise_averaged(encode: Encoder, decode: Decoder, x: Array, eps: Array) -> Terms:
    return whole_pass(encode, decode, x, eps.mean(axis=0, keepdims=True))


def rec_averaged_over_pixels(encode: Encoder, decode: Decoder, x: Array, eps: Array) -> Terms:
    _, rec, kl = whole_pass(encode, decode, x, eps)
    return added(rec / x.shape[1], kl)


def squashed_twice(encode: Encoder, decode: Decoder, x: Array, eps: Array) -> Terms:
    return whole_pass(encode, lambda z: images_of(decode, z), x, eps)


def log_sigma_in_the_kl(encode: Encoder, decode: Decoder, x: Array, eps: Array) -> Terms:
    mu, logvar = encode(x)
    return added(whole_pass(encode, decode, x, eps)[1], standard_kl(mu, 2 * logvar).sum(axis=1))


def out_of_order(got: list[Any], want: list[Any]) -> bool:
    def in_this(order: tuple[int, ...]) -> bool:
        return all(agree(tuple(result[i] for i in order), true) for result, true in zip(got, want, strict=True))

    return any(map(in_this, permutations(range(3))))


PASS_MISTAKES = (
    Mistake(
        "factor ½ missing in the KL",
        "rec is right. Every term of the KL between Gaussians carries ½.",
        from_terms(lambda rec, kl: added(rec.mean(axis=0), 2 * kl.sum(axis=1))),
    ),
    Mistake("results out of order", "Return the loss first, then rec, then kl.", when=out_of_order),
    Mistake(
        "summed over samples",
        "Average rec over the K samples, do not add them up: more samples must not make the term larger.",
        from_terms(lambda rec, kl: added(rec.sum(axis=0), kl.sum(axis=1))),
    ),
    Mistake(
        "not averaged over samples",
        "rec still has one row for each sample, (K, B): average over the samples, axis 0.",
        from_terms(lambda rec, kl: added(rec, kl.sum(axis=1))),
    ),
    Mistake(
        "only the first sample",
        "Only eps[0] is used. Average rec over all K samples.",
        from_terms(lambda rec, kl: added(rec[0], kl.sum(axis=1))),
    ),
    Mistake(
        "logarithm of the average",
        "This averages the likelihoods p(x | z) and then takes the logarithm. The ELBO averages the logarithms.",
        from_terms(lambda rec, kl: added(np.log(len(rec)) - np.logaddexp.reduce(-rec, axis=0), kl.sum(axis=1))),
    ),
    Mistake(
        "noise averaged",
        "The average of K samples of z is decoded once. Decode each sample, and average what the pixels cost.",
        noise_averaged,
    ),
    Mistake(
        "the mean of q instead of samples",
        "This decodes μ. rec is an average over q, estimated with the samples z = μ + σε.",
        without_noise,
    ),
    Mistake(
        "σ² taken for σ",
        "z = μ + σε with σ = exp(½ logvar); exp(logvar) is the variance.",
        lambda encode, decode, x, eps: whole_pass(encode, decode, x, eps, scale=1.0),
    ),
    Mistake(
        "log σ taken for log σ² in the KL",
        "`logvar` is log σ², so σ² is exp(logvar), in the KL as well as in the sample.",
        log_sigma_in_the_kl,
    ),
    Mistake(
        "squashed twice",
        "The decoder returns logits, and the formula for the pixels takes logits: no sigmoid is needed.",
        squashed_twice,
    ),
    Mistake(
        "rec averaged over pixels",
        "The pixels of an image are added up: an average would weigh the KL P times too heavily.",
        rec_averaged_over_pixels,
    ),
    Mistake(
        "KL averaged over latents",
        "Independent latents add up: sum the KL over the D latents (axis 1), do not average.",
        from_terms(lambda rec, kl: added(rec.mean(axis=0), kl.mean(axis=1))),
    ),
    Mistake(
        "KL divided by K",
        "The KL is exact and needs no sample: it counts once, however many samples rec has.",
        from_terms(lambda rec, kl: added(rec.mean(axis=0), kl.sum(axis=1) / len(rec))),
    ),
    Mistake(
        "KL counted K times",
        "The KL is exact and needs no sample: it counts once, however many samples rec has.",
        from_terms(lambda rec, kl: added(rec.mean(axis=0), kl.sum(axis=1) * len(rec))),
    ),
    Mistake(
        "KL left out of the loss",
        "The loss is rec + kl. Yours is rec alone: an autoencoder's.",
        from_terms(lambda rec, kl: (rec.mean(axis=0), rec.mean(axis=0), kl.sum(axis=1))),
    ),
    Mistake(
        "KL subtracted",
        "The loss adds the KL: −ELBO is never below its reconstruction term.",
        from_terms(lambda rec, kl: (rec.mean(axis=0) - kl.sum(axis=1), rec.mean(axis=0), kl.sum(axis=1))),
    ),
    Mistake(
        "sign of the KL flipped",
        "A KL is never negative, and this is −KL.",
        from_terms(lambda rec, kl: added(rec.mean(axis=0), -kl.sum(axis=1))),
    ),
    Mistake(
        "sign of rec flipped",
        "This is log p(x | z). rec is its negative, so that loss = rec + kl.",
        from_terms(lambda rec, kl: added(-rec.mean(axis=0), kl.sum(axis=1))),
    ),
    Mistake(
        "the ELBO instead of the loss",
        "rec and kl are right, and the first result is the ELBO. A loss is what training makes small: −ELBO.",
        from_terms(lambda rec, kl: (-rec.mean(axis=0) - kl.sum(axis=1), rec.mean(axis=0), kl.sum(axis=1))),
    ),
    Mistake(
        "the ELBO and the log-likelihood",
        "These are the ELBO and log p(x | z). The task wants what training makes small: −ELBO, and rec = −log p(x|z).",
        from_terms(lambda rec, kl: (-rec.mean(axis=0) - kl.sum(axis=1), -rec.mean(axis=0), kl.sum(axis=1))),
    ),
    Mistake(
        "log-likelihood returned as rec",
        "The loss is right, but the second result is log p(x | z). rec is its negative: loss = rec + kl.",
        from_terms(lambda rec, kl: (rec.mean(axis=0) + kl.sum(axis=1), -rec.mean(axis=0), kl.sum(axis=1))),
    ),
    Mistake(
        "averaged over the batch",
        "The average over the batch is the caller's: return one number for each image.",
        from_terms(lambda rec, kl: added(rec.mean(), kl.sum(axis=1).mean())),
    ),
)

SURE_PASS_MISTAKES = (
    Mistake(
        "unstable for a sure decoder",
        "Right for ordinary logits, but not for ±1000: a pixel costs 0 where the decoder is sure and right, and 1000 "
        "where it is mistaken. No sigmoid, no clipping and no e^logit: compute the cost from the logits, as in the "
        "lesson.",
        when=lambda got, want: True,
    ),
)


def sure_pass(rng: np.random.Generator) -> tuple[Any, ...]:
    """A decoder that is sure of every pixel; it is right about the first image, and about half of the second one."""
    painted = np.array([1.0, 0.0, *rng.integers(0, 2, size=2), 1.0, 0.0])
    V = rng.normal(size=(2, 6))

    def encode(x: Array) -> tuple[Array, Array]:
        return x[..., :2] - 0.5, x[..., 4:] - 1

    def decode(z: Array) -> Array:
        return np.asarray(1000 * (2 * painted - 1) + z @ V)

    other = painted.copy()
    other[-3:] = 1 - other[-3:]
    return encode, decode, np.stack([painted, other]), rng.normal(size=(3, 2, 2))


@check("02/negative_elbo", "The whole pass, with K samples")
def negative_elbo(answer: Answer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cases = []
    for K, B, D, P in ((4, 3, 2, 5), (1, 2, 3, 7), (3, 4, 5, 6)):
        to_mu, to_logvar = rng.normal(size=(2, P, D))

        def encode(x: Array, to_mu: Array = to_mu, to_logvar: Array = to_logvar) -> tuple[Array, Array]:
            return x @ to_mu, np.sin(x @ to_logvar) - 0.4

        cases.append((encode, bent_decoder(rng, D, P, 0.5), rng.random((B, P)), rng.normal(size=(K, B, D))))
    meaning = "loss, rec and kl, one number each for every image"
    examine_formula(answer, cases, whole_pass, PASS_MISTAKES, meaning)
    examine_formula(answer, [sure_pass(rng)], whole_pass, SURE_PASS_MISTAKES, meaning)
