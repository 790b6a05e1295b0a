"""Definitions of personal data and secrets: the patterns that the candidates of ``anchors.py`` must match.

They were compared with published rules: datatrove's PIIFormatter (e-mail, public IPv4), BigCode's
``pii/utils/emails_ip_addresses_detection.py`` (IPv4 of single digits are versions) and redaction, Dolma's
``taggers/pii.py`` (e-mail, North American phone, IPv4), gitleaks' rules (tokens).

Every pattern is matched at one position and reads a bounded number of bytes (RE2 syntax except for
look-around, possessive where a class is long), so scrubbing takes linear time. Scrubbing twice changes
nothing, because the replacement of a neighbour never creates or prevents a match:

- matches begin and end at characters that no other match may touch, so no match is the boundary of another,
  and none begins within the local part of an e-mail address;
- patterns that look back further than one byte (a version's name, a local part) stop at the last match;
- only an e-mail address can begin right after a placeholder.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from spark_jobs.scrubbing import anchors

_LEFT = rb"(?<![A-Za-z0-9_.+-])"
_RIGHT = rb"(?![A-Za-z0-9_-])"
_NUMBER_END = rb"(?![A-Za-z0-9_@+-]|\.[0-9])"

_LABEL = rb"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\."
_LOCAL = rb"[A-Za-z0-9._+-]"
#: Matched at the first of the characters before an ``@`` that an address may have there.
EMAIL = re.compile(
    rb"(?=" + _LOCAL + rb"{1,64}@)[.+-]{0,64}+([A-Za-z0-9_]" + _LOCAL + rb"{0,63}+)"
    rb"@((?:" + _LABEL + rb"){1,8}[A-Za-z]{2,24})(?![A-Za-z0-9_@-])"
)
#: Domains that no person has: those of RFC 2606, and names of images for dense displays (``icon@2x.png``).
_NOBODY = re.compile(
    rb"(?i)(?:.*\.)?example\.(?:com|org|net)|.*\.(?:example|test|invalid|localhost)|[1-9]x\.[a-z]{2,4}"
)
_SCP_USER = b"git"  # git@github.com:organisation/repository

IPV4 = re.compile(_LEFT + rb"(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![A-Za-z0-9_@+-]|\.[A-Za-z0-9])")
_VERSION_BYTES = 16
_VERSION = re.compile(
    rb"(?i)(?:^|[^a-z])(?:versions?|ver|v|release|rel|rev|revision|build|firmware|driver|section|sec|chapter"
    rb"|oid)[ \t:=.\"'(]{0,3}$"
)

_H = rb"[0-9A-Fa-f]{1,4}"
IPV6 = re.compile(
    rb"(?<![A-Za-z0-9_.:+-])[23][0-9A-Fa-f]{3}(?:(?::" + _H + rb"){7}|(?::" + _H + rb"){0,5}::"
    rb"" + _H + rb"(?::" + _H + rb"){0,5})(?![A-Za-z0-9_@+-])"
)
#: The only range that IANA assigns (RFC 4291, section 2.4, and its registry).
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
#: The range of RFC 9637, which the list of Python 3.11 lacks.
_DOCUMENTATION = ipaddress.IPv6Network("3fff::/20")

_AREA = rb"[2-9][0-9]{2}"
_NORTH_AMERICAN = (
    rb"(?:1[ .-]?)?\(" + _AREA + rb"\)[ .-]?" + _AREA + rb"[ .-][0-9]{4}"
    rb"|(?:1-)?" + _AREA + rb"-" + _AREA + rb"-[0-9]{4}"
    rb"|(?:1\.)?" + _AREA + rb"\." + _AREA + rb"\.[0-9]{4}"
)
#: Country calling codes in use except North America's 1 (ITU-T E.164, list of assigned codes).
_COUNTRY = (
    rb"(?:7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]"
    rb"|21[12368]|2[2346][0-9]|25[0-8]|29[01789]|35[0-9]|37[0-8]|38[0-35-79]|42[013]|5[09][0-9]"
    rb"|67[02-9]|68[0-35-9]|69[0-2]|80[08]|85[02356]|87[08]|88[0-368]|96[0-8]|97[0-79]|99[2-68])"
)
_DATE = rb"(?:19|20)[0-9]{2}[-./ ](?:0[1-9]|1[0-2])[-./ ]"
_INTERNATIONAL = (
    rb"\+(?!" + _DATE + rb")(?:1[ -]?(?:\(" + _AREA + rb"\)|" + _AREA + rb")[ -]?" + _AREA + rb"[ -]?[0-9]{4}"
    rb"|1\." + _AREA + rb"\." + _AREA + rb"\.[0-9]{4}"
    rb"|" + _COUNTRY + rb"(?:\.[0-9]{1,4}){3,6}"
    rb"|" + _COUNTRY + rb"(?:[ -]?(?:\([0-9]{1,5}\)[ -]?)?[0-9]){5,13})"
)
PHONE = re.compile(
    rb"(?:(?<![A-Za-z0-9_.+)-])" + _INTERNATIONAL + rb"|(?<![A-Za-z0-9_.+/-])(?:" + _NORTH_AMERICAN + rb"))"
    rb"" + _NUMBER_END
)
#: Digits including the country code. E.164 allows 15; numbers of fewer than 9 are mostly amounts and offsets.
_PHONE_DIGITS = range(9, 16)

_BASE64URL = rb"[A-Za-z0-9_-]"
TOKEN = re.compile(
    _LEFT + rb"(?:"
    rb"(?:AKIA|ASIA)[A-Z2-7]{16}"  # AWS
    rb"|AIza" + _BASE64URL + rb"{35}"  # Google
    rb"|gh[pousr]_[A-Za-z0-9]{36,255}+|github_pat_[A-Za-z0-9_]{82}"
    rb"|glpat-" + _BASE64URL + rb"{20}"  # GitLab
    rb"|hf_[A-Za-z]{34}|npm_[A-Za-z0-9]{36}|[sr]k_live_[A-Za-z0-9]{24,99}+"  # Hugging Face, npm, Stripe
    rb"|xox[abeoprs]-[A-Za-z0-9-]{10,250}+"  # Slack
    rb"|sk-(?:(?:proj|svcacct|admin|ant-[a-z0-9]{2,8})-" + _BASE64URL + rb"{20,200}+|[A-Za-z0-9]{32,64}+)"
    rb"|eyJ" + _BASE64URL + rb"{10,4096}+\.eyJ" + _BASE64URL + rb"{10,8192}+\." + _BASE64URL + rb"{10,1024}+"
    rb")" + _RIGHT
)
# not possessive: Python before 3.11.5 then gives up at the first dash (python/cpython#106052)
PEM = re.compile(
    _LEFT + rb"-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    rb"(?:[^-]|-(?!----)){32,16384}-----END (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
)

ASSIGNED = re.compile(rb"[^\s\"'<>{}$%\\]{8,256}+(?=[\"'])")
_LONG_NAMES = re.compile(rb"(?i)(?:token|secret|key)[\"' \t:]{0,5}[=:][ \t]{0,2}[\"']$")
_NAME_BYTES = 16
_LONG_SECRET = 16

Found = tuple[int, int]


def match(kind: int, view: memoryview, start: int, last_end: int) -> Found | None:
    """Match the pattern of ``kind`` at ``start`` of a document. Return the match's bounds, None if none.

    ``last_end`` is the end of the previous match.
    """
    return _MATCHERS[kind](view, start, last_end)


def _email(view: memoryview, start: int, last_end: int) -> Found | None:
    found = EMAIL.match(view, max(start, last_end))
    if found is None or found[1] == _SCP_USER or _NOBODY.fullmatch(found[2]):
        return None
    return found.start(1), found.end()


def _ipv4(view: memoryview, start: int, last_end: int) -> Found | None:
    found = IPV4.match(view, start)
    if found is None or not _is_public_ipv4(found[0].decode()):
        return None
    before = view[max(start - _VERSION_BYTES, last_end) : start]
    return None if _VERSION.search(before) else found.span()


def _is_public_ipv4(text: str) -> bool:
    """Return True for an address of a host on the internet, False for a version or the number of a section.

    A number is taken for a version or section if all four parts are below 100 (BigCode's rule: below 10) or
    it ends in ``.0.0``. Of 100 random public addresses fewer than three look like that.
    """
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return False
    counted = not any(part >= 100 for part in address.packed) or text.endswith(".0.0")
    return address.is_global and not address.is_multicast and not counted


def _ipv6(view: memoryview, start: int, last_end: int) -> Found | None:
    found = IPV6.match(view, start)
    if found is None:
        return None
    try:
        address = ipaddress.IPv6Address(found[0].decode())
    except ValueError:
        return None
    public = address in _GLOBAL_UNICAST and address.is_global and address not in _DOCUMENTATION
    return found.span() if public else None


def _phone(view: memoryview, start: int, last_end: int) -> Found | None:
    found = PHONE.match(view, start)
    if found is None or sum(byte in b"0123456789" for byte in found[0]) not in _PHONE_DIGITS:
        return None
    return found.span()


def _token(view: memoryview, start: int, last_end: int) -> Found | None:
    found = TOKEN.match(view, start)
    if found is None:
        found = PEM.match(view, start)
        return found.span() if found else None
    key = found[0]
    if key.endswith(b"EXAMPLE"):  # the keys of AWS' own documentation; gitleaks allows them too
        return None
    return found.span() if _is_mixed(key) or key.startswith((b"hf_", b"AKIA", b"ASIA")) else None


def _assigned(view: memoryview, start: int, last_end: int) -> Found | None:
    """Match values that look generated: no blanks or templates, a letter and a digit, long for a token."""
    found = ASSIGNED.match(view, start)
    if found is None or not _is_mixed(found[0]) or b"://" in found[0]:
        return None
    long_name = _LONG_NAMES.search(view[max(start - _NAME_BYTES, 0) : start])
    return None if long_name and len(found[0]) < _LONG_SECRET else found.span()


def _is_mixed(text: bytes) -> bool:
    return any(byte in b"0123456789" for byte in text) and text.upper() != text.lower()


_MATCHERS: dict[int, Callable[[memoryview, int, int], Found | None]] = {
    anchors.ASSIGNED: _assigned,
    anchors.EMAIL: _email,
    anchors.IPV4: _ipv4,
    anchors.IPV6: _ipv6,
    anchors.PHONE: _phone,
    anchors.TOKEN: _token,
}
