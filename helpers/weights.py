"""Released weights: small files that every notebook can load, each with a card about it."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.budget import goes_into_book, own_or_released
from helpers.checkpoints import Run, file_stem
from helpers.files import (
    DATA,
    BookError,
    atomic_path,
    cache_folder,
    file_sha256,
    read_json,
    write_json,
)

if TYPE_CHECKING:
    import keras

LARGEST_FILE = 8_000_000
"""Bytes that a released file may have: the repository is cloned by everybody."""


def release(
    model: keras.Model,
    name: str,
    run: Run,
    *,
    publish: bool = True,
    keep_architecture: bool = False,
) -> None:
    """Save a trained model's weights, in half precision and without optimiser state.

    name: "<notebook>/<model>", e.g. "vae/vae_2d". A card beside the weights keeps the checksum, the
    shapes and the training history. Inside `make train` with seed 0 both go to data/weights, and
    are part of the book from then on; in every other run, or with publish=False (data that may not
    be republished), they go to the reader's cache. keep_architecture: for models of Keras's own
    layers that other notebooks load with `restore_model`.
    """
    into_book = publish and goes_into_book()
    path = _path(name, DATA if into_book else cache_folder())
    if not _is_finite(model.get_weights()):
        raise BookError(f"The weights {name} hold NaN or infinite values: they were not released.")
    with atomic_path(path) as temporary:
        model.save_weights(temporary)
        _halve(temporary)
        size = temporary.stat().st_size
        if into_book and size > LARGEST_FILE:
            raise BookError(
                f"The weights {name} take {size:,} bytes; at most {LARGEST_FILE:,} are released."
            )
        card: dict[str, Any] = {
            "sha256": file_sha256(temporary),
            "parameters": int(model.count_params()),
            "shapes": _shapes(model),
            "updates": run.updates,
            "seconds": round(run.seconds, 1),
            "history": {k: [round(v, 5) for v in values] for k, values in run.history.items()},
        }
        if keep_architecture:
            card["architecture"] = json.loads(model.to_json())
        # Killed before or after the weights are in place, there is a card for them
        write_json(_card_path(path), card | _previous_card(path))
    write_json(_card_path(path), card)


def restore(model: keras.Model, name: str) -> Run:
    """Load weights that `release` saved into `model`; returns the run that made them.

    A reader's own full run comes first only within that run: the default budget always loads the
    book's weights. Raises BookError when there are none, when file or card is damaged, or when the
    model is built differently from the one that was saved; the model is then as it was before.
    """
    path = find(name)
    card = _card_of(path, name)
    mine = _shapes(model)
    if mine != card["shapes"]:
        raise BookError(
            f"The weights {name} belong to a model of {card['parameters']:,} parameters in "
            f"{len(card['shapes'])} arrays; yours has {model.count_params():,} in {len(mine)}"
            f"{_first_difference(card['shapes'], mine)}."
        )
    before = model.get_weights()
    try:
        with warnings.catch_warnings():  # released files hold no optimiser: nothing to be warned of
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            model.load_weights(path)
        fits = _is_finite(model.get_weights())
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, AttributeError):
        fits = False  # what HDF5 and Keras raise on a file that is not this model's
    if not fits:
        model.set_weights(before)
        raise BookError(
            f"The weights {name} cannot be used: {path} is not a file of this model or holds NaN; "
            "restore it from the repository or train again."
        )
    return Run(card["history"], card["updates"], card["seconds"])


def find(name: str) -> Path:
    """The file of these weights: under the quick budget the book's, otherwise this run's own."""
    found = own_or_released(_path(name, cache_folder()), _path(name, DATA))
    if found:
        return found
    raise BookError(
        f"There are no weights named {name!r} yet: train the notebook with GENBOOK_BUDGET=cpu."
    )


def restore_model(name: str) -> keras.Model:
    """Rebuild a model that was released with `keep_architecture=True`, weights included.

    The architecture is a JSON text of Keras's own layers; no code is run to read it.
    """
    import keras

    card = _card_of(find(name), name)
    if "architecture" not in card:
        raise BookError(f"The weights {name} come without an architecture: build the model first.")
    try:
        model = keras.models.model_from_json(json.dumps(card["architecture"]))
    except (ValueError, TypeError, KeyError, AttributeError, ImportError):
        model = None
    if not isinstance(model, keras.Model):
        raise _damaged_card(_card_path(find(name)))
    restore(model, name)
    return model


def load_feature_network(dataset: str) -> keras.Model:
    """The book's measuring network for a data set, trained in the notebook 02 cnn.

    Maps float images [n, height, width, channels] in [0, 1] to features [n, d]: the penultimate
    layer of a classifier, in which FID, KID, precision and recall are measured.
    """
    import keras

    classifier = restore_model(f"cnn/features_{dataset}")
    return keras.Model(classifier.inputs[0], classifier.get_layer("features").output)


def checksums(names: list[str]) -> dict[str, str]:
    """The SHA-256 of each named weights file, for the record of a run."""
    return {name: file_sha256(find(name)) for name in names}


def read_card(base: Path, name: str) -> dict[str, Any]:
    """The card of these weights below `base`, the book's data folder or the cache.

    Raises BookError when it is missing or damaged.
    """
    return _read_card(_card_path(_path(name, base)))


def _path(name: str, base: Path) -> Path:
    notebook, _, model = name.partition("/")
    if not re.fullmatch(r"[0-9A-Za-z_]+", notebook) or not re.search(r"[0-9A-Za-z]", model):
        raise BookError(f"Name weights 'notebook/model', with letters, digits and _; not {name!r}.")
    return base / "weights" / notebook / f"{file_stem(model)}.weights.h5"


def _card_path(path: Path) -> Path:
    return path.with_name(path.name.replace(".weights.h5", ".json"))


def _read_card(path: Path) -> dict[str, Any]:
    """A card whose entries have the types that `restore` relies on."""
    card = read_json(path)
    whole = (
        isinstance(card, dict)
        and isinstance(card.get("sha256"), str)
        and all(isinstance(card.get(key), int) for key in ("parameters", "updates"))
        and isinstance(card.get("seconds"), (int, float))
        and isinstance(card.get("shapes"), list)
        and all(isinstance(shape, list) for shape in card["shapes"])
        and isinstance(card.get("history"), dict)
        and all(isinstance(values, list) for values in card["history"].values())
    )
    if not whole:
        raise _damaged_card(path)
    return dict(card)


def _damaged_card(path: Path) -> BookError:
    return BookError(f"{path} is damaged: restore it from the repository or train again.")


def _previous_card(path: Path) -> dict[str, Any]:
    """The card of the weights that are about to be replaced, as an entry of the new card."""
    try:
        return {"previous": _card_of(path, path.stem)}
    except (BookError, OSError):
        return {}


def _card_of(path: Path, name: str) -> dict[str, Any]:
    """The card that describes the weights in `path`, which were damaged if there is none."""
    card = _read_card(_card_path(path))
    try:
        checksum = file_sha256(path)
    except OSError:
        checksum = "none"  # a folder, say
    previous = card.pop("previous", None)
    for each in (card, previous):
        if isinstance(each, dict) and each.get("sha256") == checksum:
            return each
    raise BookError(f"The weights {name} are damaged: restore {path.name} from the repository.")


def _is_finite(arrays: list[np.ndarray]) -> bool:
    return all(np.isfinite(array).all() for array in arrays)


def _shapes(model: keras.Model) -> list[list[int]]:
    return [list(weight.shape) for weight in model.weights]


def _first_difference(saved: list[Any], mine: list[Any]) -> str:
    for index, (theirs, ours) in enumerate(zip(saved, mine, strict=False)):
        if theirs != ours:
            return f" (array {index} is {tuple(ours)} instead of {tuple(theirs)})"
    return ""


def _halve(path: Path) -> None:
    """Rewrite a Keras weights file with float16 arrays, compressed and without optimisers.

    Keras casts on loading, so the file fits a float32 model. Vectors stay exact: they take little
    room, and a running variance may be too small for float16. So does an array with a value that
    is too large for it.
    """
    import h5py

    half = path.with_name(f"{path.name}.half")

    def copy(source: Any, target: Any) -> None:
        target.attrs.update(source.attrs)
        for key, item in source.items():
            if key == "optimizer" or key.endswith("_optimizer"):  # a game has one for each player
                continue
            if isinstance(item, h5py.Dataset):
                value = np.asarray(item)
                target.create_dataset(key, data=_half_if_it_fits(value), **_compression(value))
            else:
                copy(item, target.create_group(key))

    try:
        with h5py.File(path, "r") as source, h5py.File(half, "w", libver="latest") as target:
            copy(source, target)
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def _half_if_it_fits(value: np.ndarray) -> np.ndarray:
    if value.dtype != np.float32 or value.ndim < 2:
        return value
    with np.errstate(over="ignore"):
        small = value.astype("float16")
    # Below its smallest normal number float16 is coarse; beside larger weights that is nothing
    scale = float(np.abs(value).max(initial=0))
    fits = np.allclose(small.astype("float32"), value, rtol=1e-3, atol=1e-4 * scale)
    return small if fits else value


def _compression(value: np.ndarray) -> dict[str, Any]:
    # In one piece: the smaller the pieces, the more room their index takes
    pieces = {"chunks": value.shape, "compression": "gzip", "shuffle": True}
    return pieces if value.size > 256 else {}
