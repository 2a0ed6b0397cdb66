"""What a run says of itself: months that are scaled from a part of a cycle."""

from __future__ import annotations

import pytest

from simulator.run.remarks import beyond_the_clock
from simulator.schema.topology import Topology

DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("windows", "simulated_s", "cycle"),
    [
        ([], 200.0, None),
        ([{"hours": "9-17"}], 200.0, "days"),
        ([{"hours": "9-17"}], DAY_S, None),
        ([{"hours": "9-17"}, {"days": "sun", "hours": "0-24"}], DAY_S, "weeks"),
        ([{"days": "mon-fri", "hours": "9-17"}], 14 * DAY_S, None),
    ],
)
def test_windows_are_judged_by_whole_cycles(
    windows: list[dict[str, str]], simulated_s: float, cycle: str | None
) -> None:
    routing = {"kind": "windows", "windows": [{**one, "use": ["g"]} for one in windows], "otherwise": ["g"]}
    pool = {"name": "g", "site": "lambda", "gpu": "h100-sxm"}
    by_routing = Topology.model_validate({"pools": [pool], **({"routing": routing} if windows else {})})
    schedule = [{**one, "replicas": 1} for one in windows]
    by_schedule = Topology.model_validate({"pools": [{**pool, "replicas": 0, "schedule": schedule}]})
    for topology in (by_routing, by_schedule):
        found = beyond_the_clock(topology, simulated_s)
        assert len(found) == (cycle is not None)
        assert all(f"no whole number of {cycle}:" in text for text in found)
