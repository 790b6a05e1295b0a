from __future__ import annotations

import pytest

from include.contracts.errors import ContractError
from include.contracts.manifests import CorpusManifest, FileEntry, ModelManifest, ParentRef, TrainingRequest
from include.contracts.records import from_plain, to_plain


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../../x", "documents/x\ns3://other/secret.parquet", "a\0b"]
)
def test_a_file_of_a_manifest_is_in_its_folder_and_on_one_line(path: str) -> None:
    with pytest.raises(ContractError):
        FileEntry(path, 1, "0" * 64)


def test_a_name_in_any_script_is_a_name() -> None:
    assert FileEntry("tokens/日本語 (1)-00000.bin", 1, "0" * 64).path


def test_a_corpus_manifest_of_before_personal_data_was_counted_is_read() -> None:
    manifest = CorpusManifest(
        version="v", root_uri="s3://b/v/", request=ParentRef("s3://b/r.json", "a" * 64), documents_in=1,
        documents_kept=1, documents_held_out=0, dropped={}, tokens=1, tokens_held_out=0, subsets={},
        tokenizer_sha256="", vocabulary_size=258, token_dtype="uint16", end_of_text_id=0, shards=(),
        held_out_shards=(), files=(), scrubbed={"emails": 1},
    )  # fmt: skip
    plain = to_plain(manifest)
    assert from_plain(CorpusManifest, plain, where="here") == manifest
    del plain["scrubbed"]
    assert from_plain(CorpusManifest, plain, where="here").scrubbed == {}


PARENT = ParentRef("s3://bucket/manifest.json", "a" * 64)


@pytest.mark.parametrize(
    "run", ["", ".", "..", "../other", "a/b", "-x", "a b", "a\nb", "a\0", "é", "a" * 129]
)
def test_a_run_whose_name_is_no_folder_is_refused(run: str) -> None:
    with pytest.raises(ContractError, match="not the name of a run"):
        ModelManifest("safetensors", run, 1, PARENT, PARENT, 1, 8, ())
    with pytest.raises(ContractError, match="not the name of a run"):
        TrainingRequest(run, "s3://bucket/runs/r/", PARENT, {})


@pytest.mark.parametrize("run", ["r", "Scheduled__2026-01-01T00.00-1a2b", "a" * 128])
def test_the_names_of_runs_are_accepted(run: str) -> None:
    assert ModelManifest("safetensors", run, 1, PARENT, PARENT, 1, 8, ()).run == run
