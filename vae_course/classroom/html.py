"""The frame of the classroom's pages: escaping that cannot be forgotten, one style sheet, tables and bars."""

import html
import re
from collections.abc import Container, Iterable, Sequence

# Control characters, lone surrogates, and marks that turn around or hide what follows; tab and newline stay.
UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\ufffe\uffff\U000e0000-\U000e007f]"
)
TEXT, NAME, LINE = 600, 120, 500  # characters of a sentence, of a name and of a line of code that are shown
LINES, ITEMS = 400, 20  # lines of code and points of a list that are shown
FEW = 5  # in a smaller class a percentage would say more than there is

STYLE = """
:root { color-scheme: light; --page: #fbfaf8; --panel: #f3f1ec; --ink: #1f2328; --soft: #5b616a;
  --rule: #dedad2; --blue: #0072b2; --red: #b34700; --track: #e6e2da; }
@media screen and (prefers-color-scheme: dark) {
  :root { color-scheme: dark; --page: #15181c; --panel: #1e2228; --ink: #e7e5e1; --soft: #a9afb8;
    --rule: #343a42; --blue: #6cb6e8; --red: #f2a069; --track: #30363e; } }
* { box-sizing: border-box; }
html { background: var(--page); color: var(--ink); font: 1rem/1.6 system-ui, sans-serif; -webkit-text-size-adjust: 100%;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
body { margin: 0; overflow-wrap: anywhere; }
main { max-width: 50rem; margin: 0 auto; padding: 3.5rem 1.5rem 5rem; }
h1, h2, h3 { line-height: 1.25; font-weight: 600; margin: 0; text-wrap: balance; }
h1 { font-size: 2rem; letter-spacing: -0.015em; }
h2 { font-size: 1.3rem; margin-top: 3.25rem; }
h3 { font-size: 1.05rem; }
p, ul, ol { margin: 0.6rem 0 0; }
p, li, small { text-wrap-style: pretty; }
ul, ol { padding-left: 1.3rem; }
li { margin-top: 0.35rem; }
li::marker { color: var(--soft); }
a { color: var(--blue); text-decoration-thickness: 1px; text-underline-offset: 0.18em; }
.soft, .over { color: var(--soft); }
.over { margin: 0 0 0.35rem; font-size: 0.9rem; }
.lead { font-size: 1.1rem; }
.panel { background: var(--panel); border-radius: 0.6rem; padding: 1.3rem 1.5rem 1.4rem; margin-top: 1.8rem; }
.panel > :first-child { margin-top: 0; }
.panel .big + .bar { display: block; width: 100%; margin: 0.8rem 0 0.9rem; height: 0.5rem; }
.big { font-size: 1.9rem; font-weight: 600; line-height: 1.2; letter-spacing: -0.01em; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem 2.75rem; margin: 0; }
.figures div { display: flex; flex-direction: column-reverse; }
.figures dd { margin: 0; }
.figures dt { color: var(--soft); font-size: 0.9rem; }
.task { border-top: 1px solid var(--rule); margin-top: 2.2rem; padding-top: 1.6rem; }
.facts { margin-top: 0.15rem; color: var(--soft); }
.state { color: var(--ink); font-weight: 600; }
.solved { color: var(--blue); }
.missed { color: var(--red); }
.hint { border-left: 3px solid var(--blue); padding-left: 0.9rem; margin-top: 0.9rem; }
.label { color: var(--soft); font-size: 0.9rem; margin-top: 1.1rem; }
pre, code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 0.86rem; }
pre { background: var(--panel); border-radius: 0.4rem; padding: 0.9rem 1.1rem; margin: 0.35rem 0 0; line-height: 1.5;
  white-space: pre-wrap; tab-size: 4; direction: ltr; unicode-bidi: isolate; text-align: left; overflow: hidden; }
summary { cursor: pointer; color: var(--soft); font-size: 0.9rem; margin-top: 0.9rem; }
.wide { overflow-x: auto; margin-top: 1.1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); font-size: 0.9rem; padding-bottom: 0.4rem; }
th, td { text-align: left; vertical-align: top; padding: 0.5rem 1.1rem 0.5rem 0; border-top: 1px solid var(--rule); }
th:last-child, td:last-child { padding-right: 0; }
th { font-weight: 500; }
tbody th { min-width: 9rem; }
thead th { color: var(--soft); font-size: 0.9rem; border-top: 0; padding-top: 0; white-space: nowrap;
  overflow-wrap: normal; }
th.n, td.n { text-align: right; white-space: nowrap; }
th small { display: block; font-weight: 400; color: var(--soft); font-size: 0.86rem; }
.thirds { table-layout: fixed; }
.thirds th { width: 34%; }
.thirds th:nth-child(2) { width: 22%; }
td small, .count small { font-size: 1em; color: var(--soft); }
.slim th, .slim td { padding-top: 0.2rem; padding-bottom: 0.2rem; border-top: 0; }
.slim tbody th { min-width: 0; width: 6rem; white-space: nowrap; }
.bar { display: inline-block; width: 9rem; height: 0.6rem; border-radius: 0.3rem; background: var(--track);
  overflow: hidden; margin-right: 0.7rem; vertical-align: baseline; }
.bar span { display: block; height: 100%; background: var(--blue); }
.slim .bar { width: calc(100% - 4rem); background: none; }
td:has(.bar) { width: 15rem; white-space: nowrap; }
.slim td:has(.bar) { width: auto; }
.count { white-space: nowrap; }
.ranked > li { margin-top: 1.3rem; padding-left: 0.3rem; }
.ranked h3 { display: inline; }
footer { border-top: 1px solid var(--rule); margin-top: 3.5rem; padding-top: 1rem; color: var(--soft);
  font-size: 0.9rem; }
@media (max-width: 36rem) {
  main { padding: 2rem 1.1rem 3rem; }
  h1 { font-size: 1.6rem; }
  .figures { gap: 0.9rem 1.9rem; }
  th, td { padding-right: 0.6rem; font-size: 0.93rem; }
  tbody th { min-width: 7.2rem; hyphens: auto; }
  .n small { display: none; }
  thead th, th.n, td.n { white-space: normal; }
  td:has(.bar) { width: auto; }
  .bar { display: block; width: 100%; min-width: 4.5rem; margin: 0.5rem 0 0.2rem; }
  .slim .bar { display: inline-block; margin: 0 0.7rem 0 0; }
  .slim tbody th { min-width: 0; width: 4rem; } }
@media print {
  html { font-size: 10.5pt; background: #fff; }
  main { max-width: none; padding: 0; }
  h2, h3, caption { break-after: avoid; }
  tr, .panel, .hint, .ranked > li { break-inside: avoid; } }
"""


