"""A loss or gradient that is not finite reaches no weight, no checkpoint and no export."""

from __future__ import annotations

import io
import math
import os
import pickle
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file

from include.contracts.errors import IntegrityError
from include.contracts.manifests import TrainingReport
from include.contracts.records import parse_json
from include.object_store import Folder
from tests.training.corpora import ROOT, Corpus, LocalRun, failure, interrupt_at, losses, make_run, sign
from training.checkpoint import CheckpointSaver
from training.checkpoint_store import CheckpointStore, TrainerState, TrainingProgress
from training.identity import CheckpointIdentity
from training.job_inputs import EXIT_INTERRUPTED
from training.ranks import Agreement, RankPosition, join
from training.state_loading import not_finite


def poison(steps: str, rank: int = 0) -> dict[str, str]:
    """Environment in which one rank's gradient holds a NaN in these steps (from 1)."""
    faults = f"{ROOT / 'tests/training/faults'}{os.pathsep}{ROOT}"
    return {"PYTHONPATH": faults, "POISONED_STEPS": steps, "FAULTY_RANK": str(rank)}


def weights(run: LocalRun) -> bytes:
    return (run.model / "model.safetensors").read_bytes()


def report(run: LocalRun) -> TrainingReport:
    return parse_json(TrainingReport, (run.folder / "run/training_report.json").read_bytes(), where="report")


def checkpoints(run: LocalRun) -> list[Path]:
    return [path.parent for path in run.checkpoints.glob("*/complete.json")]


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus) -> tuple[LocalRun, str]:
    """A finished run of which step 5 had a NaN in its gradient."""
    run = make_run(tmp_path_factory.mktemp("poisoned"), corpus)
    code, output = run.finish(**poison("5"))
    assert code == 0, output
    return run, output


def test_norm_and_rate_of_every_step_are_logged(uninterrupted: tuple[LocalRun, str]) -> None:
    lines = re.findall(r"^step=(\d+) .* gradient_norm=(\S+) learning_rate=(\S+)$", uninterrupted[1], re.M)
    assert [int(step) for step, _, _ in lines] == list(range(1, 13))
    assert all(0 < float(norm) < 100 for _, norm, _ in lines)
    assert [float(rate) for _, _, rate in lines[:2]] == [0.0025, 0.005]  # the warm-up of the recipe


def test_a_step_with_a_nan_gradient_is_skipped_and_logged(
    poisoned: tuple[LocalRun, str], uninterrupted: tuple[LocalRun, str]
) -> None:
    run, output = poisoned
    clean = losses(uninterrupted[1])
    assert re.search(r"^step=5 loss=\d\S+ .*gradient_norm=nan ", output, re.M)
    assert "warning: step 5 is skipped, because its loss or gradient is not finite" in output
    assert {step: losses(output)[step] for step in range(1, 6)} == {s: clean[s] for s in range(1, 6)}
    assert losses(output)[6] != clean[6]
    assert report(run).skipped_steps == 1
    assert report(run).loss_last == pytest.approx(float(losses(output)[12]))


def test_no_checkpoint_and_no_export_holds_a_value_of_the_skipped_step(
    poisoned: tuple[LocalRun, str],
) -> None:
    run, _ = poisoned
    assert len(checkpoints(run)) == 2
    assert [not_finite(folder) for folder in checkpoints(run)] == ["", ""]
    assert all(
        bool(tensor.isfinite().all()) for tensor in load_file(run.model / "model.safetensors").values()
    )


def test_a_run_resumed_across_a_skipped_step_equals_an_uninterrupted_one(
    tmp_path: Path, corpus: Corpus, poisoned: tuple[LocalRun, str]
) -> None:
    for stop in (3, 5):  # before the skipped step, and right after it
        run = make_run(tmp_path / str(stop), corpus)
        process = run.start(**poison("5"))
        output = interrupt_at(process, stop, signal.SIGTERM)
        assert process.returncode == EXIT_INTERRUPTED, output
        code, rest = run.finish(**poison("5"))
        assert code == 0, rest
        assert losses(output) | losses(rest) == losses(poisoned[1])
        assert weights(run) == weights(poisoned[0])
        assert report(run).skipped_steps == 1


def test_a_nan_on_one_rank_makes_all_ranks_skip_the_step(tmp_path: Path, corpus: Corpus) -> None:
    run = make_run(tmp_path, corpus, steps=4)
    code, output = run.finish("--ranks", "2", **poison("2", rank=1))
    assert code == 0, output
    assert output.count("warning: step 2 is skipped") == 1
    assert all(math.isfinite(float(loss)) for loss in losses(output).values())
    assert [not_finite(folder) for folder in checkpoints(run)] == [""]
    assert report(run).skipped_steps == 1


