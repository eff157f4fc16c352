# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05 · Autoencoder against VAE
#
# You train one network with and without the two lines that make it a VAE, and measure what the V adds, and what it does not.

# %% [markdown] tags=["badges"]
# <!-- badges -->

# %% [markdown]
# **You will be able to**
#
# - write the losses of an autoencoder and of a VAE, and point at the difference;
# - sample from both in three ways, and say what a prior is good for;
# - judge samples by Fréchet distance, class entropy and nearest neighbour, and know what each ruler misses;
# - measure holes, smoothness and overfitting, in place of asserting them.
#
# *Time:* about 75 minutes; the computer works for about three of them. *Assumed:* [lesson 04](04_low_level_pytorch.ipynb); what a covariance is.

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
import json, torch, torch.nn.functional as F
from vae_course import data, generation, latent, losses, metrics, plots, results, runtime, training

# %% [markdown]
# An **autoencoder** (AE) is older than the VAE: an encoder, a decoder, and a loss that asks for nothing but good reconstructions. It is often said that an AE cannot generate, that its latent space is full of holes, and that the V repairs all of this. Each of these claims can be measured, and not all of them survive.

# %%
rng = runtime.seed(0)
digits = data.load_digits()
train_x = digits.train_x[: runtime.steps(60_000, 3_000)]
train_y = digits.train_y[: len(train_x)]
test_x = digits.test_x[: runtime.steps(10_000, 1_000)]

# %% [markdown]
# ## One network, two losses
#
# First the loss of the autoencoder. It uses the network of a VAE, and leaves half of the encoder's answer unused.


# %%
def autoencoder_loss(model, x):
    """x: (B, 1, 28, 28) -> loss, rec: (B,) each, in nats."""
    mu, _ = model.encode(x)  # (B, D); the log-variance is not used
    z = mu
    logits = model.decode(z)  # (B, 1, 28, 28)
    rec = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=(1, 2, 3))
    return {"loss": rec, "rec": rec}


# %% [markdown]
# Two lines are new in the VAE's loss, and with them the total. One adds noise to the code, the other charges, in nats, for each code's distance from the prior. (The formulas are those of [lesson 02](02_numpy_forward.ipynb).)


# %%
def vae_loss(model, x):
    """x: (B, 1, 28, 28) -> loss, rec, kl: (B,) each, in nats."""
    mu, logvar = model.encode(x)
    z = mu + (0.5 * logvar).exp() * torch.randn_like(mu)  # new: a sample of q(z|x), not its mean
    logits = model.decode(z)
    rec = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=(1, 2, 3))
    kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(dim=1)  # new: the distance to N(0, I)
    return {"loss": rec + kl, "rec": rec, "kl": kl}  # new: both terms


# %% [markdown]
# The package has both: `losses.reconstruction_loss` and `losses.negative_elbo`. We check that they agree, and import from then on.

# %%
from vae_course.models.mlp import MLPVAE

model = MLPVAE(z_dim=16, hidden=(400,))
pairs = [(autoencoder_loss, losses.reconstruction_loss), (vae_loss, losses.negative_elbo)]
for ours, theirs in pairs:
    torch.manual_seed(1)
    by_hand = ours(model, test_x[:50])["loss"]
    torch.manual_seed(1)
    assert torch.allclose(by_hand, theirs(model, test_x[:50])["loss"])

# %% [markdown]
# Both start from the same weights and see the same images for the same number of steps.
#
# **Predict:** which of the two will rebuild test images with the smaller error?

# %%
LOSSES = {"AE": losses.reconstruction_loss, "VAE": losses.negative_elbo}
models = {}
for name, loss in LOSSES.items():
    runtime.seed(0)
    models[name] = MLPVAE(z_dim=16, hidden=(400,))
    training.fit(models[name], train_x, epochs=runtime.steps(8, 4), lr=2e-3, loss=loss)

# %%
test_mu = {name: latent.posteriors(m, test_x)[0] for name, m in models.items()}
with torch.no_grad():
    rebuilt = {name: m.decode(test_mu[name]).sigmoid() for name, m in models.items()}
