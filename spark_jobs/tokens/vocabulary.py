"""The vocabulary of a ``tokenizer.json``: its ids, and which texts are outside of it.

Functions take the parsed file, or its ``model``, in the form that Hugging Face tokenizers writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

#: Bytes that occur in normalised documents: UTF-8 without the controls that normalisation removes.
TEXT_BYTES = (0x09, 0x0A, *range(0x20, 0x7F), *range(0x80, 0xC0), *range(0xC2, 0xF5))


@lru_cache(maxsize=1)
def byte_letters() -> dict[int, str]:
    """Return the characters that GPT-2 writes for bytes: printable Latin-1 as it is, U+0100 on for others."""
    printable = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
    others = [byte for byte in range(0x100) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(0x100 + i) for i, byte in enumerate(others)}


def ids(model: Mapping[str, Any]) -> dict[str, int]:
    """Return the id of each piece; pieces of a Unigram model have their positions."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, list):
        return {piece: position for position, (piece, _) in enumerate(vocabulary)}
    return dict(vocabulary)


def missing_bytes(plain: Mapping[str, Any]) -> list[int] | None:
    """Return the bytes of texts that have no token, or None if the tokenizer does not fall back to bytes."""
    model = plain["model"]
    vocabulary = ids(model)
    if model["type"] in ("BPE", "Unigram") and model.get("byte_fallback"):
        return [byte for byte in TEXT_BYTES if f"<0x{byte:02X}>" not in vocabulary]
    steps = {step["type"] for name in ("normalizer", "pre_tokenizer") for step in steps_of(plain.get(name))}
    if model["type"] != "BPE" or "ByteLevel" not in steps:
        return None
    prefix, suffix = model.get("continuing_subword_prefix") or "", model.get("end_of_word_suffix") or ""
    # a byte is looked up with the marks of its position in the word
    marks = {(before, after) for before in ("", prefix) for after in ("", suffix)}
    letters = byte_letters()
    return [
        byte
        for byte in TEXT_BYTES
        if any(f"{before}{letters[byte]}{after}" not in vocabulary for before, after in marks)
    ]


def is_reachable(plain: Mapping[str, Any], token: str) -> bool:
    """Return False if no text can be encoded as this special token, as in a BPE that does not merge to it.

    A BPE reaches single characters and the results of merges; with ``ignore_merges`` whole words too.
    """
    model = plain["model"]
    if model["type"] != "BPE" or model.get("ignore_merges") or len(token) < 2:
        return True
    marks = model.get("continuing_subword_prefix") or model.get("end_of_word_suffix")
    # merges are pairs, or in files of older versions strings with a space between the two
    pairs = (merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"])
    return bool(marks) or token == model.get("unk_token") or any("".join(pair) == token for pair in pairs)


def steps_of(step: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    """Yield a normalizer's or pre-tokenizer's steps, those of sequences among them."""
    if not step:
        return
    if step["type"] == "Sequence":
        for inner in step.get("normalizers") or step.get("pretokenizers") or ():
            yield from steps_of(inner)
    else:
        yield step


def without_special_pieces(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tokenizer with special tokens renamed, so that no document can spell one out.

    A vocabulary of Unigram, WordLevel or WordPiece holds its special tokens as pieces, and Hugging Face
    matches ``</s>`` in a document as the piece; SentencePiece does not. The new names begin with NUL, which
    normalisation removes from documents. A BPE reaches pieces only by merges, so it is not changed.
    """
    special = {token["content"] for token in plain["added_tokens"] if token["special"]}
    if plain["model"]["type"] == "BPE":
        return dict(plain)

    def renamed(piece: Any) -> Any:
        return f"\0{piece}" if piece in special else piece

    model = dict(plain["model"])
    if isinstance(model["vocab"], list):
        model["vocab"] = [[renamed(piece), score] for piece, score in model["vocab"]]
    else:
        model["vocab"] = {renamed(piece): number for piece, number in model["vocab"].items()}
    if "unk_token" in model:
        model["unk_token"] = renamed(model["unk_token"])
    added = [{**token, "content": renamed(token["content"])} for token in plain["added_tokens"]]
    return {**plain, "model": model, "added_tokens": added}
