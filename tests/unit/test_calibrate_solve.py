"""What the fit of step times begins from and looks at, number by number."""

from __future__ import annotations

from math import e, log

import numpy as np
import pytest

from calibrate.fit.points import Points
from calibrate.fit.solve import _binds, _covariance, _Model, _start, _start_launches
from calibrate.recording.steps import Steps
from simulator.perf.profile import StepCoefficients


def steps(duration_s: list[float], **columns: list[float]) -> Steps:
    """Steps of one token and one sequence that decode, unless columns say otherwise."""
    one, none = np.ones(len(duration_s)), np.zeros(len(duration_s))
    known = {"tokens": one, "sequences": one, "prefill_units": none, "decode_context": none}
    given = {name: np.array(columns[name], np.float64) if name in columns else value for name, value in known.items()}
    gap_s = np.full(len(one), np.nan)
    return Steps(np.array(duration_s), gap_s, *given.values(), none.astype(np.int64), none.astype(bool))


def test_each_coefficient_begins_as_if_it_were_alone_in_the_steps_that_have_most_of_it() -> None:
    found = _start(
        steps(
            [0.1, 0.2, *[1.2] * 19],
            tokens=list(range(1, 22)),
            sequences=[2, *[0] * 20],
            prefill_units=[5] * 21,
            decode_context=[0, 0, 11, *[0] * 18],
        )
    )
    # 0.2 s bounds a twentieth of 21 steps: half of it is the host's, as much the weights'; 1.1 s are left of a long one
    tokens_s = 0.8 * (1.1 / 19 + 1.1 / 20) / 2  # the median of the fifth with most tokens: 18 to 21
    sequences_s = 0.1 * 0.01 / 2  # of a step that ends before the host's half of it: a tenth of that
    assert found == pytest.approx([0.1, 0.1, tokens_s, 2.0, sequences_s, 0.2 * 0.1, 0.3 * 1.1 / 11])


def test_launches_begin_at_the_median_of_the_steps_that_they_bound() -> None:
    given = steps([5.0, 0.4, 0.2, 0.5, 0.7, 0.9], tokens=[8, 8, 2, 9, 16, 17], prefill_units=[0, 1, 1, 1, 0, 1])
    assert _start_launches(given, np.array([1, 2, 8])) == pytest.approx([0.3, 0.6])
    assert _start_launches(given, np.array([1])) == pytest.approx([0.2, 0.2]), "the shortest where there is none"
    assert len(_start_launches(given, np.zeros(0, np.int64))) == 0


@pytest.mark.parametrize(("pieces_s", "eager_s"), [(0.2, 0.05), (0.05, 0.2), (0.2, 0.2), (0.05, 0.05)])
def test_launches_bind_where_a_step_is_as_long_as_they_are(pieces_s: float, eager_s: float) -> None:
    none = np.zeros(0)
    values = np.array([0.1, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, pieces_s, eager_s])
    found = _binds(
        StepCoefficients(values, none, none, np.array([4, 8])), steps([1.0] * 2, tokens=[8, 9], prefill_units=[1, 1])
    )
    assert found.tolist() == [pieces_s > 0.1, eager_s > 0.1]


def test_uncertainty_is_of_what_lies_within_its_bounds() -> None:
    jacobian = np.array([[1.0, 7.0, 0.0], [2.0, 7.0, 0.0], [2.0, 7.0, 0.5]])
    low, high = np.array([0.0, 0.0, 0.0]), np.array([1.0, 1.0, 1.0])
    for at_bound in (0.0, 1.0):
        found = _covariance(jacobian, np.array([-1.0, 2.0, -30.0]), low, high, np.array([0.002, at_bound, 0.998]))
        # 1.4826 median absolute deviations are a standard deviation; (J^T J)^-1 of columns 1 and 3 by hand
        inverse = np.array([[0.25, -1.0], [-1.0, 9.0]]) / (9 * 0.25 - 1.0)
        assert found[np.ix_([0, 2], [0, 2])] == pytest.approx(inverse * (1.4826 * 2) ** 2)
        assert not found[1].any()
        assert not found[:, 1].any()


def test_a_point_counts_by_the_root_of_its_repeats_up_to_three() -> None:
    given = steps([0.1 / e] * 4)
    points = Points(given, np.array([1, 4, 9, 16]), np.arange(4))
    model = _Model(points, np.ones(7), np.zeros(0, np.int64), knots=np.array([1.0, 8.0]), stiffness=0.5)
    logs = np.log([0.1, 1e-13, 1e-13, 1.0, 1e-13, 1e-13, 1e-13, 1.0, e**3])
    assert model._residual(logs) == pytest.approx([1.0, 2.0, 3.0, 3.0, 0.0, 1.5])


def test_the_solver_stays_within_a_billionth_and_a_thousand_times_the_magnitudes() -> None:
    points = Points(steps([1.0]), np.array([1]), np.arange(1))
    magnitudes = np.array([1.0, 2.0, 3.0, 2.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    low, high = _Model(points, magnitudes, np.array([8]), knots=np.array([4.0]))._bounds()
    assert low[[0, 2, 8]] == pytest.approx([log(1e-9), log(3e-9), log(8e-9)])
    assert high[[0, 2, 6]] == pytest.approx([log(1e3), log(3e3), log(6e3)])
    assert (low[3], high[3]) == (0.0, pytest.approx(log(8))), "the sharpness: from a sum to nearly a maximum"
    assert high[7:9] == pytest.approx([log(1.25 * 7), log(1.25 * 8)]), "no step ends before its launches"
    assert (low[9], high[9]) == (-0.5, 0.5)
