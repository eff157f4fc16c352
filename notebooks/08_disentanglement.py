# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 08 · Disentanglement
#
# You draw images whose causes are known, score how well a latent stands for one cause, fool every score, and find out how much of a score is luck.

# %% [markdown] tags=["badges"]
# <!-- badges -->

# %% [markdown]
# **You will be able to**
#
# - draw images from known factors, and say which factors an image can identify;
# - compute the mutual information gap by hand, and read the FactorVAE score and DCI beside it;
# - build, for each score, a code that fools it;
# - say why the likelihood alone cannot promise disentanglement, and split a score's variance between β and the seed.
#
# *Time:* about 80 minutes; the computer works for about one of them. *Assumed:* [lesson 07](07_beta_vae.ipynb); what an entropy is.

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
import copy, json, math, matplotlib.pyplot as plt, numpy as np, torch, torch.nn.functional as F
from vae_course import disentanglement, latent, losses, plots, results, runtime, training

# %% [markdown]
# It is said (Higgins et al., 2017) that with a larger β each latent comes to mean one thing: one for the position, one for the size. Such a code is called **disentangled**. To find out whether a model has one, we need images of which we know what varied, and a number that says how well the latents match it. Digits do not come with such a list of causes. So we draw our own images.
#
# ## Images with known causes
#
# Each image shows one white shape on black, 64×64 pixels, drawn from five **factors**: which shape, its scale, its rotation, and its place. Every factor has a few levels, and all combinations are equally likely, so the factors are independent.

# %%
from vae_course.data import shapes

rng = runtime.seed(0)
names = list(shapes.FACTORS)
print(shapes.FACTORS, f"{math.prod(shapes.FACTORS.values()):,} combinations")

# %% [markdown]
# In each row of the picture one factor changes, and the other four stay.

# %%
rows = []
for k, levels in enumerate(shapes.FACTORS.values()):
    row = torch.tensor([2, 4, 0, 8, 8]).repeat(8, 1)  # a large heart, upright, near the middle
    row[:, k] = torch.linspace(0, levels - 1, 8).round().long()
    rows.append(row)
grid = plots.image_grid(
    shapes.render(torch.cat(rows)), columns=8, row_labels=names, title="One factor a row"
)
plots.show(
    grid,
    alt="Five rows of eight images: square, ellipse and heart; a heart that grows; turns; moves to the right; moves down.",
)

# %% [markdown]
# The rotations stop short of 90°. No code can contain what the image does not show, and some turns do not show.
#
# **Predict:** after which turn does each of the three shapes look as before: 90°, 180° or only 360°?
#
# `torch.rot90` turns an image by quarter turns. We cut out the piece around the shape, so that its middle stays in place.

# %% tags=["nbval-check-output"]
for number, name in enumerate(shapes.NAMES):
    piece = shapes.render(torch.tensor([[number, 5, 0, 8, 8]]))[0, 0, 16:50, 16:50]
    same = {
        f"{90 * k}°": torch.allclose(piece, torch.rot90(piece, k), atol=1e-4) for k in (1, 2, 3, 4)
    }
    print(f"{name:8}", same)

# %% [markdown]
# A square returns after 90°, an ellipse after 180°, a heart after 360°. If rotations went all the way round, four different levels would give one image of a square, and even a perfect model would be marked down for not telling them apart. In a data set with such levels, a low score for rotation says something about the data. With our ten angles, from 0° to 81°, all 46,080 images are different (one of the package's tests draws them all).
#
# ## The mutual information gap
#
# How much does a latent $z$ say about a factor $v$? Their **mutual information** answers in nats: by how much the uncertainty about one shrinks when the other becomes known,
#
# $$I(z; v) = H(z) + H(v) - H(z, v), \qquad H = -\sum p \log p .$$
#
# $H(z, v)$ is the entropy of the pair, with one probability for each combination. $I$ is zero for unrelated $z$ and $v$, and at most $H(v)$. Unlike a correlation it sees relations of any form. To count, a latent has to be cut into **bins**; ours have equal width, between the smallest and the largest value.


# %%
def entropy(p):
    """p: probabilities of any shape -> H, a number, in nats."""
    return torch.special.entr(p).sum()


