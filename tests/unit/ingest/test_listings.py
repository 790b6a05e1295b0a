"""Lists of servers that would have the workers read what is not theirs, or more than they can hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from include.contracts.errors import InputError
from include.contracts.ingestion import Shard
from include.ingest.errors import SourceRefused, SourceUnavailable
from include.ingest.listings import Lists
from include.ingest.source_client import SourceClient
from include.recipes.source import Component, Listing, ListingKind, Politeness, Source

TREE = "http://8.8.8.8/tree"
POLITE = Politeness(max_attempts=1, backoff_seconds=0.01, read_timeout_seconds=0.2)
Handler = Callable[[httpx.Request], httpx.Response]


def page(body: bytes, **headers: str) -> httpx.Response:
    return httpx.Response(200, headers=headers, stream=httpx.ByteStream(body))


def listed(url: str, handler: Handler, kind: ListingKind = ListingKind.HUGGING_FACE) -> list[Shard]:
    listing = Listing(url, (Component("shards", f"{url}/{{path}}"),), kind)
    source = Source(
        "mirror",
        "A mirror",
        "http://8.8.8.8/",
        "CC0-1.0",
        "mirror/",
        listings=(listing,),
        politeness=POLITE,
    )
    with SourceClient(POLITE) as client:
        client._client = httpx.Client(transport=httpx.MockTransport(handler))
        return Lists(source, client).shards({})


def leading_to(url: str, asked: list[str]) -> Handler:
    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        if len(asked) == 1:
            return page(b"[]", Link=f'<{url}>; rel="next"')
        return page(b'"a secret of the network"')

    return answer


@pytest.mark.parametrize(
    ("first", "following"),
    [
        (TREE, "http://127.0.0.1:8080/internal"),
        (TREE, "//10.0.0.7/internal"),
        (TREE, "file:///etc/passwd"),
        ("https://8.8.8.8/tree", "http://8.8.4.4/tree"),
    ],
)
def test_a_next_page_leads_nowhere_that_a_redirect_may_not(first: str, following: str) -> None:
    asked: list[str] = []
    with pytest.raises(SourceRefused):
        listed(first, leading_to(following, asked))
    assert asked == [first]


def test_a_redirected_page_is_as_trusted_as_the_server_that_it_came_from() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "10.0.0.7":
            return httpx.Response(302, headers={"Location": TREE})
        return page(b"[]", Link='<http://10.0.0.7/x>; rel="next"')

    with pytest.raises(SourceRefused, match="private"):
        listed("http://10.0.0.7/tree", answer)


def test_a_private_mirror_may_have_pages() -> None:
    asked: list[str] = []
    with pytest.raises(InputError, match="not a file tree"):
        listed("http://10.0.0.7/tree", leading_to("/page2", asked))
    assert asked == ["http://10.0.0.7/tree", "http://10.0.0.7/page2"]


def test_the_error_of_a_list_does_not_tell_its_body() -> None:
    with pytest.raises(InputError) as caught:
        listed(TREE, lambda _: page(b'"a secret of the network"'))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("body", [b"[" + b"{}," * 1_100_000 + b"{}]", b"[" + b"0," * 1_100_000 + b"0]"])
def test_a_tree_of_countless_nodes_is_refused_before_it_becomes_memory(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.ingest.listings.json.loads", lambda _: pytest.fail("parsed"))
    with pytest.raises(SourceRefused, match="too many entries"):
        listed(TREE, lambda _: page(body))


def test_a_tree_nested_without_end_is_no_json() -> None:
    with pytest.raises(InputError, match="not valid JSON"):
        listed(TREE, lambda _: page(b"[" * 200_000))


def test_lines_without_end_are_refused() -> None:
    with pytest.raises(SourceRefused, match="too many entries"):
        listed(TREE, lambda _: page(b"\n" * 2_000_001), ListingKind.LINES)


def test_entries_are_bounded_over_all_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.ingest.listings._MOST_ENTRIES", 5)
    pages = iter(range(9))

    def answer(_: httpx.Request) -> httpx.Response:
        number = next(pages)
        nodes = ",".join(f'{{"type": "file", "path": "{number}-{n}"}}' for n in range(2))
        return page(f"[{nodes}]".encode(), Link='</tree>; rel="next"')

    with pytest.raises(SourceRefused, match="too many entries"):
        listed(TREE, answer)
    assert next(pages) == 3


def test_a_list_that_trickles_is_given_up() -> None:
    class Trickle(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for _ in range(200):
                time.sleep(0.01)
                yield b"x\n"

    with pytest.raises(SourceUnavailable, match="too slowly"):
        listed(TREE, lambda _: httpx.Response(200, stream=Trickle()), ListingKind.LINES)
