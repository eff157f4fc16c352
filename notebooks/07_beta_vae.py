# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 07 · What β trades
#
# You put a price on information, see what a VAE buys at each price, and diagnose and treat a model whose latents have stopped working.

# %% [markdown] tags=["badges"]
# <!-- badges -->

# %% [markdown]
# **You will be able to**
#
# - trace a rate–distortion curve with β, and test each point of it by its slope;
# - split the average KL into mutual information and the distance of all codes together from the prior;
# - predict posterior collapse for a linear VAE, latent by latent, and diagnose it in any VAE;
# - anneal β, give latents free bits, and judge such cures on one objective.
#
# *Time:* about 75 minutes; the computer works for about three of them. *Assumed:* [lesson 04](04_low_level_pytorch.ipynb), its last section above all; probabilistic PCA from [lesson 01](01_elbo.ipynb).

# %% tags=["setup"]
try:
    import vae_course  # noqa: F401
except ModuleNotFoundError:  # install the course on Colab; anywhere else say how to get it
    import pathlib, sys

    RELEASE = ""  # empty: Colab takes the wheel that lies beside this notebook
    HELP = "This kernel has no vae_course. Run `make lab` in the course's folder and open the lesson there. On Colab, upload vae_course-….whl beside this notebook."
    course = max(map(str, pathlib.Path().glob("vae_course-*.whl")), default=RELEASE)
    if "google.colab" not in sys.modules or not course:
        raise ModuleNotFoundError(HELP) from None
    get_ipython().run_line_magic("pip", f"install -q --no-deps {course} lpips")
import json, math, matplotlib.pyplot as plt, torch
from vae_course import collapse, data, latent, losses, plots, runtime, schedules, training

# %% [markdown]
# In lesson 04, a β far from 1 was an accident that hid in sums and averages. Here it is a choice, and we ask what it buys.

# %%
digits = data.load_digits()
x = digits.train_x[: runtime.steps(20_000, 2_000)]
test_x = digits.test_x[: runtime.steps(10_000, 1_000)]

# %% [markdown]
# ## Two bills
#
# The loss adds up two bills, each averaged over images and counted in nats:
#
# - the **distortion** $D$, the mean of $-\log p(x \mid z)$ with $z$ drawn from $q(z \mid x)$: what is still unknown about the pixels once $z$ is known;
# - the **rate** $R$, the mean of $\mathrm{KL}(q(z \mid x)\,\Vert\,p(z))$: what the code costs.
#
# Training minimises $D + \beta R$. (In the shapes beside the code, D is still the number of latents.) So β is a price: the nats of distortion that one nat of rate has to save before it is worth having. With β = 1 the sum is −ELBO; any other β minimises something else, on purpose, as in the **β-VAE** (Higgins et al., 2017).
#
# To compare prices, everything else must be equal: the same network, the same first weights, the same order of images. Rate and distortion are measured on the training set, since this is where the two are traded, and with the same noise each time.

# %%
from vae_course.models.mlp import MLPVAE

EPOCHS = runtime.steps(8, 2)


def loss_at(beta):
    return lambda model, x: losses.negative_elbo(model, x, beta=beta)


def train_at(beta):
    order = runtime.seed(0)  # the same first weights and the same order for every β
    model = MLPVAE(z_dim=16, hidden=(300,))
    training.fit(model, x, epochs=EPOCHS, lr=2e-3, loss=loss_at(beta), generator=order)
    terms = training.evaluate(model, x)
    return {"beta": beta, "rate": terms["kl"], "distortion": terms["rec"], "model": model}


# %% [markdown]
# **Predict:** when the price doubles from 1 to 2, is the rate cut in half, or less, or more?
#
# The prices go from a quarter to 16, each twice the one before. Seven trainings take about a minute.

# %%
BETAS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
rows = [train_at(beta) for beta in BETAS]

# %%
print(f"{'β':>5} {'rate R':>8} {'distortion D':>13} {'D + R':>8}")
for row in rows:
    total = row["rate"] + row["distortion"]
    print(f"{row['beta']:5} {row['rate']:8.2f} {row['distortion']:13.2f} {total:8.2f}")

# %%
rates, distortions = [[row[name] for row in rows] for name in ("rate", "distortion")]
ax = plots.curves(
    rates,
    {"trained models": distortions},
    title="The dearer the rate, the less is bought",
    xlabel="rate R (nats per image)",
    ylabel="distortion D (nats per image)",
)
ax.plot(rates, distortions, "o", color=plots.BLUE)
for row in rows:
    ax.annotate(f"  β = {row['beta']:g}", (row["rate"], row["distortion"]), va="bottom", fontsize=9)
