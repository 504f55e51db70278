"""Slips: every catalogue is in order; of five notebooks a day (turns.py), two slips are noticed.

All slips of all notebooks are planted by `make slips`, and once a week.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import turns
from conftest import RunPython
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from notebooks_under_test import IDS, NOTEBOOKS, read

from helpers.files import BookError
from scripts import cell_graph, slip_catalogue, slips
from scripts.site_pages import slips as slips_page
from scripts.slip_catalogue import Slip

FEWEST_SLIPS, FEWEST_KINDS = 8, 4
NOTEBOOKS_A_DAY, DRAWN = 5, 2

WITH_SLIPS = slip_catalogue.notebooks_with_slips()


# ------------------------------------------------------------------------------ the catalogues


@pytest.mark.parametrize("path", NOTEBOOKS, ids=IDS)
def test_every_notebook_has_a_catalogue(path: Path) -> None:
    assert slip_catalogue.path_of(path).exists()


@pytest.mark.parametrize("path", WITH_SLIPS, ids=lambda path: path.stem)
def test_a_catalogue_fits_its_notebook(path: Path) -> None:
    catalogue, notebook = slip_catalogue.read(slip_catalogue.path_of(path)), read(path)
    assert len(catalogue) >= FEWEST_SLIPS
    assert len({slip.kind for slip in catalogue}) >= FEWEST_KINDS
    for slip in catalogue:
        planted, index = slip_catalogue.plant(notebook, slip)
        compile(planted.cells[index].source, slip.name, "exec")
        assert slip.budget == "tiny" or cell_graph.checks_of(
            cell_graph.code_cells(planted), index
        ), f"{slip.name}: no check hangs on its cell"
    # `make slips` has been called since the last change
    assert list(slip_catalogue.read_noticed(path.stem)) == [slip.name for slip in catalogue]


def test_no_catalogue_without_a_notebook() -> None:
    assert {path.stem for path in slip_catalogue.FOLDER.glob("*.toml")} <= set(IDS)


@pytest.mark.in_turn(NOTEBOOKS_A_DAY)
@pytest.mark.parametrize("path", WITH_SLIPS, ids=lambda path: path.stem)
def test_slips_of_the_day_are_noticed(path: Path, run_python: RunPython) -> None:
    names = [slip.name for slip in slip_catalogue.read(slip_catalogue.path_of(path))]
    drawn = slip_catalogue.drawn(names, DRAWN, path.stem, turns.date())
    print(f"{path.stem}: planted {' and '.join(drawn)}")
    only = [argument for name in drawn for argument in ("--only", name)]
    # That the notebook passes without them is nbval's to see, and that of `make slips`
    ran = run_python("scripts/slips.py", "--no-control", *only, str(path), timeout=800)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_another_day_draws_others() -> None:
    days = {
        tuple(slip_catalogue.drawn(range(10), 2, "vae", f"2026-11-{day}")) for day in range(10, 30)
    }
    assert len(days) > 10
    assert slip_catalogue.drawn("a", 2, "vae") == ["a"]


ENTRY = """
[[slip]]
name = "twice"
kind = "loss"
found = "x = 1"
planted = "x = 2"
wrong = "It is twice as large."
sees = "A larger number."
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slip = 3 4", "cannot be read"),
        (ENTRY + ENTRY, "two slips are named 'twice'"),
        (ENTRY.replace("loss", "lost"), "did you mean 'loss'"),
        (ENTRY.replace("wrong", "wrogn"), "did you mean 'wrong'"),
        (ENTRY.replace('sees = "A larger number."', ""), "entry 1: sees missing"),
        (ENTRY.replace('planted = "x = 2"', 'planted = "x = 1"'), "is what was found"),
        (ENTRY + 'budget = "cpu"', "budget of a slip"),
    ],
)
def test_a_wrong_entry_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "some.toml"
    path.write_text(text)
    with pytest.raises(BookError, match=message):
        slip_catalogue.read(path)


def test_the_notebook_without_catalogue_is_named(tmp_path: Path) -> None:
    with pytest.raises(BookError, match=r"none\.toml in tests/slips cannot be read"):
        slip_catalogue.read(tmp_path / "none.toml")


def test_the_page_shows_every_slip_and_its_check() -> None:
    text = slips_page.slips_text()
    for path in WITH_SLIPS:
        assert all(
            found["check"].rstrip(".") in text
            for found in slip_catalogue.read_noticed(path.stem).values()
        )
        for slip in slip_catalogue.read(slip_catalogue.path_of(path)):
            assert slip.wrong in text and slip.sees in text, slip.name


# ----------------------------------------------------------------------- planting in a notebook


def notebook_of(*codes: str, training: int = -1) -> object:
    cells = [new_markdown_cell("# Title"), *map(new_code_cell, codes)]
    if training > 0:
        cells[training].metadata["tags"] = ["training"]
    return new_notebook(cells=cells)


def slip(found: str, planted: str, **others: object) -> Slip:
    return Slip("name", found, planted, "wrong", "sees", "loss", **others)  # type: ignore[arg-type]


AREA = "def area(a, b):\n    return a * b"
CHECK = "assert area(2, 3) == 6"


