"""The course's training beside pytorch/examples' VAE: same machine, same run, taking turns.

    make bench PEER=folder      where folder is a checkout of https://github.com/pytorch/examples, run unmodified

Three comparisons, each the median over the rounds, go into the ledger as `peer`: time to the test loss that the peer
has after its ten epochs; test loss at the peer's training time; images a second on the peer's own network.
Seconds are of training: the peer's loops over its loader, ours over tensors that were decoded once before. The peer
has its own fixed settings; ours are the course's: one-cycle schedule, SiLU, bf16 where a trial shows it faster, and
five epochs for the first comparison. Every round has another seed on both sides.
"""

import argparse
import gzip
import hashlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from vae_course import data, losses, results, runtime, training
from vae_course.data import Digits
from vae_course.models.mlp import MLPVAE
from vae_course.models.vae import VAE

PEER_EPOCHS = 10
BATCH = 128  # the peer's
OUR_EPOCHS = 5  # decided beforehand: a one-cycle schedule has to know its length


def peer_network() -> VAE:
    """The peer's network, layer for layer: 784-400-20 with ReLU."""
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 40))
    decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Unflatten(1, (1, 28, 28)))
    return VAE(encoder, decoder, x_shape=(1, 28, 28), z_dim=20)


def run_peer(script: Path, folder: Path, seed: int) -> tuple[float, float]:
    """Run the peer's script as it is; seconds of training and its last test loss, read off what it prints."""
    process = subprocess.Popen(
        [sys.executable, "-u", str(script.resolve()), "--epochs", str(PEER_EPOCHS), "--no-accel", "--seed", str(seed)],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    seconds, start, test_loss = 0.0, None, float("nan")
    for line in process.stdout or ():
        now = time.perf_counter()
        if line.startswith("Train Epoch") and start is None:
            start = now
        elif "Average loss" in line and start is not None:
            seconds, start = seconds + now - start, None
        elif found := re.search(r"Test set loss: ([\d.]+)", line):
            test_loss = float(found[1])
    if process.wait() != 0:
        raise SystemExit(f"{script} ended with an error; it is run as it stands, with its own options")
    return seconds, test_loss


def ours_to_loss(digits: Digits, seed: int) -> tuple[float, float]:
    """Seconds and test loss of the course's plain MLP, of the same size as the peer's."""
    runtime.seed(seed)
    model = MLPVAE(20, (400,))
    history = training.fit(model, digits.train_x, test=digits.test_x, epochs=OUR_EPOCHS, lr=5e-3, precision="auto")
    return history[-1]["seconds"], history[-1]["test_loss"]


def ours_in_time(digits: Digits, seed: int, seconds: float) -> tuple[float, float]:
    """Seconds and test loss of the course's wider MLP, with as many epochs as fit into `seconds`."""

    def train(epochs: int) -> training.History:
        runtime.seed(seed)
        model = MLPVAE(20, (400, 400))
        return training.fit(model, digits.train_x, test=digits.test_x, epochs=epochs, lr=3e-3, precision="auto")

    history = train(max(1, int(0.92 * seconds / train(1)[-1]["seconds"])))  # so that slower epochs fit in, too
    return history[-1]["seconds"], history[-1]["test_loss"]


def ours_speed(digits: Digits, seed: int, precision: str) -> float:
    """Images a second in one epoch of `fit` on the peer's network at its batch size."""
    runtime.seed(seed)
    history = training.fit(peer_network(), digits.train_x, epochs=1, batch_size=BATCH, precision=precision)
    return len(digits.train_x) / history[-1]["seconds"]


def loader_speed(folder: Path, seed: int) -> float:
    """Images a second of the same network and loss, fed by torchvision's data set, ToTensor and a DataLoader."""
    runtime.seed(seed)
    model = peer_network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)  # as in fit: the loader alone differs
    loader = DataLoader(datasets.MNIST(folder, transform=transforms.ToTensor()), batch_size=BATCH, shuffle=True)
    start = time.perf_counter()
    for x, _ in loader:
        loss = losses.negative_elbo(model, x)["loss"].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return 60_000 / (time.perf_counter() - start)


def lay_out_mnist(folder: Path) -> None:
    """The unpacked files where the peer and torchvision look for them, so that neither downloads."""
    raw = Path(os.environ["VAE_COURSE_DATA"]).expanduser() / "MNIST" / "raw"
    target = folder / "data" / "MNIST" / "raw"
    target.mkdir(parents=True)
    for packed in raw.glob("*.gz"):
        (target / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))


def one_round(script: Path, digits: Digits, work: Path, seed: int) -> dict[str, float]:
    peer_seconds, peer_loss = run_peer(script, work / "run", seed)
    seconds, loss = ours_to_loss(digits, seed)
    seconds_used, loss_in_time = ours_in_time(digits, seed, peer_seconds)
    peer_speed = PEER_EPOCHS * len(digits.train_x) / peer_seconds
    speed, loader = ours_speed(digits, seed, "auto"), loader_speed(work / "data", seed)
    return {
        "peer_seconds": peer_seconds,
        "peer_test_loss": peer_loss,
        "our_seconds": seconds,
        "our_test_loss": loss,
        "time_ratio": seconds / peer_seconds,
        "seconds_used": seconds_used,
        "test_loss_at_peer_time": loss_in_time,
        "images_per_second": speed,
        "speed_over_peer": speed / peer_speed,
        "speed_over_peer_in_fp32": ours_speed(digits, seed, "fp32") / peer_speed,
        "speed_over_loader": speed / loader,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, help="a checkout of pytorch/examples")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    script = args.peer / "vae" / "main.py"
    if not script.is_file():
        raise SystemExit(f"there is no vae/main.py in {args.peer}: PEER must name a checkout of pytorch/examples")
    if "VAE_COURSE_DATA" not in os.environ:
        raise SystemExit("set VAE_COURSE_DATA to the folder that holds MNIST/raw: the peer must read the same files")
    digits = data.load_digits("mnist")
    rounds = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        lay_out_mnist(work)
        (work / "run" / "results").mkdir(parents=True)  # the peer writes its pictures there
        for seed in range(args.rounds):
            rounds.append(one_round(script, digits, work, seed))
            print(rounds[-1], flush=True)
    median = {key: round(statistics.median(row[key] for row in rounds), 3) for key in rounds[0]}
    figures = {"median": median, "rounds": [{key: round(value, 3) for key, value in row.items()} for row in rounds]}
    figures["sha256_of_vae_main_py"] = hashlib.sha256(script.read_bytes()).hexdigest()
    results.save("peer", figures, command="make bench PEER=checkout", seeds=list(range(args.rounds)))
    ours, peers = median["our_test_loss"], median["peer_test_loss"]
    print(f"test loss {ours:.1f} (the peer: {peers:.1f}) in {median['time_ratio']:.2f} of its time")
    print(f"test loss at the peer's training time: {median['test_loss_at_peer_time']:.1f} nats")
    print(
        f"images a second: {median['speed_over_peer']:.2f}× the peer, {median['speed_over_loader']:.2f}× a DataLoader"
    )


if __name__ == "__main__":
    main()
