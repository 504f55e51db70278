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
# # A variational autoencoder for faces
#
# The variational autoencoder of the previous notebook learnt small grey garments. Now it meets colour pictures with many independent properties: drawn faces whose hair, mouth, eyes and clothes were chosen one by one. Three questions guide us. How should reconstruction be weighed against the Kullback-Leibler term? What has the latent space made of the properties, of which it was never told? And can we change one of them, a smile or the colour of the hair, and leave the rest alone?
#
# ![Rows of drawn faces; from left to right the hair turns blond in the upper rows and the mouth begins to smile in the lower rows](images/vae_faces.png)
#
# *The goal of this notebook: test faces, their reconstructions, and what becomes of them when we walk along the "blond" and the "smile" direction of the latent space.*
#
# The faces are drawings, composed by a program, not photographs: 10,000 of them, rendered for this book from a set of parts (style "Toon Head" by Johan Melin, CC BY 4.0). That is a limit, because photographs are harder. It is also a gift, because for a drawing we know exactly which mouth and which hair it was given, so that claims about attributes can be *checked* instead of admired.

# %% [markdown]
# ## What to expect

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
import math

from helpers.training import quiet

with quiet():  # TensorFlow talks to its developers while it is imported
    import keras
    from keras import layers, ops

import matplotlib.pyplot as plt
import numpy as np

from helpers import datasets, metrics, plots, results, training, weights
from helpers.budget import budget, current_seed, is_full_run

plots.use_style()

# %%
results.expectation(
    "vae_faces",
    dataset="portraits",
    rows=[
        {"label": "negative ELBO, test, nats per face", "metric": "test_elbo_nats",
         "baseline": "ppca_nll_nats", "digits": 0},
        {"label": "the same in bits per dimension", "metric": "test_bits_per_dim",
         "baseline": "ppca_bits_per_dim"},
        {"label": "faces that turn blond", "metric": "hair_flip", "baseline": "random_hair_flip",
         "reference": "at least .80 was our target", "optimum": "1"},
        {"label": "faces that begin to smile", "metric": "smile_flip",
         "baseline": "random_smile_flip", "reference": "at least .80 was our target", "optimum": "1"},
        {"label": "KID-portraits of samples, × 1000", "metric": "kid_samples",
         "baseline": "kid_trivial", "optimum": "kid_floor", "digits": 1},
    ],
)

# %% [markdown]
# The baseline of the first two rows is probabilistic principal component analysis with as many components as our latent space has dimensions: the best *linear* model of this kind. The baseline of the flips is a random direction of the same length, that of the last row a Gaussian fitted to the principal components of the pixels. All terms are explained where they are used.
#
# ## Settings

# %% tags=["settings"]
SEED = current_seed()
DATASET = datasets.choose_dataset("portraits", alternatives=["celeba"])
VALIDATION = 1_000               # last training faces, kept aside for choices
LATENT = 128                     # dimensions of the latent space
FILTERS = (32, 64, 128, 256)     # per halving of the picture: 64 -> 32 -> 16 -> 8 -> 4 pixels
BATCH_SIZE = 64
LEARNING_RATE = 1e-3             # Adam, cosine decay to zero
EPOCHS = budget(quick=1, cpu=60, gpu=200)
PICTURES = budget(quick=1_920, cpu=None)   # a quick run trains on fewer (None: all)
QUICK_TEST = 500                 # test faces on which a quick run measures again
training.set_seed(SEED)

# %% [markdown]
# ## The faces

# %% tags=["exercise-context"]
data = datasets.load(DATASET)
image_shape = data.x_train.shape[1:]                   # (height, width, channels)
publishable = datasets.REGISTRY[DATASET].publishable  # may weights trained on it be shared?
x_train, x_validation = data.x_train[:-VALIDATION], data.x_train[-VALIDATION:] / np.float32(255)
x_test = data.x_test / np.float32(255)
DIMENSIONS = int(np.prod(image_shape))    # 12,288 numbers in a picture

# %% mystnb={"image": {"alt": "Twenty drawn faces with different hair, mouths, eyes, beards, clothes and skin"}, "figure": {"caption": "Twenty training faces.", "name": "fig-faces-data"}}
plots.image_grid(x_train[:20], columns=10)
plt.show()

# %%
results.show_table(
    ["attribute", "values"],
    [[name, ", ".join(values)] for name, (_, _, values) in data.attributes.items()],
)

# %% [markdown]
# The attributes were drawn independently of each other, with a few exceptions that the data page names. The autoencoder will see only the pixels. The labels come in afterwards, for naming directions and for judging.
#
# ## Model
#
# The encoder halves the picture four times and ends in two vectors: the mean and the logarithm of the variance of a Gaussian over the latent space, one number each per dimension. Learning the *logarithm* of the variance keeps the variance positive without any constraint; the standard deviation is $\exp(\tfrac12 \ln \sigma^2)$, and forgetting the one half is a classic mistake.

# %% tags=["exercise-context", "model"]
def build_encoder():
    pictures = keras.Input(image_shape)                        # [batch, 64, 64, 3]
    hidden = pictures
    for filters in FILTERS:
        hidden = layers.Conv2D(filters, 4, strides=2, padding="same", use_bias=False)(hidden)
        hidden = layers.BatchNormalization()(hidden)
        hidden = layers.LeakyReLU(negative_slope=0.2)(hidden)
    hidden = layers.Flatten()(hidden)                          # [batch, 4 * 4 * 256]
    mean = layers.Dense(LATENT, name="mean")(hidden)           # [batch, 128]
    log_variance = layers.Dense(LATENT, name="log_variance", kernel_initializer="zeros")(hidden)
    return keras.Model(pictures, [mean, log_variance], name="encoder")


