"""The notebooks' models, one step at a time: for the tests on PyTorch and for the benchmark.

A notebook is run without its long parts: only the cells tagged `imports`, `settings`
and `model`, in this notebook's order. Together they must leave every model
built and compiled, and its batches (`training.batches(...)`). MODELS says, for each notebook, how
these are called and how its models answer or sample. `models.py [NOTEBOOK ...]` takes one training
step and one sampling step with each (all by default), on the backend of KERAS_BACKEND.
"""

from __future__ import annotations

import contextlib
import io
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import notebook_files  # noqa: E402

CONTEXT = ("imports", "settings", "model")
"""Tags of the cells that lead up to a built and compiled model."""
FEW = 24
"""Whether a step works, these many pictures show as well as a batch of 256. (A batch for several
updates of a critic is cut into three equal parts.)"""
HEADING = "notebook: "
"""Begins the line above what is printed of a notebook."""


@dataclass(frozen=True)
class Steps:
    """A model (built, compiled), its batches, and sample(n): n samples or answers, [n, ...].

    whole: its training step draws noise for a whole batch, whatever it is given.
    """

    model: Any
    batches: Any
    sample: Callable[[int], Any]
    whole: bool = False

    def train(self, index: int = 0, few: bool = False) -> dict[str, float]:
        """One optimiser step on a batch; returns the logs. few: of pictures, on the first FEW."""
        import keras

        batch = self.batches[index % len(self.batches)]
        parts = batch if isinstance(batch, tuple) else (batch,)
        if few and not self.whole and np.ndim(parts[0]) == 4:  # [batch, height, width, channels]
            parts = keras.tree.map_structure(lambda part: part[:FEW], parts)
        # PyTorch's train_on_batch leaves NumPy arrays as they are, unlike fit
        parts = keras.tree.map_structure(keras.ops.convert_to_tensor, parts)
        logs = self.model.train_on_batch(*parts, return_dict=True)
        return {name: float(value) for name, value in logs.items()}


# --------------------------------------------------------------------- one function per notebook


def mlp(cells: SimpleNamespace) -> dict[str, Steps]:
    return {"mlp": Steps(cells.mlp, cells.train_batches, lambda n: cells.mlp(cells.x_test[:n]))}


def cnn(cells: SimpleNamespace) -> dict[str, Steps]:
    def answers(n: int) -> Any:
        return cells.residual(cells.x_test[:n])["label"]

    return {
        "reference": Steps(
            cells.reference, cells.reference_batches, lambda n: cells.reference(cells.x_test[:n])
        ),
        "residual": Steps(cells.residual, cells.residual_batches, answers),
    }


def autoencoder(cells: SimpleNamespace) -> dict[str, Steps]:
    def decoded(n: int) -> Any:
        codes = np.random.default_rng(0).normal(size=(n, cells.CODE_SIZE)).astype("float32")
        return cells.autoencoder.decoder(codes)

    return {
        "autoencoder": Steps(cells.autoencoder, cells.train_batches, decoded),
        "denoiser": Steps(
            cells.denoiser, cells.denoiser_batches, lambda n: cells.denoiser(cells.x_test[:n])
        ),
    }


def vae(cells: SimpleNamespace) -> dict[str, Steps]:
    def decoded(model: Any, size: int) -> Callable[[int], Any]:
        draw = np.random.default_rng(0).normal
        return lambda n: model.decoder(draw(size=(n, size)).astype("float32"))

    peeking = cells.PeekingVAE(16, cells.PEEKING_FILTERS, warm_up=2)
    peeking(cells.x_test[:2])
    batches = cells.prepare(peeking, cells.PEEKING_PICTURES, cells.PEEKING_EPOCHS)
    return {
        "vae_2d": Steps(cells.vae_2d, cells.batches_2d, decoded(cells.vae_2d, 2)),
        "vae_16d": Steps(cells.vae_16d, cells.batches_16d, decoded(cells.vae_16d, 16)),
        "peeking": Steps(peeking, batches, lambda n: peeking(cells.x_test[:n])["logits"]),
    }


