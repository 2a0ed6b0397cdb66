"""Load over time of several replications: their mean, with the smallest and largest around it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from simulator.report.time_charts import load_over_time, load_tables

SUMMARY: dict[str, Any] = {"pools": [{"name": "base", "replica_capacity_rps": 2.0}], "providers": [], "clock_s": 0.0}
TOKENS = {0: (100.0, 300.0), 1: (500.0, 100.0)}
"""By replication, between the samples."""


def tables(replications: tuple[int, ...]) -> dict[str, pd.DataFrame]:
    fleet = [
        {"topology": name, "replication": k, "time_s": 60.0 * step, "pool": "base", "ready": 1 + k, "starting": 0}
        | {"running": 4 * k + step, "waiting": 0, "kv_usage": 0.5, "output_tokens": ([0.0, *TOKENS[k]])[step]}
        for name in ("own", "other")
        for k in replications
        for step in range(3)
    ]
    demand = [
        {"topology": "own", "replication": k, "time_s": 60.0 * step, "period_s": 60.0, "target": "base"}
        | {"arrived": 60 * (1 + k + step), "overflowed": 0}
        for k in replications
        for step in range(2)
    ]
    events = pd.DataFrame(
        columns=["topology", "replication", "kind", "start_s", "end_s", "target", "replica", "count"], dtype=object
    )
    return {"fleet": pd.DataFrame(fleet), "demand": pd.DataFrame(demand), "events": events}


def test_all_replications_are_their_mean_and_range() -> None:
    found = load_tables(tables((0, 1)).__getitem__, "own", SUMMARY)
    samples = found.samples.set_index("minutes")
    for minute, rates in ((1.0, (100 / 60, 500 / 60)), (2.0, (300 / 60, 100 / 60))):
        row = samples.loc[minute]
        ends = (row["output_tokens_per_s_low"], row["output_tokens_per_s_high"])
        assert ends == pytest.approx((min(rates), max(rates)))
        assert row["output_tokens_per_s"] == pytest.approx(sum(rates) / 2)
    assert len(samples) == 3, "one row a time, not one for each replication"
    assert found.demand["arrived_per_s"].tolist() == [1.5, 2.5]
    assert found.capacity["capacity_per_s_high"].tolist() == [4.0] * 3
    layers = load_over_time(found).to_dict()["vconcat"][1]["layer"]
    assert [layer["mark"]["type"] for layer in layers] == ["area", "line"]
    assert {layer["encoding"]["color"]["legend"]["symbolOpacity"] for layer in layers} == {1}, "not pale as the band"


@pytest.mark.parametrize("replication", [0, 1])
def test_one_replication_is_itself_without_a_band(replication: int) -> None:
    found = load_tables(tables((0, 1)).__getitem__, "own", SUMMARY, replication)
    assert not [column for column in found.samples if str(column).endswith("_low")]
    tokens = found.samples["output_tokens_per_s"].tolist()[1:]
    assert tokens == [rate / 60 for rate in TOKENS[replication]]
    alone = load_tables(tables((replication,)).__getitem__, "own", SUMMARY)
    pd.testing.assert_frame_equal(alone.samples.reset_index(drop=True), found.samples.reset_index(drop=True))


def test_counts_have_no_ticks_between_whole_numbers() -> None:
    """One replica is never one and a half; a share and tokens may be anything."""
    spec = load_over_time(load_tables(tables((0,)).__getitem__, "own", SUMMARY)).to_dict()
    found: dict[str, float] = {}

    def look(node: Any) -> None:
        for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            look(part)
        if isinstance(node, dict) and isinstance(y := node.get("y"), dict) and "field" in y:
            found[y["field"]] = (y.get("axis") or {}).get("tickMinStep", 0.0)

    look(spec)
    assert found["ready"] == found["running"] == 1
    assert found["kv_percent"] == found["output_tokens_per_s"] == 0
