"""Tasks of source_ingestion."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from airflow.sdk import Metadata
from airflow.sdk.exceptions import AirflowSkipException

from include.contracts.errors import InputError
from include.contracts.ingestion import IngestionManifest, ShardState
from include.contracts.job_names import run_name
from include.contracts.manifests import ParentRef
from include.contracts.storage import S3Uri
from include.ingest.announcements import note_announcement
from include.ingest.outcomes import require_good, require_whole
from include.ingest.planning import IngestionPlan
from include.ingest.run import IngestionRequest, fetch_batch, plan_run, summarise
from include.object_store import ObjectStore
from include.recipes.source import check_prefix
from include.settings import load_settings
from nexus_airflow.assets import extra_of, raw_shards

log = logging.getLogger(__name__)


def plan(*, params: Any = None, ti: Any = None, dag_run: Any = None) -> list[str]:
    """Resolve the lists and write the batches. Returns their URIs, one a mapped task; none for a dry run."""
    settings = load_settings()
    prefix = str(params["target_prefix"] or "")
    if prefix:
        check_prefix("target_prefix", prefix)
    request = IngestionRequest(
        source=params["source"],
        select=params["select"] or {},
        include=str(params["include"] or "*"),
        max_shards=int(params["max_shards"]),
        target_prefix=prefix,
        verify_existing=bool(params["verify_existing"]),
        dry_run=bool(params["dry_run"]),
        exclude=tuple(params["exclude"] or ()),
    )
    planned, uris = plan_run(settings, run_name(dag_run.dag_id, dag_run.run_id), request)
    _log_plan(planned)
    ti.xcom_push(key="plan", value=asdict(planned))
    return uris


def fetch(batch_uri: str, *, dag_run: Any = None) -> dict[str, int]:
    """Counts of a batch, by state. Fails when a shard is not there, after it has tried all of them.

    An ended task, whatever ended it, leaves its unfinished upload in S3: the next try continues it.
    """
    settings = load_settings()
    report = fetch_batch(settings, run_name(dag_run.dag_id, dag_run.run_id), batch_uri)
    require_good(report.outcomes, batch_uri)
    return {state.value: sum(o.state is state for o in report.outcomes) for state in ShardState}


def summary(*, params: Any = None, ti: Any = None, dag_run: Any = None) -> dict[str, str]:
    """Write the manifest of the run, whatever became of its batches; its reference."""
    planned = ti.xcom_pull(task_ids="plan", key="plan")
    if planned is None:  # a skip would let the run end green
        raise InputError(
            "there is no plan", where="plan", remedy="see why the task plan failed, then clear it"
        )
    if params["dry_run"]:
        raise AirflowSkipException("a dry run: nothing was fetched")
    manifest, reference = summarise(load_settings(), run_name(dag_run.dag_id, dag_run.run_id), planned)
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


def publish(reference: dict[str, str]) -> Any:
    """Announce shards once all of the run are there. What was announced before is not announced again."""
    manifest = ObjectStore().read_record(
        IngestionManifest, S3Uri.parse(reference["uri"]), reference["sha256"]
    )
    require_whole(manifest, reference["uri"])
    if not note_announcement(manifest):
        raise AirflowSkipException("all shards were there, and announced before")
    yield Metadata(
        raw_shards,
        extra=extra_of(ParentRef(**reference), source=manifest.source, source_uri=manifest.target_uri),
    )


def _log_plan(planned: IngestionPlan) -> None:
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
            "%s shards have no published checksum: what comes is recorded, not compared",
            planned.without_checksum,
        )
