"""The commands, in a copy of the course and with stand-ins for Python: nothing is installed here."""

import ast
import asyncio
import fcntl
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from vae_course.cli import ALLOCATOR

HERE = Path(__file__).resolve().parent.parent
COPIED = ("Makefile", "pyproject.toml", "constraints.txt", "tools/dev.py", ".ci/run")

# Answers dev.py's probe, makes a .venv out of itself, and notes every other command it is given.
FAKE_PYTHON = """#!/bin/sh
PATH=/usr/bin:/bin
case "$*" in
  *"find_spec('uv')"*) echo "{version} Fa""lse" ;;
  *version_info\\[:2\\]*) echo "{version} {ensurepip}" ;;
  *version_info*) ;;
  "-m venv "*) mkdir -p "$3/bin"; sed s/False/True/ "$0" > "$3/bin/python"; chmod +x "$3/bin/python" ;;
  *) echo "$*" >> "{log}" ;;
esac
test ! -e "{log}.fail" || while read -r bad; do
  case "$*" in *"$bad"*) exit 3 ;; esac
done < "{log}.fail"
"""
SHIM = "#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n"


@pytest.fixture
def course(tmp_path: Path) -> Path:
    folder = tmp_path / "the course"  # a space, as in many home folders
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / name, folder / name)
    (folder / "notebooks").mkdir()
    return folder


