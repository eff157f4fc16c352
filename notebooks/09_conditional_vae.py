# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 09 · Conditional VAE
#
# You ask a VAE for a seven, and then test whether it obeys, whether the rest of its code is silent about the class, and whether it can draw more than one seven.

# %% [markdown] tags=["badges"]
# <!-- badges -->

# %% [markdown]
# **You will be able to**
#
# - derive the bound on log p(x|c), and say how it compares with a bound on log p(x);
# - build a conditional VAE, ask it for a class, and keep a handwriting while the class changes;
# - measure whether the condition is used, and how much the latent tells about it;
# - judge generated images by accuracy and diversity together, and know the model that passes only one of the two.
#
# *Time:* about 60 minutes; the computer works for about three of them. *Assumed:* [lesson 04](04_low_level_pytorch.ipynb) and [lesson 07](07_beta_vae.ipynb), for what β trades and what collapse is.

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
import json, math, torch, torch.nn as nn, torch.nn.functional as F
from vae_course import condition, data, explorer, latent, losses, plots, runtime, strokes, training

# %% [markdown]
# A VAE draws digits, but not the digit that you want. Here every image $x$ comes with a **condition** $c$, its class from 0 to 9. The condition is given, in training and when we sample; the model is not asked to explain it.

# %%
rng = runtime.seed(0)
digits = data.load_digits()
train = (
    digits.train_x[: runtime.steps(60_000, 3_000)],
    digits.train_y[: runtime.steps(60_000, 3_000)],
)
test_x, test_y = (part[: runtime.steps(10_000, 1_000)] for part in (digits.test_x, digits.test_y))

# %% [markdown]
# ## The same derivation, given c
#
# Take the derivation of [lesson 01](01_elbo.ipynb) and write "given $c$" behind every distribution. Nothing else changes, because $c$ is a constant throughout:
#
# $$\log p(x \mid c) \;\ge\; E_{q(z \mid x, c)}[\log p(x \mid z, c)] \;-\; \mathrm{KL}\big(q(z \mid x, c)\,\Vert\,p(z \mid c)\big).$$
#
# The gap is $\mathrm{KL}\big(q(z \mid x, c)\,\Vert\,p(z \mid x, c)\big)$. Read the left side twice: this is a bound on $\log p(x \mid c)$, the density of an image *among the images of its class*. It is not a bound on $\log p(x)$; the last section compares the two.
#
# The prior $p(z \mid c)$ could be anything, a Gaussian for each class for instance. We choose
#
# $$p(z \mid c) = p(z) = N(0, I).$$
#
# That is a modelling choice, and it has a meaning: **under the model, $z$ is independent of the class.** What $z$ describes (slant, thickness, size) has to be described in the same words for all ten digits. So one $z$ can be decoded with ten classes, and a code should not tell what digit it belongs to.
#
# The loss pushes towards that. Lesson 07 splits the average KL into what the code tells about the image, and how far the codes as a whole are from the prior. With a condition the second part splits once more. Averaged over images and classes,
#
# $$\overline{\mathrm{KL}} \;=\; I(x; z \mid c) \;+\; I(z; c) \;+\; \mathrm{KL}\big(q(z)\,\Vert\,p(z)\big),$$
#
# where $q(z \mid c)$ is the mean of $q(z \mid x, c)$ over the images of a class, $q(z)$ the mean over everything, and $I$ is mutual information. The middle term is what $z$ tells about the class, at most $\log 10$ nats. A decoder that gets $c$ anyway gains nothing from it, and pays for it nat by nat.
#
# The identity holds for any distributions, so we test it on random tables: 10 classes, 50 images each, a $z$ with 8 values.


# %%
def kl(q, p):
    return (q * (q / p).log()).sum(dim=-1)


table = torch.rand(10, 50, 8, dtype=torch.float64).softmax(dim=-1)  # q(z|x,c)
prior = torch.rand(8, dtype=torch.float64).softmax(dim=-1)
of_class = table.mean(dim=1)  # q(z|c): (10, 8)
of_all = of_class.mean(dim=0)  # q(z): (8,)

