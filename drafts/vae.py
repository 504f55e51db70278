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
# # The variational autoencoder
#
# The autoencoder of the last notebook could draw a picture from a code, but nobody knew which codes to try. The *variational autoencoder* {cite}`kingma2014vae,rezende2014stochastic` repairs that with one idea: the encoder answers with a small cloud of codes instead of a point, and all clouds together are asked to fill the shape of a standard Gaussian. Then a draw from that Gaussian is a code the decoder knows. What falls out is more than a trick: a generative model with a likelihood, a loss whose unit is the nat, and a way to say how unusual a picture is.
#
# ![A chart of small pictures of clothes that blend into each other without gaps](images/vae.png)
#
# *The goal of this notebook: the plane of a VAE with two latent numbers, decoded at equal steps of probability. Nothing was selected.*

# %% [markdown]
# ## What to expect
#
# We build two models: one with two latent numbers, for looking, and one with sixteen, for quality. All likelihoods are **negative bounds in nats per image on test pictures: lower is better**. The Fréchet distance (FID) compares 10,000 generated pictures with 10,000 test pictures in the features of the classifier of chapter 2; FID-fashion is its full name, since other features give other scales.

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
from scipy import stats
from scipy.special import logsumexp

from helpers import datasets, explorer, metrics, plots, results, training, weights
from helpers.budget import budget, current_seed, is_full_run

plots.use_style()

# %%
results.expectation(
    "vae",
    dataset="fashion_mnist",
    rows=[
        {"label": "2-D: negative ELBO, nats", "metric": "vae_2d.test_elbo_nats", "digits": 1,
         "baseline": "mean_picture_nats", "optimum": "floor_nats"},
        {"label": "16-D: negative ELBO, nats", "metric": "vae_16d.test_elbo_nats", "digits": 1,
         "baseline": "mean_picture_nats", "optimum": "floor_nats"},
        {"label": "16-D: importance-weighted bound, nats", "metric": "vae_16d.iwae_nats",
         "baseline": "mean_picture_nats", "optimum": "floor_nats", "digits": 1},
        {"label": "16-D: FID-fashion of mean images", "metric": "vae_16d.fid",
         "baseline": "trivial_fid", "optimum": "floor_fid", "digits": 2},
        {"label": "16-D: FID-fashion, pixels drawn", "metric": "vae_16d.bernoulli_fid",
         "baseline": "trivial_fid", "optimum": "floor_fid", "digits": 2},
        {"label": "digits among clothes, ROC-AUC", "metric": "vae_16d.auroc_digits",
         "baseline": "brightness_auroc_digits", "optimum": "1"},
    ],
)

# %% [markdown]
# The baseline of the likelihoods is the average training picture; their optimum is the price of a perfect copy without any code, a floor that no model can reach. The baseline of the FID is a Gaussian with the covariance of the pixels, its floor the distance of real from real pictures.

# %% [markdown]
# ## Settings

# %% tags=["settings"]
SEED = current_seed()               # seeds weights, batches and draws; 0 unless a run asks
DATASET = datasets.choose_dataset("fashion_mnist", alternatives=[])
VALIDATION = 5_000                  # last training pictures, kept aside to watch the training
PICTURES = budget(quick=12_800, cpu=55_000)  # training pictures that are used
BATCH_SIZE = 128                    # pictures per update
LEARNING_RATE = 1e-3                # Adam's step size at the start; it falls to zero along a cosine
FILTERS = {2: 16, 16: 32}           # feature maps, by the size of the code
EPOCHS = {2: budget(quick=1, cpu=20), 16: budget(quick=1, cpu=25)}  # passes
BETAS = (0.1, 0.3, 1.0, 3.0, 10.0, 50.0)  # weights of the KL term in the sweep
SWEEP_EPOCHS = 5                    # passes of each short run of the sweep
PEEKING_FILTERS = 8                 # feature maps of the models whose decoder peeks
PEEKING_PICTURES, PEEKING_EPOCHS = 20_000, 4  # pictures and passes of their runs
DIGIT_EPOCHS = 20                   # passes over the 4,000 training digits
FREE_NATS = 0.5                     # nats per latent number that cost nothing, against collapse
IMPORTANCE_DRAWS = 100              # codes per picture for the importance-weighted bound
FID_SAMPLES = 10_000                # generated pictures behind every FID
QUICK_TEST = 2_000                  # test pictures on which a quick run measures again
training.set_seed(SEED)

# %% [markdown]
# ## The data

# %% tags=["exercise-context"]
data = datasets.load(DATASET)
x_train = data.x_train[:-VALIDATION]                      # [55000, 28, 28, 1], bytes
x_validation = datasets.scale(data.x_train[-VALIDATION:])
x_test, y_test = datasets.scale(data.x_test), data.y_test
pixels = x_test[0].size                                   # 784
print("training", x_train.shape, " validation", x_validation.shape, " test", x_test.shape)

# %% [markdown]
# ## A story of how pictures come about
#
# A *latent variable model* tells a story in two steps. First a code $z$ of $K$ numbers is drawn from a standard Gaussian, $p(z) = \mathcal{N}(0, I)$, the *prior*. Then the decoder, with parameters $\theta$, turns the code into a distribution over pictures, $p_\theta(x \mid z)$, from which the picture is drawn. The probability of a picture is what all codes together give to it:
#
# $$ p_\theta(x) = \int p_\theta(x \mid z)\, p(z)\, \mathrm{d}z . $$
#
# To train by maximum likelihood we would need this integral, and for nearly every code the integrand is as good as zero: a random code is no sneaker. It would help to know which codes are worth a look for this picture. So a second network, the *encoder* with parameters $\phi$, proposes them: a Gaussian $q_\phi(z \mid x) = \mathcal{N}(\mu, \mathrm{diag}(\sigma^2))$ whose mean and spread depend on the picture. Writing the integral as a mean over this proposal and moving the logarithm inside (Jensen's inequality: the logarithm of a mean is at least the mean of the logarithms) gives a lower bound:
#
# $$ \log p_\theta(x) = \log \mathbb{E}_{q} \Big[ \frac{p_\theta(x \mid z)\, p(z)}{q_\phi(z \mid x)} \Big] \;\ge\; \underbrace{\mathbb{E}_{q} \big[ \log p_\theta(x \mid z) \big]}_{\text{how well codes redraw } x} - \underbrace{\mathrm{KL}\big( q_\phi(z \mid x) \,\|\, p(z) \big)}_{\text{how far the cloud is from the prior}} . $$
#
# This is the *evidence lower bound*, ELBO. What is missing is exactly $\mathrm{KL}(q_\phi(z \mid x) \,\|\, p_\theta(z \mid x))$, the distance of the proposal from the true posterior, so raising the bound improves the model and the encoder at once. We minimise its negative, *reconstruction plus KL*, and measure both parts in nats per image.
#
# ## The likelihood of grey pixels, honestly
#
# For the decoder's distribution we follow common practice and take independent Bernoulli variables: each output is the probability that the pixel is white. That gives the cross-entropy of the last notebook, summed over the 784 pixels.

# %% tags=["exercise-context", "model"]
def nats_per_image(images, logits):
    # max(l, 0) - l x + log(1 + exp(-|l|)): the cross-entropy in a form that cannot overflow
    per_pixel = ops.relu(logits) - logits * images + ops.log1p(ops.exp(-ops.abs(logits)))
    return ops.sum(per_pixel, axis=(1, 2, 3))             # [batch], a sum over the pixels


# %% [markdown]
# But a Bernoulli variable is zero or one, and our pixels are grey. **For grey pixels this is not a density**: over all grey pictures it does not integrate to one, and the numbers below must not be compared with likelihoods of models that treat pixels as 256 levels. It remains a sensible loss. Read it so: imagine that each pixel $x_d$ were replaced by white with probability $x_d$ and black otherwise. The cross-entropy is the expected negative log-likelihood of such a coin-tossed picture, and for this binary world the bound is a true bound. The normalised alternative for grey values is the continuous Bernoulli {cite}`loaizaganem2019continuous`.
#
# One consequence shows in every number: the coin tosses themselves have an entropy that no model can predict. This floor is far from zero.

