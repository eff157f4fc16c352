# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 04 · A VAE from functions
#
# Seven tasks on [lesson 04](../notebooks/04_low_level_pytorch.ipynb): six functions that a check looks at, and a small experiment of your own. You count what an encoder contains, decode to any size, calibrate a Gaussian, uncover the β of a loss, repair a sampler, and take a training step by hand.

# %% [markdown] tags=["badges"]
# <!-- badges -->

# %% [markdown]
# *Time:* about 60 minutes; the computer works for about one of them. *Assumed:* lesson 04; PyTorch's tensors. *Points:* 22.
#
# Write each function in its cell, run the cell, then run the check below it: it says whether the answer is right, or which mistake it found. A check looks only at what your function returns and does; prints inside it are not shown while it is checked. No task needs an earlier one, so leave one out if you are stuck. Hints open with a click; worked answers stand in [solutions/04_low_level_pytorch.ipynb](../solutions/04_low_level_pytorch.ipynb).

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
import math, torch, torch.nn.functional as F
from vae_course.checks import low_level_pytorch as check, progress

# %% [markdown]
# ## 1 · What an encoder contains
#
# *5 minutes · 2 points · warm-up; the deeper networks of later lessons are planned with the same count.*
#
# An encoder's convolutions are described by a list with one entry a layer: (channels out, kernel, stride, padding). Kernels are square and every layer has a bias; the image need not be square. Before anybody builds the network, two questions have answers: what size comes out of it, and how many parameters does it have?
#
# <details><summary>Hint 1</summary>Go through the list with a loop. Three numbers change from layer to layer: channels, height and width. Lesson 04, "Shapes first", has the formula for a side; "Parameters are named tensors" has the shape of a weight.</details>
# <details><summary>Hint 2</summary>The weight of one layer is (channels out, channels in, kernel, kernel), its bias (channels out,). Add the layer's parameters before you replace the channels by the new ones.</details>


# %% nbgrader={"grade": false, "grade_id": "encoder_budget", "locked": false, "schema_version": 3, "solution": true, "task": false}
def encoder_budget(shape, layers):
    """What comes out of a chain of convolutions, and how many weights and biases it has.

    shape: (C, H, W) of one image; layers: a list of (channels out, kernel, stride, padding)
    -> channels, height, width, parameters: four whole numbers.
    """
    ### BEGIN SOLUTION
    channels, height, width = shape
    parameters = 0
    for channels_out, kernel, stride, padding in layers:
        parameters += channels_out * channels * kernel**2 + channels_out  # weights, then biases
        height = (height + 2 * padding - kernel) // stride + 1
        width = (width + 2 * padding - kernel) // stride + 1
        channels = channels_out
    return channels, height, width, parameters
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-encoder_budget", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.encoder_budget(encoder_budget)
### BEGIN HIDDEN TESTS
of_the_lesson = encoder_budget((1, 28, 28), [(32, 3, 2, 1), (64, 3, 2, 1)])
assert tuple(of_the_lesson) == (64, 7, 7, 32 * 10 + 64 * 289), "lesson 04's encoder"
three_layers = torch.nn.Sequential(
    torch.nn.Conv2d(2, 5, 4, stride=3, padding=1),
    torch.nn.Conv2d(5, 3, 2, stride=1, padding=0),
    torch.nn.Conv2d(3, 7, 5, stride=2, padding=2),
)
map_of_three = three_layers(torch.zeros(1, 2, 31, 47))[0]
by_torch = (*map_of_three.shape, sum(p.numel() for p in three_layers.parameters()))
by_hand = encoder_budget((2, 31, 47), [(5, 4, 3, 1), (3, 2, 1, 0), (7, 5, 2, 2)])
assert tuple(by_hand) == by_torch, "three layers, compared with torch.nn"
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · A decoder for any size
#
# *9 minutes · 3 points · needed again where images are not 28×28.*
#
# The lesson's decoder doubles its sides twice, because 7, 14, 28 happens to fit. An encoder of the same kind takes a picture of 7×10 pixels to 4×5 and then to 2×3, and the way back must be told those sizes: $2n - 1$ is what a transposed convolution with kernel 3, stride 2 and padding 1 makes of a side $n$, and the output padding, 0 or 1, supplies what is missing. It can differ from layer to layer, and between height and width.
#
# Write the decoder: linear layer, ReLU, the first map, transposed convolution, ReLU, transposed convolution, logits. All parameters are in `params`; how many channels the first map has, a weight's shape says.
#
# <details><summary>Hint 1</summary>A weight of F.conv_transpose2d is (in, out, height, width), so its first dimension is the number of channels that go in. The linear layer's output is a row of channels · height · width numbers, channels first: <code>unflatten</code>.</details>
# <details><summary>Hint 2</summary>For each side, output padding = wanted − (2n − 1). F.conv_transpose2d takes <code>output_padding=(for the height, for the width)</code>. No activation follows the last layer.</details>


