"""Normalise Unicode, line ends and control characters, and drop documents with encoding faults."""

from __future__ import annotations

import unicodedata
from collections import Counter
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.contracts.documents import DropReason
from include.recipes.corpus import NormaliseRecipe
from spark_jobs.filters.drops import drop_violations
from spark_jobs.kernels import text as text_kernels
from spark_jobs.kernels import unicode_tables
from spark_jobs.runtime.columns import buffers, strings

_FIRST_UNSTABLE = {"NFC": 0x300, "NFKC": 0xA0}


def normalise(batch: pa.RecordBatch, recipe: NormaliseRecipe, dropped: Counter[str]) -> pa.RecordBatch:
    """Return the batch with normalised ``text``, without the documents that are counted in ``dropped``."""
    data, offsets = buffers(batch.column("text"))
    faults, characters = text_kernels.count_faults(data, offsets, unicode_tables.windows_1252_bytes())
    new_data, new_offsets = text_kernels.normalise(data, offsets, unicode_tables.actions())
    faulty = faults > recipe.max_replacement_share * characters
    broken = {DropReason.ENCODING_FAULT.value: faulty, DropReason.EMPTY.value: np.diff(new_offsets) == 0}
    form = cast(unicode_tables.UnicodeForm, recipe.unicode_form)
    text = _in_form(strings(new_data, new_offsets), form)
    batch = batch.set_column(batch.schema.get_field_index("text"), "text", text)
    return drop_violations(batch, broken, dropped)


def _in_form(column: pa.StringArray, form: unicode_tables.UnicodeForm) -> pa.StringArray:
    """Normalise the form; Python touches only documents with a character that may not be in it yet."""
    data, offsets = buffers(column)
    suspects = np.flatnonzero(
        text_kernels.has_any(data, offsets, unicode_tables.unstable(form), _FIRST_UNSTABLE[form])
    )
    if not len(suspects):
        return column
    changed = [unicodedata.normalize(form, column[int(d)].as_py()) for d in suspects]
    mask = np.zeros(len(column), np.bool_)
    mask[suspects] = True
    replaced: pa.StringArray = pc.replace_with_mask(column, pa.array(mask), pa.array(changed, pa.string()))
    return replaced
