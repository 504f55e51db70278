"""The measures against hand-computed cases, against slow references, and on bad input."""

from __future__ import annotations

import math
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from helpers import metrics
from helpers.files import ROOT, BookError

# The formulas hold for any numbers of rows; that unequal ones are refused has a test of its own
frechet_distance = partial(metrics.frechet_distance, allow_unequal=True)
kernel_distance = partial(metrics.kernel_distance, allow_unequal=True)
precision_recall = partial(metrics.precision_recall, allow_unequal=True)

steady = settings(max_examples=40, deadline=None, derandomize=True, database=None)


def feature_sets(
    rows: tuple[int, int] = (5, 12), widths: tuple[int, int] = (1, 6)
) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    """Two small sets of features of one width, which may be degenerate: equal rows, n < d."""
    sizes = st.tuples(st.integers(*rows), st.integers(*rows), st.integers(*widths))
    values = st.integers(-50, 50).map(lambda number: number / 10)
    return sizes.flatmap(
        lambda size: st.tuples(
            hnp.arrays(np.float64, (size[0], size[2]), elements=values),
            hnp.arrays(np.float64, (size[1], size[2]), elements=values),
        )
    )


def rotation(width: int, seed: int) -> np.ndarray:
    """A random orthogonal matrix [width, width]."""
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((width, width)))[0]


# Fréchet distance -----------------------------------------------------------------------------


def test_frechet_distance_on_a_line_is_that_of_means_and_standard_deviations() -> None:
    real = [[0.0], [2.0], [4.0]]  # mean 2, unbiased sd 2
    fake = [[5.0], [6.0], [6.0], [7.0], [11.0]]  # mean 7, unbiased sd sqrt(22 / 4)
    expected = (2 - 7) ** 2 + (2 - math.sqrt(5.5)) ** 2
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-12)


def test_frechet_distance_adds_up_over_independent_directions() -> None:
    # a cross has a diagonal covariance: 2 a^2 / 3 along x, 2 b^2 / 3 along y
    def cross(a: float, b: float) -> np.ndarray:
        return np.array([[a, 0], [-a, 0], [0, b], [0, -b]])

    expected = 3**2 + 1**2 + 2 / 3 * ((5 - 1) ** 2 + (2 - 4) ** 2)
    distance = frechet_distance(cross(5, 2), cross(1, 4) + np.array([3, 1]))
    assert distance == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("n", "m", "width"), [(200, 200, 8), (300, 40, 20), (30, 25, 64)])
def test_frechet_distance_equals_the_textbook_formula(n: int, m: int, width: int) -> None:
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(n)
    real = rng.standard_normal((n, width)) @ rng.standard_normal((width, width))
    fake = rng.standard_normal((m, width)) @ rng.standard_normal((width, width)) + 0.3
    first, second = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    shift = real.mean(axis=0) - fake.mean(axis=0)
    root = sqrtm(first @ second)
    expected = shift @ shift + np.trace(first + second - 2 * np.real(root))
    # with n < width the product is singular, and it is sqrtm that loses digits
    tolerance = 1e-9 if min(n, m) > width else 1e-5
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=tolerance)


def test_frechet_distance_keeps_its_digits_with_fewer_rows_than_features() -> None:
    # two rows each: covariances of rank one, u u' / 2 and v v' / 2 with |u|, |v| and u.v known
    u, v = np.zeros(50), np.zeros(50)
    u[0], v[0], v[1] = 2.0, 3.0, 4.0
    real, fake = np.stack([u, 0 * u]), np.stack([v, 0 * v])
    means = np.sum((u - v) ** 2) / 4
    expected = means + (4 + 25) / 2 - 2 * abs(u @ v) / 2
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-12)


def test_frechet_distance_takes_large_sets_in_parts() -> None:
    """In parts of 4,096 rows, the last of one row, and float32 as it is."""
    rng = np.random.default_rng(3)
    real = (rng.standard_normal((2 * 4096 + 1, 6)) @ rng.standard_normal((6, 6)) + 5).astype("f4")
    fake = rng.standard_normal((2 * 4096 + 1, 6)).astype("f4")
    first, second = (np.cov(x.astype("f8"), rowvar=False) for x in (real, fake))
    shift = real.mean(axis=0, dtype="f8") - fake.mean(axis=0, dtype="f8")
    roots = np.sqrt(np.linalg.eigvals(first @ second).real)
    expected = shift @ shift + np.trace(first + second) - 2 * roots.sum()
    assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_needs_little_memory() -> None:
    """50,000 of Inception's features once took 4.8 GB; a copy of them in float64 alone has 1.6."""
    real, fake = np.random.default_rng(0).standard_normal((2, 40_000, 16), dtype=np.float32)
    tracemalloc.start()
    try:
        frechet_distance(real, fake)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * real.nbytes


def test_frechet_distance_of_equal_sets_is_never_negative() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        rows = rng.standard_normal((30, 8)) * 100
        assert 0 <= frechet_distance(rows, rng.permutation(rows)) < 1e-9


