"""From a moved slider to the new picture: the explorer beside ipywidgets' `interact` with matplotlib, taking turns.

    python benchmarks/sliders.py

One notebook in a real JupyterLab, started as `make lab` starts it (vae_course/lab.py), one model, six sliders each. In
the kernel: the time that setting a slider takes, median over 200 moves (30 for `interact`, which is slow), while no
page shows it: a page sends a value that it rounds otherwise back (jupyter-widgets/ipywidgets#3951), which arrives after
the last move and undoes it. In the browser (Chromium, headless), median over 30 presses: from the key press to the new
picture, decoded, in the page, each press as soon as the picture of the one before is there. Then a drag, as a learner
moves a slider: the mouse takes the handle over 40 steps of the slider, 20 ms for each, and lets it go; where the page
takes a move later than that, the pointer is some steps further at the next, as a hand would be. The time is from the
last move of the pointer to the moment at which the last new picture stands in the page, decoded (nothing changes for
1.5 s after it), median over 5 drags, to the right and to the left in turn. It is an error if the handle does not end
where the pointer took it, or if the explorer's picture is not that of the number beside it.

Presses and drags also for a bare slider whose observer only shows a picture made beforehand: the way through browser,
server and kernel and back, which every widget pays. It is the floor of the explorer's time in the browser, and so of
its ratio to `interact`, however fast the decoder: what the explorer can be held to is how far it stays above it. Each
round does all of them; the medians over the rounds go into the ledger as `sliders`.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from vae_course import results

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]  # the browser tests know how to start a JupyterLab

from browser import browser_page, find_chromium, jupyterlab, run_all_cells, write_notebook  # noqa: E402

KERNEL_MOVES, KERNEL_MOVES_INTERACT, KEY_PRESSES, DRAGS = 200, 30, 30, 5
STEPS, ALL_STEPS, STEP, PACE = 40, 60, 0.1, 0.020  # of a drag, of the whole slider, their size; seconds for each
EXPLORER, INTERACT, FLOOR, KERNEL = 1, 2, 3, 4  # the cells
CELLS = [
    """
import json, statistics, time, numpy, torch, ipywidgets, matplotlib.pyplot as plt
from vae_course import pictures
from vae_course.explorer import Explorer
from vae_course.models.mlp import MLPVAE
torch.manual_seed(0)
model = MLPVAE(z_dim=20, hidden=(400,))
""",
    """
ours = Explorer(lambda z: model.decode(z).sigmoid(), z_dim=20)
ours.show()
""",
    """
def draw(**moved):
    z = torch.zeros(1, 20)
    z[0, :6] = torch.tensor(list(moved.values()))
    with torch.no_grad():
        image = model.decode(z).sigmoid()[0, 0]
    plt.imshow(image, cmap="gray", vmin=0, vmax=1)
    plt.axis("off")
    plt.show()

theirs = {f"z{j}": ipywidgets.FloatSlider(value=0, min=-3, max=3, step=0.1) for j in range(6)}
_ = ipywidgets.interact(draw, **theirs)
""",
    """
ready = [pictures.img(numpy.full((28, 28), 4 * n, "uint8"), alt="", width=196) for n in range(61)]
bare, shown = ipywidgets.FloatSlider(min=-3, max=3, step=0.1, readout=False), ipywidgets.HTML(ready[30])

def show(change):
    shown.value = ready[30 + round(10 * change["new"])]  # another for each value: none passes for a later one's

bare.observe(show, names="value")
display(ipywidgets.HBox([shown, bare]))
""",
    """
def median_ms(slider, moves):
    taken = []
    for k in range(moves):
        begun = time.perf_counter()
        slider.value = round(0.1 * (k % 60 - 30), 1)
        taken.append(time.perf_counter() - begun)
    return 1000 * statistics.median(taken)

