# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 15 · Faces at scale
#
# Seven tasks on [lesson 15](../notebooks/15_celeba_gpu.ipynb): six functions that a check looks at, and a small experiment of your own. You count what a layer costs, find the weight that belongs to a σ, average weights while they are trained, let a run go on where it stopped, measure a smile beside a control, and repair a sampler that feeds its decoder numbers it has never seen.

# %% [markdown] tags=["badges"]
# <!-- badges -->

# %% [markdown]
# *Time:* about 58 minutes; the computer works for about two of them. *Assumed:* lesson 15; PyTorch's tensors and modules. *Points:* 22.
#
# Write each function in its cell, run the cell, then run the check below it: it says whether the answer is right, or which mistake it found. A check looks only at what your function returns and does; prints inside it are not shown while it is checked. No task needs an earlier one, so leave one out if you are stuck. Hints open with a click; worked answers stand in [solutions/15_celeba_gpu.ipynb](../solutions/15_celeba_gpu.ipynb).

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
import copy, math, torch
from vae_course.checks import celeba_gpu as check, progress

# %% [markdown]
# ## 1 · What a layer costs
#
# *6 minutes · 2 points · warm-up; whoever pays for a GPU by the hour wants to know before, not after.*
#
# A model summary states two numbers for each layer: its **parameters**, which have to be stored and moved by Adam, and its **multiply-adds** for one image, which take the time. Write both for a convolution with a bias, as `F.conv2d` computes it. With `groups` above 1 it falls into so many parts that know nothing of each other: each sees its share of the input channels and makes its share of the output channels. A multiplication together with the addition that follows it counts as one multiply-add; the biases, which are only added, are not counted.
#
# Two layers of the recipe `flat-32` show why both numbers are needed. One is the linear layer that makes 256 · 32 · 32 features of 32 latents: in this task's terms a 1×1 convolution on an image of one pixel with 32 channels. The other is the 3×3 convolution behind it, from 256 channels to 256, on 32×32 places. Which of the two holds more parameters, and which takes more time? Ask your function, once it is solved.
#
# <details><summary>Hint 1</summary>Count the weights first; the size of the image does not enter there. Then ask how often each weight is used: once for every place at which its kernel is put down.</details>
# <details><summary>Hint 2</summary>A kernel has kernel² cells for each of the C / groups input channels that it sees, and there is one kernel for each output channel. For n pixels along a side the output has ⌊(n + 2 · padding − kernel) / stride⌋ + 1 places, and the image need not be square.</details>


# %% nbgrader={"grade": false, "grade_id": "conv_cost", "locked": false, "schema_version": 3, "solution": true, "task": false}
def conv_cost(shape, channels, kernel, stride, padding, groups):
    """Parameters of a convolution with a bias, and its multiply-adds for one image.

    shape: (C, H, W) of the image that goes in; channels: that come out; kernel: side of the
    square kernel; groups: divides C and channels -> parameters, multiply_adds: two numbers.
    """
    ### BEGIN SOLUTION
    seen, height, width = shape[0] // groups, *shape[1:]
    kernel_cells = channels * seen * kernel * kernel
    rows = (height + 2 * padding - kernel) // stride + 1
    columns = (width + 2 * padding - kernel) // stride + 1
    return kernel_cells + channels, kernel_cells * rows * columns
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-conv_cost", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.conv_cost(conv_cost)
### BEGIN HIDDEN TESTS
for picture, settings in (
    ((8, 11, 6), (12, 3, 2, 1, 4)),
    ((6, 5, 9), (6, 2, 1, 0, 6)),
    ((3, 16, 15), (5, 4, 3, 2, 1)),
):
    channels_out, side, every, border, parts = settings
    torchs_own = torch.nn.Conv2d(picture[0], channels_out, side, every, border, groups=parts)
    places = torchs_own(torch.zeros(1, *picture))[0, 0].numel()
    stored, worked = conv_cost(picture, *settings)
    assert float(stored) == sum(p.numel() for p in torchs_own.parameters()), "parameters"
    assert float(worked) == torchs_own.weight.numel() * places, "multiply-adds"
