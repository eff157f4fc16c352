"""Recipes: what they compute against sums written out, what their weights amount to, and what they refuse."""

import json
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from vae_course import losses
from vae_course.recipes import RECIPES, Recipe, objective, recipe

TINY = {
    "flat-32": {"size": 8, "channels": (4, 4), "z": 3},
    "perceptual-12m": {"size": 8, "channels": (4, 4), "groups": 2, "z": 3},
    "residual-spatial": {"size": 8, "channels": (4, 8), "blocks": (1, 1), "groups": 1, "z": 2},
}


def half_mse(a, b):
    return 0.5 * ((a - b) ** 2).flatten(1).mean(dim=1)


@pytest.fixture(params=TINY)
def tiny(request):
    """A named recipe with a network of a few hundred weights; the objective is left as it is."""
    torch.manual_seed(0)
    r = recipe(request.param, **TINY[request.param])
    model = r.build().double()
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(5, *model.x_shape, generator=rng, dtype=torch.float64)
    eps = torch.randn(5, *model.z_shape, generator=rng, dtype=torch.float64)
    return r, model, x, eps, half_mse if r.perceptual_weight else None


# The named ones


def test_design_numbers():
    flat, perceptual, spatial = (RECIPES[name] for name in TINY)
    assert (flat.rec, flat.reduction, flat.kl_weight) == ("sse", "sum", 1)
    assert (flat.lr, flat.batch_size, flat.epochs, flat.split, flat.size) == (5e-4, 32, 200, "80/20", 128)
    assert (perceptual.rec, perceptual.reduction, perceptual.kl_weight) == ("l1", "mean", 0.02)
    assert (perceptual.perceptual_weight, perceptual.images, perceptual.size) == (1, 15_000, 128)
    assert (spatial.rec, spatial.reduction, spatial.kl_weight, spatial.size) == ("sse", "sum", 0.1, 128)


@pytest.mark.parametrize("name", TINY)
def test_small_twins_share_the_objective(name):
    full, small = RECIPES[name], RECIPES[f"{name}-small"]
    for field in ("family", "rec", "reduction", "perceptual_weight", "when_nan", "split"):
        assert getattr(small, field) == getattr(full, field), field
    # the same weight, or, beside a sum over fewer pixels, as much less of it
    assert small.kl_weight in (full.kl_weight, full.kl_weight * small.pixels / full.pixels)


@pytest.mark.parametrize("name", RECIPES)
def test_counts_of_values_are_the_models(name):
    with torch.device("meta"):
        model = RECIPES[name].build()
    assert RECIPES[name].pixels == math.prod(model.x_shape)
    assert RECIPES[name].latents == math.prod(model.z_shape)


# Effective weights


def test_effective_weights_by_hand():
    flat, perceptual, spatial = (RECIPES[name].effective() for name in TINY)
    assert flat == pytest.approx({"kl_weight": 1, "variance": 0.5, "sigma": 0.70711, "beta": 0.5}, rel=1e-4)
    assert spatial == pytest.approx({"kl_weight": 0.1, "variance": 0.05, "sigma": 0.22361, "beta": 0.05}, rel=1e-4)
    d = RECIPES["perceptual-12m"].z
    assert perceptual["kl_weight"] == perceptual["scale"] == pytest.approx(0.02 * 49152 / d)
    assert perceptual["if_kl_were_summed"] == pytest.approx(983.04)
    assert perceptual["perceptual_weight"] == 49152


