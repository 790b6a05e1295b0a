"""The candidate that an evaluation judges, and the verdicts that it may write next to those of people."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from include.aws.registry import APPROVED, PENDING, REJECTED, ModelRegistry
from include.contracts.errors import InputError
from include.contracts.records import to_plain
from tests.dags.conftest import Task
from tests.dags.models import EQUAL, WORSE, Evaluation, approve, described, register


@pytest.fixture
def run(registry: ModelRegistry, task: Task) -> Evaluation:
    return Evaluation(registry, task)


def status(aws: Any, arn: str) -> tuple[str, str]:
    found = described(aws, arn)
    return found["ModelApprovalStatus"], found.get("ApprovalDescription", "")


def test_by_hand_with_defaults_the_newest_pending_package_is_judged(run: Evaluation) -> None:
    champion, older, newer, rejected = (register(run.registry, name) for name in "abcd")
    approve(run.registry, champion)
    run.registry.set_status(rejected.arn, REJECTED, "by hand")
    assert run.plan()["package_arn"] == newer.arn
    run.registry.set_status(newer.arn, REJECTED, "by hand")
    assert run.plan()["package_arn"] == older.arn


def test_by_hand_with_defaults_a_package_with_a_verdict_is_not_judged_again(run: Evaluation) -> None:
    rejected, champion = (register(run.registry, name) for name in "ab")
    approve(run.registry, champion)
    run.registry.set_status(rejected.arn, REJECTED, "by hand")
    with pytest.raises(InputError, match=r"no candidate waits for a verdict.*to do: .*manifest_uri"):
        run.plan()


def test_the_champion_is_not_judged_against_itself(run: Evaluation, aws: Any) -> None:
    champion = register(run.registry, "a")
    approve(run.registry, champion)
    with pytest.raises(InputError, match="this candidate is the champion"):
        run.plan(manifest_uri=champion.manifest.uri)
    assert status(aws, champion.arn)[0] == APPROVED


def test_an_approved_package_that_fails_the_gate_stays_approved(run: Evaluation, aws: Any) -> None:
    former, champion = (register(run.registry, name) for name in "ab")
    for package in (former, champion):
        approve(run.registry, package)
    run.plan(manifest_uri=former.manifest.uri)
    with pytest.raises(AirflowFailException, match=r"verdict is fail: .*stays Approved"):
        run.gate(WORSE)
    assert run.verdict.outcome.value == "fail"
    assert status(aws, former.arn) == (APPROVED, "passed the gate")


def test_an_approved_package_that_passes_again_becomes_the_champion(run: Evaluation) -> None:
    former, champion = (register(run.registry, name) for name in "ab")
    for package in (former, champion):
        approve(run.registry, package)
    run.plan(manifest_uri=former.manifest.uri)
    assert len(run.approve(run.gate(EQUAL))) == 1
    assert run.registry.champion().arn == former.arn  # type: ignore[union-attr]


def test_a_rejected_package_is_judged_again_by_its_uri(run: Evaluation, aws: Any) -> None:
    rejected = register(run.registry, "a")
    run.registry.set_status(rejected.arn, REJECTED, "not judged: superseded by x")
    run.plan(manifest_uri=rejected.manifest.uri)
    assert len(run.approve(run.gate(EQUAL))) == 1
    assert status(aws, rejected.arn)[0] == APPROVED


@pytest.mark.parametrize("decided", [APPROVED, REJECTED])
def test_a_verdict_of_a_person_since_the_plan_outlives_a_failed_gate(
    run: Evaluation, aws: Any, decided: str
) -> None:
    candidate = register(run.registry, "a")
    run.plan()
    run.registry.set_status(candidate.arn, decided, "by hand")
    with pytest.raises(AirflowFailException, match=f"verdict is fail: .*stays {decided}.*by hand"):
        run.gate(WORSE)
    assert status(aws, candidate.arn) == (decided, "by hand")


@pytest.mark.parametrize("before", [PENDING, REJECTED])
def test_a_rejection_by_a_person_since_the_plan_is_not_announced(
    run: Evaluation, aws: Any, before: str
) -> None:
    candidate = register(run.registry, "a")
    run.registry.set_status(candidate.arn, before, "before")
    run.plan(manifest_uri=candidate.manifest.uri)
    verdict = run.gate(EQUAL)
    run.registry.set_status(candidate.arn, REJECTED, "by hand")
    with pytest.raises(AirflowSkipException, match=r"Rejected since the plan.*by hand"):
        run.approve(verdict)
    assert status(aws, candidate.arn) == (REJECTED, "by hand")
    assert run.registry.champion() is None


def test_an_approval_by_a_person_since_the_plan_keeps_its_reason_and_is_announced(
    run: Evaluation, aws: Any
) -> None:
    candidate = register(run.registry, "a")
    run.plan()
    run.registry.set_status(candidate.arn, APPROVED, "by hand")
    assert len(run.approve(run.gate(EQUAL))) == 1
    assert status(aws, candidate.arn) == (APPROVED, "by hand")
    assert run.registry.champion().arn == candidate.arn  # type: ignore[union-attr]


def test_another_champion_since_the_plan_refuses_both_verdicts(run: Evaluation, aws: Any) -> None:
    champion, other, candidate = (register(run.registry, name) for name in "abc")
    approve(run.registry, champion)
    run.plan()
    assert run.planned["champion"] == to_plain(champion.manifest)
    verdict = run.gate(EQUAL)
    approve(run.registry, other)
    for judge in (lambda: run.gate(EQUAL), lambda: run.gate(WORSE), lambda: run.approve(verdict)):
        with pytest.raises(InputError, match=r"the champion has changed.*clear plan with Downstream"):
            judge()
    assert status(aws, candidate.arn)[0] == PENDING
    assert run.registry.champion().arn == other.arn  # type: ignore[union-attr]
    assert run.plan()["champion"] == to_plain(other.manifest)
    assert len(run.approve(run.gate(EQUAL))) == 1


def test_a_rollback_since_the_plan_refuses_the_verdict(run: Evaluation, aws: Any) -> None:
    former, champion, candidate = (register(run.registry, name) for name in "abc")
    for package in (former, champion):
        approve(run.registry, package)
    run.plan()
    run.registry.note_champion(former.arn)  # as a deployment by hand does
    with pytest.raises(InputError, match="the champion has changed"):
        run.gate(EQUAL)
    assert status(aws, candidate.arn)[0] == PENDING


def test_an_anchor_that_was_rejected_since_the_plan_refuses_the_verdict(run: Evaluation, aws: Any) -> None:
    anchor, champion, candidate = (register(run.registry, name) for name in "abc")
    approve(run.registry, anchor)
    approve(run.registry, champion, is_best=False)
    run.plan()
    run.registry.set_status(anchor.arn, REJECTED, "it was trained on the test set")
    with pytest.raises(InputError, match="the anchor has changed"):
        run.gate(WORSE)
    assert status(aws, candidate.arn)[0] == PENDING


def test_a_retry_and_a_clear_of_the_last_tasks_give_the_same_verdict(run: Evaluation, aws: Any) -> None:
    champion, candidate = (register(run.registry, name) for name in "ab")
    approve(run.registry, champion)
    run.plan()
    verdict = run.gate(EQUAL)
    for _ in range(2):
        assert len(run.approve(verdict)) == 1
    run.gate(EQUAL)
    assert len(run.approve(verdict)) == 1
    assert run.registry.champion().arn == candidate.arn  # type: ignore[union-attr]


def test_a_clear_of_the_evaluation_replaces_its_own_rejection(run: Evaluation, aws: Any) -> None:
    candidate = register(run.registry, "a")
    run.plan()
    for _ in range(2):
        with pytest.raises(AirflowFailException, match="verdict is fail"):
            run.gate(WORSE)
    assert status(aws, candidate.arn)[0] == REJECTED
    assert len(run.approve(run.gate(EQUAL))) == 1
    assert status(aws, candidate.arn)[0] == APPROVED


def test_an_approval_of_an_earlier_try_that_was_rolled_back_is_not_repeated(run: Evaluation) -> None:
    champion, candidate = (register(run.registry, name) for name in "ab")
    approve(run.registry, champion)
    run.plan()
    verdict = run.gate(EQUAL)
    run.approve(verdict)
    run.registry.note_champion(champion.arn)
    with pytest.raises(InputError, match="the champion has changed"):
        run.approve(verdict)
    assert run.registry.champion().arn == champion.arn  # type: ignore[union-attr]
    assert candidate.arn in run.registry.approval_order()
