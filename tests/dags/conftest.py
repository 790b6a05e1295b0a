"""A real local_aws whose Spark starts at once; a driver that takes an operator through its deferrals."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferred

from include.aws.registry import ModelRegistry
from include.contracts.manifests import CorpusManifest, CorpusRequest, ParentRef, RawShard
from include.contracts.storage import CorpusLayout, S3Uri
from include.object_store import ObjectStore
from include.planning.published import newest_published
from tests.quick_spark import quick_spark
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Its clients by ``aws.client(service)``; the process's environment points at it."""
    folder = tmp_path_factory.mktemp("aws")
    images = folder / "images.toml"
    python = str(Path(sys.executable).parent)
    entry = f'match = "*/nexus-llm-*:*"\npath = ["{python}"]\npythonpath = ["{ROOT}"]\n'
    images.write_text(f'[images.tests]\n{entry}\n[emr]\nvenv = "{quick_spark(folder)}"\n')
    command = [str(ROOT / ".venvs/local_aws/bin/python"), "-m", "local_aws", "--root", str(folder / "root")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--port", "0", "--images", str(images)],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout
    ready = process.stdout.readline()
    assert "ready" in ready, (folder / "log").read_text()
    endpoint = ready.split()[-1]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (ENVIRONMENT | {"AWS_ENDPOINT_URL": endpoint}).items():
            patch.setenv(name, value)
        yield SimpleNamespace(client=lambda service: boto3.client(service, endpoint_url=endpoint))
    process.terminate()
    process.wait(60)


#: What the corpus of ``whole_corpus`` was made from, and where it is noted.
SHARD = RawShard("s3://nexus-llm-raw/pile/a.jsonl", 3, "e1")
LATEST = S3Uri("nexus-llm-processed", "corpus/latest/nexus-llm-raw/pile/tests.json")


@pytest.fixture
def whole_corpus(aws: Any, settings_file: Any) -> tuple[CorpusLayout, ParentRef]:
    """Write a complete version that was not announced; return its layout and manifest."""
    storage = settings_file.storage
    for bucket in (storage.raw_bucket, storage.processed_bucket):
        aws.client("s3").create_bucket(Bucket=bucket)
    store, layout = ObjectStore(), CorpusLayout.of(storage.processed_bucket, "v1")
    for left in (layout.announced(settings_file.name), newest_published(settings_file), LATEST):
        store.delete(left)  # by other tests, which share the server
    request = store.write_record(layout.request, CorpusRequest("v1", (SHARD,), {}, "", str(layout.root)))
    empty: dict[str, Any] = {"tokens": 0, "tokens_held_out": 0, "subsets": {}, "tokenizer_sha256": ""}
    empty |= {"vocabulary_size": 1, "token_dtype": "uint16", "end_of_text_id": 0, "shards": ()}
    manifest = CorpusManifest(
        "v1", str(layout.root), request, 0, 0, 0, {}, **empty, held_out_shards=(), files=()
    )
    return layout, store.write_record(layout.manifest, manifest)


@pytest.fixture
def settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The dev settings with a free port for the load balancer and names of this test."""
    text = (ROOT / "include/settings/dev.toml").read_text().replace("8088", str(free_port()))
    name = tmp_path.name.replace("_", "-")[-20:].strip("-")
    for key in ("cluster", "service", "load_balancer", "target_group"):
        text = "\n".join(
            f'{key} = "{name}"' if line.startswith(f"{key} =") else line for line in text.splitlines()
        )
    text = text.replace("poll_interval_seconds = 1.0", "poll_interval_seconds = 0.2")
    path = tmp_path / "settings.toml"
    path.write_text(text)
    monkeypatch.setenv("NEXUS_SETTINGS", str(path))
    from include.settings import load_settings

    return load_settings()


@pytest.fixture
def service(aws: Any, settings_file: Any) -> Iterator[Any]:
    """A cluster and a load balancer, as the serving stack makes them. Returns the settings."""
    from tests.dags.rollouts import running_service

    with running_service(aws, settings_file) as settings:
        yield settings


@pytest.fixture
def registry(aws: Any, settings_file: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelRegistry:
    """A registry of this test alone."""
    aws.client("s3").create_bucket(Bucket=settings_file.storage.models_bucket)
    path, name = tmp_path / "registry.toml", tmp_path.name.replace("_", "-")[-30:].strip("-")
    text = (tmp_path / "settings.toml").read_text()
    path.write_text(text.replace('package_group = "nexus-llm"', f'package_group = "{name}"'))
    monkeypatch.setenv("NEXUS_SETTINGS", str(path))
    from include.settings import load_settings

    return ModelRegistry(load_settings())


class Store(dict[str, Any]):
    """The task state store of one task: it outlives its tries."""

    def set(self, key: str, value: Any, retention: Any = None) -> None:
        self[key] = value


class Task:
    """The memory of Airflow about one task between its tries."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.store = Store()
        self.xcoms: dict[str, Any] = {}
        self.clear_number = 0
        self.max_tries = 2
        #: The state that the API server knows, or None after the run was deleted.
        self.state: str | None = "running"
        #: How many of the runs that a claim names Airflow knows as queued or running.
        self.living_runs = 1

    def context(self, operator: BaseOperator) -> Any:
        ti = SimpleNamespace(
            dag_id="tests",
            run_id=self.name,
            task_id=operator.task_id,
            map_index=-1,
            max_tries=self.max_tries,
            xcom_push=self.push,
            get_task_states=self.states,
            get_dr_count=lambda **_: self.living_runs,
        )
        run = SimpleNamespace(dag_id="tests", run_id=self.name, clear_number=self.clear_number)
        return {
            "ti": ti,
            "task_instance": ti,
            "dag_run": run,
            "task_state_store": self.store,
            "task": operator,
        }

    def states(self, *, dag_id: str, task_ids: list[str], run_ids: list[str], map_index: int) -> Any:
        """Answer as the API server does: states by run and task."""
        assert (dag_id, map_index) == ("tests", -1)
        return {run: dict.fromkeys(task_ids, self.state) for run in run_ids}

    def push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value

    def clear(self) -> None:
        self.clear_number += 1
        self.max_tries += 1

    def run(self, operator: BaseOperator) -> Any:
        """Execute, and take every deferral through its trigger, as the triggerer would."""
        context = self.context(operator)
        method: Any = operator.execute
        arguments: dict[str, Any] = {}
        while True:
            try:
                return method(context, **arguments)
            except TaskDeferred as deferred:
                event = asyncio.run(first_event(deferred.trigger))
                method = getattr(operator, deferred.method_name)
                arguments = {**(deferred.kwargs or {}), "event": event}


async def first_event(trigger: Any) -> Any:
    path, arguments = trigger.serialize()
    again = type(trigger)(**arguments)  # what the triggerer gets: arguments and nothing else
    async for event in again.run():
        return event.payload
    raise AssertionError(f"{path} ended without an event")


@pytest.fixture
def task(request: pytest.FixtureRequest) -> Task:
    return Task(request.node.name)


def form(dag_id: str) -> Any:
    """Load the DAG of a file, with its params, as one of its tasks sees it."""
    bag = DagBag(str(ROOT / "dags" / f"{dag_id}.py"))
    assert bag.import_errors == {}
    return bag.dags[dag_id]


def values(dag: Any, **conf: Any) -> dict[str, Any]:
    """Return the params of a run: the form's defaults, overridden and extended by its conf."""
    return {name: dag.params[name] for name in dag.params} | conf
