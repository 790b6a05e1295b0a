"""Replacement of personal data and secrets by typed placeholders. Every other byte of a text stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from include.recipes.scrubbing import ScrubRecipe
from spark_jobs.runtime.columns import Bytes, Offsets, buffers, strings
from spark_jobs.scrubbing import anchors, personal_data

#: Placeholder by field of the recipe. Replacements are counted under the same name.
PLACEHOLDERS = {
    "emails": b"<EMAIL>",
    "ip_addresses": b"<IP_ADDRESS>",
    "phone_numbers": b"<PHONE>",
    "secrets": b"<SECRET>",
}
_FIELD_OF_KIND = {
    anchors.ASSIGNED: "secrets",
    anchors.EMAIL: "emails",
    anchors.IPV4: "ip_addresses",
    anchors.IPV6: "ip_addresses",
    anchors.PHONE: "phone_numbers",
    anchors.TOKEN: "secrets",
}
_LONGEST = max(map(len, PLACEHOLDERS.values()))


class _Span(NamedTuple):
    """The bytes of the column to replace, and the document that they belong to."""

    document: int
    start: int
    end: int
    field: str


def scrub(batch: pa.RecordBatch, recipe: ScrubRecipe, replaced: Counter[str]) -> pa.RecordBatch:
    """Scrub the column ``text`` and count the replacements by field of the recipe in ``replaced``."""
    if not recipe.enabled:
        return batch
    data, offsets = buffers(batch.column("text"))
    spans = list(_spans(data, offsets, _asked_for(data, offsets, recipe)))
    if not spans:
        return batch
    replaced.update(span.field for span in spans)
    return batch.set_column(
        batch.schema.get_field_index("text"), "text", _with_placeholders(data, offsets, spans)
    )


def _asked_for(data: Bytes, offsets: Offsets, recipe: ScrubRecipe) -> npt.NDArray[np.int64]:
    """Return the candidates of the kinds that the recipe names, in the order of their starts."""
    found = anchors.candidates(data, offsets)
    kinds = [kind for kind, field in _FIELD_OF_KIND.items() if getattr(recipe, field)]
    found = found[np.isin(found[:, 1], kinds)]
    ordered: npt.NDArray[np.int64] = found[np.lexsort((found[:, 1], found[:, 2], found[:, 0]))]
    return ordered


def _spans(data: Bytes, offsets: Offsets, candidates: npt.NDArray[np.int64]) -> Iterator[_Span]:
    """Yield the matches from left to right, without overlaps."""
    whole = data.data
    document, base, last_end = -1, 0, 0
    view = whole[:0]
    for d, kind, first, anchor in candidates.tolist():
        if d != document:
            # patterns look around a match, which must not reach into the neighbouring document
            document, base, last_end = d, int(offsets[d]), 0
            view = whole[base : int(offsets[d + 1])]
        start = first - base
        if kind == anchors.EMAIL:
            if anchor - base < last_end:
                continue
        elif start < last_end or _follows_placeholder(view, start, last_end):
            continue
        if found := personal_data.match(kind, view, start, last_end):
            last_end = found[1]
            yield _Span(d, base + found[0], base + last_end, _FIELD_OF_KIND[kind])


def _follows_placeholder(view: memoryview, start: int, last_end: int) -> bool:
    """Return True if a match, or the placeholder of an earlier scrubbing, ends at ``start``."""
    if start == last_end:
        return start > 0
    if view[start - 1] != ord(">"):
        return False
    return bytes(view[max(start - _LONGEST, 0) : start]).endswith(tuple(PLACEHOLDERS.values()))


def _with_placeholders(data: Bytes, offsets: Offsets, spans: list[_Span]) -> pa.StringArray:
    whole = data.data
    growth = np.zeros(len(offsets), np.int64)
    pieces: list[bytes | memoryview] = []
    done = int(offsets[0])
    for document, start, end, field in spans:
        pieces += (whole[done:start], PLACEHOLDERS[field])
        growth[document + 1] += len(PLACEHOLDERS[field]) - (end - start)
        done = end
    pieces.append(whole[done : int(offsets[-1])])
    new_offsets = offsets.astype(np.int64) - int(offsets[0]) + np.cumsum(growth)
    return strings(np.frombuffer(b"".join(pieces), np.uint8), new_offsets.astype(np.int32))
