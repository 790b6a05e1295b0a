"""The endpoint: one server on 127.0.0.1, its front door, and the executors of the services behind it."""

from __future__ import annotations

import errno
import logging
import uuid
from collections.abc import Callable
from pathlib import Path

from local_aws.errors import AwsError, LocalAwsError, render
from local_aws.front_door.control import Control
from local_aws.front_door.identify import identify, protocol_of
from local_aws.http.browsers import asks_for_page, refusal
from local_aws.http.handler import Sockets
from local_aws.http.messages import Request, Response
from local_aws.root_lock import lock_root
from local_aws.services import build_services
from local_aws.settings import LocalAwsSettings
from local_aws.ui import app as ui

log = logging.getLogger(__name__)
_REQUEST_IDS = {"x-amz-request-id", "x-amzn-requestid"}


class LocalServer:
    """The endpoint. It binds its port on construction (0: a free one) and serves until ``stop``."""

    def __init__(self, root: Path, port: int, *, fsync: bool = False, images: Path | None = None) -> None:
        root = root.resolve()
        root.mkdir(parents=True, exist_ok=True)
        self._root_lock = lock_root(root)
        self.control = Control()
        try:
            self._sockets = Sockets(("127.0.0.1", port), self.answer)
        except OSError as error:
            self._root_lock.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            raise LocalAwsError(
                "the port is taken" if error.errno == errno.EADDRINUSE else "the port is not allowed",
                where=f"127.0.0.1:{port}",
                expected="a free port",
                remedy="choose another with --port, or end the process that listens there",
            ) from error
        (root / ".state").mkdir(mode=0o700, exist_ok=True)
        (root / ".state").chmod(0o700)  # an existing folder may be readable by other users
        self.settings = LocalAwsSettings(root, self._sockets.server_address[1], self.control, fsync, images)
        self._built = build_services(self.settings)
        self.on_ready: Callable[[], None] = lambda: None

    def serve(self) -> None:
        """Start the executors and answer requests until ``stop`` is called from another thread."""
        self._built.supervisor.start()
        try:
            self.on_ready()
            self._sockets.serve_forever(poll_interval=0.1)
        finally:
            self._built.supervisor.stop()
            self._sockets.server_close()
            self._root_lock.close()

    def stop(self) -> None:
        """End ``serve``. Wait until it accepts no more connections."""
        self._sockets.shutdown()

    def answer(self, request: Request) -> Response:
        """Answer one request. Errors are rendered in the protocol of the request."""
        if why := refusal(request, self.settings.port):
            return Response(403, {"Content-Type": "text/plain; charset=utf-8"}, f"{why}\n".encode())
        request_id = str(uuid.uuid4())
        try:
            response = self._own_answer(request) or self._aws_answer(request)
        except ConnectionError:
            raise  # the client has disconnected
        except AwsError as error:
            return render(error, protocol_of(request), request_id)
        except Exception as error:
            log.exception("%s %s", request.method, request.raw_path)
            failure = AwsError("InternalFailure", f"local_aws failed: {type(error).__name__}: {error}", 500)
            return render(failure, protocol_of(request), request_id)
        if not _REQUEST_IDS & {name.lower() for name in response.headers}:
            response.headers["x-amzn-RequestId"] = request_id
        return response

    def _own_answer(self, request: Request) -> Response | None:
        """Answer a request for a page or for the control API. Return None for a call of AWS."""
        if request.raw_path == ui.PREFIX or request.raw_path.startswith(f"{ui.PREFIX}/"):
            return self._built.pages.answer(request)
        if request.raw_path == "/" and asks_for_page(request):
            return Response(302, {"Location": f"{ui.PREFIX}/"})
        if request.raw_path.startswith("/_local/"):
            return self.control.answer(request)
        return None

    def _aws_answer(self, request: Request) -> Response:
        call = identify(request)
        call.caller = self._built.supervisor.identities.caller(call) or self._built.sessions.caller(call)
        self.control.count(call)
        return self._built.operations.answer(call)
