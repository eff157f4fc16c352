"""The conditional VAE: who gets the condition, sizes by hand, gradients everywhere, and that it learns to obey."""

import pytest
import torch

from vae_course import training
from vae_course.losses import negative_elbo
from vae_course.models.conditional import ConditionalVAE
from vae_course.models.mlp import MLPVAE

pytestmark = pytest.mark.slow  # trains or imports for seconds: `make check` goes without

SEES = [(True, True), (True, False), (False, True), (False, False)]
each_model = pytest.mark.parametrize(("encoder_sees", "decoder_sees"), SEES)


def small(encoder_sees=True, decoder_sees=True, seed=0):
    torch.manual_seed(seed)
    return ConditionalVAE(
        4, hidden=(16, 12), classes=3, x_shape=(2, 5, 3), encoder_sees=encoder_sees, decoder_sees=decoder_sees
    )


def batch(n=6, shape=(2, 5, 3), classes=3):
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(1)), torch.arange(n) % classes


@each_model
def test_shapes(encoder_sees, decoder_sees):
    model, (x, c) = small(encoder_sees, decoder_sees), batch()
    mu, logvar = model.encode(x, c)
    assert mu.shape == logvar.shape == (6, 4)
    assert model.decode(mu, c).shape == x.shape
    logits, mu, logvar = model(x, c)
    assert logits.shape == x.shape
    assert mu.shape == logvar.shape == (6, 4)
    assert model.sample(c).shape == x.shape


@each_model
def test_parameters_by_hand(encoder_sees, decoder_sees):
    e, d = 10 * encoder_sees, 10 * decoder_sees
    want = ((784 + e) * 400 + 400) + (400 * 32 + 32) + ((16 + d) * 400 + 400) + (400 * 784 + 784)
    model = ConditionalVAE(16, (400,), encoder_sees=encoder_sees, decoder_sees=decoder_sees)
    assert sum(p.numel() for p in model.parameters()) == want


@each_model
def test_only_who_sees_the_condition_depends_on_it(encoder_sees, decoder_sees):
    model, (x, c) = small(encoder_sees, decoder_sees), batch()
    other = (c + 1) % 3
    for ours, theirs in zip(model.encode(x, c), model.encode(x, other), strict=True):
        assert torch.equal(ours, theirs) == (not encoder_sees)
    z = torch.zeros(6, 4)
    assert torch.equal(model.decode(z, c), model.decode(z, other)) == (not decoder_sees)


def test_a_model_that_sees_no_condition_is_the_plain_vae():
    model, plain = small(False, False), MLPVAE(4, hidden=(16, 12), x_shape=(2, 5, 3))
    torch.nn.utils.vector_to_parameters(torch.nn.utils.parameters_to_vector(model.parameters()), plain.parameters())
    x, c = batch()
    assert torch.equal(model.encode(x, c)[0], plain.encode(x)[0])
    assert torch.equal(model.decode(torch.ones(6, 4), c), plain.decode(torch.ones(6, 4)))


def test_one_hot_is_a_bias_for_each_class():
    """By linearity, c beside x shifts the first layer by one column of its weight: the oracle is that sum."""
    model, (x, c) = small(), batch()
    first = model.encoder[0]
    want = x.flatten(1) @ first.weight[:, :30].T + first.bias + first.weight[:, 30:].T[c]
    seen = []
    first.register_forward_hook(lambda layer, inputs, output: seen.append(output))
    model.encode(x, c)
    torch.testing.assert_close(seen[0], want)


@each_model
def test_the_loss_reaches_every_parameter(encoder_sees, decoder_sees):
    model, (x, c) = small(encoder_sees, decoder_sees), batch()
    negative_elbo(model, x, c)["loss"].mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_every_image_is_treated_on_its_own():
    model, (x, c) = small(), batch()
    mu, logvar = model.encode(x, c)
    torch.testing.assert_close(mu[2:3], model.encode(x[2:3], c[2:3])[0])
    torch.testing.assert_close(logvar[2:3], model.encode(x[2:3], c[2:3])[1])
    torch.testing.assert_close(model.decode(mu, c)[2:3], model.decode(mu[2:3], c[2:3]))


