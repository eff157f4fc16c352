"""A training step of perceptual-12m without its LPIPS term, on a CPU: as PyTorch does it by default, and as we do it.

    python benchmarks/face_steps.py

Forward pass, backward pass and Adam at 128×128, batch 32. Each variant runs in a process of its own, because glibc
reads the settings of its allocator when a program starts; the variants take turns, and medians count.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import torch

from vae_course import results
from vae_course.cli import ALLOCATOR
from vae_course.recipes import objective, recipe

BATCH, WARM_UP, STEPS, ROUNDS = 32, 3, 8, 5
VARIANTS = {
    "default: fp32, channels first, default allocator": ("fp32", False, False),
    "channels last": ("fp32", True, False),
    "channels last, allocator": ("fp32", True, True),
    "bf16, channels last, allocator": ("bf16", True, True),
}


def seconds_a_step(precision: str, channels_last: bool) -> float:
    """The median over STEPS steps."""
    torch.manual_seed(0)
    plan = recipe("perceptual-12m", perceptual_weight=0.0)
    order = torch.channels_last if channels_last else torch.contiguous_format
    model = plan.build().to(memory_format=order)
    x, eps = torch.rand(BATCH, *model.x_shape).contiguous(memory_format=order), torch.randn(BATCH, *model.z_shape)
    optimizer = torch.optim.Adam(model.parameters(), lr=plan.lr, fused=True)
    seconds = []
    for _ in range(WARM_UP + STEPS):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = objective(plan, model, x, eps)["loss"].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[WARM_UP:])


def run_alone(name: str) -> float:
    """seconds_a_step of a variant, in a new process."""
    environment = {key: value for key, value in os.environ.items() if key not in ALLOCATOR}
    environment |= ALLOCATOR if VARIANTS[name][2] else {}
    command = [sys.executable, __file__, "--variant", name]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variant", choices=VARIANTS, help="time one variant in this process and print the seconds")
    if name := parser.parse_args().variant:
        print(json.dumps(seconds_a_step(*VARIANTS[name][:2])))
        return
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(ROUNDS):
        for name in VARIANTS:
            seconds[name].append(run_alone(name))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    baseline = next(iter(medians.values()))
    table = [
        {"variant": name, "s a step": f"{value:.3f}", "of default": f"{value / baseline:.2f}"}
        for name, value in medians.items()
    ]
    figures = {"table": table, "seconds": seconds, "batch": BATCH, "threads": torch.get_num_threads()}
    results.save("face_steps", figures, command="python benchmarks/face_steps.py", seeds=[0])
    for line in table:
        print(" | ".join(line.values()))


if __name__ == "__main__":
    main()
