"""Near dedup counts characters where a script has no spaces between words, and words everywhere else."""

from __future__ import annotations

import random
import sys
import unicodedata
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recipes.near_dedup import profile
from spark_jobs.dedup import jaccard, minhash
from spark_jobs.dedup.signatures import shingles
from spark_jobs.kernels import unicode_tables
from spark_jobs.kernels.hashing import mix64
from spark_jobs.runtime.columns import buffers

PROFILES = ["fineweb", "redpajama_v2", "slimpajama"]
#: Scripts without spaces between words, by the beginning of the Unicode names of their letters.
SCRIPTS = {
    "Chinese": ("CJK UNIFIED IDEOGRAPH-4E", "CJK UNIFIED IDEOGRAPH-5"),
    "Japanese": ("HIRAGANA LETTER", "KATAKANA LETTER", "CJK UNIFIED IDEOGRAPH-6"),
    "rare ideographs": ("CJK UNIFIED IDEOGRAPH-200",),
    "Katakana of half width": ("HALFWIDTH KATAKANA LETTER",),
    "Bopomofo": ("BOPOMOFO LETTER",),
    "Yi": ("YI SYLLABLE",),
    "Thai": ("THAI CHARACTER",),
    "Lao": ("LAO LETTER", "LAO VOWEL SIGN"),
    "Khmer": ("KHMER LETTER", "KHMER VOWEL SIGN", "KHMER SIGN COENG"),
    "Myanmar": ("MYANMAR LETTER", "MYANMAR VOWEL SIGN", "MYANMAR SIGN"),
    "Tibetan": ("TIBETAN LETTER", "TIBETAN SUBJOINED LETTER", "TIBETAN VOWEL SIGN"),
    "Tai Tham": ("TAI THAM LETTER",),
    "Tai Le": ("TAI LE LETTER",),
    "New Tai Lue": ("NEW TAI LUE LETTER",),
    "Tai Viet": ("TAI VIET LETTER",),
    "Javanese": ("JAVANESE LETTER", "JAVANESE VOWEL SIGN"),
    "Balinese": ("BALINESE LETTER", "BALINESE VOWEL SIGN"),
}
ENDS = "。，！？།๏។၊ "
#: Text of any other script. Normalisation leaves no control characters to near dedup.
OTHERS = st.text(st.characters(exclude_categories=["Cs", "Cn", "Cc"], include_characters="\t\n")).filter(
    lambda text: not any(without_spaces(c) for c in text)
)


def without_spaces(character: str) -> bool:
    """Return True for the characters whose signatures may differ from those of words."""
    point = ord(character)
    ranges = [*unicode_tables.SCRIPTS_WITHOUT_SPACES, (0x1361, 0x1362)]
    return any(start <= point < end for start, end in ranges)


@lru_cache(maxsize=1)
def letters_by_name() -> dict[str, str]:
    named = ((unicodedata.name(chr(point), ""), chr(point)) for point in range(sys.maxunicode + 1))
    return {name: c for name, c in named if unicodedata.category(c)[0] in "LM"}


def letters_of(*beginnings: str) -> list[str]:
    """Return the letters and marks that are a character of their own in NFC."""
    found = [letter for name, letter in letters_by_name().items() if name.startswith(beginnings)]
    found = [letter for letter in found if unicodedata.is_normalized("NFC", letter)]
    assert len(found) > 20
    return found


def draw_sentences(generator: random.Random, letters: list[str], length: int) -> str:
    """Draw letters, with a sign of punctuation after some 20 to 40 of them and no other space."""
    text = ""
    while len(text) < length:
        text += "".join(generator.choices(letters, k=generator.randint(20, 40))) + generator.choice(ENDS)
    return unicodedata.normalize("NFC", text[:length])


