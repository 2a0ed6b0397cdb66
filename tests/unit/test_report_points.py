"""Points of a chart that lie over each other are all seen."""

from __future__ import annotations

import math
import warnings

import pytest

from simulator.report.charts import seen_sizes


def test_what_lies_beneath_has_a_rim() -> None:
    """Two fleets that are the same, and one of nearly their cost: the first is drawn under both."""
    across, up = [50_778.0, 44_869.0, 50_778.0, 51_000.0, 70_229.0], [0.9975, 0.97, 0.9975, 0.9974, 0.9998]
    assert seen_sizes(across, up, 100.0) == [300.0, 100.0, 200.0, 100.0, 100.0]


def test_points_apart_are_alike() -> None:
    assert seen_sizes([1.0, 2.0, 3.0], [5.0, 5.0, 5.0], 160.0) == [160.0] * 3
    assert seen_sizes([1.0], [5.0], 160.0) == [160.0]
    assert seen_sizes([], [], 160.0) == []


@pytest.mark.parametrize("unknown", [None, math.nan])
def test_what_is_not_known_covers_nothing(unknown: float | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert seen_sizes([1.0, unknown, 1.0], [2.0, 2.0, 2.0], 10.0) == [20.0, 10.0, 10.0]
        assert seen_sizes([unknown, unknown], [2.0, 2.0], 10.0) == [10.0, 10.0]


def test_many_over_each_other_grow_no_further() -> None:
    assert max(seen_sizes([1.0] * 30, [2.0] * 30, 10.0)) == 50.0
