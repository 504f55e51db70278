"""helpers.files: folders, atomic writes, JSON, checksums, names."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import threading
from pathlib import Path

import pytest
from conftest import RunPython
from hypothesis import given
from hypothesis import strategies as st

from helpers import files
from helpers.files import BookError


def test_cache_folder_is_made_where_the_variable_says(tmp_path: Path) -> None:
    assert files.cache_folder() == tmp_path / "cache"
    assert (tmp_path / "cache").is_dir()
    assert files.cache_folder() == tmp_path / "cache"  # a second call finds it


def test_cache_folder_is_in_the_home_folder_by_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GENBOOK_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.cache_folder() == tmp_path / ".cache" / "genbook"
    monkeypatch.setenv("GENBOOK_CACHE", "~/other")
    assert files.cache_folder() == tmp_path / "other"


def test_a_cache_folder_that_cannot_be_made_gives_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GENBOOK_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(BookError, match="set GENBOOK_CACHE to a folder that you can write to"):
        files.cache_folder()


def test_atomic_path_replaces_at_the_end_only(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "net.weights.h5"
    with files.atomic_path(target) as temporary:
        assert temporary.name.endswith(".weights.h5") and temporary.parent == target.parent
        temporary.write_text("first")
        assert not target.exists()
    assert target.read_text() == "first"
    with files.atomic_path(target) as temporary:
        temporary.write_text("second")
        assert target.read_text() == "first"
    assert target.read_text() == "second"
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_atomic_path_keeps_the_old_file_when_the_block_fails(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), files.atomic_path(target) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert list(tmp_path.glob(".partial-*")) == []


@pytest.mark.parametrize("named", ["~no-such-user-here/cache", None])
def test_a_home_folder_that_nobody_knows_gives_one_sentence(
    monkeypatch: pytest.MonkeyPatch, named: str | None
) -> None:
    """Of a user without an entry, or of one whose name is misspelt."""
    monkeypatch.delenv("HOME", raising=False)
    if named is None:
        monkeypatch.delenv("GENBOOK_CACHE")
        monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)  # KeyError, as for an unknown user
    else:
        monkeypatch.setenv("GENBOOK_CACHE", named)
    with pytest.raises(BookError, match="set GENBOOK_CACHE to a folder that you can write to"):
        files.cache_folder()


def test_own_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.own_path("~/cats") == tmp_path / "cats"
    with pytest.raises(BookError, match="home folder is unknown: write it in full"):
        files.own_path("~no-such-user-here/cats")


def test_reading_gives_one_sentence_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(BookError, match=r"none cannot be read \(No such") as error, files.reading():
        (tmp_path / "none").read_bytes()
    assert str(tmp_path) in str(error.value)

    @files.reading()
    def of_a_folder() -> bytes:
        return tmp_path.read_bytes()

    with pytest.raises(BookError, match="Is a directory"):
        of_a_folder()
    with pytest.raises(BookError, match="Is a directory"):
        files.read_json(tmp_path)


def test_what_killed_processes_leave_is_removed(run_python: RunPython, tmp_path: Path) -> None:
    """Their files once piled up, 123 MB each; those of living ones and of other machines stay."""
    code = (
        "import os, sys; from pathlib import Path; from helpers.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); os._exit(1)"
    )
    target = tmp_path / "file.txt"
    for _ in range(2):
        assert run_python("-c", code, str(target)).returncode == 1
        assert len(list(tmp_path.glob(".partial-*"))) == 1  # the second removed the first's
    elsewhere, old = tmp_path / ".partial-other-1-x.npz", tmp_path / ".partial-vwxyz.npz"
    for path in (elsewhere, old):
        path.write_text("half")
    os.utime(old, (0, 0))
    with files.atomic_path(tmp_path / "a") as ours:
        ours.write_text("")
        with files.atomic_path(target) as temporary:
            temporary.write_text("whole")
            assert ours.exists()
    assert sorted(tmp_path.iterdir()) == [elsewhere, tmp_path / "a", target]


def test_atomic_path_survives_a_killed_process(run_python: RunPython, tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    code = (
        "import os, sys; from pathlib import Path; from helpers.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); os._exit(1)"
    )
    assert run_python("-c", code, str(target)).returncode == 1
    assert target.read_text() == "old"


def test_atomic_path_gives_usual_permissions(tmp_path: Path) -> None:
    plain, atomic = tmp_path / "plain", tmp_path / "atomic"
    plain.write_text("")
    with files.atomic_path(atomic) as temporary:
        temporary.write_text("")
    assert plain.stat().st_mode == atomic.stat().st_mode


def test_a_full_disk_gives_one_sentence_and_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    with (
        pytest.raises(BookError, match=r"file.txt could not be written to .* \(No space left"),
        files.atomic_path(target),
    ):
        raise OSError(28, "No space left on device")
    assert target.read_text() == "old"
    assert list(tmp_path.glob(".partial-*")) == []


def test_a_folder_that_cannot_be_made_gives_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(BookError, match="could not be written"),
        files.atomic_path(tmp_path / "file" / "inside.txt"),
    ):
        pass


def test_two_writers_leave_a_whole_file(tmp_path: Path) -> None:
    target = tmp_path / "file.json"

    def write(number: int) -> None:
        for _ in range(30):
            files.write_json(target, [number] * 500)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if target.exists():
            assert len(set(files.read_json(target))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file.json"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)


@given(JSON)
def test_json_round_trip(content: object) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "content.json"
        files.write_json(path, content)
        assert files.read_json(path) == content
        assert path.read_text(encoding="utf-8").endswith("\n")


def test_json_that_is_missing_or_damaged_gives_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BookError, match=r"none.json is missing from"):
        files.read_json(tmp_path / "none.json")
    for damaged in (b'{"half": ', b"", b"\xff\xfe"):
        (tmp_path / "half.json").write_bytes(damaged)
        with pytest.raises(BookError, match=r"half.json is damaged .* restore it"):
            files.read_json(tmp_path / "half.json")


def test_json_that_cannot_be_written_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    files.write_json(path, [1])
    with pytest.raises(TypeError):
        files.write_json(path, [object()])
    assert json.loads(path.read_text()) == [1]


def test_file_sha256(tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = os.urandom(3_000_000)
    path.write_bytes(content)
    assert files.file_sha256(path) == hashlib.sha256(content).hexdigest()


def test_choose() -> None:
    known = ("mnist", "moons", "portraits")
    assert files.choose("data set", "moons", known) == "moons"
    with pytest.raises(BookError, match="no data set named 'Portrait'; did you mean 'portraits'"):
        files.choose("data set", "Portrait", known)
    with pytest.raises(BookError, match="named 'zzz'; known: mnist, moons, portraits"):
        files.choose("data set", "zzz", known)


def test_root_is_the_repository() -> None:
    assert (files.ROOT / "pyproject.toml").exists() and files.DATA.is_dir()