# %% nbgrader={"grade": false, "grade_id": "decode_to_size", "locked": false, "schema_version": 3, "solution": true, "task": false}
def decode_to_size(params, z, sizes):
    """Logits of an image of any size: linear, ReLU, transposed convolution, ReLU, transposed convolution.

    params: "dec", "deconv1", "deconv2", each with ".weight" and ".bias"; weights (out, in) for the
    linear layer, (in, out, 3, 3) for the others, which have stride 2 and padding 1; z: (B, D);
    sizes: three pairs (height, width), of the first map, after deconv1 and after deconv2,
    for example [(2, 3), (4, 5), (7, 10)] -> (B, C, *sizes[2]).
    """
    ### BEGIN SOLUTION
    h = F.relu(F.linear(z, params["dec.weight"], params["dec.bias"]))
    h = h.unflatten(1, (len(params["deconv1.weight"]), *sizes[0]))  # (B, channels, height, width)
    for name, before, after in (("deconv1", *sizes[:2]), ("deconv2", *sizes[1:])):
        h = F.conv_transpose2d(
            h if name == "deconv1" else F.relu(h),
            params[f"{name}.weight"],
            params[f"{name}.bias"],
            stride=2,
            padding=1,
            output_padding=[after[side] - (2 * before[side] - 1) for side in (0, 1)],
        )
    return h
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-decode_to_size", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.decode_to_size(decode_to_size)
### BEGIN HIDDEN TESTS
torch.manual_seed(4)
dense, up_one, up_two = (
    torch.nn.Linear(2, 6 * 5 * 3),
    torch.nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1),
    torch.nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1),
)
their_params = {
    f"{name}.{kind}": value.detach().requires_grad_()
    for name, module in (("dec", dense), ("deconv1", up_one), ("deconv2", up_two))
    for kind, value in module.named_parameters()
}
some_z = torch.randn(3, 2)
first_map = dense(some_z).relu().reshape(3, 6, 5, 3)
second_map = up_one(first_map, output_size=(9, 6)).relu()
their_logits = up_two(second_map, output_size=(18, 11))
our_logits = decode_to_size(their_params, some_z, [(5, 3), (9, 6), (18, 11)])
assert our_logits.shape == (3, 2, 18, 11), "an image of 18×11 pixels"
assert torch.allclose(our_logits.float(), their_logits, atol=1e-5), "compared with torch.nn"
our_logits.square().sum().backward()
assert all(value.grad.abs().sum() > 0 for value in their_params.values()), "a gradient for each"
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · A calibrated Gaussian
#
# *7 minutes · 3 points · the likelihood to choose when pixels are measured values.*
#
# The decoder has answered with a mean for each pixel. One variance for the whole batch goes with it, and the best one is the mean squared error. Return $-\log p(x \mid z)$ of each image at that variance:
#
# $$-\log p(x \mid z) = \sum_i \Big[\frac{(x_i - m_i)^2}{2\sigma^2} + \tfrac12\log(2\pi\sigma^2)\Big], \qquad \sigma^2 = \text{the mean of } (x - m)^2 \text{ over all values of the batch.}$$
#
# Gradients must reach `mean`, the decoder's answer. Whether they also pass through $\sigma^2$ is up to you: at its best value the derivative with respect to it is zero, so the batch's sum has the same gradient either way. (The result may be negative: a density can be larger than 1.)
#
# <details><summary>Hint 1</summary>Two averages and sums over different things: σ² looks at all values of all images, the result keeps the images apart.</details>
# <details><summary>Hint 2</summary>The squared errors have shape (B, C, H, W): <code>.mean()</code> of all of them is σ². Every value of an image has its own log term, so sum over dims 1, 2 and 3 after adding it.</details>


