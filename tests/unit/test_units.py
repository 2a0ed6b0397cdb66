"""Lengths of time in words."""

from __future__ import annotations

import pytest

from simulator.units import rough, rough_span_words, span_words


@pytest.mark.parametrize(
    ("seconds", "exact", "estimated"),
    [
        (0.5, "0.5 s", "0 s"),
        (59.6, "59.6 s", "60 s"),
        (119.4, "1.99 min", "119 s"),
        (120.0, "2 min", "2 min"),
        (5_400.0, "1.5 h", "90 min"),
        (7_200.0, "2 h", "2 h"),
        (129_600.0, "36 h", "36 h"),
        (302_400.0, "84 h", "3.5 days"),
        (24_000_000.0, "6667 h", "278 days"),
        (106_617_600.0, "29,616 h", "1,234 days"),
    ],
)
def test_a_time_is_told_exactly_or_as_one_estimates_it(seconds: float, exact: str, estimated: str) -> None:
    assert (span_words(seconds), rough_span_words(seconds)) == (exact, estimated)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        *((0.0, "0"), (0.01236, "0.0124"), (1.0, "1"), (12.34, "12.3"), (99.94, "99.9"), (99.96, "100")),
        *((100.4, "100"), (999.6, "1,000"), (1234.5, "1,234"), (-2500.0, "-2,500"), (3_400_000.0, "3,400,000")),
    ],
)
def test_a_rate_is_told_in_three_digits_and_never_by_powers_of_ten(value: float, told: str) -> None:
    assert rough(value) == told
