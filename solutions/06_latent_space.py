# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 06 · Inside the latent space
#
# Seven tasks on [lesson 06](../notebooks/06_latent_space.ipynb): six functions that a check looks at, and a small experiment of your own. You move one latent, draw the plane on one canvas, walk from picture to picture, make the arc safe, repair a ruler, find the plane of largest variance, and measure what a latent does.

# %% [markdown] tags=["badges"]
# <!-- badges -->

# %% [markdown]
# *Time:* about 60 minutes; the computer works for about one of them. *Assumed:* lesson 06; PyTorch's tensors. *Points:* 21.
#
# Write each function in its cell, run the cell, then run the check below it: it says whether the answer is right, or which mistake it found. A check looks only at what your function returns and does; prints inside it are not shown while it is checked. No task needs an earlier one, so leave one out if you are stuck. Hints open with a click; worked answers stand in [solutions/06_latent_space.ipynb](../solutions/06_latent_space.ipynb).

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
from vae_course.checks import latent_space as check, progress

# %% [markdown]
# ## 1 · One latent moves
#
# *4 minutes · 2 points · warm-up; traversals show what a latent does, also in later lessons.*
#
# Make the latents of a traversal: copies of `z`, in which latent `j` takes `steps` values, evenly from −`span` to `span`, both included. The other latents stay as they are, and so does `z` itself.
#
# <details><summary>Hint 1</summary>First make a matrix with the same latent in every row, then change one of its columns.</details>
# <details><summary>Hint 2</summary><code>repeat</code> and <code>clone</code> copy, <code>expand</code> does not: its rows share their memory. torch.linspace includes both ends.</details>


# %% nbgrader={"grade": false, "grade_id": "traversal", "locked": false, "schema_version": 3, "solution": true, "task": false}
def traversal(z, j, span, steps):
    """Latents for a traversal: latent j runs evenly from −span to span, the others stay.

    z: (D,); j: a latent, counted from 0; span: a number, in σ of the prior; steps: at least 2
    -> (steps, D), the value −span in the first row.
    """
    ### BEGIN SOLUTION
    rows = z.repeat(steps, 1)
    rows[:, j] = torch.linspace(-span, span, steps)
    return rows
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-traversal", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.traversal(traversal)
### BEGIN HIDDEN TESTS
middle = torch.tensor([1.0, -2.0, 0.5, 7.0])
in_a_row = traversal(middle, 3, 2.0, 9)
assert in_a_row.shape == (9, 4), "nine rows of four latents"
assert torch.equal(in_a_row[:, :3].float(), middle[:3].expand(9, 3)), "three latents stay"
ninths = torch.tensor([-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0])
assert torch.allclose(in_a_row[:, 3].float(), ninths, atol=1e-6), "half a σ from row to row"
assert torch.equal(middle, torch.tensor([1.0, -2.0, 0.5, 7.0])), "z is as it was"
only_ends = traversal(middle, 0, 5.0, 2)
assert only_ends[:, 0].tolist() == [-5.0, 5.0], "two steps are the two ends"
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · The plane on one canvas
#
# *8 minutes · 3 points · a whole latent space in one picture; the grid of pictures comes back with every model of two latents.*
#
# The lesson decoded a grid of codes and left it to a plotting function to arrange the pictures. Do both: decode `n` × `n` places of a two-dimensional latent and paste the pictures into one canvas without gaps. z[0] grows to the right, z[1] grows *upwards*, both evenly from −`span` to `span`, ends included. `decode` takes a batch of latents and returns logits; the canvas shows pixels. Pictures need not be square.
#
# <details><summary>Hint 1</summary>The picture in the top left corner belongs to (−span, span). Write down the codes of the top row, then of the first column, for n = 3.</details>
# <details><summary>Hint 2</summary>From a tensor with the dimensions (grid row, grid column, H, W), a reshape alone would cut the pictures to pieces: the canvas wants the order grid row, H, grid column, W. Or glue: pictures into bands, bands into the canvas, with torch.cat.</details>


