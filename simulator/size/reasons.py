"""Why a fleet does not meet the service levels, however large."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.fleet.records import Reason, Status
from simulator.fleet.single import run_apart
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.parts import reason_words
from simulator.metrics.sketch import rank
from simulator.metrics.slo import SHARES, SloTerm, late_words, latencies, share_words
from simulator.metrics.tally import Tally
from simulator.resolve.admissible import most_tokens
from simulator.resolve.demand import request_source
from simulator.resolve.topology import PlannedTopology
from simulator.scenario.load import LoadedScenario
from simulator.simulate.demand import class_slos
from simulator.study.fleet import FleetSpec
from simulator.workload.requests import Requests, make_requests

SAMPLE = 200
"""Requests of each class that are sent to an empty engine."""
_MANY = 2000
"""The same where what is said has to hold of all of them."""
_HELD_S = 0.1
"""Wait for a rate limit that is worth a word where calls are lost."""
_WHATEVER_THE_SIZE = (Reason.TOO_LONG, Reason.DATA_CLASS, Reason.NO_TARGET)
"""Why requests are rejected at the gateway: none of it goes by how many replicas there are."""


def missed_at_any_load(planned: PlannedTopology, metrics: MetricAccumulator, absent: Collection[int] = ()) -> str:
    """Why a topology misses the SLO however little comes: its requests miss a limit alone, or are turned away.

    With hits in a prefix cache they may be quicker than alone on an empty engine: then that is not asked.
    """
    cached = bool(metrics.total.cached_tokens)
    empty = {} if cached else empty_engine_misses(planned.loaded, planned, absent, _MANY)
    return "; ".join(empty.values()) or turned_away(metrics, planned.fleet)


def empty_engine_misses(
    loaded: LoadedScenario,
    planned: PlannedTopology,
    absent: Collection[int] = (),
    most: int = SAMPLE,
    cached: bool = False,
) -> dict[tuple[str, str], str]:
    """SLO terms that requests miss even one at a time, on the engine of any pool that may serve them, in words.

    The first requests of each class have a replica to themselves, one after another, with nothing in its prefix cache.
    Classes that a token API may serve are left out.

    Parameters
    ----------
    absent : classes of which nobody comes
    most : requests of each class
    cached : prompts were found in a prefix cache: all of one but a token may be there, but for the time per token

    Returns
    -------
    By class and term
    """
    sample = _sample(loaded)
    found: dict[tuple[str, str], str] = {}
    n_pools = len(planned.fleet.pools)
    for number, (slo, cls) in enumerate(zip(class_slos(loaded), planned.fleet.classes, strict=True)):
        rows = np.flatnonzero(sample.class_id == number)[:most]
        engines = [engine for engine, allowed in zip(planned.engines, cls.allowed, strict=False) if allowed]
        if number in absent or not len(rows) or not engines or any(cls.allowed[n_pools:]) or not slo.terms:
            continue
        osl, reads = sample.osl[rows], {True: sample.isl[rows], False: np.minimum(sample.isl[rows], 1)}
        runs = {
            is_whole: [run_apart(engine.config, engine.step_time, reads[is_whole], osl) for engine in engines]
            for is_whole in {_reads_all(term, cached) for term in slo.terms}
        }
        for term in slo.terms:
            values = [_missed(records, term) for records in runs[_reads_all(term, cached)]]
            if all(value is not None for value in values):
                best = min(value for value in values if value is not None)
                what = f"{term.metric.removesuffix('_s')} p{term.quantile * 100:g}"
                words = f"{slo.name}: {what} of an empty engine is {best:.3g} s, the limit {term.limit_s:g} s"
                found[slo.name, str(term)] = words
    return found


def _reads_all(term: SloTerm, cached: bool) -> bool:
    """Whether the prompts of a term are read whole: those of times per token always are."""
    return not cached or term.metric == "tpot_s"


def _missed(records: NDArray[np.void], term: SloTerm) -> float | None:
    """The term's percentile where it is above the limit and requests were completed; an undefined TPOT counts as 0."""
    values = latencies(records)[term.metric]
    completed = records["status"] == Status.COMPLETED
    ordered = np.sort(np.where(completed, np.nan_to_num(values), np.inf))
    value = float(ordered[rank(term.quantile, len(records)) - 1])
    return value if term.limit_s < value < np.inf else None


