"""Input channels of a training job: tokenizer and token shards, checked against the corpus manifest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from include.contracts.errors import IntegrityError
from include.object_store.verification import file_entry
from training.data import PackedTokens, SampleOrder, mixture_of_present
from training.job_inputs import Job, MlRoot
from training.tokens import open_shard
from training.verification import ShardOnDisk, ShardVerification

_TOKENS = "tokens/"


@dataclass(frozen=True)
class TokenChannel:
    """Open training tokens, and the verification of their bytes, which has not begun."""

    data: PackedTokens
    verification: ShardVerification


def open_tokens(job: Job, root: MlRoot, *, verify: bool) -> TokenChannel:
    """Open the shards of the ``tokens`` channel after a check of tokenizer, sizes and indexes.

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


def sample_order(job: Job, data: PackedTokens, warn: Callable[[str], None]) -> SampleOrder:
    """Return the order of the samples of a run; warn of each subset that is left out of it unasked."""
    recipe, windows = job.recipe, data.windows()
    mixture = recipe.mixture
    if recipe.mixture_absent == "leave_out":
        mixture = mixture_of_present(recipe.mixture, windows)
    for name in sorted(set(recipe.mixture) - set(mixture)):
        warn(f"subset '{name}' of the mixture has no window: the others keep their proportions")
    if not recipe.mixture:  # a mixture names the subsets that it wants
        for subset, tokens in data.too_short().items():
            warn(f"subset '{subset}' is never trained on: its {tokens} tokens are fewer than one window")
    return SampleOrder(windows, mixture, recipe.seed)


def _check_tokenizer(job: Job, root: MlRoot) -> None:
    tokenizer = root.channel("tokenizer") / "tokenizer.json"
    # only the export needs the second file: a run without it must end before it has trained
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
