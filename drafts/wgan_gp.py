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
# # Wasserstein GAN with gradient penalty
#
# A discriminator that always wins has nothing left to teach. This is the weak point of the game of the last notebook, and another question mends it: not "real or generated?", but "how far would I have to carry one pile of pictures to turn it into the other?" The answer is a distance, a network called the *critic* estimates it {cite}`arjovsky2017wgan`, and a *gradient penalty* keeps the critic honest {cite}`gulrajani2017wgangp`. We start where everything can be computed exactly, on a line; go on to eight islands in the plane, where five losses compete against mode collapse; and end with faces.
#
# ![A grid of small generated faces, drawn in flat colours with different hair, eyes and clothes](images/wgan_gp.png)
#
# *The goal of this notebook: faces of 32 by 32 pixels from random numbers. Nothing was selected.*

# %% [markdown]
# ## What to expect
#
# For the ring the baseline is the plain GAN loss, and the optimum a perfect sampler. For the faces the baseline is a Gaussian fitted to the pixels, and the optimum the same distance between real and real faces. The features are those of the classifier of chapter 2; every term is explained where it is used.

# %% tags=["hide-input", "setup"]
# `make lint` puts the setup cell here

# %% tags=["imports"]
from functools import partial
from itertools import permutations

from helpers.training import quiet

with quiet():  # TensorFlow talks to its developers while it is imported
    import keras
    from keras import layers, ops

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.special import rel_entr

from helpers import datasets, metrics, plots, results, training, weights
from helpers.budget import budget, current_seed, is_full_run

plots.use_style()

# %%
results.expectation(
    "wgan_gp",
    dataset="portraits",
    rows=[
        {"label": "ring: modes covered, of eight", "metric": "ring_wgan_gp.modes",
         "baseline": "ring_bce.modes", "optimum": "8", "digits": 1},
        {"label": "ring: share of high quality", "metric": "ring_wgan_gp.high_quality",
         "baseline": "ring_bce.high_quality", "optimum": "0.989", "digits": 2},
        {"label": "faces: FID-portraits, n = 2,000", "metric": "fid",
         "baseline": "trivial_fid", "optimum": "floor_fid", "digits": 2},
        {"label": "faces: KID-portraits × 1,000", "metric": "kid",
         "baseline": "trivial_kid", "optimum": "floor_kid", "digits": 1},
        {"label": "critic's estimate on test faces", "metric": "critic_estimate",
         "optimum": "0", "digits": 2},
        {"label": "estimate and KID in training, rank correlation",
         "metric": "rank_correlation", "optimum": "1", "digits": 2},
    ],
)

# %% [markdown]
# ## Settings

# %% tags=["settings"]
SEED = current_seed()
DATASET = datasets.choose_dataset("portraits", alternatives=["celeba"])
VALIDATION = 1_000          # last training faces, kept aside to watch the training
SIDE = budget(quick=32, cpu=32, gpu=64)  # pixels; on two cores, 64 would cost most of the updates
LATENT = 128                # random numbers behind a face
CRITIC_FILTERS = budget(quick=(32, 64, 128), cpu=(32, 64, 128), gpu=(40, 80, 160, 320))
GENERATOR_FILTERS = budget(quick=(256, 128, 64), cpu=(256, 128, 64), gpu=(320, 160, 80, 40))
BATCH_SIZE = 64             # faces per update, of the critic and of the generator
CRITIC_STEPS = 3            # updates of the critic for one of the generator
PENALTY = 10.0              # weight of the gradient penalty; its unit is that of a distance
LEARNING_RATE, BETAS = 2e-4, (0.5, 0.9)  # of Adam, for both players
EPOCHS = budget(quick=2, cpu=140, gpu=800)
PICTURES = budget(quick=1_920, cpu=None)  # training faces that are used (None: all)
KID_EVERY = 5               # epochs between two measurements during a full run
SAMPLES, QUICK_TEST = 2_000, 500  # faces behind the recorded and the repeated measurements
CRITIC_EPOCHS = 20          # for the critics of "What goes wrong"
LINE_POINTS, LINE_PENALTY, LINE_EPOCHS = 2_048, 5.0, 12  # the example on a line
RUNS = 3                    # independent runs of every game on the ring
RING_RADIUS, RING_SD = 2.0, 0.05
RING_NOISE, RING_WIDTH, RING_BATCH = 8, 128, 128
RING_STEPS, RING_PENALTY, RING_RATE = 3, 1.0, 5e-4
RING_UPDATES, RING_EPOCHS = 50, 80  # generator updates in an epoch; epochs
RING_SAMPLES = 4_000        # points per run behind the counts
training.set_seed(SEED)

# %% [markdown]
# ## Why another distance
#
# With the best possible discriminator, the original loss of the generator is, up to a factor and a constant, the *Jensen-Shannon divergence* between data and samples {cite}`goodfellow2014gan`: half the sum of the Kullback-Leibler divergences of the two distributions from their average. It is zero if they agree. If they do not overlap, it is $\log 2$, **no matter how far apart they are**. Two thin sets in a space of thousands of pixels hardly ever overlap {cite}`arjovsky2017towards`.
#
# The *Wasserstein distance* thinks of two piles of sand. Moving a grain costs its way, and the distance is the price of the cheapest plan that turns one pile into the other. For data $p$ and generated $q$,
#
# $$ W_1(p, q) = \min_{\gamma} \; \mathbb{E}_{(x, \tilde x) \sim \gamma} \big[ \| x - \tilde x \| \big], $$
#
# over all plans $\gamma$, that is, all joint distributions of $x$ and $\tilde x$ with the right marginals $p$ and $q$. If a pile is shifted, it costs the length of the shift. Here are both measures for two narrow Gaussians.

# %%
def jensen_shannon(shift, deviation=0.3):
    """Between two Gaussians on a line, in nats, by summation over a fine grid."""
    grid, step = np.linspace(-4, 8, 12_001, retstep=True)
    p, q = stats.norm.pdf(grid, 0, deviation), stats.norm.pdf(grid, shift, deviation)
    mean = (p + q) / 2
    return (rel_entr(p, mean) + rel_entr(q, mean)).sum() * step / 2


assert abs(jensen_shannon(0)) < 1e-9
assert abs(jensen_shannon(3) - np.log(2)) < 1e-5          # as large as it can be
assert abs(jensen_shannon(3.1) - jensen_shannon(3)) < 1e-5  # and flat: nothing to learn from
print("three units apart, the Jensen-Shannon divergence has stopped changing")

# %% mystnb={"image": {"alt": "Two curves against the shift between two Gaussians: the Jensen-Shannon divergence rises and is flat from about one and a half on, the Wasserstein distance is a straight line"}, "figure": {"caption": "Two Gaussians of standard deviation 0.3, shifted apart. A slope is what a generator learns from.", "name": "fig-wgan-gp-saturation"}}
shifts = np.linspace(0, 3, 61)
figure, axis = plt.subplots()
axis.plot(shifts, [jensen_shannon(shift) for shift in shifts], label="Jensen-Shannon (nats)")
axis.plot(shifts, shifts, "--", label="Wasserstein")
axis.axhline(np.log(2), color="0.7", linewidth=1)
axis.set(xlabel="shift", ylabel="divergence or distance")
axis.legend()
plt.show()

# %% [markdown]
# ## On a line, the distance is a sort
#
# In general the cheapest plan is hard to find. On a line it is easy: carry the leftmost grain to the leftmost place, the second to the second, and so on, for two ways that cross can be exchanged without loss. For two samples of equal size, the distance is the mean difference *after sorting*.

# %% tags=["exercise-context"]
def wasserstein_1d(first, second):
    """W1 of two samples [n] of equal size: exact."""
    return np.abs(np.sort(first) - np.sort(second)).mean()


# %%
first, second = np.random.default_rng(SEED).normal(size=(2, 6))
every_plan = [np.abs(first - second[list(order)]).mean() for order in permutations(range(6))]
assert np.isclose(min(every_plan), wasserstein_1d(first, second))
assert np.isclose(stats.wasserstein_distance(first, second), wasserstein_1d(first, second))
assert np.isclose(wasserstein_1d(first, first[::-1] + 3), 3)
print(f"sorting is the cheapest of {len(every_plan)} plans")

# %% [markdown]
# Our example: the data have two humps, and a poor generator has put one hump between them. The same distance is the area between the two *cumulative* curves, $F(t)$ being the share of points below $t$: where the curves differ by $F_q(t) - F_p(t)$, that share of sand has to pass the place $t$.

# %% tags=["model"]
draw = np.random.default_rng(SEED)
real_line = draw.choice([-2.0, 2.0], LINE_POINTS) + 0.4 * draw.standard_normal(LINE_POINTS)
fake_line = 0.5 + 0.5 * draw.standard_normal(LINE_POINTS)
line_distance = wasserstein_1d(real_line, fake_line)


def share_below(points, places):
    return np.searchsorted(np.sort(points), places) / len(points)


everything = np.sort(np.concatenate([real_line, fake_line]))
widths, middles = np.diff(everything), (everything[1:] + everything[:-1]) / 2
to_pass = share_below(fake_line, middles) - share_below(real_line, middles)  # F_q - F_p
assert np.isclose((np.abs(to_pass) * widths).sum(), line_distance)

# %% mystnb={"image": {"alt": "Left: histograms of data with two humps and a generator with one hump between them. Right: their cumulative curves with the area between them shaded"}, "figure": {"caption": "Data and a poor generator (left). The shaded area between the cumulative curves (right) is the Wasserstein distance.", "name": "fig-wgan-gp-line"}}
figure, axes = plt.subplots(1, 2, figsize=(8, 3))
curves = {"data": real_line, "generated": fake_line}
for name, points in curves.items():
    axes[0].hist(points, bins=60, range=(-4, 4), density=True, alpha=0.6, label=name)
    axes[1].plot(middles, share_below(points, middles), label=name)
axes[1].fill_between(middles, *(share_below(p, middles) for p in curves.values()), color="0.85")
axes[0].set(xlabel="x", ylabel="density")
axes[1].set(xlabel="x", ylabel="share below x")
axes[0].legend()
plt.show()

