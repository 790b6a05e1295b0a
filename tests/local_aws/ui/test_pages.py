"""The web pages of jobs, logs and services: what they show, and that nothing on them can be run."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_aws.ui.curves import curves
from local_aws.ui.html import element, facts, table
from local_aws.ui.logs import since, tail
from tests.local_aws.conftest import LocalAws
from tests.local_aws.elbv2.worlds import IMAGE, images
from tests.local_aws.sagemaker.conftest import training_request
from tests.support.waiting import wait_until

HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>&\"'"
INSTANCES = {
    "KeepJobFlowAliveWhenNoSteps": True,
    "InstanceGroups": [{"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}],
}


class Parsed(HTMLParser):
    """The elements, the attributes and the text of a page, as a browser would read them."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def links(self) -> list[str]:
        return [str(attributes.get("href")) for tag, attributes in self.elements if tag == "a"]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str

    @property
    def page(self) -> Parsed:
        return Parsed(self.body)


def get(server: LocalAws, path: str, method: str = "GET", **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    found = Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode())
    connection.close()
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    folder = tmp_path_factory.mktemp("pages")
    started = LocalAws(folder / "aws", "--images", str(images(folder)))
    started.start()
    started.client("s3").create_bucket(Bucket="jobs")
    yield started
    started.end()


@pytest.fixture(scope="module")
def step(server: LocalAws) -> Callable[..., tuple[str, str]]:
    """Start a step on a cluster of its own; gives the ids of both."""
    emr = server.client("emr")

    def start(name: str, *arguments: str) -> tuple[str, str]:
        jar = {"Jar": "command-runner.jar", "Args": list(arguments)}
        steps = [{"Name": name, "HadoopJarStep": jar}]
        cluster = emr.run_job_flow(Name=f"c {name}", Instances=INSTANCES, Steps=steps)["JobFlowId"]
        return cluster, emr.list_steps(ClusterId=cluster)["Steps"][0]["Id"]

    return start


def ended(server: LocalAws, url: str) -> Answer:
    return wait_until(lambda: get(server, url), lambda answer: 'http-equiv="refresh"' not in answer.body)


def test_a_step_shows_its_state_reason_log_and_request(
    server: LocalAws, step: Callable[..., tuple[str, str]]
) -> None:
    cluster, name = step("breaks", "sh", "-c", "echo out; echo first words >&2; exit 7")
    url = f"/_local/ui/jobs/emr/{name}"
    shown = ended(server, url)
    assert shown.headers["content-type"] == "text/html; charset=utf-8"
    for word in ("breaks", "EMR step", "FAILED", "exited with code 7", "first words", "command-runner.jar"):
        assert word in shown.page.text
    assert "first words" in get(server, f"{url}/log").page.text  # the log with the error
    assert f"/_local/ui/jobs/emr/{cluster}" in shown.page.links()
    assert "out\n" in get(server, f"{url}/log/stdout").page.text
    of_cluster = get(server, f"/_local/ui/jobs/emr/{cluster}").page
    assert url in of_cluster.links() and "c breaks" in of_cluster.text
    index = get(server, "/_local/ui/").page
    assert url in index.links() and f"/_local/ui/jobs/emr/{cluster}" in index.links()


def test_a_step_that_runs_shows_its_progress_and_first_its_output(
    server: LocalAws, step: Callable[..., tuple[str, str]], tmp_path: Path
) -> None:
    end = tmp_path / "end"
    said = "progress: read 1/9 parts\\nprogress: read 1200/3000 parts\\nmore\\n"
    script = f"printf '{said}'; echo noise >&2; until [ -e {end} ]; do sleep 0.1; done"
    _, name = step("works", "sh", "-c", script)
    url = f"/_local/ui/jobs/emr/{name}"
    shown = wait_until(lambda: get(server, url).page, lambda page: "1,200 / 3,000 parts" in page.text)
    bars = [attributes for tag, attributes in shown.elements if tag == "progress"]
    assert bars == [{"value": "1200", "max": "3000"}]
    assert "read 1,200 / 3,000 parts" in get(server, "/_local/ui/").page.text
    assert shown.text.index("All of stdout") < shown.text.index("All of stderr")
    assert "more" in get(server, f"{url}/log").page.text
    end.touch()
    assert "<progress" not in ended(server, url).body


def test_a_training_job_shows_states_metrics_and_a_log_of_each_host(server: LocalAws) -> None:
    request = training_request("shown", "print('loss=2.5', flush=True)")
    request["AlgorithmSpecification"] |= {
        "TrainingImage": IMAGE,
        "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}],
    }
    request["ResourceConfig"]["InstanceCount"] = 2
    request["Environment"] = {"HF_TOKEN": "hf_secret", "EPOCHS": "3"}
    server.client("sagemaker").create_training_job(**request)
    shown = ended(server, "/_local/ui/jobs/sagemaker/shown").page
    for word in ("Completed", "Downloading", "loss", "2.5", "EPOCHS"):
        assert word in shown.text
    assert "hf_secret" not in shown.text and "HF_TOKEN" in shown.text
    for host in ("algo-1", "algo-2"):
        assert "loss=2.5" in get(server, f"/_local/ui/jobs/sagemaker/shown/log/{host}").page.text


