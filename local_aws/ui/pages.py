"""The pages of jobs and logs, and the index."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from local_aws.resources import Resource
from local_aws.ui.curves import curves, metric_values
from local_aws.ui.html import Content, Html, element, facts, table
from local_aws.ui.logs import LogChunk, ReportedProgress
from local_aws.ui.masking import masked
from local_aws.ui.model import LogFile, ShownJob, tone

ROOT = "/_local/ui"
REFRESH_SECONDS = 3
_SHORT_LOG_LINES = 15


def page(title: str, *content: Content, refresh: bool = False, script: bool = False) -> Html:
    """Build a whole page. With ``refresh`` the browser loads it again every few seconds."""
    head = [
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title} · local_aws"),
        element("link", rel="stylesheet", href=f"{ROOT}/style.css"),
        element("meta", http_equiv="refresh", content=str(REFRESH_SECONDS)) if refresh else None,
    ]
    top = element(
        "header", element("a", "local_aws", href=f"{ROOT}/"), element("span", "AWS on this machine")
    )
    end = element("script", src=f"{ROOT}/log.js") if script else None
    body = element("body", top, element("main", *content), end)
    return Html(f"<!doctype html>{element('html', element('head', head), body, lang='en')}")


def index_page(jobs: Sequence[ShownJob], services: Sequence[Resource]) -> Html:
    """Build the list of all jobs, the newest first, and of all services."""
    rows = [
        (
            element("a", view.name, href=job_url(view.service, view.row.name)),
            view.title,
            state(view.row.state),
            _progress(view.progress),
            moment(view.row.created),
            element("time", duration(view)),
        )
        for view in jobs
    ]
    shown = table(("name", "kind", "state", "progress", "submitted", "ran for"), rows)
    listed = table(("service", "state", "tasks wanted", "task definition"), map(_service_row, services))
    empty = element("p", "No job has been submitted yet.", class_="faint")
    no_service = element("p", "No service has been created yet.", class_="faint")
    return page(
        "Jobs and services",
        element("h1", "Jobs and services"),
        element("p", "Read-only. A job is started and stopped through the AWS API.", class_="kind"),
        element("h2", "Services"),
        element("section", listed or no_service),
        element("h2", "Jobs"),
        element("section", shown or empty),
        refresh=True,
    )


def job_page(view: ShownJob, ends: Sequence[tuple[LogFile, LogChunk]], calls: Mapping[str, int]) -> Html:
    """Build the page of one job. ``ends`` holds the ends of its first logs, ``calls`` its calls of AWS."""
    row = view.row
    own = job_url(view.service, row.name)
    parent = None
    if view.service == "emr" and row.parent:
        parent = element("a", row.parent, href=job_url("emr", row.parent))
    summary = facts(
        [
            ("state", state(row.state)),
            ("progress", _progress(view.progress)),
            ("id", row.name if row.name != view.name else None),
            ("belongs to", parent or row.parent),
            ("submitted", moment(row.created)),
            ("started", moment(view.started)),
            ("ended", moment(view.ended)),
            ("ran for", duration(view)),
            ("logs", [(element("a", log.name, href=log_url(own, log.name)), " ") for log in view.logs]),
        ]
    )
    return page(
        view.name,
        element("h1", view.name),
        element("p", view.title, class_="kind"),
        element("section", summary),
        _section("Reason", element("pre", view.reason) if view.reason else None),
        _section("Steps", _steps(view.steps)),
        _section("Log", [_short_log(own, log, piece) for log, piece in ends if piece.data]),
        _section("Metrics", _metrics(row, ends)),
        _section("States", _transitions(row.detail.get("transitions", []))),
        _section("AWS calls of this job", table(("operation", "calls"), sorted(calls.items()))),
        element("h2", "Request"),
        element("section", element("details", element("summary", "as it was sent"), _json(row.request))),
        refresh=not view.is_over,
    )


def log_page(view: ShownJob, here: LogFile, piece: LogChunk) -> Html:
    """Build the page of one log of a job. A script adds new lines; without scripts the page refreshes."""
    own = job_url(view.service, view.row.name)
    tabs = [
        element("a", log.name, href=log_url(own, log.name), class_="here" if log == here else "")
        for log in view.logs
    ] + [element("span", here.contents, class_="faint")]
    return live_log(
        f"Log of {view.name}", own, log_url(own, here.name, raw=True), tabs, piece, is_over=view.is_over
    )


def live_log(
    title: str, back: str, source: str, tabs: Sequence[Html], piece: LogChunk, *, is_over: bool
) -> Html:
    """Build the page of a growing log. ``source`` is the URL of its raw text."""
    cut = f"The first {piece.offset:,} bytes are not shown." if piece.offset else None
    start = {"id": "log", "class_": "log", "data_source": source, "data_next": str(piece.next)}
    reload = element("meta", http_equiv="refresh", content=str(REFRESH_SECONDS))
    return page(
        title,
        element("h1", title),
        element(
            "p", element("a", "back", href=back), " · ", element("a", "raw text", href=source), class_="kind"
        ),
        element("p", tabs, class_="tabs"),
        element("p", cut, class_="faint") if cut else None,
        element("pre", piece.text, **start),
        element("p", "The job has ended." if is_over else "", id="note", class_="faint"),
        None if is_over else element("noscript", reload),
        script=True,
    )


def not_found(what: str) -> Html:
    """Build the page for a URL that does not exist."""
    return page(
        "Not found",
        element("h1", "Not found"),
        element("p", what),
        element("p", element("a", "All jobs and services", href=f"{ROOT}/")),
    )


# ---- parts that pages share ---------------------------------------------------------------
def job_url(service: str, name: str) -> str:
    """Return the address of a job's page."""
    return f"{ROOT}/jobs/{quote(service, safe='')}/{quote(name, safe='')}"


