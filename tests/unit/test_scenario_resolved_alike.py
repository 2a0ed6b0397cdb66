"""A scenario with all its defaults written out says what it said without them."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.resolve.topology import plan_topologies
from simulator.scenario.load import load_scenario
from simulator.scenario.resolved import resolved_yaml
from simulator.simulate.demand import demand_of

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"
JOB = "workload.classes[chat].arrivals={kind: job, requests: 200, deadline_s: 60}"
BESIDE = (
    "{name: night, service_tier: batch, arrivals: {kind: poisson, rate_rps: 1}, lengths: {isl: 200, osl: 50}, slo: {}}"
)
CHAT = "{name: chat, arrivals: {kind: poisson, rate_rps: 2}, lengths: {isl: 200, osl: 50}, slo: {}}"
A_JOB = "{name: docs, arrivals: {kind: job, requests: 90, deadline_s: 50}, lengths: {isl: 200, osl: 50}, slo: {}}"
API = "topologies={api: {providers: [{name: api, offer: openai/gpt-4o-mini}]}}"


@pytest.mark.parametrize(
    "sets",
    [
        (),
        (JOB, "workload.classes[chat].slo={}"),
        (JOB, "workload.classes[chat].slo={served: 0.99}"),
        (JOB, "workload.classes[chat].slo={}", API),
        (f"workload.classes=[{CHAT}, {BESIDE}]",),
        (f"workload.classes=[{CHAT}, {BESIDE}]", "engine.scheduling_policy=fcfs"),
        (f"workload.classes=[{CHAT}, {A_JOB}]",),
    ],
)
def test_what_is_written_out_means_the_same(tmp_path: Path, sets: tuple[str, ...]) -> None:
    written = load_scenario(SCENARIO, sets=("run.horizon_s=120", "run.warmup_s=0", *sets))
    file = SCENARIO.with_name(f"{tmp_path.name}.yaml")
    try:
        file.write_text(resolved_yaml(written), "utf-8")
        again = load_scenario(file)
    finally:
        file.unlink(missing_ok=True)
    before, after = demand_of(written), demand_of(again)
    assert (after.classes, after.jobs_per_month) == (before.classes, before.jobs_per_month)
    assert [cls.priority for cls in after.workload.classes] == [cls.priority for cls in before.workload.classes]
    now, then = ([one.fleet for one in plan_topologies(each)] for each in (again, written))
    assert [pool.engine for fleet in now for pool in fleet.pools] == [
        pool.engine for fleet in then for pool in fleet.pools
    ]
    waits = ([one.max_wait_s for fleet in fleets for one in fleet.providers] for fleets in (now, then))
    assert next(waits) == next(waits)
