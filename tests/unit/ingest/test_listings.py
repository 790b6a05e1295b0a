"""Where a list may go on."""

from __future__ import annotations

import pytest

from include.ingest.errors import SourceRefused
from include.ingest.listings import _same_server

PAGE = "https://hub.example/api/tree?limit=1000"


@pytest.mark.parametrize("link", ["/api/tree?cursor=x", "https://hub.example/api/tree?cursor=x", "?cursor=x"])
def test_the_next_page_of_a_list_is_on_its_server(link: str) -> None:
    assert _same_server(PAGE, link) == "https://hub.example/api/tree?cursor=x"


@pytest.mark.parametrize(
    "link",
    ["http://127.0.0.1:8080/internal", "//10.0.0.1/x", "http://hub.example/x", "https://hub.example:8443/x"],
)
def test_a_list_that_leads_elsewhere_is_refused(link: str) -> None:
    with pytest.raises(SourceRefused, match="another server"):
        _same_server(PAGE, link)