# %% [markdown]
# The decoder mirrors it, with transposed convolutions that double width and height. Windows of 4 pixels and steps of 2 overlap evenly everywhere; with windows of 3 some pixels would be covered more often than others, which shows as a checkerboard {cite}`odena2016deconvolution`.

# %% tags=["exercise-context", "model"]
def build_decoder():
    codes = keras.Input((LATENT,))                             # [batch, 128]
    side = image_shape[0] // 2 ** len(FILTERS)
    hidden = layers.Dense(side * side * FILTERS[-1], use_bias=False)(codes)
    hidden = layers.Reshape((side, side, FILTERS[-1]))(hidden)  # [batch, 4, 4, 256]
    for filters in FILTERS[-2::-1]:
        hidden = layers.LeakyReLU(negative_slope=0.2)(layers.BatchNormalization()(hidden))
        hidden = layers.Conv2DTranspose(filters, 4, strides=2, padding="same", use_bias=False)(hidden)
    hidden = layers.LeakyReLU(negative_slope=0.2)(layers.BatchNormalization()(hidden))
    pictures = layers.Conv2DTranspose(3, 4, strides=2, padding="same", activation="sigmoid")(hidden)
    return keras.Model(codes, pictures, name="decoder")


# %% tags=["model"]
encoder, decoder = build_encoder(), build_decoder()
assert decoder.output.shape[1:] == image_shape
results.show_table(
    ["network", "input", "output", "parameters"],
    [["encoder", str(image_shape), f"mean and log-variance, {LATENT} each", f"{encoder.count_params():,}"],
     ["decoder", f"({LATENT},)", str(image_shape), f"{decoder.count_params():,}"]],
)

# %% [markdown]
# ## The loss, and the weight that is not a knob
#
# The negative evidence lower bound of a picture $x$ is
#
# $$ \mathcal L(x) = \underbrace{-\,\mathbb E_{q(z|x)}\big[\ln p(x|z)\big]}_{\text{reconstruction}} \;+\; \underbrace{\mathrm{KL}\big(q(z|x)\,\|\,p(z)\big)}_{\text{rate}} . $$
#
# Colours are not yes-or-no, so a Gaussian takes the place of the Bernoulli distribution: the decoder gives the mean $\hat x$, and every colour value scatters around it with the same standard deviation $s$. For a picture of $D$ values,
#
# $$ -\ln p(x|z) = \frac{D}{2} \ln (2\pi s^2) + \frac{1}{2 s^2} \sum_{i=1}^{D} (x_i - \hat x_i)^2 . $$
#
# Look at the role of $s$. Published code often minimises "1,000 or 10,000 times the mean squared error plus the KL term", and the factor is tuned by eye. That factor *is* a choice of $s$: with the mean squared error $m$ of a picture, $\frac{1}{2s^2} D m = \lambda m$ for $\lambda = D / (2 s^2)$. A probabilistic model can simply learn $s$ like any other parameter {cite}`rybkin2021simple`: too large an $s$ wastes likelihood on blur, too small a one is punished by every error. The best value for given reconstructions is their root mean squared error.

# %% tags=["model"]
def gaussian_nll(error, scale, dimensions):
    """-ln p(x|z) in nats; error: squared error summed over the picture."""
    return dimensions / 2 * np.log(2 * np.pi * scale**2) + error / (2 * scale**2)


mean_squared_error = 0.004
scales = np.linspace(0.02, 0.2, 1_801)
best = scales[gaussian_nll(mean_squared_error * DIMENSIONS, scales, DIMENSIONS).argmin()]
assert np.isclose(best, np.sqrt(mean_squared_error), atol=1e-4)
print(f"mean squared error {mean_squared_error}: best scale {best:.3f}, its root is "
      f"{np.sqrt(mean_squared_error):.3f}; the equivalent weight is {DIMENSIONS / (2 * best**2):,.0f}")

# %% [markdown]
# The Kullback-Leibler divergence between the encoder's Gaussian and the standard normal prior has a closed form, summed over the latent dimensions:
#
# $$ \mathrm{KL} = \frac12 \sum_j \big( \mu_j^2 + \sigma_j^2 - 1 - \ln \sigma_j^2 \big). $$
#
# Both terms are *summed* over pixels and dimensions and averaged over the batch only: nats per face. A mean over pixels would silently make the KL term thousands of times too heavy.