# %%
def binary_entropy_nats(images):
    p = np.clip(images.astype("float64"), 1e-12, 1 - 1e-12)
    return -(p * np.log(p) + (1 - p) * np.log(1 - p)).reshape(len(images), -1).sum(axis=1)  # [n]


test_floor = binary_entropy_nats(x_test)
average = np.clip(datasets.scale(x_train).mean(axis=0), 1e-6, 1 - 1e-6)          # [28, 28, 1]
average_logits = (np.log(average) - np.log1p(-average))[None]
average_nats = float(ops.mean(nats_per_image(x_test, average_logits)))
assert 180 < test_floor.mean() < 200 < average_nats
print(f"floor {test_floor.mean():.1f} nats per image, average picture {average_nats:.1f}")
results.quote("vae-floor", f"{test_floor.mean():.0f}")

# %% [markdown]
# A negative ELBO of 250 is therefore not "250 wrong": {glue:text}`vae-floor` of these nats are the same for everybody, and what matters is the part above.
#
# ## Encoder and decoder
#
# The encoder has two heads. One gives the mean $\mu$. The other gives $\log \sigma^2$, the *log-variance*: a logarithm may be any number, so the network cannot produce a negative spread, and the KL divergence contains $\log\sigma^2$ anyway.

# %% tags=["model"]
def halve(x, filters):
    x = layers.Conv2D(filters, 4, strides=2, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def build_encoder(code_size, filters):
    images = keras.Input(shape=(28, 28, 1))
    x = halve(images, filters)                            # [batch, 14, 14, filters]
    x = halve(x, 2 * filters)                             # [batch, 7, 7, 2 * filters]
    x = layers.Dense(8 * filters, activation="relu")(layers.Flatten()(x))
    mean = layers.Dense(code_size, name="mean")(x)        # [batch, code_size]
    log_variance = layers.Dense(code_size, name="log_variance")(x)  # [batch, code_size]
    return keras.Model(images, [mean, log_variance], name="encoder")


# %% [markdown]
# The decoder runs the other way. Batch normalisation {cite}`ioffe2015batchnorm` after each convolution is there for a reason: without it, half of the sixteen latent numbers stayed unused in our trials.

# %% tags=["model"]
def double(x, filters):
    x = layers.Conv2DTranspose(filters, 4, strides=2, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def build_decoder(code_size, filters):
    code = keras.Input(shape=(code_size,))
    x = layers.Dense(8 * filters, activation="relu")(code)
    x = layers.Dense(7 * 7 * 2 * filters, activation="relu")(x)
    x = layers.Reshape((7, 7, 2 * filters))(x)
    x = double(x, filters)                                # [batch, 14, 14, filters]
    x = double(x, filters // 2)                           # [batch, 28, 28, filters / 2]
    logits = layers.Conv2D(1, 3, padding="same")(x)       # [batch, 28, 28, 1]
    return keras.Model(code, logits, name="decoder")


# %% [markdown]
# ## Drawing a code that gradients can pass
#
# Between the two networks a code is drawn at random, and a gradient cannot pass through a die. The *reparameterisation trick* moves the die aside: draw $\epsilon \sim \mathcal{N}(0, I)$, which depends on nothing, and compute $z = \mu + \sigma \odot \epsilon$. Now $z$ is an ordinary function of $\mu$ and $\sigma$, and the chain rule applies.

# %% tags=["exercise-context", "model"]
class Sampling(layers.Layer):
    """Draws codes from N(mean, exp(log_variance)), one for each picture."""

    def __init__(self, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, mean, log_variance):
        epsilon = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * epsilon  # half: the root of the variance


# %% [markdown]
# The classic slip is to take the log-variance for a standard deviation, or to forget the half. Nothing crashes, the loss still falls, and the model is quietly wrong. So we ask for clouds around 3 with variance 4 and measure what comes out.

# %%
draws = Sampling(seed=SEED)(ops.full((100_000, 1), 3.0), ops.full((100_000, 1), np.log(4.0)))
draws = ops.convert_to_numpy(draws)
assert abs(draws.mean() - 3) < 0.05
assert abs(draws.std() - 2) < 0.05                        # not 4, and not log 4 = 1.39
print(f"mean {draws.mean():.1f}, standard deviation {draws.std():.1f}")

# %% [markdown]
# ## The KL divergence of a Gaussian
#
# For the two Gaussians of the VAE the integral can be solved on paper. Each latent number contributes
#
# $$ \mathrm{KL}\big(\mathcal{N}(\mu, \sigma^2) \,\|\, \mathcal{N}(0, 1)\big) = \tfrac12 \big( \mu^2 + \sigma^2 - 1 - \log \sigma^2 \big), $$
#
# and the contributions add up, because the numbers are independent in both distributions. It is zero only for $\mu = 0$ and $\sigma = 1$, a cloud that says nothing about its picture.

# %% tags=["exercise-context", "model"]
def kl_per_number(mean, log_variance):
    return 0.5 * (ops.square(mean) + ops.exp(log_variance) - 1 - log_variance)  # [batch, code_size]


# %% [markdown]
# A formula on paper deserves a test by dice: draw codes from the cloud, and average $\log q(z) - \log p(z)$. The test must also be able to fail, so we run it once more with the slip of above.

# %%
def monte_carlo_kl(mean, deviation, draws=200_000):
    z = mean + deviation * np.random.default_rng(SEED).standard_normal((draws, len(mean)))
    log_ratio = stats.norm.logpdf(z, mean, deviation) - stats.norm.logpdf(z)  # [draws, code_size]
    return log_ratio.sum(axis=1).mean()


some_mean, some_log_variance = np.array([1.5, -0.7, 0.0, 2.0]), np.array([-2.0, -1.0, 0.1, -3.0])
formula = float(ops.sum(kl_per_number(some_mean, some_log_variance)))
by_dice = monte_carlo_kl(some_mean, np.exp(0.5 * some_log_variance))
slip = monte_carlo_kl(some_mean, np.exp(some_log_variance))
assert abs(by_dice / formula - 1) < 0.01
assert abs(slip / formula - 1) > 0.01
print(f"formula {formula:.2f} nats, by dice {by_dice:.2f}, with the slip {slip:.2f}")

# %% [markdown]
# ## The model and its loss
#
# With a weight $\beta$ on the second term, to which we come back, the loss is
#
# $$ \mathcal{L} = \frac1n \sum_{j=1}^n \Big[ \sum_{d=1}^{784} \mathrm{CE}(x_{jd}, \hat x_{jd}) + \beta \sum_{k=1}^{K} \tfrac12 \big( \mu_{jk}^2 + \sigma_{jk}^2 - 1 - \log \sigma_{jk}^2 \big) \Big] . $$
#
# Both inner sums are *sums*, and the only mean is the one over the pictures. Taking the mean over pixels instead, Keras's default, would divide the first term by 784 and so multiply $\beta$ by 784: a different model, not another unit. We keep track of both parts, so that nobody has to guess.

# %% tags=["model"]
class VariationalAutoencoder(keras.Model):
    def __init__(self, code_size, filters, beta=1.0):
        super().__init__()
        self.encoder = build_encoder(code_size, filters)
        self.decoder = build_decoder(code_size, filters)
        self.sampling = Sampling(SEED)
        self.beta = beta
        self.reconstruction_tracker = keras.metrics.Mean(name="reconstruction")
        self.kl_tracker = keras.metrics.Mean(name="kl")

    def redraw(self, code, images, training=False):
        return self.decoder(code, training=training)      # later, a decoder that peeks at images

    def call(self, images, training=False):
        mean, log_variance = self.encoder(images, training=training)
        code = self.sampling(mean, log_variance)          # [batch, code_size]
        logits = self.redraw(code, images, training=training)
        return {"logits": logits, "mean": mean, "log_variance": log_variance}

    def weigh(self, kl):                                  # [batch, code_size] -> scalar
        return self.beta * ops.mean(ops.sum(kl, axis=1))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        reconstruction = nats_per_image(x, y_pred["logits"])                # [batch]
        kl = kl_per_number(y_pred["mean"], y_pred["log_variance"])          # [batch, code_size]
        self.reconstruction_tracker.update_state(reconstruction)
        self.kl_tracker.update_state(ops.sum(kl, axis=1))
        return ops.mean(reconstruction) + self.weigh(kl)


# %% [markdown]
# We build both models, and make sure on a batch that the loss is what we say it is, with a $\beta$ that is not one.

# %% tags=["model"]
def build_vae(code_size, filters, beta=1.0):
    vae = VariationalAutoencoder(code_size, filters, beta)
    vae(x_validation[:2])                                 # builds the weights
    return vae


vae_2d = build_vae(2, FILTERS[2])
vae_16d = build_vae(16, FILTERS[16])
print(f"parameters: 2-D {vae_2d.count_params():,}, 16-D {vae_16d.count_params():,}")

# %%
vae_2d.beta = 2.5
answer = vae_2d(x_test[:64])
loss = float(vae_2d.compute_loss(x=x_test[:64], y_pred=answer))
parts = float(vae_2d.reconstruction_tracker.result()), float(vae_2d.kl_tracker.result())
by_hand = np.mean(ops.convert_to_numpy(nats_per_image(x_test[:64], answer["logits"])))
assert np.isclose(parts[0], by_hand, rtol=1e-6)
assert np.isclose(loss, parts[0] + 2.5 * parts[1], rtol=1e-6)
assert abs(parts[0] / (pixels * np.log(2)) - 1) < 0.1     # untrained: one half everywhere, 543 nats
vae_2d.beta = 1.0
vae_2d.reset_metrics()
print("total = reconstruction + beta x KL")

# %% [markdown]
# ## Training

# %% tags=["model"]
def prepare(model, pictures, epochs, learning_rate=LEARNING_RATE):
    train_batches = training.batches(x_train[:pictures], batch_size=BATCH_SIZE, seed=SEED)
    updates = epochs * len(train_batches)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, updates)
    model.compile(keras.optimizers.Adam(schedule))
    return train_batches


batches_2d = prepare(vae_2d, PICTURES, EPOCHS[2])
batches_16d = prepare(vae_16d, PICTURES, EPOCHS[16])

# %%
def train(model, train_batches, name, epochs):
    checkpoint = f"vae_{name}_{SEED}"
    run = training.fit(
        model, train_batches, epochs=epochs, validation=x_validation, checkpoint=checkpoint
    )
    if is_full_run():
        weights.release(model, f"vae/{name}", run)
    return run


# %% tags=["nbval-ignore-output"]
for model, batches, size in [(vae_2d, batches_2d, 2), (vae_16d, batches_16d, 16)]:
    run = train(model, batches, f"vae_{size}d", EPOCHS[size])
    assert run.history["val_loss"][-1] < average_nats     # better than not looking

# %% [markdown]
# Both must beat the average picture before we go on, even in the short run of the quick budget. Then the weights of the full training are loaded. The history of that training lets us check the sum once more, epoch by epoch.

# %%
runs = {name: weights.restore(model, f"vae/{name}")
        for name, model in [("vae_2d", vae_2d), ("vae_16d", vae_16d)]}
for name, run in runs.items():
    history = {key: np.array(values) for key, values in run.history.items()}
    assert np.allclose(history["loss"], history["reconstruction"] + history["kl"], atol=1e-2)
    print(f"{name}: weights of a run with {run.updates:,} updates")

# %% mystnb={"image": {"alt": "Falling curves of the negative ELBO by epoch for the 2-D and the 16-D model; the 16-D model ends about twenty nats lower"}, "figure": {"caption": "Negative ELBO in nats per image during the full runs; dashed on validation pictures.", "name": "fig-vae-curve"}}
curves = {}
for name, run in runs.items():
    curves |= {f"{name}": run.history["loss"], f"val_{name}": run.history["val_loss"]}
plots.loss_curves(curves, labels={
    "vae_2d": "2-D, training", "val_vae_2d": "2-D, validation",
    "vae_16d": "16-D, training", "val_vae_16d": "16-D, validation",
})
plt.ylim(230, 300)
plt.ylabel("negative ELBO (nats per image)")
plt.show()

# %% [markdown]
# ## What the two models reach

# %%
def in_parts(function, inputs, size=1_000):
    parts = [function(inputs[start : start + size]) for start in range(0, len(inputs), size)]
    return np.concatenate([ops.convert_to_numpy(part) for part in parts])


def encode(vae, images):
    both = in_parts(lambda part: ops.stack(vae.encoder(part), axis=1), images)  # [n, 2, code_size]
    return both[:, 0], both[:, 1]


def decode(vae, codes):
    return in_parts(lambda part: ops.sigmoid(vae.decoder(part)), np.asarray(codes, "float32"))


def draw_codes(mean, log_variance, generator):
    noise = generator.standard_normal(mean.shape, dtype=np.float32)
    return mean + np.exp(0.5 * log_variance) * noise


# %%
def negative_elbo(vae, images):
    """Reconstruction and KL of each picture, [2, n] in nats, with one code drawn for each."""
    mean, log_variance = encode(vae, images)
    codes = draw_codes(mean, log_variance, np.random.default_rng(SEED))
    parts = [slice(start, start + 1_000) for start in range(0, len(images), 1_000)]
    reconstruction = [
        nats_per_image(images[part], vae.redraw(codes[part], images[part])) for part in parts
    ]
    kl = ops.sum(kl_per_number(mean, log_variance), axis=1)
    return ops.convert_to_numpy(ops.stack([ops.concatenate(reconstruction), kl]))


def standard_error(values):
    return values.std() / np.sqrt(len(values))


elbos = {"2-D": negative_elbo(vae_2d, x_test), "16-D": negative_elbo(vae_16d, x_test)}
results.show_table(
    ["model", "reconstruction", "KL", "negative ELBO", "above the floor"],
    [[name, f"{r.mean():.1f}", f"{kl.mean():.2f}", f"{(r + kl).mean():.1f}",
      f"{(r + kl).mean() - test_floor.mean():.1f}"] for name, (r, kl) in elbos.items()],
)
gain = (elbos["2-D"] - elbos["16-D"]).sum(axis=0).mean()
assert gain >= 15
results.quote("vae-gain", f"{gain:.0f}")

# %% [markdown]
# Sixteen numbers buy {glue:text}`vae-gain` nats per image. The KL is the price list: the average number of nats that the code says about its picture.
#
# A test picture and its mean reconstruction, in the order of the test set:

# %% mystnb={"image": {"alt": "Three rows of ten pictures: originals, soft copies from two latent numbers, better copies with more detail from sixteen"}, "figure": {"caption": "Test pictures and their reconstructions from the mean code.", "name": "fig-vae-copies"}}
rows_of_pictures = [x_test[:10]]
for vae in (vae_2d, vae_16d):
    rows_of_pictures.append(decode(vae, encode(vae, x_test[:10])[0]))
plots.image_grid(
    np.concatenate(rows_of_pictures), row_labels=["original", "2 numbers", "16 numbers"]
)
plt.show()

# %% [markdown]
# ## The plane, without gaps
#
# The means of the test pictures in the plane of the 2-D model, and beside them the same points after the Gaussian distribution function, $\Phi(z)$, which turns each number into a *p-value*: the share of the prior that lies below. If the clouds filled the prior perfectly, the right panel would be covered evenly.

# %% mystnb={"image": {"alt": "Two scatter plots coloured by class: left a round cloud of codes, right the same points spread over the unit square with fairly even density"}, "figure": {"caption": "Codes drawn for the test pictures, coloured by class: as they are (left), and as p-values (right).", "name": "fig-vae-plane"}}
codes_2d = draw_codes(*encode(vae_2d, x_test), np.random.default_rng(SEED))  # [10000, 2]
figure, axes = plt.subplots(1, 2, figsize=(9, 4.4))
for axis, points in zip(axes, [codes_2d, stats.norm.cdf(codes_2d)]):
    for label, name in enumerate(data.class_names):
        axis.scatter(*points[y_test == label].T, s=2, alpha=0.5, color=plots.COLOURS[label])
        axis.text(*np.median(points[y_test == label], axis=0), name, ha="center", fontsize=8,
                  bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1})
    axis.set_aspect("equal")
axes[0].set(xlim=(-3.5, 3.5), ylim=(-3.5, 3.5), xlabel="$z_1$", ylabel="$z_2$")
axes[1].set(xlim=(0, 1), ylim=(0, 1), xlabel=r"$\Phi(z_1)$", ylabel=r"$\Phi(z_2)$")
plt.show()

# %% [markdown]
# How close to a Gaussian is the whole cloud, the *aggregated posterior*? The Kolmogorov-Smirnov statistic is the largest gap between the two cumulative distributions, a plain distance between 0 and 1. Its p-value answers another question: could 10,000 draws from an exact Gaussian show such a gap? With so many draws even a gap too small to matter is found out, so a tiny p-value says "not exactly Gaussian", not "far from Gaussian".

# %%
codes_16d = draw_codes(*encode(vae_16d, x_test), np.random.default_rng(SEED))  # [10000, 16]
rows = []
for name, codes in [("2-D", codes_2d), ("16-D", codes_16d)]:
    tests = [stats.kstest(codes[:, k], "norm") for k in range(codes.shape[1])]
    correlation = np.corrcoef(codes, rowvar=False) - np.eye(codes.shape[1])
    rows.append([
        name, f"{np.abs(codes.mean(axis=0)).max():.2f}",
        f"{codes.std(axis=0).min():.2f} to {codes.std(axis=0).max():.2f}",
        f"{np.abs(correlation).max():.2f}", f"{max(test.statistic for test in tests):.3f}",
        f"{sum(test.pvalue < 0.01 for test in tests)} of {len(tests)}",
    ])
    assert max(test.statistic for test in tests) < 0.15
results.show_table(
    ["model", "largest mean", "deviations", "largest correlation", "largest KS gap", "p < .01"],
    rows,
)

# %% [markdown]
# Now the chart: a grid at equal steps of *probability*, so that every picture stands for the same share of the prior. Trousers at one end, shoes at another, and everything between them is some garment, if a soft one.

# %% tags=["cover"] mystnb={"image": {"alt": "Chart of decoded pictures: kinds of clothes blend into each other, nearly without smudges"}, "figure": {"caption": "The plane of the 2-D model, decoded at equal steps of probability from 2.5 to 97.5 percent in both directions.", "name": "fig-vae-grid"}}
STEPS = 20
first = stats.norm.ppf((np.arange(STEPS) + 0.5) / STEPS)  # from -1.96 to 1.96
second = first[::-1]                                      # the top row first
grid = np.stack([np.tile(first, STEPS), np.repeat(second, STEPS)], axis=1)  # [400, 2]
chart = decode(vae_2d, grid).reshape(STEPS, STEPS, 28, 28)

figure, axis = plt.subplots(figsize=(6.2, 6.2))
axis.imshow(chart.transpose(0, 2, 1, 3).reshape(STEPS * 28, STEPS * 28), cmap="gray_r")
ticks = range(0, STEPS, 4)
axis.set_xticks([28 * t + 14 for t in ticks], [f"{first[t]:.2f}" for t in ticks])
axis.set_yticks([28 * t + 14 for t in ticks], [f"{second[t]:.2f}" for t in ticks])
axis.set(xlabel="$z_1$", ylabel="$z_2$")
plt.show()

# %% [markdown]
# The same chart to walk through. Move the sliders (with the mouse, or with Tab and the arrow keys), or click into the chart. The word is the commonest class among the 25 test pictures whose codes lie nearest.

# %% tags=["nbval-ignore-output"]
distances = np.square(grid[:, None] - codes_2d[None]).sum(axis=2)              # [400, 10000]
neighbours = y_test[np.argsort(distances, axis=1)[:, :25]]                     # [400, 25]
commonest = [np.bincount(labels, minlength=10).argmax() for labels in neighbours]
words = np.array(data.class_names)[commonest].reshape(STEPS, STEPS)
explorer.show_explorer(
    chart, first, second, names=words, labels=("first number z₁", "second number z₂"),
    alt="Chart of 400 decoded pictures over the plane of two latent numbers",
)

# %% [markdown]
# ## Generating and morphing
#
# Generation is now what the story said: draw from the prior, decode. Fifty draws from the 16-D model, with a fixed seed and unselected. Shown are the decoder's *mean images*, that is, the probabilities themselves; we come back to that choice.

# %% mystnb={"image": {"alt": "Fifty generated pictures: recognisable soft garments of many kinds, a few unclear"}, "figure": {"caption": "Fifty mean images from the 16-D model, unselected.", "name": "fig-vae-samples"}}
prior_codes = np.random.default_rng(SEED).standard_normal((FID_SAMPLES, 16), dtype=np.float32)
plots.image_grid(decode(vae_16d, prior_codes[:50]))
plt.show()

# %% [markdown]
# To morph one picture into another we walk from code to code. A straight line has a catch: in 16 dimensions nearly all of the prior's mass lies at a distance of about $\sqrt{16} = 4$ from the origin, and the straight line between two draws cuts through the emptier middle. *Spherical* interpolation keeps the length, and turns:
#
# $$ \mathrm{slerp}(a, b; t) = \frac{\sin((1 - t)\,\omega)}{\sin\omega}\, a + \frac{\sin(t\,\omega)}{\sin\omega}\, b, \qquad \cos\omega = \frac{a \cdot b}{|a||b|} . $$

# %% tags=["exercise-context"]
def slerp(a, b, t):
    angle = np.arccos(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))
    return (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)


