"""The drawn faces: the same for a seed, attributes independent of each other, and each readable from the picture."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from vae_course.data import faces
from vae_course.data.faces import NAMES, draw_faces

pytestmark = pytest.mark.slow

# CelebA's forty, in its order
CELEBA = """
5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair
Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male
Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks
Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace
Wearing_Necktie Young
"""


def test_names_are_celebas_in_its_order():
    assert len(NAMES) >= 10
    assert list(NAMES) == [name for name in CELEBA.split() if name in NAMES]
    assert all(0.3 <= chance <= 0.5 for chance in faces.CHANCES.values())


def test_shapes_and_kinds():
    pictures, attributes = draw_faces(3)
    assert (pictures.shape, pictures.dtype) == ((3, 218, 178, 3), np.uint8)
    assert (attributes.shape, attributes.dtype) == ((3, len(NAMES)), np.bool_)
    assert draw_faces(2, size=(64, 40))[0].shape == (2, 40, 64, 3)
    for picture in pictures:
        assert picture.std() > 30  # neither blank nor nearly so


def test_a_seed_fixes_the_faces_and_n_does_not_change_them():
    four, ten, other = draw_faces(4, seed=3), draw_faces(10, seed=3), draw_faces(4, seed=4)
    for a, b, c in zip(four, ten, other, strict=True):
        assert np.array_equal(a, b[:4])
        assert not np.array_equal(a, c)


def test_another_process_draws_the_same():
    program = (
        "import hashlib; from vae_course.data.faces import draw_faces; x, a = draw_faces(3, seed=9);"
        "print(hashlib.sha256(x.tobytes() + a.tobytes()).hexdigest())"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    x, a = draw_faces(3, seed=9)
    assert run.stdout.strip() == hashlib.sha256(x.tobytes() + a.tobytes()).hexdigest()


def test_a_square_is_the_crop_of_the_full_width():
    tall, square = draw_faces(4, seed=1), draw_faces(4, seed=1, size=(178, 178))
    assert np.array_equal(tall[0][:, 20:198], square[0])
    small = draw_faces(4, seed=1, size=(89, 89))[0]
    reduced = np.stack([Image.fromarray(x).reduce(2) for x in square[0]])
    assert np.abs(small.astype(int) - reduced).mean() < 4


@pytest.mark.parametrize("arguments", [{"n": 0}, {"n": 2, "seed": -1}, {"n": 2, "size": (8, 64)}])
def test_what_cannot_be_drawn_is_refused(arguments):
    with pytest.raises(ValueError, match=r"n must be at least 1, seed at least 0, sides at least 16 pixels"):
        draw_faces(**arguments)


def test_attributes_are_coins_of_their_own():
    """Frequencies, and the correlation of every pair, within five standard errors."""
    n = 20_000
    has = np.array([list(faces._person(0, i).has.values()) for i in range(n)], float)
    chances = np.array(list(faces.CHANCES.values()))
    assert (np.abs(has.mean(0) - chances) < 5 * np.sqrt(chances * (1 - chances) / n)).all()
    correlations = np.corrcoef(has.T)[np.triu_indices(len(NAMES), 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(n)


def test_the_look_does_not_depend_on_attributes_it_does_not_show():
    """Skin, pose, light and hair's length say nothing about any attribute."""
    people = [faces._person(1, i) for i in range(4_000)]
    has = np.array([list(p.has.values()) for p in people], float)
    causes = np.array([[np.mean(p.skin), *p.turn, *p.light, p.length, p.volume, p.roll, p.zoom] for p in people])
    both = np.corrcoef(has.T, causes.T)[: len(NAMES), len(NAMES) :]
    assert np.abs(both).max() < 5 / np.sqrt(len(people))


@pytest.mark.parametrize("name", NAMES)
def test_an_attribute_changes_its_own_part_of_the_picture(name):
    """The same person with and without: a visible change, and most of the picture as it was."""
    changed = []
    for i in range(8):
        person = faces._person(2, i)
        pair = [faces._draw(person._replace(has=person.has | {name: on}), (64, 64)).astype(int) for on in (True, False)]
        changed.append(np.abs(pair[0] - pair[1]).max(axis=2))
    if name in ("Blond_Hair", "Wearing_Lipstick"):  # colours that the person carries, so only the coin tells
        assert np.max(changed) == 0
        return
    share = np.mean(np.array(changed) > 24)
    assert 0.004 < share < 0.35


def test_a_small_network_reads_every_attribute_and_no_other():
    """At 32 x 32 pixels, on faces it has not seen: 90 % of each attribute; permuted attributes stay at chance."""
    size, n_train, n_test = (32, 32), 2_400, 500
    pictures, attributes = draw_faces(n_train + n_test, seed=5, size=size)
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255 - 0.5
    y = torch.from_numpy(attributes).float()
    torch.manual_seed(0)
    wrong = y[torch.randperm(len(y))]  # of other faces: nothing in the picture tells them
    y = torch.cat([y, wrong[:, :3]], dim=1)
    model = nn.Sequential(
        *(nn.Conv2d(3, 32, 5, stride=2, padding=2), nn.ReLU()),
        *(nn.Conv2d(32, 48, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(48 * 64, 96), nn.ReLU(), nn.Linear(96, y.shape[1])),
    )
    epochs, batch = 12, 64
    optimizer = torch.optim.Adam(model.parameters())
    steps = epochs * -(-n_train // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(n_train).split(batch):
            optimizer.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(model(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        right = ((model(x[n_train:]) > 0) == y[n_train:].bool()).float().mean(0).tolist()
    read = dict(zip(NAMES, right, strict=False))
    assert min(read.values()) >= 0.9, read
    assert max(right[len(NAMES) :]) < 0.7, right


def test_the_layout_is_celebas(tmp_path):
    faces.write_celeba(tmp_path, 20, seed=6)
    folder = tmp_path / "celeba"
    names = [f"{i:06d}.jpg" for i in range(1, 21)]
    assert sorted(p.name for p in (folder / "img_align_celeba").iterdir()) == names
    count, header, *rows = (folder / "list_attr_celeba.txt").read_text().splitlines()
    assert (count, tuple(header.split())) == ("20", NAMES)
    pictures, attributes = draw_faces(20, seed=6)
    assert [row.split() for row in rows] == [
        [name, *("1" if on else "-1" for on in has)] for name, has in zip(names, attributes, strict=True)
    ]
    parts = [line.split() for line in (folder / "list_eval_partition.txt").read_text().splitlines()]
    assert parts == [[name, "0" if i < 16 else "1" if i < 18 else "2"] for i, name in enumerate(names)]
    for name, want in zip(names, pictures, strict=True):
        picture = Image.open(folder / "img_align_celeba" / name)
        assert picture.size == (178, 218)
        assert np.abs(np.asarray(picture).astype(int) - want).mean() < 4  # JPEG keeps nearly all


def test_no_faces_are_written_for_a_wrong_number(tmp_path):
    with pytest.raises(ValueError, match="n must be at least 1"):
        faces.write_celeba(tmp_path, 0)
    assert not list(tmp_path.iterdir())
