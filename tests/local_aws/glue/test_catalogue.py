"""Tables and partitions registered directly: what the project asks, answered as Glue answers."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

STORAGE = {
    "Columns": [{"Name": "id", "Type": "string"}],
    "Location": "s3://lake/catalogue/documents/",
    "InputFormat": "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}
TABLE: dict[str, Any] = {
    "Name": "documents",
    "TableType": "EXTERNAL_TABLE",
    "PartitionKeys": [{"Name": "corpus_version", "Type": "string"}],
    "StorageDescriptor": STORAGE,
}
PLACE = {"DatabaseName": "registered", "TableName": "documents"}
PARTITION = {"Values": ["v1"], "StorageDescriptor": STORAGE, "Parameters": {"manifest_sha256": "a"}}


@pytest.fixture
def glue(shared_local_aws: Any) -> Any:
    client = shared_local_aws.client("glue")
    client.create_database(DatabaseInput={"Name": "registered"})
    client.create_table(DatabaseName="registered", TableInput=TABLE)
    client.create_partition(**PLACE, PartitionInput=PARTITION)
    yield client
    client.delete_database(Name="registered")


def test_what_is_there_is_changed_by_update_alone(glue: Any) -> None:
    again: list[tuple[Any, dict[str, Any]]] = [
        (glue.create_database, {"DatabaseInput": {"Name": "registered"}}),
        (glue.create_table, {"DatabaseName": "registered", "TableInput": TABLE}),
        (glue.create_partition, {**PLACE, "PartitionInput": PARTITION}),
    ]
    for create, request in again:
        with pytest.raises(ClientError, match="AlreadyExistsException"):
            create(**request)
    changed = PARTITION | {"Parameters": {"manifest_sha256": "b"}}
    glue.update_partition(**PLACE, PartitionValueList=["v1"], PartitionInput=changed)
    found = glue.get_partition(**PLACE, PartitionValues=["v1"])["Partition"]
    assert found["Parameters"] == {"manifest_sha256": "b"}
    wider = STORAGE | {"Columns": [*STORAGE["Columns"], {"Name": "text", "Type": "string"}]}
    glue.update_table(DatabaseName="registered", TableInput=TABLE | {"StorageDescriptor": wider})
    assert (
        len(
            glue.get_table(DatabaseName="registered", Name="documents")["Table"]["StorageDescriptor"][
                "Columns"
            ]
        )
        == 2
    )
    assert glue.get_partition(**PLACE, PartitionValues=["v1"])["Partition"]["StorageDescriptor"] == STORAGE


def test_what_is_not_there_is_not_found(glue: Any) -> None:
    glue.delete_table(DatabaseName="registered", Name="documents")
    for ask, request in (
        (glue.get_table, {"DatabaseName": "registered", "Name": "documents"}),
        (glue.delete_table, {"DatabaseName": "registered", "Name": "documents"}),
        (glue.get_partition, {**PLACE, "PartitionValues": ["v1"]}),
    ):
        with pytest.raises(ClientError, match="EntityNotFoundException"):
            ask(**request)
