"""source_ingestion: public shards of The Pile, RedPajama and SlimPajama come into the raw bucket."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Param, dag

from include.recipes.source import source_names, strictest_connections
from include.settings import load_settings
from nexus_airflow.assets import raw_shards
from nexus_airflow.defaults import RUN_TYPES, default_args
from nexus_airflow.params import END
from nexus_airflow.tasks import ingestion

DOC = """
### What it does
The shards that a source lists (include/recipes/sources) are streamed from their server into S3: a part at a
time, without disk. Each is put together under `_ingestion/`, read back, compared with the published size and
checksum, and only then copied to its place: below the raw prefix a shard is whole and verified, or absent.
What does not match goes to `quarantine/<source>/` with a note; the other shards go on.

A server sees at most as many connections as the strictest source allows, whatever the number of batches.
Fetching holds a worker: a trigger has no business moving terabytes. A worker that is lost, a task that is
cleared or marked, leaves its upload unfinished, and the next try continues it with a range request.

### Start it by hand
*Trigger* fetches The Pile. `dry_run` stops after the plan, whose XCom `plan` shows shards, bytes, what is
there already and what has no published checksum. `select`, `include` and `exclude` take a part;
`max_shards` a first few. A second run with the same values fetches only what is missing.

### What came out
XCom `counts` of `summary`, and the manifest: every shard with its SHA-256, URL and state. corpus_refresh
with `source_uri` = the target prefix builds a corpus of it.

### When it fails
| red task | what to do |
|---|---|
| `plan` | the error names the list, line, recipe key or param: correct it and clear, or trigger again |
| `fetch`, unavailable shards | the server failed, stalled or asks for patience: a retry or clear goes on |
| `fetch`, quarantined shards | `quarantine/<source>/<name>.why.json` says why; a clear fetches it again |
| `fetch`, refused shards | no such file, or a forbidden redirect: trigger again, with it in `exclude` |
| the source's file was corrected | clear `plan` with downstream: `fetch` alone keeps what was planned |
| `publish` | names what is not there; clear the red `fetch` tasks with downstream |
| a run is given up | unfinished uploads cost storage until the bucket's lifecycle rule aborts them |
"""

settings = load_settings()
SOURCES = source_names(settings.ingestion.sources_folder)
# Each fetch holds one connection. A limit of the task counts over all runs of this DAG and exists with it; a
# pool would have to be made by hand in the metadata database, and where it is missing, tasks wait for ever.
CONNECTIONS = strictest_connections(settings.ingestion.sources_folder)
PARAMS = {
    "source": Param(
        "the_pile",
        enum=SOURCES,
        title="Source",
        description="Where the shards come from (include/recipes/sources, with their licences)",
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
        title="Names",
        description="Only shards whose name matches this glob; * also crosses '/'",
        section="Input",
    ),
    "exclude": Param(
        [],
        type=["array", "null"],
        items={"type": "string", "minLength": 1},
        title="Without",
        description="Shards to leave out: a name or glob a line",
        section="Input",
    ),
    "max_shards": Param(
        0,
        type="integer",
        minimum=0,
        maximum=1_000_000,
        title="At most",
        description="The first so many shards in the order of their names; 0: all",
        section="Input",
    ),
    "target_prefix": Param(
        "",
        type="string",
        pattern=rf"^([A-Za-z0-9_.=+@,-]+/)*{END}",
        title="Target prefix",
        description="Where in the raw bucket, such as pile/. Empty: the source's own",
        section="Output",
    ),
    "verify_existing": Param(
        False,
        type="boolean",
        title="Verify what is there",
        description="Read shards that are there already and compare their SHA-256; a damaged one is replaced",
        section="What happens",
    ),
    "dry_run": Param(
        False,
        type="boolean",
        title="Dry run",
        description="Only plan: shards, bytes, what is there. Reads the lists and writes nothing",
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
    dagrun_timeout=timedelta(days=14),
    params=PARAMS,
    doc_md=DOC,
    tags=["corpus", "ingestion", "nexus-llm"],
    description="Public shards come into the raw bucket, verified and resumable",
)
def source_ingestion() -> None:
    """Wire the tasks."""
    # all lists of a large source, from a server that asks for patience now and then
    batches = ingestion.plan.override(execution_timeout=timedelta(hours=1))()
    fetched = ingestion.fetch.override(
        max_active_tis_per_dag=CONNECTIONS,
        execution_timeout=timedelta(seconds=settings.ingestion.fetch_timeout_seconds),
    ).expand(batch_uri=batches)
    summed = ingestion.summary.override(trigger_rule="all_done")()
    fetched >> summed
    ingestion.publish.override(outlets=[raw_shards])(summed)


source_ingestion()
