"""What is asked of another speed and acceptance changes the fleet that is simulated, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fleet_cases import classes, fleet, pool

from simulator.metrics.slo import ClassSlo
from simulator.perf.bounds import TokenBound
from simulator.simulate.demand import Demand
from simulator.simulate.one import Subject
from simulator.size.assumed import AS_IT_IS, Assumed, under
from simulator.size.passed_on import complexities, passed_on, passing_on
from simulator.study.choices import TargetRouting
from simulator.study.fleet import CascadeSpec, RoutingSpec
from simulator.workload.spec import ClassWorkload, Constant, Poisson, Uniform, WorkloadSpec


def asking(*complexity: float | Uniform) -> Demand:
    """Equally many requests of each complexity."""
    found = tuple(
        ClassWorkload(f"class {k}", Poisson(10.0), Constant(100), Constant(10), complexity=one)
        for k, one in enumerate(complexity)
    )
    return Demand(tuple(ClassSlo(one.name) for one in found), WorkloadSpec(found), 1000.0, 0.0, 0.0, 1, 1)


DEMAND = asking(Uniform(0.0, 1.0))


def test_steps_take_longer_and_drafts_are_accepted_more_often() -> None:
    spec = fleet((pool(replicas=2),), classes=classes(1))
    drafting = replace(spec.pools[0], engine=replace(spec.pools[0].engine, draft_acceptance=0.6))
    subject = Subject(replace(spec, pools=(drafting,)), (TokenBound(1000.0, 100.0),))
    assert under(subject, AS_IT_IS, DEMAND) is subject
    slow = under(subject, Assumed(steps=1.25), DEMAND)
    assert slow.fleet.pools[0].step_time.token_time_s == pytest.approx(1.25 * drafting.step_time.token_time_s)
    assert slow.peaks == subject.peaks
    fast = under(subject, Assumed(steps=0.5), DEMAND)
    assert fast.peaks[0].output_tokens_per_gpu_s == 200.0
    assert under(subject, Assumed(acceptance=1.5), DEMAND).fleet.pools[0].engine.draft_acceptance == pytest.approx(0.9)
    assert under(subject, Assumed(acceptance=4.0), DEMAND).fleet.pools[0].engine.draft_acceptance == 1.0
    assert under(subject, Assumed(acceptance=0.5), DEMAND).fleet.pools[0].replicas == 2


@pytest.mark.parametrize(("factor", "share"), [(0.5, 0.15), (2.0, 0.6), (4.0, 1.0)])
def test_a_cascade_passes_more_answers_on_up_to_all(factor: float, share: float) -> None:
    routing = RoutingSpec(TargetRouting.CASCADE, (0, 1), cascade=CascadeSpec(share=0.3, check_s=2.0))
    spec = replace(fleet((pool("small"), pool("large")), classes=classes(2)), routing=routing)
    found = under(Subject(spec, ()), Assumed(passed_on=factor), DEMAND).fleet
    assert found.routing.cascade == CascadeSpec(share=pytest.approx(share), check_s=2.0)
    assert found.pools == spec.pools
    plain = replace(spec, routing=RoutingSpec(TargetRouting.WEIGHTED, (0, 1)))
    assert under(Subject(plain, ()), Assumed(passed_on=factor), DEMAND).fleet == plain


@pytest.mark.parametrize(
    ("factor", "limit"),
    [(1.0, 0.75), (2.0, 0.5), (0.4, 0.9), (3.0, 0.25), (4.0, 0.0)],
)
def test_above_a_complexity_as_many_more_are_passed_on(factor: float, limit: float) -> None:
    """A quarter of what is spread from 0 to 1 is above 0.75, half above 0.5, a tenth above 0.9."""
    of, rule = complexities(DEMAND), CascadeSpec(max_complexity=0.75)
    assert passed_on(rule, of) == pytest.approx(0.25, abs=0.02)
    found = passing_on(rule, factor, of)
    assert found.max_complexity == pytest.approx(limit, abs=0.02)
    assert passed_on(found, of) == pytest.approx(min(factor * passed_on(rule, of), 1.0))
    assert found.share < 0.005


def test_where_both_pass_on_their_whole_share_is_multiplied() -> None:
    """0.2 at random and half of the others: 0.6; of that a half is 0.1 at random and 0.2 / 0.9 of the others."""
    of, rule = complexities(DEMAND), CascadeSpec(share=0.2, max_complexity=0.5)
    assert passed_on(rule, of) == pytest.approx(0.6, abs=0.02)
    found = passing_on(rule, 0.5, of)
    assert found.share == pytest.approx(0.1, abs=0.001)
    assert found.max_complexity == pytest.approx(1 - 0.2 / 0.9, abs=0.02)
    assert passed_on(passing_on(rule, 4.0, of), of) == 1.0


def test_requests_of_one_complexity_are_split_at_random() -> None:
    """Half are above the limit; three halves of that are these, and half of the others at random."""
    of, rule = complexities(asking(0.3, 0.8)), CascadeSpec(max_complexity=0.5)
    assert passed_on(rule, of) == pytest.approx(0.5, abs=0.02)
    found = passing_on(rule, 1.5, of)
    assert passed_on(found, of) == pytest.approx(1.5 * passed_on(rule, of))
    assert 0.3 <= found.max_complexity < 0.8
    assert found.share == pytest.approx(0.5, abs=0.03)
