"""Measures of generated pictures against torchmetrics, SciPy, scikit-learn, brute force and closed forms."""

import math
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from test_lesson_figures import by_hand

from vae_course import losses
from vae_course.generation import (
    Mixture,
    class_entropy,
    decoded_lines,
    detour,
    entropy,
    fit_mixture,
    frechet_distance,
    hole_share,
    nearest_neighbour_distance,
    unevenness,
)
from vae_course.models.mlp import MLPVAE

pytestmark = pytest.mark.slow  # trains or imports for seconds: `make check` goes without

NAN = float("nan")


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def normal(rng):
    return lambda *shape: torch.randn(*shape, generator=rng, dtype=torch.float64)


def features(normal, n=200, width=7, shift=0.0):
    """Correlated, of unequal scales, with one that is always zero: as behind a ReLU."""
    mixing = normal(width, width)
    mixing[:, 2] = 0
    return normal(n, width) @ mixing + shift


# ---- Fréchet distance ----


def test_frechet_distance_by_the_formula_with_scipy(normal):
    from scipy.linalg import sqrtm

    a, b = features(normal), features(normal, n=150, shift=0.5)
    cov_a, cov_b = (np.cov(f.numpy(), rowvar=False) for f in (a, b))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy says that a product of singular matrices is singular
        root = sqrtm(cov_a @ cov_b).real
    want = ((a.mean(0) - b.mean(0)) ** 2).sum().item() + np.trace(cov_a + cov_b - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(want, rel=1e-6)
    assert frechet_distance(b, a) == pytest.approx(want, rel=1e-6)


def test_frechet_distance_in_closed_form(normal):
    """Commuting covariances: |m|² + Σ (s_a - s_b)², for samples whitened to have exactly these moments."""
    white = normal(100, 3)
    white = white - white.mean(0)
    white = white @ torch.linalg.inv(torch.linalg.cholesky(white.T.cov())).T
    s_a, s_b = torch.tensor([1.0, 2.0, 3.0]).double(), torch.tensor([2.0, 0.5, 3.0]).double()
    shift = torch.tensor([3.0, 0.0, 4.0]).double()
    want = 25 + ((s_a - s_b) ** 2).sum().item()
    assert frechet_distance(white * s_a, white * s_b + shift) == pytest.approx(want, rel=1e-9)


@pytest.mark.slow  # torchmetrics takes seconds to import
def test_frechet_distance_is_that_of_torchmetrics(rng):
    from torchmetrics.image.fid import FrechetInceptionDistance

    class Flat(torch.nn.Module):
        num_features = 12

        def forward(self, x):
            return x.flatten(1).double()

    a, b = torch.rand(80, 3, 2, 2, generator=rng), torch.rand(60, 3, 2, 2, generator=rng) ** 2
    theirs = FrechetInceptionDistance(feature=Flat(), normalize=False, input_img_size=(3, 2, 2)).set_dtype(
        torch.float64
    )
    theirs.update(a, real=True)
    theirs.update(b, real=False)
    assert frechet_distance(a.flatten(1), b.flatten(1)) == pytest.approx(theirs.compute().item(), rel=1e-5)


def test_frechet_distance_of_equal_sets_is_zero_and_of_constant_ones_the_mean(normal):
    a = features(normal)
    assert 0 <= frechet_distance(a, a) < 1e-9
    want = ((a.mean(0) - 1) ** 2).sum() + a.T.cov().trace()
    assert frechet_distance(a, torch.ones(8, 7).double()) == pytest.approx(want.item(), rel=1e-9)


def test_frechet_distance_of_float32_is_computed_in_float64(normal):
    a, b = features(normal) + 1000, features(normal) + 1000
    ours = frechet_distance(a.float(), b.float())
    assert ours == pytest.approx(frechet_distance(a.float().double(), b.float().double()), rel=1e-12)


# ---- entropies ----


def test_entropy_is_that_of_torch_distributions(rng):
    p = torch.rand(9, 5, generator=rng, dtype=torch.float64)
    p /= p.sum(dim=1, keepdim=True)
    want = torch.distributions.Categorical(probs=p).entropy()
    torch.testing.assert_close(entropy(p), want)
    assert class_entropy(p) == pytest.approx(
        torch.distributions.Categorical(probs=p.mean(0)).entropy().item(), rel=1e-9
    )


def test_entropy_at_its_ends():
    sure = torch.eye(10)
    assert entropy(sure).tolist() == [0.0] * 10
    assert class_entropy(sure) == pytest.approx(math.log(10))
    assert class_entropy(sure[:1].expand(7, 10)) == 0
    assert entropy(torch.full((2, 10), 0.1)).tolist() == pytest.approx([math.log(10)] * 2)


# ---- nearest neighbours ----


def test_nearest_neighbours_by_brute_force(rng):
    images, reference = torch.rand(11, 1, 4, 5, generator=rng), torch.rand(30, 1, 4, 5, generator=rng)
    want = [min((x - r).pow(2).sum().sqrt().item() for r in reference) for x in images]
    for batch_size in (3, 100):
        assert nearest_neighbour_distance(images, reference, batch_size=batch_size).tolist() == pytest.approx(want)


def test_a_copy_is_at_distance_zero_and_nearly_a_copy_is_not(rng):
    reference = torch.rand(300, 1, 28, 28, generator=rng)
    assert nearest_neighbour_distance(reference[5:9], reference).tolist() == [0.0] * 4
    moved = reference[5:9].clone()
    moved[:, 0, 3, 4] = (moved[:, 0, 3, 4] - 0.5).abs()
    want = (moved - reference[5:9]).abs().amax(dim=(1, 2, 3))
    assert nearest_neighbour_distance(moved, reference).tolist() == pytest.approx(want.tolist(), rel=1e-5)


# ---- lines ----


def linear_decoder(pixels=6):
    return SimpleNamespace(decode=lambda z: z.sum(dim=1)[:, None, None, None] * torch.ones(1, 1, 2, pixels // 2))


def test_decoded_lines_start_and_end_where_they_should(rng):
    start, end = torch.randn(4, 3, generator=rng), torch.randn(4, 3, generator=rng)
    frames = decoded_lines(linear_decoder(), start, end, steps=5)
    assert frames.shape == (4, 6, 1, 2, 3)
    for i, t in enumerate([0, 0.2, 0.4, 0.6, 0.8, 1]):
        want = ((1 - t) * start + t * end).sum(dim=1).sigmoid()
        assert frames[:, i, 0, 1, 2].tolist() == pytest.approx(want.tolist(), abs=1e-6)


def test_unevenness_by_hand():
    values = torch.tensor([[0.0, 0.1, 0.2, 0.3, 0.4], [0.0, 0.0, 0.0, 1.0, 1.0], [0.0, 0.1, 0.3, 0.2, 0.2]])
    frames = values[:, :, None, None, None].expand(3, 5, 1, 2, 3)
    assert unevenness(frames).tolist() == pytest.approx([1, 4, 2])  # steps of the last: 0.1 0.2 0.1 0


def test_detour_by_hand(rng):
    values = torch.tensor([[0.0, 0.1, 0.3, 0.5], [0.0, 1.0, 0.0, 0.5], [0.5, 0.4, 0.2, 0.1]])
    frames = values[:, :, None, None, None].expand(3, 4, 1, 2, 3)
    assert detour(frames).tolist() == pytest.approx([1, 5, 1])
    ends = torch.rand(2, 6, 1, 4, 4, generator=rng)
    t = torch.linspace(0, 1, 9)[None, :, None, None, None]
    assert detour(ends[0].unsqueeze(1) * (1 - t) + ends[1].unsqueeze(1) * t).tolist() == pytest.approx([1] * 6)


# ---- holes ----


def test_the_share_of_holes_by_hand():
    p = torch.tensor([[0.95, 0.05, 0.0], [0.5, 0.3, 0.2], [0.1, 0.0, 0.9], [0.3, 0.7, 0.0]])
    assert hole_share(p) == 0.5
    assert hole_share(p, sure=0.6) == 0.25
    assert hole_share(p, sure=1.0) == 1


# ---- densities of codes ----


def test_one_component_has_the_mean_and_covariance_of_the_codes(normal):
    codes = features(normal, n=500, width=4, shift=2.0)
    fitted = fit_mixture(codes)
    cov = torch.from_numpy(np.cov(codes.numpy(), rowvar=False, bias=True)) + 1e-6 * torch.eye(4)
    assert fitted.weights.tolist() == [1.0]
    torch.testing.assert_close(fitted.means[0], codes.mean(0))
    torch.testing.assert_close(fitted.factors[0] @ fitted.factors[0].T, cov)


def test_two_clusters_are_found_again(rng, normal):
    """A tight cluster with three quarters of the codes, and a wide one far away."""
    codes = torch.cat([0.1 * normal(3000, 2) + 5, normal(1000, 2) - 5]).float()
    fitted = fit_mixture(codes, components=2)
    assert fitted.weights.dtype == torch.float32
    tight = fitted.weights.argmax()
    assert fitted.weights[tight].item() == pytest.approx(0.75, abs=1e-4)
    z = fitted.sample(20_000, generator=rng)
    share = (z[:, 0] > 0).float().mean().item()
    assert share == pytest.approx(0.75, abs=5 * (0.75 * 0.25 / 20_000) ** 0.5)
    assert z[z[:, 0] > 0].std(0).tolist() == pytest.approx([0.1, 0.1], rel=0.1)
    assert z[z[:, 0] < 0].std(0).tolist() == pytest.approx([1, 1], rel=0.1)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_fit_is_that_of_scikit_learn_with_its_seed_and_run_to_the_end(seed, normal):
    codes = normal(300, 2) @ normal(2, 2)  # no clusters: where the fit ends depends on where it begins, and takes long
    em = GaussianMixture(4, max_iter=300, random_state=seed).fit(codes.numpy())
    assert em.converged_
    assert em.n_iter_ > 5
    assert torch.allclose(fit_mixture(codes, components=4, seed=seed).means, torch.from_numpy(em.means_))


def test_samples_have_the_covariance_of_the_mixture(rng):
    factors = torch.tensor([[[2.0, 0.0], [1.0, 0.5]]])
    z = Mixture(torch.ones(1), torch.tensor([[3.0, -1.0]]), factors).sample(50_000, generator=rng)
    cov = factors[0] @ factors[0].T
    error = 5 * (2 / 50_000) ** 0.5 * cov.diagonal().max()
    assert (z.T.cov() - cov).abs().max() < error
    assert (z.mean(0) - torch.tensor([3.0, -1.0])).abs().max() < 5 * 2 / 50_000**0.5


def test_samples_depend_on_the_generator_alone():
    mixture = Mixture(torch.tensor([0.5, 0.5]), torch.zeros(2, 3), torch.eye(3).expand(2, 3, 3))
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, again = (mixture.sample(5, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), state)


# ---- what lesson 05 writes by hand ----


@pytest.mark.parametrize(
    ("name", "ours"), [("autoencoder_loss", losses.reconstruction_loss), ("vae_loss", losses.negative_elbo)]
)
def test_the_losses_of_the_lesson(name, ours, normal):
    model, x = MLPVAE(z_dim=3, hidden=(8,)).double(), normal(6, 1, 28, 28).sigmoid()
    torch.manual_seed(1)
    theirs = by_hand("05", name)[name](model, x)
    torch.manual_seed(1)
    for term, values in ours(model, x).items():
        torch.testing.assert_close(theirs[term], values)


def test_the_gaussian_of_the_lesson(normal):
    codes = normal(400, 5) @ normal(5, 5) + 3
    mean, factor = by_hand("05", "fit_gaussian")["fit_gaussian"](codes)
    fitted = fit_mixture(codes)
    torch.testing.assert_close(mean, fitted.means[0])
    torch.testing.assert_close(factor @ factor.T + 1e-6 * torch.eye(5), fitted.factors[0] @ fitted.factors[0].T)


def test_the_rulers_of_the_lesson(normal):
    names = ["frechet_distance", "class_entropy", "unevenness", "detour", "hole_share"]
    lesson = by_hand("05", *names)
    a, b = features(normal), features(normal, n=120, shift=0.5)
    assert lesson["frechet_distance"](a, b) == pytest.approx(frechet_distance(a, b), rel=1e-6)
    p = (5 * normal(30, 10)).softmax(dim=1)
    assert lesson["class_entropy"](p) == pytest.approx(class_entropy(p), rel=1e-12)
    frames = normal(4, 6, 1, 5, 5)
    torch.testing.assert_close(lesson["unevenness"](frames), unevenness(frames))
    torch.testing.assert_close(lesson["detour"](frames), detour(frames))
    assert lesson["hole_share"](p) == hole_share(p)


# ---- bad input ----

GOOD = torch.rand(20, 3, generator=torch.Generator().manual_seed(0))
BAD = GOOD.clone()
BAD[4, 1] = NAN
PICTURES = torch.zeros(2, 1, 4, 4)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: frechet_distance(GOOD, BAD), "NaN or infinite values in 1 of 20"),
        (lambda: frechet_distance(GOOD, GOOD[:, :2]), "the same features, got 3 and 2"),
        (lambda: frechet_distance(GOOD[:3], GOOD), "more than 3 samples; features_a has 3"),
        (lambda: frechet_distance(GOOD[:0], GOOD), "neither of them 0"),
        (lambda: frechet_distance(GOOD, GOOD[0]), "features_b must have shape"),
        (lambda: class_entropy(torch.randn(4, 10)), "softmax"),
        (lambda: class_entropy(torch.tensor([[1.5, 0.5], [0.0, 0.0]])), "add up to 1"),
        (lambda: entropy(BAD), "NaN"),
        (lambda: entropy(torch.zeros(0, 10)), "neither of them 0"),
        (lambda: nearest_neighbour_distance(PICTURES, torch.zeros(2, 1, 5, 5)), r"\(1, 5, 5\)"),
        (lambda: nearest_neighbour_distance(PICTURES[:0], PICTURES), "empty"),
        (lambda: nearest_neighbour_distance(PICTURES, PICTURES * NAN), r"\[0, 1\]"),
        (lambda: decoded_lines(linear_decoder(), GOOD, GOOD[:5]), "one shape"),
        (lambda: decoded_lines(linear_decoder(), GOOD[:0], GOOD[:0]), "one shape"),
        (lambda: decoded_lines(linear_decoder(), GOOD, GOOD, steps=1), "at least 2"),
        (lambda: unevenness(PICTURES), "T of at least 3"),
        (lambda: unevenness(PICTURES.expand(1, 2, 1, 4, 4)), "T of at least 3"),
        (lambda: unevenness(torch.zeros(2, 4, 1, 3, 3)), "no pace"),
        (lambda: unevenness(torch.full((2, 4, 1, 3, 3), NAN)), "no pace"),
        (lambda: detour(torch.tensor([0.0, 1.0, 0.0])[None, :, None, None, None]), "infinite"),
        (lambda: detour(PICTURES), "T of at least 3"),
        (lambda: detour(torch.zeros(0, 4, 1, 3, 3)), "T of at least 3"),
        (lambda: hole_share(torch.randn(4, 10)), "softmax"),
        (lambda: hole_share(torch.eye(3), sure=1.1), "in \\(0, 1\\]"),
        (lambda: hole_share(torch.eye(3), sure=NAN), "in \\(0, 1\\]"),
        (lambda: fit_mixture(BAD), "NaN"),
        (lambda: fit_mixture(GOOD, components=6), "6 for 20 codes"),
        (lambda: fit_mixture(GOOD, components=0), "at least 1"),
        (lambda: fit_mixture(GOOD).sample(0), "n must be at least 1"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_integers_are_refused():
    with pytest.raises(TypeError, match="float"):
        frechet_distance(torch.ones(5, 2, dtype=torch.long), GOOD)
    with pytest.raises(TypeError, match="255"):
        nearest_neighbour_distance(PICTURES.long(), PICTURES)
