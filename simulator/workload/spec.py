"""What a workload is made of: plain values, checked once when they are built.

Rates are requests/s, times seconds from the start of the run, lengths tokens. Second 0 is Monday, 00:00.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import InputError, Problem
from simulator.units import HOURS_PER_DAY
from simulator.workload.reading import AS_IT_SAYS, Reading

DAYS_PER_WEEK = 7


def _at_least(floor: float, path: str, value: float, *, above: bool = False) -> None:
    if math.isfinite(value) and (value > floor if above else value >= floor):
        return
    bound = "more than" if above else "at least"
    raise InputError(Problem(f"must be a finite number, {bound} {floor:g}", path=path, got=str(value)))


def _positive(path: str, value: float) -> None:
    _at_least(0.0, path, value, above=True)


def _share(path: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise InputError(Problem("must lie between 0 and 1", path=path, got=str(value)))


def _multipliers(path: str, values: Sequence[float], size: int) -> None:
    if values and len(values) != size:
        raise InputError(Problem(f"must list {size} multipliers, or none", path=path, got=str(len(values))))
    for value in values:
        _at_least(0.0, path, value)


@dataclass(frozen=True, slots=True)
class Constant:
    """Always `value` tokens."""

    value: int

    def __post_init__(self) -> None:
        _at_least(1, "constant.value", self.value)


@dataclass(frozen=True, slots=True)
class Uniform:
    """Whole tokens from `low` to `high`, both included. As a complexity: any number between the two."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _at_least(0.0, "uniform.low", self.low)
        _at_least(self.low, "uniform.high", self.high)


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Lognormal with this mean and coefficient of variation, rounded, then clamped to `min`..`max`.

    `mean` and `cv` are those before clamping: sigma² = ln(1 + cv²), mu = ln(mean) − sigma²/2.
    """

    mean: float
    cv: float
    min: int = 1
    max: int = 131072

    def __post_init__(self) -> None:
        _positive("lognormal.mean", self.mean)
        _at_least(0.0, "lognormal.cv", self.cv)
        _at_least(1, "lognormal.min", self.min)
        _at_least(self.min, "lognormal.max", self.max)


@dataclass(frozen=True, slots=True)
class Empirical:
    """Drawn with replacement from one column of a CSV or Parquet file."""

    file: str | Path
    column: str


Length = Constant | Uniform | Lognormal | Empirical


@dataclass(frozen=True, slots=True)
class Poisson:
    """Independent arrivals at a constant rate."""

    rate_rps: float

    def __post_init__(self) -> None:
        _positive("poisson.rate_rps", self.rate_rps)


@dataclass(frozen=True, slots=True)
class Gamma:
    """Renewal arrivals whose gaps are gamma with coefficient of variation `cv` (1 is Poisson, more is burstier)."""

    rate_rps: float
    cv: float

    def __post_init__(self) -> None:
        _positive("gamma.rate_rps", self.rate_rps)
        _at_least(0.0, "gamma.cv", self.cv)


@dataclass(frozen=True, slots=True)
class Profile:
    """Traffic like that of a shipped description (`servecast-traffic/1`): arrivals, lengths and shared prefixes."""

    file: str | Path
    rate_scale: float = 1.0
    loop: bool = True

    def __post_init__(self) -> None:
        _positive("profile.rate_scale", self.rate_scale)


@dataclass(frozen=True, slots=True)
class Spike:
    """The rate is `factor` times as high from `start_s` on, for `duration_s`; overlapping spikes multiply."""

    start_s: float
    duration_s: float
    factor: float

    def __post_init__(self) -> None:
        _at_least(0.0, "spike.start_s", self.start_s)
        _positive("spike.duration_s", self.duration_s)
        _at_least(0.0, "spike.factor", self.factor)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Rate that follows the hour and the day: `rate_rps · hourly[hour] · weekly[day] · spikes`.

    Attributes
    ----------
    hourly : 24 multipliers from 00:00 on; empty is 1 throughout
    weekly : 7 multipliers from Monday on; empty is 1 throughout
    cv : coefficient of variation of the gaps once the rate is scaled out; 1 is Poisson
    clock_s : what the clock shows at second 0
    turns : (clock, time since Monday 00:00) from which the time of the week goes on, by rising clock; the first holds
        before it, too. A change of the clock or the beginning and end of a holiday is such a turn
    """

    rate_rps: float
    hourly: tuple[float, ...] = ()
    weekly: tuple[float, ...] = ()
    spikes: tuple[Spike, ...] = ()
    cv: float = 1.0
    clock_s: float = 0.0
    turns: tuple[tuple[float, float], ...] = ((0.0, 0.0),)

    def __post_init__(self) -> None:
        _positive("schedule.rate_rps", self.rate_rps)
        _multipliers("schedule.hourly", self.hourly, HOURS_PER_DAY)
        _multipliers("schedule.weekly", self.weekly, DAYS_PER_WEEK)
        _at_least(0.0, "schedule.cv", self.cv)


