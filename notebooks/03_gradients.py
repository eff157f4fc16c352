# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 · Gradients through a sample
#
# You find out how a gradient gets past a random number in the middle of a network, and train the VAE of lesson 02 with a backward pass that you wrote and checked yourself.

# %% [markdown] tags=["badges"]
# <!-- badges -->

# %% [markdown]
# **You will be able to**
#
# - estimate the gradient of an expectation in two ways, and say how their variances compare;
# - tell which ways of sampling in PyTorch carry a gradient, and test one that you do not know;
# - derive a VAE's backward pass and verify it against finite differences and autograd;
# - train a VAE with NumPy alone.
#
# *Time:* about 90 minutes; the computer works for about one of them. *Assumed:* [lesson 02](02_numpy_forward.ipynb); the chain rule.

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
import json, numpy as np, torch
from vae_course import data, plots, runtime

# %% [markdown]
# ## The problem
#
# The loss contains an expectation, and the parameters that we want to train sit *inside the distribution* of that expectation:
#
# $$\nabla_{\mu,\sigma}\; E_{z \sim N(\mu, \sigma^2)}[f(z)].$$
#
# Drawing $z$ and differentiating $f(z)$ does not obviously work: the number that came out of the random generator has no formula in it. We study a case with a known answer. For $f(z) = (z - 3)^2$,
#
# $$E[f] = (\mu - 3)^2 + \sigma^2, \qquad \frac{\partial E[f]}{\partial\mu} = 2(\mu - 3), \qquad \frac{\partial E[f]}{\partial\sigma} = 2\sigma.$$

# %%
rng = np.random.default_rng(0)
mu, sigma = 2.0, 0.5
a = mu - 3  # how far the mean is from the minimum of f


def f(z):
    return (z - 3) ** 2


truth = {"mu": 2 * a, "sigma": 2 * sigma}

# %% [markdown]
# ## Two estimators
#
# **Score function.** Write $q$ for the density of $N(\mu, \sigma^2)$, and differentiate it instead of the sample. The gradient may be taken under the integral, and $f$ does not depend on the parameters. Since $\nabla\log q = \nabla q/q$, we may write $q\,\nabla\log q$ for $\nabla q$, and have an expectation again:
#
# $$\nabla E_q[f(z)] = \int f(z)\,\nabla q(z)\,dz = \int f(z)\,q(z)\,\nabla\log q(z)\,dz = E_q\big[f(z)\,\nabla \log q(z)\big].$$
#
# The vector $\nabla\log q$ is called the **score**. The estimator needs only values of $f$, never its derivative. For the Gaussian, $\log q = -\log\sigma - (z - \mu)^2/(2\sigma^2) + \text{const}$; with $\varepsilon = (z - \mu)/\sigma$ the scores are $\frac{\partial\log q}{\partial\mu} = \varepsilon/\sigma$ and $\frac{\partial\log q}{\partial\sigma} = (\varepsilon^2 - 1)/\sigma$.
#
# **Pathwise** (Rezende, Mohamed and Wierstra, 2014). Write the sample as a function of the parameters and of noise that does not depend on them, $z = \mu + \sigma\varepsilon$. Then the expectation is over $\varepsilon$ alone, and the derivative may go inside:
#
# $$\nabla E_\varepsilon[f(\mu + \sigma\varepsilon)] = E_\varepsilon\big[f'(\mu + \sigma\varepsilon)\,\nabla(\mu + \sigma\varepsilon)\big], \qquad \frac{\partial z}{\partial\mu} = 1, \quad \frac{\partial z}{\partial\sigma} = \varepsilon.$$
#
# This is what the reparameterisation of lesson 02 is for.
#
# Both are **unbiased**: their mean is the true gradient.
#
# **Predict:** which one needs fewer samples for the same accuracy, and by a factor of 2, 20 or 200?

# %%
n = 1_000_000
eps = rng.normal(size=n)
z = mu + sigma * eps
score = {"mu": f(z) * eps / sigma, "sigma": f(z) * (eps**2 - 1) / sigma}
pathwise = {"mu": 2 * (z - 3), "sigma": 2 * (z - 3) * eps}

# %%
worst_deviation, worst_error = 0.0, 0.0
for name in ["mu", "sigma"]:
    for kind, samples in [("score function", score[name]), ("pathwise", pathwise[name])]:
        estimate, error = samples.mean(), samples.std() / np.sqrt(n)
        print(f"d/d{name:5}  truth {truth[name]:6.3f}   {kind:14} {estimate:7.4f} ± {error:.4f}")
        worst_deviation = max(worst_deviation, abs(estimate - truth[name]) / error)
        worst_error = max(worst_error, error / abs(truth[name]))
