"""When clocks are put forward and back, by the dates that the law sets for a year."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from simulator.study.zones import changes_between

FIRST = datetime(1970, 1, 5, tzinfo=UTC)
HOUR_S, DAY_S = 3600.0, 86_400.0


def moment(*when: int) -> float:
    return (datetime(*when, tzinfo=UTC) - FIRST).total_seconds()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("zone", "spring", "autumn"),
    [
        ("Europe/Berlin", moment(2026, 3, 29, 1), moment(2026, 10, 25, 1)),
        ("America/New_York", moment(2026, 3, 8, 7), moment(2026, 11, 1, 6)),
    ],
)
def test_clocks_change_twice_in_a_year_and_within_a_span_strictly(zone: str, spring: float, autumn: float) -> None:
    for begin in (moment(2026, 1, 1), moment(2026, 1, 2)):  # days before the change are even, and odd
        year = changes_between(begin, begin + 364 * DAY_S, zone)
        assert year == ((spring - begin, 1.0), (autumn - begin, -1.0))
        assert changes_between(begin, spring + HOUR_S, zone) == ((spring - begin, 1.0),)
    assert changes_between(spring - HOUR_S, spring, zone) == ()
    assert changes_between(spring, spring + HOUR_S, zone) == ()
    assert changes_between(spring - 1.0, spring + 1.0, zone) == ((1.0, 1.0),)
    assert changes_between(spring + HOUR_S, autumn - HOUR_S, zone) == ()


def test_zones_without_summer_never_change() -> None:
    assert changes_between(moment(2026, 1, 1), moment(2026, 12, 31), "Asia/Tokyo") == ()
