"""Sizes the topologies of a scenario: the smallest fleets that meet the SLO and the cheapest, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

from simulator.decide.rivals import cheapest, rank
from simulator.decide.standing import of_row
from simulator.decide.why import sentence
from simulator.errors import collect
from simulator.money import money, shown_in
from simulator.plan.candidate import Candidate, candidates
from simulator.plan.month import PlanMonth, all_months_alike, in_month, like_month, plan_month
from simulator.plan.options import PlanOptions, check_month, check_options
from simulator.plan.rows import rows_of
from simulator.plan.sizing import Sizing, fleets, limits_of, planned_at, size
from simulator.plan.stopped import PlanStopped, standing
from simulator.resolve.admissible import check_taken
from simulator.resolve.engines import PlannedEngine
from simulator.resolve.open_windows import WHOLE_WEEK
from simulator.resolve.sizes import with_sizes
from simulator.resolve.topology import check_catalog_names
from simulator.run.loads import loads_of
from simulator.run.phases import check_events
from simulator.run.remarks import remarks, turns_apart
from simulator.scenario.load import LoadedScenario, Source, load_scenario
from simulator.scenario.set_lines import set_lines
from simulator.simulate.store import Store
from simulator.size.assumed import Assumed
from simulator.size.trials import Point, Progress, Trials
from simulator.study.fleet import FleetSpec

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Plan:
    """Fleets found.

    Attributes
    ----------
    fleets : JSON-ready rows: for each topology and hardware the minimal fleets and the cheapest, or why there is none
    sure : by topology that has a fleet: what the error of step times means for the cheapest one
    verdict : which fleet to choose
    month : of the study that the fleets are for
    beyond : what is said of that month; empty where all months are alike
    currency : what amounts are shown in, as the scenario states it; None for USD
    """

    scenario: str
    fleets: list[dict[str, Any]]
    sure: dict[str, dict[str, Any]]
    verdict: str
    month: PlanMonth
    beyond: str = ""
    currency: dict[str, Any] | None = None

    @property
    def feasible(self) -> bool:
        """Whether some fleet meets the SLO, as far as its requests tell."""
        return any(row["feasible"] and not row.get("unmeasured") for row in self.fleets)

    def table(self) -> pd.DataFrame:
        """The fleets as a pandas DataFrame, a row each."""
        import pandas as pd

        return pd.DataFrame(self.fleets)

    def _repr_html_(self) -> str:
        """The verdict and a row for each fleet, for notebooks."""
        shown = self.table()
        columns = [name for name in shown if not shown[name].map(lambda cell: isinstance(cell, dict | list)).any()]
        return f"<p>{escape(self.verdict)}</p>{shown[columns].to_html(index=False, na_rep='')}"


def _check(one: Candidate) -> FleetSpec:
    """The candidate at its smallest; raises what keeps it from being planned or priced, at its place."""
    one = one.at_hours(WHOLE_WEEK).at_threshold(0.0)
    sizes = {pool.index: pool.size(max(pool.low, 1)) for pool in one.pools()}
    return planned_at(with_sizes(one.loaded, one.topology, sizes), one.topology).fleet


class _Marks:
    """Progress over candidates, each a part of the whole as long as the others."""

    def __init__(self, report: Progress | None, total: int) -> None:
        self._report, self._total, self._done = report, total, 0

    def tick(self, label: str, share: float) -> None:
        if self._report:
            self._report(label, (self._done + share) / self._total)

    def next(self) -> None:
        self._done += 1


def plan_fleet(
    scenario: LoadedScenario | Source,
    options: PlanOptions | None = None,
    progress: Progress | None = None,
    store: Store | None = None,
) -> Plan:
    """The smallest fleets that meet the SLO and the cheapest, for each topology and kind of hardware.

    Every size is simulated as `simulate` does it, with the same requests. A minimal fleet meets every SLO term over all
    replications, and with one replica fewer in any sized pool it does not. The cheapest may be a larger one.

    Raises
    ------
    InputError : an option or a name that is not known, or a topology that cannot be planned as the scenario has it
    PlanStopped : in place of a KeyboardInterrupt while fleets are searched, with the best of them so far
    """
    loaded = scenario if isinstance(scenario, LoadedScenario) else load_scenario(scenario)
    with shown_in(loaded.currency):
        return _planned(loaded, options or PlanOptions(), progress, store)


def _planned(loaded: LoadedScenario, chosen: PlanOptions, progress: Progress | None, store: Store | None) -> Plan:
    check_events(loaded)
    check_catalog_names(loaded)
    study = loads_of(loaded)
    check_month(loaded, chosen)
    month = plan_month(loaded, study, chosen.month)
    written, loaded, loads = loaded, in_month(loaded, month), like_month(study, month)
    check_options(loaded, chosen)
    names = chosen.topologies or tuple(loaded.scenario.topologies)
    found = [one for name in names for one in candidates(loaded, name, chosen.pools, chosen.gpus, chosen.tps)]
    if not chosen.gpus and not chosen.tps:
        check_taken(loaded, collect(_check, found))
    store = Store() if store is None else store
    marks = _Marks(progress, len(found) + len(names))
    sizings: list[Sizing] = []
    for k, one in enumerate(found):
        try:
            sizings.append(size(one, loads, store, limits_of(one, chosen.max_replicas), marks.tick))
        except KeyboardInterrupt as stop:
            raise PlanStopped(loaded.scenario.name, standing(sizings, found[k:], stop)) from stop
        marks.next()
    lines = partial(set_lines, written.scenario, month.number)
    told = [(sizing, rows_of(sizing, chosen.spare, lines)) for sizing in sizings]
    rows = [row for _, each in told for row in each]
    sure: dict[str, dict[str, Any]] = {}
    for name in names:
        mine = [(sizing, each) for sizing, each in told if sizing.candidate.topology == name]
        choice = [(row, sizing, k) for sizing, each in mine for k, row in enumerate(each) if row["feasible"]]
        if choice:
            best = int(cheapest([of_row(str(k), row) for k, (row, _, _) in enumerate(choice)]))
            row, sizing, k = choice[best]
            row["cheapest"] = True
            sure[name] = _sure(sizing, sizing.points[k], chosen, marks.tick)
        marks.next()
    best_rows = [row for row in rows if row["cheapest"]]
    for row in best_rows:
        row["warnings"] += remarks("basis", turns_apart(each["arrived"] for each in best_rows))
    words = month.words(all_months_alike(study))
    verdict = _verdict(rows, f" in month {month.number}" if words else "")
    return Plan(loaded.scenario.name, rows, sure, verdict, month, words, loaded.currency)


def _sure(sizing: Sizing, point: Point, options: PlanOptions, progress: Progress) -> dict[str, Any]:
    """The cheapest fleets with all step times shorter and longer by their relative error."""
    error, basis = _step_time_error(sizing, options.error)
    found: dict[str, Any] = {"step_time_error": error, "basis": basis, "replicas_low": None, "replicas_high": None}
    if error is None or not point:
        return found
    first = sizing.trials
    for key, factor in (("replicas_low", 1 - error), ("replicas_high", 1 + error)):
        assumed = Assumed(factor)
        trials = Trials(first.loaded, first.name, first.pools, first.periods, first.store, progress, assumed=assumed)
        other, points = fleets(trials, limits_of(sizing.candidate, options.max_replicas))
        if points:
            best = replace(sizing, trials=trials, found=other, points=points, known={}).cheapest(options.spare)
            found[key] = [size.most for size in best]
    return found


def _step_time_error(sizing: Sizing, given: float | None) -> tuple[float | None, str]:
    """Relative error of step times and where it comes from: the larger of TPOT's and throughput's, over all pools."""
    if given is not None:
        return given, "given"
    engines = sizing.planned.engines if sizing.planned else ()
    if not engines:
        return None, "no engine of one's own"
    errors = [engine.step_time.expected_error for engine in engines]
    known = [error for error in errors if error is not None]
    if len(known) < len(errors):
        return None, _without_error([engine for engine in engines if engine.step_time.expected_error is None])
    worst = max(known, key=lambda error: max(error.tpot, error.throughput))
    return max(worst.tpot, worst.throughput), worst.basis


def _without_error(engines: Sequence[PlannedEngine]) -> str:
    """What step times are of which no error is known."""
    if any(engine.layout.is_wide(engine.gpu.device) or engine.is_latent for engine in engines):
        return "extrapolated"
    if not all(engine.step_time.calibrated for engine in engines):
        return "uncalibrated"
    return "given" if all(engine.speed_is_given for engine in engines) else "measured without a validation"


def _verdict(rows: Sequence[dict[str, Any]], when: str) -> str:
    best = [of_row(row["topology"], row) for row in rows if row["cheapest"]]
    ranking = rank(best)
    if not ranking.order:
        if any(one.unmeasured for one in best):
            return sentence(best)
        return f"No fleet meets the SLO{when}."
    usd = {one.name: one.usd_per_month for one in best}
    first = ranking.order[0]
    equal = [name for name in ranking.order[1:] if name in ranking.winners]
    rest = [name for name in ranking.order if name not in ranking.winners]
    text = f"{first}: the cheapest fleet that meets the SLO{when}, {money(usd[first])} per month"
    if equal:
        text += f"; {', '.join(equal)} {'costs' if len(equal) == 1 else 'cost'} the same"
    if rest:
        text += f"; next is {rest[0]} at {money(usd[rest[0]])}"
    without = [name for name in dict.fromkeys(row["topology"] for row in rows) if name not in usd]
    if without:
        text += f"; {', '.join(without)}: infeasible"
    return text + "."
