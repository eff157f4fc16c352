# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 06 · Inside the latent space
#
# You train VAEs with 2, 4 and 16 latents, look at the space between encoder and decoder, measure what its directions do, and learn to walk through it.

# %% [markdown] tags=["badges"]
# <!-- badges -->

# %% [markdown]
# **You will be able to**
#
# - say what a larger latent buys, in MSE, PSNR and SSIM, and what it costs in nats;
# - draw where images lie in a latent space, and what the decoder makes of every place in it;
# - move one latent at a time, and measure what it does to slant, proportions and thickness;
# - interpolate on a straight line and on an arc, and say when the difference matters.
#
# *Time:* about 70 minutes; the computer works for about three of them. *Assumed:* [lesson 04](04_low_level_pytorch.ipynb) and [lesson 05](05_autoencoder_vs_vae.ipynb).

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
from vae_course import data, latent, losses, metrics, plots, runtime, training

# %% [markdown]
# We use the package's model again. This lesson is about the space in its middle, so all else stays the same: one network, with one hidden layer of 400 units on either side, and three sizes of the latent.

# %%
rng = runtime.seed(0)
digits = data.load_digits()
train_x = digits.train_x[: runtime.steps(60_000, 3_000)]
test_x, test_y = (t[: runtime.steps(10_000, 1_000)] for t in (digits.test_x, digits.test_y))
SIZES = (2, 4, 16)


# %% [markdown]
# This lesson shows many pictures; one function keeps them, and the notebook, small.


# %%
def grid(images, columns, **words):
    """plots.image_grid with small pictures in sixteen shades of grey."""
    rows = math.ceil(len(images) / columns)
    _, ax = plt.subplots(figsize=(0.36 * columns + 0.4, 0.36 * rows + 0.4))
    return plots.image_grid((15 * images).round() / 15, columns=columns, ax=ax, **words)


# %% [markdown]
# ## Three trainings, filmed
#
# While a model trains, a `Film` notes from time to time where it puts 200 test images, and how it rebuilds ten of them. It wraps the loss, and changes nothing in the training: the weights come out the same, bit for bit. The three trainings take one to two minutes.

# %%
from vae_course import animation
from vae_course.models.mlp import MLPVAE

models, films = {}, {}
for z_dim in SIZES:
    runtime.seed(0)
    models[z_dim] = MLPVAE(z_dim, hidden=(400,))
    films[z_dim] = animation.Film(models[z_dim], test_x[:200], test_y[:200])
    loss = films[z_dim].watch(losses.negative_elbo)
    training.fit(models[z_dim], train_x, epochs=runtime.steps(10, 4), lr=2e-3, loss=loss)
    models[z_dim].requires_grad_(False)  # from here on we only look

# %% [markdown]
# ## What a larger latent buys
#
# **Predict:** from 2 latents to 4, from 4 to 16: which step improves the reconstructions more? And will the KL grow by the same factors as the number of latents?
#
# We rebuild the test set from the means of $q(z \mid x)$, and take three rulers, all for pixels in [0, 1], computed for each image and then averaged: the mean squared error; the **peak signal-to-noise ratio** $\text{PSNR} = 10\log_{10}(1/\text{MSE})$ in decibels, which is the same on a logarithmic scale; and the SSIM of lesson 04. The last two columns are the KL that the codes cost, and the test $-\text{ELBO}$.

# %%
table = []
for z_dim, model in models.items():
    rebuilt = model.decode(latent.posteriors(model, test_x)[0]).sigmoid()
    rulers = {"MSE": metrics.mse, "PSNR": metrics.psnr, "SSIM": metrics.ssim}
    row = {name: ruler(rebuilt, test_x).mean().item() for name, ruler in rulers.items()}
    terms = training.evaluate(model, test_x)
    table.append({"latents": z_dim, **row, "KL": terms["kl"], "-ELBO": terms["loss"]})

# %%
print(f"{'latents':>7} {'MSE':>8} {'PSNR, dB':>9} {'SSIM':>6} {'KL, nats':>9} {'-ELBO':>7}")
for row in table:
    print(
        f"{row['latents']:7d} {row['MSE']:8.4f} {row['PSNR']:9.2f} {row['SSIM']:6.3f}"
        f" {row['KL']:9.1f} {row['-ELBO']:7.1f}"
    )

