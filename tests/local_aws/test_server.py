"""The one process: how it starts and refuses to, how it routes, and the faults it can be asked for."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import urllib.error
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.local_aws.conftest import REPOSITORY, LocalAws


def start_once(root: Path, port: int, **environment: str) -> tuple[int, str]:
    """Exit status and stderr of a start that must fail."""
    done = subprocess.run(
        [sys.executable, "-m", "local_aws", "--root", str(root), "--port", str(port)],
        cwd=REPOSITORY,
        env={**LocalAws.environment(), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ACCESS_KEY_ID", "AKIA" + "Z" * 16),
        ("AWS_ACCESS_KEY_ID", "ASIA" + "Z" * 16),
        ("AWS_PROFILE", "production"),
        ("AWS_SESSION_TOKEN", "token"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"),
    ],
)
def test_it_refuses_to_start_beside_credentials_that_may_be_real(
    tmp_path: Path, name: str, value: str
) -> None:
    status, said = start_once(tmp_path / "aws", 0, **{name: value})
    assert status == 2
    assert name in said and "unset" in said and value not in said
    assert "Traceback" not in said


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        status, said = start_once(tmp_path / "aws", port)
    assert status == 2
    assert f"127.0.0.1:{port}: the port is taken" in said and "--port" in said and "Traceback" not in said


def test_two_servers_cannot_share_a_root(local_aws_server: LocalAws) -> None:
    status, said = start_once(local_aws_server.root, 0)
    assert status == 2 and "another local_aws serves this folder" in said


def test_it_listens_on_loopback_alone(local_aws_server: LocalAws) -> None:
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            address, state = line.split()[1], line.split()[3]
            if state == "0A" and int(address.rpartition(":")[2], 16) == local_aws_server.port:
                listening.append(address.rpartition(":")[0])
    assert listening == ["0100007F"]


def test_sigterm_ends_it_cleanly_and_a_restart_takes_the_same_port(local_aws_server: LocalAws) -> None:
    port = local_aws_server.port
    assert local_aws_server.end() == 0
    local_aws_server.start()
    assert local_aws_server.port == port
    assert local_aws_server.control("status")["status"] == "ok"


def test_status_tells_pid_version_and_pending_faults(local_aws_server: LocalAws) -> None:
    local_aws_server.control("fail", {"service": "s3", "operation": "GetObject", "calls": 3})
    status = local_aws_server.control("status")
    assert local_aws_server.process is not None
    assert status["pid"] == local_aws_server.process.pid
    assert status["version"]
    assert status["pending_faults"] == [{"service": "s3", "operation": "GetObject", "calls": 3}]
    assert local_aws_server.control("reset", {}) == {"ok": True}
    assert local_aws_server.control("status")["pending_faults"] == []


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    # (service, operation, arguments): one of each protocol
    ("s3", "PutObject", {"Bucket": "bucket", "Key": "k"}),
    ("s3", "CompleteMultipartUpload", {"Bucket": "bucket", "Key": "k", "UploadId": "u"}),
    ("s3", "ListObjectsV2", {"Bucket": "bucket"}),
    ("s3", "CopyObject", {"Bucket": "bucket", "Key": "k", "CopySource": "bucket/o"}),
    ("s3", "DeleteObjects", {"Bucket": "bucket", "Delete": {"Objects": [{"Key": "k"}]}}),
    ("sagemaker", "DescribeTrainingJob", {"TrainingJobName": "t"}),
    ("emr", "DescribeCluster", {"ClusterId": "j-1"}),
    ("ecs", "DescribeServices", {"services": ["s"]}),
    ("glue", "GetCrawler", {"Name": "c"}),
    ("logs", "DescribeLogGroups", {}),
    ("cloudwatch", "DescribeAlarms", {}),
    ("elbv2", "DescribeLoadBalancers", {}),
    ("sts", "GetCallerIdentity", {}),
    ("batch", "SubmitJob", {"jobName": "j", "jobQueue": "q", "jobDefinition": "d"}),
    ("apigateway", "GetRestApi", {"restApiId": "r"}),
    ("emr-serverless", "GetJobRun", {"applicationId": "a", "jobRunId": "r"}),
]


def call(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
    from botocore import xform_name

    return getattr(client, xform_name(operation))(**arguments)


@pytest.mark.parametrize(("service", "operation", "arguments"), CALLS)
def test_a_fault_hits_the_next_calls_of_its_operation_in_every_protocol(
    faulted: LocalAws, service: str, operation: str, arguments: dict[str, Any]
) -> None:
    client = faulted.client(service)
    fault = {"service": service, "operation": operation, "calls": 2, "status": 503, "code": "OutOfLuck"}
    faulted.control("fail", fault)
    for _ in range(2):
        with pytest.raises(ClientError) as failure:
            call(client, operation, arguments)
        assert failure.value.response["Error"]["Code"] == "OutOfLuck"
        assert failure.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        assert "requested by /_local/fail" in failure.value.response["Error"]["Message"]
    assert faulted.control("status")["pending_faults"] == []


@pytest.fixture
def faulted(shared_local_aws: LocalAws) -> Any:
    yield shared_local_aws
    shared_local_aws.control("reset", {})


def test_a_fault_leaves_other_operations_alone_and_reset_clears_it(local_aws_server: LocalAws) -> None:
    s3 = local_aws_server.client("s3")
    local_aws_server.control("fail", {"service": "s3", "operation": "GetObject", "calls": 100})
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="k", Body=b"x")
    with pytest.raises(ClientError):
        s3.get_object(Bucket="bucket", Key="k")
    local_aws_server.control("reset", {})
    assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == b"x"


def test_botocore_retries_a_passing_fault_with_a_large_body(local_aws_server: LocalAws) -> None:
    s3 = local_aws_server.client("s3", retries={"mode": "standard", "total_max_attempts": 3})
    s3.create_bucket(Bucket="bucket")
    local_aws_server.control("fail", {"service": "s3", "operation": "PutObject", "status": 500})
    body = os.urandom(3 << 20)
    answer = s3.put_object(Bucket="bucket", Key="k", Body=body)
    assert answer["ResponseMetadata"]["RetryAttempts"] == 1
    assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == body


def test_a_delayed_call_outlasts_the_clients_patience_once(local_aws_server: LocalAws) -> None:
    s3 = local_aws_server.client("s3", read_timeout=1)
    s3.create_bucket(Bucket="bucket")
    local_aws_server.control("delay", {"service": "s3", "operation": "HeadBucket", "seconds": 60})
    with pytest.raises(ReadTimeoutError):
        s3.head_bucket(Bucket="bucket")
    s3.head_bucket(Bucket="bucket")


def test_throttling_answers_what_each_service_says(local_aws_server: LocalAws) -> None:
    s3, sagemaker = local_aws_server.client("s3"), local_aws_server.client("sagemaker")
    s3.create_bucket(Bucket="bucket")
    local_aws_server.control("throttle", {"service": "*", "operation": "*", "calls_per_second": 0.001})
    s3.head_bucket(Bucket="bucket")
    with pytest.raises(ClientError, match="SlowDown"):
        s3.list_buckets()
    with pytest.raises(ClientError, match="ThrottlingException"):
        sagemaker.describe_training_job(TrainingJobName="t")
    local_aws_server.control("reset", {})
    s3.list_buckets()


def test_the_clock_moves_and_is_reset(local_aws_server: LocalAws) -> None:
    before = local_aws_server.control("clock", {"offset_seconds": 0})["now"]
    after = local_aws_server.control("clock", {"advance_seconds": 3600})
    assert after["now"] - before >= 3600
    local_aws_server.control("reset", {})
    assert local_aws_server.control("status")["clock_offset_seconds"] == 0


@pytest.mark.parametrize(
    ("name", "arguments", "status", "said"),
    [
        ("no-such-control", {}, 404, "/_local/fail"),
        ("fail", {"operation": "GetObject"}, 400, "service"),
        ("fail", {"service": "s3", "calls": 0}, 400, "calls"),
        ("fail", {"service": "elasticmapreduce"}, 400, "use 'emr'"),
        ("delay", {"service": "simple-storage", "seconds": 1}, 400, "the name that boto3.client() takes"),
        ("throttle", {"service": "s3", "operation": "GetObjekt", "calls_per_second": 1}, 400, "GetObjekt"),
        ("delay", {"service": "s3"}, 400, "seconds"),
        ("throttle", {"service": "s3", "calls_per_second": 0}, 400, "calls_per_second"),
        ("clock", {"offset_seconds": "soon"}, 400, "soon"),
    ],
)
def test_a_wrong_control_call_is_explained(
    faulted: LocalAws, name: str, arguments: dict[str, Any], status: int, said: str
) -> None:
    with pytest.raises(urllib.error.HTTPError) as failure:
        faulted.control(name, arguments)
    assert failure.value.code == status
    assert said in json.load(failure.value)["message"]


@pytest.mark.parametrize("value", ["[" * 100_000, "9" * 400, "9" * 5000])
def test_a_control_call_that_cannot_be_read_is_answered(faulted: LocalAws, value: str) -> None:
    body = f'{{"offset_seconds": {value}}}'.encode()
    connection = http.client.HTTPConnection("127.0.0.1", faulted.port, timeout=20)
    connection.request("POST", "/_local/clock", body)
    answer = connection.getresponse()
    assert (answer.status, json.load(answer)["error"]) == (400, "BadRequest")
    connection.close()


def test_100_continue_comes_before_the_body_is_sent(faulted: LocalAws) -> None:
    from tests.local_aws.s3.conftest import AUTHORIZATION

    faulted.client("s3").create_bucket(Bucket="continued")
    with socket.create_connection(("127.0.0.1", faulted.port), timeout=20) as connection:
        connection.sendall(
            b"PUT /continued/k HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n"
            + f"Authorization: {AUTHORIZATION}\r\n\r\n".encode()
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.sendall(b"12345")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")


def test_one_connection_serves_many_requests_of_many_kinds(faulted: LocalAws) -> None:
    from tests.local_aws.s3.conftest import AUTHORIZATION

    connection = http.client.HTTPConnection("127.0.0.1", faulted.port, timeout=20)
    for method, path, body, expected in (
        ("PUT", "/kept-alive", None, 200),
        ("PUT", "/kept-alive/k", b"x" * 200_000, 200),
        ("HEAD", "/kept-alive/k", None, 200),
        ("POST", "/_local/status", b"{}", 200),
        ("PUT", "/no-such-bucket/k", b"y" * 200_000, 404),
        ("GET", "/kept-alive?policy", None, 501),
        ("DELETE", "/kept-alive/k", None, 204),
    ):
        connection.request(method, path, body, {"Authorization": AUTHORIZATION})
        answer = connection.getresponse()
        answer.read()
        assert (method, path, answer.status) == (method, path, expected)
        assert answer.getheader("Connection") != "close"
    connection.close()


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: many\r\n\r\n",
        b"PUT /b/k HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
        b"PUT /b/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /b?list-type=2&max-keys=%C2%B2 HTTP/1.1\r\nHost: localhost\r\nAuthorization: AWS a:b\r\n\r\n",
        b"GET /b?list-type=2&max-keys="
        + b"9" * 5000
        + b" HTTP/1.1\r\nHost: localhost\r\nAuthorization: AWS a:b\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
    ],
)
def test_a_request_that_is_none_is_refused_and_the_server_serves_on(faulted: LocalAws, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", faulted.port), timeout=20) as connection:
        connection.sendall(raw)
        answer = connection.recv(1000)
    assert b"400" in answer or b"414" in answer
    assert faulted.control("status")["status"] == "ok"


@pytest.mark.parametrize(
    "raw",
    [
        b"Transfer-Encoding: chunkedx\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        b"Content-Length: +5\r\n\r\n12345",
        b"Content-Length: \xb2\r\n\r\n12",  # a digit to str.isdigit, no number to int
    ],
)
def test_a_body_whose_length_is_told_oddly_is_refused(faulted: LocalAws, raw: bytes) -> None:
    assert put_raw(faulted, raw).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("size", [b"-1", b"+1", b"0x1", b"1_0", b"", b" ", b"f" * 16])
def test_a_chunk_of_an_odd_size_ends_the_connection_at_once_and_stores_nothing(
    faulted: LocalAws, size: bytes
) -> None:
    answer = put_raw(faulted, b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\nx\r\n0\r\n\r\n")
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    with pytest.raises(ClientError, match="404"):
        faulted.client("s3").head_object(Bucket="oddly-sent", Key="k")


def put_raw(server: LocalAws, rest: bytes) -> bytes:
    """Send a PUT and read the answer until the server closes the connection, for 10 seconds at most."""
    from tests.local_aws.s3.conftest import AUTHORIZATION

    server.client("s3").create_bucket(Bucket="oddly-sent")
    head = f"PUT /oddly-sent/k HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {AUTHORIZATION}\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head.encode() + rest)
        answer = b""
        while part := connection.recv(4096):
            answer += part
    return answer


def test_a_content_type_that_the_request_chooses_adds_no_header(faulted: LocalAws) -> None:
    s3 = faulted.client("s3")
    s3.create_bucket(Bucket="chosen-type")
    s3.put_object(Bucket="chosen-type", Key="k", Body=b"x")
    chosen = "text/plain\r\nX-Added: yes\r\n\r\n<script>"
    answer = s3.get_object(Bucket="chosen-type", Key="k", ResponseContentType=chosen)
    assert "x-added" not in answer["ResponseMetadata"]["HTTPHeaders"]
    assert answer["ContentType"] == "text/plain X-Added: yes <script>"
    assert answer["Body"].read() == b"x"


def test_a_document_above_64_mib_is_refused_and_the_connection_serves_on(faulted: LocalAws) -> None:
    sagemaker = "Credential=local/20260101/us-east-1/sagemaker/aws4_request"
    headers = {
        "Authorization": f"AWS4-HMAC-SHA256 {sagemaker}, SignedHeaders=host, Signature=0",
        "X-Amz-Target": "SageMaker.ListTrainingJobs",
        "Content-Type": "application/x-amz-json-1.1",
    }
    connection = http.client.HTTPConnection("127.0.0.1", faulted.port, timeout=60)
    for body, expected in ((b" " * ((64 << 20) + 1), 413), (b"{}" + b" " * (1 << 20), 200)):
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == expected
    connection.close()


def test_what_it_writes_is_readable_by_its_own_user_alone(tmp_path: Path) -> None:
    state = tmp_path / "aws" / ".state"
    state.mkdir(parents=True)
    state.chmod(0o755)  # as an earlier version left it
    server = LocalAws(tmp_path / "aws")
    server.start()
    server.client("s3").create_bucket(Bucket="private")
    server.end()
    assert state.stat().st_mode & 0o777 == 0o700
    made = [path for path in server.root.rglob("*") if path != state]
    assert made and not [path for path in made if path.stat().st_mode & 0o077]