# %% [markdown]
# ## The critic
#
# Pictures cannot be sorted. But the distance has a second face, the *Kantorovich-Rubinstein duality* {cite}`villani2009optimal`:
#
# $$ W_1(p, q) = \max_{f} \; \mathbb{E}_{x \sim p}[f(x)] - \mathbb{E}_{\tilde x \sim q}[f(\tilde x)], \qquad |f(a) - f(b)| \le \| a - b \| \text{ for all } a, b. $$
#
# (Such an $f$ is called *1-Lipschitz*.) Think of $f$ as a map of prices. A merchant buys at the generated places and sells at the real ones, but prices may not rise faster than one unit per unit of way, otherwise people would carry the sand themselves. One half of the duality takes a line: for any plan, $\mathbb{E}[f(x)] - \mathbb{E}[f(\tilde x)] = \mathbb{E}_\gamma[f(x) - f(\tilde x)] \le \mathbb{E}_\gamma \|x - \tilde x\|$. That the best map reaches the cheapest plan is the deep half. On a line we can see it: integration by parts turns the difference into $\int f'(t)\,(F_q(t) - F_p(t))\,\mathrm{d}t$, and with $|f'| \le 1$ nothing is better than $f'(t) = \pm 1$ with the sign of $F_q - F_p$.

# %%
best_prices = np.concatenate([[0.0], np.cumsum(np.sign(to_pass) * widths)])  # f at every point


def best_critic(points):
    return best_prices[np.searchsorted(everything, points)]


dual = best_critic(real_line).mean() - best_critic(fake_line).mean()
assert np.isclose(dual, line_distance)
print(f"cheapest plan {line_distance:.3f} = best critic {dual:.3f}")

# %% [markdown]
# A network $f_\phi$ that maximises this difference is called a critic: it gives scores, not probabilities, and ends in a plain number without a sigmoid. The generator lowers the distance by raising the scores of its pictures. As losses, to be minimised:

# %% tags=["model"]
WASSERSTEIN = (
    lambda real_scores, fake_scores: fake_scores - real_scores,  # the critic's, pair by pair
    lambda fake_scores: -fake_scores,                            # the generator's
)

# %% [markdown]
# ## The gradient penalty
#
# What remains is the limit on the slope. The first Wasserstein GAN clipped every weight to a small interval, which also cripples the critic. The gradient penalty asks for slope one where it matters, *between* the real and the generated pictures, where the sand is moved:
#
# $$ \mathcal{L}_\text{critic} = \mathbb{E}[f_\phi(\tilde x)] - \mathbb{E}[f_\phi(x)] + \lambda\, \mathbb{E} \Big[ \big( \| \nabla_{\bar x} f_\phi(\bar x) \| - 1 \big)^2 \Big], \qquad \bar x = \alpha x + (1 - \alpha) \tilde x, \quad \alpha \sim \mathcal{U}(0, 1). $$
#
# (The paper writes $\hat x$ for $\bar x$; in this book, a hat marks reconstructions.) Why one, and not at most one? Along the ways of the cheapest plan, the best critic rises at slope one. That plan is unknown, so the points lie between *random* partners: a compromise.
#
# Two small functions, in which most mistakes are made. The weight $\alpha$ is **uniform**, and **one number for each example**, the same for all its pixels. `leading` counts the axes that number examples: one in a batch of pictures, two on the ring below, where several games are played at once.

# %% tags=["exercise-context", "model"]
def interpolate(real, fake, random, leading=1, law=keras.random.uniform):
    """A random point between each real item and its fake partner, both [batch, ...]."""
    real, fake = ops.convert_to_tensor(real), ops.convert_to_tensor(fake)
    shape = ops.shape(real)[:leading] + (1,) * (len(real.shape) - leading)
    alpha = law(shape, seed=random)                       # [batch, 1, 1, 1] for pictures
    return alpha * real + (1 - alpha) * fake


# %% [markdown]
# The slope is the length of the gradient over **all axes of one example**: height, width and colours together. A picture is one point in a space of 3,072 dimensions, not a pile of columns. The tiny number under the root keeps the root's own derivative finite where the gradient vanishes.

# %% tags=["exercise-context", "model"]
def slopes(critic, items, leading=1):
    """Length of the critic's gradient at each item: [batch]."""
    gradient = training.input_gradient(critic, items)     # the shape of items
    axes = tuple(range(leading, len(gradient.shape)))     # all axes of an item
    return ops.sqrt(ops.sum(ops.square(gradient), axis=axes) + 1e-12)


# %% [markdown]
# Both together make the penalty:

# %% tags=["model"]
def gradient_penalty(critic, real, fake, random, leading=1, law=keras.random.uniform, slope=slopes):
    between = interpolate(real, fake, random, leading, law)
    return ops.mean(ops.square(slope(critic, between, leading) - 1))


# %% [markdown]
# Interpolating between ones and zeros shows $\alpha$ itself.

# %% tags=["model"]
shown = interpolate(ops.ones((4_000, 2, 3, 1)), ops.zeros((4_000, 2, 3, 1)),
                    keras.random.SeedGenerator(SEED))
shown = ops.convert_to_numpy(shown)                       # [4000, 2, 3, 1]
assert np.all(shown == shown[:, :1, :1])                  # one number for all pixels of an item
assert 0 <= shown.min() and shown.max() <= 1              # never beyond the two ends
assert stats.kstest(shown[:, 0, 0, 0], "uniform").statistic < 0.05
print("alpha: one per item, uniform between 0 and 1")

# %% [markdown]
# For the slopes there is a case with a closed form. A linear critic $f(x) = \langle w, x \rangle$ has the gradient $w$ everywhere, so its penalty is $(\|w\| - 1)^2$, with the derivative $2 (\|w\| - 1)\, w / \|w\|$. The derivative matters: training differentiates the penalty, which contains a gradient already, a *second* time.

# %% tags=["model"]
linear = keras.Sequential([keras.Input((4, 4, 3)), layers.Flatten(),
                           layers.Dense(1, use_bias=False)])
w = np.random.default_rng(SEED).normal(size=(48, 1)).astype("float32")
linear.set_weights([w])
length = np.linalg.norm(w)
some_pictures = np.random.default_rng(SEED).random((5, 4, 4, 3), dtype=np.float32)
assert np.allclose(ops.convert_to_numpy(slopes(linear, some_pictures)), length, rtol=1e-5)
random = keras.random.SeedGenerator(SEED)
value = training.minimize(  # returns the loss, and takes one step of plain gradient descent
    lambda: gradient_penalty(linear, some_pictures, 1 - some_pictures, random),
    linear.trainable_variables, keras.optimizers.SGD(0.1),
)
assert np.isclose(float(value), (length - 1) ** 2, rtol=1e-5)
assert np.allclose(linear.get_weights()[0], w - 0.1 * 2 * (length - 1) * w / length, rtol=1e-4)
print("penalty of a linear critic and its derivative: equal to the closed form")

# %% [markdown]
# Now the training of a critic alone, between two fixed sets. `critic_step` will serve all games of this notebook.

# %% tags=["model"]
class PenalisedCritic(keras.Model):
    """Trains a critic on pairs [batch, 2, ...] of a real and a fake item."""

    def __init__(self, critic, weight, objective=WASSERSTEIN, penalty=gradient_penalty):
        super().__init__()
        self.critic, self.penalty_weight, self.penalty = critic, weight, penalty
        self.critic_loss, self.generator_loss = objective
        self.random = keras.random.SeedGenerator(SEED)
        self.trackers = {name: keras.metrics.Mean(name=name) for name in ("estimate", "penalty")}

    def call(self, pairs, training=False):
        return self.critic(pairs[:, 0], training=training)  # scores of the real halves

    def critic_step(self, real, fake, optimizer):
        def loss():
            scores = [self.critic(items, training=True) for items in (real, fake)]
            self.trackers["estimate"].update_state(ops.mean(scores[0] - scores[1]))
            value = ops.mean(self.critic_loss(*scores))
            if self.penalty_weight:
                in_training = partial(self.critic, training=True)
                penalty = self.penalty(in_training, real, fake, self.random)
                self.trackers["penalty"].update_state(penalty)
                value = value + self.penalty_weight * penalty
            return value

        training.minimize(loss, self.critic.trainable_variables, optimizer)

# %% [markdown]
# One turn of this training takes one batch of pairs. The logs are means over an epoch: the estimate, and the penalty before its weight.

# %% tags=["model"]
class FixedSets(PenalisedCritic):
    def train_step(self, data):
        pairs, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        self.critic_step(pairs[:, 0], pairs[:, 1], self.optimizer)
        return {name: tracker.result() for name, tracker in self.trackers.items()}


# %% [markdown]
# ## What a penalised critic measures
#
# A penalty is not a limit: a critic that gains more by a steeper slope than it pays will be steeper. On a line we can say by how much. With $\Delta = F_q - F_p$ and the density $\rho(t)$ of the points $\bar x$, the critic maximises
#
# $$ \int \Big[ f'(t)\, \Delta(t) - \lambda\, \rho(t)\, \big( |f'(t)| - 1 \big)^2 \Big] \mathrm{d}t , $$
#
# and can do so place by place. Setting the derivative by $f'$ to zero gives the best slope, and with it the estimate:
#
# $$ |f'(t)| = 1 + \frac{|\Delta(t)|}{2 \lambda \rho(t)}, \qquad \mathbb{E}[f(x)] - \mathbb{E}[f(\tilde x)] = W_1 + \frac{1}{2\lambda} \int \frac{\Delta(t)^2}{\rho(t)}\, \mathrm{d}t . $$
#
# So the estimate is **too large**, by an amount that we can compute. For two piles at a distance $d$, where $\Delta = 1$ and $\rho = 1/d$ between them, it reads $d + d^2 / (2\lambda)$. This also tells the unit of $\lambda$: it is a distance, and a good weight for pictures need not be a good one for points in a plane.

