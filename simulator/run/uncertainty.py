"""How sure the costs are: draws of prices and cost figures, the same for all topologies of a scenario."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.cost.lines import LineItem, total_usd
from simulator.cost.owned_draws import gpu_electricity_usd, owned_usd_per_month
from simulator.cost.prices import MONTHS_PER_YEAR, OwnedPrices, RentedPrices
from simulator.cost.sensitivity import (
    Interval,
    PricePath,
    Swing,
    central_interval,
    monte_carlo_usd_per_month,
    price_paths_usd,
    speed_factors,
    speed_normals,
    tornado,
    triangular,
)
from simulator.decide.rivals import shares_cheapest
from simulator.resolve.engines import PlannedEngine
from simulator.resolve.figures import Figures
from simulator.resolve.prices import Prices, data_prices, owned_fields
from simulator.resolve.terms import topology_terms
from simulator.resolve.topology import PlannedTopology
from simulator.rng import stream
from simulator.run.priced import Replication
from simulator.units import TOKENS_PER_MILLION

COVERAGE = 0.9
"""Share of the draws within the intervals that are shown."""
GPU_PRICE, TOKEN_PRICE, SPEED = "price of rented GPUs", "price of tokens", "speed of the engine"
"""Inputs that are no cost figures: mean price over the horizon as a multiple of today's, and the error of the
forecast speed in standard deviations (below 0 slower)."""
_LEAST_SWING_USD = 0.005


@dataclass(frozen=True, slots=True)
class Case:
    """One topology with its results: what its costs are drawn from."""

    planned: PlannedTopology
    prices: Prices
    replications: Sequence[Replication]


@dataclass(frozen=True, slots=True)
class Inputs:
    """Draws of everything uncertain; all arrays are paired by position.

    Attributes
    ----------
    figures : cost figures by id, shape (n,)
    gpu_path, token_path : market price as a multiple of today's at the end of months 0 to horizon, shape (n, H + 1)
    speed : standard normal draws for the error of the speed, by the origin of the step time, shape (n,)
    """

    figures: Mapping[str, Any]
    gpu_path: NDArray[np.float64]
    token_path: NDArray[np.float64]
    speed: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Draws:
    """Cost of one topology in each draw, shape (n,): USD per month, what of it goes with the load, tokens per month."""

    usd_per_month: NDArray[np.float64]
    usage_usd_per_month: NDArray[np.float64]
    tokens_per_month: NDArray[np.float64]

    @property
    def usd_per_million_tokens(self) -> NDArray[np.float64]:
        with np.errstate(divide="ignore"):
            return np.asarray(self.usd_per_month / self.tokens_per_month * TOKENS_PER_MILLION, dtype=np.float64)


def draw_inputs(cases: Sequence[Case], settings: Any, seed: int) -> Inputs:
    """Draws for all topologies of a scenario: `settings.draws` of them, from streams named by what is drawn."""
    n, months = settings.draws, cases[0].prices.horizon_months
    ranges: dict[str, tuple[float, float, float]] = {}
    for case in cases:
        ranges |= case.prices.ranges
    origins = {engine.step_time.origin for case in cases for engine in _measured(case)}
    figures = Figures(settings.overrides)
    return Inputs(
        {name: triangular(*ranges[name], n, seed, name) for name in sorted(ranges)},
        price_paths_usd(_market(figures, GPU_PRICE), months, n, seed, "gpu rental"),
        price_paths_usd(_market(figures, TOKEN_PRICE), months, n, seed, "tokens"),
        {origin: speed_normals(n, seed, origin) for origin in sorted(origins)},
    )


def draw_costs(case: Case, settings: Any, inputs: Inputs, seed: int) -> Draws:
    """Cost of a topology in each draw; replications are drawn with replacement, the same for all topologies."""
    r, n = len(case.replications), len(inputs.gpu_path)
    usd = np.stack([_usd_per_month(case, replication, settings, inputs) for replication in case.replications], axis=-1)
    tokens = np.array([replication.cost.tokens_per_month for replication in case.replications])
    weights = stream(seed, "cost", "replications").multinomial(r, np.full(r, 1 / r), size=n) / r
    whole, usage = (weights * np.broadcast_to(usd, (2, n, r))).sum(axis=-1)
    return Draws(whole, usage, weights @ tokens)


def summarise_draws(draws: Mapping[str, Draws], cases: Mapping[str, Case], meeting: Sequence[str]) -> dict[str, Any]:
    """Per topology: intervals of its costs, what they cover, and the share of the draws in which it is the cheapest.

    Parameters
    ----------
    meeting : topologies that meet the SLO; their shares are given among themselves as well
    """
    usd = {name: found.usd_per_month for name, found in draws.items()}
    shares = shares_cheapest(usd)
    among = shares_cheapest({name: usd[name] for name in meeting}) if meeting else {}
    return {
        name: {
            "draws": len(found.usd_per_month),
            "coverage": COVERAGE,
            "usd_per_month": central_interval(found.usd_per_month, COVERAGE)._asdict(),
            "usd_per_million_tokens": _interval(found.usd_per_million_tokens)._asdict(),
            "probability_cheapest": shares[name],
            "probability_cheapest_meeting_slo": among.get(name),
            "covers_speed": all(engine.step_time.expected_error is not None for engine in cases[name].planned.engines),
        }
        for name, found in draws.items()
    }


def _interval(values: NDArray[np.float64]) -> Interval:
    return central_interval(values, COVERAGE) if np.isfinite(values).all() else Interval(math.inf, math.inf, math.inf)


def tornado_of(case: Case, settings: Any) -> list[dict[str, Any]]:
    """Swing of USD per month with each uncertain input alone, widest first; those that move nothing are left out."""
    figures = Figures(settings.overrides)
    ranges = dict(case.prices.ranges)
    if any(isinstance(price, RentedPrices) for price in case.prices.pools.values()):
        ranges[GPU_PRICE] = _market_range(figures, GPU_PRICE, case.prices.horizon_months)
    if case.prices.providers:
        ranges[TOKEN_PRICE] = _market_range(figures, TOKEN_PRICE, case.prices.horizon_months)
    measured = _measured(case)
    if measured:
        bound = _normal_bound()
        ranges[SPEED] = (-bound, 0.0, bound)

    def usd(values: Mapping[str, float]) -> float:
        inputs = Inputs(
            {name: value for name, value in values.items() if name in case.prices.ranges},
            _constant_path(values.get(GPU_PRICE, 1.0), case.prices.horizon_months),
            _constant_path(values.get(TOKEN_PRICE, 1.0), case.prices.horizon_months),
            {engine.step_time.origin: values.get(SPEED, 0.0) for engine in measured},
        )
        return float(np.mean([_usd_per_month(case, found, settings, inputs)[0] for found in case.replications]))

    return [_swing(swing) for swing in tornado(usd, ranges) if swing.width_usd >= _LEAST_SWING_USD]


def _swing(swing: Swing) -> dict[str, Any]:
    return {
        "input": swing.name,
        "low": swing.low,
        "base": swing.base,
        "high": swing.high,
        "usd_per_month_low": swing.low_usd,
        "usd_per_month_base": swing.base_usd,
        "usd_per_month_high": swing.high_usd,
    }


def _usd_per_month(case: Case, replication: Replication, settings: Any, inputs: Inputs) -> NDArray[np.float64]:
    """USD per month of one replication in each draw, mean over the months of the horizon, and what of it is usage.

    Returns
    -------
    array of shape (2, n); usage as in `LineItem.kind`: what goes with the load
    """
    terms = topology_terms(case.planned, Figures(settings.overrides, inputs.figures))
    total, by_use = np.zeros(1), np.zeros(1)
    for pool, engine, usage in zip(
        case.planned.settings.pools, case.planned.engines, replication.usage.pools, strict=True
    ):
        hardware = _hardware(engine, inputs)
        price = case.prices.pools[pool.name]
        if isinstance(price, OwnedPrices):
            fields = owned_fields(terms, pool.name)
            total = total + owned_usd_per_month(usage, fields, replication.usage.end_s, hardware)
            by_use = by_use + gpu_electricity_usd(usage, fields, replication.usage.end_s, hardware)
        else:
            lines = [line for line in replication.cost.lines if line.pool == pool.name]
            data = data_prices(terms, pool.name)
            factors = _rented_factors(price, data, inputs.gpu_path, hardware)
            total = total + _rented_usd(lines, factors)
            by_use = by_use + _rented_usd([line for line in lines if line.kind == "usage"], factors)
    providers = {provider.name for provider in case.planned.fleet.providers}
    bills = total_usd([line for line in replication.cost.lines if line.pool in providers])
    tokens = monte_carlo_usd_per_month(inputs.token_path, bills)
    return np.stack(np.broadcast_arrays(total + tokens, by_use + tokens))


def _rented_factors(
    price: RentedPrices, data: Mapping[str, Any], path: NDArray[np.float64], hardware: NDArray[np.float64]
) -> dict[str, Any]:
    """Each category of lines as a multiple of what it costs today, by draw.

    On demand at the month's price, commitments at that of the month in which their term began.
    """
    months = np.arange(path.shape[1] - 1)
    renewed = path[:, months - months % max(price.term_months, 1)].mean(axis=1)
    on_demand = monte_carlo_usd_per_month(path, 1.0)
    factor: dict[str, Any] = {"on demand": on_demand * hardware, "reserved": renewed * hardware}
    if price.egress_usd_per_gb > 0:
        now = price.egress_usd_per_gb * price.egress_bytes_per_output_token
        factor["egress"] = data["egress_usd_per_gb"] * data["egress_bytes_per_output_token"] / now
    if price.storage_gb > 0 and price.storage_usd_per_gb_month > 0:
        now = price.storage_usd_per_gb_month * price.storage_gb
        factor["storage"] = data["storage_usd_per_gb_month"] * data["storage_gb"] / now
    return factor


def _rented_usd(lines: Sequence[LineItem], factors: Mapping[str, Any]) -> NDArray[np.float64]:
    total = np.zeros(1)
    for line in lines:
        total = total + line.usd_per_month * factors[line.category]
    return np.asarray(total, dtype=np.float64)


def _measured(case: Case) -> list[PlannedEngine]:
    """Engines whose step time comes with a measured error."""
    return [engine for engine in case.planned.engines if engine.step_time.expected_error is not None]


def _hardware(engine: PlannedEngine, inputs: Inputs) -> NDArray[np.float64]:
    """Hardware for the same work as a multiple of what was simulated: 1 / speed factor; 1 where no error is known.

    Below saturation the throughput is what was offered, so the error of TPOT tells more of the speed.
    """
    error = engine.step_time.expected_error
    if error is None:
        return np.ones(1)
    return 1.0 / speed_factors(max(error.tpot, error.throughput), inputs.speed[engine.step_time.origin])


def _market(figures: Figures, name: str) -> PricePath:
    """Two-sided price path from 1 without drift."""
    monthly = figures("price.monthly_log_vol" if name == GPU_PRICE else "price.token_monthly_log_vol")
    return PricePath(1.0, 0.0, float(np.mean(monthly)) * math.sqrt(MONTHS_PER_YEAR))


def _market_range(figures: Figures, name: str, months: int) -> tuple[float, float, float]:
    """Central range of the mean price over the horizon, by a lognormal with the mean's own variance of logarithm.

    The mean over months of a Brownian logarithm has the variance v^2 (H + 1)(2H + 1)/(6H), v the monthly volatility.
    """
    monthly = _market(figures, name).volatility_per_year / math.sqrt(MONTHS_PER_YEAR)
    spread = monthly * math.sqrt((months + 1) * (2 * months + 1) / (6 * months))
    low = math.exp(-_normal_bound() * spread)
    return low, 1.0, 1.0 / low


def _normal_bound() -> float:
    from scipy.special import ndtri

    return float(ndtri((1 + COVERAGE) / 2))


def _constant_path(multiple: float, months: int) -> NDArray[np.float64]:
    """Today's price in month 0 and a multiple of it from month 1 on, shape (1, H + 1)."""
    return np.concatenate(([1.0], np.full(months, multiple)))[None, :]
