"""The token shards of a corpus as megatron-core reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from megatron.core.datasets.indexed_dataset import IndexedDataset

if TYPE_CHECKING:
    from conftest import Made


@pytest.mark.parametrize("mmap", [True, False])
def test_every_sequence_is_a_document_with_the_same_tokens(made: Made, mmap: bool) -> None:
    read = 0
    for files, ours in made.read():
        theirs = IndexedDataset(str(made.tokens / files.shard.name), mmap=mmap)
        assert len(theirs) == len(ours.ids) == files.shard.documents
        assert theirs.document_indices.tolist() == list(range(files.shard.documents + 1))
        assert theirs.sequence_lengths.tolist() == ours.lengths.tolist()
        for i in range(len(theirs)):
            assert theirs[i].dtype == made.manifest.token_dtype
            assert np.array_equal(theirs[i], ours.tokens[ours.starts[i] : ours.starts[i + 1]])
        read += sum(len(theirs[i]) for i in range(len(theirs)))
    held_out = made.split == "held_out_tokens"
    assert read == (made.manifest.tokens_held_out if held_out else made.manifest.tokens)


def test_a_window_within_a_document_is_the_one_that_was_asked_for(made: Made) -> None:
    files, ours = max(made.read(), key=lambda one: int(one[1].lengths.max()))
    theirs = IndexedDataset(str(made.tokens / files.shard.name))
    longest = int(ours.lengths.argmax())
    start = int(ours.starts[longest]) + 100
    assert theirs.get(longest, offset=100, length=200).tolist() == ours.tokens[start : start + 200].tolist()