def test_effective_weight_is_a_ratio_of_gradients(tiny):
    """Lesson 04's measurement: how much each term pulls, beside summed errors and a summed KL."""
    r, model, x, eps, distance = tiny
    seen = {}

    def watched(x, eps):
        mean, mu, logvar = model(x, eps)
        seen.update(mean=mean, mu=mu, logvar=logvar)
        return mean, mu, logvar

    terms = objective(r, watched, x, eps, perceptual=distance)
    mean, mu, logvar = seen.values()
    other = distance(x, mean) * r.perceptual_weight if distance else 0
    of_rec = torch.autograd.grad((terms["loss"] - other).sum(), mean, retain_graph=True)[0]
    error = ((x - mean) ** 2 if r.rec == "sse" else (x - mean).abs()).sum()
    rec_factor = of_rec.norm() / torch.autograd.grad(error, mean, retain_graph=True)[0].norm()
    kl = losses.kl_to_standard_normal(mu.flatten(1), logvar.flatten(1)).sum()
    doubled = objective(r, watched, x, eps, kl_weight=2 * r.kl_weight, perceptual=distance)  # differs by one KL
    latest = seen["mu"], seen["logvar"]
    of_loss = torch.autograd.grad(doubled["loss"].sum(), latest)
    once = torch.autograd.grad(terms["loss"].sum(), (mu, logvar), retain_graph=True)
    of_kl = torch.autograd.grad(kl, (mu, logvar))
    kl_factor = (of_loss[0] - once[0]).norm() / of_kl[0].norm()
    assert (kl_factor / rec_factor).item() == pytest.approx(r.effective()["kl_weight"], rel=1e-9)


@pytest.mark.parametrize(("name", "kind"), [("flat-32", "variance"), ("residual-spatial", "variance")])
def test_effective_variance_makes_it_the_exact_bound(name, kind):
    """SSE + w·KL and 2σ²·(-ELBO) of a Gaussian decoder with σ² = w/2 differ by a constant."""
    torch.manual_seed(0)
    r = recipe(name, **TINY[name])
    model, var = r.build().double(), r.effective()[kind]
    gaps = []
    for _ in range(3):
        x, eps = torch.rand(4, *model.x_shape).double(), torch.randn(4, *model.z_shape).double()
        mean, mu, logvar = model(x, eps)
        kl = losses.kl_to_standard_normal(mu.flatten(1), logvar.flatten(1))
        bound = -losses.gaussian_log_likelihood(mean, x, var=var) + kl
        gaps.append(objective(r, model, x, eps)["loss"] - 2 * var * bound)
    gaps = torch.cat(gaps)
    torch.testing.assert_close(gaps, gaps[:1].expand_as(gaps))


def test_effective_scale_makes_it_the_exact_bound():
    """Mean L1 + w·mean KL, without the perceptual term, is a multiple of the -ELBO of a Laplace decoder."""
    torch.manual_seed(0)
    r = recipe("perceptual-12m", **TINY["perceptual-12m"], perceptual_weight=0.0)
    model, scale = r.build().double(), r.effective()["scale"]
    x, eps = torch.rand(9, *model.x_shape).double(), torch.randn(9, *model.z_shape).double()
    mean, mu, logvar = model(x, eps)
    bound = -losses.laplace_log_likelihood(mean, x, scale=scale) + losses.kl_to_standard_normal(mu, logvar)
    gaps = objective(r, model, x, eps)["loss"] * r.pixels - scale * bound
    torch.testing.assert_close(gaps, gaps[:1].expand_as(gaps))


# The objective


def test_objective_by_hand(tiny):
    r, model, x, eps, distance = tiny
    terms = objective(r, model, x, eps, perceptual=distance)
    mu, logvar = model.encode(x)
    mean = model.decode(mu + logvar.exp().sqrt() * eps).sigmoid()
    reduced = {"sse": F.mse_loss, "l1": F.l1_loss}[r.rec]
    for i in range(5):
        one = torch.distributions.Normal(mu[i], logvar[i].exp().sqrt())
        kl = torch.distributions.kl_divergence(one, torch.distributions.Normal(0.0, 1.0))
        rec = reduced(mean[i], x[i], reduction=r.reduction)
        loss = rec + r.kl_weight * (kl.sum() if r.reduction == "sum" else kl.mean())
        if distance:
            loss = loss + r.perceptual_weight * half_mse(x[i : i + 1], mean[i : i + 1])[0]
        torch.testing.assert_close(terms["loss"][i], loss)
        torch.testing.assert_close(terms["kl"][i], kl.sum())
        torch.testing.assert_close(terms["rec"][i], reduced(mean[i], x[i], reduction="sum"))
    assert {t.shape for t in terms.values()} == {(5,)}
    assert ("perceptual" in terms) == (distance is not None)


