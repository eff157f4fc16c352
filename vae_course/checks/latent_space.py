"""Sheet 06: moving through a latent space, drawing it, and two classic rulers, PSNR and the principal plane."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vae_course import latent
from vae_course.checks.answer import Answer, Finding
from vae_course.checks.check import check
from vae_course.checks.formula import Case, Mistake, agree, as_float64, examine_formula

Encode = Callable[[Tensor], tuple[Tensor, Tensor]]
Decode = Callable[[Tensor], Tensor]
Shape = tuple[int, int, int]  # (C, H, W)


def small_encoder(D: int, shape: Shape, g: torch.Generator) -> Encode:
    """Fixed random weights: images (B, C, H, W) -> mu, logvar: (B, D) each."""
    first = 3 * torch.randn(math.prod(shape), 8, generator=g) / math.prod(shape) ** 0.5
    second = torch.randn(8, 2 * D, generator=g) / 2

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        if x.ndim != 4:
            raise ValueError(f"encode takes a batch of images, (B, C, H, W), got {tuple(x.shape)}")
        mu, logvar = (torch.tanh(x.float().flatten(1) @ first) @ second).chunk(2, dim=1)
        return mu, logvar - 1

    return encode


def small_decoder(D: int, shape: Shape, g: torch.Generator) -> Decode:
    """Fixed random weights: z (B, D) -> logits (B, C, H, W)."""
    first = torch.randn(D, 8, generator=g)
    second = torch.randn(8, math.prod(shape), generator=g)

    def decode(z: Tensor) -> Tensor:
        if z.ndim != 2 or z.shape[1] != D:
            raise ValueError(f"decode takes a batch of latents, (B, {D}), got {tuple(z.shape)}")
        return (torch.tanh(z.float() @ first) @ second).unflatten(1, shape)

    return decode


# ---- evenly spaced values, and the ways to miss their ends --------------------------------------------


def even(n: int, span: float) -> Tensor:
    return torch.linspace(-span, span, n)


def without_last(n: int, span: float) -> Tensor:
    return even(n + 1, span)[:-1]


def without_first(n: int, span: float) -> Tensor:
    return even(n + 1, span)[1:]


def inside(n: int, span: float) -> Tensor:
    return even(n + 2, span)[1:-1]


def middles(n: int, span: float) -> Tensor:
    return span * (2 * (torch.arange(n) + 0.5) / n - 1)


def one_more(n: int, span: float) -> Tensor:
    return even(n + 1, span)


def half_as_wide(n: int, span: float) -> Tensor:
    return even(n, span / 2)


def from_zero(n: int, span: float) -> Tensor:
    return torch.linspace(0, span, n)


# ---- one latent at a time -----------------------------------------------------------------------------


def moved(z: Tensor, j: int, span: float, steps: int, values: Callable[[int, float], Tensor] = even) -> Tensor:
    row = torch.arange(len(z)) == j  # (D,)
    return torch.where(row, values(steps, span)[:, None], z)


def shifted(z: Tensor, j: int, span: float, steps: int) -> Tensor:
    return moved(torch.zeros_like(z), j, span, steps) + z


def others_zeroed(z: Tensor, j: int, span: float, steps: int) -> Tensor:
    return moved(torch.zeros_like(z), j, span, steps)


def all_moved(z: Tensor, j: int, span: float, steps: int) -> Tensor:
    return even(steps, span)[:, None].repeat(1, len(z))


def scaled(z: Tensor, j: int, span: float, steps: int) -> Tensor:
    return moved(torch.ones_like(z), j, span, steps) * z


def last_row_everywhere(z: Tensor, j: int, span: float, steps: int) -> Tensor:
    return moved(z, j, span, steps)[-1:].repeat(steps, 1)


def first_row_everywhere(z: Tensor, j: int, span: float, steps: int) -> Tensor:
    return moved(z, j, span, steps)[:1].repeat(steps, 1)


def valued(name: str, hint: str, values: Callable[[int, float], Tensor]) -> Mistake:
    return Mistake(name, hint, lambda z, j, span, steps: moved(z, j, span, steps, values))


AN_END_IS_MISSING = "The values run evenly from −span to span, both included; here an end is missing."
ALL_ALIKE = (
    "All rows are alike. If every row is one and the same tensor, a later change changes them all: each needs a copy."
)

TRAVERSAL_MISTAKES = (
    Mistake(
        "added instead of replaced",
        "Latent j should *be* the value. Here the value is added to what z had there.",
        shifted,
    ),
    Mistake("multiplied", "Latent j should *be* the value. Here it is what z had there, times the value.", scaled),
    Mistake("the others zeroed", "Only latent j moves: the other latents keep what z has there.", others_zeroed),
    Mistake(
        "all latents moved", "Every latent moves. Only latent j does, the others keep what z has there.", all_moved
    ),
    Mistake(
        "the latent before",
        "Another latent moves. j counts from 0, as Python does.",
        lambda z, j, span, steps: moved(z, (j - 1) % len(z), span, steps),
    ),
    Mistake("all rows alike", ALL_ALIKE, last_row_everywhere),
    Mistake("all rows alike", ALL_ALIKE, first_row_everywhere),
    *(valued("an end missing", AN_END_IS_MISSING, values) for values in (without_last, without_first, inside, middles)),
    valued(
        "one row too many",
        "`steps` counts the rows. Between them there is one interval fewer.",
        one_more,
    ),
    valued("backwards", "The first row belongs to −span, the last to span.", lambda n, span: even(n, span).flip(0)),
    valued("half of the span", "Each end lies `span` away from 0, so the whole way is twice as long.", half_as_wide),
    valued("from zero", "The values begin at −span, not at 0.", from_zero),
    Mistake(
        "rows and columns exchanged",
        "A row is a whole latent: the result has the shape (steps, D).",
        lambda *case: moved(*case).T,
    ),
)


@check("06/traversal", "One latent moves")
def traversal(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    sizes = ((4, 2, 2.5, 5), (3, 0, 1.7, 4), (6, 5, 3.2, 7))
    cases = [(0.5 + torch.randn(D, generator=g), j, span, steps) for D, j, span, steps in sizes]
    examine_formula(answer, cases, moved, TRAVERSAL_MISTAKES, "one latent in each row, (steps, D)")


# ---- a map of the plane -------------------------------------------------------------------------------


def side_by_side(pictures: Tensor, n: int) -> Tensor:
    """(n², 1, H, W), row by row -> (n·H, n·W)."""
    return torch.cat([torch.cat(list(row), dim=2) for row in pictures.split(n)], dim=1)[0]


def reshaped(pictures: Tensor, n: int) -> Tensor:
    H, W = pictures.shape[2:]
    return pictures.reshape(n * H, n * W)


def interleaved(pictures: Tensor, n: int) -> Tensor:
    H, W = pictures.shape[2:]
    return pictures.reshape(n, n, H, W).permute(2, 0, 3, 1).reshape(n * H, n * W)


def on_their_side(pictures: Tensor, n: int) -> Tensor:
    return side_by_side(pictures.transpose(2, 3), n)


def drawn(
    decode: Decode,
    n: int,
    span: float,
    *,
    values: Callable[[int, float], Tensor] = even,
    place: Callable[[Tensor, int, int], tuple[Tensor, Tensor]] = lambda v, r, c: (v[c], v[-1 - r]),
    pixels: Callable[[Tensor], Tensor] = torch.sigmoid,
    paste: Callable[[Tensor, int], Tensor] = side_by_side,
) -> Tensor:
    """place: the values, a row counted from the top and a column -> z[0], z[1]."""
    v = values(n, span)
    codes = torch.stack([torch.stack(place(v, r, c)) for r in range(n) for c in range(n)])
    return paste(pixels(decode(codes)), n)


def canvas(name: str, hint: str, **changes: Any) -> Mistake:
    return Mistake(name, hint, lambda *case: drawn(*case, **changes))


AXES = "z[0] should change along a row of the canvas and z[1] along a column; here it is the other way round."
SCRAMBLED = (
    "The shape is right, but the pixels are in the wrong places. Order the dimensions as grid row, row within the "
    "picture, grid column, column within the picture before you merge them."
)

CANVAS_MISTAKES = (
    canvas(
        "upside down",
        "Row 0 of a picture is its top, so it belongs to the largest z[1]; here z[1] grows downwards.",
        place=lambda v, r, c: (v[c], v[r]),
    ),
    canvas(
        "left and right exchanged",
        "z[0] should grow to the right; here it grows to the left.",
        place=lambda v, r, c: (v[-1 - c], v[-1 - r]),
    ),
    canvas(
        "turned by 180 degrees",
        "Both axes run backwards: z[0] should grow to the right, z[1] upwards.",
        place=lambda v, r, c: (v[-1 - c], v[r]),
    ),
    canvas("axes exchanged", AXES, place=lambda v, r, c: (v[r], v[c])),
    canvas("axes exchanged", AXES, place=lambda v, r, c: (v[-1 - r], v[c])),
    canvas("axes exchanged", AXES, place=lambda v, r, c: (v[r], v[-1 - c])),
    canvas("axes exchanged", AXES, place=lambda v, r, c: (v[-1 - r], v[-1 - c])),
    canvas(
        "logits shown",
        "The decoder returns logits, any real numbers. A sigmoid makes pixels of them.",
        pixels=torch.clone,
    ),
    canvas(
        "squashed twice",
        "A sigmoid was applied twice: all pixels lie between 0.5 and 0.73, which looks grey.",
        pixels=lambda logits: logits.sigmoid().sigmoid(),
    ),
    canvas(
        "clamped instead of squashed",
        "Logits are cut off at 0 and 1. A sigmoid makes pixels of them.",
        pixels=lambda logits: logits.clamp(0, 1),
    ),
    canvas("pixels scrambled", SCRAMBLED, paste=reshaped),
    canvas("pixels scrambled", SCRAMBLED, paste=interleaved),
    Mistake(
        "pictures upside down",
        "The places are right, but every picture stands on its head: turn the order of the values, not the canvas.",
        lambda decode, n, span: drawn(decode, n, span, place=lambda v, r, c: (v[c], v[r])).flip(0),
    ),
    canvas("pictures on their side", "Every single picture has its rows and columns exchanged.", paste=on_their_side),
    *(
        canvas("an end missing", "The values run from −span to span, both included; here an end is missing.", values=v)
        for v in (without_last, without_first, inside, middles)
    ),
    Mistake(
        "one value too many",
        "`n` counts the pictures along a side; here there is one more.",
        lambda decode, n, span: drawn(decode, n + 1, span),
    ),
    canvas(
        "half of the span",
        "Each end lies `span` away from 0, so a side of the map is twice as long.",
        values=half_as_wide,
    ),
    canvas("from zero", "The values begin at −span, not at 0.", values=from_zero),
    canvas(
        "the prior's quantiles",
        "These are quantiles of the prior, as in the lesson. This map has equal steps, from −span to span.",
        values=lambda n, span: latent.prior_quantiles(n),
    ),
    *(
        canvas(
            "span ignored",
            "The map always has the same ends: use `span`, which the caller chooses.",
            values=lambda n, span, limit=limit: even(n, limit),
        )
        for limit in (1.0, 2.0, 3.0)
    ),
)


@check("06/draw_latent_space", "The plane, drawn")
def draw_latent_space(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    sizes = ((4, 2.5, (1, 2, 3)), (3, 1.3, (1, 4, 3)), (5, 3.4, (1, 3, 2)))
    cases = [(small_decoder(2, shape, g), n, span) for n, span, shape in sizes]
    examine_formula(answer, cases, drawn, CANVAS_MISTAKES, "one canvas, (n·H, n·W), no channels")


# ---- from picture to picture --------------------------------------------------------------------------


def unit_steps(n: int) -> Tensor:
    return torch.linspace(0, 1, n)


def mixed(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """(1 - t)·a + t·b for a and b of any one shape: (T, *shape)."""
    t = t.view(-1, *[1] * a.ndim)
    return a + t * (b - a)


def between(
    encode: Encode,
    decode: Decode,
    x0: Tensor,
    x1: Tensor,
    steps: int,
    *,
    t: Callable[[int], Tensor] = unit_steps,
    code: Callable[[Tensor, Tensor], Tensor] = lambda mu, logvar: mu,
    path: Callable[[Tensor, Tensor, Tensor], Tensor] = mixed,
    pixels: Callable[[Tensor], Tensor] = torch.sigmoid,
) -> Tensor:
    a, b = code(*encode(torch.stack([x0, x1])))
    return pixels(decode(path(a, b, t(steps))))


def ends_decoded(encode: Encode, decode: Decode, x0: Tensor, x1: Tensor) -> Tensor:
    return decode(encode(torch.stack([x0, x1]))[0])


def images_mixed(encode: Encode, decode: Decode, x0: Tensor, x1: Tensor, steps: int) -> Tensor:
    return mixed(x0, x1, unit_steps(steps))


def mixed_images_rebuilt(encode: Encode, decode: Decode, x0: Tensor, x1: Tensor, steps: int) -> Tensor:
    return decode(encode(mixed(x0, x1, unit_steps(steps)))[0]).sigmoid()


def reconstructions_mixed(encode: Encode, decode: Decode, x0: Tensor, x1: Tensor, steps: int) -> Tensor:
    a, b = ends_decoded(encode, decode, x0, x1).sigmoid()
    return mixed(a, b, unit_steps(steps))


def logits_mixed(encode: Encode, decode: Decode, x0: Tensor, x1: Tensor, steps: int) -> Tensor:
    a, b = ends_decoded(encode, decode, x0, x1)
    return mixed(a, b, unit_steps(steps)).sigmoid()


def originals_at_the_ends(encode: Encode, decode: Decode, x0: Tensor, x1: Tensor, steps: int) -> Tensor:
    return torch.stack([x0, *between(encode, decode, x0, x1, steps)[1:-1], x1])


def originals_around(encode: Encode, decode: Decode, x0: Tensor, x1: Tensor, steps: int) -> Tensor:
    return torch.stack([x0, *between(encode, decode, x0, x1, steps), x1])


def stepping(name: str, hint: str, **changes: Any) -> Mistake:
    return Mistake(name, hint, lambda *case: between(*case, **changes))


BOTH_ENDS = "The first picture is decoded from x0's code, the last from x1's; here an end is missing."
DECODE_EVERY_CODE = "The ends are decoded and the results mixed. Mix the codes, then decode every one of them."
REBUILT_ENDS = (
    "The originals stand at the ends. All pictures come from the decoder: the ends are reconstructions of x0 and x1."
)

INTERPOLATION_MISTAKES = (
    Mistake(
        "pixels mixed", "The two images fade into each other. Mix their codes, and decode the mixtures.", images_mixed
    ),
    Mistake(
        "mixed before the encoder",
        "The images are mixed, then encoded and decoded. Encode both first, and mix their codes.",
        mixed_images_rebuilt,
    ),
    Mistake("reconstructions mixed", DECODE_EVERY_CODE, reconstructions_mixed),
    Mistake("reconstructions mixed", DECODE_EVERY_CODE, logits_mixed),
    stepping("backwards", "The row runs from x1 to x0. It should begin at x0.", t=lambda n: unit_steps(n).flip(0)),
    stepping("an end missing", BOTH_ENDS, t=lambda n: unit_steps(n + 1)[:-1]),
    stepping("an end missing", BOTH_ENDS, t=lambda n: unit_steps(n + 1)[1:]),
    stepping("an end missing", BOTH_ENDS, t=lambda n: unit_steps(n + 2)[1:-1]),
    stepping("an end missing", BOTH_ENDS, t=lambda n: (torch.arange(n) + 0.5) / n),
    stepping("too many pictures", "`steps` counts all pictures, both ends included.", t=lambda n: unit_steps(n + 1)),
    stepping("too many pictures", "`steps` counts all pictures, both ends included.", t=lambda n: unit_steps(n + 2)),
    Mistake("originals at the ends", REBUILT_ENDS, originals_at_the_ends),
    Mistake("originals at the ends", REBUILT_ENDS, originals_around),
    stepping(
        "log-variances taken for codes",
        "`encode` returns two tensors, mu and logvar. The code of an image is mu, the first.",
        code=lambda mu, logvar: logvar,
    ),
    stepping(
        "σ added to the code",
        "σ was added to the means. The straight line here runs between the means themselves.",
        code=lambda mu, logvar: mu + (0.5 * logvar).exp(),
    ),
    stepping(
        "the arc instead of the line",
        "These codes lie on an arc. Here the straight line is wanted: (1 − t)·a + t·b.",
        path=latent.slerp,
    ),
    stepping(
        "logits shown",
        "The decoder returns logits, any real numbers. A sigmoid makes pixels of them.",
        pixels=torch.clone,
    ),
    stepping(
        "squashed twice",
        "A sigmoid was applied twice: all pixels lie between 0.5 and 0.73, which looks grey.",
        pixels=lambda logits: logits.sigmoid().sigmoid(),
    ),
    stepping(
        "clamped instead of squashed",
        "Logits are cut off at 0 and 1. A sigmoid makes pixels of them.",
        pixels=lambda logits: logits.clamp(0, 1),
    ),
)


@check("06/interpolate", "From picture to picture")
def interpolate(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    cases = []
    for D, shape, steps in ((5, (1, 4, 3), 4), (2, (3, 2, 5), 6), (3, (2, 3, 4), 5)):
        x0, x1 = torch.rand(2, *shape, generator=g)
        cases.append((small_encoder(D, shape, g), small_decoder(D, shape, g), x0, x1, steps))
    require_no_noise(answer, cases[0])
    examine_formula(answer, cases, between, INTERPOLATION_MISTAKES, "pictures of shape (steps, C, H, W)")


def require_no_noise(answer: Answer, case: tuple[Any, ...]) -> None:
    once, again = answer(*case), answer(*case)
    if isinstance(once, Tensor) and isinstance(again, Tensor) and once.isfinite().all() and not agree(again, once):
        hint = "Two calls return different pictures. Take the means mu as codes, without noise."
        raise Finding("mistake", hint, "sampled codes")


# ---- the arc ------------------------------------------------------------------------------------------


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.nn.functional.cosine_similarity(a, b, dim=0)


def true_angle(a: Tensor, b: Tensor) -> Tensor:
    return cosine(a, b).acos()


def right_norm(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """(T, 1)."""
    return torch.lerp(a.norm(), b.norm(), t)[:, None]


def turned(a: Tensor, b: Tensor, t: Tensor, angle: Tensor, divisor: Tensor | None = None) -> Tensor:
    """Weights sin((1-t)·angle) and sin(t·angle), over sin(angle) unless told otherwise: (T, D)."""
    weights = torch.stack([(1 - t) * angle, t * angle], dim=1).sin()  # (T, 2)
    return weights @ torch.stack([a, b]) / (angle.sin() if divisor is None else divisor)


def unit(a: Tensor) -> Tensor:
    return a / a.norm()


def arc(
    a: Tensor,
    b: Tensor,
    t: Tensor,
    *,
    angle: Callable[[Tensor, Tensor], Tensor] = true_angle,
    norm: Callable[[Tensor, Tensor, Tensor], Tensor | float] = right_norm,
    divisor: Callable[[Tensor, Tensor], Tensor | None] = lambda a, b: None,
) -> Tensor:
    return norm(a, b, t) * turned(unit(a), unit(b), t, angle(a, b), divisor(a, b))


def arched(name: str, hint: str, **changes: Any) -> Mistake:
    return Mistake(name, hint, lambda *case: arc(*case, **changes))


def whole_vectors(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    return turned(a, b, t, true_angle(a, b))


def raw_angle(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b).clamp(-1, 1).acos()


def straight(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    return mixed(a, b, t)


def stretched_line(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    return right_norm(a, b, t) * torch.nn.functional.normalize(straight(unit(a), unit(b), t), dim=1)


def stretched_whole_line(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    return right_norm(a, b, t) * torch.nn.functional.normalize(straight(a, b, t), dim=1)


def not_turned(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    return right_norm(a, b, t) * turned(unit(a), unit(b), t, torch.ones(()))


EVEN_RATE = "The norms are right, but the direction comes from a straight line, so it does not turn at an even rate."
SINE_OF_T = "The weights contain the sine of t itself. It is the sine of t times the angle."
DOT_IS_NOT_COSINE = (
    "The angle is taken from z0·z1 as it is. The cosine is the dot product of the two vectors divided by their norms."
)

TOO_EARLY = (
    "Right for wide angles, but a straight line where Ω is 0.2 or 0.5: arc and line still differ there. Take the line "
    "only where Ω is tiny, 0.001 for instance."
)


def straight_below(limit: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    return lambda a, b, t: straight(a, b, t) if true_angle(a, b) < limit else arc(a, b, t)


SLERP_MISTAKES = (
    Mistake("the straight line", "This is the straight line. The arc turns the direction at an even rate.", straight),
    Mistake("a straight line, stretched", EVEN_RATE, stretched_line),
    Mistake("a straight line, stretched", EVEN_RATE, stretched_whole_line),
    arched("angle of unnormalised vectors", DOT_IS_NOT_COSINE, angle=raw_angle),
    Mistake(
        "angle of unnormalised vectors",
        DOT_IS_NOT_COSINE,
        lambda a, b, t: turned(a, b, t, raw_angle(a, b)),
    ),
    *(Mistake("the straight line too early", TOO_EARLY, straight_below(limit)) for limit in (0.3, 0.6)),
    Mistake(
        "weights on the whole vectors",
        "The angle is right, but the sines weigh z0 and z1 themselves, so their norms do not mix evenly. Turn unit "
        "vectors, then give the result its norm.",
        whole_vectors,
    ),
    arched(
        "everything of length one",
        "The direction is right. Its norm should go evenly from that of z0 to that of z1.",
        norm=lambda a, b, t: 1.0,
    ),
    arched(
        "norm of one end", "The norm should change evenly; here it stays that of z0.", norm=lambda a, b, t: a.norm()
    ),
    arched(
        "norm of one end", "The norm should change evenly; here it stays that of z1.", norm=lambda a, b, t: b.norm()
    ),
    arched(
        "norms exchanged",
        "The direction is right. The norm should begin at that of z0 and end at that of z1.",
        norm=lambda a, b, t: right_norm(b, a, t),
    ),
    Mistake("ends exchanged", "It begins at z1. At t = 0 it should be z0, at t = 1 z1.", lambda a, b, t: arc(b, a, t)),
    Mistake(
        "directions exchanged",
        "The norms are right, but the direction begins at that of z1: the weight sin((1 − t)·Ω) belongs to z0.",
        lambda a, b, t: right_norm(a, b, t) * turned(unit(b), unit(a), t, true_angle(a, b)),
    ),
    Mistake("sin t for sin(t·Ω)", SINE_OF_T, not_turned),
    arched(
        "sin t for sin(t·Ω)",
        SINE_OF_T,
        angle=lambda a, b: torch.ones(()),
        divisor=lambda a, b: true_angle(a, b).sin(),
    ),
    arched(
        "not divided by the sine",
        "The two weights are to be divided by sin Ω; without that the ends are not z0 and z1.",
        divisor=lambda a, b: torch.ones(()),
    ),
    arched(
        "divided by the angle",
        "The two weights are to be divided by sin Ω, not by Ω itself.",
        divisor=true_angle,
    ),
    arched(
        "cosine taken for the angle",
        "This uses cos Ω as the angle. torch.acos gives the angle of a cosine.",
        angle=cosine,
    ),
    arched(
        "sine of the angle taken for the angle",
        "The angle comes from torch.acos of the cosine; here it comes from torch.asin.",
        angle=lambda a, b: cosine(a, b).asin(),
    ),
)


def in_degrees(cases: Sequence[Case]) -> Mistake:
    """Seen through rounding, of which the sine of so large a number makes much."""

    def when(got: list[Any], want: list[Any]) -> bool:
        wrong = [arc(*case, angle=lambda a, b: true_angle(a, b).rad2deg()) for case in cases]
        return all(agree(g, w, 0.01, 0.01) for g, w in zip(got, wrong, strict=True))

    hint = "The angle is in degrees, and torch.sin takes radians, which is what torch.acos returns."
    return Mistake("degrees", hint, when=when)


def somewhere_not_finite(got: list[Any], want: list[Any]) -> bool:
    return not all(np.isfinite(as_float64(g)).all() for g in got)


def nothing_left(got: list[Any], want: list[Any]) -> bool:
    """Zero, where the arc is so short that its sine vanishes."""
    return any(
        np.shape(g) == np.shape(w) and np.abs(as_float64(g)).max() < 0.01 for g, w in zip(got, want, strict=True)
    )


ONE_DIRECTION_MISTAKES = (
    Mistake(
        "NaN for ends of one direction",
        "Right, but NaN or infinite where z0 and z1 have (nearly) one direction. Either sin Ω is 0 there, or rounding "
        "makes the cosine larger than 1. Take the straight line in that case.",
        when=somewhere_not_finite,
    ),
    Mistake(
        "zero for ends of one direction",
        "Right, but 0 where z0 and z1 have one direction: a small number added to sin Ω leaves 0 divided by it. Take "
        "the straight line in that case.",
        when=nothing_left,
    ),
    Mistake(
        "one end for the whole line",
        "Right, but where z0 and z1 have one direction only one of them is returned. Their norms may differ: take the "
        "straight line from one to the other in that case.",
        lambda a, b, t: a.expand(len(t), -1),
    ),
    Mistake(
        "one end for the whole line",
        "Right, but where z0 and z1 have one direction only one of them is returned. Their norms may differ: take the "
        "straight line from one to the other in that case.",
        lambda a, b, t: b.expand(len(t), -1),
    ),
)


COSINES: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    lambda a, b: unit(a) @ unit(b),
    lambda a, b: (unit(a) * unit(b)).sum(),
    lambda a, b: a @ b / (a.norm() * b.norm()),
    lambda a, b: a @ b / a.norm() / b.norm(),
    cosine,
)


def overshooting(g: torch.Generator) -> list[Tensor]:
    """For each way to write the cosine a vector a, if found, for which rounding lifts that of a and 2a above 1."""
    found = []
    for written in COSINES:
        draws = (torch.randn(6, generator=g) for _ in range(400))
        found += [next((a for a in draws if written(a, 2 * a) > 1), torch.ones(6))]
    return found


@check("06/slerp", "The arc, for all ends")
def slerp(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    cases: list[Case] = []
    # dot products below 1, so that an angle taken from them without the norms is a number, and a wrong one
    for D, T, angle, lengths in (
        (5, 4, 1.3, (2.5, 1.3)),
        (3, 6, 2.4, (0.5, 1.9)),
        (7, 3, 0.5, (0.6, 1.4)),
        (4, 5, 0.2, (0.3, 1.2)),
    ):
        ends = torch.linalg.qr(torch.randn(D, 2, generator=g))[0].T  # (2, D), orthonormal
        other = math.cos(angle) * ends[0] + math.sin(angle) * ends[1]
        cases.append((lengths[0] * ends[0], lengths[1] * other, torch.rand(T, generator=g).sort().values))
    examine_formula(answer, cases, latent.slerp, (*SLERP_MISTAKES, in_degrees(cases)), "one latent for each t, (T, D)")
    t, axis, z = torch.linspace(0, 1, 4), torch.tensor([0.0, 0.0, 2.0, 0.0]), torch.randn(6, generator=g)
    nearly = z + 1e-6 * torch.randn(6, generator=g)
    of_one_direction = ((axis, 3 * axis, t), (z, 2 * z, t), (z, nearly, t), *((a, 2 * a, t) for a in overshooting(g)))
    try:
        examine_formula(answer, of_one_direction, straight, ONE_DIRECTION_MISTAKES, "one latent for each t, (T, D)")
    except Finding as found:
        if found.verdict != "mistake":
            hint = f"Right, but not where z0 and z1 have (nearly) one direction. {found.hint}"
            raise Finding(found.verdict, hint) from None
        raise


# ---- decibels -----------------------------------------------------------------------------------------

OVER_THE_IMAGE = (1, 2, 3)


def mean_squares(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).square().mean(dim=OVER_THE_IMAGE)


def decibels(x: Tensor, y: Tensor, peak: float | Tensor = 1.0) -> Tensor:
    return 20 * torch.as_tensor(peak).log10() - 10 * mean_squares(x, y).log10()


def over_the_batch(x: Tensor, y: Tensor, peak: float = 1.0) -> Tensor:
    return 20 * math.log10(peak) - 10 * (x - y).square().mean().log10()


def ranged(name: str, hint: str, peak: Callable[[Tensor, Tensor], float | Tensor]) -> Mistake:
    return Mistake(name, hint, lambda x, y: decibels(x, y, peak(x, y)))


RANGE_OF_THE_SCALE = (
    "The largest pixel that happens to occur is taken as the range. The range belongs to the scale: 1 for [0, 1]."
)

PSNR_MISTAKES = (
    Mistake(
        "both faults still there",
        "This is the faulty function: one number for the batch, and a range that these pixels do not have.",
        lambda x, y: over_the_batch(x, y, 2.0),
    ),
    ranged(
        "data range 2",
        "Each image has its number, but 6.02 dB too much: pixels in [0, 1] have the range 1, those in [−1, 1] have 2.",
        lambda x, y: 2.0,
    ),
    ranged(
        "range not squared",
        "Each image has its number, but 3.01 dB too much: a 2 stands where the square of the range, 1, belongs.",
        lambda x, y: math.sqrt(2),
    ),
    ranged(
        "data range 255",
        "255 is the range of pixels stored as whole numbers. These lie in [0, 1], so their range is 1.",
        lambda x, y: 255.0,
    ),
    *(
        ranged("range taken from the images", RANGE_OF_THE_SCALE, peak)
        for peak in (
            lambda x, y: x.amax(OVER_THE_IMAGE),
            lambda x, y: y.amax(OVER_THE_IMAGE),
            lambda x, y: x.max(),
            lambda x, y: y.max(),
            lambda x, y: x.max() - x.min(),
            lambda x, y: y.max() - y.min(),
        )
    ),
    Mistake(
        "averaged over the batch first",
        "The errors of all images are averaged before the logarithm. Keep the images apart: one MSE for each.",
        over_the_batch,
    ),
    Mistake(
        "averaged over the batch first",
        "All images get the same number. Keep them apart: one MSE for each.",
        lambda x, y: over_the_batch(x, y).expand(len(x)),
    ),
    Mistake(
        "averaged over the batch at the end",
        "This is the average of the right numbers. Return one for each image: the average is the caller's.",
        lambda x, y: decibels(x, y).mean(),
    ),
    Mistake(
        "natural logarithm",
        "Decibels are ten times a logarithm to base 10.",
        lambda x, y: -10 * mean_squares(x, y).log(),
    ),
    Mistake(
        "logarithm to base 2",
        "Decibels are ten times a logarithm to base 10.",
        lambda x, y: -10 * mean_squares(x, y).log2(),
    ),
    Mistake(
        "factor 20 on the MSE",
        "All numbers are twice too large. The factor 20 belongs to the root of the MSE, 10 to the MSE itself.",
        lambda x, y: 2 * decibels(x, y),
    ),
    Mistake(
        "factor 10 on the root",
        "All numbers are half of what they should be. The factor 10 belongs to the MSE itself, 20 to its root.",
        lambda x, y: decibels(x, y) / 2,
    ),
    Mistake(
        "factor 10 left out",
        "This is the logarithm itself, in bels. A bel is ten decibels.",
        lambda x, y: decibels(x, y) / 10,
    ),
    Mistake(
        "sign flipped",
        "A small error should give a large number: the MSE stands in the denominator.",
        lambda x, y: -decibels(x, y),
    ),
    Mistake(
        "sum of squares",
        "The squared errors of an image are added up. Their mean is wanted, or the size of the image would count.",
        lambda x, y: -10 * (x - y).square().sum(dim=OVER_THE_IMAGE).log10(),
    ),
    Mistake(
        "absolute errors",
        "This uses absolute errors. PSNR is made of squared ones.",
        lambda x, y: -10 * (x - y).abs().mean(dim=OVER_THE_IMAGE).log10(),
    ),
    Mistake(
        "absolute errors",
        "This uses absolute errors. PSNR is made of squared ones.",
        lambda x, y: -20 * (x - y).abs().mean(dim=OVER_THE_IMAGE).log10(),
    ),
    Mistake(
        "logarithm before the mean",
        "The logarithm is taken of every pixel's error. Average the squared errors first.",
        lambda x, y: -10 * (x - y).square().log10().mean(dim=OVER_THE_IMAGE),
    ),
    Mistake(
        "the MSE itself",
        "This is the mean squared error. Its decibels are wanted: 10·log₁₀(range² / MSE).",
        mean_squares,
    ),
    Mistake(
        "channels not averaged",
        "There is a number for each channel. An image has one: average over C, H and W.",
        lambda x, y: -10 * (x - y).square().mean(dim=(2, 3)).log10(),
    ),
)


@check("06/psnr", "Decibels, repaired")
def psnr(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    cases = []
    for shape in ((3, 2, 4, 5), (2, 3, 2, 6), (4, 1, 5, 3)):
        x, noise = torch.rand(2, *shape, generator=g)
        x = 0.9 * x  # the range is not the largest pixel
        spread = torch.linspace(0.15, 0.7, shape[0]).view(-1, 1, 1, 1)  # no two images err alike
        cases.append((x, x + spread * (0.9 * noise - x)))
    examine_formula(answer, cases, decibels, PSNR_MISTAKES, "one number for each image, in decibels")


# ---- the plane of largest variance --------------------------------------------------------------------


def principal(codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Centred codes (N, D), their singular values (R,) and directions in rows (R, D), largest first."""
    centred = codes - codes.mean(dim=0)
    _, scale, rows = torch.linalg.svd(centred, full_matrices=False)
    return centred, scale, rows


