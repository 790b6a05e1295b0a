"""A tokenizer that would spoil a corpus is refused in one line before the work; what is ignored is said."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import models

from include.contracts.errors import InputError
from include.recipes.corpus import TokenizerRecipe
from spark_jobs.tokens.examination import examine, examine_recipe
from spark_jobs.tokens.tokenizer import LoadedTokenizer
from tests.spark.tokens.conftest import END, as_bytes, bpe, byte_level, special, tokenizer_json

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
SPACES = {"type": "WhitespaceSplit"}


def refusal(content: bytes | dict[str, Any], end_of_text: str = "</s>") -> str:
    with pytest.raises(InputError) as caught:
        examine(content if isinstance(content, bytes) else as_bytes(content), end_of_text, "s3://b/t.json")
    message = str(caught.value)
    assert message.startswith("s3://b/t.json") and "\n" not in message
    return message


def accepted(plain: dict[str, Any], end_of_text: str = "</s>") -> LoadedTokenizer:
    return examine(as_bytes(plain), end_of_text, "s3://b/t.json")


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"model": {"type": "none"}}', b"PK\x03\x04"])
def test_a_file_that_is_no_tokenizer_is_refused(content: bytes) -> None:
    assert "not a tokenizer" in refusal(content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xef\xbb\xbf{}", "a byte order mark"),
        (json.dumps({"model": {}}).encode("utf-16"), "a byte order mark"),
        (gzip.compress(b"{}"), "packed with gzip"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a Git LFS pointer"),
        (b"<html>404</html>", "an HTML page"),
        (b'{"the": 0, "a": 1}', 'no "model", which a tokenizer.json has; found a, the'),
        (b"[]", "found list"),
        (as_bytes(byte_level() | {"chat": 1}), "unknown fields: chat"),
        (
            as_bytes(tokenizer_json({"type": "WordLevel", "vocab": {"</s>": 0}, "unk_token": None})),
            "unk_token",
        ),
    ],
)
def test_a_file_that_is_no_tokenizer_is_named_as_what_it_is(content: bytes, reason: str) -> None:
    assert reason in refusal(content)


def test_a_trained_tokenizer_is_accepted_without_notes(trained_json: bytes) -> None:
    loaded = examine(trained_json, END, "here")
    assert (loaded.vocabulary_size, loaded.end_of_text_id, loaded.unknown_id) == (400, 0, None)
    assert loaded.covers_all_text and loaded.notes == () and not loaded.end_is_checked


def test_a_tokenizer_without_the_end_of_text_token_is_refused(trained_json: bytes) -> None:
    assert "expected </s>; got added tokens <|endoftext|>" in refusal(trained_json)


def test_an_end_of_text_token_that_is_not_special_is_refused() -> None:
    plain = byte_level() | {"added_tokens": [special("</s>", 0, special=False)]}
    assert "the end-of-text token </s> is not special" in refusal(plain)


def test_an_end_of_text_token_that_is_only_a_piece_of_the_vocabulary_is_refused() -> None:
    message = refusal(byte_level() | {"added_tokens": []})
    assert "is not special" in message and "got a piece of the model's vocabulary" in message


def test_an_end_of_text_token_that_merges_can_make_is_refused() -> None:
    letters = byte_level()
    model = letters["model"]
    model["vocab"] |= {"EO": 257, "EOT": 258}
    model["merges"] = [["E", "O"], ["EO", "T"]]
    message = refusal(letters | {"added_tokens": [special("EOT", 258)]}, "EOT")
    assert "a document would hold the end-of-text token before its end" in message


@pytest.mark.parametrize("fuse", [True, False])
def test_an_end_of_text_token_that_stands_for_unknown_text_is_refused(fuse: bool) -> None:
    model = bpe("ab", unk_token="</s>", fuse_unk=fuse)
    assert "the end-of-text token also stands for unknown text" in refusal(tokenizer_json(model))


def test_an_unknown_token_that_no_text_needs_may_be_the_end_of_text_token() -> None:
    assert accepted(byte_level(unk_token="</s>")).unknown_id is None


def test_dropout_is_refused() -> None:
    assert "model.dropout: BPE dropout encodes a text differently each time; expected null; got 0.1" in (
        refusal(byte_level(dropout=0.1))
    )
    assert accepted(byte_level(dropout=0.0)).covers_all_text


@pytest.mark.parametrize(
    ("model", "field"),
    [
        ({"type": "WordLevel", "vocab": {"</s>": 0, "a": 1}, "unk_token": "<unk>"}, "unk_token"),
        (
            {
                "type": "WordPiece",
                "vocab": {"</s>": 0, "a": 1},
                "unk_token": "[UNK]",
                "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
            },
            "unk_token",
        ),
        ({"type": "Unigram", "vocab": [["</s>", 0.0], ["a", -1.0]], "unk_id": None}, "unk_id"),
        (bpe("ab"), "unk_token"),
        (bpe("ab", unk_token="<unk>"), "unk_token"),
        (bpe(["a", *BYTES[:-60]], byte_fallback=True), "unk_token"),
    ],
    ids=["WordLevel", "WordPiece", "Unigram", "BPE", "BPE, unk not in vocabulary", "BPE, some bytes"],
)
def test_a_model_without_a_token_for_unknown_text_is_refused(model: dict[str, Any], field: str) -> None:
    message = refusal(tokenizer_json(model))
    assert f"model.{field}: {model['type']} without a token for unknown text" in message


def test_a_byte_level_vocabulary_that_lacks_bytes_is_refused_with_their_number() -> None:
    plain = byte_level()
    vocabulary = plain["model"]["vocab"]
    plain["model"]["vocab"] = {piece: i for i, piece in enumerate(p for p in vocabulary if p not in "éĦ")}
    assert "no token for 2 bytes such as 0x" in refusal(plain)


def test_bytes_that_no_document_holds_may_lack() -> None:
    plain = byte_level()
    never = [chr(0x100 + byte) for byte in (0, 1, 0x1F)] + ["À", "ÿ"]
    plain["model"]["vocab"] = {
        p: i for i, p in enumerate(p for p in plain["model"]["vocab"] if p not in never)
    }
    assert accepted(plain).covers_all_text


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ({"type": "WordLevel", "vocab": {"</s>": 0, "a": 1, "<unk>": 2}, "unk_token": "<unk>"}, SPACES),
        ({"type": "Unigram", "vocab": [["</s>", 0.0], ["a", -1.0], ["<unk>", 0.0]], "unk_id": 2}, None),
        (bpe(["a", "<unk>"], unk_token="<unk>"), None),
    ],
    ids=["WordLevel", "Unigram", "BPE"],
)
def test_an_unknown_token_does_not_cover_text(model: dict[str, Any], parts: dict[str, Any] | None) -> None:
    loaded = accepted(tokenizer_json(model, pre_tokenizer=parts))
    assert loaded.unknown_id == 2 and not loaded.covers_all_text


@pytest.mark.parametrize(
    ("added", "found"),
    [
        ([special("</s>", 0), special("<a>", 300)], "expected id 257"),
        ([special("</s>", 0), special("<a>", 5)], "got id 5"),
        ([special("</s>", 0), special("<a>", 257), special("<b>", 257)], "'<b>'"),
        ([special("</s>", 3)], "expected id 0"),
    ],
    ids=["a gap", "an id of the vocabulary", "twice", "another id than in the vocabulary"],
)
def test_an_added_token_whose_id_does_not_fit_is_refused(added: list[dict[str, Any]], found: str) -> None:
    assert found in refusal(byte_level() | {"added_tokens": added})


def test_two_pieces_of_one_id_are_refused() -> None:
    plain = byte_level()
    plain["model"]["vocab"]["a"] = plain["model"]["vocab"]["b"]
    assert "two pieces of the vocabulary have the id" in refusal(plain)


@pytest.mark.parametrize("highest", [100_000, 2**31])
def test_ids_far_above_the_number_of_tokens_are_refused(highest: int) -> None:
    plain = byte_level()
    plain["model"]["vocab"]["a"] = highest
    assert f"got id {highest}" in refusal(plain)


def test_a_few_unused_ids_are_said() -> None:
    plain = byte_level()
    plain["model"]["vocab"]["a"] = 300
    assert accepted(plain).notes == ("44 of 301 ids have no token",)


def test_parts_that_are_not_applied_are_said() -> None:
    truncation = {"direction": "Right", "max_length": 7, "strategy": "LongestFirst", "stride": 0}
    padding = {
        "strategy": {"Fixed": 10},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "</s>",
    }
    template = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "</s>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"</s>": {"id": "</s>", "ids": [0], "tokens": ["</s>"]}},
    }
    plain = byte_level() | {"truncation": truncation, "padding": padding, "post_processor": template}
    cut, padded, processed = accepted(plain).notes
    assert cut.startswith("truncation to 7 tokens is not applied")
    assert padded == "padding is not applied"
    assert processed.startswith("the post-processor TemplateProcessing is not applied: the 1 special")


def test_the_unknown_token_of_a_byte_fallback_is_not_needed() -> None:
    assert accepted(tokenizer_json(bpe(["a", *BYTES], byte_fallback=True))).covers_all_text
    vocabulary = [["</s>", 0.0], ["<unk>", 0.0], *([piece, 0.0] for piece in BYTES)]
    unigram = {"type": "Unigram", "vocab": vocabulary, "unk_id": 1, "byte_fallback": True}
    assert accepted(tokenizer_json(unigram)).covers_all_text


def test_a_given_tokenizer_is_read_and_a_missing_one_is_refused(tmp_path: Path, trained_json: bytes) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(trained_json)
    assert examine_recipe(TokenizerRecipe(str(path))) == ()
    with pytest.raises(InputError, match="missing"):
        examine_recipe(TokenizerRecipe(str(tmp_path / "missing.json")))


@pytest.mark.parametrize("word", ["EOS", " end", "###", "\n\n"])
def test_a_word_that_training_could_learn_is_no_end_of_text_token(word: str) -> None:
    with pytest.raises(InputError, match="single word, which the trained tokenizer could learn"):
        examine_recipe(TokenizerRecipe(end_of_text=word))
    assert examine_recipe(TokenizerRecipe(end_of_text="</s>")) == ()


def test_real_files_of_other_versions_of_the_library_are_accepted(sentence_piece: dict[str, str]) -> None:
    plain = json.loads(sentence_piece["bpe"])
    del plain["model"]["type"]  # as the library wrote it years ago
    assert examine(json.dumps(plain).encode(), "</s>", "old").covers_all_text


def test_a_tokenizer_that_fails_on_a_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from spark_jobs.tokens import encoding

    def failing(*_: object) -> Callable[..., object]:
        raise Exception("no such piece\nat line 3")

    monkeypatch.setattr(encoding, "_encoder", failing)
    assert "the tokenizer cannot encode a text (Exception: no such piece)" in refusal(
        byte_level(fuse_unk=True)
    )


def test_the_model_types_of_the_library_are_the_ones_that_are_known() -> None:
    known = {models.BPE, models.Unigram, models.WordLevel, models.WordPiece}
    assert {kind for kind in vars(models).values() if isinstance(kind, type)} - {models.Model} == known
