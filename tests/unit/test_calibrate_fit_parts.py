"""Parts of the fit of step times, by hand: gaps between steps, errors by regime, knots; and what drafts come to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calibrate.fit.drafts import MeasuredDrafts
from calibrate.fit.fit import _between, _knots, _only, by_regime
from calibrate.fit.points import Points, join
from calibrate.fit.solve import Solution
from calibrate.recording.steps import Steps, steps_from_batches
from simulator.perf.profile import StepCoefficients

NONE = np.zeros(0)


def decodes(sequences: list[int], gaps_s: list[float]) -> Steps:
    return steps_from_batches([1.0] * len(sequences), [[[1, 8]] * many for many in sequences], gaps_s)


def test_the_gap_after_a_step_grows_with_its_sequences() -> None:
    """A step of n sequences is followed by 2 ms and 0.5 ms for each of them; the first step follows none."""
    sequences = [1, 2, 4, 8, 3, 1]
    gaps_s = [9.0, *(0.002 + 0.0005 * n for n in sequences[:-1])]
    assert _between(decodes(sequences, gaps_s)) == pytest.approx((0.002, 0.0005), rel=1e-4)
    unknown = [float("nan"), *gaps_s[1:3], float("nan"), *gaps_s[4:]]
    assert _between(decodes(sequences, unknown)) == pytest.approx((0.002, 0.0005), rel=1e-4)
    outlier = [*gaps_s[:-1], 5.0]
    assert _between(decodes([*sequences[:-1], 1], outlier))[0] < 0.01, "one that is far off counts little"
    assert _between(decodes(sequences, [9.0, *[0.0] * 5])) == (0.0, 0.0)
    assert _between(decodes([1, 2], [0.5, float("nan")])) == (0.0, 0.0), "no gap is known"
    falling = [9.0, *(0.01 - 0.001 * n for n in sequences[:-1])]
    assert _between(decodes(sequences, falling))[1] == pytest.approx(0.0, abs=1e-6), "neither part is below 0"


def solution(step_s: float) -> Solution:
    """Every step takes as long."""
    values = np.array([step_s, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    return Solution(StepCoefficients(values, NONE, NONE, np.zeros(0, np.int64)), NONE, NONE)


def test_errors_are_told_by_what_a_step_held() -> None:
    batches = [[[8, 0]], [[8, 0]], [[1, 4]], [[1, 4]], [[1, 4]]]
    found = by_regime(solution(1.0), steps_from_batches([2.0, 0.5, 1.0, 0.8, 1.25], batches))
    assert set(found) == {"prefill", "decode"}, "no step held both"
    prefill, decode = found["prefill"], found["decode"]
    assert (prefill.points, prefill.median, prefill.bias) == (2, 0.75, 0.25)  # of -0.5 and 1
    assert (decode.points, decode.median, decode.bias) == (3, pytest.approx(0.2), pytest.approx(0.0))
    assert decode.p90 == pytest.approx(0.24), "of 0, 0.2 and 0.25"


def points(tokens: list[int]) -> Points:
    steps = steps_from_batches([1.0] * len(tokens), [[[many, 0]] for many in tokens])
    return Points(steps, np.arange(1, len(tokens) + 1), np.arange(len(tokens)))


def test_knots_are_powers_of_two_that_three_points_lie_near_up_to_usual_batches() -> None:
    assert _knots(points([1, 1, 1, 2, 3, 4, 7, 8, 9, 250, 256, 260, 500, 512, 520])) == [1.0, 8.0, 256.0]
    assert _knots(points([7, 8])) == []
    assert _knots(points([3, 4, 5])) == [4.0]


def test_a_part_of_the_points_keeps_their_repeats() -> None:
    found = _only(points([1, 2, 4]), np.array([True, False, True]))
    assert (found.steps.tokens.tolist(), found.repeats.tolist()) == ([1.0, 4.0], [1, 3])


def test_steps_that_are_nearly_alike_become_one_point() -> None:
    batches = [[[1, 1000]], [[1, 1001]], [[1, 1002]], [[1, 1200]], [[1, 1000]] * 2]
    found = join(steps_from_batches([1.0, 5.0, 2.0, 7.0, 3.0], batches, [0.1, 0.2, 0.6, 0.4, 0.5]))
    order = np.argsort(found.steps.duration_s)
    assert found.repeats[order].tolist() == [3, 1, 1]
    assert found.steps.duration_s[order].tolist() == [2.0, 3.0, 7.0]
    assert found.steps.gap_s[order].tolist() == [0.2, 0.5, 0.4]
    assert found.steps.decode_context[order].tolist() == [1002.0, 2002.0, 1201.0]
    assert len({*found.members[:3]}) == 1
    assert len({*found.members.tolist()}) == 3


def drafts(steps: int, with_drafts: int, after_some: int, ended: int, **more: Any) -> MeasuredDrafts:
    return MeasuredDrafts(
        np.array([8, 4, 0]),
        np.array([6, 1, 0]),
        steps=steps,
        with_drafts=with_drafts,
        after_some=after_some,
        ended=ended,
    )


def test_drafts_are_accepted_by_all_before_them_too() -> None:
    assert drafts(1, 1, 0, 0).acceptance_by_position == [0.75, 0.75 * 0.25, 0.0]


@pytest.mark.parametrize(
    ("counts", "share", "run_steps"),
    [
        ((0, 0, 0, 0), 1.0, 0.0),
        ((10, 10, 9, 0), 1.0, 0.0),
        ((10, 10, 9, 3), 1.0, 0.0),
        ((10, 5, 4, 0), 0.5, 0.0),
        ((10, 5, 12, 4), 0.5, 3.0),
        ((10, 8, 12, 4), 0.8, 4.0),
        ((10, 2, 2, 4), 0.2, 1.0),
    ],
)
def test_a_run_of_drafts_is_as_long_as_it_ends_seldom(
    counts: tuple[int, int, int, int], share: float, run_steps: float
) -> None:
    found = drafts(*counts)
    assert (found.drafted_share, found.drafted_run_steps) == (share, pytest.approx(run_steps))


def test_keys_of_drafts_say_how_often_there_are_any_where_they_are_looked_up() -> None:
    alone = {"num_speculative_tokens": 3, "acceptance_by_position": [0.75, 0.1875, 0.0]}
    assert drafts(10, 5, 12, 4).keys(False) == alone
    assert drafts(10, 10, 9, 0).keys(True) == alone
    assert drafts(10, 5, 12, 4).keys(True) == alone | {"drafted_share": 0.5, "drafted_run_steps": 3.0}
    assert drafts(10, 5, 4, 0).keys(True) == alone | {"drafted_share": 0.5}
    assert drafts(3, 2, 3, 4).keys(True) == alone | {"drafted_share": 0.6667, "drafted_run_steps": 2.01}
    assert drafts(100_000, 1, 0, 0).keys(True) == alone | {"drafted_share": 0.0001}
