"""The sensor of corpus_refresh, through its deferral: what it waits for, and what ends the wait."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from include.contracts.errors import InputError
from include.contracts.job_names import RunIdentity
from include.contracts.manifests import CorpusManifest, CorpusRequest, ParentRef, RawShard
from include.contracts.storage import CorpusLayout, S3Uri
from include.object_store import ObjectStore, StorageUnavailable
from include.planning.published import latest_corpus, note_published
from include.recipes.corpus import CorpusRecipe
from include.recipes.loading import packaged_recipe
from nexus_airflow.errors import SourceNotListed
from nexus_airflow.sensors.new_shards import S3NewShardsSensor
from nexus_airflow.triggers import new_shards
from tests.dags.conftest import Task, first_event

_LINE = b'{"text": "x"}'


@pytest.fixture
def source(whole_corpus: tuple[CorpusLayout, ParentRef], settings_file: Any, task: Task) -> S3Uri:
    """A prefix of one shard, a.jsonl, from which the newest corpus was made."""
    source = S3Uri(settings_file.storage.raw_bucket, f"{task.name}/")
    store, (layout, reference) = ObjectStore(), whole_corpus
    store.write(source / "a.jsonl", _LINE)
    held = store.stat(source / "a.jsonl")
    request = store.read_record(CorpusRequest, layout.request)
    request = replace(request, inputs=(RawShard(str(held.uri), held.size_bytes, held.etag),))
    manifest = store.read_record(CorpusManifest, S3Uri.parse(reference.uri))
    manifest = replace(manifest, request=store.write_record(layout.request, request))
    latest = latest_corpus(settings_file, source, packaged_recipe(CorpusRecipe, "corpora", "standard"))
    run = RunIdentity(settings_file.name, "corpus_refresh", "run")
    note_published(settings_file, latest, layout, store.write_record(layout.manifest, manifest), run)
    return source


def sensor(source: S3Uri, **options: Any) -> S3NewShardsSensor:
    limits = {"poke_interval": 0.2, "timeout": 30.0} | options
    return S3NewShardsSensor(
        task_id="wait_for_shards", source_uri=str(source), recipe="standard", recipe_overrides={}, **limits
    )


def deferral(task: Task, one: S3NewShardsSensor) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as deferred:
        one.execute(task.context(one))
    return deferred.value


def later(seconds: float, action: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def test_a_shard_that_arrives_while_it_is_deferred_ends_the_wait(source: S3Uri, task: Task) -> None:
    deferred = deferral(task, sensor(source))
    began = time.monotonic()
    later(0.7, lambda: ObjectStore().write(source / "b.jsonl", _LINE))
    event = asyncio.run(first_event(deferred.trigger))
    assert 0.6 < time.monotonic() - began < 15, "it fired before the shard came, or late"
    resumed = sensor(source)  # another process
    found = getattr(resumed, deferred.method_name)(task.context(resumed), event=event)
    assert found == {"new_shards": 1, "examples": [str(source / "b.jsonl")], "gone_shards": 0}


def test_without_new_shards_until_the_deadline_what_follows_is_skipped(source: S3Uri, task: Task) -> None:
    began = time.monotonic()
    with pytest.raises(AirflowSkipException, match=f"no new shards under {source} within 0.6 s"):
        task.run(sensor(source, timeout=0.6))
    assert time.monotonic() - began > 0.6


def test_a_shard_that_comes_with_the_deadline_is_not_missed(source: S3Uri, task: Task) -> None:
    deferred = deferral(task, sensor(source, timeout=0.1))
    time.sleep(0.2)
    ObjectStore().write(source / "b.jsonl", _LINE)
    assert asyncio.run(first_event(deferred.trigger))["new_shards"] == 1


def test_a_shard_that_has_changed_is_new(source: S3Uri, task: Task) -> None:
    ObjectStore().write(source / "a.jsonl", _LINE + b"\n" + _LINE)
    assert task.run(sensor(source))["examples"] == [str(source / "a.jsonl")]


@pytest.mark.parametrize(
    ("options", "new"), [({}, 1), ({"wait": "False"}, 0), ({"wait": "False"}, 1), ({"timeout": 0}, 1)]
)
def test_with_nothing_to_wait_for_it_passes_at_once(
    source: S3Uri, task: Task, options: dict[str, Any], new: int
) -> None:
    for number in range(new):
        ObjectStore().write(source / f"new-{number}.jsonl", _LINE)
    one = sensor(source, **options)
    assert one.execute(task.context(one))["new_shards"] == new  # a deferral would be raised


def test_without_time_to_wait_it_skips_at_once(source: S3Uri, task: Task) -> None:
    one = sensor(source, timeout=0)
    with pytest.raises(AirflowSkipException):
        one.execute(task.context(one))


def test_a_corpus_of_another_recipe_knows_none_of_the_shards(source: S3Uri, task: Task) -> None:
    one = sensor(source)
    one.recipe_overrides = {"shard_tokens": 5}
    assert task.run(one)["new_shards"] == 1


def test_a_listing_that_fails_is_tried_again(
    source: S3Uri, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    deferred = deferral(task, sensor(source))
    ObjectStore().write(source / "b.jsonl", _LINE)
    looks: list[S3Uri] = []

    def slow_down(*places: S3Uri) -> Any:
        looks.append(places[0])
        if len(looks) == 1:
            raise StorageUnavailable("S3 is overloaded")
        return listing(*places)

    listing = new_shards.shard_news  # type: ignore[attr-defined]
    monkeypatch.setattr(new_shards, "shard_news", slow_down)
    assert asyncio.run(first_event(deferred.trigger))["new_shards"] == 1
    assert looks == [source, source]


def test_a_source_that_cannot_be_listed_at_the_deadline_is_an_error_and_no_skip(
    source: S3Uri, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = sensor(source, timeout=0.1)
    deferred = deferral(task, one)

    def fail(*_: S3Uri) -> Any:
        raise StorageUnavailable("S3 is overloaded")

    monkeypatch.setattr(new_shards, "shard_news", fail)
    event = asyncio.run(first_event(deferred.trigger))
    with pytest.raises(SourceNotListed, match=f"{source}: the source could not be listed.*overloaded"):
        one.finish(task.context(one), event)


def test_a_source_to_which_access_is_refused_is_an_error_at_once(
    source: S3Uri, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = sensor(source, timeout=3600)
    deferred = deferral(task, one)

    def refuse(*_: S3Uri) -> Any:
        raise InputError("access denied", where=str(source))

    monkeypatch.setattr(new_shards, "shard_news", refuse)
    event = asyncio.run(first_event(deferred.trigger))
    with pytest.raises(SourceNotListed, match=f"{source}: the source could not be listed.*access denied"):
        one.finish(task.context(one), event)
