"""Answers requests below ``/_local/ui/``.

GET /_local/ui/                                                      all jobs and services
GET /_local/ui/jobs/<service>/<id>                                   a job; service is emr, emr-serverless,
                                                                     glue or sagemaker
GET /_local/ui/jobs/<service>/<id>/log[/<log>]                       one of its logs, live
GET /_local/ui/services/<cluster>/<service>                          an ECS service
GET /_local/ui/services/<cluster>/<service>/tasks/<task>/log[/<container>]
…/log/<name>/raw[?offset=N]                                          the text of a log from a byte on
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from local_aws.http.messages import Request, Response
from local_aws.jobs.identities import Identities
from local_aws.resources import Resource, ResourceTable
from local_aws.settings import LocalAwsSettings
from local_aws.ui import assets, logs, pages
from local_aws.ui.html import Html
from local_aws.ui.model import LogFile, ShownJob, ShownJobs
from local_aws.ui.services import ServicePages

PREFIX = "/_local/ui"
_SHOWN_JOBS = 300
#: The end of a job's log that its page reads for the last lines and the curves of metrics.
_JOB_LOG_BYTES = 2 << 20
_HEADERS = {
    # no external content, inline script or frame, so that the output of a job is shown but never executed
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class WebPages:
    """The read-only pages of jobs and services."""

    def __init__(self, table: ResourceTable, settings: LocalAwsSettings, identities: Identities) -> None:
        self._identities = identities
        self._jobs = ShownJobs(table, settings.state)
        self._services = ServicePages(table, settings.state / "ecs")

    def answer(self, request: Request) -> Response:
        """Answer a request. Only GET and HEAD are allowed."""
        if request.method not in ("GET", "HEAD"):
            return _response("This page is read-only.\n", "text/plain", 405)
        path = request.raw_path.removeprefix(PREFIX).strip("/")
        parts = [unquote(part) for part in path.split("/")] if path else []
        if not parts:
            return _html(pages.index_page(self._jobs.newest(_SHOWN_JOBS), self._services.all()))
        if parts == ["style.css"]:
            return _response(assets.STYLE, "text/css")
        if parts == ["log.js"]:
            return _response(assets.SCRIPT, "text/javascript")
        if parts[0] == "jobs" and len(parts) >= 3:
            view = self._jobs.find(parts[1], parts[2])
            if view is None:
                return _missing(f"There is no {parts[1]} job {parts[2]}.")
            return self._job(view, parts[3:], request)
        if parts[0] == "services" and len(parts) >= 3:
            service = self._services.find(f"{parts[1]}/{parts[2]}")
            if service is None:
                return _missing(f"There is no service {parts[2]} in cluster {parts[1]}.")
            return self._service(service, parts[3:], request)
        return _missing(f"There is no page {request.path}.")

    def _job(self, view: ShownJob, rest: list[str], request: Request) -> Response:
        if not rest:
            pieces = [(log, logs.tail(log.path, _JOB_LOG_BYTES)) for log in view.logs[:2]]
            calls = self._identities.calls(view.row.kind, view.row.name)
            return _html(pages.job_page(view, pieces, calls))
        log, raw = _chosen(list(view.logs), rest)
        if log is None:
            return _missing(f"{view.name} has no such log.")
        if raw:
            return _raw(log, request, is_over=view.is_over)
        return _html(pages.log_page(view, log, logs.tail(log.path)))

    def _service(self, service: Resource, rest: list[str], request: Request) -> Response:
        if not rest:
            return _html(self._services.page(service))
        if rest[0] == "tasks" and len(rest) >= 3:
            task = rest[1]
            log, raw = _chosen(self._services.logs(service, task), rest[2:])
            if log is not None and raw:
                return _raw(log, request, is_over=self._services.is_over(service, task))
            if log is not None:
                return _html(self._services.log_page(service, task, log, logs.tail(log.path)))
        return _missing(f"{service.name} has no such task or log.")


def _chosen(known: list[LogFile], rest: list[str]) -> tuple[LogFile | None, bool]:
    """Return the log that ``log[/<name>[/raw]]`` names, by default the first, and True if it ends in raw."""
    if rest[0] != "log" or not known or len(rest) > 3 or (len(rest) == 3 and rest[2] != "raw"):
        return None, False
    found = known[0] if len(rest) == 1 else next((log for log in known if log.name == rest[1]), None)
    return found, len(rest) == 3


def _raw(log: LogFile, request: Request, *, is_over: bool) -> Response:
    offset = request.query.get("offset", "0")
    if not re.fullmatch("[0-9]{1,15}", offset):
        return _response("offset must be a number of bytes.\n", "text/plain", 400)
    piece = logs.since(log.path, int(offset))
    answer = _response(piece.data, "text/plain")
    answer.headers |= {
        "X-Offset": str(piece.offset),
        "X-Next-Offset": str(piece.next),
        "X-Job-Over": "true" if is_over else "false",
    }
    return answer


def _missing(what: str) -> Response:
    return _html(pages.not_found(what), 404)


def _html(page: Html, status: int = 200) -> Response:
    return _response(page, "text/html", status)


def _response(body: str | bytes, content_type: str, status: int = 200) -> Response:
    data = body.encode("utf-8", "replace") if isinstance(body, str) else body
    return Response(status, {"Content-Type": f"{content_type}; charset=utf-8", **_HEADERS}, data)