def with_one_letter_changed(generator: random.Random, text: str, letters: list[str]) -> str:
    position = generator.randrange(len(text) // 4, 3 * len(text) // 4)
    other = generator.choice([letter for letter in letters if letter != text[position]])
    return unicodedata.normalize("NFC", text[:position] + other + text[position + 1 :])


def similarities(texts: list[str], name: str) -> tuple[float, float]:
    """Return the similarity of the second and of the third text to the first: exact and estimated agree."""
    cut = shingles(profile(name))
    data, offsets = buffers(pa.array(texts, pa.string()))
    kept = np.array([True, False, False])
    exact, _ = jaccard.similarities(data, offsets, kept, cut, np.empty(0, np.uint64))
    minima, _ = minhash.signatures(data, offsets, cut, minhash.permutations(1024, 1))
    estimated = (minima[1:] == minima[0]).mean(axis=1)
    assert estimated == pytest.approx(exact[1:], abs=4 * (0.25 / 1024) ** 0.5)
    return float(exact[1]), float(exact[2])


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_copy_with_one_letter_changed_is_similar_and_another_text_is_not(script: str, name: str) -> None:
    letters, generator = letters_of(*SCRIPTS[script]), random.Random(script)
    text, other = (draw_sentences(generator, letters, 600) for _ in range(2))
    copy = with_one_letter_changed(generator, text, letters)
    assert copy != text
    near, far = similarities([text, copy, other], name)
    assert near > 0.9 and far < 0.1


@pytest.mark.parametrize("name", PROFILES)
def test_a_text_of_several_scripts_is_compared_by_words_and_characters(name: str) -> None:
    generator = random.Random(1)
    kanji, thai = letters_of(*SCRIPTS["Japanese"]), letters_of(*SCRIPTS["Thai"])

    def mixed() -> str:
        words = "".join(generator.choices("abcdefgh ", k=300))
        return f"{draw_sentences(generator, kanji, 300)}{words}{draw_sentences(generator, thai, 300)} 2024年"

    text = mixed()
    near, far = similarities([text, with_one_letter_changed(generator, text, kanji), mixed()], name)
    assert near > 0.9 and far < 0.1


@pytest.mark.parametrize("fold", ["datatrove", "lower_case"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_every_letter_of_these_scripts_is_a_word_unless_the_fold_drops_it(script: str, fold: str) -> None:
    folded = unicode_tables.folds(fold)[[ord(letter) for letter in letters_of(*SCRIPTS[script])]]
    assert (folded[folded >= unicode_tables.FOLD_LETTER] >= unicode_tables.FOLD_ALONE).all()


@pytest.mark.parametrize(
    ("text", "words"), [("价格2563元", 4), ("ราคา๒๕๖๓บาท", 8), ("abc漢字def", 4), ("ሰላም፡ለዓለም", 3)]
)
def test_a_number_or_a_word_of_another_script_in_the_middle_is_one_word(text: str, words: int) -> None:
    cut = shingles(profile("redpajama_v2"))
    data = np.frombuffer(text.encode(), np.uint8)
    assert minhash.fold_words(data, 0, len(data), cut.fold, np.empty(99, np.uint64)) == (words, words)


def hash_of(word: str) -> int:
    """Hash a folded word as signatures of all corpus versions have it: FNV-1a over its code points."""
    value = 0xCBF29CE484222325
    for character in word:
        value = (value ^ ord(character)) * 0x100000001B3 % 2**64
    return int(mix64(np.uint64(value)))


@given(OTHERS)
def test_words_of_other_scripts_keep_their_hashes(text: str) -> None:
    cut = shingles(profile("redpajama_v2"))
    marks = {ord(mark): None for mark in r"""!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"""}
    lower = "".join(c.lower() if len(c.lower()) == 1 else c for c in text).replace("ς", "σ")
    words = lower.translate(marks).split()
    data = np.frombuffer(text.encode(), np.uint8)
    found = np.empty(len(data) + 1, np.uint64)
    count, _ = minhash.fold_words(data, 0, len(data), cut.fold, found)
    assert found[:count].tolist() == [hash_of(word) for word in words]


@given(st.text(st.sampled_from("漢字かなไทย ab.")))
def test_characters_of_all_scripts_keep_their_hashes(text: str) -> None:
    cut = shingles(profile("slimpajama"))
    data = np.frombuffer(text.encode(), np.uint8)
    found = np.empty(len(data) + 1, np.uint64)
    count = minhash.fold_characters(data, 0, len(data), cut.fold, found)
    expected = " ".join(text.replace(".", "").split())
    assert found[:count].tolist() == [int(mix64(np.uint64(ord(c)))) for c in expected]


def test_the_ranges_of_scripts_ascend_and_do_not_overlap() -> None:
    ranges = unicode_tables.SCRIPTS_WITHOUT_SPACES
    assert all(start < end for start, end in ranges)
    assert all(end <= start for (_, end), (start, _) in pairwise(ranges))


def test_bigcode_compares_no_text_of_these_scripts() -> None:
    generator = random.Random(2)
    texts = [draw_sentences(generator, letters_of(*SCRIPTS[name]), 600) for name in ("Chinese", "Thai")]
    data, offsets = buffers(pa.array(texts, pa.string()))
    cut = shingles(profile("bigcode"))
    assert minhash.signatures(data, offsets, cut, minhash.permutations(1, 1))[1].tolist() == [0, 0]
