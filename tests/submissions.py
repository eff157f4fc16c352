"""A class of made-up learners: honest ones, and one for each way in which notebooks come back broken or hostile.

Every kind knows the row it has to get. `keeps` says which automatic points: "all", "first" (the tasks before the
damage), "all but second", "none", or "" where nothing is graded.
"""

import copy
import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from vae_course.classroom.release import is_answer, is_graded
from vae_course.classroom.results import Sheet

Files = dict[str, bytes]
MARKER = re.compile(r"^ *#+ *(BEGIN|END) SOLUTION *\n?", re.MULTILINE)


@dataclass(frozen=True)
class World:
    """What lies outside the sandbox and must not be touched: a file, a server's port, the solutions."""

    canary: Path
    port: int
    solutions: Path


@dataclass(frozen=True)
class Kind:
    name: str
    files: Callable[[Sheet, World], Files]
    keeps: str
    status: str
    reason: str = ""
    repair: str = ""


def solved(sheet: Sheet) -> NotebookNode:
    """The blank sheet as a learner who knows everything hands it in."""
    nb = copy.deepcopy(sheet.release)
    for cell, source in zip(nb.cells, sheet.source.cells, strict=True):
        if is_answer(cell):
            cell.source = MARKER.sub("", source.source) if cell.cell_type == "code" else "Gradients flow."
    return nb


def answers(nb: NotebookNode) -> list[int]:
    return [i for i, cell in enumerate(nb.cells) if is_answer(cell) and cell.cell_type == "code"]


def checks(nb: NotebookNode) -> list[int]:
    return [i for i, cell in enumerate(nb.cells) if is_graded(cell) and cell.cell_type == "code"]


def pack(nb: NotebookNode) -> bytes:
    return nbformat.writes(nb).encode()


def expected_points(kind: Kind, sheet: Sheet) -> float | None:
    points = [task.points for task in sheet.tasks if not task.manual]
    kept = {"all": sum(points), "first": points[0], "all but second": sum(points) - points[1], "none": 0.0}
    return kept.get(kind.keeps)


def damaged(change: Callable[[NotebookNode], object]) -> Callable[[Sheet, World], Files]:
    """A solved sheet to which something happened."""

    def files(sheet: Sheet, world: World) -> Files:
        nb = solved(sheet)
        change(nb)
        return {"work.ipynb": pack(nb)}

    return files


def hostile(code: str) -> Callable[[Sheet, World], Files]:
    """A solved sheet with a cell of the learner's own after the first check."""

    def files(sheet: Sheet, world: World) -> Files:
        told = code.replace("CANARY", repr(str(world.canary))).replace("PORT", str(world.port))
        nb = solved(sheet)
        nb.cells.insert(checks(nb)[0] + 1, new_code_cell(told.replace("SOLUTIONS", repr(str(world.solutions)))))
        return {"work.ipynb": pack(nb)}

    return files


def plainly(**files: bytes) -> Callable[[Sheet, World], Files]:
    return lambda sheet, world: {name.replace("_", "."): content for name, content in files.items()}


def strip_everything(nb: NotebookNode) -> None:
    for i, cell in enumerate(nb.cells):
        cell.metadata, cell.id = nbformat.from_dict({}), f"x{i}"
    nb.metadata = nbformat.from_dict({})


def double_the_answers(sheet: Sheet, world: World) -> Files:
    """Colab's copy: the metadata twice, under a new id; the one not written in stands last, blank or empty."""
    nb = solved(sheet)
    for count, i in enumerate(reversed(answers(nb))):
        twin = copy.deepcopy(sheet.release.cells[i] if count % 2 else nb.cells[i])
        twin.id, twin.source = f"twin-{i}", twin.source if count % 2 else ""
        nb.cells.insert(i + 1, twin)
    return {"work.ipynb": pack(nb)}


def delete_the_checks(nb: NotebookNode) -> None:
    nb.cells = [cell for i, cell in enumerate(nb.cells) if i not in checks(nb)]


