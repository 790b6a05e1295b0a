"""Tasks of model_evaluation."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk import Metadata, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from include.contracts.errors import InputError, IntegrityError
from include.contracts.evaluation import EvaluationReport, Outcome, Verdict
from include.contracts.manifests import ModelManifest, ParentRef
from include.contracts.records import to_plain
from include.contracts.storage import RunLayout, S3Uri
from include.recipes.gate import GateRecipe
from include.settings import load_settings
from nexus_airflow.assets import approved_model, candidate_model, choose_manifest, extra_of
from nexus_airflow.identity import run_identity
from nexus_airflow.params import checked_params

if TYPE_CHECKING:
    from include.aws.registry import ModelPackage, ModelRegistry
    from include.aws.verdicts import Verdicts

log = logging.getLogger(__name__)


@task
def plan(
    *, params: Any = None, dag: Any = None, dag_run: Any = None, triggering_asset_events: Any = None
) -> dict[str, Any]:
    """Resolve candidate, champion and anchor (the best model ever approved).

    XCom: `candidate` and how it was chosen, `champion`, `anchor`, `superseded` candidates, and `job`. The
    champion is refused as a candidate, because it would be compared with itself.
    """
    from include.aws.processing import evaluation_job
    from include.object_store import ObjectStore

    settings, values, registry = load_settings(), checked_params(params, dag), _registry()
    choice = choose_manifest(
        values, triggering_asset_events, candidate_model, lambda: _newest_candidate(registry)
    )
    uri = S3Uri.parse(choice.manifest.uri)
    model, candidate = ObjectStore().referenced_record(ModelManifest, uri, choice.manifest.sha256)
    package = registry.register(model, candidate, {})  # found again when its training registered it
    champion = registry.champion()
    if champion is not None and champion.arn == package.arn:
        _refuse_champion(champion)
    baseline = champion.manifest if champion else None
    anchor = registry.anchor(champion) if champion else None
    best = anchor.manifest if anchor else None
    layout = RunLayout.of(settings.storage.models_bucket, model.run)
    folder = layout.evaluations / f"{run_identity(dag_run).name}/"
    log.info("candidate %s against %s", model.run, f"champion {champion.run}" if champion else "unigrams")
    job = evaluation_job(
        settings, candidate, model.corpus, baseline, folder, anchor=best, force=values["force"]
    )
    return {
        "candidate": to_plain(candidate),
        "chosen_by": choice.chosen_by,
        "champion": to_plain(baseline),
        "champion_arn": champion.arn if champion else "",
        "anchor": to_plain(best),
        "anchor_arn": anchor.arn if anchor else "",
        "superseded": list(choice.superseded),
        "package_arn": package.arn,
        "package_status": package.status,
        "package_reason": package.reason,
        "run": model.run,
        "report_uri": str(folder / "report.json"),
        "verdict_uri": str(folder / "verdict.json"),
        "gate": {"name": values["gate"], "overrides": values["gate_overrides"]},
        "job": to_plain(job),
    }


@task
def mark_superseded(planned: dict[str, Any]) -> list[str]:
    """Mark candidates in the registry that are not judged, because a newer one was announced with them.

    The task is skipped if there are none. XCom: their packages.
    """
    registry, marked = _registry(), []
    for extra in planned["superseded"]:
        older = _package_of(registry, extra)
        if registry.supersede(older.arn, planned["package_arn"]):
            log.warning("not judged, superseded by %s: %s", planned["package_arn"], older.arn)
            marked.append(older.arn)
    if not marked:
        raise AirflowSkipException("no candidate was superseded")
    return marked


@task
def gate(planned: dict[str, Any], evaluated: dict[str, str], *, ti: Any = None) -> dict[str, Any]:
    """Judge the report: pass, fail or inconclusive, with reasons. XCom `verdict_table`.

    Anything but a pass rejects the package and fails the task. An approved package stays approved, and one
    that a person has approved or rejected since the plan keeps that verdict.
    """
    from include.gates.judge import becomes_anchor, judge
    from include.object_store import ObjectStore
    from include.recipes.overrides import chosen_recipe

    store, chosen = ObjectStore(), planned["gate"]
    report = store.read_record(EvaluationReport, S3Uri.parse(evaluated["uri"]), evaluated["sha256"])
    _require_planned(report, planned)
    verdicts = _verdicts(planned)
    verdicts.require_baseline()
    recipe = chosen_recipe(GateRecipe, "gates", chosen["name"], chosen["overrides"])
    verdict = judge(report, recipe)
    store.write_record(S3Uri.parse(planned["verdict_uri"]), verdict)
    table = verdict_table(report, verdict)
    log.info("verdict: %s\n%s", verdict.outcome.value, table)
    ti.xcom_push(key="verdict_table", value=table)
    if verdict.outcome is not Outcome.PASS:
        reasons = "; ".join(r.text for r in verdict.reasons if r.outcome is not Outcome.PASS)
        reasons = reasons or "no reason given"
        kept = verdicts.reject(f"{verdict.outcome.value}: {reasons}")
        told = f"{reasons}; {kept}" if kept else reasons
        raise AirflowFailException(f"the gate's verdict is {verdict.outcome.value}: {told}")
    return {
        "outcome": verdict.outcome.value,
        "reasons": [reason.text for reason in verdict.reasons],
        "is_best": becomes_anchor(report, recipe),
    }


@task
def approve(planned: dict[str, Any], verdict: dict[str, Any]) -> Any:
    """Approve the package, make the candidate the champion, and announce it.

    The candidate becomes the anchor too if it is shown to be better than the anchor. The task is
    skipped, and nothing announced, if a person has rejected the package since the plan.
    """
    reasons = "; ".join(verdict["reasons"])
    kept = _verdicts(planned).approve(f"passed the gate: {reasons}", verdict["is_best"])
    if kept:
        raise AirflowSkipException(f"passed the gate, but is not announced: {kept}")
    candidate = ParentRef(**planned["candidate"])
    extra = extra_of(candidate, package_arn=planned["package_arn"], run=planned["run"])
    yield Metadata(approved_model, extra=extra)


def _newest_candidate(registry: ModelRegistry) -> ParentRef:
    package = registry.newest_candidate()
    if package is None:
        raise InputError(
            "no candidate waits for a verdict",
            where="the Model Registry",
            expected="a pending package",
            remedy="train a model; to judge one again, trigger this DAG with its manifest_uri",
        )
    return package.manifest


def _package_of(registry: ModelRegistry, extra: dict[str, str]) -> ModelPackage:
    """Return the package of an announced manifest. Those of events created in the UI may have none."""
    from include.object_store import ObjectStore

    uri, sha256 = extra["manifest_uri"], extra.get("manifest_sha256") or ""
    found = registry.find(ParentRef(uri, sha256)) if sha256 else None
    if found is not None:
        return found
    model, manifest = ObjectStore().referenced_record(ModelManifest, S3Uri.parse(uri), sha256)
    return registry.register(model, manifest, {})


def _refuse_champion(champion: ModelPackage) -> None:
    raise InputError(
        "this candidate is the champion, and would be compared with itself",
        where=champion.manifest.uri,
        expected="a candidate that does not serve yet",
        got=champion.arn,
        remedy="trigger this DAG with the defaults if other candidates are pending; this one needs nothing",
    )


def _require_planned(report: EvaluationReport, planned: dict[str, Any]) -> None:
    """Raise IntegrityError unless the report is about the planned candidate, champion and anchor."""
    named = (("candidate", report.model), ("champion", report.champion), ("anchor", report.anchor))
    for what, found in named:
        wanted = planned[what]
        if to_plain(found) != wanted:
            raise IntegrityError(
                f"the report is about another {what}",
                where=planned["report_uri"],
                expected=_named(wanted),
                got=_named(to_plain(found)),
                remedy="clear evaluate with Downstream",
            )


def _named(reference: dict[str, str] | None) -> str:
    return f"{reference['uri']} (sha256 {reference['sha256'][:12]}…)" if reference else "none"


def verdict_table(report: EvaluationReport, verdict: Verdict) -> str:
    """Return the verdict as a Markdown table: metric, candidate, baseline, threshold, outcome."""
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


def _registry() -> ModelRegistry:
    from include.aws.registry import ModelRegistry

    return ModelRegistry(load_settings())


def _verdicts(planned: dict[str, Any]) -> Verdicts:
    from include.aws.verdicts import Planned, Verdicts

    seen = Planned(
        arn=planned["package_arn"],
        status=planned["package_status"],
        reason=planned["package_reason"],
        champion_arn=planned["champion_arn"],
        anchor_arn=planned["anchor_arn"],
        verdict_uri=planned["verdict_uri"],
    )
    return Verdicts(_registry(), seen)
