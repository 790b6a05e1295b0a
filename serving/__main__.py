"""Serves one model.

python -m serving

The server listens, loads the model (/readyz answers 503) and becomes ready. After SIGTERM it drains: /readyz
answers 503 at once, and new requests are still served for LAME_DUCK_SECONDS. Then new requests get 503, and
running ones may finish within DRAIN_TIMEOUT_SECONDS. Then the port is closed. The exit code is 0, or 1 if
generations were cut off, the model could not be loaded, or text generation failed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Sequence

from include.contracts.errors import NexusError, SettingsError
from serving.connections import limit_unread_time
from serving.lifecycle import BACKLOG, ServerLife
from serving.settings import ServerSettings

_log = logging.getLogger("serving")
#: The generator's thread needs Python's global lock for microseconds per step. With the default of 5 ms, it
#: would wait that long for the event loop on every step.
_SWITCH_INTERVAL_SECONDS = 0.0005


def _listen(settings: ServerSettings) -> socket.socket:
    """Bind the port before the slow work, so that a port in use is reported at once."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    limit_unread_time(listener)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise SettingsError(
            "cannot listen",
            where=f"HOST {settings.host}, PORT {settings.port}",
            got=error.strerror or str(error),
            remedy="set PORT to a free port, or to 0 for any free port",
        ) from None
    return listener


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM. An error in the settings or the model prints one line, with exit code 1."""
    if list(sys.argv[1:] if argv is None else argv):
        print("python -m serving takes no arguments; see serving/settings.py", file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stdout)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
    try:
        settings = ServerSettings.from_environment(os.environ)
        listener = _listen(settings)
    except NexusError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    _log.info("listening on %s:%s", *listener.getsockname()[:2])

    async def live() -> int:
        return await ServerLife(settings, listener).run()

    return asyncio.run(live())


if __name__ == "__main__":
    raise SystemExit(main())
