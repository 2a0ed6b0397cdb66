"""A fleet that is offered more than it can serve misses the SLO, though its batches fill for longer than the window."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleet_cases import ENGINE, fleet, pool, provider
from parts import few

from simulator.fleet.records import RECORD, Reason, Status
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.course import Course
from simulator.metrics.slo import ClassSlo, SloTerm, late_words
from simulator.perf.bounds import TokenBound
from simulator.perf.steptime import constant_step_time
from simulator.run.evaluate import evaluate
from simulator.scenario.load import load_scenario
from simulator.simulate import lasting
from simulator.simulate.codec import decode, encode
from simulator.simulate.demand import Demand
from simulator.simulate.one import Subject, simulate_one
from simulator.simulate.refusal import try_fleet
from simulator.study.choices import TargetRouting
from simulator.study.fleet import CascadeSpec, Opening, PoolSpec, Reliability, RoutingSpec
from simulator.study.schedule import Schedule as Hours
from simulator.workload.jobs import JobWorkload
from simulator.workload.spec import (
    ClassWorkload,
    ClosedLoopArrivals,
    Constant,
    Poisson,
    Schedule,
    Sessions,
    Spike,
    WorkloadSpec,
)

LONG_ANSWERS = Path(__file__).parents[2] / "scenarios/onprem/long-answers.yaml"
SLOTS, ANSWER_TOKENS, WINDOW_S = 256, 4000, 300.0
FLOOR_S, EACH_S = 0.01, 0.00015
TAKES_S = ANSWER_TOKENS * (FLOOR_S + SLOTS * EACH_S)
MOST_RPS = SLOTS / TAKES_S
"""256 answers of 4,000 steps at a time, of 10 ms and 0.15 ms for each: 194 s for 256 of them, 1.32 a second."""
SOON = ClassSlo("a", (SloTerm("ttft_s", 0.95, 2.0),))


def roomy(**changes: Any) -> PoolSpec:
    engine = replace(ENGINE, max_num_seqs=SLOTS, max_num_batched_tokens=4096, num_blocks=100_000, max_model_len=16_000)
    step_time = replace(constant_step_time(FLOOR_S, 4096, SLOTS), seq_time_s=EACH_S * np.arange(SLOTS + 1.0))
    watts = np.linspace(100.0, 700.0, SLOTS + 1)
    return replace(pool(), engine=engine, step_time=step_time, power_w_by_seqs=watts, **changes)


def subject(*pools: PoolSpec, timeout_s: float = 0.0, **others: Any) -> Subject:
    spec = fleet(pools or (roomy(),), **others)
    spec = replace(spec, classes=(replace(spec.classes[0], timeout_s=timeout_s),))
    return Subject(spec, (TokenBound(1e12, 1e12),) * len(spec.pools))


def asked(arrivals: Any, seed: int = 3, replications: int = 1, slo: ClassSlo = SOON) -> Demand:
    classes = (ClassWorkload("a", arrivals, isl=Constant(10), osl=Constant(ANSWER_TOKENS)),)
    return Demand((slo,), WorkloadSpec(classes), WINDOW_S, 0.0, 10 * TAKES_S, seed, replications)


def test_a_window_that_fills_no_batch_hides_that_too_much_comes() -> None:
    """A tenth too much leaves places in a batch of 256 for 300 s: nobody waits so long, and then ever more."""
    found = try_fleet(subject(), asked(Poisson(1.1 * MOST_RPS)))
    metrics = found.outcomes[0].metrics
    assert not metrics.courses[0].grows
    assert metrics.within[0][0] == metrics.total.arrived
    assert found.refutation is not None
    assert found.refutation.term == "begun once batches are full"
    assert str(found.refutation).startswith("a: the queue grows once the batches are full, in later windows: ")
    (row,) = (row for row in metrics.terms() if row["met"] is False)
    assert row["share"] == pytest.approx(1 / 1.1, abs=0.06)
    assert late_words(row) in str(found.refutation)
    assert metrics.summary()["slo_met"] is False


@pytest.mark.parametrize("load", [0.9, 0.95])
@pytest.mark.parametrize("seed", range(6))
def test_a_fleet_that_can_serve_what_comes_is_not_called_overloaded(load: float, seed: int) -> None:
    """It begins empty, and its answers take half of the window: the requests that are present rise for as long."""
    assert try_fleet(subject(), asked(Poisson(load * MOST_RPS), seed)).refutation is None


@pytest.mark.parametrize("time_s", [[0.0], [0.0, 50.0], [0.0, 100.0]])
def test_where_nothing_was_sampled_near_an_end_more_may_be_present(time_s: list[float]) -> None:
    """As with `run.sample_s` of a whole window."""
    samples = {name: np.zeros(len(time_s)) for name in ("running", "waiting", "pool")}
    assert lasting._grew(samples | {"time_s": np.array(time_s)}, 50.0, 100.0, 1.0)
    assert not lasting._grew(
        {name: np.zeros(2) for name in samples} | {"time_s": np.array([50.0, 100.0])}, 50.0, 100.0, 1.0
    )


@pytest.mark.parametrize("rate_rps", [0.9, 1.1])
def test_conversations_too(rate_rps: float) -> None:
    """Of two turns: the second follows the first answer, so that more comes in later windows than in the first."""
    arrivals = Sessions(rate_rps * MOST_RPS, Constant(2), 5.0)
    found = try_fleet(subject(), asked(arrivals))
    assert (found.refutation is None) is (rate_rps < 1.0)


def late_bursts(rate_rps: float) -> Demand:
    """Five times as many in the last sixth of each window."""
    each = rate_rps * 6 / 10
    return asked(Schedule(each, spikes=(Spike(WINDOW_S * 5 / 6, WINDOW_S / 6, 5.0),)))


def test_a_burst_at_the_end_of_each_window_has_room_in_the_next() -> None:
    """The requests present rise at the end of each window, to less than the batch holds."""
    found = try_fleet(subject(), late_bursts(0.92 * MOST_RPS))
    assert found.refutation is None
    assert found.outcomes[0].metrics.later is not None
    assert found.outcomes[0].metrics.lasts


def test_who_leaves_does_not_hide_that_too_many_come() -> None:
    """Clients that wait 5 s at most keep the queue short: in later windows one in eleven leaves it."""
    found = try_fleet(subject(timeout_s=5.0), asked(Poisson(1.1 * MOST_RPS)))
    assert found.refutation is not None
    assert found.refutation.term == "begun once batches are full"


def test_what_fails_by_chance_is_not_asked_of_later_windows() -> None:
    """A replica that fails every 100 s in the mean, for 200 s, serves less than half of what comes."""
    failing = roomy(reliability=Reliability(mtbf_s=100.0, mttr_s=200.0))
    fleets = [subject(one).fleet for one in (failing, roomy())]
    demand = asked(Poisson(0.95 * MOST_RPS))
    parts = [lasting._over(one, demand, 0, 4, MOST_RPS).spans[0][0].parts.tolist() for one in fleets]
    assert parts[0] == parts[1]


@pytest.mark.parametrize(
    ("routing", "meets"),
    [
        (RoutingSpec(TargetRouting.OVERFLOW, (0, 1), overflow_waiting=(0.0, np.inf)), True),
        (RoutingSpec(TargetRouting.WEIGHTED, (0, 1), weights=(0.8, 0.2)), True),
        (RoutingSpec(TargetRouting.WEIGHTED, (0, 1), weights=(0.95, 0.05)), False),
        (RoutingSpec(TargetRouting.CASCADE, (0, 1), cascade=CascadeSpec(share=0.1, streams=True)), False),
    ],
    ids=["spills", "has room", "does not spill", "cascade"],
)
def test_what_spills_to_a_token_api_is_no_overload(routing: RoutingSpec, meets: bool) -> None:
    """15 % too much for the pool: 80 % of that are 92 % of what it can do, and 95 % are 109 %."""
    api = provider(ttft_median_s=0.1, ttft_sigma=0.0, tpot_median_s=0.02, tpot_sigma=0.0)
    found = try_fleet(subject(roomy(), providers=(api,), routing=routing), asked(Poisson(1.15 * MOST_RPS)))
    assert (found.refutation is None) is meets


@pytest.mark.parametrize(("share_of_first", "meets"), [(0.92, True), (1.08, False)])
@pytest.mark.parametrize("spare", [roomy(replicas=4), provider(tpot_sigma=0.0)], ids=["pool", "token API"])
def test_one_of_several_targets_is_told_though_all_together_could_serve_what_comes(
    share_of_first: float, meets: bool, spare: Any
) -> None:
    """Four of five requests go to the first pool; that the other has room for them is of no use to those."""
    by_weight = RoutingSpec(TargetRouting.WEIGHTED, (0, 1), weights=(0.8, 0.2))
    first = (roomy(),) if spare.name == "api" else (roomy(), replace(spare, name="spare"))
    others = {"providers": (spare,)} if spare.name == "api" else {}
    found = try_fleet(subject(*first, routing=by_weight, **others), asked(Poisson(share_of_first * MOST_RPS / 0.8)))
    assert (found.refutation is None) is meets


def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of windows that are simulated further."""
    found, over = [], lasting._over

    def noted(*given: Any) -> Any:
        found.append(given[3])
        return over(*given)

    monkeypatch.setattr(lasting, "_over", noted)
    return found


