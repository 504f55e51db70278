"""helpers.results: the record, its headline, its tables and the check of quick runs."""

from __future__ import annotations

import math
import platform
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import RunPython
from hypothesis import given
from hypothesis import strategies as st

from helpers import results
from helpers.files import BookError, cache_folder, read_json, write_json

pytestmark = pytest.mark.usefixtures("book")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What IPython's display was called with."""
    import IPython.display

    calls: list[Any] = []
    monkeypatch.setattr(IPython.display, "display", lambda *a, **k: calls.append((a, k)))
    return calls


def record_run(
    monkeypatch: pytest.MonkeyPatch,
    value: float = 0.9,
    *,
    seed: int = 0,
    dataset: str = "moons",
    budget: str = "cpu",
    sd: float = 0.01,
    release: bool = True,
) -> None:
    """A full run of `make train`, reduced to its record."""
    monkeypatch.setenv("GENBOOK_BUDGET", budget)
    monkeypatch.setenv("GENBOOK_SEED", str(seed))
    monkeypatch.setenv("GENBOOK_RELEASE", "1" if release else "0")
    record = results.Record("toy", dataset, f"{dataset}, 100 points")
    record.metric("score", value, n=100, sd=sd)
    record.metric("guess_score", 0.5)
    record.check("score", value, n=10, sd=sd)
    record.check("plain_score", value, n=10)
    record.save(parameters={"net": 1234}, updates={"net": 50}, seconds=90.04)
    for name in ("BUDGET", "SEED", "RELEASE"):
        monkeypatch.delenv(f"GENBOOK_{name}")


# --------------------------------------------------------------------------------- the record


def test_a_full_run_writes_everything(monkeypatch: pytest.MonkeyPatch, book: Path) -> None:
    monkeypatch.setenv("GENBOOK_DEPENDS_ON", '{"code": "0123"}')
    record_run(monkeypatch, 0.123456789)
    content = read_json(book / "results" / "toy.json")
    assert content["notebook"] == "toy"
    (run,) = content["runs"]
    expected = {
        "dataset": "moons", "source": "moons, 100 points", "budget": "cpu", "seed": 0,
        "metrics": {"score": 0.123457, "guess_score": 0.5}, "n": {"score": 100},
        "sd": {"score": 0.01},
        "quick_check": {
            "score": {"value": 0.123457, "n": 10, "sd": 0.01},
            "plain_score": {"value": 0.123457, "n": 10},
        },
        "parameters": {"net": 1234}, "updates": {"net": 50}, "seconds": 90.0,
        "weights_sha256": {}, "depends_on": {"code": "0123"},
    }  # fmt: skip
    assert {key: run[key] for key in expected} == expected
    assert set(run) - set(expected) == {"backend", "hardware", "versions", "date"}
    assert set(run["versions"]) == {"python", "keras", "tensorflow", "numpy"}
    assert run["hardware"] and run["date"][:2] == "20"


def test_runs_are_kept_apart_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, seed, dataset in [(0.1, 1, "moons"), (0.2, 0, "moons"), (0.3, 0, "cifar10")]:
        record_run(monkeypatch, value, seed=seed, dataset=dataset)
    record_run(monkeypatch, 0.4, seed=1)
    kept = [(r["dataset"], r["seed"], r["metrics"]["score"]) for r in results.load_runs("toy")]
    assert kept == [("cifar10", 0, 0.3), ("moons", 0, 0.2), ("moons", 1, 0.4)]


def test_a_readers_run_stays_in_the_cache(monkeypatch: pytest.MonkeyPatch, book: Path) -> None:
    record_run(monkeypatch, release=False)
    assert not (book / "results").exists() and results.load_runs("toy") == []
    assert (cache_folder() / "results" / "toy.json").exists()


def test_a_tiny_run_stays_in_the_cache(monkeypatch: pytest.MonkeyPatch, book: Path) -> None:
    record_run(monkeypatch, budget="tiny")
    assert not book.exists() and (cache_folder() / "results" / "toy.json").exists()


