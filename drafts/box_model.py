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
# # What is a generative model?
#
# Somebody shows you things: faces, melodies, sentences, points on a chart. You look at them long enough and then make *new* ones that could have come from the same source. A generative model is a machine that does this. We build three of them, from the simplest that deserves the name to a really good one, on data so small that everything can be seen and everything can be checked. NumPy and half a minute are enough, and every idea returns in the rest of the book at a larger scale.
#
# ![Four charts side by side, the true density of an archipelago, a box, a bell and a mixture, each with points drawn from it below; only the mixture resembles the truth](images/box_model.png)
#
# *The goal of this notebook: three models of the same birds, next to the truth. Top: how densely each believes the birds to be sown; bottom: the first thousand birds that it invents, not a selection.*

# %% [markdown]
# ## What to expect
#
# The score is the *negative log-likelihood* on birds that no model has seen, in nats per bird; lower is better, and we shall soon know exactly what it means. Because we invent the source ourselves, we also know the *optimum*, the score of the truth itself. The table is drawn from the recorded runs; ± is the standard deviation over three runs with different birds.

# %% tags=["hide-input", "setup"]
# Setup: a notebook opened on its own (Colab, an empty folder) fetches the rest of the book first
import os
import subprocess
import sys
import tomllib
from pathlib import Path

REPOSITORY = os.environ.get(
    "GENBOOK_REPOSITORY", "https://github.com/cell-by-cell/generative-models"
)
here = Path.cwd()
folders = (here, *here.parents, here / "generative-models")
ROOT = next((path for path in folders if (path / "helpers" / "budget.py").exists()), None)
if ROOT is None:
    ROOT = here / "generative-models"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", REPOSITORY, ROOT], check=True)
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *needed], check=True)
sys.path.insert(0, str(ROOT))

# %% tags=["imports"]
import time
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import scipy.special
import scipy.stats
from matplotlib.colors import PowerNorm
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture

from helpers import plots, results
from helpers.budget import current_seed

plots.use_style()

# %%
results.expectation(
    "box_model",
    dataset="archipelago",
    rows=[
        {"label": "test negative log-likelihood, nats per bird", "metric": "test_nll_nats",
         "baseline": "gaussian_nll_nats", "optimum": "true_nll_nats"},
        {"label": "the same, above the true density's on the same birds", "metric": "gap_nats",
         "baseline": "gaussian_gap_nats", "reference": "at most .05 was our target",
         "optimum": "0"},
        {"label": "species told from the position, accuracy", "metric": "generative_accuracy",
         "baseline": "majority_accuracy", "optimum": "optimal_accuracy"},
    ],
)

# %% [markdown]
# The baseline of the first two rows is a single bell, the Gaussian; that of the third always names the more frequent species.
#
# ## Settings
#
# All constants live in this one cell. Later notebooks distinguish a quick run from a full one; this one is so small that it always does the whole thing.

# %% tags=["settings"]
STARTED = time.monotonic()
SEED = current_seed()     # seeds birds and random starts; 0 unless a full run says otherwise
TRAINING = 8_000          # birds to which the models are fitted
VALIDATION = 4_000        # birds by which we choose between models
TEST = 100_000            # birds for the final score; many, so that the score is sharp
CANDIDATES = (1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 40)  # numbers of components to try
STARTS = 2                # random starts of the fit for every number of components
TOLERANCE = 1e-5          # the fit ends when a step gains less than this many nats per bird
QUICK_TEST = 10_000       # test birds on which the recorded score is measured again

# %% [markdown]
# ## The data: birds around an archipelago
#
# Terns and puffins live around a group of islands. Each sighting is a point on the chart, so many kilometres east and north of the lighthouse. Those who only see the points do not know the rule behind them. We do, because we now play nature and write it down.
#
# Every island is an oval swarm in its own coordinates, $u$ along it and $v$ across it, both normally distributed. Some are sandbanks that the tide has bent: the point $(u, v)$ is pushed across by $b \cos u$. Then the island is turned and put in its place.

# %% tags=["exercise-context"]
class Island(NamedTuple):
    share: float                  # of all birds
    centre: tuple[float, float]   # km east and north of the lighthouse
    length: float                 # standard deviation along the island, km
    width: float                  # standard deviation across it, km
    angle: float                  # degrees, anticlockwise from east
    bend: float                   # km by which the middle is pushed across
    terns: float                  # share of terns; the others are puffins


ISLANDS = [
    Island(0.22, (-4.4, 2.6), 1.50, 0.24, 65, 1.3, 0.90),
    Island(0.18, (3.4, 3.2), 1.50, 0.24, -30, 1.3, 0.10),
    Island(0.22, (0.3, -3.6), 1.50, 0.28, 12, -1.3, 0.85),
    Island(0.11, (-0.6, 0.6), 0.60, 0.38, 40, 0.0, 0.20),
    Island(0.09, (-5.2, -3.0), 0.70, 0.30, 120, 0.0, 0.10),
    Island(0.09, (5.4, -2.4), 0.65, 0.28, 60, 0.0, 0.15),
    Island(0.06, (-0.8, 4.9), 0.40, 0.24, -15, 0.0, 0.90),
    Island(0.03, (0.0, 0.0), 4.00, 3.20, 0, 0.0, 0.50),  # the open sea
]
shares = np.array([island.share for island in ISLANDS])
assert np.isclose(shares.sum(), 1)

# %% [markdown]
# To draw a bird: choose an island by its share, a place on it, a species. This recipe, from the hidden cause to what is seen, is called *ancestral sampling*, and it is already a generative model: nature's own.

# %% tags=["exercise-context"]
def island_directions(island):
    angle = np.deg2rad(island.angle)
    along = np.array([np.cos(angle), np.sin(angle)])
    return along, np.array([-along[1], along[0]])           # two unit vectors, [2] each


def draw_birds(count, generator):
    where = generator.choice(len(ISLANDS), size=count, p=shares)
    points, is_tern = np.empty((count, 2)), np.empty(count, dtype=bool)
    for index, island in enumerate(ISLANDS):
        here = where == index
        along, across = island_directions(island)
        u = island.length * generator.normal(size=here.sum())
        v = island.width * generator.normal(size=here.sum()) + island.bend * np.cos(u)
        points[here] = island.centre + u[:, None] * along + v[:, None] * across
        is_tern[here] = generator.random(here.sum()) < island.terns
    return points, is_tern                                  # [count, 2] in km, [count]


# %% [markdown]
# Three sets of birds, three roles that never mix. Models are fitted to the *training* birds; the *validation* birds decide between models; the *test* birds are used once, for the final score.

# %% tags=["exercise-context"]
nature = np.random.default_rng(SEED)
train, train_is_tern = draw_birds(TRAINING, nature)
validation, validation_is_tern = draw_birds(VALIDATION, nature)
test, test_is_tern = draw_birds(TEST, nature)

# %%
print(f"training {train.shape}, validation {validation.shape}, test {test.shape}")
assert np.isfinite(train).all() and not np.isin(test[:, 0], train[:, 0]).any()

# %% mystnb={"image": {"alt": "Chart with points in two colours: three bent sandbanks, four oval islands and scattered points at sea"}, "figure": {"caption": "The first 4,000 training birds. A model sees the points, and for most of this notebook not even the colours.", "name": "fig-box-model-data"}}
figure, axis = plt.subplots(figsize=(5, 5))
for species, marker, rows in [("tern", "o", train_is_tern), ("puffin", "^", ~train_is_tern)]:
    axis.scatter(*train[:4_000][rows[:4_000]].T, s=4, marker=marker, label=species)
axis.set(xlim=(-9, 9), ylim=(-9, 9), aspect="equal", xlabel="km east", ylabel="km north")
axis.legend(loc="upper right", markerscale=3)
plt.show()

