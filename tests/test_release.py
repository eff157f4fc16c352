"""What learners get: nbgrader's own blanking, no line of a solution anywhere, the same bytes each time."""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
import submissions
import toy_sheet
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output

from vae_course.classroom.__main__ import main
from vae_course.classroom.release import (
    CODE_STUB,
    TEXT_STUB,
    SheetError,
    blank,
    leaks,
    load_sheet,
    make,
    marked_lines,
    tasks_of,
)

ROOT = Path(__file__).resolve().parents[1]
SECRETS = ("0.5 * (mu**2", "standard_deviation * eps", "the KL is subtracted", "see no gradient at all")


def cell(nb: NotebookNode, name: str) -> NotebookNode:
    return next(c for c in nb.cells if c.id == name)


def test_the_blank_sheet_has_stubs_and_no_secrets() -> None:
    made = blank(toy_sheet.solution())
    text = nbformat.writes(made)
    assert not [secret for secret in SECRETS if secret in text]
    assert cell(made, "kl").source.endswith(f'nats."""\n    {CODE_STUB}')
    assert cell(made, "why").source == TEXT_STUB
    assert cell(made, "check-bound").source.count("\n") == 0
    assert [c.id for c in made.cells] == [c.id for c in toy_sheet.solution().cells]


def test_blanking_leaves_its_argument_as_it_was() -> None:
    nb = toy_sheet.solution()
    blank(nb)
    assert [c.source for c in nb.cells] == [c.source for c in toy_sheet.solution().cells]


def test_outputs_and_the_builders_stamp_are_dropped() -> None:
    nb = toy_sheet.solution()
    nb.metadata["vae_course"] = {"source_sha256": "x"}
    cell(nb, "show").outputs = [new_output("stream", text="1.0")]
    made = blank(nb)
    assert cell(made, "show").outputs == []
    assert "vae_course" not in made.metadata


def test_tasks_know_their_heading_and_their_answers() -> None:
    told = [(t.grade_id, t.title, t.points, t.manual, t.answers) for t in tasks_of(toy_sheet.solution())]
    assert told == [
        ("check-kl", "The divergence", 2.0, False, ("kl",)),
        ("check-sample", "A sample", 1.0, False, ("sample",)),
        ("check-bound", "The bound", 3.0, False, ("bound",)),
        ("why", "Why the trick", 2.0, True, ("why",)),
    ]


def _twice(nb: NotebookNode) -> None:
    cell(nb, "sample").metadata.nbgrader.grade_id = "kl"


def _no_points(nb: NotebookNode) -> None:
    del cell(nb, "check-kl").metadata.nbgrader["points"]


def _no_end(nb: NotebookNode) -> None:
    cell(nb, "kl").source = cell(nb, "kl").source.replace("### END SOLUTION", "")


def _no_begin(nb: NotebookNode) -> None:
    cell(nb, "check-bound").source = cell(nb, "check-bound").source.replace("### BEGIN HIDDEN TESTS", "")


def _unmarked(nb: NotebookNode) -> None:
    cell(nb, "show").source = "### BEGIN SOLUTION\nprint(1)\n### END SOLUTION"


def _old_schema(nb: NotebookNode) -> None:
    cell(nb, "kl").metadata.nbgrader["schema_version"] = 1


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (_twice, "cell 'kl' stands there twice"),
        (_no_points, "cell 'check-kl' is graded and has no points"),
        (_no_end, "cell 'kl': BEGIN SOLUTION without its END"),
        (_no_begin, "cell 'check-bound': END HIDDEN TESTS without a BEGIN"),
        (_unmarked, "cell 'show' holds a solution"),
        (_old_schema, "nbgrader refuses the sheet in"),
    ],
)
def test_a_sheet_that_cannot_be_graded_is_refused_by_cell(spoil: object, complaint: str) -> None:
    nb = toy_sheet.solution()
    spoil(nb)  # type: ignore[operator]
    with pytest.raises(SheetError, match=complaint):
        blank(nb)


def test_a_stale_exercise_is_refused(tmp_path: Path) -> None:
    folder = toy_sheet.course(tmp_path)
    exercises = tmp_path / "exercises"
    exercises.mkdir()
    twin = exercises / f"{toy_sheet.NAME}.ipynb"
    nbformat.write(blank(toy_sheet.solution()), twin)
    assert load_sheet(folder / twin.name, exercises).title == "Toy sheet"
    twin.write_text(twin.read_text().replace("The divergence", "The distance"))
    with pytest.raises(SheetError, match="build the exercises again"):
        load_sheet(folder / twin.name, exercises)


def _wheel(folder: Path, source: str) -> Path:
    path = folder / "vae_course-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("vae_course/__init__.py", source)
    return path


def test_a_release_holds_notebook_readme_and_wheel_also_as_a_zip(tmp_path: Path) -> None:
    folder = make(toy_sheet.sheet(tmp_path), tmp_path / "release", _wheel(tmp_path, ""))
    names = ["01_toy.ipynb", "README.txt", "vae_course-0.1.0-py3-none-any.whl"]
    assert sorted(path.name for path in folder.iterdir()) == names
    with zipfile.ZipFile(tmp_path / "release" / "01_toy.zip") as packed:
        assert packed.namelist() == [f"01_toy/{name}" for name in names]
        assert {name: packed.read(f"01_toy/{name}") for name in names} == {n: (folder / n).read_bytes() for n in names}
    text = (folder / "01_toy.ipynb").read_text()
    assert "From lesson 01 and [elsewhere](https://example.org)." in text
    assert "pip install vae_course-0.1.0" in (folder / "README.txt").read_text()


