"""Cures of a collapsed model, several seeds, for lesson 07: each judged by -ELBO with β = 1 on the test digits.

    python benchmarks/collapse.py          about a minute a seed on two cores; takes up where it was stopped

Lesson 07's network of nine hidden layers and its cures; each seed has other first weights and another order of the
images. A row goes into vae_course/results/collapse.json for each seed and cure.
"""

from functools import partial
from typing import Any

from torch import Tensor, nn

from vae_course import collapse, data, losses, results, runtime, schedules, training
from vae_course.models.mlp import MLPVAE

SEEDS = [0, 1, 2]


def free_total(model: Any, x: Tensor) -> dict[str, Tensor]:
    """The bound with eight nats for nothing, whichever latents use them."""
    terms = losses.negative_elbo(model, x)
    charged = collapse.kl_with_free_total(*model.encode(x), free=8.0)
    return {**terms, "loss": terms["rec"] + charged}


CURES: dict[str, dict[str, Any]] = {
    "none": {},
    "linear annealing": {"beta": schedules.linear_annealing},
    "cyclical annealing": {"beta": schedules.cyclical_annealing},
    "free bits, ½ nat a latent": {"loss": partial(losses.negative_elbo, free_bits=0.5)},
    "8 nats free in total": {"loss": free_total},
    "larger first weights": {},
}


def larger_weights(model: MLPVAE) -> None:
    """He et al. 2015: weights that keep the size of what passes through the layers."""
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)


def main() -> None:
    digits = data.load_digits("mnist")
    table = _done()
    for seed in SEEDS:
        for cure, settings in CURES.items():
            if any((row["seed"], row["cure"]) == (seed, cure) for row in table):
                continue
            order = runtime.seed(seed)
            model = MLPVAE(z_dim=16, hidden=(128,) * 9)
            if cure == "larger first weights":
                larger_weights(model)
            x = digits.train_x[:10_000]
            training.fit(model, x, epochs=8, batch_size=64, lr=2e-3, generator=order, **settings)
            found = collapse.report(model, digits.test_x, generator=order)
            names = ("active_units", "rate", "mutual_information", "negative_elbo")
            table.append({"seed": seed, "cure": cure, **{name: round(found[name], 2) + 0 for name in names}})
            command = "python benchmarks/collapse.py"
            seeds = sorted({row["seed"] for row in table})
            results.save("collapse", {"table": table}, command=command, seeds=seeds)
            print(table[-1], flush=True)


def _done() -> list[dict[str, Any]]:
    """The rows of an earlier run."""
    try:
        return list(results.load("collapse")["figures"]["table"])
    except FileNotFoundError:
        return []


if __name__ == "__main__":
    main()
