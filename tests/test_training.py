"""The loop: what it reports, what it refuses, and that it trains."""

import math

import pytest
import torch

from vae_course import training
from vae_course.losses import bernoulli_log_likelihood, kl_to_standard_normal, negative_elbo
from vae_course.models.mlp import MLPVAE
from vae_course.schedules import one_cycle
from vae_course.training import _faster_precision, evaluate, fit

SHAPE = (1, 4, 5)


def images(n=64, seed=0):
    """Two kinds of pictures, one bright above and one below, with some noise."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.zeros(n, *SHAPE)
    x[::2, :, :2], x[1::2, :, 2:] = 0.9, 0.9
    return x + 0.1 * torch.rand(x.shape, generator=rng)


def small(seed=0):
    torch.manual_seed(seed)
    return MLPVAE(z_dim=2, hidden=(16,), x_shape=SHAPE)


def at_mu(model, x):
    """The bound's parts without a sample, so that they can be computed a second time."""
    mu, logvar = model.encode(x)
    rec, kl = -bernoulli_log_likelihood(model.decode(mu), x), kl_to_standard_normal(mu, logvar)
    return {"loss": rec + kl, "rec": rec, "kl": kl}


def without_seconds(history):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history]


def test_the_loss_falls_below_that_of_a_model_without_latents():
    x, test = images(256), images(64, seed=1)
    history = fit(small(), x, test=test, epochs=40, batch_size=32, lr=1e-2)
    mean = x.mean(dim=0).clamp(1e-6, 1 - 1e-6)
    best_without_z = -bernoulli_log_likelihood(mean.logit().expand_as(test), test).mean().item()
    assert history[0]["loss"] > best_without_z > 1.2 * history[-1]["loss"]
    assert best_without_z > 1.2 * history[-1]["test_loss"]


def test_one_row_an_epoch_with_every_term():
    history = fit(small(), images(), epochs=3)
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert all(set(row) == {"epoch", "seconds", "loss", "rec", "kl"} for row in history)
    assert 0 < history[0]["seconds"] < history[1]["seconds"] < history[2]["seconds"]
    tested = fit(small(), images(), test=images(20, seed=1), epochs=1)
    assert set(tested[0]) == {"epoch", "seconds", "loss", "rec", "kl", "test_loss", "test_rec", "test_kl"}


def test_rows_are_means_over_examples_not_over_batches():
    """50 + 14 images: a mean of batch means would weigh the last 14 too much. The oracle is one pass in float64."""
    x, test = images() * torch.linspace(0.1, 1, 64)[:, None, None, None], images(30, seed=1)
    model = small()
    exact = model.double()
    want = {name: values.mean().item() for name, values in at_mu(exact, x.double()).items()}
    want |= {f"test_{name}": values.mean().item() for name, values in at_mu(exact, test.double()).items()}
    (row,) = fit(model.float(), x, test=test, epochs=1, batch_size=50, lr=1e-12, loss=at_mu)
    assert {name: row[name] for name in want} == pytest.approx(want, rel=1e-5)


def test_evaluate_is_the_same_for_every_batch_size():
    model, x = small(), images()
    want = {name: values.mean().item() for name, values in at_mu(model, x).items()}
    for size in (1, 7, 64, 1000):
        assert evaluate(model, x, loss=at_mu, batch_size=size) == pytest.approx(want, rel=1e-5)


def test_the_bound_is_what_is_minimised_unless_told_otherwise():
    (row,) = fit(small(), images(), epochs=1)
    assert row["loss"] == pytest.approx(row["rec"] + row["kl"], rel=1e-6)
    (row,) = fit(small(), images(), epochs=1, loss=lambda model, x: negative_elbo(model, x, beta=3.0))
    assert row["loss"] == pytest.approx(row["rec"] + 3 * row["kl"], rel=1e-6)


def test_the_step_follows_the_mean_over_the_batch(monkeypatch):
    """Adam hides a sum; plain gradient descent does not: theta - lr · (gradient of the mean)."""
    model, x = small(), images(8)
    for parameter, gradient in zip(
        model.parameters(), torch.autograd.grad(at_mu(model, x)["loss"].mean(), list(model.parameters())), strict=True
    ):
        parameter.want = parameter.detach() - 0.1 * gradient
    monkeypatch.setattr(
        torch.optim, "Adam", lambda parameters, lr, fused: torch.optim.SGD(parameters, lr, momentum=0.5)
    )
    fit(model, x, epochs=1, batch_size=8, lr=0.1, loss=at_mu)
    for parameter in model.parameters():
        torch.testing.assert_close(parameter.detach(), parameter.want)


def test_the_learning_rate_rises_once_to_lr_and_falls_to_nearly_nothing(monkeypatch):
    rates = []

    class Watched(torch.optim.Adam):
        def step(self, *args, **kwargs):
            rates.append(self.param_groups[0]["lr"])
            return super().step(*args, **kwargs)

    monkeypatch.setattr(torch.optim, "Adam", Watched)
    fit(small(), images(50), epochs=10, batch_size=16, lr=2e-3)  # 10 epochs of 4 steps, the last batch a small one
    assert len(rates) == 40
    top = rates.index(max(rates))
    assert rates[top] == pytest.approx(2e-3)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[0] < 2e-3 / 10
    assert rates[-1] < 2e-3 / 100


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_the_shortest_trainings_run(steps):
    history = fit(small(), images(8), epochs=steps, batch_size=8)
    assert len(history) == steps
    assert all(math.isfinite(row["loss"]) for row in history)


