"""The month of a study that a plan is for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from simulator.run.binding import binding_month
from simulator.run.loads import Loads
from simulator.scenario.load import LoadedScenario
from simulator.scenario.phases import at_month
from simulator.schema.study import Event
from simulator.study.demand import Growth, Level
from simulator.units import rough


@dataclass(frozen=True, slots=True)
class PlanMonth:
    """The month of a study that a plan is for.

    Attributes
    ----------
    number : 1 is the first
    of : months of the study
    load : multiple of the scenario's load, by class
    binds : whether no month asks for more
    since_first : requests in it for each of month 1, at least and at most of its classes
    done, later : events that have come by then, and those that come after it
    """

    number: int
    of: int
    load: Level
    binds: bool
    since_first: tuple[float, float]
    done: tuple[Event, ...]
    later: tuple[Event, ...]

    def words(self, alike: bool) -> str:
        """What whoever reads the plan should know of the month; empty for a study whose months are all alike.

        Parameters
        ----------
        alike : the load and the periods of all months are the same
        """
        if alike and not self.done and not self.later:
            return ""
        least, most = self.since_first
        times = rough(most) if math.isclose(least, most) else f"{rough(least)} to {rough(most)}"
        load = "load, where month 1 has nobody" if math.isinf(most) else f"{times} times the load of month 1"
        found = [f"for month {self.number} of {self.of}"]
        if not alike:
            found[0] += f"{', the busiest' if self.binds else ''}, with {load}"
        found += [f"{event.topology} as {event.name} leaves it in month {event.from_month}" for event in self.done]
        found += [f"without {event.name} of month {event.from_month} ({event.topology})" for event in self.later]
        priced = "priced as if all months were like it; --month plans for another, servecast run goes through all"
        return "; ".join([*found, priced])


def plan_month(loaded: LoadedScenario, loads: Loads, asked: int | None) -> PlanMonth:
    """The month that is asked for, else the one that binds."""
    horizon = loads.horizon
    asks = [horizon.asked(month) for month in horizon.numbers]
    busiest = binding_month(loads)
    number = busiest if asked is None else asked
    load = asks[number - 1].level
    shares = [now / then for now, then in zip(load, asks[0].level, strict=True) if then] or [math.inf]
    events = sorted(loaded.scenario.study.events, key=lambda event: (event.from_month, event.topology))
    return PlanMonth(
        number,
        len(asks),
        load,
        asks[number - 1] == asks[busiest - 1],
        (min(shares), max(shares)),
        tuple(event for event in events if event.from_month <= number),
        tuple(event for event in events if event.from_month > number),
    )


def all_months_alike(loads: Loads) -> bool:
    """Whether a study has one load, in the same periods, in all its months."""
    horizon = loads.horizon
    return all(horizon.asked(month) == horizon.asked(1) for month in horizon.numbers)


def like_month(loads: Loads, month: PlanMonth) -> Loads:
    """The loads of a study all of whose months are like one."""
    growth = tuple(Growth(0.0, ((1, factor),)) for factor in month.load)
    periods = tuple(replace(period, months=()) for period in loads.horizon.periods_of(month.number))
    return replace(loads, horizon=replace(loads.horizon, growth=growth, periods=periods))


def in_month(loaded: LoadedScenario, month: PlanMonth) -> LoadedScenario:
    """The scenario with its topologies as the events up to a month leave them."""
    return replace(loaded, scenario=at_month(loaded.scenario, month.number)) if month.done else loaded
