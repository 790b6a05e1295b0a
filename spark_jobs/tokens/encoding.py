"""Encodes texts by gigatoken if it gives Hugging Face's ids, otherwise by Hugging Face tokenizers.

Hugging Face tokenizers define which ids are right. The two are compared on ``TRICKY`` and on the tokenizer's
own added tokens before the first document, and on a sample of every file of documents (``sampling``).
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import Tokenizer

from include.contracts.errors import InputError
from spark_jobs.kernels.unicode_tables import WHITESPACE, classes
from spark_jobs.runtime.columns import buffers
from spark_jobs.tokens.tokenizer import LoadedTokenizer
from spark_jobs.tokens.vocabulary import without_special_pieces

Tokens = npt.NDArray[np.generic]

#: Encodings of Hugging Face take a hundred times their text.
_GROUP_CHARACTERS = 1_000_000
#: Of the tokenizer's own added tokens, as many are compared, evenly spread.
_COMPARED_ADDED_TOKENS = 256
_SHOWN_CHARACTERS = 60

#: Texts on which tokenizers have been seen to disagree: white space, digits, marks, scripts, long runs.
TRICKY = (
    "",
    " ",
    "a  b   c\t\td\r\n\r\n  e\n",
    " leading and trailing  ",
    "it's I'M we'LL they'd don't ''s 's",
    "1 22 333 4444 55555 3.14159 1,000,000 0x1F ½ ² ٣",
    "Grüße, cafe\u0301 e\u0301\u0301 漢字仮名 한국어 ไทย עברית العربية हिन्दी",
    "😀👩‍👩‍👧‍👦🏳️‍🌈\u200b\u00a0\u2028\ufeff",
    "\x00\x01\x1f\x7f\x80\xa0",
    "a" * 3000 + " " * 300 + "\n" * 50 + "=" * 200,
    "if (x != y) { return foo::bar<T>(&z, 'c'); } // ——…„“",
    "<s></s><unk><pad><|endoftext|><|im_start|>",
)


class Library(enum.StrEnum):
    """Packages that encode texts."""

    GIGATOKEN = "gigatoken"
    TOKENIZERS = "tokenizers"


@dataclass(frozen=True)
class LibraryChoice:
    """The library to encode with. ``reason`` says why it is not the fast one; it is empty if it is."""

    library: Library
    reason: str = ""


class Losses(NamedTuple):
    """Characters of texts. ``unknown`` ones are in the vocabulary's token for unknown text.

    ``without_token`` counts those that are in no token at all; white space is not counted there.
    """

    characters: int = 0
    unknown: int = 0
    without_token: int = 0

    def plus(self, other: Losses) -> Losses:
        """Add two counts."""
        return Losses(*(left + right for left, right in zip(self, other, strict=True)))


class _Encoded(NamedTuple):
    """Ids of all texts in a row, and the offsets (texts + 1) of each text among them."""

    ids: npt.NDArray[np.uint32]
    offsets: npt.NDArray[np.int64]
    losses: Losses = Losses()

    def of(self, text: int) -> npt.NDArray[np.uint32]:
        return self.ids[self.offsets[text] : self.offsets[text + 1]]


class _Encoder(Protocol):
    def encode(self, texts: pa.StringArray) -> _Encoded: ...


def choose_library(tokenizer: LoadedTokenizer) -> LibraryChoice:
    """Choose gigatoken if it loads the tokenizer and gives Hugging Face's ids, else their own package."""
    if not tokenizer.covers_all_text:
        return LibraryChoice(Library.TOKENIZERS, "gigatoken does not count characters without a token")
    texts = [*TRICKY, *_texts_with_added_tokens(tokenizer)]
    try:
        with refusing_panics():
            _encoder(Library.GIGATOKEN, tokenizer)
            differing = first_difference(tokenizer, texts)
    except Exception as error:  # the package raises bare exceptions
        return LibraryChoice(Library.TOKENIZERS, f"gigatoken cannot load it ({_in_one_line(error)})")
    return LibraryChoice(Library.TOKENIZERS, differing) if differing else LibraryChoice(Library.GIGATOKEN)


