"""Digits nobody wrote: a pen, a few ways to write each figure, and a hand that is never twice the same.

They stand in for MNIST where there is no network: same size, same ten classes, same white ink on black.
"""

import numpy as np
import torch

SIDE = 28  # pixels
BOX = 20  # MNIST fits every digit in a 20 x 20 box, then centres its ink in the 28 x 28 image
DABS = 80  # dots the pen leaves along a digit: half a pixel apart, mostly, and wider than that, so none shows
CHUNK = 128  # images drawn at once: two (28, 28, CHUNK) buffers of 0.4 MB stay in a core's cache

# How people write each digit. "41" is column 4, row 1 of a grid about 7 wide and 10 high that starts
# at the top left; "/" lifts the pen. A smooth curve goes through a stroke's points, and turns sharply where
# one is given twice in a row. A spelling listed twice is written twice as often.
SPELLINGS = {
    0: ["41 20 03 16 38 57 63 41 20", "30 11 04 17 38 57 64 51 30", "50 20 03 17 38 65 52 40"],
    1: ["30 34 39", "30 34 39", "30 34 39", "21 30 30 34 39", "12 30 30 34 39 / 19 39 59"],
    2: ["02 20 52 35 09 09 39 69", "02 20 52 45 19 08 17 38 69", "01 30 52 35 09 09 69"],
    3: ["01 30 52 24 24 56 38 08", "00 50 50 24 24 56 38 08", "01 30 52 34 23 34 56 38 08",
        "01 40 24 24 57 39 07"],
    4: ["10 05 05 35 65 / 51 49", "40 05 05 35 65 / 40 44 49", "10 04 15 35 51 51 49", "30 05 05 65 / 43 49"],
    5: ["60 10 10 04 34 56 38 08", "10 04 33 56 38 08 / 10 60", "60 20 02 24 46 38 08",
        "70 30 24 24 46 28 07"],
    6: ["40 13 06 19 49 57 35 07", "50 12 07 29 47 35 16", "30 04 07 39 57 35 06", "60 23 07 29 56 36 07"],
    7: ["00 60 60 34 29", "00 60 60 34 29", "00 60 60 34 29 / 14 54", "02 00 00 60 60 45 39",
        "01 20 51 45 39"],
    8: ["52 30 12 34 57 39 17 34 52", "30 12 34 57 39 17 34 52 30", "51 20 12 57 29 17 52 40"],
    9: ["51 20 03 25 52 51 / 51 55 49", "52 30 12 24 52 51 49", "52 30 03 34 52 57 39 18",
        "51 20 03 25 51 51 29"],
}  # fmt: skip


