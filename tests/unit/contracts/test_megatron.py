"""The index of token files is that of Megatron's IndexedDataset, byte by byte."""

from __future__ import annotations

from include.contracts.megatron import HEADER, MAGIC, TYPE_CODES, VERSION


def test_the_codes_of_number_types_are_megatrons() -> None:
    # DType of megatron/core/datasets/indexed_dataset.py: uint8 1, int8 2, int16 3, int32 4, … uint16 8
    assert TYPE_CODES == {"int32": 4, "uint16": 8}


def test_the_header_is_packed_in_34_bytes_without_gaps() -> None:
    packed = HEADER.pack(MAGIC, VERSION, TYPE_CODES["uint16"], 3, 4)
    assert packed == (
        b"MMIDIDX\0\0" + b"\x01" + b"\0" * 7 + b"\x08" + b"\x03" + b"\0" * 7 + b"\x04" + b"\0" * 7
    )
    assert HEADER.size == len(packed) == 34