def first_difference(tokenizer: LoadedTokenizer, texts: Sequence[str]) -> str:
    """Compare gigatoken's ids with Hugging Face's. Name the first text that differs, or return ''."""
    column = pa.array(texts, pa.string())
    fast = _encoder(Library.GIGATOKEN, tokenizer).encode(column)
    right = _encoder(Library.TOKENIZERS, tokenizer).encode(column)
    for position, text in enumerate(texts):
        if not np.array_equal(fast.of(position), right.of(position)):
            return f"gigatoken gives other ids, as for {text[:_SHOWN_CHARACTERS]!r}"
    return ""


def encode(
    tokenizer: LoadedTokenizer, library: Library, texts: pa.StringArray, dtype: str
) -> tuple[list[Tokens], Losses]:
    """Return the ids of each text, ending with the end-of-text token, and the characters that they lose.

    A special token that is spelled out in a text is encoded as the ordinary characters that it is there.
    Raises InputError if a text would still contain the end-of-text token, which would divide it.
    """
    encoded = _encoded(library, tokenizer, texts)
    ids, offsets = encoded.ids, encoded.offsets
    documents = len(texts)
    # every document is shifted by the end tokens of those before it
    ends = offsets[1:] + np.arange(documents)
    out = np.empty(len(ids) + documents, dtype)
    within = np.ones(len(out), np.bool_)
    within[ends] = False
    out[within] = ids
    out[ends] = tokenizer.end_of_text_id
    if tokenizer.end_is_checked and np.count_nonzero(out == tokenizer.end_of_text_id) != documents:
        raise _cut_document(tokenizer, encoded, texts)
    return (np.split(out, ends[:-1] + 1) if documents else []), encoded.losses


def _encoded(library: Library, tokenizer: LoadedTokenizer, texts: pa.StringArray) -> _Encoded:
    """Encode; InputError, which names a text, if the library fails on one, as a pattern's step limit does."""
    try:
        with refusing_panics():
            return _encoder(library, tokenizer).encode(texts)
    except Exception as error:  # the packages raise bare exceptions
        if len(texts) > 1:
            for position in range(len(texts)):
                _encoded(library, tokenizer, texts.slice(position, 1))
        shown = f"{texts[0].as_py()[:_SHOWN_CHARACTERS]!r}" if len(texts) == 1 else f"{len(texts)} texts"
        raise InputError(
            f"the tokenizer cannot encode a text ({_in_one_line(error)})",
            where=tokenizer.where,
            got=f"the text that begins with {shown}",
            remedy="correct the patterns of the normalizer and the pre-tokenizer in this file",
        ) from error


def _cut_document(tokenizer: LoadedTokenizer, encoded: _Encoded, texts: pa.StringArray) -> InputError:
    """Return the error for the first document that holds the end-of-text token before its end."""
    first = np.flatnonzero(encoded.ids == tokenizer.end_of_text_id)[0]
    text = texts[int(np.searchsorted(encoded.offsets, first, side="right")) - 1].as_py()
    return InputError(
        "a document would hold the end-of-text token before its end",
        where=tokenizer.where,
        expected=f"no token {tokenizer.end_of_text_id} within a text",
        got=f"one in the document that begins with {text[:_SHOWN_CHARACTERS]!r}",
        remedy="take an end-of-text token that no text can spell out",
    )


