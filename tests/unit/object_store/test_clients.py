"""One retry policy; one client for each process and environment; nothing is loaded before it is needed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from include.object_store import ObjectStore
from include.object_store.clients import client_config, s3_client

ROOT = Path(__file__).resolve().parents[3]


def test_threads_share_one_client(environment: None) -> None:
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(s3_client())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(client) for client in found}) == 1


def test_another_endpoint_has_another_client(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    before = s3_client()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert s3_client() is not before
    assert s3_client().meta.endpoint_url == "http://127.0.0.1:9"


def test_a_process_does_not_use_the_connections_of_its_parent(environment: None) -> None:
    before, (reader, writer) = s3_client(), os.pipe()
    if not (child := os.fork()):
        os.write(writer, b"other" if s3_client() is not before else b"same")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 10) == b"other"


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_both_names_of_the_region_count(
    environment: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for other in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, "eu-west-1")
    assert s3_client().meta.region_name == "eu-west-1"


def test_the_client_of_the_store_has_the_retry_policy(environment: None) -> None:
    assert s3_client().meta.config.retries == {"mode": "standard", "total_max_attempts": 9}
    assert client_config().retries == {"mode": "standard", "total_max_attempts": 9}


def test_a_given_client_is_the_one_that_is_used() -> None:
    asked: list[str] = []

    class Given:
        def delete_object(self, **place: str) -> None:
            asked.append(f"{place['Bucket']}/{place['Key']}")

    ObjectStore(Given()).delete("s3://bucket/key")
    assert asked == ["bucket/key"]


def test_local_paths_need_no_boto3() -> None:
    code = (
        "import sys, pathlib, tempfile\nfrom include.object_store import STORE\n"
        "uri = tempfile.mkdtemp() + '/x'\nSTORE.write(uri, b'1')\nassert STORE.read(uri) == b'1'\n"
        "sys.exit(any(name.split('.')[0] in ('boto3', 'botocore') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
