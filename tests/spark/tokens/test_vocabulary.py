from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, pre_tokenizers

from spark_jobs.tokens.vocabulary import (
    TEXT_BYTES,
    byte_letters,
    ids,
    is_reachable,
    missing_bytes,
    without_special_pieces,
)
from tests.spark.tokens.conftest import bpe, byte_level, special, tokenizer_json


def test_letters_of_bytes_are_those_of_the_library() -> None:
    assert set(byte_letters().values()) == set(pre_tokenizers.ByteLevel.alphabet())
    ((spelled, _),) = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(
        "é\n"
    )
    assert spelled == "".join(byte_letters()[byte] for byte in "é\n".encode())


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\n")))
def test_documents_hold_no_other_bytes_than_text_bytes(text: str) -> None:
    assert set(text.encode()) <= set(TEXT_BYTES)


def test_ids_of_a_list_are_positions() -> None:
    assert ids({"vocab": [["a", -1.0], ["b", -2.0]]}) == {"a": 0, "b": 1}
    assert ids({"vocab": {"a": 7}}) == {"a": 7}


def test_bytes_are_missing_by_the_alphabet_that_the_tokenizer_uses() -> None:
    assert missing_bytes(byte_level()) == []
    assert missing_bytes(tokenizer_json(bpe("ab"))) is None
    assert missing_bytes(byte_level(end_of_word_suffix="</w>")) == list(TEXT_BYTES)
    fallback = bpe([f"<0x{byte:02X}>" for byte in range(256) if byte != 0xE6], byte_fallback=True)
    assert missing_bytes(tokenizer_json(fallback)) == [0xE6]


def test_byte_letters_count_only_where_texts_are_turned_into_them() -> None:
    assert missing_bytes(byte_level() | {"pre_tokenizer": None}) is None
    assert missing_bytes(byte_level() | {"pre_tokenizer": None, "normalizer": {"type": "ByteLevel"}}) == []


def test_a_text_cannot_spell_a_special_piece_of_a_word_vocabulary() -> None:
    model = {"type": "WordLevel", "vocab": {"</s>": 0, "a": 1, "<unk>": 2}, "unk_token": "<unk>"}
    added = [special("</s>", 0), special("<unk>", 2)]
    plain = tokenizer_json(model, pre_tokenizer={"type": "WhitespaceSplit"}, added_tokens=added)
    tokenizer = Tokenizer.from_str(json.dumps(without_special_pieces(plain)))
    tokenizer.encode_special_tokens = True
    assert tokenizer.encode("a </s> a <unk>", add_special_tokens=False).ids == [1, 2, 1, 2]
    assert tokenizer.get_vocab_size() == 3


def test_a_bpe_keeps_its_pieces() -> None:
    assert without_special_pieces(byte_level()) == byte_level()


def test_a_special_token_is_reached_by_a_merge_a_whole_word_or_as_a_single_character() -> None:
    assert not is_reachable(byte_level(), "</s>")
    assert is_reachable(byte_level(ignore_merges=True), "</s>")
    assert is_reachable(byte_level(unk_token="</s>"), "</s>")
    assert is_reachable(byte_level(merges=[["<", "/s>"]]), "</s>")
    assert is_reachable(byte_level(merges=["</s >"]), "</s>")
    assert is_reachable(byte_level(), "a")
    words = {"type": "WordLevel", "vocab": {"</s>": 0}, "unk_token": "</s>"}
    assert is_reachable(tokenizer_json(words), "</s>")