class Html(str):
    """Finished HTML. Every other str is foreign text, and `element` escapes it."""


def cut(foreign: str, limit: int) -> str:
    """The first `limit` characters, and how many more there were."""
    more = len(foreign) - limit
    return foreign if more <= 0 else f"{foreign[:limit]} … ({more:,} more characters)"


def text(foreign: str, limit: int = TEXT) -> Html:
    """Foreign text as HTML: nothing in it is markup, turns its surroundings around, or goes on for ever."""
    shown = cut(foreign, limit).replace("\r\n", "\n").replace("\r", "\n")
    return Html(html.escape(UNSAFE.sub("\N{REPLACEMENT CHARACTER}", shown)))


def element(tag: str, *content: str, **attributes: str) -> Html:
    """<tag>content</tag>; content and attributes are escaped unless they are Html. class_ stands for class."""
    named = "".join(f' {key.rstrip("_").replace("_", "-")}="{text(value)}"' for key, value in attributes.items())
    return Html(f"<{tag}{named}>{''.join(part if isinstance(part, Html) else text(part) for part in content)}</{tag}>")


def foreign(words: str, limit: int = TEXT) -> Html:
    """Words of somebody else inside a line of ours; written from right to left, they leave ours as it is."""
    return element("bdi", text(words, limit))


def block(source: str) -> Html:
    """Code or output as it was written; long lines and long texts are cut, and say so."""
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    shown = [text(line, LINE) for line in lines[:LINES]]
    if len(lines) > LINES:
        shown.append(Html(f"… ({len(lines) - LINES:,} more lines)"))
    return element("pre", Html("\n".join(shown)))


def bullets(items: Sequence[str]) -> Html:
    """A list of foreign sentences."""
    shown = [element("li", foreign(item)) for item in items[:ITEMS]]
    if len(items) > ITEMS:
        shown.append(element("li", f"and {len(items) - ITEMS:,} more"))
    return element("ul", *shown)


def table(
    caption: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Container[int] = (),
    class_: str = "",
) -> Html:
    """A table whose first column names the rows; `numbers` are the columns to set flush right."""

    def align(column: int) -> dict[str, str]:
        return {"class_": "n"} if column in numbers else {}

    head = [element("th", name, scope="col", **align(i)) for i, name in enumerate(columns)]
    body = [
        element(
            "tr",
            element("th", row[0], scope="row", **align(0)),
            *(element("td", cell, **align(i)) for i, cell in enumerate(row[1:], 1)),
        )
        for row in rows
    ]
    parts = element("caption", caption), element("thead", element("tr", *head)), element("tbody", *body)
    return element("div", element("table", *parts, **({"class_": class_} if class_ else {})), class_="wide")


def bar(part: float, whole: float, label: str = "") -> Html:
    """A bar as long as part is of whole, hidden from screen readers, and beside it the same in words."""
    width = min(max(100 * part / whole, 0), 100) if whole else 0
    drawn = element("span", element("span", style=f"width: {width:.1f}%"), class_="bar", aria_hidden="true")
    return Html(drawn + element("span", label, class_="count")) if label else drawn


def figures(values: dict[str, str]) -> Html:
    """Big numbers in a row, each with its name below."""
    pairs = (element("div", element("dt", name), element("dd", value, class_="big")) for name, value in values.items())
    return element("dl", *pairs, class_="figures")


def number(value: float) -> str:
    """3, 2.5: points without needless digits."""
    return f"{round(value, 2):g}"


def plural(count: float, noun: str) -> str:
    """1 task, 2 tasks, 2.5 points."""
    return f"{number(count)} {noun}" if count == 1 else f"{number(count)} {noun}s"


def share(part: int, whole: int) -> Html:
    """21 (70 %); the count alone where the class is small."""
    if part == 0 or whole < FEW:
        return Html(f"{part}")
    percent = f"({100 * part / whole:.0f}\N{NO-BREAK SPACE}%)"
    return Html(f"{part} {element('small', percent)}")


def document(title: str, *body: str) -> str:
    """A complete page that loads nothing and runs nothing."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{element('title', title)}\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{element('main', *body)}\n</body>\n</html>\n"
    )