# %% [markdown]
# ## The truth as a formula
#
# A *probability density* $p(x)$ says how thickly birds are sown at the point $x$: the chance of finding a bird in a small patch is the density there times the patch's area. Its unit is one per square kilometre, and over the whole sea it integrates to one.
#
# For our islands the density is known exactly. Turning does not change areas. Nor does bending: pushing $v$ by an amount that depends only on $u$ shears the plane like a pack of cards, and every small patch keeps its area. So the density of island $k$ at the point $x$ is the product of two normal densities, evaluated where $x$ lay before the island was bent and turned,
#
# $$ p_k(x) = \mathcal N\big(u;\, 0, a_k^2\big)\; \mathcal N\big(v - b_k \cos u;\, 0, c_k^2\big), \qquad p(x) = \sum_k w_k\, p_k(x), $$
#
# with length $a_k$, width $c_k$ and share $w_k$. (Bending a simple density while keeping account of areas is the idea of normalizing flows, chapter 6.)
#
# Far from all islands $p(x)$ is so small that a computer rounds it to zero. So we always calculate with logarithms, and add densities without leaving them: $\ln \sum_k e^{s_k} = m + \ln \sum_k e^{s_k - m}$ with $m$ the largest $s_k$. The largest term becomes $e^0 = 1$, and the sum can neither overflow nor vanish. The trick is called *log-sum-exp*.

# %% tags=["exercise-context"]
def log_sum_exp(values):                                    # [points, terms]
    top = values.max(axis=1, keepdims=True)
    return top[:, 0] + np.log(np.exp(values - top).sum(axis=1))


def log_normal(value, deviation):
    return -0.5 * (value / deviation) ** 2 - np.log(deviation) - 0.5 * np.log(2 * np.pi)


def true_log_terms(points):
    terms = []
    for island in ISLANDS:
        along, across = island_directions(island)
        u, v = (points - island.centre) @ along, (points - island.centre) @ across
        before = v - island.bend * np.cos(u)                # where the point lay before the bending
        terms.append(log_normal(u, island.length) + log_normal(before, island.width))
    return np.log(shares) + np.stack(terms, axis=1)         # [points, islands]


def true_log_density(points):
    return log_sum_exp(true_log_terms(points))              # [points], in nats


# %% [markdown]
# Our log-sum-exp must agree with SciPy's, and stay finite where the naive sum has long collapsed to zero.

# %%
assert np.allclose(
    true_log_density(train), scipy.special.logsumexp(true_log_terms(train), axis=1), atol=1e-12
)
far_away = np.array([[200.0, 0.0]])
assert np.exp(true_log_terms(far_away)).sum() == 0          # underflow: the logarithm would be -inf
assert np.isfinite(true_log_density(far_away)).all()
print(f"200 km out the log-density is {true_log_density(far_away)[0]:,.0f}, not minus infinity")

# %% [markdown]
# And the density must integrate to one. We lay a fine grid over a wide sea and add up density times area.

# %%
def grid_of(half_width, spacing):
    ticks = np.arange(-half_width, half_width + spacing / 2, spacing)
    return np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)   # [cells, 2], row by row


SEA, SEA_CELL = grid_of(20, 0.08), 0.08**2                  # a wide sea for integrals, km and km²
sea_log_density = true_log_density(SEA)
mass = np.exp(sea_log_density).sum() * SEA_CELL
assert abs(mass - 1) < 1e-6
print(f"the true density integrates to {mass:.6f}")

# %% [markdown]
# ## What a good model is
#
# A model offers its own density $p_\theta(x)$, where $\theta$ stands for everything that can be adjusted, the *parameters*. It should be close to the true $p$, but in real life nobody can look at $p$, only at points. So we ask: how probable does the model find birds that it has not seen? The *negative log-likelihood* (NLL) of $n$ test birds is
#
# $$ \mathrm{NLL} = -\frac1n \sum_{i=1}^n \ln p_\theta(x_i), $$
#
# in *nats* per bird (one nat is $1/\ln 2 \approx 1.44$ bits). For very many birds the average becomes an expectation under the truth, and
#
# $$ \mathbb E_{p}\big[-\ln p_\theta(x)\big] = \underbrace{\mathbb E_{p}\big[-\ln p(x)\big]}_{\text{entropy } H(p)} + \underbrace{\mathbb E_{p}\Big[\ln \frac{p(x)}{p_\theta(x)}\Big]}_{\mathrm{KL}(p \,\|\, p_\theta)} . $$
#
# The *entropy* belongs to nature; no model can change it. The *Kullback-Leibler divergence* {cite}`kullback1951information` is never negative, and zero only if the two densities agree. So a lower NLL means a model closer to the truth, and there is a floor that no model gets below except by luck with the test birds. Choosing $\theta$ so that the *training* birds become as probable as possible is called *maximum likelihood*.
#
# Where is the floor? The entropy is an integral, for our grid, and an average, for the test birds. The two must agree within the standard error of the average.

# %%
def mean_and_error(values):
    return values.mean(), values.std() / np.sqrt(len(values))   # the mean, its standard error


entropy = -(np.exp(sea_log_density) * sea_log_density).sum() * SEA_CELL
true_nll, true_error = mean_and_error(-true_log_density(test))
assert abs(true_nll - entropy) < 4 * true_error
print(f"entropy by integration {entropy:.3f} nats, by {TEST:,} test birds {true_nll:.3f}")

# %% [markdown]
# How can one get a feeling for such a number? A uniform density over an area $A$ has the value $1/A$, so its NLL is $\ln A$. Read backwards, an NLL of $h$ nats is as uncertain as a bird that may be anywhere in $e^h$ square kilometres, the model's *effective area*. Improving the score by $\ln 2 \approx 0.69$ nats halves the area that has to be searched.

# %%
print(f"effective area of the truth: {np.exp(entropy):.0f} km², on a chart of {18 * 18} km²")

# %% [markdown]
# ## First model: the box
#
# The least that a model can say: birds occur in a certain rectangle, anywhere in it with equal chance. Its parameters are the four sides. A box of area $A$ that contains all $n$ training birds has the likelihood $(1/A)^n$; a box that misses even one of them has zero. So maximum likelihood wants the *smallest box that contains all training birds*.

# %% tags=["exercise-context"]
def fit_box(points):
    return points.min(axis=0), points.max(axis=0)           # south-west and north-east corner


def box_log_density(box, points):
    low, high = box
    inside = ((points >= low) & (points <= high)).all(axis=1)
    return np.where(inside, -np.log(np.prod(high - low)), -np.inf)


def sample_box(box, count, generator):
    return generator.uniform(*box, size=(count, 2))


# %%
box = fit_box(train)
box_area = np.prod(box[1] - box[0])
box_train_nll = -box_log_density(box, train).mean()
assert np.isclose(box_train_nll, np.log(box_area))
print(f"box of {box_area:.0f} km²: {box_train_nll:.3f} nats per training bird")

# %% [markdown]
# Now the test birds, and a catastrophe.

# %%
outside = ~np.isfinite(box_log_density(box, test))
assert 0 < outside.sum() < 200
print(f"test NLL of the box: {-box_log_density(box, test).mean()}")
print(f"{outside.sum()} of {TEST:,} test birds lie outside the box")

# %% mystnb={"image": {"alt": "Wide chart with the fitted rectangle, the training birds inside it and some crosses beyond its edges"}, "figure": {"caption": "The box, the training birds (dots) and the test birds that the box calls impossible (crosses).", "name": "fig-box-model-box"}}
figure, axis = plt.subplots(figsize=(5.4, 4.8))
axis.scatter(*train.T, s=2, color=plots.COLOURS[5], label="training birds")
axis.scatter(*test[outside].T, s=30, marker="x", color=plots.COLOURS[1], label="outside the box")
axis.add_patch(plt.Rectangle(box[0], *(box[1] - box[0]), fill=False, linewidth=1.5))
axis.set(aspect="equal", xlabel="km east", ylabel="km north")
axis.legend(loc="upper left", bbox_to_anchor=(0, 1.16), ncols=2)
plt.show()

