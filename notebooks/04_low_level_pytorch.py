# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04 · A VAE from functions
#
# You build a convolutional VAE from tensors and functions alone, train it on digits, and then measure what other people's losses really weigh.

# %% [markdown] tags=["badges"]
# <!-- badges -->

# %% [markdown]
# **You will be able to**
#
# - write a convolutional VAE with `F.conv2d`, `F.linear` and `F.conv_transpose2d` on named tensors;
# - write its training loop, and read its curves;
# - choose between Bernoulli, Gaussian and Laplace likelihoods, and compare them fairly;
# - compute the β that an implementation hides in its sums and averages.
#
# *Time:* about 80 minutes; the computer works for about three of them. *Assumed:* [lesson 02](02_numpy_forward.ipynb) and [lesson 03](03_gradients.ipynb); what a convolution does.

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
import json, math, time, torch, torch.nn.functional as F
from vae_course import data, losses, metrics, plots, runtime, training

# %% [markdown]
# In lesson 02 you wrote the forward pass, in lesson 03 the gradients. From here on, PyTorch's autograd does the latter. What we still do by hand is everything that `torch.nn` would hide: parameters, shapes, sums. `F` is `torch.nn.functional`: the same operations as functions, with the parameters handed over at each call.

# %%
rng = runtime.seed(0)
digits = data.load_digits()
train_x = digits.train_x[: runtime.steps(60_000, 3_000)]
test_x = digits.test_x[: runtime.steps(10_000, 1_000)]

# %% [markdown]
# ## Shapes first
#
# A convolution slides a small window (here 3×3, the **kernel**) over the image. With **stride** 2 it moves two pixels at a time, so height and width are halved; **padding** 1 adds a border of zeros so that the window fits at the edge. A convolution with 32 kernels returns 32 images, its **channels**. For $n$ pixels along a side,
#
# $$n_{\text{out}} = \left\lfloor\frac{n + 2\,\text{padding} - \text{kernel}}{\text{stride}}\right\rfloor + 1,$$
#
# where $\lfloor\cdot\rfloor$ rounds down (`//` in Python).
#
# A **transposed** convolution goes the other way, and doubles: $n_{\text{out}} = (n - 1)\,\text{stride} - 2\,\text{padding} + \text{kernel} + \text{output padding}$. Several sizes become 7 under the first formula (13 and 14 do), so the second one needs to be told which of them is meant: that is the output padding. Without it, 7 would become 13.


# %%
def conv_size(n, kernel=3, stride=2, padding=1):
    return (n + 2 * padding - kernel) // stride + 1


def transposed_size(n, kernel=3, stride=2, padding=1, output_padding=1):
    return (n - 1) * stride - 2 * padding + kernel + output_padding


# %% tags=["nbval-check-output"]
print("down:", 28, conv_size(28), conv_size(conv_size(28)))
print("up:  ", 7, transposed_size(7), transposed_size(transposed_size(7)))

# %% [markdown]
# ## Parameters are named tensors
#
# This is the whole network: eight layers, each a weight and a bias. Weights of `F.linear` are (out, in), of `F.conv2d` (out, in, height, width), and of `F.conv_transpose2d` (in, out, height, width), with the first two exchanged.

# %%
Z_DIM = 20
WEIGHTS = {
    "conv1": (32, 1, 3, 3),  # 28×28 -> 14×14
    "conv2": (64, 32, 3, 3),  # 14×14 -> 7×7
    "enc": (256, 64 * 7 * 7),
    "head": (2 * Z_DIM, 256),  # mu beside logvar
    "dec1": (256, Z_DIM),
    "dec2": (64 * 7 * 7, 256),
    "deconv1": (64, 32, 3, 3),  # 7×7 -> 14×14
    "deconv2": (32, 1, 3, 3),  # 14×14 -> 28×28
}


# %% [markdown]
# Each starts uniformly between $\pm 1/\sqrt{n}$, as in lesson 02. Here $n$ is the size of the weight without its first dimension: the number of inputs of a unit, and for the transposed layers the count that PyTorch uses, too. `requires_grad_()` asks autograd to keep track of a tensor.


