"""Refuse requests that a foreign web page in a browser on this machine could send.

The endpoint runs what requests ask for. Loopback keeps other machines out, but not the pages that a browser
on this machine shows: they can send forms here, and by DNS rebinding read the answers.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from local_aws.http.messages import Request

_OWN_NAMES = {"127.0.0.1", "localhost", "::1"}
_PAGES = "/_local/ui"


def refusal(request: Request, port: int) -> str:
    """Return why a request may come from a foreign web page, or '' for one that does not.

    Every AWS client names this machine as host and sends no Origin. Browsers send the name in the address
    bar as host, the page's origin with forms and scripts, and Sec-Fetch-Site with images and links.
    """
    host = request.headers.get("host", "")
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:  # an opening bracket without the closing one
        name = ""
    if host and name not in _OWN_NAMES and not name.endswith(".localhost"):
        return f"the host {host!r} is not this machine; call 127.0.0.1:{port}"
    origin = request.headers.get("origin", "")
    if origin and origin not in {f"http://{own}:{port}" for own in ("127.0.0.1", "localhost", "[::1]")}:
        return f"a page of the origin {origin!r} may not call this endpoint"
    if request.headers.get("sec-fetch-site", "") == "cross-site" and not _follows_link(request):
        return "a page of another site may not call this endpoint"
    return ""


def asks_for_page(request: Request) -> bool:
    """Tell whether a browser asks for a page to show, as opposed to an AWS client."""
    return (
        request.method in ("GET", "HEAD")
        and "authorization" not in request.headers
        and "text/html" in request.headers.get("accept", "")
    )


def _follows_link(request: Request) -> bool:
    """Tell whether a user follows a link to one of our pages.

    The pages are read-only and cannot be framed, and the page with the link does not get to read them.
    Airflow opened as ``localhost`` is another site than ``127.0.0.1``, and its links lead here.
    """
    return (
        request.method in ("GET", "HEAD")
        and request.raw_path.startswith(f"{_PAGES}/")
        and request.headers.get("sec-fetch-mode", "") == "navigate"
        and request.headers.get("sec-fetch-dest", "") == "document"
    )
