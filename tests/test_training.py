"""helpers.training: batches, fit, kill and resume, gradients (PyTorch: in test_backends)."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import RunPython
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import training
from helpers.files import BookError


@pytest.fixture(scope="module")
def keras() -> Any:
    with training.quiet():
        import keras
    return keras


def linear_model(keras: Any) -> Any:
    """y = x w + b on three inputs, with a squared loss."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), loss="mse")
    return model


INPUTS = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
TARGETS = INPUTS @ np.array([[1.0], [-2.0], [0.5]], "float32")


# ------------------------------------------------------------------------------ quiet and seeds


def test_quiet_hides_only_its_own_block(run_python: RunPython) -> None:
    code = (
        "import os, warnings\n"
        "from helpers.training import quiet\n"
        "with quiet():\n"
        "    os.write(2, b'hidden'); warnings.warn('hidden')\n"
        "os.write(2, b'shown'); warnings.warn('also shown')\n"
    )
    error = run_python("-c", code).stderr
    assert "hidden" not in error
    assert "shown" in error and "also shown" in error


def test_importing_keras_inside_quiet_writes_nothing(run_python: RunPython) -> None:
    done = run_python("-c", "from helpers.training import quiet\nwith quiet():\n    import keras")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_predictions_of_many_models_are_no_loop(run_python: RunPython) -> None:
    code = (
        "import logging\n"
        "from helpers.training import quiet\n"
        "with quiet():\n"
        "    import keras\n"
        "for units in range(1, 8):\n"
        "    model = keras.Sequential([keras.layers.Dense(units)])\n"
        "    for size in (1, 2, 3):\n"
        "        model.predict_on_batch(keras.ops.ones((size, 1)))\n"
        "if keras.backend.backend() == 'tensorflow':\n"
        "    import tensorflow\n"
        "    tensorflow.get_logger().warning('something else')\n"
        "else:\n"
        "    logging.getLogger().warning('something else')\n"
    )
    error = run_python("-c", code).stderr
    assert "retracing" not in error and "something else" in error


def test_quiet_gives_descriptor_back_after_an_error() -> None:
    before = os.fstat(2)
    open_before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else None
    with pytest.raises(KeyError), training.quiet():
        raise KeyError
    assert os.path.samestat(os.fstat(2), before)
    if open_before is not None:
        assert len(os.listdir("/proc/self/fd")) == open_before


def test_set_seed_repeats(keras: Any) -> None:
    def draw() -> list[float]:
        training.set_seed(4)
        return [float(keras.random.normal(())), float(np.random.normal())]

    assert draw() == draw()


# -------------------------------------------------------------------------------------- batches


@given(
    n=st.integers(1, 40),
    batch_size=st.integers(1, 40),
    seed=st.integers(0, 3),
    epoch=st.integers(0, 3),
)
@settings(max_examples=30, deadline=None)
def test_batches_are_a_permutation_without_the_rest(
    n: int, batch_size: int, seed: int, epoch: int
) -> None:
    inputs = np.arange(n, dtype="float32")
    if batch_size > n:
        with pytest.raises(BookError, match=f"batch of {batch_size} cannot be drawn from {n}"):
            training.batches(inputs, batch_size=batch_size)
        return
    data = training.batches(inputs, batch_size=batch_size, seed=seed)
    data.start_epoch(epoch)
    drawn = [data[i] for i in range(len(data))]
    assert len(data) == n // batch_size  # the last, smaller batch is dropped
    assert all(len(batch) == batch_size for batch in drawn)
    items = np.concatenate(drawn)
    assert len(set(items)) == len(items) and set(items) <= set(inputs)
    again = training.batches(inputs, batch_size=batch_size, seed=seed)
    again.start_epoch(epoch)
    assert all(np.array_equal(again[i], batch) for i, batch in enumerate(drawn))


def test_batches_differ_between_epochs_and_seeds() -> None:
    inputs = np.arange(64)

    def order(seed: int, epoch: int) -> tuple[int, ...]:
        data = training.batches(inputs, batch_size=64, seed=seed)
        data.start_epoch(epoch)
        return tuple(data[0])

    assert len({order(seed, epoch) for seed in range(3) for epoch in range(3)}) == 9


def test_batches_keep_inputs_and_targets_together_and_scale_bytes() -> None:
    inputs = np.arange(0, 256, 5, dtype="uint8")
    data = training.batches(inputs, inputs.astype(int), batch_size=4)
    for index in range(len(data)):
        batch, targets = data[index]
        assert batch.dtype == np.float32 and batch.min() >= 0 and batch.max() <= 1
        np.testing.assert_allclose(batch * 255, targets, atol=1e-4)


def test_batches_leave_floats_alone() -> None:
    inputs = np.array([-3.0, 7.0], "float32")
    assert set(training.batches(inputs, batch_size=2)[0]) == {-3.0, 7.0}


