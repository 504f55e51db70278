"""Training plumbing: quiet imports, seeds, batches, resumable `fit`, gradients on any backend."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers import fingerprints
from helpers.budget import is_full_run
from helpers.checkpoints import Checkpoint, Run
from helpers.files import BookError

if TYPE_CHECKING:
    import keras

BACKENDS = ("tensorflow", "torch")

Array = np.ndarray
Augmentation = Callable[[Array, np.random.Generator], Array]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide what TensorFlow writes while it is imported; warnings that come later still show.

    TensorFlow prints notes for its own developers straight to file descriptor 2, past Python's
    sys.stderr, so the descriptor itself is pointed at the null device for the time of the block.
    One later warning is dropped, see `is_not_about_retracing`.
    Raises BookError at once for a Keras backend on which the notebooks do not run.
    """
    _require_backend(os.environ.get("KERAS_BACKEND") or BACKENDS[0])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
            if "tensorflow" in sys.modules:  # looks for GPUs on first use, and talks about it too
                config = sys.modules["tensorflow"].config
                config.list_physical_devices()
                # Some GPUs would round factors to ten bits: checks to five digits would fail there
                config.experimental.enable_tensor_float_32_execution(False)
                logging.getLogger("tensorflow").addFilter(is_not_about_retracing)
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
    if "keras" in sys.modules:  # its own settings file may name a backend, too
        _require_backend(sys.modules["keras"].backend.backend())


def _require_backend(name: str) -> None:
    if name not in BACKENDS:
        raise BookError(
            f"The notebooks run on TensorFlow or PyTorch, not on {name!r}: set KERAS_BACKEND to "
            "tensorflow or torch and restart the kernel."
        )


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