def test_one_pass_samples_around_mu():
    model, (x, c) = small(), batch()
    with torch.no_grad():
        logits, mu, _ = model(x, c)
        assert not torch.allclose(logits, model.decode(mu, c), atol=1e-6)
        model.encoder[-1].bias[4:] = -60
        logits, mu, _ = model(x, c)
        torch.testing.assert_close(logits, model.decode(mu, c))


def test_samples_are_repeatable_means_of_the_prior():
    model, (_, c) = small(), batch()
    one, two = (model.sample(c, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, model.sample(c, generator=torch.Generator().manual_seed(4)))
    z = torch.randn(6, 4, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(one, model.decode(z, c).sigmoid())
    assert not one.requires_grad


def test_half_precision_comes_back_in_single():
    model, (x, c) = small(), batch()
    with torch.autocast("cpu", torch.bfloat16):
        mu, logvar = model.encode(x, c)
        assert mu.dtype == logvar.dtype == model.decode(mu, c).dtype == torch.float32


def test_it_learns_to_obey():
    """Two classes that differ in three rows, and a fourth row, black or white in both, which is what z is for."""
    torch.manual_seed(0)
    x = torch.zeros(64, 1, 4, 8)
    c = torch.arange(64) % 2
    x[c == 1] = 1
    x[:, :, 0] = (torch.arange(64) // 2 % 2)[:, None, None]
    model = ConditionalVAE(2, hidden=(32,), classes=2, x_shape=(1, 4, 8))
    training.fit(model, (x, c), epochs=40, lr=2e-2, batch_size=16)
    asked = torch.arange(2).repeat_interleave(100)
    images = model.sample(asked)
    ink = images[:, :, 1:].mean(dim=(1, 2, 3))
    assert ink[asked == 0].max() < 0.3
    assert ink[asked == 1].min() > 0.7
    for k in range(2):  # both kinds of first row come in either class
        assert 0.2 < (images[asked == k][:, :, 0].mean(dim=(1, 2)) > 0.5).float().mean() < 0.8


@pytest.mark.parametrize(
    ("c", "error", "words"),
    [
        (torch.tensor([0, 1, 3]), ValueError, "between 0 and 2.*0 to 3"),
        (torch.tensor([0, -1, 2]), ValueError, "between 0 and 2.*-1 to 2"),
        (torch.tensor([0, 1]), ValueError, r"shape \(3,\), got \(2,\)"),
        (torch.tensor([[0], [1], [2]]), ValueError, r"shape \(3,\), got \(3, 1\)"),
        (torch.tensor(1), ValueError, r"shape \(3,\), got \(\)"),
        (torch.tensor([0.0, 1.0, 2.0]), TypeError, "whole numbers.*float32"),
        (torch.eye(3), TypeError, "one-hot"),
        (torch.tensor([True, False, True]), TypeError, "bool"),
    ],
)
@each_model
def test_unusable_labels(c, error, words, encoder_sees, decoder_sees):
    model, (x, _) = small(encoder_sees, decoder_sees), batch(3)
    with pytest.raises(error, match=words):
        model.encode(x, c)
    with pytest.raises(error, match=words):
        model.decode(torch.zeros(3, 4), c)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32])
def test_whole_numbers_of_any_type_are_labels(dtype):
    model, c = small(), torch.tensor([0, 2, 1])
    assert torch.equal(model.decode(torch.zeros(3, 4), c.to(dtype)), model.decode(torch.zeros(3, 4), c))


def test_unusable_labels_of_samples():
    model = small()
    with pytest.raises(ValueError, match="between 0 and 2"):
        model.sample(torch.tensor([7]))
    with pytest.raises(TypeError, match="float32"):
        model.sample(torch.tensor([1.0]))


def test_other_unusable_input():
    model, (x, c) = small(), batch(3)
    with pytest.raises(ValueError, match=r"latents of shape \(B, 4\), got \(3, 5\)"):
        model.decode(torch.zeros(3, 5), c)
    with pytest.raises(ValueError, match=r"images of shape \(B, 2, 5, 3\)"):
        model.encode(x[:, :1], c)
    with pytest.raises(TypeError, match="float"):
        model.encode((x * 255).to(torch.uint8), c)
    for z_dim in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match="z_dim"):
            ConditionalVAE(z_dim)
    with pytest.raises(ValueError, match="at least 2 classes, got 1"):
        ConditionalVAE(classes=1)
