"""Rate and distortion of one network over β, several seeds, for lesson 07's slope check.

    python benchmarks/rate_distortion.py          about a minute a seed on two cores; takes up where it was stopped

Lesson 07's network on its 20,000 training images, with half as many epochs again; each seed has other first weights
and another order of the images. A row goes into vae_course/results/rate_distortion.json for each seed and β.
"""

from functools import partial
from typing import Any

from vae_course import data, rate_distortion, results
from vae_course.models.mlp import MLPVAE

BETAS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
SEEDS = [0, 1, 2]


def main() -> None:
    x = data.load_digits("mnist").train_x[:20_000]
    table = _done()
    for seed in SEEDS:
        if any(row["seed"] == seed for row in table):
            continue
        make_model = partial(MLPVAE, z_dim=16, hidden=(300,))
        rows = rate_distortion.sweep(make_model, x, BETAS, epochs=12, seed=seed)
        for row in rows:
            measured = {name: round(row[name], 2) for name in ("rate", "distortion")}
            table.append({"seed": seed, "beta": row["beta"], **measured})
        command = "python benchmarks/rate_distortion.py"
        results.save(
            "rate_distortion", {"table": table}, command=command, seeds=[row["seed"] for row in table[:: len(BETAS)]]
        )
    for seed in SEEDS:
        print(seed, rate_distortion.slopes([row for row in table if row["seed"] == seed]))


def _done() -> list[dict[str, Any]]:
    """The rows of an earlier run."""
    try:
        return list(results.load("rate_distortion")["figures"]["table"])
    except FileNotFoundError:
        return []


if __name__ == "__main__":
    main()