mean_image = train_x.mean(dim=0).expand_as(test_x)
mse = {
    name: metrics.mse(images, test_x).mean().item()
    for name, images in {"mean image": mean_image, **rebuilt}.items()
}
print("mean squared error:", {name: round(value, 4) for name, value in mse.items()})
assert max(mse["AE"], mse["VAE"]) < mse["mean image"]

# %% [markdown]
# Nothing that the VAE's loss adds helps to rebuild an image: noise blurs the code, and the KL pays for saying less. So as long as there are enough images to learn from, the AE has the advantage by this ruler. What does the VAE get in return?
#
# ## Sampling from a prior that only one of them has
#
# The recipe of the VAE: draw $z$ from $N(0, I)$, decode.
#
# **Predict:** what comes out of the AE, if we do the same with it?

# %%
prior_z = torch.randn(runtime.steps(10_000, 1_000), 16, generator=rng)
with torch.no_grad():
    drawn = {name: m.decode(prior_z[:20]).sigmoid() for name, m in models.items()}
grid = plots.image_grid(
    torch.cat([drawn["AE"][:10], drawn["VAE"][:10]]),
    columns=10,
    row_labels=["AE", "VAE"],
    title="Both decoders, given the same ten draws from N(0, I)",
)
plots.show(
    grid,
    alt="Two rows of ten decoded pictures: the autoencoder's are mostly shapeless, several of the VAE's can be read as digits.",
)

# %% [markdown]
# This picture stands in many introductions, with the caption that an autoencoder cannot generate. But look at the codes that the two decoders were trained on. For the AE these are the means; for the VAE samples of $q(z \mid x)$, one for each image.

# %%
codes = {"AE": latent.posteriors(models["AE"], train_x)[0]}
codes["VAE"] = losses.reparameterize(*latent.posteriors(models["VAE"], train_x), generator=rng)
for name, z in codes.items():
    mean, std = z.mean(dim=0), z.std(dim=0)  # (16,) each
    print(f"{name:4} means {mean.min():5.1f} to {mean.max():4.1f}", end="   ")
    print(f"standard deviations {std.min():4.1f} to {std.max():4.1f}")

# %% [markdown]
# After a full training, the VAE's latents have means near 0 and standard deviations near 1, because the KL charged for anything else. The AE's loss contains no distribution at all, so its codes lie wherever the first weights and the optimiser happened to put them. $N(0, I)$ is nothing to the AE: asking it to decode such a $z$ is asking for directions in a city by the map of another.
#
# A fair question would be: can we *find out* where its codes lie, and sample there? The simplest attempt is a Gaussian with the codes' mean $m$ and covariance $S$. To sample from it, factor $S = LL^\top$ (Cholesky), and take $m + L\varepsilon$.


# %%
def fit_gaussian(codes):
    """codes: (N, D) -> mean (D,), factor (D, D) with factor @ factor.T = covariance."""
    mean = codes.mean(dim=0)
    centred = codes - mean
    cov = centred.T @ centred / len(codes)
    return mean, torch.linalg.cholesky(cov)


mean, factor = fit_gaussian(codes["AE"])
packaged = generation.fit_mixture(codes["AE"], components=1)
assert torch.allclose(mean, packaged.means[0], atol=1e-3)
assert torch.allclose(factor, packaged.factors[0], atol=1e-2)

# %% [markdown]
# A cloud of codes need not be one ellipsoid: ten kinds of digits may well lie in ten heaps. So the second attempt is a mixture of ten Gaussians, fitted by the EM algorithm (scikit-learn's, behind `generation.fit_mixture`). The labels are not used. Fitting a density to codes after the training has a name, *ex-post density estimation* (Ghosh et al., 2020).
#
# To be fair, the VAE gets both, too.

# %%
samples = {}  # (model, where z comes from) -> pictures
for name, m in models.items():
    sources = {"N(0, I)": prior_z}
    for words, k in {"Gaussian": 1, "mixture": 10}.items():
        fitted = generation.fit_mixture(codes[name][:20_000], components=k)
        sources[words] = fitted.sample(len(prior_z), generator=rng)
    with torch.no_grad():
        for words, z in sources.items():
            samples[name, words] = z, m.decode(z).sigmoid()

