"""``summary.json``: exactly the agreed keys, from what the DAGs of one demo leave behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from demo import __main__ as module
from demo.__main__ import PHASES, Demo, main
from demo.follow import DAGS
from demo.outcome import Store
from demo.shards import Shards
from include.contracts.evaluation import Outcome
from tests.demo.agreed import assert_agreed_keys
from tests.demo.canned import TASKS, Buckets, CannedAirflow, OneTrainingJob, written


class Model(BaseHTTPRequestHandler):
    """The served model, as far as a demo asks it."""

    def do_GET(self) -> None:
        self._answer({"data": [{"id": "nexus-llm"}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer({"choices": [{"text": "argv):"}]})

    def _answer(self, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Model) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


LEFT_OUT = {f"picture_{n}.png": "no shard by its name" for n in range(9)}


class Demonstration:
    """``main`` on a system whose Airflow, S3 and SageMaker answer as after a demo."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, output: Path) -> None:
        self._patch = monkeypatch.setattr
        self.output = output
        shard = output / "shard.jsonl"
        output.mkdir()
        shard.write_text("{}")
        shards = Shards((shard,), output, "s3://raw/x/", LEFT_OUT)
        self._patch(module, "choose_shards", lambda *_: shards)
        self._patch(module, "upload", lambda *_: None)
        self._patch(Demo, "_system", lambda *_: nullcontext())
        self._patch(Demo, "_interrupting", lambda *_: nullcontext())

    def run(self, objects: dict[str, Any], failed: tuple[str, ...] = ()) -> int:
        self._patch(module, "Store", lambda *_: Store(Buckets(objects), OneTrainingJob()))
        self._patch(module, "AirflowApi", lambda _: CannedAirflow(failed))
        return main(["--data", str(self.output), "--output", str(self.output)])

    @property
    def summary(self) -> Path:
        return self.output / "summary.json"

    def read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.summary.read_text())
        return found


@pytest.fixture
def demonstration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Demonstration:
    return Demonstration(monkeypatch, tmp_path / "output")


def test_the_summary_has_exactly_the_agreed_keys(demonstration: Demonstration, endpoint: str) -> None:
    assert demonstration.run(written(Outcome.PASS, endpoint)) == 0
    summary = demonstration.read()
    assert_agreed_keys(summary)


def test_the_figures_are_those_of_manifest_report_job_and_verdict(
    demonstration: Demonstration, endpoint: str
) -> None:
    demonstration.run(written(Outcome.PASS, endpoint))
    summary = demonstration.read()
    assert summary["corpus"] == {
        "version": "standard-1",
        "reused": False,
        "documents_in": 100,
        "documents_kept": 70,
        "documents_held_out": 20,
        "dropped": {
            "read": {"invalid_json": 1},
            "filter": {"too_short": 9},
            "near_dedup": {"near_duplicate": 20},
        },
        "tokens": 12_345,
    }
    dropped = sum(count for reasons in summary["corpus"]["dropped"].values() for count in reasons.values())
    assert summary["corpus"]["documents_in"] == summary["corpus"]["documents_kept"] + dropped
    assert summary["training"] == {
        "steps": 120,
        "interruptions": 1,
        "resumed_at_step": 30,
        "loss_first": 9.0,
        "loss_last": 6.5,
        "billable_seconds": 50,
        "total_seconds": 60,
    }
    assert summary["gate"] == {"verdict": "pass", "baseline": "unigram", "reasons": ["pass: by so much"]}
    assert summary["deployment"] == {
        "endpoint": endpoint,
        "model": "nexus-llm",
        "revision": "nexus:3",
        "sample_prompt": "def main(",
        "sample_completion": "argv):",
    }


def test_every_phase_has_its_seconds_and_every_task_its_two_times(
    demonstration: Demonstration, endpoint: str
) -> None:
    demonstration.run(written(Outcome.PASS, endpoint))
    summary = demonstration.read()
    assert set(summary["seconds"]) == {*PHASES, "total"}
    assert all(seconds >= 0 for seconds in summary["seconds"].values())
    expected = [
        {
            "dag": DAGS[phase],
            "task": task,
            "state": "success",
            "tries": 1,
            "queued_seconds": 0.25,
            "running_seconds": 2.5,
        }
        for phase in DAGS
        for task in TASKS[phase]
    ]
    assert summary["tasks"] == expected


@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.INCONCLUSIVE])
def test_a_refused_model_leaves_what_was_reached_and_says_why_and_what_to_do(
    demonstration: Demonstration, capsys: pytest.CaptureFixture[str], outcome: Outcome
) -> None:
    demonstration.summary.write_text('{"gate": {"verdict": "pass"}}')
    assert demonstration.run(written(outcome), failed=("gate",)) == 1
    summary = demonstration.read()
    assert summary["deployment"] is None
    assert summary["gate"]["verdict"] == outcome.value
    assert summary["gate"]["reasons"] == [f"{outcome.value}: by so much"]
    assert summary["corpus"]["documents_in"] == 100 and summary["training"]["steps"] == 120
    assert set(summary["seconds"]) == {*PHASES, "total"} - {"deployment"}
    states = {(task["dag"], task["task"]): task["state"] for task in summary["tasks"]}
    assert states["model_evaluation", "gate"] == "failed"
    said = capsys.readouterr()
    shown = " ".join(said.out.split())
    for expected in (
        "too_short 9",
        "9.000 → 6.500",
        f"{outcome.value}: by so much",
        "Not deployed",
        "A folder of a few documents cannot pass",
    ):
        assert expected in shown
    assert f"error: the gate's verdict is {outcome.value}; nothing was deployed" in said.err


@pytest.mark.parametrize(
    ("outcome", "failed"),
    [(None, "evaluate"), (Outcome.PASS, "approve"), (None, "train")],
)
def test_a_failure_that_is_no_verdict_leaves_no_summary_not_even_an_earlier_one(
    demonstration: Demonstration,
    capsys: pytest.CaptureFixture[str],
    outcome: Outcome | None,
    failed: str,
) -> None:
    demonstration.summary.write_text('{"gate": {"verdict": "pass"}}')
    assert demonstration.run(written(outcome), failed=(failed,)) == 1
    assert not demonstration.summary.exists()
    assert f"{failed} failed (try 1): {failed} says no" in capsys.readouterr().err


def test_the_screen_shows_some_left_out_files_and_the_summary_all(
    demonstration: Demonstration, endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    demonstration.run(written(Outcome.PASS, endpoint))
    assert demonstration.read()["left_out"] == LEFT_OUT
    shown = capsys.readouterr().out
    assert sum(name in shown for name in LEFT_OUT) == 5
    assert "and 4 more; the full list will be in `left_out` of summary.json" in shown
    assert f"9 files left out: `left_out` in {demonstration.summary}" in "".join(shown.split("\n"))
