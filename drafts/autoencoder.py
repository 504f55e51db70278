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
# # The autoencoder
#
# Squeeze a picture of 784 pixels into two numbers, and draw it again from those two numbers alone. A pair of networks that can do this must have found out what matters about clothes: whether it is a shoe or a shirt, whether it has sleeves, how bright it is. In this notebook we build such a pair, compare it with the best that linear algebra can do, look at the plane that the two numbers span, and find out why it is *not yet* a generative model. Then we change one thing, noise at the input, and the same machine learns to repair pictures.
#
# ![A chart of small pictures of clothes: trousers, shirts, bags and shoes blend into each other across a plane](images/autoencoder.png)
#
# *The goal of this notebook: the plane of two numbers, decoded point by point. Nothing here was selected; the grid covers the middle of the plane.*

# %% [markdown]
# ## What to expect
#
# Two measures of how well a test picture is redrawn: the mean squared error per pixel, and the cross-entropy in nats per image. Both are explained below, and so are the baselines. The table is drawn from the recorded full runs.

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
from helpers.training import quiet

with quiet():  # TensorFlow talks to its developers while it is imported
    import keras
    from keras import layers, ops

import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial import cKDTree

from helpers import datasets, metrics, plots, results, training, weights
from helpers.budget import budget, current_seed, is_full_run

plots.use_style()

# %%
results.expectation(
    "autoencoder",
    dataset="fashion_mnist",
    rows=[
        {"label": "two numbers: squared error per pixel, test", "metric": "test_mse",
         "baseline": "pca_mse", "digits": 4, "reference": "at most .65 of PCA's was our target"},
        {"label": "two numbers: cross-entropy, nats per image, test", "metric": "test_bce_nats",
         "baseline": "mean_picture_bce_nats", "optimum": "floor_bce_nats", "digits": 1},
        {"label": "removing noise: squared error per pixel, test", "metric": "denoiser.test_mse",
         "baseline": "linear_denoiser_mse", "digits": 4},
    ],
)

# %% [markdown]
# The baselines are strong ones: PCA is the best that any linear method can do with two numbers, and the linear denoiser is the best linear one. The baseline of the cross-entropy is the average training picture, the best answer of a machine that has not looked. Its optimum is not zero, for a reason that deserves its own paragraph.

# %% [markdown]
# ## Settings

# %% tags=["settings"]
SEED = current_seed()               # seeds weights, batches and noise; 0 unless a run asks
DATASET = datasets.choose_dataset("fashion_mnist", alternatives=[])
VALIDATION = 5_000                  # last training pictures, kept aside for watching and choosing
PICTURES = budget(quick=12_800, cpu=55_000)  # training pictures that are used
CODE_SIZE = 2                       # numbers that the encoder may write down
OTHER_CODE_SIZES = (8, 32)          # larger codes, for comparison
FILTERS = 16                        # feature maps of the first layer; the second has twice as many
HIDDEN_UNITS = 128                  # width of the dense layers on both sides of the code
NOISE = 0.5                         # standard deviation of the noise that the denoiser must remove
BATCH_SIZE = 128                    # pictures per update
LEARNING_RATE = 1e-3                # Adam's step size at the start; it falls to zero along a cosine
EPOCHS = budget(quick=1, cpu=20)    # passes over the training pictures, code of two numbers
OTHER_EPOCHS = budget(quick=1, cpu=10)  # the same for the larger codes and the denoiser
QUICK_TEST = 2_000                  # test pictures on which a quick run measures again
training.set_seed(SEED)

# %% [markdown]
# ## The data
#
# The same pictures of clothes as in the chapter before {cite}`xiao2017fashion`, but this time the labels play no part in the training. We use them only afterwards, to colour a map that the networks drew without them.

# %% tags=["exercise-context"]
data = datasets.load(DATASET)
x_train = data.x_train[:-VALIDATION]                      # [55000, 28, 28, 1], bytes
x_validation = datasets.scale(data.x_train[-VALIDATION:])
x_test, y_test = datasets.scale(data.x_test), data.y_test
pixels = x_test[0].size                                   # 784
print("training", x_train.shape, " validation", x_validation.shape, " test", x_test.shape)

# %% mystnb={"image": {"alt": "Ten grey pictures of clothes from the test set"}, "figure": {"caption": "The first ten test pictures. They will follow us through the notebook.", "name": "fig-autoencoder-data"}}
plots.image_grid(x_test[:10])
plt.show()

# %% [markdown]
# ## First, what a straight line can do
#
# Before a network, the linear answer to the same task. *Principal component analysis* {cite}`pearson1901lines` describes a picture as the average picture plus a weighted sum of $K$ fixed patterns, and the $K$ weights are its code. The patterns are chosen so that the squared error over the training set is as small as any linear method can make it. They turn out to be the eigenvectors of the covariance matrix of the pixels with the $K$ largest eigenvalues.

# %%
flat_train = datasets.scale(x_train).reshape(len(x_train), -1)  # [55000, 784]
flat_test = x_test.reshape(len(x_test), -1)
average = flat_train.mean(axis=0)                                 # [784]
covariance = np.cov(flat_train, rowvar=False, bias=True)          # [784, 784]
eigenvalues, patterns = np.linalg.eigh(covariance)
eigenvalues, patterns = eigenvalues[::-1], patterns[:, ::-1]      # the largest first


def pca_copy(flat, size):
    basis = patterns[:, :size]                                    # [784, size]
    return (flat - average) @ basis @ basis.T + average           # code, then picture again


def mse(pictures, copies):
    return float(np.mean((pictures - copies) ** 2))


# %% [markdown]
# There is a way to check this without trusting the library. What PCA throws away is exactly the variance along the discarded patterns, so its squared error on the training pictures must be the sum of the eigenvalues that were left out.

