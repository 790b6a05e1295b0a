"""Read the results of a demo's runs from S3, SageMaker and the load balancer, as parts of the summary."""

from __future__ import annotations

from typing import Any, TypeVar

import httpx

from demo.follow import FinishedRun
from demo.summary import CorpusSummary, DeploymentSummary, GateSummary, TrainingSummary
from include.contracts.evaluation import EvaluationReport, Verdict
from include.contracts.job_names import RunIdentity
from include.contracts.manifests import CorpusManifest, DeploymentManifest, TrainingReport
from include.contracts.storage import RunLayout, S3Uri
from include.object_store import ObjectStore
from include.settings.loading import load_settings

T = TypeVar("T")

SAMPLE_PROMPT = "def main("
_SAMPLE_TOKENS = 48


class Store:
    """A reader of contracts from S3 and of jobs from SageMaker."""

    def __init__(self, objects: ObjectStore, sagemaker: Any) -> None:
        self._objects = objects
        self._sagemaker = sagemaker

    def read(self, kind: type[T], uri: S3Uri) -> T:
        """Read the record at ``uri``."""
        return self._objects.read_record(kind, uri)

    def holds(self, uri: S3Uri) -> bool:
        """Return True if there is an object at ``uri``."""
        return self._objects.exists(uri)

    def newest_training_job(self) -> dict[str, Any]:
        """Describe the training job that was created last."""
        listed = self._sagemaker.list_training_jobs(
            SortBy="CreationTime", SortOrder="Descending", MaxResults=1
        )
        name = listed["TrainingJobSummaries"][0]["TrainingJobName"]
        described: dict[str, Any] = self._sagemaker.describe_training_job(TrainingJobName=name)
        return described


def corpus_summary(store: Store, manifest_uri: str, reused: bool) -> CorpusSummary:
    """Summarise the corpus manifest: documents in, dropped and kept, and tokens."""
    manifest = store.read(CorpusManifest, S3Uri.parse(manifest_uri))
    return CorpusSummary(
        version=manifest.version,
        reused=reused,
        documents_in=manifest.documents_in,
        documents_kept=manifest.documents_kept,
        documents_held_out=manifest.documents_held_out,
        dropped=manifest.dropped,
        tokens=manifest.tokens,
    )


def training_summary(store: Store, run: RunLayout) -> TrainingSummary:
    """Summarise the training: losses from the trainer's report, interruptions and seconds from the job."""
    report = store.read(TrainingReport, run.training_report)
    job = store.newest_training_job()
    interruptions = sum(step["Status"] == "Interrupted" for step in job["SecondaryStatusTransitions"])
    return TrainingSummary(
        steps=report.steps,
        interruptions=interruptions,
        resumed_at_step=report.resumed_at_steps[-1] if report.resumed_at_steps else None,
        loss_first=report.loss_first,
        loss_last=report.loss_last,
        billable_seconds=job["BillableTimeInSeconds"],
        total_seconds=job["TrainingTimeInSeconds"],
    )


def gate_summary(store: Store, run: RunLayout, evaluation: FinishedRun) -> GateSummary | None:
    """Return verdict and reasons of an evaluation, or None if it ended before the gate judged."""
    # the settings of the local system are the dev settings with other ports
    identity = RunIdentity(load_settings("dev").name, evaluation.dag_id, evaluation.run_id)
    folder = run.evaluations / f"{identity.name}/"
    if not store.holds(folder / "verdict.json"):
        return None
    verdict = store.read(Verdict, folder / "verdict.json")
    report = store.read(EvaluationReport, folder / "report.json")
    champion = f"champion {report.baseline.name}" if report.baseline_is_champion else report.baseline.name
    return GateSummary(verdict.outcome.value, champion, tuple(reason.text for reason in verdict.reasons))


def deployment_summary(manifest: DeploymentManifest) -> DeploymentSummary:
    """Ask the served model for a completion, through the load balancer."""
    body = {"prompt": SAMPLE_PROMPT, "max_tokens": _SAMPLE_TOKENS, "temperature": 0}
    with httpx.Client(base_url=manifest.endpoint, timeout=60) as http:
        model = http.get("/v1/models").raise_for_status().json()["data"][0]["id"]
        answer = http.post("/v1/completions", json=body | {"model": model}).raise_for_status().json()
    return DeploymentSummary(
        manifest.endpoint, model, manifest.revision, SAMPLE_PROMPT, str(answer["choices"][0]["text"])
    )


def run_of(model_manifest_uri: str) -> RunLayout:
    """Return the run of a model manifest's URI, ``…/runs/<run>/model/manifest.json``."""
    uri = S3Uri.parse(model_manifest_uri)
    return RunLayout(S3Uri(uri.bucket, uri.key.rsplit("/", 2)[0] + "/"))
