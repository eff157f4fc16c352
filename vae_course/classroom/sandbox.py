"""Where a submission runs: bubblewrap's walls around it, and a filter that lets it start no processes."""

import contextlib
import os
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

HOME = "/course/home"
KERNEL = Path(__file__).with_name("kernel.py")
NO_SANDBOX = (
    "No sandbox here: submissions run with your rights and your network. "
    "Use Linux with bubblewrap, or a container (docs/teaching.md)."
)
SYSTEM = [
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/fonts"),
    *("/etc/localtime", "/var/cache/fontconfig"),
]


@dataclass(frozen=True)
class Limits:
    """What one submission may take. The defaults suit sheets that train nothing."""

    cell_seconds: float = 60
    grace_seconds: float = 5
    submission_seconds: float = 300
    start_seconds: float = 90
    output_bytes: int = 2_000_000
    memory_bytes: int = 4_000_000_000
    file_bytes: int = 100_000_000
    disk_bytes: int = 256_000_000
    processes: int = 64


@dataclass(frozen=True)
class Place:
    """Where submissions run: the package they import, the folders they must not see, bwrap's path or ""."""

    package: Path
    hidden: tuple[Path, ...] = ()
    bwrap: str = ""


def _environment(home: str) -> dict[str, str]:
    settings = {"HOME": home, "TMPDIR": "/tmp", "USER": "learner", "LOGNAME": "learner", "LANG": "C.UTF-8"}
    settings |= {"MPLCONFIGDIR": f"{home}/.matplotlib", "IPYTHONDIR": f"{home}/.ipython"}
    settings |= {"XDG_CACHE_HOME": f"{home}/.cache", "JUPYTER_PLATFORM_DIRS": "1"}
    settings |= {"VAE_COURSE_STRICT": "1", "VAE_COURSE_OFFLINE": "1", "VAE_COURSE_FAST": "1"}
    settings |= {"VAE_COURSE_CACHE": f"{home}/.cache/vae-course", "NBGRADER_EXECUTION": "autograde"}
    settings |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
    settings["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    return settings


@lru_cache
def _has_size(bwrap: str) -> bool:
    """Whether this bubblewrap (0.7 or newer) can limit a tmpfs."""
    return "--size" in subprocess.run([bwrap, "--help"], capture_output=True, text=True).stdout


def _tmpfs(bwrap: str, folder: str, size: int) -> list[str]:
    return [*(["--size", str(size)] if _has_size(bwrap) else []), "--tmpfs", folder]


def _python_folders() -> list[str]:
    """What the interpreter needs beyond /usr: itself, and the environment it runs in."""
    import site

    real = Path(sys.executable).resolve().parent.parent
    folders = [sys.base_prefix, os.path.realpath(sys.base_prefix), str(real), sys.prefix]
    folders += [path for path in (site.getusersitepackages(),) if path in sys.path]
    return [path for path in dict.fromkeys(folders) if path not in ("/", "/usr") and os.path.isdir(path)]


def _binds() -> list[str]:
    binds: list[str] = []
    for path in SYSTEM:
        if os.path.islink(path) and "/etc" not in path:
            binds += ["--symlink", os.readlink(path), path]
        elif os.path.exists(path):
            binds += ["--ro-bind", path, path]
    return binds + [word for path in _python_folders() for word in ("--ro-bind", path, path)]


def _masks(place: Place) -> list[str]:
    """Folders of the course that lie inside a bound one (a venv at the repository's root) are covered up."""
    bound = [Path("/usr"), *map(Path, _python_folders())]
    inside = [path.resolve() for path in place.hidden if path.is_dir()]
    covered = [path for path in inside if any(path.is_relative_to(root.resolve()) for root in bound)]
    return [word for path in map(str, covered) for word in ("--tmpfs", path, "--remount-ro", path)]


def _no_processes() -> bytes:
    """A seccomp filter that lets threads start and no processes, or b"" where the machine's numbers are not known.

    Watching comes too late for a fork bomb: within one look from outside it fills the whole machine.
    """
    machines = {"x86_64": (0xC000003E, 56, (57, 58)), "aarch64": (0xC00000B7, 220, ())}
    if platform.machine() not in machines:
        return b""
    architecture, clone, forks = machines[platform.machine()]
    load, equal, at_least, has, give = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, refuse, unknown = (give, 0, 0, 0x7FFF0000), (give, 0, 0, 0x50000 | 1), (give, 0, 0, 0x50000 | 38)
    code = [(load, 0, 0, 4), (equal, 1, 0, architecture), refuse]
    code += [(load, 0, 0, 0), (at_least, 0, 1, 0x40000000), refuse]  # the x32 numbers of the same calls
    for number in forks:
        code += [(equal, 0, 1, number), refuse]
    code += [(equal, 0, 1, 435), unknown]  # clone3 hides its flags; told that there is none, glibc takes clone
    code += [(equal, 0, 3, clone), (load, 0, 0, 16), (has, 1, 0, 0x10000), refuse, allow]
    return b"".join(struct.pack("HBBI", *line) for line in code)


@contextlib.contextmanager
def process_filter() -> Iterator[tuple[int, ...]]:
    """A descriptor from which bubblewrap reads the filter, in a tuple; () where there is none."""
    code = _no_processes()
    if not code:
        yield ()
        return
    with tempfile.TemporaryFile() as file:
        file.write(code)
        file.flush()
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        yield (file.fileno(),)


def _bwrap_command(place: Place, limits: Limits, shared: Path, filters: tuple[int, ...]) -> list[str]:
    """Read-only all around; writable are a work folder and /tmp of limited size, and the folder of the sockets."""
    bwrap = place.bwrap
    command = [bwrap, "--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
    for name, value in {**_environment(HOME), "PATH": "/usr/bin:/bin", "PYTHONPATH": "/course/package"}.items():
        command += ["--setenv", name, value]
    # First what is empty: Python may itself be installed below /tmp.
    command += [*_tmpfs(bwrap, "/tmp", limits.disk_bytes), *_tmpfs(bwrap, HOME, limits.disk_bytes)]
    command += [*_binds(), *_masks(place), "--proc", "/proc", "--dev", "/dev"]
    command += [*_tmpfs(bwrap, "/dev/shm", limits.disk_bytes), "--remount-ro", "/dev"]
    command += [word for number in filters for word in ("--seccomp", str(number))]
    command += ["--ro-bind", str(place.package), "/course/package", "--ro-bind", str(KERNEL), "/course/kernel.py"]
    return [*command, "--bind", str(shared), str(shared), "--remount-ro", "/", "--chdir", HOME]


class NoSandbox(Exception):
    """Bubblewrap is installed and does not start; the message says what it said."""


def find_bwrap(place: Place, limits: Limits) -> str:
    """The path of a bubblewrap in which Python starts, or "" where none is installed. Raises NoSandbox."""
    bwrap = shutil.which("bwrap") if sys.platform == "linux" else None
    if not bwrap:
        return ""
    with tempfile.TemporaryDirectory(prefix="vae-", dir=short_folder()) as shared, process_filter() as filters:
        command = _bwrap_command(replace(place, bwrap=bwrap), limits, Path(shared), filters)
        trial = [*command, sys.executable, "-c", "import ipykernel"]
        options: dict[str, Any] = {"capture_output": True, "text": True, "pass_fds": filters}
        try:
            tried = subprocess.run(trial, timeout=limits.start_seconds, **options)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoSandbox(f"a trial run of {bwrap} failed: {error}") from None
    if tried.returncode != 0:
        raise NoSandbox(f"a trial run of {bwrap} failed: {tried.stderr.strip()}")
    return bwrap


def command(place: Place, limits: Limits, shared: Path, filters: tuple[int, ...], leash: int) -> list[str]:
    numbers = (limits.memory_bytes, 2 * limits.submission_seconds + 60, limits.file_bytes)
    arguments = [str(shared / "kernel.json"), str(shared / "events"), str(leash), *(str(int(n)) for n in numbers)]
    if place.bwrap:
        return [*_bwrap_command(place, limits, shared, filters), sys.executable, "-P", "/course/kernel.py", *arguments]
    return [sys.executable, "-P", str(KERNEL), *arguments]


def plain_environment(place: Place, work: Path) -> dict[str, str]:
    own = {"PYTHONPATH": str(place.package), "TMPDIR": str(work), "TMP": str(work), "TEMP": str(work)}
    return {**os.environ, **_environment(str(work)), **own}


def short_folder() -> str:
    """The folder for temporary files, unless it is deep: a unix socket's path may have 100 characters only."""
    usual = tempfile.gettempdir()
    return "/tmp" if os.name == "posix" and len(usual) > 70 else usual
