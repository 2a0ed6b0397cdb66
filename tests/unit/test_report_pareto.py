"""Points of cost against service: what they hold, which limit the SLO sets, where their axes begin and end."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from simulator.decide.standing import BY_REPLICATION, CHANCE_COLUMNS
from simulator.report.paired import (
    PairedFigure,
    _cell,
    _comparable,
    differences_chart,
    differences_to,
    paired,
    paired_words,
)
from simulator.report.pareto import (
    _UNSHOWN,
    MEASURES,
    _chance,
    _room,
    _scale,
    cheapest_points,
    first_limited,
    frontier,
    point,
    points_table,
    slo_limit_s,
    sweep_points,
)


def test_a_point_of_a_run() -> None:
    latencies = {"p50": 0.1, "p90": 0.2, "p95": 0.3, "p99": 0.4}
    metrics: dict[str, Any] = {
        "slo_met": True,
        "slo_attainment": 0.9375,
        "ttft_s": latencies,
        "tpot_s": {"p95": 0.03, "p99": 0.04},
        "e2e_s": {"p95": 3.0, "p99": None},
    }
    summary = {
        "metrics": metrics,
        "cost": {"usd_per_month": 12.5, "chance": {"usd": 1.0}},
        "replications": [{"usd_per_month": 12.0}, {"usd_per_month": 13.0}],
    }
    assert point("r", "own", summary) == {
        "point": "r/own",
        "run": "r",
        "topology": "own",
        "usd_per_month": 12.5,
        "slo_met": True,
        "missed_share": 0.0625,
        "usd_by_replication": [12.0, 13.0],
        "chance": {"usd": 1.0},
        "ttft_p95_s": 0.3,
        "ttft_p99_s": 0.4,
        "tpot_p95_s": 0.03,
        "tpot_p99_s": 0.04,
        "e2e_p95_s": 3.0,
        "e2e_p99_s": None,
    }
    assert point("", "own", summary)["point"] == "own"
    later = point("", "own", summary | {"lasts_until": 5})
    assert later["slo_met"] is False, "not in every month"
    unknown = point("", "own", {**summary, "metrics": metrics | {"slo_attainment": None, "slo_met": None}})
    assert (unknown["missed_share"], unknown["slo_met"]) == (None, False)


def row(**more: Any) -> dict[str, Any]:
    measures = {name: 0.5 for name in MEASURES if name.endswith("_s")}
    found = {"status": "ok", "topology": "own", "usd_per_month": 9.0, "slo_met": True, "slo_attainment": 0.75}
    return {**found, **measures, "a.load": 1.0, "b.gpu": "h100", **more}


def test_points_of_a_sweep() -> None:
    table = pd.DataFrame(
        [
            row(),
            row(status="failed"),
            row(slo_met=None, slo_attainment=math.nan, ttft_p99_s=math.nan, **{"a.load": 2.5}),
            row(slo_met=False),
        ]
    )
    found = sweep_points("s", table, ["a.load", "b.gpu"])
    assert [one["point"] for one in found] == [
        "s/own: load=1, gpu=h100",
        "s/own: load=2.5, gpu=h100",
        "s/own: load=1, gpu=h100",
    ]
    assert [one["slo_met"] for one in found] == [True, False, False]
    assert [one["missed_share"] for one in found] == [0.25, None, 0.25]
    assert [one["ttft_p99_s"] for one in found] == [0.5, None, 0.5]
    assert [one["chance"] for one in found] == [None] * 3
    assert [one["usd_by_replication"] for one in found] == [[]] * 3
    bills = sweep_points("s", pd.DataFrame([row(**{BY_REPLICATION: [8.0, 10.0]})]), ["a.load"])[0]
    assert (bills["usd_by_replication"], bills["values"]) == ([8.0, 10.0], "load=1")


def test_chance_of_a_row_is_known_where_all_of_it_is() -> None:
    numbers = [part for part in CHANCE_COLUMNS.values() if part not in ("drawn_by", "by_draw")]
    whole = {name: 0.5 for name, part in CHANCE_COLUMNS.items() if part in numbers}
    words = whole | {"chance_drawn_by": "a", "chance_by_draw": [1, 2]}
    assert _chance(words) == {**dict.fromkeys(numbers, 0.5), "drawn_by": "a", "by_draw": [1.0, 2.0]}
    assert _chance(whole) == {**dict.fromkeys(numbers, 0.5), "drawn_by": "", "by_draw": []}
    assert _chance({}) is None
    for name in whole:
        assert _chance(words | {name: math.nan}) is None


def test_the_table_of_points_leaves_chance_out() -> None:
    table = points_table([{"point": "a", "usd_per_month": 1.0, "chance": None, "usd_by_replication": []}])
    assert list(table.columns) == ["point", "usd_per_month"]
    assert set(_UNSHOWN) == {"chance", "usd_by_replication"}


def test_the_cheapest_points_that_meet_and_those_that_cost_as_much() -> None:
    points = [
        {"usd_per_month": usd, "slo_met": met, "at": k}
        for k, (usd, met) in enumerate([(100.0, False), (None, True), (200.0, True), (200.0, True), (201.0, True)])
    ]
    assert [one["at"] for one in cheapest_points(points)] == [2, 3]
    assert cheapest_points(points[:2]) == []


def test_of_equal_points_the_first_is_on_the_frontier() -> None:
    places = [(3.0, 1.0), (1.0, 4.0), (1.0, 4.0), (2.0, 4.0), (1.0, 3.0), (4.0, 1.0), (None, 0.0), (0.0, None)]
    points = [{"usd_per_month": usd, "ttft_p99_s": slow, "at": k} for k, (usd, slow) in enumerate(places)]
    assert [one["at"] for one in frontier(points, "ttft_p99_s")] == [4, 0]
    assert [one["at"] for one in frontier(points[:4], "ttft_p99_s")] == [1, 0]


@pytest.mark.parametrize(
    ("values", "domain"),
    [([10.0, 20.0], [9.2, 20.8]), ([5.0], [4.6, 5.4]), ([0.0], [0.0, 0.08]), ([0.5, 100.0], [0.0, 107.96])],
)
def test_room_beside_bills_of_which_none_is_negative(values: list[float], domain: list[float]) -> None:
    assert _room(values).to_dict()["domain"] == pytest.approx(domain)


@pytest.mark.parametrize(
    ("values", "kind", "floor"),
    [([1.0, 20.0], None, 0.0), ([1.0, 20.1], "log", 1 / 1.5), ([0.0, 50.0], None, 0.0), ([3.0], None, 0.0)],
)
def test_an_axis_is_logarithmic_where_values_are_far_apart(values: list[float], kind: str | None, floor: float) -> None:
    scale, begin = _scale(values)
    assert (scale.to_dict().get("type"), begin) == (kind, pytest.approx(floor))
    if kind:
        assert scale.to_dict()["domain"] == pytest.approx([1 / 1.5, 20.1 * 1.5])


def scenario(**slo: dict[str, Any]) -> dict[str, Any]:
    return {"workload": {"classes": [{"name": name, "slo": limits} for name, limits in slo.items()]}}


def test_the_strictest_limit_and_whose_it_is() -> None:
    asked = scenario(
        chat={"ttft_s": {"p99": 2.0, "p95": 1.0}},
        code={"ttft_s": {"p99": 1.5}, "tpot_s": {"p95": 0.05}},
        mail={"ttft_s": {"p99": 1.5}, "e2e_s": {"p99": math.inf}},
        job={},
    )
    assert slo_limit_s(asked, "ttft_p99_s") == (1.5, ("code", "mail"))
    assert slo_limit_s(asked, "ttft_p95_s") == (1.0, ("chat",))
    assert slo_limit_s(asked, "tpot_p95_s") == (0.05, ("code",))
    assert slo_limit_s(asked, "tpot_p99_s") is None
    assert slo_limit_s(asked, "e2e_p99_s") is None, "no limit at all"
    assert slo_limit_s(asked, "missed_share") is None
    assert first_limited(asked) == "ttft_p99_s"
    assert first_limited(scenario(code={"tpot_s": {"p95": 0.05}})) == "tpot_p95_s"
    assert first_limited(scenario(job={})) == "ttft_p99_s"


def figure(mean: float, half: float = math.nan, base: float = 10.0, name: str = "usd_per_month") -> PairedFigure:
    return PairedFigure("own", name, "words [unit]", mean, half, base)


@pytest.mark.parametrize(
    ("found", "digits", "cell"),
    [
        (None, ",.2f", "-"),
        (figure(1.234), ",.2f", "+1.23"),
        (figure(-1.236, 0.5), ",.2f", "-1.24 ± 0.50"),
        (figure(-0.001), ",.2f", "+0.00"),
        (figure(1234.5, 2.0), "amount", "+1,234 ± 2"),
        (figure(-12.346, 0.126), "amount", "-12.35 ± 0.13"),
        (figure(0.0, 0.0), ",.1f", "+0.0 ± 0.0"),
    ],
)
def test_a_difference_has_its_sign_and_half_width(found: PairedFigure | None, digits: str, cell: str) -> None:
    assert _cell(found, digits) == cell


@pytest.mark.parametrize(("mean", "half", "sure"), [(1.0, 1.0, False), (-1.1, 1.0, True), (1.0, math.nan, False)])
def test_a_difference_is_sure_where_its_interval_leaves_zero_out(mean: float, half: float, sure: bool) -> None:
    assert figure(mean, half).is_sure is sure


def test_replications_are_compared_one_by_one_where_all_are_known() -> None:
    assert _comparable([1.0, 2.0], [1.0, 2.0])
    assert not _comparable([1.0, 2.0], [1.0])
    assert not _comparable([1.0, math.nan], [1.0, 2.0])
    assert not _comparable([1.0, 2.0], [math.inf, 2.0])
    assert not _comparable([], [])


def ran(*ttft_s: float | None, usd: float = 100.0, arrived: int = 50) -> dict[str, Any]:
    """A replication for each, alike but for the TTFT."""
    names = ("slo_attainment", "goodput_rps", "ttft_p50_s", "tpot_p50_s", "tpot_p99_s", "e2e_p50_s", "e2e_p99_s")
    rows = [{**dict.fromkeys(names, 0.5), "usd_per_month": usd, "ttft_p99_s": one} for one in ttft_s]
    return {"replications": rows, "metrics": {"arrived": arrived}, "cost": {"usd_per_month": usd}}


def test_differences_are_the_others_less_the_baseline_s() -> None:
    """0.3 - 0.1 and 0.5 - 0.1 s: 300 ms, and 12.706 times 100 ms of error by Student."""
    topologies = {"own": ran(0.3, 0.5, usd=90.0), "api": ran(0.1, 0.1), "lost": ran(None, 0.2)}
    found = {(one.topology, one.figure): one for one in paired(topologies, "api")}
    late = found["own", "ttft_p99_s"]
    assert (late.mean, late.half_width, late.base) == pytest.approx((300.0, 12.706 * 100.0, 100.0), rel=1e-4)
    assert ("lost", "ttft_p99_s") not in found
    assert ("lost", "goodput_rps") in found
    assert not any(name == "api" for name, _ in found)
    rows, headers = differences_to(topologies, "api")
    assert headers == ["", "own", "lost"]
    cells = {label: rest for label, *rest in rows}
    assert cells["TTFT p99 [ms]"] == ["+300 ± 1,271", "-"]
    assert cells["$ per month"] == ["-10.00 ± 0.00", "+0 ± 0"]


def test_a_difference_of_bills_is_that_of_the_bills_as_they_are_shown() -> None:
    """$201 is $101 more than $100, though it is $100.20; not where the bills are of other months."""

    def cell(usd: float, bill: float) -> str:
        own = ran(0.1, usd=usd) | {"cost": {"usd_per_month": bill}}
        rows, _ = differences_to({"api": ran(0.1, usd=100.4), "own": own}, "api")
        return next(row[1] for row in rows if row[0] == "$ per month")

    assert cell(200.6, 200.6) == "+101"
    assert cell(200.6, 500.0) == "+100"


def test_how_differences_were_taken_is_said() -> None:
    assert paired_words({"a": ran(0.1), "b": ran(0.2)}) == (
        "; all served the same requests; one replication, which says nothing of chance."
    )
    several = paired_words({"a": ran(0.1, 0.2, arrived=1000), "b": ran(0.2, arrived=3000)})
    assert several == (
        "; not of the same requests: 1,000 to 3,000 came, as sessions and users go on when answered; mean over the "
        "replications and 95 % interval."
    )


def test_bars_of_differences_are_shares_of_the_baseline() -> None:
    found = [figure(-5.0, 1.0), figure(2.0, 4.0, -8.0, "goodput_rps"), figure(1.0, 0.5, 0.0, "e2e_p50_s")]
    data = differences_chart(found, "api", ["api", "own"]).to_dict()["datasets"].values()
    (rows,) = (table for table in data if "share" in table[0])
    assert [(one["share"], one["low"], one["high"], one["sure"]) for one in rows] == [
        (-0.5, -0.6, -0.4, "yes"),
        (0.25, -0.25, 0.75, "no"),
    ]
    assert rows[0]["figure"] == "words"


@pytest.mark.parametrize(
    ("largest", "marks"), [(8.0, None), (12.0, [-0.1, 0.0, 0.1]), (-30.0, [-0.2, -0.1, 0.0, 0.1, 0.2])]
)
def test_the_axis_of_differences_has_marks_within_its_reach(largest: float, marks: list[float] | None) -> None:
    """Of a base of 100; below a tenth the fixed marks lie beyond all that is drawn, and the axis finds its own."""
    drawn = differences_chart([figure(largest, float("nan"), 100.0)], "api", ["api", "own"]).to_dict()
    axes = [layer["encoding"]["x"].get("axis", {}) for layer in drawn["layer"]]
    (axis,) = [axis for axis in axes if axis]
    found = axis.get("values")
    assert (None if found is None else sorted(found)) == marks
