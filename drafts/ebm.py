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
# # Energy-based models
#
# A density must add up to one over all possible pictures, and the models of the last chapters paid for that: with a bound, with masks, with layers that can be undone, or by giving up the density altogether. An energy-based model starts humbler. A network gives each picture one number, its *energy*, low for what looks right and high for what does not, and any network will do. The price comes later. To train such a model, and to draw from it, we need samples that nobody hands us, and so half of this notebook is about a sampler: *Langevin dynamics*, a ball that rolls downhill while being shaken.
#
# ![Rows of handwritten digits that came out of noise](images/ebm.png)
#
# *The goal of this notebook: noise that has rolled downhill on a learnt landscape for 1,000 steps. The pictures were not selected.*

# %% [markdown]
# ## What to expect
#
# We begin in the plane, where everything can be integrated on a grid and the sampler can be held against the truth. Then the same class, with another network, learns handwritten digits. As a detector of strangers it is judged by *ROC-AUC*, the probability that a test digit gets a lower energy than a stranger; one half is chance. The baselines of the two easy cases show how little their numbers prove. Digits turned upside down in a mirror are the case that counts.

# %% tags=["hide-input", "setup"]
# `make lint` puts the setup cell here

# %% tags=["imports"]
from helpers.training import quiet

with quiet():  # TensorFlow talks to its developers while it is imported
    import keras
    from keras import layers, ops

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import logsumexp
from sklearn.decomposition import PCA

from helpers import datasets, films, metrics, plots, results, training, weights
from helpers.budget import budget, current_seed, is_full_run

plots.use_style()

# %%
results.expectation(
    "ebm",
    dataset="mnist",
    rows=[
        {"label": "plane: total variation, 100,000 draws, 50 × 50 bins", "optimum": "toy.perfect",
         "metric": "toy.total_variation", "baseline": "toy.start",
         "reference": "below .05 was our target"},
        {"label": "noise against digits, ROC-AUC, n = 2 × 1,000", "metric": "auroc_noise", "optimum": "1",
         "baseline": "brightness.auroc_noise", "reference": "at least .99 was our target"},
        {"label": "clothes against digits, ROC-AUC", "metric": "auroc_fashion", "optimum": "1",
         "baseline": "ppca.auroc_fashion", "reference": "at least .97 was our target"},
        {"label": "digits mirrored top to bottom, ROC-AUC", "metric": "auroc_upside_down",
         "baseline": "ppca.auroc_upside_down", "optimum": "below 1: some stay digits"},
        {"label": "FID-mnist, n = 1,000", "metric": "fid", "digits": 1,
         "baseline": "trivial_fid", "optimum": "floor_fid"},
        {"label": "KID-mnist, 2,000 samples", "metric": "kid", "baseline": "trivial_kid",
         "optimum": "floor_kid"},
    ],
)

# %% [markdown]
# The baseline of the first row is the cloud of points before the first step; the trivial scores are mean brightness (noise) and a linear Gaussian model (the other two), all explained below. The baseline of FID and KID is a Gaussian with the covariance of the pixels.

# %% [markdown]
# ## Settings

# %% tags=["settings"]
SEED = current_seed()              # seeds weights, batches and chains; 0 unless a run asks
DATASET = datasets.choose_dataset("mnist", alternatives=["mnist_full", "fashion_mnist"])
OTHER = "mnist" if DATASET == "fashion_mnist" else "fashion_mnist"  # the set of the strangers
VALIDATION = 500                   # training pictures kept aside to watch the training
# The plane
TRUE = (4.0, 1.5, 0.8, 0.4)        # the ring's stiffness, radius, squeeze and tilt
BOUND = 4.0                        # we look at the square from -4 to 4
DRAWS = 100_000                    # points behind a total variation, on 50 by 50 bins
STEP, WALK = 0.02, 1_000           # step size and number of steps of the exact-minded sampler
RING_POINTS = budget(quick=5_120, cpu=20_480)  # training points
RING_EPOCHS = budget(quick=1, cpu=20)          # passes over them
RING_RATE = 1e-3                   # Adam's step size
# batch: chains moved per update; buffer: chains kept; fresh: share sent back to noise each time;
# alpha: weight of the squared energies in the loss
RING = {"batch": 256, "buffer": 4_096, "fresh": 0.02, "alpha": 0.001}
# steps: Langevin steps per update; step: their size; noise: deviation of each kick;
# steepest: largest slope used, per coordinate; bound: the chains stay from -bound to bound
WARM = {"steps": 40, "step": STEP, "noise": (2 * STEP) ** 0.5, "steepest": np.inf, "bound": BOUND}
COLD = {"steps": 40, "step": 10.0, "noise": 0.02, "steepest": 0.03, "bound": BOUND}
# The pictures
UPDATES = budget(quick=10, cpu=2_000, gpu=30_000)   # optimiser steps, about
PICTURES = budget(quick=1_280, cpu=60_000)          # training pictures used, at most
LEARNING_RATE = 1e-4               # Adam's step size
DIGIT = {"batch": 128, "buffer": budget(quick=1_024, cpu=8_192), "fresh": 0.05, "alpha": 0.1}
SAMPLER = {"steps": 60, "step": 10.0, "noise": 0.005, "steepest": 0.03, "bound": 1.0}
FILM_STEPS, FILM_FRAMES = 25, 40   # Langevin steps between two frames, frames after the first
FILMED = 100                       # pictures in the film's chains; a quick run scores these
SAMPLES = budget(quick=FILMED, cpu=2_000, gpu=10_000)  # generated pictures behind FID and KID
training.set_seed(SEED)

# %% [markdown]
# ## A landscape instead of a distribution
#
# Let $E(x)$ be any function that gives a number to every $x$. The *Boltzmann distribution* turns it into a density:
#
# $$ p(x) = \frac{e^{-E(x)}}{Z}, \qquad Z = \int e^{-E(x)} \, \mathrm{d}x . $$
#
# Low energy means probable. A difference of one in energy is a factor of $e$ in probability, so energies are in nats, with the zero at a place of your choice: adding a constant to $E$ multiplies $e^{-E}$ and $Z$ by the same factor. $Z$ is the *partition function*, one number that makes the whole add up to one. The word comes from physics, and so does the idea that temperature belongs here: with $e^{-E(x)/T}$ a high $T$ levels the landscape, and a low one gathers everything in the deepest valleys.
#
# Our example in the plane is a ring with four parameters $\theta = (s, r, q, t)$: its stiffness, its radius, a squeeze that lifts the top and the bottom, and a tilt to the right,
#
# $$ E_\theta(x) = \tfrac{s}{2} \big( |x| - r \big)^2 + \tfrac{q}{2} x_2^2 - t x_1 . $$

# %% tags=["exercise-context"]
def ring_energy(points, theta):
    """The energy [n] of points [n, 2]."""
    stiffness, radius, squeeze, tilt = theta
    distance = np.sqrt(np.square(points).sum(axis=1))
    ring = 0.5 * stiffness * np.square(distance - radius)
    return ring + 0.5 * squeeze * np.square(points[:, 1]) - tilt * points[:, 0]


def grid_points(cells):
    """The middles of cells by cells little squares, [cells * cells, 2]."""
    middles = (np.arange(cells) + 0.5) / cells * 2 * BOUND - BOUND
    return np.stack(np.meshgrid(middles, middles, indexing="ij"), axis=-1).reshape(-1, 2)


def log_partition(theta, cells=400):
    """log Z: the sum of exp(-E) over the grid, times the area of a cell."""
    return logsumexp(-ring_energy(grid_points(cells), theta)) + 2 * np.log(2 * BOUND / cells)


# %% [markdown]
# In the plane the integral is a sum over small squares. If half as many squares per side give the same number, we may believe it.

# %%
partition = np.exp(log_partition(TRUE))
assert np.isclose(partition, np.exp(log_partition(TRUE, cells=200)), rtol=1e-6)
energies_on_grid = ring_energy(grid_points(200), TRUE)
density = np.exp(-energies_on_grid)
lifted = np.exp(-(energies_on_grid + 5))                  # the same landscape, five nats higher
assert np.allclose(density / density.sum(), lifted / lifted.sum())
print(f"Z = {partition:.3f}; a constant added to the energy changes Z, and no probability")

# %% mystnb={"image": {"alt": "Three panels: contour lines of a ring-shaped valley; a bright ring that is brightest on its right; the same at low temperature, only a spot on the right"}, "figure": {"caption": "The energy, the density at temperature 1, and at temperature 0.1, where only the deepest place is left.", "name": "fig-ebm-landscape"}}
figure, axes = plt.subplots(1, 3, figsize=(9, 3), sharex=True, sharey=True)
window = (-BOUND, BOUND, -BOUND, BOUND)
picture = energies_on_grid.reshape(200, 200).T            # imshow wants rows first
contours = axes[0].contour(picture, levels=range(0, 16, 2), extent=window, cmap="viridis")
axes[0].clabel(contours, fontsize=7)
axes[0].set_title("energy (nats)")
for axis, temperature in zip(axes[1:], (1.0, 0.1)):
    cooled = np.exp(-(picture - picture.min()) / temperature)
    axis.imshow(cooled / cooled.sum(), extent=window, origin="lower", cmap="gray_r")
    axis.set_title(f"density, T = {temperature:g}")
