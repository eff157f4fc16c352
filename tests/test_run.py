"""Long runs: whatever meets them, they end as if nothing had happened, or say what did and keep the last good state."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from places import ROOT, clean_environment
from torch import Tensor
from toy_faces import toy_faces, toy_recipe

from vae_course import checkpoints, keyed, run, tracking, training, weights
from vae_course.recipes import objective
from vae_course.runtime import seed as seed_everything

pytestmark = pytest.mark.slow
KILLS = 20 if os.environ.get("VAE_COURSE_LONG") else 4
SEED = int(os.environ.get("VAE_COURSE_KILL_SEED", "0"))
OPTIONS: dict[str, Any] = {"precision": "fp32", "tracker": "none", "log_every": 5, "cpu": True}


def train(folder: Path, steps: int = 20, **changes: Any) -> list[dict[str, float]]:
    recipe = toy_recipe(**changes.pop("recipe", {}))
    return run.train(recipe, toy_faces(), folder, steps=steps, **{**OPTIONS, **changes})


def figures(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    times = ("seconds", "images_per_second", "waited")
    return [{name: value for name, value in row.items() if name not in times} for row in rows]


def final(folder: Path) -> dict[str, Tensor]:
    return weights.load(folder / weights.FILE)[0].state_dict()


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return list(a) == list(b) and all(torch.equal(value, b[name]) for name, value in a.items())


def script(*arguments: str) -> str:
    """What a script of tests/ prints, run by a Python of its own."""
    env = clean_environment(OMP_NUM_THREADS="1", PYTHONPATH=str(ROOT))
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT / "tests", env=env, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# ---- what it computes ----


def test_a_run_learns_and_leaves_everything_in_its_folder(tmp_path: Path) -> None:
    rows = train(tmp_path, steps=60, validate_every=30, checkpoint_every=25)
    assert [row["step"] for row in rows if "loss" in row] == list(range(5, 61, 5))
    assert [row["step"] for row in rows if "valid_loss" in row] == [30, 60]
    assert rows[-1]["valid_loss"] < 0.5 * rows[0]["loss"]
    assert rows == tracking.read(tmp_path)
    assert [path.name for path in checkpoints.numbered(tmp_path / "checkpoints")] == [
        "step-00000025.pt",
        "step-00000050.pt",
        "step-00000060.pt",
    ]
    drawn = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert drawn == {f"step-000000{step}-{what}.png" for step in (30, 60) for what in ("rebuilt", "samples")}
    model, recipe, metrics = weights.load(tmp_path / weights.FILE)
    assert recipe == toy_recipe()
    assert metrics["step"] == 60
    assert metrics["valid_loss"] == rows[-1]["valid_loss"]
    assert same(model.state_dict(), weights.load_run(tmp_path)[0].state_dict())
    assert not model.training


def test_one_process_computes_what_fit_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop of lessons 00 to 14 and this one, on the same batches and noise: equal losses, equal weights."""
    faces, recipe, n, size = toy_faces(), toy_recipe(ema=0.0), 160, 16
    order = torch.randperm(n, generator=torch.Generator().manual_seed(5)).numpy()  # as batches() draws it
    monkeypatch.setattr(keyed, "order", lambda *_, **__: order)
    rows = run.train(recipe, faces, tmp_path, steps=n // size, **{**OPTIONS, "log_every": n // size})

    seed_everything(0)
    model, step = recipe.build(), 0

    def loss(model: Any, x: Tensor) -> dict[str, Tensor]:
        nonlocal step
        eps = keyed.training_noise(order[step * size : (step + 1) * size], model.z_shape, seed=0, step=step)
        step += 1
        return objective(recipe, model, x, eps)

    images = faces.batch(np.arange(n))
    generator = torch.Generator().manual_seed(5)
    fitted = training.fit(model, images, epochs=1, loss=loss, batch_size=size, lr=recipe.lr, generator=generator)
    for name in ("loss", "rec", "kl"):
        assert fitted[0][name] == pytest.approx(rows[0][name], rel=1e-5)
    for name, value in final(tmp_path).items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=1e-3, atol=1e-5)


