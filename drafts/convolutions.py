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
# # Convolutions
#
# The network of the last notebook could not see that pictures are pictures: for a dense layer, a pixel's neighbours are strangers. This notebook builds the layer that knows better. It looks through a small window, does the same small calculation everywhere, and is thereby cheaper by a factor of millions. We write it out in NumPy with all its options, stride, padding, channels, dilation, pooling, and the transposed form that generators are made of, and insist that every version agrees with Keras to the last digits of a 32-bit number.
#
# ![A photograph of a pavilion and what five small filters make of it: blurred, sharpened, vertical edges, horizontal edges, and the strength of edges](images/convolutions.png)
#
# *The goal of this notebook: one photograph, seen through windows of three by three pixels.*

# %% [markdown]
# ## What to expect
#
# There is nothing to generate yet and only a handful of weights to learn. What we measure is *equality*: the largest difference between our NumPy versions and Keras over hundreds of randomly chosen layers, in units of an output whose typical size is one. A number that is meant to be zero needs a companion that shows that it could be otherwise: the second row repeats the comparison with the most common mistake, a kernel that is upside down. The table is drawn from the recorded runs, never typed; ± is the standard deviation over three runs with different layers.

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

import time

import matplotlib.pyplot as plt
import numpy as np
import scipy.signal
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.datasets import load_sample_image

from helpers import plots, results, training
from helpers.budget import budget, current_seed

plots.use_style()

# %%
results.expectation(
    "convolutions",
    dataset="photograph",
    rows=[
        {"label": "largest difference from Keras", "metric": "max_error", "optimum": "0",
         "reference": "at most 0.00001 was our target", "digits": 7},
        {"label": "the same with the kernels upside down", "metric": "flipped_max_error",
         "digits": 1},
    ],
)

# %% [markdown]
# ## Settings

# %% tags=["settings"]
STARTED = time.monotonic()
SEED = current_seed()               # seeds the random layers; 0 unless a full run says otherwise
LAYERS = budget(quick=60, cpu=400)  # random layers of each kind that are compared with Keras
QUICK_LAYERS = 60                   # how many of them a quick run measures again
EPOCHS = 20                         # passes over the pictures when a kernel is learnt
LEARNING_RATE = 0.02                # Adam's step size then; it decays to zero along a cosine
training.set_seed(SEED)

# %% [markdown]
# ## The data: one photograph
#
# Scikit-learn brings two photographs along. This one is "china.jpg", taken by Daniel Buechele (danielbuechele on Flickr) and published under the licence [CC BY 2.0](https://creativecommons.org/licenses/by/2.0/); we made it smaller, and every picture below is derived from it. Each pixel of our version is the mean of four of the original. For a grey version we use the customary weights of red, green and blue in the brightness that people see.

# %% tags=["exercise-context"]
original = load_sample_image("china.jpg")[:426].astype("float32") / 255   # [426, 640, 3]
photo = original.reshape(213, 2, 320, 2, 3).mean(axis=(1, 3))             # [213, 320, 3]
grey = photo @ np.array([0.299, 0.587, 0.114], dtype="float32")           # [213, 320]

# %% mystnb={"image": {"alt": "Photograph of a pavilion with three red and green roofs above trees, a lake behind it"}, "figure": {"caption": "The photograph: a pavilion above a lake. Photograph by Daniel Buechele, CC BY 2.0, reduced.", "name": "fig-convolutions-photo"}}
print(f"photograph {photo.shape}, grey version {grey.shape}")
figure, axis = plt.subplots(figsize=(3.9, 2.6))
axis.imshow(photo)
axis.set_axis_off()
plt.show()

# %% [markdown]
# ## A window that slides
#
# Take a small array of weights, the *kernel* or *filter*, say three by three. Lay it on the upper left corner of the picture, multiply each weight with the pixel below it, add everything up: that is one number of the result. Move the window one pixel to the right and do it again, and so on, row by row. For a picture $x$ and a kernel $w$ of height $a$ and width $b$,
#
# $$ y_{ij} = \sum_{m=0}^{a-1} \sum_{n=0}^{b-1} w_{mn}\, x_{i+m,\, j+n} . $$
#
# Four nested loops, two over positions and two over the window:

# %%
def slide_with_loops(picture, kernel):
    height, width = kernel.shape
    result = np.zeros((picture.shape[0] - height + 1, picture.shape[1] - width + 1))
    for i in range(result.shape[0]):
        for j in range(result.shape[1]):
            for m in range(height):
                for n in range(width):
                    result[i, j] += kernel[m, n] * picture[i + m, j + n]
    return result


# %% [markdown]
# What can such a sum express? The kernel below has $-1$ in its left column and $+1$ in its right one. Where the picture is the same on both sides the two cancel, however bright it is. Where it gets brighter from left to right the sum is positive. It is a detector for vertical edges.

# %%
step = np.zeros((6, 7))
step[:, 4:] = 1                                    # dark on the left, bright on the right
prewitt = np.array([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]])
edges = slide_with_loops(step, prewitt)            # [4, 5]
assert edges.shape == (6 - 3 + 1, 7 - 3 + 1)
assert (edges == np.array([0, 0, 3, 3, 0])).all()
assert (slide_with_loops(step + 5, prewitt) == edges).all()   # brightness as such does not matter

# %% mystnb={"image": {"alt": "Three grids of numbers: a picture of zeros and ones, the kernel with columns minus one, zero and one, and the result with threes along the edge"}, "figure": {"caption": "A picture of 6 by 7 pixels, the kernel, and the result: it answers only where dark meets bright.", "name": "fig-convolutions-step"}}
def draw_numbers(axis, numbers, title, limit=5):
    axis.imshow(numbers, cmap="PuOr", vmin=-limit, vmax=limit)
    for (row, column), value in np.ndenumerate(numbers):
        axis.text(column, row, f"{value:g}", ha="center", va="center")
    axis.set_title(title)
    axis.set_axis_off()


figure, axes = plt.subplots(1, 3, figsize=(7, 2.3), width_ratios=[7, 3, 5])
draw_numbers(axes[0], step, "picture")
draw_numbers(axes[1], prewitt, "kernel")
draw_numbers(axes[2], edges, "result")
plt.show()

# %% [markdown]
# Python's loops are slow. NumPy can show all windows at once, without copying a single pixel, and then the sums are one line. We keep the loops as the definition and make sure that nothing has changed.

# %% tags=["exercise-context"]
def slide(picture, kernel):
    windows = sliding_window_view(picture, kernel.shape)      # [rows, columns, height, width]
    return np.einsum("ijmn,mn->ij", windows, kernel)          # [rows, columns]


# %%
corner = grey[60:90, 100:140]
generator = np.random.default_rng(SEED)
for shape in [(3, 3), (1, 5), (4, 2)]:
    kernel = generator.normal(size=shape)
    assert np.allclose(slide(corner, kernel), slide_with_loops(corner, kernel))
print("one line equals four loops")

