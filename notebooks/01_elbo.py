# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 01 · The evidence lower bound
#
# You derive the bound on which every VAE is trained, and check each line of the derivation with a number.

# %% [markdown] tags=["badges"]
# <!-- badges -->

# %% [markdown]
# **You will be able to**
#
# - describe a latent-variable model as a story, and say which integral makes it hard;
# - derive the evidence lower bound (ELBO) and name exactly what separates it from $\log p(x)$;
# - compute the KL divergence between Gaussians, and test such a formula;
# - convert nats to bits per dimension, and say why −ELBO is not −log p(x).
#
# *Time:* about 75 minutes; the computer works for less than one of them. *Assumed:* densities, expectations, the Gaussian distribution, matrices; NumPy. You need no PyTorch yet.

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
import json, matplotlib.pyplot as plt, numpy as np
from vae_course import data, plots

# %% [markdown]
# All computations in this lesson are in double precision (64-bit floats), so that a disagreement between two sides of an equation is a mistake and not rounding.

# %%
rng = np.random.default_rng(0)

# %% [markdown]
# ## A story with a hidden part
#
# A **latent-variable model** explains each observation $x$ by a story in two steps: first something hidden, $z$, is drawn from a **prior** $p(z)$; then $x$ is drawn from $p(x \mid z)$, the **likelihood** of the data given the hidden part. We see only $x$.
#
# The simplest such story is a mixture: the hidden part is which of three groups a number comes from.

# %%
prior = np.array([0.5, 0.3, 0.2])  # p(z) for z = 0, 1, 2
mean, std = np.array([-2.0, 0.5, 3.0]), np.array([0.7, 0.4, 1.0])  # of p(x | z)

z = rng.choice(3, size=20_000, p=prior)  # first the hidden part
x = rng.normal(mean[z], std[z])  # then what we see

# %% [markdown]
# To say how probable an $x$ is, we have to take every story into account that could have produced it. That is the **marginal** likelihood, also called the **evidence**:
#
# $$p(x) = \sum_z p(z)\,p(x \mid z).$$


# %%
def normal_density(x, mean, std):
    return np.exp(-0.5 * ((x - mean) / std) ** 2) / (np.sqrt(2 * np.pi) * std)


line = np.linspace(-5, 7, 400)
joint = prior * normal_density(line[:, None], mean, std)  # (400, 3): p(z) p(x|z)
marginal = joint.sum(axis=1)  # (400,)

# %%
ax = plots.curves(
    line,
    {"p(x)": marginal, **{f"p(z={k}) p(x|z={k})": joint[:, k] for k in range(3)}},
    title="The marginal adds up all stories",
    xlabel="x",
    ylabel="density",
)
ax.hist(x, bins=80, density=True, color="0.85", zorder=0, label="samples of x")
ax.legend(frameon=False, fontsize=9)
plots.show(
    ax,
    alt="A grey histogram of samples, the marginal density that follows it, and three bumps that add up to the marginal.",
)

# %% [markdown]
# The question can also be turned around: given $x$, which group did it come from? Bayes' rule answers with the **posterior**,
#
# $$p(z \mid x) = \frac{p(z)\,p(x \mid z)}{p(x)},$$
#
# and needs the marginal for it. The next cell asks for $x = 1.5$.

# %%
at = prior * normal_density(1.5, mean, std)
print("p(z | x = 1.5) =", np.round(at / at.sum(), 3))

# %% [markdown]
# An $x$ of 1.5 comes from the third group about twice as often as from the second, although the third is the rarer one: for the narrow second group, 1.5 is far out.
#
# With three groups the sum has three terms, and nothing is hard. Three ideas of this lesson are already in place: a story (prior, then likelihood), a marginal (add up all stories), and a posterior (which story was it).
#
# ## A hidden part that is continuous
#
# For images we would like the hidden part to be a vector of a few numbers, $z \in \mathbb{R}^D$: slant, width, how far the loop is closed. The simplest such story is linear, and it is called **probabilistic PCA**:
#
# $$z \sim N(0, I), \qquad x = Wz + b + \sigma\varepsilon, \quad \varepsilon \sim N(0, I).$$
#
# Its marginal needs no sum. A linear function of Gaussians is Gaussian, here with mean $b$ and covariance $W\,\mathrm{Cov}(z)\,W^\top + \sigma^2 I = WW^\top + \sigma^2 I$.
#
# Even the $W$ that makes the data most probable is known (Tipping and Bishop, 1999). Let $\lambda_j$ and $u_j$ be the eigenvalues and eigenvectors of the data's covariance, largest first. Column $j$ of $W$ is $\sqrt{\lambda_j - \sigma^2}\,u_j$: the model's variance along $u_j$, which is $\lambda_j - \sigma^2$ from $W$ plus $\sigma^2$ from the noise, is then exactly $\lambda_j$. And $\sigma^2$ is the average of the eigenvalues left over. The directions $u_1, \dots, u_D$ are those of ordinary PCA. Let us fit the model to the digits.

