# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 01 · The evidence lower bound
#
# Six tasks on [lesson 01](../notebooks/01_elbo.ipynb): five functions that a check looks at, and a question to answer in words. You compute a marginal, a KL, a posterior and the bound itself, and repair a loss with two common faults.

# %% [markdown] tags=["badges"]
# <!-- badges -->

# %% [markdown]
# *Time:* about 60 minutes. *Assumed:* lesson 01; NumPy. *Points:* 18.
#
# Write each function in its cell, run the cell, then run the check below it: it says whether the answer is right, or which mistake it found. A check looks only at what your function returns; prints inside it are not shown while it is checked. Return NumPy arrays, not lists or tensors; you may copy functions from the lesson. No task needs an earlier one, so leave one out if you are stuck. Hints open with a click; worked answers stand in [solutions/01_elbo.ipynb](../solutions/01_elbo.ipynb).

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
import numpy as np
from vae_course.checks import elbo as check, progress

# %% [markdown]
# ## 1 · The log-density of a mixture
#
# *8 minutes · 2 points · warm-up; the bounds of a later lesson need the same sum.*
#
# A number comes from one of $K$ groups: $p(x) = \sum_k w_k\, N(x;\, m_k, s_k^2)$. This is the smallest latent-variable model, and its marginal is a sum that we can afford. The weights are positive and add up to 1, and `stds` are the $s_k$. Return $\log p(x)$ for each of $N$ numbers. It must stay finite for an $x$ that is far from every group.
#
# <details><summary>Hint 1</summary>Take the logarithm of each of the K terms first, then add them up without leaving logarithms. Which function of lesson 01 does that?</details>
# <details><summary>Hint 2</summary>log Σ exp(a) = top + log Σ exp(a − top), with top the largest a. NumPy has it for two terms, <code>np.logaddexp</code>, and <code>np.logaddexp.reduce(a, axis=1)</code> for many.</details>