@dataclass(frozen=True, slots=True)
class Trace:
    """Replay of a recorded trace.

    Attributes
    ----------
    reading : how the file is to be read
    rate_scale : divides the timestamps
    row_factor : requests for each row of the trace, at its own time (`workload.levels.repeat_rows`)
    loop : start again after the last arrival and one mean gap; prompts of different rounds share nothing
    """

    file: str | Path
    reading: Reading = AS_IT_SAYS
    rate_scale: float = 1.0
    loop: bool = False
    row_factor: float = 1.0

    def __post_init__(self) -> None:
        _positive("trace.rate_scale", self.rate_scale)
        _positive("trace.row_factor", self.row_factor)


@dataclass(frozen=True, slots=True)
class Sessions:
    """Multi-turn conversations that begin as a Poisson process.

    Attributes
    ----------
    rate_rps : requests/s of all turns in the long run; conversations begin at `rate_rps / mean(turns)`
    turns : turns of a conversation
    think_s : mean pause between an answer and the next turn, exponential
    user_tokens : new tokens that the user adds each turn; None takes the class's `isl`
    system_tokens : prompt shared by all conversations of the class
    """

    rate_rps: float
    turns: Length
    think_s: float
    user_tokens: Length | None = None
    system_tokens: int = 0

    def __post_init__(self) -> None:
        _positive("sessions.rate_rps", self.rate_rps)
        _at_least(0.0, "sessions.think_s", self.think_s)
        _at_least(0, "sessions.system_tokens", self.system_tokens)


@dataclass(frozen=True, slots=True)
class ClosedLoopArrivals:
    """A fixed number of users, each with one request in flight; at second 0 all begin to think.

    Attributes
    ----------
    think_s : mean pause before the first request and after each answer, exponential
    """

    concurrency: int
    think_s: float = 0.0

    def __post_init__(self) -> None:
        _at_least(1, "closed_loop.concurrency", self.concurrency)
        _at_least(0.0, "closed_loop.think_s", self.think_s)


Arrivals = Poisson | Gamma | Profile | Schedule | Trace | Sessions | ClosedLoopArrivals


@dataclass(frozen=True, slots=True)
class Prefixes:
    """A share of the prompts begins with one of a few shared texts (system prompts, templates, documents).

    Attributes
    ----------
    groups : number of shared texts; group k (from 1) is chosen with weight k^−zipf
    tokens : length of a text, drawn once per group; a shorter prompt holds its first `isl` tokens
    share : share of the prompts that begin with one
    zipf : exponent of the popularity; 0 is uniform
    """

    groups: int
    tokens: Length
    share: float = 1.0
    zipf: float = 0.0

    def __post_init__(self) -> None:
        _at_least(1, "prefixes.groups", self.groups)
        _share("prefixes.share", self.share)
        _at_least(0.0, "prefixes.zipf", self.zipf)


@dataclass(frozen=True, slots=True)
class Leaves:
    """Clients that leave before they have their answer: a share of them, each after an exponential time."""

    share: float
    after_s: float

    def __post_init__(self) -> None:
        _share("leaves.share", self.share)
        _positive("leaves.after_s", self.after_s)


