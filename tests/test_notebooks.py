"""What every lesson promises its reader: the frame, the reading order, links that lead somewhere, pictures in words."""

import os
import re
import subprocess
import sys
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
LESSONS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.py"))
NOTEBOOKS = {f"{path.stem}.ipynb" for path in LESSONS}
NUMBERS = {path.stem[:2] for path in LESSONS}
PAGES = [path for folder in ("", "notebooks", "tests", "tools", "benchmarks") for path in (ROOT / folder).glob("*.md")]
each_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
CODE = re.compile(r"^(```|~~~).*?^\1|(`+)[^`].*?\2", re.MULTILINE | re.DOTALL)
MATH = re.compile(r"\$\$.+?\$\$|\$[^$\n]+?\$", re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
LINK = re.compile(
    r"(?<!\\)\[(?:[^\[\]]|\[[^\[\]]*\]\([^()]*\))*\]\(([^()\s]*(?:\([^()]*\))?)\)"  # [words or ![badge](..)](target)
    r"|<(?:a|img)\b[^>]*?(?:href|src)=\"([^\"]*)\""
)
FILE = re.compile(r"(?:^|[^\w/]|notebooks/|my_work/)(\d\d_[a-z_0-9]+)\.(?:ipynb|py)\b", re.MULTILINE)
HEADING = re.compile(r"^(#{1,6}) +(.+?) *$", re.MULTILINE)
EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\ufe0f]")


def source(path: Path) -> Any:
    return jupytext.read(path.with_suffix(".py"), fmt="py:percent")


def built(path: Path) -> Any:
    assert path.with_suffix(".ipynb").exists(), f"{path.stem} is not built: make notebooks"
    return nbformat.read(path.with_suffix(".ipynb"), as_version=4)


def prose(nb: Any) -> str:
    return "\n\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")


def tagged(nb: Any, tag: str) -> list[Any]:
    return [cell for cell in nb.cells if tag in cell.metadata.get("tags", ())]


def bullets(text: str) -> list[str]:
    return re.findall(r"^- .+", text, re.MULTILINE)


def code_lines(cell: Any) -> list[str]:
    return [line for line in cell.source.splitlines() if line.strip()]


def title(path: Path) -> str:
    return str(source(path).cells[0].source.splitlines()[0]).removeprefix("# ")


# ---- the frame ----


@each_lesson
def test_the_opening(path: Path) -> None:
    first, badges, promises, setup = source(path).cells[:4]
    heading, *paragraphs = re.split(r"\n\n+", first.source.strip())
    assert re.fullmatch(rf"# {path.stem[:2]} · \S.*", heading)
    assert len(paragraphs) == 1
    assert len(re.findall(r"[.?](?:\s|$)", paragraphs[0])) == 1, f"one sentence of promise, not: {paragraphs[0]}"
    assert badges.metadata.tags == ["badges"]
    assert badges.source.startswith("<!-- badges -->")
    assert promises.source.startswith("**You will be able to**\n")
    assert 1 <= len(bullets(promises.source)) <= 4
    assert re.search(r"^\*Time:\* .*\d.*\*Assumed:\* \S", promises.source, re.MULTILINE)
    assert setup.metadata.tags == ["setup"]


@each_lesson
def test_one_set_up_cell_the_same_in_all_but_its_imports(path: Path) -> None:
    def without_imports(lesson: Path) -> list[str]:
        (cell,) = tagged(source(lesson), "setup")
        lines = code_lines(cell)
        last = max(i for i, line in enumerate(lines) if line.startswith(" "))
        assert all(re.match("import |from ", line) for line in lines[last + 1 :])
        return lines[: last + 1]

    (cell,) = tagged(source(path), "setup")
    assert len(code_lines(cell)) <= 12
    assert without_imports(path) == without_imports(LESSONS[0])


@each_lesson
def test_the_end(path: Path) -> None:
    nb = source(path)
    text = prose(nb)
    headings = [words for marks, words in HEADING.findall(CODE.sub("", text)) if len(marks) <= 2]
    assert headings[-3:] == ["Recap", "When something looks wrong", "References"]
    recap, wrong, references = re.split(r"^## .+$", text, flags=re.MULTILINE)[-3:]
    assert len(bullets(recap)) == len(bullets(nb.cells[2].source)), "the recap answers each promise"
    assert re.search(r"^\| symptom \| cause \| fix \|\n\|---\|---\|---\|(\n\|.*\|.*\|.*\|){3,}$", wrong, re.MULTILINE)
    assert bullets(references)
    i = LESSONS.index(path) + 1
    words, target = ("**Next:** ", LESSONS[i]) if i < len(LESSONS) else ("", LESSONS[0])
    sheet = f"**Exercises:** [sheet {path.stem[:2]}](../exercises/{path.stem}.ipynb) · "
    closing = references.strip().splitlines()[-1]
    assert closing.startswith(("" if path.stem.startswith("00") else sheet) + words)
    assert closing.endswith(f"[{title(target)}]({target.stem}.ipynb)")


