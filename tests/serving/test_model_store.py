"""A model is loaded only when every byte is what its manifest promises; from a folder and from S3."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from include.contracts.errors import ContractError, InputError, IntegrityError, NexusError
from include.object_store import STORE
from serving.model_store import fetch_model
from tests.support.local_s3 import local_s3

BUCKET = "nexus-llm-models"


def sha256(folder: Path) -> str:
    return hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The environment of this process leads to a local_aws."""
    with local_s3(tmp_path_factory.mktemp("aws") / "root") as settings, pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        STORE.create_buckets([BUCKET])
        yield


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    """A copy of the model that a test may damage."""
    return Path(shutil.copytree(model, tmp_path / "serving_model"))


def uploaded(folder: Path) -> str:
    """Upload a model as it is now. Return its URI."""
    uri = f"s3://{BUCKET}/serving_model/"
    STORE.delete_folder(uri)
    for path in folder.iterdir():
        STORE.upload(uri + path.name, path)
    return uri


def test_a_model_in_s3_arrives_whole(s3: None, copy: Path, tmp_path: Path) -> None:
    manifest, folder = fetch_model(uploaded(copy), sha256(copy), tmp_path / "here")
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


def test_a_torn_file_in_s3_is_named(s3: None, copy: Path, tmp_path: Path) -> None:
    damage_cut(copy / "openvino_model.bin")
    with pytest.raises(IntegrityError, match=r"s3://nexus-llm-models/serving_model/openvino_model\.bin"):
        fetch_model(uploaded(copy), sha256(copy), tmp_path / "here")


def test_a_missing_file_is_named(s3: None, copy: Path, tmp_path: Path) -> None:
    (copy / "config.json").unlink()
    for uri in (uploaded(copy), str(copy)):
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


def test_an_error_names_the_permissions_that_the_role_lacks(s3: None, copy: Path, tmp_path: Path) -> None:
    uri = uploaded(copy)
    fault = {"service": "s3", "operation": "*", "calls": 99, "status": 403, "code": "AccessDenied"}
    endpoint = f"{os.environ['AWS_ENDPOINT_URL']}/_local/"
    urllib.request.urlopen(f"{endpoint}fail", json.dumps(fault).encode()).close()
    try:
        with pytest.raises(InputError, match=r"access denied.*s3:GetObject"):
            fetch_model(uri, sha256(copy), tmp_path / "here")
    finally:
        urllib.request.urlopen(f"{endpoint}reset", b"{}").close()