# %%
def predict(law, weight):
    """Best slope at every place of `middles`, and the critic's estimate, for a law of alpha."""
    ways = real_line - fake_line                          # pair by pair, [n]
    alphas = (middles[:, None] - fake_line) / ways        # that lead to each place, [places, n]
    density = (law.pdf(alphas) / np.abs(ways)).mean(axis=1)
    excess = np.abs(to_pass) / (2 * weight * np.maximum(density, 1e-3))  # hardly anybody is there
    slope = np.sign(to_pass) * (1 + excess)
    return slope, (slope * to_pass * widths).sum()


predicted_slope, predicted_estimate = predict(stats.uniform, LINE_PENALTY)
assert predicted_estimate > 1.1 * line_distance
print(f"distance {line_distance:.2f}, predicted estimate {predicted_estimate:.2f}")

# %% [markdown]
# Does a network find this? One trap first. Where $|\Delta| < 2 \lambda \rho$, the bracket above has two hills, one near $f' = 1$ and one near $f' = -1$: to turn from falling to rising, the slope must pass through zero, and the penalty charges for that. On a line, a critic that starts out with the wrong sign stays there. In a plane it need not pass through zero, because a gradient can *turn*. So we lay our line into a plane, with a second coordinate that is always zero and changes nothing in the formulas.

# %% tags=["model"]
def in_the_plane(places):
    """Places [n] on the line as points [n, 2], the second coordinate zero."""
    return np.stack([places, np.zeros_like(places)], axis=1).astype("float32")


line_pairs = np.stack([in_the_plane(real_line), in_the_plane(fake_line)], axis=1)  # [n, 2, 2]
line_batches = training.batches(np.tile(line_pairs, (8, 1, 1)), batch_size=256, seed=SEED)


def build_line_critic(law=keras.random.uniform):
    network = keras.Sequential(
        [keras.Input((2,)), *(layers.Dense(64, activation="silu") for _ in range(2)),
         layers.Dense(1)]
    )
    model = FixedSets(network, LINE_PENALTY, penalty=partial(gradient_penalty, law=law))
    model(line_pairs[:2])                                 # builds the weights
    schedule = keras.optimizers.schedules.CosineDecay(5e-3, LINE_EPOCHS * len(line_batches))
    model.compile(keras.optimizers.Adam(schedule))
    return model


line = build_line_critic()

# %% tags=["nbval-ignore-output"]
line_run = training.fit(line, line_batches, epochs=LINE_EPOCHS)

# %%
def estimate(critic, real, fake):
    """Mean score of the real items minus that of the fake ones."""
    scores = [ops.convert_to_numpy(critic(items, training=False)) for items in (real, fake)]
    return float(scores[0].mean() - scores[1].mean())


line_estimate = estimate(line.critic, line_pairs[:, 0], line_pairs[:, 1])
assert abs(line_estimate / predicted_estimate - 1) < 0.03  # and much further from W1 itself
print("the trained critic's estimate is within 3 % of the prediction")

# %% mystnb={"image": {"alt": "Left: two V-shaped price maps, the trained one somewhat steeper. Right: slopes against place, the trained curve follows the predicted one, both above one where much sand passes"}, "figure": {"caption": "Left: the best critic with slope one, and the trained one. Right: the slope of the trained critic, as predicted and as found.", "name": "fig-wgan-gp-critic"}}
places = middles[::8]
trained = ops.convert_to_numpy(line.critic(in_the_plane(places)))[:, 0]
exact = best_critic(places)
figure, axes = plt.subplots(1, 2, figsize=(8, 3))
axes[0].plot(places, exact - exact.mean(), "--", label="best critic")
axes[0].plot(places, trained - trained.mean(), label="trained")
axes[1].plot(places, np.abs(predicted_slope)[::8], "--", label="predicted")
found = ops.convert_to_numpy(slopes(line.critic, in_the_plane(places)))
axes[1].plot(places, found, label="trained")
axes[1].axhline(1, color="0.7", linewidth=1)
axes[0].set(xlabel="x", ylabel="score (mean removed)")
axes[1].set(xlabel="x", ylabel="slope", ylim=(0, 1.6))
axes[0].legend()
axes[1].legend()
plt.show()

# %% [markdown]
# Keep in mind what this means for pictures: a critic's estimate depends on $\lambda$ and on what the critic can do. It is no distance in units of pixels.
#
# ## Two players
#
# The whole game is played in *turns*: several updates of the critic, each with new real and new generated items, then one of the generator. While the critic learns, the generator's output is a constant (`stop_gradient`). All real items for one turn come in one large batch, which is cut into as many parts as the critic takes steps. (None of this promises that the players arrive: with finitely many steps of the critic even this game may circle {cite}`mescheder2018which`.)

# %% tags=["model"]
class Players(PenalisedCritic):
    """A generator, a critic, and an optimiser for each; noise_shape: [batch, noise]."""

    def __init__(self, generator, critic, noise_shape, weight, **options):
        super().__init__(critic, weight, **options)
        self.generator, self.noise_shape = generator, noise_shape

    def compile(self, generator_optimizer, critic_optimizer):
        super().compile()
        self.generator_optimizer, self.critic_optimizer = generator_optimizer, critic_optimizer
        generator_optimizer.build(self.generator.trainable_variables)
        critic_optimizer.build(self.critic.trainable_variables)

    def call(self, noise, training=False):
        return self.critic(self.generator(noise, training=training), training=training)

    def draw_noise(self):
        return keras.random.normal(self.noise_shape, seed=self.random)

    def generator_step(self):
        noise = self.draw_noise()

        def loss():
            fake = self.generator(noise, training=True)
            return ops.mean(self.generator_loss(self.critic(fake, training=True)))

        training.minimize(loss, self.generator.trainable_variables, self.generator_optimizer)


# %% tags=["model"]
class Game(Players):
    """critic_steps updates of the critic, then one of the generator, from one batch of items."""

    def __init__(self, generator, critic, noise_shape, weight, critic_steps, **options):
        super().__init__(generator, critic, noise_shape, weight, **options)
        self.critic_steps = critic_steps

    def train_step(self, data):
        items, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        shape = (self.critic_steps, *self.noise_shape[:-1], *items.shape[1:])
        parts = ops.reshape(items, shape)
        for step in range(self.critic_steps):
            fake = ops.stop_gradient(self.generator(self.draw_noise(), training=True))
            self.critic_step(parts[step], fake, self.critic_optimizer)
        self.generator_step()
        return {name: tracker.result() for name, tracker in self.trackers.items()}


# %% [markdown]
# ## Eight islands
#
# *Mode collapse* is the habit of generators to produce a few kinds of items and to forget the rest. The classic test is a ring of eight narrow Gaussians, where nothing has to be guessed: we know every mode. Two definitions. A sample is of **high quality** if it lies within three standard deviations of a centre; in the plane this holds for $1 - e^{-9/2} = 98.9\,\%$ of real points. A mode is **covered** if high-quality samples of it make up at least a tenth of its fair share, that is, 1.25 % of all samples.

# %% tags=["model"]
angles = 2 * np.pi * np.arange(8) / 8
CENTRES = RING_RADIUS * np.stack([np.cos(angles), np.sin(angles)], axis=1)  # [8, 2]


def ring_points(n, generator):
    noise = RING_SD * generator.standard_normal((n, 2))
    return (CENTRES[generator.integers(8, size=n)] + noise).astype("float32")


def judge_ring(points):
    """Number of modes covered, and share of high quality, of points [n, 2]."""
    distance = cdist(points, CENTRES)                     # [n, 8]
    good = distance.min(axis=1) <= 3 * RING_SD
    shares = np.bincount(distance.argmin(axis=1)[good], minlength=8) / len(points)
    return int((shares >= 0.1 / 8).sum()), float(good.mean())


# %%
perfect = ring_points(100_000, np.random.default_rng(SEED))
modes, high_quality = judge_ring(perfect)
assert modes == 8 and abs(high_quality - (1 - np.exp(-4.5))) < 0.003
assert judge_ring(CENTRES[np.zeros(100, int)]) == (1, 1.0)  # one point over and over: "perfect"
assert judge_ring(0.9 * CENTRES) == (0, 0.0)
print(f"a perfect sampler: {modes} modes, high quality {high_quality:.3f}")

# %% [markdown]
# Five losses play under equal rules: the same networks (plus one layer for the last of them), step sizes, three steps of the critic for one of the generator, the same number of updates. In each, $f$ is the critic's plain score. Equal is not fair: step sizes and critic steps were chosen so that the Wasserstein game works, the others might do better with their own, and a turn with penalty takes longer. What we compare is losses at these settings, not losses as such.
#
# - **Cross-entropy** (BCE): the GAN of the last notebook without its smoothing, with the generator maximising $\log D(\tilde x)$.
# - **Least squares** {cite}`mao2017lsgan`: scores should be 1 for real and 0 for generated items, and the miss is squared, so that a sample far from the border still feels a pull.
# - **Hinge** {cite}`lim2017geometric`: the critic stops caring about items that are right by a margin of one. (It is usually combined with a limit on the slope; here it plays without.)
# - **Wasserstein with gradient penalty**.
# - **Minibatch discrimination** {cite}`salimans2016improved`: cross-entropy, but the discriminator also sees how close each sample is to the others of its batch. A batch of copies gives itself away.

# %% tags=["model"]
BCE = (
    lambda real, fake: ops.softplus(-real) + ops.softplus(fake),  # -log D(x) - log(1 - D(x~))
    lambda fake: ops.softplus(-fake),
)
LEAST_SQUARES = (
    lambda real, fake: (ops.square(real - 1) + ops.square(fake)) / 2,
    lambda fake: ops.square(fake - 1) / 2,
)
HINGE = (lambda real, fake: ops.relu(1 - real) + ops.relu(1 + fake), lambda fake: -fake)

# %% [markdown]
# One seed is an anecdote, so every game is played three times, with other first weights, noise and points. For speed the three runs play side by side in one model: a layer with a weight matrix *for each run*. Nothing passes from one run to another, which we check.

# %% tags=["model"]
class ParallelDense(layers.Layer):
    """A dense layer for each of several independent networks: [runs, batch, in] -> units."""

    def __init__(self, units, **options):
        super().__init__(**options)
        self.units = units

    def build(self, shape):
        start = keras.initializers.RandomNormal(stddev=(2 / shape[-1]) ** 0.5)
        self.kernel = self.add_weight(shape=(RUNS, shape[-1], self.units), initializer=start)
        self.bias = self.add_weight(shape=(RUNS, 1, self.units), initializer="zeros")

    def call(self, x):
        return ops.matmul(x, self.kernel) + self.bias     # [runs, batch, units]


