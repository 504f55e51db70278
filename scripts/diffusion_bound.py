"""How many nats a diffusion model needs for a picture, at most: its variational bound.

A picture x of whole grey levels is sent in three parts (Kingma et al. 2021, Variational Diffusion
Models, arXiv:2107.00630, equations 11 and 14):

- the noisiest mixture z = a x + b noise, compared with unit noise: a Kullback-Leibler divergence;
- all mixtures down to the least noise: half the integral, over gamma = log(b^2 / a^2), of the mean
  squared error of the network's answer about the noise;
- the grey levels themselves, given the mixture with the least noise: here by a table, counted on
  training pictures, of the level of a pixel where the network's clean guess has a certain value.

Every part can be computed from a network that names the noise, so the sum is a bound on -log p(x)
for that network, with whatever loss it was trained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LEVELS = 256
Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From noisy items [n, ...] and the noise rate b of each [n] to the noise in them [n, ...]."""


@dataclass(frozen=True)
class NoiseRange:
    """The noise rates for which the network was trained; the signal rate is sqrt(1 - b^2)."""

    least: float
    most: float

    def gammas(self) -> tuple[float, float]:
        """log(b^2 / a^2) at both ends."""
        least, most = (float(np.log(b**2 / (1 - b**2))) for b in (self.least, self.most))
        return least, most


def mix(clean: np.ndarray, noise: np.ndarray, noise_rates: np.ndarray) -> np.ndarray:
    """a x + b noise, with a rate b for each item: [n, ...]."""
    rates = noise_rates.reshape(-1, *[1] * (clean.ndim - 1))
    return np.asarray(np.sqrt(1 - rates**2) * clean + rates * noise, "float32")


def prior_nats(clean: np.ndarray, noise_rate: float) -> np.ndarray:
    """Divergence of the noisiest mixture of each item from unit noise, in nats: [n]."""
    numbers = clean[0].size
    squares = np.square(clean, dtype="float64").sum(axis=tuple(range(1, clean.ndim)))
    variance = noise_rate**2
    return 0.5 * ((1 - variance) * squares + numbers * (variance - 1 - np.log(variance)))


def path_nats(
    clean: np.ndarray, predict: Predict, rates: NoiseRange, random: np.random.Generator
) -> np.ndarray:
    """An unbiased estimate of the middle part for each item, in nats: [n].

    Each item is asked at one noise rate; the rates are spread evenly over the items (in gamma).
    """
    first, last = rates.gammas()
    shares = (random.permutation(len(clean)) + random.random(len(clean))) / len(clean)
    gammas = first + (last - first) * shares
    noise_rates = np.sqrt(1 / (1 + np.exp(-gammas)))
    noise = random.standard_normal(clean.shape, dtype="float32")
    errors = predict(mix(clean, noise, noise_rates), noise_rates) - noise
    squares = np.square(errors, dtype="float64").sum(axis=tuple(range(1, clean.ndim)))
    return 0.5 * (last - first) * squares


def clean_guess(
    clean: np.ndarray, predict: Predict, rates: NoiseRange, random: np.random.Generator
) -> np.ndarray:
    """What the network takes for the clean items when it sees them under the least noise."""
    noise_rates = np.full(len(clean), rates.least)
    noise = random.standard_normal(clean.shape, dtype="float32")
    noisy = mix(clean, noise, noise_rates)
    answer = predict(noisy, noise_rates)
    return np.asarray((noisy - rates.least * answer) / np.sqrt(1 - rates.least**2))


def count_levels(levels: np.ndarray, guesses: np.ndarray) -> np.ndarray:
    """log p(level | guess), [guess, level]: counted, plus one count spread over all levels.

    levels, guesses: whole numbers from 0 to 255 of the same shape.
    """
    together = LEVELS * guesses.astype("int64").ravel() + levels.astype("int64").ravel()
    counts = np.bincount(together, minlength=LEVELS**2).reshape(LEVELS, LEVELS)
    smooth = counts + 1 / LEVELS
    return np.asarray(np.log(smooth / smooth.sum(axis=1, keepdims=True)))


def level_nats(log_p: np.ndarray, levels: np.ndarray, guesses: np.ndarray) -> np.ndarray:
    """The last part for each item, in nats: [n]."""
    return -log_p[guesses, levels].sum(axis=tuple(range(1, levels.ndim)))
