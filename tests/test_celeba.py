"""The reader of faces: CelebA in every layout people have, any folder, damaged pictures, the cache and its room."""

import io
import os
import shutil
import struct
import threading
import zlib
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from vae_course.data import DataError, cache, celeba, faces
from vae_course.data.celeba import load_faces

pytestmark = pytest.mark.slow

N = 20


@pytest.fixture(autouse=True)
def own_folders(monkeypatch, tmp_path):
    """No test sees the learner's cache, real faces or the network; drawn faces are few."""
    for name in ("VAE_COURSE_DATA", "CELEBA_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VAE_COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VAE_COURSE_OFFLINE", "1")
    monkeypatch.setattr(celeba, "DRAWN", N)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """CelebA's official layout with N drawn faces, not to be changed."""
    root = tmp_path_factory.mktemp("written")
    faces.write_celeba(root, N)
    return root / "celeba"


@pytest.fixture
def official(written, tmp_path, monkeypatch):
    """A copy that CELEBA_ROOT names and a test may change."""
    shutil.copytree(written, tmp_path / "named" / "celeba")
    monkeypatch.setenv("CELEBA_ROOT", str(tmp_path / "named"))
    return tmp_path / "named" / "celeba"


def truth(folder):
    """Attributes and parts, read off the lists by hand: {name: (values, part)}."""
    _, _, *rows = (folder / "list_attr_celeba.txt").read_text().split("\n")[:-1]
    parts = dict(line.split() for line in (folder / "list_eval_partition.txt").read_text().split("\n")[:-1])
    return {name: ([v == "1" for v in values], int(parts[name])) for name, *values in map(str.split, rows)}


def assert_is(got, want, size):
    """What was loaded is what the lists say, picture by picture."""
    assert got.names == tuple(sorted(want))
    assert got.attributes.tolist() == [want[name][0] for name in got.names]
    for number, part in enumerate(("train", "valid", "test")):
        assert got.splits[part].tolist() == [i for i, name in enumerate(got.names) if want[name][1] == number]
        assert got.splits[part].dtype == np.int64
    assert got.pixels.shape == (len(want), size, size, 3)
    assert got.size == size


def as_csv(folder):
    """Kaggle's lists in place of the published ones."""
    attributes, partition = folder / "list_attr_celeba.txt", folder / "list_eval_partition.txt"
    _, names, *rows = attributes.read_text().splitlines()
    lines = [",".join(["image_id", *names.split()]), *(",".join(row.split()) for row in rows)]
    (folder / "list_attr_celeba.csv").write_text("\n".join(lines) + "\n")
    rows = partition.read_text().splitlines()
    lines = ["image_id,partition", *(",".join(row.split()) for row in rows)]
    (folder / "list_eval_partition.csv").write_text("\n".join(lines))
    attributes.unlink()
    partition.unlink()


# -- layouts


def plain(folder):
    """As published."""


