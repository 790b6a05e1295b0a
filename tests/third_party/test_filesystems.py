"""s3fs and pyarrow.fs: the file systems by which data libraries read and write S3."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import s3fs
from pyarrow import fs

from tests.third_party.conftest import Endpoint

LARGE = 12 << 20
ROWS = pa.table({"id": list(range(2000)), "part": [n % 3 for n in range(2000)]})


@pytest.fixture
def bucket(endpoint: Endpoint, files: Any) -> str:
    name = f"fs-{uuid.uuid4().hex[:8]}"
    files.mkdir(name)
    return name


@pytest.fixture
def files(endpoint: Endpoint) -> Iterator[Any]:
    s3fs.S3FileSystem.clear_instance_cache()
    yield s3fs.S3FileSystem(key="local", secret="local", endpoint_url=endpoint.url, use_listings_cache=False)


@pytest.fixture
def arrow(endpoint: Endpoint) -> fs.S3FileSystem:
    host = endpoint.url.removeprefix("http://")
    return fs.S3FileSystem(
        access_key="local", secret_key="local", endpoint_override=host, scheme="http", region="us-east-1"
    )


def test_s3fs_writes_reads_appends_and_lists(files: Any, bucket: str) -> None:
    content = bytes(range(256)) * (LARGE // 256)
    with files.open(f"{bucket}/a/large.bin", "wb", block_size=5 << 20) as file:
        file.write(content)
    with files.open(f"{bucket}/a/large.bin", "rb") as file:
        file.seek(LARGE - 10)
        assert file.read() == content[-10:]
    assert files.cat_file(f"{bucket}/a/large.bin", start=5, end=9) == content[5:9]
    with files.open(f"{bucket}/a/note.txt", "w") as text:
        text.write("one")
    with files.open(f"{bucket}/a/note.txt", "a") as text:
        text.write(" two")
    assert files.cat(f"{bucket}/a/note.txt") == b"one two"
    assert sorted(files.ls(f"{bucket}/a")) == [f"{bucket}/a/large.bin", f"{bucket}/a/note.txt"]
    assert files.glob(f"{bucket}/*/*.txt") == [f"{bucket}/a/note.txt"]
    assert files.du(f"{bucket}/a") == LARGE + 7
    assert files.info(f"{bucket}/a")["type"] == "directory"


def test_s3fs_copies_moves_and_removes(files: Any, bucket: str, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text(str(number))
    files.put(f"{tmp_path}/", f"{bucket}/put/", recursive=True)
    files.copy(f"{bucket}/put/1.txt", f"{bucket}/copied.txt")
    files.mv(f"{bucket}/put/2.txt", f"{bucket}/moved.txt")
    assert files.exists(f"{bucket}/copied.txt") and not files.exists(f"{bucket}/put/2.txt")
    files.setxattr(f"{bucket}/moved.txt", team="llm")
    assert files.metadata(f"{bucket}/moved.txt") == {"team": "llm"}
    files.rm(f"{bucket}/put", recursive=True)
    assert sorted(files.find(bucket)) == [f"{bucket}/copied.txt", f"{bucket}/moved.txt"]
    with pytest.raises(FileNotFoundError):
        files.cat(f"{bucket}/put/1.txt")
    with pytest.raises(FileExistsError):
        files.pipe_file(f"{bucket}/moved.txt", b"x", mode="create")


def test_pyarrow_writes_and_reads_a_partitioned_dataset(arrow: fs.S3FileSystem, bucket: str) -> None:
    most = {"max_rows_per_file": 500, "max_rows_per_group": 500}
    place = {"filesystem": arrow, "format": "parquet", "partitioning": ["part"]}
    ds.write_dataset(ROWS, f"{bucket}/rows", **place, **most)
    read = ds.dataset(f"{bucket}/rows", filesystem=arrow, format="parquet", partitioning=["part"])
    assert sorted(read.to_table(columns=["id"])["id"].to_pylist()) == list(range(2000))
    assert read.count_rows(filter=ds.field("part") == 1) == sum(n % 3 == 1 for n in range(2000))
    kinds = arrow.get_file_info([f"{bucket}/rows", f"{bucket}/rows/0", f"{bucket}/none"])
    assert [info.type for info in kinds] == [
        fs.FileType.Directory,
        fs.FileType.Directory,
        fs.FileType.NotFound,
    ]


def test_pyarrow_streams_seeks_copies_moves_and_deletes(arrow: fs.S3FileSystem, bucket: str) -> None:
    content = bytes(range(256)) * (LARGE // 256)
    with arrow.open_output_stream(f"{bucket}/large.bin", metadata={"Content-Type": "text/x"}) as stream:
        stream.write(content)
    with arrow.open_input_file(f"{bucket}/large.bin") as file:
        assert file.size() == LARGE
        file.seek(LARGE - 4)
        assert file.read(4) == content[-4:]
        assert file.metadata()["Content-Type"] == b"text/x"
    arrow.copy_file(f"{bucket}/large.bin", f"{bucket}/copy.bin")
    arrow.move(f"{bucket}/copy.bin", f"{bucket}/sub/moved.bin")
    found = arrow.get_file_info(fs.FileSelector(bucket, recursive=True))
    assert sorted(info.path for info in found if info.is_file) == [
        f"{bucket}/large.bin",
        f"{bucket}/sub/moved.bin",
    ]
    arrow.delete_dir(f"{bucket}/sub")
    arrow.delete_file(f"{bucket}/large.bin")
    assert [
        info for info in arrow.get_file_info(fs.FileSelector(bucket, recursive=True)) if info.is_file
    ] == []


def test_what_one_library_writes_the_other_reads(arrow: fs.S3FileSystem, files: Any, bucket: str) -> None:
    pq.write_table(ROWS, f"{bucket}/one.parquet", filesystem=arrow)
    with files.open(f"{bucket}/one.parquet", "rb") as file:
        assert pq.read_table(file).equals(ROWS)
    pq.write_table(ROWS, f"{bucket}/two.parquet", filesystem=files)
    assert pq.read_table(f"{bucket}/two.parquet", filesystem=arrow).equals(ROWS)


def test_a_missing_bucket_and_a_missing_file_are_said(arrow: fs.S3FileSystem, bucket: str) -> None:
    with pytest.raises(FileNotFoundError):
        arrow.open_input_file(f"{bucket}/none")
    with pytest.raises(OSError, match=r"NoSuchBucket|does not exist|404|NOT_FOUND"):
        arrow.open_output_stream("no-such-bucket-anywhere/x").close()
