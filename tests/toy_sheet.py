"""A small sheet in the form of the real ones, built from nothing: three code tasks, one open question, hidden tests."""

from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from vae_course.classroom.release import load_sheet
from vae_course.classroom.results import Sheet

NAME = "01_toy"
SECRET = "assert bound(-80.0, 12.5) == -92.5, 'the KL is subtracted'"

SETUP = """
import math
import os
from IPython.display import display

def check(task, right, hint):
    verdict = "solved" if right else "wrong"
    record = {"task": task, "verdict": verdict, "mistake": "", "hint": "" if right else hint}
    line = f"{task}: {verdict}"
    display({"text/plain": line, "application/vnd.vae-course.check+json": record}, raw=True)
    if not right and (os.environ.get("VAE_COURSE_STRICT") == "1" or "NBGRADER_EXECUTION" in os.environ):
        raise AssertionError(hint)
""".strip()

KL = '''
def kl(mu, logvar):
    """The KL of one dimension to the standard normal, in nats."""
    ### BEGIN SOLUTION
    return 0.5 * (mu**2 + math.exp(logvar) - logvar - 1.0)
    ### END SOLUTION
'''.strip()

SAMPLE = """
def sample(mu, logvar, eps):
    ### BEGIN SOLUTION
    standard_deviation = math.exp(0.5 * logvar)
    return mu + standard_deviation * eps
    ### END SOLUTION
""".strip()

BOUND = """
def bound(log_likelihood, divergence):
    ### BEGIN SOLUTION
    return log_likelihood - divergence
    ### END SOLUTION
""".strip()

CHECK_BOUND = f"""
check("01/bound", bound(-1.0, 0.0) == -1.0, "with no divergence it is the likelihood")
### BEGIN HIDDEN TESTS
{SECRET}
### END HIDDEN TESTS
""".strip()

WHY = "=== BEGIN MARK SCHEME ===\nThe encoder would see no gradient at all.\n=== END MARK SCHEME ===\nBecause of it."


def _cell(made: NotebookNode, name: str, **flags: object) -> NotebookNode:
    made.id = name
    made.metadata = nbformat.from_dict({"id": name})
    if flags:
        told = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3}
        made.metadata["nbgrader"] = nbformat.from_dict({**told, "grade_id": name, **flags})
    return made


def _text(name: str, source: str, **flags: object) -> NotebookNode:
    return _cell(new_markdown_cell(source), name, **flags)


def _code(name: str, source: str, **flags: object) -> NotebookNode:
    return _cell(new_code_cell(source), name, **flags)


def solution() -> NotebookNode:
    """The sheet as its author writes it."""
    check = {"grade": True, "locked": True}
    cells = [
        _text("title", "# Toy sheet\nFrom [lesson 01](../notebooks/01_toy.ipynb) and [elsewhere](https://example.org)."),
        _code("setup", SETUP),
        _text("about-kl", "## The divergence"),
        _code("kl", KL, solution=True),
        _code("check-kl", 'check("01/kl", kl(0.0, 0.0) == 0.0 and kl(2.0, 0.0) == 2.0, "look at the square")',
              points=2, **check),
        _text("about-sample", "## A *sample*"),
        _code("sample", SAMPLE, solution=True),
        _code("check-sample", 'check("01/sample", sample(1.0, 0.0, 2.0) == 3.0, "mean plus deviation")',
              points=1, **check),
        _code("show", "print([round(math.exp(x), 2) for x in (0, 1)])"),
        _text("about-bound", "## The bound"),
        _code("bound", BOUND, solution=True),
        _code("check-bound", CHECK_BOUND, points=3, **check),
        _text("about-why", "## Why the trick\nWhy not draw the sample directly?"),
        _text("why", WHY, grade=True, solution=True, points=2),
    ]  # fmt: skip
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return new_notebook(cells=cells, metadata={**metadata, "language_info": {"name": "python"}})


def course(root: Path) -> Path:
    """root/solutions with the toy sheet in it."""
    folder = root / "solutions"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.ipynb").write_text(nbformat.writes(solution()))
    return folder


def sheet(root: Path) -> Sheet:
    return load_sheet(course(root) / f"{NAME}.ipynb", root / "exercises")
