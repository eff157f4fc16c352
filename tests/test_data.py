"""Batches, the MNIST files, their download from a server of our own, and the drawn digits' cache."""

import gzip
import hashlib
import os
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch

from vae_course import data
from vae_course.data import DataError, batches, cache, digits, load_digits, mnist

REAL = os.environ.get("VAE_COURSE_DATA")
N_TRAIN, N_TEST = 7, 5


@pytest.fixture(autouse=True)
def own_folders(monkeypatch, tmp_path):
    """No test sees the learner's cache, the real data or the network."""
    monkeypatch.delenv("VAE_COURSE_DATA", raising=False)
    monkeypatch.setenv("VAE_COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VAE_COURSE_OFFLINE", "1")
    monkeypatch.setattr(data, "sources_used", set())


@pytest.fixture
def files(monkeypatch):
    """Four tiny files in MNIST's own format, whose checksums are taken for the published ones. name -> bytes."""
    rng = np.random.default_rng(0)
    packed = {}
    for part, n in (("train", N_TRAIN), ("t10k", N_TEST)):
        images = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        images[:, 0, 0], images[:, 0, 1] = 0, 255
        content = struct.pack(">IIII", 2051, n, 28, 28) + images.tobytes()
        packed[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(content, mtime=0)
        content = struct.pack(">II", 2049, n) + bytes(range(3, n + 3))
        packed[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(content, mtime=0)
    sums = {name: hashlib.md5(packed[name]).hexdigest() for name in mnist.CHECKSUMS}
    monkeypatch.setattr(mnist, "CHECKSUMS", sums)
    return packed


@pytest.fixture
def named(files, tmp_path, monkeypatch):
    """A whole MNIST in a folder that VAE_COURSE_DATA names; the folder of the .gz files."""
    monkeypatch.setenv("VAE_COURSE_DATA", str(tmp_path / "named"))
    return put(files, tmp_path / "named")


@pytest.fixture
def fake_drawing(monkeypatch):
    """In place of seconds of drawing: four digits a seed that tell the seed. Returns the list of seeds drawn."""
    drawn = []

    def draw(n, *, seed):
        drawn.append(seed)
        return torch.full((4, 1, 28, 28), 36 * seed, dtype=torch.uint8), torch.arange(4) + seed

    monkeypatch.setattr(digits, "draw_digits", draw)
    return drawn


def put(files, root):
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in files.items():
        (raw / name).write_bytes(content)
    return raw


def listing(folder):
    """Every file below folder but the locks, with its bytes."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock"}


def assert_is_mnist(got, files):
    """What was loaded is what the files say, decoded here by hand."""
    assert got.source == "mnist"
    for x, y, part, n in ((got.train_x, got.train_y, "train", N_TRAIN), (got.test_x, got.test_y, "t10k", N_TEST)):
        bytes_ = gzip.decompress(files[f"{part}-images-idx3-ubyte.gz"])[16:]
        want = torch.tensor(list(bytes_)).reshape(n, 1, 28, 28) / 255
        assert x.dtype == torch.float32
        torch.testing.assert_close(x, want, rtol=0, atol=1e-7)
        assert (x.min(), x.max()) == (0, 1)
        assert y.dtype == torch.int64
        assert y.tolist() == list(range(3, n + 3))


# -- batches


@pytest.mark.parametrize("size", [1, 3, 5, 10, 100])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_row_comes_once_and_labels_stay_with_images(size, shuffle):
    x, y = torch.arange(10.0)[:, None].expand(10, 4), torch.arange(10) * 7
    cut = list(batches(x, y, size=size, shuffle=shuffle))
    assert len(cut) == -(-10 // size)
    assert [len(b[0]) for b in cut] == [size] * (10 // size) + [10 % size] * (10 % size > 0)
    for images, labels in cut:
        assert images.shape == (len(labels), 4)
        assert (images * 7 == labels[:, None]).all()
    rows = torch.cat([b[1] for b in cut])
    assert torch.equal(rows.sort().values, y)
    if not shuffle:
        assert torch.equal(rows, y)


def test_every_pass_draws_its_order_from_the_generator():
    x = torch.arange(100)
    order = [torch.cat([b for (b,) in batches(x, size=9, generator=g)]) for g in [torch.Generator().manual_seed(1)] * 2]
    (again,) = batches(x, size=100, generator=torch.Generator().manual_seed(1))
    assert torch.equal(order[0], again[0])
    assert not torch.equal(order[0], order[1])
    assert not torch.equal(order[0], x)
    before = torch.get_rng_state()
    list(batches(x, size=9, generator=torch.Generator()))
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_generator_the_global_seed_decides_the_order():
    x = torch.arange(100)
    passes = []
    for _ in range(2):
        torch.manual_seed(0)
        passes.append(next(batches(x, size=100))[0])
    assert torch.equal(*passes)


@pytest.mark.parametrize(
    ("tensors", "size", "message"),
    [
        ((), 1, r"tensors of one length, got lengths \[\]"),
        ((torch.zeros(3), torch.zeros(4)), 1, r"tensors of one length, got lengths \[3, 4\]"),
        ((torch.zeros(0, 1), torch.zeros(0)), 1, "the data set is empty"),
        ((torch.zeros(3),), 0, "the batch size must be at least 1, got 0"),
        ((torch.zeros(3),), -2, "the batch size must be at least 1, got -2"),
    ],
)
def test_what_cannot_be_cut_is_refused(tensors, size, message):
    with pytest.raises(ValueError, match=message):
        next(batches(*tensors, size=size))


# -- MNIST in a folder


def test_checksums_are_torchvisions():
    from torchvision.datasets import MNIST

    assert dict(MNIST.resources) == mnist.CHECKSUMS


@pytest.mark.skipif(not REAL, reason="VAE_COURSE_DATA does not name a folder with the real MNIST")
def test_the_real_mnist_is_the_published_one(monkeypatch):
    """Counts by class, mean and standard deviation of the pixels, and the first labels, as known everywhere."""
    monkeypatch.setenv("VAE_COURSE_DATA", REAL)
    got = load_digits()
    assert got.source == "mnist"
    assert got.train_y.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert got.test_y.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert got.train_y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert got.train_x.shape == (60_000, 1, 28, 28)
    assert got.test_x.shape == (10_000, 1, 28, 28)
    assert got.train_x.mean().item() == pytest.approx(0.1307, abs=5e-5)
    assert got.train_x.std().item() == pytest.approx(0.3081, abs=5e-5)


@pytest.mark.parametrize("source", ["auto", "mnist"])
def test_a_named_folder_is_read_and_said(named, files, capsys, source):
    assert_is_mnist(load_digits(source), files)
    assert capsys.readouterr().out == "digits: MNIST from VAE_COURSE_DATA, 7 for training and 5 for testing\n"
    assert data.sources_used == {"mnist"}


def test_reading_writes_nothing(named, files, tmp_path):
    before = listing(tmp_path)
    folders = [named, *named.parents[:2]]
    for folder in folders:
        folder.chmod(0o555)
    try:
        assert_is_mnist(load_digits(), files)
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert listing(tmp_path) == before
    assert not (tmp_path / "cache").exists()


def halved(content):
    return content[: len(content) // 2]


def altered(content):
    """One bit of the pixels or labels, packed anew: a file that unpacks without complaint."""
    unpacked = bytearray(gzip.decompress(content))
    unpacked[-1] ^= 1
    return gzip.compress(bytes(unpacked), mtime=0)


@pytest.mark.parametrize("damage", [halved, altered, lambda content: b""], ids=["truncated", "altered", "empty"])
@pytest.mark.parametrize("name", list(mnist.CHECKSUMS))
@pytest.mark.parametrize("source", ["auto", "mnist"])
def test_a_damaged_file_in_a_named_folder_is_an_error(named, files, name, damage, source, fake_drawing):
    (named / name).write_bytes(damage(files[name]))
    with pytest.raises(DataError, match=f"{name} is damaged: .* delete it and fetch it again"):
        load_digits(source)
    assert fake_drawing == []  # never a fall-back


@pytest.mark.parametrize("name", list(mnist.CHECKSUMS))
def test_a_missing_file_in_a_named_folder_is_an_error(named, name, fake_drawing):
    (named / name).unlink()
    with pytest.raises(DataError, match=f"{name} is missing: .* copy them there"):
        load_digits()
    assert fake_drawing == []


def test_a_file_that_cannot_be_read_is_an_error(named):
    (named / "train-labels-idx1-ubyte.gz").unlink()
    (named / "train-labels-idx1-ubyte.gz").mkdir()
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte.gz cannot be read \(.*check its permissions"):
        load_digits()


def test_a_file_without_permission_is_an_error(named):
    file = named / "t10k-images-idx3-ubyte.gz"
    file.chmod(0)
    if os.access(file, os.R_OK):
        pytest.skip("this user may read everything, whatever chmod says")
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte.gz cannot be read \(.*check its permissions"):
        load_digits()


def test_a_named_folder_without_mnist_is_an_error(tmp_path, monkeypatch, fake_drawing):
    monkeypatch.setenv("VAE_COURSE_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"there is no folder MNIST in it: put MNIST/raw/.*gz there, or unset"):
        load_digits()
    assert fake_drawing == []


def test_drawn_digits_can_be_asked_for_beside_a_named_folder(named, fake_drawing):
    assert load_digits("drawn").source == "drawn"


@pytest.mark.parametrize("source", ["MNIST", "", None, "fashion"])
def test_an_unknown_source_is_refused(source):
    with pytest.raises(ValueError, match=f"source must be 'auto', 'mnist' or 'drawn', got {source!r}"):
        load_digits(source)


# -- MNIST in the cache


def test_a_whole_mnist_in_the_cache_is_used_offline(files, capsys):
    put(files, cache.folder())
    assert_is_mnist(load_digits(), files)
    assert capsys.readouterr().out == "digits: MNIST, 7 for training and 5 for testing\n"


@pytest.mark.parametrize("damage", [halved, altered])
def test_a_damaged_file_in_the_cache_is_named_and_not_used(files, damage, capsys, fake_drawing):
    raw = put(files, cache.folder())
    name = "t10k-images-idx3-ubyte.gz"
    (raw / name).write_bytes(damage(files[name]))
    with pytest.raises(DataError, match="VAE_COURSE_OFFLINE forbids the download of MNIST: unset it, or choose"):
        load_digits("mnist")
    assert load_digits().source == "drawn"
    assert f"{name} is damaged" in capsys.readouterr().out


def test_offline_without_data_draws_and_says_so(fake_drawing, capsys):
    got = load_digits()
    assert got.source == "drawn"
    assert data.sources_used == {"drawn"}
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "digits: no MNIST here: VAE_COURSE_OFFLINE forbids the download of MNIST: unset it, or choose source='drawn'",
        "digits: drawn for this course, not MNIST, 24 for training and 4 for testing",
    ]


# -- downloads


class Mirror(BaseHTTPRequestHandler):
    """Answers as the server's `manner` says, and notes every request."""

    protocol_version = "HTTP/1.0"

    def do_GET(self):
        name = self.path.rsplit("/", 1)[-1]
        self.server.requests.append(name)
        content = self.server.files[name]
        match self.server.manner:
            case "stall":
                self.server.over.wait(20)
                return
            case "missing":
                self.send_error(404)
                return
            case "not http":
                self.wfile.write(b"220 this is no web server\r\n")
                return
            case "garbage":
                content = b"<html>Please log in to the airport's network</html>"
            case "cut off":
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(halved(content))
                return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def mirrors(files, monkeypatch):
    """Start servers, one for each manner, and make them torchvision's mirrors."""
    from torchvision.datasets import MNIST

    servers = []
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setenv("VAE_COURSE_OFFLINE", "0")

    def start(*manners):
        for manner in manners:
            server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
            server.manner, server.files, server.requests, server.over = manner, files, [], threading.Event()
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
            servers.append(server)
        monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{s.server_port}/mnist/" for s in servers])
        return servers

    yield start
    for server in servers:
        server.over.set()
        server.shutdown()
        server.server_close()


def test_a_download_leaves_whole_files_in_the_cache(mirrors, files, monkeypatch):
    (server,) = mirrors("good")
    assert_is_mnist(load_digits("mnist"), files)
    assert {path.name: content for path, content in listing(cache.folder()).items()} == files
    server.requests.clear()
    assert_is_mnist(load_digits(), files)
    assert server.requests == []  # the second time they are there


@pytest.mark.parametrize("damage", [halved, altered])
def test_only_the_damaged_file_is_fetched_again(mirrors, files, damage, capsys):
    (server,) = mirrors("good")
    raw = put(files, cache.folder())
    name = "train-images-idx3-ubyte.gz"
    (raw / name).write_bytes(damage(files[name]))
    assert_is_mnist(load_digits(), files)
    assert set(server.requests) == {name}
    assert f"{name} is damaged" in capsys.readouterr().out
    assert {path.name: content for path, content in listing(cache.folder()).items()} == files


@pytest.mark.parametrize("manner", ["garbage", "missing", "cut off", "not http"])
def test_a_mirror_that_does_not_deliver_is_an_error_and_leaves_no_file(mirrors, manner, fake_drawing):
    (server,) = mirrors(manner)
    with pytest.raises(DataError, match=f"could not download train-images-idx3.*127.0.0.1:{server.server_port}"):
        load_digits("mnist")
    assert listing(cache.folder()) == {}
    assert load_digits().source == "drawn"


@pytest.mark.parametrize("manner", ["garbage", "missing", "cut off", "not http"])
def test_the_next_mirror_helps_out(mirrors, files, manner):
    bad, good = mirrors(manner, "good")
    assert_is_mnist(load_digits("mnist"), files)
    assert set(bad.requests) == set(good.requests) == set(files)


def test_a_server_that_stalls_is_given_up(mirrors, monkeypatch):
    stalling, second = mirrors("stall", "good")
    monkeypatch.setattr(mnist, "TIMEOUT", 0.3)
    before = socket.getdefaulttimeout()
    start = time.perf_counter()
    with pytest.raises(DataError, match=r"could not download train-images-idx3-ubyte.gz .*timed out"):
        load_digits("mnist")
    assert time.perf_counter() - start < 5
    assert stalling.requests == ["train-images-idx3-ubyte.gz"]
    assert second.requests == []  # a network that swallows packets would stall at every mirror
    assert listing(cache.folder()) == {}
    assert socket.getdefaulttimeout() == before


def test_a_refused_connection_is_an_error(mirrors, monkeypatch):
    from torchvision.datasets import MNIST

    mirrors()
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as closed:
        port = closed.server_port
    monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{port}/"])
    with pytest.raises(DataError, match=r"could not download train-images-idx3-ubyte.gz .*refused"):
        load_digits("mnist")


def test_two_downloads_at_once_fetch_every_file_once(mirrors, files):
    (server,) = mirrors("good")
    load_digits("mnist")
    alone = sorted(server.requests)
    for path in cache.folder().rglob("*.gz"):
        path.unlink()
    server.requests.clear()

    got = []
    both = threading.Barrier(2)

    def load():
        both.wait()
        got.append(load_digits("mnist"))

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 2
    for each in got:
        assert_is_mnist(each, files)
    assert sorted(server.requests) == alone
    assert {path.name: content for path, content in listing(cache.folder()).items()} == files


@pytest.mark.parametrize("source", ["auto", "mnist"])
def test_offline_forbids_the_network(mirrors, monkeypatch, source, fake_drawing):
    (server,) = mirrors("good")
    monkeypatch.setenv("VAE_COURSE_OFFLINE", "1")
    if source == "auto":
        assert load_digits(source).source == "drawn"
    else:
        with pytest.raises(DataError):
            load_digits(source)
    assert server.requests == []


def test_a_cache_that_cannot_be_written_is_an_error_with_the_way_out(mirrors, monkeypatch, tmp_path, fake_drawing):
    mirrors("good")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VAE_COURSE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match=r"cannot be written .*set VAE_COURSE_CACHE"):
        load_digits("mnist")
    assert load_digits().source == "drawn"


# -- drawn digits


def test_seven_seeds_are_drawn_once_and_kept(fake_drawing, tmp_path):
    first = load_digits("drawn")
    assert fake_drawing == list(range(7))
    assert torch.equal(first.train_y, torch.cat([torch.arange(4) + seed for seed in range(6)]))
    assert torch.equal(first.test_y, torch.arange(4) + 6)
    assert torch.equal(first.test_x, torch.full((4, 1, 28, 28), 216 / 255))
    assert first.train_x.dtype == torch.float32

    second = load_digits("drawn")
    assert fake_drawing == list(range(7))  # read, not drawn
    assert all(torch.equal(a, b) for a, b in zip(first[:4], second[:4], strict=True))
    assert [p.suffix for p in listing(cache.folder())] == [".npz"]


def test_a_cache_that_can_only_be_read_is_read(fake_drawing, monkeypatch):
    load_digits("drawn")

    def refuse(name):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(cache, "lock", refuse)
    load_digits("drawn")
    assert fake_drawing == list(range(7))


def test_digits_drawn_by_another_version_are_not_read(fake_drawing, monkeypatch, tmp_path):
    load_digits("drawn")
    (tmp_path / "newer.py").write_text("# draws better digits")
    monkeypatch.setattr(digits, "__file__", str(tmp_path / "newer.py"))
    load_digits("drawn")
    assert len(fake_drawing) == 14


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, -1])
def test_a_truncated_file_is_drawn_again(fake_drawing, capsys, keep):
    first = load_digits("drawn")
    (path,) = cache.folder().glob("*.npz")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if keep == 0.5 else keep])
    second = load_digits("drawn")
    assert "is damaged" in capsys.readouterr().out
    assert fake_drawing == [*range(7), *range(7)]
    assert all(torch.equal(a, b) for a, b in zip(first[:4], second[:4], strict=True))
    assert path.read_bytes() == whole
    load_digits("drawn")
    assert len(fake_drawing) == 14  # the new file is whole


