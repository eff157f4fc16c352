"""Notebooks as they come back: what is put right, what is said about it, and that nothing breaks the repair."""

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
import submissions
import toy_sheet
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from vae_course.classroom.repair import AnotherSheet, NotANotebook, found_cells, read, repair
from vae_course.classroom.results import Sheet

ANSWERS = ("kl", "sample", "bound", "why")


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> Sheet:
    return toy_sheet.sheet(tmp_path_factory.mktemp("course"))


@pytest.fixture
def nb(sheet: Sheet) -> NotebookNode:
    return submissions.solved(sheet)


def place(nb: NotebookNode, name: str) -> int:
    return next(i for i, cell in enumerate(nb.cells) if cell.id == name)


def source(nb: NotebookNode, name: str) -> str:
    return str(nb.cells[place(nb, name)].source)


def mended(nb: NotebookNode, sheet: Sheet) -> tuple[NotebookNode, str]:
    """Through bytes, as a submission comes."""
    made, repairs = repair(read(submissions.pack(nb)), sheet)
    return made, "\n".join(repairs)


def test_an_intact_notebook_needs_no_repair(nb: NotebookNode, sheet: Sheet) -> None:
    made, said = mended(nb, sheet)
    assert said == ""
    assert [cell.id for cell in made.cells] == [cell.id for cell in sheet.source.cells]
    assert [source(made, name) for name in ANSWERS] == [source(nb, name) for name in ANSWERS]
    assert toy_sheet.SECRET in source(made, "check-bound"), "hidden tests are put back"
    assert nbformat.validator.isvalid(json.loads(nbformat.writes(made)))


def test_the_repair_changes_neither_submission_nor_sheet(nb: NotebookNode, sheet: Sheet) -> None:
    before = copy.deepcopy((nb, sheet.source, sheet.release))
    repair(nb, sheet)
    assert (nb, sheet.source, sheet.release) == before


def lose_ids(nb: NotebookNode) -> None:
    for i, cell in enumerate(nb.cells):
        cell.id = f"x{i}"


def lose_metadata(nb: NotebookNode) -> None:
    for cell in nb.cells:
        cell.metadata = nbformat.from_dict({})


def lose_both(nb: NotebookNode) -> None:
    lose_ids(nb)
    lose_metadata(nb)


def delete_checks(nb: NotebookNode) -> None:
    nb.cells = [cell for cell in nb.cells if not cell.id.startswith("check-")]


def delete_setup(nb: NotebookNode) -> None:
    del nb.cells[place(nb, "setup")]


def reorder(nb: NotebookNode) -> None:
    nb.cells.insert(0, nb.cells.pop(place(nb, "bound")))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lose_ids, "cell ids, lost in 7 of 7 cells"),
        (lose_metadata, "nbgrader's metadata, missing in 7 of 7 cells"),
        (lose_both, "lost every name were recognised by what they say: 'kl', 'check-kl'"),
        (delete_checks, "put back: 'check-kl', 'check-sample', 'check-bound'"),
        (delete_setup, ""),
        (reorder, "cells that were moved were put back in the sheet's order"),
        (submissions.retype, "cell 'kl' was a text cell and was made a code cell again"),
    ],
)
def test_no_damage_costs_an_answer(
    spoil: Callable[[NotebookNode], None], sentence: str, nb: NotebookNode, sheet: Sheet
) -> None:
    whole = copy.deepcopy(nb)
    spoil(nb)
    made, said = mended(nb, sheet)
    assert [source(made, name) for name in ANSWERS] == [source(whole, name) for name in ANSWERS]
    assert [cell.id for cell in made.cells] == [cell.id for cell in sheet.source.cells]
    assert sentence in said


def test_a_blank_copy_behind_an_answer_costs_nothing(nb: NotebookNode, sheet: Sheet) -> None:
    [content] = submissions.double_the_answers(sheet, submissions.World(Path(), 0, Path())).values()
    made, repairs = repair(read(content), sheet)
    assert [source(made, name) for name in ANSWERS] == [source(nb, name) for name in ANSWERS]
    assert "cell 'kl' was there 2 times: the last one with an answer was taken" in repairs


def test_of_two_answers_the_last_written_one_counts(nb: NotebookNode, sheet: Sheet) -> None:
    first, stub = copy.deepcopy(nb.cells[place(nb, "kl")]), copy.deepcopy(sheet.release.cells[place(nb, "kl")])
    first.id, stub.id, first.source = "a", "b", "def kl(mu, logvar):\n    return 1"
    nb.cells.insert(0, first)
    nb.cells.append(stub)
    made, said = mended(nb, sheet)
    assert "mu**2" in source(made, "kl")
    assert "cell 'kl' was there 3 times" in said


def test_an_answer_that_was_deleted_is_the_stub_again(nb: NotebookNode, sheet: Sheet) -> None:
    del nb.cells[place(nb, "kl")]
    made, said = mended(nb, sheet)
    assert source(made, "kl") == source(sheet.release, "kl")
    assert "cells that were deleted were put back: 'kl'" in said


