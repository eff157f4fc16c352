"""Lesson 05's comparison on three seeds: one network with and without what makes it a VAE.

    VAE_COURSE_DATA=folder python benchmarks/autoencoder.py

Each seed has its own first weights, batches and draws; the judge is one for all. About three minutes a seed on two
cores; a seed that stands in the ledger is not run again.
"""

import statistics
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vae_course import data, generation, latent, losses, metrics, results, runtime, training
from vae_course.data import Digits
from vae_course.models.classifier import DigitClassifier, classification_loss
from vae_course.models.mlp import MLPVAE

SEEDS = [0, 1, 2]
Z_DIM, SAMPLES, PICTURES, FEW = 16, 10_000, 500, 2_000
LOSSES: dict[str, Callable[..., dict[str, Tensor]]] = {"AE": losses.reconstruction_loss, "VAE": losses.negative_elbo}
SOURCES = ("N(0, I)", "fitted Gaussian", "fitted mixture")


def train_judge(digits: Digits) -> DigitClassifier:
    runtime.seed(0)
    judge = DigitClassifier()
    training.fit(judge, (digits.train_x, digits.train_y), epochs=3, lr=4e-3, loss=classification_loss)
    return judge


def crowd(judge: DigitClassifier, pictures: Tensor, train_x: Tensor, train_features: Tensor) -> dict[str, float]:
    """Rulers for pictures (N, 1, 28, 28) as a crowd."""
    probabilities = judge.probabilities(pictures)
    return {
        "Fréchet distance": generation.frechet_distance(judge.features(pictures), train_features),
        "class entropy": generation.class_entropy(probabilities),
        "undecided": generation.entropy(probabilities).mean().item(),
        "holes": generation.hole_share(probabilities),
        "nearest training image": generation.nearest_neighbour_distance(pictures[:PICTURES], train_x).mean().item(),
    }


