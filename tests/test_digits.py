"""The drawn digits stand in for MNIST, so they are held to what is known of MNIST."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vae_course.data import digits
from vae_course.data.digits import SPELLINGS, draw_digits


@pytest.fixture(scope="module")
def train():
    return draw_digits(20_000, seed=0)


@pytest.fixture(scope="module")
def fresh():
    return draw_digits(10_000, seed=1)


@pytest.fixture
def one_thread():
    """On two busy cores, small matrices wait longer for the second thread than they gain by it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def accuracy(classify, images, labels):
    with torch.no_grad():
        return (classify(images / 255).argmax(1) == labels).float().mean().item()


def test_shapes_types_and_range(fresh):
    images, labels = fresh
    assert images.shape == (10_000, 1, 28, 28)
    assert images.dtype == torch.uint8
    assert labels.shape == (10_000,)
    assert labels.dtype == torch.int64
    assert (images.min().item(), images.max().item()) == (0, 255)


def test_the_seed_decides_every_pixel():
    images, labels = draw_digits(300, seed=7)
    again, labels_again = draw_digits(300, seed=7)
    other, labels_other = draw_digits(300, seed=8)
    assert torch.equal(images, again)
    assert torch.equal(labels, labels_again)
    assert not torch.equal(labels, labels_other)
    assert not (images == other).flatten(1).all(dim=1).any()


def test_drawing_leaves_global_random_state_alone():
    torch_state, (_, numpy_state, *_) = torch.get_rng_state(), np.random.get_state()
    draw_digits(20, seed=3)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()


def test_threads_and_chunks_do_not_change_a_pixel(monkeypatch, one_thread):
    images, _ = draw_digits(300, seed=7)
    torch.set_num_threads(2)
    assert torch.equal(draw_digits(300, seed=7)[0], images)
    for chunk in (1, 37, 1000):
        monkeypatch.setattr(digits, "CHUNK", chunk)
        assert torch.equal(draw_digits(300, seed=7)[0], images)


@pytest.mark.parametrize("n", [1, 7, 10, 1003])
def test_every_class_is_drawn_equally_often(n):
    _, labels = draw_digits(n, seed=0)
    counts = labels.bincount(minlength=10)
    assert len(counts) == 10
    assert counts.sum() == n
    assert counts.max() - counts.min() <= 1


def test_classes_are_shuffled(fresh):
    """In random order a neighbour shares the class one time in ten (0.1, give or take 0.003)."""
    _, labels = fresh
    assert 0.085 < (labels[1:] == labels[:-1]).float().mean() < 0.115


def test_every_spelling_stays_on_the_grid():
    cells = " ".join(way for ways in SPELLINGS.values() for way in ways).replace("/", "").split()
    points = [(int(column), int(row)) for column, row in cells]
    assert sorted(SPELLINGS) == list(range(10))
    assert all(0 <= column <= 7 and 0 <= row <= 9 for column, row in points)


def test_a_straight_stroke_is_inked_where_its_segment_says():
    """The oracle: the exact distance to one segment, in float64, for a pen that leaves 80 dabs along it."""
    start, stop, radius = np.array([6.0, 5.0]), np.array([20.0, 23.0]), 1.5
    path = start + np.linspace(0, 1, digits.DABS)[:, None] * (stop - start)  # (DABS, 2)
    image = digits._ink(path[None].astype(np.float32), np.array([radius], dtype=np.float32))[0]
    y, x = np.mgrid[0:28, 0:28]
    pixels = np.stack([x, y], axis=-1).astype(float)  # (28, 28, 2)
    t = ((pixels - start) @ (stop - start) / ((stop - start) @ (stop - start))).clip(0, 1)
    distance = np.linalg.norm(pixels - start - t[..., None] * (stop - start), axis=-1)  # (28, 28)
    assert (image[distance <= radius - 0.7] == 255).all()
    assert (image[distance >= radius + 0.7] == 0).all()
    edge = abs(distance - radius) < 0.5
    slope = np.polyfit(distance[edge], image[edge].astype(float), 1)[0]
    assert -255 < slope < -128  # anti-aliased: the edge fades over one to two pixels