assert worst_deviation < 5
assert worst_error <= 0.02

# %% [markdown]
# Both find the truth, within a few of their standard errors (the number after ±), and the score function's error is several times larger. Its variance is larger by the *square* of that. For the derivative with respect to $\mu$ both variances have a closed form. With $a = \mu - 3$ and the moments $E\varepsilon^2 = 1$, $E\varepsilon^4 = 3$, $E\varepsilon^6 = 15$:
#
# $$E[(a + \sigma\varepsilon)^4\varepsilon^2] = a^4 E\varepsilon^2 + 6a^2\sigma^2 E\varepsilon^4 + \sigma^4 E\varepsilon^6 = a^4 + 18a^2\sigma^2 + 15\sigma^4$$
#
# (odd powers of ε have mean zero), and therefore
#
# $$\mathrm{Var}_{\text{path}} = \mathrm{Var}\big[2(a + \sigma\varepsilon)\big] = 4\sigma^2, \qquad
# \mathrm{Var}_{\text{score}} = \frac{E[(a + \sigma\varepsilon)^4\varepsilon^2]}{\sigma^2} - 4a^2 = \frac{a^4}{\sigma^2} + 14a^2 + 15\sigma^2.$$

# %%
exact_ratio = (a**4 / sigma**2 + 14 * a**2 + 15 * sigma**2) / (4 * sigma**2)
groups = score["mu"].reshape(100, -1).var(axis=1) / pathwise["mu"].reshape(100, -1).var(
    axis=1
)  # (100,)
ratio, ratio_error = groups.mean(), groups.std() / np.sqrt(100)
print(f"variance ratio: measured {ratio:.2f} ± {ratio_error:.2f}, exact {exact_ratio:.2f}")
assert abs(ratio - exact_ratio) < 5 * ratio_error

# %% [markdown]
# For the derivative with respect to μ, the score function needs about twenty times the samples, in one dimension and with a harmless $f$. Look at the formula: the term $a^4/\sigma^2$ grows when μ is far from the minimum of $f$, or when σ is small; and small σ is what an encoder learns.
#
# Is pathwise always better? No: it uses the derivative of $f$, and for an $f$ that wiggles faster than σ the derivative is large and of either sign. With $f(z) = \cos(kz)$, an example of Mohamed et al. (2020), and the derivative with respect to μ:

# %%
for k in [1, 4, 10]:
    by_score, by_path = np.cos(k * z) * eps / sigma, -k * np.sin(k * z)
    print(
        f"k = {k:2d}   variance: score function {by_score.var():6.2f}   pathwise {by_path.var():6.2f}"
    )

# %% [markdown]
# A VAE's decoder is smooth, and its output changes little within one σ of the encoder. So there we expect the first case, and the pathwise estimator to win. As soon as we have trained one, we measure it.
#
# ## Control variates
#
# The score function can be helped. The score has mean zero, because $\int \nabla q\,dz = \nabla\!\int q\,dz = \nabla 1 = 0$. So we may subtract any constant $b$ from $f$ without changing the mean: $E[(f(z) - b)\,\nabla\log q] = \nabla E[f]$. Such a $b$ is called a **baseline**. It changes the variance, which is $E[(f - b)^2(\nabla_\mu\log q)^2]$ minus a constant; setting its derivative with respect to $b$ to zero gives the best one:
#
# $$b^\ast = \frac{E[f\,(\nabla_\mu\log q)^2]}{E[(\nabla_\mu\log q)^2]} = E[f\,\varepsilon^2] = a^2 + 3\sigma^2.$$

# %%
best_b = a**2 + 3 * sigma**2
for label, b in [("b = 0", 0.0), ("b = E[f]", a**2 + sigma**2), ("b = b*", best_b)]:
    helped = (f(z) - b) * eps / sigma
    print(f"{label:9} mean {helped.mean():7.4f}   variance {helped.var():6.2f}")
print(f"pathwise  mean {pathwise['mu'].mean():7.4f}   variance {pathwise['mu'].var():6.2f}")

