"""Settings of Airflow's tasks: those that all DAGs share, and those of source_ingestion."""

from __future__ import annotations

from dataclasses import dataclass

from include.settings.checks import at_least, require


@dataclass(frozen=True)
class AirflowSettings:
    """Settings that every DAG shares. A trigger asks AWS every ``poll_interval_seconds``.

    A scheduled corpus_refresh waits ``new_shards_wait_seconds`` for raw shards before it skips; meanwhile it
    is the one active run. 0 looks once. A job that AWS has no room for is submitted again for
    ``capacity_wait_seconds`` before its task fails. A task waits as long while AWS cannot be reached.
    """

    #: Owner shown for every task.
    owner: str
    #: Retries of a task.
    retries: int
    #: Wait before a retry.
    retry_delay_seconds: int
    #: Time between two calls of a trigger to AWS.
    poll_interval_seconds: float
    #: Longest wait of a scheduled ``corpus_refresh`` for new raw shards; 0 looks once.
    new_shards_wait_seconds: int
    #: Names under which the API server answers; ``*`` where another gate stands before it, as on MWAA.
    hosts: tuple[str, ...]
    #: Longest wait for quota or capacity before a task fails.
    capacity_wait_seconds: int = 86_400

    def __post_init__(self) -> None:
        require(bool(self.hosts), "airflow.hosts", "at least one name", self.hosts)
        require(bool(self.owner), "airflow.owner", "a name", self.owner)
        at_least("airflow.retries", self.retries, 0)
        at_least("airflow.retry_delay_seconds", self.retry_delay_seconds, 0)
        positive = self.poll_interval_seconds > 0
        require(positive, "airflow.poll_interval_seconds", "more than 0", self.poll_interval_seconds)
        at_least("airflow.new_shards_wait_seconds", self.new_shards_wait_seconds, 0)
        at_least("airflow.capacity_wait_seconds", self.capacity_wait_seconds, 0)


@dataclass(frozen=True)
class IngestionSettings:
    """Settings of source_ingestion.

    ``sources_folder`` holds sources of your own, a TOML file each as in include/recipes/sources, such as a
    mirror; one of the same name replaces the packaged one. A running fetch holds about two parts in memory.
    """

    #: Folder of your own sources, one TOML file each; empty for none.
    sources_folder: str = ""
    #: Size of one part of an upload.
    part_mib: int = 16
    #: Most tasks into which the shards of a run are divided.
    max_batches: int = 256
    #: Longest duration of one fetch task.
    fetch_timeout_seconds: int = 43_200

    def __post_init__(self) -> None:
        # S3: a part is 5 MiB to 5 GiB; more than 512 MiB does not fit next to the other tasks of a worker
        require(5 <= self.part_mib <= 512, "ingestion.part_mib", "5 to 512", self.part_mib)
        # Airflow maps at most core.max_map_length (1024) tasks
        is_mappable = 1 <= self.max_batches <= 1024
        require(is_mappable, "ingestion.max_batches", "1 to 1024", self.max_batches)
        at_least("ingestion.fetch_timeout_seconds", self.fetch_timeout_seconds, 60)
