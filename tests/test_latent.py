"""Codes, planes and paths: against scikit-learn, SciPy, and geometry done another way."""

import ast
import math
from pathlib import Path

import jupytext
import pytest
import torch
from scipy import stats
from sklearn.decomposition import PCA

from vae_course import latent, strokes
from vae_course.models.mlp import MLPVAE

pytestmark = pytest.mark.slow  # trains or imports for seconds: `make check` goes without


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def normal(rng):
    return lambda *shape: torch.randn(*shape, generator=rng, dtype=torch.float64)


# ---- where the images lie ----


def test_posteriors_of_batches_are_those_of_the_whole(rng):
    model = MLPVAE(3, (16,), x_shape=(1, 6, 4))
    x = torch.rand(7, 1, 6, 4, generator=rng)
    whole = model.encode(x)
    for ours, theirs in zip(latent.posteriors(model, x, batch_size=2), whole, strict=True):
        assert ours.shape == (7, 3)
        assert not ours.requires_grad
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_posteriors_hand_each_image_its_own_condition():
    class Model:
        def encode(self, x, labels):
            return labels[:, None].float(), x.flatten(1)

    x = torch.rand(5, 1, 2, 2)
    mu, logvar = latent.posteriors(Model(), x, torch.arange(5), batch_size=2)
    assert mu.flatten().tolist() == [0, 1, 2, 3, 4]
    assert torch.equal(logvar, x.flatten(1))


def test_class_means(normal):
    codes, labels = normal(9, 3), torch.tensor([0, 2, 1, 1, 2, 0, 0, 2, 2])
    by_hand = [sum(c for c, k in zip(codes, labels, strict=True) if k == j) / (labels == j).sum() for j in range(3)]
    assert torch.allclose(latent.class_means(codes, labels), torch.stack(by_hand))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (torch.tensor([0, 1]), r"shape \(3,\), got \(2,\)"),
        (torch.tensor([[0], [1], [2]]), "one for each"),
        (torch.tensor([0, 2, 2]), "no code has the label 1"),
        (torch.tensor([0, -1, 2]), "between 0 and 2, got values from -1"),
        (torch.tensor([0, 1, 1.5]), "whole numbers"),
    ],
)
def test_class_means_refuse_labels_that_do_not_fit(labels, words, normal):
    with pytest.raises((ValueError, TypeError), match=words):
        latent.class_means(normal(3, 2), labels)


@pytest.mark.parametrize("d", [2, 5])
def test_principal_plane_is_that_of_scikit_learn(d, normal):
    codes = normal(40, d) @ normal(d, d) + normal(d)
    plane, pca = latent.principal_plane(codes), PCA(2).fit(codes.numpy())
    signs = torch.tensor([1.0 if c[abs(c).argmax()] > 0 else -1.0 for c in pca.components_], dtype=torch.float64)
    assert torch.allclose(plane.share, torch.from_numpy(pca.explained_variance_ratio_))
    assert torch.allclose(plane.project(codes), torch.from_numpy(pca.transform(codes.numpy())) * signs)


def test_a_point_of_the_plane_comes_back(normal):
    plane, points = latent.principal_plane(normal(30, 7)), normal(6, 2)
    assert plane.lift(points).shape == (6, 7)
    assert torch.allclose(plane.project(plane.lift(points)), points)


def test_principal_plane_does_not_depend_on_the_order_of_the_codes(normal):
    codes = normal(30, 4)
    assert torch.allclose(latent.principal_plane(codes).directions, latent.principal_plane(codes.flip(0)).directions)


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (torch.zeros(5, 1), "at least two dimensions"),
        (torch.ones(5, 3), "do not spread"),
        (torch.full((1000, 3), 0.1), "do not spread"),  # their mean is not quite 0.1
        (torch.full((5, 3), torch.nan), "finite"),
        (torch.rand(1, 3), "do not spread"),
        (torch.rand(3), "shape"),
        (torch.rand(0, 3), "N > 0"),
    ],
)
def test_codes_without_a_plane_are_refused(codes, words):
    with pytest.raises(ValueError, match=words):
        latent.principal_plane(codes)


# ---- where to look ----


