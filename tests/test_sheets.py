"""What every exercise sheet promises: tasks with time, points, hints and a check, and a blank that blocks nothing."""

import ast
import csv
import io
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest
from bench import load_benches
from test_notebooks import CODE, COMMENT, EMOJI, LINK, MATH, code_lines, prose, tagged

from vae_course.checks import CHECKS
from vae_course.classroom.__main__ import main as classroom

ROOT = Path(__file__).resolve().parents[1]
SHEETS = sorted((ROOT / "solutions").glob("[0-9][0-9]_*.py"))
BENCHES = load_benches()
each_sheet = pytest.mark.parametrize("path", SHEETS, ids=lambda path: path.stem)
TIME = re.compile(r"^\*(\d+) minutes · (\d+) points?\b.*\*$", re.MULTILINE)


def source(path: Path) -> Any:
    return jupytext.read(path, fmt="py:percent")


def flags(cell: Any) -> Any:
    return cell.metadata.get("nbgrader", {})


def graded(nb: Any) -> list[Any]:
    return [cell for cell in nb.cells if flags(cell).get("grade")]


def answers(nb: Any) -> list[Any]:
    return [cell for cell in nb.cells if cell.cell_type == "code" and flags(cell).get("solution")]


def tasks(nb: Any) -> list[list[Any]]:
    """The cells of each numbered section."""
    found: list[list[Any]] = []
    for cell in nb.cells:
        if re.match(r"## \d+ · ", cell.source):
            found.append([cell])
        elif cell.source.startswith("## "):
            break
        elif found:
            found[-1].append(cell)
    return found


def test_every_lesson_but_the_first_has_a_sheet() -> None:
    lessons = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.py"))
    assert [path.stem for path in SHEETS] == lessons[1:]


@each_sheet
def test_the_frame(path: Path) -> None:
    nb = source(path)
    first, badges, how = nb.cells[:3]
    assert re.match(rf"# Exercises {path.stem[:2]} · \S.*\n\n\S", first.source)
    assert badges.metadata.tags == ["badges"]
    assert how.source.startswith("*Time:* about ")
    assert "*Assumed:* lesson" in how.source
    assert f"solutions/{path.stem}.ipynb" in how.source
    (setup,) = tagged(nb, "setup")
    lesson = source(ROOT / "notebooks" / "00_start_here.py")
    assert len(code_lines(setup)) <= 12
    assert setup.source.split("import ")[:3] == tagged(lesson, "setup")[0].source.split("import ")[:3]
    assert nb.cells[-2].source == f'progress("{path.stem[:2]}")'
    assert f"../notebooks/{path.stem}.ipynb" in nb.cells[-1].source


@each_sheet
def test_tasks_say_how_long_and_how_much(path: Path) -> None:
    nb = source(path)
    numbered = tasks(nb)
    assert 4 <= len(numbered) <= 7
    assert [cells[0].source.split()[1] for cells in numbered] == [str(n + 1) for n in range(len(numbered))]
    stated = [TIME.findall(cells[0].source) for cells in numbered]
    assert all(len(each) == 1 for each in stated)
    minutes, points = (sum(int(each[0][i]) for each in stated) for i in (0, 1))
    assert 30 <= minutes <= 60
    assert f"about {minutes} minutes" in nb.cells[2].source
    assert f"*Points:* {points}." in nb.cells[2].source
    for cells, ((_, number),) in zip(numbered, stated, strict=True):
        assert sum(flags(cell).get("points", 0) for cell in cells) == int(number), cells[0].source


@each_sheet
def test_every_answer_is_one_function_with_two_hints_and_its_check_below(path: Path) -> None:
    nb = source(path)
    for cells in tasks(nb):
        written = [cell for cell in cells if flags(cell).get("solution") and cell.cell_type == "code"]
        assert len(written) <= 1
        if not written:
            continue
        name = flags(written[0]).grade_id
        assert [node.name for node in ast.parse(written[0].source).body] == [name]  # type: ignore[attr-defined]
        assert ast.get_docstring(ast.parse(written[0].source).body[0])  # type: ignore[arg-type]
        below = cells[cells.index(written[0]) + 1]
        assert flags(below).grade_id == f"check-{name}"
        assert below.source.startswith(f"check.{name}({name})\n### BEGIN HIDDEN TESTS\n")
        assert f"{path.stem[:2]}/{name}" in BENCHES
        hints = "\n".join(cell.source for cell in cells)
        assert re.findall(r"<details><summary>(Hint \d)</summary>\S", hints) == ["Hint 1", "Hint 2"]


