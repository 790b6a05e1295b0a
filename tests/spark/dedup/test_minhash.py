from __future__ import annotations

import random
import re
import string
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from include.recipes.near_dedup import FOLDS, NearDedupRecipe, profile
from spark_jobs.dedup import minhash
from spark_jobs.dedup.signatures import shingles
from spark_jobs.kernels import unicode_tables
from spark_jobs.runtime.columns import buffers

LETTERS = [
    "ไทย",
    "人々",
    "ភាសា",
    "བོད་",
    "ｶﾅ",
    "Word",
    "WORD",
    "naïve",
    "x9y",
    "漢字",
    "ñ",
    "Σ",
    "ς",
    "e\u0301",
    "\u0301",
    "한국",
    "_",
    "don't",
]
NUMBERS = ["๒๕๖๓", "3.14", "12", "7", "1.2.3", "٣"]
SEPARATORS = [".", ", ", " ", "\n", "\u3000", "—", "\t \xa0"]
PIECES = st.sampled_from([*LETTERS, *NUMBERS, *SEPARATORS])
#: Pieces that fold, and any character at all.
TEXTS = st.lists(PIECES | st.text(max_size=3), max_size=40).map("".join)


def written_without_spaces(character: str) -> bool:
    point = ord(character)
    of_script = any(start <= point < end for start, end in unicode_tables.SCRIPTS_WITHOUT_SPACES)
    return of_script and not character.isdecimal()


def cut_at_scripts_without_spaces(text: str) -> str:
    return "".join(f" {c} " if written_without_spaces(c) else c for c in text)


def datatrove_words(text: str) -> list[str]:
    """Numbers to 0, datatrove's punctuation to spaces, lower case, no diacritics; other signs are words."""
    text = re.sub(r"\d+(\.\d+)?", "0", text)
    taken_out = string.punctuation + "—”％〈（、━【「」，】；“《„’∶´．–？！：～«〉》）。…►»"
    text = "".join(
        " " if unicodedata.category(c)[0] in "ZC" or c.isspace() or c in taken_out else c for c in text
    )
    text = unicodedata.normalize("NFD", text.lower().replace("ς", "σ"))
    text = "".join(c for c in text if unicodedata.category(c) != "Mn")
    text = "".join(f" {c} " if unicodedata.category(c)[0] in "PS" else c for c in text)
    return cut_at_scripts_without_spaces(text).split()


def without_punctuation(text: str) -> str:
    """SlimPajama's ``get_features`` before it cuts the string, save that the kernel knows one small sigma."""
    text = text.lower().replace("ς", "σ").translate(str.maketrans("", "", string.punctuation))
    return re.sub(r"\s+", " ", text.strip())


def redpajama_words(text: str) -> list[str]:
    """RedPajama v2's ``normalize``, split at white space and around letters of scripts without spaces."""
    text = cut_at_scripts_without_spaces(without_punctuation(text).replace("\u1361", " \u1361 "))
    return [unicodedata.normalize("NFD", word) for word in text.split()]


def bigcode_strings(text: str) -> list[str]:
    """Split a text as the BigCode script does, with empty strings. An empty text has none."""
    return re.split("[^A-Za-z_0-9]", text) if text else []


DEFINITIONS: dict[str, Callable[[str], Sequence[str]]] = {
    "fineweb": datatrove_words,
    "slimpajama": without_punctuation,
    "redpajama_v2": redpajama_words,
    "bigcode": bigcode_strings,
}


def folded(text: str, name: str) -> list[int]:
    """Hashes of the units of a text."""
    data = np.frombuffer(text.encode(), np.uint8)
    units = np.empty(len(data) + 1, np.uint64)
    cut = shingles(profile(name))
    if cut.by_character:
        return units[: minhash.fold_characters(data, 0, len(data), cut.fold, units)].tolist()
    count, filled = minhash.fold_words(data, 0, len(data), cut.fold, units)
    assert filled == sum(word != "" for word in DEFINITIONS[name](text))
    return units[:count].tolist()


def signatures_of(
    texts: list[str], recipe: NearDedupRecipe, count: int = 112
) -> tuple[np.ndarray, np.ndarray]:
    data, offsets = buffers(pa.array(texts, pa.string()))
    return minhash.signatures(data, offsets, shingles(recipe), minhash.permutations(count, 1))


def assert_same_partition(hashes: list[int], units: Sequence[str]) -> None:
    """Equal units have equal hashes, different units different ones."""
    assert len(hashes) == len(units)
    pairs = set(zip(hashes, units, strict=True))
    assert len(pairs) == len(set(units)) == len(set(hashes))


@given(st.lists(PIECES, max_size=40).map("".join))
def test_fineweb_words_are_those_of_the_definition(text: str) -> None:
    assert_same_partition(folded(text, "fineweb"), datatrove_words(text))


