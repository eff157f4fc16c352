"""The teacher's page: how the class did on a sheet, which mistakes it made, and what to teach again."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from statistics import median

from vae_course.classroom.feedback import VERDICTS, last_record, mistake_name
from vae_course.classroom.html import (
    LINE,
    NAME,
    Html,
    bar,
    document,
    element,
    figures,
    foreign,
    number,
    plural,
    share,
    table,
)
from vae_course.classroom.results import Result, Sheet, TaskResult

BINS, MISTAKES, TOP, REASONS = 12, 8, 5, 3  # rows of the histogram, mistakes a task, mistakes to teach, reasons a name
STANDS_OUT = 0.1  # the share of the class, and at least two learners, from which a mistake is worth the class's time


@dataclass(frozen=True)
class Mistake:
    """A mistake that the check of one task recognised in the answers of `learners` learners."""

    task: str  # the task's title
    name: str
    hint: str
    learners: int


def page(results: Sequence[Result], sheet: Sheet) -> str:
    """The report on a class and a sheet."""
    graded = [result for result in results if result.status != "not graded"]
    return document(
        f"Sheet {sheet.number}: class report",
        element("p", f"Class report on sheet {sheet.number}", class_="over"),
        element("h1", foreign(sheet.title)),
        _counts(results),
        *(_of_graded(graded, sheet) if graded else [element("p", "There is nothing to report until one is graded.")]),
        *_names(results),
    )


def _of_graded(graded: Sequence[Result], sheet: Sheet) -> list[Html]:
    found = {task.grade_id: _Answers(task.title, _tasks(graded, task.grade_id)) for task in sheet.tasks}
    return [
        *_teach_again([mistake for answers in found.values() for mistake in answers.mistakes], len(graded), sheet),
        *_points(graded, sheet),
        element("h2", "Task by task"),
        _states(found, sheet, len(graded)),
        *(_missed(answers) for answers in found.values() if answers.missed),
    ]


class _Answers:
    """A class's answers to one task, and what the check said about those that are not solved."""

    def __init__(self, title: str, tasks: Sequence[TaskResult]) -> None:
        self.title = title
        self.states = Counter(task.state for task in tasks)
        # One record a learner, the last: nobody counts twice, however many a notebook displays
        self.missed = [last_record(task.records) for task in tasks if task.state == "not solved"]
        self.mistakes = self._mistakes()

    def _mistakes(self) -> list[Mistake]:
        hints: dict[str, Counter[str]] = {}
        for record in self.missed:
            if record and record["verdict"] == "mistake" and record["mistake"]:
                hints.setdefault(record["mistake"], Counter())[record["hint"]] += 1
        found = [
            Mistake(self.title, name, max(counts, key=lambda hint: (counts[hint], hint)), counts.total())
            for name, counts in hints.items()
        ]
        return sorted(found, key=lambda mistake: (-mistake.learners, mistake.name))

    def unnamed(self) -> Counter[str]:
        """The not solved answers in which no known mistake was named, counted in the check's words."""
        words: Counter[str] = Counter()
        for record in self.missed:
            if record is None:
                words["the check left no word"] += 1
            elif record["verdict"] == "solved":
                words["passes the visible check, not the hidden one"] += 1
            elif record["verdict"] == "mistake" and not record["mistake"]:
                words[VERDICTS["wrong"]] += 1
            elif record["verdict"] != "mistake":
                words[VERDICTS[record["verdict"]]] += 1
        return words


def _tasks(graded: Sequence[Result], grade_id: str) -> list[TaskResult]:
    return [task for result in graded for task in result.tasks if task.task == grade_id]


def _counts(results: Sequence[Result]) -> Html:
    status = Counter(result.status for result in results)
    return element(
        "section",
        figures(
            {
                "handed in": f"{len(results)}",
                "graded": f"{status['graded']}",
                "graded with problems": f"{status['graded with problems']}",
                "not graded": f"{status['not graded']}",
            }
        ),
        class_="panel",
    )


def _teach_again(mistakes: list[Mistake], learners: int, sheet: Sheet) -> list[Html]:
    enough = max(2, STANDS_OUT * learners)
    top = sorted((m for m in mistakes if m.learners >= enough), key=lambda m: -m.learners)[:TOP]
    title = element("h2", "What to teach again tomorrow")
    if not top:
        return [title, element("p", "Nothing stands out: no known mistake was made by ", _rule(enough), ".")]
    note = element("p", "The mistakes made by ", _rule(enough), ", the most frequent first.", class_="soft")
    return [title, note, element("ol", *(_lesson(mistake, learners, sheet) for mistake in top), class_="ranked")]


def _rule(enough: float) -> str:
    return f"at least {-floor(-enough)} learners"


