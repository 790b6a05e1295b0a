"""The reason that is shown when OpenVINO refuses a model or a template."""

from __future__ import annotations

import pytest

from serving.language_model import _pipeline_reason

PLACES = (
    "Exception from src/inference/src/cpp/core.cpp:90:\n  Exception from src/frontends/ir/src/ir.cpp:51:\n"
)
CHECK = "Check 'xml_doc.has(\"layers\")' failed at src/frontends/ir/src/input_model.cpp:42:\n"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (f"{PLACES}{CHECK}\n  Incorrect weights in bin file\n more of it\n", "Incorrect weights in bin file"),
        ("not a device", "not a device"),
        ("Exception\nMinja's error: unknown method: upper at row 1\nof it", "unknown method: upper at row 1"),
        (f"\n{PLACES}", "Exception from src/inference/src/cpp/core.cpp:90:"),
        ("", "RuntimeError"),
    ],
)
def test_the_cause_is_shown_without_places_in_the_source_of_openvino(message: str, reason: str) -> None:
    assert _pipeline_reason(RuntimeError(message)) == reason
