"""Enumerate the valid configurations: vectorised backtracking over parameters, in bounded memory.

The order of the parameters completes constraints early. A partial configuration that breaks a completed constraint is
dropped at once, so the full Cartesian product is never built. Constraints on derived quantities come last, for the
remaining configurations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evotune.space.evaluation import Column, Mask
from evotune.space.parameter import Parameter
from evotune.space.quantity import Quantity
from evotune.space.rules import Constraint, Rules
from evotune.space.space_error import SpaceError
from evotune.space.valid_set import Codes, code_type, radices
from evotune.suggestions import did_you_mean

# A block of 2**17 rows of 20 parameters takes 2.5 MiB as codes and 20 MiB as columns.
BLOCK_ROWS = 2**17
# 8 million configurations of 20 parameters take 0.2 GiB as codes and 0.6 GiB as features.
LARGEST_VALID_SET = 8_000_000


def enumerate_valid(parameters: Sequence[Parameter], rules: Rules, location: str) -> tuple[Codes, tuple[Quantity, ...]]:
    """Return the codes of all valid configurations, rows ascending, and the derived quantities that constraints use.

    Raises SpaceError for a constraint with an unknown name, and for a set that is empty or too large to hold.
    `location` is the file that the error names.
    """
    total = math.prod(len(parameter.values) for parameter in parameters)
    if total >= 2**62:
        raise SpaceError(f"{location}: the parameters must combine to fewer than 2**62 configurations, got {total}")
    _check_names(rules, parameters, location)
    walk = _Walk(tuple(parameters), rules, location, {})
    blocks = list(walk.valid_blocks())
    codes = np.concatenate([np.zeros((0, len(parameters)), code_type(parameters)), *(block.codes for block in blocks)])
    if len(codes) == 0:
        raise SpaceError(f"{location}: a space must have a valid configuration, got none of {total}: {walk.removals()}")
    order = np.argsort(codes.astype(np.int64) @ radices(parameters), kind="stable")
    columns = {name: np.concatenate([block.derived[name] for block in blocks]) for name in sorted(blocks[0].derived)}
    return codes[order], tuple(Quantity.of(name, column[order]) for name, column in columns.items())


def _check_names(rules: Rules, parameters: Sequence[Parameter], location: str) -> None:
    for constraint in rules.constraints:
        for name in sorted(constraint.expression.device - set(rules.device)):
            raise SpaceError(
                f"{constraint.location}: a constraint may use limits that the device has, got device.{name}; "
                f"{did_you_mean(name, rules.device)}"
            )
        if rules.derived is None:
            known = {parameter.name for parameter in parameters}
            _check_known(constraint, known)


def _check_known(constraint: Constraint, known: set[str]) -> None:
    for name in sorted(constraint.expression.names - known):
        raise SpaceError(
            f"{constraint.location}: a constraint may use parameters, device.* and derived quantities, got {name!r}; "
            f"{did_you_mean(name, known)}"
        )


@dataclass(frozen=True, eq=False)
class _Block:
    """Some valid configurations, with those of their derived quantities that constraints use."""

    codes: Codes
    derived: Mapping[str, Column]


@dataclass(frozen=True)
class _Walk:
    """One enumeration.

    `removed` counts the configurations that each constraint removed among those that earlier ones had left.
    """

    parameters: tuple[Parameter, ...]
    rules: Rules
    location: str
    removed: dict[Constraint, int]

    def valid_blocks(self) -> Iterator[_Block]:
        """Yield blocks in no particular order; their columns are in the order of the space."""
        order = _order(self.parameters, [c.expression.names for c in self._early])
        restore = np.argsort(order)
        start: Codes = np.zeros((1, 0), dtype=code_type(self.parameters))
        found = 0
        for block in self._extend(start, order):
            valid = self._keep_derived(block[:, restore])
            found += len(valid.codes)
            if found > LARGEST_VALID_SET:
                raise SpaceError(
                    f"{self.location}: a space must have at most {LARGEST_VALID_SET} valid configurations, got more; "
                    "add constraints or shorten lists of values"
                )
            yield valid

    def removals(self) -> str:
        """Describe the number of configurations that each constraint removes, in the order of application."""
        taken = [f"{c.expression.text!r} ({c.location}) removes {count}" for c, count in self.removed.items() if count]
        return "; of the remaining ones, ".join(taken) + "; relax one of them"

    @property
    def _early(self) -> list[Constraint]:
        return [constraint for constraint in self.rules.constraints if not self.rules.needs_derived(constraint)]

    def _extend(self, partial: Codes, order: Sequence[int]) -> Iterator[Codes]:
        depth = partial.shape[1]
        if depth == len(order):
            yield partial
            return
        parameter = self.parameters[order[depth]]
        values = np.arange(len(parameter.values), dtype=partial.dtype)
        rows = max(1, BLOCK_ROWS // len(values))
        for first in range(0, len(partial), rows):
            block = partial[first : first + rows]
            extended = np.column_stack([np.repeat(block, len(values), axis=0), np.tile(values, len(block))])
            kept = self._keep_early(extended, order[: depth + 1], order[depth + 1 :])
            if len(kept):
                yield from self._extend(kept, order)

    def _keep_early(self, codes: Codes, assigned: Sequence[int], open_: Sequence[int]) -> Codes:
        before = {self.parameters[j].name for j in assigned[:-1]}
        newest = self.parameters[assigned[-1]].name
        weight = math.prod(len(self.parameters[j].values) for j in open_)
        for constraint in self._early:
            names = constraint.expression.names
            if (newest in names and names <= before | {newest}) or (not names and not before):
                columns = _columns([self.parameters[j] for j in assigned], codes, names)
                codes = self._keep(codes, constraint, self.rules.holds(constraint, columns), weight)
        return codes

    def _keep_derived(self, codes: Codes) -> _Block:
        late = [constraint for constraint in self.rules.constraints if self.rules.needs_derived(constraint)]
        if not late:
            return _Block(codes, {})
        names = frozenset().union(*(constraint.expression.names for constraint in late))
        derived = self._derived_columns(codes, late)
        columns = {**_columns(self.parameters, codes, names), **derived}
        for constraint in late:
            holds = np.broadcast_to(self.rules.holds(constraint, columns), len(codes))
            codes = self._keep(codes, constraint, holds, 1)
            columns = {name: column[holds] for name, column in columns.items()}
        return _Block(codes, {name: columns[name] for name in derived})

    def _derived_columns(self, codes: Codes, late: Sequence[Constraint]) -> dict[str, Column]:
        parameter_names = [parameter.name for parameter in self.parameters]
        wanted = frozenset().union(*(constraint.expression.names for constraint in late)) - set(parameter_names)
        columns = {name: np.empty(len(codes)) for name in wanted}
        derive = self.rules.derived
        assert derive is not None, "_check_names has refused derived names without a kernel"
        values = [[parameter.values[code] for code in codes[:, j]] for j, parameter in enumerate(self.parameters)]
        for i, row in enumerate(zip(*values, strict=True)):
            derived = derive(dict(zip(parameter_names, row, strict=True)))
            if i == 0:
                for constraint in late:
                    _check_known(constraint, {*parameter_names, *derived})
            for name, column in columns.items():
                column[i] = derived[name]
        return columns

    def _keep(self, codes: Codes, constraint: Constraint, holds: Mask, weight: int) -> Codes:
        holds = np.broadcast_to(holds, len(codes))
        self.removed[constraint] = self.removed.get(constraint, 0) + weight * int(np.count_nonzero(~holds))
        return codes[holds]


def _columns(parameters: Sequence[Parameter], codes: Codes, names: frozenset[str]) -> Mapping[str, Column]:
    return {
        parameter.name: np.asarray(parameter.values)[codes[:, j]]
        for j, parameter in enumerate(parameters)
        if parameter.name in names
    }


def _order(parameters: Sequence[Parameter], constraints: Sequence[frozenset[str]]) -> list[int]:
    """Return an order of the parameters, greedily: next, complete the constraint with the fewest combinations left.

    Parameters without a constraint come last.
    """
    index = {parameter.name: j for j, parameter in enumerate(parameters)}
    order: list[int] = []
    waiting = [{index[name] for name in names} for names in constraints]
    while waiting:
        waiting = [rest for constraint in waiting if (rest := constraint - set(order))]
        if waiting:
            cheapest = min(waiting, key=lambda rest: math.prod(len(parameters[j].values) for j in rest))
            order += sorted(cheapest, key=lambda j: (len(parameters[j].values), j))
    return order + [j for j in range(len(parameters)) if j not in order]
