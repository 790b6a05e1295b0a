"""Windows cover the tokens of a subset without a gap."""

from __future__ import annotations

from pathlib import Path

from tests.training.corpora import write_megatron
from training.packed_tokens import PackedTokens, Window
from training.tokens import TokenFile


def test_windows_cover_a_stream_across_shard_borders(tmp_path: Path) -> None:
    stream = list(range(100))
    write_megatron(tmp_path / "one", [stream[:7], stream[7:33]])
    write_megatron(tmp_path / "two", [stream[33:]])
    packed = PackedTokens([("s", TokenFile(tmp_path / "one")), ("s", TokenFile(tmp_path / "two"))], 8, 100)
    assert packed.windows() == {"s": 12}
    windows = [packed.read(Window("s", number)).tolist() for number in range(12)]
    assert [token for window in windows for token in window[1:]] == list(range(1, 97))
    assert all(len(window) == 9 for window in windows)
    assert windows[4] == list(range(32, 41))
