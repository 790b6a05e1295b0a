"""A mutator makes one fault at each place that has what it changes."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from infrastructure.cloudformation.mutation.mutators import MUTATORS, REMOVED, Mutator

BUCKET: dict[str, Any] = {
    "Type": "AWS::S3::Bucket",
    "Properties": {"Name": "raw", "Rules": [{"Days": 30}, {"Days": 90}, {"Id": "x"}]},
}


def test_a_star_stands_for_every_item_that_has_the_rest_of_the_path() -> None:
    mutator = Mutator("early", "AWS::S3::Bucket", "Properties/Rules/*/Days", 1)
    assert mutator.places(BUCKET) == [("Properties", "Rules", 0, "Days"), ("Properties", "Rules", 1, "Days")]
    assert Mutator("any", "", "Properties/*", 1).places(BUCKET) == [
        ("Properties", "Name"),
        ("Properties", "Rules"),
    ]
    assert Mutator("first", "", "Properties/Rules/0", 1).places(BUCKET) == [("Properties", "Rules", 0)]


def test_a_mutator_leaves_other_types_alone() -> None:
    assert Mutator("early", "AWS::KMS::Key", "Properties", 1).places(BUCKET) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [(REMOVED, [{}, {"Days": 90}, {"Id": "x"}]), (1, [{"Days": 1}, {"Days": 90}, {"Id": "x"}]),
     (lambda days: days - 1, [{"Days": 29}, {"Days": 90}, {"Id": "x"}])],
)  # fmt: skip
def test_a_change_is_a_value_a_removal_or_a_function_of_the_old_value(change: Any, expected: Any) -> None:
    changed = copy.deepcopy(BUCKET)
    Mutator("change", "", "Properties/Rules/*/Days", change).apply(
        changed, ("Properties", "Rules", 0, "Days")
    )
    assert changed["Properties"]["Rules"] == expected


def test_a_misspelt_value_differs_in_texts_functions_and_lists() -> None:
    misspelt = next(each for each in MUTATORS if each.name == "a service's name is misspelt")
    for value in ("ecs", "aa", {"Fn::Sub": "ecs.x"}, ["a.b", "c.d"]):
        changed = {"value": copy.deepcopy(value)}
        misspelt.apply(changed, ("value",))
        assert changed["value"] != value
        assert type(changed["value"]) is type(value)


def test_names_of_mutators_are_unique() -> None:
    names = [mutator.name for mutator in MUTATORS]
    assert len(names) == len(set(names))
