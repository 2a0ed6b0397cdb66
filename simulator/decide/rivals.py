"""The cheapest of those that meet every SLO term: said once, for every place that says it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from simulator.metrics.intervals import paired_difference
from simulator.study.decision import Chance, Contender, Ranking

_CENT_USD, _DOLLAR_USD, _SHARE = 0.01, 1.0, 1e-4
"""Bills that differ by less than a cent, or by less than a dollar and this share of them, are printed alike."""
_NORMAL = NormalDist().inv_cdf(0.975)


def rank(contenders: Sequence[Contender]) -> Ranking:
    """Order of the topologies that meet every SLO term, by USD per month; equal bills share a place.

    Two bills are equal where they differ by what is not printed, a cent, or a dollar if that is less than a hundredth
    of a percent of them; or by less than the half-width of their 95 % interval: Student's, replication by replication;
    of a single replication that of what chance makes of it (`chance_half_width`).
    """
    same = _same(contenders)
    meeting = sorted((one for one in contenders if one.meets), key=lambda one: one.usd_per_month)
    winners = [one for one in meeting if equal(meeting[0], one)]
    names = {one.name for one in winners}
    best = meeting[0].usd_per_month if meeting else math.inf
    withheld = [
        one.name for one in contenders if one.least_usd is not None and one.name not in names and one.least_usd < best
    ]
    closest = None if meeting or not contenders else _closest(contenders)
    return Ranking(
        order=tuple(one.name for one in meeting),
        winners=tuple(one.name for one in winners),
        same=tuple((name, first) for name, first in same.items() if name in {one.name for one in meeting}),
        missing=tuple(one.name for one in contenders if not one.meets and not one.unmeasured),
        withheld_by=tuple(withheld),
        closest=closest,
    )


def cheapest(contenders: Sequence[Contender]) -> str:
    """The first of the cheapest that meet; where none meets, the one that misses least, then the cheapest of these."""
    found = rank(contenders)
    if found.order:
        return found.order[0]
    return _closest(contenders)


def _closest(contenders: Sequence[Contender]) -> str:
    """Of those that miss the SLO the one that misses it least, then the cheapest."""
    return min(contenders, key=lambda one: (-one.lasts_until, -one.attainment, one.usd_per_month)).name


def equal(a: Contender, b: Contender) -> bool:
    """Whether two bills are one: the same fleet, equal as they are printed, or as near as chance puts them."""
    if a.fleet and a.fleet == b.fleet:
        return True
    if abs(a.usd_per_month - b.usd_per_month) < _least_usd(np.float64(a.usd_per_month)):
        return True
    if a.chance is not None and b.chance is not None:
        return abs(a.usd_per_month - b.usd_per_month) <= chance_half_width_usd(a.chance, b.chance)
    if len(a.usd_by_replication) < 2 or len(a.usd_by_replication) != len(b.usd_by_replication):
        return False
    mean, half_width = paired_difference(a.usd_by_replication, b.usd_by_replication)
    return abs(mean) <= half_width


def chance_half_width_usd(a: Chance, b: Chance) -> float:
    """Half-width of the 95 % interval of the difference of two bills that rest on one replication of the same requests.

    Other requests would move both, and their difference by what goes with requests in the one more than in the other.
    What goes with requests in both differs by those that only one of them still had in flight at an end of the window.
    Each has the draws of its own routing, or both have the same ones.
    """
    apart = max(a.shared, b.shared) * (a.usd - b.usd) ** 2
    routed = (a.routed * a.usd) ** 2 + (b.routed * b.usd) ** 2
    if a.drawn_by and a.drawn_by == b.drawn_by and len(a.by_draw) == len(b.by_draw):
        parts = zip(a.by_draw, b.by_draw, strict=True)
        routed = math.fsum((ours * a.usd - theirs * b.usd) ** 2 for ours, theirs in parts)
    return _NORMAL * math.sqrt(apart + max(a.at_ends, b.at_ends) * min(a.usd, b.usd) ** 2 + routed)


def cheapest_in(costs_usd: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.bool_]]:
    """For each choice the paired draws in which no other one costs less; equal bills, as in `equal`, both count.

    Parameters
    ----------
    costs_usd : by name, draws that see the same prices in the same position; shape (samples,) each
    """
    if not costs_usd:
        return {}
    least = np.stack(list(costs_usd.values())).min(axis=0)
    return {name: usd - least <= _least_usd(least) for name, usd in costs_usd.items()}


def share_together(found: Mapping[str, NDArray[np.bool_]], names: Collection[str]) -> float:
    """Share of the draws in which one of these is the cheapest; NaN where nothing is known of any of them."""
    known = [found[name] for name in names if name in found]
    return float(np.any(known, axis=0).mean()) if known else math.nan


def _least_usd(usd: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    """Difference below which two bills are printed alike."""
    return np.asarray(np.maximum(_CENT_USD, np.minimum(_DOLLAR_USD, _SHARE * usd)), np.float64)


def least(usd_per_month: Mapping[str, float]) -> frozenset[str]:
    """Names of the cheapest: all whose bills are printed alike; empty for none."""
    if not usd_per_month:
        return frozenset()
    lowest = min(usd_per_month.values())
    margin = float(_least_usd(np.float64(lowest)))
    return frozenset(name for name, usd in usd_per_month.items() if usd - lowest < margin)


def _same(contenders: Sequence[Contender]) -> dict[str, str]:
    first: dict[str, str] = {}
    found: dict[str, str] = {}
    for one in contenders:
        if one.fleet and first.setdefault(one.fleet, one.name) != one.name:
            found[one.name] = first[one.fleet]
    return found
