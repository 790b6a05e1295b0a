"""corpus_refresh: raw shards in S3 become a token dataset."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.amazon.aws.operators.glue_crawler import GlueCrawlerRunOperator
from airflow.sdk import Param, TaskGroup, dag

from include.aws.engines import Engine
from include.contracts.documents import CORPUS_JOBS
from include.recipes.loading import recipe_names, require_recipe
from include.settings import load_settings
from nexus_airflow.assets import token_dataset
from nexus_airflow.defaults import default_args
from nexus_airflow.operators.end_engine import EndEngineOperator
from nexus_airflow.operators.spark_job import SparkJobOperator
from nexus_airflow.operators.start_engine import StartEngineOperator
from nexus_airflow.sensors.new_shards import S3NewShardsSensor
from nexus_airflow.taskflow import branch, step
from nexus_airflow.tasks import catalogue, corpus

DOC = """
### What it does
Raw shards (The Pile, RedPajama v1/v2, SlimPajama, plain JSON lines or parquet) are normalised, filtered,
deduplicated and tokenised by Spark on the `engine` of your choice: an EMR cluster that lives for this run,
EMR Serverless, or Glue. The result is a *corpus version*: a hash of inputs, recipe and code, the same on
each engine. A version that exists is not built again: cluster and jobs are then skipped. With new shards it
extends the newest version: only these are read, and no document that was kept is dropped.

### Start it by hand
*Trigger* with the defaults reads the settings' raw prefix. `dry_run` stops after the plan, whose XCom
`plan` shows version, shards and what was left out. `continue_downstream` announces an existing version, so
that model_training runs on it.

### What came out
*Corpus report* on `tokenise`: what each stage dropped and why, with examples, subsets, lengths, duplicates.

*Data Catalog*: tables `documents`, `duplicates` and `tokens`, by `corpus_version`.

### When it fails
| red task | what to do |
|---|---|
| `wait_for_shards`, `plan` | the error names the prefix, recipe key or missing artifacts; mend it and clear |
| `clean`, `deduplicate`, `tokenise` | see *Job log*; clear with *Downstream*: whole stages are kept |
| … as the cluster is over | EMR's reason is told: mend it, clear `start_engine` with *Downstream* |
| … as a shard changed or is gone | clear `plan` with downstream: the request names the shards as they were |
| the run timed out | its cluster is ended; trigger again: whole stages are kept |
| `catalogue.…` | the corpus is published all the same; mend the Glue role or database and clear the group |
| `verify_manifest` | files are missing: trigger again with `force`, and take the manifest that it publishes |
| `start_engine` | EMR refuses the request: a role, subnet or instance type of the settings |
| `end_engine` | end the cluster by hand; it also ends itself after the idle time of the settings |
"""

settings = load_settings()
PARAMS = {
    "source_uri": Param(
        str(settings.storage.raw),
        type="string",
        pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$",
        title="Source",
        description="Prefix of the raw shards, s3://bucket/prefix/",
        section="Input",
    ),
    "engine": Param(
        settings.corpus.engine,
        enum=[engine.value for engine in Engine],
        title="Engine",
        description="emr: a cluster for this run. emr_serverless: none to size or to end. glue: the same "
        "scripts as Glue jobs. The corpus is the same, byte for byte (docs/guides/corpus.md, Engines)",
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
        description="Where recipe and code are the same, read only shards that have come since, compare them "
        "with old and new documents, and keep every document that was kept. Off: read all shards",
        section="What happens",
    ),
    "force": Param(
        False,
        type="boolean",
        title="Build again",
        description="Read all shards and build their version anew. If it exists, it is not whole until the "
        "jobs end. A version that extends another stays as it is, beside the new one",
        section="What happens",
    ),
    "continue_downstream": Param(
        False,
        type="boolean",
        title="Continue downstream",
        description="Announce the token dataset also when the version existed, so that training runs on it",
        section="What happens",
    ),
    "dry_run": Param(
        False,
        type="boolean",
        title="Dry run",
        description="Only plan: inputs, version, what was left out. Writes nothing and starts nothing",
        section="What happens",
    ),
}


@dag(
    dag_id="corpus_refresh",
    schedule="@weekly",
    # no start date: the first scheduled run is the next one due; with a date in the past a DAG that is
    # switched on starts at once for last Sunday, and a run by hand waits behind it
    catchup=False,
    max_active_runs=1,
    default_args=default_args(),
    # requests come out of XCom as objects, not as text
    render_template_as_native_obj=True,
    dagrun_timeout=timedelta(days=2),
    params=PARAMS,
    doc_md=DOC,
    tags=["corpus", "emr", "glue", "nexus-llm"],
    description="Raw shards become a token dataset, by Spark on EMR, EMR Serverless or Glue",
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
    plan = branch("plan", corpus.plan, doc_md="XCom `plan`: version, shards, what was left out.")
    start = StartEngineOperator(
        task_id="start_engine",
        engine="{{ params.engine }}",
        code_uri="{{ ti.xcom_pull(task_ids='plan', key='plan')['code_uri'] }}",
        emr_conn_id=None,
        aws_conn_id=None,
        wait_for_completion=False,
        doc_md="EMR: the cluster of this run. The other engines start with their first job.",
    )
    end = EndEngineOperator(
        task_id="end_engine",
        job_flow_id="{{ ti.xcom_pull(task_ids='start_engine') }}",
        aws_conn_id=None,
        deferrable=False,
        doc_md="Terminates the cluster, whatever happened.",
    )
    steps = [
        SparkJobOperator(
            task_id=job,
            engine="{{ params.engine }}",
            request=f"{{{{ ti.xcom_pull(task_ids='plan', key='requests')['{job}'] }}}}",
            marker_uri=f"{{{{ ti.xcom_pull(task_ids='plan', key='markers')['{job}'] }}}}",
            error_uri=f"{{{{ ti.xcom_pull(task_ids='plan', key='errors')['{job}'] }}}}",
            report_uri=f"{{{{ ti.xcom_pull(task_ids='plan', key='reports')['{job}'] }}}}",
            scope="{{ ti.xcom_pull(task_ids='start_engine') or "
            f"ti.xcom_pull(task_ids='plan', key='scopes')['{job}'] }}}}",
            force="{{ params.force }}",
        )
        for job in CORPUS_JOBS
    ]
    verified = step(
        "verify_manifest",
        corpus.verify_manifest,
        trigger_rule="none_failed_min_one_success",
        doc_md="Every file that the manifest lists is there, in its size.",
    )
    published = step(
        "publish",
        corpus.publish,
        verified,
        outlets=[token_dataset],
        doc_md="Emits the asset token_dataset with URI and hash.",
    )

    with TaskGroup("catalogue", tooltip="documents, duplicates and tokens as tables, for Athena"):
        prepared = step(
            "prepare",
            catalogue.prepare,
            verified,
            doc_md="Points the crawler at the version. Skips what is registered, and all without a database.",
        )
        crawled = GlueCrawlerRunOperator(
            task_id="crawl",
            crawler_name="{{ ti.xcom_pull(task_ids='catalogue.prepare') }}",
            # of a try whose answer was lost: it looks at the same version
            fail_on_already_running=False,
            deferrable=False,
            aws_conn_id=None,
            doc_md="Reads the columns from the files.",
        )
        registered = step(
            "register", catalogue.register, verified, doc_md="A partition of the version in each table."
        )

    wait >> plan >> [start, verified]
    start >> steps[0] >> steps[1] >> steps[2] >> [verified, end]
    start >> end.as_teardown(setups=start)
    verified >> published
    prepared >> crawled >> registered


corpus_refresh()