def crlf(folder):
    for path in folder.glob("*.txt"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def nested(folder):
    inner = folder / "img_align_celeba" / "img_align_celeba"
    inner.mkdir()
    for path in list((folder / "img_align_celeba").glob("*.jpg")):
        path.rename(inner / path.name)


def kaggle(folder):
    nested(folder)
    as_csv(folder)


def zeros_and_ones(folder):
    path = folder / "list_attr_celeba.txt"
    path.write_text(path.read_text().replace("-1", "0"))


def in_folders_of_its_own(folder):
    """As on the authors' Google Drive."""
    for name, files in (("Anno", "list_attr*"), ("Eval", "list_eval*"), ("Img", "img_align_celeba")):
        (folder / name).mkdir()
        for path in folder.glob(files):
            path.rename(folder / name / path.name)


@pytest.mark.parametrize("change", [plain, crlf, nested, kaggle, as_csv, zeros_and_ones, in_folders_of_its_own])
@pytest.mark.parametrize("named", ["the folder that holds celeba", "celeba itself"])
def test_every_layout_gives_the_same_faces(official, written, change, named, monkeypatch, capsys):
    change(official)
    if named == "celeba itself":
        monkeypatch.setenv("CELEBA_ROOT", str(official))
    got = load_faces(16)
    assert_is(got, truth(written), 16)
    assert got.attribute_names == faces.NAMES
    assert got.source == "celeba"
    assert got.left_out == ()
    assert capsys.readouterr().out == (
        "faces: CelebA from CELEBA_ROOT: 20 pictures, centre 178 x 178 of 178 x 218 resized to 16 x 16 (Lanczos), "
        "official split (16 train / 2 valid / 2 test)\n"
    )


def test_a_subset_of_pictures_with_the_lists_of_all(official, written, capsys):
    for name in ("000003.jpg", "000020.jpg"):
        (official / "img_align_celeba" / name).unlink()
    want = {k: v for k, v in truth(written).items() if k not in ("000003.jpg", "000020.jpg")}
    assert_is(load_faces(16), want, 16)
    assert "18 pictures" in (said := capsys.readouterr().out)
    assert "2 rows without a picture" in said


def test_pictures_without_a_row_are_not_used(official, written, capsys):
    path = official / "list_attr_celeba.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-3]) + "\n")
    want = {k: v for k, v in truth(written).items() if k < "000018.jpg"}
    assert_is(load_faces(16), want, 16)
    assert "3 pictures without a row not used" in capsys.readouterr().out


def test_png_pictures_with_rows_that_say_jpg(official, written):
    for path in list((official / "img_align_celeba").iterdir()):
        Image.open(path).save(path.with_suffix(".png"))
        path.unlink()
    got = load_faces(178)
    assert got.names == tuple(name.replace("jpg", "png") for name in sorted(truth(written)))
    assert got.attributes.tolist() == [values for values, _ in truth(written).values()]


def test_without_a_partition_the_split_is_by_seed_and_said(official, capsys):
    (official / "list_eval_partition.txt").unlink()
    got = load_faces(16, seed=3)
    assert [len(got.splits[p]) for p in celeba.PARTS] == [16, 4, 0]
    assert sorted(np.concatenate(list(got.splits.values()))) == list(range(N))
    assert "split 80/20 by seed, for lack of an official one (16 train / 4 valid / 0 test)" in capsys.readouterr().out


def test_without_attributes_the_pictures_still_serve(official, capsys):
    (official / "list_attr_celeba.txt").unlink()
    got = load_faces(16)
    assert got.attributes is None
    assert len(got.pixels) == N
    assert "without attributes (no list_attr_celeba)" in capsys.readouterr().out
    with pytest.raises(ValueError, match="come without attributes"):
        got.attribute("Smiling")


@pytest.mark.parametrize(
    ("name", "line", "text", "message"),
    [
        ("list_attr_celeba.txt", 5, "000003.jpg 1 -1", r"line 5: expected a picture's name and 13 values .* got '00"),
        ("list_attr_celeba.txt", 7, "000005.jpg" + " 2" * 13, "line 7: expected a picture's name and 13 values 1, 0"),
        ("list_attr_celeba.txt", 2, "000001.jpg" + " 1" * 13, "line 2: expected the attributes' names"),
        ("list_eval_partition.txt", 4, "000004.jpg 3", "line 4: expected a picture's name and 0, 1 or 2, got '000004"),
        ("list_eval_partition.txt", 1, "<html>quota exceeded</html>", "line 1: expected a picture's name and 0, 1"),
    ],
)
def test_a_malformed_row_is_named(official, name, line, text, message):
    path = official / name
    lines = path.read_text().splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=f"{name}, {message}"):
        load_faces(16)


def test_lists_of_another_copy_are_refused(official):
    for i, path in enumerate(sorted((official / "img_align_celeba").iterdir())):
        path.rename(path.with_name(f"face{i}.jpg"))
    with pytest.raises(DataError, match=r"none of the 20 pictures in .* has a row"):
        load_faces(16)


# -- crop and size


@pytest.mark.parametrize(("crop", "side"), [(None, 178), ("178", 178), ("148", 148), ("140", 140)])
def test_the_crop_is_torchvisions_centre_crop_exactly(official, crop, side):
    got = load_faces(side, crop=crop)  # at equal size nothing is resized
    for i in (0, 7, 19):
        picture = Image.open(official / "img_align_celeba" / got.names[i])
        want = transforms.PILToTensor()(transforms.CenterCrop(side)(picture))
        assert torch.equal(got.uint8(np.array([i]))[0], want)


