"""Colour pictures, decoded once: CelebA as people have it, drawn faces in its place, or any folder of one's own.

Z. Liu, P. Luo, X. Wang and X. Tang, "Deep Learning Face Attributes in the Wild", ICCV 2015. CelebA is for
non-commercial research and may not be passed on. What is read here is the aligned and cropped set.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from vae_course.data import cache, faces
from vae_course.data.mnist import DataError, offline

PARTS = ("train", "valid", "test")  # 0, 1, 2 in CelebA's list_eval_partition
CROPS = ("178", "148", "140")  # centred squares in use for CelebA; measures on one crop say nothing on another
PICTURES = (".jpg", ".jpeg", ".png", ".webp")
TRUTH = {"1": 1, "-1": 0, "0": 0}  # what lists write, and what it means
DRAWN = 6_000  # faces
READER = 1  # goes up when the same files give other pixels, so that no old cache is taken for new
BLOCK = 1024  # pictures decoded before any is waited for; an interrupt waits for at most these

WAYS = (
    "CelebA can be had (1) by download_celeba(), which asks torchvision and needs `pip install gdown`; Google Drive "
    "often refuses it for a day; (2) from Kaggle: jessicali9530/celeba-dataset; (3) from a mirror on Hugging Face. "
    "Unpack it so that FOLDER/celeba/img_align_celeba/*.jpg and FOLDER/celeba/list_attr_celeba.txt (or .csv) exist, "
    "and set CELEBA_ROOT=FOLDER"
)


@dataclass(frozen=True)
class Faces:
    """Colour pictures on disk, ready for training, and what is known about them."""

    pixels: np.ndarray  # (N, size, size, 3) uint8, a read-only memory map
    names: tuple[str, ...]  # (N,): files
    attributes: np.ndarray | None  # (N, A) bool; None where the pictures come without
    attribute_names: tuple[str, ...]  # (A,)
    splits: dict[str, np.ndarray]  # "train", "valid", "test" -> rows of pixels, int64, sorted
    source: str  # "celeba", "drawn" or "folder"
    words: str  # in one line: what, how many, crop, size, split
    left_out: tuple[tuple[str, str], ...]  # damaged pictures: name, reason
    fingerprint: str  # 16 hex digits: other pictures, another crop, size or split give another
    asked: dict[str, Any]  # the arguments of load_faces, plain enough for JSON: a run that goes on loads the same

    @property
    def size(self) -> int:
        """The side of a picture, in pixels."""
        return int(self.pixels.shape[1])

    def uint8(self, indices: np.ndarray) -> Tensor:
        """Pictures as stored, for a loop that converts on the GPU: rows (B,) -> (B, 3, size, size) uint8.

        The memory is channels-last, as the pictures lie on disk. IndexError on a row that does not exist.
        """
        return torch.from_numpy(self.pixels[np.asarray(indices)].view(np.ndarray)).permute(0, 3, 1, 2)

    def batch(self, indices: np.ndarray) -> Tensor:
        """Pictures for a model: rows (B,) -> (B, 3, size, size) float32 in [0, 1], channels-last in memory."""
        return self.uint8(indices) / 255

    def attribute(self, name: str, split: str | None = None) -> Tensor:
        """Who has it: (n,) bool, in the order of splits[split], or of all pictures.

        Raises ValueError that lists the known names if there is no such attribute or split.
        """
        if self.attributes is None:
            raise ValueError(f"these pictures come without attributes, so nothing says which has {name!r}")
        if name not in self.attribute_names:
            raise ValueError(f"no attribute {name!r}; there are {', '.join(self.attribute_names)}")
        if split is not None and split not in self.splits:
            raise ValueError(f"split must be one of {', '.join(self.splits)}, or None for all, got {split!r}")
        column = self.attributes[:, self.attribute_names.index(name)]
        return torch.from_numpy((column if split is None else column[self.splits[split]]).copy())


class Listing(NamedTuple):
    """Pictures that are there, before any is opened."""

    root: Path
    names: list[str]  # relative to root, sorted
    attributes: np.ndarray | None  # (N, A) bool
    attribute_names: tuple[str, ...]
    parts: np.ndarray | None  # (N,) int: 0, 1, 2; None where nothing tells
    source: str
    words: str


def load_faces(
    size: int,
    *,
    source: str = "auto",
    folder: Path | str | None = None,
    crop: str | None = None,
    split: str = "official",
    count: int | None = None,
    seed: int = 0,
) -> Faces:
    """Colour pictures of size x size pixels; prints one line that says which.

    source: "celeba" from CELEBA_ROOT, VAE_COURSE_DATA/celeba or the cache; "drawn"; "auto", CelebA if it is there and
    else drawn faces; "folder", every picture below it. With "celeba", folder is where to look instead. Nothing is
    downloaded: see `download_celeba`.
    crop: None for the largest centred square, in CelebA 178 x 178 of its 178 x 218 pixels; "178", "148" or "140" for
    that centred square of CelebA's pictures (half of it in half-size copies). Resized by Pillow's Lanczos filter,
    which averages over all pixels that fall into one: no aliasing (Parmar et al. 2022), and no resizing at equal size.
    split: "official", CelebA's own, or "80/20", by seed and without a test part, which serves where there is no own.
    count: only so many pictures, drawn by seed from each part in proportion; all, if there are fewer.

    Damaged pictures are left out and listed. Decoded pictures stay in the cache, so only the first call takes long.
    Raises ValueError on other arguments; DataError if pictures are missing, most are damaged, a list is malformed, or
    the cache has no room.
    """
    _require_arguments(size, source, folder, crop, split, count, seed)
    asked = {"size": size, "source": source, "crop": crop, "split": split, "count": count, "seed": seed}
    asked["folder"] = None if folder is None else str(Path(folder).expanduser().absolute())
    listing = list_pictures(source, folder)
    rng = np.random.default_rng(seed)
    parts, split_words = _parts(listing, split, rng)
    chosen = _subset(parts, count, rng)
    decoded = _decoded(listing.root, [listing.names[i] for i in chosen], size, crop)
    rows = chosen[decoded.kept]
    splits = {name: np.flatnonzero(parts[rows] == number) for number, name in enumerate(PARTS)}
    words = ", ".join(
        [
            f"{listing.words}: {len(rows):,} pictures"
            + (f" (all there are; {count:,} were asked for)" if count and count > len(parts) else ""),
            _crop_words(decoded.shapes, crop, size),
            f"{split_words} ({' / '.join(f'{len(splits[name]):,} {name}' for name in PARTS)})",
            *_damage_words(decoded.left_out),
        ]
    )
    print(f"faces: {words}")
    return Faces(
        pixels=decoded.pixels,
        names=tuple(listing.names[i] for i in rows),
        attributes=None if listing.attributes is None else listing.attributes[rows],
        attribute_names=listing.attribute_names,
        splits=splits,
        source=listing.source,
        words=words,
        left_out=decoded.left_out,
        fingerprint=_digest([decoded.digest, size, crop, *(splits[name].tolist() for name in PARTS)])[:16],
        asked=asked,
    )


def download_celeba() -> Path:
    """Fetch CelebA (1.4 GB) through torchvision into the cache, and return the folder that then holds celeba.

    Raises DataError that names the other ways if it may not be fetched, gdown is missing or Google Drive refuses.
    """
    here = cache.folder()
    if pictures_folder(here / "celeba"):
        return here
    if offline():
        raise DataError(f"VAE_COURSE_OFFLINE forbids the download of CelebA: unset it. {WAYS}")
    if importlib.util.find_spec("gdown") is None:
        raise DataError(f"torchvision fetches CelebA by the package gdown, which is not installed. {WAYS}")
    from torchvision.datasets import CelebA  # imported here: it takes seconds, and most runs need no download

    unfinished = here / "celeba-download"  # kept after a failure: what has the right checksum is not fetched again
    try:
        with cache.lock("celeba-download"):
            if pictures_folder(here / "celeba"):
                return here
            shutil.rmtree(unfinished / "celeba" / "img_align_celeba", ignore_errors=True)
            CelebA(unfinished, download=True)
            os.replace(unfinished / "celeba", here / "celeba")
            shutil.rmtree(unfinished, ignore_errors=True)
            (here / "celeba" / "img_align_celeba.zip").unlink(missing_ok=True)
    except Exception as error:  # gdown and its network library raise errors of their own
        raise DataError(f"CelebA could not be fetched ({type(error).__name__}: {error}). {WAYS}") from error
    return here


def _require_arguments(
    size: int, source: str, folder: Path | str | None, crop: str | None, split: str, count: int | None, seed: int
) -> None:
    if size < 8:
        raise ValueError(f"size is the side of a picture in pixels, at least 8, got {size}")
    if source not in ("auto", "celeba", "drawn", "folder"):
        raise ValueError(f"source must be 'auto', 'celeba', 'drawn' or 'folder', got {source!r}")
    if (folder is None) if source == "folder" else (folder is not None and source != "celeba"):
        raise ValueError(f"folder= goes with source='folder', or 'celeba', got source={source!r}, folder={folder!r}")
    if crop is not None and crop not in CROPS:
        raise ValueError(f"crop must be None or one of {', '.join(map(repr, CROPS))}, got {crop!r}")
    if split not in ("official", "80/20"):
        raise ValueError(f"split must be 'official' or '80/20', got {split!r}")
    if count is not None and count < 1:
        raise ValueError(f"count is a number of pictures, at least 1, or None for all, got {count}")
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")


# -- which pictures


def list_pictures(source: str, folder: Path | str | None) -> Listing:
    """The pictures that `load_faces` would take, none of them opened. Raises DataError where there are none."""
    if source == "folder":
        return _any_folder(Path(folder or "").expanduser())
    if source != "drawn":
        for root, words, must in [(Path(folder).expanduser(), "the folder given", True)] if folder else places():
            if pictures_folder(root):
                return _celeba(root, f"CelebA from {words}", "celeba")
            if must:
                raise DataError(_nothing_in(root, words))
        if source == "celeba":
            raise DataError(f"there is no CelebA here. {WAYS}")
    words = "drawn for this course, not CelebA"
    if source == "auto":
        words += " (CELEBA_ROOT=FOLDER would take CelebA from there)"
    return _celeba(_drawn(), words, "drawn")


def places() -> Iterator[tuple[Path, str, bool]]:
    """Where CelebA may lie: folder, its name for the reader, and whether it was named and so must hold it."""
    if named := os.environ.get("CELEBA_ROOT"):
        yield Path(named).expanduser(), "CELEBA_ROOT", True
    if named := os.environ.get("VAE_COURSE_DATA"):
        root = Path(named).expanduser() / "celeba"
        yield root, "VAE_COURSE_DATA", root.is_dir()
    yield cache.folder() / "celeba", "the cache", False


def _nothing_in(root: Path, words: str) -> str:
    archives = sorted({p.name for base in (root, root / "celeba") for p in base.glob("*.zip")})
    hint = f"unpack {archives[0]} there" if archives else "put them there"
    return f"{words} is {root}, and there are no pictures in celeba/img_align_celeba below it: {hint}, or unset it"


def _bases(root: Path) -> tuple[Path, ...]:
    """root may be the folder that holds celeba, or celeba itself."""
    return root / "celeba", root


def pictures_folder(root: Path) -> Path | None:
    """The folder with CelebA's pictures; in Kaggle's copy it lies in another of the same name."""
    for base in _bases(root):
        for inside in ("", "Img"):
            for name in ("img_align_celeba", "img_align_celeba_png"):
                for folder in (base / inside / name / name, base / inside / name):
                    if folder.is_dir() and any(_is_picture(entry.name) for entry in os.scandir(folder)):
                        return folder
    return None


def _is_picture(name: str) -> bool:
    return name.lower().endswith(PICTURES) and not name.startswith(".")  # macOS leaves ._000001.jpg in archives


def _table(root: Path, name: str) -> Path | None:
    """list_attr_celeba or list_eval_partition, .txt as published or .csv as on Kaggle."""
    for base in _bases(root):
        for inside in ("", "Anno", "Eval"):
            for ending in (".txt", ".csv"):
                if (path := base / inside / (name + ending)).is_file():
                    return path
    return None


def _celeba(root: Path, words: str, source: str) -> Listing:
    """Pictures that have a row in each list that is there."""
    folder = pictures_folder(root)
    assert folder is not None
    there = {_stem(entry.name): entry.name for entry in os.scandir(folder) if _is_picture(entry.name)}
    listed = set(there)
    columns: np.ndarray | None = None
    known: tuple[str, ...] = ()
    described: dict[str, int] = {}
    parts: dict[str, int] = {}
    if attributes := _table(root, "list_attr_celeba"):
        known, described, columns = _read_attributes(attributes)
        listed &= set(described)
    else:
        words += " without attributes (no list_attr_celeba)"
    if partition := _table(root, "list_eval_partition"):
        parts = _read_partition(partition)
        listed &= set(parts)
    if not listed:
        raise DataError(
            f"none of the {len(there):,} pictures in {folder} has a row in {attributes or partition}: "
            "pictures and lists must be of the same copy of CelebA"
        )
    stems = sorted(listed)
    if unlisted := len(there) - len(stems):
        words += f", {unlisted:,} pictures without a row not used"
    if absent := max(len(described), len(parts)) - len(stems):
        words += f", {absent:,} rows without a picture"
    return Listing(
        root=folder,
        names=[there[stem] for stem in stems],
        attributes=None if columns is None else columns[[described[stem] for stem in stems]],
        attribute_names=known,
        parts=np.array([parts[stem] for stem in stems]) if partition else None,
        source=source,
        words=words,
    )


def _read_attributes(path: Path) -> tuple[tuple[str, ...], dict[str, int], np.ndarray]:
    """Names (A,), the row of each picture's stem, and the rows (N, A) bool."""
    lines = _lines(path)
    number, header = next(lines, (1, []))
    if len(header) == 1 and header[0].isdigit():  # CelebA's own file opens with the number of rows
        number, header = next(lines, (2, []))
    names = tuple(header[1:] if path.suffix == ".csv" else header)
    if not names or len(set(names)) < len(names) or {"1", "-1"} & set(names):
        raise DataError(f"{path}, line {number}: expected the attributes' names, got {header[:4]}; fetch it again")
    rows: dict[str, int] = {}
    packed: list[bytes] = []
    for number, (picture, *values) in lines:
        if len(values) != len(names) or not set(values) <= set(TRUTH):
            raise DataError(
                f"{path}, line {number}: expected a picture's name and {len(names)} values 1, 0 or -1, "
                f"got {picture!r} and {len(values)} values; correct the line, or fetch the file again"
            )
        rows[_stem(picture)] = len(packed)
        packed.append(bytes(map(TRUTH.__getitem__, values)))
    return names, rows, np.frombuffer(b"".join(packed), bool).reshape(-1, len(names))


