# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 07 · What β trades
#
# Seven tasks on [lesson 07](../notebooks/07_beta_vae.ipynb): six functions that a check looks at, and a small experiment of your own. You write a schedule for β, repair free bits, count active units batch by batch, test a curve by its slopes, measure what a code tells about its image, predict what a linear VAE buys, and treat a collapsed model.

# %% [markdown] tags=["badges"]
# <!-- badges -->

# %% [markdown]
# *Time:* about 55 minutes; the computer works for about one of them. *Assumed:* lesson 07; PyTorch's tensors. *Points:* 22.
#
# Write each function in its cell, run the cell, then run the check below it: it says whether the answer is right, or which mistake it found. A check looks only at what your function returns and does; prints inside it are not shown while it is checked. No task needs an earlier one, so leave one out if you are stuck. Hints open with a click; worked answers stand in [solutions/07_beta_vae.ipynb](../solutions/07_beta_vae.ipynb).

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
import math, torch
from vae_course.checks import beta_vae as check, progress

# %% [markdown]
# ## 1 · A cyclical schedule
#
# *5 minutes · 2 points · warm-up; the experiment at the end lets you try a schedule of your own.*
#
# The lesson used `schedules.cyclical_annealing` ready-made. Write it: the training is divided into `cycles` cycles of equal length. In each of them β rises in a straight line from 0, reaches 1 after the given fraction of the cycle, and stays at 1 until the cycle ends. With 200 steps, four cycles and a fraction of 0.5, β is 0 at step 0, 0.4 at step 10, 1 from step 25 to step 49, and 0 again at step 50.
#
# The number of steps need not be a multiple of the number of cycles. A cycle is then not a whole number of steps, and the next one begins between two of them.
#
# <details><summary>Hint 1</summary>How many cycles are over at a given step, as a number that may have decimals? And how much of its own cycle, as a number from 0 up to 1?</details>
# <details><summary>Hint 2</summary>The operator <code>%</code> gives the remainder of a division, for numbers with decimals as well. Divide what is over of the cycle by the fraction; where this exceeds 1, β is 1.</details>


# %% nbgrader={"grade": false, "grade_id": "cyclical_beta", "locked": false, "schema_version": 3, "solution": true, "task": false}
def cyclical_beta(step, steps, cycles, fraction):
    """The weight β of the KL at one step of a training.

    step: 0 to steps - 1; steps, cycles: whole numbers, steps >= cycles;
    fraction: the part of each cycle in which β rises, above 0 and at most 1 -> one number, 0 to 1.
    """
    ### BEGIN SOLUTION
    position = step * cycles / steps % 1  # how much of its cycle is over
    return min(position / fraction, 1.0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-cyclical_beta", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.cyclical_beta(cyclical_beta)
### BEGIN HIDDEN TESTS
of_the_task = [float(cyclical_beta(step, 200, 4, 0.5)) for step in (0, 10, 25, 49, 50)]
assert all(abs(a - b) < 1e-6 for a, b in zip(of_the_task, (0, 0.4, 1, 1, 0), strict=True)), (
    "the example"
)
four_rises = [float(cyclical_beta(step, 1024, 4, 0.25)) for step in range(1024)]
assert abs(sum(four_rises) / 1024 - (1 - 0.25 / 2)) < 0.003, "the average over a training"
assert (max(four_rises), four_rises.count(0)) == (1, 4), "1 at most, and 0 four times"
in_between = [float(cyclical_beta(step, 100, 3, 0.7)) for step in range(100)]
falls = [i for i in range(1, 100) if in_between[i] < in_between[i - 1]]
assert falls == [34, 67], "three cycles in 100 steps"
assert abs(in_between[34] - (34 * 3 / 100 - 1) / 0.7) < 1e-6, "a cycle that began between two steps"
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · Spot the bug: free bits for every image
#
# *6 minutes · 3 points · the same order of average and maximum decides wherever a batch has an allowance.*
#
# This fault looks harmless: all four operations of free bits are there. The cell has one latent and four images; three of the codes lie at the prior or close to it, and one is far away. On average they use a little more than the allowance of half a nat, so the average is what should be charged, and every code should be pulled towards the prior. Run it, then write the repaired function.


# %%
def faulty_free_bits(mu, logvar, free):
    kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1)  # (B, D)
    return kl.clamp(min=free).mean(dim=0).sum()


