"""The whole pipeline, as `make demo` runs it, on a small corpus; the second time against a champion.

Then the first model meets a gate that it cannot pass.
"""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from demo.airflow_api import TERMINAL_RUN_STATES, AirflowApi
from include.settings import load_settings
from local_stack.config import StackConfig
from local_stack.provision import client
from local_stack.stack import Stack
from tests.demo.agreed import assert_agreed_keys
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venvs" / "local_aws" / "bin" / "python"
_DOCUMENTS = 1500
Demo = tuple[dict[str, Any], str]
"""The summary of a demo, and what it printed."""


def write_shards(folder: Path) -> None:
    """Source files of this machine's packages, as plain JSON lines, and two files that are no shards."""
    packages = (ROOT / ".venvs" / "airflow" / "lib").glob("python3.*/site-packages/*/**/*.py")
    sources = [path for path in sorted(packages) if 500 < path.stat().st_size < 4_000][:_DOCUMENTS]
    assert len(sources) == _DOCUMENTS
    folder.mkdir()
    with (folder / "source.jsonl").open("w") as lines:
        for path in sources:
            record = {"text": path.read_text(), "meta": {"pile_set_name": "Source Code"}}
            lines.write(json.dumps(record) + "\n")
        lines.write("{ this is no JSON\n")
    (folder / "README.md").write_text("not a shard")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    base = tmp_path_factory.mktemp("pipeline")
    write_shards(base / "shards")
    aws, airflow, serving = map(str, free_ports(3))
    return {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}",
        "NEXUS_ROOT": str(ROOT),
        "NEXUS_STATE": str(base / "state"),
        "NEXUS_AWS_PORT": aws,
        "NEXUS_AIRFLOW_PORT": airflow,
        "NEXUS_SERVING_PORT": serving,
        "NEXUS_TRAINING_RECIPE": "smoke",
        "DATA": str(base / "shards"),
        "OUTPUT": str(base / "output"),
    }