# %% [markdown]
# More latents rebuild better by every ruler, and the codes cost more nats. The KL grows more slowly than the number of latents: divide it by the number to see what a single one carries. Judge the two steps in the same way: the first added two latents, the second twelve. (The average of the PSNRs is not the PSNR of the average MSE; when you compare with a published number, ask which one it is.)
#
# The same in pictures:

# %%
first = [int((test_y == c).nonzero()[0]) for c in range(10)]  # the first image of each class
rows = [test_x[first]] + [m.decode(m.encode(test_x[first])[0]).sigmoid() for m in models.values()]
names = ["original", *(f"{z_dim} latents" for z_dim in SIZES)]
ax = grid(torch.cat(rows), 10, row_labels=names, title="What 2, 4 and 16 numbers keep")
plots.show(ax, alt="Ten test digits and their reconstructions from 2, 4 and 16 latents.")

# %% [markdown]
# With two numbers, only some digits stay what they are; others turn into a look-alike, or into a blur between several. With sixteen, after a full training, most of them come back, and with them the hand of the writer.
#
# ## Where the images lie
#
# Two latents can be drawn. Each dot is the mean $\mu$ of $q(z \mid x)$ of a test image; its colour is its class, which the model never saw. The large digits stand at the mean code of each class, and the circle holds 95 % of the prior: a two-dimensional standard normal lies within radius $\sqrt{-2\ln 0.05}$ with that probability.
#
# **Predict:** will the ten classes form ten separate clouds?

# %%
mu, logvar = latent.posteriors(models[2], test_x)
radius = math.sqrt(-2 * math.log(0.05))

# %%
_, ax = plt.subplots(figsize=(5.2, 4.4))
ax.scatter(*mu[:1000].T, c=[animation.CLASSES[c] for c in test_y[:1000]], s=5, linewidths=0)
for c, colour in enumerate(animation.CLASSES):
    ax.scatter([], [], s=20, color=colour, label=str(c))
ax.legend(title="class", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1}
for c, (x, y) in enumerate(latent.class_means(mu, test_y).tolist()):
    ax.text(x, y, str(c), size=15, weight="bold", ha="center", va="center", bbox=box)
ax.add_patch(plt.Circle((0, 0), radius, fill=False, linestyle="--"))
ax.set(xlabel="z[0] (σ of the prior)", ylabel="z[1] (σ of the prior)", aspect="equal")
ax.set_title("Where test images lie; dashed: 95 % of the prior", fontsize=10)
alt = "Codes in the plane, coloured by class, each class's digit at its mean, and a dashed circle."
plots.show(ax, alt=alt)

# %% [markdown]
# Classes take places, and nobody told the model about classes: images that look alike are cheaper to decode from places that are close together. The places touch and overlap, and there is little empty room between them: each code is a cloud of width σ, and the KL pulls all clouds towards one $N(0, I)$.
#
# **Predict:** of samples $z$ from $q(z \mid x)$ over all test images, together called the **aggregate posterior**, how many lie inside the circle?

# %%
z = losses.reparameterize(mu, logvar, generator=rng)
inside = (z.norm(dim=1) < radius).float().mean().item()
print(f"{inside:.1%} of the samples lie within the circle; of the prior it would be 95 %")

# %% [markdown]
# If the share is below 95 %, the codes spread further than the prior: with two latents room is scarce, and the model pays nats for places further out, where it keeps images apart. Samples from the prior will rarely reach these places. Lesson 07 measures this gap.
#
# ### How it came about
#
# And now the films. Each shows the plane during the training: for two latents, the plane itself. Sixteen (and four) latents have no plane, so we choose one, and the choice is the same for all frames: the **principal plane** of the final codes, the two directions along which they spread most. It is found by a singular value decomposition, and it comes with a number that says how much of the spread it shows. Written by hand:


# %%
def principal_plane(codes):
    """Mean (D,), two orthonormal directions (2, D), and their shares of the variance (2,)."""
    mean = codes.mean(dim=0)
    _, scale, directions = torch.linalg.svd(codes - mean, full_matrices=False)
    return mean, directions[:2], scale[:2] ** 2 / (scale**2).sum()


# %%
for z_dim, model in models.items():
    codes, _ = latent.posteriors(model, test_x)
    share = principal_plane(codes)[2].sum().item()
    print(f"{z_dim:2d} latents: the plane shows {share:.0%} of the variance of the codes")
    assert math.isclose(share, latent.principal_plane(codes).share.sum().item(), rel_tol=1e-3)

