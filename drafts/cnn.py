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
# # Convolutional networks
#
# The dense network of the first notebook did not know that pictures are pictures. A convolutional network does: it looks everywhere for the same small patterns, and then for patterns of these patterns. Here we build one, take it apart to see what batch normalisation and dropout contribute, and then build a better one with fewer parameters. The better one will serve the whole book as a measuring instrument: later chapters judge generated pictures by what this network sees in them.
#
# ![Test pictures of clothes that the network gets wrong, each with its answer and the truth](images/cnn.png)
#
# *What even the better network gets wrong: its most confident mistakes on the test set, found at the end of this notebook.*

# %% [markdown]
# ## What to expect
#
# The first network follows {cite:t}`foster2023generative`. The second must beat it with no more parameters. All numbers are accuracies on pictures that played no part in training or choosing.

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

from helpers import datasets, plots, results, training, weights
from helpers.budget import budget, current_seed, is_full_run

plots.use_style()

# %%
results.expectation(
    "cnn",
    dataset="fashion_mnist",
    rows=[
        {"label": "Fashion-MNIST, reference network", "metric": "test_accuracy",
         "baseline": "mlp_accuracy", "reference": "at least .92 was our target"},
        {"label": "Fashion-MNIST, residual network", "metric": "improved_accuracy",
         "baseline": "mlp_accuracy", "reference": "at least .935 was our target"},
        {"label": "CIFAR-10, reference network", "metric": "test_accuracy", "dataset": "cifar10",
         "baseline": "mlp_accuracy", "reference": ".715 (Foster 2023, same layers)"},
        {"label": "CIFAR-10, residual network", "metric": "improved_accuracy",
         "dataset": "cifar10", "baseline": "mlp_accuracy", "reference": "at least .85 was our target"},
    ],
)

# %% [markdown]
# The baseline is the multilayer perceptron of the first notebook of this chapter. CIFAR-10 {cite}`krizhevsky2009learning` consists of colour photographs, 32 pixels wide and high, in ten classes; our numbers on it were measured on a JPEG copy of the set, which is a little blurred, and its pictures are not part of the book.
#
# ## Settings

# %% tags=["settings"]
SEED = current_seed()
DATASET = datasets.choose_dataset("fashion_mnist", alternatives=["cifar10", "celeba"])
VALIDATION = 5_000                          # training pictures kept aside
REFERENCE_EPOCHS = budget(quick=1, cpu=10)  # the reference's setting
REFERENCE_BATCH = 32
REFERENCE_RATE = 5e-4                       # Adam, constant
REFERENCE_PICTURES = budget(quick=9_600, cpu=None)  # a quick run trains on fewer (None: all)
ABLATION_EPOCHS = 3                         # shorter, compared at equal numbers of updates
IMPROVED_EPOCHS = budget(quick=1, cpu=20 if DATASET == "cifar10" else 12)
IMPROVED_BATCH = 128
IMPROVED_RATE = 4e-3                        # AdamW, peak of the schedule
WEIGHT_DECAY = 0.02
FEATURE_EPOCHS = 20                         # the measuring networks of the last section
QUICK_TEST = 2_000                          # test pictures on which a quick run measures again
training.set_seed(SEED)

# %% [markdown]
# ## The data
#
# The same split as before: training pictures to learn from, validation pictures to watch and to choose, test pictures for the end.

# %% tags=["exercise-context"]
data = datasets.load(DATASET)
image_shape = data.x_train.shape[1:]                   # (height, width, channels)
publishable = datasets.REGISTRY[DATASET].publishable  # may weights trained on it be shared?
order = np.random.default_rng(0).permutation(len(data.x_train))  # files may be sorted by class
learn, watch = order[:-VALIDATION], order[-VALIDATION:]
x_train, x_validation = data.x_train[learn], data.x_train[watch] / np.float32(255)
y_train, y_validation = data.y_train[learn], data.y_train[watch]
x_test, y_test = data.x_test / np.float32(255), data.y_test
names = data.class_names
classes = len(names)

# %% [markdown]
# ## Two ingredients
#
# The notebook on convolutions showed what a convolutional layer computes: at every place of the picture the same weighted sum of a small neighbourhood. Besides it, the reference network uses two ingredients that behave differently in training and in use. This difference is behind many a puzzling result, so we look at each by itself.
#
# **Batch normalisation** {cite}`ioffe2015batch` standardises each channel: it subtracts the mean and divides by the standard deviation, then lets a learnt scale $\gamma$ and shift $\beta$ undo as much of that as is useful:
#
# $$ \hat x = \gamma\, \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta . $$
#
# During training, $\mu$ and $\sigma^2$ are those of the current batch. In use they are running averages collected during training, because an answer must not depend on which other pictures happen to be asked about at the same time.

