"""NFC, line ends, control characters, encoding faults."""

from __future__ import annotations

import unicodedata
from collections import Counter
from typing import Literal, cast

import numpy as np
import pyarrow as pa

from include.contracts.documents import DropReason
from include.recipes.corpus import NormaliseRecipe
from spark_jobs.kernels import text as text_kernels
from spark_jobs.kernels import unicode_tables
from spark_jobs.transforms.columns import buffers, strings

_FIRST_UNSTABLE = {"NFC": 0x300, "NFKC": 0xA0}


def normalise(batch: pa.RecordBatch, recipe: NormaliseRecipe, dropped: Counter[str]) -> pa.RecordBatch:
    """The batch with normalised ``text``, without the documents that are counted in ``dropped``."""
    data, offsets = buffers(batch.column("text"))
    new_data, new_offsets, faults, characters = text_kernels.normalise(
        data, offsets, unicode_tables.classes(), unicode_tables.windows_1252_bytes()
    )
    faulty = faults > recipe.max_replacement_share * characters
    empty = ~faulty & (np.diff(new_offsets) == 0)
    dropped[DropReason.ENCODING_FAULT.value] += int(faulty.sum())
    dropped[DropReason.EMPTY.value] += int(empty.sum())
    text = _in_form(strings(new_data, new_offsets), recipe.unicode_form)
    batch = batch.set_column(batch.schema.get_field_index("text"), "text", text)
    kept = ~(faulty | empty)
    return batch if kept.all() else batch.filter(pa.array(kept))


def _in_form(column: pa.StringArray, form: str) -> pa.StringArray:
    """Only documents with a character that may not be in the form yet are touched by Python."""
    data, offsets = buffers(column)
    suspects = np.flatnonzero(
        text_kernels.has_any(data, offsets, unicode_tables.unstable(form), _FIRST_UNSTABLE[form])
    )
    if not len(suspects):
        return column
    known = cast(Literal["NFC", "NFKC"], form)
    changed = [unicodedata.normalize(known, column[int(d)].as_py()) for d in suspects]
    mask = np.zeros(len(column), np.bool_)
    mask[suspects] = True
    replaced: pa.StringArray = pa.compute.replace_with_mask(
        column, pa.array(mask), pa.array(changed, pa.string())
    )
    return replaced