def test_the_same_seed_gives_the_same_history():
    def run(seed):
        model = small(seed)
        return without_seconds(
            fit(
                model,
                images(),
                test=images(20, seed=1),
                epochs=2,
                batch_size=16,
                generator=torch.Generator().manual_seed(seed),
            )
        )

    assert run(0) == run(0)
    assert run(0) != run(1)


def test_the_generator_alone_orders_the_batches():
    def order(seed):
        seen = []

        def loss(model, x, rows):
            seen.extend(rows.tolist())
            return at_mu(model, x)

        torch.manual_seed(0)
        generator = torch.Generator().manual_seed(seed)
        fit(small(), (images(), torch.arange(64)), epochs=2, batch_size=10, loss=loss, generator=generator)
        return seen

    first = order(1)
    assert first == order(1)
    assert first != order(2)
    assert sorted(first[:64]) == sorted(first[64:]) == list(range(64))
    assert first[:64] != first[64:]


def test_labels_stay_with_their_images():
    y = torch.arange(30)
    x = (y / 30)[:, None, None, None].expand(30, *SHAPE)
    seen = {"train": [], "test": []}

    def loss(model, x, y):
        assert torch.equal(x[:, 0, 0, 0], y / 30)
        seen["train" if model.training else "test"].extend(y.tolist())
        return at_mu(model, x)

    fit(small(), (x, y), test=[x[:9], y[:9]], epochs=1, batch_size=8, loss=loss)
    assert sorted(seen["train"]) == list(range(30))
    assert seen["test"] == list(range(9))


@pytest.mark.parametrize("mode", [True, False])
def test_evaluate_runs_in_evaluation_mode_without_gradients_and_restores_the_mode(mode):
    model = small().train(mode)

    def loss(model, x):
        assert not model.training
        terms = at_mu(model, x)
        assert not terms["loss"].requires_grad
        return terms

    evaluate(model, images(), loss=loss)
    assert model.training is mode
    assert model.encoder[1].training is mode


def test_evaluate_restores_every_modules_mode_even_after_an_error():
    model = small().train()
    model.encoder.eval()

    def fails(model, x):
        raise RuntimeError("no loss")

    evaluate(model, images(), loss=at_mu)
    with pytest.raises(RuntimeError, match="no loss"):
        evaluate(model, images(), loss=fails)
    assert model.training
    assert not model.encoder.training
    assert model.decoder.training


def test_evaluate_takes_the_same_random_numbers_at_each_call():
    model, x = small(), images()
    first = evaluate(model, x)
    torch.rand(3)
    assert evaluate(model, x) == first


def test_fit_trains_in_training_mode_even_after_a_test_and_a_callback():
    modes, epochs = [], []
    model = small().eval()

    def loss(model, x):
        modes.append(model.training)
        return at_mu(model, x)

    def after_epoch(epoch):
        epochs.append(epoch)
        model.eval()  # as a lesson does that draws pictures

    fit(model, images(8), test=images(8), epochs=3, loss=loss, after_epoch=after_epoch)
    assert modes == [True, False] * 3
    assert epochs == [1, 2, 3]


def test_evaluate_changes_no_parameter():
    model = small()
    before = [p.clone() for p in model.parameters()]
    evaluate(model, images())
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_longer_finite_stops_the_training(bad):
    calls = []

    def loss(model, x):
        calls.append(1)
        return {name: values * (bad if len(calls) > 4 else 1) for name, values in at_mu(model, x).items()}

    with pytest.raises(FloatingPointError, match=r"no longer finite in epoch 2 .*lower lr"):
        fit(small(), images(), epochs=5, batch_size=16, loss=loss)
    assert len(calls) <= 8


def test_a_last_step_that_ruins_the_weights_is_seen():
    model = small()

    def steep(model, x):
        terms = at_mu(model, x)
        return {**terms, "loss": terms["loss"] + (0 * terms["kl"]).sqrt()}  # finite, and its gradient is not

    with pytest.raises(FloatingPointError, match="the last step left weights that are not finite"):
        fit(model, images(8), epochs=1, batch_size=8, loss=steep)


@pytest.mark.parametrize("lr", [math.inf, math.nan, 0.0, -1e-3])
def test_a_learning_rate_that_is_none_is_refused(lr):
    with pytest.raises(ValueError, match="lr must be a finite number > 0"):
        fit(small(), images(), epochs=1, lr=lr)


@pytest.mark.parametrize(("step", "steps"), [(3, 3), (-1, 3), (0, 0)])
def test_a_step_outside_the_training_has_no_learning_rate(step, steps):
    with pytest.raises(ValueError, match=r"step must lie between 0 and 2|at least one step"):
        one_cycle(step, steps, peak=1.0)


