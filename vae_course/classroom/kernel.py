"""What runs first beside a submission: sets the process's limits, listens for what it should not try, starts IPython.

    python kernel.py CONNECTION_FILE LOG LEASH MEMORY_BYTES CPU_SECONDS FILE_BYTES

It imports nothing of the course, so that it also runs where the package inside is an older one. The listener is no
wall: bubblewrap is. It tells a teacher what was tried.
"""

import contextlib
import os
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

SECRET = re.compile("solutions|hidden|release", re.IGNORECASE)
CELL = re.compile(r"[\\/]ipykernel_\d+[\\/]|^<ipython-input")
SPAWN = {"os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "subprocess.Popen", "pty.spawn"}
FORKS = {"os.fork", "os.forkpty"}
SOCKETS = {"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"}
LISTINGS = {"os.listdir", "os.scandir"}
WRITES = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.link", "os.symlink"}
WRITES |= {"shutil.rmtree"}
SYSTEM = (sys.prefix, sys.base_prefix, "/usr", "/lib", "/bin", "/sbin", "/etc", "/proc", "/sys", "/dev", "/var")
NUMERIC = re.compile(r"[\d.]*|.*:.*")
MOST_EVENTS, LONGEST, MOST_FORKS = 50, 200, 6


def limit(memory: int, cpu_seconds: int, file_bytes: int) -> None:
    """As far as the system has such limits; a limit lower than ours stays."""
    try:
        import resource
    except ImportError:  # Windows
        return
    # DATA, not AS: torch reserves address space by the gigabyte and uses little of it.
    wanted = {"RLIMIT_DATA": memory, "RLIMIT_FSIZE": file_bytes, "RLIMIT_CORE": 0, "RLIMIT_CPU": cpu_seconds}
    for name, value in wanted.items():
        with contextlib.suppress(ValueError, OSError, AttributeError):
            which = getattr(resource, name)
            hard = resource.getrlimit(which)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(which, (value, value))


class Listener:
    """An audit hook: one line in the log for each thing that learner code tried, each said once."""

    def __init__(self, log: int, work: Path) -> None:
        self.log, self.said, self.busy, self.forks = log, set[str](), False, 0
        self.work = str(work)
        self.writable = (self.work, "/tmp", "/dev", os.environ.get("TMPDIR", self.work))
        self.parents = {str(folder) for folder in (*work.parents, Path("/"), Path("/root"), Path("/home"))}

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event in FORKS:
            self.count_fork()
        if self.busy:
            return
        self.busy = True  # what is done here to judge an event raises events of its own
        try:
            what = self.suspicion(event, args)
            if what and what not in self.said and len(self.said) < MOST_EVENTS and self.by_learner():
                self.said.add(what)
                os.write(self.log, what.encode("utf-8", "replace").replace(b"\n", b" ")[:LONGEST] + b"\n")
        except Exception:
            pass  # an event that cannot be judged must not break an honest cell
        finally:
            self.busy = False

    def count_fork(self) -> None:
        """A child inherits the count, so a fork bomb ends at 2 ** MOST_FORKS processes even without bubblewrap."""
        self.forks += 1
        if self.forks > MOST_FORKS:
            raise BlockingIOError("too many processes")

    def suspicion(self, event: str, args: tuple[Any, ...]) -> str:
        if event == "open":
            return self.opened(*args)
        if event in SPAWN:
            return f"tried to start another process ({_program(event, args)})"
        if event in SOCKETS:
            return _connection(event, args)
        if event in LISTINGS:
            return self.listed(args[0])
        if event in WRITES:
            return self.written(args[0])
        return ""

    def opened(self, path: Any, mode: Any, flags: Any) -> str:
        writes = any(c in mode for c in "wax+") if isinstance(mode, str) else False
        writes |= isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
        return (self.written(path) if writes else "") or self.secret(path)

    def written(self, path: Any) -> str:
        """Of a path given as a descriptor nothing is known, and nothing is said."""
        full = _full(path)
        allowed = not full or any(full == root or full.startswith(root + os.sep) for root in self.writable)
        return "" if allowed else f"tried to change {full}, outside its folder"

    def secret(self, path: Any) -> str:
        """The system and its libraries have such names as well, and the learner's own folder is the learner's."""
        if not isinstance(path, str | bytes | os.PathLike) or not SECRET.search(os.fsdecode(path)):
            return ""
        full = os.path.abspath(os.fsdecode(path))
        return "" if full.startswith((self.work + os.sep, *SYSTEM)) else f"looked for {full}"

    def listed(self, path: Any) -> str:
        full = _full("." if path is None else path)
        return f"listed the folder {full}" if full in self.parents else self.secret(path)

    def by_learner(self) -> bool:
        """Whether the nearest code that is no library's is a cell's, and no import stands in between."""
        frame: FrameType | None = sys._getframe()
        while frame is not None:
            name = frame.f_code.co_filename
            if CELL.search(name) or name.startswith(self.work):
                return True
            if name.startswith("<frozen importlib"):
                return False
            frame = frame.f_back
        return False


def _full(path: Any) -> str:
    if not isinstance(path, str | bytes | os.PathLike):
        return ""
    return os.path.realpath(os.fsdecode(path))


def _program(event: str, args: tuple[Any, ...]) -> str:
    named = args[0] if args else event
    if event == "subprocess.Popen" and len(args) > 1 and isinstance(args[1], list | tuple) and args[1]:
        named = args[1][0]
    return os.fsdecode(named)[:80] if isinstance(named, str | bytes | os.PathLike) and named else event


def _connection(event: str, args: tuple[Any, ...]) -> str:
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = os.fsdecode(args[0] or "")
        return "" if NUMERIC.fullmatch(host) else f"tried to look up the network address of {host}"
    address = args[1]
    host = address[0] if isinstance(address, tuple) and address else address
    verb = "open a socket to" if event != "socket.bind" else "listen on"
    return f"tried to {verb} {os.fsdecode(host) if isinstance(host, str | bytes) else host}"


def end_with_grader(leash: int) -> None:
    """Wait until the grader's end of the pipe is closed: bubblewrap misses a grader killed while it was starting."""
    with contextlib.suppress(OSError):
        os.read(leash, 1)
        os._exit(1)


def launch(connection_file: str) -> None:
    """The kernel itself. Its history would write the checks' source to disk."""
    from ipykernel.kernelapp import IPKernelApp

    options = ["--HistoryManager.enabled=False", "--IPKernelApp.log_level=ERROR", "--quiet"]
    app: Callable[..., Any] = IPKernelApp.launch_instance
    app(argv=["-f", connection_file, *options])


def main(argv: list[str]) -> None:
    connection_file, log, leash, *limits = argv
    limit(*map(int, limits))
    if int(leash) >= 0:
        threading.Thread(target=end_with_grader, args=(int(leash),), daemon=True).start()
    events = os.open(log, os.O_WRONLY | os.O_APPEND)
    sys.addaudithook(Listener(events, Path.cwd()))
    launch(connection_file)


if __name__ == "__main__":
    main(sys.argv[1:])
