"""The command: its words, its exit codes, its restart, and a whole session with every example of its help."""

import argparse
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vae_course import checkpoints, cli, commands, recipes
from vae_course.data import faces as drawn
from vae_course.weights import load_run

pytestmark = pytest.mark.slow

SUBCOMMANDS = ["data", "train", "resume", "evaluate", "sample", "reconstruct", "interpolate", "attributes"]


def examples() -> dict[str, str]:
    """The example at the end of each subcommand's help."""
    [action] = (a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction))
    helps = {name: command.format_help() for name, command in action.choices.items()}
    return {name: re.search(r"example:\n  (vae-course .+)\n\Z", text)[1] for name, text in helps.items()}


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new process, without the allocator's settings unless they are given."""
    clean = {k: v for k, v in os.environ.items() if k not in (cli.RESTARTED, *cli.ALLOCATOR)}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=clean | environment, timeout=60, check=True
    )


# ---- words ----


def test_every_subcommand_has_an_example_of_itself():
    assert list(examples()) == SUBCOMMANDS
    assert all(example.startswith(f"vae-course {name}") for name, example in examples().items())


def test_help_answers_at_once_without_pytorch():
    code = f"""
import sys, time
from vae_course import cli
for words in [["--help"], *([name, "--help"] for name in {SUBCOMMANDS})]:
    try:
        cli.main(words)
    except SystemExit as end:
        assert end.code == 0
assert "torch" not in sys.modules and "numpy" not in sys.modules
print("seconds:", time.process_time())
"""
    out = python(code).stdout
    assert float(out.rpartition("seconds: ")[2]) < 0.5
    assert "130 stopped by Ctrl-C" in out


def test_the_help_names_the_recipes_that_there_are():
    assert set(re.findall(r"[\w-]*\d[\w-]*|residual[\w-]*", cli.RECIPES)) - {"128", "64"} == set(recipes.RECIPES)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "fly",
        "train",
        "train flat-32 --steps 0",
        "train flat-32 --steps 3 --epochs 2",
        "train flat-32 --lr nan",
        "train flat-32 --lr -1",
        "train flat-32 --seed -1",
        "train flat-32 --precision fp8",
        "train flat-32 --minutes inf",
        "sample -n 2.5",
        "data --verify --download",
        "attributes --add Smiling --amount much",
        "attributes --add Smiling --amount nan",
    ],
)
def test_wrong_words_are_a_usage_error(words, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(shlex.split(words))
    assert end.value.code == 2
    assert "usage: vae-course" in capsys.readouterr().err


# ---- exit codes ----


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (commands.DataError("celeba is not here:\nput it there"), 1, "vae-course: celeba is not here: put it there\n"),
        (ValueError("no such attribute"), 1, "no such attribute"),
        (checkpoints.CheckpointError("step-00000001.pt was refused"), 1, "refused"),
        (commands.WeightsError("no safetensors file"), 1, "no safetensors"),
        (FloatingPointError("the gradient of step 3 is not finite"), 1, "step 3"),
        (PermissionError(13, "Permission denied", "/out/run.json"), 1, "/out/run.json"),
        (OSError(28, "No space left on device", "x.pt"), 1, "the disk is full"),
        (ModuleNotFoundError("No module named 'accelerate'", name="accelerate"), 1, "pip install 'vae-course[train]'"),
        (torch.OutOfMemoryError("CUDA out of memory"), 1, "--batch-size"),
        (KeyboardInterrupt(), 130, "Ctrl-C"),
    ],
)
def test_failures_are_one_line_and_a_code(monkeypatch, capsys, error, code, words):
    def fail(args):
        raise error

    monkeypatch.setattr(commands, "sample", fail)
    assert cli.main(["sample"]) == code
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert "Traceback" not in said


def test_a_missing_package_is_named_before_anything_else_is_imported():
    code = "import sys; sys.modules['safetensors'] = None\nfrom vae_course import cli; print(cli.main(['sample']))"
    done = python(code)
    assert done.stdout == "1\n"
    assert done.stderr == "vae-course: safetensors is missing: pip install 'vae-course[train]'\n"


