"""Listings against a model: order, prefix, delimiter, pages."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SEGMENT = st.text(alphabet=["a", "b", "-", ".", "0", "é", "\uffff", "😀", "%", "~"], max_size=3)
KEYS = st.lists(
    st.lists(SEGMENT, min_size=1, max_size=4).map("/".join).filter(bool), max_size=14, unique=True
)


def model(keys: list[str], prefix: str, delimiter: str, after: str) -> list[tuple[str, bool]]:
    """(key or common prefix, is it a prefix) in the order in which S3 lists them."""
    listed: list[tuple[str, bool]] = []
    for key in sorted(keys, key=str.encode):
        if not key.startswith(prefix) or key.encode() <= after.encode():
            continue
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        entry = (key, False) if cut < 0 else (key[: cut + len(delimiter)], True)
        if entry not in listed:
            listed.append(entry)
    return listed


def pages_v2(s3: Any, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    token: dict[str, str] = {}
    while True:
        page = s3.list_objects_v2(**arguments, **token)
        yield page
        if not page["IsTruncated"]:
            return
        token = {"ContinuationToken": page["NextContinuationToken"]}


def pages_v1(s3: Any, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    marker: dict[str, str] = {}
    while True:
        page = s3.list_objects(**arguments, **marker)
        yield page
        if not page["IsTruncated"]:
            return
        marker = {"Marker": page.get("NextMarker") or page["Contents"][-1]["Key"]}


def entries(page: dict[str, Any]) -> list[tuple[str, bool]]:
    found = [(entry["Key"], False) for entry in page.get("Contents", [])]
    found += [(entry["Prefix"], True) for entry in page.get("CommonPrefixes", [])]
    return sorted(found, key=lambda entry: entry[0].encode())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=KEYS,
    prefix=st.one_of(st.just(""), SEGMENT, st.tuples(SEGMENT, SEGMENT).map("/".join)),
    delimiter=st.sampled_from(["", "/", "/", "-", "a"]),
    after=st.one_of(st.just(""), SEGMENT, st.tuples(SEGMENT, SEGMENT).map("/".join)),
    page_size=st.integers(1, 5),
)
def test_listings_equal_the_model_page_by_page(
    s3: Any, keys: list[str], prefix: str, delimiter: str, after: str, page_size: int
) -> None:
    bucket = f"list-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=bucket)
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    arguments: dict[str, Any] = {"Bucket": bucket, "MaxKeys": page_size, "Prefix": prefix}
    if delimiter:
        arguments["Delimiter"] = delimiter
    expected = model(keys, prefix, delimiter, after)
    second = list(pages_v2(s3, {**arguments, **({"StartAfter": after} if after else {})}))
    assert [entry for page in second for entry in entries(page)] == expected
    assert all(page["KeyCount"] == len(entries(page)) <= page_size for page in second)
    assert all(len(entries(page)) == page_size for page in second[:-1])
    first = list(pages_v1(s3, arguments))
    assert [entry for page in first for entry in entries(page)] == model(keys, prefix, delimiter, "")
    versions = s3.list_object_versions(Bucket=bucket, Prefix=prefix).get("Versions", [])
    assert [entry["Key"] for entry in versions] == [k for k, _ in model(keys, prefix, "", "")]
    for key in keys:
        s3.delete_object(Bucket=bucket, Key=key)
    s3.delete_bucket(Bucket=bucket)


def test_the_paginator_returns_every_key_of_a_large_prefix_once(s3: Any, bucket: str, folder: Path) -> None:
    names = [f"part-{index:05d}" for index in range(2500)]
    (folder / "many").mkdir()
    for name in names:
        (folder / "many" / name).touch()
    (folder / "many-other").touch()
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="many/"))
    assert [page["KeyCount"] for page in pages] == [1000, 1000, 500]
    assert [entry["Key"] for page in pages for entry in page["Contents"]] == [f"many/{n}" for n in names]


def test_keys_deleted_and_added_between_pages_disturb_no_others(s3: Any, bucket: str) -> None:
    for index in range(6):
        s3.put_object(Bucket=bucket, Key=f"k{index}", Body=b"")
    page = s3.list_objects_v2(Bucket=bucket, MaxKeys=3)
    for key in ("k1", "k2", "k4"):
        s3.delete_object(Bucket=bucket, Key=key)
    s3.put_object(Bucket=bucket, Key="k25", Body=b"")
    rest = s3.list_objects_v2(Bucket=bucket, ContinuationToken=page["NextContinuationToken"])
    assert [entry["Key"] for entry in rest["Contents"]] == ["k25", "k3", "k5"]


def test_zero_keys_and_bad_arguments(s3: Any, bucket: str, fails: Any) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    page = s3.list_objects_v2(Bucket=bucket, MaxKeys=0)
    assert (page["KeyCount"], page["IsTruncated"]) == (0, False)
    assert fails(s3.list_objects_v2, Bucket=bucket, ContinuationToken="!") == ("InvalidArgument", 400)
    owner = s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"][0]["Owner"]
    assert owner["ID"] == "local"


def test_a_version_marker_needs_a_key_marker(s3: Any, bucket: str, fails: Any) -> None:
    refused = fails(s3.list_object_versions, Bucket=bucket, VersionIdMarker="null")
    assert refused == ("InvalidArgument", 400)
