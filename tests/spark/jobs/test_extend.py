"""A version that extends another: new documents against old and new, and nothing that was kept is lost."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from include.contracts.errors import ContractError, InputError
from include.contracts.manifests import CorpusManifest, CorpusRequest, ParentRef, RawShard
from include.contracts.records import canonical_json, content_hash
from include.object_store import STORE
from include.recipes.corpus import CorpusRecipe, TokenizerRecipe
from include.recipes.near_dedup import NearDedupRecipe
from include.recipes.scrubbing import ScrubRecipe
from spark_jobs.corpus_version.base import extending, numbered_shards
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.corpus_version.trace import trace
from spark_jobs.dedup import corpus
from spark_jobs.jobs.build_corpus import build_corpus, request_for
from spark_jobs.report.page import write_report
from spark_jobs.report.wording import size

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tests.spark.conftest import Known

Write = Callable[[Path, Any], Path]
Draw = Callable[[random.Random, int], str]


def rows(root: Path, folder: str) -> list[dict[str, Any]]:
    return [
        row for path in sorted((root / folder).glob("*.parquet")) for row in pq.read_table(path).to_pylist()
    ]


def manifest_of(root: Path) -> CorpusManifest:
    return STORE.read_record(CorpusManifest, str(root / "manifest.json"))


@pytest.fixture(scope="module")
def extend(make_request: Callable[..., str], spark: SparkSession) -> Callable[..., Path]:
    """Build a version of new shards on a base, by its recipe but for the sections given."""

    def build(root: Path, base: Path, shards: list[Path], **sections: Any) -> Path:
        uri = Path(make_request(root, shards))
        request = extending(STORE.read_record(CorpusRequest, str(uri)), str(base))
        recipe = STORE.read_record(CorpusRequest, str(base / "request.json")).recipe
        uri.write_bytes(canonical_json(replace(request, recipe={**recipe, **sections})))
        build_corpus(spark, str(uri))
        return root

    return build


@pytest.fixture(scope="module")
def news(tmp_path_factory: pytest.TempPathFactory, write_shard: Write, sentence: Draw, built: Path) -> Path:
    """A shard: a copy and a longer near copy of kept documents, two near copies, and 30 new documents."""
    old = rows(built, "documents")
    generator = random.Random(99)
    new = [sentence(generator, 100) for _ in range(30)]
    texts = [old[0]["text"], old[1]["text"] + " and some more words", *new, new[0] + " anew"]
    folder = tmp_path_factory.mktemp("news")
    return write_shard(
        folder / "new/c.jsonl", [{"text": t, "meta": {"pile_set_name": "Large"}} for t in texts]
    )


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory, extend: Any, built: Path, news: Path) -> Path:
    root: Path = extend(tmp_path_factory.mktemp("extended"), built, [news])
    return root


def test_nothing_that_the_base_keeps_is_dropped_or_changed(built: Path, extended: Path) -> None:
    whole = {entry.path: entry for entry in manifest_of(extended).files}
    for entry in manifest_of(built).files:
        assert whole[entry.path] == entry
        assert content_hash((extended / entry.path).read_bytes()) == entry.sha256
    kept = {row["id"] for folder in ("documents", "held_out") for row in rows(extended, folder)}
    assert {row["id"] for folder in ("documents", "held_out") for row in rows(built, folder)} <= kept


def test_new_documents_are_matched_with_old_and_new_ones(built: Path, extended: Path) -> None:
    old = rows(built, "documents")
    found = {row["id"]: row for row in rows(extended, "duplicates") if row["id"].startswith("new/c.jsonl/")}
    assert {key: row["kept_id"] for key, row in found.items()} == {
        "new/c.jsonl/000000000": old[0]["id"],
        "new/c.jsonl/000000001": old[1]["id"],  # though the new one is longer
        "new/c.jsonl/000000002": "new/c.jsonl/000000032",
    }
    assert found["new/c.jsonl/000000000"]["similarity"] == 1
    assert 0.7 < found["new/c.jsonl/000000001"]["similarity"] < 1


def test_the_manifest_is_that_of_a_whole_corpus(built: Path, extended: Path) -> None:
    base, whole = manifest_of(built), manifest_of(extended)
    assert whole.documents_in == base.documents_in + 33
    assert whole.documents_kept == base.documents_kept + 30
    assert whole.dropped["near_dedup"]["near_duplicate"] == base.dropped["near_dedup"]["near_duplicate"] + 2
    assert whole.tokens == sum(shard.tokens for shard in whole.shards)
    assert whole.subsets["Large"].tokens > base.subsets["Large"].tokens
    assert len({shard.name for shard in whole.shards}) == len(whole.shards) > len(base.shards)
    assert whole.tokenizer_sha256 == base.tokenizer_sha256
    for entry in whole.files:
        assert content_hash((extended / entry.path).read_bytes()) == entry.sha256, entry.path


def test_the_report_is_that_of_the_whole(known: Known, news: Path, extended: Path) -> None:
    page = (extended / "report.html").read_text()
    assert f"{manifest_of(extended).documents_in:,}" in page
    assert f"{size(sum(path.stat().st_size for path in (*known.shards, news)))} of records" in page


def test_the_report_says_of_which_shards_examples_and_details_are(
    tmp_path: Path, built: Path, extended: Path
) -> None:
    of_added = "for the 1 shard that this version added"
    page = (extended / "report.html").read_text()
    assert f'It extends <span class="id">{built}/manifest.json</span> by 1 shard' in page
    assert f"No examples were recorded {of_added}." in page
    root = Path(shutil.copytree(extended, tmp_path / "copy"))
    (root / "work/examples.json").write_text('{"filter": {"too_short": [{"id": "new/c/7", "text": "x"}]}}')
    request = json.loads((root / "request.json").read_bytes())
    request["recipe"]["decontaminate"]["benchmarks"] = [{"name": "arc"}]
    (root / "request.json").write_bytes(canonical_json(request))
    stage = json.loads((root / "stages/decontaminate.json").read_bytes())
    stage["details"] = {"benchmarks": {"arc": {"example": "seen in the news"}}}
    (root / "stages/decontaminate.json").write_bytes(canonical_json(stage))
    write_report(VersionLayout(str(root)))
    page = (root / "report.html").read_text()
    assert f"All are {of_added}." in page
    assert f"Details of the stage {of_added}</summary>" in page
    assert "seen in the news" in page
    assert "that this version added" not in (built / "report.html").read_text()


def test_the_personal_data_of_base_and_news_are_counted_together(
    tmp_path: Path, spark: SparkSession, make_request: Any, extend: Any, write_shard: Write, sentence: Draw
) -> None:
    generator, scrub = random.Random(5), ScrubRecipe(enabled=True)

    def shard(name: str, pieces: list[str]) -> Path:
        said = [*pieces, *[""] * (30 - len(pieces))]
        return write_shard(tmp_path / name, [{"text": f"{sentence(generator, 60)} {one}"} for one in said])

    mail, address = "write to jane.roe@mail.example.eu", "from 93.184.216.34 on"
    recipe = CorpusRecipe("test", scrub=scrub, tokenizer=TokenizerRecipe(vocabulary_size=300))
    build_corpus(spark, make_request(tmp_path / "base", [shard("a.jsonl", [mail, mail, address])], recipe))
    assert manifest_of(tmp_path / "base").scrubbed == {"emails": 2, "ip_addresses": 1}
    news = [shard("b.jsonl", [mail, "or call 617-555-0123"])]
    root = extend(tmp_path / "extended", tmp_path / "base", news)
    assert manifest_of(root).scrubbed == {"emails": 3, "ip_addresses": 1, "phone_numbers": 1}
    assert "5 pieces of personal data" in (root / "report.html").read_text()


def test_tokens_of_old_and_new_documents_lead_to_their_raw_shards(extended: Path, news: Path) -> None:
    large = [shard for shard in manifest_of(extended).shards if shard.subset == "Large"]
    assert trace(f"{extended}/tokens/{large[0].name}:0").raw_shard.endswith("a.jsonl.zst")
    assert trace(f"{extended}/tokens/{large[-1].name}:0").raw_shard == str(news)


def test_a_version_that_extends_another_can_be_extended_and_needs_neither(
    tmp_path: Path, extend: Any, built: Path, extended: Path, news: Path, known: Known, write_shard: Write
) -> None:
    """ADR 6: a version is whole. Its bases may be built again or deleted."""
    for source in (built, extended):
        shutil.copytree(source, tmp_path / source.name)
    second = tmp_path / extended.name
    manifest = replace(manifest_of(second), root_uri=str(second))
    (second / "manifest.json").write_bytes(canonical_json(manifest))
    again = write_shard(tmp_path / "again/d.jsonl", news.read_bytes())
    root = extend(tmp_path / "third", second, [again])
    shutil.rmtree(second)
    assert manifest_of(root).documents_kept == manifest.documents_kept
    assert manifest_of(root).documents_in == manifest.documents_in + 33
    large = [shard for shard in manifest_of(root).shards if shard.subset == "Large"]
    assert trace(f"{root}/tokens/{large[0].name}:0").raw_shard == str(known.shards[0])
    request = STORE.read_record(CorpusRequest, str(root / "request.json"))
    assert [[shard.uri for shard in group] for group in request.all_inputs] == [
        [str(path) for path in known.shards],
        [str(news)],
        [str(again)],
    ]


def test_a_base_that_holds_other_shards_is_refused(
    tmp_path: Path, spark: SparkSession, make_request: Any, built: Path, news: Path
) -> None:
    uri = Path(make_request(tmp_path / "other", [news]))
    request = extending(STORE.read_record(CorpusRequest, str(uri)), str(built))
    uri.write_bytes(canonical_json(replace(request, earlier_inputs=())))
    with pytest.raises(ContractError, match="does not hold the shards that the request names"):
        build_corpus(spark, str(uri))


def test_many_tasks_extend_as_one_task_does(
    tmp_path: Path, extend: Any, built: Path, extended: Path, news: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "ONE_TASK_BYTES", 0)
    root = extend(tmp_path / "by_many", built, [news])
    assert manifest_of(root).files == manifest_of(extended).files


@pytest.mark.parametrize("one_task_bytes", [1 << 30, 0])
def test_verification_reads_the_texts_of_the_base(
    one_task_bytes: int,
    tmp_path: Path,
    spark: SparkSession,
    make_request: Any,
    extend: Any,
    write_shard: Write,
    sentence: Draw,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(corpus, "ONE_TASK_BYTES", one_task_bytes)
    near_dedup = NearDedupRecipe(ngram=2, bands=40, rows=1, threshold=0.8, verify=True)
    recipe = CorpusRecipe("test", near_dedup=near_dedup, tokenizer=TokenizerRecipe(vocabulary_size=300))
    generator = random.Random(3)
    texts = [sentence(generator, 80) for _ in range(30)]
    half = f"{texts[4].rsplit(' ', 50)[0]} {sentence(generator, 50)}"
    base = make_request(
        tmp_path / "base", [write_shard(tmp_path / "a.jsonl", [{"text": t} for t in texts])], recipe
    )
    build_corpus(spark, base)
    news = [texts[3] + " anew", half, half + " more"]
    shard = write_shard(tmp_path / "b.jsonl", [{"text": text} for text in news])
    root = extend(tmp_path / "extended", tmp_path / "base", [shard])
    found = {row["id"]: row for row in rows(root, "duplicates")}
    name = tmp_path.name
    assert {key: row["kept_id"] for key, row in found.items()} == {
        f"{name}/b.jsonl/000000000": f"{name}/a.jsonl/000000003",
        f"{name}/b.jsonl/000000001": f"{name}/b.jsonl/000000002",
    }
    assert found[f"{name}/b.jsonl/000000000"]["similarity"] == pytest.approx(79 / 80)


def test_a_request_on_a_base_is_for_the_shards_that_it_lacks(
    tmp_path: Path, built: Path, known: Known, news: Path
) -> None:
    with pytest.raises(InputError, match="no new shard"):
        request_for(str(known.shards[0].parent), str(tmp_path / "out"), CorpusRecipe("test"), str(built))
    uri = request_for(str(news.parent), str(tmp_path / "out"), CorpusRecipe("test"), str(built))
    request = STORE.read_record(CorpusRequest, uri)
    assert [shard.uri for shard in request.inputs] == [str(news)]
    assert request.base == ParentRef(
        str(built / "manifest.json"), content_hash((built / "manifest.json").read_bytes())
    )


@pytest.mark.parametrize(("section", "value"), [("near_dedup", {"bands": 5}), ("scrub", {"enabled": True})])
def test_a_base_of_another_recipe_is_refused_with_the_sections_that_differ(
    tmp_path: Path, extend: Any, built: Path, news: Path, section: str, value: dict[str, Any]
) -> None:
    with pytest.raises(ContractError, match=f"other: {section}: the base was made with another recipe"):
        extend(tmp_path / "other", built, [news], **{section: value})


def test_a_shard_that_changed_since_the_base_is_refused(
    tmp_path: Path, extend: Any, make_request: Any, spark: SparkSession, write_shard: Write, sentence: Draw
) -> None:
    generator = random.Random(6)
    shard = write_shard(tmp_path / "raw/a.jsonl", [{"text": sentence(generator, 80)} for _ in range(20)])
    build_corpus(spark, make_request(tmp_path / "base", [shard]))
    write_shard(shard, [{"text": "x"}])
    with pytest.raises(ContractError, match=r"raw/a\.jsonl: the base holds this shard with other bytes"):
        extend(tmp_path / "other", tmp_path / "base", [shard])


@pytest.mark.parametrize("second", ["documents", "documents/2023-14"])
def test_a_second_snapshot_extends_the_first_though_its_shards_have_the_same_names(
    second: str, tmp_path: Path, spark: SparkSession, write_shard: Write, sentence: Draw
) -> None:
    generator = random.Random(7)
    for snapshot in ("2023-06", "2023-14"):
        for part in ("0000", "0001"):
            records = [{"raw_content": sentence(generator, 80), "language": "en"} for _ in range(15)]
            write_shard(tmp_path / f"documents/{snapshot}/{part}/en_head.json.gz", records)
    recipe = CorpusRecipe("test", tokenizer=TokenizerRecipe(vocabulary_size=300))
    base, whole = str(tmp_path / "base"), str(tmp_path / "whole")
    build_corpus(spark, request_for(str(tmp_path / "documents/2023-06"), base, recipe))
    build_corpus(spark, request_for(str(tmp_path / second), whole, recipe, base))
    kept = [row["id"] for folder in ("documents", "held_out") for row in rows(tmp_path / "whole", folder)]
    names = {identifier.rpartition("/")[0] for identifier in kept}
    assert len(kept) == len(set(kept)) == 60
    above = f"{second}/" if second == "documents" else ""
    assert names == {
        *(f"2023-06/{part}/en_head.json.gz" for part in ("0000", "0001")),
        *(f"{above}2023-14/{part}/en_head.json.gz" for part in ("0000", "0001")),
    }
    shard = manifest_of(tmp_path / "whole").shards[-1].name
    origin = trace(f"{whole}/tokens/{shard}:0")
    assert origin.raw_shard.startswith(str(tmp_path / "documents/2023-14"))


def test_a_base_without_names_of_shards_in_its_request_is_extended(
    tmp_path: Path, spark: SparkSession, make_request: Any, write_shard: Write, sentence: Draw
) -> None:
    generator = random.Random(8)
    recipe = CorpusRecipe("test", tokenizer=TokenizerRecipe(vocabulary_size=300))
    old, new = (
        write_shard(tmp_path / f"raw/{name}/f.jsonl", [{"text": sentence(generator, 80)} for _ in range(20)])
        for name in ("a", "b")
    )
    request = Path(make_request(tmp_path / "base", [old], recipe))
    plain = json.loads(request.read_bytes())
    for shard in plain["inputs"]:  # as it was written before shards had names
        del shard["name"]
    request.write_bytes(canonical_json(plain))
    build_corpus(spark, str(request))
    uri = request_for(str(tmp_path / "raw"), str(tmp_path / "whole"), recipe, str(tmp_path / "base"))
    assert [shard.uri for shard in STORE.read_record(CorpusRequest, uri).inputs] == [str(new)]
    build_corpus(spark, uri)
    kept = [row["id"] for folder in ("documents", "held_out") for row in rows(tmp_path / "whole", folder)]
    assert {identifier.rpartition("/")[0] for identifier in kept} == {"a/f.jsonl", "raw/b/f.jsonl"}


def test_quality_signals_of_documents_that_the_base_holds_are_refused(
    tmp_path: Path, extend: Any, make_request: Any, spark: SparkSession, write_shard: Write, sentence: Draw
) -> None:
    generator = random.Random(5)
    texts = [{"raw_content": sentence(generator, 80)} for _ in range(20)]
    documents = write_shard(tmp_path / "rp2/documents/2023-06/0000/en_head.json.gz", texts)
    recipe = CorpusRecipe("test", tokenizer=TokenizerRecipe(vocabulary_size=300))
    build_corpus(spark, make_request(tmp_path / "base", [documents], recipe))
    signals = write_shard(
        tmp_path / "rp2/quality_signals/2023-06/0000/en_head.signals.json.gz", [{"quality_signals": {}}]
    )
    with pytest.raises(InputError, match=r"signals\.json\.gz: its documents .* without the base"):
        extend(tmp_path / "other", tmp_path / "base", [documents, signals])


def test_a_request_that_parts_documents_and_quality_signals_is_refused_by_the_jobs() -> None:
    documents = RawShard("s3://b/documents/2023-06/0000/en_head.json.gz", 1, "")
    signals = RawShard("s3://b/quality_signals/2023-06/0000/en_head.signals.json.gz", 1, "")
    for new, held in ((signals, documents), (documents, signals)):
        request = CorpusRequest("v", (new,), {}, "", "s3://b/v/", earlier_inputs=((held,),))
        with pytest.raises(ContractError, match=r"would stay without it.*plan the corpus again"):
            numbered_shards(request)
