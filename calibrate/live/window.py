"""What happened between two readings of the metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from calibrate.live.histogram import Histogram
from calibrate.live.poll import Gap, Poll
from calibrate.live.scrape import Snapshot


@dataclass(frozen=True, slots=True)
class Window:
    """Differences of counters and histograms over one stretch of time.

    Attributes
    ----------
    start_s, end_s : Unix time
    arrivals : requests that came: finished + the change of those in the system
    counters, histograms : what was added, by our names
    kv_usage, running, waiting : as read at the end
    """

    start_s: float
    end_s: float
    arrivals: float
    counters: dict[str, float]
    histograms: dict[str, Histogram]
    kv_usage: float
    running: float
    waiting: float

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Observation:
    """All windows of a watch, and what interrupted it.

    Attributes
    ----------
    windows : in order of time; none spans a gap or a restart
    gaps : (from, to, reason) in Unix time
    cache : labels of `cache_config_info`
    """

    windows: tuple[Window, ...]
    gaps: tuple[tuple[float, float, str], ...]
    cache: dict[str, str]

    @property
    def duration_s(self) -> float:
        return sum(window.duration_s for window in self.windows)

    @property
    def arrivals(self) -> float:
        return sum(window.arrivals for window in self.windows)

    def counter(self, name: str) -> float:
        return sum(window.counters[name] for window in self.windows)

    def histogram(self, name: str) -> Histogram:
        """All windows' observations together."""
        return reduce(Histogram.plus, (window.histograms[name] for window in self.windows))


def observe(polls: Sequence[Poll]) -> Observation:
    """Turn readings into windows; counts that fall, and other buckets, mean that the server was restarted: a gap."""
    windows: list[Window] = []
    gaps: list[tuple[float, float, str]] = []
    before: Snapshot | None = None
    reason = ""
    cache: dict[str, str] = {}
    for entry in polls:
        if isinstance(entry, Gap):
            reason = reason or entry.reason
            continue
        if before is not None:
            if _restarted(before, entry):
                gaps.append((before.time_s, entry.time_s, reason or "the server was restarted"))
            elif reason:
                gaps.append((before.time_s, entry.time_s, reason))
            elif entry.time_s > before.time_s:
                windows.append(_window(before, entry))
        before, reason, cache = entry, "", entry.cache
    if reason and before is not None:
        gaps.append((before.time_s, polls[-1].time_s, reason))
    return Observation(tuple(windows), tuple(gaps), cache)


def _restarted(before: Snapshot, after: Snapshot) -> bool:
    return any(after.counters[name] < value for name, value in before.counters.items()) or any(
        after.histograms[name].fell_since(found) for name, found in before.histograms.items()
    )


def _window(before: Snapshot, after: Snapshot) -> Window:
    counters = {name: value - before.counters[name] for name, value in after.counters.items()}
    present = [snapshot.gauges["running"] + snapshot.gauges["waiting"] for snapshot in (before, after)]
    return Window(
        before.time_s,
        after.time_s,
        max(counters["finished"] + present[1] - present[0], 0.0),
        counters,
        {name: histogram.minus(before.histograms[name]) for name, histogram in after.histograms.items()},
        after.gauges["kv_usage"],
        after.gauges["running"],
        after.gauges["waiting"],
    )
