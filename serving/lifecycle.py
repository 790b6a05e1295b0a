"""The life cycle of the server: it loads the model, serves, drains after SIGTERM, and ends."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from include.contracts.errors import NexusError
from include.contracts.manifests import ModelManifest
from serving.app import ServerPhase, ServerState, make_app
from serving.completions import Completions
from serving.connections import HEAD_SECONDS, TimedProtocol
from serving.generator import TextGenerator
from serving.language_model import LanguageModel
from serving.model_store import fetch_model
from serving.settings import ServerSettings

#: Length of the queue of connections that are not accepted yet.
BACKLOG = 2048
_log = logging.getLogger("serving")
_FINGERPRINT_DIGITS = 12


class _Server(uvicorn.Server):
    """A uvicorn server without its signal handling: ``ServerLife`` handles the signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ServerLife:
    """One run of the server from start to exit code."""

    def __init__(self, settings: ServerSettings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        self._state = ServerState(settings.served_model_name, settings.max_body_bytes)
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._exit_code = 0
        config = uvicorn.Config(
            make_app(self._state),
            log_level="warning",
            access_log=False,
            lifespan="off",
            http=TimedProtocol,
            timeout_keep_alive=HEAD_SECONDS,
            backlog=BACKLOG,
        )
        self._server = _Server(config)

    async def run(self) -> int:
        """Serve until a signal or a failure. Return the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        with _folder_for(self._settings) as folder:
            loading = asyncio.create_task(self._load(folder))
            stopping = asyncio.create_task(self._stop.wait())
            await asyncio.wait({loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if loading.done():
                self._after_loading(loading)
                await stopping
            await self._drain()
            self._server.should_exit = True
            await serving
            if self._state.generator:
                await self._state.generator.close()
        if not loading.done():
            # the thread that loads cannot be interrupted, and must not delay the exit
            self._say("stopped while the model was loading")
            os._exit(0)
        self._say(f"exit {self._exit_code}")
        return self._exit_code

    async def _load(self, folder: Path) -> tuple[ModelManifest, LanguageModel]:
        settings = self._settings
        manifest, model_folder = await asyncio.to_thread(
            fetch_model, settings.model_uri, settings.model_manifest_sha256, folder
        )
        model = await asyncio.to_thread(
            functools.partial(
                LanguageModel,
                model_folder,
                manifest,
                max_sequences=settings.max_concurrent_requests,
                max_batched_tokens=settings.max_batched_tokens,
                kv_cache_gib=settings.kv_cache_gib,
                threads=settings.inference_threads,
            )
        )
        return manifest, model

    def _after_loading(self, loading: asyncio.Task[tuple[ModelManifest, LanguageModel]]) -> None:
        settings, state = self._settings, self._state
        try:
            manifest, model = loading.result()
        except NexusError as error:
            self._say(f"{type(error).__name__}: {error}")
            self._fail()
            return
        fingerprint = f"fp_{settings.model_manifest_sha256[:_FINGERPRINT_DIGITS]}"
        state.manifest, state.manifest_sha256 = manifest, settings.model_manifest_sha256
        state.loaded_at = int(time.time())
        state.generator = TextGenerator(model, settings.max_concurrent_requests, self._fail)
        state.completions = Completions(model, state.generator, settings.served_model_name, fingerprint)
        state.phase = ServerPhase.READY
        self._say(f"ready: {manifest.run} step {manifest.step}, {manifest.parameters} parameters")

    async def _drain(self) -> None:
        """Serve new requests for a while, then finish running ones. A second signal ends the first part."""
        state, settings = self._state, self._settings
        if state.phase is ServerPhase.READY:
            state.phase = ServerPhase.DRAINING
            self._say(f"draining: {state.open_requests} open requests")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), settings.lame_duck.total_seconds())
        if state.phase is not ServerPhase.FAILED:
            state.phase = ServerPhase.CLOSED
        if state.open_requests:
            try:
                await asyncio.wait_for(state.quiet.wait(), settings.drain_timeout.total_seconds())
            except TimeoutError:
                self._say(f"DRAIN_TIMEOUT_SECONDS has passed: {state.open_requests} requests are cut off")
                self._exit_code = 1
                self._server.force_exit = True

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def _fail(self) -> None:
        """Stop with exit code 1; /healthz answers 503 until then."""
        self._state.phase = ServerPhase.FAILED
        self._exit_code = 1
        self._hurry.set()
        self._stop.set()

    def _say(self, text: str) -> None:
        _log.info("%s", text)


@contextlib.contextmanager
def _folder_for(settings: ServerSettings) -> Iterator[Path]:
    """Yield the folder for a downloaded model: the one of the settings, or a temporary one."""
    if settings.model_directory:
        yield settings.model_directory
        return
    folder = Path(tempfile.mkdtemp(prefix="nexus-model-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
