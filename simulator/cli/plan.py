"""`servecast plan`: the smallest fleet that meets the SLO."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from simulator.plan.stopped import PlanStopped


def plan(
    scenario: Path,
    /,
    *,
    overlay: list[Path] | None = None,
    set_: Annotated[list[str] | None, Parameter(name="--set")] = None,
    topology: str = "",
    pool: str = "",
    gpu: str = "",
    tensor_parallel_size: str = "",
    max_replicas: int = 64,
    spare: int = 0,
    month: int | None = None,
    error: float | None = None,
    fresh: bool = False,
    time_limit: float | None = None,
    memory_limit: float | None = None,
    format: Literal["table", "json"] = "table",
    check: bool = False,
    quiet: bool = False,
) -> int:
    """Find the smallest fleet that meets the SLO, for each topology, by simulating one size after another.

    Interrupted it tells the best fleet of each topology so far, and how much could at most be saved.

    For example:

        servecast plan scenarios/quickstart.yaml --topology cloud
        servecast plan scenarios/quickstart.yaml --topology on_prem --gpu h100-sxm,l40s

    Parameters
    ----------
    scenario
        Scenario file (YAML).
    overlay
        Partial scenario laid over it; may be given several times.
    set_
        Path=value, as run.seed=3.
    topology
        Topologies to size, separated by commas; all unless given.
    pool
        Pools whose replicas are searched (of an autoscaled pool its maximum); all of a topology unless given.
    gpu
        GPUs to try in these pools, as h100-sxm,h200.
    tensor_parallel_size
        TP degrees to try in these pools, as 1,2,4.
    max_replicas
        Most replicas of a pool.
    spare
        Replicas on top, so that the SLO holds while so many are lost.
    month
        Month of the study to plan for; the busiest unless given, as the last of a study that grows.
    error
        Relative error of step times to plan for, instead of the profile's, as 0.1.
    fresh
        Simulate every size anew, instead of looking up what was simulated before.
    time_limit
        Seconds of wall clock.
    memory_limit
        GiB of each process; what the machine has left unless given.
    format
        Table for people, json for programs.
    check
        Exit with 1 unless some fleet meets the SLO.
    quiet
        No progress bar.
    """
    from simulator.cli.output import print_json, print_table, progress_bar
    from simulator.errors import InputError, Problem
    from simulator.money import rate_words, shown_in
    from simulator.plan.options import PlanOptions
    from simulator.plan.plan import plan_fleet
    from simulator.plan.stopped import PlanStopped
    from simulator.plan.table import notes, table
    from simulator.results.bundle import finite
    from simulator.run.budget import checked_budget, within
    from simulator.scenario.load import load_scenario
    from simulator.simulate.store import Store, user_store

    try:
        degrees = tuple(int(part) for part in _listed(tensor_parallel_size))
    except ValueError:
        raise InputError(
            Problem("must be whole numbers, as 1,2,4", "--tensor-parallel-size", got=tensor_parallel_size)
        ) from None
    options = PlanOptions(
        *(_listed(topology), _listed(pool), _listed(gpu), degrees),
        max_replicas=max_replicas,
        spare=spare,
        error=error,
        month=month,
    )
    loaded = load_scenario(scenario, overlay or (), set_ or ())
    store = Store() if fresh else user_store()
    try:
        with progress_bar(quiet) as progress, within(checked_budget(time_limit, memory_limit)):
            found = plan_fleet(loaded, options, progress, store)
    except PlanStopped as stopped:
        _tell_standing(stopped, format, loaded.currency)
        raise
    store.record()
    if format == "json":
        print_json(
            finite(
                {
                    "scenario": found.scenario,
                    "month": found.month.number,
                    "fleets": found.fleets,
                    "sure": found.sure,
                    "verdict": found.verdict,
                    **({"currency": found.currency} if found.currency else {}),
                }
            )
        )
    else:
        print(f"{found.scenario}: {loaded.scenario.description}\n")
        with shown_in(found.currency):
            print_table(*table(found))
            print("", *notes(found), "", found.verdict, *filter(None, [rate_words()]), sep="\n")
    return 1 if check and not found.feasible else 0


def _tell_standing(stopped: PlanStopped, format: str, currency: dict[str, Any] | None) -> None:
    """The best so far, as a plan that ended would say it."""
    from simulator.cli.output import print_json
    from simulator.money import shown_in
    from simulator.plan.stopped import lines
    from simulator.results.bundle import finite

    if format == "json":
        print_json(finite({"scenario": stopped.scenario, "interrupted": True, "standing": stopped.rows}))
        return
    with shown_in(currency):
        print(f"{stopped.scenario}: interrupted; the best so far", *lines(stopped.rows), sep="\n")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