# %%
digits = data.load_digits()
X = digits.train_x[:20_000].flatten(1).double().numpy()  # (20000, 784)

# %%
mean_image = X.mean(axis=0)  # b, (784,)
eigenvalues, directions = np.linalg.eigh(np.cov(X.T))
eigenvalues, directions = eigenvalues[::-1], directions[:, ::-1]  # largest first


def fit_ppca(D):
    """Maximum-likelihood W, (784, D), and sigma² of probabilistic PCA."""
    sigma2 = eigenvalues[D:].mean()
    return directions[:, :D] * np.sqrt(eigenvalues[:D] - sigma2), sigma2


# %% [markdown]
# **Predict:** this model knows the mean image, and how pixels vary together. If it tells its story, $z$ first and then $x$, will the result be readable as digits?

# %%
W, sigma2 = fit_ppca(30)
samples = rng.normal(size=(20, 30)) @ W.T + mean_image  # the mean of p(x|z); the noise is left out
images = samples.clip(0, 1).reshape(20, 1, 28, 28)
plots.show(
    plots.image_grid(
        images, columns=10, title="What a linear story draws: probabilistic PCA, 30 latents"
    ),
    alt="Twenty grey smudges with digit-like strokes; few are readable.",
)

# %% [markdown]
# Smudges with some digit in them. A sum of 30 fixed patterns can match the average and the correlations of the pixels, and a digit is more than that. To do better, the map from $z$ to $x$ must bend: a **neural network** takes the place of $Wz + b$.
#
# ## The integral
#
# Now the price. For a continuous $z$ the marginal is an integral,
#
# $$p(x) = \int p(z)\,p(x \mid z)\,dz,$$
#
# and once the map bends, no formula gives it. We study a case small enough to see everything: one hidden number $z$, two observed numbers $x$, and a curve $m(z)$ in place of the network.


# %%
def curve(z):
    """The decoder's mean m(z), a bent line in the plane: (n,) -> (n, 2)."""
    return np.stack([z + 0.5 * np.sin(3 * z), np.cos(2 * z)], axis=1)


def log_normal(x, mean, var):
    """log N(x; mean, diag(var)), summed over the last axis."""
    return -0.5 * (np.log(2 * np.pi * var) + (x - mean) ** 2 / var).sum(axis=-1)


# %% [markdown]
# In one dimension we can integrate on a grid: evaluate the integrand at 2,001 points, and multiply the sum by the spacing of the points. We work with logarithms, because a product of many densities becomes smaller than the smallest number that a computer holds, and turns into 0; `log_sum_exp` adds numbers whose logarithms we have, and subtracts the largest first so that nothing overflows.


# %%
def log_sum_exp(a, axis=-1):
    top = a.max(axis=axis, keepdims=True)
    return np.log(np.exp(a - top).sum(axis=axis)) + top.squeeze(axis)


grid = np.linspace(-8, 8, 2001)  # (2001,)
step = grid[1] - grid[0]


def grid_log_marginal(x, decoder, sigma=0.3):
    """log p(x) by summing p(z) p(x|z) over the grid. x: (2,) -> a number."""
    log_joint = log_normal(grid[:, None], 0.0, np.ones(1)) + log_normal(
        x, decoder(grid), np.full(2, sigma**2)
    )
    return log_sum_exp(log_joint) + np.log(step)


# %% [markdown]
# Is the grid fine enough? We test it where the truth is known. For a straight line $m(z) = wz$ the model is probabilistic PCA again, and $p(x)$ is a Gaussian with covariance $C = ww^\top + \sigma^2 I$. A Gaussian with mean $b$ and covariance $C$ in $P$ dimensions has
#
# $$\log p(x) = -\tfrac12\big(P\log 2\pi + \log\det C + (x - b)^\top C^{-1}(x - b)\big);$$
#
# here $P = 2$ and $b = 0$.

# %%
w = np.array([1.2, -0.7])
x = np.array([0.9, 0.4])
covariance = np.outer(w, w) + 0.3**2 * np.eye(2)
exact = -0.5 * (np.log(np.linalg.det(2 * np.pi * covariance)) + x @ np.linalg.solve(covariance, x))
grid_error = abs(grid_log_marginal(x, lambda z: z[:, None] * w) - exact)
assert grid_error < 1e-6

# %% tags=["nbval-check-output"]
print(f"exact log p(x) = {exact:.4g} nats;  grid within 1e-6: {grid_error < 1e-6}")

