"""What the tests of data sets share: files and servers that are made up for one test."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import io
import tarfile
import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

from helpers import datasets
from helpers.files import cache_folder

reusing_the_folder = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def is_one_sentence(error: pytest.ExceptionInfo[Any]) -> bool:
    """A reader gets one line that ends like a sentence."""
    text = str(error.value)
    return "\n" not in text and text.endswith((".", "?")) and len(text) < 600


class Server:
    """A small web server on this machine; `pages` maps a path to what it answers."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.announce_more = 0  # bytes by which Content-Length lies
        self.hang = threading.Event()  # set: send half, then wait
        self.release = threading.Event()
        self.requests: list[str] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append(self.path)
                content = server.pages.get(self.path)
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content) + server.announce_more))
                self.end_headers()
                half = len(content) // 2
                self.wfile.write(content[:half])
                if server.hang.is_set():
                    server.release.wait(10)
                self.wfile.write(content[half:])

            def log_message(self, *_: object) -> None:
                pass

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.httpd.server_address[1]}{path}"


def sha(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def serve(monkeypatch: pytest.MonkeyPatch, server: Server, name: str, *contents: bytes) -> None:
    """Let the registry's files of a set come from the test's server, with their own checksums."""
    entry = datasets.REGISTRY[name]
    files = []
    for file, content in zip(entry.files, contents, strict=True):
        server.pages[f"/{file.name}"] = content
        url = server.url(f"/{file.name}")
        files.append(dataclasses.replace(file, checksum=sha(content), url=url))
    monkeypatch.setitem(datasets.REGISTRY, name, dataclasses.replace(entry, files=tuple(files)))


def tar_of(path: Path, members: dict[str, bytes], *special: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in special:
            archive.addfile(info)
    return path


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def encoded(array: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def plain(colour: int | tuple[int, ...], height: int = 80, width: int = 80) -> np.ndarray:
    channels = len(colour) if isinstance(colour, tuple) else 1
    return np.full((height, width, channels), colour, np.uint8).squeeze()


def small_arrays(shape: tuple[int, ...] = (32, 32, 3), classes: int = 10) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {"source": np.array("made up")}
    for part, count in (("train", 8), ("test", 4)):
        arrays[f"x_{part}"] = generator.integers(0, 256, (count, *shape)).astype(np.uint8)
        arrays[f"y_{part}"] = generator.integers(0, classes, count).astype(np.uint8)
    return arrays


def put_in_cache(name: str, **arrays: Any) -> Path:
    path = cache_folder() / f"{name}.npz"
    np.savez(path, **arrays)
    return path


class Trap:
    """An object whose unpickling leaves a trace."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


def cifar_archive(path: Path, count: int = 6) -> dict[str, bytes]:
    """An archive in CIFAR-10's binary format; record number r has the label r % 10."""
    members = {}
    for name in [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]:
        records = bytearray()
        for record in range(count):
            planes = bytes([record]) * 1024 + bytes([record + 100]) * 1024 + bytes(range(256)) * 4
            records += bytes([record % 10]) + planes
        members[f"cifar-10-batches-bin/{name}"] = bytes(records)
    members["cifar-10-batches-bin/readme.html"] = b"<html>"
    tar_of(path, members)
    return members
