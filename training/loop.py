"""Runs one rank of a training run. The launcher starts it.

    python -m training.loop --request s3://nexus-llm-models/runs/<run>/training_request.json

It prints ``step=… loss=… tokens_per_second=…`` after each step. Exit codes: 0 the model is in storage; 143
the run was interrupted by SIGTERM, and a checkpoint of the last step is in storage; 1 an error.
"""

from __future__ import annotations

import argparse
import functools
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

import torch
import torch.distributed as dist

from include.contracts.errors import NexusError
from include.contracts.manifests import TRAINING_REQUEST_SHA256
from training.base_model import shape_of
from training.checkpoint import CheckpointSaver
from training.checkpoint_store import CheckpointStore, TrainerState, TrainingProgress
from training.export.safetensors import export_model
from training.heartbeat import Heartbeat, connect
from training.identity import CheckpointIdentity
from training.job_inputs import EXIT_INTERRUPTED, MlRoot, TrainingJob, read_training_job
from training.memory import keep_freed_memory
from training.model import build_model, shard_model
from training.optimiser import build_optimiser
from training.ranks import ERRORS, Agreement, RankPosition, describe, join
from training.restore import Restorer
from training.step import Stepper, StepResult
from training.token_channel import open_tokens, sample_order
from training.verification import ShardVerification


class Interruption:
    """Records SIGTERM and SIGINT. The loop checks it after each step, so that every step is completed."""

    def __init__(self) -> None:
        self.requested = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._request)

    def _request(self, number: int, frame: object) -> None:
        self.requested = True