wide_linear = conv_cost((32, 1, 1), 256 * 32 * 32, 1, 1, 0, 1)
deep_convolution = conv_cost((256, 32, 32), 256, 3, 1, 1, 1)
assert [float(n) for n in wide_linear] == [8_650_752, 8_388_608], "the linear layer of flat-32"
assert [float(n) for n in deep_convolution] == [590_080, 603_979_776], "its 3×3 convolution"
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · The weight that belongs to a σ
#
# *8 minutes · 3 points · carries a recipe over to another image size, or to a paper that averages where you sum.*
#
# Lesson 04 read the decoder's σ off a loss that was written already. When you write a loss yourself, you go the other way: first you decide how far off a pixel may be, a standard deviation σ in pixels of [0, 1], and then you need the factor before the KL. Your loss, for one image, is
#
# $$a \cdot \mathop{\text{sum or mean}}_{\text{values of the image}} (x_i - m_i)^2 \;+\; w \cdot \mathop{\text{sum or mean}}_{\text{latents}}\, \mathrm{KL}_j.$$
#
# Return the $w$ for which it is the −ELBO of a Gaussian decoder with this σ, up to a factor and a constant. The latent may be a vector or a map, so its shape has one number or three. An example: with two sums, $a = 1$ and $\sigma^2 = 0.05$, $w$ is the 0.1 of the recipe `residual-spatial`.
#
# <details><summary>Hint 1</summary>Write down the −ELBO with its σ and two sums. What stands before the sum of the squared errors there, and what before the sum of the KL? Only the quotient of the two matters.</details>
# <details><summary>Hint 2</summary>Find what one squared error weighs in your loss: a, or a over the number of the image's values. Multiply the whole −ELBO by 2σ² times that weight, and read off what stands before one latent's KL. If your KL is a mean, w is divided by the number of latents afterwards, so it has to be larger by that.</details>


# %% nbgrader={"grade": false, "grade_id": "kl_factor", "locked": false, "schema_version": 3, "solution": true, "task": false}
def kl_factor(sigma, rec, kl, shape, z_shape):
    """The factor before the KL at which a loss is the -ELBO of a Gaussian decoder with this sigma.

    sigma: of the decoder, in pixels of [0, 1]; rec: (a, "sum" or "mean"), for the squared errors;
    kl: "sum" or "mean", over the latents; shape: (C, H, W); z_shape: (D,) or (C, H, W) -> a number.
    """
    ### BEGIN SOLUTION
    a, over_pixels = rec
    one_error = a / math.prod(shape) if over_pixels == "mean" else a
    one_latent = 2 * sigma**2 * one_error  # -ELBO times 2σ² · one_error
    return one_latent * math.prod(z_shape) if kl == "mean" else one_latent
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-kl_factor", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.kl_factor(kl_factor)
### BEGIN HIDDEN TESTS
face, code = (3, 128, 128), (4, 16, 16)
for decoder_sigma, rec_term, kl_term, latent_shape, known in (
    (math.sqrt(0.05), (1.0, "sum"), "sum", code, 0.1),
    (math.sqrt(0.5), (1.0, "sum"), "sum", (32,), 1.0),
    (0.1, (1.0, "mean"), "mean", code, 0.02 * 1024 / 49152),
    (0.1, (0.5, "mean"), "sum", (32,), 0.01 / 49152),
):
    found = float(kl_factor(decoder_sigma, rec_term, kl_term, face, latent_shape))
    assert abs(found / known - 1) < 1e-4, f"the loss whose factor is {known:.3g}"
