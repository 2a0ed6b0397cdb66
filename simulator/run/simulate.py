"""Runs a scenario: every topology, every replication, into a bundle."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from simulator.bill.ledger_file import terms_data, usage_data
from simulator.decide.costed import FIXED
from simulator.decide.draws import Case
from simulator.errors import collect
from simulator.resolve.agreed import Spell, committed_instances_stay
from simulator.resolve.open_windows import with_hours
from simulator.resolve.sizes import Fixed, has_open_sizes, open_pools, with_sizes
from simulator.resolve.terms import resolve_terms, unused_overrides
from simulator.resolve.topology import PlannedTopology, check_catalog_names, plan_topologies, plan_topology
from simulator.results.bundle import BundleWriter, bundle_name, finite
from simulator.run.cost_summary import compare_costs, cost_frame, focus_csv
from simulator.run.decision import Measured, costed_of, decide_run
from simulator.run.fingerprint import fingerprint
from simulator.run.loads import Loads, loads_of
from simulator.run.months import Sizing, served
from simulator.run.phases import check_events, event_words, walk_study
from simulator.run.priced import first_month_usd, priced_months
from simulator.run.remarks import remarks, turns_apart
from simulator.run.replications import simulate_into
from simulator.run.resized import at_best_size
from simulator.run.summary import merged_metrics, summarise, unmeasured_classes
from simulator.run.tables import latency_frame
from simulator.run.trust import expected_errors
from simulator.scenario.load import LoadedScenario
from simulator.scenario.references import Reference, references
from simulator.scenario.resolved import resolved_yaml
from simulator.simulate.capacity import kept_up, load_of, load_warnings
from simulator.simulate.demand import PeriodDemand
from simulator.simulate.key import agreed, digest, fleet_key
from simulator.simulate.one import subject_of
from simulator.simulate.store import Store
from simulator.size.advice import advice
from simulator.size.answer import Answer, answer, sized_scenario, with_found_hours
from simulator.size.found import Limits
from simulator.size.speeds import AtSpeed, at_speeds
from simulator.size.windows import best_window
from simulator.size.words import size_warnings
from simulator.study.decision import Sizes, Trail, Walked

_SEARCH_SHARE = 0.6
"""Of the progress bar, where sizes are searched."""
Progress = Callable[[str, float], None]
"""Called with what is being simulated and the share of the whole that is done."""


@dataclass(frozen=True, slots=True)
class Run:
    """Results of a scenario.

    Attributes
    ----------
    summary : JSON-ready: `scenario`, `topologies` by name (metrics, pools, cost, warnings, …) and `verdict`
    decision : as in `decision.json`: months, break-even, what binds each loser, flips
    bundle : folder of the run bundle
    """

    summary: dict[str, Any]
    decision: dict[str, Any]
    bundle: Path


def simulate(
    loaded: LoadedScenario,
    out: str | Path = "runs",
    progress: Progress | None = None,
    limits: Limits | None = None,
    store: Store | None = None,
    advise: bool = False,
    explore_s: float = 0.0,
) -> Run:
    """Simulate every topology of a scenario under the same requests and write the run bundle below `out`.

    Sizes that are left open are searched first; the bundle holds the scenario with the sizes that were found.

    Parameters
    ----------
    limits : of the search
    store : where the search looks up and keeps what was simulated; within this run alone unless given
    advise : look whether a topology whose size is written would meet the SLO for less at another one
    explore_s : wall-clock time for further trials: capacity, break-even by volume, flips of load and limits

    Raises
    ------
    InputError : before anything runs, everything that cannot be planned; or the bundle cannot be written
    InvariantError : a law was broken: a bug of ours
    """
    started = time.perf_counter()
    identity = fingerprint(loaded, references(loaded)) + repr((limits or Limits(), advise)).encode()
    check_events(loaded)
    check_catalog_names(loaded)
    store = Store() if store is None else store
    loads = loads_of(loaded)
    this_month = loads.periods(loads.horizon.level(1))
    answers = _answers(loaded, this_month, limits, store, progress)
    sizings = {name: _sizing(loaded, found, limits, store) for name, found in answers.items()}
    hours_from: dict[str, dict[int, str]] = {name: {} for name in loaded.scenario.topologies}

    def size(phase: LoadedScenario, name: str, months: Loads) -> tuple[LoadedScenario, Sizing]:
        periods = months.periods(months.horizon.level(months.horizon.from_month))
        found = best_window(phase, name, periods, store, limits)
        if found.hours:
            hours_from[name][months.horizon.from_month] = found.hours
        return sized_scenario(phase, [found]), _sizing(phase, found, limits, store)

    written, asked = loaded, with_found_hours(loaded, list(answers.values()))
    loaded = sized_scenario(loaded, list(answers.values()))
    scenario = loaded.scenario
    planned = plan_topologies(loaded)
    prices = collect(resolve_terms, planned)
    shown = loads.shown
    demand = shown.demand
    offered = load_of(demand.source(0), demand.horizon_s)
    unstable = {topology.name: load_warnings(offered, topology) for topology in planned}
    summaries: dict[str, dict[str, Any]] = {}
    cases: dict[str, Case] = {}
    replications = demand.replications
    total = len(planned) * replications
    files = references(loaded)
    share = _SEARCH_SHARE if answers else 0.0
    path = Path(out) / bundle_name(scenario.name, identity)
    with BundleWriter(path, _manifest(loaded, planned, identity, files)) as bundle:
        bundle.text("scenario.resolved.yaml", resolved_yaml(loaded, files))
        for file in files:
            if file.copy is not None:
                bundle.copy(file.copy, file.file)
        for k, (topology, price) in enumerate(zip(planned, prices, strict=True)):

            def tick(number: int, now: float, first: int = k * replications, name: str = topology.name) -> None:
                if progress:
                    part = (first + number + min(now / demand.horizon_s, 1.0)) / total
                    progress(name, share + (1 - share) * part)

            done = simulate_into(bundle, topology, demand, scenario.run.keep_requests, tick)
            sizing = sizings.get(topology.name)
            base = served(done, loads.absent, demand.jobs_per_month)
            journey = walk_study(written, loads, topology, base, size, progress, sizing)
            walked = journey.months
            if len(journey.spells) > 1:
                price = resolve_terms(topology, journey.spells)
                prices[k] = price
            found = priced_months(done, price.terms, walked)
            bundle.append("latency.parquet", latency_frame(topology.name, merged_metrics(topology, found.replications)))
            bundle.append("costs.parquet", cost_frame(topology.name, found))
            told = summarise(loaded, topology, found, price, shown.period.name)
            arrived_rps = told["metrics"]["arrived"] / ((demand.horizon_s - demand.warmup_s) * replications)
            if not kept_up(told["metrics"], arrived_rps):
                told["warnings"][:0] = remarks("load", unstable[topology.name])
            fleet = digest(fleet_key(subject_of(topology)), agreed(price.terms))
            told["fleet"] = _fleet_over_months(fleet, walked, journey.spells)
            told["warnings"] += remarks("basis", event_words(asked, topology.name, hours_from[topology.name]))
            if topology.name in answers:
                told["search"] = answers[topology.name].row()
                told["warnings"] += remarks("size", size_warnings(answers[topology.name]))
            elif advise:
                words = advice(loaded, topology.name, first_month_usd(found), this_month, store)
                told["warnings"] += remarks("size", [words] if words else [])
            summaries[topology.name] = told
            cases[topology.name] = Case(topology, price, found)
        apart = turns_apart(found["metrics"]["arrived"] for found in summaries.values())
        for told in summaries.values():
            told["warnings"] += remarks("basis", apart)
            told["warnings"] += remarks("basis", unused_overrides(scenario.cost, prices))
        speeds = _speeds(asked, planned, this_month, limits, store, explore_s)
        for name, at in speeds.items():
            summaries[name]["at_speeds"] = [asdict(one) for one in at]
        compare_costs(summaries, cases, scenario.cost, scenario.run.seed, speeds)
        measured = [_measured(topology, cases[topology.name], summaries[topology.name]) for topology in planned]
        unmeasured = unmeasured_classes(summaries)
        reach = replace(limits or Limits(), seconds=explore_s)
        resized = partial(at_best_size, asked, set(answers), this_month, store, reach)
        decision = decide_run(loaded, demand, measured, scenario.cost.draws, explore_s, unmeasured, resized)
        for one in decision.topologies:
            summaries[one.name]["lasts_until"] = one.lasts_until
        bundle.json("decision.json", decision.data)
        summary = {
            "scenario": scenario.name,
            "description": scenario.description,
            "verdict": decision.verdict.text,
            "order": list(summaries),
            "topologies": summaries,
        }
        bundle.text("costs_focus.csv", focus_csv(scenario, cases))
        bundle.json("usage.json", {name: usage_data(case.priced.months) for name, case in cases.items()})
        bundle.json("terms.json", {name: terms_data(case.priced.terms) for name, case in cases.items()})
        figures = {topology.name: price.figures for topology, price in zip(planned, prices, strict=True)}
        bundle.json("figures.json", {name: [asdict(figure) for figure in found] for name, found in figures.items()})
        bundle.json("summary.json", summary)
        bundle.json("timing.json", {"seconds": time.perf_counter() - started})
    return Run(finite(summary), finite(decision.data), path)


def _fleet_over_months(fleet: str, walked: Sequence[Walked], spells: Sequence[Spell]) -> str:
    """Key of a fleet and of what it grows to and is changed to; sizes that stay leave the key as it is."""
    sizes = [tuple(n for n in month.sizes if n) for month in walked]
    later = {fleet_key(subject_of(spell.planned)) for spell in spells if spell.stage}
    stays = len(set(sizes)) == 1 and not later
    return fleet if stays else f"{fleet} {sizes} {sorted(later)}"


def _measured(topology: PlannedTopology, case: Case, summary: Mapping[str, Any]) -> Measured:
    drawn, search = summary["uncertainty"], summary.get("search")
    trail = Trail(search["claim"], search["tried"], search["gap_usd"] or 0.0) if search else FIXED
    return Measured(
        subject_of(topology),
        costed_of(topology.name, case.priced, trail, summary.get("fleet", "")),
        drawn["probability_cheapest_meeting_slo"] if drawn else None,
    )


def _sizing(loaded: LoadedScenario, found: Answer, limits: Limits | None, store: Store) -> Sizing:
    """Searches the open sizes of a topology under another load; what is committed stays on the instances agreed."""
    name = found.name
    loaded = with_hours(loaded, name, found.hours) if found.hours else loaded
    loaded = committed_instances_stay(loaded, sized_scenario(loaded, [found]), name)
    pools = loaded.scenario.topologies[name].pools
    open_ = {pool.index for pool in open_pools(loaded, name)}

    def search(periods: Sequence[PeriodDemand]) -> PlannedTopology | None:
        found = answer(loaded, name, periods, store, limits)
        return None if found.infeasible else plan_topology(sized_scenario(loaded, [found]), name)

    def at(sizes: Sizes) -> PlannedTopology:
        return plan_topology(with_sizes(loaded, name, {k: Fixed(n) for k, n in enumerate(sizes) if k in open_}), name)

    owned = tuple(pool.billing == "owned" for pool in pools)
    return Sizing(tuple(pool.name for pool in pools), owned, search, at)


def _speeds(
    loaded: LoadedScenario,
    planned: Sequence[PlannedTopology],
    periods: Sequence[PeriodDemand],
    limits: Limits | None,
    store: Store,
    explore_s: float,
) -> dict[str, tuple[AtSpeed, ...]]:
    """Sizes at three speeds of the topologies whose expected error is known, while there is time."""
    started = time.monotonic()
    found: dict[str, tuple[AtSpeed, ...]] = {}
    for topology in planned:
        error = expected_errors(topology.engines)
        if error is not None and time.monotonic() - started < explore_s:
            found[topology.name] = at_speeds(loaded, topology.name, periods, store, error["throughput"], limits)
    return found


def _answers(
    loaded: LoadedScenario,
    periods: Sequence[PeriodDemand],
    limits: Limits | None,
    store: Store,
    progress: Progress | None,
) -> dict[str, Answer]:
    """The sizes of every topology that leaves some open, for all periods of the first month.

    Raises
    ------
    InputError : a topology that cannot be planned or priced at any size, at its place
    """
    topologies = loaded.scenario.topologies
    names = [name for name, topology in topologies.items() if has_open_sizes(topology)]

    def one(name: str) -> Answer:
        k = names.index(name)

        def tick(what: str, share: float) -> None:
            if progress:
                progress(f"sizes of {what}", _SEARCH_SHARE * (k + share / 2) / len(names))

        return best_window(loaded, name, periods, store, limits, tick)

    return dict(zip(names, collect(one, names), strict=True))


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