# %% tags=["nbval-check-output"]
about_image = kl(table, of_class[:, None]).mean()  # I(x; z | c)
about_class = kl(of_class, of_all).mean()  # I(z; c)
parts = about_image + about_class + kl(of_all, prior)
print("equal to 12 digits:", bool((parts - kl(table, prior).mean()).abs() < 1e-12))

# %% [markdown]
# ## Two networks that see c
#
# A class enters a network as a **one-hot** vector: ten zeros, with a one at the place of the class. As a number from 0 to 9 it would claim that a 4 lies between a 3 and a 5. The vector is put beside the pixels for the encoder, and beside $z$ for the decoder. Its ten weights for a unit are then ten biases, one for each class.


# %%
def beside(rows, c, classes=10):
    """Each row, and its class as one-hot. rows: (B, n), c: (B,) -> (B, n + classes)."""
    return torch.cat([rows, F.one_hot(c, classes).to(rows)], dim=1)


def network(inputs, width, outputs):
    layers = [nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(width, outputs))


# %% [markdown]
# Everything else is the VAE that you know, with two hidden layers: in the decoder, the first lets $z$ and $c$ meet, and the second can act on what they mean together.


# %%
class Conditional(nn.Module):
    def __init__(self, z_dim=16, width=400):
        super().__init__()
        self.encoder = network(784 + 10, width, 2 * z_dim)
        self.decoder = network(z_dim + 10, width, 784)

    def encode(self, x, c):
        """x: (B, 1, 28, 28), c: (B,) -> mu, logvar of q(z|x,c): (B, z_dim) each."""
        mu, logvar = self.encoder(beside(x.flatten(1), c)).chunk(2, dim=1)
        return mu, logvar

    def decode(self, z, c):
        """z: (B, z_dim), c: (B,) -> logits of p(x|z,c): (B, 1, 28, 28)."""
        return self.decoder(beside(z, c)).unflatten(1, (1, 28, 28))


# %% [markdown]
# The package's `ConditionalVAE` is this network with error messages, and with two switches that we need later: `encoder_sees` and `decoder_sees` say who is told $c$. With the same parameters both give the same numbers.

# %%
from vae_course.models.conditional import ConditionalVAE

ours, theirs = Conditional(), ConditionalVAE(z_dim=16, hidden=(400, 400))
for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
    b.data.copy_(a.data)
x, c = test_x[:50], test_y[:50]
assert torch.allclose(ours.encode(x, c)[0], theirs.encode(x, c)[0], atol=1e-5)
z = torch.randn(50, 16, generator=rng)
assert torch.allclose(ours.decode(z, c), theirs.decode(z, c), atol=1e-5)

# %% [markdown]
# ## Two routes for the class
#
# During training there are two routes by which the decoder can learn the class: from $c$, free of charge, or from $z$, at a price in nats. The best model takes the free one. Gradient descent does not know that yet when it starts: it builds both at once, and a route that exists is given up slowly.
#
# A remedy in one line: begin with a weight β so high that $z$ is too expensive for anything. What remains is $c$, so the decoder learns to use it, and draws ten mean digits. Then let β fall to 1, and $z$ adds what $c$ does not say. It is the annealing of lesson 07 upside down. In the second half of the training, and wherever we measure, β is 1.


# %%
def falling_beta(step, steps, start=20.0):
    """From start down to 1 by equal factors in the first half of the training; then 1."""
    return start ** max(0.0, 1 - 2 * step / steps)


BATCH = runtime.steps(256, 64)


def trained(beta=falling_beta, **switches):
    runtime.seed(0)
    model = ConditionalVAE(z_dim=16, hidden=(400, 400), **switches)
    training.fit(model, train, epochs=runtime.steps(12, 5), batch_size=BATCH, lr=4e-3, beta=beta)
    return model


# %% [markdown]
# `training.fit` hands labels to the loss after the images, and `losses.negative_elbo(model, x, c)` hands them on to `encode` and `decode`. The bar shows the loss of each epoch, with that epoch's β in it.

# %%
model = trained()
full_loss = training.evaluate(model, (test_x, test_y))  # β = 1
print({name: round(value, 2) for name, value in full_loss.items()})

# %% [markdown]
# ## Ask for a digit
#
# To sample, draw $z \sim N(0, I)$ and hand the decoder the class that you want. Each column below asks for one digit; each image has its own $z$.