OPENED = RoutingSpec(TargetRouting.WEIGHTED, (0,), openings=(Opening(0.0, (True,)),))
TOO_MUCH = asked(Poisson(1.1 * MOST_RPS))


@pytest.mark.parametrize(
    ("one", "demand"),
    [
        (subject(), asked(Poisson(0.8 * MOST_RPS))),
        (subject(), asked(ClosedLoopArrivals(2 * SLOTS, 1.0), slo=ClassSlo("a", is_open=False))),
        (subject(), asked(Poisson(3 * MOST_RPS))),
    ],
    ids=["light", "closed loop", "missed in the window"],
)
def test_no_further_window_is_simulated_where_it_tells_nothing(
    one: Subject, demand: Demand, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = looked_at(monkeypatch)
    assert simulate_one(one, demand, 0).metrics.later is None
    assert found == []


@pytest.mark.parametrize(
    "one",
    [subject(routing=OPENED), subject(roomy(schedule=Hours(((0.0, 1e5, 1),))))],
    ids=["openings", "schedule"],
)
@pytest.mark.parametrize(("load", "meets"), [(1.1, False), (0.95, True)])
def test_what_goes_by_the_clock_is_asked_too(one: Subject, load: float, meets: bool) -> None:
    """A schedule and a window that hold all the time are as none."""
    assert (try_fleet(one, asked(Poisson(load * MOST_RPS))).refutation is None) is meets


def test_further_windows_come_where_sixteen_show_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    """3.5 % too much grows by 13 answers a window, and 16 windows bring chance of as many."""
    found = looked_at(monkeypatch)
    beyond = [simulate_one(subject(), asked(Poisson(1.035 * MOST_RPS), seed=seed), 0).metrics for seed in range(4)]
    assert max(found) > 16
    assert all(metrics.later is not None and metrics.later.grows != metrics.lasts for metrics in beyond)


def test_jobs_and_too_many_requests_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    job = JobWorkload("a", Poisson(1.0), isl=Constant(10), osl=Constant(10), requests=5)
    assert not lasting._may_hide(subject().fleet, replace(TOO_MUCH, workload=WorkloadSpec((job,))))
    monkeypatch.setattr(lasting, "MOST_REQUESTS", 100)
    assert simulate_one(subject(), TOO_MUCH, 0).metrics.later is None


def test_as_few_windows_as_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    found = looked_at(monkeypatch)
    for load, windows in [(1.1, [4, 8]), (0.95, [4])]:
        found.clear()
        assert simulate_one(subject(), asked(Poisson(load * MOST_RPS)), 0).metrics.later is not None
        assert found == windows


def lost(status: Status, reason: Reason) -> Course:
    """100 come, one a second, of whom 60 are begun at once and 40 never."""
    records = np.zeros(100, RECORD)
    records["arrival_s"] = np.arange(100.0)
    records["scheduled_s"] = np.where(np.arange(100) % 5 < 3, records["arrival_s"], np.nan)
    records["finish_s"], records["isl"], records["prefill_target"] = records["arrival_s"] + 1.0, 10, -1
    never = np.isnan(records["scheduled_s"])
    records["status"][never], records["reason"][never] = status, reason
    found = Course(0.0, 100.0, losing=True)
    found.add(records)
    return found


@pytest.mark.parametrize(
    ("status", "reason", "grows"),
    [
        (Status.TIMED_OUT, Reason.NONE, True),
        (Status.REJECTED, Reason.QUEUE_FULL, True),
        (Status.TIMED_OUT, Reason.LEFT, False),
        (Status.REJECTED, Reason.TOO_LONG, False),
    ],
)
def test_of_a_losing_course_who_found_no_room_waits_for_ever(status: Status, reason: Reason, grows: bool) -> None:
    found = lost(status, reason)
    assert found.grows is grows
    assert found.begun == 60
    assert found.waits[-1] == (40 if grows else 1)


def test_replications_are_judged_together_and_kept_on_disk() -> None:
    one, other = (simulate_one(subject(), TOO_MUCH, k).metrics for k in range(2))
    light = simulate_one(subject(), asked(Poisson(0.5 * MOST_RPS)), 0).metrics
    whole = MetricAccumulator.of([light, one, other])
    assert one.later is not None
    assert other.later is not None
    assert whole.later is not None
    came = [found.later.spans[0][0].came for found in (one, other, whole) if found.later]
    assert came[0] + came[1] == came[2]
    assert one.later.spans[0][0].came == came[0]
    (row,) = (row for row in whole.terms([light, one, other]) if row["met"] is False)
    assert row["of"] == came[2]
    known = decode(encode(one))
    assert isinstance(known, MetricAccumulator)
    assert known.terms() == one.terms()


@pytest.mark.parametrize("horizon_s", few([600, 6000], 600))
def test_a_short_window_tells_the_same_last_month_as_a_long_one(horizon_s: float) -> None:
    """A replica does 2.4 a second by its step times, one a second doubles in a year: 2.38 come in month 16."""
    sets = ["run.keep_requests=false", "cost.draws=0", f"run.horizon_s={horizon_s}"]
    assert evaluate(load_scenario(LONG_ANSWERS, sets=sets), "own").summary.lasts_until == 15


def test_a_size_is_found_that_serves_what_comes_for_long() -> None:
    """The load of month 16 asks for two replicas, though one keeps its limit for 600 s."""
    sets = ["run.keep_requests=false", "cost.draws=0", "study.months=1", "run.replications=1"]
    sets += ["workload.classes[reasoning].arrivals.rate_rps=2.5", "topologies.own.pools[base].replicas=auto"]
    found = evaluate(load_scenario(LONG_ANSWERS, sets=sets), "own").summary
    assert found.metrics["slo_met"] is True
    assert found.replicas == (2, 2)
