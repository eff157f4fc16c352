"""From a solution sheet to what learners get: blanked by nbgrader, searched for leaks, put in a folder and a zip."""

import contextlib
import copy
import html
import io
import json
import logging
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from vae_course.classroom.results import Sheet, Task

CODE_STUB = 'raise NotImplementedError("your turn")'
TEXT_STUB = "*Your answer here.*"
REGIONS = ("SOLUTION", "HIDDEN TESTS", "MARK SCHEME")
SECRET_LENGTH = 24
ZIP_DEPTH = 4
MARK = re.compile(rf"\b(BEGIN|END) ({'|'.join(REGIONS)})\b")
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
HEADING = re.compile(r"^#{1,6} +(.+?) *#* *$", re.MULTILINE)
COURSE_LINK = re.compile(r"\[([^\[\]]*)\]\(\.\./[^()\s]*\)")
NUMBERED = re.compile(r"(\d\d)_\w+")

README = """{title}

Open {name}.ipynb in one of these:

  JupyterLab   start it in this folder (jupyter lab), then double-click the file
  VS Code      open the folder, then the file; choose a Python 3.11 or newer as the kernel
  Colab        https://colab.research.google.com, File > Upload notebook

The first code cell says how to get the vae_course package.{wheel}

Write your answers into the cells that say: {code_stub}
and where it says: {text_stub}
The other cells are put back as they were handed out before your work is graded. You may add cells of your own.

Hand in the one file {name}.ipynb, saved, under any name. Run all cells once from the top before you do.
"""


class SheetError(Exception):
    """A sheet or a folder that cannot be used; the message says which cell or file, and what to do."""


def nbgrader_flags(cell: Any) -> dict[str, Any]:
    """The cell's nbgrader metadata, or an empty dict where it has none that can be read."""
    metadata = cell.get("metadata")
    flags = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return flags if isinstance(flags, dict) else {}


def is_graded(cell: Any) -> bool:
    return nbgrader_flags(cell).get("grade") is True


def is_answer(cell: Any) -> bool:
    return nbgrader_flags(cell).get("solution") is True


def name_of(cell: NotebookNode, index: int) -> str:
    return f"cell '{nbgrader_flags(cell).get('grade_id') or cell.get('id') or index + 1}'"


def marked_lines(source: str) -> Iterator[tuple[str, str]]:
    """Each line with the region it stands in ("" outside). ValueError where the markers are not in pairs."""
    region = ""
    for line in source.split("\n"):
        found = MARK.search(line)
        if found and (found[1] == "BEGIN") == bool(region):
            raise ValueError(f"{found[0]} {f'before END {region}' if region else 'without a BEGIN before it'}")
        if found and found[1] == "END" and found[2] != region:
            raise ValueError(f"END {found[2]} where BEGIN {region} is open")
        if found:
            region = found[2] if found[1] == "BEGIN" else ""
        else:
            yield line, region
    if region:
        raise ValueError(f"BEGIN {region} without its END")


def _validate(nb: NotebookNode) -> None:
    """What nbgrader would refuse or, worse, let through: each complaint names its cell."""
    seen: set[str] = set()
    for index, cell in enumerate(nb.cells):
        where, flags = name_of(cell, index), nbgrader_flags(cell)
        try:
            regions = {region for _, region in marked_lines(cell.source)}
        except ValueError as error:
            raise SheetError(f"{where}: {error}. Put the markers in pairs.") from None
        if "SOLUTION" in regions and not is_answer(cell):
            raise SheetError(f"{where} holds a solution, but its metadata do not say solution: true")
        if regions & {"HIDDEN TESTS", "MARK SCHEME"} and not is_graded(cell):
            raise SheetError(f"{where} holds a {min(regions - {''})} region, but its metadata do not say grade: true")
        if not (is_graded(cell) or is_answer(cell)):
            continue
        grade_id = flags.get("grade_id")
        if not grade_id:
            raise SheetError(f"{where} is graded or an answer and has no grade_id")
        if grade_id in seen:
            raise SheetError(f"{where} stands there twice: every grade_id may be used once")
        if is_graded(cell) and not isinstance(flags.get("points"), int | float):
            raise SheetError(f"{where} is graded and has no points: add points: 1 to its nbgrader metadata")
        seen.add(grade_id)


