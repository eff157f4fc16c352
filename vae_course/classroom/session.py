"""Run one repaired notebook in a kernel that is watched from outside.

Cells go in one by one over unix sockets, so hidden tests never lie on a disk the learner's code could read, and a
process that dies, hangs or floods costs its own notebook only.
"""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from vae_course.classroom.results import RECORD
from vae_course.classroom.sandbox import Limits, Place, command, plain_environment, process_filter, short_folder

RECORD_KEYS = ("task", "verdict", "mistake", "hint")
RECORD_LENGTH, MOST_RECORDS = 500, 20
OUTPUT_LENGTH = 4000
LARGEST_MESSAGE = 64_000_000  # a longer one is refused by the socket, before it fills our memory
LARGEST_LOG = 64_000
POLL_SECONDS = 0.2
LATE_SECONDS = 3  # how long after a cell's reply its last output may come
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|[\x00-\x08\x0b-\x1f\x7f]")


class NoKernel(Exception):
    """The kernel did not start: our fault, not the learner's."""


@dataclass
class CellRun:
    """What came of one cell. state: "ok", "error" or "stopped"."""

    state: str
    error: str = ""
    text: str = ""
    records: list[dict[str, str]] = field(default_factory=list)


@dataclass
class Outcome:
    """The cells that ran, by id, and what the teacher should know."""

    cells: dict[str, CellRun] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)


def _manager(command: list[str], shared: Path) -> Any:
    """A kernel manager whose kernel is our command, whatever kernels a user has installed."""
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    class Manager(AsyncKernelManager):
        def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
            return command

    manager = Manager(connection_file=str(shared / "kernel.json"), transport_encryption="disabled")
    manager._kernel_spec = KernelSpec(display_name="sandbox", language="python", interrupt_mode="message")
    if os.name == "posix":
        manager.transport, manager.ip = "ipc", str(shared / "s")
    return manager


def _kill(process: Any) -> None:
    """End the process and all below it, those born meanwhile included."""
    import psutil

    with contextlib.suppress(psutil.Error):
        root = psutil.Process(process.pid)
        while children := root.children(recursive=True):
            for child in children:
                with contextlib.suppress(psutil.Error):
                    child.kill()
            psutil.wait_procs(children, timeout=1)
            if not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
                break
    process.kill()
    process.wait()


def _family(process: Any) -> list[Any]:
    """The process and all below it that live."""
    import psutil

    with contextlib.suppress(psutil.Error):
        root = psutil.Process(process.pid)
        return [root, *root.children(recursive=True)]
    return []


def _memory(family: list[Any], enough: int) -> int:
    """Bytes in use. Pages that a fork shares are counted once where that costs a closer look."""
    import psutil

    def one(process: Any, exactly: bool) -> int:
        with contextlib.suppress(psutil.Error):
            if exactly:
                full = process.memory_full_info()
                return int(getattr(full, "pss", full.uss))
            return int(process.memory_info().rss)
        return 0

    roughly = sum(one(process, False) for process in family)
    return roughly if roughly <= enough or len(family) < 4 else sum(one(process, True) for process in family)


def _death(code: int) -> str:
    number = code - 128 if code > 128 else -code
    if number > 0:
        return f"was killed by signal {number}{' (memory?)' if number == signal.SIGKILL else ''}"
    return f"ended itself (exit code {code})"


def _is_sound(message: Any) -> bool:
    """Learner code can sign messages with the kernel's own key, whatever is in them."""
    parts = (message.get("parent_header"), message.get("content"))
    return isinstance(message.get("msg_type"), str) and all(isinstance(part, dict) for part in parts)


def _clean_record(raw: Any) -> dict[str, str]:
    """Known keys and text only: a learner's code can send whatever it likes."""
    if not isinstance(raw, dict):
        return {}
    return {key: raw[key][:RECORD_LENGTH] for key in RECORD_KEYS if isinstance(raw.get(key), str)}


