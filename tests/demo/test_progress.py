"""The progress display of the demo."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from demo.progress import Display, JobProgress, last_progress


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
