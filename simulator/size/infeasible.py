"""Why no size of a topology meets the service levels: what its misses come from, as trials without it tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from simulator.metrics.accumulate import MetricAccumulator
from simulator.resolve.sizes import Fixed
from simulator.simulate.one import Subject
from simulator.simulate.refusal import try_fleet
from simulator.simulate.store import Store
from simulator.simulate.stored import stored_outcome
from simulator.size.found import Search
from simulator.size.limited import is_full
from simulator.size.reasons import (
    beyond_those_turned_away,
    empty_engine_misses,
    missed_at_vendors,
    shortfall,
    turned_away,
)
from simulator.size.trials import Trials, Tried
from simulator.study.decision import NOT_FINISHED
from simulator.study.fleet import ColdStart, Outages, PoolSpec

_ENDLESS = 1e30
Terms = dict[tuple[str, str], int]
"""Misses by class and term."""


@dataclass(frozen=True, slots=True)
class _Cause:
    """One thing that the replicas which are looked at do not mend.

    Attributes
    ----------
    acts : whether a pool brings it about
    without : any pool of a fleet that has it, without it
    is_mended : whether more replicas of these pools might mend it, as they stand in for those that are lost
    """

    name: str
    acts: Callable[[PoolSpec], bool]
    without: Callable[[PoolSpec], PoolSpec]
    is_mended: Callable[[Sequence[PoolSpec]], bool] = lambda pools: False


def _always(pools: Sequence[PoolSpec]) -> bool:
    return True


def _are_left_some(pools: Sequence[PoolSpec]) -> bool:
    """Whether a reclaim may leave replicas: those of another zone, or of its own where it does not take all at once."""
    spots = [pool.reliability for pool in pools]
    taken = all(one.reclaim_mtbf_s > 0 and one.reclaim_correlation == 1 for one in spots)
    return not taken or len({(pool.site, pool.zone) for pool in pools}) > 1


def _from_the_start(pool: PoolSpec) -> PoolSpec:
    most = pool.autoscaler.max_replicas if pool.autoscaler else pool.replicas
    return replace(pool, replicas=most, autoscaler=None)


_SCALER = _Cause("autoscaler", lambda pool: pool.autoscaler is not None, _from_the_start)
_CLASSIFIER = _Cause("classifier", lambda pool: False, lambda pool: pool)
"""Of the fleet's routing, not of a pool."""
_CAUSES = (
    _Cause("network", lambda pool: pool.network_s > 0, lambda pool: replace(pool, network_s=0.0)),
    _Cause(
        "stock-outs",
        lambda pool: bool(pool.reliability.unavailable_probability or pool.reliability.stock_outs),
        lambda pool: replace(pool, reliability=replace(pool.reliability, unavailable_probability=0.0, stock_outs=())),
        _always,
    ),
    _Cause(
        "outages",
        lambda pool: bool(pool.outages.mtbf_s or pool.outages.windows),
        lambda pool: replace(pool, outages=Outages()),
    ),
    _Cause(
        "spot reclaims",
        lambda pool: pool.reliability.reclaim_mtbf_s > 0,
        lambda pool: replace(pool, reliability=replace(pool.reliability, reclaim_mtbf_s=0.0)),
        _are_left_some,
    ),
    _Cause(
        "failures",
        lambda pool: bool(pool.reliability.mtbf_s or pool.reliability.known),
        lambda pool: replace(pool, reliability=replace(pool.reliability, mtbf_s=0.0, known=())),
        _always,
    ),
    _Cause(
        "link",
        lambda pool: pool.hands_to is not None,
        lambda pool: replace(pool, kv_transfer=replace(pool.kv_transfer, bytes_per_s=_ENDLESS, latency_s=0.0)),
    ),
    _SCALER,
    _Cause(
        "cold start",
        lambda pool: pool.cold_start.total_s > 0 and pool.autoscaler is not None,
        lambda pool: replace(pool, cold_start=ColdStart()),
    ),
)
"""In the order in which it is tried whether the service levels hold with it, all others apart: what tells more last."""


def why_infeasible(trials: Trials, found: Search) -> str:
    """What no size mends, in words, as `judged` has them."""
    return judged(trials, found)[1]


