"""English strings that are not split into words by the general rules, as in spaCy.

Contractions are split before the short form (``do n't``, ``we 've``), also if the apostrophe is missing.
Abbreviations keep their full stop, and emoticons keep their signs.
"""

from __future__ import annotations

from collections.abc import Iterator

#: The size of the longest entry in bytes.
LONGEST = 20

_WILL, _WOULD = ("'ll", "'ll 've"), ("'d", "'d 've")
_SUBJECTS = (
    ("i", (*_WILL, *_WOULD, "'ve", "'m", "'m a")),
    ("you we they", (*_WILL, *_WOULD, "'ve", "'re")),
    ("he she it", (*_WILL, *_WOULD, "'s")),
    ("who what when where why how there", (*_WILL, *_WOULD, "'s", "'re", "'ve")),
    ("that this", (*_WILL, *_WOULD, "'s")),
    ("these those", (*_WILL, *_WOULD, "'re", "'ve")),
    ("ca could do does did had may might must need ought sha should wo would", ("n't", "n't 've")),
    ("could might must should would not", ("'ve",)),
    ("ai are is was were have has dare", ("n't",)),
)
#: Words that look like a contraction without its apostrophe (``I'll``: ``ill``).
_WORDS = ("ill", "hell", "shell", "shed", "its", "were", "well", "whore")
_CUT = "can not|gon na|got ta|let 's|c'm on|y' all|y all|how 'd 'y"
_DROPPED_G = "doin goin havin lovin nothin nuthin ol somethin"
_DROPPED_START = "cause cos coz cuz bout em nuff ll"
_ABBREVIATIONS = """
    Adm. Ak. Ala. Apr. Ariz. Ark. Aug. Bros. C++ Calif. Co. Colo. Conn. Corp. D.C. Dec. Del. Dr. E.G. E.g.
    Feb. Fla. Ga. Gen. Gov. I.E. I.e. Ia. Id. Ill. Inc. Ind. Jan. Jr. Jul. Jun. Kan. Kans. Ky. La. Ltd. Mar.
    Mass. Md. Messrs. Mich. Minn. Miss. Mo. Mont. Mr. Mrs. Ms. Mt. N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr.
    Nev. Nov. Oct. Okla. Ore. Pa. Ph.D. Prof. Rep. Rev. S.C. Sen. Sep. Sept. St. Tenn. Va. Wash. Wis. a.m.
    and/or co. e.g. i.e. p.m. v.s. vs. w/o ä. ö. ü. ma'am o'clock 'S 's 'd 're ' '' \\n \\t \\") <space> —
"""
_EMOTICONS = """
    (: (; (= (-: (-; (-8 )-: ): 8) 8-) 8-D 8D :'( :') :'-( :'-) :( :(( :((( :() :) :)) :))) :* :-( :-(( :-(((
    :-) :-)) :-))) :-* :-/ :-0 :-3 :-> :-D :-O :-P :-X :-] :-o :-p :-x :-| :-} :/ :0 :1 :3 :> :D :O :P :X :]
    :o :o) :p :x :| :} ;) ;-) ;-D ;D =( =) =/ =3 =D =[ =] =| </3 <3 <33 <333 <.< >.> >.< >:( [: [= [-: ]= -_-
    ^_^ XD xD 0.0 0_0 o.o o_o O.O O_O o.O o_O O.o O_o
"""


def entries_of_english() -> Iterator[tuple[str, ...]]:
    """Yield each entry as the tuple of its words, in all spellings: with ' and ’, and with a capital."""
    for parts in (*_contractions(), *_others()):
        for spelled in (parts, (parts[0].capitalize(), *parts[1:])) if parts[0].islower() else (parts,):
            yield spelled
            if any("'" in part for part in spelled):
                yield tuple(part.replace("'", "’") for part in spelled)


def _contractions() -> Iterator[tuple[str, ...]]:
    for words, endings in _SUBJECTS:
        for word in words.split():
            for ending in endings:
                parts = (word, *ending.split())
                yield parts
                without = tuple(part.replace("'", "") for part in parts)
                if "".join(without) not in _WORDS and word != "not":
                    yield without
    for hour in range(1, 13):
        for period in ("a.m.", "am", "p.m.", "pm"):
            yield str(hour), period


def _others() -> Iterator[tuple[str, ...]]:
    yield from (tuple(entry.split()) for entry in _CUT.split("|"))
    for word in _DROPPED_G.split():
        yield (word,)
        yield (f"{word}'",)
    for word in _DROPPED_START.split():
        yield (f"'{word}",)
    yield from ((word,) for word in (*_ABBREVIATIONS.split(), *_EMOTICONS.split()))
    yield from ((f"{letter}.",) for letter in "abcdefghijklmnopqrstuvwxyz")