# %% [markdown]
# The baseline removes the part of the variance that comes from $f$ being large everywhere. (In practice $b$ has to be estimated, for example by a running mean of $f$.) What remains is still above the pathwise variance. The score function keeps its place for cases in which the path is blocked: discrete $z$, or an $f$ without a derivative.
#
# ## Which samplers carry a gradient?
#
# PyTorch records every operation on a tensor that was made with `requires_grad=True`. `loss.backward()` follows the record backwards and puts the derivative into `.grad`; `x.detach()` is `x` without the record. A random generator passes no derivative on to the parameters that it was given: PyTorch either leaves no record of them (`Normal.sample`), or records a derivative of zero (`torch.normal`, whose result even says `requires_grad=True`). A sum or a product passes it on.
#
# There are half a dozen ways to draw $z \sim N(\mu, \sigma^2)$, all with the right mean and variance, and they look alike in code. (`randn_like(std)` is standard normal noise in the shape of `std`; `Normal(mu, std)` offers two ways to draw. `std` is computed from `logvar`, so what reaches `std` reaches `logvar`.)
#
# **Predict:** for each line of the next cell, does a gradient reach `mu`, `logvar`, both or neither?

# %%
samplers = {
    "mu + std * torch.randn_like(std)": lambda mu, std: mu + std * torch.randn_like(std),
    "Normal(mu, std).rsample()": lambda mu, std: torch.distributions.Normal(mu, std).rsample(),
    "Normal(mu, std).sample()": lambda mu, std: torch.distributions.Normal(mu, std).sample(),
    "torch.normal(mu, std)": lambda mu, std: torch.normal(mu, std),
    "mu + std.detach() * randn": lambda mu, std: mu + std.detach() * torch.randn_like(std),
    "mu.detach() + std * randn": lambda mu, std: mu.detach() + std * torch.randn_like(std),
}

# %% [markdown]
# The test is the same for every sampler: put any smooth function behind the sample, differentiate that term **alone**, and look. It has to be alone, because the KL term of a VAE has its own, unblocked way to the encoder and would hide the damage.


# %%
def gradient_reaches(sampler):
    """Does the gradient of a function of the sample reach mu, and logvar?"""
    mu = torch.full((4, 3), 0.7, requires_grad=True)
    logvar = torch.full((4, 3), -0.5, requires_grad=True)
    z = sampler(mu, (0.5 * logvar).exp())
    if not z.requires_grad:  # no record of the parameters at all
        return False, False
    (z**2).sum().backward()
    return tuple(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in (mu, logvar))


# %% tags=["nbval-check-output"]
torch.manual_seed(0)
reaches = {code: gradient_reaches(sampler) for code, sampler in samplers.items()}
print(f"{'':34}   mu      logvar")
for code, (to_mu, to_logvar) in reaches.items():
    print(f"{code:34}   {to_mu!s:7} {to_logvar}")

# %% [markdown]
# Two of six are right. The others run without any warning. What do they do to a VAE? We train four, for two short epochs each, with the course's ready-made network; only the sampler differs.
#
# **Predict:** the KL term reaches the encoder in any case. What will it do with μ and σ where nothing else does?

# %%
from vae_course import losses, training
from vae_course.models.mlp import MLPVAE

digits = data.load_digits()
train_x = digits.train_x[: runtime.steps(60_000, 3_000)]


def train_with(sampler):
    """Train a VAE whose z comes from the sampler; returns it, and its last epoch with the mean σ of q."""

    def loss(model, x):
        mu, logvar = model.encode(x)
        rec = -losses.bernoulli_log_likelihood(model.decode(sampler(mu, (0.5 * logvar).exp())), x)
        kl = losses.kl_to_standard_normal(mu, logvar)
        return {"loss": rec + kl, "rec": rec, "kl": kl, "sigma": (0.5 * logvar).exp().mean(dim=1)}

    runtime.seed(0)
    model = MLPVAE(z_dim=20, hidden=(400,))
    return model, training.fit(model, train_x, epochs=2, lr=2e-3, loss=loss)[-1]


# %%
chosen = {
    "both": "mu + std * torch.randn_like(std)",
    "mu only": "mu + std.detach() * randn",
    "logvar only": "mu.detach() + std * randn",
    "neither": "Normal(mu, std).sample()",
}
trained = {label: train_with(samplers[code]) for label, code in chosen.items()}

# %%
print("gradient reaches    rec     kl   mean σ   (training images, second epoch)")
for label, (_, row) in trained.items():
    print(f"{label:15} {row['rec']:7.1f} {row['kl']:6.2f} {row['sigma']:8.2f}")

