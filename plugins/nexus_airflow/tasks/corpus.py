"""Tasks of corpus_refresh."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from airflow.sdk import Metadata
from airflow.sdk.exceptions import AirflowSkipException

from include.aws.engines import Engine
from include.checks.manifests import verify_corpus
from include.contracts.documents import CORPUS_JOBS, Stage
from include.contracts.job_names import run_name
from include.contracts.manifests import ParentRef
from include.contracts.storage import CorpusLayout, S3Uri
from include.planning.corpus import CorpusPlan, plan_corpus
from include.planning.published import is_announced, note_published
from include.recipes.overrides import chosen_corpus_recipe
from include.settings import load_settings
from nexus_airflow.assets import extra_of, token_dataset

log = logging.getLogger(__name__)

BUILD, REUSE = "start_engine", "verify_manifest"


def plan(*, params: Any = None, ti: Any = None) -> list[str]:
    """Resolve inputs, recipe and version; write the request. Returns which way the run goes on."""
    settings = load_settings()
    recipe = chosen_corpus_recipe(params["recipe"], params["profile"], params["recipe_overrides"])
    source = S3Uri.parse(params["source_uri"])
    planned = plan_corpus(
        settings,
        source,
        recipe,
        force=params["force"],
        dry_run=params["dry_run"],
        extend=params["extend_newest"],
    )
    _log_plan(planned)
    ti.xcom_push(key="plan", value=asdict(planned))
    place = CorpusLayout(S3Uri.parse(planned.root_uri))
    code = S3Uri.parse(planned.code_uri)
    engine = Engine(params["engine"])
    requests = {job: engine.request(settings, job, code, place.request) for job in CORPUS_JOBS}
    ti.xcom_push(key="requests", value=requests)
    ti.xcom_push(key="scopes", value={job: engine.scope(settings, job) for job in CORPUS_JOBS})
    ti.xcom_push(key="markers", value={job: str(_marker(place, stage)) for job, stage in CORPUS_JOBS.items()})
    ti.xcom_push(key="errors", value={job: str(place.error(job)) for job in CORPUS_JOBS})
    reports = {job: str(place.report) if job == "tokenise" else "" for job in CORPUS_JOBS}
    ti.xcom_push(key="reports", value=reports)
    if params["dry_run"]:
        return []
    return [REUSE] if planned.exists else [BUILD]


def _marker(place: CorpusLayout, stage: Stage) -> S3Uri:
    """What the job of this last stage leaves last."""
    return place.manifest if stage is Stage.TOKENISE else place.stage_report(stage)


def verify_manifest(*, ti: Any = None) -> dict[str, str]:
    """The manifest's reference, after every file that it lists was found in its size."""
    planned = ti.xcom_pull(task_ids="plan", key="plan")
    manifest, reference = verify_corpus(S3Uri.parse(planned["manifest_uri"]))
    dropped = sum(count for reasons in manifest.dropped.values() for count in reasons.values())
    log.info(
        "corpus %s: %s documents in, %s kept (%s held out), %s dropped, %s tokens",
        manifest.version,
        manifest.documents_in,
        manifest.documents_kept,
        manifest.documents_held_out,
        dropped,
        manifest.tokens,
    )
    return {"uri": reference.uri, "sha256": reference.sha256}


def publish(reference: dict[str, str], *, params: Any = None, ti: Any = None, dag_run: Any = None) -> Any:
    """Announce the token dataset. One that was announced before is announced again only on request.

    That a version existed when the run was planned does not say so: the run that built it may have ended
    between its jobs and this task. Nor does this run's own note: an earlier try may have died after it.
    """
    run = run_name(dag_run.dag_id, dag_run.run_id)
    planned = ti.xcom_pull(task_ids="plan", key="plan")
    manifest, place = ParentRef(**reference), CorpusLayout(S3Uri.parse(planned["root_uri"]))
    if planned["exists"] and not params["continue_downstream"] and is_announced(place, manifest, run):
        raise AirflowSkipException(f"corpus {planned['version']} was announced before")
    note_published(S3Uri.parse(planned["latest_uri"]), place, manifest, run)
    yield Metadata(token_dataset, extra=extra_of(manifest, version=planned["version"]))


def _log_plan(planned: CorpusPlan) -> None:
    log.info(
        "corpus %s from %s shards, %.1f MB: %s",
        planned.version,
        planned.shards,
        planned.size_bytes / 1e6,
        "exists, the jobs are skipped" if planned.exists else "to be built",
    )
    if planned.extends and not planned.exists:
        log.info("what %s holds is kept as it is; only these shards are read", planned.extends)
    elif planned.read_whole_because:
        log.warning("all shards are read: %s", planned.read_whole_because)
    for name in planned.left_out:
        log.warning("left out, not a shard: %s", name)
    if planned.more_left_out:
        log.warning("left out, not shards: %s more", planned.more_left_out)
