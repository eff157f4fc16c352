"""A learner's function, called so that nothing it does can hurt: it may raise, print, hang or change its inputs."""

import contextlib
import ctypes
import io
import os
import random
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch


class Finding(Exception):
    """What is wrong with an answer, for the learner: a verdict, the mistake's name if it has one, and a hint."""

    def __init__(self, verdict: str, hint: str = "", mistake: str = "") -> None:
        super().__init__(hint)
        self.verdict, self.hint, self.mistake = verdict, hint, mistake


ANSWERS_SEED = 2_654_435_769  # far from the seeds of checks: equal ones would make a check's mu an answer's eps


class TimeUp(BaseException):
    """Not an Exception, so that an answer's own `except Exception` does not catch it."""


class Silence(io.TextIOBase):
    """Takes what is printed and keeps nothing, however much it is."""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)


class Answer:
    """Called like the function that the learner wrote; whatever goes wrong in there becomes a `Finding`."""

    def __init__(self, function: object, name: str) -> None:
        if function is None or function is Ellipsis:
            raise Finding("not written", f"Define `{name}` in the cell above and run it.")
        if not callable(function):
            hint = f"The check takes the function `{name}` itself, not the {type(function).__name__} that it returns."
            raise Finding("wrong type or shape", hint)
        self.function: Callable[..., Any] = function
        self.name = name

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """The function's result. Tensors that want a gradient are handed over as they are, others as copies."""
        given = tuple(copied(value) for value in inputs)
        try:
            result = self.function(*given, **options)
        except NotImplementedError:
            raise Finding("not written") from None
        except (KeyboardInterrupt, TimeUp, Finding):
            raise
        except BaseException as error:  # an answer may do anything, sys.exit() too
            raise Finding("raised", described(error)) from None
        if not all(same(value, before) for value, before in zip(given, inputs, strict=True)):
            hint = (
                f"`{self.name}` changes what it was given: its caller still needs those numbers, so work on new ones."
            )
            raise Finding("mistake", hint, "changes its inputs")
        return result


def copied(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value if value.requires_grad else value.clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, dict):
        return {key: copied(part) for key, part in value.items()}
    return type(value)(copied(part) for part in value) if type(value) in (list, tuple) else value


def same(value: Any, before: Any) -> bool:
    if isinstance(before, torch.Tensor):
        return isinstance(value, torch.Tensor) and torch.equal(value.detach(), before.detach())
    if isinstance(before, np.ndarray):
        return isinstance(value, np.ndarray) and np.array_equal(value, before, equal_nan=True)
    if isinstance(before, dict):
        return value.keys() == before.keys() and all(same(value[key], before[key]) for key in before)
    if type(before) in (list, tuple):
        return len(value) == len(before) and all(map(same, value, before))
    if isinstance(before, (int, float, str)):
        return bool(value == before or before != before)  # a NaN is not equal to itself
    return True  # functions, modules: nothing that an answer could change by accident


def described(error: BaseException) -> str:
    """What was raised and in which line of the learner's own code."""
    name, text = type(error).__name__, " ".join(str(error).split())[:300]
    here = os.path.dirname(__file__)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(here)]
    where = f", in the line `{frames[0].line.strip()}`" if frames and frames[0].line else ""
    return f"Calling it raised {name}{': ' * bool(text)}{text}{where}."


@contextlib.contextmanager
def undisturbed(seed: int) -> Iterator[None]:
    """An answer's random numbers, seeded here and given back as they were; no prints, no warnings, gradients on."""
    kept = random.getstate(), np.random.get_state()
    silence = Silence()
    with (
        torch.random.fork_rng(),
        torch.enable_grad(),
        np.errstate(all="ignore"),
        warnings.catch_warnings(),
        contextlib.redirect_stdout(silence),
        contextlib.redirect_stderr(silence),
    ):
        warnings.simplefilter("ignore")
        torch.manual_seed(ANSWERS_SEED + seed)
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(kept[0])
            np.random.set_state(kept[1])


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises `TimeUp` in the block when its time is up: at once in the main thread, elsewhere at the next bytecode."""
    if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
        with alarm(seconds):
            yield
    else:
        with watched(threading.get_ident(), seconds):
            yield


@contextlib.contextmanager
def alarm(seconds: float) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again each second, for an answer that catches everything
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def watched(thread: int, seconds: float) -> Iterator[None]:
    """Windows has no alarm, and only the main thread may have one."""
    lock, over = threading.Lock(), threading.Event()

    def ring() -> None:
        while not over.is_set():
            with lock:
                if not over.is_set():
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(TimeUp))
            over.wait(1.0)

    timer = threading.Timer(seconds, ring)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            over.set()
        timer.cancel()