# %% [markdown]
# ## A cabinet of filters
#
# Six classics, all three by three. *Blur* replaces each pixel by a weighted mean of its surroundings. *Sharpen* does the opposite: twice the pixel minus the blur. The two kernels of Sobel are edge detectors like the one above with more weight on the middle row; together they give the size of the brightness gradient, whatever its direction.

# %% tags=["exercise-context"]
BLUR = np.outer([1, 2, 1], [1, 2, 1]) / 16
IDENTITY = np.outer([0, 1, 0], [0, 1, 0])
SHARPEN = 2 * IDENTITY - BLUR
VERTICAL = np.outer([1, 2, 1], [-1, 0, 1]) / 4     # Sobel: smooth along the edge, differ across it
HORIZONTAL = VERTICAL.T

# %%
for name, kernel in {"blur": BLUR, "sharpen": SHARPEN}.items():
    assert np.isclose(kernel.sum(), 1), name       # brightness is kept
for name, kernel in {"vertical": VERTICAL, "horizontal": HORIZONTAL}.items():
    assert np.isclose(kernel.sum(), 0), name       # flat regions vanish
flat = np.full((5, 5), 0.7)
assert np.allclose(slide(flat, BLUR), 0.7) and np.allclose(slide(flat, VERTICAL), 0)
print("kernels that sum to one keep brightness, kernels that sum to zero see only change")

# %% tags=["cover"] mystnb={"image": {"alt": "Six pictures of the pavilion: grey original, blurred, sharpened, vertical edges, horizontal edges, and edge strength in which all outlines shine"}, "figure": {"caption": "The photograph and five filtered versions. In the edge pictures grey is zero; in the last, black is.", "name": "fig-convolutions-filters"}}
blurred = slide(slide(slide(grey, BLUR), BLUR), BLUR)          # three times, to be visible
gradient = slide(grey, VERTICAL), slide(grey, HORIZONTAL)
strength = np.hypot(*gradient)                                  # Pythagoras, for every pixel
gallery = {
    "original": (grey, 0, 1), "blur, three times": (blurred, 0, 1),
    "sharpen": (slide(grey, SHARPEN), 0, 1), "vertical edges": (gradient[0], -0.6, 0.6),
    "horizontal edges": (gradient[1], -0.6, 0.6), "edge strength": (strength, 0, 0.8),
}
figure, axes = plt.subplots(2, 3, figsize=(8.4, 4.1))
for axis, (name, (picture, low, high)) in zip(axes.flat, gallery.items()):
    axis.imshow(picture, vmin=low, vmax=high)
    axis.set_title(name, fontsize=10)
    axis.set_axis_off()
plt.show()

# %% [markdown]
# For decades people designed such kernels by hand. The decisive step of convolutional networks {cite}`fukushima1980neocognitron,lecun1998gradient` was to let gradient descent find them: the weights of the window are parameters like any others. At the end of this notebook we shall do that with a single kernel.
#
# ## A matter of names: correlation and convolution
#
# Strictly speaking, what we have computed is called *cross-correlation*. A mathematician's *convolution* turns the kernel upside down and left to right first:
#
# $$ (w * x)_{ij} = \sum_{m} \sum_{n} w_{mn}\, x_{i-m,\, j-n} . $$
#
# The minus signs look like pedantry but buy beautiful laws: convolution is a product like that of numbers. Order and brackets do not matter, $w * v = v * w$ and $w * (v * x) = (w * v) * x$, so filtering twice equals filtering once with the convolution of the two kernels. Put cross-correlation in the place of every $*$ and both laws fail. Neural networks use cross-correlation and call it convolution, and no harm is done: a kernel that is *learnt* will simply be learnt the other way round. Harm *is* done when trained weights move between programs that disagree.

# %%
def convolve(picture, kernel):
    return slide(picture, kernel[::-1, ::-1])      # both axes turned


first, second = generator.normal(size=(2, 3, 3))
assert np.allclose(convolve(grey, first), scipy.signal.convolve2d(grey, first, mode="valid"))
assert np.allclose(slide(grey, first), scipy.signal.correlate2d(grey, first, mode="valid"))

both = scipy.signal.convolve2d(first, second)      # every overlap of the two kernels, [5, 5]
assert np.allclose(both, scipy.signal.convolve2d(second, first))
assert np.allclose(convolve(convolve(grey, first), second), convolve(grey, both))
correlated = scipy.signal.correlate2d(first, second)
assert not np.allclose(correlated, scipy.signal.correlate2d(second, first))
assert not np.allclose(slide(slide(grey, first), second), slide(grey, correlated))
print("convolving twice with 3x3 is convolving once with 5x5; for correlation both laws fail")

# %% [markdown]
# ## Padding
#
# A window of size $k$ fits into a row of $n$ pixels at only $n - k + 1$ positions, so every layer makes the picture smaller. Keras calls this `"valid"`: only positions at which the window lies wholly inside. The alternative `"same"` surrounds the picture with as many zeros as are needed to keep its size.
#
# ## Stride
#
# With a *stride* of $s$ the window moves $s$ pixels at a time, and the result is smaller by that factor. It saves time, and it is the usual way for a network to trade position for content. The sizes are
#
# $$ n_\text{valid} = \left\lfloor \frac{n - k}{s} \right\rfloor + 1, \qquad n_\text{same} = \left\lceil \frac{n}{s} \right\rceil . $$
#
# For `"same"` the number of zeros follows from its size: the last window starts at $(n_\text{same} - 1)s$ and ends $k$ later, so the row needs $p = \max\big((n_\text{same} - 1)s + k - n,\; 0\big)$ extra pixels in all. Half of them go to the left and half to the right, and **if $p$ is odd the extra one goes to the right** (and to the bottom). That is an arbitrary decision of TensorFlow's, which Keras keeps on every backend. Others decide otherwise, and a network that is carried over with a padding of "one on each side" will look at pictures half a step beside the place where it was trained to look.