# %%
def mutual_information(z, v, bins=20):
    """z: (N,) float, v: (N,) whole numbers from 0 -> I(z; v), a number, in nats."""
    edges = torch.linspace(z.min(), z.max(), bins + 1, dtype=z.dtype)[1:-1]  # (bins - 1,)
    cells = torch.bucketize(z, edges) * (v.max() + 1) + v  # (N,): bin and level in one number
    counts = cells.bincount(minlength=bins * (v.max() + 1))
    joint = (counts.double() / len(z)).reshape(bins, -1)  # (bins, levels)
    return entropy(joint.sum(dim=1)) + entropy(joint.sum(dim=0)) - entropy(joint)


# %% [markdown]
# For each factor, sort the latents by what they know about it. In a disentangled code one latent knows everything, and the second nothing. The **mutual information gap**, MIG (Chen et al., 2018), is the lead of the best over the second best, in units of the factor's entropy, averaged over the factors:
#
# $$\text{MIG} = \frac1K \sum_k \frac{I(z_{\text{best}}; v_k) - I(z_{\text{second}}; v_k)}{H(v_k)} .$$


# %%
def mig(codes, factors, bins=20):
    """codes: (N, D), factors: (N, K) -> a number from 0 to 1."""
    gaps = []
    for v in factors.T:
        information = torch.stack(
            [mutual_information(z, v, bins) for z in codes.T.contiguous()]
        )  # (D,)
        best, second = information.topk(2).values
        gaps.append((best - second) / entropy(v.bincount().double() / len(v)))
    return torch.stack(gaps).mean().item()


# %% [markdown]
# Before a score judges a model, it should be tried on codes whose quality we know. A *perfect* code: the five factors themselves, each shifted and scaled to mean 0 and variance 1, and five latents of pure noise beside them. *Noise*: ten latents that know nothing. *Rotated*: the perfect five, turned in their five-dimensional space by a random rotation, so that each latent is a mixture of all factors.


# %%
def rotation(d):
    """A random rotation (or reflection) of d dimensions, (d, d)."""
    return torch.linalg.qr(torch.randn(d, d, generator=rng, dtype=torch.float64))[0]


v = shapes.random_factors(10_000, rng)  # (N, 5); no image is needed yet
pure = (v - v.double().mean(dim=0)) / v.double().std(dim=0)
noise = torch.randn(10_000, 10, generator=rng, dtype=torch.float64)
perfect = torch.cat([pure, noise[:, :5]], dim=1)
rotated = pure @ rotation(5)

# %% [markdown]
# **Predict:** the rotated code can be turned back, so it has lost nothing. What will its MIG be?

# %%
scores = {
    name: mig(z, v) for name, z in {"perfect": perfect, "noise": noise, "rotated": rotated}.items()
}
print({name: round(score, 3) for name, score in scores.items()})
worst_rotation = max(mig(pure @ rotation(5), v) for _ in range(20))
print(f"highest of twenty more rotations: {worst_rotation:.3f}")

# %%
assert scores["perfect"] >= 0.95
assert scores["noise"] <= 0.05
assert worst_rotation <= 0.45

# %% [markdown]
# Near 1, near 0, and low: MIG does not ask what a code knows, but whether single latents know it. (The perfect code is not exactly at 1: even noise shares a little information with a finite sample.)
#
# The number of bins is not a detail. The position has 16 levels; a coarser grid of bins throws several of them together.
#
# **Predict:** what is the MIG of the perfect code with 8 bins?

# %%
by_bins = {bins: round(mig(perfect, v, bins), 3) for bins in (4, 8, 12, 16, 20, 40)}
print("MIG of the perfect code, by bins:", by_bins)
assert by_bins[8] < 0.9 < by_bins[16]

# %% [markdown]
# With fewer bins than levels, a perfect code looks imperfect. Twenty bins are customary, and dSprites, the data set that is used most, has factors with 32 and 40 levels. So a MIG should be reported with its bins. The package's `disentanglement.mig` takes at least as many as the finest factor has levels, refuses fewer, and otherwise agrees with ours:

# %%
assert abs(disentanglement.mig(rotated, v) - scores["rotated"]) < 1e-12
try:
    disentanglement.mig(perfect, v, bins=8)
except ValueError as error:
    print(error)

