"""Lengths, clusters, look-ups, bars and wording follow their definitions."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from include.contracts.documents import DOCUMENT_COLUMNS
from include.contracts.manifests import CorpusManifest
from include.object_store import STORE
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.report import duplicates as duplicates_module
from spark_jobs.report import wording
from spark_jobs.report.bars import Scale
from spark_jobs.report.charts import Panel, _draw_lengths, length_panels
from spark_jobs.report.duplicates import _largest, duplicates
from spark_jobs.report.lengths import SHOWN_EDGES, Characters, Lengths, characters, together, tokens
from spark_jobs.report.page import even_odds, subset_rows
from spark_jobs.report.samples import dropped_examples
from spark_jobs.runtime.parquet import column_batches, documents_by_id


@given(st.lists(st.integers(1, 10**7), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_off_by_less_than_the_width_of_a_bin(values: list[int], share: float) -> None:
    lengths = Lengths()
    lengths.add(np.array(values))
    exact = np.quantile(values, share, method="inverted_cdf")
    assert abs(lengths.quantile(share) - exact) <= 0.024 * exact
    assert (lengths.total, lengths.largest, lengths.documents) == (sum(values), max(values), len(values))


@given(st.lists(st.integers(1, 10**7), min_size=1))
def test_the_columns_shown_are_those_of_a_plain_histogram(values: list[int]) -> None:
    lengths = Lengths()
    lengths.add(np.array(values))
    plain = np.histogram(values, [*SHOWN_EDGES, 10**12])[0] / len(values)
    np.testing.assert_allclose(lengths.shares(), plain)


@pytest.mark.parametrize(("values", "labels"), [([1600, 1829], ["1 k"]), ([90, 3000], ["100", "1 k"])])
def test_a_chart_of_lengths_has_a_number_on_its_axis(values: list[int], labels: list[str]) -> None:
    lengths = Lengths()
    lengths.add(np.array(values))
    chart = length_panels([Panel("all", lengths.shares(), 1700, "tokens")], 1, "lengths")
    assert [label for label in ("10", "100", "1 k", "10 k") if f">{label}</text>" in chart] == labels


@pytest.mark.parametrize(("first", "last"), [(0, 0), (0, 20), (1, 20), (5, len(SHOWN_EDGES) - 2)])
def test_every_column_of_a_chart_of_lengths_is_within_its_axis(first: int, last: int) -> None:
    shares = np.zeros(len(SHOWN_EDGES))
    shares[[first, last]] = 0.5
    axes = Figure().subplots()
    _draw_lengths(axes, Panel("all", shares, 1, "tokens"))
    low, high = axes.get_xlim()
    assert low <= SHOWN_EDGES[first] < SHOWN_EDGES[last + 1] <= high


def test_tokens_and_characters_are_those_of_the_documents_to_train_on(built: Path) -> None:
    layout, manifest = (
        VersionLayout(str(built)),
        STORE.read_record(CorpusManifest, str(built / "manifest.json")),
    )
    by_subset = tokens(layout, manifest)
    assert {name: of.total for name, of in by_subset.items()} == {
        name: counts.tokens for name, counts in manifest.subsets.items()
    }
    lengths = [len(text) for text in pq.read_table(built / "documents").column("text").to_pylist()]
    together_ = together(characters(layout).lengths)
    assert (together_.total, together_.largest) == (sum(lengths), max(lengths))
    assert together_.documents == len(lengths) == sum(of.documents for of in by_subset.values())


def test_of_many_files_some_are_read_and_a_subset_that_was_not_seen_has_no_ratio(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(7):
        rows = {"text": ["é" * (number + 1)] * 3, "subset": [f"s{number % 2}"] * 3}
        pq.write_table(pa.table(rows), folder / f"part-{number:05d}.parquet")
    read = characters(VersionLayout(str(tmp_path)), most_files=4)
    assert (read.files_read, read.files) == (4, 7)
    assert set(read.lengths) == {"s0"}
    assert read.text_bytes["s0"] == 2 * read.lengths["s0"].total


def test_a_ratio_out_of_a_sample_is_scaled_to_all_bytes(built: Path) -> None:
    manifest = STORE.read_record(CorpusManifest, str(built / "manifest.json"))
    seen = max(manifest.subsets)
    lengths = Lengths()
    lengths.add(np.array([100, 300]))
    rows = {
        row.name: row.characters_per_token
        for row in subset_rows(manifest, Characters({seen: lengths}, {seen: 800}, 1, 9))
    }
    counts = manifest.subsets[seen]
    assert rows.pop(seen) == pytest.approx(0.5 * counts.text_bytes / counts.tokens)
    assert rows
    assert not any(rows.values())


def write_duplicates(root: Path, sizes: dict[str, int], similarity: float | None = None) -> None:
    rows = [(f"d/{kept}/{i}", kept) for kept, size in sizes.items() for i in range(size)]
    random.Random(1).shuffle(rows)
    (root / "duplicates").mkdir()
    for number in range(3):
        part = sorted(rows[number::3])
        columns = {
            "id": [dropped for dropped, _ in part],
            "kept_id": [kept for _, kept in part],
            "similarity": pa.array([similarity or hash_share(dropped) for dropped, _ in part], pa.float32()),
            "stage": ["near_dedup"] * len(part),
        }
        pq.write_table(pa.table(columns), root / f"duplicates/part-{number:05d}.parquet")


def hash_share(text: str) -> float:
    return random.Random(text).random()


def test_the_largest_clusters_are_found_though_most_are_never_counted_by_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates_module, "_FULLEST", 16)
    sizes = {f"large{i}": 60 + i for i in range(10)} | {f"small{i}": 1 + i % 3 for i in range(600)}
    write_duplicates(tmp_path, sizes)
    uris = [str(path) for path in sorted((tmp_path / "duplicates").iterdir())]
    expected = dict(Counter(sizes).most_common(10))
    assert list(_largest(uris, 10, buckets=256).items()) == list(expected.items())


def test_a_cluster_shows_its_most_and_least_similar_members(tmp_path: Path) -> None:
    write_duplicates(tmp_path, {"a": 9, "b": 4, "c": 1})
    found = duplicates(VersionLayout(str(tmp_path)), largest=2)
    assert [(cluster.kept_id, cluster.dropped) for cluster in found.clusters] == [("a", 9), ("b", 4)]
    for cluster in found.clusters:
        members = [f"d/{cluster.kept_id}/{i}" for i in range(cluster.dropped)]
        assert cluster.most_similar.id == max(members, key=hash_share)
        assert cluster.least_similar.id == min(members, key=hash_share)
    assert (found.exact, found.near, int(found.similarities.sum())) == (0, 14, 14)


def test_near_duplicates_below_a_similarity_are_counted_to_the_last_one(tmp_path: Path) -> None:
    sizes = {"a": 40, "b": 9}
    write_duplicates(tmp_path, sizes)
    shares = sorted(hash_share(f"d/{kept}/{i}") for kept, size in sizes.items() for i in range(size))
    for below, similarity in enumerate(shares):
        assert duplicates(VersionLayout(str(tmp_path)), similarity + 1e-6).unlike == below + 1


def test_of_members_that_are_all_as_similar_two_are_shown(tmp_path: Path) -> None:
    write_duplicates(tmp_path, {"a": 2, "b": 1}, similarity=1.0)
    pair, single = duplicates(VersionLayout(str(tmp_path))).clusters
    assert {pair.most_similar.id, pair.least_similar.id} == {"d/a/0", "d/a/1"}
    assert single.most_similar.id == single.least_similar.id == "d/b/0"


def test_every_document_is_found_by_its_id_and_no_other(tmp_path: Path) -> None:
    ids = sorted(f"raw/{shard}/{row:09d}" for shard in ("a", "a.b", "c") for row in range(0, 90, 3))
    held_out = set(ids[::7])
    for folder, mine in (
        ("documents", [i for i in ids if i not in held_out]),
        ("held_out", sorted(held_out)),
    ):
        (tmp_path / folder).mkdir()
        for start in range(0, len(mine), 13):
            part = mine[start : start + 13]
            table = pa.table(
                {name: [f"{name} of {i}" for i in part] for name in DOCUMENT_COLUMNS} | {"id": part}
            )
            pq.write_table(table, tmp_path / folder / f"part-{start:05d}.parquet", row_group_size=4)
    missing = ["", "raw/a/", "raw/a/000000001", "raw/b/000000000", "zzz"]
    found = documents_by_id(VersionLayout(str(tmp_path)), [*ids, *missing])
    assert {name: row["text"] for name, row in found.items()} == {name: f"text of {name}" for name in ids}


def test_texts_come_a_few_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "large.parquet"
    pq.write_table(pa.table({"text": ["word"] * 5_000, "subset": ["s"] * 5_000}), path)
    batches = list(column_batches([str(path)], ["text", "subset"]))
    assert max(batch.num_rows for batch in batches) <= 256
    assert sum(batch.num_rows for batch in batches) == 5_000


@given(st.lists(st.integers(1, 10**12), min_size=2, unique=True))
def test_bars_keep_the_order_and_are_logarithmic_where_numbers_are_far_apart(values: list[int]) -> None:
    scale = Scale.of(values)
    widths = [scale.percent(value) for value in sorted(values)]
    assert scale.logarithmic == (max(values) > 100 * min(values))
    assert widths == sorted(widths)
    assert widths[0] > 0
    assert widths[-1] == 100
    assert scale.percent(0) == 0


def test_even_odds_are_where_half_of_the_pairs_are_found() -> None:
    similarity = even_odds({"near_dedup": {"bands": 14, "rows": 8}})
    assert similarity is not None
    assert 1 - (1 - similarity**8) ** 14 == pytest.approx(0.5)
    assert even_odds({}) is None


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (wording.short_count(999), "999"),
        (wording.short_count(66_105_109), "66.1 M"),
        (wording.short_count(999_999), "1 M"),
        (wording.short_count(999.4), "999"),
        (wording.short_count(999.5), "1 k"),
        (wording.short_count(2.5e9), "2.5 G"),
        (wording.short_count(999_500), "1 M"),
        (wording.short_count(999_499.9), "999 k"),
        (wording.short_count(999_500_000), "1 G"),
        (wording.short_count(999_499_999.5), "999 M"),
        (wording.short_count(999_500_000_000), "1 T"),
        (wording.short_count(999_499_999_999.5), "999 G"),
        (wording.short_count(0), "0"),
        (wording.count(1_234_567), "1,234,567"),
        (wording.size(999), "999 B"),
        (wording.size(1_000), "1.0 kB"),
        (wording.size(10**6), "1.0 MB"),
        (wording.size(10**9), "1.0 GB"),
        (wording.size(5 * 10**15), "5,000.0 TB"),
        (wording.size(382_582_895), "382.6 MB"),
        (wording.size(12), "12 B"),
        (wording.share(1, 56_637), "< 0.1 %"),
        (wording.share(49, 100_000), "< 0.1 %"),
        (wording.share(1, 2_000), "0.1 %"),
        (wording.share(1, 3), "33.3 %"),
        (wording.share(5, 5), "100.0 %"),
        (wording.share(0, 5), "0.0 %"),
        (wording.share(0, 0), "–"),
        (wording.duration(59.96), "1 min 00 s"),
        (wording.duration(59.94), "59.9 s"),
        (wording.duration(9.25), "9.2 s"),
        (wording.duration(192), "3 min 12 s"),
        (wording.duration(3_599), "59 min 59 s"),
        (wording.duration(3_600), "1 h 00 min"),
        (wording.duration(3_660), "1 h 01 min"),
        (wording.plural(0, "document"), "0 documents"),
        (wording.plural(2_000, "document"), "2,000 documents"),
        (wording.duration(7_500), "2 h 05 min"),
        (wording.plural(1, "document"), "1 document"),
        (wording.excerpt("a\n\n b\nc", 100), "a ↵ b ↵ c"),
        (wording.cut("abcdef", 4), "abc…"),
        (wording.cut("abcd", 4), "abcd"),
    ],
)
def test_numbers_and_texts_read_well(got: str, expected: str) -> None:
    assert got == expected


def test_five_examples_of_a_reason_are_read_each_one_character_longer_than_is_shown(tmp_path: Path) -> None:
    texts = [{"id": f"raw/a/{n}", "text": "x" * (300 + n)} for n in range(7)]
    (tmp_path / "work").mkdir()
    (tmp_path / "work/examples.json").write_text(json.dumps({"filter": {"too_short": texts}}))
    found = dropped_examples(VersionLayout(str(tmp_path)))
    assert found is not None
    examples = found["filter"]["too_short"]
    assert [example.id for example in examples] == [f"raw/a/{n}" for n in range(5)]
    assert [len(example.text) for example in examples] == [300, 301, 301, 301, 301]


def test_a_corpus_without_examples_has_none(tmp_path: Path) -> None:
    assert dropped_examples(VersionLayout(str(tmp_path))) is None
