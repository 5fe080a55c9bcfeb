"""The JSON Schema of a space file; each description completes "NAME must be ..." in an error message."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from evotune.space.parameter import KINDS
from evotune_workers.compilers.build import Resources

RESOURCES = tuple(field.name for field in fields(Resources))

# Strings reach the compiler without quotes, as values of macros, so they must be identifiers.
_VALUES: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "description": "a list of values such as [16, 32, 64]; add one",
    "items": {
        "type": ["boolean", "integer", "string"],
        "pattern": "^[A-Za-z_][A-Za-z0-9_]*$",
        "minimum": -(2**53),
        "maximum": 2**53,
        "description": "a whole number within +-2**53, true or false, or a string that is a C identifier",
    },
}
_DETAILED: dict[str, Any] = {
    "type": "object",
    "required": ["values"],
    "additionalProperties": False,
    "description": "a list of values, or {values: [...], kind: ...}",
    "properties": {
        "values": _VALUES,
        "kind": {"enum": list(KINDS), "description": f"one of {', '.join(KINDS)}"},
    },
}
_DEFAULT: dict[str, Any] = {
    "type": "object",
    "description": "a mapping with a value for every parameter, or a list of such mappings",
}
_DEFAULTS: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "description": "a list of mappings with a value for every parameter; add one",
    "items": _DEFAULT,
}
SPACE: dict[str, Any] = {
    "type": "object",
    "required": ["kernel", "variant", "parameters"],
    "additionalProperties": False,
    "description": "a mapping with kernel, variant and parameters",
    "properties": {
        "kernel": {"type": "string", "minLength": 1, "description": "the name of a kernel, such as attention_fwd"},
        "variant": {"type": "string", "minLength": 1, "description": "the name of a variant, such as cpu"},
        "target": {
            "type": "string",
            "pattern": "^(cpu|sm_[0-9]{2,3}[af]?)$",
            "description": "the target that it was written for, such as cpu or sm_89",
        },
        "parameters": {
            "type": "object",
            "minProperties": 1,
            "description": "a mapping of at least one parameter name to its values",
            "additionalProperties": {"if": {"type": "array"}, "then": _VALUES, "else": _DETAILED},
        },
        "constraints": {
            "type": "array",
            "description": "a list of expressions; remove it if there are none",
            "items": {"type": "string", "description": 'an expression in quotes, such as "tile_m % 16 == 0"'},
        },
        "limits": {
            "type": "object",
            "additionalProperties": False,
            "description": "a mapping of resources to their upper bounds",
            "properties": {
                name: {"type": "integer", "minimum": 0, "description": "a whole number >= 0"} for name in RESOURCES
            },
        },
        "default": {"if": {"type": "array"}, "then": _DEFAULTS, "else": _DEFAULT},
    },
}
