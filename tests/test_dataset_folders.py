"""The reader's own pictures, and how pictures of all kinds are decoded."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from made_up import encoded, is_one_sentence, plain, reusing_the_folder, tar_of, zip_of
from PIL import Image

from helpers import datasets
from helpers.datasets import DatasetUnavailable, folders, pictures
from helpers.files import BookError

SIDE_64 = (64, 64, 3)


def fill(folder: Path, names: dict[str, np.ndarray]) -> Path:
    """Write pictures as PNG under these names."""
    for name, picture in names.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(picture))
    return folder


def own(path: Path | str) -> datasets.ImageSet:
    return datasets.load(f"folder:{path}", verbose=False)


# ---------------------------------------------------------------- classes and parts


@pytest.mark.usefixtures("in_file_order")
def test_own_pictures_with_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind, value in (("cat", 10), ("dog", 200)):
        fill(tmp_path, {f"{kind}/{number}.png": plain((value, number, 0)) for number in range(10)})
    for name in (".hidden.png", "._0.png", ".trash/1.png", "__MACOSX/cat/0.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"no picture")
    images = datasets.load(f"folder:{tmp_path}")
    assert images.class_names == ("cat", "dog")
    assert images.y_test.tolist() == [0, 1] and len(images.x_train) == 18
    assert images.x_test[:, 0, 0].tolist() == [[10, 9, 0], [200, 9, 0]]
    assert capsys.readouterr().out == (
        f"folder:{tmp_path}: 18 + 2 images 64x64x3, the reader's own pictures\n"
    )


@pytest.mark.usefixtures("in_file_order")
def test_own_pictures_with_their_own_split_in_a_zip(tmp_path: Path) -> None:
    members = {
        f"mine/{part}/{kind}/{number}.png": encoded(plain((number, 0, 0)))
        for part, count in (("train", 3), ("test", 2))
        for kind in ("a", "b")
        for number in range(count)
    }
    images = own(zip_of(tmp_path / "mine.zip", members))
    assert images.class_names == ("a", "b")
    assert len(images.x_train) == 6 and images.y_test.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("names", "classes", "train", "test"),
    [
        # folders that are parts of the set, not classes
        (["Train/a/1", "Train/b/2", "val/a/3", "val/b/4"], ("a", "b"), 2, 2),
        (["train/a/1", "train/b/2", "val/a/3", "test/b/4"], ("a", "b"), 3, 1),
        (["a/training/1", "b/training/2", "a/testing/3"], ("a", "b"), 2, 1),
        (["train/1", "train/2", "test/3"], ("",), 2, 1),
        (["train/a/1", "train/b/2"], ("a", "b"), 1, 1),  # nothing is held out yet
        # a folder named train is a class beside others
        (["train/1", "car/2", "plane/3"], ("car", "plane", "train"), 2, 1),
        # the whole path is the class, less what all have in common
        (["x/cats/black/1", "x/dogs/black/2", "x/dogs/white/3"],
         ("cats/black", "dogs/black", "dogs/white"), 2, 1),
        (["x/1", "x/y/2", "x/y/3"], ("", "y"), 2, 1),
        (["x/y/1", "x/y/2"], ("y",), 1, 1),
    ],
)  # fmt: skip
def test_folders_are_parts_or_classes(
    tmp_path: Path, names: list[str], classes: tuple[str, ...], train: int, test: int
) -> None:
    images = own(fill(tmp_path, {f"{name}.png": plain((9, 9, 9)) for name in names}))
    assert images.class_names == classes
    assert (len(images.x_train), len(images.x_test)) == (train, test)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["train/a/1", "test/a/2", "b/3"], r"folders for test and train, but b/3\.png lies"),
        (["val/a/1", "test/a/2"], "none named train"),
    ],
)
def test_folders_that_are_unclear_are_refused(tmp_path: Path, names: list[str], words: str) -> None:
    fill(tmp_path, {f"{name}.png": plain((9, 9, 9)) for name in names})
    with pytest.raises(BookError, match=words) as error:
        own(tmp_path)
    assert is_one_sentence(error)


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_a_sample_of_a_large_archive_has_every_class(
    tmp_path: Path, pack: object, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """An archive sorted by class: its first twenty pictures are all of class a."""
    monkeypatch.setattr(folders, "FOLDER_LIMIT", 20)
    sizes = {"a": 30, "b": 29, "c": 1}
    members = {
        f"{kind}/{number:02d}.png": encoded(plain((number, 0, 0), 8, 8))
        for kind, count in sizes.items()
        for number in range(count)
    }
    images = datasets.load(f"folder:{pack(tmp_path / 'a', members)}")  # type: ignore[operator]
    assert "; 20 of 60 read\n" in capsys.readouterr().out
    labels = np.concatenate([images.y_train, images.y_test])
    assert np.bincount(labels).tolist() == [10, 9, 1]
    assert len(set(images.y_train[:8])) > 1  # mixed
    assert images.x_train[:, 0, 0, 0].max() > 20  # not the first ones of each class either
    assert len(own(tmp_path / "a").x_train) == len(images.x_train)


def test_larger_pictures_have_a_lower_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(folders, "FOLDER_BYTES", 10 * 64 * 64 * 3)
    fill(tmp_path, {f"{number}.png": plain((number, 0, 0)) for number in range(8)})
    assert len(own(tmp_path).x_train) == 7
    images = datasets.load(f"folder:{tmp_path}", shape=(128, 128, 3))
    assert images.x_train.shape == (1, 128, 128, 3)
    assert "2 of 8 read" in capsys.readouterr().out


def test_pictures_come_in_the_wanted_shape(tmp_path: Path) -> None:
    fill(tmp_path, {f"{number}.png": plain((90, 90, 90), 50, 80) for number in range(3)})
    for shape in ((32, 32, 3), (28, 28, 1), (48, 32, 3)):
        images = datasets.load(f"folder:{tmp_path}", shape=shape, verbose=False)
        assert images.x_train.shape == (2, *shape) and (images.x_train == 90).all()
    assert datasets.load("mnist", shape=(28, 28, 1), verbose=False).x_train.shape[1:] == (28, 28, 1)
    with pytest.raises(BookError, match="mnist has pictures of 28x28x1, not of 64x64x3") as error:
        datasets.load("mnist", shape=(64, 64, 3))
    assert is_one_sentence(error)
    for shape in ((64, 64, 4), (0, 64, 3), (64, 64)):
        with pytest.raises(BookError, match="height, width and 1 or 3 channels"):
            datasets.load(f"folder:{tmp_path}", shape=shape)  # type: ignore[arg-type]


# ---------------------------------------------------------------- what cannot be used


def test_a_few_damaged_pictures_are_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path, {f"{kind}/{number:02d}.png": plain((number, 0, 0))
                    for kind in "ab" for number in range(15)})  # fmt: skip
    (tmp_path / "a" / "07.png").write_bytes(encoded(plain((7, 0, 0)))[:60])
    (tmp_path / "b" / "03.png").write_bytes(b"<html>not found</html>")
    images = datasets.load(f"folder:{tmp_path}")
    line = capsys.readouterr().out
    assert "; 2 of 30 left out as damaged (first a/07.png: image file is truncated)\n" in line
    both = np.concatenate([images.x_train, images.x_test])
    labels = np.concatenate([images.y_train, images.y_test])
    assert len(both) == 28 and np.bincount(labels).tolist() == [14, 14]
    assert sorted(both[labels == 0][:, 0, 0, 0]) == [*range(7), *range(8, 15)]  # no black ones


def test_own_pictures_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DatasetUnavailable, match="no folder"):
        own(tmp_path / "nowhere")
    with pytest.raises(BookError, match="home folder is unknown"):
        own("~no-such-user-here/pictures")
    fill(tmp_path, {"one.png": plain((1, 2, 3))})
    with pytest.raises(BookError, match="at least two"):
        own(tmp_path)
    (tmp_path / "two.png").write_bytes(b"no picture")
    with pytest.raises(BookError, match=r"1 of 2 .* \(first two\.png: no known kind") as error:
        own(tmp_path)
    assert is_one_sentence(error) and "object at" not in str(error.value)
    fill(tmp_path, {"two.png": plain((1, 2, 3), 40, 40)})
    assert len(own(tmp_path).x_test) == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("one.png", encoded(plain((1, 2, 3))), "is a single picture"),
        ("mine.rar", b"Rar!\x1a\x07\x01\x00" + bytes(99), "neither a folder nor a whole zip"),
        ("cut.zip", b"PK\x03\x04" + bytes(99), "neither a folder nor a whole zip"),
    ],
)
def test_files_that_hold_no_folder(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BookError, match=words) as error:
        own(tmp_path / name)
    assert is_one_sentence(error) and "delete" not in str(error.value)


def test_a_damaged_archive_is_never_to_be_deleted(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "mine.zip", {f"{n}.png": encoded(plain((n, 0, 0))) for n in range(5)})
    content = bytearray(path.read_bytes())
    content[45] ^= 255  # in the first picture
    path.write_bytes(content)
    with pytest.raises(BookError, match=r"mine\.zip .* damaged") as error:
        own(path)
    assert is_one_sentence(error) and "delete" not in str(error.value)


# ---------------------------------------------------------------- decoding


def test_pictures_are_cut_to_the_middle_turned_and_put_on_white() -> None:
    def decoded(content: bytes, shape: tuple[int, int, int] = SIDE_64) -> np.ndarray:
        return pictures.decode_picture("a", io.BytesIO(content), shape)

    wide = np.zeros((64, 192, 3), np.uint8)
    wide[:, 64:128] = (10, 200, 30)
    assert (decoded(encoded(wide)) == (10, 200, 30)).all()
    half = np.zeros((64, 64, 4), np.uint8)
    half[:32] = (9, 8, 7, 255)
    on_white = decoded(encoded(half))
    assert (on_white[:30] == (9, 8, 7)).all() and (on_white[34:] == 255).all()
    grey = decoded(encoded(plain(77)), (16, 16, 1))
    assert grey.shape == (16, 16, 1) and (grey == 77).all()


@pytest.mark.parametrize("side", [64, 2400])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_stored_turn_is_applied_to_small_and_big_pictures(side: int, bits: int) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held a quarter turn
    top_bright = np.zeros((side, side), np.uint8 if bits == 8 else np.uint16)
    top_bright[: side // 2] = 2**bits - 1
    kind = {"kind": "JPEG", "quality": 95} if bits == 8 else {"kind": "PNG"}
    content = encoded(top_bright, exif=turned, **kind)  # type: ignore[arg-type]
    grey = pictures.decode_picture("a", io.BytesIO(content), (64, 64, 1))
    assert grey[:, 40:].min() > 200 and grey[:, :24].max() < 60


def test_sixteen_bits_are_scaled_by_their_range() -> None:
    """Neither cut at 255, which makes everything white, nor taken as eight bits."""
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)[:, None].repeat(64, axis=1)
    expected = np.round(ramp / 257)
    for kind in ("PNG", "TIFF"):
        grey = pictures.decode_picture("a", io.BytesIO(encoded(ramp, kind)), (64, 64, 1))
        assert np.abs(grey[..., 0] - expected).max() <= 1 and grey.min() == 0 and grey.max() == 255


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_numbers_of_unknown_range_are_refused_by_name(tmp_path: Path, kind: type) -> None:
    for number in range(3):
        content = encoded(np.full((64, 64), 0.5).astype(kind), "TIFF")
        (tmp_path / f"{number}.tif").write_bytes(content)
    with pytest.raises(BookError, match=r"0\.tif: numbers of 32 bits, whose range") as error:
        own(tmp_path)
    assert is_one_sentence(error)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_big_pictures_of_every_mode(mode: str) -> None:
    """What is made smaller in steps looks like what is resized at once."""
    pattern = np.random.default_rng(0).integers(0, 2, (6, 6)).astype(np.uint8) * 255
    block = Image.fromarray(pattern).resize((2400, 2400), Image.Resampling.NEAREST).convert(mode)
    buffer = io.BytesIO()
    block.save(buffer, "TIFF")
    grey = pictures.decode_picture("a", buffer, (60, 60, 1))[..., 0]
    centres = grey[5::10, 5::10].astype(int)
    assert np.abs(centres - pattern).max() < 20


MEASURE = """
import pathlib, sys
from helpers.datasets import pictures
try:
    pictures.decode_picture("big", pathlib.Path(sys.argv[1]), (64, 64, 3))
