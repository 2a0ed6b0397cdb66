"""Prices of owned servers and rented GPUs. Every figure comes from the caller, none has a default."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, Problem

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


def require_by_hour(place: str, prices: float | Sequence[float]) -> NDArray[np.float64]:
    """The prices as an array; InputError unless they are one finite price or 24 of them."""
    found = np.atleast_1d(np.asarray(prices, dtype=np.float64))
    if found.shape not in {(1,), (HOURS_PER_DAY,)} or not np.isfinite(found).all():
        raise InputError(Problem("must be one finite price or 24 of them, by hour of day", path=place))
    return found


def by_hour(prices: float | Sequence[float], hours: int) -> NDArray[np.float64]:
    """Price in each simulated hour, shape (hours,); 24 prices repeat every day, from midnight at time 0."""
    day = np.atleast_1d(np.asarray(prices, dtype=np.float64))
    return np.asarray(day[np.arange(hours) % day.size], dtype=np.float64)


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
        require_by_hour("owned.electricity_usd_per_kwh", self.electricity_usd_per_kwh)
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
        return by_hour(self.electricity_usd_per_kwh, hours)


@dataclass(frozen=True, slots=True)
class RentedPrices:
    """Prices of rented GPUs: on demand (or spot), and a reserved part that is paid whether used or not.

    Attributes
    ----------
    usd_per_gpu_hour : for every GPU-hour above the reserved ones; one price, or 24 by hour of day (simulated time 0 is
        midnight)
    reserved_usd_per_gpu_hour, reserved_gpus : take-or-pay commitment, all in, upfront part included
    upfront_fraction : share of a term's commitment that is paid at its start
    term_months : length of a commitment; renewed until the horizon
    egress_usd_per_gb, egress_bytes_per_output_token : traffic that leaves the cloud, per 1e9 bytes
    storage_usd_per_gb_month, storage_gb : volumes of the pool (weights, images), paid whatever runs
    """

    usd_per_gpu_hour: float | Sequence[float]
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
            reserved_usd_per_gpu_hour=not_negative(self.reserved_usd_per_gpu_hour or 0.0),
            reserved_gpus=whole(self.reserved_gpus, 0),
            upfront_fraction=share(self.upfront_fraction),
            term_months=whole(self.term_months, 1 if self.upfront_fraction > 0 else 0),
            egress_usd_per_gb=not_negative(self.egress_usd_per_gb),
            egress_bytes_per_output_token=not_negative(self.egress_bytes_per_output_token),
            storage_usd_per_gb_month=not_negative(self.storage_usd_per_gb_month),
            storage_gb=not_negative(self.storage_gb),
        )
        if (require_by_hour("rented.usd_per_gpu_hour", self.usd_per_gpu_hour) < 0).any():
            raise InputError(Problem("must be at least 0", path="rented.usd_per_gpu_hour"))
        if self.reserved_gpus > 0 and self.reserved_usd_per_gpu_hour is None:
            raise InputError(Problem("reserved GPUs need a price", path="rented.reserved_usd_per_gpu_hour"))

    def usd_by_hour(self, hours: int) -> NDArray[np.float64]:
        """Price on demand in each simulated hour, USD per GPU-hour, shape (hours,)."""
        return by_hour(self.usd_per_gpu_hour, hours)