# %%
ten = torch.arange(10)
asked_for = model.sample(ten.repeat(6), generator=rng)
grid = plots.image_grid(
    asked_for, columns=10, column_labels=[str(k) for k in range(10)], title="Asked for, from 0 to 9"
)
plots.show(
    grid, alt="Ten columns of six generated digits; nearly all show the digit of their column."
)

# %% [markdown]
# Do they show what was asked? Judging by eye does not scale, so we let a classifier read them. It has to be **independent**: it has its own network and its own seed, it was trained on real digits and their labels alone, it never saw a generated image, and nothing that it says reaches the VAE. (It did learn from the same real images, so it may share their gaps.) What it says about real test digits is the yardstick.

# %%
from vae_course.models.classifier import DigitClassifier, classification_loss

runtime.seed(1)
judge = DigitClassifier()
training.fit(judge, train, epochs=runtime.steps(3, 5), loss=classification_loss, lr=4e-3)
on_real = condition.asked_accuracy(judge, test_x, test_y)
print(f"real test digits, read as their label: {on_real:.1%}")

# %% [markdown]
# Now 1,000 samples of each class, all from $z \sim N(0, I)$.


# %%
def samples(model):
    c = ten.repeat_interleave(runtime.steps(1_000, 100))
    return model.sample(c, generator=torch.Generator().manual_seed(0)), c


asked = condition.asked_accuracy(judge, *samples(model))
print(f"generated, read as the class asked for: {asked:.1%}   (real: {on_real:.1%})")

# %% [markdown]
# ## One handwriting, ten digits
#
# The choice $p(z \mid c) = p(z)$ makes a promise that we can look at: the same $z$ may be decoded with every class.
#
# **Predict:** one row below is one $z$, decoded ten times. What will the ten images of a row have in common?

# %%
styles = torch.randn(6, 16, generator=rng).repeat_interleave(10, dim=0)  # each z ten times
with torch.no_grad():
    same_hand = model.decode(styles, ten.repeat(6)).sigmoid()
grid = plots.image_grid(same_hand, columns=10, title="Each row: one z, ten classes")
plots.show(
    grid,
    alt="Six rows of the digits 0 to 9; within a row slant and stroke are alike, between rows they differ.",
)

# %% [markdown]
# A handwriting: slant, thickness and width go along a row. Nobody labelled them; they are what varies within every class and can be said in the same words for all.
#
# It also works from an image. Encode a test digit with its own class, and decode its code with the others.

# %%
with torch.no_grad():
    codes = model.encode(test_x[:6], test_y[:6])[0].repeat_interleave(10, dim=0)
    copied = model.decode(codes, ten.repeat(6)).sigmoid().view(6, 10, 1, 28, 28)
rows = torch.cat([test_x[:6, None], copied], dim=1).flatten(0, 1)
grid = plots.image_grid(
    rows,
    columns=11,
    column_labels=["real", *map(str, range(10))],
    title="The hand of a test image, ten digits",
)
plots.show(grid, alt="Six test digits at the left, each followed by ten digits in a similar hand.")

# %% [markdown]
# In numbers: measure slant, thickness and proportions (lesson 06) of 300 $z$ in all ten classes. If the hand is kept, what leans as a 3 leans as an 8, too: we average the correlation over all pairs of classes. With the $z$ of each class shuffled it must vanish.

# %%
n = 300
with torch.no_grad():
    z = torch.randn(n, 16, generator=rng)
    pictures = model.decode(z.repeat_interleave(10, dim=0), ten.repeat(n)).sigmoid()


def agreement(values):
    """Mean correlation between two classes. values: (n, 10) -> a number from −1 to 1."""
    return ((torch.corrcoef(values.T).sum() - 10) / 90).item()  # without the 10 on the diagonal


# %%
kept = {}
for measure in (strokes.slant, strokes.thickness, strokes.proportions):
    values = measure(pictures).view(n, 10)
    shuffled = torch.stack([column[torch.randperm(n, generator=rng)] for column in values.T], dim=1)
    kept[measure.__name__] = agreement(values)
    print(
        f"{measure.__name__:12} {kept[measure.__name__]:5.2f}   shuffled {agreement(shuffled):5.2f}"
    )