# %%
for size in (2, 32):
    error = mse(flat_train, pca_copy(flat_train, size)) * pixels
    assert np.isclose(error, eigenvalues[size:].sum(), rtol=1e-4)
pca_mse = mse(flat_test, pca_copy(flat_test, CODE_SIZE))
average_mse = mse(flat_test, average)
assert pca_mse < average_mse
print(f"squared error per pixel: average picture {average_mse:.4f}, PCA {pca_mse:.4f}")

# %% [markdown]
# Keep the second number in mind. All codes of PCA lie on a flat sheet in the space of pictures; everything that bends is lost. A network can bend the sheet.

# %% [markdown]
# ## Encoder and decoder
#
# The *encoder* is a small convolutional network: two layers that halve the picture, 28 to 14 to 7 pixels, while they look for more and more patterns; then a dense layer, and at the end the code, without any activation function, so that its numbers may lie anywhere. The *decoder* is its mirror image {cite}`hinton2006reducing`. Transposed convolutions double the size at each step; a kernel of 4 with a stride of 2 covers every output pixel equally often, which avoids a chequerboard pattern {cite}`odena2016deconvolution`.

# %% tags=["model"]
def build_encoder(code_size, code_activation=None):
    images = keras.Input(shape=(28, 28, 1))
    x = layers.Conv2D(FILTERS, 3, strides=2, padding="same", activation="relu")(images)
    x = layers.Conv2D(2 * FILTERS, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Flatten()(x)                                     # [batch, 7 * 7 * 32]
    x = layers.Dense(HIDDEN_UNITS, activation="relu")(x)
    code = layers.Dense(code_size, activation=code_activation)(x)  # [batch, code_size]
    return keras.Model(images, code, name="encoder")


encoder = build_encoder(CODE_SIZE)
encoder.summary()

# %% tags=["model"]
def build_decoder(code_size):
    code = keras.Input(shape=(code_size,))
    x = layers.Dense(HIDDEN_UNITS, activation="relu")(code)
    x = layers.Dense(7 * 7 * 2 * FILTERS, activation="relu")(x)
    x = layers.Reshape((7, 7, 2 * FILTERS))(x)                  # [batch, 7, 7, 32]
    x = layers.Conv2DTranspose(FILTERS, 4, strides=2, padding="same", activation="relu")(x)
    logits = layers.Conv2DTranspose(1, 4, strides=2, padding="same")(x)  # [batch, 28, 28, 1]
    return keras.Model(code, logits, name="decoder")


decoder = build_decoder(CODE_SIZE)
decoder.summary()

# %% [markdown]
# The decoder ends with *logits*, numbers of any size; the logistic function $\sigma$ turns them into brightnesses between 0 and 1. As with the softmax before, we leave that to the loss, which can do it without rounding trouble.

# %% [markdown]
# ## The loss, and its unit
#
# What is a good copy? Read each output $\hat x_d$ as the probability that pixel $d$ is white, and charge the *binary cross-entropy* between it and the true brightness $x_d$. We **sum over the pixels** of a picture and take the **mean over the pictures** of a batch:
#
# $$ \mathcal{L} = \frac1n \sum_{j=1}^{n} \sum_{d=1}^{784} \Big[ -x_{jd} \log \hat x_{jd} - (1 - x_{jd}) \log (1 - \hat x_{jd}) \Big], \qquad \hat x = \sigma(\ell). $$
#
# The unit is nats per image. With the logits $\ell$ the bracket becomes $\max(\ell, 0) - \ell x + \log(1 + e^{-|\ell|})$, in which no logarithm of zero can appear.

# %% tags=["model"]
def nats_per_image(images, logits):
    # max(l, 0) - l x + log(1 + exp(-|l|)), the cross-entropy in a form that cannot overflow
    per_pixel = ops.relu(logits) - logits * images + ops.log1p(ops.exp(-ops.abs(logits)))
    return ops.sum(per_pixel, axis=(1, 2, 3))                   # [batch]


# %%
some_logits = np.random.default_rng(SEED).normal(size=x_test[:8].shape).astype("float32")
keras_mean = keras.losses.BinaryCrossentropy(from_logits=True)(x_test[:8], some_logits)
ours = ops.convert_to_numpy(nats_per_image(x_test[:8], some_logits))
assert np.isclose(ours.mean(), float(keras_mean) * pixels, rtol=1e-5)
print("our sum over pixels is Keras's mean over pixels, times", pixels)

# %% [markdown]
# The last line is the source of much confusion. Keras's own loss takes the mean over pixels as well, so the same network with the same copies reports a number that is 784 times smaller. With one loss term that changes nothing but the display. As soon as a second term is added, as in the next notebook, it decides what the model learns. Whenever you read "loss 0.26" or "loss 260", ask first: mean or sum?
#
# **The best possible value is not zero.** If a pixel has the brightness 0.3, the cross-entropy is smallest when the output is 0.3 too, and then it is the entropy $-0.3 \log 0.3 - 0.7 \log 0.7 \approx 0.61$ nats, not nothing. Only pure black and pure white pixels can be copied for free. A *perfect* copy of every test picture therefore costs

# %%
def binary_entropy(brightness):
    p = np.clip(brightness.astype("float64"), 1e-12, 1 - 1e-12)
    return -p * np.log(p) - (1 - p) * np.log(1 - p)


floor = binary_entropy(x_test).reshape(len(x_test), -1).sum(axis=1).mean()
answer = np.clip(average, 1e-6, 1 - 1e-6)                       # the same for every picture
average_bce = -(flat_test @ np.log(answer) + (1 - flat_test) @ np.log(1 - answer)).mean()
assert 0 < floor < average_bce
print(f"a perfect copy: {floor:.1f} nats per image; the average picture: {average_bce:.1f}")
results.quote("autoencoder-floor", f"{floor:.0f}")

# %% [markdown]
# What a copy can save lies between these two. Why not simply use squared error for the training, too? One could: both losses are smallest when the output is the mean of all pictures that share the code, so they want the same copies. But with the logistic function, the gradient of the cross-entropy with respect to the logit is the plain error $\hat x - x$, while that of the squared error carries a factor $\hat x (1 - \hat x)$ that vanishes where a pixel is confidently wrong. The check asks the machine for both.

# %%
target, logit = np.float32(1), np.full((1, 1), -6, "float32")  # a white pixel, drawn almost black
cross_gradient = training.input_gradient(
    lambda value: ops.relu(value) - value * target + ops.log1p(ops.exp(-ops.abs(value))), logit
)
square_gradient = training.input_gradient(lambda value: (ops.sigmoid(value) - target) ** 2, logit)
cross_gradient, square_gradient = float(cross_gradient[0, 0]), float(square_gradient[0, 0])
assert np.isclose(cross_gradient, 1 / (1 + np.exp(6)) - 1, atol=1e-5)
assert abs(square_gradient) < 0.01
print(f"gradients: cross-entropy {cross_gradient:.3f}, squared error {square_gradient:.3f}")

# %% [markdown]
# ## The model
#
# Keras lets a model define its own loss in `compute_loss`, and everything else of `fit` stays as it is. The target is the input itself: no labels, and no second array. The layer `GaussianNoise` is there for later; with the noise set to zero it does nothing, and it is only ever active during training.

# %% tags=["model"]
class Autoencoder(keras.Model):
    def __init__(self, encoder, decoder, noise=0.0):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.disturb = layers.GaussianNoise(noise, seed=SEED)

    def call(self, images, training=False):
        disturbed = self.disturb(images, training=training)
        return self.decoder(self.encoder(disturbed))            # [batch, 28, 28, 1] logits

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return ops.mean(nats_per_image(x, y_pred))              # nats per image


# %% tags=["model"]
autoencoder = Autoencoder(encoder, decoder)
autoencoder(x_test[:1])                                         # builds the weights

# %%
first_loss = float(ops.mean(nats_per_image(x_test[:100], autoencoder(x_test[:100]))))
assert abs(first_loss / (pixels * np.log(2)) - 1) < 0.1
print(f"{autoencoder.count_params():,} parameters; an untrained copy costs about 784 ln 2 nats")

# %% [markdown]
# An untrained decoder says "one half" everywhere, and pays $\ln 2$ for each of the 784 pixels, 543 nats. That is what we expected, so nothing is scaled wrongly.

# %% [markdown]
# ## Training
#
# Batches of 128 pictures in random order, Adam, and a learning rate that falls to zero along half a cosine, as in the chapter before.

# %% tags=["model"]
def prepare(model, epochs):
    train_batches = training.batches(x_train[:PICTURES], batch_size=BATCH_SIZE, seed=SEED)
    updates = epochs * len(train_batches)
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, updates)
    model.compile(keras.optimizers.Adam(schedule))
    return train_batches