def judged(trials: Trials, found: Search) -> tuple[Search, str]:
    """What no size mends: data that may go nowhere, clients who leave sooner than any replica could answer, the GPU
    where requests miss on an empty engine, what no target takes, token APIs, and what the largest fleet that was tried
    would meet without.

    Several at once are all named: a miss is put down to the first of these, and what is left to the fewest causes
    without which it is none. Of a search that time ended nothing is known.

    Returns
    -------
    The search, which leaves nothing open where more replicas than it looks at would miss as well, or where no number
    of them is known to cost more than the fewest, so that looking at more would end nothing; and the words.
    """
    if not found.is_finished:
        return found, NOT_FINISHED
    closed = replace(found, least_usd=None)
    if trials.hopeless:
        return closed, trials.hopeless
    refused = [tried for tried in found.trail if tried.refutation is not None]
    if not refused:
        return found, next((tried.reason for tried in found.trail), "no size was tried")
    case = _Case(trials, max(refused, key=lambda tried: sum(size.most for size in tried.point)))
    told, left = case.whatever_the_size()
    if told and not left:
        return closed, "; ".join(told)
    causes = case.causes(left if told else None)
    rises = found.least_usd is not None and found.least_usd > trials.least_usd()
    might_do = not told and all(cause.is_mended(case.subject.fleet.pools) for cause in causes)
    words = case.words(causes, left, bool(told)) if causes else case.generic(left if told else None)
    limit = _limit(trials, case.tried, found) if might_do else ""
    return found if rises and might_do else closed, "; ".join([*told, words + limit])


