"""The crawler infers tables from the parquet that is there; the catalogue survives a restart."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from tests.support.waiting import wait_until


def put(s3: Any, key: str, table: pa.Table) -> None:
    body = io.BytesIO()
    pq.write_table(table, body)
    s3.put_object(Bucket="lake", Key=key, Body=body.getvalue())


def crawl(server: Any, name: str, path: str) -> tuple[Any, dict[str, Any]]:
    glue = server.client("glue")
    targets = {"S3Targets": [{"Path": path}]}
    glue.create_crawler(Name=name, Role="crawler", DatabaseName="corpus", Targets=targets, TablePrefix="raw_")
    glue.start_crawler(Name=name)
    crawler = wait_until(
        lambda: glue.get_crawler(Name=name)["Crawler"], lambda c: c["State"] == "READY" and "LastCrawl" in c
    )
    return glue, crawler


@pytest.fixture(scope="module")
def lake(shared_local_aws: Any) -> Any:
    s3 = shared_local_aws.client("s3")
    s3.create_bucket(Bucket="lake")
    return s3


def test_crawlers_are_listed_in_pages_and_by_their_tags(shared_local_aws: Any) -> None:
    glue, targets = shared_local_aws.client("glue"), {"S3Targets": [{"Path": "s3://lake/none/"}]}
    for number in range(3):
        given = {"Role": "crawler", "DatabaseName": "corpus", "Targets": targets}
        glue.create_crawler(Name=f"page-{number}", **given, Tags={"number": str(number)})
    assert glue.list_crawlers(Tags={"number": "1"})["CrawlerNames"] == ["page-1"]
    names: list[str] = []
    token: dict[str, str] = {}
    while page := glue.list_crawlers(MaxResults=2, **token):
        assert len(page["CrawlerNames"]) <= 2
        names += page["CrawlerNames"]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert len(names) == len(set(names)) and {"page-0", "page-1", "page-2"} <= set(names)
    crawlers = glue.get_crawlers(MaxResults=1)
    assert len(crawlers["Crawlers"]) == 1 and crawlers["NextToken"]
    metrics = glue.get_crawler_metrics(CrawlerNameList=["page-0", "page-1"], MaxResults=1)
    assert [m["CrawlerName"] for m in metrics["CrawlerMetricsList"]] == ["page-0"]


def test_tables_partitions_and_types_come_from_the_files(shared_local_aws: Any, lake: Any) -> None:
    nested = pa.array([[1.5]], pa.list_(pa.float32()))
    for language in ("de", "en"):
        table = pa.table({"id": ["a"], "tokens": pa.array([1], pa.int32()), "scores": nested})
        put(lake, f"corpus/Docs-A/language={language}/part-0.parquet", table)
    put(lake, "corpus/docs_b/part-0.parquet", pa.table({"n": [1, 2]}))
    glue, crawler = crawl(shared_local_aws, "corpus", "s3://lake/corpus/")
    assert crawler["LastCrawl"]["Status"] == "SUCCEEDED", crawler
    tables = {table["Name"]: table for table in glue.get_tables(DatabaseName="corpus")["TableList"]}
    assert sorted(tables) == ["raw_docs_a", "raw_docs_b"]
    columns = [(c["Name"], c["Type"]) for c in tables["raw_docs_a"]["StorageDescriptor"]["Columns"]]
    assert columns == [("id", "string"), ("tokens", "int"), ("scores", "array<float>")]
    assert tables["raw_docs_a"]["PartitionKeys"] == [{"Name": "language", "Type": "string"}]
    partitions = glue.get_partitions(DatabaseName="corpus", TableName="raw_docs_a")["Partitions"]
    assert sorted(p["Values"] for p in partitions) == [["de"], ["en"]]
    assert tables["raw_docs_b"]["Parameters"]["recordCount"] == "2"
    metrics = glue.get_crawler_metrics(CrawlerNameList=["corpus"])["CrawlerMetricsList"]
    assert [m["TablesCreated"] for m in metrics] == [2]


def test_a_second_crawl_adds_new_columns(shared_local_aws: Any, lake: Any) -> None:
    put(lake, "grows/part-0.parquet", pa.table({"a": [1]}))
    glue, _ = crawl(shared_local_aws, "grows", "s3://lake/grows/")
    put(lake, "grows/part-1.parquet", pa.table({"a": [1], "b": ["x"]}))
    before = glue.get_crawler(Name="grows")["Crawler"]["LastCrawl"]["StartTime"]
    glue.start_crawler(Name="grows")
    wait_until(
        lambda: glue.get_crawler(Name="grows")["Crawler"]["LastCrawl"]["StartTime"], lambda t: t > before
    )
    columns = glue.get_table(DatabaseName="corpus", Name="raw_grows")["Table"]["StorageDescriptor"]["Columns"]
    assert [c["Name"] for c in columns] == ["a", "b"]
    assert glue.get_crawler_metrics(CrawlerNameList=["grows"])["CrawlerMetricsList"][0]["TablesUpdated"] == 1


def test_a_crawler_that_is_pointed_elsewhere_sees_what_is_there(shared_local_aws: Any, lake: Any) -> None:
    put(lake, "moves/v1/notes/part-0.parquet", pa.table({"a": [1]}))
    put(lake, "moves/v2/notes/part-0.parquet", pa.table({"a": [1], "b": [2]}))
    lake.put_object(Bucket="lake", Key="moves/v2/notes/part-0.bin", Body=b"no parquet")
    glue, _ = crawl(shared_local_aws, "moves", "s3://lake/moves/v1/notes/")
    before = glue.get_crawler(Name="moves")["Crawler"]["LastCrawl"]["StartTime"]
    target = {"Path": "s3://lake/moves/v2/notes/", "Exclusions": ["**.bin"]}
    glue.update_crawler(Name="moves", Targets={"S3Targets": [target]})
    glue.start_crawler(Name="moves")
    wait_until(
        lambda: glue.get_crawler(Name="moves")["Crawler"]["LastCrawl"]["StartTime"], lambda t: t > before
    )
    storage = glue.get_table(DatabaseName="corpus", Name="raw_notes")["Table"]["StorageDescriptor"]
    assert storage["Location"] == "s3://lake/moves/v2/notes/" and len(storage["Columns"]) == 2


def test_a_file_that_is_no_parquet_fails_the_crawl_by_name(shared_local_aws: Any, lake: Any) -> None:
    lake.put_object(Bucket="lake", Key="broken/part-0.parquet", Body=b"not parquet")
    _, crawler = crawl(shared_local_aws, "broken", "s3://lake/broken/")
    assert crawler["LastCrawl"]["Status"] == "FAILED"
    assert "s3://lake/broken/part-0.parquet" in crawler["LastCrawl"]["ErrorMessage"]


def test_a_missing_bucket_fails_the_crawl(shared_local_aws: Any, lake: Any) -> None:
    _, crawler = crawl(shared_local_aws, "nowhere", "s3://no-such-bucket/x/")
    assert "no-such-bucket" in crawler["LastCrawl"]["ErrorMessage"]


def test_crawlers_are_named_once_and_described_by_name(shared_local_aws: Any, lake: Any) -> None:
    glue, _ = crawl(shared_local_aws, "named", "s3://lake/none/")
    with pytest.raises(ClientError, match="AlreadyExistsException"):
        glue.create_crawler(
            Name="named", Role="r", DatabaseName="d", Targets={"S3Targets": [{"Path": "s3://lake/"}]}
        )
    with pytest.raises(ClientError, match="EntityNotFoundException"):
        glue.get_crawler(Name="unknown")
    with pytest.raises(ClientError, match="CrawlerNotRunningException"):
        glue.stop_crawler(Name="named")
    glue.delete_crawler(Name="named")


def test_the_catalogue_survives_kill_9(local_aws_server: Any) -> None:
    s3 = local_aws_server.client("s3")
    s3.create_bucket(Bucket="lake")
    put(s3, "t/part-0.parquet", pa.table({"a": [1]}))
    glue, _ = crawl(local_aws_server, "kept", "s3://lake/t/")
    wait_until(lambda: list(local_aws_server.root.rglob("glue.pickle")), bool)
    local_aws_server.kill()
    local_aws_server.start()
    assert glue.get_table(DatabaseName="corpus", Name="raw_t")["Table"]["Name"] == "raw_t"
    assert glue.get_crawler(Name="kept")["Crawler"]["LastCrawl"]["Status"] == "SUCCEEDED"


def test_a_path_that_begins_with_a_slash_stays_in_its_bucket(
    shared_local_aws: Any, lake: Any, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"secret": [1]}), tmp_path / "host.parquet")
    put(lake, f"{tmp_path}/object.parquet", pa.table({"own": [1]}))
    glue, crawler = crawl(shared_local_aws, "absolute", f"s3://lake/{tmp_path}/")
    assert crawler["LastCrawl"]["Status"] == "SUCCEEDED"
    tables = glue.get_tables(DatabaseName="corpus")["TableList"]
    columns = {column["Name"] for table in tables for column in table["StorageDescriptor"]["Columns"]}
    assert "own" in columns and "secret" not in columns


def test_data_that_cannot_be_crawled_fails_the_crawl_by_name(shared_local_aws: Any, lake: Any) -> None:
    lake.put_object(Bucket="lake", Key="csv/day=1/input.csv", Body=b"a,b\n1,2\n")
    _, crawler = crawl(shared_local_aws, "csv", "s3://lake/csv/")
    assert crawler["LastCrawl"]["Status"] == "FAILED"
    assert "input.csv" in crawler["LastCrawl"]["ErrorMessage"]
    assert "parquet" in crawler["LastCrawl"]["ErrorMessage"]
