"""Every error code is answered with the HTTP status that AWS documents for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from local_aws.errors import AwsError

PACKAGE = Path(__file__).resolve().parents[2] / "local_aws"

#: Codes whose status is not 400, in the services that speak REST and in the control API.
STATUSES = {
    "NotModified": 304,
    "AccessDenied": 403,
    "NotFound": 404,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchTagSet": 404,
    "NoSuchUpload": 404,
    "NoSuchVersion": 404,
    "ResourceNotFound": 404,
    "MethodNotAllowed": 405,
    "BucketAlreadyExists": 409,
    "BucketAlreadyOwnedByYou": 409,
    "BucketNotEmpty": 409,
    "PreconditionFailed": 412,
    "RequestEntityTooLargeException": 413,
    "InvalidPartNumber": 416,
    "InvalidRange": 416,
    "InternalError": 500,
    "InternalFailure": 500,
    "NotImplemented": 501,
    "SlowDown": 503,
    "InsufficientStorage": 507,
}
#: Codes of one service that have another status there. EMR Serverless speaks REST, the others JSON.
OF_A_SERVICE: dict[tuple[str, str], int | str] = {
    ("jobs", "ExpiredToken"): "status",  # 400 in S3, 403 elsewhere
    ("emr_serverless", "ConflictException"): 409,
    ("emr_serverless", "ResourceNotFoundException"): 404,
}
#: Codes that are not constant: identities and sessions (403), target groups (400), and faults (their own).
COMPUTED = {
    "jobs/identities.py": "403",
    "jobs/sessions.py": "403",
    "front_door/faults.py": "int(arguments.get('status', 500))",
}


def errors() -> Iterator[tuple[str, ast.expr, ast.expr | None]]:
    """Yield module, code and status of every AwsError that local_aws makes."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "AwsError":
                named = [keyword.value for keyword in node.keywords if keyword.arg == "status"]
                status = [*node.args[2:3], *named]
                yield path.relative_to(PACKAGE).as_posix(), node.args[0], status[0] if status else None


def test_every_error_has_the_status_of_its_code() -> None:
    found, expected = {}, {}
    for module, code, status in errors():
        shown = "400" if status is None else ast.unparse(status)
        if not isinstance(code, ast.Constant):
            place = (module, ast.unparse(code), shown)
            found[place], expected[place] = shown, COMPUTED.get(module, "400")
            continue
        name, service = str(code.value), module.split("/")[0]
        place = (module, name, shown)
        found[place] = shown
        expected[place] = str(OF_A_SERVICE.get((service, name), STATUSES.get(name, 400)))
        if module == "sagemaker/interruptions.py" and shown == "409":
            expected[place] = "409"  # the control API refuses to interrupt a job that does not run
    assert len(found) > 100
    assert found == expected


def test_an_error_is_the_callers_unless_it_says_otherwise() -> None:
    assert AwsError("Code", "message").status == 400
