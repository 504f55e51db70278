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

from helpers import fingerprints, training
from helpers.files import BookError, cache_folder


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


@pytest.fixture(scope="module")
def many_models(run_python: RunPython) -> Any:
    """A new Python that imports Keras inside quiet, says so, and predicts with many models."""
    code = (
        "import logging, os\n"
        "from helpers.training import quiet\n"
        "with quiet():\n"
        "    import keras\n"
        "os.write(2, b'imported')\n"
        "for units in range(1, 8):\n"
        "    model = keras.Sequential([keras.layers.Dense(units)])\n"
        "    for size in (1, 2, 3):\n"
        "        model.predict_on_batch(keras.ops.ones((size, 1)))\n"
        "if keras.backend.backend() == 'tensorflow':\n"
        "    import tensorflow\n"
        "    tensorflow.get_logger().warning('something else')\n"
        "    print(tensorflow.config.experimental.tensor_float_32_execution_enabled())\n"
        "else:\n"
        "    print(False)\n"
        "    logging.getLogger().warning('something else')\n"
    )
    return run_python("-c", code)


def test_importing_keras_inside_quiet_writes_nothing(many_models: Any) -> None:
    assert many_models.returncode == 0 and many_models.stderr.startswith("imported")


def test_quiet_leaves_no_rounded_factors(many_models: Any) -> None:
    """GPUs would round them to ten bits (TF32), and checks to five digits would fail there."""
    assert many_models.stdout == "False\n"


def test_predictions_of_many_models_are_no_loop(many_models: Any) -> None:
    assert "retracing" not in many_models.stderr and "something else" in many_models.stderr


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


def test_epochs_shorter_and_longer_than_a_pass() -> None:
    numbers = np.arange(10)

    def epochs(length: int | None, count: int) -> list[int]:
        data = training.batches(numbers, batch_size=3, seed=4, batches_per_epoch=length)
        found: list[int] = []
        for epoch in range(count):
            data.start_epoch(epoch)
            for index in range(len(data)):
                found.extend(data[index])
        return found

    passes = epochs(None, 4)
    assert epochs(2, 6) == passes == epochs(4, 3)
    assert len(set(passes[:9])) == 9 and passes[:9] != passes[9:18]


def test_an_epoch_needs_a_batch() -> None:
    with pytest.raises(BookError, match="at least one batch, not 0"):
        training.batches(np.arange(10), batch_size=3, batches_per_epoch=0)


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