# %% nbgrader={"grade": false, "grade_id": "calibrated_rec", "locked": false, "schema_version": 3, "solution": true, "task": false}
def calibrated_rec(x, mean):
    """−log N(x; mean, σ²·I) of each image, σ² the mean squared error over the whole batch.

    x, mean: (B, C, H, W) -> (B,), in nats. Gradients reach mean.
    """
    ### BEGIN SOLUTION
    squared_error = (x - mean) ** 2  # (B, C, H, W)
    var = squared_error.mean()
    each_pixel = squared_error / (2 * var) + 0.5 * torch.log(2 * math.pi * var)
    return each_pixel.sum(dim=(1, 2, 3))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-calibrated_rec", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.calibrated_rec(calibrated_rec)
### BEGIN HIDDEN TESTS
torch.manual_seed(4)
pictures, guesses = torch.rand(6, 2, 3, 5), torch.rand(6, 2, 3, 5, requires_grad=True)
nats = calibrated_rec(pictures, guesses)
average_error = (pictures - guesses).square().mean().item()
at_the_minimum = 0.5 * pictures.numel() * (1 + math.log(2 * math.pi * average_error))
assert abs(nats.sum().item() / at_the_minimum - 1) < 1e-5, "the batch's sum has a closed form"
for other_var in (0.8 * average_error, 1.3 * average_error):
    with_other_var = torch.distributions.Normal(guesses, other_var**0.5).log_prob(pictures)
    assert -with_other_var.sum() > nats.sum(), "no other variance is better"
ten_times = calibrated_rec(10 * pictures, 10 * guesses)
assert torch.allclose(ten_times, nats + 30 * math.log(10), rtol=1e-4), "pixels in other units"
nats.sum().backward()
pull = (guesses.detach() - pictures) / average_error
assert torch.allclose(guesses.grad, pull, rtol=1e-3, atol=1e-4), "the gradient with respect to mean"
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · The β that a loss hides
#
# *7 minutes · 3 points · every β reported in a paper or program asks for this translation.*
#
# The lesson measured the β of published losses. Here you write it down. A loss has two terms, each for one image: a factor times the sum or the mean of the squared errors $(x_i - m_i)^2$ over the image's values, and a factor times the sum or the mean of the KL over the latents. Return its β relative to the −ELBO of a Gaussian decoder of variance 1, $\tfrac12\lVert x - m\rVert^2 + \mathrm{KL}$ up to a constant, and the standard deviation σ of the decoder for which the loss *is* a −ELBO, up to a factor and a constant. For a loss that averages the squared errors over the pixels and weighs the KL's mean over 5 latents by 0.1, `rec` is `(1, "mean")` and `kl` is `(0.1, "mean")`.
#
# (The lesson's `effective_beta` measures a program's terms by their gradients; this one works from factors and reductions alone.)
#
# <details><summary>Hint 1</summary>A mean is a sum divided by the number of values: an image has C · H · W. By how much is each term larger or smaller than the one of the reference?</details>
# <details><summary>Hint 2</summary>Divide the whole loss by the weight of ½‖x − m‖² in it: what then stands before the KL is β. A weight a before the full squared error is a weight 2a before half of it. For σ, write down the −ELBO of a decoder with standard deviation σ: which factor turns its squared error into the reference's?</details>


# %% nbgrader={"grade": false, "grade_id": "hidden_beta", "locked": false, "schema_version": 3, "solution": true, "task": false}
def hidden_beta(rec, kl, shape, latents):
    """β of a loss, relative to ½ summed squared error + KL, and the decoder's σ that it implies.

    rec, kl: (factor, "sum" or "mean"), for the squared errors and for the KL;
    shape: (C, H, W); latents: D -> beta, sigma: two numbers,
    sigma in the units in which the loss sees the pixels.
    """
    ### BEGIN SOLUTION
    rec_factor, rec_reduction = rec
    kl_factor, kl_reduction = kl
    squared_error_weight = rec_factor / (math.prod(shape) if rec_reduction == "mean" else 1)
    kl_weight = kl_factor / (latents if kl_reduction == "mean" else 1)
    beta = kl_weight / (2 * squared_error_weight)  # the reference has half the squared error
    return beta, math.sqrt(beta)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-hidden_beta", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.hidden_beta(hidden_beta)
