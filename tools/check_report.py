"""Hold every check against its test bench and print the table: what is accepted, what is named, what is rejected.

python tools/check_report.py           20 seeds for each answer
python tools/check_report.py --long    500 seeds where a check draws random numbers
"""

import argparse
import sys
from pathlib import Path

SEEDS, LONG_SEEDS = 20, 500
ROW = "{:<36} {:>9} {:>9} {:>9} {:>9} {:>8}"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true", help="500 seeds where a check draws random numbers")
    long = parser.parse_args(argv).long
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from bench import load_benches

    print(ROW.format("", "right", "wrong", "named", "unnamed", "median"))
    print(ROW.format("check", "accepted", "rejected", "rightly", "", "ms"))
    problems: list[str] = []
    total = [0] * 6
    for task, bench in sorted(load_benches().items()):
        found = bench.run(range(LONG_SEEDS if long and bench.check.random else SEEDS))
        counts = [found.accepted, len(bench.right), found.rejected, len(bench.wrong), found.named]
        unnamed = found.rejected - found.named
        print(row(task, [*counts, unnamed], f"{found.milliseconds:.1f}"), flush=True)
        problems += [f"{task}: {problem}" for problem in found.problems]
        total = [a + b for a, b in zip(total, [*counts, unnamed], strict=True)]
    print(row("all", total, ""))
    print(f"{total[4] / total[3]:.1%} of the wrong answers are rejected with the hint for their mistake")
    print(*problems, sep="\n", end="\n" * bool(problems))
    return int(bool(problems))


def row(name: str, counts: list[int], milliseconds: str) -> str:
    accepted, right, rejected, wrong, named, unnamed = counts
    return ROW.format(name, f"{accepted}/{right}", f"{rejected}/{wrong}", named, unnamed, milliseconds)


if __name__ == "__main__":
    sys.exit(main())
