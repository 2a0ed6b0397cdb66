"""`servecast calibrate validate`: serve loads on real vLLM, simulate the same, compare."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from calibrate.commands.tolerances import USUAL, Tolerances

if TYPE_CHECKING:
    from calibrate.experiments.loads import Load
    from calibrate.experiments.validation import Measured


def validate(
    folder: Path,
    /,
    *,
    out: Path = Path("validation"),
    profile: Path | None = None,
    via: Literal["process", "server", "both"] = "process",
    loads: tuple[float, ...] = (0.3, 0.55, 0.8),
    rates: tuple[float, ...] = (),
    trace: Path | None = None,
    isl_mean: float | None = None,
    osl_mean: float | None = None,
    duration_s: float = 60.0,
    seed: int = 0,
    check: bool = False,
    tolerances: Tolerances = USUAL,
    vllm_python: Path | None = None,
    format: Literal["table", "json"] = "table",
) -> int:
    """Serve Poisson arrivals, and a slice of a trace, on the profiled engine, and compare with the simulator.

    Writes `process.json` and `server.json` (format vllm-run/1) and `report.html`.

    For example:

        servecast calibrate validate steps --out measured --profile profile.json --loads 0.3

    Parameters
    ----------
    folder
        What `servecast calibrate profile` left; the engine is started as it was then.
    out
        Folder for recordings and report.
    profile
        Profile to check; fitted on the folder's steps if not given.
    via
        Requests handed to the engine in its process, or sent by vLLM's benchmark to a server, or both.
    loads
        Rates as shares of the simulated capacity.
    rates
        Requests per second instead.
    trace
        Also serve the first requests of a recorded trace, at the middle rate.
    isl_mean
        Mean prompt tokens of the Poisson loads.
    osl_mean
        Mean output tokens of the Poisson loads.
    duration_s
        Arrivals of one load, seconds.
    seed
        Of arrivals and lengths.
    check
        Exit with 1 if an error is beyond its tolerance.
    vllm_python
        Interpreter that has vLLM.
    format
        Table for people, json for programs.
    """
    from calibrate.experiments.validation import (
        compare_runs,
        read_measured,
        serve_in_process,
        serve_over_http,
        write_recording,
    )
    from calibrate.validate.report import HEADERS, as_json, heading, table_rows, write_report
    from calibrate.vllm_process import VllmProcess, find_interpreter
    from simulator.cli.output import print_json, print_table

    measured = read_measured(folder, profile)
    python = find_interpreter(vllm_python)
    chosen = _loads(measured, loads, rates, trace, isl_mean, osl_mean, duration_s, seed)
    runs: dict[str, list[dict[str, Any]]] = {}
    if via != "server":
        runs["process"] = serve_in_process(lambda: VllmProcess(python, out / "vllm.log"), measured, chosen, _progress)
    if via != "process":
        runs["server"] = serve_over_http(python, measured, chosen, out, _progress)
    compared = {}
    for way, served in runs.items():
        recording = write_recording(measured, served, out / f"{way}.json")
        compared[way] = compare_runs(
            measured, recording, served, tolerances.raw, tolerances.corrected, over_http=way == "server"
        )
    everything = [entry for entries in compared.values() for entry in entries]
    within = all(entry.within for entry in everything)
    write_report("Measured against simulated", everything, out / "report.html")
    if format == "json":
        print_json({"within": within, "runs": {way: list(map(as_json, found)) for way, found in compared.items()}})
        return 1 if check and not within else 0
    for way, entries in compared.items():
        for entry, load in zip(entries, chosen, strict=True):
            share = f", {100 * load.share:.0f} % of capacity" if load.share else ""
            print(f"{way}, {load.label}{share}: {heading(entry)}")
            print_table(table_rows(entry), HEADERS)
            print()
    print("every error is within its tolerance" if within else "some errors are beyond their tolerances")
    return 1 if check and not within else 0


def _progress(text: str) -> None:
    print(text, file=sys.stderr)


def _loads(
    measured: Measured,
    loads: tuple[float, ...],
    rates: tuple[float, ...],
    trace: Path | None,
    isl_mean: float | None,
    osl_mean: float | None,
    duration_s: float,
    seed: int,
) -> list[Load]:
    """The loads to serve: each rate as Poisson arrivals, and the trace at the middle one."""
    from calibrate.experiments.loads import Lengths, capacity_rps, default_lengths, poisson_load, trace_load
    from simulator.errors import InputError, Problem

    asked = rates or loads
    if not asked or min(asked) <= 0 or duration_s <= 0:
        raise InputError(Problem("must be positive", path="--rates, --loads, --duration-s"))
    config = measured.recording.config
    usual = default_lengths(config)
    lengths = Lengths(isl_mean or usual.isl_mean, osl_mean or usual.osl_mean, usual.cv)
    shares: list[float | None] = [None] * len(rates) if rates else list(loads)
    if not rates:
        most_rps = capacity_rps(config, measured.step_time, lengths, seed)
        rates = tuple(share * most_rps for share in loads)
    found = [
        poisson_load(config, lengths, rate, duration_s, seed, share) for rate, share in zip(rates, shares, strict=True)
    ]
    if trace is not None:
        middle = sorted(zip(rates, shares, strict=True))[len(rates) // 2]
        found.append(trace_load(config, trace, middle[0], duration_s, middle[1]))
    return found
