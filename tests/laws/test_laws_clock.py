"""Laws of the clock: windows, time zones, changes of the clock and holidays, from the scenario to the requests."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.fleet.records import Status
from simulator.resolve.clock import Clock, clock_of
from simulator.resolve.horizon import horizon_of
from simulator.resolve.topology import plan_topology
from simulator.run.loads import demand_at
from simulator.scenario.load import load_scenario
from simulator.scenario.week import DAYS
from simulator.schema.clock import WeekWindow
from simulator.simulate.demand import Demand, demand_of
from simulator.simulate.one import Outcome, simulate_one, subject_of

HOUR_S, DAY_S = 3600.0, 86400.0
SCENARIO = """
schema_version: 1
name: hours
model: llama-3.1-8b-instruct
workload:
  classes: [{{name: chat, arrivals: {arrivals}, lengths: {{isl: 100, osl: 5}}, data_class: public}}]
topologies:
  t:
    pools: [{{name: own, site: lambda, gpu: h100-sxm}}]
    providers: [{{name: api, offer: {offer}, max_wait_s: 1000, requests_per_minute: 0, tokens_per_minute: 0}}]
    routing: {routing}
study: {study}
run: {run}
"""
POISSON = "{kind: poisson, rate_rps: 0.01}"
WEIGHTED = "{kind: weighted, weights: {own: 1, api: 1}}"


def scenario(
    folder: Path, run: str, routing: str = WEIGHTED, arrivals: str = POISSON, study: str = "{}", **more: str
) -> Any:
    path = folder / "hours.yaml"
    offer = more.get("offer", "groq/llama-3.3-70b")
    path.write_text(SCENARIO.format(run=run, routing=routing, arrivals=arrivals, study=study, offer=offer))
    return load_scenario(path)


def served(loaded: Any, demand: Demand | None = None) -> tuple[np.ndarray, Outcome]:
    """Records by arrival, and the outcome."""
    kept: list[np.ndarray] = []
    subject = subject_of(plan_topology(loaded, "t"))
    found = simulate_one(subject, demand or demand_of(loaded), 0, keep=lambda rows: kept.append(rows.copy()))
    return np.sort(np.concatenate(kept), order="request"), found


def window(hours: str, rest: str = "api", days: str = "mon-sun", more: str = "") -> str:
    return f"{{kind: windows, windows: [{{days: {days}, hours: {hours}, use: [own]{more}}}], otherwise: [{rest}]}}"


@pytest.mark.parametrize("start", ["wed 7:30", "2026-03-28 12:00"])
def test_a_window_of_a_whole_day_is_no_window(tmp_path: Path, start: str) -> None:
    run = f"{{horizon_s: 172800, start: {start}}}"
    whole = "{kind: weighted, weights: {own: 1, api: 1}, windows: [{hours: 0-24, use: [own, api]}], otherwise: [own]}"
    with_window, without = (served(scenario(tmp_path, run, routing))[0] for routing in (whole, WEIGHTED))
    assert with_window["target"].tolist() == without["target"].tolist()
    assert set(without["target"].tolist()) == {0, 1}


@settings(deadline=None, max_examples=15)
@given(
    first=st.integers(0, 23), length=st.integers(1, 23), day=st.sampled_from(["2026-03-28", "2026-10-24", "2026-06-01"])
)
def test_a_window_and_its_complement_share_all_requests(
    tmp_path_factory: pytest.TempPathFactory, first: int, length: int, day: str
) -> None:
    """Also over nights that have 23 or 25 hours."""
    folder = tmp_path_factory.mktemp("pair")
    run = f"{{horizon_s: 172800, start: {day}, time_zone: Europe/Berlin}}"
    last = (first + length) % 24
    inside, outside = (
        served(scenario(folder, run, window(hours)))[0]["target"] for hours in (f"{first}-{last}", f"{last}-{first}")
    )
    assert (inside + outside == 1).all()


@settings(deadline=None, max_examples=15)
@given(begin=st.integers(0, 167), hour=st.integers(0, 23), shift=st.integers(0, 23), length=st.integers(1, 23))
def test_moving_the_start_and_the_window_together_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, begin: int, hour: int, shift: int, length: int
) -> None:
    folder = tmp_path_factory.mktemp("shift")
    found = []
    for moved in (0, shift):
        at, first = (begin + moved) % 168, (hour + moved) % 24
        run = f"{{horizon_s: 100000, start: {DAYS[at // 24]} {at % 24}:00}}"
        found.append(served(scenario(folder, run, window(f"{first}-{(first + length) % 24}")))[0]["target"].tolist())
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("zone", "start"),
    [("America/New_York", "2026-07-01 20:00"), ("Asia/Kolkata", "2026-07-02 5:30"), ("Asia/Tokyo", "2026-07-02 9:00")],
)
def test_one_instant_in_two_zones_routes_alike(tmp_path: Path, zone: str, start: str) -> None:
    there = f", time_zone: {zone}"
    berlin = ", time_zone: Europe/Berlin"
    here, other = (
        served(
            scenario(
                tmp_path, f"{{horizon_s: 200000, start: {at}{clock}}}", window("8-17", more=berlin, days="mon-fri")
            )
        )
        for at, clock in (("2026-07-02 2:00", berlin), (start, there))
    )
    assert here[0]["target"].tolist() == other[0]["target"].tolist()
    assert here[1].usage.when.clock_s == other[1].usage.when.clock_s
    assert here[1].usage.when.start_hour != other[1].usage.when.start_hour


NIGHTS = [date(2026, month, day) for month, day in ((3, 7), (3, 28), (4, 4), (10, 3), (10, 24), (10, 31))]
"""The day before clocks change somewhere."""


@settings(deadline=None, max_examples=200)
@given(
    zone=st.sampled_from(
        ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Asia/Kolkata"]
    ),
    day=st.sampled_from(NIGHTS) | st.dates(date(2026, 1, 10), date(2026, 12, 10)),
    first=st.integers(0, 47),
    length=st.integers(1, 48),
)
def test_windows_hold_while_wall_clocks_say_so(zone: str, day: Any, first: int, length: int) -> None:
    """Against every quarter of an hour of the wall clock, but for the hour that exists twice."""
    clock = Clock(zone, frozenset(), day - timedelta(days=1), day + timedelta(days=3))
    texts = [f"{half % 48 // 2}:{half % 2 * 30:02d}" for half in (first, first + length)]
    if texts[0] == texts[1]:
        texts = ["0", "24"]
        first, length = 0, 48
    spans = clock.spans(WeekWindow(hours="-".join(texts)))
    for quarter in range(96, 192):
        at = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=15 * quarter)
        local = at.astimezone(ZoneInfo(zone))
        if local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset():
            continue
        at_s = (at - datetime(1970, 1, 5, tzinfo=UTC)).total_seconds()
        held = any(start_s <= at_s < end_s for start_s, end_s in spans)
        assert held == ((2 * local.hour + local.minute // 30 - first) % 48 < length)


def test_days_of_23_and_25_hours(tmp_path: Path) -> None:
    for day, hours in (("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)):
        run = f"{{horizon_s: 60, start: {day}, time_zone: Europe/Berlin}}"
        clock = clock_of(scenario(tmp_path, run).scenario)
        begin_s = clock.at(day)
        whole = [end_s - start_s for start_s, end_s in clock.spans(WeekWindow()) if start_s == begin_s]
        assert whole == [hours * HOUR_S]
        night = [e - s for s, e in clock.spans(WeekWindow(hours="1-3")) if begin_s <= s < begin_s + DAY_S]
        assert night == [(hours - 22) * HOUR_S]


def rates(loaded: Any) -> np.ndarray:
    """Requests by simulated hour, of a workload that comes evenly."""
    arrival_s = np.concatenate([chunk.arrival_s for chunk in demand_of(loaded).source(0).chunks()])
    return np.bincount((arrival_s // HOUR_S).astype(int), minlength=int(loaded.scenario.run.horizon_s // HOUR_S))


def hourly(first: int, last: int, weekly: str = "[1, 1, 1, 1, 1, 1, 1]") -> str:
    factors = [1 if first <= hour < last else 0 for hour in range(24)]
    return f"{{kind: schedule, rate_rps: 0.1, hourly: {factors}, weekly: {weekly}, cv: 0.001}}"


def test_load_follows_the_wall_clock_over_a_change(tmp_path: Path) -> None:
    """From Saturday 18:00 on; clocks go forward in the night, so that 8:00 comes an hour sooner."""
    run = "{horizon_s: 86400, start: 2026-03-28 18:00, time_zone: Europe/Berlin}"
    found = rates(scenario(tmp_path, run, arrivals=hourly(8, 9)))
    assert np.flatnonzero(found > 300).tolist() == [13]


@pytest.mark.parametrize(("days_off", "holiday"), [("[2026-05-01]", True), ("DE", True), ("US", False), ("[]", False)])
def test_holidays_are_sundays_to_load_and_windows(tmp_path: Path, days_off: str, holiday: bool) -> None:
    """Friday, 1 May 2026."""
    run = f"{{horizon_s: 172800, start: 2026-04-30, time_zone: Europe/Berlin, holidays: {days_off}}}"
    busy = rates(scenario(tmp_path, run, arrivals=hourly(8, 10, "[1, 1, 1, 1, 1, 0, 0]")))
    assert np.flatnonzero(busy > 300).tolist() == ([8, 9] if holiday else [8, 9, 32, 33])
    for rule, extra in (("sunday", not holiday), ("included", True), ("excluded", not holiday)):
        if not (rule != "sunday" and days_off == "[]"):
            routing = window("0-24", days="mon-fri", more=f", holidays: {rule}")
            records = served(scenario(tmp_path, run, routing))[0]
            assert (records["target"][records["arrival_s"] >= DAY_S] == 0).all() == extra


def test_part_of_a_country_has_its_own(tmp_path: Path) -> None:
    """Corpus Christi, 4 June 2026, is one in Bavaria and none in Berlin."""
    for place, holiday in (("DE-BY", True), ("DE-BE", False)):
        run = f"{{horizon_s: 60, start: 2026-06-01, holidays: {place}}}"
        clock = clock_of(scenario(tmp_path, run).scenario)
        assert (datetime(2026, 6, 4).date() in clock.holidays) == holiday


def test_a_period_routes_scales_and_bills_by_its_own_clock(tmp_path: Path) -> None:
    routing = window("8-20", days="mon-fri")
    study = (
        "{periods: [{name: rest}, {name: day, hours_per_month: 100, start: wed 9:30}, "
        "{name: eve, hours_per_month: 90, start_hour: 21}]}"
    )
    run = "{horizon_s: 3600, start: tue 2:00}"
    loaded = scenario(tmp_path, run, routing, hourly(9, 21), study)
    demand, horizon = demand_of(loaded), horizon_of(loaded)
    found = {}
    for period in horizon.periods:
        there = demand_at(demand, period.at((1.0,)))
        rows, outcome = served(loaded, there) if period.name == "day" else (np.zeros(0), None)
        found[period.name] = there.when.start_hour, int(sum(len(c) for c in there.source(0).chunks()) > 300)
        if outcome is not None:
            assert outcome.usage.when.start_hour == 9.5
            assert set(rows["target"].tolist()) == {0}
    assert found == {"rest": (2.0, 0), "day": (9.5, 1), "eve": (21.0, 0)}
    assert demand_at(demand, horizon.periods[0].at((1.0,))) is demand


def test_a_period_by_days_and_hours_has_their_share_of_the_month(tmp_path: Path) -> None:
    study = "{periods: [{name: rest}, {name: busy, days: mon-fri, hours: 8-20, load: 2}]}"
    horizon = horizon_of(scenario(tmp_path, "{horizon_s: 60, start: sat 3:00}", study=study))
    rest, busy = horizon.periods
    assert busy.hours == pytest.approx(730 * 60 / 168)
    assert rest.hours == pytest.approx(730 * 108 / 168)
    assert busy.when is not None
    assert (busy.when.clock_s, busy.when.start_hour) == (8 * HOUR_S, 8.0)
    assert [hour for hour, share in enumerate(busy.when.spread) if share] == list(range(8, 20))


def test_a_period_may_be_on_another_date(tmp_path: Path) -> None:
    """Winter and summer have their own offset from UTC; a day of the week is the first from the run's day on."""
    study = (
        "{periods: [{name: a}, {name: winter, hours_per_month: 1, start: 2026-12-24 10:00}, "
        "{name: next, hours_per_month: 1, start: sun 12:00}]}"
    )
    loaded = scenario(tmp_path, "{horizon_s: 60, start: 2026-07-01 10:00, time_zone: Europe/Berlin}", study=study)
    _, winter, following = horizon_of(loaded).periods
    summer = demand_of(loaded).when
    assert (summer.start_hour, summer.ahead_h) == (10.0, 2.0)
    assert winter.when is not None
    assert following.when is not None
    assert (winter.when.start_hour, winter.when.ahead_h) == (10.0, 1.0)
    assert following.when.clock_s - summer.clock_s == 4 * DAY_S + 2 * HOUR_S


def test_calls_are_counted_by_the_hour_in_which_they_were_made(tmp_path: Path) -> None:
    run = "{horizon_s: 90000, start: mon 5:00, drain_s: 0}"
    routing = "{kind: weighted, weights: {own: 0, api: 1}}"
    rows, outcome = served(scenario(tmp_path, run, routing, offer="deepseek/deepseek-v4-flash"))
    (used,) = outcome.usage.providers
    ended = rows[rows["finish_s"] <= 90000.0]
    hours = ((5 * HOUR_S + ended["scheduled_s"]) // HOUR_S).astype(int) % 24
    assert used.tokens_by_hour.shape == (24, 1, 1, 4)
    answered = ended["status"] == Status.COMPLETED
    expected = np.bincount(hours[answered], ended["generated"][answered], 24)
    assert used.tokens_by_hour[:, 0, 0, 3].tolist() == expected.tolist()
    assert used.tokens_by_hour.sum(axis=0).tolist() == used.tokens.tolist()
    assert used.failed_tokens_by_hour.sum(axis=0).tolist() == used.failed_tokens.tolist()
