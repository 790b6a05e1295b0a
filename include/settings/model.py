"""The settings as types. Every value is checked on construction; units stand in the names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from include.contracts.storage import S3Uri
from include.settings.checks import ARN_NAME, at_least, require
from include.settings.spark import (
    CatalogueSettings,
    CorpusSettings,
    EmrServerlessSettings,
    EmrSettings,
    GlueSettings,
)

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True)
class StorageSettings:
    """The three buckets; shards lie under ``raw_prefix``, code for the jobs under ``artifacts_prefix``."""

    raw_bucket: str
    processed_bucket: str
    models_bucket: str
    raw_prefix: str = "pile/"
    artifacts_prefix: str = "artifacts/"

    def __post_init__(self) -> None:
        for name in ("raw_bucket", "processed_bucket", "models_bucket"):
            value = getattr(self, name)
            require(bool(_BUCKET.fullmatch(value)), f"storage.{name}", "a bucket name", value)
        for name in ("raw_prefix", "artifacts_prefix"):
            value = getattr(self, name)
            valid = value.endswith("/") and not value.startswith("/")
            require(valid, f"storage.{name}", "a prefix that ends in '/'", value)

    @property
    def raw(self) -> S3Uri:
        """Default source of corpus_refresh."""
        return S3Uri(self.raw_bucket, self.raw_prefix)

    @property
    def artifacts(self) -> S3Uri:
        """What ``make package`` builds for the jobs."""
        return S3Uri(self.processed_bucket, self.artifacts_prefix)


@dataclass(frozen=True)
class RoleSettings:
    """Names of IAM roles in the account."""

    emr_service: str
    emr_instance_profile: str
    emr_serverless: str
    glue: str
    sagemaker: str
    ecs_execution: str
    ecs_task: str

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            require(bool(ARN_NAME.fullmatch(value)), f"roles.{name}", "the name of a role", value)


@dataclass(frozen=True)
class ImageSettings:
    """Container images, by full URI."""

    training: str
    export: str
    serving: str

    def __post_init__(self) -> None:
        for name in ("training", "export", "serving"):
            value = getattr(self, name)
            require("/" in value and ":" in value, f"images.{name}", "registry/name:tag", value)


@dataclass(frozen=True)
class TrainingSettings:
    """SageMaker training. ``max_wait_seconds`` is run time plus the wait for spot capacity.

    ``recipe`` names the packaged recipe that a run takes when none is chosen.
    """

    recipe: str
    instance_type: str
    instance_count: int
    volume_gib: int
    spot: bool
    max_runtime_seconds: int
    max_wait_seconds: int

    def __post_init__(self) -> None:
        is_type = self.instance_type.startswith("ml.")
        require(is_type, "training.instance_type", "an instance type ml.…", self.instance_type)
        at_least("training.instance_count", self.instance_count, 1)
        at_least("training.volume_gib", self.volume_gib, 1)
        at_least("training.max_runtime_seconds", self.max_runtime_seconds, 60)
        require(
            self.max_wait_seconds >= self.max_runtime_seconds,
            "training.max_wait_seconds",
            f"at least max_runtime_seconds ({self.max_runtime_seconds})",
            self.max_wait_seconds,
        )


@dataclass(frozen=True)
class ProcessingSettings:
    """SageMaker processing: evaluation and export."""

    instance_type: str
    volume_gib: int
    max_runtime_seconds: int

    def __post_init__(self) -> None:
        is_type = self.instance_type.startswith("ml.")
        require(is_type, "processing.instance_type", "an instance type ml.…", self.instance_type)
        at_least("processing.volume_gib", self.volume_gib, 1)
        at_least("processing.max_runtime_seconds", self.max_runtime_seconds, 60)


@dataclass(frozen=True)
class ServingSettings:
    """The ECS service behind the load balancer. ``endpoint_url`` is where clients reach it."""

    cluster: str
    service: str
    load_balancer: str
    target_group: str
    listener_port: int
    endpoint_url: str
    container_port: int
    desired_count: int
    cpu_units: int
    memory_mib: int
    subnet_ids: tuple[str, ...]
    security_group_ids: tuple[str, ...]
    rollout_timeout_seconds: int
    health_check_path: str = "/readyz"
    health_check_grace_seconds: int = 60
    log_group: str = "/nexus-llm/serving"

    def __post_init__(self) -> None:
        for name in ("cluster", "service", "load_balancer", "target_group"):
            require(bool(getattr(self, name)), f"serving.{name}", "a name", getattr(self, name))
        for name in ("listener_port", "container_port"):
            require(0 < getattr(self, name) < 65536, f"serving.{name}", "1 to 65535", getattr(self, name))
        is_url = bool(re.fullmatch(r"https?://[^/\s]+(/\S*)?", self.endpoint_url))
        require(is_url, "serving.endpoint_url", "http(s)://host", self.endpoint_url)
        at_least("serving.desired_count", self.desired_count, 1)
        at_least("serving.cpu_units", self.cpu_units, 256)
        at_least("serving.memory_mib", self.memory_mib, 512)
        at_least("serving.rollout_timeout_seconds", self.rollout_timeout_seconds, 60)
        is_path = self.health_check_path.startswith("/")
        require(is_path, "serving.health_check_path", "a path", self.health_check_path)


@dataclass(frozen=True)
class RegistrySettings:
    """The Model Registry."""

    package_group: str

    def __post_init__(self) -> None:
        require(bool(self.package_group), "registry.package_group", "a name", self.package_group)


@dataclass(frozen=True)
class AirflowSettings:
    """What every DAG shares. ``poll_interval_seconds`` is how often a trigger asks AWS.

    ``new_shards_wait_seconds`` is how long a scheduled corpus_refresh waits for raw shards before it
    skips; meanwhile it is the one active run. 0 looks once.
    """

    owner: str
    retries: int
    retry_delay_seconds: int
    poll_interval_seconds: float
    new_shards_wait_seconds: int
    #: Names under which the API server answers; ``*`` where another gate stands before it, as on MWAA.
    hosts: tuple[str, ...]

    def __post_init__(self) -> None:
        require(bool(self.hosts), "airflow.hosts", "at least one name", self.hosts)
        require(bool(self.owner), "airflow.owner", "a name", self.owner)
        at_least("airflow.retries", self.retries, 0)
        at_least("airflow.retry_delay_seconds", self.retry_delay_seconds, 0)
        positive = self.poll_interval_seconds > 0
        require(positive, "airflow.poll_interval_seconds", "more than 0", self.poll_interval_seconds)
        at_least("airflow.new_shards_wait_seconds", self.new_shards_wait_seconds, 0)


@dataclass(frozen=True)
class IngestionSettings:
    """How source_ingestion fetches.

    ``sources_folder`` holds sources of your own, a TOML file each as in include/recipes/sources, such as a
    mirror; one of the same name replaces the packaged one. A running fetch holds about two parts in memory.
    """

    sources_folder: str = ""
    part_mib: int = 16
    max_batches: int = 256
    fetch_timeout_seconds: int = 43_200

    def __post_init__(self) -> None:
        # S3: a part is 5 MiB to 5 GiB; more than 512 MiB does not fit beside the other tasks of a worker
        require(5 <= self.part_mib <= 512, "ingestion.part_mib", "5 to 512", self.part_mib)
        # Airflow maps at most core.max_map_length (1024) tasks
        is_mappable = 1 <= self.max_batches <= 1024
        require(is_mappable, "ingestion.max_batches", "1 to 1024", self.max_batches)
        at_least("ingestion.fetch_timeout_seconds", self.fetch_timeout_seconds, 60)


@dataclass(frozen=True)
class Settings:
    """One account that the pipeline runs in."""

    name: str
    account: str
    region: str
    storage: StorageSettings
    roles: RoleSettings
    images: ImageSettings
    emr: EmrSettings
    emr_serverless: EmrServerlessSettings
    glue: GlueSettings
    catalogue: CatalogueSettings
    training: TrainingSettings
    processing: ProcessingSettings
    serving: ServingSettings
    registry: RegistrySettings
    airflow: AirflowSettings
    corpus: CorpusSettings = field(default_factory=CorpusSettings)
    ingestion: IngestionSettings = field(default_factory=IngestionSettings)

    def __post_init__(self) -> None:
        require(bool(re.fullmatch(r"\d{12}", self.account)), "account", "12 digits", self.account)
        is_region = bool(re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", self.region))
        require(is_region, "region", "a region such as us-east-1", self.region)

    def role_arn(self, role: str) -> str:
        """ARN of a role of this account, by its name."""
        return f"arn:aws:iam::{self.account}:role/{role}"
