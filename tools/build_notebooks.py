"""Build each notebook from its .py source: executed, cleaned, and stamped with what it ran on; and the blank sheets.

    python tools/build_notebooks.py                     rebuild what is stale
    python tools/build_notebooks.py 01 03_gradients     execute these; --all executes every one
    python tools/build_notebooks.py --check             name every pair that must not be committed; runs nothing
    python tools/build_notebooks.py publish OWNER/NAME  write the repository's address into badges and set-up cells
    python tools/build_notebooks.py unpublish           take it out again

The stamp in `metadata.vae_course` lets a rebuild execute only what changed, and lets `--check` see without a kernel
that a notebook left its source behind or ran on the wrong data.
"""

import argparse
import copy
import hashlib
import json
import os
import re
import sys
import time
import tomllib
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from clean_outputs import ANSI, clean
from jupytext.config import load_jupytext_configuration_file
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("notebooks", "solutions")
SHEETS, BLANKS = "solutions", "exercises"  # each solution notebook gives a blank one
CELL_SECONDS = 900
FULL_DATA = (None, "mnist")
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python", "pygments_lexer": "ipython3"}
NOISE = {"lines_to_next_cell", "lines_to_end_of_cell_marker", "cell_marker", "collapsed", "scrolled", "trusted"}
NOISE |= {"execution", "ExecuteTime", "outputId", "colab"}

# Run in the lesson's own kernel after its last cell: only there is it known what was imported and which data came.
PROBE = """
import json, os, sys
files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
print("\\n" + json.dumps({
    "modules": {name: file for name, file in files.items() if name.startswith("vae_course.") and file},
    "data": "+".join(sorted(getattr(sys.modules.get("vae_course.data"), "sources_used", ()))) or None,
    "fast": os.environ.get("VAE_COURSE_FAST", "") not in ("", "0"),
    "torch": str(sys.modules["torch"].__version__) if "torch" in files else None,
}))
"""

HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)

COLAB = "https://colab.research.google.com"
BADGE = re.compile(r"^((?:# )?<!-- badges -->)(?: \[!\[Open in Colab\]\([^)\n]*\)\]\([^)\n]*\))?", re.MULTILINE)
RELEASE = re.compile(r'(\bRELEASE = )"(?:git\+https://github\.com/[^"\n]*)?"')
REPOSITORY = re.compile(r'(^\[tool\.vae-course\][^\[]*?^repository = )"[^"\n]*"', re.MULTILINE)


class BuildError(Exception):
    """Something the person at the keyboard has to put right; the message says what."""


def sha256(text: str) -> str:
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()


def read_text(path: Path) -> str:
    """With the line ends it has, which publishing must not change."""
    return path.read_bytes().decode()


def write_text(path: Path, text: str) -> None:
    """All or nothing, so that an interrupted build leaves the old notebook whole."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_bytes(text.encode())
    scratch.replace(path)


def load(path: Path) -> NotebookNode:
    try:
        nb = nbformat.v4.reads(read_text(path))
        with warnings.catch_warnings(action="ignore"):
            nbformat.validate(json.loads(read_text(path)))  # a second copy, because it repairs what it is given
    except (ValueError, LookupError, TypeError, AttributeError, nbformat.ValidationError) as error:
        raise BuildError(f"{path.name} is not a valid notebook: {str(error).splitlines()[0]}") from None
    return nb


def dump(nb: NotebookNode) -> str:
    return str(nbformat.v4.writes(nb)) + "\n"


def code_cells(nb: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def with_address(text: str, page: str = "", repository: str = "", version: str = "") -> str:
    """`text` with badge and RELEASE pointing at the repository; without one, in the bare form that is hashed."""
    link = f"{COLAB}/github/{repository}/blob/v{version}/{page}"
    badge = f" [![Open in Colab]({COLAB}/assets/colab-badge.svg)]({link})" if repository else ""
    release = f"git+https://github.com/{repository}@v{version}" if repository else ""
    text = BADGE.sub(lambda found: found[1] + badge, text)
    return RELEASE.sub(lambda found: f'{found[1]}"{release}"', text)


def cell_ids(cells: Iterable[NotebookNode]) -> Iterator[str]:
    """Ids from the heading above and the place below it: jupytext's own are random, so every build would differ.

    A graded cell is called as nbgrader calls it.
    """
    seen, heading, ordinal = Counter[str](), "", 0
    for cell in cells:
        if cell.cell_type == "markdown" and (titles := HEADING.findall(FENCE.sub("", cell.source))):
            seen[titles[-1]] += 1
            heading, ordinal = f"{titles[-1]} {seen[titles[-1]]}", 0
        yield cell.metadata.get("nbgrader", {}).get("grade_id") or sha256(f"{heading}\n{ordinal}")[:12]
        ordinal += 1


def parse_source(text: str, root: Path) -> NotebookNode:
    """The notebook without outputs. Its ids also stand in the cells' metadata, where Colab keeps them."""
    settings = root / "jupytext.toml"
    config = load_jupytext_configuration_file(str(settings)) if settings.exists() else None
    nb = jupytext.reads(text.replace("\r\n", "\n"), fmt="py:percent", config=config)
    header = {key: value for key, value in nb.metadata.items() if key not in ("jupytext", "widgets")}
    nb.metadata = nbformat.from_dict({**header, "kernelspec": KERNELSPEC, "language_info": LANGUAGE})
    for cell, cell_id in zip(nb.cells, cell_ids(nb.cells), strict=True):
        kept = {key: value for key, value in cell.metadata.items() if key not in NOISE}
        cell.id, cell.metadata = cell_id, nbformat.from_dict({**kept, "id": cell_id})
    return nb


