"""The resource table: the state of all executors, in SQLite, so that it survives the end of the process.

A row is one resource (a training job, a cluster, a step, a service, a task). ``request`` is the
call as it was sent, ``detail`` is the state that the executor adds, ``processes`` do the work.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
  kind TEXT NOT NULL, name TEXT NOT NULL, parent TEXT NOT NULL, state TEXT NOT NULL,
  request TEXT NOT NULL, detail TEXT NOT NULL, processes TEXT NOT NULL,
  generation INTEGER NOT NULL, created REAL NOT NULL, updated REAL NOT NULL,
  PRIMARY KEY (kind, name));
CREATE INDEX IF NOT EXISTS jobs_by_parent ON jobs (kind, parent, created);
"""
_COLUMNS = "kind, name, parent, state, request, detail, processes, generation, created, updated"


@dataclass
class Resource:
    """One resource: a row of the table. Times are seconds since 1970."""

    kind: str
    name: str
    state: str
    request: dict[str, Any] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)
    processes: list[dict[str, Any]] = field(default_factory=list)
    parent: str = ""
    generation: int = 1
    created: float = field(default_factory=time.time)
    updated: float = 0.0


class ResourceTable:
    """The rows by (kind, name). All threads of one process may use it; no other process may write.

    Use ``lock`` for other state that changes together with rows too: with a second lock, two threads could
    wait for each other.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        # committed rows survive SIGKILL of the process; only a power failure could lose the last ones
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the database. Later calls fail."""
        with self.lock:
            self._connection.close()

    def insert(self, job: Resource) -> bool:
        """Add a row. Return False if the name is in use."""
        job.updated = time.time()
        with self.lock:
            cursor = self._connection.execute(
                f"INSERT OR IGNORE INTO jobs ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)", _to_row(job)
            )
        return cursor.rowcount == 1

    def get(self, kind: str, name: str) -> Resource | None:
        """Return a copy of the row, or None. Use ``editing`` to change the row."""
        with self.lock:
            row = self._connection.execute(
                f"SELECT {_COLUMNS} FROM jobs WHERE kind=? AND name=?", (kind, name)
            ).fetchone()
        return _from_row(row) if row else None

    def list(self, kind: str, parent: str | None = None) -> list[Resource]:
        """Return all rows of a kind, or those of a parent, oldest first."""
        query = f"SELECT {_COLUMNS} FROM jobs WHERE kind=?"
        arguments: tuple[str, ...] = (kind,)
        if parent is not None:
            query += " AND parent=?"
            arguments = (kind, parent)
        with self.lock:
            rows = self._connection.execute(query + " ORDER BY created, rowid", arguments).fetchall()
        return [_from_row(row) for row in rows]

    def markers(self) -> set[str]:
        """Return the job markers of the processes of all rows."""
        with self.lock:
            rows = self._connection.execute("SELECT processes FROM jobs WHERE processes != '[]'").fetchall()
        return {process["marker"] for (processes,) in rows for process in json.loads(processes)}

    @contextmanager
    def editing(self, kind: str, name: str) -> Iterator[Resource]:
        """Read, change and write one row while no other thread writes. Raises KeyError if it is missing."""
        with self.lock:
            job = self.get(kind, name)
            if job is None:
                raise KeyError(f"{kind} {name}")
            yield job
            job.updated = time.time()
            self._connection.execute(
                "UPDATE jobs SET parent=?, state=?, request=?, detail=?, processes=?, generation=?,"
                " created=?, updated=? WHERE kind=? AND name=?",
                (*_to_row(job)[2:], kind, name),
            )

    def delete(self, kind: str, name: str) -> None:
        """Remove the row if it exists."""
        with self.lock:
            self._connection.execute("DELETE FROM jobs WHERE kind=? AND name=?", (kind, name))


def _to_row(job: Resource) -> tuple[Any, ...]:
    return (
        job.kind,
        job.name,
        job.parent,
        job.state,
        json.dumps(job.request),
        json.dumps(job.detail),
        json.dumps(job.processes),
        job.generation,
        job.created,
        job.updated,
    )


def _from_row(row: tuple[Any, ...]) -> Resource:
    kind, name, parent, state, request, detail, processes, generation, created, updated = row
    return Resource(
        kind=kind,
        name=name,
        parent=parent,
        state=state,
        request=json.loads(request),
        detail=json.loads(detail),
        processes=json.loads(processes),
        generation=generation,
        created=created,
        updated=updated,
    )
