"""The page a learner gets back: points, what each check said, and what to do next."""

from collections.abc import Sequence

from vae_course.classroom.html import (
    LINE,
    NAME,
    Html,
    bar,
    block,
    bullets,
    document,
    element,
    foreign,
    number,
    plural,
    table,
)
from vae_course.classroom.results import Result, Sheet, TaskResult

STATES = {
    "solved": "solved",
    "not solved": "not solved yet",
    "blank": "left blank",
    "not run": "did not run",
    "by hand": "read by your teacher",
}
COLORS = {"solved": "solved", "not solved": "missed"}
VERDICTS = {
    "solved": "solved",
    "not written": "not written yet",
    "wrong type or shape": "wrong type or shape",
    "mistake": "a known mistake",
    "wrong": "wrong, by no mistake that the check knows",
    "raised": "the answer raised an error",
    "no answer in time": "no answer in time",
}


def page(result: Result, sheet: Sheet) -> str:
    """The feedback page of one learner for one sheet."""
    parts = _not_graded(result) if result.status == "not graded" else _graded(result, sheet)
    return document(f"Feedback on sheet {sheet.number}: {result.learner}", _head(result, sheet), *parts)


def last_record(records: Sequence[object]) -> dict[str, str] | None:
    """What a check said last. A record is a claim: fields that are no text become "", unknown verdicts do not count."""
    known = tuple(VERDICTS)  # a tuple, because a forged verdict need not be hashable
    for record in reversed(records):
        if isinstance(record, dict) and record.get("verdict") in known:
            fields = {key: record.get(key) for key in ("task", "verdict", "mistake", "hint")}
            return {key: value if isinstance(value, str) else "" for key, value in fields.items()}
    return None


def mistake_name(name: str) -> Html:
    """A mistake's name in the check, as words."""
    return foreign(name.replace("_", " "), NAME)


def _head(result: Result, sheet: Sheet) -> Html:
    who = element("strong", foreign(result.learner, NAME))
    return element(
        "header",
        element("p", f"Feedback on sheet {sheet.number}", class_="over"),
        element("h1", foreign(sheet.title)),
        element("p", who, " · ", foreign(result.file, LINE), class_="soft"),
    )


def _not_graded(result: Result) -> list[Html]:
    steps = [
        "Open the file in JupyterLab and look whether it is this sheet, and whether your answers are in it.",
        "Put right what is named above; save; hand in the .ipynb file itself, one file for this sheet.",
        "If the reason tells you nothing, show this page to your teacher.",
    ]
    return [
        element(
            "section",
            element("h2", "This could not be graded"),
            bullets(result.reasons or ("No reason was recorded; please ask your teacher.",)),
            element("p", "No points were given, and none were taken away.", class_="soft"),
            class_="panel",
        ),
        element("h2", "What to do next"),
        element("ol", *(element("li", step) for step in steps)),
        *_repairs(result),
    ]


def _graded(result: Result, sheet: Sheet) -> list[Html]:
    return [
        _points(result, sheet),
        *_problems(result),
        *_repairs(result),
        element("h2", "The tasks"),
        _overview(result),
        *(_task(i, task) for i, task in enumerate(result.tasks, 1)),
        _footer(),
    ]


def _points(result: Result, sheet: Sheet) -> Html:
    points, most = result.points, sheet.max_points
    waiting = [task for task in result.tasks if task.state == "by hand"]
    not_run = sum(task.state == "not run" for task in result.tasks)
    judged = sum(not task.manual for task in sheet.tasks)
    lines = [f"These are the points of the {plural(judged, 'task')} that a check can judge."]
    if waiting:
        more = plural(sum(task.max_points for task in waiting), "point")
        lines.append(f"Still to be graded by hand: {plural(len(waiting), 'question')}, up to {more} more.")
    if not_run:
        lines.append(f"{plural(not_run, 'task')} did not run, and so could not earn points.")
    return element(
        "section",
        element("p", f"{number(points)} of {plural(most, 'point')}", class_="big"),
        bar(points, most),
        *(element("p", line) for line in lines),
        class_="panel",
    )


def _problems(result: Result) -> list[Html]:
    if not result.reasons:
        return []
    opening = element("p", "Your notebook was graded. While it ran, this came up:")
    return [element("h2", "What came up"), opening, bullets(result.reasons)]


def _repairs(result: Result) -> list[Html]:
    if not result.repairs:
        return []
    opening = element("p", "Some cells were not as the sheet needs them. They were put right in a copy; yours stays:")
    return [element("h2", "What was put right"), opening, bullets(result.repairs)]


def _overview(result: Result) -> Html:
    rows = [
        (element("a", foreign(task.title), href=f"#task-{i}"), _points_of(task), _state(task))
        for i, task in enumerate(result.tasks, 1)
    ]
    return table("Points and state of each task", ("Task", "Points", "State"), rows, numbers={1})


def _points_of(task: TaskResult) -> str:
    points = "–" if _open(task) else number(task.points or 0)
    return f"{points} of {number(task.max_points)}"


def _open(task: TaskResult) -> bool:
    """Whether nobody has judged the task yet."""
    return task.points is None or task.state == "not run"


def _state(task: TaskResult) -> Html:
    return element("span", STATES.get(task.state, task.state), class_=f"state {COLORS.get(task.state, '')}".strip())


def _task(i: int, task: TaskResult) -> Html:
    most = plural(task.max_points, "point")
    points = f"{most} possible" if _open(task) else f"{number(task.points or 0)} of {most}"
    return element(
        "section",
        element("h3", f"{i}. ", foreign(task.title)),
        element("p", _state(task), f" · {points}", class_="facts"),
        *_said(task),
        *_answer(task),
        *_output(task),
        class_="task",
        id=f"task-{i}",
    )


def _said(task: TaskResult) -> list[Html]:
    """What the check found, for an answer that earned nothing yet."""
    if task.state == "not run":
        return [element("p", "The notebook ended before this task, so it was not judged.")]
    if task.state != "not solved":
        return []
    record = last_record(task.records) or {"verdict": "", "mistake": "", "hint": ""}
    parts = []
    if record["verdict"] == "solved":
        parts.append(element("p", "The check that you see passes; a further test, which you do not see, does not."))
    elif record["verdict"]:
        name = (": ", mistake_name(record["mistake"])) if record["mistake"] else ()
        parts.append(element("p", f"The check says: {VERDICTS[record['verdict']]}", *name, "."))
        if record["hint"]:
            parts.append(element("p", foreign(record["hint"]), class_="hint"))
    if task.message and not _repeats(task.message, record):
        parts.append(element("p", "The error’s last line: ", element("code", foreign(task.message))))
    return parts


def _repeats(message: str, record: dict[str, str]) -> bool:
    """Whether the error is the check's own refusal, which stands above it in plain words."""
    if record["verdict"] and "CheckFailed" in message:
        return True
    return bool(record["hint"]) and (record["hint"] in message or message in record["hint"])


def _answer(task: TaskResult) -> list[Html]:
    if not task.answer.strip():
        return [element("p", "No answer is in the file.", class_="label")]
    return [element("p", "Your answer", class_="label"), block(task.answer)]


def _output(task: TaskResult) -> list[Html]:
    if not task.output.strip():
        return []
    return [element("details", element("summary", "What the check printed"), block(task.output))]


def _footer() -> Html:
    return element("footer", "If you think that a right answer was refused, show this page to your teacher.")
