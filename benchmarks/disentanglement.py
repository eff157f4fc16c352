"""How much of a disentanglement score is β, and how much the seed: β-VAEs on the shapes, every β with every seed.

    python benchmarks/disentanglement.py        32 runs of about 25 seconds each on one core

Each run that is done is in the ledger, as `disentanglement`; a second call goes on where the first was stopped.
The shapes are halved to 32×32 by averaging 2×2 pixels, and the same for all runs. Lesson 08 trains one of the rows.
The scores count every latent, as published comparisons mostly do, and once more those alone whose KL exceeds AWAKE.
"""

import torch.nn.functional as F
from torch import Tensor

from vae_course import disentanglement, latent, losses, results, runtime, training
from vae_course.data import shapes
from vae_course.models.mlp import MLPVAE

BETAS = (1, 2, 4, 8)
SEEDS = range(8)
EPOCHS = 12
AWAKE = 0.05  # nats: below, a latent's mean hardly moves, and the scores see what it does all the same


def halved(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """n shapes (n, 1, 32, 32), and their factors (n, 5)."""
    x, factors = shapes.sample(n, runtime.seed(seed))
    return F.avg_pool2d(x, 2), factors


def row(train_x: Tensor, test_x: Tensor, factors: Tensor, beta: float, seed: int) -> dict[str, float]:
    """Train one model and score its posterior means on the test images, all latents and without the silent ones."""
    runtime.seed(seed)
    model = MLPVAE(z_dim=10, hidden=(256, 256), x_shape=(1, 32, 32))
    training.fit(
        model, train_x, epochs=EPOCHS, lr=4e-3, loss=lambda model, x: losses.negative_elbo(model, x, beta=beta)
    )
    terms = training.evaluate(model, test_x)
    mu, logvar = latent.posteriors(model, test_x)
    awake = losses.kl_per_latent(mu, logvar).mean(dim=0) > AWAKE
    return {
        "beta": beta,
        "seed": seed,
        **scores(mu, factors),
        "rec": round(terms["rec"], 1),
        "kl": round(terms["kl"], 2),
        "awake": int(awake.sum()),
        **{f"{name}_awake": score for name, score in scores(mu[:, awake], factors).items()},
    }


def scores(codes: Tensor, factors: Tensor) -> dict[str, float]:
    vote = disentanglement.factor_vae_score(codes, factors, generator=runtime.seed(0))
    return {
        "MIG": round(disentanglement.mig(codes, factors), 3),
        "FactorVAE": round(vote.score, 3),
        "FactorVAE_chance": round(vote.chance, 3),
        "DCI_trees": round(disentanglement.dci(codes, factors).disentanglement, 3),
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
            seeds = sorted({each["seed"] for each in table})
            results.save("disentanglement", {"table": table}, command=command, seeds=seeds)
            print(table[-1], flush=True)


if __name__ == "__main__":
    main()
