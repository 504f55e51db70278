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
# # Two networks at play: the DCGAN
#
# The variational autoencoder compared pictures pixel by pixel, and where it could not know an edge it painted the average of all edges: its pictures came out soft. A *generative adversarial network* {cite}`goodfellow2014gan` replaces this yardstick by one that is learnt. The *generator* turns noise into pictures. The *discriminator* learns to tell them from real ones. And the generator learns whatever makes the discriminator err. There is no likelihood and no reconstruction, only a game.
#
# This notebook opens the chapter. We work out what the game is about, play it with convolutional networks {cite}`radford2016dcgan`, build four measures of generated pictures from their definitions and find out what each of them misses, and then provoke three ways in which the game goes wrong.
#
# ![Fifty generated pictures of clothes: shoes, bags, shirts, trousers and dresses, sharper than those of the autoencoder](images/dcgan.png)
#
# *The goal of this notebook: fifty pictures from fifty draws of noise. Nothing was selected.*

# %% [markdown]
# ## What to expect
#
# A GAN offers no likelihood, so everything is measured on pictures: 10,000 generated ones against the 10,000 test pictures, as the classifier of chapter 2 sees them. The measures are defined further down. FID-fashion is a distance, lower is better. Precision is the share of generated pictures that look like real ones, recall the share of real ones that the generator could have made. A class is *covered* if it makes up 4 to 20 percent of the samples.

# %% tags=["hide-input", "setup"]
# `make lint` puts the setup cell here

# %% tags=["imports"]
import warnings

from helpers.training import quiet

with quiet():  # TensorFlow talks to its developers while it is imported
    import keras
    from keras import layers, ops

import matplotlib.pyplot as plt
import numpy as np
from scipy import optimize, special, stats
from scipy.spatial.distance import cdist

from helpers import datasets, metrics, plots, results, training, weights
from helpers.budget import budget, current_seed, is_full_run

plots.use_style()

# %%
results.expectation(
    "dcgan",
    dataset="fashion_mnist",
    rows=[
        {"label": "FID-fashion", "metric": "fid", "baseline": "trivial_fid",
         "optimum": "floor_fid", "digits": 2},
        {"label": "precision", "metric": "precision", "baseline": "trivial_precision",
         "optimum": "floor_precision"},
        {"label": "recall", "metric": "recall", "baseline": "trivial_recall",
         "optimum": "floor_recall"},
        {"label": "label score, 1 to 10", "metric": "label_score", "digits": 2,
         "baseline": "trivial_label_score", "optimum": "floor_label_score"},
        {"label": "classes covered", "metric": "classes_covered", "digits": 0,
         "baseline": "trivial_classes_covered", "optimum": "10"},
    ],
)

# %% [markdown]
# The baseline is a Gaussian with the mean and the full covariance of the training pixels, a generator without any learning worth the name. The optimum is what real training pictures score in place of generated ones. It is not perfect either, and that will be a lesson of its own.
#
# ## Settings

# %% tags=["settings"]
SEED = current_seed()               # seeds weights, batches and noise; 0 unless a run asks
DATASET = datasets.choose_dataset("fashion_mnist", alternatives=["bricks"])
VALIDATION = 5_000 if DATASET == "fashion_mnist" else 1_000  # last training pictures, for choices
PICTURES = budget(quick=6_400, cpu=None)     # training pictures that are used (None: all)
LATENT = 100                        # numbers of noise behind one picture
FILTERS = 32                        # feature maps of the widest pictures; doubled at each halving
UPSAMPLING = "transposed"           # the reference's way; the other one is "resized"
DROPOUT = 0.3                       # in the discriminator
SMOOTHING = 0.9                     # what the discriminator is asked to answer for a real picture
BATCH_SIZE = 64
LEARNING_RATE, BETA_1 = 2e-4, 0.5   # Adam, both players; a short memory suits a moving opponent
AVERAGING = 0.999                   # memory of the generator's running average, per update
EPOCHS = budget(quick=1, cpu=14, gpu=60)     # passes over the training pictures
PAGES = 6                           # epochs at which the same noise is looked at
SMALL_FILTERS = 16                  # for the comparison of the two ways of upsampling:
SMALL_PICTURES, SMALL_EPOCHS = 27_500, 2     # pictures and passes of each of its six runs
ALONE_UPDATES, ALONE_EPOCHS, ALONE_RATE = 50, 10, 1e-3  # the generator without an opponent
SAMPLES = budget(quick=2_000, cpu=10_000)    # pictures behind every measure
QUICK_TEST = 2_000                  # pictures on which a quick run measures again
training.set_seed(SEED)

# %% [markdown]
# ## The data

# %% tags=["model"]
data = datasets.load(DATASET)
image_shape = data.x_train.shape[1:]                      # (28, 28, 1)
publishable = datasets.REGISTRY[DATASET].publishable      # may weights trained on it be shared?
x_train = data.x_train[:-VALIDATION]                      # [55000, 28, 28, 1], bytes
x_validation = datasets.scale(data.x_train[-VALIDATION:])
x_test, y_test = datasets.scale(data.x_test), data.y_test
noise = np.random.default_rng(SEED).standard_normal((10_000, LATENT), dtype=np.float32)

# %% [markdown]
# Pictures are judged by the residual network of chapter 2, which was trained to name clothes. For each picture it gives 128 *features*, its summary, and the probabilities of the ten classes. An instrument is tested before it is used: how often is its first choice right on test pictures?

# %%
classifier = weights.restore_model(f"cnn/features_{DATASET}")
judge = keras.Model(
    classifier.inputs[0],
    [classifier.get_layer("features").output, classifier.get_layer("label").output],
)


def look(images, size=500):
    """The judge's features [n, 128] and class probabilities [n, classes] of pictures."""
    starts = range(0, len(images), size)
    parts = [judge(images[start : start + size], training=False) for start in starts]
    parts = [[ops.convert_to_numpy(each) for each in part] for part in parts]
    features, logits = (np.concatenate(each) for each in zip(*parts))
    return features, special.softmax(logits.astype("float64"), axis=1)


test_features, test_probabilities = look(x_test)
judge_accuracy = np.mean(test_probabilities.argmax(axis=1) == y_test)
assert judge_accuracy > 0.9
print(f"the judge names {judge_accuracy:.3f} of {len(x_test):,} test pictures correctly")

# %% [markdown]
# ## A game for two
#
# The generator $G_\theta$ turns noise $z \sim \mathcal{N}(0, I)$ into a picture $\tilde x = G_\theta(z)$; all its pictures together form a distribution $p_\theta$. The discriminator $D_\phi$ gives the probability that a picture is real. (In this chapter $D$ is the discriminator, not a number of dimensions.) Both look at the same number, and want opposite things of it:
#
# $$ \min_\theta \max_\phi \; V(\theta, \phi), \qquad V = \mathbb{E}_{x \sim p_\text{data}} \big[ \log D_\phi(x) \big] + \mathbb{E}_{\tilde x \sim p_\theta} \big[ \log (1 - D_\phi(\tilde x)) \big] . $$
#
# For the discriminator this is ordinary classification: $-V$ is a cross-entropy. Hold the generator still. At each place $x$ the best answer maximises $p_\text{data}(x) \log D + p_\theta(x) \log (1 - D)$, and setting the derivative to zero gives
#
# $$ D^*(x) = \frac{p_\text{data}(x)}{p_\text{data}(x) + p_\theta(x)}, \qquad V(\theta, \phi^*) = -2 \log 2 + 2\, \mathrm{JS}(p_\text{data}, p_\theta), $$
#
# where the *Jensen-Shannon divergence* is the mean of the Kullback-Leibler divergences of both distributions from their average. It is zero only if they are equal, and never more than $\log 2$. So against a perfect opponent the generator minimises a distance between distributions, though nobody ever computes a density: the discriminator estimates a *ratio* of densities from samples alone.
#
# On a line the truth can be drawn. We take two Gaussians as data and generator. The logarithm of their ratio is a polynomial of degree two, so a logistic regression on $1, x, x^2$ can be the perfect discriminator. It sees only draws.

# %%
grid = np.linspace(-6, 8, 4_001)
p_data, p_generator = stats.norm.pdf(grid), stats.norm.pdf(grid, 1.5, 0.6)
best = p_data / (p_data + p_generator)                    # the formula
rng = np.random.default_rng(SEED)
real_points, fake_points = rng.normal(size=20_000), rng.normal(1.5, 0.6, size=20_000)


def logit(parameters, x):
    return parameters @ np.stack([np.ones_like(x), x, x**2])


def loss_on_the_line(parameters):                         # -V; logaddexp(0, a) is log(1 + e^a)
    real, fake = logit(parameters, real_points), logit(parameters, fake_points)
    return np.logaddexp(0, -real).mean() + np.logaddexp(0, fake).mean()


found = optimize.minimize(loss_on_the_line, np.zeros(3))
learnt = special.expit(logit(found.x, grid))
assert np.abs(learnt - best)[np.abs(grid) < 3].max() < 0.05

# %%
def jensen_shannon(p, q):
    middle = (p + q) / 2
    return np.trapezoid(special.rel_entr(p, middle) + special.rel_entr(q, middle), grid) / 2


