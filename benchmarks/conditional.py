"""Conditional VAEs over three seeds: the full one, each way to leave out the condition, and β = 1 from the first step.

    python benchmarks/conditional.py        about a minute for each model and seed; resumable

The recipe is lesson 09's, on MNIST. What it measures goes into the ledger as `conditional`, a row for each model and
seed. The judge of seed s is trained with seed s + 100.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from vae_course import condition, data, latent, losses, results, runtime, schedules, training
from vae_course.models.classifier import DigitClassifier, classification_loss
from vae_course.models.conditional import ConditionalVAE

NAME, SEEDS = "conditional", [0, 1, 2]


def always_one(step: int, steps: int) -> float:
    return 1.0


MODELS: dict[str, tuple[dict[str, Any], Callable[[int, int], float]]] = {
    "full": ({}, schedules.falling_beta),
    "decoder without c": ({"decoder_sees": False}, schedules.falling_beta),
    "encoder without c": ({"encoder_sees": False}, schedules.falling_beta),
    "full, β = 1 throughout": ({}, always_one),
}


@cache
def judge(seed: int) -> DigitClassifier:
    digits = data.load_digits("mnist")
    runtime.seed(seed + 100)
    model = DigitClassifier()
    training.fit(model, (digits.train_x, digits.train_y), epochs=3, loss=classification_loss, lr=4e-3)
    return model


def measured(name: str, seed: int) -> dict[str, Any]:
    digits = data.load_digits("mnist")
    test = digits.test_x, digits.test_y
    reader = judge(seed)
    switches, beta = MODELS[name]
    runtime.seed(seed)
    model = ConditionalVAE(z_dim=16, hidden=(400, 400), **switches)
    training.fit(model, (digits.train_x, digits.train_y), epochs=12, batch_size=256, lr=4e-3, beta=beta)
    rng = runtime.seed(seed)
    c = torch.arange(10).repeat_interleave(1_000)
    images = model.sample(c, generator=rng)
    z = losses.reparameterize(*latent.posteriors(model, *test), generator=rng)
    figures = {
        "real": condition.asked_accuracy(reader, *test),
        "asked": condition.asked_accuracy(reader, images, c),
        "variance": condition.within_class_variance(images, c) / condition.within_class_variance(*test),
        "swap": condition.swap_accuracy(model, reader, *test, generator=rng),
        **condition.probe(z, digits.test_y),
        "loss": training.evaluate(model, test)["loss"],
    }
    return {"model": name, "seed": seed, **{key: round(value, 3) for key, value in figures.items()}}


def main() -> None:
    try:
        table = results.load(NAME)["figures"]["table"]
    except FileNotFoundError:
        table = []
    done = {(row["model"], row["seed"]) for row in table}
    for seed in SEEDS:
        for name in MODELS:
            if (name, seed) not in done:
                table.append(measured(name, seed))
                seeds = sorted({row["seed"] for row in table})
                results.save(NAME, {"table": table}, command="python benchmarks/conditional.py", seeds=seeds)
                print(table[-1])


if __name__ == "__main__":
    main()