# %% [markdown]
# So we may trust the grid, and we use it on the curve, with noise $\sigma = 0.3$. The picture shows $p(x)$ in the plane, the curve, and one observation $x^\ast$ that we keep for the rest of the lesson.

# %%
x_star = np.array([0.08, -0.4])
plane = np.stack(
    np.meshgrid(np.linspace(-3, 3, 81), np.linspace(-2, 2, 61)), axis=-1
)  # (61, 81, 2)
log_p = np.array([[grid_log_marginal(x, curve) for x in row] for row in plane])  # (61, 81)

# %%
fig, ax = plt.subplots(figsize=(6, 3.6))
shade = ax.pcolormesh(plane[..., 0], plane[..., 1], np.exp(log_p), cmap="cividis", shading="auto")
ax.plot(*curve(np.linspace(-3, 3, 300)).T, color="white", lw=1)
ax.plot(*x_star, "o", color=plots.RED)
ax.annotate("x*", x_star, color="white", xytext=(6, -4), textcoords="offset points")
ax.annotate("m(z)", curve(np.zeros(1))[0], color="white", xytext=(6, 4), textcoords="offset points")
ax.set(xlim=(-3, 3), ylim=(-2, 2), xlabel="x₁", ylabel="x₂")
ax.set_title("The marginal is a tube around the decoder's curve", fontsize=10)
fig.colorbar(shade, label="p(x)")
plots.show(
    fig,
    alt="A heat map of p(x): a bright tube along an arch, dark at both ends; a dot marks x star between the two arms of the curve, a little nearer to the right one.",
)

# %% [markdown]
# Bright places are likely. The tube is bright around the top of the arch, where the prior puts much $z$, and fades towards both ends, which need a $z$ far from 0. The observation $x^\ast$ lies outside the tube: either arm could have produced it, with a large error each time. Keep this in mind for its posterior.
#
# A grid of 2,001 points in one dimension becomes $2001^{D}$ points in $D$ dimensions. For the 20 latents of a small VAE that is more than $10^{66}$: the grid is a referee for small cases, never a method.
#
# ## Why not simply sample?
#
# The marginal is an expectation over the prior, $p(x) = E_{p(z)}[p(x \mid z)]$. So draw many $z$ from the prior and average:
#
# $$\log\hat p(x) = \log\frac1S\sum_{s=1}^{S} p(x \mid z_s), \qquad z_s \sim p(z).$$
#
# **Predict:** with $S = 10{,}000$, how does the error of this estimate change as $z$ gets more dimensions: does it stay, grow slowly, or explode?
#
# We try it on a linear model with independent coordinates, where the exact answer is known for any $D$.


# %%
def prior_sampling_error(D, samples=10_000, observations=50):
    """Mean of (estimate − exact log p(x)) over observations drawn from x = 2z + 0.3·eps in D dimensions."""
    x = rng.normal(size=(observations, D)) * np.sqrt(2**2 + 0.3**2)
    exact = log_normal(x, 0.0, np.full(D, 2**2 + 0.3**2))
    z = rng.normal(size=(samples, D))
    log_px_given_z = np.stack(
        [log_normal(x_i, 2 * z, np.full(D, 0.3**2)) for x_i in x]
    )  # (observations, samples)
    estimate = log_sum_exp(log_px_given_z) - np.log(samples)
    return (estimate - exact).mean()


dims = [1, 2, 4, 6, 8, 12, 16, 20]
errors = [prior_sampling_error(D) for D in dims]

# %%
ax = plots.curves(
    dims,
    {"estimate − exact": errors},
    title="Sampling from the prior fails as latents are added",
    xlabel="dimensions of z",
    ylabel="mean error of log p(x) (nats)",
)
ax.set_xticks(dims)
plots.show(
    ax, alt="The error is near zero up to about four dimensions and then falls steeply below zero."
)

# %% [markdown]
# The error explodes, and the estimates are too low on average. In many dimensions hardly any sample lands near a $z$ that explains this $x$, so the average consists of near misses. We need samples from where it matters for *this* $x$: that will be the job of the encoder.
#
# The estimates are not scattered evenly around the truth, because we take the logarithm of an average. What that does is the next section.
#
# ## Jensen's inequality
#
# One inequality is needed, and we have just met it. The logarithm is concave: it bends down. So the log of an average is at least the average of the logs,
#
# $$\log E[w] \;\ge\; E[\log w].$$
#
# A case with both sides known: if $\log w \sim N(0, s^2)$, then $\log E[w] = s^2/2$ and $E[\log w] = 0$. The more $w$ varies, the wider the gap.

# %%
for s in [0.1, 0.5, 1.0]:
    log_w = s * rng.normal(size=400_000)
    print(
        f"s = {s}:  log E[w] = {np.log(np.exp(log_w).mean()):.3f} (exact {s**2 / 2:.3f})   E[log w] = {log_w.mean():+z.3f}"
    )