# %% [markdown]
# The more evenly codes fill all sixteen directions, which is what the prior asks for, the closer the share comes to two sixteenths. Whatever seems to overlap in such a picture may be far apart in the other directions. The still pictures are the last frames; open a line to start its film.

# %%
for z_dim, film in films.items():
    film.frames = film.frames[::4]  # a quarter of them: the notebook stays small
    alt = f"Codes of 200 test digits while a model with {z_dim} latents trains: they spread from one cloud."
    animation.show(film.plane_gif(), alt=alt)

# %% [markdown]
# The reconstructions tell the same story from the other side. Here are those of the models with two, four and sixteen latents.

# %%
for z_dim, film in films.items():
    film.frames = film.frames[:1] + film.frames[2:4]  # and the end: the change comes early
    alt = f"Ten digits above their reconstructions by the model with {z_dim} latents, from grey noise by way of much the same blur for every image to digits."
    animation.show(film.reconstructions_gif(), alt=alt)

# %% [markdown]
# Look at the early frames: from grey noise the model comes first to much the same blur for every image, and only then do the codes begin to matter. The decoder learns the average before it listens.
#
# ## What the decoder makes of the plane
#
# The scatter asked where images go. The **manifold** asks the opposite: what does each place decode to? We lay a grid over the plane and decode it. An even grid from −3 to 3 would spend about half of its pictures outside the circle, where 5 % of the prior lies. So we cut the prior into $n$ equal shares along each axis and take the middle of each share: these values are its **quantiles** $\Phi^{-1}\big((i + \tfrac12)/n\big)$, where $\Phi$ is the cumulative distribution function of $N(0, 1)$: each picture then stands for the same share of what the model would generate.


# %%
def prior_quantiles(n):
    return torch.special.ndtri((torch.arange(n) + 0.5) / n)  # (n,), ascending


def plane_grid(values):
    """All pairs, top row first: z[0] grows to the right, z[1] upwards. (n,) -> (n², 2)."""
    return torch.stack([torch.stack([x, y]) for y in values.flip(0) for x in values])


# %%
values = prior_quantiles(9)
assert torch.equal(plane_grid(values), latent.plane_grid(latent.prior_quantiles(9)))
pictures = models[2].decode(plane_grid(values)).sigmoid()
ax = grid(pictures, 9, title=f"The plane, decoded, from {values[0]:.1f} to {values[-1]:.1f} σ")
plots.show(ax, alt="A grid of decoded digits that change smoothly from place to place.")

# %% [markdown]
# Neighbouring pictures are alike. A decoder is a smooth function whatever its loss ([lesson 05](05_autoencoder_vs_vae.ipynb)), and the noise of $q$ adds its part: during the training every code was moved by $\sigma\varepsilon$, and the decoder had to rebuild the image all the same. Compare with the scatter: where two classes meet there, the pictures here are half one, half the other. No writer wrote these. A continuous space has to pass through something. And what lies outside the outermost quantiles is missing here, so digits whose codes lie far out in the scatter may not appear at all; the pad below reaches from −3 to 3.
#
# ### The plane in your hand
#
# Now drag the point. (This output needs no Python: the decoder's calculation runs in the page itself, so it works in an exported copy of this notebook, too.) Go to the border between two classes, and find the place where one digit turns into the other. Then go to the corners: what does the decoder do where the scatter has hardly any codes?

# %%
from vae_course import pad

pad.Pad(models[2]).show()

# %% [markdown]
# ## One latent at a time
#
# Sixteen latents cannot be drawn, but one of them can be moved while the others stay: a **traversal**. Not all are worth it. A latent whose KL is zero says nothing about any image. We order them by the KL that each contributes on average.

# %%
model = models[16]
mu, logvar = latent.posteriors(model, test_x)
kl = losses.kl_per_latent(mu, logvar).mean(dim=0)  # (16,)
order = kl.argsort(descending=True).tolist()
print("latent: KL in nats   ", "  ".join(f"{j}: {kl[j]:.2f}" for j in order))


# %%
def traverse(z, j, values):
    """z (D,) with latent j set to each of the values. -> (T, D)."""
    moved = z.repeat(len(values), 1)
    moved[:, j] = values
    return moved


values = torch.linspace(-3, 3, 7)
start = mu[first[7]]
assert torch.equal(traverse(start, 3, values), latent.traverse(start, 3, values))

