"""The budget against pencil and paper, and against counts made another way."""

import pytest
import torch
from torch import nn

from vae_course import budget
from vae_course.models.celeba import ImageVAE
from vae_course.recipes import RECIPES, recipe

pytestmark = pytest.mark.slow


def on_meta(name):
    with torch.device("meta"):
        return RECIPES[name].build()


def counted_by_hooks(model, *inputs):
    """Multiply-adds from each layer's own sizes: outputs × kernel × channels in."""
    found = {}

    def count(module, args, output):
        if isinstance(module, nn.Conv2d):
            found[module] = output[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.ConvTranspose2d):
            found[module] = args[0][0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            found[module] = module.weight.numel()

    hooks = [module.register_forward_hook(count) for module in model.modules()]
    with torch.no_grad():
        model(*inputs)
    for hook in hooks:
        hook.remove()
    return sum(found.values())


def test_one_convolution_by_hand():
    (row,) = budget.summary(nn.Sequential(nn.Conv2d(3, 8, 5, stride=2, padding=2)), (3, 20, 12))
    assert row.output == (8, 10, 6)
    assert row.parameters == 8 * 3 * 25 + 8
    assert row.multiply_adds == 8 * 10 * 6 * 3 * 25
    assert row.layer == "0: Conv2d 3 → 8"


def test_flat_32_by_hand():
    rows = budget.summary(on_meta("flat-32"), (3, 128, 128))
    assert rows[0].output == (128, 64, 64)
    assert rows[0].parameters == 3 * 128 * 9 + 128
    assert rows[0].multiply_adds == 128 * 64 * 64 * 3 * 9
    (linear,) = [row for row in rows if row.output == (262_144,) and "Linear" in row.layer]
    assert linear.parameters == 32 * 262_144 + 262_144
    assert linear.multiply_adds == 32 * 262_144
    assert sum(row.parameters for row in rows) == 28_385_603


@pytest.mark.parametrize("name", RECIPES)
def test_totals_against_an_independent_count(name):
    model = on_meta(name)
    inputs = torch.empty(1, *model.x_shape, device="meta"), torch.empty(1, *model.z_shape, device="meta")
    rows = budget.summary(model, model.x_shape)
    assert sum(row.parameters for row in rows) == sum(p.numel() for p in model.parameters())
    assert budget.multiply_adds(model, model.x_shape) == counted_by_hooks(model, *inputs)


def test_a_summary_leaves_the_model_alone():
    model = recipe("flat-32-small", z=2).build()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = torch.rand(1, *model.x_shape)
    want = model.encode(x)
    budget.summary(model, model.x_shape)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(model.encode(x)[0], want[0])
    assert not any(module._forward_hooks for module in model.modules())
    with pytest.raises(ValueError, match="images of shape"):
        budget.summary(model, (3, 8, 8))
    assert not any(module._forward_hooks for module in model.modules())


def test_tables():
    rows = [budget.Row("a: Conv2d 3 → 8", (8, 10, 6), 1_608, 36_000), budget.Row("b: <odd>", (5,), 0, 0)]
    lines = budget.as_text(rows).splitlines()
    assert len(lines) == 4
    assert len({len(line) for line in lines}) == 1
    assert lines[1].split("  ")[-1].strip() == "36,000"
    assert "8×10×6" in lines[1]
    assert lines[-1].split() == ["total", "1,608", "36,000"]
    table = budget.as_html(rows)
    assert table.count("<tr>") == 4
    assert table.count("<th ") == 4
    assert "b: &lt;odd&gt;" in table


# Memory


def test_kept_for_backward_by_hand():
    torch.manual_seed(0)
    conv, x = nn.Conv2d(3, 8, 3, padding=1), torch.rand(2, 3, 16, 16)
    of_conv, of_relu = 4 * 2 * 3 * 16 * 16, 4 * 2 * 8 * 16 * 16
    assert budget.kept_for_backward(lambda: conv(x), conv.parameters()) == of_conv  # its input
    assert budget.kept_for_backward(lambda: conv(x).relu(), conv.parameters()) == of_conv + of_relu  # and its output
    weights = 4 * 8 * 3 * 9
    assert budget.kept_for_backward(lambda: conv(x)) == of_conv + weights
    a = torch.rand(10, requires_grad=True)
    assert budget.kept_for_backward(lambda: a * a) == 40  # saved twice, kept once
    with torch.no_grad():
        assert budget.kept_for_backward(lambda: conv(x)) == 0


def test_training_memory_adds_up():
    r = recipe("flat-32-small", channels=(4, 8, 8, 8), size=16, z=2)
    memory = budget.training_memory(r, batch_size=8)
    weights = 4 * sum(p.numel() for p in r.build().parameters())
    assert (memory.weights, memory.gradients, memory.moments) == (weights, weights, 2 * weights)
    assert memory.average == weights
    assert budget.training_memory(recipe("flat-32-small", ema=0.0)).average == 0
    assert memory.total == 5 * weights + memory.activations
    # the first activation alone, before and after LeakyReLU
    assert memory.activations > 8 * 4 * 2 * 4 * 8 * 8


def test_activations_grow_in_a_straight_line():
    """Measured with one and two images, and foretold for more: here measured for more, too."""
    from vae_course.recipes import objective

    r = recipe("residual-spatial-small", size=16, channels=(8, 16), blocks=(1, 1), groups=1)
    model = r.build()

    def step(n):
        return lambda: objective(r, model, torch.rand(n, 3, 16, 16), torch.randn(n, *model.z_shape))["loss"].mean()

    want = budget.kept_for_backward(step(7), model.parameters())
    assert budget.training_memory(r, batch_size=7).activations == pytest.approx(want, rel=0.01)


def test_sixteen_bits_keep_less():
    r = recipe("perceptual-12m-small", size=32)
    full, half = (budget.training_memory(r, precision=p) for p in ("fp32", "bf16"))
    assert 0.4 * full.activations < half.activations < 0.8 * full.activations
    assert half.weights == full.weights


def test_the_global_random_state_is_left_alone():
    state = torch.get_rng_state()
    budget.training_memory(recipe("flat-32-small", size=16, z=2), batch_size=1)
    assert torch.equal(torch.get_rng_state(), state)


# Time


def test_time_by_hand():
    # 3 passes × 2 operations × 1e9 × 1,000 images × 10 epochs = 6e13, at half of 65e12 a second
    assert budget.time_to_expect(10**9, 1000, 10, "T4", 0.5) == pytest.approx(6e13 / 32.5e12)
    assert budget.time_to_expect(10**9, 1000, 10, "T4", 1, precision="fp32") == pytest.approx(6e13 / 8.1e12)
    slow, fast = (budget.time_to_expect(10**9, 1000, 10, card, 0.3, precision="fp32") for card in ("A100", "H100"))
    assert slow > fast


@pytest.mark.parametrize("card", budget.PEAK)
def test_sixteen_bits_are_never_slower(card):
    assert max(budget.PEAK[card], key=lambda p: budget.PEAK[card][p]) in ("fp16", "bf16")
    assert min(budget.PEAK[card], key=lambda p: budget.PEAK[card][p]) == "fp32"


def test_nonsense_is_named():
    with pytest.raises(ValueError, match="card"):
        budget.time_to_expect(1, 1, 1, "TPU", 0.5)
    with pytest.raises(ValueError, match="T4 computes in"):
        budget.time_to_expect(1, 1, 1, "T4", 0.5, precision="bf16")
    for utilisation in (0, 1.5, float("nan")):
        with pytest.raises(ValueError, match="utilisation"):
            budget.time_to_expect(1, 1, 1, "T4", utilisation)
    with pytest.raises(ValueError, match="images"):
        budget.time_to_expect(1, 0, 1, "T4", 0.5)
    with pytest.raises(ValueError, match="precision"):
        budget.training_memory(RECIPES["flat-32-small"], precision="fp8")
    with pytest.raises(ValueError, match="batch size"):
        budget.training_memory(RECIPES["flat-32-small"], batch_size=0)
    assert isinstance(on_meta("flat-32-small"), ImageVAE)
