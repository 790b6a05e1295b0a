"""The addresses to which a list or a redirect may not lead."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from include.ingest.addresses import check_host, check_peer, check_url, resolve
from include.ingest.errors import SourceRefused


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://host/x",
        "data:text/plain,x",
        "http:///x",
        "http://user:secret@host/x",
        "http://host/a b",
        "http://host/ü",
        "http://[::1",
        f"http://host/{'x' * 9000}",
    ],
)
def test_a_url_that_is_not_fetched_is_refused(url: str) -> None:
    with pytest.raises(SourceRefused):
        check_url(url)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.170.2",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::169.254.169.254]",
        "[64:ff9b:1::169.254.169.254]",
        "[64:ff9b:1:a9fe:a9:fe00::]",
        "[64:ff9b:1:0:a9:fea9:fe00::]",
        "[2002:a9fe:a9fe::1]",
        "[::169.254.169.254]",
        "[::ffff:0:169.254.169.254]",
        "169.254.169.254.",
        "[fec0::1]",
        "0.0.0.0",
        "224.0.0.1",
    ],
)
def test_addresses_of_metadata_services_are_refused_everywhere(host: str) -> None:
    with pytest.raises(SourceRefused):
        check_host(f"http://{host}/latest/", may_be_private=True)


@pytest.mark.parametrize("host", ["a..b", "x" * 300, "xn--a"])
def test_a_name_that_is_none_has_no_address(host: str) -> None:
    assert resolve(host) == []


def test_a_name_that_leads_to_a_metadata_service_is_refused() -> None:
    with pytest.raises(SourceRefused):
        check_host("http://innocent/", may_be_private=True, look_up=lambda _: ["8.8.8.8", "169.254.169.254"])
    with pytest.raises(SourceRefused):
        check_peer(("169.254.169.254", 80), "http://innocent/", may_be_private=True)


def test_a_public_server_may_not_redirect_into_a_private_network() -> None:
    is_private = check_host("http://public/", may_be_private=True, look_up=lambda _: ["8.8.8.8"])
    assert not is_private
    with pytest.raises(SourceRefused, match="private"):
        check_host("http://inside/", may_be_private=is_private, look_up=lambda _: ["10.0.0.7"])


def test_a_mirror_in_the_own_network_may_be_named() -> None:
    assert check_host("http://mirror/", may_be_private=True, look_up=lambda _: ["10.0.0.7"])


@pytest.mark.parametrize("carrier", ["64:ff9b::{}", "64:ff9b:1::{}", "::{}", "::ffff:{}", "::ffff:0:{}"])
def test_ipv4_within_ipv6_is_as_private_as_it_is(carrier: str) -> None:
    inside, outside = (carrier.format(address) for address in ("10.0.0.7", "8.8.8.8"))
    with pytest.raises(SourceRefused, match="private"):
        check_host("http://public/", may_be_private=False, look_up=lambda _: [inside])
    with pytest.raises(SourceRefused, match="private"):
        check_peer((inside, 80), "http://public/", may_be_private=False)
    assert check_host("http://public/", may_be_private=True, look_up=lambda _: [outside]) is (
        carrier.startswith("64:ff9b:1:")
    )


def test_6to4_leads_where_its_ipv4_lies() -> None:
    with pytest.raises(SourceRefused, match="private"):
        check_host("http://[2002:a00:7::1]/", may_be_private=False)


@pytest.fixture
def proxies(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets these proxies and no others."""

    def only(**wanted: str) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            monkeypatch.delenv(name.upper(), raising=False)
            monkeypatch.delenv(name, raising=False)
            if name in wanted:
                monkeypatch.setenv(name, wanted[name])

    return only


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"no_proxy": "localhost"},
        {"https_proxy": "http://10.0.0.1:3128"},
        {"http_proxy": "http://10.0.0.1:3128", "no_proxy": "localhost,public"},
        {"http_proxy": "http://10.0.0.1:3128", "no_proxy": "localhost,*"},
        {"all_proxy": "http://10.0.0.1:3128", "no_proxy": "http://public"},
    ],
)
def test_a_name_that_changed_between_look_up_and_connection_is_refused(
    environment: dict[str, str], proxies: Callable[..., None]
) -> None:
    proxies(**environment)
    with pytest.raises(SourceRefused):
        check_peer(("10.0.0.7", 80), "http://public/", may_be_private=False)
    check_peer(("8.8.8.8", 80), "http://public/", may_be_private=False)
    check_peer(None, "http://public/", may_be_private=False)


@pytest.mark.parametrize("name", ["http_proxy", "all_proxy"])
def test_a_proxy_may_be_private(name: str, proxies: Callable[..., None]) -> None:
    proxies(**{name: "http://10.0.0.1:3128", "no_proxy": "localhost"})
    check_peer(("10.0.0.1", 3128), "http://public/", may_be_private=False)
