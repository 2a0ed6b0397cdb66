"""Managed token APIs by id: price, latency, limits."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from simulator.catalog.costs import CostEntry, cost_entry, from_cost_entry
from simulator.catalog.quantity import Entry, Quantity, read_yaml
from simulator.errors import InputError, unknown_name


class TokenPrice(Entry):
    """USD per million tokens for prompts above `above_input_tokens`; a missing cached price is the input price."""

    input: float
    output: float
    cached_input: float | None = None
    above_input_tokens: int = 0


class TokenOffer(Entry):
    """One model of one provider.

    Attributes
    ----------
    site : catalog site that holds perimeter, region and allowed data classes
    model : catalog model that it serves; None for a provider's own
    price_entry : cost figure with the prices, whose source, date and confidence hold for them
    tiers : by prompt length, lowest first; the tier of a request is that of its own prompt
    batch_multiplier : price factor of the batch API; None where there is none
    availability_sla : monthly uptime that the provider promises; None where no promise is known
    residency_premium : share added for processing in a chosen region; None where the provider states none
    """

    id: str
    site: str
    model: str | None = None
    note: str = ""
    price_entry: CostEntry
    tiers: tuple[TokenPrice, ...]
    batch_multiplier: float | None = None
    residency_premium: float | None = None
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

    def price(self, input_tokens: int) -> TokenPrice:
        """Prices of a request with a prompt of `input_tokens`."""
        return next(
            tier
            for tier in reversed(self.tiers)
            if input_tokens > tier.above_input_tokens or not tier.above_input_tokens
        )


@lru_cache
def token_offers() -> dict[str, TokenOffer]:
    """All token APIs by id."""
    data = read_yaml("token_offers.yaml")
    return {identifier: _offer(identifier, data["defaults"] | raw) for identifier, raw in data["offers"].items()}


def token_offer(identifier: str) -> TokenOffer:
    """Token API called `identifier`, as `together/llama-3.3-70b`.

    Raises
    ------
    InputError : no such API
    """
    if identifier.lower() not in token_offers():
        raise InputError(unknown_name("token offer", identifier, token_offers()))
    return token_offers()[identifier.lower()]


def _offer(identifier: str, raw: dict[str, Any]) -> TokenOffer:
    fields = dict(raw)
    entry = cost_entry(fields.pop("price_entry"))
    residency = fields.pop("residency_entry", None)
    promise = fields.pop("sla_entry", None)
    prices = {key: entry.value[key] for key in ("input", "output", "cached_input")}
    return TokenOffer(
        id=identifier,
        price_entry=entry,
        tiers=(TokenPrice(**prices), *(TokenPrice(**tier) for tier in fields.pop("tiers", ()))),
        batch_multiplier=entry.value["batch_multiplier"],
        residency_premium=cost_entry(residency).number() if residency else None,
        availability_sla=from_cost_entry(promise) if promise else None,
        **fields,
    )
