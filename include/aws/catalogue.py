"""Published corpora in the Glue Data Catalog: documents, duplicates and tokens, one partition per version.

A version is the folder ``corpus/<version>/``, and its tables are folders of the version. Hive, and so a
crawler, expects the versions to be folders of a table. Therefore a partition is a list of the files in the
manifest (Hive's symlink format), in a separate tree. No byte of a corpus is moved or copied, and Athena reads
exactly the files of the manifest, without token shards, which are not parquet. A crawler finds the columns in
the version's folders.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from include.aws.clients import unless
from include.contracts.errors import NexusError
from include.contracts.manifests import CorpusManifest, FileEntry, ParentRef
from include.contracts.storage import CorpusLayout, S3Uri
from include.object_store import ObjectStore
from include.settings import Settings

PARTITION_KEY = "corpus_version"
#: Tables and the suffixes of their files. The table ``tokens`` is the sidecar, with a row per document and
#: the position of its tokens. The ids themselves are in Megatron's ``.bin``, which is not a table format.
TABLES = {"documents": ".parquet", "duplicates": ".parquet", "tokens": ".documents.parquet"}
#: The prefix of the crawler's tables. The catalogue's own tables have no prefix.
CRAWLED_PREFIX = "crawled_"
_SYMLINKS = "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat"
_OUTPUT = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
_SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"


class CrawlFailed(NexusError):
    """Raised if the crawler did not find the version's files."""


@dataclass(frozen=True)
class Registered:
    """One table, with the number of files that its partition lists."""

    table: str
    files: int


def crawler_request(settings: Settings, layout: CorpusLayout) -> dict[str, Any]:
    """Build CreateCrawler (and UpdateCrawler) for the folders of one version, one table each."""
    roots = (layout.documents, layout.duplicates, layout.tokens)
    return {
        "Name": settings.crawler,
        "Role": settings.role_arn(settings.roles.glue),
        "DatabaseName": settings.database,
        "Description": "columns of the newest corpus; started only by Airflow",
        "TablePrefix": CRAWLED_PREFIX,
        "Targets": {"S3Targets": [{"Path": str(root), "Exclusions": ["**.bin", "**.idx"]} for root in roots]},
        "RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVERYTHING"},
        "SchemaChangePolicy": {"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "LOG"},
        "Configuration": json.dumps(
            {"Version": 1.0, "Grouping": {"TableGroupingPolicy": "CombineCompatibleSchemas"}}
        ),
    }


def files_of(manifest: CorpusManifest, table: str) -> list[FileEntry]:
    """Return the files of one table, in the manifest's order."""
    return [e for e in manifest.files if e.path.startswith(f"{table}/") and e.path.endswith(TABLES[table])]


class Catalogue:
    """The tables of one database. Every call may be repeated."""

    def __init__(self, glue: Any, settings: Settings) -> None:
        self._glue = glue
        self._settings = settings
        self._database = settings.database

    def knows(self, version: str, manifest: ParentRef) -> bool:
        """Return True if this manifest was registered. A version that was built again has another one."""
        try:
            found = self._glue.get_partition(
                DatabaseName=self._database, TableName="documents", PartitionValues=[version]
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "EntityNotFoundException":
                raise
            return False
        return bool(found["Partition"].get("Parameters", {}).get("manifest_sha256") == manifest.sha256)

    def prepare_crawl(self, layout: CorpusLayout) -> str:
        """Set the crawler to a version and delete the tables of the version before. Return its name."""
        unless("AlreadyExistsException", self._glue.create_database, DatabaseInput={"Name": self._database})
        for table in TABLES:
            name = CRAWLED_PREFIX + table
            unless("EntityNotFoundException", self._glue.delete_table, DatabaseName=self._database, Name=name)
        request = crawler_request(self._settings, layout)
        if not unless("AlreadyExistsException", self._glue.create_crawler, **request):
            self._glue.update_crawler(**request)
        return str(request["Name"])

    def register(self, manifest: CorpusManifest, reference: ParentRef) -> list[Registered]:
        """Register the partitions of a version by the columns that the crawler found. Raises CrawlFailed."""
        crawl = self._glue.get_crawler(Name=self._settings.crawler)["Crawler"].get("LastCrawl", {})
        if crawl.get("Status") != "SUCCEEDED":
            raise CrawlFailed(
                "the crawl did not succeed",
                where=self._settings.crawler,
                expected="SUCCEEDED",
                got=f"{crawl.get('Status', 'no crawl')}: {crawl.get('ErrorMessage', 'no reason given')}",
                remedy="look at the role's access to the corpus, then clear catalogue.crawl",
            )
        done = []
        # documents last: `knows` looks at them
        for table in sorted(TABLES, reverse=True):
            files = files_of(manifest, table)
            if files:
                self._register(table, manifest, reference, files)
            done.append(Registered(table, len(files)))
        return done

    def _register(
        self, table: str, manifest: CorpusManifest, reference: ParentRef, files: list[FileEntry]
    ) -> None:
        columns = self._crawled_columns(table)
        root = S3Uri(self._settings.storage.processed_bucket, f"catalogue/{table}/")
        location = root / f"{PARTITION_KEY}={manifest.version}/"
        lines = "".join(f"{S3Uri.parse(manifest.root_uri) / entry.path}\n" for entry in files)
        ObjectStore().write(location / "files.txt", lines.encode())
        self._put_table(table, columns, root)
        partition = {
            "Values": [manifest.version],
            "StorageDescriptor": _storage(columns, location),
            "Parameters": {
                "manifest_sha256": reference.sha256,
                "objectCount": str(len(files)),
                "sizeKey": str(sum(entry.size_bytes for entry in files)),
            },
        }
        parameters = {"DatabaseName": self._database, "TableName": table}
        if not unless(
            "AlreadyExistsException", self._glue.create_partition, **parameters, PartitionInput=partition
        ):
            self._glue.update_partition(
                **parameters, PartitionValueList=[manifest.version], PartitionInput=partition
            )

    def _crawled_columns(self, table: str) -> list[dict[str, str]]:
        name = CRAWLED_PREFIX + table
        try:
            found = self._glue.get_table(DatabaseName=self._database, Name=name)["Table"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "EntityNotFoundException":
                raise
            raise CrawlFailed(
                "the crawler found no table",
                where=f"{self._database}.{name}",
                expected="one, as the manifest lists its files",
                remedy="look at the crawler's log, then clear catalogue.prepare",
            ) from error
        columns = found["StorageDescriptor"]["Columns"]
        return [{"Name": column["Name"], "Type": column["Type"]} for column in columns]

    def _put_table(self, table: str, columns: list[dict[str, str]], root: S3Uri) -> None:
        """Create or update a table with the columns of the newest version. Partitions keep their own."""
        wanted = {
            "Name": table,
            "TableType": "EXTERNAL_TABLE",
            "PartitionKeys": [{"Name": PARTITION_KEY, "Type": "string"}],
            "Parameters": {"classification": "parquet", "EXTERNAL": "TRUE"},
            "StorageDescriptor": _storage(columns, root),
        }
        if not unless(
            "AlreadyExistsException", self._glue.create_table, DatabaseName=self._database, TableInput=wanted
        ):
            self._glue.update_table(DatabaseName=self._database, TableInput=wanted)


def _storage(columns: list[dict[str, str]], location: S3Uri) -> dict[str, Any]:
    return {
        "Columns": columns,
        "Location": str(location),
        "InputFormat": _SYMLINKS,
        "OutputFormat": _OUTPUT,
        "SerdeInfo": {"SerializationLibrary": _SERDE, "Parameters": {"serialization.format": "1"}},
    }