# %%
generator = np.random.default_rng(SEED)
activations = generator.normal(loc=5.0, scale=3.0, size=(256, 8, 8, 4)).astype("float32")
normalise = layers.BatchNormalization()
in_training = ops.convert_to_numpy(normalise(activations, training=True))   # [256, 8, 8, 4]
in_use = ops.convert_to_numpy(normalise(activations, training=False))
assert np.allclose(in_training.mean(axis=(0, 1, 2)), 0, atol=1e-3)
assert np.allclose(in_training.std(axis=(0, 1, 2)), 1, atol=1e-2)
assert abs(in_use.mean()) > 1  # after a single batch the running averages have hardly moved
print("training: standardised channel by channel; use: not yet, the running averages lag behind")

# %% [markdown]
# The layer has four numbers per channel, of which only two are learnt by gradient descent: $\gamma$ and $\beta$. The other two are the running averages.
#
# **Dropout** {cite}`srivastava2014dropout` sets a random part of its inputs to zero at every training step and multiplies the rest so that their expected value stays the same. No unit can rely on one particular partner; the network is pushed towards answers that several paths support. In use, dropout does nothing.

# %%
dropout = layers.Dropout(0.5, seed=SEED)
ones = np.ones((1_000, 100), "float32")
dropped = ops.convert_to_numpy(dropout(ones, training=True))
assert set(np.unique(dropped)) == {0.0, 2.0}    # half is dropped, the other half is doubled
assert abs(dropped.mean() - 1) < 0.02           # so the expectation stays
assert np.array_equal(ops.convert_to_numpy(dropout(ones, training=False)), ones)
print("training: zero or twice the value; use: unchanged")

# %% [markdown]
# ## The reference network
#
# Four convolutions with 32, 32, 64 and 64 filters of 3 by 3 pixels. Every second one moves in steps of two, which halves width and height. Each is followed by batch normalisation and a *leaky* ReLU {cite}`maas2013rectifier`, which lets a small part of the negative values through, so that no unit can die. A dense layer of 128 units and dropout lead to the ten logits.
#
# Both ingredients can be switched off, for the ablation below.

# %% tags=["exercise-context"]
def build_reference(image_shape, classes=10, use_batch_norm=True, use_dropout=True):
    model = keras.Sequential([keras.Input(image_shape)], name="reference")
    for filters, stride in [(32, 1), (32, 2), (64, 1), (64, 2)]:
        model.add(layers.Conv2D(filters, 3, strides=stride, padding="same"))
        if use_batch_norm:
            model.add(layers.BatchNormalization())
        model.add(layers.LeakyReLU(negative_slope=0.3))
    model.add(layers.Flatten())                     # [batch, height/4 * width/4 * 64]
    model.add(layers.Dense(128))
    if use_batch_norm:
        model.add(layers.BatchNormalization())
    model.add(layers.LeakyReLU(negative_slope=0.3))
    if use_dropout:
        model.add(layers.Dropout(0.5, seed=SEED))
    model.add(layers.Dense(classes))                # [batch, 10] logits
    return model


# %% tags=["model"]
reference = build_reference(image_shape, classes)
assert build_reference((32, 32, 3)).count_params() == 592_554
reference.summary()

# %% [markdown]
# On colour pictures of 32 by 32 pixels this makes 592,554 parameters, as in the book it comes from. Notice where they are: not in the convolutions, which share their weights across the picture, but in the dense layer behind them.
#
# Parameters are memory; time is another matter. A convolution uses each of its weights once per position, so its cost is counted in *multiply-adds* (one multiplication and one addition). We count them layer by layer.

# %% tags=["model"]
def multiply_adds(model):
    total = 0
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            height, width = layer.output.shape[1:3]
            total += height * width * int(np.prod(layer.kernel.shape))
        elif isinstance(layer, layers.Dense):
            total += int(np.prod(layer.kernel.shape))
    return total


results.show_table(
    ["layer", "output", "parameters"],
    [[layer.name.split("_")[0], str(tuple(layer.output.shape[1:])), f"{layer.count_params():,}"]
     for layer in reference.layers if layer.count_params() > 1_000],
)
print(f"{multiply_adds(reference) / 1e6:.1f} million multiply-adds for one picture")

# %% [markdown]
# ## Training the reference

