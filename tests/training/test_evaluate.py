"""Evaluation through its command: held-out loss of candidate and baseline, on verified files only."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from include.contracts.evaluation import EvaluationReport
from include.contracts.records import canonical_json, content_hash, parse_json, to_plain
from include.object_store.verification import file_entry
from tests.training.corpora import (
    RECIPE,
    ROOT,
    SUBSETS,
    Corpus,
    LocalRun,
    make_corpus,
    make_run,
    sentences,
    train_tokenizer,
)
from training.tokens import TokenFile


def evaluate(model: Path, corpus: Corpus, output: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "training.evaluate", "--model", str(model / "manifest.json")]
    places = ["--corpus", corpus.reference.uri, "--output", str(output)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    whole = [*command, *places, *options]
    return subprocess.run(whole, env=environment, capture_output=True, text=True, check=False, timeout=120)


def read(path: Path) -> EvaluationReport:
    return parse_json(EvaluationReport, path.read_bytes(), where="report")


def gate_outcome(report: Path, part: str = "outcome") -> str:
    """Judge a report in Airflow's environment, because the gate needs scipy."""
    program = (
        "import sys, pathlib\n"
        "from include.contracts.evaluation import EvaluationReport\n"
        "from include.contracts.records import parse_json\n"
        "from include.gates.judge import judge\n"
        "from include.recipes.gate import GateRecipe\n"
        "content = pathlib.Path(sys.argv[1]).read_bytes()\n"
        "report = parse_json(EvaluationReport, content, where='report')\n"
        "print(getattr(judge(report, GateRecipe('test')), sys.argv[2]))"
    )
    command: list[str | Path] = [ROOT / ".venvs/airflow/bin/python", "-c", program, report, part]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def first_report(
    tmp_path_factory: pytest.TempPathFactory, uninterrupted: tuple[LocalRun, str], corpus: Corpus
) -> EvaluationReport:
    output = tmp_path_factory.mktemp("evaluation") / "report.json"
    done = evaluate(uninterrupted[0].model, corpus, output)
    assert done.returncode == 0, done.stderr
    return read(output)


def test_every_held_out_document_is_scored(first_report: EvaluationReport, corpus: Corpus) -> None:
    for subset in SUBSETS:
        score = first_report.candidate.subsets[subset]
        texts = sentences(subset, 15, 2)
        assert score.documents == len(score.document_losses) == 15
        assert first_report.document_ids[subset][3] == f"test/{subset}-held/3"
        assert score.text_bytes == sum(len(text.encode()) for text in texts)
        assert score.tokens == corpus.manifest.subsets[subset].tokens_held_out
        assert score.loss_nats_per_token == pytest.approx(sum(score.document_losses) / score.tokens)
        assert score.perplexity == pytest.approx(math.exp(score.loss_nats_per_token))
        bits = sum(score.document_losses) / math.log(2)
        assert score.bits_per_byte == pytest.approx(bits / score.text_bytes)


def test_unigram_baseline_is_the_smoothed_frequency_of_the_training_tokens(
    first_report: EvaluationReport, corpus: Corpus
) -> None:
    counts: Counter[int] = Counter()
    for shard in corpus.manifest.shards:
        counts.update(TokenFile(corpus.root / "tokens" / shard.name).tokens.tolist())
    total = sum(counts.values()) + corpus.manifest.vocabulary_size
    document = TokenFile(corpus.root / "held_out_tokens/code-held").document(0).tolist()
    expected = sum(-math.log((counts[token] + 1) / total) for token in document)
    assert first_report.baseline.name == "unigram"
    assert first_report.baseline.subsets["code"].document_losses[0] == pytest.approx(expected)


