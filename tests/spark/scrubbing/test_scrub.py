from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.contracts.errors import RecipeError
from include.recipes.scrubbing import ScrubRecipe
from spark_jobs.scrubbing.scrub import PLACEHOLDERS, scrub

EVERYTHING = ScrubRecipe(enabled=True)
PLACEHOLDER = re.compile("<(?:EMAIL|IP_ADDRESS|PHONE|SECRET)>")

# put together here, so that no scanner takes this file for a leak
GITHUB = "ghp_" + "a1B2c3D4e5F6" * 3
AWS = "AKIA" + "ABCDEFGH23456723"
SLACK = "xoxb" + "-123456789012-abcDEF"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
PEM = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA75\n" * 20 + "-----END RSA PRIVATE KEY-----"

PIECES = st.sampled_from(
    [
        *"a@.-+_:=\"' 1/\n(x)é漢,<>",
        *("git@", "bob", "bob@mail.example.eu", "b@x.example.com", "@c.org", ".com"),
        *("93.184.216.34", "1.2.3.4", "203.0.113.9", "version ", "2606:4700::1111", "2001:db8::1", "::"),
        *("+49 151 1234567", "+1", "617-555-0123", "(617) 555-0123", "617.555.0123", "2024-01-15", "0123"),
        *(GITHUB, JWT, PEM, AWS, SLACK, "sk-ant-api03-" + "aB3-" * 12),
        *(
            "password",
            ' = "',
            'hunter2hunter2"',
            "token: '",
            "<EMAIL>",
            "<SECRET>",
            "<PHONE>",
            "<IP_ADDRESS>",
        ),
    ]
)


def batch_of(texts: list[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"id": [str(i) for i in range(len(texts))], "text": texts})


def scrubbed(text: str, recipe: ScrubRecipe = EVERYTHING) -> str:
    batch = scrub(batch_of([text]), recipe, Counter())
    result: str = batch.column("text")[0].as_py()
    return result


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail bob.smith+x@mail.example.eu.", "mail <EMAIL>."),
        ("<a@b.org>,c_d@e-f.co.uk;", "<<EMAIL>>,<EMAIL>;"),
        ("联系abc@qq.com吧", "联系<EMAIL>吧"),
        ("https://user:pass@host.io/x", "https://user:<EMAIL>/x"),
        ("from 93.184.216.34:443", "from <IP_ADDRESS>:443"),
        ("http://93.184.216.34/a, [2606:4700:10::6816:85].", "http://<IP_ADDRESS>/a, [<IP_ADDRESS>]."),
        ("2a00:1450:4001:0831:0000:0000:0000:200e", "<IP_ADDRESS>"),
        ("call 617-555-0123 or (617) 555-0123", "call <PHONE> or <PHONE>"),
        ("tel:1-617-555-0123; 617.555.0123.", "tel:<PHONE>; <PHONE>."),
        ("+1 (617) 555-0123, +44 20 7946 0958", "<PHONE>, <PHONE>"),
        ("+49 (0)89 63648018 (+4915112345678)", "<PHONE> (<PHONE>)"),
        ("+33.1.23.45.67.89", "<PHONE>"),
        (f"id {AWS}!", "id <SECRET>!"),
        (f"export T={GITHUB}", "export T=<SECRET>"),
        (SLACK, "<SECRET>"),
        ("AIzaSy" + "a1" * 16 + "b", "<SECRET>"),
        ("sk-" + "aB3d" * 12, "<SECRET>"),
        ("sk-ant-api03-" + "aB3-" * 12, "<SECRET>"),
        (f"Bearer {JWT}\n", "Bearer <SECRET>\n"),
        (f"a\n{PEM}\nb", "a\n<SECRET>\nb"),
        ('password = "hunter2hunter2"', 'password = "<SECRET>"'),
        ("{'api_key': 'a1b2c3d4e5f6a7b8'}", "{'api_key': '<SECRET>'}"),
    ],
)
def test_each_kind_becomes_its_placeholder(text: str, expected: str) -> None:
    assert scrubbed(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "bob@example.com, x@host.test, icon@2x.png, git@github.com:a/b, lodash@4.17.21, @app.route, a @ b",
        "10.1.2.3 127.0.0.1 192.168.1.100 172.16.0.200 169.254.1.100 100.64.0.1 224.0.0.251 255.255.255.0",
        "192.0.2.144 198.51.100.7 203.0.113.250 0.0.0.0",
        "pkg-1.2.3.4 and 1.2.3.4; version 1.20.300.4, v4.0.100.1, Release: 1.2.200.3, 100.20.0.0",
        "3.2.16.1. Name; OID 2.5.29.15 and 1.3.6.1.4.1.311, 300.1.1.1, 093.184.216.34, 93.184.216.34.tar.gz",
        "fe80::1 ::1 fd00::1234:5 2001:db8::1 3fff:123::1 2001:4860:: std::string 12:30:45 ff02::fb",
        "2024-01-15 10:30 +2024-01-15 10:30:00 2024-01-15T10:00:00+01:00 15/01/2024 1998-2003",
        "3.14159265358 +48.8566140 +2147483647 -617-555-0123 1e+1234567890 x+4915112345678",
        "ISBN 978-3-16-148410-0, 0-306-40615-2, 3-540-12345-6, 123e4567-e89b-12d3-a456-426614174000",
        "order 1234-617-555-0123, 617-555-01234, 617-555-0123-9, 117-555-0123, 617 555 0123, 4111-1111-1111",
        "+999 123 456 789, +1 123 456 7890, +49 12, +1234, AKIAIOSFODNN7EXAMPLE, AKIA, AKIAabcdefgh23456723",
        "sk-learn-is-a-library-for-machine-learning, sk-fading-circle, eyJ.eyJ.x, ghp_short, task-force",
        "-----BEGIN CERTIFICATE-----\n" + "MIIB" * 30 + "\n-----END CERTIFICATE-----",
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
        'password = "", password = "changeme", password: "{{ vault1234 }}", password = "$PASSWORD1"',
        'token = "utf8-or-utf16", secret = "s3cret", key = "a1b2c3d4e5f6a7b8", password == "hunter2hunter2"',
    ],
)
def test_what_only_looks_like_personal_data_stays(text: str) -> None:
    assert scrubbed(text) == text


