"""Finite jobs: how long they take, what is billed, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import fleet_cases as cases
import numpy as np
import pytest
from scenario_cases import written

from simulator.errors import InputError
from simulator.fleet.simulate import simulate_fleet
from simulator.metrics.slo import late_words
from simulator.plan.options import PlanOptions
from simulator.plan.plan import plan_fleet
from simulator.run.evaluate import evaluate
from simulator.run.simulate import simulate
from simulator.size.found import Limits
from simulator.study.fleet import ColdStart, ServiceTier
from simulator.workload.jobs import JobWorkload
from simulator.workload.levels import at_level
from simulator.workload.source import build_source
from simulator.workload.spec import Constant, Lognormal, Schedule, WorkloadSpec

NEVER = Schedule(rate_rps=1.0, hourly=(0.0,) * 24)
SCENARIO = """
schema_version: 1
name: job
model: llama-3.1-8b-instruct
engine: {max_model_len: 4096, enable_prefix_caching: false}
workload:
  classes:
    - name: docs
      arrivals: {kind: job, requests: 20000, deadline_s: 7200}
      lengths: {isl: 500, osl: 100}
topologies:
  rent: {pools: [{name: p, site: lambda, gpu: h100-sxm, price_usd_per_gpu_hour: 4.0, billing_granularity_s: 3600}]}
