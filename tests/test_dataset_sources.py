"""Where the files of data sets come from: downloads, archives, formats."""

from __future__ import annotations

import errno
import gzip
import os
import stat
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from made_up import (
    Server,
    encoded,
    is_one_sentence,
    plain,
    reusing_the_folder,
    sha,
    small_arrays,
    tar_of,
    zip_of,
)

from helpers import datasets
from helpers.datasets import (
    DatasetUnavailable,
    SourceFile,
    archives,
    formats,
    pictures,
    sources,
)
from helpers.files import BookError, cache_folder

# ---------------------------------------------------------------- fetching


def leftovers() -> list[str]:
    return sorted(path.name for path in sources.downloads_folder().iterdir())


def test_a_killed_download_is_cleared_away_by_the_next(server: Server) -> None:
    server.pages["/a"] = b"digits" * 1000
    source = SourceFile("a.bin", sha(server.pages["/a"]), server.url("/a"))
    code = (
        "import os, threading\n"
        "from helpers.datasets import SourceFile, sources\n"
        "threading.Timer(1, os._exit, [1]).start()\n"
        f"sources.fetch({source!r}, 'some set')"
    )
    server.hang.set()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT)
    assert done.returncode == 1
    assert [name[:9] for name in leftovers()] == [".partial-"]
    server.hang.clear()
    server.release.set()
    sources.fetch(source, "some set")
    assert leftovers() == ["a.bin"]


def test_a_file_is_fetched_once_and_checked(server: Server) -> None:
    server.pages["/a"] = b"digits" * 1000
    source = SourceFile("a.bin", sha(server.pages["/a"]), server.url("/a"))
    path = sources.fetch(source, "some set")
    assert path.read_bytes() == server.pages["/a"]
    assert sources.fetch(source, "some set") == path
    assert server.requests == ["/a"]
    path.write_bytes(b"spoilt")
    with pytest.raises(BookError, match="delete it") as error:
        sources.fetch(source, "some set")
    assert is_one_sentence(error)


@pytest.mark.parametrize("trouble", ["wrong content", "404", "short", "hangs", "no server"])
def test_a_failed_download_leaves_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr(sources, "TIMEOUT", 0.3)
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
        sources.fetch(SourceFile("a.bin", expected, url), "some set")
    assert is_one_sentence(error)
    text = str(error.value)
    assert url in text and expected in text and str(sources.downloads_folder()) in text
    assert leftovers() == []