four_codes = torch.tensor([[2.0], [0.4], [0.0], [0.4]], requires_grad=True)
average = (0.5 * four_codes**2).mean().item()
charge = faulty_free_bits(four_codes, torch.zeros(4, 1), free=0.5)
charge.backward()
print(f"average KL {average:.3f} nats, charged {charge.item():.3f}")
print("gradient of each μ:", four_codes.grad.flatten().tolist())

# %% [markdown]
# <details><summary>Hint 1</summary>The gradient is 0 for two codes that are not at the prior. Which operation cuts them off, and on which numbers does it act?</details>
# <details><summary>Hint 2</summary>The allowance belongs to a latent, and what is compared with it is the latent's average over the batch: first the average over the images, then the maximum, then the sum over the latents.</details>


# %% nbgrader={"grade": false, "grade_id": "free_bits_kl", "locked": false, "schema_version": 3, "solution": true, "task": false}
def free_bits_kl(mu, logvar, free):
    """The KL that is charged when each latent has `free` nats for nothing.

    mu, logvar (log σ²): (B, D); free: nats a latent
    -> a tensor with one number, in nats: what the batch is charged, all latents together.
    """
    ### BEGIN SOLUTION
    kl_of_each_code = 0.5 * (mu**2 + logvar.exp() - logvar - 1)  # (B, D)
    used = kl_of_each_code.mean(dim=0)  # (D,)
    return torch.clamp(used, min=free).sum()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-free_bits_kl", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.free_bits_kl(free_bits_kl)
### BEGIN HIDDEN TESTS
spread_out = torch.tensor([[2.0, 0.1], [0.4, -0.1], [0.0, 0.1], [-0.4, 0.1]], requires_grad=True)
unit_width = torch.zeros(4, 2)
half_free = free_bits_kl(spread_out, unit_width, 0.5)
assert abs(half_free.item() - (0.54 + 0.5)) < 1e-5, "one latent above the allowance, one below"
(pulled,) = torch.autograd.grad(half_free, spread_out)
assert torch.allclose(pulled[:, 0].float(), spread_out[:, 0] / 4), "every code of a used latent"
assert not pulled[:, 1].any(), "no gradient below the allowance"
assert abs(free_bits_kl(spread_out, unit_width, 0.6).item() - 1.2) < 1e-5, "both below"
assert abs(free_bits_kl(spread_out, unit_width, 0.0).item() - 0.545) < 1e-5, "nothing free"
batch_twice = free_bits_kl(spread_out.repeat(2, 1), unit_width.repeat(2, 1), 0.5)
assert abs(batch_twice.item() - half_free.item()) < 1e-5, "every image twice"
narrow_codes = free_bits_kl(torch.zeros(3, 5), torch.full((3, 5), 2 * math.log(0.1)), 0.5)
assert abs(narrow_codes.item() - 5 * 1.8075851) < 1e-4, "σ = 0.1 in five latents"
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · Active units, batch by batch
#
# *5 minutes · 2 points · a count for every diagnosis of collapse.*
#
# The lesson had the codes of all images in one tensor. An encoder gives them in batches, and the last batch is often smaller. Count the active units of the whole set: latents whose posterior mean varies over *all* images with a variance above the threshold. (Whether you divide by N or N − 1 makes no difference here.)
#
# <details><summary>Hint 1</summary>Which of the encoder's two answers is it about? And what happens to a latent that is constant within every batch, but not from batch to batch?</details>
# <details><summary>Hint 2</summary><code>torch.cat</code> joins tensors with different numbers of rows. The variance runs over the images, dim 0, and gives one number for each latent.</details>


# %% nbgrader={"grade": false, "grade_id": "active_units", "locked": false, "schema_version": 3, "solution": true, "task": false}
def active_units(answers, threshold):
    """How many latents have a posterior mean that varies over all images by more than the threshold.

    answers: a list of the encoder's answers, one for each batch: pairs mu, logvar, (B, D) each,
    B not always the same; threshold: a variance -> one whole number, 0 to D.
    """
    ### BEGIN SOLUTION
    all_means = torch.cat([batch_mu for batch_mu, _ in answers])  # (N, D)
    return int((all_means.var(dim=0) > threshold).sum())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-active_units", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.active_units(active_units)