plots.show(
    ax,
    alt="Distortion against rate: a curve that falls steeply where the rate is small and flattens where it is large; β is large at its left end and small at its right end.",
)

# %% [markdown]
# This is a **rate–distortion curve** (Alemi et al., 2018). After enough training it falls, and it bends: the first nats of rate save many nats of distortion each, the last ones save little. Compare with your guess: the first doublings of the price remove only a part of the rate.
#
# The column $D + R$ is −ELBO. Its smallest value should stand beside β = 1, the only row that was trained for it. What do the prices look like in pictures?

# %%
with torch.no_grad():
    shown = [row["model"].decode(row["model"].encode(test_x[:10])[0]).sigmoid() for row in rows]
grid = plots.image_grid(
    torch.cat([test_x[:10], *shown]),
    columns=10,
    row_labels=["original", *(f"β = {beta:g}" for beta in BETAS)],
    title="Reconstructions, test digits: what each price keeps",
)
plots.show(
    grid,
    alt="Ten originals and seven rows of reconstructions, faithful for small β, and more and more alike and blurred as β grows.",
)

# %% [markdown]
# What is kept longest is what many pixels share, be it identity or style: look for digits that have turned into another one, in rows where others still lean as their originals do.
#
# ## The slope tells whether a point is optimal
#
# Training is never finished. How far is such a curve from the best that this network could do? There is a test that needs no knowledge of the best. Take two prices $\beta_1 < \beta_2$ and suppose that each model is the exact minimiser of its own objective among all models of this network. Then neither is beaten by the other at its own price:
#
# $$D_1 + \beta_1 R_1 \le D_2 + \beta_1 R_2 \qquad\text{and}\qquad D_2 + \beta_2 R_2 \le D_1 + \beta_2 R_1.$$
#
# Bring the distortions to one side and the rates to the other:
#
# $$\beta_1 (R_1 - R_2) \;\le\; D_2 - D_1 \;\le\; \beta_2 (R_1 - R_2).$$
#
# Hence $R_1 \ge R_2$ (the outer two say $(\beta_2 - \beta_1)(R_1 - R_2) \ge 0$), and where they differ,
#
# $$\boxed{\;\beta_1 \;\le\; \frac{D_2 - D_1}{R_1 - R_2} \;\le\; \beta_2.\;}$$
#
# The slope between two neighbours lies between their prices. The condition is necessary, not sufficient: two models that are both bad by the same amount pass it. But where it fails, one of the two is beaten at its own price by its neighbour, and that is an error of the optimisation and of nothing else.


# %%
def slope(first, second):
    """Nats of distortion lost for each nat of rate saved, from the smaller β to the larger."""
    return (second["distortion"] - first["distortion"]) / (first["rate"] - second["rate"])


# %% [markdown]
# `rate_distortion.slopes` does this for all neighbours, and adds the `excess`: by how many nats the beaten model is beaten, 0 where the condition holds. (`rate_distortion.sweep` is `train_at` for a list of β.) To know how much of a slope is chance, we need other seeds. Three trainings of each point, with more epochs than here, are kept in the course's ledger; the last column is the range of the slope over them.

# %%
from vae_course import rate_distortion, results

ledger = results.load("rate_distortion")["figures"]["table"]
seeds = sorted({row["seed"] for row in ledger})
by_seed = [rate_distortion.slopes([r for r in ledger if r["seed"] == seed]) for seed in seeds]
checked = rate_distortion.slopes(rows)

# %%
print(f"{'β₁':>5} {'slope':>7} {'β₂':>5} {'excess':>7}   ledger, {len(seeds)} seeds (MNIST)")
for i, found in enumerate(checked):
    several = [pairs[i]["slope"] for pairs in by_seed]
    print(
        f"{found['low']:5} {found['slope']:7.2f} {found['high']:5} {found['excess']:7.2f}"
        f"   {min(several):.2f} to {max(several):.2f}"
    )
violations = [found for found in checked if found["excess"] > 0]
print(f"optimisation error seen in {len(violations)} of {len(checked)} pairs")
assert checked[0]["slope"] == slope(rows[0], rows[1])

