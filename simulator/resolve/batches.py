"""Batch classes on pools of one's own: served after all others, unless the scenario says otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.schema.engine import EngineSettings
from simulator.schema.scenario import Scenario
from simulator.schema.workload import RequestClass


def priorities(classes: Sequence[RequestClass]) -> tuple[int, ...]:
    """Priority of each class; one of a batch that is not given comes after all that do not wait."""
    last = max((cls.priority for cls in classes if not _waits(cls)), default=-1) + 1
    return tuple(last if _waits(cls) else cls.priority for cls in classes)


def _waits(cls: RequestClass) -> bool:
    return cls.service_tier == "batch" and "priority" not in cls.model_fields_set


def with_policy(scenario: Scenario, settings: EngineSettings, is_given: bool) -> EngineSettings:
    """Engine settings with the policy `priority` where batch classes stand beside others and no policy is given."""
    waiting = [_waits(cls) for cls in scenario.workload.classes]
    if is_given or all(waiting) or not any(waiting):
        return settings
    return settings.model_copy(update={"scheduling_policy": "priority"})
