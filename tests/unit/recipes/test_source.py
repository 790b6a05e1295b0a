"""The catalogue: the packaged sources, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.contracts.errors import NexusError, RecipeError
from include.contracts.ingestion import name_problem
from include.recipes.loading import recipe_from_toml
from include.recipes.source import (
    Source,
    check_prefix,
    chosen,
    load_source,
    source_names,
    strictest_connections,
)

MINIMAL = """
name = "mine"
title = "Mine"
homepage = "http://h/"
licence = "CC0"
raw_prefix = "mine/"
"""
SHARD = '[[shards]]\nname = "a.jsonl"\nurl = "http://h/a.jsonl"\n'
LISTING = (
    '[[listings]]\nurl = "http://h/list.txt"\n[[listings.components]]\nname = "d"\nurl = "http://h/{path}"\n'
)


def parsed(text: str) -> Source:
    return recipe_from_toml(Source, MINIMAL + text, where="mine.toml")


def test_the_packaged_sources_are_valid() -> None:
    assert source_names() == ["redpajama_v1", "redpajama_v2", "slimpajama", "the_pile"]
    prefixes = {name: load_source(name).raw_prefix for name in source_names()}
    assert len(set(prefixes.values())) == 4


def test_no_source_is_fetched_by_more_than_four_connections() -> None:
    assert max(load_source(name).politeness.max_connections for name in source_names()) <= 4


def test_a_source_of_ones_own_that_is_broken_does_not_hold_up_the_others(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("name = ")
    (tmp_path / "modest.toml").write_text(
        MINIMAL.replace("mine", "modest", 1) + SHARD + "[politeness]\nmax_connections = 1\n"
    )
    assert {"broken", "modest", "the_pile"} <= set(source_names(str(tmp_path)))
    assert strictest_connections(str(tmp_path)) == 1
    with pytest.raises(NexusError, match="broken"):
        load_source("broken", str(tmp_path))


def test_redpajama_v2_has_its_84_snapshots() -> None:
    assert len(load_source("redpajama_v2").choices["snapshot"].values) == 84


def test_listed_shards_carry_size_and_checksum() -> None:
    digest = "0" * 64
    source = parsed(SHARD + f'size_bytes = 5\nsha256 = "{digest}"\n')
    shard = source.shards[0].shard()
    assert (shard.size_bytes, shard.checksum and shard.checksum.value) == (5, digest)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "shards or listings"),
        (SHARD + 'colour = "red"', "colour"),
        (SHARD.replace("a.jsonl", "../a.jsonl", 1), "shards.name"),
        (SHARD.replace("http:", "file:"), "shards.url"),
        (SHARD + 'sha256 = "abc"', "64 hexadecimal digits"),
        (SHARD + f'sha256 = "{"0" * 64}"\nmd5 = "{"0" * 32}"', "one of sha256, md5, etag"),
        (SHARD + "size_bytes = 0", "shards.size_bytes"),
        (SHARD + SHARD, "names that differ"),
        (SHARD + "[politeness]\nmax_connections = 100", "1 to 16"),
        (LISTING.replace("list.txt", "{snapshot}.txt"), "no choices"),
        (LISTING.replace("{path}", "{path}/{oops}"), "components.url"),
        (LISTING.replace("{path}", "{path"), "not a template"),
        ('[choices.x]\nvalues = ["a"]\ndefault = ["b"]\n' + SHARD, "choices.default"),
    ],
)
def test_a_wrong_source_is_refused_by_name(text: str, says: str) -> None:
    with pytest.raises(NexusError, match=says):
        parsed(text).shards and [shard.shard() for shard in parsed(text).shards]


@pytest.mark.parametrize("prefix", ["", "pile", "/pile/", "a/../b/", "_ingestion/x/", "quarantine/", "a//b/"])
def test_a_prefix_that_would_be_read_or_is_none_is_refused(prefix: str) -> None:
    with pytest.raises(RecipeError):
        check_prefix("target_prefix", prefix)


@pytest.mark.parametrize(
    "name", ["../x", "a/../b", "/a", "a//b", "a/", "", ".", "a\\b", "a\nb", "ü", "a" * 800]
)
def test_names_stay_below_their_prefix(name: str) -> None:
    assert name_problem(name)


def test_choices_are_the_defaults_or_the_selected_ones() -> None:
    source = load_source("redpajama_v2")
    assert chosen(source, None)["snapshot"] == ("2023-14",)
    assert chosen(source, {"language": ["de", "fr"]})["language"] == ("de", "fr")
    with pytest.raises(RecipeError, match=r"select\.language"):
        chosen(source, {"language": ["xx"]})
    for nothing in (5, [], [5], {"en": "de"}):
        with pytest.raises(RecipeError, match=r"select\.language"):
            chosen(source, {"language": nothing})  # type: ignore[dict-item]
    with pytest.raises(RecipeError, match="snapshots"):
        chosen(source, {"snapshots": ["2023-14"]})


def test_a_folder_of_ones_own_adds_and_replaces(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MINIMAL + SHARD)
    assert "mine" in source_names(str(tmp_path))
    assert load_source("mine", str(tmp_path)).title == "Mine"
    (tmp_path / "the_pile.toml").write_text(MINIMAL + SHARD)
    with pytest.raises(RecipeError, match="the_pile"):  # a file's name is the source's
        load_source("the_pile", str(tmp_path))
    with pytest.raises(RecipeError, match="no such folder"):
        source_names(str(tmp_path / "absent"))


def test_the_example_of_the_guide_is_a_valid_source() -> None:
    guide = Path(__file__).resolve().parents[3] / "docs/guides/sources.md"
    example = guide.read_text().partition("```toml\n")[2].partition("```")[0]
    source = recipe_from_toml(Source, example, where="docs/guides/sources.md")
    assert source.shards[0].shard().checksum and source.listings[0].checksum_lists
