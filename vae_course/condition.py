"""Is the condition used, does z leak it, and are the pictures of one class different from each other?"""

from typing import Any

import torch
from torch import Tensor

from vae_course.images import require_images, require_labels

NEIGHBOURS = 15  # that vote on the class of a code


def asked_accuracy(classifier: Any, images: Tensor, c: Tensor) -> float:
    """Share of the images that the classifier reads as the class that was asked for. (N, C, H, W), (N,) -> 0 to 1.

    On real images with their labels it is the classifier's own accuracy, which belongs beside it. Raises ValueError or
    TypeError on unusable images or labels.
    """
    require_images(images)
    probabilities = classifier.probabilities(images)  # (N, classes)
    require_labels(c, n=len(images), classes=probabilities.shape[1])
    return float((probabilities.argmax(dim=1) == c).float().mean())


@torch.no_grad()
def swap_accuracy(
    model: Any, classifier: Any, x: Tensor, c: Tensor, *, generator: torch.Generator | None = None
) -> float:
    """Share of the images that are read as c' when the code of x, of class c, is decoded with another class c'.

    x: (N, C, H, W), c: (N,), long -> 0 to 1. The code is the mean of q(z|x,c), and c' is drawn from the other classes.
    Near 1 the condition decides about the class; near 0 it is ignored. Raises as `asked_accuracy` does.
    """
    require_images(x)
    require_labels(c, n=len(x), classes=model.classes)
    step = torch.randint(1, model.classes, c.shape, generator=generator)
    other = (c + step.to(c.device)) % model.classes  # never c itself
    swapped = model.decode(model.encode(x, c)[0], other).sigmoid()
    return asked_accuracy(classifier, swapped, other)


def within_class_variance(images: Tensor, c: Tensor) -> float:
    """How different images of one class are: the variance of each pixel within a class, summed over pixels.

    images: (N, C, H, W) in [0, 1], c: (N,), long -> the mean over the classes that occur, each with one vote. Zero only
    if every class shows one picture again and again. Divided by n, not n - 1, so too small by one part in n: compare
    classes of similar size. Raises ValueError or TypeError on unusable images or labels, or a class with fewer than
    two images.
    """
    require_images(images)
    require_labels(c, n=len(images), classes=int(c.max()) + 1 if c.numel() else 1)
    found, counts = c.unique(return_counts=True)
    if counts.min() < 2:
        raise ValueError(f"class {found[counts.argmin()].item()} has one image, and a variance needs two")
    of_class = [images[c == k].flatten(1).var(dim=0, correction=0).sum() for k in found]
    return float(torch.stack(of_class).mean())


def probe(codes: Tensor, c: Tensor) -> dict[str, float]:
    """What codes tell about the class: two classifiers trained on one half of them and tested on the other.

    codes: (N, D), float, c: (N,), long. Returns accuracies: "linear", logistic regression; "neighbours", a vote of the
    nearest codes, NEIGHBOURS of them, which also finds what no straight line does; "chance", the most frequent class
    for all; and "nats", a lower bound on the mutual information I(z; c): entropy of the classes minus the logistic
    regression's cross-entropy. Raises ValueError or TypeError on unusable codes or labels, fewer than 10 codes of any
    class, or too few in the half to learn from: it needs NEIGHBOURS of them, and every class.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.neighbors import KNeighborsClassifier

    if codes.ndim != 2 or not codes.is_floating_point():
        raise ValueError(f"codes must be float, shape (N, D), got {codes.dtype}, {tuple(codes.shape)}")
    if not codes.isfinite().all():
        raise ValueError("codes must be finite, and some are NaN or infinite")
    require_labels(c, n=len(codes), classes=int(c.max()) + 1 if c.numel() else 1)
    counts = c.unique(return_counts=True)[1]
    if len(counts) < 2 or counts.min() < 10:
        raise ValueError(f"a probe wants two classes or more with at least 10 codes each, got counts {counts.tolist()}")
    half = torch.randperm(len(c), generator=torch.Generator().manual_seed(0)).chunk(2)
    (z, y), (test_z, test_y) = ((codes[i].detach().double().cpu().numpy(), c[i].cpu().numpy()) for i in half)
    if len(y) < NEIGHBOURS or len(set(y.tolist())) < len(counts):
        found = f"{len(y)} codes, of {len(set(y.tolist()))} classes out of {len(counts)}"
        raise ValueError(f"the half to learn from wants {NEIGHBOURS} codes and every class, and has {found}: give more")
    linear = LogisticRegression(max_iter=1000).fit(z, y)
    neighbours = KNeighborsClassifier(n_neighbors=NEIGHBOURS).fit(z, y)
    shares = torch.as_tensor(test_y).bincount().double() / len(test_y)
    entropy = float(-shares.xlogy(shares).sum())
    return {
        "linear": float(linear.score(test_z, test_y)),
        "neighbours": float(neighbours.score(test_z, test_y)),
        "chance": float(shares.max()),
        "nats": entropy - float(log_loss(test_y, linear.predict_proba(test_z), labels=linear.classes_)),
    }
