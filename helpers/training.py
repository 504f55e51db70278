"""Training plumbing: quiet imports, seeds, batches, resumable `fit`, gradients on any backend."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.budget import is_full_run
from helpers.files import BookError, atomic_path, cache_folder

if TYPE_CHECKING:
    import keras

Array = np.ndarray
Augmentation = Callable[[Array, np.random.Generator], Array]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide what TensorFlow writes while it is imported; warnings that come later still show.

    TensorFlow prints notes for its own developers straight to file descriptor 2, past Python's
    sys.stderr, so the descriptor itself is pointed at the null device for the time of the block.
    One later warning is dropped, see `is_not_about_retracing`.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
            if "tensorflow" in sys.modules:  # looks for GPUs on first use, and talks about it too
                sys.modules["tensorflow"].config.list_physical_devices()
                logging.getLogger("tensorflow").addFilter(is_not_about_retracing)
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


def is_not_about_retracing(record: logging.LogRecord) -> bool:
    """Whether TensorFlow's remark is worth a reader's attention.

    Keras compiles the prediction of each model once or twice. TensorFlow counts those of all models
    as one function, and from the fifth on warns of a loop that is not there.
    """
    return "triggered tf.function retracing" not in record.getMessage()


def set_seed(seed: int) -> None:
    """Seed Python, NumPy and the Keras backend, so that a run can be repeated."""
    import keras

    keras.utils.set_random_seed(seed)


@dataclass
class Run:
    """What a training run leaves behind, beside the weights.

    history: per-epoch values, one list for each metric; updates: number of optimiser steps;
    seconds: wall-clock training time (sessions added up when the run was interrupted).
    """

    history: dict[str, list[float]] = field(default_factory=dict)
    updates: int = 0
    seconds: float = 0.0


def batches(
    inputs: Array,
    targets: Array | dict[str, Array] | None = None,
    *,
    batch_size: int,
    seed: int = 0,
    augment: Augmentation | None = None,
) -> Any:
    """Shuffled batches for `fit`, as a keras.utils.PyDataset.

    inputs: [n, ...]; targets: [n, ...], or a dictionary of such arrays for models with several
    outputs, or None for models that need no target. uint8 inputs are
    scaled to float32 in [0, 1] batch by batch, which keeps a quarter of the memory.
    augment(batch, generator) may return a changed copy of the (scaled) inputs.
    The order and the augmentation depend only on (seed, epoch), so that an interrupted run goes on
    with exactly the batches that it would have seen. The last, smaller batch is dropped.
    """
    import keras

    several = targets if isinstance(targets, dict) else {"": targets}
    for target in several.values():
        if target is not None and len(target) != len(inputs):
            raise BookError(f"{len(inputs)} inputs do not go with {len(target)} targets.")
    if not 1 <= batch_size <= len(inputs):
        raise BookError(f"A batch of {batch_size} cannot be drawn from {len(inputs)} items.")

    class ShuffledBatches(keras.utils.PyDataset):
        def __init__(self) -> None:
            super().__init__()
            self.start_epoch(0)

        def start_epoch(self, epoch: int) -> None:  # called by `fit`
            self.epoch = epoch
            self.order = np.random.default_rng([seed, epoch]).permutation(len(inputs))

        def on_epoch_end(self) -> None:  # for a plain model.fit
            self.start_epoch(self.epoch + 1)

        def __len__(self) -> int:
            return len(inputs) // batch_size

        def __getitem__(self, index: int) -> Any:
            rows = self.order[index * batch_size : (index + 1) * batch_size]
            batch = inputs[rows]
            if batch.dtype == np.uint8:
                batch = batch.astype("float32") / 255
            if augment is not None:
                batch = augment(batch, np.random.default_rng([seed, self.epoch, index]))
            if targets is None:
                return batch
            if isinstance(targets, dict):
                return batch, {name: target[rows] for name, target in targets.items()}
            return batch, targets[rows]

    return ShuffledBatches()


def fit(
    model: keras.Model,
    data: Any,
    *,
    epochs: int,
    validation: Any = None,
    checkpoint: str | None = None,
    callbacks: Sequence[Any] = (),
) -> Run:
    """`model.fit` on `batches(...)`, with one log line per epoch, and resumable in a full run.

    checkpoint: a name, e.g. "vae_2d". Under the cpu and gpu budgets the state after every epoch
    (weights, optimisers, seed generators, history) is kept in the cache under this name; the same
    call after an interruption goes on from there and ends where the whole run would have ended.
    What else must survive (a replay buffer, say) belongs into a non-trainable weight of the model.
    Build the model first, and a second optimiser for its own variables.
    The file is removed when training is complete. validation: as validation_data of Keras.
    Readers see Keras's progress bar; with GENBOOK_LOG=plain there is one line per epoch without
    times, which keeps committed outputs stable.
    """
    # Made under quick too, so that what a full run would refuse shows in a minute, not in an hour
    state = _Checkpoint(model, checkpoint) if checkpoint else None
    if not is_full_run():
        state = None
    run = state.restore() if state else Run()
    done = _epochs(run)
    steps = len(data)
    print(f"{epochs} epochs of {steps:,} batches: {epochs * steps:,} updates")
    if done:
        print(f"resuming after epoch {done}")
    plain = os.environ.get("GENBOOK_LOG") == "plain"
    started = time.monotonic() - run.seconds
    bookkeeper = _bookkeeper(run, data, started, epochs, state, plain)
    if done < epochs:
        model.fit(
            data,
            initial_epoch=done,
            epochs=epochs,
            validation_data=validation,
            verbose=0 if plain else 1,
            callbacks=[*callbacks, bookkeeper],
            shuffle=False,  # the batches shuffle themselves
        )
    run.updates = _epochs(run) * steps  # a callback may have stopped the training earlier
    if state:
        state.path.unlink(missing_ok=True)
    return run


def _epochs(run: Run) -> int:
    return len(next(iter(run.history.values()), []))


def _bookkeeper(
    run: Run, data: Any, started: float, epochs: int, state: _Checkpoint | None, plain: bool
) -> Any:
    """A callback that extends the history, prints the line, and saves the state, in this order."""
    import keras

    class Bookkeeper(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            # Keras itself moves the data on once more than there are epochs, so the epoch is told
            data.start_epoch(epoch)
            if state:
                state.restore_generators()

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            values = {name: float(value) for name, value in (logs or {}).items()}
            for name, value in values.items():
                run.history.setdefault(name, []).append(value)
            run.seconds = time.monotonic() - started
            if plain:
                shown = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
                print(f"epoch {epoch + 1}/{epochs}  {shown}", flush=True)
            if not all(np.isfinite(value) for value in values.values()):
                raise BookError(
                    f"Training diverged in epoch {epoch + 1} (a value is not finite): lower the "
                    "learning rate and run the notebook again from the top."
                )
            if state:
                state.save(run)

    return Bookkeeper()


class _Checkpoint:
    """The whole state of a training run in one file of plain arrays, replaced atomically."""

    def __init__(self, model: keras.Model, name: str) -> None:
        if not model.built:
            raise BookError(
                "Build the model before training it with a checkpoint (call it once on a batch)."
            )
        self.model = model
        file_name = re.sub(r"[^0-9A-Za-z_]+", "_", name)  # the name may hold a folder of pictures
        self.path: Path = cache_folder() / "checkpoints" / f"{file_name}.npz"
        for attribute, optimizer in self._optimizers().items():
            if optimizer.built:
                continue
            if attribute != "optimizer":
                raise BookError(
                    f"Build {attribute} for its own variables before training with a checkpoint "
                    f"(model.{attribute}.build(variables))."
                )
            optimizer.build(model.trainable_variables)
        self._generators: dict[str, Array] = {}

    def _optimizers(self) -> dict[str, Any]:
        """The model's optimisers by the names of their attributes, in a fixed order."""
        import keras

        attributes = sorted(vars(self.model).items())
        return {k: v for k, v in attributes if isinstance(v, keras.optimizers.Optimizer)}

    def _variables(self) -> list[Any]:
        """Weights and seed generators of the model, then the variables of its optimisers."""
        optimizers = self._optimizers().values()
        return [*self.model.variables, *(v for each in optimizers for v in each.variables)]

    def save(self, run: Run) -> None:
        from keras import ops

        arrays = {
            f"variable_{index}": ops.convert_to_numpy(variable)
            for index, variable in enumerate(self._variables())
        }
        arrays |= {f"history_{name}": np.array(values) for name, values in run.history.items()}
        arrays |= _generator_states()
        with atomic_path(self.path) as temporary:
            np.savez(temporary, seconds=run.seconds, **arrays)

    def restore(self) -> Run:
        """Load the state if there is one; a file of another model is refused, not overwritten."""
        if not self.path.exists():
            return Run()
        variables = self._variables()
        try:
            with np.load(self.path, allow_pickle=False) as file:
                arrays = dict(file)
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise BookError(
                f"The checkpoint {self.path} is damaged: delete it to train from the start."
            ) from error
        values = [arrays.get(f"variable_{index}") for index in range(len(variables))]
        saved = sum(name.startswith("variable_") for name in arrays)
        fits = saved == len(variables) and all(
            value is not None and value.shape == tuple(variable.shape)
            for value, variable in zip(values, variables, strict=True)
        )
        if not fits:
            raise BookError(
                f"The checkpoint {self.path} belongs to another model: delete it to train from "
                "the start."
            )
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self._generators = {k: v for k, v in arrays.items() if k.startswith("generator_")}
        history = {
            name.removeprefix("history_"): values.tolist()
            for name, values in arrays.items()
            if name.startswith("history_")
        }
        return Run(history=history, seconds=float(arrays["seconds"]))

    def restore_generators(self) -> None:
        """Set PyTorch's own generators, as late as possible: `fit` draws from them, too."""
        if self._generators:
            import torch

            for name, value in self._generators.items():
                if name == "generator_cpu":
                    torch.set_rng_state(torch.from_numpy(value))
                elif torch.cuda.is_available():
                    torch.cuda.set_rng_state(torch.from_numpy(value))
            self._generators = {}


