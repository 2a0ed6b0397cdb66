"""What is drawn over simulated time, and the steps of a replica as a trace: each unit and sum by hand."""

from __future__ import annotations

from typing import Any

import pandas as pd

from simulator.report.perfetto import perfetto_trace
from simulator.report.time_charts import NOWHERE, load_over_time, load_tables, rows_of, span_min
from simulator.run.steps import StepView

SUMMARY: dict[str, Any] = {
    "pools": [{"name": "a", "replica_capacity_rps": 2.5}, {"name": "b", "replica_capacity_rps": None}],
    "providers": [{"name": "api"}],
    "clock_s": 7200.0,
}


def bundle(replications: int = 1) -> dict[str, pd.DataFrame]:
    """Per replication k: 60 and then 120 + 60 k requests in two minutes for `a`, and samples each 30 s."""
    demand, fleet, events = [], [], []
    for k in range(replications):
        for at_s, target, arrived, overflowed in ((0.0, "a", 60, 0), (60.0, "a", 120 + 60 * k, 30), (0.0, "", 4, 0)):
            demand.append(
                {
                    "topology": "t",
                    "replication": k,
                    "time_s": at_s,
                    "period_s": 60.0,
                    "target": target,
                    "arrived": arrived,
                    "overflowed": overflowed,
                    "rejected": 1 if target == "" else 0,
                    "timed_out": 12 if at_s else 0,
                }
            )
        for at_s, pool, ready, tokens in (
            (60.0, "a", 3, 900 + 300 * k),
            (30.0, "a", 2, 0),
            (30.0, "b", 4, 0),
            (60.0, "b", 4, 60),
        ):
            fleet.append(
                {
                    "topology": "t",
                    "replication": k,
                    "time_s": at_s,
                    "pool": pool,
                    "ready": ready,
                    "starting": 0,
                    "running": 5,
                    "waiting": 0,
                    "kv_usage": 0.25,
                    "output_tokens": tokens,
                }
            )
    for kind, end_s in (("weights", 90.0), ("reclaim", 30.0), ("ready", 30.0)):
        events.append(
            {
                "topology": "t",
                "replication": 0,
                "start_s": 30.0,
                "end_s": end_s,
                "target": "a",
                "kind": kind,
                "replica": 1,
                "count": 1,
            }
        )
    found = {"demand": demand, "fleet": fleet, "events": events}
    tables = {name: pd.DataFrame(rows) for name, rows in found.items()}
    return {name: pd.concat([table, table.assign(topology="other")]) for name, table in tables.items()}


def rows(table: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in table[list(columns)].to_numpy().tolist()]


def test_what_came_and_was_lost_in_each_minute() -> None:
    found = load_tables(bundle().__getitem__, "t", SUMMARY)
    assert (found.targets, found.clock_s) == (("a", "b", "api"), 7200.0)
    assert rows(found.demand, "minutes", "target", "arrived_per_s", "overflowed_per_s") == [
        (0.0, "a", 1.0, 0.0),
        (1.0, "a", 2.0, 0.5),
    ]
    lost = rows(found.lost, "minutes", "end_min", "target", "why", "lost", "share")
    assert sorted(lost, key=str) == [
        (0.0, 1.0, NOWHERE, "rejected", 1, 0.25),
        (1.0, 2.0, "a", "timed out", 12, 0.1),
    ]


def test_what_replicas_could_serve_and_make() -> None:
    """900 tokens in 30 s; before the first sample nothing is known; of `b` no capacity is."""
    found = load_tables(bundle().__getitem__, "t", SUMMARY)
    assert rows(found.capacity, "minutes", "target", "capacity_per_s") == [(0.5, "a", 5.0), (1.0, "a", 7.5)]
    samples = found.samples.dropna(subset="output_tokens_per_s")
    assert rows(samples, "minutes", "target", "output_tokens_per_s", "kv_percent") == [
        (1.0, "a", 30.0, 25.0),
        (1.0, "b", 2.0, 25.0),
    ]


def test_events_that_are_shown_and_when_all_ends() -> None:
    found = load_tables(bundle().__getitem__, "t", SUMMARY)
    assert rows(found.events, "what", "kind", "start_min", "end_min") == [
        ("cold start", "weights", 0.5, 1.5),
        ("spot reclaim", "reclaim", 0.5, 0.5),
    ]
    assert span_min(found) == 2.0, "when the second minute of requests ends, after all events"


