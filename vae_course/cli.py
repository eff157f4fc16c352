"""The command `vae-course`: train a VAE on faces, go on after an interruption, and look at what it learnt.

Here are its words, its exit codes and the restart with another allocator; `vae_course.commands` does the work. PyTorch
takes seconds to import, so nothing here does: `--help` and mistyped commands answer at once.
"""

import argparse
import contextlib
import errno
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

RECIPES = """\
recipes:
  flat-32, perceptual-12m, residual-spatial                      128×128, for a GPU
  flat-32-small, perceptual-12m-small, residual-spatial-small    64×64, for a laptop

"""

# A training step frees and takes the same large blocks again. By default glibc returns them to the system and has every
# page zeroed anew, a fifth of a step's time on a CPU and more (benchmarks/face_steps.py). It reads these settings once,
# before Python starts.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "268435456",
}
RESTARTED = "VAE_COURSE_RESTARTED"

EXIT_CODES = """\
exit codes: 0 done; 1 a failure, explained in one line; 2 a mistake in the command line; 130 stopped by Ctrl-C;
143 stopped by SIGTERM, after a checkpoint was written
"""


Commands = argparse._SubParsersAction  # what subcommands are added to; argparse has no public name for it

# ---- the words ----


def parser() -> argparse.ArgumentParser:
    """All subcommands and their options; each one's help ends in an example."""
    top = argparse.ArgumentParser(
        prog="vae-course", description=__doc__.splitlines()[0], epilog=EXIT_CODES, formatter_class=_AsWritten
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_data, _train, _resume, _evaluate, _sample, _reconstruct, _interpolate, _attributes):
        add(commands)
    return top


def _data(commands: Commands) -> None:
    data = _command(commands, "data", "say which digits and faces are here, and where from", "vae-course data")
    action = data.add_mutually_exclusive_group()
    action.add_argument("--verify", action="store_true", help="decode every picture and list the damaged ones")
    action.add_argument("--draw", type=Path, metavar="FOLDER", help="write drawn faces there, laid out as CelebA is")
    action.add_argument("--download", action="store_true", help="fetch CelebA, 1.4 GB (needs the package gdown)")
    data.add_argument("--count", type=_positive, default=6000, metavar="N", help="faces to draw (default: %(default)s)")
    _faces_options(data, "auto, the best here")


def _train(commands: Commands) -> None:
    train = _command(commands, "train", "train a recipe", "vae-course train flat-32-small --steps 100")
    train.epilog = RECIPES + str(train.epilog)
    train.add_argument("recipe", metavar="RECIPE", help="what to train, see below")
    train.add_argument("--out", type=Path, metavar="FOLDER", help="the run's folder (default: runs/RECIPE-1, -2, ...)")
    words = "go on if the folder holds a run; without --out, the newest"
    train.add_argument("--resume", action="store_true", help=words)
    _seed(train)
    length = train.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=_positive, metavar="N", help="default: the recipe's")
    length.add_argument("--steps", type=_positive, metavar="N", help="batches all in all, in place of epochs")
    for option, kind in (("batch-size", _positive), ("lr", _above_zero), ("clip", _above_zero), ("size", _positive)):
        train.add_argument(f"--{option}", type=kind, metavar="N", help="default: the recipe's")
    precisions = ("auto", "fp32", "bf16", "fp16")
    train.add_argument("--precision", choices=precisions, default="auto", help="default: auto, the fastest here")
    train.add_argument("--accumulate", type=_positive, metavar="N", help="parts of a batch (default: 1)")
    train.add_argument("--checkpoint-every", type=_positive, metavar="STEPS", help="default: once an epoch")
    train.add_argument("--keep", type=_positive, default=3, metavar="N", help="checkpoints kept (default: 3)")
    trackers = ("tensorboard", "wandb", "none")
    train.add_argument("--tracker", choices=trackers, default="tensorboard", help="default: %(default)s")
    _faces_options(train, "auto, the best here")
    _loop_options(train)


def _resume(commands: Commands) -> None:
    resume = _command(commands, "resume", "go on with a run that was stopped", "vae-course resume --minutes 30")
    _run_argument(resume)
    _faces_options(resume)
    _loop_options(resume)


def _evaluate(commands: Commands) -> None:
    evaluate = _command(commands, "evaluate", "measure a run on its validation faces", "vae-course evaluate -n 500")
    _run_argument(evaluate)
    evaluate.add_argument("-n", type=_positive, default=2000, help="faces, and samples, at most (default: %(default)s)")
    _seed(evaluate)
    _faces_options(evaluate)


def _sample(commands: Commands) -> None:
    sample = _command(commands, "sample", "faces that do not exist", "vae-course sample -n 16 -o samples.png")
    _run_argument(sample)
    sample.add_argument("-n", type=_positive, default=64, help="how many (default: %(default)s)")
    _seed(sample)
    _output(sample, "samples.png")


def _reconstruct(commands: Commands) -> None:
    words = "validation faces above their reconstructions"
    reconstruct = _command(commands, "reconstruct", words, "vae-course reconstruct -n 8")
    _run_argument(reconstruct)
    reconstruct.add_argument("-n", type=_positive, default=8, help="how many (default: %(default)s)")
    _output(reconstruct, "reconstructions.png")
    _faces_options(reconstruct)


