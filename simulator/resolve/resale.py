"""What a server brings that is sold, by its age."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.resolve.figures import Figures
from simulator.schema.money import ResaleSettings
from simulator.study.terms import Money

_FIGURE = "onprem.residual_fraction"
_YEARS = tuple(range(1, 6))
"""Ages for which it has a share."""

ByAge = tuple[tuple[float, Money], ...]
"""(age in years, share of the price), by rising age."""


def resale(
    by_age: tuple[str, Sequence[ResaleSettings]] | None,
    residual: tuple[str, float] | None,
    life_years: Money,
    figures: Figures,
) -> tuple[Money, ByAge]:
    """Share of its price that a server brings after its life, and shares at the ages known.

    Ages are those that the scenario gives, else the catalog's; these move in proportion with a `residual_share`, unless
    the scenario sets the figure itself.

    Parameters
    ----------
    by_age, residual : what the scenario says, each with its path
    """
    if by_age is not None:
        path, rows = by_age
        said = [figures.given(f"{path}[{k}].share", row.share, "of the price") for k, row in enumerate(rows)]
        ages: ByAge = tuple((row.age_years, share) for row, share in zip(rows, said, strict=True))
        ages = ages if ages[0][0] == 0.0 else ((0.0, 1.0), *ages)
    else:
        ages = tuple((float(years), figures(_FIGURE, f"{12 * years}m")) for years in _YEARS)
    usual = _at_age(ages, life_years)
    if residual is None:
        return usual, ages
    if by_age is None and not figures.is_overridden(_FIGURE):
        ages = _in_proportion(ages, residual[1], usual)
    return figures.given(*residual, "of the price"), ages


def _at_age(shares: ByAge, years: Money) -> Money:
    """Share of the price at an age, linear between the ages known and flat beyond."""
    found = np.interp(years, [age for age, _ in shares], [float(np.mean(share)) for _, share in shares])
    return found if np.ndim(found) else float(found)


def _in_proportion(ages: ByAge, residual: float, usual: Money) -> ByAge:
    """Shares by age of a server that brings another one at the end of its life: at all ages as much more, or less.

    So one that brings nothing then brings nothing before, and none brings more than its price.
    """
    end = np.asarray(usual, dtype=np.float64)
    times = np.where(end > 0, residual / np.where(end > 0, end, 1.0), 1.0)
    points = ((0.0, 1.0), *ages)
    found = [(age, np.minimum(np.asarray(share, dtype=np.float64) * times, 1.0)) for age, share in points]
    return tuple((age, share if share.ndim else float(share)) for age, share in found)