# %% [markdown]
# Where the slope lies between its neighbours' prices, the sweep passes. An excess above 0 would be the least that one of the two models falls short of its own minimum: train longer before you interpret such a point. (A slope that passes may still lie outside the ledger's range, which is that of models trained for longer: the sweep tests one necessary condition, and does not prove that a model has reached its minimum.)
#
# The slope has a use of its own: near the optimum, $-\mathrm{d}D/\mathrm{d}R = \beta$. Reading a curve from right to left, you see at each point how many nats of distortion the last nat of rate was worth.
#
# ## What is the rate spent on?
#
# The KL is often read as "how much the code tells about the image". It is more than that. Let $q(z) = \frac1N\sum_n q(z \mid x_n)$ be the **aggregate posterior**, the mixture of the codes of all $N$ images. Write $\log q(z)$ into the KL once with a minus and once with a plus, and average over images:
#
# $$\frac1N\sum_n \mathrm{KL}(q(z \mid x_n)\,\Vert\,p(z))
# = \underbrace{E\Big[\log\frac{q(z \mid x_n)}{q(z)}\Big]}_{I(n;\,z)} + \underbrace{E\Big[\log\frac{q(z)}{p(z)}\Big]}_{\mathrm{KL}(q(z)\,\Vert\,p(z))}.$$
#
# The first term is the **mutual information**: how much $z$ tells about which image it belongs to. The second is the distance of all codes together from the prior: it tells nothing about any image, and it is what makes samples from the prior differ from samples of the codes (Hoffman and Johnson, 2016).
#
# Neither has a closed form, but $q(z)$ is a mixture of Gaussians that we can write down. So draw an image and its $z$, and average.


# %%
def split(mu, logvar, own, eps):
    """One value per sample of both terms. mu, logvar: (N, D), own: (M,) which image, eps: (M, D)."""
    z = mu[own] + (0.5 * logvar[own]).exp() * eps  # (M, D)
    gap = z[:, None, :] - mu  # (M, N, D)
    log_q = -0.5 * (gap**2 / logvar.exp() + logvar + math.log(2 * math.pi)).sum(dim=2)  # (M, N)
    of_own = log_q[range(len(z)), own]  # log q(z|x_n)
    of_all = log_q.logsumexp(dim=1) - math.log(len(mu))  # log q(z)
    prior = -0.5 * (z**2 + math.log(2 * math.pi)).sum(dim=1)  # log p(z)
    return of_own - of_all, of_all - prior


# %% [markdown]
# **Predict:** the model with β = 1 spends the rate printed above. With 2,000 images, how large can the mutual information be? (How many nats name one of 2,000?)

# %%
own, eps = torch.randint(2_000, (500,)), torch.randn(500, 16)
mu, logvar = latent.posteriors(rows[2]["model"], x[:2_000])
information, aggregate = split(mu, logvar, own, eps)
total = losses.kl_to_standard_normal(mu, logvar).mean()
print(f"rate {total:.2f} nats, mutual information {information.mean():.2f}", end=", ")
print(f"aggregate KL {aggregate.mean():.2f}, log 2,000 = {math.log(2_000):.2f}")

# %% [markdown]
# Two things to note. The terms add up to the rate, up to sampling noise; this is a test, because the rate was computed by the closed form and the two terms by samples. And a name out of $N$ is worth at most $\log N$ nats, so no estimate of this kind can exceed $\log N$. Where it comes close to $\log N$, it says that every image can be told from every other, and no more; the rest of the rate is then booked under the second term, because a mixture of 2,000 narrow bumps is not a smooth cloud.
#
# `collapse.kl_split` does the same in chunks, with standard errors, for all images of the training set. It also computes `leave_out`, with the sample's own bump left out of the mixture. With the own bump included, the mean is on average at most the information about images *in general*; with it left out, at least (Poole et al., 2019; strictly, for images on which the encoder was not trained).

# %%
rng = runtime.seed(0)
parts = []
for row in rows:
    codes = latent.posteriors(row["model"], x)
    parts.append(collapse.kl_split(*codes, samples=1_000, generator=rng))

# %%
print(f"{'β':>5} {'rate':>6} {'mutual information':>20} {'aggregate KL':>14} {'left out':>9}")
for beta, part in zip(BETAS, parts, strict=True):
    pairs = [(part[k], part[f"{k}_error"]) for k in ("mutual_information", "aggregate_kl")]
    said = [f"{value:.2f} ± {error:.2f}" for value, error in pairs]
    print(f"{beta:5} {part['rate']:6.2f} {said[0]:>20} {said[1]:>14} {part['leave_out']:9.1f}")
print(f"log N = {math.log(len(x)):.2f}")

