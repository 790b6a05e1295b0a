"""Run source_ingestion from the catalogue to the manifest: the functions that its tasks call."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from include.contracts.errors import InputError
from include.contracts.ingestion import (
    BatchReport,
    BatchRequest,
    IngestionManifest,
    Shard,
    ShardOutcome,
    ShardState,
)
from include.contracts.manifests import ParentRef
from include.contracts.storage import IngestionLayout, S3Uri
from include.ingest.backoff import Sleep
from include.ingest.errors import SourceRefused, SourceUnavailable
from include.ingest.fetch import Fetcher
from include.ingest.listings import Lists
from include.ingest.outcomes import NO_REPORT, superseded, with_counts
from include.ingest.planning import IngestionPlan, absent, batches, selected
from include.ingest.source_client import SourceClient
from include.ingest.staging import StagedUpload, load_upload_record
from include.object_store import ObjectStore
from include.recipes.source import Politeness, Source, chosen, load_source
from include.settings import Settings

log = logging.getLogger(__name__)

_EXAMPLES = 5
#: After so many failed shards in a row, the others are left for the task's retry.
_GIVE_UP_AFTER = 3


@dataclass(frozen=True)
class IngestionRequest:
    """The user's request. An empty ``target_prefix`` means the source's own; 0 ``max_shards`` means all."""

    source: str
    select: Mapping[str, Collection[str]]
    include: str
    max_shards: int
    target_prefix: str
    verify_existing: bool
    dry_run: bool
    exclude: Collection[str] = ()


@dataclass(frozen=True)
class _Resolved:
    """The result of the lists: the selected shards, those that are not there, and those left out."""

    shards: list[Shard]
    missing: list[Shard]
    known_missing: int
    stale_uploads: int


def plan_run(
    settings: Settings, run: str, request: IngestionRequest, *, sleep: Sleep = time.sleep
) -> tuple[IngestionPlan, list[str]]:
    """Resolve the lists and write a BatchRequest for each batch; return the plan and their URIs.

    A dry run writes nothing and returns no URIs. Unfinished uploads of a version that the source no longer
    has are aborted.
    """
    source = load_source(request.source, settings.ingestion.sources_folder)
    layout = IngestionLayout(settings.storage.raw_bucket)
    target = S3Uri(layout.bucket, request.target_prefix or source.raw_prefix)
    resolved = _resolve(source, request, target, sleep)
    parts = batches(resolved.shards, settings.ingestion.max_batches)
    uris = []
    if not request.dry_run:
        ObjectStore().delete_folder(
            layout.reports(run)
        )  # the plan was cleared: these reports are of other batches
    for index, shards in enumerate(parts if not request.dry_run else ()):
        batch = BatchRequest(
            run, index, source.name, source.licence, str(target), request.verify_existing, tuple(shards)
        )
        ObjectStore().write_record(layout.batch(run, index), batch)
        uris.append(str(layout.batch(run, index)))
    return _plan(source, target, resolved, len(parts)), uris


def _resolve(source: Source, request: IngestionRequest, target: S3Uri, sleep: Sleep) -> _Resolved:
    with SourceClient(source.politeness) as client:
        lists = Lists(source, client, sleep)
        listed = lists.shards(chosen(source, request.select))
        shards = selected(listed, request.include, request.max_shards, request.exclude)
        there = ObjectStore().list(target)
        sizes = {entry.uri.removeprefix(str(target)): entry.size_bytes for entry in there}
        missing = absent(shards, sizes)
        stale = 0 if request.dry_run else abort_stale(client, target, missing)
    return _Resolved(shards, missing, lists.left_out, stale)


def _plan(source: Source, target: S3Uri, resolved: _Resolved, parts: int) -> IngestionPlan:
    shards, missing = resolved.shards, resolved.missing
    return IngestionPlan(
        source=source.name,
        title=source.title,
        licence=source.licence,
        homepage=source.homepage,
        target_uri=str(target),
        shards=len(shards),
        present=len(shards) - len(missing),
        to_fetch_bytes=sum(shard.size_bytes or 0 for shard in missing),
        of_unknown_size=sum(shard.size_bytes is None for shard in missing),
        without_checksum=sum(shard.checksum is None for shard in shards),
        known_missing=resolved.known_missing,
        batches=parts,
        stale_uploads=resolved.stale_uploads,
        examples=tuple(shard.name for shard in shards[:_EXAMPLES]),
    )


def abort_stale(client: SourceClient, target: S3Uri, shards: list[Shard]) -> int:
    """Abort unfinished uploads of another version than the server has now; return how many.

    Their parts cost storage, and no fetch will use them. If a server does not answer, its upload stays.
    """
    store, layout = ObjectStore(), IngestionLayout(target.bucket)
    prefix = S3Uri(target.bucket, layout.upload_record(target).key.removesuffix(".json"))
    unfinished = {entry.uri.removeprefix(str(prefix)).removesuffix(".json") for entry in store.list(prefix)}
    aborted = 0
    for shard in shards:
        if shard.name not in unfinished:
            continue
        try:
            aborted += _abort_if_stale(client, store, target / shard.name, shard)
        except (SourceUnavailable, SourceRefused):
            continue
        except Exception:  # an upload that only costs storage must not fail the plan
            log.exception("%s: its unfinished upload could not be looked into", shard.name)
    return aborted


def _abort_if_stale(client: SourceClient, store: ObjectStore, target: S3Uri, shard: Shard) -> bool:
    record = load_upload_record(store, target)
    if record is None:
        return False
    with client.open(shard.url) as answer:
        if record.url == shard.url and record.validator.agrees(answer.answered.validator):
            return False
    StagedUpload(store, target, record.url, record.part_bytes).discard()
    log.warning("%s: its source changed, the unfinished upload is aborted", shard.name)
    return True


def fetch_batch(
    settings: Settings, run: str, uri: str, *, sleep: Sleep = time.sleep, store: ObjectStore | None = None
) -> BatchReport:
    """Fetch the shards of a batch, one after the other over one connection, and report on all of them.

    Shards that an earlier try fetched are there already, and those that it began are continued. Shards that
    it failed to get come last, so that a few bad ones do not delay the others.
    """
    store = store or ObjectStore()
    batch = store.read_record(BatchRequest, S3Uri.parse(uri))
    source = load_source(batch.source, settings.ingestion.sources_folder)
    report_uri = IngestionLayout(settings.storage.raw_bucket).report(run, batch.index)
    earlier = superseded(store, report_uri)
    in_vain = {name for name, outcome in earlier.items() if outcome.tried}
    outcomes: list[ShardOutcome] = []
    why_not = ""
    with SourceClient(source.politeness) as client:
        fetcher = Fetcher(store, client, source.politeness, batch, settings.ingestion.part_mib << 20, sleep)
        for shard in sorted(batch.shards, key=lambda shard: shard.name in in_vain):
            if why_not:
                outcome = ShardOutcome(
                    shard.name, shard.url, ShardState.UNAVAILABLE, reason=why_not, tried=False
                )
            else:
                outcome = fetcher.fetch(shard)
            outcomes.append(outcome)
            why_not = why_not or _why_not_go_on(outcomes, source.politeness)
    counted = tuple(with_counts(o, earlier[o.name]) if o.name in earlier else o for o in outcomes)
    report = BatchReport(batch.index, counted)
    store.write_record(report_uri, report)
    return report


def _why_not_go_on(outcomes: Sequence[ShardOutcome], politeness: Politeness) -> str:
    """Return why the remaining shards are not asked for in this try; empty while they are."""
    asked = outcomes[-1].retry_after_seconds
    if asked > politeness.max_wait_seconds:
        return f"not tried: the server asked to wait for {asked:.0f} s"
    newest = outcomes[-_GIVE_UP_AFTER:]
    if len(newest) == _GIVE_UP_AFTER and all(o.state is ShardState.UNAVAILABLE for o in newest):
        return f"not tried after {_GIVE_UP_AFTER} shards in a row that could not be had"
    return ""


def summarise(
    settings: Settings, run: str, planned: Mapping[str, Any]
) -> tuple[IngestionManifest, ParentRef]:
    """Write the manifest of a run from the newest reports of its batches; return it with its hash."""
    store, layout = ObjectStore(), IngestionLayout(settings.storage.raw_bucket)
    outcomes: list[ShardOutcome] = []
    for index in range(int(planned["batches"])):
        if store.exists(layout.report(run, index)):
            outcomes += store.read_record(BatchReport, layout.report(run, index)).outcomes
            continue
        batch = store.read_record(BatchRequest, layout.batch(run, index))
        outcomes += [
            ShardOutcome(s.name, s.url, ShardState.UNAVAILABLE, reason=NO_REPORT) for s in batch.shards
        ]
    if not outcomes:
        raise InputError("the run has no batches", where=run, remedy="see the task plan")
    outcomes.sort(key=lambda outcome: outcome.name)
    manifest = IngestionManifest(
        run=run,
        source=planned["source"],
        licence=planned["licence"],
        homepage=planned["homepage"],
        target_uri=planned["target_uri"],
        counts={state.value: sum(o.state is state for o in outcomes) for state in ShardState},
        size_bytes=sum(outcome.size_bytes for outcome in outcomes),
        received_bytes=sum(outcome.received_bytes for outcome in outcomes),
        shards=tuple(outcomes),
    )
    return manifest, store.write_record(layout.manifest(run), manifest)
