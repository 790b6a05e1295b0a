"""Outcomes of the shards of a batch or run, added up over its tries, and the verdict on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from include.contracts.errors import InputError
from include.contracts.ingestion import BatchReport, IngestionManifest, ShardOutcome, ShardState
from include.contracts.storage import S3Uri
from include.ingest.errors import ShardMismatch, SourceRefused, SourceUnavailable
from include.object_store import ObjectStore

NO_REPORT = "its batch ended before it could report"


def superseded(store: ObjectStore, report_uri: S3Uri) -> dict[str, ShardOutcome]:
    """Return the counts of earlier tries by shard; ``tried`` are the shards that the last try failed to get.

    They replace the report while a try runs, so that a killed try is not mistaken for the one before.
    """
    if not store.exists(report_uri):
        return {}
    before = store.read_record(BatchReport, report_uri)
    outcomes = tuple(
        with_counts(
            ShardOutcome(
                o.name,
                o.url,
                ShardState.UNAVAILABLE,
                reason=NO_REPORT,
                tried=o.state is ShardState.UNAVAILABLE and o.tried,
            ),
            o,
        )
        for o in before.outcomes
    )
    store.write_record(report_uri, replace(before, outcomes=outcomes))
    return {outcome.name: outcome for outcome in outcomes}


def with_counts(outcome: ShardOutcome, earlier: ShardOutcome) -> ShardOutcome:
    """Return the outcome of a try, with the counts of the earlier ones added."""
    return replace(
        outcome,
        received_bytes=outcome.received_bytes + earlier.received_bytes,
        discarded_bytes=outcome.discarded_bytes + earlier.discarded_bytes,
        resumes=outcome.resumes + earlier.resumes,
        restarts=outcome.restarts + earlier.restarts,
    )


def require_good(outcomes: tuple[ShardOutcome, ...], where: str) -> None:
    """Raise SourceUnavailable while a later try may help, else an error that is not retried."""
    bad = _bad(outcomes)
    if not bad:
        return
    counts, what = Counter(outcome.state.value for outcome in bad), _not_there(outcomes)
    first = next((o for o in bad if o.state is not ShardState.UNAVAILABLE), bad[0])
    if counts[ShardState.UNAVAILABLE.value]:
        asked = max(outcome.retry_after_seconds for outcome in bad)
        remedy = "a retry or clear goes on where this try ended"
        if asked:
            remedy += f"; the server asked for {asked:.0f} s of patience"
        raise SourceUnavailable(what, where=where, got=first.reason, remedy=remedy)
    if counts[ShardState.QUARANTINED.value]:
        remedy = (
            "read the notes below quarantine/; clear to fetch these shards again, or correct the source and "
            "clear the task plan with downstream"
        )
        raise ShardMismatch(
            what, where=where, expected="every shard as published", got=first.reason, remedy=remedy
        )
    remedy = (
        "correct the source and clear the task plan with downstream, or trigger again and leave these shards "
        "out with exclude"
    )
    raise SourceRefused(what, where=where, got=first.reason, remedy=remedy)


def require_whole(manifest: IngestionManifest, where: str) -> None:
    """Raise InputError unless all shards of a run are there: only its tasks `fetch` can bring them."""
    if bad := _bad(manifest.shards):
        raise InputError(
            _not_there(manifest.shards),
            where=where,
            expected="every shard of the run",
            got=f"{bad[0].name}: {bad[0].reason}",
            remedy="clear the red `fetch` tasks with downstream",
        )


def _bad(outcomes: Sequence[ShardOutcome]) -> list[ShardOutcome]:
    return [outcome for outcome in outcomes if not outcome.state.is_good]


def _not_there(outcomes: Sequence[ShardOutcome]) -> str:
    counts = Counter(outcome.state.value for outcome in _bad(outcomes))
    states = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    return f"{sum(counts.values())} of {len(outcomes)} shards are not there: {states}"
