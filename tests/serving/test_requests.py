"""Requests at their limits, and what a request becomes when a field is left out."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest
from pydantic import ValidationError

from serving.answers import Answer
from serving.completions import Completions
from serving.generator import TextGenerator
from serving.language_model import LanguageModel, PromptError, PromptTooLong, Sampling
from serving.protocol import BadRequest, ChatBody, CompletionBody, parse_body

MODEL = "nexus-llm"
TEXT: dict[str, Any] = {"model": MODEL}
CHAT: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
Jobs = list[tuple[list[int], Sampling]]


class Model:
    """A model whose tokens are the letters of a text, with a context of 20 tokens."""

    context_length = 20
    vocabulary_size = 128

    def encode(self, text: str) -> list[int]:
        if text.startswith("megabytes"):
            raise PromptTooLong(30)
        return [ord(letter) for letter in text]

    def decode(self, tokens: list[int]) -> str:
        return "".join(map(chr, tokens))

    def new_decoder(self) -> None:
        """Return no decoder: nothing is generated."""

    def chat_prompt(self, messages: list[dict[str, str]]) -> tuple[list[int], list[str]]:
        if messages[0]["content"] == "refuse":
            raise PromptError("only users speak first")
        return self.encode(messages[-1]["content"]), ["END"]


class Generator:
    """A generator that only notes its jobs."""

    def __init__(self, slots: int = 128) -> None:
        self.slots = slots
        self.jobs: Jobs = []

    def submit(self, jobs: Jobs) -> list[None]:
        self.jobs = jobs
        return [None for _ in jobs]


def start(body: dict[str, Any], slots: int = 128) -> tuple[Jobs, Answer]:
    """Start a request to the endpoint that its fields are for. Return its jobs and its answer."""
    generator = Generator(slots)
    completions = Completions(cast(LanguageModel, Model()), cast(TextGenerator, generator), MODEL, "fp_1")
    content = json.dumps(body).encode()
    if "messages" in body:
        answer = asyncio.run(completions.chat(parse_body(ChatBody, content)))
    else:
        answer = asyncio.run(completions.text(parse_body(CompletionBody, content)))
    return generator.jobs, answer


def test_a_completion_has_openais_defaults() -> None:
    ((prompt, sampling),), answer = start(TEXT | {"prompt": "ab", "seed": 7})
    assert prompt == [97, 98]
    assert sampling == Sampling(16, 1.0, 1.0, 0, 7, 0.0, 0.0)
    assert [(choice.index, choice.prefix) for choice in answer.choices] == [(0, "")]


def test_every_field_of_the_sampling_is_used() -> None:
    fields = {"max_tokens": 3, "temperature": 0.5, "top_p": 0.25, "top_k": 4, "seed": -1}
    penalties = {"presence_penalty": 1.5, "frequency_penalty": -0.5}
    ((_, sampling),), _ = start(TEXT | fields | penalties)
    assert sampling == Sampling(3, 0.5, 0.25, 4, 2**64 - 1, 1.5, -0.5)


@pytest.mark.parametrize(("given", "used"), [(0, 0.0), (0.0099, 0.0), (0.01, 0.01), (2, 2.0)])
def test_a_temperature_that_the_engine_cannot_use_is_greedy(given: float, used: float) -> None:
    ((_, sampling),), _ = start(TEXT | {"temperature": given})
    assert sampling.temperature == used


def test_each_choice_has_a_seed_of_its_own_and_the_first_that_of_the_request() -> None:
    body = TEXT | {"prompt": ["a", "b"], "n": 3, "seed": 5, "echo": True}
    jobs, answer = start(body)
    assert [prompt for prompt, _ in jobs] == [[97]] * 3 + [[98]] * 3
    seeds = [sampling.seed for _, sampling in jobs]
    assert seeds[:3] == seeds[3:]
    assert seeds[0] == 5
    assert len(set(seeds)) == 3
    assert max(seeds).bit_length() > 56  # derived seeds use the whole range of 64 bits
    assert [choice.prefix for choice in answer.choices] == ["a"] * 3 + ["b"] * 3
    assert [choice.index for choice in answer.choices] == list(range(6))
    assert start(body)[0] == jobs


def test_tokens_are_a_prompt_and_their_text_its_echo() -> None:
    jobs, answer = start(TEXT | {"prompt": [97, 127], "echo": True})
    assert jobs[0][0] == [97, 127]
    assert answer.choices[0].prefix == "a\x7f"
    with pytest.raises(BadRequest, match="token 128; the vocabulary has 128"):
        start(TEXT | {"prompt": [97, 128]})


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        (TEXT | {"prompt": "a" * 4}, 16),
        (TEXT | {"prompt": "a" * 19, "max_tokens": 1}, 1),
        (CHAT, 18),
        (CHAT | {"max_tokens": 5}, 5),
        (CHAT | {"max_completion_tokens": 18}, 18),
        ({"model": MODEL, "messages": [{"role": "user", "content": "a" * 19}]}, 1),
    ],
)
def test_a_request_that_just_fits_the_context_is_started(body: dict[str, Any], limit: int) -> None:
    ((_, sampling),), _ = start(body)
    assert sampling.max_new_tokens == limit


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (TEXT | {"prompt": "a" * 5}, r"requested 21 tokens \(5 in the prompt, 16 in the completion\)"),
        (TEXT | {"prompt": ["a", "a" * 20], "max_tokens": 1}, "requested 21 tokens"),
        (CHAT | {"max_completion_tokens": 19}, r"requested 21 tokens \(2 in the messages"),
        ({"model": MODEL, "messages": [{"role": "user", "content": "a" * 20}]}, "requested 21 tokens"),
        (TEXT | {"prompt": ["a", "megabytes"]}, r"requested at least 46 tokens \(30 in the prompt, 16 in"),
        (
            {"model": MODEL, "messages": [{"role": "user", "content": "megabytes"}], "max_tokens": 2},
            r"requested at least 32 tokens \(30 in the messages, 2 in",
        ),
    ],
)
def test_a_request_that_does_not_fit_the_context_is_refused(body: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequest, match=message) as refusal:
        start(body)
    assert (refusal.value.status, refusal.value.code) == (400, "context_length_exceeded")


@pytest.mark.parametrize(
    ("prompts", "number", "fits"), [(2, 2, True), (4, 1, True), (1, 5, False), (5, 1, False)]
)
def test_as_many_completions_as_there_are_slots_are_started(prompts: int, number: int, fits: bool) -> None:
    body = TEXT | {"prompt": ["a"] * prompts, "n": number}
    if fits:
        assert len(start(body, slots=4)[0]) == 4
    else:
        with pytest.raises(BadRequest, match="5 completions in one request; at most 4 run at once"):
            start(body, slots=4)


def test_another_model_is_not_found_and_a_refusing_template_is_bad_input() -> None:
    with pytest.raises(BadRequest, match="does not exist") as missing:
        start(TEXT | {"model": "gpt"})
    assert (missing.value.status, missing.value.param) == (404, "model")
    with pytest.raises(BadRequest, match="only users speak first") as refused:
        start(CHAT | {"messages": [{"role": "user", "content": "refuse"}]})
    assert (refused.value.status, refused.value.param) == (400, "messages")


ACCEPTED: list[tuple[str, Any]] = [
    ("max_tokens", 1), ("temperature", 0), ("temperature", 2), ("top_p", 0.001), ("top_p", 1),
    ("top_k", 0), ("top_k", 2**31), ("seed", -(2**63)), ("seed", 2**63 - 1), ("n", 1), ("n", 128),
    ("frequency_penalty", -2), ("frequency_penalty", 2), ("presence_penalty", -2), ("presence_penalty", 2),
    ("stop", ["a"] * 4), ("stop", []), ("best_of", 1), ("logit_bias", {}), ("suffix", ""),
]  # fmt: skip
REFUSED: list[tuple[str, Any]] = [
    ("max_tokens", 0), ("temperature", -0.1), ("temperature", 2.1), ("top_p", 0), ("top_p", 1.1),
    ("top_k", -1), ("top_k", 2**31 + 1), ("seed", -(2**63) - 1), ("seed", 2**63), ("n", 0), ("n", 129),
    ("frequency_penalty", -2.1), ("frequency_penalty", 2.1), ("presence_penalty", -2.1),
    ("presence_penalty", 2.1), ("stop", ["a"] * 5), ("stop", ""), ("best_of", 2), ("logit_bias", {"1": 1}),
    ("suffix", "x"), ("logprobs", 1), ("prompt", []), ("prompt", [[]]), ("temperature", True), ("n", 1.0),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), ACCEPTED)
def test_a_field_at_its_bound_is_accepted(field: str, value: Any) -> None:
    parse_body(CompletionBody, json.dumps(TEXT | {field: value}).encode())


@pytest.mark.parametrize(("field", "value"), REFUSED)
def test_a_field_beyond_its_bound_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse_body(CompletionBody, json.dumps(TEXT | {field: value}).encode())
    assert refusal.value.param == field


@pytest.mark.parametrize(
    ("kind", "field", "item"),
    [
        (CompletionBody, "prompt", -1),
        (CompletionBody, "prompt", [{}]),
        (CompletionBody, "prompt", [0, "a"]),
        (CompletionBody, "stop", 1),
        (ChatBody, "messages", {}),
        (ChatBody, "messages", {"role": "user", "content": [{}] * 1000}),
    ],
)
def test_a_list_is_refused_at_its_first_wrong_item(
    kind: type[CompletionBody | ChatBody], field: str, item: Any
) -> None:
    # an error for each item would hold up every other request for half a minute, and take gigabytes
    content = json.dumps({"model": MODEL, field: [item] * 1000}).encode()
    with pytest.raises(ValidationError) as refusal:
        kind.model_validate_json(content)
    assert refusal.value.error_count() < 10