def test_several_replications_are_a_mean_between_two_ends() -> None:
    found = load_tables(bundle(3).__getitem__, "t", SUMMARY)
    assert rows(found.demand, "minutes", "arrived_per_s", "arrived_per_s_low", "arrived_per_s_high") == [
        (0.0, 1.0, 1.0, 1.0),
        (1.0, 3.0, 2.0, 4.0),
    ]
    tokens = found.samples[(found.samples["target"] == "a") & (found.samples["minutes"] == 1.0)]
    ends = ("output_tokens_per_s", "output_tokens_per_s_low", "output_tokens_per_s_high")
    assert rows(tokens, *ends) == [(40.0, 30.0, 50.0)]
    second = load_tables(bundle(3).__getitem__, "t", SUMMARY, 1)
    assert rows(second.demand, "arrived_per_s") == [(1.0,), (3.0,)]
    assert len(second.events) == 0, "of the first replication alone"
    assert {*rows_of(bundle(3)["demand"], "t", 2)["replication"]} == {2}


def test_what_is_counted_is_drawn_with_ticks_at_whole_numbers() -> None:
    axes = {}
    for row in load_over_time(load_tables(bundle().__getitem__, "t", SUMMARY)).to_dict()["vconcat"]:
        for layer in (row, *row.get("layer", ())):
            shown = layer.get("encoding", {}).get("y", {})
            axes[shown.get("field")] = shown.get("axis", {}).get("tickMinStep")
    assert {name: axes[name] for name in ("running", "ready")} == {"running": 1, "ready": 1}
    assert {name: axes[name] for name in ("output_tokens_per_s", "kv_percent")} == dict.fromkeys(
        ("output_tokens_per_s", "kv_percent")
    )


def test_what_is_drawn_over_time_ends_at_the_axes_where_a_part_of_the_run_is_shown() -> None:
    chart = load_over_time(load_tables(bundle(3).__getitem__, "t", SUMMARY)).to_dict()
    marks = [
        layer["mark"]
        for row in chart["vconcat"]
        for layer in row.get("layer", [row])
        if layer.get("mark", {}).get("type") in ("line", "area")
    ]
    assert {mark["type"] for mark in marks} == {"line", "area"}
    assert all(mark["clip"] for mark in marks)


def titles(**changes: Any) -> list[str]:
    chart = load_over_time(load_tables({**bundle(), **changes}.__getitem__, "t", SUMMARY)).to_dict()
    found = [row.get("title") for row in chart["vconcat"]]
    return [one["text"] if isinstance(one, dict) else one for one in found]


def test_rows_that_say_nothing_are_left_out() -> None:
    every = [
        "requests arriving per s",
        "requests lost, by why",
        "requests per s that overflowed to it",
        "output tokens per s",
        "requests running",
        "KV blocks in use, mean of replicas [%]",
        "replicas ready",
        "cold starts, faults and outages",
    ]
    assert titles() == every
    calm = bundle()["demand"].assign(overflowed=0, rejected=0, timed_out=0)
    without = [title for title in every if "lost" not in title and "overflowed" not in title]
    assert titles(demand=calm) == without
    none = bundle()["events"].iloc[:0]
    assert titles(demand=calm, events=none) == without[:-1]
    waits = bundle()["fleet"].assign(waiting=1, running=0)
    assert "requests waiting" in titles(fleet=waits)
    assert "requests running" in titles(fleet=waits), "none of them is a finding, too"


def view() -> StepView:
    steps = pd.DataFrame(
        {
            "start_s": [0.5, 0.75, 1.0],
            "duration_s": [0.25, 0.125, 0.0625],
            "sequences": [1, 2, 3],
            "prefill_tokens": [64, 32, 0],
            "decode_tokens": [0, 1, 3],
            "kv_usage": [0.125, 0.25, 0.5],
            "preempted": [0, 0, 1],
            "cached_tokens": [16, 0, 0],
        }
    )
    parts = {"start_s": [0.5, 0.75, 0.75], "duration_s": [0.25, 0.125, 0.125], "tokens": [64, 1, 32]}
    more = {"request": [7, 7, 9], "before": [16, 80, 0], "kind": ["prefill", "decode", "prefill"]}
    return StepView(steps, pd.DataFrame(parts | more), 0.002)


