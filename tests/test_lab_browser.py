"""A learner's first minutes, for real: `make lab` in a fresh copy, a browser, Run All Cells, a slider, save, Ctrl-C."""

import hashlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from browser import browser_page, find_chromium, free_port, run_all_cells, wait_for
from places import borrow_environment, clean_environment, copy_course, site_packages

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def chromium(missing: Callable[[str, str], NoReturn]) -> str:
    return find_chromium(missing)


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed copy with its own .venv, as an earlier `make lab` left it: only the installation is spared."""
    folder = tmp_path_factory.mktemp("lab")
    course = copy_course(folder / "the course")
    venv, links = course / ".venv", folder / "packages"
    borrow_environment(venv, links)
    (site_packages(venv) / "course.pth").write_text(f"{course}\n")  # for the editable install
    shared, own = Path(sys.prefix), venv / "share" / "jupyter"
    (venv / "etc").symlink_to(shared / "etc")
    (own / "lab").mkdir(parents=True)
    for path in (*shared.glob("share/jupyter/*"), *shared.glob("share/jupyter/lab/*")):
        if path.name not in ("lab", "settings"):  # settings are written by the command
            (venv / path.relative_to(shared)).symlink_to(path)
    spec = importlib.util.spec_from_file_location("dev", course / "tools" / "dev.py")
    assert spec is not None
    assert spec.loader is not None
    dev: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(dev)
    dev.write(dev.stamp_path(dev.LAB), dev.stamp(dev.LAB, dev.probe(dev.PYTHON, "sys")[0]))
    return course


@pytest.fixture(scope="module")
def lab(course: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`make lab` in a terminal of its own, and the address that it prints."""
    home = tmp_path_factory.mktemp("home")  # no settings, kernels or trusted notebooks of whoever runs the tests
    folders = {name: str(home / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")}
    port = free_port()
    output = home / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            ["make", "lab", "OPEN=0", f"PORT={port}"],
            cwd=course,
            env=clean_environment(MAKEFLAGS="", **folders),
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def address() -> re.Match[str] | None:
        assert process.poll() is None, output.read_text()
        return re.search(rf"http://(localhost|127\.0\.0\.1):{port}/\S*\?token=\w+", output.read_text())

    try:
        yield process, wait_for(address, "the address")[0]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


@pytest.fixture(scope="module")
def page(chromium: str, lab: tuple[Any, str]) -> Iterator[Any]:
    with browser_page(chromium) as page:
        page.goto(lab[1])
        yield page


def git(course: Path, *words: str) -> str:
    command = ["git", "-C", str(course), *words]
    return subprocess.run(command, env=clean_environment(), stdout=subprocess.PIPE, text=True, check=True).stdout


def contents(course: Path) -> dict[str, str]:
    """Every committed file with its hash."""
    names = git(course, "ls-files", "-z").strip("\0").split("\0")
    return {name: hashlib.sha256((course / name).read_bytes()).hexdigest() for name in names}


def test_a_first_lesson(course: Path, page: Any, lab: tuple[Any, str]) -> None:
    copy = course / "my_work" / "00_start_here.ipynb"
    opened = copy.read_bytes()
    before = contents(course)
    assert "/lab/tree/my_work/00_start_here.ipynb?token=" in lab[1]
    page.wait_for_selector(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell", timeout=90_000)
    assert page.locator(".lm-TabBar-tab.jp-mod-current .lm-TabBar-tabLabel").last.inner_text() == "00_start_here.ipynb"

    run_all_cells(page)
    picture = page.locator('.jupyter-widgets img[alt^="the decoded image at"]')
    handle = page.locator(".noUi-handle[role=slider]").first
    handle.wait_for(timeout=90_000)
    handle.scroll_into_view_if_needed()
    source, alt = picture.get_attribute("src"), picture.get_attribute("alt")
    assert "z[0] = 0.0" in alt
    handle.focus()
    page.keyboard.press("ArrowRight")
    # the kernel answers in order: when the picture has changed, the last cell has run
    wait_for(lambda: picture.get_attribute("src") != source, "another picture")
    assert "z[0] = 0.1" in picture.get_attribute("alt")

    page.keyboard.press("Control+s")
    wait_for(lambda: copy.read_bytes() != opened, "the save")
    check_what_ran(json.loads(opened), json.loads(copy.read_text()))
    pop_ups = page.locator(".Toastify__toast, .jp-Dialog")
    assert pop_ups.count() == 0, pop_ups.all_inner_texts()  # no news, no build prompt, no failed save
    assert git(course, "status", "--porcelain") == ""
    assert contents(course) == before


def check_what_ran(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Every cell up to the last, without an error, on the data that this run is about."""
    outputs = [output for cell in after["cells"] for output in cell.get("outputs", ())]
    assert [output for output in outputs if output["output_type"] == "error"] == []
    stored, figures = lesson_figures(before), lesson_figures(after)
    assert figures["test_loss"] > stored["test_loss"]  # of the full training; this was the short one
    assert figures["source"] == ("mnist" if os.environ.get("VAE_COURSE_DATA") else "drawn")


def lesson_figures(nb: dict[str, Any]) -> dict[str, Any]:
    """What the last code cell printed."""
    cell = [cell for cell in nb["cells"] if cell["cell_type"] == "code"][-1]
    assert cell["metadata"]["tags"] == ["figures"]
    return dict(json.loads("".join(cell["outputs"][0]["text"])))


def test_without_the_token_nothing_is_shown(lab: tuple[Any, str]) -> None:
    server = lab[1].split("/lab")[0]
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{server}/api/contents", timeout=10)
    with urllib.request.urlopen(f"{server}/lab", timeout=10) as answer:
        assert "/login" in answer.url


def test_ctrl_c_ends_server_and_kernels(course: Path, lab: tuple[subprocess.Popen[bytes], str]) -> None:
    process, address = lab

    def ours() -> list[str]:
        lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
        return [line for line in lines if str(course / ".venv") in line]

    assert ours()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    process.wait(20)
    wait_for(lambda: not ours(), "the kernels' end")
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(address, timeout=10)
