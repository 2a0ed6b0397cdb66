"""`servecast traces`: public traces, and what a trace of one's own holds."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from simulator.workload.reading import WasRead
    from simulator.workload.traces import TraceSource


def traces(
    file: Path | None = None,
    /,
    *,
    trace_format: Literal["auto", "azure", "mooncake", "burstgpt", "table"] = "auto",
    source: str | None = None,
    retrieved: str = "not stated",
    column: list[str] | None = None,
    time_unit: Literal["s", "ms", "us", "ns"] | None = None,
    hash_block_tokens: int | None = None,
    leave_out_failures: bool = False,
    bin_s: float = 10.0,
    write: Path | None = None,
    format: Literal["table", "json"] = "table",
) -> int:
    """List public traces, or describe a trace file: rate, burstiness, lengths and prefix sharing.

    For example:

        servecast traces requests.csv --bin-s 300
        servecast traces log.jsonl --column arrival_s=at --column input_tokens=prompt --column output_tokens=answer
        servecast traces requests.csv --write traffic.json

    Parameters
    ----------
    file
        Trace file; without one, the traces that are published.
    trace_format
        Of the file; recognised by its columns unless given.
    source
        Name of the published trace that the file is, for its citation and licence in the description.
    retrieved
        Date on which the file was fetched.
    column
        Ours=theirs, as arrival_s=startTime or input_tokens=usage.prompt_tokens, for a table of one's own; may be
        given several times. Guessed, and shown, unless given.
    time_unit
        Unit of times that are numbers. Unless given: that of a clock since 1970 by its size, ms where Mooncake's are
        all whole, else s.
    hash_block_tokens
        Tokens that one hash stands for; told by the prompts' lengths unless given.
    leave_out_failures
        Leave out rows without an output token.
    bin_s
        Width of the bins of arrivals.
    write
        Write the description here; a scenario takes it as `arrivals: {kind: profile, file: …}`.
    format
        Table for people, json for programs.
    """
    from simulator.cli.output import print_json, print_table
    from simulator.errors import InputError, Problem
    from simulator.workload.describe import describe_file, write_description
    from simulator.workload.reading import Reading
    from simulator.workload.traces import TRACE_SOURCES

    if file is None:
        if write or source:
            raise InputError("--write and --source need a trace file")
        rows = [_published(entry) for entry in TRACE_SOURCES]
        if format == "json":
            print_json(rows)
        else:
            print_table([[str(cell) for cell in row.values()] for row in rows], list(rows[0]))
        return 0
    if not 0 < bin_s < math.inf:
        raise InputError(Problem("must be positive and finite", "--bin-s", got=f"{bin_s:g}"))
    if hash_block_tokens is not None and hash_block_tokens < 1:
        raise InputError(Problem("must be at least 1", "--hash-block-tokens", got=str(hash_block_tokens)))
    columns = tuple(_pair(each) for each in column or ())
    reading = Reading(trace_format, columns, time_unit, hash_block_tokens, leave_out_failures, guesses=not columns)
    try:
        found, was_read = describe_file(file, reading, _source(file, source), retrieved, bin_s)
    except InputError as error:
        if all(problem.file for problem in error.problems):
            raise
        raise InputError(Problem(str(error), file=str(file))) from error
    if write:
        write_description(found, write)
    if format == "json":
        shown = {name: value for name, value in found.items() if name not in ("counts", "lengths", "prefix")}
        print_json({**shown, "read_as": asdict(was_read)})
    else:
        print_table([*_as_read(was_read), *_summary(found)], ["", file.name])
        if write:
            print(f"\ndescription: {write}")
    return 0


def _published(source: TraceSource) -> dict[str, Any]:
    return {
        "name": source.name,
        "format": source.format,
        "licence": source.licence,
        "described": "yes" if source.described else "no",
        "columns": ", ".join(source.columns),
        "file": source.file,
    }


def _source(file: Path, name: str | None) -> TraceSource:
    from simulator.errors import InputError, Problem, unknown_name
    from simulator.workload.traces import TRACE_SOURCES, TraceSource

    if name is None:
        private = "not published"
        return TraceSource(file.stem, file.stem, private, file.name, private, private, "not stated", "table", True)
    known = {entry.name: entry for entry in TRACE_SOURCES}
    if name not in known:
        raise InputError(Problem(unknown_name("trace", name, known), "--source"))
    return known[name]


def _pair(text: str) -> tuple[str, str]:
    from simulator.errors import InputError, Problem, unknown_name
    from simulator.schema.workload import TraceColumn

    known = get_args(TraceColumn)
    ours, equals, theirs = text.partition("=")
    if not (equals and theirs):
        raise InputError(Problem("must be ours=theirs, as arrival_s=startTime", "--column", got=text))
    if ours not in known:
        raise InputError(Problem(unknown_name("column", ours, known), "--column"))
    return ours, theirs


def _as_read(read: WasRead) -> list[list[str]]:
    from simulator.workload.reading import rows_left_out

    rows = [["read as", read.format], ["times in", "dates" if read.time_unit == "date" else read.time_unit]]
    rows += [[f"{ours} from", f"{theirs} (guessed)"] for ours, theirs in read.columns]
    if read.hash_block_tokens is not None:
        rows.append(["tokens of a hashed block", str(read.hash_block_tokens)])
    rows += [[f"left out: {why}", f"{count:,}"] for why, count in rows_left_out(asdict(read)).items()]
    if read.cached_share is not None:
        rows.append(["prompt tokens that a cache held", f"{read.cached_share:.0%}"])
    if read.out_of_order:
        rows.append(["rows out of order, sorted", f"{read.out_of_order:,}"])
    return rows


def _busiest_rps(found: dict[str, Any]) -> float:
    """Requests per second in the busiest bin; the last is as long as what is left of the trace."""
    *whole, last = found["counts"]
    last_s = found["duration_s"] - len(whole) * found["bin_s"]
    rates = [count / found["bin_s"] for count in whole]
    return float(max(*rates, last / last_s, found["requests"] / found["duration_s"]))


def _summary(found: dict[str, Any]) -> list[list[str]]:
    from simulator.units import rough

    rows = [
        ["requests", f"{found['requests']:,}"],
        ["duration [s]", f"{found['duration_s']:,.1f}"],
        ["rate [requests/s]", rough(found["requests"] / found["duration_s"])],
        [f"busiest {found['bin_s']:g} s [requests/s]", rough(_busiest_rps(found))],
        ["burstiness (cv of gaps, Poisson 1)", f"{found['burstiness_cv']:.2f}"],
    ]
    for length in ("isl", "osl"):
        for name, value in found[length].items():
            rows.append([f"{length.upper()} {name} [tokens]", f"{value:,.0f}"])
    prefix = found["prefix"]
    rows.append(["prompt blocks seen before", "not recorded" if prefix is None else f"{prefix['block_hit_ratio']:.0%}"])
    return rows