torch.manual_seed(15)
for over_errors in ("sum", "mean"):
    for over_latents in ("sum", "mean"):
        weight = float(kl_factor(0.3, (0.7, over_errors), over_latents, (3, 4, 5), (2, 2, 3)))
        quotients = []
        for _ in range(3):
            errors, nats = torch.rand(3, 4, 5).double(), torch.rand(2, 2, 3).double()
            own_loss = 0.7 * getattr(errors, over_errors)() + weight * getattr(nats, over_latents)()
            quotients.append((own_loss / (errors.sum() / 0.18 + nats.sum())).item())
        assert max(quotients) / min(quotients) - 1 < 1e-4, f"{over_errors} and {over_latents}"
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · A moving average of the weights
#
# *8 minutes · 3 points · the weights that a run shares and samples from are an average over its last steps.*
#
# Each step of training leaves the weights a little to one side of where they should be. Their moving average lies nearer: $\bar\theta$ forgets a share of itself at every step and takes in some of the new weights $\theta$. With a decay $d$ a little below 1, step $t = 1, 2, 3, \dots$ is
#
# $$\bar\theta \;\leftarrow\; \bar\theta + r_t\,(\theta - \bar\theta), \qquad r_t = \frac{1 - d}{1 - d^{\,t}}.$$
#
# Without the denominator, $1 - d$ alone, the first weights, which know nothing, would stay in the average for hundreds of steps. With it $r_1 = 1$, so that nothing of the start is left, and after $t$ steps $\bar\theta$ is a weighted mean of $\theta_1, \dots, \theta_t$. (The course's own runs have a simpler cure: a decay that starts small and rises.)
#
# Write one step. `average` is a copy of the model whose parameters ask for no gradient; write into them **in place**. The model itself stays as it is, and goes on learning.
#
# <details><summary>Hint 1</summary><code>parameters()</code> of both modules come in the same order. Inside the loop, does your line change the tensor that the module holds, or give its name to a new one?</details>
# <details><summary>Hint 2</summary>The model's weights ask for gradients, so autograd would record what you do with them: <code>torch.no_grad()</code>. Methods that end in an underscore work in place: <code>add_</code>, <code>mul_</code>, <code>lerp_</code>.</details>


# %% nbgrader={"grade": false, "grade_id": "ema_update", "locked": false, "schema_version": 3, "solution": true, "task": false}
def ema_update(average, model, decay, step):
    """One step of the corrected moving average of a model's weights, in place.

    average, model: modules with the same parameters; decay: d, above 0 and below 1; step: t,
    from 1 -> nothing. Changes the parameters of average only, and leaves no graph behind them.
    """
    ### BEGIN SOLUTION
    r = (1 - decay) / (1 - decay**step)
    with torch.no_grad():
        for kept, trained in zip(average.parameters(), model.parameters(), strict=True):
            kept += r * (trained - kept)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-ema_update", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.ema_update(ema_update)
### BEGIN HIDDEN TESTS
torch.manual_seed(15)
in_training = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.GroupNorm(1, 3))
slow_copy = copy.deepcopy(in_training).requires_grad_(False)
slow_copy[0].weight.fill_(100.0)  # a start that would be noticed


