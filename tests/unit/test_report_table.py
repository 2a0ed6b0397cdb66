"""The comparison table of a summary that is written out here: each cell by hand, in its unit."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.figures.table import NONE
from simulator.report.table import (
    comparison,
    has_choice,
    period_words,
    saved_usd,
    term_value,
    warning_lines,
    warnings,
)
from simulator.run.remarks import KINDS


def latency(p50: float | None, p99: float | None) -> dict[str, float | None]:
    return {"p50": p50, "p90": 77.0, "p95": 88.0, "p99": p99}


def term(name: str, metric: str, value: float | None, met: bool | None, **more: Any) -> dict[str, Any]:
    return {"class": "chat", "term": name, "metric": metric, "value": value, "met": met, "share": 0.97} | more


def summary(**more: Any) -> dict[str, Any]:
    """One pool that meets its SLO."""
    found: dict[str, Any] = {
        "metrics": {
            "slo_met": True,
            "arrived": 1000,
            "binding_term": {"class": "chat", "term": "ttft p99 ≤ 1 s", "met": True, "allowance_used": 0.4},
            "slo_terms": [term("ttft p99 ≤ 1 s", "ttft_s", 0.85, True), term("served ≥ 99 %", "served", 0.995, True)],
            "slo_attainment": 0.9876,
            "slo_attainment_low": 0.981,
            "slo_attainment_high": 0.9912,
            "served_share": 0.9951,
            "turns_served": None,
            "ttft_s": latency(0.1204, 0.8456),
            "tpot_s": latency(0.01234, 0.04567),
            "e2e_s": latency(3.25, 9.5),
            "intervals": {
                "ttft_s": {"p99": {"low": 0.801, "high": 0.902}},
                "tpot_s": {"p99": {"low": 0.0441, "high": 0.0472}},
            },
            "offered_rps": 12.345,
            "goodput_rps": 11.111,
            "output_tokens_per_s": 2345.6,
            "cached_share": 0.0,
            "escalated_share": 0.0,
            "overflow_share": 0.0,
        },
        "cost": {
            "usd_per_month": 12345.0,
            "usd_per_month_half_width": 67.2,
            "usd_per_million_processed_tokens": 0.25,
            "usd_per_million_output_tokens": 1.5,
            "usd_per_million_tokens": 1.75,
            "unused_share": 0.314,
            "kwh_per_million_tokens": None,
            "co2_kg_per_million_tokens": None,
            "saved_by_prefix_caching": [],
            "saved_by_batching": [{"usd_per_month": 100.0}, {"usd_per_month": 23.0}],
            "saved_by_quantisation": [{"usd_per_month": 0.0}],
            "liability_usd": 0.0,
            "capex_usd": None,
            "job": None,
        },
        "uncertainty": None,
        "expected_error": {"ttft": 0.12, "tpot": 0.07},
        "calibrated": True,
        "pools": ["p"],
        "providers": [],
        "replicas": (3, 3),
        "time_in_steps": None,
        "periods": [],
        "warnings": [],
    }
    metrics, cost = more.pop("metrics", {}), more.pop("cost", {})
    return {**found, **more, "metrics": found["metrics"] | metrics, "cost": found["cost"] | cost}


def cells(*topologies: dict[str, Any], short: bool = False) -> dict[str, list[str]]:
    rows, headers = comparison({f"t{k}": one for k, one in enumerate(topologies)}, short)
    assert headers == ["", *(f"t{k}" for k in range(len(topologies)))]
    return {row[0]: row[1:] for row in rows}


def test_every_row_of_a_fleet_in_its_unit_and_none_without_a_value() -> None:
    assert cells(summary()) == {
        "SLO met": ["yes"],
        "chat: ttft p99 ≤ 1 s": ["0.85 s"],
        "chat: served ≥ 99 %": ["99.50%"],
        "binding term [misses used]": ["chat: ttft p99 (40%)"],
        "SLO attainment": ["98.76%"],
        "SLO attainment, 95 %": ["98.10% to 99.12%"],
        "served": ["99.51%"],
        "TTFT p50 [ms]": ["120"],
        "TTFT p99 [ms]": ["846"],
        "TTFT p99, 95 % [ms]": ["801 to 902"],
        "TPOT p50 [ms]": ["12.3"],
        "TPOT p99 [ms]": ["45.7"],
        "TPOT p99, 95 % [ms]": ["44.1 to 47.2"],
        "expected error TTFT, TPOT": ["12%, 7%"],
        "E2E p50 [ms]": ["3,250"],
        "E2E p99 [ms]": ["9,500"],
        "offered [requests/s]": ["12.35"],
        "goodput [requests/s]": ["11.11"],
        "output [tokens/s]": ["2,346"],
        "replicas": ["3"],
        "$ per month": ["12,345 ± 67"],
        "$ per 1M tokens, all": ["0.250"],
        "$ per 1M tokens, output": ["1.500"],
        "$ per 1M tokens, delivered": ["1.750"],
        "share paid but unused": ["31%"],
        "saved by batching [$ per month]": ["123"],
    }


def test_the_first_screen_of_a_run_has_less() -> None:
    assert list(cells(summary(), short=True)) == [
        "SLO met",
        "chat: ttft p99 ≤ 1 s",
        "chat: served ≥ 99 %",
        "SLO attainment",
        "SLO attainment, 95 %",
        "served",
        "TTFT p99 [ms]",
        "TPOT p99 [ms]",
        "expected error TTFT, TPOT",
        "output [tokens/s]",
        "replicas",
        "$ per month",
        "$ per 1M tokens, all",
        "$ per 1M tokens, output",
        "$ per 1M tokens, delivered",
        "share paid but unused",
    ]


def test_what_one_of_two_has_is_a_row_with_none_for_the_other() -> None:
    other = summary(
        replicas=(2, 5),
        pools=["p", "q"],
        metrics={
            "overflow_share": 0.125,
            "cached_share": 0.306,
            "escalated_share": 0.2,
            "slo_terms": [term("tpot p90 ≤ 40 ms", "tpot_s", 0.05, False)],
        },
        cost={"liability_usd": 250.0, "capex_usd": 1_000_000.0, "usd_per_month_half_width": None},
        uncertainty={
            "probability_cheapest_meeting_slo": 0.35,
            "usd_per_month": {"low": 9000.0, "high": 15000.0},
            "usd_per_million_tokens": {"low": 1.5, "high": 2.25},
        },
    )
    found = cells(summary(), other)
    assert found["replicas"] == ["3", "2 to 5"]
    assert found["overflow"] == [NONE, "12.5%"]
    assert found["cached share"] == [NONE, "30.6%"]
    assert found["chat: ttft p99 ≤ 1 s"] == ["0.85 s", NONE]
    assert found["chat: tpot p90 ≤ 40 ms"] == [NONE, "0.05 s: missed"]
    assert found["owed after the study [$]"] == [NONE, "250"]
    assert found["$ per month"] == ["12,345 ± 67", "12,345"]
    assert found["$ per month, 90 % of draws"] == [NONE, "9,000 to 15,000"]
    assert found["$ per 1M tokens, delivered, 90 % of draws"] == [NONE, "1.500 to 2.250"]
    assert found["cheapest"] == [NONE, "35% of draws"]
    short = cells(summary(), other, short=True)
    assert "$ per month, 90 % of draws" in short
    assert "$ per 1M tokens, delivered, 90 % of draws" not in short


def test_a_size_that_was_not_looked_at_makes_the_cheapest_the_cheapest_of_those_found() -> None:
    drawn = {
        "probability_cheapest_meeting_slo": 0.5,
        "usd_per_month": {"low": 1.0, "high": 2.0},
        "usd_per_million_tokens": {"low": 1.0, "high": 2.0},
    }
    dearer = summary(uncertainty=drawn, cost={"usd_per_month": 20_000.0, "usd_per_month_half_width": None})
    left_open = dearer | {"least_usd_per_month": 10_000.0}
    assert cells(summary(), left_open)["cheapest of sizes found"] == [NONE, "50% of draws"]
    assert cells(summary(), dearer | {"least_usd_per_month": 15_000.0})["cheapest"] == [NONE, "50% of draws"]


@pytest.mark.parametrize(
    ("usd", "half", "text"),
    [
        (12345.0, 0.4, "12,345"),
        (12345.0, 0.6, "12,345 ± 1"),
        (45.678, 0.004, "45.68"),
        (45.678, 0.006, "45.68 ± 0.01"),
        (45.678, 0.0, "45.68"),
        (None, 5.0, NONE),
    ],
)
def test_a_bill_has_its_half_width_unless_it_rounds_to_none(usd: float | None, half: float, text: str) -> None:
    found = cells(summary(cost={"usd_per_month": usd, "usd_per_month_half_width": half}))
    assert found.get("$ per month", [NONE]) == [text]


def test_a_job_offers_no_rate_and_has_a_time_and_a_bill() -> None:
    found = cells(summary(cost={"job": {"job_s": 5400.0, "usd_per_job": 87.5}}))
    assert "offered [requests/s]" not in found
    assert (found["time of the job"], found["$ per job"]) == (["1.5 h"], ["87.50"])


def test_answers_that_come_whole_have_no_time_per_token() -> None:
    found = cells(summary(metrics={"tpot_s": latency(0.0, 0.00004)}))
    assert (found["TPOT p50 [ms]"], found["TPOT p99 [ms]"]) == (["whole"], ["whole"])
    found = cells(summary(metrics={"tpot_s": latency(0.00006, None), "ttft_s": latency(0.0, 0.0)}))
    assert (found["TPOT p50 [ms]"], found["TTFT p50 [ms]"]) == (["0.1"], ["0"])
    assert "TPOT p99 [ms]" not in found


@pytest.mark.parametrize(
    ("low_s", "high_s", "text"), [(0.0, 0.00004, None), (0.0, 0.0002, "0.0 to 0.2"), (0.01, 0.02, "10.0 to 20.0")]
)
def test_answers_that_come_whole_have_no_interval_of_time_per_token(
    low_s: float, high_s: float, text: str | None
) -> None:
    ends = {"low": low_s, "high": high_s}
    spans = {f"{metric}_s": dict.fromkeys(("p50", "p90", "p95", "p99"), ends) for metric in ("ttft", "tpot")}
    found = cells(summary(metrics={"tpot_s": latency(low_s, high_s), "intervals": spans}))
    assert found.get("TPOT p99, 95 % [ms]") == (text and [text])


@pytest.mark.parametrize(
    ("pools", "calibrated", "text"),
    [(["p"], True, "not known"), (["p"], False, "uncalibrated"), ([], False, NONE), ([], True, NONE)],
)
def test_an_error_that_nobody_measured(pools: list[str], calibrated: bool, text: str) -> None:
    found = cells(summary(expected_error=None, pools=pools, calibrated=calibrated))
    assert found.get("expected error TTFT, TPOT", [NONE]) == [text]


def provider(availability: float, promised: float | None = None, outages: int = 1) -> dict[str, Any]:
    return {"availability": availability, "availability_sla": promised, "outages": outages}


@pytest.mark.parametrize(
    ("providers", "text"),
    [
        ([], NONE),
        ([provider(0.5, outages=0)], NONE),
        ([provider(0.9876, 0.999)], "98.76%, promised 99.9%"),
        ([provider(0.99), provider(0.97), provider(0.98, 0.999)], "97.00%"),
        ([provider(0.99), provider(0.5, outages=0)], "99.00%"),
    ],
)
def test_the_token_api_that_was_up_least(providers: list[dict[str, Any]], text: str) -> None:
    assert cells(summary(providers=providers)).get("token API up", [NONE]) == [text]


@pytest.mark.parametrize(
    ("pools", "providers", "choice"), [(1, 0, False), (0, 1, False), (2, 0, True), (1, 1, True), (0, 2, True)]
)
def test_something_can_overflow_only_where_there_is_a_choice(pools: int, providers: int, choice: bool) -> None:
    one = summary(pools=["p"] * pools, providers=[provider(1.0, outages=0)] * providers)
    assert has_choice(one) == choice
    assert ("overflow" in cells(one)) == choice


def test_a_bill_or_fleet_that_is_not_there() -> None:
    found = cells(summary(replicas=None, metrics={"slo_met": None, "binding_term": None}))
    assert "replicas" not in found
    assert "binding term [misses used]" not in found
    assert found["SLO met"] == ["not known"]
    assert (
        saved_usd({"saved_by_batching": [{"usd_per_month": 1.5}, {"usd_per_month": 2.0}]}, "saved_by_batching") == 3.5
    )


@pytest.mark.parametrize(
    ("value", "met", "text"),
    [
        (0.98765, True, "0.988 s"),
        (99.94, True, "99.9 s"),
        (100.0, True, "100 s"),
        (12345.6, False, "12,346 s: missed"),
        (None, False, "lost: missed"),
        (float("inf"), False, "lost: missed"),
        (5.0, None, "not known"),
    ],
)
def test_the_value_of_a_latency_term(value: float | None, met: bool | None, text: str) -> None:
    assert term_value(term("ttft p99 ≤ 1 s", "ttft_s", value, met)) == text


def test_the_value_of_a_share_has_as_many_digits_as_tell_it_from_all() -> None:
    assert term_value(term("served ≥ 99 %", "served", 0.97, False)) == "97.00%: missed"
    assert term_value(term("served ≥ 99 %", "served", 0.99996, True)) == "99.996%"
    assert term_value(term("served ≥ 99 %", "served", 1.0, True)) == "100.00%"


def months(name: str, hours: dict[str, float]) -> dict[str, Any]:
    return summary(period=name, periods=[{"name": one, "hours": h} for one, h in hours.items()])


def test_the_parts_of_a_month_and_the_one_that_is_shown() -> None:
    assert period_words({"a": summary(), "b": months("x", {"x": 730.0})}) == ""
    both = {"a": summary(), "b": months("day", {"day": 365.25, "night": 364.75})}
    assert period_words(both) == (
        "Month 1 has day 365.2 h + night 364.8 h. SLO met and costs are of all 2 periods; other figures are those of "
        "day."
    )
    apart = both | {"c": months("night", {"day": 365.25, "night": 364.75}), "d": both["b"]}
    assert period_words(apart).endswith("of all 2 periods; other figures are those of day, night.")


def warned(*texts: tuple[str, str]) -> dict[str, Any]:
    return summary(warnings=[{"kind": kind, "text": text} for kind, text in texts])


def test_each_warning_once_after_whom_it_holds_for() -> None:
    topologies = {
        "a": warned(("traffic", "x"), ("traffic", "y")),
        "b": warned(("traffic", "y"), ("other", "z")),
        "c": warned(("traffic", "y")),
    }
    assert warnings(topologies, ("traffic",)) == ["a: x", "all: y"]
    assert warnings(topologies, ("traffic", "other")) == ["a: x", "all: y", "b: z"]
    assert warnings({"a": topologies["a"], "b": topologies["b"], "c": warned()}, ("traffic",)) == ["a: x", "a, b: y"]


def test_lines_of_warnings_are_within_the_width_and_told_by_a_mark() -> None:
    lines = warning_lines({"a": warned((KINDS[0], "one two three four"))}, 16)
    assert lines == ["! all: one two", "  three four"]
    assert all(len(line) <= 110 for line in warning_lines({"a": warned((KINDS[-1], "word " * 60))}))
    assert len(warning_lines({"a": warned((KINDS[-1], "word " * 60))})) == 3
