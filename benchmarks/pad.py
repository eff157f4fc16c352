"""The pad on trained models: how large it is, how far its pixels are from PyTorch's, how fast it draws, offline.

    python benchmarks/pad.py       about two minutes on one core, with Chromium and playwright (extra `dev`)

Each model is trained for three epochs. Differences are over 500 random points of the plane, read from the page's
canvas; frames a second are counted while pointer events drag the point.
"""

import base64
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from playwright.sync_api import sync_playwright

from vae_course import data, results, runtime, training
from vae_course.latent import posteriors
from vae_course.models.conv import ConvVAE
from vae_course.models.mlp import MLPVAE
from vae_course.models.vae import VAE
from vae_course.pad import Pad

COMMAND = "python benchmarks/pad.py"
POINTS, SECONDS = 500, 3
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PIXELS = """points => points.map(point => {
  moveTo(...point);
  update();
  return btoa(String.fromCharCode(...byId("digit").getContext("2d").getImageData(0, 0, width, height).data));
})"""
MILLISECONDS = """points => {
  const start = performance.now();
  for (const point of points) decode(...point);
  return (performance.now() - start) / points.length;
}"""
FRAMES = """seconds => new Promise(done => {
  const box = plane.getBoundingClientRect(), start = performance.now();
  let frames = 0;
  plane.hasPointerCapture = () => true;
  function frame(now) {
    const t = now - start;
    if (t > 1000 * seconds) return done(1000 * frames / t);
    frames++;
    plane.dispatchEvent(new PointerEvent("pointermove", {
      clientX: box.left + box.width * (0.5 + 0.4 * Math.sin(t / 300)),
      clientY: box.top + box.height * (0.5 + 0.4 * Math.cos(t / 500))}));
    requestAnimationFrame(frame);
  }
  requestAnimationFrame(frame);
})"""


def trained(make: type[VAE], digits: data.Digits, **options: Any) -> VAE:
    torch.manual_seed(0)
    model = make(**options)
    training.fit(model, digits.train_x[: runtime.steps(60_000, 3_000)], epochs=3)
    return model


def latents(model: VAE, made: Any, images: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """The latents of points, from what the page says of them: z itself, or the weights of the three codes."""
    if model.z_dim == 2:
        return points
    readout = torch.tensor([row[1:] for row in made])  # (3, 3)
    return torch.cat([torch.ones(len(points), 1), points], dim=1) @ readout.T @ model.encode(images)[0]


@torch.no_grad()
def measured(page: Any, name: str, model: VAE, digits: data.Digits, path: Path) -> dict[str, Any]:
    images = digits.test_x[:3]
    if model.z_dim == 2:
        pad = Pad(model, codes=posteriors(model, digits.test_x)[0], labels=digits.test_y)
    else:
        pad = Pad(model, images=images)
    page.goto(pad.save(path).as_uri())
    points = (torch.rand(POINTS, 2) * 2 - 1) * page.evaluate("half")
    wanted = model.decode(latents(model, page.evaluate("data.readout"), images, points)).sigmoid() * 255
    seen = b"".join(map(base64.b64decode, page.evaluate(PIXELS, points.tolist())))
    rgba = torch.frombuffer(bytearray(seen), dtype=torch.uint8).view(POINTS, 28, 28, 4)
    return {
        "model": name,
        "in a notebook (kB)": round(sum(map(len, pad.bundle().values())) / 1000),
        "as a file (kB)": round(path.stat().st_size / 1000),
        "largest difference (255ths)": round((rgba[..., 0] - wanted[:, 0]).abs().max().item(), 2),
        "decode (ms)": round(page.evaluate(MILLISECONDS, points.tolist()), 2),
        "frames a second": round(page.evaluate(FRAMES, SECONDS)),
    }


def main() -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("no Chromium on PATH (Debian: apt install chromium)")
    digits = data.load_digits()
    models = {
        "MLPVAE, 2 latents, 400 hidden": trained(MLPVAE, digits, z_dim=2, hidden=(400,)),
        "MLPVAE, 2 latents, 256 hidden": trained(MLPVAE, digits, z_dim=2, hidden=(256,)),
        "MLPVAE, 16 latents, 400 hidden, three images": trained(MLPVAE, digits, z_dim=16, hidden=(400,)),
        "ConvVAE, 2 latents": trained(ConvVAE, digits, z_dim=2),
    }
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_context(offline=True).new_page()
        path = Path(folder) / "pad.html"
        table = [measured(page, name, model, digits, path) for name, model in models.items()]
        browser.close()
    for row in table:
        print(row)
    results.save("pad", {"table": table}, command=COMMAND, seeds=[0])


if __name__ == "__main__":
    main()