def test_a_killed_run_ends_bit_equal(run_python: RunPython, tmp_path: Path) -> None:
    """Two models, one after the other; killed in the second, whose first is not trained again."""

    def run(cache: str, result: str, *death: str) -> Any:
        return run_python(
            "tests/resumable.py", "everything,players", str(tmp_path / result), *death,
            GENBOOK_BUDGET="cpu", GENBOOK_CACHE=str(tmp_path / cache),
        )  # fmt: skip

    whole = run("one", "whole.npz")
    assert whole.returncode == 0, whole.stderr
    killed = run("two", "resumed.npz", "2")
    assert killed.returncode == 9, killed.stderr
    assert not (tmp_path / "resumed.npz").exists()
    resumed = run("two", "resumed.npz")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.count("24 updates are done already") == 1
    assert "resuming after epoch 2" in resumed.stdout and "epoch 2/4" not in resumed.stdout
    # Nothing is released yet, so both are kept, and found complete
    assert len(list((tmp_path / "two" / "checkpoints").iterdir())) == 2
    again = run("two", "again.npz")
    assert again.stdout.count("24 updates are done already") == 2 and "epoch" not in again.stdout

    with np.load(tmp_path / "whole.npz") as a:
        assert a["everything updates"] == a["players updates"] == 4 * (100 // 16)
        assert any("seed_generator_state" in key for key in a.files)
        assert any("iteration" in key for key in a.files)
        for name in ("resumed", "again"):
            with np.load(tmp_path / f"{name}.npz") as b:
                assert a.files == b.files
                assert [key for key in a.files if not np.array_equal(a[key], b[key])] == []


def checkpoint_files() -> list[Path]:
    return sorted((cache_folder() / "checkpoints").glob("*.npz"))


def train(keras: Any, model: Any = None, **changed: Any) -> training.Run:
    """A short training with a checkpoint, on 32 items in batches of 8."""
    options: dict[str, Any] = {"batch_size": 8, "inputs": INPUTS, "seed": 0, "augment": None,
                               "epochs": 3, "name": "net", "stop": None} | changed  # fmt: skip

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == options["stop"]:
                raise KeyboardInterrupt

    batch_options = {key: options[key] for key in ("batch_size", "seed", "augment")}
    data = training.batches(options["inputs"], TARGETS, **batch_options)
    return training.fit(
        model or linear_model(keras), data, epochs=options["epochs"],
        checkpoint=options["name"], callbacks=[Interrupt()],
    )  # fmt: skip


def interrupted(keras: Any, **changed: Any) -> Path:
    """Leave a checkpoint behind: training stopped by an exception after one epoch."""
    before = set(checkpoint_files())
    with pytest.raises(KeyboardInterrupt):
        train(keras, stop=1, **changed)
    (path,) = set(checkpoint_files()) - before
    return path


def steeper(batch: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return 2 * batch


def with_rate(keras: Any, rate: Any, loss: Any = "mse") -> Any:
    model = linear_model(keras)
    model.compile(keras.optimizers.SGD(rate), loss=loss)
    return model


CHANGES: dict[str, tuple[Any, dict[str, Any]]] = {
    "optimizer": (lambda keras: with_rate(keras, 0.01), {}),
    "schedule": (
        lambda keras: with_rate(keras, keras.optimizers.schedules.CosineDecay(0.1, 12)), {},
    ),
    "loss": (lambda keras: with_rate(keras, 0.1, "mae"), {}),
    "batch size": (linear_model, {"batch_size": 4}),
    "seed": (linear_model, {"seed": 1}),
    "data": (linear_model, {"inputs": INPUTS + np.float32(1e-6)}),
    "augmentation": (linear_model, {"augment": steeper}),
}  # fmt: skip


@pytest.mark.usefixtures("full_run")
@pytest.mark.parametrize("change", CHANGES)
def test_changed_settings_start_anew_and_lose_nothing(
    keras: Any, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = interrupted(keras)
    build, changed = CHANGES[change]
    capsys.readouterr()
    run = train(keras, build(keras), **changed)
    printed = capsys.readouterr().out
    name = "optimizer, sizes of the arrays" if change == "schedule" else change
    assert f"has other settings ({name}) and is left aside: training starts" in printed
    assert run.updates == 3 * (32 // changed.get("batch_size", 8))
    assert len(run.history["loss"]) == 3 and "resuming" not in printed
    assert path.exists()  # with the old settings training goes on where it was
    assert train(keras).updates == 12
    assert "resuming after epoch 1" in capsys.readouterr().out


@pytest.mark.usefixtures("full_run")
def test_another_budget_starts_anew(
    keras: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted(keras)
    monkeypatch.setenv("GENBOOK_BUDGET", "tiny")
    train(keras)
    assert "has other settings (budget)" in capsys.readouterr().out


def own_model(keras: Any, scale: float, code: str = "0.5") -> Any:
    """A model whose class is written anew, as when a reader edits a cell."""
    names = {"keras": keras, "__name__": "notebook"}
    exec(
        "HALF = "
        + code
        + """
def squared(difference):
    return HALF * keras.ops.mean(difference ** 2)
class Own(keras.Model):
    def __init__(self, scale):
        super().__init__()
        self.scale = scale
        self.out = keras.layers.Dense(1)
    def call(self, x):
        return self.scale * self.out(x)
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return squared(y - y_pred)
""",
        names,
    )
    model = names["Own"](scale)
    model(INPUTS)
    model.compile(keras.optimizers.SGD(0.1))
    return model


@pytest.mark.usefixtures("full_run")
def test_a_changed_model_starts_anew(keras: Any, capsys: pytest.CaptureFixture[str]) -> None:
    interrupted(keras, model=own_model(keras, 1.0))
    train(keras, own_model(keras, 1.0))
    assert "resuming after epoch 1" in capsys.readouterr().out
    train(keras, own_model(keras, 2.0))
    assert "has other settings (constants of the model)" in capsys.readouterr().out
    train(keras, own_model(keras, 1.0, code="0.25"))
    assert "(code of the model)" in capsys.readouterr().out


@pytest.mark.usefixtures("full_run")
def test_more_epochs_go_on_and_fewer_are_refused(
    keras: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(keras, epochs=2).updates == 8
    assert train(keras, epochs=3).updates == 12
    assert "resuming after epoch 2" in capsys.readouterr().out
    with pytest.raises(BookError, match="has 3 epochs, more than the 2 asked for"):
        train(keras, epochs=2)
    (path,) = checkpoint_files()
    model, expected = linear_model(keras), linear_model(keras)
    for each in (model, expected):
        each.set_weights([np.ones((3, 1)), np.zeros(1)])
    path.unlink()
    train(keras, model, epochs=2)
    assert train(keras, model, epochs=4).updates == 16
    plain = training.batches(INPUTS, TARGETS, batch_size=8)
    training.fit(expected, plain, epochs=4)
    np.testing.assert_array_equal(model.get_weights()[0], expected.get_weights()[0])


@pytest.mark.usefixtures("full_run")
def test_a_training_that_a_callback_ended_is_complete(
    keras: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = epoch == 1

    data = training.batches(INPUTS, TARGETS, batch_size=8)
    for _ in range(2):
        run = training.fit(
            linear_model(keras), data, epochs=5, checkpoint="net", callbacks=[Stop()]
        )
        assert run.updates == 8
    assert "8 updates are done already" in capsys.readouterr().out


@pytest.mark.usefixtures("full_run")
def test_a_diverged_training_is_not_resumed(keras: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):  # at first with finite numbers, which are saved
        with pytest.raises(BookError, match=r"diverged in epoch [2-9]"):
            train(keras, with_rate(keras, 1e9), batch_size=32, epochs=9)
        assert checkpoint_files() == []
    assert train(keras, with_rate(keras, 0.1), batch_size=32).updates == 3
    assert "resuming" not in capsys.readouterr().out


def test_a_spoilt_model_is_no_start(keras: Any) -> None:
    model = linear_model(keras)
    model.set_weights([np.full((3, 1), np.nan), np.zeros(1)])
    with pytest.raises(BookError, match="not finite, so an earlier training has diverged: build"):
        train(keras, model)


@pytest.mark.usefixtures("full_run", "book")
def test_a_checkpoint_goes_only_after_the_record(
    keras: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a checkout that cannot be written to, release and record fail; nothing is lost."""
    from helpers import results, weights

    monkeypatch.setenv("GENBOOK_RELEASE", "1")
    (tmp_path / "file").touch()  # a folder below a file cannot be made, not even by root
    record = results.Record("toy", "moons", "moons")
    for module in (weights, results):
        monkeypatch.setattr(module, "DATA", tmp_path / "file" / "data")
    model = linear_model(keras)
    run = train(keras, model)
    with pytest.raises(BookError, match="could not be written"):
        weights.release(model, "toy/net", run)
    with pytest.raises(BookError, match="could not be written"):
        record.save(seconds=run.seconds)
    assert len(checkpoint_files()) == 1

    for module in (weights, results):
        monkeypatch.setattr(module, "DATA", tmp_path / "data")
    capsys.readouterr()
    found = linear_model(keras)
    again = train(keras, found)
    assert "12 updates are done already" in capsys.readouterr().out
    assert again == run
    np.testing.assert_array_equal(found.get_weights()[0], model.get_weights()[0])
    weights.release(found, "toy/net", again)
    assert len(checkpoint_files()) == 1
    record.save(seconds=run.seconds)
    assert checkpoint_files() == []


@pytest.mark.usefixtures("full_run")
def test_an_interrupted_run_adds_up_its_seconds(keras: Any) -> None:
    path = interrupted(keras)
    with np.load(path) as file:
        content = dict(file)
    np.savez(path, **content | {"seconds": np.array(1000.0)})
    assert 1000 < train(keras).seconds < 1100


@pytest.mark.usefixtures("full_run")
@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text", "other arrays"])
def test_a_damaged_checkpoint_gives_one_sentence(keras: Any, damage: str) -> None:
    path = interrupted(keras)
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        place = content.index(b"variable_0.npy") + 160  # inside the first array
        content[place] ^= 0xFF
    elif damage == "other arrays":
        np.savez(path, something=np.zeros(3))
        content = bytearray(path.read_bytes())
    else:
        content = bytearray(b"" if damage == "empty" else b"not a checkpoint")
    path.write_bytes(content)
    model = linear_model(keras)
    before = model.get_weights()
    with pytest.raises(BookError, match="is damaged: delete it to train from the start"):
        train(keras, model)
    assert path.read_bytes() == content  # nothing is lost
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    train(keras, batch_size=4)  # nor does it stand in the way of other settings


@pytest.mark.usefixtures("full_run")
@pytest.mark.parametrize("units", [2, 1])
def test_a_checkpoint_of_another_model_is_left_aside(
    keras: Any, units: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = interrupted(keras)
    other = [keras.Input((3,)), keras.layers.Dense(units)]
    if units == 1:  # the same arrays and then some
        other.append(keras.layers.Dense(1))
    model = keras.Sequential(other)
    model.compile(keras.optimizers.SGD(0.1), loss="mse")
    train(keras, model)
    assert "has other settings (sizes of the arrays)" in capsys.readouterr().out
    assert path.exists()


@pytest.mark.usefixtures("full_run")
def test_every_name_has_a_file_of_its_own(keras: Any) -> None:
    """Names may hold a reader's folder, in any script."""
    names = ["net", "net_ä", "net_ö", "net_", "net_folder:/some/../place_0", "文", "字",
             "net_" + "é" * 300]  # fmt: skip
    for name in names:
        interrupted(keras, name=name)  # leaves one more file
    assert len(checkpoint_files()) == len(names)
    assert checkpoint_files()[0].parent == cache_folder() / "checkpoints"


def test_quick_keeps_no_checkpoint(keras: Any, tmp_path: Path) -> None:
    data = training.batches(INPUTS, TARGETS, batch_size=8)
    training.fit(linear_model(keras), data, epochs=1, checkpoint="net")
    assert not list(tmp_path.rglob("*.npz"))


def test_code_is_told_by_what_it_does() -> None:
    def fingerprint(text: str) -> str:
        names: dict[str, Any] = {"__name__": "notebook"}
        exec(text, names)
        return fingerprints.of_code(names["f"])

    first = "K = 2\ndef g(x):\n    return x + K\ndef f(x):\n    return g(x) in {'a', 'b'}\n"
    same = "\n# a comment\n" + first.replace("g(x) in", "g(  x  ) in") + "unused = 3\n"
    assert fingerprint(first) == fingerprint(same)
    for old, new in [("K = 2", "K = 3"), ("x + K", "x - K"), ("'b'", "'c'"), ("g(x) in", "x in")]:
        assert fingerprint(first) != fingerprint(first.replace(old, new))


def test_a_fingerprint_is_the_same_in_every_session(run_python: RunPython) -> None:
    code = (
        "from helpers import fingerprints\n"
        "def f(x): return x in {'one', 'two', 'three'}\n"
        "print(fingerprints.of_code(f))\n"
    )
    printed = {run_python("-c", code, PYTHONHASHSEED=seed).stdout for seed in ("1", "2", "3")}
    assert len(printed) == 1 and "" not in printed


def test_arrays_are_told_apart() -> None:
    rows = np.arange(10_000, dtype="float32").reshape(5_000, 2)
    late = rows.copy()
    late[-1, -1] += 1
    others = [late, rows[::-1], rows.reshape(2_500, 4), rows.astype("int32"), rows[:-1]]
    assert len({fingerprints.of_array(each) for each in [rows, *others]}) == 6
    assert fingerprints.of_array(rows) == fingerprints.of_array(rows.copy("F"))


# ------------------------------------------------------------------------- Keras's own methods


@pytest.mark.filterwarnings("error", "ignore:__array__ implementation:DeprecationWarning")
def test_batches_work_with_plain_keras(keras: Any) -> None:
    """compile, fit, evaluate, predict: what a reader of any other text expects."""
    inputs = np.arange(8, dtype="float32")[:, None]
    data = training.batches(inputs, 3 * inputs, batch_size=2, seed=1)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), loss="mse", metrics=["mae"])
    history = model.fit(data, epochs=40, validation_data=(inputs, 3 * inputs), verbose=0).history
    assert len(history["val_loss"]) == 40 and history["val_loss"][-1] < 0.1 * history["loss"][0]
    assert model.evaluate(data, verbose=0)[0] == pytest.approx(history["val_loss"][-1], rel=1e-4)
    answers = model.predict(data, verbose=0)  # in the order of the batches
    wanted = model.predict(inputs, verbose=0)
    np.testing.assert_allclose(np.sort(answers, axis=0), np.sort(wanted, axis=0), rtol=1e-5)
    assert training.fit(model, data, epochs=2).updates == 8  # and our own fit after it


def test_plain_keras_draws_every_item_once_in_an_epoch(keras: Any) -> None:
    seen: list[list[float]] = []

    class Sums(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.rows = self.add_weight(shape=(12,), trainable=False, initializer="zeros")
            self.layer = keras.layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.layer(x)

        def train_step(self, batch: Any) -> dict[str, Any]:
            items = keras.ops.cast(batch[0][:, 0], "int32")
            self.rows.assign(self.rows + keras.ops.sum(keras.ops.one_hot(items, 12), axis=0))
            return {"loss": keras.ops.sum(batch[0])}

    class Collect(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append(keras.ops.convert_to_numpy(self.model.rows).tolist())

    inputs = np.arange(12, dtype="float32")[:, None]
    model = Sums()
    model(inputs)
    model.compile()
    data = training.batches(inputs, inputs, batch_size=4)
    model.fit(data, epochs=4, verbose=0, callbacks=[Collect()])
    assert seen == [[epoch + 1.0] * 12 for epoch in range(4)]


# ------------------------------------------------------------------------------------- backends


def test_an_unknown_backend_is_refused_before_anything_is_imported(run_python: RunPython) -> None:
    code = "from helpers.training import quiet\nwith quiet():\n    import keras\nprint('on')"
    for name in ("jax", "openvino", "Tensorflow"):
        done = run_python("-c", code, KERAS_BACKEND=name)
        last = done.stderr.strip().splitlines()[-1]
        assert done.stdout == "" and "TensorFlow or PyTorch, not on" in last and name in last


def test_a_backend_of_keras_own_settings_is_refused(
    keras: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(BookError, match="not on 'jax': set KERAS_BACKEND"), training.quiet():
        pass


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
