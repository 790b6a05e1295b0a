"""The summary of a job: what came in, what left its last stage, and what each stage dropped."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.contracts.documents import Stage
from include.contracts.errors import ContractError
from include.contracts.manifests import StageReport
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.corpus_version.summary import summary_of

STAGES = (Stage.READ, Stage.NORMALISE, Stage.FILTER)


def test_a_summary_joins_the_reports_of_the_stages_of_a_job(tmp_path: Path) -> None:
    layout = VersionLayout(str(tmp_path))
    layout.save_report(StageReport(Stage.READ, 10, 8, {"broken": 2}, 1.23456))
    layout.save_report(StageReport(Stage.NORMALISE, 8, 8, {}, 0.004))
    layout.save_report(StageReport(Stage.FILTER, 8, 5, {"too_short": 3}, 0.0))
    assert summary_of(layout, STAGES) == {
        "documents_in": 10,
        "documents_out": 5,
        "dropped": {"read": {"broken": 2}, "filter": {"too_short": 3}},
        "seconds": {"read": 1.23, "normalise": 0.0, "filter": 0.0},
    }


def test_a_stage_that_is_not_complete_has_no_summary(tmp_path: Path) -> None:
    layout = VersionLayout(str(tmp_path))
    layout.save_report(StageReport(Stage.READ, 1, 1, {}, 0.0))
    with pytest.raises(ContractError, match="stage normalise is not complete"):
        summary_of(layout, STAGES)