def all_numbers(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


seen_weights = []
for t in range(1, 6):
    with torch.no_grad():
        for p in in_training.parameters():
            p.copy_(torch.randn_like(p))
    seen_weights.append(all_numbers(in_training))
    ema_update(slow_copy, in_training, 0.7, t)
    shares = torch.tensor([0.7 ** (t - i) for i in range(1, t + 1)])
    weighted = sum(s * w for s, w in zip(shares / shares.sum(), seen_weights, strict=True))
    assert torch.allclose(all_numbers(slow_copy), weighted, atol=1e-4), f"a weighted mean, step {t}"
before_late = all_numbers(slow_copy)
ema_update(slow_copy, in_training, 0.999, 100_000)
assert torch.allclose(all_numbers(slow_copy), before_late, atol=0.02), "late steps change little"
assert all(p.requires_grad for p in in_training.parameters()), "the model goes on learning"
assert not any(p.requires_grad for p in slow_copy.parameters()), "the average does not"
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · Where a run goes on
#
# *8 minutes · 3 points · decides whether a run that was interrupted ends with the same weights.*
#
# A run that was cut off knows from its newest checkpoint how many steps are done. Which images come next? If the order of the images lived in a random generator, its state would have to be saved at the right moment, and every process of a large run would have one. It is simpler if the order is a *function*: `order(epoch)` returns the shuffled images of an epoch, the same ones whenever it is asked, and nothing else has to be remembered.
#
# Return the epoch in which the next step lies, counted from 0, and the images of its batch. Each epoch goes through its order in pieces of `batch_size`; what is left at the end, too few for a batch, is dropped.
#
# <details><summary>Hint 1</summary>Take 23 images and batches of 4, and write the steps 0, 1, 2, … one below the other, each with its epoch and its batch. At which step does epoch 1 begin?</details>
# <details><summary>Hint 2</summary>An epoch has <code>images // batch_size</code> steps. <code>divmod</code> tells how many whole epochs lie behind, and how many steps of the current one. A batch begins at a multiple of <code>batch_size</code>.</details>


# %% nbgrader={"grade": false, "grade_id": "where_to_go_on", "locked": false, "schema_version": 3, "solution": true, "task": false}
def where_to_go_on(step, images, batch_size, order):
    """The epoch of the next step, and the images of its batch.

    step: how many steps are done, so the next one has this number, counted from 0; images: how
    many there are; order: epoch -> (images,), long, a permutation -> epoch, indices (batch_size,).
    """
    ### BEGIN SOLUTION
    steps_an_epoch = images // batch_size  # without the piece that is too short
    epoch, done = divmod(step, steps_an_epoch)
    first = done * batch_size
    return epoch, order(epoch)[first : first + batch_size]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-where_to_go_on", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.where_to_go_on(where_to_go_on)
### BEGIN HIDDEN TESTS


def seeded_order(epoch, count=29):
    return torch.randperm(count, generator=torch.Generator().manual_seed(77 + 13 * int(epoch)))


uninterrupted = []  # two loops, as a run that is never cut off would have them
for pass_number in range(4):
    whole_order = seeded_order(pass_number)
    for piece in whole_order.split(5):
        uninterrupted += [(pass_number, piece.tolist())] if len(piece) == 5 else []
assert len(uninterrupted) == 20
for steps_done, (its_epoch, its_images) in enumerate(uninterrupted):
    told_epoch, told_images = where_to_go_on(steps_done, 29, 5, seeded_order)
    assert float(told_epoch) == its_epoch, f"the epoch after {steps_done} steps"
    assert [int(i) for i in told_images] == its_images, f"the images after {steps_done} steps"
far_epoch, far_images = where_to_go_on(1_000_003, 29, 29, seeded_order)
assert float(far_epoch) == 1_000_003, "one step an epoch"
assert sorted(int(i) for i in far_images) == list(range(29)), "all images in one batch"
### END HIDDEN TESTS

# %% [markdown]
# ## 5 · A smile and its control
#
# *7 minutes · 3 points · a change of the picture says something about a direction only beside a change that means nothing.*
#
# From the codes of labelled faces you get a direction in the latent space: the mean code of the faces with an attribute, minus the mean code of those without. If adding it makes a face smile, that may be the direction's doing, or any step of this length may have spoilt the face. So every direction gets a **control**: the noise that is handed in, brought to the same length. Length is the Euclidean norm over all latents, whether they form a vector or a map.
#
# The labels are those of CelebA's own file: 1 for a face with the attribute, −1 for one without.
#
# <details><summary>Hint 1</summary>What does <code>codes[labels]</code> return if the labels are 1, −1, −1? And which of CelebA's two labels does <code>bool</code> turn into False?</details>
# <details><summary>Hint 2</summary>A comparison makes a mask of the labels, and a mask picks faces; their mean runs over dim 0 only. Noise divided by its own norm has length 1.</details>


# %% nbgrader={"grade": false, "grade_id": "direction_and_control", "locked": false, "schema_version": 3, "solution": true, "task": false}
def direction_and_control(codes, labels, noise):
    """The direction of an attribute, and a control: the noise, as long as the direction.

    codes: (N, *z_shape); labels: (N,), long, 1 (with the attribute) or -1 (without), both occur;
    noise: (*z_shape,), not to be drawn anew -> direction, control: (*z_shape,) each.
    """
    ### BEGIN SOLUTION
    with_it, without_it = (codes[labels == value].mean(dim=0) for value in (1, -1))
    direction = with_it - without_it
    return direction, noise / noise.norm() * direction.norm()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-direction_and_control", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.direction_and_control(direction_and_control)
### BEGIN HIDDEN TESTS
torch.manual_seed(15)
true_step, some_noise = torch.randn(2, 4, 3, 5)
plain_faces = 2 + torch.randn(6, 4, 3, 5)
two_groups = torch.cat([plain_faces, plain_faces + true_step, plain_faces + true_step])
group_labels = torch.tensor([-1] * 6 + [1] * 12)
in_disorder = torch.randperm(18)
towards, beside = direction_and_control(
    two_groups[in_disorder], group_labels[in_disorder], some_noise
)
assert torch.allclose(towards.float(), true_step, atol=1e-4), "a step that is known"
assert abs(beside.float().norm() / true_step.norm() - 1) < 1e-4, "the control's length"
assert torch.nn.functional.cosine_similarity(beside.float(), some_noise, dim=-1).min() > 0.9999, (
    "the control points where the noise does"
)
back, _ = direction_and_control(two_groups, -group_labels, some_noise)
assert torch.allclose(back.float(), -true_step, atol=1e-4), "labels exchanged"
_, other_noise = direction_and_control(two_groups, group_labels, 50 * some_noise)
assert torch.allclose(other_noise.float(), beside.float(), rtol=1e-3, atol=1e-4), "louder noise"
### END HIDDEN TESTS

# %% [markdown]
# ## 6 · Spot the bug: numbers the decoder has never seen
#
# *5 minutes · 3 points · the fault raises no error, and its pictures look like a badly trained model.*
#
# A model of the `residual-spatial` kind was trained with a tanh between sample and decoder: the decoder learned to read $\tanh(z)$, while the KL and the prior belong to $z$. In the course's `ImageVAE` the tanh stands inside `decode`, where nobody can forget it. Here `decode` is the bare network behind it, and somebody did: the function below is meant to return the pictures along a straight line from one latent to another, both from the prior. The cell lets it decode with a stand-in that returns what it is fed, and prints how many of these numbers can occur in training at all. Run it, then write the repaired function.


# %%
def faulty_line(decode, z_a, z_b, steps):
    t = torch.linspace(0, 1, steps).view(-1, *[1] * z_a.ndim)
    return decode((1 - t) * z_a + t * z_b)


from_prior = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0))
for where, fed in {
    "in training": torch.tanh(from_prior),
    "along the line": faulty_line(lambda h: h, *from_prior, steps=9),
}.items():
    print(
        f"{where:15} largest {fed.abs().max():.2f}, beyond ±1: {(fed.abs() > 1).float().mean():.1%}"
    )

