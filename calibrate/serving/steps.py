"""Step times of a case: from the catalog, or with trial overheads."""

from __future__ import annotations

from calibrate.serving.forecast import Case
from simulator.perf.steptime import StepTime


def catalog_steps(case: Case) -> StepTime:
    """What the simulator would use."""
    return case.engine.step_time
