"""Fresh places for the end-to-end tests: copies of the course, and environments that borrow this one's packages."""

import json
import os
import shutil
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
    """What a commit of everything here would hold, in a repository of its own."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git = ["git", "-c", "user.name=test", "-c", "user.email=", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "copy"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    return folder


def borrow_environment(venv: Path) -> Path:
    """A new environment with every package of this one except the course; returns its Python.

    The packages lie outside of it, behind links in a folder that a .pth file names: pip sees them, and refuses to
    replace them. What is installed into the environment itself stands before them.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    borrowed = venv.with_name(venv.name + "-borrowed")
    borrowed.mkdir()
    for entry in PACKAGES.iterdir():
        if "vae_course" not in entry.name and not (entry.name == "__pycache__" or entry.suffix == ".pth"):
            (borrowed / entry.name).symlink_to(entry)
    (site_packages(venv) / "borrowed.pth").write_text(f"{borrowed}\n")
    python = venv / "bin" / "python"
    absent = subprocess.run([python, "-c", "import torch, vae_course"], cwd=venv, capture_output=True, text=True)
    assert "No module named 'vae_course'" in absent.stderr, absent.stderr
    return python


def site_packages(venv: Path) -> Path:
    (folder,) = venv.glob("lib/python*/site-packages")
    return folder


def distributions(python: Path) -> set[str]:
    """All installed packages, each with its version and where it lies."""
    script = "from importlib.metadata import distributions as d; print(*{f'{x.name} {x.version} {x._path}' for x in d()}, sep='\\n')"
    done = subprocess.run([python, "-c", script], env=clean_environment(), capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines())


def clean_environment(**more: str) -> dict[str, str]:
    """Fast mode, without the settings that would lead Python, pip or Jupyter out of a fresh environment."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "JUPYTER", "PYTEST"))}
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
