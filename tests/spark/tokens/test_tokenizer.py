from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from include.contracts.errors import InputError
from include.recipes.corpus import TokenizerRecipe
from spark_jobs.tokens.tokenizer import (
    check_tokenizer,
    encode,
    text_groups,
    train_tokenizer,
    transformers_files,
)

END = "<|endoftext|>"
RECIPE = TokenizerRecipe(vocabulary_size=400)


@pytest.fixture(scope="module")
def trained(sentence: Callable[[random.Random, int], str]) -> bytes:
    return train_tokenizer([sentence(random.Random(i), 200) for i in range(20)], RECIPE)


def test_a_trained_tokenizer_gives_any_text_back(trained: bytes) -> None:
    loaded = check_tokenizer(trained, END, "here")
    assert (loaded.vocabulary_size, loaded.end_of_text_id) == (400, 0)
    text = "Grüße, 漢字\n\t😀 \x00 end"
    ids = encode(loaded, [text], "uint16")[0]
    assert Tokenizer.from_str(trained.decode()).decode(ids[:-1].tolist()) == text


def test_every_document_ends_once_even_when_it_spells_the_end_out(trained: bytes) -> None:
    loaded = check_tokenizer(trained, END, "here")
    for ids in encode(loaded, ["plain", f"a {END} b", END, ""], "uint16"):
        assert ids.tolist().count(loaded.end_of_text_id) == 1
        assert ids[-1] == loaded.end_of_text_id


@pytest.mark.parametrize("threads", ["1", "3"])
def test_training_does_not_depend_on_threads(
    threads: str, trained: bytes, tmp_path: Path, sentence: Callable[[random.Random, int], str]
) -> None:
    texts = tmp_path / "texts.json"
    texts.write_text(json.dumps([sentence(random.Random(i), 200) for i in range(20)]))
    program = (
        "import json, sys; from spark_jobs.tokens.tokenizer import *; from include.recipes.corpus import *;"
        f"texts = json.load(open({str(texts)!r}));"
        "sys.stdout.buffer.write(train_tokenizer(texts, TokenizerRecipe(vocabulary_size=400)))"
    )
    environment = {**os.environ, "RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "true"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    assert done.stdout == trained


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"model": {"type": "none"}}', b"PK\x03\x04"])
def test_a_file_that_is_no_tokenizer_is_refused(content: bytes) -> None:
    with pytest.raises(InputError, match=r"s3://b/t\.json: not a tokenizer"):
        check_tokenizer(content, END, "s3://b/t.json")


def test_a_tokenizer_without_the_end_of_text_token_is_refused(trained: bytes) -> None:
    with pytest.raises(InputError, match=r"expected </s>; got added tokens <\|endoftext\|>"):
        check_tokenizer(trained, "</s>", "here")


@given(st.lists(st.integers(0, 2_500_000).map("x".__mul__), max_size=8))
def test_texts_are_encoded_in_groups_that_bound_the_memory(texts: list[str]) -> None:
    groups = list(text_groups(texts))
    assert [text for group in groups for text in group] == texts
    assert all(len(group) == 1 or sum(map(len, group)) <= 1_000_000 for group in groups)


def test_transformers_files_name_the_end_of_text_token() -> None:
    files = transformers_files(END)
    assert json.loads(files["tokenizer_config.json"])["eos_token"] == END
    assert json.loads(files["special_tokens_map.json"])["eos_token"] == END


@pytest.mark.parametrize(("name", "end"), [("gpt-neo", END), ("llama", "</s>")])
def test_real_tokenizers_encode_as_hugging_face_does(name: str, end: str) -> None:
    path = Path(__file__).parents[4] / "shared" / "data" / "tokenizers" / f"{name}.json"
    if not path.is_file():
        pytest.skip("no shared data here")
    loaded = check_tokenizer(path.read_bytes(), end, str(path))
    texts = ["The quick brown fox.", "def f(x):\n    return x\n", "Grüße 漢字 😀"]
    expected = Tokenizer.from_file(str(path))
    for text, ids in zip(texts, encode(loaded, texts, "int32"), strict=True):
        assert ids.tolist() == [*expected.encode(text, add_special_tokens=False).ids, loaded.end_of_text_id]
