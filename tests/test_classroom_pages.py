"""The three pages of the classroom: nothing foreign gets out of its text, and every number is counted by hand."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from html.parser import HTMLParser

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from vae_course.classroom import feedback, html, progress, report
from vae_course.classroom.results import RECORD, Result, Sheet, Task, TaskResult

NASTY = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</pre></title></style></bdi><b onclick=alert(1)>bold",
    "<!-- --><![CDATA[ ]]>&lt;i&gt;&amp;&#x3c;i>",
    "javascript:alert(1)",
    'expression(alert(1)); width: 1px" style="x',
    "\u202egnp.exe\u2066 \u200f\u061c \ufeff",
    "\x00\x07\x1b[31mred\x7f\x85 \u2028",
    "half a pair \ud83d of surrogates",
]
TAGS = re.compile(
    "html|head|meta|title|style|body|main|header|section|footer|h[1-3]|p|strong|span|div|dl|dt|dd|ul|ol|li|table|"
    "caption|thead|tbody|tr|th|td|small|bdi|a|pre|code|details|summary"
)
ATTRIBUTES = {
    "lang",
    "charset",
    "http-equiv",
    "content",
    "name",
    "class",
    "id",
    "href",
    "style",
    "scope",
    "aria-hidden",
}


class Page(HTMLParser):
    """A page taken apart: its visible text, and its tables by caption, each a list of rows of text."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self.code, self.open, self.text = code, [], ""
        self.tags, self.attributes, self.titles, self.tables = [], [], [], {}
        self.feed(code)
        self.close()
        assert self.open == [], "every element that is opened is closed"

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag != "meta":
            self.open.append(tag)
        if tag in ("caption", "h1", "h2", "h3"):
            self.titles.append("")
        if tag == "tr" and "tbody" in self.open:
            self.tables.setdefault(self.titles[-1], []).append([])
        if tag in ("td", "th") and "tbody" in self.open:
            self.tables[self.titles[-1]][-1].append("")
        if tag == "th":
            assert dict(attributes)["scope"] == ("row" if "tbody" in self.open else "col")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, "elements are closed in order"

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text += data
        if {"caption", "h1", "h2", "h3"} & set(self.open):
            self.titles[-1] += data
        if {"td", "th"} & set(self.open) and "tbody" in self.open:
            self.tables[self.titles[-1]][-1][-1] += data


def harmless(code: str) -> Page:
    """Assert that a page has only our elements and attributes, loads nothing and hides nothing; return it parsed."""
    page = Page(code)
    assert code.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert all(TAGS.fullmatch(tag) for tag in page.tags)
    assert {name for name, _ in page.attributes} <= ATTRIBUTES
    assert ("http-equiv", "Content-Security-Policy") in page.attributes
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'; img-src data:") in page.attributes
    for name, value in page.attributes:
        assert name != "href" or re.fullmatch(r"#(task|sheet)-\d+", value)
        assert name != "style" or re.fullmatch(r"width: \d+\.\d%", value)
    assert not html.UNSAFE.search(code)
    code.encode("utf-8")
    return page


def visible(words: str) -> str:
    """What a reader sees of foreign words: dangerous characters as replacement characters."""
    return html.UNSAFE.sub("\ufffd", words)


SHEET = Sheet(
    "04",
    "04_toy",
    "Exercises 04 · Toy",
    new_notebook(),
    new_notebook(),
    (
        Task("check-kl", "The KL term", 2.0, False, ("kl",)),
        Task("check-elbo", "The loss", 3.0, False, ("elbo",)),
        Task("question", "An open question", 2.0, True, ("question",)),
    ),
)


def record(verdict, mistake="", hint=""):
    return {"task": "04/kl", "verdict": verdict, "mistake": mistake, "hint": hint}


def answered(task_id, state, *records, **changes):
    task = next(task for task in SHEET.tasks if task.grade_id == task_id)
    points = {"solved": task.points, "by hand": None}.get(state, 0.0)
    return replace(
        TaskResult(task_id, task.title, points, task.points, state, "", "return mu", "", tuple(records)), **changes
    )


def learner(name, kl, elbo, status="graded", **changes):
    tasks = (kl, elbo, answered("question", "by hand"))
    return replace(Result(name, f"{name}.ipynb", status, (), (), tasks), **changes)


