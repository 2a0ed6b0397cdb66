"""What is asked of another speed and acceptance changes the fleet that is simulated, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fleet_cases import classes, fleet, pool

from simulator.perf.bounds import TokenBound
from simulator.simulate.one import Subject
from simulator.size.assumed import AS_IT_IS, Assumed, under
from simulator.study.choices import TargetRouting
from simulator.study.fleet import CascadeSpec, RoutingSpec


def test_steps_take_longer_and_drafts_are_accepted_more_often() -> None:
    spec = fleet((pool(replicas=2),), classes=classes(1))
    drafting = replace(spec.pools[0], engine=replace(spec.pools[0].engine, draft_acceptance=0.6))
    subject = Subject(replace(spec, pools=(drafting,)), (TokenBound(1000.0, 100.0),))
    assert under(subject, AS_IT_IS) is subject
    slow = under(subject, Assumed(steps=1.25))
    assert slow.fleet.pools[0].step_time.token_time_s == pytest.approx(1.25 * drafting.step_time.token_time_s)
    assert slow.peaks == subject.peaks
    fast = under(subject, Assumed(steps=0.5))
    assert fast.peaks[0].output_tokens_per_gpu_s == 200.0
    assert under(subject, Assumed(acceptance=1.5)).fleet.pools[0].engine.draft_acceptance == pytest.approx(0.9)
    assert under(subject, Assumed(acceptance=4.0)).fleet.pools[0].engine.draft_acceptance == 1.0
    assert under(subject, Assumed(acceptance=0.5)).fleet.pools[0].replicas == 2


@pytest.mark.parametrize(("factor", "share"), [(0.5, 0.15), (2.0, 0.6), (4.0, 1.0)])
def test_a_cascade_passes_more_answers_on_up_to_all(factor: float, share: float) -> None:
    routing = RoutingSpec(TargetRouting.CASCADE, (0, 1), cascade=CascadeSpec(share=0.3, check_s=2.0))
    spec = replace(fleet((pool("small"), pool("large")), classes=classes(2)), routing=routing)
    found = under(Subject(spec, ()), Assumed(passed_on=factor)).fleet
    assert found.routing.cascade == CascadeSpec(share=pytest.approx(share), check_s=2.0)
    assert found.pools == spec.pools
    plain = replace(spec, routing=RoutingSpec(TargetRouting.WEIGHTED, (0, 1)))
    assert under(Subject(plain, ()), Assumed(passed_on=factor)).fleet == plain