# %%
names = {"rate": "rate", "mutual_information": "mutual information", "aggregate_kl": "aggregate KL"}
ax = plots.curves(
    BETAS,
    {label: [part[name] for part in parts] for name, label in names.items()},
    title="The average KL and its two parts",
    xlabel="β",
    ylabel="nats per image",
)
ax.axhline(math.log(len(x)), color="grey", linewidth=1)
ax.annotate("log N", (BETAS[-1], math.log(len(x))), ha="right", va="bottom", color="grey")
ax.set_xscale("log", base=2)
plots.show(
    ax,
    alt="Rate, mutual information and aggregate KL against β, with log N as a horizontal line, which the mutual information does not exceed.",
)

# %% [markdown]
# Where a trained model's rate lies far above $\log N$, the information stands just below this ceiling, and the estimate can no longer tell two models apart: the truth lies somewhere between it and the smaller of `leave_out` and the rate. Where the rate falls below the ceiling, the two bounds close in. After a full training, most of the rate is information there, the more so the dearer it is; after a short one, much of it can be a mere mismatch of all codes with the prior, which the second term shows.
#
# So "KL = information" is a reading that can be checked where the rate is well below $\log N$, and one without support above.
#
# ## Collapse that can be calculated
#
# Raise the price far enough, and nothing is bought: $q(z \mid x)$ is the prior for every image, the rate is 0, the decoder draws the mean image. It happens latent by latent. For one kind of VAE we can say exactly when: the **linear** one, with $x = Wz + b + \sigma\varepsilon$, a linear encoder, and a fixed $\sigma^2$.
#
# At β = 1 this is probabilistic PCA, whose best $W$ is known from lesson 01: column $j$ is $\sqrt{\lambda_j - \sigma^2}\,u_j$, with the eigenvalues $\lambda_j$ and eigenvectors $u_j$ of the data's covariance. If $\lambda_j \le \sigma^2$, the column is zero: that latent is not used. And β is no new case. As in lesson 04, multiply the objective by a constant, here $1/\beta$:
#
# $$\frac1\beta\,(D + \beta R) = \frac{E\,\lVert x - Wz - b\rVert^2}{2\beta\sigma^2} + R + \text{const},$$
#
# the −ELBO of a decoder with variance $\beta\sigma^2$. So a latent is **active** exactly if
#
# $$\lambda_j > \beta\sigma^2$$
#
# (Lucas et al., 2019). Its posterior is then known, too: with $s = \beta\sigma^2$, the variance of $q$ is $s/\lambda_j$, the mean of $q$ varies over the images with variance $1 - s/\lambda_j$, and the rate is $\frac12\log(\lambda_j/s)$.


# %%
def predicted_active(x, var, beta):
    """How many eigenvalues of the pixels' covariance exceed β·var. x: (N, C, H, W)."""
    pixels = x.flatten(1).double()
    centred = pixels - pixels.mean(dim=0)
    eigenvalues = torch.linalg.eigvalsh(centred.T @ centred / len(pixels))
    return int((eigenvalues > beta * var).sum())


# %% [markdown]
# Does training find this? The loss of a linear VAE needs no samples: the expectation over $z$ and over all images only involves the covariance $S$ of the pixels. With the encoder's mean $V(x - b)$ and its variances $v$, the same for all images,
#
# $$E\,\lVert x - Wz - b\rVert^2 = \mathrm{tr}\,S - 2\,\mathrm{tr}(WVS) + \mathrm{tr}(W^\top W\,VSV^\top) + \textstyle\sum_j v_j \lVert W_j\rVert^2.$$


# %%
def linear_loss(W, V, logvar, S, var, beta):
    """D + βR up to a constant. W: (P, D), V: (D, P), logvar: (D,), S: (P, P) -> one number."""
    v, VS, WW = logvar.exp(), V @ S, W.T @ W
    square = S.trace() - 2 * (W.T * VS).sum() + ((WW @ VS) * V).sum() + (v * WW.diagonal()).sum()
    rate = 0.5 * ((VS * V).sum() + (v - logvar - 1).sum())
    return square / (2 * var) + beta * rate


# %% [markdown]
# An exact loss is best left to an optimiser for exact losses. L-BFGS estimates the curvature from past gradients and takes a few hundred steps; it asks for a function that computes the loss and its gradient. The start is random: nothing points it to the eigenvectors.

# %%
P, LATENTS, VAR = 784, 30, 0.25
pixels = x.flatten(1) - x.flatten(1).mean(dim=0)
S = pixels.T @ pixels / len(x)


