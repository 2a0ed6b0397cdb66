"""Lengths of time in words."""

from __future__ import annotations

import pytest

from simulator.units import rough_span_words, span_words


@pytest.mark.parametrize(
    ("seconds", "exact", "rough"),
    [
        (0.5, "0.5 s", "0 s"),
        (59.6, "59.6 s", "60 s"),
        (119.4, "1.99 min", "119 s"),
        (120.0, "2 min", "2 min"),
        (5_400.0, "1.5 h", "90 min"),
        (7_200.0, "2 h", "2 h"),
        (129_600.0, "36 h", "36 h"),
        (302_400.0, "84 h", "3.5 days"),
    ],
)
def test_a_time_is_told_exactly_or_as_one_estimates_it(seconds: float, exact: str, rough: str) -> None:
    assert (span_words(seconds), rough_span_words(seconds)) == (exact, rough)
