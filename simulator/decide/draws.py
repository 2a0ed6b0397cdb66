"""How sure the costs are: draws of prices and cost figures, the same for all topologies of a scenario."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulator.bill.study import study_usd_per_month, with_commitments_of
from simulator.bill.sums import mean
from simulator.bill.unit import usd_per_million
from simulator.decide.costed import month_uses
from simulator.decide.rivals import cheapest_in, share_together
from simulator.decide.sensitivity import (
    Interval,
    PricePath,
    Swing,
    central_interval,
    price_paths_usd,
    tornado,
    triangular,
)
from simulator.resolve.figures import Figures
from simulator.resolve.terms import ResolvedTerms, spelled_terms
from simulator.resolve.topology import PlannedTopology
from simulator.rng import stream
from simulator.simulate.priced import Priced, Replication
from simulator.study.terms import Money, Terms
from simulator.units import MONTHS_PER_YEAR

COVERAGE = 0.9
"""Share of the draws within the intervals that are shown."""
GPU_PRICE, TOKEN_PRICE = "price of rented GPUs", "price of tokens"
"""Inputs that are no cost figures: mean price over the study as a multiple of today's."""
_LEAST_SWING_USD = 0.005
_RANGE_PATHS = 10_000
Overrides = Mapping[str, float]
"""Cost figures that the scenario sets, by id; they are certain."""


@dataclass(frozen=True, slots=True)
class Case:
    """One topology with its results: what its costs are drawn from."""

    planned: PlannedTopology
    prices: ResolvedTerms
    priced: Priced

    @property
    def replications(self) -> Sequence[Replication]:
        return self.priced.replications


