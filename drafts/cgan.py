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
# # Painting to order: the conditional GAN
#
# The generator of the previous notebook paints faces, but nobody can ask it for a particular one. A *conditional* generator takes orders: besides the noise it is given a label, here the colour of the hair, and paints a face that fits. The networks change by a few lines. What makes the generator listen to its label? What has been learnt when it does? And who judges whether the hair is really red?
#
# ![Five rows of drawn faces, one row for each hair colour; down each column the hair colour changes and most of the rest of the face stays](images/cgan.png)
#
# *The goal of this notebook: ten draws of noise, one for each column, painted under all five hair colours. Nothing was selected.*
#
# As before, the faces are drawings composed by a program, not photographs. So the true hair colour of each is known, and so is everything else that the label does not mention.

# %% [markdown]
# ## What to expect
#
# The first row is what the label is for: how often an independent classifier, the *judge*, sees the colour that was asked for. Its baseline is the same pictures with shuffled orders; what the judge says of real faces stands beside it, and could be exceeded. The next three ask whether the pictures are any good: the baseline is a Gaussian fitted to the pixels of each colour's training faces, the floor the distance between real and other real faces. In the last row, on points in a plane, the baseline is a critic that sees no labels.

# %% tags=["hide-input", "setup"]
# `make lint` puts the setup cell here

# %% tags=["imports"]
from helpers.training import quiet

with quiet():  # TensorFlow talks to its developers while it is imported
    import keras
    from keras import layers, ops

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance

from helpers import datasets, metrics, plots, results, training, weights
from helpers.budget import budget, current_seed, is_full_run

plots.use_style()

# %%
results.expectation(
    "cgan",
    dataset="portraits",
    rows=[
        {"label": "judge sees the colour asked for", "metric": "label_accuracy",
         "baseline": "swapped_accuracy", "reference": "at least .95 was our target",
         "optimum": "judge_accuracy"},
        {"label": "KID-portraits, all faces", "metric": "kid", "digits": 2,
         "baseline": "kid_trivial", "optimum": "kid_floor"},
        {"label": "KID-portraits, colour by colour", "metric": "kid_by_colour",
         "digits": 2, "baseline": "kid_by_colour_trivial", "optimum": "kid_by_colour_floor"},
        {"label": "FID-portraits, n = 2,000", "metric": "fid", "digits": 2,
         "baseline": "fid_trivial", "optimum": "fid_floor"},
        {"label": "ring of Gaussians: distance within labels", "metric": "toy_told_distance",
         "baseline": "toy_blind_distance", "optimum": "toy_floor"},
    ],
)

# %% [markdown]
# ## Settings

# %% tags=["settings"]
SEED = current_seed()
DATASET = datasets.choose_dataset("portraits", alternatives=["celeba"])
LABEL = {"portraits": "hair_colour", "celeba": "blond_hair"}[DATASET]  # what can be asked for
VALIDATION = 1_000               # last training faces, kept aside for checks
SIZE = budget(quick=32, cpu=32, gpu=64)      # width and height of the painted faces
FILTERS = budget(quick=32, cpu=32, gpu=64)   # feature maps of the widest layers
NOISE = 64                       # numbers of noise behind a face
BATCH_SIZE = 64                  # pictures per update
CRITIC_STEPS = 3                 # updates of the critic for one of the generator
PENALTY_WEIGHT = 5.0             # of the penalty; as strict as 10 with colours from -1 to 1
RATES = (2e-4, 2e-4)             # Adam for generator and critic, falling to zero along a line
EPOCHS = budget(quick=2, cpu=150, gpu=300)
PICTURES = budget(quick=1_920, cpu=None)     # a quick run trains on fewer (None: all)
BLIND_EPOCHS = 25                # the run whose critic never sees a label
TOY_POINTS, TOY_BATCH = 19_200, 128          # the ring of Gaussians, where truth is known
TOY_RATES, TOY_PENALTY = (5e-4, 2e-3), 1.0
TOY_EPOCHS = budget(quick=4, cpu=40)
TOY_SEEDS = (0, 1, 2)
EVALUATED = budget(quick=400, cpu=2_000)     # test faces, and as many painted ones
ASKED = budget(quick=150, cpu=2_000)         # draws of noise that are painted under every label
QUICK_EVALUATED, QUICK_ASKED = 400, 150      # what a quick run measures again
training.set_seed(SEED)
publishable = datasets.REGISTRY[DATASET].publishable  # may weights of this run be shared?

# %% [markdown]
# ## A label as an input
#
# So far a generator $G$ turned noise $z$ into a picture $\tilde x = G(z)$, and a critic $f$ compared the distributions of $\tilde x$ and of real pictures $x$. Now a label $y$ joins both sides {cite}`mirza2014cgan`. The generator is given noise and label, $\tilde x = G(z, y)$. The critic is given a picture *together with a label* and has to say how real the **pair** looks. A flawless drawing of a blond head is a bad answer to the order "black", and only a critic that knows the order can say so.
#
# The label that goes with a generated picture is the one that was asked for. It comes from the real pictures of the same batch: for every real pair $(x, y)$ the generator paints one picture for the same $y$. The Wasserstein critic of the previous notebook {cite}`arjovsky2017wgan` then makes
#
# $$ \mathcal{E}(f, G) = \mathbb{E}_{(x, y) \sim p_\text{data}}\big[f(x, y)\big] - \mathbb{E}_{y \sim p_\text{data},\, z \sim \mathcal{N}(0, I)}\big[f(G(z, y), y)\big] $$
#
# as large as it can, and the generator makes it small. Let $f(\cdot, y)$ have slope at most one in the picture, for each label by itself; how $f$ varies from label to label is free. (A network with a penalty does this only roughly.) Sorted by labels, $\mathcal{E}$ is a mean of differences $\mathbb{E}[f(x, y)] - \mathbb{E}[f(G(z, y), y)]$, one for each $y$, with weight $p_\text{data}(y)$. Each difference contains its own function $f(\cdot, y)$, so each can be made as large as possible by itself, and by the duality of the previous notebook that maximum is a $W_1$:
#
# $$ \max_f \mathcal{E}(f, G) = \sum_y p_\text{data}(y)\; W_1\big( p_\text{data}(x \mid y),\; p_G(x \mid y) \big) , $$
#
# the **mean over the labels of the Wasserstein distance within each label**. It is zero only if, for every label that occurs, the painted pictures have the distribution of the real pictures *with that label*. This says what each mistake must lead to:
#
# - If the critic never sees the label, it can only compare all pictures with all pictures. Whether orders are obeyed makes no difference.
# - If the labels beside the real pictures have nothing to do with them, then $p_\text{data}(x \mid y) = p_\text{data}(x)$ for each label, and any generator is best that paints the mixture of all real pictures under every label; ignoring the label is the easiest way.
# - If a label is rare, its term has little weight.
#
# On a line, Wasserstein distances can be computed without any critic. Let pictures be numbers: those with label 0 lie around $-2$, those with label 1 around $+2$. Three generators compete: an obedient one, a contrarian that always paints the other label, and a heedless one that does not listen. What do three critics think of them: one that is told the labels, one that is not, and one for which labels and real pictures have nothing to do with each other?

# %%
dice = np.random.default_rng(SEED)
asked = np.repeat([0, 1], 10_000)                                      # [20000]
obedient, contrary, heedless = asked, 1 - asked, dice.integers(0, 2, len(asked))


def numbers(labels):
    return 4.0 * labels - 2 + 0.5 * dice.standard_normal(len(labels))


def mean_over_labels(real, labels, fake):
    return np.mean([wasserstein_distance(real[labels == k], fake[asked == k]) for k in (0, 1)])


real, unrelated = numbers(asked), dice.permutation(asked)
table = {
    name: (mean_over_labels(real, asked, fake), wasserstein_distance(real, fake),
           mean_over_labels(real, unrelated, fake))
    for name, fake in [("obedient", numbers(obedient)), ("contrary", numbers(contrary)),
                       ("heedless", numbers(heedless))]
}
assert np.allclose([row[0] for row in table.values()], [0, 4, 2], atol=0.1)
assert np.allclose([row[1] for row in table.values()], [0, 0, 0], atol=0.1)
assert np.allclose([row[2] for row in table.values()], [2, 2, 0], atol=0.1)
results.show_table(
    ["generator", "critic is told", "critic is not told", "labels unrelated to pictures"],
    [[name, *(f"{abs(value):.1f}" for value in row)] for name, row in table.items()],
)

