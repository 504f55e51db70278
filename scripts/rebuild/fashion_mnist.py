"""Fashion-MNIST, as the Debian package has it."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from pathlib import Path

from helpers.files import BookError, atomic_path

UNPACKED_FASHION = {  # as published by Zalando Research; without ".gz"
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
}
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")


def build(folder: Path) -> None:
    """Copy the four idx files of the Debian package dataset-fashion-mnist as they are."""
    names = [f"{part}-{kind}.gz" for part in ("train", "t10k")
             for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]  # fmt: skip
    for name in names:
        source = DEBIAN_FOLDER / name
        if not source.exists():
            raise BookError(
                f"{source} is missing: install the Debian package dataset-fashion-mnist."
            )
        digest = hashlib.sha256(gzip.decompress(source.read_bytes())).hexdigest()
        if UNPACKED_FASHION.get(name.removesuffix(".gz"), digest) != digest:
            raise BookError(f"{source} is not the published file.")
        with atomic_path(folder / name) as temporary:
            shutil.copyfile(source, temporary)