# %% nbgrader={"grade": false, "grade_id": "mixture_log_density", "locked": false, "schema_version": 3, "solution": true, "task": false}
def mixture_log_density(x, weights, means, stds):
    """log p(x) of a mixture of Gaussians. x (N,); weights, means, stds (K,) -> (N,), in nats."""
    ### BEGIN SOLUTION
    squared_distance = ((x[:, None] - means) / stds) ** 2  # (N, K), in units of each component's σ
    log_terms = np.log(weights / stds) - 0.5 * (np.log(2 * np.pi) + squared_distance)
    return np.logaddexp.reduce(log_terms, axis=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-mixture_log_density", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.mixture_log_density(mixture_log_density)
### BEGIN HIDDEN TESTS
far_away = mixture_log_density(
    np.array([200.0]), np.array([0.5, 0.5]), np.array([0.0, 1.0]), np.array([1.0, 2.0])
)
assert abs(far_away[0] - (np.log(0.25 / np.sqrt(2 * np.pi)) - 0.125 * 199.0**2)) < 1e-6, (
    "a point far from every group"
)
on_a_grid = np.linspace(-30, 30, 60_001)
density_on_grid = np.exp(
    mixture_log_density(
        on_a_grid, np.array([0.2, 0.8]), np.array([-3.0, 1.5]), np.array([0.6, 2.0])
    )
)
assert abs(density_on_grid.sum() * (on_a_grid[1] - on_a_grid[0]) - 1) < 1e-6, (
    "a density must add up to 1"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · The KL between two Gaussians
#
# *13 minutes · 3 points · for models whose prior is not N(0, I): one for each class, for instance.*
#
# Lesson 01 derived the KL to the standard normal. Derive the general one, for diagonal Gaussians $q = N(\mu, \mathrm{diag}(\sigma^2))$ and $p = N(\mu_p, \mathrm{diag}(\sigma_p^2))$ in $D$ dimensions: write $E_q[\log q(z) - \log p(z)]$ for one dimension, take the expectation of each square under $q$, and add up the dimensions. Both logarithms of variances are given.
#
# <details><summary>Hint 1</summary>E_q[(z − μ)²] = σ², and E_q[(z − μ_p)²] = σ² + (μ − μ_p)².</details>
# <details><summary>Hint 2</summary>One dimension: ½ (log σ_p² − log σ² + (σ² + (μ − μ_p)²)/σ_p² − 1). With μ_p = 0 and σ_p = 1 it is the lesson's formula.</details>


# %% nbgrader={"grade": false, "grade_id": "kl_between_gaussians", "locked": false, "schema_version": 3, "solution": true, "task": false}
def kl_between_gaussians(mu, logvar, prior_mu, prior_logvar):
    """KL( N(mu, exp(logvar)) || N(prior_mu, exp(prior_logvar)) ). All (B, D) -> (B,), in nats."""
    ### BEGIN SOLUTION
    squared_distance = np.exp(logvar) + (mu - prior_mu) ** 2  # E_q[(z - prior_mu)²]
    each_latent = 0.5 * (prior_logvar - logvar + squared_distance / np.exp(prior_logvar) - 1)
    return each_latent.sum(axis=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-kl_between_gaussians", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.kl_between_gaussians(kl_between_gaussians)
### BEGIN HIDDEN TESTS
q_mean, q_logvar = np.array([[0.3, -1.2], [2.0, 0.0]]), np.array([[-2.0, 0.4], [1.0, -0.5]])
assert np.allclose(kl_between_gaussians(q_mean, q_logvar, q_mean, q_logvar), 0), (
    "equal Gaussians have no KL"
)
grid_of_z = np.linspace(-25, 25, 100_001)
log_q_on_grid = -0.5 * (np.log(2 * np.pi) + 0.4 + (grid_of_z + 1.2) ** 2 * np.exp(-0.4))
log_p_on_grid = -0.5 * (np.log(2 * np.pi) + 1.1 + (grid_of_z - 0.7) ** 2 * np.exp(-1.1))
by_integration = (np.exp(log_q_on_grid) * (log_q_on_grid - log_p_on_grid)).sum() * (
    grid_of_z[1] - grid_of_z[0]
)
by_formula = kl_between_gaussians(
    np.array([[-1.2]]), np.array([[0.4]]), np.array([[0.7]]), np.array([[1.1]])
)
assert abs(by_formula[0] - by_integration) < 1e-6, "the formula and the integral differ"
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · The exact posterior of a linear model
#
# *9 minutes · 3 points · a later lesson predicts posterior collapse with it.*
#
# An encoder's $q(z \mid x)$ stands in for the posterior. In the linear-Gaussian model the posterior is known exactly, which makes it a good test case: $z \sim N(0, I)$ with $D$ latents, and $x = Wz + b + \text{noise}$, the noise Gaussian and independent, of variance $\sigma^2$ in each of the $P$ observed numbers. Return the mean and the covariance of $p(z \mid x)$.
#
# <details><summary>Hint 1</summary>Lesson 01, "The whole identity": log p(z | x) is quadratic in z. Bring it to the form −½ zᵀΛz + zᵀh + const, and read off Λ and h.</details>
# <details><summary>Hint 2</summary>The precision is I + WᵀW/σ². The covariance is its inverse; the mean is the covariance times Wᵀ(x − b)/σ².</details>


# %% nbgrader={"grade": false, "grade_id": "posterior", "locked": false, "schema_version": 3, "solution": true, "task": false}
def posterior(x, W, b, var):
    """Mean and covariance of p(z|x). x (P,), W (P, D), b (P,), var = σ² a number -> (D,), (D, D)."""
    ### BEGIN SOLUTION
    prior_and_data = np.eye(W.shape[1]) + W.T @ W / var  # the posterior's precision, (D, D)
    covariance = np.linalg.inv(prior_and_data)
    return covariance @ (W.T @ (x - b)) / var, covariance
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-posterior", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.posterior(posterior)
### BEGIN HIDDEN TESTS
slope, shift, noise_var = np.array([[1.5]]), np.array([-0.4]), 0.8
one_mean, one_covariance = posterior(np.array([2.0]), slope, shift, noise_var)
z_line = np.linspace(-12, 12, 48_001)
unnormalised = np.exp(-0.5 * z_line**2 - 0.5 * (2.0 - 1.5 * z_line + 0.4) ** 2 / noise_var)
mean_by_grid = (unnormalised * z_line).sum() / unnormalised.sum()
assert abs(one_mean[0] - mean_by_grid) < 1e-6, "the posterior's mean differs from the grid's"
var_by_grid = (unnormalised * (z_line - mean_by_grid) ** 2).sum() / unnormalised.sum()
assert abs(one_covariance[0, 0] - var_by_grid) < 1e-6, (
    "the posterior's variance differs from the grid's"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · The ELBO from samples
#
# *12 minutes · 3 points · lesson 02 computes it for digits, with one sample for each image.*
#
# For most models the expectation in the ELBO has no closed form, and samples estimate it: draw $z = \mu + \sigma\varepsilon$, evaluate $\log p(x, z) - \log q(z)$, average over $K$ draws. Here the noise is given, so that everybody gets the same number; `log_joint` is the model with one observed $x$ in it, for which there are $B$ different $q$; it takes $z$ of shape $(K, B, D)$ at once and returns $(K, B)$. Evaluate $\log q$ at the samples as well, and use no closed form of the KL or the entropy.
#
# <details><summary>Hint 1</summary>log q(z) is the log-density of N(μ, σ²) at the sampled z, summed over the D latents: there is one number for each sample and example.</details>
# <details><summary>Hint 2</summary>(z − μ)/σ is ε itself: log q(z) = −½ Σ (log 2π + logvar + ε²). Shapes: z is (K, B, D), log q and log p are (K, B), the result is (B,).</details>


# %% nbgrader={"grade": false, "grade_id": "elbo", "locked": false, "schema_version": 3, "solution": true, "task": false}
def elbo(log_joint, mu, logvar, eps):
    """Average over K samples of log p(x, z) − log q(z), log q evaluated at the samples.

    log_joint: z (..., D) -> log p(x, z) (...); mu, logvar (B, D); eps (K, B, D) -> (B,), in nats.
    """
    ### BEGIN SOLUTION
    z = mu + np.exp(0.5 * logvar) * eps  # (K, B, D)
    log_q = -0.5 * (np.log(2 * np.pi) + logvar + eps**2).sum(axis=-1)  # (K, B)
    return (log_joint(z) - log_q).mean(axis=0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-elbo", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.elbo(elbo)
### BEGIN HIDDEN TESTS
true_mean, true_logvar = np.array([[0.5, -1.0, 2.0]]), np.array([[0.2, -0.7, 1.0]])


def log_evidence_and_posterior(z):  # a model whose posterior is known, with log p(x) = -7.25
    return -7.25 - 0.5 * (
        np.log(2 * np.pi) + true_logvar + (z - true_mean) ** 2 / np.exp(true_logvar)
    ).sum(axis=-1)


some_noise = np.random.default_rng(7).normal(size=(3, 1, 3))
at_the_posterior = elbo(log_evidence_and_posterior, true_mean, true_logvar, some_noise)
assert np.allclose(at_the_posterior, -7.25), (
    "with q equal to the posterior, every sample gives log p(x)"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 5 · Spot the bug: a loss that is too low
#
# *8 minutes · 3 points · the mistake that is easiest to make and hardest to see.*
#
# This loss has two faults, and both are common. It runs without an error, and its values fall below everybody else's, soon below zero. Two things are wrong in the line that computes `kl`. Run the cell, compare what it prints with the KL of lesson 01 (never negative; 1.808 nats a latent at $\mu = 0$, $\sigma = 0.1$), then write the repaired loss.


# %%
def faulty_loss(rec, mu, logvar):
    kl = 0.5 * (1 + logvar - mu**2 - np.exp(logvar)).mean(axis=1)
    return rec + kl


for D in (1, 2, 20):
    narrow = np.full((1, D), 2 * np.log(0.1))
    print(
        f"D = {D:2d}: what it takes for the KL is {faulty_loss(np.zeros(1), np.zeros((1, D)), narrow)[0]:.3f} nats"
    )

# %% [markdown]
# <details><summary>Hint 1</summary>The printed number has the wrong sign. And how should it change from D = 1 to D = 20?</details>
# <details><summary>Hint 2</summary>Some texts print ½ Σ (1 + log σ² − μ² − σ²) and call it the KL: it is −KL. And independent latents add up.</details>


# %% nbgrader={"grade": false, "grade_id": "repaired_loss", "locked": false, "schema_version": 3, "solution": true, "task": false}
def repaired_loss(rec, mu, logvar):
    """−ELBO of each example. rec (B,) is −log p(x|z), in nats; mu, logvar (B, D) -> (B,)."""
    ### BEGIN SOLUTION
    kl_of_each = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)
    return rec + kl_of_each
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-repaired_loss", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.repaired_loss(repaired_loss)
### BEGIN HIDDEN TESTS
twenty_narrow = np.full((1, 20), 2 * np.log(0.1))
assert (
    abs(repaired_loss(np.array([5.0]), np.zeros((1, 20)), twenty_narrow)[0] - 5 - 20 * 1.8075851)
    < 1e-4
), "20 latents at σ = 0.1"
assert np.allclose(
    repaired_loss(np.array([3.0, 4.0]), np.zeros((2, 5)), np.zeros((2, 5))), [3, 4]
), "q equal to the prior"
### END HIDDEN TESTS

# %% [markdown]
# ## 6 · In your own words
#
# *10 minutes · 4 points · marked by hand.*
#
# Two VAEs were trained on the same binarised digits. On the same test set model A has −ELBO = 98.0 nats and model B 97.2. A friend concludes: "B gives the test digits a higher probability." Is that so? Say what each of the two numbers contains beside $-\log p(x)$, describe a case in which the conclusion is wrong although both numbers are right, and propose a measurement that could settle it. Five to ten sentences.

# %% [markdown] nbgrader={"grade": true, "grade_id": "open-elbo", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in place of this line.*
#
# === BEGIN MARK SCHEME ===
# One point each:
#
# 1. −ELBO = −log p(x) + KL(q(z|x) ‖ p(z|x)), and the KL is never negative: each number is an upper bound on −log p(x).
# 2. The gaps of the two models differ and are unknown; they come from a simple family of q and from one encoder answering for all images.
# 3. A consistent case: for example, A has −log p(x) = 93 and a gap of 5, B has 95.2 and a gap of 2. Then A is the better model of the digits.
# 4. A measurement that tightens the bound for both: importance-weighted bounds with many samples, a better q optimised for each test image, annealed importance sampling; or a model small enough for a grid. Naming the sampling error of 0.8 nats over a test set (other seeds, standard error) also earns this point.
# === END MARK SCHEME ===

# %% [markdown]
# ## What is solved
#
# The last verdict of each check in this session.

# %%
progress("01")

# %% [markdown]
# **Back:** [lesson 01](../notebooks/01_elbo.ipynb) · **Next:** [lesson 02](../notebooks/02_numpy_forward.ipynb)
