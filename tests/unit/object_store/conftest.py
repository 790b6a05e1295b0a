"""A real local_aws as S3, and stores whose answers of S3 are given by the test."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from include.object_store import ObjectStore
from include.object_store.clients import client_config

ROOT = Path(__file__).resolve().parents[3]
_SETTINGS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}

Control = Callable[[str, Mapping[str, Any]], None]


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a local_aws process of this test session."""
    python = ROOT / ".venvs" / "local_aws" / "bin" / "python"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    server = subprocess.Popen(
        [python, "-m", "local_aws", "--root", tmp_path_factory.mktemp("aws") / "root", "--port", "0"],
        env={**kept, **_SETTINGS, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        ready = server.stdout.readline()
        assert ready.startswith("local_aws ready "), ready
        yield ready.split()[-1]
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture
def environment(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of this process leads to local_aws."""
    for name, value in {**_SETTINGS, "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def s3(environment: None, endpoint: str) -> Any:
    """A boto3 client with the retry policy of the store."""
    return boto3.client("s3", config=client_config())


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def control(endpoint: str) -> Iterator[Control]:
    """``control(name, arguments)`` makes faults happen; they end with the test."""

    def post(name: str, arguments: Mapping[str, Any]) -> None:
        with urllib.request.urlopen(f"{endpoint}/_local/{name}", json.dumps(arguments).encode(), timeout=30):
            pass

    yield post
    post("reset", {})


@pytest.fixture(params=["local", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty folder, of this machine and then of S3."""
    if request.param == "local":
        return f"{tmp_path}/root"
    request.getfixturevalue("environment")
    return f"s3://{request.getfixturevalue('bucket')}/root"


@pytest.fixture
def stubbed() -> Iterator[tuple[ObjectStore, Stubber]]:
    """A store, and the answers that its S3 gives."""
    client = boto3.client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": 1}),
    )
    with Stubber(client) as stub:
        yield ObjectStore(client), stub
        stub.assert_no_pending_responses()
