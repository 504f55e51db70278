# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Denoising diffusion
#
# It is easy to turn a picture into noise: add a little, and again, until nothing is left. A *diffusion model* {cite}`sohldickstein2015nonequilibrium,ho2020ddpm` learns the way back. Its network has one humble task, to look at a noisy picture and say which part of it is noise. Asked again and again, and believed a little each time, it turns pure noise into pictures. There is no opponent, no code to squeeze through, and the loss is a plain regression.
#
# ![Forty small generated faces of many kinds](images/ddm.png)
#
# *The goal of this notebook: forty drawn faces of 32 by 32 pixels, made from forty handfuls of noise. They are the first forty of a fixed seed; nothing was selected.*
#
# We go through everything twice: first on a line, where every formula can be solved exactly and truth drawn beside what was learnt, then with the drawn faces of this book, where everything has to be measured.

# %% [markdown]
# ## What to expect
#
# On the line we measure the *total variation*: the share of probability that lies in the wrong bins of a histogram. For the faces we measure KID and FID, distances between generated and real pictures in the features of the measuring network of chapter 2, and the average error of the network's answer about the noise. For all of them, lower is better.

# %% tags=["hide-input", "setup"]
# `make lint` puts the setup cell here

# %% tags=["imports"]
import math
from functools import partial

from helpers.training import quiet

with quiet():  # TensorFlow talks to its developers while it is imported
    import keras
    from keras import layers, ops

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import logsumexp, softmax
from sklearn.decomposition import PCA

from helpers import datasets, films, metrics, plots, results, training, weights
from helpers.budget import budget, current_seed, is_full_run

plots.use_style()

# %%
results.expectation(
    "ddm",
    dataset="portraits",
    rows=[
        {"label": "on a line: total variation, 100,000 draws, 50 bins", "metric": "line.total_variation",
         "baseline": "gaussian_total_variation", "optimum": "perfect_total_variation",
         "reference": "at most .05 was our target"},
        {"label": "faces: KID-portraits, 20 steps, n = 2,000", "metric": "kid", "digits": 2,
         "baseline": "kid_trivial", "optimum": "kid_floor",
         "reference": "at most .3 of the baseline was our target"},
        {"label": "faces: FID-portraits, 20 steps, n = 2,000", "metric": "fid", "digits": 1,
         "baseline": "fid_trivial", "optimum": "fid_floor"},
        {"label": "faces: absolute error of the noise, 2,000 test faces", "metric": "noise_mae",
         "baseline": "linear_noise_mae"},
    ],
)

# %% [markdown]
# The baseline on the line is a single Gaussian. For the faces it is the *trivial generator*, a Gaussian fitted to the principal components of the pixels, and, in the last row, the best linear guess of the noise, explained below. The optimum of the first row is what as many draws from the true density score; that of the distances is real against other real pictures (for KID 1,000 against 1,000).
#
# ## Settings

# %% tags=["settings"]
SEED = current_seed()              # seeds weights, batches and draws; 0 unless a full run asks
DATASET = datasets.choose_dataset("portraits", alternatives=["sprouts", "flowers", "fashion_mnist"])
SIDE = 32                          # height and width of the pictures; most files have 64
CHANNELS = 1 if DATASET == "fashion_mnist" else 3
VALIDATION = 1_000                 # last training pictures, kept aside to watch the training
PICTURES = budget(quick=1_280, cpu=None)  # training pictures that are used (None: all)
# --- noise
LOWEST_SIGNAL = 0.02               # signal rate at the end, where the sampler begins
HIGHEST_SIGNAL = 0.99              # signal rate at time 0, for pictures
LINE_HIGHEST_SIGNAL = 0.9999       # the same on the line, where the last bit of noise shows
FREQUENCIES = np.geomspace(0.25, 16, 16)   # of the sines that tell the network the noise variance
# --- on the line
LINE_POINTS, LINE_BATCH, LINE_UNITS = 100_000, 1_000, 128
LINE_EPOCHS = budget(quick=2, cpu=100)
DRAWS, LINE_STEPS = 100_000, 100   # samples behind every total variation, steps of their sampler
EDGES = [np.linspace(-3.5, 3.5, 51)]      # 50 bins
# --- pictures
FINE, WIDTHS = 24, (64, 96, 128)   # feature maps at 32 pixels, and at 16, 8 and 4
BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY = 64, 1e-3, 1e-4  # the rate falls along a cosine
AVERAGING = 0.999                  # how much of the running average of the weights an update keeps
EPOCHS = budget(quick=1, cpu=45, gpu=400)
STEPS, STEP_COUNTS = 20, (1, 3, 5, 20, 100)
SAMPLES = budget(quick=200, cpu=2_000)    # generated pictures behind every KID
ERROR = ops.square                 # of the noise; ops.abs is the other usual choice
COMPONENTS = 256                   # of the Gaussian to compare with
CURVE_PICTURES, CURVE_STEPS = budget(quick=40, cpu=500), budget(quick=2, cpu=10)
QUICK_TEST = 200                   # pictures on which a quick run measures again
training.set_seed(SEED)

# %% [markdown]
# ## Destroying, in one step
#
# Let $x$ be an example and $\epsilon \sim \mathcal{N}(0, I)$ noise. At *time* $t$ between 0 and 1 the noisy example is
#
# $$ x_t = a_t\, x + b_t\, \epsilon, \qquad a_t^2 + b_t^2 = 1 . $$
#
# The *signal rate* $a_t$ falls from about one to about zero, and the *noise rate* $b_t$ rises. Why the squares? Variances of independent things add: if the data have variance one, then $x_t$ has the variance $a_t^2 + b_t^2$, which is one at any time. The network always meets numbers of the same size, and the last $x_t$ is as good as a draw from a standard Gaussian, which is where the sampler will start.
#
# The story is often told in a thousand small steps, $x_{i} = \sqrt{1 - \beta_i}\, x_{i-1} + \sqrt{\beta_i}\, \epsilon_i$. Nothing is lost by jumping: sums of Gaussians are Gaussian, and the rates multiply to $a^2 = \prod_i (1 - \beta_i)$. What is left to choose is the *schedule*, how fast $a_t$ falls. Three of them: the one of {cite:t}`ho2020ddpm`, called linear because $\beta_i$ grows linearly; the quarter of a *cosine* wave, close to that of {cite:t}`nichol2021improved`; and the same wave with both ends cut off, the *offset cosine*, so that neither rate is ever zero.

# %% tags=["exercise-context"]
def linear(times):
    exponent = 0.1 * times + 9.95 * times**2              # sum of beta up to this time
    return ops.exp(-0.5 * exponent), ops.sqrt(-ops.expm1(-exponent))


def cosine(times):
    angles = times * (math.pi / 2)
    return ops.cos(angles), ops.sin(angles)


def offset_cosine(times, highest=HIGHEST_SIGNAL):
    first, last = math.acos(highest), math.acos(LOWEST_SIGNAL)
    angles = first + times * (last - first)
    return ops.cos(angles), ops.sin(angles)               # signal rate, noise rate


# %%
some_times = np.linspace(0, 1, 201)
schedules = {"linear": linear, "cosine": cosine, "offset cosine": offset_cosine}
curves = {}
for name, schedule in schedules.items():
    signal, noise = curves[name] = [ops.convert_to_numpy(rate) for rate in schedule(some_times)]
    assert np.allclose(signal**2 + noise**2, 1, atol=1e-6), name
    assert np.all(np.diff(signal) < 0) and signal[0] > 0.9 and abs(signal[-1]) < 0.05, name

betas = np.linspace(1e-4, 0.02, 1_000)                    # the thousand steps of 2020
after_each = np.sqrt(np.cumprod(1 - betas))
both_rates = [ops.convert_to_numpy(rate) for rate in linear(np.arange(1, 1_001) / 1_000)]
assert np.allclose(both_rates, [after_each, np.sqrt(1 - after_each**2)], atol=0.005)
hopeless = [np.mean(noise > 0.98) for _, noise in curves.values()]
assert hopeless[0] > 0.4 and max(hopeless[1:]) < 0.2      # shares of the time
print("signal² + noise² = 1 on all three; the linear one is the product of a thousand steps")

# %% [markdown]
# Schedules are best compared by the logarithm of the *signal-to-noise ratio*, $\log (a_t^2 / b_t^2)$, since that is what makes the task easy or hopeless. The linear schedule spends more than two fifths of its time at noise rates above 0.98, where there is next to nothing to be seen, the others less than one fifth.

# %% mystnb={"image": {"alt": "Left: signal rates fall and noise rates rise over time for three schedules, the linear one fastest. Right: log signal-to-noise ratios fall from above zero to below; the linear one is lowest for most of the time"}, "figure": {"caption": "Signal rate (solid) and noise rate (dashed), and the logarithm of the signal-to-noise ratio, for three schedules.", "name": "fig-ddm-schedules"}}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4))
for colour, (name, (signal, noise)) in zip(plots.COLOURS, curves.items()):
    axes[0].plot(some_times, signal, color=colour, label=name)
    axes[0].plot(some_times, noise, "--", color=colour)
    log_ratio = 2 * np.log(signal[1:-1] / noise[1:-1])    # at the very ends some are infinite
    axes[1].plot(some_times[1:-1], log_ratio, color=colour, label=name)
axes[0].set(xlabel="time", ylabel="rate")
axes[1].set(xlabel="time", ylabel="log signal-to-noise ratio", ylim=(-12, 12))
axes[0].legend()
plt.show()