# %% [markdown]
# Read it by columns, since each column is a loss to be made small. Told the labels, the critic prefers the obedient generator. Not told, it finds all three perfect: obedience may happen, but only by accident. With unrelated labels it prefers the *heedless* one, and obedience is punished. The first two mistakes of the list are therefore different, though both end with a generator that does not do what it is told.
#
# ## The game
#
# A label enters the networks as a vector with a one at its place and zeros elsewhere.

# %% tags=["exercise-context"]
def label_vectors(labels, classes):
    return np.eye(classes, dtype="float32")[labels]                    # [n, classes]


assert label_vectors(np.array([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]

# %% [markdown]
# The slope of the critic is held near one by a *gradient penalty* {cite}`gulrajani2017wgangp`, at random points between a real and a painted picture. The two belong to the same label, so that the point between them does, too. The weight of the mixture is uniform between 0 and 1 and the same for all pixels of a picture. Mixing ones with zeros shows the weight itself.

# %% tags=["exercise-context"]
def between(real, fake, seed):
    """One random point on the line from each fake item to the real item beside it."""
    shape = (ops.shape(real)[0],) + (1,) * (len(real.shape) - 1)       # [batch, 1, ...]
    weight = keras.random.uniform(shape, seed=seed)
    return weight * real + (1 - weight) * fake


# %%
ones = np.ones((4_000, 3, 2, 1), "float32")
mixed = ops.convert_to_numpy(between(ones, 0 * ones, keras.random.SeedGenerator(SEED)))
assert np.ptp(mixed, axis=(1, 2, 3)).max() == 0                        # one weight for a picture
share = mixed[:, 0, 0, 0]
assert 0 <= share.min() and share.max() <= 1
assert abs(share.mean() - 1 / 2) < 0.02 and abs(share.var() - 1 / 12) < 0.01
print("one weight for each picture, uniform on [0, 1]")

# %% [markdown]
# The penalty takes the gradient with respect to **the picture only**, over all of its axes. The label is held fixed. If its entries were part of the gradient, the critic would be asked to change little from "blond" to "black", which is the opposite of what it is for.

# %% tags=["exercise-context"]
def gradient_penalty(critic, points, labels):
    slope = training.input_gradient(lambda items: critic([items, labels], training=True), points)
    axes = tuple(range(1, len(slope.shape)))                           # all but the batch
    norm = ops.sqrt(ops.sum(ops.square(slope), axis=axes) + 1e-12)     # [batch]
    return ops.mean(ops.square(norm - 1))


# %% [markdown]
# For a critic that is linear in the picture, with another vector $w_y$ for each label, $f(x, y) = w_y \cdot x$, the slope is $w_y$ everywhere. The penalty must be the mean of $(|w_y| - 1)^2$ over the labels of the batch. A norm over only some of the axes, or other labels, would give another number.

# %%
directions = dice.standard_normal((3, 4, 5, 2)).astype("float32")      # one w for each of 3 labels


def linear_critic(inputs, training=False):
    items, labels = inputs
    return ops.sum(ops.tensordot(labels, directions, axes=1) * items, axis=(1, 2, 3))


labels = np.array([0, 0, 1, 2, 0])
points = dice.standard_normal((5, 4, 5, 2)).astype("float32")
lengths = np.sqrt(np.square(directions).sum(axis=(1, 2, 3)))           # [3]
closed_form = np.mean((lengths[labels] - 1) ** 2)
measured = float(gradient_penalty(linear_critic, points, label_vectors(labels, 3)))
assert np.isclose(measured, closed_form, rtol=1e-4)
one_axis = np.sqrt(np.square(directions[labels]).sum(axis=1))          # a norm for each column
assert not np.isclose(measured, np.mean((one_axis - 1) ** 2), rtol=1e-2)
print(f"penalty {measured:.3f}, closed form {closed_form:.3f}")

# %% [markdown]
# The pair of networks is a Keras model that answers orders: label vectors in, pictures out. (The class after it adds the training.)

# %% tags=["exercise-context"]
class ConditionalGAN(keras.Model):
    """Generator [noise, labels] -> items and critic [items, labels] -> values."""

    def __init__(self, generator, critic, penalty_weight, seed=0):
        super().__init__()
        self.generator, self.critic, self.penalty_weight = generator, critic, penalty_weight
        self.noise_size = generator.inputs[0].shape[-1]
        self.random = keras.random.SeedGenerator(seed)
        self.estimate = keras.metrics.Mean(name="estimate")
        self.penalty = keras.metrics.Mean(name="penalty")

    def compile(self, generator_optimizer, critic_optimizer):
        super().compile()
        self.generator_optimizer, self.critic_optimizer = generator_optimizer, critic_optimizer
        generator_optimizer.build(self.generator.trainable_variables)
        critic_optimizer.build(self.critic.trainable_variables)

    def call(self, labels, training=False):                            # [batch, classes]
        shape = (ops.shape(labels)[0], self.noise_size)
        noise = keras.random.normal(shape, seed=self.random)
        return self.generator([noise, labels], training=training)      # [batch, ...]


# %% [markdown]
# Training is the game of the previous notebook, with labels. (There, colours ran from -1 to 1, here from 0 to 1. Distances are half as long, and $\lambda$ has the unit of a distance: 5 is as strict here as 10 was there.) A batch is cut into as many parts as the critic has steps, so that it meets new real pictures each time. Then the generator makes one step, for the labels of the last part.

# %% tags=["exercise-context"]
class ConditionalWGAN(ConditionalGAN):
    def critic_step(self, real, labels):
        fake = ops.stop_gradient(self(labels, training=True))          # the same labels
        points = between(real, fake, self.random)

        def loss():
            scores = [self.critic([items, labels], training=True) for items in (real, fake)]
            estimate = ops.mean(scores[0]) - ops.mean(scores[1])
            penalty = gradient_penalty(self.critic, points, labels)
            self.estimate.update_state(ops.stop_gradient(estimate))
            self.penalty.update_state(ops.stop_gradient(penalty))
            return self.penalty_weight * penalty - estimate

        training.minimize(loss, self.critic.trainable_variables, self.critic_optimizer)

    def generator_step(self, labels):
        def loss():
            fake = self(labels, training=True)
            return -ops.mean(self.critic([fake, labels], training=True))

        training.minimize(loss, self.generator.trainable_variables, self.generator_optimizer)

    def train_step(self, data):
        real, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        for items, asked in zip(ops.split(real, CRITIC_STEPS), ops.split(labels, CRITIC_STEPS)):
            self.critic_step(items, asked)
        self.generator_step(asked)
        return {"estimate": self.estimate.result(), "penalty": self.penalty.result()}


# %% [markdown]
# Both networks learn by Adam with a short memory, as in the previous notebook. The step size falls along a line to zero; this stops the players, and does not mean that they have arrived.

# %% tags=["exercise-context"]
def adam(rate, updates):
    schedule = keras.optimizers.schedules.PolynomialDecay(rate, updates, end_learning_rate=0.0)
    return keras.optimizers.Adam(schedule, beta_1=0.5, beta_2=0.9)


def prepare(gan, items, vectors, batch_size, rates, epochs, seed=SEED):
    """Compiles the pair and returns its batches; an epoch's updates are those of the generator."""
    batches = training.batches(items, vectors, batch_size=CRITIC_STEPS * batch_size, seed=seed)
    updates = epochs * len(batches)
    gan(vectors[:2])                                                   # builds the weights
    gan.compile(adam(rates[0], updates), adam(rates[1], CRITIC_STEPS * updates))
    return batches


# %% [markdown]
# To paint, we call the generator in inference mode with noise of our own, so that the same noise can be used again under another label.

# %%
def paint(gan, labels, noise, size=500):
    """Items [n, ...] for labels [n] (numbers) and noise [n, noise size]."""
    vectors = label_vectors(labels, gan.generator.inputs[1].shape[-1])
    parts = [slice(start, start + size) for start in range(0, len(noise), size)]
    painted = [gan.generator([noise[part], vectors[part]], training=False) for part in parts]
    return np.concatenate([ops.convert_to_numpy(part) for part in painted])


def draw_noise(shape, seed):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


# %% [markdown]
# ## First where the truth is known
#
# Eight Gaussians stand on a circle of radius 2, each with a standard deviation of 0.2 and a label of its own. Given the label $y$, the truth is $\mathcal{N}(c_y, 0.2^2 I)$. Later we shall want three other versions of these data, so the function knows them already.

# %% tags=["exercise-context"]
RING = 8
ANGLES = 2 * np.pi * np.arange(RING) / RING
CENTRES = 2 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)       # [8, 2]
SPREAD = 0.2


def ring_points(labels, generator):
    noise = SPREAD * generator.standard_normal((len(labels), 2))
    return (CENTRES[labels] + noise).astype("float32")                 # [n, 2]


def ring_data(variant, seed):
    """Points [n, 2] and labels [n]; what the variants are is told where they are used."""
    generator = np.random.default_rng(seed)
    halving = 0.5 ** np.arange(RING) if variant in ("rare", "resampled") else np.ones(RING)
    labels = generator.choice(RING, size=TOY_POINTS, p=halving / halving.sum())
    points = ring_points(labels, generator)
    if variant == "unrelated":
        labels = generator.permutation(labels)
    if variant == "resampled":
        weight = 1 / np.bincount(labels, minlength=RING)[labels]       # the rarer, the heavier
        rows = generator.choice(len(labels), size=len(labels), p=weight / weight.sum())
        points, labels = points[rows], labels[rows]
    return points, labels


# %% [markdown]
# Two measures. *Agreement* is the share of points whose nearest centre is the one asked for. The other is the very quantity of the theory, which can be computed here: the **Wasserstein distance within each label**, between 500 generated and 500 true points. For two clouds of equally many points it is the mean length of the cheapest way to pair them up, an assignment problem that SciPy solves exactly. Two clouds from the same distribution are not at zero: that is the floor.

# %%
def cloud_distance(first, second):
    """W1 between clouds [n, 2] and [n, 2]: the mean length of the cheapest pairing."""
    lengths = cdist(first, second)                                     # [n, n]
    return lengths[linear_sum_assignment(lengths)].mean()


every_label = np.repeat(np.arange(RING), 500)                          # [4000]
true_points = ring_points(every_label, np.random.default_rng(SEED))


def ring_scores(points):
    """Agreement and the distances [8] from the truth, for points asked by every_label."""
    nearest = cdist(points, CENTRES).argmin(axis=1)
    distances = [cloud_distance(points[every_label == c], true_points[every_label == c])
                 for c in range(RING)]
    return np.mean(nearest == every_label), np.array(distances)


# %% [markdown]
# A cloud and its copy, moved by 5, are 5 apart, since no pairing can be shorter on average than the distance of the means. Other true points give the floor. The points of the wrong neighbour give the distance between two centres, $4 \sin(\pi/8) \approx 1.53$.

# %%
some = true_points[:500]
assert np.isclose(cloud_distance(some, some[::-1] + np.array([3, 4])), 5)
fresh_points = ring_points(every_label, np.random.default_rng(SEED + 1))
floor_agreement, floor = ring_scores(fresh_points)
neighbours_agreement, wrong = ring_scores(np.roll(fresh_points, 500, axis=0))
assert floor_agreement > 0.997 and floor.max() < SPREAD / 2
assert neighbours_agreement < 0.001 and np.allclose(wrong, 4 * np.sin(np.pi / 8), atol=0.05)
print(f"floor: {floor.mean():.3f}; the wrong neighbour: {wrong.mean():.2f}")

# %% [markdown]
# Both small networks simply get the label vector beside their other input. The critic can be blinded: to a blind critic every label looks like zeros.

# %% tags=["exercise-context"]
def build_toy_generator(label_size):
    noise, labels = keras.Input((2,)), keras.Input((label_size,))
    x = layers.Concatenate()([noise, labels])                          # [batch, 2 + label_size]
    for _ in range(2):
        x = layers.Dense(64, activation="relu")(x)
    return keras.Model([noise, labels], layers.Dense(2)(x), name="toy_generator")


def build_toy_critic(label_size, sees_labels=True):
    points, labels = keras.Input((2,)), keras.Input((label_size,))
    seen = labels if sees_labels else layers.Rescaling(0.0)(labels)
    x = layers.Concatenate()([points, seen])
    for _ in range(2):
        x = layers.LeakyReLU(negative_slope=0.2)(layers.Dense(128)(x))
    return keras.Model([points, labels], layers.Dense(1)(x), name="toy_critic")


# %% tags=["model"]
def build_toy(variant, seed):
    """A compiled pair for a variant of the ring, and its batches."""
    training.set_seed(seed)
    critic = build_toy_critic(RING, sees_labels=variant != "blind")
    gan = ConditionalWGAN(build_toy_generator(RING), critic, TOY_PENALTY, seed)
    points, labels = ring_data(variant, seed)
    vectors = label_vectors(labels, RING)
    return gan, prepare(gan, points, vectors, TOY_BATCH, TOY_RATES, TOY_EPOCHS, seed)


toy, toy_batches = build_toy("told", seed=0)
print(f"weights: generator {toy.generator.count_params():,}, critic {toy.critic.count_params():,}")

# %% tags=["nbval-ignore-output"]
toy_run = training.fit(toy, toy_batches, epochs=TOY_EPOCHS, checkpoint="cgan_toy_told_0")
toy_noise = draw_noise((len(every_label), 2), seed=1)
agreement, distances = ring_scores(paint(toy, every_label, toy_noise))
assert agreement > 2 / RING                                            # twice as good as chance

# %%
if is_full_run():
    weights.release(toy, "cgan/toy_told", toy_run, publish=publishable)
toy_run = weights.restore(toy, "cgan/toy_told")
toy_agreement, toy_distances = ring_scores(paint(toy, every_label, toy_noise))
print(f"after {toy_run.updates:,} updates: agreement {toy_agreement:.3f}, mean distance "
      f"{toy_distances.mean():.3f}, floor {floor.mean():.3f}")
assert toy_agreement > 0.95 and toy_distances.mean() < SPREAD

# %% mystnb={"image": {"alt": "Two scatter plots of eight clusters on a circle, each in a colour of its own: the true points on the left and the generated ones on the right"}, "figure": {"caption": "The ring: 1,000 true points (left) and as many generated ones (right), coloured by the label that was asked for.", "name": "fig-cgan-ring"}}
def scatter(axis, points, title, step=4):
    for label in range(RING):
        chosen = points[every_label == label][::step]
        axis.scatter(*chosen.T, s=4, color=plots.COLOURS[label])
    axis.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", title=title, xticks=[], yticks=[])


figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.9))
scatter(axes[0], true_points, "true")
scatter(axes[1], paint(toy, every_label, toy_noise), "generated")
plt.show()

