"""corpus_refresh in a real Airflow on an engine without a cluster, down to the tables of the catalogue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from demo.airflow_api import TERMINAL_RUN_STATES, AirflowApi
from local_stack.config import StackConfig
from local_stack.provision import client
from local_stack.stack import Stack
from tests.end_to_end.lifecycle_system import REPOSITORY
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackConfig]:
    aws, airflow, serving = free_ports(3)
    config = StackConfig(REPOSITORY, tmp_path_factory.mktemp("engines"), aws, airflow, serving)
    stack = Stack(config)
    stack.up(lambda _: None)
    yield config
    stack.down(lambda _: None)


def shard() -> bytes:
    texts = [path.read_text() for path in sorted((REPOSITORY / "include").rglob("*.py"))]
    return "".join(json.dumps({"text": text}) + "\n" for text in texts if len(text) > 800).encode()


def run(system: StackConfig, **params: Any) -> dict[str, str]:
    """Wait for one run of corpus_refresh, and return the states of all its tasks."""
    api = AirflowApi(system.airflow_url)
    wait_until(api.dag_ids, lambda known: "corpus_refresh" in known, seconds=120, every_seconds=0.5)
    # only the corpus is wanted here
    token = httpx.get(f"{system.airflow_url}/auth/token").json()["access_token"]
    httpx.patch(
        f"{system.airflow_url}/api/v2/dags/model_training",
        json={"is_paused": True},
        headers={"Authorization": f"Bearer {token}"},
    ).raise_for_status()
    run_id = api.trigger("corpus_refresh", params)
    wait_until(
        lambda: api.run_state("corpus_refresh", run_id),
        lambda state: state in TERMINAL_RUN_STATES,
        seconds=600,
        every_seconds=0.5,
        what=lambda: api.task_instances("corpus_refresh", run_id),
    )
    return {task["task_id"]: task["state"] for task in api.task_instances("corpus_refresh", run_id)}


def test_a_corpus_on_glue_needs_no_cluster_and_stands_in_the_catalogue(system: StackConfig) -> None:
    client(system, "s3").put_object(Bucket="nexus-llm-raw", Key="pile/00.jsonl", Body=shard())
    states = run(system, engine="glue")
    assert set(states.values()) == {"success"}, states
    assert client(system, "emr").list_clusters()["Clusters"] == []
    glue = client(system, "glue")
    assert sorted(glue.list_jobs()["JobNames"]) == [
        f"nexus-llm-dev-{job}" for job in ("clean", "deduplicate", "tokenise")
    ]
    place = {"DatabaseName": "nexus_llm_dev"}
    (partition,) = glue.get_partitions(**place, TableName="documents")["Partitions"]
    columns = [column["Name"] for column in partition["StorageDescriptor"]["Columns"]]
    assert columns == ["id", "text", "source", "subset", "metadata"]
    (tokens,) = glue.get_partitions(**place, TableName="tokens")["Partitions"]
    assert tokens["Values"] == partition["Values"]


def test_a_version_that_exists_is_neither_built_nor_registered_again_on_another_engine(
    system: StackConfig,
) -> None:
    states = run(system, engine="emr_serverless", extend_newest=False)
    skipped = {task for task, state in states.items() if state == "skipped"}
    assert {"clean", "tokenise", "publish", "catalogue.prepare", "catalogue.register"} <= skipped, states
    assert states["verify_manifest"] == "success"
    assert client(system, "emr-serverless").list_applications()["applications"] == []
