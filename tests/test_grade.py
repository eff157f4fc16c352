"""Grading from end to end: honest, damaged and hostile notebooks, a kill half-way, and what must stay untouched."""

import asyncio
import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import nbformat
import numpy as np
import psutil
import pytest
import submissions
import toy_sheet
from submissions import HONEST, KINDS, LONG, QUOTES, SHORT, Kind, World

from vae_course.classroom import grade as grading
from vae_course.classroom import handed_in, session
from vae_course.classroom import sandbox as boxing
from vae_course.classroom.__main__ import main
from vae_course.classroom.release import SheetError, load_sheet
from vae_course.classroom.results import Result, Sheet, TaskResult
from vae_course.classroom.sandbox import Limits, NoSandbox, Place, find_bwrap

FAST = ["--cell-seconds", "6", "--grace-seconds", "2", "--memory-bytes", "1500000000", "--disk-bytes", "50000000"]
ROOT = Path(__file__).parents[1]


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a name short enough for the sockets of a sandbox below it."""
    return tmp_path_factory.mktemp("g")


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    toy_sheet.course(tmp_path)
    (tmp_path / "handed-in").mkdir()
    (tmp_path / "t").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "t"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def sheet(course: Path) -> Sheet:
    return toy_sheet.sheet(course)


def working_bwrap(place: Place, missing: Callable[[str, str], NoReturn]) -> str:
    try:
        return find_bwrap(place, Limits()) or missing("sandbox", "no bwrap on PATH (Debian: apt install bubblewrap)")
    except NoSandbox as error:
        missing("sandbox", str(error))


@pytest.fixture
def sandbox(missing: Callable[[str, str], NoReturn]) -> None:
    """Hostile code runs only where it is shut in."""
    working_bwrap(Place(Path(grading.__file__).parents[2] / "vae_course"), missing)


@pytest.fixture
def world(course: Path) -> Iterator[World]:
    """A file and a server outside, looked at again when the test is over."""
    canary = course / "canary.txt"
    canary.write_text("alive")
    calls: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_listen, args=(server, calls), daemon=True).start()
        yield World(canary, server.getsockname()[1], course / "solutions" / f"{toy_sheet.NAME}.ipynb")
        assert canary.read_text() == "alive"
        assert not calls, "the sandbox was left through the network"
        assert not _kernels(course), "a kernel was left running"


def _listen(server: socket.socket, calls: list[object]) -> None:
    while True:
        try:
            calls.append(server.accept())
        except OSError:
            return


def _kernels(course: Path) -> list[psutil.Process]:
    """Those whose private folder is this test's, bubblewrap's own process among them."""
    temporary = str(course / "t")
    return [p for p in psutil.process_iter(["cmdline"]) if temporary in " ".join(p.info["cmdline"] or [])]


def rows(course: Path, name: str = toy_sheet.NAME) -> dict[str, dict[str, str]]:
    text = (course / "grades" / name / "grades.csv").read_bytes().decode("utf-8-sig")
    return {row["learner"]: row for row in csv.DictReader(io.StringIO(text))}


def grade(*options: str) -> int:
    return main(["grade", "handed-in", *FAST, *options])


def hand_in(course: Path, named: dict[str, Kind], sheet: Sheet, world: World) -> None:
    submissions.lay_out(course / "handed-in", named, sheet, world)


def assert_row(row: dict[str, str], kind: Kind, sheet: Sheet) -> None:
    points = submissions.expected_points(kind, sheet)
    assert (row["status"], row["points"]) == (kind.status, "" if points is None else f"{points:g}"), (kind.name, row)
    assert kind.reason in row["problems"], (kind.name, row)
    assert kind.repair in row["repairs"], (kind.name, row)
    assert bool(row["problems"]) == (kind.status != "graded"), (kind.name, row)


def assert_nothing_leaked(out: Path) -> None:
    for path in out.rglob("*"):
        assert not path.is_file() or toy_sheet.SECRET not in path.read_text("utf-8"), path


# --- without a kernel


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_zip_is_one_learners_problem(method: int) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as out:
        out.writestr("x.ipynb", json.dumps({"cells": list(range(2000))}))
    whole, rng = packed.getvalue(), np.random.default_rng(0)
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= int(rng.integers(1, 256))
        for item in handed_in._read_zip("Ann", "x.zip", bytes(damaged)):
            assert item.learner == "Ann"
            assert item.problem or item.notebook is not None


def test_a_zip_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out:
        for name in ("a.ipynb", "b.ipynb"):
            out.writestr(name, " " * 800)
    monkeypatch.setattr(handed_in, "LARGEST_ZIP", 1000)
    (item,) = handed_in._read_zip("Ann", "x.zip", packed.getvalue())
    assert "unpack to more than" in item.problem


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes with names and asks rights for links")
def test_every_learner_is_found_once_with_the_reason(course: Path, sheet: Sheet) -> None:
    folder = course / "handed-in"
    good = submissions.pack(submissions.solved(sheet))
    for name in ("Ann/deep/down/x.ipynb", "Ann/.ipynb_checkpoints/x.ipynb", "Bob.ipynb", "Dan.zip", "Eve.pdf"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(good)
    (folder / "Cyd").mkdir()
    (folder / "Fay.ipynb").symlink_to(course / "solutions" / f"{toy_sheet.NAME}.ipynb")
    os.mkfifo(folder / "Gus.ipynb")
    (folder / ".DS_Store").write_bytes(b"x")
    found = grading.find(folder, course / "grades")
    assert {name: [item.problem[:12] for item in items] for name, items in found.items()} == {
        "Ann": [""],
        "Bob": [""],
        "Cyd": ["no notebook "],
        "Dan": ["the zip cann"],
        "Eve": ["not a notebo"],
        "Fay": ["a link or no"],
        "Gus": ["a link or no"],
    }
    assert found["Ann"][0].file == "Ann/deep/down/x.ipynb"


def test_a_learner_who_hands_in_a_file_and_a_folder_has_two_notebooks(course: Path, sheet: Sheet) -> None:
    good = submissions.pack(submissions.solved(sheet))
    (course / "handed-in" / "Ann").mkdir()
    (course / "handed-in" / "Ann" / "x.ipynb").write_bytes(good)
    (course / "handed-in" / "Ann.ipynb").write_bytes(good)
    found = grading.find(course / "handed-in", course / "grades")
    result = grading.plan("Ann", found["Ann"], sheet, "")
    assert isinstance(result, Result)
    assert result.reasons == ("2 notebooks: Ann/x.ipynb, Ann.ipynb; leave one",)


def test_the_sheet_that_fits_most_is_taken(course: Path, sheet: Sheet) -> None:
    other = toy_sheet.solution()
    for cell in other.cells:
        cell.id = cell.metadata["id"] = f"b-{cell.id}"
        cell.source = f"{cell.source}\n# another"
        if "nbgrader" in cell.metadata:
            cell.metadata.nbgrader.grade_id = cell.id
    nbformat.write(other, course / "solutions" / "02_other.ipynb")
    sheets = grading.sheets_in(course / "solutions", course / "exercises", "")
    hand_in(course, {"Ann": HONEST, "Bob": KINDS["another sheet"]}, sheets[1], World(course, 0, course))
    found = grading.find(course / "handed-in", course / "grades")
    assert grading.guess(found, sheets).name == "02_other"
    with pytest.raises(SheetError, match="no submission fits"):
        grading.guess({"Bob": found["Bob"]}, sheets)


def _task(**changes: object) -> TaskResult:
    return replace(TaskResult("check-kl", "KL", 2.0, 2.0, "solved", "", "", "", ({"task": "01/kl"},)), **changes)


def test_results_survive_json() -> None:
    result = Result("Ann", "a.ipynb", "graded", ("x",), ("y",), (_task(), _task(points=None, state="by hand")))
    assert Result.from_json(result.to_json()) == result
    assert result.points == 2.0


def test_the_table_quotes_everything_and_starts_no_formula(sheet: Sheet) -> None:
    result = Result('=HYPERLINK("x"),\u202e', "+a.ipynb", "graded", ("@evil",), (), (_task(),))
    text = grading.table([replace(result, learner=grading.plain(result.learner))], ["0001-x.html"], sheet)
    header, row = csv.reader(io.StringIO(text))
    assert header[5:9] == ["check-kl (2)", "check-sample (1)", "check-bound (3)", "why (2)"]
    assert row[:9] == ['\'=HYPERLINK("x"),\ufffd', "'+a.ipynb", "graded", "2", "6", "2", "", "", ""]
    assert row[9] == "'@evil"
    quoted = ('"' + field.replace('"', '""') + '"' for field in row)
    assert text.splitlines()[1] == ",".join(quoted)


def test_wrong_usage_ends_with_2(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["grade", "nowhere"])
    assert ended.value.code == 2
    assert "nowhere does not exist" in capsys.readouterr().err
    assert main(["grade", "handed-in"]) == 2
    assert "nothing was handed in" in capsys.readouterr().err
    assert main(["grade", "handed-in", "--assignment", "07"]) == 2
    assert "no sheet 07" in capsys.readouterr().err


# --- with kernels


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_the_solution_gets_all_points_and_the_blank_sheet_none(course: Path, sheet: Sheet) -> None:
    for learner, nb in {"Ann": sheet.source, "Bob": sheet.release}.items():
        (course / "handed-in" / f"{learner}.ipynb").write_bytes(submissions.pack(nb))
    assert grade() == 0
    table = rows(course)
    tasks = ["check-kl (2)", "check-sample (1)", "check-bound (3)", "why (2)"]
    assert [table["Ann"][task] for task in tasks] == ["2", "1", "3", ""]
    assert [table["Bob"][task] for task in tasks] == ["0", "0", "0", "0"]
    assert {row["status"] for row in table.values()} == {"graded"}
    assert not any(row["problems"] for row in table.values())


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_a_hostile_dozen_and_a_kill_half_way(course: Path, sheet: Sheet, world: World) -> None:
    """The run is killed as soon as two are graded; the second ends with what an undisturbed one gives."""
    kinds = {f"{i:02} {name}": KINDS[name] for i, name in enumerate(SHORT)} | {"99 quotes": QUOTES}
    hand_in(course, kinds, sheet, world)
    state = course / "grades" / toy_sheet.NAME / "state"
    grade_with_a_kill(course, state, graded=2, seconds=90)
    table = rows(course)
    assert list(table) == sorted(kinds)
    for learner, kind in kinds.items():
        assert_row(table[learner], kind, sheet)
    assert_nothing_leaked(course / "grades")
    quoted = [path for path in state.glob("*.json") if grading.REDACTED in path.read_text()]
    assert len(quoted) == 1, "the one who printed the check's source got it back without the hidden test"
    assert_resumed_alike(course)


def grade_with_a_kill(course: Path, state: Path, graded: int, seconds: float, *options: str) -> None:
    """SIGKILL as soon as so many are graded, then the same command again, to its end."""
    command = [sys.executable, "-m", "vae_course.classroom", "grade", "handed-in", *FAST, *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _wait(lambda: len(list(state.glob("*.json"))) >= graded, seconds)
    first.send_signal(signal.SIGKILL)
    first.wait()
    _wait(lambda: not _kernels(course), 10)
    remembered = {path: path.stat().st_mtime_ns for path in state.glob("*.json")}
    subprocess.run(command, env=environment, check=True)
    assert {path: path.stat().st_mtime_ns for path in remembered} == remembered, "graded twice"


def assert_resumed_alike(course: Path, name: str = toy_sheet.NAME, *options: str) -> None:
    """From memory alone, and in a run that nothing disturbed, the same bytes; nothing is left half-written."""
    folder = course / "grades" / name
    before = (folder / "grades.csv").read_bytes()
    assert grade(*options) == 0
    assert (folder / "grades.csv").read_bytes() == before
    start = time.monotonic()
    assert grade(*options, "--out", "undisturbed") == 0
    print(f"undisturbed: {time.monotonic() - start:.0f} s for {len(rows(course, name))} learners")
    assert (course / "undisturbed" / name / "grades.csv").read_bytes() == before
    assert not [path for path in folder.rglob(".*")]


def _wait(ready: Callable[[], bool], seconds: float) -> None:
    ends = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_course_inside_the_python_environment_is_covered_up(
    course: Path, missing: Callable[[str, str], NoReturn], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a virtual environment made at the repository's root: it has to be visible, solutions/ must not."""
    root = course / "env"
    (root / "solutions").mkdir(parents=True)
    (root / "solutions" / "secret.txt").write_text("x")
    folders = boxing._python_folders()
    monkeypatch.setattr(boxing, "_python_folders", lambda: [*folders, str(root)])
    place = Place(ROOT / "vae_course", (root / "solutions",))
    bwrap = working_bwrap(place, missing)
    code = f"import os\nprint(os.listdir({str(root)!r}), os.listdir({str(root / 'solutions')!r}))"
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code, id="look")])
    outcome = asyncio.run(session.run(nb, replace(place, bwrap=bwrap), Limits(), frozenset()))
    assert outcome.cells["look"].text == "['solutions'] []\n"


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_an_interrupt_says_where_it_stopped_and_ends_the_kernels(course: Path, sheet: Sheet, world: World) -> None:
    hand_in(course, {"Ann": HONEST, "Bob": KINDS["deaf"]}, sheet, world)
    command = [sys.executable, "-m", "vae_course.classroom", "grade", "handed-in", "--workers", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored if the tests run in the background
    )
    state = course / "grades" / toy_sheet.NAME / "state"
    _wait(lambda: bool(list(state.glob("*.json"))) and bool(_kernels(course)), 60)
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "Stopped with 1 of 2 notebooks graded. The same command goes on from there." in said
    assert not list((course / "t").iterdir()), "private folders are removed"