except pictures.UnreadablePicture as error:
    print(error)
# Not resource's ru_maxrss, which begins at the size of the process that started this one
status = pathlib.Path("/proc/self/status").read_text()
print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""


@pytest.mark.parametrize(
    ("side", "mode", "words"),
    [(13_000, "L", "(13,000 x 13,000 pixels, more than 50,000,000)"), (14_000, "1", "more than"),
     (7_000, "RGB", "")],
)  # fmt: skip
def test_huge_pictures_take_bounded_memory(
    tmp_path: Path, side: int, mode: str, words: str
) -> None:
    """In megabytes of the whole process; 13,000 x 13,000 pixels took 3,300."""
    Image.new(mode, (side, side)).save(tmp_path / "big.png")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "big.png")], cwd=ROOT, capture_output=True,
        text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True,
    )  # fmt: skip
    *lines, megabytes = done.stdout.splitlines()
    assert words in "".join(lines) and bool(lines) == bool(words)
    assert int(megabytes) < 600


@reusing_the_folder
@given(data=st.data(), kind=st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"]))
def test_a_spoilt_picture_is_one_sentence_or_read(data: st.DataObject, kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 20, 3)).astype(np.uint8)
    content = bytearray(encoded(noise, kind))
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        decoded = pictures.decode_picture("a", io.BytesIO(cut), SIDE_64)
    except pictures.UnreadablePicture as error:
        assert "object at" not in str(error) and "\n" not in str(error)
    else:
        assert decoded.shape == SIDE_64


def test_a_picture_named_twice_in_a_zip_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for number in (1, 2, 2):
            archive.writestr(f"{number}.png", encoded(plain((number, 0, 0))))
    images = own(path)
    assert len(images.x_train) + len(images.x_test) == 2
