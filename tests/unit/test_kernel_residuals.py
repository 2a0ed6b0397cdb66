"""What a fit of kernels looks at, and what is left of the error, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calibrate.kernels import fit as place
from calibrate.kernels.fit import Residuals, fit_log, residuals, rounded


def test_errors_are_of_the_modelled_over_the_measured_time() -> None:
    found = residuals(np.array([1.1, 1.6, 3.0]), np.array([1.0, 2.0, 3.0]), {"m": np.array([4.0, 1.0, 9.0])})
    assert found.points == 3
    assert (found.median_abs, found.p90_abs, found.bias) == (
        pytest.approx(0.1),
        pytest.approx(0.18),
        pytest.approx(0.0, abs=1e-15),
    )
    assert found.ranges == {"m": [1.0, 9.0]}


def test_figures_of_a_file_have_six_digits() -> None:
    assert (rounded(1.23456789), rounded(-1234567.8), rounded(0.0)) == (1.23457, -1234570.0, 0.0)
    found = Residuals(7, 0.123456789, 1.0, -0.0000123456789, {"m": [1.0, 2.0]}).record()
    assert found == {"points": 7, "median_abs": 0.123457, "p90_abs": 1.0, "bias": -1.23457e-05, "ranges": {"m": [1, 2]}}


@pytest.mark.parametrize(("points", "looked_at"), [(5, 5), (10, 10), (11, 6), (20, 10), (21, 7)])
def test_a_fit_looks_at_some_thousand_points_evenly(
    points: int, looked_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "MOST_POINTS", 10)
    seen: set[tuple[int, ...]] = set()

    def model(parameters: Any, at: Any) -> Any:
        seen.add(tuple(at.tolist()))
        return parameters[0] * (at + 1.0)

    found = fit_log(model, 3.0 * (np.arange(points) + 1.0), [1.0], [0.0], [10.0])
    assert found == pytest.approx([3.0], rel=1e-6)
    ((places),) = seen
    assert len(places) == looked_at
    assert places == tuple(range(0, points, places[1]))


def test_a_start_beyond_its_bounds_begins_at_them() -> None:
    measured = np.full(4, 5.0)
    found = fit_log(lambda p, at: np.full(len(at), p[0]), measured, [50.0], [0.0], [4.0])
    assert found == pytest.approx([4.0], rel=1e-3), "as near as it may come"
