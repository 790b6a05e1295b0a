from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.contracts.errors import InputError, RecipeError
from include.recipes.corpus import CorpusRecipe, ReadRecipe, SubsetRule
from include.recipes.loading import recipe_from_toml
from spark_jobs.readers.records import Fields, fields_of
from spark_jobs.readers.subsets import ShardNames, require_few_subsets, subset_name

UUID = "023827cd-7ee8-42e6-aa7b-661731f4c70f"
HASH = "03e0a813bdc2ae9963d2e49085ef3430"


def names(name: str) -> tuple[str, str]:
    found = ShardNames.of(name, ReadRecipe())
    return found.source, found.subset


@pytest.mark.parametrize(
    ("name", "subset"),
    [
        (f"arxiv_{UUID}.jsonl", "arxiv"),
        ("book.jsonl", "book"),
        ("c4-train.00000-of-01024.jsonl", "c4"),
        ("2019-30/en_head_0000.json.gz.dedup.classifier.jsonl.zst", "common_crawl"),
        ("2023-06/en_middle_0012.json.gz.dedup.classifier.jsonl", "common_crawl"),
        (f"filtered_{HASH}.sampled.jsonl", "github"),
        (f"github_{HASH}.jsonl", "github"),
        ("stackexchange.jsonl", "stackexchange"),
        ("wiki.jsonl", "wikipedia"),
        ("cc_2019-30_sample.jsonl", "common_crawl"),
        ("arxiv_sample.jsonl", "arxiv"),
    ],
)
@pytest.mark.parametrize("folder", ["in", "raw/redpajama_v1", "a/b/redpajama-1t"])
def test_the_file_names_of_redpajama_v1_give_its_seven_subsets(folder: str, name: str, subset: str) -> None:
    assert names(f"{folder}/{name}") == (folder.partition("/")[0], subset)


@pytest.mark.parametrize(
    ("name", "source", "subset"),
    [
        ("redpajama_v1/arxiv/x.jsonl", "redpajama_v1", "arxiv"),
        ("redpajama_v1/common_crawl/2019-30/x.jsonl", "redpajama_v1", "common_crawl"),
        ("raw/c4/en/x.00001-of-01024.json.gz", "raw", "en"),
        ("pile/train/00.jsonl.zst", "pile", "pile"),
        ("ccnet/cc_en_head-0091.jsonl", "ccnet", "ccnet"),
        ("books/part-00000.parquet", "books", "books"),
        ("books/PART-00000.PARQUET", "books", "books"),
        ("the-stack/data/python/train-00000-of-00206.parquet", "the-stack", "python"),
        ("fineweb/data/CC-MAIN-2013-20/000_00000.parquet", "fineweb", "CC-MAIN"),
        ("web/lang=en/date=2023-01-01/part-0.parquet", "web", "lang=en"),
        (f"hub/datasets--org--news/snapshots/{HASH}{HASH[:8]}/data/x.parquet", "hub", "datasets--org--news"),
        (f"web/{UUID}/x.jsonl", "web", "web"),
        ("dolma/books/chunk-0001/v1.0.0/x.jsonl", "dolma", "books"),
        ("data/train/x.jsonl", "data", "data"),
        ("lake/books.json/part-00000.json", "lake", "books"),
        ("lake/data.parquet/part-0.parquet", "lake", "lake"),
        ("crawl/news/2024-01-01T12:00:00/x.jsonl", "crawl", "news"),
        ("crawl/news/2024Q1/2024-w05/Jan2024/x.jsonl", "crawl", "news"),
        ("crawl/2023-06-en/x.jsonl", "crawl", "en"),
        ("crawl/book_1/x.jsonl", "crawl", "book"),
        ("crawl/www.site.example/site.org/x.jsonl", "crawl", "crawl"),
        (f"cache/03/e0/{HASH}.jsonl", "cache", "cache"),
        ("cache/de/x.jsonl", "cache", "de"),
        ("00.jsonl", "local", "default"),
    ],
)
def test_a_folder_names_what_records_do_not(name: str, source: str, subset: str) -> None:
    assert names(name) == (source, subset)


