"""A model is loaded only when every byte is what its manifest promises; from a folder and from S3."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from include.contracts.errors import ContractError, InputError, IntegrityError, NexusError
from serving.model_store import fetch_model


def sha256(folder: Path) -> str:
    return hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


@contextlib.contextmanager
def s3_of(root: Path) -> Iterator[str]:
    """An endpoint that answers GetObject with the files of ``root/<bucket>/<key>``."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(root))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    """A model of one's own to damage, under the path of a bucket and prefix."""
    return Path(shutil.copytree(model, tmp_path / "s3" / "nexus-llm-models" / "serving_model"))


@pytest.fixture
def s3_uri(copy: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with s3_of(copy.parents[1]) as endpoint:
        for name, value in {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        yield "s3://nexus-llm-models/serving_model/"


def test_a_model_in_s3_arrives_whole(s3_uri: str, copy: Path, tmp_path: Path) -> None:
    manifest, folder = fetch_model(s3_uri, sha256(copy), tmp_path / "here")
    assert manifest.run == "test-run"
    assert folder == tmp_path / "here"
    assert {p.name for p in folder.iterdir()} == {p.name for p in copy.iterdir()} - {"manifest.json"}
    assert (folder / "openvino_model.bin").read_bytes() == (copy / "openvino_model.bin").read_bytes()


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_model_in_a_folder_is_used_in_place(form: str, copy: Path, tmp_path: Path) -> None:
    _, folder = fetch_model(form.format(copy), sha256(copy), tmp_path / "unused")
    assert folder == copy


def damage_flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("name", ["openvino_model.bin", "openvino_tokenizer.xml"])
@pytest.mark.parametrize("damage", [damage_flip, damage_cut])
def test_a_torn_or_altered_file_is_named(copy: Path, tmp_path: Path, name: str, damage: Any) -> None:
    damage(copy / name)
    with pytest.raises(IntegrityError, match=name):
        fetch_model(str(copy), sha256(copy), tmp_path)


def test_a_torn_file_in_s3_is_named(s3_uri: str, copy: Path, tmp_path: Path) -> None:
    damage_cut(copy / "openvino_model.bin")
    with pytest.raises(IntegrityError, match=r"s3://nexus-llm-models/serving_model/openvino_model\.bin"):
        fetch_model(s3_uri, sha256(copy), tmp_path / "here")


def test_a_missing_file_is_named(s3_uri: str, copy: Path, tmp_path: Path) -> None:
    (copy / "config.json").unlink()
    for uri in (s3_uri, str(copy)):
        with pytest.raises(InputError, match=r"config\.json"):
            fetch_model(uri, sha256(copy), tmp_path / "here")


def test_another_manifest_than_the_deployed_one_is_refused(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="not the one that was deployed"):
        fetch_model(str(copy), "0" * 64, tmp_path)


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"format": "safetensors"}, ContractError, "openvino"),
        ({"files": []}, ContractError, "openvino_model.xml"),
        ({"surprise": 1}, ContractError, "surprise"),
        ({"files": [{"path": "../x", "size_bytes": 1, "sha256": "0" * 64}]}, ContractError, r"\.\./x"),
        ({"files": [{"path": "/etc/x", "size_bytes": 1, "sha256": "0" * 64}]}, ContractError, "/etc/x"),
    ],
)
def test_a_manifest_of_something_else_is_refused(
    copy: Path, tmp_path: Path, change: dict[str, object], error: type[NexusError], told: str
) -> None:
    path = copy / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(error, match=told):
        fetch_model(str(copy), sha256(copy), tmp_path)