# %% tags=["exercise-context"]
def same_padding(size, window, stride):
    """Zeros to put before and after a row of `size` pixels, and the number of outputs."""
    outputs = -(-size // stride)                                   # division, rounded up
    total = max((outputs - 1) * stride + window - size, 0)
    return total // 2, total - total // 2, outputs


# %%
for size in [6, 7]:
    before, after, outputs = same_padding(size, window=3, stride=2)
    print(f"{size} pixels, window 3, stride 2: {before} before, {after} after, {outputs} outputs")
assert same_padding(6, 3, 2) == (0, 1, 3)          # even: lopsided
assert same_padding(7, 3, 2) == (1, 1, 4)          # odd: symmetric
assert same_padding(6, 3, 1) == (1, 1, 6) and same_padding(6, 4, 1) == (1, 2, 6)

# %% mystnb={"image": {"alt": "Two rows of squares with brackets: for six pixels the windows start at the first pixel and overhang on the right; for seven they overhang on both sides"}, "figure": {"caption": "Padding 'same' with a window of three and stride two. Filled: pixels with their numbers; dashed: zeros that were added; brackets: what each output sees.", "name": "fig-convolutions-same"}}
figure, axes = plt.subplots(2, 1, figsize=(6, 3))
for axis, size in zip(axes, [6, 7]):
    before, after, outputs = same_padding(size, window=3, stride=2)
    for position in range(-before, size + after):
        real = 0 <= position < size
        face, line = (plots.COLOURS[5], "-") if real else ("white", "--")
        axis.add_patch(plt.Rectangle((position, 0), 1, 1, facecolor=face, edgecolor="black",
                                     linestyle=line))
        axis.text(position + 0.5, 0.5, position if real else "0", ha="center", va="center",
                  color="black" if real else plots.COLOURS[8])
    for output in range(outputs):
        left, height = 2 * output - before, 1.25 + 0.35 * (output % 2)
        axis.plot([left + 0.1, left + 0.1, left + 2.9, left + 2.9],
                  [height - 0.15, height, height, height - 0.15], color=plots.COLOURS[output])
    axis.set(xlim=(-1.5, 8.5), ylim=(-0.1, 1.8), aspect="equal", title=f"{size} pixels")
    axis.set_axis_off()
plt.show()

# %% [markdown]
# ## Channels
#
# A colour picture has three *channels*, and a hidden layer may have hundreds. The kernel then has a weight for every channel in the window, and everything is summed: **a kernel always looks through the whole depth**. To get several results, use several kernels; each produces one channel of the output. A layer thus owns an array of shape `[height, width, channels in, channels out]` and one bias for each output channel:
#
# $$ y_{ijd} = b_d + \sum_{m,n,c} w_{mncd}\, x_{i+m,\,j+n,\,c} . $$
#
# With a window of one by one pixel, nothing spatial is left, and every pixel passes through the same small dense layer from $C$ channels to $D$. Our grey picture was made that way.
#
# ## Dilation
#
# Finally, the window can be spread out, with a distance of $d$ pixels between its weights instead of one. Such a *dilated* kernel covers $(k-1)d + 1$ pixels with only $k$ weights {cite}`yu2016dilated`. Everything said about padding holds with this larger size.
#
# Now all options together, for a whole batch of pictures. First a function that cuts out the windows, then the layer itself, which is again a single sum.

# %% tags=["exercise-context"]
def windows_of(pictures, size, strides=(1, 1), dilation=(1, 1), padding="valid", fill=0.0):
    """All windows: [batch, height, width, c] -> [batch, rows, columns, c, *size]."""
    covered = [(k - 1) * d + 1 for k, d in zip(size, dilation)]
    if padding == "same":
        rows = same_padding(pictures.shape[1], covered[0], strides[0])[:2]
        columns = same_padding(pictures.shape[2], covered[1], strides[1])[:2]
        pictures = np.pad(pictures, [(0, 0), rows, columns, (0, 0)], constant_values=fill)
    windows = sliding_window_view(pictures, covered, axis=(1, 2))
    return windows[:, :: strides[0], :: strides[1], :, :: dilation[0], :: dilation[1]]


def convolution_layer(pictures, kernel, bias=0.0, **options):
    windows = windows_of(pictures, kernel.shape[:2], **options)
    return np.einsum("bijcmn,mncd->bijd", windows, kernel, optimize=True) + bias


# %% [markdown]
# A first use: which places are *redder than green*? A kernel of one by one pixel with the weights $+1, -1, 0$ on the three channels says so; a second one compares blue with the mean of the others. Two kernels, two output channels.

# %% mystnb={"image": {"alt": "Left: roofs and pillars light up where red exceeds green. Right: sky and lake light up where blue exceeds the other colours"}, "figure": {"caption": "Two kernels of one pixel across three channels: red against green, and blue against both. Purple is positive, orange negative. Photograph by Daniel Buechele, CC BY 2.0, filtered.", "name": "fig-convolutions-colour"}}
opponents = np.array([[1, -0.5], [-1, -0.5], [0, 1]]).reshape(1, 1, 3, 2)
responses = convolution_layer(photo[None], opponents)            # [1, 213, 320, 2]
assert np.allclose(responses[0, :, :, 0], photo[..., 0] - photo[..., 1], atol=1e-6)
figure, axes = plt.subplots(1, 2, figsize=(7, 2.4))
for axis, channel, title in zip(axes, [0, 1], ["red minus green", "blue minus the others"]):
    axis.imshow(responses[0, ..., channel], cmap="PuOr", vmin=-0.4, vmax=0.4)
    axis.set_title(title, fontsize=10)
    axis.set_axis_off()
plt.show()

# %% [markdown]
# ## Is it the same as Keras?
#
# One agreeing example proves little: the lopsided padding, say, shows only for certain sizes. So we draw layers at random: size of the picture, window (also even, also not square), stride, dilation, padding, channels. Each gets random inputs and weights, scaled so that outputs have a size of about one. Our version calculates in 64 bits, Keras in 32, so differences of a few $10^{-7}$ are rounding. (Keras does not combine a stride with dilation; nor do we.)

# %%
def random_pictures(dice, channels):
    height, width = dice.integers(11, 22, size=2)
    return dice.normal(size=(2, height, width, channels)).astype("float32")


def random_options(dice):
    strides, dilation = dice.integers(1, 4, size=2), np.array([1, 1])
    if dice.random() < 0.4:
        strides, dilation = dilation, dice.integers(1, 4, size=2)
    return {
        "strides": tuple(strides.tolist()),
        "dilation": tuple(dilation.tolist()),
        "padding": str(dice.choice(["valid", "same"])),
    }


def largest_difference(ours, theirs):
    theirs = ops.convert_to_numpy(theirs)
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    return np.abs(ours - theirs).max()


# %%
def convolution_error(dice, flip=False):
    """Largest difference between one random layer of ours and Keras's."""
    window = tuple(dice.integers(1, 5, size=2).tolist())
    channels, filters = (int(number) for number in dice.integers(1, 6, size=2))
    options, pictures = random_options(dice), random_pictures(dice, channels)
    kernel = dice.normal(size=(*window, channels, filters)) / np.sqrt(np.prod(window) * channels)
    kernel, bias = kernel.astype("float32"), dice.normal(size=filters).astype("float32")
    layer = layers.Conv2D(
        filters, window, strides=options["strides"], dilation_rate=options["dilation"],
        padding=options["padding"],
    )
    layer.build(pictures.shape)
    layer.set_weights([kernel, bias])
    used = kernel[::-1, ::-1] if flip else kernel
    ours = convolution_layer(pictures.astype("float64"), used.astype("float64"), bias, **options)
    return largest_difference(ours, layer(pictures))


# %%
def errors_of(compare, kind, count=LAYERS, **settings):
    return [compare(np.random.default_rng([SEED, kind, i]), **settings) for i in range(count)]


convolution_errors = errors_of(convolution_error, 0)
flipped_errors = errors_of(convolution_error, 0, count=QUICK_LAYERS, flip=True)
assert max(convolution_errors) < 1e-5
assert np.median(flipped_errors) > 0.1             # the comparison notices a kernel upside down
print("all random convolutions agree with Keras to 1e-5; with the kernel flipped they do not")

# %% [markdown]
# ## Pooling
#
# *Pooling* slides a window too, but without weights: it keeps the largest value in the window, or the mean, separately for each channel. *Max pooling* asks whether a feature occurs somewhere in the window and forgets where. A detail that our comparison brings to light: with `"same"` padding the added pixels must not take part. For the maximum they are therefore minus infinity rather than zero, and the mean divides by the number of *real* pixels. (On the PyTorch backend, Keras repeats border pixels instead where the padding is lopsided, so there we compare means under `"valid"` only.)

# %%
def max_pooling(pictures, size, **options):
    return windows_of(pictures, size, fill=-np.inf, **options).max(axis=(4, 5))


def average_pooling(pictures, size, **options):
    total = windows_of(pictures, size, **options).sum(axis=(4, 5))
    real = windows_of(np.ones_like(pictures), size, **options).sum(axis=(4, 5))
    return total / real                                          # [batch, rows, columns, channels]


def pooling_error(dice):
    size, strides = (tuple(pair.tolist()) for pair in dice.integers(1, 5, size=(2, 2)))
    padding = str(dice.choice(["valid", "same"]))
    pictures = random_pictures(dice, channels=2)
    compared, differences = [(max_pooling, layers.MaxPooling2D)], []
    if padding == "valid" or keras.backend.backend() != "torch":     # see the text
        compared.append((average_pooling, layers.AveragePooling2D))
    for ours, theirs in compared:
        by_hand = ours(pictures.astype("float64"), size, strides=strides, padding=padding)
        layer = theirs(size, strides=strides, padding=padding)
        differences.append(largest_difference(by_hand, layer(pictures)))
    return max(differences)


# %%
pooling_errors = errors_of(pooling_error, 1)
assert max(pooling_errors) < 1e-5
coarse = average_pooling(grey[None, :208, :, None], (16, 16), strides=(16, 16))
assert np.isclose(coarse.mean(), grey[:208].mean(), atol=1e-6)   # windows that tile keep the mean
print(f"pooling agrees with Keras too; 208 x 320 pixels became {coarse.shape[1:3]}")

# %% mystnb={"image": {"alt": "Edge strength of the photograph, its average over windows of eight pixels, faint, and its maximum, in which the outlines stay bright"}, "figure": {"caption": "The edge picture pooled over windows of eight by eight pixels. The mean fades what is thin; the maximum keeps it.", "name": "fig-convolutions-pooling"}}
edge_batch = strength[None, :208, :312, None]                    # [1, 208, 312, 1]
pooled = {"edge strength": edge_batch}
for name, pooling in [("average pooling", average_pooling), ("max pooling", max_pooling)]:
    pooled[name] = pooling(edge_batch, (8, 8), strides=(8, 8))   # [1, 26, 39, 1]
figure, axes = plt.subplots(1, 3, figsize=(8.4, 2.1))
for axis, (name, picture) in zip(axes, pooled.items()):
    axis.imshow(picture[0, ..., 0], vmin=0, vmax=0.8)
    axis.set_title(name, fontsize=10)
    axis.set_axis_off()
plt.show()

# %% [markdown]
# ## A convolution is a matrix
#
# A convolution is linear: it is *some* matrix, applied to the pixels written in a row. We can find the matrix by showing the layer one bright pixel at a time. For a picture of 6 by 6 pixels and a window of 3 by 3 it has 16 rows and 36 columns, and one look at it says what distinguishes this layer from a dense one: nearly all entries are zero (each output sees only its window), and the others are the same nine numbers over and over (each output does the same).

# %%
def matrix_of(kernel, size, **options):
    pixels = np.eye(size * size).reshape(-1, size, size, 1)          # one bright pixel each
    columns = convolution_layer(pixels, kernel[:, :, None, None], **options)
    return columns.reshape(size * size, -1).T                        # [outputs, inputs]


kernel = np.arange(1.0, 10.0).reshape(3, 3)
matrix = matrix_of(kernel, size=6)
tiny = generator.normal(size=(6, 6))
assert matrix.shape == (16, 36) and (matrix != 0).sum() == 16 * 9
assert len(np.unique(matrix)) == 1 + 9
assert np.allclose(matrix @ tiny.ravel(), slide(tiny, kernel).ravel())
print("the matrix times the pixels is the convolution")

# %% mystnb={"image": {"alt": "A matrix of 16 rows and 36 columns with a repeating diagonal band of nine shades, the rest empty"}, "figure": {"caption": "The matrix of a 3 by 3 convolution on 6 by 6 pixels. White is zero; each shade is one of the nine weights.", "name": "fig-convolutions-matrix"}}
figure, axis = plt.subplots(figsize=(6, 3))
axis.imshow(np.where(matrix == 0, np.nan, matrix), cmap="viridis")
axis.set(xlabel="input pixel", ylabel="output")
plt.show()

# %% [markdown]
# Weights that are shared are weights that need not be stored or learnt. On our photograph, a convolution with eight filters of 3 by 3 has $(3 \cdot 3 \cdot 3 + 1) \cdot 8$ parameters. A dense layer between arrays of the same shapes would have one weight for every pair of numbers.

# %%
def convolution_parameters(window, channels, filters):
    return (window[0] * window[1] * channels + 1) * filters


def dense_parameters(inputs, outputs):
    return (inputs + 1) * outputs


same_layer = layers.Conv2D(8, 3, padding="same")
same_layer.build((None, *photo.shape))
outputs = photo.shape[0] * photo.shape[1] * 8
assert same_layer.count_params() == convolution_parameters((3, 3), 3, 8)
small_dense = layers.Dense(7)
small_dense.build((None, 11))
assert small_dense.count_params() == dense_parameters(11, 7)
print(f"convolution {same_layer.count_params():,}, dense {dense_parameters(photo.size, outputs):,}")

# %% [markdown]
# ## The way back: transposed convolution
#
# Generators need the opposite direction, from few numbers to many pixels. If a convolution is the matrix $M$, then its *transpose* $M^\top$ maps from the small array to the large one. It is not the inverse, but it distributes each number over exactly the window from which the convolution had collected: lay down the kernel, multiplied by the number, at each position, $s$ pixels apart, and add where kernels overlap. (The gradient of a convolution with respect to its input is this very operation, so every training run has performed it all along.) The defining property is $\langle Mx, z\rangle = \langle x, M^\top z\rangle$ for all $x$ and $z$.

# %%
def transposed_layer(pictures, kernel, strides, padding):
    """Kernel [height, width, channels out, channels in], as Keras stores it."""
    batch, rows, columns, _ = pictures.shape
    (height, width, filters, _), (down, right) = kernel.shape, strides
    canvas = np.zeros((batch, (rows - 1) * down + height, (columns - 1) * right + width, filters))
    for i in range(rows):
        for j in range(columns):
            stamp = np.einsum("bc,mndc->bmnd", pictures[:, i, j], kernel)
            canvas[:, i * down : i * down + height, j * right : j * right + width] += stamp
    if padding == "same":                          # cut off what the convolution had padded
        top = same_padding(rows * down, height, down)[0]
        left = same_padding(columns * right, width, right)[0]
        canvas = canvas[:, top : top + rows * down, left : left + columns * right]
    return canvas


# %%
def transposed_error(dice):
    strides = tuple(dice.integers(1, 4, size=2).tolist())
    window = tuple(stride + int(more) for stride, more in zip(strides, dice.integers(0, 3, size=2)))
    channels, filters = (int(number) for number in dice.integers(1, 4, size=2))
    padding = str(dice.choice(["valid", "same"]))
    pictures = random_pictures(dice, channels)[:, :7, :8]
    kernel = dice.normal(size=(*window, filters, channels)) / np.sqrt(np.prod(window) * channels)
    kernel = kernel.astype("float32")
    layer = layers.Conv2DTranspose(
        filters, window, strides=strides, padding=padding, use_bias=False
    )
    layer.build(pictures.shape)
    layer.set_weights([kernel])
    ours = transposed_layer(pictures.astype("float64"), kernel, strides, padding)
    return largest_difference(ours, layer(pictures))


transposed_errors = errors_of(transposed_error, 2)
assert max(transposed_errors) < 1e-5
few = generator.normal(size=(1, 2, 2, 1))                        # 2 x 2 numbers -> 6 x 6 pixels
stamped = transposed_layer(few, kernel[:, :, None, None], (3, 3), "valid")
strided = matrix_of(kernel, size=6, strides=(3, 3))              # [4, 36]
assert np.allclose(stamped.ravel(), strided.T @ few.ravel())
assert np.isclose((strided @ tiny.ravel()) @ few.ravel(), tiny.ravel() @ stamped.ravel())
print("the transposed layer is the transposed matrix, and agrees with Keras")

# %% [markdown]
# Here a well-known blemish of generated pictures has its origin {cite}`odena2016deconvolution`. If the window is not a multiple of the stride, some pixels are covered by more kernels than others, in a regular pattern. We count with a kernel of ones.

# %%
def coverage(window, stride):
    ones, kernel = np.ones((1, 9, 9, 1)), np.ones((window, window, 1, 1))
    return transposed_layer(ones, kernel, (stride, stride), "same")[0, ..., 0]   # [18, 18]


inner = slice(4, -4)                               # away from the border
assert set(coverage(3, 2)[inner, inner].ravel()) == {1, 2, 4}
assert set(coverage(4, 2)[inner, inner].ravel()) == {4}
print("window 3, stride 2: pixels covered 1, 2 or 4 times; window 4, stride 2: always 4 times")

# %% mystnb={"image": {"alt": "Left a chequerboard pattern of three shades, right an even surface with a thin frame"}, "figure": {"caption": "How many kernels cover each pixel, for stride two: window three makes a chequerboard, window four does not.", "name": "fig-convolutions-chequerboard"}}
figure, axes = plt.subplots(1, 2, figsize=(5.4, 2.6))
for axis, window in zip(axes, [3, 4]):
    image = axis.imshow(coverage(window, stride=2), cmap="viridis", vmin=1, vmax=4)
    axis.set(title=f"window {window}, stride 2", xticks=[], yticks=[])
figure.colorbar(image, ax=axes, ticks=[1, 2, 4], label="kernels per pixel")
plt.show()

# %% [markdown]
# ## Why it is fast
#
# Processors are best at one thing: multiplying large matrices. So a usual trick is to write out all windows as the rows of a matrix (a method known as *im2col* {cite}`chellapilla2006high`), the kernels as the columns of another, and to multiply. The first matrix is larger than the picture, every pixel occurring once for each window that contains it, and it is still worth it.

# %%
def convolution_by_matrix(pictures, kernel):
    windows = windows_of(pictures, kernel.shape[:2])                 # [b, rows, columns, c, m, n]
    rows = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, kernel[..., 0].size)
    result = rows @ kernel.reshape(-1, kernel.shape[-1])             # one matrix product
    return result.reshape(*windows.shape[:3], -1)                    # [b, rows, columns, filters]


