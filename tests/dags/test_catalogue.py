"""A published corpus in the Data Catalog: crawled by the provider's operator, registered by its manifest."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.amazon.aws.operators.glue_crawler import GlueCrawlerRunOperator
from airflow.sdk.exceptions import AirflowSkipException
from botocore.exceptions import WaiterError

from include.aws.catalogue import CrawlFailed
from include.contracts.manifests import CorpusManifest, FileEntry, ParentRef
from include.contracts.records import canonical_json, content_hash, parse_json
from include.contracts.storage import CorpusLayout
from include.settings import load_settings
from nexus_airflow.tasks import catalogue
from tests.dags.conftest import ROOT, Task

DATABASE = "nexus_llm_dev"
#: A table of strings with one row; parquet is written by another environment.
_WRITE = (
    "import sys, pyarrow as pa, pyarrow.parquet as pq;"
    "pq.write_table(pa.table({name: ['x'] for name in sys.argv[2:]}), sys.argv[1])"
)


@pytest.fixture
def s3(aws: Any) -> Iterator[Any]:
    client = aws.client("s3")
    client.create_bucket(Bucket=load_settings("dev").storage.processed_bucket)
    yield client
    glue = aws.client("glue")
    if DATABASE in {found["Name"] for found in glue.get_databases()["DatabaseList"]}:
        glue.delete_database(Name=DATABASE)


class Lake:
    """Puts corpora into S3."""

    def __init__(self, s3: Any, folder: Path) -> None:
        self.s3 = s3
        self.folder = folder

    def parquet(self, *columns: str) -> bytes:
        path = self.folder / "rows.parquet"
        python = ROOT / ".venvs/local_aws/bin/python"
        subprocess.run([str(python), "-c", _WRITE, str(path), *columns], check=True)
        return path.read_bytes()

    def publish(self, version: str, files: dict[str, bytes]) -> dict[str, str]:
        """Put ``files`` and their manifest into S3; return the manifest's reference."""
        layout = CorpusLayout.of(load_settings("dev").storage.processed_bucket, version)
        for path, content in files.items():
            self.s3.put_object(Bucket=layout.root.bucket, Key=(layout.root / path).key, Body=content)
        entries = tuple(FileEntry(path, len(body), content_hash(body)) for path, body in files.items())
        empty: dict[str, Any] = {"tokens": 0, "tokens_held_out": 0, "subsets": {}, "tokenizer_sha256": ""}
        empty |= {"vocabulary_size": 1, "token_dtype": "uint16", "end_of_text_id": 0, "shards": ()}
        parent = ParentRef(str(layout.request), "a" * 64)
        manifest = CorpusManifest(
            version, str(layout.root), parent, 0, 0, 0, {}, **empty, held_out_shards=(), files=entries
        )
        body = canonical_json(manifest)
        self.s3.put_object(Bucket=layout.root.bucket, Key=layout.manifest.key, Body=body)
        assert parse_json(CorpusManifest, body, where="").files == entries
        return {"uri": str(layout.manifest), "sha256": content_hash(body)}


@pytest.fixture
def lake(s3: Any, tmp_path: Path) -> Lake:
    return Lake(s3, tmp_path)


def whole(lake: Lake, *more: str) -> dict[str, bytes]:
    return {
        "documents/part-00000.parquet": lake.parquet("id", "text", *more),
        "documents/part-00001.parquet": lake.parquet("id", "text", *more),
        "duplicates/part-00000.parquet": lake.parquet("id", "kept_id"),
        "tokens/pile-00000.bin": b"12",
        "tokens/pile-00000.idx": b"34",
        "tokens/pile-00000.documents.parquet": lake.parquet("id", "first_token"),
    }


def crawl_and_register(reference: dict[str, str]) -> dict[str, int]:
    name = catalogue.prepare.function(reference)
    Task("crawl").run(
        GlueCrawlerRunOperator(
            task_id="crawl", crawler_name=name, poll_interval=1, deferrable=False, aws_conn_id=None
        )
    )
    return catalogue.register.function(reference)


def partitions_of(aws: Any, table: str) -> list[dict[str, Any]]:
    found = aws.client("glue").get_partitions(DatabaseName=DATABASE, TableName=table)
    return list(found["Partitions"])


def listed(s3: Any, partition: dict[str, Any]) -> list[str]:
    bucket, _, prefix = partition["StorageDescriptor"]["Location"].removeprefix("s3://").partition("/")
    body = s3.get_object(Bucket=bucket, Key=f"{prefix}files.txt")["Body"].read()
    return [line.rpartition("/corpus/")[2] for line in body.decode().splitlines()]