# %% [markdown]
# <details><summary>Hint 1</summary>There are two places for the tanh: on the two ends, or on the points of the line. Between tanh(−2) and tanh(2) the half-way point is 0 in either case; what is it between tanh(0) and tanh(2), and which z does it stand for?</details>
# <details><summary>Hint 2</summary>The prior, and so the straight line, belongs to z. Only what is handed to the decoder goes through tanh, point by point. The logits that come out are returned as they are.</details>


# %% nbgrader={"grade": false, "grade_id": "repaired_line", "locked": false, "schema_version": 3, "solution": true, "task": false}
def repaired_line(decode, z_a, z_b, steps):
    """Pictures along the straight line from z_a to z_b, for a decoder that was trained on tanh(z).

    decode: (N, *z_shape) -> logits (N, C, H, W), the network alone; z_a, z_b: (*z_shape,), as the
    prior has them; steps: how many pictures, both ends included -> logits (steps, C, H, W).
    """
    ### BEGIN SOLUTION
    ways = torch.linspace(0, 1, steps, device=z_a.device)
    z = torch.stack([z_a + way * (z_b - z_a) for way in ways])  # in the prior's space
    return decode(z.tanh())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-repaired_line", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.repaired_line(repaired_line)
### BEGIN HIDDEN TESTS
torch.manual_seed(15)
start, end = torch.randn(2, 3, 2, 4).clamp(-2, 2)
fed_numbers = repaired_line(lambda h: h, start, end, 6)
assert fed_numbers.shape == (6, 3, 2, 4), "one for each step"
assert fed_numbers.abs().max() < 1, "tanh never leaves (-1, 1)"
in_prior = repaired_line(torch.atanh, start, end, 5)  # gives back z
moves = in_prior.diff(dim=0)
assert torch.allclose(moves, moves[:1].expand_as(moves), atol=1e-3), "even steps in z"
assert torch.allclose(in_prior[0], start, atol=1e-3), "the first end"
assert torch.allclose(in_prior[-1], end, atol=1e-3), "the last end"
three_squares = repaired_line(lambda h: h.flatten(1) ** 2, start, end, 3)
half_way = (0.5 * (start + end)).tanh().flatten() ** 2
assert three_squares.shape == (3, 24), "the decoder gets batches"
assert torch.allclose(three_squares[1], half_way, atol=1e-4), "half-way, through a decoder"
only_ends = repaired_line(lambda h: 10 * h, start, end, 2)
assert torch.allclose(only_ends, 10 * torch.stack([start, end]).tanh(), atol=1e-3), "two steps"
### END HIDDEN TESTS

