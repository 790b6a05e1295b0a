from __future__ import annotations

from pathlib import Path

import pytest

from tools.mutants.equivalent import JUDGED, Judgement, before_tests, judged, judgements, of_survivor


@pytest.mark.parametrize(
    ("source", "mutated", "reason"),
    [
        ('def f():\n    """A."""\n    return 1', 'def f():\n    """B."""\n    return 1', "docstring"),
        ("def f(a: int | None): ...", "def f(a: int + None): ...", "annotation"),
        ("x: int | None = 1", "x: int & None = 1", "annotation"),
        ("log.info('%d', size // 2)", "log.info('%d', size * 2)", "log message"),
        ("if TYPE_CHECKING:\n    x = 1", "if TYPE_CHECKING:\n    x = 2", "type checkers"),
        ("@lru_cache(maxsize=1)\ndef f(): ...", "def f(): ...", "remembers"),
        ("@lru_cache(maxsize=2)\ndef f(): ...", "@lru_cache(maxsize=1)\ndef f(): ...", "remembers"),
        ("@kernel\ndef f(): ...", "def f(): ...", "compiles"),
        ("x = (1)", "x = 1", "same code"),
    ],
)
def test_a_mutant_that_cannot_change_results_is_named(source: str, mutated: str, reason: str) -> None:
    assert reason in str(before_tests(source, mutated))


@pytest.mark.parametrize(
    ("source", "mutated"),
    [
        ("x = 1", "x = 2"),
        ("@staticmethod\ndef f(): ...", "def f(): ..."),
        ("log.info('x')\ny = 1", "log.info('x')\ny = 2"),
        ("if not TYPE_CHECKING:\n    x = 1", "if TYPE_CHECKING:\n    x = 1"),
        ("error('%d', size // 2)", "error('%d', size * 2)"),
    ],
)
def test_a_mutant_that_may_change_results_is_tested(source: str, mutated: str) -> None:
    assert before_tests(source, mutated) is None


def test_annotations_count_where_a_library_reads_them_at_run_time() -> None:
    source, mutated = "def f(a: int | None): ...", "def f(a: int + None): ..."
    assert before_tests(source, mutated, has_runtime_annotations=True) is None


@pytest.mark.parametrize(
    ("line", "after", "reason"),
    [
        ("client.wait(timeout=30)", "client.wait(timeout= 31)", "`timeout`"),
        ("POLL_SECONDS = 5", "POLL_SECONDS = 4", "POLL_SECONDS"),
        ("time.sleep(2)", "time.sleep(3)", "`sleep`"),
        ("f(timeout=timedelta(hours=2))", "f(timeout=timedelta(hours=3))", "`timeout`"),
        ("if TYPE_CHECKING:\n    x = 1", "if not TYPE_CHECKING:\n    x = 1", "type checkers"),
        ("timeout = 86_400", "timeout = 86399", "`timeout`"),
        ("CHUNK_BYTES = 1 << 20", "CHUNK_BYTES = 2 << 20", "pieces"),
        ("def read(buffer_size=8): ...", "def read(buffer_size= 9): ...", "pieces"),
        (
            "@dataclass(frozen=True)\nclass A: ...",
            "@dataclass(frozen=False)\nclass A: ...",
            "programming error",
        ),
        ("zip(a, b, strict=True)", "zip(a, b, strict=False)", "programming error"),
    ],
)
def test_a_survivor_that_changes_only_speed_or_guards_is_named(line: str, after: str, reason: str) -> None:
    before, changed = line.splitlines()[0], after.splitlines()[0]
    assert reason in str(of_survivor(line, 1, before, changed))


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ("limit = 3", "limit = 4"),
        ("f(limit=30, timeout=5)", "f(limit=31, timeout=5)"),
        ("second_half = data[1]", "second_half = data[2]"),
        ("bar(refresh_per_second=4)", "bar(refresh_per_second=5)"),
        ("wait_seconds = 60 * minutes", "wait_seconds = 61 * minutes"),
        ("wait_seconds=round(took, 2)", "wait_seconds=round(took, 3)"),
        ("head = source.read(4)", "head = source.read(5)"),
        ("TRIES, PAUSE_SECONDS = 3, 2.0", "TRIES, PAUSE_SECONDS = 4, 2.0"),
        ("time.sleep(0.1)", "time.sleep(-0.9)"),
        ("retry(forever=True)", "retry(forever=False)"),
        ("x < 1", "x <= 1"),
    ],
)
def test_a_survivor_that_may_change_results_survives(line: str, after: str) -> None:
    assert of_survivor(line, 1, line, after) is None


def test_a_judgement_holds_for_its_line_alone(tmp_path: Path) -> None:
    file = tmp_path / "judged.toml"
    file.write_text('[[mutant]]\nmodule = "a.py"\nbefore = "x"\nafter = "y"\nreason = "why"\n')
    known = judgements(file)
    assert known == [Judgement("a.py", "x", "y", "why")]
    assert judged("a.py", "x", "y", known) == "why"
    assert judged("a.py", "x", "z", known) is None
    assert judged("b.py", "x", "y", known) is None


def test_every_judgement_in_use_is_of_a_line_that_exists() -> None:
    root = JUDGED.parents[2]
    for entry in judgements():
        lines = [line.strip() for line in (root / entry.module).read_text().splitlines()]
        assert entry.before in lines or entry.before in " ".join(lines), entry
        assert entry.reason