def _lesson(mistake: Mistake, learners: int, sheet: Sheet) -> Html:
    return element(
        "li",
        element("h3", mistake_name(mistake.name)),
        element("p", bar(mistake.learners, learners, _learners(mistake.learners, learners)), class_="facts"),
        *([element("p", foreign(mistake.hint))] if mistake.hint else []),
        element("p", f"Lesson {sheet.number} · task “", foreign(mistake.task, NAME), "”", class_="soft"),
    )


def _learners(part: int, whole: int) -> Html:
    return Html(f"{share(part, whole)} of {plural(whole, 'learner')}")


def _points(graded: Sequence[Result], sheet: Sheet) -> list[Html]:
    points = [result.points for result in graded]
    most = sheet.max_points
    by_hand = sum(task.points for task in sheet.tasks if task.manual)
    words = f"Median {number(median(points))} of {number(most)}, lowest {number(min(points))}, "
    words += f"highest {number(max(points))}."
    if by_hand:
        words += f" Up to {number(by_hand)} more come from questions that are read by hand."
    counts = _histogram(points, most)
    longest = max(count for _, count in counts)
    rows = [(label, bar(count, longest, f"{count}")) for label, count in counts]
    caption = "Learners by points" + ("" if all(p == floor(p) for p in points) else ", parts of a point dropped")
    return [element("h2", "Points"), element("p", words), table(caption, ("Points", "Learners"), rows, class_="slim")]


def _histogram(points: Sequence[float], most: float) -> list[tuple[str, int]]:
    """Rows (points, how many learners) from the highest down, at most BINS of them, each equally wide."""
    top = max(floor(most), *(floor(p) for p in points))
    width = next(w * 10**power for power in range(9) for w in (1, 2, 5) if top // (w * 10**power) < BINS)
    counts = Counter(floor(p) // width for p in points)
    rows = [(i * width, min((i + 1) * width - 1, top), counts[i]) for i in range(top // width, -1, -1)]
    return [(f"{low}" if low == high else f"{low}–{high}", count) for low, high, count in rows]


def _states(found: dict[str, _Answers], sheet: Sheet, learners: int) -> Html:
    rows = []
    for task in sheet.tasks:
        states = found[task.grade_id].states
        name = element("span", foreign(task.title), element("small", plural(task.points, "point")))
        solved: Html | str = bar(states["solved"], learners, share(states["solved"], learners))
        if task.manual:
            solved = f"{states['by hand']} to read"
        missed = "–" if task.manual else share(states["not solved"], learners)
        rows.append((name, solved, missed, share(states["blank"], learners), share(states["not run"], learners)))
    columns = ("Task", "Solved", "Not solved", "Blank", "Not run")
    caption = f"What became of each task, among {plural(learners, 'graded learner')}"
    return table(caption, columns, rows, numbers={2, 3, 4})


def _missed(answers: _Answers) -> Html:
    """The mistakes in one task's unsolved answers."""
    missed = len(answers.missed)
    named = [(_named(m), bar(m.learners, missed, share(m.learners, missed))) for m in answers.mistakes[:MISTAKES]]
    if rest := answers.mistakes[MISTAKES:]:
        count = sum(mistake.learners for mistake in rest)
        named.append((Html(f"{len(rest)} rarer mistakes"), bar(count, missed, share(count, missed))))
    unnamed = [
        (element("span", words, class_="soft"), bar(count, missed, share(count, missed)))
        for words, count in answers.unnamed().most_common()
    ]
    caption = f"What is in the {plural(missed, 'unsolved answer')}"
    return element(
        "section",
        element("h3", foreign(answers.title)),
        table(caption, ("Mistake", "Learners"), named + unnamed),
        class_="task",
    )


def _named(mistake: Mistake) -> Html:
    hint = [element("small", foreign(mistake.hint))] if mistake.hint else []
    return element("span", mistake_name(mistake.name), *hint)


def _names(results: Sequence[Result]) -> list[Html]:
    """Every learner whose notebook was not graded, or only with problems, each with its reasons."""
    parts = []
    for status, title in (("not graded", "Not graded"), ("graded with problems", "Graded with problems")):
        rows = [(foreign(result.learner, NAME), _reasons(result)) for result in results if result.status == status]
        if rows:
            parts += [element("h2", title), table(plural(len(rows), "learner"), ("Learner", "Reason"), rows)]
    return parts


def _reasons(result: Result) -> Html:
    shown = [element("div", foreign(reason, LINE)) for reason in result.reasons[:REASONS]]
    if more := len(result.reasons) - REASONS:
        shown += [element("div", f"and {more} more", class_="soft")] if more > 0 else []
    return Html("".join(shown) or "no reason recorded")
