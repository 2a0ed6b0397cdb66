"""Whether the unit that is said of a trace's times can be the one they are in."""

from __future__ import annotations

import math

from simulator.workload.reading import SECONDS_PER_UNIT
from simulator.workload.replay import trace_rows, trace_span
from simulator.workload.spec import ClassWorkload, Trace

_FEW = 0.01
"""Share of a trace, or of the simulated time, below which a unit is doubted."""
_NEAR = 10.0
"""Times the simulated time up to which, and its part down to which, a trace is taken to be meant for it."""


def wrong_unit(cls: ClassWorkload, horizon_s: float) -> str:
    """What is said of a unit that leaves a trace, or the simulated time, all but empty where another fits; else empty.

    With the unit that is said less than 1 % of the rows come within the simulated time, or all of them in less than
    1 % of it; with the likely one the trace lasts between a tenth of that time and ten times it.
    """
    trace = cls.arrivals
    if not isinstance(trace, Trace) or trace.loop or trace.reading.time_unit is None:
        return ""
    said = trace.reading.time_unit
    span = trace_span(trace, cls.name, horizon_s)
    inside = len(trace_rows(trace, cls.name, horizon_s=horizon_s))
    lasts_s = (span.last_s - span.first_s) / trace.rate_scale
    if inside >= _FEW * span.rows and lasts_s >= _FEW * horizon_s:
        return ""
    in_others = {
        unit: lasts_s / SECONDS_PER_UNIT[said] * seconds for unit, seconds in SECONDS_PER_UNIT.items() if unit != said
    }
    fitting = {unit: s for unit, s in in_others.items() if horizon_s / _NEAR <= s <= horizon_s * _NEAR}
    if not fitting:
        return ""
    likely = min(fitting, key=lambda unit: abs(math.log(fitting[unit] / horizon_s)))
    meant = ", or leave it out where s is meant" if said == "s" else ""
    return (
        f"in {said} the trace lasts {lasts_s:,.3g} s, and {inside:,} of its {span.rows:,} rows come within the "
        f"{horizon_s:,g} s simulated; in {likely} it lasts {fitting[likely]:,.4g} s: say {likely}{meant}"
    )