# %% [markdown]
# ## Two other questions
#
# **The FactorVAE score** (Kim and Mnih, 2018) asks: if one factor is held fixed, which latent stands still? Take 64 images that have one factor in common, and compute each latent's variance among them, divided by its variance over all images. The latent with the smallest ratio is this group's vote. Here is one group, with `x` fixed at level 3:

# %%
group = pure[v[:, names.index("x")] == 3][:64]  # (64, 5)
ratio = group.var(dim=0) / pure.var(dim=0)
print("variance ratios:", [round(r, 2) for r in ratio.tolist()])
print("latent", ratio.argmin().item(), "gets the vote, and the fixed factor was", names.index("x"))

# %% [markdown]
# After some hundred votes, each with a factor chosen at random, each latent is taken to stand for the factor that it got most votes from. The score is the share of further votes that this rule gets right. What would it be by chance? The package also counts that: the same votes, with the fixed factors shuffled among them. With five factors it lies around 0.2, not at 0.
#
# **DCI** (Eastwood and Williams, 2018) trains a regressor to predict each factor from all latents, and reads off how much the prediction relies on each: a table of weights, $R_{jk}$ for latent $j$ and factor $k$. **Disentanglement**: is each row concentrated on one factor? **Completeness**: is each column concentrated on one latent? **Informativeness**: how good is the prediction on images that the regressor has not seen ($R^2$: 1 is exact, 0 no better than the mean, below 0 worse)? Concentrated means a small entropy.


# %%
def concentration(weights):
    """weights: (D, K), none negative -> disentanglement and completeness, from 0 to 1."""
    found = []
    for r in (weights, weights.T):
        total = r.sum(dim=1)  # how much a row matters
        p = r / total[:, None]
        one_target = 1 - torch.special.entr(p).sum(dim=1) / math.log(p.shape[1])
        found.append(((one_target * total).sum() / total.sum()).item())
    return found


# %% [markdown]
# With the lasso, a linear regression that pulls small coefficients to zero, and its absolute coefficients as weights:

# %%
from sklearn.linear_model import Lasso


def lasso_weights(z, targets):
    """z: (N, D), targets: (N, K), both standardised -> absolute coefficients (D, K)."""
    models = [Lasso(alpha=0.02).fit(z, target) for target in targets.T]
    return torch.stack([torch.from_numpy(model.coef_).abs() for model in models], dim=1)


weights = {
    name: lasso_weights(z, pure) for name, z in {"perfect": pure, "rotated": rotated}.items()
}
for name, table in weights.items():
    print(name, [round(number, 3) for number in concentration(table)])

# %% [markdown]
# The same weights as pictures, with a little helper for tables:


# %%
def draw_table(ax, values, rows, title):
    """values: (rows, factors), from 0 to 1 -> a table of shaded cells on ax."""
    ax.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (j, k), value in np.ndenumerate(values.numpy()):
        color = "white" if value > 0.5 else "black"
        ax.text(k, j, f"{value:.2f}", ha="center", va="center", color=color, fontsize=8)
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(rows)), rows)
    ax.set_title(title, fontsize=10)
    ax.set_ylabel("latent")


# %%
fig, axes = plt.subplots(1, 2, figsize=(8, 2.6))
for ax, (name, table) in zip(axes, weights.items(), strict=True):
    draw_table(ax, table, range(5), f"Lasso weights, {name} code")
fig.tight_layout()
plots.show(
    fig,
    alt="Two tables of lasso weights: of the perfect code, one large weight in each row; of the rotated code, several middling weights in most rows.",
)

# %% [markdown]
# The package's `disentanglement.dci` does this with the lasso or, by default, with a forest of decision trees, which need not assume straight lines. Remember that a regressor is part of the score.
#
# ## A code that fools each
#
# Now four codes that are made to mislead:
#
# - *twice*: each factor stands in two latents, the second time with a trace of noise. Every latent is pure.
# - *chained*: $z_k = v_k + 0.7\,v_{k+1}$ (the last takes the first). Every latent carries two factors.
# - *pure and mixed*: the perfect five, and beside them five mixtures of all factors. Half of the latents are entangled.
# - *shuffled*: each factor in its own latent, but with its levels renumbered at random. Every latent is pure, and no latent is a straight line.
#
# **Predict:** for each, which of the scores are wrong, and in which direction?