def vae_faces(cells: SimpleNamespace) -> dict[str, Steps]:
    def decoded(n: int) -> Any:
        codes = np.random.default_rng(0).normal(size=(n, cells.LATENT)).astype("float32")
        return cells.vae.decoder(codes)

    return {"vae": Steps(cells.vae, cells.face_batches, decoded)}


def dcgan(cells: SimpleNamespace) -> dict[str, Steps]:
    def drawn(network: Any) -> Callable[[int], Any]:
        return lambda n: network(cells.noise[:n], training=False)

    resized = cells.build_gan("resized", cells.SMALL_FILTERS)
    return {
        "gan": Steps(cells.gan, cells.gan_batches, drawn(cells.gan.averaged)),
        "resized": Steps(resized, cells.gan_batches, drawn(resized.averaged)),
        "alone": Steps(cells.alone, cells.gan_batches, drawn(cells.alone.generator)),
        "dense": Steps(cells.dense, cells.dense_batches, drawn(cells.dense.generator)),
    }


def wgan_gp(cells: SimpleNamespace) -> dict[str, Steps]:
    def normal(*shape: int) -> np.ndarray:
        return np.random.default_rng(0).normal(size=shape).astype("float32")

    def ring(name: str) -> Steps:
        game = cells.games[name]
        return Steps(
            game,
            cells.ring_data[name],
            lambda n: game.generator(normal(cells.RUNS, n, cells.RING_NOISE))[0],
        )

    line = cells.build_line_critic()  # the notebook's own has reached the end of its schedule
    return {
        "line": Steps(
            line, cells.line_batches, lambda n: line.critic(cells.in_the_plane(cells.real_line[:n]))
        ),
        **{f"ring_{name}": ring(name) for name in ("wgan_gp", "minibatch")},
    }


def wgan_faces(cells: SimpleNamespace) -> dict[str, Steps]:
    def drawn(n: int) -> Any:
        noise = np.random.default_rng(0).normal(size=(n, cells.LATENT)).astype("float32")
        return cells.faces.generator(noise)

    return {"faces": Steps(cells.faces, cells.face_batches, drawn, whole=True)}


def gan_faces(cells: SimpleNamespace) -> dict[str, Steps]:
    def drawn(n: int) -> Any:
        noise = np.random.default_rng(0).normal(size=(n, cells.LATENT)).astype("float32")
        return cells.faces.average(noise)

    return {"faces": Steps(cells.faces, cells.face_batches, drawn, whole=True)}


def cgan(cells: SimpleNamespace) -> dict[str, Steps]:
    ring = cells.label_vectors(np.arange(cells.RING), cells.RING)
    colours = cells.label_vectors(np.arange(cells.classes), cells.classes)
    return {
        "toy": Steps(cells.toy, cells.toy_batches, lambda n: cells.toy(ring[:n])),
        "gan": Steps(cells.gan, cells.face_batches, lambda n: cells.gan(colours[:n])),
    }


def pixelcnn(cells: SimpleNamespace) -> dict[str, Steps]:
    def slowly(n: int) -> Any:
        ask = cells.network.predict_on_batch
        return cells.draw_slowly(ask, cells.uniform_numbers(n, 4, 0))

    return {"pixelcnn_16": Steps(cells.network, cells.batches, slowly)}


def pixelcnn_gated(cells: SimpleNamespace) -> dict[str, Steps]:
    def fast(network: Any, side: int) -> Callable[[int], Any]:
        return lambda n: cells.draw_fast(network, cells.uniform_numbers(n, side, 0))[0]

    def slowly(n: int) -> Any:  # the memory does not know of hidden weights
        ask = cells.networks["wedge_16"].predict_on_batch
        return cells.draw_slowly(ask, cells.uniform_numbers(n, 4, 0))

    gated, wedge = (cells.networks[name] for name in ("gated_16", "wedge_16"))
    return {
        "gated_16": Steps(gated, cells.batches_16, fast(gated, 16)),
        "wedge_16": Steps(wedge, cells.batches_16, slowly),
        "pixelcnn_28": Steps(cells.network_28, cells.batches_28, fast(cells.network_28, 28)),
    }