def train_linear(beta):
    g = torch.Generator().manual_seed(0)
    W, V = 0.1 * torch.randn(P, LATENTS, generator=g), torch.randn(LATENTS, P, generator=g) / P**0.5
    params = [p.requires_grad_() for p in (W, V, torch.zeros(LATENTS))]
    optimizer = torch.optim.LBFGS(
        params, max_iter=400, history_size=20, line_search_fn="strong_wolfe"
    )

    def forward_backward():
        optimizer.zero_grad()
        loss = linear_loss(*params, S, VAR, beta)
        loss.backward()
        return loss

    optimizer.step(forward_backward)
    return [p.detach() for p in params]


# %% [markdown]
# How many latents does a trained model use? The usual count (Burda et al., 2016): a latent is an **active unit** if the mean of its posterior varies over the images, $\mathrm{Var}_x(E_q[z_j]) > 0.01$.


# %%
def active_units(mu, threshold=0.01):
    """mu: (N, D), the mean of q(z|x) for each image -> a number of latents."""
    return int((mu.var(dim=0) > threshold).sum())


# %% [markdown]
# **Predict:** the model has 30 latents and $\sigma^2$ = 0.25. With which of the prices below will it use all of them, and with which none?
#
# Three counts for each β: the prediction, which is the number of eigenvalues above $\beta\sigma^2$, or 30 if that is smaller; active units of the trained model, on test images; active units of the model that the formula gives (`collapse.optimal_linear_vae`), on test images.

# %%
linear = []
for beta in runtime.steps((1.0, 2.0, 4.0, 8.0, 12.0, 16.0, 24.0), (4.0, 12.0, 24.0)):
    _, V, _ = train_linear(beta)
    found = (test_x.flatten(1) - x.flatten(1).mean(dim=0)) @ V.T  # (N, 30), means of q
    best = collapse.optimal_linear_vae(x, z_dim=LATENTS, var=VAR, beta=beta)
    by_formula = active_units(latent.posteriors(best, test_x)[0])
    predicted = min(LATENTS, predicted_active(x, VAR, beta))
    counts = {"predicted": predicted, "trained": active_units(found), "formula": by_formula}
    linear.append({"beta": beta, **counts})

# %%
print(f"{'β':>5} {'βσ²':>6} {'predicted':>10} {'trained':>8} {'formula':>8}")
for row in linear:
    print(
        f"{row['beta']:5} {row['beta'] * VAR:6.2f} {row['predicted']:10} {row['trained']:8} {row['formula']:8}"
    )

# %% [markdown]
# The prediction looked at the training images alone, and at no model. It can be off by a latent where an eigenvalue lies close to $\beta\sigma^2$: a latent just above the line is active, but its mean varies by $1 - \beta\sigma^2/\lambda_j$ only, which passes the threshold of 0.01 when $\lambda_j$ exceeds $\beta\sigma^2$ by one per cent; and test images have slightly other variances. The next cell allows for eigenvalues within five per cent of the line, and for nothing else.

# %%
eigenvalues = torch.linalg.eigvalsh(S.double()).flip(0)
for row in linear:
    sure, possible = [
        min(LATENTS, int((eigenvalues > row["beta"] * VAR * k).sum())) for k in (1.05, 0.95)
    ]
    assert sure <= row["trained"] <= possible
    assert sure <= row["formula"] <= possible
    row["tie"] = sure != possible

# %%
ax = plots.curves(
    range(1, 61),
    {"eigenvalues of the data": eigenvalues[:60]},
    title="A latent is used if its eigenvalue rises above βσ²",
    xlabel="latent j",
    ylabel="variance of the pixels along $u_j$",
)
for row in linear:
    ax.axhline(row["beta"] * VAR, color="grey", linewidth=0.8)
    ax.annotate(
        f"β = {row['beta']:g}", (60, row["beta"] * VAR), ha="right", va="bottom", fontsize=8
    )
ax.set_yscale("log")
ax.minorticks_off()
ax.set_yticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
plots.show(
    ax,
    alt="The eigenvalues of the pixel covariance, falling, on a logarithmic axis, cut by one horizontal line for each β.",
)

# %% [markdown]
# Raising β is raising a water level: what lies below is given up. This collapse is not a failure of training. It is the optimum, and no schedule and no trick that ends at the same objective can improve on it. To see what "curing" it costs, take a price at which the formula gives no active latent, and compare its objective with that of a model that was given a fifth of the price:

# %%
dear = 1.1 * eigenvalues[0].item() / VAR  # a β just above the dearest that anybody pays


def linear_objective(model, x):
    def gaussian(mean, x):
        return losses.gaussian_log_likelihood(mean, x, var=VAR)

    return losses.negative_elbo(model, x, beta=dear, log_likelihood=gaussian)


