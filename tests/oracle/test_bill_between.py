"""What an autoscaler launches, keeps and rounds between the periods of a month is billed, as that of a schedule is."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from agreement import agree, second_bill
from bill_cases import HOUR_S, pool, rented
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario_cases import chat, written

from simulator.bill.between import between
from simulator.bill.use import month_use
from simulator.run.simulate import simulate
from simulator.study.bill import MonthUse, PeriodUse
from simulator.study.demand import When
from simulator.study.schedule import Following, Launches, Schedule
from simulator.study.terms import Commitment, RentedTerms, Terms
from simulator.study.usage import Stay, Usage

WEEKS = 730 / 168
WORK = tuple((day * 86400.0 + 8 * HOUR_S, day * 86400.0 + 18 * HOUR_S) for day in range(5))
Holds = tuple[tuple[float, float], ...]


def period(
    hours: float, begin: int, end: int, holds_s: Holds = (), per_server: int = 1, cycle_s: float = 7 * 86400.0
) -> PeriodUse:
    """An hour that begins with so many replicas and ends with as many as said; what changes does so at half past."""
    stays = [Stay(k, k // per_server, "serving", 0.0, HOUR_S) for k in range(min(begin, end))]
    stays += [Stay(k, k // per_server, "serving", 0.0, HOUR_S / 2) for k in range(end, begin)]
    stays += [Stay(k, k // per_server, "serving", HOUR_S / 2, HOUR_S) for k in range(begin, end)]
    when = When(holds_s[0][0], holds_s=holds_s, cycle_s=cycle_s) if holds_s else When(5 * 86400.0)
    return PeriodUse(Usage(HOUR_S, (pool("pool", 1, stays, HOUR_S),), (), (), 0.0, when), hours)


def offer(follows: tuple[float, float] = (300.0, 0.0), **sold: float) -> RentedTerms:
    following = Following(*follows, 1)
    return RentedTerms("pool", "s", "on_demand", 1, (4.29,), following=following, **sold)  # type: ignore[arg-type]


def work_and_off(by_day: int = 4, by_night: int = 1) -> MonthUse:
    at_work = 50 * WEEKS
    return MonthUse((period(at_work, by_day, by_day, WORK), period(730 - at_work, by_night, by_night)))


def usd(terms: RentedTerms, month: MonthUse) -> float:
    study = agree(Terms("cloud", rented=(terms,), months=1.0), [month])
    return float(sum(row["usd"] for row in study.mean_lines()))


@pytest.mark.parametrize(
    ("terms", "hours_a_week"),
    [
        (offer((0.0, 0.0)), 0.0),
        (offer((300.0, 0.0)), 3 * 5 * 300 / 3600),
        (offer((300.0, 600.0)), 3 * 5 * 900 / 3600),
        (offer((900.0, 0.0), granularity_s=HOUR_S), 3 * 5 * 1.0),
        (offer((900.0, 0.0), minimum_s=12 * HOUR_S), 3 * 5 * 2.0),
        (offer((HOUR_S, 14 * HOUR_S)), 3 * (4 * 14 + 15)),
        (offer((1800.0, 13.75 * HOUR_S), granularity_s=100 * HOUR_S), 3 * (4 * 14 + 13.75 + 0.5 + 79.75)),
    ],
)
def test_three_more_by_day_by_hand(terms: RentedTerms, hours_a_week: float) -> None:
    """Four replicas in five windows of ten hours a week, one else: $4.29 an hour, and what comes before and after.

    Kept for 14 hours, they are there until the next morning on four of five days; kept so long that they are launched
    again before they would be needed, the week is one rental of 120.25 hours, paid as 200.
    """
    plain = 4.29 * (730 + 3 * 50 * WEEKS)
    assert usd(terms, work_and_off()) == pytest.approx(plain + 4.29 * WEEKS * hours_a_week, rel=1e-9)


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("sold", [(0.0, 0.0), (0.0, HOUR_S), (12 * HOUR_S, 0.0)])
@pytest.mark.parametrize("hourly", [(4.29,), tuple(1.0 + hour for hour in range(24))])
def test_a_schedule_and_an_autoscaler_that_do_the_same_cost_the_same(
    size: int, sold: tuple[float, float], hourly: tuple[float, ...]
) -> None:
    """Launched a cold start ahead, given back at once; on instances of one GPU or of two."""
    own = RentedTerms("pool", "s", "on_demand", size, hourly, *sold)
    windows = tuple((*span, 5) for span in WORK)
    at_work = 50 * WEEKS
    month = MonthUse((period(at_work, 5, 5, WORK, size), period(730 - at_work, 2, 2, per_server=size)))
    by_clock = replace(own, launches=Launches(Schedule(windows, 2), 900.0, 1))
    by_load = replace(own, following=Following(900.0, 0.0, 1))
    assert usd(by_load, month) == pytest.approx(usd(by_clock, month), rel=1e-9)
    uses = [month_use(Terms("t", rented=(one,)), month).pools["pool"] for one in (by_clock, by_load)]
    np.testing.assert_allclose(uses[1].instance_hours, uses[0].instance_hours, atol=1e-9)
    assert uses[1].gpu_hours == pytest.approx(uses[0].gpu_hours)


def test_replications_are_compared_as_they_are_spread() -> None:
    """Three or four by day and by night alike, in another order: nobody launches anything."""
    day, night = 25 * WEEKS, 365 - 25 * WEEKS
    parts = [period(day, 3, 3, WORK), period(day, 4, 4, WORK), period(night, 4, 4), period(night, 3, 3)]
    found = between(offer(), parts)
    assert (found.instance_hours.sum(), found.starting_hours) == (0.0, 0.0)
    parts[3] = period(night, 1, 1)
    found = between(offer(), parts)
    assert found.starting_hours == pytest.approx(WEEKS * 5 * 300 / 3600 * 2 / 2)


def test_what_shares_the_rest_counts_by_its_hours() -> None:
    """Three by day; of the other hours a quarter has none and three quarters have two."""
    rest = 730 - 50 * WEEKS
    parts = [period(50 * WEEKS, 3, 3, WORK), period(rest / 4, 0, 0), period(rest * 3 / 4, 2, 2)]
    found = between(offer((3600.0, 0.0)), parts)
    np.testing.assert_allclose(found.instance_hours.sum(axis=1), np.array([0.25, 0.25, 1.0]) * WEEKS * 5)


def test_a_cold_start_from_midnight_on_is_in_the_first_hour_of_the_day() -> None:
    """Seconds that are no round number in binary: the launch is a hair before the day, and is no 25th hour."""
    early_s = math.nextafter(300.0, math.inf)
    day = ((300.0, 10 * HOUR_S),)
    parts = [period(300, 1, 1, day, cycle_s=86400.0), period(430, 0, 0)]
    found = between(offer((early_s, 0.0)), parts)
    np.testing.assert_allclose(found.instance_hours[0, 0], 730 / 24 * 300 / 3600)
    np.testing.assert_allclose(found.instance_hours[0, 1:], 0.0, atol=1e-9)


def test_periods_that_say_no_time_and_a_month_of_one_add_nothing() -> None:
    for parts in ([period(365, 1, 4), period(365, 4, 1)], [period(730, 1, 4, WORK)]):
        assert between(offer((300.0, 300.0)), parts).instance_hours.size == 0


@settings(deadline=None, max_examples=120)
@given(
    kinds=st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(0, 47), st.integers(1, 30)), max_size=3),
            st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=2),
        ),
        min_size=1,
        max_size=4,
    ),
    follows=st.tuples(st.sampled_from([0.0, 700.0, 9000.0]), st.sampled_from([0.0, 300.0, 30_000.0])),
    size=st.sampled_from([1, 2]),
    sold=st.sampled_from([(0.0, 0.0), (0.0, HOUR_S), (20_000.0, 0.0), (5_000.0, 4_000.0)]),
    committed=st.sampled_from([None, 0, 2]),
)
def test_any_periods_cost_the_same_by_both(
    kinds: list[tuple[list[tuple[int, int]], list[tuple[int, int, int]]]],
    follows: tuple[float, float],
    size: int,
    sold: tuple[float, float],
    committed: int | None,
) -> None:
    """Two days that come again and again; times may overlap, leave gaps, and reach over the end."""
    parts = []
    for spans, numbers in kinds:
        holds = tuple((a * HOUR_S, (a + length) * HOUR_S) for a, length in spans)
        parts += [period(1.0 + share, b, e, holds, size, 48 * HOUR_S) for b, e, share in numbers]
    hours = sum(part.hours for part in parts)
    month = MonthUse(tuple(PeriodUse(part.usage, part.hours * 730 / hours) for part in parts))
    used = rented(
        usd_per_instance_hour=tuple(1.0 + 0.1 * hour for hour in range(24)),
        gpus_per_instance=size,
        minimum_s=sold[0],
        granularity_s=sold[1],
        commitments=() if committed is None else (Commitment(0.9, 3, committed),),
        following=Following(*follows, 1),
    )
    agree(Terms("cloud", rented=(used,), months=2.0), [month] * 2)


def scaled(how: str, late_s: float = 0.0) -> str:
    return (
        "clock: {pools: [{name: g, site: lambda, gpu: h100-sxm, replicas: 0, price_usd_per_gpu_hour: 4.29, "
        "gpus_per_instance: 1, storage_gb: 0, egress_usd_per_gb: 0, billing_minimum_s: 0, billing_granularity_s: 0, "
        f"{how.format(late_s=late_s)}, "
        "cold_start: {provision_s: 300, image_s: 0, weights_s: 0, engine_s: 0}}]}"
    )


SCHEDULE = "schedule: [{{days: mon-fri, hours: 8-18, replicas: 1}}]"
AUTOSCALER = "autoscaler: {{min: 0, max: 1, target_per_replica: 1000, down_window_s: {late_s}, period_s: 5}}"


@pytest.mark.parametrize(
    ("how", "late_s", "hours_a_week"),
    [(SCHEDULE, 0.0, 50 + 5 / 12), (AUTOSCALER, 0.0, 50 + 5 / 12), (AUTOSCALER, 600.0, 50 + 5 / 4)],
)
def test_the_same_by_the_clock_and_by_the_load(tmp_path: Path, how: str, late_s: float, hours_a_week: float) -> None:
    """One GPU in five windows of ten hours, launched five minutes ahead, kept for as long as the rule says."""
    text = chat(
        scaled(how, late_s),
        study="months: 1, periods: [{name: work, days: mon-fri, hours: 8-18}, {name: off, load: 0, start: sat 10}]",
        rate_rps=10,
        horizon_s=900,
        warmup_s=0,
    )
    found = simulate(written(tmp_path, text), tmp_path)
    expected = 4.29 * WEEKS * hours_a_week
    assert found.summary["topologies"]["clock"]["cost"]["usd_per_month"] == pytest.approx(expected, rel=1e-6)
    oracle = second_bill(found.bundle, "clock")
    shown = found.summary["topologies"]["clock"]["cost"]["usd_per_month"]
    assert sum(row["usd"] for row in oracle.mean_lines()) == pytest.approx(shown, rel=1e-9)


def told(folder: Path, how: str, periods: str, *sets: str) -> tuple[float, list[str]]:
    """USD per month, and what is said of launches that no bill has."""
    study = f"months: 1, periods: [{periods}]"
    text = chat(scaled(how, 600.0), study=study, rate_rps=10, horizon_s=900, warmup_s=0)
    found = simulate(written(folder, text, *sets), folder)
    topology = found.summary["topologies"]["clock"]
    rows = second_bill(found.bundle, "clock").mean_lines()
    assert sum(row["usd"] for row in rows) == pytest.approx(topology["cost"]["usd_per_month"], rel=1e-9)
    said = [row["text"] for row in topology["warnings"] if "bill" in row["text"] and row["text"].startswith("g: ")]
    return topology["cost"]["usd_per_month"], said


def test_periods_of_days_with_dates_are_those_of_any_week(tmp_path: Path) -> None:
    """Windows of work are the same hours of every week, in the time zone of the run, whatever its first day is."""
    periods = "{name: work, days: mon-fri, hours: 8-18}, {name: off, load: 0}"
    usual, said = told(tmp_path, AUTOSCALER, periods)
    assert usual == pytest.approx(4.29 * WEEKS * (50 + 5 / 4), rel=1e-6)
    assert said == []
    for zone in ("UTC", "Asia/Tokyo"):
        dated = ("run.start=2026-03-02 00:00", f"run.time_zone={zone}")
        assert told(tmp_path, AUTOSCALER, periods, *dated) == (pytest.approx(usual, rel=1e-9), [])


def test_what_no_bill_has_is_said(tmp_path: Path) -> None:
    """Five minutes of a launch and ten that it is kept, each time: $1.07."""
    hours = 730 * 50 / 168
    untold = f"{{name: work, hours_per_month: {hours}, start: mon 8}}, {{name: off, load: 0}}"
    usd, said = told(tmp_path, AUTOSCALER, untold)
    assert usd == pytest.approx(4.29 * hours, rel=1e-6)
    (words,) = said
    assert "between work, off is in no bill" in words
    assert "$1.07 each time" in words


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_a_schedule_on_days_with_dates_launches_as_in_any_week(tmp_path: Path, zone: str) -> None:
    """Five minutes before each of five windows a week, also where the run begins on a holiday in their midst."""
    periods = "{name: work, days: mon-fri, hours: 8-18}, {name: off, load: 0, start: 2026-03-07 10:00}"
    dated = ("run.start=2026-03-02 00:00", f"run.time_zone={zone}", "run.holidays=[2026-03-04]")
    expected = 4.29 * WEEKS * (50 + 5 / 12)
    assert told(tmp_path, SCHEDULE, periods, *dated) == (pytest.approx(expected, rel=1e-6), [])


def test_a_window_past_the_end_of_the_week_comes_again_as_one(tmp_path: Path) -> None:
    """Sunday 20:00 to Monday 6:00, in Tokyo and on days with dates, as where a week is any week."""
    night = SCHEDULE.replace("mon-fri", "sun").replace("8-18", "20-6")
    periods = "{name: night, days: sun, hours: 20-6}, {name: off, load: 0, start: wed 10}"
    usual = told(tmp_path, night, periods)
    assert usual == (pytest.approx(4.29 * WEEKS * (10 + 1 / 12), rel=1e-6), [])
    dated = ("run.start=2026-03-02 00:00", "run.time_zone=Asia/Tokyo")
    assert told(tmp_path, night, periods.replace("wed 10", "2026-03-04 10:00"), *dated) == usual


def test_windows_of_a_cut_say_when_they_are(tmp_path: Path) -> None:
    """A day of quiet hours and two busy ones: what is launched for these is billed once a day."""
    day = "{kind: schedule, rate_rps: 10, hourly: [0,0,0,0,0,0,0,0,1,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}"
    costs = []
    for early_s, start in ((0, "mon"), (1800, "mon"), (1800, "2026-03-02 00:00")):
        text = chat(
            scaled(AUTOSCALER).replace("provision_s: 300", f"provision_s: {early_s}"),
            study="months: 1, cut: {window_h: 2, kinds: 2}",
            horizon_s=86400,
            warmup_s=0,
        ).replace("{kind: poisson, rate_rps: 15}", day)
        assert day in text
        found = simulate(written(tmp_path, text, f"run.start={start}"), None)
        costs.append(found.summary["topologies"]["clock"]["cost"]["usd_per_month"])
    assert costs[1] - costs[0] == pytest.approx(4.29 * 0.5 * 730 / 24, rel=1e-6)
    assert costs[2] == pytest.approx(costs[1], rel=1e-9)
