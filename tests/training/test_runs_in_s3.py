"""A whole run through S3 equals one on local paths."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from include.contracts.manifests import TrainingRequest
from include.contracts.records import canonical_json, to_plain
from include.object_store import STORE, Folder
from tests.support.local_s3 import local_s3
from tests.training.corpora import RECIPE, Corpus, LocalRun, make_run

BUCKET = "nexus-llm-models"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A local_aws on a free port, set in this process' environment; gives the root of a bucket."""
    with local_s3(tmp_path_factory.mktemp("aws") / "root") as settings, pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        STORE.create_buckets([BUCKET])
        yield f"s3://{BUCKET}/"


def test_a_run_on_s3_equals_one_on_local_paths(
    s3: str, tmp_path: Path, corpus: Corpus, uninterrupted: tuple[LocalRun, str]
) -> None:
    reference, _ = uninterrupted
    run = make_run(tmp_path, corpus)
    root = f"{s3}runs/test-run/"
    request = TrainingRequest("test-run", root, corpus.reference, to_plain(RECIPE))
    run.request.write_bytes(canonical_json(request))
    code, output = run.finish()
    assert code == 0, output
    stored = Folder(root)
    assert stored.read("model/model.safetensors") == (reference.model / "model.safetensors").read_bytes()
    assert {"checkpoints/step_12/complete.json", "training_report.json"} <= set(stored.sizes())
