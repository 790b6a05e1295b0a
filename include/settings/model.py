"""The settings as types. Every value is checked on construction; units stand in the names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from include.contracts.storage import S3Uri
from include.settings.airflow import AirflowSettings, IngestionSettings
from include.settings.checks import ARN_NAME, at_least, require
from include.settings.links import LinkSettings
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

    #: Bucket of the raw shards.
    raw_bucket: str
    #: Bucket of corpora, code of the jobs and logs.
    processed_bucket: str
    #: Bucket of training runs and models.
    models_bucket: str
    #: Prefix of the raw shards, the default source of ``corpus_refresh``.
    raw_prefix: str = "pile/"
    #: Prefix of the jobs' code in ``processed_bucket``.
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
        """Return the prefix of what ``make package`` builds for the jobs."""
        return S3Uri(self.processed_bucket, self.artifacts_prefix)


@dataclass(frozen=True)
class RoleSettings:
    """Names of IAM roles in the account."""

    #: Service role of EMR.
    emr_service: str
    #: Instance profile of the EMR nodes.
    emr_instance_profile: str
    #: Execution role of EMR Serverless jobs.
    emr_serverless: str
    #: Role of Glue jobs and of the crawler.
    glue: str
    #: Role of SageMaker training and processing jobs.
    sagemaker: str
    #: Role with which ECS pulls images and writes logs.
    ecs_execution: str
    #: Role of the serving container.
    ecs_task: str

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            require(bool(ARN_NAME.fullmatch(value)), f"roles.{name}", "the name of a role", value)


@dataclass(frozen=True)
class ImageSettings:
    """Container images, by full URI."""

    #: Image of training and evaluation.
    training: str
    #: Image of the export to the serving format.
    export: str
    #: Image of the server.
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

    #: Packaged recipe of a run that chooses none.
    recipe: str
    #: SageMaker instance type.
    instance_type: str
    #: Number of instances.
    instance_count: int
    #: Size of the volume of each instance.
    volume_gib: int
    #: Use managed spot instances.
    spot: bool
    #: Longest run time of the job.
    max_runtime_seconds: int
    #: Longest run time and wait for spot capacity together.
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

    #: SageMaker instance type.
    instance_type: str
    #: Size of the volume.
    volume_gib: int
    #: Longest run time of the job.
    max_runtime_seconds: int

    def __post_init__(self) -> None:
        is_type = self.instance_type.startswith("ml.")
        require(is_type, "processing.instance_type", "an instance type ml.…", self.instance_type)
        at_least("processing.volume_gib", self.volume_gib, 1)
        at_least("processing.max_runtime_seconds", self.max_runtime_seconds, 60)


@dataclass(frozen=True)
class ServingSettings:
    """The ECS service behind the load balancer. ``endpoint_url`` is where clients reach it."""

    #: ECS cluster.
    cluster: str
    #: ECS service; the DAG creates it.
    service: str
    #: Name of the load balancer.
    load_balancer: str
    #: Name of its target group.
    target_group: str
    #: Port of the load balancer.
    listener_port: int
    #: URL at which clients reach the service.
    endpoint_url: str
    #: Port of the server in the container.
    container_port: int
    #: Number of tasks of the service.
    desired_count: int
    #: CPU units of a task; 1,024 are one vCPU.
    cpu_units: int
    #: Memory of a task.
    memory_mib: int
    #: Subnets of the tasks.
    subnet_ids: tuple[str, ...]
    #: Security groups of the tasks.
    security_group_ids: tuple[str, ...]
    #: Longest duration of a rollout before it is rolled back.
    rollout_timeout_seconds: int
    #: Path of the health check.
    health_check_path: str = "/readyz"
    #: Time after a task's start in which failed health checks are ignored.
    health_check_grace_seconds: int = 60
    #: CloudWatch log group of the server.
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

    #: Model package group of candidates and approved models.
    package_group: str

    def __post_init__(self) -> None:
        require(bool(self.package_group), "registry.package_group", "a name", self.package_group)


@dataclass(frozen=True)
class Settings:
    """One environment of the pipeline.

    ``name`` is part of the identity of everything that the environment creates, because two environments may
    share an account. The names of roles, buckets, the load balancer and the ECS service stand in the settings
    as they are: they are made before the DAGs run.
    """

    #: Name of the environment.
    name: str
    #: AWS account id.
    account: str
    #: AWS region.
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
    links: LinkSettings = field(default_factory=LinkSettings)

    def __post_init__(self) -> None:
        is_name = bool(re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", self.name)) and len(self.name) <= 16
        require(is_name, "name", "at most 16 of a-z, 0-9 and -, such as dev", self.name)
        require(bool(re.fullmatch(r"\d{12}", self.account)), "account", "12 digits", self.account)
        is_region = bool(re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", self.region))
        require(is_region, "region", "a region such as us-east-1", self.region)

    def role_arn(self, role: str) -> str:
        """Return the ARN of a role of this account, by its name."""
        return f"arn:aws:iam::{self.account}:role/{role}"

    def qualified(self, name: str) -> str:
        """Return the name of something that this environment creates."""
        return f"{name}-{self.name}"

    @property
    def tags(self) -> dict[str, str]:
        """Tags of everything that this environment creates."""
        return {"project": "nexus-llm", "environment": self.name}

    @property
    def package_group(self) -> str:
        """The model package group of this environment."""
        return self.qualified(self.registry.package_group)

    @property
    def crawler(self) -> str:
        """The Glue crawler of this environment."""
        return self.qualified(self.catalogue.crawler)

    @property
    def database(self) -> str:
        """The Glue database of this environment, without hyphens for Athena; empty: no catalogue."""
        database = self.catalogue.database
        return f"{database}_{self.name.replace('-', '_')}" if database else ""
