"""The tokenizer of a corpus: an examined ``tokenizer.json``, or a byte-level BPE trained on a sample."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from include.recipes.corpus import TokenizerRecipe

#: The maximum size of a word in bytes. Longer words are cut, but only for training.
_LONGEST_TRAINED_WORD = 256


@dataclass(frozen=True)
class LoadedTokenizer:
    """A ``tokenizer.json`` that ``examination.examine`` has accepted.

    ``where`` names the file in messages. ``vocabulary_size`` is the highest id plus one. ``unknown_id`` is
    the token that stands for text outside the vocabulary, None if no text can be outside of it.
    ``covers_all_text`` says that every character of every text is part of a token other than that one.
    ``notes`` say, for people, which parts of the file are not applied and what encoding loses.
    ``end_is_checked`` makes ``encode`` look for the end-of-text token within texts; it is False only if the
    vocabulary rules it out.
    """

    content: str
    where: str
    vocabulary_size: int
    end_of_text_id: int
    unknown_id: int | None
    covers_all_text: bool
    notes: tuple[str, ...] = ()
    end_is_checked: bool = True


def train_tokenizer(texts: Iterable[str], recipe: TokenizerRecipe) -> bytes:
    """Train a byte-level BPE. Return its ``tokenizer.json``: the same bytes for the same texts in order."""
    tokenizer = Tokenizer(models.BPE())
    bytes_of_words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    # the trainer takes a square of the longest word's length: a megabyte of one letter is hours
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [bytes_of_words, pre_tokenizers.FixedLength(_LONGEST_TRAINED_WORD)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary_size,
        special_tokens=[recipe.end_of_text],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.pre_tokenizer = bytes_of_words
    content: str = tokenizer.to_str(pretty=False)
    return content.encode()


def transformers_files(end_of_text: str) -> dict[str, bytes]:
    """Return the files that ``transformers.AutoTokenizer`` needs next to ``tokenizer.json``, by name."""
    special = {"bos_token": end_of_text, "eos_token": end_of_text, "unk_token": end_of_text}
    config = {
        **special,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 10**30,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    return {
        "special_tokens_map.json": json.dumps(special, indent=1, sort_keys=True).encode(),
        "tokenizer_config.json": json.dumps(config, indent=1, sort_keys=True).encode(),
    }
