"""A web page in a browser on this machine cannot make the endpoint do anything."""

from __future__ import annotations

import http.client
from urllib.parse import urlencode

import pytest

from tests.local_aws.conftest import LocalAws

CREDENTIAL = "Credential=local/20260101/us-east-1/elasticmapreduce/aws4_request"
FORM = {
    "Content-Type": "application/x-www-form-urlencoded",
    "Authorization": f"AWS4-HMAC-SHA256 {CREDENTIAL}, SignedHeaders=host, Signature=0",
}
RUN_JOB_FLOW = urlencode({"Action": "RunJobFlow", "Name": "stolen", "Instances.InstanceCount": "1"})


def ask(
    server: LocalAws, method: str, path: str, body: str | None = None, **headers: str
) -> tuple[int, bytes]:
    """Status and body; ``headers`` are spelled with '_' for '-'."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Origin": "http://evil.example"}, b"origin 'http://evil.example'"),
        ({"Origin": "null"}, b"origin 'null'"),  # a sandboxed frame or a local file
        ({"Origin": "http://127.0.0.1:1"}, b"origin 'http://127.0.0.1:1'"),
        ({"Sec-Fetch-Site": "cross-site"}, b"another site"),
        ({"Host": "evil.example"}, b"'evil.example' is not this machine"),
        ({"Host": "127.0.0.1.evil.example:80"}, b"is not this machine"),
        ({"Host": "evil-localhost"}, b"is not this machine"),
        ({"Host": "[::1"}, b"is not this machine"),
    ],
)
def test_a_form_that_another_sites_page_sends_starts_no_cluster(
    shared_local_aws: LocalAws, headers: dict[str, str], said: bytes
) -> None:
    emr = shared_local_aws.client("emr")
    before = len(emr.list_clusters()["Clusters"])
    status, body = ask(shared_local_aws, "POST", "/", RUN_JOB_FLOW, **FORM, **headers)
    assert status == 403
    assert said in body
    assert len(emr.list_clusters()["Clusters"]) == before


@pytest.mark.parametrize("path", ["/_local/fail", "/_local/reset", "/bucket/key"])
def test_neither_the_control_api_nor_s3_answers_a_page_of_another_site(
    shared_local_aws: LocalAws, path: str
) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
        status, _ = ask(shared_local_aws, "POST", path, '{"service": "s3", "operation": "*"}', **headers)
        assert status == 403
    assert shared_local_aws.control("status")["pending_faults"] == []


def test_an_address_alone_makes_no_fault(shared_local_aws: LocalAws) -> None:
    status, _ = ask(shared_local_aws, "GET", "/_local/fail?service=s3&operation=*")
    assert status == 405
    assert shared_local_aws.control("status")["pending_faults"] == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "bucket.localhost"])
def test_this_machines_own_names_and_pages_are_served(shared_local_aws: LocalAws, host: str) -> None:
    own = f"http://127.0.0.1:{shared_local_aws.port}"
    for headers in ({}, {"Origin": own, "Sec-Fetch-Site": "same-origin"}):
        named = {"Host": f"{host}:{shared_local_aws.port}", **headers}
        assert ask(shared_local_aws, "GET", "/_local/status", **named)[0] == 200


def test_a_boto3_client_is_served(shared_local_aws: LocalAws) -> None:
    shared_local_aws.client("s3").list_buckets()
    shared_local_aws.client("emr").list_clusters()
