"""helpers.speed: both settings are there after `import helpers`, unless the reader has chosen."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import RunPython
from notebooks_under_test import IDS, NOTEBOOKS, read

from helpers import speed
from scripts import notebook_files

needs_glibc = pytest.mark.skipif(
    "CS_GNU_LIBC_VERSION" not in os.confstr_names or sys.platform != "linux",
    reason="the allocator's settings are for glibc",
)

# Ten times five texts of 8 MB: 100,000 pages, unless freed memory is kept for the next round
COUNT_PAGES = (
    "import resource\n"
    "{}\n"
    "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
    "for _ in range(10):\n"
    "    texts = [b'x' * 2**23 for _ in range(5)]\n"
    "    del texts\n"
    "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"
)


@pytest.mark.parametrize(("chosen", "seen"), [(None, "1"), ("0", "0")])
def test_onednn_is_on_unless_the_reader_says_otherwise(
    chosen: str | None, seen: str, run_python: RunPython, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    environment = {} if chosen is None else {"TF_ENABLE_ONEDNN_OPTS": chosen}
    code = "import os, helpers; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    done = run_python("-c", code, **environment)
    assert (done.stdout.strip(), done.stderr) == (seen, "")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_notebooks_import_helpers_before_keras(path: Path) -> None:
    """TensorFlow reads its variable once, while it is imported."""
    code = "\n".join(c.source for c in read(path).cells if c.cell_type == "code")
    lines = [line.split()[:2] for line in code.splitlines()]
    modules = [words[1] for words in lines if len(words) > 1 and words[0] in ("from", "import")]
    first = {name.split(".")[0]: at for at, name in reversed(list(enumerate(modules)))}
    assert "helpers" in first
    assert all(first["helpers"] < first.get(heavy, 9_999) for heavy in ("keras", "tensorflow"))
    assert notebook_files.code_tagged(read(path), "imports")[0].find("helpers") >= 0


@needs_glibc
def test_freed_memory_is_kept(run_python: RunPython) -> None:
    def pages(first_line: str, **environment: str) -> int:
        done = run_python("-c", COUNT_PAGES.format(first_line), **environment)
        return int(done.stdout)

    assert pages("import helpers") < 0.3 * pages("pass")
    # an own setting, here glibc's default of that setting, leaves glibc as it is
    assert pages("import helpers", MALLOC_ARENA_TEST="8") > 0.7 * pages("pass")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What mallopt is asked for; this process's own allocator stays as it is."""
    asked: list[tuple[int, int]] = []

    def mallopt(parameter: int, value: int) -> int:
        asked.append((parameter, value))
        return 1

    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=mallopt))
    return asked


def test_each_value_is_passed_to_the_c_library(calls: list[tuple[int, int]]) -> None:
    assert speed.keep_freed_memory()
    assert sorted(calls) == [(-3, 32 << 20), (-2, 64 << 20), (-1, 1024 << 20)]
    assert all(value < 2**31 for _, value in calls)  # mallopt takes C integers


@pytest.mark.parametrize(
    ("name", "value", "set_it"),
    [
        ("MALLOC_TRIM_THRESHOLD_", "131072", False),
        ("GLIBC_TUNABLES", "glibc.malloc.top_pad=0", False),
        ("GLIBC_TUNABLES", "glibc.pthread.rseq=0", True),  # about something else
    ],
)
def test_a_readers_own_allocator_settings_are_respected(
    name: str,
    value: str,
    set_it: bool,
    calls: list[tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for known in [known for known in os.environ if known.startswith("MALLOC_")]:
        monkeypatch.delenv(known)
    monkeypatch.setenv(name, value)
    speed.prepare()
    assert bool(calls) == set_it


def no_library(name: Any) -> Any:
    raise TypeError("what Windows says to CDLL(None)")


@pytest.mark.parametrize("library", [lambda name: SimpleNamespace(), no_library])
def test_other_c_libraries_are_left_alone_in_silence(
    library: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", library)
    assert not speed.keep_freed_memory()
    speed.prepare()
    assert capfd.readouterr() == ("", "")
