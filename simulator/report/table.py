"""The comparison of topologies as rows of text."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Collection, Mapping
from typing import Any

from simulator.decide.rivals import cheapest
from simulator.decide.standing import contenders
from simulator.run.remarks import KINDS

Row = tuple[str, Callable[[Mapping[str, Any]], str]]


def ordered(summary: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Topologies of a summary in the order of the scenario, which JSON with sorted keys does not keep."""
    return {name: summary["topologies"][name] for name in summary["order"]}


def baseline(topologies: Mapping[str, Mapping[str, Any]]) -> str:
    """The topology that a report compares the others to: the cheapest that meets the SLO, else the closest to it."""
    return cheapest(contenders(topologies))


def _number(value: float | None, pattern: str) -> str:
    return "-" if value is None or not math.isfinite(value) else pattern.format(value)


def met_words(met: bool | None) -> str:
    """Whether the SLO is met, in words; None where a class has no request to tell by."""
    return "not known" if met is None else "yes" if met else "no"


def _ms(metric: str, share: str) -> Callable[[Mapping[str, Any]], str]:
    def cell(summary: Mapping[str, Any]) -> str:
        value = summary["metrics"][metric][share]
        return _number(None if value is None else value * 1e3, "{:,.0f}" if metric != "tpot_s" else "{:,.1f}")

    return cell


def _attainment(summary: Mapping[str, Any]) -> str:
    metrics = summary["metrics"]
    text = _number(metrics["slo_attainment"], "{:.2%}")
    low, high = metrics["slo_attainment_low"], metrics["slo_attainment_high"]
    return text if text == "-" else f"{text} ({_number(low, '{:.2%}')} to {_number(high, '{:.2%}')})"


def _money(summary: Mapping[str, Any]) -> str:
    cost = summary["cost"]
    half = cost["usd_per_month_half_width"]
    text = _number(cost["usd_per_month"], "{:,.0f}")
    return f"{text} ± {half:,.0f}" if half is not None and math.isfinite(half) and half >= 0.5 else text


def _break_even(summary: Mapping[str, Any]) -> str:
    found = summary["break_even"]
    if found is None:
        return "-"
    return (
        f"month {found['month']} ({found['against']})" if found["month"] is not None else f"never ({found['against']})"
    )


def _break_even_volume(summary: Mapping[str, Any]) -> str:
    found = summary["break_even"]
    if found is None:
        return "-"
    tokens = found["tokens_per_month"]
    return found["cheaper"] if tokens is None else f"{found['cheaper']} {tokens / 1e6:,.0f}"


def _break_even_busy(summary: Mapping[str, Any]) -> str:
    found = summary["break_even"]
    if found is None:
        return "-"
    share = found["busy_share"]
    text = found["cheaper"] if share is None else f"{found['cheaper']} {share:.0%}"
    return f"{text} (now {found['busy_share_now']:.0%})"


def _interval(key: str, pattern: str) -> Callable[[Mapping[str, Any]], str]:
    def cell(summary: Mapping[str, Any]) -> str:
        drawn = summary["uncertainty"]
        if not drawn:
            return "-"
        return f"{_number(drawn[key]['low'], pattern)} to {_number(drawn[key]['high'], pattern)}"

    return cell


def _cheapest(summary: Mapping[str, Any]) -> str:
    drawn = summary["uncertainty"]
    return f"{drawn['probability_cheapest']:.0%} of draws" if drawn else "-"


def _covers(summary: Mapping[str, Any]) -> str:
    drawn = summary["uncertainty"]
    if not drawn:
        return "-"
    return "money and speed" if drawn["covers_speed"] and summary["pools"] else "money only"


def _rule(summary: Mapping[str, Any]) -> str:
    found = summary["hybrid_rule"]
    return f"{found['rule_replicas']} (has {found['owned_replicas']})" if found else "-"


def _providers_up(summary: Mapping[str, Any]) -> str:
    hit = [provider for provider in summary["providers"] if provider["outages"]]
    if not hit:
        return "-"
    worst = min(hit, key=lambda provider: provider["availability"])
    promise = worst["availability_sla"]
    promised = f", promised {promise:.1%}" if promise is not None else ""
    return f"{worst['availability']:.2%}{promised}"


