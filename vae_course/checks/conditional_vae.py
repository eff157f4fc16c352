"""Sheet 09: a class for every network, its bound, and whether what comes out obeys and differs."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vae_course.checks.answer import Answer, Finding
from vae_course.checks.check import check
from vae_course.checks.formula import (
    Case,
    Mistake,
    examine_formula,
    not_finite,
    plain,
    require_stable,
    with_plain_numbers,
)


def labels(count: int, classes: int, g: torch.Generator) -> Tensor:
    """Labels in a mixed order, the first classes among them, each at least once if there are enough of them."""
    return (torch.arange(count) % classes)[torch.randperm(count, generator=g)]


def differs_when_repeated(answer: Answer, case: Case) -> bool:
    first, again = answer(*case), answer(*case)
    parts = [result if isinstance(result, (tuple, list)) else (result,) for result in (first, again)]
    pairs = list(zip(*parts, strict=False))
    tensors = [(a, b) for a, b in pairs if isinstance(a, Tensor) and isinstance(b, Tensor) and a.shape == b.shape]
    return any(not torch.allclose(a, b, equal_nan=True) for a, b in tensors)


# ---- a class beside the features ----------------------------------------------------------------------


def marked(c: Tensor, classes: int) -> Tensor:
    """A row of zeros with a one at the place of the class; a row of zeros for a class that does not exist."""
    return (c[:, None] == torch.arange(classes)).float()


def beside(h: Tensor, c: Tensor, classes: int) -> Tensor:
    return torch.cat((h, marked(c, classes)), dim=1)


def of_the_batch(h: Tensor, c: Tensor, classes: int) -> Tensor:
    return torch.cat((h, marked(c, classes).amax(dim=0).expand(len(h), -1)), dim=1)


def outer_product(h: Tensor, c: Tensor, classes: int, class_first: bool) -> Tensor:
    one_hot = marked(c, classes)
    pairs = "bc,bf->bcf" if class_first else "bf,bc->bfc"
    return torch.einsum(pairs, *((one_hot, h) if class_first else (h, one_hot))).flatten(1)


OFF_BY_ONE = "The one stands a place too far to one side. Classes count from 0, and so do the places of a vector."
MULTIPLIED = "The features are multiplied by the class. Leave them as they are, and put the one-hot vector beside them."

CONDITION_MISTAKES = (
    Mistake(
        "the number itself appended",
        "As a number a class has neighbours: 4 would lie between 3 and 5. Give every class a place of its own.",
        lambda h, c, classes: torch.cat((h, c[:, None].float()), dim=1),
    ),
    Mistake(
        "the number in every place",
        "Each place holds the number of the class. Only one place is to be marked, by a one.",
        lambda h, c, classes: torch.cat((h, c[:, None].float().expand(-1, classes)), dim=1),
    ),
    Mistake(
        "the number in place of the one",
        "The right place is marked, but with the number of the class: class 0 leaves no mark. Mark it with a one.",
        lambda h, c, classes: torch.cat((h, c[:, None] * marked(c, classes)), dim=1),
    ),
    Mistake(
        "as long as the largest label",
        "The vector's length follows the labels that happen to be in this batch. It has `classes` places, always.",
        lambda h, c, classes: beside(h, c, int(c.max()) + 1),
    ),
    Mistake(
        "one place too many",
        "Classes run from 0 to classes − 1, so `classes` places are enough.",
        lambda h, c, classes: beside(h, c, classes + 1),
    ),
    Mistake(
        "one place too many",
        "Classes run from 0 to classes − 1, so `classes` places are enough.",
        lambda h, c, classes: beside(h, c + 1, classes + 1),
    ),
    Mistake(
        "always ten places",
        "There are ten places, but not every data set has ten classes: `classes` says how many.",
        lambda h, c, classes: beside(h, c, 10),
    ),
    *(
        Mistake("off by one", OFF_BY_ONE, lambda h, c, classes, moved=moved: beside(h, moved(c, classes), classes))
        for moved in (
            lambda c, classes: c - 1,
            lambda c, classes: c + 1,
            lambda c, classes: (c - 1) % classes,
            lambda c, classes: (c + 1) % classes,
        )
    ),
    Mistake(
        "places counted from the end",
        "The one stands as far from the end as it should from the beginning: class 0 has the first place.",
        lambda h, c, classes: beside(h, classes - 1 - c, classes),
    ),
    Mistake(
        "order exchanged",
        "All numbers are there, but the features come first. The next layer's weights know columns by their order.",
        lambda h, c, classes: beside(h, c, classes).roll(classes, dims=1),
    ),
    Mistake(
        "one class for the whole batch",
        "Every row gets the class of the first example. Each example has its own.",
        lambda h, c, classes: beside(h, c[:1].expand(len(h)), classes),
    ),
    Mistake(
        "the classes of the whole batch",
        "Every row has all classes of the batch marked. A row has one one, for its own class.",
        of_the_batch,
    ),
    Mistake(
        "zeros and ones exchanged",
        "The class has a zero and all others a one. It should be the other way round.",
        lambda h, c, classes: torch.cat((h, 1 - marked(c, classes)), dim=1),
    ),
    Mistake(
        "nothing marked",
        "There is room for the class, but no place is marked.",
        lambda h, c, classes: torch.cat((h, torch.zeros(len(h), classes)), dim=1),
    ),
    Mistake(
        "the condition left out",
        "These are the features alone: nothing tells the class.",
        lambda h, c, classes: h,
    ),
    Mistake(
        "the features left out",
        "This is the one-hot vector alone. The features stand before it.",
        lambda h, c, classes: marked(c, classes),
    ),
    *(
        Mistake("multiplied", MULTIPLIED, lambda h, c, classes, first=first: outer_product(h, c, classes, first))
        for first in (True, False)
    ),
    Mistake("multiplied", MULTIPLIED, lambda h, c, classes: h * c[:, None]),
    Mistake(
        "multiplied",
        MULTIPLIED,
        lambda h, c, classes: torch.cat((h * c[:, None], marked(c, classes)), dim=1),
    ),
)


@check("09/with_condition", "A class beside the features")
def with_condition(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    cases = []
    for B, size, present, classes in ((7, 4, 3, 5), (3, 6, 3, 4), (11, 2, 6, 8)):
        # the last classes do not occur, and the first example is not of class 0
        c = labels(B, present, g)
        c = c if c[0] > 0 else c.roll(-int(c.nonzero()[0]))
        cases.append((torch.randn(B, size, generator=g), c, classes))
    examine_formula(answer, cases, beside, CONDITION_MISTAKES, "(B, F + classes)")
    h, c, classes = cases[0]
    result = answer(h.requires_grad_(), c, classes)
    if not reaches(result, [h]):
        hint = "The numbers are right, but no gradient gets back to `h`: what made the features would learn nothing."
        raise Finding("mistake", hint, "gradient cut off")


def reaches(result: Tensor, parameters: Sequence[Tensor]) -> bool:
    """Whether the result's sum has a gradient with respect to each of them."""
    if not result.requires_grad:
        return False
    gradients = torch.autograd.grad(result.sum(), parameters, allow_unused=True, retain_graph=True)
    return all(gradient is not None for gradient in gradients)


