from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spark_jobs.filters import gopher_measures as gopher
from spark_jobs.kernels.english_words import cut_words
from spark_jobs.kernels.hash_tables import REPETITION_LIMIT
from spark_jobs.kernels.letters import ALPHABETIC, BLANK, LOWER, SPOKEN, letters
from spark_jobs.kernels.word_rules import word_rule
from spark_jobs.runtime.columns import buffers

STOP_WORDS = {"the", "be", "to", "of", "and", "that", "have", "with"}
PIECES = st.sampled_from(
    [
        "a",
        "bb",
        "été",
        "the",
        "Of",
        "(and)",
        "with,",
        "tho",
        "7",
        "—",
        "#",
        "...",
        "....",
        "…",
        "-",
        "•",
        "\n",
        "\n\n",
        "\xa0",
        "漢字",
        "é",
        "x y z w v u",
        "1.5",
        "-a",
        "..",
        "́",
    ]
)
TEXTS = st.lists(PIECES | st.sampled_from(["\n", " ", "  ", "\t"]), max_size=60).map("".join) | st.lists(
    PIECES, max_size=60
).map(" ".join)
#: Few words, so that n-grams of every length repeat.
REPETITIVE = st.lists(st.sampled_from(["a", "bb", "ccc"]), max_size=60).map(" ".join)

#: Few lines, so that lines and paragraphs of every size repeat.
LINES = st.lists(st.sampled_from(["a", "bb", "ccc ddd", "", " ", "- x...", "été"]), max_size=30).map(
    "\n".join
)


def measured(texts: list[str]) -> list[list[float]]:
    return gopher.measure(
        *buffers(pa.array(texts, pa.string())), letters(), word_rule("whitespace"), gopher.NO_MAXIMA
    ).tolist()


def column(text: str, index: int) -> float:
    return measured([text])[0][index]


def core(word: str) -> str:
    def spoken(character: str) -> bool:
        return bool(letters()[ord(character)] & SPOKEN)

    while word and not spoken(word[0]):
        word = word[1:]
    while word and not spoken(word[-1]):
        word = word[:-1]
    return word


def duplicates(parts: list[str]) -> tuple[float, int]:
    """Return the share of duplicates and their characters, as datatrove's ``find_duplicates``."""
    repeated = [part for p, part in enumerate(parts) if part in parts[:p]]
    return len(repeated) / len(parts) if parts else 0.0, sum(map(len, repeated))


def top_characters(words: list[str], n: int) -> int:
    """Count as datatrove's ``find_top_duplicate``, but one occurrence is no repetition."""
    grams = [" ".join(words[w : w + n]) for w in range(len(words) - n + 1)]
    gram, found = Counter(grams).most_common(1)[0] if grams else ("", 0)
    return len(gram) * found if found > 1 else 0


def duplicate_characters(words: list[str], n: int) -> int:
    """Count as datatrove's ``find_all_duplicate``."""
    seen: set[tuple[str, ...]] = set()
    characters = w = 0
    while w + n <= len(words):
        gram = tuple(words[w : w + n])
        if gram in seen:
            characters += len("".join(gram))
            w += n
        else:
            seen.add(gram)
            w += 1
    return characters


def definition(text: str) -> list[float]:
    words, lines = text.split(), text.split("\n")
    significant = [word for word in words if core(word)]
    stripped = [line.strip() for line in lines]
    line_share, line_characters = duplicates([line for line in lines if line])
    paragraph_share, paragraph_characters = duplicates([p for p in re.split("\n\n+", text.strip("\n")) if p])
    ngrams = [top_characters(words, n) for n in (2, 3, 4)]
    ngrams += [duplicate_characters(words, n) for n in range(5, 11)]
    return [
        len(significant),
        sum(map(len, significant)) / len(significant) if significant else 0.0,
        text.count("#") / len(words) if words else 0.0,
        (text.count("...") + text.count("…")) / len(words) if words else 0.0,
        sum(line.startswith(("•", "-")) for line in stripped) / len(lines),
        sum(line.endswith(("...", "…")) for line in stripped) / len(lines),
        sum(any(c.isalpha() for c in word) for word in words) / len(words) if words else 0.0,
        len({core(word).lower() for word in words} & STOP_WORDS),
        line_share,
        line_characters / len(text) if text else 0.0,
        paragraph_share,
        paragraph_characters / len(text) if text else 0.0,
        *(min(1.0, size / len(text)) if text else 0.0 for size in ngrams),
    ]