# %% [markdown]
# The starting point is the code of a seven; each row moves one of the six latents that carry most.
#
# **Predict:** will each row change one thing, such as the slant?

# %%
pictures = torch.cat([model.decode(traverse(start, j, values)).sigmoid() for j in order[:6]])
names, places = [f"z[{j}]" for j in order[:6]], [f"{v:.2g}" for v in values.tolist()]
title = "A seven, one latent moved in each row (σ)"
ax = grid(pictures, len(values), row_labels=names, column_labels=places, title=title)
plots.show(ax, alt="Six rows of seven digits; along each row one latent changes.")

# %% [markdown]
# Looking at such rows, it is easy to find names for them: "this one is the slant". Names found by looking are worth little, so let us measure.
#
# ## Rulers for handwriting
#
# Treat an image as a heap of ink, with each pixel's share of the ink as its weight. The heap has a centre, and second moments around it: $s_{xx}$ and $s_{yy}$, its spread to the side and up, and $s_{xy}$, how both go together. With $y$ counted downwards, as rows are:
#
# - **slant** $= \arctan(-s_{xy}/s_{yy})$, the angle by which the upright leans to the right;
# - **proportions** $= \sqrt{(s_{xx} - s_{xy}^2/s_{yy})/s_{yy}}$, width over height after the slant is taken out;
# - **thickness** $= 2\,\text{ink}/\text{perimeter}$: a stroke of length $L$ and width $t$ has the area $tL$ and two long sides. The perimeter of a grey image is the sum of its gradients' lengths.
#
# The first one by hand:


# %%
def slant(images):
    """The lean to the right. images (B, 1, H, W) -> (B,), in degrees."""
    share = images[:, 0] / images.sum(dim=(1, 2, 3))[:, None, None]  # (B, H, W), adds up to 1
    y, x = torch.meshgrid(*map(torch.arange, share.shape[1:]), indexing="ij")  # (H, W) each
    dx = x - (share * x).sum(dim=(1, 2))[:, None, None]  # (B, H, W)
    dy = y - (share * y).sum(dim=(1, 2))[:, None, None]
    s_yy = (share * dy**2).sum(dim=(1, 2)) + 1 / 12  # new: a pixel is a square, not a point
    s_xy = (share * dx * dy).sum(dim=(1, 2))
    return torch.rad2deg(torch.atan(-s_xy / s_yy))


# %%
from vae_course import strokes

assert torch.allclose(slant(test_x), strokes.slant(test_x), atol=1e-3)
RULERS = {
    "slant": strokes.slant,
    "proportions": strokes.proportions,
    "thickness": strokes.thickness,
}
for name, ruler in RULERS.items():
    m = ruler(test_x)
    print(f"{name:12} mean {m.mean():6.2f}, standard deviation {m.std():5.2f} over the test images")

# %% [markdown]
# A ruler that is right for ink may be wrong for what a decoder paints. Before we use one, we check it: over the test set, how well does the measure of a reconstruction agree with that of its original? The correlation answers.

# %%
agreement = {name: [] for name in RULERS}
for m in models.values():
    rebuilt = m.decode(latent.posteriors(m, test_x)[0]).sigmoid()
    for name, ruler in RULERS.items():
        pair = torch.stack([ruler(test_x), ruler(rebuilt)])
        agreement[name].append(torch.corrcoef(pair)[0, 1].item())

# %%
print(f"{'latents':12}" + "".join(f"{z_dim:8d}" for z_dim in SIZES))
for name, values_of in agreement.items():
    print(f"{name:12}" + "".join(f"{r:8.2f}" for r in values_of))

# %% [markdown]
# After a full training, slant and proportions come through even a narrow bottleneck in good part. For thickness it looks worse, but this is where the check pays: a blurred stroke measures thick, whatever the pen was. With few latents the ruler measures the blur, and cannot tell us whether the model knows the pen. So we read the rulers on the model with sixteen latents alone, and each of them only as far as its last correlation allows.
#
# ## What each latent does
#
# For each latent $j$ we take 500 codes of test images, set $z_j$ to a value, leave the other latents where they are, decode, and average the measure. That answers "what does this latent do, for digits in general", where a traversal answered for one seven. Divided by the standard deviation over the test images, the three rulers share a unit.

# %%
values = torch.linspace(-2, 2, 5)
effect = {}
for name, ruler in RULERS.items():
    means = latent.effects(lambda z: model.decode(z).sigmoid(), mu[:500], values, ruler)  # (16, 5)
    effect[name] = (means - means.mean(dim=1, keepdim=True)) / ruler(test_x).std()