AVERAGED = record("mistake", "averaged_over_latents", "Sum over dim 1.")
SOLVED_KL, SOLVED_ELBO = answered("check-kl", "solved"), answered("check-elbo", "solved")


def a_class() -> list[Result]:
    """Points 5, 3, 0, 0, 2, and one that was not graded."""
    wrong, squashed = record("wrong"), record("mistake", "squashed_twice", "Give it logits.")
    return [
        learner("Ada", SOLVED_KL, SOLVED_ELBO),
        learner("Bo", answered("check-kl", "not solved", AVERAGED, AVERAGED, AVERAGED), SOLVED_ELBO),
        learner("Cy", answered("check-kl", "not solved", AVERAGED), answered("check-elbo", "blank")),
        learner("Di", answered("check-kl", "not solved", wrong), answered("check-elbo", "not solved", squashed)),
        learner(
            "Ed", SOLVED_KL, answered("check-elbo", "not run"), "graded with problems", reasons=("cell 3 stopped",)
        ),
        Result("Flo", "flo.ipynb", "not graded", ("not a notebook",), (), ()),
    ]


def with_everywhere(words: str) -> tuple[Result, Sheet]:
    """A result and a sheet in which every text is `words`; tasks keep the ids by which they are found."""
    said = {"task": words, "verdict": "mistake", "mistake": words, "hint": words}
    texts = {
        field.name: words for field in fields(TaskResult) if field.name in ("title", "message", "answer", "output")
    }
    tasks = tuple(
        answered(task, state, said, **texts)
        for task, state in (("check-kl", "not solved"), ("check-elbo", "solved"), ("question", "by hand"))
    )
    result = Result(words, words, "graded with problems", (words,), (words,), tasks)
    sheet = replace(SHEET, number=words, title=words, tasks=tuple(replace(task, title=words) for task in SHEET.tasks))
    return result, sheet


def check_cell(*records, task="kl", grade=True, solution=False):
    outputs = [new_output("display_data", {"text/plain": "said", RECORD: record}) for record in records]
    flags = {"grade": grade, "solution": solution, "points": 1, "grade_id": f"check-{task}"}
    return new_code_cell("check()", outputs=outputs, metadata={"nbgrader": flags})


def pages_of(words: str) -> Iterator[Page]:
    """Every page with `words` in all its texts."""
    result, sheet = with_everywhere(words)
    refused = replace(result, status="not graded")
    yield harmless(feedback.page(result, sheet))
    yield harmless(feedback.page(refused, sheet))
    yield harmless(report.page([result, result, refused], sheet))
    cells = [new_markdown_cell(f"# {words}"), check_cell({**record("mistake", words, words), "task": f"{words}/kl"})]
    yield harmless(progress.page({words: new_notebook(cells=cells)}, {words: words}))


@pytest.mark.parametrize("words", NASTY)
def test_foreign_text_stays_text(words):
    for page in pages_of(words):
        assert visible(words) in page.text  # the whole of it, escaped once and not twice


def test_an_attribute_cannot_be_left():
    assert html.element("a", href='"><b x="') == '<a href="&quot;&gt;&lt;b x=&quot;"></a>'


def test_a_line_without_end_is_cut_and_says_so():
    for page in pages_of("<" * 100_000):
        assert len(page.code) < 300_000
        assert re.search(r"… \(99,\d00 more characters\)", page.text)
    many = replace(with_everywhere("x\n" * 5000)[0], status="graded")
    assert f"({5001 - html.LINES:,} more lines)" in Page(feedback.page(many, SHEET)).text