@pytest.mark.parametrize(("crop", "side"), [(None, 89), ("148", 74), ("140", 70)])
def test_half_size_copies_are_cut_in_proportion(official, crop, side, capsys):
    for path in (official / "img_align_celeba").iterdir():
        Image.open(path).reduce(2).save(path)
    got = load_faces(side, crop=crop)
    picture = Image.open(official / "img_align_celeba" / got.names[4])
    assert picture.size == (89, 109)
    assert torch.equal(got.uint8([4])[0], transforms.PILToTensor()(transforms.CenterCrop(side)(picture)))
    assert f"centre {side} x {side} of 89 x 109, official" in capsys.readouterr().out


def test_enlarging_is_said(official, capsys):
    load_faces(160, crop="148")
    assert (
        "centre 148 x 148 of 178 x 218 resized to 160 x 160 (Lanczos), 20 of them enlarged" in capsys.readouterr().out
    )


def test_resizing_averages_and_does_not_alias(tmp_path):
    """Lines one pixel wide become even grey; a filter that skips pixels would keep them black or white."""
    lines = np.zeros((128, 128, 3), np.uint8)
    lines[:, ::2] = 255
    Image.fromarray(lines).save(tmp_path / "lines.png")
    got = load_faces(32, source="folder", folder=tmp_path, split="80/20")
    assert np.abs(got.pixels[0, :, 2:-2].astype(int) - 127.5).max() <= 4


def test_a_crop_of_celeba_is_refused_for_other_shapes(tmp_path):
    Image.new("RGB", (300, 200)).save(tmp_path / "wide.png")
    with pytest.raises(DataError, match=r"wide.png has 300 x 200 pixels, and crop='148' is for CelebA's shape"):
        load_faces(32, source="folder", folder=tmp_path, crop="148")


# -- splits and counts


def test_80_20_is_a_permutation_by_seed(official):
    first, again, other = (load_faces(16, split="80/20", seed=seed).splits for seed in (0, 0, 1))
    assert [len(first[p]) for p in celeba.PARTS] == [16, 4, 0]
    assert sorted([*first["train"], *first["valid"]]) == list(range(N))
    assert first["valid"].tolist() == again["valid"].tolist() != other["valid"].tolist()
    assert all((np.diff(part) > 0).all() for part in first.values())


def test_a_count_takes_each_part_in_proportion_and_decodes_no_more(official, written, monkeypatch):
    opened = []
    real_open = Image.open
    monkeypatch.setattr(celeba.Image, "open", lambda path: (opened.append(path), real_open(path))[1])
    got = load_faces(16, count=10, seed=5)
    assert len(opened) == 10
    assert [len(got.splits[p]) for p in celeba.PARTS] == [8, 1, 1]
    assert_is(got, {name: truth(written)[name] for name in got.names}, 16)
    assert load_faces(16, count=10, seed=5).names == got.names != load_faces(16, count=10, seed=6).names


def test_a_count_beyond_what_there_is_takes_all_and_says_so(official, capsys):
    assert len(load_faces(16, count=15_000).pixels) == N
    assert "20 pictures (all there are; 15,000 were asked for)" in capsys.readouterr().out


# -- the pictures as tensors


def test_batches_are_floats_channels_last_in_the_order_asked_for(official):
    got = load_faces(16)
    rows = np.array([7, 0, 7, 19])
    x, raw = got.batch(rows), got.uint8(rows)
    assert (x.shape, x.dtype) == ((4, 3, 16, 16), torch.float32)
    assert (raw.shape, raw.dtype) == ((4, 3, 16, 16), torch.uint8)
    for t in (x, raw):
        assert t.is_contiguous(memory_format=torch.channels_last)
    want = np.array(got.pixels)[rows].transpose(0, 3, 1, 2).astype(np.float64) / 255
    np.testing.assert_allclose(x.numpy(), want, atol=1e-7)
    x.zero_()
    raw.zero_()  # copies: what is on disk stays
    assert got.pixels.max() > 200
    with pytest.raises(IndexError):
        got.batch(np.array([N]))