def test_a_full_disk_is_one_sentence(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.pages["/a"] = b"x"

    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(sources, "_receive", no_space)
    with pytest.raises(BookError, match="No space left") as error:
        sources.fetch(SourceFile("a.bin", "", server.url("/a")), "some set")
    assert is_one_sentence(error) and not isinstance(error.value, DatasetUnavailable)
    assert leftovers() == []


# ---------------------------------------------------------------- permissions


@pytest.fixture
def locked(as_nobody: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose permissions a test takes away; the cache is in it."""
    monkeypatch.setenv("GENBOOK_CACHE", str(as_nobody / "cache"))
    yield as_nobody
    as_nobody.chmod(0o755)
    for folder, _, _ in os.walk(as_nobody):  # from the top, so that each can be entered
        for path in Path(folder).iterdir():
            path.chmod(0o755)


@pytest.mark.parametrize("mode", [0o000, 0o555])
def test_a_cache_that_cannot_be_used_is_one_sentence(locked: Path, mode: int) -> None:
    cache_folder().chmod(mode)
    for name in ("cifar10", "celeba", "mnist_full"):
        with pytest.raises(BookError) as error:
            datasets.load(name)
        assert is_one_sentence(error) and str(locked) in str(error.value)
    with pytest.raises(BookError) as error:
        datasets.load_text("tiny_shakespeare")
    assert is_one_sentence(error)


def test_a_read_only_cache_still_serves(locked: Path) -> None:
    """A class may share one that the teacher filled."""
    np.savez(cache_folder() / "cifar10.npz", **small_arrays())  # type: ignore[arg-type]
    cache_folder().chmod(0o555)
    assert len(datasets.load("cifar10", verbose=False).x_train) == 8


@pytest.mark.parametrize(
    ("name", "load"),
    [
        ("cifar10.npz", lambda: datasets.load("cifar10")),
        ("downloads/mnist.npz", lambda: datasets.load("mnist_full")),
        ("wine_reviews/winemag-data-130k-v2.csv", lambda: datasets.load_text("wine_reviews")),
        ("recipes/full_format_recipes.json", lambda: datasets.load_text("recipes")),
        ("downloads/tinyshakespeare.txt", lambda: datasets.load_text("tiny_shakespeare")),
        ("downloads/Jsb16thSeparated.npz", lambda: datasets.load_chorales("jsb_chorales")),
        ("celeba/list_attr_celeba.txt", lambda: datasets.load("celeba")),
    ],
)
def test_files_that_may_not_be_read_are_one_sentence(
    locked: Path, name: str, load: Callable[[], Any]
) -> None:
    path = cache_folder() / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"content")
    path.chmod(0)
    with pytest.raises(BookError, match="Permission denied") as error:
        load()
    assert is_one_sentence(error) and str(path) in str(error.value)
    assert "damaged" not in str(error.value) and "delete" not in str(error.value)


def test_midi_files_and_pictures_that_may_not_be_read(
    locked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENBOOK_CELLO_SUITES", str(locked))
    for number in range(20):
        (locked / f"{number}.mid").write_bytes(b"content")
        (locked / f"{number}.png").write_bytes(encoded(plain((number, 0, 0))))
    (locked / "0.mid").chmod(0)
    with pytest.raises(BookError, match=r"0\.mid cannot be read .Permission denied"):
        datasets.load_tunes("cello_suites")
    (locked / "0.png").chmod(0)
    images = datasets.load(f"folder:{locked}", verbose=False)
    assert "1 of 20 left out as damaged (first 0.png: Permission denied)" in images.source
    locked.chmod(0)
    with pytest.raises(BookError, match="Permission denied"):
        datasets.load(f"folder:{locked / 'inner'}")


def test_a_named_folder_of_an_unknown_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENBOOK_CELEBA", "~no-such-user-here/faces")
    with pytest.raises(BookError, match="home folder is unknown") as error:
        datasets.load("celeba")
    assert is_one_sentence(error)


# ---------------------------------------------------------------- archives


def everything(path: Path) -> dict[str, bytes]:
    return dict(archives.archive_members(path, lambda name: True))


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_archives_are_read_in_memory(
    tmp_path: Path, pack: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    path = pack(tmp_path / "a", {"folder/one.png": b"1", "two.txt": b"22", "./three": b""})
    assert everything(path) == {"folder/one.png": b"1", "two.txt": b"22", "./three": b""}
    assert dict(archives.archive_members(path, pictures.is_picture)) == {"folder/one.png": b"1"}
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
    monkeypatch.setattr(archives, "MEMBER_LIMIT", 10)
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


def test_names_with_folders_are_judged_as_pure_paths() -> None:
    """The rule behind test_members_outside: what counts is where a member would land."""

    @given(st.lists(st.sampled_from(["a", "b.png", "..", ".", ""]), min_size=1, max_size=5))
    def check(parts: list[str]) -> None:
        name = "/".join(parts)
        outside = PurePosixPath(name).is_absolute() or ".." in parts
        if outside:
            with pytest.raises(BookError):
                archives._refuse_unsafe(Path("x"), name, True)
        else:
            archives._refuse_unsafe(Path("x"), name, True)

    check()


# ---------------------------------------------------------------- formats


@reusing_the_folder
@given(shape=st.lists(st.integers(1, 5), min_size=1, max_size=3), seed=st.integers(0, 99))
def test_idx_round_trip_and_damage(tmp_path: Path, shape: list[int], seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(header + values.tobytes()))
    assert np.array_equal(formats.read_idx(path), values)
    for bad in (header[:3], header + values.tobytes()[1:], b"\1" + header[1:] + values.tobytes()):
        path.write_bytes(gzip.compress(bad))
        with pytest.raises(BookError, match="damaged"):
            formats.read_idx(path)
    path.write_bytes(gzip.compress(header + values.tobytes())[:-9])
    with pytest.raises(BookError, match="damaged"):
        formats.read_idx(path)


@pytest.mark.parametrize("read", [formats.read_packed_array, formats.read_packed_json])
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
    train, columns = formats.read_label_columns(tmp_path)
    assert train == 1 and columns["b"][0].tolist() == [1, 0] and columns["b"][1] == ["y", "z"]
    for text in ("a,b\n0,1\n0\n", "a,b\n0,x\n", "a,c\n0,1\n", ""):
        (tmp_path / "labels.csv").write_text(text)
        with pytest.raises(BookError, match="damaged"):
            formats.read_label_columns(tmp_path)
