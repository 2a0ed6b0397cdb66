"""Study section: how many months are decided on, and how the load changes in them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from simulator.schema.base import IS_NUMBER, AtLeastOne, Name, NotNegative, Positive, Settings, Share
from simulator.schema.clock import Days, Hours, Moment

Growing = Annotated[float, Field(gt=-1), IS_NUMBER]
CalendarMonth = Annotated[int, Field(ge=1, le=12), IS_NUMBER]
Month = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
Quarter = Annotated[int, Field(ge=1, le=4), IS_NUMBER]


class LoadStep(Settings):
    """Load from a month of the study on, until the next step."""

    from_month: AtLeastOne
    """First month of the study with this load; 1 is the first."""
    load: NotNegative | None = None
    """Multiple of the workload's load, of all classes; 0 is nobody."""
    load_by_class: dict[Name, NotNegative] = {}
    """The same for single classes; other classes have no step where `load` is not given."""


class Period(Settings):
    """A kind of hours of a month, simulated once for all of them."""

    name: Name
    """As peak, ordinary, night."""
    hours_per_month: NotNegative | None = None
    """Hours of a month that it stands for; those of each month of the study add up to 730, so one may leave them out.
    With `days` or `hours` they are their share of the week, unless given."""
    load: NotNegative = 1.0
    """Multiple of the workload's load in these hours; 0 is nobody."""
    load_by_class: dict[Name, NotNegative] = {}
    """The same for single classes."""
    start: Moment | None = None
    """Time at its simulated second 0, as `run.start`; a time of the week is the first from the day of `run.start` on.
    Unless given, the first of its hours, or of those that others leave, from the run's start on; else that start. Load
    by the hour, windows, schedules and prices by the hour go by it."""
    start_hour: Annotated[float, Field(ge=0, lt=24), IS_NUMBER] | None = None
    """Instead of `start`: an hour of the day of `run.start`."""
    days: Days | None = None
    """Days of the week that it stands for, as `mon-fri`."""
    hours: Hours | None = None
    """Hours of these days that it stands for, as `8-20`: it begins with them, and its use is spread over them."""
    quarters: tuple[Quarter, ...] = ()
    """Quarters of the year that have it, those that the study does not reach too; all unless given."""
    months: tuple[CalendarMonth, ...] = ()
    """Calendar months that have it, beside those of the quarters."""


class Cut(Settings):
    """A long workload is cut into windows, and a few of them stand for all."""

    window_h: Positive
    """Length of a window in hours, after its warm-up."""
    kinds: AtLeastOne = 4
    """Windows that are simulated, the busiest included."""


class Event(Settings):
    """A change of one topology from a month on, as a newer model, another GPU or other prices."""

    name: Name
    """What it is called in the months."""
    from_month: Annotated[int, Field(ge=2), IS_NUMBER]
    """First month with it."""
    topology: Name
    """Which topology it changes."""
    change: dict[str, Any]
    """What is laid over the topology, as an overlay: `pools: [{name: base, gpu: b200}]`, `staff: {base_fte: 0.5}`; null
    takes a value away."""
    downtime_h: Annotated[float, Field(ge=0, le=730), IS_NUMBER] = 0.0
    """Hours of its first month in which nothing is served, as for installation or drivers."""
    usd_once: NotNegative = 0.0
    """Paid once when it begins, as for migration."""
    resale_share: Share | None = None
    """What owned servers that it leaves without use bring, as a share of their price; by their age unless given."""


class StudySettings(Settings):
    """Months over which topologies are compared."""

    months: Positive = 36
    """Length of the study, over which cash flow, NPV and break-even run; it may end within a month."""
    first_month: Month | None = None
    """Month of the calendar in which it begins, as 2027-01; that of a run on a date, else January, unless given.
    Periods in the FOCUS export stay empty unless given."""
    paid_today_usd_per_month: Positive | None = None
    """What is paid a month today, as to a token API: the verdict says what the cheapest costs beside it."""
    budget_usd_per_month: Positive | None = None
    """What a month may cost: the verdict says what load each topology serves for it, at its cheapest size."""
    growth_per_year: Growing = 0.0
    """Growth of the load, as a share per year: month m has (1 + g)^((m - 1)/12) times that of month 1."""
    growth_per_year_by_class: dict[Name, Growing] = {}
    """The same for single classes."""
    load_steps: tuple[LoadStep, ...] = ()
    """Load by month, as a table; growth goes on from the last step."""
    periods: tuple[Period, ...] = ()
    """Kinds of hours of a month; each is simulated and judged by itself. One for the whole month unless given."""
    events: tuple[Event, ...] = ()
    """Changes of topologies in the months; those that are there before month 1 are the topologies themselves."""
    cut: Cut | None = None
    """Instead of periods: windows of the workload itself, found by clustering their loads."""
