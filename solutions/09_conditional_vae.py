# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 09 · Conditional VAE
#
# Seven tasks on [lesson 09](../notebooks/09_conditional_vae.ipynb): six functions that a check looks at, and a small experiment of your own. You hand a class to a network, write the bound given a class, lay out styles and classes, find out whom a decoder obeys, repair a measure of diversity, and turn bounds given a class into one that is not.

# %% [markdown] tags=["badges"]
# <!-- badges -->

# %% [markdown]
# *Time:* about 55 minutes; the computer works for about one of them. *Assumed:* lesson 09; PyTorch's tensors. *Points:* 22.
#
# Write each function in its cell, run the cell, then run the check below it: it says whether the answer is right, or which mistake it found. A check looks only at what your function returns and does; prints inside it are not shown while it is checked. No task needs an earlier one, so leave one out if you are stuck. Hints open with a click; worked answers stand in [solutions/09_conditional_vae.ipynb](../solutions/09_conditional_vae.ipynb).

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
from vae_course.checks import conditional_vae as check, progress

# %% [markdown]
# ## 1 · A class beside the features
#
# *4 minutes · 2 points · warm-up; whatever is to depend on a class begins with this line.*
#
# The lesson puts the class beside pixels or latents. The same works at any layer of any network: `h` holds the features of a batch, `c` its labels, and `classes` says how many classes there are in all, also those that this batch does not contain. Return each row of features, followed by its class as a one-hot vector.
#
# <details><summary>Hint 1</summary>How many columns has the result? Ask yourself also what your answer returns for a batch that holds the classes 0 and 1 only, though there are five.</details>
# <details><summary>Hint 2</summary><code>F.one_hot</code> takes the number of classes as its second argument. <code>torch.cat</code> wants two tensors with equally many rows, and the dimension along which they stand side by side.</details>