BUGS = [AttributeError("x"), TypeError("x"), RuntimeError("x"), ModuleNotFoundError("x", name="vae_course.typo")]


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_keeps_its_traceback(monkeypatch, bug):
    def fail(args):
        raise bug

    monkeypatch.setattr(commands, "sample", fail)
    with pytest.raises(type(bug)):
        cli.main(["sample"])


def test_traceback_shows_where_a_failure_happened(monkeypatch):
    def fail(args):
        raise ValueError("known")

    monkeypatch.setattr(commands, "sample", fail)
    with pytest.raises(ValueError, match="known"):
        cli.main(["sample", "--traceback"])


def test_sigterm_keeps_its_code(monkeypatch):
    def stop(args):
        raise SystemExit(143)  # what the training loop does after its checkpoint

    monkeypatch.setattr(commands, "resume", stop)
    with pytest.raises(SystemExit) as end:
        cli.main(["resume"])
    assert end.value.code == 143


def test_of_several_processes_the_first_one_prints(monkeypatch, capsys):
    monkeypatch.setattr(commands, "sample", lambda args: print("a line"))
    for rank in ("0", "1", "2"):
        monkeypatch.setenv("RANK", rank)
        assert cli.main(["sample"]) == 0
    assert capsys.readouterr().out == "a line\n"


# ---- the restart ----

RESTART = """
import os, sys
from vae_course import cli
print("start")
cli._restart_with_allocator(on_cpu={on_cpu})
print({{k: v for k, v in os.environ.items() if k.startswith("MALLOC") or k == cli.RESTARTED}}, "torch" in sys.modules)
"""
GLIBC = pytest.mark.skipif(not cli._has_glibc(), reason="no glibc here")


@GLIBC
def test_training_on_a_cpu_restarts_once_with_the_allocator_settings():
    out = python(RESTART.format(on_cpu=True)).stdout.splitlines()
    assert out == ["start", "start", f"{ {**cli.ALLOCATOR, cli.RESTARTED: '1'} } False"]


@pytest.mark.parametrize(
    ("on_cpu", "environment"),
    [(False, {}), (True, {"MALLOC_TOP_PAD_": "65536"}), (True, {cli.RESTARTED: "1"})],
)
def test_no_restart_with_a_gpu_or_over_settings_of_the_users_own_or_twice(on_cpu, environment):
    out = python(RESTART.format(on_cpu=on_cpu), **environment).stdout.splitlines()
    assert out == ["start", f"{environment} False"]


def test_no_restart_where_pytorch_or_a_notebook_is_loaded():
    for module in ("torch", "ipykernel"):
        out = python(f"import sys; sys.modules[{module!r}] = sys\n" + RESTART.format(on_cpu=True)).stdout
        assert out.startswith("start\n{}")


@GLIBC
def test_the_command_itself_restarts_for_training_and_not_for_looking():
    """Both entry points, with commands replaced by a print of the environment after the restart."""
    code = f"""
import os, sys, types
sys.argv = ["vae-course", *{{words}}]
fake = types.ModuleType("vae_course.commands")
fake.train = fake.sample = lambda args: print(os.environ.get({cli.RESTARTED!r}), args.command)
import vae_course
sys.modules["vae_course.commands"] = vae_course.commands = fake
from vae_course import cli
sys.exit(cli.main())
"""
    assert python(code.format(words=["train", "flat-32", "--cpu"])).stdout == "1 train\n"
    assert python(code.format(words=["sample"])).stdout == "None sample\n"


