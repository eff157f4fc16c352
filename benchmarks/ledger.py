"""Write RESULTS.md, the results table and the picture of README.md from what was measured; nobody types a figure.

    python benchmarks/ledger.py            write them
    python benchmarks/ledger.py --check    exit 1 if one of them is out of date

Sources: the figures that each built lesson prints in its last code cell, and vae_course/results/*.json.
"""

import argparse
import base64
import json
import re
import sys
from pathlib import Path
from typing import Any

from vae_course import results

ROOT = Path(__file__).resolve().parents[1]
TABLE = re.compile(r"(<!-- results -->\n).*?(<!-- /results -->)", re.DOTALL)
PICTURE = ("04_low_level_pytorch", "Samples from the prior")  # lesson, title in the source of its cell


def lesson(name: str) -> list[dict[str, Any]]:
    return json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]


def figures(name: str) -> dict[str, Any]:
    """What the lesson's cell tagged `figures` printed."""
    (cell,) = [cell for cell in lesson(name) if "figures" in cell["metadata"].get("tags", [])]
    return json.loads("".join(cell["outputs"][0]["text"]))


def rows() -> list[tuple[str, str, str]]:
    """(what, figure, where it is measured)."""
    elbo, forward = figures("01_elbo"), figures("02_numpy_forward")
    gradients, conv = figures("03_gradients"), figures("04_low_level_pytorch")
    peer = results.load("peer")["figures"]["median"]
    checks = results.load("checks")["figures"]["all"]
    apart, space = figures("05_autoencoder_vs_vae")["samples"], figures("06_latent_space")["table"]
    trade, scores = figures("07_beta_vae"), figures("08_disentanglement")
    asked = figures("09_conditional_vae")
    faces = figures("15_celeba_gpu")["shares"]
    feeding, steps = results.load("faces")["figures"]["median"], results.load("face_steps")["figures"]["table"]
    pads, sliders = results.load("pad")["figures"]["table"], results.load("sliders")["figures"]["median"]
    pad, farthest = pads[0], max(row["largest difference (255ths)"] for row in pads)
    frechet = [apart[name]["Fréchet"] for name in ("AE, N(0, I)", "AE, mixture", "VAE, N(0, I)", "test images")]
    full, collapsed = asked["report"]["full"], asked["report"]["collapsed (β = 50)"]
    checked = max(gradients["finite_difference_error"], gradients["autograd_error"])
    seconds = f"after {conv['training_seconds']:.0f} s of training"
    in_time = f"test loss after the time that pytorch/examples trains ten epochs ({peer['peer_seconds']:.0f} s)"
    return [
        (
            f"log p(x) − ELBO − KL(q ‖ posterior), {elbo['identity_pairs']} cases, largest error",
            f"{elbo['identity_error']:.1e} nats",
            "lesson 01",
        ),
        ("NumPy against PyTorch, one forward pass, largest error", f"{forward['parity']:.1e}", "lesson 02"),
        ("hand-written gradients, largest relative error", f"{checked:.1e}", "lesson 03"),
        ("VAE trained by NumPy for one epoch, test −ELBO", f"{gradients['test_loss']:.1f} nats", "lesson 03"),
        (f"convolutional VAE, test −ELBO {seconds}", f"{conv['test_loss']:.1f} nats", "lesson 04"),
        (
            "Fréchet distance on our classifier's features: autoencoder sampled from N(0, I); from a mixture fitted "
            "to its codes; VAE from N(0, I); real test images",
            "; ".join(f"{value:.1f}" for value in frechet),
            "lesson 05",
        ),
        (
            "2, 4, 16 latents: SSIM of rebuilt test images",
            ", ".join(f"{row['SSIM']:.2f}" for row in space),
            "lesson 06",
        ),
        (
            "slopes of the rate–distortion curve that lie between their two β",
            f"{sum(row[3] == 0 for row in trade['slopes'])} of {len(trade['slopes'])}",
            "lesson 07",
        ),
        (
            "MIG of a perfect code; of the same, rotated at random; of noise",
            "; ".join(f"{scores['mig'][name]:.2f}" for name in ("perfect", "rotated", "noise")),
            "lesson 08",
        ),
        (
            "digits asked of the conditional VAE that an independent classifier reads as asked "
            f"(real digits: {asked['real']:.1%}); their variance within a class, of the real ones'",
            f"{full['asked']:.1%}; {full['variance']:.2f} (collapsed: {collapsed['asked']:.1%}; "
            f"{collapsed['variance']:.2f})",
            "lesson 09",
        ),
        (
            "held-out faces in which an independent classifier sees glasses, and a smile, after adding the direction; "
            "after random steps of equal length",
            "; ".join(
                ", ".join(f"{faces[name][way]:.0%}" for name in ("Eyeglasses", "Smiling"))
                for way in ("turned", "random")
            ),
            "lesson 15",
        ),
        (
            "faces a second into training, 128×128: the course's cache beside `ImageFolder` with its best number of "
            "workers",
            f"{feeding['cached over best']:.1f}×",
            "`benchmarks/faces.py`",
        ),
        (
            "a training step of `perceptual-12m` on a CPU, without its perceptual term, beside PyTorch's defaults: "
            "in fp32; in bf16",
            f"{steps[2]['of default']}; {steps[3]['of default']} of the time",
            "`benchmarks/face_steps.py`",
        ),
        (
            "slider moved to new picture: in the kernel; in the browser, beside `interact` with matplotlib",
            f"{sliders['kernel_ms']:.1f} ms; "
            f"{sliders['browser_ms']:.0f} ms, {sliders['browser_ratio']:.2f} of its time "
            f"(a slider that does nothing: {sliders['browser_floor_ms']:.0f} ms)",
            "`benchmarks/sliders.py`",
        ),
        (
            f"the pad ({pad['model']}): size in a notebook, as a file; frames a second; "
            f"largest difference from PyTorch, of {len(pads)} models",
            f"{pad['in a notebook (kB)']} kB, {pad['as a file (kB)']} kB; {pad['frames a second']}; {farthest:.2f}/255",
            "`benchmarks/pad.py`",
        ),
        (
            "time to beat the test loss of pytorch/examples after ten epochs "
            f"({peer['peer_test_loss']:.1f} nats; ours {peer['our_test_loss']:.1f})",
            f"{peer['time_ratio']:.2f} of its time",
            "`make bench`",
        ),
        (in_time, f"{peer['test_loss_at_peer_time']:.1f} nats", "`make bench`"),
        (
            "images a second in training, same network and batch size",
            f"{peer['speed_over_peer']:.1f}× pytorch/examples ({peer['speed_over_peer_in_fp32']:.1f}× in fp32), "
            f"{peer['speed_over_loader']:.1f}× a `DataLoader`",
            "`make bench`",
        ),
        (
            "exercise checks: right answers accepted, in several styles and on all seeds",
            f"{checks['accepted']} of {checks['right']}",
            "`make check-report`",
        ),
        (
            "exercise checks: wrong answers rejected; with the hint that names the mistake",
            f"{checks['rejected']} of {checks['wrong']}; {checks['named'] / checks['wrong']:.0%}",
            "`make check-report`",
        ),
    ]