# %% nbgrader={"grade": false, "grade_id": "draw_latent_space", "locked": false, "schema_version": 3, "solution": true, "task": false}
def draw_latent_space(decode, n, span):
    """One canvas of the decoded plane: z[0] grows to the right, z[1] upwards, from −span to span.

    decode: latents (B, 2) -> logits (B, 1, H, W); n: pictures along a side, at least 2;
    span: a number -> (n·H, n·W), pixels in [0, 1].
    """
    ### BEGIN SOLUTION
    values = torch.linspace(-span, span, n)
    codes = torch.cartesian_prod(values.flip(0), values).flip(1)  # z[0] changes fastest
    pixels = torch.sigmoid(decode(codes))  # (n², 1, H, W)
    height, width = pixels.shape[-2:]
    blocks = pixels.reshape(n, n, height, width)  # grid row, grid column, H, W
    return blocks.permute(0, 2, 1, 3).reshape(n * height, n * width)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-draw_latent_space", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.draw_latent_space(draw_latent_space)
### BEGIN HIDDEN TESTS
corners = torch.tensor([[0.0, 10.0, 20.0], [30.0, 40.0, 50.0]])


def compass(codes):  # 2×3 pixels that show z[0], z[1] and z[0], and where in the picture they lie
    columns = torch.stack([codes[:, 0], codes[:, 1], codes[:, 0]], dim=1)
    return (columns[:, None, None, :] + corners) / 20


chart = draw_latent_space(compass, 3, 4.0)
assert chart.shape == (6, 9), "nine pictures of 2×3 pixels"
read = 20 * torch.logit(chart.double())
assert torch.allclose(read[0, ::3].float(), torch.tensor([-4.0, 0.0, 4.0]), atol=1e-3), (
    "to the right"
)
assert torch.allclose(read[::2, 1].float() - 10, torch.tensor([4.0, 0.0, -4.0]), atol=1e-3), (
    "upwards"
)
upper_left = torch.tensor([[-4.0, 14.0, 16.0], [26.0, 44.0, 46.0]])
assert torch.allclose(read[:2, :3].float(), upper_left, atol=1e-3), "the picture at (−4, 4)"
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · From picture to picture
#
# *7 minutes · 3 points · the usual first look at any generative model.*
#
# Walk from one image to another: encode both, go in a straight line from the mean of the one to the mean of the other, and decode `steps` points of that line. Both ends are included, and as reconstructions, not as the originals. `encode` takes a batch of images and returns `mu` and `logvar`; `decode` takes a batch of latents and returns logits.
#
# <details><summary>Hint 1</summary>One image has the shape (C, H, W); a batch of one has a dimension more. A single call of <code>encode</code> can take both images.</details>
# <details><summary>Hint 2</summary>With t of shape (steps, 1) and means of shape (D,), (1 − t) · a + t · b has the shape (steps, D): a batch for the decoder. Its answer still has to become pixels.</details>


# %% nbgrader={"grade": false, "grade_id": "interpolate", "locked": false, "schema_version": 3, "solution": true, "task": false}
def interpolate(encode, decode, x0, x1, steps):
    """Pictures along the straight line between the mean codes of two images.

    encode: images (B, C, H, W) -> mu, logvar: (B, D) each; decode: latents (B, D) -> logits
    (B, C, H, W); x0, x1: (C, H, W); steps: at least 2, both ends included
    -> (steps, C, H, W), pixels in [0, 1].
    """
    ### BEGIN SOLUTION
    start, end = encode(torch.stack([x0, x1]))[0]  # the two means, (D,) each
    way = torch.linspace(0, 1, steps)[:, None]  # (steps, 1)
    return decode((1 - way) * start + way * end).sigmoid()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-interpolate", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.interpolate(interpolate)
### BEGIN HIDDEN TESTS
dark, bright = torch.full((1, 1, 2), 0.2), torch.tensor([[[0.4, 1.0]]])


def two_means(images):  # the code: an image's mean square and its largest pixel
    means = torch.stack([(images**2).mean(dim=(1, 2, 3)), images.amax(dim=(1, 2, 3))], dim=1)
    return means, torch.full_like(means, 3.0)


def product(codes):  # logits of 1×2 pixels: not linear in the code
    return torch.stack([codes[:, 0] * codes[:, 1], codes[:, 1] ** 2], dim=1)[:, None, None, :]


