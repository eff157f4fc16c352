# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 03 · Gradients through a sample
#
# Seven tasks on [lesson 03](../notebooks/03_gradients.ipynb): six functions that a check looks at, and a question to answer in words. You write the sample that every later lesson needs, carry both gradient estimators over to other distributions, and repair a training loss that learns nothing but the mean image.

# %% [markdown] tags=["badges"]
# <!-- badges -->

# %% [markdown]
# *Time:* about 60 minutes. *Assumed:* lesson 03; NumPy and PyTorch's autograd. *Points:* 21.
#
# Write each function in its cell, run the cell, then run the check below it: it says whether the answer is right, or which mistake it found. A check looks only at what your function returns and does; prints inside it are not shown while it is checked. No task needs an earlier one, so leave one out if you are stuck. Hints open with a click; worked answers stand in [solutions/03_gradients.ipynb](../solutions/03_gradients.ipynb).

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
import numpy as np, torch, torch.nn.functional as F
from vae_course.checks import gradients as check, progress

# %% [markdown]
# ## 1 · A sample that lets gradients through
#
# *6 minutes · 4 points · warm-up; every VAE of this course contains it, from lesson 04 on.*
#
# Return one sample of $q(z \mid x) = N(\mu, \sigma^2)$ for each example, so that a gradient that arrives at $z$ is passed on to $\mu$ and `logvar`. Each example and each latent needs noise of its own, and each call new noise.
#
# This check draws many thousands of numbers, because most mistakes in this function are silent: the code runs, and the samples look plausible.
#
# <details><summary>Hint 1</summary>The random numbers must not know the parameters: draw standard normal noise first. Which two operations turn it into noise of the right width, around the right mean?</details>
# <details><summary>Hint 2</summary><code>logvar</code> is log σ², so σ = exp(½ logvar). The noise has the shape of μ. If you prefer <code>torch.distributions</code>, look up how its two ways to draw differ.</details>


# %% nbgrader={"grade": false, "grade_id": "sample_z", "locked": false, "schema_version": 3, "solution": true, "task": false}
def sample_z(mu, logvar):
    """A reparameterised sample z of N(mu, exp(logvar)). Tensors mu, logvar (B, D) -> (B, D)."""
    ### BEGIN SOLUTION
    half_width = torch.exp(logvar / 2)  # σ, since logvar is log σ²
    return mu + half_width * torch.randn_like(half_width)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-sample_z", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check.sample_z(sample_z)
### BEGIN HIDDEN TESTS
one_mean = torch.tensor([[0.7, -1.2]], requires_grad=True)
one_logvar = torch.tensor([[-1.0, 0.3]], requires_grad=True)
repeated = [
    each[:, :, None].expand(1_000, 2, 10).reshape(1_000, 20) for each in (one_mean, one_logvar)
]
second_moment = (sample_z(*repeated) ** 2).reshape(1_000, 2, 10).mean(dim=(0, 2))
true_moment = (one_mean**2 + one_logvar.exp()).detach()[0]
assert (second_moment - true_moment).abs().max() < 0.25, "E[z²] is μ² + σ²"
second_moment.sum().backward()
assert (one_mean.grad - 2 * one_mean).abs().max() < 0.25, "the derivative of E[z²] in μ is 2μ"
assert (one_logvar.grad - one_logvar.exp()).abs().max() < 0.25, (
    "the derivative of E[z²] in logvar is σ²"
)
narrow = sample_z(torch.ones(2, 1), torch.full((2, 1), -60.0))
assert (narrow - 1).abs().max() < 1e-6, "with σ near 0, z is μ"
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · The score function for binary latents
#
# *13 minutes · 3 points · for latents that are not continuous; no later lesson needs it.*
#
# Lesson 03 used the score function on a Gaussian, where the pathwise gradient is usually better. Here is a distribution without a differentiable path: $D$ independent latents with values 0 or 1, $q(z_d = 1) = p_d$ and $p_d = \text{sigmoid}(\ell_d)$ for logits $\ell_d$. Derive $\partial\log q(z)/\partial\ell_d$, and return the estimates $f(z)\,\partial\log q(z)/\partial\ell_d$ of $\partial E_q[f(z)]/\partial\ell_d$, one for each of $N$ given samples and each logit.
#
# <details><summary>Hint 1</summary>Write one latent's log q(z) as z ℓ − log(1 + exp ℓ), and check it for z = 0 and z = 1.</details>
# <details><summary>Hint 2</summary>The derivative of log(1 + exp ℓ) is sigmoid(ℓ): the score is observation minus probability. f has one value for each sample, and multiplies that sample's whole row.</details>


