"""One topology over all replications, for those who want its summary and no bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulator.resolve.topology import PlannedTopology
from simulator.run.summary import summarise
from simulator.scenario.load import LoadedScenario
from simulator.simulate.one import Prices, replicate


@dataclass(frozen=True, slots=True)
class Outcome:
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
    loaded: LoadedScenario, planned: PlannedTopology, prices: Prices, progress: Callable[[float], None] | None = None
) -> Outcome:
    """Simulate all replications of a planned topology; `progress` is called with the share that is done."""
    run = loaded.scenario.run
    done = []
    for number in range(run.replications):

        def tick(now: float, number: int = number) -> None:
            if progress:
                progress((number + min(now / run.horizon_s, 1.0)) / run.replications)

        done.append(replicate(loaded, planned, prices, number, progress=tick))
    met = tuple(bool(found.metrics.summary()["slo_met"]) for found in done)
    return Outcome(summarise(loaded, planned, done, prices), met)
