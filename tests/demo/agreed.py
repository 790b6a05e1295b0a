"""The keys of summary.json that its readers rely on."""

from __future__ import annotations

from typing import Any


def assert_agreed_keys(summary: dict[str, Any]) -> None:
    """Exactly these: none lacks, none is more."""
    assert {key: set(summary[key]) for key in ("corpus", "training", "gate", "deployment")} == {
        "corpus": {
            "version", "reused", "documents_in", "documents_kept", "documents_held_out", "dropped", "tokens",
        },
        "training": {
            "steps", "interruptions", "resumed_at_step", "loss_first", "loss_last", "billable_seconds",
            "total_seconds",
        },
        "gate": {"verdict", "baseline", "reasons"},
        "deployment": {"endpoint", "model", "revision", "sample_prompt", "sample_completion"},
    }  # fmt: skip
    assert set(summary) == {
        "corpus", "training", "gate", "deployment", "seconds", "tasks", "peak_memory_bytes", "left_out",
    }  # fmt: skip
