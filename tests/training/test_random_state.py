"""The random state of a rank survives its checkpoint, on machines with and without a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from include.contracts.errors import ContractError
from training.random_state import check_random_states, load_random_state, save_random_state


class Gpu:
    """The random state of a GPU, whether there is one or not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.present = True
        self.state = torch.tensor([1, 2, 3], dtype=torch.uint8)
        self.set: list[list[int]] = []
        monkeypatch.setattr(torch.cuda, "is_available", lambda: self.present)
        monkeypatch.setattr(torch.cuda, "get_rng_state", lambda: self.state)
        monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state: self.set.append(state.tolist()))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    return Gpu(monkeypatch)


@pytest.mark.parametrize("present", [True, False])
def test_the_next_numbers_are_those_after_the_checkpoint(gpu: Gpu, tmp_path: Path, present: bool) -> None:
    gpu.present = present
    save_random_state(tmp_path, 3)
    drawn = torch.rand(4)
    load_random_state(tmp_path, 3)
    assert torch.equal(torch.rand(4), drawn)
    assert gpu.set == ([[1, 2, 3]] if present else [])


@pytest.mark.parametrize(("saved", "loaded"), [(True, False), (False, True)])
def test_a_checkpoint_moves_between_machines_with_and_without_a_gpu(
    gpu: Gpu, tmp_path: Path, saved: bool, loaded: bool
) -> None:
    gpu.present = saved
    save_random_state(tmp_path, 0)
    gpu.present = loaded
    load_random_state(tmp_path, 0)
    assert gpu.set == []


def test_a_rank_that_the_saving_run_did_not_have_keeps_its_state(gpu: Gpu, tmp_path: Path) -> None:
    save_random_state(tmp_path, 0)
    before = torch.get_rng_state()
    load_random_state(tmp_path, 1)
    assert torch.equal(torch.get_rng_state(), before)
    assert gpu.set == []


@pytest.mark.parametrize(
    "saved", [5, [], {}, {"cpu": "x"}, {"cpu": torch.zeros(8)}, {"cpu": torch.zeros(8, dtype=torch.uint8)}]
)
def test_a_file_that_holds_something_else_is_no_random_state(tmp_path: Path, saved: object) -> None:
    torch.save(saved, tmp_path / "random_rank_0.pt")
    with pytest.raises(ContractError, match=r"random_rank_0\.pt: is not a random state"):
        check_random_states(tmp_path)


def test_a_random_state_is_checked_without_being_set(tmp_path: Path) -> None:
    torch.manual_seed(5)
    save_random_state(tmp_path, 0)
    torch.manual_seed(6)
    before = torch.get_rng_state()
    check_random_states(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