def _sample(loaded: LoadedScenario) -> Requests:
    """Lengths and classes of the first requests of the first replication."""
    source = request_source(loaded)
    pieces = [*(loop.rows for loop in source.closed_loops), *_first(source.chunks())]
    isl, osl, class_id = (
        np.concatenate([np.zeros(0, np.int32), *(getattr(piece, name) for piece in pieces)])
        for name in ("isl", "osl", "class_id")
    )
    return make_requests(np.zeros(len(isl)), isl, osl, class_id=class_id)


def _first(chunks: Iterator[Requests]) -> Iterator[Requests]:
    chunk = next(chunks, None)
    if chunk is not None:
        yield chunk


def turned_away(metrics: MetricAccumulator, fleet: FleetSpec) -> str:
    """What is rejected before it reaches any queue, so whatever the size; empty where every term can bear that.

    A request that is rejected counts as missed in each term of its class. Where some are too long, what each target
    takes is told too.
    """
    at_gateway = _at_the_gateway(metrics)
    found = [
        f"{slo.name}: {sum(turned.values()):,} of {tally.arrived:,} requests rejected"
        f"{reason_words({reason.name.lower(): count for reason, count in turned.items()}, sum(turned.values()))}"
        for slo, tally, turned in zip(metrics.classes, metrics.by_class, at_gateway, strict=True)
        if turned
    ]
    whys = {reason for turned in at_gateway for reason in turned}
    if not found:
        return ""
    head = "routing" if Reason.TOO_LONG not in whys else "length" if len(whys) == 1 else "length and routing"
    takes = [takes_words(fleet)] if Reason.TOO_LONG in whys else []
    return f"{head}: {'; '.join([*found, *takes])}"


def held_up(metrics: MetricAccumulator, k: int, missed: Mapping[str, Any], again: bool = False) -> str:
    """How long calls of token APIs wait before the one that is answered, where that is a tenth of the limit missed.

    They wait for limits by the minute, or to be made again after errors, outages and 429 answers. Empty where pools
    answer too: their requests wait for steps.

    Parameters
    ----------
    k : number of the class
    missed : row of its term (`term_rows`)
    again : calls of the class were made again, or ended in errors or outages
    """
    waits = metrics.by_class[k].sketches["queue_s"]
    if metrics.n_pools or missed["met"] is not False or missed["metric"] == "tpot_s" or not waits.n:
        return ""
    wait_s = waits.quantile(min(missed["required"], 0.99))
    if wait_s <= (_HELD_S if missed["metric"] in SHARES else missed["limit"] / 10):
        return ""
    limited = not again or bool(metrics.by_class[k].reasons[:, Reason.RATE_LIMIT].any())
    why = " or ".join(
        ["for the rate limits of the token API"] * limited
        + ["to be made again after errors, outages and 429 answers"] * again
    )
    return f"calls wait up to {wait_s:.3g} s {why}"


def lost(metrics: MetricAccumulator, k: int, missed: Mapping[str, Any]) -> str:
    """How the requests of a class that were not served ended, and why, the most first.

    Empty for a term that the lost ones alone would not break, although they count as missed in each.

    Parameters
    ----------
    k : number of the class
    missed : row of its term (`term_rows`)
    """
    tally = metrics.by_class[k]
    statuses = [status for status in Status if status != Status.COMPLETED and tally.statuses[status]]
    served = tally.arrived - sum(int(tally.statuses[status]) for status in statuses)
    if missed["met"] is not False or missed["metric"] == "begun" or served >= rank(missed["required"], tally.arrived):
        return ""
    reasons = tally.why_lost()
    found: list[str] = []
    for status in sorted(statuses, key=lambda status: -int(tally.statuses[status])):
        name = status.name.lower()
        of = "" if found else f" of {tally.arrived:,} requests"
        words = reason_words(reasons.get(name, {}), int(tally.statuses[status]))
        found.append(f"{int(tally.statuses[status]):,}{of} {name.replace('_', ' ')}{words}")
    return ", ".join(found)