class _Session:
    """One submission's kernel: sends cells, gathers what comes, and stops what does not end."""

    def __init__(self, client: Any, process: Any, limits: Limits, shared: Path) -> None:
        self.client, self.process, self.limits, self.shared = client, process, limits, shared
        self.looked = time.monotonic()
        self.ends = self.looked + limits.submission_seconds
        self.reasons: list[str] = []
        self.dead = False
        self.printed = 0

    def fault(self) -> str:
        """Why the whole process has to be killed now, or ""."""
        if time.monotonic() < self.looked + POLL_SECONDS:
            return ""
        self.looked = time.monotonic()
        if self.looked > self.ends:
            return f"the notebook ran over {self.limits.submission_seconds:g} s and was stopped"
        family = _family(self.process)
        if len(family) > self.limits.processes:
            return f"started more than {self.limits.processes} processes and was stopped"
        if _memory(family, self.limits.memory_bytes) > self.limits.memory_bytes:
            return f"used more than {self.limits.memory_bytes / 1e9:g} GB of memory and was stopped"
        with os.scandir(self.shared) as entries:
            sizes = [entry.stat(follow_symlinks=False).st_size for entry in islice(entries, 100)]
        return "wrote outside its work folder and was stopped" if len(sizes) == 100 or sum(sizes) > 5e6 else ""

    async def cell(self, source: str, name: str, secret: bool) -> CellRun:
        """Run one cell to its end, or end it. A secret cell does not enter the history that code can read."""
        request = self.client.execute(source, store_history=not secret, allow_stdin=False, stop_on_error=False)
        run, reply, idle = CellRun("error"), None, False
        self.printed = 0
        ends, interrupted = time.monotonic() + self.limits.cell_seconds, ""
        while not (reply and idle):
            for channel, message in await self._messages():
                if message["parent_header"].get("msg_id") != request:
                    continue
                if channel == "shell" and message["msg_type"] == "execute_reply":
                    reply, ends = message["content"], time.monotonic() + LATE_SECONDS
                elif channel == "iopub":
                    idle |= self._gather(run, message)
            if reply and not idle and time.monotonic() > ends:
                self.reasons.append(f"part of what {name} printed was lost: it was too much at once")
                await self._reopen()
                break
            if self._died(name):
                break
            if fault := self.fault():
                self.end(fault)
                break
            why = self._overrun(name, ends)
            if why and not interrupted and not reply:
                interrupted, ends = why, time.monotonic() + self.limits.grace_seconds
                self.client.control_channel.send(self.client.session.msg("interrupt_request", {}))
            elif interrupted and time.monotonic() > ends:
                self.end("")
                break
        return self._verdict(run, reply, interrupted)

    async def _reopen(self) -> None:
        """A socket that met too large a message stays shut for good; the next cell needs a new one."""
        self.client.iopub_channel.stop()
        self.client._iopub_channel = None
        self.client.iopub_channel.start()
        await asyncio.sleep(POLL_SECONDS)  # until it has subscribed, what the kernel says is lost

    def _overrun(self, name: str, ends: float) -> str:
        if self.printed > self.limits.output_bytes:
            return f"{name} printed more than {self.limits.output_bytes / 1e6:g} MB and was stopped"
        if time.monotonic() > ends:
            return f"{name} ran over {self.limits.cell_seconds:g} s and was stopped"
        return ""

    def _verdict(self, run: CellRun, reply: Any, interrupted: str) -> CellRun:
        if interrupted:
            self.reasons.append(interrupted)
        if interrupted or self.dead:
            run.state = "stopped"
        elif reply and reply.get("status") == "ok":
            run.state = "ok"
        elif reply:
            run.error = _last_line(reply)
        run.text = ANSI.sub("", run.text)[:OUTPUT_LENGTH]
        return run

    def _died(self, name: str) -> bool:
        code = self.process.poll()
        if code is not None:
            self.end(f"the process {_death(code)} in {name}; what came after was not run")
        return code is not None

    def end(self, reason: str) -> None:
        self.dead = True
        self.reasons += [reason] if reason else []
        _kill(self.process)

    async def _messages(self) -> list[tuple[str, dict[str, Any]]]:
        """What has come on both channels, at the latest after POLL_SECONDS; what cannot be read is left out."""
        import zmq
        import zmq.asyncio

        channels = {self.client.iopub_channel.socket: "iopub", self.client.shell_channel.socket: "shell"}
        poller = zmq.asyncio.Poller()
        for socket in channels:
            poller.register(socket, zmq.POLLIN)
        found = []
        for socket, _ in await poller.poll(POLL_SECONDS * 1000):
            parts = await socket.recv_multipart()
            self.printed += sum(map(len, parts)) if channels[socket] == "iopub" else 0
            session = self.client.session
            with contextlib.suppress(Exception):  # forged, cut or nested too deep: nothing an honest kernel sends
                message = session.deserialize(session.feed_identities(parts)[1])
                if _is_sound(message):
                    found.append((channels[socket], message))
        return found

    def _gather(self, run: CellRun, message: dict[str, Any]) -> bool:
        """Add a message's text and record to `run`; True for the one that says the cell is done."""
        kind, content = message["msg_type"], message["content"]
        if kind == "stream" and content.get("name") == "stdout":
            self._say(run, content.get("text"))
        elif kind in ("display_data", "execute_result") and isinstance(data := content.get("data"), dict):
            self._say(run, data.get("text/plain"), "\n")
            if (record := _clean_record(data.get(RECORD))) and len(run.records) < MOST_RECORDS:
                run.records.append(record)
        return kind == "status" and content.get("execution_state") == "idle"

    def _say(self, run: CellRun, text: Any, end: str = "") -> None:
        if isinstance(text, str) and len(run.text) < 2 * OUTPUT_LENGTH:
            run.text += text[: 2 * OUTPUT_LENGTH] + end


