"""Trigger one run of corpus_refresh in the containers; called by test_compose.sh inside local_aws.

python infrastructure/images/smoke.py
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from demo.airflow_api import TERMINAL_RUN_STATES, AirflowApi
from include.contracts.manifests import CorpusManifest
from include.contracts.storage import S3Uri
from include.object_store import ObjectStore

AIRFLOW = "http://127.0.0.1:8080"
DAG = "corpus_refresh"
SOURCE = S3Uri("nexus-llm-raw", "smoke/")
_LIMIT_SECONDS = 480


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 if the run succeeded and its manifest accounts for every document."""
    store = ObjectStore()
    documents = _documents()
    store.write(SOURCE / "shard_00.jsonl.gz", gzip.compress(documents))
    api = AirflowApi(AIRFLOW)
    deadline = time.monotonic() + _LIMIT_SECONDS
    while DAG not in api.dag_ids():
        if errors := api.import_errors():
            print(*errors, sep="\n", file=sys.stderr)
            return 1
        if time.monotonic() > deadline:
            print(f"Airflow did not find {DAG}", file=sys.stderr)
            return 1
        time.sleep(1)
    run = api.trigger(DAG, {"source_uri": str(SOURCE)})
    print(f"triggered {DAG} {run}", flush=True)
    while (state := api.run_state(DAG, run)) not in TERMINAL_RUN_STATES and time.monotonic() < deadline:
        time.sleep(2)
    for task in api.task_instances(DAG, run):
        print(f"  {task['task_id']:18} {task['state']}")
    if state != "success":
        print(f"the run is {state}", file=sys.stderr)
        return 1
    manifest = store.read_record(CorpusManifest, api.asset_extra(DAG, run)["manifest_uri"])
    given = documents.count(b"\n")
    print(f"{manifest.documents_kept} of {manifest.documents_in} documents kept, {manifest.tokens:,} tokens")
    return 0 if manifest.documents_in == given else 1


def _documents() -> bytes:
    """Return the larger modules of the standard library, as lines in The Pile's schema."""
    folder = Path(json.__file__).parents[1]
    lines = []
    for path in sorted(folder.rglob("*.py"))[:400]:
        text = path.read_text(errors="replace")
        if len(text) > 2000:
            lines.append(json.dumps({"text": text, "meta": {"pile_set_name": "Github"}}))
    return ("\n".join(lines) + "\n").encode()


if __name__ == "__main__":
    raise SystemExit(main())
