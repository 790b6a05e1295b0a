"""Builds and parses the XML documents of S3."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from local_aws.errors import AwsError
from local_aws.http.messages import Request, Response
from local_aws.s3.ingest import read_small
from local_aws.s3.tags import checked_tags

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_MAX_DOCUMENT_BYTES = 8 << 20
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")

Value = Any
"""A str, int, bool, None (left out), mapping (child elements) or list (repeated elements)."""


def document(name: str, content: Mapping[str, Value] | str, status: int = 200) -> Response:
    """Build an XML response; lists become repeated elements, None is left out."""
    if isinstance(content, str):
        body = escape(content)
    else:
        body = "".join(_element(key, value) for key, value in content.items())
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} xmlns="{_NAMESPACE}">{body}</{name}>'
    return Response(status, {"Content-Type": "application/xml"}, text.encode())


def _element(name: str, value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "".join(_element(name, item) for item in value)
    if isinstance(value, Mapping):
        inner = "".join(_element(key, child) for key, child in value.items())
    elif isinstance(value, bool):
        inner = "true" if value else "false"
    else:
        # XML 1.0 has no way to write control characters; clients that need them ask for encoding-type=url
        inner = escape(_UNPRINTABLE.sub("\ufffd", str(value)), {"\r": "&#13;", '"': "&quot;"})
    return f"<{name}>{inner}</{name}>"


def read_document(
    request: Request, expected: str, *, checksums_are_of_body: bool = True
) -> ElementTree.Element:
    """Parse the request's XML body and remove the namespaces.

    Raises AwsError MalformedXML unless the root element is ``expected``, and BadDigest if a checksum header
    does not fit the body.
    """
    raw = read_small(request, _MAX_DOCUMENT_BYTES, verify_checksums=checksums_are_of_body)
    return parse_document(raw, expected)


def read_body(request: Request) -> bytes:
    """Read a small body and verify it against its Content-MD5 and checksum headers."""
    return read_small(request, _MAX_DOCUMENT_BYTES)


def parse_document(raw: bytes, expected: str) -> ElementTree.Element:
    """Parse an XML document and remove its namespaces. Raises AwsError MalformedXML."""
    malformed = AwsError(
        "MalformedXML", f"The XML you provided was not well-formed or is no {expected}.", 400
    )
    if b"<!DOCTYPE" in raw:
        raise malformed  # entities could expand without bound
    try:
        root = ElementTree.fromstring(raw)
    except ElementTree.ParseError as error:
        raise malformed from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    if root.tag != expected:
        raise malformed
    return root


def text_of(element: ElementTree.Element, name: str) -> str:
    """Return the text of the child ``name``, or '' if there is none."""
    return element.findtext(name) or ""


def tags_of(element: ElementTree.Element, most: int, path: str = "TagSet/Tag") -> dict[str, str]:
    """Read at most ``most`` tags at ``path`` below ``element``. Raises AwsError if they break S3's rules."""
    pairs = ((text_of(tag, "Key"), text_of(tag, "Value")) for tag in element.iterfind(path))
    return checked_tags(pairs, most)


def tagging(tags: Mapping[str, str]) -> Response:
    """Build a response with a Tagging document."""
    return document("Tagging", {"TagSet": {"Tag": [{"Key": k, "Value": v} for k, v in tags.items()]}})


def iso_time(seconds: float) -> str:
    """Format seconds since 1970 as S3's documents do: in UTC, without fractions of a second."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def encoder(encoding_type: str | None) -> Any:
    """Return the function that encodes keys in a listing.

    It percent-encodes for encoding-type=url. Raises AwsError InvalidArgument for another encoding type.
    """
    if encoding_type is None:
        return lambda text: text
    if encoding_type != "url":
        raise AwsError("InvalidArgument", "Invalid Encoding Method specified in Request", 400)
    return lambda text: quote(text, safe="/")
