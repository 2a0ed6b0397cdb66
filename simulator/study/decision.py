"""What is decided: who meets the SLO for less, month by month, and what would change the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import hypot, inf
from typing import Literal

from simulator.study.bill import Tokens
from simulator.study.demand import Level, Period
from simulator.study.usage import Usage

Sizes = tuple[int, ...]
"""Replicas of each pool, or whatever numbers a topology's size is made of."""


Unmeasured = tuple[str, str]
"""A class of which no request was measured, and the period in which none was; empty where all hours are one."""


Side = Literal["above", "below", "always", "never"]


HOLDS_ON_FRESH = "holds on fresh traffic"
"""Said of a size that hardly keeps its SLO, and keeps it on a replication that its search never saw."""


MISSES_ON_FRESH = "at the edge: misses on fresh traffic"
"""Said of one that does not."""


NOT_FINISHED = "no size was found in time: the search was not finished"
"""Said of a topology for which time ended the search before a size met the SLO."""


TIME_ENDED = "time ended"
"""Why a flip was not searched to its end."""


LEAST_HOURS = 0.1
"""Of use a day: nobody asks for less."""


@dataclass(frozen=True, slots=True)
class Chance:
    """What chance makes of the bill of one replication.

    Attributes
    ----------
    usd : per month, the part of the bill that goes with the requests that came
    shared : variance of its share with the requests that happened to come, the same for all topologies
    at_ends : variance of its share with those that were in flight at the ends of the window
    drawn_by : what is drawn; topologies of which it is the same have the same draws
    by_draw : standard deviations of its share with independent parts of these draws, each below 0 where it makes the
        bill less; those of two topologies with the same draws go together
    draws : of each pool and token API with draws, what USD 1 of its share a month adds to each part, in USD
    """

    usd: float
    shared: float
    at_ends: float
    drawn_by: str = ""
    by_draw: tuple[float, ...] = ()
    draws: tuple[tuple[str, tuple[float, ...]], ...] = ()

    @property
    def routed(self) -> float:
        """Standard deviation of its share with all draws that give each request its target."""
        return hypot(*self.by_draw)