# %% [markdown]
# A model that declares something impossible pays an infinite price when it happens. Imagine the $n$ training birds and one new bird drawn together. The new one lies outside the box only if it is the westernmost, easternmost, southernmost or northernmost of all $n + 1$, and by symmetry each of these has probability $1/(n+1)$, *whatever the density*. So a new bird falls outside with a probability of at most $4/(n+1)$: rare for one bird, all but certain for some bird among many.
#
# The argument also suggests an honest repair: keep the probability $\varepsilon = 4/(n+1)$ in reserve, spread over the whole sea as a broad bell. This *leaky box* has the density $(1-\varepsilon)\, p_\text{box} + \varepsilon\, p_\text{bell}$, our first mixture of simpler models. For the bell we need the next section.
#
# ## Second model: the bell
#
# The Gaussian density in two dimensions has a mean $\mu$, where it is highest, and a covariance matrix $\Sigma$, which says how wide it is in which direction:
#
# $$ \ln \mathcal N(x; \mu, \Sigma) = -\tfrac12 (x-\mu)^\top \Sigma^{-1} (x-\mu) - \tfrac12 \ln \det \Sigma - \ln 2\pi . $$
#
# Setting the derivatives of the mean log-likelihood to zero gives the maximum in closed form: the mean of the points, and the mean of the products of their deviations. (The $n-1$ of statistics courses removes a bias, but the likelihood is highest with $n$.)
#
# We do not invert $\Sigma$. Its *Cholesky factor* $L$, the lower triangular matrix with $L L^\top = \Sigma$, does everything: $z = L^{-1}(x - \mu)$ makes the oval swarm round, so that the quadratic form is $z^\top z$; $\ln\det\Sigma$ is twice the sum of the logarithms on its diagonal; and $x = \mu + Lz$ with standard normal $z$ draws new birds.

# %% tags=["exercise-context"]
def fit_gaussian(points):
    deviations = points - points.mean(axis=0)
    return points.mean(axis=0), deviations.T @ deviations / len(points)  # [2], [2, 2]


def gaussian_log_density(gaussian, points):
    mean, covariance = gaussian
    factor = np.linalg.cholesky(covariance)                              # [2, 2], lower triangle
    z = np.linalg.solve(factor, (points - mean).T)                       # [2, points]
    log_root_determinant = np.log(np.diagonal(factor)).sum()
    return -0.5 * (z**2).sum(axis=0) - log_root_determinant - np.log(2 * np.pi)


def sample_gaussian(gaussian, count, generator):
    mean, covariance = gaussian
    return mean + generator.normal(size=(count, 2)) @ np.linalg.cholesky(covariance).T


# %% [markdown]
# Checks: SciPy computes the same density; at the maximum the quadratic form averages to exactly two, so that the training NLL is $1 + \ln 2\pi + \frac12 \ln\det\Sigma$; and moving the mean or stretching the covariance makes it worse.

# %%
gaussian = fit_gaussian(train)
at_maximum = -gaussian_log_density(gaussian, train).mean()
assert np.allclose(
    gaussian_log_density(gaussian, test), scipy.stats.multivariate_normal(*gaussian).logpdf(test)
)
assert np.isclose(at_maximum, 1 + np.log(2 * np.pi) + 0.5 * np.linalg.slogdet(gaussian[1])[1])
for moved, stretched in [(0.1, 1.0), (-0.1, 1.0), (0.0, 1.1), (0.0, 0.9)]:
    other = gaussian[0] + moved, gaussian[1] * stretched
    assert -gaussian_log_density(other, train).mean() > at_maximum
print(f"the bell: {at_maximum:.3f} nats per training bird, and nothing nearby is better")

# %% [markdown]
# Now the leaky box can be scored. Modesty is cheap: the reserve takes almost nothing from the birds inside and saves the model from infinity.

# %%
LEAK = 4 / (TRAINING + 1)


def leaky_box_log_density(points):
    return np.logaddexp(
        np.log1p(-LEAK) + box_log_density(box, points),
        np.log(LEAK) + gaussian_log_density(gaussian, points),
    )


box_nll, box_error = mean_and_error(-leaky_box_log_density(test))
gaussian_nll, gaussian_error = mean_and_error(-gaussian_log_density(gaussian, test))
assert true_nll < gaussian_nll < box_nll < np.inf
print(f"test NLL: leaky box {box_nll:.3f}, bell {gaussian_nll:.3f}, truth {true_nll:.3f} nats")

# %% [markdown]
# The bell beats the box and is still far from the truth. It can say "mostly in the middle", but around the middle of this archipelago is water.
#
# ## Third model: a mixture of bells
#
# The remedy is in nature's own recipe: several simple densities, each with its share. A *Gaussian mixture* has the density
#
# $$ p_\theta(x) = \sum_{k=1}^K \pi_k\, \mathcal N(x; \mu_k, \Sigma_k), \qquad \pi_k \ge 0, \quad \sum_k \pi_k = 1 . $$
#
# Sandbanks are bent and bells are not, so the family does not contain the truth. But with enough components it comes as close as you like: a bent island is a chain of short straight ones.

# %% tags=["exercise-context"]
class Mixture(NamedTuple):
    shares: np.ndarray        # [components], sum to one
    means: np.ndarray         # [components, dimensions]
    covariances: np.ndarray   # [components, dimensions, dimensions]


def log_terms(mixture, points):
    factors = np.linalg.cholesky(mixture.covariances)                 # [components, 2, 2]
    deviations = points.T - mixture.means[:, :, None]                 # [components, 2, points]
    z = np.linalg.inv(factors) @ deviations                           # [components, 2, points]
    log_root_determinants = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    constants = np.log(mixture.shares) - log_root_determinants
    constants = constants - 0.5 * points.shape[1] * np.log(2 * np.pi)
    return constants - 0.5 * (z**2).sum(axis=1).T                     # [points, components]


def mixture_log_density(mixture, points):
    return log_sum_exp(log_terms(mixture, points))                    # [points]


# %% [markdown]
# ## Learning: expectation and maximisation
#
# This time the logarithm stands before a sum, and no formula gives the maximum. If only we knew which component every bird came from! Then each could be fitted to its own birds like the bell. *Expectation-maximisation* (EM) {cite}`dempster1977em` makes do with a guess, and improves guess and parameters in turn:
#
# - **E-step.** For every bird $i$, compute the probability that it came from component $k$ under the present parameters, the component's *responsibility*: $r_{ik} = \pi_k \mathcal N(x_i; \mu_k, \Sigma_k) \,/\, p_\theta(x_i)$.
# - **M-step.** Fit every component to all birds, each counted as a fraction $r_{ik}$ of a bird. With $n_k = \sum_i r_{ik}$: $\;\pi_k = n_k / n$, $\;\mu_k = \sum_i r_{ik} x_i / n_k$, $\;\Sigma_k = \sum_i r_{ik} (x_i - \mu_k)(x_i - \mu_k)^\top / n_k$.

# %% tags=["exercise-context"]
def expect(mixture, points):
    terms = log_terms(mixture, points)                                # [points, components]
    log_density = log_sum_exp(terms)                                  # [points]
    return np.exp(terms - log_density[:, None]), log_density.mean()


def maximise(points, responsibilities):
    counts = responsibilities.sum(axis=0)                             # [components], n_k
    means = responsibilities.T @ points / counts[:, None]             # [components, 2]
    deviations = points.T - means[:, :, None]                         # [components, 2, points]
    weighted = responsibilities.T[:, None] * deviations               # [components, 2, points]
    covariances = weighted @ deviations.transpose(0, 2, 1) / counts[:, None, None]
    return Mixture(counts / len(points), means, covariances)


# %% [markdown]
# Why does this work? For any guess $q_{ik}$ with $\sum_k q_{ik} = 1$, Jensen's inequality (the logarithm of a mean is at least the mean of the logarithms) bounds the log-likelihood of a bird from below,
#
# $$ \ln p_\theta(x_i) = \ln \sum_k q_{ik}\, \frac{\pi_k \mathcal N(x_i; \mu_k, \Sigma_k)}{q_{ik}} \;\ge\; \sum_k q_{ik} \ln \frac{\pi_k \mathcal N(x_i; \mu_k, \Sigma_k)}{q_{ik}} . $$
#
# With $q_{ik} = r_{ik}$ the fraction does not depend on $k$ and the two sides are equal: the E-step lifts the bound until it touches. The M-step then maximises the bound over the parameters, for which there is a formula because the logarithm now stands *inside* the sum. Raising a bound that touches must raise what it bounds, so **the likelihood can never fall**. Remember this bound: with neural networks in it, it is the loss of the variational autoencoder (chapter 3).