# %%
a, b = (code / np.linalg.norm(code) * 4 for code in prior_codes[:2])
turned = np.array([np.linalg.norm(slerp(a, b, t)) for t in np.linspace(0, 1, 11)])
assert np.allclose(turned, 4, rtol=1e-4)
lengths = np.linalg.norm(prior_codes, axis=1)
middle = np.linalg.norm((prior_codes[::2] + prior_codes[1::2]) / 2, axis=1)
assert abs(lengths.mean() - 4) < 0.1 and abs(middle.mean() - 4 / np.sqrt(2)) < 0.1
print(f"distance from the origin: draws {lengths.mean():.1f}, midpoints {middle.mean():.1f}")

# %% mystnb={"image": {"alt": "Three rows in which one garment turns step by step into another"}, "figure": {"caption": "Spherical interpolation between the codes of test pictures 0 and 1, 2 and 3, 4 and 5.", "name": "fig-vae-morph"}}
means = encode(vae_16d, x_test[:6])[0]
walks = [slerp(means[i], means[i + 1], t) for i in (0, 2, 4) for t in np.linspace(0, 1, 10)]
plots.image_grid(decode(vae_16d, walks))
plt.show()

# %% [markdown]
# ## The price of a nat: the rate-distortion curve
#
# The two terms pull in opposite directions. A sharp copy needs a code that says much about its picture, and the KL charges for every nat said. The weight $\beta$ sets the exchange rate {cite}`higgins2017betavae`: at $\beta = 3$ a nat of code is used only if it saves three nats of reconstruction. In the language of communication {cite}`alemi2018elbo`, the KL is the *rate* and the reconstruction the *distortion*; each $\beta$ picks the point of the best curve where its slope is $-\beta$. We trained six smaller models with sixteen numbers for a few passes each. Only $\beta = 1$ gives a bound on the likelihood; the others are choices.