@contextmanager
def refusing_panics() -> Iterator[None]:
    """Turn a panic of a Rust package, which is no Exception, into a RuntimeError."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise RuntimeError(str(error)) from error


class _Gigatoken:
    """gigatoken on the calling thread only, because Spark runs a task on every core."""

    def __init__(self, tokenizer: LoadedTokenizer) -> None:
        from gigatoken import Tokenizer as Fast

        plain = json.loads(tokenizer.content)
        # without its special tokens it takes them for the ordinary characters that they are in a document
        plain["added_tokens"] = [token for token in plain.get("added_tokens") or () if not token["special"]]
        plain["post_processor"] = None
        self._tokenizer = Fast.from_json(json.dumps(plain, ensure_ascii=False))

    def encode(self, texts: pa.StringArray) -> _Encoded:
        layout = self._tokenizer.encode_batch(_awkward(texts), parallel=False).layout
        offsets = np.asarray(layout.offsets, np.int64)
        return _Encoded(np.asarray(layout.content.data)[offsets[0] : offsets[-1]], offsets - offsets[0])


class _HuggingFace:
    """Hugging Face tokenizers, without truncation, padding, post-processor and special tokens in texts."""

    def __init__(self, tokenizer: LoadedTokenizer) -> None:
        plain = without_special_pieces(json.loads(Tokenizer.from_str(tokenizer.content).to_str()))
        plain["post_processor"] = plain["truncation"] = plain["padding"] = None
        self._tokenizer = Tokenizer.from_str(json.dumps(plain, ensure_ascii=False))
        self._tokenizer.encode_special_tokens = True
        self._unknown_id, self._covers_all_text = tokenizer.unknown_id, tokenizer.covers_all_text

    def encode(self, texts: pa.StringArray) -> _Encoded:
        rows: list[npt.NDArray[np.uint32]] = []
        losses = Losses()
        for group in text_groups(texts.to_pylist()):
            if self._covers_all_text:  # without offsets of tokens it is faster
                encodings = self._tokenizer.encode_batch_fast(group, add_special_tokens=False)
            else:
                encodings = self._tokenizer.encode_batch(group, add_special_tokens=False)
                for text, encoding in zip(group, encodings, strict=True):
                    losses = losses.plus(_losses(text, encoding, self._unknown_id))
            rows += [np.array(encoding.ids, np.uint32) for encoding in encodings]
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        return _Encoded(np.concatenate([np.empty(0, np.uint32), *rows]), offsets, losses)


def _losses(text: str, encoding: Any, unknown_id: int | None) -> Losses:
    """Count the characters of a text that are in no token, or in one for unknown text."""
    spans = np.array(encoding.offsets, np.int64).reshape(-1, 2)
    in_token = np.zeros(len(text) + 1, np.int64)
    np.add.at(in_token, spans[:, 0], 1)
    np.subtract.at(in_token, spans[:, 1], 1)
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    visible = (classes()[points] & WHITESPACE) == 0
    without = int((visible & (np.cumsum(in_token)[:-1] == 0)).sum())
    unknown = spans[np.array(encoding.ids, np.int64) == (-1 if unknown_id is None else unknown_id)]
    return Losses(len(text), int((unknown[:, 1] - unknown[:, 0]).sum()), without)


def _texts_with_added_tokens(tokenizer: LoadedTokenizer) -> list[str]:
    """Write the tokenizer's own added tokens into texts: alone, next to letters, spaces and themselves."""
    added = [token["content"] for token in json.loads(tokenizer.content).get("added_tokens") or ()]
    shown = added[:: max(1, -(-len(added) // _COMPARED_ADDED_TOKENS))]
    return [
        f"{token}a{token} {token} {token}{token}\n{token}\nb{token}b  {token}.{token.upper()} {token.lower()}"
        for token in shown
    ] + ["".join(shown), " ".join(shown)]


def text_groups(texts: list[str]) -> Iterator[list[str]]:
    """Yield neighbouring texts in groups of at most a million characters, or one longer text."""
    group: list[str] = []
    size = 0
    for text in texts:
        if group and size + len(text) > _GROUP_CHARACTERS:
            yield group
            group, size = [], 0
        group.append(text)
        size += len(text)
    if group:
        yield group


@lru_cache(maxsize=4)
def _encoder(library: Library, tokenizer: LoadedTokenizer) -> _Encoder:
    return _Gigatoken(tokenizer) if library is Library.GIGATOKEN else _HuggingFace(tokenizer)


def _awkward(texts: pa.StringArray) -> Any:
    """Wrap the column's own buffers as gigatoken reads them, without a copy."""
    import awkward as ak
    from awkward.contents import ListOffsetArray, NumpyArray
    from awkward.index import Index64

    data, offsets = buffers(texts)
    characters = NumpyArray(data, parameters={"__array__": "char"})
    return ak.Array(
        ListOffsetArray(Index64(offsets.astype(np.int64)), characters, parameters={"__array__": "string"})
    )


def _in_one_line(error: Exception) -> str:
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"
