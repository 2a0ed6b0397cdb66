"""A trial that is given up early is refused by the whole run too, and one that is not given up is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fleet_cases import ENGINE, fleet, pool, provider
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.slo import ClassSlo, SloTerm
from simulator.perf.bounds import TokenBound
from simulator.simulate.demand import Demand
from simulator.simulate.one import Subject, simulate_one
from simulator.simulate.refusal import Refutation, try_fleet
from simulator.study.fleet import FleetSpec
from simulator.workload.spec import (
    ClassWorkload,
    ClosedLoopArrivals,
    Gamma,
    Poisson,
    Sessions,
    Uniform,
    WorkloadSpec,
)

BOUND = TokenBound(1e12, 1e12)


def subject(spec: FleetSpec) -> Subject:
    return Subject(spec, (BOUND,) * len(spec.pools))


def demand(classes: tuple[ClassWorkload, ...], terms: tuple[SloTerm, ...], seed: int, **changes: Any) -> Demand:
    slos = tuple(ClassSlo(cls.name, terms) for cls in classes)
    return replace(Demand(slos, WorkloadSpec(classes), 120.0, 10.0, 30.0, seed, 2), **changes)


def whole(what: Subject, asked: Demand) -> MetricAccumulator:
    """Every replication to its end, together."""
    runs = [simulate_one(what, asked, number).metrics for number in range(asked.replications)]
    for other in runs[1:]:
        runs[0].merge(other)
    return runs[0]


tokens = {"isl": Uniform(1, 60), "osl": Uniform(1, 40)}
arrivals = st.one_of(
    st.builds(Poisson, st.floats(0.2, 6.0)),
    st.builds(Gamma, st.floats(0.2, 6.0), st.floats(0.5, 3.0)),
    st.builds(lambda rate, think: Sessions(rate, Uniform(1, 5), think), st.floats(0.2, 3.0), st.floats(0.0, 5.0)),
    st.builds(ClosedLoopArrivals, st.integers(1, 20), st.floats(0.0, 3.0)),
)
limits = st.one_of(
    st.builds(
        lambda q, limit: SloTerm("ttft_s", q, limit), st.sampled_from([0.5, 0.9, 0.99, 0.999]), st.floats(0.1, 3)
    ),
    st.builds(lambda q, limit: SloTerm("tpot_s", q, limit), st.sampled_from([0.5, 0.9, 0.95]), st.floats(0.04, 0.2)),
    st.builds(lambda q, limit: SloTerm("e2e_s", q, limit), st.sampled_from([0.5, 0.9, 1.0]), st.floats(0.5, 9)),
)


@settings(deadline=None, max_examples=60)
@given(
    each=st.lists(arrivals, min_size=1, max_size=2),
    terms=st.lists(limits, min_size=1, max_size=3),
    replicas=st.integers(0, 3),
    api=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_what_is_refused_early_is_refused_by_the_whole_run(
    each: list[Any], terms: list[SloTerm], replicas: int, api: bool, seed: int
) -> None:
    pools = (pool(replicas=replicas, engine=replace(ENGINE, num_blocks=60)),) if replicas else ()
    spec = fleet(pools, (provider(error_probability=0.1),) if api or not pools else ())
    classes = tuple(ClassWorkload(name, one, **tokens) for name, one in zip("ab", each, strict=False))
    spec = replace(spec, classes=spec.classes[: len(classes)])
    asked = demand(classes, tuple(terms), seed)
    tried = try_fleet(subject(spec), asked)
    assert (tried.refutation is None) == all(row["met"] for row in whole(subject(spec), asked).terms())


def test_a_refusal_names_its_term_and_spares_the_rest() -> None:
    classes = (ClassWorkload("a", Poisson(50.0), **tokens),)
    asked = demand(classes, (SloTerm("e2e_s", 0.5, 60.0), SloTerm("ttft_s", 0.99, 0.5)), 3)
    spec = fleet((pool(),))
    spec = replace(spec, classes=spec.classes[:1])
    tried = try_fleet(subject(spec), asked)
    found = tried.refutation
    assert found is not None
    assert (found.class_name, found.term) == ("a", "ttft p99 ≤ 0.5 s")
    assert found.misses > found.allowed
    assert found.at_s < 100.0
    assert found.ended < 0.25
    assert tried.outcomes == ()


def test_looking_on_changes_nothing() -> None:
    classes = (
        ClassWorkload("a", Poisson(2.0), **tokens),
        ClassWorkload("b", Sessions(1.0, Uniform(1, 4), 2.0), **tokens),
    )
    asked = demand(classes, (SloTerm("e2e_s", 0.5, 60.0),), 5)
    what = subject(fleet((pool(replicas=2),)))
    (first, second) = try_fleet(what, asked).outcomes
    plain = whole(what, asked)
    first.metrics.merge(second.metrics)
    assert first.metrics.summary() == plain.summary()


def test_turns_that_can_come_are_counted_as_if_nothing_took_time() -> None:
    classes = (
        ClassWorkload("a", Sessions(5.0, Uniform(2, 6), 20.0), **tokens),
        ClassWorkload("b", ClosedLoopArrivals(3), **tokens),
        ClassWorkload("c", Poisson(5.0), **tokens),
    )
    asked = demand(classes, (), 7)
    sessions, waiting, open_ = asked.most_requests
    assert waiting is None
    assert sessions is not None
    spec = fleet((pool(replicas=50),))
    spec = replace(spec, classes=(*spec.classes, replace(spec.classes[0], name="c")))
    runs = whole(subject(spec), asked)
    assert open_ == runs.by_class[2].arrived
    assert 0.8 * sessions < runs.by_class[0].arrived <= sessions


def test_a_trial_that_ended_early_has_at_least_so_many_misses() -> None:
    refused = Refutation("chat", "e2e p99 ≤ 60 s", 80, 67, 0.4, 0, 900.0)
    assert str(refused) == "chat: e2e p99 ≤ 60 s is missed by at least 80 requests, 67 are allowed"
    assert str(replace(refused, ended=1.0)) == "chat: e2e p99 ≤ 60 s is missed by 80 requests, 67 are allowed"
