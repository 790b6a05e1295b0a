"""Glue crawlers, which read parquet files and write their tables into the catalogue of moto."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from include.contracts.errors import NexusError
from include.contracts.storage import S3Uri
from local_aws.errors import AwsError
from local_aws.front_door.operations import Handler
from local_aws.glue.schema import FoundTable, find_tables
from local_aws.jobs.supervisor import Stopping, Supervisor
from local_aws.moto_services.handler import MotoHandler, moto_backend
from local_aws.pagination import page_of
from local_aws.resources import Resource
from local_aws.s3.names import path_of
from local_aws.settings import LocalAwsSettings

KIND = "glue-crawler"
_PAGE = 100
_MEMBERS = (
    "Role",
    "Targets",
    "DatabaseName",
    "Description",
    "Classifiers",
    "RecrawlPolicy",
    "SchemaChangePolicy",
    "LineageConfiguration",
    "TablePrefix",
    "Configuration",
    "CrawlerSecurityConfiguration",
)


class Crawlers:
    """The operations and the executor of crawlers."""

    def __init__(self, settings: LocalAwsSettings, supervisor: Supervisor, moto: MotoHandler) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._table = supervisor.table
        self._moto = moto

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by operation name."""
        return {
            "CreateCrawler": self.create,
            "UpdateCrawler": self.update,
            "DeleteCrawler": self.delete,
            "GetCrawler": lambda request: {"Crawler": _view(self._crawler(request["Name"]))},
            "GetCrawlers": self.get_crawlers,
            "ListCrawlers": self.list_crawlers,
            "StartCrawler": self.start_crawler,
            "StopCrawler": self.stop_crawler,
            "GetCrawlerMetrics": self.metrics,
        }

    def create(self, request: dict[str, Any]) -> None:
        _check(request)
        if not self._table.insert(
            Resource(KIND, request["Name"], "READY", request, {"runs": [], "version": 1})
        ):
            raise AwsError("AlreadyExistsException", f"Crawler {request['Name']} already exists")

    def update(self, request: dict[str, Any]) -> None:
        self._idle(request["Name"])
        _check({"Targets": {"S3Targets": [{}]}} | request)
        with self._table.editing(KIND, request["Name"]) as row:
            row.request |= request
            row.detail["version"] += 1

    def delete(self, request: dict[str, Any]) -> None:
        self._idle(request["Name"])
        self._table.delete(KIND, request["Name"])

    def start_crawler(self, request: dict[str, Any]) -> None:
        name = request["Name"]
        self._idle(name)
        with self._table.editing(KIND, name) as row:
            row.state = "RUNNING"
            row.detail["started"] = time.time()
        self._supervisor.run(f"crawler {name}", lambda: self._crawl(name))

    def stop_crawler(self, request: dict[str, Any]) -> None:
        if self._crawler(request["Name"]).state != "RUNNING":
            raise AwsError("CrawlerNotRunningException", f"Crawler {request['Name']} isn't running")
        with self._table.editing(KIND, request["Name"]) as row:
            row.state = "STOPPING"

    def get_crawlers(self, request: dict[str, Any]) -> dict[str, Any]:
        page, token = page_of(self._table.list(KIND), request, _PAGE)
        return {"Crawlers": [_view(row) for row in page]} | token

    def list_crawlers(self, request: dict[str, Any]) -> dict[str, Any]:
        tags = request.get("Tags", {})
        rows = [r for r in self._table.list(KIND) if tags.items() <= r.request.get("Tags", {}).items()]
        page, token = page_of(rows, request, _PAGE)
        return {"CrawlerNames": [row.name for row in page]} | token

    def metrics(self, request: dict[str, Any]) -> dict[str, Any]:
        wanted = request.get("CrawlerNameList")
        rows = [row for row in self._table.list(KIND) if not wanted or row.name in wanted]
        page, token = page_of(rows, request, _PAGE)
        answers = []
        for row in page:
            seconds = sorted(run["seconds"] for run in row.detail["runs"])
            last = row.detail["runs"][-1] if row.detail["runs"] else {}
            answers.append(
                {
                    "CrawlerName": row.name,
                    "TimeLeftSeconds": 0.0,
                    "StillEstimating": row.state == "RUNNING",
                    "LastRuntimeSeconds": last.get("seconds", 0.0),
                    "MedianRuntimeSeconds": seconds[len(seconds) // 2] if seconds else 0.0,
                    "TablesCreated": last.get("created", 0),
                    "TablesUpdated": last.get("updated", 0),
                    "TablesDeleted": 0,
                }
            )
        return {"CrawlerMetricsList": answers} | token

    def adopt(self) -> None:
        """Start interrupted crawls again. A repeated crawl writes the same tables."""
        for row in self._table.list(KIND):
            if row.state != "READY":
                self._supervisor.run(f"crawler {row.name}", lambda name=row.name: self._crawl(name))  # type: ignore[misc]

    def tick(self) -> None:
        """Do nothing, because each crawl has its own thread."""

    def stop(self) -> None:
        """Do nothing, because the threads end by themselves."""

    def _crawl(self, name: str) -> None:
        row = self._crawler(name)
        counts = {"created": 0, "updated": 0}
        status, message = "SUCCEEDED", ""
        try:
            for target in row.request["Targets"]["S3Targets"]:
                location = S3Uri.parse(target["Path"])
                bucket = self._settings.bucket(location.bucket)
                if not bucket.is_dir():
                    raise AwsError(
                        "InvalidInputException", f"The specified bucket does not exist: {location.bucket}"
                    )
                folder = path_of(bucket, location.key.removesuffix("/")) if location.key else bucket
                for found in find_tables(Path(folder), str(location)):
                    if self._crawler(name).state == "STOPPING" or self._supervisor.stopping.is_set():
                        raise Stopping
                    counts[self._write(row, found)] += 1
        except Stopping:
            status = "CANCELLED"
        except (NexusError, AwsError) as error:
            status, message = "FAILED", str(error)
        except Exception as error:
            status, message = "FAILED", f"{type(error).__name__}: {error}"
        with self._table.editing(KIND, name) as row:
            started = row.detail["started"]
            row.state = "READY"
            run = {"started": started, "seconds": time.time() - started, "status": status, "message": message}
            row.detail["runs"] = [*row.detail["runs"][-49:], run | counts]

    def _write(self, row: Resource, found: FoundTable) -> str:
        """Create or update one table and its partitions. Return which of the two it did."""
        database = row.request["DatabaseName"]
        table_input = found.table_input(row.request.get("TablePrefix", ""))
        name = table_input["Name"]
        with self._moto.lock:
            glue = moto_backend("glue")
            if database not in glue.databases:
                glue.create_database(database, {"Name": database})
            tables = glue.databases[database].tables
            known = name in tables
            if known:
                glue.update_table(database, name, table_input)
                tables[name].partitions.clear()
            else:
                glue.create_table(database, name, table_input)
            for values, location in found.partitions.items():
                partition = {"Values": list(values), "StorageDescriptor": found.storage(location)}
                glue.create_partition(database, name, partition)
            self._moto.changed("glue")
        return "updated" if known else "created"

    def _crawler(self, name: str) -> Resource:
        row = self._table.get(KIND, name)
        if row is None:
            raise AwsError("EntityNotFoundException", f"Crawler {name} not found.")
        return row

    def _idle(self, name: str) -> None:
        if self._crawler(name).state != "READY":
            raise AwsError("CrawlerRunningException", f"Crawler with name {name} has already started")


def _check(request: dict[str, Any]) -> None:
    targets = request["Targets"]
    others = [kind for kind, entries in targets.items() if kind != "S3Targets" and entries]
    if others or not targets.get("S3Targets"):
        raise AwsError("InvalidInputException", f"local_aws crawls S3Targets only, got {sorted(targets)}")


def _view(row: Resource) -> dict[str, Any]:
    view = {member: row.request[member] for member in _MEMBERS if member in row.request}
    running = row.state != "READY"
    view |= {
        "Name": row.name,
        "State": row.state,
        "CrawlElapsedTime": int((time.time() - row.detail["started"]) * 1000) if running else 0,
        "CreationTime": row.created,
        "LastUpdated": row.updated,
        "Version": row.detail["version"],
    }
    if row.detail["runs"]:
        last = row.detail["runs"][-1]
        view["LastCrawl"] = {
            "Status": last["status"],
            "LogGroup": "/aws-glue/crawlers",
            "LogStream": row.name,
            "MessagePrefix": row.name,
            "StartTime": last["started"],
        } | ({"ErrorMessage": last["message"][:2048]} if last["message"] else {})
    return view
