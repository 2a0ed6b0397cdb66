"""Curves that lie over each other are all seen: those beneath are wider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import altair as alt
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

_WIDTH = "width"
_LINE_PX, _RIM_PX, _MOST_RIMS = 2, 4, 2
"""Of a curve that nothing covers; what each that covers it adds, and how many of them at most."""
_NEAR, _MOSTLY = 0.01, 0.5
"""Share of the height within which one curve covers another, and of its points at which it does."""

WIDTH = alt.StrokeWidth(f"{_WIDTH}:Q", scale=None, legend=None)
"""Encoding of lines of data that `with_widths` gave."""


def with_widths(data: pd.DataFrame, x: str, y: str, by: Sequence[str] = ("topology",), apart: str = "") -> pd.DataFrame:
    """The same points of curves that go on as steps, with the width of each curve's line.

    Parameters
    ----------
    by : columns that tell curves apart; they are drawn in the order in which these first come
    apart : column of `by` whose curves are seen through each other, as dashed ones are
    """
    keys = list(zip(*(data[name] for name in by), strict=True))
    curves = {
        key: points[[x, y]].dropna().to_numpy(float) for key, points in data.groupby(list(by), sort=False, dropna=False)
    }
    heights = np.concatenate([points[:, 1] for points in curves.values()]) if curves else np.zeros(0)
    near = _NEAR * float(np.ptp(heights)) if len(heights) else 0.0
    names, side = list(curves), [*by].index(apart or by[0])
    above = {
        name: sum(
            _covers(curves[other], curves[name], near)
            for other in names[k + 1 :]
            if not apart or other[side] == name[side]
        )
        for k, name in enumerate(names)
    }
    widths = [_LINE_PX + _RIM_PX * min(above[key], _MOST_RIMS) for key in keys]
    return data.assign(**{_WIDTH: widths})


def _covers(upper: NDArray[np.float64], lower: NDArray[np.float64], near: float) -> bool:
    """Whether a curve lies over most of another's points."""
    if not len(upper) or not len(lower):
        return False
    x = lower[:, 0]
    over = (x >= upper[0, 0]) & (x <= upper[-1, 0])
    apart = np.abs(_heights(upper, x) - _heights(lower, x))
    return bool(np.mean(over & (apart <= near)) >= _MOSTLY)


def _heights(points: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a curve, where it rises at one place its upper end."""
    at = np.searchsorted(points[:, 0], x, side="right") - 1
    found: NDArray[np.float64] = points[np.maximum(at, 0), 1]
    return found
