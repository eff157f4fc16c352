"""Two hundred pictures of a coloured disc, and a recipe that learns them in a second: for tests of training."""

from typing import Any

import numpy as np

from vae_course.data.celeba import Faces
from vae_course.recipes import Recipe, recipe


def toy_faces(n: int = 200, size: int = 16) -> Faces:
    """Discs of any place and colour on black; the attribute is whether the disc is in the left half."""
    draw = np.random.default_rng(0)
    centre, colour = draw.uniform(3, size - 3, (n, 2, 1, 1)), draw.integers(50, 255, (n, 1, 1, 3))
    rows, columns = np.mgrid[:size, :size]
    inside = (columns - centre[:, 0]) ** 2 + (rows - centre[:, 1]) ** 2 < 16  # (n, size, size)
    return Faces(
        pixels=(inside[..., None] * colour).astype(np.uint8),
        names=tuple(f"{i:06}.jpg" for i in range(1, n + 1)),
        attributes=centre[:, 0, 0] < size / 2,
        attribute_names=("Left",),
        splits={"train": np.arange(0, n - 40), "valid": np.arange(n - 40, n), "test": np.arange(0)},
        source="drawn",
        words=f"{n} discs",
        left_out=(),
        fingerprint="0123456789abcdef",
        asked={"size": size, "source": "drawn"},
    )


def toy_recipe(**changes: Any) -> Recipe:
    small = {"size": 16, "channels": (8, 16, 16), "blocks": (1, 1, 1), "batch_size": 16}
    return recipe("residual-spatial-small", **{**small, **changes})
