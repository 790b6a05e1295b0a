"""corpus_refresh: turn raw shards in S3 into a token dataset."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.amazon.aws.operators.glue_crawler import GlueCrawlerRunOperator
from airflow.sdk import CronTriggerTimetable, Param, TaskGroup, dag

from include.aws.engines import Engine
from include.contracts.documents import CORPUS_JOBS
from include.recipes.loading import recipe_names, require_recipe
from include.settings import load_settings
from nexus_airflow.assets import token_dataset
from nexus_airflow.defaults import RUN_TYPES, default_args, run_limit
from nexus_airflow.operators.end_engine import EndEngineOperator
from nexus_airflow.operators.spark_job import SparkJobOperator
from nexus_airflow.operators.start_engine import StartEngineOperator
from nexus_airflow.params import END
from nexus_airflow.sensors.new_shards import S3NewShardsSensor
from nexus_airflow.tasks import catalogue, corpus

DOC = """
### What it does
Spark normalises, filters, deduplicates and tokenises raw shards (The Pile, RedPajama v1/v2, SlimPajama, plain
JSON lines or parquet). It runs on the `engine` of your choice: an EMR cluster for this run, EMR Serverless,
or Glue. The result is a *corpus version*, named by the hash of inputs, recipe and code. It is the same on
each engine. If the version exists, cluster and jobs are skipped. With new shards the run extends the newest
version: it reads only the new shards, and drops no document that was kept.

Links to the job, its log and reports are in the tab *Details* of a task, XComs in *Storage*.

### Start it by hand
*Trigger* with the defaults reads the settings' raw prefix. `dry_run` stops after the plan, whose XCom `plan`
shows the version, the shards and the files that were left out. `continue_downstream` announces an existing
version, so that model_training runs on it.

### Results
*Corpus report* on `tokenise` shows the drops of each stage with reasons and examples, subsets, lengths,
duplicates.

*Data Catalog*: tables `documents`, `duplicates` and `tokens`, by `corpus_version`.

