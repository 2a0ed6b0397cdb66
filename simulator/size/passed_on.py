"""How many of a cascade's first answers do not pass its check, and a cascade that passes on more or fewer of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.simulate.demand import Demand
from simulator.study.fleet import CascadeSpec

_ROUNDING = 1e-9

Complexities = NDArray[np.float32]


def complexities(demand: Demand) -> Complexities:
    """Of the first requests that come by the clock, the least first; none where all users wait for their answers."""
    first = next(iter(demand.source(0).chunks()), None)
    return np.zeros(0, np.float32) if first is None else np.sort(first.complexity[: first.n_open])


def passed_on(rule: CascadeSpec, of: Complexities) -> float:
    """Share of the first answers that do not pass: s at random, and of the others those above the complexity."""
    return rule.share + (1.0 - rule.share) * _above(of, rule.max_complexity)


def passing_on(rule: CascadeSpec, factor: float, of: Complexities) -> CascadeSpec:
    """The cascade that passes so many times as many answers on, up to all.

    What passes at random is multiplied, up to all, and the complexity moves to where the whole share p is multiplied:
    a share s + (1 - s)·q = min(factor·p, 1), with q of the requests above it. Where many requests are of one
    complexity, no limit splits them: what is left of p goes on at random.
    """
    whole, share = min(factor * passed_on(rule, of), 1.0), min(factor * rule.share, 1.0)
    if math.isinf(rule.max_complexity) or not of.size or share == 1.0:
        return replace(rule, share=share)
    k = math.floor(of.size * (whole - share) / (1.0 - share) + _ROUNDING)
    limit = -1.0 if k >= of.size else float(of[of.size - 1 - k])
    above = _above(of, limit)
    return replace(rule, max_complexity=limit, share=(whole - above) / (1.0 - above) if above < 1.0 else share)


def _above(of: Complexities, limit: float) -> float:
    return float(np.mean(of > np.float32(limit))) if of.size else 0.0