# %% tags=["exercise-context", "model"]
class FaceVAE(keras.Model):
    """Gaussian encoder, Gaussian decoder with one learnt scale, standard normal prior."""

    def __init__(self, encoder, decoder, seed):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.random = keras.random.SeedGenerator(seed)
        self.log_scale = self.add_weight(shape=(), initializer=keras.initializers.Constant(-2.3))
        self.parts = {name: keras.metrics.Mean(name=name) for name in ("reconstruction", "kl")}

    def call(self, pictures, training=False):
        mean, log_variance = self.encoder(pictures, training=training)   # [batch, latent] each
        noise = keras.random.normal(ops.shape(mean), seed=self.random)
        codes = mean + ops.exp(0.5 * log_variance) * noise               # reparameterisation
        return self.decoder(codes, training=training), mean, log_variance

    def terms(self, pictures, outputs):
        """Reconstruction and KL terms in nats, one of each per picture: [batch], [batch]."""
        decoded, mean, log_variance = outputs
        error = ops.sum(ops.square(pictures - decoded), axis=(1, 2, 3))
        reconstruction = DIMENSIONS * (self.log_scale + math.log(2 * math.pi) / 2)
        reconstruction += 0.5 * error * ops.exp(-2 * self.log_scale)
        kl = 0.5 * ops.sum(ops.square(mean) + ops.exp(log_variance) - 1 - log_variance, axis=1)
        return reconstruction, kl

    def compute_loss(self, x, y=None, y_pred=None, sample_weight=None, training=True):
        terms = [ops.mean(term) for term in self.terms(x, y_pred)]
        for metric, term in zip(self.parts.values(), terms):
            metric.update_state(term)
        return terms[0] + terms[1]


# %% [markdown]
# Before training, we test the loss: the closed form of the KL term against an average over random draws, and the reconstruction term against the formula above.

# %% tags=["model"]
vae = FaceVAE(encoder, decoder, SEED)
generator = np.random.default_rng(SEED)
mean, log_variance = generator.normal(size=(2, 1, LATENT)).astype("float32")
outputs = (ops.zeros((1, *image_shape)), mean, log_variance)
reconstruction, kl = (
    float(term[0]) for term in vae.terms(ops.convert_to_tensor(x_test[:1]), outputs)
)

draws = mean + np.exp(log_variance / 2) * generator.normal(size=(50_000, LATENT))
log_q = -0.5 * (((draws - mean) ** 2) / np.exp(log_variance) + log_variance).sum(axis=1)
log_p = -0.5 * (draws**2).sum(axis=1)
assert np.isclose(kl, (log_q - log_p).mean(), rtol=0.01)
expected = gaussian_nll((x_test[0] ** 2).sum(), np.exp(-2.3), DIMENSIONS)
assert np.isclose(reconstruction, expected, rtol=1e-4)
print("closed-form KL = Monte Carlo within 1 %; reconstruction term = the formula")

# %% [markdown]
# ## Training

# %% tags=["model"]
face_batches = training.batches(x_train[:PICTURES], batch_size=BATCH_SIZE, seed=SEED)
schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, EPOCHS * len(face_batches))
vae.compile(keras.optimizers.Adam(schedule))
vae(x_test[:2])  # builds all weights, which loading and resuming need

# %% tags=["nbval-ignore-output"]
run = training.fit(
    vae,
    face_batches,
    epochs=EPOCHS,
    validation=(x_validation if is_full_run() else x_validation[:200], None),
    checkpoint=f"vae_faces_{DATASET}_{SEED}",
)

# %% [markdown]
# The loss is negative, and that is no mistake: a *density* may be larger than one, and a sharp Gaussian in 12,288 dimensions is much larger. To have a number that can be read, we divide by the number of dimensions, change to bits, and account for the 256 levels of each colour: *bits per dimension*, eight for a model that knows nothing. (The conversion takes the density as constant over one level, 1/256 wide, which holds well as long as $s$ is wider than a level.)

# %%
def bits_per_dimension(nats):
    return metrics.bits_per_dim(nats, DIMENSIONS) + np.log2(256)


assert np.isclose(bits_per_dimension(0.0), 8)  # the uniform density on [0, 1] has NLL 0
assert run.history["loss"][-1] < gaussian_nll(0.06 * DIMENSIONS, np.exp(-2.3), DIMENSIONS)
if is_full_run():
    weights.release(vae, f"vae_faces/{DATASET}", run, publish=publishable)
run = weights.restore(vae, f"vae_faces/{DATASET}")
scale = float(ops.exp(vae.log_scale))
assert scale > 1 / 256
print(f"weights of a run with {run.updates:,} updates; learnt scale {scale:.3f}")

# %% mystnb={"image": {"alt": "Falling curves of the negative bound for training and validation faces in bits per dimension"}, "figure": {"caption": "The full run: negative bound per dimension on training and validation faces.", "name": "fig-faces-curve"}}
bits = {key: [bits_per_dimension(v) for v in run.history[key]] for key in ("loss", "val_loss")}
plots.loss_curves(bits, labels={"loss": "training", "val_loss": "validation"})
plt.ylabel("bits per dimension")
plt.show()

# %% [markdown]
# ## Reconstructions
#
# We encode test faces, take the mean as the code, and decode.

# %% tags=["exercise-context"]
def encode(pictures, batch_size=250):
    """Means [n, latent] and log-variances of the codes of pictures (bytes or floats)."""
    parts = []
    for start in range(0, len(pictures), batch_size):
        batch = pictures[start : start + batch_size]
        batch = batch / np.float32(255) if batch.dtype == np.uint8 else batch
        parts.append([ops.convert_to_numpy(part) for part in vae.encoder(batch, training=False)])
    return tuple(np.concatenate(part) for part in zip(*parts))


def decode(codes, batch_size=250):
    parts = [
        ops.convert_to_numpy(vae.decoder(codes[start : start + batch_size], training=False))
        for start in range(0, len(codes), batch_size)
    ]
    return np.concatenate(parts)


