"""python -m vae_course.classroom release 04 | grade FOLDER: what `make release` and `make grade` call."""

import argparse
import os
import sys
from dataclasses import fields
from pathlib import Path

from vae_course.classroom.sandbox import Limits


def _existing(text: str) -> Path:
    path = Path(text)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"{text} does not exist")
    return path


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1 on was expected, not {text!r}")
    return int(text)


def _common(parser: argparse.ArgumentParser, out: str) -> None:
    parser.add_argument("--sheets", type=Path, default=Path("solutions"), help="folder of the solution sheets")
    parser.add_argument("--exercises", type=Path, default=Path("exercises"), help="folder of the blank sheets")
    parser.add_argument("--out", type=Path, default=Path(out), help="where to write (default: %(default)s)")
    parser.add_argument("--wheel", type=_existing, help="the course's wheel (vae_course-*.whl)")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vae_course.classroom", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    release = commands.add_parser("release", help="make the folder and the zip that learners get")
    release.add_argument("assignment", help="the sheet's number, such as 04")
    _common(release, "release")
    grade = commands.add_parser("grade", help="grade a folder of submissions")
    grade.add_argument("folder", type=_existing, help="the folder as it came from the LMS")
    grade.add_argument("--assignment", default="", help="the sheet's number; without it, the one that fits most")
    _common(grade, "grades")
    grade.add_argument("--workers", type=_positive, default=os.cpu_count() or 1, help="notebooks at the same time")
    grade.add_argument("--without-sandbox", action="store_true", help="with your rights, your files and your network")
    for limit in fields(Limits):
        flag = f"--{limit.name.replace('_', '-')}"
        grade.add_argument(flag, type=_positive, default=limit.default, help="default: %(default)s")
    return parser


def _release(args: argparse.Namespace) -> None:
    from vae_course.classroom.grade import sheets_in
    from vae_course.classroom.release import make

    [sheet] = sheets_in(args.sheets, args.exercises, args.assignment)
    print(f"Written: {make(sheet, args.out, args.wheel)} and the same as a zip")


def _grade(args: argparse.Namespace) -> None:
    from vae_course.classroom.grade import grade, sheets_in

    limits = Limits(**{limit.name: getattr(args, limit.name) for limit in fields(Limits)})
    sheets = sheets_in(args.sheets, args.exercises, args.assignment)
    grade(
        args.folder,
        sheets,
        args.out,
        args.wheel,
        (args.sheets, args.exercises),
        limits,
        args.workers,
        args.without_sandbox,
    )


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        from vae_course.classroom.release import SheetError
    except ImportError as error:
        print(f"{error.name} is missing: pip install vae-course[teach], or use make {args.command}", file=sys.stderr)
        return 2
    if args.command == "grade" and not args.folder.is_dir():
        print(f"{args.folder} is no folder: name the folder that holds the submissions", file=sys.stderr)
        return 2
    try:
        (_release if args.command == "release" else _grade)(args)
    except SheetError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
