"""`servecast run`: simulate a scenario and compare its topologies."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def run(
    scenario: Path,
    /,
    *,
    overlay: list[Path] | None = None,
    set_: Annotated[list[str] | None, Parameter(name="--set")] = None,
    out: Path = Path("runs"),
    max_replicas: int = 64,
    search_seconds: float | None = None,
    fresh: bool = False,
    advice: Annotated[bool, Parameter(negative="--no-advice")] = True,
    jobs: int | None = None,
    time_limit: float | None = None,
    memory_limit: float | None = None,
    format: Literal["table", "json"] = "table",
    check: bool = False,
    explore_s: float = 0.0,
    months: bool = False,
    quiet: bool = False,
) -> int:
    """Simulate every topology of a scenario and compare them.

    For example:

        servecast run scenarios/quickstart.yaml
        servecast run scenarios/quickstart.yaml --set run.replications=5 --check

    Parameters
    ----------
    scenario
        Scenario file (YAML).
    overlay
        Partial scenario laid over it; may be given several times.
    set_
        Path=value, as run.seed=3 or topologies.cloud.pools[rented].tensor_parallel_size=2.
    out
        Folder for the run bundle.
    max_replicas
        Most replicas of a pool whose size is auto.
    search_seconds
        Longest search for the sizes of a topology; what it leaves open is said.
    fresh
        Simulate every size anew, instead of looking up what was simulated before.
    advice
        Look whether sizes that are written would meet the SLO for less, and what share of its capacity a fleet uses.
    jobs
        Processes; one for each core unless given, one alone where the work is small.
    time_limit
        Seconds of wall clock; what had finished is kept, marked as partial. Without it nothing begins that needs more
        than a day of one core.
    memory_limit
        GiB of a process; what the machine has left unless given. What needs more does not begin.
    format
        Table for people, json for programs.
    check
        Exit with 1 unless some topology meets the SLO in every month.
    explore_s
        Seconds for further trials: capacity, break-even by volume, what load, limits or prices would flip it.
    months
        Show every month, not only those in which something changes.
    quiet
        No progress bar.
    """
    from simulator.cli.output import print_json, progress_bar, terminal_width
    from simulator.errors import InputError, Problem
    from simulator.money import shown_in
    from simulator.processes import cores
    from simulator.report.decision import decision_screen
    from simulator.report.prose import wrapped
    from simulator.report.screen import first_screen
    from simulator.run.budget import checked_budget, further_words, within
    from simulator.run.simulate import simulate
    from simulator.scenario.load import load_scenario
    from simulator.simulate.store import Store, user_store
    from simulator.size.found import checked_limits

    if jobs is not None and jobs < 1:
        raise InputError(Problem("must be at least 1", "--jobs", got=str(jobs)))
    if not 0 <= explore_s < math.inf:
        raise InputError(Problem("must be a number of seconds, at least 0", "--explore-s", got=str(explore_s)))
    loaded = load_scenario(scenario, overlay or (), set_ or ())
    store = Store() if fresh else user_store()
    limits, budget = checked_limits(max_replicas, search_seconds), checked_budget(time_limit, memory_limit)
    with progress_bar(quiet) as progress, within(budget):
        result = simulate(loaded, out, progress, limits, store, advice, explore_s, jobs or cores(), budget)
    store.record()
    if format == "json":
        print_json({**result.summary, "decision": result.decision, "bundle": str(result.bundle)})
    else:
        with shown_in(result.summary.get("currency")):
            print(first_screen(result.summary, result.summary["verdict"], terminal_width()))
            print(decision_screen(result.decision, list(result.summary["order"]), months, terminal_width()))
            if not explore_s and len(result.decision["topologies"]) > 1:
                print("\n" + wrapped(further_words(loaded), width=terminal_width()))
        print(f"\nbundle: {result.bundle}")
    met = any(found["meets"] for found in result.decision["topologies"].values())
    return 1 if check and not met else 0
