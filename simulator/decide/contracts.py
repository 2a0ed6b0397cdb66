"""Prices of one contract alone: what one provider, site or licence would have to cost for another winner."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simulator.bill.sums import mean
from simulator.study.terms import ApiTerms, Fee, Money, OwnedSite, RentedTerms, Terms, TokenPrices

Change = Callable[[Terms, float], Terms]
Assumption = tuple[Change, Callable[[Terms], bool]]
"""How terms change, and whether it changes any of these."""
_KINDS = {"spot": "spot", "capacity_block": "in capacity blocks"}


@dataclass(frozen=True, slots=True)
class _Sold:
    """What one topology pays for.

    Attributes
    ----------
    what : of which several may be one contract
    part : of the topology: the pool it is for; empty where the topology has one alone
    price : (what of it, as a term in months, USD); those of one contract have one price of each
    """

    what: str
    topology: str
    part: str
    price: tuple[tuple[object, object], ...]

    @property
    def place(self) -> tuple[str, str]:
        return self.topology, self.part


def contracts(terms: Sequence[Terms]) -> dict[str, Assumption]:
    """Each contract among several of its kind, by what it is called; one that is alone of its kind moves with all, and
    one that costs nothing does not move.

    Instances of one GPU at one site that are sold in the same way are one contract, a commitment is another, and hours
    above commitments at the price of those on demand are with these; so are the tokens of a provider, servers of one
    GPU on a site, and each fee. What has several prices, as pools with prices of their own, or providers of one name,
    is a contract for each of them.
    """
    found: dict[str, Assumption] = {}
    for kind in (_servers(terms), _rent(terms), _tokens(terms), _fees(terms)):
        if len(kind) > 1:
            found |= kind
    return found


def _apart(sold: Iterable[_Sold]) -> dict[str, tuple[str, frozenset[tuple[str, str]]]]:
    """By what each contract is called: what it is, and at which places."""
    kinds: dict[str, dict[tuple[str, str], _Sold]] = {}
    for one in sold:
        kinds.setdefault(one.what, {}).setdefault(one.place, one)
    found: dict[str, tuple[str, frozenset[tuple[str, str]]]] = {}
    for what, by_place in kinds.items():
        offers = list(by_place.values())
        groups = [offers] if _is_one_list(offers) else _by_price(offers)
        for group in groups:
            name = what if len(groups) == 1 else f"{what} {_places(group, offers)}"
            found[name] = what, frozenset(one.place for one in group)
    return found


def _is_one_list(offers: Sequence[_Sold]) -> bool:
    """Whether nothing has two prices."""
    prices = [price for one in offers for price in one.price]
    return all(usd == other for what, usd in prices for same, other in prices if what == same)


def _by_price(offers: Sequence[_Sold]) -> list[list[_Sold]]:
    groups: list[list[_Sold]] = []
    for one in offers:
        mine = next((group for group in groups if group[0].price == one.price), None)
        if mine is None:
            groups.append([one])
        else:
            mine.append(one)
    return groups


def _places(group: Sequence[_Sold], offers: Sequence[_Sold]) -> str:
    """Those of one price: topologies, or pools, with the topology where another prices one of that name otherwise."""

    def label(one: _Sold) -> str:
        is_one = all(other.price == one.price for other in offers if other.part == one.part)
        return one.part if is_one else f"{one.part} in {one.topology}"

    if not group[0].part:
        return f"in {' and '.join(one.topology for one in group)}"
    return f"of {' and '.join(dict.fromkeys(map(label, group)))}"


def _servers(terms: Sequence[Terms]) -> dict[str, Assumption]:
    def what(site: OwnedSite) -> str:
        return f"price of {site.server.gpu} servers at {site.site}"

    def assumption(kind: str, places: Collection[tuple[str, str]]) -> Assumption:
        def is_meant(one: Terms, site: OwnedSite) -> bool:
            return what(site) == kind and (one.topology, "") in places

        def change(one: Terms, factor: float) -> Terms:
            owned = (dearer_servers(site, factor) if is_meant(one, site) else site for site in one.owned)
            return replace(one, owned=tuple(owned))

        return change, lambda one: any(is_meant(one, site) for site in one.owned)

    sold = (
        _Sold(what(site), one.topology, "", (("a GPU", _rounded(site.server.capex_usd / site.server.gpus)),))
        for one in terms
        for site in one.owned
        if np.any(site.server.capex_usd)
    )
    return {name: assumption(*found) for name, found in _apart(sold).items()}


def _rent(terms: Sequence[Terms]) -> dict[str, Assumption]:
    sold = [found for one in terms for found in (*_by_the_hour(one), *_under_commitment(one))]
    above = [found for one in terms for found in _by_the_hour(one, above=True)]

    def assumption(kind: str, places: Collection[tuple[str, str]]) -> Assumption:
        prices = [one.price for one in sold if one.what == kind and one.place in places]
        meant = {*places, *(one.place for one in above if one.what == kind and one.price in prices)}

        def change(one: Terms, factor: float) -> Terms:
            def dearer(offer: RentedTerms) -> RentedTerms:
                if (one.topology, offer.pool) not in meant:
                    return offer
                hourly, committed = (factor if found == kind else 1.0 for found in (_hourly(offer), _committed(offer)))
                return dearer_rent(offer, hourly, committed)

            return replace(one, rented=tuple(map(dearer, one.rented)))

        return change, lambda one: any((one.topology, offer.pool) in meant for offer in one.rented)

    return {name: assumption(*found) for name, found in _apart(sold).items()}


def _by_the_hour(terms: Terms, above: bool = False) -> list[_Sold]:
    """How its GPUs are rented by the hour.

    Parameters
    ----------
    above : those of reserved pools, whose hours are above commitments: they make no contract, for a pool without such
        hours may name no price of them, but move with the one whose price they have
    """
    found: list[_Sold] = []
    for offer in terms.rented:
        hourly = tuple(_rounded(usd / offer.gpus_per_instance) for usd in offer.usd_per_instance_hour)
        if any(map(np.any, hourly)) and offer.tier.startswith("reserved") == above:
            found.append(_Sold(_hourly(offer), terms.topology, offer.pool, (("an hour", hourly),)))
    return found


def _under_commitment(terms: Terms) -> list[_Sold]:
    found: list[_Sold] = []
    for offer in terms.rented:
        committed = tuple(
            (one.term_months, _rounded(one.usd_per_instance_hour / offer.gpus_per_instance))
            for one in offer.commitments
        )
        if committed:
            found.append(_Sold(_committed(offer), terms.topology, offer.pool, committed))
    return found


def _rounded(usd: Money) -> float:
    return round(mean(usd), 9)


def _hourly(offer: RentedTerms) -> str:
    return f"price of {offer.gpu or 'GPUs'} {_KINDS.get(offer.tier, 'on demand')} at {offer.site}"


def _committed(offer: RentedTerms) -> str:
    return f"price of {offer.gpu or 'GPUs'} under commitment at {offer.site}"


def _tokens(terms: Sequence[Terms]) -> dict[str, Assumption]:
    def what(api: ApiTerms) -> str:
        return f"price of tokens of {api.provider}"

    def assumption(kind: str, places: Collection[tuple[str, str]]) -> Assumption:
        def is_meant(one: Terms, api: ApiTerms) -> bool:
            return what(api) == kind and (one.topology, "") in places

        def change(one: Terms, factor: float) -> Terms:
            apis = (dearer_tokens(api, factor) if is_meant(one, api) else api for api in one.apis)
            return replace(one, apis=tuple(apis))

        return change, lambda one: any(is_meant(one, api) for api in one.apis)

    sold = (
        _Sold(what(api), one.topology, "", (("a million", api.prices),))
        for one in terms
        for api in one.apis
        if any(np.any(price) for band in api.prices for price in band.by_kind)
    )
    return {name: assumption(*found) for name, found in _apart(sold).items()}


def _fees(terms: Sequence[Terms]) -> dict[str, Assumption]:
    def what(fee: Fee) -> str:
        return f"fee {fee.name}"

    def assumption(kind: str, places: Collection[tuple[str, str]]) -> Assumption:
        def change(one: Terms, factor: float) -> Terms:
            if (one.topology, "") not in places:
                return one
            return replace(one, fees=tuple(dearer_fee(fee, factor) if what(fee) == kind else fee for fee in one.fees))

        return change, lambda one: (one.topology, "") in places and any(what(fee) == kind for fee in one.fees)

    sold = (
        _Sold(what(fee), one.topology, "", (("a month", fee),))
        for one in terms
        for fee in one.fees
        if dearer_fee(fee, 2.0) != fee
    )
    return {name: assumption(*found) for name, found in _apart(sold).items()}


def dearer_servers(site: OwnedSite, factor: float) -> OwnedSite:
    """A site with another price of its servers, in all months."""
    server = replace(site.server, capex_usd=site.server.capex_usd * factor)
    return replace(site, server=server, later=tuple(dearer_servers(one, factor) for one in site.later))


def dearer_rent(offer: RentedTerms, hourly: float, committed: float) -> RentedTerms:
    """An offer with other prices by the hour and of commitments, in all months."""
    return replace(
        offer,
        usd_per_instance_hour=tuple(price * hourly for price in offer.usd_per_instance_hour),
        commitments=tuple(
            replace(one, usd_per_instance_hour=one.usd_per_instance_hour * committed) for one in offer.commitments
        ),
        later=tuple(dearer_rent(one, hourly, committed) for one in offer.later),
    )


def dearer_tokens(api: ApiTerms, factor: float) -> ApiTerms:
    """An API with other prices of all its tokens."""
    tiers = tuple(replace(tier, prices=_dearer(tier.prices, factor)) for tier in api.tiers)
    return replace(api, prices=_dearer(api.prices, factor), tiers=tiers)


def _dearer(prices: tuple[TokenPrices, ...], factor: float) -> tuple[TokenPrices, ...]:
    def band(one: TokenPrices) -> TokenPrices:
        kinds: tuple[Money, ...] = tuple(price * factor for price in one.by_kind)
        return TokenPrices(one.above_tokens, *kinds)

    return tuple(map(band, prices))


def dearer_fee(fee: Fee, factor: float) -> Fee:
    """A fee of another amount; a share of the bill stays."""
    return replace(
        fee,
        usd_once=fee.usd_once * factor,
        usd_per_month=fee.usd_per_month * factor,
        usd_per_replica_month=fee.usd_per_replica_month * factor,
        usd_per_gpu_month=fee.usd_per_gpu_month * factor,
        usd_per_million_requests=fee.usd_per_million_requests * factor,
    )