# %% [markdown]
# | blocked | what training does | how to recognise it |
# |---|---|---|
# | `mu` and `logvar` (it reaches neither) | only the KL trains the encoder, which then agrees with the prior for every image | in a full run: KL → 0, σ → 1, every reconstruction is the mean image: `rec` near the mean image's value of lesson 02 |
# | `logvar` | nothing rewards a small σ, and the KL pulls it to 1 | in a full run: σ ≈ 1 with a large KL, a clearly worse reconstruction |
# | `mu` | nothing rewards a μ that depends on the image, and the KL pulls it to 0 | in a full run: a small KL that does not vanish, and `rec` a little below the mean image's value, because σ alone is left to tell images apart |
#
# A blocked path is silent in the code and loud in these three numbers. Print them.
#
# Now the measurement that was left open: the two estimators on a VAE. We take the first of these models, and for 20 images the derivative of `rec` with respect to μ, each time from a single sample: pathwise, and by the score function, $\texttt{rec} \cdot \varepsilon / \sigma$, without a baseline and with the image's mean `rec` as one.
#
# **Predict:** `rec` is about a hundred nats for an image, whatever $z$ is drawn. What does that do to the score function?

# %%
model, x, draws = trained["both"][0], digits.test_x[:20], 500
with torch.no_grad():
    mu, logvar = model.encode(x)  # (20, 20) each
torch.manual_seed(1)
sigma, eps = (0.5 * logvar).exp(), torch.randn(draws, 20, 20)
z = (mu + sigma * eps).flatten(0, 1).requires_grad_()  # (draws · 20, 20)
rec = -losses.bernoulli_log_likelihood(model.decode(z), x.repeat(draws, 1, 1, 1))
(by_path,) = torch.autograd.grad(rec.sum(), z)  # ∂rec/∂μ is ∂rec/∂z
rec = rec.detach().view(draws, 20, 1)
by_score, with_baseline = ((rec - b) * eps / sigma for b in (0, rec.mean(dim=0)))

# %%
kinds = {"pathwise": by_path.view(draws, 20, 20), "score function": by_score}
kinds["score function with baseline"] = with_baseline
spread = {kind: g.var(dim=0).mean().item() for kind, g in kinds.items()}
for kind, variance in spread.items():
    print(f"{kind:28} variance {variance:10.2f}   {variance / spread['pathwise']:8.1f} × pathwise")

# %% [markdown]
# After a full training, the path wins by several powers of ten: the score function multiplies all of `rec` by noise, also the part that is the same for every $z$. The baseline removes that part, and most of the variance with it. What remains is the price of not looking at the decoder's derivative.
#
# ## Two ways to compute the KL
#
# The KL term can also be had in two ways: in closed form, or as the average of $\log q(z \mid x) - \log p(z)$ over the same samples that feed the decoder. Both have the right mean. How much noise does the second one add to a loss?
#
# With $z = \mu + \sigma\varepsilon$, $\log q = -\tfrac12(\varepsilon^2 + \texttt{logvar})$ and $\log p = -\tfrac12 z^2$; the constant $-\tfrac12\log 2\pi$ is in both and cancels.

# %%
mu_q = np.array([0.8, -0.4, 0.0])
logvar_q = np.array([-2.0, -0.5, 0.0])  # the third latent equals the prior
exact_kl = 0.5 * (mu_q**2 + np.exp(logvar_q) - logvar_q - 1)
eps_q = rng.normal(size=(100_000, 3))
z_q = mu_q + np.exp(0.5 * logvar_q) * eps_q
sampled_kl = 0.5 * (z_q**2 - eps_q**2 - logvar_q)  # log q − log p

# %%
print("latent   exact   mean of single samples   their standard deviation")
for j in range(3):
    print(
        f"{j:6} {exact_kl[j]:7.3f} {sampled_kl[:, j].mean():24.3f} {sampled_kl[:, j].std():26.3f}"
    )

