from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from include.contracts.errors import InputError, IntegrityError, RecipeError
from include.contracts.job_errors import JobError
from include.contracts.manifests import CorpusRequest, RawShard
from include.contracts.records import canonical_json, parse_json
from include.object_store import STORE
from include.recipes.corpus import CorpusRecipe, TokenizerRecipe
from include.recipes.decontamination import Benchmark, DecontaminateRecipe
from spark_jobs.jobs import clean, deduplicate, tokenise
from spark_jobs.jobs.build_corpus import build_corpus, request_for
from spark_jobs.runtime.entry import readable, run_with_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tests.spark.file_s3 import S3

Write = Callable[[Path, Any], Path]
Request = Callable[..., str]


@pytest.fixture
def shard(tmp_path: Path, write_shard: Write, sentence: Callable[[random.Random, int], str]) -> Path:
    generator = random.Random(1)
    return write_shard(tmp_path / "raw/a.jsonl", [{"text": sentence(generator, 30)} for _ in range(30)])


def test_a_shard_that_is_not_the_one_of_the_request_ends_the_job_with_a_clear_error(
    shard: Path,
    tmp_path: Path,
    make_request: Request,
    capsys: pytest.CaptureFixture[str],
    spark: SparkSession,
) -> None:
    request = make_request(tmp_path / "out", [shard])
    shard.write_bytes(shard.read_bytes() + b'{"text": "appended"}\n')
    assert clean.main(["--request", request]) == 2
    assert "a.jsonl: the file is not the one that the request names" in capsys.readouterr().err
    assert not (tmp_path / "out/stages").exists()


def test_a_changed_shard_on_s3_is_refused_before_any_work(
    shard: Path, s3: S3, tmp_path: Path, make_request: Request, spark: SparkSession
) -> None:
    shutil.copy(shard, s3.root / "nexus-llm-raw/a.jsonl")
    raw = RawShard("s3://nexus-llm-raw/a.jsonl", shard.stat().st_size, "0123456789abcdef0123456789abcdef")
    with pytest.raises(IntegrityError, match="expected etag 0123"):
        clean.clean(spark, make_request(tmp_path / "out", [raw]))


def test_a_benchmark_that_changed_since_the_request_is_refused(
    shard: Path, tmp_path: Path, make_request: Request, spark: SparkSession
) -> None:
    benchmark = tmp_path / "items.jsonl"
    benchmark.write_text('{"question": "what is asked here in more than eight words of text"}')
    sources = (Benchmark("asked", str(benchmark), ("question",)),)
    recipe = CorpusRecipe("test", decontaminate=DecontaminateRecipe(sources))
    assert recipe.references == (str(benchmark),)
    uri = Path(make_request(tmp_path / "out", [shard], recipe))
    request = STORE.read_record(CorpusRequest, str(uri))
    uri.write_bytes(canonical_json(dataclasses.replace(request, references={str(benchmark): "as it was"})))
    with pytest.raises(IntegrityError, match=r"items\.jsonl: the file is not the one"):
        clean.clean(spark, str(uri))


def test_an_empty_benchmark_ends_the_job_before_any_work(
    shard: Path,
    tmp_path: Path,
    make_request: Request,
    spark: SparkSession,
    capsys: pytest.CaptureFixture[str],
) -> None:
    benchmark = tmp_path / "items.jsonl"
    benchmark.write_bytes(b"")
    sources = (Benchmark("asked", str(benchmark), ("question",)),)
    recipe = CorpusRecipe("test", decontaminate=DecontaminateRecipe(sources))
    assert clean.main(["--request", make_request(tmp_path / "out", [shard], recipe)]) == 2
    assert "items.jsonl" in capsys.readouterr().err
    assert not (tmp_path / "out/stages").exists() and not list(tmp_path.rglob("*.parquet"))


def test_a_shard_that_changes_between_check_and_read_is_refused(shard: Path, s3: S3) -> None:
    shutil.copy(shard, s3.root / "nexus-llm-raw/a.jsonl")
    etag = STORE.stat("s3://nexus-llm-raw/a.jsonl").etag
    (s3.root / "nexus-llm-raw/a.jsonl").write_bytes(b"other")
    with pytest.raises(IntegrityError, match="got another version"):
        STORE.open("s3://nexus-llm-raw/a.jsonl", etag)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("s3://no-such-bucket/a", "s3://no-such-bucket: the bucket does not exist"),
        ("s3://nexus-llm-raw/none", "s3://nexus-llm-raw/none: no such object"),
    ],
)
def test_a_missing_bucket_or_shard_is_named(
    uri: str, message: str, s3: S3, tmp_path: Path, make_request: Request, spark: SparkSession
) -> None:
    with pytest.raises(InputError, match=message):
        clean.clean(spark, make_request(tmp_path / "out", [RawShard(uri, 1, "x")]))


def test_a_tokenizer_file_that_is_none_ends_the_job(
    shard: Path, tmp_path: Path, make_request: Request, spark: SparkSession
) -> None:
    (tmp_path / "t.json").write_text("{}")
    recipe = CorpusRecipe(name="t", tokenizer=TokenizerRecipe(uri=str(tmp_path / "t.json")))
    recipe = dataclasses.replace(recipe, filter=dataclasses.replace(recipe.filter, min_characters=20))
    with pytest.raises(InputError, match=r"t\.json: not a tokenizer"):
        build_corpus(spark, make_request(tmp_path / "out", [shard], recipe))
    assert not (tmp_path / "out/manifest.json").exists()


