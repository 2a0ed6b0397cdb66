"""`servecast bench`: how fast the simulator runs on this machine."""

from __future__ import annotations

from typing import Literal


def bench(*, format: Literal["table", "json"] = "table") -> int:
    """Measure simulated requests per second on one core; compile time is not counted.

    For example:

        servecast bench --format json

    Parameters
    ----------
    format
        Table for people, json for programs.
    """
    from simulator.cli.output import print_json, print_table
    from simulator.run.bench import run_benchmarks

    results = run_benchmarks()
    if format == "json":
        print_json(results)
    else:
        rows = [
            [name, f"{result['requests_per_s']:,.0f}"]
            for name, result in results.items()
            if isinstance(result, dict) and "requests_per_s" in result
        ]
        print_table(rows, ["benchmark", "simulated requests/s"])
    return 0
