"""What is agreed over the months of a study, where a topology's sizes, offers or machines change in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import pairwise
from typing import TypeVar

import numpy as np

from simulator.bill.sums import mean
from simulator.resolve.offers import catalog_offer, catalog_tier, is_reserved
from simulator.resolve.topology import PlannedTopology
from simulator.scenario.load import LoadedScenario
from simulator.schema.pool import Pool
from simulator.study.terms import ApiTerms, Fee, OwnedSite, RentedTerms, Span, Staff, Terms

Agreed = TypeVar("Agreed", OwnedSite, RentedTerms, ApiTerms, Staff, Fee)


@dataclass(frozen=True, slots=True)
class Spell:
    """Months in which a topology is planned in one way, up to the next spell.

    Attributes
    ----------
    first : month of the study
    stage : number of events before it; what is committed in a stage stays to its end
    event : that begins with it; empty if none does
    resale_share : what servers bring that it leaves without use; None: what their age gives
    usd_once : paid when it begins
    """

    first: int
    planned: PlannedTopology
    stage: int = 0
    event: str = ""
    resale_share: float | None = None
    usd_once: float = 0.0


def agreed(spells: Sequence[Spell], found: Sequence[Terms]) -> Terms:
    """Terms of all spells as one: what goes on from one spell to the next is agreed once, with the months it holds.

    Parameters
    ----------
    spells, found : in order, with the terms of each
    """
    base = found[0]
    if len(spells) == 1:
        return base
    spans = [Span(a.first, b.first - 1) for a, b in pairwise(spells)] + [Span(spells[-1].first)]
    stages = [spell.stage for spell in spells]
    owned = _joined([terms.owned for terms in found], spans, stages, _same_servers, lambda site: False)
    rented = _joined(
        [terms.rented for terms in found], spans, stages, _same_offer, lambda offer: bool(offer.commitments)
    )
    apis = _joined([terms.apis for terms in found], spans, stages, _equal, lambda api: False)
    staff = _joined([terms.staff for terms in found], spans, stages, _equal, lambda one: False)
    fees = _joined([terms.fees for terms in found], spans, stages, _equal, lambda fee: False)
    shares = {spell.first: spell.resale_share for spell in spells}
    owned = tuple(
        site if site.span.last is None else replace(site, sold_share=shares.get(site.span.last + 1)) for site in owned
    )
    changes = [Fee(spell.event, usd_once=spell.usd_once, span=Span(spell.first)) for spell in spells if spell.usd_once]
    return replace(base, owned=owned, rented=rented, apis=apis, staff=staff, fees=(*_paid_once(fees), *changes))


def _paid_once(fees: Sequence[Fee]) -> list[Fee]:
    """Fees of which only other terms change are not paid once again."""
    paid: set[tuple[str, float]] = set()
    found: list[Fee] = []
    for fee in fees:
        once = fee.name, mean(fee.usd_once)
        found.append(replace(fee, usd_once=0.0) if once in paid else fee)
        paid.add(once)
    return found


def _joined(
    rows: Sequence[tuple[Agreed, ...]],
    spans: Sequence[Span],
    stages: Sequence[int],
    same: Callable[[Agreed, Agreed], bool],
    stays: Callable[[Agreed], bool],
) -> tuple[Agreed, ...]:
    """Everything that is agreed in any spell; what stays goes on to the end of its stage though nobody has it."""
    found: list[Agreed] = []
    ended: list[int] = []
    for k, (row, span) in enumerate(zip(rows, spans, strict=True)):
        for one in row:
            at = next((i for i, known in enumerate(found) if ended[i] == k - 1 and same(known, one)), None)
            if at is None:
                found.append(replace(one, span=span))
                ended.append(k)
            else:
                found[at] = _with_pools(found[at], one)
                ended[at] = k
        for i, known in enumerate(found):
            if ended[i] == k - 1 and stays(known) and stages[k - 1] == stages[k]:
                ended[i] = k
    return tuple(replace(one, span=Span(one.span.first, spans[k].last)) for one, k in zip(found, ended, strict=True))


def _with_pools(known: Agreed, one: Agreed) -> Agreed:
    if isinstance(known, OwnedSite) and isinstance(one, OwnedSite):
        return replace(known, pools=tuple(dict.fromkeys((*known.pools, *one.pools))))
    return known


def _same_servers(known: OwnedSite, one: OwnedSite) -> bool:
    return _equal(replace(known, pools=()), replace(one, pools=()))


def _same_offer(known: RentedTerms, one: RentedTerms) -> bool:
    """Equal but for the number of instances under commitment, which stays as it was first agreed."""
    if len(known.commitments) != len(one.commitments):
        return False
    pairs = zip(known.commitments, one.commitments, strict=True)
    commitments = tuple(replace(mine, instances=theirs.instances) for mine, theirs in pairs)
    return _equal(replace(known, commitments=commitments), one)


def _equal(a: object, b: object) -> bool:
    """Equal values, spans apart; prices may be arrays of draws."""
    if isinstance(a, Span) and isinstance(b, Span):
        return True
    if is_dataclass(a) and type(a) is type(b):
        return all(_equal(getattr(a, one.name), getattr(b, one.name)) for one in fields(a))
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(_equal(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(np.asarray(a), np.asarray(b))
    return a == b


def committed_instances_stay(loaded: LoadedScenario, sized: LoadedScenario, name: str) -> LoadedScenario:
    """A topology whose sizes are searched anew, with commitments on the instances that were agreed at a size."""
    topology = loaded.scenario.topologies[name]
    agreed_for = {pool.name: pool for pool in sized.scenario.topologies[name].pools}
    pools = tuple(
        _on_instance(pool, agreed_for[pool.name]) if pool.name in agreed_for else pool for pool in topology.pools
    )
    changed = topology.model_copy(update={"pools": pools})
    topologies = {**loaded.scenario.topologies, name: changed}
    return replace(loaded, scenario=loaded.scenario.model_copy(update={"topologies": topologies}))


def _on_instance(pool: Pool, sized: Pool) -> Pool:
    if not is_reserved(pool) or pool.instance is not None or pool.gpus_per_instance is not None:
        return pool
    offer = catalog_offer(sized, catalog_tier(sized)) or catalog_offer(sized, "on_demand")
    return pool if offer is None else pool.model_copy(update={"instance": offer.instance})
