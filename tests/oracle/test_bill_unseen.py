"""What a schedule keeps between the simulated times of a month is billed: early starts, and paid ends of rentals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from agreement import agree, second_bill
from bill_cases import HOUR_S, fixed, pool, rented
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario_cases import chat, written

from simulator.bill.unseen import unseen
from simulator.run.simulate import simulate
from simulator.study.bill import MonthUse, PeriodUse
from simulator.study.demand import When
from simulator.study.schedule import Launches, Schedule
from simulator.study.terms import Commitment, RentedTerms, Terms
from simulator.study.usage import Usage

WEEKS = 730 / 168
"""In a month."""
WORK, OFF = "{name: work, days: mon-fri, hours: 8-18}", "{name: off, load: 0, start: sat 10}"
START = "{name: early, hours_per_month: 5.4315476190476, start: tue 7:45, load: 0}"


def scheduled(given: str = "") -> str:
    return (
        "clock: {pools: [{name: g, site: lambda, gpu: h100-sxm, replicas: 0, price_usd_per_gpu_hour: 4, "
        "gpus_per_instance: 2, storage_gb: 0, egress_usd_per_gb: 0, billing_minimum_s: 0, billing_granularity_s: 0, "
        "schedule: [{days: mon-fri, hours: 8-18, replicas: 2}], "
        f"cold_start: {{provision_s: 900, image_s: 0, weights_s: 0, engine_s: 0}}{given}}}]}}"
    )


@pytest.mark.parametrize(
    ("periods", "given_too", "hours_a_week"),
    [
        ((WORK, OFF), "", 5 * 10.25),
        ((WORK, START, OFF), "", 5 * 10.25),
        ((WORK, OFF), ", start_early_s: 0", 50),
        ((WORK, OFF), ", start_early_s: 1800", 5 * 10.5),
        ((WORK, OFF), ", billing_granularity_s: 3600", 5 * 11),
        ((WORK, OFF), ", billing_minimum_s: 43200", 5 * 12),
        (("{name: work, days: mon-fri, hours: 9-12}", "{name: off, load: 0}"), "", 5 * 10.25),
        (("{name: work, days: mon-fri, hours: 6-12}", "{name: rest, load: 0.5}"), "", 5 * 10.25),
        (("{name: work, days: wed, hours: 9-10}", "{name: off, load: 0}"), ", billing_granularity_s: 3600", 5 * 11),
    ],
)
def test_the_bill_of_a_schedule_by_hand(
    tmp_path: Path, periods: tuple[str, ...], given_too: str, hours_a_week: float
) -> None:
    """One instance of two GPUs at $8 an hour, a quarter of an hour before ten hours of five days, as it is sold."""
    key = given_too.removeprefix(", ").partition(":")[0]
    text = chat(scheduled(), study=f"months: 1, periods: [{', '.join(periods)}]", rate_rps=1, horizon_s=900, warmup_s=0)
    if key and key in text:
        text = text.replace(f"{key}: 0", given_too.removeprefix(", "))
    elif given_too:
        text = text.replace("schedule:", f"{given_too.removeprefix(', ')}, schedule:")
    found = simulate(written(tmp_path, text), tmp_path)
    usd = 8 * WEEKS * hours_a_week
    assert found.summary["topologies"]["clock"]["cost"]["usd_per_month"] == pytest.approx(usd, rel=1e-4)
    oracle = second_bill(found.bundle, "clock")
    assert sum(row["usd"] for row in oracle.mean_lines()) == pytest.approx(usd, rel=1e-4)


def test_what_stays_between_windows_is_no_part_of_what_they_add(tmp_path: Path) -> None:
    """One instance all the time under commitment, a second from 7 to 19 beside a period of 8 to 18: the hours of the
    night are simulated with one, and stand for two of each day in which there are two.
    """
    pools = (
        "clock: {pools: [{name: g, site: lambda, gpu: h100-sxm, replicas: 1, billing: reserved, term_months: 12, "
        "commitments: 1, price_usd_per_gpu_hour: 1.5, on_demand_usd_per_gpu_hour: 2.5, gpus_per_instance: 1, "
        "storage_gb: 0, egress_usd_per_gb: 0, billing_minimum_s: 0, billing_granularity_s: 0, start_early_s: 0, "
        "schedule: [{days: mon-fri, hours: 7-19, replicas: 2}]}]}"
    )
    study = f"months: 12, periods: [{WORK}, {{name: off, load: 0}}]"
    found = simulate(written(tmp_path, chat(pools, study=study, rate_rps=1, horizon_s=900, warmup_s=0)), tmp_path)
    usd = 730 * 1.5 + WEEKS * 5 * 12 * 2.5
    assert found.summary["topologies"]["clock"]["cost"]["usd_per_month"] == pytest.approx(usd, rel=1e-4)
    oracle = second_bill(found.bundle, "clock")
    assert sum(row["usd"] for row in oracle.mean_lines()) == pytest.approx(usd, rel=1e-4)


@settings(deadline=None, max_examples=80)
@given(
    windows=st.lists(st.tuples(st.integers(0, 47), st.integers(1, 20), st.integers(0, 5)), min_size=1, max_size=4),
    outside=st.integers(0, 4),
    early_s=st.sampled_from([0.0, 700.0, 3600.0, 9000.0]),
    size=st.sampled_from([1, 2, 8]),
    sold=st.sampled_from([(0.0, 0.0), (0.0, HOUR_S), (20_000.0, 0.0), (5_000.0, 4_000.0)]),
    periods=st.lists(st.tuples(st.integers(0, 90), st.integers(1, 40), st.integers(0, 2)), min_size=2, max_size=3),
    committed=st.sampled_from([None, 0, 2]),
)
def test_any_schedule_between_any_periods_costs_the_same_by_both(
    windows: list[tuple[int, int, int]],
    outside: int,
    early_s: float,
    size: int,
    sold: tuple[float, float],
    periods: list[tuple[int, int, int]],
    committed: int | None,
) -> None:
    """Two days that come again and again; windows may touch, and reach over their end."""
    spans = ((at, min(at + length, 48), n) for at, length, n in windows)
    marks = tuple((a * HOUR_S, b * HOUR_S, n) for a, b, n in spans)
    launches = Launches(Schedule(marks, outside, cycle_s=48 * HOUR_S), early_s, 1)
    used = rented(
        usd_per_instance_hour=tuple(1.0 + 0.1 * hour for hour in range(24)),
        gpus_per_instance=size,
        minimum_s=sold[0],
        granularity_s=sold[1],
        commitments=() if committed is None else (Commitment(0.9, 3, committed),),
        launches=launches,
    )
    parts = tuple(
        PeriodUse(
            Usage(
                n * HOUR_S,
                (pool(gpus=1, stays=fixed(k, n * HOUR_S), end_s=n * HOUR_S),),
                (),
                (),
                0.0,
                When(at * HOUR_S),
            ),
            730.0 / len(periods),
        )
        for at, n, k in periods
    )
    agree(Terms("cloud", rented=(used,), months=2.0), [MonthUse(parts)] * 2)


def offer(early_s: float, minimum_s: float = 0.0, granularity_s: float = 0.0) -> RentedTerms:
    """Two replicas a day from 9 to 17 on one instance, with one outside of them."""
    windows = tuple((day * 86400.0 + 9 * 3600, day * 86400.0 + 17 * 3600, 3) for day in range(7))
    launches = Launches(Schedule(windows, 1), early_s, 1)
    return RentedTerms("p", "s", "on_demand", 1, (1.0,), minimum_s, granularity_s, launches=launches)


def period(hours: float, clock_s: float, span_s: float) -> PeriodUse:
    usage = Usage(span_s, (pool("p", 1, [], span_s),), (), (), 0.0, When(clock_s))
    return PeriodUse(usage, hours)


def test_levels_and_hours_of_the_day() -> None:
    """An hour and a half before nine: half of it from half past seven, two instances above the one that stays."""
    found = unseen(offer(5400.0), [period(365, 9 * 3600.0, 3600.0), period(365, 18 * 3600.0, 3600.0)])
    by_hour = np.zeros(24)
    by_hour[7], by_hour[8] = 0.5 * 730 / 24, 730 / 24
    assert found.instance_hours.shape == (3, 24)
    np.testing.assert_allclose(found.instance_hours[0], 0)
    for level in (1, 2):
        np.testing.assert_allclose(found.instance_hours[level], by_hour)
    assert found.starting_hours == pytest.approx(2 * 1.5 * 730 / 24)


@pytest.mark.parametrize(("hours", "left"), [(0.0, 1.0), (365 / 24, 0.5), (730 / 24, 0.0), (100.0, 0.0)])
def test_what_a_period_stands_for_is_not_billed_twice(hours: float, left: float) -> None:
    """An hour before nine that a period simulates, for so many hours of a month."""
    parts = [period(730 - hours, 18 * 3600.0, 3600.0)] + [period(hours, 8 * 3600.0, 3600.0)] * (hours > 0)
    parts += [period(0.0, 10 * 3600.0, 3600.0)]
    found = unseen(offer(3600.0), parts)
    assert found.instance_hours.sum() == pytest.approx(2 * left * 730 / 24)


def test_ends_that_are_seen_are_billed_where_they_are() -> None:
    """Eight hours and a half are paid as nine; a period of a whole day has begin and end of it."""
    pieces = [period(365, 18 * 3600.0, 3600.0), period(365, 12 * 3600.0, 3600.0)]
    assert unseen(offer(1800.0, 0.0, 3600.0), pieces).instance_hours.sum() == pytest.approx(2 * (0.5 + 0.5) * 730 / 24)
    day = [period(730, 3600.0, 86400.0), period(0, 0.0, 60.0)]
    assert unseen(offer(1800.0, 0.0, 3600.0), day).instance_hours.sum() == pytest.approx(0.0, abs=1e-9)


def test_one_period_stands_for_all_of_a_month() -> None:
    assert unseen(offer(3600.0), [period(365, 0.0, 3600.0), period(365, 0.0, 3600.0)]).instance_hours.size == 0
