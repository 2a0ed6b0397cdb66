"""When owning is worth it: by volume, utilisation and units owned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.errors import InputError, Problem
from simulator.units import HOURS_PER_YEAR

Side = Literal["above", "below", "always", "never"]
SIDES: tuple[Side, ...] = ("above", "below", "always", "never")
"""Where a choice costs no more than another: from a volume on, up to one, at any, at none."""
_ROUNDING = 1e-12
"""Relative difference of two sums of the same line items in another order."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Monthly costs as a straight line over the volume: lines by use go with the tokens, the others stay.

    Attributes
    ----------
    tokens_per_month : of the run
    """

    fixed_usd: float
    usage_usd: float
    tokens_per_month: float

    @property
    def usd_per_token(self) -> float:
        return self.usage_usd / self.tokens_per_month if self.tokens_per_month else 0.0


def cheaper_volumes(mine: Costs, other: Costs) -> tuple[float, float] | None:
    """Tokens per month, from and to, for which `mine` is no more than `other`; None for none, to inf for all.

    With the difference F of the fixed costs and the saving s per token, s q >= F: from F/s on where it costs more
    before the first token and less for each, up to F/s where it is the other way round. Where
    both cost the same before the first token, but for rounding, the price of a token alone decides.
    """
    ours, theirs = mine.fixed_usd, other.fixed_usd
    fixed = 0.0 if math.isclose(ours, theirs, rel_tol=_ROUNDING) else ours - theirs
    saving = other.usd_per_token - mine.usd_per_token
    if fixed > 0:
        return (fixed / saving, math.inf) if saving > 0 else None
    if saving >= 0:
        return 0.0, math.inf
    return (0.0, fixed / saving) if fixed < 0 else None


def cheaper_sides(fixed_usd: ArrayLike, saving_usd_per_token: ArrayLike) -> NDArray[np.str_]:
    """Side of each draw, as `cheaper_volumes` has it.

    Parameters
    ----------
    fixed_usd : what the choice costs more per month before the first token, shape (n,)
    saving_usd_per_token : what it costs less for each token, shape (n,)
    """
    fixed, saving = np.asarray(fixed_usd), np.asarray(saving_usd_per_token)
    cases = [(fixed > 0) & (saving > 0), (fixed < 0) & (saving < 0), (fixed <= 0) & (saving >= 0)]
    return np.select(cases, list(SIDES[:3]), SIDES[3])


def owned_units(
    demand_units: ArrayLike, fixed_usd_per_year: float, rented_usd_per_hour: float, owned_usd_per_hour: float
) -> int:
    """Units to own when the rest of the demand is rented: smallest K with P(demand > K) <= F / ((c - v) * 8760).

    It is the smallest minimiser of F K + 8760 (v E[min(D, K)] + c E[max(D - K, 0)]) over whole K: unit K + 1 costs F
    and saves (c - v) in each hour with D > K. Without cold starts.

    Parameters
    ----------
    demand_units : whole units wanted, equally likely samples (as one an hour), shape (n,)
    fixed_usd_per_year : F, of one owned unit, at least 0
    rented_usd_per_hour, owned_usd_per_hour : c and v, of one unit in use

    Raises
    ------
    InputError : no samples, samples that are negative or not whole
    """
    demand = np.sort(np.asarray(demand_units, dtype=np.float64).ravel())
    if demand.size == 0 or not np.isfinite(demand).all() or (demand < 0).any() or (demand % 1 != 0).any():
        raise InputError(Problem("needs samples of whole units, at least 0", path="hybrid.demand_units"))
    saving_usd_per_year = (rented_usd_per_hour - owned_usd_per_hour) * HOURS_PER_YEAR
    levels = np.concatenate(([0.0], demand))
    exceeded = (demand.size - np.searchsorted(demand, levels, side="right")) / demand.size
    worth = exceeded * saving_usd_per_year <= fixed_usd_per_year
    return int(levels[np.argmax(worth)])
