from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spark_jobs.tokens.tokenizer import transformers_files

END = "<|endoftext|>"


@pytest.mark.parametrize("threads", ["1", "3"])
def test_training_does_not_depend_on_threads(
    threads: str, trained_json: bytes, tmp_path: Path, sentence: Callable[[random.Random, int], str]
) -> None:
    texts = tmp_path / "texts.json"
    texts.write_text(json.dumps([sentence(random.Random(i), 200) for i in range(20)]))
    program = (
        "import json, sys; from spark_jobs.tokens.tokenizer import *; from include.recipes.corpus import *;"
        f"texts = json.load(open({str(texts)!r}));"
        "sys.stdout.buffer.write(train_tokenizer(texts, TokenizerRecipe(vocabulary_size=400)))"
    )
    environment = {**os.environ, "RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "true"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    assert done.stdout == trained_json


def test_transformers_files_name_the_end_of_text_token() -> None:
    files = transformers_files(END)
    assert json.loads(files["tokenizer_config.json"])["eos_token"] == END
    assert json.loads(files["special_tokens_map.json"])["eos_token"] == END
