"""Films of a training: they see the model as it was, leave the training alone, and stay small and readable."""

import base64
import io
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor, ImageDraw
from sklearn.decomposition import PCA
from torch import nn

from vae_course import animation, losses, training
from vae_course.models.mlp import MLPVAE
from vae_course.models.vae import VAE

pytestmark = pytest.mark.slow  # trains or imports for seconds: `make check` goes without


def images(n=64, seed=0):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def labels(n=64):
    return torch.arange(n) % 10


def new_model(z_dim=2):
    torch.manual_seed(0)
    return MLPVAE(z_dim, hidden=(16,), x_shape=(1, 8, 8))


def new_moody_model():
    """Dropout draws from the global state, batch norm keeps statistics, and one part stays in evaluation mode."""
    torch.manual_seed(0)
    frozen = nn.BatchNorm1d(16)
    encoder = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16), nn.Dropout(0.5), nn.BatchNorm1d(16), nn.SiLU(), nn.Linear(16, 4)
    )
    decoder = nn.Sequential(nn.Linear(2, 16), frozen, nn.SiLU(), nn.Linear(16, 64), nn.Unflatten(1, (1, 8, 8)))
    return VAE(encoder, decoder, x_shape=(1, 8, 8), z_dim=2)


def trained(model, film=None, loss=losses.negative_elbo, **options):
    watched = film.watch(loss) if film else loss
    generator = torch.Generator().manual_seed(0)
    options = {"epochs": 2, "batch_size": 16, "generator": generator, "test": images(seed=1)} | options
    return training.fit(model, images(200), loss=watched, **options)


def film_of(z_dim=2, **options):
    model = new_model(z_dim)
    film = animation.Film(model, images(), labels())
    trained(model, film, **options)
    return film


def frames_of(gif):
    with Image.open(io.BytesIO(gif)) as film:
        pictures, durations = [], []
        for k in range(film.n_frames):
            film.seek(k)
            pictures.append(np.array(film.convert("RGB")))
            durations.append(film.info["duration"])
    return pictures, durations


def same(a, b):
    return all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("new", [new_model, new_moody_model])
def test_training_is_the_same_with_and_without_a_film(new, precision):
    alone = new()
    torch.manual_seed(1)
    rows = trained(alone, precision=precision)
    state = torch.get_rng_state()
    filmed = new()
    torch.manual_seed(1)
    film = animation.Film(filmed, images(), labels())
    filmed_rows = trained(filmed, film, precision=precision)
    film.plane_gif()
    film.reconstructions_gif()
    assert len(film.frames) > 3
    assert same(alone, filmed)
    assert torch.equal(torch.get_rng_state(), state)
    assert [{**row, "seconds": 0} for row in rows] == [{**row, "seconds": 0} for row in filmed_rows]


def test_a_frame_leaves_modes_and_gradients():
    model = new_moody_model()
    model.train()
    model.decoder[1].eval()  # as somebody who freezes batch norm does
    losses.negative_elbo(model, images())["loss"].mean().backward()
    modes = [module.training for module in model.modules()]
    gradients = [p.grad.clone() for p in model.parameters()]
    film = animation.Film(model, images(), labels())
    film.watch(losses.negative_elbo)(model, images())
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), gradients, strict=True))


def test_frames_show_the_model_at_the_step_they_name():
    """Against codes noted by a loss that counts for itself."""
    model, noted = new_model(), {}
    film = animation.Film(model, images(), labels())
    watched = film.watch(losses.negative_elbo)

    def noting(model, x):
        if model.training:
            with torch.no_grad():
                noted[len(noted)] = model.encode(images())[0]
        return watched(model, x)

    trained(model, loss=noting)
    film.plane_gif()
    noted[len(noted)] = model.encode(images())[0].detach()  # 13 batches an epoch, 2 epochs
    steps = [frame.step for frame in film.frames]
    assert steps == [0, 10, 22, 26]
    for frame in film.frames:
        np.testing.assert_allclose(frame.codes, noted[frame.step], rtol=1e-3, atol=1e-4)
    film.reconstructions_gif()
    assert [frame.step for frame in film.frames] == steps  # the end is added once
    x = images()[:10]  # labels are 0, 1, …, 9, 0, …: the first ten are one of each class
    want = model.decode(model.encode(x)[0]).sigmoid()[:, 0].detach() * 255
    np.testing.assert_allclose(film.frames[-1].pictures, want, atol=0.51)


def test_trial_runs_of_the_loss_are_no_steps(capsys):
    film = film_of(precision="auto")
    film.plane_gif()
    assert "precision:" in capsys.readouterr().out
    assert [frame.step for frame in film.frames] == [0, 10, 22, 26]


