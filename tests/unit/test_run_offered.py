"""A warning where answers take longer than the warm-up, with what the window lacks and the warm-up that mends it."""

from __future__ import annotations

import numpy as np

from simulator.fleet.records import RECORD, Status
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.slo import ClassSlo
from simulator.run.offered import short_warm_up


def answered(
    takes_s: list[float],
    warmup_s: float,
    window_s: float,
    at_api_s: tuple[float, ...] = (),
    targets: tuple[str, ...] = ("pool", "api"),
) -> MetricAccumulator:
    metrics = MetricAccumulator((ClassSlo("a"),), warmup_s, warmup_s + window_s, targets, 1)
    takes_s, of_pools = [*takes_s, *at_api_s], len(takes_s)
    records = np.zeros(len(takes_s), RECORD)
    records["target"][of_pools:] = 1
    records["status"] = Status.COMPLETED
    records["arrival_s"] = records["scheduled_s"] = warmup_s
    records["finish_s"] = warmup_s + np.array(takes_s)
    records["first_token_s"] = records["finish_s"]
    records["checked_s"] = records["prefilled_s"] = records["transferred_s"] = np.nan
    metrics.add(records)
    return metrics


def test_what_a_window_lacks_is_what_came_before_time_0() -> None:
    """Half of the answers take 4 s, half 14 s, after a warm-up of 10 s: 2 s of arrivals lack, of 20 s a tenth."""
    (words,) = short_warm_up(answered([4.0, 14.0] * 50, 10.0, 20.0))
    assert "about 10% fewer" in words
    assert "answers take up to 14 s (p99) and the warm-up 10 s" in words
    assert "run.warmup_s=14 " in words or "run.warmup_s=15 " in words


def test_nothing_is_said_where_little_or_nothing_lacks() -> None:
    assert short_warm_up(answered([4.0, 14.0] * 50, 15.0, 20.0)) == []
    assert short_warm_up(answered([4.0, 14.0] * 50, 10.0, 200.0)) == []
    assert short_warm_up(answered([], 0.0, 20.0)) == []


def test_pools_lack_as_much_where_no_token_api_is_beside_them() -> None:
    alone = answered([4.0, 14.0] * 50, 10.0, 20.0, targets=("pool",))
    assert short_warm_up(alone) == short_warm_up(answered([4.0, 14.0] * 50, 10.0, 20.0)) != []


def test_calls_of_token_apis_lack_nowhere_however_late_they_end() -> None:
    """They count where they are made: batches of an hour beside the pool change neither the share nor the warm-up."""
    hours = (3600.0,) * 300
    assert short_warm_up(answered([4.0, 14.0] * 50, 10.0, 20.0, hours)) == short_warm_up(
        answered([4.0, 14.0] * 50, 10.0, 20.0)
    )
    assert short_warm_up(answered([4.0] * 50, 10.0, 20.0, hours)) == []