# %% tags=["nbval-ignore-output"]
sweep = {}
for beta in BETAS:
    name = f"beta_{beta:g}".replace(".", "_")
    sweep[beta] = build_vae(16, FILTERS[2], beta)
    if is_full_run():                                     # under quick they are loaded only
        train(sweep[beta], prepare(sweep[beta], PICTURES, SWEEP_EPOCHS), name, SWEEP_EPOCHS)
    runs[name] = weights.restore(sweep[beta], f"vae/{name}")

# %%
def active_numbers(vae, images):
    """Latent numbers whose mean differs from picture to picture: variance above 0.01."""
    return int((encode(vae, images)[0].var(axis=0) > 0.01).sum())


few = slice(QUICK_TEST)
rates, distortions, active = [], [], []
for vae in sweep.values():
    distortion, rate = negative_elbo(vae, x_test[few])
    rates.append(rate.mean())
    distortions.append(distortion.mean())
    active.append(active_numbers(vae, x_test[few]))
assert np.all(np.diff(rates) < 0) and np.all(np.diff(distortions) > 0)
results.show_table(
    ["beta", "rate (KL)", "distortion", "sum (negative ELBO)", "active numbers"],
    [[f"{beta:g}", f"{r:.1f}", f"{d:.1f}", f"{r + d:.1f}", a]
     for beta, r, d, a in zip(BETAS, rates, distortions, active)],
)