# %% [markdown]
# A ring of eight Gaussians is a classic trap in which GANs lose modes. With labels it is easy: the label says which mode is meant, and what remains to be learnt for each label is a single round cloud. (The islands are also four times as wide here.)

# %% [markdown]
# ## The faces
#
# Two processor cores are slow for a GAN, and an update at 32 by 32 pixels costs about a quarter of one at 64 by 64. Hair colours can be seen at that size, so we paint small: every pixel becomes the mean of four.

# %% tags=["model"]
data = datasets.load(DATASET)


def shrink(pictures):
    """Bytes [n, 64, 64, 3] -> bytes [n, SIZE, SIZE, 3], means over square blocks."""
    factor = pictures.shape[1] // SIZE
    blocks = pictures.reshape(len(pictures), SIZE, factor, SIZE, factor, 3)
    return np.round(blocks.mean(axis=(2, 4), dtype="float32")).astype("uint8")


small, small_test = shrink(data.x_train), shrink(data.x_test)
x_train, x_validation = small[:-VALIDATION], small[-VALIDATION:] / np.float32(255)
x_test = small_test / np.float32(255)                                  # [2000, 32, 32, 3]
y_train = data.attributes[LABEL].train[:-VALIDATION]
y_validation = data.attributes[LABEL].train[-VALIDATION:]
y_test = data.attributes[LABEL].test
colours = data.attributes[LABEL].names
classes = len(colours)
print("training", x_train.shape, " test", x_test.shape, " colours:", ", ".join(colours))

# %%
counts = np.bincount(y_train, minlength=classes)
results.show_table(
    ["label", "training faces", "share"],
    [[name, f"{count:,}", f"{count / len(y_train):.3f}"] for name, count in zip(colours, counts)],
)

