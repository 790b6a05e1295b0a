"""Exports a finished run: safetensors, configuration, tokenizer, report, and the manifest last."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from include.contracts.manifests import ModelManifest, TrainingReport
from include.contracts.records import canonical_json
from training.finite import require_finite
from training.job_inputs import RUN_KEYS, MlRoot, TrainingJob
from training.model_store import publish_model

if TYPE_CHECKING:
    from training.checkpoint_store import CheckpointStore, TrainingProgress
    from training.ranks import Agreement


def export_model(
    model: Any,
    job: TrainingJob,
    root: MlRoot,
    progress: TrainingProgress,
    store: CheckpointStore,
    ranks: Agreement,
) -> None:
    """Gather the weights on rank 0 and write the model folder and the training report.

    Raises IntegrityError on every rank, and writes no file, if a weight is not finite.
    """
    weights: dict[str, Any] = get_model_state_dict(
        model, options=StateDictOptions(full_state_dict=True, cpu_offload=True)
    )

    def write() -> None:
        require_finite(weights.items(), where=f"model of step {progress.step}", remedy="start the run again")
        folder = root.scratch / "model"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _write_model(folder, weights, model.config, job.corpus.end_of_text_id)
        copy_tokenizer(root.channel("tokenizer"), folder, job.recipe.model.context_length)
        report = TrainingReport(
            run=job.request.run,
            steps=progress.step,
            resumed_at_steps=store.resumes(),
            loss_first=progress.trainer.loss_first,
            loss_last=progress.trainer.loss_last,
            tokens_seen=progress.tokens_seen,
            seconds=progress.trainer.seconds,
            skipped_steps=progress.trainer.skipped_steps,
        )
        job.run.write(RUN_KEYS.training_report.key, canonical_json(report))
        manifest = ModelManifest(
            format="safetensors",
            run=job.request.run,
            step=progress.step,
            parent=store.marker_reference(progress.step),
            corpus=job.request.corpus,
            parameters=sum(int(tensor.numel()) for tensor in _untied(weights, model.config).values()),
            context_length=job.recipe.model.context_length,
            files=(),
        )
        publish_model(folder, job.run.uri(RUN_KEYS.model.key), manifest)
        shutil.rmtree(folder)

    ranks.from_first(write)


def copy_tokenizer(source: Path, target: Path, context_length: int) -> None:
    """Copy the tokenizer of the corpus, and set the context length in its configuration."""
    for path in sorted(p for p in source.iterdir() if p.is_file()):
        shutil.copyfile(path, target / path.name)
    configuration = target / "tokenizer_config.json"
    content = json.loads(configuration.read_bytes()) | {"model_max_length": context_length}
    configuration.write_bytes(canonical_json(content))


def _write_model(folder: Path, weights: dict[str, Any], config: Any, end_of_text_id: int) -> None:
    from safetensors.torch import save_file
    from transformers import GenerationConfig

    tensors = {name: tensor.contiguous() for name, tensor in _untied(weights, config).items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config.architectures = ["LlamaForCausalLM"]
    config.dtype = torch.float32
    # the corpus's end-of-text token replaces that of the base model, which may have several
    config.eos_token_id = end_of_text_id
    config.save_pretrained(folder)
    generation = GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=config.bos_token_id, eos_token_id=end_of_text_id, pad_token_id=end_of_text_id
    )
    generation.save_pretrained(folder)


def _untied(weights: dict[str, Any], config: Any) -> dict[str, Any]:
    """Return the state without the output matrix if it is tied to the embedding."""
    return {k: v for k, v in weights.items() if not (config.tie_word_embeddings and k == "lm_head.weight")}