@steady
@given(feature_sets(), st.integers(0, 9))
def test_frechet_distance_properties(sets: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    real, fake = sets
    distance = frechet_distance(real, fake)
    assert distance >= 0

    def close(value: float) -> bool:
        return value == pytest.approx(distance, abs=1e-9, rel=1e-9)

    assert close(frechet_distance(fake, real))
    turn = rotation(real.shape[1], seed)
    assert close(frechet_distance(real @ turn + 3, fake @ turn + 3))
    order = np.random.default_rng(seed).permutation(len(fake))
    assert close(frechet_distance(real, fake[order]))
    assert frechet_distance(real, real[::-1]) < 1e-9
    # one set moved by a vector: exactly the squared length of the move
    assert frechet_distance(real, real + 2) == pytest.approx(4 * real.shape[1], abs=1e-8)


# Kernel distance ------------------------------------------------------------------------------


def slow_squared_mmd(real: Any, fake: Any) -> float:
    """The definition, as explicit double sums over pairs of different items."""

    def kernel(x: Any, y: Any) -> float:
        return float((sum(a * b for a, b in zip(x, y, strict=True)) / len(x) + 1) ** 3)

    def within(rows: Any) -> float:
        n = len(rows)
        pairs = [kernel(rows[i], rows[j]) for i in range(n) for j in range(n) if i != j]
        return sum(pairs) / (n * (n - 1))

    between = [kernel(x, y) for x in real for y in fake]
    return within(real) + within(fake) - 2 * sum(between) / len(between)


def test_kernel_distance_by_hand() -> None:
    # real 0, 0, 0, 0: k = 1 in every pair; fake 1, 1, 1, 1: k = 8; between them k = 1.
    # Every subset gives 1 + 8 - 2 = 7.
    mean, sd = kernel_distance(np.zeros((4, 1)), np.ones((4, 1)), subset_size=3)
    assert (mean, sd) == (7, 0)
    # Real -1, 1, -1, 1: k = 8 for equal signs, else 0; 4 of the 12 pairs of different items are
    # equal, so 8/3. Fake all 1: 8. Between them half of the pairs: 4. With each item also paired
    # with itself the first term would be 4, and the value 4 instead of 8/3.
    mean, sd = kernel_distance([[-1.0], [1.0]] * 2, np.ones((5, 1)), subset_size=4)
    assert mean == pytest.approx(8 / 3 + 8 - 2 * 4, rel=1e-12)
    assert sd == pytest.approx(0, abs=1e-12)


@steady
@given(feature_sets())
def test_kernel_distance_equals_the_double_sums(sets: tuple[np.ndarray, np.ndarray]) -> None:
    real, fake = sets
    # every subset holds all real rows, and as many copies of one fake row
    fake = np.repeat(fake[:1], len(real) + 1, axis=0)
    mean, sd = kernel_distance(real, fake, subset_size=len(real))
    expected = slow_squared_mmd(real, fake[:-1])
    assert mean == pytest.approx(expected, rel=1e-9, abs=1e-6)
    assert sd == pytest.approx(0, abs=1e-6)


@steady
@given(feature_sets(), st.integers(0, 9))
def test_kernel_distance_properties(sets: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    real, fake = sets

    def distance(real: np.ndarray, fake: np.ndarray) -> float:
        return metrics._squared_mmd(real, fake)

    expected = pytest.approx(distance(real, fake), rel=1e-9, abs=1e-6)
    assert distance(fake, real) == expected
    turn = rotation(real.shape[1], seed)
    assert distance(real @ turn, fake @ turn) == expected
    rng = np.random.default_rng(seed)
    assert distance(rng.permutation(real), rng.permutation(fake)) == expected


def test_kernel_distance_of_equal_distributions_scatters_around_zero() -> None:
    rng = np.random.default_rng(0)
    values = [
        kernel_distance(*rng.standard_normal((2, 24, 4)), subsets=4, subset_size=12)[0]
        for _ in range(400)
    ]
    mean, error = np.mean(values), metrics.standard_error(values)
    assert abs(mean) < 3 * error
    assert min(values) < 0 < max(values)
    # the resolution of this test: with the diagonal the mean would be far away
    biased = 2 * np.mean((np.sum(rng.standard_normal((999, 4)) ** 2, axis=1) / 4 + 1) ** 3) / 12
    assert biased > 20 * error


def test_the_sd_of_the_kernel_distance_is_that_of_one_fresh_subset() -> None:
    rng = np.random.default_rng(1)
    real, fake = rng.standard_normal((2, 4000, 5)) * [[[1.0]], [[1.3]]]
    mean, sd = kernel_distance(real, fake, subsets=200, subset_size=50)
    fresh = [
        metrics._squared_mmd(rng.standard_normal((50, 5)), 1.3 * rng.standard_normal((50, 5)))
        for _ in range(400)
    ]
    fresh_mean, fresh_sd = metrics.mean_and_sd(fresh)
    assert sd == pytest.approx(fresh_sd, rel=0.3)
    assert mean == pytest.approx(fresh_mean, abs=4 * fresh_sd / math.sqrt(200))


def test_kernel_distance_repeats_with_its_seed_only() -> None:
    real, fake = np.random.default_rng(2).standard_normal((2, 60, 3))
    first = kernel_distance(real, fake, subset_size=20, seed=5)
    assert kernel_distance(real, fake, subset_size=20, seed=5) == first
    assert kernel_distance(real, fake, subset_size=20, seed=6) != first
    assert first[1] > 0


# Precision and recall -------------------------------------------------------------------------


def test_precision_and_recall_of_points_on_a_line() -> None:
    # k = 1. Balls of the real points: 0 and 1 reach 1 far, 3 reaches 2, 10 reaches 7.
    # Balls of the fake points: .5 reaches 19.5, 20 and 21 reach 1.
    real, fake = np.array([[0.0], [1], [3], [10]]), np.array([[0.5], [20], [21]])
    # .5 is near 0; 20 and 21 are 10 and 11 away from 10. All real points are within 19.5 of .5.
    assert precision_recall(real, fake, neighbours=1) == (1 / 3, 1)
    assert precision_recall(fake, real, neighbours=1) == (1, 1 / 3)
    # k = 2. Real: 3, 2, 3, 9; so 20 and 21 stay outside. Fake: 20.5, 19.5, 20.5.
    assert precision_recall(real, fake, neighbours=2) == (1 / 3, 1)
    # k = 3 (the default) with real points only at one end of the fake ones
    near = np.array([[0.0], [1], [2], [3]])
    wide = np.concatenate([near, near + 50])
    assert precision_recall(near, wide) == (0.5, 1)
    assert precision_recall(wide, near) == (1, 0.5)


def test_the_border_belongs_to_the_ball() -> None:
    # 3 is exactly 1 away from 2, and 2 reaches exactly 1 far; thirds have no exact floats
    real, fake = np.array([[0.0], [1], [2]]), np.array([[3.0], [10]])
    for scale, shift in [(1, 0), (1 / 3, 0.1), (2**-20, 1), (1e8, -1e9)]:
        points = (scale * real + shift, scale * fake + shift)
        assert precision_recall(*points, neighbours=1) == (0.5, 1), (scale, shift)


def test_collapsed_items_lie_on_top_of_each_other() -> None:
    # the same picture again and again: balls of radius 0 that still hold this picture
    picture = np.random.default_rng(0).standard_normal((1, 64)) * 10
    fake = np.repeat(picture, 6, axis=0)
    real = np.concatenate([fake, picture + 1])
    assert precision_recall(real, fake) == (1, 6 / 7)


def slow_precision_recall(real: np.ndarray, fake: np.ndarray, k: int) -> tuple[float, float]:
    """The definition, with distances from differences and no chunks."""
    from scipy.spatial.distance import cdist

    def share_inside(items: np.ndarray, others: np.ndarray) -> float:
        reach = np.sort(cdist(others, others), axis=1)[:, k]
        return float((cdist(items, others) <= reach).any(axis=1).mean())

    return share_inside(fake, real), share_inside(real, fake)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_precision_recall_equals_the_definition_over_several_chunks(k: int) -> None:
    rng = np.random.default_rng(k)
    real = rng.standard_normal((2 * metrics.CHUNK + 70, 10))
    fake = 0.8 * rng.standard_normal((metrics.CHUNK + 1, 10)) + 0.5
    expected = slow_precision_recall(real, fake, k)
    assert precision_recall(real, fake, neighbours=k) == expected
    assert 0 < expected[1] < expected[0] < 1


@steady
@given(feature_sets(), st.integers(0, 9))
def test_precision_recall_properties(sets: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    real, fake = sets
    precision, recall = precision_recall(real, fake)
    assert precision_recall(fake, real) == (recall, precision)
    rng = np.random.default_rng(seed)
    mixed = precision_recall(rng.permutation(real), rng.permutation(fake))
    assert mixed == (precision, recall)
    turn = rotation(real.shape[1], seed)
    assert precision_recall(real @ turn, fake @ turn) == (precision, recall)
    assert precision_recall(real, real) == (1, 1)
    assert precision_recall(real, real + 1000) == (0, 0)


def test_precision_recall_never_holds_the_whole_table() -> None:
    n = 4000
    real, fake = np.random.default_rng(0).standard_normal((2, n, 4))
    tracemalloc.start()
    try:
        precision_recall(real, fake)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.5 * n * n * 8


# Scores of one model --------------------------------------------------------------------------


def test_inception_score_by_hand() -> None:
    rows = [[1.0, 0.0], [0.5, 0.5]]  # together .75 and .25
    first = math.log(1 / 0.75)
    second = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert metrics.inception_score(rows) == pytest.approx(math.exp((first + second) / 2))
    # without zeros, so that the divergence the other way round is finite, and another number
    rows = [[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]]  # together .6 and .4
    forwards = [p * math.log(p / 0.6) + q * math.log(q / 0.4) for p, q in rows]
    backwards = [0.6 * math.log(0.6 / p) + 0.4 * math.log(0.4 / q) for p, q in rows]
    assert metrics.inception_score(rows) == pytest.approx(math.exp(sum(forwards) / 3))
    assert sum(backwards) / 3 > sum(forwards) / 3 + 0.01


@pytest.mark.parametrize("classes", [2, 10])
def test_inception_score_runs_from_one_to_the_number_of_classes(classes: int) -> None:
    certain_and_balanced = np.tile(np.eye(classes), (3, 1))
    assert metrics.inception_score(certain_and_balanced) == pytest.approx(classes)
    always_the_same = np.tile(np.eye(classes)[0], (5, 1))
    assert metrics.inception_score(always_the_same) == pytest.approx(1)
    undecided = np.full((5, classes), 1 / classes)
    assert metrics.inception_score(undecided) == pytest.approx(1)


def test_inception_score_over_splits_is_the_mean_of_the_parts() -> None:
    rows = np.array([[1.0, 0], [0, 1], [1, 0], [1, 0]])
    assert metrics.inception_score(rows, splits=2) == pytest.approx((2 + 1) / 2)
    quarter = 0.75 * math.log(1 / 0.75) + 0.25 * math.log(1 / 0.25)
    assert metrics.inception_score(rows) == pytest.approx(math.exp(quarter))


@steady
@given(hnp.arrays(np.float64, (6, 3), elements=st.integers(1, 9).map(float)), st.integers(0, 9))
def test_inception_score_properties(weights: np.ndarray, seed: int) -> None:
    rows = weights / weights.sum(axis=1, keepdims=True)
    score = metrics.inception_score(rows)
    assert 1 - 1e-12 <= score <= 3
    rng = np.random.default_rng(seed)
    assert metrics.inception_score(rng.permutation(rows)) == pytest.approx(score)
    assert metrics.inception_score(rows[:, rng.permutation(3)]) == pytest.approx(score)


def test_a_float32_softmax_sums_to_one_closely_enough() -> None:
    logits = np.random.default_rng(0).standard_normal((50, 1000)).astype(np.float32) * 5
    rows = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert rows.dtype == np.float32
    assert np.abs(rows.sum(axis=1) - 1).max() < metrics.SUM_TOLERANCE / 10
    assert metrics.inception_score(rows) > 1


def test_perplexity_is_the_exponential_of_the_mean() -> None:
    assert metrics.perplexity([math.log(2), math.log(8)]) == pytest.approx(4)  # not (2 + 8) / 2
    assert metrics.perplexity(np.full((3, 7), math.log(65))) == pytest.approx(65)
    assert metrics.perplexity(0.0) == 1
    assert metrics.perplexity([-1e-8, 0]) == pytest.approx(1)


def test_perplexity_of_bits_only_where_they_are_named() -> None:
    bits = [1.0, 3.0]  # 1/2 and 1/8
    assert metrics.perplexity(bits, unit="bits") == pytest.approx(4)
    assert metrics.perplexity(bits) == pytest.approx(math.e**2)
    assert metrics.perplexity(np.log(2) * np.array(bits)) == pytest.approx(4)


def test_perplexity_of_a_known_source() -> None:
    """A fair coin and a sure token in turn: half a bit per token, the root of two."""
    assert metrics.perplexity([math.log(2), 0.0] * 5) == pytest.approx(math.sqrt(2))


def test_distinct_n_by_hand() -> None:
    assert metrics.distinct_n([[1, 2, 1, 2]], 1) == 0.5
    assert metrics.distinct_n([[1, 2, 1, 2]], 2) == pytest.approx(2 / 3)  # 12, 21, 12
    assert metrics.distinct_n([[1, 2, 3], [1, 2, 4]], 2) == pytest.approx(3 / 4)  # 12 twice
    assert metrics.distinct_n([[1, 2], [2, 1]], 2) == 1  # no run goes from one text to the next
    assert metrics.distinct_n(np.zeros((3, 5), int), 3) == pytest.approx(1 / 9)


def test_bits_per_dim_of_uniform_pixels() -> None:
    pixels = 28 * 28
    assert metrics.bits_per_dim(pixels * math.log(256), pixels) == pytest.approx(8)
    assert metrics.bits_per_dim([16 * math.log(4)] * 3, 16) == pytest.approx(2)
    assert metrics.bits_per_dim([1.0, 3.0], 2) == pytest.approx(1 / math.log(2))
    assert metrics.bits_per_dim(-5.0, 5) == pytest.approx(-1 / math.log(2))  # a density


def test_bits_per_dim_of_bytes_with_uniform_noise() -> None:
    """Bytes / 256 plus noise, spread evenly over [0, 1): density 1, and log2(256) to be added."""
    assert metrics.bits_per_dim(0.0, 784) + np.log2(256) == 8
    # Half of the levels only: density 2 in each dimension, 7 bits
    assert metrics.bits_per_dim(-784 * math.log(2), 784) + np.log2(256) == pytest.approx(7)


def test_auroc_by_hand() -> None:
    assert metrics.auroc([3, 4], [1, 2]) == 1
    assert metrics.auroc([1, 2], [3, 4]) == 0
    assert metrics.auroc([1, 1, 1], [1, 1]) == 0.5
    assert metrics.auroc([1, 3], [2]) == 0.5
    # pairs: 5 beats 2 and 4, ties with 5; 3 beats 2
    assert metrics.auroc([5, 3], [2, 4, 5]) == pytest.approx((2.5 + 1) / 6)
    assert metrics.auroc([np.inf, 0], [-np.inf]) == 1


@steady
@given(
    st.lists(st.integers(-4, 4), min_size=1, max_size=12),
    st.lists(st.integers(-4, 4), min_size=1, max_size=12),
)
def test_auroc_is_the_share_of_pairs_in_order(positive: list[int], negative: list[int]) -> None:
    wins = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    area = metrics.auroc(positive, negative)
    assert area == pytest.approx(wins / (len(positive) * len(negative)))
    assert metrics.auroc(negative, positive) == pytest.approx(1 - area)
    assert metrics.auroc(np.exp(positive), np.exp(negative)) == pytest.approx(area)


# Densities on a grid --------------------------------------------------------------------------


def test_total_variation_on_a_line() -> None:
    edges = [[0.0, 1.0, 2.0]]
    assert metrics.total_variation([0.5, 1.5], edges, [0.5, 0.5]) == 0
    assert metrics.total_variation([0.5, 0.6], edges, [0.5, 0.5]) == 0.5
    # shares .5 and .25, and .25 outside: (0 + .25 + .25) / 2
    assert metrics.total_variation([0.5, 0.5, 1.5, 5], edges, [0.5, 0.5]) == 0.25
    assert metrics.total_variation([[7.0], [np.inf]], edges, [0.5, 0.5]) == 1
    open_ended = [[-np.inf, 0.0, np.inf]]
    assert metrics.total_variation([-9, -8, -7, 3], open_ended, [0.5, 0.5]) == 0.25


def test_total_variation_on_a_plane_keeps_the_axes_apart() -> None:
    edges = [[0.0, 1, 2], [0.0, 10, 20, 30]]
    samples = [[0.5, 25.0], [1.5, 5.0], [1.5, 15.0], [1.5, 15.0]]
    shares = np.array([[0, 0, 0.25], [0.25, 0.5, 0]])
    assert metrics.total_variation(samples, edges, shares) == 0
    uniform = np.full((2, 3), 1 / 6)
    expected = 0.5 * np.abs(shares - uniform).sum()
    assert metrics.total_variation(samples, edges, uniform) == pytest.approx(expected)


def test_the_floor_of_total_variation_is_its_exact_expectation() -> None:
    from scipy.stats import binom

    probabilities, n = np.array([[0.5, 0.2], [0.25, 0.05]]), 40
    expected = sum(
        binom.expect(lambda count, p=p: abs(count / n - p), args=(n, p))
        for p in probabilities.ravel()
    )
    floor = metrics.perfect_sampler_total_variation(probabilities, n, seed=0, draws=20_000)
    assert floor == pytest.approx(expected / 2, rel=0.01)
    assert metrics.perfect_sampler_total_variation(probabilities, n, seed=0) == pytest.approx(
        expected / 2, rel=0.1
    )
    # one sample in one of two equal bins is always off by half; a single bin cannot be missed
    assert metrics.perfect_sampler_total_variation([0.5, 0.5], 1, seed=0) == 0.5
    assert metrics.perfect_sampler_total_variation([1.0], 7, seed=0) == 0


def test_a_perfect_sampler_reaches_the_floor_and_a_bad_one_does_not() -> None:
    def density(points: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * (points[:, 0] ** 2 + (points[:, 1] / 2) ** 2))

    edges = [np.linspace(-6, 6, 51), np.linspace(-12, 12, 51)]
    probabilities = metrics.bin_probabilities(density, edges)
    rng = np.random.default_rng(0)
    samples = rng.standard_normal((20_000, 2)) * [1, 2]
    floor = metrics.perfect_sampler_total_variation(probabilities, 20_000, seed=1)
    assert metrics.total_variation(samples, edges, probabilities) == pytest.approx(floor, rel=0.1)
    assert metrics.total_variation(samples + np.array([0.2, 0]), edges, probabilities) > 1.3 * floor


def test_bin_probabilities_integrate_each_bin() -> None:
    from scipy.stats import norm

    edges = np.array([-9.0, -2, -1, -0.5, 0, 0.25, 1, 2, 9])
    exact = np.diff(norm.cdf(edges))
    line = metrics.bin_probabilities(lambda x: 7 * norm.pdf(x[:, 0]), [edges], points=20)
    assert line == pytest.approx(exact, abs=1e-7)
    # x e^y: the two dimensions differ in bins and in shape
    borders = [np.array([0.0, 1, 3]), np.array([0.0, 1, 2, 4])]
    plane = metrics.bin_probabilities(lambda x: x[:, 0] * np.exp(x[:, 1]), borders, points=8)
    expected = np.outer(np.diff(borders[0] ** 2) / 9, np.diff(np.exp(borders[1])))
    assert plane == pytest.approx(expected / (np.exp(4) - 1), rel=1e-9)


# Summaries ------------------------------------------------------------------------------------


def test_summaries_by_hand() -> None:
    values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]  # squares around the mean 5: 32
    mean, sd = metrics.mean_and_sd(values)
    assert (mean, sd) == (5, pytest.approx(math.sqrt(32 / 7)))
    assert metrics.standard_error(values) == pytest.approx(math.sqrt(32 / 7 / 8))
    assert metrics.mean_and_sd([1, 3]) == (2, pytest.approx(math.sqrt(2)))


def test_rank_correlation() -> None:
    from scipy.stats import spearmanr

    assert metrics.rank_correlation([1, 2, 3], [10, 100, 1000]) == pytest.approx(1)
    assert metrics.rank_correlation([1, 2, 3], [0, -1, -7]) == pytest.approx(-1)
    # places 1 2 3 4 against 2 1 4 3: 1 - 6 * (1 + 1 + 1 + 1) / (4 * 15)
    assert metrics.rank_correlation([1, 2, 3, 4], [2, 1, 4, 3]) == pytest.approx(0.6)
    tied = np.random.default_rng(0).integers(0, 4, (2, 30))
    assert metrics.rank_correlation(*tied) == pytest.approx(spearmanr(*tied).statistic)


# Features -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network() -> Any:
    """A small network that behaves differently in training: dropout and batch normalisation."""
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Conv2D(3, 3),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Flatten(),
            keras.layers.Dense(5),
        ]
    )
    model.layers[1].set_weights([np.full(3, value) for value in (1.5, 0.5, 2.0, 3.0)])
    return model