# %%
def new_parameters(generator):
    params = {}
    for name, shape in WEIGHTS.items():
        bound = torch.Size(shape[1:]).numel() ** -0.5
        outputs = shape[1] if name.startswith("deconv") else shape[0]
        params[f"{name}.weight"] = (
            torch.empty(shape).uniform_(-bound, bound, generator=generator).requires_grad_()
        )
        params[f"{name}.bias"] = (
            torch.empty(outputs).uniform_(-bound, bound, generator=generator).requires_grad_()
        )
    return params


params = new_parameters(rng)
print(f"{sum(p.numel() for p in params.values()):,} parameters")

# %% [markdown]
# ## Encoder and decoder
#
# The comment at the end of a line gives the shape of the result, wherever it changes. The activation is ReLU, $\max(0, a)$, which is cheaper than SiLU. `layer` fetches a weight and its bias by name.


# %%
def layer(params, name):
    return params[f"{name}.weight"], params[f"{name}.bias"]


def encode(params, x):
    """x: (B, 1, 28, 28) -> mu, logvar: (B, 20) each."""
    h = F.relu(F.conv2d(x, *layer(params, "conv1"), stride=2, padding=1))  # (B, 32, 14, 14)
    h = F.relu(F.conv2d(h, *layer(params, "conv2"), stride=2, padding=1))  # (B, 64, 7, 7)
    h = F.relu(F.linear(h.flatten(1), *layer(params, "enc")))  # (B, 256)
    mu, logvar = F.linear(h, *layer(params, "head")).chunk(2, dim=1)  # (B, 20) each
    return mu, logvar


# %% [markdown]
# The decoder runs the same way backwards. `unflatten` puts the 3,136 numbers of a row back into 64 channels of 7×7.


# %%
def decode(params, z):
    """z: (B, 20) -> logits: (B, 1, 28, 28)."""
    up = {"stride": 2, "padding": 1, "output_padding": 1}
    h = F.relu(F.linear(z, *layer(params, "dec1")))  # (B, 256)
    h = F.relu(F.linear(h, *layer(params, "dec2")))  # (B, 3136)
    h = h.unflatten(1, (64, 7, 7))  # (B, 64, 7, 7)
    h = F.relu(F.conv_transpose2d(h, *layer(params, "deconv1"), **up))  # (B, 32, 14, 14)
    return F.conv_transpose2d(h, *layer(params, "deconv2"), **up)  # (B, 1, 28, 28)


# %% [markdown]
# The decoder repeats the encoder's sizes in reverse order, except that the encoder ends with two numbers for each latent. The two share no weights.
#
# ## The loss
#
# The terms of lesson 02, in PyTorch. `binary_cross_entropy_with_logits` is minus the Bernoulli log-likelihood, computed from logits in the stable way. A **reduction** is the sum or mean that turns many numbers into one; `reduction="none"` keeps one number for each pixel, so that *we* say what is summed: pixels and latents. Only the training loop averages, over the batch.


# %%
def negative_elbo(params, x):
    """x: (B, 1, 28, 28) -> loss, rec, kl: (B,) each, in nats."""
    mu, logvar = encode(params, x)
    z = mu + (0.5 * logvar).exp() * torch.randn_like(mu)
    logits = decode(params, z)
    rec = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=(1, 2, 3))
    kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(dim=1)
    return {"loss": rec + kl, "rec": rec, "kl": kl}


# %% [markdown]
# **Predict:** what will `rec` and `kl` be before training? (Lesson 02 gives the answer.)

# %%
with torch.no_grad():
    print(
        {
            name: round(values.mean().item(), 2)
            for name, values in negative_elbo(params, train_x[:500]).items()
        }
    )

# %% [markdown]
# As in lesson 02: `rec` a little above $784\ln 2$, `kl` near zero.
#
# The course's package has the same network, built from `torch.nn` layers. With our parameters copied into it, it must give the same numbers. What was written by hand once can be imported from then on.

# %%
from vae_course.models.conv import ConvVAE

model = ConvVAE(z_dim=Z_DIM)
with torch.no_grad():
    for ours, theirs in zip(params.values(), model.parameters(), strict=True):
        theirs.copy_(ours)

# %%
with torch.no_grad():
    both = zip(encode(params, test_x[:50]), model.encode(test_x[:50]), strict=True)
    same_code = all(torch.allclose(ours, theirs, atol=1e-5) for ours, theirs in both)
    z = torch.randn(50, Z_DIM, generator=rng)
    same_logits = torch.allclose(decode(params, z), model.decode(z), atol=1e-5)
