"""Grade a folder of submissions: each learner once, each in a sandbox of their own, to a CSV that resumes."""

import asyncio
import contextlib
import csv
import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from vae_course.classroom import feedback, report
from vae_course.classroom.handed_in import HandedIn, find
from vae_course.classroom.release import SheetError, find_sheets, load_sheet, marked_lines, secrets
from vae_course.classroom.repair import AnotherSheet, found_cells, is_blank, repair
from vae_course.classroom.results import Result, Sheet, Task, TaskResult, plain
from vae_course.classroom.sandbox import NO_SANDBOX, Limits, NoSandbox, Place, find_bwrap
from vae_course.classroom.session import CellRun, NoKernel, Outcome, run

FORMULA = ("=", "+", "-", "@", "\t", "\r")
JUDGES = ("grade.py", "kernel.py", "release.py", "repair.py", "results.py", "sandbox.py", "session.py")
REDACTED = "(a hidden test)"


@dataclass(frozen=True)
class Job:
    """A notebook that is ready to run."""

    result: Result
    notebook: NotebookNode
    key: str


def belongs(item: HandedIn, sheet: Sheet) -> bool:
    if item.notebook is None:
        return False
    found, total = found_cells(item.notebook, sheet)
    return 3 * found >= total


def guess(learners: dict[str, list[HandedIn]], sheets: list[Sheet]) -> Sheet:
    """The sheet whose cells most submissions hold."""
    votes = Counter[str]()
    for notebook in (item.notebook for items in learners.values() for item in items if item.notebook):
        shares = {sheet.name: found_cells(notebook, sheet) for sheet in sheets}
        best = max(shares, key=lambda name: shares[name][0] / shares[name][1])
        votes[best] += shares[best][0] * 3 >= shares[best][1]
    winner, count = max(votes.items(), key=lambda pair: pair[1], default=("", 0))
    if not count:
        raise SheetError("no submission fits any sheet: name one with ASSIGNMENT=04 (or --assignment 04)")
    return next(sheet for sheet in sheets if sheet.name == winner)


def _refused(learner: str, files: str, *reasons: str) -> Result:
    return Result(plain(learner), plain(files), "not graded", tuple(plain(reason) for reason in reasons), (), ())


def _without_match(learner: str, items: list[HandedIn], sheet: Sheet) -> Result:
    """Why none of a learner's files can be graded; with several, each reason names its file."""
    reasons = []
    for item in items:
        why = item.problem
        if item.notebook is not None:
            try:
                repair(item.notebook, sheet)
            except AnotherSheet as error:
                why = str(error)
        reasons.append(why if len(items) == 1 else f"{item.file}: {why}")
    return _refused(learner, ", ".join(item.file for item in items), *reasons)


def plan(learner: str, items: list[HandedIn], sheet: Sheet, circumstances: str) -> Job | Result:
    """What to run for a learner, or why nothing will be."""
    fitting = [item for item in items if belongs(item, sheet)]
    if not fitting:
        return _without_match(learner, items, sheet)
    files = ", ".join(item.file for item in fitting)
    if len(fitting) > 1:
        return _refused(learner, files, f"{len(fitting)} notebooks: {files}; leave one")
    [item] = fitting
    assert item.notebook is not None
    notebook, repairs = repair(item.notebook, sheet)
    spoilt = [plain(f"{other.file}: {other.problem}") for other in items if other.problem]
    result = Result(plain(learner), plain(item.file), "", tuple(spoilt), tuple(map(plain, repairs)), ())
    told = json.dumps([item.digest, learner, item.file, spoilt, circumstances])
    return Job(result, notebook, hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest())


def _redact(text: str, hidden: list[str]) -> str:
    """Without the lines that hold a line of a hidden test, however they got there."""
    return "\n".join(REDACTED if any(h in line for h in hidden) else line for line in text.split("\n"))


def _task(task: Task, sheet: Sheet, sources: dict[str, str], ran: CellRun | None, hidden: list[str]) -> TaskResult:
    stubs = {cell.id: cell.source for cell in sheet.release.cells if cell.get("id")}
    stubs |= {
        cell.metadata.nbgrader.grade_id: cell.source for cell in sheet.release.cells if "nbgrader" in cell.metadata
    }
    unwritten = all(is_blank(sources[name], stubs[name]) for name in task.answers) and bool(task.answers)
    answer = "\n\n".join(sources[name] for name in task.answers)
    points: float | None = 0.0
    if task.manual:
        state, points = ("blank", 0.0) if unwritten else ("by hand", None)
    elif ran is None:
        state = "not run"
    elif ran.state == "ok":
        state, points = "solved", task.points
    else:
        state = "blank" if unwritten else "not solved"
    ran = ran or CellRun("stopped")
    message = "stopped before it had ended" if ran.state == "stopped" and state == "not solved" else ran.error
    records = tuple({key: _redact(value, hidden) for key, value in record.items()} for record in ran.records)
    told = (_redact(message, hidden), answer, _redact(ran.text, hidden), records)
    return TaskResult(task.grade_id, task.title, points, task.points, state, *told)


