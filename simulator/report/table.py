"""The comparison of topologies as rows of text."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable, Collection, Mapping
from typing import Any

from simulator.decide.rivals import cheapest, rank
from simulator.decide.standing import contenders, met_throughout
from simulator.figures.table import NONE, figure, met_words
from simulator.figures.whole import cell_text, interval_text
from simulator.metrics.slo import SHARES, late_words, share_words
from simulator.money import converted, places
from simulator.report.decision import used_words
from simulator.run.remarks import KINDS

Summary = Mapping[str, Any]
Cell = Callable[[Summary], str]
Row = tuple[str, Cell]
_LIMIT = re.compile(" [≤≥] ")
"""Before the limit of an SLO term."""
_OF_FOUND = "cheapest of sizes found"
"""In place of `cheapest`, where sizes that were not looked at might cost less than all that were."""
_TIMES = 2.0
"""Misses that are used beyond which they are told in times what is allowed."""


def ordered(summary: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Topologies of a summary in the order of the scenario, which JSON with sorted keys does not keep."""
    return {name: summary["topologies"][name] for name in summary["order"]}


def baseline(topologies: Mapping[str, Mapping[str, Any]]) -> str:
    """The topology that a report compares the others to: the cheapest that meets the SLO, else the closest to it."""
    return cheapest(contenders(topologies))


def _of(part: str | None, name: str, key: str | None = None) -> Row:
    """A figure as it stands in a part of the summary."""
    shown = figure(name)

    def cell(summary: Summary) -> str:
        found = summary if part is None else summary[part]
        return shown.text(found.get(key or name))

    return shown.label, cell


def _offered(summary: Summary) -> str:
    """None of a finite job: all of it comes at once."""
    is_job = bool(summary["cost"].get("job"))
    return NONE if is_job else figure("offered_rps").text(summary["metrics"].get("offered_rps"))


def _latency(metric: str, share: str) -> Row:
    shown = figure(f"{metric}_{share}_s")

    def cell(summary: Summary) -> str:
        return cell_text(shown, summary["metrics"][f"{metric}_s"][share])

    return shown.label, cell


def _latency_interval(metric: str, share: str) -> Row:
    shown = figure(f"{metric}_{share}_s")

    def cell(summary: Summary) -> str:
        found = summary["metrics"]["intervals"][f"{metric}_s"][share]
        return interval_text(shown, found["low"], found["high"])

    return f"{shown.words}, 95 % [{shown.unit}]", cell


def _attainment_interval() -> Row:
    shown = figure("slo_attainment")

    def cell(summary: Summary) -> str:
        return shown.span(summary["metrics"]["slo_attainment_low"], summary["metrics"]["slo_attainment_high"])

    return f"{shown.words}, 95 %", cell


def _drawn(name: str) -> Row:
    shown = figure(name)

    def cell(summary: Summary) -> str:
        drawn = (summary["uncertainty"] or {}).get(name)
        return shown.span(drawn["low"], drawn["high"]) if drawn else NONE

    return f"{shown.words}, 90 % of draws", cell


def _money(summary: Summary) -> str:
    cost = summary["cost"]
    text = figure("usd_per_month").text(cost["usd_per_month"])
    half = cost["usd_per_month_half_width"]
    if text == NONE or half is None:
        return text
    spread, digits = converted(half), places(converted(cost["usd_per_month"]))
    return f"{text} ± {spread:,.{digits}f}" if round(spread, digits) else text


def term_value(row: Mapping[str, Any]) -> str:
    """The value of an SLO term at its own percentile, as a person reads it, and whether it is missed."""
    if row["met"] is None:
        return "not known"
    value = row["value"]
    if row["metric"] in SHARES:
        text = share_words(value, 2)
    elif value is None or value == float("inf"):
        text = "lost"
    else:
        text = f"{value:,.3g} s" if value < 100 else f"{value:,.0f} s"
    return text if row["met"] else f"{text}: missed"


def missed_words(row: Mapping[str, Any]) -> str:
    """How far a term is missed: its value, and how many requests keep it."""
    kept = share_words(row["share"], 2)
    text = term_value(row).removesuffix(": missed")
    return f"{text}, kept by {kept} of the requests" if row["metric"] not in SHARES else f"{kept} of the requests"


def binding_words(summary: Summary) -> str:
    """The term that fails by most or is nearest to failing, and how much of its misses are used."""
    row = summary["metrics"]["binding_term"]
    if row is None:
        return NONE
    late = late_words(row)
    if row.get("metric") == "begun":
        return f"{row['class']}: {late}"
    return f"{row['class']}: {row['term']} ({late or used_of_allowed(row)})"