def test_too_many_skipped_steps_in_a_row_end_the_run_also_across_a_resume(
    tmp_path: Path, corpus: Corpus
) -> None:
    run = make_run(tmp_path, corpus, max_skipped_steps=3)
    broken = poison(",".join(map(str, range(3, 13))))
    process = run.start(**broken)
    output = interrupt_at(process, 4, signal.SIGTERM)
    assert process.returncode == EXIT_INTERRUPTED, output
    code, output = run.finish(**broken)
    assert code == 1, output
    assert "step 6: loss or gradient was not finite in 4 consecutive steps" in failure(run)
    assert "expected at most max_skipped_steps (3)" in failure(run)
    assert not run.model.exists()
    assert [not_finite(folder) for folder in checkpoints(run)] == [""] * len(checkpoints(run))


def test_a_short_run_whose_every_step_is_skipped_exports_nothing(tmp_path: Path, corpus: Corpus) -> None:
    run = make_run(tmp_path, corpus, steps=3)
    code, output = run.finish(**poison("1,2,3"))
    assert code == 1, output
    assert "3 consecutive steps" in failure(run)
    assert not run.model.exists()


def test_a_model_that_is_not_finite_at_export_is_not_written(
    tmp_path: Path, corpus: Corpus, uninterrupted: tuple[LocalRun, str]
) -> None:
    run = make_run(tmp_path, corpus)
    shutil.copytree(uninterrupted[0].checkpoints, run.checkpoints)
    code, _ = run.finish(**poison(""), POISONED_EXPORT="1")
    assert code == 1
    assert "model of step 12" in failure(run) and "holds NaN or infinity" in failure(run)
    assert not run.model.exists()


def put_into(folder: Path, tensor: str, value: float) -> None:
    """Write a checkpoint's tensor again with one value changed, and sign the checkpoint."""
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    place = next(place for index, place in metadata.storage_data.items() if index.fqn == tensor)
    path = folder / place.relative_path
    content = path.read_bytes()
    found = torch.load(io.BytesIO(content[place.offset : place.offset + place.length]))
    found.view(-1)[-1] = value
    written = io.BytesIO()
    torch.save(found, written)
    place.offset, place.length = len(content), len(written.getvalue())
    path.write_bytes(content + written.getvalue())
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    sign(folder)


@pytest.mark.parametrize(
    ("tensor", "value", "ranks"),
    [
        ("model.model.norm.weight", math.nan, 1),
        ("optimiser.state.model.embed_tokens.weight.exp_avg_sq", math.inf, 1),
        ("model.model.embed_tokens.weight", math.nan, 2),
    ],
)
def test_a_checkpoint_that_is_not_finite_is_passed_over_for_the_one_before(
    tmp_path: Path, corpus: Corpus, uninterrupted: tuple[LocalRun, str], tensor: str, value: float, ranks: int
) -> None:
    run = make_run(tmp_path, corpus)
    shutil.copytree(uninterrupted[0].checkpoints, run.checkpoints)
    put_into(run.checkpoints / "step_12", tensor, value)
    code, output = run.finish("--ranks", str(ranks))
    assert code == 0, output
    message = rf"warning: checkpoint step_12 cannot be used .*{re.escape(tensor)} holds NaN or infinity"
    assert re.search(message, output)
    assert "resumed_at_step=8\n" in output
    if ranks == 1:
        assert weights(run) == weights(uninterrupted[0])


def test_when_no_checkpoint_is_finite_the_run_begins_again_untouched_by_them(
    tmp_path: Path, corpus: Corpus, uninterrupted: tuple[LocalRun, str]
) -> None:
    run = make_run(tmp_path, corpus)
    shutil.copytree(uninterrupted[0].checkpoints, run.checkpoints)
    for step in (8, 12):
        put_into(run.checkpoints / f"step_{step}", "model.model.norm.weight", math.nan)
    code, output = run.finish()
    assert code == 0, output
    assert "resumed_at_step" not in output
    assert losses(output) == losses(uninterrupted[1])
    assert weights(run) == weights(uninterrupted[0])


@pytest.fixture
def alone() -> Iterator[Agreement]:
    _, saving = join(RankPosition(rank=0, local_rank=0, world_size=1, threads=1))
    yield saving
    dist.destroy_process_group()


def spoil_weight(model: torch.nn.Linear, optimiser: torch.optim.Optimizer) -> None:
    model.weight.data[0, 0] = math.nan


def spoil_moment(model: torch.nn.Linear, optimiser: torch.optim.Optimizer) -> None:
    optimiser.state[model.bias]["exp_avg"][0] = -math.inf


@pytest.mark.parametrize(("spoil", "named"), [(spoil_weight, "weight"), (spoil_moment, "exp_avg")])
def test_a_state_that_is_not_finite_is_not_saved(
    tmp_path: Path, alone: Agreement, spoil: Callable[..., None], named: str
) -> None:
    store = CheckpointStore(Folder(str(tmp_path / "checkpoints")))
    saver = CheckpointSaver(store, CheckpointIdentity({}, "c"), tmp_path / "scratch", alone, 1, print)
    model = torch.nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    spoil(model, optimiser)
    with pytest.raises(IntegrityError, match=f"step 7: .*{named}: holds NaN or infinity"):
        saver.start(model, optimiser, TrainingProgress(7, 7, 7, TrainerState(1.0, 1.0, 1.0, 1)))
    assert store.complete_steps() == []
