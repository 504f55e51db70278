"""scripts/site_pages: the tables of the site say what the record says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from helpers import datasets
from scripts.site_pages import (
    contents,
    facts,
    finish,
    formats,
    hooks,
    metric_words,
    reference,
    times,
)
from scripts.site_pages import results as results_page
from scripts.site_pages.contents import Notebook


def a_run(**changes: Any) -> dict[str, Any]:
    """A recorded run, as helpers.results writes it."""
    run = {
        "dataset": "fashion_mnist",
        "source": "embedded",
        "budget": "cpu",
        "backend": "tensorflow",
        "seed": 0,
        "metrics": {"test_accuracy": 0.88, "vae_2d.kl_nats": 6.5},
        "n": {"test_accuracy": 10_000},
        "sd": {"vae_2d.kl_nats": 0.04},
        "quick_check": {},
        "parameters": {"vae_2d": 592_554},
        "updates": 18_750,
        "seconds": 300.0,
        "hardware": "2 cores, a processor",
        "versions": {},
        "weights_sha256": {},
        "date": "2026-11-21",
    }
    return run | changes


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A book of two notebooks, "one" and "two", of which none exists or has a record."""
    toc = """
format: jb-book
root: book/introduction
parts:
  - chapters:
      - file: notebooks/01_first/index
        sections:
          - file: notebooks/01_first/one
          - file: notebooks/01_first/two
  - chapters: [{file: book/results}]
"""
    (tmp_path / "_toc.yml").write_text(toc, encoding="utf-8")
    (tmp_path / "notebooks/01_first").mkdir(parents=True)
    (tmp_path / "data/results").mkdir(parents=True)
    monkeypatch.setattr(contents, "ROOT", tmp_path)
    monkeypatch.setattr(contents, "DATA", tmp_path / "data")
    monkeypatch.setattr(contents, "QUICK", tmp_path / "data/results/quick_seconds.json")
    monkeypatch.setattr(times, "BENCH", tmp_path / "data/results/bench.json")
    return tmp_path


def record(book: Path, name: str, *runs: dict[str, Any]) -> None:
    path = book / "data/results" / f"{name}.json"
    path.write_text(json.dumps({"notebook": name, "runs": runs}), encoding="utf-8")


def row_with(text: str, *words: str) -> list[str]:
    """The cells of the only row that has all these words."""
    found = [line for line in text.splitlines() if all(word in line for word in words)]
    assert len(found) == 1, found
    return [cell.strip() for cell in found[0].strip("|").split("|")]