for name, beta in (("optimum", dear), ("a fifth of the price", dear / 5)):
    model = collapse.optimal_linear_vae(x, z_dim=LATENTS, var=VAR, beta=beta)
    terms = training.evaluate(model, x, loss=linear_objective)
    units = active_units(latent.posteriors(model, x)[0])
    print(
        f"{name:21} active units {units:2}, rate {terms['kl']:.2f}, objective {terms['loss']:.2f}"
    )

# %% [markdown]
# More active units, a larger rate, and a worse objective. Active units are not a value in themselves. If you want them at this price, say that you want another objective.
#
# ## Collapse that is nobody's wish
#
# The other kind of collapse happens although something better exists. A classical setting is a decoder that predicts well without $z$ (Bowman et al., 2016). Here is another: networks of many hidden layers, with PyTorch's default first weights, which make every layer's output vary less than its input.

# %%
z = torch.randn(500, 16)
for depth in (1, 3, 6, 9):
    runtime.seed(0)
    with torch.no_grad():
        logits = MLPVAE(z_dim=16, hidden=(200,) * depth).decode(z)
    print(f"{depth} hidden layers: over z, a logit varies by {logits.std(dim=0).mean():.1e}")

# %% [markdown]
# At the start of its training, such a decoder hardly notices $z$. So there is next to nothing to be saved by telling $x$ apart, while the KL is charged in full from the first step.
#
# **Predict:** we train with β = 1. What will the rate be, and how many of the 16 latents are active?

# %%
few = x[:10_000]


def train_deep(prepare=None, **settings):
    order = runtime.seed(0)  # the same first weights and the same order for every cure
    model = MLPVAE(z_dim=16, hidden=(128,) * 9)
    if prepare:
        prepare(model)
    training.fit(model, few, epochs=EPOCHS, batch_size=64, lr=2e-3, generator=order, **settings)
    return model


models = {"none": train_deep()}

# %% [markdown]
# A diagnosis looks at the latents one by one. `collapse.report` gives the KL of each, the active units, the rate, the mutual information, and −ELBO, here on test images. Beside it stands the network with one hidden layer that was trained at β = 1 above.

# %%
for name, model in (("nine layers", models["none"]), ("one layer", rows[2]["model"])):
    found = collapse.report(model, test_x, generator=rng)
    largest = ", ".join(f"{kl:.2f}" for kl in found["kl_per_latent"][:5])
    print(f"{name}: −ELBO {found['negative_elbo']:.1f}, rate {found['rate']:.2f}", end=", ")
    print(f"active units {found['active_units']}; largest KLs {largest}")

# %% [markdown]
# If the deep model's KLs are all close to 0, it has collapsed, and decodes the mean image whatever it is shown. In a full run, the network with one layer shows that the digits have more to offer; whether this deep network can have it, the last treatment below will tell. Four treatments are widely used, all of which change the objective for a while, or for good:
#
# - **linear annealing** (after Bowman et al., 2016, whose β rises along a sigmoid): β rises from 0 to 1 during the first half of the training, so that codes cost nothing at first;
# - **cyclical annealing** (Fu et al., 2019): the same four times over;
# - **free bits** (Kingma et al., 2016): each latent has λ nats for nothing. The KL is replaced by $\sum_j \max(\lambda,\ \text{batch mean of } \mathrm{KL}_j)$;
# - the variant that leaves the division to the model: $\max(\text{KL}, \lambda)$ on the total.

# %%
steps = 200
shapes = {"linear": schedules.linear_annealing, "cyclical": schedules.cyclical_annealing}
ax = plots.curves(
    range(steps),
    {name: [beta(step, steps) for step in range(steps)] for name, beta in shapes.items()},
    title="Two schedules for β",
    xlabel="training step",
    ylabel="β",
)
plots.show(
    ax,
    alt="Linear annealing rises once from 0 to 1 in the first half of the steps; cyclical annealing does so four times, each time in half of a quarter.",
)

# %% [markdown]
# A schedule is a function of the step and the number of steps, and `training.fit` takes it as `beta=`. Free bits by hand:


# %%
def free_bits(mu, logvar, free):
    """Σ_j max(free, batch mean of KL_j). mu, logvar: (B, D) -> one number, in nats."""
    kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1)  # (B, D)
    return kl.mean(dim=0).clamp(min=free).sum()


def free_total(mu, logvar, free):
    """max(free, batch mean of the KL). mu, logvar: (B, D) -> one number, in nats."""
    kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(dim=1)  # (B,)
    return kl.mean().clamp(min=free)


# %% [markdown]
# A latent below its allowance is charged the allowance, whatever it does. So it gets no gradient from the KL:

