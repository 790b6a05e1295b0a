"""The program in the container of the tests, a small HTTP server. Environment: PORT, VERSION, HEALTH.

/healthz   HEALTH, or 200                     /slow?<seconds>  the version, after a while
/events    three server-sent events; each next one waits until the file named by the query has a line more
/big?<n>   n bytes                            /drop            closes the connection without an answer
/exit      ends the process                   anything else    version, method, headers, body (JSON)
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

VERSION = os.environ.get("VERSION", "one")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _answer(self) -> None:
        body = self._body()
        path, _, query = self.path.partition("?")
        if path == "/healthz":
            self._send(int(os.environ.get("HEALTH", "200")), b"")
        elif path == "/slow":
            time.sleep(float(query))
            self._send(200, VERSION.encode())
        elif path == "/events":
            self._events(Path(query))
        elif path == "/big":
            self._send(200, b"x" * int(query))
        elif path == "/drop":
            self.close_connection = True
        elif path == "/exit":
            os._exit(3)
        elif path == "/fail":
            self._send(500, VERSION.encode())
        else:
            address: Any = self.server.server_address
            seen = {
                "version": VERSION,
                "port": address[1],
                "method": self.command,
                "path": self.path,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "body_sha256": hashlib.sha256(body).hexdigest(),
                "body_bytes": len(body),
                "environment": dict(os.environ),
            }
            self._send(200, json.dumps(seen).encode())

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _answer  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Version", VERSION)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _events(self, gate: Path) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(3):
            while len(gate.read_text()) < number:
                time.sleep(0.01)
            event = b"data: %d\n\n" % number
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> int:
    if "CRASH" in os.environ:
        print("cannot start", flush=True)
        return 1
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
    # ends the requests under way, as a server that knows SIGTERM does
    server.daemon_threads = False
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"{VERSION} listens", flush=True)
    server.serve_forever(poll_interval=0.02)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