@dataclass(frozen=True, slots=True)
class Inputs:
    """Draws of everything uncertain; all arrays are paired by position.

    Attributes
    ----------
    figures : cost figures by id, shape (n,)
    gpu_path, token_path : market price as a multiple of today's at the end of months 0 to horizon, shape (n, H + 1)
    """

    figures: Mapping[str, Money]
    gpu_path: NDArray[np.float64]
    token_path: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Draws:
    """Cost of one topology in each draw, shape (n,): USD per month, and tokens per month."""

    usd_per_month: NDArray[np.float64]
    tokens_per_month: NDArray[np.float64]

    @property
    def usd_per_million_tokens(self) -> NDArray[np.float64] | None:
        """None where no token is there to divide by, in any draw."""
        found = usd_per_million(self.usd_per_month, self.tokens_per_month)
        return None if found is None else np.asarray(found, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class HowSure:
    """What the draws say of one topology.

    Attributes
    ----------
    draws : how many
    usd_per_month, usd_per_million_tokens : median and central `COVERAGE`
    cheapest, cheapest_meeting : share of the draws in which no other one costs less, of all and of those that meet the
        SLO; None where it misses it. Equal bills both count, so the shares may add up to more than 1
    cheapest_in : the draws behind the latter, shape (draws,)
    """

    draws: int
    usd_per_month: Interval
    usd_per_million_tokens: Interval
    cheapest: float
    cheapest_meeting: float | None
    cheapest_in: NDArray[np.bool_] | None


def draw_inputs(cases: Sequence[Case], overrides: Overrides, n: int, seed: int) -> Inputs:
    """Draws for all topologies of a scenario, `n` of them, from streams named by what is drawn."""
    months = _months(cases[0])
    ranges: dict[str, tuple[float, float, float]] = {}
    for case in cases:
        ranges |= case.prices.ranges
    figures = Figures(overrides)
    return Inputs(
        {name: triangular(*ranges[name], n, seed, name) for name in sorted(ranges)},
        price_paths_usd(_market(figures, GPU_PRICE), months, n, seed, "gpu rental"),
        price_paths_usd(_market(figures, TOKEN_PRICE), months, n, seed, "tokens"),
    )


def draw_costs(
    case: Case, overrides: Overrides, inputs: Inputs, seed: int, shifts_usd: tuple[float, float] = (0.0, 0.0)
) -> Draws:
    """Cost of a topology in each draw; replications are drawn with replacement, the same for all topologies.

    Servers and committed instances are those that were bought: draws move prices alone, and the size where the error of
    the speed is known. As that is a median, a quarter of the draws is slower by it and a quarter faster.

    Parameters
    ----------
    shifts_usd : what the size needed costs more per month where the engine is slower, and where it is faster
    """
    r, n = len(case.replications), len(inputs.gpu_path)
    terms = _drawn_terms(case, overrides, inputs)
    each = [study_usd_per_month(terms, month_uses(case.priced.walked, k)) for k in range(r)]
    usd = np.stack([np.broadcast_to(np.asarray(one), (n,)) for one in each], axis=-1)
    tokens = np.array([found.tokens.delivered for found in case.replications])
    weights = stream(seed, "cost", "replications").multinomial(r, np.full(r, 1 / r), size=n) / r
    speeds = stream(seed, "cost", "speed").choice(3, size=n, p=(0.25, 0.5, 0.25))
    shifts = np.array([shifts_usd[0], 0.0, shifts_usd[1]])[speeds]
    return Draws((weights * usd).sum(axis=-1) + shifts, weights @ tokens)


def _drawn_terms(case: Case, overrides: Overrides, inputs: Inputs) -> Terms:
    """Terms with drawn prices, and the commitments that are entered at today's."""
    drawn = spelled_terms(case.prices.spells, Figures(overrides, inputs.figures))
    drawn = replace(
        drawn,
        rental_index=np.ascontiguousarray(inputs.gpu_path.T),
        token_index=np.ascontiguousarray(inputs.token_path.T),
    )
    return with_commitments_of(drawn, case.priced.terms)


def summarise_draws(draws: Mapping[str, Draws], meeting: Sequence[str]) -> dict[str, HowSure]:
    """Per topology: intervals of its costs, and the share of the draws in which it is the cheapest.

    Parameters
    ----------
    meeting : topologies that meet the SLO; their shares are given among themselves as well
    """
    usd = {name: found.usd_per_month for name, found in draws.items()}
    every = cheapest_in(usd)
    among = cheapest_in({name: usd[name] for name in meeting})
    return {
        name: HowSure(
            len(found.usd_per_month),
            central_interval(found.usd_per_month, COVERAGE),
            _interval(found.usd_per_million_tokens),
            share_together(every, [name]),
            share_together(among, [name]) if name in among else None,
            among.get(name),
        )
        for name, found in draws.items()
    }


def _interval(values: NDArray[np.float64] | None) -> Interval:
    return Interval(math.inf, math.inf, math.inf) if values is None else central_interval(values, COVERAGE)


def tornado_of(case: Case, overrides: Overrides) -> tuple[Swing, ...]:
    """Swing of USD per month with each uncertain input alone, widest first; those that move nothing are left out."""
    figures = Figures(overrides)
    ranges = dict(case.prices.ranges)
    if case.priced.terms.rented:
        ranges[GPU_PRICE] = _market_range(figures, GPU_PRICE, _months(case))
    if case.priced.terms.apis:
        ranges[TOKEN_PRICE] = _market_range(figures, TOKEN_PRICE, _months(case))

    def usd(values: Mapping[str, float]) -> float:
        inputs = Inputs(
            {name: value for name, value in values.items() if name in case.prices.ranges},
            _from_month_1(values.get(GPU_PRICE, 1.0)),
            _from_month_1(values.get(TOKEN_PRICE, 1.0)),
        )
        return mean(study_usd_per_month(_drawn_terms(case, overrides, inputs), case.priced.months))

    return tuple(swing for swing in tornado(usd, ranges) if swing.width_usd >= _LEAST_SWING_USD)


def _months(case: Case) -> int:
    return math.ceil(case.priced.terms.months)


def _market(figures: Figures, name: str) -> PricePath:
    """Two-sided price path from 1 without drift."""
    monthly = figures("price.monthly_log_vol" if name == GPU_PRICE else "price.token_monthly_log_vol")
    return PricePath(1.0, 0.0, mean(monthly) * math.sqrt(MONTHS_PER_YEAR))


def _market_range(figures: Figures, name: str, months: int) -> tuple[float, float, float]:
    """Central range of the mean price over the months, of as many paths as tell its ends to a percent."""
    return _central_range(_market(figures, name), months)


@lru_cache(maxsize=64)
def _central_range(path: PricePath, months: int) -> tuple[float, float, float]:
    means = price_paths_usd(path, months, _RANGE_PATHS, 0, "range").T[1:].mean(axis=0)
    found = central_interval(means, COVERAGE)
    return found.low, path.start_usd, found.high


def _from_month_1(multiple: float) -> NDArray[np.float64]:
    """Today's price in month 0 and a multiple of it in all others, shape (2,)."""
    return np.array([1.0, multiple])
