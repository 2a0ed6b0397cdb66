"""What is said of the money of each topology, and of all together: bills, break-even, intervals, swings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from simulator.bill.unused import unused_share
from simulator.catalog.sites import site
from simulator.cost.breakeven import cheaper_volumes, payback_month
from simulator.cost.focus import Resource, focus_frame
from simulator.cost.lines import total_usd
from simulator.cost.report import CostReport, mean_report
from simulator.decide.rivals import rank
from simulator.metrics.intervals import t_interval
from simulator.run.hybrid import hybrid_rule
from simulator.run.uncertainty import Case, Draws, draw_costs, draw_inputs, summarise_draws, tornado_of
from simulator.run.volume import cost_curves, crossing_draws
from simulator.study.decision import Contender


def cost_summary(reports: Sequence[CostReport], discount_rate: float) -> dict[str, Any]:
    """Costs of one topology, means over the replications; USD per million tokens is the ratio of the means."""
    mean, half_width = t_interval([report.usd_per_month for report in reports])
    report = mean_report(reports)
    return {
        "usd_per_month": mean,
        "usd_per_month_half_width": half_width,
        "usage_usd_per_month": total_usd(report.lines, "usage"),
        **{
            name: getattr(report, name)
            for name in (
                "tokens_per_month",
                "output_tokens_per_month",
                "usd_per_million_tokens",
                "usd_per_million_output_tokens",
                "processed_tokens_per_month",
                "usd_per_million_processed_tokens",
                "capex_usd",
                "npv_usd",
            )
        },
        "unused_share": unused_share([(line.name, line.usd_per_month) for line in report.lines]),
        "discount_rate": discount_rate,
        "cash_flow_usd": report.cash_flow_usd.tolist(),
    }


def cost_frame(name: str, reports: Sequence[CostReport]) -> pd.DataFrame:
    """Rows of `costs.parquet`: line items of a topology, means over the replications."""
    columns = ("pool", "category", "name", "unit", "kind", "quantity", "usd_per_month")
    lines = mean_report(reports).lines
    frame = pd.DataFrame([[getattr(line, column) for column in columns] for line in lines], columns=list(columns))
    frame.insert(0, "topology", name)
    return frame


def compare_costs(
    topologies: Mapping[str, dict[str, Any]], cases: Mapping[str, Case], settings: Any, warmup_s: float, seed: int
) -> pd.DataFrame:
    """Add to each topology's summary: `break_even`, `hybrid_rule`, `tornado`, `uncertainty`; return the cost curves.

    Parameters
    ----------
    settings : the scenario's cost section
    warmup_s : samples before it do not count for the hybrid rule
    seed : of the draws

    Returns
    -------
    frame : rows of `break_even.parquet` (`cost_curves`)
    """
    reports = {name: mean_report([found.cost for found in case.replications]) for name, case in cases.items()}
    standing = [
        Contender(name, bool(topologies[name]["metrics"]["slo_met"]), report.usd_per_month)
        for name, report in reports.items()
    ]
    for name, summary in topologies.items():
        summary["break_even"] = _break_even(name, reports, standing)
        summary["hybrid_rule"] = hybrid_rule(cases[name], reports[name], warmup_s)
        summary["tornado"] = tornado_of(cases[name], settings)
        summary["uncertainty"] = None
    draws: dict[str, Draws] = {}
    if settings.draws:
        inputs = draw_inputs(list(cases.values()), settings, seed)
        draws = {name: draw_costs(case, settings, inputs, seed) for name, case in cases.items()}
        meeting = [name for name, summary in topologies.items() if summary["metrics"]["slo_met"]]
        for name, found in summarise_draws(draws, cases, meeting).items():
            topologies[name]["uncertainty"] = found
    crossings: list[float] = []
    for name, summary in topologies.items():
        if found := summary["break_even"]:
            found["draws"] = crossing_draws(draws[name], draws[found["against"]], found["cheaper"]) if draws else None
            crossings += [found["tokens_per_month"]] if found["tokens_per_month"] is not None else []
    return cost_curves(reports, draws, crossings)


def _break_even(name: str, reports: Mapping[str, CostReport], standing: Sequence[Contender]) -> dict[str, Any] | None:
    """Against the cheapest other topology that meets the SLO: by month and by volume."""
    rivals = rank([one for one in standing if one.name != name]).order
    mine = reports[name]
    if not rivals or mine.capex_usd <= 0:
        return None
    rival = rivals[0]
    cheaper, tokens = _crossing(mine, reports[rival])
    return {
        "against": rival,
        "month": payback_month(mine, reports[rival]),
        "cheaper": cheaper,
        "tokens_per_month": tokens,
    }


def _crossing(mine: CostReport, other: CostReport) -> tuple[str, float | None]:
    """On which side of which volume a topology costs less: above, below; always and never have no volume."""
    found = cheaper_volumes(mine, other)
    if found is None:
        return "never", None
    low, high = found
    if low > 0:
        return "above", low
    return ("below", high) if high < math.inf else ("always", None)


def focus_csv(scenario: Any, cases: Mapping[str, Case]) -> str:
    """Bills of all topologies, means over the replications, as CSV with FOCUS columns; a sub account each."""
    frames = []
    for name, case in cases.items():
        planned = case.planned
        resources = {
            pool.name: Resource(site(pool.site).title, site(pool.site).region, pool.billing == "spot")
            for pool in planned.settings.pools
        }
        for provider, offer in zip(planned.fleet.providers, planned.offers, strict=True):
            place = site(offer.site) if offer else None
            resources[provider.name] = Resource(place.title, place.region) if place else Resource(provider.name, "")
        lines = mean_report([found.cost for found in case.replications]).lines
        frames.append(focus_frame(lines, resources, scenario.name, name, scenario.study.first_month))
    filled = [frame for frame in frames if len(frame)] or frames[:1]
    return str(pd.concat(filled, ignore_index=True).to_csv(index=False, lineterminator="\n"))