def draw_digits(n: int, *, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Draws n digits that no two hands would draw alike; the same seed always draws the same ones.

    Returns images (n, 1, 28, 28) uint8, 0 is paper and 255 is ink, and labels (n,) int64: every class n/10
    times (give or take one), in random order.
    """
    for name, value, least in (("n", n, 1), ("seed", seed, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            error = ValueError if type(value) is int else TypeError
            raise error(f"{name} is {value!r}; expected an int of at least {least}")
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % 10)  # (n,)
    radius = rng.uniform(0.85, 1.95, n)  # (n,): half the pen's width, in pixels
    path = _centre_in_box(_pose(_write(labels, rng), rng), radius, rng)  # (n, DABS, 2)
    images = _ink(path.astype(np.float32), radius.astype(np.float32))  # (n, 28, 28)
    return torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels)


def _write(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Moves the pen: labels (n,) -> path (n, DABS, 2), x and y in cells of the table above."""
    choice = rng.integers(60, size=len(labels))  # modulo 3, 4 or 5 it favours no spelling
    path = np.empty((len(labels), DABS, 2))
    for digit, spellings in SPELLINGS.items():
        for i, spelling in enumerate(spellings):
            mine = np.flatnonzero((labels == digit) & (choice % len(spellings) == i))  # (m,)
            cells, curve = _spline(spelling)  # (P, 2), (DABS, P)
            # The jitter is drawn once a cell, so strokes that share a cell still meet there.
            jittered = cells + rng.normal(0, 0.29, (len(mine), *cells.shape))  # (m, P, 2)
            path[mine] = np.einsum("kp,mpc->mkc", curve, jittered)  # (m, DABS, 2)
    return path


def _spline(spelling: str) -> tuple[np.ndarray, np.ndarray]:
    """A curve is a matrix: its rows weigh the points it goes through (Catmull-Rom).

    Returns the distinct points (P, 2) and weights (DABS, P) that give dabs evenly spaced along all strokes.
    """
    names = sorted(set(spelling.split()) - {"/"})
    cells = np.array([[int(place) for place in name] for name in names], dtype=float)  # (P, 2)
    one_hot = np.eye(len(names))
    t = np.linspace(0, 1, 33)[:, None]  # (33, 1): where we are between two points
    rows, steps = [], []
    for stroke in spelling.split(" / "):
        w = one_hot[[names.index(name) for name in stroke.split()]]  # (S, P)
        w = np.concatenate([w[:1], w, w[-1:]])  # (S + 2, P): the ends have a neighbour on either side, too
        for a, b, c, d in zip(w, w[1:], w[2:], w[3:], strict=False):
            square, cube = a - 2.5 * b + 2 * c - d / 2, 1.5 * (b - c) + (d - a) / 2
            rows.append(b + t * (c - a) / 2 + t**2 * square + t**3 * cube)  # (33, P)
            steps.append(np.linalg.norm(np.diff(rows[-1] @ cells, axis=0, prepend=(b @ cells)[None]), axis=1))
    length = np.cumsum(np.concatenate(steps))  # lifting the pen costs no length, so leaves no dab
    at = np.searchsorted(length, np.linspace(0, length[-1], DABS))
    return cells, np.concatenate(rows)[at]


def _pose(path: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gives every digit a hand of its own: tremble, width, slant, tilt; (n, DABS, 2) -> the same."""
    n = len(path)
    along = np.linspace(0, 2 * np.pi, DABS)[:, None]  # (DABS, 1)
    for waves in (1, 2, 3):
        phase = rng.uniform(0, 2 * np.pi, (n, 1, 2))
        path = path + rng.normal(0, 0.2 / waves, (n, 1, 2)) * np.sin(waves * along + phase)
    waist, taper = rng.normal(0, 0.18, (2, n, 1))  # each (n, 1)
    slant, tilt = rng.normal(0.25, 0.24, (n, 1)), rng.normal(0, 0.12, (n, 1))
    x, y = path[..., 0] / 3 - 1, path[..., 1] / 4.5 - 1  # (n, DABS) each, from -1 to 1
    x, y = x * (1 + taper * y), y + waist * (1 - y**2)  # belly or head, high or low waist
    x = rng.uniform(0.45, 0.9, (n, 1)) * x - slant * y  # y points down: the top leans to the right
    cos, sin = np.cos(tilt), np.sin(tilt)
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def _centre_in_box(path: np.ndarray, radius: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """MNIST's own recipe: scale the digit to the box, then put its centre of mass in the middle."""
    n = len(path)
    extent = np.ptp(path, axis=1).max(axis=1)  # (n,): the longer side
    scale = (BOX * rng.uniform(0.85, 1.0, n) - 2 * radius) / extent
    middle = (SIDE - 1) / 2 + rng.normal(0, 0.55, (n, 1, 2))
    return middle + scale[:, None, None] * (path - path.mean(axis=1, keepdims=True))


def _ink(path: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """A pixel is as white as it is near the pen's path: path (n, DABS, 2), radius (n,) -> (n, 28, 28) uint8.

    Only arithmetic that IEEE 754 rounds in one way (no exp, no BLAS): threads and CHUNK change no pixel.
    """
    images = np.empty((len(path), SIDE, SIDE), dtype=np.uint8)
    grid = np.arange(SIDE, dtype=np.float32)[:, None]  # (28, 1)
    for start in range(0, len(path), CHUNK):
        x, y = path[start : start + CHUNK].transpose(2, 1, 0)  # each (DABS, b): images last, inner loops long
        dx2 = ((grid - x[:, None]) ** 2)[:, None]  # (DABS, 1, 28, b)
        dy2 = ((grid - y[:, None]) ** 2)[:, :, None]  # (DABS, 28, 1, b)
        nearest = dx2[0] + dy2[0]  # (28, 28, b): squared distance to the nearest dab so far
        here = np.empty_like(nearest)
        for k in range(1, DABS):
            np.minimum(nearest, np.add(dx2[k], dy2[k], out=here), out=nearest)
        ink = (radius[start : start + CHUNK] + np.float32(0.6) - np.sqrt(nearest)) / np.float32(1.2)
        images[start : start + CHUNK] = np.rint(255 * ink.clip(0, 1)).transpose(2, 0, 1)
    return images