### BEGIN HIDDEN TESTS
gray, colour = (1, 28, 28), (3, 64, 64)
for rec_term, kl_term, picture, latent_count, known_beta in (
    ((1.0, "mean"), (0.1, "mean"), gray, 5, 7.84),
    ((0.5, "mean"), (1.0, "mean"), gray, 200, 3.92),
    ((1.0, "mean"), (1 / 784, "sum"), gray, 10, 0.5),
    ((1.0, "mean"), (0.00025, "sum"), colour, 128, 1.536),
    ((1.0, "mean"), (1.0, "sum"), colour, 128, 6144.0),
    ((1.0, "sum"), (1.0, "sum"), colour, 32, 0.5),
    ((0.5, "sum"), (1.0, "sum"), gray, 20, 1.0),
):
    found_beta, found_sigma = hidden_beta(rec_term, kl_term, picture, latent_count)
    assert abs(found_beta / known_beta - 1) < 1e-6, f"the loss with β = {known_beta}"
    assert abs(found_sigma**2 / known_beta - 1) < 1e-6, f"σ at β = {known_beta}"
### END HIDDEN TESTS

# %% [markdown]
# ## 5 · Spot the bug: one name, two meanings
#
# *5 minutes · 3 points · every encoder of the course returns `logvar`.*
#
# This fault is easily made. The encoder's second output is called `logvar`, and one of the two lines below reads it as something else. Nothing crashes, and training goes on; the KL simply belongs to another Gaussian than the samples do. The cell chooses the output so that the samples have $\sigma = 0.1$, and prints what is charged for them. Run it, then write the repaired function.


# %%
def faulty_terms(mu, logvar, eps):
    z = mu + logvar.exp() * eps
    kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(dim=1)
    return z, kl


noise = torch.randn(100_000, 1, generator=torch.Generator().manual_seed(0))
z, kl = faulty_terms(torch.zeros(1, 1), torch.full((1, 1), math.log(0.1)), noise)
narrow, prior = torch.distributions.Normal(0.0, 0.1), torch.distributions.Normal(0.0, 1.0)
true_kl = torch.distributions.kl_divergence(narrow, prior)
print(f"samples with σ = {z.std():.3f}: {kl.item():.3f} nats charged, {true_kl:.3f} are right")

# %% [markdown]
# <details><summary>Hint 1</summary>Which of the two lines would be right if the argument were log σ, and which if it were log σ²? The name and the docstring say which it is.</details>
# <details><summary>Hint 2</summary>The KL contains σ² = exp(logvar). The sample needs σ, the root of that; a root halves the exponent.</details>


# %% nbgrader={"grade": false, "grade_id": "repaired_terms", "locked": false, "schema_version": 3, "solution": true, "task": false}
def repaired_terms(mu, logvar, eps):
    """A sample of q(z|x) made from the given noise, and its KL to N(0, I), in nats.

    mu, logvar (log σ²), eps: (B, D) -> z: (B, D), kl: (B,).
    """
    ### BEGIN SOLUTION
    sigma = (0.5 * logvar).exp()
    divergence = 0.5 * (mu**2 + sigma**2 - logvar - 1).sum(dim=1)
    return mu + sigma * eps, divergence
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-repaired_terms", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.repaired_terms(repaired_terms)
### BEGIN HIDDEN TESTS
at_one_tenth = torch.full((2, 4), 2 * math.log(0.1))
plus_minus = torch.tensor([[1.0, -1.0, 2.0, 0.0]]).repeat(2, 1)
tenths, four_narrow = repaired_terms(torch.ones(2, 4), at_one_tenth, plus_minus)
assert torch.allclose(tenths.float(), 1 + 0.1 * plus_minus), "samples at σ = 0.1"
assert all(abs(kl.item() - 4 * (1.8075851 + 0.5)) < 1e-4 for kl in four_narrow), "μ = 1, σ = 0.1"
learned_mu = torch.zeros(3, 2, requires_grad=True)
learned_logvar = torch.full((3, 2), 0.6, requires_grad=True)
fixed_noise = torch.tensor([[0.5, -1.0], [2.0, 1.0], [-0.3, 0.7]])
repaired_terms(learned_mu, learned_logvar, fixed_noise)[0].sum().backward()
assert torch.allclose(learned_mu.grad, torch.ones(3, 2)), "dz/dμ"
assert torch.allclose(learned_logvar.grad, 0.5 * math.exp(0.3) * fixed_noise), "dz/dlogvar"
### END HIDDEN TESTS

