"""helpers.weights: release and restore, where files go, and what is refused."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from helpers import training, weights
from helpers.files import BookError, cache_folder, file_sha256, read_json, write_json

with training.quiet():
    import keras
    from keras import layers

RUN = training.Run({"loss": [1.23456789, 0.5]}, updates=20, seconds=3.21)


def network(units: int = 8, *more: Any) -> Any:
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(units, activation="relu"),
            *more,
            layers.Dense(2, name="out"),
        ]
    )
    model.compile("adam", loss="mse")
    return model


def fitted() -> Any:
    model = network()
    inputs = np.random.default_rng(0).random((16, 6, 6, 1)).astype("float32")
    model.fit(inputs, np.zeros((16, 2), "float32"), epochs=2, verbose=0)
    return model


@pytest.fixture
def releasing(monkeypatch: pytest.MonkeyPatch, book: Path) -> Path:
    """Inside `make train`, with an empty data folder."""
    monkeypatch.setenv("GENBOOK_BUDGET", "cpu")
    monkeypatch.setenv("GENBOOK_RELEASE", "1")
    return book


def test_round_trip(releasing: Path) -> None:
    trained, other = fitted(), network()
    weights.release(trained, "vae/vae_2d", RUN)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a reader sees no warning about an optimiser
        run = weights.restore(other, "vae/vae_2d")
    assert run == training.Run({"loss": [1.23457, 0.5]}, updates=20, seconds=3.2)
    for mine, theirs in zip(other.get_weights(), trained.get_weights(), strict=True):
        assert mine.dtype == np.float32
        if theirs.ndim < 2:
            np.testing.assert_array_equal(mine, theirs)  # biases and batch statistics stay exact
        else:  # ten bits behind the point: half a unit in the last place
            np.testing.assert_allclose(mine, theirs, rtol=2**-11, atol=2**-24)
            assert not np.array_equal(mine, theirs)


def test_a_fitted_model_can_be_restored_without_a_word(
    releasing: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trained, other = fitted(), fitted()
    weights.release(trained, "vae/vae_2d", RUN)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weights.restore(other, "vae/vae_2d")
    assert capfd.readouterr() == ("", "")


def test_two_players_are_released_without_their_optimisers(releasing: Path) -> None:
    class Game(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = network(), network()
            self.one_optimizer = keras.optimizers.Adam()
            self.one_optimizer.build(self.one.trainable_variables)

        def call(self, x: Any) -> Any:
            return self.one(x) + self.other(x)

    trained, other = Game(), Game()
    for game in (trained, other):
        game.build((None, *game.one.input_shape[1:]))
    weights.release(trained, "game/players", RUN)
    names: list[str] = []
    with h5py.File(releasing / "weights" / "game" / "players.weights.h5") as file:
        file.visit(names.append)
    assert not any("optimizer" in name for name in names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weights.restore(other, "game/players")
    for mine, theirs in zip(other.one.get_weights(), trained.one.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=2**-11, atol=2**-24)


def test_files_are_half_as_large_and_hold_no_optimiser(releasing: Path, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((300,)), layers.Dense(300), layers.Dense(300)])
    model.compile("adam", loss="mse")
    inputs = np.random.default_rng(0).random((8, 300)).astype("float32")
    model.fit(inputs, inputs, verbose=0)
    weights.release(model, "net/dense", RUN)
    path = releasing / "weights" / "net" / "dense.weights.h5"
    assert path.stat().st_size < 2.2 * model.count_params()
    names: list[str] = []
    with h5py.File(path) as file:
        file.visit(names.append)
        assert not any("optimizer" in name for name in names)
    assert sorted(p.name for p in path.parent.iterdir()) == ["dense.json", "dense.weights.h5"]
    card = read_json(path.with_name("dense.json"))
    assert card["sha256"] == file_sha256(path)
    assert card["parameters"] == model.count_params() and card["updates"] == 20


def test_tiny_variances_and_huge_weights_stay_exact(releasing: Path) -> None:
    def build() -> Any:
        model = network()
        values = model.get_weights()
        values[4][...] = 70_000.0  # moving mean: above the range of float16
        values[5][...] = [1e-9, 1e-7, 1.0, 3e-8]  # moving variance: below it
        values[6][0, 0] = 1e6  # a kernel with one value out of range
        model.set_weights(values)
        return model

    trained, other = build(), network()
    weights.release(trained, "net/extreme", RUN)
    weights.restore(other, "net/extreme")
    for index in (4, 5, 6):
        np.testing.assert_array_equal(other.get_weights()[index], trained.get_weights()[index])


def test_where_the_files_go(monkeypatch: pytest.MonkeyPatch, book: Path) -> None:
    model = network()
    inside = book / "weights" / "net" / "small.weights.h5"

    def released_to() -> str:
        weights.release(model, "net/small", RUN)
        mine = cache_folder() / "weights" / "net" / "small.weights.h5"
        places = [name for name, path in (("book", inside), ("cache", mine)) if path.exists()]
        for path in (inside, mine):
            path.unlink(missing_ok=True)
        return " ".join(places)

    monkeypatch.setenv("GENBOOK_BUDGET", "cpu")
    assert released_to() == "cache"  # a reader's own run
    monkeypatch.setenv("GENBOOK_RELEASE", "1")
    assert released_to() == "book"
    monkeypatch.setenv("GENBOOK_SEED", "1")
    assert released_to() == "cache"  # only seed 0 is part of the book
    monkeypatch.setenv("GENBOOK_SEED", "0")
    monkeypatch.setenv("GENBOOK_BUDGET", "quick")
    assert released_to() == "cache"


def test_unpublished_weights_stay_in_the_cache(releasing: Path) -> None:
    model = fitted()
    weights.release(model, "net/private", RUN, publish=False)
    assert not (releasing / "weights").exists()
    other = network()
    weights.restore(other, "net/private")  # the run that made them finds them
    np.testing.assert_array_equal(other.get_weights()[-1], model.get_weights()[-1])


def test_each_budget_finds_its_own(monkeypatch: pytest.MonkeyPatch, book: Path) -> None:
    def release(value: float) -> None:
        model = network()
        model.set_weights([np.full_like(array, value) for array in model.get_weights()])
        weights.release(model, "net/small", RUN)

    def found() -> float:
        model = network()
        weights.restore(model, "net/small")
        return float(model.get_weights()[0].flat[0])

    monkeypatch.setenv("GENBOOK_BUDGET", "cpu")
    release(2.0)  # a reader's own
    assert found() == 2.0
    monkeypatch.setenv("GENBOOK_RELEASE", "1")
    release(1.0)  # the book's
    assert found() == 1.0
    monkeypatch.delenv("GENBOOK_RELEASE")
    assert found() == 2.0  # the reader's full run goes on with its own
    monkeypatch.setenv("GENBOOK_BUDGET", "quick")
    assert found() == 1.0  # quick is the same on every machine


def test_quick_never_uses_the_readers_own(monkeypatch: pytest.MonkeyPatch, book: Path) -> None:
    monkeypatch.setenv("GENBOOK_BUDGET", "cpu")
    weights.release(network(), "net/small", RUN)
    monkeypatch.setenv("GENBOOK_BUDGET", "quick")
    with pytest.raises(BookError, match="no weights named 'net/small' yet: train the notebook"):
        weights.restore(network(), "net/small")


def test_another_architecture_is_refused(releasing: Path) -> None:
    weights.release(network(8), "net/small", RUN)
    wider = network(9)
    before = wider.get_weights()
    with pytest.raises(
        BookError, match=r"belong to a model of .* \(array 6 is \(64, 9\) instead of \(64, 8\)\)"
    ):
        weights.restore(wider, "net/small")
    with pytest.raises(BookError, match=r"in 10 arrays; yours has .* in 12"):
        weights.restore(network(8, layers.Dense(8)), "net/small")
    for old, new in zip(before, wider.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def small_file(book: Path) -> Path:
    return book / "weights" / "net" / "small.weights.h5"


def refused(name: str) -> str:
    """The one sentence that `restore` gives; the model stays as it was."""
    model = network()
    before = model.get_weights()
    with pytest.raises(BookError) as error:
        weights.restore(model, name)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    return str(error.value)


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "other", "folder"])
def test_a_damaged_file_is_refused(releasing: Path, damage: str) -> None:
    weights.release(network(), "net/small", RUN)
    path = small_file(releasing)
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[:-100]
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
    else:
        content = bytearray(b"" if damage == "empty" else b"<html>404</html>")
    path.write_bytes(content)
    if damage == "folder":
        path.unlink()
        path.mkdir()
    assert "net/small are damaged: restore small.weights.h5 from" in refused("net/small")


@pytest.mark.parametrize(
    "change",
    [
        "text", "null", "a list", "bytes", "folder", {"sha256": None}, {"shapes": None},
        {"shapes": [1, 2]}, {"history": []}, {"history": {"loss": 1}}, {"updates": "many"},
        {"parameters": None}, {"seconds": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_a_damaged_card_is_refused(releasing: Path, change: Any) -> None:
    weights.release(network(), "net/small", RUN)
    card = releasing / "weights" / "net" / "small.json"
    if isinstance(change, dict):
        write_json(card, read_json(card) | change)
    elif change == "folder":
        card.unlink()
        card.mkdir()
    else:
        contents = {"text": b"{", "null": b"null", "a list": b"[1]", "bytes": b"\xff\xfe"}
        card.write_bytes(contents[change])
    assert re.search(r"small\.json (is damaged|cannot be read)", refused("net/small"))


def test_a_missing_card_is_refused(releasing: Path) -> None:
    weights.release(network(), "net/small", RUN)
    (releasing / "weights" / "net" / "small.json").unlink()
    assert "small.json is missing" in refused("net/small")


def test_a_damaged_architecture_is_refused(releasing: Path) -> None:
    weights.release(network(), "net/small", RUN, keep_architecture=True)
    card = releasing / "weights" / "net" / "small.json"
    for architecture in ({}, [], "x", {"class_name": "Nothing", "config": {}}):
        write_json(card, read_json(card) | {"architecture": architecture})
        with pytest.raises(BookError, match=r"small\.json is damaged"):
            weights.restore_model("net/small")


def with_checksum(path: Path) -> None:
    """Make the card agree with a file that was tampered with."""
    card = path.with_name("small.json")
    write_json(card, read_json(card) | {"sha256": file_sha256(path)})


@pytest.mark.parametrize("content", ["other model", "html", "nothing"])
def test_a_right_checksum_of_a_wrong_file_is_refused(releasing: Path, content: str) -> None:
    weights.release(network(), "net/small", RUN)
    path = small_file(releasing)
    if content == "other model":
        other = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
        other.save_weights(path)
    else:
        path.write_bytes(b"<html>404</html>" if content == "html" else b"")
    with_checksum(path)
    message = refused("net/small")
    assert "net/small cannot be used" in message and "small.weights.h5 is not a file of" in message


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(releasing: Path, value: float) -> None:
    """Neither written nor loaded: everything after would be NaN without a word."""
    model = network()
    weights.release(model, "net/small", RUN)
    path = small_file(releasing)
    before = path.read_bytes()
    spoilt = model.get_weights()
    spoilt[0].flat[3] = value
    model.set_weights(spoilt)
    with pytest.raises(BookError, match="net/small hold NaN or infinite values"):
        weights.release(model, "net/small", RUN)
    assert path.read_bytes() == before
    model.save_weights(path)
    with_checksum(path)
    assert "net/small cannot be used" in refused("net/small")


@pytest.mark.parametrize("first", [True, False])
def test_weights_and_card_change_together(
    releasing: Path, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    """Killed at any moment of a release, what is found is the old pair or the new one."""

    class Killed(BaseException):
        pass

    old, new = fitted(), fitted()
    new.set_weights([array + 1 for array in new.get_weights()])
    moves = deadly = 0
    replace = os.replace

    def dying_replace(source: Any, target: Any) -> None:
        nonlocal moves
        moves += 1
        if moves == deadly:
            raise Killed
        replace(source, target)

    found = []
    for move in range(1, 6):
        deadly = move
        monkeypatch.setattr(os, "replace", replace)
        for path in small_file(releasing).parent.glob("*"):
            path.unlink()
        if not first:
            weights.release(old, "net/small", training.Run(updates=1))
        moves = 0
        monkeypatch.setattr(os, "replace", dying_replace)
        try:
            weights.release(new, "net/small", training.Run(updates=2))
            finished = True
        except Killed:
            finished = False
        loaded = network()
        try:
            updates = weights.restore(loaded, "net/small").updates
        except BookError as error:
            assert first and "There are no weights named" in str(error)
            updates = 0
        else:
            expected = old if updates == 1 else new
            np.testing.assert_array_equal(loaded.get_weights()[-1], expected.get_weights()[-1])
        found.append((updates, finished))
    # the halved file, the card with both, the weights, the card alone; then no kill
    start = (0 if first else 1, False)
    assert found == [start, start, start, (2, False), (2, True)]
    assert "previous" not in read_json(releasing / "weights" / "net" / "small.json")


def test_files_that_are_too_large_are_not_released(
    releasing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights.release(network(), "net/small", RUN)
    path = releasing / "weights" / "net" / "small.weights.h5"
    before = path.read_bytes()
    monkeypatch.setattr(weights, "LARGEST_FILE", 1000)
    with pytest.raises(BookError, match=r"net/small take [\d,]+ bytes; at most 1,000 are released"):
        weights.release(fitted(), "net/small", RUN)
    assert path.read_bytes() == before
    assert sorted(p.name for p in path.parent.iterdir()) == ["small.json", "small.weights.h5"]
    weights.release(network(), "net/small", RUN, publish=False)  # the cache has no limit


def test_a_failed_write_keeps_the_old_file(
    releasing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights.release(network(), "net/small", RUN)
    path = releasing / "weights" / "net" / "small.weights.h5"
    before = path.read_bytes()

    def fail(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights, "_halve", fail)
    with pytest.raises(BookError, match=r"small.weights.h5 could not be written .*\(No space left"):
        weights.release(fitted(), "net/small", RUN)
    assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 2


@pytest.mark.parametrize("name", ["vae", "", "/x", "../x/y", "a b/c", "net/", "net/..", "/"])
def test_bad_names_are_refused(name: str, book: Path) -> None:
    with pytest.raises(BookError, match="Name weights 'notebook/model'"):
        weights.find(name)


def test_a_folder_in_the_name_stays_inside(monkeypatch: pytest.MonkeyPatch, book: Path) -> None:
    monkeypatch.setenv("GENBOOK_BUDGET", "cpu")
    weights.release(network(), "mlp/folder:/some/../place", RUN)
    path = weights.find("mlp/folder:/some/../place")
    assert path.parent == cache_folder() / "weights" / "mlp"
    assert re.fullmatch(r"folder_some_place-\w{12}\.weights\.h5", path.name)
    others = ["folder:/some/place", "folder:/some/../pläce", "folder:/some/../plöce"]
    for other in others:  # another folder's weights are not taken for these
        with pytest.raises(BookError, match="There are no weights named"):
            weights.find(f"mlp/{other}")
        weights.release(network(), f"mlp/{other}", RUN)


def test_restore_model_rebuilds_from_the_card(releasing: Path) -> None:
    trained = fitted()
    weights.release(trained, "cnn/features_toys", RUN, keep_architecture=True)
    rebuilt = weights.restore_model("cnn/features_toys")
    inputs = np.random.default_rng(1).random((3, 6, 6, 1)).astype("float32")
    np.testing.assert_allclose(rebuilt(inputs), trained(inputs), atol=1e-2)
    weights.release(trained, "cnn/plain", RUN)
    with pytest.raises(BookError, match="come without an architecture"):
        weights.restore_model("cnn/plain")


def test_feature_network_ends_in_its_features(releasing: Path) -> None:
    trained = network(5, layers.Activation("linear", name="features"))
    weights.release(trained, "cnn/features_toys", RUN, keep_architecture=True)
    features = weights.load_feature_network("toys")
    inputs = np.random.default_rng(1).random((3, 6, 6, 1)).astype("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert features(inputs).shape == (3, 5)
    inner = keras.Model(trained.inputs[0], trained.get_layer("features").output)
    np.testing.assert_allclose(features(inputs), inner(inputs), atol=1e-2)


def test_checksums(releasing: Path) -> None:
    weights.release(network(), "net/small", RUN)
    path = releasing / "weights" / "net" / "small.weights.h5"
    assert weights.checksums(["net/small"]) == {"net/small": file_sha256(path)}
    write_json(path.with_name("ignored.json"), {})
    with pytest.raises(BookError, match="no weights named 'net/none'"):
        weights.checksums(["net/none"])


def test_a_subclassed_model_round_trip(releasing: Path) -> None:
    """Models of the notebooks are classes with layers and seed generators of their own."""

    class Coder(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.noise = keras.random.SeedGenerator(0)
            self.encoder = keras.Sequential([layers.Dense(4), layers.Dropout(0.1)])
            self.decoder = keras.Sequential([layers.Dense(6)])
            self.scale = self.add_weight(shape=(3, 3), initializer="random_normal", name="scale")

        def call(self, x: Any) -> Any:
            return self.decoder(self.encoder(x))

    first, second = Coder(), Coder()
    x = np.ones((2, 6), "float32")
    first(x), second(x)
    weights.release(first, "coder/coder", RUN)
    weights.restore(second, "coder/coder")
    np.testing.assert_allclose(first(x), second(x), atol=1e-2)
    np.testing.assert_allclose(first.scale, second.scale, rtol=1e-3)