@dataclass(frozen=True, slots=True)
class Adapters:
    """LoRA adapters: adapter k (from 1) is chosen with weight k^−zipf, by a share of the requests."""

    number: int
    share: float = 1.0
    zipf: float = 0.0

    def __post_init__(self) -> None:
        _at_least(1, "adapters.number", self.number)
        _share("adapters.share", self.share)
        _at_least(0.0, "adapters.zipf", self.zipf)


@dataclass(frozen=True, slots=True)
class StructuredOutputs:
    """A share of the answers follows a grammar, which takes `compile_s` to compile."""

    share: float
    compile_s: float

    def __post_init__(self) -> None:
        _share("structured_outputs.share", self.share)
        _at_least(0.0, "structured_outputs.compile_s", self.compile_s)


@dataclass(frozen=True, slots=True)
class Images:
    """Pictures of a share of the requests, so many in each, of so many tokens; `distinct` of them in all, or no two."""

    number: int
    tokens: Length
    share: float = 1.0
    distinct: int | None = None

    def __post_init__(self) -> None:
        _at_least(1, "images.number", self.number)
        _share("images.share", self.share)
        if self.distinct is not None:
            _at_least(1, "images.distinct", self.distinct)


@dataclass(frozen=True, slots=True)
class Brought:
    """What requests of a class bring beyond plain serving; `stored`: a store has the beginnings that came before."""

    leaves: Leaves | None = None
    adapters: Adapters | None = None
    structured_outputs: StructuredOutputs | None = None
    images: Images | None = None
    stored: bool = False


@dataclass(frozen=True, slots=True)
class ClassWorkload:
    """One class of requests.

    Attributes
    ----------
    isl, osl : needed unless arrivals are a profile or a trace, whose own lengths they replace
    prefixes : shared prefixes; replaces those of a profile or trace
    priority : lower is served first
    complexity : 0 (simple) to 1, one value or uniform between two
    stop_token_share : share of the answers that a stop token ends, whose length the engine does not know before
    n : answers that each request asks for
    cache_salts : tenants that share no prefix cache, of which each request or conversation has one
    brought : what its requests bring for modes of an engine
    """

    name: str
    arrivals: Arrivals
    isl: Length | None = None
    osl: Length | None = None
    prefixes: Prefixes | None = None
    priority: int = 0
    complexity: float | Uniform = 0.0
    stop_token_share: float = 0.0
    n: int = 1
    cache_salts: int = 1
    brought: Brought = Brought()

    def __post_init__(self) -> None:
        path = f"class {self.name}"
        _share(f"{path}: stop_token_share", self.stop_token_share)
        _at_least(1, f"{path}: n", self.n)
        _at_least(1, f"{path}: cache_salts", self.cache_salts)
        if self.n > 1 and isinstance(self.arrivals, Sessions | ClosedLoopArrivals):
            raise InputError(Problem("several answers leave open which of them goes on", path=f"{path}: n"))
        for bound in (self.complexity,) if not isinstance(self.complexity, Uniform) else (self.complexity.high,):
            _share(f"{path}: complexity", bound)
        sessions = isinstance(self.arrivals, Sessions)
        needs_isl = not isinstance(self.arrivals, Profile | Trace | Sessions) or (
            isinstance(self.arrivals, Sessions) and self.arrivals.user_tokens is None
        )
        if needs_isl and self.isl is None:
            raise InputError(Problem("needs a length distribution for prompts", path=f"{path}: isl"))
        if self.osl is None and not isinstance(self.arrivals, Profile | Trace):
            raise InputError(Problem("needs a length distribution for outputs", path=f"{path}: osl"))
        if sessions and self.prefixes is not None:
            raise InputError(Problem("sessions share `system_tokens`; remove prefixes", path=f"{path}: prefixes"))


@dataclass(frozen=True, slots=True)
class WorkloadSpec:
    """All classes; a request's `class_id` is its class's place in the tuple."""

    classes: tuple[ClassWorkload, ...]

    def __post_init__(self) -> None:
        names = [entry.name for entry in self.classes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(Problem(f"class names must differ; given more than once: {', '.join(twice)}"))
