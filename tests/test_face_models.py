"""Face VAEs and the attribute classifier: sizes, shapes, and the properties that a change must not lose."""

import pytest
import torch
from torch import nn

from vae_course.losses import reparameterize
from vae_course.models.attributes import AttributeClassifier, attribute_loss, train_classifier
from vae_course.models.blocks import ResidualBlock
from vae_course.models.celeba import convolutional, flat, residual_spatial
from vae_course.recipes import RECIPES, recipe

pytestmark = pytest.mark.slow

SMALL = [name for name in RECIPES if name.endswith("-small")]
TINY = {
    "flat": lambda: flat(16, (8, 12, 12), 5),
    "convolutional": lambda: convolutional(16, (8, 12), 5, 2),
    "residual-spatial": lambda: residual_spatial(16, (8, 16), 3, (1, 2), 1),
}


@pytest.fixture(params=TINY)
def model(request):
    torch.manual_seed(0)
    return TINY[request.param]()


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


def on_meta(name):
    with torch.device("meta"):
        return RECIPES[name].build()


def count(model):
    return sum(p.numel() for p in model.parameters())


# The full recipes


def test_flat_32_has_the_published_size():
    model = on_meta("flat-32")
    assert count(model) == 28_385_603
    (linear,) = [layer for layer in model.decoder if isinstance(layer, nn.Linear)]
    assert linear.out_features == 262_144 == 256 * 32 * 32
    convolutions = [m for m in model.encoder if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [128, 256, 256, 256]
    assert [m.stride for m in convolutions] == [(2, 2), (2, 2), (1, 1), (1, 1)]
    assert all(m.kernel_size == (3, 3) for m in convolutions)
    assert {m.negative_slope for m in model.modules() if isinstance(m, nn.LeakyReLU)} == {0.01}


def test_the_other_sizes():
    assert 11e6 <= count(on_meta("perceptual-12m")) <= 13e6
    assert 33.95e6 <= count(on_meta("residual-spatial")) <= 34.05e6


def test_residual_spatial_is_what_the_design_says():
    model = on_meta("residual-spatial")
    assert model.z_shape == (4, 16, 16)
    norms = [m for m in model.modules() if isinstance(m, nn.GroupNorm)]
    assert {m.num_groups for m in norms} == {32}
    assert {m.num_channels for m in norms} == {64, 128, 256, 512}
    assert sum(isinstance(m, nn.MaxPool2d) for m in model.encoder) == 3
    assert [m.mode for m in model.decoder if isinstance(m, nn.Upsample)] == ["nearest"] * 3
    assert all(m.bias is None for m in model.modules() if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize("name", RECIPES)
def test_shapes_and_no_batch_statistics(name):
    model, size = on_meta(name), RECIPES[name].size
    x = torch.empty(2, 3, size, size, device="meta")
    mu, logvar = model.encode(x)
    assert mu.shape == logvar.shape == (2, *model.z_shape)
    assert model.decode(mu).shape == x.shape
    assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())


@pytest.mark.parametrize("name", SMALL)
def test_small_twins_are_small(name):
    small, full = RECIPES[name], RECIPES[name.removesuffix("-small")]
    assert small.family == full.family
    assert small.size <= 64
    assert count(on_meta(name)) < 0.2 * count(on_meta(full.name))
    for norm in (m for m in on_meta(name).modules() if isinstance(m, nn.GroupNorm)):
        assert norm.num_channels // norm.num_groups >= 8  # fewer say little about an image


# What every model does


def test_forward_is_encode_sample_decode(model, rng):
    x = torch.rand(3, *model.x_shape, generator=rng)
    eps = torch.randn(3, *model.z_shape, generator=rng)
    mean, mu, logvar = model(x, eps)
    want_mu, want_logvar = model.encode(x)
    torch.testing.assert_close((mu, logvar), (want_mu, want_logvar))
    torch.testing.assert_close(mean, model.decode(mu + torch.exp(logvar / 2) * eps).sigmoid())
    noise = torch.Generator().manual_seed(3)
    z = reparameterize(mu, logvar, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(model(x, torch.randn(mu.shape, generator=noise))[0], model.mean(z))


def test_gradients_reach_every_weight(model, rng):
    mean, mu, logvar = model(
        torch.rand(3, *model.x_shape, generator=rng), torch.randn(3, *model.z_shape, generator=rng)
    )
    (mean.sum() + (mu**2).sum() + (logvar**2).sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_samples(model):
    first, second = (model.sample(4, generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert first.shape == (4, *model.x_shape)
    assert torch.equal(first, second)
    assert not first.requires_grad
    assert 0 <= first.min() < first.max() <= 1
    assert not torch.equal(first[0], first[1])


def test_an_image_does_not_depend_on_its_batch(model, rng):
    model.double()
    x = torch.rand(3, *model.x_shape, generator=rng, dtype=torch.float64)
    eps = torch.randn(3, *model.z_shape, generator=rng, dtype=torch.float64)
    together = model(x, eps)
    alone = [torch.cat(parts) for parts in zip(*(model(x[i : i + 1], eps[i : i + 1]) for i in range(3)), strict=True)]
    torch.testing.assert_close(together, tuple(alone))


def test_channels_last_changes_nothing(model, rng):
    x, eps = torch.rand(3, *model.x_shape, generator=rng), torch.randn(3, *model.z_shape, generator=rng)
    plain = model(x, eps)
    model.to(memory_format=torch.channels_last)
    last = model(x.contiguous(memory_format=torch.channels_last), eps)
    torch.testing.assert_close(plain, last, atol=1e-5, rtol=1e-5)


def test_autocast_answers_in_32_bits(model, rng):
    x, eps = torch.rand(3, *model.x_shape, generator=rng), torch.randn(3, *model.z_shape, generator=rng)
    with torch.autocast("cpu", torch.bfloat16):
        mean, mu, logvar = model(x, eps)
        logits = model.decode(mu)
    assert {t.dtype for t in (mean, mu, logvar, logits)} == {torch.float32}
    torch.testing.assert_close(mean, model(x, eps)[0], atol=0.05, rtol=0)


@pytest.mark.parametrize("name", TINY)
def test_weights_come_back(name, rng, tmp_path):
    first, other = TINY[name](), TINY[name]()
    x = torch.rand(2, *first.x_shape, generator=rng)
    assert not torch.equal(other.encode(x)[0], first.encode(x)[0])
    torch.save(first.state_dict(), tmp_path / "weights.pt")
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(other.encode(x)[0], first.encode(x)[0])
    z = torch.randn(2, *first.z_shape, generator=rng)
    assert torch.equal(other.decode(z), first.decode(z))


def test_the_global_seed_decides_the_first_weights():
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(torch.cat([p.flatten() for p in recipe("flat-32-small", z=2).build().parameters()]))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


# tanh and the clamp of residual-spatial


def test_decode_applies_tanh_once(rng):
    model = TINY["residual-spatial"]()
    z = 2 * torch.randn(2, *model.z_shape, generator=rng)
    torch.testing.assert_close(model.decode(z), model.decoder(torch.tanh(z)))
    assert not torch.allclose(model.decode(z), model.decoder(z), atol=1e-3)
    assert not torch.allclose(model.decode(z), model.decoder(torch.tanh(torch.tanh(z))), atol=1e-3)


def test_prior_samples_reach_the_decoder_as_the_training_samples_do():
    """Where tanh is missing in sampling, a third of the decoder's inputs lie where it never saw one."""
    model = TINY["residual-spatial"]()
    seen = []
    model.decoder.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    model.sample(200, generator=torch.Generator().manual_seed(0))
    model(torch.rand(200, *model.x_shape), 3 * torch.randn(200, *model.z_shape))
    for inputs in seen:
        assert inputs.abs().max() <= 1  # 1 itself by rounding
    outside = torch.randn(200, *model.z_shape).abs() > 1  # what the decoder would be fed without it
    assert 0.3 < outside.float().mean() < 0.34
    # tanh of a standard normal: the quantiles of the prior, carried through
    want = torch.tanh(torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor([0.1, 0.5, 0.9])))
    got = seen[0].flatten().quantile(torch.tensor([0.1, 0.5, 0.9]))
    torch.testing.assert_close(got, want, atol=0.02, rtol=0)


@pytest.mark.parametrize("name", ["flat", "convolutional"])
def test_the_others_take_z_as_it_is(name, rng):
    model = TINY[name]()
    z = 2 * torch.randn(2, *model.z_shape, generator=rng)
    torch.testing.assert_close(model.decode(z), model.decoder(z))


def test_logvar_is_held_within_its_limits(rng):
    model = TINY["residual-spatial"]()
    with torch.no_grad():
        model.encoder[-1].weight.mul_(1e4)
    mu, logvar = model.encode(torch.rand(2, *model.x_shape, generator=rng))
    assert mu.abs().max() > 100
    assert logvar.abs().max() == 10
    assert logvar.min() == -10


# The residual block


def test_block_follows_its_formula(rng):
    block = ResidualBlock(8, 16, groups=2).double()
    x = torch.randn(2, 8, 5, 7, generator=rng, dtype=torch.float64)

    def normed(h, norm):
        parts = h.reshape(2, 2, -1)
        parts = (parts - parts.mean(2, keepdim=True)) / (parts.var(2, unbiased=False, keepdim=True) + norm.eps).sqrt()
        return parts.reshape(h.shape) * norm.weight[:, None, None] + norm.bias[:, None, None]

    def silu(h):
        return h / (1 + torch.exp(-h))

    for norm in (block.norm1, block.norm2):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    inner = block.conv2(silu(normed(block.conv1(x), block.norm1)))
    torch.testing.assert_close(block(x), silu(normed(block.shortcut(x) + inner, block.norm2)))
    assert isinstance(ResidualBlock(8, 8, groups=1).shortcut, nn.Identity)


# Nonsense


def test_bad_input_is_named(model):
    with pytest.raises(ValueError, match="images of shape"):
        model.encode(torch.rand(2, 3, 8, 16))
    with pytest.raises(ValueError, match="images of shape"):
        model.encode(torch.rand(2, 1, 16, 16))
    with pytest.raises(TypeError, match="float"):
        model.encode(torch.zeros(2, 3, 16, 16, dtype=torch.uint8))
    with pytest.raises(ValueError, match="latents of shape"):
        model.decode(torch.zeros(2, 1 + model.z_shape[0], *model.z_shape[1:]))
    with pytest.raises(ValueError, match="latents of shape"):
        model.decode(torch.zeros(model.z_shape))
    with pytest.raises(ValueError, match="eps"):
        model(torch.rand(2, *model.x_shape), torch.zeros(1, *model.z_shape))


def test_sizes_that_cannot_be_halved_are_named():
    for build in (lambda: flat(18, (8, 8), 2), lambda: convolutional(20, (8, 8, 8), 2, 1)):
        with pytest.raises(ValueError, match="multiple of"):
            build()
    with pytest.raises(ValueError, match="multiple of 8"):
        residual_spatial(20, (8, 8, 8, 8), 2, (1, 1, 1, 1), 1)
    with pytest.raises(ValueError, match="same levels"):
        residual_spatial(16, (8, 8), 2, (1,), 1)
    with pytest.raises(ValueError, match="groups"):
        ResidualBlock(8, 12, groups=5)


# The attribute classifier


class Squares:
    """Faces of a kind: is the upper half bright, is the left half red?"""

    attribute_names = ("Bright", "Red")
    size = 16

    def __init__(self, n=600):
        rng = torch.Generator().manual_seed(0)
        yes = torch.rand(n, 2, generator=rng) > 0.5
        x = 0.4 * torch.rand(n, 3, 16, 16, generator=rng)
        x[:, :, :8] += 0.5 * yes[:, 0, None, None, None]
        x[:, 0, :, :8] += 0.1 * yes[:, 1, None, None]
        self.x, self.attributes = x, yes.numpy()
        self.splits = {"train": torch.arange(n - 100).numpy(), "test": torch.arange(n - 100, n).numpy()}

    def batch(self, indices):
        return self.x[torch.from_numpy(indices)]


def test_classifier_learns_from_the_training_split():
    faces = Squares()
    state = torch.get_rng_state()
    first, again, other = (train_classifier(faces, seed=seed, epochs=4) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.head.weight, other.head.weight)
    assert not first.training
    test = faces.splits["test"]
    right = (first.probabilities(faces.batch(test)) > 0.5).numpy() == faces.attributes[test]
    assert (right.mean(axis=0) > 0.95).all()


def test_classifier_shapes_and_loss(rng):
    model = AttributeClassifier(32, ["A", "B", "C"]).double()
    x = torch.rand(5, 3, 32, 32, generator=rng, dtype=torch.float64)
    y = torch.rand(5, 3, generator=rng) > 0.5
    assert [tuple(m.shape[2:]) for m in model.feature_maps(x)] == [(16, 16), (8, 8), (4, 4), (2, 2)]
    assert model.features(x).shape == (5, 128)
    torch.testing.assert_close(model.probabilities(x, batch_size=2), model(x).sigmoid())
    terms = attribute_loss(model, x, y)
    want = -torch.distributions.Bernoulli(logits=model(x)).log_prob(y.double()).sum(dim=1)
    torch.testing.assert_close(terms["loss"], want)
    right = [
        sum((logit > 0) == truth for logit, truth in zip(*pair, strict=True)) for pair in zip(model(x), y, strict=True)
    ]
    torch.testing.assert_close(terms["accuracy"], torch.stack(right) / 3)


def test_classifier_refuses_what_it_cannot_use():
    with pytest.raises(ValueError, match="multiple of 16"):
        AttributeClassifier(40, ["A"])
    with pytest.raises(ValueError, match="no attributes"):
        AttributeClassifier(32, [])
    with pytest.raises(ValueError, match="takes images"):
        AttributeClassifier(32, ["A"])(torch.rand(1, 3, 16, 16))
    faces = Squares(200)
    faces.attributes = None
    with pytest.raises(RuntimeError, match="no attributes"):
        train_classifier(faces)
    faces = Squares(200)
    faces.splits["train"] = faces.splits["train"][:0]
    with pytest.raises(RuntimeError, match="empty"):
        train_classifier(faces)