def test_a_release_is_the_same_bytes_again_and_replaces_the_old_one(tmp_path: Path) -> None:
    sheet, out = toy_sheet.sheet(tmp_path), tmp_path / "release"
    make(sheet, out)
    first = (out / "01_toy.zip").read_bytes()
    (out / "01_toy" / "stray.txt").write_text("left from last year")
    os.utime(out / "01_toy" / "README.txt", (0, 0))
    make(sheet, out)
    assert (out / "01_toy.zip").read_bytes() == first
    assert sorted(path.name for path in out.iterdir()) == ["01_toy", "01_toy.zip"]
    assert not (out / "01_toy" / "stray.txt").exists()


def test_a_leak_writes_nothing_and_names_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = toy_sheet.course(tmp_path)
    wheel = _wheel(tmp_path, "    return mu + standard_deviation * eps\n")
    options = ["--sheets", str(folder), "--out", str(tmp_path / "release"), "--wheel", str(wheel)]
    assert main(["release", "01", *options]) == 2
    said = capsys.readouterr().err
    assert "01_toy/vae_course-0.1.0-py3-none-any.whl/vae_course/__init__.py: return mu + standard_deviation" in said
    assert list((tmp_path / "release").iterdir()) == []


SECRET_LINE = "standard_deviation = math.exp(0.5 * logvar)"


def _in_a_source() -> bytes:
    return nbformat.writes(new_notebook(cells=[new_code_cell(f"def f():\n\t{SECRET_LINE}")])).encode()


def _in_an_output() -> bytes:
    output = new_output("display_data", {"text/html": "<b>standard&#95;deviation = math.exp(0.5 * logvar)</b>"})
    return nbformat.writes(new_notebook(cells=[new_code_cell("", outputs=[output])])).encode()


def _in_escapes() -> bytes:
    return json.dumps({"x": [toy_sheet.SECRET]}).replace("'", "\\u0027").encode()


def _in_a_zip_in_a_zip() -> bytes:
    content = SECRET_LINE.encode()
    for name in ("inner.txt", "inner.zip"):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out:
            out.writestr(name, content)
        content = packed.getvalue()
    return content


@pytest.mark.parametrize("hidden", [_in_a_source, _in_an_output, _in_escapes, _in_a_zip_in_a_zip])
def test_leaks_are_found_wherever_they_hide(hidden: object, tmp_path: Path) -> None:
    (tmp_path / "some.bin").write_bytes(hidden())  # type: ignore[operator]
    [found] = leaks(tmp_path, toy_sheet.solution())
    assert found.startswith("some.bin")


def test_short_lines_and_lines_that_also_stand_outside_are_no_leaks(tmp_path: Path) -> None:
    nb = toy_sheet.solution()
    cell(nb, "title").source += f"\n`{SECRET_LINE}`"
    (tmp_path / "a.txt").write_text(f"{SECRET_LINE}\nreturn a - b\n")
    assert leaks(tmp_path, nb) == []


# --- nbgrader itself, as another teacher would run it

CONFIG = f"""
c = get_config()
c.CourseDirectory.course_id = "toy"
c.ClearSolutions.code_stub = {{"python": {CODE_STUB!r}}}
c.ClearSolutions.text_stub = {TEXT_STUB!r}
c.Execute.timeout = 120
"""


def _nbgrader(folder: Path, *words: str) -> None:
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # it calls a program named alembic
    command = [sys.executable, "-m", "nbgrader", *words]
    done = subprocess.run(command, cwd=folder, env={**os.environ, "PATH": beside}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


REAL = sorted(path.stem for path in (ROOT / "solutions").glob("[0-9][0-9]_*.py"))


@pytest.mark.parametrize("name", REAL)
def test_nothing_of_a_real_sheet_leaks_through_the_package(name: str, tmp_path: Path) -> None:
    """The wheel lies beside the sheet that is handed out."""
    shutil.copytree(ROOT / "vae_course", tmp_path / "vae_course", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "exercises" / f"{name}.ipynb", tmp_path)
    solution = nbformat.read(ROOT / "solutions" / f"{name}.ipynb", 4)
    assert leaks(tmp_path, solution) == []
    planted = next(
        line for cell in solution.cells for line, region in marked_lines(cell.source) if region and len(line) > 40
    )
    (tmp_path / "vae_course" / "losses.py").write_text(f"# {planted}\n")
    assert leaks(tmp_path, solution)


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL if os.environ.get("VAE_COURSE_LONG") else REAL[:1])
def test_plain_nbgrader_gives_the_same_release_and_the_same_points(name: str, tmp_path: Path) -> None:
    solution = ROOT / "solutions" / f"{name}.ipynb"
    sheet = load_sheet(solution, ROOT / "exercises")
    course = tmp_path / "course"
    (course / "source" / name).mkdir(parents=True)
    (course / "nbgrader_config.py").write_text(CONFIG)
    shutil.copy(solution, course / "source" / name)
    _nbgrader(course, "generate_assignment", name, "--create")
    theirs = nbformat.read(course / "release" / name / f"{name}.ipynb", 4)
    assert [(c.cell_type, c.source) for c in theirs.cells] == [(c.cell_type, c.source) for c in sheet.release.cells]
    for learner, nb in {"blank": sheet.release, "full": submissions.solved(sheet)}.items():
        (course / "submitted" / learner / name).mkdir(parents=True)
        nbformat.write(nb, course / "submitted" / learner / name / f"{name}.ipynb")
    _nbgrader(course, "autograde", name, "--create")
    _nbgrader(course, "export", "--to", "grades.csv")
    header, *rows = [line.split(",") for line in (course / "grades.csv").read_text().splitlines()]
    columns = header.index("student_id"), header.index("raw_score")
    assert {row[columns[0]]: float(row[columns[1]]) for row in rows} == {"blank": 0.0, "full": sheet.max_points}
