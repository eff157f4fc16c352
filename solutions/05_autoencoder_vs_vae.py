# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 05 · Autoencoder against VAE
#
# Seven tasks on [lesson 05](../notebooks/05_autoencoder_vs_vae.ipynb): six functions that a check looks at, and a small experiment of your own. You build rulers for samples and for ways between them, ask an autoencoder for the digit of your choice, expose a loss that only looks like a VAE's, and measure what makes an autoencoder's samples better or worse.

# %% [markdown] tags=["badges"]
# <!-- badges -->

# %% [markdown]
# *Time:* about 60 minutes; the computer works for about one of them. *Assumed:* lesson 05; PyTorch's tensors. *Points:* 22.
#
# Write each function in its cell, run the cell, then run the check below it: it says whether the answer is right, or which mistake it found. A check looks only at what your function returns and does; prints inside it are not shown while it is checked. No task needs an earlier one, so leave one out if you are stuck. Hints open with a click; worked answers stand in [solutions/05_autoencoder_vs_vae.ipynb](../solutions/05_autoencoder_vs_vae.ipynb).

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
from vae_course.checks import autoencoder_vs_vae as check, progress

# %% [markdown]
# ## 1 · What a judge's predictions tell
#
# *5 minutes · 2 points · warm-up; papers report it as the Inception score, no later lesson needs it.*
#
# The lesson printed two entropies side by side: that of the judge's mean prediction, which should be high, and the mean entropy of its predictions, which should be low. Their difference is one number for both: how many nats a prediction tells about the class of a picture,
#
# $$H\Big[\frac1N\sum_n p(c \mid x_n)\Big] - \frac1N\sum_n H\big[p(c \mid x_n)\big].$$
#
# Its exponential is known as the *Inception score* (Salimans et al., 2016). A judge that is sure often returns a probability of exactly 0, and $0 \log 0$ counts as 0.
#
# <details><summary>Hint 1</summary>Both terms are entropies of ten numbers that add up to 1; they differ in what comes first, the average or the entropy.</details>
# <details><summary>Hint 2</summary>0 · log 0 is NaN in PyTorch. Its special functions have one that knows the limit: the lesson's <code>class_entropy</code> uses it. The pictures lie along dim 0, the classes along dim 1.</details>


# %% nbgrader={"grade": false, "grade_id": "log_inception_score", "locked": false, "schema_version": 3, "solution": true, "task": false}
def log_inception_score(probabilities):
    """The entropy of the mean prediction, less the mean entropy of the predictions.

    probabilities: (N, K), one row for each picture, each adding up to 1 -> one number, in nats.
    """
    ### BEGIN SOLUTION
    mean_prediction = probabilities.mean(dim=0)  # (K,)
    of_the_mean = torch.special.entr(mean_prediction).sum()
    of_each_picture = torch.special.entr(probabilities).sum(dim=1)  # (N,)
    return (of_the_mean - of_each_picture.mean()).item()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-log_inception_score", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.log_inception_score(log_inception_score)
### BEGIN HIDDEN TESTS
sure_of_seven = torch.eye(7).repeat(3, 1)  # every class equally often, every picture clear
assert abs(float(log_inception_score(sure_of_seven)) - math.log(7)) < 1e-5, "sure, and all classes"
always_the_same = torch.tensor([[0.5, 0.0, 0.3, 0.2]]).repeat(9, 1)
assert abs(float(log_inception_score(always_the_same))) < 1e-5, "one picture, again and again"
twice_as_often = torch.eye(2)[[0, 0, 1]]
known_nats = math.log(3) - 2 / 3 * math.log(2)
assert abs(float(log_inception_score(twice_as_often)) - known_nats) < 1e-5, (
    "one of three is different"
)
torch.manual_seed(5)
guessed = torch.randn(40, 10).softmax(dim=1)
crowd = torch.distributions.Categorical(guessed.mean(dim=0).expand(40, 10))
each_guess = torch.distributions.Categorical(guessed)
mean_kl = torch.distributions.kl_divergence(each_guess, crowd).mean().item()
assert abs(float(log_inception_score(guessed)) - mean_kl) < 1e-4, "it is a mean KL to the mean"
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · A Fréchet distance without matrices
#
# *6 minutes · 3 points · what the lesson's ruler measures, in a case that fits on one line of paper; no later lesson needs it.*
#
# If the features of both crowds are uncorrelated, their covariances are diagonal, and the squared Fréchet distance needs no square root of a matrix: it falls apart into one term for each feature. Find it from the lesson's formula,
#
# $$d^2 = \lVert m_a - m_b\rVert^2 + \operatorname{tr}\!\big(S_a + S_b - 2\,(S_a S_b)^{1/2}\big), \qquad S_a = \operatorname{diag}(\sigma_{a,1}^2, \dots, \sigma_{a,F}^2),$$
#
# and $S_b$ likewise, and write it down. The function is given the *variances*.
#
# <details><summary>Hint 1</summary>The product of two diagonal matrices is diagonal, and so is its root. The trace adds up the diagonal: write its term for one feature with σ_a and σ_b.</details>
# <details><summary>Hint 2</summary>The term has the form a² + b² − 2ab. So two things are compared and squared: the means, and another pair of numbers. The distance of a crowd to itself is 0.</details>


