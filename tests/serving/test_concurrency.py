"""Answers do not depend on other requests; too many are refused; clients that disconnect free their slot."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai
import pytest

from tests.serving.servers import MODEL, Server
from tests.support.waiting import wait_until

ENDLESS: dict[str, Any] = {"model": MODEL, "prompt": "torch", "max_tokens": 130_000, "temperature": 0}


@pytest.fixture
def start_endless(start: Callable[..., Server], models: Path) -> Callable[..., Server]:
    """Servers whose generations end only when somebody ends them, however slow the machine is."""
    return partial(start, models / "endless")


def test_answers_in_a_batch_equal_answers_alone(client: Any) -> None:
    requests = [
        {
            "model": MODEL,
            "prompt": "def forward(self, input):\n    return " * (1 + number % 4) + str(number),
            "max_tokens": 40 + number,
            "temperature": number % 2,
            "seed": number,
        }
        for number in range(48)
    ]

    def ask(request: dict[str, Any]) -> str:
        return client.completions.create(**request).choices[0].text

    alone = [ask(request) for request in requests]
    with ThreadPoolExecutor(len(requests)) as pool:
        together = list(pool.map(ask, requests))
    assert together == alone
    assert len(set(alone)) == len(alone)


def test_too_many_requests_are_told_to_come_back(start_endless: Callable[..., Server]) -> None:
    server = start_endless(MAX_CONCURRENT_REQUESTS="2")
    wait_until(server.ready, what="readyz")
    client = server.client()
    with (
        client.completions.create(**ENDLESS, stream=True) as first,
        client.completions.create(**ENDLESS, stream=True) as second,
    ):
        next(iter(first)), next(iter(second))
        with pytest.raises(openai.RateLimitError) as caught:
            client.completions.create(model=MODEL, prompt="x")
        assert int(caught.value.response.headers["retry-after"]) >= 1
        assert httpx.get(f"{server.url}/readyz").status_code == 200


def test_a_client_that_hangs_up_frees_its_slots(start_endless: Callable[..., Server]) -> None:
    server = start_endless(MAX_CONCURRENT_REQUESTS="3")
    wait_until(server.ready, what="readyz")
    stream = server.client().completions.create(**ENDLESS, n=3, stream=True)
    next(iter(stream))
    stream.close()
    wait_until(lambda: server.metric("nexus_generations_in_flight") == 0, what="free slots")
    assert server.metric("nexus_generated_tokens_total") < 3 * ENDLESS["max_tokens"]
    assert server.client().completions.create(model=MODEL, prompt="x", n=3).usage.completion_tokens > 0


def test_a_client_that_hangs_up_while_waiting_frees_its_slots(start_endless: Callable[..., Server]) -> None:
    server = start_endless(MAX_CONCURRENT_REQUESTS="3")
    wait_until(server.ready, what="readyz")
    content = httpx.Request("POST", server.url, json={**ENDLESS, "n": 3}).content
    place = urlsplit(server.url)
    with socket.create_connection((place.hostname, place.port)) as connection:
        head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n"
        connection.sendall(head.encode() + content)
        wait_until(lambda: server.metric("nexus_generated_tokens_total") > 0, what="tokens")
    wait_until(lambda: server.metric("nexus_generations_in_flight") == 0, what="free slots")
    assert server.metric("nexus_generated_tokens_total") < 3 * ENDLESS["max_tokens"]


def test_a_client_that_hangs_up_within_its_request_is_no_error(start_endless: Callable[..., Server]) -> None:
    server = start_endless()
    wait_until(server.ready, what="readyz")
    place = urlsplit(server.url)
    with socket.create_connection((place.hostname, place.port)) as connection:
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    counted = r'nexus_http_requests_total{route="/v1/completions",status="499"}'
    wait_until(lambda: server.metric(counted) == 1, what="the end of the request")
    assert "Traceback" not in server.log.read_text()


def test_a_stop_string_frees_its_slot(start_endless: Callable[..., Server]) -> None:
    server = start_endless(MAX_CONCURRENT_REQUESTS="1")
    wait_until(server.ready, what="readyz")
    client = server.client()
    first = client.completions.create(model=MODEL, prompt="torch", max_tokens=40, temperature=0)
    client.completions.create(**ENDLESS, stop=first.choices[0].text[10:13])
    wait_until(lambda: server.metric("nexus_generations_in_flight") == 0, what="a free slot")
    assert server.metric("nexus_generated_tokens_total") < ENDLESS["max_tokens"]