eight = generator.normal(size=(3, 3, 3, 8))
by_matrix = convolution_by_matrix(photo[None], eight)
assert np.allclose(by_matrix, convolution_layer(photo[None], eight), atol=1e-5)
rows = by_matrix[0].shape[0] * by_matrix[0].shape[1]
print(f"({rows:,} x 27) times (27 x 8): {rows * 27 * 8:,} multiplications in one product")

# %% tags=["nbval-ignore-output"]
def seconds_of(function, *arguments, repeats=3):
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - begun)
    return min(times)


quarter = grey[:106, :160].astype("float64")       # the loops would take too long on the whole
loops = seconds_of(slide_with_loops, quarter, VERTICAL, repeats=1)
product = seconds_of(
    convolution_by_matrix, quarter[None, :, :, None], VERTICAL[:, :, None, None]
)
assert loops > 10 * product
print(f"the matrix product is about {loops / product:.0f} times as fast as the loops")

# %% [markdown]
# ## What moves, moves along
#
# The central virtue of the layer is a symmetry. Shift the picture and then filter, or filter and then shift: the result is the same. This is called *translation equivariance*, and it is why a network need not learn anew what an edge looks like in each corner. It holds exactly, wherever the window does not touch the border.

# %%
down, right = 5, 9
filtered = convolution_layer(photo[None], eight)                             # [1, 211, 318, 8]
of_shifted = convolution_layer(photo[None, down:, right:], eight)
assert np.allclose(of_shifted, filtered[:, down:, right:], atol=1e-6)
print("filter after shifting = shift after filtering")

