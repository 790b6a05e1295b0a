"""The plan of corpus_refresh: new shards, and the version that they extend."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from include.contracts.artifacts import CODE_FILES, ArtifactsManifest
from include.contracts.errors import ContractError
from include.contracts.job_names import RunIdentity
from include.contracts.manifests import CorpusManifest, CorpusRequest, FileEntry, ParentRef, RawShard
from include.contracts.records import to_plain
from include.contracts.storage import CorpusLayout, S3Uri
from include.object_store import ObjectStore
from include.planning.corpus import Basis, CorpusPlan, basis_of, plan_corpus
from include.planning.corpus_inputs import InputListing
from include.planning.published import (
    KnownCorpus,
    ShardNews,
    inputs_of_latest,
    latest_corpus,
    note_published,
    shard_news,
)
from include.recipes.corpus import CorpusRecipe
from include.recipes.overrides import chosen_corpus_recipe
from include.settings import load_settings
from include.settings.model import StorageSettings
from nexus_airflow.tasks.corpus import _log_plan as log_plan
from tests.dags.conftest import LATEST, SHARD

RUN = RunIdentity("dev", "corpus_refresh", "run")


@pytest.fixture
def layout(whole_corpus: tuple[CorpusLayout, ParentRef], settings_file: Any) -> CorpusLayout:
    """A published corpus of one shard."""
    layout, manifest = whole_corpus
    note_published(settings_file, LATEST, layout, manifest, RUN)
    return layout


def test_the_newest_corpus_says_which_shards_are_known(layout: CorpusLayout, settings_file: Any) -> None:
    assert inputs_of_latest(LATEST) == (SHARD,)


def test_a_corpus_that_is_built_anew_leaves_the_next_run_able_to_plan(
    layout: CorpusLayout, settings_file: Any
) -> None:
    ObjectStore().delete(layout.manifest)  # as `force` does before its jobs run, and fail
    assert inputs_of_latest(LATEST) == ()
    assert shard_news(settings_file.storage.raw, LATEST).new == ()


def put_shard_and_code(store: ObjectStore, storage: StorageSettings) -> None:
    """Write a shard and the code of the jobs, which a plan needs."""
    store.write(storage.raw / "a.jsonl", b'{"text": "x"}')
    artifacts = ArtifactsManifest(
        "git", "0" * 64, {}, tuple(FileEntry(name, 1, "1" * 64) for name in CODE_FILES)
    )
    store.write_record(storage.artifacts / "artifacts.json", artifacts)


def test_force_takes_away_what_would_let_the_jobs_skip_their_work(
    layout: CorpusLayout, settings_file: Any
) -> None:
    store, storage = ObjectStore(), settings_file.storage
    put_shard_and_code(store, storage)

    def plan(force: bool) -> CorpusPlan:
        return plan_corpus(settings_file, storage.raw, RECIPE, force=force, dry_run=False)

    built = CorpusLayout(S3Uri.parse(plan(force=False).root_uri))
    store.write(built.manifest, b"{}")
    ended = (built.stages / "near_dedup.json", built.work / "clean_parts/part-00000.json")
    for uri in ended:
        store.write(uri, b"{}")
    assert plan(force=False).exists and all(map(store.exists, ended))
    assert not plan(force=True).exists
    assert not any(map(store.exists, (built.manifest, *ended)))


def test_what_is_left_out_is_named_and_the_rest_counted(
    layout: CorpusLayout,
    settings_file: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("include.planning.corpus._LEFT_OUT_LIMIT", 1)
    store, storage = ObjectStore(), settings_file.storage
    put_shard_and_code(store, storage)
    source = S3Uri(storage.raw_bucket, "notes/")
    for name in ("a.jsonl", "b.txt", "c.txt", "d.txt"):
        store.write(source / name, b'{"text": "x"}')
    plan = plan_corpus(settings_file, source, RECIPE, force=False, dry_run=True)
    assert (plan.left_out, plan.more_left_out) == ((str(source / "b.txt"),), 2)
    log_plan(plan)
    assert f"{source}b.txt" in caplog.text and "left out, not shards: 2 more" in caplog.text


def test_a_version_that_exists_is_not_said_to_be_read(
    layout: CorpusLayout, settings_file: Any, caplog: pytest.LogCaptureFixture
) -> None:
    put_shard_and_code(ObjectStore(), settings_file.storage)
    plan = plan_corpus(settings_file, settings_file.storage.raw, RECIPE, force=False, dry_run=True)
    extending = replace(plan, extends=str(layout.manifest), read_whole_because="")
    caplog.set_level("INFO")
    log_plan(replace(extending, exists=True))
    assert "the jobs are skipped" in caplog.text and "are read" not in caplog.text
    log_plan(replace(extending, exists=False))
    assert "only these shards are read" in caplog.text


def test_a_base_that_was_built_anew_or_is_gone_leaves_the_next_run_able_to_plan(
    layout: CorpusLayout, settings_file: Any
) -> None:
    store = ObjectStore()
    request = store.read_record(CorpusRequest, layout.request)
    gone = ParentRef("s3://nexus-llm-processed/corpus/v0/manifest.json", "0" * 64)
    extended = replace(request, base=gone, earlier_inputs=((OLDER,),))
    manifest = store.read_record(CorpusManifest, layout.manifest)
    manifest = replace(manifest, request=store.write_record(layout.request, extended))
    note_published(settings_file, LATEST, layout, store.write_record(layout.manifest, manifest), RUN)
    assert inputs_of_latest(LATEST) == (OLDER, SHARD)


def test_a_corpus_that_was_built_anew_is_known_by_its_address(
    layout: CorpusLayout, settings_file: Any
) -> None:
    pointer = ParentRef(str(layout.manifest), "0" * 64)
    note_published(settings_file, LATEST, layout, pointer, RUN)
    assert inputs_of_latest(LATEST) == (SHARD,)


RECIPE = CorpusRecipe("standard")
OLD, NEW = SHARD, RawShard("s3://nexus-llm-raw/pile/b.jsonl", 4, "e2")
OLDER = RawShard("s3://nexus-llm-raw/pile/0.jsonl", 2, "e0")
CHANGED = replace(OLD, etag="e9")
PARENT = ParentRef("s3://processed/corpus/v1/manifest.json", "a" * 64)


def known(
    *shards: RawShard,
    sources: str = "code",
    references: dict[str, str] | None = None,
) -> KnownCorpus:
    root = "s3://processed/corpus/v1/"
    request = CorpusRequest("v1", shards, to_plain(RECIPE), sources, root, references=references or {})
    return KnownCorpus(PARENT, request)


def planned(corpus: KnownCorpus | None, *listing: RawShard) -> Basis:
    return basis_of(corpus, InputListing(listing, ()), "code", {})


def extending(corpus: KnownCorpus, *earlier: tuple[RawShard, ...]) -> KnownCorpus:
    return replace(corpus, request=replace(corpus.request, base=PARENT, earlier_inputs=earlier))


def test_only_shards_that_have_come_since_are_read() -> None:
    assert planned(known(OLD), OLD, NEW) == Basis((NEW,), PARENT, ((OLD,),))
    assert planned(extending(known(OLD), (OLDER,)), OLDER, OLD, NEW) == Basis(
        (NEW,), PARENT, ((OLDER,), (OLD,))
    )


def test_a_corpus_of_exactly_these_shards_is_the_one_that_is_wanted() -> None:
    assert planned(known(OLD, NEW), OLD, NEW) == Basis((OLD, NEW))
    assert planned(extending(known(NEW), (OLD,)), OLD, NEW) == Basis((NEW,), PARENT, ((OLD,),))


@pytest.mark.parametrize(
    ("corpus", "listing", "why"),
    [
        (None, (OLD, NEW), "no whole version of this source and recipe is published"),
        (known(OLD), (NEW,), "1 of its shards are gone, such as s3://nexus-llm-raw/pile/a.jsonl"),
        (known(OLD), (CHANGED, NEW), "1 of its shards have changed, such as s3://nexus-llm-raw/pile/a.jsonl"),
        (known(OLD, sources="other code"), (OLD, NEW), "the code of the jobs has changed"),
        (known(OLD, references={"s3://b/gsm8k.jsonl": "e"}), (OLD, NEW), "have changed: s3://b/gsm8k.jsonl"),
    ],
)
def test_whatever_cannot_be_extended_is_read_whole_and_says_why(
    corpus: KnownCorpus | None, listing: tuple[RawShard, ...], why: str
) -> None:
    basis = planned(corpus, *listing)
    assert why in basis.why_whole
    assert replace(basis, why_whole="") == Basis(listing)


DOCUMENTS = RawShard("s3://nexus-llm-raw/rp2/documents/2023-06/0000/en_head.json.gz", 5, "e3")
SIGNALS = RawShard("s3://nexus-llm-raw/rp2/quality_signals/2023-06/0000/en_head.signals.json.gz", 5, "e4")


@pytest.mark.parametrize(("held", "late"), [(DOCUMENTS, SIGNALS), (SIGNALS, DOCUMENTS)])
def test_shards_that_belong_beside_held_ones_are_read_with_them(held: RawShard, late: RawShard) -> None:
    basis = planned(known(OLD, held), OLD, held, late)
    assert f"the documents or quality signals of 1 new shards, such as {late.uri}" in basis.why_whole
    assert (basis.inputs, basis.base) == ((OLD, held, late), None)
    assert planned(known(OLD), OLD, held, late).inputs == (held, late)  # a whole pair extends


def test_each_environment_source_and_recipe_has_its_own_newest_corpus() -> None:
    raw, overridden = S3Uri("raw", "pile/"), replace(RECIPE, shard_tokens=5)
    dev = load_settings("dev")
    assert latest_corpus(dev, raw, RECIPE) == latest_corpus(dev, S3Uri("raw", "pile"), RECIPE)
    places = {
        latest_corpus(dev, raw, RECIPE),
        latest_corpus(dev, raw, overridden),  # of the same name
        latest_corpus(dev, S3Uri("raw", "redpajama/"), RECIPE),
        latest_corpus(dev, S3Uri("raw", ""), RECIPE),
        latest_corpus(dev, S3Uri("other", "pile/"), RECIPE),
        latest_corpus(replace(dev, name="other"), raw, RECIPE),
    }
    assert len(places) == 6


def test_a_source_is_a_folder_however_it_is_written(layout: CorpusLayout, settings_file: Any) -> None:
    store, raw = ObjectStore(), settings_file.storage.raw_bucket
    for key in ("books/0.jsonl", "books2/0.jsonl"):
        store.write(S3Uri(raw, key), b'{"text": "x"}')
    nothing = S3Uri(settings_file.storage.processed_bucket, "corpus/latest/none.json")
    expected = ShardNews((f"s3://{raw}/books/0.jsonl",), ())
    assert shard_news(S3Uri(raw, "books"), nothing) == expected
    assert shard_news(S3Uri(raw, "books/"), nothing) == expected


def test_shards_that_are_gone_are_told(layout: CorpusLayout, settings_file: Any) -> None:
    store, raw = ObjectStore(), settings_file.storage.raw_bucket
    store.write(S3Uri(raw, "other/0.jsonl"), b'{"text": "x"}')
    news = shard_news(S3Uri(raw, "other/"), LATEST)
    assert news.gone == (SHARD.uri,)
    assert news.summary == {"new_shards": 1, "examples": [f"s3://{raw}/other/0.jsonl"], "gone_shards": 1}


def test_force_that_died_half_way_begins_again(layout: CorpusLayout, settings_file: Any) -> None:
    """Stage reports without manifest would let jobs skip work whose files are gone."""
    store, storage = ObjectStore(), settings_file.storage
    put_shard_and_code(store, storage)
    planned = plan_corpus(settings_file, storage.raw, RECIPE, force=True, dry_run=False)
    left = CorpusLayout(S3Uri.parse(planned.root_uri)).stages / "near_dedup.json"
    store.write(left, b"{}")
    plan_corpus(settings_file, storage.raw, RECIPE, force=True, dry_run=True)
    assert store.exists(left)  # a dry run takes nothing away
    plan_corpus(settings_file, storage.raw, RECIPE, force=True, dry_run=False)
    assert not store.exists(left)


def test_a_file_of_the_worker_is_no_file_of_a_recipe(layout: CorpusLayout, settings_file: Any) -> None:
    put_shard_and_code(ObjectStore(), settings_file.storage)
    recipe = chosen_corpus_recipe("standard", "", {"tokenizer": {"uri": __file__}})
    with pytest.raises(ContractError, match="not an S3 URI; expected s3://bucket/key"):
        plan_corpus(settings_file, settings_file.storage.raw, recipe, force=False, dry_run=True)
