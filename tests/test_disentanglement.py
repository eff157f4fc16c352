"""The three scores against scikit-learn, values worked out by hand, and codes whose scores are known."""

import ast
import itertools
import math
from pathlib import Path
from typing import Any

import jupytext
import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score
from torch import Tensor

from vae_course import disentanglement, results
from vae_course.data import shapes
from vae_course.disentanglement import dci, disentanglement_and_completeness, factor_vae_score, mig, mutual_information

pytestmark = pytest.mark.slow  # trains or imports for seconds: `make check` goes without

ROOT = Path(__file__).resolve().parents[1]
LESSON = ROOT / "notebooks" / "08_disentanglement.py"
N = 6_000


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def factors(rng: torch.Generator) -> Tensor:
    return shapes.random_factors(N, rng)


def standard(factors: Tensor) -> Tensor:
    v = factors.double()
    return (v - v.mean(dim=0)) / v.std(dim=0)


def noise(d: int, rng: torch.Generator, n: int = N) -> Tensor:
    return torch.randn(n, d, generator=rng, dtype=torch.float64)


def rotation(d: int, rng: torch.Generator) -> Tensor:
    q, r = torch.linalg.qr(torch.randn(d, d, generator=rng, dtype=torch.float64))
    return q * r.diagonal().sign()


# ---- mutual information and MIG ----


@pytest.mark.parametrize("bins", [16, 20, 37])
def test_information_is_that_of_scikit_learn(bins: int, factors: Tensor, rng: torch.Generator) -> None:
    codes = standard(factors) @ rotation(5, rng) + 0.3 * noise(5, rng)
    ours = mutual_information(codes, factors, bins=bins)
    assert ours.shape == (5, 5)
    assert ours.dtype == torch.float64
    for j, k in itertools.product(range(5), range(5)):
        z = codes[:, j].numpy()
        binned = np.digitize(z, np.histogram_bin_edges(z, bins)[1:-1])
        assert ours[j, k].item() == pytest.approx(mutual_info_score(binned, factors[:, k].numpy()), abs=1e-10)


def test_information_of_a_noisy_channel_is_the_closed_form(rng: torch.Generator) -> None:
    """A fair bit, flipped with probability 0.1: I = ln 2 - H(0.1)."""
    bit = (torch.arange(1000) % 2)[:, None]
    flipped = bit.clone()
    flipped[:100] = 1 - flipped[:100]
    h = -0.1 * math.log(0.1) - 0.9 * math.log(0.9)
    assert mutual_information(flipped.float(), bit).item() == pytest.approx(math.log(2) - h, abs=1e-12)


