"""JSON schemas of Compute Engine and KubeRay that refuse every field that these do not know."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator

HERE = Path(__file__).parent


def check_compute_instance(body: Any) -> None:
    """Raise jsonschema.ValidationError when Compute Engine would not take this for the body of `instances.insert`."""
    # Without `jsonschema.validate`, which would check these large schemas themselves each time.
    Draft7Validator(compute_instance()).validate(body)


def check_ray_cluster(manifest: Any) -> None:
    """Raise jsonschema.ValidationError when the API server, in its strict mode, would not take the RayCluster."""
    Draft7Validator(ray_cluster()).validate(manifest)


@cache
def compute_instance() -> dict[str, Any]:
    """From the description of Compute Engine's API."""
    schemas = json.loads((HERE / "compute_instance.json").read_text(encoding="utf-8"))
    definitions = {name: _strict(_of_discovery(schema)) for name, schema in schemas.items()}
    return {"$ref": "#/definitions/Instance", "definitions": definitions}


@cache
def ray_cluster() -> dict[str, Any]:
    """Return the schema of a RayCluster of ray.io/v1, from KubeRay's custom resource definition."""
    text = gzip.decompress((HERE / "raycluster.crd.yaml.gz").read_bytes())
    definition = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    (version,) = (each for each in definition["spec"]["versions"] if each["name"] == "v1")
    schema: dict[str, Any] = _strict(version["schema"]["openAPIV3Schema"])
    # The API server itself knows what metadata may hold.
    schema["properties"]["metadata"] = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "namespace": {"type": "string"}},
        "additionalProperties": False,
    }
    return schema


def _strict(schema: Any) -> Any:
    """As the API server's strict validation: an object with listed fields has no others."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        closed["additionalProperties"] = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    return closed


def _of_discovery(schema: Any) -> Any:
    """Convert a discovery document's schema to a JSON schema without read-only fields; 64-bit numbers may be text."""
    if isinstance(schema, list):
        return [_of_discovery(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(schema.get("$ref"), str):
        return {"$ref": f"#/definitions/{schema['$ref']}"}
    if schema.get("type") == "string" and schema.get("format") in ("int64", "uint64"):
        return {"type": ["string", "integer"]}
    return {
        key: _of_discovery(value)
        for key, value in schema.items()
        if not (isinstance(value, dict) and value.get("readOnly") is True)
    }
