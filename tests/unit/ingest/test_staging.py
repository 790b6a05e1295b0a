"""What an announced size does to the parts of an upload."""

from __future__ import annotations

import pytest

from include.ingest.errors import SourceRefused
from include.ingest.ranges import Validator
from include.ingest.staging import StagedUpload

MEBI = 1 << 20


@pytest.fixture
def stage() -> StagedUpload:
    """Nothing kept yet, and no S3 behind it."""
    stage = StagedUpload.__new__(StagedUpload)
    stage._url, stage._wanted_part_bytes = "http://server/x", 16 * MEBI
    return stage


@pytest.mark.parametrize(("size", "part"), [(None, 16 * MEBI), (10**9, 16 * MEBI), (10**12, 10**8)])
def test_parts_are_large_enough_for_the_file(stage: StagedUpload, size: int | None, part: int) -> None:
    stage.adopt(Validator("", "", size))
    assert stage._part_bytes == part


def test_more_than_s3_takes_is_refused_before_a_byte_is_kept(stage: StagedUpload) -> None:
    with pytest.raises(SourceRefused, match="more than S3 takes"):
        stage.adopt(Validator("", "", 99_999_999_999_999_999))