# %% [markdown]
# ## On a line: a world that we know
#
# Our data are numbers from three bumps, a mixture of Gaussians, shifted and scaled to mean zero and variance one. Noise keeps it a mixture of Gaussians: bump $k$ with weight $w_k$, mean $\mu_k$ and deviation $\sigma_k$ turns into one with mean $a_t \mu_k$ and variance $a_t^2 \sigma_k^2 + b_t^2$. So the density $p_t$ of the noisy numbers is known at all times.

# %% tags=["exercise-context"]
BUMP_WEIGHTS = np.array([0.3, 0.5, 0.2])
BUMP_MEANS, BUMP_DEVIATIONS = np.array([-1.5, 0.2, 1.6]), np.array([0.3, 0.2, 0.35])
middle = BUMP_WEIGHTS @ BUMP_MEANS
width = np.sqrt(BUMP_WEIGHTS @ (BUMP_DEVIATIONS**2 + BUMP_MEANS**2) - middle**2)
BUMP_MEANS, BUMP_DEVIATIONS = (BUMP_MEANS - middle) / width, BUMP_DEVIATIONS / width
assert abs(BUMP_WEIGHTS @ (BUMP_DEVIATIONS**2 + BUMP_MEANS**2) - 1) < 1e-12


def log_bumps(x, rates):
    """Log of each bump's part of the density at x [n]: [n, 3]."""
    signal, noise = rates
    variances = (signal * BUMP_DEVIATIONS) ** 2 + noise**2
    squares = (x[:, None] - signal * BUMP_MEANS) ** 2 / variances
    return np.log(BUMP_WEIGHTS) - 0.5 * (squares + np.log(2 * np.pi * variances))


def density(x, rates=(1.0, 0.0)):
    return np.exp(logsumexp(log_bumps(x, rates), axis=1))  # [n]


# %% [markdown]
# ## The noise, the score, and the clean value are one thing
#
# What is the best guess of the noise, given the noisy number? If errors are squared, it is the mean of all noise that could have led there, $\mathbb{E}[\epsilon \mid x_t]$. The [notebook on autoencoders](../03_autoencoders/autoencoder.ipynb) showed that clean mean minus noisy value is the variance of the noise times the *score*, the derivative of the logarithm of the noisy density. Here the clean value is $a_t x$ and the noise has the deviation $b_t$:
#
# $$ \mathbb{E}[a_t x \mid x_t] - x_t = b_t^2\, \nabla \log p_t(x_t) . $$
#
# From $x_t = a_t x + b_t \epsilon$ the left side is also $-b_t\, \mathbb{E}[\epsilon \mid x_t]$. So three guesses are one:
#
# $$ \mathbb{E}[\epsilon \mid x_t] = -\,b_t\, \nabla \log p_t(x_t) = \frac{x_t - a_t\, \mathbb{E}[x \mid x_t]}{b_t} . $$
#
# Whoever learns to name the noise has learnt the score of the noisy data, at every strength of noise {cite}`vincent2011connection,song2021sde`. For our bumps the answer can be written down. If we knew the bump, both parts of $x_t$ would be Gaussian, and the mean of the noise would be $b_t (x_t - a_t \mu_k)$ divided by the bump's noisy variance; as we don't, we average over the bumps, weighted by their share of the density.

# %% tags=["exercise-context"]
def exact_noise(x, rates):
    """E[noise | x_t = x] for the three bumps: [n]."""
    signal, noise = rates
    shares = softmax(log_bumps(x, rates), axis=1)  # [n, 3], of each bump
    variances = (signal * BUMP_DEVIATIONS) ** 2 + noise**2
    return noise * (shares * (x[:, None] - signal * BUMP_MEANS) / variances).sum(axis=1)


def rates_at(schedule, time):
    """The two rates as plain numbers."""
    signal, noise = schedule(np.array([time]))
    return float(signal[0]), float(noise[0])


line_schedule = partial(offset_cosine, highest=LINE_HIGHEST_SIGNAL)

# %% [markdown]
# Three ways to the same number: the formula, a numerical derivative of $\log p_t$, and Bayes' rule, summed over a fine grid of clean values.

# %%
x = np.linspace(-3, 3, 61)
grid = np.linspace(-4, 4, 8_001)                          # clean values
for time in (0.1, 0.4, 0.8):
    signal, noise = rates = rates_at(line_schedule, time)
    rise = np.log(density(x + 1e-4, rates)) - np.log(density(x - 1e-4, rates))
    likelihood = np.exp(-((x[:, None] - signal * grid) ** 2) / (2 * noise**2))
    posterior = likelihood * density(grid)                # [61, 8001], not normalised
    clean_mean = (posterior * grid).sum(axis=1) / posterior.sum(axis=1)
    assert np.allclose(exact_noise(x, rates), -noise * rise / 2e-4, atol=1e-5)
    assert np.allclose(exact_noise(x, rates), (x - signal * clean_mean) / noise, atol=1e-5)
print("E[noise | x_t] = -noise rate × score = (x_t - signal rate × E[x | x_t]) / noise rate")

# %% [markdown]
# ## The way back
#
# Suppose that at time $t$ we knew $x$ itself, and so $\epsilon = (x_t - a_t x) / b_t$. A less noisy version, at time $s < t$, is then easy to make. We may keep the noise that is there, or replace a part of it by fresh noise $z \sim \mathcal{N}(0, I)$:
#
# $$ x_s = a_s\, x + \sqrt{b_s^2 - \sigma^2}\; \epsilon + \sigma z . $$
#
# Whatever $\sigma$ between 0 and $b_s$ we pick, old and fresh noise are independent and their variances sum to $b_s^2$: given $x$, the new number has exactly the distribution that it should have at time $s$. Now replace what we do not know by what the network says, $\hat\epsilon$ for the noise and $\hat x = (x_t - b_t \hat\epsilon) / a_t$ for the clean value. That is the sampler of *denoising diffusion implicit models*, DDIM {cite}`song2021ddim`. The usual name for the free choice is $\eta$:
#
# $$ \sigma = \eta\; \frac{b_s}{b_t} \sqrt{1 - \frac{a_t^2}{a_s^2}} . $$
#
# At $\eta = 0$ nothing random happens after the first draw: each starting noise leads to one sample, a fact that we shall use to interpolate. At $\eta = 1$ the variance is that of $x_s$ given $x_t$ and $x$ in the story of small steps: the original sampler of {cite:t}`ho2020ddpm`.

# %% tags=["exercise-context"]
def ddim_step(noisy, predicted_noise, now, after, eta=0.0, fresh=0.0):
    """One step from the rates `now` to `after`; returns the new noisy items and the clean guess."""
    (signal, noise), (next_signal, next_noise) = now, after
    clean = (noisy - noise * predicted_noise) / signal
    spread = eta * next_noise / noise * math.sqrt(1 - (signal / next_signal) ** 2)
    kept = math.sqrt(next_noise**2 - spread**2)
    return next_signal * clean + kept * predicted_noise + spread * fresh, clean


# %% [markdown]
# Both claims can be tested by simulation: with the true noise in place of a prediction, the result must have the mean $a_s x$ and the deviation $b_s$ for any $\eta$; and at $\eta = 1$ the fresh variance must be what Bayes' rule gives for the chain. There $x_t = g x_s + \sqrt{v}\, z$ with $g = a_t / a_s$, and the variances of the noise must match: $b_t^2 = g^2 b_s^2 + v$. Seeing $x_t$ adds the precision (one over variance) $g^2 / v$ to the precision $1 / b_s^2$ of $x_s$; the fresh variance is one over the sum.

# %%
dice = np.random.default_rng(SEED)
now, after = rates_at(line_schedule, 0.6), rates_at(line_schedule, 0.4)
true_noise, fresh = dice.standard_normal((2, 400_000))
for eta in (0.0, 0.5, 1.0):
    noisy = now[0] * 1.7 + now[1] * true_noise
    stepped, clean = ddim_step(noisy, true_noise, now, after, eta, fresh)
    assert np.allclose(clean, 1.7)                        # the clean value was 1.7 in all cases
    assert abs(stepped.mean() - after[0] * 1.7) < 0.005 and abs(stepped.std() - after[1]) < 0.005

gain = now[0] / after[0]
bayes = 1 / (1 / after[1] ** 2 + gain**2 / (now[1] ** 2 - gain**2 * after[1] ** 2))
only_fresh = ddim_step(0.0, 0.0, now, after, eta=1.0, fresh=1.0)[0]
assert np.isclose(only_fresh**2, bayes)
print("right mean and deviation for every eta; at eta = 1 the variance of Bayes' rule")

# %% [markdown]
# The whole sampler repeats the step from time 1 to time 0. It accepts any function that predicts the noise, and hands out the way so that we can film it. What it returns is the last *clean guess*.

# %% tags=["exercise-context"]
def denoise(predict, noisy, steps, schedule, eta=0.0, generator=None):
    """From unit noise [n, ...] at time 1 back to time 0; yields (noisy, clean guess) at each step.

    predict(noisy, rates) answers with the noise, of the same shape as noisy.
    """
    times = np.linspace(1, 0, steps + 1)
    for time, next_time in zip(times[:-1], times[1:]):
        now, after = rates_at(schedule, time), rates_at(schedule, next_time)
        fresh = generator.standard_normal(noisy.shape, dtype=noisy.dtype) if eta else 0.0
        predicted = predict(noisy, now)
        stepped, clean = ddim_step(noisy, predicted, now, after, eta, fresh)
        yield noisy, clean
        noisy = stepped


def sample(*arguments, **options):
    for _, clean in denoise(*arguments, **options):       # only the last one is kept in memory
        pass
    return clean