def test_most_frames_are_early_and_few_in_all():
    """As many as a long training has, by the film's own rule, with a loss that costs nothing."""
    model = new_model()
    film = animation.Film(model, images(), labels())
    watched = film.watch(lambda model, x: {})
    model.train()
    for _ in range(4700):
        watched(model, None)
        with torch.no_grad():
            next(model.parameters()).add_(1e-6)
    steps = [frame.step for frame in film.frames]
    assert 25 <= len(steps) <= 40
    assert np.all(np.diff(steps, 2) >= 0)
    assert steps[len(steps) // 2] < 4700 / 5
    assert len(frames_of(film.plane_gif())[0]) <= 30


class Codes(nn.Module):
    """Codes are the first pixels of an image, times a weight that a training moves."""

    def __init__(self, z_dim):
        super().__init__()
        self.z_dim, self.weight = z_dim, nn.Parameter(torch.ones(()))

    def encode(self, x):
        mu = self.weight * (x.flatten(1)[:, : self.z_dim] - 0.5) * 4
        return mu, torch.zeros_like(mu)

    def decode(self, z):
        return self.weight * z.sum(dim=1)[:, None, None, None].expand(-1, 1, 8, 8)


def film_of_codes(z_dim, x=None, weights=(0.5, 1.0)):
    model = Codes(z_dim).train()
    x = images() if x is None else x
    film = animation.Film(model, x, labels(len(x)))
    watched = film.watch(lambda model, x: {})
    film.due = 1  # every step, for these
    for weight in weights:
        watched(model, x)
        film.due = 0
        with torch.no_grad():
            model.weight.copy_(torch.tensor(weight))
    return film


def dots(picture, k):
    """Middle of the pixels in the colour of class k, (x, y), y upwards."""
    rows, columns = np.nonzero((picture == ImageColor.getrgb(animation.CLASSES[k])).all(axis=2))
    return columns.mean(), -rows.mean()


@pytest.mark.parametrize("z_dim", [2, 4])
def test_dots_and_digits_lie_where_the_codes_and_their_means_are(z_dim, monkeypatch):
    """Places in the picture are one and the same scaling and shift of places in the plane."""
    words = {}
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda self, xy, text, *_, **__: words.update({text: xy}))
    x = images(10, seed=3)  # one a class
    film = film_of_codes(z_dim, x)
    codes = film.model.encode(x)[0].detach().double().numpy()
    if z_dim > 2:
        codes = PCA(2).fit_transform(codes)
    picture = frames_of(film.plane_gif())[0][-1]  # without words: digits hide dots
    place = np.array([dots(picture, k) for k in range(10)])
    design = np.c_[codes, np.ones(10)]
    fit, *_ = np.linalg.lstsq(design, place, rcond=None)
    assert np.abs(design @ fit - place).max() < 1.5  # pixels
    scale = fit[:2] / np.abs(np.diag(fit[:2])).mean()
    np.testing.assert_allclose(np.abs(scale), np.eye(2), atol=0.03)  # one scale for both axes; PCA's signs are free
    if z_dim == 2:
        assert (np.diag(scale) > 0).all()
    digits = np.array([words[str(k)] for k in range(10)]) * (1, -1)
    assert np.abs(digits - place).max() < 1.5


def test_axes_stay_and_the_last_frame_is_held():
    film = film_of_codes(4, weights=(0.25, 0.5, 1.0))
    pictures, durations = frames_of(film.plane_gif())
    assert len(pictures) == 4  # untrained, before two steps, and the end
    assert durations[:-1] == [animation.PAUSE] * 3
    assert durations[-1] == animation.HOLD
    bottom, left = animation.TOP + animation.PLOT, animation.LEFT
    for picture in pictures:
        assert np.array_equal(picture[bottom + 3 :], pictures[-1][bottom + 3 :])
        assert np.array_equal(picture[animation.TOP :, : left - 2], pictures[-1][animation.TOP :, : left - 2])
    titles = [picture[: animation.TOP - 2] for picture in pictures]
    assert not np.array_equal(titles[0], titles[-1])


def test_a_collapsed_model_and_a_huge_code_are_drawn():
    for z_dim in (2, 4):
        for weights in ((0.0, 1e-7), (1.0, 0.0), (1.0, 20_000.0)):
            film = film_of_codes(z_dim, weights=weights)
            assert len(frames_of(film.plane_gif())[0]) >= 2


def test_shares_of_the_variance_are_those_of_the_principal_components():
    x = images(50)
    end = 4 * (x.flatten(1)[:, :3].double().numpy() - 0.5) * (1, 2, 3)
    points, names = animation._in_plane([1 - end[:, ::-1], end])  # the plane is that of the end, for all frames
    pca = PCA(2).fit(end)
    share = 100 * pca.explained_variance_ratio_
    assert f"PC 1 ({share[0]:.0f} %" in names
    assert f"PC 2 ({share[1]:.0f} %)" in names
    for got, codes in zip(points, [1 - end[:, ::-1], end], strict=True):
        np.testing.assert_allclose(np.abs(got), np.abs(pca.transform(codes)), atol=1e-9)