### When it fails
| red task | what to do |
|---|---|
| `wait_for_shards`, `plan` | correct the prefix, param, recipe key or code that the error names; clear |
| `plan`, another run builds the version | wait until that run has ended, then clear |
| `clean`, `deduplicate`, `tokenise` | read *Job log*; clear with *Downstream* (complete stages stay) |
| … the cluster has terminated | fix the cause that EMR reports, then clear `start_engine` with *Downstream* |
| … the job was cancelled | a person stopped it outside of Airflow; clear the task to start it again |
| … AWS has no room | raise the quota and clear; or change instance types in the settings and clear `plan` |
| … a shard changed or was deleted | clear `plan` with *Downstream*: the request lists the old shards |
| the run timed out | trigger again; the cluster is terminated, and complete stages are kept |
| `catalogue.…` | correct the Glue role or database, then clear the group; the version is published already |
| `verify_manifest` | files are missing: trigger again with `force`, and use the new manifest |
| `start_engine` | correct the role, subnet or instance type in the settings that EMR refuses, then clear |
| `end_engine` | end the cluster by hand; it also ends itself after the idle time of the settings |
"""

settings = load_settings()
PARAMS = {
    "source_uri": Param(
        str(settings.storage.raw),
        type="string",
        pattern=rf"^s3://[a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9](/[^\x00-\x1f\x7f]*)?{END}",
        title="Source",
        description="Prefix of the raw shards, s3://bucket/prefix/",
        section="Input",
    ),
    "engine": Param(
        settings.corpus.engine,
        enum=[engine.value for engine in Engine],
        title="Engine",
        description="emr: a cluster for this run. emr_serverless: no cluster to size or end. glue: jobs "
        "of Glue. The corpus is the same, byte for byte (docs/guides/corpus.md, Engines)",
        section="Engine",
    ),
    "recipe": Param(
        require_recipe("corpora", settings.corpus.recipe, "corpus.recipe"),
        enum=recipe_names("corpora"),
        title="Recipe",
        description="How documents are filtered, deduplicated and tokenised (include/recipes/corpora)",
        section="Recipe",
    ),
    "profile": Param(
        "",
        enum=["", *recipe_names("near_dedup_profiles")],
        title="Near dedup profile",
        description="Published parameters instead of the recipe's. Empty: the recipe's, fineweb in all three",
        section="Recipe",
    ),
    "recipe_overrides": Param(
        {},
        type=["object", "null"],
        title="Recipe overrides",
        description="Values that replace the recipe's and the profile's, by section: "
        '{"near_dedup": {"verify": true}, "tokenizer": {"uri": "s3://…/tokenizer.json"}}',
        section="Recipe",
    ),
    "extend_newest": Param(
        True,
        type="boolean",
        title="Extend the newest version",
        description="If recipe and code are the same, read only new shards, compare them with old and new "
        "documents, and keep every document that was kept. Off: read all shards",
        section="What happens",
    ),
    "force": Param(
        False,
        type="boolean",
        title="Build again",
        description="Read all shards and build their version again. If it exists, it is incomplete until the "
        "jobs end. A version that extends another is not changed",
        section="What happens",
    ),
    "continue_downstream": Param(
        False,
        type="boolean",
        title="Continue downstream",
        description="Announce the token dataset even if the version existed, so that training runs on it",
        section="What happens",
    ),
    "dry_run": Param(
        False,
        type="boolean",
        title="Dry run",
        description="Only make a plan: inputs, version, files left out. Writes nothing and starts nothing",
        section="What happens",
    ),
}


@dag(
    dag_id="corpus_refresh",
    # Neither a start date nor "@weekly": a DAG that is switched on would start at once for last Sunday (with
    # "@weekly" only on a Sunday), and a run by hand would wait for that run.
    schedule=CronTriggerTimetable("@weekly", timezone="UTC", run_immediately=timedelta(0)),
    catchup=False,
    max_active_runs=1,
    default_args=default_args(),
    allowed_run_types=RUN_TYPES,
    # params come out of the templates as objects, not as text
    render_template_as_native_obj=True,
    dagrun_timeout=run_limit(
        settings.airflow.new_shards_wait_seconds,
        *[max(engine.limit_seconds(settings) for engine in Engine)] * len(CORPUS_JOBS),
    ),
    params=PARAMS,
    doc_md=DOC,
    tags=["corpus", "emr", "glue", "nexus-llm"],
    description="Build a token dataset from raw shards, by Spark on EMR, EMR Serverless or Glue",
)
def corpus_refresh() -> None:
    """Wire the tasks."""
    wait = S3NewShardsSensor(
        task_id="wait_for_shards",
        source_uri="{{ params.source_uri }}",
        recipe="{{ params.recipe }}",
        profile="{{ params.profile }}",
        recipe_overrides="{{ params.recipe_overrides }}",
        wait="{{ dag_run.run_type == 'scheduled' }}",
        poke_interval=300,
        timeout=settings.airflow.new_shards_wait_seconds,
        doc_md="A scheduled run needs shards that the newest corpus does not know. A manual run passes.",
    )
    planned = corpus.plan()
    start = StartEngineOperator(
        task_id="start_engine",
        engine="{{ params.engine }}",
        code_uri=planned["code_uri"],
        doc_md="EMR: start the cluster of this run. The other engines start with their first job.",
    )
    clean, deduplicate, tokenise = (
        SparkJobOperator(task_id=job, job=planned[job], scope=start.output) for job in CORPUS_JOBS
    )
    end = EndEngineOperator(
        task_id="end_engine",
        engine="{{ params.engine }}",
        doc_md="Terminate the cluster, also after a failure.",
    )
    verified = corpus.verify_manifest.override(trigger_rule="none_failed_min_one_success")(planned["plan"])
    corpus.publish.override(outlets=[token_dataset])(planned["plan"], verified)

    with TaskGroup("catalogue", tooltip="documents, duplicates and tokens as tables, for Athena"):
        crawler = catalogue.prepare(verified)
        crawl = GlueCrawlerRunOperator(
            task_id="crawl",
            crawler_name=crawler,
            # an earlier try, whose answer was lost, started it: it crawls the same version
            fail_on_already_running=False,
            deferrable=False,
            aws_conn_id=None,
            execution_timeout=timedelta(hours=2),
            doc_md="Read the columns from the files.",
        )
        crawl >> catalogue.register(verified)

    wait >> planned >> [start, verified]
    start >> clean >> deduplicate >> tokenise >> [verified, end]
    start >> end.as_teardown(setups=start)


corpus_refresh()
