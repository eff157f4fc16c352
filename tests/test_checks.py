"""Every check against right answers in several styles, wrong ones, and functions that do anything but answer."""

import math
import os
import random
import re
import signal
import statistics
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
import torch
from bench import Bench, load_benches

from vae_course import checks, results
from vae_course.checks.answer import Answer, Finding, TimeUp, time_limit
from vae_course.checks.check import LATEST, UNREADABLE, check

BENCHES = load_benches()
SEEDS = 20 if os.environ.get("VAE_COURSE_LONG") else 3
RANDOM_SEEDS = 500 if os.environ.get("VAE_COURSE_LONG") else 3
each_bench = pytest.mark.parametrize("bench", BENCHES.values(), ids=list(BENCHES))


@pytest.mark.slow
@each_bench
def test_right_answers_are_accepted_and_mistakes_named(bench: Bench) -> None:
    assert bench.run(range(RANDOM_SEEDS if bench.check.random else SEEDS), range(SEEDS)).problems == []


def test_every_check_has_a_bench_with_enough_on_it() -> None:
    assert set(BENCHES) == set(checks.CHECKS)
    for task, bench in BENCHES.items():
        assert len(bench.right) >= 4, task
        assert len(bench.wrong) >= 6, task
    wrong = [wrong for bench in BENCHES.values() for wrong in bench.wrong]
    assert sum(bool(each.mistake) for each in wrong) >= 0.9 * len(wrong)


def test_the_ledger_holds_this_bench() -> None:
    rows = {row["check"]: row for row in results.load("checks")["figures"]["table"]}
    assert set(rows) == set(BENCHES), "make check-report ARGS=--long"
    for task, bench in BENCHES.items():
        assert rows[task]["accepted"] == rows[task]["right"] == len(bench.right)
        assert rows[task]["rejected"] == rows[task]["wrong"] == len(bench.wrong)
        assert rows[task]["seeds"] == (500 if bench.check.random else 20)


def nothing(*_: Any, **__: Any) -> None:
    pass


def exits(*_: Any) -> None:
    sys.exit(3)


def raises(*_: Any) -> None:
    raise ValueError("a reason\nin two lines")


def raises_without_words(*_: Any) -> None:
    raise RuntimeError


def stub(*_: Any) -> None:
    raise NotImplementedError("your turn")


def no_inputs() -> None: ...


def swallows(*_: Any) -> None:
    while True:
        try:
            time.sleep(0.01)
        except Exception:
            continue


def floods(*_: Any) -> None:
    while True:
        print("x" * 1000, file=sys.stderr)


def ends_never(*_: Any) -> None:
    while True:
        torch.ones(3) + 1


class Odd:
    """Says yes to everything that is asked about it."""

    shape = (5,)

    def __getattr__(self, name: str) -> Any:
        raise OSError(name)


NONSENSE = {
    "a number": 3.0,
    "a module": np,
    "nothing": nothing,
    "exits": exits,
    "raises": raises,
    "raises without words": raises_without_words,
    "no inputs": no_inputs,
    "a string": lambda *_: "0.5",
    "an empty list": lambda *_: [],
    "too many results": lambda *_: (1.0, 2.0, 3.0, 4.0),
    "nan": lambda *_: float("nan"),
    "nan tensor": lambda *_: torch.full((5,), torch.nan),
    "nan tensors": lambda *inputs: tuple(torch.full((5, 3), torch.nan) for _ in range(2)),
    "complex": lambda *_: torch.ones(5, dtype=torch.complex64),
    "objects": lambda *_: np.array([None, {}], dtype=object),
    "odd": lambda *_: Odd(),
    "its input": lambda first, *_: first,
    "a class": Odd,
}