# %% [markdown]
# ## The derivation
#
# Write $p(x, z) = p(z)\,p(x \mid z)$ for the **joint** density of the whole story. Take any density $q(z)$ that is positive wherever the posterior is positive. Later $q$ will be the encoder's answer to $x$ and be written $q(z \mid x)$; the derivation does not care where it comes from. And call
#
# $$\mathrm{KL}(q \,\|\, p) = E_q[\log q(z) - \log p(z)]$$
#
# the **Kullback–Leibler divergence** from $q$ to $p$. It is never negative, by Jensen: $-\mathrm{KL}(q \,\|\, p) = E_q[\log\frac{p}{q}] \le \log E_q[\frac{p}{q}] = \log 1 = 0$. Now the derivation, in four lines:
#
# $$
# \begin{aligned}
# \log p(x) &= \log \int p(x, z)\,dz && \text{(1) the marginal adds up all stories} \\
# &= \log E_{q}\!\left[\frac{p(x, z)}{q(z)}\right] && \text{(2) multiply and divide by } q \\
# &\ge E_{q}\!\left[\log \frac{p(x, z)}{q(z)}\right] && \text{(3) Jensen; a lower bound on the log evidence: the ELBO} \\
# &= E_{q}[\log p(x \mid z)] - \mathrm{KL}\big(q(z)\,\|\,p(z)\big) && \text{(4) } \log p(x, z) = \log p(x \mid z) + \log p(z)
# \end{aligned}
# $$
#
# Step (3) gives something away. How much? Write $p(x, z) = p(z \mid x)\,p(x)$ inside the ELBO, and $\log p(x)$, which does not depend on $z$, comes out of the expectation:
#
# $$\text{ELBO} = E_q\!\left[\log\frac{p(z \mid x)\,p(x)}{q(z)}\right] = \log p(x) - \mathrm{KL}\big(q(z)\,\|\,p(z \mid x)\big). \qquad (5)$$
#
# No inequality is left: the gap **is** the KL divergence from $q$ to the true posterior. Since a KL is never negative, (5) shows the bound a second time.
#
# Now each line as a number, for $x^\ast$ and a $q$ that is not particularly good, $N(0.5, 0.9^2)$. So that the comparison can fail, every line is computed in its own way: (1) on the grid; (2) and (3) as averages over samples of $q$, with their standard errors; (4) with the closed form of the KL (derived further down) and Gauss–Hermite quadrature, which replaces an expectation under a Gaussian by a weighted sum over well-chosen points; (5) adds the gap, computed on the grid from the posterior, which is scaled there to have the area 1.

# %%
log_prior = log_normal(grid[:, None], 0.0, np.ones(1))  # log p(z), (2001,)
log_lik = log_normal(x_star, curve(grid), np.full(2, 0.3**2))  # log p(x*|z)
line1 = log_sum_exp(log_prior + log_lik) + np.log(step)

z = 0.5 + 0.9 * rng.normal(size=400_000)  # samples of q
log_ratio = (
    log_normal(z[:, None], 0.0, np.ones(1))
    + log_normal(x_star, curve(z), np.full(2, 0.3**2))
    - log_normal(z[:, None], 0.5, np.full(1, 0.9**2))
)  # log p(x*, z) − log q(z)
ratio = np.exp(log_ratio)
line2, error2 = np.log(ratio.mean()), ratio.std() / ratio.mean() / np.sqrt(len(z))
line3, error3 = log_ratio.mean(), log_ratio.std() / np.sqrt(len(z))

# %%
points, weights = np.polynomial.hermite_e.hermegauss(100)  # for expectations under N(0, 1)
rec = weights @ log_normal(x_star, curve(0.5 + 0.9 * points), np.full(2, 0.3**2)) / weights.sum()
kl = 0.5 * (0.5**2 + 0.9**2 - np.log(0.9**2) - 1)
line4 = rec - kl

log_posterior = log_prior + log_lik  # Bayes' rule, up to a constant,
log_posterior -= np.log(np.exp(log_posterior).sum() * step)  # which is not taken from (1)
log_q = log_normal(grid[:, None], 0.5, np.full(1, 0.9**2))
line5 = line4 + (np.exp(log_q) * step * (log_q - log_posterior)).sum()

# %%
print(f"(1) log p(x), on the grid          {line1:8.3f}")
print(f"(2) log E_q[p(x,z)/q], samples     {line2:8.3f} ± {error2:.3f}   is (1)")
print(f"(3) E_q[log p(x,z)/q], samples     {line3:8.3f} ± {error3:.3f}   is below (1)")
print(f"(4) E_q[log p(x|z)] − KL           {line4:8.3f}           is (3)")
print(f"(5) (4) + KL(q || p(z|x))          {line5:8.3f}           is (1)")