# %% mystnb={"image": {"alt": "Ten drawn faces in the upper row and their slightly softer reconstructions in the lower row"}, "figure": {"caption": "The first ten test faces (above) and their reconstructions (below).", "name": "fig-faces-reconstructions"}}
test_faces = x_test[: budget(quick=QUICK_TEST, cpu=len(x_test))]
test_means, test_log_variances = encode(test_faces)
test_decoded = decode(test_means)
plots.image_grid(
    np.concatenate([test_faces[:10], test_decoded[:10]]), row_labels=["faces", "reconstructed"]
)
plt.show()

# %% [markdown]
# The reconstructions are a little soft at edges, and this is what the Gaussian likelihood asks for: where the code does not say exactly where an edge runs, the mean over the possibilities is the best guess, and a mean of edges is a blur.
#
# ## Is every attribute still there?
#
# Looking is not measuring. The residual network of chapter 2 was trained on real faces to name every attribute. We first ask how often it is right on *real* test faces, then how often its answer on the *reconstruction* is still the true attribute. An attribute that is lost here cannot be manipulated later, and whoever measures it anyway measures the judge's habits.

# %%
judge = weights.restore_model(f"cnn/features_{DATASET}")


def judged(pictures, batch_size=250):
    """The judge's answer for every attribute: {attribute: labels [n]}."""
    parts = [
        judge(pictures[start : start + batch_size], training=False)
        for start in range(0, len(pictures), batch_size)
    ]
    return {
        name: np.concatenate([ops.convert_to_numpy(part[name]) for part in parts]).argmax(axis=1)
        for name in data.attributes
    }


answers_real, answers_decoded = judged(test_faces), judged(test_decoded)
kept = {}
for name, (_, truth, _) in data.attributes.items():
    truth = truth[: len(test_faces)]
    kept[name] = (np.mean(answers_real[name] == truth), np.mean(answers_decoded[name] == truth))

# %%
def verdict(on_real, on_reconstruction):
    if on_real < 0.95:
        return "the judge is too unsure"
    return "kept" if on_reconstruction >= 0.85 else "lost"


results.show_table(
    ["attribute", "judge on real faces", "judge on reconstructions", "verdict"],
    [[name, f"{real:.3f}", f"{decoded:.3f}", verdict(real, decoded)]
     for name, (real, decoded) in kept.items()],
)

# %% [markdown]
# Large areas of colour survive best: hair, skin and background decide many pixels. Small features that decide few pixels are the first to go when the code has to be economical.
#
# ## How the latent space is used
#
# The rate tells how much each dimension says about a face. A dimension with zero rate is unused: its code is the prior, whatever the face.

# %% mystnb={"image": {"alt": "Bar chart of the rate of 128 latent dimensions in descending order"}, "figure": {"caption": "Rate of each latent dimension on test faces, sorted.", "name": "fig-faces-rate"}}
rates = 0.5 * (test_means**2 + np.exp(test_log_variances) - 1 - test_log_variances).mean(axis=0)
plt.bar(range(LATENT), np.sort(rates)[::-1], width=1)
plt.xlabel("latent dimension, sorted")
plt.ylabel("rate (nats per face)")
plt.show()

# %%
used = int((rates > 0.1).sum())
print(f"{used} of {LATENT} dimensions carry more than 0.1 nats; all together {rates.sum():.0f} nats")
assert 0 < used <= LATENT and np.isclose(rates.sum(), rates[rates > 0].sum(), rtol=1e-3)

# %% [markdown]
# ## Samples
#
# A new face is a draw from the prior, decoded. The first twenty, unselected:

# %% mystnb={"image": {"alt": "Twenty generated drawn faces; most are clear, a few have mixed hair or clothes"}, "figure": {"caption": "Twenty faces from random codes, the first twenty of a fixed seed.", "name": "fig-faces-samples"}}
sample_codes = np.random.default_rng(SEED).normal(size=(2_000, LATENT)).astype("float32")
plots.image_grid(decode(sample_codes[:20]), columns=10)
plt.show()

# %% [markdown]
# Samples are less convincing than reconstructions. The decoder was trained on the codes of real faces; a random draw can fall where no face has been, for instance half way between two kinds of hair. How large this gap is, we measure below.
#
# ## Attribute vectors
#
# Take the mean code of all training faces that are blond, and subtract the mean code of all that are not. Whatever blond and other faces have in common cancels; what is left is a direction that we may call *blond* {cite}`larsen2016autoencoding`. The same for faces that smile, with an open mouth or a closed one. Only training faces are used here.

# %%
WANTED = {
    "hair": ("hair_colour", ["blond"]),
    "smile": ("smiling", ["smiling"]),  # a mouth that smiles or laughs
}
SAME_THING = {"smiling": "mouth"}  # a smile cannot come without a change of the mouth


def has(labels, attribute, values):
    names = list(data.attributes[attribute][2])
    return np.isin(labels, [names.index(value) for value in values])


train_means, _ = encode(x_train)
vectors = {}
for key, (attribute, values) in WANTED.items():
    flag = has(data.attributes[attribute][0][: len(x_train)], attribute, values)
    vectors[key] = train_means[flag].mean(axis=0) - train_means[~flag].mean(axis=0)  # [latent]

