"""Every small change that can be made to a source: operators, numbers, conditions, calls, values that are returned."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

COMPARED: dict[type[ast.cmpop], tuple[str, tuple[str, ...]]] = {
    ast.Lt: ("<", ("<=", ">=")),
    ast.LtE: ("<=", ("<", ">")),
    ast.Gt: (">", (">=", "<=")),
    ast.GtE: (">=", (">", "<")),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: ("not in", ("in",)),
}
COMPUTED: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
}
CALLED = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "sum": "max",
    "mean": "max",
    "ceil": "floor",
    "floor": "ceil",
}
"""Functions and methods that stand in for each other without another word."""
COMMUTATIVE = {"min", "max", "minimum", "maximum"}
"""Of two numbers, in either order."""


@dataclass(frozen=True)
class Change:
    """Bytes `start` to `end` of a file become `new`; `name` is the same as long as the function's text around it is."""

    path: str
    function: str
    kind: str
    line: int
    start: int
    end: int
    old: str
    new: str
    text: str
    """The line that it is on."""

    @property
    def name(self) -> str:
        return f"{self.path}:{self.function}: {_short(self.old)} → {_short(self.new)} in `{_short(self.text, 90)}`"

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.new.encode() + source[self.end :]


def _short(text: str, most: int = 60) -> str:
    words = " ".join(text.split())
    return words if len(words) <= most else words[: most - 1] + "…"


def changes(path: str, source: bytes) -> list[Change]:
    """Those of one file, in the order of their places, and none twice."""
    found = {(each.start, each.end, each.new): each for each in _Finder(path, source).found()}
    return [each for _, each in sorted(found.items())]


def compiles(source: bytes) -> bool:
    try:
        compile(source, "changed", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


class _Finder:
    def __init__(self, path: str, source: bytes) -> None:
        self.path = path
        self.source = source
        self.tree = ast.parse(source)
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def found(self) -> Iterator[Change]:
        yield from self._within(self.tree, "module")

    def _within(self, node: ast.AST, function: str) -> Iterator[Change]:
        for child in _looked_into(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inside = child.name if function == "module" else f"{function}.{child.name}"
            else:
                inside = function
            yield from self._of(child, inside)
            yield from self._within(child, inside)

    def _of(self, node: ast.AST, function: str) -> Iterator[Change]:
        for kind, start, end, new in self._edits(node):
            line = self.source.count(b"\n", 0, start) + 1
            text = self.source[self.starts[line - 1] : self.starts[line]].decode().strip()
            old = self.source[start:end].decode()
            yield Change(self.path, function, kind, line, start, end, old, new, text)

    def _edits(self, node: ast.AST) -> Iterator[tuple[str, int, int, str]]:
        match node:
            case ast.Compare(left=left, ops=ops, comparators=rights):
                for before, op, after in zip([left, *rights], ops, rights, strict=False):
                    old, news = COMPARED[type(op)]
                    for new in news:
                        yield from self._between(before, after, old, new, "comparison")
            case ast.BinOp(left=left, op=op, right=right) if type(op) in COMPUTED and not _is_text(left, right):
                yield from self._between(left, right, *COMPUTED[type(op)], "arithmetic")
            case ast.AugAssign(target=left, op=op, value=right) if type(op) in COMPUTED and not _is_text(right):
                old, new = COMPUTED[type(op)]
                yield from self._between(left, right, f"{old}=", f"{new}=", "arithmetic")
            case ast.BoolOp(op=op, values=values):
                old, new = ("and", "or") if isinstance(op, ast.And) else ("or", "and")
                for before, after in pairwise(values):
                    yield from self._between(before, after, old, new, "boolean")
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield "boolean", *self._place(node), f"bool({self._text(operand)})"
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                yield "arithmetic", *self._place(node), f"(+{self._text(operand)})"
            case ast.Constant(value=bool() as value):
                yield "constant", *self._place(node), str(not value)
            case ast.Constant(value=int() as value):
                yield "constant", *self._place(node), str(value + 1)
            case ast.Constant(value=float() as value):
                yield "constant", *self._place(node), repr(value * 2 if value else 1.0)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                text = f"({self._text(orelse)}) if {self._text(test)} else ({self._text(body)})"
                yield "condition", *self._place(node), text
            case ast.If(test=test, body=body) if not _is_import_guard(test):
                refuses = isinstance(body[0], ast.Raise)
                yield "condition", *self._place(test), "False" if refuses else f"not ({self._text(test)})"
            case ast.Return(value=ast.expr() as value) if not _is_none(value):
                yield "return", *self._place(value), "None"
            case ast.Expr(value=ast.Call()):
                yield "left out", *self._place(node), "pass"
            case ast.Call():
                yield from self._of_call(node)

    def _of_call(self, node: ast.Call) -> Iterator[tuple[str, int, int, str]]:
        match node.func:
            case ast.Name(id=name) if name in CALLED:
                yield "call", *self._place(node.func), CALLED[name]
            case ast.Attribute(attr=name) if name in CALLED:
                end = self._place(node.func)[1]
                yield "call", end - len(name), end, CALLED[name]
        first = node.args[:2]
        if len(first) == 2 and not any(isinstance(each, ast.Starred) for each in first):
            one, other = (self._text(each) for each in first)
            if one != other and not _is_named(node.func, {"isinstance", "getattr", "hasattr"}) and not _commutes(node):
                start, end = self._place(first[0])[0], self._place(first[1])[1]
                yield "swapped", start, end, f"{other}, {one}"

    def _between(
        self, before: ast.expr, after: ast.expr, old: str, new: str, kind: str
    ) -> Iterator[tuple[str, int, int, str]]:
        begin, end = self._place(before)[1], self._place(after)[0]
        gap = re.sub(rb"#[^\n]*", lambda found: b" " * len(found[0]), self.source[begin:end])
        words = rb"\s+".join(re.escape(word.encode()) for word in old.split())
        place = re.search(words, gap)
        if place is not None:
            yield kind, begin + place.start(), begin + place.end(), new

    def _place(self, node: Any) -> tuple[int, int]:
        start = self.starts[node.lineno - 1] + node.col_offset
        return start, self.starts[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: ast.expr) -> str:
        start, end = self._place(node)
        text = self.source[start:end].decode()
        return f"({text})" if isinstance(node, ast.GeneratorExp | ast.NamedExpr | ast.Lambda | ast.IfExp) else text


def _looked_into(node: ast.AST) -> Iterator[ast.AST]:
    """Children, but for annotations, decorators, texts with values in them and what only checks types or lengths."""
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "format_spec", "type_params"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not (_is_typing(child) or _is_strict(child)):
                yield child


def _is_typing(node: ast.AST) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom():
            return True
        case ast.If(test=test):
            return _is_import_guard(test)
        case ast.Call(func=func):
            return _is_named(func, {"cast", "TypeVar"})
        case ast.Subscript(value=ast.Name(id="Literal" | "Annotated" | "Callable")):
            return True
    return False


def _is_strict(node: ast.AST) -> bool:
    """Whether it is the `strict=True` of `zip`, which does nothing where lengths are equal, as they should be."""
    return isinstance(node, ast.keyword) and node.arg == "strict"


def _is_import_guard(test: ast.expr) -> bool:
    return _is_named(test, {"TYPE_CHECKING"})


def _is_named(node: ast.expr, names: set[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def _commutes(node: ast.Call) -> bool:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in COMMUTATIVE and len(node.args) == 2 and not node.keywords


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_text(*nodes: ast.expr) -> bool:
    """Whether one is a text: `+` joins it, and nothing else is meant."""
    return any(
        isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))
        for node in nodes
    )
