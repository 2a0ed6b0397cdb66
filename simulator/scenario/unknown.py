"""What is said of a key that a section does not have: what it is called here, where it belongs, or what is known."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from simulator.errors import unknown_name
from simulator.scenario.document import join
from simulator.schema.engine import EngineSettings
from simulator.schema.scenario import Scenario

NEAR = 0.75
"""Similarity from which on a known key is taken as meant."""
MOST_KEYS = 8
"""Keys that a message lists."""
MOST_PLACES = 3
"""Sections that a message names; a key that more of them have belongs to none in particular."""

CALLED = {
    "tp": "tensor_parallel_size",
    "tp_size": "tensor_parallel_size",
    "tensor_parallel": "tensor_parallel_size",
    "pp": "pipeline_parallel_size",
    "pp_size": "pipeline_parallel_size",
    "pipeline_parallel": "pipeline_parallel_size",
    "dp": "data_parallel_size",
    "data_parallel": "data_parallel_size",
    "ep": "enable_expert_parallel",
    "expert_parallel": "enable_expert_parallel",
    "kv_dtype": "kv_cache_dtype",
    "prefix_caching": "enable_prefix_caching",
    "chunked_prefill": "enable_chunked_prefill",
    "policy": "scheduling_policy",
    "reserve_full_isl": "scheduler_reserve_full_isl",
    "num_blocks": "num_gpu_blocks_override",
    "num_gpu_blocks": "num_gpu_blocks_override",
    "max_batch_size": "max_num_seqs",
    "speculative": "speculative_config",
    "speculative_decoding": "speculative_config",
    "num_tokens": "num_speculative_tokens",
    "draft_model": "model",
    "server_capex_usd": "capex_usd",
    "gpus_per_node": "gpus_per_server",
    "reserved_replicas": "commitments",
    "upfront_fraction": "upfront_share",
    "fte": "base_fte",
    "batch": "service_tier",
    "faults": "reliability",
    "sla": "slo",
    "network_ms": "network_s",
    "latency_ms": "latency_s",
    "vendors": "providers",
    "apis": "providers",
    "qps": "rate_rps",
    "rps": "rate_rps",
    "enable_eplb": "eplb_config",
    "redundant_experts": "num_redundant_experts",
    "tokens_per_s": "throughput",
    "usd_per_gpu_hour": "price_usd_per_gpu_hour",
    "usd_per_hour": "price_usd_per_gpu_hour",
    "hourly_usd": "price_usd_per_gpu_hour",
    "input_usd_per_mtok": "prices",
    "output_usd_per_mtok": "prices",
    "input_price": "prices",
    "output_price": "prices",
    "bills_cold_start": "billed",
    "bills_cold_starts": "billed",
    "bills_idle": "billed",
    "duration_s": "horizon_s",
    "input_tokens": "isl",
    "output_tokens": "osl",
    "prompt_tokens": "isl",
    "max_tokens": "osl",
    "users": "concurrency",
    "horizon_months": "months",
    "demand_growth_per_year": "growth_per_year",
    "growth_per_month": "growth_per_year",
    "years": "months",
    "horizon_years": "months",
    "license_usd_per_month": "usd_per_month",
    "batch_discount": "service_tiers",
    "ptu": "provisioned_units",
    "price_usd": "capex_usd",
    "purchase_usd": "capex_usd",
    "depreciation_years": "life_years",
    "lifetime_years": "life_years",
    "useful_life_years": "life_years",
    "salvage": "residual_share",
    "salvage_share": "residual_share",
    "resale_value_share": "residual_share",
    "resale_shares": "resale_by_age",
    "warranty_share_per_year": "maintenance_share_per_year",
    "electricity": "electricity_usd_per_kwh",
    "wacc": "discount_rate",
    "salary": "usd_per_fte_year",
    "salary_usd": "usd_per_fte_year",
    "engineers": "base_fte",
    "setup_usd": "usd_once",
    "opex_usd_per_month": "usd_per_month",
    "lease_usd_per_month": "usd_per_month",
    "minimum_spend_usd": "minimum_usd_per_month",
    "volume_discount": "volume_prices",
    "volume_tiers": "volume_prices",
    "price_tiers": "volume_prices",
    "free_tier": "free_tokens_per_month",
    "sla_credits": "service_credits",
    "credits": "service_credits",
    "free_tokens": "free_tokens_per_month",
    "max_output_tokens": "reserved_output_tokens",
    "max_completion_tokens": "reserved_output_tokens",
}
"""Keys by their names in other programs, and in earlier versions of this one."""
NOT_SIMULATED = {
    "kv_offloading_backend": "vLLM's own is simulated ('kv_offloading_size'), LMCache is not",
    "kv_transfer_config": "OffloadingConnector is 'kv_offloading_size' with 'kv_connector_extra_config'; a store "
    "beside the replicas is 'kv_connector'",
}
"""Keys of vLLM that no scenario has, and why."""
_MOVES = "amounts stay as they are; what changes them in a month is one of 'study.events'"
_OLD = (
    "hardware that is there already costs its book value ('capex_usd') over what is left of its life ('life_years'); "
    "one of 'study.events' in month 2 has the price and life of what is bought later"
)
_BUSY = "how busy machines are comes from the load; hours without any are a period of 'study.periods' with 'load: 0'"
_BY_SECOND = "requests come by the second ('rate_rps'): those of a day / 86,400, of a month / 2,628,000"
_TOKENS = f"{_BY_SECOND}; their number is that of the tokens / those of a request"
_SCALE = "20 % off all token prices is 'price_scale: 0.8'"
_RATE = "prices go in as US dollars; 'currency' has the rate at which amounts are shown"
_BY_GPU = "a fee by GPU is 'usd_per_gpu_month': a twelfth of that of a year"
_BY_REQUEST = "a fee by request is 'usd_per_million_requests': a million times that of one"
_TO_ZERO = (
    "GPUs that scale to zero have an 'autoscaler' with 'min: 0', whose 'down_window_s' keeps them for a while; what "
    "of their time is paid for is 'billed'"
)
_FEWEST = "the fewest and most replicas are 'min' and 'max' of an 'autoscaler'"
_BY_THE_SECOND = "a price by the second times 3,600 is 'price_usd_per_gpu_hour', that of an instance / its GPUs"
_BY_THE_MONTH = "a GPU's price by the month / 730 is 'price_usd_per_gpu_hour'"
_INSURED = "a share of the price a year, as of insurance, adds to 'maintenance_share_per_year'"
_KEPT_UP = "it is a share of the price a year ('maintenance_share_per_year'), or a fee by month"
_CAPITAL = "what capital costs is 'cost.discount_rate'"
_CACHED = "what a cache holds follows from what prompts share ('prefixes'), and how long it lasts"
_HALL = "power that a hall has bounds replicas: the 'max' of an 'autoscaler', or 'run.max_replicas' of all searches"
_AT_ONCE = "what is paid once for a server is in its 'capex_usd' or 'install_usd', of a topology a fee's 'usd_once'"
_SEATS = "a price by seat times the seats is 'usd_per_month'"
_FALLBACK = "spot with a fallback on demand is two pools and 'routing: {kind: overflow}'"
_ESCALATED = "a share that a second model answers anew is 'routing: {kind: cascade}', with 'escalate: {share: 0.3}'"
_ENQUEUED = "quotas of enqueued tokens hold no batch back: it has as many as its prompts have in half of 'window_s'"
_GIVEN_AWAY = "credits that a vendor gives away are in no bill: take them off what is paid"
_SPACE = (
    "rent of space goes by kW ('space_usd_per_kw_month'): a server's, by its 'reserved_kw'; or it is a fee by month"
)
_TAX = "a tax that cannot be deducted is one of 'taxes', with a name and a share"
SAID_OTHERWISE = {
    "utilization": _BUSY,
    "utilisation": _BUSY,
    "hours_per_day": _BUSY,
    "inflation": _MOVES,
    "price_decline": _MOVES,
    "price_decline_per_year": _MOVES,
    "age_years": _OLD,
    "bought": _OLD,
    "purchase_month": _OLD,
    "exchange_rate": _RATE,
    "fx_rate": _RATE,
    "tax": _TAX,
    "tax_rate": _TAX,
    "vat": _TAX,
    "requests_per_day": _BY_SECOND,
    "requests_per_month": _BY_SECOND,
    "tokens_per_day": _TOKENS,
    "tokens_per_month": _TOKENS,
    "discount": _SCALE,
    "rack_usd_per_month": _SPACE,
    "colocation_usd_per_month": _SPACE,
    "power_kw": "what is reserved is 'reserved_kw', the host draws 'host_kw', a GPU what 'engine.gpu_power' says",
    "spot_discount": "the spot price is 'price_usd_per_gpu_hour' with 'billing: spot'",
    "usd_per_instance_hour": "its price / 'gpus_per_instance' is 'price_usd_per_gpu_hour'",
    "usd_per_server_month": "a fee goes by replica ('usd_per_replica_month') or by month",
    "usd_per_year": "fees go by month: a twelfth of it is 'usd_per_month'",
    "usd_per_gpu_year": _BY_GPU,
    "usd_per_request": _BY_REQUEST,
    "usd_per_call": _BY_REQUEST,
    "price_per_request": _BY_REQUEST,
    "usd_per_inference": _BY_REQUEST,
    "price_change_per_year": _MOVES,
    "price_growth_per_year": _MOVES,
    "min_replicas": _FEWEST,
    "max_replicas": _FEWEST,
    "scale_to_zero": _TO_ZERO,
    "idle_timeout_s": _TO_ZERO,
    "keep_warm_s": _TO_ZERO,
    "usd_per_second": _BY_THE_SECOND,
    "usd_per_gpu_second": _BY_THE_SECOND,
    "price_usd_per_second": _BY_THE_SECOND,
    "price_usd_per_month": _BY_THE_MONTH,
    "price_usd_per_gpu_month": _BY_THE_MONTH,
    "insurance_share": _INSURED,
    "insurance_share_per_year": _INSURED,
    "support_share_per_year": _INSURED,
    "share_of_capex": _INSURED,
    "max_kw": _HALL,
    "power_cap_kw": _HALL,
    "rack_kw": _HALL,
    "liquid_cooling_usd": _AT_ONCE,
    "usd_per_gpu_once": _AT_ONCE,
    "usd_per_user_month": _SEATS,
    "usd_per_seat_month": _SEATS,
    "spot_fallback": _FALLBACK,
    "ondemand_fallback": _FALLBACK,
    "on_demand_fallback": _FALLBACK,
    "escalation_share": _ESCALATED,
    "escalation_rate": _ESCALATED,
    "loan_rate": _CAPITAL,
    "maintenance_usd_per_year": _KEPT_UP,
    "maintenance_usd_per_month": _KEPT_UP,
    "warranty_usd": _KEPT_UP,
    "financing_rate": _CAPITAL,
    "interest_rate": _CAPITAL,
    "cooling_share": "what cooling draws is in the 'pue'",
    "network_usd": "between servers it is 'network_storage_share', the site's connection 'network_usd_per_month'",
    "license_usd_per_gpu_year": _BY_GPU,
    "licence_usd_per_gpu_year": _BY_GPU,
    "cache_hit_rate": _CACHED,
    "cached_share": _CACHED,
    "credits_usd": _GIVEN_AWAY,
    "free_credits_usd": _GIVEN_AWAY,
    "enqueued_tokens": _ENQUEUED,
    "enqueued_token_limit": _ENQUEUED,
    "batch_queue_limit": _ENQUEUED,
    "mfu": "a measured rate of tokens is 'engine.throughput'",
}
"""What cost studies have as a figure and a scenario has not, and how it is said, if at all."""
IN_SECONDS = ("network_ms", "latency_ms")

VALUES = {
    "bf16": "bfloat16",
    "fp16": "float16",
    "half": "float16",
    "int4_awq": "awq",
    "modelopt_fp4": "nvfp4",
    "fp8_e4m3": "fp8",
    "fp8_e5m2": "fp8",
}
"""Values by other names."""
_BY_CLASS = "classes have targets of their own by 'complexity': a constant of each, and 'limits' of the targets"
_EVEN = "arrivals at even times are 'gamma' with a 'cv' near 0, as 0.01"
OTHER_VALUES = {
    "complexity": dict.fromkeys(("class", "classes", "by_class", "model"), _BY_CLASS),
    "poisson": dict.fromkeys(("constant", "uniform", "deterministic", "even", "fixed"), _EVEN),
    "on_demand": {"serverless": f"it is on_demand: {_TO_ZERO}"},
}
"""Values that a key has not, by a choice that it has, and how the same is said."""


def unknown_key(name: str, models: Sequence[type[BaseModel]]) -> str:
    """Message for a key that none of the models of its section has."""
    keys = list(dict.fromkeys(key for model in models for key in model.model_fields))
    if name in NOT_SIMULATED and EngineSettings in models:
        return f"unknown key {name!r}: {NOT_SIMULATED[name]}"
    if name in SAID_OTHERWISE and name not in keys:
        return f"unknown key {name!r}: {SAID_OTHERWISE[name]}"
    others = (CALLED.get(name), f"output_{name}", name.replace("max_", "reserved_output_", 1))
    meant = next((key for key in others if key in keys), CALLED.get(name))
    unit = ", in seconds" if name in IN_SECONDS else ""
    if meant in keys:
        return f"unknown key {name!r}: did you mean {meant!r}{unit}?"
    in_scenario = bool(models) and models[0] in _models_of_scenario()
    is_elsewhere = in_scenario and bool(_places().get(meant or name))
    turned = [key for key in keys if sorted(key.split("_")) == sorted(name.lower().split("_"))]
    near = turned or difflib.get_close_matches(name.lower(), keys, n=1, cutoff=NEAR)
    if near and not is_elsewhere:
        return f"unknown key {name!r}: did you mean {near[0]!r}?"
    right = meant or name
    places = _places().get(right, ())
    if places and in_scenario:
        called = f"it is called {right!r} and" if meant else "it"
        return f"unknown key {name!r}: {called} belongs to {' or '.join(places)}{unit}"
    more = len(keys) - MOST_KEYS
    listed = ", ".join(sorted(keys)) if more <= 1 else f"{', '.join(keys[:MOST_KEYS])} and {more} more"
    return f"unknown key {name!r}: known are {listed}"


def unknown_value(name: str, key: str, choices: Sequence[str]) -> str:
    """Message for a value that is none of a key's choices."""
    if key == "dtype" and name in get_args(get_args(EngineSettings.model_fields["quantization"].annotation)[0]):
        return f"unknown value {name!r}: it is a format of quantized weights, write 'quantization: {name}'"
    said = next((others[name] for choice, others in OTHER_VALUES.items() if choice in choices and name in others), "")
    if said:
        return f"unknown value {name!r}: {said}"
    if VALUES.get(name) in choices:
        return f"unknown value {name!r}: did you mean {VALUES[name]!r}?"
    return unknown_name("value", name, choices)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models that a field may hold, directly or in a list, a mapping or a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Annotated, Union, types.UnionType, tuple, dict, list):
        for argument in get_args(annotation):
            yield from models_in(argument)


@lru_cache
def _sections() -> tuple[tuple[str, type[BaseModel]], ...]:
    """Every section of a scenario as a path without numbers and names, outermost first."""
    found: list[tuple[str, type[BaseModel]]] = [("", Scenario)]
    for path, model in found:
        for key, field in model.model_fields.items():
            found += [
                (join(path, key), inner)
                for inner in models_in(field.annotation)
                if (join(path, key), inner) not in found
            ]
    return tuple(found)


@lru_cache
def _models_of_scenario() -> frozenset[type[BaseModel]]:
    return frozenset(model for _, model in _sections())


@lru_cache
def _places() -> dict[str, tuple[str, ...]]:
    """Sections that have a key, by key."""
    places: dict[str, dict[str, None]] = {}
    for path, model in _sections():
        for key in model.model_fields:
            places.setdefault(key, {})[path or "the scenario"] = None
    return {key: tuple(found) for key, found in places.items() if len(found) <= MOST_PLACES}
