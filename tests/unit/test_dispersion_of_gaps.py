"""How much the number of arrivals varies whose gaps are gamma: cv² in the long run, corrected for a finite mean."""

from __future__ import annotations

import pytest

from simulator.metrics.demand import _of_gamma_gaps


@pytest.mark.parametrize(
    ("cv", "n", "right"),
    [
        (1.0, 5, 1.0),
        (2.0, 100, 4 - 15 / 600),
        (2.0, 1, 1.5),
        (2.0, 0, 1.5),
        (0.5, 10, 0.25 + 0.9375 / 60),
        (3.0, 1, 1.0),
        (0.0, 10**9, 1 / 6 / 10**9),
    ],
)
def test_the_index_of_dispersion_is_that_of_a_renewal_process(cv: float, n: int, right: float) -> None:
    """Var N ≈ cv² m + (1 − cv⁴) / 6 for m arrivals in the mean (skewness of gamma gaps 2 cv); more regular than random
    only where the gaps are."""
    assert _of_gamma_gaps(cv, n) == pytest.approx(right)