def test_annealed_weight(tiny):
    r, model, x, eps, distance = tiny
    none, half, full = (
        objective(r, model, x, eps, kl_weight=w, perceptual=distance)["loss"] for w in (0, 0.5 * r.kl_weight, None)
    )
    torch.testing.assert_close(half, (none + full) / 2)
    assert (full > none).all()


def test_objective_goes_through_a_wrapper(tiny):
    """DistributedDataParallel and its like only see calls of the module itself."""
    r, model, x, eps, distance = tiny

    class Wrapper(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.module = model

        def forward(self, *args):
            return self.module(*args)

    got = objective(r, Wrapper(), x, eps, perceptual=distance)
    torch.testing.assert_close(got, objective(r, model, x, eps, perceptual=distance))


def test_a_few_steps_lower_the_loss(tiny):
    r, model, x, eps, distance = tiny
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    first = None
    for _ in range(30):
        loss = objective(r, model, x, eps, perceptual=distance)["loss"].mean()
        first = loss.item() if first is None else first
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.97 * first


def test_objective_refuses_nonsense(tiny):
    r, model, x, eps, distance = tiny
    for weight in (math.nan, math.inf, -1):
        with pytest.raises(ValueError, match="kl_weight"):
            objective(r, model, x, eps, kl_weight=weight, perceptual=distance)
    for bad in (x + 1, x - 1, torch.full_like(x, math.nan), x[:0]):
        with pytest.raises(ValueError, match=r"\[0, 1\]|no images"):
            objective(r, model, bad, eps[: len(bad)], perceptual=distance)
    with pytest.raises(ValueError, match="eps"):
        objective(r, model, x, eps[:1], perceptual=distance)
    with pytest.raises(ValueError, match="images of shape"):
        objective(r, model, x[..., :4], eps, perceptual=distance)
    with pytest.raises(TypeError, match="float"):
        objective(r, model, (255 * x).byte(), eps, perceptual=distance)
    with pytest.raises(ValueError, match="perceptual"):
        objective(r, model, x, eps, perceptual=None if distance else half_mse)


# Names, changes, and the way through JSON


@pytest.mark.parametrize("name", RECIPES)
def test_json_and_back(name):
    there = json.loads(json.dumps(RECIPES[name].as_dict()))
    back = Recipe.from_dict(there)
    assert back == RECIPES[name]
    assert hash(back) == hash(RECIPES[name])


def test_changes():
    assert recipe("flat-32") is not RECIPES["flat-32-small"]
    assert recipe("flat-32", epochs=3) == replace(RECIPES["flat-32"], epochs=3)
    assert recipe("flat-32", channels=[8, 8]).channels == (8, 8)
    with pytest.raises(ValueError, match=r"flat-23.*perceptual-12m"):
        recipe("flat-23")
    with pytest.raises(ValueError, match=r"no learning_rate.*lr"):
        recipe("flat-32", learning_rate=1)


def test_another_versions_fields_are_named():
    values = RECIPES["flat-32"].as_dict()
    del values["lr"]
    values["speed"] = 1
    with pytest.raises(ValueError, match=r"speed.*lr"):
        Recipe.from_dict(values)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("family", "flatt"),
        ("rec", "mse"),
        ("reduction", "average"),
        ("schedule", "cosine"),
        ("when_nan", "ignore"),
        ("split", "90/10"),
        ("kl_weight", math.nan),
        ("kl_weight", -0.1),
        ("perceptual_weight", math.inf),
        ("perceptual_weight", "1"),
        ("lr", 0.0),
        ("lr", math.nan),
        ("clip", -1.0),
        ("ema", 1.0),
        ("beta_annealing", 1.5),
        ("batch_size", 0),
        ("batch_size", 2.5),
        ("epochs", True),
        ("images", 0),
        ("size", -64),
        ("channels", (8, 0)),
        ("channels", ()),
        ("channels", 8),
    ],
)
def test_nonsense_is_named(field, value):
    with pytest.raises(ValueError, match=field):
        recipe("flat-32", **{field: value})
