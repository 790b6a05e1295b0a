"""The report at the end of a demo, and the sums behind it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from demo.report import print_report
from demo.summary import CorpusSummary, DeploymentSummary, GateSummary, Summary, TrainingSummary
from include.contracts.errors import ContractError

CORPUS: dict[str, Any] = {
    "version": "abc",
    "reused": False,
    "documents_in": 100,
    "documents_kept": 70,
    "documents_held_out": 5,
    "dropped": {"filter": {"too_short": 10}, "near_dedup": {"near_duplicate": 20}},
    "tokens": 1234,
}


def summary() -> Summary:
    return Summary(
        corpus=CorpusSummary(**CORPUS),
        training=TrainingSummary(120, 1, 30, 9.0, 6.5, 50, 60),
        gate=GateSummary("pass", "unigram", ("gain 1.2 nats [per token]",)),
        deployment=DeploymentSummary("http://127.0.0.1:1", "my-llm", "nexus:3", "def main(", "[bold]args"),
        seconds={"total": 125.0},
        tasks=(),
        peak_memory_bytes=2**30,
        left_out={},
    )


def test_the_report_shows_funnel_loss_verdict_completion_and_where_to_look() -> None:
    sink = io.StringIO()
    print_report(summary(), Path("some/summary.json"), "http://127.0.0.1:8080", Console(file=sink, width=160))
    text = sink.getvalue()
    for expected in (
        "too_short 10",
        "near_duplicate 20",
        "9.000 → 6.500",
        "resumed at step 30",
        "pass",
        "gain 1.2 nats [per token]",
        "def main([bold]args",
        "2 min 5 s",
        "some/summary.json",
        "http://127.0.0.1:8080",
        "curl http://127.0.0.1:1/v1/completions",
        '"model": "my-llm"',
    ):
        assert expected in text


def test_a_narrow_terminal_shows_the_whole_bars_of_the_funnel() -> None:
    sink = io.StringIO()
    print_report(summary(), Path("some/summary.json"), "http://127.0.0.1:8080", Console(file=sink, width=80))
    bars = [line.count("█") for line in sink.getvalue().splitlines() if "█" in line]
    assert bars == [24, round(24 * 0.9), round(24 * 0.7)]
    assert "…" not in sink.getvalue()


def test_counts_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ContractError, match=r"corpus abc: documents do not add up; expected 101 in"):
        CorpusSummary(**(CORPUS | {"documents_in": 101}))
