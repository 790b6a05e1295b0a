"""The progress display of the demo."""

from __future__ import annotations

import io
import os
from pathlib import Path

from rich.console import Console

from demo.progress import Display, JobProgress, last_progress, running_logs


def test_the_newest_progress_line_of_a_log_counts(tmp_path: Path) -> None:
    log = tmp_path / "stdout"
    log.write_text("noise\nprogress: read 1/8 shards\nloss=3\nprogress: near dedup 40/120 documents\nnoise\n")
    assert last_progress(log) == JobProgress("near dedup", 40, 120, "documents")


def test_a_log_without_progress_gives_none(tmp_path: Path) -> None:
    log = tmp_path / "stdout"
    log.write_text("a line that only mentions progress: soon\n")
    assert last_progress(log) is None


def test_only_the_end_of_a_long_log_is_read(tmp_path: Path) -> None:
    log = tmp_path / "stdout"
    log.write_text("progress: old 1/2 steps\n" + "x" * 100_000 + "\nprogress: new 2/2 steps\n")
    assert last_progress(log) == JobProgress("new", 2, 2, "steps")


def test_logs_of_jobs_that_have_ended_or_are_older_are_left_out(tmp_path: Path) -> None:
    logs = [tmp_path / job / name for job in ("old", "ended", "runs") for name in ("stdout", "output.log")]
    for log in [*logs, tmp_path / "runs" / "stderr"]:
        log.parent.mkdir(exist_ok=True)
        log.touch()
        os.utime(log, (9, 9) if log.parent.name == "old" else (11, 11))
    (tmp_path / "ended" / "exit.json").touch()
    assert set(running_logs(tmp_path, since=10)) == set(logs[4:])


def test_a_line_of_a_change_is_written_in_one_piece() -> None:
    pieces: list[str] = []
    sink = io.StringIO()
    sink.write = pieces.append  # type: ignore[assignment]
    with Display(("text", "start"), Console(file=sink)) as display:
        display.begin("start")
    assert [piece.count("\n") for piece in pieces] == [1]


def test_without_a_terminal_each_change_is_one_line() -> None:
    sink = io.StringIO()
    with Display(("corpus", "training"), Console(file=sink)) as display:
        display.begin("corpus")
        display.note("corpus", "read 1 / 8 shards")
        display.note("corpus", "read 1 / 8 shards")
        display.end("corpus", "done")
    lines = sink.getvalue().splitlines()
    assert [line.split("s  ")[-1] for line in lines] == ["started", "read 1 / 8 shards", "done"]
    assert all(line.startswith("[1/2 corpus]") for line in lines)
    assert set(display.seconds()) == {"corpus"}