# %% nbgrader={"grade": false, "grade_id": "frechet_diagonal", "locked": false, "schema_version": 3, "solution": true, "task": false}
def frechet_diagonal(mean_a, var_a, mean_b, var_b):
    """Squared Fréchet distance of two Gaussians with diagonal covariances.

    means and variances: (F,) each, variances > 0 -> one number, in units of the features squared.
    """
    ### BEGIN SOLUTION
    between_means = ((mean_a - mean_b) ** 2).sum()
    between_spreads = ((var_a.sqrt() - var_b.sqrt()) ** 2).sum()
    return (between_means + between_spreads).item()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-frechet_diagonal", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.frechet_diagonal(frechet_diagonal)
### BEGIN HIDDEN TESTS
centre_a, centre_b = torch.tensor([0.5, -2.0, 1.0]), torch.tensor([1.5, 1.0, 1.0])
squares_a, squares_b = torch.tensor([4.0, 0.25, 9.0]), torch.tensor([1.0, 6.25, 9.0])
by_hand = (1 + 9 + 0) + (1 + 4 + 0)
found_distance = float(frechet_diagonal(centre_a, squares_a, centre_b, squares_b))
assert abs(found_distance - by_hand) < 1e-4, "three features by hand"
assert abs(float(frechet_diagonal(centre_a, squares_a, centre_a, squares_a))) < 1e-6, "to itself"
the_other_way = float(frechet_diagonal(centre_b, squares_b, centre_a, squares_a))
assert abs(the_other_way - found_distance) < 1e-4, "the same in both directions"
ten_times_wider = frechet_diagonal(10 * centre_a, 100 * squares_a, 10 * centre_b, 100 * squares_b)
assert abs(float(ten_times_wider) - 100 * by_hand) < 1e-2, "features in other units"
# in one dimension it is the mean squared distance between equal quantiles
levels = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
wide = torch.distributions.Normal(torch.tensor(0.3).double(), torch.tensor(1.7).double())
thin = torch.distributions.Normal(torch.tensor(-0.4).double(), torch.tensor(0.6).double())
moved = (wide.icdf(levels) - thin.icdf(levels)).square().mean().item()
one_feature = [torch.tensor([value]) for value in (0.3, 1.7**2, -0.4, 0.6**2)]
assert abs(float(frechet_diagonal(*one_feature)) - moved) < 1e-3, (
    "the cost of moving one to the other"
)
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · Ask an autoencoder for a seven
#
# *9 minutes · 3 points · lesson 09 asks a conditional VAE for the same.*
#
# The lesson fitted a Gaussian and a mixture to an autoencoder's codes, without looking at labels. With labels we can do something that nothing in the training provided for: ask for a digit. Take the codes of one class only, fit the Gaussian with their mean $m$ and covariance $S$, and turn standard normal noise into draws from it:
#
# $$z = m + L\,\varepsilon, \qquad L L^\top = S.$$
#
# Any $L$ with $LL^\top = S$ is right, whether it comes from Cholesky's decomposition, from eigenvectors or from a singular value decomposition; $S$ may be divided by $N$ or by $N - 1$. The noise is given; each of its rows is one $\varepsilon$.
#
# <details><summary>Hint 1</summary>Three steps: choose the rows of <code>codes</code> whose label is <code>digit</code>; their mean and covariance; a root of the covariance. The lesson's <code>fit_gaussian</code> has the last two.</details>
# <details><summary>Hint 2</summary>The formula has ε as a column, <code>eps</code> has it as a row. For a row vector, Lε becomes a product from the other side with the transposed matrix.</details>