# %% tags=["model"]
def compile_for_classes(model, optimizer):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss=loss, metrics=["accuracy"])


some = slice(None, REFERENCE_PICTURES)
reference_batches = training.batches(
    x_train[some], y_train[some], batch_size=REFERENCE_BATCH, seed=SEED
)
compile_for_classes(reference, keras.optimizers.Adam(REFERENCE_RATE))

# %% tags=["nbval-ignore-output"]
reference_run = training.fit(
    reference,
    reference_batches,
    epochs=REFERENCE_EPOCHS,
    validation=(x_validation, y_validation),
    checkpoint=f"cnn_reference_{DATASET}_{SEED}",
)

# %% [markdown]
# The network has learnt something if its training accuracy is far above one in ten. In a quick run the *validation* accuracy may still look like a guess: the running averages of batch normalisation move by one percent per update and need several hundred updates to arrive.

# %%
assert reference_run.history["accuracy"][-1] > 0.4  # one in ten would be a guess
if is_full_run():
    weights.release(reference, f"cnn/reference_{DATASET}", reference_run, publish=publishable)
reference_run = weights.restore(reference, f"cnn/reference_{DATASET}")
print(f"weights of a run with {reference_run.updates:,} updates")

# %% [markdown]
# ## What do the ingredients contribute?
#
# An *ablation* removes one part at a time and measures what is lost. The learning rate of the reference is constant, so that networks can be compared at equal numbers of updates: after three epochs each, on validation pictures. A full run trains all variants; a quick run shows the recorded values.

# %% tags=["nbval-ignore-output"]
variants = {
    "no_batch_norm": {"use_batch_norm": False},
    "no_dropout": {"use_dropout": False},
    "neither": {"use_batch_norm": False, "use_dropout": False},
}
ablation = {"reference": reference_run.history["val_accuracy"][ABLATION_EPOCHS - 1]}
ablation_seconds = 0.0
if is_full_run() and DATASET == "fashion_mnist":
    for name, switches in variants.items():
        training.set_seed(SEED)
        variant = build_reference(image_shape, classes, **switches)
        compile_for_classes(variant, keras.optimizers.Adam(REFERENCE_RATE))
        variant_run = training.fit(
            variant, reference_batches, epochs=ABLATION_EPOCHS,
            validation=(x_validation, y_validation), checkpoint=f"cnn_{name}_{SEED}",
        )
        ablation[name] = variant_run.history["val_accuracy"][-1]
        ablation_seconds += variant_run.seconds

# %%
words = {"reference": "both", "no_batch_norm": "without batch normalisation",
         "no_dropout": "without dropout", "neither": "neither"}


def recorded_or_measured(name):
    if name in ablation:
        return f"{ablation[name]:.3f}"
    found = results.headline("cnn", f"ablation.{name}", DATASET)
    return found.text() if found else "not measured"


results.show_table(
    ["ingredients", f"validation accuracy after {ABLATION_EPOCHS} epochs"],
    [[words[name], recorded_or_measured(name)] for name in words],
)

# %% [markdown]
# Read such a table with two cautions. Each row is a single run, and runs that differ only in their seed easily differ by half a percentage point. And three epochs are early: dropout slows learning at first, and its merit, a smaller gap between training and validation, shows later. What the table can show is which ingredient matters *for learning fast*.
#
# ## A better network with fewer parameters
#
# What can be done with no more parameters, within half an hour on two processor cores? Four ideas, each a standard one:
#
# 1. **Residual blocks** {cite}`he2016deep`. A block computes a *correction* that is added to its input, $y = x + f(x)$. The identity path carries signals and gradients through many layers unharmed.
# 2. **Average the positions instead of listing them.** The reference hands every position of the last layer to a dense layer, most of its parameters. *Global average pooling* {cite}`lin2014network` keeps one number per channel: whether the pattern was there, not where.
# 3. **Augmentation.** A shirt moved by two pixels is the same shirt. Random shifts and mirror images make the training set larger for free.
# 4. **A learning-rate schedule with warm-up**: a steady rise over the first tenth of the training, then half a cosine down to zero {cite}`loshchilov2017sgdr`, with decoupled weight decay {cite}`loshchilov2019decoupled`.

# %% tags=["exercise-context"]
def augment(images, generator, shift=3, mirror=True):
    count, height, width, _ = images.shape
    border = ((0, 0), (shift, shift), (shift, shift), (0, 0))
    padded = np.pad(images, border, mode="edge")
    top, left = generator.integers(0, 2 * shift + 1, size=(2, count))
    rows = top[:, None] + np.arange(height)                         # [count, height]
    columns = left[:, None] + np.arange(width)                      # [count, width]
    if mirror:
        flipped = generator.random(count) < 0.5
        columns[flipped] = columns[flipped, ::-1]
    return padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