def test_every_colour_has_enough_contrast_in_both_modes():
    def light(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    modes = [dict(re.findall(r"--(\w+): (#\w{6})", part)) for part in html.STYLE.split("@media screen")[:2]]
    assert modes[0] != modes[1]
    for mode in modes:
        for back in ("page", "panel"):
            for front in ("ink", "soft", "blue", "red"):
                high, low = sorted((light(mode[front]), light(mode[back])), reverse=True)
                assert (high + 0.05) / (low + 0.05) >= 4.5, f"{front} on {back}"


def test_feedback_gives_points_state_and_the_checks_words():
    kl = answered("check-kl", "not solved", AVERAGED, message="CheckFailed: Sum over dim 1.", output="printed")
    page = harmless(feedback.page(learner("Ada", kl, SOLVED_ELBO, repairs=("the set-up cell was put back",)), SHEET))
    assert page.tables["Points and state of each task"] == [
        ["The KL term", "0 of 2", "not solved yet"],
        ["The loss", "3 of 3", "solved"],
        ["An open question", "– of 2", "read by your teacher"],
    ]
    assert "3 of 5 points" in page.text
    assert "1 question, up to 2 points more" in page.text
    assert "a known mistake: averaged over latents." in page.text
    assert page.text.count("Sum over dim 1.") == 1  # the error says the same, and is not repeated
    assert "the set-up cell was put back" in page.text
    assert "What came up" not in page.text
    assert page.tags.count("details") == 1
    assert not re.search("[!\U0001f300-\U0001faff]", page.text)


def test_feedback_leaves_out_a_refusal_that_the_record_explains():
    kl = answered("check-kl", "not solved", record("wrong"), message="CheckFailed: 04/kl · The KL term · wrong")
    page = Page(feedback.page(learner("Ada", kl, SOLVED_ELBO), SHEET))
    assert "wrong, by no mistake that the check knows" in page.text
    assert "CheckFailed" not in page.text
    silent = replace(kl, records=())
    assert "CheckFailed" in feedback.page(learner("Ada", silent, SOLVED_ELBO), SHEET)


def test_feedback_says_when_only_the_hidden_test_failed():
    kl = answered("check-kl", "not solved", record("solved"), message="AssertionError: sizes differ")
    page = Page(feedback.page(learner("Ada", kl, SOLVED_ELBO), SHEET))
    assert "The check that you see passes" in page.text
    assert "AssertionError: sizes differ" in page.text


def test_feedback_takes_no_word_of_a_record_against_a_solved_task():
    page = Page(feedback.page(learner("Ada", replace(SOLVED_KL, records=(AVERAGED,)), SOLVED_ELBO), SHEET))
    assert "The check says" not in page.text
    assert "Sum over dim 1." not in page.text


def test_feedback_names_what_did_not_run():
    page = Page(feedback.page(a_class()[4], SHEET))
    assert "2 of 5 points" in page.text
    assert "1 task did not run" in page.text
    assert "cell 3 stopped" in page.text
    assert page.tables["Points and state of each task"][1] == ["The loss", "– of 3", "did not run"]


def test_feedback_without_a_grade_gives_the_reason_and_no_zeros():
    page = harmless(feedback.page(a_class()[5], SHEET))
    assert "not a notebook" in page.text
    assert "What to do next" in page.text
    assert page.tables == {}
    assert "0 of" not in page.text


def test_report_counts_a_class():
    page = harmless(report.page(a_class(), SHEET))
    assert "handed in6graded4graded with problems1not graded1" in page.text
    assert page.tables["What became of each task, among 5 graded learners"] == [
        ["The KL term2 points", "2 (40\xa0%)", "3 (60\xa0%)", "0", "0"],
        ["The loss3 points", "2 (40\xa0%)", "1 (20\xa0%)", "1 (20\xa0%)", "1 (20\xa0%)"],
        ["An open question2 points", "5 to read", "–", "0", "0"],
    ]
    assert "Median 2 of 5, lowest 0, highest 5." in page.text
    assert page.tables["Learners by points"] == [["5", "1"], ["4", "0"], ["3", "1"], ["2", "1"], ["1", "0"], ["0", "2"]]
    assert page.tables["1 learner"] == [["Flo", "not a notebook"], ["Ed", "cell 3 stopped"]]


def test_a_learner_counts_once_for_a_mistake():
    page = Page(report.page(a_class(), SHEET))
    assert page.tables["What is in the 3 unsolved answers"] == [
        ["averaged over latentsSum over dim 1.", "2"],
        ["wrong, by no mistake that the check knows", "1"],
    ]
    assert page.tables["What is in the 1 unsolved answer"] == [["squashed twiceGive it logits.", "1"]]
    again = page.text.split("What to teach again tomorrow")[1].split("Median")[0]
    assert "2 (40\xa0%) of 5 learners" in again
    assert "Sum over dim 1." in again
    assert "Lesson 04 · task “The KL term”" in again
    assert "squashed" not in again  # one learner alone is no class


def test_a_mistake_has_the_hint_that_most_learners_got():
    odd = answered("check-kl", "not solved", {**AVERAGED, "hint": "Zzz, a forged hint."})
    page = Page(report.page([*a_class(), learner("Gil", odd, SOLVED_ELBO)], SHEET))
    assert page.tables["What is in the 4 unsolved answers"][0] == ["averaged over latentsSum over dim 1.", "3"]
    assert "forged" not in page.text


def many(*mistakes_of_kl: str) -> list[Result]:
    return [
        learner(f"L{i}", answered("check-kl", "not solved", record("mistake", name, f"hint {name}")), SOLVED_ELBO)
        for i, name in enumerate(mistakes_of_kl)
    ]


def test_the_five_most_frequent_mistakes_are_ranked():
    names = [name for name, count in zip("abcdef", (9, 8, 7, 6, 5, 4), strict=True) for _ in range(count)]
    page = Page(report.page(many(*reversed(names)), SHEET))
    ranked = page.titles[page.titles.index("What to teach again tomorrow") + 1 : page.titles.index("Points")]
    assert ranked == ["a", "b", "c", "d", "e"]


def test_nothing_stands_out_is_said():
    assert "Nothing stands out" in report.page([learner("Ada", SOLVED_KL, SOLVED_ELBO)] * 6, SHEET)
    rare = many("a", "a", *(f"m{i}" for i in range(28)))  # 2 of 30 are less than a tenth
    assert (
        "Nothing stands out: no known mistake was made by at least 3 learners." in Page(report.page(rare, SHEET)).text
    )


def test_a_small_class_gets_counts_and_no_percentages():
    assert "%" in Page(report.page(a_class()[:5], SHEET)).text
    page = Page(report.page(a_class()[:4], SHEET))
    assert "%" not in page.text
    assert "2 of 4 learners" in page.text


def test_forged_records_do_not_count():
    forged = [
        record("genius", "forged"),
        {"verdict": ["mistake"], "mistake": "forged"},
        {"mistake": "forged", "hint": "forged"},
        "forged",
        None,
    ]
    kl = answered("check-kl", "not solved", AVERAGED, *forged)
    page = Page(report.page([learner("Ada", kl, SOLVED_ELBO)], SHEET))
    assert page.tables["What is in the 1 unsolved answer"] == [["averaged over latentsSum over dim 1.", "1"]]
    assert "forged" not in page.text
    odd = answered(
        "check-kl", "not solved", {"verdict": "mistake", "mistake": ["forged"], "hint": 3, "extra": "forged"}
    )
    page = Page(report.page([learner("Ada", odd, SOLVED_ELBO)], SHEET))
    assert page.tables["What is in the 1 unsolved answer"] == [["wrong, by no mistake that the check knows", "1"]]


def test_records_never_change_points():
    praise = record("solved")
    honest = answered("check-kl", "blank")
    page = Page(report.page([learner("Ada", replace(honest, records=(praise,)), SOLVED_ELBO)], SHEET))
    assert page.tables["What became of each task, among 1 graded learner"][0][1:] == ["0", "0", "1", "0"]


def test_a_report_on_nobody_graded_has_no_tables_of_zeros():
    page = harmless(report.page([a_class()[5]], SHEET))
    assert list(page.tables) == ["1 learner"]
    harmless(report.page([], SHEET))


@pytest.mark.parametrize(("most", "rows", "top"), [(11, 12, "11"), (12, 7, "12"), (100, 11, "100"), (59, 12, "55–59")])
def test_the_histogram_has_few_rows_and_loses_nobody(most, rows, top):
    sheet = replace(SHEET, tasks=(Task("check-kl", "The KL term", float(most), False, ()),))
    solved = replace(SOLVED_KL, points=float(most), max_points=float(most))
    results = [learner("Ada", replace(solved, points=p), answered("check-elbo", "blank")) for p in (0.0, 0.5, most / 2)]
    page = Page(report.page([learner("Bo", solved, answered("check-elbo", "blank")), *results], sheet))
    table = page.tables["Learners by points, parts of a point dropped"]
    assert len(table) == rows
    assert table[0] == [top, "1"]
    assert sum(int(count) for _, count in table) == 4


def test_a_large_class_that_says_much_stays_a_small_page():
    def loud(i):
        words = f"{i}" + "<&\U0001f600" * 5000
        said = record("mistake", words, words)
        tasks = tuple(answered(task.grade_id, "not solved", said, answer=words) for task in SHEET.tasks)
        return Result(words, words, "graded with problems", (words,) * 50, (words,) * 50, tasks)

    page = harmless(report.page([loud(i) for i in range(200)], SHEET))
    assert len(page.code.encode()) < 2_000_000
    assert "and 47 more" in page.text


def test_progress_takes_the_last_record_of_each_check():
    cells = [
        new_markdown_cell("# Exercises 01 · The ELBO"),
        check_cell(task="open", grade=True, solution=True),
        new_markdown_cell("## The `KL` term"),
        check_cell(record("solved"), {**AVERAGED, "task": "01/kl"}, record("genius")),
        new_markdown_cell("## The bound"),
        check_cell(record("mistake"), {**record("solved"), "task": "01/bound"}),
        check_cell(task="later"),
        check_cell(record("solved"), grade=False),
    ]
    begun = new_notebook(cells=cells)
    new = new_notebook(cells=[new_markdown_cell("# Exercises 02"), check_cell(), check_cell()])
    lesson = new_notebook(cells=[new_markdown_cell("# 03 · A lesson"), new_code_cell("1 + 1")])
    page = harmless(progress.page({"02_new.ipynb": new, "my_copy.ipynb": begun, "03_lesson.ipynb": lesson}))
    assert page.tables["Checks solved, sheet by sheet"] == [
        ["Exercises 01 · The ELBOmy_copy.ipynb", "1 of 3"],  # first, by the number in its records
        ["Exercises 0202_new.ipynb", "not begun"],
    ]
    assert page.tables["1 of 3 solved"] == [
        ["The KL term", "a known mistake", "Sum over dim 1."],
        ["The bound", "solved", ""],
        ["The bound", "not run yet", ""],
    ]
    assert "1 of 5 checks solved" in page.text


def test_progress_reads_a_folder_and_names_what_it_cannot_read(tmp_path, monkeypatch, capsys):
    work = tmp_path / "my_work"
    (work / "exercises").mkdir(parents=True)
    (work / ".ipynb_checkpoints").mkdir()
    notebook = new_notebook(cells=[new_markdown_cell("# Exercises 01"), check_cell(record("solved"))])
    nbformat.write(notebook, work / "exercises" / "01_elbo.ipynb")
    nbformat.write(notebook, work / ".ipynb_checkpoints" / "01_elbo-checkpoint.ipynb")
    (work / "02_cut.ipynb").write_text('{"cells": [')
    frame = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}}
    (work / "03_odd.ipynb").write_text(json.dumps({**frame, "cells": 7}))
    odd = {
        "cell_type": "code",
        "id": "a",
        "source": "1",
        "metadata": {},
        "execution_count": 1,
        "outputs": [{"data": 7}],
    }
    (work / "03_outputs.ipynb").write_text(json.dumps({**frame, "cells": [odd]}))
    (work / "04_bytes.ipynb").write_bytes(b"\xff\xfe\x00")
    out = tmp_path / "page.html"
    monkeypatch.setattr("sys.argv", ["progress", str(work), "--out", str(out)])
    progress.main()
    assert capsys.readouterr().out == f"{out}\n"
    page = harmless(out.read_text(encoding="utf-8"))
    assert page.tables["Checks solved, sheet by sheet"] == [["Exercises 01exercises/01_elbo.ipynb", "1 of 1"]]
    assert [row[0] for row in page.tables["4 files"]] == [
        "02_cut.ipynb",
        "03_odd.ipynb",
        "03_outputs.ipynb",
        "04_bytes.ipynb",
    ]


def test_progress_without_a_folder_says_what_to_name(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["progress", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit, match="2"):
        progress.main()
    assert "my_work" in capsys.readouterr().err


def test_progress_reads_the_records_that_the_checks_write():
    from vae_course import checks  # here, because it brings PyTorch, which the pages do without

    assert checks.MIME == RECORD
