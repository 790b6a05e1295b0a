"""The requests to AWS are those that are recorded: a change of any value is seen in a review.

After a wanted change write them again: ``python -m tests.unit.aws.test_recorded_requests``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from include.aws.catalogue import crawler_request
from include.aws.ecs import create_service, task_definition, update_service
from include.aws.emr_cluster import cluster_request
from include.aws.emr_serverless import application_request
from include.aws.engines import Engine
from include.aws.processing import evaluation_job, export_job
from include.aws.registry import package_request
from include.aws.training import training_job
from include.contracts.documents import CORPUS_JOBS
from include.contracts.manifests import ModelManifest
from include.contracts.records import to_plain
from include.contracts.storage import CorpusLayout, S3Uri
from include.settings import Settings, load_settings
from tests.unit.aws.test_requests import CODE, CORPUS, PARENT, REQUEST, SPOT, WRITTEN

RECORDED = Path(__file__).with_name("recorded_requests.json")
LAYOUT = CorpusLayout.of("processed-bucket", "v")
FOLDER = S3Uri("models-bucket", "runs/r/x/")


def requests(settings: Settings) -> dict[str, Any]:
    """Return every request that the DAGs send with these settings, by name."""
    model = ModelManifest("safetensors", "r", 1, PARENT, PARENT, 1, 8, ())
    jobs = {
        f"{engine.value} {job}": to_plain(engine.job(settings, job, CODE, LAYOUT, force=False))
        for engine in Engine
        for job in CORPUS_JOBS
    }
    found: dict[str, Any] = jobs | {
        "cluster": cluster_request(settings, "name", CODE),
        "serverless application": application_request(settings),
        "crawler": crawler_request(settings, LAYOUT),
        "training": to_plain(training_job(settings, REQUEST, WRITTEN, CORPUS, SPOT)),
        "evaluation": to_plain(evaluation_job(settings, PARENT, PARENT, PARENT, FOLDER, anchor=PARENT)),
        "export": to_plain(export_job(settings, PARENT, FOLDER)),
        "package": package_request(settings, model, PARENT, {"loss_last": "1.0"}),
        "task definition": task_definition(settings, PARENT),
        "service": create_service(settings, "arn:task", "arn:group"),
        "service update": update_service(settings, "arn:task"),
    }
    return found


def all_requests() -> dict[str, Any]:
    found = {name: requests(load_settings(name)) for name in ("dev", "prod")}
    plain: dict[str, Any] = json.loads(json.dumps(found, sort_keys=True, default=str), object_hook=_values)
    return plain


def _values(plain: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is only for readers, and may be worded in another way."""
    return {name: value for name, value in plain.items() if not name.endswith("Description")}


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_every_request_is_the_recorded_one(name: str) -> None:
    recorded = json.loads(RECORDED.read_text())[name]
    found = all_requests()[name]
    assert set(found) == set(recorded)
    for request, content in found.items():
        assert content == recorded[request], request


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(all_requests(), indent=1, sort_keys=True) + "\n")