def coordinates(codes: Tensor) -> Tensor:
    centred, _, rows = principal(codes)
    return centred @ rows[:2].T


def without_signs(points: Tensor) -> Tensor:
    """For each column its products with itself, (N, N) for each, which do not depend on its sign."""
    return torch.einsum("nk,mk->knm", points, points)


def plane(name: str, hint: str, points: Callable[[Tensor], Tensor]) -> Mistake:
    return Mistake(name, hint, lambda codes: without_signs(points(codes)))


def not_centred(codes: Tensor) -> Tensor:
    return codes @ torch.linalg.svd(codes, full_matrices=False)[2][:2].T


def directions_not_centred(codes: Tensor) -> Tensor:
    return (codes - codes.mean(dim=0)) @ torch.linalg.svd(codes, full_matrices=False)[2][:2].T


def codes_not_centred(codes: Tensor) -> Tensor:
    return codes @ principal(codes)[2][:2].T


def centred_by_row(codes: Tensor) -> Tensor:
    return not_centred(codes - codes.mean(dim=1, keepdim=True))


def smallest(codes: Tensor) -> Tensor:
    centred, _, rows = principal(codes)
    return centred @ rows[-2:].T


def rows_exchanged(codes: Tensor) -> Tensor:
    centred, _, rows = principal(codes)
    return centred @ rows[:, :2]


