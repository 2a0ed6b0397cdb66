"""A scenario with the thresholds of overflows that are left open filled in."""

from __future__ import annotations

from collections.abc import Iterable

from simulator.resolve.open_thresholds import has_open_threshold, with_threshold
from simulator.run.loads import Loads
from simulator.run.months import Progress
from simulator.run.sizer import Sizer
from simulator.scenario.load import LoadedScenario
from simulator.size.thresholds import best_threshold

_SHARE = 0.5
"""Of the progress of a run, where thresholds are open."""


def with_found_thresholds(
    loaded: LoadedScenario, names: Iterable[str], loads: Loads, sizer: Sizer, progress: Progress | None = None
) -> tuple[LoadedScenario, dict[str, list[str]], Progress | None]:
    """The scenario with the open thresholds of these topologies filled in, what is said of each, and the progress left.

    A threshold stays through all months, and is found for the one before any event that asks most: where requests
    overflow in any, they do in that.

    Raises
    ------
    InputError : a topology that cannot be planned or priced at any size, at its place
    """
    said: dict[str, list[str]] = {}
    open_ = [name for name in names if has_open_threshold(loaded.scenario.topologies[name])]
    for k, name in enumerate(open_):
        part = between(_SHARE * k / len(open_), _SHARE * (k + 1) / len(open_), progress)
        month = _busiest_month(loaded, name, loads)
        periods = loads.periods(loads.horizon.asked(month))
        found = best_threshold(loaded, name, periods, sizer.store, sizer.limits, part)
        loaded = with_threshold(loaded, name, found.outstanding_per_replica)
        said[name] = [found.words + (f" in month {month}" if len(loads.horizon.numbers) > 1 else "")]
    return loaded, said, between(_SHARE, 1.0, progress) if open_ else progress


def between(begin: float, end: float, progress: Progress | None) -> Progress | None:
    """Progress of what is so much of the whole."""
    if progress is None:
        return None
    return lambda what, share: progress(what, begin + (end - begin) * share)


def _busiest_month(loaded: LoadedScenario, name: str, loads: Loads) -> int:
    """The first of those with the most load, before any event of the topology."""
    events = loaded.scenario.study.events
    until = min((event.from_month for event in events if event.topology == name), default=None)
    months = [month for month in loads.horizon.numbers if until is None or month < until]
    return max(months, key=lambda month: (sum(loads.horizon.level(month)), -month), default=loads.horizon.from_month)
