from __future__ import annotations

import re

import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from spark_jobs.filters import c4
from spark_jobs.kernels.letters import SPOKEN, letters
from spark_jobs.runtime.columns import buffers, strings

RULES = c4.LineRules(min_words=3, max_word_length=20, end_marks=True, curly_brackets=True)
LOOSE = c4.LineRules(min_words=0, max_word_length=1000, end_marks=False, curly_brackets=False)
POLICIES = [
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
]
PIECES = st.sampled_from(
    [
        "One two three. ",
        "Été aux champs! ",
        "a ",
        "b",
        ".",
        "...",
        "…",
        "?",
        "'",
        '"',
        ")",
        "]",
        "\xa0",
        " ",
        "[",
        "[12]",
        "[]",
        "[edit]",
        "[citation needed]",
        "[1 2]",
        "java",
        "JavaScript ",
        "script",
        "use ",
        "of ",
        "Cookies ",
        "cookies.",
        "Terms ",
        "privacy POLICY",
        "漢字。",
        "x" * 19,
        "\n",
        "\n\n",
        "Z",
        "Lorem ipsum",
        "{",
    ]
)
TEXTS = st.lists(PIECES, max_size=40).map("".join)


def rewritten(texts: list[str], rules: c4.LineRules, min_sentences: int = 1) -> tuple[list[str], list[int]]:
    column = pa.array(texts, pa.string())
    data, offsets, verdicts = c4.rewrite(*buffers(column), letters(), rules, min_sentences)
    result = strings(data, offsets)
    result.validate(full=True)
    return result.to_pylist(), verdicts.tolist()


def sentences(line: str) -> int:
    """Count words that begin a sentence: after a word that ends one, the first letter is no small one."""
    count, ended = 1, False
    for word in line.split():
        spoken = [character for character in word if letters()[ord(character)] & SPOKEN]
        if ended and spoken:
            count, ended = count + (not spoken[0].islower()), False
        ended = ended or word.rstrip("\"')]").endswith((".", "?", "!"))
    return count


def definition(text: str, rules: c4.LineRules, min_sentences: int) -> tuple[str, int]:
    """Rewrite as datatrove's ``C4QualityFilter``, but strip a line once more without its citations."""
    kept: list[str] = []
    count = 0
    for part in text.split("\n"):
        words = part.split()
        line = re.sub(r"\[[0-9]*]|\[edit]|\[citation needed]", "", part.strip()).strip()
        if any(len(word) > rules.max_word_length for word in words) or len(words) < rules.min_words:
            continue
        if not line or (rules.end_marks and not line.endswith((".", "?", "!", '"', "'"))):
            continue
        if rules.end_marks and line.endswith("..."):
            continue
        if "lorem ipsum" in line.lower():
            return "", c4.LOREM_IPSUM
        if "javascript" in line.lower():
            continue
        if rules.curly_brackets and "{" in line:
            return "", c4.CURLY_BRACKET
        if any(policy in line.lower() for policy in POLICIES):
            continue
        count += sentences(line)
        kept.append(line)
    return ("\n".join(kept), c4.KEPT) if count >= min_sentences else ("", c4.TOO_FEW_SENTENCES)


@given(st.lists(TEXTS, max_size=5), st.sampled_from([RULES, LOOSE]), st.integers(1, 6))
@example(
    ["", "a", "[1]", "[edit] a b c.\n[1] x y z [2]", "Lorem [1]ipsum a b.", "java[edit]script a b."], LOOSE, 1
)
@example(["a b c. D! E? f 'g.' H. (i.) J", "a b {", "a b {.", "lorem ipsum\na b c.", "a b c"], RULES, 1)
@example([f"we {policy.upper()} here." for policy in POLICIES] + ["we use no cookies policy here."], RULES, 1)
@example(
    [" a b c. \n\n\t d e f!\u00a0", "x" * 21 + " b c.", "x" * 20 + " b c.", "a b c..", "a b c...'"], RULES, 1
)
def test_pages_are_rewritten_by_the_definition(texts: list[str], rules: c4.LineRules, minimum: int) -> None:
    expected = [definition(text, rules, minimum) for text in texts]
    assert rewritten(texts, rules, minimum) == ([e[0] for e in expected], [e[1] for e in expected])


def test_phrases_are_found_wherever_they_stand() -> None:
    for policy in POLICIES:
        for line in (f"{policy} and a b", f"a b {policy}", f"a b u{policy} c", f"a b {policy[:-1]}"):
            text, verdict = definition(line, LOOSE, 1)
            assert rewritten([line], LOOSE) == ([text], [verdict])


def test_a_page_of_a_real_site_keeps_its_prose() -> None:
    page = """Home
About us
The old bridge was closed for repairs on Monday.[3] "It was time," said the mayor.
Read more...
Please enable JavaScript to see the comments.
This site uses cookies to improve your visit.
Work will last until autumn. Drivers should take the northern road!
Share"""
    prose = """The old bridge was closed for repairs on Monday. "It was time," said the mayor.
Work will last until autumn. Drivers should take the northern road!"""
    assert rewritten([page], RULES, 4) == ([prose], [c4.KEPT])
    assert rewritten([page], RULES, 5) == ([""], [c4.TOO_FEW_SENTENCES])


def test_sentences_end_in_a_mark_before_white_space_and_no_small_letter() -> None:
    counts = {
        "one. two. three.": 1,
        "One. Two. Three.": 3,
        'He said "no." Then (it rained.) Why?! Who': 4,
        "Version 3.14 is out": 1,
        "E.g. this": 1,
        "Été. Ça. élan. 7 of them.": 3,
        "a.\u00a0 B": 2,
    }
    for line, count in counts.items():
        assert sentences(line) == count
        assert rewritten([line], LOOSE, count)[1] == [c4.KEPT]
        assert rewritten([line], LOOSE, count + 1)[1] == [c4.TOO_FEW_SENTENCES]
