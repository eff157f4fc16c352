"""Pictures: every pixel where it belongs, words beside them, and nothing left open."""

import io

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from vae_course import plots


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def shown(monkeypatch):
    """What reaches IPython's display: a list of (mime bundle, metadata)."""
    seen = []

    def display(bundle, *, metadata, raw):
        assert raw  # otherwise IPython would show the dictionary
        seen.append((bundle, metadata))

    monkeypatch.setattr(plots, "display", display)
    return seen


def pictures(n, channels, height=4, width=6, seed=0):
    return torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(seed))


def drawn(ax):
    return np.asarray(ax.images[0].get_array())


# -- image_grid


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("n", "columns"), [(1, 1), (6, 3), (5, 3), (2, 4), (4, 1)])
def test_every_pixel_is_where_it_belongs(channels, n, columns):
    images = pictures(n, channels, 15, 6)
    canvas = drawn(plots.image_grid(images, columns=columns))
    canvas = canvas[..., None] if channels == 1 else canvas
    rows, gap = -(-n // columns), 1
    assert canvas.shape == (rows * 16 - gap, columns * 7 - gap, channels)
    left_over = np.ones(canvas.shape[:2], bool)
    for i in range(n):
        top, left = i // columns * 16, i % columns * 7
        np.testing.assert_array_equal(canvas[top : top + 15, left : left + 6], images[i].permute(1, 2, 0))
        left_over[top : top + 15, left : left + 6] = False
    assert (canvas[left_over] == 1).all()  # the gaps are paper


@pytest.mark.parametrize("shape", [(1, 1, 5, 1), (1, 3, 1, 1), (1, 1, 1, 5)])
def test_images_one_pixel_wide_are_drawn(shape):
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    canvas = drawn(plots.image_grid(images, columns=1))
    np.testing.assert_array_equal(canvas, images[0, 0] if shape[1] == 1 else images[0].permute(1, 2, 0))


def test_grey_is_not_stretched():
    """Two images of one grey each must look different: the scale is 0 to 1, not the least to the most."""
    (image,) = plots.image_grid(torch.full((2, 1, 4, 4), 0.3), columns=2).images
    assert image.get_clim() == (0, 1)
    assert image.get_cmap().name == "gray"


def test_labels_stand_beside_their_rows_and_above_their_columns():
    ax = plots.image_grid(
        pictures(6, 1, 28, 28), columns=3, row_labels=["one", "two"], column_labels=["a", "b", "c"], title="A grid"
    )
    assert ax.get_title() == "A grid"
    assert [t.get_text() for t in ax.get_yticklabels()] == ["one", "two"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a", "b", "c"]
    gap = 2
    for r, y in enumerate(ax.get_yticks()):
        assert r * (28 + gap) < y < r * (28 + gap) + 28
    for c, x in enumerate(ax.get_xticks()):
        assert c * (28 + gap) < x < c * (28 + gap) + 28
    assert ax.xaxis.get_ticks_position() == "top"


def test_without_labels_there_are_no_ticks():
    ax = plots.image_grid(pictures(6, 1), columns=3)
    assert len(ax.get_xticks()) == len(ax.get_yticks()) == 0


def test_a_grid_goes_where_it_is_told():
    _, (left, right) = plt.subplots(1, 2)
    assert plots.image_grid(pictures(2, 1), columns=2, ax=right) is right
    assert len(left.images) == 0
    assert len(right.images) == 1
    assert len(plt.get_fignums()) == 1


@pytest.mark.parametrize("shape", [(4, 4), (1, 4, 4), (2, 2, 4, 4), (0, 1, 4, 4), (2, 4, 4, 3)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(ValueError, match=r"shape \(N, 1 or 3, H, W\) with N > 0, got \(") as caught:
        plots.image_grid(torch.zeros(shape), columns=2)
    assert str(caught.value).endswith(str(shape))


@pytest.mark.parametrize("value", [-0.1, 1.5, 255.0, np.nan])
def test_pixels_outside_the_unit_range_are_refused_not_clipped(value):
    images = pictures(2, 1)
    images[1, 0, 2, 3] = value
    with pytest.raises(ValueError, match=r"pixels must lie in \[0, 1\], got values from"):
        plots.image_grid(images, columns=2)


@pytest.mark.parametrize("columns", [0, -1])
def test_a_grid_has_columns(columns):
    with pytest.raises(ValueError, match=f"columns must be at least 1, got {columns}"):
        plots.image_grid(pictures(2, 1), columns=columns)
    assert plt.get_fignums() == []


# -- curves, history


def test_curves_draw_what_they_are_given():
    x, ys = np.arange(5), {"up": np.arange(5) * 2.0, "down": -np.arange(5) * 1.0}
    ax = plots.curves(x, ys, title="Up and down", xlabel="step", ylabel="loss (nats)")
    assert (ax.get_title(), ax.get_xlabel(), ax.get_ylabel()) == ("Up and down", "step", "loss (nats)")
    assert [line.get_label() for line in ax.lines] == ["up", "down"]
    for line, y in zip(ax.lines, ys.values(), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), x)
        np.testing.assert_array_equal(line.get_ydata(), y)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["up", "down"]


def test_six_lines_differ_in_colour_and_in_dash():
    ax = plots.curves([0, 1], {str(i): [0, i] for i in range(6)}, title="", xlabel="", ylabel="")
    assert len(ax.lines) == 6
    assert len({line.get_color() for line in ax.lines}) == 6
    assert len({str(line._dash_pattern) for line in ax.lines}) == 6


def test_a_seventh_line_is_refused_not_left_out():
    with pytest.raises(ValueError, match="at most 6 lines, got 7"):
        plots.curves([0, 1], {str(i): [0, i] for i in range(7)}, title="", xlabel="", ylabel="")
    assert plt.get_fignums() == []


def test_one_line_needs_no_legend_and_goes_where_it_is_told():
    _, ax = plt.subplots()
    assert plots.curves([0, 1], {"one": [1, 2]}, title="", xlabel="", ylabel="", ax=ax) is ax
    assert ax.get_legend() is None
    assert len(plt.get_fignums()) == 1


@pytest.mark.parametrize("tested", [True, False])
def test_history_draws_training_and_test_over_the_epochs(tested):
    rows = [
        {"epoch": e, "seconds": 1.0, "loss": 100.0 / e} | ({"test_loss": 90.0 / e} if tested else {}) for e in (1, 2)
    ]
    ax = plots.history(rows, title="It falls")
    lines = {line.get_label(): list(line.get_ydata()) for line in ax.lines}
    assert lines == {"training": [100, 50]} | ({"test": [90, 45]} if tested else {})
    assert list(ax.lines[0].get_xdata()) == [1, 2]
    assert "nats" in ax.get_ylabel()


def test_inputs_are_left_alone():
    images, rows = pictures(3, 3).numpy(), [{"epoch": 1, "loss": 2.0}]
    y = np.arange(3.0)
    kept = images.copy(), [dict(row) for row in rows], y.copy()
    images.flags.writeable = y.flags.writeable = False
    plots.image_grid(images, columns=2)
    plots.history(rows, title="")
    plots.curves(y, {"y": y}, title="", xlabel="", ylabel="")
    np.testing.assert_array_equal(images, kept[0])
    assert rows == kept[1]
    np.testing.assert_array_equal(y, kept[2])


# -- show


def test_a_shown_figure_is_a_png_with_words_and_is_closed(shown):
    ax = plots.image_grid(torch.zeros(2, 1, 20, 20), columns=2)
    figure = ax.figure
    plots.show(ax, alt="Two black squares.")
    ((bundle, metadata),) = shown
    assert set(bundle) == {"image/png", "text/plain"}
    assert bundle["text/plain"] == "Two black squares."
    assert metadata == {"image/png": {"alt": "Two black squares."}}
    picture = Image.open(io.BytesIO(bundle["image/png"]))
    assert picture.format == "PNG"
    assert picture.convert("L").getextrema() == (0, 255)  # black squares on white paper
    assert not plt.fignum_exists(figure.number)
    assert plt.get_fignums() == []


def test_a_figure_of_several_axes_is_shown_once_and_whole(shown):
    figure, (left, right) = plt.subplots(1, 2, figsize=(6, 2))
    plots.image_grid(pictures(2, 1), columns=2, ax=left)
    plots.curves([0, 1], {"one": [1, 2]}, title="", xlabel="x", ylabel="y", ax=right)
    other = plt.figure()
    plots.show(figure, alt="A grid beside a line.")
    assert len(shown) == 1
    width, height = Image.open(io.BytesIO(shown[0][0]["image/png"])).size
    assert width > 1.5 * height
    assert plt.get_fignums() == [other.number]  # only what was shown is closed


@pytest.mark.parametrize("alt", ["", "  ", "\n"])
def test_a_picture_without_words_is_refused(shown, alt):
    ax = plots.image_grid(pictures(1, 1), columns=1)
    with pytest.raises(ValueError, match="alt must say in words what the picture shows"):
        plots.show(ax, alt=alt)
    assert shown == []
