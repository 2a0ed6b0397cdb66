"""Load and used capacity by day and hour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from simulator.report.calendar_chart import by_hour, calendar_charts

HOUR_S, DAY_S = 3600.0, 86_400.0
POOLS = [{"name": "own", "replica_capacity_rps": 2.0}, {"name": "odd", "replica_capacity_rps": None}]


def tables(arrived: Sequence[Sequence[int]], period_s: float, ready: int = 1) -> Any:
    """A reader of two replications, the second with twice the requests; each period's went to own, odd and nowhere."""
    came = [
        {"topology": "t", "replication": k, "time_s": n * period_s, "period_s": period_s, "target": target}
        | {"arrived": (k + 1) * count}
        for k in range(2)
        for n, counts in enumerate(arrived)
        for target, count in zip(("own", "odd", ""), counts, strict=True)
    ]
    state = [
        {"topology": "t", "replication": k, "time_s": n * period_s, "pool": pool["name"], "ready": ready}
        for k in range(2)
        for n in range(len(arrived))
        for pool in POOLS
    ]
    found = {"demand": pd.DataFrame(came), "fleet": pd.DataFrame(state)}
    return found.__getitem__


def test_each_cell_is_what_came_in_its_time() -> None:
    read = tables([(3600, 0, 0), (0, 1800, 1800), *[(0, 0, 0)] * 23, (7200, 0, 0)], HOUR_S)
    table = by_hour(read, "t", {"pools": POOLS, "clock_s": 6 * DAY_S + 22 * HOUR_S}, 0)
    assert table["day"].tolist()[:3] == ["Sun 1", "Sun 1", "Mon 2"]
    assert table["hour"].tolist()[:3] == [22, 23, 0]
    assert table["arrived_per_s"].tolist()[:3] == [1.0, 1.0, 0.0]
    assert table["used"].tolist()[:2] == [0.5, 0.0], "of 2 requests/s that its one pool of a known capacity could serve"
    assert table.iloc[-1].to_dict() == {"day": "Mon 2", "hour": 23, "hours": 1, "arrived_per_s": 2.0, "used": 1.0}
    both = by_hour(read, "t", {"pools": POOLS, "clock_s": 0.0})
    assert both["arrived_per_s"].iloc[0] == 1.5
    assert both["used"].iloc[0] == 0.75


def test_a_period_in_two_cells_counts_in_each_by_its_time() -> None:
    counts = [(9, 0, 0)] * 80
    table = by_hour(tables(counts, 1200.0), "t", {"pools": POOLS, "clock_s": HOUR_S - 400.0}, 0)
    assert table["arrived_per_s"].to_numpy() == pytest.approx(9 / 1200)
    assert table["used"].to_numpy() == pytest.approx(9 / 1200 / 2)
    assert len(table) == 28, "the last third of an hour, 26 hours and two thirds of one"


@pytest.mark.parametrize("days", [14, 15])
def test_of_more_than_two_weeks_each_weekday_has_a_row(days: int) -> None:
    counts = [(day // 7 * 3600, 0, 0) for day in range(days) for _ in range(24)]
    table = by_hour(tables(counts, HOUR_S), "t", {"pools": POOLS, "clock_s": 2 * DAY_S}, 0)
    shown = list(dict.fromkeys(table["day"]))
    if days == 14:
        assert shown[:2] + shown[-1:] == ["Wed 1", "Thu 2", "Tue 14"]
    else:
        assert shown == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
        mean = table.groupby("day")["arrived_per_s"].mean()
        assert mean["Wed"] == pytest.approx((0 + 1 + 2) / 3)
        assert mean["Thu"] == pytest.approx((0 + 1) / 2)
    assert len(calendar_charts(table)) == 2


def test_what_lies_within_a_day_or_is_counted_by_longer_ones_has_no_calendar() -> None:
    assert not len(by_hour(tables([(1, 0, 0)] * 24, HOUR_S), "t", {"pools": POOLS}))
    assert len(by_hour(tables([(1, 0, 0)] * 25, HOUR_S), "t", {"pools": POOLS}))
    assert not len(by_hour(tables([(1, 0, 0)] * 25, 1.1 * DAY_S), "t", {"pools": POOLS}))


def test_without_a_known_capacity_the_load_is_shown_alone() -> None:
    table = by_hour(tables([(1, 1, 0)] * 25, HOUR_S), "t", {"pools": POOLS[1:]})
    assert table["used"].isna().all()
    (chart,) = calendar_charts(table)
    assert "arriving" in chart.to_dict()["layer"][0]["title"]


def test_what_came_in_a_period_of_two_cells_is_shared_by_its_time_in_each() -> None:
    """Twelve come in 1,200 s from 400 s before the hour on: four are of that hour, eight of the next one's 3,600 s."""
    counts = [(12, 0, 0), *[(0, 0, 0)] * 79]
    table = by_hour(tables(counts, 1200.0), "t", {"pools": POOLS, "clock_s": HOUR_S - 400.0}, 0)
    assert table["arrived_per_s"].tolist()[:3] == pytest.approx([4 / 400, 8 / 3600, 0.0])


def test_a_token_api_alone_has_its_load_by_day_and_hour() -> None:
    read = tables([(1800, 0, 0)] * 25, HOUR_S)
    came = read("demand").assign(topology="api")
    found = {"demand": came[came["target"] == "own"], "fleet": read("fleet")}
    table = by_hour(found.__getitem__, "api", {"pools": []}, 0)
    assert table["arrived_per_s"].tolist() == [0.5] * 25
    assert table["used"].isna().all()
    assert len(calendar_charts(table)) == 1
