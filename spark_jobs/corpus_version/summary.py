"""The summary of a job, which its last line of output holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from include.contracts.documents import Stage
from spark_jobs.corpus_version.layout import VersionLayout


def summary_of(layout: VersionLayout, stages: Sequence[Stage]) -> dict[str, Any]:
    """Summarise the stage reports of a job for the last line that it prints."""
    reports = [layout.completed(stage) for stage in stages]
    return {
        "documents_in": reports[0].documents_in,
        "documents_out": reports[-1].documents_out,
        "dropped": {report.stage: report.dropped for report in reports if report.dropped},
        "seconds": {report.stage: round(report.seconds, 2) for report in reports},
    }