# %% tags=["exercise-context"]
def random_start(points, components, generator):
    chosen = generator.choice(len(points), size=components, replace=False)
    wide = fit_gaussian(points)[1] / components             # together they cover about the whole
    return Mixture(
        np.full(components, 1 / components), points[chosen], np.tile(wide, (components, 1, 1))
    )


def fit_mixture(points, start, maximise=maximise, steps=1_000):
    mixture, history = start, []
    for _ in range(steps):
        responsibilities, log_likelihood = expect(mixture, points)
        history.append(log_likelihood)                      # of the mixture before this step
        if len(history) > 1 and history[-1] - history[-2] < TOLERANCE:
            break
        mixture = maximise(points, responsibilities)
    return mixture, np.array(history)


# %% [markdown]
# First the inequality itself: with the responsibilities the bound equals the log-likelihood, with other guesses it lies below.

# %%
start = random_start(train, 12, np.random.default_rng([SEED, 5]))
terms = log_terms(start, train)
responsibilities, log_likelihood = expect(start, train)


def bound(guess):                                                     # [points, components]
    return (guess * (terms - np.log(guess))).sum(axis=1).mean()


assert np.isclose(bound(responsibilities.clip(1e-300)), log_likelihood, atol=1e-9)
for blur in [0.01, 0.1, 0.5]:
    assert bound((1 - blur) * responsibilities + blur / 12) < log_likelihood
print("the bound touches at the responsibilities and lies below everywhere else")

# %% [markdown]
# Now watch it run. Twelve components begin as equal ovals at random birds.

# %%
def draw_ovals(axis, mixture, colour="black"):
    angles = np.linspace(0, 2 * np.pi, 60)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)       # [60, 2]
    for share, mean, covariance in zip(*mixture):
        oval = mean + 2 * circle @ np.linalg.cholesky(covariance).T   # two standard deviations
        axis.plot(*oval.T, color=colour, linewidth=0.6 + 8 * share)


def draw_chart(axis, points, title, size=1.0):
    axis.scatter(*points.T, s=size, color=plots.COLOURS[0], alpha=0.5, linewidths=0)
    axis.set(xlim=(-9, 9), ylim=(-9, 9), aspect="equal", xticks=[], yticks=[])
    axis.set_title(title, fontsize=10)
    axis.spines[:].set_visible(True)


# %% mystnb={"image": {"alt": "Four charts: twelve equal ovals at the start, then ovals that stretch and turn until they lie along the islands"}, "figure": {"caption": "EM at work: the components (ovals of two standard deviations, thicker for larger shares) after 0, 3, 10 and 100 steps or fewer.", "name": "fig-box-model-em"}}
figure, axes = plt.subplots(1, 4, figsize=(11, 3))
for axis, steps in zip(axes, [0, 3, 10, 100]):
    stage, _ = fit_mixture(train, start, steps=steps)
    draw_chart(axis, train[:2_000], f"{steps} steps")
    draw_ovals(axis, stage)
plt.show()

# %% [markdown]
# A theorem that can be checked should be: apart from rounding, no step may lower the likelihood.

# %%
mixture_12, history = fit_mixture(train, start)
assert (np.diff(history) > -1e-12).all()
assert np.isclose(mixture_12.shares.sum(), 1)
print("the likelihood rose, or stood still, in every single step")

# %% [markdown]
# And an independent implementation should agree. From the same start, with the same stopping rule, scikit-learn's `GaussianMixture` must find the same likelihood. (By default it adds a small constant to every variance, for a reason that we shall meet; `reg_covar=0` asks for plain EM.)

# %%
theirs = GaussianMixture(
    12,
    weights_init=start.shares,
    means_init=start.means,
    precisions_init=np.linalg.inv(start.covariances),
    reg_covar=0,
    tol=TOLERANCE,
    max_iter=1_000,
).fit(train)
ours = mixture_log_density(mixture_12, test)
assert np.isclose(theirs.score(train), history[-1], atol=1e-4)
assert np.abs(theirs.score_samples(test) - ours).mean() < 1e-2
print(f"ours {history[-1]:.3f}, scikit-learn {theirs.score(train):.3f} nats per training bird")

# %% [markdown]
# ## How many components?
#
# More components can always fit the training birds better, so the training birds cannot answer. The validation birds can: a component that merely follows the accidents of the training birds does nothing for them. EM finds a *local* optimum that depends on the start, so every number of components gets more than one start.

# %%
def search(points, validation_points, candidates):
    found = []
    for components in candidates:
        for start_number in range(STARTS):
            generator = np.random.default_rng([SEED, components, start_number])
            start = random_start(points, components, generator)
            try:
                mixture, history = fit_mixture(points, start)
            except np.linalg.LinAlgError:                   # a collapse: see "What goes wrong"
                continue
            nll = -mixture_log_density(mixture, validation_points).mean()
            found.append((nll, components, -history[-1], mixture, len(history)))
    return found


found = search(train, validation, CANDIDATES)
_, components, _, mixture, _ = min(found, key=lambda fit: fit[0])
updates = sum(fit[-1] for fit in found)
assert np.allclose(mixture_log_density(found[0][3], test), gaussian_log_density(gaussian, test))
print(f"{components} components do best on the validation birds")

# %%
def above_truth(nlls, points):
    """Nats per bird by which scores lie above that of the truth on the same birds."""
    return np.array(nlls) + true_log_density(points).mean()


numbers = [fit[1] for fit in found]
on_validation = above_truth([fit[0] for fit in found], validation)
on_training = above_truth([fit[2] for fit in found], train)
assert on_training[-1] < 0 < on_validation.min()

# %% mystnb={"image": {"alt": "Scores of training and validation birds against the number of components, relative to the truth: both fall, training below zero, validation levels off well above zero"}, "figure": {"caption": "The fits with twelve and more components (fewer do much worse): nats per bird above the score of the truth on the same birds. The thin line marks our choice.", "name": "fig-box-model-search"}}
figure, axis = plt.subplots(figsize=(6.4, 3.4))
axis.plot(numbers, on_training, "o", markersize=5, label="training birds")
axis.plot(numbers, on_validation, "s", markersize=5, label="validation birds")
axis.axhline(0, color="black", linestyle=":", label="truth")
axis.axvline(components, color=plots.COLOURS[8], linewidth=0.8)
axis.set(xlabel="components", ylabel="nats above the truth", xlim=(10, 42), ylim=(-0.06, 0.28))
axis.legend()
plt.show()

# %% [markdown]
# With many components the training score is *better than that of the truth*, the plainest sign of *overfitting* there is: the model has learnt these birds, not the sea. The validation score levels off. The distance between the two is what the model only pretends to know.
#
# ## Generation
#
# A mixture samples by nature's own recipe: choose a component by its share, then a point from that bell.

# %%
def sample_mixture(mixture, count, generator):
    chosen = generator.choice(len(mixture.shares), size=count, p=mixture.shares)
    factors = np.linalg.cholesky(mixture.covariances)[chosen]         # [count, 2, 2]
    z = generator.normal(size=(count, 2, 1))
    return mixture.means[chosen] + (factors @ z)[:, :, 0]             # [count, 2]


def draw_samples(count, seed):
    generator = np.random.default_rng(seed)
    return {
        "truth": draw_birds(count, generator)[0],
        "box": sample_box(box, count, generator),
        "bell": sample_gaussian(gaussian, count, generator),
        "mixture": sample_mixture(mixture, count, generator),
    }


densities = {
    "truth": true_log_density,
    "box": lambda points: box_log_density(box, points),
    "bell": lambda points: gaussian_log_density(gaussian, points),
    "mixture": lambda points: mixture_log_density(mixture, points),
}

# %% [markdown]
# Samples and density must belong together: the mixture's entropy, by integration, equals the average over its own samples.

