"""What a plan prints, for fleets that are made up: each cell and line by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from simulator.plan.month import PlanMonth
from simulator.plan.plan import Plan
from simulator.plan.table import notes, plan_headers, table
from simulator.schema.study import Event

MONTH = PlanMonth(1, 1, (1.0,), True, (1.0, 1.0), (), ())
FIGURES = {
    "slo_attainment": 0.98765,
    "served_share": 0.995,
    "ttft_p99_s": 1.2504,
    "tpot_p99_s": 0.03125,
    "time_in_steps": 0.456,
    "usd_per_month": 12345.6,
    "usd_per_million_processed_tokens": 0.1234,
    "usd_per_million_output_tokens": 1.7006,
    "usd_per_million_tokens": 0.4567,
    "usd_per_thousand_requests": 2.3456,
}
SHOWN = ["98.77%", "99.50%", "1,250", "31.2", "46%", "12,346", "0.123", "1.701", "0.457", "2.346"]


def pool(name: str = "base", replicas: int = 3, **given: Any) -> dict[str, Any]:
    return {"name": name, "sized": True, "size": "", "replicas": replicas, "spare": 0, "gpus": replicas, **given}


def fleet(topology: str = "own", **given: Any) -> dict[str, Any]:
    return {
        "topology": topology,
        "hours": "",
        "overflow_at": None,
        "gpu": ["h100-sxm"],
        "tp": [2],
        "pp": [1],
        "feasible": True,
        "reason": None,
        "cheapest": True,
        "claim": "one replica fewer misses",
        "trail": [],
        "pools": [pool()],
        "gpus": 6,
        "units": {},
        "replications": 3,
        "replications_met": 2,
        "warnings": [],
        "set": [],
        **FIGURES,
        **given,
    }


def plan(*fleets: dict[str, Any], beyond: str = "", **sure: Any) -> Plan:
    known = {"step_time_error": 0.2, "basis": "given", "replicas_low": [2], "replicas_high": [4], **sure}
    return Plan(
        "made up", list(fleets), {row["topology"]: known for row in fleets if row["cheapest"]}, "", MONTH, beyond
    )


def test_each_cell_of_a_fleet_stands_under_its_header() -> None:
    rows, headers = table(plan(fleet(pp=[4])))
    assert headers == plan_headers()
    assert rows == [["own *", "h100-sxm", "2", "4", "3", "6", "2 of 3", *SHOWN]]
    (batch,), _ = table(plan(fleet(pp=[4], tpot_p99_s=0.0)))
    assert batch == ["own *", "h100-sxm", "2", "4", "3", "6", "2 of 3", *SHOWN[:3], "whole", *SHOWN[4:]]


def test_where_too_little_was_measured_no_word_says_met() -> None:
    trail = [
        {"sizes": "3", "word": "met", "usd_per_month": 10.0},
        {"sizes": "2", "word": "missed", "usd_per_month": 7.0},
    ]
    found = plan(fleet(replications_met=None, slo_met=None, trail=trail, claim="proved"))
    rows, headers = table(found)
    assert rows[0][headers.index("SLO met in")] == "not known"
    told = " ".join(" ".join(notes(found)).split())
    assert "own: proved; nothing measured was missed: 3 ($10.00); missed: 2 own: whether 3 replicas are enough" in told
    assert "needed" not in told
    assert "met:" not in told


@pytest.mark.parametrize(
    ("given", "cells"),
    [
        ({"cheapest": False}, {"topology": "own"}),
        ({"pools": [pool(replicas=3, spare=2)]}, {"replicas": "3 (+2)"}),
        ({"pools": [pool(size="2 to 5", replicas=5)]}, {"replicas": "2 to 5"}),
        ({"pools": [pool(size="2 to 5", replicas=5, spare=1)]}, {"replicas": "2 to 5 (+1)"}),
        ({"pools": [pool(replicas=3), pool("other", 1)]}, {"replicas": "3 + 1"}),
        ({"gpu": ["a", "b", "a"], "tp": [4, 4, 4]}, {"GPU": "a + b", "TP": "4"}),
        ({"feasible": False, "cheapest": False}, {"replicas": "infeasible", "GPUs": "-", "SLO met in": "-"}),
    ],
)
def test_a_cell_of_a_plan(given: dict[str, Any], cells: dict[str, str]) -> None:
    ((row,), headers) = table(plan(fleet(**given)))
    assert cells.items() <= dict(zip(headers, row, strict=True)).items()


def test_hardware_is_shown_where_there_is_some() -> None:
    assert table(plan(fleet(tp=[1])))[1][:3] == ["topology", "GPU", "replicas"]
    assert table(plan(fleet(tp=[1]), fleet(tp=[1], pp=[2])))[1][:4] == ["topology", "GPU", "PP", "replicas"]
    rows, headers = table(plan(fleet("api", gpu=[], tp=[], pp=[], pools=[], gpus=0)))
    assert headers[:3] == ["topology", "replicas", "GPUs"]
    assert rows[0][:3] == ["api *", "-", "-"]
    assert table(plan())[1] == plan_headers()


def test_how_the_fleet_was_found_is_said_in_the_order_of_the_search() -> None:
    trail = [
        {"sizes": "1", "word": "missed", "usd_per_month": 100.0},
        {"sizes": "4", "word": "met", "usd_per_month": 400.0},
        {"sizes": "2", "word": "missed", "usd_per_month": None},
        {"sizes": "3", "word": "met", "usd_per_month": 300.0},
    ]
    first, *_ = notes(plan(fleet(trail=trail)))
    assert first == "own: one replica fewer misses; missed: 1, 2; met: 4 ($400), 3 ($300)"
    first, *_ = notes(plan(fleet(trail=trail[:1], hours="9-14")))
    assert first == "own: window 9-14 h; one replica fewer misses; missed: 1"


def unwrapped(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines)


@pytest.mark.parametrize(
    ("given", "sure", "said"),
    [
        (
            {},
            {},
            "own: 3 replicas needed; the cheapest fleet has 2 with step times 20% shorter, 4 with 20% longer (given)",
        ),
        (
            {},
            {"replicas_high": None},
            "own: 3 replicas needed; the cheapest fleet has 2 with step times 20% shorter, none with 20% longer "
            "(given)",
        ),
        (
            {"pools": [pool(), pool("kept", 7, sized=False), pool("more", 1)]},
            {"replicas_low": [2, 1], "replicas_high": [5, 2]},
            "own: 3 + 1 replicas needed; the cheapest fleet has 2 + 1 with step times 20% shorter, 5 + 2 with 20% "
            "longer (given)",
        ),
        (
            {"pools": [pool("base", 1)]},
            {"replicas_low": [1], "replicas_high": [2]},
            "own: 1 replica needed; the cheapest fleet has 1 with step times 20% shorter, 2 with 20% longer (given)",
        ),
        ({"pools": [pool(sized=False)]}, {}, "own: nothing to size"),
        ({"pools": [], "units": {"api": 1_200, "other": 5}}, {}, "own: api 1,200 units, other 5 units"),
        (
            {},
            {"step_time_error": None, "basis": "uncalibrated"},
            "own: step times are uncalibrated, so their error is not known; --error 0.2 shows what 20% would mean",
        ),
    ],
)
def test_what_the_error_of_step_times_means_is_said(given: dict[str, Any], sure: dict[str, Any], said: str) -> None:
    assert unwrapped(notes(plan(fleet(**given), **sure))[1:]) == said


@pytest.mark.parametrize(
    ("counts", "others", "said"),
    [
        ([2], [[1]], "1 replica suffices, 2 are cheaper"),
        ([3], [[2]], "2 replicas suffice, 3 are cheaper"),
        ([1], [[0]], "0 replicas suffice, 1 is cheaper"),
        ([2, 2], [[1, 2], [2, 1]], "1 + 2 replicas or 2 + 1 replicas suffice, 2 + 2 are cheaper"),
        ([1, 2], [[2, 1]], "1 + 2 replicas needed"),
    ],
)
def test_what_is_cheaper_is_not_called_needed(counts: list[int], others: list[list[int]], said: str) -> None:
    """On the same hardware: that fewer of another GPU suffice says nothing of this one."""

    def with_counts(counts: list[int], **given: Any) -> dict[str, Any]:
        return fleet(pools=[pool(f"pool {k}", count) for k, count in enumerate(counts)], **given)

    dearer = [with_counts(other, cheapest=False) for other in others]
    another = with_counts([0] * len(counts), cheapest=False, gpu=["l4"])
    assert f"own: {said}; the cheapest" in unwrapped(notes(plan(with_counts(counts), *dearer, another)))


@pytest.mark.parametrize("claim", ["best of 7 tried", "not finished"])
def test_the_best_of_a_few_settings_is_not_called_needed(claim: str) -> None:
    scaled = fleet(pools=[pool(size="2 to 5", replicas=5)], claim=claim)
    assert "own: 5 replicas in the cheapest fleet tried; the cheapest" in unwrapped(notes(plan(scaled)))


def test_what_is_infeasible_has_its_reason_first_and_commands_come_last() -> None:
    none = fleet("api", gpu=[], tp=[], pp=[], feasible=False, cheapest=False, reason="no answer in time")
    small = fleet("small", gpu=["l4"], tp=[1], feasible=False, cheapest=False, reason="no memory")
    best, dearer = (
        fleet(set=["pools[base].replicas=3", "a=b c"], warnings=[{"kind": "load", "text": "look"}]),
        fleet("own", cheapest=False, set=["x=1"]),
    )
    lines = notes(plan(none, small, best, dearer, beyond="for month 2"))
    assert lines[:3] == ["! all: for month 2", "! api: no answer in time", "! small on l4 TP 1: no memory"]
    assert lines[-5:] == [
        "! all: look",
        "",
        "to run the cheapest fleets:",
        "  --set 'pools[base].replicas=3'",
        "  --set 'a=b c'",
    ]
    assert "to run the cheapest fleets:" not in notes(plan(small))


PRICED = "priced as if all months were like it; --month plans for another, servecast run goes through all"
OUTGROWN = Event(name="outgrown", from_month=2, topology="own", change={"pools": []})


@pytest.mark.parametrize(
    ("month", "alike", "said"),
    [
        (MONTH, True, ""),
        (
            replace(MONTH, number=3, of=12, since_first=(2.0, 2.0)),
            False,
            "for month 3 of 12, the busiest, with 2 times the load of month 1",
        ),
        (
            replace(MONTH, number=3, of=12, binds=False, since_first=(1.5, 2.25)),
            False,
            "for month 3 of 12, with 1.5 to 2.25 times the load of month 1",
        ),
        (
            replace(MONTH, of=12, since_first=(1.0, float("inf"))),
            False,
            "for month 1 of 12, the busiest, with load, where month 1 has nobody",
        ),
        (
            replace(MONTH, number=2, of=3, done=(OUTGROWN,)),
            True,
            "for month 2 of 3; own as outgrown leaves it in month 2",
        ),
        (replace(MONTH, of=3, later=(OUTGROWN,)), True, "for month 1 of 3; without outgrown of month 2 (own)"),
    ],
)
def test_the_month_of_a_plan_in_words(month: PlanMonth, alike: bool, said: str) -> None:
    assert month.words(alike) == (f"{said}; {PRICED}" if said else "")
