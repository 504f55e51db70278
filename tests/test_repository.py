"""The repository as a whole: dependencies, the lock, paths of one machine, sizes of files."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
LARGEST_FILE = 8_000_000


def tracked_files() -> list[Path]:
    """What git keeps; without git, what a downloaded archive holds."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git clone: which files belong to the repository is unknown")
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def package(requirement: str) -> str:
    """The normalised name of a requirement: "gymnasium[box2d]>=1.2" is gymnasium."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name.group()).lower()


# --------------------------------------------------------------------------------- dependencies


def test_environment_and_pyproject_name_the_same_packages() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    from_conda = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (from_pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    wanted = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["book"]
    assert sorted(from_pip) == sorted(wanted)
    assert f"python{PROJECT['requires-python']}" in from_conda


def locked_versions() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in LOCK.splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", line):
            found.setdefault(package(match[1]), []).append(match[2])
    return found


def test_the_lock_holds_every_package() -> None:
    optional = PROJECT["optional-dependencies"]
    wanted = PROJECT["dependencies"] + optional["book"] + optional["test"]
    missing = {package(requirement) for requirement in wanted} - set(locked_versions())
    assert missing == set()


def test_the_lock_fits_the_ranges() -> None:
    from packaging.requirements import Requirement

    optional = PROJECT["optional-dependencies"]
    for text in PROJECT["dependencies"] + optional["book"] + optional["test"]:
        requirement = Requirement(text)
        for version in locked_versions()[package(text)]:
            assert requirement.specifier.contains(version), (text, version)


def test_the_lock_names_no_place() -> None:
    """Versions only: where packages come from is the reader's setting."""
    for line in LOCK.splitlines():
        assert not re.search(r"://|@ |^\s*-|[ =]/|\\$|\.whl", line.split("#")[0]), line


def test_torch_is_not_in_the_lock() -> None:
    assert "torch" not in locked_versions() and "nvidia" not in LOCK


def test_the_package_is_one_version() -> None:
    import helpers

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert helpers.__version__ == PROJECT["version"] == citation["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## (\d+\.\d+\.\d+) \((.*)\)$", changelog, re.MULTILINE)
    assert released[0] == (citation["version"], citation["date-released"].isoformat())


# ---------------------------------------------------------------------------------------- files

# Folders of one machine; examples for readers begin with ~ or with a name in capitals
MACHINE_PATH = re.compile(r"(?<![\w.~$}])/(?:work|farm|tmp|root|home|Users)/\w")
TEXT = {".py", ".md", ".ipynb", ".yml", ".yaml", ".toml", ".cfg", ".json", ".lock", ".txt", ".js",
        ".css", ".bib", ".cff", ".csv", ".svg", ""}  # fmt: skip


def test_no_file_holds_a_path_of_one_machine() -> None:
    found = []
    for path in tracked_files():
        if path.suffix not in TEXT:
            continue
        text = path.read_bytes().decode("utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {m.group()}" for m in MACHINE_PATH.finditer(text)]
    assert found == []


@pytest.mark.parametrize(
    ("text", "caught"),
    [
        ('"/ho' + 'me/reader/x"', True),
        ("in /tm" + "p/x", True),
        ("https://host/ho" + "me/x", False),
        ("~/wo" + "rk/x", False),
        ("home/x", False),
    ],
)
def test_what_counts_as_a_path_of_one_machine(text: str, caught: bool) -> None:
    assert bool(MACHINE_PATH.search(text)) == caught


def test_no_file_is_large() -> None:
    large = [
        f"{path.relative_to(ROOT)}: {path.stat().st_size:,}"
        for path in tracked_files()
        if path.stat().st_size > LARGEST_FILE
        and path.parent.name
        != "fashion_mnist"  # as published; whole, so that its sum can be checked
    ]
    assert large == []


def test_nothing_that_is_made_is_tracked() -> None:
    made = ("_build", ".venv", "student", "__pycache__", ".ipynb_checkpoints")
    tracked = [path.relative_to(ROOT) for path in tracked_files()]
    assert [str(path) for path in tracked if set(path.parts) & set(made)] == []
    assert [str(path) for path in tracked if ".partial-" in path.name] == []


@pytest.mark.parametrize(
    "command",
    ["ruff check helpers tests scripts", "ruff format --check helpers tests scripts", "mypy"],
)
def test_style_and_types(command: str) -> None:
    """What `make lint` checks."""
    done = subprocess.run(
        [sys.executable, "-m", *command.split()], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_make_help_lists_the_commands() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.strip()}
    assert {
        "book",
        "serve",
        "lab",
        "test",
        "train",
        "execute",
        "student",
        "bench",
        "lint",
        "lock",
    } <= listed