train_batches = prepare(autoencoder, EPOCHS)

# %%
def train(model, train_batches, name, epochs):
    checkpoint = f"autoencoder_{name}_{SEED}"
    run = training.fit(
        model, train_batches, epochs=epochs, validation=x_validation, checkpoint=checkpoint
    )
    assert run.history["val_loss"][-1] < average_bce            # better than not looking
    if is_full_run():
        weights.release(model, f"autoencoder/{name}", run)


# %% tags=["nbval-ignore-output"]
train(autoencoder, train_batches, "code_2", EPOCHS)

# %% [markdown]
# The function refuses to go on unless the copies of validation pictures beat the average picture, which even the short run of the quick budget must manage. Then we load the weights of the full training, so that everything below looks the same on every machine.

# %%
run = weights.restore(autoencoder, "autoencoder/code_2")
print(f"weights of a run with {run.updates:,} updates")

# %% mystnb={"image": {"alt": "Two falling curves of cross-entropy by epoch, training and validation, close together"}, "figure": {"caption": "Cross-entropy on training and validation pictures during the full run.", "name": "fig-autoencoder-curve"}}
plots.loss_curves(run.history, labels={"loss": "training", "val_loss": "validation"})
plt.ylabel("nats per image")
plt.show()

# %% [markdown]
# ## Copies
#
# The first ten test pictures, and what remained of them after two numbers. PCA with two numbers stands below.

# %%
def decode(decoder, codes):
    codes = np.asarray(codes, "float32")
    parts = [decoder(codes[start : start + 1_000]) for start in range(0, len(codes), 1_000)]
    return np.concatenate([ops.convert_to_numpy(ops.sigmoid(part)) for part in parts])


def encode(encoder, images):
    parts = [encoder(images[start : start + 1_000]) for start in range(0, len(images), 1_000)]
    return np.concatenate([ops.convert_to_numpy(part) for part in parts])  # [n, code_size]


test_codes = encode(encoder, x_test)
copies = decode(decoder, test_codes)
assert test_codes.shape == (len(x_test), CODE_SIZE) and copies.shape == x_test.shape

# %% mystnb={"image": {"alt": "Three rows of ten pictures: originals, copies by the autoencoder which are soft but recognisable, and PCA copies which are ghostly mixtures"}, "figure": {"caption": "Originals, copies from two numbers by the autoencoder, and by PCA.", "name": "fig-autoencoder-copies"}}
pca_copies = pca_copy(flat_test[:10], CODE_SIZE).reshape(-1, 28, 28, 1)
plots.image_grid(
    np.concatenate([x_test[:10], copies[:10], pca_copies]),
    row_labels=["original", "autoencoder", "PCA"],
)
plt.show()

