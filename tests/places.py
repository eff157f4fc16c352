"""Fresh places for the end-to-end tests: copies of the course, and environments that borrow this one's packages."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = Path(sysconfig.get_paths()["purelib"])


def copy_course(folder: Path) -> Path:
    """All files that git does not ignore, committed in a repository of their own; this one is not touched."""
    name = ["-c", "user.name=test", "-c", "user.email=", "-c", "commit.gpgsign=false"]
    outside = [*name, f"--git-dir={folder / '.git'}", f"--work-tree={ROOT}"]
    for command in (
        ["init", "-q", str(folder)],
        [*outside, "add", "--all"],
        [*outside, "commit", "-q", "--no-verify", "-m", "copy"],
        ["-C", str(folder), "reset", "-q", "--hard"],
    ):
        subprocess.run(["git", *command], cwd=ROOT, env=clean_environment(), check=True)
    return folder


def borrow_environment(venv: Path, links: Path) -> Path:
    """A new environment with every package of this one except the course; returns its Python.

    The packages lie outside of it, in the folder `links`, which a .pth file names: pip sees them, and refuses to
    replace them. What is installed into the environment itself stands before them.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    links.mkdir()
    for entry in PACKAGES.iterdir():
        if "vae_course" not in entry.name and entry.name != "__pycache__" and entry.suffix != ".pth":
            (links / entry.name).symlink_to(entry)
    (site_packages(venv) / "borrowed.pth").write_text(f"{links}\n")
    python = venv / "bin" / "python"
    assert "vae_course" not in installed(python)
    return python


def site_packages(venv: Path) -> Path:
    (folder,) = venv.glob("lib/python*/site-packages")
    return folder


def installed(python: Path) -> dict[str, str]:
    """Every package that `python` could import by name -> its version and where it lies."""
    script = (
        "import json, importlib.metadata as m, importlib.util as u\n"
        "found = {d.name: f'{d.version} {d._path}' for d in reversed(list(m.distributions()))}\n"
        "if u.find_spec('vae_course'): found['vae_course'] = u.find_spec('vae_course').origin\n"
        "print(json.dumps(found))"
    )
    command = [python, "-c", script]
    done = subprocess.run(command, cwd=python.parent, env=clean_environment(), stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout))


def clean_environment(**more: str) -> dict[str, str]:
    """Fast mode, without the settings that would lead Python, Jupyter or git out of a fresh place."""
    elsewhere = ("PYTHON", "JUPYTER", "PYTEST", "GIT_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(elsewhere)}
    return {**kept, "VAE_COURSE_FAST": "1", **more}


def run_notebook(path: Path, python: Path, cells: Iterable[Any] | None = None, **env: str) -> Any:
    """Run the notebook at `path` where it lies, or some of its cells, with a kernel of `python`; returns it."""
    nb = nbformat.read(path, as_version=4)
    nb.cells = list(nb.cells if cells is None else cells)
    kernels = python.parents[1] / "kernels"
    (kernels / "python3").mkdir(parents=True, exist_ok=True)
    spec = {"argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"], "language": "python"}
    (kernels / "python3" / "kernel.json").write_text(json.dumps({**spec, "display_name": "Python 3"}))
    specs = KernelSpecManager(kernel_dirs=[str(kernels)], ensure_native_kernel=False)
    client = NotebookClient(
        nb,
        km=AsyncKernelManager(kernel_spec_manager=specs),
        timeout=120,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute(cleanup_kc=True, env=clean_environment(**env))
    return nb
