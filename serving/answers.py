"""Builds OpenAI's responses from running generations, as one JSON body or as server-sent events."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from serving.generator import Finish, Generation, GenerationFailed
from serving.text import StoppedText


@dataclass
class Choice:
    """One completion of a request. ``prefix`` is the prompt if it is echoed."""

    index: int
    generation: Generation
    text: StoppedText
    prefix: str = ""

    async def pieces(self) -> AsyncIterator[tuple[str, str | None]]:
        """Yield new text and, at the end, the finish reason ("stop" or "length")."""
        if self.prefix:
            yield self.prefix, None
        while True:
            piece = await self.generation.read()
            text = self.text.push(piece.tokens)
            if not self.text.stopped and piece.finish in (Finish.STOP, Finish.LENGTH):
                text += self.text.finish()
            if self.text.stopped:
                self.generation.cancel()
                yield text, Finish.STOP.value
                return
            if piece.finish in (Finish.STOP, Finish.LENGTH):
                yield text, piece.finish.value
                return
            if piece.finish is not None:
                raise GenerationFailed(
                    "the generation could not be completed",
                    got=piece.finish.value,
                    remedy="try again; if it happens often, raise KV_CACHE_GIB",
                )
            if text:
                yield text, None


class Shape(Protocol):
    """The differences between the two endpoints."""

    prefix: str
    object: str
    chunk_object: str

    def whole(self, text: str) -> dict[str, Any]:
        """Return the part of a choice that holds its text."""

    def part(self, text: str, *, first: bool) -> dict[str, Any]:
        """Return the corresponding part of a chunk in a stream."""


class TextShape:
    """The form of ``/v1/completions``."""

    prefix, object, chunk_object = "cmpl-", "text_completion", "text_completion"

    def whole(self, text: str) -> dict[str, Any]:
        """See ``Shape``."""
        return {"text": text}

    def part(self, text: str, *, first: bool) -> dict[str, Any]:
        """See ``Shape``."""
        return {"text": text}


class ChatShape:
    """The form of ``/v1/chat/completions``."""

    prefix, object, chunk_object = "chatcmpl-", "chat.completion", "chat.completion.chunk"

    def whole(self, text: str) -> dict[str, Any]:
        """See ``Shape``."""
        return {"message": {"role": "assistant", "content": text, "refusal": None}}

    def part(self, text: str, *, first: bool) -> dict[str, Any]:
        """See ``Shape``."""
        return {"delta": {"role": "assistant", "content": text} if first else {"content": text}}


@dataclass
class Answer:
    """The generations of one request and the fields around their text."""

    shape: Shape
    model: str
    fingerprint: str
    prompt_tokens: int
    choices: list[Choice]
    include_usage: bool
    identity: str = field(default_factory=lambda: secrets.token_hex(12))
    created: int = field(default_factory=lambda: int(time.time()))

    def cancel(self) -> None:
        """Cancel the generations that are still running."""
        for choice in self.choices:
            choice.generation.cancel()

    async def whole(self) -> dict[str, Any]:
        """Wait for every choice. Return the body of the answer."""
        texts = await asyncio.gather(*(_collect(choice) for choice in self.choices))
        choices = [
            {"index": choice.index, **self.shape.whole(text), "logprobs": None, "finish_reason": finish}
            for choice, (text, finish) in zip(self.choices, texts, strict=True)
        ]
        return {**self._head(self.shape.object), "choices": choices, "usage": self._usage()}

    async def events(self) -> AsyncIterator[bytes]:
        """Yield server-sent events: a chunk for each piece of text, usage if requested, ``[DONE]``."""
        first = {choice.index for choice in self.choices}
        async for choice, text, finish in _merged(self.choices):
            part = self.shape.part(text, first=choice.index in first)
            first.discard(choice.index)
            yield self._event([{"index": choice.index, **part, "logprobs": None, "finish_reason": finish}])
        if self.include_usage:
            yield self._event([], usage=self._usage())
        yield b"data: [DONE]\n\n"

    def _event(self, choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> bytes:
        chunk = {**self._head(self.shape.chunk_object), "choices": choices}
        if self.include_usage:
            chunk["usage"] = usage
        return b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.shape.prefix + self.identity,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }

    def _usage(self) -> dict[str, int]:
        completion = sum(choice.text.tokens for choice in self.choices)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
        }


async def _collect(choice: Choice) -> tuple[str, str | None]:
    parts, finish = [], None
    async for text, finish in choice.pieces():  # noqa: B007 - the last one counts
        parts.append(text)
    return "".join(parts), finish


async def _merged(choices: Sequence[Choice]) -> AsyncIterator[tuple[Choice, str, str | None]]:
    """Yield the pieces of all choices in the order in which they arrive."""
    if len(choices) == 1:
        async for text, finish in choices[0].pieces():
            yield choices[0], text, finish
        return
    ready: asyncio.Queue[tuple[Choice, str, str | None] | Exception] = asyncio.Queue()

    async def forward(choice: Choice) -> None:
        try:
            async for text, finish in choice.pieces():
                ready.put_nowait((choice, text, finish))
        except Exception as error:
            ready.put_nowait(error)

    tasks = [asyncio.create_task(forward(choice)) for choice in choices]
    try:
        left = len(choices)
        while left:
            item = await ready.get()
            if isinstance(item, Exception):
                raise item
            left -= item[2] is not None
            yield item
    finally:
        for task in tasks:
            task.cancel()
