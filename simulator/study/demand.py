"""How the load changes over the months of a study, and the periods that stand for a month."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.units import HOURS_PER_MONTH, MONTHS_PER_YEAR

Level = tuple[float, ...]
"""Load of each class as a multiple of the scenario's, in the order of its classes."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Load of one class over the months.

    Attributes
    ----------
    rate_per_year : month m has (1 + g)^((m - 1)/12) times the load of month 1
    steps : (month, multiple of the scenario's load), which holds from that month on; with these the rate goes on from
        the last one
    """

    rate_per_year: float = 0.0
    steps: tuple[tuple[int, float], ...] = ()

    def factor(self, month: int) -> float:
        """Multiple of the scenario's load in month `month`, from 1 on."""
        since, base = max((step for step in self.steps if step[0] <= month), default=(1, 1.0))
        return float(base * (1.0 + self.rate_per_year) ** ((month - since) / MONTHS_PER_YEAR))

    def times(self, load: float, growth: float) -> Growth:
        """So many times the load in each month, and so many times 1 + g a year."""
        steps = {1: 1.0, **dict(self.steps)}
        rate = (1.0 + self.rate_per_year) * growth - 1.0
        return Growth(rate, tuple((month, load * factor) for month, factor in steps.items()))


@dataclass(frozen=True, slots=True)
class When:
    """What time it is in a simulation.

    Attributes
    ----------
    clock_s : what the clock shows at simulated time 0, in s since Monday 00:00; where days have dates, since Monday,
        5 January 1970, 00:00 UTC
    start_hour : local hour of day at simulated time 0
    ahead_h : hours by which local time is then ahead of UTC
    changes : (seconds after time 0, hours that local clocks go forward) for each change of them
    spread : hours of each hour of the local day, shape (24,), over which all use is spread alike; empty: use falls in
        the hours in which it was simulated
    holds_s : (from, until) by local clocks, in each cycle, of all times that it stands for; empty: what others leave
    cycle_s : after which these times come again
    """

    clock_s: float = 0.0
    start_hour: float = 0.0
    ahead_h: float = 0.0
    changes: tuple[tuple[float, float], ...] = ()
    spread: tuple[float, ...] = ()
    holds_s: tuple[tuple[float, float], ...] = ()
    cycle_s: float = 0.0


MONDAY = When()


@dataclass(frozen=True, slots=True)
class Load:
    """What one trial serves.

    Attributes
    ----------
    window_s : seconds of the workload, from and to; None for all of it
    when : it is served; None for the run's own time
    part : of the month that it is: each meets faults of its own
    """

    level: Level
    window_s: tuple[float, float] | None = None
    when: When | None = None
    part: int = 0


@dataclass(frozen=True, slots=True)
class Period:
    """A kind of hours of a month, simulated once for all of them.

    Attributes
    ----------
    load : multiple of the month's load, by class; empty for 1
    hours : of a month that it stands for
    when : it is simulated; None for the run's own time
    months : of the calendar, 1 to 12, that have it; empty for all
    window_s : seconds of the workload that it is; None for all of it
    part : its number among the periods, or windows, from 0 on
    """

    name: str
    hours: float
    load: Level = ()
    when: When | None = None
    months: tuple[int, ...] = ()
    window_s: tuple[float, float] | None = None
    part: int = 0

    def at(self, level: Level) -> Load:
        """Load of the period in a month of that level."""
        factors = tuple(a * b for a, b in zip(level, self.load, strict=True)) if self.load else level
        return Load(factors, self.window_s, self.when, self.part)


WHOLE_MONTH = Period("month", HOURS_PER_MONTH)


@dataclass(frozen=True, slots=True)
class MonthLoad:
    """What a month asks: what serves it for least serves every month that asks the same for least.

    Attributes
    ----------
    periods : those that it has; other months may have others, as a season
    """

    level: Level
    periods: tuple[Period, ...] = (WHOLE_MONTH,)


@dataclass(frozen=True, slots=True)
class Horizon:
    """The months of a study.

    Attributes
    ----------
    months : its length; may end within a month
    growth : by class
    periods : those of each of its months add up to 730 hours
    first_month : of the calendar, 1 to 12
    from_month : the first that counts; later where an event has changed what serves them
    kept_tokens : by class, tokens that its windows stand for at their loads, as a share of those of the workload; empty
        without a cut
    """

    months: float
    growth: tuple[Growth, ...]
    periods: tuple[Period, ...] = (WHOLE_MONTH,)
    first_month: int = 1
    from_month: int = 1
    kept_tokens: tuple[float, ...] = ()

    @property
    def numbers(self) -> range:
        """Its months, from `from_month` on; the last may be cut short."""
        return range(self.from_month, int(-(-self.months // 1)) + 1)

    def level(self, month: int) -> Level:
        return tuple(growth.factor(month) for growth in self.growth)

    def asked(self, month: int) -> MonthLoad:
        return MonthLoad(self.level(month), self.periods_of(month))

    def periods_of(self, month: int) -> tuple[Period, ...]:
        """Periods that stand for month `month` of the study."""
        calendar = (self.first_month + month - 2) % 12 + 1
        return tuple(period for period in self.periods if not period.months or calendar in period.months)
