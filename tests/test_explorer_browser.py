"""Sliders in a real JupyterLab: keyboard, plane, classes, images, a slow decoder and one that fails; in Notebook 7."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest
from browser import browser_page, find_chromium, jupyterlab, run_all_cells, wait_for, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PLANE, IMAGES, CLASSES, SLOW, FAILING = range(5)  # the cells
CELLS = [
    """
import time, torch
from vae_course.explorer import Explorer
def decode(z):
    return z.sigmoid()[:, None, None]
Explorer(decode, 2).show()
""",
    """
x = torch.rand(6, 1, 4, 5, generator=torch.Generator().manual_seed(0))
Explorer(decode, 20, kl=torch.arange(20.0), encode=lambda x: 2 * x.flatten(1) - 1, images=x,
         labels=torch.tensor([0, 1, 0, 1, 2, 2])).show()
""",
    """
Explorer(lambda z, c: torch.cat([c[:, None] / 2, z.sigmoid()], 1)[:, None, None], 3, classes=["a", "b", "c"]).show()
""",
    """
calls = 0
def slow(z):  # the first pixel counts the calls, modulo 256
    global calls
    calls += 1
    time.sleep(0.2)
    return torch.cat([torch.full((len(z), 1), calls % 256 / 255), z.sigmoid()], 1)[:, None, None]
Explorer(slow, 1).show()
""",
    """
def failing(z):
    if len(z) == 1 and z[0, 0] > 0.15:
        raise RuntimeError("too <far>")
    return decode(z)