def test_a_training_job_shows_its_metrics_as_curves(server: LocalAws) -> None:
    said = "".join(f"print('loss={loss} rate=1', flush=True);" for loss in ("4", "nan", "2.5", "3"))
    request = training_request("drawn", said)
    request["AlgorithmSpecification"] |= {
        "TrainingImage": IMAGE,
        "MetricDefinitions": [
            {"Name": "loss", "Regex": "loss=([0-9.a-z]+)"},
            {"Name": "rate", "Regex": "rate=([0-9.]+)"},
            {"Name": "absent", "Regex": "never=([0-9.]+)"},
        ],
    }
    server.client("sagemaker").create_training_job(**request)
    page = ended(server, "/_local/ui/jobs/sagemaker/drawn").page
    drawn = [attributes["points"] for tag, attributes in page.elements if tag == "polyline"]
    assert drawn == ["0.0,4.0 150.0,76.0 300.0,52.0", "0.0,76.0 100.0,76.0 200.0,76.0 300.0,76.0"]
    assert "first 4 · lowest 2.5 · highest 4 · last 3" in page.text
    assert page.text.count("absent") == 1  # in the request alone


def test_a_long_curve_has_few_points_and_keeps_its_ends() -> None:
    page = Parsed(curves({"loss": [float(10_000 - n) for n in range(10_000)]}))
    (points,) = (str(attributes["points"]).split() for tag, attributes in page.elements if tag == "polyline")
    assert len(points) <= 401
    assert (points[0], points[-1]) == ("0.0,4.0", "300.0,76.0")


def test_nothing_that_a_job_writes_or_is_called_becomes_markup(
    server: LocalAws, step: Callable[..., tuple[str, str]]
) -> None:
    cluster, name = step(HOSTILE, "sh", "-c", 'echo "$0"; echo "$0" >&2; exit 1', HOSTILE)
    url = f"/_local/ui/jobs/emr/{name}"
    ended(server, url)
    for path in (url, f"{url}/log", f"{url}/log/stdout", f"/_local/ui/jobs/emr/{cluster}", "/_local/ui/"):
        answer = get(server, path)
        assert HOSTILE in answer.page.text, path
        scripts = [attributes for tag, attributes in answer.page.elements if tag == "script"]
        assert all(list(attributes) == ["src"] for attributes in scripts)
        assert not [tag for tag, _ in answer.page.elements if tag == "img"]
        assert not [a for _, attributes in answer.page.elements for a in attributes if a.startswith("on")]
        policy = answer.headers["content-security-policy"]
        assert (
            "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        )
    raw = get(server, f"{url}/log/stdout/raw")
    assert raw.headers["content-type"] == "text/plain; charset=utf-8"
    assert raw.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        *("nothing", "jobs", "jobs/emr", "jobs/emr/s-none", "jobs/s3/x", "jobs/emr/..%2f..%2fjobs.sqlite"),
        *("services/c/none", "jobs/<script>alert(1)</script>/x"),
    ],
)
def test_an_address_that_names_nothing_is_a_404_that_says_so(server: LocalAws, path: str) -> None:
    answer = get(server, f"/_local/ui/{path.replace('<', '%3C').replace('>', '%3E')}")
    assert answer.status == 404 and "Not found" in answer.page.text
    assert "script" not in [tag for tag, _ in answer.page.elements]


@pytest.mark.parametrize(
    "log", ["..", "spec.json", "scratch", "%2e%2e%2fjobs.sqlite", "stdout/x", "stdout/raw/x"]
)
def test_only_the_logs_of_a_job_can_be_read(
    server: LocalAws, step: Callable[..., tuple[str, str]], log: str
) -> None:
    _, name = step("reads", "true")
    assert get(server, f"/_local/ui/jobs/emr/{name}/log/{log}").status == 404


