"""Tasks of corpus_refresh."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from airflow.sdk import Metadata, task
from airflow.sdk.exceptions import AirflowSkipException

from include.contracts.documents import CORPUS_JOBS
from include.contracts.manifests import ParentRef
from include.contracts.records import to_plain
from include.contracts.storage import CorpusLayout, S3Uri
from include.settings import load_settings
from nexus_airflow.assets import extra_of, token_dataset
from nexus_airflow.identity import run_identity
from nexus_airflow.params import checked_params

log = logging.getLogger(__name__)

BUILD, REUSE = "start_engine", "verify_manifest"


@task.branch
def plan(*, params: Any = None, dag: Any = None, ti: Any = None) -> list[str]:
    """Resolve inputs, recipe and version, and decide whether to build.

    XCom `plan`: version, shards, files left out. XComs `clean`, `deduplicate` and `tokenise`: the jobs.
    """
    from include.aws.engines import Engine
    from include.planning.claims import claim_seconds, claim_version
    from include.planning.corpus import plan_corpus
    from include.recipes.overrides import chosen_corpus_recipe
    from nexus_airflow.takeover import may_take_over

    settings, values = load_settings(), checked_params(params, dag)
    engine = Engine(values["engine"])
    seconds = claim_seconds(settings, engine.limit_seconds(settings))
    planned = plan_corpus(
        settings,
        S3Uri.parse(values["source_uri"]),
        chosen_corpus_recipe(values["recipe"], values["profile"], values["recipe_overrides"]),
        force=values["force"],
        dry_run=values["dry_run"],
        extend=values["extend_newest"],
        claim=lambda uri: claim_version(uri, run_identity(ti), partial(may_take_over, ti), seconds),
    )
    _log_plan(planned)
    ti.xcom_push(key="plan", value=to_plain(planned))
    ti.xcom_push(key="code_uri", value=planned.code_uri)
    code = S3Uri.parse(planned.code_uri)
    layout = CorpusLayout(S3Uri.parse(planned.root_uri))
    for job in CORPUS_JOBS:
        spec = engine.job(settings, job, code, layout, force=values["force"])
        ti.xcom_push(key=job, value=to_plain(spec))
    if values["dry_run"]:
        return []
    return [REUSE] if planned.exists else [BUILD]


@task
def verify_manifest(planned: dict[str, Any], *, ti: Any = None) -> dict[str, str]:
    """Verify that every file of the manifest exists with its size. Return the manifest's reference."""
    from include.checks.manifests import verify_corpus
    from include.planning.claims import release_claim

    manifest, reference = verify_corpus(S3Uri.parse(planned["manifest_uri"]))
    release_claim(CorpusLayout(S3Uri.parse(planned["root_uri"])).claim, run_identity(ti))
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


@task
def publish(
    planned: dict[str, Any], reference: dict[str, str], *, params: Any = None, dag_run: Any = None
) -> Any:
    """Announce the token dataset. A version that was announced before is announced again only on request.

    A version that existed when the run was planned may not have been announced: the run that built it may
    have ended between its jobs and this task. A record of this run is no proof either, because an
    earlier try may have been interrupted after it.
    """
    from include.planning.published import is_announced, note_published

    run, manifest = run_identity(dag_run), ParentRef(**reference)
    layout = CorpusLayout(S3Uri.parse(planned["root_uri"]))
    if planned["exists"] and not params["continue_downstream"] and is_announced(layout, manifest, run):
        raise AirflowSkipException(f"corpus {planned['version']} was announced before")
    note_published(load_settings(), S3Uri.parse(planned["latest_uri"]), layout, manifest, run)
    yield Metadata(token_dataset, extra=extra_of(manifest, version=planned["version"]))


def _log_plan(planned: Any) -> None:
    """Write a CorpusPlan to the task's log."""
    log.info(
        "corpus %s from %s shards, %.1f MB: %s",
        planned.version,
        planned.shards,
        planned.size_bytes / 1e6,
        "exists, the jobs are skipped" if planned.exists else "to be built",
    )
    if planned.extends and not planned.exists:
        log.info("the documents of %s are kept as they are; only these shards are read", planned.extends)
    elif planned.read_whole_because:
        log.warning("all shards are read: %s", planned.read_whole_because)
    for name in planned.left_out:
        log.warning("left out, not a shard: %s", name)
    if planned.more_left_out:
        log.warning("left out, not shards: %s more", planned.more_left_out)
