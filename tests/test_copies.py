"""Copies of notebooks: for Colab and download, and the reader's own for JupyterLab."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT
from notebooks_under_test import IDS, NOTEBOOKS, read

from scripts import copies, lab, notebook_files

WHERE = copies.Addresses("https://site.example/book/", "https://github.com/us/book", "main")


def test_links_and_pictures_get_whole_addresses() -> None:
    text = (
        "![A face](images/vae.png) and [chapter 2](../02_deep_learning/cnn.ipynb), "
        "[its opener](index.md#goals), [a paper](https://arxiv.org/abs/1), [here](#fig-x)"
    )
    assert copies.with_whole_addresses(text, "notebooks/03_autoencoders", WHERE) == (
        "![A face](https://raw.githubusercontent.com/us/book/main/notebooks/03_autoencoders/"
        "images/vae.png) and [chapter 2](https://site.example/book/notebooks/02_deep_learning/"
        "cnn.html), [its opener](https://site.example/book/notebooks/03_autoencoders/"
        "index.html#goals), [a paper](https://arxiv.org/abs/1), [here](#fig-x)"
    )
    assert WHERE.colab("notebooks/03_autoencoders/vae") == (
        "https://colab.research.google.com/github/us/book/blob/copies/"
        "notebooks/03_autoencoders/vae.ipynb"
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_a_copy_reads_alone(path: Path) -> None:
    """No link of a copy needs a neighbour, every solution is folded, and the rest is the same."""
    original, place = read(path), path.relative_to(ROOT).parent.as_posix()
    made = copies.reader_copy(original, place, WHERE)
    for before, after in zip(original.cells, made.cells, strict=True):
        if after.cell_type == "markdown":
            targets = re.findall(r"\]\(([^)\s]+)\)", after.source)
            assert all(re.match(r"https?://|#", target) for target in targets), targets
        elif "solution" in notebook_files.tags(before):
            assert after.source == f"{copies.FOLDED_TITLE}\n{before.source}"
            assert after.metadata["cellView"] == "form"
        else:
            assert after == before
    nbformat.validate(made)


@pytest.mark.site
def test_the_site_holds_the_copies_and_leads_to_them() -> None:
    site = ROOT / "_build" / "html"
    if not site.exists():
        pytest.skip("no site: call make site")
    for path in NOTEBOOKS:
        page = path.relative_to(ROOT).with_suffix("").as_posix()
        assert (site / copies.FOLDER / f"{page}.ipynb").exists()
        html = (site / f"{page}.html").read_text(encoding="utf-8")
        assert f'href="{copies.addresses().colab(page)}"' in html
        assert f"{copies.FOLDER}/{page}.ipynb" in html and f"_sources/{page}.ipynb" not in html


# ------------------------------------------------------------------------- the reader's own


@pytest.fixture
def book(tmp_path: Path) -> tuple[Path, Path]:
    """A book of one notebook and its picture, and a place for the reader's copies."""
    source = tmp_path / "notebooks"
    (source / "01_first/images").mkdir(parents=True)
    (source / "01_first/a.ipynb").write_text("first", encoding="utf-8")
    (source / "01_first/images/a.png").write_bytes(b"picture")
    return source, tmp_path / "own"


def test_copies_follow_the_book_until_the_reader_writes(book: tuple[Path, Path]) -> None:
    source, own = book
    notebook, copy = source / "01_first/a.ipynb", own / "01_first/a.ipynb"
    assert lab.refresh(source, own) == []
    assert copy.read_text(encoding="utf-8") == "first"
    assert (own / "01_first/images/a.png").read_bytes() == b"picture"
    notebook.write_text("second", encoding="utf-8")
    assert lab.refresh(source, own) == []
    assert copy.read_text(encoding="utf-8") == "second"
    copy.write_text("the reader's", encoding="utf-8")
    assert lab.refresh(source, own) == []  # the book is as it was: nothing to say
    notebook.write_text("third", encoding="utf-8")
    assert lab.refresh(source, own) == ["01_first/a.ipynb"]
    assert copy.read_text(encoding="utf-8") == "the reader's"
    copy.unlink()
    assert lab.refresh(source, own) == []
    assert copy.read_text(encoding="utf-8") == "third"


def test_git_ignores_the_readers_copies() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git clone")
    path = lab.OWN / "01_generative_modeling/box_model.ipynb"
    done = subprocess.run(["git", "check-ignore", "--quiet", str(path)], cwd=ROOT, check=False)
    assert done.returncode == 0


def test_jupyterlab_opens_the_folder_that_it_says(tmp_path: Path) -> None:
    """With a stand-in for JupyterLab: which folder it gets with and without EDIT=1."""
    stand_in = tmp_path / "jupyterlab.py"
    stand_in.write_text("import sys; print('folder', sys.argv[-1])", encoding="utf-8")
    for edit, expected in (("", "my_notebooks"), ("1", "notebooks")):
        code = (
            "import sys, pathlib; sys.path.insert(0, '.'); from scripts import lab; "
            f"lab.OWN = pathlib.Path({str(tmp_path / 'my_notebooks')!r}); lab.main()"
        )
        environment = os.environ | {"EDIT": edit, "PYTHONPATH": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        assert done.stdout.strip().rsplit("/", 1)[-1] == expected, done.stdout + done.stderr
        assert ("what you save changes the book" in done.stdout) == (edit == "1")