def test_a_test_loss_that_is_not_finite_stops_the_training_too():
    def loss(model, x):
        return {"loss": at_mu(model, x)["loss"] * (1 if model.training else math.nan)}

    with pytest.raises(FloatingPointError, match=r"no longer finite in epoch 1 .*test_loss"):
        fit(small(), images(), test=images(), epochs=2, loss=loss)


@pytest.mark.parametrize("reduce", [torch.mean, torch.sum, lambda t: t[:, None]])
def test_a_loss_that_is_not_one_number_per_example_is_refused(reduce):
    def loss(model, x):
        return {**at_mu(model, x), "kl": reduce(at_mu(model, x)["kl"])}

    with pytest.raises(ValueError, match=r"one number per example, shape \(64,\), got .* for 'kl'"):
        fit(small(), images(), epochs=1, loss=loss)
    with pytest.raises(ValueError, match=r"one number per example, shape \(64,\), got .* for 'kl'"):
        evaluate(small(), images(), loss=loss)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.zeros(0, *SHAPE), ValueError, "there are no images"),
        (torch.zeros(8, *SHAPE, dtype=torch.uint8), TypeError, "must be float"),
        (torch.full((8, *SHAPE), 255.0), ValueError, r"must lie in \[0, 1\]"),
        (torch.full((8, *SHAPE), math.nan), ValueError, r"must lie in \[0, 1\]"),
        (torch.zeros(8, 20), ValueError, r"\(N, C, H, W\), got \(8, 20\)"),
        (torch.zeros(8, 3, 4, 5), ValueError, r"takes images of shape \(B, 1, 4, 5\)"),
    ],
)
def test_unusable_images_are_refused(x, error, message):
    for attempt in (
        lambda: fit(small(), x, epochs=1),
        lambda: fit(small(), (x, torch.zeros(len(x))), epochs=1, loss=lambda model, x, y: at_mu(model, x)),
        lambda: evaluate(small(), x),
    ):
        with pytest.raises(error, match=message):
            attempt()


def test_unusable_test_images_are_refused_before_any_training():
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        fit(small(), images(), test=2 * images(), epochs=1, loss=lambda *_: pytest.fail("trained"))


@pytest.mark.parametrize("name", ["epochs", "batch_size"])
@pytest.mark.parametrize("value", [0, -1])
def test_less_than_one_epoch_or_image_a_batch_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got {value}"):
        fit(small(), images(), **{"epochs": 1, name: value})


def test_labels_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"one length, got lengths \[64, 63\]"):
        fit(small(), (images(), torch.zeros(63)), epochs=1, loss=lambda model, x, y: at_mu(model, x))


def test_the_training_data_are_left_alone():
    x = images()
    before = x.clone()
    fit(small(), x, test=x, epochs=1)
    assert torch.equal(x, before)


def test_one_loop_serves_every_likelihood_by_name():
    """What lessons pass around: fit's default loss is the bound of losses.py, not a copy."""
    assert training.negative_elbo is negative_elbo


def test_the_schedule_by_hand():
    rates = [one_cycle(step, 100, peak=1.0) for step in range(100)]
    assert rates[29] == 1.0  # the top, after 30 % of the steps
    assert rates[0] == pytest.approx(1 / 30)
    assert rates[65] == pytest.approx(0.5)  # half-way down the cosine
    assert 0 < rates[99] < 1e-3


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_a_very_short_training_still_learns_and_never_exceeds_the_peak(steps):
    rates = [one_cycle(step, steps, peak=2e-3) for step in range(steps)]
    assert max(rates) == 2e-3
    assert min(rates) >= 0


def test_bf16_keeps_the_terms_in_balance_and_close_to_fp32():
    rows = {}
    for precision in ("fp32", "bf16"):
        torch.manual_seed(0)
        model = small()
        rows[precision] = fit(model, images(400), epochs=1, batch_size=4, lr=1e-9, precision=precision)[0]
    for row in rows.values():
        assert row["loss"] == pytest.approx(row["rec"] + row["kl"], rel=1e-5)
    for name in ("loss", "rec", "kl"):
        assert rows["bf16"][name] == pytest.approx(rows["fp32"][name], rel=0.03)


def test_auto_precision_says_what_it_chose_and_changes_nothing_but_that(capsys):
    torch.manual_seed(0)
    model = small()
    before, state = [p.clone() for p in model.parameters()], torch.get_rng_state()
    chosen = _faster_precision(model, negative_elbo, [images(8)])
    assert chosen in ("fp32", "bf16")
    assert f"precision: {chosen}" in capsys.readouterr().out
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    assert all(p.grad is None for p in model.parameters())


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="'fp32', 'bf16' or 'auto', got 'fp8'"):
        fit(small(), images(8), epochs=1, precision="fp8")


def test_fit_leaves_the_model_ready_to_be_used():
    model = small().train()
    fit(model, images(8), epochs=1)
    assert not model.training


def test_a_test_set_does_not_change_what_is_learnt():
    weights = []
    for test in (None, images(16)):
        torch.manual_seed(0)
        model = small()
        fit(model, images(40), epochs=2, batch_size=8, test=test)
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*weights)