def run_demo(system: dict[str, str]) -> Demo:
    command = [str(PYTHON), "-m", "demo", "--data", system["DATA"], "--output", system["OUTPUT"]]
    done = subprocess.run(
        command, env=system, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return json.loads((Path(system["OUTPUT"]) / "summary.json").read_text()), done.stdout


@pytest.fixture(scope="module")
def first(system: dict[str, str]) -> Demo:
    return run_demo(system)


@pytest.fixture(scope="module")
def second(system: dict[str, str], first: Demo) -> Demo:
    return run_demo(system)


@pytest.fixture(scope="module")
def refused(system: dict[str, str], second: Demo) -> dict[str, Any]:
    """The first model, pending and judged again by a gate that asks for more documents than there are."""
    aws, airflow, serving = (int(system[f"NEXUS_{name}_PORT"]) for name in ("AWS", "AIRFLOW", "SERVING"))
    config = StackConfig(ROOT, Path(system["NEXUS_STATE"]), aws, airflow, serving)
    stack = Stack(config)
    stack.up(lambda _: None)
    try:
        return judge_again(config)
    finally:
        stack.down(lambda _: None)


def judge_again(config: StackConfig) -> dict[str, Any]:
    """Wait for the run, and return the results that are visible from outside."""
    api, sagemaker, dag_id = AirflowApi(config.airflow_url), client(config, "sagemaker"), "model_evaluation"
    group = load_settings(str(config.settings_file)).package_group
    page = sagemaker.list_model_packages(ModelPackageGroupName=group, SortOrder="Ascending")
    before = [package["ModelPackageArn"] for package in page["ModelPackageSummaryList"]]
    # while it is approved, no evaluation rejects it
    sagemaker.update_model_package(ModelPackageArn=before[0], ModelApprovalStatus="PendingManualApproval")
    package = sagemaker.describe_model_package(ModelPackageName=before[0])
    since = datetime.now(UTC)
    conf = {name: package["CustomerMetadataProperties"][name] for name in ("manifest_uri", "manifest_sha256")}
    run_id = api.trigger(dag_id, conf | {"gate_overrides": {"min_documents": 1_000_000}})
    state = wait_until(
        lambda: api.run_state(dag_id, run_id),
        lambda state: state in TERMINAL_RUN_STATES,
        seconds=180,
        every_seconds=0.5,
        what=lambda: api.task_instances(dag_id, run_id),
    )
    return {
        "state": state,
        "tasks": {task["task_id"]: task["state"] for task in api.task_instances(dag_id, run_id)},
        "tries": {task["task_id"]: task["try_number"] for task in api.task_instances(dag_id, run_id)},
        "error": api.failure(dag_id, run_id, "gate", 1),
        "table": api.xcom(dag_id, run_id, "gate", "verdict_table"),
        "packages": [sagemaker.describe_model_package(ModelPackageName=arn) for arn in before],
        "announced": api.asset_extra(dag_id, run_id),
        "deployments": api.runs_since("model_deployment", since),
    }


pytestmark = pytest.mark.timeout(1800)


def test_the_summary_has_exactly_the_agreed_keys(first: Demo) -> None:
    """The same as in tests/demo/test_summary.py, here from real answers."""
    summary = first[0]
    assert_agreed_keys(summary)
    phases = {"text", "start", "corpus", "training", "evaluation", "deployment", "total"}
    assert set(summary["seconds"]) == phases and all(took >= 0 for took in summary["seconds"].values())
    for task in summary["tasks"]:
        assert set(task) == {"dag", "task", "state", "tries", "queued_seconds", "running_seconds"}
        assert task["queued_seconds"] >= 0 and task["running_seconds"] >= 0


def test_every_document_is_kept_or_dropped_for_a_reason(first: Demo) -> None:
    corpus = first[0]["corpus"]
    dropped = sum(count for reasons in corpus["dropped"].values() for count in reasons.values())
    assert corpus["documents_in"] == corpus["documents_kept"] + dropped
    assert corpus["dropped"]["read"]["invalid_json"] == 1
    assert 0 < corpus["documents_held_out"] < corpus["documents_kept"]
    assert corpus["tokens"] > 10_000


def test_files_that_are_no_shards_are_listed_with_the_reason(first: Demo) -> None:
    assert "README.md (" in first[1] and "picture.png (" in first[1]
    assert set(first[0]["left_out"]) == {"README.md", "picture.png"} and all(first[0]["left_out"].values())


def test_training_survives_an_interruption_and_learns(first: Demo) -> None:
    training = first[0]["training"]
    assert training["interruptions"] >= 1
    assert 0 < training["resumed_at_step"] < training["steps"]
    assert training["loss_last"] < training["loss_first"] - 1
    assert 0 < training["billable_seconds"] <= training["total_seconds"]


def test_the_first_candidate_passes_against_unigrams_and_answers(first: Demo) -> None:
    summary = first[0]
    assert summary["gate"]["verdict"] == "pass" and summary["gate"]["baseline"] == "unigram"
    assert summary["gate"]["reasons"]
    assert summary["deployment"]["sample_completion"]
    assert summary["deployment"]["endpoint"].startswith("http://127.0.0.1:")


def test_what_the_orchestration_cost_is_told_for_each_task(first: Demo) -> None:
    tasks = {(task["dag"], task["task"]): task for task in first[0]["tasks"]}
    assert tasks["model_training", "train"]["running_seconds"] > 1
    assert {dag for dag, _ in tasks} == {
        "corpus_refresh", "model_training", "model_evaluation", "model_deployment"
    }  # fmt: skip


def test_a_second_run_reuses_the_corpus_and_meets_the_champion(first: Demo, second: Demo) -> None:
    assert second[0]["corpus"]["reused"] and not first[0]["corpus"]["reused"]
    assert second[0]["corpus"]["version"] == first[0]["corpus"]["version"]
    assert second[0]["gate"]["baseline"].startswith("champion ")
    assert second[0]["gate"]["verdict"] == "pass"
    assert second[0]["deployment"]["revision"] != first[0]["deployment"]["revision"]


def test_a_model_that_the_gate_refuses_is_rejected_with_its_reasons_and_not_deployed(
    refused: dict[str, Any],
) -> None:
    assert refused["state"] == "failed"
    assert refused["tasks"] == {
        "plan": "success", "evaluate": "success", "mark_superseded": "skipped", "gate": "failed",
        "approve": "upstream_failed",
    }  # fmt: skip
    assert refused["tries"]["gate"] == 1  # a verdict is not asked for again
    why = "held-out documents, needed 1000000"
    assert "the gate's verdict is inconclusive" in refused["error"] and why in refused["error"]
    assert "| held-out documents |" in refused["table"]
    assert "1000000.0000 | inconclusive |" in refused["table"]
    first_model, second_model = refused["packages"]
    assert first_model["ModelApprovalStatus"] == "Rejected" and why in first_model["ApprovalDescription"]
    assert second_model["ModelApprovalStatus"] == "Approved"  # the champion is what it was
    assert refused["announced"] == {} and refused["deployments"] == []


def test_nothing_is_left_running(system: dict[str, str], second: Demo, refused: dict[str, Any]) -> None:
    marker = f"NEXUS_STATE={system['NEXUS_STATE']}".encode()
    settings = f"{system['NEXUS_STATE']}/settings.toml".encode()
    left = []
    for entry in Path("/proc").iterdir():
        try:
            environment = (entry / "environ").read_bytes()
        except (OSError, ValueError):
            continue
        if entry.name.isdigit() and (marker in environment or settings in environment):
            left.append((entry / "cmdline").read_bytes())
    assert left == []