# %% [markdown]
# Minibatch discrimination turns the features of each sample into a few short vectors, measures the $L_1$ distance to the same vectors of all samples of its batch, and appends the mean of $e^{-\text{distance}}$ to the features: one if all are alike, near zero if all are far apart. (The original takes the sum; the mean keeps it between 0 and 1.)

# %% tags=["model"]
class MinibatchDiscrimination(layers.Layer):
    """Appends to the features [runs, batch, n] how close each sample is to its batch."""

    def __init__(self, vectors=4, length=3, **options):
        super().__init__(**options)
        self.vectors, self.length = vectors, length
        self.project = ParallelDense(vectors * length)

    def build(self, shape):
        self.project.build(shape)

    def call(self, x):
        vectors = ops.reshape(self.project(x), (RUNS, -1, self.vectors, self.length))
        distance = ops.sum(ops.abs(vectors[:, :, None] - vectors[:, None]), axis=-1)
        closeness = ops.mean(ops.exp(-distance), axis=2)  # [runs, batch, vectors]
        return ops.concatenate([x, closeness], axis=-1)


# %% tags=["model"]
def build_ring_generator(name):
    hidden = [layer for _ in range(2) for layer in (ParallelDense(RING_WIDTH), layers.ReLU())]
    noise = keras.Input(batch_shape=(RUNS, None, RING_NOISE))
    return keras.Sequential([noise, *hidden, ParallelDense(2)], name=name)


def build_ring_critic(minibatch):
    hidden = [
        layer for _ in range(2)
        for layer in (ParallelDense(RING_WIDTH), layers.LeakyReLU(negative_slope=0.2))
    ]
    look_around = [MinibatchDiscrimination()] if minibatch else []
    points = keras.Input(batch_shape=(RUNS, None, 2))
    return keras.Sequential([points, *hidden, *look_around, ParallelDense(1)])


# %% tags=["model"]
def build_ring_game(name, objective=WASSERSTEIN, minibatch=False, critic_steps=RING_STEPS,
                    law=keras.random.uniform):
    keras.utils.set_random_seed(SEED)                     # the same start for every game
    game = Game(
        build_ring_generator(f"generator_{name}"), build_ring_critic(minibatch),
        (RUNS, RING_BATCH, RING_NOISE), RING_PENALTY if objective is WASSERSTEIN else 0.0,
        critic_steps, objective=objective, penalty=partial(gradient_penalty, leading=2, law=law),
    )
    game(np.zeros((RUNS, 2, RING_NOISE), "float32"))      # builds the weights
    game.compile(*(keras.optimizers.Adam(RING_RATE, *BETAS) for _ in range(2)))
    return game


# %% [markdown]
# Two more games, for later, show what happens with a single critic step, and with an $\alpha$ that is drawn from a normal distribution.

# %% tags=["model"]
GAMES = {
    "bce": {"objective": BCE},
    "least_squares": {"objective": LEAST_SQUARES},
    "hinge": {"objective": HINGE},
    "wgan_gp": {},
    "minibatch": {"objective": BCE, "minibatch": True},
    "one_step": {"critic_steps": 1},
    "normal_alpha": {"law": keras.random.normal},
}
games = {name: build_ring_game(name, **options) for name, options in GAMES.items()}


def ring_batches(game):
    size = game.critic_steps * RUNS * RING_BATCH          # real points for one turn
    points = ring_points(RING_UPDATES * size, np.random.default_rng(SEED))
    return training.batches(points, batch_size=size, seed=SEED)


ring_data = {name: ring_batches(game) for name, game in games.items()}

# %%
some_points = np.random.default_rng(SEED).normal(size=(RUNS, 5, 2)).astype("float32")
moved = some_points + np.array([1, 0, 0], "float32")[:, None, None]  # only run 0 is touched
for name in ("wgan_gp", "minibatch"):
    critic = games[name].critic
    change = ops.convert_to_numpy(critic(moved)) - ops.convert_to_numpy(critic(some_points))
    assert np.abs(change[0]).min() > 0 and np.all(change[1:] == 0)
weight_of_first, weight_of_second = ops.convert_to_numpy(critic.trainable_variables[0])[:2]
assert not np.allclose(weight_of_first, weight_of_second)  # three starts, not one
print("the runs are independent of one another")

# %% [markdown]
# In two dimensions, too, the exact distance of two samples can be computed: as the cheapest one-to-one assignment. It gives us a truth to compare the critic with, at the end of every epoch. As the critic's own opinion we take *minus its loss*, without penalty: for the Wasserstein critic this is its estimate; for the others, how well it tells real from generated.

# %%
def wasserstein(first, second):
    """W1 of two samples [n, d] of equal size: the cheapest assignment."""
    cost = cdist(first, second)
    return cost[linear_sum_assignment(cost)].mean()


left, right = real_line[:200], fake_line[:200]
assert np.isclose(wasserstein(in_the_plane(left), in_the_plane(right)),
                  wasserstein_1d(left, right), rtol=1e-5)
generator = np.random.default_rng(SEED)
ring_floor = np.mean([wasserstein(ring_points(512, generator), ring_points(512, generator))
                      for _ in range(10)])
print(f"two samples of 512 real points: {ring_floor:.2f}, not 0")

# %% [markdown]
# That last number is the floor of this measure: chance puts a few more points on one island than on another, and they must travel.

# %%
class Watch(keras.callbacks.Callback):
    """Adds measurements of the model to the history, at the end of every few epochs."""

    def __init__(self, measure, every=1):
        super().__init__()
        self.measure, self.every = measure, every

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            logs.update(self.measure(self.model))


def measure_ring(game, n=512):
    generator = np.random.default_rng([SEED, 1])          # points that the critic has not seen
    real = ring_points(RUNS * n, generator).reshape(RUNS, n, 2)
    fake = game.generator(generator.standard_normal((RUNS, n, RING_NOISE), dtype=np.float32))
    opinion = -game.critic_loss(game.critic(real), game.critic(fake))
    fake, opinion = ops.convert_to_numpy(fake), ops.convert_to_numpy(opinion)  # [runs, n, 1]
    return {f"distance_{run}": wasserstein(real[run], fake[run]) for run in range(RUNS)} | {
        f"opinion_{run}": opinion[run].mean() for run in range(RUNS)
    }


# %% [markdown]
# All generators together form one model, the *gallery*, so that one file keeps them. A quick run loads it.

# %% tags=["nbval-ignore-output"]
ring_noise = keras.Input(batch_shape=(RUNS, None, RING_NOISE))
gallery = keras.Model(ring_noise, [game.generator(ring_noise) for game in games.values()])
if is_full_run() and DATASET == "portraits":
    ring_run = training.Run()
    for name, game in games.items():
        run = training.fit(
            game, ring_data[name], epochs=RING_EPOCHS, callbacks=[Watch(measure_ring)],
            checkpoint=f"wgan_gp_ring_{name}_{SEED}",
        )
        ring_run.history |= {f"{name}.{key}": values for key, values in run.history.items()}
        ring_run.updates += run.updates
        ring_run.seconds += run.seconds
    weights.release(gallery, "wgan_gp/ring", ring_run)
ring_run = weights.restore(gallery, "wgan_gp/ring")

# %%
noise = np.random.default_rng(SEED).standard_normal((RUNS, RING_SAMPLES, RING_NOISE))
clouds = dict(zip(games, map(ops.convert_to_numpy, gallery(noise.astype("float32")))))
verdicts = {name: [judge_ring(run) for run in cloud] for name, cloud in clouds.items()}


def follows(name, run):
    """Rank correlation of the critic's opinion and the exact distance, from the sixth epoch on."""
    pair = [ring_run.history[f"{name}.{what}_{run}"][5:] for what in ("opinion", "distance")]
    return metrics.rank_correlation(*pair) if np.ptp(pair[0]) > 0 else 0.0  # one opinion: no order


followed = {name: [follows(name, run) for run in range(RUNS)] for name in games}
last = {name: [np.mean(ring_run.history[f"{name}.distance_{run}"][-5:]) for run in range(RUNS)]
        for name in games}
assert [modes for modes, _ in verdicts["wgan_gp"]] == [8] * RUNS

# %% mystnb={"image": {"alt": "Five columns of three scatter plots, one column for each loss and one row for each run, with generated points around the eight centres of a ring"}, "figure": {"caption": "A thousand samples from every run; crosses mark the eight centres. Above each plot, the modes covered.", "name": "fig-wgan-gp-ring"}}
REMEDIES = {"bce": "cross-entropy", "least_squares": "least squares", "hinge": "hinge",
            "wgan_gp": "Wasserstein + penalty", "minibatch": "minibatch discr."}
figure, axes = plt.subplots(RUNS, 5, figsize=(9, 5.8), sharex=True, sharey=True)
for column, (name, words) in enumerate(REMEDIES.items()):
    axes[-1, column].set_xlabel(words)
    for run, axis in enumerate(axes[:, column]):
        axis.scatter(*clouds[name][run][:1_000].T, s=1, color=plots.COLOURS[column])
        axis.plot(*CENTRES.T, "x", color="0.3", markersize=4)
        axis.set_title(f"{verdicts[name][run][0]} of 8", fontsize=9)
        axis.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[], aspect="equal")
plt.show()

# %%
def ring_row(name, words):
    modes, quality = np.array(verdicts[name]).T
    return [words, ", ".join(f"{m:.0f}" for m in modes),
            f"{quality.mean():.2f} ± {quality.std(ddof=1):.2f}",
            f"{np.mean(last[name]):.2f} ± {np.std(last[name], ddof=1):.2f}",
            f"{np.mean(followed[name]):.2f} ± {np.std(followed[name], ddof=1):.2f}"]