# %% [markdown]
# The kind of garment survives, and its brightness; prints, buttons and stripes do not. The blur is no accident: among all pictures that share a code, the loss is smallest for their *average*. PCA's copies are worse in another way: shirts with the shadow of a trouser in them, because a flat sheet cannot pass through all ten kinds of clothes.

# %%
def errors_per_image(copies):
    return np.mean((x_test - copies) ** 2, axis=(1, 2, 3))      # [n]


errors = errors_per_image(copies)
logits = np.log(np.clip(copies, 1e-7, 1 - 1e-7)) - np.log1p(-np.clip(copies, 1e-7, 1 - 1e-7))
nats = ops.convert_to_numpy(nats_per_image(x_test, logits))     # [n]
same_error_size = next(
    size for size in range(1, 100) if mse(flat_test, pca_copy(flat_test, size)) <= errors.mean()
)
assert errors.mean() <= 0.65 * pca_mse and floor < nats.mean() < average_bce
print(f"autoencoder {errors.mean():.4f}, PCA {pca_mse:.4f}: {errors.mean() / pca_mse:.2f} of it")
print(f"PCA needs {same_error_size} numbers to reach the error of our two")
print(f"cross-entropy {nats.mean():.1f} nats per image, of which {floor:.1f} nobody can avoid")

# %% [markdown]
# ## The plane
#
# With a code of two numbers we can look at everything the network knows. Each test picture becomes a point. The colours are the true classes, which the network has never been told.

# %% mystnb={"image": {"alt": "Scatter plot of test codes in ten colours: trousers, bags, shoes and boots form separate regions, upper garments overlap"}, "figure": {"caption": "Codes of the test pictures, coloured by class; each name stands at the median of its class.", "name": "fig-autoencoder-plane"}}
figure, axis = plt.subplots(figsize=(6.4, 5.2))
for label, name in enumerate(data.class_names):
    points = test_codes[y_test == label]
    axis.scatter(*points.T, s=3, alpha=0.5, color=plots.COLOURS[label])
    axis.text(*np.median(points, axis=0), name, ha="center", fontsize=9, weight="bold",
              bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1})
low, high = np.percentile(test_codes, [0.5, 99.5], axis=0)     # without the few far points
axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
axis.set(xlabel="first number of the code", ylabel="second number of the code")
plt.show()

# %% [markdown]
# Trousers, bags and shoes have their own quarters; shirts, coats and pullovers share one, and people confuse them too. To see what the decoder makes of the plane, we lay a grid over its middle and decode every point.

# %% tags=["cover"] mystnb={"image": {"alt": "Chart of decoded pictures over the code plane: kinds of clothes blend into each other, with smudges in between"}, "figure": {"caption": "Decoded points of a regular grid over the code plane, from the 2nd to the 98th percentile of the test codes.", "name": "fig-autoencoder-grid"}}
low, high = np.percentile(test_codes, [2, 98], axis=0)
columns, rows = np.meshgrid(np.linspace(low[0], high[0], 16), np.linspace(high[1], low[1], 16))
grid = np.stack([columns.ravel(), rows.ravel()], axis=1)        # [256, 2], the top row first
sheet = decode(decoder, grid).reshape(16, 16, 28, 28)           # [row, column, height, width]
sheet = sheet.transpose(0, 2, 1, 3).reshape(16 * 28, 16 * 28)
figure, axis = plt.subplots(figsize=(6, 6))
axis.imshow(sheet, cmap="gray_r", extent=(low[0], high[0], low[1], high[1]), aspect="auto")
axis.set(xlabel="first number of the code", ylabel="second number of the code")
plt.show()

# %% [markdown]
# ## Gaps, and why this is not yet a generator
#
# To *generate* clothes we would like to pick a code at random and decode it. But from where? Nobody told the encoder which part of the plane to use, or to use it evenly. Here are thirty points drawn uniformly from the rectangle that holds the middle 98 percent of the codes in each direction. They are not selected.

# %% mystnb={"image": {"alt": "Thirty decoded random codes: some are clean garments, others are smudges between two kinds of clothes"}, "figure": {"caption": "Decoded from thirty random points of the plane, unselected.", "name": "fig-autoencoder-random"}}
low, high = np.percentile(test_codes, [1, 99], axis=0)
random_codes = np.random.default_rng(SEED).uniform(low, high, size=(2_000, 2))
random_pictures = decode(decoder, random_codes)
plots.image_grid(random_pictures[:30])
plt.show()

# %% [markdown]
# Some are clothes, others are smudges. The eye says that smudges come from gaps; can we measure it? A picture that the pair really knows should survive another round trip: encode what was decoded, and you should be back where you started. And a real garment should resemble at least one training picture. Let us compare both with the distance from the random code to the nearest code of a training picture, in units of the rectangle's sides.

# %%
train_codes = encode(encoder, datasets.scale(x_train[:20_000]))
side = high - low
to_nearest_code, _ = cKDTree(train_codes / side).query(random_codes / side)      # [2000]
back = encode(encoder, random_pictures)
round_trip = np.linalg.norm((back - random_codes) / side, axis=1)                # [2000]
far = to_nearest_code > np.quantile(to_nearest_code, 0.75)       # the emptiest quarter
near = to_nearest_code < np.quantile(to_nearest_code, 0.25)
assert np.median(round_trip[far]) > np.median(round_trip[near])
print(f"the round trip misses by {np.median(round_trip[near]):.3f} of a side near training codes")
print(f"and by {np.median(round_trip[far]):.3f} in the gaps (medians over 500 random codes each)")
print(f"rank correlation with the gap: {metrics.rank_correlation(to_nearest_code, round_trip):.2f}")