assert abs(line2 - line1) < 5 * error2
assert line3 < line1
assert abs(line4 - line3) < 5 * error3
assert abs(line5 - line1) < 1e-6

# %% [markdown]
# **Predict:** the ELBO depends on $q$, and $\log p(x)$ does not. Which $q$ closes the gap, and can a Gaussian do it here?
#
# We look for the best Gaussian $q$ by trying many centres and widths.

# %%
centres, widths = np.linspace(-2, 2, 161), np.linspace(0.05, 1, 96)


def gap(mu, s):
    """KL( N(mu, s²) || p(z|x*) ) on the grid."""
    log_q = log_normal(grid[:, None], mu, np.full(1, s**2))
    return (np.exp(log_q) * step * (log_q - log_posterior)).sum()


gaps = np.array([[gap(mu, s) for s in widths] for mu in centres])  # (161, 96)
i, j = np.unravel_index(gaps.argmin(), gaps.shape)

# %% [markdown]
# The picture shows it beside the posterior and the $q$ that we tried above.

# %%
best = normal_density(grid, centres[i], widths[j])
first = normal_density(grid, 0.5, 0.9)
lines = {
    "posterior p(z|x*)": np.exp(log_posterior),
    "best Gaussian q": best,
    "the q we tried": first,
}
ax = plots.curves(
    grid,
    lines,
    title=f"The best Gaussian leaves a gap of {gaps.min():.3f} nats",
    xlabel="z",
    ylabel="density",
)
ax.set_xlim(-2.5, 2.5)
plots.show(
    ax,
    alt="The posterior has a tall bump near z = 1.1 and a small one near −1.1; the best Gaussian covers the tall one alone, and the q we tried is far wider.",
)

# %% [markdown]
# By (5) only the posterior itself closes the gap, and it is no Gaussian. The observation lies between the two arms of the curve, so two stories explain it, and the posterior has two bumps. The best Gaussian covers the likelier bump and ignores the other: where $q$ is small, $\mathrm{KL}(q \,\|\, p)$ hardly notices what it misses.
#
# The size of the gap can be guessed. If a share $s$ of the posterior lies in the tall bump, a Gaussian that covered this bump perfectly would pay $-\log s$.

# %% tags=["nbval-check-output"]
share = np.exp(log_posterior)[grid > 0].sum() * step
print(
    f"share of the tall bump {share:.2f}, −log share {-np.log(share):.3f}, gap {gaps.min():.3f} nats"
)

# %% [markdown]
#
# The rest is paid because the bump is not quite Gaussian in shape. So the gap has a floor that depends on the *family* of $q$: where the posterior is not Gaussian, the best Gaussian still pays. This remainder is called the **approximation gap**. An encoder network, which has to answer for every $x$ with the same weights, may miss the best Gaussian and pay extra: the **amortisation gap**, often the larger of the two (Cremer, Li and Duvenaud, 2018).
#
# Read (5) once more from the side of training, where the decoder changes as well as $q$. A higher ELBO means a higher $\log p(x)$, a smaller gap, or more of one at the price of the other. The ELBO alone cannot tell you which.
#
# ## The KL between Gaussians
#
# In a VAE $q$ is a Gaussian with mean $\mu$ and standard deviation $\sigma$ in each dimension, and the prior is standard normal. Then the KL in line (4) needs no sampling. For one dimension, with $z = \mu + \sigma\varepsilon$:
#
# $$
# \begin{aligned}
# \mathrm{KL} &= E_q[\log q(z) - \log p(z)] \\
# &= E\big[-\tfrac12\log(2\pi\sigma^2) - \tfrac12 \varepsilon^2\big] - E\big[-\tfrac12\log(2\pi) - \tfrac12(\mu + \sigma\varepsilon)^2\big] \\
# &= -\tfrac12\log\sigma^2 - \tfrac12 + \tfrac12(\mu^2 + \sigma^2)
# = \tfrac12\big(\mu^2 + \sigma^2 - \log\sigma^2 - 1\big),
# \end{aligned}
# $$
#
# because $E[\varepsilon] = 0$ and $E[\varepsilon^2] = 1$. Independent dimensions add up. Networks return `logvar` $= \log\sigma^2$, which may be any real number:


# %%
def kl_to_standard_normal(mu, logvar):
    """KL( N(mu, diag(exp(logvar))) || N(0, I) ). (B, D) twice -> (B,), in nats."""
    return 0.5 * (mu**2 + np.exp(logvar) - logvar - 1).sum(axis=1)


