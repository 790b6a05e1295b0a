"""The HTTP interface: routes, errors in OpenAI's format, and the handling of clients that disconnect."""

from __future__ import annotations

import asyncio
import enum
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from include.contracts.manifests import ModelManifest
from serving.answers import Answer
from serving.completions import Completions
from serving.connections import BODY_SECONDS
from serving.generator import GenerationFailed, Overloaded, TextGenerator
from serving.protocol import BadRequest, ChatBody, CompletionBody, parse_body

_log = logging.getLogger(__name__)
_RETRY_AFTER_SECONDS = "1"
#: The status of a request whose client has disconnected. Only the log and the metrics show it.
_CLIENT_GONE = 499
_BODY_UNREAD = (408, 413)


class ServerPhase(enum.StrEnum):
    """The phases of the server. New requests are served when ready and at the beginning of draining."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    CLOSED = "closed"
    FAILED = "failed"


@dataclass
class ServerState:
    """The state that the routes share. The fields of the model are set before the phase becomes ready."""

    model_name: str
    max_body_bytes: int
    phase: ServerPhase = ServerPhase.LOADING
    manifest: ModelManifest | None = None
    manifest_sha256: str = ""
    loaded_at: int = 0
    generator: TextGenerator | None = None
    completions: Completions | None = None
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    open_requests: int = 0
    quiet: asyncio.Event = field(default_factory=asyncio.Event)


class NotServing(Exception):
    """Raised for a request while the server is loading, closed or failed."""


def make_app(state: ServerState) -> FastAPI:
    """Build the application for ``state``."""
    app = FastAPI(title="Nexus LLM", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(_Bookkeeping, state=state)
    _add_error_handlers(app)

    @app.get("/")
    async def index() -> Response:
        """Name the routes to a person who opens the server's address."""
        routes = [f"{'/'.join(r.methods or ())} {r.path}" for r in app.routes if isinstance(r, APIRoute)]
        return JSONResponse({"api": "OpenAI", "model": state.model_name, "routes": routes})

    @app.get("/healthz")
    async def healthz() -> Response:
        """Answer 200 while the process is alive and text generation has not failed."""
        return _plain(state.phase, ok=state.phase is not ServerPhase.FAILED)

    @app.get("/readyz")
    async def readyz() -> Response:
        """Answer 200 while the model is loaded and the server is not draining."""
        return _plain(state.phase, ok=state.phase is ServerPhase.READY)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Answer with the metrics in Prometheus' text format."""
        return PlainTextResponse(_metrics(state), media_type="text/plain; version=0.0.4")

    @app.get("/v1/models")
    async def models() -> Response:
        """List the one model, with its manifest and run."""
        return JSONResponse({"object": "list", "data": [_model_card(state)]})

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> Response:
        """Describe the model by its name."""
        if name != state.model_name:
            raise BadRequest(
                f"The model '{name}' does not exist", param="model", code="model_not_found", status=404
            )
        return JSONResponse(_model_card(state))

    @app.post("/v1/completions")
    async def completions(request: Request) -> Response:
        """Continue a prompt."""
        serving = _serving(state)
        body = parse_body(CompletionBody, await _content(request, state.max_body_bytes))
        return await _reply(request, await serving.text(body), stream=bool(body.stream))

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        """Answer a conversation."""
        serving = _serving(state)
        body = parse_body(ChatBody, await _content(request, state.max_body_bytes))
        return await _reply(request, await serving.chat(body), stream=bool(body.stream))

    return app


async def _reply(request: Request, answer: Answer, *, stream: bool) -> Response:
    """Send the answer, whole or streamed. A client that disconnects ends its generations in both cases."""
    if stream:
        return _EventStream(answer)
    whole = asyncio.create_task(answer.whole())
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({whole, gone}, return_when=asyncio.FIRST_COMPLETED)
        if whole.done():
            return Response(json.dumps(await whole, ensure_ascii=False), media_type="application/json")
        return Response(status_code=_CLIENT_GONE)
    finally:
        for task in (whole, gone):
            task.cancel()
        answer.cancel()


