"""A file of documents becomes segments of tokens: dropped and lost text is counted, a sample is compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.contracts.errors import InputError
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.jobs import tokenise
from spark_jobs.runtime import progress
from spark_jobs.tokens import encoding
from spark_jobs.tokens.encoding import Library, Losses
from spark_jobs.tokens.examination import examine
from spark_jobs.tokens.file_task import TokenisedFile, sampled_rows, tokenise_file
from spark_jobs.tokens.tokenizer import LoadedTokenizer
from tests.spark.tokens.conftest import END, as_bytes, tokenizer_json

WORDS = {"type": "WordLevel", "vocab": {"</s>": 0, "a": 1, "b": 2, "<unk>": 3}, "unk_token": "<unk>"}


@pytest.fixture(scope="module")
def trained(trained_json: bytes) -> LoadedTokenizer:
    return examine(trained_json, END, "here")


@pytest.fixture
def words() -> LoadedTokenizer:
    plain = tokenizer_json(WORDS, pre_tokenizer={"type": "WhitespaceSplit"})
    return examine(as_bytes(plain), "</s>", "here")


def write_documents(root: Path, texts: list[str], subsets: list[str] | None = None) -> str:
    path = root / "documents/part-00000.parquet"
    path.parent.mkdir()
    columns = {
        "id": [f"s/{i:09d}" for i in range(len(texts))],
        "text": texts,
        "subset": subsets or ["one"] * len(texts),
    }
    pq.write_table(pa.table(columns), path)
    return str(path)


def test_documents_lie_by_subset_in_their_order_and_runs_say_where(
    tmp_path: Path, words: LoadedTokenizer
) -> None:
    uri = write_documents(tmp_path, ["a", "b b", "a a a", "b"], ["two", "one", "one", "two"])
    layout = VersionLayout(str(tmp_path))
    file = tokenise_file(layout, words, Library.TOKENIZERS, 5, uri)
    found = [
        (segment.subset, segment.row, segment.documents, segment.token, segment.tokens)
        for segment in file.segments
    ]
    assert found == [("one", 0, 1, 0, 3), ("one", 1, 1, 3, 4), ("two", 2, 2, 7, 4)]
    (path,) = Path(layout.work_tokens).glob("*.bin")
    assert np.fromfile(path, np.uint16).tolist() == [2, 2, 0, 1, 1, 1, 0, 1, 0, 2, 0]
    rows = pq.read_table(path.with_suffix(".parquet")).column("id").to_pylist()
    assert [int(row[-1]) for row in rows] == [1, 2, 0, 3]


def test_documents_without_a_token_of_the_vocabulary_are_dropped_and_counted(
    tmp_path: Path, words: LoadedTokenizer
) -> None:
    uri = write_documents(tmp_path, ["a", "漢字 仮名", "a 漢字", "\u2003"])
    file = tokenise_file(VersionLayout(str(tmp_path)), words, Library.TOKENIZERS, 100, uri)
    assert [(segment.documents, segment.tokens) for segment in file.segments] == [(2, 5)]
    assert (file.dropped, file.losses) == (2, Losses(11, 6, 0))


def test_a_file_whose_documents_are_all_dropped_has_no_runs(tmp_path: Path, words: LoadedTokenizer) -> None:
    uri = write_documents(tmp_path, ["漢字"])
    assert tokenise_file(VersionLayout(str(tmp_path)), words, Library.TOKENIZERS, 100, uri) == TokenisedFile(
        (), 1, Losses(2, 2, 0)
    )


@given(st.integers(0, 5_000_000))
def test_the_sample_of_a_file_spans_it_evenly(rows: int) -> None:
    sample = sampled_rows(rows)
    assert len(sample) == min(rows, 32 + rows // 512)
    if rows:
        assert (sample[0], sample[-1]) == (0, rows - 1) or rows == 1
        assert len(sample) == 1 or np.diff(sample).max() - np.diff(sample).min() <= 1


class Wrong:
    """Hugging Face's encoder with another first id for texts that hold a word."""

    def __init__(self, tokenizer: LoadedTokenizer, word: str) -> None:
        self._right, self._word = encoding._HuggingFace(tokenizer), word

    def encode(self, texts: pa.StringArray) -> Any:
        encoded = self._right.encode(texts)
        for position, text in enumerate(texts.to_pylist()):
            if self._word in text:
                encoded.ids[encoded.offsets[position]] += 1
        return encoded


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """gigatoken is wrong for texts that hold ``wrong``, and tasks run in this process."""
    right = encoding._encoder

    def chosen(library: Library, tokenizer: LoadedTokenizer) -> Any:
        return Wrong(tokenizer, "wrong") if library is Library.GIGATOKEN else right(library, tokenizer)

    monkeypatch.setattr(encoding, "_encoder", chosen)
    monkeypatch.setattr(
        progress, "run_tasks", lambda _spark, _stage, _unit, task, items: list(map(task, items))
    )


@pytest.mark.usefixtures("wrong")
def test_a_last_document_with_other_ids_makes_hugging_faces_library_encode_all(
    tmp_path: Path, trained: LoadedTokenizer, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [f"text number {i}" for i in range(600)]
    uri = write_documents(tmp_path, [*texts, "at last a wrong one"])
    layout = VersionLayout(str(tmp_path))
    first = tokenise_file(layout, trained, Library.GIGATOKEN, 10_000, uri)
    assert first == TokenisedFile((), difference="gigatoken gives other ids, as for 'at last a wrong one'")
    choice, (file,) = tokenise._encode(None, layout, trained, 10_000, [uri])  # type: ignore[arg-type]
    assert choice.library is Library.TOKENIZERS and choice.reason == first.difference
    assert sum(segment.documents for segment in file.segments) == 601
    assert f"slower: {first.difference}" in capsys.readouterr().err


@pytest.mark.usefixtures("wrong")
def test_a_long_document_is_compared_beyond_its_beginning(tmp_path: Path, trained: LoadedTokenizer) -> None:
    # windows lie at another position of each text
    texts = [f"{i} " * 2_000 + "wrong " * 400 + f"{i} " * 2_000 for i in range(32)]
    uri = write_documents(tmp_path, texts)
    file = tokenise_file(VersionLayout(str(tmp_path)), trained, Library.GIGATOKEN, 10_000, uri)
    assert file.difference.startswith("gigatoken gives other ids")


def test_a_failure_of_the_fast_library_is_a_difference_and_no_end(
    tmp_path: Path, trained: LoadedTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        def encode(self, texts: pa.StringArray) -> Any:
            raise RuntimeError("buffer too small")

    right = encoding._encoder
    monkeypatch.setattr(
        encoding, "_encoder", lambda lib, t: Failing() if lib is Library.GIGATOKEN else right(lib, t)
    )
    uri = write_documents(tmp_path, ["text"])
    file = tokenise_file(VersionLayout(str(tmp_path)), trained, Library.GIGATOKEN, 100, uri)
    assert file.difference == "gigatoken fails (RuntimeError: buffer too small)"


def test_a_document_that_would_be_cut_ends_the_job(tmp_path: Path, trained: LoadedTokenizer) -> None:
    uri = write_documents(tmp_path, ["a q b"])
    cutting = LoadedTokenizer(trained.content, "t.json", 400, ord("q") - ord("!") + 1, None, True)
    with pytest.raises(InputError, match=r"t\.json: a document would hold the end-of-text token"):
        tokenise_file(VersionLayout(str(tmp_path)), cutting, Library.GIGATOKEN, 100, uri)
