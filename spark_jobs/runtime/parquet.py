"""Partial reading of parquet files: chosen columns, one row group at a time. S3 sends only these ranges."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from include.contracts.documents import DOCUMENT_COLUMNS
from include.object_store import STORE
from include.object_store.locations import is_s3, local_path
from spark_jobs.corpus_version.layout import VersionLayout

#: Maximum rows in memory. A text may have megabytes, a number has eight bytes.
_TEXTS, _NUMBERS = 256, 1 << 16


@contextmanager
def open_parquet(uri: str) -> Iterator[pq.ParquetFile]:
    """Open a file. Only its footer is read."""
    source = pa.PythonFile(STORE.open_ranged(uri), mode="r") if is_s3(uri) else local_path(uri)
    with pq.ParquetFile(source) as file:
        yield file


def column_batches(uris: Iterable[str], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield batches of these columns, file after file."""
    rows = _TEXTS if "text" in columns else _NUMBERS
    for uri in uris:
        with open_parquet(uri) as file:
            yield from file.iter_batches(batch_size=rows, columns=list(columns))


def documents_by_id(layout: VersionLayout, ids: Collection[str]) -> dict[str, dict[str, str]]:
    """Return the rows of these documents by id, without those that the corpus does not hold.

    Ids ascend within a file, and across the files of one version, but not across those of its base.
    """
    found: dict[str, dict[str, str]] = {}
    for folder in (layout.documents, layout.held_out):
        for uri in STORE.uris(folder):
            if wanted := set(ids) - found.keys():
                found |= _rows(uri, wanted)
    return found


def _rows(uri: str, wanted: Collection[str]) -> dict[str, dict[str, str]]:
    """Read the wanted rows of one file. Row groups whose range of ids excludes them are skipped."""
    rows: dict[str, dict[str, str]] = {}
    with open_parquet(uri) as file:
        for group in range(file.num_row_groups):
            statistics = file.metadata.row_group(group).column(0).statistics
            here = {document for document in wanted if statistics.min <= document <= statistics.max}
            if not here:
                continue
            ids = file.read_row_group(group, columns=["id"]).column("id").to_pylist()
            if not here.isdisjoint(ids):
                table = file.read_row_group(group, columns=list(DOCUMENT_COLUMNS))
                for document in sorted(here.intersection(ids)):
                    rows[document] = table.slice(ids.index(document), 1).to_pylist()[0]
    return rows