assert same_code
assert same_logits

# %% [markdown]
# ## The training loop
#
# Four steps for each batch: **forward** (compute the loss), **zero-grad** (forget the last batch's gradients), **backward** (compute the new ones), **step** (let Adam move the parameters).
#
# The learning rate rises in a straight line for the first 30 % of the steps, and then falls to zero along a cosine. Large steps in the middle get far, small steps at the end settle down; short runs usually profit (Smith and Topin, 2018).


# %%
def learning_rate(step, steps, peak=2e-3):
    """Up in a straight line for 30 % of the steps, then down to zero along a cosine."""
    rise = max(1.0, 0.3 * steps)
    if step < rise:
        return peak * min(1.0, (step + 1) / rise)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))


# %% [markdown]
# The test loss is computed in pieces of 1,000 images, without gradients.


# %%
@torch.no_grad()
def test_loss(params):
    parts = [
        negative_elbo(params, x)["loss"] for (x,) in data.batches(test_x, size=1000, shuffle=False)
    ]
    return torch.cat(parts).mean().item()


# %% [markdown]
# Now the training: every image once an epoch, in a new order. It takes a minute or two.

# %%
from tqdm import tqdm

epochs, batch_size = runtime.steps(9, 1), 128
steps = epochs * math.ceil(len(train_x) / batch_size)
optimizer = torch.optim.Adam(
    params.values(), lr=0.0, fused=True
)  # lr: see below; fused: the same, faster
curve = {"training": [], "test": []}
seconds, step = 0.0, 0
for _ in tqdm(range(epochs), "training", unit="epoch"):
    start, total = time.perf_counter(), 0.0
    for (x,) in data.batches(train_x, size=batch_size, generator=rng):
        optimizer.param_groups[0]["lr"] = learning_rate(step, steps)
        loss = negative_elbo(params, x)["loss"].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step, total = step + 1, total + loss.item() * len(x)
    seconds += time.perf_counter() - start
    curve["training"].append(total / len(train_x))
    curve["test"].append(test_loss(params))

# %%
mean_image = train_x.mean(dim=0).clamp(1e-5, 1 - 1e-5)
mean_logits = mean_image.logit().expand_as(test_x)
mean_loss = -losses.bernoulli_log_likelihood(mean_logits, test_x).mean().item()
print(f"test −ELBO at the end:  {curve['test'][-1]:.2f} nats per image (epochs: {epochs})")
print(f"the mean image alone:   {mean_loss:.2f}")
assert curve["test"][-1] < runtime.steps(mean_loss, 784 * math.log(2))

# %%
ax = plots.curves(
    range(1, epochs + 1),
    curve,
    title="The test loss follows the training loss",
    xlabel="epoch",
    ylabel="−ELBO (nats per image)",
)
plots.show(
    ax,
    alt="Training and test loss over the epochs, both falling, the test loss close to the training loss.",
)

# %% [markdown]
# Compare with lesson 02: zero logits cost 543 nats, and the printed mean image is what a decoder without $z$ can do.
#
# Read the two curves together. If the test curve turned up while the training curve still fell, the model would be memorising. A training curve above the test curve in the first epochs is no miracle: it is an average over an epoch in which the model was still worse.
#
# And the pictures. Reconstructions use the mean of $q(z \mid x)$; samples use noise alone.

# %%
with torch.no_grad():
    x = test_x[:10]
    rebuilt = decode(params, encode(params, x)[0]).sigmoid()
    samples = decode(params, torch.randn(30, Z_DIM, generator=rng)).sigmoid()

# %%
grid = plots.image_grid(
    torch.cat([x, rebuilt]),
    columns=10,
    row_labels=["original", "rebuilt"],
    title="Ten test digits, and what twenty numbers keep of them",
)
plots.show(
    grid,
    alt="Ten test digits and their reconstructions, which are close to the originals, slightly smoother.",
)

# %%
plots.show(
    plots.image_grid(samples, columns=10, title="Samples from the prior"),
    alt="Thirty generated digits; most can be read, a few are ambiguous shapes.",
)

