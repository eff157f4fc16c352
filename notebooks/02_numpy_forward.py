# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 · One forward pass in NumPy
#
# Here you write everything that a VAE computes for a batch of digits, number by number, and end with the same loss as PyTorch to the last digit that matters.

# %% [markdown] tags=["badges"]
# <!-- badges -->

# %% [markdown]
# **You will be able to**
#
# - write a VAE's forward pass in NumPy, with the shape of every array in mind;
# - compute a Bernoulli log-likelihood from logits without overflow;
# - predict the loss of a network that knows nothing, and of one that knows the mean image;
# - show that two implementations compute the same thing.
#
# *Time:* about 60 minutes; the computer works for less than one of them. *Assumed:* the ELBO and the Gaussian KL ([lesson 01](01_elbo.ipynb)); NumPy's broadcasting.

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
import json, numpy as np
from vae_course import data, plots

# %% [markdown]
# ## What has to be computed
#
# Lesson 01 derived a bound; with its sign changed it becomes a loss. For one image $x$,
#
# $$-\text{ELBO}(x) = \underbrace{E_{q(z \mid x)}[-\log p(x \mid z)]}_{\texttt{rec}} + \underbrace{\mathrm{KL}\big(q(z \mid x)\,\|\,N(0, I)\big)}_{\texttt{kl}}.$$
#
# The two distributions come from two networks. The **encoder** maps $x$ to the mean and the log-variance of $q(z \mid x)$; the **decoder** maps $z$ to the parameters of $p(x \mid z)$. A forward pass is therefore five steps:
#
# | step | in | out |
# |---|---|---|
# | encode | `x` (B, 784) | `mu`, `logvar` (B, 20) each |
# | sample | `mu`, `logvar` | `z` (B, 20) |
# | decode | `z` | `logits` (B, 784) |
# | reconstruction term | `logits`, `x` | `rec` (B,) |
# | KL term | `mu`, `logvar` | `kl` (B,) |
#
# The expectation in `rec` is estimated by a single sample of $z$ for each image. That estimate is right on average, and averages over images and training steps smooth its noise. The KL needs no sample.
#
# `B` is the number of images in the batch. Each image keeps its own row from beginning to end: nothing in a VAE's forward pass mixes two images.
#
# ## The data as arrays
#
# The images come as PyTorch tensors; `.double().numpy()` turns them into NumPy arrays of double precision.

# %%
digits = data.load_digits()
x = digits.train_x[:100].flatten(1).double().numpy()  # (100, 784), in [0, 1]
print(x.shape, x.dtype, "from", x.min(), "to", x.max())

# %% [markdown]
# An image has become a row of 784 numbers. A fully connected network does not know which pixels are neighbours; you could shuffle the pixels, the same way in all images, and it would learn just as well. Lesson 04 uses convolutions instead.
#
# ## A layer
#
# A linear layer multiplies each row by a matrix and adds a vector: $h = xW^\top + b$. We store $W$ with the shape (out, in), as PyTorch does. The first weights are drawn at random between $-1/\sqrt{\text{in}}$ and $1/\sqrt{\text{in}}$, which keeps the numbers from growing on their way through the layers; they become somewhat smaller.


# %%
def linear(x, W, b):
    """x: (B, in), W: (out, in), b: (out,) -> (B, out)."""
    return x @ W.T + b


def new_layer(rng, n_in, n_out):
    bound = 1 / np.sqrt(n_in)
    return rng.uniform(-bound, bound, (n_out, n_in)), rng.uniform(-bound, bound, n_out)


# %% [markdown]
# Two linear layers in a row would only be another linear layer. Between them stands a bend, the **activation**; we use SiLU, $\text{silu}(a) = a \cdot \text{sigmoid}(a)$, which is smooth everywhere. (Lesson 03 compares derivatives with small differences, and a kink would disturb the comparison.)
#
# The sigmoid $1/(1 + e^{-a})$ itself needs a little care. For $a = -1000$ the textbook formula computes $e^{1000}$, which overflows. So for $a < 0$ we multiply numerator and denominator by $e^a$ and get $e^a/(1 + e^a)$. Both forms can be computed from $e^{-|a|}$, which is never larger than 1.


