"""Warnings of a run, told apart by what they are about."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from simulator.decide.why import listed, unlike
from simulator.money import sign
from simulator.resolve.apis import sells_tier
from simulator.run.storms import stormed
from simulator.scenario.week import week_days
from simulator.schema.clock import WeekWindow
from simulator.schema.scenario import RunSettings
from simulator.schema.topology import Topology
from simulator.schema.workload import Job, RequestClass
from simulator.study.choices import TargetRouting
from simulator.study.decision import Walked
from simulator.study.fleet import FleetSpec
from simulator.study.usage import Usage
from simulator.units import SECONDS_PER_DAY, SECONDS_PER_WEEK, rough
from simulator.workload.arrivals import schedule_rate
from simulator.workload.replay import trace_rows, trace_span
from simulator.workload.spec import DAYS_PER_WEEK, Profile, Schedule, Trace, WorkloadSpec

Kind = Literal["load", "size", "trust", "basis"]
"""`load`: more was offered than is served, or less than is asked for, so the figures depend on the length of the run.
`size`: how the size was found, or one that would cost less. `trust`: step times that
were not measured, or not for these limits or drafts. `basis`: what else the figures rest on."""

KINDS: tuple[Kind, ...] = get_args(Kind)


_APART = 0.01
_OTHER_TOKENS = 0.02
"""Share of a class's tokens by which windows may differ from the workload that they stand for without a word."""
_EMPTY = 0.02
"""Share of the simulated time after a trace's end that is not worth a word."""


def turns_apart(arrived: Iterable[int]) -> list[str]:
    """A warning where topologies were sent different numbers of requests: sessions and waiting users follow answers."""
    found = unlike(arrived)
    if found is None:
        return []
    return [
        f"topologies were sent {found[0]:,} to {found[1]:,} requests, as sessions and waiting users go on when "
        f"they are answered: compare {sign()} per 1M tokens rather than {sign()} per month"
    ]


def beyond_the_clock(topology: Topology, simulated_s: float) -> list[str]:
    """A warning where windows or schedules decide by the clock, and a month is scaled from a part of their cycle."""
    windows: list[WeekWindow] = list(topology.routing.windows)
    windows += [window for pool in topology.pools for window in pool.schedule]
    if not windows:
        return []
    every_day = all(len(week_days(window.days)) == DAYS_PER_WEEK for window in windows)
    days, cycle = (1, "days") if every_day else (DAYS_PER_WEEK, "weeks")
    if simulated_s % (days * SECONDS_PER_DAY) == 0:
        return []
    return [
        f"windows and schedules go by the clock, but the simulated time is no whole number of {cycle}: the month is "
        "billed and judged as these hours alone, unless study.periods says what others there are"
    ]


def other_tokens(classes: Iterable[RequestClass], kept: Iterable[float]) -> list[str]:
    """A warning where the windows that stand for a workload have more or fewer tokens of a class than all of it.

    Parameters
    ----------
    kept : `Horizon.kept_tokens`
    """
    apart = zip(classes, kept, strict=False)
    found = [f"{share:.0%} of the tokens of {cls.name}" for cls, share in apart if abs(share - 1.0) > _OTHER_TOKENS]
    if not found:
        return []
    return [f"the windows that stand for the workload have {', '.join(found)}: more study.cut.kinds come nearer"]


def jobs_at_standard_prices(topology: Topology, classes: Iterable[RequestClass]) -> list[str]:
    """A warning where a job pays the standard price of a token API that sells batches, too."""
    names = [cls.name for cls in classes if isinstance(cls.arrivals, Job) and cls.service_tier == "standard"]
    sellers = [provider.name for provider in topology.providers if sells_tier(provider, "batch")]
    if not names or not sellers:
        return []
    return [
        f"{', '.join(names)} pays standard prices where {', '.join(sellers)} sells batches at others: "
        "`service_tier: batch` of the class asks for these"
    ]


def waited_for_windows(fleet: FleetSpec, metrics: Mapping[str, Any]) -> list[str]:
    """A warning where requests waited to the end before a pool that has no replica outside its windows."""
    if not metrics["statuses"]["unfinished"]:
        return []
    counts = metrics["targets"]
    return [
        f"{pool.name} has no replica outside the windows of its schedule, and {counts[pool.name]['requests'] - done:,} "
        f"of the {counts[pool.name]['requests']:,} requests that routing sent it had no answer when the simulated time "
        "ended: overflow, or windows of routing, send them elsewhere"
        for pool in fleet.pools
        if pool.schedule is not None and not pool.schedule.least
        if (done := counts[pool.name]["completed"]) < counts[pool.name]["requests"]
    ]