def test_a_trace_has_a_slice_and_two_counters_for_each_step_in_microseconds() -> None:
    trace = perfetto_trace(view(), "pool 0")
    assert trace["otherData"] == {"replica": "pool 0", "deviation_s": 0.002}
    assert trace["displayTimeUnit"] == "ms"
    slices = [one for one in trace["traceEvents"] if one.get("cat") == "step"]
    assert [(one["name"], one["ts"], one["dur"]) for one in slices] == [
        ("prefill", 500_000.0, 250_000.0),
        ("mixed", 750_000.0, 125_000.0),
        ("decode", 1_000_000.0, 62_500.0),
    ]
    assert slices[0]["args"] == {
        "sequences": 1,
        "prefill_tokens": 64,
        "decode_tokens": 0,
        "cached_tokens": 16,
        "preempted": 0,
        "kv_usage": 0.125,
    }
    assert slices[2]["args"]["preempted"] == 1
    counters = [(one["name"], one["ts"], *one["args"].values()) for one in trace["traceEvents"] if one["ph"] == "C"]
    assert counters == [
        ("KV blocks in use [%]", 500_000.0, 12.5),
        ("sequences", 500_000.0, 1),
        ("KV blocks in use [%]", 750_000.0, 25.0),
        ("sequences", 750_000.0, 2),
        ("KV blocks in use [%]", 1_000_000.0, 50.0),
        ("sequences", 1_000_000.0, 3),
    ]


def test_requests_of_a_trace_have_a_track_each_in_a_process_of_their_own() -> None:
    events = perfetto_trace(view(), "pool 0")["traceEvents"]
    requests = [one for one in events if one.get("cat") == "request"]
    assert [(one["name"], one["tid"], one["ts"], one["dur"]) for one in requests] == [
        ("prefill", 7, 500_000.0, 250_000.0),
        ("decode", 7, 750_000.0, 125_000.0),
        ("prefill", 9, 750_000.0, 125_000.0),
    ]
    assert [tuple(one["args"].items()) for one in requests] == [
        (("tokens", 64), ("computed before", 16)),
        (("tokens", 1), ("computed before", 80)),
        (("tokens", 32), ("computed before", 0)),
    ]
    names = [(one["name"], one["tid"], one["args"]["name"]) for one in events if one["ph"] == "M"]
    assert [name for _, _, name in names] == ["pool 0", "steps", "requests", "request 7", "request 9"]
    assert [kind for kind, *_ in names] == ["process_name", "thread_name", "process_name", *["thread_name"] * 2]
    steps, own = ({one["pid"] for one in events if one.get("cat") == cat} for cat in ("step", "request"))
    assert len(steps) == len(own) == 1
    assert steps != own
    named = {one["pid"]: one["args"]["name"] for one in events if one["name"] == "process_name"}
    assert [named[pid] for pid in (*steps, *own)] == ["pool 0", "requests"]
    threads = {(one["pid"], one["tid"]): one["args"]["name"] for one in events if one["name"] == "thread_name"}
    assert [threads[one["pid"], one["tid"]] for one in requests] == ["request 7", "request 7", "request 9"]
    assert {one["pid"] for one in events if one["ph"] == "C"} == steps


def test_a_step_without_tokens_of_prompts_or_answers_counts_as_decode() -> None:
    empty = view()
    empty.steps["prefill_tokens"] = 0
    kinds = {one["name"] for one in perfetto_trace(empty, "p")["traceEvents"] if one.get("cat") == "step"}
    assert kinds == {"decode"}


def test_the_last_period_of_requests_is_drawn_to_its_end() -> None:
    """120 in the second minute are two a second from minute 1 to 2, of which a step of one point shows nothing."""
    found = load_tables(bundle().__getitem__, "t", SUMMARY)
    drawn = pd.concat(
        pd.DataFrame(values)
        for values in load_over_time(found).to_dict()["datasets"].values()
        if "arrived_per_s" in values[0]
    )
    assert rows(drawn, "minutes", "arrived_per_s")[:3] == [(0.0, 1.0), (1.0, 2.0), (2.0, 2.0)]