for axis in axes:
    axis.set_aspect("equal")
    axis.set_xlabel("$x_1$")
axes[0].set_ylabel("$x_2$")
plt.show()

# %% [markdown]
# Now count. Here 200 points per direction made 40,000 evaluations. A picture of 1,024 pixels at the same fineness needs $200^{1024}$. No grid will ever give us the $Z$ of a model of pictures, and with it goes the likelihood that we could compare with other models. What can be done *without* $Z$?
#
# ## Langevin dynamics: sampling without Z
#
# Two things survive. Ratios, since $p(x)/p(y) = e^{E(y) - E(x)}$. And slopes, since
#
# $$ \nabla_x \log p(x) = -\nabla_x E(x) - \nabla_x \log Z = -\nabla_x E(x) . $$
#
# Imagine a speck of dust on the landscape. It slides downhill and is kicked about by molecules: $\mathrm{d}x = -\nabla E(x)\, \mathrm{d}t + \sqrt{2}\, \mathrm{d}W$. The density $\rho$ of a cloud of such specks obeys the Fokker-Planck equation
#
# $$ \frac{\partial \rho}{\partial t} = \nabla \cdot \big( \rho \nabla E + \nabla \rho \big) = \nabla \cdot \big( \rho \, \nabla ( E + \log \rho ) \big), $$
#
# and the right-hand side vanishes for $\log \rho = -E + \text{constant}$: the Boltzmann density stays as it is, and for a landscape that rises fast enough every cloud ends there. A computer takes steps of a size $\lambda$:
#
# $$ x \leftarrow x - \lambda \nabla E(x) + \sqrt{2 \lambda}\, \epsilon, \qquad \epsilon \sim \mathcal{N}(0, I) . $$
#
# The root belongs there: a slope acts over a time $\lambda$, but the kicks are random and partly cancel, so their *variance* grows with time. As we simply take the step and never ask whether it was a good one, this is the *unadjusted* Langevin algorithm {cite}`roberts1996exponential`; machine learning knows it from {cite:t}`welling2011langevin`.

# %% tags=["exercise-context"]
def ring_slope(points, theta):
    """The gradient of the energy with respect to the points, [n, 2]."""
    stiffness, radius, squeeze, tilt = theta
    distance = np.sqrt(np.square(points).sum(axis=1, keepdims=True))
    ring = stiffness * (1 - radius / np.maximum(distance, 1e-6)) * points
    across, up = np.array([[1, 0], [0, 1]], points.dtype)
    return ring + squeeze * up * points - tilt * across


def walk(points, theta, step, steps, generator):
    """Points [n, 2] after some steps of unadjusted Langevin dynamics."""
    for _ in range(steps):
        kick = generator.standard_normal(points.shape, dtype=np.float32)
        points = points - step * ring_slope(points, theta) + (2 * step) ** 0.5 * kick
    return points


# %%
some_points = np.random.default_rng(SEED).uniform(-BOUND, BOUND, (100, 2))
nudge = 1e-5 * np.eye(2)
quotient = np.stack(
    [ring_energy(some_points + d, TRUE) - ring_energy(some_points - d, TRUE) for d in nudge], axis=1
) / 2e-5
assert np.allclose(quotient, ring_slope(some_points, TRUE), atol=1e-6)
print("the slope agrees with difference quotients at 100 places")

# %% [markdown]
# Is the sampler right? We take a hard look, with the *total variation*: cut the square into 50 by 50 bins, and add up how much probability lies in the wrong bins. Even a perfect sampler does not reach zero, since 100,000 draws never fall exactly in proportion, so its value stands beside ours. The chains start anywhere in the square.

# %%
edges = [np.linspace(-BOUND, BOUND, 51)] * 2
true_bins = metrics.bin_probabilities(lambda x: np.exp(-ring_energy(x, TRUE)), edges)  # [50, 50]
perfect = metrics.perfect_sampler_total_variation(true_bins, DRAWS, seed=SEED)
generator = np.random.default_rng(SEED)
start = generator.uniform(-BOUND, BOUND, (DRAWS, 2)).astype("float32")
points, done, clouds = start, 0, [start]
moments = [0, *np.unique(np.geomspace(1, WALK, 24).astype(int)).tolist()]
for moment in moments[1:]:
    points = walk(points, TRUE, STEP, moment - done, generator)
    clouds.append(points)
    done = moment
distances = [metrics.total_variation(cloud, edges, true_bins) for cloud in clouds]
assert perfect - 0.004 < distances[-1] < 0.05 < distances[0]   # .001 is the sd of `perfect`
print(f"total variation at n = {DRAWS:,}: start {distances[0]:.3f}, Langevin {distances[-1]:.3f}, "
      f"perfect {perfect:.3f}")

# %% [markdown]
# The film shows the cloud at growing intervals. The ring is there within a few dozen steps. The balance between left and right takes ten times as long, because specks have to travel around; two numbers say the same.

# %%
early_place = np.searchsorted(moments, 50)
early = clouds[early_place]
width, right_share = (
    [np.abs(np.hypot(*cloud.T) - TRUE[1]).mean() for cloud in (early, clouds[-1])],
    [(cloud[:, 0] > 0).mean() for cloud in (early, clouds[-1])],
)
assert abs(width[0] / width[1] - 1) < 0.1                 # the ring has its width ...
assert right_share[0] < right_share[1] - 0.05             # ... but not yet its balance
assert abs(right_share[1] - true_bins[25:].sum()) < 0.01
print(f"share of points on the right: {right_share[0]:.2f} after {moments[early_place]} steps, "
      f"{right_share[1]:.2f} after {moments[-1]:,}")

# %% tags=["nbval-ignore-output"]
shares = [np.histogramdd(cloud, bins=edges)[0] / DRAWS for cloud in clouds]
frames = [1 - np.clip(share / true_bins.max(), 0, 1).T[::-1] for share in shares]  # y upwards
films.show_film(
    np.array(frames),
    alt="A cloud of points, spread evenly over a square at first, gathers on a ring within some "
        "dozen steps; then the right side of the ring slowly darkens",
    labels=[f"step {moment}" for moment in moments],
)

# %% [markdown]
# ### The price of a long step
#
# Because nobody checks the steps, the chain does not settle on $p$ but on something near it, and the longer the step, the farther off. For a parabola $E = \frac{k}{2}x^2$ one can compute where it ends: a Gaussian whose variance is not $\frac1k$ but $\frac{1}{k(1 - \lambda k/2)}$, and nowhere at all when $\lambda k \ge 2$. (An exercise asks you for the two lines of proof.) We compare step sizes at an equal *time*, step size times steps.

# %%
by_step = {STEP: distances[-1]}
for step in (0.1, 0.3):
    ends = walk(start, TRUE, step, round(STEP * WALK / step), generator)
    by_step[step] = metrics.total_variation(ends, edges, true_bins)
assert by_step[STEP] < by_step[0.1] < by_step[0.3]
assert by_step[STEP] - perfect < 0.01 and by_step[0.3] > 4 * perfect
results.show_table(
    ["step size", "steps", "total variation"],
    [[f"{step:g}", round(STEP * WALK / step), f"{by_step[step]:.3f}"] for step in sorted(by_step)]
    + [["perfect sampler", "", f"{perfect:.3f}"]],
)

# %% [markdown]
# A remedy exists: propose the step, and accept it with just the probability that repairs the balance (an exercise). It needs only ratios, so $Z$ stays out of it. Networks of energies are mostly sampled without it, and we shall see that this is the least of their liberties.
#
# ## Learning a landscape
#
# Now the energy has parameters, and data should tell us their values. Maximum likelihood asks for the gradient of $\log p_\theta(x) = -E_\theta(x) - \log Z_\theta$. The second term looks hopeless, and is not:
#
# $$ \nabla_\theta \log Z_\theta = \frac{1}{Z_\theta} \int \nabla_\theta\, e^{-E_\theta(x)} \, \mathrm{d}x = - \int \frac{e^{-E_\theta(x)}}{Z_\theta}\, \nabla_\theta E_\theta(x) \, \mathrm{d}x = - \mathbb{E}_{\tilde x \sim p_\theta} \big[ \nabla_\theta E_\theta(\tilde x) \big] , $$
#
# and therefore
#
# $$ \nabla_\theta\, \mathbb{E}_{x \sim p_\text{data}} \big[ \log p_\theta(x) \big] = \mathbb{E}_{\tilde x \sim p_\theta} \big[ \nabla_\theta E_\theta(\tilde x) \big] - \mathbb{E}_{x \sim p_\text{data}} \big[ \nabla_\theta E_\theta(x) \big] . $$
#
# Going uphill in likelihood means: **push the energy down at the data, and up at the model's own samples.** When samples and data look alike to every parameter, the two pushes cancel and learning stops. $Z$ is gone; in its place stands an expectation, and for that we have a sampler.
#
# In the plane we can check every word. Data come from the ring with the true parameters, drawn exactly by choosing squares of the fine grid; the model starts from a wrong guess.