@pytest.fixture
def dev(course: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    names = ["OPEN", "PORT", "TORCH_BACKEND", "PEER", "REPO", "N", "ASSIGNMENT", "SUBMISSIONS", "ARGS"]
    for name in (*names, "VAE_COURSE_DATA", "JUPYTER_PATH"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    spec = importlib.util.spec_from_file_location("dev", course / "tools" / "dev.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "RUNNING", "")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=1e11))
    return module


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def fake_python(path: Path, version: str, ensurepip: bool = True) -> Path:
    log = path.parent.parent / "commands"
    return executable(path, FAKE_PYTHON.format(version=version, ensurepip=ensurepip, log=log))


def commands(bin_folder: Path) -> list[str]:
    log = bin_folder.parent / "commands"
    return log.read_text().splitlines() if log.exists() else []


def installs(bin_folder: Path) -> list[str]:
    return [line for line in commands(bin_folder) if " install " in line and "-e ." in line]


def failing(bin_folder: Path, *parts: str) -> None:
    """From now on, the commands fail that contain one of these."""
    (bin_folder.parent / "commands.fail").write_text("".join(part + "\n" for part in parts))


def sentence(dev: Any, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a failing command says: one line on stderr, exit code 1."""
    assert dev.main(list(words)) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


# ---- which Python ----


def test_the_newest_supported_python_is_taken(dev: Any, bin_folder: Path) -> None:
    fake_python(bin_folder / "python3.11", "3.11")
    best = fake_python(bin_folder / "python3.13", "3.13")
    fake_python(bin_folder / "python3", "3.15")
    assert dev.best_python() == str(best)


def test_a_shim_that_fails_hides_no_real_python(
    dev: Any, bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("python3.14", "python3.12"):
        executable(bin_folder / name, SHIM)
    real = fake_python(tmp_path / "later" / "python3.12", "3.12")
    monkeypatch.setenv("PATH", f"{bin_folder}{os.pathsep}{real.parent}")
    assert dev.best_python() == str(real)


def test_a_python_without_ensurepip_is_passed_over(dev: Any, bin_folder: Path) -> None:
    fake_python(bin_folder / "python3.14", "3.14", ensurepip=False)
    complete = fake_python(bin_folder / "python3.12", "3.12")
    assert dev.best_python() == str(complete)


def test_the_python_that_runs_dev_py_counts_too(
    dev: Any, bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev, "RUNNING", str(fake_python(tmp_path / "opt" / "python.exe", "3.12")))
    assert dev.best_python() == dev.RUNNING


def test_the_environment_is_not_made_from_itself(
    dev: Any, bin_folder: Path, course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (course / ".venv").mkdir()
    inside = fake_python(course / ".venv" / "bin" / "python3.14", "3.14")
    outside = fake_python(bin_folder / "python3.11", "3.11")
    monkeypatch.setattr(dev, "RUNNING", str(inside))
    monkeypatch.setenv("PATH", f"{inside.parent}{os.pathsep}{bin_folder}")
    assert dev.best_python() == str(outside)


def test_old_missing_and_incomplete_pythons_are_named(
    dev: Any, bin_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "found none on PATH" in sentence(dev, capsys, "test")
    fake_python(bin_folder / "python3", "3.9")
    assert "3.11 to 3.14 and found only 3.9" in sentence(dev, capsys, "test")
    fake_python(bin_folder / "python3.12", "3.12", ensurepip=False)
    assert "apt install python3.12-venv" in sentence(dev, capsys, "test")


def test_dev_py_is_understood_by_an_old_python() -> None:
    tree = ast.parse((HERE / "tools/dev.py").read_text(), feature_version=(3, 6))
    imported = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    imported |= {(n.module or "").split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert imported - set(sys.stdlib_module_names) == set()
    assert "__future__" not in imported  # `annotations` is from 3.7


# ---- the environment ----


def test_an_unchanged_environment_runs_no_installer(dev: Any, bin_folder: Path, course: Path) -> None:
    fake_python(bin_folder / "python3.12", "3.12")
    dev.ensure_environment(dev.LAB)
    assert installs(bin_folder) == [f"-m uv pip install --python {dev.PYTHON} -e .[lab] -c constraints.txt"]
    before = commands(bin_folder)
    start = time.perf_counter()
    dev.ensure_environment(dev.LAB)
    assert commands(bin_folder) == before
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_changed_requirements_are_noticed(dev: Any, bin_folder: Path, course: Path, name: str) -> None:
    fake_python(bin_folder / "python3.12", "3.12")
    dev.ensure_environment(dev.LAB)
    with open(course / name, "a") as file:
        file.write("\n# changed\n")
    assert not dev.is_ready(dev.LAB)
    dev.ensure_environment(dev.LAB)
    assert len(installs(bin_folder)) == 2


def test_all_extras_serve_lab_but_not_the_other_way(dev: Any, bin_folder: Path) -> None:
    fake_python(bin_folder / "python3.12", "3.12")
    dev.ensure_environment(dev.LAB)
    assert not dev.is_ready(dev.ALL)
    dev.ensure_environment(dev.ALL)
    os.remove(dev.stamp_path(dev.LAB))
    assert dev.is_ready(dev.LAB)


def test_an_interrupted_install_leaves_no_stamp(
    dev: Any, bin_folder: Path, course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_python(bin_folder / "python3.12", "3.12")
    dev.ensure_environment(dev.LAB)
    old = (course / "constraints.txt").read_text()
    (course / "constraints.txt").write_text(old + "\n# newer\n")

    def interrupted(extras: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dev, "install", interrupted)
        assert dev.main(["lab"]) == 130
    assert not dev.is_ready(dev.LAB)
    (course / "constraints.txt").write_text(old)  # half of the newer set may be in by now
    assert not dev.is_ready(dev.LAB)


def test_a_failed_test_set_leaves_lab_usable(dev: Any, bin_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_python(bin_folder / "python3.12", "3.12")
    dev.ensure_environment(dev.LAB)
    failing(bin_folder, "-e .[lab,teach")
    sentence(dev, capsys, "test")
    assert dev.is_ready(dev.LAB)


@pytest.mark.parametrize("damage", ["gone", "not running", "too old", "without pip"])
def test_a_broken_environment_is_rebuilt(dev: Any, bin_folder: Path, damage: str) -> None:
    fake_python(bin_folder / "python3.12", "3.12")
    dev.ensure_environment(dev.LAB)
    python = Path(dev.PYTHON)
    marker = python.parent / "left from before"
    marker.touch()
    if damage == "gone":
        python.unlink()
    elif damage == "not running":
        executable(python, SHIM)
    else:
        fake_python(python, "3.9" if damage == "too old" else "3.12", ensurepip=damage == "too old")
        os.remove(dev.stamp_path(dev.LAB))
    dev.ensure_environment(dev.LAB)
    assert not marker.exists()
    assert dev.is_ready(dev.LAB)


def test_pip_takes_over_from_uv_and_then_a_sentence(
    dev: Any, bin_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_python(bin_folder / "python3.12", "3.12")
    by_pip = "-m pip install -e .[lab] -c constraints.txt"
    failing(bin_folder, "-m uv")  # uv is there and fails
    dev.ensure_environment(dev.LAB)
    assert [by_pip == line for line in installs(bin_folder)] == [False, True]
    os.remove(dev.stamp_path(dev.LAB))
    failing(bin_folder, "-m pip install --quiet uv")  # uv cannot be had
    dev.ensure_environment(dev.LAB)
    assert [by_pip == line for line in installs(bin_folder)] == [False, True, True]
    os.remove(dev.stamp_path(dev.LAB))
    failing(bin_folder, "-m uv", "-m pip")
    said = sentence(dev, capsys, "lab")
    assert "check the network" in said
    assert "make wheelhouse" in said
    assert not dev.is_ready(dev.LAB)


def test_torch_backend_is_asked_for_once(dev: Any, bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_python(bin_folder / "python3.12", "3.12")
    monkeypatch.setenv("TORCH_BACKEND", "cpu")
    dev.ensure_environment(dev.LAB)
    monkeypatch.delenv("TORCH_BACKEND")
    assert dev.is_ready(dev.LAB)
    dev.ensure_environment(dev.ALL)
    assert [line.endswith("--torch-backend cpu") for line in installs(bin_folder)] == [True, True]
    monkeypatch.setenv("TORCH_BACKEND", "cu128")
    assert not dev.is_ready(dev.LAB)


def test_a_wheelhouse_replaces_the_network_for_learners(
    dev: Any, bin_folder: Path, course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (course / "wheelhouse").mkdir()
    fake_python(bin_folder / "python3.12", "3.12")
    monkeypatch.setenv("TORCH_BACKEND", "cpu")  # would add an index
    dev.ensure_environment(dev.LAB)
    dev.ensure_environment(dev.ALL)
    lab, everything = installs(bin_folder)
    assert lab.endswith(f"--no-index --find-links {course / 'wheelhouse'}")
    assert "--no-index" not in everything


@pytest.mark.parametrize(("backend", "gigabytes", "enough"), [("", 7, False), ("", 9, True), ("cpu", 7, True)])
def test_disk_space_is_checked_first(
    dev: Any,
    bin_folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    backend: str,
    gigabytes: int,
    enough: bool,
) -> None:
    fake_python(bin_folder / "python3.12", "3.12")
    monkeypatch.setattr(dev.shutil, "disk_usage", lambda path: SimpleNamespace(free=gigabytes * 1e9))
    monkeypatch.setattr(dev, "serve", lambda *_, **__: 0)
    if enough:
        assert dev.main(["lab", f"TORCH_BACKEND={backend}"]) == 0
    else:
        assert "needs about 8 GB" in sentence(dev, capsys, "lab", f"TORCH_BACKEND={backend}")
        assert not os.path.exists(dev.VENV)


def test_a_folder_that_cannot_be_written_is_said(
    dev: Any, bin_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_python(bin_folder / "python3.12", "3.12")
    monkeypatch.setattr(dev.os, "access", lambda *_, **__: False)
    assert "cannot be written: copy the course" in sentence(dev, capsys, "lab")


def test_two_at_once_take_turns(dev: Any, bin_folder: Path, course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_python(bin_folder / "python3.12", "3.12")
    with open(course / "pyproject.toml", "r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        second = threading.Thread(target=dev.ensure_environment, args=(dev.LAB,))
        second.start()
        second.join(0.5)
        assert second.is_alive()
        assert not os.path.exists(dev.VENV)
    second.join(10)
    assert "waiting for it" in capsys.readouterr().out
    assert dev.is_ready(dev.LAB)


# ---- learners' copies ----


def lesson(text: str, output: str = "", **metadata: Any) -> str:
    outputs = [{"output_type": "stream", "name": "stdout", "text": [output]}] if output else []
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": [text], "outputs": outputs}
    return json.dumps({"cells": [cell | {"execution_count": None}], "metadata": metadata, "nbformat": 4})


@pytest.fixture
def paths(course: Path) -> tuple[Path, Path]:
    source = course / "notebooks" / "01_elbo.ipynb"
    source.write_text(lesson("first"))
    (course / "notebooks" / "draft.ipynb").write_text(lesson("no number, no lesson"))
    return source, course / "my_work" / "01_elbo.ipynb"


def test_new_lessons_are_copied(dev: Any, paths: tuple[Path, Path]) -> None:
    source, copy = paths
    assert dev.copy_notebooks() == [str(copy)]
    assert copy.read_bytes() == source.read_bytes()
    assert dev.copy_notebooks() == []
    assert sorted(path.name for path in copy.parent.iterdir()) == [".copies.json", "01_elbo.ipynb"]


def test_an_untouched_copy_follows_its_lesson(dev: Any, paths: tuple[Path, Path]) -> None:
    source, copy = paths
    dev.copy_notebooks()
    copy.write_text(lesson("first", language_info={"version": "3.12"}))  # only opened, in JupyterLab
    source.write_text(lesson("second"))
    dev.copy_notebooks()
    assert copy.read_text() == lesson("second")
    source.write_text(lesson("third"))  # and again, after a refresh
    dev.copy_notebooks()
    assert copy.read_text() == lesson("third")


@pytest.mark.parametrize("mine", [lesson("mine"), lesson("first", output="my figure"), "not JSON any more"])
def test_a_changed_copy_is_never_touched(
    dev: Any, paths: tuple[Path, Path], capsys: pytest.CaptureFixture[str], mine: str
) -> None:
    source, copy = paths
    dev.copy_notebooks()
    copy.write_text(mine)
    dev.copy_notebooks()
    assert capsys.readouterr().out == ""  # the lesson has not changed: nothing to say
    source.write_text(lesson("second"))
    for _ in range(2):
        dev.copy_notebooks()
        assert copy.read_text() == mine
        assert "my_work/01_elbo.ipynb is yours" in capsys.readouterr().out
    copy.rename(copy.with_name("mine.ipynb"))
    dev.copy_notebooks()
    assert copy.read_text() == lesson("second")


@pytest.mark.parametrize("record", ["", "{damaged", "[1]"])
def test_without_a_record_a_copy_counts_as_changed(dev: Any, paths: tuple[Path, Path], record: str) -> None:
    source, copy = paths
    dev.copy_notebooks()
    (copy.parent / ".copies.json").write_text(record)
    source.write_text(lesson("second"))
    dev.copy_notebooks()
    assert copy.read_text() == lesson("first")


def test_a_kill_while_copying_leaves_the_old_copy(
    dev: Any, paths: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, copy = paths
    dev.copy_notebooks()
    source.write_text(lesson("second"))

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dev.os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            dev.copy_notebooks()
    assert copy.read_text() == lesson("first")
    dev.copy_notebooks()
    assert copy.read_text() == lesson("second")


@pytest.fixture
def sheets(course: Path) -> Path:
    """The folder of the learner's sheets; there are two."""
    (course / "exercises").mkdir()
    for name in ("01_elbo", "04_low_level_pytorch"):
        links = "[lesson](../notebooks/01_elbo.ipynb), [answers](../solutions/01_elbo.ipynb)"
        (course / "exercises" / f"{name}.ipynb").write_text(lesson(f"sheet {name}: {links}"))
    return course / "my_work" / "exercises"


def test_sheets_are_copied_with_links_that_lead_on_from_there(dev: Any, paths: tuple[Path, Path], sheets: Path) -> None:
    source, copy = paths
    source.write_text(lesson("its sheet: [01](../exercises/01_elbo.ipynb)"))
    assert len(dev.copy_notebooks()) == 3
    assert "[01](exercises/01_elbo.ipynb)" in copy.read_text()
    text = (sheets / "01_elbo.ipynb").read_text()
    assert "[lesson](../01_elbo.ipynb), [answers](../../solutions/01_elbo.ipynb)" in text
    assert dev.copy_notebooks() == []


@pytest.mark.parametrize("number", ["4", "04", "04_low_level_pytorch"])
def test_one_sheet_is_copied_on_request(
    dev: Any, paths: tuple[Path, Path], sheets: Path, capsys: pytest.CaptureFixture[str], number: str
) -> None:
    assert dev.main(["exercise", f"N={number}"]) == 0
    assert [path.name for path in sheets.iterdir()] == ["04_low_level_pytorch.ipynb"]
    assert "solutions/04_low_level_pytorch.ipynb" in capsys.readouterr().out
    mine = lesson("my answer")
    (sheets / "04_low_level_pytorch.ipynb").write_text(mine)
    assert dev.main(["exercise", f"N={number}"]) == 0
    assert (sheets / "04_low_level_pytorch.ipynb").read_text() == mine


def test_progress_counts_sheets_that_are_not_begun(dev: Any, sheets: Path, ran: list[Any]) -> None:
    dev.main(["progress"])
    assert len(list(sheets.iterdir())) == 2
    ((command, _),) = ran
    page = str(sheets.parent / "progress.html")
    assert command[1:] == ["-m", "vae_course.classroom.progress", str(sheets), "--out", page]


@pytest.mark.parametrize("words", [["exercise"], ["exercise", "N=9"], ["release", "ASSIGNMENT=x"], ["grade"]])
def test_what_is_missing_is_asked_for(
    dev: Any, sheets: Path, ran: list[Any], capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert dev.main(words) == 1
    printed = capsys.readouterr().err
    assert "make grade SUBMISSIONS=folder" in printed or "there are 01, 04." in printed
    assert ran == []


def test_teachers_commands_get_a_fresh_wheel(dev: Any, sheets: Path, ran: list[Any], monkeypatch: Any) -> None:
    monkeypatch.setattr(dev, "newest_wheel", lambda: "a.whl")
    dev.main(["release", "ASSIGNMENT=4"])
    dev.main(["grade", "SUBMISSIONS=handed in", "ASSIGNMENT=01"])
    (released, _), (graded, _) = ran
    assert released[1:] == ["-m", "vae_course.classroom", "release", "04", "--wheel", "a.whl"]
    folder = str(Path("handed in").absolute())
    assert graded[1:] == ["-m", "vae_course.classroom", "grade", folder, "--wheel", "a.whl", "--assignment", "01"]


# ---- JupyterLab ----


def test_a_taken_port_that_was_asked_for_is_an_error(dev: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for command in ("lab", "edit"):
            assert f"Port {port} is taken" in sentence(dev, capsys, command, f"PORT={port}")
    assert dev.port_options() == [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]


@pytest.mark.parametrize("port", ["abc", "0", "70000", "-1"])
def test_what_is_no_port_is_said(dev: Any, capsys: pytest.CaptureFixture[str], port: str) -> None:
    assert f"PORT={port} is no port" in sentence(dev, capsys, "lab", f"PORT={port}")


def test_without_port_jupyter_moves_on_by_itself(dev: Any) -> None:
    assert dev.port_options() == []


@pytest.mark.parametrize("uid", [0, 1000])
@pytest.mark.parametrize("browser", ["", "0"])
def test_jupyter_is_started_as_promised(
    dev: Any, course: Path, monkeypatch: pytest.MonkeyPatch, uid: int, browser: str
) -> None:
    monkeypatch.setattr(dev.os, "getuid", lambda: uid)
    monkeypatch.setenv("OPEN", browser)
    (course / "my_work").mkdir()
    (course / "my_work" / dev.FIRST).touch()
    command = dev.jupyter_command("my_work/" + dev.FIRST, [])
    assert ("--allow-root" in command) == (uid == 0)
    assert ("--no-browser" in command) == (browser == "0")
    assert f"--ServerApp.root_dir={course}" in command
    assert "--LabApp.default_url=/lab/tree/my_work/00_start_here.ipynb" in command
    assert not any("token" in word or "password" in word for word in command)
    overrides = json.loads((course / ".venv/share/jupyter/lab/settings/overrides.json").read_text())
    assert overrides["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"


def test_lab_never_pairs_and_edit_does(dev: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(dev, "ensure_environment", lambda extras: None)

    def serve(command: list[str], **env: str) -> int:
        started.append((command, env))
        return 0

    monkeypatch.setattr(dev, "serve", serve)
    assert dev.main(["lab"]) == dev.main(["edit"]) == 0
    (lab, _), (edit, env) = started
    assert "--ServerApp.jpserver_extensions={'jupyterlab_jupytext': False}" in lab
    assert not any("paired_contents" in word for word in lab)
    assert "--ServerApp.contents_manager_class=paired_contents.PairedContents" in edit
    assert env == {"PYTHONPATH": os.path.join(dev.ROOT, "tools")}


def test_kernels_of_other_places_do_not_stand_before_ours(
    dev: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_PATH", "elsewhere")
    monkeypatch.setenv("MALLOC_TOP_PAD_", "5")
    out = tmp_path / "out"
    script = "import json, os, sys; json.dump([dict(os.environ), sys.stdin.read()], open(sys.argv[1], 'w'))"
    monkeypatch.setattr(dev.signal, "signal", lambda *_: None)
    assert dev.serve([sys.executable, "-c", script, str(out)]) == 0
    env, typed = json.loads(out.read_text())
    assert env["JUPYTER_PREFER_ENV_PATH"] == "1"
    assert {name: env[name] for name in ALLOCATOR} == {**ALLOCATOR, "MALLOC_TOP_PAD_": "5"}  # the user's own stays
    assert "JUPYTER_PATH" not in env
    assert typed == ""


def test_the_allocator_is_set_as_the_command_sets_it(dev: Any) -> None:
    assert dev.ALLOCATOR == ALLOCATOR


@pytest.mark.parametrize("signal", ["INT", "TERM", "HUP"])
def test_the_server_ends_with_its_command(course: Path, tmp_path: Path, signal: str) -> None:
    pid_file = tmp_path / "pid"
    child = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    script = (
        f"import sys; sys.path.insert(0, 'tools'); import dev; sys.exit(dev.serve([sys.executable, '-c', {child!r}]))"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=course, stderr=subprocess.PIPE)
    deadline = time.time() + 10
    while not (pid_file.exists() and pid_file.read_text()) and time.time() < deadline:
        time.sleep(0.02)
    subprocess.run(["kill", f"-{signal}", str(parent.pid)], check=True)
    assert parent.wait(10) == 0
    assert parent.stderr is not None
    assert parent.stderr.read() == b""
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_saving_either_twin_writes_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE / "tools"))
    from paired_contents import PairedContents

    shutil.copy(HERE / "jupytext.toml", tmp_path)
    source, twin = tmp_path / "notebooks" / "01_elbo.py", tmp_path / "notebooks" / "01_elbo.ipynb"
    outside = tmp_path / "my_work" / "01_elbo.ipynb"
    for folder in (source.parent, outside.parent):
        folder.mkdir()
    source.write_text('# %% tags=["kept"]\nx = 1\n')
    twin.write_text(json.dumps(json.loads(lesson("x = 1", output="seen")) | {"nbformat_minor": 5}))
    shutil.copy(twin, outside)
    os.utime(source, (1, 1))  # as after a build
    manager = PairedContents(root_dir=str(tmp_path))

    async def save(path: str, old: str, new: str, kind: str = "notebook") -> None:
        content = (await manager.get(path, type=kind))["content"]
        if kind == "file":
            await manager.save({"type": "file", "format": "text", "content": content.replace(old, new)}, path)
        else:
            content["cells"][0]["source"] = content["cells"][0]["source"].replace(old, new)
            content["cells"][0]["metadata"]["scrolled"] = True
            await manager.save({"type": "notebook", "content": content}, path)

    def both() -> tuple[str, str]:
        cell = json.loads(twin.read_text())["cells"][0]
        assert cell["outputs"][0]["text"] == ["seen"]
        return source.read_text(), "".join(cell["source"])

    asyncio.run(save("notebooks/01_elbo.ipynb", "1", "2"))
    assert both() == ('# %% tags=["kept"]\nx = 2\n', "x = 2")
    asyncio.run(save("notebooks/01_elbo.py", "2", "3"))
    assert both() == ('# %% tags=["kept"]\nx = 3\n', "x = 3")
    asyncio.run(save("notebooks/01_elbo.py", "3", "4", kind="file"))
    assert both() == ('# %% tags=["kept"]\nx = 4\n', "x = 4")
    asyncio.run(save("my_work/01_elbo.ipynb", "1", "5"))
    assert [path.name for path in outside.parent.glob("*.py")] == []


def test_jupytext_toml_never_pairs() -> None:
    import tomllib

    assert set(tomllib.loads((HERE / "jupytext.toml").read_text())) == {
        "notebook_metadata_filter",
        "cell_metadata_filter",
    }


# ---- the other commands ----


@pytest.fixture
def ran(dev: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, Any]]]:
    """What would have run, with what was added to the environment."""
    calls: list[tuple[list[str], dict[str, Any]]] = []
    monkeypatch.setattr(dev, "ensure_environment", lambda extras: None)

    def run(command: list[str], **env: Any) -> int:
        calls.append((command, env))
        return 7

    monkeypatch.setattr(dev, "run", run)
    return calls


def test_a_quotation_mark_left_open_is_said(dev: Any, ran: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert dev.main(["test", "ARGS=-k it's"]) == 1
    assert "ARGS cannot be read" in capsys.readouterr().err
    assert not ran


def test_tests_run_once_and_their_status_comes_back(dev: Any, ran: list[Any]) -> None:
    assert dev.main(["test", 'ARGS=-k "two words"']) == 7
    ((command, env),) = ran
    assert command[1:] == [
        *["-m", "pytest", "-n", "2", "--dist", "loadfile", "--nbval-lax", "--nbval-current-env"],
        *["--nbval-cell-timeout=600", "tests", "notebooks", "solutions", "exercises", "-k", "two words"],
    ]
    assert env["VAE_COURSE_FAST"] == env["OMP_NUM_THREADS"] == env["MKL_NUM_THREADS"] == "1"
    assert env["MPLBACKEND"] is None


def test_the_long_tests_are_not_fast(dev: Any, ran: list[Any]) -> None:
    dev.main(["test-all"])
    assert (ran[0][1]["VAE_COURSE_LONG"], ran[0][1]["VAE_COURSE_FAST"]) == ("1", None)


def test_run_can_remove_a_variable(dev: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    script = "import os, sys; sys.exit(('MPLBACKEND' in os.environ) + 2 * (os.environ['ADDED'] == 'x'))"
    assert dev.run([sys.executable, "-c", script], MPLBACKEND=None, ADDED="x") == 2


@pytest.mark.parametrize("failed", ["", "-m mypy", "tools/build_notebooks.py", "-m pytest", "-m ruff format"])
def test_check_fails_when_one_part_does(
    dev: Any, bin_folder: Path, capsys: pytest.CaptureFixture[str], failed: str
) -> None:
    fake_python(bin_folder / "python3.12", "3.12")
    failing(bin_folder, *([failed] if failed else []))
    assert dev.main(["check"]) == bool(failed)
    out = capsys.readouterr().out
    assert out.count("passed") + out.count("FAILED") == 5
    name = failed.replace("-m ", "")
    assert [said.startswith(name) for said in re.findall(r"FAILED +(.*)", out)] == [True] * bool(failed)


def test_what_a_command_lacks_is_said(dev: Any, ran: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert "PEER=" in sentence(dev, capsys, "bench")
    assert "owner/name" in sentence(dev, capsys, "publish")
    assert "owner/name" in sentence(dev, capsys, "publish", "REPO=https://host/owner/name")
    assert "make help" in sentence(dev, capsys, "lob")
    assert ran == []
    dev.main(["publish", "REPO=an-owner/a.name"])
    assert ran[0][0][1:] == ["tools/build_notebooks.py", "publish", "an-owner/a.name"]


def test_data_folders_are_made_absolute(
    dev: Any, ran: list[Any], course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(course)
    dev.main(["test", "VAE_COURSE_DATA=../shared/data"])
    assert os.environ["VAE_COURSE_DATA"] == str(course.parent / "shared" / "data")
    dev.main(["test", "VAE_COURSE_DATA="])
    assert "VAE_COURSE_DATA" not in os.environ


def test_a_make_inside_a_test_is_not_ours(dev: Any, ran: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAKEFLAGS", " -- ARGS=-k")
    dev.main(["test"])
    assert "MAKEFLAGS" not in os.environ


def test_clean_spares_what_learners_made(dev: Any, course: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (course / ".venv").symlink_to(elsewhere)
    gone = ["dist/w.whl", "build/lib/m.py", "tools/__pycache__/m.pyc", "vae_course.egg-info/PKG-INFO"]
    kept = ["my_work/01.ipynb", "my_work/__pycache__/x", "wheelhouse/w.whl", "notebooks/01.py"]
    for name in gone + kept:
        (course / name).parent.mkdir(parents=True, exist_ok=True)
        (course / name).touch()
    assert dev.main(["clean"]) == 0
    assert [name for name in gone if (course / name).exists()] == []
    assert [name for name in kept if not (course / name).exists()] == []
    assert elsewhere.is_dir()
    assert not (course / ".venv").is_symlink()


# ---- the Makefile and CI ----

MAKEFILE = (HERE / "Makefile").read_text()


def test_every_command_is_a_target_with_a_help_line(dev: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rules = dict(re.findall(r"^([a-z-]+): ## (.+)\n\t\$\(dev\)$", MAKEFILE, re.MULTILINE))
    phony = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert set(rules) == set(dev.TARGETS)
    assert set(" ".join(phony).split()) == set(dev.TARGETS)
    dev.main(["help"])
    listed = capsys.readouterr().out
    assert all(re.search(rf"^  {name} +{re.escape(text)}$", listed, re.MULTILINE) for name, text in rules.items())


def test_make_alone_is_help(course: Path) -> None:
    outputs = {
        subprocess.run(command, cwd=course, capture_output=True, text=True, check=True).stdout
        for command in (["make"], ["make", "help"], [sys.executable, "tools/dev.py"])
    }
    assert len(outputs) == 1
    assert "set up and open JupyterLab" in outputs.pop()


def test_the_makefile_asks_for_no_newer_make_than_3_81() -> None:
    newer = [r"!=", r"\.ONESHELL", r"\$\(file ", r"::?:=", r"\$\(guile", r"\$\(intcmp", r"\$\(let ", r"&:"]
    newer += [r"^undefine ", r"^private ", r"\.EXTRA_PREREQS", r"^define \w+ *[:+?]?="]
    code = re.sub(r"^#.*$", "", MAKEFILE, flags=re.MULTILINE)
    assert [word for word in newer if re.search(word, code, re.MULTILINE)] == []


def make(course: Path, path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": str(path), "HOME": str(course)}
    program = shutil.which("make")
    assert program is not None
    return subprocess.run([program, *words], cwd=course, env=env, capture_output=True, text=True)


def test_make_passes_over_shims_and_hands_variables_on(course: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    executable(folder / "python3.14", SHIM)
    run = f'#!/bin/sh\ncase "$1" in -c) exec {sys.executable} "$@";; esac\necho "$* $PORT $OPEN $VAE_COURSE_DATA"\n'
    executable(folder / "python3", run)
    done = make(course, folder, "lab", "PORT=9", "OPEN=0", "VAE_COURSE_DATA=../data")
    assert done.stdout == "tools/dev.py lab 9 0 ../data\n"


def test_make_without_any_python_says_so(course: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    executable(folder / "python3", SHIM)
    done = make(course, folder, "lab")
    assert done.returncode != 0
    assert done.stderr.startswith("No Python was found: install Python 3.11 to 3.14")


@pytest.mark.parametrize("installed", [True, False])
def test_ci_runs_the_readmes_test_command(course: Path, tmp_path: Path, installed: bool) -> None:
    folder = tmp_path / "bin"
    for name in ("bash", "dirname", "sleep"):
        folder.mkdir(exist_ok=True)
        (folder / name).symlink_to(str(shutil.which(name)))
    log = tmp_path / "log"
    note = f'#!/bin/sh\necho "${{0##*/}} $*" "$VAE_COURSE_REQUIRE $VAE_COURSE_DATA" >> {log}\n'
    for name in ("make", "apt-get", "sudo"):
        executable(folder / name, note + ('exec "$@"\n' if name == "sudo" else ""))
    executable(folder / "python3", "#!/bin/sh\n")
    if installed:
        executable(folder / "chromium", "#!/bin/sh\n")
        executable(folder / "bwrap", "#!/bin/sh\n")
    (tmp_path / "shared" / "data").mkdir(parents=True)
    bash = str(folder / "bash")
    subprocess.run([bash, course / ".ci/run"], env={"PATH": str(folder)}, check=True, stdout=subprocess.DEVNULL)
    calls = [line.rstrip() for line in log.read_text().splitlines() if not line.startswith("sudo")]
    assert calls[-1] == "make test browser,colab,sandbox ../shared/data"
    assert any("install chromium bubblewrap" in call for call in calls) == (not installed)
    assert len(calls) == (1 if installed else 3)
