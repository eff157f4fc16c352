"""The pad in a real browser, offline: its pixels, its speed, two on a page, hostile words, an export, JupyterLab."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import nbformat
import pytest
import torch
from browser import FLAGS, find_chromium, jupyterlab, run_all_cells, wait_for, write_notebook
from torch import nn

from vae_course.models.conv import ConvVAE
from vae_course.models.mlp import MLPVAE
from vae_course.pad import Pad

pytestmark = [pytest.mark.browser, pytest.mark.slow]
HOSTILE = '"><script>window.pwned=1</script></script><!--<img src=x onerror="window.pwned=1">'
MAKE = """
import torch
from vae_course.models.mlp import MLPVAE
from vae_course.pad import Pad
torch.manual_seed(1)
model = MLPVAE(2, (48,))
with torch.no_grad():
    for layer in (model.decoder[0], model.decoder[2]):
        layer.weight.mul_(2.5)
Pad(model, title="of the kernel").show()
"""
POINTER = "() => {const c = document.querySelectorAll('circle'); return c[c.length - 1].getAttribute('cx')}"
PIXELS = """() => {
  const digit = document.getElementById("digit");
  return Array.from(digit.getContext("2d").getImageData(0, 0, digit.width, digit.height).data);
}"""
AT = f"""points => points.map(point => {{
  moveTo(...point);
  update();
  return btoa(String.fromCharCode(...({PIXELS})()));
}})"""
SPEED = """seconds => new Promise(done => {  // pointer events as they come from a hand, as fast as frames are drawn
  const plane = document.getElementById("plane"), box = plane.getBoundingClientRect(), start = performance.now();
  const canvas = document.getElementById("digit").getContext("2d"), put = canvas.putImageData.bind(canvas);
  let decodes = 0, frames = 0;
  canvas.putImageData = (...args) => { decodes++; put(...args); };
  const at = t => ({pointerId: 1, clientX: box.left + box.width * (.5 + .4 * Math.sin(t / 300)),
                    clientY: box.top + box.height * (.5 + .4 * Math.cos(t / 500))});
  plane.setPointerCapture = () => {};
  plane.hasPointerCapture = () => true;
  plane.dispatchEvent(new PointerEvent("pointerdown", at(0)));
  function frame(now) {
    const t = now - start;
    if (t > 1000 * seconds) return done({fps: 1000 * frames / t, decodes: 1000 * decodes / t});
    frames++;
    plane.dispatchEvent(new PointerEvent("pointermove", at(t)));
    requestAnimationFrame(frame);
  }
  requestAnimationFrame(frame);
})"""


@pytest.fixture(scope="module")
def chromium(missing: Callable[[str, str], NoReturn]) -> str:
    return find_chromium(missing)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """Offline, and without an error at the end."""
    context = browser.new_context(viewport={"width": 900, "height": 1200}, offline=True, device_scale_factor=2)
    page = context.new_page()
    words: list[str] = []
    page.on("pageerror", lambda error: words.append(str(error)))
    page.on("console", lambda message: words.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert words == []


def lively(model: Any) -> Any:
    with torch.no_grad():
        for layer in model.decoder:
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(2.5)
    return model


def opened(page: Any, made: Pad, folder: Path) -> Any:
    page.goto(made.save(folder / "pad.html").as_uri())
    return page


def drag(page: Any, frame: Any, to: tuple[float, float]) -> None:
    """From the middle of the plane to a place of it, given in parts of its width and height, with the mouse."""
    frame.locator("#plane").scroll_into_view_if_needed()
    box = frame.locator("#plane").bounding_box()
    places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in ((0.5, 0.5), to)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=5)
    page.mouse.up()


@pytest.mark.parametrize("kind", ["hidden400", "hidden128x64", "colour", "three images", "convolutional"])
def test_pixels_agree_with_pytorch(kind: str, page: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    models: dict[str, Callable[[], Any]] = {
        "hidden400": lambda: MLPVAE(2, (400,)),
        "hidden128x64": lambda: MLPVAE(2, (128, 64)),
        "colour": lambda: MLPVAE(2, (32,), x_shape=(3, 12, 10)),
        "three images": lambda: MLPVAE(16, (64,)),
        "convolutional": lambda: ConvVAE(2),
    }
    model = models[kind]() if kind == "convolutional" else lively(models[kind]())
    images = torch.rand(3, 1, 28, 28)
    made = Pad(model, images=images) if model.z_dim > 2 else Pad(model)
    opened(page, made, tmp_path)
    half = page.evaluate("half")
    points = (torch.rand(200, 2) * 2 - 1) * half
    z = points
    if model.z_dim > 2:  # through what the page says of a point: the weights of the three codes
        weights = torch.tensor([row[1:] for row in page.evaluate("data.readout")])
        z = torch.cat([torch.ones(200, 1), points], dim=1) @ weights.T @ model.encode(images)[0].detach()
    with torch.no_grad():
        wanted = model.decode(z).sigmoid() * 255  # (200, C, H, W)
    seen = b"".join(map(base64.b64decode, page.evaluate(AT, points.tolist())))
    rgba = torch.frombuffer(bytearray(seen), dtype=torch.uint8).view(200, *wanted.shape[2:], 4)
    worst = (rgba[..., :3].permute(0, 3, 1, 2) - wanted).abs().max().item()
    print(f"{kind}: largest difference {worst:.2f}/255")
    assert worst <= 2


def test_thirty_frames_a_second_while_dragging(page: Any, tmp_path: Path) -> None:
    """Each frame decodes once; the handlers run from pointer events to pixels."""
    torch.manual_seed(0)
    codes = torch.randn(1000, 2)
    opened(page, Pad(lively(MLPVAE(2, (400,))), codes=codes, labels=[i % 10 for i in range(1000)]), tmp_path)
    speed = page.evaluate(SPEED, 2)
    print(speed)
    assert speed["fps"] >= 30
    assert speed["decodes"] >= 30


def test_the_point_follows_mouse_keys_and_touch(page: Any, tmp_path: Path) -> None:
    opened(page, Pad(lively(MLPVAE(2, (16,)))), tmp_path)
    values, first = page.locator("#values"), page.evaluate(PIXELS)
    assert values.inner_text() == "z[0]\u00a0=\u00a00.00, z[1]\u00a0=\u00a00.00"
    drag(page, page, (0.75, 0.25))
    wait_for(lambda: "1.50, z[1]\u00a0=\u00a01.50" in values.inner_text(), "the point", 5)
    assert page.evaluate(PIXELS) != first
    drag(page, page, (1.5, -0.5))  # beyond the edge: the point stays on it
    wait_for(lambda: "3.00, z[1]\u00a0=\u00a03.00" in values.inner_text(), "the edge", 5)
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("ArrowDown")
    wait_for(lambda: "2.75, z[1]\u00a0=\u00a02.95" in values.inner_text(), "the keys", 5)
    label = page.locator("#digit").get_attribute("aria-label")
    assert label == "the image decoded at " + values.inner_text()
    wait_for(lambda: page.locator("#spoken").text_content() == values.inner_text(), "what a screen reader says", 5)
    page.keyboard.press("Home")
    wait_for(lambda: page.evaluate(PIXELS) == first, "the start", 5)
    assert page.evaluate("getComputedStyle(plane).touchAction") == "none"  # a finger drags the point, not the page


def test_two_pads_on_a_page_do_not_disturb_each_other(page: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    pads = [Pad(lively(MLPVAE(2, (16,))), title=title) for title in ("first", "second")]
    path = tmp_path / "both.html"
    path.write_text("<!doctype html><meta charset='utf-8'>" + "".join(made._notebook_html() for made in pads))
    page.goto(path.as_uri())
    first, second = page.frames[1:]
    before = first.evaluate(PIXELS), second.evaluate(PIXELS)
    assert before[0] != before[1]
    assert page.locator("img:visible").count() == 0  # the frames stand in their place
    drag(page, second, (0.9, 0.9))
    wait_for(lambda: second.evaluate(PIXELS) != before[1], "the second digit", 5)
    assert first.evaluate(PIXELS) == before[0]
    drag(page, first, (0.1, 0.4))
    wait_for(lambda: first.evaluate(PIXELS) != before[0], "the first digit", 5)


def test_hostile_words_are_words(page: Any, tmp_path: Path) -> None:
    made = Pad(lively(MLPVAE(2, (16,))), codes=torch.zeros(1, 2), labels=[HOSTILE], title=HOSTILE)
    opened(page, made, tmp_path)
    assert page.locator("h1").inner_text() == HOSTILE
    assert page.locator("#legend").inner_text() == f"A {HOSTILE}"
    assert page.locator("img").count() == 0
    assert page.evaluate("window.pwned") is None
    path = tmp_path / "in a frame.html"
    path.write_text("<!doctype html><meta charset='utf-8'>" + made._notebook_html())
    page.goto(path.as_uri())
    frame = page.frames[1]
    assert frame.locator("h1").inner_text() == HOSTILE
    assert page.locator("iframe").get_attribute("title") == HOSTILE
    assert [page.evaluate("window.pwned"), frame.evaluate("window.pwned")] == [None, None]
    assert frame.evaluate("origin") == "null"  # sandboxed: the frame reaches neither the notebook nor its storage


def test_an_exported_page_works_offline(page: Any, tmp_path: Path) -> None:
    nbconvert = pytest.importorskip("nbconvert")
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("pad.show()", outputs=[output_of_a_pad()])])
    exporter = nbconvert.HTMLExporter(mathjax_url="", require_js_url="", jquery_url="")
    path = tmp_path / "exported.html"
    path.write_text(exporter.from_notebook_node(nb)[0], encoding="utf-8")
    page.goto(path.as_uri())
    frame = page.frames[1]
    first = frame.evaluate(PIXELS)
    drag(page, frame, (0.2, 0.2))
    wait_for(lambda: frame.evaluate(PIXELS) != first, "another digit", 5)
    assert page.locator("img:visible").count() == 0


def output_of_a_pad() -> Any:
    """What a cell like that of MAKE leaves in a notebook."""
    made = Pad(lively(MLPVAE(2, (48,))), title="of the file")
    metadata = {"image/png": {"alt": made.alt}}
    return nbformat.v4.new_output("display_data", data=made.bundle(), metadata=metadata)


def test_in_jupyterlab_a_picture_before_run_and_a_pad_after(browser: Any, tmp_path: Path) -> None:
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    path = write_notebook(work / "pad.ipynb", [MAKE])
    nb = nbformat.read(path, as_version=4)
    nb.cells[0].outputs = [output_of_a_pad()]  # as downloaded: stored outputs, no signature of this machine
    nbformat.write(nb, path)
    with jupyterlab(work, home) as address, browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{address}/lab/tree/pad.ipynb")
        output = page.locator(".jp-OutputArea-output")
        still = output.locator("img")
        still.wait_for(timeout=90_000)
        assert still.is_visible()
        assert still.evaluate("image => image.complete && image.naturalWidth") == 9 * 28
        assert still.get_attribute("alt").startswith("of the file: images decoded")
        assert "Run this cell to drag the point." in output.inner_text()
        frames = output.locator("iframe")
        assert all(not frame.get_attribute("srcdoc") for frame in frames.all())
        run_all_cells(page)
        pad = output.locator("iframe[srcdoc]")
        pad.wait_for(timeout=60_000)
        frame = pad.element_handle().content_frame()
        frame.locator("#plane").wait_for()
        assert frame.locator("h1").inner_text() == "of the kernel"
        assert not output.locator("img:visible").count()
        first, at = frame.evaluate(PIXELS), frame.evaluate(POINTER)
        drag(page, frame, (0.8, 0.3))
        wait_for(lambda: frame.evaluate(PIXELS) != first, "another digit", 10)
        assert frame.evaluate(POINTER) != at