def test_locked_cells_come_from_the_sheet_and_that_is_said(nb: NotebookNode, sheet: Sheet) -> None:
    for name in ("check-kl", "setup", "show"):
        nb.cells[place(nb, name)].source = "print('mine')"
    made, said = mended(nb, sheet)
    assert [source(made, n) for n in ("check-kl", "setup", "show")] == [
        source(sheet.source, n) for n in ("check-kl", "setup", "show")
    ]
    assert "check cell 'check-kl' had been changed" in said
    assert "the set-up cell had been changed" in said
    assert "show" not in said


def test_extra_code_stays_where_it_was_and_extra_text_goes(nb: NotebookNode, sheet: Sheet) -> None:
    nb.cells.insert(place(nb, "kl") + 1, new_code_cell("second = 2"))
    nb.cells.insert(place(nb, "kl") + 1, new_code_cell("first = 1"))
    nb.cells.insert(place(nb, "kl") + 1, new_markdown_cell("my notes"))
    nb.cells.insert(0, new_code_cell("early = 0"))
    made, said = mended(nb, sheet)
    sources = [cell.source for cell in made.cells]
    assert sources.index("early = 0") == place(made, "setup") + 1
    assert sources[place(made, "kl") + 1 : place(made, "check-kl")] == ["first = 1", "second = 2"]
    assert "my notes" not in sources
    assert "3 code cells of the learner's own" in said


def test_an_answer_that_does_not_parse_is_still_recognised(nb: NotebookNode, sheet: Sheet) -> None:
    nb.cells[place(nb, "kl")].source = "def kl(mu, logvar):\n    return 0.5 * ("
    lose_both(nb)
    made, _ = mended(nb, sheet)
    assert source(made, "kl").endswith("0.5 * (")


def test_ids_are_found_where_colab_keeps_them(nb: NotebookNode, sheet: Sheet) -> None:
    """A notebook of nbformat 4.4 has no ids but those in the metadata."""
    raw = json.loads(nbformat.writes(nb))
    raw["nbformat_minor"] = 0
    for cell in raw["cells"]:
        del cell["id"]
        cell["metadata"] = {"id": cell["metadata"]["id"]}
    made, _ = repair(read(json.dumps(raw).encode()), sheet)
    assert [source(made, name) for name in ANSWERS] == [source(nb, name) for name in ANSWERS]


def test_another_sheet_is_not_graded_rather_than_zero(nb: NotebookNode, sheet: Sheet) -> None:
    nb.cells = [nb.cells[place(nb, "kl")], new_code_cell("print(1)")]
    assert found_cells(nb, sheet) == (1, 7)
    with pytest.raises(AnotherSheet, match="only 1 of 7 cells of sheet 01 found; is it another assignment"):
        repair(nb, sheet)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the file is empty"),
        (b"<html>", "no JSON that can be read"),
        (b'{"cells": [', "no JSON that can be read"),
        (b"[" * 100_000, "no JSON that can be read"),
        (b"[]", "JSON, but without cells"),
        (b'{"cells": 3}', "JSON, but without cells"),
        (b"\xff\xfe\x00", "no UTF-8 text"),
        (b" " * 20_000_001, "larger than 20 MB"),
        (b'{"nbformat": 3, "worksheets": 7}', "old format 3"),
    ],
)
def test_what_is_no_notebook_is_told_why(content: bytes, why: str) -> None:
    with pytest.raises(NotANotebook, match=why):
        read(content)


NASTY = [None, 0, -1.5, "", "\ud800", "x" * 1000, [], {}, [None, 3, "a\n"], {"id": 3}, {"nbgrader": []}, True]
NASTY += [{"id": "kl", "nbgrader": {"grade_id": 7}}, {"nbgrader": {"grade_id": "kl", "grade": "yes"}, "tags": 3}]


def test_no_json_breaks_the_repair(nb: NotebookNode, sheet: Sheet) -> None:
    """Fields of a good notebook replaced, dropped or doubled at random, 300 times."""
    dice = random.Random(0)
    for _ in range(300):
        raw = json.loads(nbformat.writes(nb))
        for _ in range(dice.randint(1, 12)):
            cell = dice.choice(raw["cells"])
            if isinstance(cell, dict) and cell:
                cell[dice.choice(list(cell))] = dice.choice(NASTY)
                cell.pop(dice.choice(list(cell)), None)
            raw["cells"].insert(dice.randrange(len(raw["cells"])), dice.choice([*NASTY, copy.deepcopy(cell)]))
        try:
            made, repairs = repair(read(json.dumps(raw).encode()), sheet)
        except AnotherSheet:
            continue
        nbformat.validate(made)
        nbformat.writes(made).encode()
        assert all(isinstance(sentence, str) for sentence in repairs)


def test_a_notebook_that_did_not_come_through_read_is_repaired_too(sheet: Sheet) -> None:
    cells = [nbformat.from_dict({"cell_type": "code", "source": value, "metadata": value}) for value in NASTY]
    kept = [copy.deepcopy(cell) for cell in submissions.solved(sheet).cells]
    made, _ = repair(nbformat.from_dict({"cells": [*cells, *kept]}), sheet)
    assert source(made, "sample") == source(submissions.solved(sheet), "sample")
