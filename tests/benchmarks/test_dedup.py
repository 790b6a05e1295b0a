from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.corpus import dedup
from benchmarks.corpus.dedup import Measured, line, measure, table

OURS = Measured(10.0, 18.0, 2**30, {"job": "build_corpus", "documents_kept": 5, "seconds": 9.5})


def test_a_process_is_measured_whole_with_its_children_and_its_last_line_of_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    child = "x = bytearray(120_000_000); import time; time.sleep(1.2)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{child}'])"
    program = f"import json; print(json.dumps(dict(kept=3))); {parent}"
    measured = measure([sys.executable, "-c", program])
    assert measured.seconds >= 1.2
    assert measured.peak_bytes > 120_000_000
    assert measured.said == {"kept": 3}
    assert '{"kept": 3}' in capsys.readouterr().out


def test_the_processor_time_is_that_of_the_process_and_its_children() -> None:
    child = "import time; end = time.process_time() + 0.6\nwhile time.process_time() < end: pass"
    program = (
        f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {child!r}]); time.sleep(1)"
    )
    measured = measure([sys.executable, "-c", program])
    assert 0.6 <= measured.cpu_seconds < measured.seconds


def test_the_processor_time_of_processes_that_outlive_their_parent_is_counted() -> None:
    spin = "import time; end = time.process_time() + 0.6\nwhile time.process_time() < end: pass"
    start = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {spin!r}])"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {start!r}])"
    assert measure([sys.executable, "-c", program]).cpu_seconds >= 0.6


def test_the_line_is_that_of_build_corpus_with_what_it_is_compared_with() -> None:
    peer = Measured(150.0, 290.5, 3 * 2**30, {"kept": 6})
    assert line(OURS, {"peer": peer}) == {
        "job": "build_corpus",
        "documents_kept": 5,
        "seconds": 9.5,
        "process_seconds": 10.0,
        "cpu_seconds": 18.0,
        "peak_bytes": 2**30,
        "peer": {
            "kept": 6,
            "process_seconds": 150.0,
            "cpu_seconds": 290.5,
            "peak_bytes": 3 * 2**30,
            "ratio": 15.0,
        },
    }
    assert table(OURS, {"peer": peer}).splitlines()[-1].split() == ["peer", "150.0", "290.5", "3.00", "15.00"]


def test_a_process_that_fails_ends_the_benchmark_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(command: list[str]) -> Measured:
        return (
            OURS
            if {"spark_jobs.jobs.build_corpus", "benchmarks.corpus.spark_alone"} & set(command)
            else measure(command)
        )

    monkeypatch.setattr(dedup, "measure", measured)
    peer = f"{sys.executable} -c 'import sys; sys.exit(3)'"
    arguments = ["--input", "shards", "--output", str(tmp_path / "out"), "--peer", peer]
    assert dedup.main(arguments) == 1
    assert "ended 3" in capsys.readouterr().err
    assert dedup.main([*arguments[:4], "--peer", f"{sys.executable} -c 'print(1)'"]) == 0
    assert set(json.loads(capsys.readouterr().out.splitlines()[-1])) >= {
        "peer",
        "spark_alone",
        "documents_kept",
    }