def _preprocessors() -> list[Any]:
    try:
        from nbgrader import preprocessors as parts
    except ImportError:
        raise SheetError("nbgrader is missing: pip install vae-course[teach], or use make release") from None
    clear = parts.ClearSolutions(enforce_metadata=False, code_stub={"python": CODE_STUB}, text_stub=TEXT_STUB)
    made = [clear, parts.LockCells(), parts.ClearOutput(), parts.ClearHiddenTests(), parts.ClearMarkScheme()]
    made.append(parts.CheckCellMetadata())
    for part in made:
        part.log.setLevel(logging.CRITICAL)  # what it logs, it also raises
    return made


def blank(nb: NotebookNode) -> NotebookNode:
    """The release version of a solution sheet, made by nbgrader's own steps. `nb` stays as it was."""
    _validate(nb)
    made, resources = copy.deepcopy(nb), {"unique_key": "sheet"}
    for part in _preprocessors():
        try:
            made, resources = part.preprocess(made, resources)
        except Exception as error:  # nbgrader raises bare RuntimeErrors among others
            raise SheetError(f"nbgrader refuses the sheet in {type(part).__name__}: {error}") from None
    made.metadata.pop("vae_course", None)
    made.metadata.setdefault("language_info", {"name": "python"})
    return made


def _heading(cell: NotebookNode) -> str:
    found = HEADING.findall(cell.source) if cell.cell_type == "markdown" else []
    return re.sub(r"[*_`]|<!--.*?-->", "", found[-1]).strip() if found else ""


def tasks_of(nb: NotebookNode) -> tuple[Task, ...]:
    """Every graded cell, with the heading above it and the answers given since the graded cell before it."""
    tasks: list[Task] = []
    title, answers = "", []
    for cell in nb.cells:
        title = _heading(cell) or title
        if is_answer(cell):
            answers.append(nbgrader_flags(cell)["grade_id"])
        if is_graded(cell):
            flags = nbgrader_flags(cell)
            task = (flags["grade_id"], title or flags["grade_id"], float(flags["points"]), is_answer(cell))
            tasks.append(Task(*task, tuple(answers)))
            answers = []
    return tuple(tasks)


def find_sheets(folder: Path, number: str = "") -> list[Path]:
    """The solution sheets in `folder`: all of them, or the one with this number."""
    named = f"{int(number):02}" if number.isdigit() else number
    paths = sorted(p for p in folder.glob("*.ipynb") if NUMBERED.fullmatch(p.stem))
    found = [p for p in paths if not number or named in (p.stem[:2], p.stem)]
    if not found:
        there = ", ".join(p.stem[:2] for p in paths) or "none"
        wanted = f"sheet {number}" if number else "sheet"
        raise SheetError(f"no {wanted} (a file such as NN_name.ipynb) in {folder}; there are: {there}")
    if number and len(found) > 1:
        raise SheetError(f"sheet {number} stands in {folder} more than once: {', '.join(p.name for p in found)}")
    return found


def load_sheet(path: Path, exercises: Path) -> Sheet:
    """The sheet at `path`; its blank twin in `exercises`, where there is one, must be what the solution gives."""
    try:
        source = nbformat.reads(path.read_text("utf-8"), as_version=4)
        release = blank(source)
        title = next((text for cell in source.cells if (text := _heading(cell))), path.stem)
        sheet = Sheet(path.stem[:2], path.stem, title, source, release, tasks_of(source))
    except SheetError as error:
        raise SheetError(f"{path.name}: {error}") from None
    except Exception as error:
        raise SheetError(f"{path.name} is no notebook that can be read: {error}") from None
    if not sheet.tasks:
        raise SheetError(f"{path.name} has no graded cell: is it a sheet?")
    twin = exercises / path.name
    if twin.exists() and _cells(nbformat.reads(twin.read_text("utf-8"), as_version=4)) != _cells(release):
        raise SheetError(f"{twin} is not what {path} gives when blanked: build the exercises again (make notebooks)")
    return sheet


def _cells(nb: NotebookNode) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in nb.cells]


