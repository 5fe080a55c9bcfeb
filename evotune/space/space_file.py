"""Read a space from its YAML file; every error names its line."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml

from evotune.space.configuration import misfit
from evotune.space.expressions import parse_expression
from evotune.space.parameter import Parameter, infer_kind
from evotune.space.plain_scalars import ambiguous_scalars
from evotune.space.rules import Constraint
from evotune.space.schema import SPACE
from evotune.space.space import Default, Space
from evotune.space.space_error import ExpressionError, SpaceError
from evotune.suggestions import did_you_mean

if TYPE_CHECKING:
    from jsonschema import ValidationError

# Names with another meaning in a constraint.
_RESERVED = ("device", "min", "max")
# parameters -> NAME -> values -> index
_DEEPEST_PATH = 4


def load_space(path: Path | str) -> Space:
    """Read a space from a YAML file.

    Raises SpaceError, which says file:line, the rule, the value received and what to do.
    """
    path = Path(path)
    return parse_space(_read(path), str(path))


def parse_space(text: str, path: str) -> Space:
    """Parse a space from YAML text; error messages name `path`."""
    document = _Document(path, *_parse(path, text))
    document.check_schema()
    parameters = document.parameters()
    return Space(
        name=Path(path).stem,
        kernel=document.content["kernel"],
        variant=document.content["variant"],
        target=document.content.get("target"),
        parameters=parameters,
        constraints=document.constraints(parameters),
        limits=document.content.get("limits", {}),
        defaults=document.defaults(parameters),
        path=path,
        text=text,
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path}:1: a space must be a readable UTF-8 file, got {error}; check the path") from error


def _parse(path: str, text: str) -> tuple[Any, dict[tuple[Any, ...], int]]:
    """Return the content, and the line of every key and value down to the depth that error messages use."""
    try:
        lines: dict[tuple[Any, ...], int] = {}
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            return None, lines
        _find_lines(path, root, (), lines)
        _refuse_ambiguous(path, root)
        return loader.construct_document(root), lines
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        line = mark.line + 1 if mark is not None else 1
        raise SpaceError(
            f"{path}:{line}: a space must be well-formed YAML, got: {problem}; correct this line"
        ) from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, SpaceError):
            raise
        raise SpaceError(f"{path}:1: a space must be well-formed YAML, got: {error}; correct it") from error


def _find_lines(path: str, node: yaml.Node, at: tuple[Any, ...], lines: dict[tuple[Any, ...], int]) -> None:
    lines.setdefault(at, node.start_mark.line + 1)
    if len(at) == _DEEPEST_PATH:
        return
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            _find_lines(path, item, (*at, i), lines)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise SpaceError(f"{path}:{line}: a key must occur once, got {key.value!r} again; remove one of them")
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
                lines[(*at, key.value)] = line
                _find_lines(path, value, (*at, key.value), lines)


def _refuse_ambiguous(path: str, root: yaml.Node) -> None:
    for scalar, read in ambiguous_scalars(root):
        at = f"{path}:{scalar.start_mark.line + 1}:{scalar.start_mark.column + 1}"
        raise SpaceError(
            f"{at}: a value must mean the same to every reader of YAML, got {scalar.value}, which YAML 1.1 reads as "
            f"{read}: write a number in plain digits, true or false, or a word in quotes"
        )


@dataclass(frozen=True)
class _Document:
    path: str
    content: Any
    lines: Mapping[tuple[Any, ...], int]

    def location(self, at: Sequence[Any]) -> str:
        """Return file:line of a key or value, or of the nearest enclosing one whose line is known."""
        key = tuple(at)
        while key and key not in self.lines:
            key = key[:-1]
        return f"{self.path}:{self.lines.get(key, 1)}"

    def check_schema(self) -> None:
        """Raise SpaceError for the first violation of the schema, in the order of the file."""
        # Import jsonschema here: it takes 60 ms, and commands that read no space do not need it.
        from jsonschema import Draft202012Validator

        if self.content is None or self.content == {}:
            raise SpaceError(f"{self.path}:1: a space must not be empty; write kernel, variant and parameters")
        errors = list(Draft202012Validator(SPACE).iter_errors(self.content))
        if errors:
            # A misspelt key is also reported as a missing one; the message about the spelling is the useful one.
            first = min(errors, key=lambda error: (error.validator == "required", self._line(error)))
            at, text = self._describe(first)
            raise SpaceError(f"{self.location(at)}: {text}")

    def _line(self, error: ValidationError) -> int:
        return self.lines.get(tuple(error.absolute_path), 1)

    def _describe(self, error: ValidationError) -> tuple[list[Any], str]:
        at, instance = list(error.absolute_path), cast(Any, error.instance)
        schema = cast(dict[str, Any], error.schema)
        name = ".".join(str(part) for part in at) or "a space"
        if error.validator == "additionalProperties":
            known = list(schema["properties"])
            unknown = next(key for key in instance if key not in known)
            rule = f"{name} may hold {', '.join(known)}"
            return [*at, unknown], f"{rule}, got {unknown!r}; {did_you_mean(str(unknown), known)}"
        if error.validator == "required":
            missing = next(key for key in schema["required"] if key not in instance)
            return at, f"{name} must have {missing}, got {', '.join(map(str, instance))}; add {missing}"
        return at, f"{name} must be {schema['description']}, got {instance!r}"

    def parameters(self) -> tuple[Parameter, ...]:
        """Return the parameters in the order of the file."""
        return tuple(self._parameter(name, written) for name, written in self.content["parameters"].items())

    def _parameter(self, name: Any, written: Any) -> Parameter:
        if not (isinstance(name, str) and re.fullmatch("[a-z][a-z0-9_]*", name)):
            rule = "a parameter's name must be lower-case letters, digits and _"
            raise SpaceError(f"{self.location(['parameters', name])}: {rule}, got {name!r}; rename it")
        if name in _RESERVED or keyword.iskeyword(name):
            rule = "a parameter's name must not be a word of the constraint language"
            raise SpaceError(f"{self.location(['parameters', name])}: {rule}, got {name!r}; rename it")
        values = tuple(written if isinstance(written, list) else written["values"])
        kind = infer_kind(values) if isinstance(written, list) else written.get("kind", infer_kind(values))
        try:
            return Parameter(name, values, kind)
        except ValueError as error:
            raise SpaceError(f"{self.location(['parameters', name])}: {error}") from error

    def constraints(self, parameters: Sequence[Parameter]) -> tuple[Constraint, ...]:
        """Return the constraints in the order of the file."""
        text_names = [parameter.name for parameter in parameters if isinstance(parameter.values[0], str)]
        found = []
        for i, text in enumerate(self.content.get("constraints", [])):
            location = self.location(["constraints", i])
            try:
                found.append(Constraint(parse_expression(text, text_names), location))
            except ExpressionError as error:
                raise SpaceError(f"{location}: {error}") from error
        return tuple(found)

    def defaults(self, parameters: Sequence[Parameter]) -> tuple[Default, ...]:
        """Return the defaults, checked against the parameters only: constraints need the device and the workload."""
        written = self.content.get("default", [])
        if isinstance(written, list):
            defaults = [Default(each, self.location(["default", i])) for i, each in enumerate(written)]
        else:
            defaults = [Default(written, self.location(["default"]))]
        for default in defaults:
            broken = misfit(parameters, default.configuration)
            if broken is not None:
                raise SpaceError(f"{default.location}: the default must be valid: {broken}")
        return tuple(defaults)
