"""Read zip and tar archives without unpacking them to disk."""

from __future__ import annotations

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from helpers.files import BookError

MEMBER_LIMIT = 256 * 2**20  # bytes; no honest member of our archives is larger
DAMAGE = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError,
    RuntimeError, NotImplementedError, ValueError, KeyError,
)  # fmt: skip
"""What the readers of damaged archives raise (RuntimeError: a password is wanted)."""


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
        if getattr(error, "errno", None):  # the disk or the permissions, not the content
            raise
        raise BookError(
            f"The archive {path.name} in {path.parent} is damaged ({error or type(error).__name__})"
            ": replace it with a whole copy."
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
