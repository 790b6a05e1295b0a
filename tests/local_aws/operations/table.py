"""The table of docs/guides/local_aws.md: every operation that the project calls or local_aws executes."""

from __future__ import annotations

import ast
from pathlib import Path

import botocore.session
from botocore import xform_name

from local_aws.control import Control
from local_aws.services import build_app
from local_aws.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[3]
GUIDE = REPOSITORY / "docs/guides/local_aws.md"
BEGIN, END = "<!-- operations: begin -->", "<!-- operations: end -->"
SERVICES = (
    "cloudwatch", "ecr", "ecs", "elbv2", "emr", "emr-serverless", "glue", "iam", "logs", "s3", "sagemaker",
    "secretsmanager", "sns", "sqs", "ssm", "sts",
)  # fmt: skip
CALLERS = ("dags", "demo", "include", "local_stack", "plugins", "serving", "spark_jobs", "training")
# boto3's own conveniences, and what they call
_COMPOSED = {
    "upload_file": ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"),
    "upload_fileobj": ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"),
    "download_file": ("HeadObject", "GetObject"),
    "download_fileobj": ("HeadObject", "GetObject"),
}
Operation = tuple[str, str]


def called() -> set[Operation]:
    """Operations whose boto3 method names, or paginator and waiter names, stand in the project's code."""
    session = botocore.session.get_session()
    methods: dict[str, set[Operation]] = {}
    for service in SERVICES:
        for name in session.get_service_model(service).operation_names:
            methods.setdefault(xform_name(name), set()).add((service, name))
    methods |= {method: {("s3", name) for name in names} for method, names in _COMPOSED.items()}
    found: set[Operation] = set()
    for folder in CALLERS:
        for path in (REPOSITORY / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                name = ""
                if isinstance(node, ast.Attribute):
                    name = node.attr
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    name = node.value  # get_paginator("list_objects_v2"), methods by name
                # a name of many services (add_tags) says nothing; one word (publish) is often no call
                if "_" in name and len(methods.get(name, ())) == 1:
                    found |= methods[name]
    return found


def executed(root: Path) -> set[Operation]:
    """Operations that local_aws answers by executors of its own."""
    settings = Settings(root, 0, Control())
    app, supervisor = build_app(root, settings)
    supervisor.stop()
    return app.executed()


def rows(proven: set[Operation], by_executor: set[Operation], by_project: set[Operation]) -> list[str]:
    """The table's lines. S3 is executed as a whole: its objects are files."""
    lines = ["| service | operation | called by the project | here |", "|---|---|---|---|"]
    for service, name in sorted(proven | by_executor | by_project):
        runs = service == "s3" or (service, name) in by_executor
        if (service, name) not in proven:
            status = "unproven"
        else:
            status = "executed here" if runs else "validated by model only"
        mark = "yes" if (service, name) in by_project else ""
        lines.append(f"| {service} | {name} | {mark} | {status} |")
    return lines


def guide_with(lines: list[str]) -> str:
    """The guide with ``lines`` as its table."""
    before, _, rest = GUIDE.read_text().partition(BEGIN)
    return "\n".join([before + BEGIN, *lines, END]) + rest.partition(END)[2]


def guide_rows() -> dict[Operation, str]:
    """What the guide says about each operation."""
    table = GUIDE.read_text().partition(BEGIN)[2].partition(END)[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line[:1] == "|"
    ]
    return {(row[0], row[1]): row[3] for row in cells[2:]}