# %% nbgrader={"grade": false, "grade_id": "codes_of_class", "locked": false, "schema_version": 3, "solution": true, "task": false}
def codes_of_class(codes, labels, digit, eps):
    """Draws from the Gaussian fitted to the codes of one class.

    codes: (N, D); labels: (N,), whole numbers; digit: the label that is asked for;
    eps: (M, D), standard normal noise -> (M, D), one draw for each row of eps.
    """
    ### BEGIN SOLUTION
    chosen = codes[labels == digit]  # (N of this class, D)
    class_mean = chosen.mean(dim=0)
    class_factor = torch.linalg.cholesky(chosen.T.cov())  # (D, D)
    return class_mean + eps @ class_factor.T
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-codes_of_class", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.codes_of_class(codes_of_class)
### BEGIN HIDDEN TESTS
torch.manual_seed(5)
two_kinds = torch.randn(4000, 3) @ torch.tensor(
    [[2.0, 1.0, 0.5], [0.0, 1.0, -1.0], [0.0, 0.0, 0.7]]
)
kinds = torch.arange(4000) % 2 * 3 + 4  # labels 4 and 7
two_kinds[kinds == 7] = 5 - 0.5 * two_kinds[kinds == 7].flip(1)
corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3)  # mean 0, covariance I, exactly
for kind in (4, 7):
    at_corners = codes_of_class(two_kinds, kinds, kind, corners).double()
    of_kind = two_kinds[kinds == kind].double()
    assert torch.allclose(at_corners.mean(dim=0), of_kind.mean(dim=0), atol=1e-3), "the mean"
    scatter = at_corners.T.cov(correction=0)
    assert torch.allclose(scatter, of_kind.T.cov(), rtol=0.01, atol=0.01), "the covariance"
twice_eps = codes_of_class(two_kinds, kinds, 7, torch.stack([corners[0], 2 * corners[0]]))
middle = two_kinds[kinds == 7].mean(dim=0)
assert torch.allclose(twice_eps[1] - middle, 2 * (twice_eps[0] - middle), atol=1e-3), "linear in ε"
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · How much of the way is done
#
# *7 minutes · 3 points · tells where to put the pictures of an animation so that it changes at an even pace; no later lesson needs it.*
#
# A line in the latent space has equal steps of $z$, but its pictures do not change equally much. The lesson's *unevenness* said how bad that is; here is the measurement that could repair it. Let $s_k$ be the Euclidean distance between picture $k$ and the next. Return for each picture the share of the whole way that is done when the walk gets there:
#
# $$\text{done}_k = \frac{s_0 + \dots + s_{k-1}}{s_0 + \dots + s_{T-2}}, \qquad k = 0, \dots, T - 1.$$
#
# <details><summary>Hint 1</summary>T pictures have T − 1 steps between them, and there is one number for each picture. What is the number of the first one?</details>
# <details><summary>Hint 2</summary>A picture minus the next, flattened, has a norm: one number for each step. Then <code>cumsum</code>; a zero goes in front.</details>


# %% nbgrader={"grade": false, "grade_id": "way_done", "locked": false, "schema_version": 3, "solution": true, "task": false}
def way_done(path):
    """The share of the way from the first picture to the last that is done at each picture.

    path: (T, C, H, W), at least two pictures, not all equal -> (T,), from 0 to 1.
    """
    ### BEGIN SOLUTION
    step_lengths = (path[1:] - path[:-1]).flatten(1).norm(dim=1)  # (T - 1,)
    at_each_picture = torch.cat([torch.zeros(1), step_lengths.cumsum(dim=0)])  # (T,)
    return at_each_picture / step_lengths.sum()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-way_done", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.way_done(way_done)
