"""The measures of a conditional model, on models and codes whose answers are known."""

import ast
import math
from pathlib import Path

import jupytext
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vae_course import condition, schedules
from vae_course.models.classifier import DigitClassifier
from vae_course.models.conditional import ConditionalVAE

pytestmark = pytest.mark.slow  # trains or imports for seconds: `make check` goes without

LESSON = Path(__file__).resolve().parents[1] / "notebooks" / "09_conditional_vae.py"


class Bars:
    """Class c is row c of a 4×4 image; a decoder that obeys, or (deaf) one that redraws what z says."""

    classes = 4

    def __init__(self, deaf=False):
        self.deaf = deaf

    def encode(self, x, c):
        mu = x.mean(dim=(1, 3))  # (B, 4): the brightness of each row
        return mu, torch.zeros_like(mu)

    def decode(self, z, c):
        rows = z if self.deaf else torch.eye(4)[c]
        return (20 * rows - 10)[:, None, :, None].expand(-1, 1, 4, 4)


class Reader:
    """Reads the brightest row."""

    def probabilities(self, x):
        return (20 * x.mean(dim=(1, 3))).softmax(dim=1)


def bars(c):
    return torch.eye(4)[c][:, None, :, None].expand(-1, 1, 4, 4)


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


def test_asked_accuracy_counts():
    c = torch.arange(20) % 4
    assert condition.asked_accuracy(Reader(), bars(c), c) == 1
    wrong = c.clone()
    wrong[:5] = (wrong[:5] + 1) % 4
    assert condition.asked_accuracy(Reader(), bars(c), wrong) == pytest.approx(15 / 20)


def test_swap_accuracy_tells_an_obedient_decoder_from_a_deaf_one(rng):
    c = torch.arange(400) % 4
    assert condition.swap_accuracy(Bars(), Reader(), bars(c), c, generator=rng) == 1
    assert condition.swap_accuracy(Bars(deaf=True), Reader(), bars(c), c, generator=rng) == 0


def test_a_swap_never_keeps_the_class_and_uses_all_others():
    """A reader that always says 0: right on a third of the swaps of the other classes, on none of class 0."""

    class Always0:
        def probabilities(self, x):
            return torch.tensor([1.0, 0, 0, 0]).expand(len(x), 4)

    n, rng = 3000, torch.Generator().manual_seed(0)
    for label, want in ((0, 0.0), (1, 1 / 3), (3, 1 / 3)):
        c = torch.full((n,), label)
        share = condition.swap_accuracy(Bars(), Always0(), bars(c), c, generator=rng)
        assert abs(share - want) <= 5 * math.sqrt(want * (1 - want) / n)


def test_the_code_is_that_of_the_image_with_its_own_class(rng):
    class Notes(Bars):
        def encode(self, x, c):
            asked.append(c)
            return super().encode(x, c)

    asked, c = [], torch.arange(40) % 4
    condition.swap_accuracy(Notes(), Reader(), bars(c), c, generator=rng)
    assert torch.equal(torch.cat(asked), c)


def test_swap_is_repeatable():
    class Half(Reader):
        def probabilities(self, x):
            return torch.tensor([0.5, 0.3, 0.2, 0.0]).expand(len(x), 4)

    c = torch.arange(50) % 4
    shares = [
        condition.swap_accuracy(Bars(), Half(), bars(c), c, generator=torch.Generator().manual_seed(5)) for _ in "ab"
    ]
    assert shares[0] == shares[1]


def test_within_class_variance_is_numpys(rng):
    x, c = torch.rand(60, 2, 5, 3, generator=rng), torch.randint(3, (60,), generator=rng)
    want = np.mean([np.var(x[c == k].numpy().reshape(-1, 30), axis=0).sum() for k in range(3)])
    assert condition.within_class_variance(x, c) == pytest.approx(want, rel=1e-5)


def test_the_difference_of_the_classes_does_not_count():
    c = torch.arange(40) % 4
    assert condition.within_class_variance(bars(c), c) == 0
    assert bars(c).var(dim=0).sum() > 0.5


