"""The gate of model_evaluation: every place shows its refusals, and only what passes is announced."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include.aws.registry import APPROVED, PENDING, REJECTED, ModelRegistry
from include.contracts.errors import IntegrityError, RecipeError
from include.contracts.evaluation import EvaluationReport, ModelScores, SubsetScore, Verdict
from include.contracts.manifests import ModelManifest, ParentRef
from include.contracts.records import to_plain
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore
from nexus_airflow.assets import approved_model
from nexus_airflow.tasks import evaluation
from tests.dags.conftest import Task

PARENT = ParentRef("s3://nexus-llm-processed/corpus/v1/manifest.json", "c" * 64)
BASELINE = ParentRef("s3://nexus-llm-models/runs/champion/model/manifest.json", "b" * 64)
_TOKENS = 100  # of each document


def scores(name: str, losses: list[float]) -> ModelScores:
    mean = sum(losses) / (_TOKENS * len(losses))
    tokens, text_bytes = _TOKENS * len(losses), 400 * len(losses)
    score = SubsetScore(len(losses), tokens, text_bytes, mean, 2.0, mean, tuple(losses))
    return ModelScores(name, {"code": score})


def report(candidate: list[float], champion: list[float]) -> EvaluationReport:
    return EvaluationReport(
        candidate=scores("candidate", candidate),
        baseline=scores("champion", champion),
        baseline_is_champion=True,
        document_ids={"code": tuple(f"code/{n}" for n in range(len(champion)))},
        document_tokens={"code": (_TOKENS,) * len(champion)},
        model=PARENT,
        corpus=PARENT,
        seconds=1.0,
        champion=BASELINE,
        anchor=BASELINE,
    )


CHAMPION = [500.0 + n for n in range(60)]
EQUAL = report(CHAMPION, CHAMPION)
WORSE = report([loss + 30 for loss in CHAMPION], CHAMPION)
#: As good on average, but no two documents agree: within what a subset may lose, not within the margin.
UNCLEAR = report([loss + (-60, 60)[n % 2] for n, loss in enumerate(CHAMPION)], CHAMPION)


class Evaluated:
    """A registered candidate whose report is given, and the two tasks that follow it."""

    def __init__(self, aws: Any, settings: Any, task: Task) -> None:
        self._aws, self._task = aws, task
        self._store = ObjectStore()
        self._folder = S3Uri(settings.storage.models_bucket, f"runs/{task.name}/evaluations/e/")
        manifest = ParentRef(str(self._folder / "model.json"), "a" * 64)
        model = ModelManifest("safetensors", task.name, 9, PARENT, PARENT, 1, 1, ())
        self.manifest = manifest
        self.planned = {
            "candidate": to_plain(manifest),
            "champion": to_plain(BASELINE),
            "anchor": to_plain(BASELINE),
            "anchor_arn": "",
            "report_uri": str(self._folder / "report.json"),
            "package_arn": ModelRegistry(settings).register(model, manifest, {}).arn,
            "run": task.name,
            "verdict_uri": str(self._folder / "verdict.json"),
        }

    def gate(self, given: EvaluationReport, **overrides: Any) -> dict[str, Any]:
        given = replace(given, model=self.manifest)
        written = self._store.write_record(self._folder / "report.json", given)
        planned = self.planned | {"gate": {"name": "standard", "overrides": overrides}}
        ti = SimpleNamespace(xcom_push=self._task.push)
        return evaluation.gate.function(planned, to_plain(written), ti=ti)

    def approve(self, verdict: dict[str, Any]) -> list[Any]:
        """Return the asset events of the task after the gate."""
        return list(evaluation.approve.function(self.planned, verdict))

    @property
    def package(self) -> dict[str, Any]:
        arn = self.planned["package_arn"]
        described: dict[str, Any] = self._aws.client("sagemaker").describe_model_package(ModelPackageName=arn)
        return described

    @property
    def verdict(self) -> Verdict:
        return self._store.read_record(Verdict, S3Uri.parse(str(self.planned["verdict_uri"])))


@pytest.fixture
def evaluated(aws: Any, settings_file: Any, task: Task) -> Evaluated:
    sagemaker, group = aws.client("sagemaker"), settings_file.package_group
    aws.client("s3").create_bucket(Bucket=settings_file.storage.models_bucket)
    if not sagemaker.list_model_package_groups(NameContains=group)["ModelPackageGroupSummaryList"]:
        sagemaker.create_model_package_group(ModelPackageGroupName=group)
    return Evaluated(aws, settings_file, task)


@pytest.mark.parametrize(
    ("given", "outcome", "reason", "row"),
    [
        (WORSE, "fail", r"Fail: loss differs by \+0\.300 nats per token", "5.5950 | 5.2950 | 0.0200 | fail"),
        (UNCLEAR, "inconclusive", "Inconclusive: loss differs by", "5.2950 | 5.2950 | 0.0200 | inconclusive"),
    ],
    ids=["worse", "unclear"],
)
def test_what_does_not_pass_is_rejected_and_its_reasons_stand_in_error_registry_and_table(
    evaluated: Evaluated, task: Task, given: EvaluationReport, outcome: str, reason: str, row: str
) -> None:
    with pytest.raises(AirflowFailException, match=f"the gate's verdict is {outcome}: {reason}") as failure:
        evaluated.gate(given)
    assert evaluated.package["ModelApprovalStatus"] == REJECTED
    assert str(failure.value) == f"the gate's verdict is {evaluated.package['ApprovalDescription']}"
    assert evaluated.verdict.outcome.value == outcome
    assert task.xcoms["verdict_table"].startswith(f"**{outcome}**: candidate against champion")
    assert f"| loss against champion | {row} |" in task.xcoms["verdict_table"]


def test_a_reason_that_passed_is_in_the_table_and_not_in_the_refusal(
    evaluated: Evaluated, task: Task
) -> None:
    with pytest.raises(AirflowFailException) as failure:
        evaluated.gate(UNCLEAR)
    assert "| subset code | 5.2950 | 5.2950 | 0.3619 | pass |" in task.xcoms["verdict_table"]
    assert "Pass" not in str(failure.value) and "subset" not in str(failure.value)


def test_what_passes_is_approved_and_announced_by_the_task_after_the_gate(
    evaluated: Evaluated, task: Task
) -> None:
    verdict = evaluated.gate(EQUAL)
    assert evaluated.package["ModelApprovalStatus"] == PENDING  # the gate decides, and does no more
    assert task.xcoms["verdict_table"].startswith("**pass**")
    (event,) = evaluated.approve(verdict)
    assert event.asset == approved_model
    assert event.extra["manifest_sha256"] == "a" * 64
    assert event.extra["package_arn"] == evaluated.package["ModelPackageArn"]
    assert evaluated.package["ModelApprovalStatus"] == APPROVED
    assert "passed the gate: Pass: loss differs by" in evaluated.package["ApprovalDescription"]


def test_the_overrides_of_a_run_decide(evaluated: Evaluated) -> None:
    with pytest.raises(AirflowFailException, match="60 held-out documents, needed 61"):
        evaluated.gate(EQUAL, min_documents=61)
    assert evaluated.package["ModelApprovalStatus"] == REJECTED
    with pytest.raises(RecipeError, match="margin_nats"):
        evaluated.gate(EQUAL, margin_nats=-1)


@pytest.mark.parametrize(
    "champion", [None, replace(BASELINE, sha256="c" * 64), replace(BASELINE, uri="s3://nexus-llm-models/x")]
)
def test_a_report_against_another_baseline_than_the_planned_champion_is_refused(
    evaluated: Evaluated, champion: ParentRef | None
) -> None:
    with pytest.raises(IntegrityError, match=r"the report is about another champion.*clear evaluate"):
        evaluated.gate(replace(EQUAL, champion=champion))
    assert evaluated.package["ModelApprovalStatus"] == PENDING, "nothing was judged"


def test_a_report_without_the_planned_anchor_is_refused(evaluated: Evaluated) -> None:
    with pytest.raises(IntegrityError, match=r"the report is about another anchor.*clear evaluate"):
        evaluated.gate(replace(EQUAL, anchor=replace(BASELINE, uri="s3://nexus-llm-models/x")))
    assert evaluated.package["ModelApprovalStatus"] == PENDING, "nothing was judged"


def test_a_candidate_that_trails_the_anchor_is_refused_though_it_equals_the_champion(
    evaluated: Evaluated, task: Task
) -> None:
    better = scores("anchor", [loss - 5 for loss in CHAMPION])
    with pytest.raises(AirflowFailException, match=r"against anchor anchor over 60"):
        evaluated.gate(replace(EQUAL, anchor_scores=better))
    assert "| loss against champion | 5.2950 | 5.2950 | 0.0200 | pass |" in task.xcoms["verdict_table"]
    assert "| loss against anchor | 5.2950 | 5.2450 | 0.0200 | fail |" in task.xcoms["verdict_table"]
