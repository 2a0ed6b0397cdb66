"""A warning where answers take longer than the warm-up, with what the window lacks and the warm-up that mends it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scenario_cases import chat, written

from simulator.fleet.records import RECORD, Status
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.slo import ClassSlo
from simulator.resolve.agreed import Spell
from simulator.resolve.topology import plan_topology
from simulator.run.loads import loads_of
from simulator.run.months import Journey
from simulator.run.offered import later_offered, short_warm_up, young_caches, young_sessions
from simulator.simulate.demand import Demand
from simulator.study.bill import Tokens
from simulator.study.decision import Served, Share, Walked
from simulator.workload.spec import ClassWorkload, Constant, Sessions, WorkloadSpec


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


def turns_of(came: int, warmup_s: float, turns: int = 11) -> list[str]:
    """What is said where so many turns come in 500 s, of 2 a second, each answered in 5 s after a minute."""
    cls = ClassWorkload("chat", Sessions(2.0, Constant(turns), 60.0), isl=Constant(10), osl=Constant(10))
    demand = Demand((ClassSlo("chat"),), WorkloadSpec((cls,)), warmup_s + 500.0, warmup_s, 0.0, 1, 1)
    return young_sessions(demand, answered([5.0] * came, warmup_s, 500.0))


def test_conversations_that_begin_at_time_0_bring_fewer_turns_than_are_asked_for() -> None:
    """1,000 turns are asked for. Ten pauses and answers of 65 s are 650 s; the window of 500 s stays as it is."""
    (words,) = turns_of(700, 100.0)
    assert words.startswith("chat: conversations take up to 65")
    assert "so 30% of the turns" in words
    assert re.search(r"with run\.warmup_s=65\d and run\.horizon_s=115\d it is not$", words)
    (words,) = turns_of(700, 1000.0)
    assert "run.warmup_s" not in words


def test_turns_are_missed_beyond_chance_alone() -> None:
    """Of conversations of 11 turns, √(1,000·11) = 105 more or less come by chance."""
    assert turns_of(780, 100.0) != []
    assert turns_of(800, 100.0) == []
    assert turns_of(979, 100.0, 1) == turns_of(1200, 100.0) == []


def test_a_cache_that_fills_is_told_with_its_first_and_last_share() -> None:
    metrics = MetricAccumulator((ClassSlo("a"), ClassSlo("b")), 0.0, 40.0, ("pool",))
    records = np.zeros(4, RECORD)
    records["arrival_s"] = records["scheduled_s"] = [5.0, 15.0, 25.0, 35.0]
    records["isl"] = 100
    records["class_id"], records["prefill_target"] = 1, -1
    records["cached_tokens"] = [10, 20, 30, 42]
    metrics.add(records)
    (words,) = young_caches(metrics)
    assert words.startswith(
        "b: prefix caches begin empty and still fill: 10% of the prompt tokens were found in the first"
    )
    assert ", 42% in the last" in words


@pytest.mark.parametrize(
    ("kept", "said"), [(0.93, "months 9 to 11: 10.3 requests/s are offered, about 9.5 can be served"), (1.0, "")]
)
def test_of_later_months_it_is_told_where_more_comes_than_a_fleet_can_do(
    tmp_path: Path, kept: float, said: str
) -> None:
    """A replica that does 1,900 output tokens/s gives 9.5 answers of 200 a second; four a second are 10.1 in month 9.

    Month 12 misses the SLO, and so says it itself.
    """
    own = "{pools: [{name: base, site: datacentre, gpu: h100-sxm, replicas: 1, billing: owned}]}"
    loaded = written(
        tmp_path,
        chat(f"own: {own}", study="months: 12, growth_per_year: 3.0", rate_rps=4, horizon_s=600),
        "engine.throughput={output_tokens_per_s: 1900, input_tokens_per_s: 1000000000, tpot_s: 0.01}",
    )
    loads, planned = loads_of(loaded), plan_topology(loaded, "own")
    period = loads.horizon.periods[0]

    def month(number: int) -> Walked:
        level = loads.horizon.level(number)
        tokens = kept * (500 + 200) * 4 * level[0] * 730 * 3600
        gave = Served(number < 12, 1.0, "", (), (Tokens(tokens, tokens, tokens, tokens),))
        return Walked(number, level, (1,), number < 12, 1.0, "", (Share(730.0, period, gave),))

    journey = Journey(tuple(map(month, range(1, 13))), (Spell(1, planned),))
    told = [one["text"] for one in later_offered(journey, loads)]
    assert [text.startswith(said) for text in told] == [True] * bool(said)
    assert not any("unstable" in text or "will only grow" in text for text in told), "these months meet the SLO"