def judge(job: Job, outcome: Outcome, sheet: Sheet) -> Result:
    """Points for the check cells that ran to their end without an error; nothing else earns any."""
    sources = {cell.id: cell.source for cell in job.notebook.cells}
    hidden = secrets(sheet.source, ("HIDDEN TESTS",), 8)
    tasks = tuple(_task(t, sheet, sources, outcome.cells.get(t.grade_id), hidden) for t in sheet.tasks)
    reasons = (*job.result.reasons, *(plain(_redact(reason, hidden)) for reason in outcome.reasons))
    return replace(job.result, status="graded with problems" if reasons else "graded", reasons=reasons, tasks=tasks)


def secret_cells(sheet: Sheet) -> frozenset[str]:
    """Ids of the cells with hidden tests."""
    cells = [cell for cell in sheet.source.cells if any(region for _, region in marked_lines(cell.source))]
    return frozenset(cell.metadata.nbgrader.grade_id for cell in cells if "nbgrader" in cell.metadata)


def up_to_the_last_check(nb: NotebookNode, sheet: Sheet) -> NotebookNode:
    """What comes after, such as a training run of the learner's own, can earn nothing by itself."""
    judged = {task.grade_id for task in sheet.tasks if not task.manual}
    last = max((place for place, cell in enumerate(nb.cells) if cell.id in judged), default=-1)
    return NotebookNode({**nb, "cells": nb.cells[: last + 1]})


