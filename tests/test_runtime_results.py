"""Seeds, fast mode, the report, and the ledger of long experiments."""

import json
import os
import platform
from importlib import metadata

import numpy as np
import pytest
import torch

import vae_course
from vae_course import results, runtime


@pytest.fixture
def ledger(monkeypatch, tmp_path):
    folder = tmp_path / "results"
    monkeypatch.setattr(results, "FOLDER", folder)
    return folder


# -- runtime


@pytest.mark.parametrize(("value", "fast"), [(None, False), ("", False), ("0", False), ("1", True), ("yes", True)])
def test_fast_mode_is_asked_for_by_the_environment(monkeypatch, value, fast):
    if value is None:
        monkeypatch.delenv("VAE_COURSE_FAST", raising=False)
    else:
        monkeypatch.setenv("VAE_COURSE_FAST", value)
    assert runtime.fast_mode() is fast
    assert runtime.steps(100, 3) == (3 if fast else 100)
    assert runtime.steps([1, 2], None) == (None if fast else [1, 2])
    assert f"mode         {'fast, for tests' if fast else 'full'}" in runtime.report().splitlines()


def test_the_same_seed_repeats_the_global_numbers_and_the_generators():
    drawn = []
    for number in (7, 7, 8):
        generator = runtime.seed(number)
        drawn.append((torch.randn(5), torch.randn(5, generator=generator)))
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert torch.equal(drawn[0][1], drawn[1][1])
    assert not torch.equal(drawn[0][0], drawn[2][0])
    assert not torch.equal(drawn[0][1], drawn[2][1])


def test_the_generator_is_one_of_its_own():
    generator = runtime.seed(0)
    before = torch.get_rng_state()
    torch.randn(5, generator=generator)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("number", [-1, 1.0, "1", None, True, np.float64(3)])
def test_a_seed_that_is_no_whole_number_is_refused(number):
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match="a seed is a whole number >= 0, got") as caught:
        runtime.seed(number)
    assert str(caught.value).endswith(repr(number))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_device_exists():
    x = torch.ones(2, device=runtime.device())
    assert x.device.type == runtime.device().type
    if torch.cuda.is_available():
        assert runtime.device().type == "cuda"


@pytest.mark.parametrize(("threads", "words"), [(1, ", 1 thread"), (2, ", 2 threads")])
def test_the_report_lists_versions_device_and_threads(threads, words, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    rows = dict(line.split(maxsplit=1) for line in runtime.report().splitlines())
    names = ["vae_course", "Python", "torch", "torchvision", "numpy", "ipywidgets", "processor", "accelerator", "mode"]
    assert list(rows) == names
    assert rows["vae_course"] == vae_course.__version__
    for name in ("torch", "torchvision", "numpy", "ipywidgets"):
        assert rows[name] == metadata.version(name)
    assert rows["processor"].endswith(words)
    assert rows["accelerator"] == ("none" if runtime.device().type == "cpu" else str(runtime.device()))


# -- results


def test_what_is_saved_is_loaded(ledger):
    figures = {"loss": [105.6, 99.25], "müde": {"β": 0.5}}
    path = results.save("peer", figures, command="python benchmarks/peer.py", seeds=[0, 1])
    assert path == ledger / "peer.json"
    record = results.load("peer")
    assert record == {
        "figures": figures,
        "seeds": [0, 1],
        "machine": results.machine(),
        "command": "python benchmarks/peer.py",
    }
    assert json.loads(path.read_text(encoding="utf-8")) == record
    assert [p.name for p in ledger.iterdir()] == ["peer.json"]


def test_saving_again_replaces_the_record(ledger):
    for figure in (1, 2):
        results.save("peer", {"loss": figure}, command="", seeds=[])
    assert results.load("peer")["figures"] == {"loss": 2}


def test_a_save_that_fails_keeps_the_old_record(ledger, monkeypatch):
    results.save("peer", {"loss": 1}, command="", seeds=[])
    with pytest.raises(TypeError, match="not JSON serializable"):
        results.save("peer", {"loss": torch.zeros(1)}, command="", seeds=[])

    def power_cut(*args):
        raise OSError("power cut")

    monkeypatch.setattr(results.os, "replace", power_cut)
    with pytest.raises(OSError, match="power cut"):
        results.save("peer", {"loss": 2}, command="", seeds=[])
    assert results.load("peer")["figures"] == {"loss": 1}


def test_an_unknown_experiment_is_an_error_that_lists_the_known(ledger):
    for name in ("zebra", "ape"):
        results.save(name, {}, command="", seeds=[])
    (ledger / "notes.txt").write_text("no experiment")
    with pytest.raises(FileNotFoundError, match=r"no experiment 'lion' in the ledger; there are \['ape', 'zebra'\]"):
        results.load("lion")


def test_an_empty_ledger_says_so(ledger):
    assert not ledger.exists()
    with pytest.raises(FileNotFoundError, match=r"no experiment 'lion' in the ledger; there are \[\]"):
        results.load("lion")


def test_the_machine_is_described_by_what_figures_depend_on():
    words = results.machine()
    assert platform.machine() in words
    assert platform.python_version() in words
    assert torch.__version__ in words
    assert f"{os.cpu_count()} cores" in words
