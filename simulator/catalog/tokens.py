"""Managed token APIs by id: price, prompt cache, service tiers, latency, limits."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

from pydantic import Field

from simulator.catalog.costs import from_cost_entry
from simulator.catalog.quantity import Entry, Quantity, read_yaml
from simulator.errors import InputError, unknown_name

ServiceTier = Literal["batch", "flex", "priority"]


class TokenPrice(Entry):
    """USD per million tokens for prompts above `above_input_tokens`.

    A missing price of cached input, or of input that is written to the cache, is the price of input.
    """

    input: float
    output: float
    cached_input: float | None = None
    cache_write: float | None = None
    above_input_tokens: int = 0


class TierPrice(Entry):
    """USD per million tokens in a service tier; what a tier does not state costs what it costs without one."""

    input: float | None = None
    output: float | None = None
    cached_input: float | None = None
    cache_write: float | None = None
    above_input_tokens: int = 0


class PeakHours(Entry):
    """Hours of the day, in UTC, in which all prices are `factor` times as high."""

    hours_utc: tuple[int, ...]
    factor: float


class TierSource(Entry):
    """Where the prices of a service tier come from, if not from the source of the list."""

    kind: Literal["sourced", "derived", "estimate"]
    source: str
    url: str | None = None
    date: str


class PriceList(Entry):
    """Prices of one model at one provider on one day.

    Attributes
    ----------
    key : provider and model as the source calls them
    bands : by prompt length, lowest first; the band of a request is that of its own prompt, for all its tokens
    tiers : prices of the service tiers, by prompt length as `bands`
    tier_sources : of tiers that another source is for
    """

    key: str
    bands: tuple[TokenPrice, ...]
    tiers: dict[ServiceTier, tuple[TierPrice, ...]] = Field(default_factory=dict)
    tier_sources: dict[ServiceTier, TierSource] = Field(default_factory=dict)
    peak: PeakHours | None = None
    kind: Literal["sourced", "derived", "estimate"]
    source: str
    url: str | None = None
    date: str


class CacheRules(Entry):
    """Prompt cache of a provider.

    Attributes
    ----------
    life : seconds from the last use of a prefix to its end
    least, step : tokens that a prefix must have to be kept, and in steps of which it is found again
    """

    life: Quantity
    least: Quantity
    step: Quantity


class Retired(Entry):
    """From when on a provider is said to sell something no more, and by whom."""

    date: str
    source: str


class TokenOffer(Entry):
    """One model of one provider.

    Attributes
    ----------
    title : what the model is called, without its provider
    site : catalog site that holds perimeter, region and allowed data classes
    model : catalog model that it serves; None for a provider's own
    retired : None while it is sold, as far as is known
    cache : None where cached input costs as much as other input
    batch_deadline : within which a batch is answered
    availability_sla : monthly uptime that the provider promises; None where no promise is known
    residency : share added for processing in a chosen region; None where the provider states none
    """

    id: str
    title: str
    site: str
    model: str | None = None
    note: str = ""
    retired: Retired | None = None
    prices: PriceList
    cache: CacheRules | None = None
    batch_deadline: Quantity
    residency: Quantity | None = None
    max_context_tokens: int
    ttft_median: Quantity
    ttft_sigma: Quantity
    ttft_per_input_token: Quantity
    tpot_median: Quantity
    tpot_sigma: Quantity
    requests_per_minute: Quantity
    tokens_per_minute: Quantity
    error_probability: Quantity
    availability_sla: Quantity | None = None

    @property
    def tiers(self) -> tuple[TokenPrice, ...]:
        """Prices by prompt length, lowest first."""
        return self.prices.bands

    @property
    def residency_premium(self) -> float | None:
        """Share added for processing in a chosen region; None where the provider states none."""
        return None if self.residency is None else self.residency.value

    def price(self, input_tokens: int) -> TokenPrice:
        """Prices of a request with a prompt of `input_tokens`."""
        return next(
            band
            for band in reversed(self.prices.bands)
            if input_tokens > band.above_input_tokens or not band.above_input_tokens
        )


@lru_cache
def token_offers() -> dict[str, TokenOffer]:
    """All token APIs by id."""
    data = read_yaml("token_offers.yaml")
    caches = {name: CacheRules(**rules) for name, rules in data["caches"].items()}
    return {
        identifier: _offer(identifier, data["defaults"] | raw, caches) for identifier, raw in data["offers"].items()
    }


def token_offer(identifier: str) -> TokenOffer:
    """Token API called `identifier`, as `together/llama-3.3-70b`.

    Raises
    ------
    InputError : no such API
    """
    if identifier.lower() not in token_offers():
        raise InputError(unknown_name("token offer", identifier, token_offers()))
    return token_offers()[identifier.lower()]


def _offer(identifier: str, raw: dict[str, Any], caches: dict[str, CacheRules]) -> TokenOffer:
    fields = dict(raw)
    residency = fields.pop("residency_entry", None)
    promise = fields.pop("sla_entry", None)
    least = fields.pop("cache_least_tokens", None)
    cache = caches[fields.pop("cache")] if "cache" in fields else None
    if cache is not None and least is not None:
        cache = cache.model_copy(update={"least": cache.least.model_copy(update={"value": float(least)})})
    return TokenOffer(
        id=identifier,
        cache=cache,
        residency=from_cost_entry(residency) if residency else None,
        availability_sla=from_cost_entry(promise) if promise else None,
        **fields,
    )
