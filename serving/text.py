"""Converts generated tokens to text: only whole characters, and nothing after a stop string."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

#: A UTF-8 character has at most four bytes, so at most three tokens can be incomplete.
_LONGEST_WAIT_TOKENS = 3
_REPLACEMENT = "\ufffd"


class Tokeniser(Protocol):
    """The part of ``openvino_genai.Tokenizer`` that is used here."""

    def decode(self, tokens: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Return the text of the tokens."""


class TextDecoder(Protocol):
    """A converter of the tokens of one sequence to text, in order."""

    def push(self, token: int) -> str:
        """Return the characters that this token completes."""

    def finish(self) -> str:
        """Return the text that was held back. An unfinished character becomes U+FFFD."""


class ByteDecoder:
    """A decoder for byte-level vocabularies: one table lookup per token, no call into OpenVINO."""

    def __init__(self, token_bytes: Mapping[int, bytes]) -> None:
        self._token_bytes = token_bytes
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        """See ``TextDecoder``."""
        return self._utf8.decode(self._token_bytes.get(token, b""))

    def finish(self) -> str:
        """See ``TextDecoder``."""
        return self._utf8.decode(b"", final=True)


class WindowDecoder:
    """A decoder for any other vocabulary: it decodes a short window twice and emits the difference.

    The window starts before the last emitted token, because the text of a token may depend on the one
    before it (SentencePiece drops the first space of a sequence).
    """

    def __init__(self, tokeniser: Tokeniser) -> None:
        self._tokeniser = tokeniser
        self._emitted: list[int] = []
        self._waiting: list[int] = []

    def push(self, token: int) -> str:
        """See ``TextDecoder``."""
        self._waiting.append(token)
        text = self._added()
        if text.endswith(_REPLACEMENT) and len(self._waiting) <= _LONGEST_WAIT_TOKENS:
            return ""
        return self._emit(text)

    def finish(self) -> str:
        """See ``TextDecoder``."""
        return self._emit(self._added()) if self._waiting else ""

    def _added(self) -> str:
        before = self._tokeniser.decode(self._emitted) if self._emitted else ""
        return self._tokeniser.decode(self._emitted + self._waiting)[len(before) :]

    def _emit(self, text: str) -> str:
        if text:
            self._emitted = self._waiting
            self._waiting = []
        return text


class StoppedText:
    """The text before the first stop string.

    Text that may begin a stop string is held back until the next characters decide it, so that a
    stream never shows a part of one. ``tokens`` counts the tokens up to the stop.
    """

    def __init__(self, decoder: TextDecoder, stop_strings: Sequence[str]) -> None:
        self._decoder = decoder
        self._stop_strings = tuple(stop_strings)
        self._held = ""
        self.stopped = False
        self.tokens = 0

    def push(self, tokens: Iterable[int]) -> str:
        """Return the text that cannot become part of a stop string."""
        parts = []
        for token in tokens:
            if self.stopped:
                break
            self.tokens += 1
            parts.append(self._check(self._decoder.push(token)))
        return "".join(parts)

    def finish(self) -> str:
        """Return the remaining text at the end of the generation."""
        if self.stopped:
            return ""
        text = self._check(self._decoder.finish())
        if self.stopped:
            return text
        rest, self._held = self._held, ""
        return text + rest

    def _check(self, text: str) -> str:
        if not text or not self._stop_strings:
            return text
        self._held += text
        found = [(at + len(stop), at) for stop in self._stop_strings if (at := self._held.find(stop)) >= 0]
        if found:
            # the stop string that is complete first counts, independently of the tokens
            self.stopped = True
            certain, self._held = self._held[: min(found)[1]], ""
            return certain
        keep = max(_overlap(self._held, stop) for stop in self._stop_strings)
        at = len(self._held) - keep
        certain, self._held = self._held[:at], self._held[at:]
        return certain


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest suffix of ``text`` that is a proper prefix of ``stop``."""
    for length in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
