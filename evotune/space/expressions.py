"""The constraint language: arithmetic and boolean expressions over named columns, without `eval`.

A constraint is parsed with `ast`, every node is checked against a white list, and the tree is evaluated over NumPy
columns. All arithmetic is in float64. Every result must stay within 2**53, where float64 represents integers exactly.
A division by zero makes the enclosing comparison false.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from evotune.space.evaluation import ARITHMETIC, LARGEST, Column, Mask, evaluate, truth
from evotune.space.space_error import ExpressionError

LARGEST_EXPONENT = 53
LONGEST_TEXT = 2000
DEEPEST_NESTING = 60


@dataclass(frozen=True)
class Expression:
    """A checked constraint; `names`: the parameters and derived quantities it uses, `device`: the limits it uses."""

    text: str
    names: frozenset[str]
    device: frozenset[str]
    tree: ast.expr = field(repr=False, compare=False)

    def holds(self, columns: Mapping[str, Column]) -> Mask:
        """Return a mask, True for each row for which the constraint holds.

        `columns` has an array for each name, and a device limit under "device.NAME". Arrays are broadcast against each
        other. Raises ExpressionError for a number beyond +-2**53.
        """
        with np.errstate(all="ignore"):
            return truth(evaluate(self.tree, columns))


def parse_expression(text: str, text_names: Collection[str] = ()) -> Expression:
    """Parse and check a constraint; `text_names` are the names whose values are strings.

    Raises ExpressionError for anything outside the language.
    """
    tree = _parse(text)
    _check_nesting(tree)
    is_text = _check(tree, frozenset(text_names))
    if is_text:
        raise ExpressionError(f"a constraint must be true or false, got the string {text!r}; compare it with something")
    names = frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name)) - {"device"} - _called(tree)
    device = frozenset(node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return Expression(text, names, device, tree)


def _parse(text: str) -> ast.expr:
    if len(text) > LONGEST_TEXT:
        raise ExpressionError(f"a constraint must have at most {LONGEST_TEXT} characters, got {len(text)}; split it")
    try:
        with warnings.catch_warnings():
            # Refuse an invalid escape in a string, of which Python only warns.
            warnings.simplefilter("error")
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, Warning, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ExpressionError(f"a constraint must be an expression, got {text!r} ({reason})") from None


def _check_nesting(tree: ast.expr) -> None:
    level: list[ast.AST] = [tree]
    for _ in range(DEEPEST_NESTING):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    if level:
        raise ExpressionError(f"a constraint must be nested at most {DEEPEST_NESTING} deep; split it into several")


def _called(tree: ast.expr) -> frozenset[str]:
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return frozenset(function.id for function in calls if isinstance(function, ast.Name))


def _check(node: ast.expr, text_names: frozenset[str]) -> bool:
    """Refuse a node outside the language; return True if its value is a string."""
    match node:
        case ast.Constant():
            return _check_constant(node)
        case ast.Name():
            return _check_name(node) in text_names
        case ast.Attribute():
            _check_attribute(node)
        case ast.BinOp():
            _check_arithmetic(node, text_names)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not()):
            _check_numbers([node.operand], text_names)
        case ast.BoolOp():
            _check_numbers(node.values, text_names)
        case ast.Compare():
            _check_comparison(node, text_names)
        case ast.IfExp():
            _check_numbers([node.test], text_names)
            return _check_alike([node.body, node.orelse], text_names)
        case ast.Call(func=ast.Name(id="min" | "max")) if len(node.args) >= 2 and not node.keywords:
            _check_numbers(node.args, text_names)
        case _:
            raise ExpressionError(
                f"a constraint may hold names, numbers, strings, arithmetic, comparisons, and/or/not, if-else, "
                f"'in' with a list of constants, min and max, got {ast.unparse(node)!r} ({type(node).__name__})"
            )
    return False


def _check_constant(node: ast.Constant) -> bool:
    if not isinstance(node.value, bool | int | float | str):
        raise ExpressionError(f"a constant must be a number, a boolean or a string, got {ast.unparse(node)}")
    if not isinstance(node.value, str) and not abs(node.value) <= LARGEST:
        raise ExpressionError("a number must lie within +-2**53, got a larger one; use a smaller unit")
    return isinstance(node.value, str)


def _check_name(node: ast.Name) -> str:
    if node.id == "device":
        raise ExpressionError("a limit of the device is written device.NAME, got 'device' alone")
    if node.id in ("min", "max"):
        raise ExpressionError(f"{node.id} is a function, written {node.id}(a, b), got it alone")
    if node.id.startswith("_"):
        raise ExpressionError(f"a name must not begin with an underscore, got {node.id!r}")
    return node.id


def _check_attribute(node: ast.Attribute) -> None:
    if not (isinstance(node.value, ast.Name) and node.value.id == "device") or node.attr.startswith("_"):
        raise ExpressionError(f"only a limit of the device may have a dot, as device.NAME, got {ast.unparse(node)!r}")


def _check_numbers(nodes: Iterable[ast.expr], text_names: frozenset[str]) -> None:
    for node in nodes:
        if _check(node, text_names):
            raise ExpressionError(f"arithmetic, and/or/not take numbers, got the string {ast.unparse(node)}")


def _check_alike(nodes: Iterable[ast.expr], text_names: frozenset[str]) -> bool:
    kinds = {_check(node, text_names) for node in nodes}
    if len(kinds) > 1:
        raise ExpressionError("strings go with strings and numbers with numbers, got one of each; quote or unquote one")
    return kinds.pop()


def _check_arithmetic(node: ast.BinOp, text_names: frozenset[str]) -> None:
    if type(node.op) not in ARITHMETIC:
        raise ExpressionError(f"arithmetic must be one of + - * / // % **, got {ast.unparse(node)!r}")
    _check_numbers([node.left, node.right], text_names)
    exponent = node.right.value if isinstance(node.op, ast.Pow) and isinstance(node.right, ast.Constant) else 0
    if isinstance(exponent, int | float) and exponent > LARGEST_EXPONENT:
        raise ExpressionError(f"an exponent must be at most {LARGEST_EXPONENT}, got {ast.unparse(node)!r}")
    if not any(isinstance(part, ast.Name | ast.Attribute) for part in ast.walk(node)):
        with np.errstate(all="ignore"):
            evaluate(node, {})


def _check_comparison(node: ast.Compare, text_names: frozenset[str]) -> None:
    if any(isinstance(comparison, ast.Is | ast.IsNot) for comparison in node.ops):
        raise ExpressionError(f"compare with == and !=, got {ast.unparse(node)!r}")
    if any(isinstance(comparison, ast.In | ast.NotIn) for comparison in node.ops):
        _check_membership(node, text_names)
        return
    is_text = _check_alike([node.left, *node.comparators], text_names)
    if is_text and not all(isinstance(comparison, ast.Eq | ast.NotEq) for comparison in node.ops):
        raise ExpressionError(f"strings are compared with == and != only, got {ast.unparse(node)!r}")


def _check_membership(node: ast.Compare, text_names: frozenset[str]) -> None:
    constants = node.comparators[0]
    if len(node.ops) > 1:
        raise ExpressionError(f"'in' must not be chained with other comparisons, got {ast.unparse(node)!r}; use 'and'")
    if not isinstance(constants, ast.Tuple | ast.List) or not constants.elts:
        raise ExpressionError(f"'in' needs a list of constants such as (1, 2), got {ast.unparse(constants)!r}")
    for element in constants.elts:
        signed = isinstance(element, ast.UnaryOp) and isinstance(element.op, ast.USub)
        if not isinstance(element.operand if isinstance(element, ast.UnaryOp) and signed else element, ast.Constant):
            raise ExpressionError(f"'in' needs a list of constants, got {ast.unparse(element)!r} in it")
    _check_alike([node.left, *constants.elts], text_names)
