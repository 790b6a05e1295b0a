"""Tasks of source_ingestion."""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import Metadata, task
from airflow.sdk.exceptions import AirflowSkipException

from include.contracts.errors import InputError
from include.contracts.ingestion import IngestionManifest, ShardState
from include.contracts.manifests import ParentRef
from include.contracts.records import to_plain
from include.contracts.storage import S3Uri
from include.settings import load_settings
from nexus_airflow.assets import extra_of, raw_shards
from nexus_airflow.identity import run_identity
from nexus_airflow.params import checked_params

log = logging.getLogger(__name__)


@task
def plan(*, params: Any = None, dag: Any = None, ti: Any = None, dag_run: Any = None) -> list[str]:
    """Resolve the lists of the source and write the batches, unless it is a dry run.

    XCom `plan`: shards, bytes, existing shards, shards without a checksum.
    """
    from include.ingest.run import IngestionRequest, plan_run
    from include.recipes.source import check_prefix

    settings, values = load_settings(), checked_params(params, dag)
    prefix = str(values["target_prefix"] or "")
    if prefix:
        check_prefix("target_prefix", prefix)
    request = IngestionRequest(
        source=values["source"],
        select=values["select"] or {},
        include=str(values["include"] or "*"),
        max_shards=values["max_shards"],
        target_prefix=prefix,
        verify_existing=values["verify_existing"],
        dry_run=values["dry_run"],
        exclude=tuple(values["exclude"] or ()),
    )
    planned, uris = plan_run(settings, run_identity(dag_run).name, request)
    _log_plan(planned)
    ti.xcom_push(key="plan", value=to_plain(planned))
    return uris


@task
def fetch(batch_uri: str, *, dag_run: Any = None) -> dict[str, int]:
    """Fetch the shards of one batch, one after the other. Return their counts by state.

    The task tries all shards, and fails if one could not be fetched. If it is ended, its unfinished upload
    stays in S3, and the next try continues it.
    """
    from include.ingest.outcomes import require_good
    from include.ingest.run import fetch_batch

    report = fetch_batch(load_settings(), run_identity(dag_run).name, batch_uri)
    require_good(report.outcomes, batch_uri)
    return {state.value: sum(o.state is state for o in report.outcomes) for state in ShardState}


@task
def summary(*, params: Any = None, ti: Any = None, dag_run: Any = None) -> dict[str, str]:
    """Write the manifest of the run, also after failed batches, and return its reference. XCom `counts`."""
    from include.ingest.run import summarise

    planned = ti.xcom_pull(task_ids="plan", key="plan")
    if planned is None:  # if this task were skipped, the run would succeed
        raise InputError(
            "there is no plan", where="plan", remedy="see why the task plan failed, then clear it"
        )
    if params["dry_run"]:
        raise AirflowSkipException("a dry run: nothing was fetched")
    manifest, reference = summarise(load_settings(), run_identity(dag_run).name, planned)
    counts = {
        **manifest.counts,
        "size_bytes": manifest.size_bytes,
        "received_bytes": manifest.received_bytes,
        "without_checksum": sum(shard.published == "none" for shard in manifest.shards),
    }
    log.info("%s: %s", manifest.source, ", ".join(f"{count} {name}" for name, count in counts.items()))
    for shard in manifest.shards:
        if not shard.state.is_good:
            log.error("%s is %s: %s", shard.name, shard.state.value, shard.reason)
    ti.xcom_push(key="counts", value=counts)
    return {"uri": reference.uri, "sha256": reference.sha256}


@task
def publish(reference: dict[str, str]) -> Any:
    """Announce the shards of the run that were not announced before, if all of them exist."""
    from include.ingest.announcements import note_announcement
    from include.ingest.outcomes import require_whole
    from include.object_store import ObjectStore

    manifest = ObjectStore().read_record(
        IngestionManifest, S3Uri.parse(reference["uri"]), reference["sha256"]
    )
    require_whole(manifest, reference["uri"])
    if not note_announcement(load_settings().name, manifest):
        raise AirflowSkipException("all shards were there, and announced before")
    yield Metadata(
        raw_shards,
        extra=extra_of(ParentRef(**reference), source=manifest.source, source_uri=manifest.target_uri),
    )


def _log_plan(planned: Any) -> None:
    """Write an IngestionPlan to the task's log."""
    log.info(
        "%s: %s shards into %s, %s there already; %.1f GB to fetch, and %s shards of unknown size",
        planned.title,
        planned.shards,
        planned.target_uri,
        planned.present,
        planned.to_fetch_bytes / 1e9,
        planned.of_unknown_size,
    )
    log.info("licence: %s", planned.licence)
    if planned.known_missing:
        log.warning("%s shards are left out: their publisher lists them as missing", planned.known_missing)
    if planned.without_checksum:
        log.warning(
            "%s shards have no published checksum: theirs is recorded, not compared",
            planned.without_checksum,
        )
