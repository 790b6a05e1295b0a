"""Builds the index of benchmarks: reads items, hashes their n-grams, and tests that they are found.

Each field of at least ``ngram_words`` words is a separate text, so that a question is found without its
answer. The fields of an item without such a field are searched for together, as one n-gram if these are
shorter than ``ngram_words``. Words are folded as for near dedup (no case, accents or punctuation), but
numbers keep their value: otherwise all sums and tables of numbers would look alike.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from include.contracts.errors import InputError
from include.object_store import STORE
from include.recipes.decontamination import Benchmark, DecontaminateRecipe
from spark_jobs.decontamination import overlap
from spark_jobs.kernels import unicode_tables
from spark_jobs.readers.compression import CorruptStream, plain_blocks, undamaged
from spark_jobs.readers.formats import unpack
from spark_jobs.runtime.columns import buffers

#: Text around a canary, so that it is found within a document and not only as a whole document.
_CANARY_FRAME = ("the document begins before the item\n", "\nand goes on after it for a while")


@lru_cache(maxsize=1)
def folds() -> npt.NDArray[np.uint32]:
    """Return the folded code points of near dedup, but with the digits of all scripts as 0 to 9."""
    table = unicode_tables.folds("datatrove").copy()
    for point in np.flatnonzero(table == unicode_tables.FOLD_DIGIT).tolist():
        table[point] = ord(str(unicodedata.decimal(chr(point))))
    return table


@dataclass(frozen=True)
class BenchmarkIndex:
    """The n-grams of all items. ``unit_*`` describe the texts (units) to search for."""

    names: tuple[str, ...]
    table: overlap.NgramTable
    unit_benchmarks: npt.NDArray[np.int32]
    #: Position of the unit's item in its file, from 0.
    unit_items: npt.NDArray[np.int32]
    #: Number of distinct n-grams of each unit.
    unit_ngrams: npt.NDArray[np.int64]
    unit_texts: tuple[str, ...] = field(repr=False)
    #: Number of items of each benchmark that are too short to search for.
    skipped: tuple[int, ...]

    def needed(self, recipe: DecontaminateRecipe) -> npt.NDArray[np.int64]:
        """Return how many n-grams of each unit make a document contaminated."""
        share = np.ceil(self.unit_ngrams * recipe.min_overlap - 1e-9).astype(np.int64)
        needed: npt.NDArray[np.int64] = np.maximum(share, 1)
        return needed

    def search(self, texts: pa.StringArray, recipe: DecontaminateRecipe) -> npt.NDArray[np.int64]:
        """Return rows (document, unit, number of an n-gram), one per unit that contaminates a document."""
        fold = folds()
        found: npt.NDArray[np.int64] = overlap.overlaps(
            *buffers(texts), fold, self.table, self.needed(recipe)
        )
        return found

    def ngram_text(self, unit: int, number: int, recipe: DecontaminateRecipe) -> str:
        """Return the text of an n-gram as it is written in the unit."""
        text = self.unit_texts[unit]
        hashes, _, lengths = overlap.ngrams_of(
            *buffers(pa.array([text], pa.string())), folds(), recipe.ngram_words
        )
        key = self.table.hashes[np.flatnonzero(self.table.numbers == number)[0]]
        position = int(np.flatnonzero(hashes == key)[0])
        start, end = (_start_of_word(text, position + words) for words in (0, int(lengths[position])))
        return text[start:end].strip()


def load_benchmarks(recipe: DecontaminateRecipe) -> BenchmarkIndex:
    """Build the index of the recipe's benchmarks. Raises InputError for one that cannot match anything."""
    units: list[tuple[int, int, str]] = []
    searched: list[dict[int, str]] = []
    skipped: list[int] = []
    for number, benchmark in enumerate(recipe.benchmarks):
        items = read_items(benchmark)
        mine = _units(items, recipe)
        if not mine:
            raise _unusable(benchmark, f"no item of {recipe.min_item_words} words or more among {len(items)}")
        units += [(number, item, text) for item, text in mine]
        searched.append({item: "\n".join(items[item]) for item, _ in mine})
        skipped.append(len(items) - len(searched[-1]))
    benchmarks, numbers, texts = zip(*units, strict=True) if units else ((), (), ())
    hashes, owners, lengths = overlap.ngrams_of(
        *buffers(pa.array(texts, pa.string())), folds(), recipe.ngram_words
    )
    table = overlap.ngram_table(hashes, owners, lengths)
    index = BenchmarkIndex(
        names=tuple(benchmark.name for benchmark in recipe.benchmarks),
        table=table,
        unit_benchmarks=np.array(benchmarks, np.int32),
        unit_items=np.array(numbers, np.int32),
        unit_ngrams=np.bincount(table.units, minlength=len(units)).astype(np.int64),
        unit_texts=tuple(texts),
        skipped=tuple(skipped),
    )
    for number, canaries in enumerate(searched):
        release_canaries(index, number, canaries, recipe)
    return index


