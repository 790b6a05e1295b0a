"""One rank of a training run; the launcher starts it.

    python -m training.loop --request s3://nexus-llm-models/runs/<run>/training_request.json

Prints ``step=… loss=… tokens_per_second=…`` once a step. Exit codes: 0 the model is in storage, 143
interrupted by SIGTERM and a checkpoint of the last step is in storage, 1 an error.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from include.contracts.errors import IntegrityError, NexusError
from include.contracts.records import canonical_json, content_hash
from training.checkpoint import (
    CheckpointSaver,
    CheckpointStore,
    Identity,
    Progress,
    TrainerState,
    restore,
)
from training.data import PackedTokens, SampleOrder, mixture_of_present, rank_positions
from training.export.safetensors import export_model
from training.model import build_model, build_optimiser, learning_rate, shard_model
from training.places import EXIT_INTERRUPTED, Job, MlRoot, read_job
from training.ranks import ERRORS, Agreement, RankPlace, describe, join
from training.storage import file_entry
from training.tokens import open_shard


class Interruption:
    """Remembers SIGTERM and SIGINT; the loop asks once a step, so that a step is never torn."""

    def __init__(self) -> None:
        self.requested = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._request)

    def _request(self, number: int, frame: object) -> None:
        self.requested = True


@dataclass
class Trainer:
    """Everything of a run that one rank holds."""

    job: Job
    root: MlRoot
    place: RankPlace
    ranks: Agreement
    saving: Agreement
    interruption: Interruption
    device: torch.device

    def run(self) -> int:
        """Train from the newest checkpoint to the last step, then export; returns the exit code."""
        begun = time.monotonic()
        recipe, corpus = self.job.recipe, self.job.corpus
        data = open_tokens(self.job, self.root)
        order = self._order(data)
        base = self.root.channel("base_model") if self.job.request.base_model_uri else None
        model = build_model(recipe, corpus.vocabulary_size, corpus.end_of_text_id, base)
        shard_model(model, self.place.world_size, self.device)
        optimiser = build_optimiser(model, recipe.optimiser)
        store = CheckpointStore(self.job.checkpoints)
        identity = Identity(content_hash(canonical_json(recipe)), self.job.request.corpus.sha256)
        progress = self._resume(store, identity, model, optimiser)
        saver = CheckpointSaver(
            store, identity, self.root.scratch, self.saving, recipe.keep_checkpoints, warn
        )
        # seconds of this process count from its start, those of earlier ones come with the checkpoint
        begun -= progress.trainer.seconds
        while progress.step < recipe.steps:
            step_begun = time.monotonic()
            loss = self._step(progress.step, model, optimiser, data, order)
            progress = self._advance(progress, loss, time.monotonic() - begun)
            self._report(progress, time.monotonic() - step_begun)
            saver.check()
            stop = self.ranks.any_true(self.interruption.requested)
            if stop or progress.step % recipe.checkpoint_every_steps == 0 or progress.step == recipe.steps:
                held_up = saver.start(model, optimiser, progress)
                self._say(f"checkpoint: step_{progress.step} held_up_seconds={held_up:.3f}")
            if stop:
                break
        saver.wait()
        if progress.step < recipe.steps:
            self._say(f"interrupted: checkpoint step_{progress.step} is complete")
            return EXIT_INTERRUPTED
        export_model(model, self.job, self.root, progress, store, self.ranks)
        self._say(f"done: {self.job.run.uri('model/manifest.json')}")
        return 0

    def _order(self, data: PackedTokens) -> SampleOrder:
        """The samples of this run, after a warning for each subset that is not among them unasked."""
        recipe, windows, first = self.job.recipe, data.windows(), self.place.rank == 0
        mixture = recipe.mixture
        if recipe.mixture_absent == "leave_out":
            mixture = mixture_of_present(recipe.mixture, windows)
        for name in sorted(set(recipe.mixture) - set(mixture)) if first else ():
            warn(f"subset '{name}' of the mixture has no window: the others keep their proportions")
        if first and not recipe.mixture:  # a mixture names what it wants
            warn_of_short_subsets(data)
        return SampleOrder(windows, mixture, recipe.seed)

    def _resume(
        self,
        store: CheckpointStore,
        identity: Identity,
        model: torch.nn.Module,
        optimiser: torch.optim.Optimizer,
    ) -> Progress:
        """Progress of the newest whole checkpoint, now loaded, or of a run not yet begun."""
        found = restore(store, identity, self.root.scratch, self.ranks, model, optimiser, warn)
        if found is None:
            return Progress(0, 0, 0, TrainerState(math.nan, math.nan, 0.0, self.place.threads))
        if found.step < self.job.recipe.steps:
            self.ranks.from_first(lambda: store.record_resume(found.step))
        self._say(f"resumed_at_step={found.step}")
        return found

    def _step(
        self,
        step: int,
        model: torch.nn.Module,
        optimiser: torch.optim.Optimizer,
        data: PackedTokens,
        order: SampleOrder,
    ) -> float:
        """One optimiser step on the global batch; returns its mean loss in nats per token, on every rank."""
        recipe, ranks = self.job.recipe, self.place.world_size
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(recipe.optimiser, step, recipe.steps)
        tokens_in_batch = recipe.batch_sequences * recipe.model.context_length
        total = torch.zeros((), dtype=torch.float64)
        for positions in rank_positions(
            step, recipe.batch_sequences, recipe.micro_batch_sequences, self.place.rank, ranks
        ):
            windows = torch.stack([torch.from_numpy(data.read(order.sample(p))) for p in positions])
            windows = windows.to(self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
                logits = model(input_ids=windows[:, :-1], use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(
                logits.float().flatten(0, 1), windows[:, 1:].flatten(), reduction="sum"
            )
            # FSDP averages the gradients of the ranks; the batch's mean wants their sum
            mean: Any = loss * (ranks / tokens_in_batch)
            mean.backward()
            total += loss.detach().double().cpu()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.optimiser.gradient_clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        dist.all_reduce(total, group=self.ranks.group)
        return float(total) / tokens_in_batch

    def _advance(self, progress: Progress, loss: float, seconds: float) -> Progress:
        recipe = self.job.recipe
        if not math.isfinite(loss):
            raise NexusError(
                "the loss is not finite",
                where=f"step {progress.step + 1}",
                got=str(loss),
                remedy="lower optimiser.learning_rate or optimiser.gradient_clip and start a new run",
            )
        first = loss if progress.step == 0 else progress.trainer.loss_first
        return Progress(
            step=progress.step + 1,
            tokens_seen=progress.tokens_seen + recipe.batch_sequences * recipe.model.context_length,
            data_position=(progress.step + 1) * recipe.batch_sequences,
            trainer=TrainerState(first, loss, seconds, self.place.threads),
        )

    def _report(self, progress: Progress, step_seconds: float) -> None:
        recipe = self.job.recipe
        rate = recipe.batch_sequences * recipe.model.context_length / step_seconds
        # nine digits tell any two float32 losses apart
        self._say(f"step={progress.step} loss={progress.trainer.loss_last:.9g} tokens_per_second={rate:.0f}")
        if progress.step % max(1, recipe.steps // 100) == 0 or progress.step == recipe.steps:
            self._say(f"progress: train {progress.step}/{recipe.steps} steps")

    def _say(self, line: str) -> None:
        if self.place.rank == 0:
            print(line, flush=True)


def open_tokens(job: Job, root: MlRoot) -> PackedTokens:
    """The training shards of the ``tokens`` channel and the tokenizer, checked against the manifest."""
    corpus = job.corpus
    entries = {entry.path: entry for entry in corpus.files}
    folder = root.channel("tokens")
    tokenizer = root.channel("tokenizer") / "tokenizer.json"
    # the export wants the second: told now, and not when the model is trained
    for path in (tokenizer, tokenizer.with_name("tokenizer_config.json")):
        if not path.is_file():
            raise IntegrityError("is missing", where=str(path), remedy="give the channel all of tokenizer/")
    found = file_entry(tokenizer, tokenizer.name).sha256
    if found != corpus.tokenizer_sha256:
        raise IntegrityError(
            "is not the corpus' tokenizer", where=str(tokenizer), expected=corpus.tokenizer_sha256, got=found
        )
    shards = [
        (shard.subset, open_shard(folder, shard, entries, "tokens/", full=False)) for shard in corpus.shards
    ]
    return PackedTokens(shards, job.recipe.model.context_length)


def warn_of_short_subsets(data: PackedTokens) -> None:
    """One line for each subset that has no window, and so is never trained on."""
    for subset, tokens in data.too_short().items():
        warn(f"subset '{subset}' is never trained on: its {tokens} tokens are fewer than one window")


def warn(text: str) -> None:
    """A line that an operator should see."""
    print(f"warning: {text}", flush=True)


def end_with_launcher() -> None:
    """End at once when the launcher is gone: an orphan must not go on writing checkpoints.

    The launcher holds the other end of standard input and never writes to it.
    """

    def wait() -> None:
        os.read(0, 1)  # unbuffered: a lock held here would abort a normal exit
        os._exit(1)

    threading.Thread(target=wait, name="launcher-watch", daemon=True).start()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one rank whose place is in the environment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--request", required=True)
    arguments = parser.parse_args(argv)
    interruption = Interruption()
    end_with_launcher()
    place = RankPlace.from_environment()
    torch.set_num_threads(place.threads)
    torch.use_deterministic_algorithms(True)
    try:
        ranks, saving = join(place)
        job = ranks.together(lambda: read_job(arguments.request))[place.rank]
        device = torch.device("cuda", place.local_rank) if torch.cuda.is_available() else torch.device("cpu")
        code = Trainer(job, MlRoot.from_environment(), place, ranks, saving, interruption, device).run()
        dist.destroy_process_group()
    except ERRORS as error:
        text = describe(error)
        if not isinstance(error, NexusError):
            traceback.print_exc()
        print(f"error: rank {place.rank}: {text}", file=sys.stderr, flush=True)
        if path := os.environ.get("NEXUS_RANK_FAILURE"):
            Path(path).write_text(text)
        return 1
    return code


if __name__ == "__main__":
    exit_code = main()
    if exit_code == 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)  # a saving thread may wait for a rank that is gone, and would hold up a normal exit
    raise SystemExit(exit_code)
