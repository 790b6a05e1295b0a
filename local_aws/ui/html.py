"""Builds HTML. Every text that is not an ``Html`` is escaped, so that a job cannot add markup to a page."""

from __future__ import annotations

import html
from collections.abc import Iterable


class Html(str):
    """Markup that is safe to put on a page without escaping."""


Content = str | int | float | None | Iterable["Content"]
"""Text, markup, or any nesting of them; None and '' are left out."""

_EMPTY_ELEMENTS = {"meta", "link", "br"}


def element(tag: str, /, *content: Content, **attributes: str) -> Html:
    """Build one element. An underscore at the end of an attribute's name is dropped (``class_``)."""
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"' for key, value in attributes.items()
    )
    if tag in _EMPTY_ELEMENTS:
        return Html(f"<{tag}{words}>")
    return Html(f"<{tag}{words}>{markup(content)}</{tag}>")


def markup(content: Content) -> Html:
    """Convert content to markup. Texts are escaped, and markup is not changed."""
    if content is None:
        return Html("")
    if isinstance(content, Html):
        return content
    if isinstance(content, str | int | float):
        return Html(html.escape(str(content)))
    return Html("".join(markup(item) for item in content))


def table(headings: Iterable[str], rows: Iterable[Iterable[Content]]) -> Html:
    """Build a table, or nothing if there are no rows."""
    body = [element("tr", [element("td", cell) for cell in row]) for row in rows]
    if not body:
        return Html("")
    head = element("tr", [element("th", heading) for heading in headings])
    return element("div", element("table", element("thead", head), element("tbody", body)), class_="scroll")


def facts(pairs: Iterable[tuple[str, Content]]) -> Html:
    """Build a list of names and values; pairs without a value are left out."""
    shown = [(name, markup(value)) for name, value in pairs]
    return element(
        "dl", [(element("dt", name), element("dd", value)) for name, value in shown if value], class_="facts"
    )
