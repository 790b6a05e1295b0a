"""EMR: the request of a cluster, and of a Spark step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from include.contracts.artifacts import SPARK_ARCHIVE
from include.contracts.storage import S3Uri
from include.settings import Settings


def cluster_request(settings: Settings, name: str) -> dict[str, Any]:
    """RunJobFlow for one corpus: it waits for steps, and ends by itself when it is forgotten."""
    emr = settings.emr
    return {
        "Name": name,
        "ReleaseLabel": emr.release,
        "LogUri": emr.log_uri,
        "Applications": [{"Name": "Spark"}],
        "Instances": {
            "InstanceGroups": [
                _group("MASTER", emr.master_instance_type, 1),
                _group("CORE", emr.core_instance_type, emr.core_instances),
            ],
            "Ec2SubnetId": emr.subnet_id,
            "KeepJobFlowAliveWhenNoSteps": True,
            "TerminationProtected": False,
        },
        "Configurations": _configurations(emr.spark_properties),
        "AutoTerminationPolicy": {"IdleTimeout": emr.idle_timeout_seconds},
        "StepConcurrencyLevel": 1,
        "ServiceRole": settings.roles.emr_service,
        "JobFlowRole": settings.roles.emr_instance_profile,
        "VisibleToAllUsers": True,
        "Tags": [{"Key": "project", "Value": "nexus-llm"}],
    }


def spark_step(name: str, job: str, code: S3Uri, request: S3Uri) -> dict[str, Any]:
    """One entry of AddJobFlowSteps: spark-submit of ``<code>/jobs/<job>.py`` with the corpus request.

    CONTINUE keeps the cluster for a retry; the teardown ends it whatever happens. Client mode makes the
    driver the step's own process: cancelling the step ends the application, and its output is the step's log.
    """
    return {
        "Name": name,
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {
            "Jar": "command-runner.jar",
            "Args": [
                "spark-submit",
                "--deploy-mode",
                "client",
                "--py-files",
                str(code / SPARK_ARCHIVE),
                str(code / f"jobs/{job}.py"),
                "--request",
                str(request),
            ],
        },
    }


def _group(role: str, instance_type: str, count: int) -> dict[str, Any]:
    return {
        "Name": role.lower(),
        "InstanceRole": role,
        "InstanceType": instance_type,
        "InstanceCount": count,
        "Market": "ON_DEMAND",
    }


def _configurations(spark_properties: dict[str, str]) -> Sequence[dict[str, Any]]:
    if not spark_properties:
        return []
    return [{"Classification": "spark-defaults", "Properties": dict(spark_properties)}]
