"""What corpus_refresh announces, and when."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from include.aws.corpus import inputs_of_latest
from include.aws.corpus_inputs import latest_corpus
from include.aws.storage import ObjectStore
from include.contracts.manifests import CorpusManifest, CorpusRequest, RawShard
from include.contracts.storage import CorpusPlace
from nexus_airflow.steps.corpus import publish

SHARD = RawShard("s3://nexus-llm-raw/pile/a.jsonl", 3, "e1")


class Pulled:
    """A task instance whose plan is given."""

    def __init__(self, place: CorpusPlace, exists: bool) -> None:
        self._plan = {"version": "v1", "root_uri": str(place.root), "exists": exists}

    def xcom_pull(self, **_: Any) -> dict[str, Any]:
        return self._plan


@pytest.fixture
def corpus(aws: Any, settings_file: Any) -> tuple[CorpusPlace, dict[str, str]]:
    """A whole version of which nobody was told."""
    for bucket in (settings_file.storage.raw_bucket, settings_file.storage.processed_bucket):
        aws.client("s3").create_bucket(Bucket=bucket)
    store, place = ObjectStore(), CorpusPlace.of(settings_file.storage.processed_bucket, "v1")
    for left in (place.announced, latest_corpus(settings_file.storage.processed_bucket)):
        store.delete(left)  # by other tests, which share the server
    request = store.write_record(place.request, CorpusRequest("v1", (SHARD,), {}, "", str(place.root)))
    empty: dict[str, Any] = {"tokens": 0, "tokens_held_out": 0, "subsets": {}, "tokenizer_sha256": ""}
    empty |= {"vocabulary_size": 1, "token_dtype": "uint16", "end_of_text_id": 0, "shards": ()}
    manifest = CorpusManifest(
        "v1", str(place.root), request, 0, 0, 0, {}, **empty, held_out_shards=(), files=()
    )
    return place, vars(store.write_record(place.manifest, manifest))


def announced(place: CorpusPlace, reference: dict[str, str], *, exists: bool, again: bool = False) -> int:
    params = {"continue_downstream": again}
    return len(list(publish(reference, params=params, ti=Pulled(place, exists))))


def test_a_corpus_that_was_built_but_never_announced_is_announced_by_the_next_run(
    corpus: tuple[CorpusPlace, dict[str, str]], settings_file: Any
) -> None:
    """The run that built it ended between its jobs and publish; the next one finds the version there."""
    assert inputs_of_latest(settings_file) == ()
    assert announced(*corpus, exists=True) == 1
    assert inputs_of_latest(settings_file) == (SHARD,)


def test_what_was_announced_is_announced_again_only_on_request_or_when_built_anew(
    corpus: tuple[CorpusPlace, dict[str, str]], settings_file: Any
) -> None:
    assert announced(*corpus, exists=False) == 1
    with pytest.raises(AirflowSkipException, match="was announced before"):
        announced(*corpus, exists=True)
    assert announced(*corpus, exists=True, again=True) == 1
    assert announced(*corpus, exists=False) == 1