def test_no_flipped_bit_in_the_file_goes_unnoticed(fake_drawing, monkeypatch):
    """Either the digits that come back are the ones that were kept, or they are drawn again: nothing else."""
    one = torch.zeros(1, 1, 1, 1, dtype=torch.uint8)
    good = (one + 1, one[0, 0, 0].long() + 2, one + 3, one[0, 0, 0].long() + 4)
    monkeypatch.setattr(data, "_draw", lambda: good)
    data._drawn()
    (path,) = cache.folder().glob("*.npz")
    whole = path.read_bytes()
    again = 0

    def draw():
        nonlocal again
        again += 1
        return good

    monkeypatch.setattr(data, "_draw", draw)
    for i in range(0, len(whole), 3):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 0x10]) + whole[i + 1 :])
        assert all(torch.equal(a, b) for a, b in zip(data._drawn(), good, strict=True))
    assert again > len(whole) / 6


def test_a_cache_that_cannot_be_written_does_not_stop_the_drawing(fake_drawing, monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VAE_COURSE_CACHE", str(tmp_path / "file" / "cache"))
    assert len(load_digits("drawn").train_x) == 24
    assert "digits: cannot keep the drawn digits in" in capsys.readouterr().out


def test_a_full_disk_costs_the_file_and_not_a_second_drawing(fake_drawing, monkeypatch, capsys):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert len(load_digits("drawn").train_x) == 24
    assert fake_drawing == list(range(7))
    assert "No space left on device" in capsys.readouterr().out
    assert not list(cache.folder().glob("*digits*.npz"))


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    path = tmp_path / "folder" / "kept.txt"
    with cache.atomic(path) as part:
        part.write_text("old")
    with pytest.raises(RuntimeError, match="power cut"), cache.atomic(path) as part:  # noqa: PT012
        part.write_text("new, but not wh")
        raise RuntimeError("power cut")
    assert {p.name: p.read_text() for p in path.parent.iterdir()} == {"kept.txt": "old"}


def test_the_cache_is_the_users_unless_it_is_named(monkeypatch, tmp_path):
    assert cache.folder() == tmp_path / "cache"
    monkeypatch.delenv("VAE_COURSE_CACHE")
    assert cache.folder().name == "vae-course"
    monkeypatch.setenv("VAE_COURSE_CACHE", "~/elsewhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "elsewhere"