# ---- a whole session ----


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder to work in: tiny drawn faces as CelebA, one thread, and a recipe that trains in a second."""
    folder = tmp_path_factory.mktemp("session")
    patch = pytest.MonkeyPatch()
    drawn.write_celeba(folder / "faces", 150, seed=1)
    small = recipes.RECIPES["flat-32-small"]
    tiny = replace(small, size=16, channels=(8, 8), z=4, batch_size=8, epochs=1)
    patch.setitem(recipes.RECIPES, "flat-32-small", tiny)
    patch.setenv("CELEBA_ROOT", str(folder / "faces"))
    patch.delenv("VAE_COURSE_DATA", raising=False)
    patch.chdir(folder)
    yield folder
    patch.undo()


def run(*words: str) -> int:
    return cli.main(list(words))


@pytest.fixture(scope="module")
def trained(place):
    """A run of fifteen steps; its folder."""
    assert run("train", "flat-32-small", "--out", "runs/first", "--steps", "15", "--tracker", "none", "--cpu") == 0
    return place / "runs" / "first"


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_run_is_there_and_whole(trained):
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 15
    assert (trained / "weights.safetensors").exists()


def test_a_stopped_run_goes_on(place, capsys):
    out = ["--out", "runs/stopped"]
    words = ["train", "flat-32-small", *out, "--steps", "6", "--tracker", "none", "--cpu"]
    assert run(*words, "--minutes", "1e-9") == 0
    assert "stopped after step 1 of 6" in capsys.readouterr().out
    assert run(*words) == 1
    assert "holds a run already" in capsys.readouterr().err
    assert run("resume", "runs/stopped", "--minutes", "1e-9", "--cpu") == 0
    assert "stopped after step 2 of 6" in capsys.readouterr().out
    assert run("train", "flat-32-small", *out, "--resume", "--cpu") == 0
    assert "finished" in capsys.readouterr().out
    assert commands.load_run(place / "runs" / "stopped")[2]["step"] == 6


def test_a_run_keeps_its_plan(trained, capsys):
    words = ["train", "flat-32-small", "--out", "runs/first", "--resume", "--cpu"]
    lr = recipes.RECIPES["flat-32-small"].lr
    for more, message in (
        (["--lr", "0.5"], f"lr {lr}, now 0.5"),
        (["--seed", "3"], "seed 0, now 3"),
        (["--accumulate", "4"], "accumulate 1, now 4"),
    ):
        assert run(*words, *more) == 1
        assert message in capsys.readouterr().err
    words[1] = "residual-spatial-small"
    assert run(*words) == 1
    assert "family flat, now residual-spatial" in capsys.readouterr().err


def test_samples_depend_on_their_seed_alone(trained, place):
    for name, words in {"a": ["-n", "9"], "b": ["-n", "9"], "c": ["-n", "9", "--seed", "1"], "d": ["-n", "3"]}.items():
        assert run("sample", "runs/first", *words, "-o", f"{name}.png") == 0
    a, b, c, d = (picture(place / f"{name}.png") for name in "abcd")
    assert a.shape == (48, 48, 3)
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert np.array_equal(a[:16, :32], d[:16, :32])


def test_shared_weights_serve_as_a_run(trained, place):
    assert run("sample", "runs/first/weights.safetensors", "-n", "4", "-o", "shared.png") == 0
    assert run("sample", "runs/first", "-n", "4", "-o", "own.png") == 0
    assert np.array_equal(picture(place / "shared.png"), picture(place / "own.png"))


def test_reconstructions_stand_below_their_faces(trained, place, capsys):
    assert run("reconstruct", "runs/first", "-n", "10", "-o", "rebuilt.png") == 0
    page = picture(place / "rebuilt.png")
    strip = page.shape[0] // 4 - 16
    model, _, _ = commands.load_run(trained)
    faces = commands.load_faces(**json.loads((trained / "run.json").read_text())["data"])
    valid = faces.splits["valid"]
    chosen = valid[np.arange(10) * len(valid) // 10]
    x = faces.batch(chosen)
    with torch.no_grad():
        y = model.mean(model.encode(x)[0])
    for n in range(10):
        top, left = strip + (n // 8) * 2 * (strip + 16), 16 * (n % 8)
        for image, at in ((x[n], top), (y[n], top + strip + 16)):
            want = (image * 255).permute(1, 2, 0).numpy()
            assert np.abs(page[at : at + 16, left : left + 16] - want).max() <= 1  # a sum in another order
    said = re.search(r"MSE ([\d.e-]+)", capsys.readouterr().out)[1]
    assert float(said) == pytest.approx(((x - y) ** 2).mean().item(), rel=1e-3)


def test_interpolation_by_name_and_by_number(trained, place):
    assert run("interpolate", "runs/first", "--from", "000003.jpg", "--to", "000007.jpg", "-o", "names.png") == 0
    assert run("interpolate", "runs/first", "--from", "2", "--to", "6", "-o", "numbers.png") == 0
    assert np.array_equal(picture(place / "names.png"), picture(place / "numbers.png"))
    assert run("interpolate", "runs/first", "--steps", "3", "-o", "default.png") == 0
    assert picture(place / "default.png").shape[0] == picture(place / "names.png").shape[0]


def test_attributes_are_listed_as_the_file_counts_them(trained, place, capsys):
    assert run("attributes", "runs/first") == 0
    said = capsys.readouterr().out
    lines = (place / "faces" / "celeba" / "list_attr_celeba.txt").read_text().splitlines()
    column = lines[1].split().index("Smiling") + 1
    smiling = sum(line.split()[column] == "1" for line in lines[2:])
    assert re.search(rf"Smiling +{smiling} of 150", said)


@pytest.mark.parametrize(("amount", "wanted"), [("1.5", 0.9), ("-1.5", 0.1)])
def test_an_attribute_is_added_or_taken_away_beside_a_control(trained, place, monkeypatch, capsys, amount, wanted):
    """A judge that gives the wanted answer to two faces before, to all on the direction, to half at random."""
    seen = []

    class Judge:
        names = ("Young", "Smiling")

        def probabilities(self, x):
            right = [torch.arange(len(x)) < 2, torch.ones(len(x)), torch.arange(len(x)) % 2][len(seen)].bool()
            seen.append(x)
            return torch.where(right, wanted, 1 - wanted)[:, None].expand(-1, 2) * torch.tensor([0.0, 1.0])

    monkeypatch.setattr(commands, "_judge", lambda faces: Judge())
    words = ["--add", "Smiling", "--amount", amount, "--control", "-o", "smile.png"]
    assert run("attributes", "runs/first", *words) == 0
    faces = commands.load_faces(**json.loads((trained / "run.json").read_text())["data"])
    lacking = int((faces.attribute("Smiling", "valid") != (wanted > 0.5)).sum())
    assert [len(x) for x in seen] == [lacking] * 3
    could = lacking - 2
    half = sum(n % 2 for n in range(2, lacking)) / could
    said = capsys.readouterr().out
    assert f"{float(amount):+g} Smiling: an independent classifier's answer turned for 100% of {could} faces" in said
    assert f"of equal length: an independent classifier's answer turned for {half:.0%} of {could} faces" in said
    assert not torch.equal(seen[0], seen[1])
    assert picture(place / "smile.png").shape[1] >= 16 * min(8, lacking)


def test_an_evaluation_gives_every_figure_with_its_sample_size(trained, capsys):
    assert run("evaluate", "runs/first", "-n", "50") == 0
    said = capsys.readouterr().out
    for name in ("loss", "rec", "kl", "MSE", "PSNR", "SSIM"):
        assert re.search(rf"^{name} +[\d.e+-]+", said, re.MULTILINE), name
    assert "Fréchet distance" in said


def test_every_example_of_the_help_runs(place, capsys):
    for example in examples().values():
        assert run(*shlex.split(example)[1:]) == 0, capsys.readouterr().err
    assert (place / "runs" / "flat-32-small-1" / "weights.safetensors").exists()
    assert (place / "samples.png").exists()


# ---- data ----


def test_data_says_what_is_here(place, capsys):
    assert run("data") == 0
    said = capsys.readouterr().out
    assert "digits: no MNIST in" in said
    assert "CelebA from CELEBA_ROOT: 150 pictures, 13 attributes" in said
    assert "cache: " in said


def test_data_without_celeba_says_how_to_get_it(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("CELEBA_ROOT", raising=False)
    monkeypatch.setenv("VAE_COURSE_CACHE", str(tmp_path))
    assert run("data") == 0
    assert "no CelebA here, so 6,000 drawn ones are used. CelebA can be had" in capsys.readouterr().out


def test_a_place_that_was_named_and_holds_nothing_is_an_error(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("CELEBA_ROOT", str(tmp_path))
    assert run("data") == 1
    assert f"CELEBA_ROOT is {tmp_path}" in capsys.readouterr().err


def test_drawn_faces_are_verified_and_damage_is_named(tmp_path, capsys):
    folder = tmp_path / "drawn"
    assert run("data", "--draw", str(folder), "--count", "12") == 0
    assert run("data", "--data", str(folder), "--verify") == 0
    said = capsys.readouterr().out
    assert f"12 drawn faces in {folder}" in said
    assert "all 12 pictures can be decoded" in said
    picture = folder / "celeba" / "img_align_celeba" / "000005.jpg"
    picture.write_bytes(picture.read_bytes()[:500])
    assert run("data", "--data", str(folder), "--verify") == 1
    said = capsys.readouterr()
    assert "damaged: 000005.jpg (" in said.out
    assert "1 of 12 pictures are damaged" in said.err


def test_a_named_celeba_keeps_its_attributes_through_a_resume(place, monkeypatch, capsys):
    monkeypatch.delenv("CELEBA_ROOT")
    words = ["train", "flat-32-small", "--out", "runs/named", "--steps", "4", "--tracker", "none", "--cpu"]
    assert run(*words, "--data", "faces", "--minutes", "1e-9") == 0
    assert run("resume", "runs/named", "--cpu") == 0
    assert run("attributes", "runs/named") == 0
    assert "Smiling" in capsys.readouterr().out


def test_faces_that_are_not_the_runs_own_are_refused_unless_named(trained, place, monkeypatch, capsys):
    drawn.write_celeba(place / "others", 40, seed=2)
    monkeypatch.setenv("CELEBA_ROOT", str(place / "others"))
    assert run("reconstruct", "runs/first") == 1
    assert "name those with --data" in capsys.readouterr().err
    assert run("reconstruct", "runs/first", "--data", "faces/celeba/img_align_celeba", "-o", "again.png") == 0


# ---- as processes ----


def command(*words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "vae_course.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )


def test_signals_end_a_run_with_a_checkpoint_and_their_code(place):
    """A run of its own process, stopped twice and finished never: SIGTERM is 143, Ctrl-C is 130."""
    run_folder = place / "runs" / "signals"
    words = ["train", "flat-32-small", "--out", str(run_folder), "--steps", "9999", "--tracker", "none", "--cpu"]
    steps = [0]
    for word, number, code in (
        (words, signal.SIGTERM, 143),
        (["resume", str(run_folder), "--cpu"], signal.SIGINT, 130),
    ):
        process = command(*word)
        assert process.stderr is not None
        shown = ""
        while not re.search(rf"\b(?!{steps[-1]}/)\d+/9999", shown):  # until it moves
            more = process.stderr.read(200)
            assert more, f"ended before its first step: {shown}"
            shown += more
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, err
        assert "Traceback" not in err
        assert "its checkpoint is written" in out
        steps.append(max(int(path.stem[5:]) for path in (run_folder / "checkpoints").iterdir()))
    assert 0 < steps[1] < steps[2]


def test_under_torchrun_one_process_prints_and_both_train(place):
    words = ["train", "flat-32-small", "--out", "runs/two", "--steps", "2", "--tracker", "none", "--cpu"]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "vae_course.cli", *words],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("run: flat-32-small in runs/two") == 1
    assert done.stdout.count("finished") == 1
    _, state = checkpoints.newest(place / "runs" / "two" / "checkpoints")
    assert state["conditions"]["processes"] == 2


# ---- learners' mistakes ----


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train flat-33 --cpu", "flat-32, "),
        ("train flat-32-small --size 30 --cpu", "multiple of 4"),
        ("train flat-32-small --data nowhere --cpu", "nowhere"),
        ("train flat-32-small --data empty --cpu", "empty"),
        ("train flat-32-small --out /proc/nowhere/run --cpu --tracker none", "/proc/nowhere"),
        ("train flat-32-small --batch-size 4000 --steps 5 --cpu --tracker none --out runs/large", "4000"),
        ("train flat-32-small --precision fp16 --cpu --out runs/half", "GPU"),
        ("resume nowhere", "nowhere"),
        ("resume empty", "empty"),
        ("sample nowhere", "nowhere"),
        ("sample faces", "faces"),
        ("sample runs/first -o samples.jpg", ".png"),
        ("sample runs/first -o /proc/nowhere/samples.png", "/proc/nowhere"),
        ("interpolate runs/first --from nobody.jpg", "000001.jpg"),
        ("interpolate runs/first --from 150", "below 150"),
        ("interpolate runs/first --steps 1", "two"),
        ("attributes runs/first --add Handsome", "Smiling"),
        ("attributes runs/first --data pictures --source folder", "no attributes"),
    ],
)
def test_mistakes_are_explained(place, trained, capsys, words, message):
    (place / "empty").mkdir(exist_ok=True)
    (place / "pictures").mkdir(exist_ok=True)
    for n in range(12):
        Image.new("RGB", (20, 20), (n * 20, 0, 0)).save(place / "pictures" / f"{n}.png")
    assert run(*shlex.split(words)) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("vae-course: ")
    assert message in said


def test_two_runs_started_together_get_folders_of_their_own(place):
    folders = {commands._next("flat-32") for _ in range(3)}
    assert folders == {Path("runs/flat-32-1"), Path("runs/flat-32-2"), Path("runs/flat-32-3")}
    assert all((place / folder).is_dir() for folder in folders)


def test_a_seed_that_no_generator_takes_is_refused(capsys):
    with pytest.raises(SystemExit):
        cli.main(["sample", "--seed", "9" * 20])
    assert "from 0 to 2**63 - 1" in capsys.readouterr().err


def test_without_a_run_the_first_step_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("sample") == 1
    assert "vae-course train" in capsys.readouterr().err


def test_several_processes_need_a_folder_by_name(place, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run("train", "flat-32-small", "--cpu") == 1
    assert "--out" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["sample", "resume"])
def test_a_pickle_that_would_run_code_is_refused(trained, tmp_path, capsys, command):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    folder = tmp_path / "evil"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "run.json").write_bytes((trained / "run.json").read_bytes())
    torch.save({"step": 15, "model": Evil()}, folder / "checkpoints" / "step-00000015.pt")
    assert run(command, str(folder)) == 1
    assert "refused, and nothing in it was run" in "".join(capsys.readouterr())
    assert not (tmp_path / "ran").exists()


def test_any_folder_of_colour_pictures_trains_without_a_change(place, tmp_path, capsys):
    """Pictures of many sizes and kinds, without attributes, in folders of their own: the recipe as it is."""
    draw = np.random.default_rng(0)
    for i in range(80):
        width, height = draw.integers(70, 160, 2)
        ramp = np.linspace(0, 255, width)[None, :, None] * draw.random(3)
        values = (ramp + draw.integers(0, 30, (height, width, 3))).clip(0, 255).astype(np.uint8)
        inside = tmp_path / "pictures" / f"folder {i % 3}"
        inside.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(inside / f"{i}.{('png', 'jpg', 'webp')[i % 3]}")
    words = f"train residual-spatial-small --data {tmp_path / 'pictures'} --out {tmp_path / 'run'} --steps 6 --cpu"
    assert cli.main([*words.split(), "--precision", "fp32", "--tracker", "none"]) == 0
    assert "80 pictures" in capsys.readouterr().out
    _, recipe, metrics = load_run(tmp_path / "run")
    assert (recipe.name, recipe.size, metrics["step"]) == ("residual-spatial-small", 64, 6)
    assert cli.main(["sample", str(tmp_path / "run"), "-n", "4", "-o", str(tmp_path / "four.png")]) == 0
    assert cli.main(["attributes", str(tmp_path / "run"), "--add", "Smiling"]) == 1
    assert "have no attributes" in capsys.readouterr().err