def test_a_version_is_a_partition_of_exactly_the_manifests_files(aws: Any, s3: Any, lake: Lake) -> None:
    files = whole(lake)
    reference = lake.publish("standard-1", files)
    # not in the manifest: what a killed stage left behind
    layout = CorpusLayout.of(load_settings("dev").storage.processed_bucket, "standard-1")
    stray = (layout.root / "documents/part-00002.parquet").key
    s3.put_object(Bucket=layout.root.bucket, Key=stray, Body=files["documents/part-00000.parquet"])
    assert crawl_and_register(reference) == {"documents": 2, "duplicates": 1, "tokens": 1}
    glue = aws.client("glue")
    for table, columns in (("documents", ["id", "text"]), ("tokens", ["id", "first_token"])):
        found = glue.get_table(DatabaseName=DATABASE, Name=table)["Table"]
        assert [column["Name"] for column in found["StorageDescriptor"]["Columns"]] == columns
        assert found["PartitionKeys"] == [{"Name": "corpus_version", "Type": "string"}]
        (partition,) = partitions_of(aws, table)
        assert partition["Values"] == ["standard-1"]
        assert f"catalogue/{table}/corpus_version=standard-1/" in partition["StorageDescriptor"]["Location"]
        names = [name for name in files if name.startswith(table) and name.endswith(".parquet")]
        assert listed(s3, partition) == [f"standard-1/{name}" for name in names]


def test_what_is_registered_is_skipped_and_what_was_built_anew_is_not(aws: Any, s3: Any, lake: Lake) -> None:
    files = whole(lake)
    reference = lake.publish("standard-2", files)
    crawl_and_register(reference)
    with pytest.raises(AirflowSkipException, match="is in the catalogue"):
        catalogue.prepare.function(reference)
    anew = lake.publish("standard-2", dict(list(files.items())[1:]))
    crawl_and_register(anew)
    (partition,) = aws.client("glue").get_partitions(DatabaseName=DATABASE, TableName="documents")[
        "Partitions"
    ]
    assert listed(s3, partition) == ["standard-2/documents/part-00001.parquet"]


def test_versions_stand_side_by_side_each_with_its_own_columns(aws: Any, lake: Lake) -> None:
    crawl_and_register(lake.publish("standard-3", whole(lake)))
    crawl_and_register(lake.publish("standard-4", whole(lake, "language")))
    partitions = partitions_of(aws, "documents")
    columns = {p["Values"][0]: len(p["StorageDescriptor"]["Columns"]) for p in partitions}
    assert columns == {"standard-3": 2, "standard-4": 3}
    table = aws.client("glue").get_table(DatabaseName=DATABASE, Name="documents")["Table"]
    assert len(table["StorageDescriptor"]["Columns"]) == 3


def test_a_corpus_without_duplicates_has_no_partition_of_them(aws: Any, lake: Lake) -> None:
    crawl_and_register(lake.publish("standard-5", whole(lake)))
    files = {name: body for name, body in whole(lake).items() if not name.startswith("duplicates/")}
    assert crawl_and_register(lake.publish("standard-6", files))["duplicates"] == 0
    partitions = aws.client("glue").get_partitions(DatabaseName=DATABASE, TableName="duplicates")[
        "Partitions"
    ]
    assert [p["Values"] for p in partitions] == [["standard-5"]]


def test_a_crawl_that_failed_is_said_and_registers_nothing(aws: Any, lake: Lake) -> None:
    files = whole(lake) | {"documents/part-00000.parquet": b"no parquet"}
    reference = lake.publish("standard-7", files)
    with pytest.raises(WaiterError, match="FAILED"):
        crawl_and_register(reference)
    with pytest.raises(CrawlFailed, match=r"FAILED.*part-00000\.parquet"):
        catalogue.register.function(reference)
    tables = {table["Name"] for table in aws.client("glue").get_tables(DatabaseName=DATABASE)["TableList"]}
    assert not tables & {"documents", "duplicates", "tokens"}


def test_without_a_database_there_is_no_catalogue(
    s3: Any, lake: Lake, settings_file: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "without.toml"
    text = (ROOT / "include/settings/dev.toml").read_text()
    path.write_text(text.replace('database = "nexus_llm"', 'database = ""'))
    monkeypatch.setenv("NEXUS_SETTINGS", str(path))
    with pytest.raises(AirflowSkipException, match=r"catalogue\.database is empty"):
        catalogue.prepare.function(lake.publish("standard-8", {}))