# %% [markdown]
# A stride breaks the symmetry. A layer with stride two computes every other position, and if the picture moves by *one* pixel it computes the positions that it left out before. Only shifts by a multiple of the stride survive. The loss is real: a network with several strides or poolings can change its answer when a picture moves by one pixel {cite}`zhang2019making`.

# %%
def strided_response(picture):
    return convolution_layer(picture[None, :, :, None], VERTICAL[:, :, None, None], strides=(2, 2))


response = strided_response(grey)[0, ..., 0]                                  # [106, 159]
by_two = strided_response(grey[:, 2:])[0, ..., 0]
by_one = strided_response(grey[:, 1:])[0, ..., 0]
assert np.allclose(by_two, response[:, 1:], atol=1e-6)
lost = min(np.abs(by_one[:, :150] - response[:, s : s + 150]).mean() for s in range(3))
assert lost > 0.2 * np.abs(response).mean()
print("shift by two: equal. Shift by one: no shift of the old response comes near")

# %% mystnb={"image": {"alt": "Two small pictures of thin bright lines one pixel apart in position; after stride two the first keeps all lines and the second has lost them"}, "figure": {"caption": "Lines of one pixel, eight pixels apart, kept by every second pixel; and the same lines one pixel further to the right.", "name": "fig-convolutions-lines"}}
lines = np.zeros((16, 32))
lines[:, 4::8] = 1
figure, axes = plt.subplots(1, 4, figsize=(8.4, 1.5))
for pair, shift in zip([axes[:2], axes[2:]], [0, 1]):
    shifted = np.roll(lines, shift, axis=1)
    pair[0].imshow(shifted, vmin=0, vmax=1)
    pair[0].set_title(f"lines, shifted by {shift}", fontsize=10)
    pair[1].imshow(shifted[::2, ::2], vmin=0, vmax=1)
    pair[1].set_title("stride two", fontsize=10)
