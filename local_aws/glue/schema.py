"""Glue tables of an S3 prefix, with columns and partitions that are read from parquet footers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from include.contracts.errors import InputError

_PARTITION = re.compile(r"([^=/]+)=(.*)")
_INPUT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
_OUTPUT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"
_SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
_SIMPLE = {
    pa.bool_(): "boolean",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.uint8(): "smallint",
    pa.uint16(): "int",
    pa.uint32(): "bigint",
    pa.uint64(): "decimal(20,0)",
    pa.float16(): "float",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "string",
    pa.large_string(): "string",
    pa.binary(): "binary",
    pa.large_binary(): "binary",
    pa.date32(): "date",
    pa.date64(): "date",
}


@dataclass(frozen=True)
class FoundTable:
    """A folder of parquet files with one schema; ``partitions`` maps values to the location."""

    name: str
    location: str
    columns: list[dict[str, str]]
    partition_keys: list[str]
    partitions: dict[tuple[str, ...], str]
    files: int
    rows: int
    size_bytes: int

    def table_input(self, prefix: str) -> dict[str, Any]:
        """Return the TableInput that the crawler writes into the catalogue."""
        return {
            "Name": prefix + self.name,
            "TableType": "EXTERNAL_TABLE",
            "PartitionKeys": [{"Name": key, "Type": "string"} for key in self.partition_keys],
            "Parameters": {
                "classification": "parquet",
                "recordCount": str(self.rows),
                "objectCount": str(self.files),
                "sizeKey": str(self.size_bytes),
                "typeOfData": "file",
            },
            "StorageDescriptor": self.storage(self.location),
        }

    def storage(self, location: str) -> dict[str, Any]:
        """Return the StorageDescriptor of the table or of one partition."""
        return {
            "Columns": self.columns,
            "Location": location,
            "InputFormat": _INPUT,
            "OutputFormat": _OUTPUT,
            "Compressed": False,
            "NumberOfBuckets": -1,
            "SerdeInfo": {"SerializationLibrary": _SERDE, "Parameters": {"serialization.format": "1"}},
            "StoredAsSubDirectories": False,
        }


def _refuse_other_formats(folder: Path, uri: str) -> None:
    """Raise InputError for data that is not parquet, instead of silently finding no table."""
    files = [p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(("_", "."))]
    if files and not any(path.suffix == ".parquet" for path in files):
        raise InputError(
            "no file can be crawled",
            where=uri,
            expected="parquet files: local_aws reads no other format",
            got=f"{len(files)} files, for example {files[0].name}",
        )


def find_tables(folder: Path, uri: str) -> list[FoundTable]:
    """Find the tables: folders that directly contain parquet files or ``key=value`` folders.

    Raises InputError with the file that cannot be read, or the files whose columns contradict each other.
    """
    roots: dict[Path, list[Path]] = {}
    _refuse_other_formats(folder, uri)
    for path in sorted(folder.rglob("*.parquet")):
        parts = path.relative_to(folder).parts[:-1]
        if any(part.startswith(("_", ".")) for part in parts):
            continue
        depth = next((i for i, part in enumerate(parts) if _PARTITION.fullmatch(part)), len(parts))
        roots.setdefault(folder.joinpath(*parts[:depth]), []).append(path)
    return [_table(root, files, folder, uri.rstrip("/")) for root, files in roots.items()]


def _table(root: Path, files: list[Path], folder: Path, uri: str) -> FoundTable:
    relative = root.relative_to(folder).as_posix()
    location = f"{uri}/" if relative == "." else f"{uri}/{relative}/"
    schemas, rows = [], 0
    keys: list[str] = []
    partitions: dict[tuple[str, ...], str] = {}
    for path in files:
        try:
            metadata = pq.read_metadata(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(
                "is not a parquet file", where=f"{uri}/{path.relative_to(folder)}", got=str(error)
            ) from error
        schemas.append(metadata.schema.to_arrow_schema().remove_metadata())
        rows += metadata.num_rows
        parts = [
            found for part in path.parent.relative_to(root).parts if (found := _PARTITION.fullmatch(part))
        ]
        if parts:
            keys = [part[1] for part in parts]
            relative = path.parent.relative_to(root).as_posix()
            partitions[tuple(part[2] for part in parts)] = f"{location}{relative}/"
    try:
        schema = pa.unify_schemas(schemas, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(
            "files of one table contradict each other", where=location, got=str(error)
        ) from error
    return FoundTable(
        name=re.sub(r"\W", "_", location.rstrip("/").rsplit("/", 1)[-1].lower()),
        location=location,
        columns=[{"Name": field.name.lower(), "Type": glue_type(field.type)} for field in schema],
        partition_keys=[key.lower() for key in keys],
        partitions=partitions,
        files=len(files),
        rows=rows,
        size_bytes=sum(path.stat().st_size for path in files),
    )


def glue_type(kind: pa.DataType) -> str:
    """Return the name of an Arrow type in Glue, which uses the names of Hive."""
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_dictionary(kind):
        return glue_type(kind.value_type)
    if pa.types.is_map(kind):
        return f"map<{glue_type(kind.key_type)},{glue_type(kind.item_type)}>"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return f"array<{glue_type(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return "struct<" + ",".join(f"{f.name}:{glue_type(f.type)}" for f in kind) + ">"
    return "binary" if pa.types.is_fixed_size_binary(kind) else "string"
