"""The diffusion model's bound, against cases in which the right answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from scripts import diffusion_bound as bound

RATES = bound.NoiseRange(0.05, 0.9999)
MANY = 400_000


def knowing(share: float) -> bound.Predict:
    """The best answer about the noise if an item is +1 with probability `share`, else -1."""

    def predict(noisy: np.ndarray, noise_rates: np.ndarray) -> np.ndarray:
        rate = noise_rates.reshape(-1, 1)
        signal = np.sqrt(1 - rate**2)
        log_odds = np.log(share / (1 - share)) + 2 * signal * noisy / rate**2
        return np.asarray((noisy - signal * np.tanh(log_odds / 2)) / rate)

    return predict


def nats_of(clean: np.ndarray, predict: bound.Predict) -> np.ndarray:
    """The whole bound of items of one number, +1 or -1: [n]."""
    random = np.random.default_rng(0)
    levels = np.where(clean > 0, 255, 0)
    guesses = np.rint(127.5 * (1 + bound.clean_guess(clean, predict, RATES, random))).astype(int)
    log_p = bound.count_levels(levels, guesses)
    parts = bound.prior_nats(clean, RATES.most), bound.path_nats(clean, predict, RATES, random)
    return sum(parts) + bound.level_nats(log_p, levels, guesses)


@pytest.mark.parametrize("share", [0.3, 0.5])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_perfect_network_needs_what_the_coin_needs(share: float, sign: int) -> None:
    """With the best answers the bound is no longer a bound: it equals -log p of either side."""
    clean = np.full((MANY, 1), sign, "float32")
    nats = nats_of(clean, knowing(share))
    exact = -np.log(share if sign > 0 else 1 - share)
    assert abs(nats.mean() - exact) < 4 * nats.std() / np.sqrt(MANY) + 1e-3
    assert nats.std() / np.sqrt(MANY) < 0.01, "or the line above would notice nothing"


def test_a_worse_network_needs_more() -> None:
    clean = np.where(np.random.default_rng(1).random((MANY, 1)) < 0.1, 1, -1).astype("float32")
    right, wrong = (nats_of(clean, knowing(share)).mean() for share in (0.1, 0.5))
    assert right == pytest.approx(0.325, abs=0.03)  # the entropy of a coin of .1
    assert wrong == pytest.approx(np.log(2), abs=0.03)


def test_the_prior_is_the_divergence_of_two_gaussians() -> None:
    clean, rate = np.array([[1.0, -2.0]], "float32"), 0.8
    z = np.random.default_rng(0).normal(0.6 * clean, rate, (400_000, 2))
    log_ratio = -0.5 * ((z - 0.6 * clean) / rate) ** 2 - np.log(rate) + 0.5 * z**2
    assert bound.prior_nats(clean, rate) == pytest.approx(log_ratio.sum(axis=1).mean(), abs=0.01)


def test_mixtures_have_their_own_rates() -> None:
    clean, noise = np.full((2, 2, 2, 1), 5.0), np.ones((2, 2, 2, 1))
    mixed = bound.mix(clean, noise, np.array([0.6, 0.8]))
    assert np.allclose(mixed[0], 0.8 * 5 + 0.6) and np.allclose(mixed[1], 0.6 * 5 + 0.8)


def test_rates_are_spread_over_the_range() -> None:
    asked = []

    def spy(noisy: np.ndarray, noise_rates: np.ndarray) -> np.ndarray:
        asked.append(noise_rates)
        return np.zeros_like(noisy)

    bound.path_nats(np.zeros((100, 1), "float32"), spy, RATES, np.random.default_rng(0))
    gammas = np.sort(np.log(asked[0] ** 2 / (1 - asked[0] ** 2)))
    first, last = RATES.gammas()
    places = (gammas - first) / (last - first) * 100
    assert np.array_equal(np.floor(places), np.arange(100)), "one rate in each hundredth"


def test_levels_are_counted_given_the_guess() -> None:
    guesses, levels = np.array([[7, 7, 7, 9]]), np.array([[3, 3, 4, 5]])
    log_p = bound.count_levels(levels, guesses)
    assert np.allclose(np.exp(log_p).sum(axis=1), 1)
    share = 1 / bound.LEVELS
    assert np.exp(log_p[7, 3]) == pytest.approx((2 + share) / 4)
    assert np.exp(log_p[100, 0]) == pytest.approx(share), "a guess never seen says nothing"
    by_hand = -2 * np.log((2 + share) / 4) - np.log((1 + share) / 4) - np.log((1 + share) / 2)
    assert bound.level_nats(log_p, levels, guesses) == pytest.approx([by_hand])