def test_batches_can_be_read_from_threads(official):
    got, found = load_faces(16), []
    workers = [threading.Thread(target=lambda i=i: found.append((i, got.batch([i])))) for i in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(torch.equal(x, got.batch([i])) for i, x in found)


def test_attributes_by_name(official, written):
    got = load_faces(16)
    column = faces.NAMES.index("Eyeglasses")
    want = [values[column] for values, _ in truth(written).values()]
    assert got.attribute("Eyeglasses").tolist() == want
    assert got.attribute("Eyeglasses", "valid").tolist() == [want[i] for i in got.splits["valid"]]
    with pytest.raises(ValueError, match=r"no attribute 'Glasses'; there are Bangs, Blond_Hair"):
        got.attribute("Glasses")
    with pytest.raises(ValueError, match="split must be one of train, valid, test"):
        got.attribute("Smiling", "val")


def test_the_fingerprint_tells_pictures_crop_size_and_split(official):
    prints = [
        load_faces(16).fingerprint,
        load_faces(24).fingerprint,
        load_faces(16, crop="148").fingerprint,
        load_faces(16, split="80/20").fingerprint,
        load_faces(16, count=12).fingerprint,
    ]
    picture = official / "img_align_celeba" / "000002.jpg"
    os.utime(picture, (1, 1))  # a copy with another date is the same picture
    assert load_faces(16).fingerprint == prints[0]
    Image.new("RGB", (178, 218), "red").save(picture)
    prints.append(load_faces(16).fingerprint)
    assert len(set(prints)) == len(prints)
    assert all(len(p) == 16 and int(p, 16) >= 0 for p in prints)


# -- damaged pictures


def bomb(side):
    """A small file that claims to be `side` pixels wide and high."""

    def write(path):
        content = io.BytesIO()
        Image.new("L", (8, 8)).save(content, "PNG")
        header = b"IHDR" + struct.pack(">II", side, side) + content.getvalue()[24:29]
        path.write_bytes(
            content.getvalue()[:12] + header + struct.pack(">I", zlib.crc32(header)) + content.getvalue()[33:]
        )

    return write


DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-200]),
    "halved": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(5000)),
    "a web page": lambda path: path.write_bytes(b"<html>quota exceeded</html>"),
    "bomb": bomb(10_000),
    "big bomb": bomb(30_000),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_damaged_pictures_are_left_out_and_listed(official, written, damage, capsys):
    damage(official / "img_align_celeba" / "000005.jpg")
    damage(official / "img_align_celeba" / "000020.jpg")
    got = load_faces(16)
    assert_is(got, {k: v for k, v in truth(written).items() if k not in ("000005.jpg", "000020.jpg")}, 16)
    whole = celeba.decode(written / "img_align_celeba" / "000006.jpg", 16)
    assert np.array_equal(got.pixels[4], whole[0])  # its row moved up: none is black
    assert [name for name, _ in got.left_out] == ["000005.jpg", "000020.jpg"]
    assert "2 damaged left out: 000005.jpg (" in capsys.readouterr().out
    assert load_faces(16).left_out == got.left_out  # the cache remembers


def test_five_damaged_pictures_are_named_and_all_are_kept(official, capsys):
    for i in range(1, 8):
        DAMAGES["empty"](official / "img_align_celeba" / f"{i:06d}.jpg")
    got = load_faces(16)
    said = capsys.readouterr().out
    assert len(got.left_out) == 7
    assert "7 damaged left out" in said
    assert "000005.jpg" in said
    assert "000006.jpg" not in said
    assert said.count("\n") == 1


def test_mostly_damaged_is_an_error(official):
    for i in range(1, 12):
        DAMAGES["zeros"](official / "img_align_celeba" / f"{i:06d}.jpg")
    with pytest.raises(DataError, match=r"more than half of the 20 pictures in .* are damaged"):
        load_faces(16)
    assert not list(cache.folder().glob("faces-*"))
    assert not list(cache.folder().glob(".faces-unfinished"))


# -- any folder