RING_HEADER = ["loss", "modes in three runs", "high quality", "exact distance", "opinion follows"]
results.show_table(RING_HEADER, [ring_row(name, words) for name, words in REMEDIES.items()])
for name in games:
    text = ", ".join(str(modes) for modes, _ in verdicts[name])
    results.quote(f"wgan-gp-modes-{name.replace('_', '-')}", text)
    results.quote(f"wgan-gp-follows-{name.replace('_', '-')}", f"{np.mean(followed[name]):.2f}")
results.quote("wgan-gp-floor", f"{ring_floor:.2f}")

# %% [markdown]
# The spread is that of three runs, the exact distance the mean of the last five epochs, with a floor of {glue:text}`wgan-gp-floor`; the last column is the rank correlation, over the epochs from the sixth on, between the critic's opinion and the exact distance. With cross-entropy the three runs end at {glue:text}`wgan-gp-modes-bce` modes, with the Wasserstein loss at {glue:text}`wgan-gp-modes-wgan-gp`. Read the columns separately, because a loss can be good in one and poor in another: the samples of a collapsed generator may all be of high quality, and a generator that covers everything may leave bridges of poor samples between the islands, since a continuous network cannot tear its connected noise apart.
#
# TODO(measure): one sentence on least squares, hinge and minibatch discrimination, from the table.

# %% mystnb={"image": {"alt": "Two panels over the epochs, with the exact distance and the critic's opinion, for cross-entropy on the left and the Wasserstein loss on the right"}, "figure": {"caption": "Exact distance (solid) and critic's opinion (dashed) in the first run. The thin line is the floor of the exact distance.", "name": "fig-wgan-gp-opinion"}}
figure, axes = plt.subplots(1, 2, figsize=(8, 3))
for axis, name in zip(axes, ("bce", "wgan_gp")):
    epochs = range(1, RING_EPOCHS + 1)
    axis.plot(epochs, ring_run.history[f"{name}.distance_0"], label="exact distance")
    axis.plot(epochs, ring_run.history[f"{name}.opinion_0"], "--", label="critic's opinion")
    axis.axhline(ring_floor, color="0.7", linewidth=1)
    axis.set(xlabel="epoch", title=REMEDIES[name])
axes[1].legend()
plt.show()

# %% [markdown]
# This is the second gift of the Wasserstein loss: a number that can be watched. (Both are series in time, so the warning below applies here, too.) The rank correlation with the truth is {glue:text}`wgan-gp-follows-wgan-gp` here, and {glue:text}`wgan-gp-follows-bce` for cross-entropy.
#
# ## Faces
#
# The data are the drawn portraits: compositions of a program, not photographs. A turn on pictures of 64 by 64 pixels costs several times as much as on 32 by 32, and on two cores we would rather have the turns, so we halve the pictures. Each new pixel is the mean of four, rounded to whole bytes, as if the picture had been saved. For the networks, colours run from -1 to 1.

# %% tags=["model"]
data = datasets.load(DATASET)
publishable = datasets.REGISTRY[DATASET].publishable     # may weights trained on it be shared?


def smaller(pictures):
    """Bytes [n, side, side, 3] -> [n, SIDE, SIDE, 3], by the mean over squares of pixels."""
    step = pictures.shape[1] // SIDE
    parts = [pictures[start : start + 1_000] for start in range(0, len(pictures), 1_000)]
    squares = [part.reshape(len(part), SIDE, step, SIDE, step, 3) for part in parts]
    means = [square.mean(axis=(2, 4), dtype="float32") for square in squares]
    return np.concatenate([np.rint(mean).astype("uint8") for mean in means])


x_train = smaller(data.x_train[:-VALIDATION])
x_validation = smaller(data.x_train[-VALIDATION:]) / np.float32(255)
x_test = smaller(data.x_test[:SAMPLES]) / np.float32(255)
print("training", x_train.shape, " validation", x_validation.shape, " test", x_test.shape)

# %% mystnb={"image": {"alt": "Twenty small drawn faces with different hair, mouths, eyes, beards and clothes"}, "figure": {"caption": "Twenty training faces at 32 by 32 pixels.", "name": "fig-wgan-gp-data"}}
plots.image_grid(x_train[:20], columns=10)
plt.show()

# %% [markdown]
# The generator starts from a small picture with many channels and doubles it, with batch normalisation. The critic halves the picture, and has **no batch normalisation**: the penalty is about the slope at *one* picture, and batch normalisation would make the score of one picture depend on all others in the batch. We shall see.

# %% tags=["model"]
def build_generator():
    side = SIDE // 2 ** len(GENERATOR_FILTERS)
    noise = keras.Input((LATENT,))
    x = layers.Dense(side * side * GENERATOR_FILTERS[0], use_bias=False)(noise)
    x = layers.Reshape((side, side, GENERATOR_FILTERS[0]))(x)          # [batch, 4, 4, 256]
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    for filters in GENERATOR_FILTERS[1:]:
        x = layers.Conv2DTranspose(filters, 4, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))  # [batch, 16, 16, 64]
    x = layers.Conv2DTranspose(3, 4, strides=2, padding="same", activation="tanh")(x)
    return keras.Model(noise, x, name="generator")


def build_critic(normalise=False, name="critic"):
    pictures = keras.Input((SIDE, SIDE, 3))
    x = pictures
    for filters in CRITIC_FILTERS:
        x = layers.Conv2D(filters, 4, strides=2, padding="same")(x)    # [batch, 4, 4, 128] at last
        x = layers.BatchNormalization(momentum=0.9)(x) if normalise else x
        x = ops.maximum(x, 0.2 * x)                       # a leaky ReLU, in plain operations
    return keras.Model(pictures, layers.Dense(1)(layers.Flatten()(x)), name=name)


# %% tags=["model"]
face_batches = training.batches(
    x_train[:PICTURES], batch_size=CRITIC_STEPS * BATCH_SIZE, seed=SEED,
    augment=lambda pictures, _: 2 * pictures - 1,         # from [0, 1] to [-1, 1]
)


def decay(updates):
    """The step size falls along a cosine to a tenth."""
    return keras.optimizers.schedules.CosineDecay(LEARNING_RATE, updates, alpha=0.1)


def build_faces():
    game = Game(build_generator(), build_critic(), (BATCH_SIZE, LATENT), PENALTY, CRITIC_STEPS)
    game(np.zeros((2, LATENT), "float32"))                # builds the weights
    turns = EPOCHS * len(face_batches)
    game.compile(keras.optimizers.Adam(decay(turns), *BETAS),
                 keras.optimizers.Adam(decay(turns * CRITIC_STEPS), *BETAS))
    return game


faces = build_faces()
print(f"generator {faces.generator.count_params():,} parameters, "
      f"critic {faces.critic.count_params():,}")

# %% [markdown]
# Before a long run, a rehearsal with a copy. The critic's step must leave the generator alone, the generator's steps must leave the critic alone, and they must *raise* the scores of generated pictures: a wrong sign would teach it to be as bad as possible, without any error message.

# %%
def state(network):
    return np.concatenate([ops.convert_to_numpy(v).ravel() for v in network.trainable_variables])


trial = build_faces()
real = ops.convert_to_tensor(face_batches[0][:BATCH_SIZE])
trial_noise = trial.draw_noise()
fake = trial.generator(trial_noise, training=True)
generator_before, critic_before = state(trial.generator), state(trial.critic)
trial.critic_step(real, fake, trial.critic_optimizer)
critic_after, scores_before = state(trial.critic), ops.mean(trial.critic(fake))
assert np.all(state(trial.generator) == generator_before) and np.any(critic_after != critic_before)
for _ in range(3):
    trial.generator_step()
scores_after = ops.mean(trial.critic(trial.generator(trial_noise, training=True)))
assert np.all(state(trial.critic) == critic_after)
assert float(scores_after) > float(scores_before)
trial.train_step(ops.convert_to_tensor(face_batches[0]))  # a whole turn, after 1 and 3 steps
assert int(trial.critic_optimizer.iterations) == 1 + CRITIC_STEPS
assert int(trial.generator_optimizer.iterations) == 3 + 1
print("each step moves its own player, and the generator's steps raise its scores")

# %% [markdown]
# ## Training
#
# During a full run we measure, every few epochs, two things on the 1,000 validation faces, which neither player has trained on. One is the critic's estimate (and, for comparison, the same for 1,000 training faces). The other is an outside judge: the *kernel distance* KID {cite}`binkowski2018demystifying` between 1,000 generated and the validation faces, in the features of the network of chapter 2. That network expects 64 by 64 pixels; we enlarge real and generated pictures in the same way, by repeating pixels.

# %%
def generate(generator, noise, size=250):
    """Pictures [n, SIDE, SIDE, 3] in [0, 1] from noise [n, LATENT]."""
    parts = [noise[start : start + size] for start in range(0, len(noise), size)]
    drawn = [ops.convert_to_numpy(generator(part, training=False)) for part in parts]
    return (np.concatenate(drawn) + 1) / 2


def critic_scores(critic, pictures, size=250):
    """Scores [n] of pictures in [0, 1]."""
    parts = [2 * pictures[start : start + size] - 1 for start in range(0, len(pictures), size)]
    scores = [ops.convert_to_numpy(critic(part, training=False)) for part in parts]
    return np.concatenate(scores)[:, 0]


def features_of(pictures):
    pictures = np.rint(255 * pictures) / np.float32(255)  # 256 brightnesses, as in real files
    factor = feature_network.input_shape[1] // SIDE       # repeat pixels up to the network's size
    return metrics.features(feature_network, pictures.repeat(factor, axis=1).repeat(factor, axis=2))


feature_network = weights.load_feature_network(DATASET)
face_noise = np.random.default_rng(SEED).standard_normal((SAMPLES, LATENT), dtype=np.float32)

# %%
def kid(real_features, fake_features):
    """KID x 1,000 and its standard deviation, over ten subsets of half a side."""
    size = min(len(real_features), len(fake_features)) // 2
    pair = metrics.kernel_distance(real_features, fake_features, 10, size, seed=SEED)
    return 1_000 * pair[0], 1_000 * pair[1]