# %% [markdown]
# ## The exact sampler
#
# Replacing $x$ by a guess is not exact, because a mean is not a draw. But a small step goes only a little of the way towards the guess, and then asks again; as the steps shrink, the error vanishes, for every $\eta$ {cite}`song2021sde`. How many are enough? We send 100,000 numbers through and compare their histogram with the true density. (A *perfect* sampler would not score zero, because 100,000 draws scatter. To save time, we read the function from a table of 3,201 places.)

# %%
PLACES = np.linspace(-8, 8, 3_201)


def tabulated(predict):
    return lambda noisy, rates: np.interp(noisy, PLACES, predict(PLACES, rates))


between, check_rates = x + 0.0025, rates_at(line_schedule, 0.01)      # half way between two places
assert np.allclose(tabulated(exact_noise)(between, check_rates), exact_noise(between, check_rates),
                   atol=1e-3)

probabilities = metrics.bin_probabilities(lambda points: density(points[:, 0]), EDGES)
variation = partial(metrics.total_variation, edges=EDGES, probabilities=probabilities)
start = np.random.default_rng(SEED).standard_normal(DRAWS)
perfect = metrics.perfect_sampler_total_variation(probabilities, DRAWS, SEED)

# %%
line_sample = partial(sample, tabulated(exact_noise), start)
exact_draws = {steps: line_sample(steps, line_schedule) for steps in (5, 20, LINE_STEPS)}
exact_variation = {steps: variation(draws) for steps, draws in exact_draws.items()}
early_stop = variation(line_sample(LINE_STEPS, partial(offset_cosine, highest=0.95)))
results.show_table(
    ["sampler", "total variation"],
    [["perfect", f"{perfect:.3f}"], ["none: the starting noise", f"{variation(start):.3f}"],
     *([f"{steps} steps", f"{value:.3f}"] for steps, value in exact_variation.items()),
     [f"{LINE_STEPS} steps, schedule ends at signal 0.95", f"{early_stop:.3f}"]],
)
assert exact_variation[5] > exact_variation[20] > exact_variation[LINE_STEPS]
assert exact_variation[LINE_STEPS] < 0.02 and early_stop > 5 * exact_variation[LINE_STEPS]

# %% [markdown]
# With enough steps the exact sampler is nearly perfect. The last line: the sampler ends with a clean *guess*, a mean, made from the last noisy value. If the schedule stops at a signal rate of 0.95, as common recipes do, the last noise is a third as large as the data, and the mean over what is hidden beneath it is narrower than the truth, even if many steps came before. So on the line the schedule goes on to 0.9999; with 100 steps the last guess is then made at a noise rate of 0.03.
#
# Ten of the numbers on their way back. Their paths never cross: on a line, the deterministic sampler keeps the order.

# %% mystnb={"image": {"alt": "Heat map of the density over time: three bands at time zero merge into one broad band at time one, with ten thin paths that run from right to left into the bands"}, "figure": {"caption": "The density of the noisy numbers at all times, and the paths of ten numbers from noise (right) to data (left), with the exact predictor and 100 steps.", "name": "fig-ddm-line-paths"}}
heights = np.linspace(-3, 3, 241)
all_times = np.linspace(0, 1, LINE_STEPS + 1)
image = np.stack([density(heights, rates_at(line_schedule, time)) for time in all_times], axis=1)
ten = np.linspace(-2.2, 2.2, 10)
paths = np.array([noisy for noisy, _ in denoise(exact_noise, ten, LINE_STEPS, line_schedule)])
assert np.all(np.diff(paths, axis=1) > 0)                 # in order, all the way
plt.imshow(np.sqrt(image), extent=(0, 1, -3, 3), origin="lower", aspect="auto", cmap="Blues")
plt.plot(all_times[:0:-1], paths, color=plots.COLOURS[1], linewidth=1)
plt.xlabel("time")
plt.ylabel("noisy number")
plt.show()

# %% [markdown]
# ## With fresh noise on the way
#
# Now $\eta$. Fresh noise should not change the distribution of the results, only their connection with the start: the total variation stays small, while the rank correlation of starting noise and result falls.

# %%
eta_draws = {0.0: exact_draws[LINE_STEPS]}
for eta in (0.5, 1.0):
    dice = np.random.default_rng(SEED + 1)
    eta_draws[eta] = line_sample(LINE_STEPS, line_schedule, eta=eta, generator=dice)
memory = {eta: metrics.rank_correlation(start, draws) for eta, draws in eta_draws.items()}
results.show_table(
    ["eta", "total variation", "rank correlation of start and result"],
    [[eta, f"{variation(draws):.3f}", f"{memory[eta]:.2f}"] for eta, draws in eta_draws.items()],
)
assert all(variation(draws) < 0.04 for draws in eta_draws.values())
assert memory[0.0] > 0.999 and memory[0.5] < 0.9 and abs(memory[1.0]) < 0.5

# %% [markdown]
# ## A small network learns it
#
# For pictures there is no formula. A network gets the noisy number and the noise variance $b_t^2$, and answers with the noise. The variance comes as a single number, but how the answer should change with it is intricate. So we spread it out into sines and cosines of many frequencies, a *sinusoidal embedding* {cite}`vaswani2017attention`: the low frequencies tell roughly how noisy, the high ones tell exactly. The inner product of two embeddings depends only on the difference of the variances, so to see that no two are alike it is enough to compare all with the first.

# %% tags=["exercise-context"]
class SinusoidalEmbedding(layers.Layer):
    def call(self, variances):                            # [batch, 1] -> [batch, 32]
        angles = variances * ops.convert_to_tensor(2 * np.pi * FREQUENCIES, dtype=variances.dtype)
        return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)

    def compute_output_shape(self, shape):
        return (*shape[:-1], 2 * len(FREQUENCIES))


# %% mystnb={"image": {"alt": "Heat map of 32 rows against the noise variance from 0 to 1: slow waves in some rows, ever faster waves in others"}, "figure": {"caption": "The embedding of the noise variance: sixteen sines above, sixteen cosines below, from slow to fast.", "name": "fig-ddm-embedding"}}
variances = np.linspace(0, 1, 400, dtype="float32")[:, None]
embedded = ops.convert_to_numpy(SinusoidalEmbedding()(variances))               # [400, 32]
products = (embedded[40:] * embedded[:-40]).sum(axis=1)   # an equal difference of variances
assert np.ptp(products) < 0.01                            # looks the same everywhere
assert np.linalg.norm(embedded[1:] - embedded[0], axis=1).min() > 0.1
plt.imshow(embedded.T, extent=(0, 1, 32, 0), aspect="auto", cmap="PuOr")
plt.xlabel("noise variance")
plt.ylabel("number of the embedding")
plt.show()

# %% [markdown]
# The training: take an example, draw a time and noise, mix them, ask the network, compare. The class does not know whether an example is a number or a picture, so it serves twice.
#
# It keeps two copies of the network. One is trained. The other is its *exponential moving average*: after each update every weight of the average keeps a share, 0.999 in the long run, and takes the rest from the trained network. Single updates are noisy; the average is calmer, as if the learning rate had been lowered {cite}`polyak1992acceleration`. In the first updates the share is smaller, so that the random start is soon forgotten. (Keras's optimisers offer something similar as `use_ema=True`; we want both networks side by side.)

# %% tags=["exercise-context"]
def update_average(average, network, updates):
    updates = ops.cast(updates, "float32")
    share = ops.minimum(AVERAGING, (1 + updates) / (10 + updates))
    for mean, weight in zip(average.weights, network.weights):
        mean.assign(share * mean + (1 - share) * weight)


# %% tags=["exercise-context"]
class DiffusionModel(keras.Model):
    """build() gives a network from [noisy items, noise variance] to the noise in them."""

    def __init__(self, build, schedule, error):
        super().__init__()
        self.network, self.average = build(), build()
        self.average.set_weights(self.network.get_weights())
        self.average.trainable = False
        self.schedule, self.error = schedule, error
        self.random = keras.random.SeedGenerator(SEED)

    def call(self, clean, training=False):
        times = keras.random.uniform((ops.shape(clean)[0], 1), seed=self.random)
        noise = keras.random.normal(ops.shape(clean), seed=self.random)
        rates = self.schedule(times)                      # [batch, 1] each
        one_each = [-1] + [1] * (len(clean.shape) - 1)    # a rate for each item of the batch
        signal_rate, noise_rate = (ops.reshape(rate, one_each) for rate in rates)
        noisy = signal_rate * clean + noise_rate * noise
        network = self.network if training else self.average
        predicted = network([noisy, ops.square(rates[1])], training=training)
        return {"noise": noise, "predicted": predicted}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return ops.mean(self.error(y_pred["noise"] - y_pred["predicted"]))

    def train_step(self, data):
        logs = super().train_step(data)
        update_average(self.average, self.network, self.optimizer.iterations)
        return logs


# %% tags=["exercise-context"]
def build_line_network(blind=False):
    noisy, variance = keras.Input((1,)), keras.Input((1,))
    embedding = SinusoidalEmbedding()(0 * variance if blind else variance)
    hidden = layers.Concatenate()([noisy, embedding])     # [batch, 33]
    for _ in range(3):
        hidden = layers.Dense(LINE_UNITS, activation="swish")(hidden)
    return keras.Model([noisy, variance], layers.Dense(1)(hidden))


# %% [markdown]
# The `blind` variant is not told the variance; it waits for its turn among the failures. Both learn from 100,000 numbers, with the squared error.

# %% tags=["model"]
dice = np.random.default_rng([SEED, 7])
which = dice.choice(3, size=LINE_POINTS, p=BUMP_WEIGHTS)
points = BUMP_MEANS[which] + BUMP_DEVIATIONS[which] * dice.standard_normal(LINE_POINTS)
points = points[:, None].astype("float32")                # [100000, 1]
assert abs(points.mean()) < 0.02 and abs(points.std() - 1) < 0.02
line_batches = training.batches(points, batch_size=LINE_BATCH, seed=SEED)


