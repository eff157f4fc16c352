"""Checkpoints: whole or not there, damaged ones noticed, and nothing in them is ever run."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from vae_course import checkpoints
from vae_course.checkpoints import CheckpointError


def state(step: int) -> dict[str, Any]:
    return {"step": step, "weights": {"a": torch.full((50_000,), float(step))}, "words": ["x", None, 1.5, True]}


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = checkpoints.save(tmp_path / "new", 7, state(7))
    assert path.name == "step-00000007.pt"
    loaded = checkpoints.load(path)
    assert torch.equal(loaded["weights"]["a"], state(7)["weights"]["a"])
    assert loaded["words"] == ["x", None, 1.5, True]
    assert checkpoints.newest(tmp_path / "new") is not None
    assert list((tmp_path / "new").iterdir()) == [path]  # no half of it beside


def test_the_content_is_on_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (done.append("synced"), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("named"), replace(*paths)))
    checkpoints.save(tmp_path, 1, state(1))
    assert done[:2] == ["synced", "named"]


def test_the_newest_few_are_kept(tmp_path: Path) -> None:
    for step in (1, 20, 3, 100_000_000):
        checkpoints.save(tmp_path, step, state(step), keep=2)
    assert [path.name for path in checkpoints.numbered(tmp_path)] == ["step-00000020.pt", "step-100000000.pt"]
    with pytest.raises(ValueError, match="at least 1"):
        checkpoints.save(tmp_path, 5, state(5), keep=0)


def test_an_empty_folder_has_none(tmp_path: Path) -> None:
    assert checkpoints.newest(tmp_path) is None
    assert checkpoints.newest(tmp_path / "not there") is None


def test_a_damaged_newer_one_does_not_push_the_whole_ones_out(tmp_path: Path) -> None:
    for step in (5, 20):
        checkpoints.save(tmp_path, step, state(step))
    (tmp_path / "step-00000020.pt").write_bytes(b"")
    checkpoints.save(tmp_path, 7, state(7), keep=1)
    found = checkpoints.newest(tmp_path)
    assert found is not None
    assert found[1]["step"] == 7


def test_any_flipped_byte_is_noticed_and_nothing_else_escapes(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, 1, {"step": 1, "weights": torch.arange(8.0)})
    path = tmp_path / "step-00000001.pt"
    whole = path.read_bytes()
    refused = 0
    for place in range(0, len(whole), 5):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        try:
            loaded = checkpoints.load(path)
        except CheckpointError:
            refused += 1
        else:  # a byte that says nothing, a date for instance
            assert torch.equal(loaded["weights"], torch.arange(8.0))
    assert refused > 50


@pytest.mark.parametrize("damage", ["cut", "empty", "one byte", "text"])
def test_a_damaged_newest_one_is_left_aside(damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoints.save(tmp_path, 1, state(1))
    path = checkpoints.save(tmp_path, 2, state(2))
    content = bytearray(path.read_bytes())
    if damage == "one byte":  # in the middle of the weights: nothing but a checksum sees it
        with zipfile.ZipFile(path) as file:
            largest = max(file.infolist(), key=lambda info: info.file_size)
        content[largest.header_offset + largest.file_size // 2] ^= 1
    new = {"cut": content[: len(content) // 2], "empty": b"", "one byte": content, "text": b"not a zip file"}[damage]
    path.write_bytes(new)
    found = checkpoints.newest(tmp_path)
    assert found is not None
    assert found[1]["step"] == 1
    assert "step-00000002.pt" in capsys.readouterr().out
    checkpoints.numbered(tmp_path)[0].write_bytes(b"")
    with pytest.raises(CheckpointError, match="none of the 2 checkpoints"):
        checkpoints.newest(tmp_path)


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch evil",)


@pytest.mark.parametrize("how", ["in a checkpoint", "a bare pickle"])
def test_a_malicious_file_is_refused_and_nothing_is_run(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "step-00000001.pt"
    if how == "in a checkpoint":
        torch.save({"step": 1, "weights": Evil()}, path)
    else:
        path.write_bytes(pickle.dumps({"step": 1, "weights": Evil()}))
    with pytest.raises(CheckpointError):
        checkpoints.load(path)
    assert not (tmp_path / "evil").exists()
    torch.load(path, weights_only=False) if how == "in a checkpoint" else pickle.loads(path.read_bytes())
    assert (tmp_path / "evil").exists()  # the file would have done it


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "step-00000001.pt")
    with pytest.raises(CheckpointError, match="no checkpoint of this course"):
        checkpoints.load(tmp_path / "step-00000001.pt")


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints.save(tmp_path, 1, state(1), keep=1)

    class Full:
        """A file on a disk with room for a thousand bytes more."""

        def __init__(self, file: Any) -> None:
            self.file, self.left = file, 1000

        def write(self, data: bytes) -> int:
            self.left -= len(data)
            if self.left < 0:
                raise OSError(28, "No space left on device")
            return int(self.file.write(data))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    write = torch.save
    monkeypatch.setattr(torch, "save", lambda what, file: write(what, Full(file)))
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(tmp_path, 2, state(2), keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.pt"]
    assert checkpoints.load(tmp_path / "step-00000001.pt")["step"] == 1


def test_what_a_kill_left_half_written_is_cleared(tmp_path: Path) -> None:
    path = checkpoints.save(tmp_path, 1, state(1))
    (tmp_path / ".step-00000002.pt.part").write_bytes(b"half")
    checkpoints.clear_parts(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_only_data_can_be_saved_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "step-00000001.pt"
    torch.save({"step": 1, "odd": Path("x")}, path)
    with pytest.raises(CheckpointError, match="refused"):
        checkpoints.load(path)
