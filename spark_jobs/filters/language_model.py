"""langid.py's classifier over Arrow buffers: byte n-grams found by an automaton, then multinomial Bayes.

Lui and Baldwin, "Cross-domain Feature Selection for Language Identification", IJCNLP 2011; the score is
py3langid's, whose model it reads: a softmax of the log-posterior over the square root of the bytes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spark_jobs.kernels.compiled import Integer, array_kernel, kernel
from spark_jobs.kernels.letters import LOWER
from spark_jobs.kernels.text import decode

_LOWER = np.uint8(LOWER)


class Model(NamedTuple):
    """Automaton and weights. State s reads byte b by ``moves[rows[s] * 256 + b]``.

    ``features[s]`` is the feature that ends in state s, or -1; ``weights`` has a row a feature and a column
    a class, ``priors`` a number a class. ``aliases[c]`` is the first class of the same language as c.
    """

    moves: npt.NDArray[np.uint32]
    rows: npt.NDArray[np.uint16]
    features: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    priors: npt.NDArray[np.float32]
    aliases: npt.NDArray[np.int32]


@kernel
def _head(
    data: npt.NDArray[np.uint8],
    start: Integer,
    end: Integer,
    max_characters: int,
    letters: npt.NDArray[np.uint8],
) -> tuple[Integer, bool]:
    """Return where the first ``max_characters`` end, and True if no small letter is among them."""
    i, capitals = start, True
    for _ in range(max_characters):
        if i >= end:
            break
        point, width = decode(data, i)
        capitals = capitals and (letters[point] & _LOWER) == 0
        i += width
    return i, capitals


@kernel
def _find_features(
    data: npt.NDArray[np.uint8],
    start: Integer,
    end: Integer,
    capitals: bool,
    model: Model,
    counts: npt.NDArray[np.int32],
    found: npt.NDArray[np.int32],
) -> int:
    """Count every feature in the bytes. Write those that occur into ``found`` and return their number."""
    state, kinds = np.int64(0), 0
    for i in range(start, end):
        letter = np.int64(data[i])
        if capitals and 0x41 <= letter <= 0x5A:
            letter += 0x20
        state = np.int64(model.moves[(np.int64(model.rows[state]) << 8) + letter])
        feature = model.features[state]
        if feature < 0:
            continue
        if counts[feature] == 0:
            found[kinds] = feature
            kinds += 1
        counts[feature] += 1
    return kinds


@array_kernel
def _best_class(scores: npt.NDArray[np.float32], temperature: float, model: Model) -> tuple[int, float]:
    """Return the likeliest language's class and its probability; classes of one language count together."""
    scores *= np.float32(temperature)
    likelihoods = np.exp(scores - scores.max())
    likelihoods /= likelihoods.sum()
    for c in range(len(likelihoods)):
        if model.aliases[c] != c:
            likelihoods[model.aliases[c]] += likelihoods[c]
            likelihoods[c] = 0
    best = int(np.argmax(likelihoods))
    return best, float(likelihoods[best])


@array_kernel
def identify(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int32],
    letters: npt.NDArray[np.uint8],
    max_characters: int,
    model: Model,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """Return the class of each document, by its first ``max_characters``, and its probability.

    A text without any small letter is read as small letters, as py3langid does (here only ASCII).
    """
    documents = len(offsets) - 1
    classes, probabilities = np.zeros(documents, np.int32), np.zeros(documents, np.float64)
    counts = np.zeros(len(model.weights), np.int32)
    found = np.empty(len(model.weights), np.int32)
    scores = np.empty(len(model.priors), np.float32)
    for d in range(documents):
        start = np.int64(offsets[d])
        end, capitals = _head(data, start, np.int64(offsets[d + 1]), max_characters, letters)
        kinds = _find_features(data, start, end, capitals, model, counts, found)
        scores[:] = 0
        if kinds:
            scores += model.priors
        for f in range(kinds):
            weight = np.float32(np.log1p(counts[found[f]]))
            counts[found[f]] = 0
            row = model.weights[found[f]]
            for c in range(len(scores)):
                scores[c] += weight * row[c]
        classes[d], probabilities[d] = _best_class(
            scores, 1.0 / np.sqrt(float(max(int(end - start), 1))), model
        )
    return classes, probabilities