# %%
some_mu = torch.tensor([[0.1, 2.0], [-0.1, -1.0]], requires_grad=True)
free_bits(some_mu, torch.zeros(2, 2), free=0.5).backward()
print(some_mu.grad + 0.0)

# %% [markdown]
# The first column is zero: that latent, with little KL, is left in peace. The package has both, as one number per image for `training.fit`: `free_bits=` of `losses.negative_elbo`, and `collapse.kl_with_free_total`.
#
# The fifth treatment does not touch the objective at all. If the cause is that signals shrink on their way through the layers, choose first weights that keep their size (He et al., 2015).


# %%
def half_a_nat_free(model, x):
    return losses.negative_elbo(model, x, free_bits=0.5)


def eight_nats_free(model, x):
    terms = losses.negative_elbo(model, x)
    charged = collapse.kl_with_free_total(*model.encode(x), free=8.0)
    return {**terms, "loss": terms["rec"] + charged}


def larger_weights(model):
    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            torch.nn.init.zeros_(layer.bias)


# %% [markdown]
# **Predict:** five treatments. Which will have the most active units, and which the best −ELBO? Is it the same one?

# %%
models["linear annealing"] = train_deep(beta=schedules.linear_annealing)
models["cyclical annealing"] = train_deep(beta=schedules.cyclical_annealing)
models["free bits, ½ nat a latent"] = train_deep(loss=half_a_nat_free)
models["8 nats free in total"] = train_deep(loss=eight_nats_free)
models["larger first weights"] = train_deep(prepare=larger_weights)

# %% [markdown]
# However they were trained, they are judged by one objective: −ELBO with β = 1 and nothing free, on the test images.

# %%
judged = {name: collapse.report(model, test_x, generator=rng) for name, model in models.items()}
print(f"{'treatment':26} {'active':>6} {'rate':>6} {'information':>12} {'−ELBO':>7}")
for name, found in judged.items():
    print(
        f"{name:26} {found['active_units']:6} {found['rate']:6.2f}"
        f" {found['mutual_information']:z12.2f} {found['negative_elbo']:7.1f}"
    )

# %% [markdown]
# One run is one run. The ledger has three seeds of the same table, on MNIST:

# %%
ledger = results.load("collapse")["figures"]["table"]
print(f"{'treatment':26} {'active units':>14} {'−ELBO of each seed':>24}")
for name in models:
    runs = [row for row in ledger if row["cure"] == name]
    units = ", ".join(str(row["active_units"]) for row in runs)
    bounds = ", ".join(f"{row['negative_elbo']:.1f}" for row in runs)
    print(f"{name:26} {units:>14} {bounds:>24}")

# %%
fig, axes = plt.subplots(1, 3, figsize=(9, 2.6), sharey=True, layout="constrained")
for ax, name in zip(
    axes, ("none", "free bits, ½ nat a latent", "larger first weights"), strict=True
):
    ax.bar(range(1, 17), judged[name]["kl_per_latent"], color=plots.BLUE)
    ax.set_title(name, fontsize=10)
    ax.set_xlabel("latent, by its KL")
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("KL (nats)")
fig.suptitle("Where the rate sits", fontsize=10)
plots.show(
    fig,
    alt="Bars of the KL of each of the 16 latents for three models: the untreated one, the one with free bits, and the one with larger first weights.",
)

# %% [markdown]
# Compare with your guess, and read the table from right to left. In a full run, the best −ELBO belongs to the treatment that went for the cause and left the objective alone. Compare it with the network of one layer before you call it a full cure; and see in the ledger how different numbers of active units go with nearly the same −ELBO. A schedule removes the price for a while. It can help where the price is the obstacle, as with a decoder that predicts well on its own; here the obstacle is a decoder that hardly notices $z$, and in the ledger both schedules end where the untreated run ends. Nats that are free need not be spent, and those that are need not tell anything. Look at the information beside the rate: where the rate has grown and the information has not, the means and widths of $q$ have merely drifted away from the prior's, by the same amount for every image, and −ELBO is worse by what that costs. **A rate above 0 is not yet a cure.**
#
# So there are two questions, not one. Is the collapse an optimum? (For a linear VAE, compare eigenvalues with $\beta\sigma^2$; in general, look for any model of the same kind with a better objective.) If it is, change the objective and say so. If it is not, find out what keeps the training from the better model. Treatments that end at the plain objective can be compared on it; those that keep another one have to be.
#
# The next cell prints this lesson's main numbers for the automatic tests. You can pass over it.