def package_digests(root: Path) -> dict[str, str]:
    """Module name -> hash of its file, and of the page that belongs to it, for all of vae_course."""
    digests = {}
    for path in (root / "vae_course").rglob("*.py"):
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        page = path.with_suffix(".html")
        digests[name] = sha256(read_text(path) + (read_text(page) if page.exists() else ""))
    return digests


def package_hash(modules: Iterable[str], digests: dict[str, str]) -> str:
    return sha256("\n".join(f"{name} {digests.get(name)}" for name in modules))


def same_package(built: dict[str, Any], digests: dict[str, str]) -> bool:
    return built.get("package_sha256") == package_hash(built.get("modules", ()), digests)


def run_hash(nb: NotebookNode) -> str:
    """Over what was executed and what came out; another one means that somebody ran or edited it by hand."""
    parts = ((with_address(c.source), c.metadata.get("tags"), c.execution_count, c.outputs) for c in code_cells(nb))
    return sha256(json.dumps(list(parts), sort_keys=True))


def stamp(nb: NotebookNode, text: str, root: Path, seen: dict[str, Any], digests: dict[str, str]) -> NotebookNode:
    """What `--check` and the next rebuild have to know. `digests` are older than the run: an edit during it shows."""
    for name, file in seen["modules"].items():
        here = Path(file).resolve().is_relative_to(root.resolve() / "vae_course")
        if not here and sha256(read_text(Path(file))) != digests.get(name):
            raise BuildError(f"imported {file}, which differs from this checkout: pip install -e . and build again")
    modules = sorted(seen["modules"])  # not vae_course itself: a new version number is no reason to run anything
    hashes = {"source_sha256": sha256(with_address(text)), "package_sha256": package_hash(modules, digests)}
    return nbformat.from_dict({**seen, **hashes, "modules": modules, "run_sha256": run_hash(nb)})


