"""One fleet size after another, simulated in full and remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from simulator.resolve.engines import PlannedEngine
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import PlannedTopology, plan_topology
from simulator.run.evaluate import Evaluation, evaluate
from simulator.scenario.load import LoadedScenario
from simulator.size.candidate import Candidate
from simulator.size.search import Point

Progress = Callable[[str, float], None]
"""Called with what is being simulated and the share of the whole that is done."""


class Trials:
    """Simulates a candidate at the sizes asked for, each once; every size sees the same requests.

    Parameters
    ----------
    step_factor : on all step times, to see what their error means for the fleet
    """

    def __init__(self, candidate: Candidate, progress: Progress, step_factor: float = 1.0) -> None:
        self.candidate = candidate
        self.step_factor = step_factor
        self._progress = progress
        self._known: dict[Point, Evaluation] = {}

    @property
    def simulated(self) -> int:
        """Number of sizes simulated so far."""
        return len(self._known)

    def meets(self, point: Point) -> bool:
        """Whether `point[k]` replicas in the k-th scaled pool meet the SLO."""
        return self(point).slo_met

    def __call__(self, point: Point) -> Evaluation:
        if point not in self._known:
            self._known[point] = self._simulate(point)
        return self._known[point]

    def _simulate(self, point: Point) -> Evaluation:
        loaded = self.candidate.sized(point)
        planned = with_step_times(plan_topology(loaded, self.candidate.topology), self.step_factor)
        prices = resolve_terms(planned)
        label = f"{planned.name}: {' + '.join(map(str, point)) or 'no'} replicas"
        return evaluate(loaded, planned, prices, lambda share: self._progress(label, share))


def planned_at(loaded: LoadedScenario, topology: str) -> PlannedTopology:
    """The topology with its prices looked up.

    Raises
    ------
    InputError : a model that does not fit, a split that does not divide, a price that is not known
    """
    planned = plan_topology(loaded, topology)
    resolve_terms(planned)
    return planned


def with_step_times(planned: PlannedTopology, factor: float) -> PlannedTopology:
    """The topology with every step `factor` times as long; below 1 the checks of impossible speed make way as much."""
    if factor == 1.0:
        return planned
    engines = tuple(_slowed(engine, factor) for engine in planned.engines)
    pools = tuple(replace(pool, step_time=pool.step_time.scaled(factor)) for pool in planned.fleet.pools)
    return replace(planned, engines=engines, fleet=replace(planned.fleet, pools=pools))


def _slowed(engine: PlannedEngine, factor: float) -> PlannedEngine:
    bound = engine.bound
    if factor < 1.0:
        bound = replace(
            bound,
            computed_tokens_per_gpu_s=bound.computed_tokens_per_gpu_s / factor,
            output_tokens_per_gpu_s=bound.output_tokens_per_gpu_s / factor,
        )
    return replace(engine, step_time=engine.step_time.scaled(factor), bound=bound)