def beyond_those_turned_away(metrics: MetricAccumulator, absent: Collection[int] = ()) -> dict[tuple[str, str], int]:
    """Misses of each term that would be missed if all who are turned away whatever the size kept it, by class and term.

    Parameters
    ----------
    absent : classes of which nobody comes
    """
    turned = {
        slo.name: sum(int(tally.reasons[:, reason].sum()) for reason in _WHATEVER_THE_SIZE)
        for slo, tally in zip(metrics.classes, metrics.by_class, strict=True)
    }
    found = {}
    for row in metrics.terms(absent=absent):
        if row["met"] is False:
            of = row["of"]
            misses = of - round(row["share"] * of) - turned[row["class"]] * (row["metric"] != "begun")
            if misses > of - rank(row["required"], of):
                found[row["class"], row["term"]] = misses
    return found


def _at_the_gateway(metrics: MetricAccumulator) -> list[dict[Reason, int]]:
    """By class the requests rejected there, by reason, where some term cannot bear that; else none."""
    found = []
    for slo, tally in zip(metrics.classes, metrics.by_class, strict=True):
        turned = {reason: int(tally.reasons[:, reason].sum()) for reason in _WHATEVER_THE_SIZE}
        breaks = tally.arrived - sum(turned.values()) < rank(max(slo.shares), tally.arrived)
        found.append({reason: count for reason, count in turned.items() if count and breaks})
    return found


def takes_words(fleet: FleetSpec) -> str:
    """How many tokens of a request each target takes, and what bounds them."""
    parts = []
    for k, pool in enumerate(fleet.pools):
        tokens = most_tokens(fleet, k)
        bound = "max_model_len" if tokens == pool.engine.max_model_len else "its KV cache"
        parts.append(f"{pool.name} at most {tokens:,.0f} ({bound})")
    for api in fleet.providers:
        if api.max_context_tokens:
            parts.append(f"{api.name} at most {api.max_context_tokens:,} (max_context_tokens)")
    return f"of prompt and answer together, in tokens, {', '.join(parts)}"


def missed_at_vendors(metrics: MetricAccumulator, fleet: FleetSpec, absent: Collection[int] = ()) -> str:
    """Terms missed by classes that token APIs alone may serve, so whatever the size of pools; empty without any.

    Parameters
    ----------
    absent : classes of which nobody comes
    """
    found, terms = [], metrics.terms(absent=absent)
    for slo, tally, cls in zip(metrics.classes, metrics.by_class, fleet.classes, strict=True):
        missed = [_miss(row) for row in terms if row["met"] is False and row["class"] == slo.name]
        if missed and not any(cls.allowed[: len(fleet.pools)]):
            found += [*missed, *_ended(tally)]
    return f"token API: {'; '.join(found)}" if found else ""


def shortfall(
    metrics: MetricAccumulator, absent: Collection[int] = (), among: Collection[tuple[str, str]] | None = None
) -> str:
    """SLO terms that a fleet misses, and what became of requests that it did not complete.

    Parameters
    ----------
    absent : classes of which nobody comes; there is nothing of theirs to miss
    among : classes and terms that are told alone, without what became of requests; all of them unless given
    """
    terms = metrics.terms(absent=absent)
    if among is not None:
        return "; ".join(_miss(row) for row in terms if row["met"] is False and (row["class"], row["term"]) in among)
    missed = [_miss(row) for row in terms if row["met"] is False]
    unknown = dict.fromkeys(f"{row['class']}: no request to tell by" for row in terms if row["met"] is None)
    return "; ".join([*missed, *unknown, *_ended(metrics.total)])


def _ended(tally: Tally) -> list[str]:
    """What became of requests that were not completed, and why."""
    reasons = tally.why_lost()
    return [
        f"{int(tally.statuses[status]):,} of {int(tally.arrived):,} requests {status.name.lower().replace('_', ' ')}"
        f"{reason_words(reasons.get(status.name.lower(), {}), int(tally.statuses[status]))}"
        for status in (Status.REJECTED, Status.FAILED, Status.TIMED_OUT, Status.UNFINISHED)
        if tally.statuses[status]
    ]


def _miss(row: Mapping[str, Any]) -> str:
    words = late_words(row) if row["metric"] == "begun" else f"{row['term']} holds for {share_words(row['share'], 1)}"
    return f"{row['class']}: {words}"