# %% [markdown]
# For latent 1, the standard deviation of a single sample is larger than the value that it estimates, and a single sample may be negative. Where $q$ equals the prior, both are exactly zero, each time. Inside a whole loss the matter is less clear, because the noise of the sampled KL and the noise of the reconstruction term come from the same ε and may partly cancel; near the true posterior they do (Roeder, Wu and Duvenaud, 2017). The rule of thumb: the closed form where it exists, the sampled form where it does not (other priors, mixtures).
#
# ## The backward pass of a VAE
#
# Now the network of lesson 02, from the loss back to the first weight. In one sentence: at every step, multiply the gradient that arrives by the derivative of the step.
#
# | forward | backward (write $\bar{v}$ for the gradient of the loss with respect to $v$) |
# |---|---|
# | $\texttt{rec} = \sum \big[\log(1 + e^{\ell}) - x\ell\big]$ | $\bar\ell = \text{sigmoid}(\ell) - x$ |
# | $y = hW^\top + b$ | $\bar h = \bar y W,\quad \bar W = \bar y^\top h,\quad \bar b = \sum_{\text{batch}} \bar y$ |
# | $h = \text{silu}(a)$ | $\bar a = \bar h \cdot s\,(1 + a(1 - s)),\quad s = \text{sigmoid}(a)$ |
# | $z = \mu + \sigma\varepsilon$ | $\bar\mu \mathrel{+}= \bar z,\quad \overline{\texttt{logvar}} \mathrel{+}= \bar z\,\varepsilon\,\tfrac12\sigma$ |
# | $\texttt{kl} = \tfrac12\sum(\mu^2 + e^{\texttt{logvar}} - \texttt{logvar} - 1)$ | $\bar\mu \mathrel{+}= \mu,\quad \overline{\texttt{logvar}} \mathrel{+}= \tfrac12(e^{\texttt{logvar}} - 1)$ |
#
# Where the rows come from:
#
# 1. The derivative of $\log(1 + e^\ell)$ is $e^\ell/(1 + e^\ell) = \text{sigmoid}(\ell)$. What remains is prediction minus target.
# 2. In indices, $y_{bo} = \sum_i h_{bi}W_{oi} + b_o$. So $\partial L/\partial W_{oi} = \sum_b \bar y_{bo}h_{bi}$, and likewise for $h$ and $b$.
# 3. $s' = s(1 - s)$, hence $\frac{d}{da}\,a\,s(a) = s + a\,s(1 - s)$.
# 4. $\sigma = e^{\frac12\texttt{logvar}}$, hence $\partial z/\partial\texttt{logvar} = \varepsilon\cdot\tfrac12\sigma$. This row is the whole secret of the pathwise gradient: ε is kept from the forward pass and used again.
# 5. Term by term.
#
# Gradients that arrive at one place by two ways are added ($\mathrel{+}=$): μ and `logvar` get one from the sample and one from the KL.


# %%
def sigmoid(a):
    small = np.exp(-np.abs(a))
    return np.where(a >= 0, 1, small) / (1 + small)


def forward(params, x, eps):
    """The pass of lesson 02; returns the batch's mean loss, and what the backward pass needs."""
    a1 = x @ params["enc1.W"].T + params["enc1.b"]  # (B, H)
    h1 = a1 * sigmoid(a1)
    mu, logvar = np.split(h1 @ params["enc2.W"].T + params["enc2.b"], 2, axis=1)  # (B, D) each
    z = mu + np.exp(0.5 * logvar) * eps
    a2 = z @ params["dec1.W"].T + params["dec1.b"]  # (B, H)
    h2 = a2 * sigmoid(a2)
    logits = h2 @ params["dec2.W"].T + params["dec2.b"]  # (B, 784)
    rec = (np.logaddexp(0, logits) - x * logits).sum(axis=1)
    kl = 0.5 * (mu**2 + np.exp(logvar) - logvar - 1).sum(axis=1)
    return (rec + kl).mean(), (a1, h1, mu, logvar, z, a2, h2, logits)


# %% [markdown]
# In the comments, H is the number of hidden units. The backward pass visits the layers in reverse order. We differentiate the mean over the batch, so every gradient carries a factor $1/B$ from the start.


# %%
def silu_backward(d_h, a):
    s = sigmoid(a)
    return d_h * s * (1 + a * (1 - s))


def backward(params, x, eps, saved):
    """Gradients of the mean loss with respect to every parameter, in a dictionary like params."""
    a1, h1, mu, logvar, z, a2, h2, logits = saved
    d_logits = (sigmoid(logits) - x) / len(x)  # (B, 784), row 1
    d_a2 = silu_backward(d_logits @ params["dec2.W"], a2)  # (B, H), rows 2 and 3
    d_z = d_a2 @ params["dec1.W"]  # (B, D), row 2
    d_mu = d_z + mu / len(x)  # rows 4 and 5
    d_logvar = d_z * eps * 0.5 * np.exp(0.5 * logvar) + 0.5 * (np.exp(logvar) - 1) / len(x)
    d_out = np.concatenate([d_mu, d_logvar], axis=1)  # (B, 2D)
    d_a1 = silu_backward(d_out @ params["enc2.W"], a1)  # (B, H), rows 2 and 3
    grads = {}
    for name, d_y, h in [
        ("enc1", d_a1, x),
        ("enc2", d_out, h1),
        ("dec1", d_a2, z),
        ("dec2", d_logits, h2),
    ]:
        grads[f"{name}.W"], grads[f"{name}.b"] = d_y.T @ h, d_y.sum(axis=0)
    return grads