def batches(
    inputs: Array,
    targets: Array | dict[str, Array] | None = None,
    *,
    batch_size: int,
    seed: int = 0,
    augment: Augmentation | None = None,
    batches_per_epoch: int | None = None,
) -> Any:
    """Shuffled batches for `fit`, as a keras.utils.PyDataset.

    inputs: [n, ...]; targets: [n, ...], or a dictionary of such arrays for models with several
    outputs, or None for models that need no target. uint8 inputs are
    scaled to float32 in [0, 1] batch by batch, which keeps a quarter of the memory.
    augment(batch, generator) may return a changed copy of the (scaled) inputs.
    The order and the augmentation depend only on (seed, epoch), so that an interrupted run goes on
    with exactly the batches that it would have seen. The last, smaller batch is dropped.
    batches_per_epoch: cuts the training into epochs of so many batches instead of whole passes over
    the data; each epoch goes on where the one before ended, and every pass has an order of its own.
    Keras's own `model.fit`, `evaluate` and `predict` take them, too (each pass in another order:
    for answers in the order of the items, predict on an array).
    """
    import keras

    several = targets if isinstance(targets, dict) else {"": targets}
    for target in several.values():
        if target is not None and len(target) != len(inputs):
            raise BookError(f"{len(inputs)} inputs do not go with {len(target)} targets.")
    if not 1 <= batch_size <= len(inputs):
        raise BookError(f"A batch of {batch_size} cannot be drawn from {len(inputs)} items.")
    whole_pass = len(inputs) // batch_size
    length = whole_pass if batches_per_epoch is None else batches_per_epoch
    if length < 1:
        raise BookError(f"An epoch needs at least one batch, not {length}.")

    @functools.lru_cache(maxsize=2)
    def order_of(turn: int) -> Array:
        return np.random.default_rng([seed, turn]).permutation(len(inputs))

    class ShuffledBatches(keras.utils.PyDataset):
        def __init__(self) -> None:
            super().__init__()
            self.start_epoch(0)

        def start_epoch(self, epoch: int) -> None:  # called by `fit`
            self.epoch = epoch
            self.order = order_of(epoch * length // whole_pass)

        def on_epoch_end(self) -> None:  # for a plain model.fit
            self.start_epoch(self.epoch + 1)

        def settings(self) -> dict[str, Any]:  # what a checkpoint of `fit` depends on
            items = fingerprints.of_array(inputs)
            return {
                "data": [
                    items,
                    *(fingerprints.of_array(t) for t in several.values() if t is not None),
                ],
                "batch size": batch_size,
                "seed": seed,
                "augmentation": fingerprints.of_code(augment) if augment else None,
            } | ({} if batches_per_epoch is None else {"batches per epoch": batches_per_epoch})

        def __len__(self) -> int:
            return length

        def __getitem__(self, index: int) -> Any:
            turn, place = divmod(self.epoch * length + index, whole_pass)  # pass, batch in the pass
            rows = order_of(turn)[place * batch_size : (place + 1) * batch_size]
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
    call after an interruption goes on from there and ends where the whole run would have ended. A
    training that is complete is taken up again, until `results.Record.save` has written the record.
    What else must survive (a replay buffer, say) belongs into a non-trainable weight of the model.
    Build the model first, and a second optimiser for its own variables.
    A checkpoint knows what made it: optimisers and schedules, data, batch size and seed, budget,
    and the model's own code. When one of these has changed, training starts anew and a sentence
    says so; the other checkpoint stays. More epochs than before go on from where it ended.
    validation: as validation_data of Keras. Raises BookError when training diverges.
    Readers see Keras's progress bar; with GENBOOK_LOG=plain there is one line per epoch without
    times, which keeps committed outputs stable.
    """
    _require_finite(model)
    # Made under quick too, so that what a full run would refuse shows in a minute, not in an hour
    state = None
    if checkpoint:
        settings = data.settings() if is_full_run() and hasattr(data, "settings") else {}
        state = Checkpoint(model, checkpoint, settings | {"validation": validation is not None})
    if not is_full_run():
        state = None
    run, finished_epochs = _take_up(state) if state else (Run(), 0)
    steps = len(data)
    if finished_epochs == epochs and state:
        run.updates = run.epochs * steps
        print(f"{run.updates:,} updates are done already, taken from {state.path}")
        state.restore_generators()
        return run
    if run.epochs > epochs and state:
        raise BookError(
            f"The checkpoint {state.path} has {run.epochs} epochs, more than the {epochs} asked "
            "for: ask for as many, or delete it."
        )
    print(f"{epochs} epochs of {steps:,} batches: {epochs * steps:,} updates")
    if run.epochs:
        print(f"resuming after epoch {run.epochs}")
    if run.epochs < epochs:
        model.fit(
            data,
            initial_epoch=run.epochs,
            epochs=epochs,
            validation_data=validation,
            verbose=0 if _is_plain_log() else 1,
            callbacks=[*callbacks, _bookkeeper(run, data, epochs, state)],
            shuffle=False,  # the batches shuffle themselves
        )
    run.updates = run.epochs * steps  # a callback may have stopped the training earlier
    if state:
        state.save(run, epochs=epochs, finished=True)
    return run


def _require_finite(model: keras.Model) -> None:
    """A model that has diverged is no start: whatever follows would be NaN too."""
    from keras import ops

    weights = map(ops.convert_to_numpy, model.trainable_weights)
    if not all(np.isfinite(weight).all() for weight in weights):
        raise BookError(
            "The model's weights are not finite, so an earlier training has diverged: build the "
            "model anew (run the notebook again from the top)."
        )


def _take_up(state: Checkpoint) -> tuple[Run, int]:
    """The run so far, and how many epochs were asked for if it is complete; says what changed."""
    changed = state.changed_settings()
    if changed:
        print(
            f"A checkpoint of this name has other settings ({', '.join(changed)}) and is left "
            "aside: training starts with the model as it is."
        )
    return state.restore()


def _is_plain_log() -> bool:
    return os.environ.get("GENBOOK_LOG") == "plain"


def _bookkeeper(run: Run, data: Any, epochs: int, state: Checkpoint | None) -> Any:
    """A callback that extends the history, prints the line, and saves the state, in this order."""
    import keras

    started = time.monotonic() - run.seconds

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
            if _is_plain_log():
                shown = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
                print(f"epoch {epoch + 1}/{epochs}  {shown}", flush=True)
            if not all(np.isfinite(value) for value in values.values()):
                if state:
                    state.remove()  # going on from it would end in the same place
                raise BookError(
                    f"Training diverged in epoch {epoch + 1} (a value is not finite): lower the "
                    "learning rate and run the notebook again from the top."
                )
            if state:
                state.save(run, epochs=epochs, finished=False)

    return Bookkeeper()


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