def _read_partition(path: Path) -> dict[str, int]:
    """A picture's stem -> 0, 1 or 2."""
    parts = {}
    for number, cells in _lines(path):
        if number == 1 and cells == ["image_id", "partition"]:
            continue
        if len(cells) != 2 or cells[1] not in ("0", "1", "2"):
            raise DataError(
                f"{path}, line {number}: expected a picture's name and 0, 1 or 2, got {' '.join(cells)[:60]!r}; "
                "correct the line, or fetch the file again"
            )
        parts[_stem(cells[0])] = int(cells[1])
    return parts


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every line that is not empty, whatever ends the lines."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}): check its permissions, or fetch it again") from error
    comma = "," if path.suffix == ".csv" else None
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, [cell.strip() for cell in line.split(comma)] if comma else line.split()


def _stem(name: str) -> str:
    """Lists say 000001.jpg also where the pictures are .png; pathlib would take seconds for all 202,599."""
    return name.rpartition(".")[0] or name


def _any_folder(root: Path) -> Listing:
    """Every picture below root."""
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: folder= must name one that holds pictures")
    names = []
    for base, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        names += [(Path(base) / name).relative_to(root).as_posix() for name in files if _is_picture(name)]
    if not names:
        raise DataError(f"there is no picture in {root}: expected {', '.join(PICTURES)} files there or in its folders")
    return Listing(root, sorted(names), None, (), None, "folder", f"pictures from the folder {root.name}")


