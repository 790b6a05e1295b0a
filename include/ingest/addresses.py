"""Checks of the addresses that are fetched: a list or a redirect must not lead into the workers' network."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from include.contracts.ingestion import url_problem
from include.ingest.errors import SourceRefused, plain

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str], list[str]]

#: Signed URLs of content networks have well over 1000 characters.
_LONGEST_REDIRECT = 8192
#: The instance metadata service over IPv6 (the IPv4 one is link-local).
_METADATA = {ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("fd00:ec2::23")}

_LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
_SIX_TO_FOUR = ipaddress.ip_network("2002::/16")
#: Networks whose addresses end in an IPv4 address.
_CARRIES_IPV4 = (
    ipaddress.ip_network("64:ff9b::/96"),
    ipaddress.ip_network("::/96"),
    ipaddress.ip_network("::ffff:0:0:0/96"),
    _LOCAL_NAT64,
)


def resolve(host: str) -> list[str]:
    """Return the addresses of a host; none if only a proxy can resolve it."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, ValueError):  # names that IDNA cannot encode are a UnicodeError, which is a ValueError
        return []
    return [str(entry[4][0]) for entry in found]


def check_url(url: str) -> None:
    """Raise SourceRefused for a URL that may not be fetched."""
    if problem := url_problem(url, _LONGEST_REDIRECT):
        raise SourceRefused(plain(problem), where=shown(url), expected="http(s)://host/path")


def shown(url: str) -> str:
    """Return the URL without its query: redirects lead to signed URLs, and a signature must not be logged."""
    return plain(url.partition("?")[0])


def check_host(url: str, *, may_be_private: bool, look_up: Resolve = resolve) -> bool:
    """Refuse a host with a forbidden address; return True if any of its addresses is private.

    A redirect from a public host to a private one is refused (``may_be_private``). A mirror inside one's own
    network that the catalogue names is allowed.
    """
    host = (urlsplit(url).hostname or "").rstrip(".")  # a proxy may take "169.254.169.254." for the address
    addresses = [address for text in [host, *look_up(host)] for address in _parse(text)]
    for address in addresses:
        check_address(address, url)
    is_private = any(not address.is_global for address in addresses)
    if is_private and not may_be_private:
        raise SourceRefused(
            "a public server leads into a private network",
            where=shown(url),
            remedy="correct the source's URL",
        )
    return is_private


def check_peer(peer: object, url: str, *, may_be_private: bool) -> None:
    """Refuse a forbidden address that was connected to: a name may have changed since it was looked up.

    Behind a proxy the peer is the proxy, which may be private but never link-local.
    """
    for address in _parse(str(peer[0])) if isinstance(peer, tuple) and peer else []:
        check_address(address, url)
        if not address.is_global and not may_be_private and not is_proxied(url):
            what = "a public name leads into a private network"
            raise SourceRefused(what, where=shown(url), got=str(address))


def is_proxied(url: str) -> bool:
    """Return True if httpx asks a proxy for this URL. In doubt return False, which is the stricter check.

    httpx takes the same environment as urllib, but also ``*`` and URLs among other names in no_proxy.
    """
    parts, proxies = urlsplit(url), getproxies()
    if not (proxies.get(parts.scheme) or proxies.get("all")):
        return False
    apart = [name.strip() for name in proxies.get("no", "").split(",")]
    host = parts.hostname or ""
    if "*" in apart or any("://" in name and host in name for name in apart):
        return False
    return not (proxy_bypass(host) or proxy_bypass(parts.netloc))


def check_address(address: Address, url: str) -> None:
    """Refuse addresses that serve no files: link-local ones (169.254.169.254 gives out credentials)."""
    is_local = address.is_link_local or (address.version == 6 and address.is_site_local)
    if is_local or address.is_multicast or address.is_unspecified or address in _METADATA:
        raise SourceRefused(
            "the address is not one of a file server",
            where=shown(url),
            got=str(address),
            remedy="correct the source, or tell its publisher that a redirect leads here",
        )


def _parse(text: str) -> list[Address]:
    """Return the address and the IPv4 ones within it, to which gateways send packets; [] for a name."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return []
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    return [address, *_embedded(address)]


def _embedded(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """Return the IPv4 address in one of 6to4, NAT64 (RFC 6052, RFC 8215), SIIT (RFC 2765) or the old form."""
    octets = address.packed
    found = [octets[12:]] if any(address in network for network in _CARRIES_IPV4) else []
    if address in _SIX_TO_FOUR:
        found.append(octets[2:6])
    if address in _LOCAL_NAT64:  # its prefix may have 48, 56, 64 or 96 bits; octet 8 is never a part
        rest = octets[:8] + octets[9:]
        found += [rest[first : first + 4] for first in (6, 7, 8)]
    return [ipaddress.IPv4Address(four) for four in found if any(four)]