@given(st.integers(1, 99_999), st.uuids(), st.sampled_from([".parquet", ".jsonl", ".json.gz", ".zst"]))
def test_file_names_never_become_subsets(number: int, unique: uuid.UUID, ending: str) -> None:
    for file in (
        f"part-{number:05d}-{unique}-c000.snappy{ending}",
        f"part-{number:05d}-of-99999{ending}",
        f"{unique}{ending}",
        f"{unique.hex}{ending}",
        f"news_{number}{ending}",
        f"The Title of Book {number}{ending}",
        f"https:__site{number}.example_page{ending}",
    ):
        assert names(f"raw/news/{file}") == ("raw", "news")
        assert names(f"news/chunk{number}/{file}") == ("news", "news")


@pytest.mark.parametrize(
    ("record", "source", "subset"),
    [
        ({"text": "t", "meta": {"pile_set_name": "PubMed Central"}}, "pile", "PubMed Central"),
        ({"text": "t", "meta": {"redpajama_set_name": "RedPajamaC4"}}, "slimpajama", "RedPajamaC4"),
        ({"text": "t", "meta": {"url": "u"}, "red_pajama_subset": "arxiv"}, "redpajama_v1", "arxiv"),
        ({"text": "t", "meta": '{"url": "u"}', "red_pajama_subset": "c4"}, "redpajama_v1", "c4"),
        ({"text": "t", "meta": '{"pile_set_name": "X"}'}, "pile", "X"),
        ({"raw_content": "t", "language": "en", "bucket": "head", "url": "u"}, "redpajama_v2", "en_head"),
        ({"raw_content": "t", "language": "en"}, "redpajama_v2", "en"),
        ({"raw_content": "t"}, "redpajama_v2", "stem"),
        ({"id": "1", "text": "t", "source": "common-crawl", "metadata": {"a": 1}}, "dolma", "common-crawl"),
        ({"text": "t", "source": "https://site.example/page", "metadata": {}}, "dolma", "stem"),
        ({"text": "t", "source": "Page 8 of the book", "metadata": {}}, "dolma", "stem"),
        ({"text": "t", "meta": {"pile_set_name": "The Title of a Page"}}, "folder", "stem"),
        (
            {
                "text": "t",
                "source": "all of my pages",
                "subset": "8 of the pages",
                "metadata": "{}",
                "id": "a/0",
            },
            "all of my pages",
            "8 of the pages",
        ),
        ({"text": "t", "source": "pile", "subset": "Web", "metadata": "{}", "id": "a/0"}, "pile", "Web"),
        ({"text": "t", "source": "a source without metadata"}, "folder", "stem"),
        ({"text": "t", "meta": {"pile_set_name": 5}}, "folder", "stem"),
        ({"text": "t", "meta": {"pile_set_name": HASH}}, "folder", "stem"),
        ({"text": "t", "anything": 1}, "folder", "stem"),
        ({"content": "t"}, "folder", "stem"),
    ],
)
def test_every_schema_gives_source_and_subset(record: dict[str, Any], source: str, subset: str) -> None:
    fields = fields_of(dict(record), ShardNames("folder", "stem"))
    assert isinstance(fields, Fields)
    assert (fields.source, fields.subset) == (source, subset)