@pytest.mark.slow  # it draws two long films of full size
def test_a_film_that_is_too_large_loses_frames_and_never_its_ends():
    """Noise, which nothing compresses, for pictures and places."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(600, 1, 28, 28, generator=generator)
    film = film_of_codes(2, x[:, :, :8, :8])
    for step in range(2, 40):
        codes = torch.randn(600, 2, generator=generator).half().numpy()
        pictures = torch.randint(0, 256, (10, 28, 28), generator=generator).byte().numpy()
        film.frames.append(animation.Frame(step, codes, pictures))
    film.frames = [frame for frame in film.frames if frame.step >= 2]
    film.images = x
    for gif in (film.plane_gif(), film.reconstructions_gif()):
        assert len(gif) <= 150_000
        pictures, _ = frames_of(gif)
        assert len(pictures) >= 2
    assert len(pictures) < 30  # of the reconstructions; the plane fits whole
    shown = pictures[-1][animation.TOP + 60 : animation.TOP + 116 : 2, ::2, 0].reshape(28, 10, 28).transpose(1, 0, 2)
    assert np.abs(shown - film.frames[-1].pictures.astype(int)).max() <= 9  # 16 greys
    assert np.abs(shown - film.frames[0].pictures.astype(int)).max() > 100


def test_reconstructions_stand_below_their_images():
    film = film_of()
    picture = frames_of(film.reconstructions_gif())[0][-1][:, :, 0].astype(int)
    zoom = 56 // 8
    rows = picture[animation.TOP :: zoom, ::zoom][:8], picture[animation.TOP + 60 :: zoom, ::zoom][:8]
    want = (film.images[:10, 0] * 255).numpy(), film.frames[-1].pictures
    for row, images_ in zip(rows, want, strict=True):
        assert np.abs(row.reshape(8, 10, 8).transpose(1, 0, 2) - images_).max() <= 9


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words += data


def test_show_is_a_still_picture_and_a_folded_film(monkeypatch):
    shown = []
    monkeypatch.setattr(animation, "display", lambda bundle, **options: shown.append((bundle, options)))
    gif = film_of().plane_gif()
    alt = 'codes of "1" & <b>0</b> part'
    animation.show(gif, alt)
    (still, options), (film, _) = shown
    assert options["metadata"]["image/png"]["alt"] == alt
    with Image.open(io.BytesIO(still["image/png"])) as picture:
        assert np.array_equal(np.array(picture.convert("RGB")), frames_of(gif)[0][-1])
    page = Page(film["text/html"])
    # JupyterLab keeps these three elements and attributes, also in a notebook that it does not trust
    assert [tag for tag, _ in page.tags] == ["details", "summary", "img"]
    assert page.tags[0][1] == {}  # folded: nothing moves before somebody asks
    image = page.tags[2][1]
    assert set(image) == {"alt", "width", "src"}
    assert image["alt"].startswith(alt)
    assert base64.b64decode(image["src"].removeprefix("data:image/gif;base64,")) == gif
    assert "close it to stop" in page.words
    assert alt in film["text/plain"]


def test_what_is_refused():
    model, x, y = new_model(), images(), labels()
    for bad_x, bad_y, error, says in [
        (x, y[:10], ValueError, "one an image, got"),
        (x, y[:, None], ValueError, "labels must have shape"),
        (x, y + 1, ValueError, "from 0 to 9"),
        (x, y.float(), ValueError, "whole numbers"),
        (x[:0], y[:0], ValueError, "empty"),
        (x.expand(-1, 3, -1, -1), y, ValueError, "one channel"),
        ((x * 255).byte(), y, TypeError, "float"),
        (torch.rand(64, 1, 9, 9), y, ValueError, "cannot encode and decode.*takes images of shape"),
    ]:
        with pytest.raises(error, match=says):
            animation.Film(model, bad_x, bad_y)
    with pytest.raises(ValueError, match="cannot encode and decode"):
        animation.Film(nn.Linear(2, 2), x, y)
    film = animation.Film(model, x, y)
    for gif in (film.plane_gif, film.reconstructions_gif):
        with pytest.raises(ValueError, match="only the untrained model"):
            gif()
    with pytest.raises(ValueError, match="another model"):
        film.watch(losses.negative_elbo)(new_model().train(), x)
    with pytest.raises(ValueError, match="at least two latents"):
        film_of(z_dim=1).plane_gif()
    with pytest.raises(ValueError, match="alt must say"):
        animation.show(b"", " ")
    with pytest.raises(OSError, match="cannot identify"):
        animation.show(b"no film", "alt")
    with torch.no_grad():
        model.encoder[1].weight.fill_(torch.nan)
    model.train()
    film.due = 0
    with pytest.raises(FloatingPointError, match="not finite after 0 steps"):
        film.watch(losses.negative_elbo)(model, x)
    assert model.training


@pytest.mark.slow  # a new interpreter imports torch
def test_it_does_not_load_a_plotting_library():
    import subprocess
    import sys

    command = "import sys, vae_course.animation; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0