# %% mystnb={"image": {"alt": "Three rows of ten versions of the same garment, shifted and mirrored"}, "figure": {"caption": "Three training pictures (left), each with nine augmented versions.", "name": "fig-cnn-augment"}}
examples = np.repeat(x_train[[1, 6, 9]] / np.float32(255), 10, axis=0)
changed = augment(examples, np.random.default_rng(SEED))
changed[::10] = examples[::10]
assert changed.shape == examples.shape and changed.dtype == examples.dtype
plots.image_grid(changed, columns=10)
plt.show()

# %% [markdown]
# The residual block has two convolutions. Where it halves the picture or widens the channels, the identity path is brought to the new shape by averaging neighbouring pixels and a convolution of one pixel.

# %% tags=["exercise-context"]
def convolution(inputs, filters, size=3, stride=1):
    outputs = layers.Conv2D(filters, size, strides=stride, padding="same", use_bias=False)(inputs)
    return layers.BatchNormalization()(outputs)


def residual_block(inputs, filters, stride):
    correction = layers.ReLU()(convolution(inputs, filters, stride=stride))
    correction = convolution(correction, filters)
    identity = inputs
    if stride > 1:
        identity = layers.AveragePooling2D(stride, padding="same")(identity)
    if inputs.shape[-1] != filters:
        identity = convolution(identity, filters, size=1)
    return layers.ReLU()(layers.Add()([identity, correction]))


# %% [markdown]
# The convolutions have no bias of their own: batch normalisation subtracts the mean directly afterwards and would remove any bias at once; its own shift $\beta$ takes over that role.
#
# The network has a stem and three residual blocks. Large pictures of 64 pixels go through the stem in steps of two. The layer named `features`, one number per channel, is the network's summary of a picture; on top of it sits one linear output, or *head*, for each question that we want answered: the class of a garment here, and later the hair colour or the mouth of a drawn face.

# %% tags=["exercise-context"]
def build_residual(image_shape, heads):
    inputs = keras.Input(image_shape)
    hidden = layers.ReLU()(convolution(inputs, 24, stride=image_shape[0] // 28))  # 28, 32: 1; 64: 2
    for filters in (48, 96, 128):
        hidden = residual_block(hidden, filters, stride=2)
    features = layers.GlobalAveragePooling2D(name="features")(hidden)  # [batch, 128]
    outputs = {name: layers.Dense(size, name=name)(features) for name, size in heads.items()}
    return keras.Model(inputs, outputs, name="residual")


# %% [markdown]
# The heads and their labels come from the data set: the class, and every attribute that the set has besides.

# %% tags=["exercise-context"]
def labels_of(images):
    """{head: (training labels, test labels, number of values)}; the class is the head "label"."""
    labels = {"label": (images.y_train, images.y_test, len(images.class_names))}
    for name, (train, test, values) in images.attributes.items():
        labels[name] = (train, test, len(values))
    return labels


def heads_of(labels):
    return {head: size for head, (_, _, size) in labels.items()}


# %% tags=["model"]
labels = labels_of(data)
residual = build_residual(image_shape, heads_of(labels))
assert build_residual((32, 32, 3), {"label": 10}).count_params() < 592_554
results.show_table(
    ["network", "parameters", "million multiply-adds"],
    [[model.name, f"{model.count_params():,}", f"{multiply_adds(model) / 1e6:.1f}"]
     for model in (reference, residual)],
)

# %% [markdown]
# Fewer parameters, but more work per picture. That is the exchange that deep networks make.

# %% tags=["model"]
def compile_residual(model, epochs, steps_per_epoch, heads):
    steps = epochs * steps_per_epoch
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=steps - steps // 10, warmup_steps=steps // 10, warmup_target=IMPROVED_RATE
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=WEIGHT_DECAY)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        optimizer, loss={name: loss for name in heads}, metrics={name: ["accuracy"] for name in heads}
    )


# %% tags=["model"]
learnt = {head: train[learn][some] for head, (train, _, _) in labels.items()}
watched = {head: train[watch] for head, (train, _, _) in labels.items()}
residual_batches = training.batches(
    x_train[some], learnt, batch_size=IMPROVED_BATCH, seed=SEED, augment=augment
)
compile_residual(residual, IMPROVED_EPOCHS, len(residual_batches), heads_of(labels))

