"""Where the book's files live, and safe ways to write and check them."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds helpers/, data/ and notebooks/."""

DATA = ROOT / "data"
"""Everything that comes with the book: embedded data, released weights, recorded results."""


PARTIAL = ".partial-"  # how the names of files begin that are still being written
A_DAY = 24 * 60 * 60  # seconds


class BookError(Exception):
    """An error that a reader can mend; its message is one sentence that says how."""


def cache_folder() -> Path:
    """The folder for downloads, checkpoints and the reader's own weights and results.

    The environment variable GENBOOK_CACHE moves it; the default is ~/.cache/genbook.
    The folder is created on first use.
    """
    named = os.environ.get("GENBOOK_CACHE")
    try:
        folder = Path(named or "~/.cache/genbook").expanduser()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: nobody knows the home folder
        raise BookError(
            f"The cache folder {named or '~/.cache/genbook'} cannot be made "
            f"({getattr(error, 'strerror', None) or error}): set GENBOOK_CACHE to a folder that "
            "you can write to."
        ) from error
    return folder


def own_path(text: str) -> Path:
    """A path as a reader writes it, with "~" for the home folder (BookError if none is known)."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise BookError(
            f"In the path {text} the home folder is unknown: write it in full."
        ) from error


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """In this block, or a function decorated with it, an unreadable file raises BookError."""
    try:
        yield
    except OSError as error:
        raise BookError(
            f"{error.filename or 'A file'} cannot be read ({error.strerror or error}): check its "
            "path and its permissions."
        ) from error


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, and move it to `path` when the block ends well.

    If the block raises or the process dies, `path` is untouched: a reader never meets half a file,
    and two processes that write the same file at once each leave a whole one. The temporary name
    keeps the suffixes of `path`, because some libraries choose a format by them. What killed
    processes left in the same folder is removed.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_over(path.parent)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f"{PARTIAL}{_this_process()}-", suffix="".join(path.suffixes)
        )
        os.close(handle)
        temporary = Path(name)
        yield temporary
        # mkstemp makes private files; give the finished one the usual permissions
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        os.replace(temporary, path)
    except OSError as error:
        raise BookError(
            f"{path.name} could not be written to {path.parent} ({error.strerror or error}): "
            "make room or give write permission there, and try again."
        ) from error
    finally:
        if temporary:
            temporary.unlink(missing_ok=True)


def _this_process() -> str:
    """A name of this machine and the number of this process."""
    return f"{hashlib.sha256(platform.node().encode()).hexdigest()[:8]}-{os.getpid()}"


def _remove_left_over(folder: Path) -> None:
    """Remove the temporary files in `folder` whose process has died.

    Of processes on other machines, which share the folder, nobody knows; their files go when
    nothing has been written to them for a day.
    """
    machine = _this_process().split("-")[0]
    for path in folder.glob(f"{PARTIAL}*"):
        with contextlib.suppress(OSError):  # another process may have removed it
            owner, _, rest = path.name.removeprefix(PARTIAL).partition("-")
            number = rest.partition("-")[0]
            if owner == machine and number.isdecimal() and os.name == "posix":
                is_dead = not _is_running(int(number))
            else:
                is_dead = time.time() - path.stat().st_mtime > A_DAY
            if is_dead:
                path.unlink()


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it belongs to somebody else
        return True
    return True


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON with a stable layout, atomically."""
    with atomic_path(path) as temporary:
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file; raises BookError when it is missing, damaged or not to be read."""
    if not path.exists():
        raise BookError(f"{path.name} is missing from {path.parent}.")
    with reading():
        content = path.read_bytes()
    try:
        return json.loads(content.decode("utf-8"))
    except ValueError as error:
        raise BookError(
            f"{path.name} is damaged ({error}): restore it from the repository."
        ) from error


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def choose(kind: str, name: str, known: Iterable[str]) -> str:
    """Return `name` if it is one of `known`; otherwise raise BookError with the nearest one.

    `kind` is the word for the message, e.g. "data set".
    """
    options = sorted(known)
    if name in options:
        return name
    near = difflib.get_close_matches(name.lower(), options, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(options)}."
    raise BookError(f"There is no {kind} named {name!r}; {hint}")