def held_before_the_next(
    fleet: FleetSpec,
    classes: Iterable[RequestClass],
    metrics: Mapping[str, Any],
    usages: Sequence[Usage],
    sized: Collection[str],
) -> list[str]:
    """A warning where rate limits hold calls back beyond their SLO before an overflow sends any to the next target.

    Of calls that also go on because their target is down or answers 429 it says nothing.

    Parameters
    ----------
    sized : token APIs whose units were searched: none may go on as the number has become so large that none waits
    """
    if fleet.routing.kind is not TargetRouting.OVERFLOW:
        return []
    limits = [
        (seconds, f"{cls.name} has {seconds:g} s for {what}")
        for cls in classes
        for what, levels in (("its first token", cls.slo.ttft_s), ("its answer", cls.slo.e2e_s))
        for seconds in levels.values()
    ]
    tightest_s, words = min(limits, default=(math.inf, ""))
    names = [*(pool.name for pool in fleet.pools), *(api.name for api in fleet.providers)]
    found: list[str] = []
    for place, target in enumerate(fleet.routing.order):
        api = fleet.providers[target - len(fleet.pools)] if target >= len(fleet.pools) else None
        after = [names[other] for other in fleet.routing.order[place + 1 :]]
        if api is None or not any(api.limits_per_minute) or api.max_wait_s <= tightest_s:
            continue
        calm = not stormed(api, usages) and not any(
            usage.providers[target - len(fleet.pools)].down_s for usage in usages
        )
        if after and (api.name in sized or (calm and any(metrics["targets"][name]["requests"] for name in after))):
            found.append(
                f"calls wait up to {api.max_wait_s:g} s for the rate limits of {api.name} before any goes on to "
                f"{' or '.join(after)}, and {words}: a smaller max_wait_s sends them on sooner"
            )
    return found


def part_of_the_week(workload: WorkloadSpec, run: RunSettings) -> list[str]:
    """A warning where load by the hour and day differs between the simulated time and a week, for which it stands."""
    whole = (run.horizon_s - run.warmup_s) % SECONDS_PER_WEEK == 0
    ways = "simulate whole days or weeks, or give study.periods"
    if whole:
        ways = "its holidays and spikes count as those of each week: give them hours of their own in study.periods"
    found: list[str] = []
    for cls in workload.classes:
        if not isinstance(cls.arrivals, Schedule):
            continue
        rate = schedule_rate(cls.arrivals, run.horizon_s)
        lengths_s = np.diff(np.maximum(rate.edges_s, run.warmup_s))
        simulated_rps = float(rate.rps @ lengths_s / lengths_s.sum())
        week = np.outer(cls.arrivals.weekly or (1.0,), cls.arrivals.hourly or (1.0,))
        week_rps = cls.arrivals.rate_rps * float(week.mean())
        if abs(simulated_rps - week_rps) > _APART * max(simulated_rps, week_rps):
            found.append(
                f"a month of {cls.name} is scaled from {rough(simulated_rps)} requests/s in the simulated time; the "
                f"mean of its week is {rough(week_rps)}: {ways}"
            )
    return found


def beyond_the_trace(workload: WorkloadSpec, horizon_s: float) -> list[str]:
    """A warning where a trace ends well before the simulated time, which is paid for, or goes on after it."""
    found: list[str] = []
    for cls in workload.classes:
        if not isinstance(cls.arrivals, Trace) or cls.arrivals.loop:
            continue
        rows, inside, end_s = _trace_span(cls.arrivals, cls.name, horizon_s)
        simulated = f"{horizon_s:,g} s simulated"
        if end_s < (1 - _EMPTY) * horizon_s:
            found.append(
                f"the trace of {cls.name} ends at {end_s:,.4g} s, {end_s / horizon_s:.2%} of the {simulated}: the rest "
                "is empty, and is paid for in the month; loop the trace or shorten run.horizon_s"
            )
        if inside < rows:
            found.append(
                f"{rows - inside:,} of {rows:,} rows of the trace of {cls.name} come after the {simulated} and are "
                f"left out; it ends at {end_s:,.4g} s"
            )
    return found


def _trace_span(trace: Trace, name: str, horizon_s: float) -> tuple[int, int, float]:
    """Rows of a class, those before the horizon, and when it ends: the last arrival and one mean gap."""
    span, inside = trace_span(trace, name, horizon_s), trace_rows(trace, name, horizon_s=horizon_s)
    return span.rows, len(inside), (span.last_s + span.gap_s) / trace.rate_scale


def remarks(kind: Kind, texts: Iterable[str]) -> list[dict[str, str]]:
    """Warnings as a summary holds them: `kind` and `text`."""
    return [{"kind": kind, "text": text} for text in texts]


def unsent_turns(metrics: Mapping[str, Any]) -> list[str]:
    """A warning where sessions broke before their last turn."""
    count = metrics["unsent_turns"]
    return [f"{count} later turns of broken sessions were never sent; they count as not served"] if count else []


def replaced_lengths(workload: WorkloadSpec) -> list[str]:
    """A note on each class whose own lengths stand instead of those of its trace or profile."""
    found = []
    for cls in workload.classes:
        if isinstance(cls.arrivals, Trace | Profile) and not (cls.isl is None and cls.osl is None):
            source = "trace" if isinstance(cls.arrivals, Trace) else "profile"
            found.append(f"the lengths of {cls.name} are those of the class: they replace those of its {source}")
    return found


def never_asked(topology: Topology, walked: Sequence[Walked]) -> list[str]:
    """A remark where token APIs beside pools are sent no request in any month, so that the pools are all there is."""
    usages = [usage for month in walked for share in month.shares for usage in share.served.usages]
    if not topology.pools or not usages:
        return []
    asked = {
        one.name for usage in usages for one in usage.providers if one.requests or one.failed or one.failed_calls.any()
    }
    idle = [one.name for one in topology.providers if one.name not in asked]
    return [f"no request goes to {listed(idle)} in any month: the pools serve all"] if idle else []
