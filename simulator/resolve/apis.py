"""Token APIs: price list and behaviour, the scenario's own words before the catalog's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from simulator.catalog.sites import site
from simulator.catalog.tokens import TierPrice, TokenOffer, TokenPrice, token_offer
from simulator.errors import InputError, Problem
from simulator.resolve.clock import Clock
from simulator.resolve.credits import credits_of
from simulator.resolve.figures import Figures
from simulator.resolve.peaks import has_peak, peak_of
from simulator.resolve.places import outages, provider_spec, retry_delay
from simulator.scenario.phases import over_time
from simulator.schema.money import PriceFactors
from simulator.schema.provider import Provider
from simulator.schema.scenario import Scenario
from simulator.schema.workload import Job, RequestClass
from simulator.study.contract import Volume, VolumeStep
from simulator.study.figure import Figure
from simulator.study.fleet import PromptCache, ProviderSpec, ServiceTier
from simulator.study.terms import ApiTerms, Money, TierPrices, TokenPrices

Key = TypeVar("Key", bound=str)
Found = TypeVar("Found")
_UNIT = "USD per 1M tokens"


def catalog_api(provider: Provider) -> TokenOffer | None:
    """The catalog's offer that a provider goes by; None for one of one's own."""
    return None if provider.offer is None else token_offer(provider.offer)


def retired_words(scenario: Scenario, name: str) -> list[str]:
    """What is said of offers that nobody can buy any more, of a topology as it is and as events leave it."""
    providers = [provider for topology in over_time(scenario, name) for provider in topology.providers]
    offers = dict.fromkeys(provider.offer for provider in providers if provider.offer is not None)
    found = [(offer, token_offer(offer).retired) for offer in offers]
    return [f"{offer} is sold no more since {one.date}, by {one.source}" for offer, one in found if one is not None]


def bought_units(provider: Provider) -> float:
    """Units of throughput of a provider whose number is known."""
    assert not isinstance(provider.provisioned_units, str), "open sizes are filled in before anything is planned"
    return provider.provisioned_units


def data_classes(provider: Provider, offer: TokenOffer | None) -> tuple[str, ...]:
    """Data that may go to a provider."""
    if provider.data_classes is not None:
        return provider.data_classes
    return () if offer is None else site(offer.site).data_classes


def price_bands(provider: Provider, offer: TokenOffer | None) -> tuple[int, ...]:
    """Prompt lengths above which another price list holds, the first 0."""
    if provider.prices:
        return tuple(band.above_tokens for band in provider.prices)
    return () if offer is None else tuple(tier.above_input_tokens for tier in offer.tiers)


def planned_provider(settings: Provider, offer: TokenOffer | None, classes: Sequence[RequestClass]) -> ProviderSpec:
    """A provider as the fleet sees it; what its settings do not give is the offer's."""
    base = (
        ProviderSpec(settings.name, 0.0, 0.0, 0.0, 0.0, max_wait_s=settings.max_wait_s, retry=retry_delay())
        if offer is None
        else provider_spec(offer, settings.name, settings.max_wait_s)
    )
    ttft, tpot, per_unit = settings.ttft_s, settings.tpot_s, settings.tokens_per_minute_per_unit
    if ttft is not None:
        base = replace(base, ttft_median_s=ttft.median, ttft_sigma=ttft.sigma, ttft_s_per_input_token=0.0)
    if tpot is not None:
        base = replace(base, tpot_median_s=tpot.median, tpot_sigma=tpot.sigma)
    tiers = tuple(_service(settings, offer, cls.service_tier) for cls in classes)
    base = _for_jobs(base, settings, classes)
    prompts, answers = settings.input_tokens_per_minute, settings.output_tokens_per_minute
    usual = base.tokens_per_minute if prompts is None and answers is None else 0.0
    units = bought_units(settings)
    bought = per_unit * units if per_unit is not None and units else usual
    return replace(
        base,
        outages=outages(settings.outages),
        throttling=tuple((one.start_s, one.start_s + one.duration_s, one.share) for one in settings.throttling),
        requests_per_minute=_first(settings.requests_per_minute, base.requests_per_minute),
        tokens_per_minute=_first(settings.tokens_per_minute, bought),
        input_tokens_per_minute=prompts or 0.0,
        output_tokens_per_minute=answers or 0.0,
        cached_weight=settings.limit_weights.cached_input,
        output_weight=settings.limit_weights.output,
        reserved_tokens=settings.reserved_output_tokens,
        max_context_tokens=int(_first(settings.max_context_tokens, base.max_context_tokens)),
        error_probability=_first(settings.error_probability, base.error_probability),
        cache=_cache(settings, base.cache),
        price_bands=price_bands(settings, offer) or (0,),
        tier_by_class=tiers,
        by_hour=has_peak(settings, offer),
    )


