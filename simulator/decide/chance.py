"""How far chance moves the bill of a single replication, from what came and went in its window."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from simulator.bill.category import MINIMUM_SPEND
from simulator.bill.parts import GPU_HOURS, REQUESTS
from simulator.bill.sums import mean
from simulator.bill.taxes import with_taxes
from simulator.bill.use import Use, study_uses
from simulator.bill.volume import mean_factor, next_factor
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.demand import Demand
from simulator.metrics.parts import PARTS
from simulator.metrics.tally import BY_TARGET, Tally
from simulator.simulate.priced import Priced, Replication
from simulator.study.bill import Bill, MonthBill, MonthUse
from simulator.study.choices import TargetRouting
from simulator.study.contract import AS_LISTED
from simulator.study.decision import Chance
from simulator.study.fleet import RoutingSpec
from simulator.study.terms import Terms
from simulator.study.usage import Usage

_CONSTANT = 1e-9
_COMPLETED = BY_TARGET.index("completed")
_TARGET_TOKENS = [BY_TARGET.index(f"{name}_tokens") for name in ("input", "output")]
_UNTIL_SENT, _FIRST_ANSWER = PARTS.index("prefill"), PARTS.index("cascade")
_TOKEN_OR_ENERGY_UNITS = ("tokens", REQUESTS, "GB", "kWh", GPU_HOURS)


def chance_of(found: Priced, routing: RoutingSpec) -> Chance | None:
    r"""Chance in the bill of one replication; None of several, which tell it themselves, of jobs, and of no requests.

    The part of the bill that goes with requests is taken to grow with their tokens. N requests in the window, whose
    tokens have the squared coefficient of variation v, tell their sum to a variance of its share of (1 + v)/N where
    they come independently. A class whose number has another index of dispersion I (1 for a Poisson process, 0 at even
    gaps; by the law of its arrivals where that is known) adds (I - 1) s²/n, of its n requests with the share s of all
    tokens. Of n requests as many as are present on average stand at either end of the window, and may be counted or
    not: 2 L/n of them, by Little's law. Calls of a token API count when they are made, so that of a topology without
    pools only those stand there that wait to be sent.

    Parameters
    ----------
    routing : of the fleet, whose draws of a target `by_draw` has
    """
    if len(found.replications) != 1 or found.terms.jobs_per_month:
        return None
    (one,) = found.replications
    tally, window_s = one.metrics.total, one.metrics.end_s - one.metrics.warmup_s
    if not _tokens(tally) or not window_s > 0:
        return None
    varies = _varies(tally)
    requests = _requests(found, one)
    usd = usd_by_owner(found.terms, found.months, found.bill, _usages(found))
    whole = math.fsum(usd.values())
    until_counted_s = tally.parts_s if one.usage.pools else tally.parts_s[:_UNTIL_SENT]
    draws = draws_per_usd(routing, one, requests)
    by_draw = tuple(part / whole if whole else 0.0 for part in by_draw_usd(draws, usd))
    at_ends = min(2.0 * float(until_counted_s.sum()) / window_s / tally.completed, 2.0)
    return Chance(
        usd=whole,
        shared=dispersion_of_tokens(one.metrics, one.demand) / requests,
        at_ends=at_ends * (1.0 + varies) / requests,
        drawn_by=drawn_by(routing),
        by_draw=by_draw,
        draws=tuple(draws.items()),
    )


def drawn_by(routing: RoutingSpec) -> str:
    """What decides by chance which target a request has; empty where nothing does."""
    rule = routing.cascade
    if rule is not None:
        return f"checks {rule.share:g} {rule.max_complexity:g}"
    if len(routing.order) < 2:
        return ""
    if routing.kind is TargetRouting.WEIGHTED:
        return f"weights {' '.join(f'{weight / math.fsum(routing.weights):g}' for weight in routing.weights)}"
    if routing.kind is TargetRouting.COMPLEXITY:
        return f"complexity {' '.join(f'{most:g}' for most in routing.max_complexity)}"
    return ""


def draws_per_usd(routing: RoutingSpec, one: Replication, requests: float) -> dict[str, tuple[float, ...]]:
    r"""What USD 1 a month of a target adds to each part of a month's chance by draws, by the target's name.

    A request of a class that pays :math:`V_k` at target k, to which it goes with the chance :math:`p_k`, adds to the
    variance of n of them :math:`\sum_k p_k (V_k - V)^2 (1 + v)/n` with :math:`V = \sum_k p_k V_k`: a part for each
    target, which is the same draws wherever these chances are. Of a cascade the first answer is no chance: each request
    has one, and with :math:`p_k` a second, a time later of which those at either end of the window may be counted or
    not.

    Parameters
    ----------
    requests : that the month rests on
    """
    if not drawn_by(routing):
        return {}
    names = [pool.name for pool in one.usage.pools] + [provider.name for provider in one.usage.providers]
    order = routing.order if routing.cascade is None else routing.order[1:]
    total, window_s = one.metrics.total, one.metrics.end_s - one.metrics.warmup_s
    tokens = total.by_target[:, _TARGET_TOKENS].sum(axis=1)
    found: dict[str, list[float]] = {names[k]: [] for k in order}
    for tally in one.metrics.by_class:
        done, its = tally.by_target[:, _COMPLETED], tally.by_target[:, _TARGET_TOKENS].sum(axis=1)
        count = int(done.sum())
        share = [float(done[k]) / max(count, 1) for k in order]
        weight = (1.0 + _varies(tally)) * total.completed / (requests * count) if count else 0.0
        ends = 0.0
        if routing.cascade is not None:
            ends = min(2.0 * float(tally.parts_s[_FIRST_ANSWER]) / max(sum(done[list(order)]), 1) / window_s, 2.0)
        for at, k in enumerate(order):
            usd = float(its[k] / tokens[k]) / share[at] if tokens[k] and share[at] else 0.0
            own = [usd if j == at else 0.0 for j in range(len(order))]
            apart = [(p, each - share[at] * usd) for p, each in zip(share, own, strict=True)]
            apart += [(max(1.0 - math.fsum(share), 0.0), -share[at] * usd)]
            apart += [(p * ends, each) for p, each in zip(share, own, strict=True)]
            found[names[k]] += [math.sqrt(weight * p) * each for p, each in apart]
    return {name: tuple(parts) for name, parts in found.items()}


def by_draw_usd(draws: Mapping[str, Sequence[float]], usd: Mapping[str, float]) -> list[float]:
    """Parts of a month's chance by draws, in USD.

    Parameters
    ----------
    draws : as `draws_per_usd` has them
    usd : per month, what goes with requests, by owner
    """
    rows = [[usd.get(name, 0.0) * part for part in parts] for name, parts in draws.items()]
    return [math.fsum(parts) for parts in zip(*rows, strict=True)]


def dispersion_of_tokens(metrics: MetricAccumulator, demand: Demand) -> float:
    """1 + v + N Σ (I - 1) s²/n over the classes; those whose arrivals have no known law count as one."""
    dispersions = demand.dispersions(metrics.warmup_s, metrics.end_s)
    alone = [[k] for k, cv in enumerate(demand.gap_cvs) if cv is not None]
    together = [k for k, cv in enumerate(demand.gap_cvs) if cv is None]
    beyond = 0.0
    for group in [*alone, together]:
        tallies = [metrics.by_class[k] for k in group]
        completed = sum(tally.completed for tally in tallies)
        if completed:
            beyond += (float(dispersions[group[0]]) - 1.0) * sum(map(_tokens, tallies)) ** 2 / completed
    total = metrics.total
    return max(1.0 + _varies(total) + beyond * total.completed / _tokens(total) ** 2, 0.0)


def _varies(tally: Tally) -> float:
    return max(tally.completed * tally.squared_tokens / _tokens(tally) ** 2 - 1.0, 0.0)


def _tokens(tally: Tally) -> int:
    return tally.input_tokens + tally.output_tokens


def _requests(found: Priced, one: Replication) -> float:
    """Requests that the month rests on: of several periods fewer than of all, where one of them has most of the tokens.

    A month's tokens are the sum of those of its periods, each simulated by itself.
    """
    shares = found.walked[0].shares if found.walked else ()
    parts = [
        (share.hours * share.served.tokens[0].delivered, sum(share.served.usages[0].requests))
        for share in shares
        if share.hours > 0 and share.served.tokens and share.served.usages
    ]
    whole = math.fsum(tokens for tokens, _ in parts)
    squares = math.fsum((tokens / whole) ** 2 / n for tokens, n in parts if n) if whole else 0.0
    return 1.0 / squares if squares else float(max(one.metrics.total.completed, 1))


def _usages(found: Priced) -> list[Usage]:
    shares = [share for month in found.walked for share in month.shares]
    return [share.served.usages[0] for share in shares] or [one.usage for one in found.replications]


def usd_by_owner(terms: Terms, months: Sequence[MonthUse], bill: Bill, usages: Sequence[Usage]) -> dict[str, float]:
    """What of a month's bill goes with the requests, by pool and token API.

    Not the rent of pools that are there all the time, nor the tokens of a provider in months that cost the spend that
    is agreed; of prices by the volume of a month what the next tokens, or GPU-hours, cost.

    Parameters
    ----------
    months : of the study, with their `bill`
    usages : all that stand for a part of it
    """
    always = _constant_pools(usages) - {
        first.pool for first in terms.rented for offer in (first, *first.later) if "idle" in offer.free
    }
    parts = [
        (
            line.owner,
            mean(line.usd) * month.length / terms.months * steeper.get((line.owner, line.unit != GPU_HOURS), 1.0),
        )
        for month, use in zip(bill.months, study_uses(terms, months), strict=True)
        for steeper in [_steeper(terms, use, month)]
        for pinned in [{line.owner for line in month.lines if line.category == MINIMUM_SPEND}]
        for line in with_taxes(month.lines, terms.taxes, month.month)
        if line.kind == "by_use" and line.unit in _TOKEN_OR_ENERGY_UNITS
        if not (line.unit == GPU_HOURS and line.owner in always) and line.owner not in pinned
    ]
    found: dict[str, list[float]] = {}
    for owner, usd in parts:
        found.setdefault(owner, []).append(usd)
    return {owner: math.fsum(each) for owner, each in found.items()}


def _steeper(terms: Terms, use: Use, billed: MonthBill) -> dict[tuple[str, bool], float]:
    """What the next use of a month costs / what its use costs, by owner and whether it is tokens."""
    counted = [
        (api.provider, True, api.volume, use.providers[api.provider].counted_tokens)
        for api in terms.apis
        if billed.month in api.span and api.provider in use.providers
    ]
    for offer in (offer.at(billed.month) for offer in terms.rented if billed.month in offer.span):
        above = math.fsum(
            line.quantity
            for line in billed.lines
            if line.owner == offer.pool and line.kind == "by_use" and line.unit == GPU_HOURS
        )
        counted.append((offer.pool, False, offer.volume, above))
    return {
        (owner, is_tokens): next_factor(volume, found) / paid
        for owner, is_tokens, volume, found in counted
        if (paid := mean_factor(volume, found)) and volume != AS_LISTED
    }


def _constant_pools(usages: Sequence[Usage]) -> set[str]:
    moving = {
        pool.name
        for usage in usages
        for pool in usage.pools
        if not math.isclose(pool.billed_s, pool.peak_replicas * usage.span_s, rel_tol=_CONSTANT)
    }
    return {pool.name for usage in usages for pool in usage.pools} - moving