@dataclass
class Trainer:
    """The training run as one rank sees it."""

    job: TrainingJob
    root: MlRoot
    position: RankPosition
    ranks: Agreement
    saving: Agreement
    interruption: Interruption
    device: torch.device
    beats: Heartbeat

    def run(self) -> int:
        """Train from the newest usable checkpoint to the last step, then export. Return the exit code."""
        begun = time.monotonic()
        recipe = self.job.recipe
        channel = open_tokens(self.job, self.root, verify=self.position.local_rank == 0)
        order = sample_order(self.job, channel.data, self._warn)
        base_uri = self.job.request.base_model_uri
        model = build_model(recipe, self.job.corpus, self.root.channel("base_model") if base_uri else None)
        shape = shape_of(model.config, recipe.model.context_length)
        identity = CheckpointIdentity.of(recipe, shape, base_uri, self.job.request.corpus.sha256)
        shard_model(model, self.position.world_size, self.device)
        optimiser = build_optimiser(model, recipe.optimiser)
        store = CheckpointStore(self.job.checkpoints)
        restorer = Restorer(
            store, identity, self.root.scratch, self.ranks, recipe.micro_batch_sequences, self._warn
        )
        progress = self._resume(restorer, model, optimiser)
        channel.verification.start()  # after the checkpoint's download, which it would slow down
        saver = CheckpointSaver(
            store,
            identity,
            self.root.scratch,
            self.saving,
            recipe.keep_checkpoints,
            self._warn,
            before_marker=channel.verification.wait,
        )
        stepper = Stepper(
            recipe, model, optimiser, channel.data, order, self.ranks, self.device, self.beats.advance
        )
        # the checkpoint holds the seconds of earlier processes
        begun -= progress.trainer.seconds
        progress = self._train(stepper, saver, channel.verification, progress, begun)
        saver.wait()
        if progress.step < recipe.steps:
            self._say(f"interrupted: checkpoint step_{progress.step} is complete")
            return EXIT_INTERRUPTED
        self.ranks.together(channel.verification.wait)
        export_model(model, self.job, self.root, progress, store, self.ranks)
        self._say(f"done: {self.job.run.uri('model/manifest.json')}")
        return 0

    def _resume(
        self, restorer: Restorer, model: torch.nn.Module, optimiser: torch.optim.Optimizer
    ) -> TrainingProgress:
        """Load the newest usable checkpoint. Return its progress, or that of a new run."""
        found = restorer.restore(model, optimiser)
        if found is None:
            return TrainingProgress(0, 0, 0, TrainerState(math.nan, math.nan, 0.0, self.position.threads))
        if found.step < self.job.recipe.steps:
            self.ranks.from_first(lambda: restorer.store.record_resume(found.step))
        self._say(f"resumed_at_step={found.step}")
        return found

    def _train(
        self,
        stepper: Stepper,
        saver: CheckpointSaver,
        verification: ShardVerification,
        progress: TrainingProgress,
        begun: float,
    ) -> TrainingProgress:
        """Run the remaining steps until an interruption, and save checkpoints."""
        recipe = self.job.recipe
        while progress.step < recipe.steps:
            step_begun = time.monotonic()
            result = stepper.run(progress.step)
            progress = self._advance(progress, result, time.monotonic() - begun)
            self._report(progress, result, time.monotonic() - step_begun)
            saver.check()
            self.beats.advance()
            interrupted, damaged = self.ranks.sum([self.interruption.requested, verification.failed])
            if damaged:
                self.ranks.together(verification.check)
            if (
                interrupted
                or progress.step % recipe.checkpoint_every_steps == 0
                or progress.step == recipe.steps
            ):
                held_up = saver.start(stepper.model, stepper.optimiser, progress)
                self._say(f"checkpoint: step_{progress.step} held_up_seconds={held_up:.3f}")
            if interrupted:
                break
        return progress

    def _advance(self, progress: TrainingProgress, result: StepResult, seconds: float) -> TrainingProgress:
        """Return the progress after a step. Raises NexusError after too many steps without a change."""
        recipe, before = self.job.recipe, progress.trainer
        step = progress.step + 1
        in_a_row = 0 if result.applied else before.skipped_in_a_row + 1
        # a run of few steps must not succeed with its initial weights
        if in_a_row > min(recipe.max_skipped_steps, recipe.steps - 1):
            raise NexusError(
                f"loss or gradient was not finite in {in_a_row} consecutive steps",
                where=f"step {step}",
                expected=f"at most max_skipped_steps ({recipe.max_skipped_steps}) such steps in a row",
                got=f"loss {result.loss:g}, gradient norm {result.gradient_norm:g}",
                remedy="look at the data of these steps; for a new run, lower optimiser.learning_rate or "
                "optimiser.gradient_clip",
            )
        first = before.loss_first if math.isfinite(before.loss_first) else result.loss
        return TrainingProgress(
            step=step,
            tokens_seen=progress.tokens_seen + recipe.batch_sequences * recipe.model.context_length,
            data_position=step * recipe.batch_sequences,
            trainer=TrainerState(
                loss_first=first if result.applied else before.loss_first,
                loss_last=result.loss if result.applied else before.loss_last,
                seconds=seconds,
                threads=self.position.threads,
                micro_batch_sequences=recipe.micro_batch_sequences,
                skipped_steps=before.skipped_steps + (not result.applied),
                skipped_in_a_row=in_a_row,
            ),
        )

    def _report(self, progress: TrainingProgress, result: StepResult, step_seconds: float) -> None:
        recipe, step = self.job.recipe, progress.step
        speed = recipe.batch_sequences * recipe.model.context_length / step_seconds
        # nine digits distinguish any two float32 losses
        self._say(
            f"step={step} loss={result.loss:.9g} tokens_per_second={speed:.0f} "
            f"gradient_norm={result.gradient_norm:.6g} learning_rate={result.learning_rate:.6g}"
        )
        if not result.applied:
            self._warn(
                f"step {step} is skipped, because its loss or gradient is not finite: no weight changed "
                f"({progress.trainer.skipped_in_a_row} of at most {recipe.max_skipped_steps} steps in a row)"
            )
        if step % max(1, recipe.steps // 100) == 0 or step == recipe.steps:
            self._say(f"progress: train {step}/{recipe.steps} steps")

    def _warn(self, text: str) -> None:
        self._say(f"warning: {text}")

    def _say(self, line: str) -> None:
        if self.position.rank == 0:
            print(line, flush=True)


def end_process(rank: int, reason: str) -> None:
    """Write the reason to the launcher's failure file and end this process immediately."""
    print(f"error: rank {rank}: {reason}", file=sys.stderr)
    if path := os.environ.get("NEXUS_RANK_FAILURE"):
        Path(path).write_text(reason)
    sys.stdout.flush()
    os._exit(1)


def end_with_launcher() -> None:
    """End this process when the launcher ends, because an orphaned rank must not write checkpoints.

    The launcher holds the other end of standard input and never writes to it.
    """

    def wait() -> None:
        os.read(0, 1)  # unbuffered, because a buffer's lock held here would abort a normal exit
        os._exit(1)

    threading.Thread(target=wait, name="launcher-watch", daemon=True).start()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the rank that the environment describes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--request", required=True)
    arguments = parser.parse_args(argv)
    interruption = Interruption()
    end_with_launcher()
    position = RankPosition.from_environment()
    end = functools.partial(end_process, position.rank)
    beats = connect(position, end)
    torch.set_num_threads(position.threads)
    torch.use_deterministic_algorithms(True)
    # it would write over every new tensor to show reads of memory that nobody wrote, and there are none
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if not torch.cuda.is_available():
        keep_freed_memory()
    try:
        ranks, saving = join(position)
        sha256 = os.environ.get(TRAINING_REQUEST_SHA256, "")
        job = ranks.together(lambda: read_training_job(arguments.request, sha256))[position.rank]
        device = (
            torch.device("cuda", position.local_rank) if torch.cuda.is_available() else torch.device("cpu")
        )
        root = MlRoot.from_environment()
        code = Trainer(job, root, position, ranks, saving, interruption, device, beats).run()
        dist.destroy_process_group()
        beats.leave()
    except ERRORS as error:
        if not isinstance(error, NexusError):
            traceback.print_exc()
        # a saving thread may wait for a rank that has ended, and would block a normal exit
        end(describe(error))
    return code


if __name__ == "__main__":
    raise SystemExit(main())
