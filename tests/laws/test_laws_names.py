"""A study under other names, its topologies, pools and providers in another order: the same figures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from simulator.results.bundle import read_bundle
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/lucky.yaml"
NAMES = {
    "lucky": "zz",
    "rented": "x9",
    "hybrid": "x2",
    "cheap": "aa",
    "base": "zb",
    "own": "p5",
    "more": "p1",
    "api": "a0",
    "chat": "c2",
    "long": "c1",
}

LISTED = ("fleet", "warnings")
"""What goes by the order of the list: the key of a fleet with its terms, and texts that name several places."""


def renamed(value: Any, names: dict[str, str]) -> Any:
    """Names changed in keys and words."""
    if isinstance(value, dict):
        return {names.get(key, key): renamed(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [renamed(each, names) for each in value]
    if isinstance(value, str):
        return re.sub(r"(?<![\w./-])\w+(?![\w/-]|\.\w)", lambda word: names.get(word[0], word[0]), value)
    return value


def turned(study: dict[str, Any]) -> dict[str, Any]:
    """Topologies, pools and providers the other way round."""
    topologies = {
        name: {key: each[::-1] if key in ("pools", "providers") else each for key, each in reversed(topology.items())}
        for name, topology in reversed(study["topologies"].items())
    }
    return study | {"topologies": topologies}


def sorted_rows(value: Any) -> Any:
    """Rows in an order of their own; sums of money over pools may differ in their last bits."""
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, dict):
        return {key: sorted_rows(each) for key, each in value.items() if key not in LISTED}
    if isinstance(value, list):
        return sorted((sorted_rows(each) for each in value), key=lambda each: json.dumps(each, sort_keys=True))
    return value


def summary(folder: Path, study: dict[str, Any]) -> Any:
    folder.mkdir()
    (folder / "study.yaml").write_text(json.dumps(study))
    return read_bundle(simulate(load_scenario(folder / "study.yaml"), folder / "runs").bundle).summary


def test_order_and_names_change_nothing(tmp_path: Path) -> None:
    study = yaml.safe_load(SCENARIO.read_text())
    first = summary(tmp_path / "one", study)
    second = renamed(summary(tmp_path / "two", renamed(turned(study), NAMES)), {new: old for old, new in NAMES.items()})
    (cheap,) = (pool for pool in first["topologies"]["rented"]["pools"] if pool["name"] == "cheap")
    assert cheap["failures"] > 0
    assert cheap["reclaims"] > 0
    first, second = sorted_rows(first), sorted_rows(second)
    for name, found in first["topologies"].items():
        for key, figures in found.items():
            assert second["topologies"][name][key] == figures, (name, key)
    assert json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