# %%
sea_log_mixture = mixture_log_density(mixture, SEA)
sea_mixture = np.exp(sea_log_mixture)
own_entropy = -(sea_mixture * sea_log_mixture).sum() * SEA_CELL
own_samples = sample_mixture(mixture, 50_000, np.random.default_rng(6))
own_nll, own_error = mean_and_error(-mixture_log_density(mixture, own_samples))
assert abs(sea_mixture.sum() * SEA_CELL - 1) < 1e-3     # a density that does not sum to one cheats
assert abs(own_entropy - own_nll) < 4 * own_error
print(f"entropy of the mixture {own_entropy:.3f} nats, by its samples {own_nll:.3f}")

# %% [markdown]
# The four densities on the same axes, and below each a thousand birds drawn from it, as they come.

# %% tags=["cover"] mystnb={"image": {"alt": "Top: density charts of truth, box, bell and mixture on the same axes. Bottom: a thousand samples of each. The box is flat, the bell a single blur, the mixture shows the same islands as the truth"}, "figure": {"caption": "Truth and three models: densities in the same shading (square-root scale), and the first thousand samples of each.", "name": "fig-box-model-models"}}
CHART = grid_of(9, 0.09)
side = round(len(CHART) ** 0.5)
peak = np.exp(true_log_density(CHART)).max()
samples = draw_samples(1_000, seed=7)

figure, axes = plt.subplots(2, 4, figsize=(11, 5.8))
for (name, log_density), (top, bottom) in zip(densities.items(), axes.T):
    picture = np.exp(log_density(CHART)).reshape(side, side)
    top.imshow(picture, origin="lower", extent=(-9, 9, -9, 9), cmap="YlGnBu",
               norm=PowerNorm(0.5, 0, peak))
    top.set(title=name, xticks=[], yticks=[])
    top.spines[:].set_visible(True)
    draw_chart(bottom, samples[name], "", size=4)
axes[0, 0].set_ylabel("density")
axes[1, 0].set_ylabel("samples")
plt.show()

# %% [markdown]
# ## Evaluation
#
# Looking is not measuring. The *score* is the test NLL. The *gap*, the mean of $\ln p - \ln p_\theta$ over the test birds, estimates the Kullback-Leibler divergence; because truth and model are compared bird by bird, the luck of the draw cancels and it is known far more sharply than the NLL. A third number looks at the *samples*: how many land where birds are? We call *habitat* the region of highest true density that holds 99 % of all birds. (In real problems there is no true density to ask; chapter 4 will need other means.)

# %%
mixture_nll, mixture_error = mean_and_error(-mixture_log_density(mixture, test))
gap, gap_error = mean_and_error(true_log_density(test) - mixture_log_density(mixture, test))
gaussian_gap, gaussian_gap_error = mean_and_error(
    true_log_density(test) - gaussian_log_density(gaussian, test)
)
assert -2 * gap_error < gap < 0.05
print(f"gap of the mixture to the truth: {gap:.3f} ± {gap_error:.3f} nats (standard error)")
print(f"gap of the bell: {gaussian_gap:.3f} ± {gaussian_gap_error:.3f} nats")

# %%
shoreline = np.quantile(true_log_density(test), 0.01)      # 99 % of the birds live above it
many = draw_samples(20_000, seed=8)
habitat = {name: (true_log_density(points) > shoreline).mean() for name, points in many.items()}
assert abs(habitat["truth"] - 0.99) < 0.01 and habitat["mixture"] > 0.9 > habitat["bell"]
numbers = {"box": 4, "bell": 5, "mixture": 6 * components - 1, "truth": "–"}
scores = {"box": box_nll, "bell": gaussian_nll, "mixture": mixture_nll, "truth": true_nll}
results.show_table(
    ["model", "parameters", "test NLL (nats)", "effective area (km²)", "samples in the habitat"],
    [[name if name != "box" else "box (scored as leaky box)", numbers[name], f"{score:.3f}",
      f"{np.exp(score):.0f}", f"{habitat[name]:.1%}"] for name, score in scores.items()],
)

# %% [markdown]
# The NLL punishes hard what a model leaves out (a bird where it expects none is very expensive) and only mildly what it adds: spreading a few per cent of the samples over open water costs a few hundredths of a nat. Other families of models have the opposite character. To compare them, no single number will do.
#
# ## Two kinds of question
#
# Our birds have two species, and there are two ways to tell them apart. A **discriminative** model learns the answer, $p(\text{species} \mid x)$, and nothing else. A **generative** model learns how each species is spread, $p(x \mid \text{species})$, and how frequent it is, and gets the answer by *Bayes' rule*:
#
# $$ p(\text{tern} \mid x) = \frac{p(x \mid \text{tern})\, p(\text{tern})}{p(x \mid \text{tern})\, p(\text{tern}) + p(x \mid \text{puffin})\, p(\text{puffin})} . $$
#
# We fit one mixture to the terns and one to the puffins, by the same search as before.

# %%
species_mixture, log_prior = {}, {}
for is_tern in [True, False]:
    fits = search(
        train[train_is_tern == is_tern], validation[validation_is_tern == is_tern], (8, 12, 16, 20)
    )
    species_mixture[is_tern] = min(fits, key=lambda fit: fit[0])[3]
    log_prior[is_tern] = np.log((train_is_tern == is_tern).mean())


def generative_answer(mixtures, points):
    """The probability of 'tern' for each point, by Bayes' rule on two densities."""
    joint = {s: log_prior[s] + mixture_log_density(m, points) for s, m in mixtures.items()}
    return scipy.special.expit(joint[True] - joint[False])            # [points]


# %% [markdown]
# The discriminative model is *logistic regression*, which draws a straight line (the next notebook opens it up; here scikit-learn does the fitting), and a version that first turns the two coordinates into 169 features, little bumps on a grid, so that it can draw any smooth curve. And we know the best possible answer, because we know the shares of terns on each island: even it must err where the species mix.

# %%
BUMPS = grid_of(9, 1.5)                                               # [169, 2] centres


def bumps(points):
    distances = ((points[:, None] - BUMPS) ** 2).sum(axis=2)          # [points, 169]
    return np.exp(-0.5 * distances)


straight = LogisticRegression().fit(train, train_is_tern)
flexible = LogisticRegression(max_iter=1_000).fit(bumps(train), train_is_tern)


def optimal_answer(points):
    from_island = scipy.special.softmax(true_log_terms(points), axis=1)  # [points, islands]
    return from_island @ np.array([island.terns for island in ISLANDS])


answers = {
    "straight line": lambda points: straight.predict_proba(points)[:, 1],
    "flexible curve": lambda points: flexible.predict_proba(bumps(points))[:, 1],
    "two mixtures": lambda points: generative_answer(species_mixture, points),
    "best possible": optimal_answer,
}

# %% mystnb={"image": {"alt": "Four charts of the probability of a tern: a straight border for logistic regression, patchy regions for the flexible curve and the mixtures, which resemble the best possible answer near the islands"}, "figure": {"caption": "The probability that a bird at this place is a tern (blue) or a puffin (red), by four methods. Far from all birds the methods disagree, and none has a reason.", "name": "fig-box-model-species"}}
figure, axes = plt.subplots(1, 4, figsize=(11, 3.2))
for axis, (name, answer) in zip(axes, answers.items()):
    picture = answer(CHART).reshape(side, side)
    image = axis.imshow(
        picture, origin="lower", extent=(-9, 9, -9, 9), cmap="RdBu", vmin=0, vmax=1
    )
    axis.scatter(*train[:1_500].T, s=1, color="black", alpha=0.4, linewidths=0)
    axis.set(title=name, xticks=[], yticks=[], xlim=(-9, 9), ylim=(-9, 9))
figure.colorbar(image, ax=axes, label="probability of a tern", shrink=0.8)
plt.show()

