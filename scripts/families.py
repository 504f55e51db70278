"""One comparison of all model families: the same data, the same measures, from released weights.

usage: families.py                all families whose notebook exists, the ends of the scale, and how
                                  many bits the diffusion model needs for a test picture
       families.py NAME ...       these only: notebooks, "bounds" (the ends), "diffusion_bits"

Writes data/results/families.json and a sheet of samples for each family, from which the page 'Six
families, one data set' is made. Each family draws the same number of pictures from seed 0; all are
measured against as many test pictures, by the features of the book's own classifier.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from helpers.files import DATA, atomic_path, read_json, write_json  # noqa: E402
from scripts import diffusion_bound, models, notebook_files  # noqa: E402

DATASET = "fashion_mnist"
RECORD = DATA / "results" / "families.json"
SHEETS = ROOT / "book" / "images" / "families"
SAMPLES = 10_000
SHOWN = 20
DIFFUSION_WEIGHTS = "ddm/fashion_mnist"
TIMED = 100
"""Pictures behind the time for one sample: drawn together, after a first time that compiles."""
COUNTED = 10_000
"""Training pictures behind the table of levels of the diffusion model's bound."""
ASKED = 5
"""Noise rates at which the bound asks about each test picture."""


@dataclass(frozen=True)
class Family:
    """A trained generator: draw(n) gives n pictures [n, 28, 28, 1] in [0, 1] from seed 0.

    weights: the name under which it was released; parameters: of all networks that were trained.
    """

    weights: str
    parameters: int
    draw: Callable[[int], np.ndarray]


# --------------------------------------------------------------------- one function per notebook


def vae(cells: SimpleNamespace) -> Family:
    from helpers import weights

    weights.restore(cells.vae_16d, "vae/vae_16d")

    def draw(n: int) -> np.ndarray:
        codes = np.random.default_rng(0).standard_normal((n, 16), dtype=np.float32)
        return np.asarray(cells.keras.ops.sigmoid(cells.vae_16d.decoder.predict(codes, verbose=0)))

    return Family("vae/vae_16d", cells.vae_16d.count_params(), draw)


def dcgan(cells: SimpleNamespace) -> Family:
    from helpers import weights

    weights.restore(cells.gan, "dcgan/gan_fashion_mnist")

    def draw(n: int) -> np.ndarray:
        noise = np.random.default_rng(0).standard_normal((n, cells.LATENT), dtype=np.float32)
        return np.asarray(cells.gan.averaged.predict(noise, verbose=0) + 1) / 2

    players = (cells.gan.generator, cells.gan.discriminator)
    return Family("dcgan/gan_fashion_mnist", sum(each.count_params() for each in players), draw)


def pixelcnn_mixture(cells: SimpleNamespace) -> Family:
    from helpers import weights

    weights.restore(cells.large, "pixelcnn_mixture/mixture_28")

    def draw(n: int) -> np.ndarray:
        dice = np.random.default_rng(0)
        parts = [dice.random((min(500, n - start), 28, 28, 2)) for start in range(0, n, 500)]
        levels = [cells.draw_pictures(cells.large, uniform)[0] for uniform in parts]
        return np.concatenate(levels)[..., None] / np.float32(255)

    return Family("pixelcnn_mixture/mixture_28", cells.large.count_params(), draw)


def glow(cells: SimpleNamespace) -> Family:
    from helpers import weights

    weights.restore(cells.flow, "glow/flow")

    def draw(n: int) -> np.ndarray:
        drawn = cells.decode(cells.flow, cells.draw_noise(n, 0))
        return np.asarray(cells.as_levels(drawn) / 255, np.float32)

    return Family("glow/flow", cells.flow.count_params(), draw)


def ebm(cells: SimpleNamespace) -> Family:
    from helpers import weights

    weights.restore(cells.ebm.network, "ebm/fashion_mnist")
    steps = cells.FILM_FRAMES * cells.FILM_STEPS

    def draw(n: int) -> np.ndarray:
        chain = cells.Chain(cells.ebm.network, {**cells.SAMPLER, "steps": steps}, seed=0)
        start = np.random.default_rng(0).uniform(-1, 1, (n, 32, 32, 1)).astype("float32")
        ends = chain.predict(start, batch_size=500, verbose=0)
        return np.asarray(cells.unprepare(ends))

    return Family("ebm/fashion_mnist", cells.ebm.network.count_params(), draw)


