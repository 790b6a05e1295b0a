from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.corpus.make_data import letters_of_pass, main
from include.contracts.errors import InputError

TEXT = "Jackdaws love my big sphinx of quartz, and seven wizards bake extra quick pies."


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "a.jsonl").write_text(json.dumps({"text": TEXT}) + "\n")
    return folder


def test_every_pass_replaces_letters_by_other_letters_in_a_way_of_its_own() -> None:
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    passes = [alphabet.translate(letters_of_pass(number)) for number in range(26 * 12)]
    assert passes[0] == alphabet
    assert len(set(passes)) == 26 * 12
    assert {"".join(sorted(letters)) for letters in passes} == {alphabet}


def test_passes_share_no_long_words_and_keep_lengths(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "made"
    assert (
        main(["--input", str(source), "--output", str(output), "--megabytes", str(40 * len(TEXT) / 1e6)]) == 0
    )
    (shard,) = output.iterdir()
    texts = [json.loads(line)["text"] for line in shard.read_text().splitlines()]
    words = [word for text in texts for word in text.split() if len(word) > 4]
    assert len(texts) == 40 and {len(text) for text in texts} == {len(TEXT)}
    assert len(words) == len(set(words))


def test_a_first_pass_continues_where_other_data_ended(source: Path, tmp_path: Path) -> None:
    def made(name: str, first: int, passes: int) -> list[str]:
        output = tmp_path / name
        megabytes = str(passes * len(TEXT) / 1e6)
        main(
            [
                "--input",
                str(source),
                "--output",
                str(output),
                "--megabytes",
                megabytes,
                "--first-pass",
                str(first),
            ]
        )
        return (output / "bench-0000.jsonl").read_text().splitlines()

    assert made("first", 0, 28) + made("second", 28, 3) == made("whole", 0, 31)


def test_a_request_for_more_than_all_passes_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"too little text.*312th"):
        main(["--input", str(source), "--output", str(tmp_path / "made"), "--megabytes", "1"])
