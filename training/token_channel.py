"""Opens a job's input channels with tokenizer and tokens, and checks them against the corpus manifest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from include.contracts.errors import IntegrityError
from include.object_store.verification import file_entry
from training.job_inputs import MlRoot, TrainingJob
from training.packed_tokens import PackedTokens
from training.sample_order import SampleOrder, mixture_of_present
from training.tokens import open_shard
from training.verification import ShardOnDisk, ShardVerification

_TOKENS = "tokens/"


@dataclass(frozen=True)
class TokenChannel:
    """The opened training tokens, and the verification of their bytes, which is not started yet."""

    data: PackedTokens
    verification: ShardVerification


def open_tokens(job: TrainingJob, root: MlRoot, *, verify: bool) -> TokenChannel:
    """Open the shards of the ``tokens`` channel, and check the tokenizer, sizes and indexes.

    ``verify`` is True on the one rank of each host that hashes the token files.
    """
    corpus = job.corpus
    _check_tokenizer(job, root)
    entries = {entry.path: entry for entry in corpus.files}
    folder = root.channel("tokens")
    shards = [
        (shard.subset, open_shard(folder, shard, entries, _TOKENS, full=False)) for shard in corpus.shards
    ]
    on_disk = [
        ShardOnDisk(file, folder / f"{file.name}.bin", entries[f"{_TOKENS}{file.name}.bin"])
        for _, file in shards
        if verify
    ]
    data = PackedTokens(shards, job.recipe.model.context_length, corpus.vocabulary_size)
    return TokenChannel(data, ShardVerification(on_disk, corpus.vocabulary_size))


def sample_order(job: TrainingJob, data: PackedTokens, warn: Callable[[str], None]) -> SampleOrder:
    """Return the order of a run's samples. Warn for each subset without a window."""
    recipe, windows = job.recipe, data.windows()
    mixture = recipe.mixture
    if recipe.mixture_absent == "leave_out":
        mixture = mixture_of_present(recipe.mixture, windows)
    for name in sorted(set(recipe.mixture) - set(mixture)):
        warn(
            f"subset '{name}' of the mixture has no window and is left out; the others keep their proportions"
        )
    if not recipe.mixture:  # without a mixture, all subsets are meant to be used
        for subset, tokens in data.too_short().items():
            warn(f"subset '{subset}' is left out: its {tokens} tokens are fewer than one window")
    return SampleOrder(windows, mixture, recipe.seed)


def _check_tokenizer(job: TrainingJob, root: MlRoot) -> None:
    tokenizer = root.channel("tokenizer") / "tokenizer.json"
    # only the export needs the second file, but without it the run must fail before it has trained
    for path in (tokenizer, tokenizer.with_name("tokenizer_config.json")):
        if not path.is_file():
            raise IntegrityError(
                "is missing", where=str(path), remedy="give the channel all files of tokenizer/"
            )
    found = file_entry(tokenizer, tokenizer.name).sha256
    if found != job.corpus.tokenizer_sha256:
        raise IntegrityError(
            "is not the tokenizer of the corpus",
            where=str(tokenizer),
            expected=f"SHA-256 {job.corpus.tokenizer_sha256}",
            got=found,
            remedy="give the channel the tokenizer/ folder of the corpus version",
        )
