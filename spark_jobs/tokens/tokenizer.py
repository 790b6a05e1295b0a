"""The tokenizer: given as ``tokenizer.json``, or a byte-level BPE trained on a sample of the corpus."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from include.contracts.errors import InputError
from include.recipes.corpus import TokenizerRecipe

#: Bytes; longer words are cut for training, and for training alone.
_LONGEST_TRAINED_WORD = 256


@dataclass(frozen=True)
class LoadedTokenizer:
    """A checked ``tokenizer.json``; ``vocabulary_size`` is the highest id plus one."""

    content: str
    vocabulary_size: int
    end_of_text_id: int


def check_tokenizer(content: bytes, end_of_text: str, where: str) -> LoadedTokenizer:
    """InputError when the bytes are no tokenizer, or it lacks the token that ends a document."""
    try:
        text = content.decode()
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library raises bare Exception
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(
            f"not a tokenizer ({reason})",
            where=where,
            expected="a tokenizer.json of Hugging Face tokenizers",
            remedy="correct tokenizer.uri of the corpus recipe, or leave it empty to train one",
        ) from error
    identifier = tokenizer.token_to_id(end_of_text)
    if identifier is None:
        added = sorted(token.content for token in tokenizer.get_added_tokens_decoder().values())
        raise InputError(
            "the tokenizer does not know the token that ends a document",
            where=where,
            expected=end_of_text,
            got=f"added tokens {', '.join(added[:10]) or 'none'}",
            remedy="set tokenizer.end_of_text of the corpus recipe",
        )
    return LoadedTokenizer(text, max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1, identifier)


def train_tokenizer(texts: Iterable[str], recipe: TokenizerRecipe) -> bytes:
    """``tokenizer.json`` of a byte-level BPE; the same texts in the same order give the same bytes."""
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
    """What ``transformers.AutoTokenizer`` wants beside ``tokenizer.json``, by file name."""
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