def restored_diffusion(cells: SimpleNamespace) -> diffusion_bound.Predict:
    """The network of the notebook ddm: from framed noisy clothes and noise rates to the noise."""
    from helpers import weights

    weights.restore(cells.faces, DIFFUSION_WEIGHTS)  # pictures of clothes, with a frame

    def predict(noisy: np.ndarray, noise_rates: np.ndarray) -> np.ndarray:
        variances = np.square(noise_rates).astype("float32")[:, None]
        network = cells.faces.average
        return np.asarray(network.predict([noisy, variances], batch_size=250, verbose=0))

    return predict


def ddm(cells: SimpleNamespace) -> Family:
    answer = restored_diffusion(cells)

    def predict(noisy: np.ndarray, rates: tuple[float, float]) -> np.ndarray:
        return answer(noisy, np.full(len(noisy), rates[1]))

    def draw(n: int) -> np.ndarray:
        shape = (n, cells.SIDE, cells.SIDE, cells.CHANNELS)
        noise = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
        clean = cells.sample(predict, noise, cells.STEPS, cells.offset_cosine)
        margin = (cells.SIDE - 28) // 2
        return np.asarray(cells.to_pictures(clean)[:, margin:-margin, margin:-margin])

    return Family(DIFFUSION_WEIGHTS, cells.faces.network.count_params(), draw)


GENERATORS: dict[str, Callable[[SimpleNamespace], Family]] = {
    "vae": vae,
    "dcgan": dcgan,
    "pixelcnn_mixture": pixelcnn_mixture,
    "glow": glow,
    "ebm": ebm,
    "ddm": ddm,
}


# ------------------------------------------------------------------------------------------------


def measure(notebook: str) -> dict[str, Any]:
    """One family's row, and its sheet of samples; to be called in a fresh process."""
    from helpers import datasets, metrics, results, weights

    family = GENERATORS[notebook](models.run_cells(notebook))
    card = weights.read_card(DATA, family.weights)
    judge = weights.load_feature_network(DATASET)
    real = metrics.features(judge, datasets.scale(datasets.load(DATASET).x_test[:SAMPLES]))
    pictures = like_files(family.draw(SAMPLES))
    save_sheet(pictures[:SHOWN], notebook)
    features = metrics.features(judge, pictures)
    family.draw(TIMED)
    started = time.perf_counter()
    family.draw(TIMED)
    sample_ms = 1000 * (time.perf_counter() - started) / TIMED
    return row_of(features, real) | {
        "notebook": notebook,
        "weights_sha256": weights.checksums([family.weights]),
        "parameters": int(family.parameters),
        "train_seconds": card["seconds"],
        "sample_ms": float(f"{sample_ms:.3g}"),
        "hardware": results.hardware(),
        "versions": results.versions(),
        "date": datetime.date.today().isoformat(),
    }


def diffusion_bits() -> dict[str, Any]:
    """Bits per pixel (28 x 28, 256 levels) that the diffusion model needs at most, by parts.

    The mixtures have a black frame, as in training; its errors count, too, and the sum is divided
    by the 784 pixels of the picture.
    """
    from helpers import metrics, results, weights

    cells = models.run_cells("ddm")
    predict = restored_diffusion(cells)
    random = np.random.default_rng(0)
    (_, least), (_, most) = (cells.rates_at(cells.offset_cosine, time) for time in (0.0, 1.0))
    rates = diffusion_bound.NoiseRange(least, most)
    margin = (cells.SIDE - 28) // 2

    def levels(framed: np.ndarray) -> np.ndarray:
        inner = framed[:, margin:-margin, margin:-margin, 0]
        return np.asarray(np.rint(255 * inner), int)

    def guesses(framed: np.ndarray) -> np.ndarray:
        clean = diffusion_bound.clean_guess(cells.normalise(framed), predict, rates, random)
        return levels(cells.to_pictures(clean))

    counted, test = cells.x_train[:COUNTED], cells.x_test[:SAMPLES]
    log_p = diffusion_bound.count_levels(levels(counted), guesses(counted))
    clean = cells.normalise(test)
    parts = {
        "prior": diffusion_bound.prior_nats(clean, rates.most),
        "path": np.mean(
            [diffusion_bound.path_nats(clean, predict, rates, random) for _ in range(ASKED)], axis=0
        ),
        "levels": diffusion_bound.level_nats(log_p, levels(test), guesses(test)),
    }
    nats = np.sum(list(parts.values()), axis=0)
    error = metrics.bits_per_dim(metrics.standard_error(nats), 28 * 28)
    return {
        "bits_per_dim": float(f"{metrics.bits_per_dim(nats, 28 * 28):.5g}"),
        "standard_error": float(f"{error:.2g}"),
        "parts": {
            name: float(f"{metrics.bits_per_dim(part, 28 * 28):.4g}")
            for name, part in parts.items()
        },
        "n": len(test),
        "weights_sha256": weights.checksums([DIFFUSION_WEIGHTS]),
        "hardware": results.hardware(),
        "versions": results.versions(),
        "date": datetime.date.today().isoformat(),
    }


