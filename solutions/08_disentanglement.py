# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises 08 · Disentanglement
#
# Seven tasks on [lesson 08](../notebooks/08_disentanglement.ipynb): six functions that a check looks at, and a small experiment of your own. You take the three scores apart into their pieces, from a table of counts to a majority vote, repair a split of variance whose shares do not add up, and build a code that deserves less than it gets.

# %% [markdown] tags=["badges"]
# <!-- badges -->

# %% [markdown]
# *Time:* about 60 minutes; the computer works for less than one of them. *Assumed:* lesson 08; PyTorch's tensors. *Points:* 22.
#
# Write each function in its cell, run the cell, then run the check below it: it says whether the answer is right, or which mistake it found. A check looks only at what your function returns and does; prints inside it are not shown while it is checked. No task needs an earlier one, so leave one out if you are stuck. Hints open with a click; worked answers stand in [solutions/08_disentanglement.ipynb](../solutions/08_disentanglement.ipynb).

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
from vae_course.checks import disentanglement as check, progress

# %% [markdown]
# ## 1 · What a table of counts tells
#
# *5 minutes · 2 points · warm-up; lesson 09 asks with the same number what a latent knows about a class.*
#
# Somebody has counted already: cell $(j, k)$ of the table says how many images have their latent in bin $j$ and their factor on level $k$. Divided by their sum, the counts are probabilities $p(j, k)$, and the lesson's $H(z) + H(v) - H(z, v)$ can also be written as one sum over the table,
#
# $$I(z; v) = \sum_{j,k} p(j, k)\,\log\frac{p(j, k)}{p(j)\,p(k)}.$$
#
# Use either form. Cells may be empty, and so may whole bins; an empty cell contributes 0, because $p \log p \to 0$ as $p \to 0$.
#
# <details><summary>Hint 1</summary>p(j) is the sum of a row, p(k) that of a column. First decide which form you want: one with three entropies, or one with one sum.</details>
# <details><summary>Hint 2</summary>What to do about log 0? Either use only the cells that hold something, or one of the functions in <code>torch.special</code> that know the limit: <code>entr</code> is −p log p, <code>xlogy</code> is x log y.</details>


# %% nbgrader={"grade": false, "grade_id": "mutual_information", "locked": false, "schema_version": 3, "solution": true, "task": false}
def mutual_information(counts):
    """I(z; v) of two values that were counted together.

    counts: (bins, levels), whole numbers >= 0, some of them larger -> one number, in nats.
    """
    ### BEGIN SOLUTION
    p_both = counts.double() / counts.sum()
    p_if_unrelated = p_both.sum(dim=1, keepdim=True) * p_both.sum(dim=0)
    held = p_both > 0
    return (p_both[held] * torch.log(p_both[held] / p_if_unrelated[held])).sum().item()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-mutual_information", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.mutual_information(mutual_information)
### BEGIN HIDDEN TESTS
known_exactly = torch.diag(torch.tensor([3, 3, 3, 3]))
assert abs(float(mutual_information(known_exactly)) - math.log(4)) < 1e-5, "the bin is the level"
rows_alike = torch.tensor([[1], [5], [2]]) * torch.tensor([[4, 7, 1, 3]])
assert abs(float(mutual_information(rows_alike))) < 1e-5, "bins that tell nothing"
two_levels_a_bin = torch.tensor([[5, 5, 0, 0], [0, 0, 5, 5], [0, 0, 0, 0]])
assert abs(float(mutual_information(two_levels_a_bin)) - math.log(2)) < 1e-5, "half of the levels"
torch.manual_seed(8)
some_table = torch.randint(0, 20, (6, 4))
turned_table = mutual_information(some_table.T)
assert abs(float(mutual_information(some_table)) - float(turned_table)) < 1e-5, "symmetric"
ten_times_as_many = mutual_information(10 * some_table)
assert abs(float(ten_times_as_many) - float(turned_table)) < 1e-5, "the same shares of more images"
### END HIDDEN TESTS