def test_quick_writes_nothing(book: Path) -> None:
    record = results.Record("toy", "moons", "moons")
    record.metric("score", 1.0)
    record.save(seconds=1.0)
    assert not book.exists() and not (cache_folder() / "results").exists()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_refused(
    monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    record = results.Record("toy", "moons", "moons")
    with pytest.raises(BookError, match=r"The metric score is .*nothing was recorded"):
        record.metric("score", value)
    with pytest.raises(BookError, match=r"The metric score is .*nothing was recorded"):
        record.check("score", value, n=1, sd=0.1)
    for sd in (value, -0.1):
        with pytest.raises(BookError, match="The standard deviation of score is"):
            record.metric("score", 1.0, sd=sd)
        with pytest.raises(BookError, match="The standard deviation of score is"):
            record.check("score", 1.0, n=1, sd=sd)
    assert (record.metrics, record.sd, record.quick_checks) == ({}, {}, {})


# ------------------------------------------------------------------------------ the quick check


def quick_check(value: float, n: int = 10, name: str = "score", **options: Any) -> None:
    results.Record("toy", "moons", "moons").check(name, value, n=n, **options)


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("recorded", [0.9, -36973.4, 2.5e-6])
def test_a_check_is_exact_up_to_rounding(
    monkeypatch: pytest.MonkeyPatch, recorded: float, side: int
) -> None:
    record_run(monkeypatch, recorded, sd=abs(recorded))  # the sampling error allows nothing
    quick_check(recorded * (1 + side * 1.9e-4))
    with pytest.raises(AssertionError, match="recorded from the same 10 items and weights"):
        quick_check(recorded * (1 + side * 2.1e-4))


def test_a_check_survives_python_without_asserts(run_python: RunPython) -> None:
    code = """\
from helpers import results
results._backend = lambda: "any"
run = {"dataset": "d", "seed": 0, "backend": "any", "weights_sha256": {},
       "quick_check": {"m": {"value": 1.0, "n": 5, "sd": 0.1}}}
results.load_runs = lambda notebook: [run]
results.Record("toy", "d", "d").check("m", 1.01, n=5)
"""
    done = run_python("-c", code, PYTHONOPTIMIZE="1")
    assert "AssertionError: m is 1.01, but 1 was recorded" in done.stderr


def test_the_recorded_value_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What rounds the other way on another processor must not change a notebook's output."""
    record_run(monkeypatch, 0.9004999, sd=0.01)
    printed = []
    for value in (0.9004999, 0.9005001):
        quick_check(value, label="score on points")
        printed.append(capsys.readouterr().out)
    assert printed == ["score on points: 0.900 ± 0.010 on 10, as recorded\n"] * 2
    quick_check(0.9004999, name="plain_score")  # a key is shown as words; no sd was recorded
    assert capsys.readouterr().out == "plain score: 0.900 on 10, as recorded\n"


def test_counted_items_may_flip(monkeypatch: pytest.MonkeyPatch) -> None:
    record_run(monkeypatch, 0.9)
    quick_check(0.7, flips=2)
    with pytest.raises(AssertionError):
        quick_check(0.7, flips=1)
    with pytest.raises(AssertionError):
        quick_check(0.8)


def test_tolerances_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    record_run(monkeypatch, 1e-6)
    quick_check(3e-6, absolute=1e-5)
    quick_check(1.09e-6, tolerance=0.1)
    for options in ({"absolute": 1e-6}, {"tolerance": 0.1}):
        with pytest.raises(AssertionError):
            quick_check(3e-6, **options)


def test_another_backend_draws_other_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    record_run(monkeypatch, 0.9, sd=0.01)
    monkeypatch.setattr(results, "_backend", lambda: "another")
    quick_check(0.939)
    quick_check(0.90001, name="plain_score")
    for value, name in [(0.941, "score"), (0.939, "plain_score")]:
        with pytest.raises(AssertionError):
            quick_check(value, name=name)


def test_the_sample_must_be_the_recorded_one(monkeypatch: pytest.MonkeyPatch) -> None:
    record_run(monkeypatch)
    with pytest.raises(BookError, match="recorded on 10 items, not on 11"):
        quick_check(0.9, n=11)


def test_without_a_record_the_check_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quick_check(0.1)
    assert capsys.readouterr().out == "score: 0.100 on 10 (not recorded yet)\n"
    record_run(monkeypatch, dataset="cifar10")  # another data set's record is not compared
    record_run(monkeypatch, seed=1)  # nor another seed's: its weights are not the book's
    quick_check(0.1)
    assert "not recorded yet" in capsys.readouterr().out


def test_only_the_run_of_the_books_weights_is_compared(
    monkeypatch: pytest.MonkeyPatch, book: Path
) -> None:
    record_run(monkeypatch, 0.9)
    path = book / "results" / "toy.json"
    content = read_json(path)
    content["runs"][0]["weights_sha256"] = {"toy/net": "abc"}
    write_json(path, content)
    quick_check(0.1)  # nothing to compare with: these weights are not the recorded ones
    card = {"sha256": "abc", "parameters": 1, "shapes": [[1]], "updates": 1, "seconds": 1.0}
    write_json(book / "weights" / "toy" / "net.json", card | {"history": {}})
    with pytest.raises(AssertionError):
        quick_check(0.1)


# ---------------------------------------------------------------------------------- the headline


def test_headline_of_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    assert results.headline("toy", "score", "moons") is None
    record_run(monkeypatch, 0.9)
    found = results.headline("toy", "score", "moons")
    assert found == results.Headline(0.9, sd=None, seeds=(0,), n=100, seconds=90.0, own_sd=0.01)
    assert found.text() == "0.900 ± 0.010" and found.text(1) == "0.90 ± 0.01"
    assert found.runs() == "1 (seed 0)"
    assert results.headline("toy", "other", "moons") is None
    assert results.headline("toy", "score", "cifar10") is None


def test_headline_over_seeds_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed, value in enumerate([1.0, 2.0, 6.0]):
        record_run(monkeypatch, value, seed=seed)
    found = results.headline("toy", "score", "moons")
    assert found is not None and found.runs() == "3 (seeds 0, 1, 2)"
    assert found.mean == pytest.approx(3.0)  # (1 + 2 + 6) / 3
    assert found.sd == pytest.approx(math.sqrt(7.0))  # (4 + 1 + 9) / 2 = 7
    assert found.text(2) == "3.00 ± 2.65"


def test_headline_mixes_neither_budgets_nor_backends(
    monkeypatch: pytest.MonkeyPatch, book: Path
) -> None:
    record_run(monkeypatch, 1.0)
    record_run(monkeypatch, 5.0, budget="gpu", seed=1)
    assert results.headline("toy", "score", "moons").mean == 1.0  # type: ignore[union-attr]
    assert results.headline("toy", "score", "moons", "gpu").mean == 5.0  # type: ignore[union-attr]
    path = book / "results" / "toy.json"
    content = read_json(path)
    other = content["runs"][0] | {"backend": "torch", "seed": 1, "metrics": {"score": 9.0}}
    write_json(path, content | {"runs": [*content["runs"], other]})
    assert results.headline("toy", "score", "moons").mean == 1.0  # type: ignore[union-attr]


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=6))
def test_headline_agrees_with_the_standard_library(values: list[float]) -> None:
    import statistics

    runs = [
        {"dataset": "d", "budget": "cpu", "backend": "b", "seed": seed, "metrics": {"m": value},
         "n": {}, "sd": {}, "seconds": 1.0, "weights_sha256": {}}
        for seed, value in enumerate(values)
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "load_runs", lambda notebook: runs)
        found = results.headline("toy", "m", "d")
    assert found is not None and found.sd is not None
    assert found.mean == pytest.approx(statistics.mean(values), abs=1e-9)
    assert found.sd == pytest.approx(statistics.stdev(values), abs=1e-6)