def test_mig_by_hand() -> None:
    """Two latents know a factor of four levels: one wholly, one whether it is above the middle. The gap is one half."""
    factor = (torch.arange(400) % 4)[:, None]
    codes = torch.cat([factor, factor // 2], dim=1).float()
    assert mig(codes, factor) == pytest.approx(0.5, abs=1e-12)
    assert mig(codes.flip(1), factor) == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("bins", [None, 16, 20, 64])
def test_mig_of_a_perfect_code_padded_with_noise(bins: int | None, factors: Tensor, rng: torch.Generator) -> None:
    codes = torch.cat([standard(factors), noise(5, rng)], dim=1)
    assert mig(codes, factors, bins=bins) >= 0.95
    assert mig(codes[:, torch.randperm(10, generator=rng)].float() * 7 - 3, factors, bins=bins) >= 0.95


def test_mig_of_noise_is_near_zero(factors: Tensor, rng: torch.Generator) -> None:
    assert mig(noise(10, rng), factors) <= 0.05


def test_mig_of_a_perfect_code_rotated_is_low(factors: Tensor, rng: torch.Generator) -> None:
    assert max(mig(standard(factors) @ rotation(5, rng), factors) for _ in range(20)) <= 0.45


def test_every_level_of_a_perfect_code_has_a_bin_of_its_own() -> None:
    for levels in range(2, 60):
        factor = torch.arange(levels)[:, None]
        for bins in {levels, levels + 1, max(levels, 20)}:
            for codes in (factor.float(), factor.double() / 3 - 0.1):
                information = mutual_information(codes, factor, bins=bins).item()
                assert information == pytest.approx(math.log(levels), abs=1e-12), (levels, bins)


def test_a_latent_that_never_varies_knows_nothing(factors: Tensor) -> None:
    codes = torch.cat([torch.full((N, 1), 3.0), standard(factors).float()], dim=1)
    assert (mutual_information(codes, factors)[0] == 0).all()
    assert factor_vae_score(codes, factors).score == 1
    assert dci(codes[:2000], factors[:2000]).disentanglement >= 0.95


def test_the_default_has_a_bin_for_each_level(rng: torch.Generator) -> None:
    fine = torch.randint(40, (N, 1), generator=rng)
    codes = torch.cat([fine.double(), noise(1, rng)], dim=1)
    assert mutual_information(codes, fine)[0].item() == pytest.approx(mutual_info_score(*[fine[:, 0]] * 2), abs=1e-10)
    with pytest.raises(ValueError, match="bins must be at least 40, the levels of the finest factor, got 20"):
        mig(codes, fine, bins=20)


# ---- FactorVAE score ----


def test_factor_vae_score_of_known_codes(factors: Tensor, rng: torch.Generator) -> None:
    perfect, nothing = (factor_vae_score(z, factors) for z in (standard(factors), noise(5, rng)))
    assert perfect.score == 1
    for chance in (perfect.chance, nothing.chance, nothing.score):
        assert abs(chance - 1 / 5) <= 5 * math.sqrt(0.2 * 0.8 / 400)
    two = factor_vae_score(noise(5, rng), factors[:, :2]).chance
    assert abs(two - 1 / 2) <= 5 * math.sqrt(0.5 * 0.5 / 400)
    rotated = factor_vae_score(standard(factors) @ rotation(5, rng), factors).score
    assert nothing.score < rotated < 1


def test_factor_vae_score_counts_as_a_plain_loop_does(factors: Tensor, rng: torch.Generator) -> None:
    """With groups of all images of a level nothing is left to chance but which factor and level is taken."""
    coarse = factors[:, :2]
    codes = torch.stack([coarse[:, 0] + 2.0 * coarse[:, 1], coarse[:, 1] + 0.1 * noise(1, rng)[:, 0]], dim=1)
    spread = codes.var(dim=0, correction=0)
    named = {}
    for k, levels in enumerate((3, 6)):
        for level in range(levels):
            group = codes[coarse[:, k] == level]
            named[k, level] = (group.var(dim=0, correction=0) / spread).argmin().item()
    assert set(named.values()) == {0, 1}
    fewest = min(coarse[:, k].bincount().min().item() for k in (0, 1))
    most = {j: max((0, 1), key=lambda k: sum(n == j for (f, _), n in named.items() if f == k)) for j in (0, 1)}
    expected = np.mean([np.mean([most[named[k, level]] == k for level in range(n)]) for k, n in ((0, 3), (1, 6))])
    score = factor_vae_score(codes, coarse, votes=2000, group=fewest).score
    assert abs(score - expected) <= 5 * math.sqrt(0.25 / 1000)


def test_factor_vae_score_ignores_the_scale_of_a_latent(factors: Tensor, rng: torch.Generator) -> None:
    codes = standard(factors) @ rotation(5, rng)
    scaled = codes * torch.tensor([1e-3, 1, 10, 1e4, 5]) + 7
    scores = [factor_vae_score(z, factors, generator=torch.Generator().manual_seed(1)) for z in (codes, scaled)]
    assert scores[0] == scores[1]


def test_votes_are_judged_by_the_other_half() -> None:
    latent, factor = np.array([0, 1, 0, 1]), np.array([0, 1, 1, 0])
    assert disentanglement._majority(latent, factor) == 0  # what the first two votes teach, the last two contradict
    assert disentanglement._majority(latent, latent) == 1


# ---- DCI ----


def test_the_seed_decides_about_the_trees(factors: Tensor, rng: torch.Generator) -> None:
    few, z = factors[:500], noise(5, rng, 500)
    assert dci(z, few, seed=1) == dci(z, few, seed=1)
    assert dci(z, few, seed=1) != dci(z, few, seed=2)


def test_entropies_by_hand() -> None:
    weights = torch.tensor([[1.0, 1.0], [2.0, 0.0], [0.0, 4.0], [0.0, 0.0]])
    disentangled, complete = disentanglement_and_completeness(weights)
    assert disentangled == pytest.approx((2 * 0 + 2 * 1 + 4 * 1) / 8, abs=1e-12)

    def purity(*p: float) -> float:
        return 1 + sum(x * math.log(x, 4) for x in p)  # four latents

    assert complete == pytest.approx((3 * purity(1 / 3, 2 / 3) + 5 * purity(1 / 5, 4 / 5)) / 8, abs=1e-12)
    assert disentanglement_and_completeness(torch.zeros(3, 2)) == (0, 0)


@pytest.mark.parametrize("regressor", disentanglement.REGRESSORS)
def test_dci_of_known_codes(regressor: str, factors: Tensor, rng: torch.Generator) -> None:
    few = factors[:3000]
    perfect = dci(standard(few), few, regressor=regressor)
    mixed = dci(standard(few) @ rotation(5, rng), few, regressor=regressor)
    assert min(perfect) >= 0.95
    assert mixed.disentanglement < perfect.disentanglement - 0.3
    assert mixed.informativeness >= 0.85  # nothing was lost, it was only mixed
    assert abs(dci(noise(5, rng, 3000), few, regressor=regressor).informativeness) <= 0.15


def test_lasso_weights_of_independent_latents_are_the_closed_form(rng: torch.Generator) -> None:
    """For uncorrelated latents the lasso moves each correlation towards zero by alpha, 0.02."""
    bits = torch.tensor(list(itertools.product([0, 1], repeat=6))).repeat(2, 1)  # (128, 6), both halves alike
    z = 2.0 * bits[:, :3] - 1
    v = torch.stack([bits[:, 0] + 2 * bits[:, 1], bits[:, 2]], dim=1)
    weights = torch.tensor([[math.sqrt(0.2) - 0.02, 0], [math.sqrt(0.8) - 0.02, 0], [0, 1 - 0.02]])
    found = dci(z, v, regressor="lasso")
    assert found[:2] == pytest.approx(disentanglement_and_completeness(weights), abs=1e-6)


# ---- the codes that fool them ----


def test_each_score_is_fooled_by_the_code_of_the_lesson(factors: Tensor, rng: torch.Generator) -> None:
    few, s = factors[:3000], standard(factors)
    twice = torch.cat([s, s + 0.01 * noise(5, rng)], dim=1)
    assert mig(twice, factors) <= 0.05  # every latent is pure
    assert dci(twice[:3000], few).disentanglement >= 0.95
    chained = s + 0.7 * s.roll(-1, dims=1)
    assert factor_vae_score(chained, factors).score >= 0.99  # every latent carries two factors
    assert mig(chained, factors) <= 0.45
    mixtures = torch.cat([s, s @ rotation(5, rng)], dim=1)
    assert dci(mixtures[:3000], few).disentanglement >= 0.95  # half of the latents are mixtures
    assert dci(noise(10, rng), factors, regressor="lasso").disentanglement >= 0.4  # of nothing at all


# ---- bad input ----


@pytest.mark.parametrize("score", [mutual_information, mig, factor_vae_score, dci])
@pytest.mark.parametrize(
    ("codes", "factors", "error", "words"),
    [
        (torch.rand(5, 2), torch.zeros(4, 2, dtype=torch.long), ValueError, "the same N"),
        (torch.rand(5, 2, 1), torch.zeros(5, 2, dtype=torch.long), ValueError, r"codes must be \(N, D\)"),
        (torch.rand(5, 2), torch.zeros(5, 2), TypeError, "whole numbers"),
        (torch.full((5, 2), math.nan), torch.arange(10).reshape(5, 2), ValueError, "NaN"),
        (torch.rand(5, 2), torch.zeros(5, 2, dtype=torch.long), ValueError, "at least two levels"),
        (torch.rand(5, 2), torch.arange(10).reshape(5, 2) - 1, ValueError, "numbered from 0"),
    ],
)
def test_bad_input_is_refused(score: Any, codes: Tensor, factors: Tensor, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        score(codes, factors)


def test_what_a_score_cannot_judge_is_refused(factors: Tensor) -> None:
    with pytest.raises(ValueError, match="second best"):
        mig(torch.rand(N, 1), factors)
    with pytest.raises(ValueError, match="a group needs 64"):
        factor_vae_score(torch.rand(500, 5), factors[:500])
    with pytest.raises(ValueError, match="no latent varies"):
        factor_vae_score(torch.ones(N, 5), factors)
    with pytest.raises(ValueError, match="votes and group must be at least 2"):
        factor_vae_score(torch.rand(N, 5), factors, votes=1)
    with pytest.raises(ValueError, match="regressor must be one of"):
        dci(torch.rand(N, 5), factors, regressor="boosting")
    with pytest.raises(ValueError, match="take absolute values first"):
        disentanglement_and_completeness(torch.tensor([[1.0, -1.0], [0.0, 1.0]]))
    with pytest.raises(ValueError, match="two or more latents and factors"):
        disentanglement_and_completeness(torch.ones(3, 1))


# ---- the lesson's own, written by hand ----


@pytest.fixture(scope="module")
def lesson() -> dict[str, Any]:
    """The functions that lesson 08 defines, and nothing else of it."""
    namespace: dict[str, Any] = {"torch": torch, "math": math}
    for cell in jupytext.read(LESSON, fmt="py:percent").cells:
        if cell.cell_type == "code":
            functions = [node for node in ast.parse(cell.source).body if isinstance(node, ast.FunctionDef)]
            exec(compile(ast.Module(functions, []), LESSON.name, "exec"), namespace)
    return namespace


def test_the_lessons_gap_is_that_of_the_package(lesson: dict[str, Any], factors: Tensor, rng: torch.Generator) -> None:
    codes = standard(factors) @ rotation(5, rng) + 0.3 * noise(5, rng)
    by_hand = [[lesson["mutual_information"](z, v).item() for v in factors.T] for z in codes.T.contiguous()]
    theirs = mutual_information(codes, factors)
    assert torch.tensor(by_hand, dtype=torch.float64).allclose(theirs, rtol=0, atol=1e-10)
    assert lesson["mig"](codes, factors) == pytest.approx(mig(codes, factors), abs=1e-10)


def test_the_lessons_entropies_are_those_of_the_package(lesson: dict[str, Any], rng: torch.Generator) -> None:
    weights = torch.rand(7, 4, generator=rng, dtype=torch.float64)
    assert lesson["concentration"](weights) == pytest.approx(disentanglement_and_completeness(weights), abs=1e-12)


def test_the_lessons_lasso_is_that_of_the_package(
    lesson: dict[str, Any], factors: Tensor, rng: torch.Generator
) -> None:
    from sklearn.linear_model import Lasso

    lesson["lasso_weights"].__globals__["Lasso"] = Lasso
    z = standard(factors) @ rotation(5, rng)
    twice = [torch.cat([t, t]) for t in (z, factors)]  # the package fits the first half
    half = [(t - t.mean(dim=0)) / t.std(dim=0, correction=0) for t in (z, factors.double())]
    ours = lesson["concentration"](lesson["lasso_weights"](*half))
    assert ours == pytest.approx(dci(*twice, regressor="lasso")[:2], abs=1e-9)


def test_the_lessons_split_is_the_analysis_of_variance(lesson: dict[str, Any], rng: torch.Generator) -> None:
    from scipy.stats import f_oneway

    scores = torch.randn(4, 8, generator=rng, dtype=torch.float64) + torch.arange(4)[:, None] / 2
    between, within = lesson["variance_split"](scores)
    ratio = f_oneway(*scores.numpy()).statistic * 3 / 28  # sums of squares between over within
    assert between == pytest.approx(ratio / (1 + ratio), abs=1e-12)
    assert between + within == pytest.approx(1, abs=1e-12)


def test_the_lessons_kl_of_a_full_covariance(lesson: dict[str, Any], rng: torch.Generator) -> None:
    root = noise(4, rng, 4)
    mu, cov = noise(4, rng, 6), (root @ root.T + torch.eye(4)).expand(6, 4, 4)
    q = torch.distributions.MultivariateNormal(mu, cov)
    p = torch.distributions.MultivariateNormal(torch.zeros(4).double(), torch.eye(4).double())
    assert lesson["full_kl"](mu, cov).allclose(torch.distributions.kl_divergence(q, p), rtol=0, atol=1e-10)


def test_the_ledger_has_every_beta_with_every_seed() -> None:
    table = results.load("disentanglement")["figures"]["table"]
    cells = {(row["beta"], row["seed"]) for row in table}
    assert cells == set(itertools.product({row["beta"] for row in table}, {row["seed"] for row in table}))
    assert len(cells) == len(table)
    assert len({row["beta"] for row in table}) >= 3
    assert len({row["seed"] for row in table}) >= 8