def write(path: Path, content: bytes) -> None:
    """All or nothing: a run that is killed leaves no half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{os.getpid()}-{path.name}")
    part.write_bytes(content)
    os.replace(part, path)


def _remembered(path: Path) -> Result | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return Result.from_json(path.read_text("utf-8"))
    return None


async def grade_one(job: Job, sheet: Sheet, place: Place, limits: Limits, state: Path) -> Result:
    """From memory, or by running it. A failure of ours is not remembered, so the next run tries again."""
    kept = state / f"{job.key}.json"
    if result := _remembered(kept):
        return result
    for attempt in (1, 2):
        try:
            outcome = await run(up_to_the_last_check(job.notebook, sheet), place, limits, secret_cells(sheet))
            break
        except NoKernel as error:
            if attempt == 2:
                reason = f"the grader failed, not the learner: {error}; grade again"
                return replace(job.result, status="not graded", reasons=(reason,))
    result = judge(job, outcome, sheet)
    write(kept, result.to_json().encode())
    return result


async def grade_all(
    jobs: list[Job], sheet: Sheet, place: Place, limits: Limits, state: Path, workers: int
) -> list[Result]:
    from tqdm import tqdm

    gate = asyncio.Semaphore(workers)
    with tqdm(total=len(jobs), desc=f"sheet {sheet.number}", unit="notebook") as bar:

        async def one(job: Job) -> Result:
            async with gate:
                try:
                    return await grade_one(job, sheet, place, limits, state)
                except Exception as error:  # one notebook's surprise must not cost the others theirs
                    reason = f"the grader failed, not the learner: {error!r}; grade again"
                    return replace(job.result, status="not graded", reasons=(plain(reason),))
                finally:
                    bar.update()

        return list(await asyncio.gather(*map(one, jobs)))


@contextlib.contextmanager
def unpacked(wheel: Path | None) -> Iterator[Path]:
    """A folder with the package that submissions import: from a wheel, or a copy of what runs here."""
    with tempfile.TemporaryDirectory(prefix="vae-package-") as name:
        if wheel:
            try:
                with zipfile.ZipFile(wheel) as packed:
                    packed.extractall(name)
            except (zipfile.BadZipFile, OSError) as error:
                raise SheetError(f"{wheel} is no wheel that can be unpacked: {error}") from None
        else:
            print("No wheel given (--wheel): submissions import a copy of the package as it lies here.")
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(Path(__file__).parents[1], Path(name, "vae_course"), ignore=ignored)
        os.chmod(name, 0o755)
        yield Path(name)


def _digest(folder: Path) -> str:
    """Of every file below `folder`, names included."""
    found = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        found.update(
            f"{path.relative_to(folder).as_posix()}\n{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()
        )
    return found.hexdigest()


def circumstances(sheet: Sheet, place: Place, limits: Limits) -> str:
    """All that a result depends on besides the submission itself."""
    own = [hashlib.sha256(Path(__file__).with_name(name).read_bytes()).hexdigest() for name in JUDGES]
    told = [nbformat.writes(sheet.source), asdict(limits), _digest(place.package), own]
    return hashlib.sha256(json.dumps([*told, bool(place.bwrap)]).encode()).hexdigest()


def _field(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _row(result: Result, sheet: Sheet, page: str) -> list[str]:
    graded = result.status != "not graded"
    points = {task.task: task.points for task in result.tasks}
    given = [points.get(task.grade_id) for task in sheet.tasks]
    row: list[object] = [result.learner, result.file, result.status]
    row += [result.points if graded else "", sheet.max_points]
    row += ["" if value is None else value for value in given]
    return [_field(v) for v in (*row, "; ".join(result.reasons), "; ".join(result.repairs), page)]


def table(results: list[Result], pages: list[str], sheet: Sheet) -> str:
    """grades.csv. Names that a spreadsheet would take for a formula get an apostrophe in front."""
    out = io.StringIO()
    rows = csv.writer(out, quoting=csv.QUOTE_ALL)
    tasks = [f"{task.grade_id} ({task.points:g})" for task in sheet.tasks]
    rows.writerow(["learner", "file", "status", "points", "max_points", *tasks, "problems", "repairs", "feedback"])
    rows.writerows(_row(result, sheet, page) for result, page in zip(results, pages, strict=True))
    return out.getvalue()


def publish(results: list[Result], names: list[str], sheet: Sheet, out: Path) -> None:
    """Feedback for everyone, the class report, and last of all the table that names them."""
    pages = [
        f"{i:04}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}.html"
        for i, name in enumerate(names, 1)
    ]
    for result, page in zip(results, pages, strict=True):
        write(out / "feedback" / page, feedback.page(result, sheet).encode("utf-8", "replace"))
    for old in (out / "feedback").glob("*.html"):
        if old.name not in pages:
            old.unlink()
    write(out / "report.html", report.page(results, sheet).encode("utf-8", "replace"))
    write(out / "grades.csv", table(results, pages, sheet).encode("utf-8-sig", "replace"))


def summary(results: list[Result], out: Path) -> str:
    counted = Counter(result.status for result in results)
    states = ("graded", "graded with problems", "not graded")
    lines = [f"{len(results)} learners: " + ", ".join(f"{counted[s]} {s}" for s in states)]
    why = Counter(reason for result in results for reason in result.reasons)
    lines += [f"  {count} × {reason}" for reason, count in why.most_common(20)]
    lines += [f"  and {len(why) - 20} other reasons"] if len(why) > 20 else []
    return "\n".join([*lines, f"Table, report and feedback are in {out}"])


def grade(
    folder: Path,
    sheets: list[Sheet],
    out: Path,
    wheel: Path | None,
    hidden: tuple[Path, ...],
    limits: Limits,
    workers: int,
    without_sandbox: bool = False,
) -> list[Result]:
    """Grade every learner in `folder` against one of `sheets`. Run again after a stop, it goes on where it was.

    Where bubblewrap is installed and does not start, that is an error unless the caller wants no sandbox.
    """
    learners = find(folder, out)
    if not learners:
        raise SheetError(f"nothing was handed in: {folder} is empty")
    sheet = sheets[0] if len(sheets) == 1 else guess(learners, sheets)
    target = out / sheet.name
    with unpacked(wheel) as package:
        place = Place(package, (*hidden, folder, out))
        try:
            bwrap = "" if without_sandbox else find_bwrap(place, limits)
        except NoSandbox as error:
            raise SheetError(f"{error}\nPut that right, or grade with --without-sandbox.") from None
        if not bwrap:
            print(NO_SANDBOX, flush=True)
        place = replace(place, bwrap=bwrap)
        told = circumstances(sheet, place, limits)
        plans = {name: plan(name, items, sheet, told) for name, items in learners.items()}
        jobs = {name: job for name, job in plans.items() if isinstance(job, Job)}
        try:
            ran = asyncio.run(grade_all(list(jobs.values()), sheet, place, limits, target / "state", workers))
        except KeyboardInterrupt:
            done = sum((target / "state" / f"{job.key}.json").exists() for job in jobs.values())
            print(f"\nStopped with {done} of {len(jobs)} notebooks graded. The same command goes on from there.")
            raise
    results = {**{n: p for n, p in plans.items() if isinstance(p, Result)}, **dict(zip(jobs, ran, strict=True))}
    names = sorted(results, key=lambda name: (results[name].learner, name))
    publish([results[name] for name in names], names, sheet, target)
    print(summary([results[name] for name in names], target))
    return [results[name] for name in names]


def sheets_in(folder: Path, exercises: Path, number: str) -> list[Sheet]:
    return [load_sheet(path, exercises) for path in find_sheets(folder, number)]
