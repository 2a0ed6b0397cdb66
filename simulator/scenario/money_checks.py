"""Checks of prices and terms that a schema cannot express."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

from simulator.bill.category import TAXABLE
from simulator.bill.taxes import named
from simulator.catalog.currencies import currencies
from simulator.errors import unknown_name
from simulator.money import USD
from simulator.schema.base import Settings
from simulator.schema.money import (
    CurrencySettings,
    FeeSettings,
    Servers,
    ServiceCreditSettings,
    TaxSettings,
    TokenPriceSettings,
)
from simulator.schema.pool import Pool
from simulator.schema.provider import Provider
from simulator.schema.scenario import CostSettings, Scenario
from simulator.schema.topology import Topology

Found = tuple[str, str, Any]
"""Path, message, offending value."""

OF_INSTANCES = (
    "instance",
    "gpus_per_instance",
    "price_usd_per_gpu_hour",
    "price_by_hour_usd_per_gpu_hour",
    "billing_minimum_s",
    "billing_granularity_s",
    "storage_gb",
    "storage_usd_per_gb_month",
    "egress_usd_per_gb",
    "volume_prices",
    "minimum_usd_per_month",
    "service_credits",
)
OF_COMMITMENTS = ("commitments", "term_months", "upfront_share", "on_demand_usd_per_gpu_hour")
OF_OWN_APIS = ("prices", "ttft_s", "tpot_s", "data_classes")
_FIRST_ZONE = timedelta(hours=14)
"""A day begins so long before it does in UTC where it begins first."""
NAMED_TERMS = {"reserved_1y": 12, "reserved_3y": 36, "reserved_5y": 60}
"""Months of the terms that have a name."""


def money_problems(scenario: Scenario) -> Iterator[Found]:
    """Prices that contradict each other, of what all topologies share."""
    yield from _server_problems("servers", scenario.servers)
    yield from _cost_problems(scenario.cost)
    fees = [fee.name for topology in scenario.topologies.values() for fee in topology.fees]
    yield from _tax_problems("cost.taxes", scenario.cost.taxes, fees)
    for k, event in enumerate(scenario.study.events):
        topology = scenario.topologies.get(event.topology)
        own = None if topology is None else topology.taxes
        taxed = [name for tax in (scenario.cost.taxes if own is None else own) for name in tax.categories or ()]
        if event.usd_once and named(event.name) in TAXABLE and named(event.name) in taxed:
            words = f"its cost would be taxed as the line {named(event.name)} of the bill: call it otherwise"
            yield f"study.events[{k}].name", words, event.name
    if scenario.currency is not None:
        yield from _currency_problems(scenario.currency)


def topology_money_problems(path: str, topology: Topology, classes: Sequence[str]) -> Iterator[Found]:
    """Prices and terms of a topology that contradict each other, or classes of the workload that are none."""
    yield from _server_problems(f"{path}.servers", topology.servers)
    yield from twice((f"{path}.fees[{k}]", fee.name) for k, fee in enumerate(topology.fees))
    for k, fee in enumerate(topology.fees):
        yield from _fee_problems(f"{path}.fees[{k}]", fee, classes)
    yield from _tax_problems(f"{path}.taxes", topology.taxes or (), [fee.name for fee in topology.fees])
    for k, pool in enumerate(topology.pools):
        yield from _pool_problems(f"{path}.pools[{k}]", pool)
    for k, provider in enumerate(topology.providers):
        yield from _provider_problems(f"{path}.providers[{k}]", provider)


def _fee_problems(path: str, fee: FeeSettings, classes: Sequence[str]) -> Iterator[Found]:
    if fee.classes is not None and "usd_per_million_requests" not in fee.model_fields_set:
        yield f"{path}.classes", "'usd_per_million_requests' is missing: say what their requests cost", None
    for k, name in enumerate(fee.classes or ()):
        if name not in classes:
            yield f"{path}.classes[{k}]", unknown_name("class", name, classes), None


def _tax_problems(path: str, taxes: Sequence[TaxSettings], fees: Sequence[str]) -> Iterator[Found]:
    yield from twice((f"{path}[{k}]", tax.name) for k, tax in enumerate(taxes))
    for k, tax in enumerate(taxes):
        if tax.name in fees:
            yield f"{path}[{k}].name", "is the name of a fee, too: give each its own", tax.name
        for i, name in enumerate(tax.categories or ()):
            both = [fee for fee in fees if name in (fee, named(fee)) and named(fee) in TAXABLE]
            for fee in dict.fromkeys(both):
                text = f"is a line of the bill, and the fee {fee} is taxed as such: call that otherwise, as '{fee} fee'"
                yield f"{path}[{k}].categories[{i}]", text, name
            if name not in (*TAXABLE, *fees):
                yield f"{path}[{k}].categories[{i}]", unknown_name("line of a bill", name, (*TAXABLE, *fees)), None


def twice(named: Iterable[tuple[str, str]]) -> Iterator[Found]:
    """A name that is used more than once, at each place after the first.

    Parameters
    ----------
    named : place and name of each
    """
    first: dict[str, str] = {}
    for path, name in named:
        if first.setdefault(name, path) != path:
            yield f"{path}.name", f"is the name of {first[name]}, too: give each its own", name


def _cost_problems(cost: CostSettings) -> Iterator[Found]:
    if cost.electricity_usd_per_kwh is not None and cost.electricity_by_hour_usd_per_kwh is not None:
        yield "cost.electricity_by_hour_usd_per_kwh", "give one price or 24, not both", None


def _currency_problems(currency: CurrencySettings) -> Iterator[Found]:
    if currency.code == USD.code:
        yield "currency.code", "amounts are in USD anyway: leave `currency` out", currency.code
    elif currency.code not in currencies():
        yield "currency.code", unknown_name("currency", currency.code, currencies()), None
    try:
        day = date.fromisoformat(currency.date)
    except ValueError:
        yield "currency.date", "is no day of the calendar", currency.date
        return
    if day > (datetime.now(UTC) + _FIRST_ZONE).date():
        yield "currency.date", "is in the future: give the day that the rate was read on", currency.date


def _server_problems(path: str, section: Sequence[Servers]) -> Iterator[Found]:
    yield from twice((f"{path}[{k}]", servers.name) for k, servers in enumerate(section))
    places = Counter(_place(servers) for servers in section)
    for k, servers in enumerate(section):
        if places[_place(servers)] > 1:
            yield f"{path}[{k}]", f"servers of {servers.site} are given twice: keep one, or name the gpu of each", None
        if servers.electricity_usd_per_kwh is not None and servers.electricity_by_hour_usd_per_kwh is not None:
            yield f"{path}[{k}].electricity_by_hour_usd_per_kwh", "give one price or 24, not both", None

        for i, (before, one) in enumerate(pairwise(servers.resale_by_age or ()), start=1):
            if one.age_years <= before.age_years:
                text = f"must be above the age before ({before.age_years:g})"
                yield f"{path}[{k}].resale_by_age[{i}].age_years", text, one.age_years


def _place(servers: Servers) -> tuple[str, str | None]:
    return servers.site.lower(), servers.gpu.lower() if servers.gpu else None


def _pool_problems(path: str, pool: Pool) -> Iterator[Found]:
    if pool.billing == "owned":
        for key in (*OF_INSTANCES, *OF_COMMITMENTS):
            if getattr(pool, key) is not None:
                yield f"{path}.{key}", "is a term of rented instances, but billing is owned", _shown(pool, key)
        if pool.billed != "from_launch":
            yield f"{path}.billed", "is a term of rented instances, but billing is owned", pool.billed
        return
    yield from _billed_problems(path, pool)
    reserved = pool.billing.startswith("reserved")
    mix = pool.commitments == "auto" or isinstance(pool.commitments, tuple)
    for key in OF_COMMITMENTS:
        if key == "commitments" and mix and pool.billing == "on_demand":
            continue
        if getattr(pool, key) is not None and not reserved:
            yield (
                f"{path}.{key}",
                f"needs billing {', '.join(NAMED_TERMS)} or reserved, not {pool.billing}",
                (_shown(pool, key)),
            )
    if isinstance(pool.commitments, tuple):
        place = f"{path}.commitments"
        if reserved:
            yield place, f"a list of them needs billing on_demand, not {pool.billing}", None
        terms = Counter(found.term_months for found in pool.commitments)
        for k, found in enumerate(pool.commitments):
            if terms[found.term_months] > 1:
                yield f"{place}[{k}].term_months", "another commitment has the same term", found.term_months
    if pool.billing == "reserved" and pool.term_months is None:
        yield f"{path}.billing", "'term_months' is missing: say how long a commitment is", pool.billing
    months = NAMED_TERMS.get(pool.billing, pool.term_months)
    if pool.term_months not in (None, months):
        text = f"{pool.billing} is a term of {months} months: billing reserved takes any other"
        yield f"{path}.term_months", text, pool.term_months
    yield from _price_problems(path, pool)
    if pool.volume_prices is not None:
        above = [step.above_gpu_hours_per_month for step in pool.volume_prices.steps]
        yield from _step_problems(f"{path}.volume_prices", "above_gpu_hours_per_month", above)
    yield from _credit_problems(f"{path}.service_credits", pool.service_credits or ())
    if has_open_commitments(pool):
        for key in ("volume_prices", "minimum_usd_per_month"):
            if getattr(pool, key):
                text = "needs commitments of a number: those that are 'auto' are found without it"
                yield f"{path}.{key}", text, _shown(pool, key)


def _billed_problems(path: str, pool: Pool) -> Iterator[Found]:
    """What is paid for less than all of a rental, together with terms that are of whole ones."""
    if pool.billed == "from_launch":
        return
    if pool.billing not in ("on_demand", "spot") or pool.commitments is not None:
        text = "needs billing on_demand or spot without commitments: these are paid all the time"
        yield f"{path}.billed", text, pool.billed
    for key in ("billing_minimum_s", "billing_granularity_s"):
        if getattr(pool, key):
            yield (
                f"{path}.{key}",
                f"rounds whole rentals, but billed is {pool.billed}: leave it out",
                getattr(pool, key),
            )
    if pool.price_by_hour_usd_per_gpu_hour is not None:
        text = f"needs billed from_launch, not {pool.billed}: give the mean as 'price_usd_per_gpu_hour'"
        yield f"{path}.price_by_hour_usd_per_gpu_hour", text, None


def has_open_commitments(pool: Pool) -> bool:
    """Whether the number under commitment is found by what it costs."""
    listed = pool.commitments if isinstance(pool.commitments, tuple) else ()
    return pool.commitments == "auto" or any(one.instances == "auto" for one in listed)


def _price_problems(path: str, pool: Pool) -> Iterator[Found]:
    by_hour = pool.price_by_hour_usd_per_gpu_hour is not None
    if by_hour:
        place = f"{path}.price_by_hour_usd_per_gpu_hour"
        if pool.price_usd_per_gpu_hour is not None:
            yield place, "give one price or 24, not both", None
        if pool.billing not in ("on_demand", "spot"):
            yield place, f"needs billing on_demand or spot, not {pool.billing}", None
    own = by_hour or pool.price_usd_per_gpu_hour is not None
    for key in ("price_source", "price_date"):
        if getattr(pool, key) is not None and not own:
            yield f"{path}.{key}", "is of a price of one's own: 'price_usd_per_gpu_hour' is missing", getattr(pool, key)


def _provider_problems(path: str, provider: Provider) -> Iterator[Found]:
    if provider.offer is None:
        for key in OF_OWN_APIS:
            if getattr(provider, key) is None:
                yield path, f"{key!r} is missing: without an offer of the catalog a token API needs it", None
    if provider.prices is not None:
        yield from _band_problems(f"{path}.prices", provider.prices)
    if provider.volume_prices is not None:
        above = [step.above_tokens_per_month for step in provider.volume_prices.steps]
        yield from _step_problems(f"{path}.volume_prices", "above_tokens_per_month", above)
    yield from _credit_problems(f"{path}.service_credits", provider.service_credits)
    if provider.provisioned_units and provider.usd_per_unit_hour is None:
        yield (
            f"{path}.provisioned_units",
            "'usd_per_unit_hour' is missing: units without a price",
            (provider.provisioned_units),
        )
    yield from _unit_problems(path, provider)
    for key in ("usd_per_unit_hour", "tokens_per_minute_per_unit", "term_months", "unit_minimum", "unit_step"):
        if getattr(provider, key) is not None and "provisioned_units" not in provider.model_fields_set:
            yield f"{path}.{key}", "'provisioned_units' is missing: say how many are bought", getattr(provider, key)
    yield from _weight_problems(path, provider)
    if provider.upfront_share is not None and provider.term_months is None:
        yield f"{path}.upfront_share", "'term_months' is missing: say of how long a term", provider.upfront_share
    for key in ("price_source", "price_date"):
        if getattr(provider, key) is not None and provider.prices is None:
            yield f"{path}.{key}", "is of prices of one's own: 'prices' is missing", getattr(provider, key)


def _unit_problems(path: str, provider: Provider) -> Iterator[Found]:
    """Numbers of units that are not sold, and those that are to be found where their number holds nothing back."""
    units, least, step = provider.provisioned_units, provider.unit_minimum, provider.unit_step
    if least is not None and step is not None and least % step:
        yield f"{path}.unit_minimum", f"must be a multiple of unit_step ({step})", least
    if units == "auto":
        if provider.tokens_per_minute_per_unit is None:
            text = "auto needs 'tokens_per_minute_per_unit': say what a unit lets through"
            yield f"{path}.provisioned_units", text, units
        if provider.tokens_per_minute is not None:
            text = "is the limit however many units are bought: leave it out, so that their number can be found"
            yield f"{path}.tokens_per_minute", text, provider.tokens_per_minute
        return
    if units and least is not None and units < least:
        yield f"{path}.provisioned_units", f"must be at least unit_minimum ({least})", units
    if units and step is not None and units % step:
        yield f"{path}.provisioned_units", f"must be a multiple of unit_step ({step})", units


def _weight_problems(path: str, provider: Provider) -> Iterator[Found]:
    """Weights of tokens, and longest answers, for which there is no limit."""
    prompts, answers = provider.input_tokens_per_minute, provider.output_tokens_per_minute
    offered = provider.offer if prompts is None and answers is None else None
    both = provider.tokens_per_minute or provider.tokens_per_minute_per_unit or offered
    said = provider.limit_weights.model_fields_set if "limit_weights" in provider.model_fields_set else ()
    if said and not both and not prompts:
        yield f"{path}.limit_weights", "weighs nothing: no limit of tokens a minute is given", None
    elif "output" in said and not both:
        yield (
            f"{path}.limit_weights.output",
            "weighs nothing: a limit of output tokens counts each once, and none holds for both kinds together",
            provider.limit_weights.output,
        )
    reserved = provider.reserved_output_tokens
    if not reserved:
        return
    if provider.tokens_per_minute_per_unit is not None:
        text = "must be left out: units are given back what an answer does not take of the longest one asked for"
        yield f"{path}.reserved_output_tokens", text, reserved
    elif not both and not answers:
        text = "takes nothing: no limit of tokens a minute is given that counts answers"
        yield f"{path}.reserved_output_tokens", text, reserved


def _band_problems(path: str, bands: Sequence[TokenPriceSettings]) -> Iterator[Found]:
    if not bands:
        yield path, "needs at least one price list", None
        return
    if bands[0].above_tokens:
        yield (
            f"{path}[0].above_tokens",
            "must be 0: the first prices are those of the shortest prompts",
            (bands[0].above_tokens),
        )
    for k in range(1, len(bands)):
        if bands[k].above_tokens <= bands[k - 1].above_tokens:
            text = f"must be above that of the prices before ({bands[k - 1].above_tokens})"
            yield f"{path}[{k}].above_tokens", text, bands[k].above_tokens


def _step_problems(path: str, key: str, above: Sequence[float]) -> Iterator[Found]:
    for k, (before, value) in enumerate(pairwise(above), start=1):
        if value <= before:
            yield f"{path}.steps[{k}].{key}", f"must be above that of the step before ({before:g})", value


def _credit_problems(path: str, credits: Sequence[ServiceCreditSettings]) -> Iterator[Found]:
    for k, (before, one) in enumerate(pairwise(credits), start=1):
        if one.below_availability >= before.below_availability:
            text = f"must be below that of the credit before ({before.below_availability:g})"
            yield f"{path}[{k}].below_availability", text, one.below_availability
        elif one.share_of_bill < before.share_of_bill:
            text = f"must not be less than that of the credit before ({before.share_of_bill:g})"
            yield f"{path}[{k}].share_of_bill", text, one.share_of_bill


def _shown(pool: Pool, key: str) -> Any:
    value = getattr(pool, key)
    return None if isinstance(value, tuple | Settings) else value
