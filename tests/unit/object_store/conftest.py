"""A real local_aws as S3, and stores whose answers of S3 are given by the test."""

from __future__ import annotations

import json
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
from tests.support.local_s3 import local_s3

Control = Callable[[str, Mapping[str, Any]], None]


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment that leads to the local_aws of this test session."""
    with local_s3(tmp_path_factory.mktemp("aws") / "root") as found:
        yield found


@pytest.fixture
def endpoint(settings: dict[str, str]) -> str:
    return settings["AWS_ENDPOINT_URL"]


@pytest.fixture
def environment(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of this process leads to local_aws."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def s3(environment: None) -> Any:
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