# %% [markdown]
# ## Other likelihoods
#
# The Bernoulli likelihood treats grey as a coin. Two alternatives treat a pixel as a measured value, with the decoder's answer $m = \text{sigmoid}(\ell)$ as its mean:
#
# $$-\log N(x; m, \sigma^2) = \frac{(x - m)^2}{2\sigma^2} + \tfrac12\log(2\pi\sigma^2), \qquad
# -\log \text{Laplace}(x; m, b) = \frac{|x - m|}{b} + \log(2b),$$
#
# summed over the pixels: squared error, and absolute (L1) error. Both have a scale, and the scale is no detail. It sets the exchange rate between reconstruction and KL: with a large $\sigma^2$ a better reconstruction gains few nats, often fewer than the KL that a latent costs.
#
# (Attention: from here on σ is the noise of the *decoder*, the spread of $p(x \mid z)$. The encoder's σ, the spread of $q(z \mid x)$, appears in this section only as `logvar`.)
#
# Where should $\sigma^2$ come from? For $N$ pixel values with summed squared error $S$, the Gaussian term is $\frac{S}{2\sigma^2} + \frac N2\log\sigma^2$, and its derivative with respect to $\sigma^2$ is zero at $\sigma^2 = S/N$: the best shared $\sigma^2$ **is the mean squared error**. Likewise, the best $b$ is the mean absolute error. Computing them from each batch is one way to *calibrate* a decoder (Rybkin, Daniilidis and Levine, 2021).

# %%
likelihoods = {
    "Bernoulli": losses.bernoulli_log_likelihood,
    "Gaussian, σ² = 1": lambda logits, x: losses.gaussian_log_likelihood(
        logits.sigmoid(), x, var=1.0
    ),
    "Gaussian, calibrated": lambda logits, x: losses.gaussian_log_likelihood(
        logits.sigmoid(), x, var=((x - logits.sigmoid()) ** 2).mean()
    ),
    "Laplace, calibrated": lambda logits, x: losses.laplace_log_likelihood(
        logits.sigmoid(), x, scale=(x - logits.sigmoid()).abs().mean()
    ),
}

# %% [markdown]
# We train the same small network with each, for the same number of steps from the same first weights. `training.fit` is the loop you have just written, with the same learning rates.
#
# **Predict:** which of the four rebuilds most faithfully, and which most blurred?

# %%
from vae_course.models.mlp import MLPVAE


def likelihood_loss(log_likelihood):
    return lambda model, x: losses.negative_elbo(model, x, log_likelihood=log_likelihood)


trained = {}
for name, log_likelihood in likelihoods.items():
    runtime.seed(0)
    trained[name] = MLPVAE(z_dim=20, hidden=(400,))
    training.fit(
        trained[name],
        train_x,
        epochs=runtime.steps(4, 1),
        lr=2e-3,
        loss=likelihood_loss(log_likelihood),
    )

# %% [markdown]
# How to compare them? **Not by their losses.** The Bernoulli term on grey pixels is not a likelihood of anything. The other three are densities of the same pixels, but a density gains most where pixels never change, which no eye rewards. We need the same rulers for all: the mean squared error, which favours the Gaussians, since they were trained on it; the structural similarity (SSIM, 1 for equal images; Wang et al., 2004), which none was trained on; and our eyes. The first row of the table is the mean image, which knows nothing about the image it stands for.

# %%
with torch.no_grad():
    rebuilt = {name: m.decode(m.encode(test_x)[0]).sigmoid() for name, m in trained.items()}
rebuilt = {"the mean image": mean_image.expand_as(test_x), **rebuilt}
mse = {name: metrics.mse(images, test_x).mean().item() for name, images in rebuilt.items()}
ssim = {name: metrics.ssim(images, test_x).mean().item() for name, images in rebuilt.items()}
kl = {"the mean image": 0.0}
for name, m in trained.items():
    with torch.no_grad():
        kl[name] = losses.kl_to_standard_normal(*m.encode(test_x)).mean().item()

# %%
print(f"{'likelihood':22} {'MSE':>7} {'SSIM':>6} {'KL, nats':>9}")
for name in rebuilt:
    print(f"{name:22} {mse[name]:7.4f} {ssim[name]:6.3f} {kl[name]:9.1f}")

# %% [markdown]
# Now the eyes. First the reconstructions of ten test digits:

