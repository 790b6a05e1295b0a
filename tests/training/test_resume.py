"""An interrupted run ends as an uninterrupted one; damaged checkpoints are skipped.

All through the launcher, as real processes.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from include.contracts.manifests import CheckpointMarker, TrainingReport
from include.contracts.records import canonical_json, parse_json
from tests.training.corpora import RECIPE, Corpus, LocalRun, failure, interrupt_at, losses, make_run, sign
from training.job_inputs import EXIT_INTERRUPTED


def weights(run: LocalRun) -> bytes:
    return (run.model / "model.safetensors").read_bytes()


def report(run: LocalRun) -> TrainingReport:
    return parse_json(TrainingReport, (run.folder / "run/training_report.json").read_bytes(), where="report")


def tensors_of_last_checkpoint(run: LocalRun) -> dict[str, object]:
    """Model, moments and random state of the final checkpoint, as loaded by torch alone."""
    import torch
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

    folder = run.checkpoints / f"step_{RECIPE.steps}"
    target = run.folder / "flat.pt"
    dcp_to_torch_save(folder, target)
    state = torch.load(target, weights_only=False)
    state["random"] = torch.load(folder / "random_rank_0.pt", weights_only=True)
    return flatten(state)


def flatten(state: object, prefix: str = "") -> dict[str, object]:
    if isinstance(state, dict):
        return {k: v for key, value in state.items() for k, v in flatten(value, f"{prefix}/{key}").items()}
    return {prefix: state}


def same(one: object, other: object) -> bool:
    import torch

    return (
        torch.equal(one, other)
        if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)
        else one == other
    )


def test_interrupted_and_resumed_run_equals_an_uninterrupted_one(
    tmp_path: Path, corpus: Corpus, uninterrupted: tuple[LocalRun, str]
) -> None:
    """SIGTERM at a random step, then SIGKILL of the launcher at a later one, then to the end."""
    reference, expected = uninterrupted
    first = random.randrange(2, 7)
    second = random.randrange(first + 1, RECIPE.steps)
    run = make_run(tmp_path, corpus)

    process = run.start()
    output = interrupt_at(process, first, signal.SIGTERM)
    assert process.returncode == EXIT_INTERRUPTED, output
    stopped_at = max(losses(output))
    assert (run.checkpoints / f"step_{stopped_at}" / "complete.json").exists()

    process = run.start()
    output_2 = interrupt_at(process, max(second, stopped_at + 1), signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert f"resumed_at_step={stopped_at}\n" in output_2

    code, output_3 = run.finish()
    assert code == 0, output_3
    assert losses(output) | losses(output_2) | losses(output_3) == losses(expected)
    for part in (output, output_2, output_3):
        assert losses(part).items() <= losses(expected).items()
    assert weights(run) == weights(reference)
    state, wanted = tensors_of_last_checkpoint(run), tensors_of_last_checkpoint(reference)
    assert state.keys() == wanted.keys()
    assert any("exp_avg_sq" in name for name in state)
    assert [name for name in state if not same(state[name], wanted[name])] == []
    found, plain = report(run), report(reference)
    assert (found.loss_first, found.loss_last) == (plain.loss_first, plain.loss_last)
    assert found.resumed_at_steps[0] == stopped_at
    assert len(found.resumed_at_steps) == 2
    assert found.loss_last < found.loss_first - 0.5


def test_two_ranks_resume_bit_exactly_and_one_rank_can_go_on_from_their_checkpoint(
    tmp_path: Path, corpus: Corpus, uninterrupted: tuple[LocalRun, str]
) -> None:
    whole, parted = (
        make_run(tmp_path / "whole", corpus, steps=6),
        make_run(tmp_path / "parted", corpus, steps=6),
    )
    code, expected = whole.finish("--ranks", "2")
    assert code == 0, expected
    process = parted.start("--ranks", "2")
    output = interrupt_at(process, 2, signal.SIGTERM)
    assert process.returncode == EXIT_INTERRUPTED, output
    code, rest = parted.finish("--ranks", "2")
    assert code == 0, rest
    assert losses(output) | losses(rest) == losses(expected)
    assert weights(parted) == weights(whole)

    alone = make_run(tmp_path / "one_rank", corpus, steps=6)
    shutil.copytree(parted.checkpoints, alone.checkpoints, dirs_exist_ok=True)
    for path in alone.checkpoints.glob("step_6/complete.json"):
        path.unlink()
    code, output = alone.finish()
    assert code == 0, output
    assert "made with 2 ranks" in output
    for step, loss in losses(output).items():
        assert float(loss) == pytest.approx(float(losses(expected)[step]), abs=1e-4)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("__0_0.distcp", cut, "wrong size"),
        ("__0_0.distcp", flip, "wrong content"),
        (".metadata", Path.unlink, "no such file"),
        ("complete.json", cut, "not valid JSON"),
    ],
)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    tmp_path: Path,
    uninterrupted: tuple[LocalRun, str],
    corpus: Corpus,
    name: str,
    damage: Callable[[Path], None],
    reason: str,
) -> None:
    reference, expected = uninterrupted
    run = make_run(tmp_path, corpus)
    shutil.copytree(reference.checkpoints, run.checkpoints)
    damage(run.checkpoints / "step_12" / name)
    code, output = run.finish()
    assert code == 0, output
    assert re.search(rf"warning: checkpoint step_12 cannot be used and is skipped: .*{reason}", output)
    assert "resumed_at_step=8\n" in output
    assert list((run.ml_root / "scratch").glob("load_*")) == [], "its download takes up the job's volume"
    assert losses(output).items() <= losses(expected).items()
    assert weights(run) == weights(reference)
    marker = parse_json(
        CheckpointMarker, (run.checkpoints / "step_12/complete.json").read_bytes(), where="marker"
    )
    assert (marker.step, marker.data_position) == (12, 12 * RECIPE.batch_sequences)


def unlisted(name: str) -> Callable[[Path], None]:
    """Leave a file out of a checkpoint and its marker."""

    def damage(folder: Path) -> None:
        path = folder / "complete.json"
        marker = json.loads(path.read_text())
        marker["files"] = [entry for entry in marker["files"] if entry["path"] != name]
        path.write_bytes(canonical_json(marker))
        (folder / name).unlink()

    return damage


def torn(name: str, size: int) -> Callable[[Path], None]:
    """Cut a file before its hash was taken, as a disk may that loses what was written last."""

    def damage(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:size])
        sign(folder)

    return damage


def only_the_marker(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != "complete.json":
            path.unlink()


def marker_without_files(folder: Path) -> None:
    marker = json.loads((folder / "complete.json").read_text())
    (folder / "complete.json").write_bytes(canonical_json(marker | {"files": []}))


def copy_of_an_earlier_step(folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("step_8"), folder)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (only_the_marker, "no such file"),
        (marker_without_files, "cannot be read; got FileNotFoundError"),
        (unlisted("trainer.json"), "trainer.json: is missing"),
        (unlisted(".metadata"), "cannot be read; got FileNotFoundError"),
        (torn(".metadata", 200), "cannot be read; got UnpicklingError"),
        (torn("__0_0.distcp", 5000), "its metadata names bytes that are not in its files"),
        (torn("random_rank_0.pt", 100), "random_rank_0.pt: is not a random state"),
        (torn("trainer.json", 9), "trainer.json: not valid JSON"),
        (copy_of_an_earlier_step, "its complete.json is that of step 8"),
    ],
)
def test_a_checkpoint_whose_marker_fits_but_whose_files_do_not_is_passed_over_too(
    tmp_path: Path,
    uninterrupted: tuple[LocalRun, str],
    corpus: Corpus,
    damage: Callable[[Path], None],
    reason: str,
) -> None:
    run = make_run(tmp_path, corpus)
    shutil.copytree(uninterrupted[0].checkpoints, run.checkpoints)
    damage(run.checkpoints / "step_12")
    code, output = run.finish()
    assert code == 0, output
    assert re.search(rf"warning: checkpoint step_12 cannot be used and is skipped: .*{reason}", output)
    assert "resumed_at_step=8\n" in output
    assert weights(run) == weights(uninterrupted[0])


def test_checkpoints_of_another_recipe_are_refused(
    tmp_path: Path, uninterrupted: tuple[LocalRun, str], corpus: Corpus
) -> None:
    run = make_run(tmp_path, corpus, seed=2)
    shutil.copytree(uninterrupted[0].checkpoints, run.checkpoints)
    code, output = run.finish()
    assert code == 1
    assert "was made with another recipe; expected seed 2; got seed 1" in failure(run)
    assert "to do: start a new run, or use the recipe of this run" in failure(run)
    assert not run.model.exists(), output


def test_only_the_newest_checkpoints_are_kept(uninterrupted: tuple[LocalRun, str]) -> None:
    run, _ = uninterrupted
    assert sorted(p.name for p in run.checkpoints.glob("step_*") if any(p.iterdir())) == ["step_12", "step_8"]


def test_a_finished_run_started_again_gives_the_same_model(
    tmp_path: Path, uninterrupted: tuple[LocalRun, str], corpus: Corpus
) -> None:
    reference, _ = uninterrupted
    run = make_run(tmp_path, corpus)
    shutil.copytree(reference.checkpoints, run.checkpoints)
    code, output = run.finish()
    assert code == 0
    assert losses(output) == {}
    assert weights(run) == weights(reference)
    assert json.loads((run.model / "manifest.json").read_text())["step"] == RECIPE.steps


@pytest.mark.parametrize(
    "changes",
    [{"name": "renamed", "checkpoint_every_steps": 5, "keep_checkpoints": 1, "max_skipped_steps": 2}],
)
def test_what_operates_a_run_may_change_without_a_change_of_its_bits(
    tmp_path: Path, uninterrupted: tuple[LocalRun, str], corpus: Corpus, changes: dict[str, object]
) -> None:
    run = resumed_at_8(tmp_path, uninterrupted[0], corpus, **changes)
    code, output = run.finish()
    assert code == 0, output
    assert "resumed_at_step=8\n" in output and "warning" not in output
    assert weights(run) == weights(uninterrupted[0])


def test_a_smaller_micro_batch_resumes_and_is_equal_up_to_rounding_with_a_warning(
    tmp_path: Path, uninterrupted: tuple[LocalRun, str], corpus: Corpus
) -> None:
    run = resumed_at_8(tmp_path, uninterrupted[0], corpus, micro_batch_sequences=1)
    code, output = run.finish()
    assert code == 0, output
    assert "resumed_at_step=8\n" in output
    assert (
        "step_8 was made with micro batches of 2 sequences: from here on the losses are equal only" in output
    )
    expected = losses(uninterrupted[1])
    assert {step: float(loss) for step, loss in losses(output).items()} == {
        step: pytest.approx(float(expected[step]), abs=1e-4) for step in range(9, 13)
    }


def resumed_at_8(folder: Path, reference: LocalRun, corpus: Corpus, **changes: Any) -> LocalRun:
    run = make_run(folder, corpus, **changes)
    shutil.copytree(reference.checkpoints / "step_8", run.checkpoints / "step_8")
    return run
