"""A learner's first minutes, for real: `make lab` in a fresh copy, a browser, Run All Cells, a slider, save, Ctrl-C."""

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from places import ROOT, borrow_environment, clean_environment, copy_course, site_packages

pytestmark = [pytest.mark.browser, pytest.mark.slow]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def chromium(missing: Callable[[str, str], NoReturn]) -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return found or missing("browser", "no Chromium on PATH (Debian: apt install chromium)")


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed copy with its own .venv, set up as by an earlier `make lab`: only the installation is spared."""
    course = copy_course(tmp_path_factory.mktemp("lab") / "the course")
    venv = course / ".venv"
    borrow_environment(venv).with_name("python3").exists()
    shutil.move(course / ".venv-borrowed", course.parent)
    (site_packages(venv) / "borrowed.pth").write_text(f"{course.parent / '.venv-borrowed'}\n{course}\n")
    shared, own = ROOT / ".venv", venv / "share" / "jupyter"
    (venv / "etc").symlink_to(shared / "etc")
    (own / "lab").mkdir(parents=True)
    for entry in [*(shared / "share/jupyter").iterdir(), *(shared / "share/jupyter/lab").iterdir()]:
        if entry.name not in ("lab", "settings"):
            (own / entry.relative_to(shared / "share/jupyter")).symlink_to(entry)
    spec = importlib.util.spec_from_file_location("dev", course / "tools" / "dev.py")
    assert spec is not None
    assert spec.loader is not None
    dev: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(dev)
    dev.write(dev.stamp_path(dev.LAB), dev.stamp(dev.LAB, dev.probe(dev.PYTHON, "sys")[0]))
    return course
