"""Check that docstrings, comments, messages and documents are written in plain English.

python -m tools.english [FILE_OR_FOLDER …]

Prints each finding as file:line, rule and text.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: A first sentence says what a function does or what a class is. These words start a clause instead.
FIRST_WORDS = re.compile(
    r"(What|Whether|Of|Until|Since|In which|How|Where|Who|Whose|Which|Why|When|That|Because)\b"
    r"|\d+ (when|if)\b"
)
#: A function's docstring begins with an imperative verb. Properties and fixtures may be noun phrases.
NOT_IMPERATIVE = re.compile(
    r"(The|A|An|One|All|Every|Each|Any|Its|Their|This|These|Per|From|As|At|In|On|For|By|To|With|Without|No"
    r"|Nothing|Everything|True|False|None|\d+)\b|``"
)
FIRST_SENTENCE_ENDS = re.compile(r"; (its|their) names?\.?$")
#: Words that are old, poetic or make a person of a program, and the usual words to write instead.
BANNED = {
    r"beside": "next to, besides",
    r"anew": "again",
    r"thereof|therein|whereof|whereby|thereto": "of it, in it",
    r"mend|mends|mended|mending": "fix, repair",
    r"amiss": "wrong",
    r"in vain": "without success",
    r"naught|nought|aught": "nothing",
    r"(is|are|was|were|be|been) told": "is reported, is passed",
    r"(goes|go|went|gone|going) with": "belongs to, is sent with",
    r"(has|have|had) to tell": "reports",
    r"nobody wants": "is not needed",
    r"stands? once": "is defined once",
    r"without a word": "silently",
    r"for a lie": "if it is wrong",
    r"(take|takes|taken|took|taking) back": "roll back",
    r"(stand|stands|stood) in the way": "prevent",
    r"whole of": "entire",
    r"ever more": "more and more",
    r"wants? of": "lacks",
    r"comes? to its end": "ends",
    r"a no\b|the no\b|'s no\b": "a refusal",
    r"since then": "(history belongs in the changelog)",
}
_BANNED = [(re.compile(rf"(?<![\w`-])({words})(?![\w`-])", re.I), words) for words in BANNED]
_CODE_FOLDERS = (
    "dags", "plugins", "include", "spark_jobs", "training", "serving", "local_aws", "local_stack", "demo",
    "benchmarks", "infrastructure", "tools", "tests",
)  # fmt: skip
_DOCUMENTS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "docs")
#: This file and its test name the words that they ban.
_EXEMPT = ("tools/english.py", "tests/unit/test_plain_english.py")


@dataclass(frozen=True)
class Finding:
    """One violation: where, which rule, and the text."""

    file: str
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.text}"


def check_python(file: str, source: str) -> Iterator[Finding]:
    """Yield the findings in the docstrings, comments and messages of a Python file."""
    tree = ast.parse(source)
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text and isinstance(node.body[0], ast.Expr):
                docstrings.add(id(node.body[0].value))
                yield from _docstring(file, node.body[0].lineno, text, _needs_verb(node))
    if not file.startswith("tests/"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                yield from _words(file, node.lineno, node.value)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield from _words(file, token.start[0], token.string)


def check_text(file: str, source: str) -> Iterator[Finding]:
    """Yield the findings in a document, a script or a configuration file."""
    for number, line in enumerate(source.splitlines(), start=1):
        yield from _words(file, number, line)


def check(root: Path, names: Iterable[str] = (*_CODE_FOLDERS, *_DOCUMENTS)) -> list[Finding]:
    """Return the findings in files and folders below ``root``."""
    found: list[Finding] = []
    for path in sorted(_files(root, names)):
        file = path.relative_to(root).as_posix()
        if file in _EXEMPT:
            continue
        checker = check_python if path.suffix == ".py" else check_text
        found += checker(file, path.read_text())
    return found


def _needs_verb(node: ast.AST) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    decorators = " ".join(ast.unparse(entry) for entry in node.decorator_list)
    return not re.search(r"property|fixture|contextmanager", decorators) and not node.name.startswith("test_")


def _docstring(file: str, line: int, text: str, needs_verb: bool) -> Iterator[Finding]:
    first = re.split(r"(?<=[.:!?])\s|\n\n", text.strip(), maxsplit=1)[0].replace("\n", " ")
    if FIRST_WORDS.match(first):
        yield Finding(file, line, "first words of a docstring", first)
    elif needs_verb and NOT_IMPERATIVE.match(first):
        yield Finding(file, line, "a function's docstring begins with a verb", first)
    if FIRST_SENTENCE_ENDS.search(first):
        yield Finding(file, line, "end of a docstring's first sentence", first)
    yield from _words(file, line, text)


def _words(file: str, line: int, text: str) -> Iterator[Finding]:
    for pattern, words in _BANNED:
        for match in pattern.finditer(text):
            start = max(0, match.start() - 30)
            excerpt = " ".join(text[start : match.end() + 30].split())
            yield Finding(file, line, f"'{match[0]}' (write: {BANNED[words]})", excerpt)


def _files(root: Path, names: Iterable[str]) -> Iterator[Path]:
    for name in names:
        path = root / name
        if path.is_file():
            yield path
        for suffix in ("*.py", "*.md", "*.sh", "*.toml", "*.html"):
            yield from path.rglob(suffix)


def main(argv: Sequence[str] | None = None) -> int:
    """Return 1 if there are findings."""
    parser = argparse.ArgumentParser(prog="tools.english", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", default=[*_CODE_FOLDERS, *_DOCUMENTS])
    arguments = parser.parse_args(argv)
    findings = check(ROOT, arguments.names)
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
