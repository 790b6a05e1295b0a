"""The launcher: SageMaker's files, ranks that end together, reasons that reach the failure file."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from include.contracts.errors import ContractError, InputError
from include.contracts.manifests import TRAINING_REQUEST_SHA256, ModelManifest, TokenShard
from include.contracts.records import canonical_json, content_hash, parse_json
from include.object_store.verification import file_entry
from tests.support.waiting import wait_until
from tests.training.corpora import (
    RECIPE,
    Corpus,
    LocalRun,
    configure,
    failure,
    losses,
    make_corpus,
    make_run,
    write_megatron,
)
from training.job_inputs import EXIT_INTERRUPTED, MlRoot
from training.launcher import Plan, Ranks, check_channels, read_plan


def test_plan_comes_from_sagemakers_files(tmp_path: Path, corpus: Corpus) -> None:
    run = make_run(tmp_path, corpus)
    configure(run, "hyperparameters", {"ranks": "3", "threads_per_rank": "2", "sagemaker_program": "x"})
    hosts = {"current_host": "algo-2", "hosts": ["algo-2", "algo-1"], "network_interface_name": "eth1"}
    configure(run, "resourceconfig", hosts)
    plan = read_plan(MlRoot(run.ml_root), None, None)
    assert plan == Plan(ranks=3, host=1, hosts=("algo-1", "algo-2"), threads=2, network="eth1")
    assert plan.world_size == 6


def test_command_line_wins_and_a_lone_host_needs_no_configuration(tmp_path: Path) -> None:
    plan = read_plan(MlRoot(tmp_path), 2, 1)
    assert plan == Plan(ranks=2, host=0, hosts=("localhost",), threads=1, network="lo")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"learning_rate": "1"}, "unknown hyperparameter 'learning_rate'.*expected one of ranks"),
        ({"ranks": "none"}, "'ranks' is impossible.*whole number"),
        ({"ranks": "0"}, "'ranks' is impossible"),
        (["ranks"], "not a table"),
    ],
)
def test_impossible_hyperparameters_are_refused(
    tmp_path: Path, corpus: Corpus, content: object, message: str
) -> None:
    run = make_run(tmp_path, corpus)
    configure(run, "hyperparameters", content)
    with pytest.raises(ContractError, match=message):
        read_plan(MlRoot(run.ml_root), None, None)


def test_a_missing_channel_is_named_before_any_rank_starts(tmp_path: Path, corpus: Corpus) -> None:
    run = make_run(tmp_path, corpus)
    (run.ml_root / "input/data/tokenizer").unlink()
    with pytest.raises(InputError, match="channel 'tokenizer' is missing"):
        check_channels(MlRoot(run.ml_root))
    code, output = run.finish()
    assert code == 1
    assert "channel 'tokenizer' is missing" in failure(run)
    assert "ranks of" not in output


def ranks_of(tmp_path: Path, script: str, count: int = 2) -> Ranks:
    ranks = Ranks(Plan(count, 0, ("localhost",), 1, "lo"), tmp_path)
    ranks.start([sys.executable, "-c", script])
    return ranks


def test_one_failing_rank_ends_the_others_and_its_words_are_the_reason(tmp_path: Path) -> None:
    script = """
import os, pathlib, signal, sys
if os.environ["RANK"] == "1":
    pathlib.Path(os.environ["NEXUS_RANK_FAILURE"]).write_text("disk full")
    sys.exit(1)
signal.pause()
"""
    ranks = ranks_of(tmp_path, script)
    assert ranks.wait(grace_seconds=60) == 1
    assert ranks.failure() == "disk full"


def test_a_rank_killed_from_outside_is_named(tmp_path: Path) -> None:
    script = """
import os, signal
if os.environ["LOCAL_RANK"] == "1":
    os.kill(os.getpid(), signal.SIGKILL)
