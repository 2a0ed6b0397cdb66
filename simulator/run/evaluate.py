"""One topology over all replications, for those who want its summary and no bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulator.resolve.terms import ResolvedTerms
from simulator.resolve.topology import PlannedTopology
from simulator.run.loads import loads_of
from simulator.run.months import served, walk_months
from simulator.run.priced import priced_months
from simulator.run.summary import summarise
from simulator.scenario.load import LoadedScenario
from simulator.simulate.one import simulate_one, subject_of


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a topology gave over all replications.

    Attributes
    ----------
    summary : as `simulate` gives it for the topology
    met : for each replication, whether it alone meets every SLO term
    """

    summary: dict[str, Any]
    met: tuple[bool, ...]

    @property
    def slo_met(self) -> bool:
        """Whether every SLO term is met over the requests of all replications together."""
        return bool(self.summary["metrics"]["slo_met"])


def evaluate(
    loaded: LoadedScenario,
    planned: PlannedTopology,
    prices: ResolvedTerms,
    progress: Callable[[float], None] | None = None,
) -> Evaluation:
    """Simulate all replications of a planned topology; `progress` is called with the share that is done."""
    loads, subject = loads_of(loaded), subject_of(planned)
    demand = loads.shown.demand
    done = []
    for number in range(demand.replications):

        def tick(now: float, number: int = number) -> None:
            if progress:
                progress((number + min(now / demand.horizon_s, 1.0)) / demand.replications)

        done.append(simulate_one(subject, demand, number, progress=tick))
    met = tuple(bool(found.metrics.summary()["slo_met"]) for found in done)
    jobs = demand.jobs_per_month
    walked = walk_months(loads, planned, served(done, loads.absent, jobs)).months
    found = priced_months(done, prices.terms, walked)
    return Evaluation(summarise(loaded, planned, found, prices, loads.shown.period.name), met)