# ---- how it reads ----


@each_lesson
def test_no_code_without_prose_before_it(path: Path) -> None:
    runs = [(kind, list(cells)) for kind, cells in groupby(source(path).cells, lambda cell: cell.cell_type)]
    unannounced, unbroken = [], []
    for (_, before), (kind, cells) in pairwise(runs):
        first = code_lines(cells[0])[0]
        if kind == "code" and before[-1].source.splitlines()[-1].startswith("#"):
            unannounced.append(first)
        if kind == "code" and len(cells) > 3:
            unbroken.append(first)
    assert unannounced == [], "a heading announces no code, a sentence does"
    assert unbroken == [], "more than three code cells from here without prose"


@each_lesson
def test_code_cells_are_short(path: Path) -> None:
    cells = [code_lines(cell) for cell in source(path).cells if cell.cell_type == "code"]
    assert [f"{len(lines)} lines: {lines[0]}" for lines in cells if len(lines) > 25] == []
    short = sum(len(lines) <= 8 for lines in cells)
    assert 2 * short >= len(cells), f"{short} of {len(cells)} have at most 8 lines"


@each_lesson
def test_predictions_are_asked_for(path: Path) -> None:
    assert prose(source(path)).count("**Predict:**") >= (1 if path.stem.startswith("00") else 2)


@pytest.mark.parametrize("path", [*LESSONS, *PAGES], ids=lambda path: path.name)
def test_no_exclamation_marks_and_no_emoji(path: Path) -> None:
    text = prose(source(path)) if path in LESSONS else path.read_text()
    cited = re.sub(r"\*[^*\n]+\*", "", text[text.find("## References") :]) if "## References" in text else ""
    text = text.split("## References")[0] + cited  # the title of a paper may have one
    for ignored in (CODE, MATH, COMMENT):
        text = ignored.sub("", text)
    assert [line for line in text.splitlines() if "!" in line.replace("![", "") or EMOJI.search(line)] == []


# ---- links ----


def anchors(path: Path) -> set[str]:
    """The names that GitHub gives to the headings of a page or notebook."""
    text = prose(built(path)) if path.suffix == ".ipynb" else path.read_text()
    headings = [words.lower() for _, words in HEADING.findall(CODE.sub("", text))]
    words = [re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings]
    return {word if n == 0 else f"{word}-{n}" for i, word in enumerate(words) for n in [words[:i].count(word)]}


@pytest.mark.parametrize("path", [*LESSONS, *PAGES], ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    text = prose(source(path)) if path in LESSONS else path.read_text()
    broken = []
    for groups in LINK.findall(MATH.sub("", CODE.sub("", text))):
        target = "".join(groups)
        if re.match("[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        itself = path.with_suffix(".ipynb") if path in LESSONS else path
        page = (path.parent / name).resolve() if name else itself
        if not page.exists() or (anchor and anchor not in anchors(page)):
            broken.append(target)
        # a lesson is also read in my_work/, where only the other lessons lie beside it
        if path in LESSONS and name and not name.startswith("../") and name not in NOTEBOOKS:
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize(
    "path", [*LESSONS, *PAGES, *sorted((ROOT / "vae_course").rglob("*.py"))], ids=lambda path: path.name
)
def test_only_lessons_that_exist_are_named(path: Path) -> None:
    text = path.read_text()
    named = re.findall(r"\b[Ll]essons? ((?:\d\d(?:, (?:and )?| and | to |–|-)?)+)", text)
    numbers = {number for group in named for number in re.findall(r"\d\d", group)}
    assert numbers <= NUMBERS
    assert set(FILE.findall(text)) <= {lesson.stem for lesson in LESSONS}


# ---- what was built ----


@each_lesson
def test_every_picture_is_described_in_words(path: Path) -> None:
    assert path.with_suffix(".ipynb").stat().st_size <= 600_000
    pictures = 0
    for output in (out for cell in built(path).cells for out in cell.get("outputs", ())):
        for mime in (mime for mime in output.get("data", ()) if mime.startswith("image/")):
            pictures += 1
            assert output.metadata[mime]["alt"].strip()
        for tag in re.findall(r"<img\b[^>]*>", str(output.get("data", {}).get("text/html", ""))):
            assert re.search(r'\balt="[^"]+"', tag)
    assert pictures >= 1
    assert "![](" not in prose(built(path))


@pytest.mark.slow
def test_kernels_started_by_nbval_have_the_data_of_this_run(tmp_path: Path) -> None:
    """The real MNIST if VAE_COURSE_DATA is set, else drawn digits: no cache and no network in between."""
    wanted = "mnist" if os.environ.get("VAE_COURSE_DATA") else "drawn"
    code = f"from vae_course import data\nassert data.load_digits().source == {wanted!r}"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]), tmp_path / "data.ipynb")
    command = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, "data.ipynb"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