### BEGIN HIDDEN TESTS
torch.manual_seed(5)
one_end, other_end = torch.rand(2, 1, 3, 6, 5)
when = torch.tensor([0.0, 0.1, 0.5, 0.5, 0.9, 1.0])
fade = one_end + when.view(-1, 1, 1, 1) * (other_end - one_end)
assert torch.allclose(way_done(fade).float(), when, atol=1e-5), "a cross-fade at an uneven pace"
there_and_back = torch.cat([fade, fade[:-1].flip(0)])
half_way = way_done(there_and_back).float()[: len(when)]
assert torch.allclose(half_way, when / 2, atol=1e-5), "there and back is twice the way"
wander = torch.rand(6, 2, 4, 3) * torch.linspace(0.2, 1, 6).view(-1, 1, 1, 1)
paces = [torch.dist(wander[k], wander[k + 1]).item() for k in range(5)]
after_three = way_done(wander)[3].item()
assert abs(after_three - sum(paces[:3]) / sum(paces)) < 1e-5, "step by step"
turned_round = 1 - way_done(wander.flip(0)).flip(0)
assert torch.allclose(way_done(wander), turned_round, atol=1e-5), "the same way walked backwards"
assert torch.allclose(way_done(255 * wander), way_done(wander), atol=1e-5), "pixels in other units"
assert torch.equal(way_done(wander[:2]).float(), torch.tensor([0.0, 1.0])), "a single step"
### END HIDDEN TESTS

# %% [markdown]
# ## 5 · The nearest image
#
# *7 minutes · 3 points · the ruler that finds copies; wherever samples look too good, it is asked for.*
#
# The lesson took this one ready-made: the Euclidean distance, over all values of an image, from each image to the nearest of the reference images. Write it. The two sets need not be equally large, and an image that is in the reference has distance 0.
#
# (For thousands of images of many pixels, all differences at once would not fit into memory. Here they do; a loop over images, or `torch.cdist`, is welcome as well.)
#
# <details><summary>Hint 1</summary>There are N · M pairs. Make a table of distances first, (N, M), and take the smallest of each row.</details>
# <details><summary>Hint 2</summary>Flatten each image to one row of C · H · W values. With a new axis in each of them, (N, 1, P) and (1, M, P), the difference has every pair.</details>


# %% nbgrader={"grade": false, "grade_id": "nearest_distance", "locked": false, "schema_version": 3, "solution": true, "task": false}
def nearest_distance(images, reference):
    """Euclidean distance, over all values, from each image to the nearest one in reference.

    images: (N, C, H, W); reference: (M, C, H, W) -> (N,).
    """
    ### BEGIN SOLUTION
    pairs = images.flatten(1)[:, None] - reference.flatten(1)[None]  # (N, M, C · H · W)
    table_of_distances = pairs.norm(dim=2)  # (N, M)
    return table_of_distances.min(dim=1).values
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-nearest_distance", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.nearest_distance(nearest_distance)
### BEGIN HIDDEN TESTS
torch.manual_seed(5)
gallery, visitors = torch.rand(9, 2, 4, 3), torch.rand(5, 2, 4, 3)
one_by_one = [min((v - g).norm().item() for g in gallery) for v in visitors]
found_nearest = nearest_distance(visitors, gallery).float()
assert torch.allclose(found_nearest, torch.tensor(one_by_one), atol=1e-4), "pair by pair"
large_pictures = torch.rand(40, 1, 12, 9)
handed_out_again = nearest_distance(large_pictures, large_pictures)
assert handed_out_again.shape == (40,), "as many copies"
assert handed_out_again.abs().max() < 0.01, "copies lie at distance 0"
brighter = nearest_distance(gallery[:1] + 0.25, gallery[:1]).item()
assert abs(brighter - 0.25 * math.sqrt(24)) < 1e-4, "every pixel brighter by a quarter"
larger_gallery = torch.cat([gallery, torch.rand(20, 2, 4, 3)])
nearer = nearest_distance(visitors, larger_gallery).float()
assert (nearer <= found_nearest + 1e-4).all(), "more reference images come nearer, never farther"
### END HIDDEN TESTS