# %% [markdown]
# ## 7 · What else did the glasses change?
#
# *16 minutes · 5 points, marked by hand · the way of working that this course leaves you with: predict, change one thing, measure beside a control, look.*
#
# Add glasses to drawn faces that have none, and find out what decides whether a judge sees them, and what else changes. The baseline is a small `flat-32` on 32×32 pixels with a decoder's σ of 0.16 (a weight of 0.05 before the KL), the direction from all training faces, added once. Four suggestions:
#
# - **the step**: add the direction half, twice or four times.
# - **the labels**: take the direction from 20 or 100 labelled faces. (Each side needs at least five.)
# - **σ**: train with `kl_weight=1`, the weight of the full recipe `flat-32`, or with 0.01.
# - **another attribute**: `Blond_Hair`, `Wearing_Hat`, `Goatee`, `Mouth_Slightly_Open` (the table below names all of them). Which of them can this model add, and which not?
#
# **Predict** before you run: will more or fewer faces be read as wearing glasses, and will the other attributes be left alone? Write the prediction into the answer cell at the end first. The cells here run as they stand, with an example. (If no lesson has drawn the faces on this computer yet, that takes a minute, once.)

# %%
import tempfile

from vae_course import face_latents, plots, run, runtime
from vae_course.data.celeba import load_faces
from vae_course.models.attributes import train_classifier
from vae_course.recipes import recipe
from vae_course.weights import load_run

faces = load_faces(32, source="drawn", count=runtime.steps(4_000, 800))
learnt, held_out = faces.splits["train"], faces.splits["valid"]

# %% [markdown]
# First the judge: a classifier of the attributes that learns from pictures, not from codes. `trained` makes a model in a folder that is thrown away afterwards.

# %%
judge = train_classifier(faces, seed=1, epochs=runtime.steps(8, 6))


def trained(**changes):
    """The small flat recipe on 32×32 pixels with some settings changed, trained from the first step."""
    settings = {"size": 32, "kl_weight": 0.05, "epochs": runtime.steps(12, 2), **changes}
    with tempfile.TemporaryDirectory() as folder:
        plan = recipe("flat-32-small", **settings)
        run.train(plan, faces, f"{folder}/run", tracker="none", precision="fp32")
        return load_run(f"{folder}/run")[0]


baseline = trained()

# %% [markdown]
# What no code holds, no direction can add. For each attribute: how often the judge is right about held-out pictures, and about what is left of them after encoding and decoding. The last column is what somebody gets who always gives the commoner answer: a share near it says that nothing is left to see.

# %%
has = torch.stack([faces.attribute(name, "valid") for name in faces.attribute_names], dim=1)
with torch.no_grad():
    rebuilt = baseline.mean(face_latents.codes(baseline, faces, held_out))
right = [
    ((judge.probabilities(images) > 0.5) == has).float().mean(dim=0)
    for images in (faces.batch(held_out), rebuilt)
]
share = has.float().mean(dim=0)
commoner = torch.maximum(share, 1 - share)
print(f"{'judged rightly':20} pictures  rebuilt  always the commoner answer")
for name, *shares in zip(faces.attribute_names, *right, commoner, strict=True):
    print(f"{name:20} {shares[0]:8.0%} {shares[1]:8.0%} {shares[2]:8.0%}")

# %% [markdown]
# The arithmetic, for held-out faces that lack the attribute: as they are rebuilt, with the direction added, and with five random ones of equal length: one could be lucky. The directions come from the training faces.


# %%
def added(model, attribute="Eyeglasses", step=1.0, labelled=None):
    """Pictures of the same faces: rebuilt, with the attribute added, with each of five controls."""
    labels = faces.attribute(attribute, "train")[:labelled]
    codes = face_latents.codes(model, faces, learnt[:labelled])
    direction = face_latents.direction(codes, labels)
    rng = torch.Generator().manual_seed(0)
    steps = [0 * direction, direction]
    steps += [face_latents.random_direction(direction, rng) for _ in range(5)]
    lacking = held_out[~faces.attribute(attribute, "valid").numpy()]
    z = face_latents.codes(model, faces, lacking)
    with torch.no_grad():
        return attribute, [model.mean(z + step * d) for d in steps]


