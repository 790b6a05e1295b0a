"""Addresses of the pages about jobs, their logs and services, as templates; by default of the AWS console."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from include.settings.checks import require

#: The kinds of jobs that have pages (``include.aws.job_states.JobKind``), and the EMR cluster.
KINDS = ("training", "processing", "emr_cluster", "emr_step", "emr_serverless", "glue")
_CONSOLE = "https://{region}.console.aws.amazon.com"
_JOBS = {
    "training": _CONSOLE + "/sagemaker/home?region={region}#/jobs/{name}",
    "processing": _CONSOLE + "/sagemaker/home?region={region}#/processing-jobs/{name}",
    "emr_cluster": _CONSOLE + "/emr/home?region={region}#/clusterDetails/{id}",
    "emr_step": _CONSOLE + "/emr/home?region={region}#/clusterDetails/{scope}",
    # EMR Serverless and Glue choose the ids of runs, so the page lists all runs
    "emr_serverless": _CONSOLE + "/emr/home?region={region}#/serverless",
    "glue": _CONSOLE + "/gluestudio/home?region={region}#/editor/job/{scope}/runs",
}
_STREAMS = _CONSOLE + "/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{log_group}{log_filter}"
_FILES = _CONSOLE + "/s3/buckets/{log_bucket}?prefix={log_prefix}"
_LOGS = {
    "training": _STREAMS,
    "processing": _STREAMS,
    "emr_cluster": _FILES,
    "emr_step": _FILES,
    "emr_serverless": _FILES,
    "glue": _STREAMS,
}
_SERVICE = _CONSOLE + "/ecs/v2/clusters/{cluster}/services/{service}/deployments"
_JOB_WORDS = ("region", "name", "scope", "id")
_LOG_WORDS = (*_JOB_WORDS, "log_group", "log_filter", "log_bucket", "log_prefix")
_SERVICE_WORDS = ("region", "cluster", "service")


@dataclass(frozen=True)
class LinkSettings:
    """Templates of addresses: of a job and of its log by the job's kind, and of the ECS service.

    ``{name}`` is the job's name, ``{id}`` the id that its service gave it, ``{scope}`` its cluster,
    application or definition. A kind that is left out has the page of the AWS console.
    """

    #: Page of a job, by its kind; a kind that is left out has the page of the AWS console.
    job: dict[str, str] = field(default_factory=dict)
    #: Page of a job's log, by the job's kind; as above.
    log: dict[str, str] = field(default_factory=dict)
    #: Page of the ECS service.
    service: str = _SERVICE

    def __post_init__(self) -> None:
        for family, words in (("job", _JOB_WORDS), ("log", _LOG_WORDS)):
            for kind, template in getattr(self, family).items():
                known = kind in KINDS
                require(known, f"links.{family}.{kind}", f"one of {', '.join(KINDS)}", kind)
                _check(f"links.{family}.{kind}", template, words)
        _check("links.service", self.service, _SERVICE_WORDS)

    def job_url(self, kind: str, **words: str) -> str:
        """Return the address of a job's page."""
        return self.job.get(kind, _JOBS[kind]).format_map(_quoted(words))

    def log_url(self, kind: str, *, log_group: str = "", log_prefix: str = "", **words: str) -> str:
        """Return the address of a job's log.

        :param log_group: group in CloudWatch, whose streams begin with ``log_prefix``
        """
        encoded = quote(log_group, safe="").replace("%", "$25")
        log_filter = f"$3FlogStreamNameFilter$3D{quote(log_prefix)}" if log_prefix else ""
        known = _quoted(words | {"log_prefix": log_prefix})
        return self.log.get(kind, _LOGS[kind]).format_map(
            known | {"log_group": encoded, "log_filter": log_filter}
        )

    def service_url(self, **words: str) -> str:
        """Return the address of the page of an ECS service."""
        return self.service.format_map(_quoted(words))


def _quoted(words: Mapping[str, str]) -> dict[str, str]:
    return {word: quote(value) for word, value in words.items()}


def _check(name: str, template: str, words: tuple[str, ...]) -> None:
    """Raise SettingsError unless the template is a URL with known placeholders only."""
    try:
        filled = template.format_map(dict.fromkeys(words, "x"))
    except (KeyError, ValueError, IndexError) as error:
        filled = f"a template that cannot be filled ({error!r})"
    expected = f"an address http(s)://… with words of {', '.join(f'{{{word}}}' for word in words)}"
    require(filled.startswith(("http://", "https://")), name, expected, template)