# %%
shuffled = [
    torch.randperm(levels, generator=rng)[column]
    for column, levels in zip(v.T, shapes.FACTORS.values(), strict=True)
]
codes = {
    "perfect + noise": perfect,
    "noise": noise,
    "rotated": rotated,
    "twice": torch.cat([pure, pure + 0.01 * noise[:, :5]], dim=1),
    "chained": pure + 0.7 * pure.roll(-1, dims=1),
    "pure and mixed": torch.cat([pure, pure @ rotation(5)], dim=1),
    "shuffled": torch.stack(shuffled, dim=1).double(),
}

# %%
print(f"{'':16}   MIG  FactorVAE (chance)   DCI, trees: D    C     I  lasso: D     I")
judged = {}
for name, z in codes.items():
    vote = disentanglement.factor_vae_score(z, v, generator=runtime.seed(0))
    trees, lasso = (
        disentanglement.dci(z[:4000], v[:4000], regressor=r) for r in ("trees", "lasso")
    )
    judged[name] = {"MIG": disentanglement.mig(z, v), "FactorVAE": vote.score}
    judged[name] |= {"chance": vote.chance, "DCI trees": trees[0], "DCI lasso": lasso[0]}
    judged[name] |= {"R² trees": trees[2], "R² lasso": lasso[2]}
    d, c, i = trees
    print(
        f"{name:16} {judged[name]['MIG']:5.2f} {vote.score:10.2f} ({vote.chance:.2f}) "
        f"{d:15.2f} {c:4.2f} {i:z5.2f} {lasso[0]:9.2f} {lasso[2]:z5.2f}"
    )

# %%
assert judged["twice"]["MIG"] < 0.05
assert judged["twice"]["DCI trees"] > 0.95
assert judged["chained"]["FactorVAE"] > 0.95
assert judged["chained"]["MIG"] < 0.5
assert judged["pure and mixed"]["DCI trees"] > 0.95
assert judged["pure and mixed"]["MIG"] < 0.95
assert judged["noise"]["DCI lasso"] > 0.3
assert abs(judged["noise"]["R² lasso"]) < 0.1
assert judged["shuffled"]["DCI trees"] > 0.95
assert judged["shuffled"]["R² lasso"] < 0.6

# %% [markdown]
# Line by line:
#
# - *twice* fools **MIG**: the second best latent knows as much as the best, so the gap is zero, although no latent is mixed. MIG asks for compactness, too. DCI keeps the two questions apart: D is high, and C is not.
# - *chained* fools **FactorVAE**. With $v_k$ fixed, the variance of $z_k$ falls to $0.49/1.49 = 33\,\%$ of what it was, that of $z_{k-1}$ only to 67 %, and the others stay. The smallest is always the right one, so all votes are right; how small it is, and what else the latent carries, is never asked. Its lower end misleads as well: noise scores what chance scores.
# - *pure and mixed* fools **DCI**: the regressor finds all it needs in the pure latents, gives the mixtures no weight, and rows without weight do not count. FactorVAE makes the same mistake; MIG notices a part.
# - DCI with the *lasso* can be high for *noise*: the coefficients that survive by accident make a table with gaps, and gaps look like concentration. Only the informativeness, near 0, gives it away. So D must not be quoted without I, nor without the regressor: *shuffled* is predicted perfectly by trees and badly by the lasso.
#
# No score is wrong; each answers its own question. Report more than one, with bins, chance level and regressor.
#
# ## A β-VAE on shapes
#
# Now a model. To keep this lesson short, images are halved to 32×32 by averaging 2×2 pixels, 20,000 of them to train on and 10,000 to be scored on. The network has two layers of 256 units and ten latents, and β is 4.


# %%
def halved(n, seed):
    x, factors = shapes.sample(n, runtime.seed(seed))
    return F.avg_pool2d(x, 2), factors


train_x, _ = halved(runtime.steps(20_000, 2_000), seed=0)
test_x, test_v = halved(runtime.steps(10_000, 3_000), seed=1)

# %%
from vae_course.models.mlp import MLPVAE

runtime.seed(0)
model = MLPVAE(z_dim=10, hidden=(256, 256), x_shape=(1, 32, 32))
history = training.fit(
    model,
    train_x,
    epochs=runtime.steps(12, 2),
    lr=4e-3,
    loss=lambda model, x: losses.negative_elbo(model, x, beta=4),
)