def test_probe_finds_what_lines_do_not(rng):
    """Inside and outside of a ring: half for a straight line, nearly all for the neighbours."""
    c = torch.arange(1000) % 2
    angle = 2 * math.pi * torch.rand(1000, generator=rng)
    codes = (1 + 3 * c)[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
    found = condition.probe(codes, c)
    assert found["neighbours"] > 0.99
    assert found["linear"] < 0.65
    assert found["nats"] < 0.02


def test_probe_of_separate_classes(rng):
    c = torch.arange(2000) % 4
    codes = 20 * torch.eye(4)[c] + 0.1 * torch.randn(2000, 4, generator=rng)
    found = condition.probe(codes, c)
    assert found["linear"] == found["neighbours"] == 1
    assert found["nats"] == pytest.approx(math.log(4), abs=0.02)
    assert found["chance"] == pytest.approx(0.25, abs=0.05)


def test_probe_of_noise_is_at_chance(rng):
    c = torch.arange(4000) % 4
    found = condition.probe(torch.randn(4000, 3, generator=rng), c)
    error = math.sqrt(0.25 * 0.75 / 2000)
    assert abs(found["linear"] - 0.25) <= 5 * error
    assert abs(found["neighbours"] - 0.25) <= 5 * error
    assert found["nats"] <= 0.01


def test_nats_never_exceed_the_mutual_information(rng):
    """Two Gaussians at ±1: I(z; c) by integration on a grid in float64; logistic regression is right here, so close."""
    c = torch.arange(20_000) % 2
    codes = (2.0 * c - 1)[:, None] + torch.randn(20_000, 1, generator=rng)
    grid = np.linspace(-9, 9, 20_001)
    p = [np.exp(-0.5 * (grid - m) ** 2) / math.sqrt(2 * math.pi) for m in (-1, 1)]
    mix = (p[0] + p[1]) / 2
    information = sum(0.5 * np.trapezoid(q * np.log(q / mix), grid) for q in p)
    found = condition.probe(codes, c)["nats"]
    assert found == pytest.approx(information, abs=0.03)


def test_probe_judges_codes_it_has_not_seen(rng):
    """Noise in 200 dimensions: on 100 codes any labels can be learnt by heart, and nothing about others."""
    c = torch.arange(200) % 2
    found = condition.probe(torch.randn(200, 200, generator=rng), c)
    assert found["linear"] < 0.75  # 5 standard errors above a half
    assert found["neighbours"] < 0.75


def test_neighbours_vote(rng):
    """Two clear groups with every fifth label wrong: one neighbour is right for 0.8² + 0.2², a vote for 0.8."""
    c = torch.arange(2000) % 2
    codes = 20.0 * c[:, None] + torch.randn(2000, 2, generator=rng)
    said = torch.where(torch.rand(2000, generator=rng) < 0.2, 1 - c, c)
    assert condition.probe(codes, said)["neighbours"] == pytest.approx(0.8, abs=5 * math.sqrt(0.16 / 1000))


def test_chance_is_the_most_frequent_class(rng):
    c = (torch.arange(2000) % 5 == 0).long()
    found = condition.probe(torch.randn(2000, 1, generator=rng), c)
    assert found["chance"] == pytest.approx(0.8, abs=0.04)
    assert found["nats"] == pytest.approx(0, abs=0.01)


def test_probe_takes_codes_that_still_have_a_gradient(rng):
    c, codes = torch.arange(100) % 2, torch.randn(100, 2, generator=rng)
    assert condition.probe(codes.clone().requires_grad_(), c) == condition.probe(codes, c)


def test_probe_leaves_the_random_state_alone(rng):
    c = torch.arange(100) % 2
    torch.manual_seed(0)
    want = torch.rand(1)
    torch.manual_seed(0)
    condition.probe(torch.randn(100, 2, generator=rng), c)
    assert torch.equal(torch.rand(1), want)


@pytest.mark.parametrize(
    ("codes", "c", "error", "words"),
    [
        (torch.zeros(40), torch.arange(40) % 2, ValueError, r"shape \(N, D\)"),
        (torch.zeros(40, 2, dtype=torch.long), torch.arange(40) % 2, ValueError, "float"),
        (torch.full((40, 2), math.nan), torch.arange(40) % 2, ValueError, "finite"),
        (torch.zeros(40, 2), torch.arange(39) % 2, ValueError, r"shape \(40,\), got \(39,\)"),
        (torch.zeros(40, 2), torch.rand(40), TypeError, "whole numbers"),
        (torch.zeros(40, 2), torch.zeros(40, dtype=torch.long), ValueError, "two classes or more"),
        (torch.zeros(12, 2), torch.arange(12) % 6, ValueError, "at least 10 codes each"),
        (torch.zeros(20, 2), torch.arange(20) % 2, ValueError, "wants 15 codes and every class, and has 10 codes"),
        (torch.zeros(0, 2), torch.zeros(0, dtype=torch.long), ValueError, "two classes or more"),
    ],
)
def test_unusable_codes(codes, c, error, words):
    with pytest.raises(error, match=words):
        condition.probe(codes, c)


def test_unusable_images_and_labels():
    c = torch.arange(8) % 4
    with pytest.raises(ValueError, match="between 0 and 3"):
        condition.asked_accuracy(Reader(), bars(c), c + 1)
    with pytest.raises(ValueError, match=r"shape \(8,\)"):
        condition.swap_accuracy(Bars(), Reader(), bars(c), c[:3])
    with pytest.raises(TypeError, match="whole numbers"):
        condition.within_class_variance(bars(c), c.float())
    with pytest.raises(ValueError, match="no images"):
        condition.within_class_variance(bars(c)[:0], c[:0])
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        condition.asked_accuracy(Reader(), 20 * bars(c), c)
    with pytest.raises(ValueError, match="class 3 has one image"):
        condition.within_class_variance(bars(c)[:7], torch.tensor([0, 0, 1, 1, 2, 2, 3]))


def test_beta_falls_to_one_by_equal_factors():
    betas = [schedules.falling_beta(step, 200) for step in range(200)]
    assert betas[0] == 20
    np.testing.assert_allclose(np.divide(betas[1:101], betas[:100]), 20 ** (-1 / 100), rtol=1e-12)
    assert betas[100:] == [1.0] * 100
    assert schedules.falling_beta(50, 200, start=9) == pytest.approx(3)
    assert [schedules.falling_beta(0, 1, start=1)] == [1.0]


@pytest.mark.parametrize(
    ("step", "steps", "start", "words"),
    [(0, 0, 20, "at least one step"), (5, 5, 20, "step"), (-1, 5, 20, "step")]
    + [(0, 5, start, "start must be a finite number >= 1") for start in (0.5, -1, math.nan, math.inf)],
)
def test_unusable_schedules(step, steps, start, words):
    with pytest.raises(ValueError, match=words):
        schedules.falling_beta(step, steps, start=start)


# ---- written by hand in lesson 09, imported afterwards ----


@pytest.fixture(scope="module")
def by_hand():
    names = {"beside", "network", "Conditional", "falling_beta", "within_class_variance", "swap_accuracy"}
    namespace = {"torch": torch, "nn": nn, "F": F}
    for cell in jupytext.read(LESSON, fmt="py:percent").cells:
        if cell.cell_type == "code":
            wanted = [node for node in ast.parse(cell.source).body if getattr(node, "name", "") in names]
            exec(compile(ast.Module(wanted, []), LESSON.name, "exec"), namespace)
    assert names <= set(namespace)
    return namespace


def test_the_lessons_network_is_the_packages(by_hand, rng):
    ours, theirs = by_hand["Conditional"]().double(), ConditionalVAE(16, hidden=(400, 400)).double()
    nn.utils.vector_to_parameters(nn.utils.parameters_to_vector(theirs.parameters()), ours.parameters())
    x, z = (torch.rand(7, *shape, generator=rng, dtype=torch.float64) for shape in ((1, 28, 28), (16,)))
    c = torch.arange(7)
    for a, b in zip(ours.encode(x, c), theirs.encode(x, c), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    torch.testing.assert_close(ours.decode(z, c), theirs.decode(z, c), rtol=0, atol=1e-12)


def test_the_lessons_beta_is_the_packages(by_hand):
    for steps in (1, 7, 200):
        for step in range(steps):
            assert by_hand["falling_beta"](step, steps) == schedules.falling_beta(step, steps)


def test_the_lessons_variance_is_the_packages(by_hand, rng):
    x, c = torch.rand(60, 1, 5, 3, generator=rng), torch.randint(3, (60,), generator=rng)
    assert by_hand["within_class_variance"](x, c) == pytest.approx(condition.within_class_variance(x, c), rel=1e-6)


def test_the_lessons_swap_is_the_packages(by_hand, rng):
    torch.manual_seed(0)
    model, judge = ConditionalVAE(4, hidden=(8,)), DigitClassifier()
    x, c = torch.rand(200, 1, 28, 28, generator=rng), torch.arange(200) % 10
    torch.manual_seed(1)
    ours = by_hand["swap_accuracy"](model, judge, x, c)
    torch.manual_seed(1)
    assert ours == pytest.approx(condition.swap_accuracy(model, judge, x, c))