# %% [markdown]
# ## Accuracy is not enough
#
# A high accuracy says that the digits can be read. It does not say that there is more than one of each. So we train a second model in two epochs with β = 50 throughout. After lesson 07 you know what to expect: collapse.
#
# **Predict:** what accuracy will the judge give to a collapsed model, higher or lower than to ours?

# %%
runtime.seed(0)
collapsed = ConditionalVAE(z_dim=16, hidden=(400, 400))
training.fit(collapsed, train, epochs=2, batch_size=BATCH, lr=4e-3, beta=lambda step, steps: 50.0)
print(f"KL {training.evaluate(collapsed, (test_x, test_y))['kl']:.3f} nats")
print(f"read as the class asked for: {condition.asked_accuracy(judge, *samples(collapsed)):.1%}")

# %%
grid = plots.image_grid(
    collapsed.sample(ten.repeat(3), generator=rng),
    columns=10,
    title="β = 50: ten pictures, over and over",
)
plots.show(grid, alt="Three rows of digits; all rows show the same ten blurred mean digits.")

# %% [markdown]
# After a full training the judge has hardly a doubt: a mean digit is a very typical digit. (After a short one, some of the ten pictures are no digits yet.) To find such a model we need a second measure that it fails: the **within-class variance**, how much each pixel varies among the images of one class, summed over pixels, averaged over the classes:
#
# $$V = \frac{1}{10} \sum_{c} \sum_{\text{pixels}} \mathrm{Var}(x_{\text{pixel}} \mid c).$$
#
# Differences between classes do not count: ten different pictures, repeated, have $V = 0$. We state $V$ as a share of the test set's.


# %%
def within_class_variance(images, c):
    """images: (N, 1, 28, 28), c: (N,) -> the mean over classes of the summed pixel variances."""
    of_class = [images[c == k].var(dim=0, correction=0).sum() for k in c.unique()]
    return torch.stack(of_class).mean().item()


def diversity(model):
    return within_class_variance(*samples(model)) / within_class_variance(test_x, test_y)


# %%
ours, theirs = diversity(model), diversity(collapsed)
print(f"ours: {ours:.2f} of the test set's variance, collapsed: {theirs:.2f}")
assert theirs < ours

# %% [markdown]
# A share of 1 is not what even a good model reaches here. We look at the decoder's mean images, and by the law of total variance these vary less than the images that the model describes: $\mathrm{Var}(x \mid c) = \mathrm{Var}(E[x \mid z, c] \mid c) + E[\mathrm{Var}(x \mid z, c) \mid c]$. The second part is what the decoder leaves open, and shows as blur. (Noise added to every pixel would raise $V$ and improve nothing, so the variance alone can be deceived, too. That is why the two measures go together.)
#
# ## Is the condition used, and does z leak it?
#
# Two mistakes are easy to make, and neither raises an error: forgetting $c$ in the decoder, and forgetting it in the encoder. We train both, everything else being equal.

# %%
models = {
    "full": model,
    "decoder without c": trained(decoder_sees=False),
    "encoder without c": trained(encoder_sees=False),
}

# %% [markdown]
# Two tests tell what happened. **Swap**: take the code of a test image of class $c$, decode it with another class $c'$, and see how often the judge reads $c'$. If the decoder listens to $c$, that is nearly always; if it listens to $z$, nearly never (the judge makes mistakes, too).


# %%
@torch.no_grad()
def swap_accuracy(model, judge, x, c):
    """Share of the images that are read as c' after decoding the code of x, c with c' ≠ c."""
    other = (c + torch.randint(1, 10, c.shape)) % 10  # never c itself
    swapped = model.decode(model.encode(x, c)[0], other).sigmoid()
    return (judge.probabilities(swapped).argmax(dim=1) == other).float().mean().item()


# %% [markdown]
# **Probe**: train a small classifier to tell the class from $z \sim q(z \mid x, c)$, and test it on codes it has not seen. Under the model $z$ knows nothing about $c$, so an honest probe should be at chance, the share of the most frequent class. `condition.probe` tries two: logistic regression, which draws straight borders, and a vote of the 15 nearest codes, which finds crooked ones, too. From the first one it also computes a lower bound on $I(z; c)$ in nats: the entropy of the classes minus the probe's cross-entropy.
#
# **Predict:** fill in high or low for each of the three models, swap and probe. Which of the two mistakes makes the model useless?