# %%
grid = plots.image_grid(
    torch.cat([pictures[:10] for _, pictures in samples.values()]),
    columns=10,
    row_labels=[f"{name}, {words}" for name, words in samples],
    title="Where z comes from decides, more than the letter V",
)
plots.show(
    grid,
    alt="Six rows of samples. The autoencoder's improve from N(0, I) to a fitted Gaussian to a fitted mixture; the VAE's improve less, because they start better.",
)

# %% [markdown]
# ## Four rulers for samples
#
# Eyes tire, and they like what they have just predicted. So we want numbers. There is nothing to compare a sample with pixel by pixel, hence they compare crowds: many samples with many real digits.
#
# The judge is a small classifier of digits. It is trained on real digits with their labels, and never sees a decoded picture.

# %%
from vae_course.models.classifier import DigitClassifier, classification_loss

runtime.seed(0)
judge = DigitClassifier()
training.fit(judge, (train_x, train_y), epochs=3, lr=4e-3, loss=classification_loss)
test_y = digits.test_y[: len(test_x)]
found = training.evaluate(judge, (test_x, test_y), loss=classification_loss)
print(f"the judge reads {found['accuracy']:.1%} of the test digits correctly")

# %% [markdown]
# **Fréchet distance.** The judge's last hidden layer describes a picture by 64 numbers, its *features*. Describe both crowds by mean $m$ and covariance $S$ of their features, and take the (squared) Fréchet distance between the two Gaussians:
#
# $$d^2 = \lVert m_a - m_b\rVert^2 + \operatorname{tr}\!\big(S_a + S_b - 2\,(S_a S_b)^{1/2}\big).$$
#
# The trace of the square root is the sum of the square roots of the eigenvalues of $S_aS_b$. With features of the Inception network for photographs this is the well-known FID (Heusel et al., 2017). Ours uses another network, so its values compare with each other and with no published number.


# %%
def frechet_distance(a, b):
    """Features (N, F), (M, F) -> one number, in float64."""
    a, b = a.double(), b.double()
    between_means = ((a.mean(dim=0) - b.mean(dim=0)) ** 2).sum()
    cov_a, cov_b = a.T.cov(), b.T.cov()
    root = torch.linalg.eigvals(cov_a @ cov_b).real.clamp(min=0).sqrt().sum()
    return (between_means + cov_a.trace() + cov_b.trace() - 2 * root).item()


# %% [markdown]
# **Class entropy.** Average the judge's ten probabilities over the crowd, and take the entropy. It is $\ln 10 \approx 2.303$ nats if all digits are equally frequent, and 0 if the judge is sure to see one and the same digit everywhere. Beside it stands how **undecided** the judge is: the entropy of each picture's own probabilities, averaged. Good samples have a high value of the first, and a low one of the second.


# %%
def class_entropy(probabilities):
    """(N, 10) -> one number, in nats."""
    p = probabilities.mean(dim=0)
    return -torch.special.xlogy(p, p).sum().item()


# %% [markdown]
# **Nearest neighbour.** The Euclidean distance, over pixels, from a sample to the most similar training image. Nothing but this would notice a model that hands out its training images.
#
# All three stand in `generation`. The next cell puts the rulers side by side in one function, and checks our two against the package's.

# %%
train_features = judge.features(train_x)


def measure(pictures):
    """Four rulers for pictures (N, 1, 28, 28)."""
    probabilities = judge.probabilities(pictures)
    near = generation.nearest_neighbour_distance(pictures[:500], train_x)
    return {
        "Fréchet": generation.frechet_distance(judge.features(pictures), train_features),
        "class entropy": generation.class_entropy(probabilities),
        "undecided": generation.entropy(probabilities).mean().item(),
        "nearest": near.mean().item(),
    }


ours = frechet_distance(judge.features(test_x), train_features)
assert abs(ours - measure(test_x)["Fréchet"]) < 1e-4 * ours
assert abs(class_entropy(judge.probabilities(test_x)) - measure(test_x)["class entropy"]) < 1e-6