def test_a_log_grows_while_the_job_runs(
    server: LocalAws, step: Callable[..., tuple[str, str]], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    script = 'echo one; while [ ! -e "$0" ]; do sleep 0.05; done; echo two'
    _, name = step("grows", "sh", "-c", script, str(gate))
    raw = f"/_local/ui/jobs/emr/{name}/log/stdout/raw"
    first = wait_until(lambda: get(server, f"{raw}?offset=0"), lambda answer: answer.body == "one\n")
    assert (first.headers["x-next-offset"], first.headers["x-job-over"]) == ("4", "false")
    assert 'data-next="4"' in get(server, f"/_local/ui/jobs/emr/{name}/log/stdout").body
    gate.touch()
    rest = wait_until(
        lambda: get(server, f"{raw}?offset=4"), lambda answer: answer.headers["x-job-over"] == "true"
    )
    assert rest.body == "two\n"
    assert get(server, f"{raw}?offset=x").status == 400


def test_a_service_shows_deployments_tasks_logs_and_events(server: LocalAws, tmp_path: Path) -> None:
    ecs = server.client("ecs")
    ecs.create_cluster(clusterName="pages")
    code = "import time\nprint('serving <b>', flush=True)\ntime.sleep(600)"
    container = {"name": "main", "image": IMAGE, "command": ["python", "-c", code]}
    ecs.register_task_definition(family="shown", containerDefinitions=[container])
    ecs.create_service(cluster="pages", serviceName="web", taskDefinition="shown", desiredCount=1)
    url = "/_local/ui/services/pages/web"
    shown = wait_until(lambda: get(server, url).page, lambda page: "COMPLETED" in page.text)
    for word in ("pages/web", "shown:1", "1 running", "SUCCESSFUL", "RUNNING", "steady state"):
        assert word in shown.text
    (log,) = [link for link in shown.links() if link.endswith("/log/main")]
    page = wait_until(lambda: get(server, log).page, lambda page: "serving <b>" in page.text)
    assert "b" not in [tag for tag, _ in page.elements]
    assert "serving <b>" in get(server, f"{log}/raw").body
    assert url in get(server, "/_local/ui/").page.links()
    ecs.delete_service(cluster="pages", service="web", force=True)


def test_the_pages_change_nothing_and_say_so(server: LocalAws) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert get(server, "/_local/ui/", method).status == 405
    assert get(server, "/_local/ui/", "HEAD").body == ""


def test_a_browser_that_opens_the_endpoint_is_sent_to_the_pages(server: LocalAws) -> None:
    answer = get(server, "/", Accept="text/html,application/xhtml+xml")
    assert (answer.status, answer.headers["location"]) == (302, "/_local/ui/")
    assert get(server, "/", Accept="*/*").status == 403  # an AWS client that does not sign


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        # a link from Airflow, opened as localhost
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}, 200),
        ({"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}, 200),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "cors", "Origin": "http://evil.example"}, 403),
        ({"Host": "evil.example"}, 403),
    ],
)
def test_another_site_may_link_to_a_page_and_do_no_more(
    server: LocalAws, headers: dict[str, str], status: int
) -> None:
    assert get(server, "/_local/ui/", **headers).status == status
    linked = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert get(server, "/_local/status", **linked).status == 403


@settings(max_examples=200, deadline=None)
@given(st.text(), st.text(), st.text())
def test_any_text_comes_back_as_the_text_that_it_is(one: str, two: str, three: str) -> None:
    page = element("p", one, [two, None], facts([("name", three)]), table(["h"], [[one]]), title=two)
    parsed = Parsed(page)
    # HTML has no NUL and one kind of line end
    shown = [text.replace("\r\n", "\n").replace("\r", "\n") for text in (one, two, three)]
    tags = [tag for tag, _ in parsed.elements]
    assert set(tags) <= {"p", "dl", "dt", "dd", "div", "table", "thead", "tbody", "tr", "th", "td"}
    assert parsed.text.replace("\r\n", "\n").replace("\r", "\n").startswith(shown[0] + shown[1])


@settings(max_examples=60, deadline=None)
@given(lines=st.lists(st.binary(max_size=40), max_size=30), limit=st.integers(1, 200))
def test_a_tail_and_what_follows_it_are_the_end_of_the_log(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], limit: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    content = b"".join(line + b"\n" for line in lines)
    path.write_bytes(content)
    piece = tail(path, limit)
    assert content[piece.offset :] == piece.data and piece.next == len(content)
    with path.open("ab") as file:
        file.write(b"more")
    assert since(path, piece.next).data == b"more"
    path.write_bytes(b"again\n")
    assert since(path, 10_000).data == b"again\n"


def test_a_log_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert tail(tmp_path / "none").data == since(tmp_path / "none", 5).data == b""


def test_many_jobs_do_not_slow_the_index_down(server: LocalAws) -> None:
    emr = server.client("emr")
    jar = {"Jar": "command-runner.jar", "Args": ["true"]}
    steps = [{"Name": f"n{n}", "HadoopJarStep": jar} for n in range(150)]
    cluster = emr.run_job_flow(Name="many", Instances=INSTANCES, Steps=steps)["JobFlowId"]
    emr.terminate_job_flows(JobFlowIds=[cluster])
    began = time.monotonic()
    answer = get(server, "/_local/ui/")
    assert time.monotonic() - began < 5
    assert answer.body.count("<tr>") <= 310 and json.dumps(cluster)[1:-1] in answer.body