# %% mystnb={"image": {"alt": "Map of the code plane: training codes as grey dots, and coloured random points that are darker where the round trip misses, mostly in empty regions"}, "figure": {"caption": "Training codes (grey) and random codes; the darker a random code, the further from it the round trip ends.", "name": "fig-autoencoder-gaps"}}
figure, axis = plt.subplots(figsize=(6.4, 5))
axis.scatter(*train_codes.T, s=1, color="0.8")
shown = np.minimum(round_trip, np.quantile(round_trip, 0.95))
points = axis.scatter(*random_codes.T, c=shown, s=10, cmap="viridis_r")
figure.colorbar(points, label="miss of the round trip, in sides")
axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
axis.set(xlabel="first number of the code", ylabel="second number of the code")
plt.show()

# %% [markdown]
# There is a deeper reason for the gaps than bad luck: **the loss never looks at the codes.** Stretch the plane, turn it, move it elsewhere; if the first layer of the decoder undoes the change, every copy stays exactly the same, and so does the loss. Any arrangement of codes is as good as any other.

# %%
stretch = np.array([[30.0, 4.0], [-2.0, 0.5]])
shift = np.array([100.0, -7.0])
moved_codes = test_codes[:500] @ stretch + shift                # turned, stretched and moved away

moved_decoder = build_decoder(CODE_SIZE)
kernel, bias, *others = decoder.get_weights()
undo = np.linalg.inv(stretch)
moved_decoder.set_weights([undo @ kernel, bias - shift @ undo @ kernel, *others])
assert np.allclose(decode(moved_decoder, moved_codes), copies[:500], atol=2e-3)
print("codes around", np.round(moved_codes.mean(axis=0), -1), "give the same copies")

# %% [markdown]
# To get a generator, someone has to tell the encoder where the codes should lie. That is the idea of the *variational* autoencoder in the next notebook.

# %% [markdown]
# ## How many numbers?
#
# Two numbers are good for looking. How does the error fall when the code may be longer, and does the advantage over PCA last? Two more networks, with codes of 8 and 32 numbers, trained for fewer passes.

# %% tags=["nbval-ignore-output"]
models = {CODE_SIZE: autoencoder}
for size in OTHER_CODE_SIZES:
    models[size] = Autoencoder(build_encoder(size), build_decoder(size))
    models[size](x_test[:1])                                    # builds the weights
    train(models[size], prepare(models[size], OTHER_EPOCHS), f"code_{size}", OTHER_EPOCHS)

# %%
size_errors = {CODE_SIZE: errors.mean()}
size_runs = {CODE_SIZE: run}
for size in OTHER_CODE_SIZES:
    size_runs[size] = weights.restore(models[size], f"autoencoder/code_{size}")
    codes = encode(models[size].encoder, x_test)
    size_errors[size] = errors_per_image(decode(models[size].decoder, codes)).mean()
pca_errors = {size: mse(flat_test, pca_copy(flat_test, size)) for size in range(1, 65)}
ratios = {size: size_errors[size] / pca_errors[size] for size in size_errors}
assert max(ratios.values()) < 1 and max(ratios, key=ratios.get) == 32
for size, ratio in ratios.items():
    compared = f"{size_errors[size]:.4f}, PCA {pca_errors[size]:.4f}"
    print(f"{size:2} numbers: {compared}, ratio {ratio:.2f}")

# %% mystnb={"image": {"alt": "Error against code size on logarithmic axes: the autoencoder's three points lie below PCA's curve, the gap narrows for longer codes"}, "figure": {"caption": "Squared error per pixel on test pictures against the size of the code.", "name": "fig-autoencoder-sizes"}}
figure, axis = plt.subplots()
axis.plot(list(pca_errors), list(pca_errors.values()), "--", label="PCA")
axis.plot(list(size_errors), list(size_errors.values()), "o-", label="autoencoder")
axis.set(xscale="log", yscale="log", xlabel="numbers in the code", ylabel="squared error per pixel")
axis.set_xticks([1, 2, 4, 8, 16, 32, 64], ["1", "2", "4", "8", "16", "32", "64"])
axis.legend()
plt.show()

# %% [markdown]
# The bent sheet saves most while the code is short. With many numbers PCA has room enough for most of what clothes do, and the size and the short training of our network become the limit.

# %% [markdown]
# ## Denoising: another way to forbid copying
#
# Without the bottleneck the task would be pointless: a network with enough room would copy every picture pixel by pixel, and would have learnt nothing. A bottleneck is one way to forbid this. Noise is another. The *denoising autoencoder* {cite}`vincent2008denoising` gets a spoilt picture $\tilde x = x + \sigma\epsilon$ with $\epsilon \sim \mathcal{N}(0, I)$ and has to give back the clean one. Copying is now a bad answer, and the only good one is to know what clothes look like.
#
# So the inner code may be *larger* than the picture. Ours has 7 by 7 places with 64 numbers each, 3,136 in all, and no dense layer.

# %% tags=["model"]
def build_denoiser():
    spoilt = keras.Input(shape=(28, 28, 1))
    x = layers.Conv2D(2 * FILTERS, 3, strides=2, padding="same", activation="relu")(spoilt)
    x = layers.Conv2D(4 * FILTERS, 3, strides=2, padding="same", activation="relu")(x)
    code = layers.Conv2D(4 * FILTERS, 3, padding="same", activation="relu")(x)  # [batch, 7, 7, 64]
    code_in = keras.Input(shape=code.shape[1:])
    x = layers.Conv2DTranspose(2 * FILTERS, 4, strides=2, padding="same")(code_in)
    logits = layers.Conv2DTranspose(1, 4, strides=2, padding="same")(layers.ReLU()(x))
    return Autoencoder(keras.Model(spoilt, code), keras.Model(code_in, logits), noise=NOISE)


