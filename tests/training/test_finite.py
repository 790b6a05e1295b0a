"""The first tensor with a value that is not finite is named, wherever it is in the state."""

from __future__ import annotations

import math

import pytest
import torch

from include.contracts.errors import IntegrityError
from training.finite import first_not_finite, named_tensors, require_finite

GOOD = torch.ones(3)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_value_that_is_not_finite_is_found(value: float, dtype: torch.dtype) -> None:
    bad = torch.tensor([1.0, value], dtype=dtype)
    assert first_not_finite([("a", GOOD), ("b", bad), ("c", bad)]) == "b"


def test_whole_numbers_and_what_is_no_tensor_are_finite() -> None:
    assert first_not_finite([("a", GOOD), ("b", torch.tensor([1])), ("c", 1), ("d", "x"), ("e", 0.5)]) == ""


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_such_as_a_setting_of_the_optimiser_is_looked_at_too(value: float) -> None:
    assert first_not_finite([("lr", 0.1), ("decay", value)]) == "decay"


def test_tensors_after_what_is_no_tensor_are_looked_at_too() -> None:
    assert first_not_finite([("a", 1), ("b", torch.tensor([math.nan]))]) == "b"


def test_names_of_a_nested_state_are_joined_by_dots() -> None:
    state = {"model": {"layer": {"weight": 1}, "bias": 2}, "step": 3}
    assert list(named_tensors(state)) == [("model.layer.weight", 1), ("model.bias", 2), ("step", 3)]


def test_the_error_names_the_tensor_and_the_remedy() -> None:
    require_finite([("a", GOOD)], where="checkpoint")
    with pytest.raises(IntegrityError, match="checkpoint: b: holds NaN or infinity; to do: go back"):
        require_finite([("b", torch.tensor([math.nan]))], where="checkpoint", remedy="go back")
