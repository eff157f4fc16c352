"""What all checks share: one or two lines for the learner, a record for the class report, and an exception if asked."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from vae_course.checks.answer import Answer, Finding, TimeUp, time_limit, undisturbed

MIME = "application/vnd.vae-course.check+json"
CHECKS: dict[str, "Check"] = {}  # task -> its check
LATEST: dict[str, "Record"] = {}  # task -> what its check found last in this session
SECONDS = 10.0
SOLVED, NO_ANSWER = "solved", "no answer in time"
UNREADABLE = "The check cannot read what your function returns"


class CheckFailed(AssertionError):
    """Raised in strict mode, so that a grader sees what a learner only reads."""


@dataclass(frozen=True)
class Record:
    """What one check found, as the class report reads it; points never come from it."""

    task: str
    verdict: str  # solved | not written | wrong type or shape | mistake | wrong | raised | no answer in time
    mistake: str = ""
    hint: str = ""

    def text(self, title: str) -> str:
        about = f": {self.mistake}" if self.mistake else ""
        return "\n".join(filter(None, [f"{title} · {self.verdict}{about}", self.hint]))


@dataclass(frozen=True)
class Check:
    """One task's check. Call it with the learner's function."""

    task: str  # sheet/name, as in 01/evidence
    title: str
    examine: Callable[[Answer, int], None]  # raises a Finding, or returns when the answer is right
    random: bool  # whether the answer, or the check, draws random numbers

    def __call__(self, answer: object, *, seconds: float = SECONDS, strict: bool | None = None) -> None:
        """Say what was found. `strict` raises `CheckFailed` unless solved; by default only under a grader."""
        record = self.record(answer, seconds)
        LATEST[self.task] = record
        show(record.text(self.title), asdict(record))
        if record.verdict != SOLVED and (under_a_grader() if strict is None else strict):
            raise CheckFailed(record.text(self.title))

    def record(self, answer: object, seconds: float = SECONDS, seed: int = 0) -> Record:
        """What the check finds, without a word to anyone."""
        try:
            with undisturbed(seed), time_limit(seconds):
                self.examine(Answer(answer, self.name), seed)
        except Finding as found:
            return Record(self.task, found.verdict, found.mistake, found.hint)
        except TimeUp:
            hint = f"It had not returned after {seconds:g} s. Is there a loop that never ends?"
            return Record(self.task, NO_ANSWER, hint=hint)
        except Exception as error:  # a result that this check cannot even look at must not stop "Run all"
            return Record(self.task, "wrong type or shape", hint=f"{UNREADABLE}: {type(error).__name__}: {error}")
        return Record(self.task, SOLVED)

    @property
    def name(self) -> str:
        return self.task.split("/")[1]


def check(task: str, title: str, random: bool = False) -> Callable[[Callable[[Answer, int], None]], Check]:
    """Make a check of a function that examines an answer; the task is sheet/name."""

    def register(examine: Callable[[Answer, int], None]) -> Check:
        assert task not in CHECKS, f"two checks are called {task}"
        CHECKS[task] = Check(task, title, examine, random)
        return CHECKS[task]

    return register


def under_a_grader() -> bool:
    """Asked for, or run by nbgrader, which calls its own run so."""
    return os.environ.get("VAE_COURSE_STRICT", "") not in ("", "0") or "NBGRADER_EXECUTION" in os.environ


def show(text: str, record: dict[str, Any]) -> None:
    """In a notebook the record goes beside the text, in a form that no front end shows."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        print(text)
        return
    if get_ipython() is None:
        print(text)
    else:
        display({"text/plain": text, MIME: record}, raw=True)


def progress(sheet: str) -> None:
    """A line for each task of a sheet: what its check found last in this session."""
    tasks = {task: check for task, check in CHECKS.items() if task.split("/")[0] == sheet}
    if not tasks:
        raise ValueError(
            f"Sheet {sheet!r} has no checks here: import its checks first, and give two digits, as in '01'."
        )
    found = {task: LATEST[task].verdict if task in LATEST else "not checked" for task in tasks}
    width = max(len(check.title) for check in tasks.values())
    lines = [f"{check.title:<{width}}  {found[task]}" for task, check in tasks.items()]
    solved = sum(verdict == SOLVED for verdict in found.values())
    print(*lines, f"Solved {solved} of {len(tasks)}.", sep="\n")
