"""Both engines give Hugging Face's ids, and where the fast one would not, it is not used."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from include.recipes.corpus import TokenizerRecipe
from spark_jobs.tokens.engine import TRICKY, Engine, choose_engine, encode, text_groups
from spark_jobs.tokens.tokenizer import LoadedTokenizer, check_tokenizer, train_tokenizer

END = "<|endoftext|>"
ENGINES = list(Engine)


@pytest.fixture(scope="module")
def trained(sentence: Callable[[random.Random, int], str]) -> LoadedTokenizer:
    texts = [sentence(random.Random(i), 200) for i in range(20)]
    return check_tokenizer(train_tokenizer(texts, TokenizerRecipe(vocabulary_size=400)), END, "here")


def ids_of(
    loaded: LoadedTokenizer, engine: Engine, texts: list[str], dtype: str = "int32"
) -> list[list[int]]:
    return [ids.tolist() for ids in encode(loaded, engine, pa.array(texts, pa.string()), dtype)]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_trained_tokenizer_gives_any_text_back(engine: Engine, trained: LoadedTokenizer) -> None:
    assert (trained.vocabulary_size, trained.end_of_text_id) == (400, 0)
    text = "Grüße, 漢字\n\t😀 \x00 end"
    (ids,) = ids_of(trained, engine, [text], "uint16")
    assert Tokenizer.from_str(trained.content).decode(ids[:-1]) == text


@pytest.mark.parametrize("engine", ENGINES)
def test_every_document_ends_once_even_when_it_spells_the_end_out(
    engine: Engine, trained: LoadedTokenizer
) -> None:
    for ids in ids_of(trained, engine, ["plain", f"a {END} b", END, "", "last"], "uint16"):
        assert ids.count(trained.end_of_text_id) == 1
        assert ids[-1] == trained.end_of_text_id


def test_no_texts_have_no_tokens(trained: LoadedTokenizer) -> None:
    assert ids_of(trained, Engine.GIGATOKEN, []) == []


@given(texts=st.lists(st.text(), max_size=8))
def test_the_engines_agree_on_any_text(texts: list[str], trained: LoadedTokenizer) -> None:
    assert ids_of(trained, Engine.GIGATOKEN, texts) == ids_of(trained, Engine.TOKENIZERS, texts)


def test_a_slice_of_a_column_is_encoded_as_its_texts(trained: LoadedTokenizer) -> None:
    column = pa.array(["one", "two", "three", "four"]).slice(1, 2)
    found = [ids.tolist() for ids in encode(trained, Engine.GIGATOKEN, column, "int32")]
    assert found == ids_of(trained, Engine.TOKENIZERS, ["two", "three"])


def test_the_fast_engine_is_chosen_where_it_agrees(trained: LoadedTokenizer) -> None:
    choice = choose_engine(trained, ["some text of the corpus"])
    assert (choice.engine, choice.reason) == (Engine.GIGATOKEN, "")


def test_an_engine_that_gives_other_ids_is_not_used_and_the_text_is_named(
    trained: LoadedTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spark_jobs.tokens import engine as module

    good = module._encoder(Engine.TOKENIZERS, trained.content)

    class Wrong:
        def encode(self, texts: pa.StringArray) -> object:
            ids, offsets = good.encode(texts)
            ids[offsets[len(TRICKY)]] += 1  # the first id of the first text of the corpus
            return ids, offsets

    monkeypatch.setattr(module, "_encoder", lambda engine, _: Wrong() if engine is Engine.GIGATOKEN else good)
    choice = choose_engine(trained, ["of the corpus"])
    assert choice.engine is Engine.TOKENIZERS
    assert choice.reason == "gigatoken gives other ids, as for 'of the corpus'"


def test_a_tokenizer_that_the_fast_engine_cannot_load_is_left_to_the_other(trained: LoadedTokenizer) -> None:
    plain = json.loads(trained.content)
    words = {"type": "WordLevel", "vocab": plain["model"]["vocab"], "unk_token": END}
    loaded = LoadedTokenizer(json.dumps({**plain, "model": words}), 400, 0)
    choice = choose_engine(loaded, [])
    assert choice.engine is Engine.TOKENIZERS and "cannot load it" in choice.reason


SAMPLE = ["of the corpus", "Grüße, 漢字\n\t😀 \x00 end", "  blanks   and ▁ marks ", f"a {END} b </s> <unk>"]


def hugging_face(loaded: LoadedTokenizer, texts: list[str]) -> list[list[int]]:
    """By the definition: each text by itself, what is special in it spelled out."""
    tokenizer = Tokenizer.from_str(loaded.content)
    tokenizer.encode_special_tokens = True
    return [[*tokenizer.encode(text, add_special_tokens=False).ids, loaded.end_of_text_id] for text in texts]


@pytest.mark.parametrize(
    ("kind", "engine", "reason"),
    [("bpe", Engine.GIGATOKEN, ""), ("unigram", Engine.TOKENIZERS, 'Unsupported model type "Unigram"')],
)
def test_tokenizers_of_sentence_piece_encode_as_hugging_face_does(
    kind: str, engine: Engine, reason: str, sentence_piece: dict[str, str]
) -> None:
    loaded = check_tokenizer(sentence_piece[kind].encode(), "</s>", kind)
    choice = choose_engine(loaded, SAMPLE)
    assert choice.engine is engine and reason in choice.reason and bool(reason) == bool(choice.reason)
    texts = [*TRICKY, *SAMPLE]
    assert ids_of(loaded, choice.engine, texts) == hugging_face(loaded, texts)


def test_bytes_stand_for_what_the_vocabulary_of_sentence_piece_lacks(sentence_piece: dict[str, str]) -> None:
    loaded = check_tokenizer(sentence_piece["bpe"].encode(), "</s>", "bpe")
    vocabulary = {number: token for token, number in json.loads(loaded.content)["model"]["vocab"].items()}
    (ids,) = ids_of(loaded, Engine.GIGATOKEN, ["😀"])
    assert [vocabulary[i] for i in ids] == ["▁", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "</s>"]
    assert Tokenizer.from_str(loaded.content).decode(ids[:-1]) == "😀"


@given(texts=st.lists(st.text(), max_size=8))
def test_the_engines_agree_on_any_text_by_a_bpe_of_sentence_piece(
    texts: list[str], sentence_piece: dict[str, str]
) -> None:
    loaded = check_tokenizer(sentence_piece["bpe"].encode(), "</s>", "bpe")
    assert ids_of(loaded, Engine.GIGATOKEN, texts) == hugging_face(loaded, texts)


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
    loaded = check_tokenizer(path.read_bytes(), end, str(path))
    assert choose_engine(loaded, []).engine is Engine.GIGATOKEN
    expected = Tokenizer.from_file(str(path))
    texts = ["The quick brown fox.", "def f(x):\n    return x\n", "Grüße 漢字 😀"]
    for text, ids in zip(texts, ids_of(loaded, Engine.GIGATOKEN, texts), strict=True):
        assert ids == [*expected.encode(text, add_special_tokens=False).ids, loaded.end_of_text_id]