# %% tags=["nbval-ignore-output"]
residual_run = training.fit(
    residual,
    residual_batches,
    epochs=IMPROVED_EPOCHS,
    validation=(x_validation, watched),
    checkpoint=f"cnn_residual_{DATASET}_{SEED}",
)

# %%
a_guess = sum(np.log(size) for size in heads_of(labels).values())
assert residual_run.history["loss"][0] < a_guess  # averaged over the whole first epoch
if is_full_run():
    weights.release(
        residual, f"cnn/features_{DATASET}", residual_run,
        publish=publishable, keep_architecture=True,
    )
residual_run = weights.restore(residual, f"cnn/features_{DATASET}")
print(f"weights of a run with {residual_run.updates:,} updates")

# %% mystnb={"image": {"alt": "Validation loss by epoch of the two networks; the reference levels off early, the residual network falls until the end"}, "figure": {"caption": "Cross-entropy of both networks in the full runs, training and validation.", "name": "fig-cnn-curves"}}
figure, axis = plt.subplots()
for colour, (label, finished) in zip(
    plots.COLOURS, {"reference": reference_run, "residual": residual_run}.items()
):
    epochs = range(1, len(finished.history["loss"]) + 1)
    axis.plot(epochs, finished.history["loss"], color=colour, label=f"{label}, training")
    axis.plot(epochs, finished.history["val_loss"], "--", color=colour, label=f"{label}, validation")
axis.set_xlabel("epoch")
axis.set_ylabel("cross-entropy (nats)")
axis.legend()
plt.show()

# %% [markdown]
# The two training curves are not comparable with each other: the residual network is trained on augmented pictures, which are harder, so its training loss may even lie above its validation loss. The validation curves are comparable.
#
# ## Evaluation

# %% tags=["exercise-context"]
def logits_of(model, images, batch_size=500):
    pieces = [model(images[i : i + batch_size], training=False) for i in range(0, len(images), batch_size)]
    pieces = [piece if isinstance(piece, dict) else {"label": piece} for piece in pieces]
    return {
        name: np.concatenate([ops.convert_to_numpy(piece[name]) for piece in pieces])
        for name in pieces[0]
    }


def accuracy(logits, truths):
    value = np.mean(logits.argmax(axis=1) == truths)
    return value, np.sqrt(value * (1 - value) / len(truths))


# %%
evaluated = slice(None, budget(quick=QUICK_TEST, cpu=len(x_test)))
logits = {
    "test_accuracy": logits_of(reference, x_test[evaluated])["label"],
    "improved_accuracy": logits_of(residual, x_test[evaluated])["label"],
}
record = results.Record("cnn", DATASET, data.source)
for name, values in logits.items():
    value, sd = accuracy(values[:QUICK_TEST], y_test[:QUICK_TEST])
    record.check(name, value, n=QUICK_TEST, sd=sd)
    if is_full_run():
        value, sd = accuracy(values, y_test)
        record.metric(name, value, n=len(y_test), sd=sd)

# %% [markdown]
# Which classes does the residual network confuse? Mistakes are directed: a pullover taken for a coat is not the same as a coat taken for a pullover.

# %%
answers = logits["improved_accuracy"].argmax(axis=1)
truths = y_test[evaluated]
confusion = np.zeros((classes, classes), int)
np.add.at(confusion, (truths, answers), 1)
mistakes = confusion * (1 - np.eye(classes, dtype=int))
worst = np.dstack(np.unravel_index(np.argsort(-mistakes, axis=None)[:5], mistakes.shape))[0]
results.show_table(
    ["truth", "answer", "share of the true class"],
    [[names[truth], names[answer], f"{mistakes[truth, answer] / confusion[truth].sum():.0%}"]
     for truth, answer in worst],
)

# %% [markdown]
# And these are the mistakes of which it was most certain. For some of them one may side with the network.

# %% tags=["cover"] mystnb={"image": {"alt": "Ten test pictures of clothes with the network's wrong answer, its confidence and the true class"}, "figure": {"caption": "The most confident mistakes among the evaluated test pictures: answer, confidence, truth.", "name": "fig-cnn-mistakes"}}
shifted = logits["improved_accuracy"] - logits["improved_accuracy"].max(axis=1, keepdims=True)
probabilities = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
confidence = probabilities.max(axis=1) * (answers != truths)
surest = np.argsort(-confidence)[:10]
plots.image_grid(
    x_test[surest],
    titles=[f"{names[answers[i]]} {confidence[i]:.0%}\n({names[truths[i]]})" for i in surest],
    columns=5,
    size=1.3,
)
plt.show()

