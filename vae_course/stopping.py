"""Ctrl-C and SIGTERM between two steps instead of in the middle of one."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

ECHO = 2.0  # seconds in which a second signal is the first one again: torchrun passes on what a cluster sends to all


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of dying of them in the middle of a step; the second one acts at once."""
    signals: list[int] = []
    since: list[float] = []
    if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
        yield signals
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _: Any) -> None:
        if not signals:
            signals.append(number)
            since.append(time.monotonic())
            tqdm.write("stopping after this step; once more to stop at once")
        elif number != signal.SIGTERM or time.monotonic() - since[0] > ECHO:
            for each, handler in before.items():
                signal.signal(each, handler)
            signal.raise_signal(number)

    for number in before:
        signal.signal(number, note)
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
