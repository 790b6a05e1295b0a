from __future__ import annotations

from typing import Any

import pytest
from tokenizers import normalizers, pre_tokenizers

from spark_jobs.tokens.text_steps import Loss, loss, notes


def step(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


def replacing(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return step("Replace", pattern=pattern, content=content)


@pytest.mark.parametrize(
    ("normalizer", "expected"),
    [
        (None, Loss.NOTHING),
        (step("NFC"), Loss.NOTHING),
        (step("Strip", strip_left=True, strip_right=True), Loss.WHITE_SPACE),
        (step("StripAccents"), Loss.ANY),
        (step("not known yet"), Loss.ANY),
        (replacing({"String": " "}, "▁"), Loss.NOTHING),
        (replacing({"String": "x"}, ""), Loss.ANY),
        (replacing({"String": " "}, ""), Loss.WHITE_SPACE),
        (replacing({"Regex": " {2,}"}, " "), Loss.WHITE_SPACE),
        (replacing({"Regex": r"\s+"}, "▁"), Loss.WHITE_SPACE),
        (replacing({"Regex": r"[^a-z]"}, "x"), Loss.ANY),
        (step("Sequence", normalizers=[step("NFC"), step("Sequence", normalizers=[step("Nmt")])]), Loss.ANY),
    ],
)
def test_normalizers_are_judged_by_what_they_can_remove(
    normalizer: dict[str, Any] | None, expected: Loss
) -> None:
    assert loss({"normalizer": normalizer}) is expected


@pytest.mark.parametrize(
    ("pre_tokenizer", "expected"),
    [
        (step("ByteLevel"), Loss.NOTHING),
        (step("Whitespace"), Loss.WHITE_SPACE),
        (step("Split", behavior="Isolated"), Loss.NOTHING),
        (step("Split", behavior="Removed"), Loss.ANY),
        (step("Punctuation", behavior="Removed"), Loss.ANY),
        (step("CharDelimiterSplit", delimiter=" "), Loss.WHITE_SPACE),
        (step("CharDelimiterSplit", delimiter="-"), Loss.ANY),
        (step("Sequence", pretokenizers=[step("Digits"), step("WhitespaceSplit")]), Loss.WHITE_SPACE),
    ],
)
def test_pre_tokenizers_are_judged_by_what_they_can_remove(
    pre_tokenizer: dict[str, Any], expected: Loss
) -> None:
    assert loss({"pre_tokenizer": pre_tokenizer}) is expected


def test_steps_that_change_or_remove_are_named() -> None:
    steps = [step("NFC"), step("Lowercase"), step("StripAccents"), replacing({"String": " "}, "▁")]
    found = notes({"normalizer": step("Sequence", normalizers=steps), "pre_tokenizer": step("Whitespace")})
    assert found == [
        "texts are changed before they are encoded (Lowercase, StripAccents)",
        "some or all white space has no token (Whitespace)",
        "characters may be removed before texts are encoded (StripAccents); they are counted",
    ]


def test_nothing_is_said_of_steps_that_keep_the_text() -> None:
    assert notes({"normalizer": step("NFC"), "pre_tokenizer": step("ByteLevel")}) == []


@pytest.mark.parametrize(
    "kind",
    [normalizers.NFC(), normalizers.NFKC(), normalizers.Lowercase(), normalizers.Prepend("▁")],
    ids=lambda kind: type(kind).__name__,
)
def test_normalizers_without_loss_turn_no_character_into_nothing(kind: Any) -> None:
    points = [point for point in range(0x20, 0x30000) if not 0xD800 <= point < 0xE000]
    assert all(kind.normalize_str(chr(point)) for point in points)


@pytest.mark.parametrize(
    "kind",
    [
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        pre_tokenizers.Digits(),
        pre_tokenizers.UnicodeScripts(),
        pre_tokenizers.FixedLength(3),
    ],
    ids=lambda kind: type(kind).__name__,
)
def test_pre_tokenizers_without_loss_keep_every_character(kind: Any) -> None:
    text = "a  b\n\tc. 12-3 漢字 😀\u200b\u00a0é"
    spans = [span for _, span in kind.pre_tokenize_str(text)]
    assert "".join(text[start:end] for start, end in dict.fromkeys(spans)) == text