# %%
few, few_are_terns = test[:20_000], test_is_tern[:20_000]
probability = {name: answer(few) for name, answer in answers.items()}
accuracy = {name: ((p > 0.5) == few_are_terns).mean() for name, p in probability.items()}
majority = max(few_are_terns.mean(), 1 - few_are_terns.mean())
accuracy_error = np.sqrt(majority * (1 - majority) / len(few))        # an upper bound for all rows
assert majority < accuracy["straight line"] < accuracy["two mixtures"]
assert accuracy["two mixtures"] <= accuracy["best possible"] + 4 * accuracy_error


def cross_entropy(p):
    return -np.log(np.where(few_are_terns, p, 1 - p)).mean()


results.show_table(
    ["method", "accuracy", "cross-entropy (nats)"],
    [["always the more frequent species", f"{majority:.3f}", "–"]]
    + [[n, f"{a:.3f}", f"{cross_entropy(probability[n]):.3f}"] for n, a in accuracy.items()],
)

# %% [markdown]
# As a classifier the generative detour has no advantage over a flexible discriminative model, and on pictures it usually loses: why describe a whole face only to say whether it smiles? (With few labels the balance can tip {cite}`ng2002discriminative`.) But try to ask the discriminative model anything else.
#
# **"Show me a puffin."** It has never learnt where puffins are. The mixture draws one in a line.
#
# **"Is this report plausible?"** A volunteer has swapped the two coordinates, or typed nonsense. A discriminative model names a species anyway, often with great confidence. A density can say "I have never seen such a thing". We sound the alarm when the mixture's density is below that at 99 % of the validation birds, so that about one true report in a hundred is questioned without need.

# %%
alarm_below = np.quantile(mixture_log_density(mixture, validation), 0.01)
reports = {
    "true reports": few,
    "coordinates swapped": few[:, ::-1],
    "sign of east lost": np.abs(few) * [1, 0] + few * [0, 1],
    "anywhere on the chart": np.random.default_rng(9).uniform(-9, 9, size=(20_000, 2)),
}
alarm = {n: (mixture_log_density(mixture, p) < alarm_below).mean() for n, p in reports.items()}
assert alarm["true reports"] < 0.02 and alarm["coordinates swapped"] > 0.2
results.show_table(["reports", "questioned"], [[n, f"{share:.1%}"] for n, share in alarm.items()])

# %%
absurd = np.array([[40.0, -40.0]])                          # nearly 60 km from the lighthouse
certainty = straight.predict_proba(absurd).max()
assert certainty > 0.8
assert mixture_log_density(mixture, absurd)[0] < mixture_log_density(mixture, train).min() - 10
print(f"the straight line names a species with {certainty:.0%} confidence; the mixture objects")

# %% [markdown]
# **"The north coordinate is missing."** A density over both coordinates contains everything that can be said about one, or about one given the other. For a Gaussian mixture the *marginal* is had by dropping rows and columns, and the *conditional* density is a quotient, $p(\text{north} \mid \text{east}) = p(\text{east}, \text{north}) / p(\text{east})$.

# %%
def marginal_east(mixture):
    return Mixture(mixture.shares, mixture.means[:, :1], mixture.covariances[:, :1, :1])


east, norths = 3.0, np.arange(-20, 20, 0.01)
line = np.stack([np.full_like(norths, east), norths], axis=1)         # [4000, 2]
conditional = np.exp(
    mixture_log_density(mixture, line)
    - mixture_log_density(marginal_east(mixture), line[:1, :1])
)
true_conditional = np.exp(true_log_density(line))
true_conditional /= true_conditional.sum() * 0.01                     # normalised on the line
assert abs(conditional.sum() * 0.01 - 1) < 1e-3
mean_north = (norths * conditional).sum() * 0.01
assert np.interp(mean_north, norths, true_conditional) < 0.1 * true_conditional.max()

# %% mystnb={"image": {"alt": "Conditional density of the north coordinate with two summits, south and north; the model's curve lies close to the truth"}, "figure": {"caption": "Where is a bird that was seen 3 km east of the lighthouse? The mixture's answer and the truth.", "name": "fig-box-model-conditional"}}
figure, axis = plt.subplots(figsize=(6.4, 2.8))
axis.fill_between(norths, true_conditional, color=plots.COLOURS[5], alpha=0.5, label="truth")
axis.plot(norths, conditional, color=plots.COLOURS[1], label="mixture")
axis.set(xlim=(-9, 9), xlabel="km north", ylabel="density per km")
axis.legend()
plt.show()

# %% [markdown]
# There are two answers, and their average would be a place in the water. When several answers are right, the mean may be none of them, and a sample is better. Bayes' rule also tells the species from the east coordinate alone. Logistic regression has no such option and must be fed something for the missing number, for instance the mean.

# %%
east_only = {s: marginal_east(m) for s, m in species_mixture.items()}
without_north = ((generative_answer(east_only, few[:, :1]) > 0.5) == few_are_terns).mean()
filled = np.column_stack([few[:, 0], np.full(len(few), train[:, 1].mean())])
guesses = {n: ((answers[n](filled) > 0.5) == few_are_terns).mean() for n in list(answers)[:2]}
assert without_north > max(guesses.values())
results.show_table(
    ["species from the east coordinate alone", "accuracy"],
    [["two mixtures, north left out", f"{without_north:.3f}"]]
    + [[f"{name}, mean put in", f"{value:.3f}"] for name, value in guesses.items()],
)

# %% [markdown]
# What was measured goes into the book's record.

# %%
record = results.Record(
    "box_model", "archipelago", f"birds drawn in the notebook, {TRAINING:,} + {VALIDATION:,}"
)
record.metric("test_nll_nats", mixture_nll, n=TEST, sd=mixture_error)
record.metric("true_nll_nats", true_nll, n=TEST, sd=true_error)
record.metric("gaussian_nll_nats", gaussian_nll, n=TEST, sd=gaussian_error)
record.metric("box_nll_nats", box_nll, n=TEST, sd=box_error)
record.metric("entropy_nats", entropy)
record.metric("gap_nats", gap, n=TEST, sd=gap_error)
record.metric("gaussian_gap_nats", gaussian_gap, n=TEST, sd=gaussian_gap_error)
for key, name in [("logistic", "straight line"), ("flexible", "flexible curve"),
                  ("generative", "two mixtures"), ("optimal", "best possible")]:
    sd = np.sqrt(accuracy[name] * (1 - accuracy[name]) / len(few))
    record.metric(f"{key}_accuracy", accuracy[name], n=len(few), sd=sd)
record.metric("majority_accuracy", majority, n=len(few), sd=accuracy_error)
quick_nll, quick_error = mean_and_error(-mixture_log_density(mixture, test[:QUICK_TEST]))
record.check("test_nll_nats", quick_nll, n=QUICK_TEST, sd=quick_error)
parameters = {"test_nll_nats": 6 * components - 1}
record.save(parameters=parameters, updates=updates, seconds=time.monotonic() - STARTED)
results.quote("box-model-gap", f"{gap:.3f}")

# %% [markdown]
# ## The six families
#
# Why does the book not end here? Because a colour picture of 64 by 64 pixels is a point in 12,288 dimensions. Each covariance matrix would have 75 million different entries, and the set of all faces in that space is bent in ways that no chain of ovals can follow. Neural networks supply the flexible shapes. How to get a *density*, or at least *samples*, out of a network has six well-tried answers, and they part at one question: can the model's density be evaluated?

