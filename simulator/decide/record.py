"""A decision as plain data: what a bundle keeps, and what views read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from simulator.decide.budget import Affordable
from simulator.decide.costed import Costed, months
from simulator.study.decision import BreakEven, Capacity, Verdict

Json = dict[str, object]


def record(
    found: Sequence[Costed],
    verdict: Verdict,
    pairs: Sequence[BreakEven],
    capacities: Mapping[str, Json] | None = None,
    left_out: Sequence[str] = (),
    bought: Sequence[Affordable] = (),
) -> Json:
    """`decision.json`: the verdict, and for each topology its months, break-evens and why it is not the answer.

    Parameters
    ----------
    left_out : what time kept from being asked, in words
    bought : what a budget buys; told only where there is one
    """
    bindings = {one.topology: one for one in verdict.bindings}
    known = capacities or {}
    return {
        "verdict": verdict.text,
        "winners": list(verdict.ranking.winners),
        "order": list(verdict.ranking.order),
        "missing": list(verdict.ranking.missing),
        "withheld_by": list(verdict.ranking.withheld_by),
        "same": dict(verdict.ranking.same),
        "margin_usd": verdict.margin_usd,
        "margin_share_of_draws": verdict.margin_share_of_draws,
        "flips": [asdict(flip) for flip in verdict.flips],
        "time_ended": list(left_out),
        **({"budget": [asdict(one) for one in bought]} if bought else {}),
        "topologies": {
            one.name: {
                "meets": None if one.unmeasured else one.meets,
                "usd_per_month": one.usd_per_month,
                "usd_by_replication": list(one.usd_by_replication),
                "lasts_until": one.lasts_until,
                "fleet": one.fleet,
                "trail": asdict(one.trail),
                "binding": asdict(bindings[one.name]) if one.name in bindings else None,
                "break_even": [_pair(pair) for pair in pairs if pair.topology == one.name],
                "capacity": known.get(one.name),
                "months": [asdict(month) for month in months(one)],
            }
            for one in found
        },
    }


def _pair(pair: BreakEven) -> Json:
    found = asdict(pair)
    del found["topology"]
    return found


def capacity_row(found: Capacity) -> Json:
    """Between which loads a fleet's capacity lies, and the share of it that is used."""
    return asdict(found) | {"used_share_low": found.used_share_low, "used_share_high": found.used_share_high}