for axis in axes:
    axis.set(xticks=[], yticks=[])
assert lines[::2, ::2].sum() > 0 and np.roll(lines, 1, axis=1)[::2, ::2].sum() == 0
plt.show()

# %% [markdown]
# ## What one output can see
#
# One layer sees three pixels across. A unit of the second layer sees three units of the first, each of which saw three pixels: five in all. The region of the input on which a unit depends is its *receptive field*. For layers with windows $k_l$, strides $s_l$ and dilations $d_l$ it is
#
# $$ r = 1 + \sum_l (k_l - 1)\, d_l \prod_{m < l} s_m , $$
#
# because a step of one unit in layer $l$ is a step of $\prod_{m<l} s_m$ pixels in the picture. Strides multiply, so a few of them let a unit see the whole picture.
#
# We need not believe the formula. Automatic differentiation can say which pixels an output depends on: those with a gradient that is not zero. We use kernels of ones, so that nothing cancels by chance.

# %%
def field_by_formula(stack):                       # a list of (window, stride, dilation)
    field, step = 1, 1
    for window, stride, dilation in stack:
        field += (window - 1) * dilation * step
        step *= stride
    return field


def gradient_of_one_output(stack, size=65):
    network = keras.Sequential([keras.Input((size, size, 1))])
    for window, stride, dilation in stack:
        network.add(layers.Conv2D(1, window, strides=stride, dilation_rate=dilation,
                                  use_bias=False, kernel_initializer="ones"))
    middle = network.output_shape[1] // 2
    picture = np.zeros((1, size, size, 1), dtype="float32")
    gradient = training.input_gradient(lambda x: network(x)[:, middle, middle], picture)
    return ops.convert_to_numpy(gradient)[0, ..., 0]                 # [size, size]


# %%
STACKS = {
    "one layer": [(3, 1, 1)],
    "four layers": [(3, 1, 1)] * 4,
    "strides 2, 2, 2, 1": [(3, 2, 1)] * 3 + [(3, 1, 1)],
    "dilations 1, 2, 4, 8": [(3, 1, 1), (3, 1, 2), (3, 1, 4), (3, 1, 8)],
}
fields = {}
for name, stack in STACKS.items():
    fields[name] = gradient_of_one_output(stack)
    seen = np.flatnonzero(fields[name].any(axis=0))
    extent = int(seen[-1] - seen[0] + 1)
    assert extent == field_by_formula(stack), name
    print(f"{name}: {extent} pixels across, by gradient and by formula")

# %% mystnb={"image": {"alt": "Four squares: a tiny patch, a small soft patch, and two large patches, one for strides and one for dilations"}, "figure": {"caption": "The gradient of one output with respect to the picture (square root, each scaled to its maximum).", "name": "fig-convolutions-field"}}
figure, axes = plt.subplots(1, 4, figsize=(9, 2.5))
for axis, (name, field) in zip(axes, fields.items()):
    axis.imshow(np.sqrt(field / field.max()), cmap="viridis")
    axis.set(title=name, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The field has a soft edge: a pixel in its middle reaches the output by many paths, one at its rim by a single path. With kernels of ones the weights along a row are the distribution of a sum of $L$ steps of $-1$, $0$ or $1$, which approaches a bell with standard deviation $\sqrt{2L/3}$. So the *effective* receptive field grows only like the square root of the depth {cite}`luo2016receptive`.

# %%
for depth in [1, 4, 9, 16]:
    profile = gradient_of_one_output([(3, 1, 1)] * depth).sum(axis=0)   # [65]
    profile = profile / profile.sum()
    positions = np.arange(65)
    centre = (profile * positions).sum()
    deviation = np.sqrt((profile * (positions - centre) ** 2).sum())
    assert np.isclose(deviation, np.sqrt(2 * depth / 3), rtol=1e-3)
print("the spread of the field grows like the square root of the depth")

# %% [markdown]
# ## Learning a kernel
#
# Now the step from signal processing to deep learning. Suppose that somebody shows us pictures before and after filtering, but not the kernel. Can gradient descent find it? The model is a single Keras layer of nine weights, the loss the mean squared difference. As the loss is a quadratic function of the weights, there is a single minimum, and we know where: at the kernel of Sobel. (So we may begin with all weights at zero: a lone filter has no twin from which it would have to be told apart.)

# %% tags=["model"]
def filter_all(pictures):                                            # [n, 34, 34, 1]
    return convolution_layer(pictures, VERTICAL[:, :, None, None]).astype("float32")


contrasted = grey / grey.std()                                       # standard deviation one
crops = np.array(sliding_window_view(contrasted, (34, 34))[::16, ::16].reshape(-1, 34, 34, 1))
noise = np.random.default_rng(SEED).normal(size=crops.shape).astype("float32")
crop_batches = training.batches(crops, filter_all(crops), batch_size=16, seed=SEED)
noise_batches = training.batches(noise, filter_all(noise), batch_size=16, seed=SEED)

# %% tags=["model"]
def build_learner(updates):
    layer = layers.Conv2D(1, 3, use_bias=False, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((34, 34, 1)), layer])
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, updates)
    model.compile(keras.optimizers.Adam(schedule), loss="mse")
    return model


crop_learner = build_learner(EPOCHS * len(crop_batches))
noise_learner = build_learner(EPOCHS * len(noise_batches))
assert crop_learner.count_params() == 9

# %% [markdown]
# One learner sees noise before and after filtering, the other pieces of the photograph, of the same contrast.

# %% tags=["nbval-ignore-output"]
noise_run = training.fit(noise_learner, noise_batches, epochs=EPOCHS)

# %% tags=["nbval-ignore-output"]
crop_run = training.fit(crop_learner, crop_batches, epochs=EPOCHS)

# %%
def kernel_of(learner):
    return ops.convert_to_numpy(learner.layers[0].kernel)[..., 0, 0]


from_noise, from_photo = kernel_of(noise_learner), kernel_of(crop_learner)
explained = 1 - crop_run.history["loss"][-1] / np.mean(filter_all(crops) ** 2)
assert np.abs(from_noise - VERTICAL).max() < 0.01
assert explained > 0.9
assert np.abs(from_photo - VERTICAL).max() > 10 * np.abs(from_noise - VERTICAL).max()
print("learnt from noise: the kernel to two digits")
print("learnt from the photograph: over 90 % of the response, but not the same weights")

