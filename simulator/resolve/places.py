"""What a site or a token API of the catalog means for a fleet: cold starts, failures, a provider's behaviour."""

from __future__ import annotations

from functools import lru_cache

from simulator.catalog.grids import grid
from simulator.catalog.quantity import Quantity, read_yaml
from simulator.catalog.sites import Site, engine_start_s, site
from simulator.catalog.tokens import TokenOffer
from simulator.errors import InputError, Problem
from simulator.schema import faults as schema
from simulator.schema.pool import Pool
from simulator.study.caches import PrefixScore
from simulator.study.fleet import ColdStart, Outages, PromptCache, ProviderSpec, Reliability, RetryDelay
from simulator.units import HOURS_PER_YEAR, SECONDS_PER_HOUR


def place_of(pool: Pool) -> Site:
    """The site of a pool, with what the pool says of it: its grid, and the data that may go there.

    Raises
    ------
    InputError : a grid that the catalog does not have, or one of servers, whose carbon is given with them
    """
    place = site(pool.site)
    if pool.grid is not None:
        if pool.billing == "owned":
            told = "servers of one's own have the grid of their site: give co2_kg_per_kwh below 'servers' instead"
            raise InputError(Problem(told, path="grid"))
        place = place.model_copy(update={"grid": grid(pool.grid).name})
    return place if pool.data_classes is None else place.model_copy(update={"data_classes": pool.data_classes})


def cold_start(place: Site, weight_bytes: float) -> ColdStart:
    """Stages for a model of `weight_bytes` in all; an API has none."""
    return ColdStart(
        provision_s=_value(place.provision),
        image_s=_value(place.image),
        weights_s=weight_bytes / place.load_rate.value if place.load_rate else 0.0,
        engine_s=engine_start_s(weight_bytes) if place.load_rate else 0.0,
    )


def reliability(place: Site, gpus: int, tier: str = "on_demand") -> Reliability:
    """Failure, reclaim and stock-out figures of a server of `gpus` GPUs, which fails when any of them does."""
    spot = tier == "spot"
    failures = _value(place.failures) * gpus
    return Reliability(
        mtbf_s=HOURS_PER_YEAR * SECONDS_PER_HOUR / failures if failures else 0.0,
        mttr_s=_value(place.repair) * SECONDS_PER_HOUR,
        reclaim_mtbf_s=_value(place.spot_interval) * SECONDS_PER_HOUR if spot else 0.0,
        reclaim_notice_s=_value(place.spot_notice) if spot else 0.0,
        unavailable_probability=0.0 if tier.startswith("reserved") else _value(place.unavailable),
    )


def provider_spec(offer: TokenOffer, name: str | None = None, max_wait_s: float = 10.0) -> ProviderSpec:
    """The provider as the fleet sees it, called `name` or by its id."""
    return ProviderSpec(
        name=name or offer.id,
        ttft_median_s=offer.ttft_median.value,
        ttft_sigma=offer.ttft_sigma.value,
        tpot_median_s=offer.tpot_median.value,
        tpot_sigma=offer.tpot_sigma.value,
        ttft_s_per_input_token=offer.ttft_per_input_token.value,
        requests_per_minute=offer.requests_per_minute.value,
        tokens_per_minute=offer.tokens_per_minute.value,
        max_wait_s=max_wait_s,
        max_context_tokens=offer.max_context_tokens,
        error_probability=offer.error_probability.value,
        cache=prompt_cache(offer),
        retry=retry_delay(),
        price_bands=tuple(tier.above_input_tokens for tier in offer.tiers),
        luck=offer.id,
    )


def prompt_cache(offer: TokenOffer) -> PromptCache:
    """What an API remembers of prompts; nothing where that is not known."""
    rules = offer.cache
    if rules is None:
        return PromptCache()
    writes = any(band.cache_write is not None for band in offer.prices.bands)
    return PromptCache(rules.life.value, int(rules.least.value), int(rules.step.value), writes)


@lru_cache
def retry_delay() -> RetryDelay:
    """How long a client pauses before it repeats a call."""
    data = read_yaml("routing.yaml")
    return RetryDelay(*(Quantity(**data[f"retry_{name}"]).value for name in ("initial_delay", "max_delay", "jitter")))


@lru_cache
def prefix_score() -> PrefixScore:
    """Weights of a replica's score in routing by the longest cached prefix."""
    data = read_yaml("routing.yaml")
    return PrefixScore(*(Quantity(**data[f"{name}_weight"]).value for name in ("prefix", "free", "queue")))


def outages(settings: schema.Outages | None) -> Outages:
    """Outages as the scenario gives them; never unless given."""
    if settings is None:
        return Outages()
    windows = tuple((window.start_s, window.start_s + window.duration_s) for window in settings.windows)
    return Outages(in_seconds(settings.mtbf_h) or 0.0, in_seconds(settings.mttr_h) or 0.0, windows)


def in_seconds(hours: float | None) -> float | None:
    """Hours as seconds; what is not given stays so."""
    return None if hours is None else hours * SECONDS_PER_HOUR


def _value(quantity: Quantity | None) -> float:
    return quantity.value if quantity else 0.0