@each_bench
def test_nonsense_is_rejected_and_never_raises(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    for kind, answer in NONSENSE.items():
        bench.check(answer)
        assert 1 <= len(capsys.readouterr().out.splitlines()) <= 2, kind
        assert LATEST[bench.check.task].verdict not in ("solved", "not written"), kind


@each_bench
def test_what_is_not_written_is_not_called_wrong(bench: Bench) -> None:
    for answer in (stub, None, ...):
        assert bench.check.record(answer).verdict == "not written", answer


@each_bench
def test_learners_random_numbers_and_outputs_are_left_alone(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    def state() -> tuple[Any, ...]:
        return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()

    def loud(*inputs: Any) -> Any:
        print("debugging")
        random.random(), np.random.rand(), torch.rand(1)
        return bench.right[0](*inputs)

    before = state()
    for seed in (0, 1):
        assert bench.check.record(loud, seed=seed).verdict == "solved"
    assert state() == before
    assert capsys.readouterr().out == ""
    assert torch.is_grad_enabled()


@pytest.mark.slow
@each_bench
def test_every_answer_of_the_bench_is_read(bench: Bench) -> None:
    """A check that stumbles says so to a learner; it must not stumble over mistakes that it knows."""
    for answer in (*bench.right, *(wrong.function for wrong in bench.wrong)):
        assert not bench.check.record(answer).hint.startswith(UNREADABLE), answer.__name__


@pytest.mark.slow
@each_bench
@pytest.mark.parametrize("answer", [ends_never, swallows, floods])
def test_an_answer_that_never_returns_is_stopped(bench: Bench, answer: Any) -> None:
    start = time.monotonic()
    assert bench.check.record(answer, seconds=0.3).verdict == "no answer in time"
    assert time.monotonic() - start < 5


# ---- what all checks share ----


@pytest.fixture
def kl() -> checks.Check:
    return checks.CHECKS["01/kl_between_gaussians"]


@pytest.fixture
def no_grader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAE_COURSE_STRICT", "0")
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)


def halved(*inputs: Any) -> Any:
    return 0.5 * BENCHES["01/kl_between_gaussians"].right[0](*inputs)


def test_soft_for_learners_strict_for_graders(
    kl: checks.Check, no_grader: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    kl(halved)
    with pytest.raises(checks.CheckFailed, match="wrong"):
        kl(halved, strict=True)
    for name, value in (("VAE_COURSE_STRICT", "1"), ("NBGRADER_EXECUTION", "autograde")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            kl(halved, strict=False)
            with pytest.raises(checks.CheckFailed):
                kl(halved)
            kl(BENCHES[kl.task].right[0])


def test_a_wrong_number_is_shown_beside_the_right_one(kl: checks.Check) -> None:
    found = kl.record(halved)
    assert found.verdict == "wrong"
    numbers = re.fullmatch(r"It returns (\S+) at \[0\] where (\S+) is right for inputs .*shape \(5, 3\).*", found.hint)
    assert numbers is not None
    assert float(numbers[1]) == pytest.approx(float(numbers[2]) / 2, rel=1e-4)


def test_the_line_of_an_error_is_named(kl: checks.Check) -> None:
    found = kl.record(raises)
    assert found.verdict == "raised"
    line = 'raise ValueError("a reason\\nin two lines")'
    assert found.hint == f"Calling it raised ValueError: a reason in two lines, in the line `{line}`."


def test_inputs_that_an_answer_changes_are_noticed(kl: checks.Check) -> None:
    def in_place(mu: Any, *others: Any) -> Any:
        result = BENCHES[kl.task].right[0](mu, *others)
        mu += 1
        return result

    assert kl.record(in_place).mistake == "changes its inputs"


def test_numbers_sorted_in_place_are_noticed() -> None:
    def last(numbers: list[float]) -> float:
        numbers.sort()
        return numbers[-1]

    with pytest.raises(Finding, match="changes what it was given"):
        Answer(last, "last")([3.0, 1.0, 2.0])
    assert Answer(max, "max")([3.0, 1.0, 2.0]) == 3.0
    assert Answer(len, "len")([math.nan, "a"]) == 2  # a NaN that stays a NaN is no change


def test_a_key_press_is_not_swallowed(kl: checks.Check) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kl(interrupted)


def test_a_record_goes_beside_the_text_in_a_notebook(kl: checks.Check, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr("IPython.get_ipython", lambda: object())
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append((bundle, raw)))
    kl(BENCHES[kl.task].wrong[0].function)
    ((bundle, raw),) = shown
    assert raw
    assert bundle["text/plain"].startswith("KL between two Gaussians · mistake: ")
    record = bundle[checks.MIME]
    assert record == {"task": kl.task, "verdict": "mistake", "mistake": record["mistake"], "hint": record["hint"]}
    assert all(isinstance(value, str) for value in record.values())


def test_progress_lists_every_task_of_the_sheet(kl: checks.Check, capsys: pytest.CaptureFixture[str]) -> None:
    LATEST.clear()
    kl(BENCHES[kl.task].right[0])
    capsys.readouterr()
    checks.progress("01")
    lines = capsys.readouterr().out.splitlines()
    tasks = [task for task in checks.CHECKS if task.startswith("01/")]
    assert len(lines) == len(tasks) + 1
    assert sum(line.endswith("  solved") for line in lines) == 1
    assert sum(line.endswith("  not checked") for line in lines) == len(tasks) - 1
    assert lines[-1] == f"Solved 1 of {len(tasks)}."
    with pytest.raises(ValueError, match="two digits"):
        checks.progress("1")


def test_a_task_has_one_check_only(kl: checks.Check) -> None:
    with pytest.raises(AssertionError, match="two checks"):
        check(kl.task, "again")(lambda answer, seed: None)


def test_time_is_up_in_every_thread_and_leaves_nothing_behind() -> None:
    found: list[str] = []

    def work() -> None:
        try:
            with time_limit(0.2):
                while True:
                    pass
        except TimeUp:
            found.append("up")
        with time_limit(60):
            found.append("quick")

    before = signal.getsignal(signal.SIGALRM)
    work()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert found == ["up", "quick"] * 2
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


@pytest.mark.slow
def test_checks_are_quick() -> None:
    """Milliseconds on an idle machine; the bounds leave room for a busy one."""
    medians = {task: bench.run(range(5)).milliseconds for task, bench in BENCHES.items()}
    assert statistics.median(medians.values()) < 100, medians
    assert max(medians.values()) < 2000, medians
