"""The document, and every reason for which one is dropped."""

from __future__ import annotations

import enum

#: Columns of every parquet of documents. ``id`` is ``<source>/<shard>/<row>``: stable for the same shard.
DOCUMENT_COLUMNS = ("id", "text", "source", "subset", "metadata")


class Stage(enum.StrEnum):
    """Stages of the corpus in their order."""

    READ = "read"
    NORMALISE = "normalise"
    FILTER = "filter"
    EXACT_DEDUP = "exact_dedup"
    NEAR_DEDUP = "near_dedup"
    TOKENISE = "tokenise"


class DropReason(enum.StrEnum):
    """Why a record did not become a kept document; counted per stage."""

    CORRUPT_SHARD = "corrupt_shard"
    INVALID_JSON = "invalid_json"
    INVALID_UTF8 = "invalid_utf8"
    NO_TEXT = "no_text"
    UNKNOWN_SCHEMA = "unknown_schema"
    TOO_LARGE = "too_large"
    EMPTY = "empty_after_normalisation"
    ENCODING_FAULT = "encoding_fault"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    SYMBOLS = "too_many_symbols"
    REPETITION = "too_repetitive"
    EXACT_DUPLICATE = "exact_duplicate"
    NEAR_DUPLICATE = "near_duplicate"