denoiser = build_denoiser()
denoiser(x_test[:1])                                            # builds the weights
denoiser_batches = prepare(denoiser, OTHER_EPOCHS)
print(f"{denoiser.count_params():,} parameters, code {denoiser.encoder.output_shape[1:]}")

# %% tags=["nbval-ignore-output"]
train(denoiser, denoiser_batches, "denoiser", OTHER_EPOCHS)

# %%
denoiser_run = weights.restore(denoiser, "autoencoder/denoiser")
noise = np.random.default_rng(SEED).standard_normal(x_test.shape, dtype=np.float32)
spoilt_test = x_test + NOISE * noise
repaired = decode(denoiser.decoder, encode(denoiser.encoder, spoilt_test))
noisy_mse = mse(x_test, spoilt_test)
assert np.isclose(noisy_mse, NOISE**2, rtol=0.01)               # the noise is as strong as we said
print(f"squared error per pixel: spoilt {noisy_mse:.4f}, repaired {mse(x_test, repaired):.4f}")

# %% [markdown]
# A number needs a comparison. The strongest linear one is known in closed form: along each PCA pattern the picture has the variance $\lambda_k$ and the noise $\sigma^2$, and the best linear answer shrinks the noisy weight by $\lambda_k / (\lambda_k + \sigma^2)$, a great deal where there is mostly noise, hardly at all where there is mostly picture. (We then clip the result to the interval from 0 to 1, which helps a little.) The theory also says what error remains, $\sum_k \lambda_k \sigma^2 / (\lambda_k + \sigma^2)$, and we check that it does.

# %%
shrink = eigenvalues / (eigenvalues + NOISE**2)                 # [784], from almost 1 to almost 0
flat_spoilt = spoilt_test.reshape(len(spoilt_test), -1)
linear = (flat_spoilt - average) @ patterns * shrink @ patterns.T + average
predicted_mse = np.sum(eigenvalues * NOISE**2 / (eigenvalues + NOISE**2)) / pixels
assert np.isclose(mse(flat_test, linear), predicted_mse, rtol=0.03)
linear = np.clip(linear, 0, 1)                                  # no brightness lies outside
linear_mse = mse(flat_test, linear)
repaired_errors = errors_per_image(repaired)
assert repaired_errors.mean() < linear_mse
print(f"best linear denoiser {linear_mse:.4f}, ours {repaired_errors.mean():.4f}")

# %% mystnb={"image": {"alt": "Four rows of ten pictures: clean, covered in noise, repaired by the best linear filter with grey veils, and repaired by the network with clean backgrounds"}, "figure": {"caption": "Test pictures, spoilt by noise of standard deviation 0.5, and repaired in two ways.", "name": "fig-autoencoder-denoising"}}
linear_pictures = linear[:10].reshape(-1, 28, 28, 1)
plots.image_grid(
    np.concatenate([x_test[:10], spoilt_test[:10], linear_pictures, repaired[:10]]),
    row_labels=["original", "spoilt", "linear", "network"],
)
plt.show()

# %% [markdown]
# A denoiser knows more than it seems. The best possible one answers with the mean of all clean pictures that could have led to the spoilt one, and the step from $\tilde x$ to that mean points uphill, towards where pictures are more probable: $\mathbb{E}[x \mid \tilde x] - \tilde x = \sigma^2 \nabla \log p(\tilde x)$. An exercise proves this on a line. The chapter on diffusion builds a generator out of nothing but this fact.

# %% [markdown]
# ## Evaluation

# %%
def standard_error(values):
    return values.std() / np.sqrt(len(values))


record = results.Record("autoencoder", DATASET, data.source)
n = len(x_test)
record.metric("test_mse", errors.mean(), n=n, sd=standard_error(errors))
record.metric("test_bce_nats", nats.mean(), n=n, sd=standard_error(nats))
record.metric("pca_mse", pca_mse, n=n)
record.metric("mean_picture_bce_nats", average_bce, n=n)
record.metric("floor_bce_nats", floor, n=n)
record.metric("denoiser.test_mse", repaired_errors.mean(), n=n, sd=standard_error(repaired_errors))
record.metric("linear_denoiser_mse", linear_mse, n=n)
for size in OTHER_CODE_SIZES:
    record.metric(f"code_{size}.test_mse", size_errors[size], n=n)
    record.metric(f"code_{size}.pca_mse", pca_errors[size], n=n)

# %%
few = slice(QUICK_TEST)
record.check("test_mse", errors[few].mean(), n=QUICK_TEST, sd=standard_error(errors[few]))
record.check("test_bce_nats", nats[few].mean(), n=QUICK_TEST, sd=standard_error(nats[few]))
few_errors = repaired_errors[few]
record.check("denoiser.test_mse", few_errors.mean(), n=QUICK_TEST, sd=standard_error(few_errors))
all_models = {f"code_{size}": model for size, model in models.items()} | {"denoiser": denoiser}
all_runs = {f"code_{size}": run for size, run in size_runs.items()} | {"denoiser": denoiser_run}
record.save(
    parameters={name: model.count_params() for name, model in all_models.items()},
    updates={name: run.updates for name, run in all_runs.items()},
    seconds=sum(run.seconds for run in all_runs.values()),
    weight_names=[f"autoencoder/{name}" for name in all_models],
)
results.quote("autoencoder-ratio", f"{errors.mean() / pca_mse:.2f}")

