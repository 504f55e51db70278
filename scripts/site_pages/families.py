"""The page that compares all model families on one data set."""

from __future__ import annotations

from helpers.files import DATA, read_json
from helpers.results import load_runs

from .contents import Notebook, link, notebooks
from .formats import minutes, number, table

FAMILIES_RECORD = DATA / "results" / "families.json"

# The six families: what each is called, the notebook that stands for it, and where its likelihood
# is in that notebook's record, with the words around the number.
FAMILIES = (
    ("VAE", "vae", "vae_16d.iwae_nats", "a bound: at most {} nats, greys read as probabilities"),
    ("GAN", "dcgan", None, "none"),
    (
        "PixelCNN",
        "pixelcnn_mixture",
        "mixture_28.test_bits_per_dim",
        "exact: {} bits per pixel, 256 greys",
    ),
    ("flow", "glow", "test_bits_per_dim", "a bound: at most {} bits per pixel, 256 greys"),
    ("energy-based model", "ebm", None, "up to a constant that nobody knows"),
    ("diffusion", "ddm", None, "a bound: see the table of bits"),
)

# Who needs how many bits for the same test pictures: notebook, metric of its record, what it is.
BITS = (
    ("*one Gaussian*", "glow", "gaussian_bits_per_dim", "at most: pixels with noise"),
    ("*a histogram for each pixel*", "glow", "histogram_bits_per_dim", "exact"),
    ("*table of three neighbours*", "pixelcnn_mixture", "tables_28.median_bits_per_dim", "exact"),
    ("PixelCNN", "pixelcnn_mixture", "mixture_28.test_bits_per_dim", "exact"),
    ("flow", "glow", "test_bits_per_dim", "at most: pixels with noise"),
)


def families_text() -> str:
    """The page 'Six families': what each family's pictures score, what they cost, and the pictures.

    A family without a notebook, or without a measurement, is a gap that fills by itself.
    """
    record = read_json(FAMILIES_RECORD)
    measured_rows = {row["notebook"]: row for row in record["rows"]}
    known = {notebook.name: notebook for notebook in notebooks()}
    quality = [[f"*{name}*", *family_measures(ends)] for name, ends in record["bounds"].items()]
    price, sheets = [], []
    for family, name, metric, likelihood in FAMILIES:
        row = measured_rows.get(name) if name in known else None
        title = f"{family}: {link(known[name])}" if name in known else f"{family}, in preparation"
        quality.append([title, *(family_measures(row) if row else ["–"] * 4)])
        words = likelihood_words(known.get(name), metric, likelihood)
        if row is None:
            price.append([family, "–", "–", "–", words])
            continue
        costs = minutes(row["train_seconds"]), f"{row['sample_ms']:.3g}", number(row["parameters"])
        price.append([family, *costs, words])
        sheets.append(
            f"```{{figure}} images/families/{name}.png\n:name: fig-family-{name}\n"
            f":alt: Two rows of ten generated pictures of clothes\n\n"
            f"{family}: the first twenty samples of seed 0.\n```\n"
        )
    machines = dict.fromkeys(f"{row['hardware']}, {row['date']}" for row in record["rows"])
    about = f"{record['n']:,} samples against as many test pictures; {'; '.join(machines)}.\n"
    first = ["family", "FID-fashion", "1000 KID", "precision", "recall"]
    second = ["family", "training, minutes", "one sample, ms", "parameters", "likelihood"]
    return "\n".join([table(first, quality), about, table(second, price), *sheets])


def bits_text() -> str:
    """The likelihoods that can be compared: bits per pixel for the same test pictures."""
    record = read_json(FAMILIES_RECORD)
    rows = []
    for title, notebook, metric, kind in BITS:
        cells = ["–", "–"]
        for run in load_runs(notebook):
            if (
                run["dataset"] == record["dataset"]
                and run["seed"] == 0
                and metric in run["metrics"]
            ):
                cells = [f"{run['metrics'][metric]:.2f}", f"{run['sd'][metric]:.3f}"]
        rows.append([title, *cells, kind])
    if bound := record.get("diffusion_bits"):
        value, error = f"{bound['bits_per_dim']:.2f}", f"{bound['standard_error']:.3f}"
        rows.append(["diffusion", value, error, "at most: a variational bound"])
    return table(["model", "bits per pixel", "standard error", "what it is"], rows)


def family_measures(values: dict[str, float]) -> list[str]:
    """FID, 1000 KID with its sd, precision and recall as cells of the table."""
    kid = f"{1000 * values['kid']:.1f} ± {1000 * values['kid_sd']:.1f}"
    return [
        f"{values['fid']:.2f}",
        kid,
        f"{values['precision']:.2f}",
        f"{values['recall']:.2f}",
    ]


def likelihood_words(notebook: Notebook | None, metric: str | None, text: str) -> str:
    """The family's likelihood from the notebook's record, or why there is none."""
    if metric is None:
        return text
    for run in notebook.runs() if notebook else []:
        if run["dataset"] == "fashion_mnist" and metric in run["metrics"]:
            return text.format(number(run["metrics"][metric]))
    return "–"