def test_a_sandbox_that_does_not_start_is_not_done_without(
    course: Path, sheet: Sheet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> str:
        raise NoSandbox("a trial run of bwrap failed: no permission")

    monkeypatch.setattr(grading, "find_bwrap", broken)
    hand_in(course, {"Ann": HONEST}, sheet, World(course, 0, course))
    assert grade() == 2
    assert "no permission\nPut that right, or grade with --without-sandbox." in capsys.readouterr().err
    assert not (course / "grades").exists()


@pytest.mark.slow
def test_without_a_sandbox_it_says_so_and_grades_the_same(
    course: Path, sheet: Sheet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(grading, "find_bwrap", lambda place, limits: "")  # as on another system
    kinds = {"Ann": HONEST, "Bob": KINDS["loops"], "Cyd": KINDS["exits"]}
    hand_in(course, kinds, sheet, World(course, 0, course))
    assert grade() == 0
    assert capsys.readouterr().out.count("No sandbox here: submissions run with your rights and your network.") == 1
    for learner, kind in kinds.items():
        assert_row(rows(course)[learner], kind, sheet)


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
@pytest.mark.skipif(not os.environ.get("VAE_COURSE_LONG"), reason="long: set VAE_COURSE_LONG=1")
def test_a_class_of_a_hundred(course: Path, world: World) -> None:
    """VAE_COURSE_SHEET=solutions/NN_name.ipynb takes a real sheet in place of the toy."""
    path = os.environ.get("VAE_COURSE_SHEET") or course / "solutions" / f"{toy_sheet.NAME}.ipynb"
    sheet = load_sheet(Path(path), course / "exercises")
    options: tuple[str, ...] = ()
    if os.environ.get("VAE_COURSE_SHEET"):
        options = ("--cell-seconds", "60", "--memory-bytes", "4000000000")
        (course / "solutions" / f"{toy_sheet.NAME}.ipynb").unlink()
        nbformat.write(sheet.source, course / "solutions" / f"{sheet.name}.ipynb")
    kinds = {f"{i:03} {name}": KINDS[name] for i, name in enumerate(LONG)}
    kinds |= {f"{i:03} honest": HONEST for i in range(len(LONG), 100)}
    hand_in(course, kinds, sheet, world)
    grade_with_a_kill(course, course / "grades" / sheet.name / "state", 40, 1500, *options)
    table = rows(course, sheet.name)
    assert list(table) == sorted(kinds)
    for learner, kind in kinds.items():
        assert_row(table[learner], kind, sheet)
    assert_nothing_leaked(course / "grades")
    assert_resumed_alike(course, sheet.name, *options)


@pytest.mark.slow
@pytest.mark.usefixtures("sandbox")
def test_imports_and_plots_are_no_event(course: Path, sheet: Sheet) -> None:
    """What honest code does must not be reported; this is the one test whose kernel imports torch."""
    nb = submissions.solved(sheet)
    code = (
        "import torch, matplotlib, numpy, ipywidgets, PIL\nimport matplotlib.pyplot as plt\nplt.plot([1])\n"
        "plt.show()\ntorch.randn(9).sum().item()\n"
        "from pathlib import Path\nPath('mine.txt').write_text('x')\nlist(Path().glob('*'))"
    )
    nb.cells.insert(2, nbformat.v4.new_code_cell(f"{code}\ndone = 1"))
    nb.cells.insert(3, nbformat.v4.new_code_cell("print(done)\nassert Path('mine.txt').read_text() == 'x'"))
    (course / "handed-in" / "Ann.ipynb").write_bytes(submissions.pack(nb))
    assert grade("--cell-seconds", "60", "--memory-bytes", "4000000000") == 0
    assert (rows(course)["Ann"]["status"], rows(course)["Ann"]["problems"]) == ("graded", "")
