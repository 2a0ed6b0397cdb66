"""Pools that are scaled by the clock."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.units import SECONDS_PER_WEEK


@dataclass(frozen=True, slots=True)
class Schedule:
    """Replicas by the time of the week.

    Attributes
    ----------
    windows : (start_s, end_s, replicas) on the fleet's clock; where several hold, the first counts
    outside : replicas at all other times
    start_early_s : launches come so long before a window; None: by a whole cold start, so that replicas are ready then
    cycle_s : after which the windows come again; inf: never
    """

    windows: tuple[tuple[float, float, int], ...]
    outside: int = 0
    start_early_s: float | None = None
    cycle_s: float = SECONDS_PER_WEEK

    def replicas_at(self, clock_s: float) -> int:
        """Replicas at `clock_s` on the fleet's clock."""
        at_s = clock_s % self.cycle_s
        return next((n for start_s, end_s, n in self.windows if start_s <= at_s < end_s), self.outside)

    def numbers(self, clock_s: float, length_s: float) -> list[int]:
        """Replicas at `clock_s`, and at every time less than `length_s` later at which a window begins or ends."""
        soon = [edge for edge in self.edges if (edge - clock_s) % self.cycle_s < length_s]
        return [self.replicas_at(at_s) for at_s in (clock_s, *soon)]

    @property
    def edges(self) -> set[float]:
        """Times of the cycle at which windows begin and end."""
        return {edge for start_s, end_s, _ in self.windows for edge in (start_s, end_s)}

    @property
    def most(self) -> int:
        return max([self.outside, *(n for _, _, n in self.windows)])

    @property
    def least(self) -> int:
        return min([self.outside, *(n for _, _, n in self.windows)])


@dataclass(frozen=True, slots=True)
class Launches:
    """When a pool is launched and given back by the clock.

    Attributes
    ----------
    schedule : its windows come again
    early_s : launches come so long before a window
    """

    schedule: Schedule
    early_s: float
    gpus_per_replica: int


@dataclass(frozen=True, slots=True)
class Following:
    """How an autoscaled pool gets from the replicas of one period to those of the next.

    Attributes
    ----------
    early_s : of a replica that is ready when a period begins, from its launch on
    late_s : for which one that a period no longer wants is kept
    """

    early_s: float
    late_s: float
    gpus_per_replica: int