# ------------------------------------------------------------------------------ what is displayed


def test_quote_shows_nothing_and_can_be_compared(shown: list[Any]) -> None:
    results.quote("toy-score", "90.0 %")
    ((arguments, options),) = shown
    assert arguments == ({"text/html": "<!--toy-score: 90.0 %-->", "text/plain": ""},)
    assert options == {"raw": True}


@pytest.mark.parametrize(("name", "text"), [("toy", "1"), ("toy-a", "a --> b"), ("Toy-a", "1")])
def test_quote_refuses_what_would_show(name: str, text: str) -> None:
    with pytest.raises(BookError, match="name like"):
        results.quote(name, text)


def test_show_table(shown: list[Any]) -> None:
    results.show_table(["a", "b"], [[1, "x"], ["y", 2.5]])
    (((table,), _),) = shown
    assert table.data == "| a | b |\n| --- | --- |\n| 1 | x |\n| y | 2.5 |"


ROWS: list[dict[str, Any]] = [
    {"label": "score, moons", "metric": "score", "baseline": "guess_score", "reference": ".91",
     "optimum": "below 1: a guess"},
    {"label": "score, CIFAR-10", "metric": "score", "dataset": "cifar10", "digits": 1},
]  # fmt: skip


def test_expectation_before_the_first_run(shown: list[Any]) -> None:
    results.expectation("toy", ROWS, dataset="moons")
    (((table,), _),) = shown
    assert table.data.splitlines() == [
        "| what | trivial baseline | ours | n | runs | reference | optimum |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| score, moons | not measured yet | not measured yet | – | – | .91 | below 1: a guess |",
        "| score, CIFAR-10 | – | not measured yet | – | – | – | – |",
    ]