def like_files(pictures: np.ndarray) -> np.ndarray:
    """Pictures in 256 greys, like the real ones: a difference that no measure should see."""
    return np.asarray(np.rint(255 * np.clip(pictures, 0, 1)) / np.float32(255), np.float32)


def row_of(features: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """The measures of generated features against real ones."""
    from helpers import metrics

    kid, kid_sd = metrics.kernel_distance(real, features)
    precision, recall = metrics.precision_recall(real, features)
    values = {
        "fid": metrics.frechet_distance(real, features),
        "kid": kid,
        "kid_sd": kid_sd,
        "precision": precision,
        "recall": recall,
    }
    return {name: float(f"{value:.4g}") for name, value in values.items()}


def bounds() -> dict[str, dict[str, float]]:
    """What training pictures and the trivial generator score: the ends of the scale."""
    from helpers import datasets, metrics, weights

    data = datasets.load(DATASET)
    train = datasets.scale(data.x_train[:-5_000])  # the rest is validation, in every notebook
    judge = weights.load_feature_network(DATASET)
    real = metrics.features(judge, datasets.scale(data.x_test[:SAMPLES]))
    trivial = metrics.pca_gaussian_samples(train, n=SAMPLES, components=train[0].size, seed=0)
    return {
        "training pictures": row_of(metrics.features(judge, train[:SAMPLES]), real),
        "trivial generator": row_of(metrics.features(judge, like_files(trivial)), real),
    }


def save_sheet(pictures: np.ndarray, notebook: str) -> None:
    """Two rows of ten samples, each pixel three wide, as a grey PNG."""
    from PIL import Image

    height, width = pictures.shape[1:3]
    rows = pictures.reshape(2, -1, height, width).transpose(0, 2, 1, 3).reshape(2 * height, -1)
    enlarged = np.kron(np.round(255 * rows), np.ones((3, 3))).astype(np.uint8)
    with atomic_path(SHEETS / f"{notebook}.png") as path:
        Image.fromarray(enlarged).save(path, format="png", optimize=True)


def in_fresh_process(argument: str) -> Any:
    """What this script prints as JSON for one argument, with the comparison's data set."""
    done = subprocess.run(
        [sys.executable, __file__, f"--one={argument}"],
        cwd=ROOT,
        # Nothing is trained here, but under quick every notebook keeps to its own data set
        env=os.environ | {"GENBOOK_DATASET": DATASET, "GENBOOK_BUDGET": "cpu"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


OTHER_MEASURES: dict[str, Callable[[], Any]] = {"bounds": bounds, "diffusion_bits": diffusion_bits}
"""What is no family's row: the name in the record, and how it is measured."""


def main() -> int:
    if len(sys.argv) == 2 and sys.argv[1].startswith("--one="):
        name = sys.argv[1].removeprefix("--one=")
        print(json.dumps(OTHER_MEASURES[name]() if name in OTHER_MEASURES else measure(name)))
        return 0
    existing = {path.stem for path in notebook_files.all_notebooks()}
    content = read_json(RECORD) if RECORD.exists() else {"rows": []}
    content |= {"dataset": DATASET, "n": SAMPLES, "timed": TIMED}
    rows = {row["notebook"]: row for row in content["rows"]}
    everything = [*OTHER_MEASURES, *(name for name in GENERATORS if name in existing)]
    for name in sys.argv[1:] or everything:
        measured = in_fresh_process(name)
        print(name, ", ".join(f"{key} {value}" for key, value in measured.items()), flush=True)
        if name in OTHER_MEASURES:
            content[name] = measured
        else:
            rows[name] = measured
        write_json(RECORD, content | {"rows": [rows[each] for each in sorted(rows)]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