def used_of_allowed(row: Mapping[str, Any]) -> str:
    """How much of the misses that a term allows are used, in words."""
    used = row["allowance_used"]
    if used is None:
        return "beyond the misses allowed"
    if not used:
        return "no request misses it"
    return f"{_used(row)} {'the' if used > _TIMES else 'of the'} misses allowed"


def _binding(summary: Summary) -> str:
    """The same in short, for a table that has a row for each term with its limit."""
    row = summary["metrics"]["binding_term"]
    return NONE if row is None else f"{row['class']}: {_LIMIT.split(row['term'])[0]} ({_used(row)})"


def _used(row: Mapping[str, Any]) -> str:
    used = row["allowance_used"]
    if used is None:
        return "beyond"
    return f"{used:.0%}" if used <= _TIMES else f"{used:,.0f} times"


def _terms(topologies: Mapping[str, Summary]) -> list[Row]:
    """A row for each SLO term of any topology."""
    names = dict.fromkeys(
        (row["class"], row["term"]) for summary in topologies.values() for row in summary["metrics"]["slo_terms"]
    )

    def row_of(cls: str, term: str) -> Row:
        def cell(summary: Summary) -> str:
            rows = summary["metrics"]["slo_terms"]
            return next((term_value(row) for row in rows if (row["class"], row["term"]) == (cls, term)), NONE)

        return f"{cls}: {term}", cell

    return [row_of(*name) for name in names]


def _cheapest(summary: Summary) -> str:
    drawn = summary["uncertainty"]
    share = drawn["probability_cheapest_meeting_slo"] if drawn else None
    return NONE if share is None else f"{share:.0%} of draws"


def _met(summary: Summary) -> str:
    if summary["metrics"]["slo_met"] and (lasts_until := summary.get("lasts_until")):
        return f"until month {lasts_until}"
    return met_words(met_throughout(summary))


def _owed(summary: Summary) -> str:
    return figure("owed_usd").text(summary["cost"]["liability_usd"] or None)


def _capacity_used(summary: Summary) -> str:
    found = summary.get("capacity")
    return used_words(found) if found else NONE


SAVED = {
    "saved_by_prefix_caching": "without prefix caching",
    "saved_by_batching": "one request at a time",
    "saved_by_quantisation": "with weights and KV cache in 16 bit",
}
"""What is not in a bill as it was saved, and what would cost more by it."""


def saved_usd(cost: Mapping[str, Any], name: str) -> float:
    """What is not in the bill by one of `SAVED`, of all owners."""
    return math.fsum(row["usd_per_month"] for row in cost[name])


def _saved(name: str) -> Row:
    def cell(summary: Summary) -> str:
        return figure(name).text(saved_usd(summary["cost"], name) or None)

    return _labelled(name, cell)


def _job(name: str) -> Cell:
    """A figure of a finite job, where the workload is one."""

    def cell(summary: Summary) -> str:
        job = summary["cost"].get("job")
        return figure(name).text(job[name] if job else None)

    return cell


def _providers_up(summary: Summary) -> str:
    hit = [provider for provider in summary["providers"] if provider["outages"]]
    if not hit:
        return NONE
    worst = min(hit, key=lambda provider: provider["availability"])
    promise = worst["availability_sla"]
    promised = f", promised {promise:.1%}" if promise is not None else ""
    return f"{worst['availability']:.2%}{promised}"


def _replicas(summary: Summary) -> str:
    span = summary["replicas"]
    if span is None:
        return NONE
    return str(span[0]) if span[0] == span[1] else f"{span[0]} to {span[1]}"


def _expected(summary: Summary) -> str:
    error = summary["expected_error"]
    if not error:
        return NONE if not summary["pools"] else "not known" if summary["calibrated"] else "uncalibrated"
    return f"{error['ttft']:.0%}, {error['tpot']:.0%}"


def _overflow(summary: Summary) -> str:
    """None of a topology with one target: there is nowhere else to go."""
    share = figure("overflow_share").text(summary["metrics"]["overflow_share"])
    return share if has_choice(summary) else NONE


def has_choice(summary: Summary) -> bool:
    """Whether a topology has several pools or token APIs to send requests to."""
    return len(summary["pools"]) + len(summary["providers"]) > 1


def _unless_zero(name: str) -> Row:
    return _labelled(name, lambda summary: figure(name).text(summary["metrics"][name] or None))


