"""Characters and stop strings as tokens come in, on tokens that cut both at every place."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.text import ByteDecoder, StoppedText, TextDecoder, WindowDecoder

BYTES = {byte: bytes([byte]) for byte in range(256)}


class SentencePieceLike:
    """A tokenizer without a table of bytes: single bytes, and the first space is dropped."""

    def decode(self, tokens: Sequence[int], skip_special_tokens: bool = True) -> str:
        return bytes(tokens).decode("utf-8", "replace").removeprefix(" ")


def decoders() -> list[TextDecoder]:
    return [ByteDecoder(BYTES), WindowDecoder(SentencePieceLike())]


@given(st.text(min_size=1).filter(lambda text: not text.startswith(" ") and "\ufffd" not in text))
def test_only_whole_characters_leave_a_decoder(text: str) -> None:
    for decoder in decoders():
        pieces = [decoder.push(byte) for byte in text.encode()]
        assert "".join(pieces) + decoder.finish() == text
        assert not any("\ufffd" in piece for piece in pieces)


def test_a_character_that_never_ends_becomes_a_replacement() -> None:
    for decoder in decoders():
        pieces = [decoder.push(byte) for byte in "a😀".encode()[:-1]]
        assert "".join(pieces) == "a"
        assert decoder.finish() == "\ufffd"


def test_bytes_that_are_no_text_do_not_hold_back_the_rest() -> None:
    for decoder in decoders():
        text = "".join(decoder.push(byte) for byte in b"\xff\xfe\xfd\xfcabc")
        assert text.endswith("abc")


def test_a_token_that_the_table_does_not_have_is_silent() -> None:
    decoder = ByteDecoder({1: b"x"})
    assert decoder.push(7) + decoder.push(1) == "x"


@given(st.text("ab😀", max_size=30), st.lists(st.text("ab😀", min_size=1, max_size=4), max_size=4))
def test_text_ends_before_the_first_stop_string_however_it_is_cut(text: str, stops: list[str]) -> None:
    found = [(at + len(stop), at) for stop in stops if (at := text.find(stop)) >= 0]
    expected = text[: min(found)[1]] if found else text
    stopped = StoppedText(ByteDecoder(BYTES), stops)
    shown = ""
    for byte in text.encode():
        shown += stopped.push([byte])
        assert expected.startswith(shown), "a part of a stop string was shown"
    assert shown + stopped.finish() == expected
    assert stopped.stopped == bool(found)


@pytest.mark.parametrize(("stop", "counted"), [("cd", 4), ("zz", 6), ("a", 1)])
def test_tokens_are_counted_up_to_the_stop(stop: str, counted: int) -> None:
    stopped = StoppedText(ByteDecoder(BYTES), [stop])
    stopped.push(b"abcdef")
    assert stopped.tokens == counted


def test_what_might_become_a_stop_string_is_shown_at_the_end() -> None:
    stopped = StoppedText(ByteDecoder(BYTES), ["xyz"])
    assert stopped.push(b"axy") == "a"
    assert stopped.finish() == "xy"