### BEGIN HIDDEN TESTS
waves = torch.arange(12)[:, None] * torch.tensor([0.9, 1.7, 2.3])
amplitudes = torch.tensor([1.0, 0.2, 0.03]) * waves.sin()
a_step = (torch.arange(12) >= 8).float()[:, None]
five_latents = torch.cat([amplitudes, a_step, torch.full((12, 1), 7.0)], dim=1)
varied_logvar = torch.linspace(-3, 1, 12)[:, None].expand(12, 5)


def in_batches(size):
    return list(zip(five_latents.split(size), varied_logvar.split(size), strict=True))


for batch_size in (1, 4, 5, 12):
    for limit, expected in ((0.01, 3), (1e-4, 4), (0.1, 2), (0.3, 1), (3.0, 0)):
        counted = active_units(in_batches(batch_size), limit)
        assert int(counted) == expected, f"threshold {limit}, batches of {batch_size}"
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · Slopes between prices
#
# *8 minutes · 3 points · the test that a sweep over β has to pass before anybody interprets it.*
#
# You are given the β, the rates and the distortions of several models, in any order: models are often trained in the order in which somebody thought of them. For each two neighbours in β, $\beta_1 < \beta_2$, compute
#
# $$\frac{D_2 - D_1}{R_1 - R_2}$$
#
# and whether it lies between their two β (ends included). No two rates are equal. A rate may nevertheless *rise* with β, if a model is far from its minimum; the formula needs no exception for it.
#
# <details><summary>Hint 1</summary>A β, a rate and a distortion belong together. Put them in one order before you look for neighbours.</details>
# <details><summary>Hint 2</summary><code>sorted(zip(betas, rates, distortions))</code> sorts models by their first entry. Then go through the list in pairs, the first and the second, the second and the third; the smaller β comes first in each.</details>


# %% nbgrader={"grade": false, "grade_id": "slopes", "locked": false, "schema_version": 3, "solution": true, "task": false}
def slopes(betas, rates, distortions):
    """The slope between neighbouring β, from the smallest β up, and whether it lies between them.

    betas, rates, distortions: lists of K numbers, one for each model, in any order; nats
    -> slopes, between: two lists with K - 1 entries, numbers and True or False.
    """
    ### BEGIN SOLUTION
    models = sorted(zip(betas, rates, distortions, strict=True))
    found, between = [], []
    for i in range(len(models) - 1):
        (beta_1, rate_1, distortion_1), (beta_2, rate_2, distortion_2) = models[i : i + 2]
        found.append((distortion_2 - distortion_1) / (rate_1 - rate_2))
        between.append(beta_1 <= found[-1] <= beta_2)
    return found, between
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-slopes", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.slopes(slopes)
### BEGIN HIDDEN TESTS
# D = 4·exp(−2R) is best at D = β/2; its slopes are logarithmic means of the two β
prices = [2.0, 0.25, 4.0, 0.5, 1.0]
best_rates = [0.5 * math.log(8 / price) for price in prices]
best_distortions = [price / 2 for price in prices]
means, held = slopes(prices, best_rates, best_distortions)
for low, mean in zip((0.25, 0.5, 1.0, 2.0), means, strict=True):
    assert abs(float(mean) - low / math.log(2)) < 1e-5, f"an exact curve, from β = {low}"
assert [bool(each) for each in held] == [True] * 4, "exact minimisers pass"
spoilt = [*best_distortions[:-1], best_distortions[-1] + 2]  # the model with β = 1
_, held = slopes(prices, best_rates, spoilt)
assert [bool(each) for each in held] == [True, False, False, True], "one model is spoilt"
two_models = slopes([3.0, 1.0], [6.0, 5.0], [10.0, 8.0])
assert abs(float(two_models[0][0]) + 2) < 1e-6, "a rate that rises with β"
assert not two_models[1][0], "a negative slope lies between no two prices"
### END HIDDEN TESTS