def along_lines(judge: DigitClassifier, frames: Tensor, train_x: Tensor) -> dict[str, float]:
    """Rulers for lines of pictures (L, T, 1, 28, 28)."""
    middle = frames[:, frames.shape[1] // 2]
    near = generation.nearest_neighbour_distance(middle, train_x)
    return {
        "unevenness of lines": generation.unevenness(frames).mean().item(),
        "detour of lines": generation.detour(frames).mean().item(),
        "undecided half-way": generation.entropy(judge.probabilities(middle)).mean().item(),
        "nearest training image, half-way": near.mean().item(),
    }


@torch.no_grad()
def one_model(name: str, digits: Digits, judge: DigitClassifier, features: Tensor, seed: int) -> dict[str, float]:
    """All figures of one model trained on all images."""
    rng = runtime.seed(seed)
    model = MLPVAE(Z_DIM, (400,))
    with torch.enable_grad():
        training.fit(model, digits.train_x, epochs=8, lr=2e-3, loss=LOSSES[name])
    test_mu, _ = latent.posteriors(model, digits.test_x)
    rebuilt = model.decode(test_mu).sigmoid()
    found = {"MSE of rebuilt test images": metrics.mse(rebuilt, digits.test_x).mean().item()}
    for measure, value in crowd(judge, rebuilt, digits.train_x, features).items():
        found[f"{measure}, rebuilt"] = value
    for source, z in draws(codes_of(name, model, digits.train_x[:20_000], rng), rng).items():
        for measure, value in crowd(judge, model.decode(z).sigmoid(), digits.train_x, features).items():
            found[f"{measure}, {source}"] = value
    frames = generation.decoded_lines(model, test_mu[:PICTURES], test_mu[PICTURES : 2 * PICTURES])
    return found | along_lines(judge, frames, digits.train_x)


def codes_of(name: str, model: MLPVAE, x: Tensor, rng: torch.Generator) -> Tensor:
    """What the decoder was trained on: means for the AE, samples of q(z|x) for the VAE. -> (N, D)."""
    mu, logvar = latent.posteriors(model, x)
    return mu if name == "AE" else losses.reparameterize(mu, logvar, generator=rng)


def draws(codes: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
    """z from three places. codes: (N, D) -> (SAMPLES, D) each."""
    fitted = [generation.fit_mixture(codes, components=k).sample(SAMPLES, generator=rng) for k in (1, 10)]
    return dict(zip(SOURCES, [torch.randn(SAMPLES, Z_DIM, generator=rng), *fitted], strict=True))


def few_images(name: str, digits: Digits, seed: int) -> dict[str, float]:
    """The same network after 100 epochs on FEW images: reconstruction at z = mu, in nats."""
    runtime.seed(seed)
    model, few_x = MLPVAE(Z_DIM, (400,)), digits.train_x[:FEW]
    training.fit(model, few_x, epochs=100, lr=2e-3, loss=LOSSES[name])
    train, test = (training.evaluate(model, x, loss=losses.reconstruction_loss)["rec"] for x in (few_x, digits.test_x))
    words = f"{FEW:,} images, nats"
    return {f"{words}: training": train, f"{words}: test": test, f"{words}: gap": test - train}


def reference(digits: Digits, judge: DigitClassifier, features: Tensor) -> dict[str, float]:
    """The same rulers on test images, and on cross-fades between them."""
    x = digits.test_x
    found = {
        f"{measure}, {source}": value
        for measure, value in crowd(judge, x, digits.train_x, features).items()
        for source in ("rebuilt", *SOURCES)
    }
    t = torch.linspace(0, 1, 21)[None, :, None, None, None]
    fades = (1 - t) * x[:PICTURES, None] + t * x[PICTURES : 2 * PICTURES, None]
    return found | along_lines(judge, fades, digits.train_x)


def table(rounds: list[dict[str, Any]], known: dict[str, float]) -> list[dict[str, str]]:
    """A row for each measure: mean ± standard deviation over the seeds, and what test images or cross-fades get."""

    def cell(name: str, measure: str) -> str:
        values = [row[name][measure] for row in rounds]
        spread = f" ± {short(statistics.stdev(values), measure)}" if len(values) > 1 else ""
        return short(statistics.mean(values), measure) + spread

    return [
        {"measure": measure, "AE": cell("AE", measure), "VAE": cell("VAE", measure)}
        | {"reference": short(known[measure], measure) if measure in known else "–"}
        for measure in sorted(rounds[0]["AE"], key=order)
    ]


def short(value: float, measure: str) -> str:
    digits = 5 if measure.startswith("MSE") else 1 if "Fréchet" in measure or "images, nats" in measure else 3
    return f"{value:.{digits}f}"


def order(measure: str) -> int:
    """Measures of one kind stand together, in the order of the lesson."""
    kinds = ["MSE", "Fréchet", "class entropy", "undecided, ", "holes", "nearest training image, ", "unevenness"]
    kinds += ["detour", "undecided half", f"{FEW:,}"]
    if measure.endswith("half-way"):
        return kinds.index("undecided half")
    return next(i for i, kind in enumerate(kinds) if measure.startswith(kind))


def main() -> None:
    digits = data.load_digits("mnist")
    judge = train_judge(digits)
    features = judge.features(digits.train_x)
    known = reference(digits, judge, features)
    try:
        rounds = results.load("autoencoder")["figures"]["rounds"]
    except FileNotFoundError:
        rounds = []
    for seed in SEEDS[len(rounds) :]:
        row = {}
        for name in LOSSES:
            row[name] = one_model(name, digits, judge, features, seed) | few_images(name, digits, seed)
        rounds.append({name: {k: round(v, 5) for k, v in found.items()} for name, found in row.items()})
        figures = {"table": table(rounds, known), "rounds": rounds}
        command = "python benchmarks/autoencoder.py"
        results.save("autoencoder", figures, command=command, seeds=SEEDS[: len(rounds)])
    for line in table(rounds, known):
        print(" | ".join(line.values()))


if __name__ == "__main__":
    main()
