"""Commitments of a rented pool: one that its billing names, several with terms of their own, or all that are sold."""

from __future__ import annotations

from collections.abc import Iterable

from simulator.catalog.gpus import gpu
from simulator.catalog.offers import GpuOffer, gpu_offers
from simulator.catalog.sites import site
from simulator.errors import InputError, Problem
from simulator.resolve.figures import Figures
from simulator.resolve.offers import (
    UNIT,
    catalog_offer,
    catalog_tier,
    committed_instances,
    figure_of,
    gpus_per_instance,
    is_reserved,
    named_term,
    price_of,
)
from simulator.scenario.money_checks import NAMED_TERMS
from simulator.schema.pool import CommitmentSettings, Pool
from simulator.study.terms import Commitment, Money


def commitments(pool: Pool, path: str, figures: Figures) -> tuple[Commitment, ...]:
    """What a pool commits to; empty where all is on demand.

    Raises
    ------
    InputError : no price of a term is known
    """
    size = gpus_per_instance(pool)
    if is_reserved(pool):
        return (_named(pool, path, size, figures),)
    if pool.commitments == "auto":
        return _all_sold(pool, size, figures)
    if isinstance(pool.commitments, tuple):
        return tuple(
            _one(pool, found, k, f"{path}.commitments[{k}]", size, figures) for k, found in enumerate(pool.commitments)
        )
    return ()


def _named(pool: Pool, path: str, size: int, figures: Figures) -> Commitment:
    """The commitment that the billing names."""
    price = price_of(pool, path, figures)
    offer = catalog_offer(pool, catalog_tier(pool))
    months = pool.term_months or NAMED_TERMS.get(pool.billing) or (offer.term_months if offer else 0)
    upfront = _upfront(pool.upfront_share, path, offer, figures)
    return Commitment(
        price[0] * size, months, None if pool.commitments == "auto" else committed_instances(pool, size), upfront
    )


def _all_sold(pool: Pool, size: int, figures: Figures) -> tuple[Commitment, ...]:
    """Every term that the catalog has for these instances, as many of each as are worth it."""
    offers = {months: _sold(pool, months, size) for months in sorted(NAMED_TERMS.values())}
    found = {months: offer for months, offer in offers.items() if offer is not None}
    if not found:
        others = _others(pool, NAMED_TERMS.values())
        so = f"{others}, or give them as a list" if others else "give the terms as a list"
        text = f"the catalog has no term of {pool.gpu} in instances of {size} at {site(pool.site).name}: {so}"
        raise InputError(Problem(text, path="commitments", got="auto"))
    for offer in found.values():
        figures.note(figure_of(offer))
    return tuple(
        Commitment(offer.usd_per_gpu_hour * size, months, None, offer.upfront_fraction)
        for months, offer in found.items()
    )


def _one(pool: Pool, own: CommitmentSettings, k: int, path: str, size: int, figures: Figures) -> Commitment:
    offer = _sold(pool, own.term_months, size)
    if own.price_usd_per_gpu_hour is not None:
        usd: Money = figures.given(f"{path}.price_usd_per_gpu_hour", own.price_usd_per_gpu_hour, UNIT)
    elif offer is not None:
        figures.note(figure_of(offer))
        usd = offer.usd_per_gpu_hour
    else:
        text = f"'price_usd_per_gpu_hour' is missing: the catalog has no term of {own.term_months} months of {pool.gpu}"
        others = _others(pool, [own.term_months])
        text += f" in instances of {size} at {site(pool.site).name}"
        raise InputError(Problem(f"{text}: {others}" if others else text, path=f"commitments[{k}]"))
    upfront = _upfront(own.upfront_share, path, None if own.price_usd_per_gpu_hour is not None else offer, figures)
    return Commitment(usd * size, own.term_months, None if own.instances == "auto" else own.instances, upfront)


def _others(pool: Pool, months: Iterable[int]) -> str:
    """Instances that hold a replica and are sold under one of these terms, and the key that takes them."""
    there = [
        pool.model_copy(update={"instance": offer.instance, "gpus_per_instance": None})
        for offer in gpu_offers()
        if (offer.site, offer.gpu) == (site(pool.site).name, gpu(pool.gpu).name)
    ]
    offers = [catalog_offer(one, named_term(length)) for one in there for length in months]
    sold = [(offer.gpus_per_instance, offer.instance) for offer in offers if offer is not None]
    return f"{min(sold)[1]} has some ('gpus_per_instance: {min(sold)[0]}')" if sold else ""


def _sold(pool: Pool, months: int, size: int) -> GpuOffer | None:
    """The catalog's offer of a term of so many months, of instances of this size."""
    return catalog_offer(pool.model_copy(update={"gpus_per_instance": size}), named_term(months))


def _upfront(own: float | None, path: str, offer: GpuOffer | None, figures: Figures) -> float:
    if own is not None:
        return figures.given(f"{path}.upfront_share", own, "of a term's price")
    return 0.0 if offer is None else offer.upfront_fraction or 0.0
