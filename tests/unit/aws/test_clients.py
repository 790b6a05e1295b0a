"""Clients are shared within a process, and calls that may be refused say whether they were made."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from include.aws.clients import client, unless


def refuse(code: str) -> Any:
    def call(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": ""}}, "Call")

    return call


def test_a_call_is_made_with_its_request() -> None:
    requests: list[dict[str, Any]] = []
    assert unless("Gone", lambda **request: requests.append(request), Name="x") is True
    assert requests == [{"Name": "x"}]


@pytest.mark.parametrize("codes", ["Gone", ("Other", "Gone"), {"Gone"}])
def test_a_refusal_with_an_expected_code_is_no_error(codes: Any) -> None:
    assert unless(codes, refuse("Gone")) is False


@pytest.mark.parametrize("codes", ["Gone", "NotGone", ("Other",), ()])
def test_a_refusal_with_another_code_is_an_error(codes: Any) -> None:
    with pytest.raises(ClientError):
        unless(codes, refuse("NotG" if codes == "NotGone" else "Denied"))


def test_a_client_is_shared_until_endpoint_region_or_process_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    first = client("s3")
    assert client("s3") is first
    assert first.meta.endpoint_url == "http://127.0.0.1:1"
    assert first.meta.region_name == "eu-west-1"
    monkeypatch.delenv("AWS_REGION")
    second = client("s3")
    assert second.meta.region_name == "us-east-1"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:2")
    third = client("s3")
    monkeypatch.setattr("include.aws.clients.os.getpid", lambda: -1)
    fourth = client("s3")
    assert len({id(made) for made in (first, second, third, fourth, client("sqs"))}) == 5