# %% [markdown]
# ## 2 · Bins of equal width
#
# *7 minutes · 3 points · every score that counts begins with it, and its mistakes are silent.*
#
# To be counted, a latent's values have to become whole numbers. Cut the range from the smallest to the largest code into `bins` intervals of equal width, numbered from 0, and say for each code which one it lies in. Both ends belong to a bin: the smallest code to bin 0, the largest to bin `bins` − 1. A code exactly on an edge between two bins may go to either. And a latent that never varies has a range of width 0: put all its codes into bin 0.
#
# <details><summary>Hint 1</summary>Shift and scale the codes so that the smallest is at 0 and the largest at <code>bins</code>; then the whole part is almost the answer. For which codes is it not?</details>
# <details><summary>Hint 2</summary>The largest code lands exactly on <code>bins</code>, one too many: <code>clamp</code>. A division 0/0 is NaN, and NaN as a whole number is anything, so look at the width before you divide. Or let <code>torch.bucketize</code> do it, with the inner edges only.</details>


# %% nbgrader={"grade": false, "grade_id": "binned", "locked": false, "schema_version": 3, "solution": true, "task": false}
def binned(codes, bins):
    """The bin of each code, in bins of equal width from the smallest code to the largest.

    codes: (N,), float; bins: how many -> (N,), integers, not floats, from 0 to bins - 1.
    """
    ### BEGIN SOLUTION
    width = codes.max() - codes.min()
    if width == 0:
        return torch.zeros(len(codes), dtype=torch.long)
    reached = bins * (codes - codes.min()) / width  # from 0 to bins
    return reached.long().clamp(max=bins - 1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-binned", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.binned(binned)
### BEGIN HIDDEN TESTS
along_a_line = torch.tensor([-4.0, 6.0, -3.1, 5.9, 0.5, 1.5, -1.4, 3.9])
assert [int(b) for b in binned(along_a_line, 10)] == [0, 9, 0, 9, 4, 5, 2, 7], "ten bins of width 1"
assert [int(b) for b in binned(along_a_line, 1)] == [0] * 8, "one bin for all"
mostly_low = torch.cat([torch.linspace(0.01, 0.09, 50), torch.tensor([0.0, 1.0])])
assert sum(int(b) == 0 for b in binned(mostly_low, 5)) == 51, "a crowd in the first bin"
moved_and_stretched = binned(300 * along_a_line.double() - 7000, 10)
assert [int(b) for b in moved_and_stretched] == [0, 9, 0, 9, 4, 5, 2, 7], "in other units"
assert [int(b) for b in binned(torch.zeros(4), 3)] == [0] * 4, "a latent that is always 0"
### END HIDDEN TESTS

# %% [markdown]
# ## 3 · The gap
#
# *7 minutes · 3 points · the score of the lesson's first half, from numbers that you can compute now.*
#
# Given is the whole table $I(z_j; v_k)$, latents along the rows and factors along the columns, and the entropies $H(v_k)$. Compute the mutual information gap from it. Two latents may know equally much about a factor; then none is ahead, and that factor's gap is 0.
#
# <details><summary>Hint 1</summary>One factor is one column. In which dimension do its best and its second best latent lie? Try a table with more latents than factors, so that an exchange shows.</details>
# <details><summary>Hint 2</summary><code>sort</code> and <code>topk</code> take the dimension as an argument, and keep ties. The gaps are one number for each factor, and so are the entropies; divide before you average.</details>


# %% nbgrader={"grade": false, "grade_id": "mig", "locked": false, "schema_version": 3, "solution": true, "task": false}
def mig(information, entropies):
    """Mutual information gap: the lead of the best latent over the second best, averaged over factors.

    information: (D, K), in nats, D latents and K factors; entropies: (K,), in nats
    -> one number, from 0 to 1.
    """
    ### BEGIN SOLUTION
    first_and_second = information.topk(2, dim=0).values  # (2, K)
    lead = first_and_second[0] - first_and_second[1]
    return (lead / entropies).mean().item()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-mig", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.mig(mig)
### BEGIN HIDDEN TESTS
both_entropies = torch.tensor([math.log(2), math.log(50)])
each_knows_one = torch.tensor([[0.0, math.log(50)], [0.0, 0.0], [math.log(2), 0.0]])
assert abs(float(mig(each_knows_one, both_entropies)) - 1) < 1e-5, "a perfect code"
each_told_twice = each_knows_one.repeat(2, 1)
assert abs(float(mig(each_told_twice, both_entropies))) < 1e-5, "every factor told twice"
one_latent_knows_all = torch.zeros(4, 2)
one_latent_knows_all[1] = both_entropies
assert abs(float(mig(one_latent_knows_all, both_entropies)) - 1) < 1e-5, "one latent for both"
half_of_one = torch.tensor([[0.5 * math.log(2), 0.1], [0.0, 0.1], [0.0, 0.1]])
assert abs(float(mig(half_of_one, both_entropies)) - 0.25) < 1e-5, "half of one factor"
rows_exchanged = mig(half_of_one[[2, 0, 1]], both_entropies)
assert abs(float(rows_exchanged) - 0.25) < 1e-5, "the latents in another order"
### END HIDDEN TESTS

# %% [markdown]
# ## 4 · DCI, with latents that nobody needs
#
# *8 minutes · 3 points · a trained VAE may have such latents, and for them the lesson's function returns NaN.*
#
# Latent $j$ has importance $R_{jk} \ge 0$ for predicting factor $k$. Its shares $p_{jk} = R_{jk} / \sum_k R_{jk}$ have an entropy, and disentanglement is
#
# $$D = \sum_j \rho_j \Big(1 - H_K(p_{j1}, \dots, p_{jK})\Big), \qquad \rho_j = \frac{\sum_k R_{jk}}{\sum_{jk} R_{jk}},$$
#
# where $H_K$ is the entropy to the base $K$, the number of factors, so that it lies between 0 and 1. The lesson's `concentration` does this too, until a latent has no importance at all: then its shares are 0/0, and one NaN spoils the sum. Such a latent has the weight $\rho_j = 0$ and must not count. Single zeros in the table are common as well.
#
# <details><summary>Hint 1</summary>An entropy to the base K is the one in nats, divided by log K. As to the latents without importance: what happens to the sum if their rows are taken out at the very beginning?</details>
# <details><summary>Hint 2</summary>Rows: sums along dim 1, with <code>keepdim=True</code> for the division. A mask such as <code>total &gt; 0</code> chooses rows. <code>torch.special.entr</code> gives 0 for a share of 0.</details>


# %% nbgrader={"grade": false, "grade_id": "dci_disentanglement", "locked": false, "schema_version": 3, "solution": true, "task": false}
def dci_disentanglement(importance):
    """Whether each latent serves one factor, averaged over latents by how much they matter.

    importance: (D, K), D latents and K >= 2 factors, none negative, not all zero
    -> one number, from 0 to 1.
    """
    ### BEGIN SOLUTION
    needed = importance[importance.sum(dim=1) > 0]  # (latents that matter, K)
    share = needed / needed.sum(dim=1, keepdim=True)
    spread_over_factors = torch.special.entr(share).sum(dim=1) / math.log(importance.shape[1])
    rho = needed.sum(dim=1) / needed.sum()
    return (rho * (1 - spread_over_factors)).sum().item()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-dci_disentanglement", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.dci_disentanglement(dci_disentanglement)
### BEGIN HIDDEN TESTS
one_factor_each = torch.tensor([[0.0, 3.0, 0.0], [0.2, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
assert abs(float(dci_disentanglement(one_factor_each)) - 1) < 1e-5, "each latent serves one factor"
assert abs(float(dci_disentanglement(torch.ones(5, 3)))) < 1e-5, "each latent serves all alike"
pure_and_mixed = torch.tensor([[3.0, 0.0], [0.5, 0.5]])
assert abs(float(dci_disentanglement(pure_and_mixed)) - 0.75) < 1e-5, (
    "the mixed one weighs a quarter"
)
two_of_four = torch.tensor([[1.0, 1.0, 0.0, 0.0]]).repeat(3, 1)
assert abs(float(dci_disentanglement(two_of_four)) - 0.5) < 1e-5, "two factors of four"
with_ten_more = torch.cat([torch.zeros(10, 2), 7 * pure_and_mixed])
assert abs(float(dci_disentanglement(with_ten_more)) - 0.75) < 1e-5, "ten latents nobody needs"
### END HIDDEN TESTS

# %% [markdown]
# ## 5 · The vote
#
# *10 minutes · 4 points · the FactorVAE score without its drawing of groups.*
#
# The groups have been drawn: in group $g$ one factor, `factor[g]`, was held fixed, and `groups[g]` holds the codes of its images. `scale` holds the *standard deviation* of each latent over all images. Two steps are left.
#
# - **The votes.** Each group votes for the latent whose variance in the group, divided by its variance over all images, is the smallest. A latent with scale 0 never varies, so standing still says nothing: it gets no vote, and the others keep their numbers.
# - **The score.** Each latent stands for the factor that it got most votes from. The score is the share of votes whose factor is the one that their latent stands for. (The lesson's score counts *further* votes. Here we learn and count on the same ones, which is a little generous.)
#
# Suppose latent 4 got five votes, from groups with the factors 1, 1, 0, 1, 2. It stands for factor 1, and three of its five votes are right.
#
# <details><summary>Hint 1</summary>Which dimension of <code>groups</code> runs over the images of a group? What should the ratio of a dead latent be, so that it is never the smallest?</details>
# <details><summary>Hint 2</summary>Fill a table with one row for each latent and one column for each factor, in which you count the votes. In each row, the majority is right and the rest is wrong; so the number of right votes can be read off the table.</details>


# %% nbgrader={"grade": false, "grade_id": "factor_vote", "locked": false, "schema_version": 3, "solution": true, "task": false}
def factor_vote(groups, factor, scale):
    """Which latent stands still in each group, and how well that tells the factor which was held fixed.

    groups: (G, L, D), the codes of L images in each of G groups; factor: (G,), whole numbers from 0;
    scale: (D,), standard deviations over all images, some perhaps 0
    -> votes: (G,), numbers of latents; score: one number, from 0 to 1.
    """
    ### BEGIN SOLUTION
    stillness = groups.var(dim=1) / scale**2  # (G, D)
    stillness[:, scale == 0] = math.inf
    votes = stillness.argmin(dim=1)
    ballots = torch.zeros(len(scale), int(factor.max()) + 1)
    for latent_voted_for, fixed in zip(votes, factor, strict=True):
        ballots[latent_voted_for, fixed] += 1
    return votes, ballots.max(dim=1).values.sum().item() / len(votes)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-factor_vote", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check.factor_vote(factor_vote)
### BEGIN HIDDEN TESTS
up_and_down = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])[:, None]  # six images
sizes_in_groups = torch.tensor(  # a group a row, a latent a column
    [[9.0, 0.0, 0.2, 0.5], [2.0, 0.0, 0.9, 0.4], [9.5, 0.0, 0.1, 0.6], [8.0, 0.0, 0.3, 0.1]]
)
four_groups = sizes_in_groups[:, None, :] * up_and_down
over_all = torch.tensor([10.0, 0.0, 1.0, 0.5])
who_wins, how_good = factor_vote(four_groups, torch.tensor([1, 0, 1, 2]), over_all)
assert [int(latent) for latent in who_wins] == [2, 0, 2, 3], "four votes, one latent is dead"
assert abs(float(how_good) - 1) < 1e-6, "every latent stands for one factor"
_, how_good = factor_vote(four_groups, torch.tensor([1, 1, 0, 0]), over_all)
assert abs(float(how_good) - 0.75) < 1e-6, "latent 2 has votes from two factors"
who_wins, how_good = factor_vote(four_groups[[0, 2]] + 50, torch.tensor([0, 1]), over_all)
assert [int(latent) for latent in who_wins] == [2, 2], "where the codes lie does not matter"
assert abs(float(how_good) - 0.5) < 1e-6, "one latent cannot tell two factors"
### END HIDDEN TESTS

# %% [markdown]
# ## 6 · Spot the bug: shares that do not add up
#
# *5 minutes · 2 points · the last step of every comparison of methods over seeds.*
#
# This function was to split the variance of a score into the share between settings (of β, say) and the share that the seeds cause within a setting. The variance of all scores is the sum of the two, so the shares should add up to 1. The cell tries it on a table in which the seeds change nothing at all, and on one in which the settings change nothing. Run it, then write the repaired function.


# %%
def faulty_shares(scores):
    total = scores.var()
    return (scores.mean(dim=1).var() / total).item(), (scores.var(dim=1).mean() / total).item()


tables = {
    "seeds change nothing": torch.tensor([[0.2, 0.2, 0.2], [0.4, 0.4, 0.4]]),
    "settings change nothing": torch.tensor([[0.2, 0.3, 0.4], [0.4, 0.3, 0.2]]),
}
for name, table in tables.items():
    between, within = faulty_shares(table)
    print(f"{name:24} between {between:.2f}, within {within:.2f}, together {between + within:.2f}")

# %% [markdown]
# <details><summary>Hint 1</summary>Compute the three variances of the first table by hand: six scores, two means, and three scores of one setting. By what did you divide?</details>
# <details><summary>Hint 2</summary>The split is exact for plain means of squared deviations. By default <code>var</code> divides by one less than the number of values, and that differs for 6, 2 and 3 of them: see its argument <code>correction</code>.</details>


# %% nbgrader={"grade": false, "grade_id": "variance_shares", "locked": false, "schema_version": 3, "solution": true, "task": false}
def variance_shares(scores):
    """How much of the variance of all scores lies between settings, and how much within them.

    scores: (settings, seeds) -> two numbers, between and within; they add up to 1.
    """
    ### BEGIN SOLUTION
    of_all_scores = scores.var(correction=0)
    share_between = (scores.mean(dim=1).var(correction=0) / of_all_scores).item()
    share_within = (scores.var(dim=1, correction=0).mean() / of_all_scores).item()
    return share_between, share_within
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "check-variance_shares", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.variance_shares(variance_shares)
### BEGIN HIDDEN TESTS
between_all, within_none = variance_shares(torch.tensor([[1.0, 1.0], [3.0, 3.0], [8.0, 8.0]]))
assert abs(float(between_all) - 1) < 1e-5, "seeds change nothing, between"
assert abs(float(within_none)) < 1e-5, "seeds change nothing, within"
between_none, within_all = variance_shares(torch.tensor([[1.0, 5.0, 3.0], [3.0, 1.0, 5.0]]))
assert abs(float(between_none)) < 1e-5, "settings change nothing, between"
assert abs(float(within_all) - 1) < 1e-5, "settings change nothing, within"
half_and_half = [float(s) for s in variance_shares(torch.tensor([[0.0, 2.0], [2.0, 4.0]]))]
assert abs(half_and_half[0] - 0.5) < 1e-5, "means 1 and 3, each with 1 to both sides"
torch.manual_seed(8)
many_scores = torch.rand(5, 7)
its_shares = [float(s) for s in variance_shares(many_scores)]
assert abs(sum(its_shares) - 1) < 1e-5, "the shares add up to 1"
### END HIDDEN TESTS

# %% [markdown]
# ## 7 · Fool a score
#
# *18 minutes · 5 points, marked by hand · who has built a code that a score gets wrong, knows what the score asks.*
#
# Build a code from the known factors which a score judges too well, or too badly, and measure by how much. No model needs training: a code is any function of the factors. Some suggestions that go beyond the lesson's codes:
#
# - **a half-told factor**: a latent that holds only the distance of `x` from the middle, so that left and right look alike;
# - **a whisper**: a latent that adds to one factor another one, made so small that it disappears inside a bin. (Hide it in `rotation` first, then in `scale`, and explain the difference: where do the levels lie among the bins?)
# - **a forgotten factor**: a code in which one of the five is missing. What should each score lose, and what does it lose?
# - **a trap for one regressor**: a code that the lasso calls disentangled and trees do not, or the other way round.
#
# **Predict** before you run: which scores will be fooled, in which direction, and which number of the table will give it away? Write the prediction into the answer cell at the end first. The cells here run as they stand, with an example.

# %%
from matplotlib import pyplot as plt

from vae_course import disentanglement, plots, runtime
from vae_course.data import shapes

names, levels = list(shapes.FACTORS), list(shapes.FACTORS.values())
middle = (torch.tensor(levels) - 1) / 2

# %% [markdown]
# The baseline is the perfect code of the lesson: each factor in a latent of its own, from −1 to 1, and five latents of noise beside them.


# %%
def perfect(v, rng):
    """v: (N, 5), the factors -> codes (N, 10)."""
    pure = (v - middle) / middle  # (N, 5)
    return torch.cat([pure, torch.randn(len(v), 5, generator=rng)], dim=1)


# %% [markdown]
# Your turn: replace the example by your own code. It may have any number of latents from two on.


# %%
def yours(v, rng):
    """v: (N, 5), the factors -> codes (N, D)."""
    z = perfect(v, rng)
    z[:, names.index("x")] = z[:, names.index("x")].abs()  # the distance from the middle
    return z


# %% [markdown]
# All scores for both codes. The factors are drawn three times, so the table gives the mean, and beside it the largest distance from the mean: a difference smaller than that may well be luck. `R²` says how well the factors can be predicted from the code at all. Let a score that is to be believed agree with it, or say why not.


# %%
def judged(code, seed):
    """The scores of a code on newly drawn factors, as a dictionary."""
    rng = runtime.seed(seed)
    v = shapes.random_factors(runtime.steps(10_000, 2_500), rng)
    z = code(v, rng)
    vote = disentanglement.factor_vae_score(z, v, generator=rng)
    trees, lasso = (
        disentanglement.dci(z[:4000], v[:4000], regressor=r) for r in ("trees", "lasso")
    )
    scores = {"MIG": disentanglement.mig(z, v), "FactorVAE": vote.score}
    scores |= {"DCI trees": trees.disentanglement, "R² trees": trees.informativeness}
    return scores | {"DCI lasso": lasso.disentanglement, "R² lasso": lasso.informativeness}


# %%
codes = {"perfect": perfect, "yours": yours}
runs = {name: [judged(code, seed) for seed in range(3)] for name, code in codes.items()}
for score in runs["yours"][0]:
    print(f"{score:10}", end="")
    for name, rows in runs.items():
        values = torch.tensor([row[score] for row in rows])
        print(
            f"   {name} {values.mean():5.2f} ± {(values - values.mean()).abs().max():.2f}", end=""
        )
    print()

# %% [markdown]
# Now a picture of what the latents know, which shows more than a score: for each latent and factor, the mutual information as a share of the factor's entropy.

# %%
rng = runtime.seed(0)
v = shapes.random_factors(10_000, rng)
entropies = torch.tensor(levels).log()
fig, axes = plt.subplots(1, 2, figsize=(8, 3.4))
for ax, (name, code) in zip(axes, codes.items(), strict=True):
    shares = disentanglement.mutual_information(code(v, rng), v) / entropies  # (D, K)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for j, row in enumerate(shares.tolist()):
        for k, share in enumerate(row):
            color = "white" if share > 0.5 else "black"
            ax.text(k, j, f"{share:.2f}", ha="center", va="center", color=color, fontsize=7)
    ax.set(title=name, ylabel="latent", yticks=range(len(shares)))
    ax.set_xticks(range(len(names)), names)
fig.suptitle("What each latent knows: shares of each factor's entropy", fontsize=10)
fig.tight_layout()
plots.show(
    fig,
    alt="Two tables, of the perfect code and of yours: latents along the rows, the five factors along the columns, the share of the entropy in each cell.",
)

# %% [markdown]
# Report what you did, in about ten sentences: the code and your prediction; what the table says, with numbers for both codes; what the picture shows; why the score went wrong, from what it computes; and what the experiment leaves open. A wrong prediction with a good explanation earns full points.

# %% [markdown] nbgrader={"grade": true, "grade_id": "open-fooled", "locked": false, "points": 5, "schema_version": 3, "solution": true, "task": false}
# *Write your answer here, in place of this line.*
#
# === BEGIN MARK SCHEME ===
# One point each:
#
# 1. A prediction, made before the run, that could have turned out wrong: for at least one score, whether it will rise, fall or stay, compared with the perfect code. It need not have come true.
# 2. A measurement: at least two numbers of the table for both codes, and a statement which score is fooled and in which direction, that is, what the code deserves and what it gets. Differences that are within the ± of the table and are read as an effect do not earn this point.
# 3. The picture described: which cell differs from the perfect code's, and what that says about the latent.
# 4. An explanation from the score's definition. For example: with half of `x` told, the latent still stands still whenever `x` is fixed, so FactorVAE gives full marks, while MIG loses the share of `x` that is not told, and R² falls because the half that is missing decides where the shape is; DCI's disentanglement falls a little, for a reason of its own: the regressor that cannot predict `x` reaches for the noise; MIG does not count a whisper that stays inside a bin, and counts the smallest one where a level lies on the edge between two; a forgotten factor costs FactorVAE its share of the votes where no noise stands beside the code, and hardly anything where it does, because the noise collects the votes of the missing factor and comes to stand for it; the lasso sees straight lines alone.
# 5. A limitation: a constructed code need not resemble what a VAE learns; one size of the effect, one number of bins, one regressor; factors drawn independently and evenly; or what a score would have to ask in addition. A second measurement that settles one of these earns this point as well.
# === END MARK SCHEME ===

# %% [markdown]
# ## What is solved
#
# The last verdict of each check in this session.

# %%
progress("08")

# %% [markdown]
# **Back:** [lesson 08](../notebooks/08_disentanglement.ipynb) · **Next:** [lesson 09](../notebooks/09_conditional_vae.ipynb)