# %% tags=["hide-input"] mystnb={"image": {"alt": "Tree: generative models split into those with an explicit density and those with samples only. Explicit splits into exact (mixtures, autoregressive models, normalizing flows) and not exact (variational autoencoders, energy-based models, diffusion models). Samples only leads to generative adversarial networks"}, "figure": {"caption": "A family tree of generative models; the numbers are this book's chapters.", "name": "fig-box-model-tree"}}
TREE = {  # name: (position across, position down, number of the parent, colour)
    "a model of $p(x)$": (5.6, 3, None, 8), "the density can be written down": (4.0, 2, 0, 0),
    "samples only": (9.75, 2, 0, 1), "exactly": (1.6, 1, 1, 0),
    "up to a bound\nor a constant": (6.5, 1, 1, 0), "mixtures\n(this page)": (0.0, 0, 3, 8),
    "autoregressive\nmodels (5)": (1.6, 0, 3, 2), "normalizing\nflows (6)": (3.2, 0, 3, 2),
    "variational auto-\nencoders (3)": (4.85, 0, 4, 2), "diffusion\nmodels (8)": (6.5, 0, 4, 2),
    "energy-based\nmodels (7)": (8.1, 0, 4, 2), "adversarial\nnetworks (4)": (9.75, 0, 2, 2),
}
figure, axis = plt.subplots(figsize=(10, 3.7))
places = list(TREE.values())
for name, (across, down, parent, colour) in TREE.items():
    if parent is not None:
        axis.plot([places[parent][0], across], [places[parent][1], down], color="black",
                  linewidth=0.8, zorder=1)
    box_style = {"boxstyle": "round,pad=0.45", "facecolor": "white", "linewidth": 1.6,
                 "edgecolor": plots.COLOURS[colour]}
    axis.text(across, down, name, ha="center", va="center", fontsize=9, bbox=box_style)
axis.set(xlim=(-0.8, 10.6), ylim=(-0.4, 3.3))
axis.set_axis_off()
plt.show()

# %% [markdown]
# | family | the idea | likelihood | a sample takes | typical weakness | chapter |
# |---|---|---|---|---|---|
# | variational autoencoder {cite}`kingma2014vae` | a network turns a few random numbers into a picture; another guesses the numbers from the picture | lower bound | one pass | blur | 3 |
# | generative adversarial network {cite}`goodfellow2014gan` | a forger and a detective train each other | none | one pass | unstable; may forget whole kinds | 4 |
# | autoregressive model {cite}`vandenoord2016pixelrnn` | one piece after the other, each given all before it | exact | one pass for each piece | slow to sample | 5, 9 |
# | normalizing flow {cite}`dinh2017realnvp` | bend a bell step by step, keeping account of areas | exact | one pass | every step must be invertible | 6 |
# | energy-based model {cite}`lecun2006energy` | any network gives a height; low is probable | up to a constant | a long random walk | the constant, and the walk | 7 |
# | diffusion model {cite}`sohldickstein2015nonequilibrium,ho2020ddpm` | learn to remove a little noise; start from pure noise | lower bound | many passes | slow to sample | 8 |
#
# Later chapters combine these families. The division follows {cite:t}`goodfellow2016tutorial`; its borders are not sharp, and a diffusion model, for one, can be turned into a flow.

# %% [markdown]
# ## What goes wrong
#
# **A component collapses onto a single bird.** Take the fitted bell, give one per cent of the probability to a second component centred exactly on the first training bird, and let it shrink.

# %%
def bell_with_spike(width):
    spike = train[:1], (width**2 * np.eye(2))[None]
    return Mixture(
        np.array([0.99, 0.01]),
        np.concatenate([gaussian[0][None], spike[0]]),
        np.concatenate([gaussian[1][None], spike[1]]),
    )


widths = np.logspace(0, -16, 33)                            # km; an atom measures about 1e-13
some = train[:20]
spiked_train = [-mixture_log_density(bell_with_spike(width), some).mean() for width in widths]
spiked_test = [-mixture_log_density(bell_with_spike(width), test).mean() for width in widths]
assert spiked_train[-1] < true_nll < spiked_test[-1]
assert np.isclose(spiked_test[-1], gaussian_nll - np.log(0.99), atol=1e-3)  # all that it costs

# %% mystnb={"image": {"alt": "As the spike narrows the training loss falls without limit, past the truth, while the test loss stays level"}, "figure": {"caption": "Score of a bell with a spike of one per cent on one of 20 training birds, against the spike's width.", "name": "fig-box-model-spike"}}
figure, axis = plt.subplots(figsize=(6.4, 2.8))
axis.semilogx(widths, spiked_train, label="20 training birds")
axis.semilogx(widths, spiked_test, "--", label="test birds")
axis.axhline(true_nll, color="black", linestyle=":", label="truth")
axis.invert_xaxis()
axis.set(xlabel="width of the spike (km)", ylabel="negative log-likelihood (nats)")
axis.legend()
plt.show()

# %% [markdown]
# One bird's density grows like one over the square of the width, without limit, and the others lose almost nothing. So the maximum of the likelihood is infinite and worthless: "maximum likelihood" for mixtures means a *good local* maximum. With many components and few birds, EM falls into such a hole by itself: after some steps a covariance matrix has no volume left and Cholesky refuses.

# %%
few_birds = train[:60]
collapsed = 0
for start_number in range(10):
    start = random_start(few_birds, 20, np.random.default_rng([SEED, start_number]))
    try:
        fit_mixture(few_birds, start)
    except np.linalg.LinAlgError:
        collapsed += 1
assert collapsed >= 5
print("with 20 components on 60 birds, at least half of ten starts end in a collapse")

# %% [markdown]
# **The cure** is to tell the model beforehand that no island is as small as a bird. We give every component, besides its own birds, $m$ imaginary ones at a typical distance $d$ from its centre: $\Sigma_k = (n_k \hat\Sigma_k + m\, d^2 I) / (n_k + m)$, where $\hat\Sigma_k$ is the plain estimate. In statistics this is a *prior*; in practice it is a floor, since no variance can fall below $m d^2 / (n + m)$. Scikit-learn's `reg_covar` is a cruder form of it.

# %%
def cautious_maximise(points, responsibilities, imaginary=2.0, distance=0.4):
    plain = maximise(points, responsibilities)
    counts = responsibilities.sum(axis=0)[:, None, None]              # [components, 1, 1]
    total = counts * plain.covariances + imaginary * distance**2 * np.eye(2)
    return plain._replace(covariances=total / (counts + imaginary))


for start_number in range(10):
    start = random_start(few_birds, 20, np.random.default_rng([SEED, start_number]))
    cured, _ = fit_mixture(few_birds, start, cautious_maximise)
    smallest = np.linalg.eigvalsh(cured.covariances).min()
    assert smallest >= 2 * 0.4**2 / (len(few_birds) + 2)
print("ten of ten starts survive, and no variance is below the floor")

# %% [markdown]
# **Too many components for the data.** With 8,000 birds the validation score merely stopped falling. With 200 it climbs, even though the cautious step keeps everything finite.

# %%
small, small_numbers = train[:200], (1, 2, 4, 6, 8, 12, 16, 24, 32, 48)
small_train, small_validation = [], []
for number in small_numbers:
    fits = [
        fit_mixture(
            small, random_start(small, number, np.random.default_rng([SEED, number, start])),
            lambda points, r: cautious_maximise(points, r, imaginary=0.2),
        )
        for start in range(5)
    ]
    small_train.append(-np.mean([history[-1] for _, history in fits]))
    small_validation.append(-np.mean([mixture_log_density(m, validation).mean() for m, _ in fits]))
best = int(np.argmin(small_validation))
assert small_train[-1] < true_nll < small_validation[best] < small_validation[-1] - 0.3

# %% mystnb={"image": {"alt": "Training loss falls far below the truth with more components; validation loss falls, reaches a minimum and climbs steeply"}, "figure": {"caption": "Mixtures fitted to 200 birds (mean of five starts): more components help until they only memorise.", "name": "fig-box-model-overfitting"}}
figure, axis = plt.subplots(figsize=(6.4, 2.8))
axis.plot(small_numbers, small_train, "o-", markersize=4, label="200 training birds")
axis.plot(small_numbers, small_validation, "s--", markersize=4, label="validation birds")
axis.axhline(true_nll, color="black", linestyle=":", label="truth")
axis.set(xlabel="components", ylabel="negative log-likelihood (nats)")
axis.legend()
plt.show()

# %% [markdown]
# **EM stops at a local optimum.** Twelve starts with eight components, as many as nature's recipe has: the results differ by more than the gap that we are proud of. Two components may share an island while one has to serve two, and since no step may lower the likelihood, they can never pass through the worse state in between.

# %%
trials = []
for start_number in range(12):
    start = random_start(train[:2_000], 8, np.random.default_rng([SEED, 8, start_number]))
    trial, history = fit_mixture(train[:2_000], start)
    trials.append((-history[-1], trial))
