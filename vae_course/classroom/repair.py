"""Put a handed-in notebook back into its sheet: the frame is the teacher's, only the answers are the learner's.

Notebooks come back from Colab, VS Code and mail programs without ids, with cells twice, moved, lost or of another type.
Whatever can be told apart is put right and said; nothing the learner changed in a locked cell is ever run.
"""

import ast
import copy
import itertools
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import nbformat
from nbformat import NotebookNode

from vae_course.classroom.release import is_answer, is_graded, nbgrader_flags
from vae_course.classroom.results import Sheet

LARGEST = 20_000_000
DEFINED = re.compile(r"^(?:async +)?(?:def|class) +(\w+)", re.MULTILINE)
CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class NotANotebook(Exception):
    """These bytes are no notebook; the message says why."""


class AnotherSheet(Exception):
    """Too few of the sheet's cells are there to say that this is its notebook."""


@dataclass(frozen=True)
class Piece:
    """One cell as it was handed in: what it says, of which type, and under which names it is known."""

    source: str
    kind: str
    grade_id: str
    cell_id: str
    names: tuple[str, ...]


def _upgraded(raw: dict[str, Any]) -> Any:
    """The cells of any nbformat; 3 kept them in worksheets."""
    if "cells" in raw or "worksheets" not in raw:
        return raw.get("cells")
    try:
        return nbformat.v4.upgrade(nbformat.v3.reads_json(json.dumps(raw)))["cells"]
    except Exception as error:  # the upgrade trips over missing fields in many ways
        raise NotANotebook(f"a notebook of the old format 3 that cannot be read: {error!r}") from None


