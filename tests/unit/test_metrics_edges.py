"""Where a figure of a run begins to be told, or a law to be broken: both sides of each bound, by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import bill_cases
import numpy as np
import pytest
from numpy.typing import NDArray

from simulator.errors import InvariantError
from simulator.fleet.records import RECORD, Status
from simulator.fleet.simulate import PoolBalance
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.course import Course, LaterWindows
from simulator.metrics.intervals import share_interval, t_interval, wilson_interval
from simulator.metrics.laws import check_causality, check_gpu_seconds, check_little, check_roofline
from simulator.metrics.parts import parts_s, reason_words
from simulator.metrics.queues import Queues, steady_replicas
from simulator.metrics.slo import ClassSlo, SloTerm, TermCount, late_words, share_words
from simulator.study.usage import Stay

HOUR_S = 3600.0


def ended(**columns: Any) -> NDArray[Any]:
    """One request: comes at 10 s, is begun at 11 s, answers at 13 s and has its 5 tokens at 17 s."""
    out = np.zeros(1, RECORD)
    base = {"arrival_s": 10.0, "scheduled_s": 11.0, "first_token_s": 13.0, "finish_s": 17.0, "osl": 5, "generated": 5}
    base |= {"prefill_target": -1, "checked_s": np.nan, "transferred_s": np.nan, "prefilled_s": np.nan}
    for name, values in {**base, **columns}.items():
        out[name] = values
    return out


@pytest.mark.parametrize("at_once", ["scheduled_s", "first_token_s", "finish_s"])
def test_each_step_of_a_request_may_follow_at_once_but_not_before(at_once: str) -> None:
    order = ["arrival_s", "scheduled_s", "first_token_s", "finish_s"]
    before_s = float(ended()[order[order.index(at_once) - 1]][0])
    check_causality(ended(**{at_once: before_s}))
    with pytest.raises(InvariantError, match="request 0 was completed out of order"):
        check_causality(ended(**{at_once: before_s - 0.5}))


def test_an_answer_that_lacks_a_token_and_an_end_before_the_beginning_are_found() -> None:
    with pytest.raises(InvariantError, match="out of order"):
        check_causality(ended(generated=4))
    lost = {"status": Status.TIMED_OUT, "scheduled_s": np.nan, "first_token_s": np.nan, "generated": 0}
    check_causality(ended(**lost, finish_s=10.0))
    with pytest.raises(InvariantError, match="a request ended before it arrived"):
        check_causality(ended(**lost, finish_s=9.5))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"in_system_s": 1000.0005}, ""),
        ({"in_system_s": 1000.002}, "Little's law is broken, 1000.002 against 1000.0 request-s"),
        ({"sojourn_s": 0.0, "in_system_s": 0.5e-6}, ""),
        ({"sojourn_s": 0.0, "in_system_s": 2e-6}, "Little's law"),
        ({"departures": 6}, "pool p: 7 came, 6 left"),
        ({"arrivals": 6}, "pool p: 6 came, 7 left"),
    ],
)
def test_littles_law_holds_to_a_millionth(changes: dict[str, Any], words: str) -> None:
    balance = replace(PoolBalance("p", 1000.0, 1000.0, 7, 7), **changes)
    if not words:
        check_little(balance)
        return
    with pytest.raises(InvariantError, match=words):
        check_little(balance)


SERVES = bill_cases.pool(stays=(Stay(0, 0, "serving", 0.0, 2 * HOUR_S),))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"idle_s": SERVES.idle_s + 0.005}, ""),
        ({"idle_s": SERVES.idle_s + 0.01}, "s in states, 7200.0 s billed"),
        ({"starting_s": -0.005}, ""),
        ({"starting_s": -0.01, "idle_s": SERVES.idle_s + 0.01}, "pool pool: -0.01 s starting"),
        ({"down_s": -1.0, "busy_s": SERVES.busy_s + 1.0}, "-1.0 s down"),
        ({"busy_s": -1.0}, "-1.0 s busy"),
        ({"billed_by_hour_s": np.array([3600.0, 3600.005])}, ""),
        ({"billed_by_hour_s": np.array([3600.0, 3600.01])}, "hours do not add up to the time billed"),
    ],
)
def test_billed_time_is_the_sum_of_its_states_and_of_its_hours(changes: dict[str, Any], words: str) -> None:
    """Of 7,200 s a millionth is 0.0072 s."""
    if not words:
        check_gpu_seconds(replace(SERVES, **changes))
        return
    with pytest.raises(InvariantError, match=words):
        check_gpu_seconds(replace(SERVES, **changes))


@pytest.mark.parametrize(
    ("computed", "output", "words"),
    [
        (900_000, 200_000, ""),
        (899_000, 200_000, "900000 computed tokens in 17280.0 busy GPU-s exceed"),
        (900_000, 199_000, "200000 output tokens in 17280.0 busy GPU-s exceed"),
        (math.inf, math.inf, ""),
    ],
)
def test_no_more_tokens_than_peaks_allow(computed: float, output: float, words: str) -> None:
    """800,000 prompt tokens, 100,000 of them cached, and 200,000 of answers, in 0.6 · 7,200 s of 4 GPUs."""
    gpu_s = 0.6 * 2 * HOUR_S * 4
    if not words:
        check_roofline(SERVES, computed / gpu_s, output / gpu_s)
        return
    with pytest.raises(InvariantError, match=words):
        check_roofline(SERVES, computed / gpu_s, output / gpu_s)


def queues(*waits: tuple[int, float, int]) -> Queues:
    """Of (replica, seconds waited by each, requests)."""
    found = Queues()
    for replica, waited_s, count in waits:
        records = np.zeros(count, RECORD)
        records["replica"], records["prefill_target"] = replica, -1
        records["scheduled_s"] = waited_s
        found.add(records)
    return found


@pytest.mark.parametrize(
    ("first_s", "second_s", "is_hot"), [(1.0, 0.0, True), (0.99, 0.0, False), (10.0, 1.0, True), (10.0, 1.02, False)]
)
def test_a_replica_is_hot_from_one_waiting_request_on_and_a_tenth_of_them_elsewhere(
    first_s: float, second_s: float, is_hot: bool
) -> None:
    """A hundred requests to each of two, in 100 s: as many wait on average as each of them waits seconds."""
    assert bool(queues((0, first_s, 100), (1, second_s, 100)).hot(100.0)) is is_hot


@pytest.mark.parametrize(("serving_s", "replicas"), [(1980.0, 2), (1979.0, 0)])
def test_replicas_that_serve_all_but_a_hundredth_of_the_time_are_always_there(serving_s: float, replicas: int) -> None:
    usage = replace(SERVES, busy_s=serving_s - 500.0, idle_s=500.0, peak_replicas=2)
    assert steady_replicas(usage, 1000.0) == replicas


@pytest.mark.parametrize(
    ("share", "digits", "words"),
    [
        (0.9, 0, "90%"),
        (0.994, 0, "99%"),
        (0.996, 0, "99.6%"),
        (0.99996, 1, "99.996%"),
        (1.0, 1, "100.0%"),
        (1.0 - 1e-12, 1, "100.000000000%"),
    ],
)
def test_a_share_below_all_is_never_told_as_all(share: float, digits: int, words: str) -> None:
    assert share_words(share, digits) == words


@pytest.mark.parametrize(
    ("value_s", "words"),
    [(99.94, "99.9 s"), (100.4, "100 s"), (3599.4, "3,599 s"), (3600.0, "1.0 h"), (36_000_000.0, "10,000.0 h")],
)
def test_how_late_a_job_is_is_told_in_seconds_up_to_an_hour(value_s: float, words: str) -> None:
    row = {"metric": "e2e_s", "deadline": True, "met": False, "value": value_s, "limit": 0.0}
    assert late_words(row) == f"done after {words}, {words} late"


def test_reasons_are_told_with_their_numbers_where_there_are_several() -> None:
    assert reason_words({}, 3) == ""
    assert reason_words({"too_long": 3}, 3) == " (too long)"
    assert reason_words({"too_long": 1200, "rate_limit": 1}, 1201) == " (1,200 too long, 1 rate limit)"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [0.0, 1.0, 0.0, 2.0, 0.0, 4.0]),
        ({"no_replica_s": 0.25}, [0.0, 0.75, 0.25, 2.0, 0.0, 4.0]),
        ({"no_replica_s": 9.0}, [0.0, 0.0, 1.0, 2.0, 0.0, 4.0]),
        ({"checked_s": 10.5}, [0.5, 0.5, 0.0, 2.0, 0.0, 4.0]),
        ({"checked_s": 12.0}, [2.0, 0.0, 0.0, 1.0, 0.0, 4.0]),
        ({"prefilled_s": 12.0, "transferred_s": 12.75}, [0.0, 1.0, 0.0, 1.25, 0.75, 4.0]),
    ],
)
def test_where_the_seven_seconds_of_a_request_go(changes: dict[str, Any], expected: list[float]) -> None:
    """Cascade, queue, cold start, prefill, transfer, decode."""
    assert parts_s(ended(**changes))[:, 0].tolist() == pytest.approx(expected)


def test_intervals_have_the_half_widths_of_tables() -> None:
    """t of 2 degrees is 4.3027 at 95 % and 2.9200 at 90 %, z is 1.95996."""
    mean, half = t_interval([1.0, 2.0, 3.0])
    assert (mean, half) == (2.0, pytest.approx(4.3027 / math.sqrt(3), rel=1e-4))
    assert t_interval([1.0, 2.0, 3.0], 0.9)[1] == pytest.approx(2.92 / math.sqrt(3), rel=1e-4)
    z2 = 1.959964**2
    assert wilson_interval(0.0, 10, 1.959964) == pytest.approx((0.0, z2 / (10 + z2)), abs=1e-9)
    assert share_interval([0], [10]) == pytest.approx((0.0, z2 / (10 + z2)), abs=1e-6)
    assert share_interval([10], [10]) == pytest.approx((10 / (10 + z2), 1.0), abs=1e-6)


def test_an_interval_over_replications_that_differ_is_that_of_fewer_trials() -> None:
    """Shares of 0.4 and 0.6 of 100 each: s² = 2·(10² + 10²)/200² = 0.01, so 0.25/0.01 = 25 trials, t of 1 degree."""
    t = 12.7062
    n = 0.25 / 0.01
    scale = 1 + t**2 / n
    half = t / scale * math.sqrt(0.25 / n + t**2 / (4 * n**2))
    assert share_interval([40, 60], [100, 100]) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-4)
    z = 1.959964
    half = z / (1 + z**2 / 200) * math.sqrt(0.25 / 200 + z**2 / (4 * 200**2))
    assert share_interval([50, 50, 0], [100, 100, 0]) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-6), "no spread"


def course(begun: int, waiting: int) -> Course:
    """So many are begun in a second each, so many more wait from the middle of 100 s on."""
    records = np.zeros(begun + waiting, RECORD)
    records["osl"], records["prefill_target"], records["finish_s"] = 1, -1, 1e4
    records["arrival_s"] = np.concatenate([np.linspace(0.0, 99.0, begun), np.full(waiting, 50.0)])
    records["scheduled_s"] = np.concatenate([np.linspace(0.0, 99.0, begun), np.full(waiting, 200.0)])
    found = Course(0.0, 100.0)
    found.add(records)
    return found


def test_what_later_windows_show_is_told_of_the_class_and_span_that_grow() -> None:
    """Of 200 that come in the last quarter of the windows 100 are not begun, and of as many in another replication."""
    calm, grows = (lambda: course(100, 0)), (lambda: course(100, 100))
    later = LaterWindows([(calm(), calm()), (calm(), grows())], settled=True)
    assert (later.growing(0), later.growing(1), later.grows) == (None, 1, True)
    alone = LaterWindows([(calm(), calm()), (grows(), calm())], settled=True)
    assert (alone.growing(1), alone.grows) == (0, True)
    assert not LaterWindows([(calm(), calm())], settled=False).grows

    classes = (ClassSlo("chat"), ClassSlo("jobs", (SloTerm("e2e_s", 0.5, 9.0),)))
    each = []
    for settled in (True, False):
        one = MetricAccumulator(classes, 0.0, 100.0)
        one.later = LaterWindows([(calm(), calm()), (calm(), grows())], settled)
        each.append(one)
    whole = MetricAccumulator.of(each)
    assert whole.later is not None
    assert (whole.later.settled, whole.lasts) == (False, False)
    assert whole.later.spans[1][1].counts == TermCount(200, 400)
    assert each[0].later is not None
    assert each[0].later.spans[1][1].counts == TermCount(100, 200), "what was merged stays as it is"
    rows = [row for row in whole.terms(each) if row["metric"] == "begun"]
    (row,) = rows
    assert (row["class"], row["share"], row["of"], row["met"]) == ("jobs", 0.5, 400, False)
    assert row["allowance_used"] == pytest.approx(2.0)
    assert late_words(row) == (
        "the queue grows once the batches are full, in later windows: 50.0% of what comes is not begun then"
    )
    assert [row["class"] for row in whole.terms(each, absent=[1])] == ["chat"], "of whom nobody comes nothing is missed"


@pytest.mark.parametrize(("settled", "lasts"), [(True, True), (False, False)])
def test_a_fleet_lasts_where_later_windows_settle_and_no_queue_grows(settled: bool, lasts: bool) -> None:
    found = MetricAccumulator((ClassSlo("chat"),), 0.0, 100.0)
    assert not found.lasts, "nothing is known without later windows"
    found.later = LaterWindows([(course(100, 0), course(100, 0))], settled)
    assert found.lasts is lasts


@pytest.mark.parametrize(("last", "fills"), [(110, (0.5, 0.55)), (109, None)])
def test_a_cache_fills_from_five_percent_of_the_prompt_on(last: int, fills: Any) -> None:
    records = np.zeros(4, RECORD)
    records["arrival_s"] = records["scheduled_s"] = [5.0, 30.0, 55.0, 80.0]
    records["isl"], records["osl"], records["prefill_target"], records["finish_s"] = 200, 1, -1, 1e4
    records["cached_tokens"] = [100, 103, 106, last]
    found = Course(0.0, 100.0)
    found.add(records)
    assert found.fills == fills