def _interpolate(commands: Commands) -> None:
    words = "the way from one face to another"
    interpolate = _command(commands, "interpolate", words, "vae-course interpolate --from 0 --to 1")
    _run_argument(interpolate)
    place = "a picture's file name, or its number from 0"
    interpolate.add_argument("--from", dest="start", metavar="NAME", help=f"{place} (default: a validation face)")
    interpolate.add_argument("--to", dest="end", metavar="NAME", help=f"{place} (default: another one)")
    interpolate.add_argument("--steps", type=_positive, default=8, metavar="N", help="pictures (default: %(default)s)")
    _output(interpolate, "interpolation.png")
    _faces_options(interpolate)


def _attributes(commands: Commands) -> None:
    words = "list the attributes, or add one to faces that lack it"
    attributes = _command(commands, "attributes", words, "vae-course attributes --add Smiling --control")
    _run_argument(attributes)
    attributes.add_argument("--add", metavar="NAME", help="such as Smiling; without it, the attributes are listed")
    words = "times the difference of means; negative takes away (default: %(default)g)"
    attributes.add_argument("--amount", type=_finite, default=1.0, metavar="X", help=words)
    words = "beside it, a random direction of equal length; an independent classifier counts whose answer turned"
    attributes.add_argument("--control", action="store_true", help=words)
    _seed(attributes)
    _output(attributes, "attributes.png")
    _faces_options(attributes)


# ---- what several of them share ----


class _AsWritten(argparse.RawDescriptionHelpFormatter):
    """Leaves the line breaks of examples alone."""


def _command(commands: Commands, name: str, words: str, example: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=words,
        description=f"{words[0].upper()}{words[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=_AsWritten,
    )
    command.add_argument("--traceback", action="store_true", help="show where a failure happened")
    return command


def _run_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "run", metavar="RUN", type=Path, nargs="?", help="a run's folder (default: the newest in runs/)"
    )


def _faces_options(command: argparse.ArgumentParser, default: str = "those of the run") -> None:
    command.add_argument("--data", type=Path, metavar="FOLDER", help="CelebA, or any folder of colour pictures")
    sources = ("auto", "celeba", "drawn", "folder")
    command.add_argument("--source", choices=sources, help=f"which faces (default: {default})")


def _loop_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--minutes", type=_above_zero, default=math.inf, metavar="M", help="stop after so many, to be resumed"
    )
    command.add_argument("--cpu", action="store_true", help="leave a GPU alone")


def _seed(command: argparse.ArgumentParser) -> None:
    command.add_argument("--seed", type=_natural, default=0, metavar="N", help="of what is random (default: 0)")


def _output(command: argparse.ArgumentParser, name: str) -> None:
    command.add_argument("-o", "--output", type=Path, default=Path(name), metavar="FILE", help="default: %(default)s")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1 on was expected, not {text!r}")
    return int(text)


def _natural(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"a whole number from 0 to 2**63 - 1 was expected, not {text!r}")
    return int(text)


def _finite(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"a number was expected, not {text!r}")
    return number


def _above_zero(text: str) -> float:
    number = _finite(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"a number above 0 was expected, not {text!r}")
    return number


# ---- running it ----


def main(argv: list[str] | None = None) -> int:
    """Do what the words ask for: argv, or the process's own -> the exit code. Raises SystemExit(2) on wrong words."""
    args = parser().parse_args(argv)
    if argv is None and args.command in ("train", "resume"):
        _restart_with_allocator(on_cpu=args.cpu or not _gpu_in_sight())
    try:
        from vae_course import commands  # imported here: see the first lines

        with _one_process_prints():
            getattr(commands, args.command)(args)
        return 0
    except KeyboardInterrupt:
        _complain("stopped by Ctrl-C")
        return 130
    except Exception as error:
        if args.traceback or (words := explanation(error)) is None:
            raise
        _complain(words)
        return 1


def explanation(error: Exception) -> str | None:
    """One line for a failure that a user can do something about; None for what must be a bug."""
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        return None if package in ("", "vae_course") else f"{package} is missing: pip install 'vae-course[train]'"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"the disk is full ({error}): free some space; what was written before is whole, resume goes on from it"
    if type(error).__name__ == "OutOfMemoryError":  # torch's, named without an import
        return (
            "the GPU's memory is full: start a new run with --accumulate 2 or more, which leaves the gradients as "
            "they are, or with a smaller --batch-size"
        )
    from vae_course.commands import EXPLAINED

    return " ".join(str(error).split()) if isinstance(error, EXPLAINED) else None


def _complain(words: str) -> None:
    process = f" (process {_rank()})" if _rank() else ""
    print(f"vae-course{process}: {words}", file=sys.stderr)


@contextlib.contextmanager
def _one_process_prints() -> Iterator[None]:
    """Of several processes under torchrun or accelerate launch, only the first one reports."""
    if _rank() == 0:
        yield
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


# ---- the allocator ----


def _restart_with_allocator(*, on_cpu: bool) -> None:
    """Start this same command again in this process, once, with glibc's settings for training on a CPU.

    Not in a notebook or where PyTorch is loaded already, not without glibc, and not over settings of the user's own.
    """
    ours = (RESTARTED, *ALLOCATOR)
    if not on_cpu or not _has_glibc() or {"torch", "ipykernel"} & sys.modules.keys() or os.environ.keys() & set(ours):
        return
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | ALLOCATOR | {RESTARTED: "1"})


def _has_glibc() -> bool:
    try:
        return sys.platform == "linux" and (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except ValueError:  # another C library does not know the name
        return False


def _gpu_in_sight() -> bool:
    """Whether a driver's device file is there (NVIDIA, AMD, Windows' Linux): asking PyTorch would mean to import it."""
    return any(Path("/dev", name).exists() for name in ("nvidiactl", "kfd", "dxg"))


if __name__ == "__main__":
    sys.exit(main())
