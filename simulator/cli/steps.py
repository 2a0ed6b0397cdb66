"""`servecast steps`: what one replica did, step by step."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Literal


def steps(
    bundle: Path,
    /,
    *,
    topology: str | None = None,
    pool: str | None = None,
    replica: int | None = None,
    start_s: float = 0.0,
    seconds: float = 10.0,
    out: Path | None = None,
    format: Literal["table", "json", "csv", "perfetto"] = "table",
) -> int:
    """Serve again what one replica of a run served, and show its steps: batch, KV blocks, preemptions.

    For example:

        servecast steps runs/quickstart-4fb36670 --topology on_prem --start-s 600 --seconds 10
        servecast steps runs/quickstart-4fb36670 --topology on_prem --format perfetto --out steps.json

    Parameters
    ----------
    bundle
        Folder written by `servecast run`.
    topology
        Of the run; the first with replicas unless given.
    pool
        Of the topology; the first unless given.
    replica
        Number of the replica as in requests.parquet; the pool's first unless given.
    start_s
        Start of the window in simulated time.
    seconds
        Length of the window.
    out
        File to write instead of printing: Parquet, or with `--format perfetto` the trace.
    format
        Table for people, json or csv for programs, perfetto for ui.perfetto.dev.
    """
    from simulator.cli.output import print_json, print_table
    from simulator.errors import InputError, Problem
    from simulator.report.perfetto import perfetto_trace
    from simulator.results.bundle import read_bundle
    from simulator.results.files import output_file, write_bytes, write_text
    from simulator.run.steps import LEAST_DEVIATION_S, NOT_SERVED_AGAIN, replica_steps, replicas

    if not (start_s >= 0 and seconds > 0):
        raise InputError(Problem("must start at 0 or later and be longer than 0", "--start-s, --seconds"))
    found = read_bundle(bundle)
    out = None if out is None else output_file(out)
    names = [topology] if topology else list(found.summary["order"])
    known = {name: replicas(found, name) for name in names}
    name = next((name for name in names if known[name]), names[0])
    own = [each for each in known[name] if pool is None or each[0] == pool]
    if not own:
        raise InputError(
            Problem("has no replica that served anything", str(bundle), got=f"{name} {pool or ''}".strip())
        )
    number = own[0][1] if replica is None else replica
    view = replica_steps(found, name, own[0][0], number, start_s, seconds)
    if view.deviation_s > LEAST_DEVIATION_S:
        told = f"! requests end up to {view.deviation_s:.3g} s apart from the run: these steps are of a replica alone,"
        print(f"{told} without {NOT_SERVED_AGAIN}", file=sys.stderr)
    if format == "perfetto":
        trace = json.dumps(perfetto_trace(view, f"{name}/{own[0][0]} #{number}"), sort_keys=True)
        if out is None:
            print(trace)
        else:
            write_text(out, trace)
            print(out)
    elif out is not None:
        write_bytes(out, view.steps.to_parquet(index=False))
        print(out)
    elif format == "json":
        where = {"topology": name, "pool": own[0][0], "replica": number, "deviation_s": view.deviation_s}
        print_json({**where, "steps": view.steps.to_dict("records")})
    elif format == "csv":
        print(view.steps.to_csv(index=False, lineterminator="\n"), end="")
    else:
        rows = [[f"{value:.6g}" for value in row] for row in view.steps.itertuples(index=False)]
        print(f"{name}, pool {own[0][0]}, replica {number}: {len(rows)} steps\n")
        print_table(rows, list(view.steps.columns))
    return 0
