"""The comparison of topologies as rows of text."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

Row = tuple[str, Callable[[Mapping[str, Any]], str]]


def ordered(summary: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Topologies of a summary in the order of the scenario, which JSON with sorted keys does not keep."""
    return {name: summary["topologies"][name] for name in summary["order"]}


def _number(value: float | None, pattern: str) -> str:
    return "-" if value is None or not math.isfinite(value) else pattern.format(value)


def _ms(metric: str, share: str) -> Callable[[Mapping[str, Any]], str]:
    def cell(summary: Mapping[str, Any]) -> str:
        value = summary["metrics"][metric][share]
        return _number(None if value is None else value * 1e3, "{:,.0f}" if metric != "tpot_s" else "{:,.1f}")

    return cell


def _attainment(summary: Mapping[str, Any]) -> str:
    metrics = summary["metrics"]
    share, half = metrics["slo_attainment"], metrics["slo_attainment_half_width"]
    text = _number(share, "{:.2%}")
    return f"{text} ± {half:.2%}" if half is not None and math.isfinite(half) else text


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


def _replicas(summary: Mapping[str, Any]) -> str:
    span = summary["replicas"]
    if span is None:
        return "-"
    return str(span[0]) if span[0] == span[1] else f"{span[0]} to {span[1]}"


ROWS: tuple[Row, ...] = (
    ("SLO met", lambda s: "yes" if s["metrics"]["slo_met"] else "no"),
    ("SLO attainment", _attainment),
    ("TTFT p50 [ms]", _ms("ttft_s", "p50")),
    ("TTFT p99 [ms]", _ms("ttft_s", "p99")),
    ("TPOT p50 [ms]", _ms("tpot_s", "p50")),
    ("TPOT p99 [ms]", _ms("tpot_s", "p99")),
    ("E2E p50 [ms]", _ms("e2e_s", "p50")),
    ("E2E p99 [ms]", _ms("e2e_s", "p99")),
    ("goodput [requests/s]", lambda s: _number(s["metrics"]["goodput_rps"], "{:.2f}")),
    ("output [tokens/s]", lambda s: _number(s["metrics"]["output_tokens_per_s"], "{:,.0f}")),
    ("GPU busy", lambda s: _number(s["utilisation"], "{:.0%}")),
    ("replicas", _replicas),
    ("overflow", lambda s: _number(s["metrics"]["overflow_share"], "{:.1%}")),
    ("$ per month", _money),
    ("$ per 1M tokens", lambda s: _number(s["cost"]["usd_per_million_tokens"], "{:.3f}")),
    ("capex [$]", lambda s: _number(s["cost"]["capex_usd"], "{:,.0f}")),
    ("break-even", _break_even),
)


def comparison(topologies: Mapping[str, Mapping[str, Any]]) -> tuple[list[list[str]], list[str]]:
    """Rows and headers: a row per metric, a column per topology."""
    rows = [[label, *(cell(summary) for summary in topologies.values())] for label, cell in ROWS]
    return rows, ["", *topologies]


def warning_lines(topologies: Mapping[str, Mapping[str, Any]], width: int = 110) -> list[str]:
    """Each warning once, with the topologies it holds for."""
    owners: dict[str, list[str]] = {}
    for name, summary in topologies.items():
        for warning in summary["warnings"]:
            owners.setdefault(warning, []).append(name)
    lines: list[str] = []
    for warning, names in owners.items():
        who = "all" if len(names) == len(topologies) else ", ".join(names)
        lines += textwrap.wrap(f"! {who}: {warning}", width, subsequent_indent="  ")
    return lines