# %% [markdown]
# How far should one walk? Too little changes nothing, too much leaves the region of faces. That is a choice, so it is made on *validation* faces: for several strengths we count how many faces that lack the attribute gain it (by the judge), and, among the same faces, how often each *other* attribute stays what it was in the plain reconstruction. The strength with the best worst number wins.

# %%
def walk(codes, key, strength):
    """Share of faces that gain the attribute, and shares that keep each other attribute."""
    attribute, values = WANTED[key]
    before = judged(decode(codes))
    lacking = ~has(before[attribute], attribute, values)
    after = judged(decode(codes[lacking] + strength * vectors[key]))
    gained = has(after[attribute], attribute, values).mean()
    stays = {
        name: np.mean(after[name] == before[name][lacking])
        for name in data.attributes
        if name not in (attribute, SAME_THING.get(attribute))
    }
    return gained, stays, int(lacking.sum())


validation_means, _ = encode(x_validation[: budget(quick=300, cpu=VALIDATION)])

# %% tags=["nbval-ignore-output"]
strengths = np.arange(0.0, 3.01, budget(quick=0.5, cpu=0.25))
curves = {key: [walk(validation_means, key, s) for s in strengths] for key in WANTED}
chosen = {}
for key, curve in curves.items():
    worst = [min(gained, *stays.values()) for gained, stays, _ in curve]
    chosen[key] = float(strengths[int(np.argmax(worst))])
assert all(curve[0][0] == 0 for curve in curves.values())  # strength 0 changes nothing
print("strengths chosen on validation faces:", chosen)

# %% mystnb={"image": {"alt": "Two panels: the share of faces that gain the attribute rises with strength while the share that keep the other attributes falls"}, "figure": {"caption": "Validation faces: gaining the wanted attribute (blue) and keeping the most fragile other one (vermilion), against the strength of the walk.", "name": "fig-faces-strength"}}
figure, axes = plt.subplots(1, 2, figsize=(7.5, 3), sharey=True)
for axis, (key, curve) in zip(axes, curves.items()):
    axis.plot(strengths, [gained for gained, _, _ in curve], "o-", label="gained")
    axis.plot(strengths, [min(s.values()) for _, s, _ in curve], "s--", label="kept, worst other")
    axis.axvline(chosen[key], color="black", linewidth=0.8)
    axis.set_title(key)
    axis.set_xlabel("strength")
axes[0].set_ylabel("share of faces")
axes[0].legend()
plt.show()

# %% [markdown]
# Here are the walks for five test faces each, with the reconstruction at strength zero in the second column.

# %% tags=["cover"] mystnb={"image": {"alt": "Four rows of test faces: in the first two the hair turns blond from left to right, in the last two the mouth begins to smile"}, "figure": {"caption": "Test face, reconstruction, and walks of growing strength: towards blond hair (two rows) and towards a smile (two rows).", "name": "fig-faces-walk"}}
steps = np.linspace(0, 1.5, 7)
rows, row_labels = [], []
for key, (attribute, values) in WANTED.items():
    lacking = np.flatnonzero(~has(answers_decoded[attribute], attribute, values))[:2]
    for index in lacking:
        path = test_means[index] + np.outer(steps, chosen[key] * vectors[key])  # [7, latent]
        rows.append(np.concatenate([test_faces[index : index + 1], decode(path.astype("float32"))]))
        row_labels.append(key)
plots.image_grid(np.concatenate(rows), columns=8, size=1.0, row_labels=row_labels)
plt.show()

# %% [markdown]
# ## Evaluation
#
# The flips on test faces, at the strength that was fixed on validation faces, next to a random direction of the same length.

# %%
def flip_measurement(key, codes):
    gained, stays, count = walk(codes, key, chosen[key])
    length = np.linalg.norm(vectors[key])
    direction = np.random.default_rng(SEED).normal(size=LATENT)
    saved = vectors[key]
    vectors[key] = (direction / np.linalg.norm(direction) * length).astype("float32")
    random_gained = walk(codes, key, chosen[key])[0]
    vectors[key] = saved
    return gained, stays, count, random_gained


if not is_full_run():  # a quick run measures on few validation faces: take the recorded strengths
    recorded = {key: results.headline("vae_faces", f"{key}_strength", DATASET) for key in WANTED}
    chosen = {key: found.mean if found else chosen[key] for key, found in recorded.items()}
flips = {key: flip_measurement(key, test_means) for key in WANTED}

# %%
results.show_table(
    ["direction", "faces", "gained", "random direction", "most fragile other attribute", "kept there"],
    [[key, count, f"{gained:.3f}", f"{random_gained:.3f}",
      min(stays, key=stays.get), f"{min(stays.values()):.3f}"]
     for key, (gained, stays, count, random_gained) in flips.items()],
)

# %% [markdown]
# Now the bound itself. For one draw per face the bound on the log-likelihood is estimated without bias; over 2,000 faces the noise of the draws is negligible.

# %%
def negative_elbo(pictures, batch_size=250):
    """Negative ELBO [n] in nats, one draw of the code for each picture."""
    values = []
    for start in range(0, len(pictures), batch_size):
        batch = pictures[start : start + batch_size]
        reconstruction, kl = vae.terms(batch, vae(batch, training=False))
        values.append(ops.convert_to_numpy(reconstruction + kl))
    return np.concatenate(values)


