"""The document, and every reason for which one is dropped or repaired."""

from __future__ import annotations

import enum

#: Columns of every parquet of documents. ``id`` is ``<source>/<shard>/<row>``: stable for the same shard.
DOCUMENT_COLUMNS = ("id", "text", "source", "subset", "metadata")


class Stage(enum.StrEnum):
    """Stages of the corpus in their order."""

    READ = "read"
    NORMALISE = "normalise"
    FILTER = "filter"
    DECONTAMINATE = "decontaminate"
    SCRUB = "scrub"
    EXACT_DEDUP = "exact_dedup"
    NEAR_DEDUP = "near_dedup"
    TOKENISE = "tokenise"


#: The Spark jobs in their order, and the stage that each completes last.
CORPUS_JOBS = {"clean": Stage.SCRUB, "deduplicate": Stage.NEAR_DEDUP, "tokenise": Stage.TOKENISE}


class DropReason(enum.StrEnum):
    """The reasons for which a record does not become a kept document; counted per stage."""

    CORRUPT_SHARD = "corrupt_shard"
    INVALID_JSON = "invalid_json"
    INVALID_UTF8 = "invalid_utf8"
    NO_TEXT = "no_text"
    UNKNOWN_SCHEMA = "unknown_schema"
    TOO_LARGE = "too_large"
    EMPTY = "empty_after_normalisation"
    ENCODING_FAULT = "encoding_fault"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    SYMBOLS = "too_many_symbols"
    REPETITION = "too_repetitive"
    # by published families of rules, under datatrove's names
    LANGUAGE = "language"
    GOPHER_DUP_PARA_FRAC = "gopher_dup_para_frac"
    GOPHER_DUP_PARA_CHAR_FRAC = "gopher_dup_para_char_frac"
    GOPHER_DUP_LINE_FRAC = "gopher_dup_line_frac"
    GOPHER_DUP_LINE_CHAR_FRAC = "gopher_dup_line_char_frac"
    GOPHER_TOP_2_GRAM = "gopher_top_2_gram"
    GOPHER_TOP_3_GRAM = "gopher_top_3_gram"
    GOPHER_TOP_4_GRAM = "gopher_top_4_gram"
    GOPHER_DUPLICATED_5_N_GRAMS = "gopher_duplicated_5_n_grams"
    GOPHER_DUPLICATED_6_N_GRAMS = "gopher_duplicated_6_n_grams"
    GOPHER_DUPLICATED_7_N_GRAMS = "gopher_duplicated_7_n_grams"
    GOPHER_DUPLICATED_8_N_GRAMS = "gopher_duplicated_8_n_grams"
    GOPHER_DUPLICATED_9_N_GRAMS = "gopher_duplicated_9_n_grams"
    GOPHER_DUPLICATED_10_N_GRAMS = "gopher_duplicated_10_n_grams"
    GOPHER_SHORT_DOC = "gopher_short_doc"
    GOPHER_LONG_DOC = "gopher_long_doc"
    GOPHER_BELOW_AVG_THRESHOLD = "gopher_below_avg_threshold"
    GOPHER_ABOVE_AVG_THRESHOLD = "gopher_above_avg_threshold"
    GOPHER_TOO_MANY_HASHES = "gopher_too_many_hashes"
    GOPHER_TOO_MANY_ELLIPSIS = "gopher_too_many_ellipsis"
    GOPHER_TOO_MANY_BULLETS = "gopher_too_many_bullets"
    GOPHER_TOO_MANY_END_ELLIPSIS = "gopher_too_many_end_ellipsis"
    GOPHER_BELOW_ALPHA_THRESHOLD = "gopher_below_alpha_threshold"
    GOPHER_ENOUGH_STOP_WORDS = "gopher_enough_stop_words"
    C4_LOREM_IPSUM = "c4_lorem_ipsum"
    C4_CURLY_BRACKET = "c4_curly_bracket"
    C4_TOO_FEW_SENTENCES = "c4_too_few_sentences"
    #: No line is left, where ``min_num_sentences`` is switched off.
    C4_NO_LINES = "c4_no_lines"
    FINEWEB_LINE_PUNCT_RATIO = "fineweb_line_punct_ratio"
    FINEWEB_SHORT_LINE_RATIO = "fineweb_short_line_ratio"
    FINEWEB_CHAR_DUP_RATIO = "fineweb_char_dup_ratio"
    FINEWEB_LIST_RATIO = "fineweb_list_ratio"
    #: Counted with the name of the signal, as ``quality_signal:<name>``.
    QUALITY_SIGNAL = "quality_signal"
    #: Counted with the name of the benchmark, as ``contaminated:<benchmark>``.
    CONTAMINATED = "contaminated"
    EXACT_DUPLICATE = "exact_duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    #: No character of the text has a token of the vocabulary.
    NO_KNOWN_TOKEN = "no_known_token"


class RepairReason(enum.StrEnum):
    """The reasons to replace a value of a kept document's metadata; each document counts once per reason."""

    #: Bytes that are not UTF-8 became U+FFFD.
    INVALID_UTF8 = "invalid_utf8"
    #: One half of a surrogate pair became U+FFFD.
    HALF_SURROGATE = "half_surrogate"
    #: NaN, an infinity or a number that Python does not read became null.
    NUMBER = "number_out_of_range"
    #: A date or time that cannot be written became null.
    DATE = "date_out_of_range"
    #: A string held a control character that JSON wants escaped; it was read as it is.
    CONTROL = "raw_control_character"
    #: A damaged column of parquet became null.
    COLUMN = "unreadable_column"
    #: A value of a type that has no JSON form became null.
    TYPE = "unreadable_value"
    #: A value of more levels than parsers of JSON read became null.
    NESTING = "nested_too_deep"
