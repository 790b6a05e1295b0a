"""Pages of listings: every entry once, and a token exactly while entries are left."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_aws.emr.clusters import _page as page_of_clusters
from local_aws.emr_serverless.applications import page
from local_aws.glue.jobs import _page as page_of_glue
from local_aws.pagination import page_of
from local_aws.resources import Resource
from local_aws.sagemaker.requests import PAGE, listing


@given(st.integers(0, 12), st.integers(1, 5))
def test_the_pages_of_a_listing_hold_every_entry_once(count: int, size: int) -> None:
    views = [{"id": number} for number in range(count)]
    found: list[Any] = []
    token, pages = "", 0
    while True:
        answer = page("runs", views, {"maxResults": size, "nextToken": token})
        found += answer["runs"]
        pages += 1
        token = answer.get("nextToken", "")
        if not token:
            break
    assert found == views
    assert pages == max(1, -(-count // size))


@pytest.mark.parametrize(("count", "more"), [(50, False), (51, True)])
def test_a_page_has_fifty_entries_by_default(count: int, more: bool) -> None:
    answer = page("runs", [{"id": number} for number in range(count)], {})
    assert len(answer["runs"]) == 50
    assert answer.get("nextToken") == ("50" if more else None)


@pytest.mark.parametrize(("count", "more"), [(10, False), (11, True)])
def test_a_page_of_the_registry_has_ten_entries_by_default(count: int, more: bool) -> None:
    found, token = page_of(range(count), {}, PAGE)
    assert len(found) == 10
    assert token == ({"NextToken": "10"} if more else {})
    rest, none = page_of(range(count), {"NextToken": "10"}, PAGE)
    assert (len(rest), none) == (count - 10, {})


def rows(count: int) -> list[Resource]:
    return [Resource("kind", f"r{number:02d}", "Completed", {}) for number in range(count)]


@pytest.mark.parametrize(
    ("pages", "size", "token"), [(page_of_clusters, 50, "Marker"), (page_of_glue, 100, "NextToken")]
)
def test_a_page_of_emr_has_fifty_entries_and_one_of_glue_a_hundred(pages: Any, size: int, token: str) -> None:
    def name(row: Resource) -> str:
        return row.name

    full = pages("found", rows(size), {}, name)
    assert (len(full["found"]), full.get(token)) == (size, None)
    first = pages("found", rows(size + 1), {}, name)
    assert (len(first["found"]), first[token]) == (size, str(size))
    assert pages("found", rows(size + 1), {token: first[token]}, name) == {"found": [f"r{size:02d}"]}


@pytest.mark.parametrize(("count", "token"), [(10, None), (11, "10")])
def test_a_page_of_the_jobs_of_sagemaker_has_ten_entries_by_default(count: int, token: str | None) -> None:
    found, following = listing(rows(count), {}, lambda job: job.state, lambda job: job.name)
    assert (len(found), following) == (10, token)


def names(request: dict[str, Any]) -> tuple[list[str], str | None]:
    """List five jobs by the filters of a request: job n was created at n seconds, the odd ones failed."""
    letters = ["b", "d", "a", "e", "c"]
    jobs = [Resource("training", name, "", created=float(n)) for n, name in enumerate(letters)]
    return listing(
        jobs, request, lambda job: "Failed" if job.created % 2 else "Completed", lambda job: job.name
    )


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({}, "ceadb"),
        ({"SortOrder": "Ascending"}, "bdaec"),
        ({"SortBy": "Name"}, "edcba"),
        ({"SortBy": "Name", "SortOrder": "Ascending"}, "abcde"),
        ({"SortBy": "CreationTime"}, "ceadb"),
        ({"StatusEquals": "Failed"}, "ed"),
        ({"NameContains": "E"}, "e"),
        ({"CreationTimeAfter": 3}, "ce"),
        ({"CreationTimeBefore": 1}, "db"),
        ({"CreationTimeAfter": 1, "CreationTimeBefore": 1}, "d"),
    ],
)
def test_the_jobs_of_sagemaker_are_filtered_and_sorted(request_: dict[str, Any], expected: str) -> None:
    assert names(request_) == (list(expected), None)


def test_the_jobs_of_sagemaker_come_in_pages() -> None:
    assert names({"MaxResults": 2}) == (["c", "e"], "2")
    assert names({"MaxResults": 2, "NextToken": "2"}) == (["a", "d"], "4")
    assert names({"MaxResults": 2, "NextToken": "4"}) == (["b"], None)
    assert names({"MaxResults": 5}) == (["c", "e", "a", "d", "b"], None)