def _replicas(summary: Mapping[str, Any]) -> str:
    span = summary["replicas"]
    if span is None:
        return "-"
    return str(span[0]) if span[0] == span[1] else f"{span[0]} to {span[1]}"


def _expected(summary: Mapping[str, Any]) -> str:
    error = summary["expected_error"]
    if not error:
        return "-" if not summary["pools"] else "not known" if summary["calibrated"] else "uncalibrated"
    return f"{error['ttft']:.0%}, {error['tpot']:.0%}"


ROWS: tuple[Row, ...] = (
    ("SLO met", lambda s: met_words(s["metrics"]["slo_met"])),
    ("SLO attainment", _attainment),
    ("TTFT p50 [ms]", _ms("ttft_s", "p50")),
    ("TTFT p99 [ms]", _ms("ttft_s", "p99")),
    ("TPOT p50 [ms]", _ms("tpot_s", "p50")),
    ("TPOT p99 [ms]", _ms("tpot_s", "p99")),
    ("expected error TTFT, TPOT", _expected),
    ("E2E p50 [ms]", _ms("e2e_s", "p50")),
    ("E2E p99 [ms]", _ms("e2e_s", "p99")),
    ("goodput [requests/s]", lambda s: _number(s["metrics"]["goodput_rps"], "{:.2f}")),
    ("output [tokens/s]", lambda s: _number(s["metrics"]["output_tokens_per_s"], "{:,.0f}")),
    ("time in steps", lambda s: _number(s["time_in_steps"], "{:.0%}")),
    ("replicas", _replicas),
    ("token API up", _providers_up),
    ("overflow", lambda s: _number(s["metrics"]["overflow_share"], "{:.1%}")),
    ("escalated", lambda s: _number(s["metrics"]["escalated_share"] or None, "{:.1%}")),
    ("$ per month", _money),
    ("$ per 1M tokens", lambda s: _number(s["cost"]["usd_per_million_tokens"], "{:.3f}")),
    ("capex [$]", lambda s: _number(s["cost"]["capex_usd"], "{:,.0f}")),
    ("break-even", _break_even),
    ("break-even [1M tokens/month]", _break_even_volume),
    ("break-even GPU busy", _break_even_busy),
    ("$ per month, 90 %", _interval("usd_per_month", "{:,.0f}")),
    ("$ per 1M tokens, 90 %", _interval("usd_per_million_tokens", "{:.3f}")),
    ("interval covers", _covers),
    ("cheapest", _cheapest),
    ("replicas to own", _rule),
)
_SELDOM = {"token API up", "escalated", "replicas to own"}
"""Rows that are left out where no topology has something to say in them."""


def comparison(topologies: Mapping[str, Mapping[str, Any]]) -> tuple[list[list[str]], list[str]]:
    """Rows and headers: a row per metric, a column per topology."""
    rows = [[label, *(cell(summary) for summary in topologies.values())] for label, cell in ROWS]
    kept = [row for row in rows if row[0] not in _SELDOM or any(cell != "-" for cell in row[1:])]
    return kept, ["", *topologies]


def warnings(topologies: Mapping[str, Mapping[str, Any]], kinds: Collection[str] = KINDS) -> list[str]:
    """Each warning of these kinds once, after the topologies it holds for."""
    owners: dict[str, list[str]] = {}
    for name, summary in topologies.items():
        for warning in summary["warnings"]:
            if warning["kind"] in kinds:
                owners.setdefault(warning["text"], []).append(name)
    return [f"{'all' if len(names) == len(topologies) else ', '.join(names)}: {text}" for text, names in owners.items()]


def warning_lines(topologies: Mapping[str, Mapping[str, Any]], width: int = 110) -> list[str]:
    """All warnings for a terminal, a `!` before each."""
    return [line for text in warnings(topologies) for line in textwrap.wrap(f"! {text}", width, subsequent_indent="  ")]
