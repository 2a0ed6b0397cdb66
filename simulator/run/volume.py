"""Cost against volume, with bands from the draws, and how sure a crossing is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulator.decide.sensitivity import central_interval
from simulator.decide.volumes import SIDES, Costs, cheaper_sides
from simulator.run.uncertainty import COVERAGE, Draws

_POINTS = 41
_REACH = 2.0
"""Largest volume, as a multiple of the largest of the runs."""
_MARGIN = 1.25
"""Room to the right of the last crossing that is shown."""
_FARTHEST = 10.0
"""Crossings beyond this multiple of the largest volume are left to the words."""


def cost_curves(
    reports: Mapping[str, Costs],
    draws: Mapping[str, Draws],
    crossings: Sequence[float],
) -> pd.DataFrame:
    """Rows of `break_even.parquet`: the monthly cost of each topology over volumes.

    Lines of kind usage go with the tokens, the others stay: cost(q) = fixed + usage q / q_now.

    Parameters
    ----------
    reports : costs of the topologies, means over the replications
    draws : the same topologies' draws; without any the band is NaN
    crossings : break-even volumes in tokens per month, which the volumes shall reach beyond

    Returns
    -------
    frame : `topology`, `tokens_per_month`, `usd_per_month`, `usd_per_month_low`, `usd_per_month_high`
    """
    now = max(report.tokens_per_month for report in reports.values())
    near = [volume for volume in crossings if volume <= _FARTHEST * now]
    most = max([_REACH * now, *(_MARGIN * volume for volume in near)])
    volumes = np.linspace(0.0, most, _POINTS)
    return pd.concat([_curve(name, volumes, reports, draws) for name in reports], ignore_index=True)


def _curve(
    name: str, volumes: NDArray[np.float64], reports: Mapping[str, Costs], draws: Mapping[str, Draws]
) -> pd.DataFrame:
    report = reports[name]
    base = report.fixed_usd + volumes * report.usd_per_token
    low, high = _band(draws[name], volumes) if name in draws else (np.full(len(volumes), math.nan),) * 2
    return pd.DataFrame(
        {
            "topology": name,
            "tokens_per_month": volumes,
            "usd_per_month": base,
            "usd_per_month_low": low,
            "usd_per_month_high": high,
        }
    )


def _band(draws: Draws, volumes: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    fixed, per_token = _parts(draws)
    ends = np.array([central_interval(fixed + per_token * volume, COVERAGE)[::2] for volume in volumes])
    return ends[:, 0], ends[:, 1]


def _parts(draws: Draws) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What each draw costs before the first token, and for each token; 0 for it where none was delivered."""
    tokens = draws.tokens_per_month
    per_token = np.divide(draws.usage_usd_per_month, tokens, out=np.zeros(len(tokens)), where=tokens > 0)
    return draws.usd_per_month - draws.usage_usd_per_month, per_token


def crossing_draws(mine: Draws, rival: Draws, side: str) -> dict[str, Any]:
    """How sure a break-even is: on which side of what volume `mine` costs less than `rival` in how many draws.

    Parameters
    ----------
    side : on which it costs less by the prices of today, of `SIDES`

    Returns
    -------
    `share_cheaper` at the run's volume, `shares` by side, and the interval `tokens_per_month` over the draws that cross
    on the same side as today; None where today nothing crosses, or no draw does
    """
    (mine_fixed, mine_per_token), (rival_fixed, rival_per_token) = _parts(mine), _parts(rival)
    fixed, saving = mine_fixed - rival_fixed, rival_per_token - mine_per_token
    found = cheaper_sides(fixed, saving)
    crossing = found == side
    tokens = None
    if side in ("above", "below") and crossing.any():
        tokens = central_interval(fixed[crossing] / saving[crossing], COVERAGE)
    return {
        "coverage": COVERAGE,
        "share_cheaper": float(np.mean(mine.usd_per_month < rival.usd_per_month)),
        "shares": {name: float(np.mean(found == name)) for name in SIDES},
        "tokens_per_month": tokens and tokens._asdict(),
    }
