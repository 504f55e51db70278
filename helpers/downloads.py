"""Fetch files once, check them, and read archives without unpacking them to disk."""

from __future__ import annotations

import hashlib
import http.client
import lzma
import ssl
import stat
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from helpers.files import BookError, atomic_path, cache_folder

TIMEOUT = 10.0  # seconds without an answer, or without a further byte
MEMBER_LIMIT = 256 * 2**20  # bytes; no honest member of our archives is larger
NETWORK_ERRORS = (
    urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError,
)  # fmt: skip
DAMAGE = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError,
    RuntimeError, NotImplementedError, ValueError, KeyError,
)  # fmt: skip
"""What the readers of damaged archives raise (RuntimeError: a password is wanted)."""


class DatasetUnavailable(BookError):
    """Data that is neither here nor reachable; the message says where to get it and put it."""


@dataclass(frozen=True)
class SourceFile:
    """A file that a data set is made from: its name, checksum, and where it is published.

    `checksum` is "sha256:..." or "md5:..." as its publisher or public code states it, or "" where
    none is known. `url` is "" for a file that cannot be fetched without an account.
    """

    name: str
    checksum: str = ""
    url: str = ""

    def matches(self, path: Path) -> bool:
        """True if the file at `path` has this checksum; False too where none is known."""
        algorithm, _, expected = self.checksum.partition(":")
        if not expected:
            return False
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, algorithm).hexdigest() == expected


def downloads_folder() -> Path:
    """Where fetched files are kept, and where a reader can put them by hand."""
    folder = cache_folder() / "downloads"
    folder.mkdir(exist_ok=True)
    return folder


def fetch(source: SourceFile, dataset: str) -> Path:
    """The checked file in the downloads folder; it is downloaded first if it is not there.

    Raises DatasetUnavailable without a network, and BookError for a file with a wrong checksum.
    Two processes may fetch the same file at once: each writes its own copy, and the last whole one
    stays.
    """
    path = downloads_folder() / source.name
    if not path.exists():
        _download(source, path, dataset)
    elif source.checksum and not source.matches(path):
        raise BookError(
            f"{source.name} in {path.parent} does not have the expected checksum "
            f"{source.checksum}: delete it, and run this again."
        )
    return path


def _download(source: SourceFile, path: Path, dataset: str) -> None:
    """Fetch `source` to `path`, atomically, and only if it is what was expected."""
    with atomic_path(path) as temporary:
        try:
            announced, received = _receive(source.url, temporary)
        except NETWORK_ERRORS as error:
            reason = getattr(error, "reason", None) or str(error) or type(error).__name__
            raise DatasetUnavailable(_by_hand(source, dataset, f"({reason})", path)) from error
        if announced not in (None, received) or (source.checksum and not source.matches(temporary)):
            problem = f"(what arrived, {received:,} bytes, is not the expected file)"
            raise DatasetUnavailable(_by_hand(source, dataset, problem, path))


def _receive(url: str, path: Path) -> tuple[int | None, int]:
    """Write what `url` answers to `path`; the number of bytes announced (if any) and received."""
    request = urllib.request.Request(url, headers={"User-Agent": "genbook"})
    received = 0
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer, path.open("wb") as target:
        announced = answer.headers.get("Content-Length")
        while block := answer.read(1 << 20):
            target.write(block)
            received += len(block)
    return (int(announced) if announced else None), received


def _by_hand(source: SourceFile, dataset: str, problem: str, path: Path) -> str:
    """The one sentence that tells a reader how to get a file that could not be fetched."""
    expected = f" (expected {source.checksum})" if source.checksum else ""
    return (
        f"The data set {dataset} is not here and could not be downloaded {problem}: get "
        f"{source.url}{expected}, put it in {path.parent} as {source.name}, and run this again."
    )


def archive_members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """The (name, content) of the wanted regular files in a tar or zip archive.

    Nothing is unpacked to disk. An archive with any unsafe member (an absolute path, "..", a link,
    a device) or with a wanted one above 256 MiB is refused whole, and so is a damaged one: both
    raise BookError.
    """
    read = _zip_members if zipfile.is_zipfile(path) else _tar_members
    try:
        yield from read(path, wanted)
    except DAMAGE as error:
        raise BookError(
            f"The archive {path.name} in {path.parent} is damaged ({error or type(error).__name__})"
            ": delete it, and get it again."
        ) from error


def _zip_members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        for member in members:
            kind = stat.S_IFMT(member.external_attr >> 16)  # 0 where no Unix mode was stored
            regular = kind in (0, stat.S_IFREG, stat.S_IFDIR)
            _refuse_unsafe(path, member.filename, regular)
        for member in members:
            if not member.is_dir() and wanted(member.filename):
                _refuse_huge(path, member.filename, member.file_size)
                yield member.filename, archive.read(member)


def _tar_members(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            _refuse_unsafe(path, member.name, member.isfile() or member.isdir())
            if member.isfile() and wanted(member.name):
                _refuse_huge(path, member.name, member.size)
                stream = archive.extractfile(member)
                assert stream is not None  # it is a regular file
                yield member.name, stream.read()
        # tarfile takes a file cut between two members for a whole one, so look at the end: a block
        # of zeros, and then whatever the compression needs to check its own sum
        raw = archive.fileobj
        assert raw is not None
        raw.seek(archive.offset)
        if raw.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise EOFError("it ends too early")
        while raw.read(1 << 20):
            pass


def _refuse_unsafe(path: Path, name: str, regular: bool) -> None:
    """Raise BookError for a member that would land elsewhere if somebody unpacked the archive."""
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    outside = posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts
    if outside or not regular:
        raise BookError(
            f"The archive {path.name} is refused because its member {name!r} is a link, a device or"
            " outside its folder: get it again from its official source."
        )


def _refuse_huge(path: Path, name: str, size: int) -> None:
    if size > MEMBER_LIMIT:
        raise BookError(
            f"The archive {path.name} is refused because its member {name!r} would take {size:,} "
            "bytes: get it again from its official source."
        )