def scaled_to(codes: Tensor, sides: float) -> Tensor:
    """Columns of U, times a number: the spread of the codes is lost."""
    centred, scale, rows = principal(codes)
    return sides * centred @ (rows[:2] / scale[:2, None]).T


def squared_scale(codes: Tensor) -> Tensor:
    centred, scale, rows = principal(codes)
    return centred @ (rows[:2] * scale[:2, None]).T


def standardised(codes: Tensor) -> Tensor:
    return coordinates((codes - codes.mean(dim=0)) / codes.std(dim=0))


def first_latents(codes: Tensor) -> Tensor:
    return (codes - codes.mean(dim=0))[:, :2]


def widest_latents(codes: Tensor) -> Tensor:
    order = codes.var(dim=0).argsort(descending=True)
    return (codes - codes.mean(dim=0))[:, order[:2]]


NOT_CENTRED = (
    "Subtract the mean code first: without that, the first direction points to where the codes lie, not along their "
    "spread."
)
SMALLEST = (
    "These are the directions of the *smallest* variance. torch.linalg.eigh sorts its eigenvalues in ascending order."
)
WHITENED = (
    "The directions are right, but both coordinates have the same spread: the singular values were divided away, or "
    "left out."
)
ONLY_AXES = "These are two of the latents themselves. The plane of largest variance usually lies askew to all axes."

