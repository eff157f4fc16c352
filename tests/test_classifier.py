"""The judge: its shapes, its loss against torch.distributions, and that it can learn to read."""

import pytest
import torch

from vae_course import training
from vae_course.data.digits import draw_digits
from vae_course.models.classifier import DigitClassifier, classification_loss

pytestmark = pytest.mark.slow  # trains or imports for seconds: `make check` goes without


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    return DigitClassifier()


@pytest.fixture
def x():
    return torch.rand(7, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def test_features_are_what_the_head_decides_on(classifier, x):
    features = classifier.features(x)
    assert features.shape == (7, 64)
    assert (features >= 0).all()
    assert not features.requires_grad
    torch.testing.assert_close(classifier.head(features), classifier(x))


def test_probabilities_are_the_softmax_of_the_logits(classifier, x):
    want = torch.distributions.Categorical(logits=classifier(x)).probs
    torch.testing.assert_close(classifier.probabilities(x), want)
    assert not classifier.probabilities(x).requires_grad


def test_batches_change_nothing(classifier, x):
    torch.testing.assert_close(classifier.features(x, batch_size=3), classifier.features(x))
    torch.testing.assert_close(classifier.probabilities(x, batch_size=3), classifier.probabilities(x))


def test_loss_and_accuracy(classifier, x):
    classifier, x = classifier.double(), x.double()
    y = torch.tensor([0, 9, 3, 3, 5, 1, 2])
    terms = classification_loss(classifier, x, y)
    assert terms["loss"].shape == terms["accuracy"].shape == (7,)
    torch.testing.assert_close(terms["loss"], -torch.distributions.Categorical(logits=classifier(x)).log_prob(y))
    assert terms["accuracy"].tolist() == [
        float(row.argmax() == label) for row, label in zip(classifier(x), y, strict=True)
    ]


def test_another_number_of_classes(x):
    assert DigitClassifier(classes=3).probabilities(x).shape == (7, 3)


def test_bad_input_is_named(classifier, x):
    for look in (classifier.features, classifier.probabilities):
        with pytest.raises(ValueError, match="empty"):
            look(x[:0])
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            look(x * float("nan"))
        with pytest.raises(TypeError, match="255"):
            look((x * 255).long())


@pytest.mark.slow
def test_it_learns_to_read(classifier):
    """A guess is right one time in ten; labels that are shuffled teach nothing."""
    pixels, labels = draw_digits(4000, seed=0)
    images = pixels.float() / 255
    train, test = (images[:3000], labels[:3000]), (images[3000:], labels[3000:])
    training.fit(classifier, train, epochs=4, lr=4e-3, loss=classification_loss)
    assert training.evaluate(classifier, test, loss=classification_loss)["accuracy"] > 0.85
