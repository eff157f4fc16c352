"""The test bench of a check: answers that it must accept, and wrong ones with the mistake it must name."""

import importlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vae_course.checks import Check

Function = Callable[..., Any]
BENCHES: dict[str, "Bench"] = {}  # task -> its bench


@dataclass(frozen=True)
class Wrong:
    function: Function
    verdict: str
    mistake: str  # the name it must be given; "" where only the rejection is asked for


@dataclass
class Bench:
    check: Check
    right: list[Function] = field(default_factory=list)
    wrong: list[Wrong] = field(default_factory=list)

    def __post_init__(self) -> None:
        BENCHES[self.check.task] = self

    def accepts(self, function: Function) -> Function:
        """Decorates a right answer."""
        self.right.append(function)
        return function

    def names(self, mistake: str) -> Callable[[Function], Function]:
        """Decorates a wrong answer that must be rejected with the hint for this mistake."""
        return self.rejects("mistake", mistake)

    def rejects(self, verdict: str, mistake: str = "") -> Callable[[Function], Function]:
        """Decorates a wrong answer that must be rejected with this verdict, without a name."""

        def keep(function: Function) -> Function:
            self.wrong.append(Wrong(function, verdict, mistake))
            return function

        return keep

    def run(self, seeds: range, wrong_seeds: range | None = None) -> "Outcome":
        """Every answer on every seed. An answer counts once: as accepted or rejected on all of them.

        False alarms are rare and need many seeds; wrong answers may have fewer.
        """
        problems, seconds = [], []
        accepted = rejected = named = 0
        for answer in self.right:
            found = []
            for seed in seeds:
                start = time.perf_counter()
                found.append(self.check.record(answer, seed=seed))
                seconds.append(time.perf_counter() - start)
            bad = [(seed, record) for seed, record in zip(seeds, found, strict=True) if record.verdict != "solved"]
            problems += [f"{answer.__name__}, seed {seed}: {record}" for seed, record in bad[:1]]
            accepted += not bad
        for wrong in self.wrong:
            records = [self.check.record(wrong.function, seed=seed) for seed in wrong_seeds or seeds]
            off = [record for record in records if (record.verdict, record.mistake) != (wrong.verdict, wrong.mistake)]
            problems += [f"{wrong.function.__name__}: {record}" for record in off[:1]]
            rejected += all(record.verdict != "solved" for record in records)
            named += bool(wrong.mistake) and not off
        return Outcome(accepted, rejected, named, problems, 1000 * statistics.median(seconds))


@dataclass(frozen=True)
class Outcome:
    accepted: int  # right answers
    rejected: int  # wrong answers
    named: int  # wrong answers rejected with the hint for their mistake
    problems: list[str]  # what was not as the bench says
    milliseconds: float  # a right answer's check, at the median


def load_benches() -> dict[str, Bench]:
    """All of them, by task; their folder must be on the path."""
    for path in sorted(Path(__file__).parent.glob("bench_[0-9][0-9].py")):
        importlib.import_module(path.stem)
    return BENCHES