change = {name: e[:, -1] - e[:, 0] for name, e in effect.items()}  # from −2 to 2: (16,) each

# %%
print(
    "latent  "
    + "".join(f"{name:>13}" for name in RULERS)
    + "   (standard deviations, from −2 to 2)"
)
for j in order:
    print(f"z[{j}]".ljust(8) + "".join(f"{change[name][j]:13.2f}" for name in RULERS))

# %% [markdown]
# Look for a row with one large number and two small ones: that would be a latent with a meaning. Then look for rows in which all three are small: those latents code something for which we have no ruler, something that differs from digit to digit and averages out, or next to nothing (look at their KL).
#
# For each ruler, the latent that moves it most:

# %%
strongest = {name: int(change[name].abs().argmax()) for name in RULERS}
_, axes = plt.subplots(1, 3, figsize=(8, 2.5), sharey=True)
for ax, (name, j) in zip(axes, strongest.items(), strict=True):
    lines = {ruler: effect[ruler][j] for ruler in RULERS}
    title, ylabel = f"z[{j}] moves {name} most", "change (standard deviations)"
    plots.curves(values, lines, title=title, xlabel=f"z[{j}] (σ)", ylabel=ylabel, ax=ax)
    ax.label_outer()
alt = "How all three measures change along the latent that moves each of them most."
plots.show(ax.figure, alt=alt)

# %%
line = torch.linspace(-3, 3, 7)
moved = torch.cat([traverse(start, j, line) for j in strongest.values()])
names = [f"z[{j}]: {name}" for name, j in strongest.items()]
ax = grid(
    model.decode(moved).sigmoid(),
    len(line),
    row_labels=names,
    title="The seven along these latents",
)
plots.show(
    ax,
    alt="Three rows of seven pictures. Each moves, from a seven, the latent that changes one measure most.",
)

# %% [markdown]
# Nobody asked for a latent of slant, and still there may be latents that come close to a single meaning, beside others that mix. Nothing in the loss rewards a meaning for each axis: turn the sixteen latents by any rotation, and the prior is the same. That the axes are not entirely arbitrary comes from $q$, whose covariance is diagonal. With another seed, other latents would carry these meanings, and perhaps mix them otherwise. [Lesson 08](08_disentanglement.ipynb) measures this properly, where the true factors are known.
#
# Try it yourself: there are sliders for the six latents with the largest KL. Choose two images, and go from one to the other; the next section is about that. (Without Python there is a still picture: a row for each of the six, the largest KL at the top, the other latents at zero.)

# %%
from vae_course import explorer

explorer.Explorer(
    lambda z: model.decode(z).sigmoid(),
    z_dim=16,
    kl=kl,
    encode=lambda x: model.encode(x)[0],
    images=test_x[:200],
    labels=test_y[:200],
).show()

# %% [markdown]
# ## From one point to another
#
# The straight line from $a$ to $b$ is $(1 - t)\,a + t\,b$, called **lerp** (linear interpolation). In many dimensions it has a peculiarity. The norm of a draw from $N(0, I)$ in $D$ dimensions is close to $\sqrt D$: it is the root of a sum of $D$ squares, each 1 on average. Halfway between two independent draws lies $\frac12(a + b)$, whose entries have variance $\frac12$, so its norm is close to $\sqrt{D/2}$.
#
# **Predict:** how unusual is a norm of $\sqrt{D/2}$ or less under the prior, for $D = 2$, 16 and 100?
#
# The squared norm has a χ² distribution, and the probability is a regularised gamma function:

# %%
for d in (2, 4, 16, 100):
    p = torch.special.gammainc(torch.tensor(d / 2).double(), torch.tensor(d / 4).double()).item()
    print(
        f"D = {d:3d}: norm {math.sqrt(d):5.2f} at the ends, {math.sqrt(d / 2):5.2f} halfway; P(prior within) = {p:.1e}"
    )

