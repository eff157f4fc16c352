"""The project's own files agree with each other."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import vae_course
from vae_course import results

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirements() -> list[str]:
    groups = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    return [line for group in groups for line in group if not line.startswith("vae-course")]


def tracked() -> list[Path]:
    """The files that a commit would hold."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.slow  # `make check` runs these four by themselves
@pytest.mark.parametrize(
    "command",
    ["-m ruff check", "-m ruff format --check", "-m mypy", "tools/build_notebooks.py --check"],
)
def test_lint_types_and_twins(command):
    result = subprocess.run([sys.executable, *command.split()], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "old package" not in result.stdout  # lessons that ran with an earlier vae_course: make notebooks


def test_version_is_the_same_in_package_and_project():
    assert vae_course.__version__ == PROJECT["project"]["version"]


@pytest.mark.parametrize("requirement", requirements())
def test_every_requirement_has_a_floor_and_a_pinned_version_above_it(requirement):
    name, floor = re.fullmatch(r"([A-Za-z0-9-]+)>=([\d.]+).*", requirement).groups()
    pins = re.findall(rf"^{name}==([\d.]+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert pins, f"{name} has no version in constraints.txt: make constraints"
    for pin in pins:
        assert [int(n) for n in pin.split(".")] >= [int(n) for n in floor.split(".")]


def test_constraints_are_names_and_versions_only():
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[\w.+!]+( ; .+)?", line), line


def test_packages_are_all_listed_for_the_wheel():
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "vae_course").rglob("__init__.py")}
    assert {".".join(folder.parts) for folder in folders} == set(PROJECT["tool"]["setuptools"]["packages"])


def test_two_layers_only_the_named_modules_know_a_plotting_library_or_a_front_end():
    allowed = {
        "matplotlib": {"plots"},
        "IPython": {"plots", "animation", "explorer", "pad", "check"},
        "ipywidgets": {"explorer"},
    }
    for path in (ROOT / "vae_course").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in {name.split(".")[0] for name in names} & set(allowed):
                assert path.stem in allowed[name], f"{path.name} imports {name}"


def test_every_public_function_of_the_package_says_what_it_does():
    for path in (ROOT / "vae_course").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree) or path.parent.name == "models", path
        if path.parent.name in ("checks", "classroom"):
            continue  # learners and teachers call checks and commands; the functions behind them are not for import
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path.name}: {node.name}"


def test_readme_and_ledger_hold_what_was_measured():
    command = [sys.executable, str(ROOT / "benchmarks" / "ledger.py"), "--check"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_sliders_and_pad_are_as_quick_and_as_small_as_they_promise():
    """A slider's picture comes at most a third later than that of a slider which only shows a ready one."""
    sliders = results.load("sliders")["figures"]["median"]
    assert sliders["kernel_ms"] <= 5
    assert sliders["browser_over_floor"] <= 4 / 3
    assert sliders["browser_ratio"] <= 1 / 2  # of interact's time with matplotlib
    assert sliders["drag_ratio"] <= 1 / 2
    pads = results.load("pad")["figures"]["table"]
    assert pads[0]["in a notebook (kB)"] <= 300
    for pad in pads:
        assert pad["as a file (kB)"] <= 1500
        assert pad["largest difference (255ths)"] <= 2
        assert pad["frames a second"] >= 30


def test_comparison_with_the_peer_is_within_what_was_promised():
    record = json.loads((ROOT / "vae_course" / "results" / "peer.json").read_text(encoding="utf-8"))
    median = record["figures"]["median"]
    assert median["our_test_loss"] <= median["peer_test_loss"]
    assert median["time_ratio"] <= 0.25
    assert all(row["seconds_used"] <= row["peer_seconds"] for row in record["figures"]["rounds"])
    assert median["test_loss_at_peer_time"] <= 100.0
    assert median["speed_over_peer"] >= 1.5
    assert median["speed_over_loader"] >= 2.0


@pytest.mark.slow  # it imports torchvision, which takes seconds
def test_benchmark_without_a_checkout_says_what_it_wants(tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks" / "peer.py"), "--peer", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 1
    assert result.stderr.strip().count("\n") == 0
    assert "checkout of pytorch/examples" in result.stderr


def test_no_path_of_a_machine_and_no_package_host_is_committed():
    home = re.compile(r"(?<![\w.])/(?:home|root|Users)/\w+|https?://[^ \"]+/simple/?[\"\s]")
    for path in tracked():
        if path.suffix in (".py", ".md", ".ipynb", ".toml", ".txt", ".yml", ".json") or path.name == "Makefile":
            found = home.search(path.read_text(encoding="utf-8"))
            assert not found or path.parent.name == "tests", f"{path.name}: {found and found[0]}"