def test_features_are_those_of_one_large_call(network: Any) -> None:
    import keras

    images = np.random.default_rng(0).random((23, 4, 4, 1))  # float64, as numpy makes them
    expected = keras.ops.convert_to_numpy(network(images.astype("float32"), training=False))
    for batch_size in (1, 5, 23, 100):
        result = metrics.features(network, images, batch_size)
        assert (result.shape, result.dtype) == ((23, 5), np.float32)
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def test_features_call_the_model_once_per_batch() -> None:
    import keras

    seen = []

    class Recorder(keras.Model):
        def call(self, inputs: Any, training: bool | None = None) -> Any:
            seen.append((tuple(inputs.shape), training))
            return inputs

    images = np.random.default_rng(0).random((7, 2), dtype=np.float32)
    assert np.array_equal(metrics.features(Recorder(), images, batch_size=3), images)
    assert seen == [((3, 2), False), ((3, 2), False), ((1, 2), False)]


def test_features_refuse_what_is_no_image_or_no_feature(network: Any) -> None:
    import keras

    images = np.zeros((3, 4, 4, 1), np.float32)
    refuses(lambda: metrics.features(network, images.astype(np.uint8)), "float images")
    refuses(lambda: metrics.features(network, images[:0]), "float images")
    refuses(lambda: metrics.features(network, images * np.nan), "NaN")
    refuses(lambda: metrics.features(network, images, batch_size=0), "at least one")
    refuses(lambda: metrics.features(keras.Sequential(network.layers[:1]), images), "Flatten")
    head = network.outputs[0]
    heads = keras.Model(network.inputs, [head, head])
    refuses(lambda: metrics.features(heads, images), "one output")
    broken = keras.Sequential([keras.layers.Flatten(), keras.layers.Rescaling(float("inf"))])
    refuses(lambda: metrics.features(broken, images), "weights")


