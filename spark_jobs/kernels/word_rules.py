"""The rules by which text is cut into words, as tables for the kernels of ``english_words``."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spark_jobs.kernels import unicode_tables
from spark_jobs.kernels.english_exceptions import exceptions
from spark_jobs.kernels.lines import hash_line

#: Flags of a sign: it is cut off before a word, behind a word, or between two.
BEFORE, BEHIND, WITHIN = 1, 2, 4
#: Flags of a letter: any, a small one or one without case, a capital or one without case.
LETTER, SMALL, CAPITAL = 8, 16, 32
#: Flags: a full stop behind it is cut off; a quotation mark; a sign of money.
ENDS_SENTENCE, QUOTE, MONEY = 64, 128, 256

LONGEST_UNIT = 5
#: More cuts within one stretch of characters are not made, which bounds the memory.
_MOST_CUTS = 1 << 16

_PUNCTUATION = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪"
_QUOTES = "'\"”“`‘´’‚„»«「」『』（）〔〕【】《》〈〉⟦⟧"
_MONEY_SIGNS = "$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₵₶₷₸₹₺₻₼₾₿"
_UNITS = """
    km km² km³ m m² m³ dm dm² dm³ cm cm² cm³ mm mm² mm³ ha µm nm yd in ft kg g mg µg t lb oz m/s km/h kmh
    mph hPa Pa mbar mb MB kb KB gb GB tb TB T G M K %
"""


class WordRule(NamedTuple):
    """Text is cut into words at white space, and if ``english`` is set at signs too.

    ``cuts`` is room for the ends of the words of one stretch; one thread at a time may use it.
    """

    english: bool
    signs: npt.NDArray[np.uint16]
    units: npt.NDArray[np.uint64]
    keys: npt.NDArray[np.uint64]
    exception_cuts: npt.NDArray[np.uint8]
    cuts: npt.NDArray[np.int64]


@lru_cache(maxsize=2)
def word_rule(name: str) -> WordRule:
    """Return the rule ``whitespace`` or ``english``."""
    if name == "whitespace":
        none, no_cuts = np.zeros(0, np.uint64), np.zeros((0, 2), np.uint8)
        return WordRule(False, np.zeros(0, np.uint16), none, none, no_cuts, np.zeros(1, np.int64))
    known, room = exceptions(), np.zeros(_MOST_CUTS, np.int64)
    return WordRule(True, _signs(), _unit_hashes(), known.keys, known.cuts, room)


def _signs() -> npt.NDArray[np.uint16]:
    """Return the flags of each code point."""
    table = np.zeros(0x110000, np.uint16)
    for point in np.union1d(np.arange(0x20000), np.flatnonzero(unicode_tables.classes())):
        character = chr(point)
        if character.isalpha():
            small, capital = not character.isupper(), not character.islower()
            table[point] = LETTER | small * (SMALL | ENDS_SENTENCE) | capital * CAPITAL
        elif unicodedata.category(character) == "So":
            table[point] = BEFORE | BEHIND | WITHIN
    for signs, flags in (
        (_PUNCTUATION, BEFORE | BEHIND | ENDS_SENTENCE),
        (_QUOTES, BEFORE | BEHIND | QUOTE | ENDS_SENTENCE),
        (_MONEY_SIGNS, BEFORE | MONEY),
        ("§%=—–", BEFORE),
        ("—–", BEHIND),
        ("0123456789%²-+|", ENDS_SENTENCE),
        ("…", WITHIN),
    ):
        table[[ord(sign) for sign in signs]] |= flags
    return table


def _unit_hashes() -> npt.NDArray[np.uint64]:
    """Return the sorted hashes of units that are cut off behind a digit."""
    units = [np.frombuffer(unit.encode(), np.uint8) for unit in _UNITS.split()]
    return np.sort(np.array([hash_line(unit, 0, len(unit))[0] for unit in units], np.uint64))
