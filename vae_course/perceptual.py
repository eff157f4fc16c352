"""How different two images look to a network that was trained for something else: a distance between its features.

Zhang, Isola, Efros, Shechtman and Wang 2018 (arXiv 1801.03924). The `lpips` package where its ImageNet backbone can
be had, and otherwise the same construction on features of our own classifier of the faces' attributes.
"""

import contextlib
import http.client
import json
import threading
import urllib.request
import warnings
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn

from vae_course.data import cache
from vae_course.data.celeba import Faces
from vae_course.data.mnist import TIMEOUT, DataError, _socket_timeout, offline
from vae_course.images import require_unit_range
from vae_course.models.attributes import AttributeClassifier, train_classifier
from vae_course.models.vae import at_least_fp32

FILE = "perceptual.safetensors"  # in a run's folder: the classifier it trained for its own features
SMALLEST = {"vgg": 16, "squeeze": 28, "attributes": 16}  # height and width that still reach the deepest layer


class PerceptualDistance(nn.Module):
    """A frozen distance between images. name: "vgg", "squeeze" or "attributes"; words: what it is, in one line.

    It has no gradients of its own and stays in evaluation mode, whatever it is a part of; gradients reach the images.
    """

    def __init__(self, distance: nn.Module, *, name: str, words: str) -> None:
        super().__init__()
        self.distance = distance.requires_grad_(False).eval()
        self.name, self.words, self.smallest = name, words, SMALLEST[name]

    def train(self, mode: bool = True) -> "PerceptualDistance":
        """Stay in evaluation mode: dropout would make the distance of equal images a matter of luck."""
        return super().train(False)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """How different a and b look; 0 for equal images. (B, 3, H, W) twice, in [0, 1] -> (B,).

        Raises ValueError on shapes that differ, images that are too small or values outside [0, 1], TypeError on
        integers.
        """
        if a.shape != b.shape or a.ndim != 4 or a.shape[1] != 3:
            raise ValueError(f"want two batches of one shape (B, 3, H, W), got {tuple(a.shape)} and {tuple(b.shape)}")
        if min(a.shape[2:]) < self.smallest:
            raise ValueError(
                f"features of {self.name} need images of at least {self.smallest}×{self.smallest} pixels, "
                f"got {tuple(a.shape[2:])}: enlarge them, or take a recipe without a perceptual term"
            )
        require_unit_range("a", a)
        require_unit_range("b", b)
        return at_least_fp32(self.distance(a, b)).flatten()