# %% [markdown]
# A latent that carries nothing has a KL near zero, and its row should stand still. Sort them by their KL, and move along the first five, one row each, from −2 to 2 standard deviations of the prior, starting from one image's code.

# %%
mu, logvar = latent.posteriors(model, test_x)
kl = losses.kl_per_latent(mu, logvar).mean(dim=0)  # (10,)
order = kl.argsort(descending=True)
print("KL of each latent, in nats:", [round(k, 2) for k in kl[order].tolist()])

# %%
z = mu[:1].repeat(5 * 8, 1)
for row, j in enumerate(order[:5]):
    z[8 * row : 8 * row + 8, j] = torch.linspace(-2, 2, 8)
with torch.no_grad():
    traversal = model.decode(z).sigmoid()

# %%
grid = plots.image_grid(
    traversal,
    columns=8,
    row_labels=[f"latent {j}" for j in order[:5].tolist()],
    title="Each row moves one latent from −2 to 2; the strongest first",
)
plots.show(
    grid,
    alt="Five rows of eight decoded shapes; in the rows of latents that carry nats the shape moves or grows, in the others it stays.",
)

# %% [markdown]
# Such pictures are what papers on disentanglement show, and it is easy to see in them what one hopes to see. The table of mutual information says the same in numbers: for each latent and factor, $I(z_j; v_k)/H(v_k)$.

# %%
information = disentanglement.mutual_information(mu, test_v)[order]  # (10, 5)
entropies = torch.tensor([math.log(levels) for levels in shapes.FACTORS.values()])
fig, ax = plt.subplots(figsize=(5, 3.6))
draw_table(
    ax,
    information / entropies,
    order.tolist(),
    "Shares of each factor's entropy, strongest latent first",
)
plots.show(
    fig,
    alt="A table of ten latents and five factors; a few latents know something of position and scale, none knows much of the rotation.",
)

# %% [markdown]
# And the three scores. The factors that no latent knows count as zeros in MIG's average; $R^2$ says how much of the factors could be predicted at all.


# %%
def judge(codes, factors):
    """The three scores of a code, as a dictionary."""
    vote = disentanglement.factor_vae_score(codes, factors, generator=runtime.seed(0))
    trees = disentanglement.dci(codes, factors)
    score = {"MIG": disentanglement.mig(codes, factors), "FactorVAE": vote.score}
    return score | {"DCI trees": trees.disentanglement, "R²": trees.informativeness}


live = judge(mu, test_v)
print({name: round(score, 3) for name, score in live.items()})

# %% [markdown]
# Is this a good result? Look at the table again, column by column. When a shape moves, many pixels change, when it turns, few. A nat of KL buys more reconstruction where more pixels change, so that is where the nats go first, whatever *we* call a factor.
#
# The lower rows deserve a second look, too. A latent with a KL near zero has a mean that hardly moves; but what little it moves depends on the image, and none of the three scores sees scale. MIG may find its second best there, FactorVAE divides by the latent's own variance and lets it vote, and DCI's regressor reads it like any other. What do the scores say without such latents?

# %%
alive = kl > 0.05  # nats
print(f"{int(alive.sum())} latents of {len(kl)} with a KL above 0.05 nats")
if alive.sum() > 1:
    print({name: round(score, 3) for name, score in judge(mu[:, alive], test_v).items()})

