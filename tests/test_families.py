"""The comparison of the families: its measures, its sheets, its page, and that it is not stale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import weights
from helpers.files import DATA
from helpers.results import load_runs
from scripts import families
from scripts.site_pages import families as families_page
from scripts.site_pages.contents import notebooks
from scripts.site_pages.formats import number

RECORD = json.loads(families.RECORD.read_text(encoding="utf-8"))
ROWS = {row["notebook"]: row for row in RECORD["rows"]}
WORSE_THAN_TRIVIAL = {"ebm"}
"""A result, which book/six_families.md explains; a better model should change both."""
EXISTING = {notebook.name for notebook in notebooks()}


def test_every_family_that_exists_is_measured() -> None:
    wanted = {name for _, name, _, _ in families_page.FAMILIES if name in EXISTING}
    assert set(ROWS) == wanted & set(families.GENERATORS)
    assert set(families.GENERATORS) <= {name for _, name, _, _ in families_page.FAMILIES}
    assert set(RECORD["bounds"]) == {"training pictures", "trivial generator"}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_belongs_to_the_released_weights(name: str) -> None:
    row = ROWS[name]
    assert weights.checksums(list(row["weights_sha256"])) == row["weights_sha256"], (
        "the weights are newer than the comparison: call make families"
    )
    (card,) = (weights.read_card(DATA, each) for each in row["weights_sha256"])
    assert row["train_seconds"] == card["seconds"]
    assert 0 < row["parameters"] <= card["parameters"]


MEASURED_IN = {"vae": ("vae", "vae_16d."), "dcgan": ("gan_measures", "")}
"""Notebooks that measure a family on the same pictures: their record, and its prefix of names."""


@pytest.mark.parametrize("name", MEASURED_IN)
def test_a_number_is_the_same_on_every_page(name: str) -> None:
    notebook, prefix = MEASURED_IN[name]
    (run,) = [run for run in load_runs(notebook) if run["dataset"] == families.DATASET]
    shared = [measure for measure in ("fid", "kid", "recall") if prefix + measure in run["metrics"]]
    assert shared
    for measure in shared:
        assert run["n"][prefix + measure] == families.SAMPLES
        assert run["metrics"][prefix + measure] == pytest.approx(ROWS[name][measure], rel=2e-3)


@pytest.mark.parametrize("measure", ["fid", "kid"])
def test_the_ends_of_the_scale(measure: str) -> None:
    best, trivial = (
        RECORD["bounds"][end][measure] for end in ("training pictures", "trivial generator")
    )
    assert all(best < row[measure] for row in ROWS.values())
    worse = {name for name, row in ROWS.items() if row[measure] >= trivial}
    assert worse == WORSE_THAN_TRIVIAL, "the page says which family loses to a Gaussian"


def test_what_the_page_concludes() -> None:
    gan, diffusion, vae = ROWS["dcgan"], ROWS["ddm"], ROWS["vae"]
    assert diffusion["fid"] == pytest.approx(gan["fid"], rel=0.1)
    assert abs(diffusion["kid"] - gan["kid"]) < diffusion["kid_sd"]
    assert diffusion["recall"] > gan["recall"] + 0.1
    assert diffusion["sample_ms"] > 10 * gan["sample_ms"]
    assert vae["train_seconds"] == min(row["train_seconds"] for row in ROWS.values())
    assert vae["sample_ms"] == min(row["sample_ms"] for row in ROWS.values())
    assert gan["precision"] - vae["precision"] > 0.1 and gan["recall"] - vae["recall"] > 0.1
    pixels = ROWS["pixelcnn_mixture"]
    assert pixels["fid"] > vae["fid"] and pixels["kid"] > vae["kid"] + vae["kid_sd"]
    assert pixels["precision"] > vae["precision"] + 0.05
    assert pixels["recall"] > vae["recall"] + 0.05
    assert sorted(row["train_seconds"] for row in ROWS.values())[1] == pixels["train_seconds"]
    both = sorted(row["sample_ms"] for row in (pixels, diffusion))
    assert both[0] > 10 and both[1] < 100, "the page says tens of milliseconds for both"
    digits = {run["dataset"]: run["metrics"] for run in load_runs("ebm")}["mnist"]
    assert digits["fid"] < digits["trivial_fid"] and digits["kid"] < digits["trivial_kid"]


def test_the_diffusion_models_bits_add_up_and_stand_on_the_page() -> None:
    bits = RECORD["diffusion_bits"]
    parts = bits["parts"]
    assert bits["bits_per_dim"] == pytest.approx(sum(parts.values()), rel=1e-3)
    assert bits["n"] == families.SAMPLES and parts["prior"] < 0.001
    assert weights.checksums(list(bits["weights_sha256"])) == bits["weights_sha256"]
    page = (families.ROOT / "book" / "six_families.md").read_text(encoding="utf-8")
    assert f"costs {parts['path']:.2f} bits" in page and f"other {parts['levels']:.2f} bits" in page
    table = families_page.bits_text()
    assert f"| diffusion | {bits['bits_per_dim']:.2f} |" in table
    (run,) = (run for run in load_runs("pixelcnn_mixture") if run["dataset"] == families.DATASET)
    assert f"| PixelCNN | {run['metrics']['mixture_28.test_bits_per_dim']:.2f} |" in table
    for _, notebook, metric, _ in families_page.BITS:
        for run in load_runs(notebook):
            assert run["n"][metric] == families.SAMPLES, "all rows are about the same pictures"


def test_measures_tell_equal_from_shifted_features() -> None:
    rng = np.random.default_rng(0)
    real, equal = rng.normal(size=(2, 2_000, 8))
    same, shifted = families.row_of(equal, real), families.row_of(equal + 1, real)
    assert same["fid"] < 0.1 and shifted["fid"] == pytest.approx(8, rel=0.1)
    assert abs(same["kid"]) < 5 * same["kid_sd"] and shifted["kid"] > 5 * shifted["kid_sd"]
    assert same["precision"] > 0.8 > shifted["precision"]
    assert same["recall"] > 0.8 > shifted["recall"]
    few = families.row_of(0.3 * equal, real)  # samples that are typical and all alike
    assert few["precision"] > 0.9 and few["recall"] < 0.3


def test_a_sheet_shows_two_rows_of_ten(monkeypatch: Any, tmp_path: Path) -> None:
    from PIL import Image

    monkeypatch.setattr(families, "SHEETS", tmp_path)
    greys = np.linspace(0, 1, 20)[:, None, None, None] * np.ones((20, 28, 28, 1))
    families.save_sheet(greys, "made_up")
    picture = np.asarray(Image.open(tmp_path / "made_up.png"))
    assert picture.shape == (2 * 84, 10 * 84)
    assert np.array_equal(picture[::84, ::84].ravel(), np.round(np.linspace(0, 255, 20)))


def test_the_page_fills_gaps_by_itself(monkeypatch: Any, tmp_path: Path) -> None:
    name = next(iter(ROWS))
    text = families_page.families_text()
    assert f"{ROWS[name]['fid']:.2f}" in text and f"images/families/{name}.png" in text
    assert (families.SHEETS / f"{name}.png").exists()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == (2 + 2 + len(families_page.FAMILIES)) + (2 + len(families_page.FAMILIES))

    monkeypatch.setattr(families_page, "notebooks", list)  # no notebook exists
    empty = families_page.families_text()
    assert "```{figure}" not in empty
    assert empty.count("in preparation") == len(families_page.FAMILIES)


def test_a_family_without_a_row_is_a_gap(monkeypatch: Any, tmp_path: Path) -> None:
    record = tmp_path / "families.json"
    record.write_text(json.dumps(RECORD | {"rows": []}), encoding="utf-8")
    monkeypatch.setattr(families_page, "FAMILIES_RECORD", record)
    text = families_page.families_text()
    (quality,) = (line for line in text.splitlines() if line.startswith("| VAE:"))
    assert quality.endswith("| – | – | – | – |") and "```{figure}" not in text


def test_likelihood_comes_from_the_record() -> None:
    (notebook,) = (each for each in notebooks() if each.name == "vae")
    (run,) = (run for run in notebook.runs() if run["dataset"] == "fashion_mnist")
    value = number(run["metrics"]["vae_16d.iwae_nats"])
    assert families_page.likelihood_words(notebook, "vae_16d.iwae_nats", "at most {}") == (
        f"at most {value}"
    )
    assert families_page.likelihood_words(notebook, None, "not defined") == "not defined"
    assert families_page.likelihood_words(notebook, "unknown", "{}") == "–"