@dataclass(frozen=True, slots=True)
class _Case:
    """The largest fleet that was refused."""

    trials: Trials
    tried: Tried

    @property
    def subject(self) -> Subject:
        return self.trials.sized(self.tried.point).subject

    @property
    def absent(self) -> frozenset[int]:
        return frozenset.intersection(*(one.demand.absent for one in self.trials.periods))

    def whatever_the_size(self) -> tuple[list[str], Terms]:
        """What is known without another trial, and the misses that it leaves.

        Where requests of every class miss a limit on an empty engine, without a prefix cache, nothing more is asked.
        """
        trials, fleet = self.trials, self.subject.fleet
        planned, names = trials.sized(self.tried.point).planned, [slo.name for slo in trials.demand.classes]
        present = {name for k, name in enumerate(names) if k not in self.absent}
        finds = any(pool.engine.enable_prefix_caching for pool in fleet.pools)
        empty = {} if finds else empty_engine_misses(trials.loaded, planned, self.absent)
        if present <= {name for name, _ in empty}:
            return [_gpu(empty)], {}
        metrics = _merged(trials, self.tried)
        if finds:
            cached = bool(metrics.total.cached_tokens)
            empty = empty_engine_misses(trials.loaded, planned, self.absent, cached=cached)
        told = [_gpu(empty)] if empty else []
        told += filter(None, [turned_away(metrics, fleet), missed_at_vendors(metrics, fleet, self.absent)])
        if not told:
            return [], {}
        at_vendors = {
            name for name, cls in zip(names, fleet.classes, strict=True) if not any(cls.allowed[: len(fleet.pools)])
        }
        left = self.misses(self.subject, trials.store)
        return told, {key: n for key, n in left.items() if key not in empty and key[0] not in at_vendors}

    def misses(self, subject: Subject, store: Store) -> Terms:
        """Of all periods, by term that is missed, whoever is turned away whatever the size apart."""
        found: Counter[tuple[str, str]] = Counter()
        for one in self.trials.periods:
            runs = [stored_outcome(subject, one.demand, k, store) for k in range(one.demand.replications)]
            found.update(
                beyond_those_turned_away(MetricAccumulator.of([run.metrics for run in runs]), one.demand.absent)
            )
        return dict(found)

    def causes(self, left: Terms | None) -> list[_Cause]:
        """The fewest of which a fleet without them meets the SLO, or what is left of it; none if it does without none.

        Parameters
        ----------
        left : the terms that are asked for; None for all of them
        """
        pools = self.subject.fleet.pools
        acting = [_CLASSIFIER] if self.subject.fleet.routing.classify_s else []
        acting += [cause for cause in _CAUSES if any(map(cause.acts, pools))]
        if not acting or not self.meets(acting, left):
            return []
        for cause in [*acting] if len(acting) > 1 else []:
            fewer = [one for one in acting if one is not cause]
            if fewer and self.meets(fewer, left):
                acting = fewer
        return acting[::-1]

    def meets(self, causes: Sequence[_Cause], left: Terms | None) -> bool:
        """Whether the fleet without these causes meets what is asked for."""
        subject = _without(self.subject, causes)
        if left is None:
            return all(try_fleet(subject, one.demand).refutation is None for one in self.trials.periods)
        return not left.keys() & self.misses(subject, Store()).keys()

    def words(self, causes: Sequence[_Cause], left: Terms, further: bool) -> str:
        """The causes, and what share of the misses each of several has alone.

        Parameters
        ----------
        further : others have been told, so that the fleet without these meets what they leave
        """
        names, fleet = [cause.name for cause in causes], _at_most(self.tried) if _SCALER in causes else self.tried
        does = f"{fleet} {_replicas(fleet)} would do"
        if further:
            does += f" for {', '.join(f'{name}: {term}' for name, term in left)}"
        if len(causes) == 1:
            return f"{names[0]}: without it {does}{'' if further else f'; {self.tried.reason}'}"
        before = left or self.misses(self.subject, self.trials.store)
        ended = [1 - self._of(before, self.misses(_without(self.subject, [one]), Store())) for one in causes]
        alone = ", ".join(
            f"without the {name} alone {share:.0%} of the misses end" for name, share in zip(names, ended, strict=True)
        )
        those = "both" if len(names) == 2 else "all of them"
        return f"{' and '.join(names)}: without {those} {does}; {alone}"

    def _of(self, before: Terms, now: Terms) -> float:
        """Misses of the same terms as a share of those before."""
        return min(sum(now.get(key, 0) for key in before) / max(sum(before.values()), 1), 1.0)

    def generic(self, left: Terms | None) -> str:
        """What is missed by the end of all replications."""
        trials, tried = self.trials, self.tried
        failed = trials.periods[trials.fails_in(tried.point)]
        where = f"in {failed.period.name}: " if len(trials.periods) > 1 else ""
        missed = shortfall(_merged(trials, tried), failed.demand.absent, left) or tried.reason
        if any(pool.is_units for pool in trials.pools):
            named = (f"{pool.name} {size}" for pool, size in zip(trials.pools, tried.point, strict=True))
            return f"with at most {', '.join(named)}: {where}{missed}"
        return f"with at most {tried} {_replicas(tried)}: {where}{missed}" if trials.pools else f"{where}{missed}"


def _without(subject: Subject, causes: Sequence[_Cause]) -> Subject:
    pools, routing = subject.fleet.pools, subject.fleet.routing
    for cause in causes:
        pools = tuple(map(cause.without, pools))
    if _CLASSIFIER in causes:
        routing = replace(routing, classify_s=0.0)
    return replace(subject, fleet=replace(subject.fleet, pools=pools, routing=routing))


def _gpu(empty: Mapping[tuple[str, str], str]) -> str:
    return f"GPU: {'; '.join(empty.values())}"


def _at_most(tried: Tried) -> Tried:
    """With all replicas of autoscalers from the start."""
    return replace(tried, point=tuple(Fixed(size.most, size.instance) for size in tried.point))


def _replicas(tried: Tried) -> str:
    return "replica" if str(tried) == "1" else "replicas"


def _limit(trials: Trials, tried: Tried, found: Search) -> str:
    """That a pool has as many replicas as a search looks at, and how it looks at more; empty where none has."""
    most, points = found.max_replicas, zip(trials.pools, tried.point, strict=True)
    full = [pool.name for pool, size in points if is_full(pool, size, most)]
    return f" ({', '.join(full)} has the most that is searched: {found.bound} {most} may be raised)" if full else ""


def _merged(trials: Trials, tried: Tried) -> MetricAccumulator:
    """All replications, to their end, of the period in which the fleet fails."""
    return MetricAccumulator.of(
        [outcome.metrics for outcome in trials.whole(tried.point, trials.fails_in(tried.point))]
    )