# %% [markdown]
# So a score also depends on whether silent latents were left out, and a paper should say so. From here on all are counted. (Chen et al. use samples from $q(z \mid x)$ in place of its mean, in which the noise hides these traces.)
#
# ## What the likelihood cannot promise
#
# Why should the axes of $z$ be the factors at all? Take any model, and any rotation $U$ (so $U^\top U = I$). Let $z' = Uz$, and put the rotation back inside the decoder, $p'(x \mid z') = p(x \mid U^\top z')$. Since $z$ is standard normal, $z'$ is, too: $\lVert Uz \rVert = \lVert z \rVert$, and volumes do not change. Hence
#
# $$p'(x) = \int N(z'; 0, I)\; p(x \mid U^\top z')\, dz' = \int N(z; 0, I)\; p(x \mid z)\, dz = p(x)$$
#
# for every image. The two models give the same samples and the same likelihood, and no data set, however large, can tell which one drew it. But if the first is disentangled, the second is a mixture, unless $U$ only exchanges axes, flips their signs, or turns latents that carry nothing. (Locatello et al., 2019, prove the like for all priors with independent latents, by other maps than rotations.)
#
# **Predict:** we rotate the latents of our model at random. What happens to its loss, and what to its scores?
#
# The posterior turns with the latents. With $\Sigma$ for the diagonal matrix of the variances $\sigma_j^2$, its mean is $U\mu$ and its covariance $U \Sigma U^\top$, which is no longer diagonal. For a mean $m$, a full covariance $S$ and $D$ latents, the KL is $\tfrac12(\operatorname{tr} S + \lVert m\rVert^2 - \log\det S - D)$, where $\operatorname{tr}$ is the sum of the diagonal. We compute in float64, so that equal means equal.

# %%
exact = copy.deepcopy(model).double()
x, U = test_x[:500].double(), rotation(10)
with torch.no_grad():
    m, lv = exact.encode(x)  # (500, 10) each
    eps = torch.randn(500, 10, generator=rng, dtype=torch.float64)
    z = m + (0.5 * lv).exp() * eps
    turned_m, turned_z = m @ U.T, z @ U.T
    turned_cov = U @ torch.diag_embed(lv.exp()) @ U.T  # (500, 10, 10)
    rec = -losses.bernoulli_log_likelihood(exact.decode(z), x)
    turned_rec = -losses.bernoulli_log_likelihood(exact.decode(turned_z @ U), x)


# %%
def full_kl(mu, cov):
    """mu: (B, D), cov: (B, D, D) -> KL to N(0, I), (B,), in nats."""
    trace = cov.diagonal(dim1=1, dim2=2).sum(dim=1)
    return 0.5 * (trace + (mu**2).sum(dim=1) - torch.logdet(cov) - mu.shape[1])


# %%
loss = rec + 4 * losses.kl_to_standard_normal(m, lv)
turned_loss = turned_rec + 4 * full_kl(turned_m, turned_cov)
largest_difference = (turned_loss - loss).abs().max().item()
print(f"largest change of a loss, of 500 images: {largest_difference:.1e} nats")
assert largest_difference < 1e-8

# %% [markdown]
# That was the loss. Now the scores of the rotated codes, over all test images; and as one rotation is one draw, four more:

# %%
turned = judge(mu.double() @ U.T, test_v)
others = [judge(mu.double() @ rotation(10).T, test_v) for _ in range(runtime.steps(4, 1))]
for name, score in live.items():
    several = ", ".join(f"{other[name]:.3f}" for other in others)
    print(f"{name:10} as trained {score:.3f}   rotated {turned[name]:.3f}, {several}")

# %% [markdown]
# The loss is the same for every image, up to rounding; the scores are not. MIG asks most strictly for single axes. How far the other scores move, and in which direction, depends on the rotation: it can raise them, too, above all where the code was mixed before. Even $R^2$ moves a little, because trees cut along the axes. Whatever of a score depends on the axes, the likelihood cannot see it.
#
# Then why should a trained VAE prefer any axes? Because our encoder has one restriction that a rotation breaks: its covariance is diagonal. It can describe the rotated posterior only without its correlations. Of all Gaussians with the right mean and a diagonal covariance, the one with variances $1 / (\Sigma'^{-1})_{jj}$, where $\Sigma' = U \Sigma U^\top$, has the smallest KL to the rotated posterior. We take that one (an encoder trained for the rotated decoder could still do a little better):

# %%
with torch.no_grad():
    precision = U @ torch.diag_embed((-lv).exp()) @ U.T  # the inverse of turned_cov
    turned_lv = -precision.diagonal(dim1=1, dim2=2).log()
    loose_z = turned_m + (0.5 * turned_lv).exp() * eps
    loose_rec = -losses.bernoulli_log_likelihood(exact.decode(loose_z @ U), x)
    loose_loss = loose_rec + 4 * losses.kl_to_standard_normal(turned_m, turned_lv)
print(f"loss as trained {loss.mean():.1f}, rotated with a diagonal encoder {loose_loss.mean():.1f}")