def test_a_corpus_of_which_nothing_is_left_is_an_error_with_its_reports(
    tmp_path: Path, write_shard: Write, make_request: Request, spark: SparkSession
) -> None:
    empty = write_shard(tmp_path / "raw/empty.jsonl", b"")
    with pytest.raises(InputError, match="no document is left"):
        build_corpus(spark, make_request(tmp_path / "out", [empty]))
    report = json.loads((tmp_path / "out/stages/read.json").read_text())
    assert report["details"]["shards"]["raw/empty.jsonl"]["note"] == "empty"


@pytest.mark.parametrize("change", [{"unknown": 1}, {"shard_tokens": 0}])
def test_a_recipe_with_an_unknown_key_or_impossible_value_is_refused(
    change: dict[str, Any], shard: Path, tmp_path: Path, make_request: Request, spark: SparkSession
) -> None:
    request = Path(make_request(tmp_path / "out", [shard]))
    plain = json.loads(request.read_text())
    plain["recipe"].update(change)
    request.write_text(json.dumps(plain))
    with pytest.raises(RecipeError, match=next(iter(change))):
        clean.clean(spark, str(request))


def test_another_corpus_in_the_output_folder_is_not_taken_for_this_one(
    tmp_path: Path, write_shard: Write
) -> None:
    for name in ("one", "two"):
        write_shard(tmp_path / name / "a.jsonl", [{"text": name}])
    first = request_for(str(tmp_path / "one"), str(tmp_path / "out"), CorpusRecipe("r"))
    assert request_for(str(tmp_path / "one"), str(tmp_path / "out"), CorpusRecipe("r")) == first
    with pytest.raises(InputError, match="this folder holds another corpus"):
        request_for(str(tmp_path / "two"), str(tmp_path / "out"), CorpusRecipe("r"))


def test_an_output_folder_that_is_the_input_folder_is_refused_and_left_alone(
    tmp_path: Path, write_shard: Callable[..., Path]
) -> None:
    write_shard(tmp_path / "in/a.jsonl", [{"text": "t"}])
    with pytest.raises(InputError, match=r"the output folder is the input folder.*in/corpus"):
        request_for(str(tmp_path / "in"), str(tmp_path / "in/"), CorpusRecipe("r"))
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["a.jsonl"]


def test_an_output_folder_within_the_input_folder_is_no_input(
    tmp_path: Path, write_shard: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    write_shard(tmp_path / "in/a.jsonl", [{"text": "t"}])
    source, output = str(tmp_path / "in"), str(tmp_path / "in/corpus")
    first = request_for(source, output, CorpusRecipe("r"))
    content = Path(first).read_bytes()
    assert request_for(source, output, CorpusRecipe("r")) == first
    assert Path(first).read_bytes() == content
    assert f"left out: {output}: a corpus version" in capsys.readouterr().err


def test_jobs_out_of_order_say_what_to_run(
    shard: Path,
    tmp_path: Path,
    make_request: Request,
    capsys: pytest.CaptureFixture[str],
    spark: SparkSession,
) -> None:
    assert tokenise.main(["--request", make_request(tmp_path / "out", [shard])]) == 2
    assert "run clean, deduplicate and tokenise in this order" in capsys.readouterr().err


def test_an_error_that_a_user_can_mend_is_left_for_the_task(
    shard: Path, tmp_path: Path, make_request: Request, spark: SparkSession
) -> None:
    request = make_request(tmp_path / "out", [shard])
    left = tmp_path / "out/work/clean.error.json"
    shard.rename(shard.with_suffix(".away"))
    assert clean.main(["--request", request]) == 2
    error = parse_json(JobError, left.read_bytes(), where=str(left))
    assert error.kind == "InputError" and str(shard) in error.message


def test_a_missing_request_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spark: SparkSession
) -> None:
    assert clean.main(["--request", str(tmp_path / "none.json")]) == 2
    assert "none.json: no such file" in capsys.readouterr().err


def test_a_defect_is_not_dressed_up_as_an_error_of_the_user() -> None:
    assert readable(ValueError("defect")) is None
    with pytest.raises(ZeroDivisionError):
        run_with_session("x", lambda spark: {"never": 1 // 0})


@pytest.mark.parametrize("job", [clean, deduplicate, tokenise], ids=["clean", "deduplicate", "tokenise"])
def test_a_full_disk_ends_the_job_with_a_clear_error(
    job: ModuleType, tmp_path: Path, make_request: Request, write_shard: Write, spark: SparkSession
) -> None:
    """A file system of half a megabyte more than the jobs before it left, in a private mount namespace."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("no mount namespaces here")
    noise = random.Random(2)
    words = [{"text": " ".join(f"{noise.getrandbits(60):x}" for _ in range(20_000))} for _ in range(20)]
    large = write_shard(tmp_path / "raw/large.jsonl", words)
    small = tmp_path / "small"
    recipe = CorpusRecipe(name="t", tokenizer=TokenizerRecipe(vocabulary_size=300))
    request = make_request(small, [large], recipe)
    jobs = (clean, deduplicate, tokenise)
    for earlier in jobs[: jobs.index(job)]:
        assert earlier.main(["--request", request]) == 0
    before = Path(shutil.copytree(small, tmp_path / "before"))
    kilobytes = 512 + sum(8 + path.stat().st_size // 1024 for path in before.rglob("*"))
    moved = shutil.copy(request, tmp_path / "request.json")
    mount = f"mount -t tmpfs -o size={kilobytes}k none {small} && cp -r {before}/. {small}"
    run = f"exec {sys.executable} -m {job.__name__} --request {moved}"
    command = ["unshare", "-rm", "sh", "-c", f"{mount} && {run}"]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr[-3000:]
    assert "error: the disk is full" in done.stderr
    assert "disk is full" in (tmp_path / f"work/{job.__name__.rpartition('.')[2]}.error.json").read_text()