def measure_faces(game):
    drawn = generate(game.generator, face_noise[:VALIDATION])
    sets = (x_train[:VALIDATION] / np.float32(255), x_validation, drawn)
    known, unseen, fake = (critic_scores(game.critic, faces).mean() for faces in sets)
    return {"kid": kid(validation_features, features_of(drawn))[0],
            "known_estimate": known - fake, "held_out_estimate": unseen - fake}


def mean_face_error():
    """How far the average generated face is from the average validation face."""
    drawn = generate(faces.generator, face_noise[:250])
    return np.abs(drawn.mean(axis=0) - x_validation.mean(axis=0)).mean()


# %% tags=["nbval-ignore-output"]
watch = []
if is_full_run():
    validation_features = features_of(x_validation)
    watch = [Watch(measure_faces, KID_EVERY)]
error_before = mean_face_error()
run = training.fit(
    faces, face_batches, epochs=EPOCHS, callbacks=watch, checkpoint=f"wgan_gp_{DATASET}_{SEED}"
)
assert mean_face_error() < error_before                   # the generator has begun to learn
assert run.history["estimate"][-1] > 0                    # the critic tells the two apart

# %%
if is_full_run():
    weights.release(faces, f"wgan_gp/{DATASET}", run, publish=publishable)
run = weights.restore(faces, f"wgan_gp/{DATASET}")
print(f"weights after {run.updates:,} updates of the generator, "
      f"{run.updates * CRITIC_STEPS:,} of the critic")

# %% [markdown]
# Forty faces, the first of a fixed seed, unselected:

# %% tags=["cover"] mystnb={"image": {"alt": "Forty small generated faces with different hair, eyes, mouths and clothes; some are smudged"}, "figure": {"caption": "Forty generated faces, unselected.", "name": "fig-wgan-gp-samples"}}
count = SAMPLES if is_full_run() else QUICK_TEST
generated = generate(faces.generator, face_noise[:count])
plots.image_grid(generated[:40], columns=10)
plt.show()

# %% [markdown]
# TODO(measure): what works and what does not, in two sentences, once the faces are there.
#
# ## Does the estimate tell the quality?
#
# On the left, the critic's estimate on 1,000 of the faces that it trains on, and on 1,000 validation faces, at the same moments and against the same generated faces. At the end the first is {glue:text}`wgan-gp-estimate-training` and the second {glue:text}`wgan-gp-estimate-validation`: a critic comes to know its training faces by heart, and a part of what it calls distance is only that.

# %% mystnb={"image": {"alt": "Left: the critic's estimate on training and validation faces by epoch. Right: kernel distance against the estimate, points coloured from early to late"}, "figure": {"caption": "Left: the critic's estimate by epoch. Right: KID-portraits against the estimate on validation faces, from early (dark) to late (light).", "name": "fig-wgan-gp-estimate"}}
watched = KID_EVERY * np.arange(1, len(run.history["kid"]) + 1)
figure, axes = plt.subplots(1, 2, figsize=(8, 3))
axes[0].plot(watched, run.history["known_estimate"], "o-", markersize=3, label="training")
axes[0].plot(watched, run.history["held_out_estimate"], "o--", markersize=3, label="validation")
axes[0].set(xlabel="epoch", ylabel="critic's estimate")
axes[0].legend()
points = axes[1].scatter(run.history["held_out_estimate"], run.history["kid"], c=watched, s=18)
axes[1].set(xlabel="critic's estimate (validation)", ylabel="KID × 1,000", yscale="log")
figure.colorbar(points, label="epoch")
plt.show()

# %%
kids, held_out = np.array(run.history["kid"]), np.array(run.history["held_out_estimate"])
half = len(kids) // 2
correlations = {
    "whole": metrics.rank_correlation(held_out, kids),
    "late": metrics.rank_correlation(held_out[half:], kids[half:]),
    "changes": metrics.rank_correlation(np.diff(held_out), np.diff(kids)),
}
assert correlations["whole"] > 0.5
known = run.history["known_estimate"]
assert held_out[-1] < known[-1]                           # a critic, too, can overfit
for name, value in [("training", known[-1]), ("validation", held_out[-1])]:
    results.quote(f"wgan-gp-estimate-{name}", f"{value:.1f}")
for name, correlation in correlations.items():
    results.quote(f"wgan-gp-correlation-{name}", f"{correlation:.2f}")
print(f"rank correlation of estimate and KID: {correlations['whole']:.2f}, n = {len(kids)}")

# %% [markdown]
# The rank correlation over the whole training is {glue:text}`wgan-gp-correlation-whole`. Do not be too impressed: *any* two quantities that fall with time agree in rank. In the second half alone it is {glue:text}`wgan-gp-correlation-late`, and between the changes from one measurement to the next {glue:text}`wgan-gp-correlation-changes`. The estimate shows the trend, and is a poor judge of single steps. Nor can estimates of different critics be compared, because each has its own slope. How steep is ours? We look at random points between test faces and generated ones, in all directions.

# %%
pairs = QUICK_TEST // 2
in_between = interpolate(2 * x_test[:pairs] - 1, 2 * generated[:pairs] - 1,
                      keras.random.SeedGenerator(SEED))
steepness = ops.convert_to_numpy(slopes(faces.critic, in_between))
distance = 2 * np.linalg.norm((x_test[:pairs] - generated[:pairs]).reshape(pairs, -1), axis=1)
assert 0.5 < steepness.mean() < 1 + distance.mean() / (2 * PENALTY)
print(f"mean slope {steepness.mean():.1f}; real and generated faces are "
      f"{distance.mean():.0f} apart on average")

# %% [markdown]
# It need not be one: for two piles at this distance (in colours from -1 to 1), our formula asks for $1 + d / (2 \lambda)$. For other sets this is a bound. If stretching the best critic as a whole gains nothing, then $2\lambda\, \mathbb{E}[s(s - 1)]$ equals the estimate, for the slopes $s$ at the points between; and the estimate is at most $\mathbb{E}[s\, d]$. For equal $d$ the mean slope is therefore at most $1 + d / (2\lambda)$.
#
# ## Evaluation
#
# All distances are measured in the features of the network of chapter 2, on pictures of 32 by 32 pixels enlarged to 64. Are these features still good at that resolution? We ask for the accuracy of the network's own classifier on test faces that went through the same mill.

# %%
judge = weights.restore_model(f"cnn/features_{DATASET}")
factor = judge.input_shape[1] // SIDE
coarse = x_test[:QUICK_TEST].repeat(factor, axis=1).repeat(factor, axis=2)
answers = judge(coarse, training=False)
read = {}
for name, each in data.attributes.items():
    truth = each.test[:QUICK_TEST]
    given = ops.convert_to_numpy(answers[name]).argmax(axis=1)
    read[name] = np.mean(given == truth), np.bincount(truth).max() / QUICK_TEST
if DATASET == "portraits":
    assert read["hair_colour"][0] > 0.95
results.show_table(
    ["attribute", "accuracy, coarse faces", "most frequent answer"],
    [[name, f"{right:.2f}", f"{chance:.2f}"] for name, (right, chance) in read.items()],
)

# %% [markdown]
# In part. Hair, skin and background are read without trouble; mouths and clothes often are not. Our distances are correspondingly blind to mouths.
#
# *FID* {cite}`heusel2017gans` compares mean and covariance of the features, and is biased upwards in small samples; with 2,000 test faces, all there are, it only means something beside values at the same number. *KID* has no such bias. *Precision* is the share of generated faces that lie near real ones, *recall* the share of real faces near generated ones {cite}`kynkaanniemi2019precision`. Beside them stand two other sets: a Gaussian fitted to the principal components of the training pixels, and real faces. The real ones are training faces for FID, precision and recall (the feature network was trained on them, so this floor is not quite fair), and the two halves of the test faces for KID (1,000 against 1,000, in subsets of 500; the others have 2,000 on each side and subsets of 1,000). The Gaussian has 256 components.

# %%
record = results.Record("wgan_gp", DATASET, data.source)
real_features, fake_features = features_of(x_test[:count]), features_of(generated)
if is_full_run():
    training_faces = x_train / np.float32(255)
    trivial = metrics.pca_gaussian_samples(training_faces, SAMPLES, components=256, seed=SEED)
    sets = {"": fake_features, "trivial_": features_of(trivial),
            "floor_": features_of(training_faces[:SAMPLES])}
    for prefix, others in sets.items():
        record.metric(f"{prefix}fid", metrics.frechet_distance(real_features, others), n=SAMPLES)
        precision, recall = metrics.precision_recall(real_features, others)
        record.metric(f"{prefix}precision", precision, n=SAMPLES)
        record.metric(f"{prefix}recall", recall, n=SAMPLES)
        left, right = (real_features, others) if prefix != "floor_" else np.split(real_features, 2)
        value, sd = kid(left, right)
        record.metric(f"{prefix}kid", value, n=len(right), sd=sd)

# %%
def recorded(name):
    """A value of this full run, or under quick the recorded one."""
    if is_full_run():
        return record.metrics[name]
    found = results.headline("wgan_gp", name, DATASET)
    return found.mean if found else np.nan


def with_sd(name):
    """A KID with its standard deviation over ten subsets."""
    found = results.headline("wgan_gp", name, DATASET)
    sd = record.sd[name] if is_full_run() else found and found.own_sd
    return f"{recorded(name):.1f} ± {sd or np.nan:.1f}"


results.show_table(
    ["pictures", "FID-portraits", "KID-portraits × 1,000", "precision", "recall"],
    [[words, f"{recorded(prefix + 'fid'):.2f}", with_sd(prefix + "kid"),
      f"{recorded(prefix + 'precision'):.2f}", f"{recorded(prefix + 'recall'):.2f}"]
     for prefix, words in [("", "generated"), ("trivial_", "Gaussian"), ("floor_", "real")]],
)
ratio = recorded("fid") / recorded("trivial_fid")
assert ratio < 0.5
results.quote("wgan-gp-fid-ratio", f"{ratio:.2f}")

# %% [markdown]
# In FID, our faces score {glue:text}`wgan-gp-fid-ratio` times what the Gaussian scores. These are values from a full run; a quick one measures again on fewer faces. There, the FID comes out larger, by its bias.

