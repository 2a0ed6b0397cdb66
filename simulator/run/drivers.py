"""Which figures that nobody gave drive a bill, and what share of it moves with each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, get_args

from simulator.bill.category import by_hour, of_tokens
from simulator.bill.rented import committed_category
from simulator.bill.study import study_usd_per_month, with_commitments_of
from simulator.bill.sums import mean
from simulator.catalog.costs import cost_words
from simulator.catalog.gpus import gpu
from simulator.catalog.offers import offer_name
from simulator.catalog.sites import site
from simulator.catalog.tokens import ServiceTier
from simulator.resolve.figures import Figures
from simulator.resolve.offers import named_term, own_price
from simulator.resolve.terms import ResolvedTerms, spelled_terms
from simulator.resolve.topology import PlannedTopology
from simulator.schema.pool import Pool
from simulator.simulate.priced import Priced
from simulator.study.bill import Line
from simulator.study.figure import Figure
from simulator.study.terms import Terms

_STEP = 0.01
_IN_STEPS = ("onprem.spare_fraction", ".billing_minimum", ".billing_granularity")
"""How figures end that are rounded to whole servers or steps of time: a hundredth more of them moves nothing."""
_TIERS = {by_hour(billing): billing for billing in ("on_demand", "spot", "capacity_block")}
_LEAST_SHARE = 0.01
"""Of the bill; what moves less of it is not told one by one."""


def drivers(planned: PlannedTopology, prices: ResolvedTerms, priced: Priced) -> list[dict[str, Any]]:
    """Defaults and estimates of the catalog behind a topology's bill, the widest share first.

    The share of a figure is the elasticity of the month's bill to it, (C(1.01 x) - C(x)) / (0.01 C(x)). Where a line is
    proportional to the figure, that is the line's share of the bill; below 0 it lowers the bill, as a longer life. What
    is rounded to whole servers or steps of time has the share that is gone without it, (C(x) - C(0)) / C(x). A
    catalog's price of an offer has the share of the lines that are paid by it, and, where that is sold in instances of
    several prices per GPU, the lowest and the highest that is paid.

    Returns
    -------
    rows : `figure`, `value`, `unit`, `kind` (sourced, derived, estimate), `share`, and `up_to` where several values are
        paid; none for a bill of 0
    """
    usd = priced.usd_per_month
    if not usd:
        return []
    rows = []
    for figure in prices.figures:
        if figure.kind == "given" or figure.id in prices.offers:
            continue
        step = -1.0 if figure.id.endswith(_IN_STEPS) else _STEP
        moved = _usd(planned, prices, priced, {figure.id: figure.value * (1 + step)})
        share = (moved / usd - 1) / step
        rows.append(_row(figure, share))
    rows += _offers(planned, prices, priced, usd)
    return sorted(rows, key=lambda row: (-abs(row["share"]), row["figure"]))


def _offers(planned: PlannedTopology, prices: ResolvedTerms, priced: Priced, usd: float) -> list[dict[str, Any]]:
    """Prices of the catalog's offers, of GPUs and of tokens."""
    noted = {figure.id for figure in prices.figures}
    pools = {pool.name: pool for pool in planned.settings.pools}
    offers = {one.name: one.offer for one in planned.settings.providers if one.offer and not one.prices}
    terms_sold = _terms_sold(priced.terms)
    paid: dict[str, list[float]] = {}
    for line in priced.bill.lines:
        if line.owner in pools:
            pool = pools[line.owner]
            tier = terms_sold.get((line.owner, line.category)) or _TIERS.get(line.category, "")
            by_catalog = tier not in _own_tiers(pool)
            names = [offer_name(site(pool.site).name, gpu(pool.gpu).name, tier)] if by_catalog else []
        else:
            names = _token_prices(offers.get(line.owner, ""), line)
        name = next((one for one in names if one in noted), None)
        if name is not None:
            paid.setdefault(name, []).append(mean(line.usd))
    told: dict[str, dict[str, Any]] = {}
    for figure in prices.figures:
        if figure.kind == "given" or figure.id not in paid:
            continue
        row = told.setdefault(figure.id, _row(figure, math.fsum(paid[figure.id]) / usd))
        row |= {"up_to": figure.value} if figure.value > row["value"] else {}
    return list(told.values())


def _row(figure: Figure, share: float) -> dict[str, Any]:
    return {"figure": figure.id, "value": figure.value, "unit": figure.unit, "kind": figure.kind, "share": share}


def _own_tiers(pool: Pool) -> set[str | None]:
    """Tiers for which the scenario gives the price that the pool pays."""
    listed = pool.commitments if isinstance(pool.commitments, tuple) else ()
    own = {named_term(one.term_months) for one in listed if one.price_usd_per_gpu_hour is not None}
    return own if own_price(pool) is None else own | {*_TIERS.values(), pool.billing}


def _terms_sold(terms: Terms) -> dict[tuple[str, str], str | None]:
    """Tier of the catalog that each commitment of a bill is, by pool and category of its lines."""
    return {
        (offer.pool, committed_category(offer, i)): named_term(one.term_months)
        for first in terms.rented
        for offer in (first, *first.later)
        for i, one in enumerate(offer.commitments)
    }


def _token_prices(offer: str, line: Line) -> list[str]:
    """Prices of a catalog's offer that a line of tokens may be paid by: the first that it has is the one.

    What a service tier does not state costs what it costs without a tier, and where that has no price, either, what
    input costs.
    """
    tier = next((tier for tier in ("", *get_args(ServiceTier)) if line.category == of_tokens(tier)), None)
    if not offer or tier is None:
        return []
    kinds, lists = (line.part.replace(" ", "_"), "input"), (f"{tier}.", "") if tier else ("",)
    return [f"{offer}.{prices}{kind}" for kind in kinds for prices in lists]


def _usd(planned: PlannedTopology, prices: ResolvedTerms, priced: Priced, values: Mapping[str, float]) -> float:
    overrides = planned.loaded.scenario.cost.overrides
    terms = spelled_terms(prices.spells, Figures(overrides, values, planned.loaded))
    return mean(study_usd_per_month(with_commitments_of(terms, priced.terms), priced.months))


def _values(row: Mapping[str, Any]) -> str:
    return f"{row['value']:,g} to {row['up_to']:,g}" if "up_to" in row else f"{row['value']:,g}"


def driver_words(rows: list[dict[str, Any]]) -> list[str]:
    """What is said of them: those that matter with their share, the estimates among the rest by name."""
    found = []
    telling = [row for row in rows if abs(row["share"]) >= _LEAST_SHARE]
    if telling:
        parts = ", ".join(
            f"{cost_words(row['figure'])} = {_values(row)} {row['unit']}"
            f"{' (estimate)' if row['kind'] == 'estimate' else ''} {row['share']:.0%}"
            for row in telling
        )
        found.append(f"defaults behind the bill, and the share of it that moves with each: {parts}")
    rest = [row for row in rows if row["kind"] == "estimate" and row not in telling]
    little = [f"{cost_words(row['figure'])} {row['share']:.2%}" for row in rest if row["share"]]
    nothing = [cost_words(row["figure"]) for row in rest if not row["share"]]
    if little:
        found.append(f"estimates that move less than {_LEAST_SHARE:.0%} of the bill: {', '.join(little)}")
    if nothing:
        found.append(f"estimates that move nothing of the bill: {', '.join(nothing)}")
    return found
