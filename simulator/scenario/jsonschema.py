"""JSON Schema of the scenario file, draft-07, for editors."""

from __future__ import annotations

import json
from typing import Any

from simulator.schema.scenario import Scenario


def json_schema() -> dict[str, Any]:
    """The schema as a dict. Pydantic writes draft 2020-12; what differs in use here is renamed."""
    text = json.dumps(Scenario.model_json_schema())
    schema: dict[str, Any] = json.loads(text.replace("#/$defs/", "#/definitions/"))
    schema["definitions"] = _without_discriminators(schema.pop("$defs"))
    return {"$schema": "http://json-schema.org/draft-07/schema#", **_without_discriminators(schema)}


def _without_discriminators(node: Any) -> Any:
    """Drop `discriminator` (OpenAPI) and write `prefixItems` as draft-07's `items`."""
    if isinstance(node, list):
        return [_without_discriminators(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        ("items" if key == "prefixItems" else key): _without_discriminators(value)
        for key, value in node.items()
        if not (key == "discriminator" and isinstance(value, dict) and "propertyName" in value)
    }