def _last_line(reply: dict[str, Any]) -> str:
    """What a traceback ends with. Never the traceback itself, which quotes the check's source."""
    value = ANSI.sub("", str(reply.get("evalue", ""))).strip().split("\n")[0]
    return f"{reply.get('ename', 'Error')}: {value}".removesuffix(": ")[:RECORD_LENGTH]


@contextlib.asynccontextmanager
async def _kernel(place: Place, limits: Limits, shared: Path, work: Path) -> AsyncIterator[_Session]:
    import zmq.asyncio

    context = zmq.asyncio.Context()
    context.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
    context.setsockopt(zmq.LINGER, 0)
    # An environment of its own: the outer bwrap's could be read in /proc from inside.
    env = {"PATH": os.environ.get("PATH", "")} if place.bwrap else plain_environment(place, work)
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = None
    leash, held = os.pipe() if os.name == "posix" else (-1, -1)
    try:
        with process_filter() as filters:
            manager = _manager(command(place, limits, shared, filters, leash), shared)
            handed = {"pass_fds": (leash, *filters)} if leash >= 0 else {}
            await manager.start_kernel(env=env, cwd=str(work), **quiet, **handed)
        process = manager.provisioner.process
        client = manager.client(context=context)
        client.start_channels(stdin=False, hb=False)
        try:
            await client.wait_for_ready(timeout=limits.start_seconds)
        except RuntimeError as error:
            raise NoKernel(f"the kernel did not start within {limits.start_seconds:g} s ({error})") from None
        yield _Session(client, process, limits, shared)
    finally:
        if process is not None:
            _kill(process)
        context.destroy(linger=0)
        for end in (leash, held) if leash >= 0 else ():
            os.close(end)


async def run(nb: NotebookNode, place: Place, limits: Limits, secret: frozenset[str]) -> Outcome:
    """Run the notebook's code cells in order; `secret` are the ids whose source code must not be able to read."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="vae-", dir=short_folder(), ignore_cleanup_errors=True) as name:
        shared, work = Path(name) / "k", Path(name) / "w"
        shared.mkdir()
        work.mkdir()
        with open(shared / "events", "w+b") as events:
            async with _kernel(place, limits, shared, work) as session:
                for cell in (cell for cell in nb.cells if cell.cell_type == "code"):
                    called = cell.metadata.get("called", f"cell '{cell.id}'")
                    outcome.cells[cell.id] = await session.cell(cell.source, called, cell.id in secret)
                    if session.dead:
                        break
            # By the handle we kept: the name may by now be a link to somewhere else.
            events.seek(0)
            heard = events.read(LARGEST_LOG).decode("utf-8", "replace").splitlines()
    outcome.reasons = list(dict.fromkeys([*session.reasons, *sorted(heard)]))
    return outcome