def test_parts_of_a_batch_add_up_to_the_batch(tmp_path: Path) -> None:
    whole, parts = train(tmp_path / "whole"), train(tmp_path / "parts", accumulate=4)
    for a, b in zip(whole, parts, strict=True):
        for name in ("loss", "rec", "kl"):
            if name in a:
                assert b[name] == pytest.approx(a[name], rel=1e-5)


def test_two_processes_compute_what_one_does(tmp_path: Path) -> None:
    script("shared_run.py", str(tmp_path / "one"))
    script("-m", "torch.distributed.run", "--nproc_per_node", "2", "shared_run.py", str(tmp_path / "two"))
    ranks = [json.loads((tmp_path / "two" / f"rank-{rank}.json").read_text()) for rank in (0, 1)]
    assert [rank["world"] for rank in ranks] == [2, 2]
    assert [len(rank["examples"]) for rank in ranks] == [20 * 8] * 2  # half of each batch of 16
    assert not set(ranks[0]["examples"][:80]) & set(ranks[1]["examples"][:80])  # an epoch of 10 steps: shared out
    one, two = (tracking.read(tmp_path / name / "run") for name in ("one", "two"))
    assert [row["step"] for row in one] == [row["step"] for row in two]
    for a, b in zip(one, two, strict=True):
        for name in a:
            if name in ("loss", "rec", "kl", "valid_loss", "valid_rec", "valid_kl"):
                assert b[name] == pytest.approx(a[name], rel=1e-5), (name, a["step"])


def test_the_weight_of_the_kl_and_the_learning_rate_follow_their_schedules(tmp_path: Path) -> None:
    rows = train(tmp_path, recipe={"beta_annealing": 0.5, "schedule": "constant"}, log_every=1)
    rows = [row for row in rows if "loss" in row]
    assert [row["kl_weight"] for row in rows] == pytest.approx([0.1 * min(1, step / 10) for step in range(20)])
    assert {row["lr"] for row in rows} == {0.002}
    for row in rows:
        assert row["loss"] == pytest.approx(row["rec"] + row["kl_weight"] * row["kl"], rel=1e-5)


