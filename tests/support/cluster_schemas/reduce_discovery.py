"""Make compute_instance.json from the description of Compute Engine's API.

Run `python -m tests.support.cluster_schemas.reduce_discovery compute.v1.json`; README.md says where that file is from.
It keeps `Instance`, what that refers to, and no descriptions.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.support.cluster_schemas import HERE

PROSE = ("description", "enumDescriptions", "enumDeprecated", "annotations", "deprecated", "id", "pattern")


def main(document: Path) -> None:
    schemas = json.loads(document.read_text(encoding="utf-8"))["schemas"]
    kept: dict[str, Any] = {}
    _keep("Instance", schemas, kept)
    text = json.dumps(dict(sorted(kept.items())), indent=1, sort_keys=True)
    (HERE / "compute_instance.json").write_text(text + "\n", encoding="utf-8")


def _keep(name: str, schemas: dict[str, Any], kept: dict[str, Any]) -> None:
    if name not in kept:
        kept[name] = {}
        kept[name] = _without_prose(schemas[name], lambda other: _keep(other, schemas, kept))


def _without_prose(schema: Any, keep: Any) -> Any:
    """`keep` is called with the name of every schema that this one refers to."""
    if not isinstance(schema, dict):
        return schema
    if isinstance(schema.get("$ref"), str):
        keep(schema["$ref"])
    kept = {key: _without_prose(value, keep) for key, value in schema.items() if key not in (*PROSE, "properties")}
    if "properties" in schema:
        # A field may be called `id` or `description`.
        kept["properties"] = {name: _without_prose(field, keep) for name, field in schema["properties"].items()}
    return kept


if __name__ == "__main__":
    main(Path(sys.argv[1]))
