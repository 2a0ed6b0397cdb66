"""Runs a scenario: every topology, every replication, into a bundle."""

from __future__ import annotations

import hashlib
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.bill.ledger_file import terms_data, usage_data
from simulator.decide.costed import FIXED
from simulator.decide.draws import Case
from simulator.decide.standing import edge_of
from simulator.errors import collect
from simulator.figures.display import topologies_html
from simulator.money import shown_in
from simulator.resolve.idle_terms import idle_warnings
from simulator.resolve.servers import without_left_over
from simulator.resolve.sizes import at_start, has_open_sizes, left_out, open_pools
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import PlannedTopology, check_catalog_names, plan_topologies
from simulator.results.bundle import BundleWriter, bundle_name, finite, read_bundle
from simulator.results.scratch import scratch
from simulator.run.advised import advised
from simulator.run.ahead import Work
from simulator.run.ahead import answers as answers_ahead
from simulator.run.at_thresholds import with_found_thresholds
from simulator.run.budget import Budget, beforehand, check_needs, needs_of
from simulator.run.cost_summary import compare_costs, cost_frame, focus_csv
from simulator.run.decision import Measured, decide_run, measured_of
from simulator.run.evaluate import cheapest_answer, course_of
from simulator.run.fingerprint import fingerprint
from simulator.run.fresh import fresh_words, later_edge, on_fresh
from simulator.run.further import further_trials
from simulator.run.left_open import month_warnings
from simulator.run.loads import loads_of
from simulator.run.measured_instances import cheaper_instances, moved_instances, without_terms
from simulator.run.months import Progress, between
from simulator.run.offered import later_offered, offered_warnings
from simulator.run.orders import early_orders
from simulator.run.paid_hours import paid_at_other_hours
from simulator.run.phases import before_events, check_events, event_words
from simulator.run.remarks import never_asked, turns_apart
from simulator.run.replications import simulate_into
from simulator.run.sizer import Sizer
from simulator.run.speeds import speeds
from simulator.run.summary import merged_metrics, summarise
from simulator.run.tables import latency_frame
from simulator.run.thresholds import threshold_words
from simulator.run.topology_summary import TopologySummary
from simulator.run.traces_read import left_out_words, traces_read
from simulator.run.within_budget import loads_within_budget
from simulator.run.written_instances import may_change_instances
from simulator.scenario.load import LoadedScenario, Source, load_scenario
from simulator.scenario.references import Reference, references
from simulator.scenario.resolved import resolved_yaml
from simulator.simulate.demand import Demand
from simulator.simulate.key import agreed, digest, fleet_key
from simulator.simulate.one import subject_of
from simulator.simulate.rows import Rows
from simulator.simulate.store import Store
from simulator.size.answer import Answer, with_found_hours
from simulator.size.expected import expected_trials
from simulator.size.found import Limits, bounded
from simulator.size.words import size_warnings
from simulator.study.decision import Trail

if TYPE_CHECKING:
    import pandas as pd