# %% [markdown]
# A formula that was derived should still be tested. A KL is an average of $\log q - \log p$ over samples of $q$, so an average over 200,000 samples must agree within a few of its own standard errors. We test 20 random cases of three dimensions. A deviation of five standard errors happens by chance less than once in a million times, so even the worst of the 20 should stay below it.

# %%
mu, logvar = rng.normal(size=(20, 3)), rng.normal(size=(20, 3))
closed = kl_to_standard_normal(mu, logvar)
z = mu[:, None] + np.exp(0.5 * logvar)[:, None] * rng.normal(
    size=(20, 200_000, 3)
)  # (20, 200000, 3)
terms = log_normal(z, mu[:, None], np.exp(logvar)[:, None]) - log_normal(
    z, 0.0, np.ones(3)
)  # (20, 200000)
deviation = np.abs(terms.mean(axis=1) - closed) / (
    terms.std(axis=1) / np.sqrt(200_000)
)  # in standard errors
assert deviation.max() < 5

# %% tags=["nbval-check-output"]
print(f"20 cases, largest deviation below 5 standard errors: {deviation.max() < 5}")

# %% [markdown]
# Two facts help to recognise a wrong KL. It is never negative. And it is zero only for $\mu = 0$, $\sigma = 1$. You will meet the version with its sign turned round, $\tfrac12\sum(1 + \log\sigma^2 - \mu^2 - \sigma^2)$, printed as "the KL" in blog posts; it is minus the KL.
#
# A frequent mistake in code: the network's output is used twice, for the sample, where $\sigma$ is computed from it, and in the KL. If the sampling code reads it as $\log\sigma$ and the KL as $\log\sigma^2$, nothing fails. For $\sigma = 0.1$ and $\mu = 0$:

# %% tags=["nbval-check-output"]
right = kl_to_standard_normal(np.zeros((1, 1)), np.log(np.full((1, 1), 0.1**2)))[0]
wrong = kl_to_standard_normal(np.zeros((1, 1)), np.log(np.full((1, 1), 0.1)))[0]
print(f"logvar = log σ²: {right:.3f} nats      log σ in its place: {wrong:.3f} nats")

# %% [markdown]
# The wrong KL charges much less for a small σ, so training makes σ smaller than it should be. No error message appears.
#
# ## The whole identity, exactly
#
# On the grid we checked the identity for one $x$ and one $q$. Now for a model with several latents, exactly. In the linear-Gaussian VAE (the linear story with a Gaussian $q$) every term has a closed form:
#
# $$\log p(x) = \underbrace{E_q[\log p(x \mid z)] - \mathrm{KL}(q \,\|\, p(z))}_{\text{ELBO}} + \mathrm{KL}(q \,\|\, p(z \mid x)).$$
#
# Here $\sigma$ (in code `noise`) belongs to $p(x \mid z)$; the widths of $q$ are called $s$. To make it a real test, each of the three numbers gets its own route.
#
# The marginal goes through the covariance $C = WW^\top + \sigma^2 I$ of $x$, and never mentions $z$. A Cholesky factor of $C$ is a triangular matrix $L$ with $LL^\top = C$. With it, $\log\det C = 2\sum_i \log L_{ii}$ and $(x-b)^\top C^{-1}(x-b) = \lVert L^{-1}(x-b)\rVert^2$.

# %%
P, D, noise = 10, 4, 0.5
W, b = rng.normal(size=(P, D)), rng.normal(size=P)


def exact_log_marginal(x):
    """log N(x; b, WWᵀ + σ²I) through a Cholesky factor. (P,) -> a number."""
    L = np.linalg.cholesky(W @ W.T + noise**2 * np.eye(P))  # (P, P)
    white = np.linalg.solve(L, x - b)
    return -0.5 * P * np.log(2 * np.pi) - np.log(np.diag(L)).sum() - 0.5 * white @ white


# %% [markdown]
# The ELBO of $q = N(\mu, \mathrm{diag}(s^2))$ uses $E_q\lVert x - Wz - b\rVert^2 = \lVert x - W\mu - b\rVert^2 + \sum_j s_j^2 \lVert w_j\rVert^2$, where $w_j$ is column $j$ of $W$: the squared error at the mean, plus what the spread of $q$ adds.


# %%
def exact_elbo(x, mu, s):
    """E_q[log p(x|z)] − KL(q || N(0, I)) in closed form. (P,), (D,), (D,) -> a number."""
    squared_error = ((x - W @ mu - b) ** 2).sum() + (s**2 * (W**2).sum(axis=0)).sum()
    rec = -0.5 * P * np.log(2 * np.pi * noise**2) - 0.5 * squared_error / noise**2
    return rec - kl_to_standard_normal(mu[None], np.log(s**2)[None])[0]