def pixelcnn_mixture(cells: SimpleNamespace) -> dict[str, Steps]:
    def fast(network: Any, side: int) -> Callable[[int], Any]:
        def draw(n: int) -> Any:
            uniform = np.random.default_rng(0).random((n, side, side, 2))
            return cells.draw_pictures(network, uniform)[0]

        return draw

    def answer(n: int) -> Any:
        pictures = cells.as_inputs(cells.train_16[:n])
        return cells.networks["softmax_16"].predict_on_batch(pictures)

    small = cells.networks
    return {
        "softmax_16": Steps(small["softmax_16"], cells.batches_16, answer),
        "mixture_16": Steps(small["mixture_16"], cells.batches_16, fast(small["mixture_16"], 16)),
        "mixture_28": Steps(cells.large, cells.batches_28, fast(cells.large, 28)),
    }


def realnvp(cells: SimpleNamespace) -> dict[str, Steps]:
    def drawn(n: int) -> Any:
        noise = np.random.default_rng(0).standard_normal((n, 2), dtype="float32")
        return cells.flows["eight"].inverse(noise)

    return {"eight": Steps(cells.flows["eight"], cells.train_batches, drawn)}


def glow(cells: SimpleNamespace) -> dict[str, Steps]:
    def drawn(n: int) -> Any:
        return cells.decode(cells.flow, cells.draw_noise(n, 0))

    return {"flow": Steps(cells.flow, cells.train_batches, drawn)}


def ffjord(cells: SimpleNamespace) -> dict[str, Steps]:
    def drawn(flow: Any) -> Callable[[int], Any]:
        noise = np.random.default_rng(0).standard_normal((64, 2), dtype="float32")
        return lambda n: flow.inverse(noise[:n])

    return {
        name: Steps(flow, cells.train_batches, drawn(flow)) for name, flow in cells.flows.items()
    }


def ebm(cells: SimpleNamespace) -> dict[str, Steps]:
    def drawn(
        network: Any, sampler: dict[str, Any], shape: tuple[int, ...]
    ) -> Callable[[int], Any]:
        chain = cells.Chain(network, {**sampler, "steps": 2})
        draw = np.random.default_rng(0).uniform
        return lambda n: chain.predict(draw(-1, 1, (n, *shape)).astype("float32"), verbose=0)

    ring, pictures = cells.ring_model, cells.ebm
    return {
        "ring": Steps(ring, cells.ring_batches, drawn(ring.network, cells.WARM, (2,))),
        "ebm": Steps(
            pictures, cells.digit_batches, drawn(pictures.network, cells.SAMPLER, (32, 32, 1))
        ),
    }


def boltzmann(cells: SimpleNamespace) -> dict[str, Steps]:
    def drawn(machine: Any) -> Callable[[int], Any]:
        return lambda n: machine.gibbs(np.zeros((n, machine.W.shape[0]), "float32"), 2)

    return {
        "small": Steps(cells.small_machine, cells.pattern_batches, drawn(cells.small_machine)),
        "digits": Steps(cells.digit_machine, cells.digit_batches, drawn(cells.digit_machine)),
        "second": Steps(cells.second_machine, cells.hidden_batches, drawn(cells.second_machine)),
    }


def _drawn(cells: SimpleNamespace, model: Any, shape: tuple[int, ...]) -> Callable[[int], Any]:
    """Samples of a diffusion model's averaged network, in two steps."""

    def predict(noisy: Any, rates: tuple[float, float]) -> Any:
        variance = np.full((len(noisy), 1), rates[1] ** 2, "float32")
        return cells.ops.convert_to_numpy(model.average([noisy, variance]))

    def draw(n: int) -> Any:
        noise = np.random.default_rng(0).standard_normal((n, *shape), dtype="float32")
        return cells.sample(predict, noise, 2, cells.offset_cosine)

    return draw