Explorer(failing, 3).show()
""",
]


@pytest.fixture(scope="module")
def page(missing: Callable[[str, str], NoReturn], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    chromium = find_chromium(missing)
    folder, home = tmp_path_factory.mktemp("notebook"), tmp_path_factory.mktemp("home")
    write_notebook(folder / "sliders.ipynb", CELLS)
    write_notebook(folder / "plane.ipynb", CELLS[: PLANE + 1])
    with jupyterlab(folder, home) as address, browser_page(chromium) as page:
        page.goto(f"{address}/lab/tree/sliders.ipynb")
        run_all_cells(page)
        page.set_viewport_size({"width": 1200, "height": 3000})  # JupyterLab leaves out what is not in view
        wait_for(lambda: page.locator('img[alt^="the decoded image at"]').count() == len(CELLS), "all sliders")
        yield page


def cell(page: Any, n: int) -> Any:
    return page.locator(".jp-Cell").nth(n)


def decoded(page: Any, n: int) -> tuple[str, str]:
    """What the picture of a cell says, and the picture itself."""
    picture = cell(page, n).locator('img[alt^="the decoded image at"]')
    return picture.get_attribute("alt"), picture.get_attribute("src")


def comes(page: Any, n: int, words: str) -> str:
    """Wait until the picture of a cell says `words`; returns the picture."""
    wait_for(lambda: words in decoded(page, n)[0], f"a picture of {words}", 20)
    return decoded(page, n)[1]


def pixels(page: Any, source: str) -> list[int]:
    """The first row of a grey picture."""
    script = """async source => {
        const image = new Image(); image.src = source; await image.decode();
        const canvas = document.createElement("canvas"); canvas.width = image.width; canvas.height = image.height;
        const context = canvas.getContext("2d"); context.drawImage(image, 0, 0);
        return [...context.getImageData(0, 0, image.width, 1).data].filter((_, i) => i % 4 == 0);
    }"""
    return list(page.evaluate(script, source))


def handle(page: Any, n: int, which: int = 0) -> Any:
    return cell(page, n).locator(".noUi-handle[role=slider]").nth(which)


def test_the_keyboard_moves_a_slider_and_the_picture(page: Any) -> None:
    before = comes(page, PLANE, "z[0] = 0.0, z[1] = 0.0")
    handle(page, PLANE).press("ArrowRight")
    assert comes(page, PLANE, "z[0] = 0.1, z[1] = 0.0") != before
    number = cell(page, PLANE).get_by_role("spinbutton", name="z[1] (σ)")
    number.fill("-1.5")
    number.press("Enter")
    comes(page, PLANE, "z[0] = 0.1, z[1] = -1.5")
    assert handle(page, PLANE, 1).get_attribute("aria-valuenow") == "-1.5"


def test_a_click_in_the_plane_moves_both_sliders(page: Any) -> None:
    background = cell(page, PLANE).locator('img[alt^="the decoded images over the plane"]')
    background.scroll_into_view_if_needed()
    box = background.bounding_box()
    # where a finger or a mouse comes down: in the third picture from the left, in the second row
    page.mouse.click(box["x"] + 2.5 / 13 * box["width"], box["y"] + 1.5 / 13 * box["height"])
    comes(page, PLANE, "z[0] = -2.0, z[1] = 2.5")
    assert [handle(page, PLANE, j).get_attribute("aria-valuenow") for j in (0, 1)] == ["-2.0", "2.5"]
    ring = cell(page, PLANE).locator('div[aria-hidden="true"][style*="border-radius"]').bounding_box()
    assert ring["x"] + ring["width"] / 2 == pytest.approx(box["x"] + 2.5 / 13 * box["width"], abs=2)
    assert ring["y"] + ring["height"] / 2 == pytest.approx(box["y"] + 1.5 / 13 * box["height"], abs=2)


def test_every_control_has_a_name_and_the_plane_takes_no_tab_stops(page: Any) -> None:
    images = cell(page, IMAGES)
    for role, names in {
        "spinbutton": [*(f"z[{j}] (σ)" for j in (19, 18, 17, 16, 15, 14)), "image A", "image B", "from A to B"],
        "button": ["reset", "random", "encode A"],
        "combobox": ["mean code of"],
        "img": ["image A, number 0", "image B, number 1"],
    }.items():
        for name in names:
            assert images.get_by_role(role, name=name, exact=True).count() == 1, name
    assert "KL 19.00 nats" in images.text_content()
    assert cell(page, CLASSES).get_by_role("combobox", name="class", exact=True).count() == 1
    places = cell(page, PLANE).locator('button[title^="z = ("]')
    assert places.count() == 13 * 13
    assert places.evaluate_all("all => all.every(one => one.tabIndex === -1)")
    cell(page, PLANE).get_by_role("button", name="random").focus()
    page.keyboard.press("Tab")
    assert not page.evaluate("document.activeElement.title").startswith("z = (")


def test_images_are_encoded_and_interpolated(page: Any) -> None:
    images = cell(page, IMAGES)
    images.get_by_role("button", name="encode A").click()
    wait_for(lambda: "z[19] = 0.0, z[18] = 0.0" not in decoded(page, IMAGES)[0], "the code of image A", 20)
    first = decoded(page, IMAGES)
    between = handle(page, IMAGES, 6)
    between.press("End")
    wait_for(lambda: decoded(page, IMAGES)[0] != first[0], "the code of image B", 20)
    between.press("Home")
    wait_for(lambda: decoded(page, IMAGES) == first, "image A again", 20)
    images.get_by_role("combobox", name="mean code of").select_option("2")
    wait_for(lambda: decoded(page, IMAGES)[0] != first[0], "the mean code", 20)
    images.get_by_role("button", name="reset").click()
    comes(page, IMAGES, "z[19] = 0.0, z[18] = 0.0")
    assert images.get_by_role("combobox", name="mean code of").locator("option:checked").inner_text() == "–"


def test_the_class_changes_the_picture(page: Any) -> None:
    before = comes(page, CLASSES, "class a")
    cell(page, CLASSES).get_by_role("combobox", name="class").select_option("c")
    after = comes(page, CLASSES, "class c")
    assert pixels(page, before)[0] == 0
    assert pixels(page, after)[0] == 255


def drag(page: Any, n: int, reach: float) -> None:
    """Drag the first slider of a cell for a second: to the right, by a share of its length."""
    slider = handle(page, n)
    slider.scroll_into_view_if_needed()
    box, track = slider.bounding_box(), cell(page, n).locator(".noUi-target").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    for step in range(1, 41):
        page.mouse.move(box["x"] + box["width"] / 2 + step / 40 * reach * track["width"], box["y"] + box["height"] / 2)
        page.wait_for_timeout(25)
    page.mouse.up()


def test_a_dragged_handle_stays_where_it_was_let_go(page: Any) -> None:
    """A value that the kernel sends back would undo what was dragged while it was on its way."""
    cell(page, IMAGES).get_by_role("button", name="reset").click()
    comes(page, IMAGES, "z[19] = 0.0")
    drag(page, IMAGES, 0.4)  # of six standard deviations
    page.wait_for_timeout(1000)
    value = float(handle(page, IMAGES).get_attribute("aria-valuenow"))
    assert value == pytest.approx(2.4, abs=0.11)
    assert f"z[19] = {value:.1f}" in decoded(page, IMAGES)[0]
    number = cell(page, IMAGES).get_by_role("spinbutton", name="z[19] (σ)")
    assert float(number.input_value()) == pytest.approx(value, abs=0.01)


def test_the_last_of_two_quick_clicks_counts(page: Any) -> None:
    """A slider sends back what it computes otherwise in the last bit: that must not undo what came after."""
    click_both = """cell => {
        const click = name => [...cell.querySelectorAll("button")].find(b => b.innerText.trim() === name).click();
        click("random"); click("reset");
    }"""
    for _ in range(3):
        cell(page, IMAGES).evaluate(click_both)
        page.wait_for_timeout(1000)
        words = ", ".join(f"z[{j}] = 0.0" for j in (19, 18, 17, 16, 15, 14))
        assert words in decoded(page, IMAGES)[0]
        assert {handle(page, IMAGES, j).get_attribute("aria-valuenow") for j in range(6)} == {"0.0"}


def test_a_slow_decoder_ends_at_the_last_value_without_drawing_all(page: Any) -> None:
    start = pixels(page, comes(page, SLOW, "z[0] = 0.0"))[0]
    drag(page, SLOW, 1.0)  # to beyond the end
    calls, last, *_ = pixels(page, comes(page, SLOW, "z[0] = 3.0"))
    assert last == round(255 / (1 + 2.718281828**-3))
    page.wait_for_timeout(1000)
    assert pixels(page, decoded(page, SLOW)[1])[0] == calls  # nothing was waiting any more
    assert (calls - start) % 256 <= 12  # of some thirty values on the way


def test_an_error_is_shown_and_goes_with_the_next_good_value(page: Any) -> None:
    alert = cell(page, FAILING).get_by_role("alert")
    handle(page, FAILING).press("ArrowRight")
    before = comes(page, FAILING, "z[0] = 0.1")
    assert alert.count() == 0
    handle(page, FAILING).press("ArrowRight")
    wait_for(alert.count, "the error", 20)
    assert re.search(r"No new picture: decode failed on .*RuntimeError: too <far>", alert.inner_text())
    assert decoded(page, FAILING)[1] == before
    handle(page, FAILING).press("ArrowLeft")
    wait_for(lambda: alert.count() == 0, "the end of the error", 20)
    assert decoded(page, FAILING)[1] == before


def test_in_notebook_7(page: Any) -> None:
    """It keeps the arrow keys from every slider: the number beside ours takes them, the slider still Page Up."""
    notebook = page.context.browser.new_page()
    notebook.goto(page.url.replace("/lab/tree/sliders.ipynb", "/notebooks/plane.ipynb"))
    run_all_cells(notebook)
    words = "z[0] = 0.0, z[1] = 0.0"
    wait_for(lambda: cell(notebook, PLANE).locator(f'img[alt$="{words}"]').count(), "the sliders")
    number = cell(notebook, PLANE).get_by_role("spinbutton", name="z[0] (σ)")
    number.press("ArrowUp")
    comes(notebook, PLANE, "z[0] = 0.1, z[1] = 0.0")
    handle(notebook, PLANE).press("PageUp")
    comes(notebook, PLANE, "z[0] = 0.6, z[1] = 0.0")
    cell(notebook, PLANE).get_by_title("z = (-2.0, 2.5)").click()
    comes(notebook, PLANE, "z[0] = -2.0, z[1] = 2.5")
    notebook.close()