def _for_jobs(base: ProviderSpec, settings: Provider, classes: Sequence[RequestClass]) -> ProviderSpec:
    """The provider as a job calls it: rate limits hold its requests back to the deadline."""
    deadlines_s = [cls.arrivals.deadline_s for cls in classes if isinstance(cls.arrivals, Job)]
    if len(deadlines_s) < len(classes):
        return base
    if "max_wait_s" not in settings.model_fields_set:
        base = replace(base, max_wait_s=max(deadlines_s))
    return base


def _cache(settings: Provider, base: PromptCache) -> PromptCache:
    """What it remembers of prompts, and whether its price list has a price for putting something there."""
    own = settings.cache
    if own is not None:
        base = PromptCache(own.life_s, own.least_tokens, own.step_tokens, base.writes)
    if settings.prices:
        base = replace(base, writes=any(band.cache_write is not None for band in settings.prices))
    return base


def _service(settings: Provider, offer: TokenOffer | None, tier: str) -> ServiceTier:
    """How calls of a tier are served; as the usual ones where the provider has no such tier."""
    own = _of_tier(settings.service_tiers, tier)
    if own is not None:
        return ServiceTier(own.latency_factor, own.window_s)
    if tier == "batch" and offer is not None and "batch" in offer.prices.tiers:
        return ServiceTier(batch_window_s=offer.batch_deadline.value)
    return ServiceTier()


def api_terms(
    provider: Provider, path: str, classes: Sequence[RequestClass], figures: Figures, clock: Clock, at_s: float
) -> ApiTerms:
    """Price list of a provider; a missing cached price is the input price, and so is a missing cache-write price.

    Parameters
    ----------
    clock, at_s : the scenario's, and what it shows when the run begins

    Raises
    ------
    InputError : hours of a peak that are none; residency is asked for, and no premium of the provider is known
    """
    offer = catalog_api(provider)
    prices = _own_prices(provider, path, figures) if provider.prices else _catalog_prices(offer, figures)
    tiers = tuple(cls.service_tier if sells_tier(provider, cls.service_tier) else "" for cls in classes)
    scale = provider.price_scale
    if scale != 1.0:
        figures.given(f"{path}.price_scale", scale, "of the token prices")
    unit_usd, peak = provider.usd_per_unit_hour, peak_of(provider, path, offer, clock, at_s, figures)
    return ApiTerms(
        provider=provider.name,
        prices=tuple(_times(band, (scale,) * 4) for band in prices),
        tier_by_class=tiers,
        tiers=tuple(
            TierPrices(
                tier, tuple(_times(band, (scale,) * 4) for band in _tier_prices(provider, tier, prices, path, figures))
            )
            for tier in dict.fromkeys(tiers)
            if tier
        ),
        factor_by_hour=peak.factor_by_hour,
        residency_premium=_residency(provider, offer, figures),
        bills_failed=bool(provider.bills_failed),
        fixed_usd_per_month=_given(f"{path}.fixed_usd_per_month", provider.fixed_usd_per_month, "USD", figures),
        minimum_usd_per_month=_given(f"{path}.minimum_usd_per_month", provider.minimum_usd_per_month, "USD", figures),
        provisioned_units=bought_units(provider),
        usd_per_unit_hour=0.0
        if unit_usd is None
        else _given(f"{path}.usd_per_unit_hour", unit_usd, "USD per unit-hour", figures),
        site="" if offer is None else offer.site,
        time_zone=peak.time_zone,
        ahead_h=peak.ahead_h,
        unit_tokens_per_minute=provider.tokens_per_minute_per_unit or 0.0,
        unit_token_weights=(1.0, provider.limit_weights.cached_input, 1.0, provider.limit_weights.output),
        unit_term_months=provider.term_months or 0,
        volume=_volume(provider, path, figures),
        credits=credits_of(provider.service_credits, f"{path}.service_credits", figures),
        unit_upfront_share=_given(f"{path}.upfront_share", provider.upfront_share or 0.0, "of a term's price", figures),
    )


def _volume(provider: Provider, path: str, figures: Figures) -> Volume:
    said, place = provider.volume_prices, f"{path}.volume_prices.steps"
    steps = []
    for k, step in enumerate(() if said is None else said.steps):
        above = figures.given(f"{place}[{k}].above_tokens_per_month", step.above_tokens_per_month, "tokens per month")
        factor = figures.given(f"{place}[{k}].price_factor", step.price_factor, "of the token prices")
        steps.append(VolumeStep(above, factor))
    free = _given(f"{path}.free_tokens_per_month", provider.free_tokens_per_month, "tokens per month", figures)
    return Volume(tuple(steps), said is not None and said.mode == "all_tokens", free)


def sells_tier(provider: Provider, tier: str) -> bool:
    """Whether a provider has a service tier beside the standard one."""
    offer = catalog_api(provider)
    return tier in provider.service_tiers or (offer is not None and tier in offer.prices.tiers)


