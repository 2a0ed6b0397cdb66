"""Prices of owned servers, rented GPUs and token APIs. Every figure comes from the caller, none has a default."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.errors import InputError, Problem
from simulator.units import TOKENS_PER_MILLION

HOURS_PER_DAY = 24
MONTHS_PER_YEAR = 12


def require(place: str, **conditions: tuple[float, bool, str]) -> None:
    """Raise one InputError with every value that is not finite or breaks its rule: name=(value, holds, rule)."""
    problems = [
        Problem(f"must be {rule}", path=f"{place}.{name}", got=str(value))
        for name, (value, holds, rule) in conditions.items()
        if not (math.isfinite(value) and holds)
    ]
    if problems:
        raise InputError(*problems)


def not_negative(value: float) -> tuple[float, bool, str]:
    return value, value >= 0, "a number of at least 0"


def positive(value: float) -> tuple[float, bool, str]:
    return value, value > 0, "a number above 0"


def share(value: float) -> tuple[float, bool, str]:
    return value, 0 <= value <= 1, "a share from 0 to 1"


def whole(value: float, least: int) -> tuple[float, bool, str]:
    return value, value >= least and value == math.floor(value), f"a whole number of at least {least}"


@dataclass(frozen=True, slots=True)
class OwnedPrices:
    """Prices of servers that are bought and run by oneself.

    Attributes
    ----------
    server_capex_usd : one server with its GPUs
    spare_fraction : spare servers per server in use, rounded up; bought, maintained and racked, not powered
    network_storage_share : network and storage, as a share of the servers' price
    life_years, residual_fraction : after so many years the hardware is sold for this share of its price
    maintenance_rate : per year, as a share of capex
    fte, fte_usd_per_year : staff of the pool, whatever its size
    colocation_usd_per_kw_month, kw_per_server : rent of space and connection by reserved power
    host_kw : mean draw of a powered server without its GPUs (CPUs, memory, fans, network cards)
    pue : facility power per IT power
    electricity_usd_per_kwh : one price, or 24 by hour of day (simulated time 0 is midnight)
    discount_rate : per year, of the annuity
    resale_by_age : (age in years, share of the price) of hardware sold before the end of its life, by rising age;
        linear between these, 1 at age 0 and residual_fraction at life_years; later ages don't count
    """

    server_capex_usd: float
    gpus_per_server: int
    spare_fraction: float
    network_storage_share: float
    life_years: float
    residual_fraction: float
    maintenance_rate: float
    fte: float
    fte_usd_per_year: float
    colocation_usd_per_kw_month: float
    kw_per_server: float
    host_kw: float
    pue: float
    electricity_usd_per_kwh: float | Sequence[float]
    discount_rate: float
    resale_by_age: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        require(
            "owned",
            server_capex_usd=not_negative(self.server_capex_usd),
            gpus_per_server=whole(self.gpus_per_server, 1),
            spare_fraction=not_negative(self.spare_fraction),
            network_storage_share=not_negative(self.network_storage_share),
            life_years=(self.life_years, self.life_years * MONTHS_PER_YEAR >= 1, "at least one month"),
            residual_fraction=share(self.residual_fraction),
            maintenance_rate=not_negative(self.maintenance_rate),
            fte=not_negative(self.fte),
            fte_usd_per_year=not_negative(self.fte_usd_per_year),
            colocation_usd_per_kw_month=not_negative(self.colocation_usd_per_kw_month),
            kw_per_server=not_negative(self.kw_per_server),
            host_kw=not_negative(self.host_kw),
            pue=(self.pue, self.pue >= 1, "at least 1"),
            discount_rate=not_negative(self.discount_rate),
        )
        prices = np.atleast_1d(np.asarray(self.electricity_usd_per_kwh, dtype=np.float64))
        if prices.shape not in {(1,), (HOURS_PER_DAY,)} or not np.isfinite(prices).all():
            raise InputError(
                Problem("must be one finite price or 24 of them, by hour of day", path="owned.electricity_usd_per_kwh")
            )
        ages, shares = np.asarray(self.resale_by_age, dtype=np.float64).reshape(-1, 2).T
        if not ((np.diff(ages, prepend=0.0) > 0).all() and ((shares >= 0) & (shares <= 1)).all()):
            raise InputError(
                Problem("needs rising ages above 0, each with a share from 0 to 1", path="owned.resale_by_age")
            )

    def resale_share(self, age_years: float) -> float:
        """What hardware of that age is sold for, as a share of its price; ages from 0 to `life_years`."""
        known = [point for point in self.resale_by_age if point[0] < self.life_years]
        ages, shares = zip((0.0, 1.0), *known, (self.life_years, self.residual_fraction), strict=True)
        return float(np.interp(age_years, ages, shares))

    def electricity_by_hour(self, hours: int) -> NDArray[np.float64]:
        """Electricity price of each simulated hour, USD per kWh, shape (hours,)."""
        prices = np.atleast_1d(np.asarray(self.electricity_usd_per_kwh, dtype=np.float64))
        return np.asarray(prices[np.arange(hours) % prices.size], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class RentedPrices:
    """Prices of rented GPUs: on demand (or spot), and a reserved part that is paid whether used or not.

    Attributes
    ----------
    usd_per_gpu_hour : for every GPU-hour above the reserved ones
    reserved_usd_per_gpu_hour, reserved_gpus : take-or-pay commitment, all in, upfront part included
    upfront_fraction : share of a term's commitment that is paid at its start
    term_months : length of a commitment; renewed until the horizon
    egress_usd_per_gb, egress_bytes_per_output_token : traffic that leaves the cloud, per 1e9 bytes
    storage_usd_per_gb_month, storage_gb : volumes of the pool (weights, images), paid whatever runs
    """

    usd_per_gpu_hour: float
    reserved_usd_per_gpu_hour: float | None = None
    reserved_gpus: int = 0
    upfront_fraction: float = 0.0
    term_months: int = 0
    egress_usd_per_gb: float = 0.0
    egress_bytes_per_output_token: float = 0.0
    storage_usd_per_gb_month: float = 0.0
    storage_gb: float = 0.0

    def __post_init__(self) -> None:
        require(
            "rented",
            usd_per_gpu_hour=not_negative(self.usd_per_gpu_hour),
            reserved_usd_per_gpu_hour=not_negative(self.reserved_usd_per_gpu_hour or 0.0),
            reserved_gpus=whole(self.reserved_gpus, 0),
            upfront_fraction=share(self.upfront_fraction),
            term_months=whole(self.term_months, 1 if self.upfront_fraction > 0 else 0),
            egress_usd_per_gb=not_negative(self.egress_usd_per_gb),
            egress_bytes_per_output_token=not_negative(self.egress_bytes_per_output_token),
            storage_usd_per_gb_month=not_negative(self.storage_usd_per_gb_month),
            storage_gb=not_negative(self.storage_gb),
        )
        if self.reserved_gpus > 0 and self.reserved_usd_per_gpu_hour is None:
            raise InputError(Problem("reserved GPUs need a price", path="rented.reserved_usd_per_gpu_hour"))


class TokenTier(NamedTuple):
    """Prices in USD per million tokens of requests with more than `above_tokens` input tokens."""

    above_tokens: float
    input: float
    output: float
    cached_input: float


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """Price list of a token API.

    Attributes
    ----------
    tiers : by rising `above_tokens`, the first at 0; a request pays the prices of one tier for all its tokens
    residency_premium : surcharge for processing in a region, as a share of the price
    batch_multiplier : what a batch request pays of the price, as a share; None where the vendor takes no batches
    """

    tiers: tuple[TokenTier, ...]
    residency_premium: float = 0.0
    batch_multiplier: float | None = None

    def __post_init__(self) -> None:
        table = np.asarray(self.tiers, dtype=np.float64)
        if table.ndim != 2 or table.shape[1] != len(TokenTier._fields):
            raise InputError(Problem("needs at least one (above, input, output, cached)", path="token_price.tiers"))
        if not np.isfinite(table).all() or (table < 0).any():
            raise InputError(Problem("must be numbers of at least 0", path="token_price.tiers"))
        if table[0, 0] != 0 or (np.diff(table[:, 0]) <= 0).any():
            raise InputError(Problem("thresholds must start at 0 and rise", path="token_price.tiers"))
        require(
            "token_price",
            residency_premium=not_negative(self.residency_premium),
            batch_multiplier=not_negative(self.batch_multiplier or 0.0),
        )


def price_requests(
    isl_tokens: ArrayLike, cached_tokens: ArrayLike, osl_tokens: ArrayLike, price: TokenPrice, batch: bool = False
) -> NDArray[np.float64]:
    """Price of each request in USD.

    usd = ((isl - cached)*input + cached*cached_input + osl*output) / 1e6 * (1 + residency_premium), with the prices of
    the last tier whose threshold the request's ISL exceeds; times the batch multiplier for batch requests.

    Parameters
    ----------
    isl_tokens, cached_tokens, osl_tokens : shape (n,), or scalars; cached tokens are part of the ISL
    batch : the requests go through the vendor's batch API

    Returns
    -------
    array of shape (n,)

    Raises
    ------
    InputError : token counts that contradict each other, or a batch where the vendor takes none
    """
    factor = 1.0 + price.residency_premium
    if batch:
        if price.batch_multiplier is None:
            raise InputError(Problem("the vendor has no batch price", path="token_price.batch_multiplier"))
        factor *= price.batch_multiplier
    isl, cached, osl = np.broadcast_arrays(
        *(np.atleast_1d(np.asarray(tokens, dtype=np.float64)) for tokens in (isl_tokens, cached_tokens, osl_tokens))
    )
    if not ((cached >= 0) & (cached <= isl) & (osl >= 0)).all():
        raise InputError(Problem("needs 0 <= cached tokens <= ISL and OSL >= 0", path="token_price"))
    table = np.asarray(price.tiers, dtype=np.float64)
    tier = table[np.maximum(np.searchsorted(table[:, 0], isl, side="left") - 1, 0)]
    usd = (isl - cached) * tier[:, 1] + osl * tier[:, 2] + cached * tier[:, 3]
    return np.asarray(usd * factor / TOKENS_PER_MILLION, dtype=np.float64)