# %% [markdown]
# In the plane, the middle is an ordinary place. In sixteen dimensions it is a rare one, and in a hundred fewer than one draw in 100,000 comes there: the prior lives on a thin shell of radius $\sqrt D$, and a straight line between two of its points cuts through the inside.
#
# The other way keeps to the shell: turn the direction at an even rate, which is **slerp** (spherical linear interpolation; Shoemake, 1985). With $\Omega$ the angle between $a$ and $b$,
#
# $$\text{direction}(t) = \frac{\sin((1 - t)\,\Omega)}{\sin\Omega}\,\frac{a}{\lVert a\rVert} + \frac{\sin(t\,\Omega)}{\sin\Omega}\,\frac{b}{\lVert b\rVert},$$
#
# and the norm goes evenly from $\lVert a\rVert$ to $\lVert b\rVert$.


# %%
def lerp(a, b, t):
    return (1 - t)[:, None] * a + t[:, None] * b  # (T, D)


def slerp(a, b, t):
    unit_a, unit_b = a / a.norm(), b / b.norm()
    angle = torch.acos(unit_a @ unit_b)
    direction = (
        torch.sin((1 - t) * angle)[:, None] * unit_a + torch.sin(t * angle)[:, None] * unit_b
    )
    norm = (1 - t) * a.norm() + t * b.norm()  # (T,)
    return norm[:, None] * direction / torch.sin(angle)


# %% [markdown]
# The package's functions are the same, and take care of the ends that this `slerp` cannot handle: of one direction ($\sin\Omega = 0$, where the straight line is right) and opposite ones (where no shortest arc exists). We check, and then average the norms over 500 pairs of draws.

# %%
t = torch.linspace(0, 1, 11)
pairs = torch.randn(500, 2, 16, generator=rng)
for by_hand, imported in ((lerp, latent.lerp), (slerp, latent.slerp)):
    assert all(
        torch.allclose(by_hand(a, b, t), imported(a, b, t), atol=1e-4) for a, b in pairs[:20]
    )
norms = {
    name: torch.stack([path(a, b, t).norm(dim=1) for a, b in pairs]).mean(dim=0)
    for name, path in (("lerp", lerp), ("slerp", slerp))
}

# %%
title = "The straight line leaves the shell, the arc stays"
ax = plots.curves(t, norms, title=title, xlabel="t", ylabel="norm of z, mean over 500 pairs")
for height, words in ((4, "√D"), (math.sqrt(8), "√(D/2)")):
    ax.axhline(height, color="0.5", linewidth=0.8)
    ax.text(0.02, height + 0.03, words, color="0.3")
plots.show(ax, alt="The norm on the arc stays near 4; on the line it sinks to about 2.8 halfway.")

# %% [markdown]
# Now what it means for pictures: two draws from the prior, and both ways between them.

# %%
steps, (a, b) = torch.linspace(0, 1, 10), pairs[0]
both = torch.cat([lerp(a, b, steps), slerp(a, b, steps)])
title = "From one draw of the prior to another"
ax = grid(model.decode(both).sigmoid(), 10, row_labels=["lerp", "slerp"], title=title)
alt = "Two rows of ten images with the same ends, and much the same pictures between them."
plots.show(ax, alt=alt)

# %%
half = torch.tensor([0.5])
middles = [torch.cat([path(a, b, half) for a, b in pairs]) for path in (lerp, slerp)]
for which, (one, other) in {"middles": middles, "ends": pairs.unbind(dim=1)}.items():
    apart = (model.decode(one).sigmoid() - model.decode(other).sigmoid()).flatten(1).norm(dim=1)
    print(f"the two {which}: {apart.mean():.1f} apart in pixels, mean over 500 pairs")

# %% [markdown]
# Both middles lie on one ray from the origin, the arc's further out, and the numbers say how little or how much that changes, compared with the way from end to end. Judge for yourself whether one row is better, and repeat it with other pairs: with sixteen latents, one draw in twenty lies as far inside as the middle of the line, so the decoder knows the region. The argument for slerp is one about the prior, and it gains weight with the number of latents; White (2016) recommends it for latents of many dimensions.
#
# ### Between images it is another question
#
# The argument was about two independent *draws from the prior*. The codes of two images are no such draws. Their norms may come out alike, but codes of similar images are similar, and so not independent.
#
# **Predict:** is halfway between two images of one class nearer to the origin than halfway between any two images, or further away?


# %%
def halfway_norm(a, b):
    """Mean norm of the middles of straight lines from codes a to codes b, (N, D) each."""
    return (0.5 * (a + b)).norm(dim=1).mean().item()