def ebm_denoising(cells: SimpleNamespace) -> dict[str, Steps]:
    def drawn(model: Any) -> Callable[[int], Any]:
        return lambda n: cells.Descent(model, levels=3).predict(cells.starting_noise(n), verbose=0)

    models = {"energy": cells.energy, "small": cells.small}
    return {name: Steps(model, cells.batches, drawn(model)) for name, model in models.items()}


def ddm_line(cells: SimpleNamespace) -> dict[str, Steps]:
    models = {"line": cells.line, "line_blind": cells.line_blind}
    return {
        name: Steps(model, cells.point_batches, _drawn(cells, model, (1,)))
        for name, model in models.items()
    }


def gpt(cells: SimpleNamespace) -> dict[str, Steps]:
    def written(n: int) -> Any:
        return cells.write(np.zeros((n, 5), "int32"), 3, seed=0)

    return {"gpt": Steps(cells.network, cells.windows, written)}


def music_transformer(cells: SimpleNamespace) -> dict[str, Steps]:
    def written(n: int) -> Any:
        return np.stack(cells.write([("G major", "6/8")] * n, 0, longest=3))

    # its inputs are codes and next pitches, no pictures of which a few would do
    return {"transformer": Steps(cells.network, cells.windows, written, whole=True)}


def attention(cells: SimpleNamespace) -> dict[str, Steps]:
    def answers(network: Any) -> Callable[[int], Any]:
        return lambda n: network(cells.draw_texts(np.random.default_rng(0), n)[0])

    return {
        "dictionary": Steps(cells.dictionary, cells.batches, answers(cells.dictionary)),
        "newest": Steps(cells.newest, cells.newest_batches, answers(cells.newest)),
    }


def ddm(cells: SimpleNamespace) -> dict[str, Steps]:
    shape = (cells.SIDE, cells.SIDE, cells.CHANNELS)
    return {"faces": Steps(cells.faces, cells.face_batches, _drawn(cells, cells.faces, shape))}


def guidance(cells: SimpleNamespace) -> dict[str, Steps]:
    def drawn(predictor: Callable[..., Any]) -> Callable[[int], Any]:
        def faces(count: int) -> Any:
            orders = cells.label_vectors(np.arange(count) % cells.classes)
            return cells.sample(predictor(orders, 1.0), cells.starting_noise(count), steps=2)

        return faces

    return {
        "classifier": Steps(cells.classifier, cells.classifier_batches, drawn(cells.by_classifier)),
        "told": Steps(cells.told, cells.told_batches, drawn(cells.without_classifier)),
    }


def lstm(cells: SimpleNamespace) -> dict[str, Steps]:
    def written(network: Any) -> Callable[[int], Any]:
        return lambda n: cells.write(network, np.zeros((n, 5), "int32"), 3, seed=0)

    return {
        "characters": Steps(cells.model, cells.readers, written(cells.network)),
        "words": Steps(cells.word_model, cells.word_readers, written(cells.word_network)),
    }


def world_vae(cells: SimpleNamespace) -> dict[str, Steps]:
    def decoded(n: int) -> Any:
        codes = np.random.default_rng(0).normal(size=(n, cells.CODE)).astype("float32")
        return cells.vae.decoder(codes)

    return {"vae": Steps(cells.vae, cells.frame_batches, decoded)}


def musegan(cells: SimpleNamespace) -> dict[str, Steps]:
    def drawn(n: int) -> Any:
        return cells.soft_rolls(cells.game.generator, cells.draw_noise(n, 0))

    return {"game": Steps(cells.game, cells.stretch_batches, drawn, whole=True)}


def mdn_rnn(cells: SimpleNamespace) -> dict[str, Steps]:
    def predicted(network: Any) -> Callable[[int], Any]:
        return lambda n: network(cells.windows[0][0])["nats"][:n]

    forgetting, windows = cells.new_memory(**cells.OTHERS["no_memory"])
    return {
        "memory": Steps(cells.memory, cells.windows, predicted(cells.memory)),
        "no_memory": Steps(forgetting, windows, predicted(forgetting)),
    }