# %% [markdown]
# ## Checked against finite differences
#
# A derivative is a limit, so it can be approached: move one parameter by $\pm h$ and watch the loss. The central difference $\frac{L(\theta + h) - L(\theta - h)}{2h}$ is off by a term in $h^2$ and by rounding divided by $h$; $h = 10^{-5}$ balances the two in double precision. It needs two forward passes for *every single* parameter, so we check on a small network, with the same code.


# %%
def new_params(rng, sizes, dtype=np.float64):
    """Uniform in ±1/√n_in, as in lesson 02. sizes: pixels, hidden units, latents."""
    pixels, hidden, latents = sizes
    params = {}
    for name, n_in, n_out in [
        ("enc1", pixels, hidden),
        ("enc2", hidden, 2 * latents),
        ("dec1", latents, hidden),
        ("dec2", hidden, pixels),
    ]:
        bound = 1 / np.sqrt(n_in)
        params[f"{name}.W"] = rng.uniform(-bound, bound, (n_out, n_in)).astype(dtype)
        params[f"{name}.b"] = rng.uniform(-bound, bound, n_out).astype(dtype)
    return params


def central_differences(params, name, x, eps, h=1e-5):
    gradient = np.zeros_like(params[name])
    for i in np.ndindex(gradient.shape):
        for sign in (+1, -1):
            params[name][i] += sign * h
            gradient[i] += sign * forward(params, x, eps)[0] / (2 * h)
            params[name][i] -= sign * h
    return gradient


# %% [markdown]
# The images must not be all black or white, ε must be kept fixed, and μ and σ must differ from image to image, or some mistakes would not show.

# %%
small = new_params(rng, (12, 8, 3))
x_small, eps_small = rng.uniform(size=(5, 12)), rng.normal(size=(5, 3))
grads = backward(small, x_small, eps_small, forward(small, x_small, eps_small)[1])
difference_error = {}
for name in small:
    numeric = central_differences(small, name, x_small, eps_small)
    difference_error[name] = np.linalg.norm(grads[name] - numeric) / np.linalg.norm(numeric)
assert max(difference_error.values()) <= 1e-6

# %% [markdown]
# And against autograd: the same forward pass with PyTorch's tensors, differentiated by PyTorch.

# %%
tensors = {name: torch.tensor(value, requires_grad=True) for name, value in small.items()}
x_t, eps_t = torch.tensor(x_small), torch.tensor(eps_small)
h1 = torch.nn.functional.silu(x_t @ tensors["enc1.W"].T + tensors["enc1.b"])
mu_t, logvar_t = (h1 @ tensors["enc2.W"].T + tensors["enc2.b"]).chunk(2, dim=1)
z_t = mu_t + (0.5 * logvar_t).exp() * eps_t
h2 = torch.nn.functional.silu(z_t @ tensors["dec1.W"].T + tensors["dec1.b"])
logits_t = h2 @ tensors["dec2.W"].T + tensors["dec2.b"]
rec_t = (torch.nn.functional.softplus(logits_t) - x_t * logits_t).sum(dim=1)
kl_t = 0.5 * (mu_t**2 + logvar_t.exp() - logvar_t - 1).sum(dim=1)
(rec_t + kl_t).mean().backward()

# %%
autograd_error = {}
for name in small:
    theirs = tensors[name].grad.numpy()
    autograd_error[name] = np.linalg.norm(grads[name] - theirs) / np.linalg.norm(theirs)
assert max(autograd_error.values()) <= 1e-6

# %% tags=["nbval-check-output"]
for name in small:
    print(
        f"{name:7} finite differences within 1e-6: {difference_error[name] <= 1e-6}   autograd within 1e-6: {autograd_error[name] <= 1e-6}"
    )

# %% [markdown]
# Is this test able to fail? Suppose the factor ½ of the fourth row had been forgotten.
#
# **Predict:** which of the eight gradients would then be wrong?

