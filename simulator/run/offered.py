"""Whether what came in the window was answered in it: warnings where more is offered, or the warm-up is too short."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import groupby
from typing import Any

import numpy as np

from simulator.metrics.accumulate import MetricAccumulator
from simulator.resolve.agreed import Spell
from simulator.resolve.topology import PlannedTopology
from simulator.rng import stream
from simulator.run.left_open import spans
from simulator.run.loads import Loads
from simulator.run.months import Journey
from simulator.run.remarks import remarks
from simulator.simulate.capacity import KEPT_UP, kept_up, load_of, load_warnings
from simulator.simulate.demand import Demand
from simulator.study.decision import Walked
from simulator.units import HOURS_PER_MONTH, SECONDS_PER_HOUR
from simulator.workload.lengths import length_sampler
from simulator.workload.spec import Sessions

_LACKING = 0.02
"""Share of the requests of a window that is worth a word."""
_DRAWS = 20_000
"""Numbers of turns that are drawn to know how they spread."""


def offered_warnings(
    topology: PlannedTopology, demand: Demand, told: Mapping[str, Any], metrics: MetricAccumulator
) -> list[dict[str, str]]:
    """What is said of a topology that answered fewer requests than came.

    Parameters
    ----------
    told : its metrics, as a summary holds them
    metrics : the same, of all replications
    """
    hot = remarks("load", hot_replicas(topology, metrics))
    arrived_rps = told["arrived"] / ((demand.horizon_s - demand.warmup_s) * demand.replications)
    if not kept_up(told, arrived_rps) and not metrics.lasts:
        met = bool(told["slo_met"])
        words = load_warnings(load_of(demand.source(0), demand.horizon_s), topology, met)
        words = [f"{word}{_longer(demand)}" if met else word for word in words]
        if words:
            return [*remarks("load", words), *hot]
    begun = [*remarks("load", young_sessions(demand, metrics)), *hot]
    if demand.last_job_s is not None:
        return begun
    slow = short_warm_up(metrics) if topology.fleet.pools else []
    return [*begun, *remarks("basis", [*slow, *young_caches(metrics)])]


def hot_replicas(topology: PlannedTopology, metrics: MetricAccumulator) -> list[str]:
    """Pools of which one replica is at its limit and the others are not, with the routing that makes it so."""
    routing = {pool.name: pool.routing for pool in topology.settings.pools}
    return [
        f"{pool}: {words} (routing: {routing[pool]}): shares of the pool's capacity are of all replicas "
        "together, and more of them do not help this one"
        for pool, words in metrics.hot_replicas.items()
    ]


def _longer(demand: Demand) -> str:
    return f" (a longer run.horizon_s than {demand.horizon_s:g} s shows it)"


def later_offered(journey: Journey, loads: Loads) -> list[dict[str, str]]:
    """A warning of later months that keep the SLO in their window though more is offered than the fleet can serve.

    Of each fleet the heaviest months are asked, as long as that holds of them. What is told of the first month is of
    its metrics; of these it is the tokens that were processed, which lack as much.
    """
    found: dict[int, str] = {}
    for _, months in groupby(journey.months[1:], lambda month: _spell(journey, month.month).first):
        for month in sorted(filter(_meets, months), key=lambda one: -math.fsum(one.level)):
            words = _too_much(month, _spell(journey, month.month).planned, loads)
            if not words:
                break
            found[month.month] = words
    first = min(found, default=None)
    return [] if first is None else remarks("load", [f"{spans(sorted(found))}: {found[first]}"])


def _meets(month: Walked) -> bool:
    return month.meets is True


def _spell(journey: Journey, month: int) -> Spell:
    return max((one for one in journey.spells if one.first <= month), key=lambda one: one.first)


def _too_much(month: Walked, planned: PlannedTopology, loads: Loads) -> str:
    """What is said where a period of a month asks for more than the fleet can serve, and got less; else empty."""
    for period in dict.fromkeys(share.period for share in month.shares):
        demand = loads.at(period.at(month.level))
        offered = load_of(demand.source(0), demand.horizon_s)
        words = load_warnings(offered, planned, met=True)
        if not words or offered is None:
            continue
        if all(share.served.lasts for share in month.shares if share.period == period):
            continue
        each = [share.served.tokens for share in month.shares if share.period == period]
        got = max(math.fsum(one.processed for one in tokens) / len(tokens) for tokens in each)
        if got < KEPT_UP * offered.rate_rps * (offered.isl + offered.osl) * HOURS_PER_MONTH * SECONDS_PER_HOUR:
            return f"{words[0]}{_longer(demand)}"
    return ""


def young_caches(metrics: MetricAccumulator) -> list[str]:
    """A warning where prefix caches, which begin empty, still fill in the window (`Course.fills`)."""
    found = ((slo.name, course.fills) for slo, course in zip(metrics.classes, metrics.courses, strict=True))
    return [
        f"{name}: prefix caches begin empty and still fill: {shares[0]:.0%} of the prompt tokens were found in the "
        f"first quarter of the window, {shares[1]:.0%} in the last; a longer run.warmup_s gives the share of a long use"
        for name, shares in found
        if shares is not None
    ]


def young_sessions(demand: Demand, metrics: MetricAccumulator) -> list[str]:
    """A warning where conversations that begin at time 0 have not brought the turns in the window that are asked for.

    They begin at rate/E[N] for N turns, and nobody is within one at time 0: until a conversation is over, fewer turns
    come than `rate_rps`, and shorter ones. Told from 2 % on, where that is more than two standard deviations of a
    compound Poisson number of turns, √(rate·W·E[N²]/E[N]).
    """
    found = []
    for cls, tally in zip(demand.workload.classes, metrics.by_class, strict=True):
        if not isinstance(cls.arrivals, Sessions):
            continue
        turns = length_sampler(cls.arrivals.turns)(stream(0, "turns of a session"), _DRAWS).astype(np.float64)
        asked = cls.arrivals.rate_rps * (metrics.end_s - metrics.warmup_s) * demand.replications
        lacking = asked - tally.arrived - tally.unsent_turns
        if lacking < _LACKING * asked or lacking < 2.0 * math.sqrt(asked * float((turns**2).mean() / turns.mean())):
            continue
        e2e = tally.sketches["e2e_s"]
        turn_s = cls.arrivals.think_s + (e2e.quantile(0.5) if e2e.n else 0.0)
        whole_s = math.ceil((float(np.quantile(turns, 0.99)) - 1.0) * turn_s)
        words = (
            f"{cls.name}: conversations take up to {whole_s:,} s and the first begin at time 0, so "
            f"{lacking / asked:.0%} of the turns that rate_rps asks for did not come in the window, late ones above "
            "all: the load is too light"
        )
        if whole_s > demand.warmup_s:
            horizon_s = math.ceil(demand.horizon_s - demand.warmup_s + whole_s)
            words += f"; with run.warmup_s={whole_s} and run.horizon_s={horizon_s} it is not"
        found.append(words)
    return found


def short_warm_up(metrics: MetricAccumulator) -> list[str]:
    """A warning where a fleet that begins empty has answered fewer requests in the window than come in it.

    Of answers that take S, E[max(S - warm-up, 0)] a window lack, as the requests that came before time 0 do. Calls of
    token APIs count in the window in which they are made, so only what pools answered can lack.
    """
    times, window_s = metrics.pools_e2e, metrics.end_s - metrics.warmup_s
    if not times.n:
        return []
    up_to_s, share = times.cdf()
    lacking = float(np.maximum(up_to_s - metrics.warmup_s, 0.0) @ np.diff(share, prepend=0.0)) / window_s
    if lacking < _LACKING:
        return []
    longest_s = times.quantile(0.99)
    return [
        f"answers take up to {longest_s:,.3g} s (p99) and the warm-up {metrics.warmup_s:g} s, so about {lacking:.0%} "
        "fewer requests end at the pools in the window than come in it, as nobody came before time 0: rates and "
        f"tokens are too low by so much at most; with run.warmup_s={math.ceil(longest_s)} they are not"
    ]