# %% [markdown]
# ## 6 · Spot the bug: a KL is not yet a VAE
#
# *8 minutes · 3 points · the difference between a bound and a penalty.*
#
# An autoencoder's loss with a KL added to it: that is how a VAE is sometimes described, and this function computes just that. Its numbers look fine. But −ELBO is an upper bound on $-\log p(x)$ (lesson 01), and there is a model small enough to compute $-\log p(x)$ on a grid: a picture of 16 pixels that is white as far as $z$ reaches, like a thermometer. The cell gives the encoder a good μ, tries three values of σ, and compares. Run it, look at what changes with σ and what does not, then write the repaired function.


# %%
def faulty_terms(encode, decode, x, eps):
    mu, logvar = encode(x)
    logits = decode(mu)
    rec = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=(1, 2, 3))
    kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(dim=1)
    return rec, kl


marks = torch.linspace(-2, 2, 16).reshape(1, 1, 1, 16)


def thermometer(z):  # (B, 1) -> logits (B, 1, 1, 16): white where z is above the mark
    return 40 * (z.reshape(-1, 1, 1, 1) - marks)


# %%
x = (marks < 0.8).float()  # (1, 1, 1, 16)
for sigma in (0.1, 0.3, 1.0):
    q = torch.full((1, 1), 0.8), torch.full((1, 1), 2 * math.log(sigma))  # mu, logvar
    rec, kl = faulty_terms(lambda x, q=q: q, thermometer, x, torch.ones(1, 1))
    print(f"σ = {sigma}: rec {rec.item():.3f} + KL {kl.item():.3f} = {(rec + kl).item():.3f} nats")
z = torch.linspace(-6, 6, 12_001)[:, None]
log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).squeeze(1)
every_x = x.expand(len(z), -1, -1, -1)
rec = F.binary_cross_entropy_with_logits(thermometer(z), every_x, reduction="none").sum((1, 2, 3))
log_px = (log_prior - rec).logsumexp(dim=0) + math.log(12 / 12_000)  # the sum times dz
print(f"-log p(x) is {-log_px:.3f} nats; no upper bound can lie below it")

# %% [markdown]
# <details><summary>Hint 1</summary>The reconstruction term is the same for every σ, so the loss prefers σ = 1, with which hardly a sample would show this picture. What should depend on σ, and does not?</details>
# <details><summary>Hint 2</summary>rec is an expectation over q(z|x), estimated by one sample, and <code>eps</code> is there for it but never used. The lesson marks the two lines that make an autoencoder a VAE; this function has one of them.</details>