divergence = jensen_shannon(p_data, p_generator)
assert 0 < divergence < np.log(2) and jensen_shannon(p_data, p_data) == 0
assert abs(found.fun - (2 * np.log(2) - 2 * divergence)) < 0.02
print(f"JS divergence {divergence:.2f} nats; smallest loss by the formula "
      f"{2 * np.log(2) - 2 * divergence:.2f}, by training {found.fun:.2f}")

# %% mystnb={"image": {"alt": "Two bell curves, a wide one for the data and a narrow one to its right for the generator; the learnt discriminator follows the dashed formula, high left and low where the generator's curve is higher"}, "figure": {"caption": "Data and generator on a line: densities, the best discriminator by the formula, and one that has learnt from draws.", "name": "fig-dcgan-line"}}
figure, axis = plt.subplots()
axis.fill_between(grid, p_data, alpha=0.3, color=plots.COLOURS[0], label="density of the data")
axis.fill_between(grid, p_generator, alpha=0.3, color=plots.COLOURS[1], label="of the generator")
axis.plot(grid, learnt, color=plots.COLOURS[2], linewidth=3, alpha=0.6, label="learnt $D(x)$")
axis.plot(grid, best, "--", color="black", linewidth=1, label="$D^*(x)$")
axis.set(xlim=(-3.5, 4.5), xlabel="$x$", ylabel="density, probability")
axis.legend()
plt.show()

# %% [markdown]
# ## A loss that does not fall silent
#
# The generator's share of $V$ is $\log(1 - D(\tilde x))$. Early on its pictures are bad, the discriminator is sure, $D(\tilde x) \approx 0$, and just there this function is flat: the worse the picture, the weaker the signal. The paper that introduced GANs therefore let the generator minimise $-\log D(\tilde x)$ instead, the *non-saturating* loss. For each picture it pushes in the same direction, at another strength. With $D = \sigma(a)$ for a logit $a$, the slopes are
#
# $$ \frac{\mathrm{d}}{\mathrm{d}a} \log(1 - \sigma(a)) = -\sigma(a), \qquad \frac{\mathrm{d}}{\mathrm{d}a} \big( -\log \sigma(a) \big) = -(1 - \sigma(a)) . $$
#
# The first vanishes where the generator needs help most, the second where it needs none. It is no longer one game with one value, as each player has a loss of its own.
#
# The discriminator gets a small change, too. Asked for certainty it drives its logits ever further out, so we ask it to answer $s = 0.9$ for real pictures {cite}`salimans2016improved`, and still 0 for generated ones. We work with logits throughout: with $\mathrm{softplus}(a) = \log(1 + e^a)$ no logarithm can meet a zero.

# %% tags=["model"]
def discriminator_loss(real_logits, fake_logits, smoothing=SMOOTHING):
    real_part = ops.softplus(real_logits) - smoothing * real_logits
    return ops.mean(real_part) + ops.mean(ops.softplus(fake_logits))


def generator_loss(fake_logits):
    return ops.mean(ops.softplus(-fake_logits))           # -log D, the non-saturating loss


def saturating_loss(fake_logits):
    return -ops.mean(ops.softplus(fake_logits))           # log(1 - D), to see what it does


# %%
real_logits, fake_logits = rng.normal(scale=2, size=(2, 50, 1)).astype("float32")
d_real, d_fake = special.expit(real_logits), special.expit(fake_logits)
by_hand = -np.mean(0.9 * np.log(d_real) + 0.1 * np.log(1 - d_real)) - np.mean(np.log(1 - d_fake))
assert np.isclose(float(discriminator_loss(real_logits, fake_logits, 0.9)), by_hand, rtol=1e-5)
assert np.isclose(float(generator_loss(fake_logits)), -np.mean(np.log(d_fake)), rtol=1e-5)

logits = np.array([[-6.0], [-3.0], [0.0], [3.0]], "float32")
slopes = {
    loss: 4 * ops.convert_to_numpy(training.input_gradient(loss, logits))[:, 0]
    for loss in (saturating_loss, generator_loss)          # times 4, as both are means over 4
}
d = special.expit(logits[:, 0])
assert np.allclose(slopes[saturating_loss], -d, atol=1e-6)
assert np.allclose(slopes[generator_loss], -(1 - d), atol=1e-6)
results.show_table(
    ["D of a generated picture", "slope, saturating", "slope, non-saturating"],
    [[f"{a:.3f}", f"{b:.3f}", f"{c:.3f}"] for a, b, c in zip(d, *slopes.values())],
)

# %% [markdown]
# ## Two ways to grow a picture
#
# The generator has to grow a small array of features into a picture, doubling its width and height step by step. A *transposed convolution* lets every input place paint a weighted window into the larger output, and overlapping paint adds up. The other way is to *resize first*, repeating each value in a block of two by two, and then to apply an ordinary convolution.
#
# Overlap is where transposed convolutions can go wrong {cite}`odena2016deconvolution`. We give every weight and every input the value one and count how often each output place is painted.

# %%
def coverage(enlarge):
    """What `enlarge` makes of 6 x 6 ones, without the border: [8, 8]."""
    return ops.convert_to_numpy(enlarge(np.ones((1, 6, 6, 1), "float32")))[0, 2:-2, 2:-2, 0]


plain = {"padding": "same", "kernel_initializer": "ones", "use_bias": False}
counts = {
    "transposed, window 3": coverage(layers.Conv2DTranspose(1, 3, strides=2, **plain)),
    "transposed, window 4": coverage(layers.Conv2DTranspose(1, 4, strides=2, **plain)),
    "resized, window 3": coverage(
        keras.Sequential([layers.UpSampling2D(2), layers.Conv2D(1, 3, **plain)])
    ),
}
assert set(np.unique(counts["transposed, window 3"])) == {1, 2, 4}
assert set(np.unique(counts["transposed, window 4"])) == {4}
assert set(np.unique(counts["resized, window 3"])) == {9}