# %% [markdown]
# ## Looking inside
#
# The filters of the first layer can be shown as they are. Most are small edge and blob detectors, as on page after page of the literature since the first networks of this kind; what later layers look for can only be guessed from what excites them.

# %% mystnb={"image": {"alt": "32 small grey patches, many with an edge or a spot"}, "figure": {"caption": "The 32 filters of the reference network's first layer, each scaled to its own range.", "name": "fig-cnn-filters"}}
kernels = np.moveaxis(ops.convert_to_numpy(reference.layers[0].kernel), -1, 0)  # [32, 3, 3, channels]
low = kernels.min(axis=(1, 2, 3), keepdims=True)
high = kernels.max(axis=(1, 2, 3), keepdims=True)
plots.image_grid((kernels - low) / (high - low), columns=16, size=0.42)
plt.show()

# %% mystnb={"image": {"alt": "A picture of a shoe followed by activation maps that light up at its outline, sole or surface"}, "figure": {"caption": "One test picture and the response of eight filters of the first block: bright where the filter finds its pattern.", "name": "fig-cnn-maps"}}
first_block = keras.Model(reference.inputs[0], reference.layers[2].output)
maps = ops.convert_to_numpy(first_block(x_test[:1]))[0]            # [height, width, 32]
maps = np.moveaxis(maps[..., :8], -1, 0)[..., None]                # [8, height, width, 1]
maps = (maps - maps.min()) / (maps.max() - maps.min())
plots.image_grid(np.concatenate([x_test[:1].mean(-1, keepdims=True), maps]), columns=9)
plt.show()

# %% [markdown]
# ## What goes wrong
#
# **Training mode in use.** A network with batch normalisation that is asked in training mode answers differently depending on its neighbours in the batch. We ask about the same hundred pictures twice, once among a mixed batch and once among pictures of one class only.

# %%
same_class = x_test[y_test == 0][:400]
asked = same_class[:100]
mixed = np.concatenate([asked, x_test[:300]])
lonely = np.concatenate([asked, same_class[100:]])


def answers_in(batch, mode):
    logits = ops.convert_to_numpy(reference(batch, training=mode))
    return logits[:100].argmax(axis=1)


assert np.array_equal(answers_in(mixed, False), answers_in(lonely, False))
changed_answers = np.mean(answers_in(mixed, True) != answers_in(lonely, True))
assert changed_answers > 0.1
print("in use: the same answers in any company; in training mode: many answers change")

# %% [markdown]
# In training mode, a batch of a single class is standardised until nothing of what makes the class special is left. The same mistake in milder form, a `training=True` forgotten in an evaluation, costs a few points of accuracy and is hard to find.
#
# **A small shift.** Convolutions respond to a shifted picture with a shifted response, but the reference network hands positions to a dense layer, which has only seen garments in the middle. The residual network averages positions and was trained on shifted pictures.

# %%
shift_pictures, shift_truths = x_test[:QUICK_TEST], y_test[:QUICK_TEST]
shifts = [0, 1, 2, 3, 4, 6]
accuracy_by_shift = {"reference": [], "residual": []}
for shift in shifts:
    moved = np.zeros_like(shift_pictures)
    moved[:, :, shift:] = shift_pictures[:, :, : shift_pictures.shape[2] - shift]
    for model in (reference, residual):
        value, _ = accuracy(logits_of(model, moved)["label"], shift_truths)
        accuracy_by_shift[model.name].append(value)

loss_of_reference, loss_of_residual = (
    accuracy_by_shift[name][0] - accuracy_by_shift[name][4] for name in ("reference", "residual")
)
assert loss_of_reference > loss_of_residual
print("four pixels to the right cost the reference network more than the residual one")

# %% mystnb={"image": {"alt": "Accuracy against shift: the reference network's curve falls steeply, the residual network's stays high up to three pixels"}, "figure": {"caption": "Accuracy on test pictures that were moved to the right. The residual network was trained with shifts of up to three pixels.", "name": "fig-cnn-shift"}}
figure, axis = plt.subplots()
for name, values in accuracy_by_shift.items():
    axis.plot(shifts, values, "o-", label=name)
axis.set_xlabel("shift to the right (pixels)")
axis.set_ylabel("accuracy")
axis.set_ylim(0, 1)
axis.legend()
plt.show()

