"""The gate of model_evaluation: every place shows its refusals, and only what passes is announced."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include.aws.registry import APPROVED, PENDING, REJECTED, ModelRegistry
from include.contracts.errors import IntegrityError, RecipeError
from include.contracts.evaluation import EvaluationReport
from include.contracts.manifests import ParentRef
from nexus_airflow.assets import approved_model
from tests.dags.conftest import Task
from tests.dags.models import CHAMPION, EQUAL, WORSE, Evaluation, approve, described, register, report, scores

#: As good on average, but no two documents agree: within what a subset may lose, not within the margin.
UNCLEAR = report([loss + (-60, 60)[n % 2] for n, loss in enumerate(CHAMPION)], CHAMPION)
OTHER = ParentRef("s3://nexus-llm-models/x/manifest.json", "d" * 64)


@pytest.fixture
def evaluated(registry: ModelRegistry, task: Task) -> Evaluation:
    """Plan the evaluation of a candidate against a champion."""
    approve(registry, register(registry, "champion"))
    register(registry, "candidate")
    evaluation = Evaluation(registry, task)
    evaluation.plan()
    return evaluation


@pytest.fixture
def package(evaluated: Evaluation, aws: Any) -> Any:
    """Describe the candidate's package as it is now."""
    return lambda: described(aws, evaluated.planned["package_arn"])


@pytest.mark.parametrize(
    ("given", "outcome", "reason", "row"),
    [
        (WORSE, "fail", r"Fail: loss differs by \+0\.300 nats per token", "5.5950 | 5.2950 | 0.0200 | fail"),
        (UNCLEAR, "inconclusive", "Inconclusive: loss differs by", "5.2950 | 5.2950 | 0.0200 | inconclusive"),
    ],
    ids=["worse", "unclear"],
)
def test_what_does_not_pass_is_rejected_and_its_reasons_stand_in_error_registry_and_table(
    evaluated: Evaluation,
    package: Any,
    task: Task,
    given: EvaluationReport,
    outcome: str,
    reason: str,
    row: str,
) -> None:
    with pytest.raises(AirflowFailException, match=f"the gate's verdict is {outcome}: {reason}") as failure:
        evaluated.gate(given)
    assert package()["ModelApprovalStatus"] == REJECTED
    told, _, verdict_uri = package()["ApprovalDescription"].partition(" (Rejected by ")
    assert verdict_uri == f"{evaluated.planned['verdict_uri']})"
    assert str(failure.value) == f"the gate's verdict is {told}"
    assert evaluated.verdict.outcome.value == outcome
    assert task.xcoms["verdict_table"].startswith(f"**{outcome}**: candidate against champion")
    assert f"| loss against champion | {row} |" in task.xcoms["verdict_table"]


def test_a_reason_that_passed_is_in_the_table_and_not_in_the_refusal(
    evaluated: Evaluation, package: Any, task: Task
) -> None:
    with pytest.raises(AirflowFailException) as failure:
        evaluated.gate(UNCLEAR)
    assert "| subset code | 5.2950 | 5.2950 | 0.3619 | pass |" in task.xcoms["verdict_table"]
    assert "Pass" not in str(failure.value) and "subset" not in str(failure.value)


def test_what_passes_is_approved_and_announced_by_the_task_after_the_gate(
    evaluated: Evaluation, package: Any, task: Task
) -> None:
    verdict = evaluated.gate(EQUAL)
    assert package()["ModelApprovalStatus"] == PENDING  # the gate decides, and does no more
    assert task.xcoms["verdict_table"].startswith("**pass**")
    (event,) = evaluated.approve(verdict)
    assert event.asset == approved_model
    assert event.extra["manifest_sha256"] == evaluated.planned["candidate"]["sha256"]
    assert event.extra["package_arn"] == package()["ModelPackageArn"]
    assert package()["ModelApprovalStatus"] == APPROVED
    assert "passed the gate: Pass: loss differs by" in package()["ApprovalDescription"]


def test_the_overrides_of_a_run_decide(evaluated: Evaluation, package: Any) -> None:
    with pytest.raises(AirflowFailException, match="60 held-out documents, needed 61"):
        evaluated.gate(EQUAL, min_documents=61)
    assert package()["ModelApprovalStatus"] == REJECTED
    with pytest.raises(RecipeError, match="margin_nats"):
        evaluated.gate(EQUAL, margin_nats=-1)


@pytest.mark.parametrize("what", ["champion", "anchor"])
@pytest.mark.parametrize("found", [None, OTHER], ids=["none", "another"])
def test_a_report_about_other_models_than_the_planned_ones_is_refused(
    evaluated: Evaluation, package: Any, what: str, found: ParentRef | None
) -> None:
    with pytest.raises(IntegrityError, match=rf"the report is about another {what}.*clear evaluate"):
        evaluated.gate(EQUAL, about={what: found})
    planned = ParentRef(**evaluated.planned[what])
    for other in (replace(planned, sha256="d" * 64), replace(planned, uri=OTHER.uri)):
        with pytest.raises(IntegrityError, match=f"the report is about another {what}"):
            evaluated.gate(EQUAL, about={what: other})
    assert package()["ModelApprovalStatus"] == PENDING, "nothing was judged"


def test_a_candidate_that_trails_the_anchor_is_refused_though_it_equals_the_champion(
    evaluated: Evaluation, package: Any, task: Task
) -> None:
    better = scores("anchor", [loss - 5 for loss in CHAMPION])
    with pytest.raises(AirflowFailException, match=r"against anchor anchor over 60"):
        evaluated.gate(replace(EQUAL, anchor_scores=better))
    assert "| loss against champion | 5.2950 | 5.2950 | 0.0200 | pass |" in task.xcoms["verdict_table"]
    assert "| loss against anchor | 5.2950 | 5.2450 | 0.0200 | fail |" in task.xcoms["verdict_table"]