class _EventStream(StreamingResponse):
    """Server-sent events. The generations end with the response, even if it never sent a byte."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        super().__init__(
            self._events(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"}
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._answer.cancel()

    async def _events(self) -> AsyncIterator[bytes]:
        try:
            async for event in self._answer.events():
                yield event
        except GenerationFailed as error:
            # the status line was sent already: send an error event, and no [DONE]
            yield b"data: " + json.dumps(_error_body(str(error), "server_error")).encode() + b"\n\n"


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _content(request: Request, limit: int) -> bytes:
    """Read the body, at most up to the limit of bytes and within ``BODY_SECONDS``."""
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    what = f"The body is larger than {limit} bytes"
                    raise BadRequest(what, code="request_too_large", status=413)
                parts.append(chunk)
    except TimeoutError:
        what = f"The body did not arrive within {BODY_SECONDS} seconds"
        raise BadRequest(what, code="request_timeout", status=408) from None
    return b"".join(parts)


def _serving(state: ServerState) -> Completions:
    if state.completions is None or state.phase not in (ServerPhase.READY, ServerPhase.DRAINING):
        raise NotServing(f"The server is {state.phase.value}; try another one")
    return state.completions


def _model_card(state: ServerState) -> dict[str, Any]:
    card: dict[str, Any] = {
        "id": state.model_name,
        "object": "model",
        "created": state.loaded_at,
        "owned_by": "nexus-llm",
    }
    if state.manifest:
        card["nexus"] = {
            "manifest_sha256": state.manifest_sha256,
            "run": state.manifest.run,
            "step": state.manifest.step,
            "parameters": state.manifest.parameters,
            "context_length": state.manifest.context_length,
        }
    return card


def _metrics(state: ServerState) -> str:
    lines = ["# TYPE nexus_http_requests_total counter"]
    lines += [
        f'nexus_http_requests_total{{route="{route}",status="{status}"}} {number}'
        for (route, status), number in sorted(state.answers.items())
    ]
    if generator := state.generator:
        for name, kind, value in (
            ("nexus_generations_in_flight", "gauge", generator.in_flight),
            ("nexus_generation_slots", "gauge", generator.slots),
            ("nexus_prompt_tokens_total", "counter", generator.prompt_tokens),
            ("nexus_generated_tokens_total", "counter", generator.generated_tokens),
        ):
            lines += [f"# TYPE {name} {kind}", f"{name} {value}"]
    return "\n".join(lines) + "\n"


def _plain(phase: ServerPhase, *, ok: bool) -> Response:
    return PlainTextResponse(phase.value, status_code=200 if ok else 503)


def _error_body(message: str, kind: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _add_error_handlers(app: FastAPI) -> None:
    retry = {"Retry-After": _RETRY_AFTER_SECONDS}

    @app.exception_handler(BadRequest)
    async def bad_request(_: Request, error: BadRequest) -> Response:
        body = _error_body(str(error), "invalid_request_error", error.param, error.code)
        # the rest of a body that was not read must not be waited for
        headers = {"Connection": "close"} if error.status in _BODY_UNREAD else None
        return JSONResponse(body, error.status, headers)

    @app.exception_handler(Overloaded)
    async def overloaded(_: Request, error: Overloaded) -> Response:
        return JSONResponse(
            _error_body(str(error), "rate_limit_error", code="overloaded"), 429, headers=retry
        )

    @app.exception_handler(NotServing)
    async def not_serving(_: Request, error: NotServing) -> Response:
        return JSONResponse(_error_body(str(error), "server_error", code="unavailable"), 503, headers=retry)

    @app.exception_handler(GenerationFailed)
    async def generation_failed(_: Request, error: GenerationFailed) -> Response:
        return JSONResponse(_error_body(str(error), "server_error", code="generation_failed"), 500)

    @app.exception_handler(ClientDisconnect)
    async def disconnected(_: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=_CLIENT_GONE)

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> Response:
        body = _error_body(str(error.detail), "invalid_request_error")
        return JSONResponse(body, error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> Response:
        _log.error("request: failed", exc_info=error)
        return JSONResponse(_error_body("The server had an error", "server_error"), 500)


class _Bookkeeping:
    """A middleware that counts answers and open requests; a draining server closes its connections."""

    def __init__(self, app: ASGIApp, state: ServerState) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = self._state

        async def watched(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("route")
                state.answers[(getattr(route, "path", "other"), message["status"])] += 1
                if state.phase in (ServerPhase.DRAINING, ServerPhase.CLOSED):
                    message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        state.open_requests += 1
        state.quiet.clear()
        try:
            await self._app(scope, receive, watched)
        finally:
            state.open_requests -= 1
            if not state.open_requests:
                state.quiet.set()