def turn_round(nb: NotebookNode) -> None:
    nb.cells.reverse()


def retype(nb: NotebookNode) -> None:
    for kind, i in zip(("markdown", "raw"), answers(nb)[:2], strict=True):
        nb.cells[i].cell_type = kind
        nb.cells[i].pop("outputs", None)
        nb.cells[i].pop("execution_count", None)


def rewrite_the_checks(nb: NotebookNode) -> None:
    for i in checks(nb):
        nb.cells[i].source = "pass"
    nb.cells[answers(nb)[1]].source = "pass"


def loop_in_an_answer(nb: NotebookNode) -> None:
    nb.cells[answers(nb)[1]].source = "while True:\n    pass"


def as_version_3(sheet: Sheet, world: World) -> Files:
    nb = nbformat.convert(solved(sheet), 3)
    return {"old.ipynb": json.dumps(nb).encode()}


def another_sheet(sheet: Sheet, world: World) -> Files:
    cells = [new_code_cell(f"print({i})") for i in range(9)]
    return {"other.ipynb": pack(nbformat.v4.new_notebook(cells=cells))}


def two_notebooks(sheet: Sheet, world: World) -> Files:
    return {"a.ipynb": pack(solved(sheet)), "b.ipynb": pack(solved(sheet))}


def zipped(content: Callable[[Sheet], Files]) -> Callable[[Sheet, World], Files]:
    def files(sheet: Sheet, world: World) -> Files:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out:
            for name, data in content(sheet).items():
                out.writestr(name, data)
        return {"work.zip": packed.getvalue()}

    return files


def cut_short(sheet: Sheet, world: World) -> Files:
    return {"work.ipynb": pack(solved(sheet))[:-200]}


DEAF = """
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
"""

REACH_OUT = """
import socket
for host, port in (("127.0.0.1", PORT), ("10.0.0.1", 80)):
    try:
        socket.create_connection((host, port), timeout=1).send(b"here I am")
    except OSError:
        pass
"""

OVERWRITE = """
import os
for path in (CANARY, "/usr/bin/python3"):
    try:
        with open(path, "a") as file:
            file.write("I was here")
    except OSError:
        pass
"""

SPY = """
import os
found = [os.listdir("/")]
for folder, folders, names in os.walk("/"):
    folders[:] = [name for name in folders if name not in ("usr", "proc", "site-packages", "lib")]
    found += [os.path.join(folder, n) for n in names if n.endswith(".ipynb")]
if os.path.exists(SOLUTIONS) or any("BEGIN SOLUTION" in open(path).read() for path in found[1:]):
    os._exit(7)
"""

# Of 100 sleeping children at most: what it tests must not harm the machine where it fails.
BOMB = """
import os, time
for _ in range(100):
    try:
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
    except OSError:
        pass
"""

# The check's source is in the memory of the process that runs it: what is printed of it must not come back.
QUOTE = """
import linecache, sys
inner = bound
def bound(log_likelihood, divergence):
    print("".join(linecache.getlines(sys._getframe(1).f_code.co_filename)))
    return inner(log_likelihood, divergence)
"""


def quote_the_check(nb: NotebookNode) -> None:
    nb.cells.insert(checks(nb)[-1], new_code_cell(QUOTE))