# %%
_, saved = forward(small, x_small, eps_small)
a1, h1, mu, logvar, z, a2, h2, logits = saved
wrong = backward(small, x_small, eps_small, saved)
d_z = silu_backward((sigmoid(logits) - x_small) / 5 @ small["dec2.W"], a2) @ small["dec1.W"]
d_logvar = d_z * eps_small * np.exp(0.5 * logvar) + 0.5 * (np.exp(logvar) - 1) / 5  # no 0.5 on d_z
d_out = np.concatenate([d_z + mu / 5, d_logvar], axis=1)
d_a1 = silu_backward(d_out @ small["enc2.W"], a1)
wrong |= {
    "enc2.W": d_out.T @ h1,
    "enc2.b": d_out.sum(0),
    "enc1.W": d_a1.T @ x_small,
    "enc1.b": d_a1.sum(0),
}
for name in small:
    error = np.linalg.norm(wrong[name] - grads[name]) / np.linalg.norm(grads[name])
    print(f"{name:7} relative error {error:.0e}")

# %% [markdown]
# The decoder's four stay right, because the fault lies behind them on the way back; the encoder's four are wrong by many powers of ten more than the check allows. A mistake of this kind would not stop the training. It would only make it worse, and nobody would know why.
#
# ## One epoch by hand
#
# A gradient says which way is down; the **optimiser** decides how far to go. Adam keeps two running averages for each parameter, of the gradient ($m$) and of its square ($v$), and steps by the learning rate times $m/\sqrt{v}$: parameters with small, steady gradients move as fast as others. Both averages start at zero and are too small at first; after $t$ steps they are divided by $1 - b_1^t$ and $1 - b_2^t$ to make up for it (Kingma and Ba, 2015). (The tiny number in the code keeps the quotient finite where $v$ is zero; this $v$ is not the one of the table above.)


# %%
def adam_step(params, grads, state, lr, b1=0.9, b2=0.999):
    """One step of Adam, in place. state: {"t": 0, "m": {}, "v": {}} at the beginning."""
    state["t"] += 1
    for name, g in grads.items():
        state["m"][name] = b1 * state["m"].get(name, 0) + (1 - b1) * g
        state["v"][name] = b2 * state["v"].get(name, 0) + (1 - b2) * g**2
        m_hat = state["m"][name] / (1 - b1 ** state["t"])
        v_hat = state["v"][name] / (1 - b2 ** state["t"])
        params[name] -= lr * m_hat / (np.sqrt(v_hat) + 1e-8)


# %%
train = digits.train_x.flatten(1).numpy()[
    : runtime.steps(60_000, 6_000)
]  # (60000, 784), single precision from here on
test = digits.test_x.flatten(1).numpy()  # (10000, 784)

# %% [markdown]
# The learning rate falls linearly to zero over the epoch, so that the last steps no longer shake the weights.
#
# **Predict:** the mean image alone costs what lesson 02 printed (on MNIST about 206 nats). One epoch shows each image once. Where will the loss on test images be after it: near 200, 150 or 120?

# %%
from tqdm import tqdm

batch = 64
params = new_params(rng, (784, 400, 20), np.float32)
state, losses_seen = {"t": 0, "m": {}, "v": {}}, []
order = rng.permutation(len(train))
starts = range(0, len(train), batch)
for k, start in enumerate(tqdm(starts, "one epoch by hand")):
    x = train[order[start : start + batch]]
    eps = rng.standard_normal((len(x), 20), dtype=np.float32)
    loss, saved = forward(params, x, eps)
    adam_step(params, backward(params, x, eps, saved), state, lr=2e-3 * (1 - k / len(starts)))
    losses_seen.append(loss)

# %%
test_losses = []
for x in np.split(test, 10):  # ten pieces of 1,000 images
    test_losses.append(forward(params, x, rng.standard_normal((1000, 20), dtype=np.float32))[0])
test_loss = np.mean(test_losses)
mean_image = train.mean(axis=0, dtype=np.float64).clip(1e-5, 1 - 1e-5)
baseline = -(test * np.log(mean_image) + (1 - test) * np.log(1 - mean_image)).sum(axis=1).mean()
print(f"test −ELBO {test_loss:.1f} nats per image; the mean image alone {baseline:.1f}")
assert test_loss < baseline

# %%
smooth = np.convolve(losses_seen, np.ones(20) / 20, mode="valid")
ax = plots.curves(
    np.arange(len(smooth)),
    {
        "training loss, mean of 20 steps": smooth,
        "the mean image (test)": np.full(len(smooth), baseline),
    },
    title="A VAE learns within one epoch of NumPy",
    xlabel="step",
    ylabel="−ELBO (nats per image)",
)
ax.set_ylim(0, 560)
plots.show(
    ax,
    alt="The loss falls steeply, crosses the dashed line of the mean image early, and flattens out below it.",
)

