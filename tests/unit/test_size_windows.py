"""Hours that a search of open windows tries: those that are busiest by the days of all periods, each by its hours."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.size.windows import Window, _candidates, _limited

DAY_S = 86_400.0


def period(hours: float, by_hour: dict[int, int], days: float = 1.0, replications: int = 1) -> Any:
    """A period of so many hours of the month, and what comes in its simulated days; what comes after them is cut."""
    arrival_s = np.array([3600.0 * hour + 1 for hour, n in by_hour.items() for _ in range(n)] + [DAY_S * days + 5])
    chunk = SimpleNamespace(arrival_s=np.append(arrival_s, 7.0), n_open=len(arrival_s))
    source = SimpleNamespace(chunks=lambda: [chunk])
    demand = SimpleNamespace(
        horizon_s=DAY_S * days,
        replications=replications,
        source=lambda number: source,
        when=SimpleNamespace(clock_s=0.0),
    )
    return SimpleNamespace(period=SimpleNamespace(hours=hours), demand=demand)


def asked(monkeypatch: pytest.MonkeyPatch, *periods: Any) -> list[float]:
    """Weights of the hours of the day by which candidates are chosen."""
    place = import_module("simulator.size.windows")
    told: list[float] = []

    def by_hour(loaded: Any, window: Any, arrival_s: list[np.ndarray], clock_s: float) -> np.ndarray:
        hours = [(times / 3600).astype(int) % 168 for times in arrival_s]
        return sum((np.bincount(one, minlength=168) for one in hours), np.zeros(168)).reshape(7, 24)

    def busiest(counts: np.ndarray) -> list[str]:
        told.extend(float(value) for value in counts * DAY_S)
        return ["all"]

    monkeypatch.setattr(place, "arrivals_by_day_and_hour", by_hour)
    monkeypatch.setattr(place, "busiest_hours", busiest)
    loaded: Any = SimpleNamespace(place=lambda path: (None, None, None))
    _candidates(loaded, "t", ("pools[p]", None), periods, False, True)  # type: ignore[arg-type]
    return told


def test_each_period_counts_by_its_hours_and_by_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten requests in one day of 100 hours, and ten in two days of 300: 1,000, and 1,500 a day."""
    found = asked(monkeypatch, period(100.0, {9: 10}), period(300.0, {14: 10}, days=2.0))
    assert {hour: value for hour, value in enumerate(found) if value} == {9: 1000.0, 14: 1500.0}


def test_all_replications_count_and_parts_of_a_day_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(monkeypatch, period(10.0, {9: 1}, replications=3), period(700.0, {3: 9}, days=0.5))
    assert {hour: value for hour, value in enumerate(found) if value} == {9: 30.0}


def test_without_a_day_or_a_request_there_are_no_hours_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"run.horizon_s must be at least 86400"):
        asked(monkeypatch, period(100.0, {9: 10}, days=0.999))
    with pytest.raises(InputError, match="no request arrives by the clock on its days"):
        asked(monkeypatch, period(100.0, {}))


def test_hours_in_which_nothing_is_met_show_what_was_tried_last() -> None:
    tried = [SimpleNamespace(point=(n,), reason=f"why {n}") for n in (1, 2, 3)]
    search = SimpleNamespace(best=None, trail=tried, tried=3, claim="none of 3", is_finished=False)
    trials = SimpleNamespace(pools=[SimpleNamespace(name="own")])
    row = Window("0 to 6", trials, search).row(None)  # type: ignore[arg-type]
    assert row["sizes"] == {"own": "3"}
    assert row["reason"].startswith("none of 3; ")
    assert row["reason"].endswith("why 3")


def test_more_replicas_within_hours_are_no_way_out_where_those_outside_are_too_few() -> None:
    """2 replicas from 8 to 16 meet the SLO; 64 from 9 to 13 do not, for what comes at 8 and 15: nor would 65."""

    def window(limited: tuple[str, ...], best: object, schedule: tuple[int, ...] = (1,)) -> Window:
        pools = [SimpleNamespace(name="g", schedule=schedule)]
        scenario = SimpleNamespace(topologies={"t": SimpleNamespace(pools=pools)})
        trials: Any = SimpleNamespace(name="t", loaded=SimpleNamespace(scenario=scenario))
        search: Any = SimpleNamespace(limited=limited, best=best)
        return Window("9-13", trials, search)

    none, met, full = window(("g",), None), window((), "2"), window(("g",), "64")
    assert _limited(met, [none, met]) == ()
    assert _limited(none, [none, none]) == ("g",)
    assert _limited(full, [none, full]) == ("g",)
    always = window((), "2", ())
    assert _limited(always, [none, always]) == ("g",)