DAMAGED = [
    Kind("stripped", damaged(strip_everything), "all", "graded", repair="recognised by what they say"),
    Kind("doubled", double_the_answers, "all", "graded", repair="the last one with an answer was taken"),
    Kind("unchecked", damaged(delete_the_checks), "all", "graded", repair="were put back: 'check-"),
    Kind("reversed", damaged(turn_round), "all", "graded", repair="put back in the sheet's order"),
    Kind("retyped", damaged(retype), "all", "graded", repair="was a text cell and was made a code cell again"),
    Kind("rewritten", damaged(rewrite_the_checks), "all but second", "graded", repair="had been changed"),
    Kind("version 3", as_version_3, "all", "graded"),
    Kind("no JSON", plainly(work_ipynb=b"<html>Please log in</html>"), "", "not graded", "no JSON"),
    Kind("cut short", cut_short, "", "not graded", "no JSON"),
    Kind("empty", plainly(work_ipynb=b""), "", "not graded", "the file is empty"),
    Kind("another sheet", another_sheet, "", "not graded", "is it another assignment?"),
    Kind("two", two_notebooks, "", "not graded", "2 notebooks: "),
    Kind("no notebook", plainly(work_docx=b"PK"), "", "not graded", "no notebook"),
    Kind("zip", zipped(lambda sheet: {"../../up/work.ipynb": pack(solved(sheet))}), "all", "graded"),
    Kind("zip bomb", zipped(lambda sheet: {"work.ipynb": bytes(21_000_000)}), "", "not graded", "larger than 20 MB"),
]
HOSTILE = [
    Kind("exits", hostile("import os\nos._exit(0)"), "first", "graded with problems", "ended itself (exit code 0)"),
    Kind("kills itself", hostile("import os\nos.kill(os.getpid(), 9)"), "first", "graded with problems", "signal 9"),
    Kind("loops", damaged(loop_in_an_answer), "all but second", "graded with problems", "s and was stopped"),
    Kind("deaf", hostile(DEAF), "first", "graded with problems", "s and was stopped"),
    Kind("fork bomb", hostile(BOMB), "all", "graded with problems", "tried to start another process (os.fork)"),
    Kind("network", hostile(REACH_OUT), "all", "graded with problems", "tried to open a socket to 10.0.0.1"),
    Kind("overwrites", hostile(OVERWRITE), "all", "graded with problems", "outside its folder"),
    Kind("spies", hostile(SPY), "all", "graded with problems", "listed the folder /"),
    Kind("memory", hostile("hoard = [bytes(2_000_000_000) for _ in range(100_000)]"), "all", "graded"),
    Kind("flood", hostile("while True:\n    print('x' * 1000)"), "all", "graded with problems", "printed more than"),
    Kind("one long line", hostile("print('x' * 100_000_000)"), "all", "graded with problems", "was lost"),
    Kind("closes files", hostile("import os\nos.closerange(3, 4096)"), "first", "graded with problems", ""),
    Kind("leaves", hostile("raise SystemExit(0)"), "all", "graded"),
    Kind("interrupts", hostile("raise KeyboardInterrupt"), "all", "graded"),
    Kind("no folder", hostile("import os, shutil\nshutil.rmtree(os.getcwd(), True)\nos.chdir('/')"), "all", "graded"),
    Kind("no modules", hostile("import sys\nfor m in ('IPython', 'math'): del sys.modules[m]"), "all", "graded"),
    Kind("subprocess", hostile("import subprocess\nsubprocess.run(['ls'])"), "all", "graded with problems", "(ls)"),
    Kind("asks", hostile("input('your password? ')"), "all", "graded"),
    Kind("fills the disk", hostile("open('/tmp/big', 'wb').write(bytes(200_000_000))"), "all", "graded"),
]
QUOTES = Kind("quotes", damaged(quote_the_check), "all", "graded")
KINDS = {kind.name: kind for kind in [*DAMAGED, *HOSTILE]}
SHORT = (
    "stripped",
    "doubled",
    "rewritten",
    "no JSON",
    "two",
    "exits",
    "loops",
    "deaf",
    "fork bomb",
    "network",
    "spies",
)
LONG = [name for name in KINDS if name not in ("cut short", "empty", "interrupts", "asks")]


def lay_out(folder: Path, named: dict[str, Kind], sheet: Sheet, world: World) -> None:
    """A folder for each learner with what the kind hands in."""
    for learner, kind in named.items():
        place = folder / learner
        place.mkdir(parents=True)
        for name, content in kind.files(sheet, world).items():
            (place / name).write_bytes(content)


HONEST = Kind("honest", damaged(lambda nb: None), "all", "graded")
