"""Read the fields of dataclasses from their source: type, default, allowed values and description.

The description of a field is the ``#:`` comment above it. The allowed values are the texts that the class
passes to ``require`` (or a function like it) in ``__post_init__``, which are also those of its errors.
"""

from __future__ import annotations

import ast
import inspect
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from io import StringIO
from types import ModuleType

#: Functions like ``require`` that imply their text.
_IMPLIED = {
    "_share": "0 to 1",
    "_bound": "at least 0",
    "_word_rule": "`whitespace` or `english`",
    "_shares": "as many shares (0 to 1) as the default",
    "_require_url": "a URL",
    "s3_uri": "s3://bucket/prefix",
}


@dataclass(frozen=True)
class Field:
    """One field of a dataclass. ``default`` is None for a required field."""

    name: str
    type: str
    default: str | None
    allowed: str
    description: str


@dataclass(frozen=True)
class Section:
    """A dataclass: its name, docstring and fields."""

    name: str
    summary: str
    fields: tuple[Field, ...]


def section_of(kind: type) -> Section:
    """Return the fields of a dataclass, in the order of its source."""
    module = inspect.getmodule(kind)
    assert module is not None
    node = _class(module, kind.__name__)
    comments = _comments(module)
    allowed = _allowed(node, module)
    fields = tuple(
        Field(
            entry.target.id,
            ast.unparse(entry.annotation),
            _default(entry.value, module),
            "; ".join(dict.fromkeys(allowed.get(entry.target.id, ()))),
            _description(comments, entry.lineno),
        )
        for entry in node.body
        if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name)
    )
    return Section(kind.__name__, inspect.cleandoc(kind.__doc__ or ""), fields)


@cache
def _class(module: ModuleType, name: str) -> ast.ClassDef:
    tree = ast.parse(inspect.getsource(module))
    return next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)


@cache
def _comments(module: ModuleType) -> dict[int, str]:
    """Return the comment that is alone on a line, by line number."""
    tokens = tokenize.generate_tokens(StringIO(inspect.getsource(module)).readline)
    return {
        token.start[0]: token.string
        for token in tokens
        if token.type == tokenize.COMMENT and token.line.lstrip().startswith("#")
    }


def _description(comments: dict[int, str], line: int) -> str:
    lines = []
    while comments.get(line - 1, "").startswith("#:"):
        line -= 1
        lines.append(comments[line].removeprefix("#:").strip())
    return " ".join(reversed(lines))


def _default(value: ast.expr | None, module: ModuleType) -> str | None:
    if value is None:
        return None
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "field":
        factory = next(entry.value for entry in value.keywords if entry.arg == "default_factory")
        name = ast.unparse(factory)
        return {"dict": "{}", "list": "[]", "tuple": "[]"}.get(name, f"see {name}")
    return _literal(eval(compile(ast.Expression(value), module.__name__, "eval"), vars(module)))


def _literal(value: object) -> str:
    """Return a default as TOML has it; None stays None."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple | list):
        return f"[{', '.join(_literal(entry) for entry in value)}]"
    if hasattr(value, "value"):  # an enum
        return f'"{value.value}"'
    return f"{value:_}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)


def _allowed(node: ast.ClassDef, module: ModuleType) -> dict[str, list[str]]:
    """Return the texts of ``require`` and its like, by the field that they name."""
    names = {
        entry.target.id
        for entry in node.body
        if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name)
    }
    found: dict[str, list[str]] = {}
    check = next((e for e in node.body if isinstance(e, ast.FunctionDef) and e.name == "__post_init__"), None)
    for path, call in _calls(check.body, {}) if check else ():
        section, _, name = path.rpartition(".")
        text = _text_of(call, module)
        if text and section not in names:  # the check of a field of a section within this one
            found.setdefault(name, []).append(text)
    return found


def _calls(body: list[ast.stmt], values: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, ast.Call]]:
    """Yield (field, call) for every check; a loop over constant names is unrolled."""
    for statement in body:
        if isinstance(statement, ast.For) and isinstance(statement.target, ast.Name):
            names = tuple(
                entry.value
                for entry in getattr(statement.iter, "elts", ())
                if isinstance(entry, ast.Constant) and isinstance(entry.value, str)
            )
            yield from _calls(statement.body, values | {statement.target.id: names})
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            for argument in statement.value.args[:2]:
                for name in _names(argument, values):
                    yield name, statement.value


def _names(node: ast.expr, values: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the field names that an argument may be, ``section.field`` or ``field``."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return (node.value,) if re.fullmatch(r"[a-z_0-9]+(\.[a-z_0-9]+)*", node.value) else ()
    if isinstance(node, ast.Name):
        return values.get(node.id, ())
    if isinstance(node, ast.JoinedStr) and isinstance(node.values[-1], ast.FormattedValue):
        return _names(node.values[-1].value, values)
    return ()


def _text_of(call: ast.Call, module: ModuleType) -> str:
    name = ast.unparse(call.func)
    if name in _IMPLIED:
        return _IMPLIED[name]
    if name == "at_least":
        return f"at least {ast.unparse(call.args[2]).replace('self.', '')}"
    if name != "require" or len(call.args) < 3:
        return ""
    text = call.args[2]
    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
    # "at least min_characters (self.min_characters)": an error shows the value, the reference the name
    return re.sub(r" \((self\.[\w.]+)\)", "", "".join(_part(part, module) for part in parts)).replace(
        "self.", ""
    )


def _part(node: ast.expr, module: ModuleType) -> str:
    """Return a part of a text: its value, or the name of what only an instance or a function knows."""
    expression = node.value if isinstance(node, ast.FormattedValue) else node
    try:
        return str(eval(compile(ast.Expression(expression), module.__name__, "eval"), vars(module)))
    except NameError:
        if isinstance(expression, ast.Call):  # such as ", ".join(self.values)
            (expression,) = expression.args
        return ast.unparse(expression)
