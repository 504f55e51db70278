"""Texts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

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


def test_tiny_shakespeare(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, server, "tiny_shakespeare", b"0123456789" * 10)
    text = datasets.load_text("tiny_shakespeare", verbose=False)
    assert text.train == ("0123456789" * 9,) and text.test == ("0123456789",)


def test_tiny_shakespeare_that_is_no_text(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, server, "tiny_shakespeare", b"\xff\xfe\xfd")
    with pytest.raises(BookError, match="not text"):
        datasets.load_text("tiny_shakespeare")