# %% [markdown]
# ## 6 · One training step by hand
#
# *7 minutes · 3 points · every training loop of the course consists of such steps.*
#
# In the lesson Adam moved the parameters. Take the step yourself, with plain gradient descent: forward, zero-grad, backward, step. `params` is a dictionary of tensors that require a gradient, and `loss_function(params)` returns one loss for each image of a batch that it already holds. Move every tensor, in place, by −`lr` times the gradient of the batch's *mean* loss, so that the step does not grow with the batch. Return that mean loss as a plain number, as it was before the step, for the curve. The function will be called again and again with the same dictionary, and a tensor may come to the first call with a `.grad` that somebody else left there.
#
# <details><summary>Hint 1</summary><code>backward</code> adds to <code>.grad</code>; a tensor that has had no gradient yet has <code>.grad = None</code>. And autograd does not allow a recorded in-place change of a parameter.</details>
# <details><summary>Hint 2</summary>Set each <code>.grad</code> to None, call <code>backward</code> on the mean, then change the tensors with <code>-=</code> under <code>torch.no_grad()</code>. <code>.item()</code> turns a tensor with one value into a number.</details>


# %% nbgrader={"grade": false, "grade_id": "sgd_step", "locked": false, "schema_version": 3, "solution": true, "task": false}
def sgd_step(params, loss_function, lr):
    """One step of gradient descent on the mean loss; changes the tensors in params in place.

    params: names to tensors; loss_function: params -> (B,), in nats; lr: a number
    -> the mean loss before the step, a number.
    """
    ### BEGIN SOLUTION
    mean_over_batch = loss_function(params).mean()
    for parameter in params.values():
        parameter.grad = None
    mean_over_batch.backward()
    with torch.no_grad():
        for parameter in params.values():
            parameter -= lr * parameter.grad
    return mean_over_batch.item()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-sgd_step", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.sgd_step(sgd_step)
### BEGIN HIDDEN TESTS
centres = torch.tensor([1.0, -2.0, 4.0, 3.0])


def bowl(tensors):  # each image pulls towards its own centre; the mean of the centres wins
    return 0.5 * (tensors["w"] - centres) ** 2


def bowl_twice(tensors):
    return torch.cat([bowl(tensors), bowl(tensors)])


in_the_bowl = {"w": torch.tensor(5.0, requires_grad=True)}
bowl_losses = [sgd_step(in_the_bowl, bowl, 0.2) for _ in range(6)]
assert abs(in_the_bowl["w"].item() - (1.5 + 3.5 * 0.8**6)) < 1e-5, "six steps down a parabola"
first_loss = (16 + 49 + 1 + 4) / 8
assert abs(bowl_losses[0] - first_loss) < 1e-5, "the mean loss before the first step"
in_two_bowls = {"w": torch.tensor(5.0, requires_grad=True)}
sgd_step(in_two_bowls, bowl_twice, 0.2)
assert abs(in_two_bowls["w"].item() - (1.5 + 3.5 * 0.8)) < 1e-5, "every image twice, the same step"
### END HIDDEN TESTS

# %% [markdown]
# ## 7 · Your own VAE
#
# *20 minutes · 5 points, marked by hand · the way of working in all later lessons: predict, change one thing, measure.*
#
# Train a VAE that differs from a baseline in one thing, and find out what that changes. The baseline has 20 latents, the Bernoulli likelihood and β = 1. Three suggestions:
#
# - **the latent size**: 2 latents, or 100. Does the KL grow with their number?
# - **the likelihood**: a calibrated Gaussian or a Laplace in place of the Bernoulli. Lesson 04's dictionary `likelihoods` has both.
# - **β**: 0.25, or 4. What happens to reconstructions, and what to samples?
#
# **Predict** before you run: which numbers of the table will rise, which will fall, and what will the pictures show? Write the prediction into the answer cell at the end first. The cells here run as they stand, with an example.

# %%
from vae_course import data, losses, metrics, plots, runtime, training
from vae_course.models.mlp import MLPVAE

digits = data.load_digits()
train_x = digits.train_x[: runtime.steps(60_000, 3_000)]
test_x = digits.test_x[: runtime.steps(10_000, 1_000)]

# %% [markdown]
# Everything that is not the change stays the same: network, data, number of steps, first seed.