def table() -> str:
    lines = ["| what | figure | measured by |", "|---|---|---|"]
    lines += [f"| {what} | {figure} | {where} |" for what, figure, where in rows()]
    return "\n".join(lines)


def ledger() -> str:
    """RESULTS.md: every record with its command, seeds and machine."""
    parts = ["# Results", "Made by `benchmarks/ledger.py` from `vae_course/results` and the built lessons.", table()]
    for path in sorted((ROOT / "vae_course" / "results").glob("*.json")):
        record = results.load(path.stem)
        seeds = f"seeds {record['seeds']} · " if record["seeds"] else ""
        parts += [f"## {path.stem}", f"`{record['command']}` · {seeds}{record['machine']}"]
        figures = record["figures"]
        parts.append("\n".join(listed(figures["table"]) if "table" in figures else medians(figures)))
    return "\n\n".join(parts) + "\n"


def medians(figures: dict[str, Any]) -> list[str]:
    """A line for each figure: its median, and what each round gave."""
    lines = ["| figure | median | each round |", "|---|---|---|"]
    for column in figures["rounds"][0]:
        each = ", ".join(f"{row[column]:g}" for row in figures["rounds"])
        lines.append(f"| {column.replace('_', ' ')} | {figures['median'][column]:g} | {each} |")
    return lines


def listed(table: list[dict[str, Any]]) -> list[str]:
    """A line for each row, a column for each figure."""
    lines = ["| " + " | ".join(column.replace("_", " ") for column in table[0]) + " |", "|---" * len(table[0]) + "|"]
    return lines + ["| " + " | ".join(map(str, row.values())) + " |" for row in table]


def picture() -> bytes:
    """The PNG that the picture's cell shows."""
    name, title = PICTURE
    (cell,) = [cell for cell in lesson(name) if title in "".join(cell["source"]) and cell["cell_type"] == "code"]
    (png,) = [output["data"]["image/png"] for output in cell["outputs"] if "image/png" in output.get("data", {})]
    return base64.b64decode("".join(png))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    if not TABLE.search(readme):
        sys.exit("README.md has no <!-- results --> and <!-- /results --> to write the table between")
    written = TABLE.sub(lambda found: f"{found[1]}{table()}\n{found[2]}", readme)
    wanted = {
        ROOT / "README.md": written.encode(),
        ROOT / "benchmarks" / "RESULTS.md": ledger().encode(),
        ROOT / "benchmarks" / "samples.png": picture(),
    }
    stale = [path for path, content in wanted.items() if not path.exists() or path.read_bytes() != content]
    for path in stale:
        if not check:
            path.write_bytes(wanted[path])
        print(f"{path.relative_to(ROOT).as_posix()} {'is out of date' if check else 'written'}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