# %% nbgrader={"grade": false, "grade_id": "score_function_gradient", "locked": false, "schema_version": 3, "solution": true, "task": false}
def score_function_gradient(f, logits, z):
    """Score function estimates of the gradient of E[f(z)] with respect to the logits.

    NumPy arrays. f: z (N, D) -> (N,); logits (D,); z (N, D), samples of 0 and 1 drawn from q -> (N, D).
    """
    ### BEGIN SOLUTION
    score = z - 1 / (1 + np.exp(-logits))  # (N, D)
    return f(z)[:, np.newaxis] * score
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-score_function_gradient", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.score_function_gradient(score_function_gradient)
### BEGIN HIDDEN TESTS
all_codes = np.array([[a, b, c] for a in (0.0, 1.0) for b in (0.0, 1.0) for c in (0.0, 1.0)])


def reward_of_code(code):
    return (code @ np.array([1.0, -2.0, 0.5]) - 0.3) ** 2


def probability_of_codes(at_logits):
    chance = 1 / (1 + np.exp(-at_logits))
    return np.prod(np.where(all_codes == 1, chance, 1 - chance), axis=1)


some_logits = np.array([0.4, -1.1, 2.0])
every_estimate = score_function_gradient(reward_of_code, some_logits, all_codes)
exact_by_enumeration = probability_of_codes(some_logits) @ every_estimate
for d in range(3):
    shift = 1e-5 * np.eye(3)[d]
    up, down = (
        probability_of_codes(some_logits + s) @ reward_of_code(all_codes) for s in (shift, -shift)
    )
    assert abs(exact_by_enumeration[d] - (up - down) / 2e-5) < 1e-6, (
        "averaged over all codes, the estimates give the exact gradient"
    )
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · A baseline that keeps the estimate unbiased
#
# *7 minutes · 2 points · a later lesson draws several samples of each image, too.*
#
# A baseline may be any number that does not depend on the sample whose score it is multiplied with. The mean of $f$ over $K$ samples of the same example seems a natural choice. But it contains each sample's own value, with weight $1/K$, and so it takes away a part of what the estimate should find: the result has the mean $(1 - 1/K)$ times the gradient. The next cell measures it on the lesson's example ($\mu = 2$, $\sigma = 0.5$, $f(z) = (z - 3)^2$), with $K = 4$ samples and the derivative with respect to $\mu$.

# %%
noise = np.random.default_rng(0).normal(size=(4, 200_000))  # K samples of each example
values = (2 + 0.5 * noise - 3) ** 2
score = noise / 0.5
for label, b in [("none", 0.0), ("mean of all K samples", values.mean(axis=0))]:
    estimates = ((values - b) * score).mean(axis=0)
    print(
        f"baseline: {label:21}   mean {estimates.mean():6.3f}   variance {estimates.var():5.2f}   (truth -2)"
    )

# %% [markdown]
# The cure: give each sample the mean of the *other* $K - 1$. Return these baselines.
#
# <details><summary>Hint 1</summary>For K = 3 and values 1, 5, 9 of one example, the baselines are 7, 5 and 3.</details>
# <details><summary>Hint 2</summary>No loop is needed: add up all K values, take the own one away, and count how many are left. Samples lie along axis 0; examples stay apart.</details>