@given(TEXTS)
def test_slimpajama_characters_are_those_of_the_definition(text: str) -> None:
    assume("İ" not in text)
    assert_same_partition(folded(text, "slimpajama"), without_punctuation(text))


@given(TEXTS)
def test_redpajama_words_of_an_nfc_text_are_those_of_the_definition(text: str) -> None:
    text = unicodedata.normalize("NFC", text)
    # an accent that meets its letter only once the punctuation between them is gone
    assume("İ" not in text and unicodedata.is_normalized("NFC", without_punctuation(text)))
    assert_same_partition(folded(text, "redpajama_v2"), redpajama_words(text))


@given(TEXTS)
def test_bigcode_strings_are_those_of_the_definition(text: str) -> None:
    assert_same_partition(folded(text, "bigcode"), bigcode_strings(text))


@given(st.lists(PIECES, max_size=30).map("".join), st.integers(1, 6), st.integers(1, 6))
def test_texts_that_fold_alike_have_equal_signatures(text: str, ngram: int, least: int) -> None:
    words = datatrove_words(text)
    other = unicodedata.normalize("NFC", " ".join(words))  # Hangul syllables in one piece again
    assume(datatrove_words(other) == words)  # not so where a mark between two numbers has gone
    minima, ngrams = signatures_of([text, other], NearDedupRecipe(ngram=ngram, min_units=least))
    assert (minima[0] == minima[1]).all()
    assert ngrams[0] == ngrams[1] == (max(1, len(words) - ngram + 1) if len(words) >= least else 0)


@pytest.mark.parametrize("name", ["slimpajama", "redpajama_v2", "bigcode"])
@given(text=TEXTS)
def test_a_document_of_too_few_units_has_no_ngrams(name: str, text: str) -> None:
    assume("İ" not in text)
    recipe = profile(name)
    units = DEFINITIONS[name](text)
    enough = sum(unit != "" for unit in units) >= recipe.min_units
    assert signatures_of([text], recipe)[1][0] == (len(units) - recipe.ngram + 1 if enough else 0)


@pytest.mark.parametrize("name", DEFINITIONS)
@given(texts=st.lists(TEXTS, max_size=5))
def test_any_signature_is_the_same_in_any_batch(name: str, texts: list[str]) -> None:
    together, counts = signatures_of(texts, profile(name), 12)
    for text, row, count in zip(texts, together, counts, strict=True):
        minima, ngrams = signatures_of([text], profile(name), 12)
        assert (minima[0] == row).all() and ngrams[0] == count


def test_documents_in_another_script_are_no_bigcode_duplicates() -> None:
    _, ngrams = signatures_of(
        ["汉字" * 50, "другой текст " * 9, "a b c d " + "汉" * 9, "a b c d e"], profile("bigcode")
    )
    assert ngrams.tolist() == [0, 0, 0, 1]


def test_every_fold_of_a_recipe_has_a_table() -> None:
    assert all(len(unicode_tables.folds(name)) == 0x110000 for name in FOLDS)


def test_a_signature_does_not_depend_on_the_batch_it_is_in(
    sentence: Callable[[random.Random, int], str],
) -> None:
    texts = [sentence(random.Random(seed), 4000 * seed + 3) for seed in range(3)]
    together, _ = signatures_of(texts, NearDedupRecipe())
    for text, row in zip(texts, together, strict=True):
        assert (signatures_of([text], NearDedupRecipe())[0][0] == row).all()


@pytest.mark.parametrize("shared", [0.9, 0.5, 0.2])
def test_share_of_equal_minima_estimates_jaccard(
    shared: float, sentence: Callable[[random.Random, int], str]
) -> None:
    words = sentence(random.Random(3), 6000).split()
    cut = int(len(words) * shared)
    other = words[:cut] + sentence(random.Random(4), len(words) - cut).split()
    left, right = ({tuple(w[i : i + 5]) for i in range(len(w) - 4)} for w in (words, other))
    jaccard = len(left & right) / len(left | right)
    minima, _ = signatures_of([" ".join(words), " ".join(other)], NearDedupRecipe(), count=2048)
    # four standard errors of a share of 2048
    assert (minima[0] == minima[1]).mean() == pytest.approx(jaccard, abs=4 * (0.25 / 2048) ** 0.5)


def test_band_keys_are_equal_exactly_where_all_rows_of_the_band_are() -> None:
    generator = np.random.Generator(np.random.PCG64(5))
    minima = generator.integers(0, 2, size=(200, 12)).astype(np.uint32)
    keys = minhash.band_keys(minima, 4, 3)
    for band in range(4):
        rows = [tuple(row) for row in minima[:, 3 * band : 3 * band + 3].tolist()]
        assert len(set(zip(rows, keys[:, band].tolist(), strict=True))) == len(set(rows))
    assert not set(keys[:, 0].tolist()) & set(keys[:, 1].tolist())
