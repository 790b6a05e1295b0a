from __future__ import annotations

import re
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels import text, unicode_tables
from spark_jobs.runtime.columns import buffers, strings

ODD = st.sampled_from(
    list("\r\n\t\x00\x0b\x0c\x1c\x85\x9f\xa0\u2028\ufeff e\u0301ñÃ©â€™Â\ufffd가ᄀ\u1161\u11a8")
)
TEXTS = st.lists(st.text(ODD | st.characters(exclude_categories=["Cs"]), max_size=40), max_size=6)


def normalised(value: str) -> str:
    value = re.sub("\r\n|[\n\x0b\x0c\r\x85\u2028\u2029]", "\n", value)
    value = value.replace("\ufeff", "")
    controls = r"\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"
    value = re.sub(rf"(?<=[^\s{controls}])[{controls}]+(?=[^\s{controls}])", " ", value)
    return re.sub(rf"[{controls}]", "", value).strip()


def byte_of(character: str) -> int:
    for encoding in ("cp1252", "latin-1"):
        try:
            byte = character.encode(encoding)[0]
            return byte if byte >= 0x80 else 0
        except UnicodeEncodeError:
            continue
    return 0


def faults(value: str) -> int:
    count = i = 0
    while i < len(value):
        first = byte_of(value[i])
        following = 0 if not 0xC2 <= first <= 0xF4 else 1 if first < 0xE0 else 2 if first < 0xF0 else 3
        rest = [byte_of(c) for c in value[i + 1 : i + 1 + following]]
        if following and len(rest) == following and all(0x80 <= byte < 0xC0 for byte in rest):
            count, i = count + following + 1, i + following + 1
        else:
            count, i = count + (value[i] == "\ufffd"), i + 1
    return count


@given(TEXTS)
def test_line_ends_controls_and_outer_white_space_follow_the_definition(texts: list[str]) -> None:
    column = pa.array(texts, pa.string())
    out = strings(*text.normalise(*buffers(column), unicode_tables.actions()))
    out.validate(full=True)
    assert out.to_pylist() == [normalised(value) for value in texts]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("one\x00two", "one two"),
        ("one\x1f\x7f\x80two", "one two"),
        ("one\x00 two \x00three\x00\nfour\n\x00five", "one two three\nfour\nfive"),
        ("\x00one\x00", "one"),
        ("one\ufefftwo", "onetwo"),
        ("one\x00\ufefftwo", "one two"),
        ("\x1b[1mbold\x1b[0m", "[1mbold [0m"),
        ("\x00\x01", ""),
    ],
)
def test_a_control_character_between_words_becomes_a_space(value: str, expected: str) -> None:
    column = pa.array([value, "next"], pa.string())
    assert strings(*text.normalise(*buffers(column), unicode_tables.actions())).to_pylist() == [
        expected,
        "next",
    ]


@given(TEXTS)
def test_faults_are_replacement_characters_and_mojibake(texts: list[str]) -> None:
    counted, characters = text.count_faults(
        *buffers(pa.array(texts, pa.string())), unicode_tables.windows_1252_bytes()
    )
    assert characters.tolist() == [len(value) for value in texts]
    assert counted.tolist() == [faults(value) for value in texts]


def test_mojibake_of_accents_quotes_and_emoji_is_seen() -> None:
    intended = "café “quoted” 😀"
    broken = intended.encode().decode("cp1252", errors="ignore")
    column = pa.array([intended, broken])
    counted, _ = text.count_faults(*buffers(column), unicode_tables.windows_1252_bytes())
    assert counted[0] == 0
    assert counted[1] >= 5


@pytest.mark.parametrize(("form", "floor"), [("NFC", 0x300), ("NFKC", 0xA0)])
@given(texts=TEXTS)
def test_a_text_that_is_not_in_its_form_is_always_found(
    form: unicode_tables.UnicodeForm, floor: int, texts: list[str]
) -> None:
    found = text.has_any(*buffers(pa.array(texts, pa.string())), unicode_tables.unstable(form), floor)
    for value, suspect in zip(texts, found, strict=True):
        assert suspect or unicodedata.is_normalized(form, value)


@pytest.mark.parametrize("form", ["NFC", "NFKC"])
def test_every_pair_of_characters_that_a_form_composes_is_found(form: unicode_tables.UnicodeForm) -> None:
    decomposed = [
        unicodedata.normalize("NFD", character)
        for character in map(chr, range(0x110000))
        if unicodedata.normalize("NFD", character) != character
    ]
    pairs = [value for value in decomposed if not unicodedata.is_normalized(form, value)]
    assert {"\u0b92\u0bd7", "\u1025\u102e"} <= set(pairs)  # Tamil, Burmese
    found = text.has_any(*buffers(pa.array(pairs)), unicode_tables.unstable(form), 0xA0)
    assert [value for value, suspect in zip(pairs, found, strict=True) if not suspect] == []


def test_ordinary_text_of_many_scripts_is_not_suspected() -> None:
    texts = ["plain", "Grüße, señor", "Привет", "漢字かな", "안녕하세요", "مرحبا", "😀"]
    found = text.has_any(*buffers(pa.array(texts)), unicode_tables.unstable("NFC"), 0x300)
    assert not found.any()


def test_tables_agree_with_str_on_every_code_point() -> None:
    classes = unicode_tables.classes()
    for point in range(0x110000):
        if not 0xD800 <= point < 0xE000:
            character = chr(point)
            assert bool(classes[point] & unicode_tables.WHITESPACE) == character.isspace(), hex(point)
            assert bool(classes[point] & unicode_tables.ALPHANUMERIC) == character.isalnum(), hex(point)