def test_augmentation_depends_on_seed_epoch_and_batch_only() -> None:
    def noise(batch: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return generator.normal(size=batch.shape)

    inputs = np.zeros((8, 2), "float32")

    def draw(seed: int, epoch: int, index: int) -> float:
        data = training.batches(inputs, batch_size=4, seed=seed, augment=noise)
        data.start_epoch(epoch)
        return float(data[index][0, 0])

    assert draw(0, 0, 1) == draw(0, 0, 1)
    cases = [(seed, epoch, index) for seed in (0, 1) for epoch in (0, 1) for index in (0, 1)]
    assert len({draw(*case) for case in cases}) == len(cases)
    assert (inputs == 0).all()


def test_batches_of_several_targets() -> None:
    inputs = np.arange(10.0)
    data = training.batches(inputs, {"same": inputs, "double": 2 * inputs}, batch_size=5)
    batch, targets = data[0]
    np.testing.assert_array_equal(targets["same"], batch)
    np.testing.assert_array_equal(targets["double"], 2 * batch)


def test_batches_refuse_unequal_lengths() -> None:
    for targets in (np.zeros(2), {"right": np.zeros(3), "wrong": np.zeros(2)}):
        with pytest.raises(BookError, match="3 inputs do not go with 2 targets"):
            training.batches(np.zeros(3), targets, batch_size=1)


# ------------------------------------------------------------------------------------------ fit


def test_fit_learns_counts_and_prints(keras: Any, capsys: pytest.CaptureFixture[str]) -> None:
    data = training.batches(INPUTS, TARGETS, batch_size=8)
    run = training.fit(
        linear_model(keras), data, epochs=30, validation=(INPUTS, TARGETS), checkpoint="linear"
    )
    assert run.updates == 30 * 4 and run.seconds > 0
    assert set(run.history) == {"loss", "val_loss"}
    assert [len(values) for values in run.history.values()] == [30, 30]
    assert run.history["val_loss"][-1] < 1e-3 < run.history["val_loss"][0]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "30 epochs of 4 batches: 120 updates"
    assert lines[1].startswith("epoch 1/30  loss ") and len(lines) == 31


def test_fit_shows_every_epoch_its_own_order(keras: Any) -> None:
    """Epoch k sees exactly the batches of (seed, k), each once, whatever Keras prefetches."""
    model = linear_model(keras)
    seen: list[list[float]] = []
    inputs = np.arange(12, dtype="float32")[:, None].repeat(3, axis=1)
    data = training.batches(inputs, np.zeros((12, 1), "float32"), batch_size=4, seed=2)

    class Recorder(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model
            self.rows = self.add_weight(shape=(3, 4), trainable=False)
            self.row = self.add_weight(shape=(), dtype="int32", trainable=False)

        def call(self, x: Any) -> Any:
            return self.inner(x)

        def train_step(self, batch: Any) -> dict[str, Any]:
            rows = keras.ops.slice_update(
                self.rows.value, (self.row.value, 0), keras.ops.reshape(batch[0][:, 0], (1, 4))
            )
            self.rows.assign(rows)
            self.row.assign((self.row + 1) % 3)
            return {"loss": keras.ops.sum(batch[0])}

    class Collect(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append(keras.ops.convert_to_numpy(recorder.rows).ravel().tolist())

    recorder = Recorder()
    recorder(inputs)
    recorder.compile()
    training.fit(recorder, data, epochs=3, callbacks=[Collect()])
    for epoch, values in enumerate(seen):
        data.start_epoch(epoch)
        expected = np.concatenate([data[i][0][:, 0] for i in range(3)])
        assert values == expected.tolist()


def test_fit_stops_with_one_sentence_when_training_diverges(keras: Any) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1e30), loss="mse")
    data = training.batches(INPUTS, TARGETS, batch_size=8)
    with pytest.raises(BookError, match=r"diverged in epoch 1 \(a value is not finite\): lower"):
        training.fit(model, data, epochs=2)


def test_fit_counts_only_epochs_that_happened(keras: Any) -> None:
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = epoch == 1

    data = training.batches(INPUTS, TARGETS, batch_size=8)
    assert training.fit(linear_model(keras), data, epochs=5, callbacks=[Stop()]).updates == 2 * 4


def test_a_checkpoint_needs_a_built_model_and_says_so_under_quick(keras: Any) -> None:
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", loss="mse")
    data = training.batches(INPUTS, TARGETS, batch_size=8)
    with pytest.raises(BookError, match="Build the model before"):
        training.fit(model, data, epochs=1, checkpoint="x")


def test_a_checkpoint_needs_built_optimisers_and_says_so_under_quick(keras: Any) -> None:
    model = linear_model(keras)
    model.second_optimizer = keras.optimizers.Adam()
    data = training.batches(INPUTS, TARGETS, batch_size=8)
    with pytest.raises(BookError, match="Build second_optimizer for its own variables"):
        training.fit(model, data, epochs=1, checkpoint="x")


# ------------------------------------------------------------------------------ kill and resume


@pytest.mark.parametrize("name", ["everything", "players"])
def test_a_killed_run_ends_bit_equal(name: str, run_python: RunPython, tmp_path: Path) -> None:
    def run(cache: str, result: str, *death: str) -> Any:
        return run_python(
            "tests/resumable.py", name, str(tmp_path / result), *death,
            GENBOOK_BUDGET="cpu", GENBOOK_CACHE=str(tmp_path / cache),
        )  # fmt: skip

    whole = run("one", "whole.npz")
    assert whole.returncode == 0, whole.stderr
    killed = run("two", "resumed.npz", "2")
    assert killed.returncode == 9, killed.stderr
    assert not (tmp_path / "resumed.npz").exists()
    kept = tmp_path / "two" / "checkpoints" / f"test_{name}.npz"
    assert kept.exists()
    resumed = run("two", "resumed.npz")
    assert resumed.returncode == 0, resumed.stderr
    assert "resuming after epoch 2" in resumed.stdout and "epoch 2/4" not in resumed.stdout
    assert not kept.exists()  # training is complete

    with np.load(tmp_path / "whole.npz") as a, np.load(tmp_path / "resumed.npz") as b:
        assert a.files == b.files
        assert a["updates"] == b["updates"] == 4 * (100 // 16)
        assert any("seed_generator_state" in key for key in a.files)
        assert any("iteration" in key for key in a.files)
        for key in a.files:
            assert np.array_equal(a[key], b[key]), key


def interrupted(keras: Any, name: str = "net", epoch: int = 1) -> Path:
    """Leave a checkpoint behind: training stopped by an exception after one epoch."""

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, number: int, logs: Any = None) -> None:
            if number == epoch:
                raise KeyboardInterrupt

    data = training.batches(INPUTS, TARGETS, batch_size=8)
    with pytest.raises(KeyboardInterrupt):
        training.fit(linear_model(keras), data, epochs=3, checkpoint=name, callbacks=[Interrupt()])
    from helpers.files import cache_folder

    (path,) = (cache_folder() / "checkpoints").glob("*.npz")
    return path


def resume(keras: Any, model: Any = None) -> training.Run:
    data = training.batches(INPUTS, TARGETS, batch_size=8)
    return training.fit(model or linear_model(keras), data, epochs=3, checkpoint="net")


@pytest.mark.usefixtures("full_run")
def test_an_interrupted_run_adds_up_its_seconds(keras: Any) -> None:
    path = interrupted(keras)
    with np.load(path) as file:
        content = dict(file)
    np.savez(path, **content | {"seconds": np.array(1000.0)})
    assert 1000 < resume(keras).seconds < 1100


@pytest.mark.usefixtures("full_run")
@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text"])
def test_a_damaged_checkpoint_gives_one_sentence(keras: Any, damage: str) -> None:
    path = interrupted(keras)
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        place = content.index(b"variable_0.npy") + 160  # inside the first array
        content[place] ^= 0xFF
    else:
        content = bytearray(b"" if damage == "empty" else b"not a checkpoint")
    path.write_bytes(content)
    with pytest.raises(BookError, match="is damaged: delete it to train from the start"):
        resume(keras)
    assert path.read_bytes() == content  # nothing is lost


@pytest.mark.usefixtures("full_run")
@pytest.mark.parametrize("units", [2, 1])
def test_a_checkpoint_of_another_model_is_refused(keras: Any, units: int) -> None:
    path = interrupted(keras)
    other = [keras.Input((3,)), keras.layers.Dense(units)]
    if units == 1:  # the same arrays and then some
        other.append(keras.layers.Dense(1))
    model = keras.Sequential(other)
    model.compile(keras.optimizers.SGD(0.1), loss="mse")
    before = model.get_weights()
    with pytest.raises(BookError, match="belongs to another model: delete it"):
        resume(keras, model)
    assert path.exists()
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.usefixtures("full_run")
def test_a_checkpoint_name_may_hold_a_folder(keras: Any) -> None:
    path = interrupted(keras, name="net_folder:/some/../place_0")
    assert path.name == "net_folder_some_place_0.npz"


def test_quick_keeps_no_checkpoint(keras: Any, tmp_path: Path) -> None:
    data = training.batches(INPUTS, TARGETS, batch_size=8)
    training.fit(linear_model(keras), data, epochs=1, checkpoint="net")
    assert not list(tmp_path.rglob("*.npz"))


# ------------------------------------------------------------------------------------ gradients


def test_gradients_on_tensorflow(keras: Any) -> None:
    if keras.backend.backend() != "tensorflow":
        pytest.skip("this process runs on another backend; test_backends covers PyTorch")
    sys.path.insert(0, str(Path(__file__).parent))
    import gradients

    gradients.check_all()


def test_an_unknown_backend_gives_one_sentence(keras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(BookError, match="TensorFlow and PyTorch, not on 'jax'"):
        training.minimize(lambda: 0.0, [], None)  # type: ignore[arg-type]
    with pytest.raises(BookError, match="TensorFlow and PyTorch, not on 'jax'"):
        training.input_gradient(lambda x: x, np.zeros(2))
