"""Token APIs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simulator.schema.base import (
    IS_NUMBER,
    AtLeastOne,
    DataClass,
    Day,
    Name,
    NotNegative,
    Positive,
    Settings,
    Share,
    Switch,
)
from simulator.schema.faults import Outages, Throttling
from simulator.schema.money import (
    PeakSettings,
    PromptCacheSettings,
    ServiceCreditSettings,
    ServiceTierSettings,
    TokenPriceSettings,
    VolumePriceSettings,
)


class LatencySettings(Settings):
    """Lognormal: median in seconds, standard deviation of the logarithm."""

    median: Positive
    """Median in seconds."""
    sigma: NotNegative = 0.0
    """Standard deviation of the logarithm."""


class LimitWeights(Settings):
    """What tokens count for in a limit of tokens a minute; an uncached prompt token is one."""

    cached_input: NotNegative = 1.0
    """Prompt tokens that the provider's cache holds, in limits of prompt tokens alone, too; often 0."""
    output: NotNegative = 1.0
    """Output tokens, in limits of both together; often as much as they cost more than prompt tokens."""


class Provider(Settings):
    """A managed token API."""

    name: Name
    """Name within the topology."""
    offer: str | None = None
    """Token price of the catalog; an offer of one's own needs `prices`, `ttft_s`, `tpot_s` and `data_classes`."""
    prices: tuple[TokenPriceSettings, ...] | None = None
    """Prices of one's own, by rising `above_tokens`, instead of the catalog's."""
    price_source: str | None = None
    """Where they come from."""
    price_date: Day | None = None
    """Their day, as 2026-11-26."""
    data_classes: tuple[DataClass, ...] | None = None
    """Data that may go there, instead of what the catalog says."""
    cache: PromptCacheSettings | None = None
    """What it remembers of prompts, instead of the catalog's."""
    service_tiers: dict[Literal["batch", "flex", "priority"], ServiceTierSettings] = {}
    """Tiers that differ from the catalog's."""
    peak: PeakSettings | None = None
    """Hours in which it is dearer, instead of the catalog's; with prices of one's own, none unless given."""
    volume_prices: VolumePriceSettings | None = None
    """Prices that change with the tokens of a month; none unless given."""
    free_tokens_per_month: NotNegative = 0.0
    """Tokens of a month that cost nothing, its first ones; they count towards the steps of `volume_prices`."""
    service_credits: tuple[ServiceCreditSettings, ...] = ()
    """Credits by falling availability, counted as its outages are; none unless given."""
    bills_failed: Switch | None = None
    """Whether calls that end in an error are paid for; the offer's unless given."""
    fixed_usd_per_month: NotNegative = 0.0
    """A flat fee, whatever is used."""
    minimum_usd_per_month: NotNegative = 0.0
    """Spend that is agreed: what all else of the provider's bill lacks of it in a month is paid, too."""
    provisioned_units: NotNegative | Literal["auto"] = 0.0
    """Units of throughput bought by the hour, whatever is used; tokens then cost what `prices` say, often nothing. With
    `auto` the number that meets the SLO for least is found: none where prices by the token, or the next in an overflow,
    cost less."""
    unit_minimum: Annotated[int, Field(ge=1), IS_NUMBER] | None = None
    """Fewest units that are sold, in whole steps; one step unless given."""
    unit_step: Annotated[int, Field(ge=1), IS_NUMBER] | None = None
    """Units are sold in steps of so many; in any number unless given, with `auto` in whole ones."""
    usd_per_unit_hour: NotNegative | None = None
    """Price of such a unit; with `term_months` all in."""
    term_months: Annotated[int, Field(ge=1, le=120), IS_NUMBER] | None = None
    """Months for which units are bought at a time, renewed as long as the study lasts and paid to their end; by the
    hour unless given."""
    upfront_share: Share | None = None
    """Share of a term's price that is paid at its start; nothing unless given."""
    tokens_per_minute_per_unit: Positive | None = None
    """Prompt and output tokens that a unit lets through, by `limit_weights`; the limit unless `tokens_per_minute` is
    given."""
    max_context_tokens: AtLeastOne | None = None
    """Longest prompt + output, instead of the catalog's."""
    error_probability: Annotated[float, Field(ge=0, lt=1), IS_NUMBER] | None = None
    """Share of the calls that end in an error, instead of the catalog's."""
    price_scale: NotNegative = 1.0
    """Factor on the offer's token prices, as a negotiated discount."""
    ttft_s: LatencySettings | None = None
    """Time to first token, instead of the catalog's."""
    tpot_s: LatencySettings | None = None
    """Time per output token, instead of the catalog's."""
    requests_per_minute: NotNegative | None = None
    """0 is no limit."""
    tokens_per_minute: NotNegative | None = None
    """Prompt and output tokens per minute, by `limit_weights`; 0 is no limit. Not the offer's where prompts or answers
    have a limit of their own."""
    input_tokens_per_minute: NotNegative | None = None
    """Prompt tokens per minute, those that the provider's cache holds by `limit_weights`; no limit unless given."""
    output_tokens_per_minute: NotNegative | None = None
    """Output tokens per minute, each counted once; no limit unless given."""
    limit_weights: LimitWeights = LimitWeights()
    """What a token counts for in limits of tokens a minute, an uncached prompt token being 1."""
    reserved_output_tokens: NotNegative = 0.0
    """Longest answer that calls ask for (`max_tokens`), where limits of tokens a minute count it instead of a shorter
    one."""
    max_wait_s: NotNegative = 10.0
    """A request that the rate limits would hold back longer goes to the next in an overflow, else is rejected."""
    region: Annotated[str, Field(min_length=1)] | None = None
    """Where it answers, as eu-central-1, in the export of the bill; that of the offer unless given. Which data may go
    there is said by `data_classes`."""
    residency: Switch = False
    """Processing in a chosen region, at the premium of the catalog; prices of one's own have it in them."""
    outages: Outages | None = None
    """When the provider is down; never unless given."""
    throttling: tuple[Throttling, ...] = ()
    """When it answers 429 whatever its limits are, except to batches; of times that overlap the largest share holds."""