# ---- the two terms of a bound on log p(x|c) -----------------------------------------------------------


class Networks:
    """An encoder and a decoder of one layer that remember which classes they were told; both run without one, too."""

    def __init__(self, shape: tuple[int, int, int], z_dim: int, classes: int, g: torch.Generator) -> None:
        self.shape, self.z_dim, self.classes = shape, z_dim, classes
        pixels = math.prod(shape)
        sizes = {
            "x": (pixels, 2 * z_dim),
            "to q": (classes, 2 * z_dim),
            "z": (z_dim, pixels),
            "to x": (classes, pixels),
        }
        self.weights = {name: torch.randn(size, generator=g) for name, size in sizes.items()}
        self.weights["x"] /= math.sqrt(pixels)
        self.told: dict[str, list[Tensor | None]]
        self.forget()

    def forget(self) -> None:
        self.told = {"encoder": [], "decoder": []}

    def encode(self, x: Tensor, c: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if x.ndim != 4 or x.shape[1:] != self.shape:
            raise ValueError(f"encode takes x of shape (B, *{self.shape}), got {tuple(x.shape)}")
        out = x.flatten(1) @ self.weights["x"] + self.of_class("encoder", "to q", len(x), c)
        mu, logvar = out.chunk(2, dim=1)
        return mu, 2 * torch.tanh(logvar / 2)

    def decode(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise ValueError(f"decode takes z of shape (B, {self.z_dim}), got {tuple(z.shape)}")
        out = z @ self.weights["z"] + self.of_class("decoder", "to x", len(z), c)
        return 3 * torch.tanh(out.unflatten(1, self.shape) / 3)  # log(1 − sigmoid) stays exact in single precision

    def of_class(self, network: str, name: str, count: int, c: Tensor | None) -> Tensor | float:
        self.told[network].append(c)
        if c is None:
            return 0.0
        if not isinstance(c, Tensor) or c.is_floating_point() or c.shape != (count,):
            what = f"{c.dtype}, shape {tuple(c.shape)}" if isinstance(c, Tensor) else type(c).__name__
            raise ValueError(f"the {network} takes c as whole numbers, shape ({count},), got {what}")
        if not (c.min() >= 0 and c.max() < self.classes):
            raise ValueError(f"classes run from 0 to {self.classes - 1}, got {int(c.min())} to {int(c.max())}")
        return self.weights[name][c.long()]


def wrongly_told(networks: Networks, c: Tensor) -> Finding | None:
    """What was wrong with the classes that the networks were told in the answer's calls, if anything."""
    missing = [name for name, told in networks.told.items() if any(each is None for each in told)]
    if len(missing) == 2:
        hint = "Encoder and decoder are called without c, so this is a bound on log p(x): write c behind both."
        return Finding("mistake", hint, "neither network is told c")
    if missing == ["decoder"]:
        hint = "The decoder is called without c: what it draws would not depend on the class asked for."
        return Finding("mistake", hint, "the decoder is not told c")
    if missing == ["encoder"]:
        hint = "The encoder is called without c. That gives a legal bound, too, but here q(z|x, c) is asked for."
        return Finding("mistake", hint, "the encoder is not told c")
    for name, told in networks.told.items():
        given = torch.cat([each for each in told if each is not None]) if told else c
        if len(given) % len(c) == 0 and any(not torch.equal(call.long(), c) for call in given.split(len(c))):
            hint = f"The {name} gets other classes than those in `c`: each image keeps its own, in the same order."
            return Finding("mistake", hint, f"the {name} is told other classes")
    return None


Rec = Callable[[Tensor, Tensor], Tensor]  # (logits, x) -> (B,)
Kl = Callable[[Tensor, Tensor, Tensor], Tensor]  # (mu, logvar, eps) -> (B,)
Latent = Callable[[Tensor, Tensor, Tensor], Tensor]  # (mu, logvar, eps) -> (B, D)


def charged(logits: Tensor, x: Tensor) -> Tensor:
    """-log p of each pixel: log(1 + e^l) - x l."""
    return F.softplus(logits) - x * logits


def rec_of_image(logits: Tensor, x: Tensor) -> Tensor:
    return charged(logits, x).flatten(1).sum(dim=1)


def kl_of_latent(mu: Tensor, logvar: Tensor) -> Tensor:
    return (mu.square() + logvar.exp() - 1 - logvar) / 2


def kl_of_image(mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    return kl_of_latent(mu, logvar).sum(dim=1)


def kl_by_sample(mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    """log q(z) - log p(z) at the sample: right on average only."""
    return 0.5 * (sample(mu, logvar, eps).square() - eps.square() - logvar).sum(dim=1)


def sample(mu: Tensor, logvar: Tensor, eps: Tensor, scale: float = 0.5) -> Tensor:
    return torch.addcmul(mu, torch.exp(scale * logvar), eps)


def both_terms(
    encode: Callable[..., Any],
    decode: Callable[..., Tensor],
    x: Tensor,
    c: Tensor,
    eps: Tensor,
    latent: Latent = sample,
    rec: Rec = rec_of_image,
    kl: Kl = kl_of_image,
) -> tuple[Tensor, Tensor]:
    centre, spread = encode(x, c)
    return rec(decode(latent(centre, spread, eps), c), x), kl(centre, spread, eps)


def terms(name: str, hint: str, **changes: Any) -> Mistake:
    return Mistake(name, hint, lambda *case: both_terms(*case, **changes))


ONE_EACH = "Return one number for each image; the average over the batch is the caller's."
ADD_UP = "Given z the pixels are independent, and so are the latents: their nats add up."

TERMS_MISTAKES = (
    terms("σ left out", "The noise is added as it is. z = μ + σε.", latent=lambda mu, logvar, eps: mu + eps),
    terms(
        "σ² taken for σ",
        "exp(logvar) is the variance σ². The noise is multiplied by σ, its root.",
        latent=lambda mu, logvar, eps: sample(mu, logvar, eps, 1.0),
    ),
    terms(
        "logvar as the scale",
        "The noise is multiplied by a logarithm, which may be negative. Its scale is σ.",
        latent=lambda mu, logvar, eps: mu + logvar * eps,
    ),
    terms(
        "the mean used as log-variance",
        "What is taken for the log-variance is the mean once more. `encode` returns two tensors: use the second.",
        latent=lambda mu, logvar, eps: sample(mu, mu, eps),
        kl=lambda mu, logvar, eps: kl_of_image(mu, mu, eps),
    ),
    terms("noise left out", "The mean is decoded. The bound needs a sample of q: use eps.", latent=lambda mu, *_: mu),
    terms(
        "a sample of the prior decoded",
        "The decoder gets eps itself, a sample of p(z). The expectation is over q(z|x, c): z = μ + σε.",
        latent=lambda mu, logvar, eps: eps,
    ),
    terms(
        "noise subtracted",
        "As a sample that would do, but with this eps it is another one: z = μ + σε.",
        latent=lambda mu, logvar, eps: sample(mu, logvar, -eps),
    ),
    terms(
        "squashed twice",
        "KL and sample are right. The cross-entropy with logits applies the sigmoid itself: hand it the logits.",
        rec=lambda logits, x: rec_of_image(logits.sigmoid(), x),
    ),
    terms(
        "rec is the log-likelihood",
        "The KL is right. rec is minus the log-likelihood: what the pixels cost, never negative here.",
        rec=lambda logits, x: -rec_of_image(logits, x),
    ),
    terms(
        "rec averaged over pixels",
        "The KL is right. Given z the pixels are independent, so their nats add up: sum over C, H and W.",
        rec=lambda logits, x: charged(logits, x).mean(dim=(1, 2, 3)),
    ),
    terms(
        "rec not summed over pixels",
        "The KL is right. rec has one number for each image: sum over C, H and W.",
        rec=charged,
    ),
    terms(
        "squared error",
        "The KL is right. The decoder's logits mean a Bernoulli for each pixel, whose −log p is the cross-entropy.",
        rec=lambda logits, x: (logits.sigmoid() - x).square().sum(dim=(1, 2, 3)),
    ),
    terms(
        "dark pixels free of charge",
        "The KL is right. A Bernoulli has two terms: x log m, and (1 − x) log(1 − m) for what is not ink.",
        rec=lambda logits, x: -(x * F.logsigmoid(logits)).sum(dim=(1, 2, 3)),
    ),
    terms("KL with its sign flipped", "rec is right. A KL is never negative.", kl=lambda *q: -kl_of_image(*q)),
    terms("factor ½ missing in the KL", "rec is right. The whole KL carries ½.", kl=lambda *q: 2 * kl_of_image(*q)),
    terms(
        "KL averaged over latents",
        "rec is right. Independent latents add up: sum over dim 1.",
        kl=lambda mu, logvar, eps: kl_of_latent(mu, logvar).mean(dim=1),
    ),
    terms(
        "KL not summed over latents",
        "rec is right. The KL has one number for each image: sum over dim 1.",
        kl=lambda mu, logvar, eps: kl_of_latent(mu, logvar),
    ),
    terms(
        "logvar read as log σ in the KL",
        "rec is right. In the KL stand σ² = exp(logvar) and log σ² = logvar.",
        kl=lambda mu, logvar, eps: kl_of_image(mu, 2 * logvar, eps),
    ),
    terms(
        "KL estimated by the sample",
        "rec is right. log q(z) − log p(z) at one sample is the KL on average only; here its closed form is asked for.",
        kl=kl_by_sample,
    ),
    terms(
        "averaged over pixels and latents",
        ADD_UP,
        rec=lambda logits, x: charged(logits, x).mean(dim=(1, 2, 3)),
        kl=lambda mu, logvar, eps: kl_of_latent(mu, logvar).mean(dim=1),
    ),
    Mistake(
        "both signs flipped",
        "These are the two summands of the ELBO. rec and kl are those of −ELBO, and neither is negative here.",
        lambda *case: tuple(-part for part in both_terms(*case)),
    ),
    Mistake("summed over the batch", ONE_EACH, lambda *case: tuple(part.sum() for part in both_terms(*case))),
    Mistake("averaged over the batch", ONE_EACH, lambda *case: tuple(part.mean() for part in both_terms(*case))),
    Mistake("results exchanged", "Return rec first, then kl.", lambda *case: both_terms(*case)[::-1]),
)


@check("09/conditional_terms", "The bound on log p(x|c)")
def conditional_terms(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    cases, networks = [], []
    for B, shape, z_dim, classes in ((5, (1, 4, 3), 2, 3), (3, (2, 2, 5), 4, 4), (4, (1, 3, 5), 3, 6)):
        made = Networks(shape, z_dim, classes, g)
        x, c = torch.rand(B, *shape, generator=g), labels(B, classes, g)
        networks.append(made)
        cases.append((made.encode, made.decode, x, c, torch.randn(B, z_dim, generator=g)))
    networks[0].forget()
    unsteady = differs_when_repeated(answer, cases[0])
    try:
        examine_formula(answer, cases, both_terms, TERMS_MISTAKES, "rec and kl, each of shape (B,)")
    except Finding as found:
        if found.verdict != "wrong" and not unsteady:
            raise
        told = (wrongly_told(each, case[3]) for each, case in zip(networks, cases, strict=True))
        if wrong := next(filter(None, told), None):
            raise wrong from None
        if unsteady:
            hint = "Called twice with the same `eps` it gives two results: use the noise that it is given, draw none."
            raise Finding("mistake", hint, "draws its own noise") from None
        raise
    x, c, eps = cases[0][2:]
    sure = (networks[0].encode, lambda z, c=None: 30 * networks[0].decode(z, c).tanh(), x, c, eps)
    require_stable(answer, sure, both_terms)
    for weight in networks[0].weights.values():
        weight.requires_grad_()
    nudges = torch.zeros(2, eps.shape[1], requires_grad=True).unbind()  # on mu and on logvar

    def nudged(x: Tensor, c: Tensor | None = None) -> tuple[Tensor, ...]:
        return tuple(part + nudge for part, nudge in zip(networks[0].encode(x, c), nudges, strict=True))

    rec, kl = answer(nudged, *cases[0][1:])
    of_encoder, of_decoder = ([networks[0].weights[name] for name in names] for names in (("x", "to q"), ("z", "to x")))
    if not (reaches(rec, [*of_encoder, *of_decoder, *nudges]) and reaches(kl, [*of_encoder, *nudges])):
        hint = "The numbers are right, but gradients do not get through both terms to the networks: detach nothing."
        raise Finding("mistake", hint, "gradient cut off")


# ---- a row for each style, a column for each class ----------------------------------------------------


def styles_and_classes(z: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Each z with every class, a style's pictures one after the other: (S·classes, D), (S·classes,)."""
    place = torch.arange(len(z) * classes)
    return z[place // classes], place % classes


def grid(decode: Callable[..., Tensor], z: Tensor, classes: int) -> Tensor:
    return decode(*styles_and_classes(z, classes)).sigmoid()


def arranged(name: str, hint: str, change: Callable[[Tensor, Tensor, Tensor, int], tuple[Tensor, Tensor]]) -> Mistake:
    """change: what is decoded from the right (styles, c), from z and from the number of classes."""

    def wrong(decode: Callable[..., Tensor], z: Tensor, classes: int) -> Tensor:
        return decode(*change(*styles_and_classes(z, classes), z, classes)).sigmoid()

    return Mistake(name, hint, wrong)


def seen(name: str, hint: str, change: Callable[[Tensor, Tensor, int], Tensor]) -> Mistake:
    """change: what is returned, from the right logits, from z and from the number of classes."""
    return Mistake(
        name,
        hint,
        lambda decode, z, classes: change(decode(*styles_and_classes(z, classes)), z, classes),
    )


GRID_MISTAKES = (
    seen(
        "rows and columns exchanged",
        "All pictures are there, but a row shows one class in all styles. A row is to be one style in all classes.",
        lambda logits, z, classes: logits.sigmoid().unflatten(0, (len(z), classes)).transpose(0, 1).flatten(0, 1),
    ),
    arranged(
        "styles cycle with the classes",
        "z runs through all styles again and again, and so does the class: neighbours in a row have different styles. "
        "The same z has to stand `classes` times in a row.",
        lambda styles, c, z, classes: (z.repeat(classes, 1), c),
    ),
    arranged(
        "classes repeated in blocks",
        "The styles are in the right order, but the class does not change along a row. It has to run from 0 upwards, "
        "again for each style.",
        lambda styles, c, z, classes: (styles, torch.arange(classes).repeat_interleave(len(z))),
    ),
    seen("logits", "These are logits: pixels lie between 0 and 1.", lambda logits, z, classes: logits),
    seen(
        "squashed twice",
        "All pictures are grey: the sigmoid is applied twice.",
        lambda logits, z, classes: logits.sigmoid().sigmoid(),
    ),
    seen(
        "pixels rounded",
        "The arrangement is right. The means of the pixels are asked for: do not round.",
        lambda logits, z, classes: logits.sigmoid().round(),
    ),
    arranged(
        "the same style in all rows",
        "All rows show the first style. Each row has its own z.",
        lambda styles, c, z, classes: (z[:1].expand(len(c), -1), c),
    ),
    arranged(
        "the same class in all columns",
        "All columns show class 0. Each column has its own class.",
        lambda styles, c, z, classes: (styles, torch.zeros_like(c)),
    ),
    arranged(
        "the same class in all columns",
        "All columns show the last class. Each column has its own.",
        lambda styles, c, z, classes: (styles, torch.full_like(c, classes - 1)),
    ),
    arranged(
        "classes from the last to the first",
        "The columns stand in the opposite order: class 0 comes first.",
        lambda styles, c, z, classes: (styles, classes - 1 - c),
    ),
    arranged(
        "classes not from 0",
        "The columns are shifted: the first one shows class 1. Classes count from 0.",
        lambda styles, c, z, classes: (styles, (c + 1) % classes),
    ),
    arranged(
        "styles from the last to the first",
        "The rows stand in the opposite order: z[0] makes the first row.",
        lambda styles, c, z, classes: (styles.flip(0), c),
    ),
    arranged(
        "the last class left out",
        "A column is missing: classes run from 0 to classes − 1, both included.",
        lambda styles, c, z, classes: (styles[c < classes - 1], c[c < classes - 1]),
    ),
    arranged(
        "one picture for each class",
        "There is a single row, of the first style. Each of the S styles needs one.",
        lambda styles, c, z, classes: (styles[:classes], c[:classes]),
    ),
    arranged(
        "one picture for each class",
        "There is a single row, of the last style. Each of the S styles needs one.",
        lambda styles, c, z, classes: (styles[-classes:], c[-classes:]),
    ),
    arranged(
        "one picture for each style",
        "Each style is decoded once. It should be decoded with every class.",
        lambda styles, c, z, classes: (z, torch.arange(len(z)) % classes),
    ),
    seen(
        "rows and columns as dimensions",
        "The pictures are right, and in the right order, but in two dimensions: put them one after the other, "
        "shape (S·classes, C, H, W).",
        lambda logits, z, classes: logits.sigmoid().unflatten(0, (len(z), classes)),
    ),
)


def same_classes(told: Sequence[Tensor | None]) -> bool:
    """Whether two calls of an answer, one after the other, asked for the same classes."""
    both = torch.cat([c for c in told if c is not None])
    first, again = both.tensor_split(2)
    return torch.equal(first, again)


@check("09/style_grid", "A style in each row, a class in each column")
def style_grid(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    cases = []
    for S, shape, z_dim, classes in ((3, (1, 4, 3), 2, 5), (4, (2, 2, 5), 3, 3), (2, (1, 5, 2), 4, 6)):
        networks = Networks(shape, z_dim, classes, g)
        cases.append((networks.decode, torch.randn(S, z_dim, generator=g), classes))
    networks.forget()
    unsteady = differs_when_repeated(answer, cases[-1])
    if any(c is None for c in networks.told["decoder"]):
        hint = "The decoder is called without a class: all columns of a row would show the same picture."
        raise Finding("mistake", hint, "the decoder is not told c")
    if unsteady and not same_classes(networks.told["decoder"]):
        hint = "Called twice, it asks for different classes: they run from 0 upwards in each row, nothing is drawn."
        raise Finding("mistake", hint, "draws the classes")
    if unsteady:
        hint = "Called twice with the same z it gives different pictures: a row is one of the given z, draw none."
        raise Finding("mistake", hint, "draws its own z")
    examine_formula(answer, cases, grid, GRID_MISTAKES, "images of shape (S·classes, C, H, W)")


# ---- whom the decoder obeys ---------------------------------------------------------------------------

Shares = tuple[float, float]


def share(which: Tensor, among: Tensor) -> float:
    return int((which & among).sum()) / int(among.sum())


def listens_to(read: Tensor, asked: Tensor, original: Tensor) -> Shares:
    swapped = asked != original
    return share(read == asked, swapped), share(read == original, swapped)


def shares_among(
    name: str, hint: str, among: Callable[[Tensor, Tensor, Tensor], Tensor], everything: bool = False
) -> Mistake:
    """The right shares, of other images."""

    def wrong(read: Tensor, asked: Tensor, original: Tensor) -> Shares:
        counted = among(read, asked, original)
        return share(read == asked, counted), share(read == original, counted)

    return Mistake(name, hint, wrong)


def over_all_images(read: Tensor, asked: Tensor, original: Tensor) -> Shares:
    every = torch.ones_like(read, dtype=torch.bool)
    swapped = asked != original
    return share((read == asked) & swapped, every), share((read == original) & swapped, every)


def by_class(read: Tensor, asked: Tensor, original: Tensor, of_original: bool) -> Shares:
    """Each class has one vote: classes as asked for, or as they were."""
    swapped = asked != original
    classes = original if of_original else asked
    each = [
        (share(read == asked, swapped & (classes == k)), share(read == original, swapped & (classes == k)))
        for k in classes[swapped].unique()
    ]
    return sum(a for a, _ in each) / len(each), sum(b for _, b in each) / len(each)


def only_below_the_line(read: Tensor, asked: Tensor, original: Tensor) -> Shares:
    swapped = int((asked != original).sum())
    return int((read == asked).sum()) / swapped, int((read == original).sum()) / swapped


def filtered_once(read: Tensor, asked: Tensor, original: Tensor) -> Shares:
    every = torch.ones_like(read, dtype=torch.bool)
    return listens_to(read, asked, original)[0], share(read == original, every)


def with_second(
    name: str, hint: str, second: Callable[[float, float], float], first: Callable[[float], float] = lambda a: a
) -> Mistake:
    def wrong(*case: Tensor) -> Shares:
        obeyed, stayed = listens_to(*case)
        return first(obeyed), second(obeyed, stayed)

    return Mistake(name, hint, wrong)


def changed(read: Tensor, asked: Tensor, original: Tensor, all_images: bool) -> Shares:
    among = torch.ones_like(read, dtype=torch.bool) if all_images else asked != original
    return share(read != original, among), share(read == original, among)


def counts(read: Tensor, asked: Tensor, original: Tensor, all_images: bool) -> Shares:
    among = torch.ones_like(read, dtype=torch.bool) if all_images else asked != original
    return float((among & (read == asked)).sum()), float((among & (read == original)).sum())


CHANGED = (
    "This counts every image that is no longer read as its original. It may be read as a third class, "
    "which nobody asked for."
)
NOT_COUNTS = "These are numbers of images. A share is divided by how many images were swapped."
EACH_IMAGE = "This gives each class one vote, also where it has few images. Here each swapped image has one."

SWAP_MISTAKES = (
    shares_among(
        "swaps to the same class counted",
        "Where the class asked for is the original one, nothing was swapped, and both decoders get it right: "
        "leave these images out.",
        lambda read, asked, original: torch.ones_like(read, dtype=torch.bool),
    ),
    Mistake(
        "divided by all images",
        "The right images are counted, but divided by all. A share of the swapped ones is asked for.",
        over_all_images,
    ),
    Mistake(
        "swaps to the same class counted",
        "The divisor is right, but images whose class was not swapped are still counted above the line.",
        only_below_the_line,
    ),
    Mistake(
        "the second share of all images",
        "The first share is right. The second one is a share of the same images: those that were swapped.",
        filtered_once,
    ),
    Mistake("merely changed", CHANGED, partial(changed, all_images=False)),
    Mistake("merely changed", CHANGED, partial(changed, all_images=True)),
    with_second(
        "the rest taken for the second share",
        "The first share is right. The second is not what remains: some images are read as a third class.",
        lambda obeyed, stayed: 1 - obeyed,
    ),
    with_second(
        "changed in place of kept",
        "The first share is right. The second counts the images that are still read as the original, not the others.",
        lambda obeyed, stayed: 1 - stayed,
    ),
    with_second(
        "failures counted",
        "These are the shares of the images that are *not* read so.",
        lambda obeyed, stayed: 1 - stayed,
        lambda obeyed: 1 - obeyed,
    ),
    with_second(
        "per cent",
        "A share lies between 0 and 1.",
        lambda obeyed, stayed: 100 * stayed,
        lambda obeyed: 100 * obeyed,
    ),
    Mistake("counts", NOT_COUNTS, partial(counts, all_images=False)),
    Mistake("counts", NOT_COUNTS, partial(counts, all_images=True)),
    shares_among(
        "the filter turned round",
        "Only the images whose class was *not* swapped are counted. Keep the others.",
        lambda read, asked, original: asked == original,
    ),
    shares_among(
        "third readings left out",
        "An image that is read as a third class was swapped, too, and failed: it belongs to the divisor.",
        lambda read, asked, original: (asked != original) & ((read == asked) | (read == original)),
    ),
    shares_among(
        "only changed readings counted",
        "Which images count is decided by what was asked, asked ≠ original, not by what was read.",
        lambda read, asked, original: read != original,
    ),
    Mistake("a vote for each class", EACH_IMAGE, partial(by_class, of_original=False)),
    Mistake("a vote for each class", EACH_IMAGE, partial(by_class, of_original=True)),
    Mistake(
        "results exchanged",
        "The numbers are right. Return the share read as asked first.",
        lambda *case: listens_to(*case)[::-1],
    ),
)


def readings(groups: tuple[int, int, int, int, int], classes: int, g: torch.Generator) -> tuple[Tensor, ...]:
    """read, asked and original for so many images of each kind, in a mixed order.

    The kinds: not swapped and read so, not swapped and misread, swapped and read as asked, as the original, as neither.
    """
    kind = torch.arange(5).repeat_interleave(torch.tensor(groups))
    # some classes are more frequent, so that a vote for each class and one for each image differ
    original = (torch.arange(len(kind)) ** 2) % classes
    step = 1 + torch.randint(classes - 1, kind.shape, generator=g)
    asked = torch.where(kind < 2, original, (original + step) % classes)
    third = (original + 1 + torch.randint(classes - 1, kind.shape, generator=g)) % classes
    third = torch.where(third == asked, (third + 1) % classes, third)
    third = torch.where(third == original, (third + 1) % classes, third)
    read = torch.stack((original, third, asked, original, third)).gather(0, kind[None])[0]
    order = torch.randperm(len(kind), generator=g)
    return read[order], asked[order], original[order]


@check("09/swap_shares", "Whom the decoder obeys")
def swap_shares(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    cases = [
        readings((7, 2, 13, 5, 3), 10, g),
        readings((4, 1, 6, 17, 8), 5, g),
        readings((5, 3, 11, 7, 1), 4, g),
    ]
    examine_formula(with_plain_numbers(answer), cases, listens_to, SWAP_MISTAKES, "two shares from 0 to 1")


# ---- spot the bug: a variance that repeated pictures have ---------------------------------------------


def mean_over_classes(images: Tensor, c: Tensor, of_class: Callable[[Tensor], Tensor]) -> float:
    return torch.stack([of_class(images[c == k].flatten(1)) for k in c.unique()]).mean().item()


def pixel_variances(rows: Tensor) -> Tensor:
    """(n, pixels) -> (pixels,): the mean square minus the squared mean would lose digits, so from deviations."""
    return (rows - rows.mean(dim=0)).square().mean(dim=0)


def within_class(images: Tensor, c: Tensor) -> float:
    return mean_over_classes(images, c, lambda rows: pixel_variances(rows).sum())


def of_classes(name: str, hint: str, of_class: Callable[[Tensor], Tensor]) -> Mistake:
    return Mistake(name, hint, lambda images, c: mean_over_classes(images, c, of_class))


def weighted(images: Tensor, c: Tensor) -> float:
    found, sizes = c.unique(return_counts=True)
    each = [pixel_variances(images[c == k].flatten(1)).sum().item() for k in found]
    return float(np.average(each, weights=sizes.numpy()))


def class_means(images: Tensor, c: Tensor) -> Tensor:
    return torch.stack([images[c == k].flatten(1).mean(dim=0) for k in c.unique()])


def within_a_picture(rows: Tensor, mean: bool, correction: int) -> Tensor:
    each = rows.var(dim=1, correction=correction)
    return each.mean() if mean else each.sum()


def occurring(c: Tensor) -> int:
    return len(c.unique())


STILL = (
    "The variance is still taken over pixels and images at once: ten copies of one picture have one, because paper and "
    "ink differ. Which dimension holds the images?"
)
IN_A_PICTURE = (
    "This compares the pixels of one picture with each other. Compare the pictures of a class, at the same pixel."
)

VARIANCE_MISTAKES = (
    of_classes("the fault is still there", STILL, lambda rows: rows.var(correction=0)),
    of_classes("the fault is still there", STILL, lambda rows: rows.var()),
    of_classes("the fault is still there", STILL, lambda rows: rows.var(correction=0) * rows.shape[1]),
    of_classes("the fault is still there", STILL, lambda rows: rows.var() * rows.shape[1]),
    *(
        of_classes("within a picture", IN_A_PICTURE, partial(within_a_picture, mean=mean, correction=correction))
        for mean in (True, False)
        for correction in (0, 1)
    ),
    Mistake(
        "total variance",
        "The classes are not kept apart, so that the difference between a 0 and a 1 counts as diversity.",
        lambda images, c: pixel_variances(images.flatten(1)).sum().item(),
    ),
    Mistake(
        "total variance",
        "The classes are not kept apart, so that the difference between a 0 and a 1 counts as diversity.",
        lambda images, c: images.var(dim=0).sum().item(),
    ),
    Mistake(
        "variance between the classes",
        "This is how much the mean pictures of the classes differ. Ten mean digits have all of that.",
        lambda images, c: pixel_variances(class_means(images, c)).sum().item(),
    ),
    Mistake(
        "variance between the classes",
        "This is how much the mean pictures of the classes differ. Ten mean digits have all of that.",
        lambda images, c: class_means(images, c).var(dim=0).sum().item(),
    ),
    of_classes(
        "averaged over pixels",
        "The fault is gone. The sum over the pixels is asked for, and this is their average.",
        lambda rows: pixel_variances(rows).mean(),
    ),
    of_classes(
        "averaged over pixels",
        "The fault is gone. The sum over the pixels is asked for, and this is their average.",
        lambda rows: rows.var(dim=0).mean(),
    ),
    Mistake(
        "only the first class",
        "This is the first class alone. Is the `return` inside the loop?",
        lambda images, c: pixel_variances(images[c == c.min()].flatten(1)).sum().item(),
    ),
    Mistake(
        "only the last class",
        "This is the last class alone: each turn of the loop overwrites the one before.",
        lambda images, c: pixel_variances(images[c == c.max()].flatten(1)).sum().item(),
    ),
    of_classes(
        "divided by n − 1",
        "The fault is gone. As in the faulty function the squared deviations are averaged: correction=0.",
        lambda rows: rows.var(dim=0).sum(),
    ),
    of_classes(
        "deviations summed over images",
        "The squared deviations are added up over the images. A variance is their mean.",
        lambda rows: pixel_variances(rows).sum() * len(rows),
    ),
    of_classes(
        "standard deviation",
        "The standard deviations are added up. Variances are asked for: no root.",
        lambda rows: pixel_variances(rows).sqrt().sum(),
    ),
    of_classes(
        "standard deviation",
        "A root is taken of each class's variance. No root is asked for.",
        lambda rows: pixel_variances(rows).sum().sqrt(),
    ),
    Mistake(
        "standard deviation",
        "A root is taken of the result. The variance itself is asked for.",
        lambda images, c: within_class(images, c) ** 0.5,
    ),
    Mistake(
        "weighted by class size",
        "Frequent classes count more here. Each class has one vote, as in the lesson.",
        weighted,
    ),
    Mistake(
        "summed over classes",
        "The variances of the classes are added up. Their mean is asked for.",
        lambda images, c: within_class(images, c) * occurring(c),
    ),
    Mistake(
        "classes counted that do not occur",
        "The divisor is too large: count the classes that occur, not all numbers up to the largest.",
        lambda images, c: within_class(images, c) * occurring(c) / (int(c.max()) + 1),
    ),
    Mistake(
        "divided by ten",
        "The sum over the classes is divided by ten, but not every data set has ten classes.",
        lambda images, c: within_class(images, c) * occurring(c) / 10,
    ),
    Mistake(
        "not a number",
        "The result is NaN. Is there a class without images among those you average? Take those that occur in `c`.",
        when=lambda got, want: all(isinstance(result, float) and math.isnan(result) for result in got),
    ),
)


@check("09/repaired_variance", "Spot the bug: diverse copies")
def repaired_variance(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    cases = []
    for shape, present in (((1, 4, 3), (0, 1, 4)), ((2, 2, 5), (1, 2, 3, 6)), ((1, 3, 5), (0, 3))):
        # no two classes of the same size, and the larger the class, the more its pictures differ
        c = torch.cat([torch.full((2 + 2 * i,), k) for i, k in enumerate(present)])
        order = torch.randperm(len(c), generator=g)
        pictures = torch.rand(7, *shape, generator=g)
        spread = (0.2 + 0.1 * c).view(-1, 1, 1, 1)
        images = (1 - spread) * pictures[c] + spread * torch.rand(len(c), *shape, generator=g)
        cases.append((images[order], c[order]))
    number = Answer(lambda *case: plain(answer(*case)), answer.name)
    examine_formula(number, cases, within_class, VARIANCE_MISTAKES, "averaged over classes")


# ---- from ten bounds to one ---------------------------------------------------------------------------


def over_classes(bounds: Tensor, log_p_c: Tensor) -> Tensor:
    joint = bounds + log_p_c
    largest = joint.amax(dim=1, keepdim=True)
    return largest[:, 0] + torch.log(torch.exp(joint - largest).sum(dim=1))


def flat(bounds: Tensor) -> Tensor:
    return torch.zeros(bounds.shape[1])


def all_nan(got: list[Any], want: list[Any]) -> bool:
    return all(result.numel() > 0 and bool(torch.isnan(result).all()) for result in got)


def floored(got: list[Any], want: list[Any]) -> bool:
    """Right where densities are not small, and the same number for all images where they are."""
    right = got[0].shape == want[0].shape and bool(torch.allclose(got[0].double(), want[0].double(), rtol=1e-3))
    return right and bool(got[-1].isfinite().all() and (got[-1] == got[-1].flatten()[0]).all())


AVERAGED = "This averages the bounds themselves. Densities are averaged, so exponentials, and the logarithm comes last."
ONE_PER_IMAGE = "Each image keeps its own number: the sum runs over the classes, dim 1."
POSTERIOR = "This is p(c|x), or its logarithm: how the classes share an image. The sum over the classes is asked for."
LARGEST = "Only the best class is counted. The others add their density, however small."

MARGINAL_MISTAKES = (
    Mistake(
        "underflow",
        "The formula is right, but exp of −150 or −900 is zero in the computer, and log 0 is −∞: "
        "take each image's largest term out of the sum first, or use a function that does.",
        when=not_finite,
    ),
    Mistake(
        "a floor under the density",
        "A small number inside the logarithm hides that exp of −900 is zero: all such images get the same density. "
        "Take each image's largest term out of the sum first.",
        when=floored,
    ),
    Mistake(
        "logarithm of a logarithm",
        "The result is NaN: bounds are logarithms already, and negative. Take exp before you add, and log afterwards.",
        when=all_nan,
    ),
    Mistake("bounds averaged", AVERAGED, lambda bounds, log_p_c: bounds @ log_p_c.exp()),
    Mistake("bounds averaged", AVERAGED, lambda bounds, log_p_c: bounds.mean(dim=1)),
    Mistake("bounds averaged", AVERAGED, lambda bounds, log_p_c: (bounds + log_p_c).mean(dim=1)),
    Mistake(
        "logarithms added",
        "A sum of logarithms is the logarithm of a product. The densities are added: exp first, then sum, then log.",
        lambda bounds, log_p_c: (bounds + log_p_c).sum(dim=1),
    ),
    Mistake(
        "logarithms added",
        "A sum of logarithms is the logarithm of a product. The densities are added: exp first, then sum, then log.",
        lambda bounds, log_p_c: bounds.sum(dim=1),
    ),
    Mistake("only the largest", LARGEST, lambda bounds, log_p_c: bounds.amax(dim=1)),
    Mistake("only the largest", LARGEST, lambda bounds, log_p_c: (bounds + log_p_c).amax(dim=1)),
    Mistake(
        "prior left out",
        "The densities are added without p(c), as if every class had probability 1.",
        lambda bounds, log_p_c: over_classes(bounds, flat(bounds)),
    ),
    Mistake(
        "prior left out",
        "The densities are added without p(c). And beware: exp of −900 is zero in the computer, and log 0 is −∞.",
        lambda bounds, log_p_c: bounds.exp().sum(dim=1).log(),
    ),
    Mistake(
        "all classes equally likely",
        "This divides by the number of classes, which is right for equally likely ones only. Use `log_p_c`.",
        lambda bounds, log_p_c: over_classes(bounds, flat(bounds)) - math.log(len(log_p_c)),
    ),
    Mistake(
        "divided by the number of classes as well",
        "The p(c) add up to 1 already: the sum weighted by them is the average.",
        lambda bounds, log_p_c: over_classes(bounds, log_p_c) - math.log(len(log_p_c)),
    ),
    Mistake(
        "prior not in the sum",
        "log p(c) differs from class to class, so it has to be added before the classes are summed.",
        lambda bounds, log_p_c: over_classes(bounds, flat(bounds))[:, None] + log_p_c,
    ),
    Mistake(
        "prior not in the sum",
        "log p(c) differs from class to class, so it has to be added before the classes are summed.",
        lambda bounds, log_p_c: over_classes(bounds, flat(bounds)) + log_p_c.sum(),
    ),
    Mistake(
        "p(c) taken for log p(c)",
        "The bounds are logarithms, so a factor p(c) becomes a summand log p(c): add `log_p_c` as it is.",
        lambda bounds, log_p_c: over_classes(bounds, log_p_c.exp()),
    ),
    Mistake(
        "logarithms multiplied",
        "A product of densities is a sum of logarithms: log(p(c) p(x|c)) = log p(c) + log p(x|c).",
        lambda bounds, log_p_c: over_classes(bounds * log_p_c, flat(bounds)),
    ),
    Mistake(
        "bounds weighted by p(c)",
        "The factor p(c) stands before p(x|c), not before its logarithm.",
        lambda bounds, log_p_c: over_classes(bounds * log_p_c.exp(), flat(bounds)),
    ),
    Mistake(
        "divided by p(c)",
        "log p(c) is subtracted, which divides by p(c). It is a factor.",
        lambda bounds, log_p_c: over_classes(bounds, -log_p_c),
    ),
    Mistake("sign", "This is −log p(x). The log-density itself is asked for.", lambda *case: -over_classes(*case)),
    *(
        Mistake("the posterior of the class", POSTERIOR, lambda bounds, log_p_c, f=f: f(bounds + log_p_c, dim=1))
        for f in (torch.softmax, torch.log_softmax)
    ),
    *(
        Mistake("the posterior of the class", POSTERIOR, lambda bounds, log_p_c, f=f: f(bounds, dim=1))
        for f in (torch.softmax, torch.log_softmax)
    ),
    Mistake(
        "the logarithm left out",
        "This is p(x), which is zero in the computer for a real image. Its logarithm is asked for.",
        lambda *case: over_classes(*case).exp(),
    ),
    Mistake(
        "summed over the images",
        ONE_PER_IMAGE,
        lambda bounds, log_p_c: torch.logsumexp(bounds + log_p_c, dim=0),
    ),
    Mistake("averaged over the batch", ONE_PER_IMAGE, lambda *case: over_classes(*case).mean()),
    Mistake("summed over the batch", ONE_PER_IMAGE, lambda *case: over_classes(*case).sum()),
    Mistake(
        "not summed over the classes",
        "These are the terms of the sum, log p(c) + log p(x|c). What is left is to add their exponentials.",
        lambda bounds, log_p_c: bounds + log_p_c,
    ),
)


@check("09/log_p_x", "A bound on log p(x)")
def log_p_x(answer: Answer, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    cases = []
    for B, classes, level in ((4, 3, -3.0), (2, 6, -150.0), (5, 4, -900.0)):
        bounds = level + 1.5 * torch.randn(B, classes, generator=g)
        bounds += 0.5 * level * torch.arange(B)[:, None]  # no two images alike: each has a largest term of its own
        prior = 0.2 + torch.rand(classes, generator=g)
        cases.append((bounds.clamp(max=-0.1), (prior / prior.sum()).log()))
    meaning = "one number for each image, shape (B,), in nats"
    examine_formula(answer, cases, over_classes, MARGINAL_MISTAKES, meaning)
    apart = [(bounds + 300.0 * torch.eye(*bounds.shape) - 300, prior) for bounds, prior in cases]
    hint = (
        "Right while the bounds of an image are alike. Where one class fits by hundreds of nats better, exp leaves the "
        "range of floats: take out the *largest* term of each image."
    )
    overflow = Mistake("overflow", hint, when=lambda got, want: not all(bool(torch.isfinite(one).all()) for one in got))
    examine_formula(answer, apart, over_classes, (overflow,), meaning)
