from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.runtime.columns import buffers
from spark_jobs.scrubbing import anchors, personal_data

PIECES = st.sampled_from(
    [
        *"a@.-+_:=\"' 1\n(x)é漢",
        *("617", "555", "0123", "93.184.", "216.34", "2606:", "4700::1", "+49", "151", "bob"),
        *(
            "ghp_",
            "a1B2c3D4e5F6" * 3,
            "AKIA",
            "ABCDEFGH23456723",
            "eyJ",
            "aaaaaaaaaa1",
            "sk-",
            "sk-ant-api03-",
        ),
        *(
            "xoxb-",
            "-----BEGIN PRIVATE KEY-----",
            "-----END PRIVATE KEY-----",
            "MIIB" * 9,
            "password",
            "token",
        ),
    ]
)
PATTERNS = {
    anchors.IPV4: [personal_data.IPV4],
    anchors.IPV6: [personal_data.IPV6],
    anchors.PHONE: [personal_data.PHONE],
    anchors.TOKEN: [personal_data.TOKEN, personal_data.PEM],
}


def candidates(texts: list[str]) -> set[tuple[int, int, int]]:
    """(document, kind, start within the document)."""
    data, offsets = buffers(pa.array(texts, pa.string()))
    rows = anchors.candidates(data, offsets).tolist()
    return {(d, kind, start - int(offsets[d])) for d, kind, start, _ in rows}


@given(st.lists(PIECES, max_size=14).map("".join))
def test_no_pattern_matches_where_no_candidate_is(text: str) -> None:
    content = text.encode()
    found = candidates([text])
    for kind, patterns in PATTERNS.items():
        for pattern in patterns:
            for start in range(len(content)):
                if pattern.match(content, start):
                    assert (0, kind, start) in found, (pattern, content[start:])


@given(st.lists(PIECES, max_size=12).map("".join))
def test_an_address_begins_where_the_characters_before_its_at_sign_do(text: str) -> None:
    content = text.encode()
    local = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-"
    for at in (i for i, byte in enumerate(content) if byte == ord("@")):
        start = at
        while start > 0 and at - start <= 64 and content[start - 1] in local:
            start -= 1
        follows = content[at + 1 : at + 2]
        if start < at and follows.isascii() and (follows.isalnum() or follows == b"_"):
            assert (0, anchors.EMAIL, start) in candidates([text])


@pytest.mark.parametrize(
    "text",
    [
        'password="',
        "PASSWD = '",
        '"api_key": "',
        "secret-key:'",
        'auth_token := "',
        'accessKey =\t"',
        'Pwd: "',
    ],
)
def test_the_value_of_a_secret_name_is_a_candidate(text: str) -> None:
    assert (0, anchors.ASSIGNED, len(text)) in candidates([text + "x"])


@pytest.mark.parametrize(
    "text", ['passwords = "', 'key = "', 'password == "', 'password\n=\n"', 'password = x"']
)
def test_the_value_of_another_name_is_none(text: str) -> None:
    assert not any(kind == anchors.ASSIGNED for _, kind, _ in candidates([text + "x"]))


@pytest.mark.parametrize(
    "text",
    [
        *("x+4915112345678", "_+49151", "7+49151", "+0491511", "+x49", "1 + 1", "a@", "@b", "a @b", "a@ b"),
        *("1.2.3", "1.2.3.4567", "1234.1.1.1", "1.2.3.a", "617-55-0123", "617-555_0123", "117-555-0123"),
        *("617 555 0123", "x617-555-0123", "2001", "200:1", "20011:", "4001:1", "xox-b", "xoxbc", "eyj"),
        *("ayJx", "AKIB", "AIZA", "ghx_", "a_b", "sk_", "--BEGIN -", "----BEGIN A"),
    ],
)
def test_common_text_of_code_is_no_candidate_and_costs_no_comparison_with_a_pattern(text: str) -> None:
    assert candidates([text, f" {text} "]) == set()


def test_candidates_never_reach_into_the_neighbouring_document() -> None:
    split = ["93.184.", "216.34", "gh", "p_", "bob", "@example.eu", "password", '="x', "ey", "J", "xo", "xb-"]
    assert candidates(split) == set()
    assert candidates(["", "93.184.216.34", ""]) == {(1, anchors.IPV4, 0)}


def test_more_candidates_than_the_first_table_holds_are_all_there() -> None:
    assert len(candidates(["a@b " * 5000])) == 5000