# %% mystnb={"image": {"alt": "Three small maps: a checkerboard of three brightnesses for windows of three pixels in steps of two, even grey for the other two"}, "figure": {"caption": "How often each output place is painted when width and height are doubled. Windows of 3 in steps of 2 paint unevenly before anything is learnt.", "name": "fig-dcgan-coverage"}}
figure, axes = plt.subplots(1, 3, figsize=(6.4, 2.3))
for axis, (name, count) in zip(axes, counts.items()):
    axis.imshow(count / count.max(), cmap="gray", vmin=0, vmax=1)
    axis.set(title=name, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# A window whose size is a multiple of the step paints evenly; so does resizing. We build the generator with either, and compare the two ways further down.
#
# ## The two networks
#
# The generator spreads 100 numbers of noise over a coarse array, 7 by 7 places with 128 features, and doubles it twice. Batch normalisation {cite}`ioffe2015batch` follows every step but the last. The last layer is a sigmoid, so that both kinds of pictures live between 0 and 1. (A classic slip is to show the discriminator real pictures from 0 to 1 and generated ones from −1 to 1: it can then tell them apart without a look at the clothes.)

# %% tags=["model"]
def halvings(side):
    """How often a side can be halved until it is 7 or less: 28 -> 14 -> 7."""
    return 0 if side <= 7 or side % 2 else 1 + halvings(side // 2)


def double(x, filters, upsampling):
    if upsampling == "transposed":
        x = layers.Conv2DTranspose(filters, 4, strides=2, padding="same", use_bias=False)(x)
    else:
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(layers.UpSampling2D(2)(x))
    return layers.LeakyReLU(negative_slope=0.2)(layers.BatchNormalization(momentum=0.9)(x))


def build_generator(upsampling=UPSAMPLING, filters=FILTERS):
    steps = halvings(image_shape[0])
    start, widest = image_shape[0] // 2**steps, filters * 2**steps
    z = keras.Input((LATENT,))
    x = layers.Dense(start * start * widest, use_bias=False)(z)
    x = layers.Reshape((start, start, widest))(x)         # [batch, 7, 7, 128]
    x = layers.LeakyReLU(negative_slope=0.2)(layers.BatchNormalization(momentum=0.9)(x))
    for step in range(1, steps + 1):                      # [batch, 14, 14, 64], [batch, 28, 28, 32]
        x = double(x, widest // 2**step, upsampling)
    images = layers.Conv2D(image_shape[-1], 3, padding="same", activation="sigmoid")(x)
    return keras.Model(z, images, name="generator")       # [batch, 28, 28, 1]


# %% [markdown]
# The discriminator runs the other way, with strides in place of pooling, and ends in one logit. Its first layer moves the pixels to the range from −1 to 1. Batch normalisation is left out there, so that brightness and contrast of the pictures can be seen.

# %% tags=["model"]
def build_discriminator(filters=FILTERS, dropout=DROPOUT):
    images = keras.Input(image_shape)
    x = layers.Rescaling(2.0, offset=-1.0)(images)
    for step in range(max(3, halvings(image_shape[0]))):  # 14 x 14 x 32, 7 x 7 x 64, 4 x 4 x 128
        x = layers.Conv2D(filters * 2**step, 4, strides=2, padding="same", use_bias=False)(x)
        if step > 0:
            x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.LeakyReLU(negative_slope=0.2)(x)
        x = layers.Dropout(dropout, seed=SEED + step)(x)
    logit = layers.Dense(1)(layers.Flatten()(x))          # [batch, 1]
    return keras.Model(images, logit, name="discriminator")


# %% [markdown]
# ## One round of the game
#
# In each round the discriminator makes one step, then the generator. Each step is told exactly which variables it may move; nothing is frozen. Real and generated pictures pass through the discriminator in batches of their own, so batch normalisation standardises each kind by itself.
#
# Two players who chase each other tend to circle rather than to arrive, and what circles can be averaged. We keep a running average of the generator's weights {cite}`yazici2019unusual`, which takes no part in the game, and draw our pictures from it. (Keras's optimisers can average, too, but only what they train: not the running statistics of batch normalisation.) The `album` is a weight that nobody trains: it will keep some pictures from along the way.

# %% tags=["model"]
class GAN(keras.Model):
    """A generator and a discriminator with an optimiser each, and the generator's average."""

    def __init__(self, upsampling=UPSAMPLING, filters=FILTERS, dropout=DROPOUT, seed=SEED):
        super().__init__()
        self.generator = build_generator(upsampling, filters)
        self.averaged = build_generator(upsampling, filters)
        self.averaged.set_weights(self.generator.get_weights())
        self.averaged.trainable = False                   # it follows, and is never trained
        self.discriminator = build_discriminator(filters, dropout)
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.album = self.add_weight(
            shape=(PAGES, 10, *image_shape), initializer="zeros", trainable=False, name="album"
        )
        names = ("discriminator_loss", "generator_loss", "real_score", "fake_score")
        self.trackers = {name: keras.metrics.Mean(name=name) for name in names}

    def call(self, images, training=False):
        return self.discriminator(images, training=training)

    def compile(self, generator_optimizer, discriminator_optimizer):
        super().compile(optimizer=None)                   # the players bring their own
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer
        generator_optimizer.build(self.generator.trainable_variables)
        discriminator_optimizer.build(self.discriminator.trainable_variables)


# %% [markdown]
# The two updates and the average stand outside the class first, so that we can test them one by one.

# %% tags=["model"]
def draw_noise(gan, like):
    return keras.random.normal((ops.shape(like)[0], LATENT), seed=gan.seed_generator)


def update_discriminator(gan, real):
    fake = gan.generator(draw_noise(gan, real), training=True)

    def loss():
        real_logits = gan.discriminator(real, training=True)
        fake_logits = gan.discriminator(fake, training=True)
        gan.trackers["real_score"].update_state(ops.sigmoid(real_logits))
        gan.trackers["fake_score"].update_state(ops.sigmoid(fake_logits))
        return discriminator_loss(real_logits, fake_logits)

    return training.minimize(
        loss, gan.discriminator.trainable_variables, gan.discriminator_optimizer
    )


def update_generator(gan, real, discriminator_in_training=True):
    z = draw_noise(gan, real)                             # [batch, 100]

    def loss():
        fake = gan.generator(z, training=True)
        return generator_loss(gan.discriminator(fake, training=discriminator_in_training))

    return training.minimize(loss, gan.generator.trainable_variables, gan.generator_optimizer)


# %% tags=["model"]
def follow(gan):
    """Move the average a little towards the generator; at first it has a short memory."""
    step = ops.cast(gan.generator_optimizer.iterations, "float32")
    memory = ops.minimum(AVERAGING, (1 + step) / (10 + step))
    for average, weight in zip(gan.averaged.weights, gan.generator.weights):
        average.assign(memory * average + (1 - memory) * weight)


class DCGAN(GAN):
    def train_step(self, batch):
        real, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
        self.trackers["discriminator_loss"].update_state(update_discriminator(self, real))
        self.trackers["generator_loss"].update_state(update_generator(self, real))
        follow(self)
        return {name: tracker.result() for name, tracker in self.trackers.items()}


# %% tags=["model"]
def build_gan(*arguments, kind=DCGAN, rates=(LEARNING_RATE, LEARNING_RATE), **settings):
    """A built and compiled GAN; rates of the generator and of the discriminator."""
    model = kind(*arguments, **settings)
    model(x_validation[:2])                               # builds the weights
    model.compile(*(keras.optimizers.Adam(rate, beta_1=BETA_1) for rate in rates))
    return model


gan = build_gan()
gan_batches = training.batches(x_train[:PICTURES], batch_size=BATCH_SIZE, seed=SEED)
results.show_table(
    ["network", "input", "output", "parameters"],
    [[each.name, str(each.input.shape[1:]), str(each.output.shape[1:]), f"{each.count_params():,}"]
     for each in (gan.generator, gan.discriminator)],
)

# %% [markdown]
# ## Two traps
#
# Both are easy to fall into, and neither stops the program. We test on a tiny GAN without dropout. First the rule of the game: a turn moves every variable of the player whose turn it is, and none of the other's.

# %%
def moved_by(turn, variables):
    """The share of these variables that `turn()` changes."""
    before = [np.array(ops.convert_to_numpy(each)) for each in variables]
    turn()
    after = [ops.convert_to_numpy(each) for each in variables]
    return np.mean([not np.array_equal(old, new) for old, new in zip(before, after)])


def tiny_gan():                                           # the same one at every call
    training.set_seed(SEED)
    return build_gan(filters=4, dropout=0.0, rates=(1e-3, 1e-2))


real = ops.convert_to_tensor(x_validation[:32])
tiny = tiny_gan()
of_generator, of_discriminator = (
    list(network.trainable_variables) for network in (tiny.generator, tiny.discriminator)
)
assert moved_by(lambda: update_discriminator(tiny, real), of_discriminator) == 1
assert moved_by(lambda: update_discriminator(tiny, real), of_generator) == 0
assert moved_by(lambda: update_generator(tiny, real), of_generator) == 1
assert moved_by(lambda: update_generator(tiny, real), of_discriminator) == 0
print("each turn moves all of its own player's variables, and none of the other's")

# %% [markdown]
# **A frozen discriminator stays frozen.** In an old recipe each player is a compiled Keras model: the discriminator alone, then the discriminator with `trainable = False` behind the generator. It relied on the flag being read once, when a model is compiled. Keras 3 reads it when the training step is built, so that the discriminator stands still in its *own* turn. A warning is all that one gets. And the flag has a second effect: batch normalisation inside a frozen network runs in inference mode, whatever the caller asks for.

# %%
player = build_discriminator(filters=4, dropout=0.0)
weights_of_player = list(player.trainable_variables)
bce = keras.losses.BinaryCrossentropy(from_logits=True)
player.compile(keras.optimizers.Adam(1e-2), loss=bce, run_eagerly=True)
player.trainable = False                                  # meant for the generator's turn only
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    share = moved_by(lambda: player.train_on_batch(real, ops.ones((32, 1))), weights_of_player)
assert share == 0 and any("trainable" in str(warning.message) for warning in caught)

in_training, in_inference = (ops.convert_to_numpy(player(real, training=t)) for t in (True, False))
assert np.allclose(in_training, in_inference)             # frozen: no difference
player.trainable = True
assert not np.allclose(ops.convert_to_numpy(player(real, training=True)), in_inference)
print("frozen: nothing learnt in its own turn, and batch normalisation in inference mode")

# %% [markdown]
# **The wrong discriminator.** The discriminator was trained on batches that it standardised by their own mean and spread. In inference mode it uses running averages over real *and* generated batches: a different function, which was never trained for the job. A generator that is updated through it climbs the wrong hill. To find out which one our training step asks, we compute the generator's loss by hand in both modes, with the same noise.

# %%
probe, twin = tiny_gan(), tiny_gan()                      # equal weights, equal noise
start = [np.array(ops.convert_to_numpy(each)) for each in probe.averaged.weights]
for each in (probe, twin):
    for _ in range(5):
        update_discriminator(each, real)
reported = float(probe.train_step(real)["generator_loss"])

update_discriminator(twin, real)                          # the first half of the same step
fake = twin.generator(draw_noise(twin, real), training=True)
by_mode = {
    mode: float(generator_loss(twin.discriminator(fake, training=mode))) for mode in (False, True)
}
assert np.isclose(reported, by_mode[True], rtol=1e-3)
assert not np.isclose(reported, by_mode[False], rtol=0.02)
print("the generator's step asks the discriminator in training mode; the other answer differs")

# %% [markdown]
# The same step must also have moved the average: after one update its memory is 2/11.

# %%
for old, average, weight in zip(start, probe.averaged.weights, probe.generator.weights):
    expected = 2 / 11 * old + 9 / 11 * ops.convert_to_numpy(weight)
    assert np.allclose(ops.convert_to_numpy(average), expected, atol=1e-5)
print("the average follows the generator, running statistics included")

# %% [markdown]
# ## Training
#
# Keras's `fit` runs the rounds. After each epoch an observer measures the FID (defined below) of generator and average against *validation* pictures, and on some epochs draws the same ten pieces of noise into the album.

# %%
def sample(network, z, size=500):
    """Pictures [n, 28, 28, 1] of a generator from noise [n, 100]."""
    starts = range(0, len(z), size)
    parts = [network(z[start : start + size], training=False) for start in starts]
    return np.concatenate([ops.convert_to_numpy(part) for part in parts])


def milestones(epochs):
    """The epochs with a page in the album: from the first to the last, in growing steps."""
    return np.geomspace(1, epochs, PAGES).round().astype(int)


class Observer(keras.callbacks.Callback):
    def __init__(self, epochs, features):
        super().__init__()
        self.pages, self.features = milestones(epochs), features

    def on_epoch_end(self, epoch, logs=None):
        for name in ("generator", "averaged"):
            images = sample(getattr(self.model, name), noise[-len(self.features) :])
            logs[f"{name}_fid"] = metrics.frechet_distance(self.features, look(images)[0])
        album = np.array(ops.convert_to_numpy(self.model.album))
        album[self.pages == epoch + 1] = sample(self.model.averaged, noise[:10])
        self.model.album.assign(album)


# %% [markdown]
# An untrained generator paints nothing but grey. A first sign of learning is that the *average* generated picture approaches the average real one, even in the short run of the quick budget; then the weights of the full training are loaded.

# %% tags=["nbval-ignore-output"]
def distance_to_average(network):
    return np.abs(sample(network, noise[:200]).mean(axis=0) - average_picture).mean()


average_picture = datasets.scale(x_train[:10_000]).mean(axis=0)
before = distance_to_average(gan.generator)
watched = look(x_validation[: budget(quick=200, cpu=2_000)])[0]
run = training.fit(
    gan, gan_batches, epochs=EPOCHS, callbacks=[Observer(EPOCHS, watched)],
    checkpoint=f"dcgan_{DATASET}_{SEED}",
)
assert distance_to_average(gan.generator) < 0.8 * before

# %%
def release(trained, finished, name):
    """Release a copy that was never compiled: a file without the optimisers' memory."""
    copy = type(trained)()
    copy(x_validation[:2])
    copy.set_weights(trained.get_weights())
    weights.release(copy, name, finished, publish=publishable)


if is_full_run():
    release(gan, run, f"dcgan/gan_{DATASET}")
run = weights.restore(gan, f"dcgan/gan_{DATASET}")
print(f"weights of a run with {run.updates:,} updates of each player")

# %% [markdown]
# The curves below are those of the full run. If generator and data were equal, the best discriminator would answer $s/2 = 0.45$ everywhere: the dashed lines.

# %% mystnb={"image": {"alt": "Two curves of loss by epoch, generator above and discriminator below their dashed lines of equilibrium, without a clear trend"}, "figure": {"caption": "Losses of both players during the full run, in nats. Dashed: what both would pay if nobody could tell the pictures apart.", "name": "fig-dcgan-losses"}}
half = SMOOTHING / 2
entropy = -SMOOTHING * np.log(half) - (1 - SMOOTHING) * np.log(1 - half)
balance = {"generator_loss": -np.log(half), "discriminator_loss": entropy - np.log(1 - half)}
assert np.isclose(  # logit of 0.45 for everything
    balance["discriminator_loss"],
    float(discriminator_loss(*ops.full((2, 1, 1), np.log(half / (1 - half))))), rtol=1e-5,
)
plots.loss_curves(run.history, labels={"generator_loss": "generator",
                                       "discriminator_loss": "discriminator"})
for colour, value in zip(plots.COLOURS, balance.values()):
    plt.axhline(value, linestyle="--", linewidth=1, color=colour)
plt.ylabel("loss (nats)")
plt.show()

# %% [markdown]
# Do not look here for progress. Each loss is measured against an opponent who learns as well, and says who is ahead, not how good either of them is. Progress needs a yardstick that stands still, such as the distance to the validation pictures.

# %% mystnb={"image": {"alt": "FID by epoch: the generator's curve falls with jumps, that of the average lies below and falls smoothly"}, "figure": {"caption": "FID-fashion of 2,000 pictures against 2,000 validation pictures after each epoch, on a logarithmic scale: the generator, and the running average of its weights.", "name": "fig-dcgan-progress"}}
progress = {key: np.array(run.history[f"{key}_fid"]) for key in ("generator", "averaged")}
assert all(values[-1] < 0.5 * values[0] for values in progress.values())
late = slice(len(progress["averaged"]) // 2, None)
assert progress["averaged"][late].mean() < progress["generator"][late].mean()
order = metrics.rank_correlation(run.history["generator_loss"], progress["averaged"])
assert order < 0.5                                        # better pictures, but no smaller loss
plots.loss_curves(progress, labels={"generator": "generator", "averaged": "its running average"})
plt.yscale("log")
plt.ylabel("FID-fashion, validation")
plt.show()

# %% [markdown]
# The average is closer to the data than the generator it follows. Now the album: in each column the same noise, through the epochs.

# %% mystnb={"image": {"alt": "Six rows of ten pictures: blobs at first, then outlines of garments, then details; the kind of garment in a column may change on the way"}, "figure": {"caption": "The same ten pieces of noise after growing numbers of epochs of the full run.", "name": "fig-dcgan-album"}}
album = ops.convert_to_numpy(gan.album).reshape(-1, *image_shape)
pages = milestones(len(run.history["generator_loss"]))
plots.image_grid(album, row_labels=[f"epoch {page}" for page in pages])
plt.show()

# %% [markdown]
# ## Samples
#
# Fifty pictures from fifty draws of noise, with a fixed seed and unselected:

# %% tags=["cover"] mystnb={"image": {"alt": "Fifty generated pictures of clothes: shoes, bags, shirts, trousers and dresses with clear outlines, some of them odd"}, "figure": {"caption": "Fifty samples, unselected.", "name": "fig-dcgan-samples"}}
fake_images = sample(gan.averaged, noise[:SAMPLES])
plots.image_grid(fake_images[:50])
plt.show()

# %% [markdown]
# A generator that had learnt fifty pictures by heart could also draw these. One sign against it is that the way from picture to picture has no jumps. We turn from noise to noise by spherical interpolation, as in the chapter before, in forty steps, and ask that no single step takes more than a quarter of the way.

# %%
def slerp(a, b, t):
    angle = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    return (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)


walks = [slerp(noise[i], noise[i + 1], t) for i in range(4) for t in np.linspace(0, 1, 41)]
frames = sample(gan.averaged, np.array(walks, "float32")).reshape(4, 41, *image_shape)
strides = np.sqrt(np.square(np.diff(frames, axis=1)).sum(axis=(2, 3, 4)))     # [4, 40]
assert (strides.max(axis=1) < 0.25 * strides.sum(axis=1)).all()
print("no step of the walks is a jump")

# %% mystnb={"image": {"alt": "Four rows in which one garment turns into another by way of shapes that are mostly garments, too"}, "figure": {"caption": "Four walks through the noise, every fifth of their forty steps.", "name": "fig-dcgan-walk"}}
plots.image_grid(frames[:, ::5].reshape(-1, *image_shape), columns=9)
plt.show()

# %% [markdown]
# ## Has it copied its pictures?
#
# The direct question: which training picture is nearest to each sample, in pixels, and as the judge sees them?

# %%
CANDIDATES = min(SAMPLES, len(x_test))                    # of training and of test pictures each
train_images = datasets.scale(x_train[:CANDIDATES])
fake_features, fake_probabilities = look(fake_images)
train_features, train_probabilities = look(train_images)


def nearest(items, candidates):
    """Number of the nearest candidate of each item, and its squared distance: [n], [n]."""
    items, candidates = items.reshape(len(items), -1), candidates.reshape(len(candidates), -1)
    squared = np.square(items).sum(axis=1)[:, None] + np.square(candidates).sum(axis=1)
    squared = squared - 2 * items @ candidates.T          # [n, candidates]
    return squared.argmin(axis=1), squared.min(axis=1)


# %% mystnb={"image": {"alt": "Three rows of ten: samples, the nearest training pictures by features, the nearest by pixels; similar garments, not the same ones"}, "figure": {"caption": "Ten samples, and the nearest training pictures by features and by pixels.", "name": "fig-dcgan-nearest"}}
by_features = nearest(fake_features[:10], train_features)[0]
by_pixels = nearest(fake_images[:10], train_images)[0]
plots.image_grid(
    np.concatenate([fake_images[:10], train_images[by_features], train_images[by_pixels]]),
    row_labels=["samples", "by features", "by pixels"],
)
plt.show()

# %% [markdown]
# Ten pairs prove little. A test for all of them: take as many test pictures as training pictures, and ask whether a sample's nearest training picture is nearer than its nearest test picture, in the spirit of {cite:t}`meehan2020nonparametric`. A generator that only knows the distribution gets a yes every second time, a copyist nearly always. (The judge itself was trained on training pictures, so we ask in pixels, too.)

# %%
def nearer_to_training(items, training_set, test_set):
    return np.mean(nearest(items, training_set)[1] < nearest(items, test_set)[1])


few = slice(QUICK_TEST)
test_set = slice(CANDIDATES)
copying = {
    "features": nearer_to_training(fake_features[few], train_features, test_features[test_set]),
    "pixels": nearer_to_training(fake_images[few], train_images, x_test[test_set]),
}
blurred = train_images[few] + rng.normal(scale=0.1, size=train_images[few].shape)
copyist = nearer_to_training(blurred.astype("float32"), train_images, x_test[test_set])
assert copyist > 0.95 and all(0.4 < share < 0.6 for share in copying.values())
for name, share in copying.items():
    print(f"nearer to training than to test pictures, by {name}: {share:.2f} of the samples")
print(f"the same for training pictures with some noise, by pixels: {copyist:.2f}")

# %% [markdown]
# ## Four measures from their definitions
#
# Let us now build the field's measures. All of them compare *sets* of pictures in the judge's features, and each comes with a check against `helpers.metrics`, which the other notebooks use.
#
# **FID** {cite}`heusel2017gans` fits a Gaussian to the features of each set and takes the Fréchet distance between the two. With means $m$ and covariances $C$,
#
# $$ \mathrm{FID} = |m_1 - m_2|^2 + \mathrm{tr}\big( C_1 + C_2 - 2 (C_1 C_2)^{1/2} \big) . $$
#
# The trace of the root is the sum of the roots of the eigenvalues of $C_1 C_2$.

# %%
def fid_by_definition(real, fake):
    real, fake = np.float64(real), np.float64(fake)
    shift = real.mean(axis=0) - fake.mean(axis=0)
    covariances = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    eigenvalues = np.linalg.eigvals(covariances[0] @ covariances[1]).real
    overlap = np.sqrt(np.maximum(eigenvalues, 0)).sum()   # rounding may leave -1e-15
    return shift @ shift + np.trace(covariances[0] + covariances[1]) - 2 * overlap


by_definition = fid_by_definition(test_features[few], fake_features[few])
by_helper = metrics.frechet_distance(test_features[few], fake_features[few])
assert np.isclose(by_definition, by_helper, rtol=1e-4)
print("FID: definition and helper agree")

# %% [markdown]
# **KID** {cite}`binkowski2018demystifying` fits nothing. It compares all pairs of pictures by a similarity $k(x, y) = (x \cdot y / d + 1)^3$, with $d$ the number of features:
#
# $$ \mathrm{KID} = \mathbb{E}\, k(x, x') + \mathbb{E}\, k(\tilde x, \tilde x') - 2\, \mathbb{E}\, k(x, \tilde x) . $$
#
# In the first two means no picture may meet itself. Then the estimate is right on average at any sample size.

# %%
def similarity(left, right):
    product = np.float64(left) @ np.float64(right).T / left.shape[1] + 1
    return product * product * product


def kid_by_definition(real, fake):
    def within(rows):
        table = similarity(rows, rows)
        return (table.sum() - np.trace(table)) / (len(rows) * (len(rows) - 1))

    return within(real) + within(fake) - 2 * similarity(real, fake).mean()


five, other = test_features[:5], fake_features[:5]
pairs = [(i, j) for i in range(5) for j in range(5) if i != j]
slowly = -2 * np.mean([similarity(five[[i]], other[[j]]) for i in range(5) for j in range(5)])
for rows in (five, other):
    slowly += np.mean([similarity(rows[[i]], rows[[j]]) for i, j in pairs])
assert np.isclose(kid_by_definition(five, other), slowly, rtol=1e-6, atol=1e-9)
kid, kid_sd = metrics.kernel_distance(test_features[few], fake_features[few])
assert abs(kid_by_definition(test_features[few], fake_features[few]) - kid) < 3 * kid_sd
print("KID: definition, all pairs one by one, and helper agree")

# %% [markdown]
# **The label score.** The *Inception Score* {cite}`salimans2016improved` asks a classifier two things: is it sure about each single picture, and do its answers differ from picture to picture?
#
# $$ \mathrm{IS} = \exp \Big( \mathbb{E}_{\tilde x} \; \mathrm{KL}\big( p(y \mid \tilde x) \,\|\, p(y) \big) \Big), \qquad p(y) = \mathbb{E}_{\tilde x}\, p(y \mid \tilde x) . $$
#
# The published score is that of one particular classifier, an Inception network {cite}`szegedy2016rethinking` that knows 1,000 kinds of things in colour photographs, on 50,000 samples in ten parts. Ours knows ten kinds of clothes. The formula is the same, the number is another one, between 1 and 10; so we call it *label score*, and it must not be compared with any Inception Score.

# %%
def label_score_by_definition(probabilities):
    divergence = special.rel_entr(probabilities, probabilities.mean(axis=0)).sum(axis=1)  # [n]
    return np.exp(divergence.mean())


by_definition = label_score_by_definition(fake_probabilities)
assert np.isclose(by_definition, metrics.inception_score(fake_probabilities), rtol=1e-6)
classes = len(data.class_names)
sure = np.eye(classes)                                    # one sure answer for each class
assert np.isclose(label_score_by_definition(sure), classes)
assert np.isclose(label_score_by_definition(sure[[0, 0]]), 1)
print("label score: definition and helper agree; its ends are 1 and the number of classes")

# %% [markdown]
# **Precision and recall** {cite}`kynkaanniemi2019precision` keep apart what the others mix: are the samples like real pictures, and are all real pictures within reach? Around every picture of one set lies a ball that reaches to its third neighbour in that set. Precision is the share of samples inside some ball of a real picture, recall the share of real pictures inside some ball of a sample.

# %%
def share_inside(items, centres, neighbours=3):
    """The share of items inside the ball of at least one centre."""
    reach = np.sort(cdist(centres, centres), axis=1)[:, neighbours]  # place 0: the centre itself
    return np.mean((cdist(items, centres) <= reach).any(axis=1))


real_part, fake_part = np.float64(test_features[:1_000]), np.float64(fake_features[:1_000])
by_definition = share_inside(fake_part, real_part), share_inside(real_part, fake_part)
assert np.allclose(by_definition, metrics.precision_recall(real_part, fake_part), atol=0.002)
print("precision and recall: definition and helper agree")

# %% [markdown]
# Now for the numbers: our samples, and beside them the trivial generator and training pictures, each against as many test pictures. (Training pictures, not a second test set: the judge has seen most of them, so this floor may lie a little low or high.) A quick run measures our samples again on 2,000 pictures, where FID comes out larger and precision and recall differ; the table quotes the full run.

# %%
record = results.Record("dcgan", DATASET, data.source)


def measure(features, probabilities, start=0):
    """All measures of pictures against as many test pictures, from `start` on."""
    reference = test_features[start : start + len(features)]
    features, probabilities = features[: len(reference)], probabilities[: len(reference)]
    precision, recall = metrics.precision_recall(reference, features)
    shares = np.bincount(probabilities.argmax(axis=1), minlength=classes) / len(features)
    half = min(1_000, len(features) // 2)                 # pictures in a subset for KID
    kid, kid_sd = metrics.kernel_distance(reference, features, subset_size=half)
    return {
        "fid": metrics.frechet_distance(reference, features),
        "kid": kid, "kid_sd": kid_sd,
        "label_score": metrics.inception_score(probabilities),
        "precision": precision, "recall": recall,
        "classes_covered": int(((shares >= 0.04) & (shares <= 0.20)).sum()),
        "smallest_class": shares.min(), "largest_class": shares.max(),
    }


starts = range(0, CANDIDATES - QUICK_TEST + 1, QUICK_TEST)
parts = [slice(start, start + QUICK_TEST) for start in starts]
small = [measure(fake_features[part], fake_probabilities[part], part.start) for part in parts]
for name in ("fid", "kid", "label_score", "precision", "recall"):
    values = [each[name] for each in small]
    record.check(name, values[0], n=QUICK_TEST, sd=float(np.std(values)))

# %%
if is_full_run():
    trivial_images = metrics.pca_gaussian_samples(
        datasets.scale(x_train), n=SAMPLES, components=fake_images[0].size, seed=SEED
    )
    judged = {"": (fake_features, fake_probabilities), "trivial_": look(trivial_images),
              "floor_": (train_features, train_probabilities)}
    for prefix, judgement in judged.items():
        for name, value in measure(*judgement).items():
            record.metric(prefix + name, value, n=CANDIDATES)


def recorded(name):
    """A value of this full run, or under quick that of the recorded one."""
    if is_full_run():
        return record.metrics[name]
    found = results.headline("dcgan", name, DATASET)
    return found.mean if found else np.nan


# %%
results.show_table(
    ["pictures", "FID-fashion", "1000 KID", "label score", "precision", "recall",
     "smallest and largest class"],
    [[words, f"{recorded(prefix + 'fid'):.2f}",
      f"{1000 * recorded(prefix + 'kid'):.1f} ± {1000 * recorded(prefix + 'kid_sd'):.1f}",
      f"{recorded(prefix + 'label_score'):.2f}", f"{recorded(prefix + 'precision'):.2f}",
      f"{recorded(prefix + 'recall'):.2f}",
      f"{recorded(prefix + 'smallest_class'):.0%}, {recorded(prefix + 'largest_class'):.0%}"]
     for prefix, words in [("", "DCGAN"), ("trivial_", "trivial generator"),
                           ("floor_", "training pictures")]],
)
results.quote("dcgan-ratio", f"{recorded('fid') / recorded('trivial_fid'):.2f}")
results.quote("dcgan-trivial-covered", f"{recorded('trivial_classes_covered'):.0f}")
if is_full_run() and DATASET == "fashion_mnist":
    assert recorded("fid") <= 0.15 * recorded("trivial_fid")
    assert recorded("classes_covered") == 10

# %% [markdown]
# (KID is the mean over ten subsets of 1,000, with the spread of one.) The DCGAN's FID is {glue:text}`dcgan-ratio` times that of the trivial generator. Note the last column with care: the judge must give *some* label to everything, and by its labels the trivial generator, which draws clouds, covers {glue:text}`dcgan-trivial-covered` of ten classes. Coverage means something only for pictures that pass the other tests.
#
# ## What the measures miss
#
# **FID of equal distributions is not zero.** We cut the test pictures at random into two sets of $n$. Both come from one distribution, and the judge has never been trained on any of them.

# %%
SIZES = [n for n in (200, 500, 1_000, 2_000, 5_000) if 2 * n <= len(test_features)]


def two_halves(n, seed):
    order = np.random.default_rng([SEED, seed]).permutation(len(test_features))
    return test_features[order[:n]], test_features[order[n : 2 * n]]


equal_fid = [
    np.mean([metrics.frechet_distance(*two_halves(n, seed)) for seed in range(5)]) for n in SIZES
]
generated_sizes = [n for n in SIZES if n <= SAMPLES]
generated_fid = [
    metrics.frechet_distance(test_features[:n], fake_features[:n]) for n in generated_sizes
]
assert np.all(np.diff(equal_fid) < 0) and equal_fid[-1] > 0
assert equal_fid[0] > 5 * equal_fid[-1]                   # the bias shrinks about like 1 / n
assert np.all(np.diff(generated_fid) < 0)

# %% mystnb={"image": {"alt": "Two rising lines of FID over one divided by the number of pictures: real against real from near zero, generated against real above it with a gap that stays"}, "figure": {"caption": "FID-fashion of ever fewer pictures. Both lines describe things that do not change; only the number of pictures does.", "name": "fig-dcgan-sizes"}}
figure, axis = plt.subplots()
axis.plot(1 / np.array(SIZES), equal_fid, "o-", label="two sets of test pictures")
axis.plot(1 / np.array(generated_sizes), generated_fid, "s-", label="samples and test pictures")
axis.set_xticks(1 / np.array(SIZES)[:4], [f"1/{n}" for n in SIZES[:4]])
axis.set(xlabel="1 / number of pictures in each set", ylabel="FID-fashion", ylim=(0, None))
axis.legend()
plt.show()

# %% [markdown]
# The fewer pictures, the larger the distance, because the two covariances are estimated with errors of their own. Compare FIDs at equal $n$ only, and always beside such a floor. (The lines are nearly straight over $1/n$; the last exercise makes use of that {cite}`chong2020effectively`.) KID has no such bias, but it scatters around zero, and below it:

# %%
equal_kid = np.array([kid_by_definition(*two_halves(1_000, seed)) for seed in range(20)])
assert equal_kid.min() < 0 and abs(equal_kid.mean()) < equal_kid.std()
print(f"1000 KID of two sets of 1,000 test pictures: {1000 * equal_kid.mean():.2f} ± "
      f"{1000 * equal_kid.std():.2f}, smallest {1000 * equal_kid.min():.2f}")

# %% [markdown]
# **FID sees means and covariances, nothing else.** We forge features: draws from *one* Gaussian with the moments of half of the test features, made by mixing all of them at random. Many are negative, which no picture's features can be. FID hardly minds. KID looks at third moments as well, and minds a little. Precision looks at neighbours, and minds very much.

# %%
first, second = two_halves(len(test_features) // 2, seed=0)
centre, n = first.mean(axis=0), len(first)
mixing = np.random.default_rng(SEED).standard_normal((n, n), dtype=np.float32) / np.sqrt(n - 1)
forged = centre + mixing @ (first - centre)               # Gaussian, with the covariance of `first`
assert first.min() >= 0 > forged.min()                    # the judge never gives negative features
pair = {"other half": first, "forged": forged}
forgery = {
    name: (metrics.frechet_distance(second, features), *metrics.kernel_distance(second, features),
           metrics.precision_recall(second[few], features[few])[0])
    for name, features in pair.items()
}
assert forgery["forged"][0] < 2 * forgery["other half"][0]
assert forgery["forged"][1] > forgery["other half"][1] + forgery["forged"][2]
assert forgery["forged"][3] < 0.5 * forgery["other half"][3]
results.show_table(
    ["features", "FID-fashion", "1000 KID", "precision"],
    [[name, f"{f:.2f}", f"{1000 * k:.2f} ± {1000 * sd:.2f}", f"{p:.2f}"]
     for name, (f, k, sd, p) in forgery.items()],
)

# %% [markdown]
# **The label score never looks at real pictures** {cite}`barratt2018note`. So we cheat: for each class the one test picture of which the judge is surest, two hundred times. Such a generator knows ten pictures and beats reality.

# %%
cheats = test_probabilities[QUICK_TEST:].argmax(axis=0) + QUICK_TEST          # [classes]
cheat = np.repeat(cheats, QUICK_TEST // classes)
cheat_score = metrics.inception_score(test_probabilities[cheat])
real_score = metrics.inception_score(test_probabilities[few])
cheat_fid = metrics.frechet_distance(test_features[few][: len(cheat)], test_features[cheat])
cheat_precision, cheat_recall = metrics.precision_recall(test_features[few], test_features[cheat])
assert cheat_score > real_score and cheat_fid > small[0]["fid"]
assert cheat_recall < 0.01
print(f"ten pictures: label score {cheat_score:.2f} (real pictures {real_score:.2f}), "
      f"FID-fashion {cheat_fid:.1f}, precision {cheat_precision:.2f}, recall {cheat_recall:.2f}")

# %% [markdown]
# **Recall can be sold.** Shrink the noise before it enters the generator, and the samples become less varied. If they also become more typical, precision is bought with recall, a trick known as truncation {cite}`brock2019large`. So always give both. And both grow with the number of neighbours, so that this number belongs to the result.

# %%
rows, recalls = [], []
for scale in (1.0, 0.7, 0.4):
    shrunk, _ = look(sample(gan.averaged, scale * noise[:QUICK_TEST]))
    reference = test_features[few]
    three, ten = (metrics.precision_recall(reference, shrunk, neighbours=k) for k in (3, 10))
    assert ten[0] >= three[0] and ten[1] >= three[1]      # larger balls, by definition
    recalls.append(three[1])
    rows.append([f"{scale:g}", *(f"{value:.2f}" for value in (*three, *ten))])
assert recalls[0] > recalls[1] > recalls[2]
results.show_table(
    ["noise times", "precision, 3 neighbours", "recall, 3", "precision, 10", "recall, 10"], rows
)

# %% [markdown]
# **One strange picture is enough.** The ball around a lonely real picture is huge, and whatever falls into it counts as realistic. We offer plain grey rectangles, and most of them pass.

# %%
greys = np.ones((200, *image_shape), "float32") * np.linspace(0.4, 0.8, 200)[:, None, None, None]
grey_features, _ = look(greys.astype("float32"))
grey_precision, grey_recall = metrics.precision_recall(test_features[:1_000], grey_features)
assert grey_precision > 0.5 and grey_recall < 0.01
print(f"grey rectangles against 1,000 test pictures: precision {grey_precision:.2f}, "
      f"recall {grey_recall:.2f}")

# %% [markdown]
# ## Which way of upsampling?
#
# With a measure at hand we can compare the two ways of growing a picture. Small networks, a short training, everything else equal, three seeds each, and *validation* pictures, since this is a choice. A full run trains them; a quick run quotes the record.

# %%
def small_run(upsampling, seed):
    training.set_seed(seed)
    small_gan = build_gan(upsampling, SMALL_FILTERS, seed=seed)
    batches = training.batches(x_train[:SMALL_PICTURES], batch_size=BATCH_SIZE, seed=seed)
    finished = training.fit(
        small_gan, batches, epochs=SMALL_EPOCHS, checkpoint=f"dcgan_{upsampling}_{DATASET}_{seed}"
    )
    images = sample(small_gan.averaged, noise[: len(x_validation)])
    fid = metrics.frechet_distance(look(x_validation)[0], look(images)[0])
    return fid, finished


# %% tags=["nbval-ignore-output"]
ways, small_runs = ("transposed", "resized"), []
if is_full_run():
    for way in ways:
        finished = [small_run(way, seed) for seed in range(3)]
        small_runs += [each for _, each in finished]
        mean, sd = metrics.mean_and_sd([value for value, _ in finished])
        record.metric(f"{way}.validation_fid", mean, n=len(x_validation), sd=sd)
        record.metric(f"{way}.validation_fid_sd", sd, n=3)
        record.metric(f"{way}.seconds", np.mean([each.seconds for _, each in finished]), n=3)

# %%
kept = ("validation_fid", "validation_fid_sd", "seconds")
of_way = {way: [recorded(f"{way}.{name}") for name in kept] for way in ways}
results.show_table(
    ["upsampling", "FID-fashion, validation, mean of three", "spread (sd)", "seconds per run"],
    [[way, f"{mean:.2f}", f"{sd:.2f}", f"{seconds:.0f}"]
     for way, (mean, sd, seconds) in of_way.items()],
)
gap = abs(of_way["transposed"][0] - of_way["resized"][0])
verdict = "more" if gap > 2 * max(sd for _, sd, _ in of_way.values()) else "not more"
print(f"the difference is {verdict} than twice the larger spread")

# %% [markdown]
# Mind the last column: for every input place, four windows of 3 by 3 on the enlarged array take 36 multiplications, one window of 4 by 4 takes 16. Equal numbers of updates are not equal times.
#
# ## What goes wrong
#
# **The signal dies.** We let the generator stand still, untrained, and train only the discriminator. After each few updates we measure how strongly either loss pulls at the generated pictures: the length of its gradient with respect to a picture.

# %%
still = build_gan(filters=SMALL_FILTERS, dropout=0.0, rates=(0.0, 1e-3))
still_images = still.generator(noise[:BATCH_SIZE], training=True)
pull, d_still = {saturating_loss: [], generator_loss: []}, []
for update in range(41):
    if update % 5 == 0:
        for loss, lengths in pull.items():
            gradient = training.input_gradient(
                lambda images: loss(still.discriminator(images, training=True)), still_images
            )
            gradient = ops.convert_to_numpy(gradient).reshape(BATCH_SIZE, -1)
            lengths.append(np.linalg.norm(gradient, axis=1).mean())
        still_logits = still.discriminator(still_images, training=True)
        d_still.append(float(ops.mean(ops.sigmoid(still_logits))))
    update_discriminator(still, ops.convert_to_tensor(gan_batches[update]))
fallen = {loss: lengths[-1] / lengths[0] for loss, lengths in pull.items()}
assert d_still[-1] < 0.05                                 # the discriminator is sure
assert fallen[saturating_loss] < 0.2 * fallen[generator_loss]

# %% mystnb={"image": {"alt": "Two curves over updates of the discriminator on a logarithmic scale: the saturating loss falls steeply, the non-saturating one stays up"}, "figure": {"caption": "Mean length of the gradient at a generated picture while only the discriminator learns.", "name": "fig-dcgan-signal"}}
figure, axis = plt.subplots()
for (loss, lengths), name in zip(pull.items(), ("saturating", "non-saturating")):
    axis.plot(range(0, 41, 5), lengths, "o-", label=name)
axis.set(xlabel="updates of the discriminator", ylabel="length of the gradient", yscale="log")
axis.legend()
plt.show()

# %% [markdown]
# With the saturating loss, a better opponent is a worse teacher {cite}`arjovsky2017towards`. The non-saturating loss still pulls. Whether it pulls in a useful direction is another matter; the next notebook, on the Wasserstein GAN, replaces the divergence itself.
#
# **The modes collapse.** What is the generator's best answer to a *fixed* discriminator, asked picture by picture? Not variety: it is the one picture with the largest $D(x)$, whatever the noise. Only the discriminator's own learning makes repetition expensive. We let the trained generator play on against its trained opponent, which no longer learns. (Here inference mode is meant: it judges each picture by itself.)

# %% tags=["model"]
class Unopposed(GAN):
    """The generator alone is trained, against a discriminator that never changes."""

    def train_step(self, batch):
        real, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
        value = update_generator(self, real, discriminator_in_training=False)
        self.trackers["generator_loss"].update_state(value)
        return {"generator_loss": self.trackers["generator_loss"].result()}


alone = build_gan(kind=Unopposed, rates=(ALONE_RATE, 0.0))

# %%
def effective_classes(probabilities):
    """exp of the entropy of all labels together: how many equally frequent classes."""
    return float(np.exp(stats.entropy(probabilities.mean(axis=0))))


class ClassCounter(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        images = sample(self.model.generator, noise[:1_000])
        logs["effective_classes"] = effective_classes(look(images)[1])


# %% tags=["nbval-ignore-output"]
if is_full_run():
    alone.set_weights(gan.get_weights())
    alone_batches = training.batches(
        x_train[: ALONE_UPDATES * BATCH_SIZE], batch_size=BATCH_SIZE, seed=SEED
    )
    alone_run = training.fit(alone, alone_batches, epochs=ALONE_EPOCHS, callbacks=[ClassCounter()],
                             checkpoint=f"dcgan_alone_{DATASET}_{SEED}")
    weights.release(alone.generator, f"dcgan/alone_{DATASET}", alone_run, publish=publishable)
alone_run = weights.restore(alone.generator, f"dcgan/alone_{DATASET}")

# %%
alone_images = sample(alone.generator, noise[:QUICK_TEST])
alone_features, alone_probabilities = look(alone_images)
alone_measures = measure(alone_features, alone_probabilities)
played = ["fid", "precision", "recall", "label_score"]
counts = {"before": effective_classes(fake_probabilities[few]),
          "after": effective_classes(alone_probabilities)}
assert counts["after"] < 0.6 * counts["before"]
assert alone_measures["recall"] < 0.5 * small[0]["recall"]
results.show_table(
    ["generator", *played, "effective classes"],
    [[name, *(f"{values[key]:.2f}" for key in played), f"{count:.1f}"]
     for (name, count), values in zip(counts.items(), (small[0], alone_measures))],
)

# %% mystnb={"image": {"alt": "Twenty pictures that resemble each other, drawn from twenty different pieces of noise"}, "figure": {"caption": "After playing alone: twenty samples from twenty draws of noise, the first twenty of the figure of samples above.", "name": "fig-dcgan-collapse"}}
plots.image_grid(alone_images[:20])
plt.show()

# %% mystnb={"image": {"alt": "Falling curve of the effective number of classes over updates of the generator"}, "figure": {"caption": "Effective number of classes among 1,000 samples while the generator plays alone (mode collapse).", "name": "fig-dcgan-classes"}}
values = [counts["before"], *alone_run.history["effective_classes"]]
figure, axis = plt.subplots()
axis.plot(np.arange(len(values)) * alone_run.updates / (len(values) - 1), values, "o-")
axis.set(xlabel="updates of the generator alone", ylabel="effective classes", ylim=(0, None))
plt.show()

# %% [markdown]
# {cite:t}`goodfellow2016tutorial` describes how this goes on when both play: the generator runs ahead to a few pictures, the discriminator learns to reject them, the generator moves on to others, and they may go round for ever. Remedies (other losses, a gradient penalty, a discriminator that sees whole batches) are compared in the next notebook on a ring of eight Gaussians, where modes can be counted.
#
# **The players circle.** The smallest game of all shows it: $V(a, b) = a\,b$, the generator moves $a$ to make it small, the discriminator moves $b$ to make it large. At rest is only $a = b = 0$. If both step at the same time, each step multiplies the distance from there by exactly $\sqrt{1 + \eta^2}$: they spiral out. If they take turns, $a^2 + b^2 - \eta\, a b$ never changes: they circle for ever. If the discriminator also pays a little for large $b$, they arrive {cite}`mescheder2018which`.

# %%
def play(rule, steps=150, rate=0.1):
    """The players' positions after each round, [steps + 1, 2]."""
    a, b = 1.0, 0.0
    path = [(a, b)]
    for _ in range(steps):
        next_a = a - rate * b
        seen = a if rule == "at the same time" else next_a  # what the discriminator answers to
        price = 0.3 * b if rule == "taking turns, at a price" else 0.0
        a, b = next_a, b + rate * (seen - price)
        path.append((a, b))
    return np.array(path)


rules = ("at the same time", "taking turns", "taking turns, at a price")
paths = {rule: play(rule) for rule in rules}
radius = np.linalg.norm(paths[rules[0]], axis=1)
assert np.allclose(radius, np.sqrt(1 + 0.1**2) ** np.arange(151))
a, b = paths[rules[1]].T
assert np.allclose(a**2 + b**2 - 0.1 * a * b, 1)
assert np.linalg.norm(paths[rules[2]][-1]) < 0.2
assert np.linalg.norm(paths[rules[1]][:126].mean(axis=0)) < 0.1  # two laps: the mean is near 0

# %% mystnb={"image": {"alt": "Three panels: a spiral outwards, a closed circle, a spiral inwards to the cross in the middle"}, "figure": {"caption": "The game V = a b in three variants, 150 steps from the dot. Cross: the only point of rest.", "name": "fig-dcgan-circle"}}
figure, axes = plt.subplots(1, 3, figsize=(7.5, 2.8), sharex=True, sharey=True)
for axis, (rule, path) in zip(axes, paths.items()):
    axis.plot(*path.T, linewidth=1)
    axis.plot(1, 0, "o", color=plots.COLOURS[1])
    axis.plot(0, 0, "+", color="black", markersize=10)
    axis.set(title=rule, xlabel="generator: $a$", aspect="equal")
axes[0].set_ylabel("discriminator: $b$")
plt.show()

# %% [markdown]
# The second panel also shows why averaging helps: the players never come to rest, but the mean over two laps lies within a tenth of the middle. For our networks the curves of FID said the same.
#
# ## The record

# %%
for name, share in copying.items():
    record.metric(f"nearer_to_training_{name}", share, n=QUICK_TEST)
record.metric("alone.recall", alone_measures["recall"], n=QUICK_TEST)
record.metric("alone.effective_classes", counts["after"], n=QUICK_TEST)
record.metric("effective_classes", counts["before"], n=QUICK_TEST)
record.metric("two_test_halves_fid", equal_fid[-1], n=SIZES[-1])
for name, trained in [("raw_fid", gan.generator), ("averaged_fid", gan.averaged)]:
    images = sample(trained, noise[:QUICK_TEST])
    watched_fid = metrics.frechet_distance(look(x_validation[few])[0], look(images)[0])
    record.metric(f"validation.{name}", watched_fid, n=QUICK_TEST)
record.save(
    parameters={"generator": gan.generator.count_params(),
                "discriminator": gan.discriminator.count_params()},
    updates={"gan": run.updates, "alone": alone_run.updates},
    seconds=run.seconds + alone_run.seconds + sum(each.seconds for each in small_runs),
    weight_names=[f"dcgan/gan_{DATASET}", f"dcgan/alone_{DATASET}"],
)

# %% [markdown]
# ## Lessons
#
# - A discriminator estimates a ratio of densities from samples; against the best one, the generator minimises a divergence that nobody has to compute.
# - Let the generator minimise $-\log D$. Know which networks a step may move, and in which mode they answer: test both, for no error will tell you.
# - Losses say who is ahead, not how good the pictures are. Measure against pictures that stand still, and average what circles.
# - Every measure is blind somewhere: FID to all but two moments, the label score to reality, precision to what is missing. Give several, with $n$, the features' name, a floor and a trivial generator.
#
# **Things to try.** `GENBOOK_BUDGET=cpu GENBOOK_SEED=1` plays another game. Set `SMOOTHING = 1.0`, or `UPSAMPLING = "resized"`. Give the discriminator twice the learning rate of the generator {cite}`heusel2017gans`. `GENBOOK_DATASET=bricks` learns renders of toy bricks, 64 pixels wide, once the notebook on convolutional networks has trained a judge for them.

# %% [markdown]
# ## Exercises
#
# :::{exercise} What smoothing does to the best answer
# :label: dcgan-smoothing
#
# With a target of $s$ instead of 1 for real pictures, what is the best answer $D^*(x)$ at a place with densities $p_\text{data}$ and $p_\theta$? And what would become of it if generated pictures had the target $1 - s$ instead of 0? Complete the function for both targets.
# :::

# %% [markdown]
# :::{solution-start} dcgan-smoothing
# :class: dropdown
# :::
#
# At one place the discriminator collects, with weight $p_\text{data}$, the targets $s$ and, with weight $p_\theta$, the targets $t$; the cross-entropy is smallest at their weighted mean, $D^* = (s\, p_\text{data} + t\, p_\theta) / (p_\text{data} + p_\theta)$. For $t = 0$ it is the old answer times $s$: order and shape stay. With $t = 1 - s > 0$ the generator's own density appears above the line: where there are only generated pictures, $D^*$ stays at $t$, and they are rewarded for being where they are. That is why only one side is smoothed {cite}`salimans2016improved`.

# %% tags=["solution"]
def best_answer(p_data, p_generator, real_target, fake_target=0.0):
    ### BEGIN SOLUTION
    total = p_data + p_generator
    return (real_target * p_data + fake_target * p_generator) / total
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
def cross_entropy(d, target):
    return -target * np.log(d) - (1 - target) * np.log(1 - d)


for p, q, s, t in [(0.3, 0.5, 1.0, 0.0), (0.3, 0.5, 0.9, 0.0), (1.2, 0.1, 0.8, 0.2)]:
    def cost(d):                                          # what is paid at one place, on average
        return p * cross_entropy(d, s) + q * cross_entropy(d, t)

    found = optimize.minimize_scalar(cost, bounds=(1e-6, 1 - 1e-6), method="bounded")
    answer = best_answer(p, q, s, t)
    assert answer is not None and abs(answer - found.x) < 1e-4
print("correct")

# %% [markdown]
# :::{exercise} The Fréchet distance on a line
# :label: dcgan-frechet
#
# If there is only one feature, the two covariances are two variances. Simplify the formula for FID as far as it goes. By how much does it change if all samples are equally wrong, shifted by a constant? Complete the function for two lists of numbers.
# :::

# %% [markdown]
# :::{solution-start} dcgan-frechet
# :class: dropdown
# :::
#
# With numbers the root is $\sigma_1 \sigma_2$, and $\sigma_1^2 + \sigma_2^2 - 2 \sigma_1 \sigma_2 = (\sigma_1 - \sigma_2)^2$. So $\mathrm{FID} = (m_1 - m_2)^2 + (\sigma_1 - \sigma_2)^2$: a constant shift $c$ of samples that were right before adds $c^2$.

# %% tags=["solution"]
def frechet_on_a_line(real, fake):
    ### BEGIN SOLUTION
    return (real.mean() - fake.mean()) ** 2 + (real.std(ddof=1) - fake.std(ddof=1)) ** 2
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
numbers = np.random.default_rng(0)
for size, mean, deviation in [(5, 0.0, 1.0), (40, 2.0, 0.5), (500, -1.0, 3.0)]:
    one, two = numbers.normal(size=300), numbers.normal(mean, deviation, size)
    as_features = one[:, None], two[:, None]              # [n, 1]
    assert np.isclose(frechet_on_a_line(one, two), metrics.frechet_distance(*as_features))
print("correct")

# %% [markdown]
# :::{exercise} A generator with two weights
# :label: dcgan-line
#
# Train a GAN by hand. The data is $\mathcal{N}(2, 0.5^2)$, the generator $\tilde x = a + b z$ with $z \sim \mathcal{N}(0, 1)$, and the opponent is perfect: its logit is $\ell(x) = \log p_\text{data}(x) - \log p_\theta(x)$, with the slope $\ell'(x) = -4 (x - 2) + (x - a) / b^2$. Complete the function: the derivatives with respect to $a$ and $b$ of the non-saturating loss, the mean of $\mathrm{softplus}(-\ell(\tilde x))$ over draws `z`, with the discriminator held still. The check trains with it.
# :::

# %% [markdown]
# :::{solution-start} dcgan-line
# :class: dropdown
# :::
#
# The derivative of $\mathrm{softplus}(-\ell)$ is $-\sigma(-\ell)\, \ell'$, and by the chain rule it is multiplied by $\mathrm{d}\tilde x / \mathrm{d}a = 1$ and $\mathrm{d}\tilde x / \mathrm{d}b = z$. The discriminator depends on $a$ and $b$, too, but it is the other player's turn to notice.

# %% tags=["solution"]
def generator_gradient(a, b, z):
    """The two derivatives for weights a and b (numbers) and noise z [n]."""
    ### BEGIN SOLUTION
    x = a + b * z
    logit = stats.norm.logpdf(x, 2, 0.5) - stats.norm.logpdf(x, a, b)
    signal = -special.expit(-logit) * (-4 * (x - 2) + (x - a) / b**2)  # [n]
    return signal.mean(), (signal * z).mean()
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
def held_still(a, b, z):                                  # the opponent of the weights 1 and 0.8
    x = a + b * z
    return np.logaddexp(0, stats.norm.logpdf(x, 1, 0.8) - stats.norm.logpdf(x, 2, 0.5)).mean()


draws = np.random.default_rng(0)
z = draws.normal(size=1_000)
quotients = [
    (held_still(1 + da, 0.8 + db, z) - held_still(1 - da, 0.8 - db, z)) / 2e-4
    for da, db in [(1e-4, 0), (0, 1e-4)]
]
assert np.allclose(generator_gradient(1.0, 0.8, z), quotients, rtol=1e-4)

a, b = 0.0, 1.0
for _ in range(1_000):
    gradient = generator_gradient(a, b, draws.normal(size=200))
    a, b = a - 0.02 * gradient[0], b - 0.02 * gradient[1]
assert abs(a - 2) < 0.1 and abs(b - 0.5) < 0.1
print("correct")

# %% [markdown]
# :::{exercise} FID without its bias
# :label: dcgan-bias
#
# Over $1/n$ the FID was nearly a straight line. Then its value for infinitely many pictures is where the line meets the axis. Complete the function: fit $\mathrm{FID}_n = f + c / n$ by least squares, and return $f$. Which of our two lines should meet the axis at zero?
# :::

# %% [markdown]
# :::{solution-start} dcgan-bias
# :class: dropdown
# :::
#
# A straight line in $1/n$; its value at zero is the answer. The line of two sets of test pictures should meet the axis near zero, within the error of the fit, which may even be on the wrong side.

# %% tags=["solution"]
def fid_without_bias(sizes, fids):
    ### BEGIN SOLUTION
    slope, intercept = np.polyfit(1 / np.array(sizes), fids, 1)
    return intercept
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
assert np.isclose(fid_without_bias([100, 200, 500], [3 + 700 / n for n in (100, 200, 500)]), 3)
gaussian = np.random.default_rng(0).normal(size=(2, 4_000, 20))
some_sizes = [500, 1_000, 2_000, 4_000]
equal = [metrics.frechet_distance(gaussian[0, :n], gaussian[1, :n]) for n in some_sizes]
shifted = [metrics.frechet_distance(gaussian[0, :n], gaussian[1, :n] + 0.5) for n in some_sizes]
assert abs(fid_without_bias(some_sizes, equal)) < 0.5 * equal[-1]
assert abs(fid_without_bias(some_sizes, shifted) - 5) < 0.3  # 20 features, each shifted by 1/2
print("correct")

# %% [markdown]
# ## References
#
# The game: {cite:t}`goodfellow2014gan`, told at leisure in {cite:t}`goodfellow2016tutorial`; with convolutions: {cite:t}`radford2016dcgan`. The plan of the networks follows {cite:t}`foster2023generative`. Smoothing and the Inception Score: {cite:t}`salimans2016improved`; upsampling: {cite:t}`odena2016deconvolution`; why the signal dies: {cite:t}`arjovsky2017towards`; who converges: {cite:t}`mescheder2018which`; averaging: {cite:t}`yazici2019unusual`. Measures: {cite:t}`heusel2017gans`, {cite:t}`binkowski2018demystifying`, {cite:t}`kynkaanniemi2019precision`, after {cite:t}`sajjadi2018precision`; their limits: {cite:t}`barratt2018note`, {cite:t}`chong2020effectively`, {cite:t}`theis2016note`; copying: {cite:t}`meehan2020nonparametric`. Truncation: {cite:t}`brock2019large`. Data: {cite:t}`xiao2017fashion`.
