"""The table is checked last, when all other tests have shown what they prove."""

from __future__ import annotations

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name == "test_table.py")  # the sort is stable


@pytest.fixture
def whole_suite(request: pytest.FixtureRequest) -> bool:
    """True if all test files of tests/local_aws run in this session and none has failed so far."""
    suite = request.path.parents[1]
    here = {item.path for item in request.session.items}
    return set(suite.rglob("test_*.py")) <= here and not request.session.testsfailed