def _drawn() -> Path:
    """The folder that holds celeba/ with the drawn faces: from the cache, or drawn and put there."""
    drawing = hashlib.sha256(Path(faces.__file__).read_bytes() + str(DRAWN).encode()).hexdigest()[:12]
    root = cache.folder() / f"drawn-faces-{drawing}"
    if root.is_dir():
        return root
    with _writing_cache(), cache.lock("drawn-faces"):
        unfinished = cache.folder() / ".drawn-faces-unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        if not root.is_dir():
            _require_room(DRAWN * 14_000)
            faces.write_celeba(unfinished, DRAWN)
            os.replace(unfinished, root)
    return root


# -- which part each belongs to


def _parts(listing: Listing, split: str, rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """0, 1 or 2 for each picture, (N,), and words for it."""
    if split == "official" and listing.parts is not None:
        return listing.parts, "official split"
    parts = np.zeros(len(listing.names), np.int64)
    parts[rng.permutation(len(parts))[round(0.8 * len(parts)) :]] = 1
    return parts, "split 80/20 by seed" + (", for lack of an official one" if split == "official" else "")


def _subset(parts: np.ndarray, count: int | None, rng: np.random.Generator) -> np.ndarray:
    """Rows of at most count pictures, sorted, from each part in proportion."""
    if count is None or count >= len(parts):
        return np.arange(len(parts))
    shares = np.bincount(parts, minlength=len(PARTS)) * count / len(parts)
    take = np.floor(shares).astype(int)
    take[np.argsort(take - shares, kind="stable")[: count - take.sum()]] += 1  # the largest remainders round up
    drawn = [rng.permutation(np.flatnonzero(parts == part))[:n] for part, n in enumerate(take)]
    return np.sort(np.concatenate(drawn))


# -- decoding, once


class Decoded(NamedTuple):
    """Pictures from the cache; kept are their places in the list of files that was asked for."""

    pixels: np.ndarray  # (K, size, size, 3) uint8
    kept: np.ndarray  # (K,)
    left_out: tuple[tuple[str, str], ...]
    shapes: dict[str, int]  # "178x218" -> how many pictures were of this width and height
    digest: str  # of names and pixels


def _decoded(root: Path, names: list[str], size: int, crop: str | None) -> Decoded:
    files = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in zip(names, _stats(root, names), strict=True)]
    key = _digest([READER, size, crop, files])[:16]
    folder = cache.folder() / f"faces-{key}"
    if found := _read_cache(folder, size):
        return found
    with _writing_cache(), cache.lock("faces"):
        unfinished = cache.folder() / ".faces-unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
        if not (folder.is_dir() and _read_cache(folder, size)):  # another process may have done it meanwhile
            _require_room(len(names) * size * size * 3)
            try:
                unfinished.mkdir()
                _decode_all(root, names, size, crop, unfinished)
                shutil.rmtree(folder, ignore_errors=True)
                os.replace(unfinished, folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    found = _read_cache(folder, size)
    if found is None:
        raise DataError(f"{folder} was written and cannot be read back: check the disk, or set VAE_COURSE_CACHE")
    return found


def _stats(root: Path, names: list[str]) -> list[os.stat_result]:
    try:
        return [os.stat(f"{root}/{name}") for name in names]
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read ({error.strerror}): was it moved meanwhile?") from error


def _read_cache(folder: Path, size: int) -> Decoded | None:
    """What was decoded before; None if there is nothing, or if it is damaged, which is said."""
    if not folder.is_dir():
        return None
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        pixels = np.load(folder / "pixels.npy", mmap_mode="r")
        if index.pop("checksum") != _digest(index):
            raise ValueError("index.json does not match its checksum")
        if pixels.shape[1:] != (size, size, 3) or pixels.dtype != np.uint8 or len(pixels) < len(index["kept"]):
            raise ValueError(f"pixels.npy holds {pixels.dtype} {pixels.shape}")
    except (OSError, ValueError, KeyError, EOFError, AttributeError) as error:
        print(f"faces: {folder.name} in the cache is damaged ({error}), decoding again")
        return None
    kept = np.array(index["kept"], np.int64)
    left_out = tuple((name, reason) for name, reason in index["left_out"])
    return Decoded(pixels[: len(kept)], kept, left_out, index["shapes"], index["digest"])


def _decode_all(root: Path, names: list[str], size: int, crop: str | None, folder: Path) -> None:
    """Write folder/pixels.npy and folder/index.json."""
    kept, left_out, shapes = [], [], Counter[str]()
    digest = hashlib.sha256()
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(names), size, size, 3)}
    with open(folder / "pixels.npy", "wb") as file:  # written, not mapped: a full disk is then an error, not a crash
        np.lib.format.write_array_header_1_0(file, header)
        for number, (name, result) in enumerate(zip(names, decode_each(root, names, size, crop), strict=True)):
            if isinstance(result, str):
                left_out.append((name, result))
                if 2 * len(left_out) > len(names):
                    raise DataError(_mostly_damaged(root, names, left_out))
                continue
            picture, shape = result
            data = picture.tobytes()
            file.write(data)
            digest.update(os.fsencode(name) + data)
            shapes[shape] += 1
            kept.append(number)
        file.truncate(file.tell() + len(left_out) * size * size * 3)  # rows that nobody reads
        file.flush()
        os.fsync(file.fileno())  # on the disk before index.json, which says that they are whole
    index: dict[str, Any] = {"kept": kept, "left_out": left_out, "shapes": dict(shapes), "digest": digest.hexdigest()}
    index["checksum"] = _digest(index)
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")


