from __future__ import annotations

from functools import lru_cache

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from spark_jobs.filters import language_model as language
from spark_jobs.filters.language import language_model
from spark_jobs.kernels.letters import letters
from spark_jobs.runtime.columns import buffers

PIECES = st.sampled_from(
    [
        "The harbour was quiet ",
        "der Zug nach Hamburg ",
        "la rivière ",
        "старый мост ",
        "昨天晚上",
        "\n",
        "1234 ",
        "NATO ",
        "{}",
        "српски језик ",
        "o'zbek tili ",
        "été",
        "の図書館",
        "A",
        "z",
    ]
)


@lru_cache(maxsize=1)
def library() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def identified(texts: list[str], max_characters: int = 2000) -> list[tuple[str, float]]:
    model, codes = language_model()
    column = pa.array(texts, pa.string())
    classes, scores = language.identify(*buffers(column), letters(), max_characters, model)
    return [(codes[c], score) for c, score in zip(classes.tolist(), scores.tolist(), strict=True)]


@given(
    st.lists(
        st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=30).filter(str.islower), max_size=4
    )
)
def test_language_and_score_are_the_librarys(texts: list[str]) -> None:
    for text, (code, score) in zip(texts, identified(texts), strict=True):
        ranks = dict(library().rank(text))
        assert score == pytest.approx(max(ranks.values()), abs=1e-3)
        assert ranks[code] == pytest.approx(score, abs=1e-3)


def test_only_the_first_characters_are_read() -> None:
    text = "Вчера мы долго говорили. " * 5 + "the old bridge over the river was closed " * 100
    assert identified([text], 125)[0] == identified([text[:125]])[0]
    assert identified([text], 125)[0][0] == "ru"
    assert identified([text], 4000)[0][0] == "en"


def test_text_in_capitals_is_read_as_in_small_letters() -> None:
    text = "the ferry to the island leaves at noon and returns in the evening"
    assert identified([text.upper()])[0] == identified([text])[0]


def test_one_document_leaves_nothing_to_the_next() -> None:
    texts = ["Der Zug nach Hamburg hatte Verspätung.", "Le train est en retard.", ""]
    assert identified(texts * 3) == [identified([text])[0] for text in texts] * 3
