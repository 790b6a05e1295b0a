"""The request of a SageMaker training job, with managed spot and checkpoints in S3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from include.aws.job_specs import QUEUE_SECONDS, TrainingJobSpec
from include.aws.job_states import JobKind
from include.contracts.errors import SettingsError
from include.contracts.manifests import (
    TRAINING_REQUEST_SHA256,
    CorpusManifest,
    ParentRef,
    TrainingRequest,
)
from include.contracts.storage import RunLayout, S3Uri
from include.settings import Settings

#: Metrics that SageMaker reads from the log. The trainer prints `step=12 loss=3.21 tokens_per_second=1200 …`.
METRICS = (
    ("train:loss", r"loss=([0-9.eE+-]+)"),
    ("train:step", r"step=([0-9]+)"),
    ("train:tokens_per_second", r"tokens_per_second=([0-9.eE+-]+)"),
    ("train:gradient_norm", r"gradient_norm=([0-9.eE+-]+)"),
    ("train:learning_rate", r"learning_rate=([0-9.eE+-]+)"),
)


@dataclass(frozen=True)
class TrainingLimits:
    """Limits on the duration of a run; ``max_wait_seconds`` includes the wait for spot capacity."""

    spot: bool
    max_runtime_seconds: int
    max_wait_seconds: int

    def __post_init__(self) -> None:
        if self.spot and self.max_wait_seconds < self.max_runtime_seconds:
            raise SettingsError(
                "a spot run may not wait less than it may run",
                where="max_wait_seconds",
                expected=f"at least max_runtime_seconds ({self.max_runtime_seconds})",
                got=str(self.max_wait_seconds),
            )


def training_job(
    settings: Settings,
    request: TrainingRequest,
    written: ParentRef,
    corpus: CorpusManifest,
    limits: TrainingLimits,
) -> TrainingJobSpec:
    """Build the record of a training job.

    :param written: the TrainingRequest as it was written; its hash makes its content part of the record
    """
    longest = limits.max_wait_seconds if limits.spot else limits.max_runtime_seconds
    return TrainingJobSpec(
        kind=JobKind.TRAINING,
        request=_create_training_job(settings, request, written, corpus, limits),
        limit_seconds=longest + QUEUE_SECONDS,
        run_root=request.root_uri,
    )


def _create_training_job(
    settings: Settings,
    request: TrainingRequest,
    written: ParentRef,
    corpus: CorpusManifest,
    limits: TrainingLimits,
) -> dict[str, Any]:
    """Build CreateTrainingJob without its name, which the operator sets for each generation."""
    layout = RunLayout(S3Uri.parse(request.root_uri))
    stopping = {"MaxRuntimeInSeconds": limits.max_runtime_seconds}
    if limits.spot:
        stopping["MaxWaitTimeInSeconds"] = limits.max_wait_seconds
    return {
        "RoleArn": settings.role_arn(settings.roles.sagemaker),
        "AlgorithmSpecification": {
            "TrainingImage": settings.images.training,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python", "-m", "training.launcher"],
            "ContainerArguments": ["--request", written.uri],
            "MetricDefinitions": [{"Name": name, "Regex": regex} for name, regex in METRICS],
        },
        "InputDataConfig": _channels(corpus, request.base_model_uri),
        "OutputDataConfig": {"S3OutputPath": str(layout.output)},
        "ResourceConfig": {
            "InstanceType": settings.training.instance_type,
            "InstanceCount": settings.training.instance_count,
            "VolumeSizeInGB": settings.training.volume_gib,
        },
        "StoppingCondition": stopping,
        "EnableManagedSpotTraining": limits.spot,
        # the trainer's checkpoints are there; local_aws's spot interruptions watch this prefix
        "Environment": {
            TRAINING_REQUEST_SHA256: written.sha256,
            "NEXUS_CHECKPOINT_URI": str(layout.checkpoints),
        },
        # the service's checkpoint sync gets an unused prefix, because it can stall silently
        "CheckpointConfig": {"S3Uri": str(layout.cache), "LocalPath": "/opt/ml/checkpoints"},
        "Tags": [{"Key": k, "Value": v} for k, v in (settings.tags | {"run": request.run}).items()],
    }


def _channels(corpus: CorpusManifest, base_model_uri: str) -> list[dict[str, Any]]:
    root = S3Uri.parse(corpus.root_uri)
    channels = {"tokens": str(root / "tokens/"), "tokenizer": str(root / "tokenizer/")}
    if base_model_uri:
        channels["base_model"] = base_model_uri
    return [_channel(name, uri) for name, uri in channels.items()]


def _channel(name: str, uri: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}