trials.sort(key=lambda trial: trial[0])
assert trials[-1][0] - trials[0][0] > 0.1
print("best and worst of twelve starts differ by more than 0.1 nats")

# %% mystnb={"image": {"alt": "Left: losses of twelve starts in ascending order. Middle and right: components of the best and the worst; in the worst, one oval spans two islands"}, "figure": {"caption": "Twelve random starts of EM with eight components, and the best and the worst result.", "name": "fig-box-model-starts"}}
figure, axes = plt.subplots(1, 3, figsize=(10, 3.2))
axes[0].plot(range(1, 13), [loss for loss, _ in trials], "o")
axes[0].set(xlabel="start, best first", ylabel="training NLL (nats)")
for axis, (name, (_, trial)) in zip(axes[1:], {"best": trials[0], "worst": trials[-1]}.items()):
    draw_chart(axis, train[:2_000], name)
    draw_ovals(axis, trial)
plt.show()

# %% [markdown]
# **All components start equal.** Then all responsibilities and all M-steps are equal, and a mixture of twelve stays one bell for ever. Random starts break the symmetry; in the next notebook the same holds for the units of a neural network.

# %%
equal = random_start(train, 12, np.random.default_rng(SEED))
equal = equal._replace(means=np.tile(train.mean(axis=0), (12, 1)))
stuck, _ = fit_mixture(train, equal)
assert np.allclose(mixture_log_density(stuck, test), gaussian_log_density(gaussian, test))
print("twelve equal components end as one bell")

# %% [markdown]
# ## Lessons
#
# - A generative model is a density, or at least a sampler, fitted to examples. Maximum likelihood makes the training data as probable as possible.
# - The score is the negative log-likelihood on data that was kept aside: the entropy of the source plus the distance to it. It has a floor and a unit.
# - Never give probability zero to what might happen.
# - Mixtures turn simple densities into rich ones. EM never goes down, but does not promise to go all the way up.
# - The training score flatters. Choose by validation, report on test data, give the standard error.
# - A density answers questions that a classifier cannot even hear.
#
# **Things to try.** Let the test birds come from a slightly different archipelago and watch the gap. Compare straight line, flexible curve and mixtures when only 30 birds have a label. Add a ninth island and see whether the mixture finds it.

# %% [markdown]
# ## Exercises
#
# :::{exercise} Nats per bird, in metres
# :label: box-model-units
#
# A colleague writes the same positions in metres, fits the same bell, and reports a much *larger* NLL. Has he done worse? Complete the function that converts an NLL from kilometres to another unit, of which `units_per_km` fit into a kilometre, in any number of dimensions. Can an NLL be negative?
# :::

# %% [markdown]
# :::{solution-start} box-model-units
# :class: dropdown
# :::
#
# A density is a probability *per area*. A square kilometre has a million square metres, so every density shrinks by a factor of $1000^2$, and every $-\ln p$ grows by $2 \ln 1000 \approx 13.8$ nats, for all models alike: comparisons in one unit do not change, comparisons across units mean nothing. Where a density exceeds one per unit of area, $-\ln p$ is negative, and with a large enough unit the whole score is. That says nothing about quality. The same correction returns for every layer of a flow (chapter 6).

# %% tags=["solution"]
def convert_nll(nll_per_km, units_per_km, dimensions):
    ### BEGIN SOLUTION
    return nll_per_km + dimensions * np.log(units_per_km)
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
in_km = -gaussian_log_density(fit_gaussian(train), validation).mean()
in_metres = -gaussian_log_density(fit_gaussian(1_000 * train), 1_000 * validation).mean()
assert np.isclose(convert_nll(in_km, 1_000, dimensions=2), in_metres)
assert np.isclose(convert_nll(1.0, 100, dimensions=3), 1 + 3 * np.log(100))
print("correct")

# %% [markdown]
# :::{exercise} Round components
# :label: box-model-round
#
# Give the mixture only *round* components, $\Sigma_k = \sigma_k^2 I$, by changing the M-step, and train it. The best $\sigma_k^2$ is the responsibility-weighted mean squared distance to the centre, divided by the number of dimensions. Does the likelihood still never fall? How many parameters do 12 round components have?
# :::

# %% [markdown]
# :::{solution-start} box-model-round
# :class: dropdown
# :::
#
# The trace of the full covariance is the mean squared distance, so half of it is the variance in each direction. This is the exact maximum of the bound within the restricted family, so the likelihood still cannot fall. Twelve round components have $4 \cdot 12 - 1 = 47$ parameters instead of 71 (one share is fixed by the others), but a thin sandbank needs a long string of circles where a few ovals do.

# %% tags=["solution"]
def round_maximise(points, responsibilities):
    ### BEGIN SOLUTION
    full = maximise(points, responsibilities)
    variances = np.trace(full.covariances, axis1=1, axis2=2) / points.shape[1]   # [components]
    return full._replace(covariances=variances[:, None, None] * np.eye(points.shape[1]))
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
round_start = random_start(train, 12, np.random.default_rng(2))
round_mixture, round_history = fit_mixture(train, round_start, round_maximise, steps=40)
oval_mixture, oval_history = fit_mixture(train, round_start, steps=40)
assert np.allclose(round_mixture.covariances[:, 0, 1], 0)
assert np.allclose(round_mixture.covariances[:, 0, 0], round_mixture.covariances[:, 1, 1])
assert (np.diff(round_history)[1:] > -1e-12).all() and round_history[-1] > round_history[1]
assert round_history[-1] < oval_history[-1]
print("correct")

# %% [markdown]
# :::{exercise} A histogram is a generative model
# :label: box-model-histogram
#
# Divide the chart from -9 to 9 km into `cells` by `cells` squares, count the training birds in each, give every square one extra bird, so that none has probability zero, and turn the counts into a density. Complete the function that returns the log-densities of points on the chart. Which number of squares does best on the validation birds? And how many cells would a histogram of pictures with 784 pixels need, at ten grey levels each?
# :::

# %% [markdown]
# :::{solution-start} box-model-histogram
# :class: dropdown
# :::
#
# The density in a square is its share of the (real and extra) birds divided by its area. Large squares blur the islands; small ones are nearly all empty, and the extra birds flood the sea; the best is in between. Pictures would need $10^{784}$ cells, which no collection could fill: the *curse of dimension*, and the reason why the models of this book have to *generalise*, to say something sensible about places where they have seen nothing.

# %% tags=["solution"]
def histogram_log_density(training_points, points, cells):
    ### BEGIN SOLUTION
    edges = np.linspace(-9, 9, cells + 1)
    counts, _, _ = np.histogram2d(*training_points.T, bins=[edges, edges])       # [cells, cells]
    density = (counts + 1) / (counts + 1).sum() / (18 / cells) ** 2
    columns, rows = np.clip(np.searchsorted(edges, points.T, side="right") - 1, 0, cells - 1)
    return np.log(density[columns, rows])
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
on_chart = validation[(np.abs(validation) < 9).all(axis=1)]
middles = np.stack(np.meshgrid(*[np.arange(-8.95, 9, 0.1)] * 2), axis=-1).reshape(-1, 2)
histogram_nll = {}
for cells in [1, 5, 20, 60, 180]:
    total = np.exp(histogram_log_density(train, middles, cells)).sum() * 0.1**2
    assert np.isclose(total, 1), "a density integrates to one"
    histogram_nll[cells] = -histogram_log_density(train, on_chart, cells).mean()
assert np.isclose(histogram_nll[1], np.log(18 * 18))
assert min(histogram_nll, key=histogram_nll.get) in (20, 60)
print("correct")

# %% [markdown]
# ## References
#
# EM was named and put in general form by {cite:t}`dempster1977em`; {cite:t}`bishop2006prml` has a beautiful account of mixtures and their singularities. The divergence is by {cite:t}`kullback1951information`. Generative and discriminative classifiers are compared by {cite:t}`ng2002discriminative`. The first chapter of {cite:t}`foster2023generative` also begins with points on a plane and a box.
