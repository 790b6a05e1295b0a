"""The operations that the project calls, read from its code.

A boto3 method whose name is of one service says which operation it is. One whose name several services
share (``list_clusters``) is of the service of its client: of ``client("ecs")`` where that is the receiver,
else of the service whose other methods the same receiver has in the same module, else of the service that
the receiver is named for (``emr``, ``self._emr``). A call that stays open is reported, never left blank.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import botocore.session
from botocore import xform_name

REPOSITORY = Path(__file__).resolve().parents[3]
SERVICES = (
    "cloudwatch", "ecr", "ecs", "elbv2", "emr", "emr-serverless", "glue", "iam", "logs", "s3", "sagemaker",
    "secretsmanager", "sns", "sqs", "ssm", "sts",
)  # fmt: skip
FOLDERS = (
    "benchmarks",
    "dags",
    "demo",
    "include",
    "local_stack",
    "plugins",
    "serving",
    "spark_jobs",
    "training",
)
PROVIDER = "airflow.providers.amazon.aws.operators"
Operation = tuple[str, str]
# boto3's own conveniences, and what they call
_COMPOSED = {
    "upload_file": ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"),
    "upload_fileobj": ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"),
    "download_file": ("HeadObject", "GetObject"),
    "download_fileobj": ("HeadObject", "GetObject"),
}
#: What the provider's operators call, as the DAGs use them (waiting in the task, no wait policy).
OPERATORS: dict[str, set[Operation]] = {
    "GlueCrawlerRunOperator": {
        ("glue", "StartCrawler"), ("glue", "GetCrawler"), ("glue", "GetCrawlerMetrics"),
    },
}  # fmt: skip


@dataclass(frozen=True)
class Mention:
    """A method's name in the code; ``receiver`` is the source text of what it is a method of, if known."""

    method: str
    receiver: str
    where: str


def called() -> tuple[set[Operation], list[str]]:
    """Operations that the project calls, itself or by the provider's operators; places that stay open."""
    found: set[Operation] = set()
    unresolved: list[str] = []
    for path in sources():
        operations, left = operations_of(path.read_text(), path.relative_to(REPOSITORY).as_posix())
        found |= operations
        unresolved += left
    for operator in imported_operators():
        found |= OPERATORS.get(operator, set())
    return found, unresolved


def sources() -> Iterator[Path]:
    """Yield the project's modules."""
    for folder in FOLDERS:
        yield from (REPOSITORY / folder).rglob("*.py")


def operations_of(source: str, where: str) -> tuple[set[Operation], list[str]]:
    """Operations that one module calls, and its calls whose service is not known."""
    mentions = list(_mentions(ast.parse(source), where))
    of_receiver: dict[str, set[str]] = {}
    for mention in mentions:
        services = {service for service, _ in methods().get(mention.method, ())}
        if len(services) == 1 and mention.receiver:
            of_receiver.setdefault(mention.receiver, set()).update(services)
    found: set[Operation] = set()
    unresolved = []
    for mention in mentions:
        candidates = methods()[mention.method]
        services = {service for service, _ in candidates}
        if len(services) > 1:
            services &= (
                _explicit(mention.receiver)
                or of_receiver.get(mention.receiver)
                or {mention.receiver.rpartition(".")[2].strip("_").replace("_", "-")}
            )
        if len(services) == 1:
            found |= {operation for operation in candidates if operation[0] in services}
        elif mention.receiver:
            unresolved.append(f"{mention.where}: {mention.receiver}.{mention.method}")
    return found, unresolved


def imported_operators() -> set[str]:
    """Operators of the Amazon provider that the project imports."""
    return {
        alias.name
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PROVIDER)
        for alias in node.names
    }


@lru_cache
def methods() -> dict[str, set[Operation]]:
    """boto3's names of methods, paginators and waiters, and the operations that they may be."""
    session = botocore.session.get_session()
    found: dict[str, set[Operation]] = {}
    for service in SERVICES:
        for name in session.get_service_model(service).operation_names:
            found.setdefault(xform_name(name), set()).add((service, name))
    return found | {method: {("s3", name) for name in names} for method, names in _COMPOSED.items()}


def _mentions(module: ast.Module, where: str) -> Iterator[Mention]:
    paged = {
        id(call.args[0]): ast.unparse(call.func.value)
        for call in ast.walk(module)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.args
        if call.func.attr in ("get_paginator", "get_waiter")
    }
    for node in ast.walk(module):
        name, receiver = "", ""
        if isinstance(node, ast.Attribute):
            name, receiver = node.attr, ast.unparse(node.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # get_paginator("list_objects_v2"), or a method by its name, whose receiver is elsewhere
            name, receiver = node.value, paged.get(id(node), "")
        # one word (publish) is often no call
        # socket.create_connection is no call of Glue
        if "_" in name and name in methods() and receiver not in sys.stdlib_module_names:
            yield Mention(name, receiver, f"{where}:{getattr(node, 'lineno', 0)}")


def _explicit(receiver: str) -> set[str]:
    """Return the service in ``client("ecs")``."""
    expression = ast.parse(receiver, mode="eval").body if receiver else None
    if not isinstance(expression, ast.Call) or not ast.unparse(expression.func).endswith("client"):
        return set()
    arguments: Sequence[ast.expr] = expression.args
    return {
        argument.value
        for argument in arguments
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