# %% nbgrader={"grade": false, "grade_id": "leave_one_out", "locked": false, "schema_version": 3, "solution": true, "task": false}
def leave_one_out(values):
    """For each value, the mean of the example's other samples.

    NumPy arrays. values (K, B), K samples of B examples, K > 1 -> (K, B).
    """
    ### BEGIN SOLUTION
    without_own = values.sum(axis=0, keepdims=True) - values
    return without_own / (values.shape[0] - 1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-leave_one_out", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.leave_one_out(leave_one_out)
### BEGIN HIDDEN TESTS
some_values = np.random.default_rng(5).normal(size=(6, 2)) + 4
before_change = leave_one_out(some_values)
changed_values = some_values.copy()
changed_values[2, 1] += 100
difference_seen = leave_one_out(changed_values) - before_change
assert abs(difference_seen[2, 1]) < 1e-9, "a value must not enter its own baseline"
assert np.allclose(np.delete(difference_seen[:, 1], 2), 20), "it enters the five others by a fifth"
assert np.allclose(difference_seen[:, 0], 0), "another example must not change"
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · Pathwise samples of another distribution
#
# *7 minutes · 2 points · the pathwise gradient is not for Gaussians alone; no later lesson needs it.*
#
# A continuous distribution whose cumulative distribution function $F$ can be inverted, with an inverse that is differentiable in the parameters, has a pathwise gradient: for $u$ uniform between 0 and 1, $z = F^{-1}(u)$ has the distribution $F$, and $u$ knows nothing of the parameters. Do this for the exponential distribution with rate $\lambda$ (density $\lambda e^{-\lambda z}$ for $z \ge 0$, mean $1/\lambda$). The uniform numbers are given. (As $1 - u$ is uniform too, a solution with $u$ in its place is accepted.) The gradient has to reach `rate`.
#
# <details><summary>Hint 1</summary>Integrate the density from 0 to z, set the result equal to u, and solve for z.</details>
# <details><summary>Hint 2</summary>F(z) = 1 − exp(−λz). Taking the logarithm of 1 − u brings z down from the exponent. Stay with operations of PyTorch, so that the record is kept.</details>


# %% nbgrader={"grade": false, "grade_id": "sample_exponential", "locked": false, "schema_version": 3, "solution": true, "task": false}
def sample_exponential(rate, u):
    """Samples with density rate·exp(−rate·z), by the inverse CDF at u. Tensors rate (D,), u (N, D) -> (N, D)."""
    ### BEGIN SOLUTION
    waiting_at_rate_one = -torch.log(1 - u)
    return waiting_at_rate_one / rate
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-sample_exponential", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.sample_exponential(sample_exponential)
### BEGIN HIDDEN TESTS
two_rates = torch.tensor([0.5, 3.0], dtype=torch.float64, requires_grad=True)
midpoints = (torch.arange(2_000, dtype=torch.float64) + 0.5) / 2_000
waiting_times = sample_exponential(two_rates, midpoints[:, None].expand(-1, 2))
assert torch.allclose(waiting_times.mean(0), 1 / two_rates, rtol=1e-3), "the mean is 1/rate"
assert torch.allclose((waiting_times**2).mean(0), 2 / two_rates**2, rtol=1e-2), (
    "the mean square is 2/rate²"
)
waiting_times.mean(0).sum().backward()
assert torch.allclose(two_rates.grad, -1 / two_rates.detach() ** 2, rtol=1e-3), (
    "the mean's derivative is −1/rate²"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 5 · Gradients of a KL, by hand
#
# *10 minutes · 3 points · for models whose prior is not N(0, I): one for each class, for instance.*
#
# Lesson 03's last row of derivatives is for the prior $N(0, I)$. For a prior $N(\mu_p, \sigma_p^2)$, one latent's KL is
#
# $$\mathrm{KL} = \tfrac12\Big(\log\sigma_p^2 - \log\sigma^2 + \frac{\sigma^2 + (\mu - \mu_p)^2}{\sigma_p^2} - 1\Big).$$
#
# ($\mu_p$ is `prior_mu`, $\log\sigma_p^2$ is `prior_logvar`.) Return its derivatives with respect to `mu` and to `logvar`, in NumPy and by hand.
#
# <details><summary>Hint 1</summary>Write σ² as exp(logvar) and σ_p² as exp(prior_logvar) before you differentiate. Both derivatives must vanish where q equals the prior.</details>
# <details><summary>Hint 2</summary>exp(logvar) is its own derivative, and −logvar has the derivative −1; the ½ stays in front of these two. In the derivative with respect to μ it cancels with the 2 of the square.</details>


# %% nbgrader={"grade": false, "grade_id": "kl_gradients", "locked": false, "schema_version": 3, "solution": true, "task": false}
def kl_gradients(mu, logvar, prior_mu, prior_logvar):
    """Derivatives of KL( N(mu, exp(logvar)) || N(prior_mu, exp(prior_logvar)) ), entry by entry.

    NumPy arrays, all (B, D) -> the gradient with respect to mu, (B, D), and with respect to logvar, (B, D).
    """
    ### BEGIN SOLUTION
    prior_var = np.exp(prior_logvar)
    d_mu = (mu - prior_mu) / prior_var
    d_logvar = 0.5 * (np.exp(logvar) / prior_var - 1)
    return d_mu, d_logvar
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-kl_gradients", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.kl_gradients(kl_gradients)
### BEGIN HIDDEN TESTS
by_hand = kl_gradients(*(np.array([[number]]) for number in (-0.9, 0.8, 0.4, -0.6)))


def kl_in_one_dimension(m, lv):  # from N(m, exp(lv)) to N(0.4, exp(-0.6))
    return 0.5 * (-0.6 - lv + (np.exp(lv) + (m - 0.4) ** 2) / np.exp(-0.6) - 1)


slope_in_mean = (
    kl_in_one_dimension(-0.9 + 1e-5, 0.8) - kl_in_one_dimension(-0.9 - 1e-5, 0.8)
) / 2e-5
slope_in_logvar = (
    kl_in_one_dimension(-0.9, 0.8 + 1e-5) - kl_in_one_dimension(-0.9, 0.8 - 1e-5)
) / 2e-5
assert abs(by_hand[0][0, 0] - slope_in_mean) < 1e-6, "finite differences disagree on mu"
assert abs(by_hand[1][0, 0] - slope_in_logvar) < 1e-6, "finite differences disagree on logvar"
at_the_prior = np.random.default_rng(3).normal(size=(2, 4, 2))
assert np.allclose(kl_gradients(*at_the_prior, *at_the_prior), 0), (
    "where q equals the prior, the KL is at its minimum"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 6 · Spot the bug: every reconstruction is the mean image
#
# *7 minutes · 3 points · a fault that gives no warning.*
#
# With this loss a VAE trains without a warning. Its KL goes to zero, and its reconstructions of all images are the same. The next cell looks at the two terms **separately**, as lesson 03 recommends, and prints the size of the gradient that each of them sends to the encoder's and to the decoder's weights.


# %%
def loss_of_a_friend(x, encode, decode):
    mu, logvar = encode(x)
    z = torch.distributions.Normal(mu, (0.5 * logvar).exp()).sample()
    rec = F.binary_cross_entropy_with_logits(decode(z), x, reduction="none").sum(dim=1)
    kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(dim=1)
    return rec, kl  # the loss is their sum


# %%
torch.manual_seed(0)
encoder, decoder = torch.nn.Linear(30, 2 * 4), torch.nn.Linear(4, 30)
pictures = torch.rand(64, 30)  # 64 pictures of 30 pixels
rec, kl = loss_of_a_friend(pictures, lambda x: encoder(x).chunk(2, dim=1), decoder)
for name, term in [("rec", rec), ("kl", kl)]:
    weights = [encoder.weight, decoder.weight]
    gradients = torch.autograd.grad(term.mean(), weights, allow_unused=True)
    sizes = [0.0 if g is None else g.norm().item() for g in gradients]
    print(f"gradient of {name:3}   at the encoder {sizes[0]:6.3f}   at the decoder {sizes[1]:6.3f}")

# %% [markdown]
# Two of the four numbers are zero. Which of them should not be? Write the repaired loss, an estimate of $-$ELBO for each example, from one sample of $z$. The KL keeps its closed form.
#
# <details><summary>Hint 1</summary>The decoder learns, and the KL has its own way to the encoder. What lies between the decoder and the encoder?</details>
# <details><summary>Hint 2</summary>Only the line that draws z has to change. Then add the two terms: one number for each example, summed over pixels and over latents.</details>


# %% nbgrader={"grade": false, "grade_id": "repaired_loss", "locked": false, "schema_version": 3, "solution": true, "task": false}
def repaired_loss(x, encode, decode):
    """An estimate of −ELBO for each example, from one sample of z and the closed-form KL, in nats.

    x (B, P), pixels in [0, 1]; encode: x -> mu (B, D), logvar (B, D); decode: z (B, D) -> logits (B, P). -> (B,)
    """
    ### BEGIN SOLUTION
    mu, logvar = encode(x)
    z = torch.distributions.Normal(mu, torch.exp(0.5 * logvar)).rsample()
    pixels = torch.distributions.Bernoulli(logits=decode(z), validate_args=False)
    rec = -pixels.log_prob(x).sum(dim=1)
    kl = 0.5 * (mu**2 + torch.exp(logvar) - logvar - 1).sum(dim=1)
    return rec + kl
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-repaired_loss", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.repaired_loss(repaired_loss)
### BEGIN HIDDEN TESTS
grey = torch.full((1_000, 20), 0.3)
the_mean = torch.tensor([[0.8]], requires_grad=True)
the_logvar = torch.tensor([[-0.4]], requires_grad=True)


def answer_for_all(pictures):
    return the_mean.expand(len(pictures), 20), the_logvar.expand(len(pictures), 20)


nodes, node_weights = np.polynomial.hermite_e.hermegauss(60)
z_at_nodes = 0.8 + np.exp(-0.2) * nodes
node_weights = node_weights / node_weights.sum()
rec_by_quadrature = node_weights @ (np.log1p(np.exp(2 * z_at_nodes)) - 0.3 * 2 * z_at_nodes)
slope_at_nodes = 2 / (1 + np.exp(-2 * z_at_nodes)) - 0.3 * 2
slope_in_mu = node_weights @ slope_at_nodes + 0.8
slope_in_spread = node_weights @ (slope_at_nodes * 0.5 * np.exp(-0.2) * nodes) + 0.5 * np.expm1(
    -0.4
)
average_loss = repaired_loss(grey, answer_for_all, lambda z: 2 * z).mean() / 20  # of one latent
kl_at_these = 0.5 * (0.64 + np.exp(-0.4) + 0.4 - 1)
assert abs(average_loss.item() - rec_by_quadrature - kl_at_these) < 0.06, (
    "on average, the loss is its integral over q"
)
average_loss.backward()
assert abs(the_mean.grad.item() - slope_in_mu) < 0.06, "the gradient of mu, on average"
assert abs(the_logvar.grad.item() - slope_in_spread) < 0.06, "the gradient of logvar, on average"
blind = repaired_loss(
    torch.full((5, 3), 0.3),
    lambda pictures: (the_mean.expand(len(pictures), 2), the_logvar.expand(len(pictures), 2)),
    lambda z: 0 * z[..., :1] + torch.zeros(3),
)
assert blind.shape == (5,), "one loss for each of five examples"
assert (blind - 3 * np.log(2) - 2 * kl_at_these).abs().max() < 1e-4, (
    "a decoder that ignores z costs log 2 a pixel, beside the KL of each latent"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 7 · In your own words
#
# *10 minutes · 4 points · marked by hand.*
#
# A colleague wants each image to be described by 20 yes-or-no latents, $z_d \in \{0, 1\}$, and asks whether the training loop of a Gaussian VAE will do, with `torch.bernoulli(p)` in place of the sample. Answer her: what happens to the encoder's gradient, and why; which estimator of this sheet works, and at what price; what a baseline may depend on and what it must not, with the reason; and name one more situation, with a continuous $z$, in which the pathwise gradient cannot be used or is the worse choice. Five to ten sentences.

# %% [markdown] nbgrader={"grade": true, "grade_id": "open-gradients", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in place of this line.*
#
# === BEGIN MARK SCHEME ===
# One point each:
#
# 1. No gradient passes the generator (PyTorch returns zeros for `torch.bernoulli(p)`, although `requires_grad` is True), so the reconstruction term sends no gradient to the encoder, and only the KL trains it. The reason is deeper than a missing `rsample`: z jumps between 0 and 1, so its derivative with respect to p is zero or does not exist for given noise.
# 2. The score function works, since it differentiates log q and needs only values of f; the price is a larger variance (more samples, baselines, smaller steps). Summing over all codes exactly would need 2 to the power of 20 of them. A relaxation such as Gumbel-softmax, or straight-through, named with its bias, also earns the point.
# 3. A baseline may depend on x, on the parameters, and on other samples, but not on the sample whose score it multiplies: then the score's mean of zero makes the baseline's part vanish on average. With the own value in it, the product no longer has mean zero and the estimate is biased (by the factor 1 − 1/K for the mean of K samples).
# 4. One situation: f has no derivative (a game, a ranking, a program, a count of errors) or is known only by its values; f is piecewise constant, so that its derivative is zero almost everywhere; or f wiggles faster than σ, as the lesson's cos(kz), and the pathwise variance is the larger one.
# === END MARK SCHEME ===

# %% [markdown]
# ## What is solved
#
# The last verdict of each check in this session.

# %%
progress("03")

# %% [markdown]
# **Back:** [lesson 03](../notebooks/03_gradients.ipynb) · **Next:** [lesson 04](../notebooks/04_low_level_pytorch.ipynb)