# %% [markdown]
# Where the second number lies far above the first, as after a full training, the loss does prefer some axes, namely those along which the posteriors' noise is independent. Rolínek, Zietlow and Martius (2019) show that these are, locally, the directions of a principal component analysis of the decoder. Where they agree with our factors, a VAE looks disentangled. That is a property of the encoder's family and of the data, not of the likelihood.
#
# ## β or luck?
#
# One model proves nothing. The command `python benchmarks/disentanglement.py` trained the same network with four β, and eight seeds for each; a seed sets the first weights, the noise and the order of the batches. The images are the same for all. The model above, if trained in full, is one of them; it agrees with the ledger's as well as rounding on another machine allows.

# %%
ledger = results.load("disentanglement")["figures"]["table"]
betas = sorted({row["beta"] for row in ledger})
names_of_scores = ("MIG", "FactorVAE", "DCI_trees", "FactorVAE_awake", "DCI_trees_awake", "kl")
by_beta = {
    score: torch.tensor([[row[score] for row in ledger if row["beta"] == b] for b in betas])
    for score in names_of_scores
}  # (β, seeds) each
(same,) = (row for row in ledger if row["beta"] == 4 and row["seed"] == 0)
print("ledger:", {score: same[score] for score in names_of_scores[:3]})
print("here:  ", {name: round(score, 3) for name, score in list(live.items())[:3]})

# %% [markdown]
# **Predict:** of all the variance of the MIG among these models, which share do the four β explain?

# %%
fig, axes = plt.subplots(1, 3, figsize=(9, 3))
for ax, name in zip(axes, names_of_scores[:3], strict=True):
    table = by_beta[name]
    for i, row in enumerate(table):
        ax.plot([i] * len(row), row, "o", color=plots.BLUE, alpha=0.6)
    ax.plot(range(len(betas)), table.mean(dim=1), "_", color=plots.RED, markersize=22)
    ax.set_xticks(range(len(betas)), betas)
    ax.set(
        xlabel="β", ylabel=name.replace("_", ", "), ylim=(0, None), xlim=(-0.5, len(betas) - 0.5)
    )
fig.suptitle("One dot a model: eight seeds for each β; a bar at their mean", fontsize=10)
fig.tight_layout()
plots.show(
    fig,
    alt="Three panels, MIG, FactorVAE and DCI over β; in each, eight dots at every β, widely spread around their mean.",
)

# %% [markdown]
# Variances add up. With equally many seeds for each β, the variance of all scores is the variance *between* β (of the means) plus the variance *within* a β (its mean over β), which the seeds cause:
#
# $$\operatorname{Var}(s) = \operatorname{Var}_\beta\big(E[s \mid \beta]\big) + E_\beta\big[\operatorname{Var}(s \mid \beta)\big].$$


# %%
def variance_split(scores):
    """scores: (groups, seeds) -> the shares of the variance between and within groups; they add up to 1."""
    between = scores.mean(dim=1).var(correction=0)
    within = scores.var(dim=1, correction=0).mean()
    return (between / (between + within)).item(), (within / (between + within)).item()


# %% [markdown]
# Even if β did nothing, the means of eight seeds would differ a little. How large a share that gives, we find by dealing the scores out at random, a thousand times: a permutation test. Only a share that luck rarely reaches says something about β.


# %%
def luck(table, deals=1000):
    """table: (groups, seeds) -> the share between groups that random dealing exceeds once in twenty."""
    dealt = [table.flatten()[torch.randperm(table.numel(), generator=rng)] for _ in range(deals)]
    shares = torch.tensor([variance_split(row.reshape(table.shape))[0] for row in dealt])
    return shares.quantile(0.95).item()


# %% [markdown]
# Beside the three scores, which count all latents, we split two of them as they are without silent ones (*awake*), and the KL, of which we know that β controls it. And we ask twice: for all four β, and for the three that are larger than 1.

# %%
shares = {}
print(f"{'':16} {'all four β':>26}   {'without β = 1':>26}")
for name, table in by_beta.items():
    line = {}
    for which, part in {"all": table, "larger": table[1:]}.items():
        between, within = variance_split(part)
        line[which] = {"beta": between, "seed": within, "luck": luck(part)}
    shares[name] = line
    cells = [
        f"β {c['beta']:.0%}, seed {c['seed']:.0%} (luck {c['luck']:.0%})" for c in line.values()
    ]
    print(f"{name:16} {cells[0]:>26}   {cells[1]:>26}")

