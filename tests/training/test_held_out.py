"""Held-out documents are read only if their list has as many entries as their tokens."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from include.contracts.errors import IntegrityError
from include.object_store import Folder
from include.object_store.verification import file_entry
from tests.training.corpora import Corpus
from training.held_out import fetch_held_out


@pytest.mark.parametrize("listed", [14, 16])
def test_a_list_of_documents_that_differs_from_the_tokens_is_refused(
    tmp_path: Path, corpus: Corpus, listed: int
) -> None:
    """Fewer entries would silently leave documents out of the loss."""
    root = Path(shutil.copytree(corpus.root, tmp_path / "corpus"))
    path = root / "held_out_tokens/code-held.documents.parquet"
    table = pq.read_table(path)
    pq.write_table(table.take([*range(15), 0][:listed]), path)
    files = tuple(file_entry(root / entry.path, entry.path) for entry in corpus.manifest.files)
    manifest = replace(corpus.manifest, root_uri=f"{root}/", files=files)
    with pytest.raises(IntegrityError, match=f"documents.parquet: .*expected 15 documents; got {listed}"):
        fetch_held_out(Folder(str(root)), manifest, tmp_path / "target", 0)