def test_expectation_quotes_the_record(monkeypatch: pytest.MonkeyPatch, shown: list[Any]) -> None:
    record_run(monkeypatch, 0.9)
    record_run(monkeypatch, 0.8, seed=1)
    record_run(monkeypatch, 0.7, dataset="cifar10")
    results.expectation("toy", ROWS, dataset="moons")
    quality, note, cost = (arguments[0].data.splitlines() for arguments, _ in shown)
    assert quality[0].split(" | ")[2:5] == ["ours ± sd", "n", "runs"]
    assert quality[2:] == [
        "| score, moons | 0.500 ± 0.000 | **0.850 ± 0.071** | 100 | 2 (seeds 0, 1) | .91 "
        "| below 1: a guess |",
        "| score, CIFAR-10 | – | **0.70 ± 0.01** | 100 | 1 (seed 0) | – | – |",
    ]
    assert note == [
        "± is the standard deviation: over the runs; where there is one run, that of the "
        "measurement on n items."
    ]
    assert cost[0] == "| data set | budget | parameters | runs | minutes per run | hardware |"
    assert cost[3].startswith("| `moons` | cpu | 1,234 | 2 (seeds 0, 1) | 1.5 | ")


def test_expectation_says_when_a_baseline_had_other_items(
    monkeypatch: pytest.MonkeyPatch, shown: list[Any]
) -> None:
    monkeypatch.setenv("GENBOOK_BUDGET", "cpu")
    monkeypatch.setenv("GENBOOK_RELEASE", "1")
    record = results.Record("toy", "moons", "moons")
    record.metric("score", 0.9, n=100)
    record.metric("guess_score", 0.5, n=2000)
    record.save(seconds=1.0)
    results.expectation("toy", ROWS[:1], dataset="moons")
    quality = shown[0][0][0].data.splitlines()
    assert quality[2].startswith("| score, moons | 0.500 (n = 2,000) | **0.900** | 100 | 1 (seed")
    assert len(shown) == 2  # no ±, so no sentence about it


def test_parameters_of_several_models_are_named() -> None:
    assert results._counts({"vae_2d": 1200, "large": 35000}) == "vae 2d: 1,200, large: 35,000"
    assert results._counts({}) == "–"


def test_the_hardware_is_named_with_its_instruction_sets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    processor = "processor\t: {}\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx avx2 sse\nnote :\n\n"
    monkeypatch.setattr(results, "_gpu_name", lambda: None)
    monkeypatch.setattr(results, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(results.os, "cpu_count", lambda: 2)
    (tmp_path / "cpuinfo").write_text(processor.format(0) + processor.format(1))
    assert re.fullmatch(r"2 cores, AMD EPYC, AVX2(, oneDNN (on|off))?", results.hardware())
    more = processor.replace("avx2", "amx_tile avx512f avx2").format(0)
    (tmp_path / "cpuinfo").write_text(more)
    assert "AMD EPYC, AVX2, AVX-512, AMX" in results.hardware()
    (tmp_path / "cpuinfo").unlink()  # another system
    assert results.hardware().startswith("2 cores, ")
    monkeypatch.setattr(results, "_gpu_name", lambda: "NVIDIA H100")
    assert results.hardware() == "NVIDIA H100"


def test_the_hardware_says_when_onednn_is_off(run_python: RunPython) -> None:
    code = "from helpers import results; print(*results._onednn())"
    done = run_python("-c", code, TF_ENABLE_ONEDNN_OPTS="0", KERAS_BACKEND="tensorflow")
    if platform.machine() == "x86_64":
        assert done.stdout.strip() == "oneDNN off"


@pytest.mark.parametrize(
    ("value", "sd", "digits", "text"),
    [
        (0.0, None, 3, "0.000"),
        (-253.4321, None, 3, "-253.432"),
        (0.9, 0.012, 3, "0.900 ± 0.012"),
        (0.0270971, 0.000373, 3, "0.0271 ± 0.0004"),  # one more decimal, so that the sd shows
        (0.5, 0.0, 3, "0.500 ± 0.000"),
        (0.5, 1e-9, 3, "0.500 ± 0.000"),
        (0.0007, None, 4, "0.0007"),
        (1.0524e-6, None, 7, "1.1 × 10⁻⁶"),
        (1.0524e-6, 2.1e-7, 3, "(1.1 ± 0.2) × 10⁻⁶"),
        (-3e-5, 0.0058, 3, "0.000 ± 0.006"),
        (0.0003, None, 3, "3.0 × 10⁻⁴"),
    ],
)
def test_numbers_for_readers(value: float, sd: float | None, digits: int, text: str) -> None:
    assert results.number_text(value, sd, digits) == text