# %% [markdown]
# The last line is what an effect of β looks like: the seed hardly matters. The three scores are another matter. Over all four β, seed and β have comparable shares, and β's comes mostly from the distance between β = 1 and the rest. Among the larger three, the share of β is within what luck gives: eight seeds cannot say which of them is best. Somebody who had trained one model of each would have had a ranking all the same.
#
# The two lines *awake* are a warning. Without silent latents, β's share of the FactorVAE score sinks to what luck gives: what looked like an effect of β on disentanglement was, at least in good part, its effect on how many latents are in use.
#
# How much β "explains" also depends on which β one includes, so such a share belongs to an experiment, not to a method. For a general statement, 32 small networks on one data set are not enough. Locatello et al. (2019) trained more than 12,000 models, of six methods and on seven data sets. They report that seeds and hyperparameters mattered more than the method, and that good models could not be told from bad ones without knowing the factors. Which is where we started: a score needs to be told what the causes are.
#
# The next cell prints this lesson's main numbers for the automatic tests. You can pass over it.

# %% tags=["figures"]
figures = {"mig": scores | {"worst_rotation": worst_rotation}, "mig_by_bins": by_bins}
figures |= {"judged": judged, "live": live, "rotated": turned}
figures |= {"loss_change": largest_difference, "shares": shares}
print(json.dumps({"source": "shapes", **figures}))

# %% [markdown]
# ## Recap
#
# - You drew images from five known factors, and saw why rotations have to stop before a shape repeats.
# - You computed the mutual information gap by hand, with enough bins, and read the FactorVAE score with its chance level and DCI with its regressor.
# - You built codes that fool each score: a factor told twice, a chain, mixtures beside pure latents, renumbered levels, and plain noise.
# - You rotated a trained model's latents without changing its loss, and split the variance of each score between β and the seed.
#
# ## When something looks wrong
#
# | symptom | cause | fix |
# |---|---|---|
# | MIG of a perfect code is below 0.95 | fewer bins than levels, or two levels that give one image | as many bins as the finest factor has levels; limit the rotation |
# | a useless latent has mutual information far above 0 | few images and many bins: the estimate is biased upwards | more images; look at what noise gets |
# | MIG near 0, and clean traversals | the same factor in two latents | look at the table of mutual information; read DCI's completeness |
# | FactorVAE around 0.2 taken for "a little disentangled" | that is its chance level with five factors | print the chance level beside it |
# | two papers' DCI scores do not agree | another regressor, or another way to measure importance | name both; compare scores of one program only |
# | a new method wins by one run | the seed | several seeds for each setting, and the split of the variance |
#
# ## References
#
# - I. Higgins et al., *beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework*, ICLR 2017.
# - R. T. Q. Chen, X. Li, R. Grosse and D. Duvenaud, *Isolating Sources of Disentanglement in VAEs*, 2018, [arXiv 1802.04942](https://arxiv.org/abs/1802.04942): the mutual information gap.
# - H. Kim and A. Mnih, *Disentangling by Factorising*, 2018, [arXiv 1802.05983](https://arxiv.org/abs/1802.05983): the FactorVAE score.
# - C. Eastwood and C. K. I. Williams, *A Framework for the Quantitative Evaluation of Disentangled Representations*, ICLR 2018: DCI.
# - F. Locatello et al., *Challenging Common Assumptions in the Unsupervised Learning of Disentangled Representations*, 2019, [arXiv 1811.12359](https://arxiv.org/abs/1811.12359).
# - M. Rolínek, D. Zietlow and G. Martius, *Variational Autoencoders Pursue PCA Directions (by Accident)*, 2019, [arXiv 1812.06775](https://arxiv.org/abs/1812.06775).
# - L. Matthey, I. Higgins, D. Hassabis and A. Lerchner, *dSprites: Disentanglement testing Sprites dataset*, 2017: the model for our shapes, which are drawn anew.
#
# **Exercises:** [sheet 08](../exercises/08_disentanglement.ipynb) · **Next:** [09 · Conditional VAE](09_conditional_vae.ipynb)
