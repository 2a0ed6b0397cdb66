"""Step times of a case: from the catalog, or with trial overheads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from calibrate.serving.forecast import Case
from calibrate.serving.sources import source_of
from simulator.catalog.overheads import penalty_seq_s
from simulator.perf.steptime import StepTime


def catalog_steps(case: Case) -> StepTime:
    """What the simulator would use, and what the source's penalties on tokens add to it."""
    steps = case.engine.step_time
    if not source_of(case.row).get("penalties"):
        return steps
    sequences = np.arange(len(steps.seq_time_s))
    return replace(steps, seq_time_s=steps.seq_time_s + penalty_seq_s().value * sequences)