# %% [markdown]
# ## 5 · What a code tells about its image
#
# *9 minutes · 4 points · needed wherever somebody calls the KL "information".*
#
# Estimate the mutual information of a set of N codes, with the noise already drawn: $z_n$ is one sample of $q(z \mid x_n)$ for each image. Return
#
# $$\frac1N \sum_n \big[\log q(z_n \mid x_n) - \log q(z_n)\big], \qquad q(z) = \frac1N \sum_m q(z \mid x_m).$$
#
# All N codes belong to the mixture, the sample's own one too. Where there are many latents, densities are too small to be written down in single precision, so keep to logarithms.
#
# <details><summary>Hint 1</summary>Make a table of log q(z_n | x_m) with a row for each sample and a column for each code; broadcasting (N, 1, D) with (N, D) does it. What stands on its diagonal?</details>
# <details><summary>Hint 2</summary>Add up over the latents before you mix. <code>torch.logsumexp</code> over a row is the logarithm of the <em>sum</em> of its densities; the mixture is their mean.</details>


# %% nbgrader={"grade": false, "grade_id": "mutual_information", "locked": false, "schema_version": 3, "solution": true, "task": false}
def mutual_information(mu, logvar, z):
    """The mean of log q(z_n|x_n) − log q(z_n), with q(z) the mixture of all N codes.

    mu, logvar (log σ²), z: (N, D), z_n a sample of q(z|x_n) -> one number, in nats.
    """
    ### BEGIN SOLUTION
    codes = torch.distributions.Normal(mu, (0.5 * logvar).exp())
    table = codes.log_prob(z.unsqueeze(1)).sum(dim=2)  # (N samples, N codes)
    log_mixture = table.logsumexp(dim=1) - math.log(len(mu))
    return (table.diagonal() - log_mixture).mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-mutual_information", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check.mutual_information(mutual_information)
### BEGIN HIDDEN TESTS
g = torch.Generator().manual_seed(7)
some_mu, some_logvar, some_noise = (torch.randn(9, 2, generator=g) for _ in range(3))
some_z = some_mu + (some_logvar / 2).exp() * some_noise
told = float(mutual_information(some_mu, some_logvar, some_z))
assert told < math.log(9), "never above log N"
one_code = mutual_information(torch.ones(6, 3), torch.full((6, 3), 0.4), torch.rand(6, 3))
assert abs(float(one_code)) < 1e-5, "one code for all images tells nothing"
far_apart = 100.0 * torch.arange(1, 8)[:, None].expand(7, 4)
apart = mutual_information(far_apart, torch.zeros(7, 4), far_apart + 0.5)
assert abs(float(apart) - math.log(7)) < 1e-4, "codes far apart tell which image"
in_other_units = mutual_information(3 * some_mu, some_logvar + 2 * math.log(3), 3 * some_z)
assert abs(float(in_other_units) - told) < 1e-4, "latents in other units"
two_mu, two_logvar = torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), torch.zeros(2, 2)
two_logvar[0, 1] = 2 * math.log(2)  # σ = 2
two_z = torch.tensor([[1.5, 0.0], [0.0, 0.0]])
odds = [2 * math.exp(-3.0), 0.5]  # of the other code, at each z
by_odds = sum(math.log(2 / (1 + each)) for each in odds) / 2
of_two = float(mutual_information(two_mu, two_logvar, two_z))
assert abs(of_two - by_odds) < 1e-5, "two codes, from their odds"
### END HIDDEN TESTS

# %% [markdown]
# ## 6 · What a linear VAE buys
#
# *7 minutes · 3 points · collapse that is predicted before anything is trained.*
#
# The lesson counted the eigenvalues above $\beta\sigma^2$ for a model with enough latents. Complete the prediction: for a linear VAE with `z_dim` latents, decoder variance $\sigma^2$ = `var` and price β, return how many latents are active at the optimum, and the rate of all latents together. An active latent with the eigenvalue $\lambda_j$ costs $\frac12\log\frac{\lambda_j}{\beta\sigma^2}$ nats, an inactive one nothing; a model with few latents takes the largest eigenvalues. The covariance is the average over the N images, divided by N.
#
# <details><summary>Hint 1</summary>Subtract the mean image, form the covariance of the pixels, (P, P), and take its eigenvalues. In which order do they come?</details>
# <details><summary>Hint 2</summary><code>torch.linalg.eigvalsh</code> returns them from the smallest to the largest; <code>flip(0)</code> turns them round. Keep the first <code>z_dim</code> of them, and of these the ones above β·var.</details>


