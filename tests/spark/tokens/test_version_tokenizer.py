from __future__ import annotations

from spark_jobs.tokens.version_tokenizer import first_bytes


def test_the_sample_is_cut_at_its_limit_in_the_order_of_hashes() -> None:
    assert first_bytes([(3, "never"), (1, "abc"), (2, "äöü")], 6) == ["abc", "ä"]