# %% [markdown]
# ## Measuring networks for the rest of the book
#
# How good is a generated picture? Comparing pixels does not answer that: a picture shifted by one pixel is far away in pixels and the same to the eye. Later chapters therefore compare pictures by the 128 `features` of a residual network like the one above: the statistics of real and of generated pictures *as this network sees them*. The idea is that of the Fréchet Inception Distance {cite}`heusel2017gans`, with a network of ours in place of Inception. Distances measured with different networks must never be compared with one another, so we name each after its features: FID-fashion, KID-portraits.
#
# For Fashion-MNIST the network is the one that we just trained. For the digits, the drawn faces and the plants, a full run trains the same architecture now, with one head for every attribute.

# %%
def train_measuring_network(name):
    images = datasets.load(name)
    labels = labels_of(images)
    network = build_residual(images.x_train.shape[1:], heads_of(labels))
    batches = training.batches(
        images.x_train, {head: train for head, (train, _, _) in labels.items()},
        batch_size=64, seed=SEED,
        augment=lambda batch, generator: augment(batch, generator, mirror=name != "mnist"),
    )
    compile_residual(network, FEATURE_EPOCHS, len(batches), heads_of(labels))
    run = training.fit(network, batches, epochs=FEATURE_EPOCHS, checkpoint=f"cnn_features_{name}")
    weights.release(network, f"cnn/features_{name}", run, keep_architecture=True)
    return run


# %% tags=["nbval-ignore-output"]
measuring_seconds = 0.0
if is_full_run() and DATASET == "fashion_mnist":
    for name in ["mnist", "portraits", "sprouts"]:
        measuring_seconds += train_measuring_network(name).seconds

# %% [markdown]
# A measuring instrument must itself be tested before anything is measured with it. Here is how often each head is right on test pictures.

# %%
measured = {}
if DATASET == "fashion_mnist":
    for name in ["mnist", "portraits", "sprouts"]:
        images = datasets.load(name)
        network = weights.restore_model(f"cnn/features_{name}")
        count = budget(quick=1_000, cpu=len(images.x_test))
        network_logits = logits_of(network, images.x_test[:count] / np.float32(255), batch_size=250)
        for head, (_, test, size) in labels_of(images).items():
            value, sd = accuracy(network_logits[head], test[:count])
            small, small_sd = accuracy(network_logits[head][:1_000], test[:1_000])
            chance = np.bincount(test, minlength=size).max() / len(test)
            measured[f"features_{name}.{head}_accuracy"] = (value, sd, chance, small, small_sd, count)

# %%
results.show_table(
    ["network and head", "accuracy", "always the most frequent answer"],
    [[key.replace("features_", "").replace("_accuracy", ""), f"{value:.3f}", f"{chance:.3f}"]
     for key, (value, _, chance, *_) in measured.items()],
)
assert all(value > chance for value, _, chance, *_ in measured.values())

# %%
for key, (value, sd, _, small, small_sd, count) in measured.items():
    record.check(key, small, n=1_000, sd=max(small_sd, 1e-3))
    if is_full_run():
        record.metric(key, value, n=count, sd=sd)

# %%
if is_full_run():
    for name, value in ablation.items():
        record.metric(f"ablation.{name}", value, n=VALIDATION)
    mlp = results.headline("mlp", "test_accuracy", DATASET)
    if mlp:
        record.metric("mlp_accuracy", mlp.mean, n=mlp.n)
released = [f"cnn/reference_{DATASET}", f"cnn/features_{DATASET}"]
if DATASET == "fashion_mnist":
    released += [f"cnn/features_{name}" for name in ("mnist", "portraits", "sprouts")]
record.save(
    parameters={"reference": reference.count_params(), "residual": residual.count_params()},
    updates={"reference": reference_run.updates, "residual": residual_run.updates},
    seconds=reference_run.seconds + residual_run.seconds + ablation_seconds + measuring_seconds,
    weight_names=released,
)

# %% [markdown]
# ## Lessons
#
# - Convolutions share weights across the picture; most parameters of a classic network sit in the dense layer behind them, most of the work in the convolutions.
# - Batch normalisation and dropout behave differently in training and in use. Know in which mode you are.
# - Residual connections, averaging of positions, augmentation and a schedule beat a larger network.
# - An ablation says what an ingredient contributes, at a stated number of updates, within the noise of the seeds.
# - The features of a trained classifier are a measuring instrument. Like any instrument it has an error of its own, and its own name.
#
# **Things to try.** Train the residual network without augmentation and draw the shift curve again. Replace batch normalisation by group normalisation, which behaves the same in training and in use. `GENBOOK_DATASET=cifar10 GENBOOK_BUDGET=cpu` trains both networks on colour photographs.