unseen = Explorer(lambda z: model.decode(z).sigmoid(), z_dim=20)
their_unseen = ipywidgets.interactive(draw, **{f"z{j}": ipywidgets.FloatSlider(min=-3, max=3) for j in range(6)})
ours_and_theirs = (unseen.sliders[0], MOVES), (their_unseen.children[0], MOVES_INTERACT)
print(json.dumps([[median_ms(*each) for each in ours_and_theirs] for _ in range(ROUNDS)]))
""",
]
# From the key press to the moment at which another picture stands in the cell's output, decoded. Decoding
# fails if the picture changes meanwhile: then the next one counts.
WATCH = """cell => {
    const area = cell.querySelector(".jp-Cell-outputArea"), old = area.querySelector("img").src;
    let begun;
    area.addEventListener("keydown", () => { begun = performance.now(); }, { capture: true, once: true });
    window.moved = new Promise((done, failed) => {
        const look = async () => {
            const image = area.querySelector("img");
            if (!begun || !image || image.src === old) return;
            try { await image.decode(); } catch { requestAnimationFrame(look); return; }
            observer.disconnect();
            done(performance.now() - begun);
        };
        const observer = new MutationObserver(look);
        observer.observe(area, { subtree: true, childList: true, attributes: true });
        setTimeout(() => failed(new Error(`10 s without a new picture in ${cell.innerText}`)), 10_000);
    });
}"""
# From the last move of the pointer to the moment at which the last new picture stands in the cell's output, decoded;
# the drag is over when neither a move nor a picture has come for 1.5 s.
WATCH_DRAG = """cell => {
    const area = cell.querySelector(".jp-Cell-outputArea");
    let seen = area.querySelector("img").src, last, shown, timer;
    window.dragged = new Promise((done, failed) => {
        const end = () => {
            observer.disconnect();
            document.removeEventListener("pointermove", move, true);
            const image = area.querySelector("img");
            if (shown && image.src === shown.src) done(shown.time - last);
            else failed(new Error(`no new picture stands in ${cell.innerText}`));
        };
        const again = () => { clearTimeout(timer); timer = setTimeout(end, 1500); };
        const move = event => { last = event.timeStamp; again(); };
        const look = async () => {
            const image = area.querySelector("img");
            if (!image || image.src === seen) return;
            const src = seen = image.src;
            again();
            try { await image.decode(); } catch { seen = null; requestAnimationFrame(look); return; }
            if (area.querySelector("img")?.src === src) shown = { src, time: performance.now() };
        };
        const observer = new MutationObserver(look);
        observer.observe(area, { subtree: true, childList: true, attributes: true });
        document.addEventListener("pointermove", move, true);
        again();
    });
}"""


def press(page: Any, cell: Any, key: str) -> float:
    """Milliseconds from a key press on the cell's first slider to its new picture."""
    cell.locator("img").first.wait_for()
    cell.evaluate(WATCH)
    first_handle(cell).press(key)
    return page.evaluate("window.moved")


def press_ms(page: Any, cell: Any) -> float:
    """The slider ends where it began: at its end, a press would bring no picture."""
    keys = [*["ArrowRight"] * 5, *["ArrowLeft"] * 5]
    return statistics.median(press(page, cell, keys[k % len(keys)]) for k in range(KEY_PRESSES))


def drag(page: Any, cell: Any, steps: int) -> float:
    """Milliseconds from the last move of the pointer to the last new picture; to the left if steps is negative.

    RuntimeError if the handle does not stay where the pointer took it: the last picture is then not that of the last
    move, and its time says nothing.
    """
    handle = first_handle(cell)
    box, track = handle.bounding_box(), cell.locator(".noUi-base").first.bounding_box()
    x, y = round(box["x"] + box["width"] / 2), box["y"] + box["height"] / 2
    end = round(x + steps * track["width"] / ALL_STEPS)
    wanted = float(handle.get_attribute("aria-valuenow")) + steps * STEP
    page.mouse.move(x, y)
    page.mouse.down()
    cell.evaluate(WATCH_DRAG)
    begun, done = time.perf_counter(), 0
    while done < abs(steps):
        time.sleep(max(0.0, begun + (done + 1) * PACE - time.perf_counter()))
        done = min(int((time.perf_counter() - begun) / PACE), abs(steps))  # late: the pointer is further on by now
        page.mouse.move(x + (end - x) * done / abs(steps), y)
    page.mouse.up()
    waited = page.evaluate("window.dragged")
    reached = float(handle.get_attribute("aria-valuenow"))
    if abs(reached - wanted) > STEP / 2:
        raise RuntimeError(f"dragged to {wanted:.1f}, the handle stands at {reached:.1f}: something has set it back")
    return waited