def test_the_moving_average_is_what_is_kept(tmp_path: Path) -> None:
    """By hand: averages of the weights after each step, with a decay of (1 + n) / (10 + n) until 0.99."""
    states: list[dict[str, Tensor]] = []
    step = run.Run._train_step

    def noted(self: run.Run, batch: Any) -> None:
        step(self, batch)
        states.append({name: value.detach().clone().double() for name, value in self.model.named_parameters()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run.Run, "_train_step", noted)
        train(tmp_path)
    average = states[0]
    for n, state in enumerate(states[1:], start=1):
        decay = min(0.99, (1 + n) / (10 + n))
        average = {name: decay * average[name] + (1 - decay) * value for name, value in state.items()}
    for name, value in final(tmp_path).items():
        torch.testing.assert_close(value.double(), average[name], rtol=1e-4, atol=1e-6)


# ---- stopped, killed, gone on with ----


def test_killed_again_and_again_it_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    told = json.loads(script("killed_runs.py", str(tmp_path), str(SEED), str(KILLS)))
    print(*told["killed"], sep="\n")
    assert len(told["killed"]) == KILLS
    assert told["killed"][0].startswith("inside a checkpoint's write")
    assert told["rows"] > 10
    assert told["weights"] > 10
    assert told["equal"] == {"rows": True, "weights": True, "names": True}


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_finishes_the_step_and_writes_a_checkpoint(
    number: int, raised: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm = train(tmp_path / "calm")
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    step = run.Run._train_step

    def interrupted(self: run.Run, batch: Any) -> None:
        if self.step == 7:
            os.kill(os.getpid(), number)
        step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(run.Run, "_train_step", interrupted)
        with pytest.raises(raised) as info:
            train(tmp_path / "run")
    assert raised is KeyboardInterrupt or info.value.code == 143
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert checkpoints.numbered(tmp_path / "run" / "checkpoints")[-1].name == "step-00000008.pt"
    assert figures(run.resume(tmp_path / "run", toy_faces(), cpu=True)) == figures(calm)
    assert same(final(tmp_path / "run"), final(tmp_path / "calm"))


def test_a_stop_at_the_last_step_is_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = run.Run._train_step

    def interrupted(self: run.Run, batch: Any) -> None:
        if self.step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        step(self, batch)

    monkeypatch.setattr(run.Run, "_train_step", interrupted)
    train(tmp_path, steps=5)
    assert (tmp_path / weights.FILE).exists()


def test_a_signal_that_comes_twice_at_once_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster signals every process, and torchrun passes its own on."""
    step = run.Run._train_step

    def interrupted(self: run.Run, batch: Any) -> None:
        if self.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
        step(self, batch)

    monkeypatch.setattr(run.Run, "_train_step", interrupted)
    with pytest.raises(SystemExit):
        train(tmp_path)
    assert checkpoints.numbered(tmp_path / "checkpoints")[-1].name == "step-00000003.pt"


def test_a_run_may_stop_after_some_minutes_and_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calm = train(tmp_path / "calm")
    assert train(tmp_path / "run", minutes=0) == []  # one step, and a checkpoint
    assert "stopped after step 1 of 20" in capsys.readouterr().out
    assert figures(run.resume(tmp_path / "run", toy_faces(), cpu=True)) == figures(calm)


def test_a_truncated_newest_checkpoint_costs_the_steps_since_the_one_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calm = train(tmp_path, checkpoint_every=8)
    weights_then = final(tmp_path)
    newest = checkpoints.numbered(tmp_path / "checkpoints")[-1]
    newest.write_bytes(newest.read_bytes()[:5000])
    rows = run.resume(tmp_path, toy_faces(), cpu=True)
    out = capsys.readouterr().out
    assert "step-00000020.pt is not a whole checkpoint" in out
    assert "going on from step 16 of 20" in out
    assert figures(rows) == figures(calm)
    assert same(final(tmp_path), weights_then)


def test_a_run_in_a_thread_handles_no_signals_and_still_trains(tmp_path: Path) -> None:
    rows: list[Any] = []
    thread = threading.Thread(target=lambda: rows.extend(train(tmp_path, steps=5)))
    thread.start()
    thread.join()
    assert rows


def test_other_conditions_are_announced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path, minutes=0)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        run.resume(tmp_path, toy_faces(), cpu=True)
    finally:
        torch.set_num_threads(threads)
    assert f"threads was {threads} and is {threads + 1}" in capsys.readouterr().out


def test_other_pictures_are_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    train(tmp_path, steps=5)
    with pytest.raises(ValueError, match="not the pictures"):
        run.resume(tmp_path, replace(toy_faces(), fingerprint="another"))


def test_a_run_is_not_overwritten_and_none_is_not_resumed(tmp_path: Path) -> None:
    train(tmp_path / "run", steps=5)
    with pytest.raises(FileExistsError, match="resume it"):
        train(tmp_path / "run")
    with pytest.raises(FileNotFoundError, match="holds no run"):
        run.resume(tmp_path)


# ---- what goes wrong ----


def poisoned(monkeypatch: pytest.MonkeyPatch, *steps: int) -> None:
    """NaN among the noise of these steps."""
    noise = keyed.training_noise

    def noise_with_nan(examples: Any, shape: tuple[int, ...], *, seed: int, step: int) -> Tensor:
        return noise(examples, shape, seed=seed, step=step) * (float("nan") if step in steps else 1)

    monkeypatch.setattr(keyed, "training_noise", noise_with_nan)


def test_a_nan_stops_the_run_and_the_last_good_state_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned(monkeypatch, 12)
    with pytest.raises(FloatingPointError, match=r"step 12 .*last good checkpoint is step-00000010.pt.*lower --lr"):
        train(tmp_path, recipe={"when_nan": "stop"})
    state = checkpoints.load(checkpoints.numbered(tmp_path / "checkpoints")[-1])
    assert all(value.isfinite().all() for value in state["model"].values())


def test_a_nan_is_skipped_where_the_recipe_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned(monkeypatch, 11, 12)
    rows = [row for row in train(tmp_path, recipe={"when_nan": "skip"}) if "loss" in row]
    assert [row["skipped"] for row in rows] == [0, 0, 2, 0]
    assert all(np.isfinite(row["loss"]) for row in rows)
    poisoned(monkeypatch, *range(30))
    with pytest.raises(FloatingPointError, match="step 20"):
        train(tmp_path / "hopeless", steps=30, recipe={"when_nan": "skip"})


@pytest.mark.parametrize("when", ["stop", "skip"])
def test_a_nan_of_a_perceptual_recipe_is_met_in_the_same_way(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no weights"))
    poisoned(monkeypatch, 3)
    changes = {"perceptual_weight": 1.0, "reduction": "mean", "rec": "l1", "when_nan": when}
    if when == "stop":
        with pytest.raises(FloatingPointError, match="step 3"):
            train(tmp_path / "run", steps=5, recipe=changes)
    else:
        assert train(tmp_path / "run", steps=5, recipe=changes)[0]["skipped"] == 1


def test_a_full_disk_stops_the_run_with_its_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = torch.save

    def full(state: dict[str, Any], file: Any) -> None:
        if state["step"] > 10:
            raise OSError(28, "No space left on device")
        save(state, file)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=r"step 20 .*No space left.*last good checkpoint is step-00000010.pt.*make room"):
        train(tmp_path)
    assert checkpoints.newest(tmp_path / "checkpoints")


def test_validation_judges_the_moving_average(tmp_path: Path) -> None:
    rows = train(tmp_path, recipe={"ema": 0.9}, validate_every=20)
    average, recipe, _ = weights.load(tmp_path / "weights.safetensors")
    newest = checkpoints.newest(tmp_path / "checkpoints")
    assert newest
    now = recipe.build()
    now.load_state_dict(newest[1]["model"])
    faces = toy_faces()
    chosen = faces.splits["valid"]
    eps = keyed.validation_noise(chosen, average.z_shape, seed=0)
    with torch.no_grad():
        losses = [objective(recipe, m.eval(), faces.batch(chosen), eps)["loss"].mean() for m in (average, now)]
    (found,) = (row["valid_loss"] for row in rows if "valid_loss" in row)
    assert found == pytest.approx(losses[0].item(), rel=1e-5)
    assert found != pytest.approx(losses[1].item(), rel=1e-3)


def test_a_second_process_in_the_folder_is_refused(tmp_path: Path) -> None:
    train(tmp_path, minutes=0)
    code = "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); print(1, flush=True)"
    code += "; time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / ".lock")], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout
            other.stdout.readline()
            with pytest.raises(FileExistsError, match=f"another process is training in {tmp_path}"):
                run.resume(tmp_path, toy_faces(), cpu=True)
        finally:
            other.kill()  # which releases its lock
    assert run.resume(tmp_path, toy_faces(), cpu=True)[-1]["step"] == 20


@pytest.mark.parametrize("row", ["\0\0\0", '{"loss": 1.0}', "[1, 2]", "3"])
def test_a_damaged_row_is_named(row: str, tmp_path: Path) -> None:
    train(tmp_path, minutes=0)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(f"{row}\n")
    lines = len((tmp_path / "metrics.jsonl").read_text().splitlines())
    with pytest.raises(ValueError, match=rf"metrics.jsonl, line {lines}: no row of figures"):
        run.resume(tmp_path, toy_faces(), cpu=True)


@pytest.mark.parametrize("where", ["a file", "read-only", "no folder of ours"])
def test_a_folder_that_cannot_be_written_is_said_before_any_work(where: str, tmp_path: Path) -> None:
    folder = {"a file": tmp_path / "file", "read-only": tmp_path / "shut" / "run"}.get(where, Path("/proc/1/run"))
    (tmp_path / "file").write_text("")
    (tmp_path / "shut").mkdir(mode=0o500)
    if where == "read-only" and os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    if where == "no folder of ours" and not Path("/proc/1").exists():
        pytest.skip("no /proc here, where not even root may write")
    with pytest.raises(OSError, match=rf"{folder} cannot be written .*choose another"):
        train(folder)


def test_a_tracker_that_is_down_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from accelerate import Accelerator

    def down(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route to host")

    from accelerate.tracking import TensorBoardTracker

    calm = train(tmp_path / "calm")
    monkeypatch.setattr(Accelerator, "log", down)
    monkeypatch.setattr(TensorBoardTracker, "finish", down)
    rows = train(tmp_path / "run", tracker="tensorboard")
    assert figures(rows) == figures(calm)
    out = capsys.readouterr().out
    assert out.count("the tracker stopped (ConnectionError: no route to host)") == 1
    assert "the tracker could not be closed" in out
    train(tmp_path / "next", steps=5, precision="bf16")  # which an earlier run's state would forbid


def test_tensorboard_gets_every_row(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tmp_path, tracker="tensorboard", checkpoint_every=7)
    (tmp_path / "checkpoints" / "step-00000020.pt").unlink()  # goes on from step 14, writes 15 again
    rows = run.resume(tmp_path, toy_faces(), cpu=True)
    (folder,) = {path.parent for path in tmp_path.rglob("events.out.tfevents.*")}
    events = EventAccumulator(str(folder))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [5, 10, 15, 20]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx([r["loss"] for r in rows if "loss" in r])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"steps": 1.5}, "steps must be a whole number of at least 1, got 1.5"),
        ({"accumulate": 0}, "accumulate must be a whole number of at least 1"),
        ({"checkpoint_every": -3}, "checkpoint_every must be a whole number of at least 1, got -3"),
        ({"validate_every": 0}, "validate_every must be a whole number of at least 1, got 0"),
        ({"minutes": float("nan")}, "minutes must be at least 0, got nan"),
        ({"accumulate": 3}, "a batch of 16 cannot be split over 1 processes × 3 parts"),
        ({"precision": "fp8"}, "precision must be auto, fp32, bf16, fp16"),
        ({"precision": "fp16"}, "needs a GPU"),
        ({"tracker": "paper"}, "tracker must be one of tensorboard, wandb, none"),
        ({"recipe": {"batch_size": 200}}, "160 pictures do not fill one batch of 200"),
    ],
)
def test_arguments_that_do_not_fit_are_named(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        train(tmp_path, **changes)
    train(tmp_path / "then", steps=5)  # and the next run is not disturbed


def test_auto_precision_says_what_it_chose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path, steps=5, precision="auto")
    out = capsys.readouterr().out
    chosen = json.loads((tmp_path / "run.json").read_text())["precision"]
    assert f"precision: {chosen}" in out
    assert chosen in ("fp32", "bf16")


def test_bf16_trains_and_keeps_its_weights_in_fp32(tmp_path: Path) -> None:
    rows = train(tmp_path, steps=40, precision="bf16")
    assert rows[-1]["valid_loss"] < rows[0]["loss"]
    assert {value.dtype for value in final(tmp_path).values()} == {torch.float32}


def test_weights_and_biases_works_without_an_account_or_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a Python of its own: wandb writes from another process, which has surely ended when this one has."""
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # where an account's key would be
    code = f"""
from vae_course import run
from toy_faces import toy_faces, toy_recipe
options = dict(steps=10, precision="fp32", log_every=5, cpu=True, tracker="wandb")
run.train(toy_recipe(), toy_faces(), {str(tmp_path / "run")!r}, **options)
"""
    assert "the tracker stopped" not in script("-c", code)
    (written,) = (tmp_path / "run").rglob("*.wandb")
    assert written.stat().st_size > 1000


def test_a_perceptual_run_goes_on_with_the_features_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no weights"))
    recipe = {"perceptual_weight": 1.0, "reduction": "mean", "rec": "l1"}
    calm = train(tmp_path / "calm", steps=6, recipe=recipe)
    assert "features of our own attribute classifier, not LPIPS" in capsys.readouterr().out
    assert all(row["perceptual"] > 0 for row in calm if "loss" in row)
    train(tmp_path / "run", steps=6, recipe=recipe, minutes=0)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["backbone"] == "attributes"
    trained = (tmp_path / "run" / "perceptual.safetensors").read_bytes()
    assert figures(run.resume(tmp_path / "run", toy_faces(), cpu=True)) == figures(calm)
    assert (tmp_path / "run" / "perceptual.safetensors").read_bytes() == trained