# %%
rows = torch.cat([test_x[:10], *(rebuilt[name][:10] for name in trained)])
grid = plots.image_grid(
    rows,
    columns=10,
    row_labels=["original", *trained],
    title="Reconstructions under four likelihoods",
)
plots.show(
    grid,
    alt="A row of ten originals and four rows of reconstructions; after a full training, those of the Gaussian with variance 1 are the most blurred.",
)

# %% [markdown]
# And samples, from the same ten $z$ for all four:

# %%
same_z = torch.randn(10, 20, generator=rng)
with torch.no_grad():
    pictures = [m.decode(same_z).sigmoid() for m in trained.values()]

# %%
grid = plots.image_grid(
    torch.cat(pictures),
    columns=10,
    row_labels=list(trained),
    title="Samples under four likelihoods",
)
plots.show(
    grid,
    alt="Four rows of samples; after a full training, those of the Gaussian with variance 1 are smooth; those of the calibrated ones have more contrast, and fewer of them are digits than in the first two rows.",
)

# %% [markdown]
# Compare with your guess. The KL column explains the two Gaussians, which differ in σ² alone. With σ² = 1, a pixel that is black where it should be white costs half a nat, so few latents are worth their KL: blurred, with a small KL. The calibrated one pays for a longer code and rebuilds more faithfully. The Laplace model minimises the absolute error, for which the best answer is the median and not the mean; beside the Bernoulli model, for instance, it may win by one ruler and lose by the other.
#
# Samples need not follow reconstructions, as far as ten of them can tell. The KL draws the codes of all images together towards $N(0, I)$, but beside a small σ² it weighs little, and does not make sure that they fill it: a $z$ drawn from the prior may fall where the decoder was hardly trained.
#
# To choose: Bernoulli for black-and-white pixels, and by custom for grey digits; a Gaussian with calibrated σ² for pixels that are measured values; Laplace where a few large errors should count less. Whichever you take, state its scale: it is an exchange rate, and the rest of this lesson is about finding hidden ones.
#
# ## The reductions lab
#
# Multiply the Gaussian loss by $\sigma^2$, which moves no minimum:
#
# $$\sigma^2\,(-\text{ELBO}) = \tfrac12\lVert x - m\rVert^2 + \sigma^2\,\mathrm{KL} + \text{const}.$$
#
# (The constant contains $\log\sigma^2$, which is fixed here.) So a weight β on the KL, beside half the summed squared error, **is** a decoder variance: $\beta = \sigma^2$ (Lucas et al., 2019, study what that variance does to the latents in use). Everything that rescales one of the two terms alone changes β: the mean over pixels in place of the sum divides the first term by their number, the mean over latents divides the second.
#
# The losses below were published in well-known courses and repositories, each in its own scaling (see the references for files and versions). `rec` and `kl` are the terms as they stand there, weights included; `e` holds the error of each pixel, and `k` the KL of each latent, before any sum.


# %%
def kl_parts(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - logvar - 1)  # (B, D)


digit, face = (1, 28, 28), (3, 64, 64)
published = {  # name: (kind, image shape, latents, rec(e), kl(k))
    "pytorch/examples vae": ("bce", digit, 20, torch.sum, torch.sum),
    "fastai course22p2": ("bce", digit, 200, torch.mean, torch.mean),
    "ARENA 0.5": ("mse", digit, 5, torch.mean, lambda k: 0.1 * k.mean()),
    "PyTorch-VAE, training": ("mse", face, 128, torch.mean, lambda k: 0.00025 * k.sum(1).mean()),
    "PyTorch-VAE, validation": ("mse", face, 128, torch.mean, lambda k: 1.0 * k.sum(1).mean()),
    "handson-ml3": ("mse", digit, 10, torch.mean, lambda k: k.sum(1).mean() / 784),
}

# %% [markdown]
# **Predict:** ARENA chose β = 0.1 on purpose; the others are presented as plain VAEs or with a weight found by trial. Which have β = 1, and does ARENA have 0.1?
#
# To find a loss's β we do not read its code, we measure it. The reference is the −ELBO: the summed cross-entropy, or half the summed squared error, plus the summed KL, averaged over the batch. Take the gradient of the published reconstruction term with respect to the decoder's output, and divide its length by that of the reference term's gradient: the quotient says how many times larger the published term is. Do the same for the KL, with respect to μ and log σ². β is the second factor divided by the first. All this makes sense only if the gradients have the same direction, which is checked: a KL with its sign flipped is not a KL with another weight.