on_the_way = interpolate(two_means, product, dark, bright, 3)
assert on_the_way.shape == (3, 1, 1, 2), "three pictures"
by_pencil = torch.tensor([[0.008, 0.04], [0.186, 0.36], [0.58, 1.0]])
as_logits = torch.logit(on_the_way.float())[:, 0, 0]
assert torch.allclose(as_logits, by_pencil, atol=1e-3), "ends and middle, computed by hand"
there_and_back = interpolate(two_means, product, bright, dark, 3).flip(0)
assert torch.allclose(there_and_back, on_the_way, atol=1e-5), "the way back is the same way"
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · The arc, for all ends
#
# *8 minutes · 3 points · for walks between draws from the prior, in many dimensions.*
#
# The lesson's `slerp` turns the direction at an even rate and lets the norm go evenly from one end's to the other's:
#
# $$\text{slerp}(z_0, z_1, t) = \big((1 - t)\lVert z_0\rVert + t\,\lVert z_1\rVert\big)\;\frac{\sin((1 - t)\,\Omega)\,u_0 + \sin(t\,\Omega)\,u_1}{\sin\Omega}, \qquad u_i = \frac{z_i}{\lVert z_i\rVert},\quad \cos\Omega = u_0 \cdot u_1.$$
#
# Written down like that, it returns NaN where both ends have one direction. Write one that joins such ends, and ends of nearly one direction (Ω below about 0.001), by the straight line, which is the limit of the arc there. Neither end is zero, and opposite ends will not occur.
#
# <details><summary>Hint 1</summary>Two things can go wrong with ends of one direction: sin Ω is 0, and rounding can make u₀ · u₁ larger than 1, of which torch.acos is NaN.</details>
# <details><summary>Hint 2</summary>Clamp the cosine to [−1, 1], and ask whether the angle (or its sine) is tiny, 0.001 for instance, before you divide. There the straight line and the arc differ by less than a thousandth of the longer end's norm.</details>


# %% nbgrader={"grade": false, "grade_id": "slerp", "locked": false, "schema_version": 3, "solution": true, "task": false}
def slerp(z0, z1, t):
    """The arc from z0 to z1: direction and norm change at even rates; a straight line if Ω is tiny.

    z0, z1: (D,), of any norm but 0; t: (T,), in [0, 1] -> (T, D).
    """
    ### BEGIN SOLUTION
    length0, length1 = z0.norm(), z1.norm()
    omega = torch.acos((z0 @ z1 / (length0 * length1)).clamp(-1, 1))
    t = t[:, None]  # (T, 1)
    if omega.sin() < 1e-3:
        return (1 - t) * z0 + t * z1
    turned = torch.sin((1 - t) * omega) * z0 / length0 + torch.sin(t * omega) * z1 / length1
    return ((1 - t) * length0 + t * length1) * turned / omega.sin()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-slerp", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.slerp(slerp)
### BEGIN HIDDEN TESTS
quarter = slerp(
    torch.tensor([2.0, 0.0]), torch.tensor([0.0, 6.0]), torch.tensor([0.0, 1 / 3, 2 / 3, 1.0])
)
root = math.sqrt(3) / 2
thirds = torch.tensor([[2.0, 0.0], [10 / 3 * root, 5 / 3], [7 / 3, 14 / 3 * root], [0.0, 6.0]])
assert torch.allclose(quarter.float(), thirds, atol=1e-4), (
    "a quarter of a turn in steps of 30 degrees"
)
far = torch.linspace(-1, 1, 100)
elsewhere = 5 * torch.linspace(0, 3, 100).cos()
long_arc = slerp(far, elsewhere, torch.linspace(0, 1, 6))
even_norms = torch.linspace(far.norm().item(), elsewhere.norm().item(), 6)
assert torch.allclose(long_arc.norm(dim=1).float(), even_norms, rtol=1e-3), (
    "norms, in 100 dimensions"
)
neighbours = torch.nn.functional.cosine_similarity(long_arc[1:], long_arc[:-1])
assert neighbours.max() - neighbours.min() < 1e-3, "equal turns from step to step"
doubled = slerp(far, 3 * far, torch.tensor([0.0, 0.5, 1.0]))
assert torch.allclose(doubled[1].float(), 2 * far, atol=1e-3), "one direction: straight"
many = torch.randn(100, 6, generator=torch.Generator().manual_seed(0))  # some cosines round to > 1
straight = [slerp(z, 2.5 * z, torch.tensor([0.5]))[0].float() for z in many]
assert torch.allclose(torch.stack(straight), 1.75 * many, atol=1e-3), "one direction: a number"
### END HIDDEN TESTS

