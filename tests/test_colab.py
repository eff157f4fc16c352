"""The course where it was not set up: its wheel in a bare environment, and Google Colab, as far as it can be had here.

Each environment borrows the large packages of this one; only the course is never there before it is installed.
"""

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from places import ROOT, borrow_environment, clean_environment, copy_course, installed, run_notebook, site_packages

pytestmark = [pytest.mark.colab, pytest.mark.slow]
LESSON = "00_start_here.ipynb"
# Colab's versions in 2026-08, and what they need beside what is here
COLAB = ["ipywidgets==7.7.1", "ipython==7.34.0", "ipykernel==6.17.1", "jupyterlab-widgets==1.1.11"]
COLAB += ["widgetsnbextension==3.6.10", "ipython-genutils==0.2.0", "backcall==0.2.0", "pickleshare==0.7.5"]
COLAB += ["decorator==4.4.2", "nest-asyncio==1.6.0"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make wheel` builds it, in a copy, because setuptools leaves files in the source."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = copy_course(folder / "course")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "-w", folder, copy], check=True)
    (wheel,) = folder.glob("vae_course-*.whl")
    return wheel


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Of an environment that has everything but the course."""
    return borrow_environment(tmp_path / "venv", tmp_path / "packages")


@pytest.fixture
def lesson(tmp_path: Path) -> Path:
    """One notebook, alone in a folder."""
    (tmp_path / "content").mkdir()
    return Path(shutil.copy(ROOT / "notebooks" / LESSON, tmp_path / "content"))


def in_colab(folder: Path) -> dict[str, str]:
    """The settings of a kernel which, as Colab's do, has imported google.colab before the first cell."""
    (folder / "stand-in/google/colab").mkdir(parents=True)
    (folder / "stand-in/google/colab/__init__.py").touch()
    startup = folder / "ipython/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "00-colab.py").write_text("import google.colab\n")
    return {"PYTHONPATH": str(folder / "stand-in"), "IPYTHONDIR": str(folder / "ipython")}


def setup_cell(path: Path) -> Any:
    """As it stands in a course that is not published: no address to install from."""
    (cell,) = (c for c in nbformat.read(path, as_version=4).cells if "setup" in c.metadata.get("tags", ()))
    cell.source, replaced = re.subn(r'(RELEASE = )"[^"]*"', r'\1""', cell.source)
    assert replaced == 1
    return cell


def printed(nb: Any) -> str:
    return "".join(output.get("text", "") for cell in nb.cells for output in cell.get("outputs", ()))


WHERE = nbformat.v4.new_code_cell("import vae_course\nprint('imported', vae_course.__file__)")


def test_the_wheel_holds_the_whole_package(wheel: Path) -> None:
    package = wheel.parent / "course" / "vae_course"
    wanted = {f"vae_course/{path.relative_to(package).as_posix()}" for path in package.rglob("*") if path.is_file()}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == wanted


def test_the_wheel_alone_runs_a_lesson(wheel: Path, python: Path, lesson: Path) -> None:
    command = [python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel]
    subprocess.run(command, env=clean_environment(), check=True)
    cells = nbformat.read(lesson, as_version=4).cells
    said = printed(run_notebook(lesson, python, [*cells, WHERE]))
    assert f"imported {site_packages(python.parents[1])}" in said
    assert '"test_loss"' in said
    assert [path.name for path in lesson.parent.iterdir()] == [LESSON]


def test_in_colab_the_lesson_installs_the_course_and_nothing_else(
    wheel: Path, python: Path, lesson: Path, tmp_path: Path
) -> None:
    assert " --no-deps " in setup_cell(lesson).source  # else, a too old package of Colab's would be replaced
    shutil.copy(wheel, lesson.parent)
    before = installed(python)
    cells = nbformat.read(lesson, as_version=4).cells
    nb = run_notebook(lesson, python, [*cells, WHERE], PIP_NO_INDEX="1", **in_colab(tmp_path))
    after = installed(python)
    site = str(site_packages(python.parents[1]))
    assert f"imported {site}" in printed(nb)
    assert '"test_loss"' in printed(nb)
    assert {name for name in after if after[name] != before.get(name)} == {"vae-course", "vae_course"}
    assert before.keys() <= after.keys()
    assert site in after["vae_course"]


@pytest.mark.parametrize("colab", [False, True])
def test_without_the_course_the_lesson_says_what_to_do(
    wheel: Path, python: Path, lesson: Path, tmp_path: Path, colab: bool
) -> None:
    if not colab:
        shutil.copy(wheel, lesson.parent)  # anywhere but in Colab, nothing is installed behind the learner's back
    before = installed(python)
    with pytest.raises(CellExecutionError, match="make lab") as caught:
        run_notebook(lesson, python, [setup_cell(lesson)], **(in_colab(tmp_path) if colab else {}))
    assert caught.value.ename == "ModuleNotFoundError"
    assert "On Colab, upload vae_course-" in caught.value.evalue
    assert installed(python) == before


SLIDERS = """
import IPython, ipywidgets, torch
from vae_course import explorer
print(IPython.__version__, ipywidgets.__version__)
sliders = explorer.Explorer(lambda z: z[:, :1, None, None].sigmoid().expand(-1, 1, 28, 28), z_dim=3)
first = sliders.picture.value
sliders.sliders[0].value = 1.5
assert sliders.picture.value != first and "z[0] = 1.5" in sliders.picture.value
sliders.show()
"""


def test_sliders_and_a_sheet_with_colabs_versions(
    wheel: Path, python: Path, lesson: Path, missing: Callable[[str, str], NoReturn]
) -> None:
    command = [sys.executable, "-m", "uv", "pip", "install", "-q", "--no-deps", "--python", python, *COLAB, wheel]
    done = subprocess.run(command, env=clean_environment(UV_SYSTEM_CERTS="1"), stderr=subprocess.PIPE, text=True)
    if done.returncode:
        missing("colab", f"Colab's versions cannot be installed: {done.stderr.strip()}")
    nb = run_notebook(lesson, python, [setup_cell(lesson), nbformat.v4.new_code_cell(SLIDERS)])
    versions, shown = nb.cells[1].outputs
    assert versions.text == "7.34.0 7.7.1\n"
    assert {"image/png", "application/vnd.jupyter.widget-view+json"} <= shown.data.keys()
    assert shown.metadata["image/png"]["alt"]
    sheet = Path(shutil.copy(ROOT / "solutions" / "01_elbo.ipynb", lesson.parent))
    outputs = [out for cell in run_notebook(sheet, python).cells for out in cell.get("outputs", ())]
    records = [out.data["application/vnd.vae-course.check+json"] for out in outputs if "data" in out]
    assert [record["verdict"] for record in records] == ["solved"] * 5