# %% [markdown]
# The gap needs the posterior. By Bayes' rule, $\log p(z \mid x) = -\tfrac12\lVert z\rVert^2 - \lVert x - Wz - b\rVert^2/(2\sigma^2) + \text{const}$. This is quadratic in $z$, so the posterior is Gaussian. The matrix of the quadratic part is its precision (inverse covariance), $\Lambda = I + W^\top W/\sigma^2$, and the point where the derivative is zero is its mean, $\Lambda^{-1}W^\top(x - b)/\sigma^2$. With $d = \mu - \text{mean}$, the calculation of the previous section gives in several dimensions
#
# $$\mathrm{KL} = \tfrac12\Big(d^\top\Lambda d + \sum_j \Lambda_{jj}s_j^2 - D - \log\det\Lambda - \sum_j \log s_j^2\Big).$$


# %%
def exact_gap(x, mu, s):
    """KL( N(mu, diag(s²)) || p(z|x) ), Gaussian against Gaussian. (P,), (D,), (D,) -> a number."""
    precision = np.eye(D) + W.T @ W / noise**2  # (D, D)
    d = mu - np.linalg.solve(precision, W.T @ (x - b)) / noise**2
    at_the_mean = d @ precision @ d
    from_the_spread = (np.diag(precision) * s**2).sum()
    log_det = np.linalg.slogdet(precision)[1]
    return 0.5 * (at_the_mean + from_the_spread - D - log_det - np.log(s**2).sum())


# %% [markdown]
# Two hundred random pairs of $x$ and $q$, good and bad ones. If one term of the derivation were wrong, the three routes could not meet.

# %%
residuals = []
for _ in range(200):
    x = W @ rng.normal(size=D) + b + noise * rng.normal(size=P)
    mu, s = rng.normal(size=D), np.exp(0.5 * rng.normal(size=D))
    residuals.append(exact_log_marginal(x) - exact_elbo(x, mu, s) - exact_gap(x, mu, s))
identity_error = np.abs(residuals).max()
assert identity_error <= 1e-10

# %% tags=["nbval-check-output"]
print(f"200 pairs, |log p(x) − ELBO − KL(q || posterior)| ≤ 1e-10 nats: {identity_error <= 1e-10}")

# %% [markdown]
# ### What a diagonal q gives away
#
# A VAE's $q$ has no correlations between latents. If the true posterior has them, even the best diagonal $q$ leaves a gap. Here it is known exactly: the best diagonal $q$ takes the posterior's mean, and $s_j^2 = 1/\Lambda_{jj}$ (set the derivative of the gap with respect to $s_j^2$ to zero: $\Lambda_{jj} - 1/s_j^2 = 0$).

# %%
x = W @ rng.normal(size=D) + b + noise * rng.normal(size=P)
precision = np.eye(D) + W.T @ W / noise**2
posterior_mean = np.linalg.solve(precision, W.T @ (x - b)) / noise**2
best_s = 1 / np.sqrt(np.diag(precision))
best_gap = exact_gap(x, posterior_mean, best_s)
others = [
    exact_gap(x, posterior_mean, best_s * np.exp(0.3 * rng.normal(size=D))) for _ in range(200)
]
assert min(others) > best_gap

# %% tags=["nbval-check-output"]
print(f"gap of the best diagonal q: {best_gap:.4f} nats; 200 others were worse")

# %% [markdown]
# With $W$ free to be learnt, the model can avoid this cost: it may turn the latent axes until the columns of $W$ are orthogonal. Turning changes nothing in $p(x)$, but it makes $\Lambda$ diagonal.

# %%
W_turned = W @ np.linalg.svd(W)[2].T  # the rotation comes from W's singular value decomposition
turned = np.eye(D) + W_turned.T @ W_turned / noise**2
assert np.allclose(W_turned @ W_turned.T, W @ W.T)  # the same p(x)
assert np.allclose(turned, np.diag(np.diag(turned)))  # no correlation left: the gap is zero

# %% [markdown]
# A diagonal $q$ therefore *prefers* some orientations of the latent space over others, although the prior looks the same from all sides.
#
# ## Nats, bits, bits per dimension
#
# A log-likelihood with the natural logarithm is measured in **nats**; divide by $\ln 2$ for bits. Images of different size are compared in **bits per dimension**: bits divided by the number of values in the image.


# %%
def bits_per_dim(nats, dims):
    return nats / (np.log(2) * dims)


# %% tags=["nbval-check-output"]
print(
    f"784 fair coin flips cost {784 * np.log(2):.1f} nats, {bits_per_dim(784 * np.log(2), 784):.3f} bits per dimension"
)

# %% [markdown]
# For discrete data, such as black or white pixels, $-\log p(x)$ is the length of a code (an event of probability $p$ can be written down in about $-\log_2 p$ bits), and never negative. For a *density*, as in probabilistic PCA, it is not a code length: densities exceed 1 where data cluster, and the number depends on the unit in which a pixel is measured. Its absolute size says nothing; a difference between two models on the same data and scale does. With three sizes of latent, on test digits:


