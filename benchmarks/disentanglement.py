"""How much of a disentanglement score is β, and how much the seed: β-VAEs on the shapes, every β with every seed.

    python benchmarks/disentanglement.py        32 runs of about 25 seconds each on one core

Each run that is done is in the ledger, as `disentanglement`; a second call goes on where the first was stopped.
The shapes are halved to 32×32 by averaging 2×2 pixels, and the same for all runs. Lesson 08 trains one of the rows.
"""

import torch.nn.functional as F
from torch import Tensor

from vae_course import disentanglement, latent, losses, results, runtime, training
from vae_course.data import shapes
from vae_course.models.mlp import MLPVAE

BETAS = (1, 2, 4, 8)
SEEDS = range(8)
EPOCHS = 12


def halved(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """n shapes (n, 1, 32, 32), and their factors (n, 5)."""
    x, factors = shapes.sample(n, runtime.seed(seed))
    return F.avg_pool2d(x, 2), factors


def row(train_x: Tensor, test_x: Tensor, factors: Tensor, beta: float, seed: int) -> dict[str, float]:
    """Train one model and score its posterior means on the test images."""
    runtime.seed(seed)
    model = MLPVAE(z_dim=10, hidden=(256, 256), x_shape=(1, 32, 32))
    training.fit(
        model, train_x, epochs=EPOCHS, lr=4e-3, loss=lambda model, x: losses.negative_elbo(model, x, beta=beta)
    )
    terms = training.evaluate(model, test_x)
    codes, _ = latent.posteriors(model, test_x)
    vote = disentanglement.factor_vae_score(codes, factors, generator=runtime.seed(0))
    trees = disentanglement.dci(codes, factors)
    return {
        "beta": beta,
        "seed": seed,
        "MIG": round(disentanglement.mig(codes, factors), 3),
        "FactorVAE": round(vote.score, 3),
        "FactorVAE_chance": round(vote.chance, 3),
        "DCI_trees": round(trees.disentanglement, 3),
        "rec": round(terms["rec"], 1),
        "kl": round(terms["kl"], 2),
    }


def main() -> None:
    try:
        table = results.load("disentanglement")["figures"]["table"]
    except FileNotFoundError:
        table = []
    train_x, _ = halved(20_000, seed=0)
    test_x, factors = halved(10_000, seed=1)
    done = {(each["beta"], each["seed"]) for each in table}
    for seed in SEEDS:
        for beta in BETAS:
            if (beta, seed) in done:
                continue
            table.append(row(train_x, test_x, factors, beta, seed))
            table.sort(key=lambda each: (each["beta"], each["seed"]))
            command = "python benchmarks/disentanglement.py"
            results.save("disentanglement", {"table": table}, command=command, seeds=list(SEEDS))
            print(table[-1], flush=True)


if __name__ == "__main__":
    main()