# %% [markdown]
# ## 5 · Spot the bug: decibels for nothing
#
# *6 minutes · 2 points · numbers that compare with nothing are common in published tables.*
#
# A table reports the PSNR of reconstructions by the function below. The pixels lie in [0, 1]. It has **two** faults. The cell gives it two pairs of pictures, one off by 0.1 everywhere, the other by 0.01, and prints what it says beside the decibels by hand. Run it, find both faults, then write the repaired function.


# %%
def faulty_psnr(x, y):
    error = ((x - y) ** 2).mean()
    return 10 * torch.log10(2**2 / error)


x = torch.full((2, 1, 3, 4), 0.5)
off_by = torch.tensor([0.1, 0.01])
y = x + off_by[:, None, None, None]
by_hand = 20 * torch.log10(1 / off_by)
print(f"by hand, one number a picture: {by_hand[0]:.2f} and {by_hand[1]:.2f} dB")
print(f"faulty, both together:         {faulty_psnr(x, y):.2f} dB")
print(
    f"faulty, one after the other:   {faulty_psnr(x[:1], y[:1]):.2f} and {faulty_psnr(x[1:], y[1:]):.2f} dB"
)

# %% [markdown]
# <details><summary>Hint 1</summary>The last line is too high by the same amount for both pictures: what does 2² stand for, and for which pixels would it be right? The line above it shows the other fault.</details>
# <details><summary>Hint 2</summary>PSNR = 10 · log₁₀(range² / MSE), where the range is the distance from black to white. Each picture has its own MSE; only the caller averages.</details>


