"""The verdict on the shards of a run, the counts of its tries, and the texts of servers."""

from __future__ import annotations

import pytest

from include.contracts.ingestion import ShardOutcome, ShardState
from include.ingest.errors import ShardMismatch, SourceRefused, SourceUnavailable, plain
from include.ingest.outcomes import require_good, with_counts


def outcome(state: ShardState, reason: str = "", **more: float) -> ShardOutcome:
    return ShardOutcome("a", "http://h/a", state, reason=reason, **more)  # type: ignore[arg-type]


GOOD = next(state for state in ShardState if state.is_good)
UNAVAILABLE, QUARANTINED = ShardState.UNAVAILABLE, ShardState.QUARANTINED
REFUSED = next(state for state in ShardState if not state.is_good and state not in (UNAVAILABLE, QUARANTINED))


def test_a_text_of_a_server_is_printable_and_at_most_200_characters_long() -> None:
    assert plain("a\x1b[2J\nb") == "a[2Jb"
    assert plain("x" * 200) == "x" * 200
    assert plain("x" * 201) == "x" * 200


def test_good_shards_need_no_verdict() -> None:
    require_good((outcome(GOOD), outcome(GOOD)), "batch 1")


def test_while_a_later_try_may_help_the_failure_passes_but_names_the_worst_reason() -> None:
    shards = (outcome(GOOD), outcome(UNAVAILABLE, "busy"), outcome(REFUSED, "403"), outcome(QUARANTINED, "q"))
    with pytest.raises(SourceUnavailable, match="3 of 4 shards are not there") as failure:
        require_good(shards, "batch 1")
    assert "got 403" in str(failure.value)
    assert "patience" not in str(failure.value)


def test_the_longest_wait_that_a_server_asked_for_is_told() -> None:
    shards = tuple(outcome(UNAVAILABLE, "busy", retry_after_seconds=wait) for wait in (5.0, 90.0, 30.0))
    with pytest.raises(SourceUnavailable, match="asked for 90 s of patience") as failure:
        require_good(shards, "batch 1")
    assert "got busy" in str(failure.value)


def test_a_quarantined_shard_is_a_mismatch_and_a_refused_one_a_refusal() -> None:
    with pytest.raises(ShardMismatch, match="1 of 3 shards are not there") as mismatch:
        require_good((outcome(GOOD), outcome(GOOD), outcome(QUARANTINED, "torn")), "batch 1")
    assert mismatch.value.got == "torn"
    with pytest.raises(SourceRefused, match="correct the source"):
        require_good((outcome(REFUSED, "403"),), "batch 1")


def test_the_counts_of_tries_are_added() -> None:
    first = outcome(UNAVAILABLE, received_bytes=10, discarded_bytes=3, resumes=1, restarts=2)
    second = outcome(GOOD, received_bytes=5, discarded_bytes=1, resumes=4, restarts=0)
    both = with_counts(second, first)
    assert (both.received_bytes, both.discarded_bytes, both.resumes, both.restarts) == (15, 4, 5, 2)
    assert both.state is GOOD