# %%
def sigmoid(a):
    small = np.exp(-np.abs(a))  # in (0, 1]: cannot overflow
    return np.where(a >= 0, 1, small) / (1 + small)


def silu(a):
    return a * sigmoid(a)


# %%
print("sigmoid of −1000, 0 and 1000:", sigmoid(np.array([-1000.0, 0.0, 1000.0])))

# %% [markdown]
# ## Encoder and decoder
#
# Both networks have one hidden layer of 400. The parameters live in a dictionary with telling names.

# %%
rng = np.random.default_rng(0)
params = {}
for name, n_in, n_out in [
    ("enc1", 784, 400),
    ("enc2", 400, 40),
    ("dec1", 20, 400),
    ("dec2", 400, 784),
]:
    params[f"{name}.W"], params[f"{name}.b"] = new_layer(rng, n_in, n_out)
print({name: value.shape for name, value in params.items()})
print(f"{sum(value.size for value in params.values()):,} parameters")

# %% [markdown]
# The encoder's last layer has 40 outputs: 20 means and 20 log-variances. Neither passes an activation, because each may be any real number. That is why networks return $\log\sigma^2$ and not $\sigma$: a standard deviation has to be positive, and $\sigma = e^{\frac12\log\sigma^2}$ always is.


# %%
def encode(params, x):
    """x: (B, 784) -> mu, logvar: (B, 20) each."""
    h = silu(linear(x, params["enc1.W"], params["enc1.b"]))  # (B, 400)
    out = linear(h, params["enc2.W"], params["enc2.b"])  # (B, 40)
    return out[:, :20], out[:, 20:]


def decode(params, z):
    """z: (B, 20) -> logits: (B, 784)."""
    h = silu(linear(z, params["dec1.W"], params["dec1.b"]))  # (B, 400)
    return linear(h, params["dec2.W"], params["dec2.b"])


# %% [markdown]
# The decoder returns **logits**: log-odds of each pixel being white, $\ell = \log\frac{p}{1-p}$. The probability is $p = \text{sigmoid}(\ell)$, and we compute it only where something is shown. Inside the loss we stay with logits; the reason follows in a moment.
#
# ## Drawing z
#
# We need samples of $N(\mu, \mathrm{diag}(\sigma^2))$, a different Gaussian for every row. Standard normal noise is stretched and shifted:
#
# $$z = \mu + \sigma \odot \varepsilon, \qquad \varepsilon \sim N(0, I), \qquad \sigma = e^{\frac12 \texttt{logvar}}.$$
#
# This way of writing a sample, with the noise outside, is the **reparameterisation**. Lesson 03 shows why training depends on it. Note the shape of `eps`: every image and every latent has noise of its own.


# %%
def reparameterize(mu, logvar, eps):
    """mu, logvar, eps: (B, D) -> z: (B, D)."""
    return mu + np.exp(0.5 * logvar) * eps


# %% [markdown]
# Is it the distribution we wanted? With $\mu = 2$ and $\sigma = 0.5$, mean and standard deviation of many samples must come close to these values.

# %%
z = reparameterize(
    np.full((100_000, 1), 2.0),
    np.full((100_000, 1), 2 * np.log(0.5)),
    rng.normal(size=(100_000, 1)),
)
print(f"mean {z.mean():.2f}, standard deviation {z.std():.2f}")
assert abs(z.mean() - 2) < 5 * 0.5 / np.sqrt(100_000)
assert abs(z.std() - 0.5) < 5 * 0.5 / np.sqrt(200_000)

