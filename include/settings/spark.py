"""Settings of what runs the Spark jobs of corpus_refresh."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from include.settings.checks import at_least, require, s3_uri

#: What can run the Spark jobs (``include.aws.engines.Engine``).
ENGINES = ("emr", "emr_serverless", "glue")
#: Types of workers that a Glue job may have.
_WORKER_TYPES = ("G.1X", "G.2X", "G.4X", "G.8X")
_MOST_TYPES = 30  # EMR's limit for a fleet with an allocation strategy


@dataclass(frozen=True)
class CorpusSettings:
    """Defaults of a run of corpus_refresh, which a scheduled run takes.

    ``recipe`` names a packaged recipe, ``engine`` what runs its Spark jobs.
    """

    #: Packaged recipe of a run that chooses none.
    recipe: str = "standard"
    #: Engine of a run that chooses none.
    engine: str = ENGINES[0]

    def __post_init__(self) -> None:
        require(self.engine in ENGINES, "corpus.engine", f"one of {', '.join(ENGINES)}", self.engine)


@dataclass(frozen=True)
class EmrSettings:
    """The Spark cluster of corpus_refresh; it lives for one run.

    A fleet takes its instances from the types that it names, all of one size, so that a unit of capacity is
    an instance. Core nodes are on demand and their number stays; task nodes are spot, ``task_units`` at the
    start, and managed scaling moves their number so that core and task are ``maximum_units`` at most.
    ``python_archive`` is what ``make package-spark-env`` built, in S3; empty takes the cluster's own Python.
    """

    #: EMR release label.
    release: str
    #: Prefix of the cluster's logs.
    log_uri: str
    #: Subnets of the cluster; EMR chooses one.
    subnet_ids: tuple[str, ...]
    #: Instance types of the master node.
    master_instance_types: tuple[str, ...]
    #: Instance types of core nodes (on demand).
    core_instance_types: tuple[str, ...]
    #: Instance types of task nodes (spot).
    task_instance_types: tuple[str, ...]
    #: Number of core nodes.
    core_units: int
    #: Number of task nodes at the start.
    task_units: int
    #: Most core and task nodes together.
    maximum_units: int
    #: Wait for spot capacity before task nodes are taken on demand.
    spot_timeout_minutes: int = 20
    #: Idle time after which the cluster terminates.
    idle_timeout_seconds: int = 1800
    #: Longest duration of one Spark step before its task stops it.
    step_timeout_minutes: int = 1440
    #: Archive of ``make package-spark-env``; empty uses the cluster's Python.
    python_archive: str = ""
    #: Additional Spark properties.
    spark_properties: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        at_least("emr.step_timeout_minutes", self.step_timeout_minutes, 1)
        require_release("emr.release", self.release)
        s3_uri("emr.log_uri", self.log_uri)
        require(bool(self.subnet_ids), "emr.subnet_ids", "at least one subnet", self.subnet_ids)
        for name in ("master_instance_types", "core_instance_types", "task_instance_types"):
            _one_size(f"emr.{name}", getattr(self, name))
        at_least("emr.core_units", self.core_units, 1)
        at_least("emr.task_units", self.task_units, 1)
        at_least("emr.maximum_units", self.maximum_units, self.core_units + self.task_units)
        # EMR's own bounds of a fleet's provisioning timeout and of an auto-termination policy
        in_bounds = 5 <= self.spot_timeout_minutes <= 1440
        require(in_bounds, "emr.spot_timeout_minutes", "5 to 1440", self.spot_timeout_minutes)
        in_bounds = 60 <= self.idle_timeout_seconds <= 604_800
        require(in_bounds, "emr.idle_timeout_seconds", "60 to 604800", self.idle_timeout_seconds)
        require_archive("emr.python_archive", self.python_archive)


def require_release(name: str, value: str) -> None:
    """Check an EMR release label."""
    require(bool(re.fullmatch(r"emr-\d+\.\d+\.\d+", value)), name, "emr-X.Y.Z", value)


def require_archive(name: str, value: str) -> None:
    """Check the address of a packed Python environment in S3, or an empty one."""
    valid = not value or (value.startswith("s3://") and value.endswith(".tar.gz"))
    require(valid, name, "s3://….tar.gz, or empty", value)


def _one_size(name: str, types: tuple[str, ...]) -> None:
    require(1 <= len(types) <= _MOST_TYPES, name, f"1 to {_MOST_TYPES} instance types", types)
    sizes = {kind.partition(".")[2] for kind in types}
    require(len(sizes) == 1 and "" not in sizes, name, "instance types of one size", types)


@dataclass(frozen=True)
class EmrServerlessSettings:
    """The application of EMR Serverless: one by this name, shared by all runs, stopped by itself when idle.

    The maximum bounds what all its jobs use together, hence what they cost at most.
    """

    #: Name of the application, shared by all runs.
    application: str
    #: EMR release label.
    release: str
    #: Prefix of the logs.
    log_uri: str
    #: Most vCPUs of all jobs together.
    maximum_vcpu: int
    #: Most memory of all jobs together.
    maximum_memory_gb: int
    #: Idle time after which the application stops.
    idle_timeout_minutes: int = 15
    #: Longest duration of a job.
    execution_timeout_minutes: int = 720
    #: Subnets of the application; empty for none.
    subnet_ids: tuple[str, ...] = ()
    #: Security groups of the application.
    security_group_ids: tuple[str, ...] = ()
    #: Archive of ``make package-spark-env``; empty uses the release's Python.
    python_archive: str = ""
    #: Additional Spark properties.
    spark_properties: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        named = bool(re.fullmatch(r"[A-Za-z0-9._/#-]{1,64}", self.application))
        require(named, "emr_serverless.application", "a name of at most 64 characters", self.application)
        require_release("emr_serverless.release", self.release)
        s3_uri("emr_serverless.log_uri", self.log_uri)
        at_least("emr_serverless.maximum_vcpu", self.maximum_vcpu, 8)
        at_least("emr_serverless.maximum_memory_gb", self.maximum_memory_gb, 32)
        in_bounds = 1 <= self.idle_timeout_minutes <= 10_080
        require(in_bounds, "emr_serverless.idle_timeout_minutes", "1 to 10080", self.idle_timeout_minutes)
        at_least("emr_serverless.execution_timeout_minutes", self.execution_timeout_minutes, 5)
        require_archive("emr_serverless.python_archive", self.python_archive)


@dataclass(frozen=True)
class GlueSettings:
    """AWS Glue: a definition per Spark job, ``job_prefix`` and the job's name.

    ``workers`` is the most that auto scaling takes. FLEX is cheaper, starts when there is spare capacity,
    and may lose workers.
    """

    #: Prefix of the names of the job definitions.
    job_prefix: str
    #: Glue version.
    version: str
    #: Type of a worker.
    worker_type: str
    #: Most workers of auto scaling.
    workers: int
    #: Longest duration of a job.
    timeout_minutes: int
    #: ``FLEX`` is cheaper, waits for spare capacity and may lose workers.
    execution_class: str = "STANDARD"
    #: Additional Spark properties.
    spark_properties: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(bool(self.job_prefix), "glue.job_prefix", "a prefix of names", self.job_prefix)
        # below 5.0 there is neither Python 3.11 nor a requirements file for the libraries
        is_version = bool(re.fullmatch(r"\d+\.\d+", self.version)) and float(self.version) >= 5
        require(is_version, "glue.version", "5.0 or later", self.version)
        is_type = self.worker_type in _WORKER_TYPES
        require(is_type, "glue.worker_type", f"one of {', '.join(_WORKER_TYPES)}", self.worker_type)
        at_least("glue.workers", self.workers, 2)
        at_least("glue.timeout_minutes", self.timeout_minutes, 1)
        classes = ("STANDARD", "FLEX")
        is_class = self.execution_class in classes
        require(is_class, "glue.execution_class", "STANDARD or FLEX", self.execution_class)
        for key, value in self.spark_properties.items():  # all are one argument, split at blanks
            is_word = not re.search(r"\s", f"{key}{value}")
            require(is_word, f"glue.spark_properties.{key}", "a value without blanks", value)


@dataclass(frozen=True)
class CatalogueSettings:
    """The Glue Data Catalog. An empty ``database`` keeps none."""

    #: Database of the Glue Data Catalog; empty for no catalogue.
    database: str
    #: Name of the crawler.
    crawler: str

    def __post_init__(self) -> None:
        # Athena's own rule for names
        named = not self.database or bool(re.fullmatch(r"[a-z0-9_]{1,255}", self.database))
        require(named, "catalogue.database", "a-z, 0-9 and _, or empty", self.database)
        require(bool(self.crawler), "catalogue.crawler", "a name", self.crawler)