# %% nbgrader={"grade": false, "grade_id": "predicted_rate", "locked": false, "schema_version": 3, "solution": true, "task": false}
def predicted_rate(x, var, beta, z_dim):
    """Active latents of the best linear VAE at the price beta, and their rate.

    x: (N, P), one flat image a row; var: the decoder's σ²; z_dim: the model's latents
    -> active, rate: a whole number of latents, and nats per image.
    """
    ### BEGIN SOLUTION
    deviations = x - x.mean(dim=0)
    covariance = deviations.T @ deviations / len(x)
    largest = torch.linalg.eigvalsh(covariance).flip(0)[:z_dim]
    worth_it = largest[largest > beta * var]
    return len(worth_it), 0.5 * torch.log(worth_it / (beta * var)).sum().item()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-predicted_rate", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.predicted_rate(predicted_rate)
### BEGIN HIDDEN TESTS
half_axes = torch.diag(
    torch.tensor([12.0, 3.0, 0.75]).sqrt()
)  # variances 4, 1 and ¼ along the axes
turned, _ = torch.linalg.qr(torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 3.0], [2.0, 0.0, 1.0]]))
cloud = torch.cat([half_axes, -half_axes]) @ turned + torch.tensor([5.0, -3.0, 1.0])
for cloud_var, price, latent_count, expected_active, expected_rate in (
    (0.25, 2.0, 3, 2, 2.0 * math.log(2)),
    (0.25, 2.0, 1, 1, 1.5 * math.log(2)),
    (0.05, 1.0, 3, 3, 0.5 * math.log(8000)),
    (2.0, 0.1, 3, 3, 0.5 * math.log(125)),
    (0.5, 20.0, 3, 0, 0.0),
):
    bought = predicted_rate(cloud, cloud_var, price, latent_count)
    assert int(bought[0]) == expected_active, f"active latents at βσ² = {cloud_var * price:g}"
    assert abs(float(bought[1]) - expected_rate) < 1e-4, f"rate at βσ² = {cloud_var * price:g}"
### END HIDDEN TESTS

# %% [markdown]
# ## 7 · A treatment of your own
#
# *15 minutes · 5 points, marked by hand · the way of working in all later lessons: predict, change one thing, measure.*
#
# The lesson's network had nine hidden layers, and its decoder hardly noticed $z$ at first. Here are five, with weights drawn as before; the table below will show how many of its latents survive at the plain price. Try a treatment that the lesson did not, and judge it as the lesson did: on −ELBO with β = 1 and nothing free, on the test images. Three suggestions:
#
# - **a schedule** of your own: a function of `step` and `steps` that returns β. When should β reach 1, and how?
# - **free bits** with another allowance than the lesson's half a nat. Is there one that helps?
# - **a constant price** other than 1: a model that was trained at a low price is then judged at the full one.
#
# **Predict** before you run: how many latents will be active, what will happen to the rate, and will −ELBO be better or worse than the baseline's? Write the prediction into the answer cell at the end first. The cells here run as they stand, with an example.

# %%
from vae_course import collapse, data, losses, plots, runtime, training
from vae_course.models.mlp import MLPVAE

digits = data.load_digits()
train_x = digits.train_x[: runtime.steps(10_000, 2_000)]
test_x = digits.test_x[: runtime.steps(10_000, 1_000)]

# %% [markdown]
# Everything that is not the treatment stays the same: network, first weights, data and their order, number of steps.


# %%
def trained(seed=0, **treatment):
    """Sixteen latents behind five hidden layers; `treatment` goes to training.fit."""
    order = runtime.seed(seed)
    model = MLPVAE(z_dim=16, hidden=(128,) * 5)
    epochs = runtime.steps(8, 2)
    training.fit(
        model, train_x, epochs=epochs, batch_size=64, lr=2e-3, generator=order, **treatment
    )
    return model


baseline = trained()