# %% [markdown]
# A ruler is tested on things whose length is known. Four crowds that no model made: test images, which are as good as samples can be; training images, handed out again; the mean image, again and again; and noise.
#
# **Predict:** which of the four crowds gets the best Fréchet distance?

# %%
known = {
    "test images": test_x,
    "training images": train_x[torch.randperm(len(train_x), generator=rng)[: len(test_x)]],
    "the mean image": mean_image,
    "noise": torch.rand(test_x.shape, generator=rng),
}
table = {name: measure(pictures) for name, pictures in known.items()}
assert table["training images"]["nearest"] == 0 < table["test images"]["nearest"]
assert table["test images"]["Fréchet"] < table["noise"]["Fréchet"]


# %%
def print_table(table):
    columns = list(next(iter(table.values())))
    print(f"{'':20}" + "".join(f"{column:>15}" for column in columns))
    for name, row in table.items():
        print(f"{name:20}" + "".join(f"{row[column]:15.3f}" for column in columns))


print_table(table)

# %% [markdown]
# The training images win: the Fréchet distance is a measure of likeness, and nothing is more alike than a copy. Only the last column convicts them. (Test images do not reach a distance of 0, because crowds are finite, and because the judge has learned from the training images. The mean image's two entropies are equal, since its crowd is a single picture.)
#
# The last column of the test images shows how near a new, honest digit comes to one that was seen; samples far below it would be copies. Far above it, they look like nothing that was seen. (A little below is no crime: smooth pictures lie nearer to everything than sharp ones do, as the mean image shows when compared with noise.)
#
# Now the six ways of sampling, and for comparison the reconstructions of the test images, which tell what the decoder can do at best.
#
# **Predict:** a Gaussian or a mixture, fitted to the codes of the AE, against the VAE's own $N(0, I)$: who gets the smaller Fréchet distance?

# %%
for name in models:
    table[f"{name}, rebuilt"] = measure(rebuilt[name])
    for words in ("N(0, I)", "Gaussian", "mixture"):
        table[f"{name}, {words}"] = measure(samples[name, words][1])
print_table(table)
assert table["AE, mixture"]["Fréchet"] < table["AE, N(0, I)"]["Fréchet"]

# %% [markdown]
# Compare the rows with $N(0, I)$ with those of the fitted densities. For the AE it matters most where $z$ comes from: $N(0, I)$ is hopeless, and with a density fitted to its codes it generates after all. Now compare these two rows with the VAE's own $N(0, I)$: in a full run the answer to the question above is in favour of the AE. So "an autoencoder cannot generate" confuses a missing part with a broken one. What the AE lacks is a prior; as soon as somebody fits one, it has one.
#
# The VAE was trained with a prior, and can be sampled at once. But it gains from a fitted density, too, which says something about it: its codes, all images together, are *not* distributed as $N(0, I)$. The KL pulls each $q(z \mid x)$ towards the prior, and the reconstruction term pulls them apart again. Where the prior has mass and the codes have none, the decoder was never trained: these are the VAE's holes.
#
# ## Holes, by a formula
#
# How much of a distribution falls into holes? For digits the judge can tell: a draw $z$ lies in a hole if the judge finds no digit in its picture, that is, gives no class a probability of 0.9.
#
# $$\text{hole share} = \text{the share of draws } z \text{ with } \max_c\, p(c \mid \text{picture of } z) < 0.9.$$
#
# Real digits have such a share, too, and it is the one to compare with. A lower one is no merit: a model that draws one clear digit again and again scores 0. A prior is called **complete** if its draws score hardly more.


# %%
def hole_share(probabilities):
    """(N, 10) -> the share of pictures in which the judge finds no digit."""
    return (probabilities.amax(dim=1) < 0.9).float().mean().item()


# %%
crowds = {"test images": test_x, "noise": known["noise"]}
crowds |= {f"{name}, {words}": pictures for (name, words), (_, pictures) in samples.items()}
holes = {name: hole_share(judge.probabilities(pictures)) for name, pictures in crowds.items()}
for name, share in holes.items():
    print(f"{name:16} {share:6.1%} without a digit")