def build_line_model(blind=False):
    model = DiffusionModel(partial(build_line_network, blind), line_schedule, ops.square)
    model(points[:2])                                     # builds all weights
    updates = LINE_EPOCHS * len(line_batches)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, updates)))
    return model


line, line_blind = build_line_model(), build_line_model(blind=True)
print(f"{line.network.count_params():,} parameters")

# %% [markdown]
# Is the average an average? We take one update of a throwaway model and compute by hand where each weight of the average should be.

# %%
throwaway = build_line_model()
before = [ops.convert_to_numpy(weight) for weight in throwaway.average.weights]
throwaway.train_on_batch(ops.convert_to_tensor(points[:LINE_BATCH]))
share = min(AVERAGING, (1 + 1) / (10 + 1))
for old, mean, weight in zip(before, throwaway.average.weights, throwaway.network.weights):
    mean, weight = ops.convert_to_numpy(mean), ops.convert_to_numpy(weight)
    assert np.allclose(mean, share * old + (1 - share) * weight, atol=1e-6)
    assert np.abs(weight - old).max() > 1e-4              # the trained network has moved
print("after one update: average = 2/11 of the old average + 9/11 of the trained network")

# %% tags=["nbval-ignore-output"]
runs, line_models = {}, {"line": line, "line_blind": line_blind}
for name, model in line_models.items():
    if is_full_run() or name == "line":                   # under quick the blind one is only loaded
        checkpoint = f"ddm_{name}_{SEED}"
        run = training.fit(model, line_batches, epochs=LINE_EPOCHS, checkpoint=checkpoint)
        assert run.history["loss"][-1] < 0.95             # answering "no noise" costs 1.0
    if is_full_run() and DATASET == "portraits":          # the line is the same for all pictures
        weights.release(model, f"ddm/{name}", run)
    runs[name] = weights.restore(model, f"ddm/{name}")

# %% [markdown]
# On the line we know how small the loss can get. Even the best guess leaves the variance that the noisy number does not explain, $1 - \mathbb{E}\big[\mathbb{E}[\epsilon \mid x_t]^2\big]$, averaged over the times. The network may come close to this floor and, chance aside, cannot go below it on fresh data.

# %%
def ask(network, noisy, noise_rate, batch_size=250):
    """The network's answer about the noise in noisy [n, ...]; noise_rate: one number, or [n]."""
    noisy = np.asarray(noisy, "float32")
    variance = np.broadcast_to(np.square(noise_rate), len(noisy)).astype("float32")[:, None]
    parts = [slice(first, first + batch_size) for first in range(0, len(noisy), batch_size)]
    # predict_on_batch compiles the network once; calling it anew each time would cost more
    return np.concatenate([network.predict_on_batch([noisy[p], variance[p]]) for p in parts])


def unexplained(rates):
    probability = density(PLACES, rates) * (PLACES[1] - PLACES[0])
    return 1 - np.sum(probability * exact_noise(PLACES, rates) ** 2)


floor = np.mean([unexplained(rates_at(line_schedule, (k + 0.5) / 400)) for k in range(400)])

# %%
dice = np.random.default_rng([SEED, 8])                   # fresh numbers, times and noise
count = 100_000
which, times = dice.choice(3, size=count, p=BUMP_WEIGHTS), (np.arange(count) + 0.5) / count
fresh_points = BUMP_MEANS[which] + BUMP_DEVIATIONS[which] * dice.standard_normal(count)
noise = dice.standard_normal(count)
signal_rates, noise_rates = (ops.convert_to_numpy(rate) for rate in line_schedule(times))
noisy = signal_rates * fresh_points + noise_rates * noise
answers = ask(line.average, noisy[:, None], noise_rates, batch_size=10_000)[:, 0]
squares = (noise - answers) ** 2
error, error_sd = squares.mean(), metrics.standard_error(squares)
assert -4 * error_sd < error - floor < 0.02
print(f"squared error of the noise: floor {floor:.2f}, network within 0.02 of it")

# %% [markdown]
# And the samples: the same sampler, with the network in place of the formula.

# %%
def line_predictor(model):
    return tabulated(lambda x, rates: ask(model.average, x[:, None], rates[1], len(x))[:, 0])


learnt_draws = sample(line_predictor(line), start, LINE_STEPS, line_schedule)
learnt_variation = variation(learnt_draws)
assert learnt_variation < 0.05
results.quote("ddm-line-tv", f"{learnt_variation:.3f}")
results.quote("ddm-perfect-tv", f"{perfect:.3f}")

# %% mystnb={"image": {"alt": "Histogram of the network's samples under the curve of the true density with three bumps; they agree closely"}, "figure": {"caption": "100,000 samples of the small network (bars) and the true density (line).", "name": "fig-ddm-line-samples"}}
plt.hist(learnt_draws, EDGES[0], density=True, color=plots.COLOURS[5], label="samples")
plt.plot(heights, density(heights), color=plots.COLOURS[1], label="true density")
plt.xlabel("number")
plt.ylabel("density")
plt.legend()
plt.show()

# %% [markdown]
# The total variation is {glue:text}`ddm-line-tv`, that of a perfect sampler {glue:text}`ddm-perfect-tv`. A network that was only ever asked "what here is noise?" has learnt a density.

# %% [markdown]
# ## Now faces: the pictures
#
# The drawn faces of this book (composed by a program, not photographs), made smaller: each pixel is the average of a block of two by two. At 64 pixels each update would be four times the work.

# %% tags=["model"]
def shrink(images):
    """Bytes [n, 64, 64, 3] to the means of square blocks, [n, 32, 32, 3] in [0, 1]."""
    margin = max(0, SIDE - images.shape[1]) // 2          # clothes have 28 pixels: they get a frame
    images = np.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    block = images.shape[1] // SIDE
    blocks = images.reshape(len(images), SIDE, block, SIDE, block, CHANNELS)
    return blocks.mean(axis=(2, 4), dtype="float32") / 255


data = datasets.load(DATASET)
publishable = datasets.REGISTRY[DATASET].publishable      # may weights trained on it be shared?
x_train, x_validation = np.split(shrink(data.x_train), [-VALIDATION])
x_test = shrink(data.x_test)
print("training", x_train.shape, " validation", x_validation.shape, " test", x_test.shape)

# %% [markdown]
# The schedule promises variance one at all times, but only for data of mean zero and variance one. So each colour is shifted and scaled, and what the sampler makes is scaled back.

# %% tags=["model"]
centre, contrast = x_train.mean(axis=(0, 1, 2)), x_train.std(axis=(0, 1, 2))    # [3] each


def normalise(pictures):
    return (pictures - centre) / contrast


def to_pictures(normalised):
    return np.clip(normalised * contrast + centre, 0, 1)


# %%
assert np.allclose(to_pictures(normalise(x_test[:100])), x_test[:100], atol=1e-5)
dice = np.random.default_rng(SEED)
for time in (0.0, 0.3, 0.6, 1.0):
    signal, noise = rates_at(offset_cosine, time)
    noise_now = dice.standard_normal(x_test[:500].shape)
    mean_square = np.mean((signal * normalise(x_test[:500]) + noise * noise_now) ** 2)
    assert abs(mean_square - 1) < 0.05
print("noisy faces have a mean square of one, whatever the time")
results.quote("ddm-contrast", f"{contrast.mean():.2f}")

# %% [markdown]
# Four test faces drown in noise. (Press play, or step with the arrow keys.)

