"""The rules that split text into words, as tables for the kernels of ``english_words``."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spark_jobs.kernels import unicode_tables
from spark_jobs.kernels.english_exceptions import entries_of_english
from spark_jobs.kernels.hash_tables import table_mask
from spark_jobs.kernels.letters import ALPHABETIC, LOWER, letters
from spark_jobs.kernels.lines import hash_line

#: Flags of a sign: it is split off at the start of a word, at its end, or between two letters.
BEFORE, BEHIND, WITHIN = 1, 2, 4
#: Flags of a letter: any letter, one that is not upper case, one that is not lower case.
LETTER, SMALL, CAPITAL = 8, 16, 32
#: Flags: a full stop after it is split off; a quotation mark; a currency sign.
ENDS_SENTENCE, QUOTE, MONEY = 64, 128, 256

#: Flags of an entry: an exception, which is kept whole or split at given places; a unit after a number.
EXCEPTION, UNIT = 1, 2

LONGEST_UNIT = 5
#: The most cuts within characters without white space between them, to bound the memory.
_MOST_CUTS = 1 << 16

_PUNCTUATION = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪"
_QUOTES = "'\"”“`‘´’‚„»«「」『』（）〔〕【】《》〈〉⟦⟧"
_MONEY_SIGNS = "$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₵₶₷₸₹₺₻₼₾₿"
_UNITS = """
    km km² km³ m m² m³ dm dm² dm³ cm cm² cm³ mm mm² mm³ ha µm nm yd in ft kg g mg µg t lb oz m/s km/h kmh
    mph hPa Pa mbar mb MB kb KB gb GB tb TB T G M K %
"""


class WordRule(NamedTuple):
    """A rule that splits text into words at white space and, if ``english`` is set, at signs.

    ``signs`` has the flags of each code point. ``entries`` is a hash table of strings with the shape
    (slots, 2): the hash of the string, 0 for a free slot, and its flags, where bits 8 to 15 and 16 to 23 are
    cuts of an exception in bytes. ``lengths`` has, by first byte, a bit for each length in bytes of an entry.
    ``cuts`` is room for the ends of the words of one stretch; one thread at a time may use it.
    """

    english: bool
    signs: npt.NDArray[np.uint16]
    entries: npt.NDArray[np.uint64]
    lengths: npt.NDArray[np.uint32]
    cuts: npt.NDArray[np.int64]


@lru_cache(maxsize=2)
def word_rule(name: str) -> WordRule:
    """Return the rule ``whitespace`` or ``english``."""
    if name == "whitespace":
        no_entries, no_lengths = np.zeros((0, 2), np.uint64), np.zeros(0, np.uint32)
        return WordRule(False, np.zeros(0, np.uint16), no_entries, no_lengths, np.zeros(0, np.int64))
    entries, lengths = _entries()
    return WordRule(True, _signs(), entries, lengths, np.zeros(_MOST_CUTS, np.int64))


def _entries() -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
    """Return the hash table of exceptions and units, and the lengths of its strings by first byte."""
    values: dict[str, int] = dict.fromkeys(_UNITS.split(), UNIT)
    for words in entries_of_english():
        text = "".join(words)
        ends = np.cumsum([len(word.encode()) for word in words])[:-1].tolist()
        cuts = sum(end << 8 * place for place, end in enumerate(ends, 1))
        values[text] = values.get(text, 0) | EXCEPTION | cuts
    mask = table_mask(len(values))
    entries, lengths = np.zeros((mask + 1, 2), np.uint64), np.zeros(256, np.uint32)
    for text, value in values.items():
        data = np.frombuffer(text.encode(), np.uint8)
        lengths[data[0]] |= np.uint32(1 << len(data))
        key, _ = hash_line(data, 0, len(data))
        slot = int(key) & mask
        while entries[slot, 0]:
            slot = (slot + 1) & mask
        entries[slot] = key, value
    return entries, lengths


def _signs() -> npt.NDArray[np.uint16]:
    """Return the flags of each code point."""
    table = np.zeros(0x110000, np.uint16)
    points = np.union1d(np.arange(0x20000), np.flatnonzero(unicode_tables.classes()))
    alphabetic = letters()[points] & ALPHABETIC != 0
    small = alphabetic & ~unicode_tables.marks(points, str.isupper)
    capital = alphabetic & (letters()[points] & LOWER == 0)
    symbols = unicode_tables.marks(points, lambda character: unicodedata.category(character) == "So")
    for marked, flags in (
        (alphabetic, LETTER),
        (small, SMALL | ENDS_SENTENCE),
        (capital, CAPITAL),
        (symbols & ~alphabetic, BEFORE | BEHIND | WITHIN),
    ):
        table[points[marked]] |= flags
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