# The trivial generator ------------------------------------------------------------------------


def gaussian_images(n: int, seed: int) -> np.ndarray:
    """Images [n, 2, 3, 1] with correlated pixels, far from the borders 0 and 1."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).standard_normal((6, 6)) * 0.02
    return np.float32(0.5 + rng.standard_normal((n, 6)) @ mixing).reshape(n, 2, 3, 1)


def test_pca_gaussian_has_the_mean_and_covariance_of_the_pixels() -> None:
    train = gaussian_images(2000, seed=0)
    samples = metrics.pca_gaussian_samples(train, 50_000, components=6, seed=1)
    assert (samples.shape, samples.dtype) == ((50_000, 2, 3, 1), np.float32)
    pixels, drawn = train.reshape(-1, 6), samples.reshape(-1, 6)
    covariance = np.cov(pixels, rowvar=False)
    np.testing.assert_allclose(drawn.mean(axis=0), pixels.mean(axis=0), atol=2e-3)
    largest = covariance.max()
    np.testing.assert_allclose(np.cov(drawn, rowvar=False), covariance, atol=0.03 * largest)


def test_pca_gaussian_keeps_only_the_asked_components() -> None:
    train = gaussian_images(500, seed=0)
    samples = metrics.pca_gaussian_samples(train, 40, components=2, seed=1).reshape(40, 6)
    spread = np.linalg.svd(samples - samples.mean(axis=0), compute_uv=False)
    assert spread[1] > 0.01
    assert spread[2] < 1e-5


def test_pca_gaussian_of_large_images_finds_the_strong_directions() -> None:
    # more pixels than images, so that the solver is the randomised one
    rng = np.random.default_rng(0)
    scales = np.array([0.5, 0.3, 0.2, 0.1])
    directions = rotation(1200, seed=1)[:, :4]
    train = 0.5 + rng.standard_normal((600, 4)) * scales @ directions.T
    assert train.min() >= 0 and train.max() <= 1  # clipping would change the spread
    samples = metrics.pca_gaussian_samples(train, 20_000, components=4, seed=2)
    scores = (samples - samples.mean(axis=0)) @ directions
    expected = ((train - train.mean(axis=0)) @ directions).std(axis=0)
    assert scores.std(axis=0) == pytest.approx(expected, rel=0.03)


def test_pca_gaussian_is_clipped_and_repeats_with_its_seed() -> None:
    train = np.random.default_rng(0).integers(0, 2, (50, 3, 3)).astype(np.float32)
    samples = metrics.pca_gaussian_samples(train, 200, components=9, seed=3)
    assert (samples.min(), samples.max()) == (0, 1)
    assert np.array_equal(samples, metrics.pca_gaussian_samples(train, 200, 9, seed=3))
    assert not np.array_equal(samples, metrics.pca_gaussian_samples(train, 200, 9, seed=4))


# Bad input ------------------------------------------------------------------------------------


def refuses(call: Callable[[], Any], words: str) -> None:
    """The call raises BookError with one sentence that contains the words."""
    with pytest.raises(BookError) as caught:
        call()
    message = str(caught.value)
    assert words in message
    assert message.endswith(".") and ". " not in message and "\n" not in message


GOOD = np.arange(12.0).reshape(6, 2)
WITH_NAN = np.where(GOOD == 5, np.nan, GOOD)

two_set_measures = pytest.mark.parametrize(
    "measure",
    [
        metrics.frechet_distance,
        lambda real, fake: metrics.kernel_distance(real, fake, subset_size=2),
        metrics.precision_recall,
    ],
    ids=["frechet", "kernel", "precision_recall"],
)


@two_set_measures
def test_bad_features_are_refused_on_both_sides(measure: Callable[..., Any]) -> None:
    measure(GOOD, GOOD)  # the good side of the contract
    for bad, words in [
        (WITH_NAN, "NaN"),
        (np.where(GOOD == 5, np.inf, GOOD), "infinite"),
        (GOOD[:1], "rows"),
        (GOOD[:0], "empty"),
        (GOOD.ravel(), "matrix"),
        (GOOD.reshape(3, 2, 2), "matrix"),
        (GOOD[:, :1], "same network"),
        ([["a", "b"]] * 6, "numbers"),
        ([[1.0], [1.0, 2.0]] * 3, "numbers"),
    ]:
        refuses(lambda bad=bad: measure(bad, GOOD), words)
        refuses(lambda bad=bad: measure(GOOD, bad), words)


@two_set_measures
def test_unequal_numbers_of_items_are_refused(measure: Callable[..., Any]) -> None:
    for real, fake in [(GOOD, GOOD[:5]), (GOOD[:5], GOOD)]:
        words = f"{len(real)} real and {len(fake)} fake items make no fair comparison"
        refuses(lambda real=real, fake=fake: measure(real, fake), words)


def test_unequal_numbers_can_be_the_point() -> None:
    assert metrics.frechet_distance(GOOD, GOOD[:5], allow_unequal=True) > 0
    metrics.kernel_distance(GOOD, GOOD[:5], subset_size=2, allow_unequal=True)
    metrics.precision_recall(GOOD, GOOD[:5], allow_unequal=True)


def test_unequal_numbers_are_refused_without_asserts() -> None:
    code = (
        "import numpy as np; from helpers import metrics\n"
        "metrics.frechet_distance(np.eye(4), np.eye(4)[:3])"
    )
    done = subprocess.run(
        [sys.executable, "-O", "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert "BookError: 4 real and 3 fake items make no fair comparison" in done.stderr


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: metrics.kernel_distance(GOOD, GOOD), "subset_size from 2 to 3"),
        (lambda: metrics.kernel_distance(GOOD, GOOD, subset_size=6), "subset_size"),
        (lambda: kernel_distance(GOOD, GOOD[:4], subset_size=5), "subset_size"),
        (lambda: metrics.kernel_distance(GOOD, GOOD, subset_size=1), "subset_size"),
        (lambda: metrics.kernel_distance(GOOD, GOOD, subsets=1, subset_size=3), "two subsets"),
        (lambda: metrics.precision_recall(GOOD, GOOD, neighbours=0), "neighbour"),
        (lambda: metrics.precision_recall(GOOD, GOOD, neighbours=6), "rows"),
        (lambda: metrics.inception_score([[0.5, 0.6]]), "sum to one"),
        (lambda: metrics.inception_score([[1.0, 0], [0, 0]]), "sum to one"),
        (lambda: metrics.inception_score([[1.5, -0.5]]), "sum to one"),
        (lambda: metrics.inception_score([0.5, 0.5]), "matrix"),
        (lambda: metrics.inception_score([[np.nan, 1.0]]), "NaN"),
        (lambda: metrics.inception_score([[0.5, 0.5]], splits=2), "splits"),
        (lambda: metrics.inception_score([[0.5, 0.5]], splits=0), "splits"),
        (lambda: metrics.perplexity([1.0, np.nan]), "NaN"),
        (lambda: metrics.perplexity([1.0, np.inf]), "infinite"),
        (lambda: metrics.perplexity([]), "empty"),
        (lambda: metrics.perplexity([-1.0, -2.0]), "minus"),
        (lambda: metrics.perplexity([1.0], unit="digits"), "digits"),
        (lambda: metrics.distinct_n([[1, 2]], 3), "n-grams of 3"),
        (lambda: metrics.distinct_n([[1, 2]], 0), "n-grams of 0"),
        (lambda: metrics.distinct_n([[0.5, 2]], 1), "whole numbers"),
        (lambda: metrics.distinct_n([1, 2], 1), "count, length"),
        (lambda: metrics.bits_per_dim([np.nan], 3), "NaN"),
        (lambda: metrics.bits_per_dim([1.0], 0), "dimensions"),
        (lambda: metrics.auroc([], [1.0]), "empty"),
        (lambda: metrics.auroc([1.0], [np.nan]), "NaN"),
        (lambda: metrics.auroc([[1.0]], [1.0]), "list"),
        (lambda: metrics.mean_and_sd([1.0]), "2 or more"),
        (lambda: metrics.standard_error([1.0]), "2 or more"),
        (lambda: metrics.mean_and_sd([1.0, np.nan]), "NaN"),
        (lambda: metrics.rank_correlation([1, 2, 3], [1, 2, 3, 4]), "equal lengths"),
        (lambda: metrics.rank_correlation([1, 2, 3], [4, 4, 4]), "no order"),
        (lambda: metrics.rank_correlation([1, 2], [1, 2]), "3 or more"),
        (lambda: metrics.rank_correlation([1, 2, np.nan], [1, 2, 3]), "NaN"),
        (lambda: metrics.total_variation([0.5], [[0, 1, 2]], [0.6, 0.6]), "sum to one"),
        (lambda: metrics.total_variation([0.5], [[0, 1, 2]], [1.1, -0.1]), "sum to one"),
        (lambda: metrics.total_variation([0.5], [[0, 1, 2]], [1.0]), "one probability per bin"),
        (lambda: metrics.total_variation([np.nan], [[0, 1, 2]], [0.5, 0.5]), "NaN"),
        (lambda: metrics.total_variation([], [[0, 1, 2]], [0.5, 0.5]), "empty"),
        (lambda: metrics.total_variation(GOOD, [[0, 1, 2]], [0.5, 0.5]), "per column"),
        (lambda: metrics.total_variation([0.5], [[0, 2, 1]], [0.5, 0.5]), "rise"),
        (lambda: metrics.total_variation([0.5], [0, 1], [1.0]), "per dimension"),
        (lambda: metrics.total_variation([0.5], [0, 1, 2], [0.5, 0.5]), "per dimension"),
        (lambda: metrics.perfect_sampler_total_variation([0.5], 10, 0), "sum to one"),
        (lambda: metrics.perfect_sampler_total_variation([1.0], 0, 0), "one sample"),
        (lambda: metrics.bin_probabilities(lambda x: x[:, 0], [[-1, 0, 1]]), "from 0 up"),
        (lambda: metrics.bin_probabilities(lambda x: 0 * x[:, 0], [[0, 1]]), "not 0 everywhere"),
        (lambda: metrics.bin_probabilities(lambda x: [1.0], [[0, 1]]), "each point"),
        (lambda: metrics.bin_probabilities(lambda x: x[:, 0] * np.nan, [[0, 1]]), "NaN"),
        (lambda: metrics.bin_probabilities(lambda x: x[:, 0], [[0, np.inf]]), "finite"),
        (lambda: metrics.pca_gaussian_samples(np.full((9, 2, 2), 255), 5, 2, 0), "divide"),
        (lambda: metrics.pca_gaussian_samples(np.full((9, 2, 2), -0.1), 5, 2, 0), "0 to 1"),
        (lambda: metrics.pca_gaussian_samples(np.full((9, 2, 2), np.nan), 5, 2, 0), "0 to 1"),
        (lambda: metrics.pca_gaussian_samples(np.zeros((9, 2, 2)), 5, 5, 0), "1 to 4"),
        (lambda: metrics.pca_gaussian_samples(np.zeros((9, 2, 2)), 0, 2, 0), "one sample"),
        (lambda: metrics.pca_gaussian_samples(np.zeros(9), 5, 2, 0), "two images"),
    ],
)
def test_bad_input_is_refused(call: Callable[[], Any], words: str) -> None:
    refuses(call, words)


def test_importing_the_measures_loads_nothing_heavy() -> None:
    heavy = {"scipy", "sklearn", "keras", "tensorflow", "torch"}
    code = f"import sys, helpers.metrics; print(sorted({heavy!r} & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
