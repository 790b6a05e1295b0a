"""Layout of Megatron's IndexedDataset, in which a corpus keeps its tokens; standard library only.

``<name>.bin`` holds the token ids. ``<name>.idx`` holds the position of each sequence, little endian, as
megatron-core's ``indexed_dataset.py`` reads it: the header, lengths in tokens (i32 each), byte pointers
(i64 each), document boundaries (i64 each, from 0). In a corpus a sequence is a whole document, so there is
one more boundary than there are sequences.
"""

from __future__ import annotations

import struct

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
#: Megatron's codes for the number types of token ids, by numpy's names.
TYPE_CODES = {"int32": 4, "uint16": 8}
#: Magic, version, type code, number of sequences, number of document boundaries.
HEADER = struct.Struct("<9sQBQQ")