# %% tags=["exercise-context"]
def exact_draws(theta, n, generator, cells=400):
    """Draws [n, 2] from the Boltzmann density, by choosing cells of a fine grid."""
    middles = grid_points(cells)
    log_weight = -ring_energy(middles, theta)
    chosen = generator.choice(len(middles), n, p=np.exp(log_weight - logsumexp(log_weight)))
    jitter = generator.uniform(-BOUND, BOUND, (n, 2)) / cells  # anywhere within the cell
    return (middles[chosen] + jitter).astype("float32")


def parameter_slopes(points, theta):
    """The derivatives of the energy with respect to the four parameters, [n, 4]."""
    stiffness, radius, _, _ = theta
    beyond = np.sqrt(np.square(points).sum(axis=1)) - radius
    squeeze = 0.5 * np.square(points[:, 1])
    return np.stack([0.5 * np.square(beyond), -stiffness * beyond, squeeze, -points[:, 0]], axis=1)


ring_data = exact_draws(TRUE, RING_POINTS, np.random.default_rng([SEED, 1]))

# %%
guess = (3.0, 1.7, 0.4, 0.0)
data_64 = ring_data.astype("float64")                     # difference quotients need the digits


def log_likelihood(theta, points=data_64):
    return -ring_energy(points, theta).mean() - log_partition(theta)


nudges = 1e-4 * np.eye(4)
quotient = [(log_likelihood(guess + d) - log_likelihood(guess - d)) / 2e-4 for d in nudges]
cells = grid_points(400)
share = np.exp(-ring_energy(cells, guess) - logsumexp(-ring_energy(cells, guess)))  # [160000]
at_data = parameter_slopes(data_64, guess).mean(axis=0)
exact_gradient = share @ parameter_slopes(cells, guess) - at_data
assert np.allclose(quotient, exact_gradient, atol=1e-6)
print("model minus data equals the difference quotient of the log-likelihood, for all four")

# %% [markdown]
# ### Short cuts, and what they cost
#
# A fresh chain of a thousand steps for every update is more than one can afford. *Contrastive divergence* {cite}`hinton2002contrastive` starts the chains at the data and stops after $k$ steps. The thought: if the model were right, the data would already be its samples, and nothing would move. What moves within $k$ steps shows what is wrong. We measure how far this estimate is from the exact gradient.

# %%
chains, done, estimates = ring_data, 0, {}
generator = np.random.default_rng([SEED, 2])
for k in (1, 10, 100, 1_000):
    chains = walk(chains, guess, STEP, k - done, generator)
    estimates[k] = parameter_slopes(chains, guess).mean(axis=0) - at_data
    done = k
error = {k: np.linalg.norm(estimates[k] - exact_gradient) / np.linalg.norm(exact_gradient)
         for k in estimates}
settled = walk(ring_data, TRUE, STEP, 25, generator)
pull = (parameter_slopes(settled, TRUE) - parameter_slopes(ring_data, TRUE)).mean(axis=0)
found = estimates[10] / exact_gradient                    # the share that ten steps find
assert error[1] > error[10] > error[100] > error[1_000] and error[1_000] < 0.15
assert found[1] > 0.4 and found[3] < 0.1                  # the radius is felt, the tilt is not
assert np.abs(pull).max() < 0.1                           # at the truth, nothing pulls

# %% tags=["nbval-ignore-output"]
results.show_table(
    ["negative samples", "stiffness", "radius", "squeeze", "tilt", "relative error"],
    [[f"{k:,} steps from the data", *(f"{v:.3f}" for v in estimates[k]), f"{error[k]:.2f}"]
     for k in estimates] + [["exact", *(f"{v:.3f}" for v in exact_gradient), ""]],
)

# %% [markdown]
# Short chains soon know that the ring has the wrong radius, which every speck can feel where it is. Of the tilt, which needs traffic between left and right, they know next to nothing. That is the bias of contrastive divergence: **errors that a short chain cannot travel across are hardly corrected.** The remedy of {cite:t}`tieleman2008training` is to keep the chains and let them go on where they stopped at the last update, since a small update moves the landscape only a little. These *persistent* chains are the replay buffer below.
#
# ## The model, once for points and for pictures
#
# From here on the landscape is a network. First the sampler, in operations that run on every backend. The slope is taken with respect to the *item*, a point or a picture, not to the weights: `input_gradient` asks in which direction each of its numbers would change the energy. (`minimize`, later, is the usual step on the weights.) The sampler has two more handles than theory knows, and later we shall have to talk about them: slopes steeper than `steepest` are cut, coordinate by coordinate, which also turns their direction, and positions stay within `bound`. After each step the gradient is stopped, since the samples play the role of *data* for the update; nobody should differentiate through forty steps of a chain.

# %% tags=["model"]
def langevin(energy, items, seed, *, steps, step, noise, steepest, bound):
    """Items [n, ...] after some Langevin steps; no gradient flows back through them."""

    def move(_, items):
        slope = training.input_gradient(energy, items)    # [n, ...]
        slope = ops.clip(slope, -steepest, steepest)
        kick = noise * keras.random.normal(ops.shape(items), seed=seed)
        moved = ops.clip(items - step * slope + kick, -bound, bound)
        return ops.stop_gradient(moved)

    return ops.fori_loop(0, steps, move, ops.convert_to_tensor(items))


# %% [markdown]
# We test it on a parabola where the end is known, bias included.

# %%
STIFF, LONG = 4.0, 0.1
ends = langevin(
    lambda items: 0.5 * STIFF * ops.sum(ops.square(items), axis=1),
    np.zeros((20_000, 2), "float32"), keras.random.SeedGenerator(SEED),
    steps=60, step=LONG, noise=(2 * LONG) ** 0.5, steepest=np.inf, bound=BOUND,
)
variance = float(ops.convert_to_numpy(ends).var())
assert abs(variance * STIFF * (1 - LONG * STIFF / 2) - 1) < 0.04  # 0.3125, not 1/4
print(f"variance {variance:.2f}; the density has {1 / STIFF:.2f}, the unadjusted chain should have "
      f"{1 / (STIFF * (1 - LONG * STIFF / 2)):.2f}")

# %% [markdown]
# The model holds the network and the *replay buffer*, a few thousand chains that are stored as a weight, so that an interrupted training finds them again. Each update draws some of them, sends a small share back to pure noise, so that new valleys are found, lets all move on, and puts them back. The loss is
#
# $$ \mathcal{L} = \frac1n \sum_j E_\theta(x_j) - \frac1n \sum_j E_\theta(\tilde x_j) + \alpha\, \frac1n \sum_j \big( E_\theta(x_j)^2 + E_\theta(\tilde x_j)^2 \big) , $$
#
# whose first two terms have the gradient that we derived, with the other sign, since a loss goes down. The third is a regulariser. The likelihood does not care about a constant added to all energies, so nothing else keeps them from drifting.

# %% tags=["model"]
class EnergyModel(keras.Model):
    def __init__(self, network, sampler, *, batch, buffer, fresh, alpha):
        super().__init__()
        self.network, self.sampler = network, sampler
        self.batch, self.fresh, self.alpha = batch, fresh, alpha
        self.seed_generator = keras.random.SeedGenerator(SEED)
        anywhere = keras.initializers.RandomUniform(-sampler["bound"], sampler["bound"], seed=SEED)
        shape = (buffer, *network.input_shape[1:])
        self.chains = self.add_weight(shape=shape, initializer=anywhere, trainable=False)
        self.real_tracker = keras.metrics.Mean(name="energy_real")
        self.fake_tracker = keras.metrics.Mean(name="energy_fake")

    def call(self, items):
        return self.network(items)[:, 0]                  # [batch]

    def draw(self):
        """Moves some chains on; returns where they are now, [batch, ...]."""
        seed, bound = self.seed_generator, self.sampler["bound"]
        rows = keras.random.shuffle(ops.arange(self.chains.shape[0]), seed=seed)[: self.batch]
        items = ops.take(self.chains, rows, axis=0)
        noise = keras.random.uniform(ops.shape(items), -bound, bound, seed=seed)
        again = keras.random.uniform((self.batch, *[1] * (len(items.shape) - 1)), seed=seed)
        items = ops.where(again < self.fresh, noise, items)
        items = langevin(self.network, items, seed, **self.sampler)
        self.chains.assign(ops.scatter_update(self.chains, rows[:, None], items))
        return items


# %% [markdown]
# The training step draws first, and differentiates afterwards.

# %% tags=["model"]
class ContrastiveModel(EnergyModel):
    def contrastive_loss(self, real, fake):
        energy_real, energy_fake = self(real), self(fake)             # [batch] each
        self.real_tracker.update_state(energy_real)
        self.fake_tracker.update_state(energy_fake)
        size = ops.mean(ops.square(energy_real)) + ops.mean(ops.square(energy_fake))
        return ops.mean(energy_real) - ops.mean(energy_fake) + self.alpha * size

    def train_step(self, data):
        real, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        fake = self.draw()
        training.minimize(
            lambda: self.contrastive_loss(real, fake), self.network.trainable_variables,
            self.optimizer,
        )
        return {each.name: each.result() for each in (self.real_tracker, self.fake_tracker)}

    def test_step(self, data):
        real, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        self.real_tracker.update_state(self(real))        # held-out items have no samples to beat
        return {"energy_real": self.real_tracker.result()}