# %% tags=["figures"]
figures = {
    "curve": [[row["beta"], round(row["rate"], 2), round(row["distortion"], 2)] for row in rows],
    "slopes": [[round(f[k], 4) for k in ("low", "slope", "high", "excess")] for f in checked],
    "split": [{name: round(value, 3) for name, value in part.items()} for part in parts],
    "linear": linear,
    "cures": {
        name: {k: round(v, 2) + 0 for k, v in found.items() if k != "kl_per_latent"}
        for name, found in judged.items()
    },
}
print(json.dumps({"source": digits.source, **figures}))

# %% [markdown]
# ## Recap
#
# - You traced a rate–distortion curve with β, and tested its points: the slope between neighbours must lie between their prices.
# - You split the average KL into mutual information and the distance of the aggregate posterior from the prior, and saw where the estimate of the first ends: at $\log N$.
# - You predicted collapse for a linear VAE by comparing eigenvalues with $\beta\sigma^2$, and diagnosed another model by its KLs and active units.
# - You annealed β and gave latents free bits, and judged every cure on −ELBO with β = 1.
#
# ## When something looks wrong
#
# | symptom | cause | fix |
# |---|---|---|
# | a slope outside its two prices | a model that is not at its minimum | more epochs, the same first weights for all, a lower learning rate |
# | mutual information equal to $\log N$ | the ceiling of the estimate | read it as "at least"; more images; see `leave_out` |
# | KL near 0 from the first epoch on | collapse by optimisation, or a hidden β ([lesson 04](04_low_level_pytorch.ipynb)) | measure β; look at the first weights; then schedules |
# | some rate but no mutual information, −ELBO worse | free nats, spent on a mean and a width of $q$ that are the same for every image | look at the mutual information; judge at β = 1; lower λ, or end the training without it |
# | rate well above 0, no active units | $q$ differs from the prior in the same way for every image: its mean is shifted, or its width is another | count active units beside the KL |
# | active units off by one from the prediction | an eigenvalue close to $\beta\sigma^2$ | compare with the eigenvalues within a few per cent |
#
# ## References
#
# - A. A. Alemi, B. Poole, I. Fischer, J. V. Dillon, R. A. Saurous and K. Murphy, *Fixing a Broken ELBO*, 2018, [arXiv 1711.00464](https://arxiv.org/abs/1711.00464).
# - I. Higgins et al., *beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework*, ICLR 2017.
# - M. D. Hoffman and M. J. Johnson, *ELBO surgery: yet another way to carve up the variational evidence lower bound*, NeurIPS workshop on Advances in Approximate Bayesian Inference, 2016.
# - B. Poole, S. Ozair, A. van den Oord, A. A. Alemi and G. Tucker, *On Variational Bounds of Mutual Information*, 2019, [arXiv 1905.06922](https://arxiv.org/abs/1905.06922).
# - J. Lucas, G. Tucker, R. Grosse and M. Norouzi, *Don't Blame the ELBO! A Linear VAE Perspective on Posterior Collapse*, 2019, [arXiv 1911.02469](https://arxiv.org/abs/1911.02469).
# - Y. Burda, R. Grosse and R. Salakhutdinov, *Importance Weighted Autoencoders*, 2016, [arXiv 1509.00519](https://arxiv.org/abs/1509.00519): active units.
# - S. R. Bowman, L. Vilnis, O. Vinyals, A. M. Dai, R. Jozefowicz and S. Bengio, *Generating Sentences from a Continuous Space*, 2016, [arXiv 1511.06349](https://arxiv.org/abs/1511.06349): annealing of the KL's weight.
# - H. Fu, C. Li, X. Liu, J. Gao, A. Celikyilmaz and L. Carin, *Cyclical Annealing Schedule: A Simple Approach to Mitigating KL Vanishing*, 2019, [arXiv 1903.10145](https://arxiv.org/abs/1903.10145).
# - D. P. Kingma, T. Salimans, R. Jozefowicz, X. Chen, I. Sutskever and M. Welling, *Improving Variational Inference with Inverse Autoregressive Flow*, 2016, [arXiv 1606.04934](https://arxiv.org/abs/1606.04934), appendix C.8: free bits.
# - K. He, X. Zhang, S. Ren and J. Sun, *Delving Deep into Rectifiers: Surpassing Human-Level Performance on ImageNet Classification*, 2015, [arXiv 1502.01852](https://arxiv.org/abs/1502.01852).
#
# **Exercises:** [sheet 07](../exercises/07_beta_vae.ipynb) · **Next:** [08 · Disentanglement](08_disentanglement.ipynb)