# %% nbgrader={"grade": false, "grade_id": "sampled_terms", "locked": false, "schema_version": 3, "solution": true, "task": false}
def sampled_terms(encode, decode, x, eps):
    """Both terms of −ELBO, by one sample of q(z|x) made from the given noise.

    encode: x -> mu, logvar (B, D), logvar is log σ²; decode: z (B, D) -> logits (B, C, H, W),
    which may be large;
    x: (B, C, H, W) in [0, 1], grey pixels too; eps: (B, D)
    -> rec (Bernoulli, summed over pixels), kl: (B,) each, in nats. Gradients reach mu and logvar.
    """
    ### BEGIN SOLUTION
    mu, logvar = encode(x)
    sample = mu + torch.exp(0.5 * logvar) * eps
    per_pixel = F.binary_cross_entropy_with_logits(decode(sample), x, reduction="none")
    per_latent = 0.5 * (mu.square() + logvar.exp() - 1 - logvar)
    return per_pixel.flatten(1).sum(dim=1), per_latent.sum(dim=1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-sampled_terms", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.sampled_terms(sampled_terms)
### BEGIN HIDDEN TESTS
log_widths = torch.tensor([-1.5, 0.6], requires_grad=True)
tall = torch.tensor([[0.2, 0.9], [0.6, 0.0], [1.0, 0.5]]).reshape(3, 1, 2, 1)


def by_pixels(images):  # each pixel is the mean of one latent
    pixels = images.flatten(-3)
    return 2 * pixels - 0.5, log_widths + pixels


def two_pixels(latents):  # each latent is one pixel's logit
    return latents.unflatten(-1, (1, 2, 1))


def pixel_cost(latents):  # −log p(x|z) of both pixels
    return (torch.log1p(torch.exp(latents)) - tall.flatten(1) * latents).sum(dim=1)


its_mu, its_logvar = by_pixels(tall)
its_sigma = its_logvar.exp().sqrt()
rec_at_mu, kl_nats = sampled_terms(by_pixels, two_pixels, tall, torch.zeros(3, 2))
assert torch.allclose(rec_at_mu.float(), pixel_cost(its_mu), atol=1e-5), "ε = 0 is z = μ"
some_noise = torch.tensor([[1.0, 1.0], [-1.0, 2.0], [0.5, -2.0]])
rec_above, kl_again = sampled_terms(by_pixels, two_pixels, tall, some_noise)
at_z = pixel_cost(its_mu + its_sigma * some_noise)
assert torch.allclose(rec_above.float(), at_z, atol=1e-5), "z = μ + σε"
assert torch.equal(kl_again, kl_nats), "the KL knows nothing of the noise"
posterior = torch.distributions.Normal(its_mu, its_sigma)
prior = torch.distributions.Normal(torch.zeros(2), torch.ones(2))
their_kl = torch.distributions.kl_divergence(posterior, prior).sum(dim=1)
assert torch.allclose(kl_nats.float(), their_kl, atol=1e-5), "the KL, compared with torch"
rec_above.sum().backward()
assert (log_widths.grad.abs() > 1e-3).all(), "the reconstruction term teaches σ"
### END HIDDEN TESTS

# %% [markdown]
# ## 7 · Your own autoencoder
#
# *18 minutes · 5 points, marked by hand · the way of working in all later lessons: predict, change one thing, measure.*
#
# Change one thing about an autoencoder that is sampled from a mixture fitted to its codes, and find out what that does to its reconstructions and to its samples. The baseline has 16 latents, 10 Gaussians in the mixture, and all training images. Three suggestions:
#
# - **the latent size**: 4 latents, or 64. Does what helps reconstructions help samples, too?
# - **the number of Gaussians** in the mixture: 1, or 40. The network stays the same.
# - **the amount of data**: 1,000 training images. How far do training and test images come apart, and how near do samples come to training images?
#
# **Predict** before you run: which numbers of the table will rise, which will fall, and what will the pictures show? Write the prediction into the answer cell at the end first. The cells here run as they stand, with an example.

# %%
from vae_course import data, generation, latent, losses, plots, runtime, training
from vae_course.models.classifier import DigitClassifier, classification_loss
from vae_course.models.mlp import MLPVAE

digits = data.load_digits()
train_x = digits.train_x[: runtime.steps(60_000, 3_000)]
train_y = digits.train_y[: len(train_x)]
test_x = digits.test_x[: runtime.steps(10_000, 1_000)]

# %% [markdown]
# A judge like the lesson's, trained for a shorter time. Its features are its own: these Fréchet distances compare with each other, not with the lesson's.

# %%
runtime.seed(0)
judge = DigitClassifier()
training.fit(
    judge,
    (train_x, train_y),
    epochs=runtime.steps(1, 2),
    lr=4e-3,
    loss=classification_loss,
)
train_features = judge.features(train_x)

# %% [markdown]
# Everything that is not the change stays the same: the hidden layer, the number of training steps, the seed, the number of samples. All models are measured with the same test images and the same judge.


# %%
def experiment(z_dim=16, components=10, images=60_000):
    """Train an autoencoder, fit a mixture to its codes, draw from it -> a row of the table, samples."""
    runtime.seed(0)
    x = train_x[:images]
    model = MLPVAE(z_dim=z_dim, hidden=(400,))
    images_seen = runtime.steps(4, 2) * len(train_x)  # the same for all, and so the steps
    epochs = images_seen // len(x)
    training.fit(model, x, epochs=epochs, lr=2e-3, loss=losses.reconstruction_loss)
    codes = latent.posteriors(model, x[:10_000])[0]  # the means: an autoencoder's codes
    mixture = generation.fit_mixture(codes, components=components)
    with torch.no_grad():
        z = mixture.sample(len(test_x), generator=runtime.seed(1))
        samples = model.decode(z).sigmoid()
    rec = {
        name: training.evaluate(model, part, loss=losses.reconstruction_loss)["rec"]
        for name, part in (("rec, training", x[:10_000]), ("rec, test", test_x))
    }
    return rec | measured(samples, x), samples


def measured(pictures, seen):
    """Two rulers for a crowd of pictures; `seen` are the images that the model was trained on."""
    return {
        "Fréchet": generation.frechet_distance(judge.features(pictures), train_features),
        "nearest": generation.nearest_neighbour_distance(pictures[:500], seen).mean().item(),
    }


baseline, baseline_samples = experiment()

# %% [markdown]
# Your turn: replace the example in the next line by your own change.

# %%
yours, your_samples = experiment(z_dim=4)

# %% [markdown]
# The first two columns are the reconstruction term at $z = \mu$, in nats per image, on training and on test images. Then the two rulers for samples: the Fréchet distance, and the distance to the nearest training image that this model has seen. The last row holds what test images get; samples that score much better than that are likely to be copies, or smooth. Nearest images are looked for among those that the model was trained on, for the last row in the whole training set: from fewer images the same samples would be farther away.

# %%
table = {"baseline": baseline, "yours": yours, "test images": measured(test_x, train_x)}
columns = list(baseline)
print(f"{'':12}" + "".join(f"{column:>15}" for column in columns))
for name, row in table.items():
    cells = [f"{row[column]:.2f}" if column in row else "–" for column in columns]
    print(f"{name:12}" + "".join(f"{cell:>15}" for cell in cells))

# %% [markdown]
# And the pictures: twenty samples of each.

# %%
grid = plots.image_grid(
    torch.cat([baseline_samples[:20], your_samples[:20]]),
    columns=10,
    row_labels=["baseline", "", "yours", ""],
    title="Samples from mixtures fitted to the codes of two autoencoders",
)
plots.show(grid, alt="Two rows of samples from the baseline, then two rows from your autoencoder.")

# %% [markdown]
# Report what you did, in about ten sentences: the change and your prediction; what the table says, with numbers; what the picture shows; why, in the terms of the lesson (where the codes lie and what the fitted density knows of it, what the decoder was trained on, overfitting); and what the comparison leaves open. A wrong prediction with a good explanation earns full points.

# %% [markdown] nbgrader={"grade": true, "grade_id": "open-experiment", "locked": false, "points": 5, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in place of this line.*
#
# === BEGIN MARK SCHEME ===
# One point each:
#
# 1. A prediction, made before the run, that could have turned out wrong: a direction for at least one number of the table, or a statement about the pictures. It need not have come true.
# 2. A measurement beside the baseline's, with numbers from the table, and one thing changed between the two. Whoever changes several things at once, or reads the training column as if it were the test column, does not earn this point.
# 3. A picture described: what differs between the baseline's samples and the others, named so that a reader could find it.
# 4. An explanation in the terms of the lesson. For example: no sample is better than what the decoder can rebuild, so with few latents samples are blurred as well, and lie near training images because smooth pictures lie near everything; with more latents the decoder can do more, but a fitted density has more directions to miss, so that better reconstructions need not bring better samples; one Gaussian covers the gaps between classes, where the decoder was never trained, and more of them follow the codes more closely; with few images the network learns them by heart, so the training column falls and the test column rises.
# 5. A limitation: one run with one seed, a short training, samples judged by a classifier's features that know only digits, a Fréchet distance that copies would win (which the last column tells), a nearest image that depends on how many images there are and that smooth pictures come nearer to, or a change that alters the number of parameters as well. A repeat with another seed, or a measurement that would settle the question, earns this point as well.
# === END MARK SCHEME ===

# %% [markdown]
# ## What is solved
#
# The last verdict of each check in this session.

# %%
progress("05")

# %% [markdown]
# **Back:** [lesson 05](../notebooks/05_autoencoder_vs_vae.ipynb) · **Next:** [lesson 06](../notebooks/06_latent_space.ipynb)