signal.pause()
"""
    ranks = ranks_of(tmp_path, script)
    assert ranks.wait(grace_seconds=60) == 1
    assert ranks.failure() == "rank 1 on host localhost ended with signal SIGKILL"


def test_a_rank_that_ignores_sigterm_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    script = """
import os, pathlib, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(os.environ["NEXUS_STORE"]).write_text("ready")
while True:
    signal.pause()
"""
    ranks = ranks_of(tmp_path, script, count=1)
    wait_until((tmp_path / "store").exists)
    ranks.interrupt(signal.SIGTERM, None)
    assert ranks.wait(grace_seconds=0.1) == 1
    assert ranks.failure() == "rank 0 on host localhost ended with signal SIGKILL"


def test_ranks_that_saved_on_sigterm_make_the_launcher_say_so(tmp_path: Path) -> None:
    script = f"""
import os, pathlib, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit({EXIT_INTERRUPTED}))
pathlib.Path(os.environ["NEXUS_STORE"] + os.environ["RANK"]).write_text("ready")
while True:
    signal.pause()
"""
    ranks = ranks_of(tmp_path, script)
    wait_until(lambda: all((tmp_path / f"store{rank}").exists() for rank in range(2)))
    ranks.interrupt(signal.SIGTERM, None)
    assert ranks.wait(grace_seconds=60) == EXIT_INTERRUPTED


def test_ranks_do_not_outlive_a_killed_launcher(tmp_path: Path, corpus: Corpus) -> None:
    run = make_run(tmp_path, corpus, steps=100_000)
    process = run.start()
    assert process.stdout is not None
    children: list[int] = []
    for line in process.stdout:
        if line.startswith("step=1 "):
            listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            children = [os.pidfd_open(int(pid)) for pid in listed.split()]
            process.kill()
    assert children
    for descriptor in children:
        ended, _, _ = select.select([descriptor], [], [], 30)
        assert ended
        os.close(descriptor)
    process.wait(timeout=10)


def test_a_full_disk_is_a_readable_failure_and_leaves_no_marker(tmp_path: Path, corpus: Corpus) -> None:
    run = make_run(tmp_path, corpus)
    # as when the file system is full: nothing larger than 64 KiB can be written
    limited = [
        "bash", "-c", f"ulimit -f 64; exec {sys.executable} -m training.launcher --request {run.request}",
    ]  # fmt: skip
    environment = os.environ | {"NEXUS_ML_ROOT": str(run.ml_root)}
    done = subprocess.run(limited, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1, done.stdout
    assert "start the run again" in failure(run)
    assert not list(run.checkpoints.glob("*/complete.json"))


def test_a_base_model_is_the_starting_point(
    tmp_path: Path, corpus: Corpus, uninterrupted: tuple[LocalRun, str]
) -> None:
    trained, output = uninterrupted
    run = make_run(tmp_path, corpus, base_model=trained.model, steps=2)
    code, continued = run.finish()
    assert code == 0, continued
    scratch_loss = float(output.split("step=1 loss=")[1].split()[0])
    assert float(continued.split("step=1 loss=")[1].split()[0]) < scratch_loss - 0.5


def test_a_base_model_with_another_vocabulary_is_refused(
    tmp_path: Path, uninterrupted: tuple[LocalRun, str]
) -> None:
    other = make_corpus(tmp_path / "corpus", vocabulary_size=280)
    run = make_run(tmp_path / "run", other, base_model=uninterrupted[0].model)
    code, _ = run.finish()
    assert code == 1
    assert "the base model has another tokenizer than the corpus" in failure(run)


def test_another_tokenizer_than_the_corpus_was_made_with_is_refused(tmp_path: Path, corpus: Corpus) -> None:
    other = make_corpus(tmp_path / "corpus", vocabulary_size=280)
    run = make_run(tmp_path / "run", corpus)
    channel = run.ml_root / "input/data/tokenizer"
    channel.unlink()
    channel.symlink_to(other.root / "tokenizer")
    code, _ = run.finish()
    assert code == 1
    assert "is not the tokenizer of the corpus" in failure(run)


def test_a_tokenizer_without_its_configuration_is_refused_before_training(
    tmp_path: Path, corpus: Corpus
) -> None:
    run = make_run(tmp_path / "run", corpus)
    channel = run.ml_root / "input/data/tokenizer"
    channel.unlink()
    channel.mkdir()
    shutil.copy(corpus.root / "tokenizer/tokenizer.json", channel)
    code, output = run.finish()
    assert code == 1
    assert "tokenizer_config.json: is missing" in failure(run)
    assert "step=1 " not in output


def test_a_mixture_leaves_out_what_the_corpus_lacks_when_told_to(tmp_path: Path, corpus: Corpus) -> None:
    mixture = {"code": 0.5, "gone": 0.5}
    run = make_run(tmp_path / "strict", corpus, steps=1, mixture=mixture)
    assert run.finish("--ranks", "1")[0] == 1
    assert "the corpus has no subset 'gone'" in failure(run)
    run = make_run(tmp_path / "run", corpus, steps=1, mixture=mixture, mixture_absent="leave_out")
    code, output = run.finish("--ranks", "1")
    assert code == 0, output
    assert output.count("warning: subset 'gone' of the mixture has no window and is left out") == 1


@pytest.mark.parametrize(("mixture", "warned"), [({}, True), ({"code": 0.5, "prose": 0.5}, False)])
def test_a_subset_that_is_never_trained_on_is_told_unless_a_mixture_leaves_it_out(
    tmp_path: Path, corpus: Corpus, mixture: dict[str, float], warned: bool
) -> None:
    root = Path(shutil.copytree(corpus.root, tmp_path / "corpus"))
    write_megatron(root / "tokens" / "poetry-0", [[5, 6, 7, 0], [8, 0]])
    added = [
        file_entry(root / "tokens" / name, f"tokens/{name}") for name in ("poetry-0.bin", "poetry-0.idx")
    ]
    shards = (*corpus.manifest.shards, TokenShard("poetry-0", "poetry", 2, 6))
    manifest = replace(corpus.manifest, shards=shards, files=(*corpus.manifest.files, *added))
    (root / "manifest.json").write_bytes(canonical_json(manifest))
    run = make_run(tmp_path / "run", Corpus(root, manifest), steps=1, mixture=mixture)
    code, output = run.finish("--ranks", "2")
    assert code == 0, output
    warning = "warning: subset 'poetry' is left out: its 6 tokens are fewer than one window"
    assert output.count(warning) == int(warned)


def test_the_model_folder_loads_as_its_manifest_says(
    uninterrupted: tuple[LocalRun, str], corpus: Corpus
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from include.object_store.verification import verify

    run, _ = uninterrupted
    manifest = parse_json(ModelManifest, (run.model / "manifest.json").read_bytes(), where="manifest")
    for entry in manifest.files:
        verify(run.model / entry.path, entry)
    model = AutoModelForCausalLM.from_pretrained(str(run.model))
    assert sum(p.numel() for p in model.parameters()) == manifest.parameters
    assert manifest.context_length == RECIPE.model.context_length
    assert manifest.parent.uri.endswith(f"checkpoints/step_{RECIPE.steps}/complete.json")
    assert manifest.corpus == corpus.reference
    tokenizer = AutoTokenizer.from_pretrained(str(run.model))
    assert tokenizer.decode(tokenizer("the quick é fox").input_ids) == "the quick é fox"
    assert tokenizer.model_max_length == RECIPE.model.context_length
    assert tokenizer.eos_token_id == corpus.manifest.end_of_text_id == model.generation_config.eos_token_id


def test_a_request_that_changed_after_the_plan_ends_the_run(tmp_path: Path, corpus: Corpus) -> None:
    run = make_run(tmp_path, corpus)
    planned = content_hash(run.request.read_bytes())
    make_run(tmp_path, corpus, seed=RECIPE.seed + 1)
    code, output = run.finish(**{TRAINING_REQUEST_SHA256: planned})
    assert code == 1, output
    assert f"expected sha256 {planned}" in failure(run)
    assert not losses(output)