# %% mystnb={"image": {"alt": "Five rows of ten small drawn faces, one row for each hair colour"}, "figure": {"caption": "The first ten training faces of each label.", "name": "fig-cgan-data"}}
first_rows = np.concatenate([np.flatnonzero(y_train == c)[:10] for c in range(classes)])
plots.image_grid(x_train[first_rows], columns=10, size=0.6, row_labels=colours)
plt.show()

# %% [markdown]
# ## The judge
#
# Whether a painted face has red hair must not be decided by the networks that took part in painting it. So we call in somebody from outside: the residual network of chapter 2, trained on real faces of 64 by 64 pixels to name every attribute.
#
# Our faces are smaller than those it knows. We enlarge them, by repeating pixels. The judge may fail on such coarse pictures, and this can be tested: **real test faces go through exactly the same treatment**, shrunk, rounded to bytes, enlarged. What the judge cannot read on them, it must not be asked about generated ones.

# %%
network = weights.restore_model(f"cnn/features_{DATASET}")
parts_of_judge = {name: network.get_layer(name).output for name in ("features", *data.attributes)}
judge = keras.Model(network.inputs[0], parts_of_judge)


def enlarge(pictures):
    """Floats [n, 32, 32, 3] -> [n, 64, 64, 3]: rounded to bytes, then each pixel repeated."""
    factor = data.x_train.shape[1] // pictures.shape[1]
    rounded = np.round(pictures * 255) / np.float32(255)
    return rounded.repeat(factor, axis=1).repeat(factor, axis=2)


def examine(pictures, size=250):
    """What the judge says: {attribute: labels [n]} and {"features": [n, d]}."""
    starts = range(0, len(pictures), size)
    seen = [judge(enlarge(pictures[start : start + size]), training=False) for start in starts]
    joined = {
        name: np.concatenate([ops.convert_to_numpy(part[name]) for part in seen])
        for name in parts_of_judge
    }
    return {name: v if name == "features" else v.argmax(axis=1) for name, v in joined.items()}


# %%
real = examine(x_test[:EVALUATED])
sharp = examine(data.x_test[:EVALUATED] / np.float32(255))             # 64 pixels, as they are
truth = {name: test[:EVALUATED] for name, (_, test, _) in data.attributes.items()}
right = {name: (np.mean(sharp[name] == truth[name]), np.mean(real[name] == truth[name]))
         for name in truth}
majority = {name: np.bincount(answers).max() / len(answers) for name, answers in truth.items()}
readable = [name for name, (_, coarse) in right.items()
            if coarse >= 0.95 and 1 - coarse < (1 - majority[name]) / 2]
assert right[LABEL][1] >= (0.97 if DATASET == "portraits" else 0.9)
results.show_table(
    ["attribute", "most frequent", "real faces, 64 pixels", "shrunk and enlarged", "judged here"],
    [[name, f"{majority[name]:.3f}", f"{at_64:.3f}", f"{at_32:.3f}",
      "yes" if name in readable else "no"] for name, (at_64, at_32) in right.items()],
)

# %% [markdown]
# The colour of the hair is read without trouble. *Yes* means: right at least 95 times in 100, with at most half the errors of always guessing the most frequent answer. Where the table says *no*, the attribute is left out of all that follows: a number about it would mean nothing. The same holds for KID and FID below, which use this network's features: they may miss what it cannot read.
#
# ## Networks that take labels
#
# **The generator** gets noise and label vector as one long vector. Its first layer is dense, so the label selects one row of weights, which is added to whatever the noise says. From there on the label is mixed with everything else.