# %% [markdown]
# On the test pictures the autoencoder's error is {glue:text}`autoencoder-ratio` times that of PCA with as many numbers. Both were measured at 28 by 28 pixels, on all 10,000 pictures, per pixel. The cross-entropy stays far above its floor of {glue:text}`autoencoder-floor` nats: two numbers are not much.
#
# ## What goes wrong
#
# **A denoiser expects its noise.** Ours was trained at one strength. Given weaker noise it still smooths as if the noise were strong, and a picture without any noise comes back *worse* than it was.

# %%
strengths = (0.0, 0.1, 0.25, 0.5, 1.0)
rows = []
for strength in strengths:
    spoilt = x_test[few] + strength * noise[few]
    fixed = decode(denoiser.decoder, encode(denoiser.encoder, spoilt))
    rows.append([strength, mse(x_test[few], spoilt), mse(x_test[few], fixed)])
assert rows[0][2] > rows[0][1] and rows[3][2] < 0.1 * rows[3][1]
results.show_table(
    ["noise", "error before", "error after"],
    [[f"{strength:.2f}", f"{before:.4f}", f"{after:.4f}"] for strength, before, after in rows],
)

# %% [markdown]
# **Two logistic functions.** A decoder that ends with `activation="sigmoid"`, and a loss that expects logits: nothing crashes, and the network even learns something. But the loss now applies the logistic function to numbers that already lie between 0 and 1, so that no pixel can get darker than $\sigma(0) = 0.5$ or brighter than $\sigma(1) \approx 0.73$. We can say without any training how far the loss can fall at best.

# %%
darkest, brightest = 0.5, 1 / (1 + np.exp(-1))
attainable = np.clip(flat_test, darkest, brightest)             # the best that is within reach
stuck = -(flat_test * np.log(attainable) + (1 - flat_test) * np.log(1 - attainable))
stuck_nats = stuck.sum(axis=1).mean()
assert stuck_nats > average_bce
print(f"with two logistic functions: {stuck_nats:.0f} nats at best, the average picture "
      f"{average_bce:.0f}")

# %% [markdown]
# A loss that comes to rest above that of the average picture has not "converged": look for the second logistic function.

# %% [markdown]
# **Mixing in the wrong place.** Halfway between two pictures, pixel by pixel, lies a double exposure. Halfway between their *codes* lies, with luck, a garment; if the straight line crosses a gap, a smudge. We walk from the first test picture, a boot, to the second, a pullover.

# %% mystnb={"image": {"alt": "Two rows: a cross-fade of a boot and a pullover with both visible, and decoded codes in between, which change shape"}, "figure": {"caption": "From one picture to another, in pixels (above) and in codes (below).", "name": "fig-autoencoder-walk"}}
weights_of_second = np.linspace(0, 1, 10)
pixel_walk = [(1 - w) * copies[0] + w * copies[1] for w in weights_of_second]
code_walk = [(1 - w) * test_codes[0] + w * test_codes[1] for w in weights_of_second]
plots.image_grid(
    np.concatenate([pixel_walk, decode(decoder, code_walk)]), row_labels=["pixels", "codes"]
)
plt.show()

# %% [markdown]
# ## Lessons
#
# - A bottleneck forces a pair of networks to find out what matters; noise at the input is another way to forbid plain copying.
# - Compare with PCA at the same code size, on held-out pictures. It is one matrix decomposition away, and it is the best linear answer.
# - Say whether a loss is a sum or a mean. Cross-entropy on grey pixels has a floor, and it is not zero.
# - The loss of an autoencoder never looks at the arrangement of the codes. So there are gaps, and random codes are a gamble.
# - A denoiser learns the direction towards more probable pictures, and expects the noise it was trained with.
#
# **Things to try.** Run with `GENBOOK_BUDGET=cpu GENBOOK_SEED=1`: the plane comes out different, the error hardly. Replace the cross-entropy by the squared error. Spoil the pictures by deleting squares instead of adding noise. Feed the denoiser its own answer again, and again.

# %% [markdown]
# ## Exercises
#
# :::{exercise} Three people, one network
# :label: autoencoder-units
#
# For the same network and the same test pictures of 28 by 28 pixels, one person reports the loss 252.8, another 0.3224, a third 323,584 (for a batch of 1,280 pictures). The first is in nats per image. Which sums and means did the others take? Complete the function that turns any of the three into nats per image.
# :::

# %% [markdown]
# :::{solution-start} autoencoder-units
# :class: dropdown
# :::
#
# A mean over pixels is 784 times smaller than the sum over pixels: $0.3224 \cdot 784 \approx 252.8$. A sum over the batch as well is 1,280 times larger: $323{,}584 / 1{,}280 = 252.8$. With one loss term the gradient only changes its length, which Adam hardly notices. With two terms that are summed over different things, the balance between them changes by that factor.

# %% tags=["solution"]
def to_nats_per_image(value, over_pixels, over_batch, pixels=784, batch_size=1_280):
    """over_pixels and over_batch: "sum" or "mean", the way in which `value` was made."""
    ### BEGIN SOLUTION
    value = value * pixels if over_pixels == "mean" else value
    return value / batch_size if over_batch == "sum" else value
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
assert abs(to_nats_per_image(252.8, "sum", "mean") - 252.8) < 1e-9
assert abs(to_nats_per_image(0.32245, "mean", "mean") - 252.8) < 0.1
assert abs(to_nats_per_image(323_584, "sum", "sum") - 252.8) < 1e-9
print("correct")

# %% [markdown]
# :::{exercise} The shortest linear autoencoder
# :label: autoencoder-linear
#
# Take everything that bends out of the pair: an encoder that is one dense layer from 784 pixels to two numbers, and a decoder that is one dense layer back, trained on the squared error. Predict its error on test pictures before you train it. Complete the function so that it trains such a model for 600 updates on the first training pictures and returns it.
# :::