# %% mystnb={"image": {"alt": "Left: three grids of nine numbers, the true kernel, the one learnt from noise, nearly equal, and the one learnt from the photograph, similar but not equal. Right: two falling loss curves"}, "figure": {"caption": "The kernel that made the pictures, and what was learnt from noise and from the photograph in the same number of updates.", "name": "fig-convolutions-learnt"}}
figure, axes = plt.subplots(1, 4, figsize=(9, 2.4), width_ratios=[1, 1, 1, 1.7])
kernels = {"true": VERTICAL, "from noise": from_noise, "from the photograph": from_photo}
for axis, (name, learnt) in zip(axes, kernels.items()):
    draw_numbers(axis, np.round(learnt, 2) + 0.0, name, limit=1)
axes[3].semilogy(noise_run.history["loss"], label="noise")
axes[3].semilogy(crop_run.history["loss"], "--", label="photograph")
axes[3].set(xlabel="epoch", ylabel="mean squared error")
axes[3].legend()
plt.show()

# %% [markdown]
# Nine weights, one minimum, and still the photograph teaches the kernel worse than noise does. The reason is worth knowing: in a photograph neighbouring pixels are nearly equal, so that moving weight from one pixel to its neighbour hardly changes the response. The valley of the loss is then very long and very flat, and gradient descent crawls along its floor. What the data does not show, learning cannot find; and a small loss does not mean that the weights are *right*, only that on such pictures the difference does not matter.

# %%
def condition_number(pictures):
    windows = windows_of(pictures, (3, 3)).reshape(-1, 9).astype("float64")
    return np.linalg.cond(windows.T @ windows)     # length over width of the valley, squared


assert condition_number(crops) > 100 * condition_number(noise)
print("condition number: the photograph's is more than 100 times that of noise")

# %% [markdown]
# ## Evaluation
#
# The largest difference between our layers and Keras's, over all random convolutions, poolings and transposed convolutions, goes into the record, next to the difference that a flipped kernel makes.

# %%
every_error = np.array([convolution_errors, pooling_errors, transposed_errors])   # [3, layers]
max_error = every_error.max()
quick_errors = every_error[:, :QUICK_LAYERS]
assert max_error < 1e-5 < max(flipped_errors)
record = results.Record("convolutions", "photograph", "scikit-learn's china.jpg, CC BY 2.0")
record.metric("max_error", max_error, n=every_error.size)
record.metric("flipped_max_error", max(flipped_errors), n=len(flipped_errors))
# Rounding differs between processors: an error of the same order is as good as the same error
record.check("max_error", quick_errors.max(), n=quick_errors.size, sd=quick_errors.max())
updates = {"from_noise": noise_run.updates, "from_photograph": crop_run.updates}
record.save(updates=updates, seconds=time.monotonic() - STARTED)

# %% [markdown]
# ## What goes wrong
#
# **Aliasing.** Taking every fourth pixel, which is what a large stride does, invents patterns that are not there. The fine rows of tiles of the roof become coarse stripes. The remedy is as old as signal processing: blur first, then throw away. Average pooling is a plain form of it.

# %% mystnb={"image": {"alt": "Three views of the pavilion's roof: fine tiles at full size, false coarse stripes after taking every fourth pixel, a soft but true picture after averaging"}, "figure": {"caption": "The roof in the original, every fourth pixel of it, and means of four by four pixels. Photograph by Daniel Buechele, CC BY 2.0, cropped and reduced.", "name": "fig-convolutions-aliasing"}}
roof = original[60:300, 140:380].mean(axis=2)                                 # [240, 240]
views = {
    "original": roof,
    "every fourth pixel": roof[::4, ::4],
    "mean of 4 x 4": average_pooling(roof[None, ..., None], (4, 4), strides=(4, 4))[0, ..., 0],
}
figure, axes = plt.subplots(1, 3, figsize=(8.4, 2.9))
for axis, (name, view) in zip(axes, views.items()):
    axis.imshow(view, vmin=0, vmax=1)
    axis.set_title(name, fontsize=10)
    axis.set_axis_off()
plt.show()

# %% [markdown]
# How false can it get? A wave of 0.45 cycles per pixel, nearly the finest there is, turns after stride two into a slow wave of 0.1 cycles per (new) pixel, at full strength. After a blur, the false wave is almost gone.

# %%
wave = np.cos(2 * np.pi * 0.45 * np.arange(400))
false_wave = wave[::2]
assert np.allclose(false_wave, np.cos(2 * np.pi * 0.1 * np.arange(200)))
blurred_wave = np.convolve(wave, [0.25, 0.5, 0.25], mode="valid")[::2]
assert np.abs(blurred_wave).max() < 0.05 < np.abs(false_wave).max()
print("a fast wave becomes a slow one; blurring first removes it")

# %% [markdown]
# **Zeros at the border.** Padding with zeros means that a black frame surrounds every picture. A blur of a white wall then darkens the rim, and after $L$ layers the rim is $L$ pixels wide. Networks use this to find out where they are, which may be welcome; but it breaks the symmetry of the section above.

# %%
wall = np.ones((1, 15, 15, 1))
for depth in range(1, 4):
    wall = convolution_layer(wall, BLUR[:, :, None, None], padding="same")
    touched = ~np.isclose(wall[0, 7, :, 0], 1)
    assert touched.sum() == 2 * depth
assert wall[0, 0, 0, 0] < 0.4
print("after three layers three pixels on each side have changed")

# %% [markdown]
# **Half a pixel beside.** The lopsided padding of even sizes shifts what a layer sees. On 6 pixels with stride two, Keras's windows are centred on the pixels 1, 3 and 5; with one zero on each side they would be centred on 0, 2 and 4. A network whose weights are carried from one program to another without regard for this still works, a little worse, and nobody notices.

# %%
ramp = np.arange(6.0)                              # each pixel's value is its position
middle = np.zeros((3, 1, 1, 1))
middle[1] = 1                                      # a kernel that picks the centre of its window
ours = convolution_layer(ramp[None, :, None, None], middle, strides=(2, 1), padding="same")
other = convolution_layer(np.pad(ramp, 1)[None, :, None, None], middle, strides=(2, 1))
assert ours.ravel().tolist() == [1, 3, 5] and other.ravel().tolist() == [0, 2, 4]
print("centres of the windows:", ours.ravel(), "or, padded evenly,", other.ravel())

# %% [markdown]
# ## Lessons
#
# - A convolution is a small weighted sum, the same at every place: a dense layer with nearly all weights zero and the others shared.
# - Know your sizes. `"valid"` shrinks, `"same"` keeps the size and is lopsided if it must; the formulas are short.
# - A kernel sees all channels in its window; each filter makes one output channel.
# - What moves, moves along, except at borders and across strides. Blur before you throw pixels away.
# - A transposed convolution is the transposed matrix. Choose windows that are multiples of the stride.
# - Depth, stride and dilation widen the view; the gradient shows what an output really sees.
#
# **Things to try.** Apply the blur thirty times and compare with a single wide bell. Load `flower.jpg` instead. Learn a kernel of Sobel from pictures to which you have added noise. Learn from the photograph for ten times as many epochs. Find the largest picture for which `gradient_of_one_output` covers everything with four strided layers.