@pytest.mark.parametrize(
    ("planted", "verdict"),
    [("a + b", "noticed"), ("b * a", "missed"), ("a.b", "crashed"), ("nothing", "crashed")],
)
def test_only_a_check_notices(planted: str, verdict: str) -> None:
    outcome = slips.try_quick(notebook_of(AREA, CHECK), slip("a * b", planted), "test")
    assert outcome.verdict == verdict
    if verdict == "noticed":
        assert (outcome.check, outcome.heading) == ("area(2, 3) == 6", "Title")


def test_a_crash_counts_where_the_entry_says_so() -> None:
    planted = slip("a * b", "a.b", crash=True)
    assert slips.try_quick(notebook_of(AREA, CHECK), planted, "test").verdict == "noticed"


def test_a_notebook_that_fails_by_itself_is_no_control() -> None:
    notebook = notebook_of(AREA, "assert area(2, 3) == 7")
    assert slips.try_quick(notebook, slip("a * b", "a + b"), "test").verdict == "control failed"


def test_the_control_can_be_left_out() -> None:
    notebook = notebook_of(AREA, "assert area(2, 3) == 7")
    outcome = slips.try_quick(notebook, slip("a * b", "a + b"), "test", control=False)
    assert outcome.verdict == "noticed"


def test_the_text_must_stand_exactly_once() -> None:
    notebook = notebook_of(AREA, CHECK)
    with pytest.raises(BookError, match="stands 2 times"):
        slip_catalogue.plant(notebook, slip("area", "size"))
    with pytest.raises(BookError, match="stands 0 times"):
        slip_catalogue.plant(notebook, slip("Title", "size"))
    planted, index = slip_catalogue.plant(notebook, slip("a * b", "a + b"))
    assert "a + b" in planted.cells[index].source and "a * b" in notebook.cells[index].source


def test_a_book_error_is_a_check() -> None:
    notebook = notebook_of(
        "from helpers.files import choose\nkind = 'cat'",
        "choose('pet', kind, ['cat'])\nassert kind",
    )
    outcome = slips.try_quick(notebook, slip("kind = 'cat'", "kind = 'dog'"), "test")
    assert (outcome.verdict, outcome.check) == (
        "noticed",
        "There is no pet named 'dog'; known: cat.",
    )


def test_the_other_cells_are_not_run() -> None:
    notebook = notebook_of(AREA, "stop = 1 / 0", CHECK)
    assert slips.try_quick(notebook, slip("a * b", "a + b"), "test").verdict == "noticed"
    assert (
        slips.try_quick(notebook, slip("a * b", "a + b", needs=("stop",)), "test").verdict
        == "control failed"
    )


def test_a_later_check_may_need_an_earlier_cell() -> None:
    notebook = notebook_of(
        "x = 1", "y = [2]", "z = 3", "assert x > 0 and z", "y.append(x)\nassert y == [2, 1]"
    )
    outcome = slips.try_quick(notebook, slip("x = 1", "x = 4"), "test")
    assert (outcome.verdict, outcome.check) == ("noticed", "y == [2, 1]")


# ------------------------------------------------------------------ which cells a check needs


def needs(*codes: str, training: int = -1) -> set[int]:
    """What the last cell needs, counted from 1."""
    cells = cell_graph.code_cells(notebook_of(*codes, training=training))
    return cell_graph.needed(cells, cells[-1])


def test_a_check_needs_what_binds_its_names() -> None:
    assert needs("x = 1", "y = 2", "assert x") == {1, 3}
    assert needs("x = 1", "x = 2", "assert x") == {2, 3}
    assert needs("x = 1", "x = x + 1", "assert x") == {1, 2, 3}
    assert needs("x = 1", "x += 1", "assert x") == {1, 2, 3}
    assert needs("x = 1", "if y:\n    x = 2", "assert x") == {1, 2, 3}
    assert needs("x = 1", "def f():\n    return x", "assert f()") == {1, 2, 3}
    assert needs("x = 1", "y = [x for x in z]", "assert x") == {1, 3}
    assert needs("import numpy as np", "x = 1", "assert np") == {1, 3}


def test_a_check_needs_what_changes_its_objects() -> None:
    assert needs("x = []", "x.append(1)", "assert x") == {1, 2, 3}
    assert needs("x = []", "x.mean()\ny = x.std()", "z = x.mean()", "assert x") == {1, 2, 4}
    assert needs("x = A()", "x.beta = 2", "assert x") == {1, 2, 3}
    assert needs("x = A()", "x[0] = 2", "assert x") == {1, 2, 3}
    loaded = "for model in [x, y]:\n    weights.restore(model)"
    assert needs("import weights", "x = A()", "y = B()", loaded, "assert x") == {1, 2, 3, 4, 5}


def test_functions_that_train_change_their_arguments() -> None:
    train = "def train(model):\n    model.fit(1)"
    assert needs(train, "x = A()", "run = train(x)", "assert x") == {1, 2, 3, 4}
    assert needs("x = A()", "y = B().fit(x)", "assert x") == {1, 3}


def test_long_training_is_left_out() -> None:
    assert needs("x = A()", "x.fit(1)", "assert x", training=2) == {1, 3}
