"""The data plane: an event loop in one thread with the listening sockets and the health checks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import time
from typing import Any

import aiohttp
from aiohttp import web

from local_aws.elbv2.forward import Forwarder, Route, probe
from local_aws.elbv2.metrics import Counters
from local_aws.elbv2.names import BALANCER, LISTENER, matches
from local_aws.elbv2.targets import Group, Target, Targets
from local_aws.jobs.supervisor import Supervisor

log = logging.getLogger(__name__)
_HOST = "127.0.0.1"
_BACKLOG = 512
_LOOK_SECONDS = 0.05
_FLUSH_SECONDS = 5.0
_REBIND_SECONDS = 0.5
_CLIENT_IDLE_SECONDS = 75.0


class DataPlane:
    """The executor of the load balancers. ``open`` and ``close`` take effect before they return."""

    def __init__(self, supervisor: Supervisor, targets: Targets, counters: Counters) -> None:
        self._supervisor = supervisor
        self._targets = targets
        self._counters = counters
        self._loop = asyncio.new_event_loop()
        self._ended = threading.Event()
        self._forwarder: Forwarder | None = None
        self._routes: dict[str, Route] = {}
        self._sites: dict[str, web.ServerRunner] = {}
        self._probes: set[asyncio.Task[None]] = set()
        self._flushed = time.monotonic()
        self._rebound = 0.0

    # ---- executor -----------------------------------------------------------
    def adopt(self) -> None:
        """Resume the listeners and health checks that an earlier process had."""
        self._targets.load()
        self._supervisor.run("load balancers", self._serve)
        self._open_missing()

    def tick(self) -> None:
        """Send metrics, remove drained targets, and retry ports that were in use at the restart."""
        self._targets.sweep()
        now = time.monotonic()
        if now - self._flushed >= _FLUSH_SECONDS:
            self._flushed = now
            self._counters.flush(self._targets)
        if now - self._rebound >= _REBIND_SECONDS:
            self._rebound = now
            self._open_missing()

    def stop(self) -> None:
        """Close the listeners and end the loop."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._ended.wait(5)

    # ---- listeners ----------------------------------------------------------
    def open(self, listener: str, view: dict[str, Any], idle_seconds: float) -> None:
        """Open a listener or change its actions. Raises OSError if the port is in use."""
        balancer, port = view["LoadBalancerArn"], int(view["Port"])
        route = Route(listener, balancer, port, view["DefaultActions"], idle_seconds)
        before = self._routes.get(listener)
        if before is not None and before.port != port:
            self.close(listener)
        if listener in self._sites:
            self._routes[listener] = route
            return
        sock = _bind(port)
        self._routes[listener] = route
        self._call(self._listen(listener, sock))

    def close(self, listener: str) -> None:
        """Close a listener after its requests in progress have ended."""
        self._routes.pop(listener, None)
        if listener in self._sites:
            self._call(self._sites.pop(listener).cleanup())

    def _open_missing(self) -> None:
        table = self._supervisor.table
        for row in table.list(LISTENER):
            if row.name not in self._sites:
                balancer = table.get(BALANCER, row.parent)
                if balancer is None:
                    continue
                idle = float(balancer.detail["attributes"]["idle_timeout.timeout_seconds"])
                try:
                    self.open(row.name, row.detail["view"], idle)
                except OSError as error:
                    log.warning(
                        "listener %s cannot listen on port %s, will retry: %s",
                        row.name,
                        row.detail["view"]["Port"],
                        error,
                    )

    async def _listen(self, listener: str, sock: socket.socket) -> None:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            assert self._forwarder is not None
            return await self._forwarder.answer(request, self._routes[listener])

        server = web.Server(
            handle,
            access_log=None,
            handler_cancellation=True,  # a client that leaves must stop its target's work
            keepalive_timeout=_CLIENT_IDLE_SECONDS,
            auto_decompress=False,
            max_line_size=1 << 16,
            max_field_size=1 << 16,
        )
        runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=5.0)
        await runner.setup()
        await web.SockSite(runner, sock, backlog=_BACKLOG).start()
        self._sites[listener] = runner

    def _call(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    # ---- the loop -----------------------------------------------------------
    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            probing = self._loop.create_task(self._run())
            self._loop.run_forever()
            probing.cancel()
            self._loop.run_until_complete(self._end(probing))
        finally:
            self._loop.close()
            self._ended.set()

    async def _end(self, probing: asyncio.Task[None]) -> None:
        await asyncio.gather(probing, return_exceptions=True)
        for runner in self._sites.values():
            if runner.server is not None:
                await runner.server.shutdown(timeout=0.1)
            await runner.cleanup()
        if self._forwarder is not None:
            await self._forwarder.close()

    async def _run(self) -> None:
        self._forwarder = Forwarder(self._targets, self._counters)
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        headers = {"User-Agent": "ELB-HealthChecker/2.0"}
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
            while True:
                for group, target in self._targets.due():
                    task = self._loop.create_task(self._probe(session, group, target))
                    self._probes.add(task)
                    task.add_done_callback(self._probes.discard)
                await asyncio.sleep(_LOOK_SECONDS)

    async def _probe(self, session: aiohttp.ClientSession, group: Group, target: Target) -> None:
        settings = group.settings
        if not settings["HealthCheckEnabled"]:
            self._targets.report(target, "", "")
            return
        port = target.port if settings["HealthCheckPort"] == "traffic-port" else settings["HealthCheckPort"]
        url = f"http://{target.host}:{port}{settings['HealthCheckPath']}"
        status, problem = await probe(session, url, float(settings["HealthCheckTimeoutSeconds"]))
        reason, description = "", ""
        if status is None and problem == "timeout":
            reason, description = "Target.Timeout", "Request timed out"
        elif status is None:
            reason, description = "Target.FailedHealthChecks", f"Health checks failed: {problem}"
        elif not matches(settings["Matcher"]["HttpCode"], status):
            reason = "Target.ResponseCodeMismatch"
            description = f"Health checks failed with these codes: [{status}]"
        self._targets.report(target, reason, description)


def _bind(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((_HOST, port))
        sock.listen(_BACKLOG)  # a second bind of the port fails from here on
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
