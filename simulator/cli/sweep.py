"""`servecast sweep`: a scenario at every combination of values."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from simulator.sweep.result import SweepRun

Format = Literal["table", "json", "csv"]


def sweep(
    scenario: Path,
    /,
    *,
    grid: list[str] | None = None,
    overlay: list[Path] | None = None,
    set_: Annotated[list[str] | None, Parameter(name="--set")] = None,
    out: Path = Path("runs"),
    jobs: int | None = None,
    time_limit: float | None = None,
    memory_limit: float | None = None,
    shard: str = "",
    executor: Literal["local", "ray"] = "local",
    ray_address: str = "",
    format: Format = "table",
    check: bool = False,
    quiet: bool = False,
) -> int:
    """Simulate a scenario at every combination of values, in parallel; an interrupted sweep goes on where it was.

    For example:

        servecast sweep scenarios/sweeps/load.yaml
        servecast sweep scenarios/quickstart.yaml --grid engine.max_num_seqs=64,128
        servecast sweep scenarios/sweeps/load.yaml --shard 3/8
        servecast sweep scenarios/sweeps/load.yaml --executor ray --ray-address 10.0.0.7:6379

    Parameters
    ----------
    scenario
        Scenario file, or a sweep file that names one and its grid.
    grid
        Path=value,value as engine.max_num_seqs=64,128; may be given several times.
    overlay
        Partial scenario laid over it; may be given several times.
    set_
        Path=value at every point.
    out
        Folder for the results.
    jobs
        Processes, or simulations of a cluster at a time; one for each core unless given.
    time_limit
        Seconds of wall clock; the same sweep goes on from there.
    memory_limit
        GiB of each process; what the machine has left unless given.
    shard
        The third of eight equal shares as 3/8, each on a machine of its own; `servecast merge` puts them together.
    executor
        Processes of this machine, or the machines of a Ray cluster (pip install 'servecast[ray]').
    ray_address
        Host:port of the cluster's head; unless given that of RAY_ADDRESS, the cluster on this machine, or a new one.
    format
        Table for people, json or csv for programs.
    check
        Exit with 1 unless some topology meets the SLO at some point.
    quiet
        No progress bar.
    """
    from contextlib import nullcontext

    from simulator.cli.output import progress_bar
    from simulator.cluster import joined
    from simulator.errors import InputError, Problem
    from simulator.run.budget import checked_budget, within
    from simulator.sweep.grid import read_sweep
    from simulator.sweep.shard import read_shard
    from simulator.sweep.sweep import run_sweep

    if jobs is not None and jobs < 1:
        raise InputError(Problem("must be at least 1", "--jobs", got=str(jobs)))
    if ray_address and executor != "ray":
        raise InputError(Problem("goes with --executor ray", "--ray-address", got=ray_address))
    share = read_shard(shard) if shard else None
    wanted = read_sweep(scenario, grid or (), overlay or (), set_ or ())
    budget = checked_budget(time_limit, memory_limit)
    machines = joined(ray_address) if executor == "ray" else nullcontext()
    with machines as cluster, progress_bar(quiet) as progress, within(budget):
        found = run_sweep(wanted, out, jobs, progress, share, cluster)
    if found.resumed:
        print(f"servecast: {found.resumed} simulations had finished before", file=sys.stderr)
    if share is not None and share.of > 1:
        print(f"servecast: shard {share}; `servecast merge` takes the folders of all {share.of}", file=sys.stderr)
    return shown(found, format, check)


def shown(found: SweepRun, format: Format, check: bool) -> int:
    """Print a sweep; returns the exit code."""
    from simulator.cli.output import print_json, print_table
    from simulator.money import rate_words, shown_in
    from simulator.sweep.table import notes, table

    if format == "json":
        rows = found.table.astype(object).where(found.table.notna(), None).to_dict("records")
        about = {"points": found.points, "failed_points": found.failed, "bundle": str(found.bundle)}
        print_json({"rows": rows, **about, **({"currency": found.currency} if found.currency else {})})
    elif format == "csv":
        print(found.table.to_csv(index=False, lineterminator="\n"), end="")
    else:
        with shown_in(found.currency):
            print_table(*table(found.table, found.paths))
            if rate := rate_words():
                print("", rate, sep="\n")
        print("", *notes(found.table, found.paths), f"{found.points} points, {found.failed} failed", sep="\n")
        print(f"\nbundle: {found.bundle}")
    if (found.table["status"] == "bug").any():
        return 3
    met = found.table.get("slo_met")
    return 1 if check and (met is None or not met.eq(True).any()) else 0
