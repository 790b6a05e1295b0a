"""Requests of SageMaker processing jobs for evaluation and export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from include.aws.job_specs import QUEUE_SECONDS, ProcessingJobSpec
from include.aws.job_states import JobKind
from include.contracts.manifests import ParentRef
from include.contracts.storage import S3Uri
from include.settings import Settings


def processing_limit_seconds(settings: Settings) -> int:
    """Return the seconds after which the task stops a processing job."""
    return settings.processing.max_runtime_seconds + QUEUE_SECONDS


def processing_job(
    settings: Settings,
    image: str,
    module: str,
    arguments: Sequence[str],
    environment: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Build CreateProcessingJob without its name. The module itself reads and writes S3."""
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
        "Tags": [{"Key": key, "Value": value} for key, value in settings.tags.items()],
    }
    if environment:
        request["Environment"] = environment
    return request


def evaluation_job(
    settings: Settings,
    candidate: ParentRef,
    corpus: ParentRef,
    champion: ParentRef | None,
    folder: S3Uri,
    *,
    anchor: ParentRef | None = None,
    force: bool = False,
) -> ProcessingJobSpec:
    """Score the candidate and its baseline on the held-out documents of ``corpus``.

    The baseline is the champion, or the frequencies of tokens while there is none. ``anchor`` is the best
    model that was ever approved; it is scored too if it is not the champion.
    """
    arguments = ["--model", candidate.uri, "--model-sha256", candidate.sha256]
    arguments += ["--corpus", str(S3Uri.parse(corpus.uri)), "--corpus-sha256", corpus.sha256]
    if champion:
        arguments += ["--champion", champion.uri, "--champion-sha256", champion.sha256]
    if anchor:
        arguments += ["--anchor", anchor.uri, "--anchor-sha256", anchor.sha256]
    arguments += ["--output", str(folder / "report.json")]
    return ProcessingJobSpec(
        kind=JobKind.PROCESSING,
        request=processing_job(settings, settings.images.training, "training.evaluate", arguments),
        limit_seconds=processing_limit_seconds(settings),
        force=force,
        marker_uri=str(folder / "report.json"),
    )


def export_job(
    settings: Settings, model: ParentRef, folder: S3Uri, *, force: bool = False
) -> ProcessingJobSpec:
    """Convert a model for the server; the manifest of ``folder`` is written last."""
    arguments = ["--model", model.uri, "--model-sha256", model.sha256, "--output", str(folder)]
    return ProcessingJobSpec(
        kind=JobKind.PROCESSING,
        request=processing_job(settings, settings.images.export, "training.export.openvino", arguments),
        limit_seconds=processing_limit_seconds(settings),
        force=force,
        marker_uri=str(folder / "manifest.json"),
        parent=model,
        reuse_existing=True,
    )
