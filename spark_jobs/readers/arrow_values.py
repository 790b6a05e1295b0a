"""Turn Arrow values into Python's, one by one where some of them have no Python form.

Bytes become text, because many writers of parquet do not mark their strings as such.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
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
_PARTS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
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
        # pyarrow cuts the nanoseconds of a time of day, and takes those beyond a day modulo a day
        found = None if _may_hold(column.type, _is_clock) else Values(column.to_pylist())
    except _UNCONVERTIBLE:
        found = None
    if found is None:
        found = Values(list(column))
        found.convert(_plain)
    if _may_hold(column.type, _is_bytes):
        found.convert(_as_text)
    if _holds_non_finite(column):
        found.convert(repaired)
    return found


def _plain(scalar: Any, repairs: set[RepairReason]) -> Any:
    if scalar is None or not scalar.is_valid:
        return None
    kind = scalar.type
    if _is_clock(kind):
        return _clock(scalar, repairs)
    try:
        if not _may_hold(kind, _is_clock):
            return scalar.as_py()
    except _UNCONVERTIBLE:
        pass
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


def _may_hold(kind: pa.DataType, is_sought: Callable[[pa.DataType], bool]) -> bool:
    """Return True if values of this type are of a sought one or contain some."""
    if isinstance(kind, pa.BaseExtensionType):
        return not isinstance(kind, pa.UuidType) and _may_hold(kind.storage_type, is_sought)
    if pa.types.is_dictionary(kind):
        return _may_hold(kind.value_type, is_sought)
    if pa.types.is_nested(kind):
        fields = (kind.field(position).type for position in range(kind.num_fields))
        return any(_may_hold(field, is_sought) for field in fields)
    return is_sought(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in _BYTES)


def _is_clock(kind: pa.DataType) -> bool:
    return bool(pa.types.is_time(kind))


def _clock(scalar: pa.Time32Scalar | pa.Time64Scalar, repairs: set[RepairReason]) -> time | str | None:
    """Return a time of day, as text if it has nanoseconds; None beyond a day."""
    seconds, rest = divmod(scalar.value, _PARTS_PER_SECOND[scalar.type.unit])
    if not 0 <= seconds < 86_400:
        repairs.add(RepairReason.DATE)
        return None
    nanoseconds = rest * (10**9 // _PARTS_PER_SECOND[scalar.type.unit])
    whole = (_EPOCH + timedelta(seconds=seconds)).time()
    microseconds, more = divmod(nanoseconds, 1000)
    return f"{whole:%H:%M:%S}.{nanoseconds:09d}" if more else whole.replace(microsecond=microseconds)


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
    parts_per_second = _PARTS_PER_SECOND[scalar.type.unit]
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