def release_canaries(
    index: BenchmarkIndex, number: int, items: dict[int, str], recipe: DecontaminateRecipe
) -> None:
    """Test that each item is found in a document made of it. Raises InputError if one is not."""
    before, after = _CANARY_FRAME
    documents = pa.array([before + text + after for text in items.values()], pa.string())
    found = index.search(documents, recipe)
    own = found[index.unit_benchmarks[found[:, 1]] == number]
    numbers = np.array(list(items), np.int64)
    hits = own[:, 0][numbers[own[:, 0]] == index.unit_items[own[:, 1]]]
    missed = np.setdiff1d(np.arange(len(items)), hits)
    if len(missed):
        benchmark = recipe.benchmarks[number]
        raise _unusable(benchmark, f"item {numbers[missed[0]]} is not found in a document made of it")


def read_items(benchmark: Benchmark) -> list[tuple[str, ...]]:
    """Read the texts of each item's fields, empty if it lacks one.

    Raises InputError if a field is missing from all items.
    """
    records = _records(benchmark.uri)
    items = [
        tuple(_text(_field(record, name), benchmark, name) for name in benchmark.fields) for record in records
    ]
    for position, name in enumerate(benchmark.fields):
        if not any(item[position].strip() for item in items):
            keys = sorted({key for record in records for key in record})
            got = f"{len(items)} items with the keys {', '.join(keys)}" if items else "no items"
            raise _unusable(benchmark, got, expected=f"items with a text in {name}")
    return items


def _records(uri: str) -> list[dict[str, Any]]:
    with STORE.open(uri) as stream:
        try:
            content = b"".join(undamaged(unpack(plain_blocks(stream)).blocks))
        except CorruptStream as error:
            raise InputError(str(error), where=uri, remedy="fetch the benchmark again") from error
    content = content.removeprefix(b"\xef\xbb\xbf").strip()
    try:
        if content[:1] == b"[":
            records = orjson.loads(content)
        else:
            records = [orjson.loads(line) for line in content.split(b"\n") if line.strip()]
    except orjson.JSONDecodeError as error:
        raise InputError(f"not JSON ({error})", where=uri, expected="JSON lines or an array") from error
    if not all(isinstance(record, dict) for record in records):
        raise InputError("an item is not a JSON object", where=uri, expected="one object per item")
    return list(records)


def _field(record: dict[str, Any], name: str) -> Any:
    value: Any = record
    for key in (name,) if name in record else name.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _text(value: Any, benchmark: Benchmark, name: str) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "\n".join(_text(part, benchmark, name) for part in value)
    if isinstance(value, dict):
        raise InputError(
            "a field of a benchmark is an object",
            where=f"{benchmark.name}: {name} in {benchmark.uri}",
            expected="text, a number or a list of them",
            got=", ".join(value),
            remedy=f"name a key of the object, such as {name}.{next(iter(value), 'key')}",
        )
    return str(value)


def _units(items: Sequence[tuple[str, ...]], recipe: DecontaminateRecipe) -> list[tuple[int, str]]:
    """Return (item, text) for every text to search for."""
    fold = folds()
    fields = [text for item in items for text in item]
    words = overlap.count_words(*buffers(pa.array(fields, pa.string())), fold).reshape(len(items), -1)
    joined = ["\n".join(item) for item in items]
    joined_words = overlap.count_words(*buffers(pa.array(joined, pa.string())), fold)
    units: list[tuple[int, str]] = []
    for number, item in enumerate(items):
        long = [
            (number, text)
            for text, count in zip(item, words[number], strict=True)
            if count >= recipe.ngram_words
        ]
        if not long and joined_words[number] >= recipe.min_item_words:
            long = [(number, joined[number])]
        units += long
    return units


def _start_of_word(text: str, word: int) -> int:
    """Return the position at which a word begins. For the word after the last it is the end of the text."""
    fold = folds()
    low, high = 0, len(text) + 1
    while low < high:  # finds the shortest beginning of the text with more than ``word`` words
        middle = (low + high) // 2
        if overlap.count_words(*buffers(pa.array([text[:middle]], pa.string())), fold)[0] > word:
            high = middle
        else:
            low = middle + 1
    return low - 1


def _unusable(benchmark: Benchmark, got: str, expected: str = "") -> InputError:
    return InputError(
        "the benchmark cannot match anything",
        where=f"{benchmark.name} ({benchmark.uri})",
        expected=expected,
        got=got,
        remedy="check the benchmark's file and its fields in the recipe",
    )
