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

@SETUP@
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
ROW_PICTURES, ROW_EPOCHS = 20_000, 5  # pictures and passes of the runs with a strong decoder
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
    return layers.ReLU()(layers.BatchNormalization()(x))


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
    return layers.ReLU()(layers.BatchNormalization()(x))


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
    run = training.fit(
        model, train_batches, epochs=epochs, validation=x_validation, checkpoint=f"vae_{name}_{SEED}"
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
    ["model", "largest mean", "deviations", "largest correlation", "largest KS gap", "p < .01"], rows
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
a, b = prior_codes[0], prior_codes[1] * np.linalg.norm(prior_codes[0]) / np.linalg.norm(prior_codes[1])
turned = np.array([np.linalg.norm(slerp(a, b, t)) for t in np.linspace(0, 1, 11)])
assert np.allclose(turned, np.linalg.norm(a), rtol=1e-4)
lengths = np.linalg.norm(prior_codes, axis=1)
middle = np.linalg.norm((prior_codes[::2] + prior_codes[1::2]) / 2, axis=1)
assert abs(lengths.mean() - 4) < 0.1 and abs(middle.mean() - 4 / np.sqrt(2)) < 0.1
print(f"draws lie at {lengths.mean():.1f} from the origin, midpoints of pairs at {middle.mean():.1f}")

# %% mystnb={"image": {"alt": "Three rows in which one garment turns step by step into another"}, "figure": {"caption": "Spherical interpolation between the codes of test pictures 0 and 1, 2 and 3, 4 and 5.", "name": "fig-vae-morph"}}
means = encode(vae_16d, x_test[:6])[0]
walks = [slerp(means[i], means[i + 1], t) for i in (0, 2, 4) for t in np.linspace(0, 1, 10)]
plots.image_grid(decode(vae_16d, walks))
plt.show()
