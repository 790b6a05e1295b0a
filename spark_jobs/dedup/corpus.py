"""The documents of one corpus version, as the input of deduplication."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from include.object_store import STORE
from include.object_store.locations import join
from include.recipes.corpus import CorpusRecipe
from spark_jobs.cleaning.task import CleanFile
from spark_jobs.corpus_version.layout import VersionLayout
from spark_jobs.dedup.partitions import Partitions, SignatureFile, documents_of, starts_of

#: Bytes of band keys that one task decides on; a corpus with more is divided.
ONE_TASK_BYTES = 256 * 2**20

#: Bytes of band keys in one partition of a divided corpus. A task takes about ten times as much memory.
PARTITION_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Corpus:
    """The documents of ``files``, and those of the base, which are numbered below ``first_new``."""

    layout: VersionLayout
    recipe: CorpusRecipe
    files: Sequence[CleanFile]
    first_new: int = 0
    #: Documents that the base keeps: the rows of its index.
    known: int = 0
    #: Names of the shards of the base and of this version, by the index of the shard.
    shard_names: Sequence[str] = ()

    @property
    def documents(self) -> int:
        """The number of documents, those of the base included."""
        return self.known + sum(file.documents for file in self.files)

    @property
    def text_bytes(self) -> int:
        """The size of the texts of this version."""
        return sum(file.text_bytes for file in self.files)

    @property
    def fits_one_task(self) -> bool:
        """True if the band keys are at most ONE_TASK_BYTES."""
        return self.documents * self._document_bytes <= ONE_TASK_BYTES

    @property
    def _document_bytes(self) -> int:
        return 8 * self.recipe.near_dedup.bands

    def one_partition(self) -> Partitions:
        """Put all documents into one partition."""
        uris = (*STORE.uris(self.layout.index), *self._own_signatures)
        return Partitions(self.layout, self.recipe, (uris,), (0,), self.first_new)

    def several_partitions(self, tasks: int) -> Partitions:
        """Divide the documents into ``tasks`` partitions, or more where these would be too large."""
        # The index holds what the base keeps. This version's own index does not exist yet.
        index = documents_of(STORE.uris(self.layout.index))
        counts = [file.documents for file in self.files]
        own = [SignatureFile(*file) for file in zip(self._own_signatures, counts, strict=True)]
        size = self.documents * self._document_bytes
        groups = _grouped([*index, *own], max(tasks, -(-size // PARTITION_BYTES)))
        return Partitions(self.layout, self.recipe, groups, starts_of(groups), self.first_new)

    @property
    def _own_signatures(self) -> list[str]:
        return [join(self.layout.signatures, file.name) for file in self.files]


def _grouped(files: Sequence[SignatureFile], groups: int) -> tuple[tuple[str, ...], ...]:
    """Divide files, in their order, into at most ``groups`` groups of about as many documents."""
    total = sum(file.documents for file in files)
    grouped: dict[int, list[str]] = {}
    before = 0
    for file in files:
        middle = before + file.documents / 2
        grouped.setdefault(int(middle * groups / total), []).append(file.uri)
        before += file.documents
    return tuple(tuple(group) for group in grouped.values())