# %%
found = {}
print("                     swap   probe: linear  neighbours  chance   I(z; c) ≥")
for name, tested in models.items():
    runtime.seed(2)
    z = losses.reparameterize(*latent.posteriors(tested, test_x, test_y))
    found[name] = {
        "swap": swap_accuracy(tested, judge, test_x, test_y),
        **condition.probe(z, test_y),
    }
    f = found[name]
    print(f"{name:18} {f['swap']:7.1%} {f['linear']:14.1%} {f['neighbours']:11.1%}", end="")
    print(f" {f['chance']:7.1%} {f['nats']:6.2f} nats")

# %% [markdown]
# *Decoder without c*: the class you ask for has no effect. All that the decoder knows about the digit comes from $z$, so $z$ has to tell it, and the probes read it easily. As a conditional model it is useless. As a plain VAE it is none the worse: its decoder never sees a class, and it draws digits of all kinds.
#
# *Encoder without c*: this one is legal. The bound holds for every $q$, also for one that was not told the class, and the class is no secret to this encoder, which can read it off the image. But only an encoder that has learnt to read it can leave it out of $z$. Until then $z$ tells something about the class, and where $z$ and the class asked for disagree, the swap may fail.
#
# *Full*: of the three, its probes come closest to chance, and its swaps should succeed at least as often as those of the others. The probes need not be at chance: training may end before the last of the leak has gone.
#
# So the swap tells whether the decoder listens to $c$, and the probe tells whether $z$ leaks it. A leak is paid for twice: $I(z; c)$ is a part of the KL, and samples suffer, because a $z$ from $N(0, I)$ knows nothing of the class asked for and may speak of another.
#
# Accuracy and diversity of all models, in one table and in one picture. (Do not be misled by the variance of the decoder without $c$: whatever class is asked for, it draws all ten.)

# %%
models["collapsed (β = 50)"] = collapsed
report = {}
for name, tested in models.items():
    report[name] = {
        "asked": condition.asked_accuracy(judge, *samples(tested)),
        "variance": diversity(tested),
    }
    print(f"{name:20} asked {report[name]['asked']:6.1%}   variance {report[name]['variance']:.2f}")
print(f"{'real test digits':20} asked {on_real:6.1%}   variance 1.00")

# %%
import matplotlib.pyplot as plt

_, ax = plt.subplots(figsize=(6, 3.4))
points = {name: (row["asked"], row["variance"]) for name, row in report.items()}
points["real test digits"] = (on_real, 1.0)
for (name, (right, variance)), marker, color in zip(
    points.items(), "os^vD", plots.COLORS, strict=False
):
    ax.scatter(right, variance, marker=marker, color=color, s=60, label=name)
ax.set(xlim=(-0.03, 1.03), ylim=(-0.05, 1.1))
ax.set(xlabel="read as the class asked for (share)", ylabel="within-class variance (share)")
ax.set_title("Only accuracy and diversity together mean anything", fontsize=10)
ax.legend(frameon=False, fontsize=9, loc="center left")
plots.show(
    ax,
    alt="Accuracy to the right, diversity upwards: real digits in the upper right corner, the collapsed model at the bottom, the one whose decoder is not told the class at the left, the others between these.",
)

# %% [markdown]
# One seed proves little. The ledger has the same three models on MNIST for three seeds each, with a judge of its own for every seed, and a fourth row: the full model with β = 1 from the first step, without the detour.

# %%
from vae_course import results

columns = {
    "asked": 3,
    "variance": 3,
    "swap": 3,
    "linear": 3,
    "neighbours": 3,
    "loss": 1,
}  # decimals
rows = results.load("conditional")["figures"]["table"]
print(f"{'mean ± standard deviation':24}", *(f"{column:>13}" for column in columns))
for name in dict.fromkeys(row["model"] for row in rows):
    table = torch.tensor(
        [[row[column] for column in columns] for row in rows if row["model"] == name]
    )
    cells = [
        f"{mean:.{places}f} ± {sd:.{places}f}"
        for mean, sd, places in zip(table.mean(0), table.std(0), columns.values(), strict=True)
    ]
    print(f"{name:24}", *(f"{cell:>13}" for cell in cells))

