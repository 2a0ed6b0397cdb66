"""`servecast schema`: the JSON Schema of scenario files."""

from __future__ import annotations


def schema() -> int:
    """Print the JSON Schema (draft-07) of scenario files."""
    from simulator.cli.output import print_json
    from simulator.scenario.jsonschema import json_schema

    print_json(json_schema())
    return 0