# %%
def times_larger(published, reference, by):
    """How many times larger the published term is than the reference, by their gradients."""
    lines = []
    for term in (published, reference):
        gradients = torch.autograd.grad(term, by, retain_graph=True)
        lines.append(torch.cat([g.flatten() for g in gradients]))
    assert F.cosine_similarity(*lines, dim=0) > 0.9999  # the same term, rescaled
    return (lines[0].norm() / lines[1].norm()).item()


def effective_beta(kind, shape, latents, rec, kl, batch=16):
    """β of a published loss, relative to the −ELBO."""
    g = torch.Generator().manual_seed(0)
    x = torch.rand(batch, *shape, generator=g)
    out = torch.randn(batch, *shape, generator=g, requires_grad=True)  # logits, or means
    mu = torch.randn(batch, latents, generator=g, requires_grad=True)
    logvar = torch.randn(batch, latents, generator=g, requires_grad=True)
    bce = kind == "bce"
    error = F.binary_cross_entropy_with_logits(out, x, reduction="none") if bce else (out - x) ** 2
    k = kl_parts(mu, logvar)
    rec_factor = times_larger(rec(error), (error if bce else error / 2).sum() / batch, [out])
    return times_larger(kl(k), k.sum() / batch, [mu, logvar]) / rec_factor


betas = {name: effective_beta(*loss) for name, loss in published.items()}

# %% [markdown]
# For the squared errors, the last column gives the decoder's standard deviation that goes with it, $\sqrt\beta$, in the pixels that the loss sees. (ARENA standardises its pixels, dividing by 0.3081; the last line multiplies its σ by that, for pixels in [0, 1].)

# %% tags=["nbval-check-output"]
for name, beta in betas.items():
    sigma = f"{beta**0.5:8.3g}" if published[name][0] == "mse" else "       –"
    print(f"{name:25} β = {beta:8.4g}   implied σ = {sigma}")
print(f"ARENA's σ in [0, 1] pixels: {betas['ARENA 0.5'] ** 0.5 * 0.3081:.3f}")

# %% [markdown]
# Only the first has β = 1. ARENA's 0.1 has become 7.84, because both terms were averaged, over different numbers of values. PyTorch-VAE's validation loss would fit a decoder whose noise is many times as large as the whole range of pixel values. And handson-ml3 would be at β = 1 beside the full squared error; whether σ² is 1 or ½ is exactly what such a loss leaves open.
#
# The values can be confirmed with pencil and paper: count what was averaged.

# %%
known = {
    "pytorch/examples vae": 1.0,
    "fastai course22p2": 784 / 200,
    "ARENA 0.5": 0.1 * 784 / (2 * 5),
    "PyTorch-VAE, training": 0.00025 * 3 * 64 * 64 / 2,
    "PyTorch-VAE, validation": 1.0 * 3 * 64 * 64 / 2,
    "handson-ml3": 784 / (2 * 784),
}
for name, value in known.items():
    assert abs(betas[name] / value - 1) < 1e-4, name

# %% [markdown]
# A spread over four powers of ten among losses that look alike, and one project whose training and validation losses are different objectives. None of these numbers is wrong in itself. But a β that nobody can see cannot be compared, reported or carried over to another image size. Hence the rule of this course: **sum over pixels and latents, average over the batch, and write β where it can be seen.**
#
# ## What a hidden β does
#
# Suppose somebody averages everything, "to be independent of the image size": mean cross-entropy over 784 pixels, mean KL over 20 latents. By the same count, $\beta = 784/20 = 39.2$. We train with sums and this β, which is the same loss multiplied by 784.
#
# For comparison we train the same network, from the same first weights and for as long, with β = 1.
#
# **Predict:** what will the reconstructions look like with either?

# %%
rows = {"original": test_x[:10]}
for beta in (1.0, 784 / 20):
    runtime.seed(0)
    model = MLPVAE(z_dim=20, hidden=(400,))
    (*_, last) = training.fit(
        model,
        train_x,
        epochs=runtime.steps(2, 1),
        lr=2e-3,
        loss=lambda model, x, beta=beta: losses.negative_elbo(model, x, beta=beta),
    )
    print(f"β = {beta:4.1f}   KL {last['kl']:5.2f} nats, reconstruction {last['rec']:5.1f} nats")
    with torch.no_grad():
        rows[f"β = {beta:.1f}"] = model.decode(model.encode(test_x[:10])[0]).sigmoid()