@dataclass(frozen=True, slots=True)
class Contender:
    """One topology at its best, as it is compared with the others.

    Attributes
    ----------
    meets : whether every SLO term of every class holds, in every month of the study
    usd_per_month : mean over replications and months
    usd_by_replication : the same of each replication; topologies are paired by place, as they serve the same requests
    attainment : share of the requests that were answered within the SLO, in the first month
    over_periods : whether that is the mean over the hours of several periods
    lasts_until : the last month before the first that misses the SLO, where one does; 0 if that is the first
    fleet : what runs and what is paid; equal for the same fleet under two names, empty where it is not known
    least_usd : per month, what sizes that were not looked at cost at least, as time, or the most of them, ended the
        search; None where nothing is open
    edge : what is said of a size that misses on fresh traffic; empty for others
    chance : in the bill of a single replication; None where several tell it, or where nothing is known
    arrived : requests that came in the window, over all replications; 0 where that is not known
    missed : of one that does not meet, what is missed first, in words; empty where that is not known
    forecast : whether its size rests on step times that are forecast, as that of owned and rented GPUs
    unmeasured : why it is not known whether it meets, as of `Walked`
    cause : what befell one that does not meet, where it meets without; as of `Walked`
    """

    name: str
    meets: bool
    usd_per_month: float
    usd_by_replication: tuple[float, ...] = ()
    attainment: float = 0.0
    fleet: str = ""
    least_usd: float | None = None
    lasts_until: int = 0
    edge: str = ""
    chance: Chance | None = None
    over_periods: bool = False
    arrived: int = 0
    missed: str = ""
    forecast: bool = False
    unmeasured: tuple[Unmeasured, ...] = ()
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Who is cheapest among those that meet every SLO term; names are in the order in which they were given.

    Attributes
    ----------
    order : those that meet, the cheapest first
    winners : the first of them, and all whose bills do not differ from its by more than chance explains
    same : (name, name of an earlier one) of those that are the same fleet
    withheld_by : losers for which a size that would cost less than the winner is not excluded
    closest : none meets: the one that misses least
    """

    order: tuple[str, ...]
    winners: tuple[str, ...]
    same: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    withheld_by: tuple[str, ...]
    closest: str | None


@dataclass(frozen=True, slots=True)
class Trail:
    """How a topology's size was found.

    Attributes
    ----------
    word : `fixed` as written, `proved`, `minimal` (one fewer of any pool fails), `best of n tried`, `open`
    least_usd : per month, what sizes that were not looked at in some month cost at least; None where nothing is open
    edge : what is said of a size that misses on fresh traffic; empty for others
    """

    word: str
    tried: int
    least_usd: float | None = None
    edge: str = ""


@dataclass(frozen=True, slots=True)
class Served:
    """What one fleet gave under one load.

    Attributes
    ----------
    meets : whether every SLO term of every class holds, replications pooled; None where none is missed and some class
        has no request to tell by
    unmeasured : these classes
    attainment : share of the requests answered within the SLO
    binding : the SLO term that is missed most, or that has least room
    usages : the ledger of each replication
    tokens : of a month served like this, of each replication
    spare_share : of the requests that could be lost beside those that are, and every SLO term would still hold
    is_near : some term is kept by less than two standard errors
    spare_errors : standard errors by which the nearest term is kept
    lasts : further windows have shown that what comes is served, where one did not
    """

    meets: bool | None
    attainment: float
    binding: str
    usages: tuple[Usage, ...]
    tokens: tuple[Tokens, ...] = ()
    spare_share: float = 0.0
    is_near: bool = False
    spare_errors: float = inf
    lasts: bool = False
    unmeasured: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Share:
    """Hours of a month that stand under one simulated load."""

    hours: float
    period: Period
    served: Served


@dataclass(frozen=True, slots=True)
class Walked:
    """One month of one topology as it was served, before it is billed.

    Attributes
    ----------
    sizes : replicas of each pool, or what else its size is made of
    meets : None where no period misses the SLO and of some class no request was measured
    shares : hours of the month; a month between two nodes has hours of both
    units : names of token APIs of which the last of the sizes are units of throughput
    cause : what befell a fleet that misses the SLO, where it meets it without; else empty
    """

    month: int
    level: Level
    sizes: Sizes
    meets: bool | None
    attainment: float
    binding: str
    shares: tuple[Share, ...]
    event: str = ""
    units: tuple[str, ...] = ()
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Month:
    """One month of one topology.

    Attributes
    ----------
    month : from 1 on
    level : load of each class as a multiple of the scenario's
    replicas : of each pool, the most where it is autoscaled
    servers : owned servers in place
    ordered, arriving : owned servers ordered in this month, and put into service in it
    meets : None where it is not known, as of some class no request was measured
    binding : the SLO term that is missed most, or that has least room
    usd : lines of the month
    paid_usd : payments that fall due in it
    liability_usd : what commitments still cost after it
    event : that begins with it; empty if none does
    units : of throughput that were searched, by token API
    """

    month: int
    level: tuple[float, ...]
    replicas: tuple[int, ...]
    servers: int
    ordered: int
    arriving: int
    meets: bool | None
    attainment: float
    binding: str
    usd: float
    paid_usd: float
    liability_usd: float
    event: str = ""
    units: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a fleet can serve.

    Attributes
    ----------
    factor : largest multiple of the load, of all classes, at which it meets the SLO; 0 if at none that was tried
    fails_at : smallest multiple tried at which it does not; inf if it met at all
    month : of the study whose fleet and load it is; 0 where all months are alike
    at_any_load : why it misses the SLO however little comes, and has no capacity: `factor` and `fails_at` are 0; else
        empty
    missed : what it misses at `fails_at`; empty where it met at all
    """

    factor: float
    fails_at: float
    tried: tuple[tuple[float, bool], ...]
    month: int = 0
    at_any_load: str = ""
    missed: str = ""

    @property
    def used_share_low(self) -> float:
        """Least share of the capacity that the load takes; 0 where no limit was found, inf where there is none."""
        return 1.0 / self.fails_at if self.fails_at > 0 else float("inf")

    @property
    def used_share_high(self) -> float:
        """Largest share of the capacity that the load takes; inf where no load was found that is served."""
        return 1.0 / self.factor if self.factor > 0 else float("inf")


