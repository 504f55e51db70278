"""Where the files of a data set are: in the book, in the cache, on the network, in a folder."""

from __future__ import annotations

import http.client
import os
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from helpers.datasets.registry import DataSet, SourceFile
from helpers.files import BookError, atomic_path, cache_folder, own_path

TIMEOUT = 10.0  # seconds without an answer, or without a further byte
NETWORK_ERRORS = (
    urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError,
)  # fmt: skip

VERIFIED = "checksum as published"
DIFFERENT = "not the published checksum"
UNKNOWN = "no published checksum"


class DatasetUnavailable(BookError):
    """Data that is neither here nor reachable; the message says where to get it and put it."""


# ---------------------------------------------------------------- in the book


def embedded_file(entry: DataSet, file: SourceFile) -> Path:
    """The path of an embedded file, once its checksum is that of the registry."""
    path = entry.folder / file.name
    if not path.exists() or not file.matches(path):
        problem = "differs from the published one" if path.exists() else "is missing"
        raise BookError(
            f"data/{entry.name}/{file.name} {problem}: restore it from the book's repository."
        )
    return path


def embedded_source(entry: DataSet) -> str:
    """What the printed line says of a set that comes with the book."""
    return f"embedded ({entry.publisher}, {entry.licence})"


# ---------------------------------------------------------------- on the network


def downloads_folder() -> Path:
    """Where fetched files are kept, and where a reader can put them by hand."""
    return cache_folder() / "downloads"


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


# ------------------------------------------------------- in a folder that the reader names


def named_folder(entry: DataSet, what: str) -> Path:
    """The folder of a set that needs an account: GENBOOK_<NAME>, or the set's name in the cache."""
    variable = f"GENBOOK_{entry.name.upper()}"
    named = os.environ.get(variable)
    folder = own_path(named) if named else cache_folder() / entry.name
    if not folder.is_dir():
        sums = ", ".join(f"{file.name} {file.checksum}" for file in entry.files if file.checksum)
        raise DatasetUnavailable(
            f"The data set {entry.name} is not downloaded automatically: get {what} from "
            f"{entry.url}{f' (expected: {sums})' if sums else ''}, put it into {folder} (or name "
            f"your own folder in {variable}), and run this again."
        )
    return folder


def named_file(entry: DataSet) -> Path:
    """The one file of a set that needs an account, in the folder that the reader names."""
    name = entry.files[0].name
    folder = named_folder(entry, name)
    found = sorted(folder.rglob(name)) + sorted(folder.rglob(f"{name}.gz"))
    if not found:
        raise DatasetUnavailable(f"{folder} has no {name}: get it from {entry.url}.")
    return found[0]
