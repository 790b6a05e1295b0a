"""Turn Arrow values into Python's, one by one where some of them have no Python form.

Bytes become text, because many writers of parquet do not mark their strings as such.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.contracts.documents import RepairReason
from spark_jobs.readers.salvage import repaired

#: What pyarrow raises for a value that it cannot convert: bytes that are no text, one name twice, far dates.
_UNCONVERTIBLE = (
    ValueError,
    KeyError,
    OverflowError,
    TypeError,
    ImportError,
    NotImplementedError,
    pa.ArrowException,
)
_BYTES = (
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_fixed_size_binary,
    pa.types.is_binary_view,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Values:
    """The values of a column, and for each row that has some, the reasons for repairs."""

    values: list[Any]
    repairs: dict[int, set[RepairReason]] = field(default_factory=dict)

    def convert(self, convert: Callable[[Any, set[RepairReason]], Any]) -> None:
        """Replace each value by the result of ``convert``, which adds the reasons for repairs to a set."""
        for position, value in enumerate(self.values):
            reasons: set[RepairReason] = set()
            self.values[position] = convert(value, reasons)
            if reasons:
                self.repairs.setdefault(position, set()).update(reasons)


def plain_values(column: pa.Array) -> Values:
    """Convert a column; a value without a Python or JSON form is repaired, or null."""
    try:
        found = Values(column.to_pylist())
    except _UNCONVERTIBLE:
        found = Values(list(column))
        found.convert(_plain)
    if _may_hold_bytes(column.type):
        found.convert(_as_text)
    if _holds_non_finite(column):
        found.convert(repaired)
    return found


def _plain(scalar: Any, repairs: set[RepairReason]) -> Any:
    if scalar is None or not scalar.is_valid:
        return None
    try:
        return scalar.as_py()
    except _UNCONVERTIBLE:
        pass
    kind = scalar.type
    if isinstance(scalar, pa.ExtensionScalar | pa.DictionaryScalar | pa.UnionScalar):
        return _plain(scalar.value, repairs)
    if isinstance(scalar, pa.MapScalar):
        return [tuple(_plain(entry[name], repairs) for name in (0, 1)) for entry in scalar.values]
    if isinstance(scalar, pa.ListScalar):
        return [_plain(value, repairs) for value in scalar.values]
    if isinstance(scalar, pa.StructScalar):  # of two fields of one name the last counts, as in JSON
        return {kind.field(i).name: _plain(scalar[i], repairs) for i in range(kind.num_fields)}
    if isinstance(scalar, pa.StringScalar | pa.LargeStringScalar | pa.StringViewScalar):
        repairs.add(RepairReason.INVALID_UTF8)
        return scalar.as_buffer().to_pybytes().decode(errors="replace")
    if pa.types.is_timestamp(kind):
        return _moment(scalar, repairs)
    repairs.add(RepairReason.DATE if pa.types.is_temporal(kind) else RepairReason.TYPE)
    return None


def _may_hold_bytes(kind: pa.DataType) -> bool:
    """Return True if values of this type are bytes or contain some."""
    if isinstance(kind, pa.BaseExtensionType):
        return not isinstance(kind, pa.UuidType) and _may_hold_bytes(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _may_hold_bytes(kind.value_type)
    if pa.types.is_nested(kind):
        return any(_may_hold_bytes(kind.field(position).type) for position in range(kind.num_fields))
    return any(is_bytes(kind) for is_bytes in _BYTES)


def _as_text(value: Any, repairs: set[RepairReason]) -> Any:
    """Return the value with text for bytes; None for bytes that are a picture or the like."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            if b"\0" in value:
                repairs.add(RepairReason.TYPE)
                return None
            repairs.add(RepairReason.INVALID_UTF8)
            return value.decode(errors="replace")
    if isinstance(value, dict):
        return {key: _as_text(item, repairs) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_text(item, repairs) for item in value]
    return value


def _moment(scalar: pa.TimestampScalar, repairs: set[RepairReason]) -> str | None:
    """Return a timestamp of nanoseconds or of an unknown time zone in UTC; None beyond Python's years."""
    parts_per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[scalar.type.unit]
    seconds, rest = divmod(scalar.value, parts_per_second)
    try:
        moment = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        repairs.add(RepairReason.DATE)
        return None
    digits = len(str(parts_per_second)) - 1
    fraction = f".{rest:0{digits}d}" if digits else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}{'+00:00' if scalar.type.tz else ''}"


def _holds_non_finite(column: pa.Array) -> bool:
    """Return True if a number of the column, however deep, is NaN or infinite."""
    kind = column.type
    if pa.types.is_floating(kind):
        numbers = column.cast(pa.float32()) if pa.types.is_float16(kind) else column
        return pc.any(pc.invert(pc.is_finite(numbers))).as_py() is True
    if isinstance(column, pa.ExtensionArray):
        return _holds_non_finite(column.storage)
    if isinstance(column, pa.DictionaryArray):
        return _holds_non_finite(column.dictionary)
    if isinstance(column, pa.MapArray):
        return _holds_non_finite(column.keys) or _holds_non_finite(column.items)
    if isinstance(column, pa.StructArray):
        return any(_holds_non_finite(child) for child in column.flatten())
    if isinstance(column, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
        return _holds_non_finite(column.flatten())
    return False
