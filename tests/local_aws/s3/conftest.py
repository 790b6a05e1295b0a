"""A boto3 client of the shared server, and a bucket of its own for each test."""

from __future__ import annotations

import http.client
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from botocore.exceptions import ClientError

AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)


class Server(Protocol):
    """The part of LocalAws that these tests use."""

    root: Path
    port: int

    def client(self, service: str, **config: Any) -> Any: ...


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Failures:
    """Calls that must fail, and what they failed with."""

    @staticmethod
    def of(call: Any, **arguments: Any) -> tuple[str, int]:
        with pytest.raises(ClientError) as failure:
            call(**arguments)
        response = failure.value.response
        return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.fixture(scope="session")
def s3(shared_local_aws: Server) -> Any:
    return shared_local_aws.client("s3")


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def folder(shared_local_aws: Server, bucket: str) -> Path:
    """The folder of the bucket's files."""
    return shared_local_aws.root / bucket


@pytest.fixture
def fails() -> Any:
    """``fails(call, **arguments) -> (code, status)``."""
    return Failures.of


@pytest.fixture
def http_call(shared_local_aws: Server) -> Iterator[Any]:
    """Plain HTTP for what boto3 would never send: ``http_call(method, path, body, **headers) -> Answer``."""
    connection = http.client.HTTPConnection("127.0.0.1", shared_local_aws.port, timeout=30)

    def call(method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        connection.request(method, path, body, {"Authorization": AUTHORIZATION, **(headers or {})})
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    yield call
    connection.close()
