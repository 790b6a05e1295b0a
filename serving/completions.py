"""Starts the generations of a validated request."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

from serving.answers import Answer, ChatShape, Choice, Shape, TextShape
from serving.generator import TextGenerator
from serving.language_model import LanguageModel, PromptError, PromptTooLong, Sampling
from serving.protocol import BadRequest, ChatBody, CompletionBody
from serving.text import StoppedText

_COMPLETION_MAX_TOKENS = 16  # OpenAI's default for /v1/completions
_SEED_BYTES = 8


class Completions:
    """The part of the server that starts the generations of a request."""

    def __init__(self, model: LanguageModel, generator: TextGenerator, name: str, fingerprint: str) -> None:
        self._model = model
        self._generator = generator
        self._name = name
        self._fingerprint = fingerprint

    async def text(self, body: CompletionBody) -> Answer:
        """Start a request to ``/v1/completions``, with n choices for each prompt."""
        self._check_model(body.model)
        self._check_count(len(body.prompts), body)  # before the prompts are tokenised, which takes time
        limit = body.max_tokens or _COMPLETION_MAX_TOKENS
        try:
            prompts = await asyncio.to_thread(lambda: [self._prompt(prompt) for prompt in body.prompts])
        except PromptTooLong as error:
            raise self._too_long(error.least_tokens, limit, "prompt", "at least ") from None
        for prompt in prompts:
            self._check_length(prompt, limit, "prompt")
        prefixes = ["" for _ in prompts]
        if body.echo:
            prefixes = [
                given if isinstance(given, str) else self._model.decode(given) for given in body.prompts
            ]
        return self._start(TextShape(), body, prompts, limit, prefixes=prefixes)

    async def chat(self, body: ChatBody) -> Answer:
        """Start a request to ``/v1/chat/completions``. Without a limit the reply may fill the context."""
        self._check_model(body.model)
        messages = [message.plain() for message in body.messages]
        asked = body.max_completion_tokens or body.max_tokens
        try:
            prompt, stops = await asyncio.to_thread(self._model.chat_prompt, messages)
        except PromptTooLong as error:
            raise self._too_long(error.least_tokens, asked or 1, "messages", "at least ") from None
        except PromptError as error:
            raise BadRequest(str(error), param="messages", code="invalid_value") from None
        self._check_length(prompt, asked or 1, "messages")
        limit = asked or self._model.context_length - len(prompt)
        return self._start(ChatShape(), body, [prompt], limit, extra_stops=stops)

    def _start(
        self,
        shape: Shape,
        body: CompletionBody | ChatBody,
        prompts: list[list[int]],
        limit: int,
        *,
        prefixes: Sequence[str] = ("",),
        extra_stops: Sequence[str] = (),
    ) -> Answer:
        self._check_count(len(prompts), body)
        number = body.n or 1
        seed = body.sampling_seed
        jobs = [
            (prompt, _sampling(body, limit, _seed_of(seed, copy)))
            for prompt in prompts
            for copy in range(number)
        ]
        stops = [*body.stop_strings, *extra_stops]
        choices = [
            Choice(
                index, generation, StoppedText(self._model.new_decoder(), stops), prefixes[index // number]
            )
            for index, generation in enumerate(self._generator.submit(jobs))
        ]
        total = sum(len(prompt) for prompt in prompts)
        return Answer(shape, self._name, self._fingerprint, total, choices, body.include_usage)

    def _check_count(self, prompts: int, body: CompletionBody | ChatBody) -> None:
        wanted = prompts * (body.n or 1)
        if wanted > self._generator.slots:
            raise BadRequest(
                f"{wanted} completions in one request; at most {self._generator.slots} run at once",
                param="n",
                code="invalid_value",
            )

    def _check_model(self, name: str) -> None:
        if name != self._name:
            raise BadRequest(
                f"The model '{name}' does not exist; this server has '{self._name}'",
                param="model",
                code="model_not_found",
                status=404,
            )

    def _prompt(self, given: str | list[int]) -> list[int]:
        if isinstance(given, str):
            return self._model.encode(given)
        if (largest := max(given)) >= self._model.vocabulary_size:
            raise BadRequest(
                f"Invalid 'prompt': token {largest}; the vocabulary has {self._model.vocabulary_size}",
                param="prompt",
                code="invalid_value",
            )
        return given

    def _check_length(self, prompt: Sequence[int], limit: int, param: str) -> None:
        if len(prompt) + limit > self._model.context_length:
            raise self._too_long(len(prompt), limit, param)

    def _too_long(self, tokens: int, limit: int, param: str, bound: str = "") -> BadRequest:
        return BadRequest(
            f"This model's maximum context length is {self._model.context_length} tokens. However, you "
            f"requested {bound}{tokens + limit} tokens ({tokens} in the {param}, {limit} in the completion). "
            f"Please reduce the length of the {param} or completion.",
            param=param,
            code="context_length_exceeded",
        )


def _sampling(body: CompletionBody | ChatBody, limit: int, seed: int) -> Sampling:
    return Sampling(
        max_new_tokens=limit,
        temperature=body.sampling_temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        top_k=body.top_k or 0,
        seed=seed,
        presence_penalty=body.presence_penalty or 0.0,
        frequency_penalty=body.frequency_penalty or 0.0,
    )


def _seed_of(seed: int, copy: int) -> int:
    """Return the seed of one choice: the request's for the first, one derived from it for the others."""
    if copy == 0:
        return seed
    digest = hashlib.sha256(f"{seed}:{copy}".encode()).digest()
    return int.from_bytes(digest[:_SEED_BYTES])