# %% tags=["model"]
def build_generator(classes):
    noise, labels = keras.Input((NOISE,)), keras.Input((classes,))
    filters = FILTERS * SIZE // 8                                      # 128
    x = layers.Concatenate()([noise, labels])                          # [batch, 64 + classes]
    x = layers.Reshape((4, 4, filters))(layers.Dense(16 * filters, use_bias=False)(x))
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))      # [batch, 4, 4, 128]
    while x.shape[1] < SIZE:
        filters = max(filters // 2, FILTERS)
        x = layers.Conv2DTranspose(filters, 4, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    pictures = layers.Conv2D(3, 3, padding="same", activation="sigmoid")(x)  # [batch, 32, 32, 3]
    return keras.Model([noise, labels], pictures, name="generator")


# %% [markdown]
# **The critic** is convolutional, and a convolution wants pictures. So the label is made into pictures: one *plane* for each possible label, of the same width and height as the face, filled with ones for the right label and with zeros for the others. Planes and colours are stacked as channels. There is no batch normalisation in the critic, because the penalty needs each picture's own gradient. Again, `sees_labels=False` blinds it.

# %% tags=["model"]
def build_critic(classes, sees_labels=True):
    pictures, labels = keras.Input((SIZE, SIZE, 3)), keras.Input((classes,))
    planes = layers.UpSampling2D(SIZE)(layers.Reshape((1, 1, classes))(labels))
    if not sees_labels:
        planes = layers.Rescaling(0.0)(planes)
    centred = layers.Rescaling(2.0, offset=-1.0)(pictures)             # from [0, 1] to [-1, 1]
    x = layers.Concatenate(name="stack")([centred, planes])            # 3 + classes channels
    filters = FILTERS
    while x.shape[1] > 4:
        x = layers.Conv2D(filters, 4, strides=2, padding="same")(x)    # 16, 8, 4 pixels wide
        x = ops.maximum(x, 0.2 * x)                                    # a leaky ReLU
        filters *= 2
    value = layers.Dense(1)(layers.Flatten()(x))                       # [batch, 1]
    return keras.Model([pictures, labels], value, name="critic")


# %% tags=["model"]
def build_faces(epochs, sees_labels=True):
    """A compiled pair for the faces, and its batches."""
    training.set_seed(SEED)
    networks = build_generator(classes), build_critic(classes, sees_labels)
    gan = ConditionalWGAN(*networks, PENALTY_WEIGHT, SEED)
    vectors = label_vectors(y_train[:PICTURES], classes)
    batches = prepare(gan, x_train[:PICTURES], vectors, BATCH_SIZE, RATES, epochs)
    return gan, batches


gan, face_batches = build_faces(EPOCHS)
results.show_table(
    ["network", "input", "output", "parameters"],
    [["generator", f"noise ({NOISE}), label ({classes})", str(gan.generator.output.shape[1:]),
      f"{gan.generator.count_params():,}"],
     ["critic", f"{gan.critic.inputs[0].shape[1:]}, label ({classes})", "one value",
      f"{gan.critic.count_params():,}"]],
)

# %% [markdown]
# What does a convolution make of a plane? Wherever its window lies inside the picture, it sees the same plane full of ones, so that a label adds a **constant for each filter**: label planes are a bias that depends on the label. Only at the border, where part of the window hangs over the edge, is it different. Let us check that on the first layer: the same face, seen with two labels.

# %%
stacked = keras.Model(gan.critic.inputs, gan.critic.get_layer("stack").output)
first_layer = next(layer for layer in gan.critic.layers if isinstance(layer, layers.Conv2D))
vectors = label_vectors(np.array([0, 1]), classes)
both = ops.convert_to_numpy(first_layer(stacked([x_test[[0, 0]], vectors])))
difference = both[1] - both[0]                                         # [16, 16, 32]
inside, edge = difference[1:-1, 1:-1], difference[0]
assert np.ptp(inside, axis=(0, 1)).max() < 1e-5 < np.abs(inside).max()  # constant, but not zero
assert np.ptp(np.concatenate([inside[0], edge]), axis=0).max() > 1e-3  # the border differs
print("inside the picture, another label is another bias for each of the", FILTERS, "filters")

# %% [markdown]
# ## Training
#
# To see whether the generator begins to listen, the judge looks at a hundred of its pictures after each epoch, always for the same noise and orders. It only watches: nothing is chosen by what it says.

# %%
class Watch(keras.callbacks.Callback):
    """Adds to the log of each epoch how often the judge sees the colour that was asked for."""

    def on_epoch_end(self, epoch, logs=None):
        asked = np.tile(np.arange(classes), 100 // classes)
        painted = paint(self.model, asked, draw_noise((len(asked), NOISE), seed=2))
        logs["agreement"] = float(np.mean(examine(painted)[LABEL] == asked))


def mean_value(critic, pictures, labels):
    """The critic's mean value of pictures [n, ...] with labels [n] (numbers)."""
    return float(ops.mean(critic([pictures, label_vectors(labels, classes)])))


# %% tags=["nbval-ignore-output"]
orders, some_noise = y_validation[:200], draw_noise((200, NOISE), seed=3)
before = paint(gan, orders, some_noise)
run = training.fit(
    gan, face_batches, epochs=EPOCHS, callbacks=[Watch()],
    checkpoint=f"cgan_{DATASET}_{LABEL}_{SEED}",
)
after = paint(gan, orders, some_noise)
assert mean_value(gan.critic, after, orders) > mean_value(gan.critic, before, orders)

# %% [markdown]
# At the least, the critic should like what is painted now better than what was painted at first. The weights of the full run come next.

# %%
faces_name = f"cgan/{DATASET}_{LABEL}_{SIZE}"
if is_full_run():
    weights.release(gan, faces_name, run, publish=publishable)
run = weights.restore(gan, faces_name)
print(f"weights of a run with {run.updates:,} updates of the generator")

# %% mystnb={"image": {"alt": "Curve of the critic's estimate by epoch"}, "figure": {"caption": "The critic's estimate during the full run, mean over each epoch's batches.", "name": "fig-cgan-estimate"}}
plots.loss_curves(run.history, labels={"estimate": "critic's estimate"})
plt.ylim(bottom=0)
plt.ylabel("critic's estimate")
plt.show()

# %% [markdown]
# ## The same noise under every label
#
# Ten draws of noise, one for each column, under all the labels, one for each row.

# %% tags=["cover"] mystnb={"image": {"alt": "Five rows of ten painted faces, one row for each hair colour; faces in a column resemble each other apart from the hair"}, "figure": {"caption": "The same ten draws of noise under every label, the first ten of a fixed seed.", "name": "fig-cgan-grid"}}
noise = draw_noise((ASKED, NOISE), SEED)
ten = np.tile(noise[:10], (classes, 1))                                # [10 x classes, 64]
grid = paint(gan, np.repeat(np.arange(classes), 10), ten)
plots.image_grid(grid, columns=10, row_labels=colours)
plt.show()

# %% [markdown]
# ## Does it paint what was asked for?
#
# Each draw of noise is painted under each label, and the judge names the colour. Pictures that share their noise are not independent, so the standard error is taken over the draws of noise, each with its own share of obeyed orders.

# %%
def under_every_label(gan, noise):
    """The judge's answers {attribute: [n, classes]} for noise [n, classes, NOISE]."""
    asked = np.tile(np.arange(classes), len(noise))
    seen = examine(paint(gan, asked, noise.reshape(-1, NOISE)))
    return {name: seen[name].reshape(len(noise), classes) for name in data.attributes}


same_noise = np.repeat(noise[:, None], classes, axis=1)                # [ASKED, classes, 64]
answers = under_every_label(gan, same_noise)
asked = np.arange(classes)                                             # the order, by column
obeyed = (answers[LABEL] == asked).mean(axis=1)                        # [ASKED]
results.show_table(
    ["asked for", "judged right", "most common answer otherwise"],
    [[name, f"{np.mean(given == c):.3f}",
      colours[np.bincount(given[given != c], minlength=classes).argmax()]
      if (given != c).any() else "–"]
     for c, (name, given) in enumerate(zip(colours, answers[LABEL].T))],
)

# %% [markdown]
# As a control we keep the pictures and **shuffle the orders**: now nobody could have obeyed, and the agreement must fall to chance. Since every colour is asked for equally often, chance is one in the number of colours whatever the generator prefers to paint; with unequal orders it would not be (the first exercise).

# %%
orders = np.tile(asked, (ASKED, 1))                                    # [ASKED, classes]
shuffled = np.random.default_rng(SEED).permutation(orders.ravel()).reshape(orders.shape)
by_chance = np.mean(answers[LABEL] == shuffled)
chance_sd = np.sqrt((1 - 1 / classes) / classes / orders.size)
assert abs(by_chance - 1 / classes) < 4 * chance_sd
assert obeyed.mean() > by_chance + 0.25
print(f"{orders.size:,} pictures: agreement {obeyed.mean():.3f} "
      f"± {metrics.standard_error(obeyed):.3f}, with shuffled orders {by_chance:.3f}")
results.quote("cgan-agreement", f"{obeyed.mean():.3f}")
results.quote("cgan-shuffled", f"{by_chance:.3f}")

# %% [markdown]
# The judge sees the colour that was asked for in a share of {glue:text}`cgan-agreement` of the pictures, and {glue:text}`cgan-shuffled` when the orders are shuffled.
#
# ## Is what it paints any good?
#
# A generator that repeats a single face of each colour would agree very well. So we also compare *distributions*, in the features of the same network, by the kernel distance KID {cite}`binkowski2018demystifying` and the Fréchet distance FID {cite}`heusel2017gans`. All pictures, real ones included, are shrunk and enlarged in the same way; the values belong to this treatment and to these features, and to nothing else.
#
# Two questions have to be told apart. *All faces together*: does the heap of painted faces look like the heap of real ones? And *colour by colour*: do the painted blond faces look like the real blond faces, and so on? The second is our Wasserstein sum with another distance. For each colour there are only about 400 test faces, 80 in a quick run, and the subsets have half of that: fewer than this book asks of a KID, for lack of faces. All colours get equal weight, where the sum weights them by how common they are. FID is biased upwards in small samples, KID is unbiased at any size {cite}`binkowski2018demystifying`. Hence KID colour by colour, and FID for all faces only, beside its floor at the same n.

# %%
def kid(real_features, painted_features):
    """KID: mean and standard deviation over ten subsets of half the pictures."""
    half = min(len(real_features), len(painted_features)) // 2
    return metrics.kernel_distance(
        real_features, painted_features, subsets=10, subset_size=half, seed=SEED
    )


def kid_of_each_colour(real_features, real_labels, features, labels):
    """KID and its sd for each colour: [classes, 2]."""
    return np.array([
        kid(real_features[real_labels == c], features[labels == c]) for c in range(classes)
    ])


def mean_of_colours(each):
    """The mean over the colours, and its sd."""
    return each[:, 0].mean(), np.sqrt(np.square(each[:, 1]).sum()) / len(each)


wanted = y_test[:EVALUATED]                                            # as many of each as real
painted = examine(paint(gan, wanted, draw_noise((EVALUATED, NOISE), seed=SEED + 100)))

# %% [markdown]
# Four candidates: our generator; the same pictures with shuffled orders; a *parrot* that knows the first training face of each colour and nothing else; and, in a full run, one Gaussian for each colour, fitted to the principal components of its training pixels.

# %%
first_ones = [np.flatnonzero(y_train == c)[0] for c in range(classes)]
parrot = examine(x_train[first_ones] / np.float32(255))
other_orders = np.random.default_rng(SEED).permutation(wanted)
candidates = {
    "ours": (painted["features"], painted[LABEL], wanted),
    "swapped": (painted["features"], painted[LABEL], other_orders),
    "parrot": (parrot["features"][wanted], parrot[LABEL][wanted], wanted),
}
if is_full_run():
    gaussians = np.empty_like(x_test[:EVALUATED])
    for c in range(classes):
        faces = x_train[y_train == c] / np.float32(255)
        gaussians[wanted == c] = metrics.pca_gaussian_samples(faces, np.sum(wanted == c), 128, SEED)
    seen = examine(gaussians)
    candidates["trivial"] = (seen["features"], seen[LABEL], wanted)

# %%
scores = {}
for name, (features, judged, orders_given) in candidates.items():
    each = kid_of_each_colour(real["features"], wanted, features, orders_given)
    scores[name] = (np.mean(judged == orders_given), *kid(real["features"], features), each)
results.show_table(
    ["pictures", "agreement", "KID, all", "KID, colour by colour"],
    [[name, f"{agreement:.3f}", f"{together:.2f} ± {sd:.2f}",
      "{:.2f} ± {:.2f}".format(*mean_of_colours(each))]
     for name, (agreement, together, sd, each) in scores.items()],
)
(ours, ours_sd), (swapped, swapped_sd) = (
    mean_of_colours(scores[name][3]) for name in ("ours", "swapped")
)
assert swapped - ours > 4 * np.hypot(ours_sd, swapped_sd)
assert scores["parrot"][0] > (0.99 if DATASET == "portraits" else 0.5)
assert scores["parrot"][1] > scores["ours"][1]

# %% [markdown]
# Each of the first two columns alone can be fooled. The parrot obeys perfectly, and only the distances notice that it has nothing else to say. The distance over all faces does not notice that orders were shuffled: it is the *same number*, because it never sees an order. Colour by colour, obedience and quality are measured together.
#
# The values of the full run, next to floors: one half of the test faces against the other half, which have no face in common. The floor of the FID needs as many faces as the FID itself. It compares all test faces with 2,000 training faces, which the feature network knew, and is therefore itself a little off.

# %%
record = results.Record("cgan", DATASET, data.source)
if is_full_run():
    half = EVALUATED // 2
    one, other, features = real["features"][:half], real["features"][half:], real["features"]
    floors = kid_of_each_colour(one, wanted[:half], other, wanted[half:])
    value, sd = kid(one, other)
    record.metric("kid_floor", value, n=half, sd=sd)
    value, sd = mean_of_colours(floors)
    record.metric("kid_by_colour_floor", value, n=half // classes, sd=sd)
    some_training = examine(x_train[:EVALUATED] / np.float32(255))["features"]
    record.metric("fid_floor", metrics.frechet_distance(features, some_training), n=EVALUATED)
    for name, suffix in [("ours", ""), ("swapped", "_swapped"), ("trivial", "_trivial")]:
        painted_features, _, _ = candidates[name]
        _, together, sd, each = scores[name]
        record.metric("kid" + suffix, together, n=EVALUATED, sd=sd)
        value, sd = mean_of_colours(each)
        record.metric("kid_by_colour" + suffix, value, n=EVALUATED // classes, sd=sd)
        fid = metrics.frechet_distance(features, painted_features)
        record.metric("fid" + suffix, fid, n=EVALUATED)
    record.metric("label_accuracy_trivial", scores["trivial"][0], n=EVALUATED)
    for c, name in enumerate(colours):
        value, sd = scores["ours"][3][c]
        record.metric(f"kid_{name}", value, n=np.sum(wanted == c), sd=sd)
        value, sd = floors[c]
        record.metric(f"kid_{name}_floor", value, n=np.sum(wanted[:half] == c), sd=sd)

# %%
def recorded(name, digits=2):
    """A value of this full run, or under quick the recorded one, as text."""
    if name in record.metrics:
        return f"{record.metrics[name]:.{digits}f}"
    found = results.headline("cgan", name, DATASET)
    return found.text(digits) if found else "–"


def with_sd(name):
    """A KID with its standard deviation over ten subsets."""
    found = results.headline("cgan", name, DATASET)
    sd = record.sd.get(name, found and found.own_sd)
    return f"{recorded(name)} ± {sd:.2f}" if sd is not None else recorded(name)


rows = [[text, *(with_sd(key + end) for end in ("", "_floor", "_trivial"))]
        for text, key in [("all faces", "kid"), ("mean over colours", "kid_by_colour")]]
rows += [[name, with_sd(f"kid_{name}"), with_sd(f"kid_{name}_floor"), "–"] for name in colours]
rows = [[f"KID, {text}", *values] for text, *values in rows]
rows.append(["FID, all faces", *(recorded("fid" + end) for end in ("", "_floor", "_trivial"))])
results.show_table([f"{DATASET}, full run", "ours", "floor", "one Gaussian each"], rows)
results.quote("cgan-trivial", recorded("label_accuracy_trivial", 3))

# %% [markdown]
# A Gaussian for each colour knows only average pixels and how they vary together. It obeys in a share of {glue:text}`cgan-trivial` of its pictures, the parrot in all: never report a label accuracy alone.
#
# ## What the noise keeps
#
# In the grid above, a column seems to show the same person with dyed hair. The judge can say: how often is another attribute, the skin or the background, the same under two different labels for the same noise, and how often for two different draws of noise, which is chance?

# %%
kept_attributes = [name for name in readable if name != LABEL]


def kept(answers, shift):
    """Mean share of label pairs with equal answers; shift 0: same noise, 1: the next noise."""
    shares = []
    for name in kept_attributes:
        mine, other = answers[name], np.roll(answers[name], shift, axis=0)
        shares.append(np.mean([
            (mine[:, a] == other[:, b]).mean() for a in asked for b in asked if a != b
        ]))
    return np.array(shares)


same, chance = kept(answers, 0), kept(answers, 1)
assert same.mean() > chance.mean() + 0.1
results.show_table(
    ["attribute", "same noise, other label", "other noise, other label"],
    [[name, f"{s:.3f}", f"{c:.3f}"] for name, s, c in zip(kept_attributes, same, chance)],
)

# %% [markdown]
# Much is kept. But nothing in the game asked for it. The critic sees one pair at a time; it never sees two pictures from the same noise, so it cannot care how they are related. To make the point, we build a generator that no critic can tell from ours: under label number $k$ it first moves the 64 numbers of noise by $12k$ places. For each label the noise is still Gaussian, so each $p_G(x \mid y)$, the distance within each label, and the agreement stay what they were. Only the columns of the grid fall apart.

# %%
moved_noise = np.stack([np.roll(noise, 12 * k, axis=1) for k in asked], axis=1)
moved = under_every_label(gan, moved_noise)
moved_obeyed = (moved[LABEL] == asked).mean(axis=1)
spread = np.hypot(metrics.standard_error(moved_obeyed), metrics.standard_error(obeyed))
assert abs(moved_obeyed.mean() - obeyed.mean()) < 4 * max(spread, 1e-3)
assert kept(moved, 0).mean() < same.mean() - 0.05
results.show_table(
    ["generator", "agreement", "other attributes kept"],
    [["as trained", f"{obeyed.mean():.3f}", f"{same.mean():.3f}"],
     ["noise moved along, by label", f"{moved_obeyed.mean():.3f}", f"{kept(moved, 0).mean():.3f}"],
     ["chance", f"{1 / classes:.3f}", f"{chance.mean():.3f}"]],
)

# %% [markdown]
# Why does our generator keep the rest? The likely reason is its architecture, in which the labels share nearly all weights. That is welcome; but nobody should call what *changes* in a column the effect of hair colour on a face.
#
# ## The record

# %%
few = slice(QUICK_ASKED)
sd = max(metrics.standard_error(obeyed[few]), 1e-3)
record.check("label_accuracy", obeyed[few].mean(), n=QUICK_ASKED * classes, sd=sd)
sure = (real[LABEL] == wanted)[:QUICK_EVALUATED]
record.check("judge_accuracy", sure.mean(), n=QUICK_EVALUATED, sd=max(sure.std() / 20, 2.5e-3))
if is_full_run():
    record.metric("label_accuracy", obeyed.mean(), n=obeyed.size * classes,
                  sd=metrics.standard_error(obeyed))
    record.metric("swapped_accuracy", by_chance, n=obeyed.size * classes, sd=chance_sd)
    record.metric("judge_accuracy", right[LABEL][1], n=EVALUATED)
    record.metric("kept_same_noise", same.mean(), n=ASKED)
    record.metric("kept_chance", chance.mean(), n=ASKED)
    record.metric("kept_moved", kept(moved, 0).mean(), n=ASKED)
    record.metric("toy_floor", floor.mean(), n=len(every_label))

# %% tags=["nbval-ignore-output"]
part = slice(QUICK_EVALUATED)
value, sd = kid(real["features"][part], painted["features"][part])
record.check("kid", value, n=QUICK_EVALUATED, sd=sd)

# %% [markdown]
# ## What goes wrong
#
# **A critic that never sees the labels.** We said that it cannot tell an obedient generator from a contrarian. Here is a pair for faces, trained for a shorter time with a blind critic. Its generator is told the labels as before.

# %% tags=["nbval-ignore-output"]
blind, blind_batches = build_faces(BLIND_EPOCHS, sees_labels=False)
blind_name = f"{faces_name}_blind"
if is_full_run():
    blind_run = training.fit(
        blind, blind_batches, epochs=BLIND_EPOCHS, callbacks=[Watch()],
        checkpoint=f"cgan_blind_{DATASET}_{LABEL}_{SEED}",
    )
    weights.release(blind, blind_name, blind_run, publish=publishable)
blind_run = weights.restore(blind, blind_name)

# %% mystnb={"image": {"alt": "Two curves by epoch: the agreement of the pair whose critic sees the labels rises towards one, that of the pair with the blind critic stays low"}, "figure": {"caption": "How often the judge saw the colour that was asked for, on one hundred pictures after each epoch of the full runs. Dotted: chance.", "name": "fig-cgan-blind"}}
figure, axis = plt.subplots()
for name, finished in [("critic sees the labels", run), ("critic is blind", blind_run)]:
    values = finished.history["agreement"]
    axis.plot(range(1, len(values) + 1), values, label=name)
axis.axhline(1 / classes, color="black", linestyle=":")
axis.set(xlabel="epoch", ylabel="agreement", ylim=(0, 1.02))
axis.legend()
plt.show()

# %%
blind_seen = under_every_label(blind, same_noise[:QUICK_ASKED])[LABEL]
blind_agreement = np.mean(blind_seen == asked)
told_then = np.mean(run.history["agreement"][BLIND_EPOCHS - 5 : BLIND_EPOCHS])
assert blind_agreement < 1 / classes + 0.2 < told_then
blind_sd = metrics.standard_error((blind_seen == asked).mean(axis=1))
record.check("blind_accuracy", blind_agreement, n=blind_seen.size, sd=blind_sd)
if is_full_run():
    record.metric("blind_accuracy", blind_agreement, n=blind_seen.size)
print(f"blind critic: agreement {blind_agreement:.3f} after {BLIND_EPOCHS} epochs; with labels, "
      f"epochs {BLIND_EPOCHS - 4} to {BLIND_EPOCHS}: {told_then:.2f}")

# %% [markdown]
# (Equal epochs, but not equal schedules: the step size of the shorter run has reached zero where it ends.) No loss gives this mistake away. One has to ask a judge, or look at the same noise under every label.

# %% mystnb={"image": {"alt": "Five rows of ten blurred painted faces, one row for each hair colour that was asked for; the hair colours do not follow the rows"}, "figure": {"caption": "The noise of the large grid, painted by the generator of the blind critic under every label (rows).", "name": "fig-cgan-blind-grid"}}
blind_grid = paint(blind, np.repeat(np.arange(classes), 10), ten)
plots.image_grid(blind_grid, columns=10, size=0.6, row_labels=colours)
plt.show()

# %% [markdown]
# On the ring we can afford three runs of every kind, and know the truth. Besides the blind critic there are these:
#
# **Labels unrelated to the pictures.** The labels of the training points are shuffled. It happens easily: pictures and labels read from two files in different orders, or only one of two arrays shuffled.
#
# **Rare classes.** Each label is half as common as the one before; of the last there are fewer than a hundred points. In the sum over labels its weight is 1/255.
#
# **Rare classes, drawn evenly.** The same few points, but drawn so that every label comes up equally often. For a *conditional* model this changes no target: $p_\text{data}(x \mid y)$ is the same, and only the weights in the sum become equal. An unconditional model could not be mended in this way, because for it the shares of the classes are part of what it has to learn.

# %%
def train_toy(variant, seed):
    pair, batches = build_toy(variant, seed)
    name = f"cgan_toy_{variant}_{seed}"
    return pair, training.fit(pair, batches, epochs=TOY_EPOCHS, checkpoint=name)


def three_runs(variant):
    """{seed: (pair, run)}; the first pair that is told the labels was trained above."""
    runs = {0: (toy, toy_run)} if variant == "told" else {}
    return runs | {seed: train_toy(variant, seed) for seed in TOY_SEEDS if seed not in runs}


def scores_of(pair):
    """Agreement, mean distance within labels, and the distance for the last label alone."""
    agreement, distances = ring_scores(paint(pair, every_label, toy_noise))
    return agreement, distances.mean(), distances[-1]


VARIANTS = {"told": "told the labels", "blind": "blind critic", "unrelated": "unrelated labels",
            "rare": "rare classes", "resampled": "rare classes, drawn evenly"}

# %% tags=["nbval-ignore-output"]
toys, seeds_scores, toy_seconds = {"told": toy}, {}, 0.0
for variant in VARIANTS:
    if is_full_run():
        trained = three_runs(variant)
        seeds_scores[variant] = np.array([scores_of(pair) for pair, _ in trained.values()])
        toy_seconds += sum(finished.seconds for _, finished in trained.values())
        if variant != "told":
            first, its_run = trained[0]
            weights.release(first, f"cgan/toy_{variant}", its_run, publish=publishable)
    if variant != "told":
        toys[variant], _ = build_toy(variant, seed=0)
        weights.restore(toys[variant], f"cgan/toy_{variant}")

# %%
for variant, values in seeds_scores.items():
    for key, column in zip(("agreement", "distance", "last"), values.T):
        mean, sd = metrics.mean_and_sd(column)
        record.metric(f"toy_{variant}_{key}", mean, n=len(every_label))
        record.metric(f"toy_{variant}_{key}_sd", sd, n=len(TOY_SEEDS))


def with_spread(name):
    return f"{recorded(name, 3)} ± {recorded(name + '_sd', 3)}"


results.show_table(
    ["ring, mean of three runs ± sd", "agreement", "mean distance", "distance, last label"],
    [[text, *(with_spread(f"toy_{variant}_{key}") for key in ("agreement", "distance", "last"))]
     for variant, text in VARIANTS.items()],
)

# %% mystnb={"image": {"alt": "Four scatter plots of generated points in the colours of the labels asked for: with a blind critic, with unrelated labels, with rare classes, and with rare classes drawn evenly"}, "figure": {"caption": "The ring with four flaws, first of three runs. Colours show the label that was asked for, crosses the centre of each label in the same colour.", "name": "fig-cgan-flaws"}}
figure, axes = plt.subplots(1, 4, figsize=(10, 2.9))
for axis, variant in zip(axes, list(VARIANTS)[1:]):
    scatter(axis, paint(toys[variant], every_label, toy_noise), VARIANTS[variant], step=10)
    axis.scatter(*CENTRES.T, marker="x", s=60, c=plots.COLOURS[:RING])
plt.show()

# %%
first_runs = {variant: scores_of(pair) for variant, pair in toys.items()}
assert max(first_runs["blind"][0], first_runs["unrelated"][0]) < 0.5 < first_runs["told"][0]
last = {variant: distance for variant, (_, _, distance) in first_runs.items()}
assert last["rare"] > last["resampled"]
spread = seeds_scores["told"][:, 1].std(ddof=1) if is_full_run() else 0.0  # over three runs
record.check("toy_told_distance", first_runs["told"][1], n=len(every_label), sd=float(spread))
print(f"distance for the last label: rare {last['rare']:.2f}, drawn evenly "
      f"{last['resampled']:.2f}, all labels equally common {last['told']:.2f}")

# %% [markdown]
# Theory says that unrelated labels pull every colour towards all islands, while a blind critic does not care on which island a colour sits. Even drawing has a limit: it repeats the few real examples, and adds none. A hundred points give a good idea of a round cloud; a hundred faces say little about faces.
#
# **A critic with a good memory.** The same danger threatens the whole training set, which the critic has met more than a hundred times. A critic that has learnt what faces look like values unseen real faces as highly as those of the training set. One that has memorised the training set values unseen ones no higher than painted ones. On this scale from 0 to 1, where is ours?

# %%
count = 500
# A critic has a free offset for each label, so all sides need the same labels
same_labels = [np.flatnonzero(y_train == c)[: np.sum(y_validation[:count] == c)]
               for c in range(classes)]
rows = np.concatenate(same_labels)
fresh = paint(gan, y_validation[:count], draw_noise((count, NOISE), seed=4))
known = mean_value(gan.critic, x_train[rows] / np.float32(255), y_train[rows])
unseen = mean_value(gan.critic, x_validation[:count], y_validation[:count])
newly_painted = mean_value(gan.critic, fresh, y_validation[:count])
memory = (known - unseen) / (known - newly_painted)
assert known > newly_painted
if is_full_run():
    record.metric("critic_memory", memory, n=count)
results.quote("cgan-memory", f"{memory:.2f}")

# %% [markdown]
# At {glue:text}`cgan-memory`, measured with 500 faces of each kind. The nearer this comes to 1, the more of the critic's estimate is about single training faces, and the less it says about faces.

# %%
record.save(
    parameters={"generator": gan.generator.count_params(), "critic": gan.critic.count_params()},
    updates={"faces": run.updates, "blind": blind_run.updates, "ring": toy_run.updates},
    seconds=run.seconds + blind_run.seconds + toy_seconds,
    weight_names=[faces_name, blind_name, *(f"cgan/toy_{name}" for name in VARIANTS)],
)
if is_full_run() and DATASET == "portraits":
    assert record.metrics["label_accuracy"] >= 0.95
    assert record.metrics["judge_accuracy"] >= 0.97

# %% [markdown]
# ## Lessons
#
# - A conditional generator listens because its critic judges *pairs*. What the two play for is the mean over the labels of the distance within each label.
# - The asked labels are those of the real batch, the penalty is on the picture alone, and both sides of a mixture have the same label.
# - A label plane is a bias that depends on the label.
# - Let somebody judge who took no part, and test the judge first, on real pictures that were treated like yours.
# - Agreement, with its control, says whether orders are obeyed; the distance of all faces, whether the heap is any good. Each alone can be fooled. The distance label by label sees both, but needs enough faces of each label.
# - What stays the same when only the label changes was not asked for by the game.
#
# **Things to try.** Ask for half blond and half black, a label vector of two halves (call `gan.generator` directly): what does it paint for an order that it never met? Make `LABEL` another readable attribute, such as the skin, and run with `GENBOOK_BUDGET=cpu`. Tell the critic at a later layer: a *projection* critic {cite}`miyato2018projection` adds the inner product of the features with a vector for each label. Or let the critic guess the label, as an auxiliary classifier does {cite}`odena2017acgan`, and think about whom you may then ask to judge. With `GENBOOK_DATASET=celeba` the label is whether a photographed face is blond (train the judge first, in the notebook on convolutional networks).

# %% [markdown]
# ## Exercises
#
# :::{exercise} Agreement by chance
# :label: cgan-chance
#
# A generator pays no attention to its orders. Given the orders that it got and the labels that a judge sees on its pictures, both as numbers, which agreement is to be expected if the two are independent? Complete the function, using only how often each label occurs on either side. When is the answer one in the number of classes? A colleague reports an agreement of 0.85 on a data set in which 90 per cent of the faces are not blond. Are you impressed?
# :::

# %% [markdown]
# :::{solution-start} cgan-chance
# :class: dropdown
# :::
#
# With shares $p_k$ of the orders and $q_k$ of the judged labels, independent draws agree with probability $\sum_k p_k q_k$. If *one* of the two is uniform, this is one in the number of classes, whatever the other is: a reason to ask for all labels equally often. With 90 per cent "not blond" on both sides chance alone gives $0.81 + 0.01 = 0.82$, so 0.85 is no reason to be impressed; a generator that always paints "not blond" would reach 0.90.

# %% tags=["solution"]
def expected_by_chance(asked, judged, classes):
    ### BEGIN SOLUTION
    asked_shares = np.bincount(asked, minlength=classes) / len(asked)
    judged_shares = np.bincount(judged, minlength=classes) / len(judged)
    return float(asked_shares @ judged_shares)
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
mostly = np.repeat([0, 1], [900, 100])
assert np.isclose(expected_by_chance(mostly, mostly[::-1], 2), 0.82)
assert np.isclose(expected_by_chance(mostly, np.repeat([0, 1], [300, 700]), 2), 0.34)
assert np.isclose(expected_by_chance(np.arange(1_000) % 5, np.zeros(80, int), 5), 0.2)
tossed = np.random.default_rng(0).permuted([mostly] * 200, axis=1)
assert np.isclose(np.mean(tossed == mostly), expected_by_chance(mostly, mostly, 2), atol=0.01)
print("correct")

# %% [markdown]
# :::{exercise} Orders that do not match
# :label: cgan-offsets
#
# Suppose that the labels asked of the generator were drawn evenly, while those of the real pictures are uneven. Consider a critic that does not look at the picture at all: $f(x, y) = b_y$, an offset for each label. Complete the function that returns its estimate $\mathbb{E}[f(x, y)] - \mathbb{E}[f(G(z, y), y)]$ for given labels on the two sides. What is its gradient penalty? How large can the estimate become? And why can this not happen in our training?
# :::

# %% [markdown]
# :::{solution-start} cgan-offsets
# :class: dropdown
# :::
#
# The estimate is $\sum_y b_y\,(p_\text{real}(y) - p_\text{asked}(y))$. The slope in the picture is zero, so the penalty is $(0 - 1)^2 = 1$, whatever the offsets are. If the shares differ, doubling the offsets doubles the estimate, without end: the critic can win for ever by looking at the label alone, and the generator can do nothing about it, since it does not choose its orders. In our training the asked labels are those of the same real pictures, the shares agree in each batch, and the offsets cancel exactly.

# %% tags=["solution"]
def estimate_of_offsets(offsets, real_labels, asked_labels):
    """offsets [classes], labels [n] and [m] -> the critic's estimate, a number."""
    ### BEGIN SOLUTION
    return float(np.mean(offsets[real_labels]) - np.mean(offsets[asked_labels]))
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
offsets, skewed = np.array([3.0, -1.0, 0.5]), np.repeat([0, 1, 2], [60, 30, 10])
even = np.arange(99) % 3
assert abs(estimate_of_offsets(offsets, skewed, skewed[::-1])) < 1e-12
gap = estimate_of_offsets(offsets, skewed, even)
assert np.isclose(gap, 0.6 * 3 - 0.3 * 1 + 0.1 * 0.5 - 2.5 / 3)
assert np.isclose(estimate_of_offsets(100 * offsets, skewed, even), 100 * gap)
assert np.isclose(estimate_of_offsets(offsets, even, skewed), -gap)
print("correct")

# %% [markdown]
# :::{exercise} A label that is a number
# :label: cgan-compass
#
# Labels need not be classes. Let a point lie near the circle of radius 2, in the direction of an angle $a$, and let its label be the angle. As a number from 0 to $2\pi$ the angle would tear the circle open, so the label vector is $(\cos a, \sin a)$. Complete the function: train a pair on the given points and angles with the networks and the game of this notebook (600 updates of the generator are plenty), and return it. The check leaves out all directions around north and asks for exactly those. Can the generator follow an order that it never met? Would a generator with one class for each degree?
# :::

# %% [markdown]
# :::{solution-start} cgan-compass
# :class: dropdown
# :::
#
# Because the label enters as two numbers that vary smoothly, the networks fill the gap as any regression would. Classes know no neighbours: a class without examples has a row of weights that was never trained. The theory changes, too: with infinitely many labels, each met once, the distance within one label cannot be estimated from the data alone, and everything rests on the critic being smooth in the label.

# %% tags=["solution"]
def train_compass(points, angles):
    """points [n, 2], angles [n] in radians -> a trained ConditionalWGAN."""
    ### BEGIN SOLUTION
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype("float32")
    pair = ConditionalWGAN(build_toy_generator(2), build_toy_critic(2), TOY_PENALTY)
    epochs = 600 * CRITIC_STEPS * TOY_BATCH // len(points)
    batches = prepare(pair, points, vectors, TOY_BATCH, TOY_RATES, epochs, seed=0)
    pair.fit(batches, epochs=epochs, shuffle=False, verbose=0)
    return pair
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
def on_circle(angles):
    return 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1).astype("float32")


training.set_seed(0)
compass_dice = np.random.default_rng(0)
angles = compass_dice.uniform(np.pi / 2 + 0.3, 5 * np.pi / 2 - 0.3, size=9_600)  # none near north
pair = train_compass(
    on_circle(angles) + compass_dice.normal(0, 0.1, (9_600, 2)).astype("float32"), angles
)
orders = np.repeat([np.pi / 2, 0.0, np.pi, 3 * np.pi / 2], 200)        # north was left out
pictures = ops.convert_to_numpy(pair(on_circle(orders) / 2)).reshape(4, 200, 2)
error = np.linalg.norm(pictures.mean(axis=1) - on_circle(orders[::200]), axis=1)
assert error.max() < 0.5                                               # each order, north too
assert 0.02 < pictures.std(axis=1).mean() < 0.4                        # a cloud, not a point
print("correct")

# %% [markdown]
# ## References
#
# Conditional GANs: {cite:t}`mirza2014cgan`. The Wasserstein critic: {cite:t}`arjovsky2017wgan`; the gradient penalty: {cite:t}`gulrajani2017wgangp`. Other ways for a label into the game: a critic that also classifies {cite}`odena2017acgan`, and the projection critic of {cite:t}`miyato2018projection`, who also report distances class by class. The reverse test, a classifier trained on generated pictures and examined on real ones: {cite:t}`ravuri2019classification`. KID, and why FID is biased in small samples: {cite:t}`binkowski2018demystifying`; FID: {cite:t}`heusel2017gans`. CelebA: {cite:t}`liu2015celeba`. The setting, a generator of faces with an order for the colour of the hair, follows {cite:t}`foster2023generative`.
