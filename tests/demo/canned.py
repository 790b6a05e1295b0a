"""Canned responses of Airflow, S3 and SageMaker after a demo."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from demo.airflow_api import AirflowApi
from demo.follow import DAGS
from include.contracts.evaluation import EvaluationReport, ModelScores, Outcome, Reason, SubsetScore, Verdict
from include.contracts.job_names import RunIdentity
from include.contracts.manifests import (
    CorpusManifest,
    DeploymentManifest,
    ParentRef,
    SubsetCounts,
    TrainingReport,
)
from include.contracts.records import canonical_json
from include.contracts.storage import RunLayout
from include.object_store import ObjectStore, Uri

RUN = RunLayout.of("models", "manual-1")
CORPUS = "s3://processed/corpus/standard-1/manifest.json"
DEPLOYMENT = "s3://models/deployments/1.json"
DROPPED = {"read": {"invalid_json": 1}, "filter": {"too_short": 9}, "near_dedup": {"near_duplicate": 20}}
_BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
TASKS = {
    "corpus": ("plan", "create_cluster", "clean", "tokenise"),
    "training": ("plan", "train"),
    "evaluation": ("plan", "evaluate", "gate", "approve"),
    "deployment": ("plan", "roll_out", "record_deployment"),
}


class CannedAirflow(AirflowApi):
    """Answers of Airflow's API after one demo, in which ``failed`` tasks failed."""

    def __init__(self, failed: tuple[str, ...] = ()) -> None:
        self.failed = failed

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        return "manual__1"

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        return DEPLOYMENT

    def failure(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> str:
        return f"{task_id} says no"

    def _get(self, path: str, **params: Any) -> Any:
        if path == "importErrors":
            return {"import_errors": []}
        if path == "dags":
            return {"dags": [{"dag_id": dag_id} for dag_id in DAGS.values()]}
        if path == "assets/events":
            phase = next(phase for phase, dag_id in DAGS.items() if dag_id == params["source_dag_id"])
            uri = CORPUS if phase == "corpus" else str(RUN.model / "manifest.json")
            return {"asset_events": [{"extra": {"manifest_uri": uri}}]}
        dag_id = path.split("/")[1]
        phase = next(phase for phase in DAGS if DAGS[phase] == dag_id)
        if path.endswith("/dagRuns"):
            return {"dag_runs": [{"dag_run_id": "manual__1", "queued_at": datetime.now(UTC).isoformat()}]}
        if path.endswith("/upstreamAssetEvents"):
            return {"asset_events": [{"source_run_id": "manual__1"}]}
        if path.endswith("/taskInstances"):
            return {"task_instances": list(self._tasks(phase))}
        if path.endswith("/tasks"):
            following = [*TASKS[phase][1:], None]
            chain = zip(TASKS[phase], following, strict=True)
            return {"tasks": [{"task_id": t, "downstream_task_ids": [n] if n else []} for t, n in chain]}
        state = "failed" if self._fails(phase) else "success"
        return {"state": state, "start_date": _BEGAN.isoformat()}

    def _fails(self, phase: str) -> bool:
        return any(task in self.failed for task in TASKS[phase])

    def _tasks(self, phase: str) -> Iterator[dict[str, Any]]:
        for number, name in enumerate(TASKS[phase]):
            began = _BEGAN + number * timedelta(seconds=2.75)
            state = "failed" if name in self.failed else "success"
            upstream_failed = state == "success" and name == "approve" and "gate" in self.failed
            yield {
                "task_id": name,
                "state": "upstream_failed" if upstream_failed else state,
                "try_number": 1,
                "start_date": (began + timedelta(seconds=0.25)).isoformat(),
                "end_date": (began + timedelta(seconds=2.75)).isoformat(),
            }


class Buckets(ObjectStore):
    """S3 with the objects that the jobs of one demo wrote."""

    def __init__(self, objects: dict[str, Any]) -> None:
        super().__init__()
        self._objects = {uri: canonical_json(record) for uri, record in objects.items()}

    def read(self, uri: Uri) -> bytes:
        return self._objects[str(uri)]

    def exists(self, uri: Uri) -> bool:
        return str(uri) in self._objects


class OneTrainingJob:
    """SageMaker after a managed spot job that lost its instance once."""

    def list_training_jobs(self, **_: Any) -> dict[str, Any]:
        return {"TrainingJobSummaries": [{"TrainingJobName": "train-1"}]}

    def describe_training_job(self, **_: str) -> dict[str, Any]:
        steps = ("Starting", "Training", "Interrupted", "Starting", "Training", "Completed")
        transitions = [{"Status": status} for status in steps]
        return {
            "SecondaryStatusTransitions": transitions,
            "BillableTimeInSeconds": 50,
            "TrainingTimeInSeconds": 60,
        }


def corpus_manifest() -> CorpusManifest:
    parent = ParentRef("s3://processed/corpus/standard-1/request.json", "0" * 64)
    return CorpusManifest(
        version="standard-1",
        root_uri="s3://processed/corpus/standard-1/",
        request=parent,
        documents_in=100,
        documents_kept=70,
        documents_held_out=20,
        dropped={
            "read": {"invalid_json": 1},
            "filter": {"too_short": 9},
            "near_dedup": {"near_duplicate": 20},
        },
        tokens=12_345,
        tokens_held_out=2_000,
        subsets={"Source Code": SubsetCounts(50, 20, 90_000, 12_345, 2_000)},
        tokenizer_sha256="0" * 64,
        vocabulary_size=4096,
        token_dtype="uint16",
        end_of_text_id=0,
        shards=(),
        held_out_shards=(),
        files=(),
    )


def evaluation_report() -> EvaluationReport:
    score = SubsetScore(2, 20, 80, 5.0, 148.4, 1.8, (50.0, 50.0))
    model = ParentRef(str(RUN.model / "manifest.json"), "0" * 64)
    return EvaluationReport(
        candidate=ModelScores("manual-1", {"Source Code": score}),
        baseline=ModelScores("unigram", {"Source Code": score}),
        baseline_is_champion=False,
        document_ids={"Source Code": ("a", "b")},
        document_tokens={"Source Code": (10, 10)},
        model=model,
        corpus=ParentRef(CORPUS, "0" * 64),
        seconds=1.0,
    )


def written(outcome: Outcome | None, endpoint: str = "") -> dict[str, Any]:
    """Return the objects that the DAGs of one demo wrote to S3, without a verdict if it is None."""
    evaluation = RUN.evaluations / RunIdentity("dev", "model_evaluation", "manual__1").name
    objects: dict[str, Any] = {
        CORPUS: corpus_manifest(),
        str(RUN.training_report): TrainingReport("manual-1", 120, (30,), 9.0, 6.5, 1000, 40.0),
        str(evaluation / "report.json"): evaluation_report(),
        # an older evaluation of the same run, which must not be taken for this one's
        str(RUN.evaluations / "zzz/report.json"): evaluation_report(),
        str(RUN.evaluations / "zzz/verdict.json"): Verdict(Outcome.PASS, ()),
    }
    if outcome is not None:
        reason = Reason("loss", outcome, 5.0, 6.0, 0.5, f"{outcome.value}: by so much")
        objects[str(evaluation / "verdict.json")] = Verdict(outcome, (reason,))
    if endpoint:
        model = ParentRef(str(RUN.model / "manifest.json"), "0" * 64)
        objects[DEPLOYMENT] = DeploymentManifest("nexus", "d-1", "nexus:3", endpoint, model)
    return objects
