# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 02 · One forward pass in NumPy
#
# Seven tasks on [lesson 02](../notebooks/02_numpy_forward.ipynb): six functions that a check looks at, and a question to answer in words. You write the parts of a forward pass that the lesson took from NumPy or left out, find out what a convolution computes, repair a loss that no training could make small, and put the whole pass together.

# %% [markdown] tags=["badges"]
# <!-- badges -->

# %% [markdown]
# *Time:* about 60 minutes. *Assumed:* lesson 02; NumPy. *Points:* 23.
#
# Write each function in its cell, run the cell, then run the check below it: it says whether the answer is right, or which mistake it found. A check looks only at what your function returns; prints inside it are not shown while it is checked. Return NumPy arrays, not lists or tensors; you may copy functions from the lesson. No task needs an earlier one, so leave one out if you are stuck. Hints open with a click; worked answers stand in [solutions/02_numpy_forward.ipynb](../solutions/02_numpy_forward.ipynb).

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
from vae_course.checks import numpy_forward as check, progress

# %% [markdown]
# Tasks 3 and 5 use the lesson's sigmoid.


# %%
def sigmoid(a):
    small = np.exp(-np.abs(a))
    return np.where(a >= 0, 1, small) / (1 + small)


# %% [markdown]
# ## 1 · log(1 + eᵃ) without overflow
#
# *6 minutes · 2 points · warm-up; the reconstruction terms of lessons 02 to 04 contain it.*
#
# The function $\text{softplus}(a) = \log(1 + e^a)$ stood inside the lesson's reconstruction term, computed by `np.logaddexp`. Write it yourself, from logarithms and exponentials, for arrays of any shape. Two demands: it must be finite and right for $a = \pm 1000$; and where $e^a$ is still a number that a float can hold, it must not be rounded to 0, because $\text{softplus}(-40)$ is $e^{-40}$ to many digits. (At −1000, 0 is right.)
#
# <details><summary>Hint 1</summary>Where a is positive, take e^a out of the bracket: 1 + e^a = e^a (1 + e^−a). Then no exponent is ever positive.</details>
# <details><summary>Hint 2</summary>Both cases together: max(a, 0) + log(1 + e^−|a|). In a float, 1 + 1e-18 is 1; look up what <code>np.log1p</code> is for.</details>


