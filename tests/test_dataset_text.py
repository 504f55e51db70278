"""Texts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from made_up import (
    Server,
    is_one_sentence,
    serve,
)

from helpers import datasets
from helpers.datasets import (
    DatasetUnavailable,
)
from helpers.files import BookError, cache_folder


def test_shakespeare_is_split_by_play(capsys: pytest.CaptureFixture[str]) -> None:
    plays = datasets.load_text("shakespeare")
    assert (len(plays.train), len(plays.test)) == (34, 4)
    assert "34 + 4 texts, 4,9" in capsys.readouterr().out
    assert plays.titles_test == ("Henry V", "Macbeth", "The Tempest", "Twelfth Night")
    assert not set(plays.titles_train) & set(plays.titles_test)
    macbeth = plays.test[plays.titles_test.index("Macbeth")]
    assert "First Witch:\nWhen shall we three meet again\n" in macbeth
    whole = "".join(plays.train + plays.test)
    assert set(whole) <= set(map(chr, range(32, 127))) | {"\n"}
    assert not set(whole) & set("*_#\\")  # no Markdown is left
    assert set("".join(plays.test)) <= set("".join(plays.train))


RECIPES = [
    {"title": " Soup ", "directions": ["Boil water.", "  Add\nsalt. "], "rating": 4.0},
    {"title": "Nothing", "directions": []},
    {"title": None, "directions": ["Wait."]},
    {},
    {"title": "Soup", "directions": ["Boil water.", "Add salt."]},
    {"title": "Bread", "directions": ["Bake\u2028it."]},
]


@pytest.mark.parametrize("style", ["json", "lines", "gz"])
def test_recipes(style: str) -> None:
    folder = cache_folder() / "recipes"
    folder.mkdir()
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in RECIPES)
    text = json.dumps(RECIPES) if style == "json" else lines
    if style == "gz":
        (folder / "full_format_recipes.json.gz").write_bytes(gzip.compress(text.encode()))
    else:
        (folder / "full_format_recipes.json").write_text(text)
    recipes = datasets.load_text("recipes", verbose=False)
    assert recipes.train == ("Soup\nBoil water.\nAdd salt.",)
    assert recipes.test == ("Bread\nBake it.",) and recipes.titles_test == ("Bread",)


@pytest.mark.parametrize("text", ["", "[", "[1]", '{"title": 3}', "no json", "[]"])
def test_recipes_that_are_not(text: str) -> None:
    folder = cache_folder() / "recipes"
    folder.mkdir()
    (folder / "full_format_recipes.json").write_text(text)
    with pytest.raises(BookError) as error:
        datasets.load_text("recipes")
    assert is_one_sentence(error)


def test_wine_reviews(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GENBOOK_WINE_REVIEWS", str(tmp_path))
    rows = [
        ",country,description,province,title,variety",
        '0,Italy,"Dry, and ""fresh"".",Sicily,Nicosia 2013,White Blend',
        '1,,"No country.",Sicily,X,Red',
        '2,Italy,"Dry, and ""fresh"".",Sicily,the same again,White Blend',
        '3,France,"Two\nlines.",Alsace,Y,Riesling',
    ]
    (tmp_path / "winemag-data-130k-v2.csv").write_text("\n".join(rows), encoding="utf-8")
    reviews = datasets.load_text("wine_reviews", verbose=False)
    assert reviews.train == ('Italy, Sicily, White Blend: Dry, and "fresh".',)
    assert reviews.test == ("France, Alsace, Riesling: Two lines.",)
    assert reviews.titles_train == ("Nicosia 2013",)
    (tmp_path / "winemag-data-130k-v2.csv").write_text("country,points\nItaly,90\n")
    with pytest.raises(BookError, match="no column description, province, variety"):
        datasets.load_text("wine_reviews")
    (tmp_path / "winemag-data-130k-v2.csv").unlink()
    with pytest.raises(DatasetUnavailable, match=r"has no winemag-data-130k-v2\.csv"):
        datasets.load_text("wine_reviews")


def recipes(rows: list[Any] | str) -> datasets.TextSet:
    folder = cache_folder() / "recipes"
    folder.mkdir(exist_ok=True)
    content = rows if isinstance(rows, str) else json.dumps(rows)
    (folder / "full_format_recipes.json").write_text(content)
    return datasets.load_text("recipes", verbose=False)


def recipe(title: Any, directions: Any) -> dict[str, Any]:
    return {"title": title, "directions": directions}


def test_recipes_with_other_spellings() -> None:
    """A text where a list is meant once gave a step for each letter, None the word None."""
    found = recipes([
        recipe("Tea", "Boil water.\nWait."), recipe("Ice", ["Freeze.", None, float("nan")]),
        recipe(float("nan"), ["Boil."]), recipe("None", ["Boil."]), recipe("Air", None),
        recipe("Ice", ["Freeze."]), recipe("Salt", float("nan")),
    ])  # fmt: skip
    assert found.train == ("Tea\nBoil water.\nWait.",) and found.test == ("Ice\nFreeze.",)
    assert "; 2 of 7 kept, 4 without title or steps, 1 repeated; " in found.source


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (recipe(3, ["Boil."]), "recipe 3 has '3' where a text"),
        (recipe("Tea", [["Boil."]]), r"recipe 3 has .*Boil.* where a text"),
        (recipe("Tea", {"1": "Boil."}), r"recipe 3 has the directions .*Boil"),
        (["Tea"], r"recipe 3 is .*Tea.*, not an object"),
    ],
)
def test_recipes_of_another_form_are_refused_with_row_and_value(row: Any, words: str) -> None:
    good = [recipe("Tea", ["Boil."]), recipe("Ice", ["Freeze."])]
    with pytest.raises(BookError, match=words) as error:
        recipes([*good, row])
    assert is_one_sentence(error)


def test_json_nested_without_end_is_one_sentence() -> None:
    with pytest.raises(BookError, match="damaged") as error:
        recipes("[" * 100_000)
    assert is_one_sentence(error)


HEADER = "country,province,variety,description,title"


def reviews(folder: Path, rows: list[str], header: str = HEADER) -> datasets.TextSet:
    text = "\n".join([header, *rows])
    (folder / "winemag-data-130k-v2.csv").write_text(text, encoding="utf-8")
    return datasets.load_text("wine_reviews", verbose=False)


@pytest.fixture
def wine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("GENBOOK_WINE_REVIEWS", str(tmp_path))
    return tmp_path


def good_row(number: int) -> str:
    return f'Italy,Sicily,Blend {number},"Dry, fresh.",T'


def test_every_review_is_accounted_for(wine: Path) -> None:
    rows = [good_row(number) for number in range(20)]
    missing = [f"{word},Sicily,Red,Good.,T" for word in ("", "NaN", "none", "NULL", "n/a", " ")]
    found = reviews(wine, [*rows, *missing, rows[3], "", rows[3]])
    assert (len(found.train), len(found.test)) == (18, 2)
    left_out = "6 without country, province, variety or description, 2 repeated"
    assert f"; 20 of 28 kept, {left_out}; " in found.source
    assert len(reviews(wine, rows, header=f" {HEADER.upper()}").train) == 18


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('Italy,Sicily,Red,"Dry and fresh.,T', "line 5"),  # the quote swallows the rows after it
        ('"Italy,Sicily,Red,Dry.,T', "line 5"),
        ("Italy,Sicily,Red,Dry, fresh.,T", "6 values instead of 5 up to line 4"),
        ("Italy,Sicily", "2 values instead of 5 up to line 4"),
    ],
)
def test_a_stray_quote_loses_no_rows_in_silence(wine: Path, row: str, words: str) -> None:
    """Of 401 rows ten were left, and nobody said so."""
    # without a comma in it, so that a row which swallowed the next one has as many values as others
    rows = [good_row(number).replace("Dry, fresh", "Dry") for number in range(400)]
    with pytest.raises(BookError, match=words) as error:
        reviews(wine, [*rows[:2], row, *rows[2:]])
    assert is_one_sentence(error)
    with pytest.raises(BookError, match="damaged"):
        reviews(wine, [*rows, row])


def test_a_column_named_twice_is_refused(wine: Path) -> None:
    with pytest.raises(BookError, match="no column country, or two of them"):
        reviews(wine, [good_row(1) + ",x"], header=f"{HEADER},country")


def test_tiny_shakespeare(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, server, "tiny_shakespeare", b"0123456789" * 10)
    text = datasets.load_text("tiny_shakespeare", verbose=False)
    assert text.train == ("0123456789" * 9,) and text.test == ("0123456789",)


def test_tiny_shakespeare_that_is_no_text(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, server, "tiny_shakespeare", b"\xff\xfe\xfd")
    with pytest.raises(BookError, match="not text"):
        datasets.load_text("tiny_shakespeare")
