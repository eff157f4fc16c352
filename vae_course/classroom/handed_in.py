"""What was handed in, as an LMS exports it: notebooks in folders, or zips of them. Names are text and never paths."""

import hashlib
import io
import os
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from vae_course.classroom.repair import LARGEST, NotANotebook, read

LARGEST_ZIP, MOST_ENTRIES = 100_000_000, 10_000
SKIPPED = ("__MACOSX",)


@dataclass(frozen=True)
class HandedIn:
    """One file of one learner: a notebook, or the reason why there is none."""

    learner: str
    file: str
    digest: str = ""
    notebook: NotebookNode | None = None
    problem: str = ""


def _skipped(name: str) -> bool:
    return (name.startswith(".") and name.strip(".") != "") or name in SKIPPED


def _notebook(learner: str, file: str, content: bytes) -> HandedIn:
    try:
        return HandedIn(learner, file, hashlib.sha256(content).hexdigest(), read(content))
    except NotANotebook as error:
        return HandedIn(learner, file, problem=str(error))


def _unzipped(learner: str, file: str, content: bytes) -> Iterator[HandedIn]:
    """The notebooks in a zip. Sizes are measured while unpacking: what the zip says of itself may be a lie."""
    left = LARGEST_ZIP
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        entries = [e for e in packed.infolist() if e.filename.lower().endswith(".ipynb")]
        entries = [e for e in entries if not any(map(_skipped, e.filename.split("/")))]
        if len(packed.infolist()) > MOST_ENTRIES:
            raise ValueError(f"more than {MOST_ENTRIES} files in it")
        for entry in entries:
            with packed.open(entry) as unpacking:
                unpacked = unpacking.read(min(LARGEST, left) + 1)
            left -= len(unpacked)
            if left < 0:
                raise ValueError(f"its notebooks unpack to more than {LARGEST_ZIP / 1e6:g} MB")
            yield _notebook(learner, f"{file}/{entry.filename}", unpacked)
    if not entries:
        raise ValueError("no notebook (.ipynb) in it")


def _read_zip(learner: str, file: str, content: bytes) -> list[HandedIn]:
    try:
        return list(_unzipped(learner, file, content))
    except Exception as error:  # on damaged zips zipfile and its decompressors raise nearly anything
        return [HandedIn(learner, file, problem=f"the zip cannot be used: {error}")]


def _read_file(learner: str, file: str, path: Path) -> list[HandedIn]:
    """A notebook or a zip; anything else has a problem. Never opens a link or a pipe."""
    packed, limit = path.suffix.lower() == ".zip", LARGEST
    if path.suffix.lower() not in (".ipynb", ".zip"):
        return [HandedIn(learner, file, problem="not a notebook (.ipynb) or a zip with one")]
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            return [HandedIn(learner, file, problem="a link or no file at all: hand in the notebook itself")]
        limit = LARGEST_ZIP if packed else LARGEST
        if found.st_size > limit:
            return [HandedIn(learner, file, problem=f"larger than {limit / 1e6:g} MB: clear the outputs and save")]
        content = path.read_bytes()
    except OSError as error:
        return [HandedIn(learner, file, problem=f"cannot be read: {error.strerror}")]
    return _read_zip(learner, file, content) if packed else [_notebook(learner, file, content)]


def _read_folder(learner: str, folder: Path, top: Path) -> list[HandedIn]:
    found: list[HandedIn] = []
    for parent, folders, names in os.walk(folder):  # follows no links
        folders[:] = sorted(name for name in folders if not _skipped(name))
        for name in sorted(names):
            path = Path(parent, name)
            if not _skipped(name) and path.suffix.lower() in (".ipynb", ".zip"):
                found += _read_file(learner, path.relative_to(top).as_posix(), path)
    return found or [HandedIn(learner, "", problem="no notebook (.ipynb) in the folder")]


def find(folder: Path, out: Path) -> dict[str, list[HandedIn]]:
    """Everything handed in, by learner; one who left nothing usable is there with the reason."""
    learners: dict[str, list[HandedIn]] = {}
    for path in sorted(folder.iterdir()):
        if _skipped(path.name) or path.resolve() == out.resolve():
            continue
        inside = path.is_dir() and not path.is_symlink()
        learner = path.name if inside else path.stem
        found = _read_folder(learner, path, folder) if inside else _read_file(learner, path.name, path)
        learners.setdefault(learner, []).extend(found)
    return learners
