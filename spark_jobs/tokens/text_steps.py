"""Judges which changes normalizers and pre-tokenizers of a ``tokenizer.json`` make to a text."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from typing import Any

from spark_jobs.tokens.vocabulary import steps_of


class Loss(enum.IntEnum):
    """The worst that a step can do to the characters of a text."""

    NOTHING = 0
    WHITE_SPACE = 1
    ANY = 2


_LOSSLESS = {
    "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Prepend", "ByteLevel", "Metaspace", "Digits",
    "UnicodeScripts", "FixedLength",
}  # fmt: skip
_WHITE_SPACE = {"Whitespace", "WhitespaceSplit", "BertPreTokenizer", "Strip"}
#: Steps after which a text is another one; documents are in NFC by then.
_CHANGES = {
    "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "BertNormalizer", "Nmt", "Precompiled", "Replace",
}  # fmt: skip
#: Runs of white space, as the patterns of converted SentencePiece models are written.
_BLANKS = re.compile(r"(?:[ \t▁]|\\s)+(?:[+*]|\{\d+,?\d*\})?")


def loss(plain: Mapping[str, Any]) -> Loss:
    """Return the worst loss of all steps. Types that are not known count as ANY."""
    return max((_loss(step) for step in _steps(plain)), default=Loss.NOTHING)


def notes(plain: Mapping[str, Any]) -> list[str]:
    """Describe the steps that change texts or remove characters, for people."""
    found = []
    if changing := _names(step for step in _steps(plain) if step["type"] in _CHANGES and not _is_mark(step)):
        found.append(f"texts are changed before they are encoded ({changing})")
    if blank := _names(step for step in _steps(plain) if _loss(step) is Loss.WHITE_SPACE):
        found.append(f"some or all white space has no token ({blank})")
    if removing := _names(step for step in _steps(plain) if _loss(step) is Loss.ANY):
        found.append(f"characters may be removed before texts are encoded ({removing}); they are counted")
    return found


def _steps(plain: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from steps_of(plain.get("normalizer"))
    yield from steps_of(plain.get("pre_tokenizer"))


def _names(steps: Iterator[Mapping[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(step["type"] for step in steps))


def _loss(step: Mapping[str, Any]) -> Loss:
    kind = step["type"]
    if kind in _LOSSLESS:
        return Loss.NOTHING
    if kind in _WHITE_SPACE:
        return Loss.WHITE_SPACE
    if kind in ("Split", "Punctuation"):
        return Loss.ANY if step.get("behavior") == "Removed" else Loss.NOTHING
    if kind == "CharDelimiterSplit":
        return Loss.WHITE_SPACE if str(step.get("delimiter", "")).isspace() else Loss.ANY
    if kind == "Replace":
        return _loss_of_replacing(step)
    return Loss.ANY


def _loss_of_replacing(step: Mapping[str, Any]) -> Loss:
    """Judge a replacement: a text is lost only if nothing replaces it; a pattern may match anything."""
    pattern = step["pattern"]
    if "String" in pattern:
        if step["content"]:
            return Loss.NOTHING
        return Loss.WHITE_SPACE if pattern["String"].isspace() else Loss.ANY
    return Loss.WHITE_SPACE if _BLANKS.fullmatch(pattern.get("Regex", "")) else Loss.ANY


def _is_mark(step: Mapping[str, Any]) -> bool:
    """Return True for the replacement of spaces by the mark that SentencePiece writes for them."""
    return bool(step["type"] == "Replace" and step["content"] == "▁" and step["pattern"] == {"String": " "})
