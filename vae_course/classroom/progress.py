"""The learner's own page: what the checks in their notebooks said last, sheet by sheet."""

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from vae_course.classroom.feedback import VERDICTS, last_record, mistake_name
from vae_course.classroom.html import (
    NAME,
    Html,
    bar,
    document,
    element,
    foreign,
    plural,
    table,
)
from vae_course.classroom.release import HEADING, is_answer, is_graded, name_of
from vae_course.classroom.results import RECORD

Record = dict[str, str]


@dataclass(frozen=True)
class Notebook:
    """A notebook with checks: the title and the last record of each of them, None where it has not run."""

    file: str
    number: str
    title: str
    checks: tuple[tuple[str, Record | None], ...]

    @property
    def begun(self) -> bool:
        return any(record for _, record in self.checks)

    @property
    def solved(self) -> int:
        return sum(record is not None and record["verdict"] == "solved" for _, record in self.checks)


def page(notebooks: dict[str, NotebookNode], unreadable: dict[str, str] | None = None) -> str:
    """The progress page for notebooks, by file name; `unreadable` names the others, each with the reason."""
    read = [_sheet(file, notebook) for file, notebook in notebooks.items()]
    sheets = sorted((sheet for sheet in read if sheet.checks), key=lambda sheet: (sheet.number, sheet.file))
    return document(
        "What I have solved so far",
        element("h1", "What I have solved so far"),
        *(_overview(sheets) if sheets else [element("p", "No notebook here has a check in it yet.", class_="lead")]),
        *(_section(i, sheet) for i, sheet in enumerate(sheets, 1) if sheet.begun),
        *_unreadable(unreadable or {}),
        element(
            "footer",
            "This page reads what the checks printed when you last saved your notebooks. It is for you, and no grade.",
        ),
    )


def main() -> None:
    """python -m vae_course.classroom.progress FOLDER --out FILE"""
    parser = argparse.ArgumentParser(prog="python -m vae_course.classroom.progress", description=__doc__)
    parser.add_argument("folder", type=Path, help="where your notebooks are: my_work")
    parser.add_argument("--out", type=Path, default=Path("progress.html"), help="the page to write (%(default)s)")
    arguments = parser.parse_args()
    if not arguments.folder.is_dir():
        parser.error(
            f"there is no folder {arguments.folder}; name the one that your notebooks are in, for example my_work"
        )
    arguments.out.write_text(page(*read(arguments.folder)), encoding="utf-8")
    print(arguments.out)


def read(folder: Path) -> tuple[dict[str, NotebookNode], dict[str, str]]:
    """The notebooks in a folder and the folders in it, by their path there; and why the others could not be read."""
    notebooks, unreadable = {}, {}
    for path in sorted(folder.rglob("*.ipynb")):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts):  # checkpoints are old copies
            continue
        try:
            notebook = nbformat.read(path, as_version=4)
            nbformat.validate(notebook)
            notebooks[name.as_posix()] = notebook
        except Exception as error:  # whatever is wrong with one file, the others are still wanted
            unreadable[name.as_posix()] = _reason(error)
    return notebooks, unreadable


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"not a notebook that can be read: {lines[0]}"


def _sheet(file: str, notebook: NotebookNode) -> Notebook:
    checks = tuple(_checks(notebook))
    numbers = [record["task"].split("/")[0] for _, record in checks if record and "/" in record["task"]]
    in_name = re.match(r"\d+", file.rsplit("/", 1)[-1])
    number = numbers[0] if numbers else in_name[0] if in_name else ""
    headings = [heading for cell in notebook.cells for heading in _headings(cell)]
    return Notebook(file, number, headings[0] if headings else file, checks)


def _headings(cell: NotebookNode) -> list[str]:
    return [re.sub(r"[*`]", "", words) for words in HEADING.findall(cell.source) if cell.cell_type == "markdown"]


def _checks(notebook: NotebookNode) -> Iterator[tuple[str, Record | None]]:
    """The nearest heading above each check cell, and the last record among its outputs."""
    heading = ""
    for index, cell in enumerate(notebook.cells):
        heading = [heading, *_headings(cell)][-1]
        if cell.cell_type == "code" and is_graded(cell) and not is_answer(cell):
            shown = [output.data[RECORD] for output in cell.outputs if RECORD in output.get("data", {})]
            yield heading or name_of(cell, index), last_record(shown)


def _overview(sheets: list[Notebook]) -> list[Html]:
    solved, checks = sum(sheet.solved for sheet in sheets), sum(len(sheet.checks) for sheet in sheets)
    rows = [
        (_link(i, sheet), bar(sheet.solved, len(sheet.checks), _count(sheet)) if sheet.begun else "not begun")
        for i, sheet in enumerate(sheets, 1)
    ]
    return [
        element(
            "section",
            element("p", f"{solved} of {plural(checks, 'check')} solved", class_="big"),
            bar(solved, checks),
            element("p", f"{sum(sheet.begun for sheet in sheets)} of {plural(len(sheets), 'sheet')} begun."),
            class_="panel",
        ),
        table("Checks solved, sheet by sheet", ("Sheet", "Solved"), rows),
    ]


def _link(i: int, sheet: Notebook) -> Html:
    title = element("a", foreign(sheet.title), href=f"#sheet-{i}") if sheet.begun else foreign(sheet.title)
    return element("span", title, element("small", foreign(sheet.file, NAME)))


def _count(sheet: Notebook) -> str:
    return f"{sheet.solved} of {len(sheet.checks)}"


def _section(i: int, sheet: Notebook) -> Html:
    rows = [(foreign(title), *_said(record)) for title, record in sheet.checks]
    return element(
        "section",
        element("h2", foreign(sheet.title)),
        table(f"{_count(sheet)} solved", ("Task", "The check said", "Where to look"), rows, class_="thirds"),
        id=f"sheet-{i}",
    )


def _said(record: Record | None) -> tuple[Html, Html]:
    if record is None:
        return element("span", "not run yet", class_="soft"), Html("")
    verdict = record["verdict"]
    look = {"solved": "state solved", "not written": "soft"}.get(verdict, "state missed")
    said = element("span", VERDICTS[verdict], class_=look)
    return said, foreign(record["hint"]) if record["hint"] else mistake_name(record["mistake"])


def _unreadable(files: dict[str, str]) -> list[Html]:
    if not files:
        return []
    rows = [(foreign(file, NAME), foreign(reason)) for file, reason in files.items()]
    return [element("h2", "Not read"), table(plural(len(rows), "file"), ("File", "Why"), rows)]


if __name__ == "__main__":
    main()