class FeatureDistance(nn.Module):
    """½‖â - b̂‖² = 1 - cos(a, b) of feature vectors at each place, averaged over places and over the levels.

    â is a classifier's feature vector at one place, scaled to length one. Features after a ReLU are never negative, so
    the distance lies in [0, 1]. LPIPS with equal weights in place of learned ones.
    """

    def __init__(self, classifier: AttributeClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(B, 3, H, W) twice -> (B,)."""
        maps = zip(self.classifier.feature_maps(a), self.classifier.feature_maps(b), strict=True)
        levels = [0.5 * ((unit(p) - unit(q)) ** 2).sum(dim=1).mean(dim=(1, 2)) for p, q in maps]  # each (B,)
        return torch.stack(levels).mean(dim=0)


def unit(features: Tensor) -> Tensor:
    """Each place's vector, scaled to length one. (B, C, H, W) twice the same.

    The small constant stands under the root: a vector of zeros stays one, and has a gradient that is finite.
    """
    features = at_least_fp32(features)
    return features / (features.square().sum(dim=1, keepdim=True) + 1e-4).sqrt()


class _Lpips(nn.Module):
    """The lpips package's network, told that images lie in [0, 1]; left to itself it expects [-1, 1]."""

    def __init__(self, net: str) -> None:
        super().__init__()
        import lpips  # imported here: it takes seconds

        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            # lpips speaks to torchvision in the way of 2021, about which its reader can do nothing
            warnings.filterwarnings("ignore", message="(The parameter 'pretrained'|Arguments other than a weight enum)")
            self.net = lpips.LPIPS(net=net, verbose=False)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.net(a, b, normalize=True)  # (B, 1, 1, 1)


def perceptual_distance(
    backbone: str = "auto",
    *,
    faces: Faces | None = None,
    folder: Path | str | None = None,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> PerceptualDistance:
    """The best perceptual distance that can be had here; its `words` say which.

    backbone "vgg" or "squeeze": the lpips package, on torchvision's weights in torch.hub's folder, or downloaded there
    (not with VAE_COURSE_OFFLINE=1). "attributes": features of a classifier of the faces' attributes, read from
    folder/perceptual.safetensors, or trained on faces by the seed and written there. "auto": what the folder already
    holds; else lpips, vgg first on a GPU and squeeze first elsewhere; else the classifier.
    The global random state is left alone. With several processes, let one of them come first.
    Raises DataError, saying what to do, if what was asked for cannot be had, or a file is damaged.
    """
    if backbone not in ("auto", *SMALLEST):
        raise ValueError(f"backbone must be 'auto', {', '.join(map(repr, SMALLEST))}; got {backbone!r}")
    saved = Path(folder) / FILE if folder is not None else None
    if backbone == "attributes" or (backbone == "auto" and saved is not None and saved.exists()):
        why = "as in this run from its beginning" if saved is not None and saved.exists() else "as asked for"
        return _of_classifier(_classifier(saved, faces, device, seed), why).to(device)
    if backbone != "auto":
        if problem := _fetch(backbone):
            raise DataError(
                f"the {backbone} backbone of LPIPS cannot be had: {problem}; put the file where it is looked for"
            )
        return _of_lpips(backbone).to(device)
    nets = ("vgg", "squeeze") if torch.device(device).type == "cuda" else ("squeeze", "vgg")
    for net in nets:
        if _weights(net).exists():
            return _of_lpips(net).to(device)
    problem = _fetch(nets[0])
    if not problem:
        return _of_lpips(nets[0]).to(device)
    if faces is None or faces.attributes is None:
        raise DataError(
            f"no perceptual distance can be had: {problem}, and these pictures have no attributes to train "
            "features on; put that file there, or take a recipe without a perceptual term"
        )
    return _of_classifier(_classifier(saved, faces, device, seed), problem).to(device)


def _of_lpips(net: str) -> PerceptualDistance:
    path = _weights(net)
    try:  # lpips loads this file in a way that could run what is hidden in it; this way cannot
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                if len(file.infolist()) == 1:  # torch.hub would unpack the one entry and unpickle that
                    raise ValueError("an archive of one file")
        torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        words = str(error) if isinstance(error, ValueError) else type(error).__name__
        raise DataError(f"{path} is damaged or is not a file of weights ({words}): delete it") from error
    words = {"vgg": "VGG16", "squeeze": "SqueezeNet"}[net]
    return PerceptualDistance(_Lpips(net), name=net, words=f"LPIPS (lpips package, {words} trained on ImageNet)")


def _of_classifier(classifier: AttributeClassifier, why: str) -> PerceptualDistance:
    words = f"features of our own attribute classifier, not LPIPS ({why})"
    return PerceptualDistance(FeatureDistance(classifier), name="attributes", words=words)


def _url(net: str) -> str:
    from torchvision.models import SqueezeNet1_1_Weights, VGG16_Weights  # imported here: it takes seconds

    return {"vgg": VGG16_Weights.IMAGENET1K_V1.url, "squeeze": SqueezeNet1_1_Weights.IMAGENET1K_V1.url}[net]


def _weights(net: str) -> Path:
    """Where torchvision looks for the backbone's weights."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(_url(net)).name


def _fetch(net: str) -> str:
    """Download the backbone's weights if they are not there; what stood in the way, or "" if they are there now."""
    path, url = _weights(net), _url(net)
    if path.exists():
        return ""
    if offline():
        return f"{path} is missing, and VAE_COURSE_OFFLINE forbids the download"
    if not _answers(url):
        return f"{path} is missing, and {url} does not answer"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _socket_timeout(TIMEOUT):  # seconds without a byte
            torch.hub.download_url_to_file(url, str(path), hash_prefix=path.stem.split("-")[1])
    except (OSError, RuntimeError, http.client.HTTPException) as error:  # RuntimeError: the checksum is wrong
        return f"{path} is missing, and its download failed ({error})"
    return ""


def _answers(url: str) -> bool:
    """Whether the server says anything in time. In a thread, because looking up a name knows no time-out."""
    answered = threading.Event()

    def ask() -> None:
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            urllib.request.urlopen(_head(url), timeout=TIMEOUT),
        ):
            answered.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    return answered.is_set()


def _head(url: str) -> urllib.request.Request:
    return urllib.request.Request(url, method="HEAD")


def _classifier(saved: Path | None, faces: Faces | None, device: torch.device | str, seed: int) -> AttributeClassifier:
    """The classifier that the folder holds, or a new one, which it then holds."""
    if saved is not None and saved.exists():
        return _read(saved)
    if faces is None:
        raise DataError("features of an attribute classifier are wanted, but no faces were given to train one on")
    classifier = train_classifier(faces, seed=seed, device=device).cpu()
    if saved is not None:
        _write(saved, classifier)
    return classifier


def _write(path: Path, classifier: AttributeClassifier) -> None:
    from safetensors.torch import save_file  # with the extra `train`, imported where it is needed

    words = {"size": str(classifier.size), "names": json.dumps(classifier.names)}
    with cache.atomic(path) as part:
        save_file(classifier.state_dict(), part, words)


def _read(path: Path) -> AttributeClassifier:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            words, tensors = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        classifier = AttributeClassifier(int(words["size"]), json.loads(words["names"]))
        classifier.load_state_dict(tensors)
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{path} is damaged ({error}): delete it: a resumed run trains it again, from its seed"
        ) from error
    return classifier