# %% [markdown]
# For points a small dense network will do. Its activation is *swish*, $x\,\sigma(x)$ {cite}`ramachandran2017swish`: smooth, so that the landscape has a useful slope everywhere. There is no batch normalisation: the energy of one item must not depend on who else is in the batch.

# %% tags=["model"]
def build_ring_network():
    points = keras.Input((2,))
    x = layers.Dense(64, activation="swish")(points)
    x = layers.Dense(64, activation="swish")(x)
    return keras.Model(points, layers.Dense(1)(x), name="energy")     # [batch, 1]


def build_ring_model(sampler, rate=RING_RATE, **changes):
    keras.utils.set_random_seed(SEED)                     # the same start for every variant
    model = ContrastiveModel(build_ring_network(), sampler, **{**RING, **changes})
    model(ring_data[:2])                                  # builds the weights
    model.compile(keras.optimizers.Adam(rate))
    return model


ring_batches = training.batches(ring_data, batch_size=RING["batch"], seed=SEED)
ring_model = build_ring_model(WARM)

# %% [markdown]
# Two properties are easy to lose in a later edit, so we check them now. First the buffer: one draw moves as many chains as a batch holds, puts exactly these back, and leaves the others alone.

# %%
before = ops.convert_to_numpy(ring_model.chains)
drawn = ops.convert_to_numpy(ring_model.draw())
after = ops.convert_to_numpy(ring_model.chains)
moved = (before != after).any(axis=1)
assert moved.sum() == RING["batch"] and np.abs(drawn).max() <= BOUND
assert sorted(map(tuple, after[moved])) == sorted(map(tuple, drawn))
print(f"{moved.sum()} of {len(before):,} chains moved, and are in the buffer again")

# %% [markdown]
# Second, the stopped gradient. If the chains run *inside* the function that is differentiated, the update must still be that of fixed samples.


# %%
def change_of_weights(chains_inside):
    model = build_ring_model({**WARM, "steps": 5})
    first = [ops.convert_to_numpy(v) for v in model.trainable_variables]

    def chains():
        seed = keras.random.SeedGenerator(7)
        return langevin(model.network, ring_data[:200], seed, **model.sampler)

    fixed = chains()
    training.minimize(
        lambda: model.contrastive_loss(ring_data[200:400], chains() if chains_inside else fixed),
        model.trainable_variables, keras.optimizers.SGD(1.0),
    )
    last = [ops.convert_to_numpy(v) for v in model.trainable_variables]
    return np.concatenate([(b - a).ravel() for a, b in zip(first, last)])


inside, outside = change_of_weights(True), change_of_weights(False)
assert np.abs(outside).max() > 1e-3 and np.allclose(inside, outside, rtol=1e-3, atol=1e-5)
print("no gradient flows through the chains")


# %% [markdown]
# ## The ring, learnt
#
# Two runs on the same points. The first has a *warm* sampler: the right noise, $\sqrt{2\lambda}$, no cut slopes, hardly any regularisation. The second follows the whole recipe of practice, about which more in a moment: cold noise, cut slopes, a hundred times the regulariser, more fresh noise. So we shall see what the recipe does, not which part of it. A full run trains both. Under `quick` the first makes a short start, which must already lower the ring against the rest of the square, and then the released weights are loaded.

# %%
def lift_of_square(network):
    """How much higher the square lies than the ring, on average, in nats."""
    square, ring = (ops.convert_to_numpy(network(x)) for x in (start[:2_000], ring_data[:2_000]))
    return square.mean() - ring.mean()


# %% tags=["nbval-ignore-output"]
practice_model = build_ring_model(COLD, alpha=DIGIT["alpha"], fresh=DIGIT["fresh"])
runs = {}
for name, model in [("ring_warm", ring_model), ("ring_cold", practice_model)]:
    if name == "ring_warm" or is_full_run() and DATASET == "mnist":
        lift = lift_of_square(model.network)
        run = training.fit(
            model, ring_batches, epochs=RING_EPOCHS, checkpoint=f"ebm_{name}_{SEED}"
        )
        assert lift_of_square(model.network) > lift
    if is_full_run() and DATASET == "mnist":              # the ring does not depend on the pictures
        weights.release(model.network, f"ebm/{name}", run)
    runs[name] = weights.restore(model.network, f"ebm/{name}")

# %% [markdown]
# In the plane we can integrate a *network* on a grid, too, and so compare the learnt density with the true one, without a single sample.

# %%
def learnt_bins(network):
    """The probability of each bin under exp(-E) / Z of a network, [50, 50]."""

    def density(points):
        values = ops.convert_to_numpy(network(points.astype("float32")))[:, 0]
        return np.exp(values.min() - values)              # the constant does not matter

    return metrics.bin_probabilities(density, edges)


bins = {"warm": learnt_bins(ring_model.network), "cold": learnt_bins(practice_model.network)}
off = {name: 0.5 * np.abs(values - true_bins).sum() for name, values in bins.items()}
assert off["warm"] < 0.2 and off["warm"] < off["cold"]
print("total variation between the learnt and the true density, no samples involved: "
      + ", ".join(f"{name} {value:.2f}" for name, value in off.items()))

# %% [markdown]
# ### Practice, and the temperature of its noise
#
# For pictures, temperature one is a luxury: a step has to be short for the steepest of 1,024 directions, and then mixing takes for ever. So practice {cite}`du2019implicit,nijkamp2020anatomy` turns the noise down, takes huge steps, and cuts the slopes. Some recipes start warmer and cool down on the way (*annealing*). What does such a chain sample? Compare $x \leftarrow x - \lambda \nabla E + \sigma \epsilon$ with the honest step on the landscape $E/T$, whose step size $\lambda'$ must satisfy $\lambda'/T = \lambda$ and $\sqrt{2\lambda'} = \sigma$. Hence
#
# $$ T = \frac{\sigma^2}{2 \lambda} . $$

# %%
def temperature(sampler):
    return sampler["noise"] ** 2 / (2 * sampler["step"])


assert np.isclose(temperature(WARM), 1)
assert np.isclose(temperature(SAMPLER), 1.25e-6)          # 0.005 squared over 2 times 10
print(f"warm: T = {temperature(WARM):.0f}; the ring's cold sampler: T = {temperature(COLD):.0e}; "
      f"the sampler for pictures: T = {temperature(SAMPLER):.2e}")
results.quote("ebm-temperature", f"{temperature(SAMPLER) * 1e6:.2f}")

# %% [markdown]
# The sampler that is usual for pictures runs at {glue:text}`ebm-temperature` *millionths* of the temperature at which $e^{-E}$ is the density. It is gradient descent with a pinch of noise; and as its slopes are cut and its steps are too long for the small-step theory, even the low temperature is only a manner of speaking. **It is no sampler of the stated density.** It is a generator of its own, made of a landscape, a number of steps and a starting point, and training makes the *output of this generator* look like data. What the recipe does to the energies, the ring can show. We let both samplers run for 200 steps from 10,000 data points, each on the landscape that it was trained with.

# %% tags=["model"]
class Chain(keras.Model):
    """Maps the states of chains [n, ...] to their states some Langevin steps later."""

    def __init__(self, network, sampler, seed=SEED):
        super().__init__()
        self.network, self.sampler = network, sampler
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, items):
        return langevin(self.network, items, self.seed_generator, **self.sampler)


# %%
starts = exact_draws(TRUE, 10_000, np.random.default_rng([SEED, 3]))
ends = {}
for name, model in [("warm", ring_model), ("cold", practice_model)]:
    chain = Chain(model.network, {**model.sampler, "steps": 200})
    ends[name] = chain.predict(starts, batch_size=len(starts), verbose=0)  # compiled, unlike a call
stray = {name: metrics.total_variation(ends[name], edges, bins[name]) for name in ends}
floor = {
    name: metrics.perfect_sampler_total_variation(bins[name], len(starts), seed=SEED)
    for name in ends
}
assert stray["warm"] < floor["warm"] + 0.1
assert stray["cold"] - floor["cold"] > 2 * (stray["warm"] - floor["warm"])
print(f"samples against their own exp(-E)/Z at n = {len(starts):,}, and a perfect sampler: "
      + "; ".join(f"{name} {stray[name]:.1f} and {floor[name]:.1f}" for name in ends))

# %% mystnb={"image": {"alt": "Five square panels. Truth: a ring, darker on the right. Warm: nearly the same density, and samples like it. Cold: another density, and samples that do not match it"}, "figure": {"caption": "The true density; the density learnt with a warm sampler, and that sampler's draws; the same with the sampler of practice. With the warm sampler the draws follow the density, with the cold one they do not.", "name": "fig-ebm-ring"}}
panels = {"truth": true_bins}
for name in ("warm", "cold"):
    panels[f"{name}: density"] = bins[name]
    panels[f"{name}: draws"] = np.histogramdd(ends[name], bins=edges)[0] / len(starts)
figure, axes = plt.subplots(1, 5, figsize=(10, 2.3))
for axis, (title, values) in zip(axes, panels.items()):
    axis.imshow(values.T, origin="lower", cmap="gray_r", extent=window, vmax=2 * true_bins.max())
    axis.set_title(title, fontsize=9)
    axis.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ### What the regulariser really does