def loss_by_transformers(folder: Path, end_of_text_id: int, tokens: list[int]) -> float:
    """Score a document by transformers' own logits: each token in the window that the guide describes."""
    from transformers import AutoModelForCausalLM

    context = RECIPE.model.context_length
    model = AutoModelForCausalLM.from_pretrained(str(folder))
    ids = torch.tensor([end_of_text_id, *tokens])
    nats, stride = 0.0, context * 3 // 4
    with torch.no_grad():
        for position in range(len(tokens)):
            # the first window that holds the token; the last window of a document is moved back
            number = max(0, -(-(position + 1 - context) // stride))
            stop = min(number * stride + context, len(tokens))
            start = max(0, stop - context)
            logits = model(ids[start : position + 1][None]).logits[0, -1]
            nats -= float(logits.log_softmax(0)[tokens[position]])
    return nats


def test_loss_of_a_document_is_that_of_torch_alone(
    first_report: EvaluationReport, corpus: Corpus, uninterrupted: tuple[LocalRun, str]
) -> None:
    file = TokenFile(corpus.root / "held_out_tokens/code-held")
    for number in (int(file.lengths.argmin()), int(file.lengths.argmax())):
        tokens = file.document(number).tolist()
        expected = loss_by_transformers(uninterrupted[0].model, corpus.manifest.end_of_text_id, tokens)
        found = first_report.candidate.subsets["code"].document_losses[number]
        assert found == pytest.approx(expected, rel=1e-4)


def test_documents_longer_than_the_context_are_scored_whole_and_counted_apart(
    first_report: EvaluationReport, corpus: Corpus
) -> None:
    lengths = TokenFile(corpus.root / "held_out_tokens/code-held").lengths
    long = lengths > RECIPE.model.context_length
    score = first_report.candidate.subsets["code"]
    assert 0 < score.long_documents == int(long.sum()) < 15
    assert score.long_tokens == int(lengths[long].sum())
    losses = [loss for loss, is_long in zip(score.document_losses, long, strict=True) if is_long]
    assert score.long_loss_nats_per_token == pytest.approx(sum(losses) / score.long_tokens)
    assert first_report.baseline.subsets["code"].long_documents == 0  # frequencies have no context
    assert first_report.document_tokens["code"] == tuple(lengths.tolist())


def test_a_candidate_equal_to_the_champion_passes_the_gate(
    tmp_path: Path, uninterrupted: tuple[LocalRun, str], corpus: Corpus
) -> None:
    model = uninterrupted[0].model
    done = evaluate(model, corpus, tmp_path / "report.json", "--champion", str(model / "manifest.json"))
    assert done.returncode == 0, done.stderr
    report = read(tmp_path / "report.json")
    assert report.baseline_is_champion
    assert report.candidate.subsets == report.baseline.subsets
    assert gate_outcome(tmp_path / "report.json") == "pass"


@pytest.fixture(scope="module")
def other_champion(tmp_path_factory: pytest.TempPathFactory) -> LocalRun:
    """A hardly trained model with another tokenizer, whose end-of-text token has another name and id."""
    folder = tmp_path_factory.mktemp("champion")
    other = make_corpus(folder / "corpus", vocabulary_size=270, end_of_text="<end>")
    run = make_run(folder / "run", other, steps=2)
    code, output = run.finish()
    assert code == 0, output
    return run


def test_a_champion_with_another_tokenizer_reads_the_same_text(
    tmp_path: Path, uninterrupted: tuple[LocalRun, str], corpus: Corpus, other_champion: LocalRun
) -> None:
    options = ("--champion", str(other_champion.model / "manifest.json"))
    done = evaluate(uninterrupted[0].model, corpus, tmp_path / "report.json", *options)
    assert done.returncode == 0, done.stderr
    report = read(tmp_path / "report.json")
    for subset in SUBSETS:
        ours, theirs = report.candidate.subsets[subset], report.baseline.subsets[subset]
        assert ours.text_bytes == theirs.text_bytes
        # two steps have hardly learnt: near the uniform loss of the champion's own, more numerous tokens
        assert theirs.bits_per_byte > 1.2 * ours.bits_per_byte
    assert gate_outcome(tmp_path / "report.json") == "pass"


@pytest.mark.parametrize("most_tokens", [0, 12])
def test_a_champion_with_another_tokenizer_pays_for_the_end_of_each_whole_document(
    tmp_path: Path,
    uninterrupted: tuple[LocalRun, str],
    corpus: Corpus,
    other_champion: LocalRun,
    most_tokens: int,
) -> None:
    options = ("--champion", str(other_champion.model / "manifest.json"))
    limit = ("--max-document-tokens", str(most_tokens))
    done = evaluate(uninterrupted[0].model, corpus, tmp_path / "report.json", *options, *limit)
    assert done.returncode == 0, done.stderr
    losses = read(tmp_path / "report.json").baseline.subsets["code"].document_losses
    document = TokenFile(corpus.root / "held_out_tokens/code-held").document(0).tolist()
    ours = Tokenizer.from_file(str(corpus.root / "tokenizer/tokenizer.json"))
    theirs = Tokenizer.from_file(str(other_champion.model / "tokenizer.json"))
    end_id = theirs.token_to_id("<end>")
    assert end_id is not None and end_id != corpus.manifest.end_of_text_id
    tokens = theirs.encode(ours.decode(document[: most_tokens or None])).ids
    if not most_tokens:
        tokens.append(end_id)
    expected = loss_by_transformers(other_champion.model, end_id, tokens)
    assert losses[0] == pytest.approx(expected, rel=1e-4)


def test_the_anchor_is_scored_on_the_same_documents_unless_it_is_the_champion(
    tmp_path: Path, uninterrupted: tuple[LocalRun, str], corpus: Corpus, other_champion: LocalRun
) -> None:
    model, anchor = uninterrupted[0].model, other_champion.model
    champion = ("--champion", str(model / "manifest.json"))
    options = (*champion, "--anchor", str(anchor / "manifest.json"))
    done = evaluate(model, corpus, tmp_path / "report.json", *options)
    assert done.returncode == 0, done.stderr
    report = read(tmp_path / "report.json")
    assert report.anchor is not None and report.anchor.uri == str(anchor / "manifest.json")
    assert report.anchor.sha256 == content_hash((anchor / "manifest.json").read_bytes())
    assert report.anchor_scores is not None
    for subset in SUBSETS:
        assert len(report.anchor_scores.subsets[subset].document_losses) == 15
    assert "loss against anchor" in str(gate_outcome(tmp_path / "report.json", "reasons"))
    done = evaluate(model, corpus, tmp_path / "same.json", *champion, "--anchor", champion[1])
    same = read(tmp_path / "same.json")
    assert same.anchor == same.champion and same.anchor_scores is None


def sign_model(model: Path) -> None:
    """Give the manifest of a model the hashes of the files that are there now."""
    manifest = json.loads((model / "manifest.json").read_text())
    names = [entry["path"] for entry in manifest["files"] if (model / entry["path"]).exists()]
    manifest["files"] = [to_plain(file_entry(model / name, name)) for name in names]
    (model / "manifest.json").write_bytes(canonical_json(manifest))


def spoil_tensor(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def spoil(model: Path) -> None:
        tensors = load_file(model / "model.safetensors")
        change(tensors)
        save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})

    return spoil


def infinite(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.norm.weight"][0] = torch.inf


def whole_numbers(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.norm.weight"] = tensors["model.norm.weight"].to(torch.int8)


def larger_tokenizer(model: Path) -> None:
    train_tokenizer(400).save(str(model / "tokenizer.json"))


def no_tokenizer(model: Path) -> None:
    (model / "tokenizer.json").unlink()


def no_configuration_of_another_tokenizer(model: Path) -> None:
    train_tokenizer(280).save(str(model / "tokenizer.json"))
    (model / "tokenizer_config.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_tensor(infinite), "model test-run: model.norm.weight: holds NaN or infinity"),
        (spoil_tensor(lambda tensors: tensors.pop("model.norm.weight")), "has no weights for model.norm"),
        (spoil_tensor(whole_numbers), "holds model.norm.weight as I8; expected one of F64, F32"),
        (
            larger_tokenizer,
            "model test-run: has fewer embeddings than its tokenizer has tokens; expected more",
        ),
        (no_tokenizer, "tokenizer.json: is missing, so the model cannot read the held-out text"),
        (no_configuration_of_another_tokenizer, "tokenizer_config.json: is not the configuration of a"),
    ],
)
def test_a_model_that_is_not_finite_or_not_whole_is_not_scored(
    tmp_path: Path,
    uninterrupted: tuple[LocalRun, str],
    corpus: Corpus,
    spoil: Callable[[Path], None],
    message: str,
) -> None:
    model = Path(shutil.copytree(uninterrupted[0].model, tmp_path / "model"))
    spoil(model)
    sign_model(model)
    done = evaluate(model, corpus, tmp_path / "report.json")
    assert done.returncode == 1
    assert message in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "report.json").exists()


def test_a_negative_number_of_tokens_is_refused(
    tmp_path: Path, uninterrupted: tuple[LocalRun, str], corpus: Corpus
) -> None:
    """As a slice it would cut the end of every document."""
    options = ("--max-document-tokens", "-5")
    done = evaluate(uninterrupted[0].model, corpus, tmp_path / "report.json", *options)
    assert done.returncode == 2 and "expected a whole number of at least 0" in done.stderr


@pytest.mark.parametrize(
    ("place", "name", "message"),
    [
        ("model", "model.safetensors", "wrong content"),
        ("corpus", "held_out_tokens/code-held.bin", "wrong content"),
        ("corpus", "tokenizer/tokenizer.json", "wrong content"),
    ],
)
def test_damaged_files_are_refused(
    tmp_path: Path, uninterrupted: tuple[LocalRun, str], corpus: Corpus, place: str, name: str, message: str
) -> None:
    shutil.copytree(uninterrupted[0].model, tmp_path / "model")
    shutil.copytree(corpus.root, tmp_path / "corpus")
    path = tmp_path / place / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    done = evaluate(
        tmp_path / "model", Corpus(tmp_path / "corpus", corpus.manifest), tmp_path / "report.json"
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert name.rpartition("/")[2] in done.stderr
    assert not (tmp_path / "report.json").exists()


def test_a_manifest_with_another_hash_is_refused(
    tmp_path: Path, uninterrupted: tuple[LocalRun, str], corpus: Corpus
) -> None:
    wrong = content_hash(b"another")
    done = evaluate(uninterrupted[0].model, corpus, tmp_path / "report.json", "--model-sha256", wrong)
    assert done.returncode == 1
    assert "the manifest changed" in done.stderr