# %% [markdown]
# ## The reconstruction term
#
# We treat each pixel as a coin: white with probability $m$, black with $1 - m$. The log-probability of one pixel $x_i$ is
#
# $$\log p(x_i \mid z) = x_i \log m_i + (1 - x_i)\log(1 - m_i), \qquad m_i = \text{sigmoid}(\ell_i).$$
#
# (Our pixels are grey, and a coin is never half white. The formula gives a number all the same; what that costs comes below.)
#
# Written like that, it breaks. When the network is sure, $m_i$ rounds to exactly 0 or 1, and the logarithm of 0 is $-\infty$:

# %%
with np.errstate(divide="ignore"):
    m = sigmoid(np.array([-1000.0]))
    print("a white pixel, and a decoder that is sure it is black:", np.log(m))

# %% [markdown]
# The cure is to do the algebra first. By the definition of the logit, $\log m - \log(1 - m) = \ell$, and $\log(1 - m) = -\log(1 + e^{\ell})$. So
#
# $$x \log m + (1 - x)\log(1 - m) = x\,[\log m - \log(1 - m)] + \log(1 - m) = x\,\ell - \log(1 + e^{\ell}),$$
#
# and $\log(1 + e^\ell) = \log(e^0 + e^\ell)$ is `np.logaddexp(0, l)`, which does not overflow. The log-probabilities of the pixels are **summed**: given $z$ they are independent coins, and probabilities of independent events multiply.


# %%
def bernoulli_log_likelihood(logits, x):
    """log p(x | z). (B, 784) twice -> (B,), in nats."""
    return (x * logits - np.logaddexp(0, logits)).sum(axis=1)


# %%
print("stable:", bernoulli_log_likelihood(np.array([[-1000.0]]), np.array([[1.0]])), "nats")

# %% [markdown]
# **Predict:** a decoder that returns logit 0 for every pixel says "I do not know" 784 times. What is its reconstruction term, and does it depend on the image?

# %%
rec_zero = -bernoulli_log_likelihood(np.zeros_like(x), x)
assert np.allclose(rec_zero, 784 * np.log(2))

# %% tags=["nbval-check-output"]
print(
    f"zero logits: {rec_zero.min():.1f} to {rec_zero.max():.1f} nats; 784 · ln 2 = {784 * np.log(2):.1f}"
)

# %% [markdown]
# One fair coin, $\ln 2$ nats, for each pixel and whatever the image. If a fresh network does not start near this number, look for a bug before training.
#
# The next step up is a decoder that ignores $z$ as well, but knows the average image. It answers with the logit of each pixel's mean brightness. On the training images, no decoder that ignores $z$ can do better. A VAE whose whole loss, `rec` plus `kl`, is not below this number has gained nothing from its latents.
#
# **Predict:** is the mean image's loss closer to 543 nats, or to half of that?

# %%
train = digits.train_x.flatten(1).double().numpy()  # (60000, 784)
test = digits.test_x.flatten(1).double().numpy()  # (10000, 784)
p_mean = train.mean(axis=0).clip(1e-5, 1 - 1e-5)  # some pixels are never white: finite logits


def logit(p):
    return np.log(p / (1 - p))


rec_mean = -bernoulli_log_likelihood(logit(p_mean), test).mean()

# %% [markdown]
# And the other end: how low can it get? With grey pixels even the perfect answer $m = x$ costs something. A pixel of brightness 0.5 is charged $\ln 2$ nats, as a coin would be. Only pixels that are black or white through and through are free.

# %%
p_perfect = test.clip(1e-12, 1 - 1e-12)
rec_perfect = -bernoulli_log_likelihood(logit(p_perfect), test).mean()
print(f"zero logits     {784 * np.log(2):6.1f} nats per image")
print(f"mean image      {rec_mean:6.1f}")
print(f"perfect         {rec_perfect:6.1f}")

# %% [markdown]
# The mean image is far cheaper than the coins: most pixels are black most of the time. And on grey images this loss is not the length of a code: a part of it, the last line, is charged whatever the model does. A loss on black-and-white pixels has no such part, so the two cannot be compared. It is a common objective all the same.
#
# One classic mistake can now be recognised by its number. If the decoder ends in a sigmoid, and the loss *then* treats its output as logits, the image is squashed twice. The "logits" then lie between 0 and 1, and the best loss that is still possible is the next line:

