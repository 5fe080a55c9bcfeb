"""Evaluate a checked constraint over NumPy columns; the grammar and the public functions are in `expressions`.

All numbers are float64. Every result must stay within 2**53, where float64 represents integers exactly.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evotune.space.space_error import ExpressionError

Column = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

LARGEST = 2**53

ARITHMETIC: dict[type[ast.operator], Callable[[Column, Column], Column]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
    ast.Pow: np.power,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_EXTREMES: dict[str, Callable[[Column, Column], Column]] = {"min": np.minimum, "max": np.maximum}


@dataclass(frozen=True)
class Result:
    """The values of an expression, and a mask that is False where a value is undefined, as by a division by zero."""

    values: Column
    defined: Mask


_EVERYWHERE = np.asarray(True)


def evaluate(node: ast.expr, columns: Mapping[str, Column]) -> Result:
    """Evaluate a checked expression row by row. Raises ExpressionError for a number beyond +-2**53."""
    match node:
        case ast.Constant():
            return Result(_number(np.asarray(node.value)), _EVERYWHERE)
        case ast.Name():
            return Result(_number(columns[node.id]), _EVERYWHERE)
        case ast.Attribute():
            return Result(_number(columns[f"device.{node.attr}"]), _EVERYWHERE)
        case ast.BinOp():
            return _arithmetic(node, columns)
        case ast.UnaryOp():
            operand = evaluate(node.operand, columns)
            if isinstance(node.op, ast.Not):
                return Result(~truth(operand), _EVERYWHERE)
            return Result(-operand.values if isinstance(node.op, ast.USub) else operand.values, operand.defined)
        case ast.BoolOp():
            combine = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            truths = [truth(evaluate(value, columns)) for value in node.values]
            return Result(combine.reduce(np.broadcast_arrays(*truths)), _EVERYWHERE)
        case ast.Compare():
            return Result(_compare(node, columns), _EVERYWHERE)
        case ast.IfExp():
            return _choose(node, columns)
        case ast.Call(func=ast.Name(id=name)):
            return _extreme(_EXTREMES[name], [evaluate(argument, columns) for argument in node.args])
    raise ExpressionError(f"not part of the constraint language: {ast.unparse(node)!r}")


def _number(values: Column) -> Column:
    values = np.asarray(values)
    return values if values.dtype.kind == "U" else values.astype(np.float64)


def truth(result: Result) -> Mask:
    """Return a mask, True where a result is defined and not zero."""
    return np.asarray((result.values != 0) & result.defined)


def _arithmetic(node: ast.BinOp, columns: Mapping[str, Column]) -> Result:
    left, right = evaluate(node.left, columns), evaluate(node.right, columns)
    defined = left.defined & right.defined
    if isinstance(node.op, ast.Div | ast.FloorDiv | ast.Mod):
        defined = defined & (right.values != 0)
    if isinstance(node.op, ast.Pow):
        # Zero to a negative power divides by zero, and a fractional power of a negative number is not real.
        defined = defined & ~((left.values == 0) & (right.values < 0))
        defined = defined & ~((left.values < 0) & (right.values % 1 != 0))
    values = np.where(defined, ARITHMETIC[type(node.op)](left.values, right.values), 0.0)
    if not np.all(np.abs(values) <= LARGEST):
        raise ExpressionError(f"{ast.unparse(node)!r} must stay within +-2**53; use smaller numbers or units")
    return Result(values, defined)


def _compare(node: ast.Compare, columns: Mapping[str, Column]) -> Mask:
    holds: Mask = _EVERYWHERE
    left = evaluate(node.left, columns)
    for comparison, comparator in zip(node.ops, node.comparators, strict=True):
        if isinstance(comparator, ast.Tuple | ast.List):
            return np.asarray(left.defined & _contained(left, comparison, comparator))
        right = evaluate(comparator, columns)
        holds = holds & left.defined & right.defined & _COMPARISONS[type(comparison)](left.values, right.values)
        left = right
    return np.asarray(holds)


def _contained(left: Result, comparison: ast.cmpop, constants: ast.Tuple | ast.List) -> Mask:
    inside = np.isin(left.values, np.array([evaluate(constant, {}).values for constant in constants.elts]))
    return inside if isinstance(comparison, ast.In) else ~inside


def _choose(node: ast.IfExp, columns: Mapping[str, Column]) -> Result:
    chosen = truth(evaluate(node.test, columns))
    body, otherwise = evaluate(node.body, columns), evaluate(node.orelse, columns)
    return Result(np.where(chosen, body.values, otherwise.values), np.where(chosen, body.defined, otherwise.defined))


def _extreme(function: Callable[[Column, Column], Column], results: list[Result]) -> Result:
    values, defined = results[0].values, results[0].defined
    for result in results[1:]:
        values, defined = function(values, result.values), defined & result.defined
    return Result(values, defined)
