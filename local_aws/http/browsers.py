"""What a web page in a browser on this machine could send here, and what is refused of it.

The endpoint runs what it is told to. Loopback keeps other machines out, but not the pages that a browser
on this machine shows: they can send forms here, and by DNS rebinding read the answers.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from local_aws.http.messages import Request

_OWN_NAMES = {"127.0.0.1", "localhost", "::1"}


def refusal(request: Request, port: int) -> str:
    """Why a request may come from a foreign web page; '' for one that does not.

    Every AWS client names this machine as host and sends no Origin. Browsers send the name in the address
    bar as host, the page's origin with forms and scripts, and Sec-Fetch-Site with images and links.
    """
    host = request.headers.get("host", "")
    name = urlsplit(f"//{host}").hostname or ""
    if host and name not in _OWN_NAMES and not name.endswith(".localhost"):
        return f"the host {host!r} is not this machine; call 127.0.0.1:{port}"
    origin = request.headers.get("origin", "")
    if origin and origin not in {f"http://{own}:{port}" for own in ("127.0.0.1", "localhost", "[::1]")}:
        return f"a page of the origin {origin!r} may not call this endpoint"
    if request.headers.get("sec-fetch-site", "") == "cross-site":
        return "a page of another site may not call this endpoint"
    return ""
