"""Starting, stopping and looking at the local system, with processes that are given."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from local_stack import __main__ as command
from local_stack import stack as module
from local_stack.airflow import COMPONENTS
from local_stack.config import StackConfig
from local_stack.processes import ProcessFailed, ProcessRecord
from local_stack.stack import Stack

ALL = ("local_aws", *COMPONENTS)


class System:
    """A stack whose processes are only recorded, with given pages and a clock that only sleeping moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._patch = monkeypatch.setattr
        self.alive: dict[str, bool] = {}
        self.migration = 0
        self.pages: dict[str, list[Any]] = {}
        self.done: list[str] = []
        self.now = 0.0
        self.stack = Stack(StackConfig(folder, folder / "state", 4001, 4002, 4003))
        self._patch(ProcessRecord, "alive", property(lambda record: self.alive[record.name]))
        self._patch(self.stack.book, "records", lambda: [self.record(name) for name in self.alive])
        self._patch(self.stack.book, "start", self._start)
        self._patch(self.stack.book, "stop_all", self._stop_all)
        self._patch(module, "end_leftovers", lambda _: 0)
        self._patch(module, "load_settings", lambda _: None)
        for name in ("package_and_upload", "write_settings", "provision"):
            self._patch(module, name, lambda *_, name=name: self.done.append(name))
        self._patch(module, "child", self._child)
        self._patch(httpx, "get", self._get)
        self._patch(module, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=self._sleep))
        self._patch(StackConfig, "require_free_ports", lambda _: self.done.append("ports"))

    def record(self, name: str) -> ProcessRecord:
        return ProcessRecord(name, 1, 1, str(self.stack.config.logs / f"{name}.log"))

    def answer(self, path: str, *answers: Any) -> None:
        """Give these answers one by one, the last for good: a status, a health page, or 0 for no answer."""
        self.pages[path] = list(answers)

    def _start(self, name: str, *_: Any) -> ProcessRecord:
        self.done.append(f"start {name}")
        self.alive.setdefault(name, True)
        return self.record(name)

    def _stop_all(self) -> list[str]:
        self.done.append("stop all")
        ended = [name for name, alive in self.alive.items() if alive]
        self.alive.clear()
        return ended

    def _child(self, *_: Any, **__: Any) -> Any:
        return nullcontext(SimpleNamespace(communicate=lambda: ("why", None), returncode=self.migration))

    def _get(self, url: str, timeout: float) -> httpx.Response:
        answers = self.pages.get(httpx.URL(url).path, [200])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer == 0:
            raise httpx.ConnectError("refused")
        return httpx.Response(answer) if isinstance(answer, int) else httpx.Response(200, json=answer)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds


HEALTHY = {name: {"status": "healthy"} for name in ("scheduler", "triggerer", "dag_processor")}
HEALTH, VERSION, STATUS = "/api/v2/monitor/health", "/api/v2/version", "/_local/status"


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> System:
    made = System(monkeypatch, tmp_path)
    made.answer(HEALTH, HEALTHY)
    return made


def test_up_starts_everything_in_order_and_returns_when_it_is_healthy(system: System) -> None:
    system.answer(STATUS, 0, 503, 200)
    system.answer(HEALTH, 0, {**HEALTHY, "triggerer": {"status": "unhealthy"}}, HEALTHY)
    said: list[str] = []
    system.stack.up(said.append)
    starts = [f"start {name}" for name in COMPONENTS]
    assert system.done == ["stop all", "ports", "write_settings", "start local_aws", "provision", *starts]
    assert said == ["local AWS on http://127.0.0.1:4001", "Airflow on http://127.0.0.1:4002"]
    assert system.now == pytest.approx(2 * 0.2 + 2 * 0.3)
    assert system.stack.config.state.stat().st_mode & 0o777 == 0o700


def test_a_system_that_runs_gets_the_code_of_the_jobs_and_is_left_alone(system: System) -> None:
    system.alive = dict.fromkeys(ALL, True)
    said: list[str] = []
    system.stack.up(said.append)
    assert (system.done, said) == (["package_and_upload"], ["already running"])


def test_a_part_of_a_system_is_ended_before_the_start(system: System) -> None:
    system.alive = dict.fromkeys(ALL, True) | {"scheduler": False}
    said: list[str] = []
    system.stack.up(said.append)
    assert "only a part" in said[0]
    assert "triggerer" in said[0] and "scheduler" not in said[0]
    assert system.done[0] == "stop all"
    assert "start scheduler" in system.done


