"""Rules about MWAA."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from infrastructure.cloudformation.environments import EvaluatedEnvironment
from infrastructure.cloudformation.findings import Finding, finding

CLASSES = frozenset({"mw1.micro", "mw1.small", "mw1.medium", "mw1.large", "mw1.xlarge", "mw1.2xlarge"})
LOGS = ("DagProcessingLogs", "SchedulerLogs", "TaskLogs", "WebserverLogs", "WorkerLogs")
#: The DAGs use the task state store and retry policies, which Airflow has since 3.3.
OLDEST_VERSION = (3, 3)


def airflow_is_private_logged_and_encrypted(environment: EvaluatedEnvironment) -> Iterator[Finding]:
    """Find environments of MWAA that are public, silent, without a key, or of a version that cannot run."""
    for stack, resource in environment.of_type("AWS::MWAA::Environment"):
        for rule, name, message in _problems(resource.properties):
            position = ("Resources", resource.logical_id, "Properties", name)
            yield finding(stack.template, rule, message, position)


def _problems(properties: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    if (mode := properties.get("WebserverAccessMode")) != "PRIVATE_ONLY":
        yield "airflow-is-public", "WebserverAccessMode", f"is {mode}, expected PRIVATE_ONLY"
    if not properties.get("KmsKey"):
        yield "airflow-without-key", "KmsKey", "is missing, so MWAA takes a key of its own"
    if (kind := properties.get("EnvironmentClass")) not in CLASSES:
        yield "airflow-class", "EnvironmentClass", f"is {kind}, expected one of {', '.join(sorted(CLASSES))}"
    version = str(properties.get("AirflowVersion", ""))
    numbers = tuple(map(int, version.split("."))) if re.fullmatch(r"\d+\.\d+\.\d+", version) else ()
    if not OLDEST_VERSION <= numbers < (OLDEST_VERSION[0] + 1,):
        yield "airflow-version", "AirflowVersion", f"is {version or 'missing'}, expected 3.3.0 or later"
    logging = properties.get("LoggingConfiguration", {})
    for name in LOGS:
        settings = logging.get(name, {})
        if str(settings.get("Enabled", False)).lower() != "true":
            yield "airflow-log-is-off", "LoggingConfiguration", f"{name} is off"
        elif settings.get("LogLevel") not in ("INFO", "WARNING"):
            yield "airflow-log-level", "LoggingConfiguration", f"{name} is not INFO or WARNING"


RULES = (airflow_is_private_logged_and_encrypted,)
