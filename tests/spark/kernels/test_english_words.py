"""Words of English text are those of spaCy's blank English tokenizer, written down from its output."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.kernels.english_words import count_words, cut_words, plain_word
from spark_jobs.kernels.letters import letters
from spark_jobs.kernels.lines import hash_line
from spark_jobs.kernels.word_rules import word_rule

#: Stretches of text, each with its words.
CASES = """
    10km 10|km  5% 5|%  $5 $|5  US$5 US$|5  a--b a|--|b  foo...bar foo|...|bar  ... ...
    (e.g.) (|e.g.|)  don't do|n't  x:y x|:|y  3:4 3:4  it's. it|'s|.  'tis '|tis
    well-known well|-|known  a_b a_b  __init__ _|_|init|_|_  foo(x) foo(x|)  [1] [|1|]  1,000 1,000
    a,b a|,|b  U.S. U.S.  END. END|.  end. end|.  A. A.  5. 5|.  a.b a.b  +5 +5  +x +|x  10+ 10|+
    #include #|include  a/b a|/|b  a=b a|=|b  1-2 1|-|2  x-1 x-1  1-x 1|-|x  C++. C++|.  x™y x|™|y
    `code` `|code|`  3.5% 3.5|%  “Hi” “|Hi|”  a—b a|—|b  name@x.com name@x.com  x~y x|~|y  a&b a&b
    1*2 1|*|2  can't've ca|n't|'ve  I’ll I|’ll  Whats What|s  its its  10a.m. 10|a.m.  Mr. Mr.  :-) :-)
    and/or and/or  www.a.de/x-y www.a.de/x-y  50€ 50|€  http://a.b/c http://a.b|/|c  cannot can|not
    Doin' Doin'  x---y x|---|y  x----y x----y  … …  漢字。 漢字|。  Grüße, Grüße|,  a…b a|…|b  end." end|.|"
    I.E. I.E.  kb.x kb.x  7m² 7|m²
"""


def words(text: str) -> list[str]:
    data, rule = np.frombuffer(text.encode(), np.uint8), word_rule("english")
    _, signs, entries, lengths, cuts = rule
    ends = cuts[: cut_words(data, 0, len(data), signs, entries, lengths, cuts)].tolist()
    return [data[start:end].tobytes().decode() for start, end in zip([0, *ends], ends, strict=False)]


def count(text: str, name: str) -> int:
    data = np.frombuffer(text.encode(), np.uint8)
    return count_words(data, 0, len(data), letters(), word_rule(name))


@pytest.mark.parametrize(("text", "expected"), zip(CASES.split()[::2], CASES.split()[1::2], strict=True))
def test_words_are_spacys(text: str, expected: str) -> None:
    assert words(text) == expected.split("|")


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(".,'-()s$ab1:/@"), min_size=1))
def test_words_make_up_the_text_and_none_is_empty(text: str) -> None:
    found = words(text)
    assert "".join(found) == text and all(found)


@given(
    st.lists(st.sampled_from(["a", "cannot", "kb", "it's", "(b),", "\u3000", " ", "\n", "漢", "x-y"])).map(
        "".join
    )
)
def test_words_of_a_text_are_those_of_its_stretches(text: str) -> None:
    assert count(text, "whitespace") == len(text.split())
    assert count(text, "english") == sum(len(words(stretch)) for stretch in text.split())


@pytest.mark.parametrize("text", ["(" * 200_000, "a-" * 200_000, "." * 200_000, "a." * 100_000])
def test_a_long_stretch_of_signs_is_cut_within_the_room(text: str) -> None:
    assert 1 <= len(words(text)) <= 1 << 16


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("harbour", "harbour"),
        ("Zaz rest", "Zaz"),
        ("kb\n", "kb"),  # a unit is a word
        ("electroencephalographically\t", "electroencephalographically"),
        ("cannot be", ""),  # an exception
        ("a, b", ""),
        ("a漢 b", ""),
        ("a\u3000b", ""),  # white space of more than one byte
        ("a[", ""),
        ("a`", ""),
        ("1a ", ""),
        (" a", ""),
        ("", ""),
    ],
)
def test_a_plain_word_is_one_of_ascii_letters_between_ascii_white_space(text: str, plain: str) -> None:
    data, rule = np.frombuffer(text.encode(), np.uint8), word_rule("english")
    stop, hashed = plain_word(data, 0, len(data), letters(), rule.entries, rule.lengths)
    assert text[:stop] == plain
    if plain:
        assert hashed == hash_line(data, 0, len(plain))[0]
