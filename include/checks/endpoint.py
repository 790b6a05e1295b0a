"""Requests one completion from a served model, through its public endpoint."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from typing import Any

from include.contracts.errors import NexusError


class EndpointFailed(NexusError):
    """Raised if the endpoint returned no usable completion."""


def ask(endpoint: str, prompt: str, max_tokens: int, timeout_seconds: float = 60.0) -> dict[str, Any]:
    """Request a completion of ``prompt``. Return its text, model, hash of the manifest, and seconds.

    :raises EndpointFailed: with the answer that was received instead
    """
    started = time.monotonic()
    answer = _call(f"{endpoint}/v1/models", None, timeout_seconds)
    try:
        served = answer["data"][0]
        model, manifest_sha256 = str(served["id"]), str(served.get("nexus", {}).get("manifest_sha256", ""))
        body = {"model": model, "prompt": prompt, "max_tokens": max_tokens, "temperature": 0}
        answer = _call(f"{endpoint}/v1/completions", body, timeout_seconds)
        text, usage = str(answer["choices"][0]["text"] or ""), answer.get("usage", {})
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        got = json.dumps(answer)[:500]
        raise EndpointFailed("no answer of a model", where=endpoint, got=got) from error
    if not text:
        raise EndpointFailed("an empty completion", where=endpoint, got=json.dumps(answer)[:500])
    return {
        "model": model,
        "manifest_sha256": manifest_sha256,
        "text": text,
        "usage": usage,
        "seconds": round(time.monotonic() - started, 3),
    }


def _call(url: str, body: dict[str, Any] | None, timeout_seconds: float) -> Any:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout_seconds) as response:
            return json.loads(response.read())
    except urllib.error.HTTPError as error:
        got = f"HTTP {error.code} {error.read()[:500]!r}"
        raise EndpointFailed("the endpoint refused", where=url, got=got) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise EndpointFailed("the endpoint does not answer", where=url, got=str(error)) from error