@each_sheet
def test_every_check_of_the_sheet_is_used_once(path: Path) -> None:
    used = [f"{path.stem[:2]}/{flags(cell).grade_id}" for cell in answers(source(path))]
    assert used == [task for task in CHECKS if task.startswith(f"{path.stem[:2]}/")]


@each_sheet
def test_there_is_a_bug_to_spot_and_a_question_to_answer_in_words(path: Path) -> None:
    nb = source(path)
    assert "· Spot the bug" in prose(nb)
    (question,) = [cell for cell in graded(nb) if cell.cell_type == "markdown"]
    assert flags(question).solution
    scheme = re.search(r"=== BEGIN MARK SCHEME ===\n(.+)=== END MARK SCHEME ===", question.source, re.DOTALL)
    assert scheme is not None
    assert len(re.findall(r"^\d\. ", scheme[1], re.MULTILINE)) == flags(question).points


@each_sheet
def test_graded_cells_need_no_data_and_no_training(path: Path) -> None:
    for cell in graded(source(path)):
        assert not re.search(r"\bdata\.|\bfit\(|load_|\.cuda|download|steps\(", cell.source)


@each_sheet
def test_a_blank_blocks_nothing(path: Path) -> None:
    """No cell but its own check uses a learner's function."""
    nb = source(path)
    names = {flags(cell).grade_id for cell in answers(nb)}
    for cell in nb.cells:
        if cell.cell_type == "code" and not flags(cell):
            used = {node.id for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)}
            assert not used & names, cell.source


@each_sheet
def test_how_it_reads(path: Path) -> None:
    text = prose(source(path))
    for ignored in (CODE, MATH, COMMENT):
        text = ignored.sub("", text)
    assert [line for line in text.splitlines() if "!" in line.replace("![", "") or EMOJI.search(line)] == []
    for before, after in pairwise(source(path).cells):
        assert not (after.cell_type == "code" and not flags(after) and before.source.splitlines()[-1].startswith("#"))


@each_sheet
def test_links_lead_somewhere(path: Path) -> None:
    targets = [
        "".join(groups).split("#")[0] for groups in LINK.findall(MATH.sub("", CODE.sub("", prose(source(path)))))
    ]
    assert targets
    assert [each for each in targets if ":" not in each and not (path.parent / each).resolve().exists()] == []
    # also read in my_work/exercises/: its copy has links changed for these two folders only
    assert all(re.match(r"[a-z]+:|\.\./notebooks/|\.\./solutions/", each) for each in targets)


@each_sheet
def test_sizes(path: Path) -> None:
    assert path.with_suffix(".ipynb").stat().st_size <= 150_000
    blank = nbformat.read(ROOT / "exercises" / f"{path.stem}.ipynb", as_version=4)
    assert all(not cell.get("outputs") and not cell.get("execution_count") for cell in blank.cells)


@each_sheet
def test_hints_and_verdicts_of_the_worked_sheet(path: Path) -> None:
    """The committed solution shows every check solved."""
    nb = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    shown = [out.data for cell in graded(nb) for out in cell.get("outputs", ()) if "data" in out]
    records = [data["application/vnd.vae-course.check+json"] for data in shown]
    assert [record["verdict"] for record in records] == ["solved"] * len(answers(nb))


@pytest.mark.slow
@each_sheet
def test_the_solution_earns_all_points_and_the_blank_none(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the grader, which also says so where a check or a cell does anything suspicious."""
    monkeypatch.chdir(tmp_path)
    handed_in = tmp_path / "handed in"
    handed_in.mkdir()
    for learner, folder in {"all": "solutions", "none": "exercises"}.items():
        shutil.copy(ROOT / folder / f"{path.stem}.ipynb", handed_in / f"{learner}.ipynb")
    folders = ["--sheets", str(ROOT / "solutions"), "--exercises", str(ROOT / "exercises")]
    assert classroom(["grade", str(handed_in), *folders]) == 0
    text = (tmp_path / "grades" / path.stem / "grades.csv").read_bytes().decode("utf-8-sig")
    rows = {row["learner"]: row for row in csv.DictReader(io.StringIO(text))}
    automatic = sum(flags(cell).points for cell in graded(source(path)) if cell.cell_type == "code")
    assert (rows["all"]["points"], rows["none"]["points"]) == (f"{automatic:g}", "0")
    assert {(row["status"], row["problems"], row["repairs"]) for row in rows.values()} == {("graded", "", "")}