def _tier_prices(
    provider: Provider, tier: str, standard: tuple[TokenPrices, ...], path: str, figures: Figures
) -> tuple[TokenPrices, ...]:
    """Prices of a service tier that the provider sells, for the prompt lengths of the standard ones.

    The scenario's factors go on the standard prices; where it sets the prices of an offer, the offer's tiers cost the
    same share of them.
    """
    own = _of_tier(provider.service_tiers, tier)
    if own is not None and own.price_factor is not None:
        return tuple(_times(band, _factors(own.price_factor)) for band in standard)
    offer = catalog_api(provider)
    listed = None if offer is None else _of_tier(offer.prices.tiers, tier)
    if offer is None or listed is None:
        return standard
    sold = _catalog_tier(offer, listed)
    if not provider.prices:
        _note(offer, f"{tier}.", listed, figures)
        return sold
    found = []
    for band in standard:
        usual = offer.prices.bands.index(offer.price(band.above_tokens + 1))
        pairs = zip(sold[usual].by_kind, _standard_band(offer.prices.bands[usual]).by_kind, strict=True)
        found.append(_times(band, tuple(mine / theirs if theirs else 1.0 for mine, theirs in pairs)))
    return tuple(found)


def _of_tier(by_tier: Mapping[Key, Found], tier: str) -> Found | None:
    """What is said of a service tier; None where nothing is."""
    return next((found for name, found in by_tier.items() if name == tier), None)


def _catalog_tier(offer: TokenOffer, listed: Sequence[TierPrice]) -> tuple[TokenPrices, ...]:
    """Prices of a tier for all prompt lengths of an offer.

    A prompt length and a kind of token for which the tier has no price pay the standard one. Without any price for
    cached input or cache writes, these pay the tier's for input.
    """
    sold = {band.above_input_tokens: band for band in listed}
    found = []
    for usual in offer.prices.bands:
        own = sold.get(usual.above_input_tokens)
        if own is None:
            found.append(_standard_band(usual))
            continue
        kinds = ("input", "output", "cached_input", "cache_write")
        stated = {kind: getattr(usual, kind) if getattr(own, kind) is None else getattr(own, kind) for kind in kinds}
        found.append(_band(usual.above_input_tokens, *(stated[kind] for kind in kinds)))
    return tuple(found)


def _factors(factor: float | PriceFactors) -> tuple[float, float, float, float]:
    if isinstance(factor, PriceFactors):
        return factor.input, factor.cached_input, factor.cache_write, factor.output
    return factor, factor, factor, factor


def _times(band: TokenPrices, factors: Sequence[Money]) -> TokenPrices:
    """Prices times a factor for each of `TOKEN_KINDS`."""
    return TokenPrices(band.above_tokens, *(usd * one for usd, one in zip(band.by_kind, factors, strict=True)))


def _own_prices(provider: Provider, path: str, figures: Figures) -> tuple[TokenPrices, ...]:
    said = provider.price_source or "", provider.price_date or ""
    bands: list[TokenPrices] = []
    for k, band in enumerate(provider.prices or ()):
        for key in ("input", "output", "cached_input", "cache_write"):
            value = getattr(band, key)
            if value is not None:
                figures.given(f"{path}.prices[{k}].{key}", value, _UNIT, *said)
        bands.append(_band(band.above_tokens, band.input, band.output, band.cached_input, band.cache_write))
    return tuple(bands)


def _catalog_prices(offer: TokenOffer | None, figures: Figures) -> tuple[TokenPrices, ...]:
    if offer is None:
        return ()
    _note(offer, "", offer.prices.bands, figures)
    return tuple(_standard_band(band) for band in offer.prices.bands)


def _note(offer: TokenOffer, tier: str, bands: Sequence[TokenPrice | TierPrice], figures: Figures) -> None:
    """Keep the prices of a tier, named as `batch.`, as figures that were used."""
    prices = offer.prices
    where = _of_tier(prices.tier_sources, tier.removesuffix(".")) or prices
    for k, band in enumerate(bands):
        for key in ("input", "output", "cached_input", "cache_write"):
            value = getattr(band, key)
            if value is not None:
                length = "" if k == 0 else f"above_{band.above_input_tokens}."
                name = f"{offer.id}.{tier}{length}{key}"
                figures.note(Figure(name, value, _UNIT, where.kind, where.source, where.date))


def _standard_band(band: TokenPrice) -> TokenPrices:
    return _band(band.above_input_tokens, band.input, band.output, band.cached_input, band.cache_write)


def _band(above_tokens: int, prompt: float, output: float, cached: float | None, write: float | None) -> TokenPrices:
    return TokenPrices(
        above_tokens, prompt, prompt if cached is None else cached, prompt if write is None else write, output
    )


def _residency(provider: Provider, offer: TokenOffer | None, figures: Figures) -> Money:
    if not provider.residency:
        return 0.0
    if offer is None or offer.residency is None:
        name = provider.name if offer is None else offer.id
        text = f"no premium of {name} for processing in a region is known: leave it out, and give 'prices' that have it"
        raise InputError(Problem(text, path="residency"))
    return figures.of(offer.residency, f"{offer.id}.residency")


def _first(own: float | None, other: float) -> float:
    return other if own is None else own


def _given(path: str, value: float, unit: str, figures: Figures) -> float:
    return figures.given(path, value, unit) if value else 0.0
