"""Bad input: OpenAI's error shape, the field by its name, and a server that is none the worse."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import openai
import pytest

from serving.completions import Completions
from serving.generator import TextGenerator
from serving.language_model import LanguageModel
from serving.protocol import BadRequest, CompletionBody, parse_body
from tests.serving.servers import MODEL, Server, running_server
from tests.support.waiting import wait_until

TEXT = {"model": MODEL, "prompt": "x"}
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "x"}]}
LONG = "torch " * 5000

COMPLETION_CASES: list[tuple[str, Any, int, str | None, str | None]] = [
    ("no json", b"{", 400, None, "invalid_json"),
    ("no utf-8", b'{"model": "\xff"}', 400, None, "invalid_json"),
    ("a list", [], 400, "body", "invalid_value"),
    ("no model", {"prompt": "x"}, 400, "model", "missing_required_parameter"),
    ("another model", {**TEXT, "model": "gpt-9"}, 404, "model", "model_not_found"),
    ("wrong spelling", {**TEXT, "max_token": 3}, 400, "max_token", "unknown_parameter"),
    ("text for a number", {**TEXT, "max_tokens": "3"}, 400, "max_tokens", "invalid_value"),
    ("no tokens", {**TEXT, "max_tokens": 0}, 400, "max_tokens", "invalid_value"),
    ("half a token", {**TEXT, "max_tokens": 1.5}, 400, "max_tokens", "invalid_value"),
    ("true as a number", {**TEXT, "n": True}, 400, "n", "invalid_value"),
    ("cold", {**TEXT, "temperature": -0.1}, 400, "temperature", "invalid_value"),
    ("hot", {**TEXT, "temperature": 2.1}, 400, "temperature", "invalid_value"),
    ("no number", b'{"model": "nexus-llm", "temperature": NaN}', 400, "temperature", "invalid_value"),
    ("top_p 0", {**TEXT, "top_p": 0}, 400, "top_p", "invalid_value"),
    ("top_k -1", {**TEXT, "top_k": -1}, 400, "top_k", "invalid_value"),
    ("n 0", {**TEXT, "n": 0}, 400, "n", "invalid_value"),
    ("more than slots", {**TEXT, "prompt": ["x"] * 100, "n": 2}, 400, "n", "invalid_value"),
    ("penalty", {**TEXT, "presence_penalty": 2.5}, 400, "presence_penalty", "invalid_value"),
    ("empty stop", {**TEXT, "stop": ["a", ""]}, 400, "stop", "invalid_value"),
    ("five stops", {**TEXT, "stop": list("abcde")}, 400, "stop", "invalid_value"),
    ("logprobs", {**TEXT, "logprobs": 1}, 400, "logprobs", "invalid_value"),
    ("best_of", {**TEXT, "best_of": 3}, 400, "best_of", "invalid_value"),
    ("suffix", {**TEXT, "suffix": "end"}, 400, "suffix", "invalid_value"),
    ("bias", {**TEXT, "logit_bias": {"5": 1}}, 400, "logit_bias", "invalid_value"),
    ("prompt null", {**TEXT, "prompt": None}, 400, "prompt", "invalid_value"),
    ("prompt []", {**TEXT, "prompt": []}, 400, "prompt", "invalid_value"),
    ("prompt [[]]", {**TEXT, "prompt": [[]]}, 400, "prompt", "invalid_value"),
    ("prompt mixed", {**TEXT, "prompt": ["a", 1]}, 400, "prompt", "invalid_value"),
    ("token too big", {**TEXT, "prompt": [10**6]}, 400, "prompt", "invalid_value"),
    ("token -1", {**TEXT, "prompt": [-1]}, 400, "prompt", "invalid_value"),
    ("long prompt", {**TEXT, "prompt": LONG}, 400, "prompt", "context_length_exceeded"),
    ("long answer", {**TEXT, "max_tokens": 4096}, 400, "prompt", "context_length_exceeded"),
    ("options", {**TEXT, "stream_options": {"include_usage": True}}, 400, "stream_options", "invalid_value"),
    ("big body", {**TEXT, "prompt": "x" * 5 * 2**20}, 413, None, "request_too_large"),
]

CHAT_CASES: list[tuple[str, Any, int, str | None, str | None]] = [
    ("no messages", {"model": MODEL}, 400, "messages", "missing_required_parameter"),
    ("messages []", {**CHAT, "messages": []}, 400, "messages", "invalid_value"),
    ("a role", {**CHAT, "messages": [{"role": "cat", "content": ""}]}, 400, "messages", "invalid_value"),
    ("no content", {**CHAT, "messages": [{"role": "user"}]}, 400, "messages", "missing_required_parameter"),
    (
        "a picture",
        {**CHAT, "messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        400,
        "messages",
        "invalid_value",
    ),
    ("tools", {**CHAT, "tools": [{"type": "function"}]}, 400, "tools", "invalid_value"),
    ("json", {**CHAT, "response_format": {"type": "json_object"}}, 400, "response_format", "invalid_value"),
    ("logprobs", {**CHAT, "logprobs": True}, 400, "logprobs", "invalid_value"),
    ("two limits", {**CHAT, "max_tokens": 1, "max_completion_tokens": 1}, 400, "max_tokens", "invalid_value"),
    (
        "long",
        {**CHAT, "messages": [{"role": "user", "content": LONG}]},
        400,
        "messages",
        "context_length_exceeded",
    ),
]


@pytest.mark.parametrize(
    ("route", "case"),
    [
        *(pytest.param("completions", case, id=f"text, {case[0]}") for case in COMPLETION_CASES),
        *(pytest.param("chat/completions", case, id=f"chat, {case[0]}") for case in CHAT_CASES),
    ],
)
def test_bad_input_is_told_by_its_field(server: Server, route: str, case: tuple[Any, ...]) -> None:
    _, body, status, param, code = case
    content = {"content": body} if isinstance(body, bytes) else {"json": body}
    answer = httpx.post(f"{server.url}/v1/{route}", **content)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (status, param, code), error
    assert error["type"] == "invalid_request_error"
    assert error["message"]


def test_bad_input_leaves_no_slot_taken(server: Server) -> None:
    for _, body, *_ in COMPLETION_CASES:
        if isinstance(body, dict):
            httpx.post(f"{server.url}/v1/completions", json=body)
    assert server.metric("nexus_generations_in_flight") == 0


@pytest.mark.parametrize(
    "neutral",
    [
        {"logprobs": None, "suffix": None, "logit_bias": {}, "best_of": 1, "user": "me"},
        {"frequency_penalty": 0, "presence_penalty": 0, "stop": None, "stream": False, "seed": None},
    ],
)
def test_fields_that_ask_for_nothing_pass(server: Server, neutral: dict[str, Any]) -> None:
    answer = httpx.post(f"{server.url}/v1/completions", json={**TEXT, **neutral})
    assert answer.status_code == 200, answer.text


def test_errors_are_those_of_the_openai_client(client: Any) -> None:
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="gpt-9", prompt="x")
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(**TEXT, max_tokens=0)
    assert caught.value.param == "max_tokens"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")


def test_unknown_routes_and_methods_have_the_same_shape(server: Server) -> None:
    for answer in (httpx.get(f"{server.url}/v2"), httpx.get(f"{server.url}/v1/completions")):
        assert answer.status_code in (404, 405)
        assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_template_that_refuses_is_bad_input(models: Any, tmp_path: Path) -> None:
    with running_server(models / "chat", tmp_path / "log") as server:
        wait_until(server.ready, what="readyz")
        body = {**CHAT, "messages": [{"role": "assistant", "content": "refuse me"}]}
        answer = httpx.post(f"{server.url}/v1/chat/completions", json=body)
    assert answer.status_code == 400
    assert "only users speak first" in answer.json()["error"]["message"]


async def _too_many(prompts: int) -> None:
    generator = cast(TextGenerator, SimpleNamespace(slots=4))
    body = parse_body(CompletionBody, json.dumps({**TEXT, "prompt": ["x"] * prompts}).encode())
    await Completions(cast(LanguageModel, None), generator, MODEL, "").text(body)


def test_too_many_prompts_are_refused_before_any_is_tokenised() -> None:
    with pytest.raises(BadRequest, match="5 completions in one request"):  # there is no model to tokenise
        asyncio.run(_too_many(5))


@pytest.mark.parametrize("route", ["completions", "chat/completions"])
def test_a_text_that_cannot_fit_is_refused_without_being_tokenised(server: Server, route: str) -> None:
    letters = 10**6  # a token each
    text = "☕" + "q" * letters
    body = (
        {**TEXT, "prompt": text}
        if route == "completions"
        else {**CHAT, "messages": [{"role": "user", "content": text}]}
    )
    error = httpx.post(f"{server.url}/v1/{route}", json=body).json()["error"]
    found = re.search(r"requested at least (\d+) tokens", error["message"])
    assert error["code"] == "context_length_exceeded" and found
    assert 4096 < int(found[1]) < letters
