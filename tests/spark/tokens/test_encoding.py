"""Both libraries give Hugging Face's ids; the fast one is not used where it would not; losses are counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from include.contracts.errors import InputError
from spark_jobs.tokens import encoding as module
from spark_jobs.tokens.encoding import (
    TRICKY,
    Library,
    Losses,
    choose_library,
    encode,
    first_difference,
    text_groups,
)
from spark_jobs.tokens.examination import examine
from spark_jobs.tokens.tokenizer import LoadedTokenizer
from tests.spark.tokens.conftest import END, as_bytes, bpe, byte_level, special, tokenizer_json

LIBRARIES = list(Library)
SAMPLE = ["of the corpus", "Grüße, 漢字\n\t😀 \x00 end", "  blanks   and ▁ marks ", f"a {END} b </s> <unk>"]


@pytest.fixture(scope="module")
def trained(trained_json: bytes) -> LoadedTokenizer:
    return examine(trained_json, END, "here")


def ids_of(
    loaded: LoadedTokenizer, library: Library, texts: list[str], dtype: str = "int32"
) -> list[list[int]]:
    encoded, _ = encode(loaded, library, pa.array(texts, pa.string()), dtype)
    return [ids.tolist() for ids in encoded]


def losses_of(plain: dict[str, Any], text: str) -> Losses:
    loaded = examine(as_bytes(plain), "</s>", "here")
    return encode(loaded, Library.TOKENIZERS, pa.array([text]), "int32")[1]


def hugging_face(loaded: LoadedTokenizer, texts: list[str]) -> list[list[int]]:
    """Encode by the definition: each text by itself, special tokens in it spelled out."""
    tokenizer = Tokenizer.from_str(loaded.content)
    tokenizer.encode_special_tokens = True
    return [[*tokenizer.encode(text, add_special_tokens=False).ids, loaded.end_of_text_id] for text in texts]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_trained_tokenizer_gives_any_text_back(library: Library, trained: LoadedTokenizer) -> None:
    text = "Grüße, 漢字\n\t😀 \x00 end"
    (ids,) = ids_of(trained, library, [text], "uint16")
    assert Tokenizer.from_str(trained.content).decode(ids[:-1]) == text


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_document_ends_once_even_when_it_spells_the_end_out(
    library: Library, trained: LoadedTokenizer
) -> None:
    for ids in ids_of(trained, library, ["plain", f"a {END} b", END, "", "last"], "uint16"):
        assert ids.count(trained.end_of_text_id) == 1
        assert ids[-1] == trained.end_of_text_id


@given(text=st.lists(st.sampled_from(["</s>", "<unk>", "a", "lo", " ", "."]), max_size=8).map("".join))
def test_a_vocabulary_of_pieces_does_not_cut_a_document_that_spells_its_end_out(
    text: str, sentence_piece: dict[str, str]
) -> None:
    loaded = examine(sentence_piece["unigram"].encode(), "</s>", "unigram")
    (ids,) = ids_of(loaded, Library.TOKENIZERS, [text])
    assert ids.count(loaded.end_of_text_id) == 1 and ids[-1] == loaded.end_of_text_id


def test_no_texts_have_no_tokens(trained: LoadedTokenizer) -> None:
    assert ids_of(trained, Library.GIGATOKEN, []) == []


@given(texts=st.lists(st.text(), max_size=8))
def test_the_libraries_agree_on_any_text(texts: list[str], trained: LoadedTokenizer) -> None:
    assert ids_of(trained, Library.GIGATOKEN, texts) == ids_of(trained, Library.TOKENIZERS, texts)


def test_a_slice_of_a_column_is_encoded_as_its_texts(trained: LoadedTokenizer) -> None:
    column = pa.array(["one", "two", "three", "four"]).slice(1, 2)
    found = [ids.tolist() for ids in encode(trained, Library.GIGATOKEN, column, "int32")[0]]
    assert found == ids_of(trained, Library.TOKENIZERS, ["two", "three"])


def test_the_fast_library_is_chosen_where_it_agrees(trained: LoadedTokenizer) -> None:
    choice = choose_library(trained)
    assert (choice.library, choice.reason) == (Library.GIGATOKEN, "")


@pytest.fixture
def wrong_for(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], bool]], None]:
    """Make gigatoken give another first id for the texts that a condition names."""
    right = module._encoder

    def install(condition: Callable[[str], bool]) -> None:
        class Wrong:
            def __init__(self, tokenizer: LoadedTokenizer) -> None:
                self._encoder = right(Library.TOKENIZERS, tokenizer)

            def encode(self, texts: pa.StringArray) -> Any:
                encoded = self._encoder.encode(texts)
                for position, text in enumerate(texts.to_pylist()):
                    if text and condition(text):
                        encoded.ids[encoded.offsets[position]] += 1
                return encoded

        def chosen(library: Library, tokenizer: LoadedTokenizer) -> Any:
            return Wrong(tokenizer) if library is Library.GIGATOKEN else right(library, tokenizer)

        monkeypatch.setattr(module, "_encoder", chosen)

    return install


def test_a_library_that_gives_other_ids_is_not_used_and_the_text_is_named(
    trained: LoadedTokenizer, wrong_for: Callable[[Callable[[str], bool]], None]
) -> None:
    wrong_for(lambda text: "漢字" in text)
    choice = choose_library(trained)
    assert choice.library is Library.TOKENIZERS
    assert choice.reason.startswith("gigatoken gives other ids, as for 'Grüße")
    assert first_difference(trained, ["of the corpus", "漢字"]) == "gigatoken gives other ids, as for '漢字'"
    assert first_difference(trained, ["of the corpus"]) == ""


def test_the_tokenizers_own_added_tokens_are_compared_in_context(
    trained_json: bytes, wrong_for: Callable[[Callable[[str], bool]], None]
) -> None:
    plain = json.loads(trained_json)
    plain["added_tokens"] += [special(f"<{i}>", 400 + i, special=False) for i in range(300)]
    loaded = examine(json.dumps(plain).encode(), END, "here")
    assert choose_library(loaded).library is Library.GIGATOKEN
    wrong_for(lambda text: "a<127> <127> <127><127>" in text)
    assert "as for '<127>a<127>" in choose_library(loaded).reason


@given(
    flags=st.fixed_dictionaries({name: st.booleans() for name in ("lstrip", "rstrip", "normalized")}),
    texts=st.lists(st.lists(st.sampled_from(["<x>", "  ", " ", "a", "<X>", "\n", "."])).map("".join)),
)
def test_added_tokens_get_hugging_faces_ids_or_the_fast_library_is_not_used(
    flags: dict[str, bool], texts: list[str], trained_json: bytes
) -> None:
    plain = json.loads(trained_json)
    plain["added_tokens"].append(special("<x>", 400, special=False, **flags))
    loaded = examine(json.dumps(plain).encode(), END, "here")
    library = choose_library(loaded).library
    assert ids_of(loaded, library, texts) == hugging_face(loaded, texts)


def test_a_tokenizer_that_the_fast_library_cannot_load_is_left_to_the_other() -> None:
    plain = byte_level(ignore_merges=True) | {"normalizer": {"type": "Lowercase"}}
    plain["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [{"type": "FixedLength", "length": 3}, plain["pre_tokenizer"]],
    }
    loaded = examine(as_bytes(plain), "</s>", "here")
    assert loaded.covers_all_text
    choice = choose_library(loaded)
    assert choice.library is Library.TOKENIZERS and choice.reason.startswith("gigatoken ")


def test_a_panic_of_a_package_is_a_reason_and_no_end(
    trained: LoadedTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PanicException(BaseException):
        pass

    def panicking(*_: object) -> object:
        raise PanicException("index out of bounds\nnote: run with RUST_BACKTRACE")

    monkeypatch.setattr(module, "_encoder", panicking)
    reason = choose_library(trained).reason
    assert reason == "gigatoken cannot load it (RuntimeError: index out of bounds)"


def test_a_text_that_the_library_fails_on_is_named(trained: LoadedTokenizer) -> None:
    plain = json.loads(trained.content)
    search = {"type": "Split", "pattern": {"Regex": "(X+X+)+Y"}, "behavior": "Isolated", "invert": False}
    plain["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [search, plain["pre_tokenizer"]]}
    endless = replace(trained, content=json.dumps(plain))
    texts = pa.array(["fine", "bad " + "X" * 3000, "fine"], pa.string())
    with pytest.raises(InputError, match=r"cannot encode a text .*; got the text that begins with 'bad XX"):
        encode(endless, Library.TOKENIZERS, texts, "int32")


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_text_that_holds_the_end_of_text_token_is_refused(
    library: Library, trained: LoadedTokenizer
) -> None:
    (ids,) = ids_of(trained, library, ["q"])
    wrong = LoadedTokenizer(trained.content, "s3://b/t.json", 400, ids[0], None, True)
    with pytest.raises(InputError, match=r"s3://b/t\.json: a document would hold .* begins with 'a q b'"):
        encode(wrong, library, pa.array(["first", "a q b", "last"]), "int32")


@pytest.mark.parametrize(
    ("kind", "library", "reason"),
    [
        ("bpe", Library.GIGATOKEN, ""),
        ("unigram", Library.TOKENIZERS, "gigatoken does not count characters without a token"),
    ],
)
def test_tokenizers_of_sentence_piece_encode_as_hugging_face_does(
    kind: str, library: Library, reason: str, sentence_piece: dict[str, str]
) -> None:
    loaded = examine(sentence_piece[kind].encode(), "</s>", kind)
    choice = choose_library(loaded)
    assert (choice.library, choice.reason) == (library, reason)
    texts = [text for text in (*TRICKY, *SAMPLE) if kind == "bpe" or "</s>" not in text]
    assert ids_of(loaded, choice.library, texts) == hugging_face(loaded, texts)


def test_bytes_stand_for_what_the_vocabulary_of_sentence_piece_lacks(sentence_piece: dict[str, str]) -> None:
    loaded = examine(sentence_piece["bpe"].encode(), "</s>", "bpe")
    vocabulary = {number: token for token, number in json.loads(loaded.content)["model"]["vocab"].items()}
    (ids,) = ids_of(loaded, Library.GIGATOKEN, ["😀"])
    assert [vocabulary[i] for i in ids] == ["▁", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "</s>"]
    assert Tokenizer.from_str(loaded.content).decode(ids[:-1]) == "😀"


@given(texts=st.lists(st.text(), max_size=8))
def test_the_libraries_agree_on_any_text_by_a_bpe_of_sentence_piece(
    texts: list[str], sentence_piece: dict[str, str]
) -> None:
    loaded = examine(sentence_piece["bpe"].encode(), "</s>", "bpe")
    assert ids_of(loaded, Library.GIGATOKEN, texts) == hugging_face(loaded, texts)


def test_truncation_and_padding_do_not_touch_documents(trained_json: bytes) -> None:
    tokenizer = Tokenizer.from_buffer(trained_json)
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=50)
    loaded = examine(tokenizer.to_str().encode(), END, "here")
    text = "of the corpus, many words long"
    expected = Tokenizer.from_buffer(trained_json).encode(text, add_special_tokens=False).ids
    for library in LIBRARIES:
        assert ids_of(loaded, library, [text]) == [[*expected, 0]]


CHARACTERS = {"type": "BPE", "vocab": {"</s>": 0, "a": 1, "b": 2, "<unk>": 3}, "merges": []}


@given(st.text(st.sampled_from("ab漢 \n#")))
def test_characters_outside_of_the_vocabulary_are_counted(text: str) -> None:
    plain = tokenizer_json({**CHARACTERS, "unk_token": "<unk>", "fuse_unk": True})
    assert losses_of(plain, text) == Losses(len(text), len(text) - text.count("a") - text.count("b"), 0)


@given(st.text(st.sampled_from("ab漢 \n#")))
def test_characters_that_a_normalizer_removes_are_counted_without_white_space(text: str) -> None:
    plain = tokenizer_json(
        {**CHARACTERS, "unk_token": "<unk>"},
        normalizer={"type": "Replace", "pattern": {"Regex": "[^ab]"}, "content": ""},
        # so that no token spans what was removed
        pre_tokenizer={"type": "FixedLength", "length": 1},
    )
    assert losses_of(plain, text) == Losses(len(text), 0, text.count("漢") + text.count("#"))


def test_white_space_between_words_is_no_loss() -> None:
    words = {"type": "WordLevel", "vocab": {"</s>": 0, "a": 1, "<unk>": 2}, "unk_token": "<unk>"}
    plain = tokenizer_json(words, pre_tokenizer={"type": "WhitespaceSplit"})
    assert losses_of(plain, "a  a\n漢字 a") == Losses(9, 2, 0)


def test_losses_add_up() -> None:
    assert Losses(1, 2, 3).plus(Losses(10, 20, 30)) == Losses(11, 22, 33)


def test_a_tokenizer_that_covers_all_text_loses_nothing(trained: LoadedTokenizer) -> None:
    for library in LIBRARIES:
        assert encode(trained, library, pa.array(SAMPLE), "int32")[1] == Losses()


@given(st.lists(st.integers(0, 2_500_000).map("x".__mul__), max_size=8))
def test_texts_are_encoded_in_groups_that_bound_the_memory(texts: list[str]) -> None:
    groups = list(text_groups(texts))
    assert [text for group in groups for text in group] == texts
    assert all(len(group) == 1 or sum(map(len, group)) <= 1_000_000 for group in groups)


@pytest.mark.parametrize(("name", "end"), [("gpt-neo", END), ("llama", "</s>")])
def test_real_tokenizers_encode_as_hugging_face_does(name: str, end: str) -> None:
    path = Path(__file__).parents[4] / "shared" / "data" / "tokenizers" / f"{name}.json"
    if not path.is_file():
        pytest.skip("no shared data here")
    loaded = examine(path.read_bytes(), end, str(path))
    assert choose_library(loaded).library is Library.GIGATOKEN
    expected = Tokenizer.from_file(str(path))
    texts = ["The quick brown fox.", "def f(x):\n    return x\n", "Grüße 漢字 😀"]
    for text, ids in zip(texts, ids_of(loaded, Library.GIGATOKEN, texts), strict=True):
        assert ids == [*expected.encode(text, add_special_tokens=False).ids, loaded.end_of_text_id]


def test_pieces_of_a_bpe_without_merges_are_not_reached_by_their_spelling() -> None:
    loaded = examine(as_bytes(tokenizer_json(bpe(["a", "<unk>"], unk_token="<unk>"))), "</s>", "here")
    assert ids_of(loaded, Library.TOKENIZERS, ["</s>"]) == [[2, 2, 2, 2, 0]]