def secrets(nb: NotebookNode, regions: tuple[str, ...] = REGIONS, length: int = SECRET_LENGTH) -> list[str]:
    """The long enough lines inside `regions` that do not stand anywhere outside a region as well."""
    lines = [pair for cell in nb.cells for pair in marked_lines(cell.source)]
    outside = "\n".join(line for line, region in lines if not region)
    found = dict.fromkeys(line.strip() for line, region in lines if region in regions)
    return [line for line in found if len(line) >= length and line not in outside]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)
    elif isinstance(value, list):
        joined = all(isinstance(item, str) for item in value)
        yield from ("".join(value),) if joined else (text for item in value for text in _strings(item))


def _texts(name: str, content: bytes, depth: int = 0) -> Iterator[tuple[str, str]]:
    """(file, text) for a file and whatever is packed in it; JSON's escapes are undone."""
    if zipfile.is_zipfile(io.BytesIO(content)) and depth < ZIP_DEPTH:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            for entry in packed.infolist():
                yield from _texts(f"{name}/{entry.filename}", packed.read(entry), depth + 1)
        return
    text = content.decode("utf-8", "replace")
    with contextlib.suppress(ValueError, RecursionError):
        text += "\n" + "\n".join(_strings(json.loads(text)))
    text = ANSI.sub("", text)
    yield name, f"{text}\n{html.unescape(text)}"


def leaks(folder: Path, solution_nb: NotebookNode) -> list[str]:
    """ "file: line" for every secret line of the solution sheet that can be found in any file of `folder`."""
    lines = secrets(solution_nb)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    texts = (pair for path in files for pair in _texts(path.relative_to(folder).as_posix(), path.read_bytes()))
    return [f"{name}: {line}" for name, text in texts for line in lines if line in text]


def _zip(folder: Path, target: Path) -> None:
    """The same bytes for the same files: names sorted, one date, one set of rights."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(folder.rglob("*")):
            entry = zipfile.ZipInfo(f"{folder.name}/{path.relative_to(folder).as_posix()}", (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.create_system = 3  # else the zip differs between Windows and the rest
            packed.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)


def _on_its_own(nb: NotebookNode) -> NotebookNode:
    """Without links into the repository, which is not handed out with it; their words stay."""
    nb = copy.deepcopy(nb)
    for cell in (cell for cell in nb.cells if cell.cell_type == "markdown"):
        cell.source = COURSE_LINK.sub(r"\1", cell.source)
    return nb


def _write(folder: Path, sheet: Sheet, wheel: Path | None) -> None:
    folder.mkdir()
    text = nbformat.writes(_on_its_own(sheet.release)) + "\n"
    (folder / f"{sheet.name}.ipynb").write_bytes(text.encode())
    beside = f"\nHere: pip install {wheel.name} (the file lies beside this one)." if wheel else ""
    readme = README.format(title=sheet.title, name=sheet.name, wheel=beside, code_stub=CODE_STUB, text_stub=TEXT_STUB)
    (folder / "README.txt").write_bytes(readme.encode())
    if wheel:
        shutil.copyfile(wheel, folder / wheel.name)


def _replace(new: Path, old: Path, scratch: Path) -> None:
    """Put folder `new` where `old` is; a folder cannot be replaced in one step, so the old one steps aside."""
    if old.exists():
        os.replace(old, scratch / "old")
    try:
        os.replace(new, old)
    except OSError:
        if (scratch / "old").exists():
            os.replace(scratch / "old", old)
        raise


def make(sheet: Sheet, out: Path, wheel: Path | None = None) -> Path:
    """Write out/NN_name/ and out/NN_name.zip, whole or not at all; refuses to write a leak. Returns the folder."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".release-", dir=out) as name:
        scratch = Path(name)
        folder = scratch / sheet.name
        _write(folder, sheet, wheel)
        _zip(folder, scratch / f"{sheet.name}.zip")
        if found := leaks(scratch, sheet.source):
            listed = "\n  ".join(found[:20])
            raise SheetError(f"nothing was written: the release of {sheet.name} would show its solution in\n  {listed}")
        _replace(folder, out / sheet.name, scratch)
        os.replace(scratch / f"{sheet.name}.zip", out / f"{sheet.name}.zip")
    return out / sheet.name
