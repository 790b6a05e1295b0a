"""Recognise mutants that break no behaviour, and say why."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

JUDGED = Path(__file__).with_name("equivalent.toml")

#: Decorators without which a function returns the same, with the reason.
_HARMLESS_DECORATORS = {
    "lru_cache": "only remembers results",
    "cache": "only remembers results",
    "kernel": "only compiles the function",
    "njit": "only compiles the function",
    "override": "is read by type checkers alone",
    "final": "is read by type checkers alone",
    "overload": "is read by type checkers alone",
    "abstractmethod": "only forbids instances of the base class",
}
#: Options of dataclass() and zip() that turn a programming error into an exception, or save memory.
_GUARDS = {"frozen", "slots", "strict"}
_LOGGERS = {"log", "_log", "logger", "_logger", "logging", "LOG"}
_LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
#: The last word of a name says what it is: `refresh_per_second` and `second_half` are no durations.
_DURATION = re.compile(
    r"(^|_)(timeout|wait|interval|seconds|minutes|poll|grace|delay|pause|backoff|sleep|join|keep_?alive)$"
    r"|(^|_)wait_for_\w+$",
    re.I,
)
_PIECE = re.compile(
    r"(^|_)(chunk|buffer|block|batch|piece|range|read)_?(size|bytes|rows|documents|characters)$", re.I
)
#: The parts of a number that is written out, such as ``8 << 20`` or ``timedelta(hours=2)``.
_PLAIN = ast.Constant | ast.BinOp | ast.operator | ast.Call | ast.keyword | ast.Name | ast.expr_context


def before_tests(source: str, mutated: str, has_runtime_annotations: bool = False) -> str | None:
    """Return why a mutant cannot change what the module does, or None if it can."""
    steps: list[tuple[Callable[[ast.Module], ast.Module], str]] = [
        (_Docstrings().visit, "only a docstring differs"),
        (_TypeChecking().visit, "only code for type checkers differs"),
        (_LogText().visit, "only the text of a log message differs"),
        (_Decorators().visit, "the decorator " + _changed_decorator(source, mutated)),
    ]
    if not has_runtime_annotations:
        steps.insert(1, (_Annotations().visit, "only a type annotation differs"))
    ours, theirs = ast.parse(source), ast.parse(mutated)
    if ast.dump(ours) == ast.dump(theirs):
        return "compiles to the same code"
    for normalise, reason in steps:
        ours, theirs = normalise(ours), normalise(theirs)
        if ast.dump(ours) == ast.dump(theirs):
            return reason
    return None


def of_survivor(source: str, line: int, before: str, after: str) -> str | None:
    """Return why a mutant that no test noticed gives the same results, or None if it may not.

    These rules ask for less proof than `before_tests`, so they judge only what survived.
    """
    if (before, after) == ("if TYPE_CHECKING:", "if not TYPE_CHECKING:"):
        return "names that only type checkers read are also imported at run time"
    changed = _changed_word(before, after)
    if changed is None:
        return None
    old, new = changed
    names = list(_names_at(source, line))
    if (old, new) == ("True", "False") and _GUARDS & {name for name, _ in names}:
        return "the option only turns a programming error into an exception"
    if not (_number(old) > 0 and _number(new) > 0):
        return None
    old = old.replace("_", "")  # as ast.unparse writes numbers
    for name, value in names:
        if not _is_plain(value) or not re.search(rf"(?<![\w.]){re.escape(old)}(?![\w.])", value):
            continue
        if _DURATION.search(name):
            return f"`{name}` is how long something waits; the result is the same"
        if _PIECE.search(name):
            return f"`{name}` is the size of the pieces of the work; the result is the same"
    return None


@dataclass(frozen=True)
class Judgement:
    """A mutant that a person has judged to be equivalent."""

    module: str
    before: str
    after: str
    reason: str


def judgements(path: Path = JUDGED) -> list[Judgement]:
    """Read the judged mutants. A change of the line makes a judgement void."""
    return [Judgement(**entry) for entry in tomllib.loads(path.read_text()).get("mutant", [])]


def judged(module: str, before: str, after: str, known: list[Judgement]) -> str | None:
    """Return the reason of the judgement on this mutant, or None."""
    for entry in known:
        if (entry.module, entry.before, entry.after) == (module, before, after):
            return entry.reason
    return None


class _Docstrings(ast.NodeTransformer):
    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(body, list) and isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ):
            node.body = [entry for entry in body if not _is_text(entry)] or [ast.Pass()]
        return node


class _Annotations(ast.NodeTransformer):
    """Annotations are read at run time by dataclasses only, and only for their presence."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if _called(node) == "cast" and node.args:
            node.args[0] = ast.Constant(None)
        return self.generic_visit(node)


class _TypeChecking(ast.NodeTransformer):
    def visit_If(self, node: ast.If) -> ast.AST:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = [ast.Pass()]
        return self.generic_visit(node)


class _LogText(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Attribute) and node.func.attr in _LOG_METHODS:
            owner = node.func.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            if name in _LOGGERS:
                node.args, node.keywords = [], []
        return self.generic_visit(node)


class _Decorators(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.decorator_list = [
            entry for entry in node.decorator_list if _decorator(entry) not in _HARMLESS_DECORATORS
        ]
        return self.generic_visit(node)


def _changed_decorator(source: str, mutated: str) -> str:
    """Return what the decorators do that are removed, or have other arguments."""
    ours, theirs = (
        {
            (node.name, _decorator(entry), ast.dump(entry))
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef)
            for entry in node.decorator_list
        }
        for text in (source, mutated)
    )
    names = sorted({name for _, name, _ in ours - theirs})
    return "; ".join(_HARMLESS_DECORATORS.get(name, name) for name in names)


def _decorator(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _changed_word(before: str, after: str) -> tuple[str, str] | None:
    """Return the one word that differs between two lines, or None if more differs."""
    ours, theirs = (re.findall(r"[\w.]+|[^\w\s]", text) for text in (before, after))
    if len(ours) != len(theirs):
        return None
    differing = [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]]
    return differing[0] if len(differing) == 1 else None


def _number(word: str) -> float:
    try:
        return float(word.replace("_", ""))
    except ValueError:
        return 0.0


def _is_plain(value: str) -> bool:
    """Return True for a number that is written out, without a variable or a parameter."""
    tree = ast.parse(value, mode="eval").body
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return names <= {"timedelta"} and all(isinstance(node, _PLAIN) for node in ast.walk(tree))


def _names_at(source: str, line: int) -> Iterator[tuple[str, str]]:
    """Yield (name, text of its value) for what is assigned, passed or defaulted on a line."""
    for node in ast.walk(ast.parse(source)):
        if not (getattr(node, "lineno", line + 1) <= line <= (getattr(node, "end_lineno", 0) or 0)):
            continue
        if isinstance(node, ast.keyword) and node.arg:
            yield node.arg, ast.unparse(node.value)
        elif isinstance(node, ast.Call):
            yield from ((_called(node), ast.unparse(argument)) for argument in node.args)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                yield ast.unparse(target), ast.unparse(node.value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            yield ast.unparse(node.target), ast.unparse(node.value)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _defaults(node.args, line)


def _defaults(arguments: ast.arguments, line: int) -> Iterator[tuple[str, str]]:
    positional = [*arguments.posonlyargs, *arguments.args][-len(arguments.defaults) or 10**6 :]
    pairs = [*zip(positional, arguments.defaults, strict=True)]
    pairs += [
        (a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None
    ]
    for argument, default in pairs:
        if default.lineno <= line <= (default.end_lineno or 0):
            yield argument.arg, ast.unparse(default)