# %% nbgrader={"grade": false, "grade_id": "psnr", "locked": false, "schema_version": 3, "solution": true, "task": false}
def psnr(x, y):
    """Peak signal-to-noise ratio of each pair of images, for pixels in [0, 1].

    x, y: (B, C, H, W) -> (B,), in decibels.
    """
    ### BEGIN SOLUTION
    error = ((x - y) ** 2).mean(dim=(1, 2, 3))  # one for each image
    return 10 * torch.log10(1 / error)  # black and white are 1 apart
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-psnr", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.psnr(psnr)
### BEGIN HIDDEN TESTS
flat = torch.full((3, 2, 5, 4), 0.25)
offsets = torch.tensor([0.5, 0.1, 0.001]).view(3, 1, 1, 1)
apart = psnr(flat, flat + offsets)
assert apart.shape == (3,), "one number for each image"
assert torch.allclose(apart.float(), torch.tensor([6.0206, 20.0, 60.0]), atol=1e-2), "known offsets"
half_off = flat.clone()
half_off[..., :2] += 0.2  # two columns of four
half_wrong = psnr(flat, half_off).float()
assert torch.allclose(half_wrong, torch.full((3,), 16.9897), atol=1e-2), (
    "errors in half of the pixels"
)
torch.manual_seed(6)
left, right = torch.rand(2, 4, 1, 6, 3)
closer = left + (right - left) / 10
gain = psnr(left, closer) - psnr(left, right)
assert torch.allclose(gain.float(), torch.full((4,), 20.0), atol=1e-2), (
    "a tenth of the error: 20 dB more"
)
alone = torch.cat([psnr(left[i : i + 1], right[i : i + 1]) for i in range(4)])
assert torch.allclose(alone, psnr(left, right), atol=1e-3), (
    "an image's number does not depend on the others"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 6 · The plane of largest variance
#
# *7 minutes · 3 points · the usual way to look at more than two latents, or at any features.*
#
# Sixteen latents have no plane to draw, so one has to be chosen. Return each code's coordinates in the principal plane: measured from the mean code, along the direction of the largest variance first, then along the second. They are distances in the units of the codes, so nothing is rescaled. A direction may point either way: signs are free. Use a singular value decomposition, or the eigenvectors of the covariance.
#
# <details><summary>Hint 1</summary>The coordinate along a direction of length one is a dot product with it. Which mean has to go before the directions are computed, and before the dot product?</details>
# <details><summary>Hint 2</summary>torch.linalg.svd returns the directions in the <em>rows</em> of its third result, largest first. torch.linalg.eigh returns them in <em>columns</em>, smallest first.</details>


# %% nbgrader={"grade": false, "grade_id": "pca_plane", "locked": false, "schema_version": 3, "solution": true, "task": false}
def pca_plane(codes):
    """Coordinates of codes in the plane in which they spread most, from their mean.

    codes: (N, D), D at least 2 -> (N, 2), the direction of the largest variance first; signs are free.
    """
    ### BEGIN SOLUTION
    deviations = codes - codes.mean(dim=0)
    _, directions = torch.linalg.eigh(deviations.T @ deviations)  # in columns, variance ascending
    return deviations @ directions[:, [-1, -2]]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-pca_plane", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.pca_plane(pca_plane)
### BEGIN HIDDEN TESTS
torch.manual_seed(6)
long_side, short_side = torch.linspace(-3, 3, 20), torch.linspace(-1, 1, 20) ** 2
flat_cloud = torch.stack([long_side, short_side - short_side.mean(), torch.zeros(20)], dim=1)
turn = torch.linalg.qr(torch.randn(3, 3))[0]
in_plane = torch.as_tensor(pca_plane(flat_cloud @ turn + torch.tensor([10.0, -5.0, 3.0]))).float()
assert in_plane.shape == (20, 2), "two coordinates for each code"
assert torch.allclose(in_plane.abs(), flat_cloud[:, :2].abs(), atol=1e-3), (
    "found again after a turn"
)
assert torch.allclose(in_plane.mean(dim=0), torch.zeros(2), atol=1e-4), "measured from the mean"
some_codes = torch.randn(50, 8) * torch.tensor([5.0, 2.0, *6 * [0.1]])
points = torch.as_tensor(pca_plane(some_codes)).float()
largest = torch.linalg.eigvalsh(torch.cov(some_codes.T)).flip(0)[:2]
assert torch.allclose(torch.cov(points.T), torch.diag(largest), atol=1e-2), (
    "variances, uncorrelated"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 7 · What does this latent do?
#
# *20 minutes · 5 points, marked by hand · names for latents are easily found by looking; here you measure one.*
#
# Choose one latent of a trained model and find out what it does to digits. A latent that leans them is interesting only if it leans them more than other directions would, and leaves the rest alone. So the baseline is a *random direction* of the latent space, along which the codes move as far. Three suggestions:
#
# - **another latent**: the one that you think leans the digits, or widens them, or one that carries few nats. Choose by the pictures, then measure.
# - **another seed**: train with seed 1. Does some latent do the same, and has it the same number?
# - **another size**: 4 latents. Does each do more things at once?
#
# **Predict** before you run: which of the three rulers will your latent move, and by how many standard deviations compared with a random direction? Write the prediction into the answer cell at the end first. The cells here run as they stand, with an example.

# %%
from vae_course import data, latent, losses, plots, runtime, strokes, training
from vae_course.models.mlp import MLPVAE

digits = data.load_digits()
train_x = digits.train_x[: runtime.steps(60_000, 3_000)]
test_x, test_y = (t[: runtime.steps(1_000, 300)] for t in (digits.test_x, digits.test_y))

# %% [markdown]
# You may change the number of latents and the seed here.

# %%
runtime.seed(0)
model = MLPVAE(z_dim=16, hidden=(400,))
training.fit(model, train_x, epochs=runtime.steps(6, 4), lr=2e-3)
model.requires_grad_(False)

mu, logvar = latent.posteriors(model, test_x)
kl = losses.kl_per_latent(mu, logvar).mean(dim=0)  # (D,)
order = kl.argsort(descending=True).tolist()
print("latent: KL in nats   ", "  ".join(f"{j}: {kl[j]:.2f}" for j in order))

# %% [markdown]
# A first look: the six latents that carry most, moved from −3 to 3, from the code of one digit.

# %%
values = torch.linspace(-3, 3, 9)
codes = torch.cat([latent.traverse(mu[0], j, values) for j in order[:6]])
names = [f"z[{j}]" for j in order[:6]]
title = "One latent moves in each row, from −3 to 3"
ax = plots.image_grid(model.decode(codes).sigmoid(), columns=9, row_labels=names, title=title)
plots.show(ax, alt="Rows of nine digits; along each row one latent changes.")

# %% [markdown]
# Your turn: replace the example in the next line by the latent of your choice.

# %%
chosen = order[0]

# %% [markdown]
# The measurement. Every code keeps what it has across the direction, and takes −2 and then 2 along it. The rulers are the lesson's, and their changes are divided by the standard deviation over the test images. A latent is a direction, too: the one of its axis.


# %%
RULERS = {
    "slant": strokes.slant,
    "proportions": strokes.proportions,
    "thickness": strokes.thickness,
}
spread = {name: ruler(test_x).std() for name, ruler in RULERS.items()}


def change(direction):
    """Mean change of each ruler from −2 to 2 along a direction (D,), in standard deviations."""
    u = direction / direction.norm()
    across = mu - (mu @ u)[:, None] * u  # (N, D), the codes without this direction
    low, high = (model.decode(across + v * u).sigmoid() for v in (-2, 2))
    return {name: ((r(high) - r(low)).mean() / spread[name]).item() for name, r in RULERS.items()}


# %%
generator = runtime.seed(2)
random_changes = [change(torch.randn(len(kl), generator=generator)) for _ in range(30)]
sizes = {name: sorted(abs(each[name]) for each in random_changes) for name in RULERS}
rows = {
    f"z[{chosen}]": change(torch.eye(len(kl))[chosen]),
    "random, mean size": {name: sum(of) / len(of) for name, of in sizes.items()},
    "random, largest of 30": {name: of[-1] for name, of in sizes.items()},
}
print(f"{'direction':22}" + "".join(f"{name:>13}" for name in RULERS))
for label, row in rows.items():
    print(f"{label:22}" + "".join(f"{row[name]:13.2f}" for name in RULERS))

# %% [markdown]
# And the picture: the chosen latent, moved from the codes of four different images.

# %%
codes = torch.cat([latent.traverse(mu[i], chosen, values) for i in range(4)])
labels = [str(label) for label in test_y[:4].tolist()]
title = f"Four digits along z[{chosen}], from −3 to 3"
ax = plots.image_grid(model.decode(codes).sigmoid(), columns=9, row_labels=labels, title=title)
plots.show(
    ax, alt="Four rows of nine digits, one for each starting image; the chosen latent moves."
)

# %% [markdown]
# Report what you did, in about ten sentences: the latent, or the change, and your prediction; what the table says, with numbers, for your latent and for random directions; what a row of the picture shows, and whether all four rows show the same; why a latent comes to such a meaning, or to none, in the terms of the lesson; and what the measurement leaves open. A wrong prediction with a good explanation earns full points.

# %% [markdown] nbgrader={"grade": true, "grade_id": "open-meaning", "locked": false, "points": 5, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in place of this line.*
#
# === BEGIN MARK SCHEME ===
# One point each:
#
# 1. A prediction, made before the run, that could have turned out wrong: which ruler moves, in which direction or by how much, or what differs with another seed or size. It need not have come true.
# 2. A measurement with numbers from the table, for the chosen latent and for random directions, and a conclusion that follows from both: a latent that moves slant by 1 standard deviation is remarkable only if random directions move it by much less. All three rulers are read, not the best one alone.
# 3. A picture described: what changes along a row, and whether it is the same for the four digits, named so that a reader could find it.
# 4. An explanation in the lesson's terms. For example: nothing in the loss rewards a meaning for an axis, since the prior stays the same under rotations; but q has a diagonal covariance, which favours some axes; a latent with a small KL tells the decoder little, so nothing moves; with 4 latents each has to code several properties at once; with another seed the meanings sit on other numbers, or mix.
# 5. A limitation: one seed, a ruler that takes blur for thickness, an average over all classes that may hide opposite effects, ends at −2 and 2 where few codes of a latent with small variance lie, properties without a ruler (shape, loops, class), or the best of sixteen latents compared with the average of random directions. A repeat with another seed, or a further measurement that would settle the question, earns this point as well.
# === END MARK SCHEME ===

# %% [markdown]
# ## What is solved
#
# The last verdict of each check in this session.

# %%
progress("06")

# %% [markdown]
# **Back:** [lesson 06](../notebooks/06_latent_space.ipynb) · **Next:** [lesson 07](../notebooks/07_beta_vae.ipynb)