# %%
def ppca_log_density(x, D):
    """log N(x; mean image, WWᵀ + σ²I), using the eigenvectors that W is made of. (B, 784) -> (B,)."""
    _, sigma2 = fit_ppca(D)
    variances = np.concatenate([eigenvalues[:D], np.full(784 - D, sigma2)])
    return log_normal((x - mean_image) @ directions, 0.0, variances)


test = digits.test_x.flatten(1).double().numpy()
ppca = {D: ppca_log_density(test, D).mean() for D in [2, 10, 50]}
for D, value in ppca.items():
    print(
        f"{D:3d} latents: log density {value:7.1f} nats per image, {-bits_per_dim(value, 784):6.2f} 'bits per dimension'"
    )

# %% [markdown]
# More latents, higher density, and a negative number of "bits": a reminder to ask of every likelihood whether it is a probability or a density, and in which units.
#
# One more distinction: a VAE reports **−ELBO**. By (5) it is an *upper* bound on $-\log p(x)$, too large by the gap. Two models can swap their places when judged by $\log p(x)$ instead. The gap can be measured by **importance sampling**, which is line (2) with many samples of $q$: the logarithm of the average of $p(x, z)/q(z)$ (Burda, Grosse and Salakhutdinov, 2016). By Jensen, that estimate is too low on average as well, but less so with every further sample. For one published VAE on binary MNIST, the test ELBO is −103.31 nats and the estimate of $\log p(x)$ −97.10 ([altosaar/variational-autoencoder](https://github.com/altosaar/variational-autoencoder), its README).
#
# The next cell prints this lesson's main numbers for the automatic tests. You can pass over it.

# %% tags=["figures"]
figures = {
    "identity_error": float(identity_error),
    "identity_pairs": len(residuals),
    "grid_error": float(grid_error),
    "kl_standard_errors": round(float(deviation.max()), 2),
}
print(json.dumps({"source": digits.source, **figures}))

# %% [markdown]
# ## Recap
#
# - You described a latent-variable model as a story, prior first and likelihood second, and saw that its marginal is an integral that neither a grid nor samples from the prior can compute in many dimensions.
# - You derived the ELBO in four lines, and showed that exactly $\mathrm{KL}(q \,\|\, p(z \mid x))$ separates it from $\log p(x)$: on a grid, and for 200 linear-Gaussian cases to $10^{-10}$ nats.
# - You computed the KL between Gaussians, and tested the formula against samples and their standard error.
# - You converted nats to bits per dimension, and can say why −ELBO, −log p(x) and a negative log-density are three different things.
#
# ## When something looks wrong
#
# | symptom | cause | fix |
# |---|---|---|
# | an ELBO above $\log p(x)$ | a term has the wrong sign, or $q$ is not normalised | compare each line with a grid in one dimension |
# | a negative KL | the sign is flipped, or `logvar` and σ are mixed up | evaluate at μ=0, σ=1 (must be 0) and at σ=0.1 (must be 1.808 a dimension) |
# | a KL estimate from samples that is sometimes negative | a single sample of $\log q - \log p$ may be; only its mean is not | use the closed form, or more samples |
# | `-inf` or `nan` in a marginal | densities were multiplied and underflowed | add logarithms, and use log-sum-exp |
# | "my VAE has 99 nats, theirs has 95" | −ELBO compared with −log p(x), or other units | compare the same quantity, on the same data prepared in the same way |
#
# ## References
#
# - D. P. Kingma and M. Welling, *Auto-Encoding Variational Bayes*, 2014, [arXiv 1312.6114](https://arxiv.org/abs/1312.6114); the Gaussian KL is in its appendix B.
# - M. E. Tipping and C. M. Bishop, *Probabilistic Principal Component Analysis*, Journal of the Royal Statistical Society B 61, 1999.
# - D. M. Blei, A. Kucukelbir and J. D. McAuliffe, *Variational Inference: A Review for Statisticians*, 2017, [arXiv 1601.00670](https://arxiv.org/abs/1601.00670).
# - C. Cremer, X. Li and D. Duvenaud, *Inference Suboptimality in Variational Autoencoders*, 2018, [arXiv 1801.03558](https://arxiv.org/abs/1801.03558).
# - Y. Burda, R. Grosse and R. Salakhutdinov, *Importance Weighted Autoencoders*, 2016, [arXiv 1509.00519](https://arxiv.org/abs/1509.00519).
#
# **Exercises:** [sheet 01](../exercises/01_elbo.ipynb) · **Next:** [02 · One forward pass in NumPy](02_numpy_forward.ipynb)