elbo = negative_elbo(test_faces)
record = results.Record("vae_faces", DATASET, data.source)
quick_elbo = elbo[:QUICK_TEST]
record.check(
    "test_elbo_nats", quick_elbo.mean(), n=QUICK_TEST, sd=quick_elbo.std(ddof=1) / QUICK_TEST**0.5
)
print(f"{bits_per_dimension(quick_elbo.mean()):.2f} bits per dimension on {QUICK_TEST} test faces")

# %% [markdown]
# *Probabilistic principal component analysis* {cite}`tipping1999probabilistic` is the linear relative of our model: the same prior, a linear decoder, the same Gaussian noise. Its likelihood can be calculated exactly. With the variances $\lambda_j$ of the first $k$ principal components and the mean variance $s^2$ of all others, the model's covariance has just these values, and
#
# $$ -\ln p(x) = \tfrac12 \Big[ D \ln 2\pi + \sum_{j \le k} \ln \lambda_j + (D-k) \ln s^2 + \sum_{j \le k} \frac{c_j^2}{\lambda_j} + \frac{\|x - \bar x\|^2 - \sum_j c_j^2}{s^2} \Big], $$
#
# where $c_j$ is the coordinate of $x$ along component $j$.

# %%
def fit_ppca(train, components):
    mean = train.mean(axis=0)
    centred = train - mean
    gram = centred @ centred.T / len(train)                  # [n, n]: as many eigenvalues, cheaper
    values, vectors_of_gram = np.linalg.eigh(gram)
    values, vectors_of_gram = values[::-1][:components], vectors_of_gram[:, ::-1][:, :components]
    axes = centred.T @ vectors_of_gram / np.sqrt(values * len(train))  # [D, k], orthonormal
    noise = (np.trace(gram) - values.sum()) / (train.shape[1] - components)
    return mean, axes, values, noise


def ppca_nll(model, pictures):
    mean, axes, values, noise = model
    centred = pictures - mean
    coordinates = centred @ axes                             # [n, k]
    rest = (centred**2).sum(axis=1) - (coordinates**2).sum(axis=1)
    k, dimensions = len(values), pictures.shape[1]
    constant = dimensions * np.log(2 * np.pi) + np.log(values).sum() + (dimensions - k) * np.log(noise)
    return 0.5 * (constant + (coordinates**2 / values).sum(axis=1) + rest / noise)


# %%
from sklearn.decomposition import PCA

small = np.random.default_rng(SEED).normal(size=(300, 12)) * np.arange(1, 13)
expected = PCA(n_components=4).fit(small).score_samples(small)
assert np.allclose(-ppca_nll(fit_ppca(small, 4), small).mean(), expected.mean(), rtol=2e-3)
ppca_faces = x_train[: budget(quick=1_000, cpu=4_000)].reshape(-1, DIMENSIONS) / np.float32(255)
ppca = fit_ppca(ppca_faces, LATENT)
ppca_value = ppca_nll(ppca, test_faces.reshape(-1, DIMENSIONS)).mean()
assert quick_elbo.mean() < ppca_value
print("the bound of the VAE is better than the exact likelihood of the linear model")

# %% [markdown]
# How far are the samples from real faces? The *kernel inception distance* {cite}`binkowski2018demystifying` between two sets of pictures, measured in the features of the residual network, is zero on average when both come from the same distribution. The floor compares two sets of real faces, and the trivial generator draws from a Gaussian fitted to the principal components of the pixels. We multiply by 1,000.

