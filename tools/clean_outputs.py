"""What of a cell's outputs is worth committing: streams as they end, no widgets, no paths, no needless bytes."""

import base64
import io
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from nbformat import NotebookNode

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n\x1b]|[^\r\n\x1b]+")
OBJECT_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+(?=[^<>\n]*(?:>|&gt;))")
# Bounded, because in a long line of base64 an open-ended search for a path's start takes minutes.
KERNEL_FILE = re.compile(r"[^\s'\"<>()]{0,200}[/\\]ipykernel_\d+[/\\]\d+\.py")
PACKAGE_FILE = re.compile(r"[^\s'\"<>()]{0,200}[/\\](?=site-packages[/\\])")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def played_back(text: str) -> str:
    """What a terminal shows in the end: carriage returns and cursor moves carried out, colours gone."""
    if "\r" not in text and "\x1b" not in text:
        return text
    rows, row, column = [""], 0, 0
    for token in TERMINAL.findall(text):
        if token == "\n":
            row, column = row + 1, 0
            rows += [""] * (row == len(rows))
        elif token == "\r":
            column = 0
        elif token[0] != "\x1b":
            rows[row] = rows[row][:column].ljust(column) + token + rows[row][column + len(token) :]
            column += len(token)
        elif token[-1] == "A":  # up: how tqdm draws one bar below another
            row = max(0, row - int(token[2:-1] or 1))
    return "\n".join(line.rstrip() for line in rows)


def merged(outputs: Iterable[NotebookNode]) -> list[NotebookNode]:
    """One output for each unbroken run of stdout or of stderr."""
    result: list[NotebookNode] = []
    for output in outputs:
        if result and "name" in output and output.name == result[-1].get("name"):
            result[-1].text += output.text
        else:
            result.append(output)
    return result


def collapsed(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Streams as they look in the end. A bar that prints interrupted is drawn anew below: only the last one stays."""
    outputs = merged(outputs)
    latest: dict[str, NotebookNode] = {}
    for output in outputs:
        if "name" in output:
            if output.name in latest and output.text.startswith("\r"):
                earlier = latest[output.name]
                earlier.text = earlier.text[: earlier.text.rfind("\n") + 1]
            latest[output.name] = output
    for output in outputs:
        if "name" in output:
            output.text = played_back(output.text)
    return merged(output for output in outputs if output.get("text") != "")


def scrubbed(text: str, root: Path) -> str:
    """Without colours, object addresses and this machine's paths."""
    text = OBJECT_ADDRESS.sub("", ANSI.sub("", text))
    text = KERNEL_FILE.sub("cell", text) if "ipykernel_" in text else text
    text = PACKAGE_FILE.sub("", text) if "site-packages" in text else text
    data = {os.environ.get(name, ""): f"${name}" for name in ("VAE_COURSE_DATA", "VAE_COURSE_CACHE", "CELEBA_ROOT")}
    places = {**data, str(Path.home()): "~", str(root): ".", str(root.resolve()): "."}
    for place in sorted(places, key=len, reverse=True):  # what lies inside another place comes first
        if Path(place).is_absolute() and place != Path(place).anchor:
            pattern = rf"(?<![\w.-]){re.escape(place)}(?![\w-]|\.\w)"
            text = re.sub(pattern, places[place], text)
    return text


def smaller_png(encoded: str) -> str:
    """The same pixels in fewer bytes: figures come with an alpha channel that nothing needs, and often few colours."""
    import numpy as np
    from PIL import Image

    original = base64.b64decode(encoded)
    pixels = Image.open(io.BytesIO(original)).convert("RGBA")
    image = pixels.convert("RGB") if pixels.getchannel("A").getextrema() == (255, 255) else pixels
    if image.mode == "RGB" and image.getcolors(256):
        codes = np.asarray(image, dtype=np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
        colours, index = np.unique(codes, return_inverse=True)
        image = Image.fromarray(index.reshape(codes.shape).astype(np.uint8))
        image.putpalette([int(colour) >> shift & 255 for colour in colours for shift in (16, 8, 0)])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    rounded = original[24] > 8  # bits a channel: Pillow reads no more than 8
    return encoded if rounded or buffer.tell() >= len(original) else base64.b64encode(buffer.getvalue()).decode()


def clean(outputs: list[NotebookNode], root: Path) -> Iterator[NotebookNode]:
    """What is worth committing. A widget keeps its text only: without stored state GitHub shows no notebook at all."""
    for output in collapsed(outputs):
        data = output.get("data", {})
        if data.pop(WIDGET_VIEW, None) and not data:
            continue
        for mime in data:
            if mime.startswith("text/"):
                data[mime] = scrubbed(data[mime], root)
            elif mime == "image/png":
                data[mime] = smaller_png(data[mime])
        for key in {"text", "evalue"} & output.keys():
            output[key] = scrubbed(output[key], root)
        if "traceback" in output:
            output.traceback = [scrubbed(line, root) for line in output.traceback]
        yield output
