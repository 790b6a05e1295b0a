"""The pieces that a text is split into: a record, or a marker for one that cannot be read."""

from __future__ import annotations

from spark_jobs.readers.compression import Damage

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

#: ASCII white space and the record separator of RFC 7464.
RECORD_SEPARATORS = b" \t\r\n\x0b\x0c\x1e"

#: Bytes kept of a dropped record: more than a report shows, so that the report marks the excerpt as cut.
BEGINNING_BYTES = 400


class Overlong(bytes):
    """The beginning of a record that was longer than the limit; its other bytes were skipped."""

    @classmethod
    def of(cls, content: bytes) -> Overlong:
        """Keep the beginning of ``content``."""
        return cls(content[:BEGINNING_BYTES])


class Torn(bytes):
    """A record that may lack its end, because the stream is damaged there."""


Piece = bytes | Damage


def bounded(piece: bytes, limit_bytes: int) -> bytes:
    """Return the piece, or an Overlong for it."""
    return piece if len(piece) <= limit_bytes else Overlong.of(piece)
