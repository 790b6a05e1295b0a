from __future__ import annotations

import pytest

from include.contracts.errors import ContractError
from include.contracts.manifests import FileEntry


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../../x", "documents/x\ns3://other/secret.parquet", "a\0b"]
)
def test_a_file_of_a_manifest_is_in_its_folder_and_on_one_line(path: str) -> None:
    with pytest.raises(ContractError):
        FileEntry(path, 1, "0" * 64)


def test_a_name_in_any_script_is_a_name() -> None:
    assert FileEntry("tokens/日本語 (1)-00000.bin", 1, "0" * 64).path