def drag_ms(page: Any, cell: Any) -> float:
    number = cell.locator("input[type=number]")  # the explorer has one beside each slider, the others have none
    press(page, cell, "Home")
    taken = []
    for k in range(DRAGS):
        taken.append(drag(page, cell, STEPS if k % 2 == 0 else -STEPS))
        if number.count():
            require_picture_of(float(number.first.input_value()), cell)
    return statistics.median(taken)


def require_picture_of(value: float, cell: Any) -> None:
    """RuntimeError unless the explorer's handle and its picture say the value of its first number."""
    handle, alt = first_handle(cell).get_attribute("aria-valuenow"), cell.locator("img").first.get_attribute("alt")
    if abs(float(handle) - value) > STEP / 2 or f" z[0] = {value:.1f}," not in alt:
        raise RuntimeError(f"the number is {value}, the handle stands at {handle}, the picture is {alt}")


def first_handle(cell: Any) -> Any:
    return cell.locator(".noUi-handle[role=slider]").first


def figures(kernel: list[float], browser: list[float], drags: list[float]) -> dict[str, float]:
    return {
        "kernel_ms": kernel[0],
        "kernel_interact_ms": kernel[1],
        "kernel_ratio": kernel[0] / kernel[1],
        "browser_ms": browser[0],
        "browser_interact_ms": browser[1],
        "browser_ratio": browser[0] / browser[1],
        "browser_floor_ms": browser[2],
        "browser_over_floor": browser[0] / browser[2],
        "drag_ms": drags[0],
        "drag_interact_ms": drags[1],
        "drag_ratio": drags[0] / drags[1],
        "drag_floor_ms": drags[2],
        "drag_over_floor": drags[0] / drags[2],
    }


def missing(what: str, why: str) -> Any:
    raise SystemExit(f"{what}: {why}")


def measure(folder: Path, rounds: int) -> list[dict[str, float]]:
    home, work = folder / "home", folder / "work"
    home.mkdir()
    work.mkdir()
    settings = f"MOVES, MOVES_INTERACT, ROUNDS = {KERNEL_MOVES}, {KERNEL_MOVES_INTERACT}, {rounds}\n"
    write_notebook(work / "sliders.ipynb", [*CELLS[:KERNEL], settings + CELLS[KERNEL]])
    with jupyterlab(work, home) as address, browser_page(find_chromium(missing), height=2400) as page:
        # the window is high because JupyterLab leaves out what is not in view
        page.goto(f"{address}/lab/tree/sliders.ipynb")
        run_all_cells(page)
        cells = [page.locator(".jp-Cell").nth(n) for n in range(len(CELLS))]
        printed = cells[KERNEL].locator(".jp-OutputArea-output pre")
        printed.wait_for(timeout=100_000)
        kernel = json.loads(printed.inner_text())
        order = [cells[EXPLORER], cells[INTERACT], cells[FLOOR]]
        browser = [[[ms(page, cell) for cell in order] for ms in (press_ms, drag_ms)] for _ in range(rounds)]
    return [figures(in_kernel, *in_browser) for in_kernel, in_browser in zip(kernel, browser, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        measured = measure(Path(name), rounds)
    median = {key: round(statistics.median(row[key] for row in measured), 3) for key in measured[0]}
    record = {"median": median, "rounds": [{key: round(value, 3) for key, value in row.items()} for row in measured]}
    results.save("sliders", record, command="python benchmarks/sliders.py", seeds=[0])
    print(f"in the kernel: {median['kernel_ms']:.1f} ms, {median['kernel_ratio']:.2f} of interact's time")
    print(f"in the browser: {median['browser_ms']:.0f} ms, {median['browser_ratio']:.2f} of interact's time")
    print(
        f"a bare slider in the browser: {median['browser_floor_ms']:.0f} ms; {median['browser_over_floor']:.2f} of it"
    )
    print(f"after a drag: {median['drag_ms']:.0f} ms, {median['drag_ratio']:.2f} of interact's time")
    print(f"a bare slider after a drag: {median['drag_floor_ms']:.0f} ms; {median['drag_over_floor']:.2f} of it")


if __name__ == "__main__":
    main()
