"""source_ingestion: fetch public shards of The Pile, RedPajama and SlimPajama into the raw bucket."""

from __future__ import annotations

from datetime import timedelta
from math import ceil

from airflow.sdk import Param, dag

from include.recipes.source import source_names, strictest_connections
from include.settings import load_settings
from nexus_airflow.assets import raw_shards
from nexus_airflow.defaults import RUN_TYPES, default_args, run_limit
from nexus_airflow.params import END
from nexus_airflow.tasks import ingestion

DOC = """
### What it does
It streams the shards that a source lists (include/recipes/sources) from their server into S3, part by part
and without a disk. Each shard is assembled under `_ingestion/`, read back and compared with the published
size and checksum. Only then is it copied to its key: below the raw prefix a shard is complete and verified,
or absent. A shard that does not match is moved to `quarantine/<source>/` with a note, and the other shards
continue.

There are never more connections than the strictest source allows, for any number of batches. Fetching
occupies a worker, because triggers must not transfer data. If a worker is lost or a task is cleared or
marked, its upload stays unfinished, and the next try continues it with a range request.

### Start it by hand
*Trigger* with the defaults fetches The Pile. `dry_run` stops after the plan, whose XCom `plan` shows the
shards, their size, which exist already and which have no published checksum. `select`, `include` and
`exclude` choose shards, and `max_shards` limits their number. A second run with the same values fetches only
missing shards.

### Results
XComs are in the tab *Storage* of a task.

The XCom `counts` of `summary`, and the manifest with SHA-256, URL and state of every shard. To build a corpus
of them, trigger corpus_refresh with `source_uri` set to the target prefix.

### When it fails
| red task | what to do |
|---|---|
| `plan` | correct the list, line, recipe key or param that the error names, then clear, or trigger again |
| `fetch`, unavailable shards | the server failed, stalled or asked to wait: a retry or clear continues |
| `fetch`, quarantined shards | read `quarantine/<source>/<name>.why.json`; a clear fetches the shard again |
| `fetch`, refused shards | no such file, or a forbidden redirect: trigger again with the shard in `exclude` |
| the source's file was corrected | clear `plan` with *Downstream*, because `fetch` uses the plan |
| `publish` | clear the red `fetch` tasks with *Downstream*; the error names the missing shards |
| a run is abandoned | unfinished uploads cost storage until the bucket's lifecycle rule aborts them |
"""

settings = load_settings()
SOURCES = source_names(settings.ingestion.sources_folder)
# Each fetch uses one connection. The task's own limit counts over all runs of this DAG. A pool would have to
# be created by hand in the metadata database, and tasks of a missing pool wait forever.
CONNECTIONS = strictest_connections(settings.ingestion.sources_folder)
PARAMS = {
    "source": Param(
        "the_pile",
        enum=SOURCES,
        title="Source",
        description="The publisher of the shards (include/recipes/sources, with their licences)",
        section="Input",
    ),
    "select": Param(
        {},
        type=["object", "null"],
        title="Choices of the source",
        description='Values instead of the source\'s defaults: {"snapshot": ["2023-14"], "language": ["de"]}',
        section="Input",
    ),
    "include": Param(
        "*",
        type="string",
        minLength=1,
        maxLength=200,
        title="Shards to take",
        description="Only shards whose name matches this glob; * also crosses '/'",
        section="Input",
    ),
    "exclude": Param(
        [],
        type=["array", "null"],
        items={"type": "string", "minLength": 1},
        title="Shards to leave out",
        description="One name or glob per line",
        section="Input",
    ),
    "max_shards": Param(
        0,
        type="integer",
        minimum=0,
        maximum=1_000_000,
        title="Number of shards",
        description="The first ones, in the order of their names. 0: all",
        section="Input",
    ),
    "target_prefix": Param(
        "",
        type=["string", "null"],
        pattern=rf"^([A-Za-z0-9_.=+@,-]+/)*{END}",
        title="Target prefix",
        description="Prefix in the raw bucket, such as pile/. Empty: the prefix of the source",
        section="Output",
    ),
    "verify_existing": Param(
        False,
        type="boolean",
        title="Verify existing shards",
        description="Read existing shards and compare their SHA-256. A damaged shard is fetched again",
        section="What happens",
    ),
    "dry_run": Param(
        False,
        type="boolean",
        title="Dry run",
        description="Only make a plan: shards, sizes, existing shards. Reads the lists and writes nothing",
        section="What happens",
    ),
}


@dag(
    dag_id="source_ingestion",
    schedule=None,
    catchup=False,
    allowed_run_types=RUN_TYPES,
    max_active_runs=1,
    default_args=default_args(),
    dagrun_timeout=run_limit(
        *[settings.ingestion.fetch_timeout_seconds] * ceil(settings.ingestion.max_batches / CONNECTIONS)
    ),
    params=PARAMS,
    doc_md=DOC,
    tags=["corpus", "ingestion", "nexus-llm"],
    description="Fetch public shards into the raw bucket, verified and resumable",
)
def source_ingestion() -> None:
    """Wire the tasks."""
    # a large source has many lists, and its server may ask to wait
    batches = ingestion.plan.override(execution_timeout=timedelta(hours=1))()
    fetched = ingestion.fetch.override(
        max_active_tis_per_dag=CONNECTIONS,
        execution_timeout=timedelta(seconds=settings.ingestion.fetch_timeout_seconds),
    ).expand(batch_uri=batches)
    summed = ingestion.summary.override(trigger_rule="all_done")()
    fetched >> summed
    ingestion.publish.override(outlets=[raw_shards])(summed)


source_ingestion()
