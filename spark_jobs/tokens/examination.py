"""Examines a ``tokenizer.json`` before any work: refuses unusable ones, notes unused parts."""

from __future__ import annotations

import codecs
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import pyarrow as pa
from tokenizers import Tokenizer, pre_tokenizers

from include.contracts.errors import InputError
from include.object_store import STORE
from include.recipes.corpus import TokenizerRecipe
from spark_jobs.readers.formats import packing_of
from spark_jobs.readers.other_formats import other_format
from spark_jobs.tokens import text_steps, vocabulary
from spark_jobs.tokens.encoding import TRICKY, Library, encode, refusing_panics
from spark_jobs.tokens.tokenizer import LoadedTokenizer

_REMEDY = "correct tokenizer.uri of the corpus recipe, or leave it empty to train one"
#: A vocabulary with more ids than this for each token would make a model mostly of unused rows.
_MOST_IDS_PER_TOKEN = 2
_SPARE_IDS = 1024
_HIGHEST_ID = 2**31 - 1
_FIELDS = {
    *("version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer"),
    *("post_processor", "decoder", "model"),
}


def examine_recipe(recipe: TokenizerRecipe) -> tuple[str, ...]:
    """Examine the tokenizer that a recipe names, or whether one can be trained. Return notes for people.

    Raises InputError, in one line, if the tokens of a corpus would be wrong.
    """
    if recipe.uri:
        return examine(STORE.read(recipe.uri), recipe.end_of_text, recipe.uri).notes
    _require_trainable(recipe.end_of_text)
    return ()


@lru_cache(maxsize=2)
def examine(content: bytes, end_of_text: str, where: str) -> LoadedTokenizer:
    """Load a ``tokenizer.json``. Raises InputError, in one line, if tokens would be wrong."""
    text, tokenizer = _loaded(content, where)
    plain: dict[str, Any] = json.loads(tokenizer.to_str())
    given: dict[str, Any] = json.loads(text)
    _require_added_tokens(given.get("added_tokens") or [], tokenizer, where)
    end_of_text_id = _end_of_text_id(tokenizer, plain, end_of_text, where)
    _require_no_dropout(plain["model"], where)
    size = _vocabulary_size(tokenizer, given["model"], where)
    missing = vocabulary.missing_bytes(plain)
    unknown_id = _unknown_id(tokenizer, plain["model"], missing, where)
    if unknown_id == end_of_text_id:
        raise InputError(
            "the end-of-text token also stands for unknown text, which would cut documents",
            where=f"{where}: model.unk_token",
            expected=f"another token than {end_of_text}",
            remedy=_REMEDY,
        )
    loss = text_steps.loss(plain)
    loaded = LoadedTokenizer(
        text,
        where,
        size,
        end_of_text_id,
        unknown_id,
        covers_all_text=missing == [] and loss is not text_steps.Loss.ANY,
        notes=(*_not_applied(plain, tokenizer), *text_steps.notes(plain), *_gaps(tokenizer, size)),
    )
    _require_encoding(loaded, end_of_text)
    return loaded if vocabulary.is_reachable(plain, end_of_text) else replace(loaded, end_is_checked=False)


def _loaded(content: bytes, where: str) -> tuple[str, Any]:
    try:
        text = content.decode()
        with refusing_panics():
            return text, Tokenizer.from_str(text)
    except Exception as error:  # the library raises bare Exception
        reason = _likely_cause(content) or _first_line(error) or type(error).__name__
        raise InputError(
            f"not a tokenizer ({reason})",
            where=where,
            expected="a tokenizer.json of Hugging Face tokenizers",
            remedy=_REMEDY,
        ) from error


def _likely_cause(content: bytes) -> str:
    """Say why a file is no tokenizer where the library reports only a position; empty if that is unknown."""
    if content.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "it begins with a byte order mark: save it as UTF-8 without one"
    if packing := packing_of(content):
        return f"it is packed with {packing}: unpack it"
    if other := other_format(content):
        return f"it is {other}"
    try:
        plain = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(plain, dict) or "model" not in plain:
        found = ", ".join(sorted(map(str, plain))[:5]) if isinstance(plain, dict) else type(plain).__name__
        return f'it has no "model", which a tokenizer.json has; found {found or "an empty object"}'
    if unknown := sorted(plain.keys() - _FIELDS):
        return f"unknown fields: {', '.join(unknown[:5])}"
    model = plain["model"] if isinstance(plain["model"], dict) else {}
    if model.get("type") in ("WordLevel", "WordPiece") and not isinstance(model.get("unk_token"), str):
        return f"{model['type']} needs model.unk_token, a token of the vocabulary for unknown text"
    return ""


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:200]


def _require_added_tokens(added: list[dict[str, Any]], tokenizer: Any, where: str) -> None:
    """Refuse ids of added tokens that Hugging Face would replace by others, with a log line only."""
    for token in added:
        if (found := tokenizer.token_to_id(token["content"])) != token["id"]:
            raise InputError(
                f"the added token {token['content']!r} cannot have the id that the file gives it",
                where=f"{where}: added_tokens",
                expected=f"id {found}: that of the vocabulary, or the next one after it",
                got=f"id {token['id']}",
                remedy="give each added token a separate id, without gaps",
            )