def _mostly_damaged(root: Path, names: list[str], left_out: Sequence[tuple[str, str]]) -> str:
    return (
        f"more than half of the {len(names):,} pictures in {root} are damaged, so the copy is not to be trusted: "
        f"{'; '.join(f'{name} ({reason})' for name, reason in left_out[:5])}; fetch it again"
    )


def decode_each(root: Path, names: list[str], size: int, crop: str | None) -> Iterator[tuple[np.ndarray, str] | str]:
    """In the order of names, on all cores: Pillow lets other threads run while it decodes."""
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        warnings.catch_warnings(),
        tqdm(total=len(names), desc="decoding pictures, once", disable=len(names) < 500) as bar,
    ):
        warnings.simplefilter("ignore")  # Pillow's, on what is refused or brought to RGB here anyway
        for start in range(0, len(names), BLOCK):
            for result in pool.map(lambda name: decode(root / name, size, crop), names[start : start + BLOCK]):
                bar.update()
                yield result


def decode(path: Path, size: int, crop: str | None = None) -> tuple[np.ndarray, str] | str:
    """One picture as (size, size, 3) uint8 RGB with its original "width x height", or the reason why there is none.

    Cropped and resized as `load_faces` says. Turned as the camera noted (EXIF), grey and CMYK converted, transparency
    over white. Raises DataError if crop names a part of CelebA's pictures and this has not their shape.
    """
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > (Image.MAX_IMAGE_PIXELS or 2**63):
                return f"{picture.width} x {picture.height} pixels: too large to be a picture, perhaps an attack"
            picture.load()  # whole, or an error: Pillow's draft mode would be faster and give other pixels
            rgb = _as_rgb(ImageOps.exif_transpose(picture))
    except Exception as error:  # damaged files make decoders raise nearly anything
        return f"{type(error).__name__}: {error}".replace(str(path), path.name)
    box = _box(rgb.width, rgb.height, crop)
    if box is None:
        raise DataError(
            f"{path.name} has {rgb.width} x {rgb.height} pixels, and crop={crop!r} is for CelebA's shape, 178 x 218: "
            "choose crop=None, the largest centred square"
        )
    square = rgb.crop(box)
    if square.width != size:
        square = square.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(square), f"{rgb.width}x{rgb.height}"