# %%
def trained(z_dim=20, log_likelihood=losses.bernoulli_log_likelihood, beta=1.0):
    """A VAE and its history, one row an epoch."""
    runtime.seed(0)
    model = MLPVAE(z_dim=z_dim, hidden=(400,))
    history = training.fit(
        model,
        train_x,
        epochs=runtime.steps(4, 1),
        lr=2e-3,
        test=test_x,
        loss=lambda model, x: losses.negative_elbo(
            model, x, beta=beta, log_likelihood=log_likelihood
        ),
    )
    return model, history


baseline, baseline_history = trained()

# %% [markdown]
# Your turn: replace the example in the next line by your own change.

# %%
yours, your_history = trained(z_dim=2)

# %%
ax = plots.history(your_history, title="Your run, epoch by epoch")
plots.show(ax, alt="The training and the test loss of your run over its epochs.")

# %% [markdown]
# The curve shows the loss that your run minimised. For the comparison both models need the same rulers, on the test set. The first three columns are the baseline's own: −ELBO with the Bernoulli likelihood and β = 1, and its two terms. A model that was trained for another likelihood or another β is at a disadvantage there, and the sum is a loss rather than a likelihood, because the pixels are grey. The mean squared error of the reconstructions is a second ruler.

# %%
print(f"{'':10} {'−ELBO':>8} {'rec':>8} {'KL':>7} {'MSE':>8}")
for name, model in (("baseline", baseline), ("yours", yours)):
    terms = training.evaluate(model, test_x)
    with torch.no_grad():
        rebuilt = model.decode(model.encode(test_x)[0]).sigmoid()
    mse = metrics.mse(rebuilt, test_x).mean()
    print(f"{name:10} {terms['loss']:8.2f} {terms['rec']:8.2f} {terms['kl']:7.2f} {mse:8.4f}")

# %% [markdown]
# Now the pictures: reconstructions of ten test digits, and samples from the prior.

# %%
models = {"baseline": baseline, "yours": yours}
with torch.no_grad():
    rows = [model.decode(model.encode(test_x[:10])[0]).sigmoid() for model in models.values()]
grid = plots.image_grid(
    torch.cat([test_x[:10], *rows]),
    columns=10,
    row_labels=["original", *models],
    title="Reconstructions by both models",
)
plots.show(grid, alt="Ten test digits, and below them their reconstructions by both models.")

# %%
samples = [model.sample(20, generator=runtime.seed(1)) for model in models.values()]
grid = plots.image_grid(
    torch.cat(samples),
    columns=10,
    row_labels=["baseline", "", "yours", ""],
    title="Samples from the prior, by both models",
)
plots.show(grid, alt="Two rows of samples from the baseline, then two rows from your model.")

# %% [markdown]
# Report what you did, in about ten sentences: the change and your prediction; what the table says, with numbers; what one of the pictures shows; why, in the terms of the lesson (what a latent costs in KL, what it gains in reconstruction, the likelihood's scale as an exchange rate); and what the comparison leaves open. A wrong prediction with a good explanation earns full points.

# %% [markdown] nbgrader={"grade": true, "grade_id": "open-experiment", "locked": false, "points": 5, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in place of this line.*
#
# === BEGIN MARK SCHEME ===
# One point each:
#
# 1. A prediction, made before the run, that could have turned out wrong: a direction for at least one number of the table, or a statement about the pictures. It need not have come true.
# 2. A measurement on the test set beside the baseline's, with numbers from the table, and one thing changed between the two. Whoever changes several things at once, or compares losses of different likelihoods or different β as if they were one ruler, does not earn this point.
# 3. A picture described: what differs between the two rows of reconstructions or of samples, named so that a reader could find it.
# 4. An explanation by the trade between the two terms. For example: with 2 latents the code is short, so the KL falls and the reconstruction term rises by more; with 100 latents most stay at the prior and cost nothing, so the KL hardly changes; a calibrated Gaussian has a small σ², which makes a longer code worth its KL; β = 4 is σ² = 4 beside half the squared error, or, for the Bernoulli term, a code that is charged four times.
# 5. A limitation: one run with one seed, a short training, a bound instead of log p(x), grey pixels under a Bernoulli term, a ruler that favours the baseline, or samples judged by eye. A repeat with another seed, or a measurement that would settle the question, earns this point as well.
# === END MARK SCHEME ===

# %% [markdown]
# ## What is solved
#
# The last verdict of each check in this session.

# %%
progress("04")

# %% [markdown]
# **Back:** [lesson 04](../notebooks/04_low_level_pytorch.ipynb) · **Next:** [lesson 05](../notebooks/05_autoencoder_vs_vae.ipynb)