# %%
best_squashed = logit(p_perfect).clip(0, 1)  # the best that an output between 0 and 1 can do
print(
    f"squashed twice, at best: {-bernoulli_log_likelihood(best_squashed, test).mean():.0f} nats per image"
)

# %% [markdown]
# Hardly better than knowing nothing, and far from the mean image, however long the training lasts. Remember the number when a loss refuses to fall.
#
# ## The KL term
#
# Lesson 01 derived it and tested it against samples. The rows are images, so the sum runs over the latents, axis 1.


# %%
def kl_to_standard_normal(mu, logvar):
    """KL( N(mu, diag(exp(logvar))) || N(0, I) ). (B, D) twice -> (B,), in nats."""
    return 0.5 * (mu**2 + np.exp(logvar) - logvar - 1).sum(axis=1)


# %% [markdown]
# ## The whole pass
#
# The terms are returned with the loss, one number for each image. Averaging over the batch is left to the caller; averaging over pixels or latents would change their balance, and is left to nobody.


# %%
def negative_elbo(params, x, eps):
    """x: (B, 784), eps: (B, 20) -> loss, rec, kl: (B,) each, in nats."""
    mu, logvar = encode(params, x)
    z = reparameterize(mu, logvar, eps)
    rec = -bernoulli_log_likelihood(decode(params, z), x)
    kl = kl_to_standard_normal(mu, logvar)
    return {"loss": rec + kl, "rec": rec, "kl": kl}


# %% [markdown]
# **Predict:** for the untrained network, roughly how large are `rec` and `kl`? (What do small first weights mean for `mu` and `logvar`?)

# %%
eps = rng.normal(size=(100, 20))
terms = negative_elbo(params, x, eps)
for name, values in terms.items():
    print(f"{name:5} mean over the batch {values.mean():8.3f} nats")

# %% [markdown]
# `rec` lies a little above $784 \ln 2$: the logits are small random numbers instead of zeros, and random guesses are a little worse than none. `kl` is close to zero. A small KL is nothing to be proud of here: the encoder's outputs are nearly zero whatever the image, which means $\mu \approx 0$ and $\log\sigma^2 \approx 0$, the prior itself. The latents carry next to no information yet.
#
# What does the untrained model draw?

# %%
mu, logvar = encode(params, x[:10])
drawn = sigmoid(decode(params, reparameterize(mu, logvar, eps[:10])))
shown = np.concatenate([x[:10], drawn])
pair = plots.image_grid(
    shown.reshape(20, 1, 28, 28),
    columns=10,
    row_labels=["original", "untrained"],
    title="Before training, every image becomes the same grey",
)
plots.show(pair, alt="Ten digits above; below each the same kind of flat grey noise.")

# %% [markdown]
# The grey differs from image to image by hardly more than noise: what the decoder says depends on the digit next to not at all yet.
#
# ## The same in PyTorch
#
# The course's package has this very network. If we copy our weights into it and hand both the same image and the same noise, all numbers must agree. PyTorch computes in single precision unless told otherwise; `.double()` removes that difference.
#
# A PyTorch **tensor** is an array that can also record how it was computed, for derivatives; `torch.no_grad()` switches the record off. The encoder is a list of steps: 0 flattens the image, 1 and 3 are linear layers, 2 is SiLU. The decoder's linear layers are 0 and 2. `copy_` writes our numbers into them.

# %%
import torch

from vae_course import losses
from vae_course.models.mlp import MLPVAE

model = MLPVAE(z_dim=20, hidden=(400,)).double()
layers = [model.encoder[1], model.encoder[3], model.decoder[0], model.decoder[2]]
with torch.no_grad():
    for name, layer in zip(["enc1", "enc2", "dec1", "dec2"], layers, strict=True):
        layer.weight.copy_(torch.from_numpy(params[f"{name}.W"]))
        layer.bias.copy_(torch.from_numpy(params[f"{name}.b"]))