PLANE_MISTAKES = (
    *(plane("not centred", NOT_CENTRED, points) for points in (not_centred, directions_not_centred)),
    plane(
        "mean not subtracted from the codes",
        "The directions are right, but the coordinates are not measured from the mean: subtract it before you project.",
        codes_not_centred,
    ),
    plane(
        "mean over the wrong axis",
        "A mean was subtracted from each row. Subtract the mean code, one mean for each latent, over dim 0.",
        centred_by_row,
    ),
    plane("smallest directions", SMALLEST, smallest),
    plane("smallest directions", SMALLEST, lambda codes: smallest(codes).flip(1)),
    plane(
        "second direction first",
        "The plane is right. The direction of the largest variance comes first.",
        lambda codes: coordinates(codes).flip(1),
    ),
    plane(
        "rows and columns of V exchanged",
        "torch.linalg.svd returns V transposed: its directions are rows. torch.linalg.eigh returns them in columns.",
        rows_exchanged,
    ),
    *(
        plane("whitened", WHITENED, points)
        for points in (
            lambda codes: scaled_to(codes, 1.0),
            lambda codes: scaled_to(codes, len(codes) ** 0.5),
            lambda codes: scaled_to(codes, (len(codes) - 1) ** 0.5),
        )
    ),
    plane(
        "multiplied by the singular values again",
        "Projected coordinates have the singular values in them already, U has not: multiply one of them only.",
        squared_scale,
    ),
    plane(
        "latents standardised first",
        "Every latent was divided by its standard deviation. The plane of largest variance belongs to the codes as "
        "they are.",
        standardised,
    ),
    plane("latents instead of directions", ONLY_AXES, first_latents),
    plane("latents instead of directions", ONLY_AXES, widest_latents),
    plane(
        "every code of length one",
        "Every code was divided by its norm, which moves all of them onto a sphere. Project them as they are.",
        lambda codes: coordinates(torch.nn.functional.normalize(codes, dim=1)),
    ),
)


