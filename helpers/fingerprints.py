"""Short fingerprints of data and of code: has what a training depends on changed?"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

import numpy as np

ROWS = 4096
"""Rows of an array that are copied at one time."""

INSTALLED = ("site-packages", "dist-packages")
"""Folders of code that readers do not change."""


def is_plain(value: Any) -> bool:
    """Whether a value is a number, a text or None, or a collection of these."""
    if isinstance(value, (tuple, list)):
        return all(is_plain(item) for item in value)
    if isinstance(value, dict):
        return all(is_plain(item) for pair in value.items() for item in pair)
    return value is None or isinstance(value, (bool, int, float, str, np.number))


def of_text(text: str) -> str:
    """Twelve hexadecimal digits that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def of_array(array: np.ndarray) -> str:
    """Twelve digits that stand for an array: its shape, dtype and numbers (0.1 s for 100 MB)."""
    digest = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    for start in range(0, len(array), ROWS):
        digest.update(np.ascontiguousarray(array[start : start + ROWS]).data)
    return digest.hexdigest()[:12]


def of_code(*things: Any) -> str:
    """Twelve digits that stand for what classes and functions of a notebook do.

    They change with the code of any method, with the functions and plain constants of the notebook
    that it names, and with those of base classes; not with comments, layout or place. Code of
    installed packages and of `helpers` is left out.
    """
    seen: set[int] = set()
    digest = hashlib.sha256()
    for thing in things:
        for part in _parts(thing, seen):
            digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:12]


def _parts(thing: Any, seen: set[int]) -> Iterator[str]:
    """Texts that together say what a class, a function or a value is."""
    if is_plain(thing):
        yield repr(thing)
    elif id(thing) in seen or not _is_own(thing):
        return
    elif isinstance(thing, type):
        seen.add(id(thing))
        for base in thing.__mro__[1:]:
            yield from _parts(base, seen)
        for name, member in sorted(vars(thing).items()):
            if not name.startswith("__") or isinstance(member, FunctionType):
                yield name
                yield from _parts(getattr(member, "__func__", member), seen)
    elif isinstance(thing, property):
        yield from _parts(thing.fget, seen)
    elif isinstance(thing, FunctionType):
        seen.add(id(thing))
        named = [thing.__globals__.get(name) for name in thing.__code__.co_names]
        kept = [cell.cell_contents for cell in thing.__closure__ or () if not _is_empty(cell)]
        yield from _code_parts(thing.__code__)
        for value in (thing.__defaults__, thing.__kwdefaults__, *named, *kept):
            yield from _parts(value, seen)


def _code_parts(code: CodeType) -> Iterator[str]:
    """The bytecode, the names and the constants, also of functions inside."""
    yield f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {code.co_freevars}"
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code_parts(constant)
        elif isinstance(constant, frozenset):  # its order differs from session to session
            yield repr(sorted(map(repr, constant)))
        else:
            yield repr(constant)


def _is_own(thing: Any) -> bool:
    """Whether this is code of the notebook (or script), not of a package."""
    name = getattr(thing, "__module__", None) or ""
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    package = name.partition(".")[0] in ("helpers", "builtins")
    return not package and not any(folder in file for folder in INSTALLED)


def _is_empty(cell: Any) -> bool:
    """A cell that is not filled yet raises ValueError when it is read."""
    try:
        return cell.cell_contents is cell
    except ValueError:
        return True
