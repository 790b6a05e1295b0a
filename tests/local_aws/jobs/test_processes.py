"""Job processes: private /opt/ml, forwarded SIGTERM, nothing left behind, found by pid and start time."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local_aws.jobs.processes import Exit, JobProcess, Spec, kill_marked, marked
from tests.support.waiting import wait_until


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[str]:
    name = f"test-{os.getpid()}-{tmp_path.name}:"
    yield name
    kill_marked(name)


def python(code: str, marker: str, tmp_path: Path, **more: object) -> Spec:
    environment = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"}
    spec = Spec([sys.executable, "-c", code], environment, str(tmp_path), marker)
    return replace(spec, **more)  # type: ignore[arg-type]


def wait(process: JobProcess) -> Exit:
    end = wait_until(process.exit, lambda end: end is not None)
    assert end is not None
    return end


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_status_outlives_the_process(marker: str, tmp_path: Path, code: int) -> None:
    process = JobProcess.start(python(f"raise SystemExit({code})", marker, tmp_path), tmp_path / "p")
    assert wait(process).code == code
    # another process of local_aws would read it just so
    assert JobProcess.load(process.row()).exit() == process.exit()


def test_two_jobs_see_their_own_opt_ml_and_the_machine_sees_neither(marker: str, tmp_path: Path) -> None:
    before = sorted(p.name for p in Path("/opt").iterdir()) if Path("/opt").is_dir() else []
    code = "import os; root = os.environ.get('NEXUS_ML_ROOT', '/opt/ml'); print(open(root + '/who').read())"
    processes = []
    for name in ("one", "two"):
        ml = tmp_path / name / "ml"
        ml.mkdir(parents=True)
        (ml / "who").write_text(name)
        spec = python(
            code, f"{marker}{name}", tmp_path,
            mounts=[(str(ml), "/opt/ml")], without_mounts={"NEXUS_ML_ROOT": str(ml)},
        )  # fmt: skip
        processes.append(JobProcess.start(spec, tmp_path / name))
    assert [wait(p).code for p in processes] == [0, 0]
    assert [p.output.read_text().strip() for p in processes] == ["one", "two"]
    assert (sorted(p.name for p in Path("/opt").iterdir()) if Path("/opt").is_dir() else []) == before


def test_sigterm_reaches_the_job_which_may_end_in_its_own_way(marker: str, tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\nprint('ready')\ntime.sleep(60)"
    )
    process = JobProcess.start(python(code, marker, tmp_path), tmp_path / "p")
    wait_until(process.output.read_text, lambda text: "ready" in text)
    process.terminate()
    assert wait(process).code == 7


def test_what_a_job_leaves_behind_ends_with_it_even_in_its_own_session(marker: str, tmp_path: Path) -> None:
    code = "import subprocess; subprocess.Popen(['sleep', '60'], start_new_session=True)"
    process = JobProcess.start(python(code, marker, tmp_path), tmp_path / "p")
    assert wait(process).code == 0
    wait_until(lambda: marked(marker), lambda pids: not pids)


def test_kill_ends_the_whole_job_and_says_so(marker: str, tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen(['sleep', '60'], start_new_session=True)\nprint('ready')\ntime.sleep(60)"
    )
    process = JobProcess.start(python(code, marker, tmp_path), tmp_path / "p")
    wait_until(process.output.read_text, lambda text: "ready" in text)
    process.kill()
    assert not marked(marker)
    assert wait(process).signal == signal.SIGKILL


def test_a_process_that_vanished_without_a_status_is_noticed(marker: str, tmp_path: Path) -> None:
    process = JobProcess.start(python("import time; time.sleep(60)", marker, tmp_path), tmp_path / "p")
    kill_marked(marker)
    assert wait(process).code == -1


def test_another_process_with_the_same_pid_is_not_taken_for_the_job(marker: str, tmp_path: Path) -> None:
    process = JobProcess.start(python("import time; time.sleep(60)", marker, tmp_path), tmp_path / "p")
    assert process.alive()
    assert not replace(process, start_time=process.start_time - 1).alive()


def test_a_command_that_does_not_exist_is_code_127_with_its_name_in_the_output(
    marker: str, tmp_path: Path
) -> None:
    spec = Spec(["no-such-program"], {"PATH": "/usr/bin"}, str(tmp_path), marker)
    process = JobProcess.start(spec, tmp_path / "p")
    assert wait(process).code == 127
    assert "no-such-program" in process.last_lines()


def test_a_process_without_the_marker_in_its_environment_is_ended_with_its_job(
    marker: str, tmp_path: Path
) -> None:
    """A process that is just being executed shows no environment, and one may also clear it."""
    pid_file = tmp_path / "pid"
    clears = ["sh", "-c", f"echo $$ > {pid_file}; exec env -i /bin/sleep 601"]
    JobProcess.start(Spec(clears, {"PATH": os.environ["PATH"]}, str(tmp_path), marker), tmp_path / "p")
    pid = int(wait_until(lambda: pid_file.read_text().strip() if pid_file.exists() else ""))
    wait_until(lambda: Path(f"/proc/{pid}/environ").read_bytes() == b"")
    kill_marked(marker)
    assert ends(pid)


def test_a_process_can_be_found_by_its_marker_as_soon_as_it_is_started(tmp_path: Path) -> None:
    for number in range(40):
        marker = f"at-once-{os.getpid()}-{number}:"
        spec = Spec(["/bin/sleep", "600"], {"PATH": os.environ["PATH"]}, str(tmp_path), marker)
        process = JobProcess.start(spec, tmp_path / str(number))
        environment = Path(f"/proc/{process.pid}/environ").read_bytes()
        kill_marked(marker)
        assert marker.encode() in environment


def ends(pid: int) -> bool:
    """Tell whether a process has ended; kill it if it has not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    if state not in "ZX":
        os.kill(pid, signal.SIGKILL)
    return state in "ZX"


@pytest.mark.parametrize("count", [3, 300, 3000])
def test_the_last_lines_are_those_at_the_end_of_its_output(tmp_path: Path, count: int) -> None:
    process = JobProcess(0, 0, str(tmp_path), "")
    assert process.last_lines() == ""
    lines = [f"line {number:06d}" for number in range(count)]
    process.output.write_text("\n".join(lines) + "\n")
    assert process.last_lines() == "\n".join(lines[-20:])
    assert process.last_lines(2) == "\n".join(lines[-2:])


@pytest.mark.parametrize("size", [16383, 16385, 20000, 50000])
def test_at_most_sixteen_kibibytes_are_read_for_the_last_lines(tmp_path: Path, size: int) -> None:
    process = JobProcess(0, 0, str(tmp_path), "")
    process.output.write_text("x" * size)
    assert len(process.last_lines()) == min(size, 16384)