def test_ink_is_spread_as_in_mnist(fresh):
    """MNIST: mean 0.131, 81 % black, 7.4 % white (250 and up), 97 % of the ink in the middle 20 x 20."""
    ink = fresh[0][:, 0] / 255  # (n, 28, 28)
    assert 0.12 < ink.mean() < 0.14
    assert 0.75 < (ink == 0).float().mean() < 0.86
    assert 0.05 < (ink > 0.98).float().mean() < 0.10
    assert 0.95 < ink[:, 4:24, 4:24].sum() / ink.sum() < 0.99
    per_class = torch.stack([ink[fresh[1] == digit].mean() for digit in range(10)])
    assert per_class.argmin() == 1
    assert per_class.argmax() == 0  # MNIST: least ink in a 1, most in a 0


def test_ink_is_centred_and_the_border_empty(fresh):
    ink = fresh[0][:, 0] / 255  # (n, 28, 28)
    at = torch.arange(28.0)
    weight = ink.sum(dim=(1, 2))
    centre = torch.stack([ink.sum(1) @ at, ink.sum(2) @ at], dim=1) / weight[:, None]  # (n, 2): x, y
    assert (centre.mean(0) - 13.5).abs().max() < 0.1
    assert centre.std(0).max() < 1.0
    inside = ink[:, 1:-1, 1:-1].sum()
    assert (ink.sum() - inside) / (len(ink) * 108) < 0.001  # 108 pixels in the ring; MNIST: 0.0002


def test_no_two_digits_are_alike(fresh):
    """Floor: two thirds of MNIST's own 0.054; one way of writing each digit, only shifted, gets 0.016."""
    images, labels = fresh
    assert len(images[:2000].flatten(1).unique(dim=0)) == 2000
    within = [(images[labels == digit] / 255).var(dim=0).mean() for digit in range(10)]
    assert sum(within) / 10 > 0.036


@pytest.mark.slow
def test_a_linear_classifier_is_mostly_right(train, fresh, one_thread):
    """Logistic regression gets 92 % on MNIST; were it always right, the digits would be too much alike."""
    x, labels = train[0].flatten(1) / 255, train[1]
    weight, bias = torch.zeros(784, 10, requires_grad=True), torch.zeros(10, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = F.cross_entropy(x @ weight + bias, labels)
        value.backward()
        return value

    optimizer.step(loss)
    assert 0.80 < accuracy(lambda images: images.flatten(1) @ weight + bias, *fresh) < 0.97


@pytest.mark.slow
def test_a_small_cnn_reads_them(train, fresh, one_thread):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1),  # (B, 16, 14, 14)
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),  # (B, 32, 7, 7)
        nn.ReLU(),
        nn.Flatten(),  # (B, 1568)
        nn.Linear(1568, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
    x, labels = train[0] / 255, train[1]
    steps = 4 * len(x) // 100
    optimizer = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps)
    for _ in range(4):
        for batch in torch.randperm(len(x)).split(100):
            loss = F.cross_entropy(net(x[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    assert accuracy(net, *fresh) > 0.97


@pytest.mark.parametrize("n", [0, -3])
def test_fewer_than_one_digit_is_refused(n):
    with pytest.raises(ValueError, match=f"n is {n}; expected an int of at least 1"):
        draw_digits(n, seed=0)


@pytest.mark.parametrize("n", [2.0, "10", None, True])
def test_a_number_of_digits_that_is_no_int_is_refused(n):
    with pytest.raises(TypeError, match=f"n is {n!r}; expected an int of at least 1"):
        draw_digits(n, seed=0)


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed is -1; expected an int of at least 0"):
        draw_digits(10, seed=-1)


@pytest.mark.parametrize("seed", [None, 0.5, "0", False])
def test_a_seed_that_is_no_int_is_refused(seed):
    with pytest.raises(TypeError, match=f"seed is {seed!r}; expected an int of at least 0"):
        draw_digits(10, seed=seed)
