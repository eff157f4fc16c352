"""The two networks: shapes, sizes by hand, gradients everywhere, and that they can learn."""

import pytest
import torch
from torch.distributions import Bernoulli

from vae_course.losses import kl_to_standard_normal, negative_elbo
from vae_course.models.conv import ConvVAE
from vae_course.models.mlp import MLPVAE

SMALL = {
    "mlp": lambda z_dim=3: MLPVAE(z_dim, hidden=(16, 12), x_shape=(2, 5, 3)),
    "conv": lambda z_dim=3: ConvVAE(z_dim),
}
both = pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)


def pixels(n, shape, seed=0):
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed))


def count(model):
    return sum(p.numel() for p in model.parameters())


@both
def test_shapes(make):
    model = make()
    x = pixels(4, model.x_shape)
    mu, logvar = model.encode(x)
    assert mu.shape == logvar.shape == (4, 3)
    assert model.decode(mu).shape == x.shape
    logits, mu, logvar = model(x)
    assert logits.shape == x.shape
    assert mu.shape == logvar.shape == (4, 3)


def test_parameters_of_the_mlp_by_hand():
    z, h, pixels_ = 20, 400, 784
    want = (pixels_ * h + h) + (h * 2 * z + 2 * z) + (z * h + h) + (h * pixels_ + pixels_)
    assert want == 652_824  # pytorch/examples' VAE, whose two heads are our one
    assert count(MLPVAE()) == want
    assert count(MLPVAE(3, hidden=(16, 12), x_shape=(2, 5, 3))) == (
        (30 * 16 + 16) + (16 * 12 + 12) + (12 * 6 + 6) + (3 * 12 + 12) + (12 * 16 + 16) + (16 * 30 + 30)
    )


@pytest.mark.parametrize("z_dim", [2, 20])
def test_parameters_of_the_conv_net_by_hand(z_dim):
    down = (9 * 1 * 32 + 32) + (9 * 32 * 64 + 64)
    up = (9 * 64 * 32 + 32) + (9 * 32 * 1 + 1)
    flat = 64 * 7 * 7
    heads = (flat * 256 + 256) + (256 * 2 * z_dim + 2 * z_dim) + (z_dim * 256 + 256) + (256 * flat + flat)
    assert count(ConvVAE(z_dim)) == down + heads + up


@both
def test_the_loss_reaches_every_parameter(make):
    torch.manual_seed(0)
    model = make()
    negative_elbo(model, pixels(4, model.x_shape))["loss"].mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@both
def test_every_image_is_treated_on_its_own(make):
    model = make()
    x = pixels(4, model.x_shape)
    mu, logvar = model.encode(x)
    torch.testing.assert_close(mu[2:3], model.encode(x[2:3])[0])
    torch.testing.assert_close(logvar[2:3], model.encode(x[2:3])[1])
    torch.testing.assert_close(model.decode(mu)[2:3], model.decode(mu[2:3]))


@both
def test_no_activation_bounds_mu_logvar_or_logits(make):
    """With a ReLU or a sigmoid at the end, one sign would never be seen."""
    torch.manual_seed(0)
    model = make(8)
    x = pixels(16, model.x_shape)
    for values in (*model.encode(x), model.decode(3 * torch.randn(16, 8))):
        assert values.min() < 0 < values.max()


@both
def test_one_pass_samples_around_mu(make):
    """With a logvar of -60 the sample is mu, so the logits must be those of mu; with a wide one they must not."""
    model = make()
    x = pixels(4, model.x_shape)
    last = [m for m in model.encoder if hasattr(m, "bias")][-1]
    with torch.no_grad():
        logits, mu, _ = model(x)
        assert not torch.allclose(logits, model.decode(mu), atol=1e-6)
        last.bias[model.z_dim :] = -60
        logits, mu, _ = model(x)
        torch.testing.assert_close(logits, model.decode(mu))


@both
def test_one_batch_can_be_learnt(make):
    torch.manual_seed(0)
    model = make(8)
    x = pixels(8, model.x_shape).round()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-2 if make is SMALL["mlp"] else 3e-3)
    losses = []
    for _ in range(200 if make is SMALL["mlp"] else 60):
        loss = negative_elbo(model, x)["loss"].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    without_z = Bernoulli(probs=x.mean(dim=0)).entropy().sum().item()  # the best that a model can do that ignores z
    assert sum(losses[-10:]) / 10 < 0.7 * without_z < 0.7 * losses[0]
    assert kl_to_standard_normal(*model.encode(x)).mean() > 1


@pytest.mark.parametrize("z_dim", [0, -1, 2.0, True, "2", None])
@pytest.mark.parametrize("build", [MLPVAE, ConvVAE])
def test_a_latent_without_dimensions_is_refused(build, z_dim):
    with pytest.raises(ValueError, match=f"z_dim must be a whole number of at least 1, got {z_dim!r}"):
        build(z_dim)


@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 28), (4, 784), (4, 3, 28, 28), (4, 1, 32, 32)])
@pytest.mark.parametrize("build", [MLPVAE, ConvVAE])
def test_other_images_are_refused_with_what_was_expected_and_what_came(build, shape):
    with pytest.raises(ValueError, match=r"takes images of shape \(B, 1, 28, 28\), got \(") as caught:
        build(2).encode(torch.zeros(shape))
    assert str(caught.value).endswith(str(shape))


@both
def test_integer_pixels_are_refused(make):
    model = make()
    with pytest.raises(TypeError, match=r"must be float in \[0, 1\], got torch.uint8"):
        model.encode(torch.zeros(4, *model.x_shape, dtype=torch.uint8))


@pytest.mark.parametrize("shape", [(3,), (4, 2), (4, 3, 1, 1)])
@both
def test_other_latents_are_refused(make, shape):
    with pytest.raises(ValueError, match=r"takes latents of shape \(B, 3\), got \(") as caught:
        make().decode(torch.zeros(shape))
    assert str(caught.value).endswith(str(shape))


@both
def test_samples_are_pixel_means_and_come_from_the_generator(make):
    torch.manual_seed(0)
    model = make()
    first, again, other = (model.sample(6, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert first.shape == (6, *model.x_shape)
    assert 0 < first.min() < 0.5 < first.max() < 1
    assert not first.requires_grad
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    z = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(first, 1 / (1 + (-model.decode(z).detach()).exp()))


def test_samples_keep_the_models_precision():
    assert SMALL["mlp"]().double().sample(2).dtype == torch.float64
