"""Open a file on an HTTP server from a given byte on; follow redirects by hand and classify failures.

httpx is a requirement of Airflow's task SDK, so it is wherever a task runs. Its ``iter_raw`` returns the body
as it was sent: a server that stores ``.json.gz`` with Content-Encoding gzip would otherwise have it unpacked
on the way, and neither size nor checksum would be those of the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

import httpx

from include.ingest.addresses import check_host, check_peer, check_url, shown
from include.ingest.backoff import retry_after_seconds
from include.ingest.errors import SourceRefused, SourceUnavailable, plain
from include.ingest.ranges import OK, PARTIAL, UNSATISFIABLE, Answered, Validator, content_range
from include.recipes.source import Politeness

USER_AGENT = "nexus-llm source_ingestion (resumable, bounded connections)"
_MAX_REDIRECTS = 5
_REDIRECTS = {301, 302, 303, 307, 308}
#: S3 accepts 2 KB of metadata for an object, and the URL may take half of it.
_LONGEST_VERSION = 256
_MOST_DIGITS = 20
#: Statuses after which the same request may succeed.
_PASSING = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Hop:
    """The sender of another URL: a page that names the next one is no more trusted than a redirect."""

    url: str
    is_private: bool


class Answer(Protocol):
    """An open answer: the facts that decide the next step, and the body as it was sent."""

    answered: Answered
    #: The Link header, which names the next page of a list.
    link: str
    #: The URL that answered, after all redirects.
    hop: Hop

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it was sent. Raises SourceUnavailable if it ends early."""


class SourceClient:
    """An HTTP client for the servers of a source, one connection at a time. Use it as a context manager."""

    def __init__(self, politeness: Politeness) -> None:
        self._politeness = politeness
        timeout = httpx.Timeout(politeness.read_timeout_seconds, connect=politeness.connect_timeout_seconds)
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        self._client = httpx.Client(
            timeout=timeout,
            limits=limits,
            follow_redirects=False,
            headers={"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"},
        )

    def __enter__(self) -> SourceClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @contextmanager
    def open(
        self, url: str, offset: int = 0, if_range: str = "", after: Hop | None = None
    ) -> Iterator[Answer]:
        """Request ``url`` from byte ``offset`` on, and return the answer.

        A URL from the catalogue or the run may be private; one that a server named (``after``) only where
        that server is.

        Raises SourceUnavailable for passing failures, and SourceRefused for other statuses, redirects to
        forbidden places and more than five redirects.
        """
        if after is not None:
            url = _led_to(url, after.url)
        headers = {}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if if_range:
                headers["If-Range"] = if_range
        response, hop = self._follow(url, headers, may_be_private=after is None or after.is_private)
        try:
            _check_status(response, url)
            yield _HttpAnswer(response, url, hop)
        finally:
            response.close()

    def _follow(
        self, url: str, headers: dict[str, str], *, may_be_private: bool
    ) -> tuple[httpx.Response, Hop]:
        target = url
        for _ in range(_MAX_REDIRECTS + 1):
            check_url(target)
            may_be_private = check_host(target, may_be_private=may_be_private)
            response = self._send(target, headers, may_be_private=may_be_private)
            try:
                # of a connection that is used again, which an earlier URL may have opened with more rights
                stream = response.extensions.get("network_stream")
                peer = stream.get_extra_info("server_addr") if stream else None
                check_peer(peer, target, may_be_private=may_be_private)
                if response.status_code not in _REDIRECTS:
                    return response, Hop(target, may_be_private)
                target = _location(response, target)
            except BaseException:
                response.close()
                raise
            response.close()
        raise SourceRefused(f"more than {_MAX_REDIRECTS} redirects", where=url, got=shown(target))

    def _send(self, url: str, headers: dict[str, str], *, may_be_private: bool) -> httpx.Response:
        def watch(event: str, details: Mapping[str, Any]) -> None:
            """Check the peer of a new connection before a request is sent on it."""
            if event == "connection.connect_tcp.complete":
                peer = details["return_value"].get_extra_info("server_addr")
                check_peer(peer, url, may_be_private=may_be_private)

        extensions = {"trace": watch}
        try:
            request = self._client.build_request("GET", url, headers=headers, extensions=extensions)
            return self._client.send(request, stream=True)
        except httpx.TransportError as error:
            raise SourceUnavailable(
                f"no answer ({_said(error)})",
                where=shown(url),
                remedy="check that the worker can reach this server, then clear the task",
            ) from error
        except (httpx.InvalidURL, ValueError) as error:
            # httpx makes the request of a redirect even where it does not follow it: of names that are none
            raise SourceRefused(f"not a URL ({_said(error)})", where=shown(url)) from error


class _HttpAnswer:
    def __init__(self, response: httpx.Response, url: str, hop: Hop) -> None:
        self._response = response
        self._url = url
        self.hop = hop
        headers = response.headers
        span = content_range(headers.get("content-range", ""))
        length = headers.get("content-length", "")
        size = int(length[:_MOST_DIGITS]) if length.isascii() and length.isdigit() else None
        total = size if response.status_code == OK else span.total if span else None
        validator = Validator(_version(headers, "etag"), _version(headers, "last-modified"), total)
        self.link = headers.get("link", "")
        self.answered = Answered(response.status_code, span, validator)

    def chunks(self) -> Iterator[bytes]:
        try:
            yield from self._response.iter_raw()
        except httpx.TransportError as error:
            raise SourceUnavailable(f"the body broke off ({_said(error)})", where=self._url) from error


def _check_status(response: httpx.Response, url: str) -> None:
    status = response.status_code
    if status in (OK, PARTIAL, UNSATISFIABLE):
        return
    got = f"{status} {plain(response.reason_phrase)}"
    if status in _PASSING:
        wait = retry_after_seconds(response.headers.get("retry-after", ""))
        raise SourceUnavailable(
            "the server is not able to answer", where=url, got=got, retry_after_seconds=wait
        )
    raise SourceRefused(
        "the server refuses this file",
        where=url,
        got=got,
        remedy="open the URL by hand; correct the source, or leave the shard out with exclude",
    )


def _location(response: httpx.Response, url: str) -> str:
    location = str(response.headers.get("location", ""))
    if not location:
        raise SourceRefused("a redirect does not say where to", where=url, got=str(response.status_code))
    return _led_to(location, url)


def _led_to(location: str, url: str) -> str:
    """Return the URL to which an answer from ``url`` redirects."""
    try:
        target = urljoin(url, location).partition("#")[0]
        urlsplit(target)
    except ValueError as error:
        raise SourceRefused("what it leads to is not a URL", where=shown(url)) from error
    if urlsplit(url).scheme == "https" and urlsplit(target).scheme == "http":
        raise SourceRefused("a redirect from https to http", where=shown(url), got=shown(target))
    return target


def _version(headers: httpx.Headers, name: str) -> str:
    """Return a header that names the version; '' if it cannot be kept as a header and S3 metadata."""
    value = str(headers.get(name, ""))
    return value if len(value) <= _LONGEST_VERSION and value.isascii() and value.isprintable() else ""


def _said(error: Exception) -> str:
    return plain(str(error)) or type(error).__name__