def read(content: bytes) -> NotebookNode:
    """The notebook in `content`, with what is missing filled in. NotANotebook says why there is none."""
    if len(content) > LARGEST:
        raise NotANotebook(f"larger than {LARGEST / 1e6:.0f} MB: clear its outputs and save")
    if not content.strip():
        raise NotANotebook("the file is empty")
    try:
        raw = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise NotANotebook("not a notebook: it is no UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        raise NotANotebook(f"not a notebook: no JSON that can be read ({str(error)[:100]})") from None
    cells = _upgraded(raw) if isinstance(raw, dict) else None
    if not isinstance(cells, list):
        raise NotANotebook("not a notebook: it is JSON, but without cells")
    return _notebook([_tidy(cell, i) for i, cell in enumerate(cells) if isinstance(cell, dict)], {})


def _text(value: Any) -> str:
    """A cell's source, which may be a list of lines; lone surrogates cannot be sent to a kernel."""
    lines = value if isinstance(value, list) else [value]
    joined = "".join(line for line in lines if isinstance(line, str))
    return joined.encode("utf-8", "replace").decode().replace("\r\n", "\n")


def _tidy(cell: dict[str, Any], index: int) -> NotebookNode:
    """The cell with all the fields it must have, and of its metadata only what names it."""
    piece, metadata = _piece(cell), cell.get("metadata")
    named = metadata.get("id") if isinstance(metadata, dict) else None
    kept: dict[str, Any] = {"id": named} if isinstance(named, str) else {}
    kept |= {"nbgrader": {"grade_id": piece.grade_id}} if piece.grade_id else {}
    cell_id = piece.cell_id if CELL_ID.fullmatch(piece.cell_id) else f"unnamed-{index}"
    kind = piece.kind if piece.kind in ("code", "markdown") else "raw"
    more: dict[str, Any] = {"outputs": [], "execution_count": None} if kind == "code" else {}
    return _node({"id": cell_id, "cell_type": kind, "metadata": kept, "source": piece.source, **more})


def _node(value: dict[str, Any]) -> NotebookNode:
    """nbformat's own makers validate, and rename a cell at random where two have one id."""
    return cast(NotebookNode, nbformat.from_dict(value))


def _notebook(cells: list[NotebookNode], metadata: dict[str, Any]) -> NotebookNode:
    return _node({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells})


def _piece(cell: Any) -> Piece:
    metadata = cell.get("metadata")
    named = metadata.get("id") if isinstance(metadata, dict) else None
    given = (nbgrader_flags(cell).get("grade_id"), named, cell.get("id"))
    names = [name if isinstance(name, str) else "" for name in given]
    kind = cell.get("cell_type")
    kind = {"heading": "markdown"}.get(kind, kind) if isinstance(kind, str) else "raw"
    return Piece(_text(cell.get("source")), kind, names[0], names[2], tuple(filter(None, names)))


def defined(source: str) -> set[str]:
    """The functions and classes a cell defines; by their look where it does not parse."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set(DEFINED.findall(source))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {node.name for node in tree.body if isinstance(node, kinds)}


def same(a: str, b: str) -> bool:
    """Alike but for white space at line ends and around, which editors change."""
    return [line.rstrip() for line in a.strip().split("\n")] == [line.rstrip() for line in b.strip().split("\n")]


def is_blank(source: str, stub: str) -> bool:
    return not source.strip() or same(source, stub)


def setup_index(nb: NotebookNode) -> int:
    """The set-up cell: tagged so, else the first code cell."""
    code = [i for i, cell in enumerate(nb.cells) if cell.cell_type == "code"]
    tagged = (i for i in code if "setup" in cell_tags(nb.cells[i]))
    return next(tagged, code[0] if code else 0)


def cell_tags(cell: NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


class _Match:
    """Which handed-in cell belongs to which cell of the sheet. `of` maps the former's index to the latter's."""

    def __init__(self, pieces: list[Piece], sheet: Sheet) -> None:
        self.pieces, self.source, self.release = pieces, sheet.source.cells, sheet.release.cells
        self.of: dict[int, int] = {}
        self.by: dict[int, str] = {}
        self._by_name()
        self._by_source()
        self._by_definition()
        self._by_place()

    def missing(self) -> list[int]:
        found = set(self.of.values())
        return [j for j in range(len(self.source)) if j not in found]

    def free(self) -> list[int]:
        return [i for i in range(len(self.pieces)) if i not in self.of]

    def copies(self, j: int) -> list[int]:
        return [i for i in sorted(self.of) if self.of[i] == j]

    def _take(self, i: int, j: int, how: str) -> None:
        self.of[i] = j
        self.by.setdefault(j, how)

    def _by_name(self) -> None:
        known = {name: j for j, cell in enumerate(self.source) for name in reversed(_piece(cell).names)}
        for i, piece in enumerate(self.pieces):
            named = next((known[name] for name in piece.names if name in known), None)
            if named is not None:
                self._take(i, named, "name")

    def _by_source(self) -> None:
        for j in self.missing():
            for i in self.free():
                source = self.pieces[i].source
                if source.strip() and (same(source, self.release[j].source) or same(source, self.source[j].source)):
                    self._take(i, j, "source")
                    break

    def _by_definition(self) -> None:
        for j in self.missing():
            wanted = defined(self.release[j].source) if is_answer(self.source[j]) else set()
            for i in self.free():
                if wanted & defined(self.pieces[i].source):
                    self._take(i, j, "definition")

    def _by_place(self) -> None:
        """The last resort, for an answer that has no name: the first free cell of its type after its forerunner."""
        for j in self.missing():
            before = self.copies(j - 1)
            if not (is_answer(self.source[j]) and before):
                continue
            for i in range(before[-1] + 1, len(self.pieces)):
                if i in self.of:
                    break
                if self.pieces[i].kind == self.source[j].cell_type:
                    self._take(i, j, "place")
                    break


def _cell_id(cell: NotebookNode) -> str:
    return str(nbgrader_flags(cell).get("grade_id") or cell.get("id") or "")


def _judged(sheet: Sheet) -> list[int]:
    return [j for j, cell in enumerate(sheet.source.cells) if is_answer(cell) or is_graded(cell)]


def found_cells(submission_nb: NotebookNode, sheet: Sheet) -> tuple[int, int]:
    """How many of the sheet's answer and check cells can be found in a notebook, and of how many."""
    found = set(_Match(_pieces(submission_nb), sheet).of.values())
    judged = _judged(sheet)
    return len(found.intersection(judged)), len(judged)


def _pieces(nb: NotebookNode) -> list[Piece]:
    cells = nb.get("cells")
    return [_piece(cell) for cell in cells if isinstance(cell, dict)] if isinstance(cells, list) else []


def repair(submission_nb: NotebookNode, sheet: Sheet) -> tuple[NotebookNode, list[str]]:
    """The notebook to run, and a sentence for each thing that was put right. Pure."""
    pieces = _pieces(submission_nb)
    match = _Match(pieces, sheet)
    judged = _judged(sheet)
    found = len(set(match.of.values()).intersection(judged))
    if 3 * found < len(judged):
        counted = f"only {found} of {len(judged)} cells of sheet {sheet.number} found"
        raise AnotherSheet(f"{counted}; is it another assignment?")
    cells = [_framed(match, sheet, j) for j in range(len(sheet.source.cells))]
    extras = _extras(match, setup_index(sheet.source))
    ordered = [cell for j, framed in enumerate(cells) for cell in (framed, *extras.get(j, ()))]
    return _notebook(ordered, copy.deepcopy(sheet.source.metadata)), _repairs(match, sheet)


def _answer(match: _Match, j: int) -> int | None:
    """The copy that counts: the last that is neither empty nor the stub; where there is none, the last."""
    copies = match.copies(j)
    written = [i for i in copies if not is_blank(match.pieces[i].source, match.release[j].source)]
    return next(iter((written or copies)[::-1]), None)


def _framed(match: _Match, sheet: Sheet, j: int) -> NotebookNode:
    """Cell j of the sheet as it will be run."""
    cell = copy.deepcopy(sheet.source.cells[j])
    cell.id = _cell_id(cell) or f"sheet-{j}"
    if cell.cell_type == "code":
        cell.outputs, cell.execution_count = [], None
    if is_answer(cell):
        chosen = _answer(match, j)
        cell.source = sheet.release.cells[j].source if chosen is None else match.pieces[chosen].source
    return cell


def _extras(match: _Match, setup: int) -> dict[int, list[NotebookNode]]:
    """The learner's own code cells, under the index of the sheet's cell they come after."""
    found: dict[int, list[NotebookNode]] = {}
    place = setup
    for i, piece in enumerate(match.pieces):
        place = match.of.get(i, place)
        if i not in match.of and piece.kind == "code" and piece.source.strip():
            named = {"called": f"the added cell {i + 1}"}
            made = {"id": f"extra-{i + 1}", "cell_type": "code", "source": piece.source, "metadata": named}
            found.setdefault(place, []).append(_node({**made, "outputs": [], "execution_count": None}))
    return found


def _listed(names: Iterable[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    shown = ", ".join(quoted[:8])
    return f"{shown} and {len(quoted) - 8} more" if len(quoted) > 8 else shown


def _repairs(match: _Match, sheet: Sheet) -> list[str]:
    """Every sentence on what was put right, in a fixed order."""
    source, judged = sheet.source.cells, _judged(sheet)
    named = {j: _cell_id(source[j]) for j in range(len(source))}
    lost = [named[j] for j in judged if match.by.get(j) in ("source", "definition", "place")]
    copies = {j: match.copies(j) for j in range(len(source))}
    gone = [named[j] for j in judged if not copies[j]]
    said = _lost(match, named, judged)
    said += [f"cells that had lost every name were recognised by what they say: {_listed(lost)}"] if lost else []
    said += [f"cells that were deleted were put back: {_listed(gone)}"] if gone else []
    said += [_doubled(match, j, named[j]) for j in copies if len(copies[j]) > 1]
    said += [f"cells that were moved were put back in the sheet's order: {moved}" for moved in _moved(match, named)]
    retyped = [j for j in copies if copies[j] and match.pieces[_counted(match, j)].kind != source[j].cell_type]
    said += [
        f"cell '{named[j]}' was {_kind(match, j)} and was made {_article(source[j].cell_type)} again" for j in retyped
    ]
    said += _changed(match, sheet, named)
    said += _additions(match)
    return said


def _lost(match: _Match, named: dict[int, str], judged: list[int]) -> list[str]:
    found = [(match.pieces[_counted(match, j)], named[j]) for j in judged if match.copies(j)]
    flags = sum(piece.grade_id != name for piece, name in found)
    ids = sum(piece.cell_id != name for piece, name in found)
    said = [f"nbgrader's metadata, missing in {flags} of {len(found)} cells, were restored"] if flags else []
    return said + ([f"cell ids, lost in {ids} of {len(found)} cells, were restored"] if ids else [])


def _article(kind: str) -> str:
    return {"code": "a code cell", "markdown": "a text cell"}.get(kind, "a raw cell")


def _kind(match: _Match, j: int) -> str:
    return _article(match.pieces[_counted(match, j)].kind)


def _counted(match: _Match, j: int) -> int:
    """The copy of a found cell by which it is described."""
    chosen = _answer(match, j)
    return match.copies(j)[-1] if chosen is None else chosen


def _doubled(match: _Match, j: int, name: str) -> str:
    count = len(match.copies(j))
    if is_answer(match.source[j]):
        return f"cell '{name}' was there {count} times: the last one with an answer was taken"
    return f"cell '{name}' was there {count} times: the sheet's own was taken once"


def _moved(match: _Match, named: dict[int, str]) -> list[str]:
    first: dict[int, int] = {}
    for i in sorted(match.of):
        first.setdefault(match.of[i], i)
    order = sorted(first, key=lambda j: first[j])
    moved = [named[b] for a, b in itertools.pairwise(order) if b < a]
    return [_listed(moved)] if moved else []


def _changed(match: _Match, sheet: Sheet, named: dict[int, str]) -> list[str]:
    """Only what matters for the points is said: check cells and the set-up cell."""
    said, setup = [], setup_index(sheet.source)
    for j, cell in enumerate(sheet.source.cells):
        copies = match.copies(j)
        known = (cell.source, sheet.release.cells[j].source)
        intact = all(any(same(match.pieces[i].source, text) for text in known) for i in copies)
        if is_answer(cell) or intact:
            continue
        if is_graded(cell):
            said.append(f"check cell '{named[j]}' had been changed: the sheet's own was run")
        elif j == setup:
            said.append("the set-up cell had been changed: the sheet's own was run")
    return said


def _additions(match: _Match) -> list[str]:
    count = sum(match.pieces[i].kind == "code" and bool(match.pieces[i].source.strip()) for i in match.free())
    return [f"{count} code cell{'s' if count > 1 else ''} of the learner's own kept in place"] if count else []