# %% [markdown]
# Your turn: replace the example by your own treatment, in one of the two functions. `my_beta` is the price at each step, `my_loss` holds the allowance for each latent. In the example codes are free for three quarters of the training, and then charged in full at once; there is no allowance. To test an allowance alone, let `my_beta` return 1.0.


# %%
def my_beta(step, steps):
    return 0.0 if step < 0.75 * steps else 1.0


def my_loss(model, x, beta=1.0):
    return losses.negative_elbo(model, x, beta=beta, free_bits=0.0)


yours = trained(beta=my_beta, loss=my_loss)

# %% [markdown]
# Both models on one ruler. The rate and the mutual information stand side by side, so that you see whether what was spent tells the images apart.

# %%
models = {"baseline": baseline, "yours": yours}
judged = {
    name: collapse.report(model, test_x, generator=runtime.seed(1))
    for name, model in models.items()
}
print(f"{'':10} {'active':>6} {'rate':>6} {'information':>12} {'−ELBO':>7}")
for name, result in judged.items():
    print(
        f"{name:10} {result['active_units']:6} {result['rate']:6.2f}"
        f" {result['mutual_information']:12.2f} {result['negative_elbo']:7.1f}"
    )

# %% [markdown]
# Where does the rate sit? The latents of each model are sorted by their KL.

# %%
ax = plots.curves(
    range(1, 17),
    {name: result["kl_per_latent"] for name, result in judged.items()},
    title="The KL of each latent, test images",
    xlabel="latent, by its KL",
    ylabel="KL (nats)",
)
plots.show(ax, alt="The KL of each of the 16 latents of both models, the largest first.")

# %% [markdown]
# What the decoders make of the codes, for ten test digits:

# %%
with torch.no_grad():
    rows = [model.decode(model.encode(test_x[:10])[0]).sigmoid() for model in models.values()]
grid = plots.image_grid(
    torch.cat([test_x[:10], *rows]),
    columns=10,
    row_labels=["original", *models],
    title="Reconstructions by both models",
)
plots.show(grid, alt="Ten test digits, and below them their reconstructions by both models.")

# %% [markdown]
# Report what you did, in about ten sentences: the treatment and your prediction; what the table says, with numbers; what one of the pictures shows; why, in the terms of the lesson (when codes are charged and when the decoder has learnt to use them, what is free and what it is spent on, which objective the model ends at); and what the comparison leaves open. A treatment that fails, with a good explanation, earns full points.

# %% [markdown] nbgrader={"grade": true, "grade_id": "open-treatment", "locked": false, "points": 5, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in place of this line.*
#
# === BEGIN MARK SCHEME ===
# One point each:
#
# 1. A prediction, made before the run, that could have turned out wrong: a direction for the rate, the number of active units, or −ELBO. It need not have come true.
# 2. A measurement beside the baseline's, with numbers from the table, on −ELBO with β = 1, and one thing changed between the two. Whoever compares training losses with different β or different allowances, or calls more active units a success without looking at −ELBO, does not earn this point.
# 3. A picture described: in how many latents the rate sits, or how the reconstructions of the two models differ from each other and from image to image, named so that a reader could find it.
# 4. An explanation in the lesson's terms. For example: at a low price the codes spread out, and a price that returns to 1 leaves only those latents that the decoder has learnt to use; an allowance is spent because it is free, and if the information does not grow with the rate, only the means and widths of q have drifted, in the same way for every image; a decoder that hardly notices z can save nothing by it, at any price; a model trained at another β ends at another objective, and pays for it on this one.
# 5. A limitation: one run with one seed, a short training, one network, a bound instead of log p(x), information that cannot exceed log N, or a threshold that decides what counts as active. A repeat with another seed (`trained(seed=1)` beside `trained(seed=1, beta=my_beta, loss=my_loss)`), or a measurement that would settle the question, earns this point as well.
# === END MARK SCHEME ===

# %% [markdown]
# ## What is solved
#
# The last verdict of each check in this session.

# %%
progress("07")

# %% [markdown]
# **Back:** [lesson 07](../notebooks/07_beta_vae.ipynb) · **Next:** [lesson 08](../notebooks/08_disentanglement.ipynb)