# %% [markdown]
# Compare the printed test loss with your guess. The curve crosses the dashed line early on. A decoder without $z$ stays at about that line, on training images as well, so what lies clearly below it was gained by $z$. (The curve begins below 543 because each point is a mean over 20 steps.)
#
# Everything in the next picture was computed by the hundred lines above.

# %%
saved = forward(params, test[:10], np.zeros((10, 20), np.float32))[1]
mu = saved[2]  # (10, 20)


def decode(z):
    a = z @ params["dec1.W"].T + params["dec1.b"]
    return sigmoid((a * sigmoid(a)) @ params["dec2.W"].T + params["dec2.b"])


shown = np.concatenate([test[:10], decode(mu), decode(rng.standard_normal((10, 20)))]).reshape(
    30, 1, 28, 28
)
grid = plots.image_grid(
    shown, columns=10, row_labels=["original", "rebuilt", "new"], title="After one epoch of NumPy"
)
plots.show(
    grid,
    alt="Ten test digits, their slightly blurred reconstructions, and ten new digit-like images, some readable.",
)

# %% [markdown]
# The rebuilt digits follow the originals. Of the new ones, drawn from noise alone, only some can be read yet; lesson 04 trains a better network for longer.
#
# The next cell prints this lesson's main numbers for the automatic tests. You can pass over it.

# %% tags=["figures"]
figures = {
    "largest_standard_error": float(worst_error),
    "largest_deviation": float(worst_deviation),
    "variance_ratio": [float(ratio), float(ratio_error), float(exact_ratio)],
    "finite_difference_error": float(max(difference_error.values())),
    "autograd_error": float(max(autograd_error.values())),
    "test_loss": float(test_loss),
    "mean_image": float(baseline),
    "vae_variance": {kind: variance / spread["pathwise"] for kind, variance in spread.items()},
}
print(json.dumps({"source": digits.source, **figures}))

# %% [markdown]
# ## Recap
#
# - You estimated the gradient of an expectation by the score function and pathwise, matched the ratio of their variances with its closed form, and measured it on a VAE.
# - You tested six ways of sampling in PyTorch, and know the trace that each blocked path leaves in a VAE.
# - You derived the backward pass of a VAE, and verified every parameter's gradient against finite differences and autograd.
# - You trained a VAE for one epoch with NumPy alone, from the first weight to the last sample.
#
# ## When something looks wrong
#
# | symptom | cause | fix |
# |---|---|---|
# | KL → 0 and every reconstruction is the mean digit | the sample carries no gradient | `rsample`, or `mu + std * eps`; test the reconstruction term alone |
# | every σ → 1, reconstructions blurred | σ is detached, or `torch.no_grad` surrounds it | let the gradient reach `logvar` |
# | gradient check off by a factor B | the loss is a mean, the gradient a sum, or the reverse | put the factor 1/B in one place |
# | gradient check off by about $10^{-3}$ | single precision, or $h$ too large or too small | use float64 and $h = 10^{-5}$ |
# | gradient check fails now and then | ε is drawn anew between the two forward passes | keep `eps` fixed |
# | loss falls, then becomes `nan` | learning rate too high: `exp(logvar)` overflows | lower it, or warm it up |
#
# ## References
#
# - R. J. Williams, *Simple statistical gradient-following algorithms for connectionist reinforcement learning*, Machine Learning 8, 1992: the score function estimator.
# - S. Mohamed, M. Rosca, M. Figurnov and A. Mnih, *Monte Carlo Gradient Estimation in Machine Learning*, 2020, [arXiv 1906.10652](https://arxiv.org/abs/1906.10652).
# - D. P. Kingma and J. Ba, *Adam: A Method for Stochastic Optimization*, 2015, [arXiv 1412.6980](https://arxiv.org/abs/1412.6980).
# - G. Roeder, Y. Wu and D. Duvenaud, *Sticking the Landing*, 2017, [arXiv 1703.09194](https://arxiv.org/abs/1703.09194).
# - D. J. Rezende, S. Mohamed and D. Wierstra, *Stochastic Backpropagation and Approximate Inference in Deep Generative Models*, 2014, [arXiv 1401.4082](https://arxiv.org/abs/1401.4082).
#
# **Exercises:** [sheet 03](../exercises/03_gradients.ipynb) · **Next:** [04 · A VAE from functions](04_low_level_pytorch.ipynb)
