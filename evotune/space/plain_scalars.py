"""Unquoted scalars that YAML 1.1 reads as something else than YAML 1.2 does: 010 is 8, 1:30 is 90, off is false.

PyYAML follows YAML 1.1 (https://yaml.org/type/). A space takes only what both versions read alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

_TAG = "tag:yaml.org,2002:"
# The values of a type as both versions write them.
_ALIKE = {
    "int": re.compile(r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+"),
    "float": re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
}
# Words to YAML 1.1 alone, and numbers to everybody else.
_NUMBER_ELSEWHERE = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+|0o[0-7]+")


def ambiguous_scalars(node: yaml.Node) -> Iterator[tuple[yaml.ScalarNode, str]]:
    """Yield unquoted scalars below a node that have another meaning elsewhere, each with what YAML reads."""
    if isinstance(node, yaml.ScalarNode):
        if node.style is None and not _is_read_alike(node):
            yield node, _read(node)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from ambiguous_scalars(item)
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            for item in pair:
                yield from ambiguous_scalars(item)


def _is_read_alike(node: yaml.ScalarNode) -> bool:
    kind = node.tag.removeprefix(_TAG)
    if kind in _ALIKE:
        return _ALIKE[kind].fullmatch(node.value) is not None
    return kind != "timestamp" and (kind != "str" or _NUMBER_ELSEWHERE.fullmatch(node.value) is None)


def _read(node: yaml.ScalarNode) -> str:
    """Return what PyYAML makes of a scalar, as YAML writes it."""
    if node.tag == _TAG + "str":
        return "a word"
    read = yaml.SafeLoader("").construct_object(node)
    return str(read).lower() if isinstance(read, bool) else str(read)