def in_the_plane(answer: Answer) -> Answer:
    """The same answer, so compared that signs do not matter; a result of another shape than (N, 2) is a Finding."""

    def called(codes: Tensor) -> Any:
        points = answer(codes)
        points = torch.from_numpy(points) if isinstance(points, np.ndarray) else points
        if not isinstance(points, Tensor):
            return points
        require_points(points, codes)
        return without_signs(points.detach().double())

    return Answer(called, answer.name)


def require_points(points: Tensor, codes: Tensor) -> None:
    N, D = codes.shape
    got = tuple(points.shape)
    if got in ((2, D), (D, 2)):
        hint = "These are the two directions. Project the centred codes onto them: two coordinates for each code."
        raise Finding("mistake", hint, "directions returned")
    if got == (2, N):
        hint = "Rows and columns are exchanged: one row for each code, its two coordinates in it."
        raise Finding("mistake", hint, "rows and columns exchanged")
    if got != (N, 2):
        raise Finding("wrong type or shape", f"It should return shape {(N, 2)}, two coordinates a code; got {got}.")


@check("06/pca_plane", "The principal plane")
def pca_plane(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    cases = [(spread_codes(N, D, g),) for N, D in ((9, 5), (12, 4), (7, 6))]
    try:
        examine_formula(
            in_the_plane(answer), cases, lambda codes: without_signs(coordinates(codes)), PLANE_MISTAKES, "shape (N, 2)"
        )
    except Finding as found:
        if found.verdict == "wrong":
            hint = (
                "The coordinates differ, also up to their signs. Column k should hold the centred codes' dot products "
                "with the direction of the k-th largest variance, a vector of length one."
            )
            raise Finding("wrong", hint) from None
        raise


def spread_codes(N: int, D: int, g: torch.Generator) -> Tensor:
    """Codes (N, D) about a mean that is far from 0; two directions, askew to all axes, hold nearly all variance."""
    scores = torch.randn(N, D, generator=g).double()
    scores = torch.linalg.qr(scores - scores.mean(dim=0))[0]  # (N, D), uncorrelated, mean 0
    scale = torch.tensor([6.0, 3.0, *torch.linspace(0.1, 0.05, D - 2)]).double()
    directions = torch.linalg.qr(torch.randn(D, D, generator=g).double())[0]
    mean = 2 + torch.randn(D, generator=g).double()
    return (scores * scale @ directions + mean).float()
