"""Luck belongs to places: neither names, nor the order of targets, nor the fleet's size, nor other pools move it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from fleet_cases import ENGINE, classes, fleet, poisson, pool, provider
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.fleet.events import KINDS
from simulator.fleet.lifecycle import FAILURE
from simulator.fleet.records import RECORD
from simulator.fleet.simulate import FleetRun, simulate_fleet
from simulator.fleet.single import RequestList
from simulator.metrics.laws import check_gpu_seconds, check_stays
from simulator.study.canonical import canonical, content
from simulator.study.choices import ReplicaRouting, TargetRouting
from simulator.study.fleet import (
    Autoscaler,
    ClassSpec,
    ColdStart,
    FleetSpec,
    Outages,
    PoolSpec,
    Reliability,
    RoutingSpec,
)

HORIZON_S = 120.0
SCALER = Autoscaler(1, 3, 3.0, period_s=5.0, down_window_s=10.0)


def run(spec: FleetSpec, requests: Any = None) -> tuple[FleetRun, np.ndarray]:
    ended: list[np.ndarray] = [np.zeros(0, RECORD)]
    found = simulate_fleet(
        spec,
        RequestList(poisson(np.random.default_rng(5), 400, 4.0) if requests is None else requests),
        horizon_s=HORIZON_S,
        drain_s=50.0,
        warmup_s=0.0,
        seed=2,
        sink=ended.append,
        sample_s=10.0,
    )
    check_stays(found.usage, spec)
    for usage in found.usage.pools:
        check_gpu_seconds(usage)
    return found, np.sort(np.concatenate(ended), order="request")


def figures(usage: Any) -> list[Any]:
    """Every field but the name and the numbers of replicas, arrays by their bytes."""
    found = [getattr(usage, field.name) for field in fields(usage) if field.name != "name"]
    return [
        value.tobytes()
        if isinstance(value, np.ndarray)
        else [(stay.server, stay.state, stay.start_s, stay.end_s) for stay in value]
        if isinstance(value, tuple)
        else value
        for value in found
    ]


@st.composite
def pools(draw: st.DrawFn, number: int) -> PoolSpec:
    return pool(
        f"p{number}",
        replicas=draw(st.integers(1, 3)),
        routing=draw(st.sampled_from(list(ReplicaRouting))),
        autoscaler=draw(st.sampled_from([None, SCALER])),
        reliability=Reliability(mtbf_s=draw(st.sampled_from([0.0, 30.0, 60.0])), mttr_s=5.0),
        cold_start=ColdStart(engine_s=draw(st.sampled_from([0.0, 4.0]))),
        outages=Outages(mtbf_s=80.0, mttr_s=5.0) if draw(st.booleans()) else Outages(),
        gpus_per_server=draw(st.sampled_from([0, 1, 2])),
        owned=draw(st.booleans()),
        spares=draw(st.integers(0, 1)),
        swap_s=3.0,
        model=f"m{draw(st.integers(0, 1))}",
        engine=replace(ENGINE, num_blocks=150 + 10 * number),
    )


@st.composite
def fleets(draw: st.DrawFn) -> FleetSpec:
    chosen = tuple(draw(pools(k)) for k in range(draw(st.integers(1, 3))))
    apis = tuple(
        provider(name=f"api{k}", ttft_median_s=0.3 + k, outages=Outages(mtbf_s=40.0, mttr_s=5.0))
        for k in range(draw(st.integers(0, 2)))
    )
    n = len(chosen) + len(apis)
    kind = draw(st.sampled_from([TargetRouting.WEIGHTED, TargetRouting.OVERFLOW, TargetRouting.COMPLEXITY]))
    order = tuple(draw(st.permutations(range(n)))) if kind is TargetRouting.OVERFLOW else tuple(range(n))
    routing = RoutingSpec(
        kind,
        order,
        weights=tuple(draw(st.sampled_from([1.0, 2.0])) for _ in range(n)) if kind is TargetRouting.WEIGHTED else (),
        overflow_waiting=(0.5,) * n if kind is TargetRouting.OVERFLOW else (),
        max_complexity=tuple(draw(st.sampled_from([0.5, 1.0])) for _ in range(n))
        if kind is TargetRouting.COMPLEXITY
        else (),
    )
    return fleet(chosen, apis, routing, (*classes(n), ClassSpec("b", (True,) * n)))


def shuffled(spec: FleetSpec, pool_order: list[int], api_order: list[int]) -> FleetSpec:
    """The same fleet with its targets listed in another order, under other names."""
    n = len(spec.pools)
    order = [*pool_order, *(n + k for k in api_order)]
    new = {old: k for k, old in enumerate(order)}
    routing = spec.routing
    places = list(range(len(order)))
    if routing.kind is not TargetRouting.OVERFLOW:
        places = order  # as the scenario lists them

    def moved(values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(values[k] for k in places) if values else ()

    return FleetSpec(
        "another",
        tuple(replace(spec.pools[k], name=f"x{k}") for k in pool_order),
        tuple(replace(spec.providers[k], name=f"y{k}") for k in api_order),
        replace(
            routing,
            order=tuple(new[routing.order[k]] for k in places),
            weights=moved(routing.weights),
            max_complexity=moved(routing.max_complexity),
        ),
        tuple(replace(cls, name=f"z{cls.name}", allowed=tuple(cls.allowed[k] for k in order)) for cls in spec.classes),
    )


@settings(max_examples=40, deadline=None)
@given(fleets(), st.data())
def test_order_and_names_change_nothing(spec: FleetSpec, data: st.DataObject) -> None:
    pool_order = data.draw(st.permutations(range(len(spec.pools))))
    api_order = data.draw(st.permutations(range(len(spec.providers))))
    first, records = run(spec)
    second, again = run(shuffled(spec, pool_order, api_order))
    for k, old in enumerate(pool_order):
        assert figures(second.usage.pools[k]) == figures(first.usage.pools[old])
        assert replace(second.balances[k], name="") == replace(first.balances[old], name="")
    for k, old in enumerate(api_order):
        assert figures(second.usage.providers[k]) == figures(first.usage.providers[old])
    to_old = np.array([*pool_order, *(len(spec.pools) + k for k in api_order), -1])
    np.testing.assert_array_equal(to_old[again["target"]], records["target"])
    for name in ("request", "status", "arrival_s", "first_token_s", "finish_s", "generated", "cached_tokens"):
        np.testing.assert_array_equal(again[name], records[name])
    ready = [
        {
            (time_s, target[pool]): n
            for time_s, pool, n in zip(*(one.samples[key] for key in ("time_s", "pool", "ready")), strict=True)
        }
        for one, target in ((first, list(range(len(pool_order)))), (second, pool_order))
    ]
    assert ready[0] == ready[1]


@settings(max_examples=20, deadline=None)
@given(fleets())
def test_replicas_have_the_numbers_of_their_pools(spec: FleetSpec) -> None:
    found, records = run(spec)
    first = 0
    for k, usage in enumerate(found.usage.pools):
        numbers = {stay.replica for stay in usage.stays} | set(records["replica"][records["target"] == k]) - {-1}
        places = 3 * 2 if spec.pools[k].autoscaler else spec.pools[k].replicas
        assert min(numbers) >= first
        assert max(numbers) < first + places
        first += places


def failures(found: FleetRun) -> dict[int, list[float]]:
    by_replica: dict[int, list[float]] = {}
    for row in found.events[found.events["kind"] == KINDS.index(FAILURE)]:
        by_replica.setdefault(int(row["replica"]), []).append(float(row["start_s"]))
    return by_replica


@pytest.mark.parametrize("per_server", [0, 1, 2])
@pytest.mark.parametrize("owned", [True, False])
def test_a_bigger_fleet_meets_the_same_faults(per_server: int, owned: bool) -> None:
    faults = Reliability(mtbf_s=20.0, mttr_s=3.0)
    spec = pool(reliability=faults, gpus_per_server=per_server, owned=owned)
    both = tuple(ClassSpec(name, (True,)) for name in "ab")
    small, large = (failures(run(fleet((replace(spec, replicas=n),), classes=both))[0]) for n in (4, 7))
    assert sum(map(len, small.values())) > 10
    assert {replica: large[replica] for replica in small} == small


def test_another_pool_changes_no_bit_of_this_one() -> None:
    """Class b is turned away, or served by a busy pool that scales, fails and starts at times of its own."""
    mine = pool("mine", replicas=2, reliability=Reliability(mtbf_s=40.0, mttr_s=5.0), model="m")
    other = pool("other", autoscaler=SCALER, reliability=Reliability(mtbf_s=15.0, mttr_s=2.0), model="n")
    routing = RoutingSpec(TargetRouting.WEIGHTED, (0,))
    alone = fleet((mine,), routing=routing, classes=(ClassSpec("a", (True,)), ClassSpec("b", (False,))))
    both = fleet(
        (mine, other),
        routing=RoutingSpec(TargetRouting.WEIGHTED, (0, 1)),
        classes=(ClassSpec("a", (True, False)), ClassSpec("b", (False, True))),
    )
    one, with_other = run(alone)[0].usage.pools[0], run(both)[0].usage.pools[0]
    assert one.failures > 1
    assert figures(one) == figures(with_other)


def test_names_are_no_content_and_everything_else_is() -> None:
    one = pool("a")
    assert content(one) == content(replace(one, name="b"))
    assert content(one) != content(replace(one, power_w_by_seqs=one.power_w_by_seqs + 1))
    assert content(one) != content(replace(one, network_s=0.1))
    assert content(one) != content(replace(one, reliability=Reliability(mtbf_s=1.0)))
    spec = fleet((pool("a", model="n"), pool("b", model="m")))
    assert canonical(spec)[1] == (1, 0)
    assert canonical(canonical(spec)[0])[1] == (0, 1)