def execute(nb: NotebookNode, folder: Path) -> dict[str, Any]:
    """Run every cell as JupyterLab would, in `folder`; returns what the probe saw."""
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellControlSignal, DeadKernelError
    from nbclient.output_widget import OutputWidget

    # With no folders to search, "python3" is this interpreter, whatever kernels a user has installed.
    kernel = AsyncKernelManager(kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    running: list[str] = [""]
    options: dict[str, Any] = {"timeout": CELL_SECONDS, "resources": {"metadata": {"path": str(folder)}}}
    # Loopback needs no encryption, and no warning about that for every notebook.
    options |= {"record_timing": False, "extra_arguments": ["--log-level=ERROR"]}
    options |= {"on_cell_execute": lambda cell, cell_index: running.append(cell.source)}
    nb.cells.append(nbformat.v4.new_code_cell(PROBE))
    client = NotebookClient(nb, km=kernel, **options)
    # nbclient tells the kernel what an Output widget caught, in the middle of waiting for the kernel's reply on the
    # same socket; now and then the reply is lost by it, and the build stands still until the cell's time is up.
    silent = type("SilentOutput", (OutputWidget,), {"sync_state": lambda self: None})
    client.widget_registry["@jupyter-widgets/output"]["OutputModel"] = silent
    try:
        # Without cleanup_kc a kernel handed in is left running. A solution that its check rejects must not be built.
        client.execute(cleanup_kc=True, env={**os.environ, "VAE_COURSE_STRICT": "1"})
    except (CellControlSignal, DeadKernelError) as error:
        message = ANSI.sub("", str(error))
        raise BuildError(message if running[-1] in message else f"{message} in the cell:\n{running[-1]}") from None
    nb.metadata.pop("widgets", None)  # collected all the same: without, nbclient fails at an Output widget
    nb.metadata.language_info = nbformat.from_dict(LANGUAGE)
    printed = [output.text for output in nb.cells.pop().outputs if output.get("name") == "stdout"]
    return dict(json.loads("".join(printed).strip().splitlines()[-1]))


def reused(nb: NotebookNode, target: Path, text: str, digests: dict[str, str]) -> NotebookNode | None:
    """`nb` with the outputs built earlier, if executing it would run the same code on the same package."""
    try:
        old = load(target)
    except (FileNotFoundError, BuildError):
        return None
    built, nb = old.metadata.get("vae_course", {}), copy.deepcopy(nb)
    if not same_package(built, digests) or len(code_cells(nb)) != len(code_cells(old)):
        return None
    for cell, before in zip(code_cells(nb), code_cells(old), strict=True):
        cell.outputs, cell.execution_count = before.outputs, before.execution_count
    source_sha256 = sha256(with_address(text))
    complete = (not built.fast and built.data in FULL_DATA) or built.source_sha256 == source_sha256
    if built.get("run_sha256") != run_hash(nb) or not complete:
        return None
    nb.metadata.vae_course = nbformat.from_dict({**built, "source_sha256": source_sha256})
    return nb


def blank_sheet(solution: NotebookNode, name: str, root: Path) -> NotebookNode:
    """What learners get: no answers, no hidden tests, no outputs; its badge opens the blank sheet itself."""
    from vae_course.classroom.release import SheetError, blank

    try:
        nb = blank(solution)
    except SheetError as error:
        raise BuildError(f"{SHEETS}/{name}: {error}") from None
    for cell in nb.cells:
        cell.source = with_address(cell.source, f"{BLANKS}/{name}", *published(root))
    return nb


def build(source: Path, root: Path, force: bool) -> str:
    """Bring one notebook up to date, and the blank sheet that is made from it; returns what that took."""
    done = build_pair(source, root, force)
    if source.parent.name == SHEETS:
        target = root / BLANKS / source.with_suffix(".ipynb").name
        text = dump(blank_sheet(load(source.with_suffix(".ipynb")), target.name, root))
        if not target.exists() or read_text(target) != text:
            target.parent.mkdir(exist_ok=True)
            write_text(target, text)
            return f"{done}, blank sheet written"
    return done


def build_pair(source: Path, root: Path, force: bool) -> str:
    text, digests, target = read_text(source), package_digests(root), source.with_suffix(".ipynb")
    nb, started = parse_source(text, root), time.monotonic()
    if not force and (kept := reused(nb, target, text, digests)) is not None:
        if dump(kept) == read_text(target):
            return "up to date"
        write_text(target, dump(kept))
        return "outputs kept"
    seen = execute(nb, source.parent)
    for cell in code_cells(nb):
        cell.outputs = list(clean(cell.outputs, root))
    nb.metadata.vae_course = stamp(nb, text, root, seen, digests)
    write_text(target, dump(nb))
    return f"executed in {time.monotonic() - started:.0f} s"


def run_problems(nb: NotebookNode, built: dict[str, Any]) -> Iterator[str]:
    """What is wrong with how the notebook was run."""
    if any(cell.source.strip() and not cell.execution_count for cell in code_cells(nb)):
        yield "was not executed"
    for cell in code_cells(nb):
        if "raises-exception" not in cell.metadata.get("tags", []):
            yield from (f"has an error: {out.ename}" for out in cell.outputs if out.output_type == "error")
    if built.get("data") not in FULL_DATA:
        yield f"ran on {built['data']} data: rebuild it with VAE_COURSE_DATA naming the real ones"
    if built.get("fast"):
        yield "ran in fast mode: rebuild it without VAE_COURSE_FAST"
    if "widgets" in nb.metadata:
        yield "stores widget state (metadata.widgets): rebuild it"
    if len({cell.get("id") for cell in nb.cells}) < len(nb.cells):
        yield "has two cells with one id"


def pair_problems(source: Path, root: Path) -> Iterator[str]:
    """Why this source and its notebook must not be committed."""
    target = source.with_suffix(".ipynb")
    if not (target.exists() and source.exists()):
        yield "has no built notebook" if source.exists() else "is an orphan: it has no source"
        return
    nb, fresh = load(target), parse_source(read_text(source), root)
    built = nb.metadata.get("vae_course", {})
    stale = built.get("source_sha256") != sha256(with_address(read_text(source)))
    found = ["is stale: its source changed"] * stale + list(run_problems(nb, built))
    cells = [[(c.cell_type, c.source, c.metadata, c.get("id")) for c in each.cells] for each in (nb, fresh)]
    if not found and (cells[0] != cells[1] or built.get("run_sha256") != run_hash(nb)):
        found.append("was edited or run by hand: rebuild it")
    yield from found


def blank_problems(root: Path) -> Iterator[str]:
    """Blank sheets that are not what their solutions give."""
    solutions, blanks = ({path.name for path in (root / each).glob("*.ipynb")} for each in (SHEETS, BLANKS))
    for name in sorted(solutions | blanks):
        solution, target = root / SHEETS / name, root / BLANKS / name
        if not solution.exists():
            yield f"{BLANKS}/{name}: is an orphan: it has no solution"
            continue
        try:
            wanted = dump(blank_sheet(load(solution), name, root))
        except BuildError as error:
            yield str(error)
            continue
        if not target.exists() or read_text(target) != wanted:
            yield f"{BLANKS}/{name}: is not what {SHEETS}/{name} gives: rebuild it"


def check(root: Path) -> int:
    """Print every problem; 1 if there is one. An old package is listed only, since it may differ in a comment."""
    lines, old, digests = [], [], package_digests(root)
    for source in sorted({path.with_suffix(".py") for path, _ in pages(root) if path.parent.name in FOLDERS}):
        target = source.with_suffix(".ipynb")
        name = (target if target.exists() else source).relative_to(root).as_posix()
        try:
            lines += [f"{name}: {problem}" for problem in pair_problems(source, root)]
            if target.exists() and not same_package(load(target).metadata.get("vae_course", {}), digests):
                old.append(f"old package: {name}")
        except BuildError as error:
            lines.append(str(error))
    lines += blank_problems(root)
    for path, page in pages(root):
        if path.suffix != ".ipynb" and with_address(read_text(path), page, *published(root)) != read_text(path):
            lines.append(f"{path.relative_to(root).as_posix()}: its address is not that in pyproject.toml: publish")
    print(*lines, *old, *["every notebook belongs to its source"] * (not lines), sep="\n")
    return int(bool(lines))


def pages(root: Path) -> Iterator[tuple[Path, str]]:
    """Every file with an address in it, and the notebook which its badge opens."""
    if (root / "README.md").exists():
        yield root / "README.md", "notebooks/00_start_here.ipynb"
    for folder in (*FOLDERS, BLANKS):
        for path in sorted((root / folder).glob("*")):
            if path.suffix in (".py", ".ipynb") and not path.name.startswith("."):
                yield path, f"{folder}/{path.stem}.ipynb"


def published(root: Path) -> tuple[str, str]:
    """Repository and version."""
    settings = tomllib.loads(read_text(root / "pyproject.toml"))
    return settings["tool"]["vae-course"]["repository"], settings["project"]["version"]


def publish(root: Path, repository: str) -> None:
    """Write the address everywhere; "" takes it out. No hash changes, so nothing has to be executed."""
    project = root / "pyproject.toml"
    texts = {project: REPOSITORY.sub(lambda found: f'{found[1]}"{repository}"', read_text(project))}
    for path, page in pages(root):
        address = (page, repository, published(root)[1])
        if path.suffix == ".ipynb":
            nb = load(path)
            for cell in nb.cells:
                cell.source = with_address(cell.source, *address)
            texts[path] = dump(nb)
        else:
            texts[path] = with_address(read_text(path), *address)
    for path, text in texts.items():
        if text != read_text(path):
            write_text(path, text)


def chosen(names: list[str], root: Path) -> list[Path]:
    """The sources so named, by number or name, with or without the folder; all of them without names."""
    sources = [path for path, _ in pages(root) if path.suffix == ".py"]
    called = {path: {path.stem.split("_")[0], path.stem, f"{path.parent.name}/{path.stem}"} for path in sources}
    for name in names:
        if not any(name in words for words in called.values()):
            there = ", ".join(f"{path.parent.name}/{path.stem}" for path in sources)
            raise BuildError(f"No notebook is called {name}; there are {there}.")
    return [path for path in sources if not names or called[path] & set(names)]


def main(argv: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names", nargs="*", help="notebooks, as 01, 01_elbo or solutions/01_elbo; or publish OWNER/NAME; or unpublish"
    )
    parser.add_argument("--all", action="store_true", help="execute every notebook")
    parser.add_argument("--check", action="store_true", help="execute nothing, name what must not be committed")
    options = parser.parse_args(argv)
    try:
        if options.check:
            return check(root)
        if options.names[:1] == ["publish"]:
            repository = " ".join(options.names[1:])
            if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", repository, re.ASCII):
                raise BuildError(f"{repository!r} is not the address of a repository: give OWNER/NAME as on GitHub.")
            publish(root, repository)
        elif options.names == ["unpublish"]:
            publish(root, "")
        else:
            for source in chosen(options.names, root):
                print(f"{source.parent.name}/{source.stem}: ", end="", flush=True)
                print(build(source, root, force=options.all or bool(options.names)), flush=True)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