@pytest.fixture
def mixed(tmp_path):
    """Pictures of every kind: name -> the colours that must come out left and right."""
    folder = tmp_path / "mine"
    (folder / "sub" / "deeper").mkdir(parents=True)
    left, right = (200, 40, 60), (20, 90, 220)
    rgb = Image.new("RGB", (64, 48), left)
    rgb.paste(right, (32, 0, 64, 48))
    rgb.save(folder / "a.PNG")
    rgb.save(folder / "b.jpeg", quality=95)
    rgb.save(folder / "sub" / "c.webp", lossless=True)
    rgb.quantize(8).save(folder / "sub" / "palette.png")
    rgb.convert("CMYK").save(folder / "sub" / "cmyk.JPG", quality=95)
    rgb.convert("L").save(folder / "sub" / "deeper" / "grey.png")
    Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257).save(folder / "grey16.png")
    clear = rgb.convert("RGBA")
    clear.putalpha(128)
    clear.save(folder / "half.png")
    turned = rgb.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn me by 90 degrees clockwise"
    turned.save(folder / "turned.jpg", exif=exif, quality=95)
    for noise in ("._a.png", "notes.txt", "sub/.hidden.jpg"):
        (folder / noise).write_text("not a picture")
    greys = [round(0.299 * r + 0.587 * g + 0.114 * b) for r, g, b in (left, right)]
    grey = tuple((g, g, g) for g in greys)
    pale = tuple(tuple(round((v * 128 + 255 * 127) / 255) for v in colour) for colour in (left, right))
    plain = (left, right)
    colours = {name: plain for name in ("a.PNG", "b.jpeg", "sub/c.webp", "sub/palette.png", "sub/cmyk.JPG")}
    colours |= {"turned.jpg": plain, "sub/deeper/grey.png": grey, "grey16.png": grey, "half.png": pale}
    return folder, colours


def test_pictures_are_resized_by_pillows_lanczos_filter(tmp_path):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8))
    picture.save(tmp_path / "a.png")
    pixels, shape = celeba.decode(tmp_path / "a.png", 16)
    assert shape == "50x50"
    assert np.array_equal(pixels, np.asarray(picture.resize((16, 16), Image.Resampling.LANCZOS)))
    assert not np.array_equal(pixels, np.asarray(picture.resize((16, 16), Image.Resampling.BICUBIC)))


def test_a_name_that_is_no_utf8_is_a_name(tmp_path):
    for n in range(20):
        Image.new("RGB", (20, 20), (12 * n, 0, 0)).save(tmp_path / f"{n:02d}.png")
    os.rename(tmp_path / "00.png", os.fsencode(tmp_path) + b"/caf\xe9.png")  # as an old zip unpacks it
    assert len(load_faces(16, source="folder", folder=tmp_path, split="80/20").names) == 20


def test_any_folder_of_pictures_comes_out_as_rgb(mixed, capsys):
    folder, colours = mixed
    got = load_faces(48, source="folder", folder=folder)
    assert got.names == tuple(sorted(colours))
    for picture, name in zip(got.pixels, got.names, strict=True):
        for column, want in zip((6, 41), colours[name], strict=True):
            assert np.abs(picture[24, column].astype(int) - want).max() <= 4, name
    assert (got.source, got.attributes, got.attribute_names, got.left_out) == ("folder", None, (), ())
    assert [len(got.splits[p]) for p in celeba.PARTS] == [7, 2, 0]
    said = capsys.readouterr().out
    assert "pictures from the folder mine: 9 pictures, centre 48 x 48 of 64 x 48, split 80/20 by seed" in said


def test_a_folder_that_is_none_or_holds_no_picture(tmp_path):
    with pytest.raises(DataError, match="nowhere is not a folder"):
        load_faces(16, source="folder", folder=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"there is no picture in .*expected .jpg"):
        load_faces(16, source="folder", folder=tmp_path / "empty")


# -- where faces are looked for


def test_without_celeba_auto_draws_and_says_how_to_get_it(capsys):
    got = load_faces(16)
    assert got.source == "drawn"
    assert [len(got.splits[p]) for p in celeba.PARTS] == [16, 2, 2]
    said = capsys.readouterr().out
    assert said.startswith("faces: drawn for this course, not CelebA (CELEBA_ROOT=FOLDER would take CelebA from there)")
    want, attributes = faces.draw_faces(N)
    assert np.array_equal(got.attributes, attributes)
    small = celeba.decode(next(cache.folder().glob("drawn-faces-*/celeba/img_align_celeba/000003.jpg")), 178)[0]
    assert np.abs(small.astype(int) - want[2, 20:198]).mean() < 3  # a JPEG of the picture


def test_drawn_faces_are_drawn_once(monkeypatch):
    first = load_faces(16, source="drawn")
    monkeypatch.setattr(faces, "_draw", lambda *_: pytest.fail("drawn again"))
    assert load_faces(16, source="drawn").fingerprint == first.fingerprint