# %% [markdown]
# Compare the differences between rows with the spread within a row. The last row ends with the objective of the first, after as many steps, and yet it obeys less and leaks more: what was built in the beginning, the route through $z$, was not given up in time. But a larger leak need not mean less obedience: in the ledger the encoder without $c$ leaks more than the last row and still obeys better. It matters, too, how far the decoder trusts what $z$ says. The loss in the last column, −ELBO on the test set, does not show it: in this ledger it is even a little lower. The bound does not ask by which route the class arrives; whoever wants to give orders has to look at more than the bound.
#
# ## A bound on what?
#
# Print the loss of the three models side by side, and one might conclude that being told the class makes a better model of the images.

# %%
for name in found:
    terms = training.evaluate(models[name], (test_x, test_y))
    of = "p(x)" if name == "decoder without c" else "p(x|c)"
    print(
        f"{name:18} −ELBO {terms['loss']:7.2f}   rec {terms['rec']:6.2f}   KL {terms['kl']:5.2f}   bounds −log {of}"
    )

# %% [markdown]
# The rows do not bound the same thing. The decoder that is not told $c$ draws every image from one distribution: its bound is on $\log p(x)$. The other two bound $\log p(x \mid c)$. How far apart may these be? By Bayes' rule, with ten equally frequent classes,
#
# $$\log p(x \mid c) - \log p(x) = \log\frac{p(c \mid x)}{p(c)} \le \log 10 = 2.30 \text{ nats},$$
#
# nearly all of it when the image leaves no doubt about its class: being told the class saves what it costs to say it. For a fair comparison, turn the conditional model into a model of $x$: choose $c$ at random, then draw. Each class has its bound, and together
#
# $$\log p(x) = \log \sum_{c} \tfrac{1}{10}\,p(x \mid c) \;\ge\; \log \sum_{c} \tfrac{1}{10}\,e^{\text{ELBO}(x, c)}.$$
#
# So we encode each of 1,000 test images ten times, once under each class. The ELBO is estimated by the mean over 8 samples of $z$, because noise in it would raise the sum of exponentials.


# %%
@torch.no_grad()
def elbos(model, x, draws=8):
    """ELBO(x, c) for every class c. x: (B, 1, 28, 28) -> (B, 10), in nats."""
    columns = []
    for k in range(10):
        c = torch.full((len(x),), k)
        each = [losses.negative_elbo(model, x, c)["loss"] for _ in range(draws)]
        columns.append(-torch.stack(each).mean(dim=0))
    return torch.stack(columns, dim=1)


# %%
runtime.seed(3)
by_class = elbos(model, test_x[:1_000])  # (1000, 10)
of_own = by_class.gather(1, test_y[:1_000, None])[:, 0]  # bounds log p(x|c)
of_any = by_class.logsumexp(dim=1) - math.log(10)  # bounds log p(x)
difference = (of_own - of_any).quantile(0.5).item()
print(f"−log p(x|c) ≤ {-of_own.mean():.2f} nats,  −log p(x) ≤ {-of_any.mean():.2f} nats")
print(f"difference for the median image: {difference:.4f},  log 10 = {math.log(10):.4f}")

# %% [markdown]
# Compare the second number with the row "decoder without c" above (that one is the mean over all test images, so it differs a little for that reason alone). What the conditional model seemed to be ahead by shrinks by the mean of that difference: $\log 10$ for an image that leaves no doubt about its class, less for one that does. What remains, if anything does, is a difference of two bounds. It may be that a mixture of ten classes is a richer model of $x$ than one Gaussian $z$ that has to make the classes out of noise, that the plain model's bound is looser, or that it was trained with a schedule made for the other; the bounds alone do not tell.
#
# And a by-product: the class under which an image has the largest bound is the model's own reading of it. No classifier was trained for that.

# %%
read = (by_class.argmax(dim=1) == test_y[:1_000]).float().mean().item()
print(f"read by the generative model: {read:.1%}   by the judge: {on_real:.1%}")