@pytest.mark.parametrize(
    ("page", "seconds", "message"),
    [(STATUS, 30, "local_aws does not answer"), (VERSION, 120, "api-server does not answer")],
)
def test_a_part_that_does_not_answer_is_an_error_and_everything_ends(
    system: System, page: str, seconds: int, message: str
) -> None:
    system.answer(page, 0)
    with pytest.raises(ProcessFailed, match=rf"{message}.*in {seconds} s"):
        system.stack.up(lambda _: None)
    assert seconds <= system.now < seconds + 1
    assert system.done[-1] == "stop all"


def test_unhealthy_parts_are_named_after_the_limit(system: System) -> None:
    system.answer(
        HEALTH, {**HEALTHY, "triggerer": {"status": None}, "dag_processor": {"status": "unhealthy"}}
    )
    with pytest.raises(ProcessFailed, match=r"within 90 s \(dag_processor, triggerer\)"):
        system.stack.up(lambda _: None)
    assert 90 <= system.now < 91


def test_an_empty_health_page_is_not_healthy(system: System) -> None:
    system.answer(HEALTH, {}, HEALTHY)
    system.stack.up(lambda _: None)
    assert system.now == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("name", "page"), [("local_aws", STATUS), ("api-server", VERSION), ("triggerer", HEALTH)]
)
def test_a_part_that_ends_at_its_start_is_an_error_with_the_end_of_its_log(
    system: System, name: str, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.stack.config.logs.mkdir(parents=True)
    log = Path(system.record(name).log)
    log.write_text("a" * 5000 + "the last words")
    start = system.stack.book.start

    def dead(started: str, *rest: Any) -> ProcessRecord:
        record = start(started, *rest)
        system.alive[started] = started != name
        return record

    monkeypatch.setattr(system.stack.book, "start", dead)
    system.answer(page, 0)
    with pytest.raises(ProcessFailed, match=f"{name} ended at start.*the last words") as failure:
        system.stack.up(lambda _: None)
    assert str(failure.value).count("a" * 1400) == 1
    assert "a" * 1501 not in str(failure.value)
    assert system.now == 0.0


def test_a_failed_migration_is_an_error_with_its_output(system: System) -> None:
    system.migration = 1
    with pytest.raises(ProcessFailed, match=r"`airflow db migrate` failed.*why"):
        system.stack.up(lambda _: None)
    assert system.done[-1] == "stop all"
    assert "start scheduler" not in system.done


def test_down_names_what_it_stopped(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    system.alive = {"local_aws": True, "scheduler": False}
    said: list[str] = []
    system.stack.down(said.append)
    assert said == ["stopped local_aws"]
    monkeypatch.setattr(module, "end_leftovers", lambda _: 2)
    system.stack.down(said.append)
    assert said[1:] == ["stopped 2 processes of jobs that a killed local_aws left behind"]


def test_the_status_has_every_part(system: System) -> None:
    system.alive = {"local_aws": True, "scheduler": False}
    assert system.stack.status() == dict.fromkeys(ALL, False) | {"local_aws": True}


class Given:
    """The stack of the command line, with each action recorded."""

    called: list[str] = []

    def __init__(self, config: StackConfig) -> None:
        self.called.clear()

    def up(self) -> None:
        self.called.append("up")

    def down(self) -> None:
        self.called.append("down")

    def status(self) -> dict[str, bool]:
        return {"local_aws": True, "scheduler": False}


@pytest.mark.parametrize(
    ("action", "called", "shown"),
    [
        ("up", ["up"], ["Airflow:", "/_local/ui/", "AWS:", "Model:", "make down"]),
        ("down", ["down"], []),
        ("status", [], ["local_aws      running\n", "scheduler      stopped\n", "make up"]),
    ],
)
def test_each_action_of_the_command_does_its_own(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    action: str,
    called: list[str],
    shown: list[str],
) -> None:
    monkeypatch.setattr(command, "Stack", Given)
    assert command.main([action]) == 0
    assert Given.called == called
    out = capsys.readouterr().out
    assert all(text in out for text in shown)
    assert bool(out) == bool(shown)


def test_the_status_of_a_whole_system_ends_with_its_addresses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "Stack", Given)
    monkeypatch.setattr(Given, "status", lambda _: dict.fromkeys(ALL, True))
    assert command.main(["status"]) == 0
    out = capsys.readouterr().out
    config = StackConfig.from_environment()
    assert all(url in out for url in (config.airflow_url, f"{config.aws_endpoint}/_local/ui/"))
    assert "make up" not in out


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ProcessFailed("it broke"), 1, "error: it broke"),
        (KeyboardInterrupt(), 130, "interrupted; every process that was started has been stopped"),
    ],
)
def test_a_failed_or_interrupted_action_gives_its_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    message: str,
) -> None:
    def fail(_: Any) -> None:
        raise error

    monkeypatch.setattr(command, "Stack", Given)
    monkeypatch.setattr(Given, "up", fail)
    assert command.main(["up"]) == code
    assert message in capsys.readouterr().err