# %%
grid = plots.image_grid(
    torch.cat(list(rows.values())),
    columns=10,
    row_labels=list(rows),
    title="Everything averaged: β = 39.2, by accident",
)
alt = "Ten digits, below them what β = 1 makes of them, and in the third row, with β = 39.2, ten nearly identical blurred blobs."
plots.show(grid, alt=alt)

# %% [markdown]
# With β = 39.2 no latent gains more than it costs: the KL is close to zero, and every image is rebuilt as nearly the same blur. (Both numbers are means over the last epoch, on training images. In a short run both rows are blurred.) It is not for lack of time: with β = 1, as much time is enough for a code. This is called **posterior collapse**, and here it was caused by two calls of `mean`.
#
# The next cell prints this lesson's main numbers for the automatic tests. You can pass over it.

# %% tags=["figures"]
figures = {
    "test_loss": round(curve["test"][-1], 2),
    "training_seconds": round(seconds, 1),
    "betas": betas,
}
figures |= {"mse": mse, "ssim": ssim, "kl": kl}
print(json.dumps({"source": digits.source, **figures}))

# %% [markdown]
# ## Recap
#
# - You wrote a convolutional VAE with `F.conv2d`, `F.linear` and `F.conv_transpose2d` on named tensors, and showed that it equals the package's.
# - You wrote its training loop, with a learning rate that rises and falls, and read its curves.
# - You compared Bernoulli, Gaussian and Laplace likelihoods by rulers that they share, and saw that the scale of a likelihood is an exchange rate.
# - You measured the hidden β of published losses from their gradients, and confirmed it by counting.
#
# ## When something looks wrong
#
# | symptom | cause | fix |
# |---|---|---|
# | "Given transposed=1, weight of size …" | in and out are exchanged in a transposed convolution | its weight is (in, out, height, width) |
# | the output is 25×25 or 27×27 | `output_padding` is missing in both transposed layers, or in the last | compute the sizes before you code them |
# | reconstructions all alike, KL near 0 | a hidden β far above 1, or a blocked gradient ([lesson 03](03_gradients.ipynb)) | measure β as above; test the sampler |
# | sharp reconstructions, meaningless samples | a hidden β far below 1, or a very small σ² | measure β; calibrate σ² |
# | a Gaussian loss that goes to −∞ | a variance for each pixel, free to shrink on pixels that never change | share one σ², or give it a floor |
# | training loss and validation loss differ by a constant factor | different reductions in the two | one loss function for both |
#
# ## References
#
# - O. Rybkin, K. Daniilidis and S. Levine, *Simple and Effective VAE Training with Calibrated Decoders*, 2021, [arXiv 2006.13202](https://arxiv.org/abs/2006.13202).
# - J. Lucas, G. Tucker, R. Grosse and M. Norouzi, *Don't Blame the ELBO! A Linear VAE Perspective on Posterior Collapse*, 2019, [arXiv 1911.02469](https://arxiv.org/abs/1911.02469).
# - L. N. Smith and N. Topin, *Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates*, 2018, [arXiv 1708.07120](https://arxiv.org/abs/1708.07120): the one-cycle schedule.
# - Z. Wang, A. C. Bovik, H. R. Sheikh and E. P. Simoncelli, *Image Quality Assessment: From Error Visibility to Structural Similarity*, IEEE Transactions on Image Processing 13, 2004.
# - The published losses: [pytorch/examples](https://github.com/pytorch/examples) `vae/main.py` (commit 77f55b9); [fastai/course22p2](https://github.com/fastai/course22p2) `nbs/29_vae.ipynb` (df93232); ARENA 3.0, chapter 0.5 (as of May 2026); [AntixK/PyTorch-VAE](https://github.com/AntixK/PyTorch-VAE) `models/vanilla_vae.py`, `experiment.py` and `configs/vae.yaml` (a6896b9); [ageron/handson-ml3](https://github.com/ageron/handson-ml3), chapter 17. Several of them use other images of the same size, Fashion-MNIST for instance; β does not depend on that.
#
# **Exercises:** [sheet 04](../exercises/04_low_level_pytorch.ipynb) · **Next:** [05 · Autoencoder against VAE](05_autoencoder_vs_vae.ipynb)