_SEARCH_SHARE = 0.6
_AHEAD_SHARE = 0.8
"""Of the progress bar, where sizes are searched; where other processes simulate all that they can."""
_SPEEDS_SHARE = _BUDGET_SHARE = 0.25
"""Of the time for further trials, what sizes at other speeds of the engines, and loads within a budget may take."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Run:
    """Results of a scenario.

    Attributes
    ----------
    summary : JSON-ready: `scenario`, `topologies` by name (metrics, pools, cost, warnings, …) and `verdict`; where a
        `currency` is stated words are in it, figures in USD
    decision : as in `decision.json`: months, break-even, what binds each loser, flips
    bundle : folder of the run bundle; of a run in memory it goes with the run
    """

    summary: dict[str, Any]
    decision: dict[str, Any]
    bundle: Path

    @property
    def tables(self) -> tuple[str, ...]:
        """Names that `table` knows."""
        return read_bundle(self.bundle).tables

    def table(self, name: str) -> pd.DataFrame:
        """One table of the bundle as a pandas DataFrame, as `Bundle.table`."""
        return read_bundle(self.bundle).table(name)

    def _repr_html_(self) -> str:
        """The verdict and a row for each topology, for notebooks."""
        with shown_in(self.summary.get("currency")):
            return f"<p>{escape(str(self.summary['verdict']))}</p>{topologies_html(self.summary)}"


def simulate(
    scenario: LoadedScenario | Source,
    out: str | Path | None = "runs",
    progress: Progress | None = None,
    limits: Limits | None = None,
    store: Store | None = None,
    advise: bool = False,
    explore_s: float = 0.0,
    jobs: int = 1,
    budget: Budget | None = None,
) -> Run:
    """Simulate every topology of a scenario under the same requests and write the run bundle below `out`.

    Equal scenarios have one bundle, which is written anew: another one is never replaced.

    Sizes that are left open are searched first; the bundle holds the scenario with the sizes that were found.

    Parameters
    ----------
    scenario : as `load_scenario` gives it, or what that takes
    out : folder of runs; None for a run in memory, whose files are removed with it
    progress : called with what is being simulated and the share of the whole that is done
    limits : of the search
    store : where the search looks up and keeps what was simulated; within this run alone unless given
    advise : look whether a topology whose size is written would meet the SLO for less at another one, and estimate what
        share of its capacity each one uses
    explore_s : wall-clock time for further trials: sizes at other speeds, capacity, break-even by volume, flips
    jobs : processes at most, as far as the work is worth their start; their number changes no byte
    budget : what it may need; nothing is estimated unless given

    Raises
    ------
    InputError : before anything runs, everything that cannot be planned; or the bundle cannot be written
    InvariantError : a law was broken: a bug of ours
    """
    loaded = scenario if isinstance(scenario, LoadedScenario) else load_scenario(scenario)
    with shown_in(loaded.currency), scratch() as folder, ExitStack() as kept:
        out = kept.enter_context(scratch()) if out is None else out
        store = Store() if store is None else store
        run = _simulate(loaded, out, progress, limits, store, advise, explore_s, jobs, budget, Path(folder))
        weakref.finalize(run, kept.pop_all().close)
    return run


def _simulate(
    loaded: LoadedScenario,
    out: str | Path,
    progress: Progress | None,
    limits: Limits | None,
    store: Store,
    advise: bool,
    explore_s: float,
    jobs: int,
    budget: Budget | None,
    folder: Path,
) -> Run:
    started = time.perf_counter()
    limits = bounded(limits, loaded)
    identity = fingerprint(loaded, references(loaded)) + repr((limits, advise)).encode()
    check_events(loaded)
    check_catalog_names(loaded)
    loads, small = loads_of(loaded), plan_topologies(at_start(loaded))
    collect(resolve_terms, small)
    if budget is not None:
        needs = needs_of(loaded, small)
        check_needs(needs, budget)
        if progress:
            progress(beforehand(loaded, needs), 0.0)
    sizer, names = Sizer(store, limits), loaded.scenario.topologies
    loaded, thresholds, progress = with_found_thresholds(loaded, names, loads, sizer, progress)
    rows = Rows(folder, loads.shown.period) if loaded.scenario.run.keep_requests else None
    work = Work(loaded, loads, sizer, rows, advise)
    searched = _SEARCH_SHARE if any(map(has_open_sizes, loaded.scenario.topologies.values())) else 0.0
    if work.worth(jobs):
        store = store if store.can_keep else Store(folder / "trials")
        work, searched = replace(work, sizer=Sizer(store, limits)), _AHEAD_SHARE
        answers = answers_ahead(work, list(loaded.scenario.topologies), jobs, between(0.0, searched, progress))
    else:
        answers = _answers(work, between(0.0, searched, progress))
    begun = max(searched, _AHEAD_SHARE) if may_change_instances(loaded) else searched
    sized = _sized(work, answers, between(searched, begun, progress))
    study = _Study(work, sized, answers, thresholds, begun, progress)
    planned = plan_topologies(sized)
    collect(resolve_terms, planned)
    scenario, files = sized.scenario, references(sized)
    said: dict[str, TopologySummary] = {}
    cases: dict[str, Case] = {}
    path = Path(out) / bundle_name(scenario.name, identity)
    with BundleWriter(path, _manifest(sized, planned, identity, files)) as bundle:
        bundle.text("scenario.resolved.yaml", resolved_yaml(without_left_over(sized), files))
        for file in files:
            if file.copy is not None:
                bundle.copy(file.copy, file.file)
        for k, topology in enumerate(planned):
            name = topology.name
            cases[name], said[name] = study.run(bundle, topology, k / len(planned), 1 / len(planned))
        apart = turns_apart(one.metrics["arrived"] for one in said.values())
        unused = idle_warnings(scenario, {name: case.prices for name, case in cases.items()})
        asked = with_found_hours(loaded, list(answers.values()))
        explored_s = time.monotonic()
        by_month = [name for name, one in answers.items() if one.by_month]
        sizes = speeds(asked, planned, loads, work.sizer, _SPEEDS_SHARE * explore_s, by_month)
        seconds = _BUDGET_SHARE * explore_s if explore_s > 0 else None
        bought = loads_within_budget(asked, loads, work.sizer, seconds)
        left_s = explore_s - (time.monotonic() - explored_s)
        met = [name for name, one in said.items() if one.metrics["slo_met"]]
        costs = compare_costs(cases, met, scenario.cost, scenario.run.seed, sizes)
        measured = [_measured(case, said[name], loads.shown.demand) for name, case in cases.items()]
        further = further_trials(loaded, asked, loads, work.sizer, left_s, sizes) if explore_s > 0 else None
        decision = decide_run(
            *(sized, loads.shown.demand, measured, costs.cheapest_in, further),
            *(work.estimates, store, bought),
        )
        traces = traces_read(loaded, loads.shown.demand.start_s + loads.shown.demand.horizon_s)
        orders = {one.name: early_orders(one) for one in decision.topologies}
        summaries = {
            name: replace(
                one.warned("basis", [*orders[name], *apart, *unused, *left_out_words(traces)]),
                at_speeds=tuple(asdict(at) for at in sizes.get(name, ())),
                compared=replace(costs.compared[name], capacity=decision.capacities.get(name)),
            ).row()
            for name, one in said.items()
        }
        bundle.json("decision.json", decision.data)
        summary = {
            "scenario": scenario.name,
            "description": scenario.description,
            "verdict": decision.verdict.text,
            "order": list(summaries),
            "topologies": summaries,
            **({"traces": traces} if traces else {}),
            **({"currency": loaded.currency} if loaded.currency else {}),
        }
        bundle.text("costs_focus.csv", focus_csv(scenario, cases))
        bundle.json("usage.json", {name: usage_data(case.priced.months) for name, case in cases.items()})
        bundle.json("terms.json", {name: terms_data(case.priced.terms) for name, case in cases.items()})
        figures = {name: [asdict(figure) for figure in case.prices.figures] for name, case in cases.items()}
        bundle.json("figures.json", figures)
        bundle.json("summary.json", summary)
        bundle.json("timing.json", {"seconds": time.perf_counter() - started})
    return Run(finite(summary), finite(decision.data), path)


@dataclass(frozen=True, slots=True)
class _Study:
    """What all topologies of a run share.

    Attributes
    ----------
    sized : the scenario with the sizes that were found
    answers : what was found, by topology
    thresholds : what is said of those of an overflow that were found, by topology
    searched : share of the progress that is done
    """

    work: Work
    sized: LoadedScenario
    answers: Mapping[str, Answer]
    thresholds: Mapping[str, list[str]]
    searched: float
    progress: Progress | None

    def run(
        self, bundle: BundleWriter, topology: PlannedTopology, begun: float, part: float
    ) -> tuple[Case, TopologySummary]:
        """Simulate and bill a topology; what it gave goes to the bundle.

        Parameters
        ----------
        begun, part : shares of all topologies: those before it, and it alone
        """
        work, name, searched = self.work, topology.name, self.searched
        demand, sizer, answer = work.loads.shown.demand, work.sizer, self.answers.get(name)

        def tick(number: int, now: float) -> None:
            if self.progress:
                done = (number + min(now / demand.horizon_s, 1.0)) / demand.replications
                label = f"{name}: replication {number + 1} of {demand.replications}"
                self.progress(label, searched + (1 - searched) * (begun + part * done))

        keep = self.sized.scenario.run.keep_requests
        outcomes = simulate_into(bundle, topology, demand, keep, sizer.store, work.rows, tick)
        course = course_of(work.loaded, work.loads, topology, outcomes, sizer, answer, self.progress)
        found, journey = course.priced, course.journey
        bundle.append("latency.parquet", latency_frame(name, merged_metrics(found.replications)))
        bundle.append("costs.parquet", cost_frame(name, found))
        told = summarise(
            *(self.sized, topology, found, course.prices, work.loads.shown.period.name, demand.absent),
            *(answer.pools if answer else (), work.loads.horizon.kept_tokens),
        )
        offered = offered_warnings(topology, demand, told.metrics, merged_metrics(found.replications))
        told = replace(told, warnings=(*offered, *later_offered(journey, work.loads), *told.warnings))
        fleet = digest(fleet_key(subject_of(topology)), agreed(course.prices.terms))
        told = replace(told, fleet=journey.fleet(fleet), least_usd_per_month=course.least_usd_per_month)
        told = told.warned("basis", event_words(work.loaded, name, journey.hours, journey.months))
        fresh = on_fresh(
            journey, subject_of(topology), work.loads, sizer.store, searched=answer is not None, advise=work.advise
        )
        later = later_edge(journey, fresh.nearest)
        if answer is not None:
            told = replace(told, search=answer.row(), edge=later)
            told = told.warned("size", [*size_warnings(answer), *fresh_words(journey, fresh.nearest)])
        asked, unchanged = work.loaded.scenario.topologies[name], before_events(journey)
        out = left_out(asked, topology.settings) if answer is None else []
        out += never_asked(asked, journey.months)
        told = told.warned("size", [*self.thresholds.get(name, ()), *out])
        moved = [*cheaper_instances(asked, topology.settings, unchanged), *moved_instances(asked, topology.settings)]
        told = told.warned("size", [*moved, *without_terms(asked, topology.settings), *paid_at_other_hours(asked)])
        told = told.warned(
            "size", month_warnings(journey.open, told.least_usd_per_month, journey.limited, sizer.limits or Limits())
        )
        if work.advise and name not in self.thresholds:
            told = told.warned("size", threshold_words(topology, told.metrics, found, journey, work.loads, sizer.store))
        if answer is None and work.advise:
            words, when = advised(work.loaded, name, found, journey, work.loads, sizer)
            if fresh.was_asked:
                edge = edge_of(fresh.as_written)
                told = replace(told, edge=edge or later or fresh.as_written)
                as_written = [f"as written {edge}{when}"] if edge else []
                told = told.warned("size", [*as_written, *fresh_words(journey, fresh.nearest)])
            told = told.warned("size", [words] if words else [])
        return Case(topology, course.prices, found), told


def _measured(case: Case, summary: TopologySummary, demand: Demand) -> Measured:
    search = summary.search
    trail = Trail(search["claim"], search["tried"]) if search else FIXED
    trail = replace(trail, edge=edge_of(search["edge"] if search else "") or edge_of(summary.edge))
    trail = replace(trail, least_usd=summary.least_usd_per_month)
    return measured_of(case.planned, case.priced, demand, trail, summary.fleet)


def _sized(work: Work, answers: Mapping[str, Answer], progress: Progress | None) -> LoadedScenario:
    """The scenario at the sizes that were found, with written autoscalers on the instances that cost least."""
    sized, names = work.loaded, list(work.loaded.scenario.topologies)
    for k, name in enumerate(names):
        told = between(k / len(names), (k + 1) / len(names), progress)
        sized = work.sizer.sized(sized, name, work.loads, answers.get(name), work.rows, told)
    return sized


def _answers(work: Work, progress: Progress | None) -> dict[str, Answer]:
    """The sizes of every topology that leaves some open.

    Raises
    ------
    InputError : a topology that cannot be planned or priced at any size, at its place
    """
    topologies = work.loaded.scenario.topologies
    names = [name for name, topology in topologies.items() if has_open_sizes(topology)]
    trials = [expected_trials(open_pools(work.loaded, name)) for name in names]

    def one(name: str) -> Answer | None:
        k = names.index(name)

        def tick(what: str, share: float) -> None:
            if progress:
                progress(f"sizes of {what}", (sum(trials[:k]) + share * trials[k]) / sum(trials))

        return cheapest_answer(work.sizer, work.loaded, name, work.loads, tick, work.rows)

    found = zip(names, collect(one, names), strict=True)
    return {name: answer for name, answer in found if answer is not None}


def _manifest(
    loaded: LoadedScenario, planned: list[PlannedTopology], identity: bytes, files: Sequence[Reference]
) -> dict[str, Any]:
    return {
        "servecast": version("servecast"),
        "scenario": loaded.scenario.name,
        "scenario_sha256": hashlib.sha256(identity).hexdigest(),
        "files": {file.path: {"sha256": file.sha256, "copy": file.copy} for file in files},
        "seed": loaded.scenario.run.seed,
        "replications": loaded.scenario.run.replications,
        "step_time": {
            topology.name: sorted({engine.step_time.origin for engine in topology.engines}) for topology in planned
        },
        "versions": {name: version(name) for name in ("numba", "numpy", "pandas", "pyarrow", "scipy", "simpy")},
    }