def _end_of_text_id(tokenizer: Any, plain: Mapping[str, Any], end_of_text: str, where: str) -> int:
    identifier = tokenizer.token_to_id(end_of_text)
    added = {token["content"]: token for token in plain["added_tokens"]}
    if identifier is None:
        raise InputError(
            "the tokenizer does not know the token that ends a document",
            where=where,
            expected=end_of_text,
            got=f"added tokens {', '.join(sorted(added)[:10]) or 'none'}",
            remedy="set tokenizer.end_of_text of the corpus recipe",
        )
    if not added.get(end_of_text, {}).get("special"):
        raise InputError(
            f"the end-of-text token {end_of_text} is not special: documents that spell it out would be cut",
            where=f"{where}: added_tokens",
            expected=f'{end_of_text} with "special": true',
            got='"special": false' if end_of_text in added else "a piece of the model's vocabulary",
            remedy="mark it as special in tokenizer.json, or name another token in tokenizer.end_of_text",
        )
    return int(identifier)


def _require_no_dropout(model: Mapping[str, Any], where: str) -> None:
    if model.get("dropout"):
        raise InputError(
            "BPE dropout encodes a text differently each time",
            where=f"{where}: model.dropout",
            expected="null",
            got=str(model["dropout"]),
            remedy="set it to null: the corpus, the evaluation and the served model share this file",
        )


def _vocabulary_size(tokenizer: Any, model: Mapping[str, Any], where: str) -> int:
    """Return the highest id plus one. Ids are to be distinct and without large gaps."""
    found = tokenizer.get_vocab(with_added_tokens=True)
    size = max(found.values()) + 1
    owners: dict[int, str] = {}
    for piece, number in vocabulary.ids(model).items():
        if (other := owners.setdefault(number, piece)) != piece:
            raise InputError(
                f"two pieces of the vocabulary have the id {number}",
                where=f"{where}: model.vocab",
                got=f"{other!r} and {piece!r}",
                remedy=_REMEDY,
            )
    most = min(_HIGHEST_ID, _MOST_IDS_PER_TOKEN * len(found) + _SPARE_IDS)
    if size > most:
        raise InputError(
            "ids are far above the number of tokens",
            where=f"{where}: model.vocab",
            expected=f"ids below {most} for {len(found)} tokens",
            got=f"id {size - 1}",
            remedy="number the tokens from 0 on: a model has a row of weights for every id",
        )
    return int(size)


def _unknown_id(
    tokenizer: Any, model: Mapping[str, Any], missing: list[int] | None, where: str
) -> int | None:
    """Return the token for text outside the vocabulary; None if the vocabulary has tokens for all bytes."""
    kind = model["type"]
    if kind == "Unigram":
        found = model.get("unk_id")
    else:
        found = tokenizer.token_to_id(model["unk_token"]) if model.get("unk_token") is not None else None
    if missing == [] and (kind == "BPE" or found is not None):
        return None
    if found is not None:
        return int(found)
    field = "unk_id" if kind == "Unigram" else "unk_token"
    lacking = f" and no token for {len(missing)} bytes such as 0x{missing[0]:02X}" if missing else ""
    raise InputError(
        f"{kind} without a token for unknown text: text outside the vocabulary "
        + ("would be lost" if kind == "BPE" and model.get(field) is None else "cannot be encoded"),
        where=f"{where}: model.{field}",
        expected="a token of the vocabulary, or tokens for all bytes",
        got=f"{model.get(field)!r}{lacking}".replace("None", "null"),
        remedy="take a tokenizer with byte fallback or an unknown token, or train one",
    )


def _require_encoding(tokenizer: LoadedTokenizer, end_of_text: str) -> None:
    """Encode texts that spell the end-of-text token out, and tricky ones: they must pass, and not be cut."""
    spelled = [f"{a}{end_of_text}{b}" for a in ("", " ", "a", "a ", "\n") for b in ("", " ", "b", " b", "\n")]
    words = [end_of_text * 2, end_of_text.strip(), end_of_text.lower(), end_of_text.upper()]
    encode(tokenizer, Library.TOKENIZERS, pa.array([*TRICKY, *spelled, *words], pa.string()), "int32")


def _require_trainable(end_of_text: str) -> None:
    """Refuse an end-of-text token that training could learn as a word of the corpus."""
    pieces = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(end_of_text)
    if len(pieces) == 1:
        raise InputError(
            "the end-of-text token is a single word, which the trained tokenizer could learn from the texts",
            where="tokenizer.end_of_text",
            expected="letters within signs, as in <|endoftext|>",
            got=repr(end_of_text),
            remedy="choose another token",
        )


def _not_applied(plain: Mapping[str, Any], tokenizer: Any) -> list[str]:
    found = []
    if truncation := plain.get("truncation"):
        found.append(f"truncation to {truncation['max_length']} tokens is not applied: documents stay whole")
    if plain.get("padding"):
        found.append("padding is not applied")
    if added := tokenizer.num_special_tokens_to_add(False):
        kind = plain["post_processor"]["type"]
        found.append(
            f"the post-processor {kind} is not applied: the {added} special tokens that it adds to a text "
            "are left out, and a document ends with the end-of-text token"
        )
    return found


def _gaps(tokenizer: Any, size: int) -> list[str]:
    unused = size - len(set(tokenizer.get_vocab(with_added_tokens=True).values()))
    return [f"{unused} of {size} ids have no token"] if unused else []
