"""Requests and responses that the HTTP server and the services exchange."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol
from urllib.parse import parse_qsl, unquote


class Reader(Protocol):
    """The body of a request: ``readinto`` fills at most the buffer and returns 0 at the end."""

    def readinto(self, buffer: memoryview, /) -> int: ...

    def read(self, size: int = -1, /) -> bytes: ...


class Headers(Mapping[str, str]):
    """Headers by case-insensitive name. The values of a repeated header are joined by commas."""

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, str] = {}
        for name, value in items:
            lower = name.lower()
            self._values[lower] = f"{self._values[lower]},{value}" if lower in self._values else value

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values


@dataclass
class Request:
    """One HTTP request. ``target`` is the path and query exactly as the client sent them."""

    method: str
    target: str
    headers: Headers
    body: Reader
    raw_path: str = field(init=False)
    raw_query: str = field(init=False)
    query: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        target = self.target
        if not target.startswith("/") and "://" in target:  # absolute form, as proxies send it
            target = "/" + target.split("://", 1)[1].partition("/")[2]
        self.raw_path, _, self.raw_query = target.partition("?")
        self.query = dict(parse_qsl(self.raw_query, keep_blank_values=True))

    @property
    def path(self) -> str:
        """The percent-decoded path."""
        return unquote(self.raw_path)


@dataclass
class FileSlice:
    """``length`` bytes of an open file from ``offset``. The server sends them and closes the file."""

    file: BinaryIO
    offset: int
    length: int


@dataclass
class Response:
    """A response of a service. The server adds Content-Length, Date and Server."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | FileSlice = b""
