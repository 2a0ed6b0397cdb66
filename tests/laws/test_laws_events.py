"""Laws of what a bundle says happened over time: it agrees with the ledger, the samples and the requests' own rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.fleet.events import EVENT, KINDS, MOST_EVENTS, STAGES, bounded_events, merged_events
from simulator.fleet.records import Reason
from simulator.fleet.simulate import MOST_SAMPLES, sample_period_s
from simulator.metrics.demand import COUNTS, LOST
from simulator.report.time_charts import load_over_time, load_tables
from simulator.results.bundle import Bundle, read_bundle
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/troubled.yaml"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(simulate(load_scenario(SCENARIO), tmp_path_factory.mktemp("runs")).bundle)


def rows_of(bundle: Bundle, sql: str) -> pd.DataFrame:
    with duckdb.connect() as connection:
        connection.read_parquet(str(bundle.path / "requests.parquet")).create_view("requests")
        found: pd.DataFrame = connection.sql(sql).df()
    return found


def test_billed_time_of_the_events_is_the_ledger_s(bundle: Bundle) -> None:
    events = bundle.table("events")
    seen: set[str] = set()
    for name, found in bundle.summary["topologies"].items():
        for pool in found["pools"]:
            own = events[(events["topology"] == name) & (events["target"] == pool["name"])]
            seconds = own.groupby("kind")["replica_s"].sum().reindex(KINDS, fill_value=0.0)
            counts = own.groupby("kind")["count"].sum().reindex(KINDS, fill_value=0)
            assert seconds.sum() == pytest.approx(pool["billed_s"])
            assert seconds[list(STAGES)].sum() == pytest.approx(pool["starting_s"])
            assert seconds["serving"] + seconds["leaving"] == pytest.approx(pool["busy_s"] + pool["idle_s"])
            assert seconds["down"] == pytest.approx(pool["down_s"])
            replaced = counts["provision"] - pool["launches"]  # rented machines that failed
            assert counts["provision"] == 0 or 0 <= replaced <= pool["failures"]
            for kind, key in (("failure", "failures"), ("reclaim", "reclaims"), ("stock_out", "stockouts")):
                assert counts[kind] == pool[key]
            assert counts["zone_outage"] == pool["outages"]
            seen |= set(own["kind"])
        for provider in found["providers"]:
            own = events[(events["topology"] == name) & (events["target"] == provider["name"])]
            down = own[own["kind"] == "provider_outage"]
            down_s = (down["end_s"] - down["start_s"]).sum()
            assert (len(down), 1 - down_s / 300) == (provider["outages"], pytest.approx(provider["availability"]))
            seen |= set(own["kind"])
    assert seen == set(KINDS)  # the scenario shows all of them


def test_events_are_in_order_of_time_within_the_horizon(bundle: Bundle) -> None:
    for _, own in bundle.table("events").groupby(["topology", "replication"]):
        assert own["start_s"].is_monotonic_increasing
        assert own["start_s"].min() >= 0
        assert own["end_s"].max() <= 300
        assert (own["start_s"] <= own["end_s"]).all()


def test_replicas_serve_in_the_events_when_they_are_ready_in_the_samples(bundle: Bundle) -> None:
    events, fleet = bundle.table("events"), bundle.table("fleet")
    assert fleet["ready"].max() > 1
    for row in fleet.itertuples():
        serving = events[
            (events["topology"] == row.topology) & (events["target"] == row.pool) & (events["kind"] == "serving")
        ]
        # events at the very moment of a sample may come before or after it
        inside = (serving["start_s"] < row.time_s) & (serving["end_s"] > row.time_s)
        edge = (serving["start_s"] == row.time_s) | (serving["end_s"] == row.time_s)
        assert inside.sum() <= row.ready <= inside.sum() + edge.sum()


def test_demand_counts_every_request_once_where_it_ended(bundle: Bundle) -> None:
    demand = bundle.table("demand")
    why = {reason.name.lower(): f"status <> 'completed' and reason = {reason:d}" for reason in Reason if reason}
    why |= {name: f"status = '{name}' and reason = 0" for name in LOST if name not in why}
    lost = ", ".join(f"count(*) filter ({where}) as {name}" for name, where in why.items())
    requests = rows_of(
        bundle,
        f"select topology, coalesce(target, '') as target, count(*) as arrived, sum(overflowed) as overflowed, {lost} "
        "from requests group by all order by 1, 2",
    )
    summed = demand.groupby(["topology", "target"], as_index=False)[list(COUNTS)].sum()
    pd.testing.assert_frame_equal(summed[summed["arrived"] > 0].reset_index(drop=True), requests, check_dtype=False)
    assert demand["overflowed"].sum() > 0
    first = rows_of(bundle, "select count(*) as n from requests where arrival_s < 50")["n"][0]
    assert demand.loc[demand["time_s"] < 50, "arrived"].sum() == first


def test_waits_for_replicas_are_a_part_of_the_time_in_queue(bundle: Bundle) -> None:
    waited = rows_of(
        bundle,
        "select topology, class, avg(least(no_replica_s, scheduled_s - arrival_s)) as cold_s from requests "
        "where status = 'completed' group by all",
    )
    assert waited["cold_s"].max() > 0
    for row in waited.itertuples():
        found = bundle.summary["topologies"][row.topology]["metrics"]["classes"][row[2]]
        assert found["breakdown_s"]["cold start"] == pytest.approx(row.cold_s)


def test_what_is_drawn_over_time_is_what_happened(bundle: Bundle) -> None:
    for name, found in bundle.summary["topologies"].items():
        tables = load_tables(bundle.table, name, found)
        demand, fleet = bundle.table("demand"), bundle.table("fleet")
        own = demand[(demand["topology"] == name) & (demand["target"] != "")]
        assert tables.demand["arrived_per_s"].sum() * own["period_s"].iloc[0] == pytest.approx(own["arrived"].sum())
        ready = fleet[fleet["topology"] == name].groupby("pool")["ready"].sum()
        able = tables.capacity.groupby("target")["capacity_per_s"].sum()
        for pool in found["pools"]:
            assert able[pool["name"]] == pytest.approx(ready[pool["name"]] * pool["replica_capacity_rps"])
        events = bundle.table("events")
        mine = events[(events["topology"] == name) & ~events["kind"].isin(["serving", "leaving"])]
        assert len(tables.events) == len(mine) > 0
        assert set(tables.events["target"]) <= set(tables.targets)
        chart = load_over_time(tables).to_dict()
        titles = [row["title"]["text"] for row in chart["vconcat"]]
        assert titles[0].startswith("requests arriving per s")
        assert titles[-1] == "cold starts, faults and outages"
        marks = [layer["mark"]["type"] for layer in chart["vconcat"][-1]["layer"]]
        assert marks == ["bar", "tick"], "a beginning is drawn upon the bars, so that each is seen"


def test_those_who_come_before_any_replica_wait_for_the_whole_of_its_cold_start(tmp_path: Path) -> None:
    late = "{kind: schedule, rate_rps: 1e-6, spikes: [{start_s: 240, duration_s: 60, factor: 3e6}]}"
    sets = [f"workload.classes[{name}].arrivals={late}" for name in ("chat", "long")]
    bundle = read_bundle(simulate(load_scenario(SCENARIO, sets=sets), tmp_path).bundle)
    events = bundle.table("events")
    ready_s = events[(events["topology"] == "rented") & (events["kind"] == "serving")]["start_s"].min()
    early = rows_of(
        bundle,
        f"select arrival_s, no_replica_s from requests where topology = 'rented' and arrival_s < {ready_s} "
        "and retries = 0",
    )
    assert len(early) > 10
    assert (early["arrival_s"] + early["no_replica_s"]).to_numpy() == pytest.approx(ready_s)


@st.composite
def event_lists(draw: st.DrawFn) -> Any:
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, len(KINDS) - 1),
                st.integers(0, 2),
                st.integers(-1, 9),
                st.floats(0, 100),
                st.floats(0, 50),
                st.integers(1, 3),
            ),
            min_size=1,
            max_size=60,
        )
    )
    events = np.zeros(len(rows), EVENT)
    for event, (kind, target, replica, start_s, length_s, count) in zip(events, rows, strict=True):
        values = (kind, target, replica, start_s, min(start_s + length_s, 100.0), count, length_s)
        for name, value in zip(EVENT.names or (), values, strict=True):
            event[name] = value
    return events


@settings(deadline=None)
@given(event_lists(), st.integers(1, 8))
def test_merging_events_keeps_their_number_and_their_billed_time(events: Any, stretches: int) -> None:
    merged = merged_events(events, 100.0, stretches)
    assert len(merged) <= min(len(events), stretches * len(KINDS) * 3)
    for kind in range(len(KINDS)):
        for target in range(3):
            before = events[(events["kind"] == kind) & (events["target"] == target)]
            after = merged[(merged["kind"] == kind) & (merged["target"] == target)]
            assert after["count"].sum() == before["count"].sum()
            assert after["replica_s"].sum() == pytest.approx(before["replica_s"].sum())
            if len(before):
                assert (after["start_s"].min(), after["end_s"].max()) == (
                    before["start_s"].min(),
                    before["end_s"].max(),
                )


@settings(deadline=None)
@given(event_lists(), st.integers(1, 80))
def test_bounded_events_are_in_order_and_no_more_than_asked_for(events: Any, most: int) -> None:
    found = bounded_events(events, 100.0, most)
    pairs = {(int(event["kind"]), int(event["target"])) for event in events}
    assert len(found) <= max(most, len(pairs))
    assert found["count"].sum() == events["count"].sum()
    assert (np.diff(found["start_s"]) >= 0).all()


def test_a_year_of_many_pools_stays_within_the_bound() -> None:
    events = np.zeros(50_000, EVENT)
    number = np.arange(len(events))
    events["kind"], events["target"] = number % len(KINDS), number % 8
    events["start_s"], events["count"] = number * 600.0, 1
    events["end_s"] = events["start_s"] + 60
    found = bounded_events(events, 365 * 86_400.0)
    assert MOST_EVENTS / 2 < len(found) <= MOST_EVENTS
    assert found["count"].sum() == len(events)


@settings(deadline=None)
@given(st.one_of(st.none(), st.floats(0.01, 1e6)), st.floats(1, 1e9))
def test_samples_are_bounded_whatever_is_asked_for(sample_s: float | None, horizon_s: float) -> None:
    assert horizon_s / sample_period_s(sample_s, horizon_s) <= MOST_SAMPLES * (1 + 1e-12)
    if sample_s is not None and horizon_s / sample_s <= MOST_SAMPLES:
        assert sample_period_s(sample_s, horizon_s) == sample_s
