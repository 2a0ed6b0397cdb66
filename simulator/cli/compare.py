"""`servecast compare`: topologies of several run bundles side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def compare(bundles: list[Path], /, *, format: Literal["table", "json"] = "table") -> int:
    """Compare the topologies of run bundles.

    Parameters
    ----------
    bundles: folders written by `servecast run`
    format: table for people, json for programs
    """
    from simulator.cli.output import print_json, print_table
    from simulator.report.table import comparison, ordered, warning_lines
    from simulator.results.bundle import read_bundle
    from simulator.run.summary import verdict

    read = [read_bundle(path) for path in bundles]
    several = len(read) > 1
    topologies = {
        (f"{bundle.path.name}/{name}" if several else name): summary
        for bundle in read
        for name, summary in ordered(bundle.summary).items()
    }
    if format == "json":
        print_json({"topologies": topologies, "verdict": verdict(topologies)})
        return 0
    print_table(*comparison(topologies))
    print()
    print("\n".join(warning_lines(topologies)))
    print(f"\n{verdict(topologies)}")
    return 0
