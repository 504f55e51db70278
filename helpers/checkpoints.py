"""The state of a training run in the cache, filed under its name and the settings that made it."""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers import fingerprints
from helpers.budget import current_budget
from helpers.files import BookError, atomic_path, cache_folder

if TYPE_CHECKING:
    import keras

Array = np.ndarray

UNREADABLE = (OSError, ValueError, TypeError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)
"""What NumPy raises on a file that is damaged, or not a checkpoint."""

_of_this_session: set[Path] = set()


@dataclass
class Run:
    """What a training run leaves behind, beside the weights.

    history: per-epoch values, one list for each metric; updates: number of optimiser steps;
    seconds: wall-clock training time (sessions added up when the run was interrupted).
    """

    history: dict[str, list[float]] = field(default_factory=dict)
    updates: int = 0
    seconds: float = 0.0

    @property
    def epochs(self) -> int:
        """How many epochs the history tells of."""
        return len(next(iter(self.history.values()), []))


def forget() -> None:
    """Remove the checkpoints that this session used: weights and record are written."""
    for path in _of_this_session:
        path.unlink(missing_ok=True)
    _of_this_session.clear()


def file_stem(name: str) -> str:
    """A file name for `name`, which may hold a folder of pictures: other names have other files."""
    plain = re.sub(r"[^0-9A-Za-z_]+", "_", name)
    return name if plain == name else f"{plain[-80:]}-{fingerprints.of_text(name)}"


class Checkpoint:
    """The whole state of a training run in one file of plain arrays, replaced atomically.

    settings: what a run depends on, by name, such as {"batch size": 128}. Runs of one name with
    other settings have files of their own, so that none is continued as another.
    """

    def __init__(self, model: keras.Model, name: str, settings: dict[str, Any]) -> None:
        import keras

        if not model.built:
            raise BookError(
                "Build the model before training it with a checkpoint (call it once on a batch)."
            )
        self.model = model
        for attribute, optimizer in self._optimizers().items():
            if optimizer.built:
                continue
            if attribute != "optimizer":
                raise BookError(
                    f"Build {attribute} for its own variables before training with a checkpoint "
                    f"(model.{attribute}.build(variables))."
                )
            optimizer.build(model.trainable_variables)
        loss = getattr(model, "loss", None)
        settings = settings | {
            "budget": current_budget(),
            "backend": keras.backend.backend(),
            "loss": [getattr(loss, "__name__", loss), fingerprints.of_code(loss)],
            "constants of the model": _constants(model),
            "code of the model": fingerprints.of_code(*_classes(model)),
            "sizes of the arrays": [list(variable.shape) for variable in self._variables()],
            **{key.replace("_", " "): _config(each) for key, each in self._optimizers().items()},
        }
        # Through JSON, so that they compare with those in a file
        self.settings = json.loads(json.dumps(settings, sort_keys=True, default=_in_words))
        self.stem = file_stem(name)
        number = fingerprints.of_text(json.dumps(self.settings, sort_keys=True))
        self.path: Path = cache_folder() / "checkpoints" / f"{self.stem}.{number}.npz"
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

    def save(self, run: Run, *, epochs: int, finished: bool) -> None:
        """Write the state after an epoch; epochs: how many were asked for."""
        from keras import ops

        arrays = {
            f"variable_{index}": ops.convert_to_numpy(variable)
            for index, variable in enumerate(self._variables())
        }
        arrays |= {f"history_{name}": np.array(values) for name, values in run.history.items()}
        arrays |= _generator_states()
        with atomic_path(self.path) as temporary:
            np.savez(
                temporary,
                settings=json.dumps(self.settings),
                seconds=run.seconds,
                finished_epochs=epochs if finished else 0,
                **arrays,
            )
        _of_this_session.add(self.path)

    def restore(self) -> tuple[Run, int]:
        """Load the state, if there is one; returns the run, and its epochs if it was finished.

        A file that is damaged is refused, not overwritten.
        """
        if not self.path.exists():
            return Run(), 0
        variables = self._variables()
        try:
            with np.load(self.path, allow_pickle=False) as file:
                arrays = dict(file)
            values = [arrays[f"variable_{index}"] for index in range(len(variables))]
            history = {
                name.removeprefix("history_"): array.tolist()
                for name, array in arrays.items()
                if name.startswith("history_")
            }
            run = Run(history=history, seconds=float(arrays["seconds"]))
            finished = int(arrays["finished_epochs"])
        except UNREADABLE as error:
            raise BookError(
                f"The checkpoint {self.path} is damaged: delete it to train from the start."
            ) from error
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self._generators = {k: v for k, v in arrays.items() if k.startswith("generator_")}
        _of_this_session.add(self.path)
        return run, finished

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

    def remove(self) -> None:
        """Delete the file: this state leads nowhere."""
        self.path.unlink(missing_ok=True)

    def changed_settings(self) -> list[str]:
        """What differs from the most similar run of this name; [] if one has these settings."""
        if self.path.exists():
            return []
        others = [_settings_in(path) for path in self.path.parent.glob(f"{self.stem}.*.npz")]
        mine = self.settings
        changes = [
            sorted(key for key in {*then, *mine} if then.get(key) != mine.get(key))
            for then in others
        ]
        return min(changes, key=len, default=[])


def _settings_in(path: Path) -> dict[str, Any]:
    """The settings in a checkpoint's file; {} if it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(json.loads(str(file["settings"])))
    except UNREADABLE:
        return {}


def _config(optimizer: Any) -> dict[str, Any]:
    """An optimiser's settings, its schedule included; its name is a running number."""
    try:
        return {k: v for k, v in optimizer.get_config().items() if k != "name"}
    except NotImplementedError:  # a schedule of the notebook's own
        return {"class": type(optimizer).__name__}


def _constants(model: keras.Model) -> dict[str, Any]:
    """The plain values that the model's class keeps, such as beta; not those of Keras itself."""
    import keras

    of_keras = {*vars(keras.Model()), "stop_training"}
    return {
        name: value
        for name, value in vars(model).items()
        if name not in of_keras and not name.startswith("_") and fingerprints.is_plain(value)
    }


def _classes(model: Any) -> Iterator[type]:
    """The classes of the model and of its layers."""
    yield type(model)
    for layer in getattr(model, "layers", []):
        yield from _classes(layer)


def _in_words(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else type(value).__name__


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