@pytest.mark.parametrize(
    "value",
    [
        *("https://site0.example/page", "www.site.example", "site.example", "site.example/a?b", "s3://b/k"),
        *(
            "/data/a.txt",
            "./a",
            "docs/a.md",
            "report.pdf",
            "someone@site.example",
            "x" * 81,
            "two\nlines",
            "",
        ),
        *("C:\\data\\a.txt", "urn:isbn:5", "arXiv:2301.00001", "10.1000/xyz", "localhost:8000/x", "q?id=1"),
        *("münchen.example", "a/b/c", "2024-01-01T10:00:00Z", "doc_17", "id-3", "1.5e7"),
        *(
            "Page 8 of the book",
            "Page 8",
            "page VIII",
            "Chapter 12",
            "Chapter IV: The Dog",
            "Part B",
            "Volume II",
        ),
        *("8th page", "Issue #5", "Question 3/12", "3 Body Problem", "Book the Second", "Season 2 Episode"),
        *("The Great Gatsby", "War and Peace", "How to Win Friends", "Alice's Adventures", "Dr. Strangelove"),
        *(
            "One, Two",
            "Who is it!",
            "\u201cQuoted\u201d",
            "A sentence of some length.",
            "the-quick-brown-fox-jumps-over-it",
        ),
        *("3f2a9bc", "PMC1234567", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "US10234567B2", "Q4215678 en"),
        *("17", "00017", "2023-06", "v1.2", UUID, HASH, f"part-{UUID}", "train", None, 7, ["web"]),
    ],
)
def test_numbers_hashes_and_addresses_name_no_subset(value: Any) -> None:
    assert subset_name(value) == ""


PUBLISHED = """
Pile-CC, PubMed Central, Books3, OpenWebText2, ArXiv, Github, FreeLaw, StackExchange, USPTO Backgrounds,
PubMed Abstracts, Gutenberg (PG-19), OpenSubtitles, Wikipedia (en), DM Mathematics, Ubuntu IRC, BookCorpus2,
EuroParl, HackerNews, YoutubeSubtitles, PhilPapers, NIH ExPorter, Enron Emails,
common_crawl, c4, github, book, arxiv, wikipedia, stackexchange, RedPajamaCommonCrawl, RedPajamaC4,
common-crawl, stack/python, peS2o, open-web-math, cc_en_head, algebraic-stack-train, wiki, reddit,
web, 日本語, 文学, C#, docs, stack-v2, The Stack, Caselaw Access Project, Python Enhancement Proposals,
Project Gutenberg, library-of-congress, wikipedia_20220301_en, CC-MAIN, en_head, table-text, version-control
"""


@pytest.mark.parametrize("value", [name.strip() for name in PUBLISHED.split(",")])
def test_names_of_published_subsets_are_names(value: str) -> None:
    assert subset_name(value) == value


def test_a_rule_of_the_recipe_names_a_subset_whatever_the_record_says() -> None:
    toml = """
    name = "mine"
    [[read.subsets]]
    name = "papers"
    shards = "*/arxiv_*"
    [[read.subsets]]
    name = "all"
    shards = "raw/*"
    """
    recipe = recipe_from_toml(CorpusRecipe, toml, where="mine.toml").read
    record = {"text": "t", "meta": {"pile_set_name": "X"}}
    for name, subset in (("raw/a/arxiv_1.jsonl", "papers"), ("raw/b/c.jsonl", "all"), ("other/c.jsonl", "X")):
        fields = fields_of(dict(record), ShardNames.of(name, recipe))
        assert isinstance(fields, Fields) and fields.subset == subset
        assert fields.source == "pile"


@pytest.mark.parametrize(
    "rule", [{"name": "", "shards": "*"}, {"name": "a\nb", "shards": "*"}, {"name": "a", "shards": ""}]
)
def test_a_rule_without_a_name_or_a_glob_is_refused(rule: dict[str, str]) -> None:
    with pytest.raises(RecipeError, match=r"read\.subsets"):
        SubsetRule(**rule)


def test_more_subsets_than_the_recipe_allows_are_an_error_that_says_how_to_name_them() -> None:
    recipe = ReadRecipe(max_subsets=3)
    require_few_subsets({"a", "b", "c"}, recipe)
    with pytest.raises(
        InputError, match=r"max_subsets.*at most 3.*4 or more, such as 'a', 'b'.*\[\[read.subsets\]\]"
    ):
        require_few_subsets({"a", "b", "c", "d"}, recipe)
    with pytest.raises(RecipeError, match=r"read\.max_subsets"):
        ReadRecipe(max_subsets=0)


def test_names_that_look_alike_are_one_subset() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert subset_name(f" {decomposed} ") == composed
    assert names(f"raw/{decomposed}/x.jsonl") == names(f"raw/{composed}/x.jsonl") == ("raw", composed)