def _as_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # grey of 16 bits, which convert() would cut off at 255
        return Image.fromarray((np.asarray(picture).clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode == "F":
        raise ValueError("a picture of floating-point numbers has no known black and white")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return picture.convert("RGB")


def _box(width: int, height: int, crop: str | None) -> tuple[int, int, int, int] | None:
    """The centred square, placed as torchvision's CenterCrop does: left, top, right, bottom."""
    side = min(width, height)
    if crop is not None:
        if abs(width * 218 / (height * 178) - 1) > 0.01:
            return None
        side = round(int(crop) * width / 178)
    left, top = round((width - side) / 2), round((height - side) / 2)
    return left, top, left + side, top + side


def _crop_words(shapes: dict[str, int], crop: str | None, size: int) -> str:
    """What was cut out of what, and how it became size x size."""
    sides = []
    for shape in shapes:
        width, height = (int(side) for side in shape.split("x"))
        left, _, right, _ = _box(width, height, crop) or (0, 0, 0, 0)
        sides.append(right - left)
    low, high = min(sides), max(sides)
    what = f"of {next(iter(shapes)).replace('x', ' x ')}" if len(shapes) == 1 else "of various sizes"
    words = f"centre {low} x {low} {what}" if low == high else f"centre squares of {low} to {high} pixels {what}"
    if low == high == size:
        return words
    enlarged = sum(n for n, side in zip(shapes.values(), sides, strict=True) if side < size)
    note = f", {enlarged:,} of them enlarged" if enlarged else ""
    return f"{words} resized to {size} x {size} (Lanczos){note}"


def _damage_words(left_out: Sequence[tuple[str, str]]) -> list[str]:
    if not left_out:
        return []
    first = "; ".join(f"{name} ({reason})" for name, reason in left_out[:5])
    return [f"{len(left_out):,} damaged left out: {first}" + ("; ..." if len(left_out) > 5 else "")]


# -- the cache


def _require_room(needed: int) -> None:
    """Raise DataError unless the cache's disk has room for so many bytes."""
    there = cache.folder()
    free = shutil.disk_usage(there).free
    if free < needed * 1.02 + 2**20:
        raise DataError(
            f"the decoded pictures need {needed / 1e9:.2f} GB in {there}, and {free / 1e9:.2f} GB are free: make "
            "room, set VAE_COURSE_CACHE to another disk, or ask for fewer (count=) or smaller (size=) ones"
        )


@contextmanager
def _writing_cache() -> Iterator[None]:
    """Work that writes to the cache; a full or read-only one is said in words. Raises DataError."""
    there = cache.folder()
    try:
        there.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise DataError(
            f"the cache {there} cannot be written ({error}): make room or set VAE_COURSE_CACHE to another folder"
        ) from error


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
