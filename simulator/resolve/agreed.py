"""What is agreed over the months of a study, where a topology's sizes, offers or machines change in them."""

from __future__ import annotations

import math
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
from simulator.study.terms import ApiTerms, Commitment, Fee, OwnedSite, RentedTerms, Span, Staff, Tax, Terms

Agreed = TypeVar("Agreed", OwnedSite, RentedTerms, ApiTerms, Staff, Fee, Tax)
Lasting = TypeVar("Lasting", OwnedSite, RentedTerms)


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
    recommitted : pools for which the event writes another size or number under commitment
    """

    first: int
    planned: PlannedTopology
    stage: int = 0
    event: str = ""
    resale_share: float | None = None
    usd_once: float = 0.0
    recommitted: tuple[str, ...] = ()


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
    owned_then, rented_then = [terms.owned for terms in found], _with_all_lengths([terms.rented for terms in found])
    owned = _joined(owned_then, spans, stages, _same_servers, lambda site: False)
    rented = _joined(rented_then, spans, stages, _same_offer, _is_committed)
    rented = tuple(_over_time(offer, spells, rented_then, _same_offer, _with_numbers_of) for offer in rented)
    rented = tuple(_renewed(offer, spells, rented_then, base.months) for offer in rented)
    apis = _joined([terms.apis for terms in found], spans, stages, _equal, lambda api: False)
    staff = _joined([terms.staff for terms in found], spans, stages, _equal, lambda one: False)
    fees = _joined([terms.fees for terms in found], spans, stages, _equal, lambda fee: False)
    taxes = _joined([terms.taxes for terms in found], spans, stages, _equal, lambda tax: False)
    owned = tuple(_over_time(site, spells, owned_then, _same_servers, _with_pools_of) for site in owned)
    shares = {spell.first: spell.resale_share for spell in spells}
    owned = tuple(
        site if site.span.last is None else replace(site, sold_share=shares.get(site.span.last + 1)) for site in owned
    )
    changes = [Fee(spell.event, usd_once=spell.usd_once, span=Span(spell.first)) for spell in spells if spell.usd_once]
    fees = (*_paid_once(fees), *changes)
    return replace(base, owned=owned, rented=rented, apis=apis, staff=staff, fees=fees, taxes=taxes)


def _over_time(
    known: Lasting,
    spells: Sequence[Spell],
    rows: Sequence[tuple[Lasting, ...]],
    same: Callable[[Lasting, Lasting], bool],
    as_held: Callable[[Lasting, Lasting], Lasting],
) -> Lasting:
    """What is agreed with what it is from each month on in which an event, or another size, makes it another one.

    Parameters
    ----------
    rows : of each spell
    as_held : what a spell has of it, with what stays of the one before
    """
    steps = [known]
    for spell, row in zip(spells, rows, strict=True):
        for one in row:
            if spell.first in known.span and same(known, one):
                now = as_held(one, steps[-1])
                if not _equal(now, steps[-1]):
                    steps.append(replace(now, span=Span(spell.first, known.span.last)))
    return replace(known, later=tuple(steps[1:]))


def _with_pools_of(one: OwnedSite, known: OwnedSite) -> OwnedSite:
    """What is bought stays, and costs what it then costs to house, cool and keep spares of."""
    return replace(one, pools=known.pools)


def _with_numbers_of(one: RentedTerms, known: RentedTerms) -> RentedTerms:
    """The offer with the numbers of commitments of another: these stay unless an event writes others."""
    pairs = zip(one.commitments, known.commitments, strict=True)
    return replace(one, commitments=tuple(replace(mine, instances=theirs.instances) for mine, theirs in pairs))


def _is_committed(offer: RentedTerms) -> bool:
    return any(one.sold for one in offer.commitments)


def _with_all_lengths(rows: Sequence[tuple[RentedTerms, ...]]) -> list[tuple[RentedTerms, ...]]:
    """Offers with a commitment of each length that events bring to them, or take away: there none of it begins."""
    lengths: dict[tuple[object, ...], dict[int, Commitment]] = {}
    for row in rows:
        for offer in row:
            known = lengths.setdefault(_instances(offer), {})
            for one in offer.commitments:
                known.setdefault(one.term_months, one)

    def whole(offer: RentedTerms) -> RentedTerms:
        sold = {one.term_months: one for one in offer.commitments}
        known = lengths[_instances(offer)]
        return replace(offer, commitments=tuple(sold.get(months) or _unsold(one) for months, one in known.items()))

    return [tuple(map(whole, row)) for row in rows]


def _unsold(commitment: Commitment) -> Commitment:
    return replace(commitment, instances=None if commitment.instances is None else 0, sold=False)


def _renewed(
    offer: RentedTerms, spells: Sequence[Spell], rows: Sequence[tuple[RentedTerms, ...]], months: float
) -> RentedTerms:
    """The offer with the terms that events leave of its commitments, where one writes another number or length of them.

    What runs is paid to its end. From the month of the event on so many terms begin as are missing from the new number,
    so of fewer instances fewer are renewed, and further ones begin at once. Of a pool that is under commitment as a
    whole the number is that of all lengths together.
    """
    last = min(offer.span.last or math.ceil(months), math.ceil(months))
    steps = [(offer.span.first, offer)]
    for spell, row in zip(spells, rows, strict=True):
        if offer.span.first < spell.first <= last:
            now = next((one for one in row if _same_offer(offer, one)), None)
            if now is not None and (offer.pool in spell.recommitted or _lengths(now) != _lengths(steps[-1][1])):
                steps.append((spell.first, now))
    if len(steps) == 1:
        return offer
    wanted = [(first, [one.instances for one in now.commitments]) for first, now in steps]
    lengths = [one.term_months for one in offer.commitments]
    is_open = any(number is None for _, numbers in wanted for number in numbers)
    if offer.tier.startswith("reserved") and not is_open:
        begun = _begun(wanted, lengths, offer.span.first, last, range(len(lengths)))
    else:
        begun = [_begun(wanted, lengths, offer.span.first, last, [i])[i] for i in range(len(lengths))]
    pairs = zip(offer.commitments, begun, strict=True)
    return replace(offer, commitments=tuple(replace(one, begins=begins) for one, begins in pairs))


def _lengths(offer: RentedTerms) -> list[int]:
    """Of the terms that begin."""
    return [one.term_months for one in offer.commitments if one.sold]


def _begun(
    wanted: Sequence[tuple[int, Sequence[int | None]]],
    lengths: Sequence[int],
    first: int,
    last: int,
    which: Sequence[int],
) -> list[tuple[tuple[int, int], ...] | None]:
    """Terms that begin of each commitment; None, so that they are found, where a number of them is open.

    Parameters
    ----------
    wanted : instances of each, by the month from which on
    which : of them that count together
    """
    if any(numbers[i] is None for _, numbers in wanted for i in which):
        return [None] * len(lengths)
    begins: list[dict[int, int]] = [{} for _ in lengths]
    for k in range(first - 1, last):
        numbers = next(numbers for month, numbers in reversed(wanted) if month <= k + 1)
        running = sum(n for i in which for start, n in begins[i].items() if k < start + lengths[i])
        missing = sum(numbers[i] or 0 for i in which) - running
        for i in which:
            if missing > 0 and numbers[i]:
                begins[i][k] = missing
    return [tuple(found.items()) for found in begins]


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
    """The same make of server at one site, whatever it, and all else, costs then."""
    make = ("name", "gpu", "gpus", "reserved_kw", "host_kw")
    there = known.server, one.server
    return known.site == one.site and all(_equal(*(getattr(kind, key) for kind in there)) for key in make)


def are_sold(before: Sequence[OwnedSite], after: Sequence[OwnedSite]) -> bool:
    """Whether servers of one's own are left without use between two spells."""
    return any(not any(_same_servers(known, one) for one in after) for known in before)


def _same_offer(known: RentedTerms, one: RentedTerms) -> bool:
    """The same instances of one pool, whatever they cost then and however many are committed for how long."""
    return _instances(known) == _instances(one)


def _instances(offer: RentedTerms) -> tuple[object, ...]:
    return offer.pool, offer.site, offer.tier, offer.gpu, offer.gpus_per_instance


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
    """A topology whose sizes are searched anew, or that an event changes, with commitments on the instances that were
    agreed at a size; another GPU is agreed anew.
    """
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
    names = ("site", "gpu", "billing", "tensor_parallel_size", "pipeline_parallel_size")
    if any(getattr(pool, name) != getattr(sized, name) for name in names):
        return pool
    offer = catalog_offer(sized, catalog_tier(sized)) or catalog_offer(sized, "on_demand")
    if offer is None:
        return pool
    there = pool.model_copy(update={"instance": offer.instance})
    is_priced = pool.price_usd_per_gpu_hour is not None or catalog_offer(there, catalog_tier(there)) is not None
    return there if is_priced else pool