MODELS: dict[str, Callable[[SimpleNamespace], dict[str, Steps]]] = {
    "mlp": mlp,
    "cnn": cnn,
    "autoencoder": autoencoder,
    "vae": vae,
    "vae_faces": vae_faces,
    "dcgan": dcgan,
    "wgan_gp": wgan_gp,
    "wgan_faces": wgan_faces,
    "gan_faces": gan_faces,
    "cgan": cgan,
    "pixelcnn": pixelcnn,
    "pixelcnn_gated": pixelcnn_gated,
    "pixelcnn_mixture": pixelcnn_mixture,
    "lstm": lstm,
    "realnvp": realnvp,
    "glow": glow,
    "ffjord": ffjord,
    "ebm": ebm,
    "boltzmann": boltzmann,
    "ebm_denoising": ebm_denoising,
    "ddm_line": ddm_line,
    "ddm": ddm,
    "guidance": guidance,
    "attention": attention,
    "gpt": gpt,
    "music_transformer": music_transformer,
    "world_vae": world_vae,
    "musegan": musegan,
    "mdn_rnn": mdn_rnn,
}

WITHOUT_STEPS: dict[str, str] = {
    "box_model": "its densities are fitted by hand, in NumPy alone",
    "gan_measures": "it trains nothing; its generator is that of dcgan",
    "ngrams": "it counts, in NumPy alone",
    "convolutions": "it computes with NumPy; its one layer has nine weights",
    "rollouts": "it drives, and trains nothing",
    "controller": "its controller is searched without gradients, in NumPy",
    "resampling": "it trains nothing; its layers are compared with those of Keras",
}
"""Notebooks that train no Keras model, with the reason."""


# ------------------------------------------------------------------------------------------------


def run_cells(notebook: str) -> SimpleNamespace:
    """What the tagged cells of a notebook (its file name without .ipynb) leave behind."""
    (path,) = (p for p in notebook_files.all_notebooks() if p.stem == notebook)
    codes = notebook_files.code_tagged(notebook_files.read(path), *CONTEXT)
    with contextlib.redirect_stdout(io.StringIO()):  # summaries, data lines
        return SimpleNamespace(**notebook_files.run_cells(codes, path.name))


def load(notebook: str) -> dict[str, Steps]:
    """The models of a notebook, after running its tagged cells."""
    return MODELS[notebook](run_cells(notebook))


def check(name: str, steps: Steps) -> None:
    """Take a training step and a sampling step; raises AssertionError when one is wrong.

    The training step is taken twice, because a schedule that warms up begins with a rate of zero.
    """
    from keras import ops

    before = [ops.convert_to_numpy(v) for v in steps.model.trainable_variables]
    for index in range(2):
        logs = steps.train(index, few=True)
    after = [ops.convert_to_numpy(v) for v in steps.model.trainable_variables]
    assert logs and all(np.isfinite(value) for value in logs.values()), f"{name}: {logs}"
    assert all(np.isfinite(array).all() for array in after), f"{name}: weights are not finite"
    moved = [not np.array_equal(old, new) for old, new in zip(before, after, strict=True)]
    assert any(moved), f"{name}: no weight moved in training"
    samples = ops.convert_to_numpy(steps.sample(3))
    assert len(samples) == 3, f"{name}: {len(samples)} samples instead of 3"
    assert np.isfinite(samples).all(), f"{name}: samples are not finite"
    shown = ", ".join(f"{key} {value:.4f}" for key, value in logs.items())
    print(f"{name}: {shown}; samples {list(samples.shape)}")


def main() -> int:
    """Check notebook by notebook, in one process: importing a backend takes longer than most."""
    failed = 0
    for notebook in sys.argv[1:] or MODELS:
        print(f"{HEADING}{notebook}", flush=True)
        try:
            for name, steps in load(notebook).items():
                check(name, steps)
        except Exception:  # the others are to be checked all the same
            traceback.print_exc(file=sys.stdout)
            failed += 1
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