@pytest.mark.parametrize("n", [1, 2, 9, 20])
def test_prior_quantiles_cut_the_prior_into_equal_shares(n):
    wanted = torch.from_numpy(stats.norm.ppf([(i + 0.5) / n for i in range(n)])).float()
    assert torch.allclose(latent.prior_quantiles(n), wanted, atol=1e-6)


def test_plane_grid_reads_like_a_picture():
    grid = latent.plane_grid(torch.tensor([-1.0, 0.0, 2.0]))
    assert grid.tolist() == [[-1, 2], [0, 2], [2, 2], [-1, 0], [0, 0], [2, 0], [-1, -1], [0, -1], [2, -1]]


def test_traverse_moves_one_latent(normal):
    z, values = normal(4), normal(6)
    moved = latent.traverse(z, 2, values)
    assert moved.shape == (6, 4)
    assert torch.equal(moved[:, 2], values)
    for j in (0, 1, 3):
        assert (moved[:, j] == z[j]).all()


def test_effects_of_a_decoder_whose_latents_are_known(normal):
    def decode(z):  # latent 0 sets the brightness, latent 1 nothing
        return z[:, :1, None, None].sigmoid().expand(-1, 1, 3, 3)

    codes, values = normal(5, 2), torch.tensor([-1.0, 0.0, 2.0], dtype=torch.float64)
    found = latent.effects(decode, codes, values, lambda images: images.mean(dim=(1, 2, 3)))
    assert torch.allclose(found[0], values.sigmoid())
    assert torch.allclose(found[1], codes[:, 0].sigmoid().mean().expand(3))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: latent.prior_quantiles(0), ValueError, "at least 1"),
        (lambda: latent.plane_grid(torch.zeros(2, 2)), ValueError, "shape"),
        (lambda: latent.plane_grid(torch.zeros(0)), ValueError, "n > 0"),
        (lambda: latent.traverse(torch.zeros(1, 4), 0, torch.zeros(2)), ValueError, "shape"),
        (lambda: latent.traverse(torch.zeros(4), 4, torch.zeros(2)), IndexError, "no latent 4"),
        (lambda: latent.traverse(torch.zeros(4), -1, torch.zeros(2)), IndexError, "no latent -1"),
        (lambda: latent.effects(lambda z: z, torch.zeros(4), torch.zeros(2), torch.sum), ValueError, "shape"),
    ],
)
def test_places_that_do_not_exist_are_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


# ---- ways from one latent to another ----


@pytest.mark.parametrize("path", [latent.lerp, latent.slerp])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_paths_begin_and_end_where_they_should(path, dtype, normal):
    a, b, t = normal(6).to(dtype), 3 * normal(6).to(dtype), torch.tensor([0, 0.25, 1], dtype=dtype)
    points = path(a, b, t)
    assert points.shape == (3, 6)
    assert points.dtype == dtype
    assert torch.allclose(points[[0, 2]], torch.stack([a, b]), atol=1e-5)


def test_lerp_by_hand():
    points = latent.lerp(torch.tensor([0.0, 4.0]), torch.tensor([8.0, 0.0]), torch.tensor([0.25, 0.5]))
    assert points.tolist() == [[2, 3], [4, 2]]


@pytest.mark.parametrize("d", [2, 3, 16])
def test_slerp_by_halving_the_angle_again_and_again(d, normal):
    a, b = normal(d), normal(d)

    def halved(u, v, depth):  # the direction in the middle of two is that of their sum
        if depth == 0:
            return [u]
        middle = (u + v) / (u + v).norm()
        return halved(u, middle, depth - 1) + halved(middle, v, depth - 1)

    t = torch.arange(16, dtype=torch.float64) / 16
    directions = torch.stack(halved(a / a.norm(), b / b.norm(), 4))
    wanted = ((1 - t) * a.norm() + t * b.norm())[:, None] * directions
    assert torch.allclose(latent.slerp(a, b, t), wanted, atol=1e-12)


def test_norms_halfway(normal):
    """Independent draws from N(0, I) in d dimensions: √d at the ends and on the arc, √(d/2) on the line."""
    d, middle = 400, torch.tensor([0.5], dtype=torch.float64)
    ends = normal(200, 2, d)
    straight = torch.cat([latent.lerp(a, b, middle) for a, b in ends]).norm(dim=1)
    arc = torch.cat([latent.slerp(a, b, middle) for a, b in ends]).norm(dim=1)
    assert straight.mean() == pytest.approx(math.sqrt(d / 2), rel=0.02)  # 200 pairs: a standard error of 0.3 %
    assert arc.mean() == pytest.approx(math.sqrt(d), rel=0.02)