#
# The recipe of practice has one more item, $\alpha = 0.1$, often presented as a harmless brake. Take the samples' density $q$ as given, let $E$ be any function, and minimise $\mathcal{L}$ for every $x$ on its own: $p - q + 2 \alpha (p + q) E = 0$, so
#
# $$ E^*(x) = \frac{1}{2\alpha} \cdot \frac{q(x) - p(x)}{q(x) + p(x)} . $$
#
# This is no $-\log p$. Completing the squares in $\mathcal{L}$ shows a least-squares critic {cite}`mao2017lsgan` with the labels $-\frac{1}{2\alpha}$ for data and $+\frac{1}{2\alpha}$ for samples, and the chain is its generator. If the generator is perfect, $q = p$, the critic has nothing left to say, and the landscape goes flat. Where both are at odds completely, the mean energies are $\frac1\alpha$ apart. So this gap is a gauge: near zero, the samples keep up with the data; near $\frac1\alpha$, they are beaten.

# %%
p, q, alpha = np.array([0.5, 0.3, 0.2, 0.0]), np.array([0.1, 0.3, 0.2, 0.4]), DIGIT["alpha"]


def loss_of(energy):
    return p @ energy - q @ energy + alpha * (p + q) @ energy**2


best = (q - p) / (2 * alpha * (p + q))
tries = best + np.random.default_rng(SEED).normal(size=(1_000, 4))
assert all(loss_of(best) < loss_of(energy) for energy in tries)
assert np.isclose(best.max(), 1 / (2 * alpha)) and np.allclose(best[1:3], 0)
print("no other landscape of 1,000 has a lower loss; where p = q the energy is zero")

# %% [markdown]
# ## Digits
#
# The default data are 4,000 training and 1,000 test digits from MNIST {cite}`lecun1998gradient`, of which we keep 500 training digits aside. Pictures are padded to 32 by 32 pixels, which halve well four times, and scaled to the range from -1 to 1. During training the real digits get the same pinch of noise as the chains; otherwise perfectly black pixels would give them away.

# %% tags=["model"]
data = datasets.load(DATASET)
x_learn = data.x_train[:-VALIDATION][:PICTURES]                       # bytes
x_validation, x_test = (datasets.scale(x) for x in (data.x_train[-VALIDATION:], data.x_test))


def prepare(images):
    """Pictures [n, 28, 28, 1] in [0, 1] as the network sees them: [n, 32, 32, 1] in [-1, 1]."""
    return np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0))) * np.float32(2) - np.float32(1)


def unprepare(states):
    """States of chains as pictures of 256 greys, like the data: [n, 28, 28, 1] in [0, 1]."""
    greys = np.clip((states[:, 2:-2, 2:-2] + 1) / 2, 0, 1)
    return np.rint(255 * greys) / np.float32(255)


def with_noise(batch, generator):
    noise = generator.standard_normal((len(batch), 32, 32, 1), dtype=np.float32)
    return np.clip(prepare(batch) + SAMPLER["noise"] * noise, -1, 1)


# %% [markdown]
# The network halves the picture four times and ends in one number. It has 76,993 parameters, as in the book it comes from {cite}`foster2023generative`. Adam runs without momentum and with clipped gradients, a precaution in a training whose two sides chase each other.

# %% tags=["model"]
def build_digit_network():
    images = keras.Input((32, 32, 1))
    x = images
    for filters, size in [(16, 5), (32, 3), (64, 3), (64, 3)]:        # 16, 8, 4, 2 pixels wide
        x = layers.Conv2D(filters, size, strides=2, padding="same", activation="swish")(x)
    x = layers.Dense(64, activation="swish")(layers.Flatten()(x))
    return keras.Model(images, layers.Dense(1)(x), name="energy")     # [batch, 1]


