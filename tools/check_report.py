"""Hold every check against its test bench and print the table: what is accepted, what is named, what is rejected.

python tools/check_report.py           20 seeds for each answer
python tools/check_report.py --long    500 seeds for right answers of random checks; kept in the results ledger
"""

import argparse
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SEEDS, LONG_SEEDS = 20, 500
ROW = "{:<32} {:>9} {:>9} {:>9} {:>9} {:>9}"
HEADS = ("", "right", "wrong", "named", "unnamed", "median"), ("check", "accepted", "rejected", "rightly", "", "ms")


def measured(task: str, bench: Any, seeds: int) -> tuple[dict[str, Any], list[str]]:
    """The figures of one check, and what was not as its bench says."""
    found = bench.run(range(seeds), range(SEEDS))
    figures = {"check": task, "seeds": seeds, "right": len(bench.right), "accepted": found.accepted}
    figures |= {"wrong": len(bench.wrong), "rejected": found.rejected, "named": found.named}
    return {**figures, "median_ms": round(found.milliseconds, 1)}, [f"{task}: {each}" for each in found.problems]


def row(figures: dict[str, Any]) -> str:
    accepted, rejected = f"{figures['accepted']}/{figures['right']}", f"{figures['rejected']}/{figures['wrong']}"
    unnamed = figures["rejected"] - figures["named"]
    return ROW.format(figures["check"], accepted, rejected, figures["named"], unnamed, figures.get("median_ms", ""))


def total(table: list[dict[str, Any]]) -> dict[str, Any]:
    columns = ("right", "accepted", "wrong", "rejected", "named")
    return {"check": "all", **{column: sum(figures[column] for figures in table) for column in columns}}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--long", action="store_true", help="500 seeds for right answers where a check is random; keep it"
    )
    parser.add_argument("sheets", nargs="*", help="such as 01 02: measure these again; the ledger keeps the others")
    options = parser.parse_args(argv)
    sys.path.insert(0, str(ROOT / "tests"))
    from bench import load_benches

    from vae_course import results

    for words in HEADS:
        print(ROW.format(*words))
    table: list[dict[str, Any]] = []
    problems: list[str] = []
    kept = {row["check"]: row for row in results.load("checks")["figures"]["table"]} if options.sheets else {}
    for task, bench in sorted(load_benches().items()):
        if options.sheets and task[:2] not in options.sheets:
            table.append(kept[task])
            continue
        figures, found = measured(task, bench, LONG_SEEDS if options.long and bench.check.random else SEEDS)
        print(row(figures), flush=True)
        table.append(figures)
        problems += found
    everything = total(table)
    print(row(everything))
    print(f"{everything['named'] / everything['wrong']:.1%} of the wrong answers get the hint for their mistake")
    print(*problems, sep="\n", end="\n" * bool(problems))
    if options.long and not problems:
        results.save("checks", {"table": table, "all": everything}, command="make check-report ARGS=--long", seeds=[])
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
