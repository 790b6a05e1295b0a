from __future__ import annotations

import json
from collections import Counter

import pyarrow as pa
import pytest

from include.contracts.errors import RecipeError
from include.recipes.quality import LanguageRecipe
from spark_jobs.filters.language import keep_languages

SENTENCES = {
    "en": [
        "The harbour was quiet when the last fishing boat came home.",
        "She left the dough to rest overnight.",
    ],
    "de": ["Der Zug nach Hamburg hatte gestern wieder Verspätung.", "Das Museum zeigt alte Landkarten."],
    "fr": ["Nous avons marché longtemps sous la pluie.", "Le boulanger ouvre avant le lever du soleil."],
    "es": ["Mi abuela cuenta siempre la misma historia.", "No encuentro las llaves que dejé sobre la mesa."],
    "it": ["Il gatto dorme sul davanzale mentre piove.", "Il medico mi ha detto di camminare ogni giorno."],
    "pt": ["As crianças brincavam na praia até o sol desaparecer.", "Não sabemos quando a ponte será feita."],
    "nl": ["De fiets van mijn buurman staat al weken in de regen.", "Wij gaan morgen met de trein naar zee."],
    "ru": ["Старый мост через реку закрыли до осени.", "Вчера мы долго говорили о новой книге."],
    "zh": ["昨天晚上我们在河边散步,谈了很久。", "这座桥需要修理,所以暂时关闭。"],
    "ja": ["図書館は毎朝八時に開きます。", "この橋は修理のために閉鎖されています。"],
}


def batch(texts: list[str], metadata: str = "{}") -> pa.RecordBatch:
    return pa.record_batch({"text": texts, "metadata": [metadata] * len(texts)})


@pytest.mark.parametrize("code", SENTENCES)
def test_only_the_wanted_language_is_kept(code: str) -> None:
    dropped: Counter[str] = Counter()
    texts = [text for sentences in SENTENCES.values() for text in sentences]
    recipe = LanguageRecipe(enabled=True, languages=(code,), min_score=0.5)
    assert keep_languages(batch(texts), recipe, dropped).column("text").to_pylist() == SENTENCES[code]
    assert dropped == {"language": 18}


def test_a_wanted_language_below_the_score_is_dropped() -> None:
    dropped: Counter[str] = Counter()
    texts = ["The harbour was quiet when the last fishing boat came home.", "ok table"]
    kept = keep_languages(batch(texts), LanguageRecipe(enabled=True, min_score=0.9), dropped)
    assert kept.column("text").to_pylist() == texts[:1]
    assert dropped["language"] == 1


@pytest.mark.parametrize("metadata", ["{}", '{"url":"é}","n":{"a":[1]}}'])
def test_language_and_score_join_the_metadata(metadata: str) -> None:
    recipe = LanguageRecipe(enabled=True, languages=(), min_score=0)
    for row in keep_languages(batch(SENTENCES["de"], metadata), recipe, Counter()).column("metadata"):
        content = json.loads(row.as_py())
        assert content.pop("language") == "de"
        assert 0.5 < content.pop("language_score") <= 1
        assert content == json.loads(metadata)


def test_the_sources_own_language_is_left_as_it_is() -> None:
    metadata = '{"language":"xx","language_score":0.1}'
    kept = keep_languages(batch(SENTENCES["en"], metadata), LanguageRecipe(enabled=True), Counter())
    assert kept.column("metadata").to_pylist() == [metadata] * 2


def test_no_language_and_no_score_wanted_keeps_all() -> None:
    texts = [text for sentences in SENTENCES.values() for text in sentences]
    recipe = LanguageRecipe(enabled=True, languages=(), min_score=0)
    assert keep_languages(batch(texts), recipe, Counter()).num_rows == len(texts)


def test_a_limit_of_zero_characters_reads_the_whole_document() -> None:
    text = " ".join([SENTENCES["en"][0], *SENTENCES["de"] * 20])
    english = LanguageRecipe(enabled=True, max_characters=len(SENTENCES["en"][0]))
    assert keep_languages(batch([text]), english, Counter()).num_rows == 1
    whole = LanguageRecipe(enabled=True, languages=("de",), max_characters=0)
    assert keep_languages(batch([text]), whole, Counter()).num_rows == 1


def test_a_language_that_the_model_does_not_know_is_refused() -> None:
    with pytest.raises(RecipeError, match="unknown language"):
        keep_languages(batch(["x"]), LanguageRecipe(enabled=True, languages=("en", "tlh")), Counter())


def test_a_disabled_recipe_leaves_the_batch_untouched() -> None:
    given = batch(["x"])
    assert keep_languages(given, LanguageRecipe(), Counter()) is given