assert holes["noise"] == generation.hole_share(judge.probabilities(known["noise"]))

# %% [markdown]
# (The second row is a test of the ruler: what share of pure noise does it find out?) A Gaussian, fitted or not, is one simple shape. The codes of ten kinds of digits are not, so in 16 dimensions a good part of it lies between them, for the VAE as well.
#
# In two dimensions we can look at it. Two more models, with $z$ on a plane:

# %%
planes = {}
for name, loss in LOSSES.items():
    runtime.seed(0)
    planes[name] = MLPVAE(z_dim=2, hidden=(400,))
    training.fit(planes[name], train_x, epochs=runtime.steps(6, 2), lr=2e-3, loss=loss)
plane_mu = {name: latent.posteriors(m, test_x)[0] for name, m in planes.items()}

# %% [markdown]
# The next picture shows the codes of test digits, each as its digit, in both planes. Behind them, the judge: light where it finds a digit in the decoder's picture, dark in the holes. 95 % of the prior lies inside the circle.
#
# **Predict:** how large will the circle be in the plane of the AE, and what will lie in it?


# %%
@torch.no_grad()
def certainty(model, ax):
    """The judge's largest probability on a grid over the axes. -> (60, 60)."""
    x, y = torch.linspace(*ax.get_xlim(), 60), torch.linspace(*ax.get_ylim(), 60)
    z = torch.cartesian_prod(y, x).flip(1)  # (3600, 2)
    return judge.probabilities(model.decode(z).sigmoid()).amax(dim=1).reshape(60, 60)


# %%
import math
import matplotlib.pyplot as plt

_, axes = plt.subplots(1, 2, figsize=(9, 4.4))
for ax, (name, mu) in zip(axes, plane_mu.items(), strict=True):
    for digit in range(10):
        points = mu[:500][test_y[:500] == digit]
        ax.scatter(*points.T, s=14, marker=f"${digit}$", linewidth=0.3, color=plt.cm.tab10(digit))
    circle = plt.Circle((0, 0), math.sqrt(-2 * math.log(0.05)), fill=False, linewidth=2)
    ax.add_patch(circle)
    ax.set(title=f"{name}: codes, and the prior's circle", xlabel="latent 1", ylabel="latent 2")
    extent = (*ax.get_xlim(), *ax.get_ylim())
    ax.imshow(certainty(planes[name], ax), cmap="gray", vmin=-1, extent=extent, origin="lower")
    ax.set_aspect("equal")
plots.show(
    axes[0].figure,
    alt="Two scatter plots of codes in the plane, each code drawn as its digit, over a map of the judge's certainty. The autoencoder's codes spread over a region of its own, of which the prior's circle covers a part; the VAE's lie around the centre of the circle.",
)

# %% [markdown]
# The dark seams are borders between digits: any model that keeps digits apart on a plane has some. Do not trust a light region without codes. A classifier has to choose one of ten digits, and it may be quite sure of a picture that shows none of them; that is one reason for not judging samples by a classifier alone.
#
# So we look at what each decoder draws inside the circle: a grid of $z$ at equal steps of the prior's probability, so that each picture stands for the same share of it.

# %%
steps = torch.distributions.Normal(0, 1).icdf(torch.linspace(0.04, 0.96, 8))
z = torch.cartesian_prod(steps.flip(0), steps).flip(
    1
)  # (64, 2): latent 2 upwards, latent 1 to the right
_, axes = plt.subplots(1, 2, figsize=(8, 4.1))
for ax, (name, m) in zip(axes, planes.items(), strict=True):
    with torch.no_grad():
        pictures = m.decode(z).sigmoid()
    plots.image_grid(pictures, columns=8, title=f"{name}: the middle 92 % of each latent", ax=ax)
plots.show(
    axes[0].figure,
    alt="Two grids of decoded pictures over the prior. After a full training the VAE's shows several kinds of digits, the autoencoder's few, and shapes that are none.",
)

