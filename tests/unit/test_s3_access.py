"""Only the object store and local_aws talk to S3, as the sources show."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("include", "plugins", "dags", "spark_jobs", "training", "serving", "demo", "local_stack",
           "infrastructure", "benchmarks")  # fmt: skip
#: The store itself, and the benchmark that measures local_aws's S3 through boto3.
ALLOWED = ("include/object_store/", "benchmarks/s3.py")
#: Runtimes and packages whose only AWS service is S3.
WITHOUT_BOTO = ("spark_jobs/", "training/", "serving/", "demo/", "include/ingest/", "include/planning/",
                "include/checks/", "include/contracts/", "include/recipes/", "infrastructure/")  # fmt: skip
#: Other ways to S3.
OTHER_CLIENTS = (
    "s3transfer",
    "s3fs",
    "obstore",
    "pyarrow.fs",
    "airflow.providers.amazon.aws.hooks.s3",
    "airflow.providers.amazon.aws.operators.s3",
    "airflow.providers.amazon.aws.sensors.s3",
)
#: Codes by which S3 alone refuses a request.
CODES = {"NoSuchKey", "NoSuchBucket", "NoSuchUpload", "PreconditionFailed", "BucketAlreadyOwnedByYou"}


def _operations() -> frozenset[str]:
    """Names of client methods that only S3 has, and those that boto3 adds to its client."""
    session = botocore.session.get_session()
    ours = {xform_name(name) for name in session.get_service_model("s3").operation_names}
    for service in ("emr", "emr-serverless", "sagemaker", "glue", "ecs", "elbv2", "cloudwatch", "logs"):
        ours -= {xform_name(name) for name in session.get_service_model(service).operation_names}
    added = {"upload_file", "upload_fileobj", "download_file", "download_fileobj"}
    return frozenset(ours | added | {"generate_presigned_url", "generate_presigned_post"})


OPERATIONS = _operations()


def uses_of_s3(source: str, file: str) -> Iterator[str]:
    """Yield the places at which a source calls S3, makes its client or handles its errors."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            values = [*node.args, *(keyword.value for keyword in node.keywords)]
            constants = {value.value for value in values if isinstance(value, ast.Constant)}
            is_client = name in ("client", "resource", "create_client") and "s3" in constants
            is_pages = name in ("get_paginator", "get_waiter") and bool(OPERATIONS & constants)
            is_call = isinstance(node.func, ast.Attribute) and name in OPERATIONS
            if is_client or is_pages or is_call:
                yield f"{file}:{node.lineno} calls {name}"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
            forbidden = OTHER_CLIENTS + (("boto3", "botocore") if file.startswith(WITHOUT_BOTO) else ())
            for imported in map(str, names):
                if any(f"{imported}.".startswith(f"{name}.") for name in forbidden):
                    yield f"{file}:{node.lineno} imports {imported}"
        elif isinstance(node, ast.Constant) and node.value in CODES:
            yield f"{file}:{node.lineno} handles {node.value}"


def test_no_other_module_talks_to_s3() -> None:
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(files) > 200
    named = ((path, path.relative_to(ROOT).as_posix()) for path in files)
    outside = ((path, name) for path, name in named if not name.startswith(ALLOWED))
    assert [use for path, name in outside for use in uses_of_s3(path.read_text(), name)] == []


@pytest.mark.parametrize(
    "source",
    [
        'boto3.client("s3")',
        'client(config, "s3")',
        'session.resource(service_name="s3")',
        "s3.get_object(Bucket=b, Key=k)",
        'anything.get_paginator("list_objects_v2")',
        "s3.upload_file(a, b, c)",
        'if code == "NoSuchKey":\n    pass',
        "def late():\n    from botocore.exceptions import ClientError",
        "import boto3",
        "from airflow.providers.amazon.aws.hooks.s3 import S3Hook",
        "import pyarrow.fs",
    ],
)
def test_a_use_of_s3_is_found(source: str) -> None:
    assert len(list(uses_of_s3(source, "training/x.py"))) == 1


def test_other_services_and_the_store_itself_are_no_use_of_s3() -> None:
    source = 'client("emr").list_steps(ClusterId=c)\nstore.list(uri)\nstore.write(uri, b"")\nimport json'
    assert list(uses_of_s3(source, "plugins/x.py")) == []


def test_the_store_is_not_exempt_from_what_the_check_finds() -> None:
    """Without any finding there the check would prove nothing."""
    text = (ROOT / "include/object_store/s3.py").read_text()
    assert list(uses_of_s3(text, "include/object_store/s3.py"))