# %% tags=["nbval-ignore-output"]
def mosaic(pictures, columns):
    """[n, height, width, 3] -> one picture [rows * height, columns * width, 3]."""
    n, height, width, channels = pictures.shape
    rows = pictures.reshape(n // columns, columns, height, width, channels)
    return rows.transpose(0, 2, 1, 3, 4).reshape(-1, columns * width, channels)


film_noise = np.random.default_rng(SEED).standard_normal((4, SIDE, SIDE, CHANNELS), dtype="float32")
film_rates = [rates_at(offset_cosine, time) for time in np.linspace(0, 1, 13)]
frames = [mosaic(to_pictures(a * normalise(x_test[:4]) + b * film_noise), 2) for a, b in film_rates]
films.show_film(
    np.stack(frames), alt="Four drawn faces disappear step by step in coloured noise",
    labels=[f"signal {a:.2f}, noise {b:.2f}" for a, b in film_rates],
)

# %% [markdown]
# ## The network
#
# The network must answer at every pixel. To tell noise from a cheek it has to see both the single pixel and the whole face. The *U-Net* {cite}`ronneberger2015unet` does: on the way down the picture shrinks from 32 to 16, 8 and 4 pixels, on the way up it grows again, and *skip connections* hand the fine maps across, so that nothing exact must pass through the coarse middle.
#
# Which of the three answers should it give? Noise is hard to print: every pixel has its own accident, and all must be carried through the network. A drawing is smooth and much the same as others. So the U-Net draws the *clean guess* $\hat x$, and the noise follows as $\hat\epsilon = (x_t - a_t \hat x) / b_t$ {cite}`li2025back`. (In a trial of eight passes over the data its faces were far cleaner than those of a U-Net that printed the noise.) Nothing is divided by a signal rate of 0.02, either.
#
# It is made of residual blocks. Each normalises its input in groups of channels {cite}`wu2018group`, convolves, adds the embedded noise variance to every place, normalises, convolves again, and adds the result to what came in. (Batch normalisation would be a poor choice: its averages mix all strengths of noise, while in sampling all pictures have one. Group normalisation treats each picture by itself.) The last convolution of each block starts at zero, so that each block begins as its shortcut alone.

# %% tags=["model"]
def residual_block(maps, embedding, filters):
    shortcut = maps if maps.shape[-1] == filters else layers.Conv2D(filters, 1)(maps)
    maps = layers.Activation("swish")(layers.GroupNormalization(8)(maps))
    maps = layers.Conv2D(filters, 3, padding="same")(maps)
    noise_level = layers.Reshape((1, 1, filters))(layers.Dense(filters)(embedding))
    maps = layers.Add()([maps, noise_level])              # the same at every place
    maps = layers.Activation("swish")(layers.GroupNormalization(8)(maps))
    maps = layers.Conv2D(filters, 3, padding="same", kernel_initializer="zeros")(maps)
    return layers.Add()([shortcut, maps])


# %% [markdown]
# At full size the maps are few, because there each costs most. The last convolution starts at zero: an untrained network guesses the mean picture, with zeros everywhere.

# %% tags=["model"]
def build_unet():
    noisy, variance = keras.Input((SIDE, SIDE, CHANNELS)), keras.Input((1,))
    embedding = layers.Dense(128, activation="swish")(SinusoidalEmbedding()(variance))
    fine = layers.Conv2D(FINE, 3, padding="same")(noisy)  # [batch, 32, 32, 24]
    maps = layers.Conv2D(WIDTHS[0], 2, strides=2)(fine)   # [batch, 16, 16, 64]
    skips = []
    for filters in WIDTHS[:-1]:
        maps = residual_block(maps, embedding, filters)
        skips.append(maps)                                # [batch, 16, 16, 64], [batch, 8, 8, 96]
        maps = layers.AveragePooling2D(2)(maps)
    for _ in range(2):
        maps = residual_block(maps, embedding, WIDTHS[-1])  # [batch, 4, 4, 128]
    for filters in reversed(WIDTHS[:-1]):
        maps = layers.UpSampling2D(2)(maps)
        maps = layers.Concatenate()([maps, skips.pop()])
        maps = residual_block(maps, embedding, filters)
    maps = layers.UpSampling2D(2)(layers.Conv2D(FINE, 1)(maps))
    maps = residual_block(layers.Add()([maps, fine]), embedding, FINE)
    maps = layers.Activation("swish")(layers.GroupNormalization(8)(maps))
    clean = layers.Conv2D(CHANNELS, 3, padding="same", kernel_initializer="zeros")(maps)
    share = layers.Reshape((1, 1, 1))(variance)           # b² at every pixel
    noise = (noisy - ops.sqrt(1 - share) * clean) / ops.sqrt(share)
    return keras.Model([noisy, variance], noise, name="unet")


# %% [markdown]
# The loss is the mean *squared* error of the noise, which asks for the mean, as the identity with the score does. The recipe that we start from {cite}`beres2022ddim,foster2023generative` takes the absolute error. That asks for the *median*, and a median leaves out what is rare. (In a trial with the absolute error, the judge below saw beards on 1 % of the samples and on 14 % of the real faces.)

# %% tags=["model"]
faces = DiffusionModel(build_unet, offset_cosine, ERROR)
face_batches = training.batches(normalise(x_train[:PICTURES]), batch_size=BATCH_SIZE, seed=SEED)
faces(normalise(x_test[:2]))                              # builds all weights
rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, EPOCHS * len(face_batches))
faces.compile(keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY, global_clipnorm=1.0))
print(f"{faces.network.count_params():,} parameters, {len(face_batches):,} updates per pass")

# %%
some_noise = np.random.default_rng(SEED).standard_normal((64, SIDE, SIDE, CHANNELS))
assert np.allclose(ask(faces.average, some_noise, 0.5), some_noise / 0.5, rtol=1e-5)
untrained = float(faces.evaluate(normalise(x_test[:1_000]), batch_size=100, verbose=0))
a, b = (ops.convert_to_numpy(rate) for rate in offset_cosine(np.linspace(0, 1, 1_001)))
expected = float(ops.mean(ERROR(a / b)) * ops.mean(ERROR(normalise(x_test[:1_000]))))
assert abs(untrained / expected - 1) < 0.25               # the error is a / b times the picture
print(f"loss of the untrained network: {expected:.1f} expected, found within 25 %")

# %% [markdown]
# ## How to measure faces
#
# The measuring network of chapter 2 knows faces of 64 pixels, so our 32 are enlarged before it sees them, real and generated ones by the same rule. Does it still recognise the attributes of real test faces?

# %%
def enlarge(pictures):
    """Pictures as the measuring network wants them, in 256 brightnesses like real files."""
    pictures, size = np.rint(255 * pictures) / np.float32(255), data.x_train.shape[1:3]
    if size[0] < SIDE:                                    # a frame to be taken off again
        margin = (SIDE - size[0]) // 2
        return pictures[:, margin:-margin, margin:-margin]
    factor = size[0] // SIDE
    return pictures.repeat(factor, axis=1).repeat(factor, axis=2)


judge = weights.restore_model(f"cnn/features_{DATASET}")
feature_network = keras.Model(judge.inputs[0], judge.get_layer("features").output)


def features(pictures):
    parts = np.array_split(pictures, max(1, len(pictures) // 500))
    return np.concatenate([metrics.features(feature_network, enlarge(part)) for part in parts])


# %%
few = slice(500)
originals = datasets.scale(data.x_test[few])
answers = [judge.predict_on_batch(pictures) for pictures in (originals, enlarge(x_test[few]))]
truths = {name: truth[few] for name, (_, truth, _) in data.attributes.items()}
chance = {name: np.bincount(truth).max() / len(truth) for name, truth in truths.items()}
legible = {
    name: [np.mean(answer[name].argmax(axis=1) == truth) for answer in answers]
    for name, truth in truths.items()
}
results.show_table(
    ["attribute", "most frequent answer", "read at 64 pixels", "read after 32 pixels"],
    [[name, f"{chance[name]:.2f}", f"{sharp:.2f}", f"{soft:.2f}"]
     for name, (sharp, soft) in legible.items()],
)
assert not legible or np.median([soft for _, soft in legible.values()]) > 0.8
lost_sight = [
    name for name, (sharp, soft) in legible.items()
    if soft - chance[name] < (2 / 3) * (sharp - chance[name])  # gain over the most frequent answer
]
print("lose a third or more of what can be read:", ", ".join(lost_sight))

# %% [markdown]
# Those of the last line are read poorly at this size, so the numbers below may not notice when one of them is drawn badly. For those we have to look.
#
# The *kernel inception distance* {cite}`binkowski2018demystifying` compares two sets of pictures by the features of this network; it is zero on average if both come from one distribution. We call it KID-portraits, at 32 pixels: another number than that of the notebook on faces, where the pictures were larger.

# %%
def kid(real_features, pictures):
    """KID and its standard deviation over ten subsets of half the size."""
    fake_features = features(pictures)
    half = min(len(real_features), len(fake_features)) // 2
    return metrics.kernel_distance(
        real_features, fake_features, subsets=10, subset_size=half, seed=SEED
    )


def predictor(network):
    return lambda noisy, rates: ask(network, noisy, rates[1])


def starting_noise(count, seed=SEED):
    shape = (count, SIDE, SIDE, CHANNELS)
    return np.random.default_rng([seed, 1]).standard_normal(shape, dtype="float32")


def generate(count, steps=STEPS, network=faces.average, **options):
    start = starting_noise(count)
    return to_pictures(sample(predictor(network), start, steps, offset_cosine, **options))


# %% [markdown]
# ## Training
#
# On the way we measure the KID at a few points, for the trained network and for the average, on validation pictures.

# %%
def measuring_points(epochs):
    return np.unique(np.geomspace(1, epochs, 9).round().astype(int)).tolist()


class Watch(keras.callbacks.Callback):
    """Adds the KID of both networks to the log; between the measurements, the last one again."""

    def on_train_begin(self, logs=None):
        self.real_features, self.latest = features(x_validation[: 2 * CURVE_PICTURES]), None

    def on_epoch_end(self, epoch, logs=None):
        if self.latest is None or epoch + 1 in measuring_points(EPOCHS):
            networks = {"kid_average": self.model.average, "kid_trained": self.model.network}
            self.latest = {
                name: kid(self.real_features, generate(CURVE_PICTURES, CURVE_STEPS, network))[0]
                for name, network in networks.items()
            }
        logs.update(self.latest)


# %% tags=["nbval-ignore-output"]
run = training.fit(
    faces, face_batches, epochs=EPOCHS, callbacks=[Watch()],
    validation=(normalise(x_validation if is_full_run() else x_validation[:128]), None),
    checkpoint=f"ddm_{DATASET}_{SEED}",
)
assert run.history["loss"][-1] < 0.99 * expected          # better than the untrained network

# %%
if is_full_run():
    weights.release(faces, f"ddm/{DATASET}", run, publish=publishable)  # both networks
runs["faces"] = run = weights.restore(faces, f"ddm/{DATASET}")
print(f"weights of a run with {run.updates:,} updates")

# %% mystnb={"image": {"alt": "Left: falling curves of the squared error by epoch for training and validation. Right: KID against minutes: that of the average falls, that of the trained network jumps about"}, "figure": {"caption": "The full run. Left: squared error of the noise; on validation pictures by the average. Right: KID-portraits of 500 faces of 10 steps against validation pictures, by minutes (an epoch's share of the whole run, measuring included).", "name": "fig-ddm-curve"}}
history, epochs = run.history, len(run.history["loss"])
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4))
axes[0].plot(range(1, epochs + 1), history["loss"], label="training")
axes[0].plot(range(1, epochs + 1), history["val_loss"], "--", label="validation")
axes[0].set(xlabel="epoch", ylabel="squared error of the noise")
measured = np.array(measuring_points(epochs))
minutes = measured * run.seconds / epochs / 60
for name, label in [("kid_trained", "trained network"), ("kid_average", "average")]:
    axes[1].plot(minutes, np.array(history[name])[measured - 1], "o-", label=label)
