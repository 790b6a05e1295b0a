"""The parquet export as pyarrow reads it without this project's code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from conftest import Made


def test_rows_are_the_documents_in_order(made: Made) -> None:
    paths = sorted((made.folder / "parquet" / made.split).iterdir())
    by_shard: dict[str, list[pa.Table]] = {files.shard.name: [] for files in made.shards}
    for path in paths:
        by_shard[path.name.split(".")[0]].append(pq.read_table(path))
    table = pa.concat_tables([one for tables in by_shard.values() for one in tables])
    rows = zip(*(table.column(name).to_pylist() for name in ("id", "subset", "tokens")), strict=True)
    assert list(rows) == made.documents()
    assert table.schema.field("tokens").type.value_type == pa.from_numpy_dtype(made.manifest.token_dtype)
    assert table.column("length").to_pylist() == [len(tokens) for _, _, tokens in made.documents()]
