"""Image sets that are fetched or read from a named folder, and their cache."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import (
    Server,
    Trap,
    cifar_archive,
    encoded,
    is_one_sentence,
    plain,
    put_in_cache,
    reusing_the_folder,
    serve,
    sha,
    small_arrays,
    tar_of,
    zip_of,
)

from helpers import datasets
from helpers.datasets import (
    DatasetUnavailable,
    published,
    registry,
)
from helpers.files import BookError, cache_folder, file_sha256

# ---------------------------------------------------------------- the cache


def test_a_cached_set_is_used_and_says_whose_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    arrays = small_arrays()
    put_in_cache("cifar10", **arrays)
    images = datasets.load("cifar10")
    assert capsys.readouterr().out == (
        "cifar10: 8 + 4 images 32x32x3, made up; not the published checksum\n"
    )
    assert sorted(map(bytes, images.x_test)) == sorted(map(bytes, arrays["x_test"]))
    assert images.y_test.dtype == np.int64 and images.class_names[3] == "cat"


def test_a_cached_set_that_is_sorted_by_class_comes_mixed_with_labels_and_attributes() -> None:
    labels = np.repeat(np.arange(10), 20).astype(np.uint8)
    pictures = np.broadcast_to(labels[:, None, None, None], (200, 32, 32, 3)).copy()
    put_in_cache(
        "cifar10", source=np.array("made up"), attribute_names=np.array(["odd"]),
        **{f"{kind}_{part}": array for part in ("train", "test") for kind, array in
           {"x": pictures, "y": labels, "attributes": labels[:, None] % 2}.items()},
    )  # fmt: skip
    images = datasets.load("cifar10", verbose=False)
    assert len(set(images.y_test[:20])) > 5  # 1 in the file
    assert np.array_equal(images.x_test[:, 0, 0, 0], images.y_test)
    assert np.array_equal(images.attributes["odd"].train, images.y_train % 2)
    again = datasets.load("cifar10", verbose=False)
    assert np.array_equal(images.y_train, again.y_train)


def test_full_mnist_comes_without_a_channel_axis_and_under_its_usual_name() -> None:
    put_in_cache("mnist", **small_arrays((28, 28)))
    assert datasets.load("mnist_full", verbose=False).x_train.shape == (8, 28, 28, 1)
    assert len(datasets.load("mnist", verbose=False).x_train) == 4000  # the embedded ones stay


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x_train": np.full((8, 32, 32, 3), np.nan)}, "not finite"),
        ({"x_train": np.zeros((8, 32, 32, 3), np.float32)}, "float32, not uint8"),
        ({"x_train": np.zeros((8, 28, 28, 3), np.uint8)}, "shape"),
        ({"x_train": np.zeros((8, 32, 32), np.uint8)}, "shape"),
        ({"x_train": np.array(3, np.uint8)}, "shape"),
        ({"y_train": np.zeros(7, np.int64)}, "one whole number"),
        ({"y_train": np.zeros((8, 1), np.int64)}, "one whole number"),
        ({"y_train": np.zeros(8)}, "one whole number"),
        ({"y_test": np.array([0, 1, 2, 10])}, "0 to 10"),
        ({"y_test": np.array([0, 1, 2, -1])}, "-1 to 2"),
        ({"x_test": np.zeros((0, 32, 32, 3), np.uint8), "y_test": np.zeros(0, int)}, "each of 0"),
        ({"y_train": np.array([None] * 8)}, "cannot be read"),
        ({"attribute_names": np.array(["smiling"])}, "attributes_train"),
        ({"x_test": None}, "no x_test"),
    ],
)
def test_a_bad_cached_set_is_one_sentence(change: dict[str, Any], words: str) -> None:
    arrays = {key: value for key, value in (small_arrays() | change).items() if value is not None}
    put_in_cache("cifar10", **arrays)
    with pytest.raises(BookError, match=words) as error:
        datasets.load("cifar10")
    assert "delete it" in str(error.value) and is_one_sentence(error)


@reusing_the_folder
@given(place=st.floats(0, 1, exclude_max=True))
def test_a_cut_cached_set_is_one_sentence(place: float) -> None:
    path = put_in_cache("cifar10", **small_arrays())
    content = path.read_bytes()
    path.write_bytes(content[: int(place * len(content))])
    with pytest.raises(BookError, match="delete it") as error:
        datasets.load("cifar10")
    assert is_one_sentence(error)


def test_nothing_in_a_cached_set_is_unpickled(tmp_path: Path) -> None:
    trap = np.array([Trap(tmp_path / "sprung")] * 8, dtype=object)
    path = cache_folder() / "cifar10.npz"
    np.savez(path, **small_arrays() | {"y_train": trap})
    with pytest.raises(BookError):
        datasets.load("cifar10")
    assert not (tmp_path / "sprung").exists()
    with np.load(path, allow_pickle=True) as arrays:
        arrays["y_train"]
    assert (tmp_path / "sprung").exists()  # the trap does work


# ---------------------------------------------------------------- CIFAR-10, MNIST, flowers


@pytest.mark.usefixtures("in_file_order")
def test_cifar10_from_its_archive(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    cifar_archive(tmp_path / "a")
    serve(monkeypatch, server, "cifar10", (tmp_path / "a").read_bytes())
    images = datasets.load("cifar10")
    line = capsys.readouterr().out
    assert line.startswith("cifar10: 30 + 6 images 32x32x3, University of Toronto")
    assert line.endswith("; checksum as published\n")
    assert images.y_train.tolist() == [0, 1, 2, 3, 4, 5] * 5
    picture = images.x_test[2]
    assert (picture[..., 0] == 2).all() and (picture[..., 1] == 102).all()
    assert picture[..., 2].tobytes() == bytes(range(256)) * 4  # rows, left to right
    # a second load neither fetches nor converts, and recognises the file
    again = datasets.load("cifar10")
    assert capsys.readouterr().out == line
    assert server.requests == ["/cifar-10-binary.tar.gz"]
    assert np.array_equal(again.x_train, images.x_train)
    # a file that somebody changed afterwards is not called published
    put_in_cache("cifar10", **small_arrays())
    datasets.load("cifar10")
    assert capsys.readouterr().out.endswith("; not the published checksum\n")


@pytest.mark.parametrize("spoil", ["no test", "no train", "half a record", "empty"])
def test_a_wrong_cifar_archive_is_refused(tmp_path: Path, spoil: str) -> None:
    members = cifar_archive(tmp_path / "a", 2)
    test = "cifar-10-batches-bin/test_batch.bin"
    if spoil == "no test":
        del members[test]
    elif spoil == "no train":
        members = {test: members[test]}
    else:
        members[test] = members[test][:-1] if spoil == "half a record" else b""
    with pytest.raises(BookError, match="damaged") as error:
        published.from_cifar10(tar_of(tmp_path / "b", members))
    assert is_one_sentence(error)


def test_two_processes_fetch_at_once(tmp_path: Path, server: Server) -> None:
    """Both get the whole set, and the cache holds no half files."""
    cifar_archive(tmp_path / "a")
    server.pages["/c"] = content = (tmp_path / "a").read_bytes()
    code = (
        "import dataclasses as d, sys\n"
        "from helpers import datasets\n"
        "entry = datasets.REGISTRY['cifar10']\n"
        f"file = d.replace(entry.files[0], checksum={sha(content)!r}, url={server.url('/c')!r})\n"
        "datasets.REGISTRY['cifar10'] = d.replace(entry, files=(file,))\n"
        "print(datasets.load('cifar10', verbose=False).x_train.sum())\n"
    )
    server.hang.set()  # both are in the middle of their download before either ends
    running = [
        subprocess.Popen([sys.executable, "-c", code], cwd=registry.DATA.parent, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]  # fmt: skip
    for _ in range(300):
        if len(server.requests) == 2:
            break
        threading.Event().wait(0.1)
    server.release.set()
    answers = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0, 0], answers
    assert len(server.requests) == 2
    assert answers[0][0] == answers[1][0] != ""
    names = sorted(path.name for path in cache_folder().rglob("*") if path.is_file())
    assert names == ["cifar-10-binary.tar.gz", "cifar10.npz", "cifar10.npz.sha256"]
    path = cache_folder() / "cifar10.npz"
    assert (cache_folder() / "cifar10.npz.sha256").read_text().strip() == file_sha256(path)


@pytest.mark.usefixtures("in_file_order")
def test_full_mnist_from_its_file(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    buffer = io.BytesIO()
    arrays = small_arrays((28, 28))
    del arrays["source"]  # Keras's file has none
    np.savez(buffer, **arrays)
    serve(monkeypatch, server, "mnist_full", buffer.getvalue())
    images = datasets.load("mnist_full")
    assert capsys.readouterr().out.endswith("; checksum as published\n")
    assert np.array_equal(images.x_train[..., 0], arrays["x_train"])


def test_mnist_with_other_arrays_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, x=np.zeros(3))
    serve(monkeypatch, server, "mnist_full", buffer.getvalue())
    with pytest.raises(BookError, match="not MNIST"):
        datasets.load("mnist_full")
    assert not (cache_folder() / "mnist.npz").exists()


def test_a_full_disk_leaves_no_half_set(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    cifar_archive(tmp_path / "a")
    serve(monkeypatch, server, "cifar10", (tmp_path / "a").read_bytes())

    def no_space(path: Path, **_: np.ndarray) -> None:
        path.write_bytes(b"half a set")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", no_space)
        with pytest.raises(BookError, match="No space left") as error:
            datasets.load("cifar10")
    assert is_one_sentence(error)
    assert [path.name for path in cache_folder().iterdir()] == ["downloads"]
    assert len(datasets.load("cifar10", verbose=False).x_train) == 30  # later it works


@pytest.mark.usefixtures("in_file_order")
def test_flowers_change_the_roles_of_the_published_parts(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scipy.io import savemat

    members = {
        f"jpg/image_{number:05d}.jpg": encoded(plain((number * 20, 0, 0)), "JPEG", quality=95)
        for number in range(1, 11)
    }
    tar_of(tmp_path / "f", members)
    savemat(tmp_path / "l", {"labels": np.arange(93, 103)}, appendmat=False)
    ids = {"trnid": [9, 2], "valid": [10, 1], "tstid": [3, 4, 5, 6, 7, 8]}
    savemat(tmp_path / "s", ids, appendmat=False)
    contents = [(tmp_path / name).read_bytes() for name in "fls"]
    serve(monkeypatch, server, "flowers", *contents)
    flowers = datasets.load("flowers", verbose=False)
    assert flowers.x_train.shape == (8, 64, 64, 3)
    assert (flowers.y_test + 1).tolist() == [94, 101]
    assert (flowers.y_train + 1).tolist() == [93, 95, 96, 97, 98, 99, 100, 102]
    assert np.allclose(flowers.x_test[:, 0, 0, 0], [40, 180], atol=6)
    assert len(flowers.class_names) == 102


def test_flower_files_that_do_not_belong_together(tmp_path: Path) -> None:
    from scipy.io import savemat

    tar_of(tmp_path / "f", {"jpg/image_00001.jpg": encoded(plain((1, 2, 3)), "JPEG")})
    savemat(tmp_path / "l", {"labels": [1]}, appendmat=False)
    savemat(tmp_path / "s", {"trnid": [1], "valid": [2], "tstid": [3]}, appendmat=False)
    with pytest.raises(BookError, match="belong together"):
        published.from_flowers(tmp_path / "f", tmp_path / "l", tmp_path / "s")
    (tmp_path / "l").write_bytes(b"MATLAB 5.0 but not really")
    with pytest.raises(BookError, match="damaged"):
        published.from_flowers(tmp_path / "f", tmp_path / "l", tmp_path / "s")


# ---------------------------------------------------------------- faces, bricks


CELEBA_ROWS = {1: "1 -1", 2: "-1 1", 3: "1 1", 182_638: "-1 -1", 170_000: "1 1"}


def celeba_folder(folder: Path, style: str) -> Path:
    """A small CelebA: "txt" with unpacked pictures, "csv" as Kaggle has it, "zip" as published."""
    folder.mkdir()
    rows = [f"{number:06d}.jpg {row}" for number, row in CELEBA_ROWS.items()]
    pictures = {
        f"{number:06d}.jpg": encoded(plain((number % 100, 5, 9), 218, 178), "JPEG", quality=95)
        for number in CELEBA_ROWS
    }
    if style == "csv":
        lines = ["image_id,Blond_Hair,Smiling", *(row.replace(" ", ",") for row in rows)]
        (folder / "list_attr_celeba.csv").write_text("\n".join(lines))
    else:
        lines = [str(len(rows)), "Blond_Hair Smiling", *rows]
        (folder / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    if style == "zip":
        members = {f"img_align_celeba/{name}": content for name, content in pictures.items()}
        zip_of(folder / "img_align_celeba.zip", members)
    else:
        (folder / "img_align_celeba").mkdir()
        for name, content in pictures.items():
            (folder / "img_align_celeba" / name).write_bytes(content)
    return folder


@pytest.mark.usefixtures("in_file_order")
@pytest.mark.parametrize("style", ["txt", "csv", "zip"])
def test_celeba_from_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, style: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GENBOOK_CELEBA", str(celeba_folder(tmp_path / "faces", style)))
    faces = datasets.load("celeba")
    assert faces.x_train.shape == (3, 64, 64, 3) and faces.x_test.shape == (1, 64, 64, 3)
    assert np.allclose(faces.x_train[:, 0, 0, 0], [1, 2, 3], atol=3)
    assert faces.y_train.tolist() == [1, 0, 1] and faces.class_names == ("not blond", "blond")
    assert faces.attributes["smiling"].train.tolist() == [0, 1, 1]
    assert faces.attributes["smiling"].test.tolist() == [0]
    assert capsys.readouterr().out.endswith("; not the published checksum\n")


def test_celeba_without_test_pictures_holds_some_out(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rows = ["Blond_Hair"]
    for number in range(1, 21):
        (folder / f"{number:06d}.jpg").write_bytes(encoded(plain((number, 0, 0)), "JPEG"))
        rows.append(f"{number:06d}.jpg 1")
    (tmp_path / "list.txt").write_text("\n".join(["20", *rows]))
    arrays = published.from_celeba(folder, tmp_path / "list.txt")
    assert len(arrays["x_train"]) == 18 and len(arrays["x_test"]) == 2


@pytest.mark.parametrize("text", ["", "2\nA B\n000001.jpg 1\n", "5\nBlond_Hair\n"])
def test_a_wrong_attribute_list_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(BookError, match="damaged"):
        published.read_attributes(tmp_path / "list.txt")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("1", "-1"), [1, 0]), (("1", "0"), [1, 0]), (("1.0", "-1.0"), [1, 0]),
        (("True", "False"), [1, 0]), (("yes", "NO"), [1, 0]),
    ],
)  # fmt: skip
def test_spellings_of_yes_and_no(
    tmp_path: Path, words: tuple[str, str], expected: list[int]
) -> None:
    for path, between in ((tmp_path / "a.csv", ","), (tmp_path / "a.txt", " ")):
        rows = [["image_id", "Young", "Male"], ["000001.jpg", *words], ["000002.jpg", *words]]
        path.write_text("\n".join(between.join(row) for row in rows))
        names, values = published.read_attributes(path)
        assert names == ["Young", "Male"] and values["000002.jpg"].tolist() == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image_id,A,B\n1.jpg,1,nan\n2.jpg,1,1\n", r"row of 1\.jpg has the value 'nan'"),
        ("image_id,A,B\n1.jpg,1,\n2.jpg,1,1\n", r"row of 1\.jpg has the value ''"),
        ("image_id,A,B\n1.jpg,1,?\n2.jpg,1,1\n", r"row of 1\.jpg has the value '\?'"),
        ("image_id,A,B\n1.jpg,1,-1\n2.jpg,1,0\n", r"row of 2\.jpg has the value '0'"),
        ("image_id,A,B\n1.jpg,1,1\n1.jpg,0,0\n", r"two rows for 1\.jpg"),
        ("image_id,A,A\n1.jpg,1,1\n", "two columns have the same name"),
        ("image_id,A,B\n1.jpg,1\n", r"row of 1\.jpg has 1 values for 2"),
    ],
)
def test_attributes_that_are_neither_yes_nor_no(tmp_path: Path, text: str, words: str) -> None:
    """An unknown value was once taken for "no"."""
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(BookError, match=words) as error:
        published.read_attributes(tmp_path / "list.csv")
    assert is_one_sentence(error)


def test_a_list_that_was_cut_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("3\nBlond_Hair\n000001.jpg 1\n000002.jpg -1\n")
    with pytest.raises(BookError, match="announces 3 rows and has 2"):
        published.read_attributes(tmp_path / "list.txt")


def test_of_aligned_and_wild_pictures_the_aligned_ones_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENBOOK_CELEBA", str(celeba_folder(tmp_path / "faces", "txt")))
    wild = tmp_path / "faces" / "img_celeba"
    wild.mkdir()
    for number in CELEBA_ROWS:
        (wild / f"{number:06d}.jpg").write_bytes(encoded(plain((250, 250, 250)), "JPEG"))
    faces = datasets.load("celeba", verbose=False)
    assert len(faces.x_train) == 3 and faces.x_train[..., 0].max() < 10
    # two folders, neither of them the one that the book knows
    (tmp_path / "faces" / "img_align_celeba").rename(tmp_path / "faces" / "aligned")
    (cache_folder() / "celeba.npz").unlink()
    with pytest.raises(BookError, match=r"aligned/000001\.jpg and img_celeba/000001\.jpg") as error:
        datasets.load("celeba")
    assert is_one_sentence(error)


def test_pictures_without_a_row_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = celeba_folder(tmp_path / "faces", "txt")
    monkeypatch.setenv("GENBOOK_CELEBA", str(folder))
    for number in (4, 5):
        picture = encoded(plain((4, 4, 4)), "JPEG")
        (folder / "img_align_celeba" / f"{number:06d}.jpg").write_bytes(picture)
    datasets.load("celeba")
    line = capsys.readouterr().out
    assert "; 2 pictures left out that list_attr_celeba.txt does not name; " in line
    datasets.load("celeba")  # from the cache
    assert capsys.readouterr().out == line


def test_a_damaged_picture_of_a_published_set_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = celeba_folder(tmp_path / "faces", "txt")
    monkeypatch.setenv("GENBOOK_CELEBA", str(folder))
    (folder / "img_align_celeba" / "000002.jpg").write_bytes(b"no picture")
    with pytest.raises(BookError, match=r"img_align_celeba/000002\.jpg cannot be read") as error:
        datasets.load("celeba")
    assert is_one_sentence(error) and not (cache_folder() / "celeba.npz").exists()


@pytest.mark.parametrize("name", ["celeba", "bricks"])
def test_sets_behind_a_login_say_where_to_put_them(name: str) -> None:
    with pytest.raises(DatasetUnavailable) as error:
        datasets.load(name)
    text = str(error.value)
    assert datasets.REGISTRY[name].url in text and f"GENBOOK_{name.upper()}" in text
    assert str(cache_folder() / name) in text and is_one_sentence(error)


@pytest.mark.usefixtures("in_file_order")
def test_bricks_keep_both_cameras_of_a_view_together() -> None:
    folder = cache_folder() / "bricks" / "dataset"
    folder.mkdir(parents=True)
    for part in ("3001 brick 2x4", "3003 brick 2x2"):
        for view in range(12):
            for camera in "LR":
                grey = encoded(plain((view * 10, view * 10, view * 10, 255)))
                (folder / f"{part} {view:03d}{camera}.png").write_bytes(grey)
    bricks = datasets.load("bricks", verbose=False)
    assert bricks.x_train.shape == (44, 64, 64, 1)
    assert bricks.class_names == ("3001 brick 2x4", "3003 brick 2x2")
    assert bricks.y_test.tolist() == [0, 0, 1, 1]
    assert (bricks.x_test == 90).all()  # view 9, both cameras, both parts