@pytest.mark.parametrize("turn", [0.0, 1e-9, 1e-5, 1e-3])
def test_ends_of_nearly_one_direction(turn):
    a = torch.tensor([1.0, 0.0], dtype=torch.float64)
    b = 2 * torch.tensor([math.cos(turn), math.sin(turn)], dtype=torch.float64)
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    wanted = torch.stack([(1 + t) * (turn * t).cos(), (1 + t) * (turn * t).sin()], dim=1)
    assert torch.allclose(latent.slerp(a, b, t), wanted, atol=1e-9)


def test_ends_almost_opposite_still_have_an_arc():
    a, turn = torch.tensor([1.0, 0.0]), 3.13
    b = torch.tensor([math.cos(turn), math.sin(turn)])
    middle = latent.slerp(a, b, torch.tensor([0.5]))[0]
    assert middle.tolist() == pytest.approx([math.cos(turn / 2), math.sin(turn / 2)], abs=1e-4)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ([1.0, 2.0], [-2.0, -4.0], "opposite"),
        ([3.0], [-1.0], "opposite"),
        ([0.0, 0.0], [1.0, 0.0], "zero or NaN"),
        ([1.0, 0.0], [float("nan"), 0.0], "zero or NaN"),
        ([1.0, 0.0], [1.0, 0.0, 0.0], "shape"),
        ([[1.0, 0.0]], [[0.0, 1.0]], "shape"),
    ],
)
def test_ends_without_an_arc_are_refused(a, b, words):
    with pytest.raises(ValueError, match=words):
        latent.slerp(torch.tensor(a), torch.tensor(b), torch.tensor([0.5]))


def test_t_is_a_list_of_places():
    for path in (latent.lerp, latent.slerp):
        with pytest.raises(ValueError, match="t must have shape"):
            path(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), torch.tensor(0.5))


# ---- written by hand in lesson 06, imported afterwards ----


@pytest.fixture(scope="module")
def lesson():
    """The functions that the lesson defines, and nothing else of it."""
    path = Path(__file__).resolve().parents[1] / "notebooks" / "06_latent_space.py"
    namespace = {"torch": torch}
    for cell in jupytext.read(path, fmt="py:percent").cells:
        if cell.cell_type == "code":
            functions = [node for node in ast.parse(cell.source).body if isinstance(node, ast.FunctionDef)]
            exec(compile(ast.Module(functions, []), path.name, "exec"), namespace)
    return namespace


@pytest.mark.parametrize("name", ["lerp", "slerp"])
@pytest.mark.parametrize("d", [2, 16])
def test_paths_of_the_lesson(name, d, lesson, normal):
    a, b, t = normal(d), normal(d), torch.linspace(0, 1, 7, dtype=torch.float64)
    assert torch.allclose(lesson[name](a, b, t), getattr(latent, name)(a, b, t), rtol=1e-10)


def test_places_of_the_lesson(lesson, normal):
    assert torch.equal(lesson["prior_quantiles"](9), latent.prior_quantiles(9))
    values = normal(4)
    assert torch.equal(lesson["plane_grid"](values), latent.plane_grid(values))
    z = normal(5)
    assert torch.equal(lesson["traverse"](z, 3, values), latent.traverse(z, 3, values))


def test_principal_plane_of_the_lesson(lesson, normal):
    codes = normal(30, 5)
    mean, directions, share = lesson["principal_plane"](codes)
    plane = latent.principal_plane(codes)
    assert torch.allclose(mean, plane.mean)
    assert torch.allclose(directions * (directions * plane.directions).sum(1, keepdim=True).sign(), plane.directions)
    assert torch.allclose(share, plane.share)


def test_slant_of_the_lesson(lesson, rng):
    images = torch.rand(4, 1, 9, 7, generator=rng, dtype=torch.float64)
    assert torch.allclose(lesson["slant"](images), strokes.slant(images), rtol=1e-10)