# %% [markdown]
# One thing differs between the two: where the noise comes from. We therefore do the sampling step by hand here, with our `eps`.

# %%
images = torch.from_numpy(x).reshape(-1, 1, 28, 28)  # (100, 1, 28, 28)
with torch.no_grad():
    mu, logvar = model.encode(images)
    logits = model.decode(mu + (0.5 * logvar).exp() * torch.from_numpy(eps))
    theirs = {
        "mu": mu,
        "logvar": logvar,
        "logits": logits.flatten(1),
        "rec": -losses.bernoulli_log_likelihood(logits, images),
        "kl": losses.kl_to_standard_normal(mu, logvar),
    }

# %%
our_mu, our_logvar = encode(params, x)
our_logits = decode(params, reparameterize(our_mu, our_logvar, eps))
ours = {
    "mu": our_mu,
    "logvar": our_logvar,
    "logits": our_logits,
    "rec": terms["rec"],
    "kl": terms["kl"],
}
difference = {name: float(np.abs(ours[name] - theirs[name].numpy()).max()) for name in ours}
assert max(difference.values()) <= 1e-6

# %% tags=["nbval-check-output"]
for name, value in difference.items():
    print(f"{name:7} NumPy and PyTorch agree to 1e-6: {value <= 1e-6}")

# %% [markdown]
# Two implementations that agree may still share a mistake in thought. They are unlikely to share a typing error.
#
# The next cell prints this lesson's main numbers for the automatic tests. You can pass over it.

# %% tags=["figures"]
figures = {
    "parity": max(difference.values()),
    "zero_logits": float(rec_zero.mean()),
    "mean_image": float(rec_mean),
    "perfect": float(rec_perfect),
}
print(json.dumps({"source": digits.source, **figures}))

# %% [markdown]
# ## Recap
#
# - You wrote a VAE's forward pass in NumPy: encode, sample, decode, two terms, with one row for each image throughout.
# - You computed the Bernoulli log-likelihood from logits, where the textbook formula fails.
# - You predicted the loss of a network that knows nothing ($784 \ln 2$) and of one that knows the mean image, and found the floor that grey pixels set.
# - You showed that NumPy and PyTorch agree on every intermediate result.
#
# ## When something looks wrong
#
# | symptom | cause | fix |
# |---|---|---|
# | the loss of a fresh network is far from 543 nats | pixels are not in [0, 1], or a sum became a mean | print `x.min()`, `x.max()` and the shape of `rec` |
# | `inf` or `nan` in `rec` | probabilities were computed before the logarithm | work from logits |
# | loss stuck a little above 500 nats | the output is squashed twice | the decoder returns logits; squash only where you show |
# | loss stuck near that of the mean image | the decoder ignores z, or its gradient is cut | [lesson 03](03_gradients.ipynb) tests samplers for that |
# | `kl` has the shape (20,) | the sum ran over the images, axis 0 | sum over latents, axis 1 |
# | the same images give another loss each time | z is drawn anew | fix `eps` when you compare |
#
# ## References
#
# - D. P. Kingma and M. Welling, *Auto-Encoding Variational Bayes*, 2014, [arXiv 1312.6114](https://arxiv.org/abs/1312.6114), appendix C: Bernoulli and Gaussian decoders.
# - G. Loaiza-Ganem and J. P. Cunningham, *The continuous Bernoulli: fixing a pervasive error in variational autoencoders*, 2019, [arXiv 1907.06845](https://arxiv.org/abs/1907.06845): a proper likelihood for grey pixels.
# - S. Elfwing, E. Uchibe and K. Doya, *Sigmoid-Weighted Linear Units*, 2017, [arXiv 1702.03118](https://arxiv.org/abs/1702.03118): SiLU.
#
# **Exercises:** [sheet 02](../exercises/02_numpy_forward.ipynb) · **Next:** [03 · Gradients through a sample](03_gradients.ipynb)