# %% [markdown]
# Your turn: replace the example by your own change, and leave the baseline as it is. A model with another σ is `trained(kl_weight=1.0)`, in place of `baseline` in your line.

# %%
compared = {
    "baseline": added(baseline),
    "yours": added(baseline, step=2.0),
}

# %% [markdown]
# For both: the share of faces in which the judge's answer turned to yes, by the direction and by the five controls, from the least to the most; and the share of its answers about the *other* attributes that turned, either way.

# %%
print(f"{'':10} {'turned to yes':>24} {'others turned':>24}")
print(f"{'':10} {'direction':>10} {'controls':>13} {'direction':>10} {'controls':>13}")
for name, (attribute, (before, *after)) in compared.items():
    this = faces.attribute_names.index(attribute)
    old, *new = (judge.probabilities(images) for images in (before, *after))
    turned = [face_latents.turned(old[:, this], each[:, this]) for each in new]
    flips = [((each > 0.5) != (old > 0.5)).float().mean(dim=0) for each in new]
    others = [(each.sum() - each[this]).item() / (len(each) - 1) for each in flips]
    cells = [
        f"{x[0]:10.0%} {f'{min(x[1:]):.0%} to {max(x[1:]):.0%}':>13}" for x in (turned, others)
    ]
    print(f"{name:10}", *cells)

# %% [markdown]
# Now the pictures: the same eight faces, rebuilt, with the direction added, and with the first control.

# %%
for name, (attribute, pictures) in compared.items():
    grid = plots.image_grid(
        torch.cat([images[:8] for images in pictures[:3]]),
        columns=8,
        row_labels=["rebuilt", f"+ {attribute}", "+ control"],
        title=f"{name}: {attribute} added",
    )
    plots.show(
        grid,
        alt=f"Eight drawn faces as rebuilt, with {attribute} added, and with a control added; {name}.",
    )

# %% [markdown]
# Report what you did, in about ten sentences: the change and your prediction; what the tables say about the attribute *and* about the others, each beside its controls, with numbers; what the pictures show; why, in the terms of the lesson (what the code holds at this σ, what a mean over faces contains, what lies beyond the codes of real faces); and what the comparison leaves open. A wrong prediction with a good explanation earns full points.

# %% [markdown] nbgrader={"grade": true, "grade_id": "open-experiment", "locked": false, "points": 5, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in place of this line.*
#
# === BEGIN MARK SCHEME ===
# One point each:
#
# 1. A prediction, made before the run, that could have turned out wrong: a direction for the share that turns, for the other attributes, or a statement about the pictures. It need not have come true.
# 2. A measurement with one thing changed, beside the baseline *and* beside the controls, that reports the attribute and the others with numbers from the table. Whoever gives the direction's share alone does not earn this point.
# 3. A picture described: what differs between the rows or the two grids (frames, a grey veil, hair or skin that changes along, faces that are no longer faces), named so that a reader could find it.
# 4. An explanation in the lesson's terms. For example: a longer step leaves the region in which codes of real faces lie, so more faces turn and other answers turn along; a direction from few faces contains whatever else these faces had in common by accident, and its length is mostly accident; a larger σ makes latents dear, so the code holds colours and large shapes but no glasses, and a mean of codes cannot contain them; an attribute of few pixels costs little squared error, so it is the last to be coded, while hair and clothes come first.
# 5. A limitation: one training, five random controls, a short run at 32×32 pixels, a judge that learned from sharp pictures and reads blurred ones, attributes that are independent in drawn faces and are not in photographs. A repeat with another seed, or a measurement that would settle the question, earns this point as well.
# === END MARK SCHEME ===

# %% [markdown]
# ## What is solved
#
# The last verdict of each check in this session.

# %%
progress("15")

# %% [markdown]
# **Back:** [lesson 15](../notebooks/15_celeba_gpu.ipynb) · **Map:** [00 · Start here](../notebooks/00_start_here.ipynb)
