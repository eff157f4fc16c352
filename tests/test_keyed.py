"""Random numbers by key: the same wherever they are drawn, independent between keys, and normal."""

import numpy as np
import pytest
import torch

from vae_course import keyed


def test_an_order_is_a_permutation_of_its_own_for_each_seed_and_epoch() -> None:
    orders = [keyed.order(1000, seed=seed, epoch=epoch) for seed in (0, 1) for epoch in (0, 1)]
    for order in orders:
        assert sorted(order) == list(range(1000))
    for i, a in enumerate(orders):
        for b in orders[:i]:
            assert (a == b).sum() < 15  # of 1,000 places one agrees on average
    assert (orders[0] == keyed.order(1000, seed=0, epoch=0)).all()


def test_noise_belongs_to_its_example_and_step() -> None:
    whole = keyed.training_noise([5, 9, 2], (4, 3), seed=1, step=7)
    assert whole.shape == (3, 4, 3)
    assert whole.dtype == torch.float32
    assert torch.equal(whole[1:2], keyed.training_noise([9], (4, 3), seed=1, step=7))  # whoever else is in the batch
    others = [
        keyed.training_noise([9], (4, 3), seed=1, step=8),
        keyed.training_noise([10], (4, 3), seed=1, step=7),
        keyed.training_noise([9], (4, 3), seed=2, step=7),
        keyed.validation_noise([9], (4, 3), seed=1),
    ]
    for other in others:
        assert not torch.equal(whole[1:2], other)


def test_noise_is_standard_normal_and_independent_between_neighbouring_keys() -> None:
    n = 20_000
    a = keyed.training_noise(range(n), (2,), seed=0, step=3).double()
    b = keyed.training_noise(range(n), (2,), seed=0, step=4).double()
    error = 5 / np.sqrt(n)
    for values in (a, b):
        assert (values.mean(dim=0).abs() < error).all()
        assert ((values.var(dim=0) - 1).abs() < np.sqrt(2) * error).all()
        assert ((values**4).mean(dim=0) - 3).abs().max() < np.sqrt(96) * error
    columns = torch.cat([a[:-1], a[1:], b[:-1]], dim=1)  # an example, the next example, the same at the next step
    correlations = torch.corrcoef(columns.T) - torch.eye(6)
    assert correlations.abs().max() < error


def test_an_order_cannot_be_changed_for_the_next_who_asks() -> None:
    with pytest.raises(ValueError, match="read-only"):
        keyed.order(10, seed=0, epoch=0)[0] = 1
