"""Sends the output of jobs to CloudWatch Logs, and numbers found in it to CloudWatch metrics.

The files hold all output. moto's log streams are copies of them, which are filled again after a restart.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local_aws.moto_services.handler import MotoHandler, moto_backend
from local_aws.resources import Resource, ResourceTable

KIND = "log-stream"
_READ_BYTES = 1 << 20
_REPLAY_BYTES = 8 << 20
OnLine = Callable[[str], None]


@dataclass
class _Followed:
    group: str
    stream: str
    path: Path
    on_line: OnLine | None = None
    offset: int = 0
    rest: bytes = b""
    lock: threading.Lock = field(default_factory=threading.Lock)


class Telemetry:
    """Follows the output files of jobs (``tick`` is called by the supervisor)."""

    def __init__(self, table: ResourceTable, fallback: MotoHandler) -> None:
        self._table = table
        self._moto = fallback
        self._followed: dict[tuple[str, str], _Followed] = {}
        self._known: set[tuple[str, str]] = set()  # all streams followed in this process, also ended ones
        self._ended_before: list[_Followed] = []
        self._lock = threading.Lock()

    def follow(self, group: str, stream: str, path: Path, on_line: OnLine | None = None) -> None:
        """Send all lines of ``path`` to a log stream. ``on_line`` is called once for each line."""
        with self._lock:
            if (group, stream) in self._followed:
                return
            self._followed[group, stream] = _Followed(group, stream, path, on_line)
            self._known.add((group, stream))
        self._table.insert(
            Resource(
                KIND, f"{group}\n{stream}", "OPEN", {"group": group, "stream": stream, "path": str(path)}
            )
        )

    def finish(self, group: str, stream: str) -> None:
        """Send the remaining lines and stop following the file."""
        with self._lock:
            followed = self._followed.pop((group, stream), None)
        if followed:
            self._pump(followed, last=True)

    def put_metric(self, namespace: str, name: str, value: float, dimensions: dict[str, str]) -> None:
        """Store one data point with the current time."""
        datum = {
            "MetricName": name,
            "Value": value,
            "Timestamp": datetime.now(UTC).replace(tzinfo=None),
            "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions.items()],
        }
        with self._moto.lock:
            moto_backend("cloudwatch").put_metric_data(namespace, [datum])

    def adopt(self) -> None:
        """Let the next ``tick`` fill the streams of jobs that ended before this process started."""
        for row in self._table.list(KIND):
            path = Path(row.request["path"])
            ended = _Followed(row.request["group"], row.request["stream"], path)
            with self._lock:
                if (ended.group, ended.stream) in self._known or not path.exists():
                    continue
                ended.offset = max(0, path.stat().st_size - _REPLAY_BYTES)
                self._ended_before.append(ended)

    def tick(self) -> None:
        """Send the new lines of all files."""
        with self._lock:
            followed = list(self._followed.values())
            ended, self._ended_before = self._ended_before, []
        for entry in followed:
            self._pump(entry)
        for entry in ended:
            self._pump(entry, last=True)

    def stop(self) -> None:
        """Do nothing: files are closed after each read."""

    def _pump(self, entry: _Followed, last: bool = False) -> None:
        with entry.lock:
            while True:
                try:
                    with entry.path.open("rb") as file:
                        file.seek(entry.offset)
                        data = file.read(_READ_BYTES)
                except FileNotFoundError:
                    data = b""
                entry.offset += len(data)
                *lines, entry.rest = (entry.rest + data).split(b"\n")
                if last and not data and entry.rest:
                    lines, entry.rest = [entry.rest], b""
                if lines:
                    self._send(entry, [line.decode("utf-8", "replace").rstrip("\r") for line in lines])
                if not data:
                    return

    def _send(self, entry: _Followed, lines: list[str]) -> None:
        now = int(time.time() * 1000)
        events: list[dict[str, Any]] = [{"timestamp": now, "message": line or " "} for line in lines]
        with self._moto.lock:
            logs = moto_backend("logs")
            if entry.group not in logs.groups:
                logs.create_log_group(entry.group, {})
            if entry.stream not in logs.groups[entry.group].streams:
                logs.create_log_stream(entry.group, entry.stream)
            logs.put_log_events(entry.group, entry.stream, events)
        if entry.on_line:
            for line in lines:
                entry.on_line(line)
