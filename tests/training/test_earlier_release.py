"""A run that the first release began is finished by this one with the same bits (fixtures/README.md)."""

from __future__ import annotations

import json
import platform
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from include.contracts.manifests import CorpusManifest
from include.contracts.records import from_plain, parse_json
from include.recipes.training import TrainingRecipe
from tests.training.corpora import Corpus, LocalRun, failure, losses, make_run
from training.job_inputs import EXIT_INTERRUPTED

FIXTURE = Path(__file__).parent / "fixtures" / "earlier_release"
#: Sums in the same order on every x86-64 processor.
PORTABLE = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "SSE41"}
same_processor = pytest.mark.skipif(platform.machine() != "x86_64", reason="the fixture was made on x86-64")


def run_of_the_first_release(folder: Path, **changes: Any) -> LocalRun:
    content = (FIXTURE / "corpus/manifest.json").read_bytes()
    corpus = Corpus(FIXTURE / "corpus", parse_json(CorpusManifest, content, where="manifest"))
    recipe = from_plain(TrainingRecipe, json.loads((FIXTURE / "recipe.json").read_text()), where="recipe")
    run = make_run(folder, corpus, replace(recipe, **changes))
    shutil.copytree(FIXTURE / "checkpoint", run.checkpoints / "step_4")
    return run


def expected_losses() -> dict[int, str]:
    recorded = json.loads((FIXTURE / "expected.json").read_text())["losses"]
    return {int(step): loss for step, loss in recorded.items() if int(step) > 4}


def largest_difference(run: LocalRun) -> float:
    found, wanted = (load_file(folder / "model.safetensors") for folder in (run.model, FIXTURE))
    assert found.keys() == wanted.keys()
    return max(float((found[name] - wanted[name]).abs().max()) for name in wanted)


@same_processor
def test_a_checkpoint_of_the_first_release_resumes_with_the_same_bits(tmp_path: Path) -> None:
    run = run_of_the_first_release(tmp_path)
    code, output = run.finish(**PORTABLE)
    assert code == 0, output
    assert "resumed_at_step=4\n" in output
    assert losses(output) == expected_losses()
    found, wanted = load_file(run.model / "model.safetensors"), load_file(FIXTURE / "model.safetensors")
    assert all(torch.equal(found[name], wanted[name]) for name in wanted | found)


def test_it_resumes_with_a_smaller_micro_batch_up_to_rounding(tmp_path: Path) -> None:
    run = run_of_the_first_release(tmp_path, micro_batch_sequences=1)
    code, output = run.finish(**PORTABLE)
    assert code == 0, output
    assert "resumed_at_step=4\n" in output
    assert {step: float(loss) for step, loss in losses(output).items()} == {
        step: pytest.approx(float(loss), abs=1e-4) for step, loss in expected_losses().items()
    }
    assert largest_difference(run) < 1e-4


def test_it_is_refused_for_another_recipe(tmp_path: Path) -> None:
    run = run_of_the_first_release(tmp_path, seed=6)
    assert run.finish()[0] not in (0, EXIT_INTERRUPTED)
    assert "was made with another recipe" in failure(run)
