"""Requests that need no server: where redirects may lead, and a port where nobody listens."""

from __future__ import annotations

import logging
import socket
from typing import Any

import httpx
import pytest

from include.ingest.addresses import check_url
from include.ingest.errors import SourceRefused, SourceUnavailable
from include.ingest.pace import Pace
from include.ingest.source_client import Hop, SourceClient, _check_status, _location
from include.recipes.source import Politeness
from tests.support.ports import free_port

QUICK = Politeness(read_timeout_seconds=1)


def redirect(location: str) -> httpx.Response:
    return httpx.Response(302, headers=[(b"Location", location.encode("latin-1"))])


def test_a_redirect_from_https_to_http_is_refused() -> None:
    with pytest.raises(SourceRefused, match="https to http"):
        _location(redirect("http://host/x"), "https://host/")


def test_a_relative_redirect_stays_on_its_server() -> None:
    assert _location(redirect("/b?c=1#d"), "https://host/a") == "https://host/b?c=1"


@pytest.mark.parametrize("status", [404, 503])
def test_what_a_server_says_is_printable_and_cut_in_an_error(status: int) -> None:
    reason = b"gone \x1b[2J" + b"x" * 4000
    answer = httpx.Response(status, extensions={"reason_phrase": reason})
    with pytest.raises((SourceRefused, SourceUnavailable), match="gone") as caught:
        _check_status(answer, "http://host/")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


def test_where_a_redirect_leads_is_printable_and_cut_in_an_error() -> None:
    for location in ("http://host/\x9b2J", "http://host/" + "x" * 4000, "y" * 4000 + "://host/"):
        with pytest.raises(SourceRefused) as caught:
            check_url(_location(redirect(location), "https://host/"))
        assert str(caught.value).isprintable() and len(str(caught.value)) < 700


def test_a_server_that_is_not_there_is_unavailable() -> None:
    port = free_port()
    with SourceClient(Politeness(connect_timeout_seconds=1)) as client, pytest.raises(SourceUnavailable):
        client.open(f"http://127.0.0.1:{port}/x").__enter__()


def test_no_request_is_sent_to_a_private_address_that_a_name_changed_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look_up = socket.getaddrinfo
    answers = ["8.8.8.8"]  # the next answer is this machine

    def rebound(host: str, *arguments: Any, **options: Any) -> Any:
        address = answers.pop() if answers else "127.0.0.1"
        return look_up(address if host == "public.example" else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as inside, SourceClient(QUICK) as client:
        url = f"http://public.example:{inside.getsockname()[1]}/delete"
        with pytest.raises(SourceRefused, match="public name leads into a private network"):
            client.open(url, after=Hop("http://publisher.example/", is_private=False)).__enter__()
        connection, _ = inside.accept()
        connection.settimeout(5)
        assert connection.recv(100) == b""


def test_progress_is_told_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    now = iter([0.0, 10.0, 31.0, 40.0])
    pace = Pace("a.jsonl", "http://h/a", Politeness(), lambda: next(now))
    with caplog.at_level(logging.INFO):
        for offset in (31_000_000, 62_000_000, 70_000_000):
            pace.came(31_000_000, offset, 124_000_000)
    assert [record.getMessage() for record in caplog.records] == [
        "a.jsonl: 62.0 of 124.0 MB (50.0 %), 2.0 MB/s"
    ]
