"""What is said of one topology, as one noun: built in steps, each of which adds what it knows, and written once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from simulator.run.remarks import Kind, remarks

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Compared:
    """What is said of a topology beside the others of a run.

    Attributes
    ----------
    tornado : swings of its bill, the largest first
    uncertainty : what the draws say of it; None without draws
    capacity : load that it carries; None where it was not looked for
    """

    tornado: tuple[Json, ...] = ()
    uncertainty: Json | None = None
    capacity: Json | None = None


@dataclass(frozen=True, slots=True)
class TopologySummary:
    """What is said of one topology; the parts are as JSON has them.

    Attributes
    ----------
    metrics : of all replications together, with intervals
    replications : figures of each, of which paired differences are taken
    period, periods : whose requests are shown, and how those of the first month were served
    clock_s : what the clock shows at second 0 of what is shown
    lasts_until : the last month before the first that misses the SLO; None if none does
    unmeasured : `class`, and `period` where there are several, of which no request tells whether the SLO is met; empty
        where it is missed anyway
    least_usd_per_month : that the mean month costs at least where time ended a search; None where none is open
    fleet : key of what runs and what is paid over the months; empty where nothing is compared
    search : how its size was found; None where it is written
    edge : what a fresh replication says of one that is written and hardly keeps the SLO, or of a later month; or empty
    cause : what befell one that misses the SLO, where it meets it without; or empty
    at_speeds : the size needed where the engine is slower, as forecast, and faster; empty where that is not known
    compared : None where it stands alone
    """

    metrics: Json
    replications: tuple[Json, ...]
    pools: tuple[Json, ...]
    providers: tuple[Json, ...]
    time_in_steps: float | None
    replicas: tuple[int, int] | None
    cost: Json
    drivers: tuple[Json, ...]
    warnings: tuple[Json, ...]
    period: str
    clock_s: float
    periods: tuple[Json, ...]
    step_time: tuple[str, ...]
    calibrated: bool
    expected_error: Json | None
    lasts_until: int | None
    unmeasured: tuple[Json, ...] = ()
    least_usd_per_month: float | None = None
    fleet: str = ""
    search: Json | None = None
    edge: str = ""
    cause: str = ""
    at_speeds: tuple[Json, ...] = ()
    compared: Compared | None = None

    def warned(self, kind: Kind, texts: Iterable[str], first: bool = False) -> TopologySummary:
        """The same with further warnings, before the others or behind them."""
        new = tuple(remarks(kind, texts))
        return replace(self, warnings=(*new, *self.warnings) if first else (*self.warnings, *new))

    def row(self) -> Json:
        """As `summary.json` holds it."""
        found: Json = {
            "metrics": self.metrics,
            "replications": list(self.replications),
            "pools": list(self.pools),
            "providers": list(self.providers),
            "time_in_steps": self.time_in_steps,
            "replicas": None if self.replicas is None else list(self.replicas),
            "cost": self.cost,
            "drivers": list(self.drivers),
            "warnings": list(self.warnings),
            "period": self.period,
            "clock_s": self.clock_s,
            "periods": list(self.periods),
            "step_time": list(self.step_time),
            "calibrated": self.calibrated,
            "expected_error": self.expected_error,
            "lasts_until": self.lasts_until,
            "least_usd_per_month": self.least_usd_per_month,
        }
        if self.unmeasured:
            found["unmeasured"] = list(self.unmeasured)
        if self.fleet:
            found["fleet"] = self.fleet
        if self.search is not None:
            found["search"] = self.search
        if self.edge:
            found["edge"] = self.edge
        if self.cause:
            found["cause"] = self.cause
        if self.at_speeds:
            found["at_speeds"] = list(self.at_speeds)
        if self.compared is not None:
            found["tornado"] = list(self.compared.tornado)
            found["uncertainty"] = self.compared.uncertainty
            found["capacity"] = self.compared.capacity
        return found
