"""Prices of one contract alone: what one provider, site or licence would have to cost for another winner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from simulator.study.terms import ApiTerms, Fee, Money, OwnedSite, RentedTerms, Terms, TokenPrices

Change = Callable[[Terms, float], Terms]
Assumption = tuple[Change, Callable[[Terms], bool]]
"""How terms change, and whether it changes any of these."""
_COMMITTED = "under commitment"
_KINDS = {"spot": "spot", "capacity_block": "in capacity blocks"}


def contracts(terms: Sequence[Terms]) -> dict[str, Assumption]:
    """Each contract among several of its kind, by what it is called; one that is alone of its kind moves with all, and
    one that costs nothing does not move.

    Instances of one GPU at one site that are sold in the same way are one contract, a commitment is another; so are the
    tokens of a provider (of one name at two prices one in each topology), servers of one GPU on a site, and each fee.
    """
    found: dict[str, Assumption] = {}
    for kind in (_servers(terms), _rent(terms), _tokens(terms), _fees(terms)):
        if len(kind) > 1:
            found |= kind
    return found


def _servers(terms: Sequence[Terms]) -> dict[str, Assumption]:
    def assumption(key: tuple[str, str]) -> Assumption:
        def is_meant(site: OwnedSite) -> bool:
            return (site.server.gpu, site.site) == key

        def change(one: Terms, factor: float) -> Terms:
            owned = (dearer_servers(site, factor) if is_meant(site) else site for site in one.owned)
            return replace(one, owned=tuple(owned))

        return change, lambda one: any(map(is_meant, one.owned))

    sites = (site for one in terms for site in one.owned if np.any(site.server.capex_usd))
    keys = dict.fromkeys((site.server.gpu, site.site) for site in sites)
    return {f"price of {gpu} servers at {site}": assumption((gpu, site)) for gpu, site in keys}


def _rent(terms: Sequence[Terms]) -> dict[str, Assumption]:
    def assumption(key: tuple[str, str, str]) -> Assumption:
        def change(one: Terms, factor: float) -> Terms:
            def dearer(offer: RentedTerms) -> RentedTerms:
                hourly, committed = (factor if found == key else 1.0 for found in (_hourly(offer), _committed(offer)))
                return dearer_rent(offer, hourly, committed)

            return replace(one, rented=tuple(map(dearer, one.rented)))

        return change, lambda one: key in _sold(one)

    keys = dict.fromkeys(key for one in terms for key in _sold(one))
    return {f"price of {gpu or 'GPUs'} {kind} at {site}": assumption((gpu, site, kind)) for gpu, site, kind in keys}


def _sold(terms: Terms) -> list[tuple[str, str, str]]:
    """How its GPUs are rented; not on demand what would be above a commitment alone."""
    by_hour = (offer for offer in terms.rented if not offer.tier.startswith("reserved"))
    hourly = [_hourly(offer) for offer in by_hour if any(map(np.any, offer.usd_per_instance_hour))]
    return hourly + [_committed(offer) for offer in terms.rented if offer.commitments]


def _hourly(offer: RentedTerms) -> tuple[str, str, str]:
    return offer.gpu, offer.site, _KINDS.get(offer.tier, "on demand")


def _committed(offer: RentedTerms) -> tuple[str, str, str]:
    return offer.gpu, offer.site, _COMMITTED


def _tokens(terms: Sequence[Terms]) -> dict[str, Assumption]:
    def assumption(key: tuple[str, str]) -> Assumption:
        provider, topology = key

        def is_meant(one: Terms, api: ApiTerms) -> bool:
            return api.provider == provider and topology in ("", one.topology)

        def change(one: Terms, factor: float) -> Terms:
            apis = (dearer_tokens(api, factor) if is_meant(one, api) else api for api in one.apis)
            return replace(one, apis=tuple(apis))

        return change, lambda one: any(is_meant(one, api) for api in one.apis)

    first: dict[str, dict[str, tuple[TokenPrices, ...]]] = {}
    for one in terms:
        for api in one.apis:
            if not any(np.any(price) for band in api.prices for price in band.by_kind):
                continue
            first.setdefault(api.provider, {}).setdefault(one.topology, api.prices)
    keys: list[tuple[str, str]] = []
    for provider, prices in first.items():
        is_one = all(one == next(iter(prices.values())) for one in prices.values())
        keys += [(provider, "")] if is_one else [(provider, topology) for topology in prices]
    return {
        f"price of tokens of {provider}{f' in {topology}' if topology else ''}": assumption((provider, topology))
        for provider, topology in keys
    }


def _fees(terms: Sequence[Terms]) -> dict[str, Assumption]:
    def assumption(name: str) -> Assumption:
        def change(one: Terms, factor: float) -> Terms:
            return replace(one, fees=tuple(dearer_fee(fee, factor) if fee.name == name else fee for fee in one.fees))

        return change, lambda one: any(fee.name == name for fee in one.fees)

    names = dict.fromkeys(fee.name for one in terms for fee in one.fees if dearer_fee(fee, 2.0) != fee)
    return {f"fee {name}": assumption(name) for name in names}


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
    )