# %% [markdown]
# The plane of the AE has all the digits somewhere, but the prior looks at a small part of it, and where no code lies the decoder need not draw a digit. In the VAE's plane most codes lie inside it, though not all ([lesson 06](06_latent_space.ipynb) counts them). That is less than *completeness* as defined above: not every point is a good digit (look between two digits), but the place to look is known in advance.
#
# ## Are the ways between codes smooth?
#
# The other common claim is *continuity*: that a VAE's pictures change smoothly when $z$ does, and an AE's jump. Take the codes of two test images, walk from one to the other in 20 equal steps of $z$, and decode. With $s_k$ the Euclidean distance between picture $k$ and the next,
#
# $$\text{unevenness} = \frac{\max_k s_k}{\operatorname{mean}_k s_k}, \qquad \text{detour} = \frac{\sum_k s_k}{\lVert x_{\text{last}} - x_{\text{first}}\rVert}.$$
#
# Both are at least 1. The first is large where a line stands still and then jumps, the second where it wanders.


# %%
def unevenness(frames):
    """frames: (L, T, 1, 28, 28), L lines of T pictures -> (L,)."""
    s = (frames[:, 1:] - frames[:, :-1]).flatten(2).norm(dim=2)  # (L, T - 1)
    return s.amax(dim=1) / s.mean(dim=1)


def detour(frames):
    s = (frames[:, 1:] - frames[:, :-1]).flatten(2).norm(dim=2)
    return s.sum(dim=1) / (frames[:, -1] - frames[:, 0]).flatten(1).norm(dim=1)


# %% [markdown]
# Once more something whose length is known: the **cross-fade**, which makes one image more transparent while the other appears. It has no model in it, and a decoder should beat it.
#
# **Predict:** will it?

# %%
n = runtime.steps(500, 100)
t = torch.linspace(0, 1, 21)[None, :, None, None, None]
first, last = test_x[:n, None], test_x[n : 2 * n, None]
lines = {"cross-fade": (1 - t) * first + t * last}  # (n, 21, 1, 28, 28)
for name, m in models.items():
    lines[name] = generation.decoded_lines(m, test_mu[name][:n], test_mu[name][n : 2 * n], steps=20)

# %%
smooth = {}
for name, frames in lines.items():
    middle = frames[:, 10]
    smooth[name] = {
        "unevenness": unevenness(frames).mean().item(),
        "detour": detour(frames).mean().item(),
        "mid undecided": generation.entropy(judge.probabilities(middle)).mean().item(),
        "mid nearest": generation.nearest_neighbour_distance(middle, train_x).mean().item(),
    }
print_table(smooth)
assert smooth["cross-fade"]["unevenness"] < 1.001 > smooth["cross-fade"]["detour"] - 1e-3

# %% [markdown]
# The cross-fade is perfectly even and takes no detour: both formulas are blind to what a picture shows. So two columns look at the pictures half-way. The judge is often undecided there, whoever drew them: half-way from a 3 to a 7 there need be no digit. The distance to the nearest training image tells more. And here is one line for the eye.

# %%
other = int((test_y[n : 2 * n] != test_y[:n]).nonzero()[0])  # a line between two different digits
grid = plots.image_grid(
    torch.cat([frames[other, ::2] for frames in lines.values()]),
    columns=11,
    row_labels=list(lines),
    title="Three ways from one digit to another",
)
plots.show(
    grid,
    alt="Three rows of eleven pictures from one digit to another: the cross-fade shows both at once, the two decoders change the shape of the strokes.",
)

# %% [markdown]
# The cross-fade shows both digits at once; a decoder bends strokes. A network of this kind is a smooth function whatever its loss, and with many images to connect, an AE learns to connect them, too. Whether the V makes lines smoother is a question for more than one seed; we return to it at the end.
#
# ## Few images
#
# So far there were many training images. Now there are few, and the models train for many epochs. We follow the reconstruction term at $z = \mu$ for both, on training and test images: the same ruler for all. A third model shows which of the two new lines matters: it gets the noise without the KL (β = 0).
#
# **Predict:** the AE rebuilds its training images better than the VAE. Will it also rebuild the test images better?

