from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from include.recipes.corpus import TokenizerRecipe
from spark_jobs.tokens.tokenizer import train_tokenizer
from spark_jobs.tokens.vocabulary import byte_letters

END = "<|endoftext|>"


@pytest.fixture(scope="session")
def trained_json(sentence: Callable[[random.Random, int], str]) -> bytes:
    """A byte-level BPE of 400 tokens, whose end-of-text token has the id 0."""
    texts = [sentence(random.Random(i), 200) for i in range(20)]
    return train_tokenizer(texts, TokenizerRecipe(vocabulary_size=400))


def special(content: str, number: int, **flags: bool) -> dict[str, Any]:
    """Return an entry of ``added_tokens``."""
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": number, "content": content, **plain, **flags}


def tokenizer_json(model: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """Return a parsed ``tokenizer.json``; its end-of-text token is ``</s>``, 0, unless ``parts`` differ."""
    empty = {"truncation": None, "padding": None, "normalizer": None, "pre_tokenizer": None}
    rest = {"post_processor": None, "decoder": None, "added_tokens": [special("</s>", 0)]}
    return {"version": "1.0", **empty, **rest, "model": model, **parts}


def bpe(pieces: str | list[str], **fields: Any) -> dict[str, Any]:
    """Return a BPE of ``</s>`` and these pieces, without merges."""
    vocabulary = {piece: number for number, piece in enumerate(["</s>", *pieces])}
    return {"type": "BPE", "vocab": vocabulary, "merges": [], **fields}


def byte_level(**fields: Any) -> dict[str, Any]:
    """Return a parsed byte-level BPE with a token for every byte."""
    step = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return tokenizer_json(bpe(list(byte_letters().values()), **fields), pre_tokenizer=step)


def as_bytes(plain: dict[str, Any]) -> bytes:
    """Return the file of a parsed ``tokenizer.json``."""
    return json.dumps(plain).encode()
