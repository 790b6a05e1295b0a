"""Security configurations: kept, listed in pages, and required by a cluster that names one."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

CONTENT = json.dumps({"EncryptionConfiguration": {"EnableInTransitEncryption": False}})


@pytest.fixture
def name(emr: Any) -> str:
    made = f"security-{uuid.uuid4().hex[:8]}"
    emr.create_security_configuration(Name=made, SecurityConfiguration=CONTENT)
    return made


def test_a_configuration_is_described_as_it_was_created_and_gone_when_deleted(emr: Any, name: str) -> None:
    found = emr.describe_security_configuration(Name=name)
    assert (found["Name"], found["SecurityConfiguration"]) == (name, CONTENT)
    emr.delete_security_configuration(Name=name)
    with pytest.raises(ClientError, match=f"InvalidRequestException.*'{name}' does not exist"):
        emr.describe_security_configuration(Name=name)
    with pytest.raises(ClientError, match="does not exist"):
        emr.delete_security_configuration(Name=name)


def test_a_name_is_taken_once_and_the_content_must_be_a_json_object(emr: Any, name: str) -> None:
    with pytest.raises(ClientError, match="already exists"):
        emr.create_security_configuration(Name=name, SecurityConfiguration=CONTENT)
    for content in ("{", "[]", "text"):
        with pytest.raises(ClientError, match=r"InvalidRequestException.*JSON"):
            emr.create_security_configuration(Name=f"{name}-2", SecurityConfiguration=content)


def test_listings_have_pages(emr: Any, name: str) -> None:
    more = [f"{name}-{n}" for n in range(60)]
    for one in more:
        emr.create_security_configuration(Name=one, SecurityConfiguration=CONTENT)
    pages = emr.get_paginator("list_security_configurations").paginate()
    found = [[entry["Name"] for entry in page["SecurityConfigurations"]] for page in pages]
    assert {len(page) for page in found[:-1]} == {50}
    listed = [one for page in found for one in page]
    assert {name, *more} <= set(listed) and len(listed) == len(set(listed))


def test_a_cluster_shows_its_configuration_and_one_that_does_not_exist_is_refused(
    emr: Any, name: str, cluster: Callable[..., str]
) -> None:
    made = cluster(SecurityConfiguration=name)
    assert emr.describe_cluster(ClusterId=made)["Cluster"]["SecurityConfiguration"] == name
    before = len(emr.list_clusters()["Clusters"])
    with pytest.raises(ClientError, match=r"ValidationException.*'nowhere' does not exist"):
        cluster(SecurityConfiguration="nowhere")
    assert len(emr.list_clusters()["Clusters"]) == before
