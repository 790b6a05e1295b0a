"""Texts to token ids: by the fastest packaged engine where it gives Hugging Face's ids, else by theirs.

gigatoken reads Arrow buffers and writes flat arrays; Hugging Face tokenizers define what is right. The two
are compared on a sample of the corpus and on ``TRICKY`` before the first document is encoded.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import Tokenizer

from spark_jobs.runtime.columns import buffers
from spark_jobs.tokens.tokenizer import LoadedTokenizer

Tokens = npt.NDArray[np.generic]

#: Encodings of Hugging Face take a hundred times their text.
_GROUP_CHARACTERS = 1_000_000

#: What engines have been seen to disagree on: white space, digits, marks, scripts, controls, long runs.
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


class Engine(enum.StrEnum):
    """Packages that turn texts into ids."""

    GIGATOKEN = "gigatoken"
    TOKENIZERS = "tokenizers"


@dataclass(frozen=True)
class EngineChoice:
    """The engine to use, and why it is not the fast one ('' when it is)."""

    engine: Engine
    reason: str = ""


class _Encoder(Protocol):
    def encode(self, texts: pa.StringArray) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        """All ids one after the other, and the offsets (documents + 1) of the documents."""


def choose_engine(tokenizer: LoadedTokenizer, sample: Sequence[str]) -> EngineChoice:
    """gigatoken when it loads the tokenizer and its ids equal Hugging Face's on ``sample`` and TRICKY."""
    texts = pa.array([*TRICKY, *sample], pa.string())
    try:
        fast = _encoder(Engine.GIGATOKEN, tokenizer.content).encode(texts)
    except Exception as error:  # whatever the package raises: it cannot do this tokenizer
        reason = (str(error).splitlines() or [""])[0][:200]
        return EngineChoice(Engine.TOKENIZERS, f"gigatoken cannot load it ({type(error).__name__}: {reason})")
    ids, offsets = _encoder(Engine.TOKENIZERS, tokenizer.content).encode(texts)
    for document in range(len(texts)):
        theirs = fast[0][fast[1][document] : fast[1][document + 1]]
        if not np.array_equal(theirs, ids[offsets[document] : offsets[document + 1]]):
            text = texts[document].as_py()[:60]
            return EngineChoice(Engine.TOKENIZERS, f"gigatoken gives other ids, as for {text!r}")
    return EngineChoice(Engine.GIGATOKEN)


def encode(tokenizer: LoadedTokenizer, engine: Engine, texts: pa.StringArray, dtype: str) -> list[Tokens]:
    """Token ids of each text, ending with the end-of-text token.

    A special token that is spelled out in a text is encoded as the ordinary characters that it is there:
    a document cannot end another.
    """
    ids, offsets = _encoder(engine, tokenizer.content).encode(texts)
    documents = len(texts)
    # every document moves on by the end tokens of those before it
    ends = offsets[1:] + np.arange(documents)
    out = np.empty(len(ids) + documents, dtype)
    within = np.ones(len(out), np.bool_)
    within[ends] = False
    out[within] = ids
    out[ends] = tokenizer.end_of_text_id
    return np.split(out, ends[:-1] + 1) if documents else []


class _Gigatoken:
    """The fast engine; on the calling thread alone, since Spark has a task on every core."""

    def __init__(self, content: str) -> None:
        from gigatoken import Tokenizer as Fast

        plain = json.loads(content)
        # without its special tokens it takes them for the ordinary characters that they are in a document
        plain["added_tokens"] = [token for token in plain.get("added_tokens") or () if not token["special"]]
        plain["post_processor"] = None
        self._tokenizer = Fast.from_json(json.dumps(plain, ensure_ascii=False))

    def encode(self, texts: pa.StringArray) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        layout = self._tokenizer.encode_batch(_awkward(texts), parallel=False).layout
        offsets = np.asarray(layout.offsets, np.int64)
        return np.asarray(layout.content.data)[offsets[0] : offsets[-1]], offsets - offsets[0]


class _HuggingFace:
    def __init__(self, content: str) -> None:
        self._tokenizer = Tokenizer.from_str(content)
        self._tokenizer.encode_special_tokens = True
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def encode(self, texts: pa.StringArray) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        rows = [
            np.array(encoding.ids, np.uint32)
            for group in text_groups(texts.to_pylist())
            for encoding in self._tokenizer.encode_batch_fast(group, add_special_tokens=False)
        ]
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        return np.concatenate([np.empty(0, np.uint32), *rows]), offsets


def text_groups(texts: list[str]) -> Iterator[list[str]]:
    """Neighbours of about a million characters together."""
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
def _encoder(engine: Engine, content: str) -> _Encoder:
    return _Gigatoken(content) if engine is Engine.GIGATOKEN else _HuggingFace(content)


def _awkward(texts: pa.StringArray) -> Any:
    """The column's own buffers as what gigatoken reads without a copy."""
    import awkward as ak
    from awkward.contents import ListOffsetArray, NumpyArray
    from awkward.index import Index64

    data, offsets = buffers(texts)
    characters = NumpyArray(data, parameters={"__array__": "char"})
    return ak.Array(
        ListOffsetArray(Index64(offsets.astype(np.int64)), characters, parameters={"__array__": "string"})
    )
