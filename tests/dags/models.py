"""Registered models, and evaluations of them by the tasks of model_evaluation with a report that is given."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from include.aws.registry import ModelPackage, ModelRegistry
from include.contracts.evaluation import EvaluationReport, ModelScores, SubsetScore, Verdict
from include.contracts.manifests import ModelManifest, ParentRef
from include.contracts.records import from_plain, to_plain
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore
from nexus_airflow.tasks import evaluation
from tests.dags.conftest import Task, form, values

CORPUS = ParentRef("s3://nexus-llm-processed/corpus/v1/manifest.json", "c" * 64)
_TOKENS = 100  # of each document


def register(registry: ModelRegistry, run: str) -> ModelPackage:
    """Write the manifest of a model and register it."""
    uri = S3Uri("nexus-llm-models", f"runs/{run}/model/manifest.json")
    model = ModelManifest("safetensors", run, 1, CORPUS, CORPUS, 1, 256, ())
    return registry.register(model, ObjectStore().write_record(uri, model), {})


def scores(name: str, losses: list[float]) -> ModelScores:
    """Build the scores of a model that has these losses on the documents of one subset."""
    mean = sum(losses) / (_TOKENS * len(losses))
    tokens, text_bytes = _TOKENS * len(losses), 400 * len(losses)
    score = SubsetScore(len(losses), tokens, text_bytes, mean, 2.0, mean, tuple(losses))
    return ModelScores(name, {"code": score})


def report(candidate: list[float], champion: list[float]) -> EvaluationReport:
    """Build a report. ``Evaluation.gate`` fills in which models it is about."""
    return EvaluationReport(
        candidate=scores("candidate", candidate),
        baseline=scores("champion", champion),
        baseline_is_champion=True,
        document_ids={"code": tuple(f"code/{n}" for n in range(len(champion)))},
        document_tokens={"code": (_TOKENS,) * len(champion)},
        model=CORPUS,
        corpus=CORPUS,
        seconds=1.0,
    )


CHAMPION = [500.0 + n for n in range(60)]
EQUAL = report(CHAMPION, CHAMPION)
WORSE = report([loss + 30 for loss in CHAMPION], CHAMPION)


class Evaluation:
    """A run of model_evaluation whose report is given."""

    def __init__(self, registry: ModelRegistry, task: Task) -> None:
        self.registry, self._task = registry, task
        self._dag = form("model_evaluation")
        self._run = SimpleNamespace(dag_id="model_evaluation", run_id=task.name)
        self._store = ObjectStore()
        self.planned: dict[str, Any] = {}

    def plan(self, events: Any = None, **conf: Any) -> dict[str, Any]:
        params = values(self._dag, **conf)
        self.planned = evaluation.plan.function(
            params=params, dag=self._dag, dag_run=self._run, triggering_asset_events=events
        )
        return self.planned

    def gate(
        self, given: EvaluationReport, about: dict[str, Any] | None = None, **overrides: Any
    ) -> dict[str, Any]:
        """Judge a report about the planned models, except for those of ``about``."""
        fields = {"model": "candidate", "champion": "champion", "anchor": "anchor"}
        planned_models = {field: self._model(name) for field, name in fields.items()}
        given = replace(given, **planned_models | (about or {}))
        written = self._store.write_record(S3Uri.parse(self.planned["report_uri"]), given)
        planned = self.planned | {"gate": {"name": "standard", "overrides": overrides}}
        ti = SimpleNamespace(xcom_push=self._task.push)
        return evaluation.gate.function(planned, to_plain(written), ti=ti)

    def approve(self, verdict: dict[str, Any]) -> list[Any]:
        """Return the asset events of the task after the gate."""
        return list(evaluation.approve.function(self.planned, verdict))

    @property
    def verdict(self) -> Verdict:
        return self._store.read_record(Verdict, S3Uri.parse(self.planned["verdict_uri"]))

    def _model(self, name: str) -> ParentRef | None:
        plain = self.planned[name]
        return from_plain(ParentRef, plain, where=name) if plain else None


def described(aws: Any, package: ModelPackage | str) -> dict[str, Any]:
    """Return a package as the registry describes it."""
    arn = package if isinstance(package, str) else package.arn
    found: dict[str, Any] = aws.client("sagemaker").describe_model_package(ModelPackageName=arn)
    return found


def approve(registry: ModelRegistry, package: ModelPackage, *, is_best: bool = True) -> None:
    """Approve a package as an evaluation does."""
    before = registry.champion()
    anchor = package if is_best or before is None else registry.anchor(before)
    registry.set_status(package.arn, "Approved", "passed the gate")
    registry.note_champion(package.arn, anchor.arn)
