"""CreateProcessingJob: evaluation and export, each a module of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from include.settings import Settings


def processing_job(
    settings: Settings,
    image: str,
    module: str,
    arguments: Sequence[str],
    environment: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Everything but ProcessingJobName. The module reads and writes S3 itself: no inputs, no outputs."""
    processing = settings.processing
    request: dict[str, Any] = {
        "RoleArn": settings.role_arn(settings.roles.sagemaker),
        "AppSpecification": {
            "ImageUri": image,
            "ContainerEntrypoint": ["python", "-m", module],
            "ContainerArguments": list(arguments),
        },
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": processing.instance_type,
                "VolumeSizeInGB": processing.volume_gib,
            }
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": processing.max_runtime_seconds},
        "Tags": [{"Key": "project", "Value": "nexus-llm"}],
    }
    if environment:
        request["Environment"] = environment
    return request
