"""What grading leaves behind for one learner, and the sheet it was held against. Plain data, to and from JSON."""

import json
import unicodedata
from dataclasses import asdict, dataclass

from nbformat import NotebookNode

# Marks that turn the direction of text, so that a name could show other than it is.
BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
RECORD = "application/vnd.vae-course.check+json"  # vae_course.checks.MIME, without its import of torch
REPLACED = {"Cc", "Cs", "Zl", "Zp"}


def plain(text: str) -> str:
    """`text` on one line, with control characters and marks of direction made visible."""
    return "".join("\ufffd" if c in BIDI or unicodedata.category(c) in REPLACED else c for c in text)


@dataclass(frozen=True)
class Task:
    """One graded cell of a sheet: what it is worth, and the answer cells it judges."""

    grade_id: str
    title: str
    points: float
    manual: bool
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Sheet:
    """An assignment: the teacher's notebook, the learners' blank one, and the tasks in their order."""

    number: str
    name: str
    title: str
    source: NotebookNode
    release: NotebookNode
    tasks: tuple[Task, ...]

    @property
    def max_points(self) -> float:
        """What can be earned without a teacher's eye."""
        return sum(task.points for task in self.tasks if not task.manual)


@dataclass(frozen=True)
class TaskResult:
    task: str
    title: str
    points: float | None
    max_points: float
    state: str
    message: str
    answer: str
    output: str
    records: tuple[dict[str, str], ...]


@dataclass(frozen=True)
class Result:
    learner: str
    file: str
    status: str
    reasons: tuple[str, ...]
    repairs: tuple[str, ...]
    tasks: tuple[TaskResult, ...]

    @property
    def points(self) -> float:
        return sum(task.points for task in self.tasks if task.points is not None)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Result":
        """Raises ValueError, KeyError or TypeError on anything that `to_json` did not write."""
        raw = json.loads(text)
        tasks = tuple(TaskResult(**{**task, "records": tuple(task["records"])}) for task in raw["tasks"])
        return cls(**{**raw, "reasons": tuple(raw["reasons"]), "repairs": tuple(raw["repairs"]), "tasks": tasks})
