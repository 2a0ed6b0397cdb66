"""A scenario with the thresholds of overflows that are left open filled in."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from simulator.resolve.open_thresholds import has_open_threshold, with_threshold
from simulator.run.binding import binding_month
from simulator.run.loads import Loads
from simulator.run.months import Progress, between
from simulator.run.sizer import Sizer
from simulator.scenario.load import LoadedScenario
from simulator.size.thresholds import best_threshold

_SHARE = 0.5
"""Of the progress of a run, where thresholds are open."""


def with_found_thresholds(
    loaded: LoadedScenario, names: Iterable[str], loads: Loads, sizer: Sizer, progress: Progress | None = None
) -> tuple[LoadedScenario, dict[str, list[str]], Progress | None]:
    """The scenario with the open thresholds of these topologies filled in, what is said of each, and the progress left.

    A threshold stays through all months, and is found for the one before any event of the topology that asks most:
    where requests overflow in any, they do in that.

    Raises
    ------
    InputError : a topology that cannot be planned or priced at any size, at its place
    """
    said: dict[str, list[str]] = {}
    open_ = [name for name in names if has_open_threshold(loaded.scenario.topologies[name])]
    for k, name in enumerate(open_):
        part = between(_SHARE * k / len(open_), _SHARE * (k + 1) / len(open_), progress)
        month = binding_month(_before_events(loaded, name, loads))
        periods = loads.periods(loads.horizon.asked(month))
        found = best_threshold(loaded, name, periods, sizer.store, sizer.limits, part)
        loaded = with_threshold(loaded, name, found.outstanding_per_replica)
        said[name] = [found.words + (f" in month {month}" if len(loads.horizon.numbers) > 1 else "")]
    return loaded, said, between(_SHARE, 1.0, progress) if open_ else progress


def _before_events(loaded: LoadedScenario, name: str, loads: Loads) -> Loads:
    """The months of a study before any event of a topology."""
    begins = [event.from_month for event in loaded.scenario.study.events if event.topology == name]
    until = min([math.ceil(loads.horizon.months), *(month - 1 for month in begins)])
    return replace(loads, horizon=replace(loads.horizon, months=min(loads.horizon.months, until)))
