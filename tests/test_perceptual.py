"""The perceptual distance: the lpips package on weights of our own making, the classifier's features, and the door."""

import contextlib
import http.client
import os
import pickle
import shutil
import urllib.request
import zipfile

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from vae_course import perceptual
from vae_course.data.mnist import DataError
from vae_course.models import attributes
from vae_course.models.attributes import AttributeClassifier
from vae_course.perceptual import FeatureDistance, PerceptualDistance, perceptual_distance

pytestmark = pytest.mark.slow

FILES = {"squeeze": "squeezenet1_1-b8a52dc0.pth", "vgg": "vgg16-397923af.pth"}  # torchvision's own names


@pytest.fixture(autouse=True)
def torch_home(tmp_path, monkeypatch):
    """An empty folder of downloads, and no network: what a fresh machine without internet has."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VAE_COURSE_OFFLINE", "1")
    monkeypatch.setattr(urllib.request, "urlopen", lambda *args, **kwargs: pytest.fail("the network was asked"))
    folder = tmp_path / "home" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="session")
def random_squeezenet(tmp_path_factory):
    import torchvision

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / FILES["squeeze"]
    torch.save(torchvision.models.squeezenet1_1(weights=None).state_dict(), path)
    return path


@pytest.fixture
def x():
    return smooth(torch.rand(4, 3, 48, 48, generator=torch.Generator().manual_seed(0)), 1)


def smooth(x, width):
    """Averages over (2·width + 1)² pixels."""
    return F.avg_pool2d(x, 2 * width + 1, stride=1, padding=width, count_include_pad=False)


class Faces:
    """Noise, the attribute being its brightness."""

    attribute_names = ("Bright",)
    size = 16

    def __init__(self):
        rng = torch.Generator().manual_seed(0)
        yes = torch.rand(128, generator=rng) > 0.5
        self.x = 0.5 * torch.rand(128, 3, 16, 16, generator=rng) + 0.4 * yes[:, None, None, None]
        self.attributes, self.splits = yes[:, None].numpy(), {"train": torch.arange(128).numpy()}

    def batch(self, indices):
        return self.x[torch.from_numpy(indices)]


def classifier_distance():
    torch.manual_seed(0)
    words = "features of our own attribute classifier, not LPIPS (a test)"
    return PerceptualDistance(FeatureDistance(AttributeClassifier(48, ["A", "B"])), name="attributes", words=words)


# The lpips package


@pytest.mark.filterwarnings("ignore:(The parameter 'pretrained'|Arguments other than)")  # of the reference
def test_lpips_is_used_as_its_authors_do(random_squeezenet, torch_home, x):
    import lpips

    shutil.copy(random_squeezenet, torch_home)
    ours = perceptual_distance()
    assert ours.name == "squeeze"
    assert ours.words.startswith("LPIPS (lpips package, SqueezeNet")
    theirs = lpips.LPIPS(net="squeeze", verbose=False)
    y = smooth(x, 2)
    want = theirs(2 * x - 1, 2 * y - 1).flatten()  # it wants [-1, 1]
    torch.testing.assert_close(ours(x, y), want)
    assert not torch.allclose(theirs(x, y).flatten(), want, rtol=1e-3)  # the mistake would have been seen
    properties(ours, x)


def test_no_warning_and_no_random_number_is_used_up(random_squeezenet, torch_home, recwarn):
    shutil.copy(random_squeezenet, torch_home)
    state = torch.get_rng_state()
    perceptual_distance("squeeze")
    assert not recwarn.list
    assert torch.equal(torch.get_rng_state(), state)


def test_vgg_is_taken_first_on_a_gpu_and_its_features_are_frozen(torch_home, x, monkeypatch):
    """The real loading code; the network's widths are divided by eight, so that its file has 2 MB for 528."""
    import torchvision

    def narrow(*, pretrained):
        model = nn.Sequential()
        model.features = torchvision.models.vgg.make_layers(
            [8, 8, "M", 16, 16, "M", 32, 32, 32, "M", 64, 64, 64, "M", 64, 64, 64, "M"]
        )
        if pretrained:
            model.load_state_dict(torch.load(torch_home / FILES["vgg"], weights_only=True))
        return model

    import lpips

    torch.save(narrow(pretrained=False).state_dict(), torch_home / FILES["vgg"])
    monkeypatch.setattr(lpips.pretrained_networks.tv, "vgg16", narrow)
    heads = lpips.LPIPS.__init__
    monkeypatch.setattr(lpips.LPIPS, "__init__", lambda self, **given: heads(self, **given, lpips=False))
    ours = perceptual_distance()
    assert ours.name == "vgg"
    assert "VGG16" in ours.words
    properties(ours, x)