keras.utils.set_random_seed(SEED)
ebm = ContrastiveModel(build_digit_network(), SAMPLER, **DIGIT)
ebm(prepare(x_validation[:2]))                            # builds the weights
ebm.compile(keras.optimizers.Adam(LEARNING_RATE, beta_1=0.0, global_clipnorm=0.1))
digit_batches = training.batches(
    x_learn, batch_size=DIGIT["batch"], seed=SEED, augment=with_noise
)
epochs = max(1, UPDATES // len(digit_batches))

# %% [markdown]
# Energies can run away, so the training has a *guard*: it keeps a copy of all weights, of the chains and of the optimiser's memory after each good epoch, and when a mean energy is twice as far out as the regulariser could ever want, it goes back to the copy and halves the learning rate.

# %% tags=["model"]
class Guard(keras.callbacks.Callback):
    """Goes back to the last good epoch, at half the learning rate, when energies run away."""

    def __init__(self, limit):
        super().__init__()
        self.limit, self.alarms = limit, 0

    def state(self):
        return [*self.model.weights, *self.model.optimizer.variables]

    def keep(self):
        self.good = [np.array(ops.convert_to_numpy(variable)) for variable in self.state()]

    def on_train_begin(self, logs=None):
        self.model.optimizer.build(self.model.network.trainable_variables)
        self.keep()

    def on_epoch_end(self, epoch, logs=None):
        if all(abs(logs[name]) < self.limit for name in ("energy_real", "energy_fake")):
            self.keep()                                   # all is well (and not for NaN)
            return
        self.alarms += 1
        slower = float(self.model.optimizer.learning_rate) / 2
        for variable, value in zip(self.state(), self.good):
            variable.assign(value)
        self.model.optimizer.learning_rate = slower


# %%
assert ebm.network.count_params() == 76_993
print(f"{ebm.network.count_params():,} parameters; {DIGIT['buffer']:,} chains in the buffer")


def energies(network, images, size=1_000):
    """Energies [n] of pictures [n, 28, 28, 1] in [0, 1]."""
    parts = [network(prepare(images[i : i + size])) for i in range(0, len(images), size)]
    return np.concatenate([ops.convert_to_numpy(part)[:, 0] for part in parts])


def lift_of_noise(network):
    noise = np.random.default_rng(SEED).random(x_validation.shape, dtype=np.float32)
    return energies(network, noise).mean() - energies(network, x_validation).mean()


# %% tags=["nbval-ignore-output"]
lift = lift_of_noise(ebm.network)
guard = Guard(limit=1 / DIGIT["alpha"])
run = training.fit(
    ebm, digit_batches, epochs=epochs,
    validation=with_noise(x_validation, np.random.default_rng(SEED)),
    checkpoint=f"ebm_{DATASET}_{SEED}", callbacks=[guard],
)
assert lift_of_noise(ebm.network) > lift                  # noise has risen above the digits
if is_full_run():
    print(f"alarms: {guard.alarms}")
    publishable = datasets.REGISTRY[DATASET].publishable
    weights.release(ebm.network, f"ebm/{DATASET}", run, publish=publishable)

# %%
runs["ebm"] = weights.restore(ebm.network, f"ebm/{DATASET}")
history = {key: np.array(values) for key, values in runs["ebm"].history.items()}
gap = history["energy_fake"] - history["energy_real"]
assert abs(gap[-1]) < 0.5 / DIGIT["alpha"]                # the samples keep up with the data
print(f"weights of a run with {runs['ebm'].updates:,} updates")

# %% mystnb={"image": {"alt": "Mean energies by epoch of training digits, held-out digits and chains; the three curves stay close together"}, "figure": {"caption": "Mean energies in the full run: training digits, held-out digits (dashed), and the chains of the replay buffer.", "name": "fig-ebm-training"}}
plots.loss_curves(runs["ebm"].history, labels={
    "energy_real": "training digits", "energy_fake": "chains", "val_energy_real": "held-out digits",
})
plt.ylabel("mean energy")
plt.show()

# %% [markdown]
# This is a strange training curve: there is nothing to go down. The loss of an energy-based model compares it with its own present samples, so it says as little about progress as the score of two equal chess players. A gap that opens, between chains and data or between training and held-out digits, says that something is wrong; curves that stay together say that nothing is obviously wrong. The measures of the next sections have to say the rest.
#
# ## From noise to digits
#
# Generation is what training did all the time, only longer: start from noise, take 1,000 steps. A compiled chain of 25 steps is applied forty times, and the states in between make the film. Energies must fall on the way; a sampler with a wrong sign would climb.

# %%
noise = np.random.default_rng(SEED).uniform(-1, 1, (FILMED, 32, 32, 1)).astype("float32")
chain = Chain(ebm.network, {**SAMPLER, "steps": FILM_STEPS})
states = [noise]
for _ in range(FILM_FRAMES):
    states.append(chain.predict(states[-1], batch_size=FILMED, verbose=0))
first_energy, last_energy = (
    ops.convert_to_numpy(ebm(state)).mean() for state in (states[0], states[-1])
)
assert np.abs(states[-1]).max() <= 1 and last_energy < first_energy
print(f"{FILMED} chains of {FILM_FRAMES * FILM_STEPS:,} steps; their mean energy fell")


# %% tags=["nbval-ignore-output"]
def mosaic(pictures, columns=6):
    """Pictures [n, 28, 28, 1] side by side in one, [rows * 28, columns * 28]."""
    table = pictures.reshape(-1, columns, 28, 28)
    return table.transpose(0, 2, 1, 3).reshape(-1, columns * 28)


films.show_film(
    np.array([mosaic(unprepare(state[:18])) for state in states]),
    alt="Eighteen squares of noise that turn, step by step, into what the model takes for "
        "handwritten digits",
    labels=[f"step {frame * FILM_STEPS:,}" for frame in range(FILM_FRAMES + 1)],
)

# %% tags=["cover"] mystnb={"image": {"alt": "Fifty pictures drawn by the model: white strokes on black in the manner of handwritten digits"}, "figure": {"caption": "Fifty chains after 1,000 steps from noise, unselected.", "name": "fig-ebm-samples"}}
generated = unprepare(states[-1])
plots.image_grid(generated[:50])
plt.show()

# %% [markdown]
# Has the model learnt to draw, or learnt by heart? Below each picture stands the training digit that is nearest to it, pixel by pixel.

# %% mystnb={"image": {"alt": "Two rows of ten pictures: generated ones, and below each the most similar training digit"}, "figure": {"caption": "Ten generated pictures and their nearest training digits.", "name": "fig-ebm-nearest"}}
known = datasets.scale(data.x_train[:-VALIDATION])        # every digit it may have seen


def nearest(pictures):
    """Distance of each picture to its nearest training digit, and which one: [n], [n]."""
    queries, rows = (images.reshape(len(images), -1) for images in (pictures, known))
    squared = np.square(queries).sum(axis=1)[:, None] + np.square(rows).sum(axis=1)
    squared = squared - 2 * queries @ rows.T              # [n, training digits]
    return np.sqrt(np.maximum(squared.min(axis=1), 0)), squared.argmin(axis=1)


rows = [generated[:10], known[nearest(generated[:10])[1]]]
plots.image_grid(np.concatenate(rows), row_labels=["generated", "nearest"])
plt.show()

# %% [markdown]
# Ten pairs are an impression. The median distance to the nearest training digit, for all pictures of the film and for as many test digits: much smaller for the generated ones would mean copying.

# %%
away = {name: np.median(nearest(pictures)[0])
        for name, pictures in [("generated", generated), ("test", x_test[:FILMED])]}
assert away["generated"] > 0.7 * away["test"]             # no copies
print("median distance to the nearest training digit: "
      + ", ".join(f"{name} {value:.1f}" for name, value in away.items()))

# %% [markdown]
# ## How good are they?
#
# FID and KID compare generated with real pictures in the features of a classifier of chapter 2, here the one for digits. There are only 1,000 test digits, far too few for a trustworthy FID, which is biased upwards for small samples: read it only beside values *at the same n*. KID has no such bias. Beside both stand real training digits (a floor that is a little low or high, as the feature network was trained on them), and a Gaussian with the mean and covariance of the pixels. Precision and recall ask separately whether pictures look real, and whether all real ones are covered.

# %%
feature_network = weights.load_feature_network(DATASET.removesuffix("_full"))
record = results.Record("ebm", DATASET, data.source)
n = min(SAMPLES, len(x_test))
test_features = metrics.features(feature_network, x_test)
if is_full_run():
    long_chain = Chain(ebm.network, {**SAMPLER, "steps": FILM_FRAMES * FILM_STEPS}, seed=SEED + 1)
    noise = np.random.default_rng([SEED, 4]).uniform(-1, 1, (SAMPLES, 32, 32, 1))
    final_states = long_chain.predict(noise.astype("float32"), batch_size=500, verbose=0)
    learn = datasets.scale(x_learn)
    sets = {
        "": unprepare(final_states), "floor_": learn[:SAMPLES],
        "trivial_": metrics.pca_gaussian_samples(learn, n=SAMPLES, components=784, seed=SEED),
    }
    for prefix, pictures in sets.items():
        features = metrics.features(feature_network, pictures)
        fid = metrics.frechet_distance(test_features[:n], features[:n])
        kid, kid_sd = metrics.kernel_distance(test_features, features, subset_size=n // 2)
        precision, recall = metrics.precision_recall(test_features[:n], features[:n])
        record.metric(f"{prefix}fid", fid, n=n)
        record.metric(f"{prefix}kid", kid, n=len(features), sd=kid_sd)
        record.metric(f"{prefix}precision", precision, n=n)
        record.metric(f"{prefix}recall", recall, n=n)

# %% [markdown]
# The values are those of the full run, from the record. A quick run scores the 100 pictures of the film again, against 100 test digits, where the same distance is larger.

# %%
spread = 0.0
if is_full_run():                                         # how much a value at n = 100 scatters
    features = metrics.features(feature_network, sets[""])
    parts = [slice(i, i + FILMED) for i in range(0, n - FILMED + 1, FILMED)]
    values = [metrics.frechet_distance(test_features[part], features[part]) for part in parts]
    spread = metrics.mean_and_sd(values)[1]
film_features = metrics.features(feature_network, generated)
small_fid = metrics.frechet_distance(test_features[:FILMED], film_features)
record.check("fid", small_fid, n=FILMED, sd=spread)


# %%
def recorded(name, digits=3):
    """A value of this full run, or under quick that of the recorded one, as text."""
    found = results.headline("ebm", name, DATASET)
    value = record.metrics.get(name, found.mean if found else np.nan)
    return f"{value:.{digits}f}"


results.show_table(
    ["pictures", f"FID-mnist, n = {n if is_full_run() else 1_000:,}", "KID-mnist", "precision",
     "recall"],
    [[words, recorded(f"{prefix}fid", 1), *(recorded(prefix + key)
      for key in ("kid", "precision", "recall"))]
     for prefix, words in [("floor_", "real"), ("", "ours"), ("trivial_", "Gaussian of pixels")]],
)

# %% [markdown]
# ## Is this a digit? Energies as an alarm
#
# A landscape that is low at digits should be high elsewhere. We hand it three kinds of strangers, as many as there are test digits: noise, clothes, and the test digits in a mirror that turns them upside down. The score is minus the energy. And since chapter 3 taught us to distrust such numbers, three scores run along that know nothing worth knowing: the mean brightness; a linear Gaussian model of the pixels with 64 components, *PPCA* {cite}`tipping1999probabilistic`; and five copies of our network *before* any training (their mean). For brightness and the untrained networks either direction counts, which lies above one half by construction. (None of these pictures has the pinch of noise that the network was trained with.)

# %%
other = datasets.load(OTHER)
strangers = {
    "noise": np.random.default_rng(SEED).random(x_test.shape, dtype=np.float32),
    OTHER.removesuffix("_mnist"): datasets.scale(other.x_test[: len(x_test)]),
    "upside_down": x_test[:, ::-1],
}
ppca = PCA(64, svd_solver="full").fit(datasets.scale(data.x_train[:-VALIDATION][:5_000])
                                      .reshape(-1, 784))
untrained = []
for seed in range(5):
    keras.utils.set_random_seed(seed)
    untrained.append(build_digit_network())


def either_way(area):
    return max(area, 1 - area)


# %%
def areas(images):
    """ROC-AUC of each score for test pictures against these strangers."""
    home = x_test[: len(images)]

    def area(score):
        return metrics.auroc(score(home), score(images))

    blank = [either_way(area(lambda x, f=network: -energies(f, x))) for network in untrained]
    return {
        "energy": area(lambda x: -energies(ebm.network, x)),
        "ppca": area(lambda x: ppca.score_samples(x.reshape(len(x), -1))),
        "brightness": either_way(area(lambda x: x.mean(axis=(1, 2, 3)))),
        "untrained": float(np.mean(blank)),
    }


table = {name: areas(images) for name, images in strangers.items()}
results.show_table(
    ["strangers", "minus energy", "PPCA-64", "brightness", "untrained network"],
    [[name.replace("_", " "), *(f"{value:.3f}" for value in row.values())]
     for name, row in table.items()],
)

# %%
if DATASET != "fashion_mnist":
    assert table["noise"]["energy"] >= 0.99 and table["fashion"]["energy"] >= 0.97
    assert table["noise"]["brightness"] > 0.99            # a light meter does the first task
    assert table["fashion"]["ppca"] > 0.97                # and a linear model the second
assert abs(table["upside_down"]["brightness"] - 0.5) < 0.001
results.quote("ebm-upside", f"{table['upside_down']['energy']:.2f}")
results.quote("ebm-upside-ppca", f"{table['upside_down']['ppca']:.2f}")
better = table["upside_down"]["energy"] > table["upside_down"]["ppca"]
results.quote("ebm-upside-verdict", "our network is the better alarm" if better
              else "a model without any network is the better alarm")

# %% [markdown]
# Be careful with what is impressive here. The noise is told from digits by a *light meter*, clothes by a linear model, so the first two rows are duties, not achievements. Upside-down digits have the same brightness, pixel for pixel, and the same strokes; only their shape is wrong. There (mirrored top to bottom) the energies reach {glue:text}`ebm-upside`, the linear model {glue:text}`ebm-upside-ppca`: {glue:text}`ebm-upside-verdict`. One is not attainable: 0, 1, 3 and 8 stay digits in this mirror, and 2 and 5 nearly change places. What an energy-based model rejects is what its *negative samples* have taught it to reject, and a chain that comes from noise has little reason to visit an upside-down seven.

# %% mystnb={"image": {"alt": "Four histograms of energies in one plot: test digits, noise, clothes, and upside-down digits, which overlap most with the test digits"}, "figure": {"caption": "Energies of test digits and of three kinds of strangers.", "name": "fig-ebm-energies"}}
figure, axis = plt.subplots()
groups = {"test digits": x_test, **strangers}
values = {name: energies(ebm.network, images) for name, images in groups.items()}
span = np.linspace(*np.percentile(np.concatenate(list(values.values())), (0.5, 99.5)), 60)
for colour, (name, numbers) in zip(plots.COLOURS, values.items()):
    axis.hist(numbers, bins=span, histtype="step", linewidth=1.6, color=colour,
              label=name.replace("_", " "))
axis.set(xlabel="energy", ylabel="pictures")
axis.legend()
plt.show()

# %% mystnb={"image": {"alt": "Two rows of ten test digits: the ones with the lowest energies, and the ones with the highest"}, "figure": {"caption": "The test digits that the model finds most and least like digits.", "name": "fig-ebm-extremes"}}
order = np.argsort(values["test digits"])
plots.image_grid(x_test[[*order[:10], *order[-10:]]], row_labels=["lowest", "highest"])
plt.show()

# %% [markdown]
# ## The record

# %%
def area_error(area, first, second):
    """Standard error of a ROC-AUC, after Hanley and McNeil."""
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (first - 1) * (one - area**2) + (second - 1) * (two - area**2)
    return float(np.sqrt(max(spread, 0) / (first * second)))


pairs = np.random.default_rng(SEED).integers(0, len(x_test), (200, len(x_test)))
home, flipped = values["test digits"], values["upside_down"]
paired = np.std([metrics.auroc(-home[i], -flipped[i]) for i in pairs], ddof=1)
for name, row in table.items():
    sd = area_error(row["energy"], len(x_test), len(strangers[name]))
    sd = float(paired) if name == "upside_down" else sd   # the same digits on both sides
    record.metric(f"auroc_{name}", row["energy"], n=2 * len(x_test), sd=sd)
    record.check(f"auroc_{name}", row["energy"], n=2 * len(x_test), sd=sd)
    for kind in ("ppca", "brightness", "untrained"):
        record.metric(f"{kind}.auroc_{name}", row[kind], n=2 * len(x_test))
record.metric("toy.total_variation", distances[-1], n=DRAWS)
record.metric("toy.perfect", perfect, n=DRAWS)
record.metric("toy.start", distances[0], n=DRAWS)
for name in ("warm", "cold"):
    record.metric(f"ring_{name}.density_total_variation", off[name])
    record.metric(f"ring_{name}.draws_total_variation", stray[name], n=len(starts))
record.save(
    parameters={"ebm": ebm.network.count_params()},
    updates={name: run.updates for name, run in runs.items()},
    seconds=sum(run.seconds for run in runs.values()),
    weight_names=[f"ebm/{DATASET}", "ebm/ring_warm", "ebm/ring_cold"],
)

# %% [markdown]
# ## What goes wrong
#
# **A wrong sign.** Let the chains climb instead of descend, one character in the code, and leave out the regulariser. The samples run to wherever the energy is highest, training lifts them higher still, and nothing ever comes back. The guard sees it, goes back, and slows down, again and again. That is all a guard can do: one alarm is bad luck, but **an alarm that keeps ringing is a bug.**

# %% tags=["nbval-ignore-output"]
few_batches = training.batches(ring_data[:5_120], batch_size=RING["batch"], seed=SEED)
climbing = {**WARM, "step": -STEP, "steps": 10}
runaway = build_ring_model(climbing, rate=3e-3, alpha=0.0)
runaway_guard = Guard(limit=20.0)
runaway_run = training.fit(runaway, few_batches, epochs=12, callbacks=[runaway_guard])
assert runaway_guard.alarms >= 2
assert max(np.abs(runaway_run.history["energy_fake"])) > 20
for variable, copy in zip(runaway.weights, runaway_guard.good):
    assert np.array_equal(ops.convert_to_numpy(variable), copy)       # back at the last good epoch
print(f"{runaway_guard.alarms} alarms in 12 epochs")

# %% [markdown]
# The same wrong sign *with* the regulariser is more treacherous. Nothing explodes, and the energies settle. To see what the sign alone does, a control runs beside it that differs in nothing else. Look at the gauge: with the wrong sign the gap comes close to $\frac1\alpha$, so the samples are beaten completely; and as they never visit the places of low energy, nothing ever lifts what is wrongly low.

# %% tags=["nbval-ignore-output"]
def short_run(sampler):
    """Gap of the energies after a short training with the regulariser, and the density's error."""
    model = build_ring_model(sampler, rate=3e-3, alpha=DIGIT["alpha"])
    log = training.fit(model, few_batches, epochs=12).history
    gap = log["energy_fake"][-1] - log["energy_real"][-1]
    return gap, 0.5 * np.abs(learnt_bins(model.network) - true_bins).sum()


beaten_gap, beaten_off = short_run(climbing)
control_gap, control_off = short_run({**WARM, "steps": 10})
assert beaten_gap > 0.7 / DIGIT["alpha"] > 7 * abs(control_gap)
print(f"gap, at most {1 / DIGIT['alpha']:.0f}: wrong sign {beaten_gap:.1f}, right sign "
      f"{control_gap:.1f}; density off by {beaten_off:.2f} and {control_off:.2f}")

# %% [markdown]
# **Islands.** Langevin steps are small, so a chain crosses a pass only if the kicks carry it over. Stiffen and squeeze the ring until two islands remain, with a pass of more than ten nats between them. Wherever they start, chains should spend most of their time on the deeper, right-hand island. They do not, and looking at one group of chains, nothing tells you. Start two groups in different places: as long as they disagree, neither has arrived.

# %%
islands = (20.0, 1.5, 20.0, 0.4)
between = np.stack([np.zeros(200), np.linspace(-2, 2, 200)], axis=1)  # every way crosses this line
climb = ring_energy(between, islands).min() - ring_energy(np.array([[-1.5, 0.0]]), islands)[0]
island_bins = metrics.bin_probabilities(lambda x: np.exp(-ring_energy(x, islands)), edges)
true_right = island_bins[25:].sum()
right = {}
for side in (-1, 1):                                      # all chains on the left, all on the right
    shore = np.full((5_000, 2), (1.5 * side, 0.0), "float32")
    ends_here = walk(shore, islands, 0.01, 500, np.random.default_rng(SEED))
    right[side] = (ends_here[:, 0] > 0).mean()
assert climb > 10 and right[-1] < 0.05 < 0.7 < true_right < 0.95 < right[1]
print(f"probability of the right island {true_right:.2f}; share of chains there after 500 steps: "
      f"{right[-1]:.2f} from the left, {right[1]:.2f} from the right")

# %% [markdown]
# For a model of digits every class is an island. The fresh noise in the buffer is what reaches islands that the old chains have left, and the recall above is the place to see whether it was enough.
#
# **A likelihood that nobody has.** It is tempting to report $-\log p$ of the test digits, up to the constant $\log Z$, and to call a gap between two models an improvement. Without $Z$ the energies of two *different* networks have no common zero, and with a cold sampler they are not even log-densities. Compare within one network, or compare samples.
#
# ## Lessons
#
# - An energy needs no normalisation, which buys freedom of architecture; the price is paid in every training step, by a sampler.
# - Langevin dynamics needs slopes only. Step size $\lambda$, noise $\sqrt{2\lambda}$, in this pairing; its error grows with the step, and passes between valleys stop it.
# - The gradient pushes down at the data and up at the samples. Whatever the samples never visit is never pushed up.
# - State the temperature $\sigma^2 / 2\lambda$ of the sampler you use. Far below one, the model is a generator with a landscape inside, and $e^{-E}/Z$ is not what it draws from.
# - Watch the gap between the energies of data and samples, not the loss.
# - Before you praise an alarm, let a light meter try.
#
# **When not to use one.** If you need a likelihood, take a flow; if you need fast sampling, take anything else. What energies do well is to *combine*: landscapes add (an exercise). And the slope of a landscape is all that sampling needs, which suggests learning the slope itself, at many noise levels. That is a diffusion model, and the next chapter.
#
# **Things to try.** Warm up the sampler of the digits in small steps: at which temperature do the digits dissolve? Train with `"fresh": 1.0`, every chain from noise, and follow the film beyond the trained number of steps. Run `GENBOOK_BUDGET=cpu GENBOOK_DATASET=fashion_mnist`, where clothes and digits change roles.

# %% [markdown]
# ## Exercises
#
# :::{exercise} The bias of a step
# :label: ebm-bias
#
# For $E(x) = \frac{k}{2} x^2$ one Langevin step reads $x \leftarrow (1 - \lambda k)\, x + \sqrt{2 \lambda}\, \epsilon$. What variance stays the same under this step? Complete the function; where the variance grows without end, return infinity. What happens to the answer if somebody forgets the 2 under the root?
# :::

# %% [markdown]
# :::{solution-start} ebm-bias
# :class: dropdown
# :::
#
# The noise is independent of $x$, so variances add: $v = (1 - \lambda k)^2 v + 2 \lambda$, hence $v = \frac{2\lambda}{2 \lambda k - \lambda^2 k^2} = \frac{1}{k (1 - \lambda k / 2)}$. For $\lambda k \ge 2$ the factor $(1 - \lambda k)^2$ is not below one, and the variance grows without end. Without the 2 the variance is half as large: the chain samples at temperature one half.

# %% tags=["solution"]
def settled_variance(stiffness, step):
    ### BEGIN SOLUTION
    if step * stiffness >= 2:
        return np.inf
    return 1 / (stiffness * (1 - step * stiffness / 2))
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
for stiffness, step in [(1.0, 0.5), (4.0, 0.1), (3.0, 0.6)]:
    cloud, dice = np.zeros(50_000), np.random.default_rng(0)
    for _ in range(100):
        cloud = (1 - step * stiffness) * cloud + np.sqrt(2 * step) * dice.standard_normal(50_000)
    assert abs(settled_variance(stiffness, step) / cloud.var() - 1) < 0.04
assert abs(settled_variance(5.0, 1e-6) - 0.2) < 1e-5 and settled_variance(5.0, 0.4) == np.inf
print("correct")

# %% [markdown]
# :::{exercise} And, or
# :label: ebm-and-or
#
# Two landscapes describe two wishes, "round" and "at the lower left". Which landscape asks for both at once? And which for at least one, as a mixture? Complete the two functions of the two energies. In what proportion does your "or" mix the two densities, and how would you change it?
# :::

# %% [markdown]
# :::{solution-start} ebm-and-or
# :class: dropdown
# :::
#
# Both at once is the product of the densities, so energies add. A mixture adds densities: $e^{-E_1} + e^{-E_2}$, so $E = -\log(e^{-E_1} + e^{-E_2})$. As $e^{-E_i} = Z_i\, p_i$, the mixture has the weights $Z_1$ and $Z_2$, which for networks nobody knows: a constant added to one energy, invisible in its own model, shifts the balance of the mixture. To change the balance on purpose, add a constant: $E_1 + c$ multiplies the first weight by $e^{-c}$. The product needs no such care.

# %% tags=["exercise-context"]
first_wish = ring_energy(grid_points(50), TRUE)           # a ring
second_wish = 0.5 * np.square(grid_points(50) + 1.0).sum(axis=1)  # near (-1, -1)


def normalised(energy):
    return np.exp(-energy - logsumexp(-energy))


# %% tags=["solution"]
def both(first_energy, second_energy):
    ### BEGIN SOLUTION
    return first_energy + second_energy
    ### END SOLUTION


def either(first_energy, second_energy):
    ### BEGIN SOLUTION
    return -np.logaddexp(-first_energy, -second_energy)
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
product = normalised(first_wish) * normalised(second_wish)
assert np.allclose(normalised(both(first_wish, second_wish)), product / product.sum())
first_z, second_z = np.exp(-first_wish).sum(), np.exp(-second_wish).sum()
mixture = (first_z * normalised(first_wish) + second_z * normalised(second_wish))
assert np.allclose(normalised(either(first_wish, second_wish)), mixture / (first_z + second_z))
print("correct")

# %% [markdown]
# :::{exercise} The adjusted chain
# :label: ebm-accept
#
# A proposal from $x$ to $y$ is accepted with the probability
#
# $$ a(x \to y) = \min \Big( 1, \frac{p(y)\, g(x \mid y)}{p(x)\, g(y \mid x)} \Big), $$
#
# where $g(y \mid x)$ is the density with which a Langevin step proposes $y$, a Gaussian around $x - \lambda \nabla E(x)$. Otherwise the chain stays at $x$. Complete the function with the help of `log_proposal`. Why can we do without $Z$?
# :::

# %% [markdown]
# :::{solution-start} ebm-accept
# :class: dropdown
# :::
#
# Only the ratio $p(y)/p(x) = e^{E(x) - E(y)}$ appears, where $Z$ cancels. The proposals do not cancel: a long step downhill is proposed often, the way back rarely.

# %% tags=["exercise-context"]
def log_proposal(target, origin, theta, step):
    """log g(target | origin) for a Langevin step, [n], without its constant."""
    missed = target - origin + step * ring_slope(origin, theta)
    return -np.square(missed).sum(axis=1) / (4 * step)    # the variance is 2 * step


# %% tags=["solution"]
def accept_probability(origin, target, theta, step):
    ### BEGIN SOLUTION
    log_ratio = ring_energy(origin, theta) - ring_energy(target, theta)
    log_ratio += log_proposal(origin, target, theta, step)
    log_ratio -= log_proposal(target, origin, theta, step)
    return np.exp(np.minimum(log_ratio, 0))
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
dice = np.random.default_rng(0)
x = exact_draws(TRUE, 20_000, dice).astype("float64")
there, back = x[:200], x[:200] + dice.normal(scale=0.3, size=(200, 2))
flows = [np.log(accept_probability(a, b, TRUE, 0.3)) - ring_energy(a, TRUE)
         + log_proposal(b, a, TRUE, 0.3) for a, b in [(there, back), (back, there)]]
assert np.allclose(flows[0], flows[1])                    # as much traffic one way as the other
ways = [accept_probability(there, back, TRUE, 0.3), accept_probability(back, there, TRUE, 0.3)]
assert np.allclose(np.maximum(*ways), 1)                  # and no more refusals than needed
mean_energy, adjusted, unadjusted = ring_energy(x, TRUE).mean(), x, x
for _ in range(50):
    kick = np.sqrt(0.6) * dice.standard_normal(x.shape)
    unadjusted = unadjusted - 0.3 * ring_slope(unadjusted, TRUE) + kick
    proposal = adjusted - 0.3 * ring_slope(adjusted, TRUE) + kick
    taken = dice.random(len(x)) < accept_probability(adjusted, proposal, TRUE, 0.3)
    adjusted = np.where(taken[:, None], proposal, adjusted)
assert abs(ring_energy(adjusted, TRUE).mean() - mean_energy) < 0.05
assert ring_energy(unadjusted, TRUE).mean() - mean_energy > 0.2
print("correct")

# %% [markdown]
# :::{exercise} Fit the ring
# :label: ebm-fit
#
# Find the four parameters from data, by persistent chains. In each of the updates, let the chains take ten steps under the present $\theta$, estimate the gradient of the log-likelihood, and go uphill. The four parameters have very different scales; multiply the gradient by the inverse of the covariance matrix of the parameter slopes over the chains, and by a rate of 0.2. (Why this matrix? Ask for the *second* derivative of $\log Z$.) Keep the stiffness above 0.1.
# :::

# %% [markdown]
# :::{solution-start} ebm-fit
# :class: dropdown
# :::
#
# When the energy is linear in $\theta$, the second derivative of $\log Z$ is exactly the covariance of the slopes, and that of the mean log-likelihood is minus this matrix, so we take a fifth of a Newton step. (In the radius our energy is not linear, and the matrix is an approximation, the Fisher information.) The mean over the chains minus the mean over the data is the gradient; with the sign reversed, $\theta$ runs away at once.

# %% tags=["solution"]
def fit_ring(data_points, theta, generator, updates=150):
    chains = generator.uniform(-BOUND, BOUND, data_points.shape).astype("float32")
    for _ in range(updates):
        ### BEGIN SOLUTION
        chains = walk(chains, theta, STEP, 10, generator)
        slopes = parameter_slopes(chains, theta)
        gradient = slopes.mean(axis=0) - parameter_slopes(data_points, theta).mean(axis=0)
        theta = np.array(theta) + 0.2 * np.linalg.solve(np.cov(slopes.T), gradient)
        theta = (max(float(theta[0]), 0.1), *(float(value) for value in theta[1:]))
        ### END SOLUTION
    return theta


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
check_points = exact_draws(TRUE, 5_000, np.random.default_rng(5))
fitted = fit_ring(check_points, (2.0, 1.0, 0.0, 0.0), np.random.default_rng(6))
likelihood = {theta: -ring_energy(check_points, theta).mean() - log_partition(theta)
              for theta in (TRUE, fitted)}
assert abs(likelihood[fitted] - likelihood[TRUE]) < 0.01  # nats, as good as the truth
assert np.allclose(fitted, TRUE, atol=0.5) and abs(fitted[1] - TRUE[1]) < 0.1
print("correct")

# %% [markdown]
# ## References
#
# A tutorial on energies: {cite:t}`lecun2006energy`; on their training: {cite:t}`song2021train`. Contrastive divergence: {cite:t}`hinton2002contrastive`; persistent chains: {cite:t}`tieleman2008training`. Langevin algorithms and when they converge: {cite:t}`roberts1996exponential`; in machine learning, with mini-batches and shrinking steps: {cite:t}`welling2011langevin`. Networks of energies for pictures, with a replay buffer: {cite:t}`du2019implicit`; what short, cold chains do: {cite:t}`nijkamp2020anatomy`. The activation: {cite:t}`ramachandran2017swish`; the optimiser: {cite:t}`kingma2015adam`. Measures: {cite:t}`heusel2017gans`, {cite:t}`binkowski2018demystifying`, {cite:t}`kynkaanniemi2019precision`; the error of a ROC-AUC: {cite:t}`hanley1982meaning`; strangers that fool a likelihood: {cite:t}`nalisnick2019know`; the linear Gaussian model: {cite:t}`tipping1999probabilistic`. Data: {cite:t}`lecun1998gradient`. Architecture and sampler settings follow {cite:t}`foster2023generative`.