cost: {draws: 0}
run: {horizon_s: 7200, keep_requests: false}
"""


def load(tmp_path: Path, *changes: str, text: str = SCENARIO) -> Any:
    return written(tmp_path, text, *changes)


def run_job(
    n: int, replicas: int, cold_s: float = 0.0, owned: bool = False, horizon_s: float = 1e5
) -> tuple[float, Any]:
    """Time of a job of n requests of one token in and one out, in steps of 50 ms with 8 of them."""
    pool = cases.pool("p", replicas, cold_start=ColdStart(provision_s=cold_s), owned=owned)
    spec = cases.fleet((pool,), classes=cases.classes(1))
    job = JobWorkload("a", NEVER, Constant(1), Constant(1), requests=n)
    source = build_source(WorkloadSpec((job,)), 1e5, 1)
    run = simulate_fleet(
        spec, source, horizon_s=horizon_s, drain_s=0.0, warmup_s=0.0, seed=1, sink=lambda records: None, job_s=0.0
    )
    return run.usage.end_s, run


@pytest.mark.parametrize("replicas", [1, 2, 5])
def test_a_job_takes_as_many_full_steps_as_its_requests_need(replicas: int) -> None:
    """The analytic twin: N requests, B to a step of T seconds on each of R replicas: T·ceil(N / (B·R))."""
    n = 8_000
    end_s, run = run_job(n, replicas)
    assert end_s == pytest.approx(cases.STEP_S * math.ceil(n / (8 * replicas)))
    (pool,) = run.usage.pools
    assert pool.requests == n
    assert pool.busy_s == pytest.approx(cases.STEP_S * n / 8)
    assert pool.billed_s == pytest.approx(replicas * end_s)
    assert run.samples["time_s"].max() <= 1e5


def test_rented_replicas_begin_with_a_cold_start_that_is_paid_and_owned_ones_do_not() -> None:
    warm_s, _ = run_job(800, 1)
    cold_s, run = run_job(800, 1, cold_s=120.0)
    assert cold_s == pytest.approx(warm_s + 120.0)
    assert run.usage.pools[0].starting_s == pytest.approx(120.0)
    assert run_job(800, 1, cold_s=120.0, owned=True)[0] == pytest.approx(warm_s)


def test_a_job_whose_machines_are_up_after_the_horizon_is_done_late_not_unknown() -> None:
    """Its requests came, and are answered as after any other cold start: what they miss is the deadline."""
    warm_s, _ = run_job(64, 2)
    late_s, run = run_job(64, 2, cold_s=700.0, horizon_s=600.0)
    assert late_s == pytest.approx(700.0 + warm_s, rel=1e-6)
    assert run.usage.pools[0].requests == 64


@pytest.mark.parametrize("horizon_s", [1e5, 100.0, 10.0, 1.0])
def test_a_job_ends_when_its_work_is_done_wherever_the_horizon_is(horizon_s: float) -> None:
    """The twin of a job in time holds for one that is late: T·ceil(N / (B·R)), paid to its end."""
    end_s, run = run_job(8_000, 1, horizon_s=horizon_s)
    assert end_s == pytest.approx(cases.STEP_S * 1_000)
    assert run.usage.pools[0].billed_s == pytest.approx(end_s)


def test_a_late_job_is_billed_to_its_end_and_says_how_late_it_is(tmp_path: Path) -> None:
    """What it costs and how long it takes do not depend on its deadline."""
    done = simulate(load(tmp_path), tmp_path).summary["topologies"]["rent"]["cost"]
    sooner = ("workload.classes[docs].arrivals.deadline_s=60", "run.horizon_s=60", "run.drain_s=0")
    found = simulate(load(tmp_path, *sooner), tmp_path)
    late = found.summary["topologies"]["rent"]
    assert late["metrics"]["slo_met"] is False
    assert late["cost"]["job"] == done["job"]
    assert late["cost"]["tokens_per_month"] == pytest.approx(done["tokens_per_month"])
    term = late["metrics"]["binding_term"]
    assert 60 < term["value"] <= done["job"]["job_s"]
    assert " s late" in found.decision["topologies"]["rent"]["months"][0]["binding"]


def test_a_job_by_tokens_has_the_fewest_requests_that_hold_so_many() -> None:
    job = JobWorkload("a", NEVER, Lognormal(500, 0.5), Lognormal(100, 0.5), tokens=30_000_000)
    chunks = list(build_source(WorkloadSpec((job,)), 10.0, 3).chunks())
    tokens = np.concatenate([chunk.isl.astype(np.int64) + chunk.osl for chunk in chunks])
    assert tokens[:-1].sum() < 30_000_000 <= tokens.sum()
    assert {float(chunk.arrival_s.max()) for chunk in chunks} == {0.0}


def test_growth_multiplies_the_requests_of_a_job() -> None:
    job = JobWorkload("a", NEVER, Constant(10), Constant(10), requests=1_000)
    for factor, count in ((2.5, 2_500), (0.0, 0)):
        spec = at_level(WorkloadSpec((job,)), (factor,))
        assert sum(len(chunk) for chunk in build_source(spec, 10.0, 3).chunks()) == count


def test_a_job_is_billed_by_the_hour_and_its_dollars_per_token_are_of_its_tokens(tmp_path: Path) -> None:
    cost = simulate(load(tmp_path), tmp_path).summary["topologies"]["rent"]["cost"]
    job = cost["job"]
    hours = math.ceil(job["job_s"] / 3600)
    assert 0 < job["job_s"] < 7200
    assert job["usd_per_job"] == pytest.approx(4.0 * hours, rel=1e-3), "traffic is a fraction of a cent"
    assert cost["tokens_per_month"] == pytest.approx(20_000 * 600)
    assert cost["usd_per_million_tokens"] == pytest.approx(job["usd_per_job"] / 12, rel=1e-9)
    often = load(tmp_path, "workload.classes[docs].arrivals.per_month=30")
    cost = simulate(often, tmp_path).summary["topologies"]["rent"]["cost"]
    assert cost["usd_per_month"] == pytest.approx(30 * job["usd_per_job"])
    assert cost["usd_per_million_tokens"] == pytest.approx(job["usd_per_job"] / 12)


def test_a_deadline_that_is_missed_is_an_slo_that_is_missed(tmp_path: Path) -> None:
    done = simulate(load(tmp_path), tmp_path).summary["topologies"]["rent"]
    seconds = done["cost"]["job"]["job_s"]
    for deadline_s, met in ((math.ceil(seconds), True), (math.floor(seconds) - 1, False)):
        loaded = load(tmp_path, f"workload.classes[docs].arrivals.deadline_s={deadline_s}")
        found = simulate(loaded, tmp_path)
        assert found.summary["topologies"]["rent"]["metrics"]["slo_met"] is met
        assert (found.decision["winners"] == ["rent"]) is met


def test_the_fleet_is_sized_to_the_deadline(tmp_path: Path) -> None:
    sized = ("topologies.rent.pools[p].replicas=auto", "workload.classes[docs].arrivals.deadline_s=400")
    found = simulate(load(tmp_path, *sized), tmp_path).summary["topologies"]["rent"]
    assert found["metrics"]["slo_met"]
    n = int(found["search"]["sizes"]["p"])
    assert n > 1
    fewer = load(tmp_path, f"topologies.rent.pools[p].replicas={n - 1}", sized[1])
    assert not simulate(fewer, tmp_path).summary["topologies"]["rent"]["metrics"]["slo_met"]


def test_the_fleet_is_sized_so_that_a_months_jobs_fit_into_it(tmp_path: Path) -> None:
    """One replica keeps the deadline and takes 844 hours for all jobs; two take half of that."""
    often = "workload.classes[docs].arrivals.per_month=5000"
    found = simulate(load(tmp_path, often, "topologies.rent.pools[p].replicas=auto"), tmp_path)
    rent = found.summary["topologies"]["rent"]
    assert rent["search"]["sizes"]["p"] == "2"
    assert rent["cost"]["job"]["job_s"] * 5000 <= 730 * 3600
    assert found.decision["winners"] == ["rent"]


def test_jobs_that_do_not_fit_into_a_month_miss_the_slo(tmp_path: Path) -> None:
    found = simulate(load(tmp_path, "workload.classes[docs].arrivals.per_month=100000"), tmp_path)
    assert "a month has 730" in found.decision["topologies"]["rent"]["months"][0]["binding"]
    assert found.decision["winners"] == []
    job_s = found.summary["topologies"]["rent"]["cost"]["job"]["job_s"]
    fit = int(730 * 3600 / job_s)
    assert f"about {fit:,} fit" in found.decision["topologies"]["rent"]["months"][0]["binding"]


def test_where_no_size_gets_all_jobs_into_a_month_the_one_that_gets_most_is_shown(tmp_path: Path) -> None:
    """It is the largest that is looked at, not the one that takes longest, and the reason is the month."""
    often = "workload.classes[docs].arrivals.per_month=20000"
    loaded = load(tmp_path, often, "topologies.rent.pools[p].replicas=auto")
    found = simulate(loaded, tmp_path, limits=Limits(max_replicas=3))
    search = found.summary["topologies"]["rent"]["search"]
    assert search["sizes"]["p"] == "3"
    assert "with at most 3 replicas: 20000 jobs take" in search["infeasible"]
    assert "--max-replicas 3 may be raised" in search["infeasible"]


def test_the_scenario_s_bound_holds_for_searches_and_says_so(tmp_path: Path) -> None:
    """`run.max_replicas` is a bound of written sizes and of searches alike, of `run`, sweeps and `plan`."""
    often = "workload.classes[docs].arrivals.per_month=20000"
    loaded = load(tmp_path, often, "topologies.rent.pools[p].replicas=auto", "run.max_replicas=2")
    search = simulate(loaded, tmp_path).summary["topologies"]["rent"]["search"]
    assert search["sizes"]["p"] == "2"
    assert "run.max_replicas 2 may be raised" in search["infeasible"]
    assert evaluate(loaded, "rent").summary.replicas == (0, 2), "they start when the job comes"
    for refused in (
        lambda: simulate(loaded, tmp_path, limits=Limits(max_replicas=99_999)),
        lambda: plan_fleet(loaded, PlanOptions(max_replicas=99_999)),
    ):
        with pytest.raises(InputError) as caught:
            refused()
        assert "--max-replicas: is above run.max_replicas (2): set that higher if so many are meant" in str(
            caught.value
        )


@pytest.mark.parametrize(
    ("changes", "where", "words"),
    [
        (["workload.classes[docs].arrivals.deadline_s=0"], "arrivals.deadline_s", "greater than 0"),
        (["workload.classes[docs].arrivals.deadline_s=9000"], "arrivals.deadline_s", "beyond run.horizon_s"),
        (["workload.classes[docs].arrivals.tokens=5"], "arrivals", "requests of the job, or its tokens"),
        (["run.warmup_s=10"], "arrivals.start_s", "warm-up"),
        (["workload.classes[docs].timeout_s=10"], "timeout_s", "wait for their turn"),
        (["study.periods=[{name: day}]"], "study.periods", "time of its own"),
    ],
)
def test_what_cannot_be_is_refused_at_its_place(tmp_path: Path, changes: list[str], where: str, words: str) -> None:
    with pytest.raises(InputError) as raised:
        load(tmp_path, *changes)
    (problem,) = raised.value.problems
    assert problem.path is not None
    assert problem.path.endswith(where)
    assert words in problem.message


def test_users_who_never_stop_are_refused_beside_a_job(tmp_path: Path) -> None:
    users = "  - {name: users, arrivals: {kind: closed_loop, concurrency: 4}, lengths: {isl: 10, osl: 10}}"
    text = SCENARIO.replace("topologies:", f"  {users}\ntopologies:")
    with pytest.raises(InputError, match="no job beside them has an end"):
        load(tmp_path, text=text)


def test_luck_of_a_job_is_named() -> None:
    """The requests of a job are the same whatever the block; a second replication has others."""
    job = JobWorkload("a", NEVER, Lognormal(500, 0.5), Lognormal(100, 0.5), requests=40_000)
    both = [
        np.concatenate([c.isl for c in build_source(WorkloadSpec((job,)), 10.0, seed).chunks()]) for seed in (1, 1, 2)
    ]
    assert np.array_equal(both[0], both[1])
    assert not np.array_equal(both[0], both[2])
    assert len(both[0]) == 40_000


@pytest.mark.parametrize(
    ("value_s", "words"),
    [
        (600.0, ""),
        (605.7, "done after 606 s, 5.7 s late"),
        (3_100.0, "done after 3,100 s, 2,500 s late"),
        (7_800.0, "done after 2.2 h, 2.0 h late"),
        (math.inf, "never done: too many of its requests have no answer"),
    ],
)
def test_how_late_a_job_is_reads_as_people_say_it(value_s: float, words: str) -> None:
    row = {"deadline": True, "met": value_s <= 600.0, "value": value_s, "limit": 600.0}
    assert late_words(row) == words
    assert late_words(row | {"deadline": False}) == ""


def test_a_job_beside_others_is_told_to_be_late_by_the_end_of_the_simulated_time() -> None:
    row = {"deadline": True, "met": False, "value": math.inf, "limit": 600.0, "until": 4_200.0}
    words = "not done when the simulated time ends, 1.0 h late: too many of its requests have no answer by then"
    assert late_words(row) == words


def test_windows_that_could_cut_a_job_are_refused(tmp_path: Path) -> None:
    beside = "    - {name: chat, arrivals: {kind: poisson, rate_rps: 1}, lengths: {isl: 300, osl: 60}}\ntopologies:"
    text = SCENARIO.replace("topologies:", beside) + "study: {cut: {window_h: 0.5, kinds: 2}}\n"
    with pytest.raises(InputError, match="a job may reach over the end of a window"):
        load(tmp_path, text=text)


@pytest.mark.parametrize("window_s", [50.0, 5e6])
def test_a_job_ends_with_its_last_answer_though_a_batch_s_comes_after_a_hundred_horizons(window_s: float) -> None:
    api = cases.provider(tier_by_class=(ServiceTier(batch_window_s=window_s),))
    job = JobWorkload("a", NEVER, Constant(1), Constant(1), requests=200)
    ends: list[float] = []
    run = simulate_fleet(
        cases.fleet((cases.pool("p", 2),), (api,), classes=cases.classes(2)),
        build_source(WorkloadSpec((job,)), 1e5, 1),
        horizon_s=100.0,
        drain_s=0.0,
        warmup_s=0.0,
        seed=1,
        sink=lambda records: ends.extend(records["finish_s"].tolist()),
        job_s=0.0,
    )
    assert len(ends) == 200
    assert run.usage.end_s == max(ends) > 0.9 * window_s
    assert run.usage.pools[0].billed_s == pytest.approx(2 * max(ends))


def test_a_job_whose_last_one_leaves_is_billed_to_the_end_of_its_step(tmp_path: Path) -> None:
    """It leaves within a step, a second after it came: that what machines compute is paid is a law of each run."""
    text = SCENARIO.replace("requests: 20000", "requests: 1").replace(
        "osl: 100}", "osl: 400}\n      leaves: {share: 1.0}"
    )
    run = simulate(load(tmp_path, "workload.classes[docs].leaves.after_s=1.0", text=text), None)
    assert run.summary["topologies"]["rent"]["metrics"]["statuses"]["completed"] == 0