# %%
def kid_portraits(pictures, count):
    real = metrics.features(feature_network, x_test[:count])
    fake = metrics.features(feature_network, pictures[:count])
    mean, sd = metrics.kernel_distance(real, fake, subsets=10, subset_size=count // 2, seed=SEED)
    return 1_000 * mean, 1_000 * sd


feature_network = weights.load_feature_network(DATASET)
count = budget(quick=QUICK_TEST, cpu=2_000)
kid_sample, kid_sample_sd = kid_portraits(decode(sample_codes[:count]), count)
kid_decoded, kid_decoded_sd = kid_portraits(test_decoded, min(count, len(test_decoded)))
kid_floor, kid_floor_sd = kid_portraits(x_train[:count] / np.float32(255), count)
assert kid_floor < kid_decoded < kid_sample
print("real faces are nearer to real faces than reconstructions, and these nearer than samples")

# %%
if is_full_run():
    trivial = metrics.pca_gaussian_samples(x_train / np.float32(255), count, 128, seed=SEED)
    kid_trivial, kid_trivial_sd = kid_portraits(trivial, count)
    record.metric("kid_samples", kid_sample, n=count, sd=kid_sample_sd)
    record.metric("kid_reconstructions", kid_decoded, n=count, sd=kid_decoded_sd)
    record.metric("kid_floor", kid_floor, n=count, sd=kid_floor_sd)
    record.metric("kid_trivial", kid_trivial, n=count, sd=kid_trivial_sd)
    standard_error = elbo.std(ddof=1) / len(elbo) ** 0.5
    record.metric("test_elbo_nats", elbo.mean(), n=len(elbo), sd=standard_error)
    record.metric("test_bits_per_dim", bits_per_dimension(elbo.mean()), n=len(elbo))
    record.metric("ppca_nll_nats", ppca_value, n=len(elbo))
    record.metric("ppca_bits_per_dim", bits_per_dimension(ppca_value), n=len(elbo))
    record.metric("kl_nats", rates.sum(), n=len(elbo))

# %%
first = test_means[:QUICK_TEST]
for key, (gained, stays, number, random_gained) in flips.items():
    small_gained, small_stays, small_number = walk(first, key, chosen[key])
    small_sd = max(np.sqrt(small_gained * (1 - small_gained) / small_number), 1e-3)
    record.check(f"{key}_flip", small_gained, n=QUICK_TEST, sd=small_sd)
    if is_full_run():
        record.metric(f"{key}_flip", gained, n=number, sd=np.sqrt(gained * (1 - gained) / number))
        record.metric(f"random_{key}_flip", random_gained, n=number)
        record.metric(f"{key}_strength", chosen[key])
        record.metric(f"{key}_worst_kept", min(stays.values()), n=number)
if is_full_run():
    for name, (real, decoded) in kept.items():
        record.metric(f"judge_real.{name}", real, n=len(test_faces))
        record.metric(f"judge_reconstructed.{name}", decoded, n=len(test_faces))

# %%
record.save(
    parameters={"vae": vae.count_params()},
    updates=run.updates,
    seconds=run.seconds,
    weight_names=[f"vae_faces/{DATASET}"],
)

# %% [markdown]
# ## Morphing
#
# Between two codes lie all the codes on the line that joins them. In the pixels, half way between two faces is a double exposure; in the latent space it is, more often than not, a face.

# %% mystnb={"image": {"alt": "Two rows of eight faces morphing from one to another through plausible faces, and one row in which the two faces are cross-faded like a double exposure"}, "figure": {"caption": "Two morphs through the latent space, and below them the second pair cross-faded in pixels.", "name": "fig-faces-morph"}}
fractions = np.linspace(0, 1, 8, dtype="float32")[:, None]
morphs = [
    decode((1 - fractions) * test_means[a] + fractions * test_means[b]) for a, b in [(0, 1), (2, 3)]
]
blend = fractions[:, :, None, None]
cross_fade = (1 - blend) * test_decoded[2] + blend * test_decoded[3]
plots.image_grid(
    np.concatenate([*morphs, cross_fade]), columns=8, row_labels=["latent", "latent", "pixels"]
)
plt.show()

# %% [markdown]
# ## What goes wrong
#
# **A biased sample gives a crooked direction.** An attribute vector is a difference of averages. If, in the faces at hand, blond hair happens to go with a particular background, the average picks up the background too. We choose training faces such that nine in ten blond ones have a rose background and few others do, and walk along the direction that they give.

# %%
background_names = list(data.attributes["background"][2])
rose = data.attributes["background"][0][: len(x_train)] == background_names.index("rose")
blond = has(data.attributes["hair_colour"][0][: len(x_train)], "hair_colour", ["blond"])
chance = np.random.default_rng(SEED).random(len(x_train))
biased = np.where(blond == rose, True, chance < 0.02)  # blond and rose, or neither; few exceptions
honest_vector = vectors["hair"]
vectors["hair"] = (
    train_means[biased & blond].mean(axis=0) - train_means[biased & ~blond].mean(axis=0)
)
_, crooked_stays, _ = walk(test_means[:QUICK_TEST], "hair", chosen["hair"])
vectors["hair"] = honest_vector
_, honest_stays, _ = walk(test_means[:QUICK_TEST], "hair", chosen["hair"])
assert crooked_stays["background"] < honest_stays["background"] - 0.1
print(f"backgrounds kept: {honest_stays['background']:.2f} with the honest direction, "
      f"{crooked_stays['background']:.2f} with the crooked one")

# %% [markdown]
# Data sets of photographs are full of such coincidences: who smiles, who wears a hat, where the light comes from. A direction learnt from them carries all of it, and a picture alone does not tell.
#
# **The wrong scale empties the latent space.** For a linear model it can be shown which latent dimensions survive: those whose principal component has a variance larger than the noise variance $s^2$ {cite}`lucas2019dont`. With the scale as a knob, one turns off dimensions without noticing.

# %%
spectrum = np.linalg.eigvalsh(np.cov(ppca_faces[:1_000]) * 0 + (
    lambda c: c @ c.T / len(c))(ppca_faces[:1_000] - ppca_faces[:1_000].mean(axis=0)))[::-1]
results.show_table(
    ["noise scale s", "equivalent weight of the mean squared error", "components above the noise"],
    [[f"{s:.2f}", f"{DIMENSIONS / (2 * s**2):,.0f}", int((spectrum > s**2).sum())]
     for s in (0.05, 0.1, 0.25, 0.5, 1.0, 2.0)],
)
assert (spectrum > 2.0**2).sum() < (spectrum > 0.1**2).sum()

# %% [markdown]
# ## Lessons
#
# - The weight between reconstruction and rate is the noise scale of the likelihood. Learn it.
# - Report the bound in nats per picture or in bits per dimension, against a linear model whose likelihood is exact.
# - The latent space arranges properties that it was never told about; differences of means name them.
# - Judge manipulations with an independent classifier that was itself tested, on reconstructions that still show the attribute, with every choice made on other faces.
# - A direction inherits every coincidence of the sample that it was computed from.
#
# **Things to try.** Change the mouth and the hair at once. Halve the latent space and see which attribute is lost first. Use your own pictures of faces: `GENBOOK_DATASET=celeba` reads CelebA from a folder.

# %% [markdown]
# ## Exercises
#
# :::{exercise} The weight in disguise
# :label: faces-weight
#
# A colleague minimises 10,000 times the mean squared error per pixel value, plus the KL term, on pictures of 32 by 32 pixels with three colours. Which noise scale has been assumed? Complete the function.
# :::

# %% [markdown]
# :::{solution-start} faces-weight
# :class: dropdown
# :::
#
# From $\lambda = D / (2 s^2)$ follows $s = \sqrt{D / (2\lambda)}$, here about 0.39 for $D = 3072$: as if every colour value were uncertain by two fifths of the whole range. Such a model is free to be blurred.

# %% tags=["solution"]
def implied_scale(weight, dimensions):
    ### BEGIN SOLUTION
    return np.sqrt(dimensions / (2 * weight))
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
assert np.isclose(implied_scale(10_000, 3_072), 0.3919, atol=1e-3)
assert np.isclose(implied_scale(DIMENSIONS / 2, DIMENSIONS), 1.0)
print("correct")

# %% [markdown]
# :::{exercise} Where do the codes live?
# :label: faces-sphere
#
# A standard normal vector in $d$ dimensions has a length near $\sqrt d$, with a standard deviation of about $0.7$ whatever $d$ is. The half-way point of a straight line between two independent draws is shorter, by a factor of $\sqrt 2$. *Spherical interpolation* {cite}`white2016sampling` keeps the length: $\mathrm{slerp}(a, b; t) = \frac{\sin((1-t)\theta)}{\sin\theta} a + \frac{\sin(t\theta)}{\sin\theta} b$ with the angle $\theta$ between $a$ and $b$. Write it. Before you compare: for which kind of codes should the difference matter, for draws from the prior or for the means of encoded faces?
# :::

# %% [markdown]
# :::{solution-start} faces-sphere
# :class: dropdown
# :::
#
# For draws from the prior: the decoder has seen codes of length near $\sqrt d$ (means plus noise), and the half-way point of the straight line is shorter than nearly all of them. The *means* of encoded faces are already shorter than $\sqrt d$, because the noise is missing and unused dimensions have a mean of zero, so that a straight line between two of them does less harm.

# %% tags=["solution"]
def slerp(a, b, fraction):
    ### BEGIN SOLUTION
    cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    angle = np.arccos(np.clip(cosine, -1, 1))
    return (np.sin((1 - fraction) * angle) * a + np.sin(fraction * angle) * b) / np.sin(angle)
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
start, end = np.random.default_rng(0).normal(size=(2, 128))
assert np.allclose(slerp(start, end, 0.0), start) and np.allclose(slerp(start, end, 1.0), end)
half = slerp(start, end, 0.5)
assert abs(np.linalg.norm(half) - (np.linalg.norm(start) + np.linalg.norm(end)) / 2) < 0.5
assert np.linalg.norm((start + end) / 2) < 0.8 * np.linalg.norm(half)
print("correct")

# %% [markdown]
# :::{exercise} Read the hair from the code
# :label: faces-probe
#
# If a linear classifier can read an attribute from the codes, the attribute has a direction. Complete the function: train a linear softmax classifier (one `Dense` layer, Adam with a learning rate of 0.01, 20 epochs, batch size 64) on codes and labels, and return the accuracy on other codes.
# :::

# %% [markdown]
# :::{solution-start} faces-probe
# :class: dropdown
# :::
#
# A single dense layer is enough. Try it on the codes of faces for each attribute: those with large areas of colour are read almost perfectly, the shape of the mouth less well; compare with the table of kept and lost attributes above.

# %% tags=["solution", "nbval-ignore-output"]
def probe_accuracy(codes, labels, other_codes, other_labels):
    ### BEGIN SOLUTION
    training.set_seed(0)
    probe = keras.Sequential([keras.Input(codes.shape[1:]), layers.Dense(int(labels.max()) + 1)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    probe.compile(keras.optimizers.Adam(0.01), loss=loss)
    probe.fit(codes, labels, batch_size=64, epochs=20, verbose=0)
    answers = ops.convert_to_numpy(probe(other_codes)).argmax(axis=1)
    return np.mean(answers == other_labels)
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check", "nbval-ignore-output"]
points = np.random.default_rng(0).normal(size=(1_500, 10)).astype("float32")
sides = (points[:, :3]).argmax(axis=1)  # three classes with flat borders: easy for a linear probe
probed = probe_accuracy(points[:1_000], sides[:1_000], points[1_000:], sides[1_000:])
assert probed is not None and probed > 0.85
nothing = probe_accuracy(points[:1_000], sides[::-1][:1_000], points[1_000:], sides[1_000:])
assert nothing < 0.6  # labels that have nothing to do with the codes cannot be read
print("correct")

# %% [markdown]
# ## References
#
# Variational autoencoders: {cite:t}`kingma2014vae,rezende2014stochastic`. Learning the scale of the decoder: {cite:t}`rybkin2021simple`; what the scale does to a linear model: {cite:t}`lucas2019dont`; probabilistic PCA: {cite:t}`tipping1999probabilistic`. Attribute vectors: {cite:t}`larsen2016autoencoding`; spherical interpolation: {cite:t}`white2016sampling`; checkerboards: {cite:t}`odena2016deconvolution`; KID: {cite:t}`binkowski2018demystifying`. The setting with faces follows {cite:t}`foster2023generative`.