# %% mystnb={"image": {"alt": "Falling convex curve of distortion against rate with six marked values of beta; the dashed line of constant sum touches it near beta 1"}, "figure": {"caption": "Rate and distortion on 2,000 test pictures for six values of beta. On the dashed line the sum is that of beta = 1.", "name": "fig-vae-rate-distortion"}}
figure, axis = plt.subplots()
axis.plot(rates, distortions, "o-")
for beta, rate, distortion in zip(BETAS, rates, distortions):
    axis.annotate(f"β = {beta:g}", (rate, distortion), xytext=(5, 6), textcoords="offset points")
best = rates[BETAS.index(1.0)] + distortions[BETAS.index(1.0)]
line = np.array([min(rates), max(rates)])
axis.plot(line, best - line, "--", color="0.5")
axis.axhline(test_floor[few].mean(), color="0.7", linewidth=1)
axis.text(max(rates), test_floor[few].mean() + 2, "floor of grey pixels", ha="right", fontsize=8)
axis.set(xlabel="rate: KL (nats per image)", ylabel="distortion (nats per image)")
plt.show()

# %% mystnb={"image": {"alt": "Reconstructions of ten pictures by six models: sharpest for the smallest beta, softer step by step, all alike for the largest"}, "figure": {"caption": "The same ten test pictures, reconstructed by the six models.", "name": "fig-vae-beta"}}
copies = [decode(vae, encode(vae, x_test[:10])[0]) for vae in sweep.values()]
plots.image_grid(
    np.concatenate([x_test[:10], *copies]),
    row_labels=["original", *(f"β = {beta:g}" for beta in BETAS)],
)
plt.show()

# %% [markdown]
# ## Posterior collapse, provoked and cured
#
# At the last $\beta$ of the sweep the code says nothing at all, and every picture is copied as the same picture. That was to be expected: we made nats too expensive. The disturbing form of this *posterior collapse* happens at $\beta = 1$, when the decoder is so strong that it can do without the code {cite}`bowman2016generating`. Let us build such a decoder: to predict a pixel it may also look at the true pixels **above it and to its left**. Most of a shirt can be told from the part that is already there. (A decoder that draws pixel by pixel is a generative model of its own; the PixelCNN of chapter 5 is one.)

# %% tags=["model"]
def build_context(filters):
    """Features of the rows above each pixel, and of the pixels to its left in its own row."""
    images = keras.Input(shape=(28, 28, 1))
    above = layers.Cropping2D(((0, 1), (0, 0)))(layers.ZeroPadding2D(((1, 0), (0, 0)))(images))
    left = layers.Cropping2D(((0, 0), (0, 1)))(layers.ZeroPadding2D(((0, 0), (1, 0)))(images))
    for _ in range(2):                                    # zeros go where the forbidden pixels are
        above = layers.ZeroPadding2D(((2, 0), (2, 2)))(above)
        above = layers.Conv2D(filters, (3, 5), activation="relu")(above)
        left = layers.ZeroPadding2D(((0, 0), (4, 0)))(left)
        left = layers.Conv2D(filters, (1, 5), activation="relu")(left)
    return keras.Model(images, layers.Concatenate()([above, left]), name="context")


# %% tags=["model"]
class PeekingVAE(VariationalAutoencoder):
    def __init__(self, code_size, filters, cure=None, warm_up=1):
        super().__init__(code_size, filters)
        self.cure, self.warm_up = cure, warm_up
        self.context = build_context(2 * filters)
        self.mix = layers.Conv2D(2 * filters, 1, activation="relu")
        self.final = layers.Conv2D(1, 1)

    def redraw(self, code, images, training=False):
        hints = self.decoder(code, training=training)     # [batch, 28, 28, 1]
        x = self.mix(ops.concatenate([self.context(images), hints], axis=-1))
        return self.final(x)

    def weigh(self, kl):
        if self.cure == "free nats":                      # the first nats of each number are free
            return ops.sum(ops.maximum(ops.mean(kl, axis=0), FREE_NATS))
        if self.cure == "annealing":                      # beta rises from 0 to 1
            progress = ops.cast(self.optimizer.iterations, "float32") / self.warm_up
            return ops.minimum(progress, 1.0) * super().weigh(kl)
        return super().weigh(kl)


# %% [markdown]
# A decoder that peeks must not see the pixel it has to predict, nor any later one. We change one pixel in the middle and ask which places of the context notice.

# %%
context = build_context(8)
changed = x_test[:1].copy()
changed[0, 14, 14] = 1 - changed[0, 14, 14]
difference = ops.convert_to_numpy(context(changed) - context(x_test[:1]))     # [1, 28, 28, 16]
noticed = np.abs(difference).max(axis=(0, 3)) > 0                             # [28, 28]
earlier_or_same = np.arange(28 * 28).reshape(28, 28) <= 14 * 28 + 14
assert noticed.any() and not noticed[earlier_or_same].any()
print(f"{noticed.sum()} later places notice the change, no earlier one, not the pixel itself")

# %% [markdown]
# Three runs from the same start: without a cure, and with each of two. *Annealing* starts at $\beta = 0$, where the code is free, and raises $\beta$ to one during the first half of the training. *Free nats* {cite}`kingma2016iaf` change the loss for good: each latent number may say half a nat, on average over the batch, for nothing. Saying less saves nothing.