@dataclass(frozen=True, slots=True)
class Binding:
    """Why a topology is not the answer.

    Attributes
    ----------
    kind : the SLO, or the bill
    what : the SLO term, or the line whose cost exceeds the winner's most
    text : the figures behind it, in words
    """

    topology: str
    kind: Literal["slo", "cost", "search", "unmeasured"]
    what: str
    text: str


ONE_REPLICATION = "by one replication, which does not tell it from chance"
NOT_TOLD = "from where it is beyond chance is not told"


@dataclass(frozen=True, slots=True)
class Flip:
    """The smallest change of one assumption that changes the winner.

    Attributes
    ----------
    assumption : what is changed, as `price of rented GPUs`
    factor : multiple of today's value from which the winner is another; None if none was found up to `beyond`
    winner : who is cheapest there
    beyond : (smallest, largest) multiple that was looked at
    sure : False where sizes that are open were not searched anew at the changed value, or loads are rounded
    words : of the changed value, where a multiple says little
    alone : a price of one contract, while others of its kind stay
    clear : multiple of a price from which none of today's winners has a bill that is equal within chance, 0 where there
        is none within `beyond`; None where that was not asked
    clear_words : of the value at `clear`, where a multiple says little
    untold : why `clear` is None though there is a flip; empty where bills are known exactly, or `clear` says it
    """

    assumption: str
    factor: float | None
    winner: str | None
    beyond: tuple[float, float]
    sure: bool = True
    words: str = ""
    alone: bool = False
    clear: float | None = None
    untold: str = ""
    clear_words: str = ""


@dataclass(frozen=True, slots=True)
class Crossing:
    """On which side of a multiple of the load a choice costs less than a rival, each side at its best size there.

    Attributes
    ----------
    factor : where the bills cross first; None for always and never, on what was tried
    tried : (multiple, USD per month, the rival's) by rising multiple; inf where no allowed size serves the load
    tokens_per_month : delivered there, prompts and answers; None where it is not known
    month : of the study whose topologies and load it is; 0 where all months are alike
    """

    side: Side
    factor: float | None
    tried: tuple[tuple[float, float, float], ...]
    tokens_per_month: float | None = None
    month: int = 0


@dataclass(frozen=True, slots=True)
class BreakEven:
    """When a choice costs less than a rival that meets the SLO, by three measures; None where one has no meaning.

    Attributes
    ----------
    months, months_discounted : from which the payments stay below the rival's; None: not within the study. What is sold
        at its end is not counted
    hours_per_day : hours of use a day above which it costs less than renting the rival for these hours alone
    hours_below : hours of use a day below which it does, as a token API beside rent with a licence; None where above
    volume : None where it was not asked
    """

    topology: str
    rival: str
    months: float | None
    months_discounted: float | None
    hours_per_day: float | None
    hours_below: float | None = None
    volume: Crossing | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision: who, by how much, how surely, why not the others, and what would flip it.

    Attributes
    ----------
    margin_usd : per month, of the runner-up over the winner; NaN without one
    margin_share_of_draws : share of the paired draws in which the winner is cheapest; NaN without draws
    lasts_until : by topology, the last month before the first in which it misses the SLO; None: to the end
    """

    ranking: Ranking
    margin_usd: float
    margin_share_of_draws: float
    lasts_until: tuple[tuple[str, int | None], ...]
    bindings: tuple[Binding, ...]
    flips: tuple[Flip, ...]
    text: str