# %% [markdown]
# ## Exercises
#
# :::{exercise} The cost of a layer
# :label: cnn-cost
#
# A convolution with `filters` filters of `size` by `size` pixels and stride `stride` is applied, with padding *same*, to an input of `height` by `width` pixels with `channels` channels. How many parameters has it, bias included, and how many multiply-adds does it take? (The bias costs none.)
# :::

# %% [markdown]
# :::{solution-start} cnn-cost
# :class: dropdown
# :::
#
# Every filter has one weight per pixel of its window and channel of the input. With padding *same* the output has $\lceil \text{height} / \text{stride} \rceil$ rows, and likewise for the columns, and every weight is used once per output position.

# %% tags=["solution"]
def convolution_cost(height, width, channels, filters, size, stride):
    ### BEGIN SOLUTION
    weights_of_layer = size * size * channels * filters
    positions = -(-height // stride) * -(-width // stride)
    return weights_of_layer + filters, positions * weights_of_layer
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
assert convolution_cost(32, 32, 3, 32, 3, 1) == (896, 884_736)
assert convolution_cost(15, 15, 8, 4, 5, 2) == (804, 51_200)
print("correct")

# %% [markdown]
# :::{exercise} How far does it see?
# :label: cnn-field
#
# One output of the last convolution of the reference network depends on a square region of the input, its *receptive field*. How wide is it? Think first: each layer of 3 by 3 adds a border, but a border of *its own* pixels, which after a stride of two are twice as far apart. Complete the function for any list of layers.
# :::

# %% [markdown]
# :::{solution-start} cnn-field
# :class: dropdown
# :::
#
# Keep two numbers: the width of the field so far, and the distance in input pixels between neighbours in the current layer, which each stride multiplies. A kernel of size $k$ adds $(k-1)$ such distances. For the reference: 3, 5, 9, 13 pixels. Less than half of the picture: the dense layer has to assemble the whole.

# %% tags=["solution"]
def receptive_field(layer_sizes_and_strides):
    ### BEGIN SOLUTION
    width, spacing = 1, 1
    for size, stride in layer_sizes_and_strides:
        width += (size - 1) * spacing
        spacing *= stride
    return width
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
assert receptive_field([(3, 1)]) == 3
assert receptive_field([(3, 1), (3, 2), (3, 1), (3, 2)]) == 13
print("correct")

# %% [markdown]
# :::{exercise} Few pictures
# :label: cnn-few
#
# Knowledge that is built into an architecture need not be learnt from data, so it should matter most when data is scarce. Complete the function: it trains the given model on the first 1,000 training pictures for 5 epochs with Adam and a learning rate of 0.001, and returns the accuracy on the validation pictures. Then compare the reference network with a dense network.
# :::

# %% [markdown]
# :::{solution-start} cnn-few
# :class: dropdown
# :::
#
# The function is a plain use of `fit`. The comparison depends on more than the architecture: with so few updates the running averages of batch normalisation lag behind, so that the version without it is the fairer opponent here. Whichever wins on your machine, repeat it with another seed before you believe it.

# %% tags=["solution", "nbval-ignore-output"]
def accuracy_with_few(model):
    ### BEGIN SOLUTION
    compile_few = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss=compile_few)
    model.fit(x_train[:1_000] / np.float32(255), y_train[:1_000], epochs=5, verbose=0)
    return accuracy(logits_of(model, x_validation)["label"], y_validation)[0]
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check", "nbval-ignore-output"]
training.set_seed(0)
dense = keras.Sequential(
    [keras.Input(image_shape), layers.Flatten(), layers.Dense(200, "relu"), layers.Dense(10)]
)
few = {
    "dense": accuracy_with_few(dense),
    "convolutional": accuracy_with_few(build_reference(image_shape, use_batch_norm=False)),
}
assert all(value is not None and value > 0.3 for value in few.values())
print({name: round(float(value), 3) for name, value in few.items()})

# %% [markdown]
# ## References
#
# Batch normalisation: {cite:t}`ioffe2015batch`; dropout: {cite:t}`srivastava2014dropout`; leaky ReLU: {cite:t}`maas2013rectifier`; residual learning: {cite:t}`he2016deep`; global average pooling: {cite:t}`lin2014network`; the schedule and decoupled weight decay: {cite:t}`loshchilov2017sgdr,loshchilov2019decoupled`. The reference layers are those of {cite:t}`foster2023generative`; CIFAR-10 is described by {cite:t}`krizhevsky2009learning`. Features for measuring generators: {cite:t}`heusel2017gans`.