def test_a_gpu_wants_vgg_and_a_cpu_squeezenet(torch_home, random_squeezenet, monkeypatch):
    asked = []
    monkeypatch.setattr(perceptual, "_of_lpips", lambda net: asked.append(net) or nn.Identity())
    monkeypatch.setattr(nn.Identity, "to", lambda self, device: self)
    for name in FILES.values():
        shutil.copy(random_squeezenet, torch_home / name)
    perceptual_distance(device="cuda")
    perceptual_distance(device="cpu")
    assert asked == ["vgg", "squeeze"]


def test_weights_with_an_archive_behind_them_are_refused(torch_home, random_squeezenet, tmp_path, monkeypatch):
    """PyTorch reads such a file from its front, harmless weights; torch.hub unpickles the one entry of the archive."""

    class Evil:
        def __reduce__(self):
            return os.system, ("touch evil",)

    monkeypatch.chdir(tmp_path)
    path, hidden = torch_home / FILES["squeeze"], tmp_path / "hidden.zip"
    state = torch.load(random_squeezenet, weights_only=True)
    torch.save(state, path, _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(hidden, "w") as archive:
        archive.writestr("weights.pth", pickle.dumps(Evil()))
    with path.open("ab") as file:
        file.write(hidden.read_bytes())
    torch.load(path, weights_only=True)  # which sees nothing wrong
    with pytest.raises(DataError, match="archive of one file"):
        perceptual_distance("squeeze")
    assert not (tmp_path / "evil").exists()


def test_weights_that_are_damaged_or_malicious_are_refused(torch_home, tmp_path):
    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    for content in (Harm(), None):
        if content is None:
            (torch_home / FILES["squeeze"]).write_bytes(b"<html>quota exceeded</html>")
        else:
            torch.save(content, torch_home / FILES["squeeze"])
        with pytest.raises(DataError, match=r"squeezenet1_1.*delete it"):
            perceptual_distance("squeeze")
    assert not (tmp_path / "harm").exists()


# What holds for every distance


def properties(distance, x):
    """A distance of images: zero for equal ones, symmetric, positive, growing with the damage; frozen, not blind."""
    zero = torch.zeros(len(x))
    torch.testing.assert_close(distance(x, x), zero)
    blurred = [distance(x, smooth(x, width)) for width in (1, 2, 4)]
    assert (blurred[0] > 0).all()
    assert (blurred[0] < blurred[1]).all()
    assert (blurred[1] < blurred[2]).all()
    y = smooth(x, 2)
    torch.testing.assert_close(distance(x, y), distance(y, x))
    alone = torch.cat([distance(x[i : i + 1], y[i : i + 1]) for i in range(len(x))])
    torch.testing.assert_close(distance(x, y), alone)

    parent = nn.Sequential(distance).train()
    assert not any(module.training for module in distance.modules())
    torch.testing.assert_close(distance(x, y), alone)
    assert not any(p.requires_grad for p in parent.parameters())
    image = y.clone().requires_grad_()
    distance(x, image).sum().backward()
    assert image.grad.isfinite().all()
    assert (image.grad.flatten(1).norm(dim=1) > 0).all()
    assert all(p.grad is None for p in distance.parameters())

    for bad in (2 * x - 1.5, x + 0.5, torch.full_like(x, torch.nan)):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            distance(x, bad)
    with pytest.raises(TypeError, match="float"):
        distance((255 * x).byte(), (255 * x).byte())
    side = distance.smallest
    assert distance(x[..., :side, :side], y[..., :side, :side]).isfinite().all()
    with pytest.raises(ValueError, match="at least"):
        distance(x[..., : side - 1], y[..., : side - 1])
    with pytest.raises(ValueError, match="one shape"):
        distance(x, y[:1])
    with pytest.raises(ValueError, match="one shape"):
        distance(x[:, :1], y[:, :1])


def test_classifier_features_are_a_distance(x):
    properties(classifier_distance(), x)


def test_classifier_features_by_hand(x):
    distance = classifier_distance().double()
    x = x.double()
    y = smooth(x, 2)
    net = distance.distance.classifier
    levels = [
        (1 - F.cosine_similarity(a, b, dim=1)).mean(dim=(1, 2))
        for a, b in zip(net.feature_maps(x), net.feature_maps(y), strict=True)
    ]
    # equal up to the constant under the root
    torch.testing.assert_close(distance(x, y), torch.stack(levels).mean(dim=0), rtol=1e-2, atol=0)


def test_places_without_features_have_gradients():
    distance = classifier_distance()
    for level in distance.distance.classifier.levels:
        nn.init.constant_(level[0].bias, -100.0)  # every feature is zero everywhere
    x = torch.rand(2, 3, 48, 48, requires_grad=True)
    found = distance(x, torch.rand(2, 3, 48, 48))
    found.sum().backward()
    assert found.tolist() == [0, 0]
    assert x.grad.abs().max() == 0


# Which one is taken


def test_without_weights_the_run_trains_its_own_and_keeps_them(tmp_path, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    state = torch.get_rng_state()
    first = perceptual_distance(faces=Faces(), folder=run, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.name == "attributes"
    assert "not LPIPS" in first.words
    assert "VAE_COURSE_OFFLINE" in first.words
    assert [f.name for f in run.iterdir()] == ["perceptual.safetensors"]
    again = perceptual_distance(faces=Faces(), seed=3)
    monkeypatch.setattr(attributes.training, "fit", lambda *args, **kwargs: pytest.fail("trained again"))
    resumed = perceptual_distance(folder=run)
    assert "not LPIPS" in resumed.words
    x, y = torch.rand(2, 4, 3, 16, 16)
    assert torch.equal(first(x, y), resumed(x, y))
    assert torch.equal(first(x, y), again(x, y))
    saved = load_file(run / "perceptual.safetensors")
    assert torch.equal(saved["head.weight"], first.distance.classifier.head.weight)


def test_a_run_keeps_its_features_when_better_ones_appear(tmp_path, torch_home, random_squeezenet):
    perceptual_distance(faces=Faces(), folder=tmp_path)
    shutil.copy(random_squeezenet, torch_home)
    assert perceptual_distance(faces=Faces(), folder=tmp_path).name == "attributes"
    assert perceptual_distance(faces=Faces()).name == "squeeze"


def test_damaged_features_are_named(tmp_path):
    (tmp_path / "perceptual.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="damaged"):
        perceptual_distance(folder=tmp_path)


def test_nothing_to_be_had_is_said(tmp_path):
    faces = Faces()
    faces.attributes = None
    for given in (None, faces):
        with pytest.raises(DataError, match=r"squeezenet1_1-b8a52dc0.pth.*without a perceptual term"):
            perceptual_distance(faces=given)
    with pytest.raises(DataError, match=r"vgg16-397923af.pth.*put the file"):
        perceptual_distance("vgg", faces=Faces())
    with pytest.raises(DataError, match="no faces"):
        perceptual_distance("attributes")
    with pytest.raises(ValueError, match="alex"):
        perceptual_distance("alex")


def test_a_failed_download_falls_back_and_says_so(monkeypatch, torch_home):
    monkeypatch.delenv("VAE_COURSE_OFFLINE")

    def refuse(*args, **kwargs):
        raise OSError("connection refused")

    def babble(*args, **kwargs):  # as a page that asks for a password does, in the place of the server
        raise http.client.BadStatusLine("<html>")

    for answer in (refuse, babble):
        monkeypatch.setattr(urllib.request, "urlopen", answer)
        found = perceptual_distance(faces=Faces())
        assert found.name == "attributes"
        assert "does not answer" in found.words

    monkeypatch.setattr(perceptual, "_answers", lambda url: True)
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    assert "connection refused" in perceptual_distance(faces=Faces()).words
    monkeypatch.setattr(torch.hub, "download_url_to_file", babble)
    assert "<html>" in perceptual_distance(faces=Faces()).words
    assert not list(torch_home.iterdir())


def test_a_server_that_says_nothing_costs_little(monkeypatch):
    import threading
    import time

    never = threading.Event()
    monkeypatch.setattr(urllib.request, "urlopen", lambda *args, **kwargs: never.wait(30) and contextlib.nullcontext())
    monkeypatch.setattr(perceptual, "TIMEOUT", 0.3)
    start = time.perf_counter()
    assert not perceptual._answers("https://example.org/weights.pth")
    assert time.perf_counter() - start < 5
    never.set()