def log_url(own: str, name: str, *, raw: bool = False) -> str:
    """Return the address of a log's page, or of its raw text, given the address of its owner."""
    return f"{own}/log/{quote(name, safe='')}{'/raw' if raw else ''}"


def service_url(name: str) -> str:
    """Return the address of a service's page; ``name`` is ``<cluster>/<service>``."""
    return f"{ROOT}/services/{quote(name, safe='/')}"


def state(text: str) -> Html:
    """Show a state in its colour."""
    return element("span", text, class_=f"state {tone(text)}")


def moment(seconds: float | None) -> Content:
    """Show a time in UTC to the second."""
    if seconds is None:
        return None
    shown = datetime.fromtimestamp(seconds, UTC)
    return element("time", shown.strftime("%Y-%m-%d %H:%M:%S UTC"), datetime=shown.isoformat())


def duration(view: ShownJob) -> str:
    """Show how long a job ran, or has run so far."""
    if view.started is None:
        return ""
    seconds = int((view.ended or time.time()) - view.started)
    hours, minutes = divmod(seconds // 60, 60)
    return (
        f"{hours} h {minutes} min"
        if hours
        else f"{minutes} min {seconds % 60} s"
        if minutes
        else f"{seconds} s"
    )


def _section(title: str, content: Content) -> Content:
    return [element("h2", title), element("section", content)] if content else None


def _service_row(service: Resource) -> Sequence[Content]:
    return (
        element("a", service.name, href=service_url(service.name)),
        state(service.state),
        service.request["desiredCount"],
        service.request["taskDefinition"],
    )


def _short_log(own: str, log: LogFile, piece: LogChunk) -> Content:
    lines = piece.text.splitlines()[-_SHORT_LOG_LINES:]
    more = element("a", f"All of {log.name}, live", href=log_url(own, log.name))
    about = f" ({log.contents})" if log.contents else None
    return [element("p", more, about), element("pre", "\n".join(lines), class_="log short")]


def _progress(progress: ReportedProgress | None) -> Content:
    if progress is None:
        return None
    bar = element("progress", value=str(progress.done), max=str(progress.total or 1))
    return [bar, " ", element("span", str(progress), class_="faint")]


def _steps(steps: Sequence[Resource]) -> Html:
    rows = [
        (
            element("a", step.request.get("Name", step.name), href=job_url("emr", step.name)),
            state(step.state),
            moment(step.created),
        )
        for step in steps
    ]
    return table(("step", "state", "submitted"), rows)


def _transitions(transitions: Sequence[dict[str, Any]]) -> Html:
    rows = [
        (state(entry["Status"]), moment(entry["StartTime"]), entry.get("StatusMessage", ""))
        for entry in transitions
    ]
    return table(("state", "since", "message"), rows)


def _metrics(row: Resource, ends: Sequence[tuple[LogFile, LogChunk]]) -> Content:
    last = table(
        ("metric", "last value", "at"),
        [(name, f"{value:g}", moment(when)) for name, (value, when) in row.detail.get("metrics", {}).items()],
    )
    return [curves(metric_values(row.request, ends[0][1].text)), last] if last else None


def _json(request: dict[str, Any]) -> Html:
    return element("pre", json.dumps(masked(request), indent=2, ensure_ascii=False))
