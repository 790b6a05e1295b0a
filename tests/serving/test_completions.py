"""The endpoints, by OpenAI's own client against a running server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.servers import MODEL, Server, running_server
from tests.support.waiting import wait_until

GREEDY = {"model": MODEL, "temperature": 0}


def test_models_lists_the_one_model_with_its_manifest(client: Any) -> None:
    (card,) = client.models.list().data
    assert card.id == MODEL
    assert card.nexus["run"] == "test-run"
    assert client.models.retrieve(MODEL).id == MODEL


def test_a_completion_has_ids_usage_and_a_finish_reason(client: Any) -> None:
    answer = client.completions.create(**GREEDY, prompt="def forward", max_tokens=7)
    assert answer.id.startswith("cmpl-")
    assert answer.object == "text_completion"
    assert answer.model == MODEL
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 7
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 7


def test_default_length_is_that_of_openai(client: Any) -> None:
    assert client.completions.create(**GREEDY, prompt="x").usage.completion_tokens == 16


def test_the_end_of_text_token_ends_a_completion(client: Any) -> None:
    answer = client.completions.create(model=MODEL, prompt="x", max_tokens=400, n=8, temperature=2, seed=3)
    reasons = {choice.finish_reason for choice in answer.choices}
    assert "stop" in reasons
    assert not any("endoftext" in choice.text for choice in answer.choices)
    assert answer.usage.completion_tokens < 8 * 400


def test_several_prompts_answer_as_each_alone(client: Any) -> None:
    prompts = ["import torch", "def", "class Module:"]
    together = client.completions.create(model=MODEL, prompt=prompts, max_tokens=20, seed=11, n=2)
    alone = [
        choice.text
        for prompt in prompts
        for choice in client.completions.create(
            model=MODEL, prompt=prompt, max_tokens=20, seed=11, n=2
        ).choices
    ]
    assert [choice.text for choice in together.choices] == alone
    assert [choice.index for choice in together.choices] == list(range(6))


def test_tokens_as_prompt_are_the_same_as_their_text(client: Any) -> None:
    by_text = client.completions.create(**GREEDY, prompt="AB", max_tokens=12, echo=True)
    ids = [33, 34]  # the alphabet comes first: '!' is 1
    by_tokens = client.completions.create(**GREEDY, prompt=ids, max_tokens=12, echo=True)
    batch = client.completions.create(**GREEDY, prompt=[ids, ids], max_tokens=12, echo=True)
    assert by_tokens.choices[0].text == by_text.choices[0].text
    assert [choice.text for choice in batch.choices] == [by_text.choices[0].text] * 2


def test_an_empty_prompt_begins_a_text(client: Any) -> None:
    empty = client.completions.create(**GREEDY, prompt="", max_tokens=8)
    begin = client.completions.create(**GREEDY, prompt="<|endoftext|>", max_tokens=8)
    assert empty.choices[0].text == begin.choices[0].text


def test_echo_puts_the_prompt_first(client: Any) -> None:
    plain = client.completions.create(**GREEDY, prompt="def f(", max_tokens=5).choices[0].text
    echoed = client.completions.create(**GREEDY, prompt="def f(", max_tokens=5, echo=True).choices[0].text
    assert echoed == "def f(" + plain


def test_a_seed_repeats_and_another_seed_differs(client: Any) -> None:
    def sample(seed: int) -> list[str]:
        answer = client.completions.create(model=MODEL, prompt="x = ", max_tokens=24, n=3, seed=seed)
        return [choice.text for choice in answer.choices]

    first = sample(5)
    assert sample(5) == first
    assert sample(6) != first
    assert len(set(first)) == 3
    assert sample(-5) == sample(-5)


def test_without_a_seed_answers_differ(client: Any) -> None:
    texts = {
        client.completions.create(model=MODEL, prompt="x", max_tokens=24).choices[0].text for _ in range(3)
    }
    assert len(texts) == 3


def test_top_k_of_one_is_greedy(client: Any) -> None:
    greedy = client.completions.create(**GREEDY, prompt="x", max_tokens=24)
    narrow = client.completions.create(
        model=MODEL, prompt="x", max_tokens=24, temperature=2, extra_body={"top_k": 1}
    )
    assert narrow.choices[0].text == greedy.choices[0].text


def test_a_tiny_top_p_is_greedy(client: Any) -> None:
    greedy = client.completions.create(**GREEDY, prompt="x", max_tokens=24)
    narrow = client.completions.create(model=MODEL, prompt="x", max_tokens=24, top_p=1e-6)
    assert narrow.choices[0].text == greedy.choices[0].text


def test_a_frequency_penalty_makes_tokens_more_diverse(client: Any) -> None:
    def distinct(penalty: float) -> int:
        answer = client.completions.create(**GREEDY, prompt="aaaa", max_tokens=120, frequency_penalty=penalty)
        return len(set(answer.choices[0].text))

    assert distinct(2) > distinct(-2)


def test_a_stop_string_ends_the_text_before_it(client: Any) -> None:
    whole = client.completions.create(**GREEDY, prompt="torch", max_tokens=60).choices[0].text
    stop = whole[20:23]
    answer = client.completions.create(**GREEDY, prompt="torch", max_tokens=60, stop=["never met", stop])
    assert answer.choices[0].text == whole[: whole.index(stop)]
    assert answer.choices[0].finish_reason == "stop"
    assert 0 < answer.usage.completion_tokens < 60


@pytest.mark.parametrize("stops", [False, True])
def test_a_stream_carries_the_same_text_as_the_whole_answer(client: Any, stops: bool) -> None:
    wanted = {"model": MODEL, "prompt": ["torch", "def"], "max_tokens": 80, "n": 2, "seed": 9}
    if stops:
        whole = client.completions.create(**wanted).choices[0].text
        wanted["stop"] = whole[30:32]
    answer = client.completions.create(**wanted)
    texts = ["", "", "", ""]
    finished = {}
    for chunk in client.completions.create(**wanted, stream=True, stream_options={"include_usage": True}):
        for choice in chunk.choices:
            assert choice.index not in finished
            texts[choice.index] += choice.text
            if choice.finish_reason:
                finished[choice.index] = choice.finish_reason
        usage = chunk.usage
    assert texts == [choice.text for choice in answer.choices]
    assert finished == {choice.index: choice.finish_reason for choice in answer.choices}
    assert usage == answer.usage


def test_a_stream_ends_with_done_and_has_usage_only_when_asked(server: Server) -> None:
    body = {**GREEDY, "prompt": "x", "max_tokens": 3, "stream": True}
    answer = httpx.post(f"{server.url}/v1/completions", json=body)
    events = answer.text.strip().split("\n\n")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert events[-1] == "data: [DONE]"
    assert all("usage" not in json.loads(event.removeprefix("data: ")) for event in events[:-1])


def test_no_chunk_of_a_stream_holds_half_a_character(client: Any) -> None:
    # Random bytes: the whole text has U+FFFD where bytes are no UTF-8, and the stream has no other ones.
    wanted = {**GREEDY, "prompt": "東京", "max_tokens": 600}
    whole = client.completions.create(**wanted).choices[0].text
    assert "\ufffd" in whole
    # On a busy machine the model may be done before the server looks: then all comes in one piece.
    for _ in range(20):
        pieces = [chunk.choices[0].text for chunk in client.completions.create(**wanted, stream=True)]
        assert "".join(pieces) == whole
        if len(pieces) > 1:
            return
    pytest.fail("20 streams came in one piece each")


def test_chat_without_a_template_is_plain_lines(client: Any) -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hello "}, {"type": "text", "text": "there"}]},
    ]
    answer = client.chat.completions.create(**GREEDY, messages=messages, max_completion_tokens=20)
    raw = client.completions.create(
        **GREEDY, prompt="System: Be brief.\nUser: Hello there\nAssistant:", max_tokens=20, stop="\nUser:"
    )
    assert answer.id.startswith("chatcmpl-")
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content == raw.choices[0].text
    assert answer.usage.prompt_tokens == raw.usage.prompt_tokens


def test_chat_streams_the_role_once_and_then_the_text(client: Any) -> None:
    wanted = {**GREEDY, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 30}
    whole = client.chat.completions.create(**wanted).choices[0].message.content
    chunks = list(client.chat.completions.create(**wanted, stream=True))
    assert [chunk.choices[0].delta.role for chunk in chunks].count("assistant") == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == whole
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}


def test_chat_uses_the_template_of_the_tokenizer(models: Any, tmp_path: Path) -> None:
    with running_server(models / "chat", tmp_path / "log") as server:
        wait_until(server.ready, what="readyz")
        client = server.client()
        messages = [{"role": "user", "content": "Hello"}]
        answer = client.chat.completions.create(**GREEDY, messages=messages, max_tokens=16)
        raw = client.completions.create(**GREEDY, prompt="<user>Hello\n<assistant>", max_tokens=16)
    assert answer.choices[0].message.content == raw.choices[0].text


def test_chat_without_a_limit_fills_the_context(client: Any) -> None:
    words = "torch " * 1000
    ids = client.completions.create(**GREEDY, prompt=words, max_tokens=1).usage.prompt_tokens
    prompt = "torch " * int(1000 * 4000 / ids)
    answer = client.chat.completions.create(**GREEDY, messages=[{"role": "user", "content": prompt}])
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.total_tokens == 4096
