"""Settings that make training faster on ordinary processors; `import helpers` applies them.

Both change only how fast a notebook runs, and both are left alone where the reader has chosen.
"""

from __future__ import annotations

import ctypes
import os

MEGABYTE = 2**20
# Numbers of mallopt's parameters, from glibc's malloc.h, and the values set for them
ALLOCATOR = {
    -3: 32 * MEGABYTE,  # M_MMAP_THRESHOLD: smaller arrays come from the heap (32 MB: the most)
    -1: 1024 * MEGABYTE,  # M_TRIM_THRESHOLD: so much freed memory is kept for the next batch
    -2: 64 * MEGABYTE,  # M_TOP_PAD: the heap grows in steps of this size
}


def prepare() -> None:
    """Apply both settings. TensorFlow reads the first once, so this comes before its import."""
    # On processors without instructions for neural networks (AVX2 only: most laptops, AMD before
    # 2022) TensorFlow leaves its faster oneDNN kernels off, unless it is told.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    if not allocator_is_chosen():
        keep_freed_memory()


def allocator_is_chosen() -> bool:
    """Whether the environment sets glibc's allocator already."""
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    return "glibc.malloc" in tunables or any(name.startswith("MALLOC_") for name in os.environ)


def keep_freed_memory() -> bool:
    """Let glibc keep the memory of large temporary arrays; False where there is no glibc.

    By default each array of a few megabytes is fetched from the system and given back, once per
    operation, and the system clears every page of it anew. The environment variables for this
    (MALLOC_...) count only when a process starts; mallopt works in a running one.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, musl, Windows
        return False
    return all([mallopt(parameter, value) for parameter, value in ALLOCATOR.items()])
