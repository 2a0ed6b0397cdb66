"""A part of a scenario's traffic that is simulated instead of all of it: its busiest time, with its own requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from simulator.decide.levels import nodes
from simulator.errors import InputError, Problem
from simulator.resolve.horizon import horizon_of, part_when
from simulator.run.sizes_by_month import ByMonth, parts
from simulator.scenario.load import LoadedScenario
from simulator.simulate.demand import Demand, demand_of
from simulator.study.demand import Horizon
from simulator.units import rough_span_words
from simulator.workload.jobs import JobWorkload
from simulator.workload.windows import load_by_window

LEAD_S = 900.0
"""Simulated before a part at least, where there is so much: queues and autoscalers get to where they are by then."""
LEAST_S = 120.0
_PARTS = 1_000
"""Steps in which the busiest time is looked for."""
_PEAK = _PARTS // 20
"""Steps of the busiest time of a run that is simulated whole."""
Parts = np.ndarray[tuple[int], np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What is simulated of a run.

    Attributes
    ----------
    start_s, end_s : of the run's time; requests that come between count
    horizon_s : of the run
    replications, of : so many of those of the run
    peak_s : middle of the busiest time
    """

    start_s: float
    end_s: float
    horizon_s: float
    replications: int
    of: int
    peak_s: float

    @property
    def has_all_time(self) -> bool:
        return self.start_s <= 0 and self.end_s >= self.horizon_s

    @property
    def is_whole(self) -> bool:
        """Whether it is the run itself."""
        return self.has_all_time and self.replications == self.of

    @property
    def words(self) -> str:
        """What of the run it is."""
        time = f"all {rough_span_words(self.horizon_s)}"
        if not self.has_all_time:
            time = f"the busiest {rough_span_words(self.end_s - self.start_s)} of {rough_span_words(self.horizon_s)}"
        if self.of == 1:
            return time
        return f"{time}, {'all' if self.replications == self.of else self.replications} of {self.of} replications"


def excerpt_of(loaded: LoadedScenario, most_requests: float, sizes: Mapping[str, ByMonth] | None = None) -> Excerpt:
    """All of a run where it has so few requests, over all topologies and months; else its busiest time.

    Busiest is the window with the most tokens, prompts and answers, of the first replication. Jobs, whose end counts,
    and periods with a time of their own are simulated whole.

    Parameters
    ----------
    sizes : of topologies that have others in later months: loads are simulated for each of their sizes

    Raises
    ------
    InputError : a study whose windows are those of the whole run
    """
    scenario, demand, horizon = loaded.scenario, demand_of(loaded), horizon_of(loaded)
    if scenario.study.cut is not None:
        words = "takes its windows from the whole run: run it in full"
        raise InputError(Problem(words, *loaded.place("study.cut"), path="study.cut"))
    run_s, of = demand.horizon_s, demand.replications
    part_s = run_s / _PARTS
    requests, tokens = _by_part(demand)
    firsts = ((sizes or {}).get(name, {1: ()}) for name in scenario.topologies)
    room = most_requests / sum(_loads(horizon, part) for each in firsts for part in parts(each, horizon.months))
    jobs = any(isinstance(cls, JobWorkload) for cls in demand.workload.classes)
    total = float(requests.sum())
    if total <= room or jobs or any(period.when for period in horizon.periods):
        replications = of if total == 0 else int(min(max(room // total, 1), of))
        peak = _busiest(tokens, _PEAK)
        return Excerpt(0.0, run_s, run_s, replications, of, (peak + _PEAK // 2) * part_s)
    least = min(max(int(np.ceil(LEAST_S / part_s)), 1), _PARTS)
    width = max(int(_PARTS * room / total), least)
    while width > least and requests[(first := _busiest(tokens, width)) : first + width].sum() > room:
        width = max(int(width * 0.95), least)
    first = _busiest(tokens, width)
    last_s = min((first + width) * part_s, run_s)
    return Excerpt(first * part_s, last_s, run_s, 1, of, 0.5 * (first * part_s + last_s))


def peak_tokens_per_s(loaded: LoadedScenario) -> float:
    """Prompt and output tokens a second that requests by the clock bring in the busiest twentieth of a run."""
    demand = demand_of(loaded)
    _, tokens = _by_part(demand)
    first = _busiest(tokens, _PEAK)
    return float(tokens[first : first + _PEAK].sum()) / (demand.horizon_s * _PEAK / _PARTS)


def _by_part(demand: Demand) -> tuple[Parts, Parts]:
    """Requests and tokens of each part of the first replication."""
    load = load_by_window(demand.source(0), demand.horizon_s / _PARTS, _PARTS)
    return load[:, :, 0].sum(axis=1), load[:, :, 1:].sum(axis=(1, 2))


def _busiest(tokens: Parts, width: int) -> int:
    """First part of the window with the most tokens; the earliest of equal ones."""
    sums = np.convolve(tokens, np.ones(width), mode="valid")
    return int(np.argmax(sums))


def _loads(horizon: Horizon, part: tuple[int, int]) -> int:
    """How many loads are simulated for these months, from the first to the last of them."""
    first, last = part
    numbers = [month for month in horizon.numbers if first <= month <= last]
    found = nodes([horizon.level(month) for month in numbers])
    months = [numbers[k] for k in found]
    return len({period.at(horizon.level(month)) for month in months for period in horizon.periods_of(month)})


def excerpt_demand(loaded: LoadedScenario, excerpt: Excerpt) -> Demand:
    """The demand of a scenario in an excerpt of its time, or of that of another one: requests are those of the run."""
    demand = replace(demand_of(loaded), replications=excerpt.replications)
    if excerpt.has_all_time:
        return demand
    start_s = _first_s(demand, excerpt)
    return replace(
        demand,
        start_s=start_s,
        warmup_s=excerpt.start_s - start_s if excerpt.start_s > 0 else demand.warmup_s,
        horizon_s=excerpt.end_s - start_s,
        when=part_when(loaded.scenario, start_s, excerpt.end_s - start_s),
        _drawn={},
    )


def _first_s(demand: Demand, excerpt: Excerpt) -> float:
    return max(excerpt.start_s - max(demand.warmup_s, LEAD_S), 0.0)