# %%
parts = range(0, count, QUICK_TEST)
small_fids = [metrics.frechet_distance(real_features[p : p + QUICK_TEST],
                                       fake_features[p : p + QUICK_TEST]) for p in parts]
spread = float(np.std(small_fids, ddof=1)) if len(small_fids) > 1 else 0.0
record.check("fid", small_fids[0], n=QUICK_TEST, sd=spread)
small_kid, small_sd = kid(real_features[:QUICK_TEST], fake_features[:QUICK_TEST])
record.check("kid", small_kid, n=QUICK_TEST, sd=small_sd)

real_scores = critic_scores(faces.critic, x_test[:count])
fake_scores = critic_scores(faces.critic, generated)


def gap(n):
    """The critic's estimate on n pairs, and its standard error."""
    variance = real_scores[:n].var() + fake_scores[:n].var()
    return float(real_scores[:n].mean() - fake_scores[:n].mean()), float(np.sqrt(variance / n))


value, sd = gap(QUICK_TEST)
record.check("critic_estimate", value, n=QUICK_TEST, sd=sd)
value, sd = gap(count)
record.metric("critic_estimate", value, n=count, sd=sd)

# %% [markdown]
# ## What goes wrong
#
# **Alpha drawn from a normal distribution.** A popular slip: `normal` for `uniform`. Only a third of the points then lie between a real and a generated item, and the others beyond one of them.

# %%
slip = interpolate(ops.ones((20_000, 1)), ops.zeros((20_000, 1)),
                   keras.random.SeedGenerator(SEED), law=keras.random.normal)
between = np.mean([0 <= alpha <= 1 for alpha in ops.convert_to_numpy(slip)[:, 0]])
assert abs(between - (stats.norm.cdf(1) - stats.norm.cdf(0))) < 0.01
_, slipped_prediction = predict(stats.norm, LINE_PENALTY)
bias = (slipped_prediction - line_distance) / (predicted_estimate - line_distance)
bias_of_piles = np.mean(1 / stats.norm.pdf(np.linspace(0, 1, 1_001)))  # uniform: density one
assert 1.2 < bias < bias_of_piles
print(f"{between:.0%} of the points lie between; the error of the estimate grows {bias:.1f}-fold, "
      f"and {bias_of_piles:.1f}-fold for two piles")

# %% [markdown]
# That the error grows we know from our formula: where the density $\rho$ of the points is thinner, the slope is punished less. On our line the points that overshoot one pair help another, so the harm is small; two piles feel it in full. The trained critic agrees with the prediction for the line:

# %% tags=["nbval-ignore-output"]
slipped = build_line_critic(keras.random.normal)
slipped_run = training.fit(slipped, line_batches, epochs=LINE_EPOCHS)

# %%
slipped_estimate = estimate(slipped.critic, line_pairs[:, 0], line_pairs[:, 1])
assert abs(slipped_estimate / slipped_prediction - 1) < 0.03
assert slipped_estimate > line_estimate > line_distance
print("trained with the slip, too, the estimate is within 3 % of its prediction")

# %% [markdown]
# On the ring, in the next table, three runs with the slip cover {glue:text}`wgan-gp-modes-normal-alpha` modes. Nothing crashes, and a picture of the samples need not give it away; a test of $\alpha$ does.
#
# **Too few critic steps.** The estimate is only worth something if the critic is near its best answer. On the line, it needed a few hundred updates for a generator that *stood still*:

# %%
progress = np.array(line_run.history["estimate"]) / predicted_estimate
assert progress[0] < 0.8 and abs(progress[-1] - 1) < 0.05
reached = len(line_batches) * (1 + int(np.argmax(progress > 0.95)))
assert 200 < reached < 800
print("in the first epoch of 64 updates, the critic's estimate averages below 80 % of its goal;")
print("95 % are reached after some hundred updates")

# %%
VARIANTS = {"wgan_gp": "three steps, uniform alpha", "one_step": "one step, uniform alpha",
            "normal_alpha": "three steps, normal alpha"}
results.show_table(RING_HEADER, [ring_row(name, words) for name, words in VARIANTS.items()])

# %% [markdown]
# With one step instead of three, the critic's opinion follows the true distance with a rank correlation of {glue:text}`wgan-gp-follows-one-step` (three steps: {glue:text}`wgan-gp-follows-wgan-gp`), and the runs cover {glue:text}`wgan-gp-modes-one-step` modes. TODO(measure): one sentence.
#
# **A penalty over one axis only, and batch normalisation in the critic.** We train three critics of faces for a few hundred updates each, between training faces and the faces of our finished generator. The first is right. The second takes the norm over the rows only, which gives one "slope" for every column and colour and asks each of them to be one. By Pythagoras, the true slope can then grow to $\sqrt{32 \cdot 3} \approx 9.8$. The third is right, but has batch normalisation.

# %%
def column_slopes(critic, items, leading=1):
    """The mistake: a norm over the first axis of a picture only, [batch, width, colours]."""
    gradient = training.input_gradient(critic, items)
    return ops.sqrt(ops.sum(ops.square(gradient), axis=leading) + 1e-12)


linear.set_weights([w])
columns = np.linalg.norm(w.reshape(4, 4, 3), axis=0)      # [width, colours]
wrong = float(ops.mean(ops.square(column_slopes(linear, some_pictures) - 1)))
assert np.isclose(wrong, np.mean((columns - 1) ** 2), rtol=1e-5)
assert abs(wrong / (length - 1) ** 2 - 1) > 0.5           # the linear critic finds the mistake
print("a linear critic tells a norm over one axis from a norm over all")

# %% tags=["nbval-ignore-output"]
critics = {name: build_critic(name == "normalised", name=f"critic_{name}")
           for name in ("right", "one_axis", "normalised")}
pictures_in = keras.Input((SIDE, SIDE, 3))
critic_set = keras.Model(pictures_in, [critic(pictures_in) for critic in critics.values()])
if is_full_run():
    drawn = generate(faces.generator, np.random.default_rng([SEED, 1]).standard_normal(
        (2_000, LATENT), dtype=np.float32))
    face_pairs = 2 * np.stack([x_train[:2_000] / np.float32(255), drawn], axis=1) - 1
    pair_batches = training.batches(face_pairs, batch_size=BATCH_SIZE, seed=SEED)
    critics_run = training.Run()
    for name, critic in critics.items():
        slope = column_slopes if name == "one_axis" else slopes
        model = FixedSets(critic, PENALTY, penalty=partial(gradient_penalty, slope=slope))
        model(face_pairs[:2])
        model.compile(keras.optimizers.Adam(LEARNING_RATE, *BETAS))
        part = training.fit(model, pair_batches, epochs=CRITIC_EPOCHS,
                            checkpoint=f"wgan_gp_critic_{name}_{DATASET}_{SEED}")
        critics_run.history |= {f"{name}.{key}": values for key, values in part.history.items()}
        critics_run.updates += part.updates
        critics_run.seconds += part.seconds
    weights.release(critic_set, f"wgan_gp/critics_{DATASET}", critics_run, publish=publishable)
critics_run = weights.restore(critic_set, f"wgan_gp/critics_{DATASET}")

# %% [markdown]
# What the critic does to a single picture (batch normalisation in inference mode), beside what the penalty saw:

# %%
def mean_slope(measure, critic, in_training=False):
    """Mean over batches, at the points between test faces and generated ones."""
    parts = [in_between[start : start + 50] for start in range(0, pairs, 50)]
    found = [measure(partial(critic, training=in_training), part) for part in parts]
    return float(np.mean([ops.convert_to_numpy(part).mean() for part in found]))


true_slope = {name: mean_slope(slopes, critic) for name, critic in critics.items()}
seen_slope = {
    "right": true_slope["right"],
    "one_axis": mean_slope(column_slopes, critics["one_axis"]),
    "normalised": mean_slope(slopes, critics["normalised"], in_training=True),  # moves averages:
}                                                         # so it comes last
assert true_slope["one_axis"] > 2 * true_slope["right"]
results.show_table(
    ["critic", "slope at one picture", "slope that the penalty saw"],
    [[name.replace("_", " "), f"{true_slope[name]:.1f}", f"{seen_slope[name]:.1f}"]
     for name in critics],
)

# %% [markdown]
# With batch normalisation the two columns mean different things, because the score of a picture depends on its company. How badly this can end shows a critic that is linear up to its normalisation. Normalised values have the mean zero over the batch, always. So their *sum* over the batch cannot change, whatever happens to the pictures, and its gradient, from which the penalty is made, vanishes: the penalty is one for every critic, and holds nothing back.

# %%
company = [np.concatenate([x_test[:1], others[1:50]]) * 2 - 1 for others in (x_test, generated)]
for name, same in [("right", True), ("normalised", False)]:
    scores = [ops.convert_to_numpy(critics[name](batch, training=True))[0] for batch in company]
    assert np.allclose(*scores, rtol=1e-3, atol=1e-3) == same

blind = keras.Sequential([keras.Input((4, 4, 3)), layers.Flatten(), layers.Dense(8),
                          layers.BatchNormalization(), layers.Dense(1)])
for steeper in (1, 100):
    blind.layers[-1].set_weights([np.full((8, 1), steeper, "float32"), np.zeros(1)])
    alone = ops.convert_to_numpy(slopes(partial(blind, training=False), some_pictures))
    seen = ops.convert_to_numpy(slopes(partial(blind, training=True), some_pictures))
    assert alone.min() > 0.5 * steeper and seen.max() < 1e-4 * steeper
print("the slope that the penalty sees is zero, also for a critic a hundred times as steep")

# %% [markdown]
# Layer normalisation, which looks at one picture at a time, has no such trouble.
#
# ## The record

# %%
for name, verdict in verdicts.items():
    modes, quality = np.array(verdict).T
    record.metric(f"ring_{name}.modes", modes.mean(), n=RING_SAMPLES, sd=modes.std(ddof=1))
    record.metric(f"ring_{name}.high_quality", quality.mean(), n=RING_SAMPLES,
                  sd=quality.std(ddof=1))
    record.metric(f"ring_{name}.distance", np.mean(last[name]), n=512,
                  sd=np.std(last[name], ddof=1))
    record.metric(f"ring_{name}.opinion_follows", np.mean(followed[name]), n=RUNS,
                  sd=np.std(followed[name], ddof=1))
