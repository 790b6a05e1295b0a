"""Folders behave alike on this machine and in S3; a whole run through S3 equals one on local paths."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.contracts.errors import ContractError, InputError, IntegrityError
from include.contracts.manifests import TrainingRequest
from include.contracts.records import canonical_json, to_plain
from tests.training.corpora import RECIPE, ROOT, Corpus, Run, make_run
from training import storage
from training.storage import Folder, fetch_verified, file_entry, open_folder

BUCKET = "nexus-llm-models"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A local_aws on a free port, set in this process' environment; gives the root of a bucket."""
    root = tmp_path_factory.mktemp("aws")
    python = ROOT / ".venvs" / "local_aws" / "bin" / "python"
    settings = {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    environment = {**os.environ, **settings, "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
    server = subprocess.Popen(
        [str(python), "-m", "local_aws", "--root", str(root), "--port", "0"],
        env=environment, cwd=ROOT, text=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        ready = server.stdout.readline()
        assert ready.startswith("local_aws ready "), ready
        with pytest.MonkeyPatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, value)
            patch.setenv("AWS_ENDPOINT_URL", ready.split()[-1])
            storage._client.cache_clear()
            storage._client().create_bucket(Bucket=BUCKET)
            yield f"s3://{BUCKET}/"
        storage._client.cache_clear()
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture(params=["local", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    if request.param == "local":
        return open_folder(f"{tmp_path}/folder/")
    return open_folder(f"{request.getfixturevalue('s3')}{tmp_path.name}/")


def test_what_was_written_is_read_listed_and_deleted(folder: Folder, tmp_path: Path) -> None:
    assert folder.sizes() == {}
    folder.write("step_10/a", b"one")
    folder.write("step_9/b", b"four")
    (tmp_path / "big").write_bytes(os.urandom(9 * 2**20))
    folder.upload("step_9/big", tmp_path / "big")
    assert folder.sizes() == {"step_10/a": 3, "step_9/b": 4, "step_9/big": 9 * 2**20}
    assert folder.sizes("step_9/") == {"step_9/b": 4, "step_9/big": 9 * 2**20}
    folder.write("step_10/a", b"changed")
    assert folder.read("step_10/a") == b"changed"
    folder.download("step_9/big", tmp_path / "down" / "big")
    assert (tmp_path / "down" / "big").read_bytes() == (tmp_path / "big").read_bytes()
    folder.delete("step_9/b")
    folder.delete("step_9/b")
    assert not folder.exists("step_9/b")
    assert folder.exists("step_9/big")


def test_a_missing_file_is_named(folder: Folder, tmp_path: Path) -> None:
    for action in (lambda: folder.read("no/such"), lambda: folder.download("no/such", tmp_path / "x")):
        with pytest.raises(InputError, match="does not exist") as caught:
            action()
        assert folder.uri("no/such") in str(caught.value)


def test_a_download_is_checked_against_its_entry(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"promised")
    entry = file_entry(tmp_path / "file", "file")
    for content, message in ((b"promise", "wrong size"), (b"Promised", "wrong content")):
        folder.write("file", content)
        with pytest.raises(IntegrityError, match=message):
            fetch_verified(folder, entry, tmp_path / "down")


def test_a_missing_bucket_is_a_readable_error(s3: str) -> None:
    with pytest.raises(InputError, match="does not exist"):
        open_folder("s3://no-such-bucket/prefix/").read("x")
    with pytest.raises(InputError, match="bucket does not exist"):
        open_folder("s3://no-such-bucket/prefix/").sizes()
    with pytest.raises(InputError, match="bucket does not exist"):
        open_folder("s3://no-such-bucket/prefix/").write("x", b"")


def test_a_uri_that_is_none_is_refused() -> None:
    with pytest.raises(ContractError, match="not an S3 URI"):
        open_folder("s3://B!/x")


def test_a_run_on_s3_equals_one_on_local_paths(
    s3: str, tmp_path: Path, corpus: Corpus, uninterrupted: tuple[Run, str]
) -> None:
    reference, _ = uninterrupted
    run = make_run(tmp_path, corpus)
    root = f"{s3}runs/test-run/"
    request = TrainingRequest("test-run", root, corpus.reference, to_plain(RECIPE))
    run.request.write_bytes(canonical_json(request))
    code, output = run.finish()
    assert code == 0, output
    stored = open_folder(root)
    assert stored.read("model/model.safetensors") == (reference.model / "model.safetensors").read_bytes()
    assert {"checkpoints/step_12/complete.json", "training_report.json"} <= set(stored.sizes())
