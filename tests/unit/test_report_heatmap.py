"""The map of a sweep over two values: each field has its own figures."""

from __future__ import annotations

import pandas as pd

from simulator.report.heatmap import heatmap
from simulator.report.pareto import MEASURES, sweep_points

PATHS = ("workload.classes[0].arrivals.rate_rps", "topologies.own.pools[0].replicas")


def table() -> pd.DataFrame:
    rows = [
        {
            "topology": topology,
            PATHS[0]: rate,
            PATHS[1]: replicas,
            "status": "error" if (rate, replicas) == (8.0, 3.0) else "ok",
            "slo_met": None if rate == 2.0 else rate / replicas <= 4,
            "slo_attainment": min(1.0, 4 * replicas / rate),
            "usd_per_month": 1_000.0 * replicas,
        }
        for topology in ("own", "cloud")
        for rate in (2.0, 4.0, 8.0)
        for replicas in (1.0, 3.0)
    ]
    return pd.DataFrame(rows)


def test_each_pair_of_values_is_a_field_and_what_failed_is_none() -> None:
    spec = heatmap(table(), PATHS).to_dict()
    (fields,) = spec["datasets"].values()
    assert len(fields) == 2 * 5
    found = {(one["topology"], one["across"], one["up"]): one for one in fields}
    assert ("own", 8.0, 3.0) not in found
    assert found["own", 8.0, 1.0]["attainment"] == 0.5
    assert found["own", 8.0, 1.0]["SLO met"] == "no"
    assert found["own", 8.0, 1.0]["bill"].startswith("(")
    assert found["own", 4.0, 1.0]["SLO met"] == "yes"
    assert not found["own", 4.0, 1.0]["bill"].startswith("(")
    assert found["cloud", 2.0, 1.0]["SLO met"] == "not known"
    layer = spec["spec"]["layer"][0]["encoding"]
    assert (layer["x"]["title"], layer["y"]["title"]) == ("rate_rps", "replicas")
    same = ("a.replicas", PATHS[1])
    other = table().rename(columns={PATHS[0]: same[0]})
    layer = heatmap(other, same).to_dict()["spec"]["layer"][0]["encoding"]
    assert [layer[axis]["title"] for axis in "xy"] == ["a.replicas", "pools[0].replicas"], (
        "the last part alone would name both"
    )
    point = sweep_points("sweep", other.assign(**dict.fromkeys(MEASURES, 1.0)), same)[0]
    assert point["values"] == "a.replicas=2, pools[0].replicas=1"
    assert spec["facet"]["column"]["sort"] == ["own", "cloud"]


def test_one_value_has_a_row_for_each_topology() -> None:
    spec = heatmap(table()[table()[PATHS[1]] == 1.0], PATHS[:1]).to_dict()
    (fields,) = spec["datasets"].values()
    assert {(one["across"], one["up"]) for one in fields} == {(r, n) for r in (2, 4, 8) for n in ("own", "cloud")}
    assert spec["layer"][0]["encoding"]["y"]["sort"] == ["own", "cloud"]


def test_other_sweeps_have_no_map() -> None:
    assert heatmap(table(), ()) is None
    assert heatmap(table(), (*PATHS, "run.seed")) is None
    assert heatmap(table().assign(status="error"), PATHS) is None