share = np.mean([quality for _, quality in verdicts["wgan_gp"]])
record.check("ring_wgan_gp.high_quality", share, n=RUNS * RING_SAMPLES,
             sd=np.sqrt(share * (1 - share) / (RUNS * RING_SAMPLES)))
for name, correlation in correlations.items():
    key = "rank_correlation" if name == "whole" else f"rank_correlation_{name}"
    record.metric(key, correlation, n=len(kids))
for name in critics:
    record.metric(f"critic_{name}.slope", true_slope[name], n=pairs)
record.metric("mean_slope", steepness.mean(), n=pairs)

# %%
record.save(
    parameters={"generator": faces.generator.count_params(),
                "critic": faces.critic.count_params()},
    updates={"generator": run.updates, "critic": run.updates * CRITIC_STEPS,
             "ring": ring_run.updates, "critics": critics_run.updates},
    seconds=run.seconds + ring_run.seconds + critics_run.seconds,
    weight_names=[f"wgan_gp/{DATASET}", "wgan_gp/ring", f"wgan_gp/critics_{DATASET}"],
)

# %% [markdown]
# ## Lessons
#
# - The Wasserstein distance keeps a slope where the Jensen-Shannon divergence is flat. On a line it is a sort.
# - The critic must be limited in slope. The penalty does so softly: on a line its estimate is too large, by an amount that we can predict, and $\lambda$ has the unit of a distance.
# - $\alpha$ uniform and one per example; the norm over all axes; no batch normalisation in the critic; several critic steps. A linear critic finds a wrong norm at once; ones and zeros find a wrong $\alpha$.
# - Count modes and quality separately, over several runs, with definitions stated.
# - Watch the estimate on faces that the critic has not seen, and let an outside judge confirm the trend.
#
# **Things to try.** Play the ring with a standard deviation of 0.01, or with 25 islands in a square. Average the generator's weights over the last thousand updates before sampling. Replace the penalty by spectral normalisation (the last exercise). `GENBOOK_DATASET=celeba` reads photographs from a folder of yours; run the notebook on convolutional networks with it first, because it trains the judge.

# %% [markdown]
# ## Exercises
#
# :::{exercise} Two piles
# :label: wgan-gp-piles
#
# All data sit at one point, all samples at another, at the distance $d$. Which slope has the best penalised critic between them, and how large is its estimate? Now all coordinates are multiplied by $c$, say because colours run from -1 to 1 and no longer from 0 to 1. Which weight $\lambda$ leaves the slope as it was? Return the three numbers.
# :::

# %% [markdown]
# :::{solution-start} wgan-gp-piles
# :class: dropdown
# :::
#
# With slope $s$ the critic gains $s d$ and pays $\lambda (s - 1)^2$, which is best at $s = 1 + d / (2 \lambda)$. The estimate is $s d$. The slope depends on $d / \lambda$ only, so $\lambda$ must grow by the factor $c$, too. Somebody who changes the range of the colours and keeps $\lambda = 10$ has changed the game.

# %% tags=["solution"]
def two_piles(distance, weight, factor):
    ### BEGIN SOLUTION
    slope = 1 + distance / (2 * weight)
    return slope, slope * distance, factor * weight
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
tried = np.linspace(0, 5, 50_001)
for d, lam, c in [(4.0, 10.0, 2.0), (1.0, 0.5, 3.0)]:
    s, value, new_weight = two_piles(d, lam, c)
    assert np.isclose(s, tried[np.argmax(tried * d - lam * (tried - 1) ** 2)], atol=1e-3)
    assert np.isclose(value, s * d)
    assert np.isclose(tried[np.argmax(tried * c * d - new_weight * (tried - 1) ** 2)], s, atol=1e-3)
print("correct")

# %% [markdown]
# :::{exercise} Piles of different size
# :label: wgan-gp-unequal
#
# Sorting needs two samples of equal size. Complete the function for any sizes, with the area between the cumulative curves.
# :::

# %% [markdown]
# :::{solution-start} wgan-gp-unequal
# :class: dropdown
# :::
#
# Between two neighbouring points of the joint sample both curves are constant, so the area is a sum of rectangles. Comparing quantiles at a few places, or dropping points until the sizes agree, is close, and wrong.

# %% tags=["solution"]
def wasserstein_unequal(first, second):
    ### BEGIN SOLUTION
    places = np.sort(np.concatenate([first, second]))
    below = [np.searchsorted(np.sort(points), places[:-1], side="right") / len(points)
             for points in (first, second)]
    return np.sum(np.abs(below[0] - below[1]) * np.diff(places))
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
assert np.isclose(wasserstein_unequal(np.array([0.0]), np.array([1.0, 2.0, 6.0])), 3)
some = np.random.default_rng(0)
for sizes in [(5, 3), (40, 41), (30, 30)]:
    one, other = some.normal(size=sizes[0]), some.normal(1, 2, size=sizes[1])
    assert np.isclose(wasserstein_unequal(one, other), stats.wasserstein_distance(one, other))
assert np.isclose(wasserstein_unequal(one, other), wasserstein_1d(one, other))
print("correct")

# %% [markdown]
# :::{exercise} A one-sided penalty
# :label: wgan-gp-one-sided
#
# The duality asks for slopes of *at most* one. Write the critic's loss with a penalty that punishes only slopes above one, $\max(0, \| \nabla f \| - 1)^2$. The check first evaluates it where the answer is known, and then trains a linear critic between two clouds at a distance of five. Where would you expect a difference to the two-sided penalty?
# :::

# %% [markdown]
# :::{solution-start} wgan-gp-one-sided
# :class: dropdown
# :::
#
# Where sand passes, both ask for the same slope, $1 + d/(2\lambda)$ in the check. They differ where nothing is moved, $\Delta = 0$: there the two-sided penalty still demands slope one and makes the critic invent differences, while the one-sided lets it rest. {cite:t}`petzka2018regularization` argue for it; in practice both are used.

# %% tags=["solution"]
def one_sided_loss(critic, real, fake, random, weight):
    """Scalar; critic maps [batch, d] to [batch, 1], random is a keras.random.SeedGenerator."""
    ### BEGIN SOLUTION
    excess = ops.relu(slopes(critic, interpolate(real, fake, random)) - 1)
    gain = ops.mean(critic(real)) - ops.mean(critic(fake))
    return weight * ops.mean(ops.square(excess)) - gain
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
random = keras.random.SeedGenerator(0)
ones, zeros = ops.ones((20_000, 1)), ops.zeros((20_000, 1))
bowl = one_sided_loss(lambda x: x**2, ones, zeros, random, 10.0)  # its slope is 2 alpha
assert bowl is not None and abs(float(bowl) - (10 / 6 - 1)) < 0.1

cloud = np.random.default_rng(0).normal(scale=0.1, size=(64, 2)).astype("float32")
shifted = cloud + np.array([3, 4], "float32")
pupil = keras.Sequential([keras.Input((2,)), layers.Dense(1, use_bias=False)])
pupil.set_weights([np.array([[0.1], [0.0]])])
teacher = keras.optimizers.SGD(0.02)
for _ in range(120):
    training.minimize(lambda: one_sided_loss(pupil, shifted, cloud, random, 10.0),
                      pupil.trainable_variables, teacher)
assert np.allclose(pupil.get_weights()[0][:, 0], 1.25 * np.array([0.6, 0.8]), atol=0.02)
print("correct")

# %% [markdown]
# :::{exercise} A hard limit
# :label: wgan-gp-spectral
#
# *Spectral normalisation* {cite}`miyato2018spectral` limits the slope without a penalty: it divides the matrix of every layer by its largest singular value, the factor by which the layer can stretch a vector. Why is a chain of such layers, with ReLU between them, never steeper than one? Find the largest singular value by *power iteration*: multiply a random vector by the matrix and by its transpose, in turn, and normalise.
# :::

# %% [markdown]
# :::{solution-start} wgan-gp-spectral
# :class: dropdown
# :::
#
# A chain stretches by at most the product of its factors, each at most one, and ReLU never moves two numbers further apart. The limit holds everywhere, not only between the piles, but it can be far from tight: a chain whose layers stretch in different directions is much flatter than one. Power iteration approaches from below, so that after few steps the limit is a little too loose.

# %% tags=["solution"]
def largest_singular_value(matrix, steps, generator):
    """Of a matrix [rows, columns], by power iteration from a random vector."""
    ### BEGIN SOLUTION
    vector = generator.normal(size=matrix.shape[1])
    for _ in range(steps):
        image = matrix @ vector
        vector = matrix.T @ image
        vector /= np.linalg.norm(vector)
    return np.linalg.norm(matrix @ vector)
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
matrix = np.random.default_rng(1).normal(size=(40, 30))
truth = np.linalg.svd(matrix, compute_uv=False)[0]
few = largest_singular_value(matrix, 2, np.random.default_rng(0))
many = largest_singular_value(matrix, 500, np.random.default_rng(0))
assert few < many <= truth * (1 + 1e-9) and np.isclose(many, truth, rtol=1e-3)
print("correct")

# %% [markdown]
# ## References
#
# The Wasserstein GAN: {cite:t}`arjovsky2017wgan`, with the analysis of vanishing gradients by {cite:t}`arjovsky2017towards`; the gradient penalty: {cite:t}`gulrajani2017wgangp`; its one-sided form and a closer look at the penalty: {cite:t}`petzka2018regularization`. Optimal transport: {cite:t}`villani2009optimal`. The original game: {cite:t}`goodfellow2014gan`; least squares: {cite:t}`mao2017lsgan`; hinge: {cite:t}`lim2017geometric`; minibatch discrimination: {cite:t}`salimans2016improved`; spectral normalisation: {cite:t}`miyato2018spectral`. Evaluation: {cite:t}`heusel2017gans`, {cite:t}`binkowski2018demystifying`, {cite:t}`kynkaanniemi2019precision`. The plan of a Wasserstein GAN for faces follows {cite:t}`foster2023generative`; photographs of faces: {cite:t}`liu2015celeba`.
