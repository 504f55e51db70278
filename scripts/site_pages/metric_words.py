"""What the keys of a record mean, in words for readers."""

# A key that is missing here is shown as it is, with spaces
METRIC_WORDS = {
    # chapter 1
    "test_nll_nats": "negative log-likelihood of test points, nats (lower is better)",
    "gaussian_nll_nats": "negative log-likelihood of one Gaussian, nats (a baseline)",
    "box_nll_nats": "negative log-likelihood of a box, nats (a baseline)",
    "true_nll_nats": "negative log-likelihood of the true density, nats (the optimum)",
    "entropy_nats": "entropy of the true density, nats",
    "gap_nats": "what the model loses against the true density, nats (lower is better)",
    "gaussian_gap_nats": "what one Gaussian loses against the true density, nats (a baseline)",
    "majority_accuracy": "accuracy of always naming the most frequent class (the baseline)",
    # chapter 2
    "test_accuracy": "accuracy on test images (higher is better)",
    "improved_accuracy": "accuracy of the improved network on test images (higher is better)",
    "accuracy_gain": "gain in accuracy on the same test images (higher is better)",
    "mlp_accuracy": "accuracy of the multilayer perceptron (the baseline)",
    "nearest_mean_accuracy": "accuracy of the nearest class mean (the baseline)",
    "max_error": "largest difference from Keras's result (lower is better)",
    # chapter 3
    "test_bce_nats": "cross-entropy of test images, nats per image (lower is better)",
    "floor_bce_nats": "cross-entropy of a perfect copy, nats per image (the optimum)",
    "mean_picture_bce_nats": "cross-entropy of the mean picture, nats per image (the baseline)",
    "test_mse": "squared error per pixel of test images (lower is better)",
    "pca_mse": "squared error per pixel of PCA with as many numbers (the baseline)",
    "faint_share": "random codes that are decoded to a faint picture (lower is better)",
    "empty_cells": "cells of the code plane without a code, of 400 (lower is better)",
    "linear_denoiser_mse": "squared error per pixel of a linear denoiser (the baseline)",
    "test_elbo_nats": "negative ELBO of test images, nats per image (lower is better)",
    "test_bits_per_dim": "bits per dimension of test images (lower is better)",
    "kl_nats": "KL term, nats per image",
    "iwae_nats": "importance-weighted bound, nats per image (lower is better)",
    "ppca_nll_nats": "negative log-likelihood of probabilistic PCA, nats per image (the baseline)",
    "ppca_bits_per_dim": "bits per dimension of probabilistic PCA (the baseline)",
    "reconstruction_nats": "reconstruction term, nats per image",
    "floor_nats": "negative log-likelihood of a perfect copy, nats per image (the floor)",
    "mean_picture_nats": "negative log-likelihood of the mean picture, nats per image (a baseline)",
    "fid": "Fréchet distance of feature clouds (lower is better)",
    "bernoulli_fid": "Fréchet distance of feature clouds, pixels drawn (lower is better)",
    "trivial_fid": "Fréchet distance of feature clouds, a Gaussian on pixels (the baseline)",
    "floor_fid": "Fréchet distance of feature clouds, real against real (the floor)",
    "auroc_digits": "ROC-AUC of digits among clothes (higher is better)",
    "excess_auroc_digits": "ROC-AUC of digits among clothes, score above the floor",
    "brightness_auroc_digits": "ROC-AUC of digits among clothes by brightness alone (a baseline)",
    "auroc_upside_down": "ROC-AUC of clothes upside down (higher is better)",
    "auroc_half_brightness": "ROC-AUC of clothes at half brightness (higher is better)",
    "auroc_clothes": "ROC-AUC of clothes among digits (higher is better)",
    "kid_samples": "kernel distance of features, samples (lower is better)",
    "kid_reconstructions": "kernel distance of features, reconstructions (lower is better)",
    "kid_trivial": "kernel distance of features, a Gaussian on PCA of pixels (the baseline)",
    "kid_floor": "kernel distance of features, real against real (the floor)",
    "smile_flip": "faces whose mouth changes as asked (higher is better)",
    "hair_flip": "faces whose hair colour changes as asked (higher is better)",
    "random_smile_flip": "faces that begin to smile by a random step as long (a baseline)",
    "random_hair_flip": "faces that turn blond by a random step as long (a baseline)",
    "random_eyes_flip": "faces that begin to wink by a random step as long (a baseline)",
    "eyes_flip": "faces whose eyes change as asked (higher is better)",
    "eyes_strength": "strength of the step towards a wink, chosen on validation faces",
    "eyes_worst_kept": "faces that keep the most fragile other attribute, wink",
    "hair_single_flip": "faces that turn blond by one vector for all colours (a comparison)",
    "hair_single_strength": "strength of that one vector, chosen on validation faces",
    "hair_single_worst_kept": "faces that keep the most fragile other attribute, one vector",
    "kid_fitted": "kernel distance of features, codes from a fitted Gaussian (lower is better)",
    "smile_strength": "strength of the step towards a smile, chosen on validation faces",
    "hair_strength": "strength of the step towards blond hair, chosen on validation faces",
    "smile_worst_kept": "faces that keep the most fragile other attribute, smile",
    "hair_worst_kept": "faces that keep the most fragile other attribute, hair",
    # chapter 7
    "white_share": "share of pixels above 239 of 255",
    "floor_white_share": "share of pixels above 239 of 255, real pictures (the goal)",
    "trivial_white_share": "share of pixels above 239 of 255, a Gaussian on pixels",
    # chapter 8
    "total_variation": "total variation between samples and the true density (lower is better)",
    "exact_total_variation": "total variation of the sampler with the exact answer (the limit)",
    "gaussian_total_variation": "total variation of a Gaussian (the baseline)",
    "perfect_total_variation": "total variation of as many perfect draws (the optimum)",
    "kid_ends": "kernel distance of features, faces from plain draws of noise",
    "kid_spherical": "kernel distance of features, half way between two draws on the sphere",
    "kid_straight": "kernel distance of features, half way between two draws on a straight line",
}


def metric_words(key: str) -> str:
    """What a metric's key means, with the model's name before it where the key has one."""
    model, _, metric = key.rpartition(".")
    text = METRIC_WORDS.get(metric, metric.replace("_", " "))
    return f"`{model}`: {text}" if model else text