# %% tags=["nbval-ignore-output"]
peeking = {}
for cure in (None, "annealing", "free nats"):
    name = "peeking_" + (cure or "plain").replace(" ", "_")
    keras.utils.set_random_seed(SEED)                     # the same start for all three
    half = PEEKING_EPOCHS * (PEEKING_PICTURES // BATCH_SIZE) // 2
    peeking[cure] = PeekingVAE(16, PEEKING_FILTERS, cure, warm_up=half)
    peeking[cure](x_test[:2])                             # builds the weights
    if is_full_run():
        peeking_batches = prepare(peeking[cure], PEEKING_PICTURES, PEEKING_EPOCHS)
        train(peeking[cure], peeking_batches, name, PEEKING_EPOCHS)
    runs[name] = weights.restore(peeking[cure], f"vae/{name}")

# %%
rows, peeking_kl = [], {}
for cure, vae in peeking.items():
    distortion, rate = negative_elbo(vae, x_test[few])
    peeking_kl[cure or "plain"] = rate.mean()
    rows.append([cure or "no cure", f"{distortion.mean():.1f}", f"{rate.mean():.2f}",
                 f"{(distortion + rate).mean():.1f}", active_numbers(vae, x_test[few])])
assert peeking_kl["plain"] < 1 < peeking_kl["annealing"] < peeking_kl["free nats"]
results.show_table(["run", "reconstruction", "KL", "negative ELBO", "active numbers"], rows)

# %% mystnb={"image": {"alt": "KL by epoch of three runs: near zero without a cure, falling from a high start to a small value with annealing, high throughout with free nats"}, "figure": {"caption": "KL during the training of three models whose decoder peeks.", "name": "fig-vae-collapse"}}
cures = {"peeking_plain": "no cure", "peeking_annealing": "annealing",
         "peeking_free_nats": "free nats"}
plots.loss_curves({name: runs[name].history["kl"] for name in cures}, labels=cures)
plt.ylabel("KL (nats per image)")
plt.show()

# %% [markdown]
# Without a cure the code ends with a fraction of a nat, while the decoder of the first half of this notebook used more than ten: collapsed. Yet look at the negative ELBO. It is *better* than that of our 16-D model, because peeking is so effective, and the cure that brings the most code back makes it worse. Collapse is no failure of the bound, then; for a decoder that can do without, an empty code is close to the best one {cite}`lucas2019dont`. But we wanted a code. Annealing lets the decoder get used to one before it has to be paid for, and a part of it stays, at no cost to the bound. Free nats force it to stay, at a price.
#
# ## A tighter bound
#
# The ELBO is a lower bound, but how low? Instead of one code per picture we can draw $k$ and average their importance weights *before* taking the logarithm {cite}`burda2016iwae`:
#
# $$ \mathcal{L}_k = \mathbb{E} \Big[ \log \frac1k \sum_{i=1}^{k} w_i \Big], \qquad w_i = \frac{p_\theta(x \mid z_i)\, p(z_i)}{q_\phi(z_i \mid x)}, \quad z_i \sim q_\phi(z \mid x). $$
#
# With $k = 1$ this is the ELBO; it rises with $k$, and tends to $\log p_\theta(x)$. If we compute the smaller $k$ from groups of the same draws, the order holds exactly, not only on average, again by Jensen's inequality.

# %% tags=["exercise-context"]
def log_weights(vae, images, draws, generator):
    """log p(x|z) + log p(z) - log q(z|x) of `draws` codes for each picture: [n, draws]."""
    mean, log_variance = encode(vae, images)
    columns = []
    for _ in range(draws):
        codes = draw_codes(mean, log_variance, generator)
        log_prior = stats.norm.logpdf(codes).sum(axis=1)
        log_proposal = stats.norm.logpdf(codes, mean, np.exp(0.5 * log_variance)).sum(axis=1)
        logits = in_parts(vae.decoder, codes)
        log_likelihood = -ops.convert_to_numpy(nats_per_image(images, logits))
        columns.append(log_likelihood + log_prior - log_proposal)
    return np.stack(columns, axis=1)


def importance_bound(log_weight, k):
    """The negative bound of each picture [n], from groups of k draws."""
    groups = log_weight.reshape(len(log_weight), -1, k)   # [n, draws / k, k]
    return -(logsumexp(groups, axis=2) - np.log(k)).mean(axis=1)


# %%
many = len(x_test) if is_full_run() else 200
log_weight = log_weights(vae_16d, x_test[:many], IMPORTANCE_DRAWS, np.random.default_rng(SEED))
bounds = {k: importance_bound(log_weight, k) for k in (1, 10, IMPORTANCE_DRAWS)}
values = [bound.mean() for bound in bounds.values()]
assert values[0] > values[1] > values[2]                  # tighter and tighter, exactly
results.show_table(
    ["draws per picture", f"negative bound, nats, {many:,} pictures"],
    [[k, f"{value:.1f}"] for k, value in zip(bounds, values)],
)

# %% [markdown]
# The gap between the first and the last line is an estimate, from below, of how far the Gaussian proposal is from the true posterior.
#
# ## Are the pictures any good? FID
#
# Likelihood and looks are different things {cite}`theis2016note`, so we also measure looks. FID compares the mean and covariance of classifier features of generated and real pictures {cite}`heusel2017ttur`. The features are those of the classifier of chapter 2, so the values cannot be compared with published ones, which use another network. To have a scale we score two more things with the same 10,000 test pictures: real *training* pictures, the floor, and a *trivial generator*, a Gaussian with the mean and the full covariance of the training pixels.
#
# And there is the choice we promised to come back to. To follow the story to the letter we would have to *draw* each pixel, black or white. Nobody does: one shows the mean image. Both, beside the others:

# %%
generator = np.random.default_rng(SEED)
mean_images = decode(vae_16d, prior_codes if is_full_run() else prior_codes[:QUICK_TEST])
drawn_images = (generator.random(mean_images.shape) < mean_images).astype("float32")
trivial = metrics.pca_gaussian_samples(
    datasets.scale(x_train[:PICTURES]), n=len(mean_images), components=pixels, seed=SEED
)
real = datasets.scale(x_train[: len(mean_images)])

# %% mystnb={"image": {"alt": "Four rows: real clothes, soft generated clothes, the same with speckled pixels, and noisy shapeless clouds from the Gaussian"}, "figure": {"caption": "Training pictures; mean images; the same with each pixel drawn; the trivial generator. Unselected.", "name": "fig-vae-fid"}}
plots.image_grid(
    np.concatenate([real[:10], mean_images[:10], drawn_images[:10], trivial[:10]]),
    row_labels=["real", "mean images", "pixels drawn", "trivial"],
)
plt.show()

# %%
feature_network = weights.load_feature_network("fashion_mnist")
record = results.Record("vae", DATASET, data.source)


def fid(images, start=0):
    """FID-fashion against as many test pictures, from `start` on."""
    test_features = metrics.features(feature_network, x_test[start : start + len(images)])
    return metrics.frechet_distance(test_features, metrics.features(feature_network, images))


if is_full_run():
    for name, images in [("floor_fid", real), ("vae_16d.fid", mean_images),
                         ("vae_16d.bernoulli_fid", drawn_images), ("trivial_fid", trivial)]:
        record.metric(name, fid(images), n=FID_SAMPLES)

# %% [markdown]
# The values of the full run, from the record; a quick run measures the mean images again on fewer pictures, where the same distance comes out larger, because it is biased upwards for small samples.

# %%
def recorded(name):
    """A value of this full run, or under quick that of the recorded one."""
    if is_full_run():
        return record.metrics[name]
    return results.headline("vae", name, DATASET).mean


parts = range(0, FID_SAMPLES if is_full_run() else QUICK_TEST, QUICK_TEST)
small = [fid(mean_images[start : start + QUICK_TEST], start) for start in parts]
record.check("vae_16d.fid", small[0], n=QUICK_TEST, sd=float(np.std(small)))
fids = {name: recorded(name)
        for name in ("floor_fid", "vae_16d.fid", "vae_16d.bernoulli_fid", "trivial_fid")}
results.show_table(
    ["pictures", "FID-fashion", "of the trivial generator's"],
    [[name, f"{value:.2f}", f"{value / fids['trivial_fid']:.2f}"] for name, value in fids.items()],
)
results.quote("vae-fid-ratio", f"{fids['vae_16d.fid'] / fids['trivial_fid']:.2f}")
results.quote("vae-bernoulli-ratio", f"{fids['vae_16d.bernoulli_fid'] / fids['trivial_fid']:.2f}")

# %% [markdown]
# The mean images score {glue:text}`vae-fid-ratio` times what the trivial generator scores; with their pixels drawn, the very same pictures score {glue:text}`vae-bernoulli-ratio` times. The model is the same, only the last step differs. When you read an FID of a VAE, ask which was scored.
#
# ## How unusual is this picture?
#
# A model of clothes should be surprised by anything else, and the bound measures surprise, picture by picture. We hand our 16-D model, which has seen nothing but clothes, some strangers: handwritten digits, clothes upside down, clothes at half their brightness, negatives, and noise. The score is the *ROC-AUC*: the probability that a stranger gets a higher negative ELBO than a test picture of clothes. One half is chance.
#
# The other two columns are scores to compare with. One subtracts the picture's own floor, the entropy of its grey pixels, from the negative ELBO. The other is simply the mean brightness, which needs no model at all (either direction counts, so a brightness column of 0.12 is as good as 0.88).

# %%
digits = datasets.load("mnist")
strangers = {
    "digits": datasets.scale(np.concatenate([digits.x_train, digits.x_test])),  # 5,000
    "clothes upside down": x_test[:, ::-1],
    "clothes at half brightness": x_test / 2,
    "clothes as negatives": 1 - x_test,
    "noise": np.random.default_rng(SEED).random(x_test[:2_000].shape, dtype=np.float32),
}
if not is_full_run():
    strangers = {name: images[:1_000] for name, images in strangers.items()}
home = x_test[: 10_000 if is_full_run() else 1_000]

# %%
def excess_score(images, kind):
    """One score per picture [n]: negative ELBO, the same above the picture's floor, brightness."""
    if kind == "brightness":
        return images.mean(axis=(1, 2, 3))
    total = negative_elbo(vae_16d, images).sum(axis=0)
    return total if kind == "negative ELBO" else total - binary_entropy_nats(images)


kinds = ("negative ELBO", "above the floor", "brightness")
home_scores = {kind: excess_score(home, kind) for kind in kinds}
auroc = {
    (name, kind): metrics.auroc(excess_score(images, kind), home_scores[kind])
    for name, images in strangers.items() for kind in kinds
}
results.show_table(
    ["strangers", *kinds],
    [[name, *(f"{auroc[name, kind]:.3f}" for kind in kinds)] for name in strangers],
)

# %% [markdown]
# **Digits look more like clothes than clothes do.** The first number is below one half: to the model, a digit is on average *less* surprising than a garment. This is the famous failure of likelihood as an alarm {cite}`nalisnick2019know`. Here its reason can be named. A digit is nearly all pure black and white, with a floor far lower than that of a grey coat, and a picture that is cheap to begin with stays cheap even when it is described badly. Above the floor, digits stand out clearly. But the cure is no cure-all: at half brightness, clothes have a *higher* floor and so seem more normal than clothes, and a plain brightness score knows about digits as well. Upside-down clothes, where brightness cannot help, are the honest test.
#
# The direction matters, too. A small VAE trained on the 4,000 training digits finds clothes strange without any correction, since clothes have more of everything.

# %% tags=["nbval-ignore-output"]
vae_digits = build_vae(16, FILTERS[2])
if is_full_run():
    digit_batches = training.batches(digits.x_train, batch_size=BATCH_SIZE, seed=SEED)
    vae_digits.compile(keras.optimizers.Adam(LEARNING_RATE))
    train(vae_digits, digit_batches, "vae_digits", DIGIT_EPOCHS)
runs["vae_digits"] = weights.restore(vae_digits, "vae/vae_digits")

# %%
test_digits = datasets.scale(digits.x_test)
digit_score = negative_elbo(vae_digits, test_digits).sum(axis=0)
digit_auroc = {
    name: metrics.auroc(negative_elbo(vae_digits, images).sum(axis=0), digit_score)
    for name, images in [("clothes", home), ("digits upside down", test_digits[:, ::-1])]
}
assert auroc["digits", "negative ELBO"] < 0.6 < 0.95 < digit_auroc["clothes"]
for name, value in digit_auroc.items():
    print(f"trained on digits; strangers: {name}: ROC-AUC {value:.3f}")

# %% [markdown]
# Before you build an alarm on a likelihood, ask what a stupid score would do, and test on strangers that are as bright, as smooth and as large as your own pictures.
#
# ## The record

# %%
n = len(x_test)
for name, parts in [("vae_2d", elbos["2-D"]), ("vae_16d", elbos["16-D"])]:
    total = parts.sum(axis=0)
    record.metric(f"{name}.test_elbo_nats", total.mean(), n=n, sd=standard_error(total))
    record.metric(f"{name}.kl_nats", parts[1].mean(), n=n, sd=standard_error(parts[1]))
    record.check(f"{name}.test_elbo_nats", total[few].mean(), n=QUICK_TEST,
                 sd=standard_error(total[few]))
record.metric("vae_16d.iwae_nats", values[-1], n=many, sd=standard_error(bounds[IMPORTANCE_DRAWS]))
first_bounds = bounds[IMPORTANCE_DRAWS][:200]
record.check("vae_16d.iwae_nats", first_bounds.mean(), n=200, sd=standard_error(first_bounds))
record.metric("mean_picture_nats", average_nats, n=n)
record.metric("floor_nats", test_floor.mean(), n=n)
for kind, key in zip(kinds, ("auroc_digits", "excess_auroc_digits", "brightness_auroc_digits")):
    prefix = "" if kind == "brightness" else "vae_16d."
    record.metric(prefix + key, auroc["digits", kind], n=len(home) + len(strangers["digits"]))
for name, key in [("clothes upside down", "auroc_upside_down"),
                  ("clothes at half brightness", "auroc_half_brightness")]:
    record.metric(f"vae_16d.{key}", auroc[name, "negative ELBO"], n=2 * len(home))
record.metric("vae_digits.auroc_clothes", digit_auroc["clothes"], n=len(home) + len(test_digits))

# %%
for name, beta_rate, beta_distortion in zip(BETAS, rates, distortions):
    record.metric(f"beta_{name:g}.kl_nats", beta_rate, n=QUICK_TEST)
    record.metric(f"beta_{name:g}.reconstruction_nats", beta_distortion, n=QUICK_TEST)
for cure, value in peeking_kl.items():
    record.metric(f"peeking_{cure.replace(' ', '_')}.kl_nats", value, n=QUICK_TEST)
record.save(
    parameters={"vae_2d": vae_2d.count_params(), "vae_16d": vae_16d.count_params()},
    updates={name: run.updates for name, run in runs.items()},
    seconds=sum(run.seconds for run in runs.values()),
    weight_names=[f"vae/{name}" for name in runs],
)
if is_full_run():
    assert record.metrics["vae_16d.fid"] <= 0.40 * record.metrics["trivial_fid"]
results.quote("vae-16d", f"{elbos['16-D'].sum(axis=0).mean():.1f}")

# %% [markdown]
# ## What goes wrong
#
# Two failures stand above: a code that collapses, and a likelihood that welcomes strangers. Three more are worth knowing.
#
# **The prior has holes of its own.** Training asks the clouds to fill the prior on average, and they do so only roughly. Decoding codes that the *encoder* chose for test pictures shows how much of the distance to real pictures is blur, and how much comes from drawing codes where no picture lives.

# %%
own_codes = encode(vae_16d, x_test[:QUICK_TEST])[0]
redrawn_fid = fid(decode(vae_16d, own_codes), QUICK_TEST)  # against the next test pictures
print(f"FID-fashion at n = {QUICK_TEST:,}: codes of test pictures {redrawn_fid:.1f}, "
      f"codes from the prior {small[0]:.1f}")

# %% [markdown]
# **The mean over pixels.** Suppose the first term is a mean over pixels, as in Keras's ready-made loss, and the KL a sum, as in most formulas. In our units that is $\beta = 784$. The sweep shows what to expect of a $\beta$ of only 50.

# %%
code = {beta: encode(vae, x_test[few])[0] for beta, vae in sweep.items()}
spread = {beta: float(code[beta].std(axis=0).max()) for beta in (1.0, max(BETAS))}
assert active[-1] < active[BETAS.index(1.0)] and rates[-1] < 0.25 * rates[BETAS.index(1.0)]
for beta, value in spread.items():
    print(f"beta {beta:g}: the most active number of the code varies by {value:.2f}")

# %% [markdown]
# **A log-variance runs away.** Nothing bounds the second head. If a bad step makes it 100, then $e^{100}$ is too large for a 32-bit number, the loss is infinite, and after the next update every weight is *not a number*. Smaller steps help, or a bound on the output, such as `ops.clip(log_variance, -10, 10)`.

# %%
wild = ops.full((1, 1), 100.0)
assert np.isinf(float(ops.sum(kl_per_number(wild * 0, wild))))
tamed = float(ops.sum(kl_per_number(wild * 0, ops.clip(wild, -10, 10))))
assert np.isfinite(tamed)
print(f"KL of a log-variance of 100: infinite; clipped to 10: {tamed:.0f} nats")

# %% [markdown]
# ## Lessons
#
# - A VAE is a latent variable model with an encoder that proposes codes. Its loss is a bound on the likelihood, and the sum of two parts that should both be reported, in nats per image.
# - Sum over pixels and over latent numbers, mean over the pictures. Any other choice is a hidden $\beta$.
# - Check the sampling, the KL and the sum of the parts by numbers: none of the usual slips raises an error.
# - $\beta$ moves along a rate-distortion curve. A decoder that can do without the code will.
# - Blur comes from the mean image, and drawing the pixels is worse. State which one you score.
# - Likelihood alone is a poor alarm.
#
# **Things to try.** Run `GENBOOK_BUDGET=cpu GENBOOK_SEED=1` for another plane. Make the pixels binary (brightness above one half) and train again: now the bound is a true one, and its floor is zero. Give the clouds of the 2-D model to somebody with the labels hidden: which borders do they draw?

# %% [markdown]
# ## Exercises
#
# :::{exercise} Somebody else's units
# :label: vae-units
#
# A well-known recipe for pictures of 32 by 32 pixels minimises 500 times the cross-entropy, as a *mean* over pixels, plus the KL as a *sum*. Which $\beta$ is that in our units, sum over both? Complete the function. What would be the $\beta$ for a factor of 1?
# :::

# %% [markdown]
# :::{solution-start} vae-units
# :class: dropdown
# :::
#
# The recipe's loss is $\frac{500}{D} \sum_d \mathrm{CE}_d + \mathrm{KL}$. Dividing by $500 / D$ changes no minimum and leaves $\sum_d \mathrm{CE}_d + \frac{D}{500} \mathrm{KL}$, so $\beta = 1024 / 500 \approx 2$. With a factor of 1 it would be 1,024, and the code would collapse.

# %% tags=["solution"]
def beta_in_our_units(factor, side):
    ### BEGIN SOLUTION
    return side * side / factor
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
assert abs(beta_in_our_units(500, 32) - 2.048) < 1e-9
assert abs(beta_in_our_units(1, 28) - 784) < 1e-9
print("correct")

# %% [markdown]
# :::{exercise} A bound where the truth is known
# :label: vae-truth
#
# Let $z \sim \mathcal{N}(0, 1)$ and $x \mid z \sim \mathcal{N}(z, 1)$, so that $x \sim \mathcal{N}(0, 2)$ exactly. An encoder that is a little wrong proposes $q(z \mid x) = \mathcal{N}(x / 2, 1)$, with the right mean and too wide a spread (what would be right?). Complete the function so that it returns the importance-weighted bound $\mathcal{L}_k$ for one $x$, as a mean over many repetitions. The check compares with the truth.
# :::

# %% [markdown]
# :::{solution-start} vae-truth
# :class: dropdown
# :::
#
# The true posterior is $\mathcal{N}(x/2, 1/2)$. With $k = 1$ the gap to the truth is $\mathrm{KL}(q \,\|\, p(z \mid x)) = \frac12 (2 - 1 - \log 2) \approx 0.15$ nats, whatever $x$ is. With $k = 100$ almost nothing remains of it.

# %% tags=["solution"]
def bound_of_one(x, k, repetitions, generator):
    ### BEGIN SOLUTION
    z = x / 2 + generator.standard_normal((repetitions, k))
    log_weight = stats.norm.logpdf(z) + stats.norm.logpdf(x, z) - stats.norm.logpdf(z, x / 2)
    return np.mean(logsumexp(log_weight, axis=1) - np.log(k))
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
truth = stats.norm.logpdf(1.3, scale=np.sqrt(2))
one = bound_of_one(1.3, 1, 100_000, np.random.default_rng(0))
hundred = bound_of_one(1.3, 100, 5_000, np.random.default_rng(0))
assert one is not None and abs(truth - one - 0.5 * (1 - np.log(2))) < 0.02
assert one < hundred and abs(truth - hundred) < 0.01
print("correct")

# %% [markdown]
# :::{exercise} Why the die was moved aside
# :label: vae-gradient
#
# We want the derivative of $\mathbb{E}[z^2]$ for $z \sim \mathcal{N}(\mu, 1)$ with respect to $\mu$; on paper it is $2\mu$. Two estimates from draws: *reparameterised*, $z = \mu + \epsilon$, average $\frac{d}{d\mu} (\mu + \epsilon)^2$; and by the *score*, average $z^2 \frac{d}{d\mu} \log \mathcal{N}(z; \mu, 1)$. Which one scatters more? Guess first, then return the single draws of both.
# :::

# %% [markdown]
# :::{solution-start} vae-gradient
# :class: dropdown
# :::
#
# The draws are $2(\mu + \epsilon)$ and $z^2 (z - \mu)$. Both have the mean $2\mu$, but at $\mu = 2$ the second has more than ten times the variance: it only knows *how large* the value was at the drawn points, while the first also knows in which direction the value changes. With 784 pixels and a deep decoder the difference decides whether anything is learnt at all.

# %% tags=["solution"]
def gradient_draws(mu, epsilon):
    """Two arrays, of the shape of epsilon: reparameterised, and by the score."""
    ### BEGIN SOLUTION
    z = mu + epsilon
    return 2 * z, z**2 * (z - mu)
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
reparameterised, score = gradient_draws(2.0, np.random.default_rng(0).standard_normal(1_000_000))
assert abs(reparameterised.mean() - 4) < 0.02 and abs(score.mean() - 4) < 0.1
assert score.var() > 10 * reparameterised.var()
print("correct")

# %% [markdown]
# :::{exercise} A VAE in ten lines
# :label: vae-small
#
# Complete `small_vae`: a dense encoder from 784 pixels to 64 units to the two heads of a code of two numbers, a `Sampling` layer, a dense decoder back to 784 logits. Write the loss into `compute_loss` with the functions of this notebook. The check trains it on 4,000 pictures and asks for a negative ELBO well below that of the average picture, and for a code that is in use.
# :::

# %% [markdown]
# :::{solution-start} vae-small
# :class: dropdown
# :::

# %% tags=["solution"]
def small_vae():
    """A compiled VAE that maps images [n, 28, 28, 1] to (logits, mean, log_variance)."""
    ### BEGIN SOLUTION
    images = keras.Input((28, 28, 1))
    x = layers.Dense(64, activation="relu")(layers.Flatten()(images))
    mean, log_variance = layers.Dense(2)(x), layers.Dense(2)(x)
    x = layers.Dense(64, activation="relu")(Sampling()(mean, log_variance))
    logits = layers.Reshape((28, 28, 1))(layers.Dense(784)(x))

    class SmallVAE(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            logits, mean, log_variance = y_pred
            kl = ops.sum(kl_per_number(mean, log_variance), axis=1)
            return ops.mean(nats_per_image(x, logits) + kl)

    vae = SmallVAE(images, [logits, mean, log_variance])
    vae.compile(keras.optimizers.Adam(3e-3))
    return vae
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
keras.utils.set_random_seed(0)
small = small_vae()
assert small is not None
small_pictures = datasets.scale(x_train[:4_000])
small.fit(small_pictures, epochs=6, batch_size=64, verbose=0)
logits, mean, log_variance = small(x_test[:1_000])
small_kl = float(ops.mean(ops.sum(kl_per_number(mean, log_variance), axis=1)))
small_nats = float(ops.mean(nats_per_image(x_test[:1_000], logits))) + small_kl
assert small_nats < 330 and small_kl > 2
print("correct")

# %% [markdown]
# ## References
#
# The variational autoencoder: {cite:t}`kingma2014vae` and, independently, {cite:t}`rezende2014stochastic`; at leisure, {cite:t}`kingma2019introduction`. The weight $\beta$: {cite:t}`higgins2017betavae`; rate and distortion: {cite:t}`alemi2018elbo`. Collapse: {cite:t}`bowman2016generating` and {cite:t}`lucas2019dont`; free nats: {cite:t}`kingma2016iaf`. The tighter bound and the count of active numbers: {cite:t}`burda2016iwae`. Grey pixels: {cite:t}`loaizaganem2019continuous`. Likelihood and looks: {cite:t}`theis2016note`; FID: {cite:t}`heusel2017ttur`; strangers: {cite:t}`nalisnick2019know`. Data: {cite:t}`xiao2017fashion`. The plan of a two-number VAE on these pictures follows {cite:t}`foster2023generative`.