def _labelled(name: str, cell: Cell) -> Row:
    return figure(name).label, cell


def _first() -> tuple[Row, ...]:
    return (_labelled("slo_met", _met),)


def _service() -> tuple[Row, ...]:
    return (
        _labelled("binding_term", _binding),
        _of("metrics", "slo_attainment"),
        _attainment_interval(),
        _of("metrics", "served_share"),
        _of("metrics", "turns_served"),
        _latency("ttft", "p50"),
        _latency("ttft", "p99"),
        _latency_interval("ttft", "p99"),
        _latency("tpot", "p50"),
        _latency("tpot", "p99"),
        _latency_interval("tpot", "p99"),
        _labelled("expected_error", _expected),
        _latency("e2e", "p50"),
        _latency("e2e", "p99"),
        _labelled("offered_rps", _offered),
        _of("metrics", "goodput_rps"),
        _of("metrics", "output_tokens_per_s"),
        _of(None, "time_in_steps"),
        _labelled("capacity_used_share", _capacity_used),
        _labelled("replicas", _replicas),
        _labelled("availability", _providers_up),
        _unless_zero("cached_share"),
        _labelled("overflow_share", _overflow),
        _unless_zero("escalated_share"),
    )


def _cost() -> tuple[Row, ...]:
    return (
        _labelled("job_s", _job("job_s")),
        _labelled("usd_per_job", _job("usd_per_job")),
        _labelled("usd_per_month", _money),
        _drawn("usd_per_month"),
        *(_of("cost", f"usd_per_million_{kind}tokens") for kind in ("processed_", "output_", "")),
        _drawn("usd_per_million_tokens"),
        _of("cost", "usd_per_thousand_requests"),
        _of("cost", "unused_share"),
        _of("cost", "kwh_per_million_tokens"),
        _of("cost", "co2_kg_per_million_tokens"),
        *(_saved(name) for name in SAVED),
        _labelled("owed_usd", _owed),
        _of("cost", "capex_usd"),
        _labelled("probability_cheapest", _cheapest),
    )


_SHORT = (
    "slo_met",
    "slo_attainment",
    "served_share",
    "ttft_p99_s",
    "tpot_p99_s",
    "expected_error",
    "output_tokens_per_s",
    "time_in_steps",
    "capacity_used_share",
    "replicas",
    "availability",
    "cached_share",
    "overflow_share",
    "escalated_share",
    "job_s",
    "usd_per_job",
    "usd_per_month",
    "usd_per_million_processed_tokens",
    "usd_per_million_output_tokens",
    "usd_per_million_tokens",
    "usd_per_thousand_requests",
    "unused_share",
    "owed_usd",
    "capex_usd",
    "probability_cheapest",
)
"""Figures of the first screen, with an interval of two of them; the report, the dashboard and `compare` show all."""


def _is_short(label: str) -> bool:
    known = {figure(name).label for name in _SHORT}
    return label in known | {_attainment_interval()[0], _drawn("usd_per_month")[0]}


def comparison(topologies: Mapping[str, Mapping[str, Any]], short: bool = False) -> tuple[list[list[str]], list[str]]:
    """Rows and headers: a row per figure that some topology has a value of, a column per topology.

    Parameters
    ----------
    short : only what the first screen of a run has room for
    """
    terms = _terms(topologies)
    shown = [*_first(), *terms, *(row for row in (*_service(), *_cost()) if not short or _is_short(row[0]))]
    rows = [[label, *(cell(summary) for summary in topologies.values())] for label, cell in shown]
    if rank(contenders(topologies)).withheld_by:
        rows = [[_OF_FOUND if row[0] == figure("probability_cheapest").label else row[0], *row[1:]] for row in rows]
    return [row for row in rows if any(cell != NONE for cell in row[1:])], ["", *topologies]


def period_words(topologies: Mapping[str, Mapping[str, Any]]) -> str:
    """Hours of each part of a month, and which rows of `comparison` are of which; empty where a month is all alike."""
    parts = [one for one in topologies.values() if len(one["periods"]) > 1]
    if not parts:
        return ""
    hours = {period["name"]: f"{period['name']} {period['hours']:,.4g} h" for one in parts for period in one["periods"]}
    shown = ", ".join(dict.fromkeys(one["period"] for one in parts))
    return (
        f"Month 1 has {' + '.join(hours.values())}. SLO met and costs are of all {len(hours)} periods; other figures "
        f"are those of {shown}."
    )


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