# %% [markdown]
# ## Exercises
#
# :::{exercise} How large is the result?
# :label: convolutions-size
#
# Complete the function that gives the number of outputs along one axis, for any window, stride, dilation and padding, without computing anything. Then answer without running anything: which windows keep the size of every picture under `"valid"` padding with stride one?
# :::

# %% [markdown]
# :::{solution-start} convolutions-size
# :class: dropdown
# :::
#
# With dilation the window covers $(k-1)d + 1$ pixels, and the rest is the formulas of the text. Under `"valid"` with stride one the size stays only if the window covers a single pixel: $k = 1$.

# %% tags=["solution"]
def output_size(size, window, stride=1, dilation=1, padding="valid"):
    ### BEGIN SOLUTION
    if padding == "same":
        return -(-size // stride)
    covered = (window - 1) * dilation + 1
    return (size - covered) // stride + 1
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
for size, window, stride, dilation in [(28, 3, 1, 1), (28, 4, 2, 1), (29, 5, 3, 1), (30, 3, 1, 4)]:
    for padding in ["valid", "same"]:
        layer = layers.Conv2D(
            1, window, strides=stride, dilation_rate=dilation, padding=padding
        )
        keras_size = layer.compute_output_shape((1, size, size, 1))[1]
        assert output_size(size, window, stride, dilation, padding) == keras_size
print("correct")

# %% [markdown]
# :::{exercise} Two small kernels for one large
# :label: convolutions-separable
#
# The blur and the kernels of Sobel are *separable*: the product of a column and a row. Filtering with the column and then with the row costs $2k$ multiplications per pixel instead of $k^2$. Complete the function that finds such a pair (the singular value decomposition does it), and returns `None` if there is none. Is the sharpening kernel separable?
# :::

# %% [markdown]
# :::{solution-start} convolutions-separable
# :class: dropdown
# :::
#
# A matrix is the product of a column and a row exactly if its rank is one, that is, if all singular values but the first vanish. The sharpening kernel $2I - B$ has rank two: it is the *sum* of two separable kernels, but not one itself. Depthwise separable layers, popular in small networks, make a related saving across channels.

# %% tags=["solution"]
def separate(kernel):
    ### BEGIN SOLUTION
    left, sizes, right = np.linalg.svd(kernel)
    if sizes[1] > 1e-10 * sizes[0]:
        return None
    return left[:, :1] * sizes[0], right[:1]       # a column [k, 1] and a row [1, k]
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
smooth = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
column, row = separate(smooth)
assert column.shape == (5, 1) and row.shape == (1, 5)
assert np.allclose(slide(slide(grey, column), row), slide(grey, smooth), atol=1e-6)
assert separate(np.eye(3)) is None
print("correct")

# %% [markdown]
# :::{exercise} Seeing far
# :label: convolutions-far
#
# How many layers with windows of three does it take until one output depends on at least `target` pixels across, (a) with stride and dilation one, (b) with dilations 1, 2, 4, 8 and so on? Complete the function for both. Why does WaveNet, which must look back over thousands of sound samples, use (b)?
# :::

# %% [markdown]
# :::{solution-start} convolutions-far
# :class: dropdown
# :::
#
# Plain layers add two pixels each, so the field is $2L + 1$ and the number of layers grows in proportion to the distance. With doubling dilations the field is $1 + 2(1 + 2 + \dots + 2^{L-1}) = 2^{L+1} - 1$, so the number of layers grows like the logarithm: a thousand samples need nine layers instead of five hundred, at the same number of weights per layer.

# %% tags=["solution"]
def layers_needed(target, doubling):
    ### BEGIN SOLUTION
    field, count = 1, 0
    while field < target:
        field += 2 * (2**count if doubling else 1)
        count += 1
    return count
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
assert layers_needed(9, doubling=False) == 4 and layers_needed(10, doubling=False) == 5
assert layers_needed(31, doubling=True) == 4 and layers_needed(1_000, doubling=True) == 9
assert layers_needed(1_000, doubling=False) == 500
print("correct")

# %% [markdown]
# :::{exercise} A window of the wrong size
# :label: convolutions-wrong-size
#
# Somebody filters noise with a secret kernel of three by three, and you train a layer whose window is five by five, because you do not know better. Complete the function so that it returns the learnt kernel. What do you expect in the outer ring? And what would a layer find whose window is *smaller* than the secret kernel?
# :::

# %% [markdown]
# :::{solution-start} convolutions-wrong-size
# :class: dropdown
# :::
#
# The smallest possible loss is zero, and it is reached by the secret kernel with a ring of zeros around it; since the pixels of noise are independent, nothing else reaches it. Too large a window costs time and data but not correctness. Too small a window finds the part of the kernel that it can hold: for independent pixels exactly the cut-out, because what happens outside its view looks like additional noise. On a photograph it would not be the cut-out, because the pixels inside say something about those outside, and least squares makes use of that.

# %% tags=["solution"]
def learn_with_window(pictures, filtered, window, epochs=15):
    ### BEGIN SOLUTION
    layer = layers.Conv2D(1, window, use_bias=False, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input(pictures.shape[1:]), layer])
    model.compile(keras.optimizers.Adam(0.02), loss="mse")
    model.fit(pictures, filtered, batch_size=16, epochs=epochs, verbose=0)
    return ops.convert_to_numpy(layer.kernel)[..., 0, 0]
    ### END SOLUTION


# %% [markdown]
# :::{solution-end}
# :::

# %% tags=["exercise-check"]
secret = np.array([[0.5, 0, -0.5], [1, 0, -1], [0.2, 0.3, 0]])
noisy = np.random.default_rng(3).normal(size=(256, 16, 16, 1)).astype("float32")
after = convolution_layer(noisy, secret[:, :, None, None]).astype("float32")
large = learn_with_window(noisy, after[:, 1:-1, 1:-1], window=5)     # outputs of the same places
assert np.abs(large - np.pad(secret, 1)).max() < 0.05
small = learn_with_window(noisy[:, 1:-1, 1:-1], after, window=1)
assert abs(small.item() - secret[1, 1]) < 0.1
print("correct")

# %% [markdown]
# ## References
#
# Layers that share weights across positions go back to the Neocognitron {cite}`fukushima1980neocognitron`; {cite:t}`lecun1998gradient` trained them by backpropagation. The sizes of all variants, with drawings, are in the guide by {cite:t}`dumoulin2016guide`. Further: matrix products {cite}`chellapilla2006high`, chequerboards {cite}`odena2016deconvolution`, effective receptive fields {cite}`luo2016receptive`, strides and shifts {cite}`zhang2019making`, dilated convolutions {cite}`yu2016dilated`. The photograph is by Daniel Buechele (CC BY 2.0), from scikit-learn.