axes[1].set(xlabel="minutes, measuring included", ylabel="KID-portraits", yscale="log", xscale="log")
for axis in axes:
    axis.legend()
plt.show()

# %%
early = max(point for point in measured if point <= epochs // 2)     # KID was measured there


def around(epoch):                                        # the mean of eight: one epoch scatters
    return np.mean(history["val_loss"][max(0, epoch - 8) : epoch])


gains = {"val_loss": 1 - around(epochs) / around(early),
         "kid_average": 1 - history["kid_average"][-1] / history["kid_average"][early - 1]}
assert gains["kid_average"] > max(0, gains["val_loss"])
print(f"after epoch {early} of {epochs} the error still falls by {gains['val_loss']:.0%}, "
      f"the KID by {gains['kid_average']:.0%}")

# %% [markdown]
# Part of the error is, as on the line, uncertainty that no network can remove.
#
# ## Where is there anything to learn?
#
# The error depends on the noise rate. At the noisy end all is noise, and whoever answers with the noisy picture itself is nearly right. At the clean end there is little noise to be found, and much picture in the way. To see what the network adds we compare with the best predictor that a *Gaussian* model of the pictures can give. It is linear: along each principal component of variance $\lambda$, $\mathbb{E}[\epsilon \mid x_t] = b_t / (a_t^2 \lambda + b_t^2)$ times the component of $x_t$ minus the noisy mean. (All directions beyond the first 256 share one small variance. With this predictor and many steps, the sampler would draw from that Gaussian, in essence from the trivial generator.)

# %%
gaussian = PCA(COMPONENTS, random_state=SEED)
gaussian.fit(normalise(x_train).reshape(-1, SIDE * SIDE * CHANNELS))


def linear_noise(noisy, rates):
    signal, noise = (np.reshape(rate, (-1, 1)) for rate in rates)                # one per picture
    centred = noisy.reshape(len(noisy), -1) - signal * gaussian.mean_
    inside = centred @ gaussian.components_.T                                    # [n, 256]
    outside = centred - inside @ gaussian.components_
    strong = noise / (signal**2 * gaussian.explained_variance_ + noise**2) * inside
    weak = noise / (signal**2 * gaussian.noise_variance_ + noise**2) * outside
    return (strong @ gaussian.components_ + weak).reshape(noisy.shape)


# %%
def noise_errors(pictures, times, predict, seed=SEED):
    """Absolute error of the noise, mean over each picture: [n]; times: one number, or [n]."""
    noise = np.random.default_rng([seed, 2]).standard_normal(pictures.shape, dtype="float32")
    rates = offset_cosine(np.broadcast_to(times, len(noise)))
    signal, strength = rates = [ops.convert_to_numpy(rate) for rate in rates]     # [n] each
    noisy = signal[:, None, None, None] * normalise(pictures)
    noisy = noisy + strength[:, None, None, None] * noise
    return np.abs(predict(noisy, rates) - noise).mean(axis=(1, 2, 3))


levels = np.linspace(0, 1, 9)
by_level = {
    name: [noise_errors(x_test[:100], time, predict).mean() for time in levels]
    for name, predict in [("U-Net", predictor(faces.average)), ("Gaussian", linear_noise)]
}
assert np.mean(by_level["U-Net"]) < np.mean(by_level["Gaussian"])
assert by_level["U-Net"][-1] < 0.5 * by_level["U-Net"][4]  # easy at the end, not in the middle

# %% mystnb={"image": {"alt": "Error against noise rate: both curves fall from left to right, the U-Net well below the Gaussian in the middle, and both small at the right end"}, "figure": {"caption": "Absolute error of the noise on 100 test faces at nine noise rates. An answer of zero would score 0.80 everywhere.", "name": "fig-ddm-levels"}}
noise_levels = [rates_at(offset_cosine, time)[1] for time in levels]
for name, values in by_level.items():
    plt.plot(noise_levels, values, "o-", label=name)
plt.xlabel("noise rate")
plt.ylabel("absolute error of the noise")
plt.legend()
plt.show()

# %% [markdown]
# ## Drawing faces
#
# The sampler is the one from the line, unchanged. Forty faces, the first of a fixed seed, twenty steps each.

# %% tags=["cover"] mystnb={"image": {"alt": "Forty generated drawn faces with different hair, eyes, mouths and clothes"}, "figure": {"caption": "Forty faces, twenty steps each, unselected.", "name": "fig-ddm-samples"}}
generated = generate(SAMPLES)                             # [n, 32, 32, 3]
plots.image_grid(generated[:40], columns=10)
plt.show()

# %% [markdown]
# The film shows three of them on their way: above, the noisy picture, below, the clean guess at the same time. Large areas are decided first, small things last.

# %% tags=["nbval-ignore-output"]
way = list(denoise(predictor(faces.average), starting_noise(3), STEPS, offset_cosine))
frames = [mosaic(to_pictures(np.concatenate([noisy, clean])), 3) for noisy, clean in way]
films.show_film(
    np.stack(frames), alt="Above, three squares of noise become faces; below, soft guesses sharpen",
    labels=[f"step {number} of {STEPS}" for number in range(1, STEPS + 1)],
)

# %% [markdown]
# ## How many steps?
#
# Each step asks the network once, so twenty steps cost twenty times as much as one. The same noise with 1, 3, 5, 20 and 100 steps:

# %% mystnb={"image": {"alt": "Five rows of ten pictures: one step gives nearly the same blur everywhere, three and five steps give soft faces, twenty and a hundred clear ones"}, "figure": {"caption": "From the same ten handfuls of noise, with 1, 3, 5, 20 and 100 steps.", "name": "fig-ddm-steps"}}
ten_faces = [generate(10, steps) for steps in STEP_COUNTS]
plots.image_grid(
    np.concatenate(ten_faces), columns=10,
    row_labels=[f"{steps} step" + "s" * (steps > 1) for steps in STEP_COUNTS],
)
plt.show()

# %% [markdown]
# One step can give no more than the mean of all faces, since the first guess has seen nothing but noise. The rows show the *same* faces with more and more care. The table gives the KID of 2,000 pictures each, against all test faces, from the full run; the floor compares one half of the test faces with the other (fewer pictures, but KID is not biased by their number). Behind ± stands the spread over ten subsets of half the pictures.

# %%
def kid_key(steps):
    """The headline, without a number, is that of 20 steps."""
    return "kid" if steps == STEPS else f"kid_{steps}_steps"


def recorded(name, digits=2):
    """A value of this full run, or under quick the recorded one, as text."""
    if is_full_run():
        return f"{record.metrics[name]:.{digits}f}"
    found = results.headline("ddm", name, DATASET)
    return found.text(digits) if found else "–"


def with_sd(name):
    """The same for a KID, with its standard deviation over ten subsets."""
    found = results.headline("ddm", name, DATASET)
    sd = record.sd[name] if is_full_run() else found and found.own_sd
    return f"{recorded(name)} ± {sd:.2f}" if sd is not None else recorded(name)


# %%
record = results.Record("ddm", DATASET, data.source)
test_features = features(x_test if is_full_run() else x_test[: 2 * SAMPLES])
if is_full_run():
    half = len(x_test) // 2
    trivial = metrics.pca_gaussian_samples(x_train, SAMPLES, COMPONENTS, SEED)
    scored = {kid_key(steps): generate(SAMPLES, steps) for steps in STEP_COUNTS if steps != STEPS}
    scored |= {"kid": generated, "kid_trained": generate(SAMPLES, network=faces.network)}
    scored["kid_trivial"] = trivial
    for name, pictures in scored.items():
        value, sd = kid(test_features, pictures)
        record.metric(name, value, n=SAMPLES, sd=sd)
    value, sd = kid(test_features[:half], x_test[half:])
    record.metric("kid_floor", value, n=half, sd=sd)


# %%
shown = {"real faces, other half": "kid_floor", "trivial generator": "kid_trivial"}
shown |= {f"{steps} steps": kid_key(steps) for steps in STEP_COUNTS}
results.show_table(
    ["pictures", f"KID-{DATASET}, full run"],
    [[label, with_sd(name)] for label, name in shown.items()],
)
if is_full_run() and DATASET == "portraits":
    value = record.metrics                                # a ratio counts if both are clear of zero
    assert all(value[k] > 5 * record.sd[k] for k in ("kid", "kid_3_steps", "kid_trivial"))
    assert value["kid"] <= 0.5 * value["kid_3_steps"] and value["kid"] <= 0.3 * value["kid_trivial"]
    assert value["kid_1_steps"] > value["kid_3_steps"] > value["kid_5_steps"] > value["kid"]

# %% [markdown]
# FID {cite}`heusel2017gans` is biased upwards for few pictures, and there are only 2,000 test faces. So it stands beside a floor of the same size, test faces against 2,000 training faces (which the measuring network has seen, so that this floor is a little off).

# %%
if is_full_run():
    n = min(len(x_test), SAMPLES)
    for name, pictures in [("fid", generated), ("fid_trivial", trivial), ("fid_floor", x_train)]:
        distance = metrics.frechet_distance(test_features[:n], features(pictures[:n]))
        record.metric(name, distance, n=n)
results.show_table(
    ["pictures", f"FID-{DATASET}, full run"],
    [["real training pictures", recorded("fid_floor", 1)], ["20 steps", recorded("fid", 1)],
     ["trivial generator", recorded("fid_trivial", 1)]],
)

# %% [markdown]
# ## Between two faces
#
# A deterministic sampler is a map from noise to faces, so the noise serves as a code. To walk between two of them we must stay where noise lives. In 3,072 dimensions a draw has a length of about $\sqrt{3072} \approx 55$, nearly always. The straight line half way has only 0.71 times that length, weaker than any noise that the network has met at time 1. The *spherical* interpolation of the notebook on variational autoencoders {cite}`white2016sampling` keeps the length.

# %%
def slerp(first, second, share):
    product = np.sum(first * second) / np.linalg.norm(first) / np.linalg.norm(second)
    angle = np.arccos(product)
    return (np.sin((1 - share) * angle) * first + np.sin(share * angle) * second) / np.sin(angle)


first, second, third, fourth = starting_noise(4)
shares = np.linspace(0, 1, 9, dtype="float32")
sizes = [float(np.std(slerp(first, second, share))) for share in shares]
straight = [(1 - share) * first + share * second for share in shares]
assert np.allclose(sizes, 1, atol=0.03) and abs(np.std(straight[4]) - np.sqrt(0.5)) < 0.03
print(f"deviation half way: spherical {sizes[4]:.2f}, straight {np.std(straight[4]):.2f}")

# %% mystnb={"image": {"alt": "Three rows of nine faces: two rows morph between two faces through other clear faces, in the third the middle is washed out"}, "figure": {"caption": "Spherical interpolation between the noise of faces 1 and 2, and of 3 and 4; below, the straight line between 1 and 2.", "name": "fig-ddm-slerp"}}
walks = [slerp(*pair, share) for pair in [(first, second), (third, fourth)] for share in shares]
noise_walks = np.stack([*walks, *straight])
morphs = to_pictures(sample(predictor(faces.average), noise_walks, STEPS, offset_cosine))
plots.image_grid(morphs, columns=9, row_labels=["spherical", "spherical", "straight"])
plt.show()

# %% [markdown]
# ## The record
#
# The last measure is the error of the noise on test faces, each at its own time, spread evenly over the schedule.

# %%
test_times = np.random.default_rng(SEED).permutation((np.arange(len(x_test)) + 0.5) / len(x_test))
count = len(x_test) if is_full_run() else QUICK_TEST
both = {
    "noise_mae": noise_errors(x_test[:count], test_times[:count], predictor(faces.average)),
    "linear_noise_mae": noise_errors(x_test[:count], test_times[:count], linear_noise),
}
assert both["noise_mae"].mean() < both["linear_noise_mae"].mean() < np.sqrt(2 / np.pi)
for name, errors in both.items():
    record.metric(name, errors.mean(), n=count, sd=metrics.standard_error(errors))
first_errors = both["noise_mae"][:QUICK_TEST]
record.check(                                             # the same faces, times and noise:
    "noise_mae", first_errors.mean(), n=QUICK_TEST, sd=0.005 * first_errors.mean()  # only rounding
)

# %% tags=["nbval-ignore-output"]
quick_features = test_features[: 2 * QUICK_TEST]          # the same pictures in every budget
groups = [kid(quick_features, part)[0] for part in np.split(generated, SAMPLES // QUICK_TEST)]
spread = float(np.std(groups, ddof=1)) if is_full_run() else 0.0
record.check("kid", groups[0], n=QUICK_TEST, sd=spread)

# %%
record.metric("line.total_variation", learnt_variation, n=DRAWS)
record.metric("line.exact_total_variation", exact_variation[LINE_STEPS], n=DRAWS)
record.metric("gaussian_total_variation", variation(start), n=DRAWS)
record.metric("perfect_total_variation", perfect, n=DRAWS)
again = [variation(np.random.default_rng(i).choice(learnt_draws, DRAWS)) for i in range(20)]
record.check("line.total_variation", learnt_variation, n=DRAWS, sd=float(np.std(again, ddof=1)))
blind_variation = variation(sample(line_predictor(line_blind), start, LINE_STEPS, line_schedule))
record.metric("line_blind.total_variation", blind_variation, n=DRAWS)
record.save(
    parameters={"line": line.network.count_params(), "faces": faces.network.count_params()},
    updates={name: run.updates for name, run in runs.items()},
    seconds=sum(run.seconds for run in runs.values()),
    weight_names=["ddm/line", "ddm/line_blind", f"ddm/{DATASET}"],
)

# %% [markdown]
# ## What goes wrong
#
# None of the following raises an error by itself.
#
# **The average is never applied.** It is computed with care, and the sampler uses the trained network. The same noise, both networks, twenty steps:

# %% mystnb={"image": {"alt": "Two rows of ten faces from the same noise: with the averaged weights and with the trained ones; the second row differs in many places and has more blemishes"}, "figure": {"caption": "The same noise with the averaged weights (above) and with the trained ones of the last update (below).", "name": "fig-ddm-average"}}
pair = [generate(10, network=network) for network in (faces.average, faces.network)]
assert np.allclose(generate(10), pair[0], atol=1e-3)      # what `generate` uses by itself
assert np.abs(pair[0] - pair[1]).mean() > 0.01
plots.image_grid(np.concatenate(pair), columns=10, row_labels=["average", "trained"])
plt.show()

# %%
results.show_table(
    ["weights", f"KID-{DATASET} at 20 steps, full run"],
    [["average", with_sd("kid")], ["trained", with_sd("kid_trained")]],
)
if is_full_run():
    gap, sd = record.metrics["kid_trained"] - record.metrics["kid"], record.sd["kid_trained"]
    assert gap > max(sd, record.sd["kid"])

# %% [markdown]
# The assertion above the picture is the cheap insurance: what the sampler uses by itself must be the average.
#
# **The square root is forgotten.** Papers write $\bar\alpha_t$ for $a_t^2$, so it is easy to mix with $\bar\alpha_t$ and $1 - \bar\alpha_t$ where their roots belong. The sum of squares is then less than one, and the assertion at the beginning of this notebook would stop us. What would happen without it? On the line we know the exact predictor for any pair of rates, and can try all cases.

# %%
def without_root(times):
    signal, noise = line_schedule(times)
    return signal**2, noise**2


def noised_wrongly(noisy, rates):                         # learnt without the roots, used with them
    return exact_noise(noisy, (rates[0] ** 2, rates[1] ** 2))


def told_rightly(noisy, rates):                           # learnt with roots, mixed without
    return exact_noise(noisy, (math.sqrt(rates[0]), math.sqrt(rates[1])))


cases = {
    "where it belongs": (exact_noise, line_schedule),
    "missing in training": (noised_wrongly, line_schedule),
    "missing in sampling": (told_rightly, without_root),
    "missing in both": (exact_noise, without_root),
}
lost = {name: variation(sample(tabulated(predict), start, LINE_STEPS, schedule))
        for name, (predict, schedule) in cases.items()}
results.show_table(["the root is", "total variation"], [[k, f"{v:.3f}"] for k, v in lost.items()])
assert min(lost["missing in training"], lost["missing in sampling"]) > 0.2
assert max(lost["where it belongs"], lost["missing in both"]) < 0.02

# %% [markdown]
# A root that is missing in one place is fatal. Missing in both, it does no harm! With $\eta = 0$ the derivation never used that the squares sum to one, only that training and sampling agree. Rates that themselves sum to one are a respectable schedule, that of *rectified flow* {cite}`liu2023flow`. What is lost is the constant variance, on which the formula for $\eta > 0$ and the size of the network's input rely.
#
# **The noise variance is not given to the network.** The blind network of the first half has the same layers, the same training, the same sampler:

# %% mystnb={"image": {"alt": "Histogram of the blind network's samples, clearly different from the curve of the true density"}, "figure": {"caption": "100,000 samples of the network that is not told the noise variance, and the true density.", "name": "fig-ddm-line-blind"}}
blind_draws = sample(line_predictor(line_blind), start, LINE_STEPS, line_schedule)
assert blind_variation > 3 * learnt_variation
plt.hist(blind_draws, EDGES[0], density=True, color=plots.COLOURS[7], label="blind samples")
plt.plot(heights, density(heights), color=plots.COLOURS[1], label="true density")
plt.xlabel("number")
plt.ylabel("density")
plt.legend()
plt.show()

# %% [markdown]
# Its best answer is an average over all strengths of noise that could have led to this number, right for none of them. For pictures the failure should be milder (we did not train a blind U-Net), because a picture tells how noisy it is: neighbouring pixels of a drawing are mostly alike, and second differences are mostly noise.

# %%
estimates = []
for time in (0.2, 0.4, 0.6, 0.8):
    signal, noise = rates_at(offset_cosine, time)
    noise_now = np.random.default_rng(SEED).standard_normal((200, SIDE, SIDE, CHANNELS))
    spoilt = signal * normalise(x_test[:200]) + noise * noise_now
    bends = spoilt[:, :, 2:] - 2 * spoilt[:, :, 1:-1] + spoilt[:, :, :-2]      # zero on a slope
    estimates.append(np.median(np.abs(bends)) / 0.6745 / np.sqrt(6))           # of a Gaussian
    assert DATASET == "fashion_mnist" or abs(estimates[-1] - noise) < 0.1
print("a noise rate of 0.95 can be read off noisy faces, to within 0.1")

# %% [markdown]
# **The pictures are not normalised.** Brightnesses between 0 and 1 have a deviation of {glue:text}`ddm-contrast` instead of one, and meet the same noise. The faces drown much earlier, so that the network spends far more of its time on pictures in which there is nothing to be seen.

# %% mystnb={"image": {"alt": "Two rows of one face with growing noise: normalised, it stays visible until late; not normalised, it has vanished by the middle"}, "figure": {"caption": "The same noise rates on a normalised face (above) and on brightnesses between 0 and 1 (below), shown at the same contrast.", "name": "fig-ddm-normalise"}}
stages = [rates_at(offset_cosine, time) for time in np.linspace(0, 0.9, 8)]
one_face, one_noise = x_test[:1], film_noise[:1]
good = [to_pictures(a * normalise(one_face) + b * one_noise) for a, b in stages]
poor = [  # shown at the same contrast
    to_pictures((a * (one_face - centre) + b * one_noise) / np.hypot(a * contrast, b))
    for a, b in stages
]
plots.image_grid(
    np.concatenate(good + poor), columns=8, row_labels=["normalised", "not normalised"],
    titles=[f"noise {b:.2f}" for _, b in stages] * 2,
)
plt.show()

# %% [markdown]
# ## Lessons
#
# - A diffusion model is trained by regression: name the noise. Under the squared error the best answer is the score of the noisy data, times minus the noise rate.
# - The sampler follows from one sentence: keep some of the noise, replace some, so that the variances add up. How much is replaced is a free choice and, with enough small steps, does not change the distribution.
# - The clean guess is an average (for the absolute error, a median). That is why one step gives a blur and why the schedule should not end too early.
# - The loss says little about the pictures. Measure samples, at a stated number of steps, with a floor and a trivial generator beside them.
# - Normalise the data, tell the network the noise, check the squares, and sample from the average.
#
# **Things to try.** Sample faces with $\eta = 1$ (`generate(40, eta=1.0, generator=np.random.default_rng(0))`) and 20, then 200 steps. Set `HIGHEST_SIGNAL` to 0.95, or `ERROR` to `ops.abs`, and train again (with `GENBOOK_BUDGET=cpu`, since a quick run loads the weights of the old settings). `GENBOOK_DATASET=sprouts GENBOOK_BUDGET=cpu` draws potted plants, `fashion_mnist` clothes.

# %% [markdown]
# ## Exercises
#
# :::{exercise} Larger pictures need more noise
# :label: ddm-log-snr
#
# A schedule that hides faces of 32 pixels leaves those of 64 too visible at the same noise rate. Why? Complete two functions. `time_of` finds the time at which the offset cosine has a given log signal-to-noise ratio. `gain_of_averaging` says by how much the log signal-to-noise ratio of a *smooth* picture rises when every block of `block` by `block` pixels, each with its own noise, is replaced by its mean.
# :::

# %% [markdown]
# :::{solution-start} ddm-log-snr
# :class: dropdown
# :::
#
# The rates are cosine and sine of an angle $\alpha$, so the log signal-to-noise ratio is $-2 \log \tan \alpha$, and for a wanted ratio $\ell$ we need $\alpha = \arctan e^{-\ell / 2}$; from the angle, the time follows linearly. Averaging leaves a smooth signal as it is and divides the variance of the noise by the number of pixels, so the gain is $\log \mathrm{block}^2$. A picture of twice the side shows the same face with $\log 4 \approx 1.39$ more: whoever squints sees it through more noise. A schedule for larger pictures should be shifted down by as much.

# %% tags=["solution"]
def time_of(log_ratio):
    ### BEGIN SOLUTION
    first, last = math.acos(HIGHEST_SIGNAL), math.acos(LOWEST_SIGNAL)
    return (math.atan(math.exp(-log_ratio / 2)) - first) / (last - first)
    ### END SOLUTION


def gain_of_averaging(block):
    ### BEGIN SOLUTION
    return math.log(block**2)
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
for wanted in (3.0, 0.0, -2.5):
    a, b = rates_at(offset_cosine, time_of(wanted))
    assert abs(2 * math.log(a / b) - wanted) < 1e-3
squares_of_noise = np.random.default_rng(0).standard_normal((2_000, 12, 12))
for block in (2, 3):
    side = 12 // block
    means = squares_of_noise.reshape(-1, side, block, side, block).mean(axis=(2, 4))
    assert abs(gain_of_averaging(block) + math.log(means.var())) < 0.05
print("correct")

# %% [markdown]
# :::{exercise} What twenty steps lose
# :label: ddm-gaussian
#
# Let the data be Gaussian with mean zero and variance `variance`. The exact predictor is $\mathbb{E}[\epsilon \mid x_t] = b_t x_t / (a_t^2 \cdot \mathtt{variance} + b_t^2)$, so every step of the deterministic sampler multiplies the number by a factor. Return the variance of the samples after a given number of steps, without drawing any. For data of variance one the factor is the cosine of something; of what?
# :::

# %% [markdown]
# :::{solution-start} ddm-gaussian
# :class: dropdown
# :::
#
# With $g = b_t / (a_t^2 v + b_t^2)$ the clean guess is $(1 - b_t g) / a_t$ times $x_t$, and the step gives $a_s (1 - b_t g) / a_t + b_s g$ times $x_t$. The sampler returns the last clean guess. For $v = 1$ we have $g = b_t$, the guess is $a_t x_t$, and the factor is $a_s a_t + b_s b_t$: the cosine of the *angle between the two times*. It is below one, so few steps lose variance: twenty of them about a tenth. Such pictures are a little too grey. With the number of steps $K$ the loss falls like $1/K$, since $\cos^{2K}(c/K) \approx 1 - c^2 / K$.

# %% tags=["solution"]
def variance_of_samples(variance, steps, schedule):
    ### BEGIN SOLUTION
    times, factor = np.linspace(1, 0, steps + 1), 1.0
    for number in range(steps):
        now, after = (rates_at(schedule, time) for time in times[number : number + 2])
        guess = now[1] / (now[0] ** 2 * variance + now[1] ** 2)
        clean = (1 - now[1] * guess) / now[0]
        last = number == steps - 1
        factor *= clean if last else after[0] * clean + after[1] * guess
    return factor**2
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
draws = np.random.default_rng(0).standard_normal(50_000)
for variance, steps in [(1.0, 1), (1.0, 20), (0.3, 7)]:
    def gaussian_noise(x, rates, variance=variance):
        return rates[1] * x / (rates[0] ** 2 * variance + rates[1] ** 2)

    drawn = sample(gaussian_noise, draws, steps, line_schedule)
    expected = drawn.var() / draws.var()
    assert abs(variance_of_samples(variance, steps, line_schedule) / expected - 1) < 1e-3
assert 0.85 < variance_of_samples(1.0, 20, line_schedule) < 0.92
assert abs(variance_of_samples(0.3, 2_000, line_schedule) - 0.3) < 0.01
print("correct")

# %% [markdown]
# :::{exercise} Neither noise nor picture
# :label: ddm-velocity
#
# At time 1 the clean guess $(x_t - b_t \hat\epsilon) / a_t$ divides by 0.02: an error of a network that prints the noise is multiplied by 50. Near time 0, a network that draws $x$ has the opposite problem with the noise. {cite:t}`salimans2022progressive` let the network predict the *velocity* $v = a_t \epsilon - b_t x$. Complete the function that recovers both from $x_t$ and $v$. By which factor is an error of $v$ multiplied at worst?
# :::

# %% [markdown]
# :::{solution-start} ddm-velocity
# :class: dropdown
# :::
#
# Signal and noise rate are cosine and sine of an angle, so $(x_t, v)$ is $(x, \epsilon)$ rotated by it, and rotating back gives $x = a_t x_t - b_t v$ and $\epsilon = b_t x_t + a_t v$. No division is left: an error of $v$ is multiplied by $b_t \le 1$ in $x$, and by $a_t \le 1$ in $\epsilon$. (The velocity is also the derivative of $x_t$ by the angle, hence the name.)

# %% tags=["solution"]
def from_velocity(noisy, velocity, rates):
    """Returns the clean items and the noise, of the same shape as noisy."""
    ### BEGIN SOLUTION
    signal, noise = rates
    return signal * noisy - noise * velocity, noise * noisy + signal * velocity
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
true_clean, true_noise = np.random.default_rng(0).standard_normal((2, 1_000))
for time in (0.0, 0.35, 1.0):
    a, b = rates_at(offset_cosine, time)
    mixed, velocity = a * true_clean + b * true_noise, a * true_noise - b * true_clean
    recovered = from_velocity(mixed, velocity, (a, b))
    assert np.allclose(recovered[0], true_clean, atol=1e-5)
    assert np.allclose(recovered[1], true_noise, atol=1e-5)
    a_bit_off = from_velocity(mixed, velocity + 0.1, (a, b))
    assert np.abs(a_bit_off[0] - true_clean).max() < 0.1 + 1e-5
print("correct")

# %% [markdown]
# ## References
#
# Diffusion as a generative model: {cite:t}`sohldickstein2015nonequilibrium`; the form that made it work: {cite:t}`ho2020ddpm`; the deterministic sampler: {cite:t}`song2021ddim`; schedules: {cite:t}`nichol2021improved`; denoising and the score: {cite:t}`vincent2011connection`, and in continuous time {cite:t}`song2021sde`. Velocity: {cite:t}`salimans2022progressive`; rates that sum to one: {cite:t}`liu2023flow`. The U-Net: {cite:t}`ronneberger2015unet`; group normalisation: {cite:t}`wu2018group`; averaging: {cite:t}`polyak1992acceleration`; sines for numbers: {cite:t}`vaswani2017attention`. KID: {cite:t}`binkowski2018demystifying`; FID: {cite:t}`heusel2017gans`. The offset cosine and the compact recipe for pictures follow {cite:t}`beres2022ddim` and {cite:t}`foster2023generative`.