by_class = [mu[test_y == c][:100] for c in range(10)]
same = sum(halfway_norm(codes, codes.roll(1, dims=0)) for codes in by_class) / 10
print(f"norm of a code:                 {mu.norm(dim=1).mean():.2f} on average (√16 = 4)")
print(f"halfway, any two images:        {halfway_norm(mu[:1000], mu[:1000].roll(1, dims=0)):.2f}")
print(f"halfway, two of the same class: {same:.2f}")

# %% [markdown]
# Within a class, the straight line stays further out: no law says $\sqrt{D/2}$ there, and no arc is needed to avoid it. From the code of a three to that of an eight, on the straight line (where a decoded end does not look like the original beside it, the reconstruction is at fault and not the way):

# %%
three, eight = first[3], first[8]
between = model.decode(lerp(mu[three], mu[eight], steps)).sigmoid()
row = torch.cat([test_x[[three]], between, test_x[[eight]]])
ax = grid(row, 12, title="Between the codes of two images, which stand at the ends")
alt = "Ten decoded steps from the code of a three to that of an eight; the originals at the ends."
plots.show(ax, alt=alt)

# %% [markdown]
# What should lie halfway between two images is a question about images, and no norm answers it. The straight line treats all latents alike, in use or not; the arc depends on where the origin happens to lie. Both are used. Say which one you took, and do not take a smooth row of pictures for proof of a good model: the autoencoder of [lesson 05](05_autoencoder_vs_vae.ipynb) makes smooth rows, too.
#
# The next cell prints this lesson's main numbers for the automatic tests. You can pass over it.

# %% tags=["figures"]
figures = {
    "table": [{name: round(value, 4) for name, value in row.items()} for row in table],
    "agreement": {name: [round(r, 3) for r in row] for name, row in agreement.items()},
    "change": {name: round(change[name][j].abs().item(), 2) for name, j in strongest.items()},
    "norms": {name: [round(line[i].item(), 3) for i in (0, 5, 10)] for name, line in norms.items()},
    "inside": round(inside, 3),
}
print(json.dumps({"source": digits.source, **figures}))

# %% [markdown]
# ## Recap
#
# - You saw what a larger latent buys: MSE, PSNR and SSIM improve together, and each further latent costs nats.
# - You drew where images lie, from the untrained model to the trained one, and decoded the plane by the prior's quantiles.
# - You moved one latent at a time, built rulers for slant, proportions and thickness, checked them on reconstructions, and measured what each latent does.
# - You interpolated on lines and arcs, and saw that the argument about norms concerns draws from the prior, in many dimensions.
#
# ## When something looks wrong
#
# | symptom | cause | fix |
# |---|---|---|
# | the manifold shows one digit, or the same blur everywhere | an even grid that reaches far outside the prior, or a collapsed model | use the prior's quantiles; look at the KL of each latent |
# | the manifold is mirrored against the scatter | rows of a picture grow downwards, z[1] upwards | put the largest z[1] in the top row |
# | a traversal changes nothing | the latent is not in use | order latents by their KL |
# | classes overlap in the PCA plane, and a classifier still tells them apart | the plane shows a small share of the variance | print the share; do not read distances off the picture |
# | every reconstruction measures thicker than its original | blur counts as thickness | check a ruler on pairs before trusting it |
# | slerp returns NaN | ends of one direction or opposite ones, or a zero vector | use `latent.slerp`, which says so |
#
# ## References
#
# - K. Shoemake, *Animating Rotation with Quaternion Curves*, SIGGRAPH 1985: slerp.
# - T. White, *Sampling Generative Networks*, 2016, [arXiv 1609.04468](https://arxiv.org/abs/1609.04468): slerp for latents.
# - D. C. Castro, J. Tan, B. Kainz, E. Konukoglu and B. Glocker, *Morpho-MNIST: Quantitative Assessment and Diagnostics for Representation Learning*, Journal of Machine Learning Research 20, 2019: slant and thickness of digits, by other means for the thickness.
# - D. P. Kingma and M. Welling, *Auto-Encoding Variational Bayes*, 2014, [arXiv 1312.6114](https://arxiv.org/abs/1312.6114): the manifold by quantiles, appendix A.
# - M. Rolinek, D. Zietlow and G. Martius, *Variational Autoencoders Pursue PCA Directions (by Accident)*, 2019, [arXiv 1812.06775](https://arxiv.org/abs/1812.06775): why a diagonal q picks axes.
#
# **Exercises:** [sheet 06](../exercises/06_latent_space.ipynb) · **Next:** [07 · What β trades](07_beta_vae.ipynb)
