"""The notebook builder, on a toy course in a temporary folder: what is executed, what is kept, what is refused."""

import base64
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import build_notebooks as builder
import clean_outputs
import nbformat
import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow  # starts kernels: `make check` goes without

ANSWER = '"grade": false, "locked": false, "schema_version": 3, "solution": true, "task": false'
CHECK = '"grade": true, "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false'
FILES = {
    "pyproject.toml": """[project]
name = "toy"
version = "1.2.3"

[project.urls]
repository = "elsewhere"

[tool.vae-course]
# where it lives
repository = ""                # owner/name
""",
    "jupytext.toml": 'notebook_metadata_filter = "accelerator,-all"\ncell_metadata_filter = "tags,nbgrader,-all"\n',
    "README.md": "# Toy\n<!-- badges --> and more\n",
    "vae_course/__init__.py": "",
    "vae_course/alpha.py": "def f():\n    return 1\n",
    "vae_course/beta.py": "from vae_course import data\n\n\ndef f():\n    data.sources_used.add(data.SOURCE)\n",
    "vae_course/data/__init__.py": (
        'import os\n\nSOURCE = os.environ.get("TOY_SOURCE", "mnist")\nsources_used: set[str] = set()\n'
    ),
    "notebooks/01_alpha.py": """# ---
# jupyter:
#   accelerator: GPU
# ---

# %% [markdown] tags=["badges"]
# # Alpha
# <!-- badges -->

# %% tags=["setup"]
if True:
    RELEASE = ""  # filled in by publish
open("../runs.log", "a").write("alpha\\n")
# %% [markdown]
# ## First

# %%
import os, sys, warnings
from vae_course.alpha import f
print(os.getcwd(), f())
warnings.warn("careful")



# %% [markdown]
# ## Second

# %% tags=["nbval-check-output"]
object(), "\\x1b[31mred\\x1b[0m"
""",
    "notebooks/02_beta.py": """# %% [markdown]
# # Beta

# %%
import sys
from tqdm import tqdm
from vae_course.beta import f
f()
open("../runs.log", "a").write("beta\\n")
for epoch in tqdm(range(3), desc="train", mininterval=0, file=sys.stderr):
    sys.stderr.flush()
    print("epoch", epoch, flush=True)

# %%
import ipywidgets
inner = ipywidgets.Output()
with inner:
    print("inside")
inner
""",
    "solutions/03_gamma.py": """# %% [markdown] tags=["badges"]
# # Gamma
# <!-- badges -->

# %% nbgrader={"grade_id": "two", ANSWER}
def two():
    ### BEGIN SOLUTION
    return 1 + 1
    ### END SOLUTION

# %% nbgrader={"grade_id": "check-two", CHECK}
import os
print(two(), os.environ["VAE_COURSE_STRICT"])
### BEGIN HIDDEN TESTS
assert two() == 2
### END HIDDEN TESTS
""".replace("ANSWER", ANSWER).replace("CHECK", CHECK),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The toy course, built once; a user's own broken python3 kernel stands in the way."""
    root = tmp_path_factory.mktemp("built")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    kernel = tmp_path_factory.mktemp("jupyter") / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps({"argv": ["false"], "display_name": "mine", "language": "python"}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(root))
        patch.setenv("JUPYTER_PATH", str(kernel.parents[2]))
        for name in ("VAE_COURSE_FAST", "TOY_SOURCE"):
            patch.delenv(name, raising=False)
        assert builder.main([], root) == 0
        yield root


@pytest.fixture
def course(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to spoil. Nothing in the built notebooks may depend on the folder, so a copy is as good as new."""
    root = shutil.copytree(built, tmp_path / "course")
    (root / "runs.log").unlink()
    monkeypatch.setenv("PYTHONPATH", str(root))
    return root


def runs(root: Path) -> list[str]:
    """Which notebooks were executed since the copy was made."""
    log = root / "runs.log"
    return log.read_text().split() if log.exists() else []


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def read(root: Path, name: str) -> Any:
    return json.loads((root / f"notebooks/{name}.ipynb").read_text())


def outputs(root: Path, name: str) -> list[Any]:
    return [(c["outputs"], c["execution_count"]) for c in read(root, name)["cells"] if c["cell_type"] == "code"]


def stream(root: Path, name: str, which: str) -> str:
    """All that a notebook's cells printed there."""
    found = [out for each, _ in outputs(root, name) for out in each if out.get("name") == which]
    return "".join("".join(out["text"]) for out in found)


def test_built_notebook_is_valid_executed_and_stamped(built: Path) -> None:
    nb = read(built, "01_alpha")
    nbformat.validate(nb)
    assert [count for _, count in outputs(built, "01_alpha")] == [1, 2, 3]  # and the probe is gone
    stamp = nb["metadata"].pop("vae_course")
    hashes = {key: stamp.pop(key) for key in ("source_sha256", "package_sha256", "run_sha256")}
    assert all(re.fullmatch(r"[0-9a-f]{64}", value) for value in hashes.values())
    assert stamp == {"modules": ["vae_course.alpha"], "data": None, "fast": False, "torch": None}
    beta = read(built, "02_beta")["metadata"]["vae_course"]
    assert beta["modules"] == ["vae_course.beta", "vae_course.data"]
    assert beta["data"] == "mnist"
    assert nb["metadata"].keys() == {"accelerator", "kernelspec", "language_info"}
    assert nb["metadata"]["kernelspec"]["name"] == "python3"
    assert "version" not in nb["metadata"]["language_info"]
    for cell in nb["cells"]:
        assert cell["metadata"]["id"] == cell["id"]
        assert cell["metadata"].keys() <= {"id", "tags"}
    assert [cell["metadata"].get("tags") for cell in nb["cells"]] == (
        [["badges"], ["setup"], None, None, None, ["nbval-check-output"]]
    )


def test_outputs_hold_nothing_of_this_machine(built: Path) -> None:
    assert stream(built, "01_alpha", "stdout") == "./notebooks 1\n"
    assert stream(built, "01_alpha", "stderr").startswith("cell:4: UserWarning: careful\n")
    (last, _) = outputs(built, "01_alpha")[-1]
    assert last[0]["data"]["text/plain"] == ["(<object>, '\\x1b[31mred\\x1b[0m')"]
    assert str(built) not in (built / "notebooks/01_alpha.ipynb").read_text()


def test_progress_bar_keeps_its_last_line_and_the_prints_between(built: Path) -> None:
    assert stream(built, "02_beta", "stdout") == "epoch 0\nepoch 1\nepoch 2\n"
    (bar,) = stream(built, "02_beta", "stderr").splitlines()
    assert re.match(r"train: 100%\|█+\| 3/3 \[", bar)


def test_widgets_leave_their_text_and_no_state(built: Path) -> None:
    assert "widgets" not in read(built, "02_beta")["metadata"]
    ((shown,), _) = outputs(built, "02_beta")[-1]
    assert shown["data"].keys() == {"text/plain"}
    assert "".join(shown["data"]["text/plain"]).startswith("Output(")


def test_untouched_course_is_in_order_and_up_to_date(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (course / "notebooks/01_alpha.ipynb").read_bytes()
    assert builder.main(["--check"], course) == 0
    assert builder.main([], course) == 0
    assert capsys.readouterr().out.count("up to date") == 3
    assert (course / "notebooks/01_alpha.ipynb").read_bytes() == before
    assert runs(course) == []


def test_output_edited_by_hand_is_refused_and_a_rebuild_brings_back_every_byte(
    course: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = course / "notebooks/01_alpha.ipynb"
    before = target.read_bytes()
    edit(target, "./notebooks 1", "./notebooks 2")
    assert builder.main(["--check"], course) == 1
    assert capsys.readouterr().out == "notebooks/01_alpha.ipynb: was edited or run by hand: rebuild it\n"
    assert builder.main([], course) == 0
    assert runs(course) == ["alpha"]
    assert target.read_bytes() == before


def test_code_edit_executes_one_notebook(course: Path) -> None:
    beta = (course / "notebooks/02_beta.ipynb").read_bytes()
    edit(course / "notebooks/01_alpha.py", "f())", "f() + 41)")
    assert builder.main([], course) == 0
    assert runs(course) == ["alpha"]
    assert stream(course, "01_alpha", "stdout") == "./notebooks 42\n"
    assert (course / "notebooks/02_beta.ipynb").read_bytes() == beta


def test_markdown_edit_executes_nothing_and_keeps_outputs(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = outputs(course, "02_beta")
    edit(course / "notebooks/02_beta.py", "# # Beta\n", "# # Beta\n#\n# New words.\n\n# %% [markdown]\n# And a cell.\n")
    assert builder.main(["--check"], course) == 1
    assert builder.main([], course) == 0
    assert "02_beta: outputs kept" in capsys.readouterr().out
    assert runs(course) == []
    assert outputs(course, "02_beta") == before
    assert "".join(read(course, "02_beta")["cells"][0]["source"]) == "# Beta\n\nNew words."
    assert builder.main(["--check"], course) == 0


@pytest.mark.parametrize(("old", "new"), [("# # Beta", "# # Better"), ('["setup"]', '["setup", "hide"]')])
@pytest.mark.parametrize("spoiled", [{}, {"data": "drawn"}, {"fast": True}, {"package_sha256": ""}])
def test_outputs_are_reused_only_for_the_same_code_on_a_full_run(
    course: Path, old: str, new: str, spoiled: dict[str, Any]
) -> None:
    source = course / "notebooks" / ("02_beta.py" if "Beta" in old else "01_alpha.py")
    edit(source, old, new)
    target = source.with_suffix(".ipynb")
    nb = builder.load(target)
    nb.metadata.vae_course.update(spoiled)
    target.write_text(builder.dump(nb))
    text = source.read_text()
    kept = builder.reused(builder.parse_source(text, course), target, text, builder.package_digests(course))
    assert (kept is not None) == ("Beta" in old and not spoiled)
    target.write_text("{")  # damaged: built anew, not an error
    assert builder.reused(builder.parse_source(text, course), target, text, builder.package_digests(course)) is None


def test_a_modules_page_counts_as_the_module(tmp_path: Path) -> None:
    package = tmp_path / "vae_course"
    package.mkdir()
    for name in ("pad.py", "plots.py", "pad.html"):
        (package / name).write_text("one")
    before = builder.package_digests(tmp_path)
    (package / "pad.html").write_text("another")
    after = builder.package_digests(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"vae_course.pad"}


def test_package_edit_is_listed_and_executes_its_importers_only(
    course: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(course / "vae_course/alpha.py", "1", "7")
    assert builder.main(["--check"], course) == 0
    listed = capsys.readouterr().out
    assert "old package: notebooks/01_alpha.ipynb" in listed
    assert "02_beta" not in listed
    assert builder.main([], course) == 0
    assert runs(course) == ["alpha"]
    assert stream(course, "01_alpha", "stdout") == "./notebooks 7\n"
    assert builder.main(["--check"], course) == 0
    assert "old package" not in capsys.readouterr().out.splitlines()[-1]


def test_drawn_data_and_fast_mode_are_stamped_and_refused(
    course: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOY_SOURCE", "drawn")
    monkeypatch.setenv("VAE_COURSE_FAST", "1")
    assert builder.main(["02"], course) == 0  # named, so executed although nothing changed
    assert runs(course) == ["beta"]
    stamp = read(course, "02_beta")["metadata"]["vae_course"]
    assert (stamp["data"], stamp["fast"]) == ("drawn", True)
    assert builder.main([], course) == 0  # nothing changed, so it is not executed again and again
    assert runs(course) == ["beta"]
    capsys.readouterr()
    assert builder.main(["--check"], course) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("notebooks/02_beta.ipynb: ran on drawn data")
    assert second.startswith("notebooks/02_beta.ipynb: ran in fast mode")


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("x = 1\nraise ValueError('not ' + 'today')", "ValueError: not today"),
        ("import os\nos._exit(3)", "Kernel died"),
    ],
)
def test_failing_cell_leaves_the_old_notebook(
    course: Path, capsys: pytest.CaptureFixture[str], cell: str, shown: str
) -> None:
    before = {path: path.read_bytes() for path in (course / "notebooks").glob("*.ipynb")}
    edit(course / "notebooks/01_alpha.py", "## Second\n", f"## Second\n\n# %%\n{cell}\n")
    edit(course / "notebooks/02_beta.py", "f()\n", "f(), 2\n")
    assert builder.main([], course) == 1
    printed = capsys.readouterr()
    assert cell in printed.err
    assert shown in printed.err
    assert "\x1b" not in printed.err
    assert "notebooks/01_alpha" in printed.out + printed.err
    assert runs(course) == ["alpha"]  # it stopped there
    assert {path: path.read_bytes() for path in (course / "notebooks").iterdir() if path in before} == before
    assert {path.suffix for path in (course / "notebooks").iterdir()} == {".py", ".ipynb"}


def test_another_copy_of_the_package_is_refused(
    course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installed = tmp_path / "installed"
    shutil.copytree(course / "vae_course", installed / "vae_course")
    edit(installed / "vae_course/alpha.py", "1", "2")
    monkeypatch.setenv("PYTHONPATH", str(installed))
    assert builder.main(["01_alpha"], course) == 1
    assert "differs from this checkout" in capsys.readouterr().err


def rewrite(change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Spoil the built 01_alpha.ipynb as JSON."""

    def spoil(root: Path) -> None:
        nb = read(root, "01_alpha")
        change(nb)
        (root / "notebooks/01_alpha.ipynb").write_text(json.dumps(nb))

    return spoil


def stamped(**values: object) -> Callable[[Path], None]:
    return rewrite(lambda nb: nb["metadata"]["vae_course"].update(values))


ERROR = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []}
NEVER_RUN: dict[str, Any] = {"execution_count": None, "outputs": []}
SPOILED: dict[str, tuple[str, Callable[[Path], object]]] = {
    "stale": ("is stale", lambda root: edit(root / "notebooks/01_alpha.py", "## First", "## Worst")),
    "orphan": ("is an orphan", lambda root: (root / "notebooks/01_alpha.py").unlink()),
    "unpaired": ("has no built notebook", lambda root: (root / "notebooks/01_alpha.ipynb").unlink()),
    "never executed": ("was not executed", rewrite(lambda nb: nb["cells"][1].update(NEVER_RUN))),
    "error": ("has an error: ValueError", rewrite(lambda nb: nb["cells"][1]["outputs"].append(ERROR))),
    "drawn": ("ran on drawn data", stamped(data="drawn")),
    "mixed": ("ran on drawn+mnist data", stamped(data="drawn+mnist")),
    "fast": ("ran in fast mode", stamped(fast=True)),
    "widgets": ("stores widget state", rewrite(lambda nb: nb["metadata"].update(widgets={}))),
    "same id": ("has two cells with one id", rewrite(lambda nb: nb["cells"][2].update(id=nb["cells"][3]["id"]))),
    "other id": ("was edited", rewrite(lambda nb: nb["cells"][2].update(id="abc"))),
    "other text": ("was edited", rewrite(lambda nb: nb["cells"][2].update(source="## Thirst"))),
    "invalid": ("is not a valid notebook", rewrite(lambda nb: nb["cells"][1].pop("outputs"))),
    "not JSON": ("is not a valid notebook", lambda root: (root / "notebooks/01_alpha.ipynb").write_text("{")),
    "no cells": ("is not a valid notebook", lambda root: (root / "notebooks/01_alpha.ipynb").write_text("[]")),
    "no stamp": ("is stale", rewrite(lambda nb: nb["metadata"].pop("vae_course"))),
    "address": ("its address", lambda root: edit(root / "notebooks/01_alpha.py", '""', '"git+https://github.com/a/b"')),
}


@pytest.mark.parametrize("fault", SPOILED)
def test_check_names_the_file_and_the_fault(course: Path, capsys: pytest.CaptureFixture[str], fault: str) -> None:
    message, spoil = SPOILED[fault]
    spoil(course)
    assert builder.main(["--check"], course) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("old package")]
    assert any("01_alpha" in line and message in line for line in lines), lines
    assert "02_beta" not in "".join(lines)
    assert runs(course) == []


def sheet(root: Path, folder: str) -> Path:
    return root / folder / "03_gamma.ipynb"


def test_a_blank_sheet_comes_from_its_solution(course: Path) -> None:
    solution, blank = (nbformat.read(sheet(course, folder), as_version=4) for folder in ("solutions", "exercises"))
    assert [cell.id for cell in solution.cells[1:]] == ["two", "check-two"] == [cell.id for cell in blank.cells[1:]]
    assert "return 1 + 1" in solution.cells[1].source
    assert solution.cells[2].outputs[0].text == "2 1\n"  # strict, so that a wrong solution cannot be built
    assert blank.cells[1].source == 'def two():\n    raise NotImplementedError("your turn")'
    assert blank.cells[2].source == 'import os\nprint(two(), os.environ["VAE_COURSE_STRICT"])'
    assert blank.cells[2].outputs == []
    assert "vae_course" not in blank.metadata
    assert blank.cells[1].metadata.id == "two"
    assert blank.cells[2].metadata.nbgrader.points == 1


def test_a_blank_sheet_follows_its_solution(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sheet(course, "exercises").read_bytes()
    edit(course / "solutions/03_gamma.py", "# # Gamma", "# # Gamma, again")
    assert builder.main([], course) == 0
    assert "solutions/03_gamma: outputs kept, blank sheet written" in capsys.readouterr().out
    assert b"Gamma, again" in sheet(course, "exercises").read_bytes()
    edit(course / "solutions/03_gamma.py", "# # Gamma, again", "# # Gamma")
    assert builder.main(["solutions/03_gamma"], course) == 0
    assert sheet(course, "exercises").read_bytes() == before
    edit(course / "solutions/03_gamma.py", "return 1 + 1", "return 1 + 2")
    assert builder.main([], course) == 1
    assert sheet(course, "exercises").read_bytes() == before


@pytest.mark.parametrize(
    ("message", "spoil"),
    [
        ("is not what solutions/03_gamma.ipynb gives", lambda path: path.unlink()),
        ("is not what solutions/03_gamma.ipynb gives", lambda path: edit(path, "your turn", "mine")),
        ("is an orphan", lambda path: path.rename(path.with_name("04_delta.ipynb"))),
    ],
)
def test_check_names_a_blank_sheet_that_is_not_its_solutions(
    course: Path, capsys: pytest.CaptureFixture[str], message: str, spoil: Callable[[Path], object]
) -> None:
    spoil(sheet(course, "exercises"))
    assert builder.main(["--check"], course) == 1
    assert message in capsys.readouterr().out


def test_a_sheet_that_nbgrader_refuses_is_named(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(course / "solutions/03_gamma.py", "    ### END SOLUTION\n", "")
    assert builder.main([], course) == 1
    assert "solutions/03_gamma.ipynb: " in capsys.readouterr().err
    assert builder.main(["--check"], course) == 1
    assert "solutions/03_gamma.ipynb: " in capsys.readouterr().out


def test_an_error_that_the_lesson_announces_is_no_fault() -> None:
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1/0", execution_count=1)])
    nb.cells[0].outputs = [nbformat.from_dict(ERROR)]
    assert len(list(builder.run_problems(nb, {}))) == 1
    nb.cells[0].metadata.tags = ["raises-exception"]
    assert list(builder.run_problems(nb, {})) == []


def test_ids_change_under_the_heading_of_an_inserted_cell_only() -> None:
    heads = ["# One", "## Two", "```\n# # no heading\n# ```", "## Two", "# Three"]
    text = "".join(f"# %% [markdown]\n# {head}\n\n# %%\nfirst\n\n# %%\nsecond\n\n" for head in heads)
    ids = [cell.id for cell in builder.parse_source(text, Path("absent")).cells]
    assert len(set(ids)) == len(ids) == 15
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", each) for each in ids)
    renamed = text.replace("no heading", "nothing")
    assert [cell.id for cell in builder.parse_source(renamed, Path("absent")).cells] == ids
    inserted = text.replace("# ## Two\n\n", "# ## Two\n\n# %%\nnew\n\n", 1)
    after = [cell.id for cell in builder.parse_source(inserted, Path("absent")).cells]
    assert len(after) == 16
    assert after[:6] == ids[:6]
    assert after[-6:] == ids[-6:]  # the second "Two" as well: a heading is counted, not only read


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \n\n", "plain \n\n"),
        ("\r 1%\r 50%\r100%\nnext\n", "100%\nnext\n"),
        ("a long line\rshort", "shortg line"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("\r50%\r    \r", ""),
        ("\x1b[31mred\x1b[0m\n", "red\n"),
        ("\router 0\n\rinner 1\x1b[A\n\rinner 2\x1b[A\r\x1b[Aouter 1\n\n", "outer 1\ninner 2\n"),
    ],
)
def test_streams_look_as_in_a_terminal(text: str, shown: str) -> None:
    assert clean_outputs.played_back(text) == shown


def test_bar_that_prints_interrupt_becomes_one_output_of_one_line() -> None:
    printed = [("stderr", "\r 0"), ("stderr", "%\r30%"), ("stdout", "one\n"), ("stderr", "\r60%"), ("stdout", "two\n")]
    outputs = [nbformat.v4.new_output("stream", name=name, text=text) for name, text in [*printed, ("stderr", "\r99%")]]
    shown = [(output.name, output.text) for output in clean_outputs.collapsed(outputs)]
    assert shown == [("stdout", "one\ntwo\n"), ("stderr", "99%")]


def test_widget_outputs_keep_their_text_only(tmp_path: Path) -> None:
    view = {clean_outputs.WIDGET_VIEW: {"model_id": "0", "version_major": 2, "version_minor": 0}}
    shown = [
        nbformat.v4.new_output("display_data", data=data)
        for data in (view, {**view, "text/plain": "IntSlider(value=0)"}, {**view, "text/html": "<b>0</b>"})
    ]
    cleaned = list(builder.clean(shown, tmp_path))
    assert [out.data for out in cleaned] == [{"text/plain": "IntSlider(value=0)"}, {"text/html": "<b>0</b>"}]


def test_paths_and_addresses_are_scrubbed_from_every_kind_of_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("VAE_COURSE_DATA", "/home/ada/sets")
    root = Path("/home/ada/course")
    for text, expected in {
        "/home/ada/course/notebooks/x.py, /home/ada/y": "./notebooks/x.py, ~/y",
        "in /home/ada/course.": "in ..",
        "/home/ada/sets/MNIST": "$VAE_COURSE_DATA/MNIST",
        "/home/adam /mnt/home/ada /home/ada/courses": "/home/adam /mnt/home/ada ~/courses",
        "/opt/env/lib/python3/site-packages/torch/x.py:1": "site-packages/torch/x.py:1",
        "<function f at 0x7f00aa> and <bound g of <A at 0xAB12>>": "<function f> and <bound g of <A>>",
        "&lt;A at 0x7f&gt; looked at 0x7f": "&lt;A&gt; looked at 0x7f",
    }.items():
        assert clean_outputs.scrubbed(text, root) == expected
    for output in (
        nbformat.v4.new_output("stream", text="/home/ada/y"),
        nbformat.v4.new_output("display_data", data={"text/html": "/home/ada/y"}),
        nbformat.v4.new_output("error", ename="E", evalue="/home/ada/y", traceback=["\x1b[31m/home/ada/y\x1b[0m"]),
    ):
        cleaned = json.dumps(list(builder.clean([output], root)))
        assert "~/y" in cleaned
        assert "/ada" not in cleaned
        assert "u001b" not in cleaned


def test_images_get_smaller_and_keep_every_pixel() -> None:
    rng = np.random.default_rng(0)
    few = np.zeros((60, 80, 4), dtype=np.uint8)
    few[..., :3] = rng.integers(0, 256, (200, 3), dtype=np.uint8)[rng.integers(0, 200, (60, 80))]
    few[..., 3] = 255
    many = rng.integers(0, 256, (60, 80, 4), dtype=np.uint8)
    many[..., 3] = 255
    glass = few.copy()
    glass[:30, :, 3] = 100
    for pixels, factor in ((few, 0.5), (many, 0.9), (glass, 1.0)):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=0)
        encoded = base64.b64encode(buffer.getvalue()).decode()
        smaller = clean_outputs.smaller_png(encoded)
        assert len(smaller) < factor * len(encoded)
        kept = Image.open(io.BytesIO(base64.b64decode(smaller))).convert("RGBA")
        assert np.array_equal(np.asarray(kept), pixels)
        assert clean_outputs.smaller_png(smaller) == smaller
    buffer = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(buffer, "PNG", optimize=True)
    grey = base64.b64encode(buffer.getvalue()).decode()
    assert clean_outputs.smaller_png(grey) == grey  # a palette would make it larger


def test_publish_writes_the_address_and_unpublish_takes_every_byte_back(course: Path) -> None:
    source = course / "notebooks/01_alpha.py"
    source.write_bytes(source.read_bytes().replace(b"\n", b"\r\n"))  # as git leaves it on Windows
    watched = [path for path in course.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in watched}
    for repository in ("ada/first", "Bob-2/second.x"):
        assert builder.main(["publish", repository], course) == 0
        colab = f"https://colab.research.google.com/github/{repository}/blob/v1.2.3/notebooks"
        image = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
        cells = ["".join(cell["source"]) for cell in read(course, "01_alpha")["cells"]]
        assert cells[0] == f"# Alpha\n<!-- badges --> {image}({colab}/01_alpha.ipynb)"
        release = f'    RELEASE = "git+https://github.com/{repository}@v1.2.3"  # filled in by publish\n'
        assert release in cells[1]
        assert release in (course / "notebooks/01_alpha.py").read_text()
        assert f"# {cells[0]}".replace("\n", "\n# ") in (course / "notebooks/01_alpha.py").read_text()
        readme = (course / "README.md").read_text()
        assert readme == f"# Toy\n<!-- badges --> {image}({colab}/00_start_here.ipynb) and more\n"
        assert f'repository = "{repository}"                # owner/name\n' in (course / "pyproject.toml").read_text()
        blank = "".join(json.loads(sheet(course, "exercises").read_text())["cells"][0]["source"])
        assert blank == f"# Gamma\n<!-- badges --> {image}({colab.removesuffix('notebooks')}exercises/03_gamma.ipynb)"
        assert 'repository = "elsewhere"' in (course / "pyproject.toml").read_text()
        assert builder.main(["--check"], course) == 0
        assert builder.main([], course) == 0
        text = source.read_text()  # what is built while published carries the same hash, too
        again = builder.stamp(builder.parse_source(text, course), text, course, {"modules": {}}, {})
        assert again.source_sha256 == read(course, "01_alpha")["metadata"]["vae_course"]["source_sha256"]
    assert builder.main(["unpublish"], course) == 0
    assert {path: path.read_bytes() for path in watched} == before
    assert runs(course) == []


@pytest.mark.parametrize("words", [[], ["ada"], ["/x"], ["ada/x/y"], ["-a/b"], ["ada/x", "y"], ["a/b\n"], ["aé/b"]])
def test_publish_refuses_what_is_no_address(course: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    before = (course / "pyproject.toml").read_bytes()
    # "--" because argparse takes a leading dash for an option
    assert builder.main(["--", "publish", *words], course) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert (course / "pyproject.toml").read_bytes() == before


def test_unknown_notebook_is_named_with_those_there_are(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert builder.main(["01", "07"], course) == 1
    assert capsys.readouterr().err == (
        "No notebook is called 07; there are notebooks/01_alpha, notebooks/02_beta, solutions/03_gamma.\n"
    )
    assert runs(course) == []