@given(st.lists(st.lists(PIECES, max_size=12).map("".join), min_size=1, max_size=4))
def test_scrubbing_twice_changes_nothing(texts: list[str]) -> None:
    once = scrub(batch_of(texts), EVERYTHING, Counter())
    replaced: Counter[str] = Counter()
    assert scrub(once, EVERYTHING, replaced) is once
    assert not replaced


@given(st.lists(st.lists(PIECES, max_size=12).map("".join), min_size=1, max_size=4))
def test_everything_between_the_placeholders_is_the_text_as_it_was(texts: list[str]) -> None:
    replaced: Counter[str] = Counter()
    result = scrub(batch_of(texts), EVERYTHING, replaced).column("text").to_pylist()
    assert len(result) == len(texts)
    for text, new in zip(texts, result, strict=True):
        kept = map(re.escape, PLACEHOLDER.split(new))
        assert re.fullmatch("(?s:.+?)".join(kept), text)
    before = sum(len(PLACEHOLDER.findall(text)) for text in texts)
    after = sum(len(PLACEHOLDER.findall(new)) for new in result)
    # a placeholder that a text already had can go within a private key
    assert after - before <= sum(replaced.values()) <= after


@given(st.lists(st.lists(PIECES, max_size=8).map("".join), min_size=2, max_size=5))
def test_a_document_does_not_depend_on_its_neighbours(texts: list[str]) -> None:
    together = scrub(batch_of(texts), EVERYTHING, Counter()).column("text").to_pylist()
    assert together == [scrubbed(text) for text in texts]
    sliced = scrub(batch_of(["bob@x.eu", *texts]).slice(1), EVERYTHING, Counter())
    assert sliced.column("text").to_pylist() == together


def test_replacements_are_counted_by_kind_and_other_columns_stay() -> None:
    replaced: Counter[str] = Counter()
    batch = batch_of(["a@b.eu 93.184.216.34", "c@d.eu", "nothing", f"617-555-0123 {GITHUB}"])
    result = scrub(batch, EVERYTHING, replaced)
    assert replaced == {"emails": 2, "ip_addresses": 1, "phone_numbers": 1, "secrets": 1}
    assert result.column("id") == batch.column("id")
    assert result.column("text").to_pylist()[2] == "nothing"


@pytest.mark.parametrize("field", PLACEHOLDERS)
def test_only_the_kinds_of_the_recipe_are_replaced(field: str) -> None:
    text = f"a@b.eu 93.184.216.34 617-555-0123 {GITHUB}"
    recipe = ScrubRecipe(enabled=True, **{name: name == field for name in PLACEHOLDERS})
    assert PLACEHOLDER.findall(scrubbed(text, recipe)) == [PLACEHOLDERS[field].decode()]


def test_a_recipe_that_is_not_enabled_leaves_the_batch_alone() -> None:
    batch = batch_of(["a@b.eu"])
    assert scrub(batch, ScrubRecipe(), Counter()) is batch
    with pytest.raises(RecipeError, match=r"scrub\.enabled"):
        ScrubRecipe(enabled=True, emails=False, ip_addresses=False, phone_numbers=False, secrets=False)


def test_a_replacement_frees_no_neighbour_for_the_second_time() -> None:
    for text in (
        "a@b.eu+4915112345678",
        "bob@x.version 93.184.216.34",
        "+49 151 1234567.git@github.com",
        "(617) 555-0123." + "b" * 60 + "@x.eu",
        f"bob@mail.example.eu{JWT}bob@mail.example.eu +49 151 1234567",
    ):
        once = scrubbed(text)
        assert once != text
        assert scrubbed(once) == once


def test_a_local_part_longer_than_an_address_allows_is_none() -> None:
    assert scrubbed("b" * 64 + "@x.eu") == "<EMAIL>"
    assert scrubbed("b" * 65 + "@x.eu") == "b" * 65 + "@x.eu"


@pytest.mark.parametrize(
    "unit",
    [
        *(
            "a@",
            "a@b.",
            "a.",
            "a" * 64 + "@",
            "-----BEGIN PRIVATE KEY-----",
            "eyJ",
            "eyJaaaaaaaaaa.",
            "1.2.3.4.",
        ),
        *(
            "+49 1",
            "+49 (1) (",
            "617-555-",
            "2001:",
            "2606:4700::",
            "sk-",
            "sk-proj-a1",
            "password='",
            "ghp_",
        ),
    ],
)
def test_scrubbing_takes_time_in_proportion_to_the_text(unit: str) -> None:
    def seconds(size: int) -> float:
        batch = batch_of([unit * (size // len(unit))])
        start = time.process_time()
        scrub(batch, EVERYTHING, Counter())
        return time.process_time() - start

    seconds(1000)
    # quadratic time would be hours for 1 MB of most of these
    assert seconds(1_000_000) < 10


def test_prose_without_anchors_is_handed_back_as_it_is(
    sentence: Callable[[random.Random, int], str],
) -> None:
    batch = batch_of([sentence(random.Random(1), 500)])
    assert scrub(batch, EVERYTHING, Counter()) is batch
