"""CMA-ES that can resume: the search itself is the package `cma`, a generation at a time.

Nothing is unpickled. The kept file holds, as plain arrays, all candidates so far and how they did.
A resumed search asks `cma` for the same candidates again, with the same seed, compares them with
the kept ones, and tells it the kept scores, without evaluating them; this takes milliseconds.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from helpers import fingerprints
from helpers.budget import is_full_run
from helpers.checkpoints import UNREADABLE, file_stem
from helpers.files import BookError, atomic_path, cache_folder

Array = np.ndarray
Evaluate = Callable[[Array, int], Array]
"""From candidates [population, n] and the number of the generation to their scores [population]."""


@dataclass(frozen=True)
class Evolution:
    """What a search leaves behind.

    candidates: [generations, population, n]; scores: [generations, population], higher is better;
    means: [generations, n], the middle of the distribution after each generation; spreads:
    [generations], its step size.
    """

    candidates: Array
    scores: Array
    means: Array
    spreads: Array

    @property
    def mean(self) -> Array:
        """The middle of the last distribution: an average over many candidates, [n]."""
        return np.array(self.means[-1])


def evolve(
    evaluate: Evaluate,
    start: Array,
    *,
    spread: float,
    population: int,
    generations: int,
    seed: int,
    checkpoint: str | None = None,
    settings: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Evolution:
    """Search for high scores by CMA-ES, from `start` [n], for a fixed number of generations.

    evaluate(candidates, generation) returns one score for each candidate; it may use joblib.
    spread: standard deviation of the first candidates. options: more for `cma`, such as
    {"CMA_diagonal": True}. checkpoint: a name; in a full run every generation is kept in the cache
    under it, and the same call after an interruption goes on with the next one. settings: what the
    scores depend on (tracks, weights), by name: another setting is another search.
    Raises BookError for a score that is not finite, which would steer the search unseen.
    """
    start = np.array(start, np.float64)
    if start.ndim != 1 or not np.isfinite(start).all():
        raise BookError(f"A search starts from finite numbers [n], not from {start.shape}.")
    if generations < 1 or population < 2 or not spread > 0:
        raise BookError("A search needs a generation, two candidates and a spread above zero.")
    search = _search(start, spread, population, seed, options or {})
    file = None
    if checkpoint and is_full_run():
        file = _path(checkpoint, start, spread, population, seed, options or {}, settings or {})
    kept = _read(file, population, len(start)) if file else []
    if kept:
        print(f"{len(kept)} of {generations} generations are done already")
    done: list[tuple[Array, Array, Array, float]] = []
    for generation in range(generations):
        candidates = np.array(search.ask())  # [population, n]
        if generation < len(kept):
            then, scores = kept[generation]
            if not np.array_equal(candidates, then):
                raise BookError(
                    f"The search {file} was made by another version of cma or NumPy: delete it to "
                    "start anew."
                )
        else:
            scores = np.array(evaluate(candidates.copy(), generation), np.float64)
            _require_scores(scores, population, generation)
        search.tell(list(candidates), list(-scores))  # cma looks for small values
        done.append((candidates, scores, np.array(search.mean), float(search.sigma)))
        if file and generation >= len(kept):
            _write(file, done)
    columns = [np.array(column) for column in zip(*done, strict=True)]
    return Evolution(*columns)


def _search(
    start: Array, spread: float, population: int, seed: int, options: Mapping[str, Any]
) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it remarks on packages for plots
        import cma

    dice = np.random.default_rng(seed)
    fixed = {
        "popsize": population,
        "seed": np.nan,  # leaves NumPy's global generator alone
        "randn": lambda *shape: dice.standard_normal(shape),
        "verbose": -9,
        "verb_log": 0,
    }
    return cma.CMAEvolutionStrategy(start, spread, {**fixed, **options})


def _require_scores(scores: Array, population: int, generation: int) -> None:
    if scores.shape != (population,):
        raise BookError(f"{population} candidates have {population} scores, not {scores.shape}.")
    if not np.isfinite(scores).all():
        raise BookError(
            f"A score of generation {generation} is not finite ({scores.tolist()}): the search "
            "would take it for the best or the worst."
        )


def _path(name: str, start: Array, *rest: Any) -> Path:
    settings = json.dumps([fingerprints.of_array(start), *rest], sort_keys=True, default=repr)
    return cache_folder() / "searches" / f"{file_stem(name)}.{fingerprints.of_text(settings)}.npz"


def _write(path: Path, done: list[tuple[Array, Array, Array, float]]) -> None:
    with atomic_path(path) as temporary:
        np.savez(
            temporary,
            candidates=np.array([each[0] for each in done]),
            scores=np.array([each[1] for each in done]),
        )


def _read(path: Path, population: int, size: int) -> list[tuple[Array, Array]]:
    """The candidates and scores of the kept generations; [] if there are none."""
    if not path.exists():
        return []
    try:
        with np.load(path, allow_pickle=False) as file:
            candidates, scores = file["candidates"], file["scores"]
    except UNREADABLE as error:
        raise BookError(f"The search {path} is damaged: delete it to start anew.") from error
    shapes = (len(scores), population, size), (len(scores), population)
    if (candidates.shape, scores.shape) != shapes or not np.isfinite(scores).all():
        raise BookError(f"The search {path} is damaged: delete it to start anew.")
    return list(zip(candidates, scores, strict=True))
