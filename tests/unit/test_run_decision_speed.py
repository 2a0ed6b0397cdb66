"""What is asked of another speed and acceptance changes the fleet that is simulated, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fleet_cases import classes, fleet, pool

from simulator.perf.bounds import TokenBound
from simulator.simulate.one import Subject
from simulator.size.assumed import AS_IT_IS, Assumed, under


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