def test_a_named_root_without_faces_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("CELEBA_ROOT", str(tmp_path))
    with pytest.raises(DataError, match=r"CELEBA_ROOT is .*no pictures in celeba/img_align_celeba .*put them there"):
        load_faces(16)
    (tmp_path / "celeba").mkdir()
    (tmp_path / "celeba" / "img_align_celeba.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"unpack img_align_celeba.zip there"):
        load_faces(16, source="celeba")
    assert load_faces(16, source="drawn").source == "drawn"


def test_the_data_folder_has_faces_or_has_none(written, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VAE_COURSE_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    assert load_faces(16).source == "drawn"
    (tmp_path / "data" / "celeba").mkdir()
    with pytest.raises(DataError, match=r"VAE_COURSE_DATA is .*celeba, and there are no pictures"):
        load_faces(16)
    shutil.copytree(written, tmp_path / "data" / "celeba", dirs_exist_ok=True)
    assert load_faces(16).source == "celeba"
    assert "CelebA from VAE_COURSE_DATA" in capsys.readouterr().out


def test_the_root_comes_before_the_data_folder_and_both_before_the_cache(official, written, tmp_path, monkeypatch):
    shutil.copytree(written, cache.folder() / "celeba")
    assert "CELEBA_ROOT" in load_faces(16).words
    monkeypatch.delenv("CELEBA_ROOT")
    assert "CelebA from the cache" in load_faces(16).words


def test_celeba_that_is_not_there_names_three_ways():
    with pytest.raises(DataError, match=r"no CelebA here.*gdown.*Kaggle: jessicali9530.*Hugging Face.*CELEBA_ROOT"):
        load_faces(16, source="celeba")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 4}, "at least 8, got 4"),
        ({"source": "mnist"}, "source must be 'auto', 'celeba', 'drawn' or 'folder', got 'mnist'"),
        ({"source": "folder"}, "folder= goes with"),
        ({"folder": "."}, "folder= goes with"),
        ({"crop": "150"}, "crop must be None or one of '178', '148', '140', got '150'"),
        ({"split": "90/10"}, "split must be 'official' or '80/20', got '90/10'"),
        ({"count": 0}, "at least 1, or None for all, got 0"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_other_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_faces(**{"size": 16, **arguments})


# -- download


def test_the_download_needs_the_network_and_gdown(monkeypatch):
    with pytest.raises(DataError, match=r"VAE_COURSE_OFFLINE forbids .*Kaggle"):
        celeba.download_celeba()
    monkeypatch.setenv("VAE_COURSE_OFFLINE", "0")
    monkeypatch.setattr(celeba.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"gdown, which is not installed.*Kaggle.*Hugging Face"):
        celeba.download_celeba()


@pytest.fixture
def torchvisions(monkeypatch):
    """A stand-in for torchvision's CelebA; the test sets what it does."""
    import torchvision.datasets

    monkeypatch.setenv("VAE_COURSE_OFFLINE", "0")
    monkeypatch.setattr(celeba.importlib.util, "find_spec", lambda name: object())
    return lambda fetch: monkeypatch.setattr(torchvision.datasets, "CelebA", fetch)


def test_a_refused_download_is_said_leaves_no_faces_and_can_be_repeated(torchvisions, written):
    def refuse(root, download):
        (Path(root) / "celeba" / "img_align_celeba").mkdir(parents=True)  # unpacked half-way
        raise RuntimeError("quota exceeded")

    def fetch(root, download):
        folder = Path(root) / "celeba"
        if not (folder / "img_align_celeba").is_dir():  # torchvision takes a folder that is there for a whole one
            shutil.copytree(written, folder, dirs_exist_ok=True)

    torchvisions(refuse)
    with pytest.raises(DataError, match=r"could not be fetched \(RuntimeError: quota exceeded\).*Kaggle"):
        celeba.download_celeba()
    assert load_faces(16).source == "drawn"
    torchvisions(fetch)
    celeba.download_celeba()
    assert load_faces(16).source == "celeba"


def test_a_download_is_found_afterwards_and_not_repeated(torchvisions, written):
    calls = []

    def fetch(root, download):
        calls.append(root)
        shutil.copytree(written, Path(root) / "celeba", dirs_exist_ok=True)
        (Path(root) / "celeba" / "img_align_celeba.zip").write_bytes(b"PK")

    torchvisions(fetch)
    assert celeba.download_celeba() == celeba.download_celeba() == cache.folder()
    assert len(calls) == 1
    assert load_faces(16, source="celeba").source == "celeba"
    assert not (cache.folder() / "celeba" / "img_align_celeba.zip").exists()


# -- the cache


def test_the_second_time_no_picture_is_opened(official, monkeypatch):
    first = load_faces(16)
    monkeypatch.setattr(celeba.Image, "open", lambda path: pytest.fail(f"{path} opened again"))
    again = load_faces(16)
    assert np.array_equal(first.pixels, again.pixels)
    assert first.fingerprint == again.fingerprint
    assert isinstance(again.pixels, np.memmap)
    assert not again.pixels.flags.writeable
    assert load_faces(16, split="80/20").names == first.names  # another split, the same pixels


def test_a_changed_picture_is_decoded_again(official):
    first = np.array(load_faces(16).pixels)
    Image.new("RGB", (178, 218), "red").save(official / "img_align_celeba" / "000002.jpg")
    again = load_faces(16).pixels
    assert np.abs(again[1].astype(int) - (255, 0, 0)).max() < 4
    assert np.array_equal(np.delete(first, 1, 0), np.delete(again, 1, 0))


@pytest.mark.parametrize("damage", ["no index", "index", "checksum", "short", "no pixels", "header"])
def test_a_damaged_cache_is_said_and_made_anew(official, damage, capsys):
    want = np.array(load_faces(16).pixels)
    (folder,) = cache.folder().glob("faces-*")
    index, pixels = folder / "index.json", folder / "pixels.npy"
    if damage == "no index":
        index.unlink()
    elif damage == "index":
        index.write_text(index.read_text()[:40])
    elif damage == "checksum":
        index.write_text(index.read_text().replace('"178x218": 20', '"178x218": 21'))
    elif damage == "short":
        pixels.write_bytes(pixels.read_bytes()[:-1000])
    elif damage == "no pixels":
        pixels.unlink()
    else:
        pixels.write_bytes(b"\0" * 200)
    capsys.readouterr()
    assert np.array_equal(load_faces(16).pixels, want)
    assert f"{folder.name} in the cache is damaged" in capsys.readouterr().out
    load_faces(16)
    assert "damaged" not in capsys.readouterr().out


def test_what_a_killed_run_left_is_cleared_away(official):
    rubbish = cache.folder() / ".faces-unfinished"
    rubbish.mkdir(parents=True)
    (rubbish / "pixels.npy").write_bytes(b"half")
    load_faces(16)
    assert not rubbish.exists()


def test_an_interrupt_leaves_nothing(official, monkeypatch):
    def interrupted(*_):
        yield from ()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(celeba, "decode_each", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_faces(16)
    assert [p.name for p in cache.folder().iterdir()] == [".faces.lock"]
    assert len(load_faces(16).pixels) == N


def test_two_at_once_decode_once(official, monkeypatch):
    calls, found = [], []
    real = celeba._decode_all
    monkeypatch.setattr(celeba, "_decode_all", lambda *a: (calls.append(1), real(*a)))
    workers = [threading.Thread(target=lambda: found.append(load_faces(16))) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(calls) == 1
    assert len({f.fingerprint for f in found}) == 1
    assert len(found) == 3


def test_a_full_disk_is_said_before_the_work(official, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(celeba.shutil, "disk_usage", lambda path: usage(10**12, 10**12, 500_000))
    monkeypatch.setattr(celeba.Image, "open", lambda path: pytest.fail("opened"))
    with pytest.raises(DataError, match=r"need 0.00 GB in .*, and 0.00 GB are free: make room"):
        load_faces(16)


def test_a_disk_that_fills_up_is_said_and_cleared(official, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(celeba.np.lib.format, "write_array_header_1_0", full)
    with pytest.raises(DataError, match=r"cannot be written \(.*No space left.*\): make room or set VAE_COURSE_CACHE"):
        load_faces(16)
    assert [p.name for p in cache.folder().iterdir()] == [".faces.lock"]


def test_a_cache_that_is_no_folder_is_said(official, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VAE_COURSE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match=r"cannot be written \(.*set VAE_COURSE_CACHE"):
        load_faces(16)


def test_a_read_only_cache_serves_what_it_holds_and_refuses_the_rest(official, monkeypatch):
    want = load_faces(16)

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    for name in ("mkdir", "write_text", "unlink"):  # permissions do not bind a test that runs as root
        monkeypatch.setattr(Path, name, refused)
    assert np.array_equal(load_faces(16).pixels, want.pixels)
    with pytest.raises(DataError, match=r"cannot be written \(.*Permission denied"):
        load_faces(24)
