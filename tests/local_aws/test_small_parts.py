"""Page tokens, the lock of a folder, the credentials that are refused, and errors for each protocol."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from local_aws.errors import AwsError, LocalAwsError, render
from local_aws.pagination import offset_of
from local_aws.real_credentials import refuse_real_credentials
from local_aws.root_lock import lock_root


@pytest.mark.parametrize(("token", "offset"), [(None, 0), ("", 0), ("1", 1), ("999999999", 999_999_999)])
def test_a_page_token_is_the_position_of_the_next_entry(token: str | None, offset: int) -> None:
    assert offset_of(token) == offset


@pytest.mark.parametrize("token", ["0", "01", "-1", "1 ", "x", "1000000000", "１"])
def test_an_invalid_page_token_is_refused(token: str) -> None:
    with pytest.raises(AwsError, match="pagination token") as refusal:
        offset_of(token)
    assert (refusal.value.code, refusal.value.status) == ("ValidationException", 400)


def test_an_invalid_page_token_is_shown_in_part() -> None:
    with pytest.raises(AwsError) as refusal:
        offset_of("x" * 500)
    assert refusal.value.message.count("x") == 50


def test_a_folder_is_served_once_until_its_lock_is_closed(tmp_path: Path) -> None:
    first = lock_root(tmp_path)
    with pytest.raises(LocalAwsError, match="another local_aws serves this folder"):
        lock_root(tmp_path)
    first.close()
    lock_root(tmp_path).close()


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"},
        {"AWS_PROFILE": ""},
        {"AWS_ACCESS_KEY_ID": "testing"},
    ],
)
def test_credentials_of_this_machine_are_accepted(variables: dict[str, str]) -> None:
    refuse_real_credentials(variables)


@pytest.mark.parametrize(
    "variables",
    [
        {"AWS_PROFILE": "production"},
        {"AWS_DEFAULT_PROFILE": "production"},
        {"AWS_SESSION_TOKEN": "x"},
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token"},
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://h/"},
        *({"AWS_ACCESS_KEY_ID": f"{prefix}EXAMPLE"} for prefix in ("AKIA", "ASIA", "AROA", "aida")),
    ],
)
def test_credentials_that_may_be_real_are_refused_by_name(variables: dict[str, str]) -> None:
    (name,) = variables
    with pytest.raises(LocalAwsError, match=f"{name}: the environment holds credentials") as refusal:
        refuse_real_credentials(variables)
    assert f"unset {name} and start again" in str(refusal.value)


ERROR = AwsError("NoSuchKey", "no <key>", 404, {"Key": "a&b"}, {"x-more": "1"})


def test_an_error_of_s3_is_xml_with_its_extra_elements() -> None:
    response = render(ERROR, "rest-xml", "id-1")
    assert isinstance(response.body, bytes)
    document = ElementTree.fromstring(response.body)
    assert {child.tag: child.text for child in document} == {
        "Code": "NoSuchKey",
        "Message": "no <key>",
        "Key": "a&b",
        "RequestId": "id-1",
    }
    assert response.status == 404
    assert response.headers["Content-Type"] == "application/xml"
    assert response.headers["x-amz-request-id"] == response.headers["x-amzn-RequestId"] == "id-1"
    assert response.headers["x-more"] == "1"


@pytest.mark.parametrize(("status", "kind"), [(400, "Sender"), (499, "Sender"), (500, "Receiver")])
def test_an_error_of_a_query_service_says_whose_fault_it_is(status: int, kind: str) -> None:
    response = render(AwsError("Code", "no <b>", status), "query", "id-1")
    assert isinstance(response.body, bytes)
    document = ElementTree.fromstring(response.body)
    assert document.findtext("Error/Type") == kind
    assert document.findtext("Error/Code") == "Code"
    assert document.findtext("Error/Message") == "no <b>"
    assert document.findtext("RequestId") == "id-1"
    assert response.headers["Content-Type"] == "text/xml"


def test_an_error_of_a_json_service_has_its_code_in_body_and_header() -> None:
    response = render(ERROR, "json", "id-1")
    assert isinstance(response.body, bytes)
    assert json.loads(response.body) == {"__type": "NoSuchKey", "message": "no <key>"}
    assert response.headers["x-amzn-ErrorType"] == "NoSuchKey"


def test_an_error_in_cbor_is_a_map_of_two_texts() -> None:
    response = render(AwsError("Code", "ü" * 300), "cbor", "id-1")
    # RFC 8949: a map of two pairs; a text is 0x7a, its length in four bytes, and UTF-8
    parts = [b"\xa2", b"\x7a\0\0\0\x06__type", b"\x7a\0\0\0\x04Code", b"\x7a\0\0\0\x07message"]
    assert response.body == b"".join([*parts, b"\x7a\0\0\x02\x58", ("ü" * 300).encode()])
    assert response.headers["smithy-protocol"] == "rpc-v2-cbor"
    assert str(ERROR) == "NoSuchKey (404): no <key>"