def _generator_states() -> dict[str, Array]:
    """PyTorch's own generators, which Keras layers without a seed draw from; {} on TensorFlow."""
    import keras

    if keras.backend.backend() != "torch":
        return {}
    import torch

    states = {"generator_cpu": torch.get_rng_state().numpy()}
    if torch.cuda.is_available():
        states["generator_cuda"] = torch.cuda.get_rng_state().numpy()
    return states


def minimize(
    loss_fn: Callable[[], Any], variables: Iterable[Any], optimizer: keras.optimizers.Optimizer
) -> Any:
    """One optimiser step on `loss_fn()` with respect to `variables`; returns the loss.

    Works on the TensorFlow and PyTorch backends, inside an overridden `train_step` too, where two
    optimisers take turns. loss_fn takes no argument and returns a scalar; variables are Keras
    variables, such as `model.trainable_variables`.
    """
    import keras

    variables = list(variables)
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in variables])
            loss = loss_fn()
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        return loss
    if backend == "torch":
        import torch

        loss = loss_fn()
        gradients = torch.autograd.grad(loss, [v.value for v in variables], allow_unused=True)
        with torch.no_grad():
            optimizer.apply(list(gradients), variables)
        return loss.detach()
    raise BookError(f"minimize works on TensorFlow and PyTorch, not on {backend!r}.")


def input_gradient(function: Callable[[Any], Any], inputs: Any) -> Any:
    """The gradient of sum(function(inputs)) with respect to inputs, of the same shape as inputs.

    When function maps every item of the batch on its own, row i is the gradient of item i's value:
    what a gradient penalty and Langevin dynamics need. The result can be differentiated again on
    both backends, so that a penalty on it trains the function's weights.
    """
    import keras

    backend = keras.backend.backend()
    inputs = keras.ops.convert_to_tensor(inputs)
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = keras.ops.sum(function(inputs))
        return tape.gradient(value, inputs)
    if backend == "torch":
        import torch

        with torch.enable_grad():
            if not inputs.requires_grad:
                inputs = inputs.detach().requires_grad_(True)
            value = keras.ops.sum(function(inputs))
            return torch.autograd.grad(value, inputs, create_graph=True)[0]
    raise BookError(f"input_gradient works on TensorFlow and PyTorch, not on {backend!r}.")