# %% [markdown]
# ## Ask for yours
#
# The sliders below move the latents that carry most KL; the menu chooses the class. **Run the cell**, set a hand with the sliders, then change the class. Or encode one of the first hundred test images, and ask for another digit in its hand. Without a kernel you see a still picture: one row for each slider, for the first class.

# %%
mu, logvar = latent.posteriors(model, test_x, test_y)
sliders = explorer.Explorer(
    lambda z, c: model.decode(z, c).sigmoid(),
    model.z_dim,
    kl=losses.kl_per_latent(mu, logvar).mean(dim=0),
    encode=lambda x, c: model.encode(x, c)[0],
    images=test_x[:100],
    labels=test_y[:100],
    classes=[str(k) for k in range(10)],
)
sliders.show()

# %% [markdown]
# **Try:** find a hand in which the 1 and the 7 can hardly be told apart. Is there a slider that changes only some of the digits? (A latent that only sevens use costs the other classes nothing: they leave it at the prior.)
#
# The next cell prints this lesson's main numbers for the automatic tests. You can pass over it.

# %% tags=["figures"]
figures = {"real": on_real, "report": report, "found": found, "kept": kept, "read": read}
figures = json.loads(json.dumps(figures), parse_float=lambda number: round(float(number), 4))
figures |= {"loss": round(full_loss["loss"], 2), "kl": round(full_loss["kl"], 2)}
figures |= {
    "bound_given_c": round(-of_own.mean().item(), 2),
    "bound": round(-of_any.mean().item(), 2),
}
print(json.dumps({"source": digits.source, **figures}))

# %% [markdown]
# ## Recap
#
# - You derived the bound on $\log p(x \mid c)$ by writing "given $c$" everywhere, and found it up to $\log 10$ nats away from a bound on $\log p(x)$, which ten conditional bounds give together.
# - You built a conditional VAE, asked it for each class, and saw and measured that one $z$ keeps its hand while the class changes.
# - You measured by swapping classes whether the condition is used, and by probes how much $z$ tells about it.
# - You judged samples by an independent classifier and by within-class variance, and met the collapsed model that passes the first alone.
#
# ## When something looks wrong
#
# | symptom | cause | fix |
# |---|---|---|
# | the class asked for changes nothing | the decoder is not told $c$, or listens to $z$ | put $c$ beside $z$; let β fall from a high value; check by swapping |
# | most samples obey, some mix two digits | $z$ leaks the class, and $N(0, I)$ draws a $z$ that contradicts $c$ | probe $z$; train longer; let β fall from a high value |
# | perfect accuracy, samples all alike | collapse: the decoder uses $c$ alone | within-class variance; lower β |
# | a probe above chance though encoder and decoder are told $c$ | not trained to the end, so that $q(z \mid c)$ still differs from class to class | look at $I(z; c)$ in nats before you worry |
# | the conditional model "beats" the plain one by about two nats | log p(x\|c) compared with log p(x) | sum over the classes first |
# | `one_hot` complains, or a wrong class is drawn | labels from 1, or float labels | labels are long, from 0 to classes − 1 |
#
# ## References
#
# - K. Sohn, H. Lee and X. Yan, *Learning Structured Output Representation using Deep Conditional Generative Models*, NeurIPS 2015: the conditional VAE, with a prior that depends on the condition.
# - D. P. Kingma, D. J. Rezende, S. Mohamed and M. Welling, *Semi-supervised Learning with Deep Generative Models*, 2014, [arXiv 1406.5298](https://arxiv.org/abs/1406.5298): the model M2 is this lesson's, with labels that may be missing; style and class on MNIST.
# - M. D. Hoffman and M. J. Johnson, *ELBO surgery: yet another way to carve up the variational evidence lower bound*, NeurIPS workshop 2016: the average KL in parts.
# - D. C. Castro, J. Tan, B. Kainz, E. Konukoglu and B. Glocker, *Morpho-MNIST: Quantitative Assessment and Diagnostics for Representation Learning*, 2019, [arXiv 1809.10780](https://arxiv.org/abs/1809.10780): slant and thickness of digits.
#
# **Exercises:** [sheet 09](../exercises/09_conditional_vae.ipynb) · **Next:** [15 · Faces at scale](15_celeba_gpu.ipynb)