# %% nbgrader={"grade": false, "grade_id": "softplus", "locked": false, "schema_version": 3, "solution": true, "task": false}
def softplus(a):
    """log(1 + e^a), one value for each entry. a: an array of any shape -> the same shape."""
    ### BEGIN SOLUTION
    correction = np.log1p(np.exp(-np.abs(a)))  # between 0 and log 2
    return np.maximum(a, 0) + correction
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-softplus", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.softplus(softplus)
### BEGIN HIDDEN TESTS
many_values = np.linspace(-700, 700, 2 * 3 * 701).reshape(2, 3, 701)
odd_part = softplus(many_values) - softplus(-many_values)
assert np.allclose(odd_part, many_values), "softplus(a) − softplus(−a) is a"
slope_at = np.array([-3.0, -0.2, 0.0, 1.5, 8.0])
measured_slope = (softplus(slope_at + 0.01) - softplus(slope_at - 0.01)) / 0.02
assert np.allclose(measured_slope, 1 / (1 + np.exp(-slope_at)), atol=1e-3), (
    "its derivative is the sigmoid"
)
assert np.isclose(softplus(np.array([-36.0]))[0], np.exp(-36.0), rtol=1e-5, atol=0), (
    "very negative a"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · The log-likelihood of a Gaussian decoder
#
# *7 minutes · 3 points · lesson 04 trains with it.*
#
# The lesson's decoder says how likely each pixel is white. Another common decoder says $p(x \mid z) = N(x;\, m, \sigma^2 I)$: each pixel is a Gaussian around a mean $m_i$ that the decoder chooses, with one variance $\sigma^2$ for all. Return $\log p(x \mid z)$ for each image. It is a log-*density*, and may be positive. It has to stay finite for an image of 784 pixels and a small σ.
#
# <details><summary>Hint 1</summary>Start with one pixel: the logarithm of the density of N(m, σ²) at x has a squared distance and a normaliser. Then think about what P independent pixels do to each of the two.</details>
# <details><summary>Hint 2</summary>For one pixel: −½ log(2πσ²) − (x − m)²/2σ². Add up over the P pixels, axis 1; the normaliser counts P times.</details>


# %% nbgrader={"grade": false, "grade_id": "gaussian_log_likelihood", "locked": false, "schema_version": 3, "solution": true, "task": false}
def gaussian_log_likelihood(x, mean, var):
    """log N(x; mean, var·I). x, mean (B, P); var = σ² a number -> (B,), in nats."""
    ### BEGIN SOLUTION
    log_normaliser = 0.5 * np.log(2 * np.pi * var)  # of one pixel
    each_pixel = -0.5 * (x - mean) ** 2 / var - log_normaliser  # (B, P)
    return each_pixel.sum(axis=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-gaussian_log_likelihood", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.gaussian_log_likelihood(gaussian_log_likelihood)
### BEGIN HIDDEN TESTS
line_of_x = np.linspace(-6, 8, 281)
two_pixels = np.stack(np.meshgrid(line_of_x, line_of_x), axis=-1).reshape(-1, 2)  # (281², 2)
their_mean = np.broadcast_to([0.9, 1.3], two_pixels.shape)
mass = np.exp(gaussian_log_likelihood(two_pixels, their_mean, 0.6)).sum() * 0.05**2
assert abs(mass - 1) < 1e-4, "a density over two pixels must integrate to 1"
spread_of_one, distances = 1 / (2 * np.pi), np.array([[0.5, 0.5, -1.0], [0.0, 0.0, 2.0]])
assert np.allclose(
    gaussian_log_likelihood(distances, 0 * distances, spread_of_one), [-1.5 * np.pi, -4 * np.pi]
), "at σ² = 1/(2π) the normaliser is 1"
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · The mean of many reconstructions
#
# *8 minutes · 3 points · not needed later; good practice with shapes, and with what may be averaged.*
#
# One sample of $z$ gives one reconstruction. What does the model expect on average? Given the encoder's `mu` and `logvar` and the noise of $K$ samples, return the mean image $E_{q(z \mid x)}[\text{sigmoid}(\ell(z))]$ of each example, estimated with these samples; $\ell(z)$ are the decoder's logits. Before you begin: is it the same to average the $z$, the logits, or the images?
#
# <details><summary>Hint 1</summary>An average passes through a linear function unchanged, and through no other. Neither the decoder nor the sigmoid is linear.</details>
# <details><summary>Hint 2</summary>Shapes: z is (K, B, D), its logits are (K, B, P), and so are the images; the result is (B, P). NumPy stretches <code>mu</code> and <code>logvar</code> over the K samples by itself.</details>


# %% nbgrader={"grade": false, "grade_id": "mean_reconstruction", "locked": false, "schema_version": 3, "solution": true, "task": false}
def mean_reconstruction(decode, mu, logvar, eps):
    """The average over K samples of z of the image that the decoder gives.

    decode: z (..., D) -> logits (..., P); mu, logvar (B, D); eps (K, B, D) -> (B, P), in [0, 1].
    """
    ### BEGIN SOLUTION
    samples = mu + np.exp(0.5 * logvar) * eps  # (K, B, D)
    images = sigmoid(decode(samples))  # (K, B, P)
    return images.mean(axis=0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-mean_reconstruction", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.mean_reconstruction(mean_reconstruction)
### BEGIN HIDDEN TESTS
four_draws = np.array([-0.2, -0.3, -0.6, 1.0]).reshape(4, 1, 1) * np.array([[1, -1], [-1, 1]])
is_positive = mean_reconstruction(
    lambda z: 200 * z, np.full((2, 2), 0.5), np.full((2, 2), 2 * np.log(2.0)), four_draws
)
assert np.allclose(is_positive, [[0.5, 0.75], [0.75, 0.5]]), (
    "a steep decoder: the share of samples 0.5 + 2ε that are positive"
)
mirrored_draws = np.random.default_rng(3).normal(size=(6, 2, 5))
mirrored_draws = np.concatenate([mirrored_draws, -mirrored_draws])
half_grey = mean_reconstruction(lambda z: 3 * z, np.zeros((2, 5)), np.ones((2, 5)), mirrored_draws)
assert np.allclose(half_grey, 0.5), "noise and its mirror image around a logit of 0"
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · What a convolution computes
#
# *12 minutes · 4 points · lesson 04 calls PyTorch's `F.conv2d`, which computes the same.*
#
# A linear layer looks at all pixels at once. A **convolution** slides a small window, $k \times k$ pixels, over the image, and computes the same weighted sum at every place:
#
# $$\text{out}[n, o, i, j] = b[o] + \sum_{c=0}^{C-1} \sum_{u=0}^{k-1} \sum_{v=0}^{k-1} W[o, c, u, v]\; x[n, c,\; i s + u,\; j s + v].$$
#
# Here $n$ counts the $B$ images, $o$ output channels and $c$ input channels. The **stride** $s$ says how far the window moves from one output to the next; the window never leaves the image (no padding). Images need not be square. Signal processing calls this a cross-correlation; its convolution flips $W$. Loops are welcome: this is about what is computed, not how fast.
#
# <details><summary>Hint 1</summary>How many windows fit along a side of H pixels? They begin at 0, s, 2s, …, and the last one must end inside: i·s + k ≤ H.</details>
# <details><summary>Hint 2</summary>The output has (H − k) // s + 1 rows. Two loops, over i and j, are enough: cut out the window of all images and all channels, (B, C, k, k), and sum its product with W over three axes (<code>np.einsum</code> or <code>np.tensordot</code>).</details>


# %% nbgrader={"grade": false, "grade_id": "conv2d", "locked": false, "schema_version": 3, "solution": true, "task": false}
def conv2d(x, W, b, stride):
    """Slide the kernel W over x, without padding and without flipping it.

    x (B, C, height, width), W (O, C, k, k), b (O,), stride a number
    -> (B, O, (height - k) // stride + 1, (width - k) // stride + 1).
    """
    ### BEGIN SOLUTION
    k = W.shape[-1]
    rows = (x.shape[2] - k) // stride + 1
    columns = (x.shape[3] - k) // stride + 1
    out = np.empty((len(x), len(W), rows, columns))
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride, j * stride
            window = x[:, :, top : top + k, left : left + k]  # (B, C, k, k)
            out[:, :, i, j] = np.einsum("ncuv,ocuv->no", window, W) + b
    return out
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-conv2d", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check.conv2d(conv2d)
### BEGIN HIDDEN TESTS
one_bright_pixel = np.zeros((1, 1, 5, 6))
one_bright_pixel[0, 0, 2, 3] = 1.0
nine_weights = np.arange(9.0).reshape(1, 1, 3, 3)
answer_to_it = conv2d(one_bright_pixel, nine_weights, np.zeros(1), 1)
assert answer_to_it.shape == (1, 1, 3, 4), "the size of the output"
assert np.allclose(answer_to_it[0, 0, :, 1:], nine_weights[0, 0, ::-1, ::-1]), (
    "a single pixel is answered by the kernel, mirrored"
)
three_channels = np.random.default_rng(5).normal(size=(2, 3, 7, 10))
swap_channels = np.eye(3)[[2, 0, 1]].reshape(3, 3, 1, 1)
swapped = conv2d(three_channels, swap_channels, np.array([0.0, 10.0, 20.0]), 3)
shifted_by = np.array([0.0, 10.0, 20.0])[:, None, None]
assert np.allclose(swapped, three_channels[:, [2, 0, 1], ::3, ::3] + shifted_by), (
    "a kernel of one pixel with stride 3"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 5 · Spot the bug: a loss that no training can make small
#
# *6 minutes · 3 points · every decoder of the course returns logits.*
#
# A colleague's loss stays a little above 500 nats, however long the training lasts. Her reconstruction term is below. The cell gives it two perfect decoders, sure of every pixel and right about it: an image of 28 × 28 white pixels at logits of 1000, and a black one at −1000. Such a decoder should pay nothing. Run the cell, find the fault, then write the repaired function.


# %%
def faulty_rec(logits, x):
    m = sigmoid(logits)
    return (np.logaddexp(0, m) - x * m).sum(axis=(1, 2, 3))


white, black = np.ones((1, 1, 28, 28)), np.zeros((1, 1, 28, 28))
white_costs, black_costs = faulty_rec(1000 * white, white), faulty_rec(black - 1000, black)
print(
    f"white image: {white_costs[0]:.1f} nats; 784 · log(1 + 1/e) = {784 * np.log1p(np.exp(-1)):.1f}"
)
print(f"black image: {black_costs[0]:.1f} nats; 784 · log 2 = {784 * np.log(2):.1f}")

# %% [markdown]
# <details><summary>Hint 1</summary>The function's last line is the lesson's formula, with the sign changed. What does the formula expect: logits or probabilities? And between which two numbers does <code>m</code> lie?</details>
# <details><summary>Hint 2</summary>One of the two sigmoids has to go. If you keep the probabilities and take their logarithm, a logit of −1000 on a white pixel gives log 0; so keep the logits.</details>


# %% nbgrader={"grade": false, "grade_id": "repaired_rec", "locked": false, "schema_version": 3, "solution": true, "task": false}
def repaired_rec(logits, x):
    """−log p(x|z) of each image, its pixels being coins. logits, x (B, C, H, W) -> (B,), in nats."""
    ### BEGIN SOLUTION
    cost_of_pixels = np.logaddexp(0, logits) - x * logits
    return cost_of_pixels.sum(axis=(1, 2, 3))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-repaired_rec", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.repaired_rec(repaired_rec)
### BEGIN HIDDEN TESTS
colour = np.random.default_rng(11).random((2, 3, 6, 4))
assert np.allclose(repaired_rec(np.zeros_like(colour), colour), 72 * np.log(2)), (
    "logits of 0 cost one coin a pixel and channel"
)
as_coins = (colour > 0.5).astype(float)
assert np.allclose(repaired_rec(1600 * as_coins - 800, as_coins), 0), (
    "sure and right about every pixel"
)
half_mistaken = np.stack([1600 * as_coins[0] - 800, 800 - 1600 * as_coins[1]])
assert np.allclose(repaired_rec(half_mistaken, as_coins), [0, 72 * 800]), (
    "sure and mistaken about every pixel of the second image"
)
some_logits = 6 * colour - 2
assert np.allclose(repaired_rec(some_logits, colour), repaired_rec(-some_logits, 1 - colour)), (
    "a negative of the image costs the same with the logits' signs changed"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 6 · The whole pass, with K samples
#
# *9 minutes · 4 points · lesson 03 differentiates such a pass, and compares estimates from more samples with those from one.*
#
# The lesson's forward pass took one sample of $z$ for each image. Write it for $K$ samples: `rec` is their average, which estimates the same expectation with less noise. The encoder and the decoder are given as functions, and the pixels are coins, as in the lesson. It must stay finite and right when the decoder is sure of a pixel. Return a tuple (loss, rec, kl), not a dictionary as in the lesson. Which of the three depends on the noise?
#
# <details><summary>Hint 1</summary>Five steps, as in the lesson's table. Write the shape of each array into the margin: only z, the logits and the costs of the pixels have the K samples.</details>
# <details><summary>Hint 2</summary>The costs of the pixels are (K, B, P): the sum over pixels leaves (K, B), the average over samples (B,). The KL comes from mu and logvar alone, and is counted once.</details>


# %% nbgrader={"grade": false, "grade_id": "negative_elbo", "locked": false, "schema_version": 3, "solution": true, "task": false}
def negative_elbo(encode, decode, x, eps):
    """−ELBO of each image and its two terms, rec being an average over K samples.

    encode: x (B, P) -> mu, logvar, (B, D) each; decode: z (..., D) -> logits (..., P);
    x (B, P), in [0, 1]; eps (K, B, D) -> loss, rec, kl, (B,) each, in nats.
    """
    ### BEGIN SOLUTION
    mu, logvar = encode(x)
    logits = decode(mu + np.exp(0.5 * logvar) * eps)  # (K, B, P)
    rec_of_samples = (np.logaddexp(0, logits) - x * logits).sum(axis=2)  # (K, B)
    rec = rec_of_samples.mean(axis=0)
    kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)
    return rec + kl, rec, kl
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-negative_elbo", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check.negative_elbo(negative_elbo)
### BEGIN HIDDEN TESTS
coin_images, noise_of_two = np.random.default_rng(2).random((3, 8)), np.ones((2, 3, 4))
untrained = negative_elbo(
    lambda x: (0 * x[:, :4], 0 * x[:, :4]),
    lambda z: np.zeros((*z.shape[:-1], 8)),
    coin_images,
    noise_of_two,
)
assert np.allclose(untrained[0], 8 * np.log(2)), "logits of 0, and q equal to the prior"
assert np.allclose(untrained[2], 0), "q equal to the prior has no KL"
tilt = np.random.default_rng(4).normal(size=(4, 8))
pair = (lambda x: (x[:, :4], np.log(0.1 + x[:, 4:])), lambda z: z @ tilt)
three_draws = np.random.default_rng(6).normal(size=(3, 3, 4))
once = negative_elbo(*pair, coin_images, three_draws)
assert [np.shape(term) for term in once] == [(3,), (3,), (3,)], "one number for each image"
twice = negative_elbo(*pair, coin_images, np.concatenate([three_draws, three_draws]))
assert all(map(np.allclose, once, twice)), "the same samples twice change nothing"
alone = [negative_elbo(*pair, coin_images, three_draws[[k]])[1] for k in range(3)]
assert np.allclose(once[1], (alone[0] + alone[1] + alone[2]) / 3), "rec is the samples' average"
std_by_hand = np.array([0.5, 3.0])
far_from_black = negative_elbo(
    lambda x: (0 * x + np.array([0.4, -1.0]), 0 * x + 2 * np.log(std_by_hand)),
    lambda z: 500 + z,  # log(1 + e^logit) is the logit here
    np.zeros((1, 2)),
    np.array([[[1.0, -2.0]], [[0.0, 1.0]]]),
)
assert np.allclose(far_from_black[1], 1000 - 1.85), "z is 0.9, −7 and 0.4, 2: −1.85 on average"
assert np.allclose(far_from_black[2], 4.205 - np.log(1.5)), "the KL, by hand"
assert np.allclose(far_from_black[0], 1002.355 - np.log(1.5)), "the loss is their sum"
### END HIDDEN TESTS

# %% [markdown]
# ## 7 · In your own words
#
# *12 minutes · 4 points · marked by hand.*
#
# In this course `rec` is summed over the pixels and `kl` over the latents, while an average is taken over the images alone. Explain why, for each of the three. Then look at a friend's code: it averages the pixel costs of MNIST digits over the 784 pixels, *sums* the KL over the 20 latents, adds the two and averages over the images. Which β in `rec + beta * kl` is this, which one is it if the KL is averaged over the latents as well, and what would you expect to see in the pictures? Six to ten sentences.

# %% [markdown] nbgrader={"grade": true, "grade_id": "open-reduction", "locked": false, "points": 4, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in place of this line.*
#
# === BEGIN MARK SCHEME ===
# One point each:
#
# 1. The sums are part of the formula. Given z the pixels are independent, so log p(x|z) is a sum over pixels; q(z|x) and p(z) are products over latents, so the KL is a sum over latents. Only so are both terms in nats, and their sum −ELBO.
# 2. The images are examples, each with a bound of its own. An average over them estimates the expected loss of one image; it scales both terms alike, so it does not change which parameters are best, and it keeps the loss and the gradient independent of the batch's size.
# 3. rec/784 + kl is (rec + 784·kl)/784: β = 784. With the KL averaged too, rec/784 + kl/20 is (rec + (784/20)·kl)/784: β = 39.2. The common factor changes only the length of the step. Half a point for each of the two values.
# 4. Either β makes the KL far too expensive: q(z|x) is pushed towards the prior and the latents carry little or nothing (posterior collapse). Reconstructions become blurred or all alike, up to the mean image; the printed loss looks pleasantly small, but is no bound on −log p(x) in nats. Any two of these.
# === END MARK SCHEME ===

# %% [markdown]
# ## What is solved
#
# The last verdict of each check in this session.

# %%
progress("02")

# %% [markdown]
# **Back:** [lesson 02](../notebooks/02_numpy_forward.ipynb) · **Next:** [lesson 03](../notebooks/03_gradients.ipynb)
