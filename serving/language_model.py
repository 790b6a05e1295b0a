"""The loaded model: its pipeline, its tokenizer and its limits.

Inference and KV-cache precision are set to f32. With OpenVINO's default, the tokens of a request depend on
the other requests in its batch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import openvino_genai

from include.contracts.errors import InputError, NexusError
from include.contracts.manifests import ModelManifest
from serving.text import ByteDecoder, TextDecoder, WindowDecoder

#: If the tokenizer has no chat template, messages become lines "User: …", and this string ends a reply.
PLAIN_CHAT_STOP = "\nUser:"
_PROBE = "A probe: naïve café, 東京 ☕ and\n\ttabs  twice."


@dataclass(frozen=True)
class Sampling:
    """The sampling of one completion; ``temperature`` 0 takes the most probable token each time."""

    max_new_tokens: int
    temperature: float
    top_p: float
    top_k: int
    seed: int
    presence_penalty: float
    frequency_penalty: float


class PromptError(NexusError):
    """Raised if the messages or tokens of a request cannot be made into a prompt."""


class PromptTooLong(PromptError):
    """Raised for a text that cannot fit the context, whatever its tokens are; it is not tokenised."""

    def __init__(self, least_tokens: int) -> None:
        super().__init__("the prompt is longer than the context", got=f"at least {least_tokens} tokens")
        self.least_tokens = least_tokens


class LanguageModel:
    """The pipeline and its tokenizer. Only the generator's thread may call ``pipeline.step``."""

    def __init__(
        self,
        folder: Path,
        manifest: ModelManifest,
        *,
        max_sequences: int,
        max_batched_tokens: int,
        kv_cache_gib: int,
        threads: int,
    ) -> None:
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.max_num_seqs = max_sequences
        scheduler.max_num_batched_tokens = max_batched_tokens
        scheduler.cache_size = kv_cache_gib
        scheduler.enable_prefix_caching = False
        properties: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
        if threads:
            properties["INFERENCE_NUM_THREADS"] = threads
        try:
            self.pipeline = openvino_genai.ContinuousBatchingPipeline(
                str(folder), scheduler, "CPU", properties, {}
            )
        except RuntimeError as error:
            raise InputError(
                "openvino-genai cannot load the model",
                where=str(folder),
                got=_pipeline_reason(error),
                remedy="export it with the versions in training/export/requirements.lock",
            ) from error
        self.context_length = manifest.context_length
        self._tokenizer = self.pipeline.get_tokenizer()
        vocabulary: dict[bytes, int] = self._tokenizer.get_vocab()
        self.vocabulary_size = max(vocabulary.values()) + 1
        self._token_bytes = self._table_of_bytes(vocabulary)
        self._longest_token = max(map(len, vocabulary)) if self._token_bytes else 0
        defaults = self.pipeline.get_config()
        self._end_of_text = defaults.eos_token_id
        self._stop_token_ids = set(defaults.stop_token_ids)

    def new_decoder(self) -> TextDecoder:
        """Return a decoder for one sequence."""
        return ByteDecoder(self._token_bytes) if self._token_bytes else WindowDecoder(self._tokenizer)

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Return the tokens of ``text``. An empty text becomes the beginning-of-text token.

        Raises PromptTooLong for a text that has more tokens than the context even if each is the longest one:
        OpenVINO lets no other thread run while it tokenises, which takes seconds for megabytes.
        """
        if self._longest_token and len(text) > self.context_length * self._longest_token:
            raise PromptTooLong(-(-len(text) // self._longest_token))
        encoded = self._tokenizer.encode(text, add_special_tokens=add_special_tokens)
        tokens = [int(token) for token in encoded.input_ids.data[0]] if text else []
        if not tokens:
            start = self._tokenizer.get_bos_token_id()
            tokens = [start if start >= 0 else max(self._end_of_text, 0)]
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of a whole sequence without special tokens."""
        decoder = self.new_decoder()
        return "".join(decoder.push(token) for token in tokens) + decoder.finish()

    def chat_prompt(self, messages: Sequence[dict[str, str]]) -> tuple[list[int], tuple[str, ...]]:
        """Return the tokens of a conversation and the stop strings that its form needs.

        Uses the tokenizer's chat template if there is one, else lines "System: …", "User: …",
        "Assistant: …" and ``PLAIN_CHAT_STOP``.
        """
        if self._tokenizer.chat_template:
            try:
                text = self._tokenizer.apply_chat_template(list(messages), add_generation_prompt=True)
            except RuntimeError as error:
                raise PromptError(
                    "the chat template refuses these messages", got=_pipeline_reason(error)
                ) from None
            return self.encode(text, add_special_tokens=False), ()
        lines = [f"{message['role'].capitalize()}: {message['content']}" for message in messages]
        return self.encode("\n".join([*lines, "Assistant:"])), (PLAIN_CHAT_STOP,)

    def start(self, request_id: int, prompt: Sequence[int], sampling: Sampling) -> Any:
        """Queue a generation and return its handle. Call it from the thread that steps the pipeline."""
        tensor = openvino.Tensor(np.array([prompt], dtype=np.int64))
        return self.pipeline.add_request(request_id, tensor, self._config(sampling))

    def _config(self, sampling: Sampling) -> openvino_genai.GenerationConfig:
        config = openvino_genai.GenerationConfig()
        config.max_new_tokens = sampling.max_new_tokens
        config.eos_token_id = self._end_of_text
        config.stop_token_ids = self._stop_token_ids
        config.do_sample = sampling.temperature > 0
        if config.do_sample:
            config.temperature = sampling.temperature
            config.top_p = sampling.top_p
            if sampling.top_k:
                config.top_k = sampling.top_k
            config.rng_seed = sampling.seed
        config.presence_penalty = sampling.presence_penalty
        config.frequency_penalty = sampling.frequency_penalty
        return config

    def _table_of_bytes(self, vocabulary: dict[bytes, int]) -> dict[int, bytes]:
        """Map every token to its bytes, special ones to none. Empty if the vocabulary is not byte-level."""
        every = [[token] for token in range(self.vocabulary_size)]
        shown = self._tokenizer.decode(every, skip_special_tokens=True)
        whole = self._tokenizer.decode(every, skip_special_tokens=False)
        special = {token for token in range(self.vocabulary_size) if shown[token] != whole[token]}
        table = {token: b"" if token in special else text for text, token in vocabulary.items()}
        probe = [int(token) for token in self._tokenizer.encode(_PROBE).input_ids.data[0]]
        spelled = b"".join(table.get(token, b"") for token in probe).decode("utf-8", "replace")
        return table if spelled == _PROBE else {}


def _pipeline_reason(error: Exception) -> str:
    """Return the line of OpenVINO's message that names the cause, without its source locations."""
    if template := re.search("Minja's error: (.*)", str(error)):
        return template[1]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line for line in lines if not re.match("Exception from|Check '", line)]
    return (causes or lines or [type(error).__name__])[0]