@given(st.lists(TEXTS | REPETITIVE | LINES, max_size=5))
@example(["", "\n", "a\n\n\na", "a\nb\n\na\nb\n\na", "a \na", "ccc\nb\nb\n\nd", "\n\n a\n\n a\n\n"])
@example(
    ["a b c d e f g h i j " * 3, "a a a a a a a a a a a a a", "a b a b b a b a b", "a bb a bb ccc a ccc a"]
)
@example(["THE be tO of", "a.and.", "the-the", "'that'", "\u2026\u2026", "wit\u00e8", "x .... ......"])
def test_measures_follow_their_definitions(texts: list[str]) -> None:
    assert measured(texts) == [pytest.approx(definition(text)) for text in texts]


def test_a_repeated_ngram_of_every_length_is_found() -> None:
    words = [f"w{w}" for w in range(200)]
    for n in range(5, 11):
        text = " ".join(words + words[:n])
        row = measured([text])[0]
        assert row == pytest.approx(definition(text))
        for longer in range(5, 11):
            assert (row[gopher.ngram_share(longer)] > 0) == (longer <= n)


def test_the_table_of_one_document_says_nothing_of_the_next() -> None:
    text = "one two three four five six seven eight nine ten eleven\nline"
    assert measured([text] * 50) == measured([text]) * 50
    assert column(text, gopher.ngram_share(5)) == 0.0


def test_memory_is_bounded_and_the_rest_is_still_counted() -> None:
    row = measured(["ab " * (REPETITION_LIMIT + 1000)])[0]
    assert row[gopher.WORDS] == REPETITION_LIMIT + 1000
    assert row[gopher.ngram_share(2)] == 1.0


def test_flags_are_those_of_python_for_every_code_point() -> None:
    for point in range(0x110000):
        character, flags = chr(point), letters()[point]
        assert bool(flags & BLANK) == character.isspace()
        assert bool(flags & ALPHABETIC) == character.isalpha(), hex(point)
        assert bool(flags & LOWER) == character.islower(), hex(point)
        assert bool(flags & SPOKEN) >= character.isalnum()


def english_words(text: str) -> list[str]:
    """Return the words of all stretches, cut without the shorter way for plain words."""
    _, signs, entries, lengths, cuts = word_rule("english")
    found: list[str] = []
    for stretch in text.split():
        data = stretch.encode()
        count = cut_words(np.frombuffer(data, np.uint8), 0, len(data), signs, entries, lengths, cuts)
        ends = cuts[:count].tolist()
        found += [data[start:end].decode() for start, end in zip([0, *ends], ends, strict=False)]
    return found


@given(TEXTS | st.lists(st.sampled_from(["cannot", "hes", "THE", "x", "to,", "a", "\n"])).map(" ".join))
@example("the to of and that have with be thee tot")
def test_english_words_count_as_if_white_space_stood_between_them(text: str) -> None:
    def counted(text: str, rule: str) -> list[float]:
        batch = buffers(pa.array([text], pa.string()))
        row = gopher.measure(*batch, letters(), word_rule(rule), gopher.NO_MAXIMA)[0]
        columns = (gopher.WORDS, gopher.MEAN_WORD_LENGTH, gopher.HASH_RATIO, gopher.ELLIPSIS_RATIO)
        return [*row[[*columns, gopher.ALPHABETIC_WORD_SHARE, gopher.STOP_WORDS]].tolist()]

    assert counted(text, "english") == counted(" ".join(english_words(text)), "whitespace")


#: The measures of repetition in the order in which they are taken.
REPETITION = [
    [
        gopher.DUPLICATE_LINE_SHARE,
        gopher.DUPLICATE_LINE_CHARACTER_SHARE,
        gopher.DUPLICATE_PARAGRAPH_SHARE,
        gopher.DUPLICATE_PARAGRAPH_CHARACTER_SHARE,
    ],
    *([gopher.ngram_share(n)] for n in range(2, 11)),
]


@pytest.mark.parametrize("steps", range(1, len(REPETITION) + 1))
def test_nothing_is_measured_behind_a_measure_above_its_maximum(steps: int) -> None:
    words = " ".join(f"w{w}" for w in range(12))
    text = f"{words}\n\n{words}\n\nend of it"
    full = np.array(measured([text])[0])
    taken = [column for step in REPETITION[:steps] for column in step]
    assert (full[taken] > 0).all() and full[gopher.WORDS] == 27
    maxima = gopher.NO_MAXIMA.copy()
    maxima[taken[-1]] = np.nextafter(full[taken[-1]], 0)
    batch = buffers(pa.array([text, text], pa.string()))
    rows = gopher.measure(*batch, letters(), word_rule("whitespace"), maxima)
    expected = np.zeros_like(full)
    expected[taken] = full[taken]
    assert rows.tolist() == [expected.tolist()] * 2
    maxima[taken[-1]] = full[taken[-1]]
    assert gopher.measure(*batch, letters(), word_rule("whitespace"), maxima).tolist() == [full.tolist()] * 2