def test_pages_in_the_order_of_the_contents(book: Path) -> None:
    assert [notebook.name for notebook in contents.notebooks()] == ["one", "two"]
    toc = {"root": "a", "parts": [{"chapters": [{"file": "b", "sections": [{"file": "c"}]}]}]}
    assert contents.toc_pages(toc) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.88412, "0.8841"),
        (241.2345, "241.2"),
        (2.7251, "2.725"),
        (592_554, "592,554"),
        (18_750.0, "18,750"),
        (12_345.6, "12,346"),
        (-31.84, "-31.84"),
        (2.4e-7, "2.4e-07"),
        (0, "0"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert formats.number(value) == text


def test_mean_and_spread() -> None:
    assert formats.measured([0.88412], None) == "0.8841"
    assert formats.measured([0.88412], 0.0032) == "0.8841 ± 0.0032"
    # mean 2, sample standard deviation 1; that of one measurement no longer counts
    assert formats.measured([1.0, 2.0, 3.0], 0.5) == "2 ± 1"
    assert formats.measured([2.7251], 0.00004) == "2.725 ± 4e-05"


def test_a_notebook_without_a_record_is_a_gap(book: Path) -> None:
    record(book, "one", a_run())
    text = results_page.results_text()
    assert text.lower().count("not measured yet") == 1
    assert text.index("## one") < text.index("## two") < text.lower().index("not measured yet")
    assert row_with(times.minutes_text(), "`two`") == ["`two`", "default", "–", "–", "–"]


def test_results_show_value_items_and_seeds(book: Path) -> None:
    runs = [a_run(seed=s, metrics={"test_accuracy": 0.88 + 0.01 * s}) for s in range(3)]
    record(book, "one", *runs, a_run(dataset="cifar10", metrics={"test_accuracy": 0.5}))
    text = results_page.results_text()
    cells = row_with(text, "fashion_mnist", "accuracy on test images")
    assert cells == [
        "accuracy on test images (higher is better)",
        "0.8900 ± 0.0100",
        "10,000",
        "3 seeds",
        "fashion_mnist",
        "cpu",
    ]
    assert row_with(text, "cifar10", "accuracy on test")[1:4] == ["0.5000", "10,000", "1 run"]
    assert row_with(text, "fashion_mnist", "2026-11-21")[1:4] == ["5.0", "18,750", "vae_2d 592,554"]
    assert "fashion_mnist: embedded; cifar10: embedded" in text


def test_a_record_may_give_one_number_for_all_metrics(book: Path) -> None:
    record(book, "one", a_run(n=500, sd=None, metrics={"fid": 3.25}, parameters=10, updates={}))
    assert row_with(results_page.results_text(), "Fréchet")[1:4] == ["3.250", "500", "1 run"]


def test_the_models_name_stands_before_the_metric() -> None:
    assert metric_words.metric_words("vae_2d.kl_nats") == "`vae_2d`: KL term, nats per image"
    assert metric_words.metric_words("something_new") == "something new"


def test_minutes_of_the_default_data_not_of_others(book: Path) -> None:
    record(book, "one", a_run(dataset="cifar10", seconds=1800.0), a_run(seconds=600.0))
    (book / "data/results/quick_seconds.json").write_text('{"seconds": {"one": 45}}')
    text = times.minutes_text()
    assert row_with(text, "`one`") == ["`one`", "default", "0.8", "10", "–"]
    assert row_with(text, "cifar10") == ["", "`cifar10`", "–", "30", "–"]
    assert "Machines: 2 cores, a processor." in text


def test_map_counts_the_words_of_the_prose(book: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# The first\n", "\n", "word " * 1_000]},
        {"cell_type": "code", "source": ["code " * 5_000]},
    ]
    path = book / "notebooks/01_first/one.ipynb"
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    assert Notebook("notebooks/01_first/one").title() == "The first"
    text = times.map_text({"one": "count words", "two": "nothing yet"})
    assert row_with(text, "count words")[:3] == [
        "{doc}`/notebooks/01_first/one`",
        "count words",
        "5",
    ]
    assert row_with(text, "nothing yet")[2] == "–"


def test_map_shows_a_notebook_that_is_not_there_yet_as_a_gap(book: Path) -> None:
    row = row_with(times.map_text({"eleven": "play music"}), "play music")
    assert row == ["`eleven` (in preparation)", "play music", "–", "–", "–", "–"]


def test_speed(book: Path) -> None:
    assert "not measured yet" in times.bench_text().lower()
    bench = {
        "date": "2026-11-21",
        "hardware": "2 cores",
        "versions": {"keras": "3.15"},
        "rows": [
            {
                "notebook": "one",
                "model": "small",
                "parameters": 592_554,
                "train_items_per_second": 4_321,
                "sample_ms": 0.25,
                "peak_mb": 900,
            }
        ],
    }
    (book / "data/results/bench.json").write_text(json.dumps(bench))
    text = times.bench_text()
    assert row_with(text, "small")[2:] == ["592,554", "4,321", "0.25", "900"]
    assert "2 cores; keras 3.15; 2026-11-21." in text


def test_every_data_set_is_in_one_of_the_two_tables() -> None:
    embedded, others = reference.data_text(True), reference.data_text(False)
    for name, entry in datasets.REGISTRY.items():
        home, other = (embedded, others) if entry.embedded else (others, embedded)
        assert row_with(home, f"`{name}`")[-1] == entry.licence
        assert f"`{name}`" not in other


def test_which_data_comes_with_the_book() -> None:
    assert contents.comes_with_the_book("fashion_mnist")
    assert contents.comes_with_the_book("points made in the notebook")
    assert not contents.comes_with_the_book("folder:pictures")


def test_hub_link_names_repository_branch_and_notebook() -> None:
    query = hooks.hub_link("https://host.test/owner/name/", "main", "notebooks/01_first/one")
    asked = parse_qs(query)
    assert asked["repo"] == ["https://host.test/owner/name/"]
    assert asked["branch"] == ["main"]
    assert asked["urlpath"] == ["lab/tree/name/notebooks/01_first/one.ipynb"]
    assert "lab/tree/name/notebooks" in hooks.hub_link("https://host.test/owner/name", "m", "")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("half |a - b|, with *args", r"half \|a - b\|, with \*args"),
        ("`code|bar` and ``more*``", "``code|bar`` and ``more*``"),
        ("x_ is a_name", r"x\_ is a_name"),
        ("a {role}`name`, the `x`s", r"a {role}\ ``name``, the ``x``\ s"),
    ],
)
def test_docstrings_stay_plain_text(written: str, read: str) -> None:
    lines = [written]
    hooks.plain_docstring(None, "function", "f", None, None, lines)
    assert lines == [read]


def test_every_known_metric_has_a_meaning_in_words() -> None:
    for key, meaning in metric_words.METRIC_WORDS.items():
        assert key == key.lower() and " " in meaning


def test_controls_get_one_name_and_unused_scripts_go() -> None:
    page = (
        '<script defer src="../_static/scripts/fontawesome.js?digest=1"></script>'
        '<script defer="defer" src="../_static/mathjax/startup.js?v=1"></script>'
        '<a class="current reference internal" href="#">3. Autoencoders</a><details><summary>v'
        '</summary></details><div class="cell tag_hide-input tag_solution"><details><summary '
        'aria-label="Toggle hidden content"><p>Show the code</p></summary>Show the code</div>'
    )
    mended = finish.mended(page)
    assert "fontawesome" not in mended and "mathjax" not in mended
    assert '<summary aria-label="Pages of 3. Autoencoders">' in mended
    assert "<summary><p>Show the solution</p></summary>Show the code" in mended
    assert finish.mended(mended) == mended
    with_formula = finish.mended(page + '<span class="math">')
    assert "mathjax/startup.js" in with_formula


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([1], "1"),
        ([1, 2], "1 and 2"),
        ([4, 1, 2, 3, 7, 8], "1 to 4, 7 and 8"),
        ([1, 3, 5], "1, 3 and 5"),
    ],
)
def test_lists_of_chapters(numbers: list[int], words: str) -> None:
    assert facts.listed(numbers) == words


def test_the_readme_states_the_books_facts() -> None:
    """Chapters, times: computed from the contents and the record. `make lint` writes them."""
    from helpers.files import ROOT
    from scripts import prose_numbers

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    known = facts.facts()
    stated = {match["name"]: match["text"] for match in prose_numbers.MARKED.finditer(readme)}
    assert {"chapters", "full-minutes", "quick-seconds"} <= set(stated)
    assert stated == {name: known[name] for name in stated}


def test_full_minutes_are_those_of_the_slowest_notebook(book: Path) -> None:
    record(book, "one", a_run(seconds=600.0), a_run(dataset="cifar10", seconds=9000.0))
    record(book, "two", a_run(seconds=3300.0), a_run(budget="gpu", seconds=9000.0))
    assert facts.full_seconds() == {"one": 600.0, "two": 3300.0}
