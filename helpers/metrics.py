"""How good are the samples, and how good is the model: the field's measures, checked by hand.

Features are float arrays [n, d], one row per image, from one network for both sides (`features`).
A value means something only beside three others, all at the same n: the floor (real against other
real items), a trivial generator (`pca_gaussian_samples`), and the spread over subsets or seeds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.files import BookError

if TYPE_CHECKING:
    import keras
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

CHUNK = 500
"""Rows of a distance table that are in memory at one time."""

SUM_TOLERANCE = 1e-4
"""How far a sum of probabilities may be from one; float32 softmax stays well inside."""


# Distances between two sets of features -------------------------------------------------------


def frechet_distance(real: ArrayLike, fake: ArrayLike, *, allow_unequal: bool = False) -> float:
    """Fréchet distance of two Gaussians fitted to features: FID, when Inception made the features.

    FID = |m1 - m2|^2 + tr(S1 + S2 - 2 sqrt(S1 S2)), with means m and unbiased covariances S.

    real: [n, d], fake: [n, d]; n may be smaller than d. Fewer items give a larger distance, so that
    unequal numbers are refused unless allow_unequal says that this is the point.
    Unit: that of the features, squared. From 0 (equal moments) up; lower is better. A good value is
    close to the floor: this distance between two disjoint real sets of the same size.
    Pitfalls: biased upwards at small n, so compare only equal n, from 10,000 up; other features
    give another scale (name them: FID-fashion); it sees means and covariances, nothing else; it
    changes with how images are resized and rounded before the features.
    Cost: beside the features themselves little memory; two sets of 50,000 x 2,048 take minutes.
    Errors: BookError for different widths or numbers of rows, fewer than two rows, NaN or infinite
    values.
    Source: Heusel et al. (2017), "GANs trained by a two time-scale update rule converge to a local
    Nash equilibrium".
    """
    real_rows, fake_rows = _two_sets(
        real, fake, fewest=2, allow_unequal=allow_unequal, keep_float32=True
    )
    real_mean, real_root = _mean_and_covariance_root(real_rows)
    fake_mean, fake_root = _mean_and_covariance_root(fake_rows)
    shift = real_mean - fake_mean
    # With S1 = A'A and S2 = B'B the eigenvalues of S1 S2 are the squared singular values of AB'.
    # No matrix square root is taken, so singular covariances (n < d) lose no digits.
    overlap = np.linalg.svd(real_root @ fake_root.T, compute_uv=False).sum()
    total_variance = np.square(real_root).sum() + np.square(fake_root).sum()
    distance = shift @ shift + total_variance - 2 * overlap
    return max(float(distance), 0.0)  # rounding can leave -1e-13 for equal sets


def _mean_and_covariance_root(rows: Any) -> tuple[Floats, Floats]:
    """The mean [d], and a matrix A [min(n, d), d] with A'A = unbiased covariance of rows [n, d].

    The rows are taken in parts: the R of a QR decomposition of the parts' R is that of the whole.
    """
    mean = rows.mean(axis=0, dtype=np.float64)
    root = np.empty((0, len(mean)))
    step = max(4 * len(mean), 4096)  # few parts, which cost time, and small ones
    for start in range(0, len(rows), step):
        centred = rows[start : start + step] - mean
        root = np.asarray(np.linalg.qr(np.concatenate([root, centred]), mode="r"))
    return mean, root / np.sqrt(len(rows) - 1)


def kernel_distance(
    real: ArrayLike,
    fake: ArrayLike,
    subsets: int = 10,
    subset_size: int = 1000,
    seed: int = 0,
    *,
    allow_unequal: bool = False,
) -> tuple[float, float]:
    """Kernel distance of two sets of features (KID): its mean and sd over random subsets.

    KID = mean k(x, x') + mean k(y, y') - 2 mean k(x, y), with k(x, y) = (x.y / d + 1)^3 and the
    first two means over pairs of *different* items, which makes the estimate unbiased.

    real: [n, d], fake: [n, d], or [m, d] with allow_unequal. Each subset draws subset_size rows of
    either side without replacement. Unit: none, but the scale depends on the features.
    Good: within a few sd of 0. It can be negative: the estimate scatters around 0 for equal sets.
    Pitfalls: the sd is that of one subset's value, and comes out about a quarter too small when a
    subset is half of a side. Subsets overlap, so sd / sqrt(subsets) is not the error of the mean:
    with half of a side per subset the error is about as large as the sd itself. A ratio of two
    values says something only if both exceed 5 sd.
    Errors: BookError for different widths or numbers of rows, NaN, fewer than two subsets, subsets
    of fewer than two rows or larger than a side, or as large as both (all subsets would be one, and
    the sd 0).
    Source: Binkowski et al. (2018), "Demystifying MMD GANs".
    """
    real_rows, fake_rows = _two_sets(real, fake, fewest=4, allow_unequal=allow_unequal)
    if subsets < 2:
        raise BookError(f"The sd needs two subsets or more, not {subsets}: pass subsets=10.")
    smaller, larger = sorted((len(real_rows), len(fake_rows)))
    if not 2 <= subset_size <= smaller or subset_size == larger:
        raise BookError(
            f"Subsets of {subset_size} rows cannot be drawn from {len(real_rows)} real and "
            f"{len(fake_rows)} fake ones: pass a subset_size from 2 to {smaller // 2}, or more "
            "rows."
        )
    rng = np.random.default_rng(seed)

    def draw(rows: Floats) -> Floats:
        return rows[rng.choice(len(rows), subset_size, replace=False)]

    values = [_squared_mmd(draw(real_rows), draw(fake_rows)) for _ in range(subsets)]
    return mean_and_sd(values)


def _squared_mmd(real: Floats, fake: Floats) -> float:
    """The unbiased squared maximum mean discrepancy with the cubic kernel, over all pairs."""

    def kernel(left: Floats, right: Floats) -> Floats:
        return (left @ right.T / left.shape[1] + 1) ** 3

    def mean_within(rows: Floats) -> float:
        table = kernel(rows, rows)
        np.fill_diagonal(table, 0)  # an item beside itself says nothing about the distribution
        return table.sum() / (len(rows) * (len(rows) - 1))

    return float(mean_within(real) + mean_within(fake) - 2 * kernel(real, fake).mean())


def precision_recall(
    real: ArrayLike, fake: ArrayLike, neighbours: int = 3, *, allow_unequal: bool = False
) -> tuple[float, float]:
    """Precision (are samples like real items?) and recall (are all real items covered?).

    Around every item lies a ball that reaches to its k-th nearest neighbour in its own set.
    Precision = share of fake items inside at least one real ball;
    recall = share of real items inside at least one fake ball. The border belongs to the ball.

    real: [n, d], fake: [n, d], or [m, d] with allow_unequal; k = neighbours.
    Returns (precision, recall), each from 0 to 1.
    Good: near the values of two disjoint real sets of the same size, which stay below 1.
    Pitfalls: both grow with k and depend on n: compare only equal k, n and features; a single
    far outlier has a huge ball and can lift the other side's value; sampling tricks (truncation)
    buy precision with recall, so give both.
    Errors: BookError for different widths or numbers of rows, NaN, neighbours below 1, or a side
    with no more rows than neighbours.
    Source: Kynkäänniemi et al. (2019), "Improved precision and recall metric for assessing
    generative models".
    """
    if neighbours < 1:
        raise BookError(f"Count at least one neighbour, not {neighbours}: the usual number is 3.")
    real_rows, fake_rows = _two_sets(real, fake, fewest=neighbours + 1, allow_unequal=allow_unequal)
    centre = real_rows.mean(axis=0)  # a shared shift changes no distance and saves digits
    real_rows, fake_rows = real_rows - centre, fake_rows - centre
    real_reach = _squared_reach(real_rows, neighbours)  # [n]
    fake_reach = _squared_reach(fake_rows, neighbours)  # [m]
    inside_real = np.zeros(len(fake_rows), dtype=bool)
    inside_fake = np.zeros(len(real_rows), dtype=bool)
    for start in range(0, len(real_rows), CHUNK):
        rows = slice(start, start + CHUNK)
        squared = _squared_distances(real_rows[rows], fake_rows)  # [chunk, m]
        inside_real |= (squared <= real_reach[rows, None]).any(axis=0)
        inside_fake[rows] = (squared <= fake_reach).any(axis=1)
    return float(inside_real.mean()), float(inside_fake.mean())


def _squared_distances(left: Floats, right: Floats) -> Floats:
    """|x - y|^2 for all pairs [n, m], as |x|^2 + |y|^2 - 2 x.y: one fast matrix product."""
    squared = left @ right.T
    squared *= -2
    squared += np.square(left).sum(axis=1)[:, None]
    squared += np.square(right).sum(axis=1)
    return squared


def _squared_reach(rows: Floats, neighbours: int) -> Floats:
    """The squared radius of each row's ball [n], a rounding error wider than computed.

    The difference of large squares above is exact to about 1e-13 of them; without the margin an
    item that lies on a border, or on top of another one, would be in or out by chance.
    """
    reach = np.empty(len(rows))
    for start in range(0, len(rows), CHUNK):
        squared = _squared_distances(rows[start : start + CHUNK], rows)
        # place 0 holds the item itself, at distance 0
        reach[start : start + CHUNK] = np.partition(squared, neighbours, axis=1)[:, neighbours]
    return reach + 1e-12 * (reach + np.square(rows).sum(axis=1))


# Scores of one model --------------------------------------------------------------------------


def inception_score(probabilities: ArrayLike, splits: int = 1) -> float:
    """Inception Score: are single samples recognisable, and are all of them varied?

    IS = exp(mean_x KL(p(y|x) || p(y))), with p(y) the mean of p(y|x) over the samples.

    probabilities: [n, classes], each row a classifier's p(y|x) for one sample. With splits > 1:
    the mean score over that many consecutive parts (shuffle sorted samples first).
    Unit: none; from 1 (all rows equal) to the number of classes (certain and balanced). Higher is
    better; a good value is near that of real images under the same classifier.
    Pitfalls: never looks at real data, so one perfect image per class gets the full score; knows
    only the classifier's classes; grows with n and shrinks with splits.
    Errors: BookError for rows that are negative or do not sum to one, NaN, or more splits than
    rows.
    Source: Salimans et al. (2016), "Improved techniques for training GANs".
    """
    from scipy.special import rel_entr

    rows = _matrix(probabilities, "class probabilities", fewest=1)
    rows = _normalised(rows, "Each row of class probabilities", axis=1)
    if not 1 <= splits <= len(rows):
        raise BookError(f"{len(rows)} samples cannot be cut into {splits} parts: pass splits=1.")

    def score(part: Floats) -> float:
        divergence = rel_entr(part, part.mean(axis=0)).sum(axis=1)  # [n], 0 log 0 = 0
        return float(np.exp(divergence.mean()))

    return float(np.mean([score(part) for part in np.array_split(rows, splits)]))


def perplexity(losses: ArrayLike, unit: str = "nats") -> float:
    """Perplexity = exp(mean cross-entropy): among how many equal choices the model hesitates.

    losses: any shape, -log p(token) of each held-out token, or their mean, in nats; or -log2 p
    with unit="bits", of which the perplexity is 2 ** mean.
    Unit: tokens; from 1 (always certain and right) up; a uniform guess over V tokens has V. Good:
    clearly below the best n-gram baseline on the same tokens.
    Pitfalls: the mean comes before the exponential (the mean of exp is larger, and one rare
    token rules it); values for different vocabularies do not compare: give bits per character.
    Errors: BookError for no values, NaN, another unit, or negative values (a log-probability
    without its minus).
    Source: Jelinek et al. (1977), "Perplexity - a measure of the difficulty of speech recognition
    tasks".
    """
    bases = {"nats": np.e, "bits": 2.0}
    if unit not in bases:
        raise BookError(f"Losses are in nats or bits, not in {unit!r}.")
    values = _numbers(losses, "token losses")
    if values.min() < -1e-6:  # float32 losses of a sure hit can round to a little below zero
        raise BookError(
            "A token's cross-entropy is never negative: pass minus the log-probabilities."
        )
    return float(bases[unit] ** values.mean())


def distinct_n(sequences: ArrayLike, n: int) -> float:
    """Distinct-n: different n-grams of tokens, divided by all n-grams, over all sequences.

    sequences: codes of tokens [count, length], whole numbers.
    Unit: a share, from near 0 (the same again and again) to 1 (no n-gram comes twice). Good: as
    real texts of the same number and length.
    Pitfalls: falls with the number and the length of the texts, so compare equal ones; random
    tokens have nearly 1, so it says nothing alone.
    Errors: BookError for another shape or type, or sequences shorter than n.
    Source: Li et al. (2016), "A diversity-promoting objective function for neural conversation
    models".
    """
    codes = np.asarray(sequences)
    if codes.ndim != 2 or codes.dtype.kind not in "iu":
        raise BookError(
            f"The sequences must be whole numbers [count, length], not {codes.dtype} of shape "
            f"{codes.shape}: encode texts of one length."
        )
    if not 1 <= n <= codes.shape[1] or len(codes) == 0:
        raise BookError(
            f"n-grams of {n} tokens need one sequence or more of {max(n, 1)} tokens, not "
            f"{len(codes)} of {codes.shape[1]}."
        )
    runs = np.lib.stride_tricks.sliding_window_view(codes, n, axis=1).reshape(-1, n)
    return len(np.unique(runs, axis=0)) / len(runs)


def bits_per_dim(nats: ArrayLike, dimensions: int) -> float:
    """Bits per dimension = mean(nats) / (dimensions x ln 2), for images of any size.

    nats: any shape, -log p(image) of each held-out image, or their mean.
    dimensions: values in one image, e.g. 28 * 28 * 1.
    Unit: bits for one pixel of one channel. Uniform over 256 levels has 8, over 4 levels 2.
    Lower is better; a good value is clearly below a histogram of each pixel.
    Pitfalls: for a *density*, add log2 of the grey levels per unit: 255 for bytes / 255, 256 for
    (bytes + uniform noise) / 256; without noise the density can grow without end. Other numbers
    of grey levels or other sizes do not compare.
    Errors: BookError for no values, NaN, or dimensions below 1.
    Source: Theis et al. (2016), "A note on the evaluation of generative models".
    """
    if dimensions < 1:
        raise BookError(f"An image has at least one value, not {dimensions}: pass dimensions >= 1.")
    return float(_numbers(nats, "image losses").mean() / (dimensions * np.log(2)))


def auroc(positive_scores: ArrayLike, negative_scores: ArrayLike) -> float:
    """Area under the ROC curve = P(positive score > negative score) + P(they are equal) / 2.

    Both: one score per item [n] and [m], higher for the positives. Infinite scores are allowed.
    Unit: a probability; .5 is chance, 1 a perfect order, below .5 the wrong order.
    Good: above every trivial score on the same items, such as mean brightness.
    Pitfalls: depends on which negatives were picked; says nothing about a threshold.
    Errors: BookError for an empty side, NaN, or more than one score per item.
    Source: Hanley and McNeil (1982), "The meaning and use of the area under a ROC curve".
    """
    from scipy.stats import rankdata

    positive = _list(positive_scores, "positive scores", infinite=True)
    negative = _list(negative_scores, "negative scores", infinite=True)
    ranks = rankdata(np.concatenate([positive, negative]))  # ties share their mean rank
    wins = ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2
    return float(wins / (len(positive) * len(negative)))


# Densities on a grid --------------------------------------------------------------------------


def bin_probabilities(
    density: Callable[[Floats], Any], edges: Sequence[ArrayLike], points: int = 4
) -> Floats:
    """The probability of each bin of a grid under a known density, for `total_variation`.

    density: maps points [k, dimensions] to values [k]; need not be normalised.
    edges: one rising list of bin borders for each of the one or two dimensions. Choose them so wide
    that next to nothing lies outside: the result is scaled to sum to one.
    Each bin is integrated by a Gauss-Legendre rule with `points` nodes per dimension.
    Returns [bins] or [bins of the first dimension, bins of the second].
    Errors: BookError for edges that do not rise or are not finite, and for a density that is NaN,
    negative or zero everywhere.
    """
    borders = _edges(edges)
    if not all(np.isfinite(border).all() for border in borders):
        raise BookError("A density can be integrated over finite bins only: use finite edges.")
    nodes, weights = np.polynomial.legendre.leggauss(points)
    widths = [np.diff(border)[:, None] for border in borders]
    where = [b[:-1, None] + w * (nodes + 1) / 2 for b, w in zip(borders, widths, strict=True)]
    grid = np.stack(np.meshgrid(*(place.ravel() for place in where), indexing="ij"), axis=-1)
    values = _numbers(density(grid.reshape(-1, len(borders))), "density values")
    if values.size != grid[..., 0].size or values.min() < 0 or values.max() <= 0:
        raise BookError(
            "The density must give one value from 0 up for each point, and not 0 everywhere."
        )
    # axes: bins a with nodes p of the first dimension, bins b with nodes q of the second
    axes = ("ap", "bq")[: len(borders)]
    sums = "".join(axes) + "," + ",".join(axes) + "->" + "ab"[: len(borders)]
    shape = [size for place in where for size in place.shape]
    mass = np.einsum(sums, values.reshape(shape), *(width * weights for width in widths))
    return mass / mass.sum()


def total_variation(
    samples: ArrayLike, edges: Sequence[ArrayLike], probabilities: ArrayLike
) -> float:
    """Total variation between a histogram of samples and known probabilities of its bins.

    TV = 1/2 sum over bins |share of samples - probability|; samples outside all bins count as
    misplaced.

    samples: [n] or [n, 1] on a line, [n, 2] on a plane. edges: one rising list of bin borders per
    dimension; the outermost may be infinite. probabilities: [bins] or [bins, bins], sum one
    (see `bin_probabilities`).
    Unit: the share of probability that lies in the wrong bins, from 0 to 1; lower is better.
    Good: near `perfect_sampler_total_variation` for the same n and bins, which is not 0.
    Pitfalls: grows with the number of bins and falls with n (use n = 100,000 and 50 bins, and say
    so); blind to errors inside a bin.
    Errors: BookError for NaN, shapes that do not fit, probabilities that are negative or do not
    sum to one.
    Source: Levin et al. (2009), "Markov chains and mixing times", chapter 4.
    """
    borders = _edges(edges)
    points = _numbers(samples, "samples", infinite=True)
    points = points[:, None] if points.ndim == 1 else points
    if points.ndim != 2 or points.shape[1] != len(borders):
        raise BookError(
            f"Samples of shape {np.shape(samples)} do not go with {len(borders)} list(s) of edges: "
            "pass [n] or [n, 2] samples and one list of edges per column."
        )
    shape = tuple(len(border) - 1 for border in borders)
    expected = _normalised(probabilities, "The bin probabilities")
    if expected.shape != shape:
        raise BookError(
            f"The edges make bins of shape {shape}, the probabilities have {expected.shape}: "
            "pass one probability per bin."
        )
    counts, _ = np.histogramdd(points, bins=borders)
    shares = counts / len(points)
    outside = 1 - shares.sum()
    return float((np.abs(shares - expected).sum() + outside) / 2)


def perfect_sampler_total_variation(
    probabilities: ArrayLike, n: int, seed: int, draws: int = 100
) -> float:
    """The total variation that n samples from the true distribution itself have, on average.

    probabilities: of each bin, any shape, sum one. The mean over `draws` multinomial histograms of
    n samples each. No sampler can be expected to do better: the floor of `total_variation`.
    Errors: BookError for probabilities that are negative or do not sum to one, n or draws below 1.
    """
    if n < 1 or draws < 1:
        raise BookError(f"Draw at least one sample once, not {n} samples {draws} times.")
    expected = _normalised(probabilities, "The bin probabilities").ravel()
    shares = np.random.default_rng(seed).multinomial(n, expected, size=draws) / n  # [draws, bins]
    return float(np.abs(shares - expected).sum(axis=1).mean() / 2)


# Summaries ------------------------------------------------------------------------------------


def mean_and_sd(values: ArrayLike) -> tuple[float, float]:
    """The mean and the sample standard deviation (n - 1 below the line) of values [n].

    Unit: that of the values. Two values at least; BookError for fewer, or for NaN.
    """
    numbers = _list(values, "values", fewest=2)
    return float(numbers.mean()), float(numbers.std(ddof=1))


def standard_error(values: ArrayLike) -> float:
    """The standard error of the mean of *independent* values [n]: sample sd / sqrt(n).

    Unit: that of the values. Two values at least; BookError for fewer, or for NaN.
    """
    return mean_and_sd(values)[1] / float(np.sqrt(np.size(values)))


def rank_correlation(first: ArrayLike, second: ArrayLike) -> float:
    """Spearman's rank correlation of two lists [n]: the correlation of their ranks.

    Unit: none; 1 when one always rises with the other, -1 when it always falls, 0 without order.
    Ties share their mean rank. Pitfall: a series in time is not n independent values.
    Errors: BookError for unequal lengths, fewer than three values, NaN, or a constant list.
    Source: Spearman (1904), "The proof and measurement of association between two things".
    """
    from scipy.stats import rankdata

    left, right = _list(first, "first list", fewest=3), _list(second, "second list", fewest=3)
    if len(left) != len(right):
        raise BookError(f"{len(left)} and {len(right)} values make no pairs: pass equal lengths.")
    if np.ptp(left) == 0 or np.ptp(right) == 0:
        raise BookError("A list of equal values has no order: pass values that differ.")
    return float(np.corrcoef(rankdata(left), rankdata(right))[0, 1])


# Features, and the generator to beat ----------------------------------------------------------


def features(model: keras.Model, images: ArrayLike, batch_size: int = 256) -> NDArray[np.float32]:
    """Run a feature network over images; returns float32 features [n, d].

    model: a Keras model (any backend) from a batch of images to one output [batch, d], such as the
    penultimate layer of a classifier; called with training=False. images: floats, scaled as in the
    network's training.
    Pitfall: real and generated images must be resized, rounded and scaled in the same way.
    Errors: BookError for no images, whole numbers (bytes), NaN, or another output shape.
    """
    import keras

    inputs = np.asarray(images)
    if inputs.ndim < 2 or len(inputs) == 0 or not np.issubdtype(inputs.dtype, np.floating):
        raise BookError(
            f"Features need float images [n, ...], not {inputs.dtype} of shape {inputs.shape}: "
            "scale bytes as the network's training did."
        )
    if batch_size < 1:
        raise BookError(f"A batch has at least one image, not {batch_size}: pass batch_size=256.")
    parts = []
    with _without_gradients():
        for start in range(0, len(inputs), batch_size):
            batch = inputs[start : start + batch_size].astype(np.float32, copy=False)
            if not np.isfinite(batch).all():
                raise BookError(
                    "The images contain NaN or infinite values: check the model that made them."
                )
            output = model(keras.ops.convert_to_tensor(batch), training=False)
            shape = tuple(getattr(output, "shape", ()))
            if len(shape) != 2:
                raise BookError(
                    f"The feature network must give one output [batch, d], not {shape or 'several'}"
                    ": end it with a Flatten or a pooling layer."
                )
            parts.append(np.asarray(keras.ops.convert_to_numpy(output), dtype=np.float32))
    result = np.concatenate(parts)
    if not np.isfinite(result).all():
        raise BookError("The features contain NaN or infinite values: check the network's weights.")
    return result


def _without_gradients() -> contextlib.AbstractContextManager[Any]:
    """PyTorch would keep every activation for a backward pass that never comes."""
    import keras

    if keras.backend.backend() == "torch":
        import torch

        return torch.no_grad()
    return contextlib.nullcontext()


def pca_gaussian_samples(
    images_train: ArrayLike, n: int, components: int, seed: int
) -> NDArray[np.float32]:
    """The trivial generator that a model has to beat: a Gaussian with the pixels' covariance.

    Training images are projected on their first principal components, where their covariance is
    diagonal; n draws from the Gaussian with that mean and covariance go back to pixels, and are
    clipped to [0, 1]. With all components it is the full-covariance Gaussian of the pixels.

    images_train: floats in [0, 1], [N, ...]. Returns float32 [n, ...], the same for the same seed.
    Errors: BookError for values outside [0, 1] (bytes), NaN, n below 1, or more components than
    the images have.
    """
    from sklearn.decomposition import PCA

    images = np.asarray(images_train, dtype=np.float32)
    if images.ndim < 2 or len(images) < 2 or images.size == 0:
        raise BookError(f"Pass two images or more as [N, ...], not an array {images.shape}.")
    if not (images.min() >= 0 and images.max() <= 1):  # false for NaN, too
        raise BookError("The images must be numbers from 0 to 1: divide bytes by 255.")
    pixels = images.reshape(len(images), -1)
    if n < 1 or not 1 <= components <= min(pixels.shape):
        raise BookError(
            f"{n} samples from {components} components are out of range: ask for one sample or "
            f"more from 1 to {min(pixels.shape)} components."
        )
    pca = PCA(components, random_state=seed).fit(pixels)
    scores = np.random.default_rng(seed).standard_normal((n, components), dtype=np.float32)
    scores *= np.sqrt(pca.explained_variance_)
    samples = scores @ pca.components_
    samples += pca.mean_
    return np.clip(samples, 0, 1, out=samples).reshape(n, *images.shape[1:])


# Checks of what came in -----------------------------------------------------------------------


def _numbers(
    values: Any, name: str, *, infinite: bool = False, keep_float32: bool = False
) -> Floats:
    """`values` as float64, at least one of them, without NaN (and infinities, unless allowed).

    keep_float32: do not copy float32 values to twice their size.
    """
    is_float32 = getattr(values, "dtype", None) == np.float32
    try:
        numbers = np.asarray(values, None if keep_float32 and is_float32 else np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BookError(
            f"The {name} must be an array of numbers: check what was passed."
        ) from error
    if numbers.size == 0:
        raise BookError(f"The {name} are empty: pass at least one value.")
    bad = np.isnan(numbers) if infinite else ~np.isfinite(numbers)
    if bad.any():
        raise BookError(
            f"The {name} contain {bad.sum():,} NaN or infinite values: check the model that made "
            "them."
        )
    return numbers


def _list(values: ArrayLike, name: str, *, fewest: int = 1, infinite: bool = False) -> Floats:
    """A list [n] of `fewest` numbers or more."""
    numbers = _numbers(values, name, infinite=infinite)
    if numbers.ndim != 1 or len(numbers) < fewest:
        raise BookError(
            f"The {name} must be a list of {fewest} or more numbers, not an array of shape "
            f"{numbers.shape}: flatten it or pass more values."
        )
    return numbers


def _matrix(values: ArrayLike, name: str, *, fewest: int, keep_float32: bool = False) -> Floats:
    """A matrix [n, d] with `fewest` rows or more."""
    numbers = _numbers(values, name, keep_float32=keep_float32)
    if numbers.ndim != 2 or len(numbers) < fewest:
        raise BookError(
            f"The {name} must be a matrix of {fewest} or more rows [n, d], not an array of shape "
            f"{numbers.shape}: flatten each item or pass more of them."
        )
    return numbers


def _two_sets(
    real: ArrayLike,
    fake: ArrayLike,
    *,
    fewest: int,
    allow_unequal: bool,
    keep_float32: bool = False,
) -> tuple[Floats, Floats]:
    """Two feature matrices of one width, and of as many rows unless told otherwise."""
    left = _matrix(real, "real features", fewest=fewest, keep_float32=keep_float32)
    right = _matrix(fake, "fake features", fewest=fewest, keep_float32=keep_float32)
    if left.shape[1] != right.shape[1]:
        raise BookError(
            f"The real features are {left.shape[1]} wide and the fake ones {right.shape[1]}: "
            "compute both with the same network."
        )
    if len(left) != len(right) and not allow_unequal:
        raise BookError(
            f"{len(left):,} real and {len(right):,} fake items make no fair comparison: pass as "
            "many of each, or allow_unequal=True."
        )
    return left, right


def _normalised(values: ArrayLike, name: str, axis: int | None = None) -> Floats:
    """Probabilities that sum to one exactly; nearly one is mended, anything else is an error."""
    numbers = _numbers(values, "probabilities")
    sums = numbers.sum(axis=axis, keepdims=True)
    if numbers.min() < 0 or np.abs(sums - 1).max() > SUM_TOLERANCE:
        raise BookError(
            f"{name} must be numbers from 0 up that sum to one: apply a softmax to logits, or "
            "divide by the sum."
        )
    return numbers / sums


def _edges(edges: Sequence[ArrayLike]) -> list[Floats]:
    """One or two rising lists of bin borders."""
    message = (
        "The edges must be one or two lists, one per dimension, of two or more numbers that rise: "
        "pass [np.linspace(low, high, 51)] for each dimension."
    )
    if not 1 <= len(edges) <= 2:
        raise BookError(message)
    borders = [_numbers(border, "edges", infinite=True) for border in edges]
    if not all(b.ndim == 1 and len(b) > 1 and (np.diff(b) > 0).all() for b in borders):
        raise BookError(message)
    return borders
