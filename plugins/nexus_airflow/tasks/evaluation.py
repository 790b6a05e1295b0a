"""Tasks of model_evaluation."""

from __future__ import annotations

import logging
from typing import Any

from airflow.sdk import Metadata
from airflow.sdk.exceptions import AirflowFailException

from include.aws.processing import evaluation_job
from include.aws.registry import APPROVED, REJECTED, ModelRegistry
from include.contracts.evaluation import EvaluationReport, Outcome, Verdict
from include.contracts.job_names import run_name
from include.contracts.manifests import ModelManifest, ParentRef
from include.contracts.records import to_plain
from include.contracts.storage import RunLayout, S3Uri
from include.object_store import ObjectStore
from include.recipes.gate import GateRecipe
from include.recipes.overrides import chosen_recipe
from include.settings import load_settings
from nexus_airflow.assets import approved_model, candidate_model, chosen_manifest, extra_of

log = logging.getLogger(__name__)


def plan(*, params: Any = None, dag_run: Any = None, triggering_asset_events: Any = None) -> dict[str, Any]:
    """Resolve candidate and champion; build the job's request."""
    settings = load_settings()
    chosen = chosen_manifest(params, triggering_asset_events, candidate_model)
    uri = S3Uri.parse(chosen.uri)
    model, candidate = ObjectStore().referenced_record(ModelManifest, uri, chosen.sha256)
    registry = ModelRegistry(settings)
    package = registry.register(model, candidate, {})  # found again when it was registered by its training
    champion = registry.champion()
    evaluation = run_name(dag_run.dag_id, dag_run.run_id)
    place = RunLayout.of(settings.storage.models_bucket, model.run)
    folder = place.evaluations / f"{evaluation}/"
    baseline = champion.manifest if champion else None
    log.info("candidate %s against %s", model.run, f"champion {champion.run}" if champion else "unigrams")
    return {
        "candidate": to_plain(candidate),
        "package_arn": package.arn,
        "run": model.run,
        "report_uri": str(folder / "report.json"),
        "verdict_uri": str(folder / "verdict.json"),
        "job": evaluation_job(settings, candidate, model.corpus, baseline, folder),
    }


def gate(
    planned: dict[str, Any], evaluated: dict[str, str], *, params: Any = None, ti: Any = None
) -> dict[str, Any]:
    """Judge the report. Anything but a pass rejects the package and fails the task with the reasons."""
    from include.gates.judge import judge

    store = ObjectStore()
    report = store.read_record(EvaluationReport, S3Uri.parse(evaluated["uri"]), evaluated["sha256"])
    recipe = chosen_recipe(GateRecipe, "gates", params["gate"], params["gate_overrides"])
    verdict = judge(report, recipe)
    store.write_record(S3Uri.parse(planned["verdict_uri"]), verdict)
    table = verdict_table(report, verdict)
    log.info("verdict: %s\n%s", verdict.outcome.value, table)
    ti.xcom_push(key="verdict_table", value=table)
    if verdict.outcome is not Outcome.PASS:
        reasons = "; ".join(r.text for r in verdict.reasons if r.outcome is not Outcome.PASS)
        reasons = reasons or "no reason given"
        registry = ModelRegistry(load_settings())
        registry.set_status(planned["package_arn"], REJECTED, f"{verdict.outcome.value}: {reasons}")
        raise AirflowFailException(f"the gate says {verdict.outcome.value}: {reasons}")
    return {"outcome": verdict.outcome.value, "reasons": [reason.text for reason in verdict.reasons]}


def approve(planned: dict[str, Any], verdict: dict[str, Any]) -> Any:
    """Make the candidate the champion, and announce it."""
    reasons = "; ".join(verdict["reasons"])
    ModelRegistry(load_settings()).set_status(planned["package_arn"], APPROVED, f"passed the gate: {reasons}")
    candidate = ParentRef(**planned["candidate"])
    extra = extra_of(candidate, package_arn=planned["package_arn"], run=planned["run"])
    yield Metadata(approved_model, extra=extra)


def verdict_table(report: EvaluationReport, verdict: Verdict) -> str:
    """The verdict as a Markdown table: metric, candidate, baseline, threshold, outcome."""
    lines = [
        f"**{verdict.outcome.value}**: {report.candidate.name} against {report.baseline.name}",
        "",
        "| metric | candidate | baseline | threshold | outcome |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.metric} | {r.candidate:.4f} | {r.baseline:.4f} | {r.threshold:.4f} | {r.outcome.value} |"
        for r in verdict.reasons
    ]
    return "\n".join(lines)