# %% nbgrader={"grade": false, "grade_id": "with_condition", "locked": false, "schema_version": 3, "solution": true, "task": false}
def with_condition(h, c, classes):
    """Each row of features with its class beside it, one-hot.

    h: (B, F), float; c: (B,), long, from 0 to classes - 1; classes: a number -> (B, F + classes).
    Gradients reach h.
    """
    ### BEGIN SOLUTION
    one_hot_rows = F.one_hot(c, num_classes=classes).to(h)  # (B, classes)
    return torch.cat([h, one_hot_rows], dim=-1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-with_condition", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.with_condition(with_condition)
### BEGIN HIDDEN TESTS
torch.manual_seed(9)
some_features, some_labels = torch.randn(6, 3), torch.tensor([4, 0, 2, 2, 0, 1])
next_layer = torch.nn.Linear(3 + 7, 5)
of_both = next_layer(with_condition(some_features, some_labels, 7).float())
class_biases = next_layer.weight[:, 3:].T[some_labels]
of_features = F.linear(some_features, next_layer.weight[:, :3], next_layer.bias)
assert torch.allclose(of_both, of_features + class_biases, atol=1e-5), "a bias for each class"
alone = with_condition(torch.zeros(1, 2), torch.tensor([0]), 4)
assert alone.tolist() == [[0, 0, 1, 0, 0, 0]], "a batch of one, class 0"
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · The bound, given c
#
# *8 minutes · 3 points · the loss behind every model of the lesson, which took it ready-made.*
#
# Write the two terms of the bound on $\log p(x \mid c)$, one number for each image:
#
# $$\mathrm{rec} = -\log p(x \mid z, c) \;\text{ at }\; z = \mu + \sigma\varepsilon, \qquad \mathrm{kl} = \mathrm{KL}\big(q(z \mid x, c)\,\Vert\,N(0, I)\big) \;\text{ in closed form.}$$
#
# You get the two networks as functions: `encode(x, c)` returns the mean and the log-variance of $q(z \mid x, c)$, `decode(z, c)` the logits of a Bernoulli for each pixel. (These two also run without `c`, as a network does whose programmer forgot it. Nothing will crash.) The noise is handed in as `eps`.
#
# <details><summary>Hint 1</summary>It is the loss of lesson 04, line by line, with "given c" written behind every distribution. Which lines change?</details>
# <details><summary>Hint 2</summary>Both networks get <code>c</code>. σ is exp(½ logvar). For a Bernoulli with logits there is <code>F.binary_cross_entropy_with_logits</code>, with <code>reduction="none"</code>; pixels are summed over C, H and W, latents over dim 1.</details>


# %% nbgrader={"grade": false, "grade_id": "conditional_terms", "locked": false, "schema_version": 3, "solution": true, "task": false}
def conditional_terms(encode, decode, x, c, eps):
    """The two terms of -ELBO(x, c), by one sample of q(z|x, c) made from the given noise.

    encode: (x, c) -> mu, logvar, each (B, D); decode: (z, c) -> logits (B, C, H, W), which may be large;
    x: (B, C, H, W) in [0, 1]; c: (B,), long; eps: (B, D) -> rec, kl: (B,) each, in nats.
    Gradients reach both networks.
    """
    ### BEGIN SOLUTION
    mu, logvar = encode(x, c)
    sigma = (0.5 * logvar).exp()
    logits = decode(mu + sigma * eps, c)
    each_pixel = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    divergence = 0.5 * (mu**2 + sigma**2 - logvar - 1).sum(dim=1)
    return each_pixel.sum(dim=(1, 2, 3)), divergence
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-conditional_terms", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.conditional_terms(conditional_terms)
### BEGIN HIDDEN TESTS
means_of_three = torch.tensor([[0.0, 0.0], [1.0, -1.0], [3.0, 0.5]])


def encode_class(x, c):  # the class is the mean's row; σ = 0.1 everywhere
    return means_of_three[c] + 0 * x.sum(), torch.full((len(c), 2), 2 * math.log(0.1))


def decode_class(z, c):  # two pixels for the latents, one for the class
    return torch.cat([z, c[:, None].float()], dim=1).view(-1, 1, 1, 3)


three_labels = torch.tensor([2, 0, 1, 1])
half_grey, plus_one = torch.full((4, 1, 1, 3), 0.5), torch.ones(4, 2)
hidden_rec, hidden_kl = conditional_terms(
    encode_class, decode_class, half_grey, three_labels, plus_one
)
of_means = means_of_three[three_labels].square().sum(dim=1) / 2
assert torch.allclose(hidden_kl.float(), of_means + 2 * 1.8075851, atol=1e-4), "KL at σ = 0.1"
three_logits = torch.cat([means_of_three[three_labels] + 0.1, three_labels[:, None]], dim=1)
of_grey = torch.log(2 * torch.cosh(three_logits / 2)).sum(dim=1)  # at x = ½
assert torch.allclose(hidden_rec.float(), of_grey, atol=1e-4), "what grey pixels cost"
turned = conditional_terms(encode_class, decode_class, half_grey, three_labels.flip(0), plus_one)
for part, whole in zip(turned, (hidden_rec, hidden_kl), strict=True):
    assert torch.allclose(part, whole.flip(0)), "another order of the images"
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · A row for each style, a column for each class
#
# *6 minutes · 3 points · the picture by which conditional models are judged, and in which one line is easily wrong.*
#
# The lesson showed one handwriting a row and one class a column. Write the function behind such a picture for any decoder: S styles, every one of them decoded with all classes, from class 0 upwards. Return the pixel means, as `plots.image_grid` wants them: first the pictures of the first row from left to right, then those of the second.
#
# <details><summary>Hint 1</summary>Write down for S = 2 and three classes which style and which class each of the six pictures has, in order. Two lists of six numbers: one changes slowly, one fast.</details>
# <details><summary>Hint 2</summary><code>repeat_interleave</code> turns 0, 1 into 0, 0, 0, 1, 1, 1; <code>repeat</code> turns 0, 1, 2 into 0, 1, 2, 0, 1, 2. The decoder returns logits.</details>


# %% nbgrader={"grade": false, "grade_id": "style_grid", "locked": false, "schema_version": 3, "solution": true, "task": false}
def style_grid(decode, z, classes):
    """Every style with every class, a row of pictures for each style.

    decode: (z, c) -> logits (N, C, H, W), for z: (N, D) and c: (N,), long; z: (S, D);
    classes: a number -> pixel means in [0, 1], (S * classes, C, H, W).
    """
    ### BEGIN SOLUTION
    styles = z.repeat_interleave(classes, dim=0)  # the slow one: (S·classes, D)
    of_a_row = torch.arange(classes, device=z.device)  # the fast one
    return decode(styles, of_a_row.repeat(len(z))).sigmoid()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-style_grid", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.style_grid(style_grid)
### BEGIN HIDDEN TESTS
four_styles = torch.linspace(-2, 2, 12).view(4, 3)


def decode_visibly(z, c):  # the first row of pixels is z, the second the class
    pixels = torch.stack([z, c[:, None].expand(-1, 3).float() - 2], dim=1)
    return pixels[:, None]  # (N, 1, 2, 3)


table = style_grid(decode_visibly, four_styles, 7).detach().view(4, 7, 2, 3)
assert torch.allclose(table.float().logit()[:, :, 0], four_styles[:, None], atol=1e-4), (
    "a style a row"
)
in_columns = table.float().logit()[..., 1, 0]
assert torch.allclose(in_columns, torch.arange(7.0).sub(2).expand(4, 7), atol=1e-4), (
    "a class a column"
)
single = style_grid(decode_visibly, four_styles[:1], 1)
assert single.shape == (1, 1, 2, 3), "one style and one class"
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · Whom the decoder obeys
#
# *6 minutes · 3 points · tells a decoder that ignores c from one that is merely bad.*
#
# After a swap a classifier has read every picture. For each image you have three labels: what was `read`, what was `asked` for, and what the `original` was. This time the class asked for was drawn from *all* classes, so now and then it is the original one. Such an image was not swapped and says nothing: whomever the decoder listens to, it should come out the same.
#
# Return two shares of the images that were swapped: those read as asked, where the decoder listened to $c$, and those still read as the original, where it listened to $z$. They need not add up to 1.
#
# <details><summary>Hint 1</summary>First decide which images count. That depends on two of the three labels only.</details>
# <details><summary>Hint 2</summary>A mask of booleans picks the images: index all that you compare with it. The mean of a comparison is a share, once it is a float.</details>


# %% nbgrader={"grade": false, "grade_id": "swap_shares", "locked": false, "schema_version": 3, "solution": true, "task": false}
def swap_shares(read, asked, original):
    """Shares of the swapped images that are read as asked, and as they were.

    read, asked, original: (N,), long -> obeyed, stayed: two numbers from 0 to 1, over the images
    with asked != original, of which there is at least one.
    """
    ### BEGIN SOLUTION
    was_swapped = asked != original
    outcome, wish, start = (labels[was_swapped] for labels in (read, asked, original))
    obeyed, stayed = ((outcome == labels).double().mean().item() for labels in (wish, start))
    return obeyed, stayed
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-swap_shares", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.swap_shares(swap_shares)
### BEGIN HIDDEN TESTS
torch.manual_seed(9)
were = torch.arange(40) % 4
wished = (were + torch.arange(40) // 4) % 4  # every fourth of them, or so, is the original
coincided = (wished == were).sum().item()
assert 0 < coincided < 40


def close(pair, first, second):
    return abs(float(pair[0]) - first) < 1e-5 and abs(float(pair[1]) - second) < 1e-5


assert close(swap_shares(wished, wished, were), 1, 0), "a decoder that listens to c alone"
assert close(swap_shares(were, wished, were), 0, 1), "a decoder that listens to z alone"
other_than_both = torch.full((40,), 4)
assert close(swap_shares(other_than_both, wished, were), 0, 0), "a third class throughout"
half_and_half = torch.where(torch.arange(40) < 20, wished, were)
in_first_half = (wished != were)[:20].sum().item() / (40 - coincided)
assert close(swap_shares(half_and_half, wished, were), in_first_half, 1 - in_first_half), "halves"
### END HIDDEN TESTS

# %% [markdown]
# ## 5 · Spot the bug: diverse copies
#
# *6 minutes · 3 points · a measure of diversity is worth what it says about a collapsed model.*
#
# The function below is meant to be the within-class variance $V$ of the lesson. A collapsed model has ten pictures, one for each class, and repeats them: its $V$ is 0. The cell builds such pictures from random pixels and prints what the function says about them. Run it, then write the repaired function.


# %%
def faulty_variance(images, c):
    of_class = [images[c == k].var(correction=0) for k in c.unique()]
    return torch.stack(of_class).mean()


ten_pictures = torch.rand(10, 1, 8, 6, generator=torch.Generator().manual_seed(0))
asked_for = torch.arange(10).repeat(20)
print(
    f"variance of twenty copies of each picture: {faulty_variance(ten_pictures[asked_for], asked_for):.3f}"
)

# %% [markdown]
# <details><summary>Hint 1</summary>For one class, which numbers does <code>var</code> compare here? How many numbers does it return, and how many should it, before they are summed?</details>
# <details><summary>Hint 2</summary>In V every pixel has a variance of its own, over the images of a class, which stand along dim 0. These variances are summed over C, H and W. The mean over the classes is right as it is.</details>


# %% nbgrader={"grade": false, "grade_id": "repaired_variance", "locked": false, "schema_version": 3, "solution": true, "task": false}
def repaired_variance(images, c):
    """The variance of each pixel within a class, summed over pixels, averaged over classes.

    images: (N, C, H, W); c: (N,), long -> a number. The variance is the mean squared deviation,
    without a correction, and each class that occurs in c has one vote.
    """
    ### BEGIN SOLUTION
    summed = []
    for label in c.unique():
        of_pixels = images[c == label].var(dim=0, correction=0)  # (C, H, W)
        summed.append(of_pixels.sum())
    return torch.stack(summed).mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-repaired_variance", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.repaired_variance(repaired_variance)
### BEGIN HIDDEN TESTS
torch.manual_seed(9)
four_of_each = torch.arange(3).repeat(4)
four_pictures = 0.2 + 0.6 * torch.rand(3, 3, 5, 4)
assert abs(float(repaired_variance(four_pictures[four_of_each], four_of_each))) < 1e-6, "copies"
plus_or_minus = torch.tensor([0.1, -0.1]).repeat_interleave(6).view(-1, 1, 1, 1)
shaken = four_pictures[four_of_each] + plus_or_minus
assert abs(float(repaired_variance(shaken, four_of_each)) - 60 * 0.01) < 1e-5, "each pixel ± 0.1"
anything = 0.5 * torch.rand(12, 3, 5, 4)
moved = anything + 0.2 * four_of_each.view(-1, 1, 1, 1)
before_and_after = (float(repaired_variance(each, four_of_each)) for each in (anything, moved))
assert abs(next(before_and_after) - next(before_and_after)) < 1e-4, "brighter classes"
class_centres = torch.stack([anything[four_of_each == k].mean(dim=0) for k in range(3)])
between = class_centres.var(dim=0, correction=0).sum().item()
total = anything.var(dim=0, correction=0).sum().item()
within = float(repaired_variance(anything, four_of_each))
assert abs(within + between - total) < 1e-4, "total variance"
few_and_many = torch.tensor([0, 0, 5, 5, 5, 5, 5, 5])
two_spreads = 0.5 + torch.tensor([0.1, -0.1, 0.3, -0.3, 0.3, -0.3, 0.3, -0.3])
both_classes = two_spreads.view(-1, 1, 1, 1).expand(-1, 3, 5, 4)
known_mean = 60 * (0.01 + 0.09) / 2
assert abs(float(repaired_variance(both_classes, few_and_many)) - known_mean) < 1e-4, "two classes"
### END HIDDEN TESTS

# %% [markdown]
# ## 6 · From bounds given c to a bound on log p(x)
#
# *7 minutes · 3 points · needed wherever a conditional model is compared with a plain one.*
#
# A conditional model gives a bound for each class. Together they bound $\log p(x)$, and the lesson did that sum for ten equally frequent classes. Where some classes are more frequent than others, each has its own $p(c)$:
#
# $$\log p(x) \;\ge\; \log \sum_c p(c)\, e^{\mathrm{ELBO}(x, c)}.$$
#
# Write that sum. The bounds of real images lie around −100 nats and below, and a colour image may have −10,000: your answer has to survive that.
#
# <details><summary>Hint 1</summary>What is exp(−1000) in the computer, and what is the logarithm of that? The factor p(c) can go into the exponent.</details>
# <details><summary>Hint 2</summary>log p(c) + ELBO(x, c) is the exponent of each summand; <code>log_p_c</code> is broadcast over the images. Then log, sum and exp, for which PyTorch has one function that takes out the largest term.</details>


# %% nbgrader={"grade": false, "grade_id": "log_p_x", "locked": false, "schema_version": 3, "solution": true, "task": false}
def log_p_x(bounds, log_p_c):
    """A lower bound on log p(x) from the lower bounds on log p(x|c) for all classes.

    bounds: (B, classes); log_p_c: (classes,), the logarithms of p(c) -> (B,), in nats.
    """
    ### BEGIN SOLUTION
    of_class = log_p_c + bounds  # log p(c) p(x|c): (B, classes)
    return of_class.logsumexp(dim=-1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-log_p_x", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.log_p_x(log_p_x)
### BEGIN HIDDEN TESTS
torch.manual_seed(9)
uneven = torch.tensor([0.5, 0.2, 0.2, 0.06, 0.04]).log()
all_alike = torch.tensor([-3.0, -120.0, -2500.0])[:, None].expand(3, 5)
from_alike = log_p_x(all_alike, uneven)
assert torch.allclose(from_alike.float(), all_alike[:, 0], atol=1e-3), "the class does not matter"
one_stands_out = torch.full((2, 5), -900.0)
one_stands_out[:, 3] = -500.0
from_one = log_p_x(one_stands_out, uneven)
assert torch.allclose(from_one.float(), uneven[3] - 500, atol=1e-3), "one class explains the image"
mild = -4 * torch.rand(6, 5)
in_full = (mild.double().exp() * uneven.double().exp()).sum(dim=1).log()
assert torch.allclose(log_p_x(mild, uneven).double(), in_full, atol=1e-5), (
    "small numbers, written out"
)
assert torch.allclose(log_p_x(mild - 2000, uneven).double(), in_full - 2000, atol=1e-2), (
    "2000 nats less"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 7 · Ask for something else
#
# *18 minutes · 5 points, marked by hand · the way of working that this course leaves you with: predict, change one thing, measure, look.*
#
# Train a conditional VAE that differs from a baseline in one thing, and find out what that does to obedience and to diversity. The baseline is the lesson's model, trained for a shorter time: 16 latents, and a β that falls to 1. Four suggestions:
#
# - **β**: let it fall to 0.3, or only to 4 (`beta=` multiplies the whole schedule, so it then starts at 6, or at 80).
# - **the latent size**: 2 latents, or 50.
# - **wrong labels**: replace a tenth or half of the training labels by random ones. What does the decoder trust then?
# - **another condition**: ask for a direction instead of a digit. How an image leans is measured, so no one has to label it; a function for that stands below.
#
# **Predict** before you run: will more or fewer samples be read as asked for, and will they differ more or less from each other? Write the prediction into the answer cell at the end first. The cells here run as they stand, with an example.

# %%
from vae_course import condition, data, plots, runtime, strokes, training
from vae_course.models.classifier import DigitClassifier, classification_loss
from vae_course.models.conditional import ConditionalVAE

digits = data.load_digits()
count, BATCH = runtime.steps(60_000, 3_000), runtime.steps(256, 64)
train_x, train_y = digits.train_x[:count], digits.train_y[:count]
test_x, test_y = (part[: runtime.steps(10_000, 1_000)] for part in (digits.test_x, digits.test_y))

# %% [markdown]
# First the judges. For digits it is a classifier, as in the lesson; for directions it is the slant itself, cut into three classes that are equally frequent among the training images.

# %%
runtime.seed(1)
judge = DigitClassifier()
training.fit(
    judge,
    (train_x, train_y),
    epochs=runtime.steps(1, 4),
    loss=classification_loss,
    lr=4e-3,
)
thirds = strokes.slant(train_x).quantile(torch.tensor([1 / 3, 2 / 3]))


def digit(images):
    return judge.probabilities(images).argmax(dim=1)


def direction(images):
    """The third of the training images that lean like these: 0, 1, or 2, furthest to the right."""
    return torch.bucketize(strokes.slant(images), thirds)


# %% [markdown]
# Everything that is not the change stays the same: network, images, number of steps, first seed. For wrong labels hand `mislabelled(0.1)` in place of `train_y`; for directions hand `direction(train_x)`, with `classes=3`.


# %%
def mislabelled(share):
    """The training labels, this share of them replaced by random ones."""
    rng = torch.Generator().manual_seed(0)
    replaced = torch.rand(count, generator=rng) < share
    return torch.where(replaced, torch.randint(10, (count,), generator=rng), train_y)


def trained(c, classes=10, z_dim=16, beta=1.0):
    """A conditional VAE of the training images; c: their condition, (count,)."""
    runtime.seed(0)
    model = ConditionalVAE(z_dim=z_dim, hidden=(400, 400), classes=classes)
    training.fit(
        model,
        (train_x, c),
        epochs=runtime.steps(6, 4),
        batch_size=BATCH,
        lr=4e-3,
        beta=lambda step, steps: beta * 20.0 ** max(0.0, 1 - 2 * step / steps),
    )
    return model


baseline = trained(train_y)

# %% [markdown]
# Your turn: replace the example in the next lines by your own change. The second line says how your condition is read off an image: `digit` or `direction`.

# %%
yours = trained(train_y, z_dim=2)
read = digit

# %% [markdown]
# For both models: the share of samples that are read as asked for, and beside it the share of real test images that are read as their own label (typical pictures can be easier to read than real ones; for directions it is 100 % by construction, because the reader made the labels); the within-class variance of the samples, as a share of that of the test images in the same classes; and the two terms on the test set.

# %%
compared = {"baseline": (baseline, digit, test_y)}
compared["yours"] = (yours, read, test_y if read is digit else read(test_x))
print(f"{'':10} {'asked':>7} {'real':>7} {'variance':>9} {'rec':>8} {'KL':>7}")
for name, (model, reader, c) in compared.items():
    wanted = torch.arange(model.classes).repeat_interleave(runtime.steps(1_000, 100))
    images = model.sample(wanted, generator=torch.Generator().manual_seed(0))
    asked, real = (reader(images) == wanted).float().mean(), (reader(test_x) == c).float().mean()
    spread = condition.within_class_variance(images, wanted)
    spread /= condition.within_class_variance(test_x, c)
    terms = training.evaluate(model, (test_x, c))
    print(
        f"{name:10} {asked:7.1%} {real:7.1%} {spread:9.2f} {terms['rec']:8.2f} {terms['kl']:7.2f}"
    )

# %% [markdown]
# Now the pictures: thirty samples of each model, one column for each class asked for.

# %%
for name, (model, *_) in compared.items():
    wanted = torch.arange(model.classes).repeat(30 // model.classes)
    grid = plots.image_grid(
        model.sample(wanted, generator=torch.Generator().manual_seed(1)),
        columns=model.classes,
        column_labels=[str(k) for k in range(model.classes)],
        title=f"{name}: asked for, class by class",
    )
    plots.show(grid, alt=f"Thirty samples, model: {name}; each column asks for one class.")

# %% [markdown]
# Report what you did, in about ten sentences: the change and your prediction; what the table says about obedience *and* about diversity, with numbers; what the pictures show; why, in the terms of the lesson (what $z$ costs, what it tells about the class, which route the decoder takes); and what the comparison leaves open. A wrong prediction with a good explanation earns full points.

# %% [markdown] nbgrader={"grade": true, "grade_id": "open-experiment", "locked": false, "points": 5, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in place of this line.*
#
# === BEGIN MARK SCHEME ===
# One point each:
#
# 1. A prediction, made before the run, that could have turned out wrong: a direction for the share read as asked or for the variance, or a statement about the pictures. It need not have come true.
# 2. A measurement beside the baseline's, with one thing changed, that reports accuracy *and* diversity with numbers from the table. Whoever reports one of the two alone, or takes losses of different conditions for bounds on the same density, does not earn this point.
# 3. A picture described: what differs between the two grids (blur, mixtures of two digits, rows that look alike, columns that disobey), named so that a reader could find it.
# 4. An explanation by the two routes and their price. For example: a small β makes z cheap, so it may tell the class as well, and a z from the prior then contradicts c; a large β makes z dear, so the samples obey and come close to mean digits; with 2 latents there is little room for style and none for the class; wrong labels make c unreliable, so that z has to tell the digit and the decoder stops trusting c; a direction is given, so z describes the rest, the digit included.
# 5. A limitation: one run with one seed, a short training, a judge that learned from the same images or that is unsure on blurred ones, a variance that noise would raise, too, or that counts digits of all kinds where the condition is a direction. A repeat with another seed, or a measurement that would settle the question, earns this point as well.
# === END MARK SCHEME ===

# %% [markdown]
# ## What is solved
#
# The last verdict of each check in this session.

# %%
progress("09")

# %% [markdown]
# **Back:** [lesson 09](../notebooks/09_conditional_vae.ipynb) · **Next:** [lesson 15](../notebooks/15_celeba_gpu.ipynb)