# %% [markdown]
# :::{solution-start} autoencoder-linear
# :class: dropdown
# :::
#
# It cannot do better than PCA on the training pictures, for PCA is the best linear answer. And the gradient finds the same sheet: the error comes down to PCA's. The code itself need not agree with PCA's, for the reason that we saw: any stretched and turned plane is as good.

# %% tags=["solution"]
def train_linear_autoencoder(updates=600):
    ### BEGIN SOLUTION
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((784,)), layers.Dense(2), layers.Dense(784)]
    )
    model.compile(keras.optimizers.Adam(3e-3), loss="mean_squared_error")
    flat = datasets.scale(x_train[:20_000]).reshape(-1, 784)
    for update in range(updates):
        start = update * 256 % (len(flat) - 256)
        model.train_on_batch(flat[start : start + 256], flat[start : start + 256])
    return model
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
linear_autoencoder = train_linear_autoencoder()
assert linear_autoencoder is not None
assert linear_autoencoder.count_params() == 784 * 2 + 2 + 2 * 784 + 784
flat_pictures = x_test.reshape(len(x_test), -1)
linear_copies = ops.convert_to_numpy(linear_autoencoder(flat_pictures))
linear_error = np.mean((flat_pictures - linear_copies) ** 2)
assert 0.045 < linear_error < 0.049  # PCA with two numbers reaches 0.0461
print("as good as PCA, and not better")

# %% [markdown]
# :::{exercise} The step of a denoiser, on a line
# :label: autoencoder-tweedie
#
# Let $x$ be $+1$ or $-1$ with equal probability, and $\tilde x = x + \sigma\epsilon$. Derive the best denoiser $\mathbb{E}[x \mid \tilde x]$ by Bayes' rule, and the derivative of $\log p(\tilde x)$, where $p$ is the density of the noisy value. Complete both functions; the check compares the two sides of $\mathbb{E}[x \mid \tilde x] = \tilde x + \sigma^2 \frac{d}{d\tilde x} \log p(\tilde x)$.
# :::

# %% [markdown]
# :::{solution-start} autoencoder-tweedie
# :class: dropdown
# :::
#
# The noisy value has the density $p(\tilde x) = \frac12 \mathcal{N}(\tilde x; 1, \sigma^2) + \frac12 \mathcal{N}(\tilde x; -1, \sigma^2)$. The probability of $x = +1$ given $\tilde x$ is a logistic function of $2 \tilde x / \sigma^2$, so the mean is $\tanh(\tilde x / \sigma^2)$. In the derivative of $\log p$ each Gaussian brings $(x - \tilde x)/\sigma^2$, weighted by exactly the same probabilities, hence $(\mathbb{E}[x \mid \tilde x] - \tilde x)/\sigma^2$. Nothing in this argument needed two points: it holds for any distribution of $x$, pictures included.

# %% tags=["solution"]
def best_denoiser(noisy, sigma):
    ### BEGIN SOLUTION
    return np.tanh(noisy / sigma**2)
    ### END SOLUTION


def log_density(noisy, sigma):
    ### BEGIN SOLUTION
    exponents = np.stack([-((noisy - x) ** 2) / (2 * sigma**2) for x in (-1, 1)])
    return np.logaddexp(*exponents) - np.log(2 * sigma * np.sqrt(2 * np.pi))
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
noisy_values, sigma, nudge = np.linspace(-3, 3, 61), 0.8, 1e-5
rise = log_density(noisy_values + nudge, sigma) - log_density(noisy_values - nudge, sigma)
fine = np.linspace(-12, 12, 20_001)
assert abs(np.exp(log_density(fine, sigma)).sum() * (fine[1] - fine[0]) - 1) < 1e-6
step = sigma**2 * rise / (2 * nudge)
assert np.allclose(best_denoiser(noisy_values, sigma), noisy_values + step, atol=1e-6)
print("correct")

# %% [markdown]
# :::{exercise} Too much room
# :label: autoencoder-room
#
# Suppose the code had 784 numbers and the network no noise at its input. Which loss would a perfect training reach, in nats per image on these test pictures, and what would the network have learnt? Then answer the same question for the denoiser: is there any training that brings its loss to the same value? Complete the function with your two answers: a number, and `True` or `False`.
# :::

# %% [markdown]
# :::{solution-start} autoencoder-room
# :class: dropdown
# :::
#
# With room for every pixel the network can copy, and pays only the floor, about 190 nats. It has learnt the identity, which knows nothing about clothes: noise would be copied as faithfully as a shirt. The denoiser cannot get there, however long it trains: the noise has destroyed information, several clean pictures could have led to the spoilt one, and the best answer is their mean. What remains is the price of that uncertainty.

# %% tags=["solution"]
def too_much_room():
    ### BEGIN SOLUTION
    return 190.0, False
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
nats_of_the_identity, denoiser_can_reach_it = too_much_room()
brightness = np.clip(x_test, 1e-7, 1 - 1e-7).astype("float64")
entropy = -brightness * np.log(brightness) - (1 - brightness) * np.log(1 - brightness)
assert abs(nats_of_the_identity - entropy.sum() / len(x_test)) < 2
assert denoiser_can_reach_it is False
print("correct")

# %% [markdown]
# ## References
#
# Principal components go back to {cite:t}`pearson1901lines`; deep autoencoders had their modern start with {cite:t}`hinton2006reducing`, and the denoising ones with {cite:t}`vincent2008denoising` and {cite:t}`vincent2010stacked`. On chequerboards and kernel sizes: {cite:t}`odena2016deconvolution`. The data set is by {cite:t}`xiao2017fashion`. The plan of a two-number autoencoder on these pictures follows {cite:t}`foster2023generative`; that of encoder and decoder as mirror images is told at length by {cite:t}`goodfellow2016deep`.