# %%
few_x = train_x[: runtime.steps(2_000, 500)]
epochs = runtime.steps(100, 10)


def train_on_few(loss):
    """A model, and its reconstruction term on training and test images ten times on the way."""
    runtime.seed(0)
    model = MLPVAE(z_dim=16, hidden=(400,))
    curve = {"training": [], "test": []}

    def follow(epoch):
        if epoch % (epochs // 10) == 0:
            for words, x in (("training", few_x), ("test", test_x)):
                terms = training.evaluate(model, x, loss=losses.reconstruction_loss)
                curve[words].append(terms["rec"])

    training.fit(model, few_x, epochs=epochs, lr=2e-3, loss=loss, after_epoch=follow)
    return model, curve


# %%
runs = LOSSES | {"noise, no KL": lambda model, x: losses.negative_elbo(model, x, beta=0.0)}
followed = {name: train_on_few(loss) for name, loss in runs.items()}

# %% [markdown]
# The first lines of the result compare the noise with the spread of the codes, for the two models that have noise.

# %%
gap = {}
for name, (model, curve) in followed.items():
    train, test = curve["training"][-1], curve["test"][-1]
    gap[name] = {"training": train, "test": test, "gap": test - train}
    if name != "AE":  # whose log-variances were never trained
        mu, logvar = latent.posteriors(model, test_x)
        noise = ((0.5 * logvar).exp().mean(dim=0) / mu.std(dim=0)).mean().item()
        print(f"{name}: noise σ is {noise:.3f} of the spread of the codes, on average")
print_table(gap)

# %%
ax = plots.curves(
    range(epochs // 10, epochs + 1, epochs // 10),
    {
        f"{name}, {words}": followed[name][1][words]
        for name in LOSSES
        for words in ("training", "test")
    },
    title=f"Trained on {len(few_x):,} images: two gaps between training and test",
    xlabel="epoch",
    ylabel="reconstruction at z = μ (nats per image)",
)
ax.set_ylim(top=2 * min(followed["VAE"][1]["test"]))  # the first epochs lie far above
plots.show(
    ax,
    alt="Reconstruction loss over the epochs. In the long run the autoencoder's training curve is the lowest, and its distance to its test curve is larger than the VAE's.",
)

# %% [markdown]
# The distance between a model's two curves is what it learned about its training images and nothing else. In a long run the AE's is the wider one, and its test curve may even rise while its training curve falls: **overfitting**. The KL works against it, because details of a single image cost nats.
#
# The third row tells what the noise does alone. Nothing holds σ up without the KL, and in a long run the encoder shrinks it compared with its codes until it does not matter. What then remains is an AE.
#
# ## Three seeds
#
# One run of one seed decides nothing. The ledger of the course has the whole experiment three times, each with new first weights, new batches and new draws, on MNIST: mean ± standard deviation.

# %%
record = results.load("autoencoder")
rows = record["figures"]["table"]
print(f"{'':42}{'AE':>18}{'VAE':>18}{'reference':>12}")
for row in rows:
    print(f"{row['measure']:42}{row['AE']:>18}{row['VAE']:>18}{row['reference']:>12}")

# %% [markdown]
# The last column holds what test images get, and for the lines the cross-fade between two of them. Row by row:
#
# - **Reconstruction.** The AE has the smaller error, and its pictures the smaller Fréchet distance.
# - **Samples from $N(0, I)$.** The VAE's are far better. But this compares a model with a prior to a model without.
# - **Samples from fitted densities.** Both models gain, and the advantage of the VAE is gone: by the Fréchet distance, the AE's samples from a mixture are the better ones, and they beat those that the VAE draws from its own prior. (A single sample of the VAE lies nearer to a training image, as smoother pictures do.) Neither hands out copies of its training images.
# - **Lines.** The AE's do not jump: their steps are, if anything, the more even ones. They take longer detours, and half-way they are farther from the nearest training image; a part of that may be sharpness, for so are the AE's reconstructions (row *rebuilt*). The V makes ways shorter, not possible.
# - **Few images.** The VAE's gap is much the smaller one, and here it wins at reconstruction, too: on the images that count, those it has not seen.
#
# So what does the V add? A *distribution*. Because the VAE comes with a prior, it can be sampled without fitting anything afterwards; where the reconstruction term is the logarithm of a true likelihood, −ELBO bounds $-\log p(x)$ from above, so that models can be compared, up to the gap of the bound (on grey pixels the Bernoulli term is no likelihood: [lesson 04](04_low_level_pytorch.ipynb)); the KL is at least what a code tells, in nats; and where images are few, it keeps the model from learning them quite so well by heart. What it does not add is better reconstructions, or by itself better samples.
#
# The second recipe, an autoencoder and then a density fitted to its codes, is not a poor relative. Large image generators work this way (Rombach et al., 2022): an autoencoder, in one variant with a KL of tiny weight, and a strong model of its codes.
#
# The next cell prints this lesson's main numbers for the automatic tests. You can pass over it.

# %% tags=["figures"]
figures = {"mse": mse, "samples": table, "holes": holes, "lines": smooth, "gap": gap}
rounded = {
    name: {
        row: {k: round(v, 4) for k, v in cells.items()}
        if isinstance(cells, dict)
        else round(cells, 5)
        for row, cells in rows.items()
    }
    for name, rows in figures.items()
}
print(json.dumps({"source": digits.source, **rounded}, ensure_ascii=False))

# %% [markdown]
# ## Recap
#
# - You wrote the losses of an autoencoder and of a VAE, and saw that two lines are the difference.
# - You sampled both in three ways, and saw that the autoencoder generates as soon as somebody fits a density to its codes: only the VAE comes with a prior.
# - You wrote the Fréchet distance and the class entropy, read them beside the nearest neighbour, and tested each ruler on crowds whose answer was known.
# - You measured holes, smoothness and overfitting by formulas, with and without the KL, and compared three seeds.
#
# ## When something looks wrong
#
# | symptom | cause | fix |
# |---|---|---|
# | an autoencoder's samples are shapeless | $z$ was drawn from $N(0, I)$, which its codes know nothing about | fit a Gaussian or a mixture to its codes first |
# | a VAE's samples are worse than its reconstructions | its codes, all together, are not $N(0, I)$ | fit a density to samples of $q(z \mid x)$, or weigh the KL more |
# | a perfect Fréchet distance | training images were copied | the distance to the nearest training image |
# | a Fréchet distance unlike anybody else's | other features, other sample sizes | compare only within one network and one size |
# | "a covariance of 64 features needs more than 64 samples" | too few pictures for the Fréchet distance | take some thousands |
# | the test loss rises while the training loss falls | overfitting | fewer epochs, more images, or the KL |
#
# ## References
#
# - P. Ghosh, M. S. M. Sajjadi, A. Vergari, M. Black and B. Schölkopf, *From Variational to Deterministic Autoencoders*, 2020, [arXiv 1903.12436](https://arxiv.org/abs/1903.12436): a density fitted to an autoencoder's codes.
# - M. Heusel, H. Ramsauer, T. Unterthiner, B. Nessler and S. Hochreiter, *GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium*, 2017, [arXiv 1706.08500](https://arxiv.org/abs/1706.08500): the Fréchet distance on features.
# - T. Salimans, I. Goodfellow, W. Zaremba, V. Cheung, A. Radford and X. Chen, *Improved Techniques for Training GANs*, 2016, [arXiv 1606.03498](https://arxiv.org/abs/1606.03498): entropies of a judge's predictions.
# - M. D. Hoffman and M. J. Johnson, *ELBO surgery: yet another way to carve up the variational evidence lower bound*, 2016, NIPS Workshop on Advances in Approximate Bayesian Inference: why all codes together differ from the prior.
# - R. Rombach, A. Blattmann, D. Lorenz, P. Esser and B. Ommer, *High-Resolution Image Synthesis with Latent Diffusion Models*, 2022, [arXiv 2112.10752](https://arxiv.org/abs/2112.10752).
#
# **Exercises:** [sheet 05](../exercises/05_autoencoder_vs_vae.ipynb) · **Next:** [06 · Inside the latent space](06_latent_space.ipynb)
